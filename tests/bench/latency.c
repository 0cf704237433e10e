/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One-way latency: two connections, one thread. A frame is sent on one, then the other is looked at
 * until it has arrived, and the next follows. Looking is a recv() that does not block, or poll()
 * with --block. The same clock on the same CPU reads both ends.
 */
#include "load.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define SAMPLES_MAX UINT64_C(4000000)
#define SILENCE_NSEC (10 * NSEC_PER_SEC)

struct pair {
        const struct options *o;
        struct client from, to;
        uint8_t *frame, *expected, *got;
        size_t frame_size, expected_size, have;
};

static void pair_open(struct pair *p, const struct options *o)
{
        uint8_t flags = OP_MESSAGE | (o->realtime ? QOS_REALTIME : 0);
        size_t name_size;

        p->o = o;
        p->have = 0;
        client_open(&p->from, o->address, "bench.from");
        client_open(&p->to, o->address, "bench.to");
        name_size = strlen(p->from.name) + 1;
        p->frame_size = frame_write(NULL, flags, p->to.name, o->payload);
        p->frame = xcalloc(1, p->frame_size + RECV_HEADER + name_size);
        frame_write(p->frame, flags, p->to.name, o->payload);
        p->expected_size = RECV_HEADER + name_size + o->payload;
        p->expected = xcalloc(1, p->expected_size);
        p->got = xcalloc(1, p->expected_size + RECV_HEADER);
        p->expected[0] = OP_MESSAGE;
        put32(p->expected + 1, (uint32_t)(name_size + o->payload));
        p->expected[5] = o->realtime;
        memcpy(p->expected + RECV_HEADER, p->from.name, name_size);
        if (o->raw) {
                p->frame_size = p->expected_size;
                memcpy(p->frame, p->expected, p->frame_size);
        }
}

static void pair_close(struct pair *p)
{
        client_close(&p->from);
        client_close(&p->to);
        free(p->frame);
        free(p->expected);
        free(p->got);
}

/* Bytes of the receiver, as they come. */
static void pair_look(struct pair *p)
{
        struct pollfd wait = {.fd = p->to.fd, .events = POLLIN};
        ssize_t n;

        if (p->o->block)
                (void)poll(&wait, 1, 1000);
        n = recv(p->to.fd, p->got + p->have, p->expected_size - p->have, MSG_DONTWAIT);
        if (n == 0)
                fail("%s: the broker closed the connection", p->to.name);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
                fail("%s: read: %s", p->to.name, strerror(errno));
        if (n > 0)
                p->have += (size_t)n;
        while (p->have >= RECV_HEADER && p->got[0] == KIND_PING) {
                p->have -= RECV_HEADER;
                memmove(p->got, p->got + RECV_HEADER, p->have);
                client_write(&p->to, PING_FRAME, sizeof(PING_FRAME));
        }
}

/* Sends the frame with this number and returns the nanoseconds until it was there. */
static uint64_t pair_once(struct pair *p, uint64_t number)
{
        uint64_t start, end;

        put64(p->frame + p->frame_size - p->o->payload, number);
        put64(p->expected + p->expected_size - p->o->payload, number);
        start = end = now_nsec();
        client_write(&p->from, p->frame, p->frame_size);
        while (p->have < p->expected_size) {
                pair_look(p);
                end = now_nsec();
                if (end - start > SILENCE_NSEC)
                        fail("%s: nothing came for 10 s", p->to.name);
        }
        if (memcmp(p->got, p->expected, p->expected_size) != 0)
                fail("%s: got another frame than was sent", p->to.name);
        p->have = 0;
        return end - start;
}

/* The gap to the next frame: asleep when the client blocks, awake when it polls. */
static void pair_rest(const struct pair *p)
{
        struct timespec ts = {.tv_nsec = (long)(p->o->interval % 1000000 * 1000),
                              .tv_sec = (time_t)(p->o->interval / 1000000)};
        uint64_t end = now_nsec() + p->o->interval * 1000;

        if (p->o->interval == 0)
                return;
        if (p->o->block)
                nanosleep(&ts, NULL);
        while (now_nsec() < end)
                ;
}

static int compare_samples(const void *a, const void *b)
{
        uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

        return x < y ? -1 : x > y;
}

static void report_samples(uint64_t *samples, uint64_t n)
{
        qsort(samples, n, sizeof(*samples), compare_samples);
        report_number("min_ns", samples[0]);
        report_number("p50_ns", samples[n / 2]);
        report_number("p90_ns", samples[n * 90 / 100]);
        report_number("p99_ns", samples[n * 99 / 100]);
        report_number("p999_ns", samples[n * 999 / 1000]);
        report_number("max_ns", samples[n - 1]);
}

int mode_latency(const struct options *o)
{
        uint64_t most = o->count > 0 && o->count < SAMPLES_MAX ? o->count : SAMPLES_MAX;
        uint64_t *samples = xcalloc(most, sizeof(*samples)), n = 0, warm = 0, end;
        struct probe from, to;
        struct pair pair;

        pair_open(&pair, o);
        end = now_nsec() + (uint64_t)(o->warmup * (double)NSEC_PER_SEC);
        while (now_nsec() < end)
                pair_once(&pair, warm++);
        probe_take(&from, o);
        end = from.nsec + (uint64_t)(o->seconds * (double)NSEC_PER_SEC);
        do {
                samples[n] = pair_once(&pair, warm + n);
                n++;
                pair_rest(&pair);
        } while (n < most && now_nsec() < end);
        probe_take(&to, o);
        report_open(o);
        report_number("payload", o->payload);
        report_samples(samples, n);
        report_cost(o, &from, &to, "message", n);
        report_close();
        pair_close(&pair);
        free(samples);
        return 0;
}
