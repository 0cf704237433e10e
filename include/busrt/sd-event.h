/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client of libbusrt in a loop of sd-event(3). Inline, so that libbusrt itself needs no
 * libsystemd: who includes this links that (pkg-config --libs libbusrt libsystemd).
 *
 * An attachment is one I/O source, which owns a time source. Before each poll the client is asked
 * when it wants to be woken; whatever wakes it runs busrt_client_process() once, so that other
 * sources get their turn. Handlers run in the thread of the loop.
 */
#ifndef BUSRT_SD_EVENT_H
#define BUSRT_SD_EVENT_H

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include <systemd/sd-event.h>

#include <busrt/client.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How late the loop may wake the client, in microseconds. */
#define BUSRT_SD_EVENT_ACCURACY 1000
/* CLOCK_MONOTONIC, which <time.h> does not name in strict C11. */
#define BUSRT_SD_EVENT_CLOCK 1

/* Internal: what hangs on the I/O source. */
struct busrt_internal_attachment {
        busrt_client *client;
        sd_event_source *io;   /* owns this; not counted */
        sd_event_source *time; /* one reference */
};

/* What goes wrong is told by the state handler. A closed client has no more descriptor or time to
 * wake the loop by, which goes on. A handler may detach, and free the client: neither is touched
 * afterwards. */
static inline int busrt_internal_run(struct busrt_internal_attachment *a)
{
        busrt_client_process(a->client);
        return 0;
}

static inline int busrt_internal_on_io(sd_event_source *source, int fd, uint32_t revents,
                                       void *userdata)
{
        (void)source;
        (void)fd;
        (void)revents;
        return busrt_internal_run((struct busrt_internal_attachment *)userdata);
}

static inline int busrt_internal_on_time(sd_event_source *source, uint64_t usec, void *userdata)
{
        (void)source;
        (void)usec;
        return busrt_internal_run((struct busrt_internal_attachment *)userdata);
}

static inline int busrt_internal_on_prepare(sd_event_source *source, void *userdata)
{
        struct busrt_internal_attachment *a = (struct busrt_internal_attachment *)userdata;
        uint64_t usec;

        (void)source;
        if (busrt_client_get_timeout(a->client, &usec) < 0 || usec == UINT64_MAX)
                return sd_event_source_set_enabled(a->time, SD_EVENT_OFF);
        if (sd_event_source_set_time(a->time, usec) < 0)
                return -ENOMEM;
        return sd_event_source_set_enabled(a->time, SD_EVENT_ONESHOT);
}

static inline void busrt_internal_destroy(void *userdata)
{
        struct busrt_internal_attachment *a = (struct busrt_internal_attachment *)userdata;

        sd_event_source_disable_unref(a->time);
        free(a);
}

static inline int busrt_internal_fill(struct busrt_internal_attachment *a, sd_event *event,
                                      int64_t priority)
{
        int fd = busrt_client_get_fd(a->client), r;

        if (fd < 0)
                return fd;
        r = sd_event_add_time(event, &a->time, BUSRT_SD_EVENT_CLOCK, 0, BUSRT_SD_EVENT_ACCURACY,
                              busrt_internal_on_time, a);
        if (r < 0)
                return r;
        /* POLLIN and EPOLLIN are the same bit, as poll(2)'s other events are epoll(7)'s. */
        r = sd_event_add_io(event, &a->io, fd, (uint32_t)busrt_client_get_events(a->client),
                            busrt_internal_on_io, a);
        if (r < 0)
                return r;
        r = sd_event_source_set_priority(a->time, priority);
        if (r >= 0)
                r = sd_event_source_set_priority(a->io, priority);
        if (r >= 0)
                r = sd_event_source_set_prepare(a->io, busrt_internal_on_prepare);
        return r;
}

/* Lets the loop process the client, before or after connecting, at that priority
 * (sd_event_source_set_priority(3); usually 0). event NULL: the thread's default loop.
 *
 * *ret is the caller's: busrt_client_detach_event() frees it, before busrt_client_free(). The loop
 * does not own the client, nor the client the loop. When the client closes, its state handler is
 * called; detach then or later. In any one loop at a time.
 *
 * Besides the errors of every function: those of sd_event_add_io(3), -ECHILD after fork(2). */
static inline int busrt_client_attach_event(busrt_client *client, sd_event *event, int64_t priority,
                                            sd_event_source **ret)
{
        struct busrt_internal_attachment *a;
        sd_event *loop = NULL;
        int r;

        if (client == NULL || ret == NULL)
                return -EINVAL;
        a = (struct busrt_internal_attachment *)calloc(1, sizeof(*a));
        if (a == NULL)
                return -ENOMEM;
        a->client = client;
        r = event ? 0 : sd_event_default(&loop);
        if (r >= 0)
                r = busrt_internal_fill(a, event ? event : loop, priority);
        sd_event_unref(loop); /* its sources hold it */
        if (r >= 0)
                r = sd_event_source_set_destroy_callback(a->io, busrt_internal_destroy);
        if (r < 0) {
                sd_event_source_disable_unref(a->io);
                sd_event_source_disable_unref(a->time);
                free(a);
                return r;
        }
        *ret = a->io;
        return 0;
}

/* Ends that; also in a handler of the client. The client stays as it is. NULL is fine. Returns
 * NULL. */
static inline sd_event_source *busrt_client_detach_event(sd_event_source *source)
{
        return sd_event_source_disable_unref(source);
}

#ifdef __cplusplus
}
#endif

#endif
