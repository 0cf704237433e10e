/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promise: there are no more cursors than there may be, no bulk is larger, nobody uses one who may
 * not, and nothing is put that may not be.
 */
#include "cursor-pair.h"

static void there_may_be_so_many(void **state)
{
        _cleanup_client_ busrt_client *second = NULL;
        busrt_fetch *f[4] = {NULL};
        struct counter counter = {.total = 100};
        busrt_client *other;
        struct bed b;

        start_counting(&b, &counter);
        other = joined("other");
        assert_int_equal(busrt_client_new_secondary(b.caller, "s", &second), 0);
        assert_int_equal(busrt_client_connect(second, real_broker_path(broker)), 0);
        assert_int_equal(busrt_client_set_max_cursors(b.server, 2, 3), 0);
        f[0] = opened(b.caller, "open");
        f[1] = opened(second, "open");
        assert_int_equal(open_code(b.caller, "open"), BUSRT_RPC_BUSY);
        assert_int_equal(open_code(second, "open"), BUSRT_RPC_BUSY);
        f[2] = opened(other, "open");
        assert_int_equal(open_code(other, "open"), BUSRT_RPC_BUSY); /* of all */
        /* One that has ended does not count, though it is remembered. */
        assert_int_equal(take_all(f[2], 0), 100);
        f[3] = opened(other, "open");
        assert_int_equal(counter.n_freed, 1);
        for (size_t i = 0; i < ARRAY_SIZE(f); i++)
                busrt_fetch_free(f[i]);
        busrt_client_free(other);
        bed_stop(&b);
        assert_int_equal(counter.n_freed, 4);
}

static void a_bulk_may_be_so_large(void **state)
{
        _cleanup_fetch_ busrt_fetch *f = NULL;
        struct counter counter = {.total = 100};
        busrt_rpc_error error = BUSRT_RPC_ERROR_INIT;
        busrt_frame *frame = NULL;
        struct bed b;

        start_counting(&b, &counter);
        f = opened(b.caller, "open");
        assert_int_equal(busrt_fetch_next_bulk(f, 65537, DEADLINE, &error, &frame), -EREMOTEIO);
        assert_int_equal(error.code, BUSRT_RPC_INVALID_PARAMS);
        f = busrt_fetch_free(f);
        assert_int_equal(busrt_client_set_max_bulk(b.server, 10), 0);
        f = opened(b.caller, "open");
        take_bulk(f, 10, 0, 10);
        assert_int_equal(busrt_fetch_next_bulk(f, 11, DEADLINE, &error, &frame), -EREMOTEIO);
        assert_int_equal(error.code, BUSRT_RPC_INVALID_PARAMS);
        busrt_rpc_error_done(&error);
        bed_stop(&b);
}

/* Items of that many bytes. */
struct large {
        size_t size;
        atomic_int n_put;
};

static int put_large(busrt_cursor *cursor, size_t wanted, void *userdata)
{
        struct large *large = userdata;
        uint8_t item[2048] = {0xc5, (uint8_t)((large->size - 3) >> 8), (uint8_t)(large->size - 3)};
        int r = busrt_cursor_put(cursor, &(struct iovec){item, large->size}, 1);

        atomic_fetch_add(&large->n_put, 1);
        return r < 0 ? r : BUSRT_CURSOR_MORE;
}

static int open_large(busrt_client *c, busrt_request *request, void *userdata)
{
        return busrt_request_reply_cursor(request, put_large, NULL, userdata,
                                          BUSRT_TIMEOUT_DEFAULT);
}

