/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promise: a broker that breaks the protocol costs the connection and nothing else, with an error
 * that names its fault; and what it says of things that were never asked for is passed over.
 */
#include "client-bed.h"

/* --- Handshakes --- */

struct greeting {
        const void *bytes;
        size_t len;
        int error;
};

#define SAYS(text, e)                                                                              \
        {                                                                                          \
                text, sizeof(text) - 1, e                                                          \
        }

static const struct greeting greetings[] = {
        SAYS("\xec\1\0", -EPROTO), /* another magic */
        SAYS("\xeb\2\0", -EPROTO), /* another version */
        SAYS("\xeb\1\1", -EPROTO),         SAYS("HTTP/1.1 400 Bad Request", -EPROTO),
        SAYS("\xeb\1\0\x75", -EOPNOTSUPP), /* our version is not wanted */
        SAYS("\xeb\1\0\0", -EPROTO),       /* no code at all */
        SAYS("\xeb\1\0\xff", -EPROTO),     SAYS("\xeb\1\0\1\x71", -EHOSTUNREACH),
        SAYS("\xeb\1\0\1\x72", -EBADMSG),  SAYS("\xeb\1\0\1\x73", -EIO),
        SAYS("\xeb\1\0\1\x74", -EREMOTE),  SAYS("\xeb\1\0\1\x75", -EOPNOTSUPP),
        SAYS("\xeb\1\0\1\x76", -EBUSY),    SAYS("\xeb\1\0\1\x77", -ENOBUFS),
        SAYS("\xeb\1\0\1\x78", -ETIME),    SAYS("\xeb\1\0\1\x79", -EACCES),
        SAYS("\xeb\1\0\1\0", -EPROTO),     SAYS("\xeb\1\0\1\2", -EPROTO),
        SAYS("\xeb\1\0\1\xfe", -EPROTO),
};

static void greet(struct fake *f, void *userdata)
{
        const struct greeting *g = userdata;

        fake_send(f, g->bytes, g->len);
        fake_pause(f); /* the client is to leave by itself */
}

static void wrong_handshakes(void **state)
{
        size_t n_fds = count_fds();

        for (size_t i = 0; i < ARRAY_SIZE(greetings); i++) {
                _cleanup_client_ busrt_client *c = quiet_client("me");
                struct fake *fake = fake_start(FAKE_UNIX, greet, (void *)&greetings[i]);
                int r = busrt_client_connect(c, fake_address(fake));

                if (r != greetings[i].error)
                        print_error("greeting %zu: %d\n", i, r);
                assert_int_equal(r, greetings[i].error);
                assert_int_equal(busrt_client_get_state(c), BUSRT_STATE_CLOSED);
                assert_int_equal(busrt_client_error(c), r);
                fake_stop(fake);
        }
        assert_int_equal(count_fds(), n_fds);
}

/* --- Frames that end the connection --- */

static const struct greeting broken_frames[] = {
        SAYS("\x02\0\0\0\0\0", -EPROTO), /* kinds that there are not */
        SAYS("\x55\1\0\0\0\0x", -EPROTO),
        SAYS("\xff\0\0\0\0\0", -EPROTO),
        SAYS("\x12\0\0\0\0\0", -EPROTO),      /* no sender */
        SAYS("\x12\5\0\0\0\0hello", -EPROTO), /* no 00 */
        SAYS("\x13\5\0\0\0\0hello", -EPROTO),
        SAYS("\x01\5\0\0\0\0hello", -EPROTO),
        SAYS("\x01\6\0\0\0\0you\0to", -EPROTO), /* a topic without its 00 */
        SAYS("\x12\1\0\0\4\0you\0", -EMSGSIZE), /* 64 MiB and one byte */
        SAYS("\x12\xff\xff\xff\xff\0you\0", -EMSGSIZE),
        SAYS("\x13\xff\xff\xff\x7f\0you\0", -EMSGSIZE),
        SAYS("\x01\0\0\0\x80\0you\0", -EMSGSIZE),
};

static void break_frame(struct fake *f, void *userdata)
{
        const struct greeting *g = userdata;

        fake_handshake(f);
        fake_pause(f);
        fake_deliver(f, 0x12, LITERAL("you\0good"));
        fake_send(f, g->bytes, g->len);
        fake_pause(f);
}

