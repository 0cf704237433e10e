/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moving live sessions to another engine, as records of bytes beside their fds. A record says all
 * that the session knows: who it is, what it has read and not handled, what is queued and how much
 * of it has left, what it subscribes to, whom it waits for, and of each clock how long ago it was
 * set. What can be derived is derived again: which frames are in the queue by walking them,
 * readiness by asking the kernel anew.
 */
#include "basic/record.h"
#include "engine/internal.h"

#define RECORD_MAGIC UINT64_C(0x3154535355425254)
#define RECORD_VERSION 3

/* --- Out --- */

/* A moment as its distance from now, which means the same in the next process. */
static void put_moment(struct record_writer *rec, const struct session *s, uint64_t at)
{
        record_put_number(rec, at == 0 || at == NSEC_INFINITY
                                       ? at
                                       : at - s->engine->now + (UINT64_C(1) << 62));
}

static int put_mask(const char *mask, size_t len, void *rec)
{
        record_put_string(rec, mask, len);
        return 0;
}

static void put_masks(struct record_writer *rec, const struct subscriber *subscriber)
{
        record_put_number(rec, subscriber->n_subscriptions);
        subscription_foreach(subscriber, put_mask, rec);
}

static void put_who(struct record_writer *rec, const struct session *s)
{
        const struct transport_peer *p = &s->peer;

        record_put_number(rec, s->id);
        record_put_number(rec, s->state);
        record_put_number(rec, p->kind);
        record_put_number(rec, p->has_pid);
        record_put_number(rec, p->uid);
        record_put_number(rec, p->gid);
        record_put_number(rec, (uint64_t)p->pid);
        record_put_string(rec, p->address, p->family_bytes);
        record_put_string(rec, p->source, strlen(p->source));
        record_put_string(rec, s->listener, s->listener ? strlen(s->listener) : 0);
        record_put_string(rec, s->name, s->name_len);
        record_put_number(rec, s->hung_up);
        record_put_number(rec, s->lingering);
        record_put_number(rec, s->announced);
        record_put_number(rec, s->connected_at);
}

static void put_clocks(struct record_writer *rec, const struct session *s)
{
        const struct pace *p = &s->pace;

        put_moment(rec, s, s->deadline);
        put_moment(rec, s, s->ping_at);
        put_moment(rec, s, s->frame_at);
        put_moment(rec, s, s->body_since);
        put_moment(rec, s, s->write_since);
        put_moment(rec, s, s->slow_reported_at);
        put_moment(rec, s, p->since);
        put_moment(rec, s, p->deadline);
        record_put_number(rec, p->budgeted);
        record_put_number(rec, p->kept);
        record_put_number(rec, p->refuse);
}

static void put_counters(struct record_writer *rec, const struct session *s)
{
        record_put_number(rec, s->counters.r_frames);
        record_put_number(rec, s->counters.r_bytes);
        record_put_number(rec, s->counters.w_frames);
        record_put_number(rec, s->counters.w_bytes);
        record_put_number(rec, s->counters.dropped);
        record_put_number(rec, s->counters.queue_frames_max);
        record_put_number(rec, s->counters.queue_bytes_max);
        record_put_number(rec, s->pace.total);
        record_put_number(rec, s->slow_dropped);
        record_put_number(rec, s->denied_untold);
}

static void put_input(struct record_writer *rec, const struct input *in)
{
        record_put_number(rec, in->assembling);
        if (in->assembling) {
                record_put_string(rec, in->request.op_id, sizeof(in->request.op_id));
                record_put_number(rec, in->request.op);
                record_put_number(rec, in->request.qos);
                record_put_number(rec, in->request.length);
                record_put_string(rec, in->body->data + INPUT_HEADROOM, in->body_len);
        }
        if (in->pending)
                record_put_string(rec, in->pending->data + in->pending_at,
                                  in->pending_end - in->pending_at);
        else
                record_put_string(rec, NULL, 0);
}

static void put_queue(struct record_writer *rec, const struct session *s)
{
        const struct queue *q = &s->queue;

        record_put_number(rec, s->queue_full);
        record_put_number(rec, s->striking);
        record_put_number(rec, q->partial);
        record_put_number(rec, q->n_bytes);
        for (uint32_t i = 0; i < q->n_segments; i++) {
                const struct segment *segment = queue_segment(q, i);

                record_put(rec, segment->buffer->data + segment->offset, segment->length);
        }
}

static void put_waits(struct record_writer *rec, const struct session *s)
{
        const struct wait *wait;
        uint64_t n = 0;

        LIST_FOREACH (wait, &s->pace.waits, of_sender)
                n++;
        record_put_number(rec, n);
        LIST_FOREACH (wait, &s->pace.waits, of_sender)
                record_put_number(rec, wait->receiver->id);
}

