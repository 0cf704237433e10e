/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promise: a client that reconnects comes back with what it wished for, ends what was under way
 * with -ECONNRESET, keeps or refuses what is sent meanwhile as it was told to, says so in order,
 * and knows what it does not come back from.
 */
#include <pthread.h>

#include "client-bed.h"

#define ACKED BUSRT_QOS_PROCESSED
#define FIRST (2 * MSEC)
#define LONGEST (10 * MSEC)
#define SUBSCRIBED 0x42
#define UNSUBSCRIBED 0x43
#define EXCLUDED 0x44
#define SENT 0x12
#define SENT_ACKED 0x52

static const char *const a[] = {"a/#"}, *const ab[] = {"a/#", "b/+"}, *const b[] = {"b/+"},
                         *const x[] = {"a/x"}, *const warnings[] = {".broker/warn"};

static busrt_client *persistent_client(void)
{
        busrt_client *c = quiet_client("me");

        assert_int_equal(busrt_client_set_reconnect(c, BUSRT_TIMEOUT_INFINITE), 0);
        assert_int_equal(busrt_client_set_reconnect_pause(c, FIRST, LONGEST), 0);
        assert_int_equal(busrt_client_set_timeout(c, DEADLINE), 0);
        return c;
}

static busrt_client *connect_persistent(struct fake *fake)
{
        busrt_client *c = persistent_client();

        assert_int_equal(busrt_client_connect(c, fake_address(fake)), 0);
        return c;
}

static bool is_in_state(busrt_client *c, enum busrt_state state)
{
        return busrt_client_get_state(c) == (int)state;
}

/* By reading nothing: a wait for what does not come. */
static void until_state(busrt_client *c, enum busrt_state state)
{
        uint64_t until = now_usec() + DEADLINE;

        while (!is_in_state(c, state)) {
                assert_true(now_usec() < until);
                (void)busrt_client_process(c);
                if (!is_in_state(c, state))
                        (void)busrt_client_wait(c, SECOND);
        }
}

/* --- Subscriptions --- */

static void restore_all(struct fake *f, void *userdata)
{
        uint32_t id;

        fake_handshake(f);
        for (int i = 0; i < 6; i++) {
                struct fake_frame frame = fake_frame(f);

                fake_ack(f, frame.op, 1);
        }
        fake_next(f);
        fake_handshake(f);
        id = fake_expect_frame(f, EXCLUDED, LITERAL("a/x"));
        if (fake_expect_frame(f, UNSUBSCRIBED, LITERAL(".broker/warn")) != id ||
            fake_expect_frame(f, SUBSCRIBED, LITERAL("a/#")) != id)
                fake_wrong(f, "restoring is one operation");
        fake_ack(f, id, 0x79);
        fake_expect_frame(f, SENT_ACKED, LITERAL("you\0x"));
        fake_signal(f);
}

static void comes_back_with_what_it_wished_for(void **state)
{
        _cleanup_fake_ struct fake *fake = fake_start(FAKE_UNIX, restore_all, NULL);
        _cleanup_client_ busrt_client *c = connect_persistent(fake);
        static const char *const again[] = {"a/#/more", "c"}, *const c_only[] = {"c"};
        _cleanup_op_ busrt_op *op = NULL;

        assert_int_equal(busrt_client_subscribe(c, ab, 2, ACKED, NULL), 0);
        assert_int_equal(busrt_client_subscribe(c, again, 2, ACKED, NULL), 0);
        assert_int_equal(busrt_client_unsubscribe(c, b, 1, ACKED, NULL), 0);
        assert_int_equal(busrt_client_unsubscribe(c, c_only, 1, ACKED, NULL), 0);
        assert_int_equal(busrt_client_exclude(c, x, 1, ACKED, NULL), 0);
        assert_int_equal(busrt_client_unsubscribe(c, warnings, 1, ACKED, NULL), 0);
        until_state(c, BUSRT_STATE_RECONNECTING);
        assert_int_equal(busrt_client_wait_connected(c, DEADLINE), 0);
        assert_int_equal(busrt_client_send(c, "you", IOV("x"), ACKED, &op), 0);
        fake_wait(fake);
}

