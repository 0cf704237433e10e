/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promise: what one worker does while another is in a system call harms nobody. Workers leave the
 * bus for their reads and writes; here such a call lasts as long as the test wants, and what could
 * happen meanwhile does: the call's result is old when the worker comes back with it.
 */
#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "basic/clock.h"
#include "basic/macro.h"
#include "bed.h"
#include "engine/internal.h"

#define PROCESSED 0x40
#define MAX_FD 4096

/* --- System calls that take as long as the test wants --- */

enum moment { NEVER, BEFORE, AFTER, AFTER_EAGAIN };

static struct {
        pthread_mutex_t lock;
        pthread_cond_t changed;
        int fd; /* whose next call is held up, once */
        bool sends;
        enum moment moment;
        bool held;                /* somebody is in it, */
        int held_epoll_fd;        /* the worker of this epoll set */
        unsigned n_waits[MAX_FD]; /* how often epoll_wait() has begun */
        pthread_mutex_t *bus;
        unsigned n_taken; /* how often the bus was, atomic */
} gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static _Thread_local int own_epoll_fd;

ssize_t __real_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
int __real_epoll_wait(int fd, struct epoll_event *events, int n, int timeout);
int __real_pthread_mutex_lock(pthread_mutex_t *mutex);
ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);
int __wrap_epoll_wait(int fd, struct epoll_event *events, int n, int timeout);
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex);

static void gate_pass(int fd, bool sends, enum moment moment)
{
        int error = errno;

        pthread_mutex_lock(&gate.lock);
        if (gate.fd == fd && gate.sends == sends && gate.moment == moment) {
                gate.moment = NEVER;
                gate.held = true;
                gate.held_epoll_fd = own_epoll_fd;
                pthread_cond_broadcast(&gate.changed);
                while (gate.held)
                        pthread_cond_wait(&gate.changed, &gate.lock);
                gate.held_epoll_fd = -1;
        }
        pthread_mutex_unlock(&gate.lock);
        errno = error;
}

static void gate_pass_after(int fd, bool sends, ssize_t n)
{
        gate_pass(fd, sends, AFTER);
        if (n < 0 && errno == EAGAIN)
                gate_pass(fd, sends, AFTER_EAGAIN);
}

ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags)
{
        ssize_t n;

        gate_pass(fd, false, BEFORE);
        n = __real_recvmsg(fd, message, flags);
        gate_pass_after(fd, false, n);
        return n;
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
        ssize_t n;

        gate_pass(fd, true, BEFORE);
        n = __real_sendmsg(fd, message, flags);
        gate_pass_after(fd, true, n);
        return n;
}

int __wrap_epoll_wait(int fd, struct epoll_event *events, int n, int timeout)
{
        own_epoll_fd = fd;
        pthread_mutex_lock(&gate.lock);
        gate.n_waits[fd]++;
        pthread_cond_broadcast(&gate.changed);
        pthread_mutex_unlock(&gate.lock);
        return __real_epoll_wait(fd, events, n, timeout);
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
        if (mutex == __atomic_load_n(&gate.bus, __ATOMIC_RELAXED))
                __atomic_add_fetch(&gate.n_taken, 1, __ATOMIC_RELAXED);
        return __real_pthread_mutex_lock(mutex);
}

/* The next call for that fd, or the next but for one held up there now. */
static void gate_set(int fd, bool sends, enum moment moment)
{
        pthread_mutex_lock(&gate.lock);
        gate.fd = fd;
        gate.sends = sends;
        gate.moment = moment;
        pthread_mutex_unlock(&gate.lock);
}

static void gate_wait_held(void)
{
        pthread_mutex_lock(&gate.lock);
        while (!gate.held)
                pthread_cond_wait(&gate.changed, &gate.lock);
        pthread_mutex_unlock(&gate.lock);
}

static void gate_open(void)
{
        pthread_mutex_lock(&gate.lock);
        gate.held = false;
        pthread_cond_broadcast(&gate.changed);
        pthread_mutex_unlock(&gate.lock);
}

