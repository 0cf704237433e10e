/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promise: with several workers too, nobody is harmed by what others do to themselves. Pairs of
 * clients exchange numbered messages while three threads of strangers connect, flood, subscribe,
 * read or do not, stop in the middle of a frame, take names over and vanish, and the host looks
 * into the engine, changes its limits, rules and policies, disconnects strangers, and moves all
 * that lives into a new engine. Between the pairs every message arrives once and in order,
 * strangers get whole frames, and at the end nothing is held. Reads and writes take longer than
 * they need, so that much happens meanwhile. BUSRT_TEST_ROUNDS=N: so many moves instead of 8, of
 * 2000 messages for each pair.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include "basic/clock.h"
#include "basic/macro.h"
#include "bystander.h"
#include "random.h"
#include "rules-bed.h"
#include "wire/handshake.h"

#define PROCESSED 0x40
#define N_PAIRS 4
#define PAIRS_UID 1000
#define N_STRANGERS 3 /* threads */
#define N_SOCKETS 12  /* of each */
#define WINDOW 64     /* messages of a pair that are on their way */
#define MESSAGES_A_ROUND 2000

static struct host {
        pthread_rwlock_t lock; /* of the engine, which strangers use and the host replaces */
        struct engine *engine;
        struct engine_config config;
        struct access_rules *rules;
        bool over; /* atomic */
        uint64_t n_events[ENGINE_EVENT_RESYNC + 1];
} host = {.lock = PTHREAD_RWLOCK_INITIALIZER};

static uint64_t n_sessions(void)
{
        struct engine_counters c;

        pthread_rwlock_rdlock(&host.lock);
        engine_get_counters(host.engine, &c);
        pthread_rwlock_unlock(&host.lock);
        return c.sessions;
}

static int adopt(uid_t uid)
{
        struct transport_peer who = {.kind = TRANSPORT_UNIX, .uid = uid};
        int fds[2], least = 1;

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        if (uid != PAIRS_UID)
                assert_int_equal(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &least, sizeof(least)),
                                 0);
        pthread_rwlock_rdlock(&host.lock);
        if (engine_adopt(host.engine, fds[0], &who, "/bed.sock") < 0)
                close(fds[0]);
        pthread_rwlock_unlock(&host.lock);
        return fds[1];
}

static size_t put_hello(uint8_t *at, const char *name)
{
        size_t len = strlen(name);

        memcpy(at, wire_greeting, WIRE_GREETING_SIZE);
        le16_put(at + WIRE_GREETING_SIZE, (uint16_t)len);
        memcpy(at + WIRE_GREETING_SIZE + 2, name, len);
        return WIRE_GREETING_SIZE + 2 + len;
}

static size_t put_frame(uint8_t *at, uint8_t flags, const void *body, size_t len)
{
        le32_put(at, 1);
        at[4] = flags;
        le32_put(at + 5, (uint32_t)len);
        memcpy(at + WIRE_REQUEST_HEADER_SIZE, body, len);
        return WIRE_REQUEST_HEADER_SIZE + len;
}

/* --- A slow kernel --- */

ssize_t __real_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);

static void dawdle(void)
{
        static const struct timespec while_others_work = {.tv_nsec = 50000};
        static _Thread_local unsigned n;
        int error = errno;

        if (n++ % 8 == 0)
                nanosleep(&while_others_work, NULL);
        errno = error;
}

ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags)
{
        ssize_t n;

        dawdle();
        n = __real_recvmsg(fd, message, flags);
        dawdle();
        return n;
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
        ssize_t n;

        dawdle();
        n = __real_sendmsg(fd, message, flags);
        dawdle();
        return n;
}

/* --- Strangers --- */

struct link {
        int fd;
        bool is_mute;
        size_t n_hello; /* bytes of the handshake that have come */
        size_t n_header;
        uint8_t header[WIRE_DELIVERY_HEADER_SIZE];
        size_t left; /* of the frame's body */
};

struct stranger {
        pthread_t thread;
        uint64_t random;
        struct link links[N_SOCKETS];
        uint8_t frame[400000];
};

