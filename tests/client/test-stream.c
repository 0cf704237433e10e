/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promise: a client over a stream of the program's own is as any other, whatever portions the
 * stream takes and gives; and the stream is closed once, however it ends. The stream is a broker's
 * script in the test's own memory: what it gives, and what it has been given.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/wait.h>

#include "client-bed.h"

#define ACKED BUSRT_QOS_PROCESSED
#define HANDSHAKE "\xeb\x01\0\x01\x01"
#define NAMED 7 /* bytes of the client's handshake, as "me" */

struct script {
        int fd;               /* readable while there is something to give, or it has ended */
        const uint8_t *gives; /* what is still to be read */
        size_t n_gives, per_read;
        int read_end; /* after that: 0 the end, -EAGAIN nothing yet, or an error */
        uint8_t taken[65536];
        size_t n_taken, per_write;
        unsigned refuse_writes; /* so many are -EAGAIN first */
        int write_error;        /* 0: none */
        unsigned acks;          /* given for each frame that asks for one */
        bool pings_for_ever;    /* there is always something to read */
        unsigned n_reads, n_writes, n_closed;
};

static void tell(struct script *s)
{
        assert_int_equal(eventfd_write(s->fd, 1), 0);
}

static ssize_t give(void *userdata, void *to, size_t size)
{
        static const uint8_t ping[6];
        struct script *s = userdata;
        size_t n = MIN(MIN(size, s->n_gives), s->per_read);
        eventfd_t count;

        s->n_reads++;
        assert_int_equal(s->n_closed, 0);
        if (n == 0 && s->pings_for_ever) {
                memcpy(to, ping, sizeof(ping));
                return sizeof(ping);
        }
        if (n == 0 && s->read_end == -EAGAIN)
                (void)eventfd_read(s->fd, &count);
        if (n == 0)
                return s->read_end;
        memcpy(to, s->gives, n);
        s->gives += n;
        s->n_gives -= n;
        return (ssize_t)n;
}

/* Acknowledges the one frame that the test sends. */
static void acknowledge(struct script *s)
{
        static uint8_t ack[6];

        if (s->acks == 0 || s->n_taken < NAMED + 9)
                return;
        s->acks--;
        memcpy(ack, "\xfe\0\0\0\0\x01", 6);
        memcpy(ack + 1, s->taken + NAMED, 4);
        s->gives = ack;
        s->n_gives = sizeof(ack);
        tell(s);
}

static ssize_t take(void *userdata, const struct iovec *iov, size_t n)
{
        struct script *s = userdata;
        size_t done = 0;

        s->n_writes++;
        assert_int_equal(s->n_closed, 0);
        if (s->write_error)
                return s->write_error;
        if (s->refuse_writes > 0) {
                s->refuse_writes--;
                return -EAGAIN;
        }
        for (size_t i = 0; i < n && done < s->per_write; i++) {
                size_t len = MIN(iov[i].iov_len, s->per_write - done);

                assert_true(s->n_taken + len <= sizeof(s->taken));
                memcpy(s->taken + s->n_taken, iov[i].iov_base, len);
                s->n_taken += len;
                done += len;
        }
        acknowledge(s);
        return (ssize_t)done;
}

static void end(void *userdata)
{
        struct script *s = userdata;

        s->n_closed++;
        close(s->fd);
}

/* One that greets and accepts any name. */
static struct script new_script(void)
{
        struct script s = {.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
                           .gives = (const uint8_t *)HANDSHAKE,
                           .n_gives = sizeof(HANDSHAKE) - 1,
                           .per_read = SIZE_MAX,
                           .per_write = SIZE_MAX,
                           .read_end = -EAGAIN};

        tell(&s);
        return s;
}

static busrt_stream stream_of(struct script *s)
{
        return (busrt_stream){
                .fd = s->fd, .read = give, .write = take, .close = end, .userdata = s};
}

static int connect_to(busrt_client *c, struct script *s)
{
        busrt_stream stream = stream_of(s);

        return busrt_client_connect_stream(c, &stream);
}

/* --- Bytes in any portions --- */

