/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of libbusrt share: clients of a fake broker, and what this process holds. */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <busrt/client.h>
#include <busrt/rpc.h>

#include "basic/macro.h"
#include "fake-broker.h"

#define SECOND UINT64_C(1000000)
#define MSEC UINT64_C(1000)
#define DEADLINE (60 * SECOND) /* of a test: far beyond what anything should take */
#define IOV(text) (&(struct iovec){(void *)(text), sizeof(text) - 1}), 1

static inline void client_freep(busrt_client **c)
{
        busrt_client_free(*c);
}
static inline void fake_stopp(struct fake **f)
{
        fake_stop(*f);
}
static inline void op_unrefp(busrt_op **op)
{
        busrt_op_unref(*op);
}
static inline void frame_unrefp(busrt_frame **f)
{
        busrt_frame_unref(*f);
}
#define _cleanup_client_ _cleanup_(client_freep)
#define _cleanup_fake_ _cleanup_(fake_stopp)
#define _cleanup_op_ _cleanup_(op_unrefp)
#define _cleanup_frame_ _cleanup_(frame_unrefp)

static inline uint64_t now_usec(void)
{
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t)ts.tv_sec * SECOND + (uint64_t)ts.tv_nsec / 1000;
}

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

/* Never pings by itself: the bytes on the wire are the script's alone. */
static inline busrt_client *quiet_client(const char *name)
{
        busrt_client *c;

        assert_int_equal(busrt_client_new(name, &c), 0);
        assert_int_equal(busrt_client_set_ping_interval(c, 0), 0);
        return c;
}

static inline busrt_client *connected_client(struct fake *fake)
{
        busrt_client *c = quiet_client("me");

        assert_int_equal(busrt_client_connect(c, fake_address(fake)), 0);
        return c;
}

/* Processes until done() says so. */
static inline void process_until(busrt_client *c, bool (*done)(void *), void *userdata)
{
        uint64_t until = now_usec() + DEADLINE;

        while (!done(userdata)) {
                assert_true(now_usec() < until);
                if (busrt_client_process(c) != 0)
                        continue;
                if (!done(userdata))
                        assert_true(busrt_client_wait(c, SECOND) >= 0);
        }
}

static inline bool is_set(void *userdata)
{
        return *(const int *)userdata != 0;
}
