/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promise: a cursor gives each item once and in order, whatever the sizes of its calls, and ends
 * once: with its items, by an error, cancelled, closed, or with its client; then what the program
 * has in it is given back, once.
 */
#include "cursor-pair.h"

/* --- Giving and taking --- */

static void items_come_once_and_in_order_whatever_the_bulk(void **state)
{
        static const uint32_t totals[] = {0, 1, 2, 3, 99, 100, 101, 200, 1000};
        static const size_t bulks[] = {1, 2, 3, 100, 1000, 65536};
        struct counter counter = {0};
        struct bed b;

        start_counting(&b, &counter);
        for (size_t i = 0; i < ARRAY_SIZE(totals) * ARRAY_SIZE(bulks) * 6; i++) {
                _cleanup_fetch_ busrt_fetch *f = NULL;

                counter.total = totals[i % ARRAY_SIZE(totals)];
                counter.at = 0;
                counter.per_call = (uint32_t)(i / ARRAY_SIZE(totals) / ARRAY_SIZE(bulks) % 3);
                counter.end_with_last = i & 1;
                atomic_store(&counter.n_freed, 0);
                f = opened(b.caller, "open");
                assert_int_equal(
                        busrt_fetch_set_bulk(f, bulks[i / ARRAY_SIZE(totals) % ARRAY_SIZE(bulks)]),
                        0);
                assert_int_equal(take_all(f, 0), counter.total);
                await_freed(&counter, 1);
                assert_int_equal(busrt_client_count_cursors(b.server), 0);
        }
        bed_stop(&b);
        assert_int_equal(counter.n_freed, 1);
}

static void next_gives_one_item_and_nothing_at_the_end(void **state)
{
        _cleanup_fetch_ busrt_fetch *f = NULL;
        _cleanup_frame_ busrt_frame *frame = NULL;
        struct counter counter = {.total = 3};
        struct bed b;

        start_counting(&b, &counter);
        f = opened(b.caller, "open");
        for (uint32_t i = 0; i < 3; i++)
                take_one(f, i);
        assert_int_equal(busrt_client_count_cursors(b.server), 1);
        assert_int_equal(busrt_fetch_next(f, DEADLINE, NULL, &frame), 0);
        assert_int_equal(busrt_fetch_next(f, DEADLINE, NULL, &frame), 0);
        assert_null(frame);
        assert_int_equal(busrt_client_count_cursors(b.server), 0);
        await_freed(&counter, 1);
        bed_stop(&b);
}

static void both_kinds_of_calls_may_be_mixed(void **state)
{
        _cleanup_fetch_ busrt_fetch *f = NULL;
        _cleanup_frame_ busrt_frame *frame = NULL;
        struct counter counter = {.total = 10};
        const void *data;
        struct bed b;
        size_t len;

        start_counting(&b, &counter);
        f = opened(b.caller, "open");
        take_one(f, 0);
        take_bulk(f, 2, 1, 2);
        assert_int_equal(busrt_fetch_set_bulk(f, 2), 0);
        assert_int_equal(busrt_fetch_item(f, DEADLINE, NULL, &data, &len), 1);
        assert_int_equal(number_decode(data), 3);
        /* One is here already: it would be passed over. */
        assert_int_equal(busrt_fetch_next(f, DEADLINE, NULL, &frame), -EBUSY);
        assert_int_equal(busrt_fetch_next_bulk(f, 2, DEADLINE, NULL, &frame), -EBUSY);
        assert_int_equal(busrt_fetch_item(f, 0, NULL, &data, &len), 1);
        assert_int_equal(number_decode(data), 4);
        assert_int_equal(busrt_fetch_item(f, 0, NULL, &data, &len), -EAGAIN);
        take_bulk(f, 5, 5, 5);
        take_bulk(f, 5, 0, 0);
        assert_int_equal(busrt_fetch_next(f, DEADLINE, NULL, &frame), 0);
        bed_stop(&b);
}

