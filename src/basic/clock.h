/* SPDX-License-Identifier: Apache-2.0 */
/* Nanoseconds: of the monotonic clock for every deadline, of the real-time clock for announcements.
 */
#pragma once

#include <stdint.h>
#include <time.h>

#define NSEC_PER_SEC UINT64_C(1000000000)
#define NSEC_PER_MSEC UINT64_C(1000000)
#define NSEC_PER_USEC UINT64_C(1000)
#define NSEC_INFINITY UINT64_MAX

static inline uint64_t clock_nsec(clockid_t clock)
{
        struct timespec ts;

        clock_gettime(clock, &ts);
        return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}
