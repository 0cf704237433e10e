/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promise: what one client sends to another arrives in the order in which it was sent, once,
 * whatever the kinds, sizes and qualities of service. 8 senders and 8 receivers with the engine on
 * one thread, and on four; every sender numbers what it sends to each receiver, and picks message,
 * publication or broadcast at random. BUSRT_TEST_MESSAGES=N sends N instead of a million.
 */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "basic/clock.h"
#include "basic/macro.h"
#include "bed.h"
#include "random.h"
#include "wire/handshake.h"

#define N_SENDERS 8
#define N_RECEIVERS 8
#define LARGEST 100000
#define OUT_SIZE (4 * LARGEST)
#define IN_SIZE (4 * LARGEST)
#define PROCESSED 1

struct sender {
        struct peer peer;
        uint64_t left; /* to be made */
        uint32_t next_to[N_RECEIVERS];
        uint32_t n_wanted, n_acked; /* acknowledgements */
        size_t out_at, out_len, in_len;
        uint8_t out[OUT_SIZE], in[4096];
};

struct receiver {
        struct peer peer;
        uint64_t n_got;
        uint32_t next_from[N_SENDERS];
        size_t in_len;
        uint8_t in[IN_SIZE];
};

static struct sender senders[N_SENDERS];
static struct receiver receivers[N_RECEIVERS];

/* --- Sending --- */

static size_t random_fill(void)
{
        unsigned n = random_below(5000);

        if (n == 0)
                return random_below(LARGEST - 64);
        return n < 50 ? random_below(4000) : random_below(60);
}

/* The target, or topic, or mask, that only this receiver answers to. */
static uint8_t choose_kind(uint8_t *target, unsigned to, size_t *ret_len)
{
        switch (random_below(3)) {
        case 0:
                *ret_len = (size_t)sprintf((char *)target, "r.%u", to) + 1;
                return WIRE_OP_MESSAGE;
        case 1:
                *ret_len = (size_t)sprintf((char *)target, "o/%u/x", to) + 1;
                return WIRE_OP_PUBLISH;
        default:
                *ret_len = (size_t)sprintf((char *)target, "r.%u", to) + 1;
                return WIRE_OP_BROADCAST;
        }
}

static void make_frame(struct sender *s)
{
        uint8_t *f = s->out + s->out_len;
        unsigned to = random_below(N_RECEIVERS), qos = random_below(4);
        size_t fill = random_fill(), len;
        uint8_t op = choose_kind(f + 9, to, &len);

        if (qos & PROCESSED)
                s->n_wanted++;
        le32_put(f, s->n_wanted);
        f[4] = (uint8_t)(op | qos << 6);
        le32_put(f + 5, (uint32_t)(len + fill + 5));
        memset(f + 9 + len, 'f', fill);
        f[9 + len + fill] = (uint8_t)(s - senders);
        le32_put(f + 9 + len + fill + 1, s->next_to[to]++);
        s->out_len += 9 + len + fill + 5;
        s->left--;
}

static void sender_write(struct sender *s)
{
        ssize_t n;

        if (s->out_at == s->out_len) {
                s->out_at = s->out_len = 0;
                while (s->left > 0 && s->out_len < OUT_SIZE - LARGEST)
                        make_frame(s);
        }
        if (s->out_at == s->out_len)
                return;
        n = send(s->peer.fd, s->out + s->out_at, s->out_len - s->out_at,
                 MSG_DONTWAIT | MSG_NOSIGNAL);
        assert_true(n > 0 || errno == EAGAIN);
        s->out_at += n > 0 ? (size_t)n : 0;
}

/* Acknowledgements come in order too, one for each that was asked for. */
static void sender_read(struct sender *s)
{
        ssize_t n = recv(s->peer.fd, s->in + s->in_len, sizeof(s->in) - s->in_len, MSG_DONTWAIT);
        size_t at = 0;

        if (n < 0)
                return;
        assert_true(n > 0);
        for (s->in_len += (size_t)n; s->in_len - at >= 6; at += 6) {
                assert_int_equal(s->in[at], WIRE_KIND_ACK);
                assert_int_equal(le32_get(s->in + at + 1), ++s->n_acked);
                assert_int_equal(s->in[at + 5], WIRE_OK);
        }
        s->in_len -= at;
        memmove(s->in, s->in + at, s->in_len);
}

/* --- Receiving --- */

static void receive_frame(struct receiver *r, const uint8_t *f, size_t size)
{
        uint8_t from = f[size - 5];

        if (f[0] == WIRE_KIND_ACK)
                return;
        assert_true(from < N_SENDERS);
        assert_int_equal(le32_get(f + size - 4), r->next_from[from]++);
        r->n_got++;
}

static void receiver_read(struct receiver *r)
{
        ssize_t n = recv(r->peer.fd, r->in + r->in_len, IN_SIZE - r->in_len, MSG_DONTWAIT);
        size_t at = 0;

        if (n < 0)
                return;
        assert_true(n > 0);
        for (r->in_len += (size_t)n; r->in_len - at >= WIRE_DELIVERY_HEADER_SIZE;) {
                size_t size = wire_delivery_size(r->in + at);

                if (r->in_len - at < size)
                        break;
                receive_frame(r, r->in + at, size);
                at += size;
        }
        r->in_len -= at;
        memmove(r->in, r->in + at, r->in_len);
}

/* --- The run --- */

