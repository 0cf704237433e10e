/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine's own face to its parts: the tables, who is who on the bus, the frame on its way out,
 * events. Tables are plain: whoever touches them has the bus to himself (worker.h).
 */
#pragma once

#include "basic/clock.h"
#include "basic/macro.h"
#include "engine/buffer.h"
#include "engine/engine.h"
#include "engine/request.h"
#include "engine/session.h"
#include "engine/worker.h"
#include "route/name-tree.h"
#include "route/subscription.h"
#include "route/topic-cache.h"

#define ENGINE_EVENT_RING 512

struct event_ring {
        struct engine_event *events;
        uint64_t head, tail; /* written by the host, by the worker; atomic */
        bool overflowed;     /* atomic: some were lost */
        int fd;
};

struct registry {
        struct table names, ids;
        struct name_tree *name_tree;
        struct subscription_tree *subscriptions;
        uint64_t version; /* changes when a client comes or goes, and with new rules; never 0 */
        size_t n_clients;
        size_t n_picky; /* sessions whose rule says from whom frames are taken */
};

/* For whom most of one account's memory waits, as found lately (memory.c). */
struct victims {
        const struct account *account;
        size_t n, taken;
        struct {
                struct session *session;
                size_t held;
        } list[64];
};

struct engine {
        struct engine_config config; /* changed by request */
        struct accounts *accounts;
        uint64_t next_id; /* atomic */
        uint64_t started_at;
        bool started;
        bool real_time; /* of the start */
        bool shared;    /* more threads than one touch the bus: there is a lock */
        struct worker *workers;
        unsigned n_workers;
        struct requests requests;
        struct event_ring events;
        struct engine_service service;
        engine_guard_fn guard; /* NULL: none */
        void *guard_userdata;
        engine_tap_fn tap;
        void *tap_userdata;
        struct engine_counters counters; /* written by who has the bus, relaxed */
        uint64_t pings;                  /* atomic: engine_ping() so far */

        pthread_mutex_t lock;   /* the bus: of all sessions, and of all that follows */
        struct worker *current; /* who has it, or had it last */
        uint64_t now;           /* of the latest pass */
        struct registry registry;
        struct session *broker; /* `.broker` itself: no fd, never in a list of sessions */
        LIST_HEAD(, session) sessions;
        STAILQ_HEAD(, session) leavers; /* who is LIVE no more and still in the tables */
        struct buffer_pool pool;
        struct match_set match_set, exclusion_set;
        struct topic_cache topic_cache;
        struct name_set name_set;
        struct victims victims;
        struct wait_list free_waits;
        uint64_t trim_at;
        bool events_pushed;
        bool stopping; /* a worker ends when its last session has ended */
        bool quiet;    /* quiesced: passes are over */
};

