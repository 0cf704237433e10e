/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of libbusrt-broker share: brokers, clients in this process and over sockets, a
 * loop of the program's own, and what this process holds. All through the public headers alone.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <busrt/broker.h>
#include <busrt/rpc.h>

#include "basic/macro.h"

#define SECOND UINT64_C(1000000)
#define MSEC UINT64_C(1000)
#define DEADLINE (60 * SECOND) /* of a test: far beyond what anything should take */
#define ACKED BUSRT_QOS_PROCESSED
#define IOV(text) (&(struct iovec){(void *)(text), sizeof(text) - 1}), 1

static inline void client_freep(busrt_client **c)
{
        busrt_client_free(*c);
}
static inline void broker_freep(busrt_broker **b)
{
        busrt_broker_free(*b);
}
static inline void frame_unrefp(busrt_frame **f)
{
        busrt_frame_unref(*f);
}
/* Some are only there. */
#define _cleanup_client_ __attribute__((unused)) _cleanup_(client_freep)
#define _cleanup_broker_ _cleanup_(broker_freep)
#define _cleanup_frame_ _cleanup_(frame_unrefp)

static inline uint64_t now_usec(void)
{
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t)ts.tv_sec * SECOND + (uint64_t)ts.tv_nsec / 1000;
}

static inline size_t count_entries(const char *path)
{
        DIR *d = opendir(path);
        size_t n = 0;

        assert_non_null(d);
        while (readdir(d))
                n++;
        closedir(d);
        return n;
}

static inline size_t count_fds(void)
{
        return count_entries("/proc/self/fd");
}

static inline size_t count_threads(void)
{
        return count_entries("/proc/self/task") - 2;
}

/* --- A place for sockets: a directory of its own for each test program --- */

static struct {
        char dir[32];
        char path[64];
} place;

static inline int place_make(void **state)
{
        strcpy(place.dir, "/tmp/busrt-embed-XXXXXX");
        if (!mkdtemp(place.dir))
                return -1;
        snprintf(place.path, sizeof(place.path), "%s/bus.sock", place.dir);
        return 0;
}

/* Fails where something is left in it: every test takes away what it made. */
static inline int place_remove(void **state)
{
        return rmdir(place.dir);
}

/* --- Brokers and clients --- */

static inline busrt_broker *new_broker(void)
{
        busrt_broker *b;

        assert_int_equal(busrt_broker_new(&b), 0);
        return b;
}

/* Threads of its own, listening at place.path. */
static inline busrt_broker *started_broker(void)
{
        busrt_broker *b = new_broker();

        assert_int_equal(busrt_broker_listen(b, place.path, 0), 0);
        assert_int_equal(busrt_broker_start(b), 0);
        return b;
}

static inline busrt_client *new_client(const char *name)
{
        busrt_client *c;

        assert_int_equal(busrt_client_new(name, &c), 0);
        return c;
}

/* One that will live in the broker's process: its name may begin with a dot. */
static inline busrt_client *new_named_client(const char *name)
{
        busrt_client *c;

        assert_int_equal(busrt_client_new_for_stream(name, &c), 0);
        return c;
}

/* A client in this process. */
static inline busrt_client *joined(busrt_broker *b, const char *name)
{
        busrt_client *c = new_named_client(name);

        assert_int_equal(busrt_broker_connect(b, c), 0);
        return c;
}

/* A client of the socket at place.path. */
static inline busrt_client *joined_by_socket(const char *name)
{
        busrt_client *c = new_client(name);

        assert_int_equal(busrt_client_connect(c, place.path), 0);
        return c;
}

static inline busrt_broker_stats stats_of(busrt_broker *b)
{
        busrt_broker_stats s;

        assert_int_equal(busrt_broker_get_stats(b, &s), 0);
        return s;
}

/* The next frame of that client is this text, from that sender. */
static inline void expect_frame(busrt_client *c, enum busrt_kind kind, const char *sender,
                                const char *text)
{
        _cleanup_frame_ busrt_frame *f = NULL;
        const char *payload;
        size_t len;

        assert_int_equal(busrt_client_read(c, DEADLINE, &f), 0);
        assert_int_equal(busrt_frame_get_kind(f), kind);
        assert_string_equal(busrt_frame_get_sender(f), sender);
        payload = busrt_frame_get_payload(f, &len);
        assert_int_equal(len, strlen(text));
        assert_memory_equal(payload, text, len);
}

static inline void expect_nothing(busrt_client *c)
{
        busrt_frame *f;

        assert_int_equal(busrt_client_read(c, 0, &f), -EAGAIN);
}

/* The client finds itself closed, and why. */
static inline void expect_closed(busrt_client *c, int error)
{
        busrt_frame *f;
        int r;

        while ((r = busrt_client_read(c, DEADLINE, &f)) == 0)
                busrt_frame_unref(f);
        assert_int_equal(r, -ECONNRESET);
        assert_int_equal(busrt_client_error(c), error);
}

/* Waits for something that only another thread brings about. */
static inline void wait_until(bool (*done)(void *), void *userdata)
{
        uint64_t until = now_usec() + DEADLINE;

        while (!done(userdata)) {
                assert_true(now_usec() < until);
                sched_yield();
        }
}

/* --- The program's loop --- */

/* How long it may wait at the most. */
static inline uint64_t span_of(busrt_broker *b)
{
        uint64_t until, now = now_usec();

        assert_int_equal(busrt_broker_get_timeout(b, &until), 0);
        return until == UINT64_MAX ? until : until > now ? until - now : 0;
}

/* One turn: waits for at most so long, and processes. */
static inline void turn(busrt_broker *b, uint64_t usec)
{
        struct pollfd p = {.fd = busrt_broker_get_fd(b), .events = POLLIN};
        uint64_t timeout = MIN(span_of(b), usec);

        (void)poll(&p, 1, (int)((timeout + MSEC - 1) / MSEC));
        assert_int_equal(busrt_broker_process(b), 0);
}

/* Turns until there is nothing to do at once. */
static inline void settle(busrt_broker *b)
{
        struct pollfd p = {.fd = busrt_broker_get_fd(b), .events = POLLIN};

        for (unsigned n = 0;; n++) {
                assert_true(n < 1000000);
                if (span_of(b) > 0 && poll(&p, 1, 0) == 0)
                        return;
                assert_int_equal(busrt_broker_process(b), 0);
        }
}

static inline void serve_until(busrt_broker *b, bool (*done)(void *), void *userdata)
{
        uint64_t until = now_usec() + DEADLINE;

        while (!done(userdata)) {
                assert_true(now_usec() < until);
                turn(b, 100 * MSEC);
        }
}
