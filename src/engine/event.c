/* SPDX-License-Identifier: Apache-2.0 */
/* What happened, from the worker to the host: a ring with one writer and one reader. A full ring
 * loses events and says so; it never holds up the bus. */
#include <stdarg.h>
#include <stdio.h>
#include <sys/eventfd.h>

#include "engine/internal.h"

int event_ring_init(struct event_ring *ring)
{
        *ring = (struct event_ring){.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
        if (ring->fd < 0)
                return -errno;
        ring->events = calloc(ENGINE_EVENT_RING, sizeof(*ring->events));
        return ring->events ? 0 : -ENOMEM;
}

void event_ring_done(struct event_ring *ring)
{
        ring->fd = close_fd(ring->fd);
        free(ring->events);
        ring->events = NULL;
}

static void event_copy_name(struct engine_event *ev, const struct session *s)
{
        size_t n = MIN((size_t)s->name_len, sizeof(ev->name) - 1);

        memcpy(ev->name, s->name, n);
        ev->name[n] = 0;
        if (n < s->name_len)
                memcpy(ev->name + n - 3, "...", 3);
}

static void event_fill(struct engine_event *ev, const struct session *s,
                       enum engine_event_type type, uint64_t n_frames)
{
        *ev = (struct engine_event){.type = type,
                                    .kind = s->kind,
                                    .id = s->id,
                                    .uid = s->peer.uid,
                                    .pid = s->peer.has_pid ? s->peer.pid : 0,
                                    .n_frames = n_frames};
        if (s->name)
                event_copy_name(ev, s);
        memcpy(ev->source, s->peer.source, sizeof(ev->source));
}

void event_push(struct session *s, enum engine_event_type type, uint64_t n_frames,
                const char *detail, ...)
{
        struct event_ring *ring = &s->worker->engine->events;
        uint64_t tail = __atomic_load_n(&ring->tail, __ATOMIC_RELAXED);
        struct engine_event *ev;
        va_list args;

        s->worker->events_pushed = true;
        if (tail - __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE) == ENGINE_EVENT_RING) {
                __atomic_store_n(&ring->overflowed, true, __ATOMIC_RELEASE);
                return;
        }
        ev = &ring->events[tail % ENGINE_EVENT_RING];
        event_fill(ev, s, type, n_frames);
        va_start(args, detail);
        (void)vsnprintf(ev->detail, sizeof(ev->detail), detail, args);
        va_end(args);
        __atomic_store_n(&ring->tail, tail + 1, __ATOMIC_RELEASE);
}

void event_flush(struct worker *w)
{
        static const uint64_t one = 1;

        if (!w->events_pushed)
                return;
        w->events_pushed = false;
        (void)!write(w->engine->events.fd, &one, sizeof(one));
}

int engine_event_fd(const struct engine *engine)
{
        return engine->events.fd;
}

int engine_event_next(struct engine *engine, struct engine_event *ret)
{
        struct event_ring *ring = &engine->events;
        uint64_t head = __atomic_load_n(&ring->head, __ATOMIC_RELAXED), count;

        if (head == __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE)) {
                if (__atomic_exchange_n(&ring->overflowed, false, __ATOMIC_ACQ_REL)) {
                        *ret = (struct engine_event){.type = ENGINE_EVENT_RESYNC};
                        return 1;
                }
                (void)!read(ring->fd, &count, sizeof(count));
                /* One may have come between the look and the read. */
                if (head == __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE))
                        return 0;
        }
        *ret = ring->events[head % ENGINE_EVENT_RING];
        __atomic_store_n(&ring->head, head + 1, __ATOMIC_RELEASE);
        return 1;
}