/* Also after a test that failed. */
static int gate_reset(void **state)
{
        gate_set(-1, false, NEVER);
        gate_open();
        return 0;
}

/* Until that worker has made a pass from its beginning to its end, or is held up in one. */
static void worker_round(struct bed *bed, unsigned i)
{
        int fd = bed->engine->workers[i].epoll_fd;
        unsigned n, begin;

        pthread_mutex_lock(&gate.lock);
        n = begin = gate.n_waits[fd];
        while (n - begin < 2 && !(gate.held && gate.held_epoll_fd == fd)) {
                pthread_mutex_unlock(&gate.lock);
                engine_ping(bed->engine);
                pthread_mutex_lock(&gate.lock);
                while (gate.n_waits[fd] == n && !(gate.held && gate.held_epoll_fd == fd))
                        pthread_cond_wait(&gate.changed, &gate.lock);
                n = gate.n_waits[fd];
        }
        pthread_mutex_unlock(&gate.lock);
}

/* --- Clients, each of a worker of the test's choice: requests need worker 0 --- */

#define N_WORKERS 3

struct client {
        struct peer peer;
        int broker_fd; /* the other end */
};

static void open_workers(struct bed *bed, void (*change)(struct engine_config *config))
{
        struct engine_config config;

        bed_config(&config);
        config.n_workers = N_WORKERS;
        config.slow_pace = 3600 * NSEC_PER_SEC;
        if (change)
                change(&config);
        bed_open(bed, &config);
        assert_int_equal(engine_start(bed->engine), 0);
}

static void close_workers(struct bed *bed)
{
        engine_stop(bed->engine, false);
        bed_close(bed);
}

static void read_exactly(const struct peer *p, void *buf, size_t n)
{
        struct pollfd poll_fd = {.fd = p->fd, .events = POLLIN};
        size_t have = 0;

        while (have < n) {
                ssize_t r;

                assert_int_equal(poll(&poll_fd, 1, 20000), 1);
                r = recv(p->fd, (uint8_t *)buf + have, n - have, MSG_DONTWAIT);
                assert_true(r > 0);
                have += (size_t)r;
        }
}

static void peer_expect_end_soon(const struct peer *p)
{
        struct pollfd poll_fd = {.fd = p->fd, .events = POLLIN};
        uint8_t byte;

        assert_int_equal(poll(&poll_fd, 1, 20000), 1);
        assert_true(recv(p->fd, &byte, 1, MSG_DONTWAIT) <= 0);
}

static struct client join_as(struct bed *bed, const char *name, unsigned worker, uid_t uid)
{
        struct transport_peer who = {.kind = TRANSPORT_UNIX, .uid = uid};
        uint8_t answer[5], hello[64] = {0xeb, 1, 0, (uint8_t)strlen(name)};
        int fds[2], large = 1 << 20;

        while ((bed->engine->next_id + 1) % N_WORKERS != worker)
                bed->engine->next_id++;
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        assert_int_equal(setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &large, sizeof(large)), 0);
        assert_int_equal(engine_adopt(bed->engine, fds[0], &who, "/bed.sock"), 0);
        memcpy(hello + 5, name, strlen(name));
        peer_write(&(struct peer){.fd = fds[1]}, hello, 5 + strlen(name));
        read_exactly(&(struct peer){.fd = fds[1]}, answer, sizeof(answer));
        assert_int_equal(answer[4], WIRE_OK);
        /* Whoever wrote the answer may not have come back from that yet. */
        for (unsigned i = 0; i < N_WORKERS; i++)
                worker_round(bed, i);
        return (struct client){.peer.fd = fds[1], .broker_fd = fds[0]};
}

static struct client join(struct bed *bed, const char *name, unsigned worker)
{
        return join_as(bed, name, worker, 1000);
}

static void leave(struct client *c)
{
        peer_close(&c->peer);
}

/* So little fits into its socket that a queue is needed. */
static void make_narrow(const struct client *c)
{
        int least = 1;

        assert_int_equal(setsockopt(c->broker_fd, SOL_SOCKET, SO_SNDBUF, &least, sizeof(least)), 0);
}

