/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker: an epoll set, the sessions that belong to it, and the pass that serves them. One pass
 * waits for events, lets every session that has something handle a bounded amount of it, looks at
 * the timers, lets those who leave leave, and writes each session that was given something once.
 */
#pragma once

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>
#include <pthread.h>

#include "engine/buffer.h"
#include "engine/engine.h"
#include "engine/session.h"
#include "route/name-tree.h"
#include "route/subscription.h"
#include "route/topic-cache.h"

#define WORKER_READ_SIZE (128 << 10) /* per read and per session and pass */
/* What a pass may handle: 16384 frames, or four times as many deliveries of a fan-out, about a
 * millisecond or a few. Fewer would make the writes to many receivers too small to be cheap. */
#define WORKER_BUDGET 65536
#define WORKER_FRAME_COST 4

RB_HEAD(timer_tree, session);

/* For whom most of one account's memory waits, as found in this pass (memory.c). */
struct victims {
        const struct account *account;
        size_t n, taken;
        struct {
                struct session *session;
                size_t held;
        } list[64];
};

struct request {
        STAILQ_ENTRY(request) link;
        enum request_type {
                REQUEST_ADOPT,
                REQUEST_DISCONNECT,
                REQUEST_CONFIGURE,
                REQUEST_SEND,
                REQUEST_REPLY,
                REQUEST_WARN,
                REQUEST_STOP,
                REQUEST_QUIESCE,
                REQUEST_INSPECT,
        } type;
        struct session *session;
        struct inspection *inspection;
        uint64_t id;
        struct engine_config config;
        enum engine_send_kind kind;
        bool announce, realtime;
        size_t target_len, payload_len;
        char data[]; /* target, payload; of a reply its head and body */
};
STAILQ_HEAD(request_list, request);

struct worker {
        struct engine *engine;
        int epoll_fd, wake_fd;
        uint64_t now;      /* of this pass */
        uint64_t event_at; /* of the last pass that an event began */
        int budget;        /* what this pass may still handle */
        uint64_t n_runs;   /* passes so far, for sessions to know in which they ran */
        uint8_t *read_buffer;
        struct buffer_pool pool;
        struct match_set match_set, exclusion_set;
        struct topic_cache topic_cache;
        struct name_set name_set;
        struct victims victims;

        LIST_HEAD(, session) sessions;
        TAILQ_HEAD(session_run_queue, session) run_queue;
        LIST_HEAD(, session) unwritten;
        STAILQ_HEAD(, session) leavers;
        struct timer_tree timers;
        uint64_t trim_at;
        size_t n_sessions;
        bool events_pushed;
        struct wait_list free_waits;

        pthread_mutex_t requests_lock;
        struct request_list requests;

        pthread_t thread;
        bool stopping; /* ends when its last session has ended */
        bool quiet;    /* quiesced: passes are over */
};

int worker_init(struct worker *w, struct engine *engine);
void worker_done(struct worker *w);

/* One pass. timeout in milliseconds as for epoll_wait. */
int worker_pass(struct worker *w, int timeout);
/* Passes until stopped. */
void *worker_main(void *worker);
/* How long a pass may wait, in milliseconds, rounded up. */
int worker_timeout(const struct worker *w);

/* From any thread. The worker frees the request. */
void worker_post(struct worker *w, struct request *request);
/* Makes it do a pass. */
void worker_wake(struct worker *w);
int request_new(enum request_type type, size_t data_size, struct request **ret);

/* Carries out what was posted. */
void worker_serve_requests(struct worker *w);
/* Who leaves is taken out of the tables and announced; the dead are freed. */
void worker_settle(struct worker *w);

void worker_watch(struct worker *w, struct session *s);
void worker_watch_writable(struct session *s, bool wanted);
void worker_run_later(struct session *s);
/* The session's timers are looked at no later than that. */
void worker_arm(struct session *s, uint64_t at);
void worker_disarm(struct session *s);

int timer_compare(const struct session *a, const struct session *b);
RB_PROTOTYPE(timer_tree, session, timer_link, timer_compare)