static void a_bulk_of_none_is_empty_and_no_end(void **state)
{
        _cleanup_fetch_ busrt_fetch *f = NULL;
        _cleanup_frame_ busrt_frame *reply = NULL;
        uint8_t params[] = "\x82\xa1u\xc4\x10................\xa1n\x00";
        struct counter counter = {.total = 2};
        struct iovec iov = {params, 24};
        size_t len;
        struct bed b;

        start_counting(&b, &counter);
        assert_int_equal(
                busrt_client_call(b.caller, "server", "open", NULL, 0, 0, DEADLINE, NULL, &reply),
                0);
        memcpy(params + 5, (const uint8_t *)busrt_frame_get_payload(reply, NULL) + 5, 16);
        assert_int_equal(busrt_fetch_new(b.caller, "server", busrt_frame_get_payload(reply, NULL),
                                         21, &cursor_methods, &f),
                         0);
        reply = busrt_frame_unref(reply);
        assert_int_equal(
                busrt_client_call(b.caller, "server", "NB", &iov, 1, 0, DEADLINE, NULL, &reply), 0);
        assert_memory_equal(busrt_frame_get_payload(reply, &len), "\x90", 1);
        assert_int_equal(len, 1);
        assert_int_equal(take_all(f, 0), 2);
        bed_stop(&b);
}

static int open_with_more(busrt_client *c, busrt_request *request, void *userdata)
{
        uint8_t payload[] = "\x82\xa5total\x03\xa1u\xc4\x10................";
        struct iovec iov = {payload, sizeof(payload) - 1};
        busrt_cursor *cursor;
        int r = busrt_cursor_new(request, count_on, counter_freed, userdata, BUSRT_TIMEOUT_INFINITE,
                                 &cursor);

        if (r < 0)
                return r;
        memcpy(payload + sizeof(payload) - 17, busrt_cursor_get_id(cursor), 16);
        busrt_cursor_unref(cursor);
        return busrt_request_reply(request, &iov, 1);
}

static void the_reply_may_say_more_than_the_id(void **state)
{
        _cleanup_fetch_ busrt_fetch *f = NULL;
        struct counter counter = {.total = 3};
        const busrt_method methods[] = {{"open", open_with_more, &counter, 0}};
        struct bed b;

        bed_start(&b, methods, 1);
        assert_int_equal(busrt_client_add_cursor_methods(b.server, &cursor_methods), 0);
        f = opened(b.caller, "open");
        assert_int_equal(take_all(f, 0), 3);
        await_freed(&counter, 1);
        bed_stop(&b);
}

static void a_server_may_have_one_kind_of_calls(void **state)
{
        static const busrt_cursor_methods one = {"next", NULL, NULL};
        static const busrt_cursor_methods many = {NULL, "bulk", NULL};
        _cleanup_fetch_ busrt_fetch *f = NULL;
        _cleanup_frame_ busrt_frame *frame = NULL;
        struct counter counter = {.total = 7};
        struct bed b;

        start_counting(&b, &counter);
        assert_int_equal(busrt_client_add_cursor_methods(b.server, &one), 0);
        assert_int_equal(busrt_client_add_cursor_methods(b.server, &many), 0);
        assert_int_equal(busrt_client_add_cursor_methods(b.server, &many), -EEXIST);
        assert_int_equal(
                busrt_fetch_open(b.caller, "server", "open", NULL, 0, &one, DEADLINE, NULL, &f), 0);
        assert_int_equal(busrt_fetch_next_bulk(f, 2, DEADLINE, NULL, &frame), -ENOSYS);
        assert_int_equal(take_all(f, 0), 7);
        f = busrt_fetch_free(f);
        counter.at = 0;
        assert_int_equal(
                busrt_fetch_open(b.caller, "server", "open", NULL, 0, &many, DEADLINE, NULL, &f),
                0);
        assert_int_equal(busrt_fetch_next(f, DEADLINE, NULL, &frame), -ENOSYS);
        assert_int_equal(take_all(f, 0), 7);
        bed_stop(&b);
}

/* --- How it ends --- */