/* With the engine on threads of its own. */
static struct peer join(struct bed *bed, const char *name)
{
        static const struct transport_peer who = {.kind = TRANSPORT_UNIX, .uid = 1000};
        uint8_t hello[64], answer[5];
        size_t len = strlen(name);
        struct peer p;
        int fds[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        assert_int_equal(engine_adopt(bed->engine, fds[0], &who, "/bed.sock"), 0);
        memcpy(hello, wire_greeting, WIRE_GREETING_SIZE);
        le16_put(hello + WIRE_GREETING_SIZE, (uint16_t)len);
        memcpy(hello + WIRE_GREETING_SIZE + 2, name, len);
        p = (struct peer){.fd = fds[1]};
        peer_write(&p, hello, WIRE_GREETING_SIZE + 2 + len);
        assert_int_equal(recv(p.fd, answer, sizeof(answer), MSG_WAITALL), sizeof(answer));
        assert_int_equal(answer[4], WIRE_OK);
        return p;
}

static void subscribe(struct peer *p, const char *mask)
{
        uint8_t ack[WIRE_DELIVERY_HEADER_SIZE];

        peer_send(p, WIRE_OP_SUBSCRIBE | PROCESSED << 6, mask, strlen(mask));
        assert_int_equal(recv(p->fd, ack, sizeof(ack), MSG_WAITALL), sizeof(ack));
        assert_int_equal(ack[5], WIRE_OK);
}

static void all_join(struct bed *bed, uint64_t n)
{
        char text[32];

        memset(senders, 0, sizeof(senders));
        memset(receivers, 0, sizeof(receivers));

        for (unsigned i = 0; i < N_SENDERS; i++) {
                snprintf(text, sizeof(text), "s%u", i);
                senders[i].peer = join(bed, text);
                senders[i].left = n / N_SENDERS;
        }
        for (unsigned i = 0; i < N_RECEIVERS; i++) {
                snprintf(text, sizeof(text), "r.%u", i);
                receivers[i].peer = join(bed, text);
                snprintf(text, sizeof(text), "o/%u/+", i);
                subscribe(&receivers[i].peer, text);
        }
}

static void all_wait(void)
{
        struct pollfd p[N_SENDERS + N_RECEIVERS];

        for (unsigned i = 0; i < N_SENDERS; i++) {
                short out = senders[i].left > 0 || senders[i].out_at < senders[i].out_len;

                p[i] = (struct pollfd){.fd = senders[i].peer.fd, .events = POLLIN};
                p[i].events |= out ? POLLOUT : 0;
        }
        for (unsigned i = 0; i < N_RECEIVERS; i++)
                p[N_SENDERS + i] = (struct pollfd){.fd = receivers[i].peer.fd, .events = POLLIN};
        assert_true(poll(p, ARRAY_SIZE(p), 60000) > 0);
}

static uint64_t all_got(void)
{
        uint64_t n = 0;

        for (unsigned i = 0; i < N_RECEIVERS; i++)
                n += receivers[i].n_got;
        return n;
}

static bool all_are_done(uint64_t n)
{
        for (unsigned i = 0; i < N_SENDERS; i++)
                if (senders[i].n_acked < senders[i].n_wanted)
                        return false;
        return all_got() == n;
}

static void all_run(uint64_t n)
{
        do {
                all_wait();
                for (unsigned i = 0; i < N_SENDERS; i++) {
                        sender_write(&senders[i]);
                        sender_read(&senders[i]);
                }
                for (unsigned i = 0; i < N_RECEIVERS; i++)
                        receiver_read(&receivers[i]);
        } while (!all_are_done(n));
}

static uint64_t n_messages(void)
{
        const char *given = getenv("BUSRT_TEST_MESSAGES");
        uint64_t n = given ? strtoull(given, NULL, 0) : 1000000;

        return n / N_SENDERS * N_SENDERS;
}

static void order_is_kept_by(size_t n_workers)
{
        struct engine_config config;
        uint64_t n = n_messages(), began;
        struct engine_counters c;
        struct bed bed;

        bed_config(&config);
        config.n_workers = n_workers;
        config.slow_pace = 3600 * NSEC_PER_SEC; /* however long this process is not run */
        bed_open(&bed, &config);
        assert_int_equal(engine_start(bed.engine), 0);
        all_join(&bed, n);
        began = clock_nsec(CLOCK_MONOTONIC);
        all_run(n);
        printf("%llu messages in %.1f s\n", (unsigned long long)n,
               (double)(clock_nsec(CLOCK_MONOTONIC) - began) / 1e9);
        engine_stop(bed.engine, false);
        c = bed_counters(&bed);
        assert_int_equal(c.dropped, 0);
        assert_int_equal(c.struck, 0);
        assert_int_equal(c.held, 0);
        for (unsigned i = 0; i < N_SENDERS; i++)
                peer_close(&senders[i].peer);
        for (unsigned i = 0; i < N_RECEIVERS; i++)
                peer_close(&receivers[i].peer);
        bed_close(&bed);
}

static void one_worker_keeps_the_order(void **state)
{
        order_is_kept_by(1);
}

static void four_workers_keep_the_order(void **state)
{
        order_is_kept_by(4);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(one_worker_keeps_the_order),
                cmocka_unit_test(four_workers_keep_the_order),
        };

        random_seed("order");
        return cmocka_run_group_tests(tests, NULL, NULL);
}