static uint8_t await_ack(struct client *c)
{
        uint8_t ack[WIRE_DELIVERY_HEADER_SIZE];

        read_exactly(&c->peer, ack, sizeof(ack));
        assert_int_equal(ack[0], WIRE_KIND_ACK);
        return ack[5];
}

static void send_to(struct client *from, const char *target, size_t len, uint8_t flags)
{
        static uint8_t body[1 << 20];
        size_t target_len = strlen(target) + 1;

        memcpy(body, target, target_len);
        memset(body + target_len, 'x', len);
        peer_send(&from->peer, WIRE_OP_MESSAGE | flags, body, target_len + len);
}

static void expect_message(struct client *c, size_t from_len, size_t len)
{
        static uint8_t frame[1 << 20];

        read_exactly(&c->peer, frame, WIRE_DELIVERY_HEADER_SIZE + from_len + 1 + len);
        assert_int_equal(frame[0], WIRE_KIND_MESSAGE);
        assert_int_equal(le32_get(frame + 1), from_len + 1 + len);
}

struct queue_look {
        const char *name;
        struct engine_client_info info;
};

static void look_at_queue(struct engine *e, void *userdata)
{
        struct queue_look *look = userdata;

        assert_int_equal(engine_find_client(e, look->name, strlen(look->name), &look->info), 0);
}

static size_t queued_for(struct bed *bed, const char *name)
{
        struct queue_look look = {.name = name};

        assert_int_equal(engine_inspect(bed->engine, look_at_queue, &look, 60 * NSEC_PER_SEC), 0);
        return look.info.queue_frames;
}

/* --- The cases --- */

static void few_frames(struct engine_config *config)
{
        config->queue_frames = 8;
}

/* A full socket is found twice in one pass, and between the second time and what is concluded from
 * it, the receiver reads all and its own worker is told of the room. */
static void room_that_comes_during_a_write_is_not_missed(void **state)
{
        enum { N = 100, LEN = 1000, SIZE = N * (WIRE_DELIVERY_HEADER_SIZE + 2 + LEN) };
        static uint8_t got[SIZE];
        struct client receiver, sender;
        struct bed bed;
        ssize_t n;

        open_workers(&bed, few_frames);
        receiver = join(&bed, "r", 2);
        sender = join(&bed, "s", 1);
        make_narrow(&receiver);
        gate_set(sender.broker_fd, false, BEFORE);
        send_to(&sender, "r", LEN, 0);
        gate_wait_held();
        for (unsigned i = 1; i < N; i++)
                send_to(&sender, "r", LEN, 0);
        gate_set(receiver.broker_fd, true, AFTER_EAGAIN);
        gate_open();
        worker_round(&bed, 1);
        gate_set(-1, true, NEVER);
        n = peer_read(&receiver.peer, got, SIZE);
        assert_true(n > 0);
        worker_round(&bed, 2);
        gate_open();
        read_exactly(&receiver.peer, got, SIZE - (size_t)n);
        leave(&receiver);
        leave(&sender);
        close_workers(&bed);
}

/* Its socket had no bytes, then it sent some and closed, then a write found that out: what it sent
 * counts. */
static void last_words_during_an_empty_read_are_heard(void **state)
{
        struct client receiver, speaker, other;
        uint8_t header[WIRE_REQUEST_HEADER_SIZE] = {0, 0, 0, 0, WIRE_OP_NOP | PROCESSED};
        static uint8_t body[WORKER_READ_SIZE - WIRE_REQUEST_HEADER_SIZE];
        struct bed bed;

        open_workers(&bed, NULL);
        receiver = join(&bed, "r", 0);
        speaker = join(&bed, "speaker", 2);
        other = join(&bed, "other", 1);
        /* As much as a read asks for, so that there is another. */
        gate_set(speaker.broker_fd, false, BEFORE);
        header[4] = WIRE_OP_NOP | 0x80;
        le32_put(header + 5, sizeof(body));
        peer_write(&speaker.peer, header, sizeof(header));
        gate_wait_held();
        peer_write(&speaker.peer, body, sizeof(body));
        gate_set(speaker.broker_fd, false, AFTER_EAGAIN);
        gate_open();
        gate_wait_held();
        send_to(&speaker, "r", 10, 0);
        leave(&speaker);
        send_to(&other, "speaker", 10, PROCESSED);
        assert_int_equal(await_ack(&other), WIRE_OK);
        worker_round(&bed, 1);
        gate_open();
        expect_message(&receiver, strlen("speaker"), 10);
        leave(&receiver);
        leave(&other);
        close_workers(&bed);
}