static unsigned below(struct stranger *s, unsigned n)
{
        s->random = s->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        return (unsigned)(((s->random >> 32) * n) >> 32);
}

/* Now and then only a part. Who has stopped in the middle of a frame says nothing any more. */
static bool stranger_write(struct stranger *s, struct link *l, size_t len)
{
        size_t part = below(s, 200) ? len : below(s, (unsigned)len);
        ssize_t n = send(l->fd, s->frame, part, MSG_DONTWAIT | MSG_NOSIGNAL);

        l->is_mute |= n > 0 && (size_t)n < len;
        return n == (ssize_t)len;
}

/* Who wants a name that many want waits long: there is no use in more. */
static void stranger_connect(struct stranger *s, struct link *link)
{
        char name[32];

        if (n_sessions() > 2 * N_STRANGERS * N_SOCKETS)
                return;
        *link = (struct link){.fd = adopt(2000 + below(s, 2))};
        snprintf(name, sizeof(name), below(s, 4) ? "x.%u" : "x.%u%%%%%u", below(s, 8), below(s, 4));
        stranger_write(s, link, put_hello(s->frame, name));
}

/* It may be about anything, but a frame begins where the one before has ended. */
static void link_take_header(struct link *l)
{
        const uint8_t *h = l->header;
        bool is_known = h[0] == WIRE_KIND_PING || h[0] == WIRE_KIND_PUBLICATION ||
                        h[0] == WIRE_KIND_MESSAGE || h[0] == WIRE_KIND_BROADCAST ||
                        h[0] == WIRE_KIND_ACK;
        size_t size = wire_delivery_size(h);

        if (!is_known || size > sizeof(((struct stranger *)NULL)->frame) + 100) {
                fprintf(stderr, "a torn frame: kind %#x, %zu bytes\n", h[0], size);
                abort();
        }
        l->left = size - WIRE_DELIVERY_HEADER_SIZE;
        l->n_header = 0;
}

static void link_take(struct link *l, const uint8_t *p, size_t len)
{
        size_t n = MIN(len, WIRE_GREETING_SIZE + 2 - l->n_hello);

        l->n_hello += n;
        for (p += n, len -= n; len > 0; p += n, len -= n) {
                n = l->left ? MIN(len, l->left) : 1;
                if (l->left)
                        l->left -= n;
                else
                        l->header[l->n_header++] = *p;
                if (l->n_header == WIRE_DELIVERY_HEADER_SIZE)
                        link_take_header(l);
        }
}

static void stranger_read(struct stranger *s, struct link *l)
{
        ssize_t n = recv(l->fd, s->frame, below(s, sizeof(s->frame)), MSG_DONTWAIT);

        if (n > 0)
                link_take(l, s->frame, (size_t)n);
}

/* A target, mask or topic, and what follows it. */
static size_t stranger_body(struct stranger *s, uint8_t *body)
{
        static const char *const targets[] = {"x.%u", "x.*", "t/%u", "t/#", "t/+", "nobody", "#"};
        size_t len = (size_t)sprintf((char *)body, targets[below(s, 7)], below(s, 8)) + 1,
               fill = below(s, 20) ? below(s, 300) : below(s, 300000);

        memset(body + len, 'x', fill);
        return len + fill;
}

static void stranger_send(struct stranger *s, struct link *l)
{
        static const uint8_t ops[] = {WIRE_OP_PUBLISH,     WIRE_OP_PUBLISH,   WIRE_OP_MESSAGE,
                                      WIRE_OP_MESSAGE,     WIRE_OP_BROADCAST, WIRE_OP_SUBSCRIBE,
                                      WIRE_OP_UNSUBSCRIBE, WIRE_OP_EXCLUDE,   WIRE_OP_UNEXCLUDE};
        uint8_t op = ops[below(s, ARRAY_SIZE(ops))], *body = s->frame + WIRE_REQUEST_HEADER_SIZE;
        size_t len = below(s, 10) ? stranger_body(s, body)
                                  : (size_t)sprintf((char *)body, ".broker") + 1;
        unsigned n = below(s, 20) ? 1 + below(s, 10) : 300;

        if (op >= WIRE_OP_SUBSCRIBE && op <= WIRE_OP_UNEXCLUDE)
                len = strlen((char *)body);
        le32_put(s->frame, 1);
        s->frame[4] = below(s, 500) ? (uint8_t)(op | below(s, 4) << 6) : 0xff;
        le32_put(s->frame + 5, (uint32_t)len);
        while (n > 0 && stranger_write(s, l, WIRE_REQUEST_HEADER_SIZE + len))
                n--;
}

