/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promise: a program may answer for its cursor later, from any thread; calls of it wait in their
 * order meanwhile; and whatever ends the cursor in between, what the program has in it is given
 * back once, and not before it has answered.
 */
#include "cursor-bed.h"
#include "methods-bed.h"

#define CALLS_MAX 65

/* Where cursors are left that are to be answered for. */
struct desk {
        atomic_int n_freed;
        atomic_size_t wanted;
        _Atomic(busrt_cursor *) cursor;
};

static int leave(busrt_cursor *cursor, size_t wanted, void *userdata)
{
        struct desk *desk = userdata;

        atomic_store(&desk->wanted, wanted);
        atomic_store(&desk->cursor, cursor);
        return BUSRT_CURSOR_LATER;
}

static void desk_freed(void *userdata)
{
        struct desk *desk = userdata;

        atomic_fetch_add(&desk->n_freed, 1);
}

static int open_desk(busrt_client *c, busrt_request *request, void *userdata)
{
        return busrt_request_reply_cursor(request, leave, desk_freed, userdata,
                                          BUSRT_TIMEOUT_DEFAULT);
}

static busrt_cursor *take(struct desk *desk, size_t wanted)
{
        uint64_t until = now_usec() + DEADLINE;
        busrt_cursor *cursor;

        while (!(cursor = atomic_exchange(&desk->cursor, NULL)))
                assert_true(now_usec() < until);
        assert_int_equal(atomic_load(&desk->wanted), wanted);
        return cursor;
}

static void await(atomic_int *n, int want)
{
        uint64_t until = now_usec() + DEADLINE;

        while (atomic_load(n) != want)
                assert_true(now_usec() < until);
}

static void start_desk(struct bed *b, struct desk *desk)
{
        const busrt_method methods[] = {{"open", open_desk, desk, 0}};

        bed_start(b, methods, 1);
        assert_int_equal(busrt_client_add_cursor_methods(b->server, &cursor_methods), 0);
}

static busrt_fetch *opened(struct bed *b)
{
        busrt_fetch *f;

        assert_int_equal(busrt_fetch_open(b->caller, "server", "open", NULL, 0, &cursor_methods,
                                          DEADLINE, NULL, &f),
                         0);
        return f;
}

/* A call of the cursor that the test does not wait for. */
struct pending {
        int done, result, code;
        uint32_t number;
        size_t len;
};

static void on_reply(busrt_client *c, int result, const busrt_rpc_error *error, busrt_frame *reply,
                     void *userdata)
{
        struct pending *p = userdata;
        const void *payload = busrt_frame_get_payload(reply, &p->len);

        p->result = result;
        p->code = error ? error->code : 0;
        p->number = p->len == 5 ? number_decode(payload) : UINT32_MAX;
        p->done = 1;
}

/* The params are a payload that opening gave. */
static void start_call(struct bed *b, const char *method, busrt_frame *opening, struct pending *p)
{
        struct iovec iov;

        iov.iov_base = (void *)busrt_frame_get_payload(opening, &iov.iov_len);
        *p = (struct pending){0};
        assert_int_equal(busrt_client_call_async(b->caller, "server", method, &iov, 1, 0, DEADLINE,
                                                 on_reply, p, NULL),
                         0);
}

static busrt_frame *opening_of(struct bed *b)
{
        busrt_frame *reply;

        assert_int_equal(
                busrt_client_call(b->caller, "server", "open", NULL, 0, 0, DEADLINE, NULL, &reply),
                0);
        return reply;
}

/* --- Answers --- */