static void an_error_of_the_program_is_the_callers_and_ends_the_cursor(void **state)
{
        static const struct {
                int failure, code;
        } rows[] = {
                {-EIO, BUSRT_RPC_IO},
                {-4096, -4096},
                {BUSRT_CURSOR_MORE, BUSRT_RPC_INTERNAL}, /* with nothing put */
                {7, BUSRT_RPC_INTERNAL},
        };
        struct counter counter = {.total = 9, .fail_at = 5};
        struct bed b;

        start_counting(&b, &counter);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_fetch_ busrt_fetch *f = NULL;
                busrt_rpc_error error = BUSRT_RPC_ERROR_INIT;
                busrt_frame *frame = NULL;

                counter.at = 0;
                counter.failure = rows[i].failure;
                f = opened(b.caller, "open");
                take_bulk(f, 4, 0, 4);
                assert_int_equal(busrt_fetch_next_bulk(f, 4, DEADLINE, &error, &frame), -EREMOTEIO);
                assert_int_equal(error.code, rows[i].code);
                assert_int_equal(busrt_fetch_next(f, DEADLINE, &error, &frame), -EREMOTEIO);
                assert_null(frame);
                busrt_rpc_error_done(&error);
                await_freed(&counter, (int)i + 1);
                assert_int_equal(busrt_client_count_cursors(b.server), 0);
        }
        bed_stop(&b);
}

static void after_the_end_late_calls_hear_of_it_again(void **state)
{
        _cleanup_fetch_ busrt_fetch *f = NULL;
        _cleanup_frame_ busrt_frame *opening = NULL, *reply = NULL;
        struct counter counter = {.total = 1};
        const uint8_t *payload;
        struct iovec iov;
        size_t len;
        struct bed b;

        start_counting(&b, &counter);
        assert_int_equal(
                busrt_client_call(b.caller, "server", "open", NULL, 0, 0, DEADLINE, NULL, &opening),
                0);
        payload = busrt_frame_get_payload(opening, &len);
        assert_int_equal(len, 21);
        assert_memory_equal(payload, "\x81\xa1u\xc4\x10", 5);
        assert_int_equal(payload[5 + 6] & 0xf0, 0x40); /* a UUID of version 4 */
        assert_int_equal(payload[5 + 8] & 0xc0, 0x80);
        assert_int_equal(busrt_fetch_new(b.caller, "server", payload, len, &cursor_methods, &f), 0);
        assert_int_equal(take_all(f, 0), 1);
        iov = (struct iovec){(void *)payload, len};
        for (int i = 0; i < 3; i++) {
                assert_int_equal(busrt_client_call(b.caller, "server", "N", &iov, 1, 0, DEADLINE,
                                                   NULL, &reply),
                                 0);
                assert_non_null(reply);
                (void)busrt_frame_get_payload(reply, &len);
                assert_int_equal(len, 0);
                reply = busrt_frame_unref(reply);
                assert_int_equal(busrt_client_call(b.caller, "server", "NB", &iov, 1, 0, DEADLINE,
                                                   NULL, &reply),
                                 0);
                assert_memory_equal(busrt_frame_get_payload(reply, &len), "\x90", 1);
                reply = busrt_frame_unref(reply);
        }
        assert_int_equal(counter.n_calls, 2); /* the program is not asked again */
        bed_stop(&b);
        assert_int_equal(counter.n_freed, 1);
}

static void a_cursor_is_cancelled_by_its_taker(void **state)
{
        _cleanup_fetch_ busrt_fetch *f = NULL, *other = NULL;
        struct counter counter = {.total = 100};
        const void *data;
        size_t len;
        struct bed b;

        start_counting(&b, &counter);
        f = opened(b.caller, "open");
        assert_int_equal(busrt_fetch_item(f, DEADLINE, NULL, &data, &len), 1);
        assert_int_equal(busrt_fetch_cancel(f), 0);
        assert_int_equal(busrt_fetch_cancel(f), 0);
        assert_int_equal(busrt_fetch_item(f, DEADLINE, NULL, &data, &len), -ECANCELED);
        await_freed(&counter, 1);
        /* What follows on the same connection finds it gone. */
        assert_int_equal(busrt_client_set_max_cursors(b.server, 1, 1), 0);
        other = opened(b.caller, "open");
        assert_int_equal(busrt_fetch_cancel(other), 0);
        busrt_fetch_free(other);
        other = opened(b.caller, "open");
        bed_stop(&b);
        assert_int_equal(counter.n_freed, 3);
}

