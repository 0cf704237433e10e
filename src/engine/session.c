/* SPDX-License-Identifier: Apache-2.0 */
/* A session's life: made, greeted, written to, timed, ended. */
#include "engine/internal.h"

int session_alloc(struct engine *engine, const struct transport_peer *peer, const char *listener,
                  struct session **ret)
{
        struct session *s = calloc(1, sizeof(*s));

        if (!s)
                return -ENOMEM;
        s->listener = listener ? strdup(listener) : NULL;
        if (listener && !s->listener) {
                free(s);
                return -ENOMEM;
        }
        s->id = __atomic_add_fetch(&engine->next_id, 1, __ATOMIC_RELAXED);
        s->connected_at = clock_nsec(CLOCK_REALTIME);
        s->engine = engine;
        s->worker = &engine->workers[s->id % engine->n_workers];
        s->fd = -1;
        s->kind = peer->kind;
        s->peer = *peer;
        s->timer_at = NSEC_INFINITY;
        s->announced = true;
        queue_init(&s->queue);
        subscriber_init(&s->subscriber);
        subscriber_init(&s->excluder);
        LIST_INIT(&s->secondaries);
        LIST_INIT(&s->pace.waits);
        LIST_INIT(&s->waiters);
        *ret = s;
        return 0;
}

static struct identity peer_identity(const struct transport_peer *peer)
{
        if (peer->kind == TRANSPORT_INTERNAL)
                return (struct identity){.kind = IDENTITY_BROKER};
        if (peer->kind == TRANSPORT_UNIX || peer->kind == TRANSPORT_MEMORY)
                return identity_of_user(peer->uid);
        return peer->family_bytes == 4 ? identity_of_ipv4(peer->address)
                                       : identity_of_ipv6(peer->address);
}

static int session_connect(struct session *s, bool moved)
{
        struct accounts *accounts = s->engine->accounts;
        struct identity identity = peer_identity(&s->peer);
        enum quota quota;
        int r = moved ? accounts_connect_again(accounts, &identity, &s->account)
                      : accounts_connect(accounts, &identity, clock_nsec(CLOCK_MONOTONIC),
                                         &s->account, &quota);

        s->nameless = r == 0;
        if (r != -EDQUOT)
                return r;
        return quota == QUOTA_HANDSHAKES ? -EUSERS : quota == QUOTA_RATE ? -EBUSY : -EDQUOT;
}

int session_new(struct engine *engine, int fd, const struct transport_peer *peer,
                const char *listener, bool moved, struct session **ret)
{
        struct session *s;
        int r = session_alloc(engine, peer, listener, &s);

        if (r < 0)
                return r;
        r = session_connect(s, moved);
        if (r < 0) {
                session_free(s);
                return r;
        }
        s->fd = fd;
        *ret = s;
        return 0;
}

static void session_settle_account(struct session *s)
{
        struct accounts *accounts = s->engine->accounts;

        account_release(accounts, s->account, s->subscribed);
        account_give_back(s->account, QUOTA_SUBSCRIPTIONS, s->n_subscribed);
        account_give_back(s->account, QUOTA_HANDSHAKES, s->nameless);
        s->account = accounts_disconnect(accounts, s->account);
}

struct session *session_free(struct session *s)
{
        if (!s)
                return NULL;
        queue_clear(&s->queue, &s->engine->pool);
        session_drop_input(s);
        if (s->exclusions) {
                subscription_remove_all(s->exclusions, &s->excluder);
                subscription_tree_free(s->exclusions);
        }
        permit_forget(s);
        if (s->account)
                session_settle_account(s);
        close_fd(s->fd);
        free(s->import_waits);
        free(s->name);
        free(s->listener);
        free(s);
        return NULL;
}

void session_put_raw(struct session *s, const void *bytes, size_t n)
{
        if (queue_put_raw(&s->queue, &s->engine->pool, s->account, bytes, n) < 0)
                session_kill(s, ENGINE_EVENT_MEMORY, "no memory for the handshake");
        else
                session_mark_unwritten(s);
}

void session_start(struct session *s)
{
        struct engine *e = s->engine;

        LIST_INSERT_HEAD(&e->sessions, s, link);
        s->worker->n_sessions++;
        counter_add(&e->counters.sessions, 1);
        s->state = SESSION_GREETING;
        s->frame_at = e->now;
        s->deadline = e->now + e->config.timeout;
        worker_watch(s);
        if (s->state == SESSION_DEAD)
                return;
        worker_arm(s, s->deadline);
        session_put_raw(s, wire_greeting, sizeof(wire_greeting));
}

