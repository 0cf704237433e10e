/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promise: a receiver that does not read, or hardly, costs bounded memory and nobody else anything;
 * the policy strikes it in its time; whatever is lost is counted exactly. Clients are socket pairs
 * with the smallest buffers, so that queues fill early and the kernel holds little.
 */
#include <sys/resource.h>
#include <sys/socket.h>

#include "basic/clock.h"
#include "basic/macro.h"
#include "bystander.h"
#include "wire/handshake.h"

#define PROCESSED 0x40
#define MIB ((size_t)1 << 20)

/* A client for whom the broker's socket holds next to nothing. */
static struct peer join_narrow(struct bed *bed, const char *name, uid_t uid)
{
        struct transport_peer who = {.kind = TRANSPORT_UNIX, .uid = uid};
        uint8_t hello[WIRE_GREETING_SIZE + 2 + 64] = {0xeb, 1, 0};
        struct peer p;
        int fds[2], least = 1;

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        assert_int_equal(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &least, sizeof(least)), 0);
        assert_int_equal(engine_adopt(bed->engine, fds[0], &who, "/bed.sock"), 0);
        p = (struct peer){.fd = fds[1]};
        le16_put(hello + 3, (uint16_t)strlen(name));
        memcpy(hello + 5, name, strlen(name));
        peer_write(&p, hello, 5 + strlen(name));
        bed_settle(bed);
        peer_expect(&p, LITERAL("\xeb\x01\0\x01\x01"));
        return p;
}

/* One whole frame, which the engine may have to take in portions. False: it takes no more for now.
 */
static bool send_frame(struct bed *bed, struct peer *p, uint8_t flags, const uint8_t *body,
                       size_t len)
{
        uint8_t header[9] = {0, 0, 0, 0, flags};

        le32_put(header + 5, (uint32_t)len);
        if (send(p->fd, header, sizeof(header), MSG_DONTWAIT | MSG_NOSIGNAL) != sizeof(header))
                return false;
        for (size_t at = 0; at < len;) {
                ssize_t n = send(p->fd, body + at, len - at, MSG_DONTWAIT | MSG_NOSIGNAL);

                at += n > 0 ? (size_t)n : 0;
                assert_int_equal(engine_process(bed->engine), 0);
        }
        return true;
}

/* --- Fan-out to one that never reads: exact numbers --- */

#define QUICK 3 /* receivers that read everything */
#define PAYLOAD 1500

struct cast {
        struct bed bed;
        struct bystanders bystanders;
        struct holdings before;
        struct peer sensor, slow, ops, quick[QUICK];
        uint32_t sent, quick_got[QUICK];
        uint64_t announced, struck; /* what `.broker/slow` has told about `slow` */
};

static void cast_open(struct cast *c, enum slow_policy policy)
{
        struct engine_config config;

        bed_config(&config);
        config.slow_policy = policy;
        config.slow_pace = 20 * NSEC_PER_MSEC;
        config.queue_frames = 100;
        memset(c, 0, sizeof(*c));
        c->before = holdings_now();
        bed_open(&c->bed, &config);
        bystanders_join(&c->bed, &c->bystanders);
        c->sensor = bed_join(&c->bed, "sensor");
        c->slow = join_narrow(&c->bed, "slow", 1001);
        c->ops = bed_join(&c->bed, "ops");
        peer_send(&c->slow, WIRE_OP_SUBSCRIBE, LITERAL("t"));
        peer_send(&c->ops, WIRE_OP_SUBSCRIBE, LITERAL(".broker/slow"));
        for (unsigned i = 0; i < QUICK; i++) {
                char name[] = {'q', (char)('0' + i), 0};

                c->quick[i] = bed_join_as(&c->bed, name, 2000 + i);
                peer_send(&c->quick[i], WIRE_OP_SUBSCRIBE, LITERAL("t"));
        }
        bed_settle(&c->bed);
}

static void cast_close(struct cast *c)
{
        bystanders_check(&c->bed, &c->bystanders);
        bystanders_leave(&c->bystanders);
        peer_close(&c->sensor);
        if (c->slow.fd >= 0)
                peer_close(&c->slow);
        peer_close(&c->ops);
        for (unsigned i = 0; i < QUICK; i++)
                peer_close(&c->quick[i]);
        bed_close(&c->bed);
        holdings_expect(&c->before);
}

