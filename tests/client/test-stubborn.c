/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promise: a broker that talks without end, dies while it is written to, or answers thousands of
 * operations from the last to the first, holds up no deadline and confuses no answer.
 */
#include <sys/socket.h>
#include <sys/un.h>

#include "client-bed.h"

#define ACKED BUSRT_QOS_PROCESSED
#define SOON (10 * SECOND)
#define AT_ONCE 50000 /* frames handled in one turn: some milliseconds */

/* --- Talk without end --- */

static void talk(struct fake *f, void *userdata)
{
        static char frames[6 * 14 * 200];

        for (size_t at = 0; at < sizeof(frames); at += 14)
                memcpy(frames + at, "\x12\x08\0\0\0\0you\0word", 14);
        fake_handshake(f);
        for (;;)
                fake_send(f, frames, sizeof(frames));
}

static void deadlines_hold_under_a_flood(void **state)
{
        _cleanup_client_ busrt_client *c = quiet_client("me");
        _cleanup_op_ busrt_op *op = NULL;
        struct fake *fake = fake_start(FAKE_UNIX, talk, NULL);
        uint64_t start = now_usec();

        assert_int_equal(busrt_client_connect(c, fake_address(fake)), 0);
        assert_int_equal(busrt_client_set_timeout(c, 50 * MSEC), 0);
        assert_int_equal(busrt_client_send(c, "you", NULL, 0, ACKED, NULL), -ETIMEDOUT);
        assert_int_equal(busrt_client_call(c, "you", "m", NULL, 0, 0, 50 * MSEC, NULL, NULL),
                         -ETIMEDOUT);
        assert_int_equal(busrt_client_send(c, "you", NULL, 0, ACKED, &op), 0);
        assert_int_equal(busrt_op_wait(op, 50 * MSEC), -ETIMEDOUT);
        assert_int_equal(busrt_op_wait(op, 0), -ETIMEDOUT);
        assert_true(now_usec() - start < SOON);
        fake_stop(fake);
}

static void count_frame(busrt_client *c, busrt_frame *frame, void *userdata)
{
        ++*(unsigned *)userdata;
}

/* One turn ends though there is always more. */
static void processing_is_bounded(void **state)
{
        _cleanup_client_ busrt_client *c = quiet_client("me");
        struct fake *fake = fake_start(FAKE_UNIX, talk, NULL);
        unsigned n = 0;

        assert_int_equal(busrt_client_set_frame_handler(c, count_frame, &n), 0);
        assert_int_equal(busrt_client_connect(c, fake_address(fake)), 0);
        while (n < 10 * AT_ONCE) {
                unsigned before = n;
                int r = busrt_client_process(c);

                assert_true(r >= 0);
                assert_true(n - before <= AT_ONCE);
                if (r == 0)
                        assert_true(busrt_client_wait(c, DEADLINE) >= 0);
        }
        assert_int_equal(busrt_client_disconnect(c), 0);
        fake_stop(fake);
}

/* --- Answers in reverse --- */

#define N_OPS 20000

static void ack_backwards(struct fake *f, void *userdata)
{
        static uint32_t ids[N_OPS];

        fake_handshake(f);
        for (unsigned i = 0; i < N_OPS; i++)
                ids[i] = fake_frame(f).op;
        for (unsigned i = N_OPS; i-- > 0;)
                fake_ack(f, ids[i], i % 2 ? 1 : 0x79);
        fake_acknowledge_all(f);
}

static void each_operation_gets_its_own_answer(void **state)
{
        _cleanup_client_ busrt_client *c = NULL;
        struct fake *fake = fake_start(FAKE_UNIX, ack_backwards, NULL);
        busrt_op **ops = calloc(N_OPS, sizeof(busrt_op *));

        c = connected_client(fake);
        assert_int_equal(busrt_client_cork(c), 0);
        for (unsigned i = 0; i < N_OPS; i++)
                assert_int_equal(busrt_client_publish(c, "t", NULL, 0, ACKED, &ops[i]), 0);
        assert_int_equal(busrt_client_uncork(c), 0);
        for (unsigned i = 0; i < N_OPS; i++) {
                assert_int_equal(busrt_op_wait(ops[i], DEADLINE), i % 2 ? 0 : -EACCES);
                busrt_op_unref(ops[i]);
        }
        free(ops);
        assert_int_equal(busrt_client_publish(c, "t", NULL, 0, ACKED, NULL), 0);
        fake_stop(fake);
}