static void wishes_while_away(struct fake *f, void *userdata)
{
        fake_handshake(f);
        fake_expect_frame(f, SUBSCRIBED & 0x3f, LITERAL("a/#\0b/+"));
        fake_hang_up(f);
        fake_pause(f);
        fake_next(f);
        fake_handshake(f);
        fake_expect_frame(f, EXCLUDED, LITERAL("a/x"));
        fake_expect_frame(f, SUBSCRIBED, LITERAL("a/#"));
        fake_signal(f);
}

static void wishes_of_the_time_between_hold(void **state)
{
        _cleanup_fake_ struct fake *fake = fake_start(FAKE_UNIX, wishes_while_away, NULL);
        _cleanup_client_ busrt_client *c = connect_persistent(fake);
        static const char *const wrong[] = {"\xc3"};
        _cleanup_op_ busrt_op *op = NULL;

        assert_int_equal(busrt_client_subscribe(c, ab, 2, BUSRT_QOS_NO, NULL), 0);
        until_state(c, BUSRT_STATE_RECONNECTING);
        assert_int_equal(busrt_client_subscribe(c, wrong, 1, ACKED, NULL), -EBADMSG);
        assert_int_equal(busrt_client_exclude(c, x, 1, ACKED, &op), 0);
        assert_int_equal(busrt_op_result(op), 0);
        assert_int_equal(busrt_client_unsubscribe(c, b, 1, ACKED, NULL), 0);
        fake_go(fake);
        assert_int_equal(busrt_client_wait_connected(c, DEADLINE), 0);
        fake_wait(fake);
}

/* --- What is under way --- */

static void take_three_and_go(struct fake *f, void *userdata)
{
        fake_handshake(f);
        for (int i = 0; i < 3; i++)
                fake_frame(f);
        fake_next(f);
        fake_handshake(f);
        fake_acknowledge_all(f);
}

struct ended {
        int done, result;
};

static void op_ended(busrt_op *op, int result, void *userdata)
{
        *(struct ended *)userdata = (struct ended){1, result};
}

static void call_ended(busrt_client *c, int result, const busrt_rpc_error *error,
                       busrt_frame *reply, void *userdata)
{
        *(struct ended *)userdata = (struct ended){1, result};
}

static void what_is_under_way_ends(void **state)
{
        _cleanup_fake_ struct fake *fake = fake_start(FAKE_UNIX, take_three_and_go, NULL);
        _cleanup_client_ busrt_client *c = connect_persistent(fake);
        struct ended op_end = {0}, call_end = {0};
        busrt_op *op = NULL;

        assert_int_equal(busrt_client_send(c, "you", IOV("x"), ACKED, &op), 0);
        assert_int_equal(busrt_op_set_handler(op, op_ended, &op_end), 0);
        busrt_op_unref(op);
        assert_int_equal(busrt_client_call_async(c, "you", "m", NULL, 0, 0, BUSRT_TIMEOUT_INFINITE,
                                                 call_ended, &call_end, NULL),
                         0);
        assert_int_equal(
                busrt_client_call(c, "you", "m", NULL, 0, 0, BUSRT_TIMEOUT_INFINITE, NULL, NULL),
                -ECONNRESET);
        process_until(c, is_set, &op_end.done);
        process_until(c, is_set, &call_end.done);
        assert_int_equal(op_end.result, -ECONNRESET);
        assert_int_equal(call_end.result, -ECONNRESET);
        assert_int_equal(busrt_client_wait_connected(c, DEADLINE), 0);
        assert_int_equal(busrt_client_send(c, "you", IOV("x"), ACKED, NULL), 0);
}

/* Takes nothing, so that sending waits for room, and goes when told to. */
static void take_nothing(struct fake *f, void *userdata)
{
        fake_handshake(f);
        fake_pause(f);
        fake_next(f);
        fake_handshake(f);
        fake_expect_frame(f, SENT_ACKED, LITERAL("you\0last"));
        fake_signal(f);
}

static void *let_go(void *userdata)
{
        fake_go(userdata);
        return NULL;
}

