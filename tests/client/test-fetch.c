/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promise: who takes a cursor's items gets every one of them or is told why not: nothing that a
 * server, a broker or the network does makes it skip items in silence; and no reply is believed
 * that is not what it should be.
 */
#include "cursor-bed.h"

/* --- Replies that are none --- */

struct bytes {
        const char *data;
        size_t len;
};
#define BYTES(text)                                                                                \
        {                                                                                          \
                (text), sizeof(text) - 1                                                           \
        }

static void serve_bytes(struct fake *f, void *userdata)
{
        const struct bytes *b = userdata;

        fake_handshake(f);
        fake_serve_call(f, b->data, b->len);
        fake_pause(f);
}

static void what_opens_nothing_is_refused(void **state)
{
        static struct bytes rows[] = {
                BYTES(""),
                BYTES("\xc0"),
                BYTES("\x80"),
                BYTES("\x81\xa1u\xc4\x0f"
                      "0123456789abcde"),
                BYTES("\x81\xa1u\xc4\x10"
                      "0123456789abcde"),
                BYTES("\x81\xa1v\xc4\x10"
                      "0123456789abcdef"),
                BYTES("\xc4\x10"
                      "0123456789abcdef"),
                BYTES("\xdf\xff\xff\xff\xff\xa1u"),
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_fake_ struct fake *fake = fake_start(FAKE_UNIX, serve_bytes, &rows[i]);
                _cleanup_client_ busrt_client *c = connected_client(fake);
                busrt_fetch *f = NULL;

                assert_int_equal(busrt_fetch_open(c, "you", "m", NULL, 0, &cursor_methods, DEADLINE,
                                                  NULL, &f),
                                 -EBADMSG);
                assert_null(f);
                assert_int_equal(
                        busrt_fetch_new(c, "you", rows[i].data, rows[i].len, &cursor_methods, &f),
                        -EBADMSG);
                assert_null(f);
        }
}

static void a_bulk_that_is_none_is_refused_for_good(void **state)
{
        static struct bytes rows[] = {
                BYTES(""),
                BYTES("\xc0"),
                BYTES("\x81\x01\x02"),
                BYTES("\x94\x01\x02\x03\x04"), /* more than was asked for */
                BYTES("\x93\x01\x02"),
                BYTES("\x92\x01\x02\x03"),
                BYTES("\x91\xc1"),
                BYTES("\x92\x91\x91\x91"),
                BYTES("\xdd\xff\xff\xff\xff\x01\x02\x03"),
                BYTES("\x91\xdb\xff\xff\xff\xffx"),
        };

        for (size_t i = 0; i < 2 * ARRAY_SIZE(rows); i++) {
                _cleanup_fake_ struct fake *fake = fake_start(FAKE_UNIX, serve_bytes, &rows[i / 2]);
                _cleanup_client_ busrt_client *c = connected_client(fake);
                _cleanup_fetch_ busrt_fetch *f = NULL;
                busrt_frame *frame = NULL;
                const void *data = NULL;
                size_t len;

                fetch_opened(c, &f);
                assert_int_equal(busrt_fetch_set_bulk(f, 3), 0);
                if (i & 1)
                        assert_int_equal(busrt_fetch_item(f, DEADLINE, NULL, &data, &len),
                                         -EBADMSG);
                else
                        assert_int_equal(busrt_fetch_next_bulk(f, 3, DEADLINE, NULL, &frame),
                                         -EBADMSG);
                assert_int_equal(busrt_fetch_item(f, DEADLINE, NULL, &data, &len), -EBADMSG);
                assert_int_equal(busrt_fetch_next(f, DEADLINE, NULL, &frame), -EBADMSG);
                assert_null(frame);
                assert_null(data);
        }
}

static void items_of_every_kind_lie_where_they_were(void **state)
{
        static struct bytes row =
                BYTES("\x95\xc0\xa2hi\x92\x01\x91\x02\x81\xa1k\x90\xcb\x3f\xf8\0\0\0\0\0\0");
        static const struct bytes want[] = {BYTES("\xc0"), BYTES("\xa2hi"),
                                            BYTES("\x92\x01\x91\x02"), BYTES("\x81\xa1k\x90"),
                                            BYTES("\xcb\x3f\xf8\0\0\0\0\0\0")};
        _cleanup_fake_ struct fake *fake = fake_start(FAKE_UNIX, serve_bytes, &row);
        _cleanup_client_ busrt_client *c = connected_client(fake);
        _cleanup_fetch_ busrt_fetch *f = NULL;
        const void *data;
        size_t len;

        fetch_opened(c, &f);
        for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
                assert_int_equal(busrt_fetch_item(f, i ? 0 : DEADLINE, NULL, &data, &len), 1);
                assert_int_equal(len, want[i].len);
                assert_memory_equal(data, want[i].data, len);
        }
        assert_int_equal(busrt_fetch_item(f, 0, NULL, &data, &len), 0); /* 5 of 100: the end */
}

