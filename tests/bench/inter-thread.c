/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inter-thread MODE SECONDS: a broker in this process and two of its clients, on a thread each,
 * send 100 bytes to each other for that long. What it took is printed as one line of JSON. The
 * program of the published broker and client, tests/interop/rust/src/bin/inter-thread.rs, does the
 * same:
 *
 *   messages    one sends without acknowledgement, the other receives
 *   corked      the same, written a hundred at a time (here only)
 *   waiting     round trips: one sends, the other sends it back; both sleep until something comes
 *   polling     the same, but both look all the time (here only)
 *
 * Each frame has its number: what is lost, doubled or out of its turn ends the program with an
 * error. The broker has its threads, though they have nothing to do but to keep time.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <busrt/broker.h>

#include "basic/clock.h"
#include "basic/macro.h"

#define PAYLOAD 100
#define BATCH 100
#define PACE UINT64_C(500000)             /* a receiver may be off its CPU for so long */
#define WAIT (UINT64_C(20) * 1000 * 1000) /* only turns a hang into a failure */
#define SAMPLES_MAX (UINT64_C(1) << 22)

struct mode {
        const char *name;
        bool round_trips, corked;
        uint64_t busy_poll;
};

struct frame {
        uint64_t number;
        uint8_t last; /* no other follows */
        uint8_t rest[PAYLOAD - sizeof(uint64_t) - 1];
} __attribute__((packed));

_Static_assert(sizeof(struct frame) == PAYLOAD, "as many bytes as it says");

static const char *const names[2] = {"one", "other"};

struct run {
        const struct mode *mode;
        uint64_t span; /* ns */
        busrt_client *clients[2];
        uint64_t began, ended, frames;
        uint64_t *samples; /* ns, of round trips */
};

static void must(const char *what, int r)
{
        if (r >= 0)
                return;
        (void)fprintf(stderr, "inter-thread: %s: %s\n", what, busrt_strerror(r));
        exit(EXIT_FAILURE);
}

/* --- Frames --- */

static void check(const char *what, bool is_right, uint64_t number)
{
        if (is_right)
                return;
        (void)fprintf(stderr, "inter-thread: where frame %llu should be: another %s\n",
                      (unsigned long long)number, what);
        exit(EXIT_FAILURE);
}

static void send_frame(busrt_client *c, const char *to, uint64_t number, bool last)
{
        struct frame f = {.number = number, .last = last};
        struct iovec iov = {&f, sizeof(f)};

        must("send", busrt_client_send(c, to, &iov, 1, 0, NULL));
}

/* The next one: is it the last? */
static bool receive_frame(busrt_client *c, const char *from, uint64_t number)
{
        const struct frame *f;
        busrt_frame *frame;
        size_t len;
        bool last;

        must("receive", busrt_client_read(c, WAIT, &frame));
        f = busrt_frame_get_payload(frame, &len);
        check("sender", strcmp(busrt_frame_get_sender(frame), from) == 0, number);
        check("length", len == PAYLOAD, number);
        check("number", f->number == number, number);
        last = f->last;
        busrt_frame_unref(frame);
        return last;
}

/* --- One way --- */

static void send_batch(const struct run *run, uint64_t from)
{
        busrt_client *c = run->clients[0];

        if (run->mode->corked)
                must("cork", busrt_client_cork(c));
        for (uint64_t i = 0; i < BATCH; i++)
                send_frame(c, names[1], from + i, false);
        if (run->mode->corked)
                must("uncork", busrt_client_uncork(c));
}

static void *send_all(void *userdata)
{
        struct run *run = userdata;
        uint64_t n = 0;

        run->began = clock_nsec(CLOCK_MONOTONIC);
        for (uint64_t now = run->began; now < run->began + run->span; n += BATCH) {
                send_batch(run, n);
                now = clock_nsec(CLOCK_MONOTONIC);
        }
        send_frame(run->clients[0], names[1], n, true);
        must("flush", busrt_client_flush(run->clients[0], WAIT));
        return NULL;
}

static void *receive_all(void *userdata)
{
        struct run *run = userdata;

        while (!receive_frame(run->clients[1], names[0], run->frames++))
                ;
        run->ended = clock_nsec(CLOCK_MONOTONIC);
        return NULL;
}