static void calls_wait_in_their_order(void **state)
{
        _cleanup_frame_ busrt_frame *opening = NULL;
        struct desk desk = {0};
        struct pending p[10];
        struct bed b;

        start_desk(&b, &desk);
        opening = opening_of(&b);
        for (size_t i = 0; i < ARRAY_SIZE(p); i++)
                start_call(&b, "N", opening, &p[i]);
        for (uint32_t i = 0; i < 7; i++) {
                busrt_cursor *cursor = take(&desk, 1);

                assert_int_equal(busrt_cursor_continue(cursor, BUSRT_CURSOR_LATER), -EINVAL);
                assert_int_equal(busrt_cursor_continue(cursor, 3), -EINVAL);
                assert_int_equal(put_number(cursor, i), 0);
                assert_int_equal(put_number(cursor, i), -ENOSPC);
                assert_int_equal(busrt_cursor_continue(cursor, BUSRT_CURSOR_MORE), 0);
        }
        /* The others hear of the end, and the program is not asked again. */
        assert_int_equal(busrt_cursor_continue(take(&desk, 1), BUSRT_CURSOR_END), 0);
        for (size_t i = 0; i < ARRAY_SIZE(p); i++) {
                process_until(b.caller, is_set, &p[i].done);
                assert_int_equal(p[i].result, 0);
                assert_int_equal(p[i].number, i < 7 ? (uint32_t)i : UINT32_MAX);
                assert_int_equal(p[i].len, i < 7 ? 5 : 0);
        }
        await(&desk.n_freed, 1);
        assert_null(atomic_load(&desk.cursor));
        bed_stop(&b);
}

static void note_more(busrt_fetch *f, int result, const busrt_rpc_error *error, void *userdata)
{
        struct pending *p = userdata;

        p->result = result;
        p->done = 1;
}

static void a_bulk_may_come_in_parts(void **state)
{
        static const struct {
                size_t wanted;
                uint32_t n_put;
        } parts[] = {{5, 2}, {3, 1}, {2, 2}};
        _cleanup_fetch_ busrt_fetch *f = NULL;
        struct pending p = {0};
        struct desk desk = {0};
        uint32_t number = 0;
        const void *data;
        struct bed b;
        size_t len;

        start_desk(&b, &desk);
        f = opened(&b);
        assert_int_equal(busrt_fetch_set_bulk(f, 5), 0);
        assert_int_equal(busrt_fetch_more(f, DEADLINE, note_more, &p), 0);
        for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
                busrt_cursor *cursor = take(&desk, parts[i].wanted);

                for (uint32_t k = 0; k < parts[i].n_put; k++)
                        assert_int_equal(put_number(cursor, number++), 0);
                assert_int_equal(busrt_cursor_continue(cursor, BUSRT_CURSOR_MORE), 0);
        }
        process_until(b.caller, is_set, &p.done);
        assert_int_equal(p.result, 5);
        for (uint32_t i = 0; i < 5; i++) {
                assert_int_equal(busrt_fetch_item(f, 0, NULL, &data, &len), 1);
                assert_int_equal(number_decode(data), i);
        }
        assert_int_equal(busrt_fetch_item(f, 0, NULL, &data, &len), -EAGAIN);
        bed_stop(&b);
        assert_int_equal(desk.n_freed, 1);
}

static int answer_at_once(busrt_cursor *cursor, size_t wanted, void *userdata)
{
        int *at = userdata;

        (*at)++;
        if (put_number(cursor, (uint32_t)*at) < 0 ||
            busrt_cursor_continue(cursor, *at == 3 ? BUSRT_CURSOR_END : BUSRT_CURSOR_MORE) < 0 ||
            put_number(cursor, 0) != -EALREADY ||
            busrt_cursor_continue(cursor, BUSRT_CURSOR_END) != -EALREADY)
                return -EIO;
        return BUSRT_CURSOR_LATER;
}

static int open_at_once(busrt_client *c, busrt_request *request, void *userdata)
{
        return busrt_request_reply_cursor(request, answer_at_once, NULL, userdata,
                                          BUSRT_TIMEOUT_DEFAULT);
}