static void session_export(struct record_writer *rec, const struct session *s)
{
        record_put_number(rec, RECORD_MAGIC);
        record_put_number(rec, RECORD_VERSION);
        put_who(rec, s);
        put_clocks(rec, s);
        put_counters(rec, s);
        put_input(rec, &s->input);
        put_queue(rec, s);
        put_masks(rec, &s->subscriber);
        put_masks(rec, &s->excluder);
        put_waits(rec, s);
}

int engine_export(struct engine *engine, engine_export_fn fn, void *userdata)
{
        struct session *s;
        int r = 0;

        LIST_FOREACH (s, &engine->sessions, link) {
                struct record_writer rec = {0};

                if (s->state == SESSION_DEAD || s->local) /* that no other process can have */
                        continue;
                session_export(&rec, s);
                r = rec.failed ? -ENOMEM : fn(rec.data, rec.len, s->fd, userdata);
                free(rec.data);
                if (r != 0)
                        break;
        }
        return r;
}

/* --- In --- */

static uint64_t get_moment(struct record_reader *rec, const struct session *s)
{
        uint64_t n = record_get_number(rec), at;

        if (n == 0 || n == NSEC_INFINITY)
                return n;
        at = s->engine->now + n - (UINT64_C(1) << 62);
        /* Where this process's clock began later than that moment. */
        return at == 0 || at > UINT64_C(1) << 62 ? 1 : at;
}

static int get_text(struct record_reader *rec, char *out, size_t size)
{
        size_t len;
        const uint8_t *p = record_get_string(rec, &len);

        if (!p || len >= size)
                return -EBADMSG;
        memcpy(out, p, len);
        out[len] = 0;
        return 0;
}

static int get_peer(struct record_reader *rec, struct transport_peer *p)
{
        const uint8_t *address;
        size_t len;

        p->kind = (enum transport_kind)record_get_number(rec);
        p->has_pid = record_get_number(rec);
        p->uid = (uid_t)record_get_number(rec);
        p->gid = (gid_t)record_get_number(rec);
        p->pid = (pid_t)record_get_number(rec);
        address = record_get_string(rec, &len);
        if (!address || (len != 0 && len != 4 && len != 16) ||
            (p->kind != TRANSPORT_UNIX && p->kind != TRANSPORT_TCP) ||
            (p->kind == TRANSPORT_TCP) != (len > 0))
                return -EBADMSG;
        p->family_bytes = (uint8_t)len;
        memcpy(p->address, address, len);
        return get_text(rec, p->source, sizeof(p->source));
}

static int get_name(struct record_reader *rec, struct session *s)
{
        size_t len;
        const uint8_t *name = record_get_string(rec, &len);

        if (!name)
                return -EBADMSG;
        if (len == 0)
                return s->state == SESSION_LIVE ? -EBADMSG : 0;
        if (!access_check_name((const char *)name, len).allow)
                return -EBADMSG;
        s->name = strndup((const char *)name, len);
        if (!s->name)
                return -ENOMEM;
        s->name_len = (uint16_t)len;
        s->primary_len = (uint16_t)access_primary_len(s->name, len);
        return 0;
}

static int get_who(struct record_reader *rec, struct engine *e, int fd, struct session **ret)
{
        char listener[4096];
        struct transport_peer peer = {0};
        uint64_t id = record_get_number(rec), state = record_get_number(rec);
        struct session *s;
        int r = get_peer(rec, &peer);

        if (r < 0 || id == 0 || state >= SESSION_DEAD ||
            get_text(rec, listener, sizeof(listener)) < 0)
                return -EBADMSG;
        r = session_new(e, fd, &peer, listener, true, &s);
        if (r < 0)
                return r;
        s->fd = -1; /* the caller's until all is well */
        s->id = id;
        s->state = (enum session_state)state;
        r = get_name(rec, s);
        if (r < 0) {
                session_free(s);
                return r;
        }
        s->hung_up = record_get_number(rec);
        s->lingering = record_get_number(rec);
        s->announced = record_get_number(rec);
        s->connected_at = record_get_number(rec);
        *ret = s;
        return 0;
}

static void get_clocks(struct record_reader *rec, struct session *s)
{
        struct pace *p = &s->pace;

        s->deadline = get_moment(rec, s);
        s->ping_at = get_moment(rec, s);
        s->frame_at = get_moment(rec, s);
        s->body_since = get_moment(rec, s);
        s->write_since = get_moment(rec, s);
        s->slow_reported_at = get_moment(rec, s);
        p->since = get_moment(rec, s);
        p->deadline = get_moment(rec, s);
        p->budgeted = record_get_number(rec);
        p->kept = record_get_number(rec);
        p->refuse = record_get_number(rec);
}

