/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promise: calls that are interrupted, writes that are short or refused, connections that break and
 * an epoll that is out of memory change nothing for anybody but whose connection broke. What the
 * engine asks of the kernel goes through this file, which lies now and then. A storm of numbered
 * messages must come through: between two clients that both live, whatever was acknowledged
 * arrives, in order, once.
 *
 * Reads are never cut short and never refused: input is announced by edges, so a kernel that holds
 * bytes back without another edge would break its word. After a write that was cut short or refused
 * there is room again at once, and as from the kernel an edge says so.
 *
 * BUSRT_TEST_RUNS=N makes N runs instead of 2000 (400 under a sanitizer), BUSRT_TEST_SEED=S repeats
 * them.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "basic/clock.h"
#include "basic/macro.h"
#include "bystander.h"
#include "engine/worker.h"
#include "random.h"

#define PROCESSED 0x40

/* --- A kernel that lies
 * --------------------------------------------------------------------------------------------
 */

#define MAX_FD 4096

static struct {
        bool on;
        unsigned often;  /* one call of so many is interrupted, refused or cut short */
        unsigned rarely; /* one call of so many finds its connection broken */
        bool no_watch;   /* epoll takes nobody any more */
        int flood_fd;    /* has pings without end */
        unsigned n_flood, n_lies, n_broken;
        int epoll_fd[MAX_FD]; /* 0: not watched */
        struct epoll_event watched[MAX_FD];
} liar;

ssize_t __real_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
int __real_epoll_wait(int fd, struct epoll_event *events, int n, int timeout);
int __real_epoll_ctl(int epoll_fd, int op, int fd, struct epoll_event *event);
ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);
int __wrap_epoll_wait(int fd, struct epoll_event *events, int n, int timeout);
int __wrap_epoll_ctl(int epoll_fd, int op, int fd, struct epoll_event *event);

static bool lie(unsigned one_of)
{
        bool yes = liar.on && random_below(one_of) == 0;

        liar.n_lies += yes;
        return yes;
}

static bool lie_broken(void)
{
        bool yes = lie(liar.rarely);

        liar.n_broken += yes;
        return yes;
}

static int fail_with(int error)
{
        errno = error;
        return -1;
}

/* Sockets hold little, so that queues are needed. */
static void make_narrow(int fd)
{
        int least = 1;

        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &least, sizeof(least));
}

/* There is room again: whoever waits for it is told. */
static void tell_of_room(int fd)
{
        assert_int_equal(__real_epoll_ctl(liar.epoll_fd[fd], EPOLL_CTL_MOD, fd, &liar.watched[fd]),
                         0);
}

static ssize_t flood(struct msghdr *message)
{
        size_t n = 0;

        liar.n_flood++;
        for (size_t i = 0; i < message->msg_iovlen; i++) {
                memset(message->msg_iov[i].iov_base, 0, message->msg_iov[i].iov_len);
                n += message->msg_iov[i].iov_len;
        }
        return (ssize_t)n;
}

ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags)
{
        if (liar.flood_fd && fd == liar.flood_fd)
                return liar.n_flood < 1000 ? flood(message) : fail_with(EAGAIN);
        if (lie(liar.often))
                return fail_with(EINTR);
        return lie_broken() ? fail_with(ECONNRESET) : __real_recvmsg(fd, message, flags);
}

static ssize_t send_less(int fd, const struct msghdr *message, int flags)
{
        struct iovec first = message->msg_iov[0];
        struct msghdr less = {.msg_iov = &first, .msg_iovlen = 1};
        ssize_t n;

        first.iov_len = 1 + random_below((unsigned)MIN(first.iov_len, (size_t)1 << 20));
        n = __real_sendmsg(fd, &less, flags);
        tell_of_room(fd);
        return n;
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
        if (lie(liar.often))
                return fail_with(EINTR);
        if (lie_broken())
                return fail_with(random_below(2) ? ECONNRESET : EPIPE);
        if (lie(liar.often)) {
                tell_of_room(fd);
                return fail_with(EAGAIN);
        }
        return lie(liar.often) ? send_less(fd, message, flags) : __real_sendmsg(fd, message, flags);
}

int __wrap_epoll_wait(int fd, struct epoll_event *events, int n, int timeout)
{
        return lie(liar.often) ? fail_with(EINTR) : __real_epoll_wait(fd, events, n, timeout);
}

int __wrap_epoll_ctl(int epoll_fd, int op, int fd, struct epoll_event *event)
{
        assert_true(fd < MAX_FD);
        if (liar.no_watch && op == EPOLL_CTL_ADD)
                return fail_with(ENOSPC);
        if (op == EPOLL_CTL_ADD)
                make_narrow(fd);
        if (event) {
                liar.epoll_fd[fd] = epoll_fd;
                liar.watched[fd] = *event;
        }
        return __real_epoll_ctl(epoll_fd, op, fd, event);
}

