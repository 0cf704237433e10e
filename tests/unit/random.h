/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random numbers for tests. Every run takes a new seed and prints it; BUSRT_TEST_SEED=... repeats a
 * run.
 */
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static uint64_t random_state;

static inline uint64_t random_next(void)
{
        uint64_t z = (random_state += UINT64_C(0x9e3779b97f4a7c15));

        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        return z ^ (z >> 31);
}

/* 0 ... n - 1 */
static inline unsigned random_below(unsigned n)
{
        return (unsigned)(((random_next() >> 32) * n) >> 32);
}

static inline void random_seed(const char *what)
{
        const char *given = getenv("BUSRT_TEST_SEED");
        struct timespec now;

        clock_gettime(CLOCK_REALTIME, &now);
        random_state = given ? strtoull(given, NULL, 0)
                             : (uint64_t)now.tv_sec * 1000000007u + (uint64_t)now.tv_nsec;
        printf("%s: BUSRT_TEST_SEED=%llu\n", what, (unsigned long long)random_state);
        fflush(stdout);
}
