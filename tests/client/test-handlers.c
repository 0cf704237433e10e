/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promise: handlers may come, go and change at any time, also from within; what came meanwhile is
 * neither lost nor handled twice; and what nobody handled goes with the client.
 */
#include "client-bed.h"

#define ACKED BUSRT_QOS_PROCESSED
#define N 600 /* frames: more than one turn handles */

static void deliver_numbered(struct fake *f, void *userdata)
{
        fake_handshake(f);
        fake_pause(f);
        for (uint32_t i = 0; i < N; i++) {
                uint8_t body[8] = "you";

                memcpy(body + 4, &i, sizeof(i));
                fake_deliver(f, 0x12, body, sizeof(body));
        }
        fake_acknowledge_all(f);
}

struct taken {
        int done;
        uint32_t next, by_second;
};

static void take_frame(struct taken *t, busrt_frame *frame)
{
        uint32_t n;

        memcpy(&n, busrt_frame_get_payload(frame, NULL), sizeof(n));
        assert_int_equal(n, t->next);
        t->done = ++t->next == N;
}

static void first_handler(busrt_client *c, busrt_frame *frame, void *userdata);

static void second_handler(busrt_client *c, busrt_frame *frame, void *userdata)
{
        struct taken *t = userdata;

        take_frame(t, frame);
        t->by_second++;
        assert_int_equal(busrt_client_set_frame_handler(c, first_handler, t), 0);
}

static void first_handler(busrt_client *c, busrt_frame *frame, void *userdata)
{
        take_frame(userdata, frame);
        assert_int_equal(busrt_client_set_frame_handler(c, second_handler, userdata), 0);
}

static void a_handler_may_name_the_next(void **state)
{
        _cleanup_client_ busrt_client *c = NULL;
        struct fake *fake = fake_start(FAKE_UNIX, deliver_numbered, NULL);
        struct taken t = {0};

        c = connected_client(fake);
        assert_int_equal(busrt_client_set_frame_handler(c, first_handler, &t), 0);
        fake_go(fake);
        process_until(c, is_set, &t.done);
        assert_int_equal(t.by_second, N / 2);
        fake_stop(fake);
}

static void take_one(busrt_client *c, busrt_frame *frame, void *userdata)
{
        struct taken *t = userdata;

        take_frame(t, frame);
        t->done = 1;
        assert_int_equal(busrt_client_set_frame_handler(c, NULL, NULL), 0);
}

/* One by the handler, one by reading, in turn. */
static void handlers_and_reading_may_alternate(void **state)
{
        _cleanup_client_ busrt_client *c = NULL;
        struct fake *fake = fake_start(FAKE_UNIX, deliver_numbered, NULL);
        struct taken t = {0};

        c = connected_client(fake);
        fake_go(fake);
        while (t.next < N) {
                _cleanup_frame_ busrt_frame *frame = NULL;

                t.done = 0;
                assert_int_equal(busrt_client_set_frame_handler(c, take_one, &t), 0);
                process_until(c, is_set, &t.done);
                assert_int_equal(busrt_client_read(c, DEADLINE, &frame), 0);
                take_frame(&t, frame);
        }
        fake_stop(fake);
}

/* --- Set late --- */

static void deliver_kinds(struct fake *f, void *userdata)
{
        struct fake_frame frame;

        fake_handshake(f);
        frame = fake_frame(f);
        fake_request(f, "you", 5, "m");
        fake_deliver(f, 0x12, LITERAL("you\0\0note"));
        fake_deliver(f, 0x12, LITERAL("you\0plain"));
        fake_ack(f, frame.op, 1);
        fake_acknowledge_all(f);
}

static void count_request(busrt_client *c, busrt_request *request, void *userdata)
{
        ++*(int *)userdata;
        assert_int_equal(busrt_request_reply(request, NULL, 0), 0);
}

static void count_note(busrt_client *c, const char *sender, const void *payload, size_t len,
                       void *userdata)
{
        ++*(int *)userdata;
        assert_int_equal(len, 4);
        assert_memory_equal(payload, "note", 4);
}

/* What came before its handler finds it. */
static void late_handlers_get_what_waits(void **state)
{
        _cleanup_client_ busrt_client *c = NULL;
        _cleanup_frame_ busrt_frame *frame = NULL;
        struct fake *fake = fake_start(FAKE_UNIX, deliver_kinds, NULL);
        int n_requests = 0, n_notes = 0;
        size_t len;

        c = connected_client(fake);
        assert_int_equal(busrt_client_send(c, "you", NULL, 0, ACKED, NULL), 0);
        assert_int_equal(busrt_client_set_request_handler(c, count_request, &n_requests), 0);
        process_until(c, is_set, &n_requests);
        assert_int_equal(busrt_client_set_notification_handler(c, count_note, &n_notes), 0);
        process_until(c, is_set, &n_notes);
        assert_int_equal(busrt_client_read(c, DEADLINE, &frame), 0);
        assert_memory_equal(busrt_frame_get_payload(frame, &len), "plain", 5);
        assert_int_equal(n_requests, 1);
        assert_int_equal(n_notes, 1);
        fake_stop(fake);
}

/* --- Never run --- */

static void fail_frame(busrt_client *c, busrt_frame *frame, void *userdata)
{
        fail_msg("a handler ran");
}

static void fail_request(busrt_client *c, busrt_request *request, void *userdata)
{
        fail_msg("a handler ran");
}

static void fail_op(busrt_op *op, int result, void *userdata)
{
        fail_msg("a handler ran");
}