static void everything_in_portions(void **state)
{
        static const size_t portions[] = {1, 2, 3, 7, SIZE_MAX};
        static const char sent[] = "\xeb\x01\0\x02\0me\0\0\0\0\x12\x08\0\0\0you\0text";
        static const char came[] = "\x12\x08\0\0\0\0you\0text\x12\x08\0\0\0\0you\0more";

        for (size_t i = 0; i < ARRAY_SIZE(portions) * ARRAY_SIZE(portions); i++) {
                _cleanup_client_ busrt_client *c = quiet_client("me");
                struct script s = new_script();

                s.per_read = portions[i % ARRAY_SIZE(portions)];
                s.per_write = portions[i / ARRAY_SIZE(portions)];
                assert_int_equal(connect_to(c, &s), 0);
                assert_string_equal(busrt_client_get_address(c), "a given stream");
                assert_int_equal(busrt_client_send(c, "you", IOV("text"), 0, NULL), 0);
                assert_int_equal(busrt_client_flush(c, DEADLINE), 0);
                assert_int_equal(s.n_taken, sizeof(sent) - 1);
                assert_memory_equal(s.taken, sent, NAMED);
                assert_memory_equal(s.taken + NAMED + 4, sent + NAMED + 4,
                                    sizeof(sent) - 1 - NAMED - 4); /* but for the op's number */
                s.gives = (const uint8_t *)came;
                s.n_gives = sizeof(came) - 1;
                tell(&s);
                for (unsigned k = 0; k < 2; k++) {
                        _cleanup_frame_ busrt_frame *f = NULL;
                        size_t len;

                        assert_int_equal(busrt_client_read(c, DEADLINE, &f), 0);
                        assert_memory_equal(busrt_frame_get_payload(f, &len), k ? "more" : "text",
                                            4);
                }
                c = busrt_client_free(c);
                assert_int_equal(s.n_closed, 1);
        }
}

/* A frame that it does not take at once goes when it is told of room. */
static void a_stream_that_is_full(void **state)
{
        _cleanup_client_ busrt_client *c = quiet_client("me");
        struct script s = new_script();

        assert_int_equal(connect_to(c, &s), 0);
        assert_int_equal(busrt_client_process(c), 1); /* the state handler's turn */
        while (busrt_client_process(c) == 1)
                ;
        s.refuse_writes = 2;
        s.n_writes = 0;
        assert_int_equal(busrt_client_send(c, "you", IOV("text"), 0, NULL), 0);
        assert_int_equal(busrt_client_get_unsent(c), 9 + 8);
        assert_int_equal(busrt_client_wait(c, 0), 0); /* it is not asked for nothing */
        tell(&s);
        assert_int_equal(busrt_client_wait(c, DEADLINE), 1);
        for (unsigned i = 0; i < 3 && busrt_client_get_unsent(c) > 0; i++)
                assert_true(busrt_client_process(c) >= 0);
        assert_int_equal(busrt_client_get_unsent(c), 0);
        assert_int_equal(s.n_taken, NAMED + 9 + 8);
        c = busrt_client_free(c);
        assert_int_equal(s.n_closed, 1);
}

/* What waits to be written is, though there is always something to read. */
static void reading_does_not_hold_up_writing(void **state)
{
        _cleanup_client_ busrt_client *c = quiet_client("me");
        struct script s = new_script();

        assert_int_equal(connect_to(c, &s), 0);
        s.pings_for_ever = true;
        s.refuse_writes = 3;
        s.acks = 1;
        assert_int_equal(busrt_client_set_timeout(c, 5 * SECOND), 0);
        assert_int_equal(busrt_client_send(c, "you", IOV("text"), ACKED, NULL), 0);
        c = busrt_client_free(c);
        assert_int_equal(s.n_closed, 1);
}

/* --- Ends --- */

struct ending {
        const char *gives;
        size_t n_gives;
        int read_end, write_error, result;
};

