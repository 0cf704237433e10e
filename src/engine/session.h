/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session: one connection, from its first byte to its last, as plain data and an fd. Its worker
 * reads from it, times it and frees it; whoever has the bus (worker.h) queues for it and writes.
 *
 *      GREETING -> NAMING -> LIVE -> DRAINING -> DEAD
 *
 * A session that is not LIVE any more counts as unregistered at once; its names and subscriptions
 * leave the tables at the end of the pass, where also the memory of the DEAD is freed. So nothing
 * that a pass holds can vanish under it.
 */
#pragma once

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>

#include "access/account.h"
#include "engine/engine.h"
#include "engine/pace.h"
#include "engine/queue.h"
#include "route/mask.h"
#include "route/name-tree.h"
#include "route/subscription.h"
#include "wire/frame.h"
#include "wire/handshake.h"

struct worker;
struct engine_local;
struct access_rule;

/* Why something is refused, or ended: what the peer is told, and what is told of it. */
struct refusal {
        uint8_t code; /* enum wire_result, where it is told */
        enum engine_cause cause;
        const char *reason;
        const char *file; /* of the access rule; NULL: none */
        unsigned line;
};

enum session_state {
        SESSION_GREETING, /* our greeting is sent, the client's is awaited */
        SESSION_NAMING,   /* the name is awaited */
        SESSION_LIVE,     /* registered */
        SESSION_DRAINING, /* reads nothing any more; what is queued goes out, then the connection
                             ends */
        SESSION_DEAD,     /* nothing goes out any more */
};

/* Counters of one client, for who has the bus. */
struct session_counters {
        uint64_t r_frames, r_bytes, w_frames, w_bytes, dropped;
        uint64_t queue_frames_max, queue_bytes_max; /* the most that waited for it */
};

/* What has been read and not handled. */
struct input {
        bool assembling;             /* one frame whose header is whole; its body may not be */
        struct wire_request request; /* its header */
        struct buffer *body;         /* its body, behind INPUT_HEADROOM */
        size_t body_len;
        struct buffer *pending; /* what comes next: frames that must wait, or part of a header */
        size_t pending_at, pending_end;
};

/* How far a list of topics has been handled. */
struct topic_list {
        size_t at;
        enum wire_result result; /* of the list so far */
};

/* Where the last message went, and may go, if nobody has come or gone since. */
struct last_target {
        struct session *session; /* NULL: nobody has that name */
        uint64_t version;        /* of the registry */
        size_t len;
        char name[48];
};

struct session {
        /* What a delivery touches stands first and together. */
        struct engine *engine;
        enum session_state state;
        enum transport_kind kind;
        int fd;
        bool readable;      /* the socket may have bytes: read until it has not */
        bool hung_up;       /* the peer closed its side: read to the end */
        bool deaf;          /* it takes no byte any more: nothing is written */
        bool write_blocked; /* the socket is full; EPOLLOUT is awaited. Of a client in this process:
                               it will look by itself */
        bool queue_full;    /* until it is below half again */
        bool striking;      /* a drop policy is at work until there is room */
        bool registered;    /* in the tables */
        bool nameless;      /* counted among its user's connections that have no name yet */
        bool announced;     /* its leaving is to be announced */
        bool lingering;     /* all is written and the end is sent; the peer's end is awaited */
        bool unwritten;     /* on a worker's list of sessions to write */
        bool writing;       /* pinned by a write under way */
        bool reading;       /* pinned by a read under way */
        bool running;       /* on the run queue */
        bool leaving;       /* on the list of those that leave at the end of the pass */
        bool claiming;      /* its name's holder is just ending: asks again soon */
        bool last_look;     /* overdue, and given one more chance to be read */
        bool struck;        /* ended for being slow: to be told on `.broker/slow` */
        bool picky;         /* its rule says from whom frames are taken */
        struct subscription_tree *exclusions; /* NULL: none */
        struct subscriber subscriber;
        struct session_counters counters;
        LIST_ENTRY(session) unwritten_link;
        struct queue queue;

        struct worker *worker;
        struct engine_local *local; /* its client's end, in this process; NULL: it has a socket */
        struct input input;
        struct topic_list topic_list;
        struct last_target last_target;
        struct topic_cache_slot *last_topic; /* where its last publication's was; NULL: none yet */
        const struct access_rule *rule;      /* NULL: none, it may do everything */
        struct permits *permits;             /* what was allowed lately; NULL: nothing */
        struct account *account;
        size_t subscribed, n_subscribed; /* bytes and number of what is charged to it: subscriptions
                                            and exclusions */
        struct pace pace;
        struct wait_list waiters; /* senders that wait for room here */

        uint64_t id;
        char *name; /* NUL-terminated; NULL before it is known */
        uint16_t name_len, primary_len;
        struct session *primary; /* of a secondary */
        LIST_HEAD(, session) secondaries;
        LIST_ENTRY(session) secondary_of;
        size_t n_secondaries;
        struct subscriber excluder; /* the one subscriber of its own tree of exclusions */
        struct name_entry name_entry;
        struct table_node by_name, by_id;

