/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A frame on its way out. It is encoded once: small ones are written into each receiver's chunk,
 * larger ones into one buffer that all receivers share. Where the body was read into a buffer of
 * its own, that buffer is the one that is sent: the new header is written over the old target in
 * front of the payload.
 */
#include "engine/internal.h"
#include "engine/probe.h"

static uint8_t *put(uint8_t *at, const void *bytes, size_t n)
{
        if (n)
                memcpy(at, bytes, n);
        return at + n;
}

/* Header, sender, topic: everything before the payload. */
static uint8_t *outgoing_encode_head(const struct outgoing *f, uint8_t *at)
{
        wire_delivery_encode(at, f->kind, (uint32_t)(f->size - WIRE_DELIVERY_HEADER_SIZE),
                             f->realtime);
        at = put(at + WIRE_DELIVERY_HEADER_SIZE, f->sender->name, (size_t)f->sender->name_len + 1);
        if (f->topic) {
                /* The topic may overlap: it lies in the body that is turned round in place. */
                memmove(at, f->topic, f->topic_len);
                at[f->topic_len] = 0;
                at += f->topic_len + 1;
        }
        return at;
}

static void outgoing_encode(const struct outgoing *f, uint8_t *at)
{
        at = outgoing_encode_head(f, at);
        at = put(at, f->payload, f->payload_len);
        put(at, f->payload2, f->payload2_len);
}

void outgoing_init(struct outgoing *f, struct buffer *body)
{
        size_t head = WIRE_DELIVERY_HEADER_SIZE + (size_t)f->sender->name_len + 1 +
                      (f->topic ? f->topic_len + 1 : 0);

        f->size = head + f->payload_len + f->payload2_len;
        if (!body || f->size <= QUEUE_INLINE_MAX)
                return;
        f->shared = buffer_ref(body);
        f->shared_at = (size_t)(f->payload - body->data) - head;
        if (f->topic) {
                /* First the topic moves to where it belongs, then what stands before it may be
                 * written over it. */
                uint8_t *topic = body->data + f->shared_at + head - f->topic_len - 1;

                memmove(topic, f->topic, f->topic_len);
                f->topic = (const char *)topic;
        }
        outgoing_encode_head(f, body->data + f->shared_at);
}

void outgoing_done(struct outgoing *f)
{
        f->shared = buffer_unref(&f->sender->engine->pool, f->shared);
}

static int outgoing_share(struct outgoing *f)
{
        struct session *sender = (struct session *)f->sender;
        int r;

        if (f->shared)
                return 0;
        r = buffer_new(&sender->engine->pool, sender->account, f->size, SIZE_MAX, &f->shared);
        if (r < 0)
                return r;
        f->shared_at = 0;
        outgoing_encode(f, f->shared->data);
        return 0;
}

static int outgoing_try(struct outgoing *f, struct session *to)
{
        struct buffer_pool *pool = &to->engine->pool;
        uint8_t *room;
        int r;

        if (likely(f->size <= QUEUE_INLINE_MAX)) {
                room = queue_put_inline(&to->queue, pool, f->sender->account, f->size);
                if (unlikely(!room))
                        return -errno;
                outgoing_encode(f, room);
                return 0;
        }
        r = outgoing_share(f);
        return r < 0 ? r
                     : queue_put_shared(&to->queue, pool, f->sender->account, f->shared,
                                        f->shared_at, f->size);
}

bool outgoing_put(struct outgoing *f, struct session *to)
{
        struct engine *e = to->engine;
        int r;

        while (unlikely((r = outgoing_try(f, to)) < 0)) {
                if (!memory_relieve(e, f->sender->account, r))
                        return false;
                if (to->state != SESSION_LIVE)
                        return false;
        }
        if (unlikely(e->tap))
                e->tap(to->id, f->sender->name, f->kind, f->payload, f->payload_len,
                       e->tap_userdata);
        PROBE_ROUTED(f, to);
        pace_grown(to);
        session_mark_unwritten(to);
        return true;
}

