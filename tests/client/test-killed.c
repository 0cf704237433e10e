/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promise: whatever the broker dies of, and wherever, each call ends in its time with an error that
 * says so, and nothing is left of the client. Each case runs once for every byte of its
 * conversation and each way to die: closed, shut down, reset (UNIX and TCP), and hanging.
 */
#include <pthread.h>

#include "client-bed.h"

#define PATIENCE (10 * MSEC) /* of the client with a broker that hangs */
#define SOON (10 * SECOND)   /* no waiting: a loaded machine's time for some system calls */
#define NEVER SIZE_MAX
#define HANDSHAKE_BYTES (3 + 3 + 1 + 2 + 2 + 1)

struct kill_case {
        const char *name;
        fake_script broker;
        /* 0 or -errno. The client is connected. */
        int (*call)(busrt_client *c);
        /* Succeeds only if the broker comes to the end of its script. */
        bool needs_all;
        busrt_request_handler serves;
};

static uint64_t patience; /* of the client that runs now */

/* --- What the broker would do --- */

static void join(struct fake *f, void *userdata)
{
        fake_handshake(f);
}

static void join_and_ack(struct fake *f, void *userdata)
{
        fake_handshake(f);
        fake_ack(f, fake_frame(f).op, 1);
}

static void join_and_take(struct fake *f, void *userdata)
{
        fake_handshake(f);
        fake_frame(f);
}

static void join_and_deliver(struct fake *f, void *userdata)
{
        fake_handshake(f);
        fake_deliver(f, 0x01, LITERAL("you\0topic\0hello"));
}

static void join_and_reply(struct fake *f, void *userdata)
{
        fake_handshake(f);
        fake_serve_call(f, LITERAL("result"));
}

static void join_and_request(struct fake *f, void *userdata)
{
        fake_handshake(f);
        fake_request(f, "you", 7, "m");
        fake_ack(f, fake_frame(f).op, 1);
}

/* --- What the client does --- */

static int nothing_more(busrt_client *c)
{
        return 0;
}

#define ACKED BUSRT_QOS_PROCESSED
#define CALL(name, ...)                                                                            \
        static int name(busrt_client *c)                                                           \
        {                                                                                          \
                return __VA_ARGS__;                                                                \
        }

static const char *const topics[] = {"a/#", "b"};

CALL(send_acked, busrt_client_send(c, "you", IOV("x"), ACKED, NULL))
CALL(send_urgent, busrt_client_send(c, "you", IOV("x"), BUSRT_QOS_REALTIME_PROCESSED, NULL))
CALL(broadcast, busrt_client_broadcast(c, "*", IOV("x"), ACKED, NULL))
CALL(publish, busrt_client_publish(c, "t", IOV("x"), ACKED, NULL))
CALL(publish_for, busrt_client_publish_for(c, "t", "you", IOV("x"), ACKED, NULL))
CALL(subscribe, busrt_client_subscribe(c, topics, 2, ACKED, NULL))
CALL(unsubscribe, busrt_client_unsubscribe(c, topics, 2, ACKED, NULL))
CALL(exclude, busrt_client_exclude(c, topics, 2, ACKED, NULL))
CALL(unexclude, busrt_client_unexclude(c, topics, 2, ACKED, NULL))
CALL(notify, busrt_client_notify(c, "you", IOV("x"), ACKED, NULL))
CALL(call0, busrt_client_call0(c, "you", "m", IOV("x"), ACKED, NULL))

static int send_and_flush(busrt_client *c)
{
        int r = busrt_client_send(c, "you", IOV("x"), BUSRT_QOS_NO, NULL);

        return r < 0 ? r : busrt_client_flush(c, BUSRT_TIMEOUT_DEFAULT);
}

static int corked(busrt_client *c)
{
        _cleanup_op_ busrt_op *op = NULL;
        int r = busrt_client_cork(c), s;

        if (r < 0)
                return r;
        r = busrt_client_send(c, "you", IOV("x"), ACKED, &op);
        s = busrt_client_uncork(c);
        if (r < 0 || s < 0)
                return r < 0 ? r : s;
        return busrt_op_wait(op, BUSRT_TIMEOUT_DEFAULT);
}