/* --- Round trips --- */

static void *ask(void *userdata)
{
        struct run *run = userdata;
        uint64_t now = clock_nsec(CLOCK_MONOTONIC), n = 0;
        bool last = false;

        run->began = now;
        while (!last) {
                uint64_t sent = now;

                last = sent >= run->began + run->span || n == SAMPLES_MAX - 1;
                send_frame(run->clients[0], names[1], n, last);
                (void)receive_frame(run->clients[0], names[1], n);
                now = clock_nsec(CLOCK_MONOTONIC);
                run->samples[n++] = now - sent;
        }
        run->ended = now;
        run->frames = n;
        return NULL;
}

static void *answer(void *userdata)
{
        struct run *run = userdata;
        bool last = false;

        for (uint64_t n = 0; !last; n++) {
                last = receive_frame(run->clients[1], names[0], n);
                send_frame(run->clients[1], names[0], n, last);
        }
        return NULL;
}

static int compare(const void *a, const void *b)
{
        const uint64_t *x = a, *y = b;

        return (*x > *y) - (*x < *y);
}

static double percentile(const struct run *run, double part)
{
        return (double)run->samples[(uint64_t)((double)(run->frames - 1) * part)] / 1000;
}

static void print_round_trips(const struct run *run)
{
        qsort(run->samples, run->frames, sizeof(*run->samples), compare);
        printf(", \"p50\": %.3f, \"p90\": %.3f, \"p99\": %.3f, \"max\": %.3f", percentile(run, 0.5),
               percentile(run, 0.9), percentile(run, 0.99), percentile(run, 1));
}

/* --- The program --- */

static const struct mode *find_mode(const char *name)
{
        static const struct mode modes[] = {
                {.name = "messages"},
                {.name = "corked", .corked = true},
                {.name = "waiting", .round_trips = true},
                {.name = "polling", .round_trips = true, .busy_poll = 1000000},
        };

        for (size_t i = 0; i < ARRAY_SIZE(modes); i++)
                if (strcmp(modes[i].name, name) == 0)
                        return &modes[i];
        return NULL;
}

static void connect_clients(struct run *run, busrt_broker *broker)
{
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                must("new", busrt_client_new(names[i], &run->clients[i]));
                must("busy poll",
                     busrt_client_set_busy_poll(run->clients[i], run->mode->busy_poll));
                must("connect", busrt_broker_connect(broker, run->clients[i]));
        }
}

static void run_threads(struct run *run)
{
        pthread_t threads[2];
        bool round_trips = run->mode->round_trips;

        must("thread", -pthread_create(&threads[1], NULL, round_trips ? answer : receive_all, run));
        must("thread", -pthread_create(&threads[0], NULL, round_trips ? ask : send_all, run));
        for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
                pthread_join(threads[i], NULL);
}

static void print_result(const struct run *run)
{
        double seconds = (double)(run->ended - run->began) / 1e9;

        printf("{\"mode\": \"%s\", \"frames\": %llu", run->mode->name,
               (unsigned long long)run->frames);
        if (run->mode->round_trips)
                print_round_trips(run);
        else
                printf(", \"rate\": %.1f", (double)run->frames / seconds);
        printf("}\n");
}

int main(int argc, char **argv)
{
        struct run run = {.mode = argc == 3 ? find_mode(argv[1]) : NULL};
        busrt_broker *broker;

        if (!run.mode) {
                (void)fputs("usage: inter-thread messages|corked|waiting|polling SECONDS\n",
                            stderr);
                return 2;
        }
        run.span = (uint64_t)(strtod(argv[2], NULL) * 1e9);
        run.samples = calloc(SAMPLES_MAX, sizeof(*run.samples));
        must("memory", run.samples ? 0 : -ENOMEM);
        must("broker", busrt_broker_new(&broker));
        must("pace", busrt_broker_set(broker, BUSRT_BROKER_SLOW_PACE, PACE));
        must("start", busrt_broker_start(broker));
        connect_clients(&run, broker);
        run_threads(&run);
        print_result(&run);
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                busrt_client_free(run.clients[i]);
        busrt_broker_free(broker);
        free(run.samples);
        return EXIT_SUCCESS;
}