static void the_answer_may_come_before_next_returns(void **state)
{
        int at = 0;
        const busrt_method methods[] = {{"open", open_at_once, &at, 0}};
        _cleanup_fetch_ busrt_fetch *f = NULL;
        const void *data;
        struct bed b;
        size_t len;

        bed_start(&b, methods, 1);
        assert_int_equal(busrt_client_add_cursor_methods(b.server, &cursor_methods), 0);
        f = opened(&b);
        for (uint32_t i = 1; i <= 3; i++) {
                assert_int_equal(busrt_fetch_item(f, DEADLINE, NULL, &data, &len), 1);
                assert_int_equal(number_decode(data), i);
        }
        assert_int_equal(busrt_fetch_item(f, DEADLINE, NULL, &data, &len), 0);
        bed_stop(&b);
}

static void too_many_calls_of_one_cursor_are_busy(void **state)
{
        _cleanup_frame_ busrt_frame *opening = NULL;
        static struct pending p[CALLS_MAX + 2];
        struct desk desk = {0};
        unsigned n_busy = 0;
        struct bed b;

        start_desk(&b, &desk);
        opening = opening_of(&b);
        for (size_t i = 0; i < ARRAY_SIZE(p); i++)
                start_call(&b, "N", opening, &p[i]);
        process_until(b.caller, is_set, &p[CALLS_MAX].done);
        process_until(b.caller, is_set, &p[CALLS_MAX + 1].done);
        assert_int_equal(busrt_cursor_continue(take(&desk, 1), BUSRT_CURSOR_END), 0);
        for (size_t i = 0; i < ARRAY_SIZE(p); i++) {
                process_until(b.caller, is_set, &p[i].done);
                n_busy += p[i].code == BUSRT_RPC_BUSY;
                assert_int_equal(p[i].code, i < CALLS_MAX ? 0 : BUSRT_RPC_BUSY);
        }
        assert_int_equal(n_busy, 2);
        bed_stop(&b);
}

/* --- What ends it in between --- */

static void who_cancels_ends_the_call_at_once(void **state)
{
        _cleanup_frame_ busrt_frame *opening = NULL;
        struct desk desk = {0};
        struct pending p[3], cancel;
        busrt_cursor *cursor;
        struct bed b;

        start_desk(&b, &desk);
        opening = opening_of(&b);
        for (size_t i = 0; i < ARRAY_SIZE(p); i++)
                start_call(&b, "N", opening, &p[i]);
        cursor = take(&desk, 1);
        assert_int_equal(put_number(cursor, 1), 0);
        start_call(&b, "NC", opening, &cancel);
        process_until(b.caller, is_set, &cancel.done);
        assert_int_equal(cancel.result, 0);
        for (size_t i = 0; i < ARRAY_SIZE(p); i++) {
                process_until(b.caller, is_set, &p[i].done);
                assert_int_equal(p[i].code, BUSRT_RPC_NOT_FOUND);
        }
        assert_int_equal(busrt_client_count_cursors(b.server), 0);
        assert_int_equal(desk.n_freed, 0);
        assert_int_equal(put_number(cursor, 1), -ECANCELED);
        assert_int_equal(busrt_cursor_continue(cursor, BUSRT_CURSOR_MORE), 0);
        await(&desk.n_freed, 1);
        bed_stop(&b);
        assert_int_equal(desk.n_freed, 1);
}

/* The items may have been read from their source, and are nowhere: the caller may not go on as if
 * nothing were missing. */