static int wait_later(busrt_client *c)
{
        _cleanup_op_ busrt_op *op = NULL;
        int r = busrt_client_send(c, "you", IOV("x"), ACKED, &op);

        if (r < 0) {
                assert_null(op);
                return r;
        }
        r = busrt_op_wait(op, BUSRT_TIMEOUT_DEFAULT);
        if (r != -ETIMEDOUT)
                assert_int_equal(busrt_op_result(op), r);
        return r;
}

static int read_frame(busrt_client *c)
{
        _cleanup_frame_ busrt_frame *frame = NULL;
        int r = busrt_client_read(c, BUSRT_TIMEOUT_DEFAULT, &frame);
        size_t len;

        if (r < 0) {
                assert_null(frame);
                return r;
        }
        assert_string_equal(busrt_frame_get_sender(frame), "you");
        assert_string_equal(busrt_frame_get_topic(frame), "topic");
        assert_memory_equal(busrt_frame_get_payload(frame, &len), "hello", 5);
        assert_int_equal(len, 5);
        return r;
}

static int call_and_wait(busrt_client *c)
{
        _cleanup_frame_ busrt_frame *reply = NULL;
        busrt_rpc_error error = BUSRT_RPC_ERROR_INIT;
        int r = busrt_client_call(c, "you", "m", IOV("x"), 0, BUSRT_TIMEOUT_DEFAULT, &error,
                                  &reply);

        assert_true((r == 0) == (reply != NULL));
        assert_int_equal(error.code, 0);
        assert_null(error.data);
        return r;
}

/* --- With handlers --- */

struct ended {
        int done, result;
};

/* Until the handler was called, or time is up, or the connection has gone. */
static int process_for(busrt_client *c, struct ended *e)
{
        uint64_t until = now_usec() + SOON;

        while (!e->done) {
                int r = busrt_client_process(c);

                if (r < 0)
                        return e->done ? e->result : r;
                if (r == 0)
                        (void)busrt_client_wait(c, SECOND);
                assert_true(now_usec() < until);
        }
        return e->result;
}

static void op_ended(busrt_op *op, int result, void *userdata)
{
        *(struct ended *)userdata = (struct ended){1, result};
}

static int wait_by_handler(busrt_client *c)
{
        struct ended e = {0};
        busrt_op *op = NULL;
        int r = busrt_client_send(c, "you", IOV("x"), ACKED, &op);

        if (r < 0)
                return r;
        r = busrt_op_wait(op, BUSRT_TIMEOUT_DEFAULT);
        assert_int_equal(busrt_op_result(op), r == -ETIMEDOUT ? -EINPROGRESS : r);
        assert_int_equal(busrt_op_set_handler(op, op_ended, &e), 0);
        if (busrt_op_result(op) == -EINPROGRESS)
                assert_int_equal(busrt_client_disconnect(c), 0); /* a handler has no deadline */
        r = process_for(c, &e);
        assert_int_equal(e.done, 1);
        busrt_op_unref(op);
        return r;
}

static void call_ended(busrt_client *c, int result, const busrt_rpc_error *error,
                       busrt_frame *reply, void *userdata)
{
        struct ended *e = userdata;

        *e = (struct ended){e->done + 1, result};
}

static int call_async(busrt_client *c)
{
        struct ended e = {0};
        int r = busrt_client_call_async(c, "you", "m", IOV("x"), 0, BUSRT_TIMEOUT_DEFAULT,
                                        call_ended, &e, NULL);

        if (r < 0)
                return r;
        r = process_for(c, &e);
        assert_int_equal(e.done, 1); /* once, and also when the connection goes */
        return r;
}

/* What the request handler does, and what came of it. Set before connecting: the request is there
 * as soon as the handshake is over. */
static struct ended served;
static busrt_request *kept;

static void answer(busrt_client *c, busrt_request *request, void *userdata)
{
        served = (struct ended){1, busrt_request_reply(request, IOV("result"))};
}

