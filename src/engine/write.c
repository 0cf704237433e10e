/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is queued for a session goes out: once in a pass, by the worker that has queued it. Whoever
 * queues more during the system call leaves it to the one who writes, who looks again afterwards.
 */
#include <sys/socket.h>

#include "engine/internal.h"

#define WRITE_BUDGET (1 << 20) /* bytes at a time: one quick reader must not keep a worker */

void session_mark_unwritten(struct session *s)
{
        if (s->unwritten || s->write_blocked || s->writing)
                return;
        s->unwritten = true;
        LIST_INSERT_HEAD(&s->engine->current->unwritten, s, unwritten_link);
}

void session_unmark_unwritten(struct session *s)
{
        if (!s->unwritten)
                return;
        LIST_REMOVE(s, unwritten_link);
        s->unwritten = false;
}

#define STOP_LINGER                                                                                \
        NSEC_PER_SEC /* a broker that stops waits no longer than that for a peer's end */

/* All is written that ever will be. A TCP peer is told the end and given time to read: closing on
 * bytes that it sent and nobody read would throw away what is on its way to it. */
static void session_finish(struct session *s)
{
        if (s->kind == TRANSPORT_TCP && !s->hung_up && !s->lingering) {
                s->lingering = true;
                if (s->engine->stopping)
                        s->deadline = MIN(s->deadline, s->engine->now + STOP_LINGER);
                worker_arm(s, s->deadline);
                if (shutdown(s->fd, SHUT_WR) == 0) {
                        s->readable = true;
                        worker_run_later(s);
                        return;
                }
        }
        session_kill(s, ENGINE_EVENT_GONE, NULL);
}

/* The peer takes nothing any more, and what is for it is lost with its connection. What it has sent
 * before is carried out all the same: it is read to the end. */
static void session_deafen(struct session *s)
{
        s->deaf = s->hung_up = s->readable = true;
        worker_run_later(s);
}

/* The session may end meanwhile: what is written stays until it has been. */
static ssize_t write_batch(struct session *s, struct queue_batch *batch, bool leave)
{
        struct worker *w = s->engine->current;
        ssize_t n;

        if (!leave)
                return transport_writev(s->fd, batch->iov, batch->n);
        s->writing = true;
        worker_leave_bus(w);
        n = transport_writev(s->fd, batch->iov, batch->n);
        worker_enter_bus(w);
        s->writing = false;
        return n;
}

enum write_end {
        WRITE_ALL,    /* all is out */
        WRITE_FULL,   /* the socket is full */
        WRITE_ENOUGH, /* it may take more, but not in this call */
        WRITE_BROKEN, /* it takes nothing any more */
        WRITE_DEAD,   /* the session has ended meanwhile */
};

static enum write_end write_queue(struct session *s, bool leave, bool *ret_progress)
{
        size_t budget = WRITE_BUDGET;
        struct queue_batch batch;

        while (!queue_is_empty(&s->queue)) {
                ssize_t n;

                queue_gather(&s->queue, &batch);
                n = write_batch(s, &batch, leave);
                if (s->state == SESSION_DEAD)
                        return WRITE_DEAD;
                queue_written(&s->queue, &s->engine->pool, n > 0 ? (size_t)n : 0);
                if (n < 0)
                        return n == -EAGAIN ? WRITE_FULL : WRITE_BROKEN;
                *ret_progress = true;
                if ((size_t)n < batch.n_bytes)
                        return WRITE_FULL;
                if ((size_t)n >= budget)
                        return queue_is_empty(&s->queue) ? WRITE_ALL : WRITE_ENOUGH;
                budget -= (size_t)n;
        }
        return WRITE_ALL;
}

/* Asking for EPOLLOUT anew tells at once if there is room now: who stopped before the socket was
 * full will not hear of it otherwise. From then on its own worker writes it, when that comes:
 * another that was in a write of its own meanwhile would make it miss the event. */
static void session_blocked(struct session *s, bool ask)
{
        session_unmark_unwritten(s);
        if (!s->write_blocked || ask) {
                s->write_blocked = true;
                worker_watch_writable(s, true);
        }
        worker_arm(s, s->engine->now + s->engine->config.timeout);
}

static void write_ended(struct session *s, enum write_end end, bool progress)
{
        if (progress || !s->write_blocked)
                s->write_since = s->engine->now;
        if (progress)
                pace_shrunk(s);
        if (end == WRITE_FULL || end == WRITE_ENOUGH) {
                session_blocked(s, end == WRITE_ENOUGH);
                return;
        }
        if (s->write_blocked) {
                s->write_blocked = false;
                worker_watch_writable(s, false);
        }
        if (s->state == SESSION_DRAINING)
                session_finish(s);
}

static void session_write_some(struct session *s, bool leave)
{
        bool progress = false;
        enum write_end end;

        if (s->local)
                local_wake(s->local);
        if (s->state == SESSION_DEAD || s->fd < 0 || s->writing)
                return;
        end = s->deaf ? WRITE_BROKEN : write_queue(s, leave, &progress);
        if (end == WRITE_DEAD) {
                queue_clear(&s->queue, &s->engine->pool);
                worker_unpinned(s);
                return;
        }
        if (end == WRITE_BROKEN) {
                if (!s->deaf)
                        session_deafen(s);
                queue_clear(&s->queue, &s->engine->pool);
                progress = true;
        }
        write_ended(s, end, progress);
}

void session_write(struct session *s)
{
        session_write_some(s, true);
}

void session_write_now(struct session *s)
{
        session_write_some(s, false);
}