static void stranger_act(struct stranger *s, struct link *l)
{
        unsigned what = below(s, 100);

        if (l->fd < 0) {
                stranger_connect(s, l);
        } else if (what < 75 && !l->is_mute) {
                stranger_send(s, l);
        } else if (what < 95) {
                stranger_read(s, l);
        } else if (what < 96) {
                shutdown(l->fd, below(s, 2) ? SHUT_WR : SHUT_RD);
        } else if (what < 98) {
                l->fd = close_fd(l->fd);
        }
}

static void *stranger_main(void *userdata)
{
        struct stranger *s = userdata;

        for (unsigned i = 0; i < N_SOCKETS; i++)
                s->links[i].fd = -1;
        while (!__atomic_load_n(&host.over, __ATOMIC_RELAXED))
                stranger_act(s, &s->links[below(s, N_SOCKETS)]);
        for (unsigned i = 0; i < N_SOCKETS; i++)
                s->links[i].fd = close_fd(s->links[i].fd);
        return NULL;
}

/* --- Pairs --- */

struct pair {
        int from, to;
        char name[16];
        uint32_t n_sent, n_acked, n_got;
        size_t out_at, out_len, ack_len, in_len;
        uint8_t out[4096], ack[4096], in[1 << 17];
};

static struct pair pairs[N_PAIRS];

static int pair_join(const char *name)
{
        uint8_t hello[64], answer[5];
        int fd = adopt(PAIRS_UID);
        size_t n = put_hello(hello, name);

        assert_int_equal(send(fd, hello, n, MSG_NOSIGNAL), n);
        assert_int_equal(recv(fd, answer, sizeof(answer), MSG_WAITALL), sizeof(answer));
        assert_int_equal(answer[4], WIRE_OK);
        return fd;
}

static void pair_open(struct pair *p, unsigned i)
{
        char name[16];

        snprintf(name, sizeof(name), "from.%u", i);
        snprintf(p->name, sizeof(p->name), "to.%u", i);
        p->from = pair_join(name);
        p->to = pair_join(p->name);
}

static void pair_write(struct pair *p, uint32_t end)
{
        ssize_t n;

        if (p->out_at == p->out_len) {
                size_t len = strlen(p->name) + 1, fill = random_below(3000);
                uint8_t body[4000];

                if (p->n_sent == end || p->n_sent - p->n_acked >= WINDOW)
                        return;
                memcpy(body, p->name, len);
                le32_put(body + len, p->n_sent++);
                memset(body + len + 4, 'x', fill);
                p->out_len = put_frame(p->out, WIRE_OP_MESSAGE | PROCESSED, body, len + 4 + fill);
                p->out_at = 0;
        }
        n = send(p->from, p->out + p->out_at, p->out_len - p->out_at, MSG_DONTWAIT | MSG_NOSIGNAL);
        assert_true(n > 0 || errno == EAGAIN);
        p->out_at += n > 0 ? (size_t)n : 0;
}

/* Reads what is there; takes the whole frames. */
static void read_frames(int fd, uint8_t *in, size_t size, size_t *len, struct pair *p,
                        void (*take)(struct pair *p, const uint8_t *frame, size_t size))
{
        ssize_t n = recv(fd, in + *len, size - *len, MSG_DONTWAIT);
        size_t at = 0;

        if (n < 0 && errno == EAGAIN)
                return;
        assert_true(n > 0);
        for (*len += (size_t)n; *len - at >= WIRE_DELIVERY_HEADER_SIZE;) {
                size_t frame = wire_delivery_size(in + at);

                if (*len - at < frame)
                        break;
                take(p, in + at, frame);
                at += frame;
        }
        *len -= at;
        memmove(in, in + at, *len);
}