static void what_waits_for_room_is_not_sent_on_the_next_connection(void **state)
{
        _cleanup_fake_ struct fake *fake = fake_start(FAKE_UNIX, take_nothing, NULL);
        _cleanup_client_ busrt_client *c = persistent_client();
        static uint8_t bytes[1 << 20];
        struct iovec iov = {bytes, sizeof(bytes)};
        _cleanup_op_ busrt_op *op = NULL;
        pthread_t thread;
        int r;

        assert_int_equal(busrt_client_set_send_buffer(c, 4096), 0);
        assert_int_equal(busrt_client_connect(c, fake_address(fake)), 0);
        do
                r = busrt_client_send(c, "you", &iov, 1, BUSRT_QOS_DONTWAIT, NULL);
        while (r == 0);
        assert_int_equal(r, -EAGAIN);
        assert_int_equal(pthread_create(&thread, NULL, let_go, fake), 0);
        assert_int_equal(busrt_client_send(c, "you", &iov, 1, ACKED, NULL), -ECONNRESET);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(busrt_client_wait_connected(c, DEADLINE), 0);
        assert_int_equal(busrt_client_send(c, "you", IOV("last"), ACKED, &op), 0);
        fake_wait(fake);
}

static void a_flush_ends_too(void **state)
{
        _cleanup_fake_ struct fake *fake = fake_start(FAKE_UNIX, take_nothing, NULL);
        _cleanup_client_ busrt_client *c = connect_persistent(fake);
        static uint8_t bytes[1 << 20];
        struct iovec iov = {bytes, sizeof(bytes)};
        _cleanup_op_ busrt_op *op = NULL;
        pthread_t thread;

        assert_int_equal(busrt_client_send(c, "you", &iov, 1, BUSRT_QOS_NO, NULL), 0);
        assert_true(busrt_client_get_unsent(c) > 0);
        assert_int_equal(pthread_create(&thread, NULL, let_go, fake), 0);
        assert_int_equal(busrt_client_flush(c, BUSRT_TIMEOUT_INFINITE), -ECONNRESET);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(busrt_client_wait_connected(c, DEADLINE), 0);
        assert_int_equal(busrt_client_send(c, "you", IOV("last"), ACKED, &op), 0);
        fake_wait(fake);
}

/* --- Meanwhile --- */

static void be_away_until_told(struct fake *f, void *userdata)
{
        fake_handshake(f);
        fake_hang_up(f);
        fake_pause(f);
        fake_next(f);
        fake_handshake(f);
        fake_expect_frame(f, SENT_ACKED, LITERAL("you\0last"));
        fake_signal(f);
        fake_acknowledge_all(f);
}

static void without_a_buffer_sending_fails_at_once(void **state)
{
        _cleanup_fake_ struct fake *fake = fake_start(FAKE_UNIX, be_away_until_told, NULL);
        _cleanup_client_ busrt_client *c = connect_persistent(fake);
        int fd = busrt_client_get_fd(c);
        _cleanup_op_ busrt_op *op = NULL;
        busrt_frame *frame;
        uint64_t usec;

        until_state(c, BUSRT_STATE_RECONNECTING);
        assert_int_equal(busrt_client_error(c), -ECONNRESET);
        assert_int_equal(busrt_client_send(c, "you", IOV("x"), 0, NULL), -ENOTCONN);
        assert_int_equal(busrt_client_send(c, "you", IOV("x"), ACKED, NULL), -ENOTCONN);
        assert_int_equal(busrt_client_call(c, "you", "m", NULL, 0, 0, SECOND, NULL, NULL),
                         -ENOTCONN);
        assert_int_equal(busrt_client_flush(c, SECOND), -ENOTCONN);
        assert_int_equal(busrt_client_cork(c), -ENOTCONN);
        assert_int_equal(busrt_client_ping(c), -ENOTCONN);
        assert_int_equal(busrt_client_get_unsent(c), -ENOTCONN);
        assert_int_equal(busrt_client_read(c, 0, &frame), -EAGAIN);
        assert_int_equal(busrt_client_wait_connected(c, 0), -ETIMEDOUT);
        assert_int_equal(busrt_client_connect(c, fake_address(fake)), -EISCONN);
        assert_int_equal(busrt_client_get_timeout(c, &usec), 0);
        assert_true(usec < UINT64_MAX);
        fake_go(fake);
        assert_int_equal(busrt_client_wait_connected(c, DEADLINE), 0);
        assert_int_equal(busrt_client_get_fd(c), fd);
        assert_int_equal(busrt_client_send(c, "you", IOV("last"), ACKED, &op), 0);
        fake_wait(fake);
}