static void it_ends_while_connecting(void **state)
{
        static const struct ending rows[] = {
                {"", 0, 0, 0, -ECONNRESET},
                {"\xeb", 1, 0, 0, -ECONNRESET},
                {"\xeb\x01\0", 3, 0, 0, -ECONNRESET},
                {"\xeb\x01\0\x01", 4, 0, 0, -ECONNRESET},
                {"", 0, -EIO, 0, -EIO},
                {"\xeb\x01\0", 3, -EIO, 0, -EIO},
                {"\xeb\x01\0", 3, -EAGAIN, -EIO, -ECONNRESET},
                {"\xeb\x01\0", 3, -EAGAIN, -EPIPE, -ECONNRESET},
                {"\xeb\x02\0", 3, -EAGAIN, 0, -EPROTO},
                {"GET / HTTP", 10, -EAGAIN, 0, -EPROTO},
                {"\xeb\x01\0\x75", 4, -EAGAIN, 0, -EOPNOTSUPP},
                {"\xeb\x01\0\x01\x76", 5, -EAGAIN, 0, -EBUSY},
                {"\xeb\x01\0\x01\x79", 5, 0, 0, -EACCES},
                {"\xeb\x01\0\x01\x72", 5, 0, 0, -EBADMSG},
                {"", 0, -EAGAIN, 0, -ETIMEDOUT},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_client_ busrt_client *c = quiet_client("me");
                struct script s = new_script();
                int r;

                s.gives = (const uint8_t *)rows[i].gives;
                s.n_gives = rows[i].n_gives;
                s.read_end = rows[i].read_end;
                s.write_error = rows[i].write_error;
                assert_int_equal(busrt_client_set_timeout(c, 50 * MSEC), 0);
                r = connect_to(c, &s);
                if (r != rows[i].result || s.n_closed != 1)
                        fail_msg("row %zu: %d, closed %u times", i, r, s.n_closed);
                assert_int_equal(busrt_client_get_state(c), BUSRT_STATE_CLOSED);
                c = busrt_client_free(c);
                assert_int_equal(s.n_closed, 1);
        }
}

/* Nobody comes back by a stream. */
static void it_ends_afterwards(void **state)
{
        static const struct ending rows[] = {
                {"", 0, 0, 0, -ECONNRESET},
                {"\x12\xff", 2, 0, 0, -ECONNRESET},
                {"", 0, -EIO, 0, -EIO},
                {"\x77\0\0\0\0\0", 6, -EAGAIN, 0, -EPROTO},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_client_ busrt_client *c = quiet_client("me");
                _cleanup_frame_ busrt_frame *f = NULL;
                struct script s = new_script();

                assert_int_equal(busrt_client_set_reconnect(c, BUSRT_TIMEOUT_INFINITE), 0);
                assert_int_equal(connect_to(c, &s), 0);
                s.gives = (const uint8_t *)rows[i].gives;
                s.n_gives = rows[i].n_gives;
                s.read_end = rows[i].read_end;
                tell(&s);
                assert_int_equal(busrt_client_read(c, DEADLINE, &f), -ECONNRESET);
                assert_int_equal(busrt_client_error(c), rows[i].result);
                assert_int_equal(s.n_closed, 1);
                assert_int_equal(busrt_client_disconnect(c), 0);
                c = busrt_client_free(c);
                assert_int_equal(s.n_closed, 1);
        }
}

/* What the broker said before it took nothing more is still read. */
static void a_write_fails(void **state)
{
        static const char last[] = "\x12\x08\0\0\0\0you\0text";
        _cleanup_client_ busrt_client *c = quiet_client("me");
        _cleanup_frame_ busrt_frame *f = NULL;
        struct script s = new_script();

        assert_int_equal(connect_to(c, &s), 0);
        s.gives = (const uint8_t *)last;
        s.n_gives = sizeof(last) - 1;
        s.read_end = 0;
        s.write_error = -EPIPE;
        assert_int_equal(busrt_client_send(c, "you", IOV("text"), 0, NULL), -ECONNRESET);
        assert_int_equal(busrt_client_read(c, DEADLINE, &f), 0);
        assert_string_equal(busrt_frame_get_sender(f), "you");
        busrt_frame_unref(f);
        f = NULL;
        assert_int_equal(busrt_client_read(c, DEADLINE, &f), -ECONNRESET);
        assert_int_equal(s.n_closed, 1);
}

/* --- Another thread --- */

static void *wait_for_frames(void *userdata)
{
        busrt_frame *f;

        return (void *)(intptr_t)busrt_client_read(userdata, BUSRT_TIMEOUT_INFINITE, &f);
}