static void fail_reply(busrt_client *c, int result, const busrt_rpc_error *error,
                       busrt_frame *reply, void *userdata)
{
        fail_msg("a handler ran");
}

/* One thing of each kind waits for its handler, and nobody processes. */
static void what_waits_goes_with_the_client(void **state)
{
        busrt_client *c;
        busrt_op *op = NULL;
        struct fake *fake = fake_start(FAKE_UNIX, deliver_kinds, NULL);

        c = connected_client(fake);
        assert_int_equal(busrt_client_set_frame_handler(c, fail_frame, NULL), 0);
        assert_int_equal(busrt_client_set_request_handler(c, fail_request, NULL), 0);
        assert_int_equal(busrt_client_call_async(c, "you", "m", NULL, 0, 0, DEADLINE, fail_reply,
                                                 NULL, NULL),
                         0);
        assert_int_equal(busrt_client_publish(c, "t", NULL, 0, ACKED, &op), 0);
        assert_int_equal(busrt_op_set_handler(op, fail_op, NULL), 0);
        assert_int_equal(busrt_op_wait(op, DEADLINE), 0);
        busrt_op_unref(op);
        assert_null(busrt_client_free(c));
        fake_stop(fake);
}

/* --- Operations' handlers --- */

static void count_op(busrt_op *op, int result, void *userdata)
{
        ++*(int *)userdata;
        assert_int_equal(busrt_op_result(op), result);
        assert_int_equal(busrt_op_wait(op, 0), -EDEADLK); /* though it is there */
}

static void acknowledge(struct fake *f, void *userdata)
{
        fake_handshake(f);
        fake_acknowledge_all(f);
}

static void an_operation_has_one_handler(void **state)
{
        _cleanup_client_ busrt_client *c = NULL;
        _cleanup_op_ busrt_op *op = NULL;
        struct fake *fake = fake_start(FAKE_UNIX, acknowledge, NULL);
        int n = 0;

        c = connected_client(fake);
        assert_int_equal(busrt_client_publish(c, "t", NULL, 0, ACKED, &op), 0);
        assert_int_equal(busrt_op_set_handler(op, fail_op, NULL), 0);
        assert_int_equal(busrt_op_set_handler(op, NULL, NULL), 0);
        assert_int_equal(busrt_op_wait(op, DEADLINE), 0);
        while (busrt_client_process(c) == 1)
                continue;
        assert_int_equal(busrt_op_set_handler(op, count_op, &n), 0);
        process_until(c, is_set, &n);
        assert_int_equal(busrt_op_set_handler(op, count_op, &n), -EALREADY);
        assert_int_equal(n, 1);
        fake_stop(fake);
}

/* --- Deadlines of calls --- */

struct late {
        int done, n;
};

static void count_late(busrt_client *c, int result, const busrt_rpc_error *error,
                       busrt_frame *reply, void *userdata)
{
        struct late *late = userdata;

        assert_int_equal(result, -ETIMEDOUT);
        late->done = ++late->n == 50;
}

/* Some of them cancelled, and none answered. */
static void many_deadlines(void **state)
{
        _cleanup_client_ busrt_client *c = NULL;
        struct fake *fake = fake_start(FAKE_UNIX, acknowledge, NULL);
        busrt_call *calls[100];
        struct late late = {0};

        c = connected_client(fake);
        for (unsigned i = 0; i < ARRAY_SIZE(calls); i++) /* in no order */
                assert_int_equal(busrt_client_call_async(c, "you", "m", NULL, 0, 0,
                                                         (i % 2 ? SECOND : 0) + i * 37 % 50 * MSEC,
                                                         count_late, &late, &calls[i]),
                                 0);
        for (unsigned i = 1; i < ARRAY_SIZE(calls); i += 2)
                assert_int_equal(busrt_call_cancel(calls[i]), 0);
        process_until(c, is_set, &late.done);
        for (unsigned i = 0; i < ARRAY_SIZE(calls); i++)
                busrt_call_unref(calls[i]);
        assert_int_equal(late.n, 50);
        fake_stop(fake);
}

/* --- Requests that no handler should see --- */

static void odd_method(struct fake *f, void *userdata)
{
        fake_handshake(f);
        fake_pause(f);
        fake_request(f, "you", 5, "\xff");
        fake_request(f, "you", 6, "m");
        fake_expect_frame(f, 0x52, LITERAL("you\0\x12\x05\0\0\0\x8e\x82")); /* -32114 */
        fake_expect_frame(f, 0x52, LITERAL("you\0\x11\x06\0\0\0"));
        fake_signal(f);
        fake_acknowledge_all(f);
}

static void a_method_that_is_not_text_is_refused(void **state)
{
        _cleanup_client_ busrt_client *c = NULL;
        struct fake *fake = fake_start(FAKE_UNIX, odd_method, NULL);
        int n = 0;

        c = connected_client(fake);
        assert_int_equal(busrt_client_set_request_handler(c, count_request, &n), 0);
        fake_go(fake);
        process_until(c, is_set, &n);
        assert_int_equal(busrt_client_flush(c, DEADLINE), 0);
        fake_wait(fake);
        assert_int_equal(n, 1);
        fake_stop(fake);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_handler_may_name_the_next),
                cmocka_unit_test(handlers_and_reading_may_alternate),
                cmocka_unit_test(late_handlers_get_what_waits),
                cmocka_unit_test(what_waits_goes_with_the_client),
                cmocka_unit_test(an_operation_has_one_handler),
                cmocka_unit_test(many_deadlines),
                cmocka_unit_test(a_method_that_is_not_text_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