static void get_counters(struct record_reader *rec, struct session *s)
{
        s->counters.r_frames = record_get_number(rec);
        s->counters.r_bytes = record_get_number(rec);
        s->counters.w_frames = record_get_number(rec);
        s->counters.w_bytes = record_get_number(rec);
        s->counters.dropped = record_get_number(rec);
        s->counters.queue_frames_max = record_get_number(rec);
        s->counters.queue_bytes_max = record_get_number(rec);
        s->pace.total = record_get_number(rec);
        s->slow_dropped = record_get_number(rec);
        s->denied_untold = record_get_number(rec);
}

static int get_body(struct record_reader *rec, struct session *s)
{
        struct input *in = &s->input;
        size_t id_len, len;
        const uint8_t *op_id = record_get_string(rec, &id_len), *body;
        int r;

        in->request.op = (uint8_t)record_get_number(rec);
        in->request.qos = record_get_number(rec) & 3;
        in->request.length = (uint32_t)record_get_number(rec);
        body = record_get_string(rec, &len);
        if (!op_id || id_len != sizeof(in->request.op_id) || !body || len > in->request.length ||
            !wire_op_is_known(in->request.op))
                return -EBADMSG;
        memcpy(in->request.op_id, op_id, id_len);
        r = buffer_new(&s->engine->pool, s->account, INPUT_HEADROOM + MAX(len, (size_t)1), SIZE_MAX,
                       &in->body);
        if (r < 0)
                return r;
        memcpy(in->body->data + INPUT_HEADROOM, body, len);
        in->body_len = len;
        in->assembling = true;
        return 0;
}

static int get_input(struct record_reader *rec, struct session *s)
{
        struct input *in = &s->input;
        const uint8_t *pending;
        size_t len;
        int r = record_get_number(rec) ? get_body(rec, s) : 0;

        if (r < 0)
                return r;
        pending = record_get_string(rec, &len);
        if (!pending || len == 0)
                return pending ? 0 : -EBADMSG;
        r = buffer_new(&s->engine->pool, s->account, len, SIZE_MAX, &in->pending);
        if (r < 0)
                return r;
        memcpy(in->pending->data, pending, len);
        in->pending_end = len;
        return 0;
}

/* One frame, or what is left of one. */
static int queue_restore(struct session *s, const uint8_t *p, size_t size, bool raw)
{
        struct buffer_pool *pool = &s->engine->pool;
        struct buffer *shared;
        uint8_t *room;
        int r;

        if (raw && size <= QUEUE_INLINE_MAX)
                return queue_put_raw(&s->queue, pool, s->account, p, size);
        if (size <= QUEUE_INLINE_MAX) {
                room = queue_put_inline(&s->queue, pool, s->account, size);
                if (!room)
                        return -errno;
                memcpy(room, p, size);
                return 0;
        }
        r = buffer_new(pool, s->account, size, SIZE_MAX, &shared);
        if (r < 0)
                return r;
        memcpy(shared->data, p, size);
        r = queue_put_shared(&s->queue, pool, s->account, shared, 0, size);
        buffer_unref(pool, shared);
        if (r == 0 && raw) {
                s->queue.n_frames--;
                queue_segment(&s->queue, 0)->n_frames--;
                s->queue.partial = size;
        }
        return r;
}

static int get_queue(struct record_reader *rec, struct session *s)
{
        uint64_t partial, size;
        const uint8_t *p;
        int r = 0;

        s->queue_full = record_get_number(rec);
        s->striking = record_get_number(rec);
        partial = record_get_number(rec);
        size = record_get_number(rec);
        if (rec->failed || size > (size_t)(rec->end - rec->at) || partial > size)
                return -EBADMSG;
        p = rec->at;
        rec->at += size;
        if (partial)
                r = queue_restore(s, p, partial, true);
        for (p += partial, size -= partial; r == 0 && size > 0;) {
                size_t frame = size < WIRE_DELIVERY_HEADER_SIZE ? SIZE_MAX : wire_delivery_size(p);

                if (frame > size)
                        return -EBADMSG;
                r = queue_restore(s, p, frame, false);
                p += frame;
                size -= frame;
        }
        if (queue_is_empty(&s->queue))
                s->queue_full = s->striking = false;
        return r;
}

static int get_masks(struct record_reader *rec, struct session *s, struct subscription_tree *tree,
                     struct subscriber *subscriber)
{
        uint64_t n = record_get_number(rec);
        int r;

        while (n-- > 0 && !rec->failed) {
                size_t len;
                const uint8_t *mask = record_get_string(rec, &len);

                if (!mask)
                        break;
                r = session_subscribe_again(s, tree, subscriber, (const char *)mask, len);
                if (r < 0)
                        return r;
        }
        return rec->failed ? -EBADMSG : 0;
}