static void buffered_frames_follow(struct fake *f, void *userdata)
{
        fake_handshake(f);
        fake_hang_up(f);
        fake_pause(f);
        fake_next(f);
        fake_handshake(f);
        fake_expect_frame(f, SUBSCRIBED, LITERAL("a/#"));
        fake_expect_frame(f, SENT, LITERAL("you\0one"));
        fake_ack(f, fake_expect_frame(f, SENT_ACKED, LITERAL("you\0two")), 1);
        fake_expect_frame(f, 0x01, LITERAL("topic\0three"));
        while (fake_frame(f).length == 2004)
                continue;
        fake_signal(f);
}

static void with_a_buffer_frames_wait_in_order(void **state)
{
        _cleanup_fake_ struct fake *fake = fake_start(FAKE_UNIX, buffered_frames_follow, NULL);
        _cleanup_client_ busrt_client *c = persistent_client();
        static uint8_t bytes[8192];
        struct iovec some = {bytes, 2000}, many = {bytes, sizeof(bytes)};
        _cleanup_op_ busrt_op *op = NULL;

        assert_int_equal(busrt_client_set_offline_buffer(c, 4096), 0);
        assert_int_equal(busrt_client_connect(c, fake_address(fake)), 0);
        until_state(c, BUSRT_STATE_RECONNECTING);
        assert_int_equal(busrt_client_get_unsent(c), 0);
        assert_int_equal(busrt_client_send(c, "you", IOV("one"), 0, NULL), 0);
        assert_int_equal(busrt_client_send(c, "you", IOV("two"), ACKED, &op), 0);
        assert_int_equal(busrt_client_publish(c, "topic", IOV("three"), 0, NULL), 0);
        assert_int_equal(busrt_client_send(c, "you", &many, 1, 0, NULL), -EMSGSIZE);
        assert_int_equal(busrt_client_send(c, "you", &some, 1, 0, NULL), 0);
        assert_int_equal(busrt_client_send(c, "you", &some, 1, 0, NULL), 0);
        assert_int_equal(busrt_client_get_unsent(c), 9 + 2004 + 9 + 7 + 9 + 7 + 9 + 11 + 9 + 2004);
        assert_int_equal(busrt_client_send(c, "you", &some, 1, 0, NULL), -EAGAIN);
        assert_int_equal(busrt_client_call(c, "you", "m", NULL, 0, 0, SECOND, NULL, NULL),
                         -ENOTCONN);
        assert_int_equal(busrt_client_subscribe(c, a, 1, ACKED, NULL), 0);
        assert_int_equal(busrt_op_result(op), -EINPROGRESS);
        fake_go(fake);
        assert_int_equal(busrt_op_wait(op, DEADLINE), 0);
        assert_int_equal(busrt_client_send(c, "you", IOV("new"), 0, NULL), 0);
        fake_wait(fake);
}

static void what_waits_ends_when_the_client_closes(void **state)
{
        _cleanup_fake_ struct fake *fake = fake_start(FAKE_UNIX, be_away_until_told, NULL);
        _cleanup_client_ busrt_client *c = persistent_client();
        _cleanup_op_ busrt_op *op = NULL;

        assert_int_equal(busrt_client_set_offline_buffer(c, 4096), 0);
        assert_int_equal(busrt_client_connect(c, fake_address(fake)), 0);
        until_state(c, BUSRT_STATE_RECONNECTING);
        assert_int_equal(busrt_client_send(c, "you", IOV("x"), ACKED, &op), 0);
        assert_int_equal(busrt_op_wait(op, 0), -ETIMEDOUT);
        assert_int_equal(busrt_client_disconnect(c), 0);
        assert_int_equal(busrt_op_wait(op, DEADLINE), -ECONNRESET);
        assert_int_equal(busrt_client_error(c), -ESHUTDOWN);
        assert_int_equal(busrt_client_send(c, "you", IOV("x"), 0, NULL), -ENOTCONN);
        assert_int_equal(busrt_client_wait_connected(c, DEADLINE), -ECONNRESET);
}