/* Single-writer counters that other threads may read at any time. */
static inline void counter_add(uint64_t *counter, uint64_t n)
{
        __atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

static inline void counter_sub(uint64_t *counter, uint64_t n)
{
        counter_add(counter, -n);
}

/* Connections are refused on the thread that accepts them, all else on the worker. */
static inline void count_refusal(struct engine *e)
{
        __atomic_add_fetch(&e->counters.refused, 1, __ATOMIC_RELAXED);
}

static inline void count_queued(struct session *to, size_t bytes)
{
        struct engine_counters *c = &to->engine->counters;

        counter_add(&to->counters.w_frames, 1);
        counter_add(&to->counters.w_bytes, bytes);
        counter_add(&c->w_frames, 1);
        counter_add(&c->w_bytes, bytes);
}

static inline void count_received(struct session *s, size_t bytes)
{
        struct engine_counters *c = &s->engine->counters;

        counter_add(&s->counters.r_frames, 1);
        counter_add(&s->counters.r_bytes, bytes);
        counter_add(&c->r_frames, 1);
        counter_add(&c->r_bytes, bytes);
}

/* Of what this pass may handle. */
static inline void pass_spend(struct engine *e, int cost)
{
        e->current->budget -= cost;
}

/* engine.c */
void engine_wake_all(struct engine *e);

/* config.c */
void engine_config_limits(const struct engine_config *config, struct account_limits *ret);

/* registry.c */
int registry_init(struct registry *r);
void registry_done(struct registry *r);
struct session *registry_find(const struct registry *r, const char *name, size_t len);
struct session *registry_find_id(const struct registry *r, uint64_t id);
/* Enters a session by its name into every table and subscribes it to `.broker/warn`. -EEXIST,
 * -ENOMEM. */
int registry_add(struct registry *r, struct session *s);
void registry_remove(struct registry *r, struct session *s);
/* The rules of a new name: WIRE_OK and the session is LIVE; 0: not yet, the holder of the name is
 * just ending; else the code to refuse it with, and why. */
int registry_claim(struct session *s, struct refusal *ret);
/* What every client is subscribed to at first. */
extern const char registry_first_mask[];

/* subscribe.c: a mask into or out of one of the session's two trees, and what it costs onto or off
 * the account. 1: done; 0: it was there, or was not; -EDQUOT: of memory it has as much as it may,
 * -EUSERS: of subscriptions; -ENOMEM. */
int session_subscribe(struct session *s, struct subscription_tree *tree,
                      struct subscriber *subscriber, const char *mask, size_t len);
/* One that it had before it was moved. */
int session_subscribe_again(struct session *s, struct subscription_tree *tree,
                            struct subscriber *subscriber, const char *mask, size_t len);
int session_unsubscribe(struct session *s, struct subscription_tree *tree,
                        struct subscriber *subscriber, const char *mask, size_t len);

/* Drops those of its subscriptions, not its exclusions, that keep() does not want, and gives back
 * what they cost. */
void session_retain_subscriptions(struct session *s,
                                  bool (*keep)(const char *mask, size_t len, void *userdata),
                                  void *userdata);

/* permit.c: the access rules. Where they deny something, that is told. */
/* May the session's peer have its name? Then it has its rule. */
bool permit_name(struct session *s, struct refusal *ret);
/* The session has no rule any more, and nothing is remembered. */
void permit_forget(struct session *s);
/* to: who has that name; NULL: nobody. Allowed without access rules. */
bool permit_message(struct session *s, const char *target, size_t len, const struct session *to);
bool permit_subscribe(struct session *s, const char *mask, size_t len);
/* op: WIRE_OP_BROADCAST or WIRE_OP_PUBLISH. The session has a rule. */
bool permit_fan_out_by_rule(struct session *s, uint8_t op, const char *text, size_t len);
static inline bool permit_broadcast(struct session *s, const char *mask, size_t len)
{
        return likely(!s->rule) || permit_fan_out_by_rule(s, WIRE_OP_BROADCAST, mask, len);
}
/* note: of the topic, where the topic cache has it: the last rule that allowed it. */
static inline bool permit_publication(struct session *s, const void **note, const char *topic,
                                      size_t len)
{
        if (likely(!s->rule || (note && *note == s->rule)))
                return true;
        if (!permit_fan_out_by_rule(s, WIRE_OP_PUBLISH, topic, len))
                return false;
        if (note && !s->engine->guard)
                *note = s->rule;
        return true;
}
/* Does the receiver take its frames? */
bool permit_receive(const struct session *to, const struct session *from);
/* The rules have changed: who may no longer be here is disconnected, and loses the subscriptions
 * that it may not have. */
void permit_renew(struct engine *engine);
/* Tells of what was denied since the last time. */
void permit_tell_denied(struct session *s);

/* deliver.c: one frame on its way to any number of receivers. */
struct outgoing {
        uint8_t kind;
        bool realtime;
        const struct session *sender;
        const char *topic; /* publications */
        size_t topic_len;
        const uint8_t *payload, *payload2; /* in one or two parts */
        size_t payload_len, payload2_len;
        size_t counted; /* bytes for the receivers' counters */
        size_t size;    /* encoded */
        struct buffer
                *shared; /* the encoded frame, once one is made; a reference of the frame's own */
        size_t shared_at;
};
/* body: the buffer that the payload lies in, with INPUT_HEADROOM before it, or NULL. */
void outgoing_init(struct outgoing *f, struct buffer *body);
void outgoing_done(struct outgoing *f);
/* Queues it for one receiver. False: no memory to be had, even after the largest holder was ended.
 */
bool outgoing_put(struct outgoing *f, struct session *to);
/* From init to done, to every name that matches the mask, or every subscriber of the topic (with a
 * receiver: only to clients of that primary name), whose place was just looked for. Afterwards the
 * sender, if it is no NULL, may be paused. -ENOMEM: the receivers could not be found, nobody got
 * it. */
int deliver_broadcast(struct session *from, struct outgoing *f, struct buffer *body,
                      const char *mask, size_t mask_len);
int deliver_publication(struct session *from, struct outgoing *f, struct topic_place place,
                        struct buffer *body, const char *receiver, size_t receiver_len);

/* What is in front of a body in its buffer: room to turn the frame round in place. */
#define INPUT_HEADROOM (WIRE_DELIVERY_HEADER_SIZE + 1024 + 8)

/* memory.c: what to do when memory was refused with that error: -EDQUOT ends the session that holds
 * most of this account's, -ENOSPC the one that holds most of the largest account's. False: nothing
 * to end, or another error. */
bool memory_relieve(struct engine *e, struct account *account, int error);

/* reserve.c: what will be needed for messages, taken and touched now. -ENOMEM. */
int engine_reserve(struct engine *e);

/* broker.c */
int broker_init(struct engine *e);
void broker_done(struct engine *e);
void broker_announce(struct engine *e, const char *topic, const char *what, const char *name,
                     size_t name_len);
void broker_announce_slow(struct engine *e, const char *name, size_t name_len, bool struck,
                          uint64_t dropped);

/* event.c */
int event_ring_init(struct event_ring *ring);
void event_ring_done(struct event_ring *ring);
_printf_(4, 5) void event_push(struct session *s, enum engine_event_type type, uint64_t n_frames,
                               const char *detail, ...);
/* The one that ends a session. */
void event_push_over(struct session *s, enum engine_event_type type, const struct refusal *why);
/* What access rules did to a session; n: how often. why->cause: NONE: it was denied something.
 * RULE: it lost what it had. */
void event_push_denied(struct session *s, uint64_t n, const struct refusal *why);
/* A refusal that the session outlives. */
void event_push_refused(struct session *s, enum engine_cause cause, const char *detail);
void event_flush(struct engine *e);

/* local.c: the session's client in this process. Something has come for it, or there is room again,
 * or its session has ended; that is no more afterwards. */
void local_wake(struct engine_local *local);
void local_ended(struct engine_local *local);
/* The session ends, and what is queued for it can be taken still. */
void local_stop(struct engine_local *local);
/* Brings e->now up to date. */
void engine_look_at_clock(struct engine *e);

/* inspect.c: one visit, on the worker; not if the visitor has gone. */
void inspection_run(struct inspection *i, struct engine *engine);
struct inspection *inspection_unref(struct inspection *i);

/* migrate.c uses what session.c makes */
int session_alloc(struct engine *engine, const struct transport_peer *peer, const char *listener,
                  struct session **ret);