static void take_ack(struct pair *p, const uint8_t *frame, size_t size)
{
        if (frame[0] != WIRE_KIND_ACK)
                return;
        assert_int_equal(frame[5], WIRE_OK);
        p->n_acked++;
}

static void take_message(struct pair *p, const uint8_t *frame, size_t size)
{
        if (frame[0] != WIRE_KIND_MESSAGE)
                return;
        frame += WIRE_DELIVERY_HEADER_SIZE;
        frame += strlen((const char *)frame) + 1;
        assert_int_equal(le32_get(frame), p->n_got++);
}

static bool pairs_turn(uint32_t end)
{
        struct pollfd fds[2 * N_PAIRS];
        bool done = true;

        for (unsigned i = 0; i < N_PAIRS; i++) {
                struct pair *p = &pairs[i];

                pair_write(p, end);
                read_frames(p->from, p->ack, sizeof(p->ack), &p->ack_len, p, take_ack);
                read_frames(p->to, p->in, sizeof(p->in), &p->in_len, p, take_message);
                done &= p->n_got == end && p->n_acked == end;
                fds[2 * i] = (struct pollfd){.fd = p->from, .events = POLLIN};
                if (p->out_at < p->out_len || (p->n_sent < end && p->n_sent - p->n_acked < WINDOW))
                        fds[2 * i].events |= POLLOUT;
                fds[2 * i + 1] = (struct pollfd){.fd = p->to, .events = POLLIN};
        }
        if (!done && poll(fds, ARRAY_SIZE(fds), 60000) == 0)
                fail_msg("nothing moves any more");
        return done;
}

/* --- The host --- */

static const char rules_text[] = "[from.*]\nAllowUsers=*\nSendTo=*\n[to.*]\nAllowUsers=*\n"
                                 "[x.*]\nAllowUsers=*\nSendTo=x.* .broker\nPublishTo=#\n"
                                 "SubscribeTo=t/+\nBroadcastTo=x.*\n";

static void on_message(struct engine *engine, struct session *from, const uint8_t *payload,
                       size_t len, bool realtime, void *userdata)
{
        struct engine_client_info info;

        engine_get_caller(from, &info);
        engine_reply(engine, from, "head", 4, "body", 4, realtime);
        (void)engine_reply_later(engine, info.id, "later", 5, NULL, 0, realtime);
}

struct visit {
        uint64_t stranger; /* one of them, or 0 */
        size_t n_seen;
};

static int visit_text(const char *text, size_t len, void *userdata)
{
        struct visit *v = userdata;

        v->n_seen += len;
        return 0;
}

static int visit_client(const struct engine_client_info *info, void *userdata)
{
        struct visit *v = userdata;

        if (info->name[0] == 'x' && random_below(4) == 0)
                v->stranger = info->id;
        v->n_seen++;
        return 0;
}

static int visit_account(const struct engine_account_info *info, void *userdata)
{
        struct visit *v = userdata;

        v->n_seen++;
        return 0;
}

static void visit(struct engine *engine, void *userdata)
{
        struct visit *v = userdata;

        engine_foreach_client(engine, visit_client, v);
        if (v->stranger) {
                engine_foreach_subscription(engine, v->stranger, false, visit_text, v);
                engine_foreach_subscription(engine, v->stranger, true, visit_text, v);
                engine_foreach_secondary(engine, v->stranger, visit_text, v);
        }
        if (random_below(10) == 0)
                engine_reset_counters(engine);
}

static void host_configure(void)
{
        struct engine_config c = host.config;

        c.slow_policy = (enum slow_policy)random_below(3);
        c.slow_pace = random_below(3) * 10 * NSEC_PER_MSEC;
        c.queue_frames = random_below(2) ? 8192 : 70;
        c.queue_memory_max_per_user = random_below(4) ? SIZE_MAX : 1 << 20;
        c.busy_poll = random_below(4) ? 0 : 50 * NSEC_PER_USEC;
        c.force_register = (enum force_register)random_below(3);
        c.access = random_below(2) ? host.rules : NULL;
        assert_int_equal(engine_configure(host.engine, &c), 0);
}