static void who_has_no_method_to_cancel_says_so(void **state)
{
        static const busrt_cursor_methods two = {"N", "NB", NULL};
        _cleanup_fetch_ busrt_fetch *f = NULL;
        struct counter counter = {.total = 100};
        const void *data;
        size_t len;
        struct bed b;

        start_counting(&b, &counter);
        assert_int_equal(
                busrt_fetch_open(b.caller, "server", "open", NULL, 0, &two, DEADLINE, NULL, &f), 0);
        assert_int_equal(busrt_fetch_cancel(f), -ENOSYS);
        assert_int_equal(busrt_fetch_item(f, DEADLINE, NULL, &data, &len), -ECANCELED);
        assert_int_equal(busrt_client_count_cursors(b.server), 1);
        bed_stop(&b);
}

static void an_unknown_id_is_not_found(void **state)
{
        struct counter counter = {.total = 1};
        struct bed b;

        start_counting(&b, &counter);
        assert_int_equal(id_code(b.caller, "N", "0123456789abcdef", 0), BUSRT_RPC_NOT_FOUND);
        assert_int_equal(id_code(b.caller, "NB", "0123456789abcdef", 9), BUSRT_RPC_NOT_FOUND);
        assert_int_equal(id_code(b.caller, "NC", "0123456789abcdef", 0), BUSRT_RPC_NOT_FOUND);
        busrt_fetch_free(opened(b.caller, "open"));
        assert_int_equal(id_code(b.caller, "N", "0123456789abcdef", 0), BUSRT_RPC_NOT_FOUND);
        /* Params that are none. */
        for (const char *const *m = (const char *const[]){"N", "NB", "NC", NULL}; *m; m++)
                assert_int_equal(call_code(b.caller, *m, NULL), BUSRT_RPC_PARSE);
        bed_stop(&b);
}

static void closing_takes_those_of_one_client_or_all(void **state)
{
        _cleanup_client_ busrt_client *second = NULL;
        _cleanup_fetch_ busrt_fetch *one = NULL, *two = NULL, *three = NULL;
        struct counter counter = {.total = 100};
        busrt_frame *frame = NULL;
        busrt_client *other;
        struct bed b;

        start_counting(&b, &counter);
        other = joined("caller.2"); /* whose name begins as the other's */
        assert_int_equal(busrt_client_new_secondary(b.caller, "s", &second), 0);
        assert_int_equal(busrt_client_connect(second, real_broker_path(broker)), 0);
        one = opened(b.caller, "open");
        two = opened(second, "open");
        three = opened(other, "open");
        assert_int_equal(busrt_client_count_cursors(b.server), 3);
        assert_int_equal(busrt_client_close_cursors(b.server, "nobody"), 0);
        assert_int_equal(busrt_client_close_cursors(b.server, "caller%%s"), 1);
        assert_int_equal(busrt_fetch_next(two, DEADLINE, NULL, &frame), -ESTALE);
        assert_int_equal(busrt_fetch_next(two, DEADLINE, NULL, &frame), -ESTALE);
        assert_int_equal(busrt_fetch_cancel(two), 0);
        two = busrt_fetch_free(two);
        two = opened(second, "open");
        assert_int_equal(busrt_client_close_cursors(b.server, "caller"), 2);
        assert_int_equal(busrt_fetch_next(one, DEADLINE, NULL, &frame), -ESTALE);
        take_one(three, 0);
        await_freed(&counter, 3);
        assert_int_equal(busrt_client_close_cursors(b.server, NULL), 1);
        assert_int_equal(busrt_client_close_cursors(b.server, NULL), 0);
        assert_int_equal(busrt_fetch_next(three, DEADLINE, NULL, &frame), -ESTALE);
        await_freed(&counter, 4);
        three = busrt_fetch_free(three);
        busrt_client_free(other);
        bed_stop(&b);
}