/* --- What is sent --- */

#define PARAMS                                                                                     \
        "\xa1u\xc4\x10"                                                                            \
        "0123456789abcdef"

static void expect_calls(struct fake *f, void *userdata)
{
        static const struct bytes calls[] = {
                BYTES("N\0\x81" PARAMS),
                BYTES("NB\0\x82" PARAMS "\xa1n\x64"),
                BYTES("NB\0\x82" PARAMS "\xa1n\xcd\x01\x2c"),
        };

        fake_handshake(f);
        for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
                struct fake_frame call = fake_frame(f);
                uint32_t id = fake_call_id(f, &call);

                if (call.flags != 0x52 || call.length != 9 + calls[i].len ||
                    memcmp(call.body + 9, calls[i].data, calls[i].len) != 0)
                        fake_wrong(f, "not the call that was expected");
                fake_ack(f, call.op, 1);
                fake_reply(f, "you", 0x11, id, "\x90", i > 0);
        }
        fake_expect_frame(f, 0x12, LITERAL("you\0\1\0\0\0\0NC\0\x81" PARAMS));
        fake_expect_frame(f, 0x12, LITERAL("you\0last"));
        fake_signal(f);
        fake_pause(f);
}

static void calls_are_what_the_reference_expects(void **state)
{
        _cleanup_fake_ struct fake *fake = fake_start(FAKE_UNIX, expect_calls, NULL);
        _cleanup_client_ busrt_client *c = connected_client(fake);
        _cleanup_fetch_ busrt_fetch *f = NULL, *g = NULL, *h = NULL, *k = NULL;
        busrt_frame *frame = NULL;
        const void *data;
        size_t len;

        fetch_opened(c, &f);
        assert_int_equal(busrt_fetch_next(f, DEADLINE, NULL, &frame), 0);
        fetch_opened(c, &g);
        assert_int_equal(busrt_fetch_item(g, DEADLINE, NULL, &data, &len), 0);
        fetch_opened(c, &h);
        assert_int_equal(busrt_fetch_next_bulk(h, 300, DEADLINE, NULL, &frame), 0);
        /* Of the three that have ended nothing is said to the server. */
        assert_int_equal(busrt_fetch_cancel(f), 0);
        assert_int_equal(busrt_fetch_cancel(g), 0);
        fetch_opened(c, &k);
        assert_int_equal(busrt_fetch_cancel(k), 0);
        assert_int_equal(busrt_fetch_cancel(k), 0);
        assert_int_equal(busrt_fetch_next(f, DEADLINE, NULL, &frame), -ECANCELED);
        assert_int_equal(busrt_client_send(c, "you", IOV("last"), BUSRT_QOS_NO, NULL), 0);
        fake_wait(fake);
}

/* --- Errors --- */

/* What the first call gets: an acknowledgement, and an error reply or none; the second call gets an
 * item. */
struct refusal {
        uint8_t ack;
        int16_t code;
        int result;
        bool for_good;
};

static void refuse(struct fake *f, void *userdata)
{
        const struct refusal *refusal = userdata;
        struct fake_frame call;
        uint32_t id;

        fake_handshake(f);
        call = fake_frame(f);
        id = fake_call_id(f, &call);
        fake_ack(f, call.op, refusal->ack);
        if (refusal->code)
                fake_reply(f, "you", 0x12, id, &refusal->code, 2);
        if (!refusal->for_good)
                fake_serve_call(f, LITERAL("item"));
        fake_pause(f);
}