/* Receivers lie all over the memory: the next ones are fetched while this one is served. */
#define PREFETCH_AHEAD 4

static void prefetch_receiver(const struct session *s)
{
        __builtin_prefetch(&s->state);
        __builtin_prefetch(&s->queue);
        __builtin_prefetch(&s->queue.head);
        __builtin_prefetch(&s->counters);
}

/* One receiver of a fan-out. */
static void deliver_one(struct session *from, struct outgoing *f, struct session *to)
{
        if (to->state != SESSION_LIVE)
                return;
        pass_spend(to->engine, 1);
        count_queued(to, f->counted);
        if (to->kind == TRANSPORT_INTERNAL)
                return;
        if (pace_fan_out(from && from->state == SESSION_LIVE ? from : NULL, to) == PACE_PUT &&
            !outgoing_put(f, to))
                pace_count_drop(to, 1);
}

#define SEARCH_FREE 256 /* steps that are part of what any frame costs */

/* A long search takes of the pass what it costs. */
static void search_done(struct engine *e, size_t n_steps)
{
        if (n_steps > SEARCH_FREE)
                pass_spend(e, (int)MIN(n_steps, (size_t)WORKER_BUDGET));
}

int deliver_broadcast(struct session *from, struct outgoing *f, struct buffer *body,
                      const char *mask, size_t mask_len)
{
        struct engine *e = f->sender->engine;
        bool some_are_picky = e->registry.n_picky > 0;
        int r = name_tree_match(e->registry.name_tree, mask, mask_len, &e->name_set);

        search_done(e, e->name_set.n_steps);
        if (r < 0)
                return r;
        outgoing_init(f, body);
        for (size_t i = 0; i < e->name_set.n_found; i++) {
                struct session *to = container_of(e->name_set.found[i], struct session, name_entry);

                if (unlikely(some_are_picky) && !permit_receive(to, f->sender))
                        continue;
                deliver_one(from, f, to);
        }
        outgoing_done(f);
        return 0;
}

static bool is_primary_name(const struct session *s, const char *name, size_t len)
{
        return s->primary_len == len && memcmp(s->name, name, len) == 0;
}

/* Do the receiver's own exclusions keep this one from it? Without memory to find out, it is lost.
 */
static bool is_excluded(struct session *to, const struct outgoing *f)
{
        struct engine *e = to->engine;
        int r = subscription_match_any(to->exclusions, f->topic, f->topic_len, &e->exclusion_set);

        search_done(e, e->exclusion_set.n_steps);
        if (r < 0 && to->state == SESSION_LIVE)
                pace_count_drop(to, 1);
        return r != 0;
}

int deliver_publication(struct session *from, struct outgoing *f, struct topic_place place,
                        struct buffer *body, const char *receiver, size_t receiver_len)
{
        struct engine *e = f->sender->engine;
        bool some_are_picky = e->registry.n_picky > 0;
        struct subscriber *const *found;
        size_t n;
        int r = topic_cache_match(place, e->registry.subscriptions, f->topic, f->topic_len,
                                  &e->match_set, &found, &n);

        search_done(e, e->match_set.n_steps);
        if (r < 0)
                return r;
        /* The receiver's name stands where the new header would go. */
        outgoing_init(f, receiver ? NULL : body);
        for (size_t i = 0; i < n; i++) {
                struct session *to = container_of(found[i], struct session, subscriber);

                if (i + PREFETCH_AHEAD < n)
                        prefetch_receiver(container_of(found[i + PREFETCH_AHEAD], struct session,
                                                       subscriber));
                if (receiver && !is_primary_name(to, receiver, receiver_len))
                        continue;
                if (unlikely(some_are_picky) && !permit_receive(to, f->sender))
                        continue;
                if (to->exclusions && is_excluded(to, f))
                        continue;
                deliver_one(from, f, to);
        }
        outgoing_done(f);
        return 0;
}