static void tell_the_truth(void)
{
        liar.on = liar.no_watch = false;
        liar.flood_fd = 0;
        liar.n_flood = liar.n_lies = liar.n_broken = 0;
}

/* --- The storm
 * ------------------------------------------------------------------------------------------------
 */

#define N_CLIENTS 6
#define N_MESSAGES 40 /* of each client */
#define LARGEST 70000

struct client {
        struct peer peer;
        bool lost;
        unsigned n_sent, n_acked;
        uint8_t to[N_MESSAGES];          /* whom the message of that operation id was for */
        uint32_t number[N_MESSAGES];     /* which one of these it was */
        bool ok[N_MESSAGES];             /* acknowledged with 01 */
        uint32_t next_to[N_CLIENTS];     /* numbers given */
        uint32_t next_from[N_CLIENTS];   /* numbers that may come */
        bool got[N_CLIENTS][N_MESSAGES]; /* numbers that came */
        size_t out_len, out_at, in_len;
        uint8_t out[LARGEST + 64], in[2 * LARGEST];
};

static struct client clients[N_CLIENTS];

static void make_message(struct client *c)
{
        unsigned to = random_below(N_CLIENTS), op = c->n_sent++;
        size_t fill = random_below(random_below(10) ? 300 : LARGEST - 64);
        uint8_t *f = c->out;

        c->to[op] = (uint8_t)to;
        c->number[op] = c->next_to[to]++;
        le32_put(f, op);
        f[4] = WIRE_OP_MESSAGE | PROCESSED;
        le32_put(f + 5, (uint32_t)(3 + 8 + fill));
        f[9] = 'c';
        f[10] = (uint8_t)('0' + to);
        f[11] = 0;
        le32_put(f + 12, (uint32_t)(c - clients));
        le32_put(f + 16, c->number[op]);
        memset(f + 20, (int)op, fill);
        c->out_len = 20 + fill;
        c->out_at = 0;
}