static void an_error_is_for_good_unless_nothing_was_done(void **state)
{
        static struct refusal rows[] = {
                {1, BUSRT_RPC_NOT_FOUND, -ESTALE, true},
                {1, BUSRT_RPC_INTERNAL, -EREMOTEIO, true},
                {1, BUSRT_RPC_METHOD_NOT_FOUND, -EREMOTEIO, true},
                {1, -777, -EREMOTEIO, true},
                {1, BUSRT_RPC_BUSY, -EREMOTEIO, false},
                {0x71, 0, -EHOSTUNREACH, false},
                {0x77, 0, -ENOBUFS, false},
                {0x79, 0, -EACCES, false},
                {0x73, 0, -EIO, true},
                {0x74, 0, -EREMOTE, true},
                {0x78, 0, -ETIME, true},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_fake_ struct fake *fake = fake_start(FAKE_UNIX, refuse, &rows[i]);
                _cleanup_client_ busrt_client *c = connected_client(fake);
                _cleanup_fetch_ busrt_fetch *f = NULL;
                _cleanup_frame_ busrt_frame *frame = NULL;
                busrt_rpc_error error = BUSRT_RPC_ERROR_INIT;

                fetch_opened(c, &f);
                assert_int_equal(busrt_fetch_next(f, DEADLINE, &error, &frame), rows[i].result);
                assert_int_equal(error.code, rows[i].code);
                assert_null(frame);
                assert_int_equal(busrt_fetch_next(f, DEADLINE, NULL, &frame),
                                 rows[i].for_good ? rows[i].result : 1);
                busrt_rpc_error_done(&error);
        }
}

static void ignore_calls(struct fake *f, void *userdata)
{
        struct fake_frame call;
        uint32_t id;

        fake_handshake(f);
        call = fake_frame(f);
        id = fake_call_id(f, &call);
        fake_ack(f, call.op, 1);
        fake_pause(f);
        fake_reply(f, "you", 0x11, id, LITERAL("late"));
        fake_serve_call(f, LITERAL("\x90"));
        fake_pause(f);
}

static void a_reply_that_comes_too_late_is_a_gap(void **state)
{
        _cleanup_fake_ struct fake *fake = fake_start(FAKE_UNIX, ignore_calls, NULL);
        _cleanup_client_ busrt_client *c = connected_client(fake);
        _cleanup_fetch_ busrt_fetch *f = NULL, *g = NULL;
        busrt_frame *frame = NULL;

        fetch_opened(c, &f);
        assert_int_equal(busrt_fetch_next(f, 0, NULL, &frame), -EAGAIN); /* not asked */
        assert_int_equal(busrt_fetch_next(f, MSEC, NULL, &frame), -ETIMEDOUT);
        fake_go(fake);
        assert_int_equal(busrt_fetch_next(f, DEADLINE, NULL, &frame), -ETIMEDOUT);
        fetch_opened(c, &g);
        assert_int_equal(busrt_fetch_next_bulk(g, 5, DEADLINE, NULL, &frame), 0);
        assert_null(frame);
}

static void hang_up(struct fake *f, void *userdata)
{
        fake_handshake(f);
        fake_ack(f, fake_frame(f).op, 1);
        fake_hang_up(f);
        fake_next(f);
        fake_handshake(f);
        fake_serve_call(f, LITERAL("item"));
        fake_pause(f);
}

static void a_connection_that_goes_in_a_call_is_a_gap(void **state)
{
        _cleanup_fake_ struct fake *fake = fake_start(FAKE_UNIX, hang_up, NULL);
        _cleanup_client_ busrt_client *c = quiet_client("me");
        _cleanup_fetch_ busrt_fetch *f = NULL, *g = NULL;
        _cleanup_frame_ busrt_frame *frame = NULL;
        busrt_client *closed;

        assert_int_equal(busrt_client_set_reconnect(c, BUSRT_TIMEOUT_INFINITE), 0);
        assert_int_equal(busrt_client_connect(c, fake_address(fake)), 0);
        fetch_opened(c, &f);
        fetch_opened(c, &g);
        assert_int_equal(busrt_fetch_next(f, DEADLINE, NULL, &frame), -ECONNRESET);
        assert_int_equal(busrt_client_wait_connected(c, DEADLINE), 0);
        assert_int_equal(busrt_fetch_next(f, DEADLINE, NULL, &frame), -ECONNRESET);
        /* Of another nothing was under way. */
        assert_int_equal(busrt_fetch_next(g, DEADLINE, NULL, &frame), 1);
        f = busrt_fetch_free(f);
        closed = quiet_client("closed");
        fetch_opened(closed, &f);
        frame = busrt_frame_unref(frame);
        assert_int_equal(busrt_fetch_next(f, DEADLINE, NULL, &frame), -ENOTCONN);
        busrt_client_free(closed);
        assert_int_equal(busrt_fetch_next(f, DEADLINE, NULL, &frame), -ENOTCONN);
        assert_int_equal(busrt_fetch_cancel(f), -ENOTCONN);
        assert_int_equal(busrt_fetch_next(f, DEADLINE, NULL, &frame), -ECANCELED);
}

/* --- Without waiting --- */

