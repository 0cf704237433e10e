/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker: an epoll set, the sessions that it reads from, and the pass that serves them. One pass
 * waits for events, lets every session that has something handle a bounded amount of it, looks at
 * the timers, lets those who leave leave, and writes each session that was given something once.
 *
 * Several workers share one bus: whoever touches a session, a queue or a table holds the engine's
 * lock, and leaves it for each system call that moves bytes or waits, which is where the time goes.
 * So a frame is handed to a receiver of another worker's as to any, and the worker that has queued
 * it also writes it: nobody is woken for it but the receiver. While the lock is left,
 *
 * - a session that is being read or written is pinned: it may end, but what the system call uses
 *   stays until that is over;
 * - only its own worker frees a session that has a socket, between two passes: so an event that
 *   waits there never names one that is gone;
 * - only its own worker writes a session whose socket was full, so that no event of room is missed;
 * - what a system call has found may be old when it is told: others may have learnt more.
 *
 * Where clients live in this process (local.c), their threads come and go in the same way, as
 * guests: each brings a struct worker of its own that waits for nothing and has no sessions. Only
 * with one worker and no such clients there is no lock.
 */
#pragma once

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>
#include <pthread.h>

#include "engine/session.h"

#define WORKER_READ_SIZE (128 << 10) /* per read and per session and pass */
/* What a pass may handle: 16384 frames, or four times as many deliveries of a fan-out, about a
 * millisecond or a few. Fewer would make the writes to many receivers too small to be cheap. */
#define WORKER_BUDGET 65536
#define WORKER_FRAME_COST 4

RB_HEAD(timer_tree, session);

struct worker {
        struct engine *engine;
        int epoll_fd, wake_fd;
        uint64_t event_at; /* of the last pass that an event began */
        int budget;        /* what this pass may still handle */
        uint64_t n_runs;   /* passes so far, for sessions to know in which they ran */
        uint8_t *read_buffer;
        size_t n_sessions; /* that it reads from */
        TAILQ_HEAD(session_run_queue, session) run_queue;
        LIST_HEAD(, session) unwritten; /* what this pass has queued for, whoever reads them */
        STAILQ_HEAD(grave_list, session)
        graves; /* its sessions that are out of all tables: to be freed */
        struct timer_tree timers;
        uint64_t waits_until; /* monotonic; 0: it is in a pass */
        uint64_t pings_seen;  /* atomic: engine_ping() so far, as of its last pass */
        pthread_t thread;
};

int worker_init(struct worker *w, struct engine *engine);
void worker_done(struct worker *w);

/* One pass. timeout in milliseconds as for epoll_wait. */
int worker_pass(struct worker *w, int timeout);
/* Passes until stopped. */
void *worker_main(void *worker);
/* How long a pass may wait, in milliseconds, rounded up. */
int worker_timeout(const struct worker *w, uint64_t now);
/* Around a system call that may take long: other workers go on meanwhile. */
void worker_leave_bus(struct worker *w);
void worker_enter_bus(struct worker *w);

/* What a pass has queued is written, who has ended leaves, and what happened is told. */
void worker_finish_pass(struct worker *w);

/* Makes it do a pass. */
void worker_wake(struct worker *w);
/* Who leaves is taken out of the tables and announced; its own dead are freed. */
void worker_settle(struct worker *w);
/* A session of it has ended in the meantime that was pinned until now. */
void worker_unpinned(struct session *s);

void worker_watch(struct session *s);
void worker_watch_writable(struct session *s, bool wanted);
/* Its worker lets it handle what it has. */
void worker_run_later(struct session *s);
/* The session's timers are looked at no later than that. */
void worker_arm(struct session *s, uint64_t at);
void worker_disarm(struct session *s);

int timer_compare(const struct session *a, const struct session *b);
RB_PROTOTYPE(timer_tree, session, timer_link, timer_compare)
