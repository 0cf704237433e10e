/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client-speed SOCKET STAGE SECONDS: one libbusrt client that does one thing again and again for
 * that long, and prints how often it did and the seconds that it took. The program of the published
 * Rust client, tests/interop/rust/src/bin/client-speed.rs, has the same stages:
 *
 *   publish     100 bytes to nobody, without acknowledgement (here: corked, a thousand at a time)
 *   single      the same, each written by itself (here only)
 *   acked       the same with an acknowledgement, one at a time
 *   call        a remote call of the broker's own echo with 100 bytes, one at a time
 *   loop        a hundred messages to itself, then received and counted
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <busrt/client.h>
#include <busrt/rpc.h>

#include "basic/clock.h"
#include "basic/macro.h"

#define BATCH 100
#define CORKED 10 /* batches */
#define PAYLOAD 100
#define WAIT (UINT64_C(10) * 1000 * 1000)

static uint8_t payload[PAYLOAD];
static const struct iovec piece = {payload, PAYLOAD};

static void must(const char *what, int r)
{
        if (r >= 0)
                return;
        (void)fprintf(stderr, "client-speed: %s: %s\n", what, busrt_strerror(r));
        exit(EXIT_FAILURE);
}

static unsigned single(busrt_client *c)
{
        for (unsigned i = 0; i < BATCH; i++)
                must("publish", busrt_client_publish(c, "bench/nobody", &piece, 1, 0, NULL));
        return BATCH;
}

static unsigned publish(busrt_client *c)
{
        must("cork", busrt_client_cork(c));
        for (unsigned i = 0; i < CORKED; i++)
                (void)single(c);
        must("uncork", busrt_client_uncork(c));
        return CORKED * BATCH;
}

static unsigned acked(busrt_client *c)
{
        must("publish",
             busrt_client_publish(c, "bench/nobody", &piece, 1, BUSRT_QOS_PROCESSED, NULL));
        return 1;
}

static unsigned call(busrt_client *c)
{
        busrt_frame *reply;
        size_t len;

        must("call",
             busrt_client_call(c, ".broker", "benchmark.test", &piece, 1, 0, WAIT, NULL, &reply));
        (void)busrt_frame_get_payload(reply, &len);
        busrt_frame_unref(reply);
        must("echo", len == PAYLOAD ? 0 : -EPROTO);
        return 1;
}

static unsigned loop(busrt_client *c)
{
        busrt_frame *frame;

        must("cork", busrt_client_cork(c));
        for (unsigned i = 0; i < BATCH; i++)
                must("send", busrt_client_send(c, busrt_client_get_name(c), &piece, 1, 0, NULL));
        must("uncork", busrt_client_uncork(c));
        for (unsigned i = 0; i < BATCH; i++) {
                must("read", busrt_client_read(c, WAIT, &frame));
                busrt_frame_unref(frame);
        }
        return BATCH;
}

static unsigned (*find_stage(const char *name))(busrt_client *)
{
        static const struct {
                const char *name;
                unsigned (*run)(busrt_client *);
        } stages[] = {{"publish", publish},
                      {"single", single},
                      {"acked", acked},
                      {"call", call},
                      {"loop", loop}};

        for (size_t i = 0; i < ARRAY_SIZE(stages); i++)
                if (strcmp(stages[i].name, name) == 0)
                        return stages[i].run;
        return NULL;
}

int main(int argc, char **argv)
{
        unsigned (*stage)(busrt_client *) = argc == 4 ? find_stage(argv[2]) : NULL;
        uint64_t begin, now, end, n = 0;
        busrt_client *c;

        if (!stage) {
                (void)fputs("usage: client-speed SOCKET publish|single|acked|call|loop SECONDS\n",
                            stderr);
                return 2;
        }
        must("new", busrt_client_new("bench.speed", &c));
        must("connect", busrt_client_connect(c, argv[1]));
        begin = now = clock_nsec(CLOCK_MONOTONIC);
        end = begin + (uint64_t)(strtod(argv[3], NULL) * 1e9);
        while (now < end) {
                for (unsigned i = 0; i < BATCH; i++)
                        n += stage(c);
                now = clock_nsec(CLOCK_MONOTONIC);
        }
        /* What is only written is not done. */
        must("the end",
             busrt_client_publish(c, "bench/nobody", NULL, 0, BUSRT_QOS_PROCESSED, NULL));
        now = clock_nsec(CLOCK_MONOTONIC);
        printf("%llu %.6f\n", (unsigned long long)n, (double)(now - begin) / 1e9);
        busrt_client_free(c);
        return EXIT_SUCCESS;
}