struct taker {
        int done, result, code;
        unsigned n_handled, n_items;
        bool go_on, free_it;
};

/* Takes what is here, and asks for more. */
static void take_more(busrt_fetch *f, int result, const busrt_rpc_error *error, void *userdata)
{
        struct taker *t = userdata;
        const void *data;
        size_t len;
        int r;

        t->n_handled++;
        t->result = result;
        t->code = error ? error->code : 0;
        if (t->free_it) {
                busrt_fetch_free(f);
                t->done = 1;
                return;
        }
        while ((r = busrt_fetch_item(f, 0, NULL, &data, &len)) == 1)
                t->n_items++;
        assert_int_equal(busrt_fetch_item(f, DEADLINE, NULL, &data, &len),
                         r == -EAGAIN ? -EDEADLK : r);
        if (r == -EAGAIN && t->go_on)
                assert_int_equal(busrt_fetch_more(f, DEADLINE, take_more, t), 0);
        else
                t->done = 1;
}

/* 3, 3 and 1 of 3. */
static void serve_seven(struct fake *f, void *userdata)
{
        fake_handshake(f);
        fake_serve_call(f, LITERAL("\x93\x01\x02\x03"));
        fake_serve_call(f, LITERAL("\x93\x04\x05\x06"));
        fake_serve_call(f, LITERAL("\x91\x07"));
        fake_pause(f);
}

static void bulks_are_fetched_in_the_background(void **state)
{
        _cleanup_fake_ struct fake *fake = fake_start(FAKE_UNIX, serve_seven, NULL);
        _cleanup_client_ busrt_client *c = connected_client(fake);
        _cleanup_fetch_ busrt_fetch *f = NULL;
        struct taker t = {.go_on = true};
        const void *data;
        busrt_frame *frame;
        size_t len;

        fetch_opened(c, &f);
        assert_int_equal(busrt_fetch_set_bulk(f, 3), 0);
        assert_int_equal(busrt_fetch_item(f, 0, NULL, &data, &len), -EAGAIN);
        assert_int_equal(busrt_fetch_more(f, DEADLINE, take_more, &t), 0);
        assert_int_equal(busrt_fetch_more(f, DEADLINE, take_more, &t), -EBUSY);
        assert_int_equal(busrt_fetch_next(f, DEADLINE, NULL, &frame), -EBUSY);
        assert_int_equal(busrt_fetch_item(f, DEADLINE, NULL, &data, &len), -EBUSY);
        process_until(c, is_set, &t.done);
        assert_int_equal(t.n_handled, 3);
        assert_int_equal(t.n_items, 7);
        assert_int_equal(t.result, 1);
        assert_int_equal(busrt_fetch_more(f, DEADLINE, take_more, &t), -ENODATA);
        assert_int_equal(busrt_fetch_item(f, DEADLINE, NULL, &data, &len), 0);
}

static void items_that_are_left_come_first(void **state)
{
        _cleanup_fake_ struct fake *fake = fake_start(FAKE_UNIX, serve_seven, NULL);
        _cleanup_client_ busrt_client *c = connected_client(fake);
        _cleanup_fetch_ busrt_fetch *f = NULL;
        struct taker t = {0};
        const void *data;
        size_t len;

        fetch_opened(c, &f);
        assert_int_equal(busrt_fetch_set_bulk(f, 3), 0);
        assert_int_equal(busrt_fetch_item(f, DEADLINE, NULL, &data, &len), 1);
        assert_int_equal(busrt_fetch_more(f, DEADLINE, take_more, &t), -EBUSY);
        assert_int_equal(busrt_fetch_item(f, 0, NULL, &data, &len), 1);
        assert_int_equal(busrt_fetch_item(f, 0, NULL, &data, &len), 1);
        assert_int_equal(busrt_fetch_more(f, DEADLINE, take_more, &t), 0);
        process_until(c, is_set, &t.done);
        assert_int_equal(t.n_items, 3);
        assert_int_equal(busrt_fetch_item(f, DEADLINE, NULL, &data, &len), 1);
        assert_memory_equal(data, "\x07", 1);
        assert_int_equal(len, 1);
}

static void serve_errors(struct fake *f, void *userdata)
{
        static const int16_t codes[] = {BUSRT_RPC_BUSY, BUSRT_RPC_NOT_FOUND};

        fake_handshake(f);
        for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
                struct fake_frame call = fake_frame(f);
                uint32_t id = fake_call_id(f, &call);

                fake_ack(f, call.op, 1);
                fake_reply(f, "you", 0x12, id, &codes[i], 2);
        }
        fake_pause(f);
}