static void a_call_whose_time_is_up_costs_the_cursor(void **state)
{
        static const int answers[] = {BUSRT_CURSOR_MORE, BUSRT_CURSOR_END, -EIO};

        for (size_t i = 0; i < 2 * ARRAY_SIZE(answers); i++) {
                _cleanup_frame_ busrt_frame *opening = NULL;
                struct desk desk = {0};
                struct pending late, next;
                busrt_cursor *cursor;
                struct bed b;

                start_desk(&b, &desk);
                opening = opening_of(&b);
                assert_int_equal(busrt_client_set_request_timeout(b.server, 100 * MSEC), 0);
                start_call(&b, "N", opening, &late);
                cursor = take(&desk, 1);
                if (i & 1)
                        (void)put_number(cursor, 1);
                process_until(b.caller, is_set, &late.done);
                assert_int_equal(late.code, BUSRT_RPC_TIMEOUT);
                assert_int_equal(put_number(cursor, 1), -ETIMEDOUT);
                assert_int_equal(busrt_client_set_request_timeout(b.server, BUSRT_TIMEOUT_INFINITE),
                                 0);
                start_call(&b, "N", opening, &next);
                assert_int_equal(busrt_cursor_continue(cursor, answers[i / 2]), 0);
                process_until(b.caller, is_set, &next.done);
                assert_int_equal(next.code, BUSRT_RPC_NOT_FOUND);
                await(&desk.n_freed, 1);
                bed_stop(&b);
        }
}

static void a_call_that_ended_while_it_waited_costs_nothing(void **state)
{
        _cleanup_frame_ busrt_frame *opening = NULL;
        struct desk desk = {0};
        struct pending first, late, next;
        busrt_cursor *cursor;
        struct bed b;

        start_desk(&b, &desk);
        opening = opening_of(&b);
        start_call(&b, "N", opening, &first);
        cursor = take(&desk, 1);
        assert_int_equal(busrt_client_set_request_timeout(b.server, MSEC), 0);
        start_call(&b, "N", opening, &late);
        process_until(b.caller, is_set, &late.done);
        assert_int_equal(late.code, BUSRT_RPC_TIMEOUT);
        assert_int_equal(busrt_client_set_request_timeout(b.server, BUSRT_TIMEOUT_INFINITE), 0);
        start_call(&b, "N", opening, &next);
        assert_int_equal(put_number(cursor, 0), 0);
        assert_int_equal(busrt_cursor_continue(cursor, BUSRT_CURSOR_MORE), 0);
        cursor = take(&desk, 1);
        assert_int_equal(put_number(cursor, 1), 0);
        assert_int_equal(busrt_cursor_continue(cursor, BUSRT_CURSOR_MORE), 0);
        process_until(b.caller, is_set, &first.done);
        process_until(b.caller, is_set, &next.done);
        assert_int_equal(first.number, 0);
        assert_int_equal(next.number, 1);
        bed_stop(&b);
}

static void the_client_may_be_freed_in_between(void **state)
{
        _cleanup_frame_ busrt_frame *opening = NULL;
        struct desk desk = {0};
        struct pending p[2];
        busrt_cursor *cursor;
        struct bed b;

        start_desk(&b, &desk);
        opening = opening_of(&b);
        start_call(&b, "N", opening, &p[0]);
        start_call(&b, "N", opening, &p[1]);
        cursor = take(&desk, 1);
        assert_int_equal(put_number(cursor, 0), 0);
        bed_stop(&b);
        assert_int_equal(desk.n_freed, 0);
        assert_int_equal(put_number(cursor, 1), -ECONNRESET);
        assert_int_equal(busrt_cursor_continue(cursor, BUSRT_CURSOR_MORE), -ECONNRESET);
        assert_int_equal(desk.n_freed, 1);
}

static void an_answer_that_nobody_takes_any_more_is_dropped(void **state)
{
        _cleanup_frame_ busrt_frame *opening = NULL;
        struct desk desk = {0};
        struct pending p;
        busrt_cursor *cursor;
        struct bed b;

        start_desk(&b, &desk);
        opening = opening_of(&b);
        start_call(&b, "N", opening, &p);
        cursor = busrt_cursor_ref(take(&desk, 1));
        assert_int_equal(busrt_client_disconnect(b.server), 0);
        assert_int_equal(pthread_join(b.loop, NULL), 0);
        assert_int_equal(put_number(cursor, 0), -ECONNRESET);
        assert_int_equal(busrt_cursor_continue(cursor, BUSRT_CURSOR_MORE), 0);
        assert_int_equal(busrt_cursor_continue(cursor, BUSRT_CURSOR_MORE), -EALREADY);
        assert_int_equal(desk.n_freed, 0);
        busrt_client_free(b.server);
        assert_int_equal(desk.n_freed, 1);
        assert_int_equal(busrt_cursor_continue(cursor, BUSRT_CURSOR_MORE), -EALREADY);
        assert_int_equal(busrt_cursor_close(cursor), 0);
        busrt_cursor_unref(cursor);
        busrt_client_free(b.caller);
}