/* The receivers that it waits for, by id, until all sessions are here. */
static int get_waits(struct record_reader *rec, struct session *s)
{
        uint64_t n = record_get_number(rec);

        if (rec->failed || n > (size_t)(rec->end - rec->at) / sizeof(uint64_t) ||
            rec->end - rec->at != (ptrdiff_t)(n * 8))
                return -EBADMSG;
        if (n == 0)
                return 0;
        s->import_waits = calloc(n, sizeof(*s->import_waits));
        if (!s->import_waits)
                return -ENOMEM;
        for (s->n_import_waits = 0; s->n_import_waits < n; s->n_import_waits++)
                s->import_waits[s->n_import_waits] = record_get_number(rec);
        return 0;
}

static int import_register(struct record_reader *rec, struct session *s)
{
        static const char warn[] = ".broker/warn";
        struct registry *r = &s->engine->registry;
        int ret;

        if (s->state == SESSION_LIVE) {
                if (registry_find(r, s->name, s->name_len) || registry_find_id(r, s->id))
                        return -EEXIST;
                ret = registry_add(r, s);
                if (ret < 0)
                        return ret;
                subscription_remove(r->subscriptions, &s->subscriber, warn, strlen(warn));
        }
        ret = get_masks(rec, s, r->subscriptions, &s->subscriber);
        if (ret == 0 && s->state != SESSION_LIVE && s->subscriber.n_subscriptions > 0)
                ret = -EBADMSG;
        if (ret == 0)
                ret = subscription_tree_new(&s->exclusions);
        if (ret == 0)
                ret = get_masks(rec, s, s->exclusions, &s->excluder);
        return ret;
}

static int import_rest(struct record_reader *rec, struct session *s)
{
        int r;

        get_clocks(rec, s);
        get_counters(rec, s);
        r = get_input(rec, s);
        if (r == 0)
                r = get_queue(rec, s);
        if (r == 0)
                r = import_register(rec, s);
        return r == 0 ? get_waits(rec, s) : r;
}

/* From here on as if it had always been here: the kernel is asked anew what is ready. */
static void import_start(struct session *s, int fd)
{
        struct engine *e = s->engine;

        s->fd = fd;
        if (s->exclusions && subscription_tree_is_empty(s->exclusions))
                s->exclusions = subscription_tree_free(s->exclusions);
        LIST_INSERT_HEAD(&e->sessions, s, link);
        s->worker->n_sessions++;
        counter_add(&e->counters.sessions, 1);
        counter_add(&e->counters.clients, s->registered);
        e->next_id = MAX(e->next_id, s->id);
        s->readable = true;
        worker_watch(s);
        if (s->state == SESSION_DEAD)
                return;
        worker_run_later(s);
        if (!queue_is_empty(&s->queue) || s->state == SESSION_DRAINING)
                session_mark_unwritten(s);
        worker_arm(s, session_next_deadline(s));
}

int engine_import(struct engine *engine, const void *record, size_t len, int fd)
{
        struct record_reader rec = {.at = record, .end = (const uint8_t *)record + len};
        struct session *s;
        int r;

        engine->now = clock_nsec(CLOCK_MONOTONIC);
        if (record_get_number(&rec) != RECORD_MAGIC || record_get_number(&rec) != RECORD_VERSION)
                return -EBADMSG;
        r = get_who(&rec, engine, fd, &s);
        if (r < 0)
                return r;
        r = import_rest(&rec, s);
        if (r < 0) {
                if (s->registered)
                        registry_remove(&engine->registry, s);
                subscription_remove_all(engine->registry.subscriptions, &s->subscriber);
                session_free(s);
                return r;
        }
        import_start(s, fd);
        return 0;
}

static void import_link(struct session *s)
{
        struct registry *r = &s->engine->registry;

        if (s->registered && !session_is_primary(s)) {
                s->primary = registry_find(r, s->name, s->primary_len);
                if (s->primary) {
                        LIST_INSERT_HEAD(&s->primary->secondaries, s, secondary_of);
                        s->primary->n_secondaries++;
                } else {
                        session_drain(s, ENGINE_EVENT_GONE, "its primary is gone");
                }
        }
        for (size_t i = 0; i < s->n_import_waits; i++) {
                struct session *to = registry_find_id(r, s->import_waits[i]);

                if (to && to->queue_full)
                        pace_link(s, to);
        }
        if (s->n_import_waits > 0 && !session_is_paused(s))
                s->pace.total += s->engine->now - s->pace.since;
        free(s->import_waits);
        s->import_waits = NULL;
        s->n_import_waits = 0;
}

int engine_import_done(struct engine *engine)
{
        struct session *s;

        LIST_FOREACH (s, &engine->sessions, link)
                import_link(s);
        permit_renew(engine);
        return 0;
}