/* Who sleeps on the stream is woken, and closes it. */
static void closed_under_a_sleeping_reader(void **state)
{
        for (unsigned i = 0; i < 20; i++) {
                _cleanup_client_ busrt_client *c = quiet_client("me");
                struct script s = new_script();
                pthread_t thread;
                void *r;

                assert_int_equal(connect_to(c, &s), 0);
                assert_int_equal(pthread_create(&thread, NULL, wait_for_frames, c), 0);
                if (i % 2)
                        sched_yield();
                assert_int_equal(busrt_client_disconnect(c), 0);
                assert_int_equal(pthread_join(thread, &r), 0);
                assert_true((intptr_t)r == -ECONNRESET || (intptr_t)r == -ENOTCONN);
                c = busrt_client_free(c);
                assert_int_equal(s.n_closed, 1);
        }
}

/* --- Misuse --- */

static void what_is_no_stream(void **state)
{
        _cleanup_client_ busrt_client *c = quiet_client("me");
        struct script s = new_script();
        busrt_stream whole = stream_of(&s), part;

        assert_int_equal(busrt_client_connect_stream(c, NULL), -EINVAL);
        assert_int_equal(busrt_client_connect_stream(NULL, &whole), -EINVAL);
        part = whole;
        part.fd = -1;
        assert_int_equal(busrt_client_connect_stream(c, &part), -EINVAL);
        part = whole;
        part.read = NULL;
        assert_int_equal(busrt_client_connect_stream(c, &part), -EINVAL);
        part = whole;
        part.write = NULL;
        assert_int_equal(busrt_client_connect_stream(c, &part), -EINVAL);
        part = whole;
        part.close = NULL;
        assert_int_equal(busrt_client_connect_stream(c, &part), -EINVAL);
        /* None of these has touched it, or the client. */
        assert_int_equal(s.n_closed + s.n_reads + s.n_writes, 0);
        assert_int_equal(busrt_client_connect_stream(c, &whole), 0);
}

static void connected_already(void **state)
{
        _cleanup_client_ busrt_client *c = quiet_client("me");
        struct script s = new_script(), second = new_script();

        assert_int_equal(connect_to(c, &s), 0);
        assert_int_equal(connect_to(c, &second), -EISCONN);
        assert_int_equal(second.n_closed, 1); /* it was the client's all the same */
        assert_int_equal(second.n_reads + second.n_writes, 0);
        assert_int_equal(s.n_closed, 0);
        assert_int_equal(busrt_client_connect(c, "x.sock"), -EISCONN);
}

static void connect_in_handler(busrt_client *c, busrt_frame *frame, void *userdata)
{
        struct script *second = userdata;

        assert_int_equal(connect_to(c, second), -EISCONN);
}

static void from_a_handler(void **state)
{
        static const char one[] = "\x12\x08\0\0\0\0you\0text";
        _cleanup_client_ busrt_client *c = quiet_client("me");
        struct script s = new_script(), second = new_script();

        assert_int_equal(connect_to(c, &s), 0);
        assert_int_equal(busrt_client_set_frame_handler(c, connect_in_handler, &second), 0);
        s.gives = (const uint8_t *)one;
        s.n_gives = sizeof(one) - 1;
        tell(&s);
        while (second.n_closed == 0)
                assert_true(busrt_client_process(c) >= 0);
        assert_int_equal(s.n_closed, 0);
}

static void after_fork(void **state)
{
        _cleanup_client_ busrt_client *c = quiet_client("me"), *fresh = quiet_client("other");
        struct script s = new_script(), second = new_script();
        int status;
        pid_t pid;

        assert_int_equal(connect_to(c, &s), 0);
        pid = fork();
        if (pid == 0)
                _exit(connect_to(fresh, &second) != -ECHILD || second.n_closed != 0 ||
                      busrt_client_ping(c) != -ECHILD || busrt_client_free(c) || s.n_closed != 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        assert_int_equal(busrt_client_ping(c), 0);
        end(&second);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(everything_in_portions),
                cmocka_unit_test(a_stream_that_is_full),
                cmocka_unit_test(reading_does_not_hold_up_writing),
                cmocka_unit_test(it_ends_while_connecting),
                cmocka_unit_test(it_ends_afterwards),
                cmocka_unit_test(a_write_fails),
                cmocka_unit_test(closed_under_a_sleeping_reader),
                cmocka_unit_test(what_is_no_stream),
                cmocka_unit_test(connected_already),
                cmocka_unit_test(from_a_handler),
                cmocka_unit_test(after_fork),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