static void reply_backwards(struct fake *f, void *userdata)
{
        static uint32_t ids[1000];

        fake_handshake(f);
        for (unsigned i = 0; i < ARRAY_SIZE(ids); i++) {
                struct fake_frame call = fake_frame(f);

                ids[i] = fake_call_id(f, &call);
                fake_ack(f, call.op, 1);
        }
        for (unsigned i = ARRAY_SIZE(ids); i-- > 0;)
                fake_reply(f, "you", 0x11, ids[i], &i, sizeof(i));
        fake_acknowledge_all(f);
}

struct answers {
        int done;
        unsigned n;
};

struct one_call {
        struct answers *answers;
        unsigned number;
};

static void compare_answer(busrt_client *c, int result, const busrt_rpc_error *error,
                           busrt_frame *reply, void *userdata)
{
        struct one_call *call = userdata;
        unsigned got = UINT32_MAX;

        assert_int_equal(result, 0);
        memcpy(&got, busrt_frame_get_payload(reply, NULL), sizeof(got));
        assert_int_equal(got, call->number);
        call->answers->done = ++call->answers->n == 1000;
}

static void each_call_gets_its_own_reply(void **state)
{
        static struct one_call calls[1000];
        _cleanup_client_ busrt_client *c = NULL;
        struct fake *fake = fake_start(FAKE_UNIX, reply_backwards, NULL);
        struct answers answers = {0};

        c = connected_client(fake);
        for (unsigned i = 0; i < ARRAY_SIZE(calls); i++) {
                calls[i] = (struct one_call){&answers, i};
                assert_int_equal(busrt_client_call_async(c, "you", "m", NULL, 0, 0, DEADLINE,
                                                         compare_answer, &calls[i], NULL),
                                 0);
        }
        process_until(c, is_set, &answers.done);
        fake_stop(fake);
}

/* --- The end, in the middle of a write --- */

static void take_none_and_die(struct fake *f, void *userdata)
{
        fake_handshake(f);
        fake_expect(f, LITERAL("\0\0\0\0\1")); /* its first frame begins, and no more is read */
        fake_die(f, *(const enum fake_end *)userdata);
}

static int write_until_it_ends(busrt_client *c, bool by_flush)
{
        static char bytes[100000];
        struct iovec iov = {bytes, sizeof(bytes)};
        int r;

        do {
                r = busrt_client_publish(c, "t", &iov, 1, BUSRT_QOS_NO, NULL);
                if (r == 0 && by_flush)
                        r = busrt_client_flush(c, BUSRT_TIMEOUT_DEFAULT);
        } while (r == 0);
        return r;
}

static void blocked_writes_end_with_the_broker(void **state)
{
        static const enum fake_end ends[] = {FAKE_CLOSE, FAKE_SHUTDOWN, FAKE_RESET, FAKE_HANG};
        static const enum fake_net nets[] = {FAKE_UNIX, FAKE_TCP};

        for (unsigned i = 0; i < ARRAY_SIZE(ends) * ARRAY_SIZE(nets) * 2; i++) {
                enum fake_end end = ends[i % 4];
                _cleanup_client_ busrt_client *c = quiet_client("me");
                struct fake *fake = fake_start(nets[i / 4 % 2], take_none_and_die, &end);
                uint64_t start = now_usec();
                int r;

                assert_int_equal(busrt_client_set_timeout(c, DEADLINE), 0);
                assert_int_equal(busrt_client_set_send_buffer(c, 65536), 0);
                assert_int_equal(busrt_client_connect(c, fake_address(fake)), 0);
                if (end == FAKE_HANG)
                        assert_int_equal(busrt_client_set_timeout(c, 20 * MSEC), 0);
                r = write_until_it_ends(c, i >= 8);
                if (end == FAKE_HANG)
                        assert_int_equal(r, -ETIMEDOUT);
                else
                        assert_true(r == -ECONNRESET || r == -ENOTCONN);
                assert_true(now_usec() - start < SOON);
                fake_stop(fake);
        }
}