static void no_patience(struct engine_config *config)
{
        config->queue_frames = 1;
        config->slow_pace = 0;
}

/* Its queue is full only because another worker is just writing it. */
static void who_is_being_written_to_is_not_struck(void **state)
{
        struct client receiver, first, second, third;
        struct bed bed;

        open_workers(&bed, no_patience);
        receiver = join(&bed, "r", 2);
        first = join(&bed, "1", 1);
        second = join_as(&bed, "2", 0, 1001);
        third = join_as(&bed, "3", 0, 1002);
        gate_set(receiver.broker_fd, true, AFTER);
        send_to(&first, "r", 10, 0);
        gate_wait_held();
        send_to(&second, "r", 10, PROCESSED);
        peer_send(&third.peer, WIRE_OP_BROADCAST | PROCESSED, LITERAL("r\0abc"));
        assert_int_equal(await_ack(&third), WIRE_OK);
        worker_round(&bed, 0);
        assert_int_equal(engine_send(bed.engine, ENGINE_SEND_MESSAGE, "r", 1, "x", 1), 0);
        worker_round(&bed, 0);
        gate_open();
        assert_int_equal(await_ack(&second), WIRE_OK);
        leave(&first);
        leave(&second);
        leave(&third);
        leave(&receiver);
        assert_int_equal(bed_counters(&bed).struck, 0);
        assert_int_equal(bed_counters(&bed).dropped, 0);
        close_workers(&bed);
}

static void little_patience(struct engine_config *config)
{
        config->queue_frames = 8;
        config->slow_pace = 0;
}

/* It has read what its socket held, and only its own worker, which is busy, does not know. */
static void who_has_room_is_not_struck_for_its_busy_worker(void **state)
{
        static const size_t len = 1000;
        struct client receiver, sender, busy;
        struct bed bed;
        unsigned n = 0;

        open_workers(&bed, little_patience);
        receiver = join(&bed, "r", 2);
        busy = join(&bed, "busy", 2);
        sender = join(&bed, "s", 1);
        make_narrow(&receiver);
        for (; queued_for(&bed, "r") < 8; n++) {
                send_to(&sender, "r", len, PROCESSED);
                assert_int_equal(await_ack(&sender), WIRE_OK);
                worker_round(&bed, 1);
        }
        gate_set(busy.broker_fd, false, BEFORE);
        send_to(&busy, "nobody", 1, 0);
        gate_wait_held();
        for (unsigned i = 0; i < n - 8; i++)
                expect_message(&receiver, 1, len);
        send_to(&sender, "r", len, PROCESSED);
        assert_int_equal(await_ack(&sender), WIRE_OK);
        gate_open();
        for (unsigned i = 0; i < 9; i++)
                expect_message(&receiver, 1, len);
        assert_int_equal(bed_counters(&bed).struck, 0);
        leave(&receiver);
        leave(&sender);
        leave(&busy);
        close_workers(&bed);
}

static void one_megabyte_each(struct engine_config *config)
{
        config->queue_memory_max_per_user = 1 << 20;
}