/* What ends a session in any way does this: it counts as unregistered from here on. */
static void session_leave(struct session *s, enum session_state state)
{
        s->state = state;
        pace_forget(s);
        if (s->running) {
                TAILQ_REMOVE(&s->worker->run_queue, s, run_link);
                s->running = false;
        }
        if (!s->reading)
                session_drop_input(s);
        else if (s->input.body)
                buffer_forgive(&s->engine->pool, s->input.body, s->account);
        if (!s->leaving) {
                s->leaving = true;
                STAILQ_INSERT_TAIL(&s->engine->leavers, s, leave_link);
        }
}

/* A peer that closes before it has a name is no event. */
static void session_tell(struct session *s, enum engine_event_type type, const struct refusal *why)
{
        struct engine *e = s->engine;

        if (type == ENGINE_EVENT_BAD_FRAME)
                counter_add(&e->counters.bad, 1);
        if (type == ENGINE_EVENT_REFUSED)
                count_refusal(e);
        if (why->reason && (s->name || type != ENGINE_EVENT_GONE))
                event_push_over(s, type, why);
}

void session_tell_refusal(struct session *s, enum engine_cause cause, const char *reason)
{
        uint64_t now = s->engine->now;

        if (s->refusal_told_at && now < s->refusal_told_at + NSEC_PER_SEC)
                return;
        s->refusal_told_at = now;
        count_refusal(s->engine);
        event_push_refused(s, cause, reason);
}

void session_drain(struct session *s, enum engine_event_type type, const char *reason)
{
        session_drain_for(s, type, &(struct refusal){.reason = reason});
}

void session_drain_for(struct session *s, enum engine_event_type type, const struct refusal *why)
{
        if (s->state >= SESSION_DRAINING)
                return;
        session_tell(s, type, why);
        s->deadline = s->engine->now + s->engine->config.timeout;
        session_leave(s, SESSION_DRAINING);
        worker_arm(s, s->deadline);
        session_mark_unwritten(s);
        if (s->local)
                local_wake(s->local);
}

static void session_kill_for(struct session *s, enum engine_event_type type,
                             const struct refusal *why)
{
        if (s->state == SESSION_DEAD)
                return;
        if (s->state < SESSION_DRAINING)
                session_tell(s, type, why);
        session_leave(s, SESSION_DEAD);
        worker_disarm(s);
        session_unmark_unwritten(s);
        if (s->writing)
                queue_clear_rest(&s->queue, &s->engine->pool, s->account);
        else
                queue_clear(&s->queue, &s->engine->pool);
        if (s->local)
                local_wake(s->local);
}

void session_kill(struct session *s, enum engine_event_type type, const char *reason)
{
        session_kill_for(s, type, &(struct refusal){.reason = reason});
}

/* Six bytes that belong to the session itself: an acknowledgement or a ping. */
static bool session_put_small(struct session *s, const uint8_t bytes[WIRE_DELIVERY_HEADER_SIZE])
{
        uint8_t *room;

        while (!(room = queue_put_inline(&s->queue, &s->engine->pool, s->account,
                                         WIRE_DELIVERY_HEADER_SIZE))) {
                if (!memory_relieve(s->engine, s->account, -errno))
                        session_kill(s, ENGINE_EVENT_MEMORY, "no memory for an acknowledgement");
                if (s->state != SESSION_LIVE && s->state != SESSION_DRAINING)
                        return false;
        }
        memcpy(room, bytes, WIRE_DELIVERY_HEADER_SIZE);
        pace_grown(s);
        session_mark_unwritten(s);
        return true;
}

void session_ack(struct session *s, const struct wire_request *request, enum wire_result result)
{
        uint8_t ack[WIRE_DELIVERY_HEADER_SIZE];

        if (!(request->qos & WIRE_QOS_PROCESSED) || s->state != SESSION_LIVE)
                return;
        wire_ack_encode(ack, request->op_id, result);
        if (session_put_small(s, ack))
                count_queued(s, sizeof(ack));
}

/* A full queue proves that there is traffic enough; the blocked-write rule watches it. */
static void session_ping(struct session *s)
{
        static const uint8_t ping[WIRE_DELIVERY_HEADER_SIZE] = {WIRE_KIND_PING};
        uint64_t period = s->engine->config.timeout / 2;

        if (!s->queue_full)
                session_put_small(s, ping);
        s->ping_at = MAX(s->ping_at + period, s->engine->now + period / 2);
}