        uint64_t timer_at; /* when timers are looked at; NSEC_INFINITY: not on the timer tree */
        uint64_t deadline; /* of the handshake or of draining */
        uint64_t ping_at;
        uint64_t frame_at;         /* when the last frame ended */
        uint64_t body_since;       /* when the unfinished frame's header was whole; 0: none */
        uint64_t write_since;      /* when the socket took its last byte while more waited */
        uint64_t slow_reported_at; /* `.broker/slow` at most once a second */
        uint64_t slow_dropped;     /* since that report */
        uint64_t refusal_told_at;  /* the last event about a refused subscription; 0: none */
        uint64_t denied_told_at;   /* the last event about something denied by rules; 0: none */
        uint64_t denied_untold;    /* since then */

        uint64_t *import_waits; /* ids of those it waits for, while sessions are imported */
        size_t n_import_waits;

        uint64_t connected_at; /* CLOCK_REALTIME */
        struct transport_peer peer;
        char *listener;

        uint64_t ran_in; /* the worker's last pass in which it ran */
        TAILQ_ENTRY(session) run_link;
        STAILQ_ENTRY(session) leave_link;
        LIST_ENTRY(session) link; /* of all sessions */
        RB_ENTRY(session) timer_link;
};

/* From any thread: makes a session that is on no list yet. On failure the fd stays the caller's.
 * -EDQUOT, -EUSERS, -EBUSY: see engine_adopt(). moved: it was a session before, whatever the limits
 * are now. */
int session_new(struct engine *engine, int fd, const struct transport_peer *peer,
                const char *listener, bool moved, struct session **ret);
/* Frees it and what it holds; it must be in no table and on no list. Returns NULL. */
struct session *session_free(struct session *s);

/* On its worker: takes it into service and greets the peer. */
void session_start(struct session *s);

/* Ends it: what is queued is written out, for at most one timeout. The reason goes into the event.
 */
void session_drain(struct session *s, enum engine_event_type type, const char *reason);
void session_drain_for(struct session *s, enum engine_event_type type, const struct refusal *why);
/* Ends it at once: what is queued is lost. */
void session_kill(struct session *s, enum engine_event_type type, const char *reason);

/* Handles what was read before, reads on, handles that. */
void session_run(struct session *s);
/* Handles what it may of these bytes, which follow directly on what was handled before: how many
 * that was. They are only read. */
size_t session_consume(struct session *s, uint8_t *p, size_t len);
/* Gives back what was read and not handled. */
void session_drop_input(struct session *s);
/* Writes what is queued. The first leaves the bus meanwhile. */
void session_write(struct session *s);
void session_write_now(struct session *s);
/* Will be written at the end of the pass. */
void session_mark_unwritten(struct session *s);
void session_unmark_unwritten(struct session *s);
/* Looks at every deadline. */
void session_check_timers(struct session *s);
/* The engine's configuration has changed. Nobody is ended by that alone: where the timeout became
 * shorter, every clock has one new timeout from now on. */
void session_configured(struct session *s, const struct engine_config *before);
/* The earliest moment at which there may be something to do. */
uint64_t session_next_deadline(const struct session *s);

/* Handshake: consumes bytes in GREETING and NAMING; returns how many. */
size_t handshake_consume(struct session *s, const uint8_t *p, size_t len);

/* What came of one frame. */
enum dispatch_result {
        DISPATCH_DONE,
        DISPATCH_WAIT, /* not handled, or not to its end: the session waits for room or for the next
                          pass */
};
/* One whole frame. `body` is the buffer that p points into, behind INPUT_HEADROOM, or NULL: then
 * the bytes are copied where they must outlive the call. */
enum dispatch_result dispatch_frame(struct session *s, const struct wire_request *request,
                                    uint8_t *p, size_t len, struct buffer *body);
/* Bad bytes: one acknowledgement where one was asked for, one event, and the connection ends. */
void dispatch_violation(struct session *s, const struct wire_request *request, const char *what);

/* Tells that a subscription was refused, at most once a second: a list may hold millions. */
void session_tell_refusal(struct session *s, enum engine_cause cause, const char *reason);

void session_ack(struct session *s, const struct wire_request *request, enum wire_result result);
/* Queues bytes that are no frames: the handshake's. */
void session_put_raw(struct session *s, const void *bytes, size_t n);

/* A thread of its client in this process is at it, and has left the bus. */
bool local_is_pinned(const struct engine_local *local);

/* A system call of some worker uses what it holds, or such a thread. */
static inline bool session_is_pinned(const struct session *s)
{
        return s->writing || s->reading || (s->local && local_is_pinned(s->local));
}

/* Something that it has sent is not handled yet. */
static inline bool session_has_input(const struct session *s)
{
        return s->input.assembling || s->input.pending;
}

static inline bool session_is_paused(const struct session *s)
{
        return !LIST_EMPTY(&s->pace.waits);
}

static inline bool session_is_primary(const struct session *s)
{
        return s->primary_len == s->name_len;
}