static void broken_frames_end_the_connection(void **state)
{
        for (size_t i = 0; i < ARRAY_SIZE(broken_frames); i++) {
                _cleanup_client_ busrt_client *c = NULL;
                struct fake *fake = fake_start(FAKE_UNIX, break_frame, (void *)&broken_frames[i]);
                busrt_frame *frame = NULL;
                int r;

                c = connected_client(fake);
                fake_go(fake);
                r = busrt_client_send(c, "you", NULL, 0, BUSRT_QOS_PROCESSED, NULL);
                assert_true(r == -ECONNRESET || r == -ENOTCONN);
                if (busrt_client_error(c) != broken_frames[i].error)
                        print_error("frame %zu\n", i);
                assert_int_equal(busrt_client_error(c), broken_frames[i].error);
                /* what was good before it is still to be had */
                assert_int_equal(busrt_client_read(c, 0, &frame), 0);
                assert_null(busrt_frame_unref(frame));
                assert_int_equal(busrt_client_read(c, 0, &frame), -ECONNRESET);
                fake_stop(fake);
        }
}

/* --- Lengths without bytes --- */

static void claim_much(struct fake *f, void *userdata)
{
        fake_handshake(f);
        fake_header(f, 0x12, 64 << 20, 0);
        fake_send(f, LITERAL("you\0and so on"));
        fake_pause(f);
        fake_die(f, FAKE_CLOSE);
}