static void a_reply_is_no_longer_than_a_frame(void **state)
{
        /* The 66th does not fit any more; the 64th does, but for the frame's head. */
        static const struct {
                size_t size, fit, too_many;
                int n_put;
        } rows[] = {{1000, 65, 1000, 66}, {1024, 63, 64, 64}};

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct large large = {.size = rows[i].size};
                const busrt_method methods[] = {{"open", open_large, &large, 0}};
                busrt_rpc_error error = BUSRT_RPC_ERROR_INIT;
                _cleanup_fetch_ busrt_fetch *f = NULL;
                _cleanup_frame_ busrt_frame *frame = NULL;
                struct bed b = {0};

                assert_int_equal(busrt_client_new("server", &b.server), 0);
                assert_int_equal(busrt_client_set_max_frame_size(b.server, 65536), 0);
                assert_int_equal(busrt_client_add_methods(b.server, methods, 1), 0);
                assert_int_equal(busrt_client_add_cursor_methods(b.server, &cursor_methods), 0);
                assert_int_equal(busrt_client_connect(b.server, real_broker_path(broker)), 0);
                b.caller = joined("caller");
                assert_int_equal(pthread_create(&b.loop, NULL, run_loop, &b), 0);
                f = opened(b.caller, "open");
                assert_int_equal(busrt_fetch_next_bulk(f, rows[i].fit, DEADLINE, NULL, &frame),
                                 rows[i].fit);
                assert_int_equal(large.n_put, rows[i].fit);
                assert_int_equal(
                        busrt_fetch_next_bulk(f, rows[i].too_many, DEADLINE, &error, &frame),
                        -EREMOTEIO);
                assert_int_equal(error.code, BUSRT_RPC_INTERNAL);
                assert_string_equal(error.data, busrt_strerror(-EMSGSIZE));
                assert_int_equal(large.n_put, (int)rows[i].fit + rows[i].n_put);
                assert_int_equal(busrt_client_count_cursors(b.server), 0);
                busrt_rpc_error_done(&error);
                bed_stop(&b);
        }
}

static void a_stranger_may_be_kept_out(void **state)
{
        _cleanup_client_ busrt_client *second = NULL;
        _cleanup_frame_ busrt_frame *reply = NULL;
        struct counter counter = {.total = 100};
        const uint8_t *id;
        busrt_client *other;
        struct bed b;

        start_counting(&b, &counter);
        other = joined("other");
        assert_int_equal(busrt_client_new_secondary(b.caller, "s", &second), 0);
        assert_int_equal(busrt_client_connect(second, real_broker_path(broker)), 0);
        assert_int_equal(
                busrt_client_call(b.caller, "server", "open", NULL, 0, 0, DEADLINE, NULL, &reply),
                0);
        id = (const uint8_t *)busrt_frame_get_payload(reply, NULL) + 5;
        assert_int_equal(id_code(other, "N", id, 0), 0);
        assert_int_equal(busrt_client_set_cursors_bound(b.server, 1), 0);
        assert_int_equal(id_code(other, "N", id, 0), BUSRT_RPC_ACCESS);
        assert_int_equal(id_code(other, "NB", id, 5), BUSRT_RPC_ACCESS);
        assert_int_equal(id_code(other, "NC", id, 0), BUSRT_RPC_ACCESS);
        assert_int_equal(id_code(second, "N", id, 0), 0);
        assert_int_equal(id_code(b.caller, "N", id, 0), 0);
        assert_int_equal(counter.at, 3);
        assert_int_equal(busrt_client_set_cursors_bound(b.server, 0), 0);
        assert_int_equal(id_code(other, "NC", id, 0), 0);
        await_freed(&counter, 1);
        busrt_client_free(other);
        bed_stop(&b);
}

static int open_for_nobody(busrt_client *c, busrt_request *request, void *userdata)
{
        atomic_int *result = userdata;
        struct counter counter = {0};

        *result = busrt_request_reply_cursor(request, count_on, counter_freed, &counter,
                                             BUSRT_TIMEOUT_DEFAULT);
        assert_int_equal(counter.n_freed, 0);
        return 0;
}