static void a_handler_hears_of_errors(void **state)
{
        _cleanup_fake_ struct fake *fake = fake_start(FAKE_UNIX, serve_errors, NULL);
        _cleanup_client_ busrt_client *c = connected_client(fake);
        _cleanup_fetch_ busrt_fetch *f = NULL;
        struct taker t = {0};

        fetch_opened(c, &f);
        assert_int_equal(busrt_fetch_more(f, DEADLINE, take_more, &t), 0);
        process_until(c, is_set, &t.done);
        assert_int_equal(t.result, -EREMOTEIO);
        assert_int_equal(t.code, BUSRT_RPC_BUSY);
        t.done = 0;
        assert_int_equal(busrt_fetch_more(f, DEADLINE, take_more, &t), 0);
        process_until(c, is_set, &t.done);
        assert_int_equal(t.result, -ESTALE);
        assert_int_equal(t.code, BUSRT_RPC_NOT_FOUND);
        assert_int_equal(busrt_fetch_more(f, DEADLINE, take_more, &t), -ESTALE);
        assert_int_equal(t.n_handled, 2);
}

static void acknowledge_and_wait(struct fake *f, void *userdata)
{
        struct fake_frame call;
        uint32_t id;

        fake_handshake(f);
        call = fake_frame(f);
        id = fake_call_id(f, &call);
        fake_ack(f, call.op, 1);
        fake_signal(f);
        fake_pause(f);
        fake_reply(f, "you", 0x11, id, LITERAL("\x91\x01"));
        fake_acknowledge_all(f);
}

static void who_cancels_hears_that_of_the_call(void **state)
{
        _cleanup_fake_ struct fake *fake = fake_start(FAKE_UNIX, acknowledge_and_wait, NULL);
        _cleanup_client_ busrt_client *c = connected_client(fake);
        _cleanup_fetch_ busrt_fetch *f = NULL;
        struct taker t = {0};

        fetch_opened(c, &f);
        assert_int_equal(busrt_fetch_more(f, DEADLINE, take_more, &t), 0);
        fake_wait(fake);
        assert_int_equal(busrt_fetch_cancel(f), 0);
        fake_go(fake);
        process_until(c, is_set, &t.done);
        assert_int_equal(t.result, -ECANCELED);
        assert_int_equal(t.n_handled, 1);
        assert_int_equal(t.n_items, 0);
}

static void freeing_ends_it_in_silence(void **state)
{
        struct taker t = {0};

        /* While the call is under way; when its reply has come; by its handler; after the client.
         */
        for (int when = 0; when < 4; when++) {
                _cleanup_fake_ struct fake *fake =
                        fake_start(FAKE_UNIX, acknowledge_and_wait, NULL);
                _cleanup_client_ busrt_client *c = connected_client(fake);
                busrt_fetch *f;

                t = (struct taker){.free_it = true};
                fetch_opened(c, &f);
                assert_int_equal(busrt_fetch_more(f, DEADLINE, take_more, &t), 0);
                fake_wait(fake);
                if (when == 0)
                        busrt_fetch_free(f);
                if (when == 3) {
                        c = busrt_client_free(c);
                        busrt_fetch_free(f);
                }
                fake_go(fake);
                if (when == 1) {
                        /* A call that waits reads the reply, and leaves it to the handlers. */
                        assert_int_equal(
                                busrt_client_send(c, "you", NULL, 0, BUSRT_QOS_PROCESSED, NULL), 0);
                        busrt_fetch_free(f);
                }
                if (when == 2)
                        process_until(c, is_set, &t.done);
                else if (c)
                        while (busrt_client_process(c) > 0)
                                continue;
                assert_int_equal(t.n_handled, when == 2);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_opens_nothing_is_refused),
                cmocka_unit_test(a_bulk_that_is_none_is_refused_for_good),
                cmocka_unit_test(items_of_every_kind_lie_where_they_were),
                cmocka_unit_test(calls_are_what_the_reference_expects),
                cmocka_unit_test(an_error_is_for_good_unless_nothing_was_done),
                cmocka_unit_test(a_reply_that_comes_too_late_is_a_gap),
                cmocka_unit_test(a_connection_that_goes_in_a_call_is_a_gap),
                cmocka_unit_test(bulks_are_fetched_in_the_background),
                cmocka_unit_test(items_that_are_left_come_first),
                cmocka_unit_test(a_handler_hears_of_errors),
                cmocka_unit_test(who_cancels_hears_that_of_the_call),
                cmocka_unit_test(freeing_ends_it_in_silence),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
