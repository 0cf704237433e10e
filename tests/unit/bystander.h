/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every case of ill-treatment is measured by: two clients that have nothing to do with it must
 * be able to talk all the while, and when it is over the fds and the memory of this process are
 * what they were.
 */
#pragma once

#include <dirent.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bed.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define UNDER_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
        __has_feature(memory_sanitizer)
#define UNDER_SANITIZER 1
#endif
#endif
#ifndef UNDER_SANITIZER
#define UNDER_SANITIZER 0
#endif

#define BYSTANDER_PASSES 64 /* of the engine, for one way */

struct bystanders {
        struct peer ping, pong;
        uint32_t n;
};

static inline void bystanders_join(struct bed *bed, struct bystanders *b)
{
        *b = (struct bystanders){.ping = bed_join_as(bed, "bystander.ping", 61001),
                                 .pong = bed_join_as(bed, "bystander.pong", 61002)};
}

static inline void bystanders_leave(struct bystanders *b)
{
        peer_close(&b->ping);
        peer_close(&b->pong);
}

/* Passes until the message with that number is there. Acknowledgements and pings pass by. */
static inline void bystander_await(struct bed *bed, struct peer *p, uint32_t number)
{
        uint8_t buf[4096];
        size_t have = 0, at = 0;

        for (unsigned pass = 0; pass < BYSTANDER_PASSES; pass++) {
                ssize_t n;

                assert_int_equal(engine_process(bed->engine), 0);
                n = peer_read(p, buf + have, sizeof(buf) - have);
                assert_true(n >= 0);
                have += (size_t)n;
                while (have - at >= WIRE_DELIVERY_HEADER_SIZE &&
                       have - at >= wire_delivery_size(buf + at)) {
                        const uint8_t *f = buf + at;

                        at += wire_delivery_size(f);
                        if (f[0] != WIRE_KIND_MESSAGE)
                                continue;
                        assert_int_equal(le32_get(buf + at - 4), number);
                        return;
                }
        }
        fail_msg("a bystander's message %u did not arrive within %d passes", number,
                 BYSTANDER_PASSES);
}

/* There and back. */
static inline void bystanders_check(struct bed *bed, struct bystanders *b)
{
        uint8_t to_pong[] = "bystander.pong\0....", to_ping[] = "bystander.ping\0....";

        b->n++;
        le32_put(to_pong + 15, b->n);
        le32_put(to_ping + 15, b->n);
        peer_send(&b->ping, WIRE_OP_MESSAGE, to_pong, 19);
        bystander_await(bed, &b->pong, b->n);
        peer_send(&b->pong, WIRE_OP_MESSAGE | 0x40, to_ping, 19);
        bystander_await(bed, &b->ping, b->n);
}

/* --- What this process holds --- */

struct holdings {
        size_t n_fds, rss;
};

static inline size_t count_fds(void)
{
        DIR *d = opendir("/proc/self/fd");
        size_t n = 0;

        assert_non_null(d);
        while (readdir(d))
                n++;
        closedir(d);
        return n;
}

/* In bytes, after what is free has been given back. */
static inline size_t resident_memory(void)
{
        unsigned long size, resident;
        FILE *f = fopen("/proc/self/statm", "re");

        (void)malloc_trim(0);
        assert_non_null(f);
        assert_int_equal(fscanf(f, "%lu %lu", &size, &resident), 2);
        fclose(f);
        return resident * (size_t)sysconf(_SC_PAGESIZE);
}

static inline struct holdings holdings_now(void)
{
        return (struct holdings){.n_fds = count_fds(), .rss = resident_memory()};
}

/* A sanitizer keeps freed memory for a while. */
static inline void holdings_expect(const struct holdings *before)
{
        struct holdings now = holdings_now();

        assert_int_equal(now.n_fds, before->n_fds);
        if (!UNDER_SANITIZER && now.rss > before->rss + (2 << 20))
                fail_msg("%zu KiB of memory stayed", (now.rss - before->rss) >> 10);
}