/* Every delivery there is, to fn. */
static void read_all(struct bed *bed, const struct peer *p,
                     void (*fn)(const uint8_t *, size_t, void *), void *userdata)
{
        static uint8_t buf[1 << 20];
        size_t have = 0, at = 0;

        for (;;) {
                ssize_t n = peer_read(p, buf + have, sizeof(buf) - have);

                have += n > 0 ? (size_t)n : 0;
                if (n < 0 || (n == 0 && bed_settle(bed) == 0))
                        break;
        }
        while (have - at >= WIRE_DELIVERY_HEADER_SIZE) {
                fn(buf + at, wire_delivery_size(buf + at), userdata);
                at += wire_delivery_size(buf + at);
        }
        assert_int_equal(at, have);
}

static void count_quick(const uint8_t *f, size_t size, void *n)
{
        assert_int_equal(le32_get(f + size - PAYLOAD), (*(uint32_t *)n)++);
}

/* {s: "slow" or "struck", d: "slow", n: number, t: ...} */
static void count_announced(const uint8_t *f, size_t size, void *userdata)
{
        struct cast *c = userdata;
        const uint8_t *n = memmem(f, size, "\xa1n", 2);

        assert_non_null(memmem(f, size, "\xa1s", 2));
        assert_non_null(memmem(f, size,
                               "\xa1"
                               "d\xa4slow",
                               7));
        assert_non_null(n);
        c->struck += memmem(f, size, "\xa6struck", 7) != NULL;
        c->announced += n[2] < 0x80    ? n[2]
                        : n[2] == 0xcc ? n[3]
                        : n[2] == 0xcd ? (uint64_t)n[3] << 8 | n[4]
                                       : UINT32_MAX;
}

/* One more publication, and whatever came of it to all but `slow`. */
static void publish_one(struct cast *c)
{
        uint8_t body[2 + PAYLOAD] = "t";

        le32_put(body + 2, c->sent++);
        assert_true(send_frame(&c->bed, &c->sensor, WIRE_OP_PUBLISH, body, sizeof(body)));
        for (unsigned i = 0; i < QUICK; i++)
                read_all(&c->bed, &c->quick[i], count_quick, &c->quick_got[i]);
        read_all(&c->bed, &c->ops, count_announced, c);
}

static bool sensor_goes_on(void *userdata)
{
        struct cast *c = userdata;

        read_all(&c->bed, &c->quick[0], count_quick, &c->quick_got[0]);
        return c->quick_got[0] == c->sent;
}

/* Publishes until the policy has struck, and then `more` of them. */
static void publish(struct cast *c, uint32_t more)
{
        while (bed_counters(&c->bed).struck == 0) {
                publish_one(c);
                bed_until(&c->bed, sensor_goes_on, c);
                assert_true(c->sent < 10000);
        }
        for (uint32_t i = 0; i < more; i++) {
                publish_one(c);
                bed_until(&c->bed, sensor_goes_on, c);
        }
}

static bool drops_are_told(void *userdata)
{
        struct cast *c = userdata;

        read_all(&c->bed, &c->ops, count_announced, c);
        return c->announced >= bed_counters(&c->bed).dropped;
}

struct slow_inbox {
        uint32_t n, last;
};

static void count_slow(const uint8_t *f, size_t size, void *userdata)
{
        struct slow_inbox *in = userdata;
        uint32_t number = le32_get(f + size - PAYLOAD);

        assert_true(in->n == 0 || number > in->last);
        in->last = number;
        in->n++;
}

/* Nobody else loses anything; what `slow` gets and what was dropped is what was sent. */
static void expect_exact_numbers(struct cast *c)
{
        struct slow_inbox in = {0};

        bed_until(&c->bed, drops_are_told, c);
        read_all(&c->bed, &c->slow, count_slow, &in);
        for (unsigned i = 0; i < QUICK; i++)
                read_all(&c->bed, &c->quick[i], count_quick, &c->quick_got[i]);
        for (unsigned i = 0; i < QUICK; i++)
                assert_int_equal(c->quick_got[i], c->sent);
        assert_int_equal(c->announced, bed_counters(&c->bed).dropped);
        assert_int_equal(in.n + c->announced, c->sent);
}

