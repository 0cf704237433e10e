/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What test-from-rust.c stands on: the page's code, a busrtd for the whole group, clients of it,
 * and functions of the page that print, in a thread each.
 */
#pragma once

#include <fcntl.h>

#include "client-bed.h"
#include "real-broker.h"

#include "from-rust.h"

static struct real_broker *broker;

static inline int real_broker_begin(void **state)
{
        broker = real_broker_start();
        return 0;
}

static inline int real_broker_end(void **state)
{
        broker = real_broker_stop(broker);
        return 0;
}

static inline busrt_client *peer(const char *name)
{
        busrt_client *c = NULL;

        assert_int_equal(connect_as(name, real_broker_path(broker), &c), 0);
        assert_int_equal(busrt_client_set_timeout(c, DEADLINE), 0);
        return c;
}

static inline void assert_next(busrt_client *c, const char *text)
{
        _cleanup_frame_ busrt_frame *frame = NULL;
        const void *payload;
        size_t len;

        assert_int_equal(busrt_client_read(c, DEADLINE, &frame), 0);
        payload = busrt_frame_get_payload(frame, &len);
        assert_int_equal(len, strlen(text));
        assert_memory_equal(payload, text, len);
}

static inline void publish(busrt_client *c, const char *topic, const char *text)
{
        struct iovec iov = {(void *)text, strlen(text)};

        assert_int_equal(busrt_client_publish(c, topic, &iov, 1, BUSRT_QOS_PROCESSED, NULL), 0);
}

/* --- What the page prints, in a thread --- */

struct printer {
        int (*function)(busrt_client *, FILE *);
        busrt_client *client;
        FILE *out;
        int fd, result;
        pthread_t thread;
};

static inline void *print(void *userdata)
{
        struct printer *p = userdata;

        p->result = p->function(p->client, p->out);
        return NULL;
}

static inline void printer_start(struct printer *p, busrt_client *c,
                                 int (*function)(busrt_client *, FILE *))
{
        int fds[2];

        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        *p = (struct printer){.function = function, .client = c, .fd = fds[0]};
        p->out = fdopen(fds[1], "w");
        assert_non_null(p->out);
        assert_int_equal(setvbuf(p->out, NULL, _IONBF, 0), 0);
        assert_int_equal(pthread_create(&p->thread, NULL, print, p), 0);
}

static inline void assert_printed(struct printer *p, const char *text)
{
        char got[256] = {0};
        size_t len = 0;

        while (len < strlen(text)) {
                struct pollfd fd = {.fd = p->fd, .events = POLLIN};
                ssize_t n;

                assert_int_equal(poll(&fd, 1, DEADLINE / MSEC), 1);
                n = read(p->fd, got + len, strlen(text) - len);
                assert_true(n > 0);
                len += (size_t)n;
        }
        assert_string_equal(got, text);
}

/* What the function returned when its client was disconnected. */
static inline int printer_stop(struct printer *p)
{
        assert_int_equal(busrt_client_disconnect(p->client), 0);
        assert_int_equal(pthread_join(p->thread, NULL), 0);
        fclose(p->out);
        close(p->fd);
        return p->result;
}