static void what_wants_no_reply_gets_nothing_and_takes_nothing(void **state)
{
        _cleanup_frame_ busrt_frame *reply = NULL;
        struct counter counter = {.total = 100};
        atomic_int result = 1;
        const busrt_method methods[] = {{"nobody", open_for_nobody, &result, 0}};
        struct iovec iov;
        struct bed b;

        start_counting(&b, &counter);
        assert_int_equal(busrt_client_add_methods(b.server, methods, 1), 0);
        assert_int_equal(
                busrt_client_call(b.caller, "server", "open", NULL, 0, 0, DEADLINE, NULL, &reply),
                0);
        iov.iov_base = (void *)busrt_frame_get_payload(reply, &iov.iov_len);
        assert_int_equal(busrt_client_call0(b.caller, "server", "N", &iov, 1, 0, NULL), 0);
        assert_int_equal(busrt_client_call0(b.caller, "server", "NB", &iov, 1, 0, NULL), 0);
        assert_int_equal(busrt_client_call0(b.caller, "server", "nobody", NULL, 0, 0, NULL), 0);
        assert_int_equal(id_code(b.caller, "N", (const uint8_t *)iov.iov_base + 5, 0), 0);
        assert_int_equal(counter.at, 1);
        assert_int_equal(result, -EINVAL);
        bed_stop(&b);
}

/* --- What may be put --- */

struct putting {
        atomic_int results[8];
};

static int put_oddly(busrt_cursor *cursor, size_t wanted, void *userdata)
{
        struct putting *p = userdata;
        static char bytes[] = "\x01\x02";
        struct iovec one = {bytes, 1}, none = {bytes, 0}, two = {bytes, 2}, bad = {NULL, 1};

        p->results[0] = busrt_cursor_put(cursor, &none, 1);
        p->results[1] = busrt_cursor_put(cursor, NULL, 0);
        p->results[2] = busrt_cursor_put(cursor, &bad, 1);
        p->results[3] = busrt_cursor_put(cursor, &two, 1); /* two values */
        p->results[4] = busrt_cursor_put(cursor, &one, 1);
        p->results[5] = busrt_cursor_put(cursor, &one, 1);
        p->results[6] = (int)wanted;
        return BUSRT_CURSOR_MORE;
}

static int open_oddly(busrt_client *c, busrt_request *request, void *userdata)
{
        return busrt_request_reply_cursor(request, put_oddly, NULL, userdata,
                                          BUSRT_TIMEOUT_DEFAULT);
}

static void what_may_not_be_put_is_not_there(void **state)
{
        struct putting p = {0};
        const busrt_method methods[] = {{"open", open_oddly, &p, 0}};
        _cleanup_fetch_ busrt_fetch *f = NULL;
        _cleanup_frame_ busrt_frame *frame = NULL;
        struct bed b;
        size_t len;

        bed_start(&b, methods, 1);
        assert_int_equal(busrt_client_add_cursor_methods(b.server, &cursor_methods), 0);
        f = opened(b.caller, "open");
        assert_int_equal(busrt_fetch_next_bulk(f, 1, DEADLINE, NULL, &frame), 1);
        assert_memory_equal(busrt_frame_get_payload(frame, &len), "\x91\x01", 2);
        assert_int_equal(len, 2);
        for (size_t i = 0; i < 3; i++)
                assert_int_equal(p.results[i], -EINVAL);
        assert_int_equal(p.results[3], -EBADMSG);
        assert_int_equal(p.results[4], 0);
        assert_int_equal(p.results[5], -ENOSPC);
        assert_int_equal(p.results[6], 1);
        frame = busrt_frame_unref(frame);
        assert_int_equal(busrt_fetch_next(f, DEADLINE, NULL, &frame), 1);
        assert_memory_equal(busrt_frame_get_payload(frame, &len), "\x01\x02", 2);
        assert_int_equal(len, 2); /* a single item is whatever the programs agree on */
        assert_int_equal(p.results[3], 0);
        assert_int_equal(p.results[4], -ENOSPC);
        bed_stop(&b);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(there_may_be_so_many),
                cmocka_unit_test(a_bulk_may_be_so_large),
                cmocka_unit_test(a_reply_is_no_longer_than_a_frame),
                cmocka_unit_test(a_stranger_may_be_kept_out),
                cmocka_unit_test(what_wants_no_reply_gets_nothing_and_takes_nothing),
                cmocka_unit_test(what_may_not_be_put_is_not_there),
        };

        return cmocka_run_group_tests(tests, start, stop);
}