/* --- Freed and closed inside of next --- */

struct self {
        struct counter counter;
        busrt_client *client;
        int what; /* 1: closes the cursor; 2: frees the client */
};

static int do_away(busrt_cursor *cursor, size_t wanted, void *userdata)
{
        struct self *self = userdata;

        assert_int_equal(put_number(cursor, 0), 0);
        if (self->what == 1)
                assert_int_equal(busrt_cursor_close(cursor), 0);
        else
                busrt_client_free(self->client);
        assert_int_equal(put_number(cursor, 1), self->what == 1 ? -ECANCELED : -ECONNRESET);
        assert_int_equal(self->counter.n_freed, 0);
        return BUSRT_CURSOR_MORE;
}

static int open_self(busrt_client *c, busrt_request *request, void *userdata)
{
        return busrt_request_reply_cursor(request, do_away, counter_freed, userdata,
                                          BUSRT_TIMEOUT_DEFAULT);
}

static void next_may_close_its_cursor(void **state)
{
        struct self self = {.what = 1};
        const busrt_method methods[] = {{"open", open_self, &self, 0}};
        _cleanup_fetch_ busrt_fetch *f = NULL;
        busrt_frame *frame = NULL;
        struct bed b;

        bed_start(&b, methods, 1);
        assert_int_equal(busrt_client_add_cursor_methods(b.server, &cursor_methods), 0);
        f = opened(&b);
        assert_int_equal(busrt_fetch_next_bulk(f, 5, DEADLINE, NULL, &frame), -ESTALE);
        await(&self.counter.n_freed, 1);
        bed_stop(&b);
        assert_int_equal(self.counter.n_freed, 1);
}

static void next_may_free_the_client(void **state)
{
        struct self self = {.what = 2};
        const busrt_method methods[] = {{"open", open_self, &self, 0}};
        _cleanup_frame_ busrt_frame *opening = NULL;
        struct pending p;
        struct bed b;

        bed_start(&b, methods, 1);
        self.client = b.server;
        assert_int_equal(busrt_client_add_cursor_methods(b.server, &cursor_methods), 0);
        opening = opening_of(&b);
        start_call(&b, "NB", opening, &p);
        assert_int_equal(pthread_join(b.loop, NULL), 0);
        assert_int_equal(b.result, -ESHUTDOWN);
        assert_int_equal(self.counter.n_freed, 1);
        busrt_client_free(b.caller);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(calls_wait_in_their_order),
                cmocka_unit_test(a_bulk_may_come_in_parts),
                cmocka_unit_test(the_answer_may_come_before_next_returns),
                cmocka_unit_test(too_many_calls_of_one_cursor_are_busy),
                cmocka_unit_test(who_cancels_ends_the_call_at_once),
                cmocka_unit_test(a_call_whose_time_is_up_costs_the_cursor),
                cmocka_unit_test(a_call_that_ended_while_it_waited_costs_nothing),
                cmocka_unit_test(the_client_may_be_freed_in_between),
                cmocka_unit_test(an_answer_that_nobody_takes_any_more_is_dropped),
                cmocka_unit_test(next_may_close_its_cursor),
                cmocka_unit_test(next_may_free_the_client),
        };

        return cmocka_run_group_tests(tests, start, stop);
}