static void dropping(enum slow_policy policy)
{
        static struct cast c;

        cast_open(&c, policy);
        publish(&c, 500);
        assert_true(bed_counters(&c.bed).dropped > 400);
        assert_true(bed_counters(&c.bed).held < 100 * 4096);
        expect_exact_numbers(&c);
        assert_int_equal(bed_counters(&c.bed).clients, 4 + QUICK + 1);
        cast_close(&c);
}

static void drop_newest_tells_every_loss(void **state)
{
        dropping(SLOW_DROP_NEWEST);
}

static void drop_oldest_tells_every_loss(void **state)
{
        dropping(SLOW_DROP_OLDEST);
}

static bool is_struck(void *bed)
{
        return bed_counters(bed).struck > 0;
}

/* Once its queue is full it takes the pace until the strike, and no more than ten times that. */
static void disconnect_strikes_in_its_time(void **state)
{
        static struct cast c;
        uint64_t full_at;

        cast_open(&c, SLOW_DISCONNECT);
        c.bed.config.slow_pace = 100 * NSEC_PER_MSEC;
        assert_int_equal(engine_configure(c.bed.engine, &c.bed.config), 0);
        while (c.quick_got[0] == c.sent && c.sent < 1000)
                publish_one(&c);
        full_at = clock_nsec(CLOCK_MONOTONIC);
        assert_int_equal(bed_counters(&c.bed).struck, 0);
        bed_until(&c.bed, is_struck, &c.bed);
        assert_true(clock_nsec(CLOCK_MONOTONIC) - full_at < 10 * c.bed.config.slow_pace);
        bed_settle(&c.bed);
        read_all(&c.bed, &c.ops, count_announced, &c);
        assert_int_equal(c.struck, 1);
        assert_int_equal(bed_counters(&c.bed).clients, 4 + QUICK);
        cast_close(&c);
}

/* A client that was struck is not carried out any more, and its name is free. */
static void who_was_struck_says_nothing_more(void **state)
{
        struct slow_inbox in = {0};
        static struct cast c;
        struct peer heir;

        cast_open(&c, SLOW_DISCONNECT);
        publish(&c, 0);
        peer_send(&c.slow, WIRE_OP_MESSAGE, LITERAL("ops\0as if nothing had been"));
        peer_send(&c.slow, WIRE_OP_PUBLISH, LITERAL("t\0as if nothing had been"));
        bed_settle(&c.bed);
        read_all(&c.bed, &c.ops, count_announced, &c);
        assert_int_equal(c.struck, 1);
        read_all(&c.bed, &c.slow, count_slow, &in);
        /* All that was queued, without a gap; the one that waited was not for it any more. */
        assert_int_equal(in.n, c.sent - 1);
        assert_int_equal(in.last, in.n - 1);
        heir = bed_join(&c.bed, "slow");
        peer_send(&heir, WIRE_OP_MESSAGE, LITERAL("ops\0it is me"));
        bed_settle(&c.bed);
        peer_expect(&c.ops, LITERAL("\x12\x0d\0\0\0\0slow\0it is me"));
        peer_close(&heir);
        cast_close(&c);
}

/* --- One byte at a time --- */

struct sip {
        struct cast *c;
        uint64_t next_at, n;
        bool ended;
};

/* A byte each hundredth of a second. */
static bool sip(void *userdata)
{
        struct sip *s = userdata;
        uint8_t byte;

        if (clock_nsec(CLOCK_MONOTONIC) < s->next_at)
                return s->ended;
        s->next_at = clock_nsec(CLOCK_MONOTONIC) + 10 * NSEC_PER_MSEC;
        s->n++;
        s->ended |= peer_read(&s->c->slow, &byte, 1) < 0;
        s->ended |= bed_counters(&s->c->bed).sessions == 5 + QUICK;
        return s->ended;
}

/* It seems to read, but its socket takes nothing for one timeout: it is dropped, long before what
 * waits for it is out. */
static void one_that_sips_is_let_go(void **state)
{
        static struct cast c;
        struct sip s = {.c = &c};

        cast_open(&c, SLOW_DISCONNECT);
        publish_one(&c);
        for (unsigned i = 0; i < 40; i++)
                publish_one(&c);
        c.bed.config.timeout = 300 * NSEC_PER_MSEC;
        assert_int_equal(engine_configure(c.bed.engine, &c.bed.config), 0);
        bed_settle(&c.bed);
        bed_until(&c.bed, sip, &s);
        assert_true(s.n < 2000);
        c.bed.config.timeout = 3600 * NSEC_PER_SEC;
        cast_close(&c);
}