static void host_act(void)
{
        struct visit v = {0};
        struct engine_event event;

        while (engine_event_next(host.engine, &event) > 0)
                host.n_events[event.type]++;
        switch (random_below(8)) {
        case 0:
                host_configure();
                break;
        case 1:
                assert_int_equal(engine_send(host.engine, ENGINE_SEND_PUBLICATION, LITERAL("t/1"),
                                             LITERAL("of the host")),
                                 0);
                break;
        case 2:
                engine_ping(host.engine);
                break;
        case 3:
                assert_int_equal(engine_inspect(host.engine, visit, &v, 60 * NSEC_PER_SEC), 0);
                assert_true(v.n_seen >= 2 * N_PAIRS + 1);
                if (v.stranger)
                        assert_int_equal(engine_disconnect(host.engine, v.stranger), 0);
                break;
        case 4:
                engine_foreach_account(host.engine, visit_account, &v);
        }
}

static const struct engine_service service = {.message = on_message};

static struct engine *new_engine(size_t n_workers)
{
        struct engine *engine;

        host.config.n_workers = n_workers;
        assert_int_equal(engine_new(&host.config, &engine), 0);
        engine_set_service(engine, &service);
        return engine;
}

static int move_session(const void *record, size_t len, int fd, void *userdata)
{
        int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

        assert_true(copy >= 0);
        assert_int_equal(engine_import(userdata, record, len, copy), 0);
        return 0;
}

static void host_move(void)
{
        struct engine *before = host.engine, *after = new_engine(1 + random_below(5));

        pthread_rwlock_wrlock(&host.lock);
        assert_int_equal(engine_quiesce(before), 0);
        assert_int_equal(engine_export(before, move_session, after), 0);
        assert_int_equal(engine_import_done(after), 0);
        engine_free(before);
        assert_int_equal(engine_start(after), 0);
        host.engine = after;
        pthread_rwlock_unlock(&host.lock);
}

static void host_open(void)
{
        bed_config(&host.config);
        host.rules = rules_of(rules_text);
        host.engine = new_engine(4);
        assert_int_equal(engine_start(host.engine), 0);
        for (unsigned i = 0; i < N_PAIRS; i++)
                pair_open(&pairs[i], i);
}

static void host_close(void)
{
        struct engine_counters c;

        for (unsigned i = 0; i < N_PAIRS; i++) {
                close(pairs[i].from);
                close(pairs[i].to);
        }
        engine_stop(host.engine, true);
        engine_get_counters(host.engine, &c);
        assert_int_equal(c.sessions, 0);
        assert_int_equal(c.clients, 0);
        assert_int_equal(c.held, 0);
        host.engine = engine_free(host.engine);
        access_rules_unref(host.rules);
}

static uint32_t n_rounds(void)
{
        const char *given = getenv("BUSRT_TEST_ROUNDS");

        return given ? (uint32_t)strtoul(given, NULL, 0) : 8;
}

static void pairs_live_through_anything(void **state)
{
        static struct stranger strangers[N_STRANGERS];
        uint32_t n = n_rounds();

        host_open();
        for (unsigned i = 0; i < N_STRANGERS; i++) {
                strangers[i].random = random_next();
                assert_int_equal(
                        pthread_create(&strangers[i].thread, NULL, stranger_main, &strangers[i]),
                        0);
        }
        for (uint32_t round = 1; round <= n; round++) {
                while (!pairs_turn(round * MESSAGES_A_ROUND))
                        if (random_below(50) == 0)
                                host_act();
                host_move();
        }
        __atomic_store_n(&host.over, true, __ATOMIC_RELAXED);
        for (unsigned i = 0; i < N_STRANGERS; i++)
                pthread_join(strangers[i].thread, NULL);
        host_close();
        for (unsigned i = 0; i < ARRAY_SIZE(host.n_events); i++)
                printf("%llu%s", (unsigned long long)host.n_events[i],
                       i + 1 < ARRAY_SIZE(host.n_events) ? " " : " events of each type\n");
}

int main(void)
{
        const struct CMUnitTest tests[] = {cmocka_unit_test(pairs_live_through_anything)};

        random_seed("churn");
        return cmocka_run_group_tests(tests, NULL, NULL);
}