static void a_cork_does_not_hold_it_up(void **state)
{
        _cleanup_fake_ struct fake *fake = fake_start(FAKE_UNIX, take_nothing, NULL);
        _cleanup_client_ busrt_client *c = connect_persistent(fake);
        _cleanup_op_ busrt_op *op = NULL;

        assert_int_equal(busrt_client_cork(c), 0);
        fake_go(fake);
        until_state(c, BUSRT_STATE_RECONNECTING);
        until_state(c, BUSRT_STATE_CONNECTED);
        assert_int_equal(busrt_client_send(c, "you", IOV("last"), ACKED, &op), 0);
        assert_int_equal(busrt_client_uncork(c), 0);
        fake_wait(fake);
}

/* Neither processes nor waits. */
static void who_only_sends_comes_back(void **state)
{
        _cleanup_fake_ struct fake *fake = fake_start(FAKE_UNIX, be_away_until_told, NULL);
        _cleanup_client_ busrt_client *c = connect_persistent(fake);
        _cleanup_op_ busrt_op *op = NULL;
        uint64_t until = now_usec() + DEADLINE;
        int r;

        while (!is_in_state(c, BUSRT_STATE_RECONNECTING)) {
                (void)busrt_client_send(c, "you", IOV("lost"), 0, NULL);
                assert_true(now_usec() < until);
        }
        fake_go(fake);
        do {
                r = busrt_client_send(c, "you", IOV("last"), ACKED, &op);
                assert_true(now_usec() < until);
        } while (r == -ENOTCONN);
        assert_int_equal(r, 0);
        fake_wait(fake);
}

static void ask_and_go(struct fake *f, void *userdata)
{
        fake_handshake(f);
        fake_request(f, "you", 7, "m");
        fake_next(f);
        fake_pause(f);
        fake_handshake(f);
        fake_expect_frame(f, SENT_ACKED, LITERAL("you\0\x11\7\0\0\0late"));
        fake_signal(f);
}

static busrt_request *kept;

static void keep_request(busrt_client *c, busrt_request *request, void *userdata)
{
        kept = busrt_request_ref(request);
}

static void a_request_is_replied_to_when_it_is_back(void **state)
{
        _cleanup_fake_ struct fake *fake = fake_start(FAKE_UNIX, ask_and_go, NULL);
        _cleanup_client_ busrt_client *c = persistent_client();

        assert_int_equal(busrt_client_set_request_handler(c, keep_request, NULL), 0);
        assert_int_equal(busrt_client_connect(c, fake_address(fake)), 0);
        until_state(c, BUSRT_STATE_RECONNECTING);
        while (!kept)
                assert_true(busrt_client_process(c) >= 0);
        assert_int_equal(busrt_request_reply(kept, IOV("early")), -ENOTCONN);
        fake_go(fake);
        assert_int_equal(busrt_client_wait_connected(c, DEADLINE), 0);
        assert_int_equal(busrt_request_reply(kept, IOV("late")), 0);
        kept = busrt_request_unref(kept);
        fake_wait(fake);
}

/* --- What is told, and when --- */

static void deliver_on_two_connections(struct fake *f, void *userdata)
{
        fake_handshake(f);
        fake_deliver(f, 0x12, LITERAL("you\0one"));
        fake_next(f);
        fake_handshake(f);
        fake_deliver(f, 0x12, LITERAL("you\0two"));
        fake_pause(f);
}

struct told {
        char text[64];
        int done, disconnect, release;
        busrt_client *client;
};

static void tell_state(busrt_client *c, enum busrt_state state, int error, void *userdata)
{
        static const char letters[] = "?kCXR"; /* by enum busrt_state */
        struct told *told = userdata;

        strncat(told->text, &letters[state], 1);
        assert_int_equal(error, state == BUSRT_STATE_CONNECTED      ? 0
                                : state == BUSRT_STATE_RECONNECTING ? -ECONNRESET
                                                                    : -ESHUTDOWN);
        if (state == BUSRT_STATE_RECONNECTING && told->disconnect)
                assert_int_equal(busrt_client_disconnect(c), 0);
        if (state == BUSRT_STATE_RECONNECTING && told->release)
                busrt_client_free(c);
        told->done |= state == BUSRT_STATE_CLOSED || told->release;
}

static void tell_frame(busrt_client *c, busrt_frame *frame, void *userdata)
{
        struct told *told = userdata;
        size_t len;

        strncat(told->text, busrt_frame_get_payload(frame, &len), 3);
        told->done = strstr(told->text, "two") != NULL;
}