static uint64_t session_input_deadline(const struct session *s)
{
        uint64_t timeout = s->engine->config.timeout;

        if (session_is_paused(s))
                return s->pace.deadline;
        if (s->local)
                return NSEC_INFINITY;
        return s->body_since ? s->body_since + timeout : s->frame_at + timeout + timeout / 4;
}

uint64_t session_next_deadline(const struct session *s)
{
        uint64_t at;

        if (s->state != SESSION_LIVE)
                return s->deadline;
        at = session_input_deadline(s);
        if (!s->local)
                at = MIN(at, s->ping_at);
        if (s->write_blocked && !s->local)
                at = MIN(at, s->write_since + s->engine->config.timeout);
        if (s->slow_dropped)
                at = MIN(at, s->slow_reported_at + NSEC_PER_SEC);
        if (s->denied_untold)
                at = MIN(at, s->denied_told_at + NSEC_PER_SEC);
        return at;
}

/* From a shorter timeout on, no clock began to run before now. */
static void session_restart_clocks(struct session *s, uint64_t timeout)
{
        uint64_t now = s->engine->now;

        s->deadline = MIN(s->deadline, now + timeout);
        s->ping_at = MIN(s->ping_at, now + timeout / 2);
        s->frame_at = s->write_since = now;
        if (s->body_since)
                s->body_since = now;
}

void session_configured(struct session *s, const struct engine_config *before)
{
        uint64_t timeout = s->engine->config.timeout;

        if (s->state == SESSION_DEAD)
                return;
        if (timeout < before->timeout)
                session_restart_clocks(s, timeout);
        else if (!s->engine->stopping)
                s->deadline += timeout - before->timeout;
        pace_configured(s, before);
        worker_arm(s, session_next_deadline(s));
}

static void session_overtime(struct session *s, bool at_once, enum engine_cause cause,
                             const char *reason)
{
        struct refusal why = {.cause = cause, .reason = reason};

        if (at_once)
                session_kill_for(s, ENGINE_EVENT_TIMEOUT, &why);
        else
                session_drain_for(s, ENGINE_EVENT_TIMEOUT, &why);
}

/* Nothing came for too long. Its last bytes may wait in the socket, where a busy worker has not
 * looked. */
static void session_overdue(struct session *s)
{
        if (!s->last_look) {
                s->last_look = true;
                s->readable = true;
                worker_run_later(s);
                s->frame_at += 10 * NSEC_PER_MSEC;
                if (s->body_since)
                        s->body_since += 10 * NSEC_PER_MSEC;
                return;
        }
        if (s->body_since)
                session_overtime(s, false, ENGINE_CAUSE_BODY,
                                 "a frame's body did not arrive in time");
        else
                session_overtime(s, false, ENGINE_CAUSE_KEEP_ALIVE,
                                 "no frame for 1.25 x the timeout");
}

static void session_check_live(struct session *s)
{
        struct engine *e = s->engine;

        if (e->now >= s->ping_at && !s->local)
                session_ping(s);
        if (s->slow_dropped && e->now >= s->slow_reported_at + NSEC_PER_SEC) {
                uint64_t n = s->slow_dropped;

                s->slow_dropped = 0;

                s->slow_reported_at = e->now;
                event_push(s, ENGINE_EVENT_DROPPED, n,
                           "its queue was full: frames for it were dropped");
                broker_announce_slow(e, s->name, s->name_len, false, n);
        }
        if (e->now >= s->denied_told_at + NSEC_PER_SEC)
                permit_tell_denied(s);
        if (s->state == SESSION_LIVE && e->now >= session_input_deadline(s)) {
                if (session_is_paused(s))
                        pace_expired(s);
                else if (!s->running)
                        session_overdue(s);
        }
}

void session_check_timers(struct session *s)
{
        struct engine *e = s->engine;
        uint64_t timeout = e->config.timeout;

        if (s->claiming) {
                s->claiming = false;
                worker_run_later(s);
        }
        if (s->state == SESSION_LIVE)
                session_check_live(s);
        else if (e->now >= s->deadline)
                session_overtime(s, true, ENGINE_CAUSE_HANDSHAKE,
                                 "the handshake was not finished in time");
        if (s->write_blocked && !s->local && s->state != SESSION_DEAD &&
            e->now >= s->write_since + timeout)
                session_overtime(s, true, ENGINE_CAUSE_BLOCKED,
                                 "accepted no byte for one timeout while frames waited");
        if (s->state != SESSION_DEAD)
                worker_arm(s, MAX(session_next_deadline(s), e->now + NSEC_PER_MSEC));
}