static void answer_error(busrt_client *c, busrt_request *request, void *userdata)
{
        served =
                (struct ended){1, busrt_request_reply_error(request, BUSRT_RPC_NOT_FOUND, "no", 2)};
}

static void answer_never(busrt_client *c, busrt_request *request, void *userdata)
{
        served = (struct ended){1, 0};
}

static void keep(busrt_client *c, busrt_request *request, void *userdata)
{
        kept = busrt_request_ref(request);
        served = (struct ended){1, 0};
}

/* While the request does not come, the client's own patience is to end this. */
static int serve(busrt_client *c)
{
        uint64_t until = now_usec() + patience;
        int r = 0;

        while (r >= 0 && !served.done && now_usec() < until) {
                r = busrt_client_process(c);
                if (r == 0)
                        (void)busrt_client_wait(c, MSEC);
        }
        if (!served.done)
                return r < 0 ? r : -ETIMEDOUT;
        return served.result;
}

static int reply(busrt_client *c)
{
        int r = serve(c);

        return r < 0 ? r : busrt_client_flush(c, BUSRT_TIMEOUT_DEFAULT);
}

/* The request outlives the handler, and the connection. */
static int reply_later(busrt_client *c)
{
        int r = serve(c);

        if (r < 0)
                return r;
        assert_string_equal(busrt_request_get_method(kept), "m");
        r = busrt_request_reply(kept, IOV("result"));
        if (r == 0)
                assert_int_equal(busrt_request_reply(kept, NULL, 0), -EALREADY);
        kept = busrt_request_unref(kept);
        return r < 0 ? r : busrt_client_flush(c, BUSRT_TIMEOUT_DEFAULT);
}

/* --- While another thread is in the client --- */

struct elsewhere {
        busrt_client *client;
        int (*call)(busrt_client *c);
        int result;
        bool leave;
};

static void *run_loop(void *userdata)
{
        struct elsewhere *e = userdata;

        e->result = busrt_client_run(e->client);
        return NULL;
}

static void *run_call(void *userdata)
{
        struct elsewhere *e = userdata;

        e->result = e->call(e->client);
        return NULL;
}

/* A loop in another thread reads; this one waits. */
static int beside_a_loop(busrt_client *c, int (*call)(busrt_client *))
{
        struct elsewhere e = {.client = c};
        pthread_t thread;
        int r;

        assert_int_equal(pthread_create(&thread, NULL, run_loop, &e), 0);
        r = call(c);
        if (r == 0 || r == -ETIMEDOUT)
                (void)busrt_client_disconnect(c);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_true(e.result < 0);
        assert_int_equal(e.result, busrt_client_error(c));
        return r;
}

/* Two wait at once: one of them reads. */
static int beside_a_reader(busrt_client *c, int (*call)(busrt_client *))
{
        struct elsewhere e = {.client = c, .call = read_frame};
        pthread_t thread;
        int r;

        assert_int_equal(pthread_create(&thread, NULL, run_call, &e), 0);
        r = call(c);
        if (r == 0 || r == -ETIMEDOUT)
                (void)busrt_client_disconnect(c);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_true(e.result == -ECONNRESET || e.result == -ETIMEDOUT || e.result == -ENOTCONN);
        return r;
}

CALL(send_beside_a_loop, beside_a_loop(c, send_acked))
CALL(call_beside_a_loop, beside_a_loop(c, call_and_wait))
CALL(read_beside_a_loop, beside_a_loop(c, read_frame))
CALL(send_beside_a_reader, beside_a_reader(c, send_acked))
CALL(call_beside_a_reader, beside_a_reader(c, call_and_wait))

/* --- All of it --- */

#define CASE(name, ...)                                                                            \
        {                                                                                          \
#name, __VA_ARGS__, name, true                                                     \
        }
#define ONE_WAY(name, ...)                                                                         \
        {                                                                                          \
#name, __VA_ARGS__, name, false                                                    \
        }