static void states_are_told_in_the_order_of_frames(void **state)
{
        _cleanup_fake_ struct fake *fake = fake_start(FAKE_UNIX, deliver_on_two_connections, NULL);
        _cleanup_client_ busrt_client *c = persistent_client();
        struct told told = {0};

        assert_int_equal(busrt_client_set_state_handler(c, tell_state, &told), 0);
        assert_int_equal(busrt_client_set_frame_handler(c, tell_frame, &told), 0);
        assert_int_equal(busrt_client_connect(c, fake_address(fake)), 0);
        process_until(c, is_set, &told.done);
        assert_string_equal(told.text, "ConeRCtwo");
}

/* All of it comes before anybody processes. */
static void states_wait_for_who_processes(void **state)
{
        _cleanup_fake_ struct fake *fake = fake_start(FAKE_UNIX, deliver_on_two_connections, NULL);
        _cleanup_client_ busrt_client *c = persistent_client();
        struct told told = {0};
        busrt_frame *frame;

        assert_int_equal(busrt_client_set_state_handler(c, tell_state, &told), 0);
        assert_int_equal(busrt_client_connect(c, fake_address(fake)), 0);
        for (int i = 0; i < 2; i++) {
                assert_int_equal(busrt_client_read(c, DEADLINE, &frame), 0);
                busrt_frame_unref(frame);
        }
        assert_int_equal(busrt_client_disconnect(c), 0);
        process_until(c, is_set, &told.done);
        assert_string_equal(told.text, "CRCX");
}

static void a_handler_may_end_it(void **state)
{
        _cleanup_fake_ struct fake *fake = fake_start(FAKE_UNIX, deliver_on_two_connections, NULL);
        _cleanup_client_ busrt_client *c = persistent_client();
        struct told told = {.disconnect = 1};

        assert_int_equal(busrt_client_set_state_handler(c, tell_state, &told), 0);
        assert_int_equal(busrt_client_connect(c, fake_address(fake)), 0);
        assert_int_equal(busrt_client_run(c), -ESHUTDOWN);
        assert_string_equal(told.text, "CRX");
}

static void a_handler_may_free_it(void **state)
{
        _cleanup_fake_ struct fake *fake = fake_start(FAKE_UNIX, deliver_on_two_connections, NULL);
        size_t n_fds = count_fds();
        busrt_client *c = persistent_client();
        struct told told = {.release = 1};

        assert_int_equal(busrt_client_set_state_handler(c, tell_state, &told), 0);
        assert_int_equal(busrt_client_connect(c, fake_address(fake)), 0);
        assert_int_equal(busrt_client_run(c), -ESHUTDOWN);
        assert_string_equal(told.text, "CR");
        fake_go(fake);
        assert_in_range(count_fds(), n_fds - 1, n_fds + 1); /* the broker's own come and go */
}

/* The loss and the return are told together, and nothing of the second after the free. */
static void a_handler_may_free_it_though_it_is_back(void **state)
{
        _cleanup_fake_ struct fake *fake = fake_start(FAKE_UNIX, deliver_on_two_connections, NULL);
        busrt_client *c = persistent_client();
        struct told told = {.release = 1};
        busrt_frame *frame;

        assert_int_equal(busrt_client_set_state_handler(c, tell_state, &told), 0);
        assert_int_equal(busrt_client_connect(c, fake_address(fake)), 0);
        for (int i = 0; i < 2; i++) {
                assert_int_equal(busrt_client_read(c, DEADLINE, &frame), 0);
                busrt_frame_unref(frame);
        }
        assert_int_equal(busrt_client_run(c), -ESHUTDOWN);
        assert_string_equal(told.text, "CR");
}

/* --- What it comes back from, and what not --- */

struct answer {
        uint8_t code;
        int error; /* 0: it goes on */
};

static void refuse_once(struct fake *f, void *userdata)
{
        const struct answer *answer = userdata;

        fake_handshake(f);
        fake_next(f);
        fake_send(f, LITERAL("\xeb\1\0"));
        fake_expect(f, LITERAL("\xeb\1\0"));
        fake_send(f, "\1", 1);
        fake_expect(f, LITERAL("\2\0me"));
        fake_send(f, &answer->code, 1);
        fake_next(f);
        fake_handshake(f);
        fake_pause(f);
}