static void client_write(struct client *c)
{
        size_t n = 1 + random_below(40000);
        ssize_t r;

        if (c->out_at == c->out_len && c->n_sent < N_MESSAGES)
                make_message(c);
        n = MIN(c->out_len - c->out_at, n);
        r = n ? send(c->peer.fd, c->out + c->out_at, n, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
        c->lost |= r < 0 && errno != EAGAIN;
        c->out_at += r > 0 ? (size_t)r : 0;
}

static void client_frame(struct client *c, const uint8_t *f)
{
        uint32_t op = le32_get(f + 1), from, number;

        if (f[0] == WIRE_KIND_ACK) {
                assert_int_equal(op, c->n_acked++);
                c->ok[op] = f[5] == WIRE_OK;
                /* Somebody may just have been lost. */
                assert_true(f[5] == WIRE_OK || f[5] == WIRE_NOT_REGISTERED ||
                            f[5] == WIRE_NOT_DELIVERED);
                return;
        }
        from = le32_get(f + 9);
        number = le32_get(f + 13);
        assert_int_equal(f[0], WIRE_KIND_MESSAGE);
        assert_true(from < N_CLIENTS && number < N_MESSAGES);
        assert_true(number >= c->next_from[from]);
        c->next_from[from] = number + 1;
        c->got[from][number] = true;
}

static void client_read(struct client *c)
{
        ssize_t n = recv(c->peer.fd, c->in + c->in_len, sizeof(c->in) - c->in_len, MSG_DONTWAIT);
        size_t at = 0;

        c->lost |= n == 0 || (n < 0 && errno != EAGAIN);
        for (c->in_len += n > 0 ? (size_t)n : 0; c->in_len - at >= WIRE_DELIVERY_HEADER_SIZE;) {
                size_t size = wire_delivery_size(c->in + at);

                if (c->in_len - at < size)
                        break;
                client_frame(c, c->in + at);
                at += size;
        }
        c->in_len -= at;
        memmove(c->in, c->in + at, c->in_len);
}

static bool storm_is_over(void)
{
        for (size_t i = 0; i < N_CLIENTS; i++)
                if (!clients[i].lost && clients[i].n_acked < N_MESSAGES)
                        return false;
        return true;
}

/* Nobody is lost but by a broken connection. Between two that live, what was acknowledged has come.
 */
static void expect_everything(void)
{
        unsigned n_lost = 0;

        for (size_t i = 0; i < N_CLIENTS; i++)
                n_lost += clients[i].lost;
        assert_true(n_lost <= liar.n_broken);
        for (size_t i = 0; i < N_CLIENTS; i++)
                for (unsigned op = 0; op < N_MESSAGES; op++) {
                        const struct client *c = &clients[i], *to = &clients[c->to[op]];

                        if (!c->lost && !to->lost)
                                assert_int_equal(to->got[i][c->number[op]], c->ok[op]);
                }
}

static void storm_open(struct bed *bed)
{
        struct engine_config config;

        bed_config(&config);
        config.queue_frames = 4;
        config.slow_pace = 3600 * NSEC_PER_SEC;
        bed_open(bed, &config);
        for (size_t i = 0; i < N_CLIENTS; i++) {
                char name[] = {'c', (char)('0' + i), 0};

                memset(&clients[i], 0, offsetof(struct client, out));
                clients[i].peer = bed_join(bed, name);
        }
        liar.on = true;
        liar.often = 2 + random_below(20);
        liar.rarely = random_below(2) ? 300 : 1000000;
}

static void storm_close(struct bed *bed)
{
        for (size_t i = 0; i < N_CLIENTS; i++)
                peer_close(&clients[i].peer);
        bed_settle(bed);
        assert_int_equal(bed_counters(bed).sessions, 0);
        tell_the_truth();
        bed_close(bed);
}

/* A storm that has come to rest though it is not over has lost an edge: nothing will ever happen.
 */
static void storm(void)
{
        struct bed bed;

        storm_open(&bed);
        for (unsigned step = 0, idle = 0; !storm_is_over(); step++) {
                struct client *c = &clients[random_below(N_CLIENTS)];

                if (!c->lost)
                        client_write(c);
                idle = bed_settle(&bed) ? 0 : idle + 1;
                for (size_t i = 0; i < N_CLIENTS; i++)
                        if (!clients[i].lost && (idle > 100 || random_below(3) == 0))
                                client_read(&clients[i]);
                if (idle > 1000)
                        fail_msg("the storm has come to rest before its end");
        }
        for (unsigned idle = 0; idle < 20; idle++) {
                idle = bed_settle(&bed) ? 0 : idle;
                for (size_t i = 0; i < N_CLIENTS; i++)
                        if (!clients[i].lost)
                                client_read(&clients[i]);
        }
        expect_everything();
        storm_close(&bed);
}

static void a_storm_comes_through_every_lie(void **state)
{
        const char *given = getenv("BUSRT_TEST_RUNS");
        unsigned long runs = given ? strtoul(given, NULL, 0) : UNDER_SANITIZER ? 400 : 2000;
        struct holdings before;

        storm();
        before = holdings_now();
        for (unsigned long i = 0; i < runs; i++) {
                uint64_t seed = random_state;

                if (i % 1000 == 0)
                        print_message("run %lu: seed %llu\n", i, (unsigned long long)seed);
                storm();
        }
        holdings_expect(&before);
}

/* --- Single lies
 * ----------------------------------------------------------------------------------------------
 */

static void who_cannot_be_watched_is_let_go(void **state)
{
        struct bystanders bystanders;
        struct bed bed;
        struct peer p;

        bed_open(&bed, NULL);
        bystanders_join(&bed, &bystanders);
        liar.no_watch = true;
        for (unsigned i = 0; i < 10; i++) {
                p = bed_connect(&bed, 1000);
                peer_expect_end(&p);
                peer_close(&p);
                bystanders_check(&bed, &bystanders);
        }
        tell_the_truth();
        p = bed_join(&bed, "late");
        assert_int_equal(bed_counters(&bed).sessions, 3);
        peer_close(&p);
        bystanders_leave(&bystanders);
        bed_close(&bed);
}

/* Its socket is full again whenever it is read, and in the same pass another that waits to be run
 * leaves: the pass ends all the same. */
static void an_endless_flood_does_not_make_an_endless_pass(void **state)
{
        struct peer heir, flooder, last;
        struct engine_config config;
        struct bed bed;

        bed_config(&config);
        config.force_register = FORCE_REGISTER_ANY;
        bed_open(&bed, &config);
        last = bed_join(&bed, "last");
        heir = bed_connect(&bed, 1000);
        flooder = bed_join(&bed, "flooder");
        peer_write(&heir, LITERAL("\xeb\x01\0\x04\0last"));
        peer_write(&flooder, LITERAL("\0\0\0\0\0\0\0\0\0"));
        peer_write(&last, LITERAL("\0\0\0\0\0\0\0\0\0"));
        /* The newest fd but one of the engine's, since its peer's was made together with it. */
        liar.flood_fd = flooder.fd - 1;
        assert_int_equal(engine_process(bed.engine), 0);
        assert_true(liar.n_flood >= 1);
        assert_true(liar.n_flood < 10);
        tell_the_truth();
        peer_close(&heir);
        peer_close(&flooder);
        peer_close(&last);
        bed_close(&bed);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(who_cannot_be_watched_is_let_go),
                cmocka_unit_test(an_endless_flood_does_not_make_an_endless_pass),
                cmocka_unit_test(a_storm_comes_through_every_lie),
        };

        random_seed("syscalls");
        return cmocka_run_group_tests(tests, NULL, NULL);
}