/* --- Thousands that never read --- */

struct crowd {
        struct bed bed;
        struct bystanders bystanders;
        struct peer sender;
        size_t n;
        struct peer *receivers;
};

/* As many as the limits let be, BUSRT_TEST_RECEIVERS at most. */
static size_t crowd_size(void)
{
        const char *given = getenv("BUSRT_TEST_RECEIVERS");
        size_t wanted = given ? strtoul(given, NULL, 0) : 1500;
        struct rlimit limit;

        assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
        limit.rlim_cur = limit.rlim_max;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        return MIN(wanted, (size_t)limit.rlim_cur / 2 - 64);
}

static void crowd_open(struct crowd *c, enum slow_policy policy, size_t max)
{
        struct engine_config config;

        bed_config(&config);
        config.slow_policy = policy;
        config.slow_pace = NSEC_PER_MSEC;
        config.queue_memory_max = max;
        bed_open(&c->bed, &config);
        bystanders_join(&c->bed, &c->bystanders);
        c->sender = bed_join(&c->bed, "sender");
        c->n = crowd_size();
        c->receivers = calloc(c->n, sizeof(*c->receivers));
        for (size_t i = 0; i < c->n; i++) {
                char name[32];

                snprintf(name, sizeof(name), "r%zu", i);
                c->receivers[i] = join_narrow(&c->bed, name, 2000 + (uid_t)(i % 100));
                peer_send(&c->receivers[i], WIRE_OP_SUBSCRIBE, LITERAL("t"));
        }
        bed_settle(&c->bed);
}

static void crowd_close(struct crowd *c)
{
        bystanders_check(&c->bed, &c->bystanders);
        bystanders_leave(&c->bystanders);
        peer_close(&c->sender);
        for (size_t i = 0; i < c->n; i++)
                close(c->receivers[i].fd);
        free(c->receivers);
        bed_close(&c->bed);
}

/* Sends four times the memory that there may be, in frames of that size. */
static void crowd_flood(struct crowd *c, size_t size)
{
        size_t max = c->bed.config.queue_memory_max, rss = resident_memory(), worst = 0;
        size_t n = size <= 1024 ? 4 * max / c->n / size + 1 : 4 * max / size;
        uint8_t *body = calloc(1, size);

        body[0] = 't';
        for (size_t i = 0; i < n; i++) {
                (void)send_frame(&c->bed, &c->sender, WIRE_OP_PUBLISH, body, size);
                assert_int_equal(engine_process(c->bed.engine), 0);
                worst = MAX(worst, bed_counters(&c->bed).held);
                if (i % (n / 20 + 1) == 0)
                        bystanders_check(&c->bed, &c->bystanders);
        }
        free(body);
        assert_true(worst <= max);
        assert_true(worst > max / 4);
        rss = resident_memory() - rss;
        printf("%zu receivers, frames of %zu bytes: held at most %.1f MiB, memory grew by %.1f "
               "MiB\n",
               c->n, size, (double)worst / MIB, (double)rss / MIB);
        /* A pool keeps what was held, but not beyond the limit; the rest is the allocator's. */
        assert_true(UNDER_SANITIZER || rss < max + 8 * MIB);
}

static void memory_holds(enum slow_policy policy)
{
        static const size_t sizes[] = {200, 5000, 300000};

        for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
                struct holdings before = holdings_now();
                struct crowd c;

                crowd_open(&c, policy, 32 * MIB);
                crowd_flood(&c, sizes[i]);
                crowd_close(&c);
                holdings_expect(&before);
        }
}

static void memory_holds_when_receivers_are_disconnected(void **state)
{
        memory_holds(SLOW_DISCONNECT);
}

static void memory_holds_when_frames_are_dropped(void **state)
{
        memory_holds(SLOW_DROP_NEWEST);
        memory_holds(SLOW_DROP_OLDEST);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(drop_newest_tells_every_loss),
                cmocka_unit_test(drop_oldest_tells_every_loss),
                cmocka_unit_test(disconnect_strikes_in_its_time),
                cmocka_unit_test(who_was_struck_says_nothing_more),
                cmocka_unit_test(one_that_sips_is_let_go),
                cmocka_unit_test(memory_holds_when_receivers_are_disconnected),
                cmocka_unit_test(memory_holds_when_frames_are_dropped),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
