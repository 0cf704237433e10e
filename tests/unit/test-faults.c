/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine when the system fails it. Memory: every allocation of a whole life of the bus fails in
 * turn, and each time nothing is leaked and nobody aborts. Sockets: interrupted calls, short
 * writes, full sockets and resets at random; who is not reset loses nothing.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "basic/clock.h"
#include "broker-rpc/broker-rpc.h"
#include "counted-malloc.h"
#include "engine/engine.h"
#include "wire/frame.h"

/* --- Sockets that fail --- */

static struct {
        unsigned seed;   /* 0: no faults */
        int reset_fd;    /* this one is reset, -1: none */
        size_t n;        /* faults so far */
        bool full[1024]; /* by fd: its last write was told that the socket is full */
} faults = {.reset_fd = -1};

ssize_t __real_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);

static bool fault(unsigned one_in)
{
        bool now = faults.seed && (unsigned)rand_r(&faults.seed) % one_in == 0;

        faults.n += now;
        return now;
}

static ssize_t fail_with(int error)
{
        errno = error;
        return -1;
}

ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags)
{
        if (fd == faults.reset_fd && fault(8))
                return fail_with(ECONNRESET);
        return fault(4) ? fail_with(EINTR) : __real_recvmsg(fd, message, flags);
}

/* The kernel owes an edge to whoever it told that the socket is full. It gives one when EPOLLOUT is
 * asked for, which happens at the first of such answers; so never two of them in a row are made up.
 */
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
        struct msghdr less = *message;
        struct iovec first = message->msg_iov[0];

        if (fd == faults.reset_fd && fault(8))
                return fail_with(ECONNRESET);
        if (fault(4))
                return fail_with(EINTR);
        faults.full[fd % 1024] = !faults.full[fd % 1024] && fault(2);
        if (!faults.full[fd % 1024])
                return __real_sendmsg(fd, message, flags);
        if (fault(2))
                return fail_with(EAGAIN);
        first.iov_len = 1 + (size_t)rand_r(&faults.seed) % first.iov_len;
        less.msg_iov = &first;
        less.msg_iovlen = 1;
        return __real_sendmsg(fd, &less, flags);
}

/* --- Memory that libc takes for us --- */

char *__wrap_strdup(const char *text);

char *__wrap_strdup(const char *text)
{
        char *copy = __wrap_malloc(strlen(text) + 1);

        return copy ? strcpy(copy, text) : NULL;
}

void *__wrap_reallocarray(void *p, size_t n, size_t size);

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
        return __wrap_realloc(p, n * size);
}

void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
        void *p = memory_asked(size) ? __real_aligned_alloc(alignment, size) : NULL;

        memory.n_live += p != NULL;
        return p;
}

/* --- Clients --- */

struct client {
        int fd, engine_fd;
};

static struct client join(struct engine *e, const char *name)
{
        struct transport_peer who = {.kind = TRANSPORT_UNIX, .uid = 1};
        uint8_t hello[64] = {0xeb, 1, 0, (uint8_t)strlen(name), 0};
        int fds[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds),
                         0);
        memcpy(hello + 5, name, strlen(name));
        assert_int_equal(write(fds[1], hello, 5 + strlen(name)), 5 + strlen(name));
        if (engine_adopt(e, fds[0], &who, "/faults.sock") < 0)
                close(fds[0]);
        return (struct client){fds[1], fds[0]};
}