static const struct kill_case cases[] = {
        CASE(nothing_more, join),
        CASE(send_acked, join_and_ack),
        CASE(send_urgent, join_and_ack),
        CASE(broadcast, join_and_ack),
        CASE(publish, join_and_ack),
        CASE(publish_for, join_and_ack),
        CASE(subscribe, join_and_ack),
        CASE(unsubscribe, join_and_ack),
        CASE(exclude, join_and_ack),
        CASE(unexclude, join_and_ack),
        CASE(notify, join_and_ack),
        CASE(call0, join_and_ack),
        CASE(wait_later, join_and_ack),
        CASE(wait_by_handler, join_and_ack),
        CASE(corked, join_and_ack),
        ONE_WAY(send_and_flush, join_and_take),
        CASE(read_frame, join_and_deliver),
        CASE(call_and_wait, join_and_reply),
        CASE(call_async, join_and_reply),
        {"reply", join_and_request, reply, false, answer},
        {"reply_error", join_and_request, reply, false, answer_error},
        {"reply_never", join_and_request, reply, false, answer_never},
        {"reply_later", join_and_request, reply_later, false, keep},
        CASE(send_beside_a_loop, join_and_ack),
        CASE(call_beside_a_loop, join_and_reply),
        CASE(read_beside_a_loop, join_and_deliver),
        CASE(send_beside_a_reader, join_and_ack),
        CASE(call_beside_a_reader, join_and_reply),
};

static void expect_dead(busrt_client *c, int why)
{
        assert_int_equal(busrt_client_get_state(c), BUSRT_STATE_CLOSED);
        assert_int_equal(busrt_client_error(c), why);
        assert_int_equal(busrt_client_send(c, "you", NULL, 0, BUSRT_QOS_NO, NULL), -ENOTCONN);
}

/* Returns the bytes of the whole conversation. */
static size_t run(const struct kill_case *k, enum fake_net net, size_t at, enum fake_end how,
                  int *ret_result)
{
        struct fake *fake = fake_start_dying(net, k->broker, NULL, at, how);
        uint64_t start;
        busrt_client *c = quiet_client("me");
        size_t n = 0;
        int r;

        patience = how == FAKE_HANG && at != NEVER ? PATIENCE : DEADLINE;
        assert_int_equal(busrt_client_set_timeout(c, patience), 0);
        served = (struct ended){0};
        assert_int_equal(busrt_client_set_request_handler(c, k->serves, NULL), 0);
        start = now_usec();
        r = busrt_client_connect(c, fake_address(fake));
        if (r < 0)
                expect_dead(c, r);
        else
                r = k->call(c);
        if (now_usec() - start >= SOON)
                fail_msg("%s, at byte %zu, end %d: too late with %d", k->name, at, how, r);
        if (at == NEVER)
                n = fake_await_end(fake);
        busrt_client_free(c);
        fake_stop(fake);
        *ret_result = r;
        return n;
}

static void judge(const struct kill_case *k, size_t at, size_t n, enum fake_end how, int r)
{
        bool may_succeed = !k->needs_all || at == n, right;

        if (r == 0)
                right = may_succeed;
        else if (how == FAKE_HANG)
                right = r == -ETIMEDOUT;
        else
                right = (r == -ECONNRESET || r == -ENOTCONN) &&
                        (at < n || !k->needs_all || how == FAKE_RESET); /* it overtakes */
        /* wait_by_handler has no other end */
        if (how == FAKE_HANG && k->call == wait_by_handler && r == -ECONNRESET)
                right = at < n;
        if (!right)
                fail_msg("%s, at byte %zu of %zu, end %d: %d", k->name, at, n, how, r);
}

static void kill_at_every_byte(enum fake_net net, enum fake_end how)
{
        size_t n_fds = count_fds(), n_runs = 0;

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                const struct kill_case *k = &cases[i];
                size_t n, end;
                int r;

                n = run(k, net, NEVER, how, &r);
                if (r != 0)
                        fail_msg("%s: %d with a good broker", k->name, r);
                end = how == FAKE_HANG ? n : n + 1;
                for (size_t at = 0; at < end; at++, n_runs++) {
                        run(k, net, at, how, &r);
                        judge(k, at, n, how, r);
                        assert_int_equal(count_fds(), n_fds);
                }
        }
        print_message("%zu brokers died\n", n_runs);
}