/* The memory of who had to go comes free though its queue is being written: nobody else has to. */
static void one_victim_is_enough_though_it_is_being_written_to(void **state)
{
        struct client large, small, sender, second;
        struct bed bed;

        open_workers(&bed, one_megabyte_each);
        large = join_as(&bed, "large", 2, 2000);
        small = join_as(&bed, "small", 2, 2001);
        sender = join(&bed, "s", 1);
        second = join(&bed, "t", 0);
        make_narrow(&large);
        make_narrow(&small);
        send_to(&sender, "small", 100000, PROCESSED);
        assert_int_equal(await_ack(&sender), WIRE_OK);
        gate_set(large.broker_fd, true, BEFORE);
        send_to(&sender, "large", 700000, 0);
        gate_wait_held();
        send_to(&second, "small", 300000, PROCESSED);
        assert_int_equal(await_ack(&second), WIRE_OK);
        gate_open();
        expect_message(&small, 1, 100000);
        expect_message(&small, 1, 300000);
        leave(&large);
        leave(&small);
        leave(&sender);
        leave(&second);
        close_workers(&bed);
}

static void one_victim_is_enough_though_it_is_being_read(void **state)
{
        static uint8_t part[600000];
        uint8_t header[WIRE_REQUEST_HEADER_SIZE] = {0, 0, 0, 0, WIRE_OP_MESSAGE};
        struct client victim, receiver, sender;
        struct bed bed;

        open_workers(&bed, one_megabyte_each);
        victim = join(&bed, "victim", 2);
        receiver = join_as(&bed, "r", 1, 2000);
        sender = join(&bed, "s", 1);
        le32_put(header + 5, 2 * sizeof(part));
        peer_write(&victim.peer, header, sizeof(header));
        peer_write(&victim.peer, part, sizeof(part));
        while (bed_counters(&bed).held < sizeof(part))
                worker_round(&bed, 2);
        gate_set(victim.broker_fd, false, AFTER);
        peer_write(&victim.peer, "x", 1);
        gate_wait_held();
        send_to(&sender, "r", 600000, PROCESSED);
        expect_message(&receiver, 1, 600000);
        assert_int_equal(await_ack(&sender), WIRE_OK);
        gate_open();
        peer_expect_end_soon(&victim.peer);
        leave(&victim);
        leave(&receiver);
        leave(&sender);
        close_workers(&bed);
}

static void busy_polling(struct engine_config *config)
{
        config->busy_poll = 3600 * NSEC_PER_SEC;
}

/* Who looks for work again and again is in nobody's way. */
static void looking_for_work_leaves_the_bus_alone(void **state)
{
        unsigned n_waits, n_taken, begin;
        struct client client;
        struct bed bed;
        int fd;

        open_workers(&bed, busy_polling);
        client = join(&bed, "c", 1);
        fd = bed.engine->workers[1].epoll_fd;
        worker_round(&bed, 1);
        __atomic_store_n(&gate.bus, &bed.engine->lock, __ATOMIC_RELAXED);
        pthread_mutex_lock(&gate.lock);
        n_taken = __atomic_load_n(&gate.n_taken, __ATOMIC_RELAXED);
        for (begin = n_waits = gate.n_waits[fd]; n_waits - begin < 1000; n_waits = gate.n_waits[fd])
                pthread_cond_wait(&gate.changed, &gate.lock);
        n_taken = __atomic_load_n(&gate.n_taken, __ATOMIC_RELAXED) - n_taken;
        pthread_mutex_unlock(&gate.lock);
        __atomic_store_n(&gate.bus, NULL, __ATOMIC_RELAXED);
        assert_true(n_taken < 100);
        leave(&client);
        close_workers(&bed);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(room_that_comes_during_a_write_is_not_missed, gate_reset),
                cmocka_unit_test_setup(last_words_during_an_empty_read_are_heard, gate_reset),
                cmocka_unit_test_setup(who_is_being_written_to_is_not_struck, gate_reset),
                cmocka_unit_test_setup(who_has_room_is_not_struck_for_its_busy_worker, gate_reset),
                cmocka_unit_test_setup(one_victim_is_enough_though_it_is_being_written_to,
                                       gate_reset),
                cmocka_unit_test_setup(one_victim_is_enough_though_it_is_being_read, gate_reset),
                cmocka_unit_test_setup(looking_for_work_leaves_the_bus_alone, gate_reset),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