static void say(const struct client *c, uint8_t flags, const void *body, uint32_t len)
{
        uint8_t frame[9 + 70000] = {1, 0, 0, 0, flags};

        le32_put(frame + 5, len);
        memcpy(frame + 9, body, len);
        (void)!send(c->fd, frame, 9 + len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void settle(struct engine *e)
{
        for (unsigned i = 0; i < 60; i++)
                engine_process(e);
}

/* --- Memory --- */

/* Everything that takes memory: names, secondaries, subscriptions, exclusions, frames small and
 * large, calls, announcements, moving. */
static void live(struct engine *e)
{
        static uint8_t large[60000] = "b";
        struct client a = join(e, "a"), b = join(e, "b"), second = join(e, "b%%1");

        settle(e);
        say(&b, WIRE_OP_SUBSCRIBE | 0x40, "x/#\0.broker/info\0y/+/z", 22);
        say(&b, WIRE_OP_EXCLUDE | 0x40, "x/no\0x/+/no", 11);
        say(&a, WIRE_OP_PUBLISH | 0x40, "x/1\0hello", 9);
        say(&a, WIRE_OP_BROADCAST | 0x40, "*\0hello", 7);
        say(&a, WIRE_OP_MESSAGE | 0x40, large, sizeof(large));
        say(&a, WIRE_OP_MESSAGE, ".broker\0\1\1\0\0\0client.list\0", 25);
        say(&a, WIRE_OP_MESSAGE,
            ".broker\0\1\2\0\0\0client.list\0\x81\xa6"
            "filter\xa3[ab]",
            37);
        settle(e);
        close(second.fd);
        settle(e);
        (void)!send(a.fd, "\1\0\0\0\x12\0\1\0\0b\0half", 15, MSG_NOSIGNAL | MSG_DONTWAIT);
        settle(e);
        close(a.fd);
        close(b.fd);
        settle(e);
}

static bool live_once(void)
{
        struct engine_config config;
        struct engine *e = NULL;
        struct broker_rpc *rpc = NULL;
        bool whole;

        engine_config_init(&config);
        config.timeout = 3600 * NSEC_PER_SEC;
        whole = broker_rpc_new(&rpc) == 0 && engine_new(&config, &e) == 0;
        if (whole) {
                broker_rpc_attach(rpc, e);
                live(e);
        }
        engine_free(e);
        broker_rpc_free(rpc);
        return whole;
}

static void every_allocation_may_fail(void **state)
{
        size_t before = memory.n_live, n = 1;

        do {
                memory_fail_in(n++);
                live_once();
                assert_int_equal(memory.n_live, before);
        } while (memory.failed);
        memory_fail_in(0);
        assert_true(live_once());
        assert_int_equal(memory.n_live, before);
        assert_true(n > 50);
        print_message("%zu allocations failed in turn\n", n - 2);
}

/* --- Faulty sockets --- */

enum { N_MESSAGES = 60 };

/* Reads deliveries and checks that they are numbered from where *next stands. */
static void expect_in_order(const struct client *c, uint8_t *buf, size_t *have, uint32_t *next)
{
        ssize_t n = recv(c->fd, buf + *have, 200000 - *have, MSG_DONTWAIT);
        size_t at = 0;

        *have += n > 0 ? (size_t)n : 0;
        while (*have - at >= WIRE_DELIVERY_HEADER_SIZE &&
               wire_delivery_size(buf + at) <= *have - at) {
                if (buf[at] == WIRE_KIND_MESSAGE)
                        assert_int_equal(le32_get(buf + at + 8), (*next)++);
                at += wire_delivery_size(buf + at);
        }
        memmove(buf, buf + at, *have - at);
        *have -= at;
}

static void one_run(unsigned seed)
{
        static uint8_t buf[200000], body[3000];
        struct engine_config config;
        struct engine *e;
        struct client a, b, bad;
        size_t have = 5;
        uint32_t next = 0;
        unsigned size_seed = seed;

        engine_config_init(&config);
        config.timeout = 3600 * NSEC_PER_SEC;
        assert_int_equal(engine_new(&config, &e), 0);
        a = join(e, "a");
        b = join(e, "b");
        bad = join(e, "c");
        settle(e);
        assert_int_equal(recv(b.fd, buf, 5, 0), 5);
        have = 0;
        faults.seed = seed;
        faults.reset_fd = bad.engine_fd;
        memcpy(body, "b", 2);
        for (uint32_t i = 0; i < N_MESSAGES; i++) {
                le32_put(body + 2, i);
                say(&a, WIRE_OP_MESSAGE, body, 6 + (uint32_t)rand_r(&size_seed) % 2900);
                say(&bad, WIRE_OP_BROADCAST, "c\0x", 3);
                engine_process(e);
                expect_in_order(&b, buf, &have, &next);
        }
        for (unsigned i = 0; next < N_MESSAGES; i++) {
                assert_true(i < 100000);
                engine_process(e);
                expect_in_order(&b, buf, &have, &next);
        }
        faults.seed = 0;
        faults.reset_fd = -1;
        close(a.fd);
        close(b.fd);
        close(bad.fd);
        settle(e);
        engine_free(e);
}

static void faulty_sockets_lose_nothing(void **state)
{
        const char *runs = getenv("BUSRT_TEST_RUNS");
        unsigned n = runs ? (unsigned)strtoul(runs, NULL, 10) : 1000;

        for (unsigned seed = 1; seed <= n; seed++)
                one_run(seed);
        assert_true(faults.n > n);
        print_message("%u runs, %zu faults\n", n, faults.n);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_allocation_may_fail),
                cmocka_unit_test(faulty_sockets_lose_nothing),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