static void broker_closes(void **state)
{
        kill_at_every_byte(FAKE_UNIX, FAKE_CLOSE);
}

static void broker_shuts_down(void **state)
{
        kill_at_every_byte(FAKE_UNIX, FAKE_SHUTDOWN);
}

static void broker_resets(void **state)
{
        kill_at_every_byte(FAKE_TCP, FAKE_RESET);
}

static void broker_closes_tcp(void **state)
{
        kill_at_every_byte(FAKE_TCP, FAKE_CLOSE);
}

static void broker_hangs(void **state)
{
        kill_at_every_byte(FAKE_UNIX, FAKE_HANG);
}

/* --- Connecting without waiting --- */

static void note_state(busrt_client *c, enum busrt_state state, int error, void *userdata)
{
        struct ended *e = userdata;

        if (state == BUSRT_STATE_CONNECTED)
                *e = (struct ended){1, 0};
        if (state == BUSRT_STATE_CLOSED)
                *e = (struct ended){1, error};
}

static int start_and_process(enum fake_net net, size_t at, enum fake_end how)
{
        _cleanup_fake_ struct fake *fake = fake_start_dying(net, join, NULL, at, how);
        _cleanup_client_ busrt_client *c = quiet_client("me");
        struct ended e = {0};
        int r;

        if (how == FAKE_HANG)
                assert_int_equal(busrt_client_set_timeout(c, PATIENCE), 0);
        assert_int_equal(busrt_client_set_state_handler(c, note_state, &e), 0);
        assert_int_equal(busrt_client_connect_start(c, fake_address(fake)), 0);
        r = process_for(c, &e);
        assert_int_equal(e.done, 1);
        if (r < 0)
                expect_dead(c, r);
        return r;
}

static void connecting_is_started_only(void **state)
{
        static const enum fake_net nets[] = {FAKE_UNIX, FAKE_TCP};
        static const size_t n = HANDSHAKE_BYTES;
        size_t n_fds = count_fds();

        for (size_t i = 0; i < ARRAY_SIZE(nets); i++) {
                for (size_t at = 0; at < n; at++) {
                        assert_int_equal(start_and_process(nets[i], at, FAKE_CLOSE), -ECONNRESET);
                        assert_int_equal(start_and_process(nets[i], at, FAKE_RESET), -ECONNRESET);
                        assert_int_equal(start_and_process(nets[i], at, FAKE_HANG), -ETIMEDOUT);
                        assert_int_equal(count_fds(), n_fds);
                }
                assert_int_equal(start_and_process(nets[i], NEVER, FAKE_CLOSE), 0);
        }
}

static int connect_pair(size_t at, enum fake_end how)
{
        _cleanup_fake_ struct fake *fake = fake_start_dying(FAKE_PAIR, join, NULL, at, how);
        _cleanup_client_ busrt_client *c = quiet_client("me");
        int fd = fake_take_fd(fake), r;

        if (how == FAKE_HANG)
                assert_int_equal(busrt_client_set_timeout(c, PATIENCE), 0);
        r = busrt_client_connect_fd(c, fd);
        if (r < 0)
                close(fd); /* it is ours still */
        if (r < 0)
                expect_dead(c, r);
        return r;
}

static void connecting_over_a_given_socket(void **state)
{
        size_t n_fds = count_fds();

        for (size_t at = 0; at < HANDSHAKE_BYTES; at++) {
                assert_int_equal(connect_pair(at, FAKE_CLOSE), -ECONNRESET);
                assert_int_equal(connect_pair(at, FAKE_SHUTDOWN), -ECONNRESET);
                assert_int_equal(connect_pair(at, FAKE_HANG), -ETIMEDOUT);
                assert_int_equal(count_fds(), n_fds);
        }
        assert_int_equal(connect_pair(NEVER, FAKE_CLOSE), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(broker_closes),
                cmocka_unit_test(broker_shuts_down),
                cmocka_unit_test(broker_closes_tcp),
                cmocka_unit_test(broker_resets),
                cmocka_unit_test(broker_hangs),
                cmocka_unit_test(connecting_is_started_only),
                cmocka_unit_test(connecting_over_a_given_socket),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