static size_t address_space(void)
{
        unsigned long pages;
        FILE *f = fopen("/proc/self/statm", "re");

        assert_non_null(f);
        assert_int_equal(fscanf(f, "%lu", &pages), 1);
        fclose(f);
        return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* Memory comes with the bytes, not with the promise of them. */
static void a_claim_alone_takes_no_memory(void **state)
{
        _cleanup_client_ busrt_client *c = NULL;
        struct fake *fake = fake_start(FAKE_UNIX, claim_much, NULL);
        busrt_frame *frame = NULL;
        size_t before;

        c = connected_client(fake);
        before = address_space();
        assert_int_equal(busrt_client_read(c, 20 * MSEC, &frame), -ETIMEDOUT);
        assert_true(address_space() < before + (8 << 20));
        fake_go(fake);
        assert_int_equal(busrt_client_read(c, DEADLINE, &frame), -ECONNRESET);
        assert_int_equal(busrt_client_error(c), -ECONNRESET);
        fake_stop(fake);
}

/* --- Acknowledgements --- */

static void acks_of_nothing(struct fake *f, void *userdata)
{
        struct fake_frame first, second;

        fake_handshake(f);
        fake_ack(f, 0, 1);
        fake_ack(f, 1, 1);
        fake_ack(f, UINT32_MAX, 0x71);
        first = fake_frame(f);
        fake_ack(f, first.op + 1, 0x71); /* the next one's, before it was sent */
        fake_ack(f, first.op, 1);
        fake_ack(f, first.op, 0x79); /* another opinion */
        second = fake_frame(f);
        fake_ack(f, first.op, 0x79);
        fake_ack(f, second.op, 0x76);
        fake_ack(f, second.op, 1);
        fake_ack(f, fake_frame(f).op, 1);
        fake_acknowledge_all(f);
}

static void acknowledgements_count_once(void **state)
{
        _cleanup_client_ busrt_client *c = NULL;
        _cleanup_op_ busrt_op *op = NULL;
        struct fake *fake = fake_start(FAKE_UNIX, acks_of_nothing, NULL);

        c = connected_client(fake);
        assert_int_equal(busrt_client_send(c, "a", NULL, 0, BUSRT_QOS_PROCESSED, &op), 0);
        assert_int_equal(busrt_op_wait(op, DEADLINE), 0);
        assert_int_equal(busrt_client_send(c, "a", NULL, 0, BUSRT_QOS_PROCESSED, NULL), -EBUSY);
        assert_int_equal(busrt_client_send(c, "a", NULL, 0, BUSRT_QOS_PROCESSED, NULL), 0);
        assert_int_equal(busrt_op_result(op), 0);
        fake_stop(fake);
}

static void ack_with(struct fake *f, void *userdata)
{
        fake_handshake(f);
        for (unsigned code = 0; code < 256; code++)
                fake_ack(f, fake_frame(f).op, (uint8_t)code);
}

static int errno_of(unsigned code)
{
        static const int errnos[] = {EHOSTUNREACH, EBADMSG, EIO,   EREMOTE, EOPNOTSUPP,
                                     EBUSY,        ENOBUFS, ETIME, EACCES};

        if (code == 1)
                return 0;
        if (code >= 0x71 && code < 0x71 + ARRAY_SIZE(errnos))
                return -errnos[code - 0x71];
        return -EREMOTE;
}

static void every_code_has_its_errno(void **state)
{
        _cleanup_client_ busrt_client *c = NULL;
        struct fake *fake = fake_start(FAKE_UNIX, ack_with, NULL);

        c = connected_client(fake);
        for (unsigned code = 0; code < 256; code++)
                assert_int_equal(busrt_client_publish(c, "t", NULL, 0, BUSRT_QOS_PROCESSED, NULL),
                                 errno_of(code));
        fake_stop(fake);
}

/* --- Replies --- */

static void wrong_replies(struct fake *f, void *userdata)
{
        struct fake_frame call;
        uint32_t id;

        fake_handshake(f);
        fake_reply(f, "you", 0x11, 1, LITERAL("to nothing"));
        call = fake_frame(f);
        id = fake_call_id(f, &call);
        fake_reply(f, "yo", 0x11, id, LITERAL("wrong sender"));
        fake_reply(f, "you%%1", 0x11, id, LITERAL("wrong sender"));
        fake_reply(f, "", 0x11, id, LITERAL("wrong sender"));
        fake_reply(f, "you", 0x11, id + 1, LITERAL("wrong id"));
        fake_reply(f, "you", 0x11, 0, LITERAL("no id"));
        fake_deliver(f, 0x12, LITERAL("you\0\x11\1")); /* cut short */
        fake_deliver(f, 0x12, LITERAL("you\0\x12\1\0\0\0\1"));
        fake_ack(f, call.op, 1);
        fake_reply(f, "you", 0x11, id, LITERAL("right"));
        fake_reply(f, "you", 0x11, id, LITERAL("twice"));
        fake_reply(f, "you", 0x12, id, LITERAL("\1\0twice"));
        fake_serve_call(f, LITERAL("second"));
        fake_acknowledge_all(f);
}

static void expect_payload(const busrt_frame *frame, const char *text)
{
        size_t len;
        const void *payload = busrt_frame_get_payload(frame, &len);

        assert_int_equal(len, strlen(text));
        assert_memory_equal(payload, text, len);
}

static void only_the_target_replies_and_once(void **state)
{
        _cleanup_client_ busrt_client *c = NULL;
        struct fake *fake = fake_start(FAKE_UNIX, wrong_replies, NULL);
        busrt_frame *reply = NULL;

        c = connected_client(fake);
        assert_int_equal(busrt_client_call(c, "you", "m", NULL, 0, 0, DEADLINE, NULL, &reply), 0);
        assert_int_equal(busrt_frame_get_kind(reply), BUSRT_KIND_REPLY);
        expect_payload(reply, "right");
        busrt_frame_unref(reply);
        assert_int_equal(busrt_client_call(c, "you", "m", NULL, 0, 0, DEADLINE, NULL, &reply), 0);
        expect_payload(reply, "second");
        busrt_frame_unref(reply);
        assert_int_equal(busrt_client_send(c, "you", NULL, 0, BUSRT_QOS_PROCESSED, NULL), 0);
        fake_stop(fake);
}

/* The reply first: the acknowledgement is late, or never comes. */
static void reply_before_ack(struct fake *f, void *userdata)
{
        struct fake_frame call;
        uint32_t id;

        fake_handshake(f);
        call = fake_frame(f);
        id = fake_call_id(f, &call);
        fake_reply(f, "you", 0x11, id, LITERAL("early"));
        fake_ack(f, call.op, 0x71);
        call = fake_frame(f);
        id = fake_call_id(f, &call);
        fake_ack(f, call.op, 0x71);                         /* not there, */
        fake_reply(f, "you", 0x11, id, LITERAL("and yet")); /* and yet */
        fake_acknowledge_all(f);
}

static void the_first_answer_ends_a_call(void **state)
{
        _cleanup_client_ busrt_client *c = NULL;
        struct fake *fake = fake_start(FAKE_UNIX, reply_before_ack, NULL);
        busrt_frame *reply = NULL;

        c = connected_client(fake);
        assert_int_equal(busrt_client_call(c, "you", "m", NULL, 0, 0, DEADLINE, NULL, &reply), 0);
        expect_payload(reply, "early");
        reply = busrt_frame_unref(reply);
        assert_int_equal(busrt_client_call(c, "you", "m", NULL, 0, 0, DEADLINE, NULL, &reply),
                         -EHOSTUNREACH);
        assert_null(reply);
        assert_int_equal(busrt_client_send(c, "you", NULL, 0, BUSRT_QOS_PROCESSED, NULL), 0);
        fake_stop(fake);
}

static void reply_too_late(struct fake *f, void *userdata)
{
        struct fake_frame call;
        uint32_t id;

        fake_handshake(f);
        call = fake_frame(f);
        id = fake_call_id(f, &call);
        fake_ack(f, call.op, 1);
        fake_pause(f);
        fake_reply(f, "you", 0x11, id, LITERAL("late"));
        fake_deliver(f, 0x12, LITERAL("you\0after"));
        fake_acknowledge_all(f);
}

static void a_late_reply_is_dropped(void **state)
{
        _cleanup_client_ busrt_client *c = NULL;
        struct fake *fake = fake_start(FAKE_UNIX, reply_too_late, NULL);
        busrt_frame *frame = NULL;

        c = connected_client(fake);
        assert_int_equal(busrt_client_call(c, "you", "m", NULL, 0, 0, 20 * MSEC, NULL, &frame),
                         -ETIMEDOUT);
        assert_null(frame);
        fake_go(fake);
        assert_int_equal(busrt_client_read(c, DEADLINE, &frame), 0);
        expect_payload(frame, "after");
        busrt_frame_unref(frame);
        fake_stop(fake);
}

static void error_replies(struct fake *f, void *userdata)
{
        static const char *const data[] = {"\xff\x7f", "\0\x80some text", "\x5f\x83\0x"};
        static const size_t lens[] = {2, 11, 4};

        fake_handshake(f);
        for (size_t i = 0; i < 3; i++) {
                struct fake_frame call = fake_frame(f);
                uint32_t id = fake_call_id(f, &call);

                fake_ack(f, call.op, 1);
                fake_reply(f, "you", 0x12, id, data[i], lens[i]);
        }
        fake_acknowledge_all(f);
}

static int call_for_error(busrt_client *c, busrt_rpc_error *error)
{
        return busrt_client_call(c, "you", "m", NULL, 0, 0, DEADLINE, error, NULL);
}

static void errors_of_any_code_and_data(void **state)
{
        _cleanup_client_ busrt_client *c = NULL;
        struct fake *fake = fake_start(FAKE_UNIX, error_replies, NULL);
        busrt_rpc_error error = BUSRT_RPC_ERROR_INIT;

        c = connected_client(fake);
        assert_int_equal(call_for_error(c, &error), -EREMOTEIO);
        assert_int_equal(error.code, INT16_MAX);
        assert_null(error.data);
        assert_int_equal(error.len, 0);
        busrt_rpc_error_done(&error);
        assert_int_equal(call_for_error(c, &error), -EREMOTEIO);
        assert_int_equal(error.code, INT16_MIN);
        assert_string_equal(error.data, "some text");
        assert_int_equal(error.len, 9);
        busrt_rpc_error_done(&error);
        assert_null(error.data);
        assert_int_equal(call_for_error(c, NULL), -EREMOTEIO);
        fake_stop(fake);
}

/* --- Requests and what is none --- */

static int n_requests, n_notifications, n_frames;

static void count_request(busrt_client *c, busrt_request *request, void *userdata)
{
        n_requests++;
        assert_string_equal(busrt_request_get_sender(request), "you");
        assert_string_equal(busrt_request_get_method(request), "m");
        assert_int_equal(busrt_request_reply(request, NULL, 0), 0);
}

static void count_notification(busrt_client *c, const char *sender, const void *payload, size_t len,
                               void *userdata)
{
        n_notifications++;
}

static void count_frame(busrt_client *c, busrt_frame *frame, void *userdata)
{
        size_t len;
        const void *payload = busrt_frame_get_payload(frame, &len);

        n_frames++;
        *(int *)userdata = len == 4 && memcmp(payload, "last", 4) == 0;
}

static void odd_requests(struct fake *f, void *userdata)
{
        fake_handshake(f);
        fake_pause(f);
        fake_deliver(f, 0x12, LITERAL("you\0\1\1\0\0\0m")); /* no 00 after the method */
        fake_deliver(f, 0x12, LITERAL("you\0\1\1\0\0"));    /* cut short */
        fake_deliver(f, 0x12, LITERAL("you\0\1"));
        fake_deliver(f, 0x12, LITERAL("you\0"));              /* empty */
        fake_deliver(f, 0x12, LITERAL("you\0\2hello"));       /* no kind of ours */
        fake_deliver(f, 0x13, LITERAL("you\0\1\1\0\0\0m\0")); /* calls travel in messages only */
        fake_deliver(f, 0x01, LITERAL("you\0t\0\1\1\0\0\0m\0"));
        fake_request(f, "you", 0, "m"); /* wants no reply */
        fake_request(f, "you", 9, "m");
        fake_request(f, "you", 9, "m"); /* its ids are the caller's matter */
        fake_deliver(f, 0x12, LITERAL("you\0\0note"));
        fake_deliver(f, 0x12, LITERAL("you\0last"));
        fake_expect_frame(f, 0x52, LITERAL("you\0\x11\x09\0\0\0"));
        fake_expect_frame(f, 0x52, LITERAL("you\0\x11\x09\0\0\0"));
        fake_signal(f);
        fake_acknowledge_all(f);
}

static void what_is_no_request_is_a_message(void **state)
{
        _cleanup_client_ busrt_client *c = NULL;
        struct fake *fake = fake_start(FAKE_UNIX, odd_requests, NULL);
        int done = 0;

        c = connected_client(fake);
        n_requests = n_notifications = n_frames = 0;
        busrt_client_set_request_handler(c, count_request, NULL);
        busrt_client_set_notification_handler(c, count_notification, NULL);
        busrt_client_set_frame_handler(c, count_frame, &done);
        fake_go(fake);
        process_until(c, is_set, &done);
        assert_int_equal(n_requests, 3);
        assert_int_equal(n_notifications, 1);
        assert_int_equal(n_frames, 8);
        assert_int_equal(busrt_client_flush(c, DEADLINE), 0);
        fake_wait(fake);
        fake_stop(fake);
}

/* --- Bytes of a frame one at a time, and all frames at once --- */

static const char stream[] = "\x12\4\0\0\0\0a\0xy"
                             "\0\0\0\0\0\0"
                             "\x13\3\0\0\0\1b\0z"
                             "\0\xff\xff\xff\xff\xff" /* a ping, whatever else it says */
                             "\x01\5\0\0\0\0c\0t\0w"
                             "\x01\4\0\0\0\0c\0\0w"
                             "\x12\2\0\0\0\0d\0";

static void trickle(struct fake *f, void *userdata)
{
        fake_handshake(f);
        for (size_t i = 0; i < sizeof(stream) - 1; i++) {
                fake_send(f, stream + i, 1);
                if (userdata)
                        fake_pause(f);
        }
        fake_acknowledge_all(f);
}

static void read_and_expect(busrt_client *c, enum busrt_kind kind, const char *sender,
                            const char *topic, const char *payload, int realtime)
{
        _cleanup_frame_ busrt_frame *f = NULL;

        assert_int_equal(busrt_client_read(c, DEADLINE, &f), 0);
        assert_int_equal(busrt_frame_get_kind(f), kind);
        assert_string_equal(busrt_frame_get_sender(f), sender);
        if (topic)
                assert_string_equal(busrt_frame_get_topic(f), topic);
        else
                assert_null(busrt_frame_get_topic(f));
        assert_int_equal(busrt_frame_is_realtime(f), realtime);
        expect_payload(f, payload);
}

static void bytes_may_come_in_any_portions(void **state)
{
        for (int slowly = 0; slowly < 2; slowly++) {
                _cleanup_client_ busrt_client *c = NULL;
                struct fake *fake = fake_start(FAKE_UNIX, trickle, slowly ? &slowly : NULL);

                c = connected_client(fake);
                for (size_t i = 0; slowly && i < sizeof(stream) - 1; i++) {
                        fake_go(fake);
                        (void)busrt_client_process(c);
                }
                read_and_expect(c, BUSRT_KIND_MESSAGE, "a", NULL, "xy", 0);
                read_and_expect(c, BUSRT_KIND_BROADCAST, "b", NULL, "z", 1);
                read_and_expect(c, BUSRT_KIND_PUBLICATION, "c", "t", "w", 0);
                read_and_expect(c, BUSRT_KIND_PUBLICATION, "c", "", "w", 0);
                read_and_expect(c, BUSRT_KIND_MESSAGE, "d", NULL, "", 0);
                assert_int_equal(busrt_client_send(c, "a", NULL, 0, BUSRT_QOS_PROCESSED, NULL), 0);
                fake_stop(fake);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(wrong_handshakes),
                cmocka_unit_test(broken_frames_end_the_connection),
                cmocka_unit_test(a_claim_alone_takes_no_memory),
                cmocka_unit_test(acknowledgements_count_once),
                cmocka_unit_test(every_code_has_its_errno),
                cmocka_unit_test(only_the_target_replies_and_once),
                cmocka_unit_test(the_first_answer_ends_a_call),
                cmocka_unit_test(a_late_reply_is_dropped),
                cmocka_unit_test(errors_of_any_code_and_data),
                cmocka_unit_test(what_is_no_request_is_a_message),
                cmocka_unit_test(bytes_may_come_in_any_portions),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