/* --- A broker that goes --- */

static busrt_client *joined_for_ever(const char *name)
{
        busrt_client *c;

        assert_int_equal(busrt_client_new(name, &c), 0);
        assert_int_equal(busrt_client_set_reconnect(c, BUSRT_TIMEOUT_INFINITE), 0);
        assert_int_equal(busrt_client_set_reconnect_pause(c, 1000, 10000), 0);
        assert_int_equal(busrt_client_connect(c, real_broker_path(broker)), 0);
        return c;
}

static void await_state(busrt_client *c, enum busrt_state want)
{
        uint64_t until = now_usec() + DEADLINE;

        while (busrt_client_get_state(c) != (int)want) {
                assert_true(now_usec() < until);
                (void)busrt_client_process(c);
        }
}

/* The next item, as soon as the server is there again. */
static int take_item_in_the_end(busrt_fetch *f, uint32_t *ret)
{
        uint64_t until = now_usec() + DEADLINE;
        const void *data;
        size_t len;
        int r;

        do {
                assert_true(now_usec() < until);
                r = busrt_fetch_item(f, DEADLINE, NULL, &data, &len);
        } while (r == -EHOSTUNREACH || r == -ENOTCONN);
        if (r == 1)
                *ret = number_decode(data);
        return r;
}

static void a_cursor_outlives_the_broker(void **state)
{
        struct counter counter = {.total = 25};
        const busrt_method methods[] = {{"open", open_counter, &counter, 0}};
        _cleanup_fetch_ busrt_fetch *f = NULL;
        struct bed b = {.server = joined_for_ever("server"), .caller = joined_for_ever("caller")};
        uint32_t number = 0;

        assert_int_equal(busrt_client_add_methods(b.server, methods, 1), 0);
        assert_int_equal(busrt_client_add_cursor_methods(b.server, &cursor_methods), 0);
        assert_int_equal(pthread_create(&b.loop, NULL, run_loop, &b), 0);
        f = opened(b.caller, "open");
        assert_int_equal(busrt_fetch_set_bulk(f, 10), 0);
        for (uint32_t i = 0; i < 25; i++) {
                if (i == 10 || i == 15) {
                        real_broker_kill(broker);
                        await_state(b.caller, BUSRT_STATE_RECONNECTING);
                        real_broker_start_again(broker);
                        assert_int_equal(busrt_client_wait_connected(b.caller, DEADLINE), 0);
                }
                assert_int_equal(take_item_in_the_end(f, &number), 1);
                assert_int_equal(number, i);
        }
        assert_int_equal(take_item_in_the_end(f, &number), 0);
        bed_stop(&b);
        assert_int_equal(counter.n_freed, 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(items_come_once_and_in_order_whatever_the_bulk),
                cmocka_unit_test(next_gives_one_item_and_nothing_at_the_end),
                cmocka_unit_test(both_kinds_of_calls_may_be_mixed),
                cmocka_unit_test(a_bulk_of_none_is_empty_and_no_end),
                cmocka_unit_test(the_reply_may_say_more_than_the_id),
                cmocka_unit_test(a_server_may_have_one_kind_of_calls),
                cmocka_unit_test(an_error_of_the_program_is_the_callers_and_ends_the_cursor),
                cmocka_unit_test(after_the_end_late_calls_hear_of_it_again),
                cmocka_unit_test(a_cursor_is_cancelled_by_its_taker),
                cmocka_unit_test(who_has_no_method_to_cancel_says_so),
                cmocka_unit_test(an_unknown_id_is_not_found),
                cmocka_unit_test(closing_takes_those_of_one_client_or_all),
                cmocka_unit_test(a_cursor_outlives_the_broker),
        };

        return cmocka_run_group_tests(tests, start, stop);
}
