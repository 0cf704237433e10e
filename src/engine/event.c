/* SPDX-License-Identifier: Apache-2.0 */
/* What happened, from the workers to the host: a ring with one writer at a time, who has the bus,
 * and one reader. A full ring loses events and says so; it never holds up the bus. */
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

/* Cut between characters, so that what was text still is. */
static void event_copy_name(struct engine_event *ev, const struct session *s)
{
        size_t n = MIN((size_t)s->name_len, sizeof(ev->name) - 1);

        if (n < s->name_len)
                for (n -= 3; n > 0 && ((uint8_t)s->name[n] & 0xc0) == 0x80;)
                        n--;
        memcpy(ev->name, s->name, n);
        (void)strcpy(ev->name + n, n < s->name_len ? "..." : "");
}

static void event_fill(struct engine_event *ev, const struct session *s,
                       enum engine_event_type type, uint64_t n_frames)
{
        *ev = (struct engine_event){.type = type,
                                    .kind = s->kind,
                                    .id = s->id,
                                    .uid = s->peer.uid,
                                    .gid = s->peer.gid,
                                    .pid = s->peer.has_pid ? s->peer.pid : 0,
                                    .n_frames = n_frames};
        if (s->name)
                event_copy_name(ev, s);
        memcpy(ev->source, s->peer.source, sizeof(ev->source));
}

/* Room for one more, filled in but for its detail; NULL: the ring is full. */
static struct engine_event *event_begin(struct session *s, enum engine_event_type type,
                                        uint64_t n_frames)
{
        struct event_ring *ring = &s->engine->events;
        uint64_t tail = __atomic_load_n(&ring->tail, __ATOMIC_RELAXED);
        struct engine_event *ev;

        s->engine->events_pushed = true;
        if (tail - __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE) == ENGINE_EVENT_RING) {
                __atomic_store_n(&ring->overflowed, true, __ATOMIC_RELEASE);
                return NULL;
        }
        ev = &ring->events[tail % ENGINE_EVENT_RING];
        event_fill(ev, s, type, n_frames);
        return ev;
}

static void event_publish(struct session *s)
{
        struct event_ring *ring = &s->engine->events;

        __atomic_store_n(&ring->tail, __atomic_load_n(&ring->tail, __ATOMIC_RELAXED) + 1,
                         __ATOMIC_RELEASE);
}

void event_push(struct session *s, enum engine_event_type type, uint64_t n_frames,
                const char *detail, ...)
{
        struct engine_event *ev = event_begin(s, type, n_frames);
        va_list args;

        if (!ev)
                return;
        va_start(args, detail);
        (void)vsnprintf(ev->detail, sizeof(ev->detail), detail, args);
        va_end(args);
        event_publish(s);
}

void event_push_refused(struct session *s, enum engine_cause cause, const char *detail)
{
        struct engine_event *ev = event_begin(s, ENGINE_EVENT_REFUSED, 0);

        if (!ev)
                return;
        ev->cause = cause;
        (void)snprintf(ev->detail, sizeof(ev->detail), "%s", detail);
        event_publish(s);
}

/* Long names are cut at their beginning: which file it is stands at the end. */
static void event_set_cause(struct engine_event *ev, const struct refusal *why)
{
        size_t len = why->file ? strlen(why->file) : 0;
        const char *dots = len < sizeof(ev->file) ? "" : "...";

        ev->cause = why->cause;
        ev->line = why->line;
        (void)snprintf(ev->detail, sizeof(ev->detail), "%s", why->reason);
        if (*dots)
                len = sizeof(ev->file) - 1 - strlen(dots);
        if (why->file)
                (void)snprintf(ev->file, sizeof(ev->file), "%s%s", dots,
                               why->file + strlen(why->file) - len);
}

void event_push_denied(struct session *s, uint64_t n, const struct refusal *why)
{
        struct engine_event *ev = event_begin(s, ENGINE_EVENT_DENIED, n);

        if (!ev)
                return;
        event_set_cause(ev, why);
        event_publish(s);
}

void event_push_over(struct session *s, enum engine_event_type type, const struct refusal *why)
{
        struct engine_event *ev = event_begin(s, type, s->queue.n_frames);

        if (!ev)
                return;
        ev->over = true;
        event_set_cause(ev, why);
        event_publish(s);
}

void event_flush(struct engine *e)
{
        static const uint64_t one = 1;

        if (!e->events_pushed)
                return;
        e->events_pushed = false;
        (void)!write(e->events.fd, &one, sizeof(one));
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