/* --- A full backlog --- */

static int listen_at(char dir[], char path[64])
{
        struct sockaddr_un to = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        assert_non_null(mkdtemp(dir));
        snprintf(path, 64, "%s/bus.sock", dir);
        strcpy(to.sun_path, path);
        assert_int_equal(bind(fd, (struct sockaddr *)&to, sizeof(to)), 0);
        assert_int_equal(listen(fd, 0), 0);
        return fd;
}

/* The kernel says "again" and never when: the client tries until its time is up. */
static void a_full_backlog_is_tried_again(void **state)
{
        _cleanup_client_ busrt_client *first = quiet_client("a"), *second = quiet_client("b"),
                                      *late = quiet_client("c");
        char dir[] = "/tmp/busrt-full-XXXXXX", path[64];
        int listener = listen_at(dir, path), accepted[2];

        assert_int_equal(busrt_client_connect_start(first, path), 0);
        assert_int_equal(busrt_client_set_timeout(second, 30 * MSEC), 0);
        assert_int_equal(busrt_client_connect(second, path), -ETIMEDOUT);
        assert_int_equal(busrt_client_connect_start(late, path), 0);
        for (unsigned i = 0; i < 2; i++) {
                do {
                        assert_true(busrt_client_process(late) >= 0);
                        accepted[i] = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
                } while (accepted[i] < 0 && errno == EAGAIN);
                assert_true(accepted[i] >= 0);
        }
        assert_int_equal(write(accepted[1], "\xeb\1\0\1\1", 5), 5);
        while (busrt_client_get_state(late) == BUSRT_STATE_CONNECTING)
                assert_true(busrt_client_process(late) >= 0);
        assert_int_equal(busrt_client_get_state(late), BUSRT_STATE_CONNECTED);
        close(accepted[0]);
        close(accepted[1]);
        close(listener);
        assert_int_equal(unlink(path) | rmdir(dir), 0);
}

/* --- What is logged --- */

static void note_log(busrt_client *c, enum busrt_log_level level, const char *text, void *userdata)
{
        /* no lock is held: the client can be asked */
        assert_true(busrt_client_get_state(c) >= 0);
        assert_true(strlen(text) > 0 && !strchr(text, '\n'));
        *(enum busrt_log_level *)userdata = level;
}

static void say_nonsense(struct fake *f, void *userdata)
{
        fake_send(f, LITERAL("220 mail.example ESMTP\r\n"));
        fake_pause(f);
}

static void a_broken_protocol_is_logged(void **state)
{
        _cleanup_client_ busrt_client *c = quiet_client("me");
        struct fake *fake = fake_start(FAKE_UNIX, say_nonsense, NULL);
        enum busrt_log_level level = BUSRT_LOG_DEBUG;

        assert_int_equal(busrt_client_set_log_handler(c, note_log, &level), 0);
        assert_int_equal(busrt_client_connect(c, fake_address(fake)), -EPROTO);
        assert_int_equal(level, BUSRT_LOG_ERROR);
        fake_stop(fake);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(deadlines_hold_under_a_flood),
                cmocka_unit_test(processing_is_bounded),
                cmocka_unit_test(each_operation_gets_its_own_answer),
                cmocka_unit_test(each_call_gets_its_own_reply),
                cmocka_unit_test(blocked_writes_end_with_the_broker),
                cmocka_unit_test(a_full_backlog_is_tried_again),
                cmocka_unit_test(a_broken_protocol_is_logged),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