static void answers_that_end_it_and_answers_that_do_not(void **state)
{
        static const struct answer answers[] = {
                {0x71, 0}, {0x72, -EBADMSG}, {0x73, 0}, {0x74, 0},       {0x75, -EOPNOTSUPP},
                {0x76, 0}, {0x77, 0},        {0x78, 0}, {0x79, -EACCES}, {0x55, -EPROTO},
        };

        for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
                _cleanup_fake_ struct fake *fake =
                        fake_start(FAKE_UNIX, refuse_once, (void *)(uintptr_t)&answers[i]);
                _cleanup_client_ busrt_client *c = connect_persistent(fake);

                until_state(c, BUSRT_STATE_RECONNECTING);
                until_state(c, answers[i].error ? BUSRT_STATE_CLOSED : BUSRT_STATE_CONNECTED);
                if (answers[i].error)
                        assert_int_equal(busrt_client_error(c), answers[i].error);
        }
}

static void speak_nonsense(struct fake *f, void *userdata)
{
        fake_handshake(f);
        fake_send(f, LITERAL("\x33\0\0\0\0\0"));
        fake_pause(f);
        fake_next(f);
        fake_handshake(f);
        fake_header(f, 0x12, 1u << 31, 0);
        fake_pause(f);
        fake_next(f);
        fake_handshake(f);
        fake_send(f, LITERAL("\x12\5\0\0")); /* what is left of a frame must not meet the next */
        fake_next(f);
        fake_handshake(f);
        fake_deliver(f, 0x12, LITERAL("you\0one"));
        fake_pause(f);
}

struct reason {
        busrt_client *client;
        int error;
};

static bool is_away_for(void *userdata)
{
        const struct reason *reason = userdata;

        return busrt_client_error(reason->client) == reason->error;
}

static void broken_frames_do_not_end_it(void **state)
{
        static const int errors[] = {-EPROTO, -EMSGSIZE};
        _cleanup_fake_ struct fake *fake = fake_start(FAKE_UNIX, speak_nonsense, NULL);
        _cleanup_client_ busrt_client *c = connect_persistent(fake);
        _cleanup_frame_ busrt_frame *frame = NULL;

        for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
                struct reason reason = {c, errors[i]};

                process_until(c, is_away_for, &reason);
                fake_go(fake);
        }
        assert_int_equal(busrt_client_read(c, DEADLINE, &frame), 0);
        assert_string_equal(busrt_frame_get_sender(frame), "you");
}

static void go_for_good(struct fake *f, void *userdata)
{
        fake_handshake(f);
        fake_pause(f);
}

static void a_bound_is_kept(void **state)
{
        struct fake *fake = fake_start(FAKE_UNIX, go_for_good, NULL);
        _cleanup_client_ busrt_client *c = quiet_client("me");
        busrt_frame *frame;

        assert_int_equal(busrt_client_set_reconnect(c, 30 * MSEC), 0);
        assert_int_equal(busrt_client_set_reconnect_pause(c, FIRST, LONGEST), 0);
        assert_int_equal(busrt_client_connect(c, fake_address(fake)), 0);
        fake_stop(fake);
        assert_int_equal(busrt_client_read(c, DEADLINE, &frame), -ECONNRESET);
        assert_int_equal(busrt_client_get_state(c), BUSRT_STATE_CLOSED);
        assert_int_equal(busrt_client_error(c), -ENOENT);
}

static void the_first_connection_is_tried_again_only_where_it_is_started(void **state)
{
        _cleanup_client_ busrt_client *waited = persistent_client(), *started = NULL;

        assert_int_equal(busrt_client_connect(waited, "/nonexistent/bus.sock"), -ENOENT);
        assert_int_equal(busrt_client_get_state(waited), BUSRT_STATE_CLOSED);
        assert_int_equal(busrt_client_new("me", &started), 0);
        assert_int_equal(busrt_client_set_reconnect(started, 30 * MSEC), 0);
        assert_int_equal(busrt_client_set_reconnect_pause(started, FIRST, LONGEST), 0);
        assert_int_equal(busrt_client_connect_start(started, "/nonexistent/bus.sock"), 0);
        assert_int_equal(busrt_client_get_state(started), BUSRT_STATE_CONNECTING);
        assert_int_equal(busrt_client_wait_connected(started, DEADLINE), -ECONNRESET);
        assert_int_equal(busrt_client_error(started), -ENOENT);
}

static void a_given_socket_has_nowhere_to_go_back_to(void **state)
{
        struct fake *fake = fake_start(FAKE_PAIR, go_for_good, NULL);
        _cleanup_client_ busrt_client *c = persistent_client();
        busrt_frame *frame;

        assert_int_equal(busrt_client_connect_fd(c, fake_take_fd(fake)), 0);
        assert_int_equal(busrt_client_subscribe(c, a, 1, BUSRT_QOS_NO, NULL), 0);
        fake_stop(fake);
        assert_int_equal(busrt_client_read(c, DEADLINE, &frame), -ECONNRESET);
        assert_int_equal(busrt_client_error(c), -ECONNRESET);
}

/* --- The pauses --- */

static void no_two_clients_keep_step(void **state)
{
        enum { N = 16 };
        busrt_client *c[N];
        uint64_t first = UINT64_MAX, last = 0, span[N];

        for (int i = 0; i < N; i++) {
                uint64_t before = now_usec(), after;

                assert_int_equal(busrt_client_new("me", &c[i]), 0);
                assert_int_equal(busrt_client_set_reconnect(c[i], BUSRT_TIMEOUT_INFINITE), 0);
                assert_int_equal(
                        busrt_client_set_reconnect_pause(c[i], 3600 * SECOND, 3600 * SECOND), 0);
                assert_int_equal(busrt_client_connect_start(c[i], "/nonexistent/bus.sock"), 0);
                after = now_usec();
                assert_int_equal(busrt_client_get_timeout(c[i], &span[i]), 0);
                assert_true(span[i] >= before + 1800 * SECOND);
                assert_true(span[i] <= after + 3600 * SECOND);
                first = MIN(first, span[i]);
                last = MAX(last, span[i]);
        }
        assert_true(last - first > 60 * SECOND);
        for (int i = 0; i < N; i++)
                busrt_client_free(c[i]);
}

static void a_secondary_has_its_primarys_settings(void **state)
{
        _cleanup_client_ busrt_client *c = persistent_client(), *second = NULL;

        assert_int_equal(busrt_client_new_secondary(c, NULL, &second), 0);
        assert_int_equal(busrt_client_connect_start(second, "/nonexistent/bus.sock"), 0);
        assert_int_equal(busrt_client_get_state(second), BUSRT_STATE_CONNECTING);
        assert_int_equal(busrt_client_error(second), -ENOENT);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(comes_back_with_what_it_wished_for),
                cmocka_unit_test(wishes_of_the_time_between_hold),
                cmocka_unit_test(what_is_under_way_ends),
                cmocka_unit_test(what_waits_for_room_is_not_sent_on_the_next_connection),
                cmocka_unit_test(a_flush_ends_too),
                cmocka_unit_test(without_a_buffer_sending_fails_at_once),
                cmocka_unit_test(with_a_buffer_frames_wait_in_order),
                cmocka_unit_test(what_waits_ends_when_the_client_closes),
                cmocka_unit_test(a_cork_does_not_hold_it_up),
                cmocka_unit_test(who_only_sends_comes_back),
                cmocka_unit_test(a_request_is_replied_to_when_it_is_back),
                cmocka_unit_test(states_are_told_in_the_order_of_frames),
                cmocka_unit_test(states_wait_for_who_processes),
                cmocka_unit_test(a_handler_may_end_it),
                cmocka_unit_test(a_handler_may_free_it),
                cmocka_unit_test(a_handler_may_free_it_though_it_is_back),
                cmocka_unit_test(answers_that_end_it_and_answers_that_do_not),
                cmocka_unit_test(broken_frames_do_not_end_it),
                cmocka_unit_test(a_bound_is_kept),
                cmocka_unit_test(the_first_connection_is_tried_again_only_where_it_is_started),
                cmocka_unit_test(a_given_socket_has_nowhere_to_go_back_to),
                cmocka_unit_test(no_two_clients_keep_step),
                cmocka_unit_test(a_secondary_has_its_primarys_settings),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
