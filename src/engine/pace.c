/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/internal.h"
#include "engine/probe.h"

#define LEDGER_SLOT (NSEC_PER_SEC / PACE_LEDGER_SLOTS)
#define PAUSE_MIN NSEC_PER_MSEC /* a shorter pause is none */

/* --- The ledger: how long strangers have paused this sender within the last second --- */

static void ledger_advance(struct pace *p, uint64_t now)
{
        uint64_t slot = now / LEDGER_SLOT;

        for (uint64_t i = 1; i <= MIN(slot - p->ledger_slot, (uint64_t)ARRAY_SIZE(p->ledger)); i++)
                p->ledger[(p->ledger_slot + i) % ARRAY_SIZE(p->ledger)] = 0;
        p->ledger_slot = slot;
}

static uint64_t ledger_left(struct session *s)
{
        uint64_t used = 0, max = s->engine->config.slow_pace;

        ledger_advance(&s->pace, s->engine->now);
        for (size_t i = 0; i < ARRAY_SIZE(s->pace.ledger); i++)
                used += s->pace.ledger[i];
        return used >= max ? 0 : max - used;
}

static void ledger_add(struct session *s, uint64_t nsec)
{
        ledger_advance(&s->pace, s->engine->now);
        s->pace.ledger[s->pace.ledger_slot % ARRAY_SIZE(s->pace.ledger)] +=
                (uint32_t)MIN(nsec, NSEC_PER_SEC);
}

/* --- Pauses --- */

static void pause_begin(struct session *s, bool kept)
{
        s->pace.since = s->engine->now;
        s->pace.deadline = NSEC_INFINITY;
        s->pace.budgeted = false;
        s->pace.kept = kept;
}

/* Each receiver that is waited for may shorten the pause. */
static void pause_limit(struct session *s, uint64_t length, bool budgeted)
{
        struct pace *p = &s->pace;

        p->budgeted |= budgeted;
        if (length == NSEC_INFINITY || p->since + length >= p->deadline)
                return;
        p->deadline = p->since + length;
        worker_arm(s, p->deadline);
}

static void pause_charge(struct session *s)
{
        if (s->pace.budgeted)
                ledger_add(s, s->engine->now - s->pace.since);
        s->pace.budgeted = false;
}

/* The clocks of the peer's duties stood still meanwhile. */
static void pause_end(struct session *s)
{
        uint64_t now = s->engine->now;

        pause_charge(s);
        s->pace.total += now - s->pace.since;
        s->frame_at = now;
        if (s->body_since)
                s->body_since = now;
        if (s->local && !session_has_input(s))
                local_wake(s->local); /* which has kept what must wait */
        else
                worker_run_later(s);
}

uint64_t pace_total(const struct session *s)
{
        return s->pace.total + (session_is_paused(s) ? s->engine->now - s->pace.since : 0);
}

/* May lie below zero until a pause under way has ended: what it has lasted so far is taken off. */
void pace_reset_total(struct session *s)
{
        s->pace.total -= pace_total(s);
}

/* Without memory for it there is no pause. */
bool pace_link(struct session *from, struct session *to)
{
        struct engine *e = from->engine;
        struct wait *wait = LIST_FIRST(&e->free_waits);

        if (from->state != SESSION_LIVE || to->state != SESSION_LIVE)
                return false;
        if (wait)
                LIST_REMOVE(wait, of_sender);
        else
                wait = malloc(sizeof(*wait));
        if (!wait)
                return false;
        wait->sender = from;
        wait->receiver = to;
        LIST_INSERT_HEAD(&from->pace.waits, wait, of_sender);
        LIST_INSERT_HEAD(&to->waiters, wait, of_receiver);
        return true;
}

static bool wait_add(struct session *from, struct session *to, uint64_t length, bool budgeted,
                     bool kept)
{
        bool first = LIST_EMPTY(&from->pace.waits);

        if (!pace_link(from, to))
                return false;
        PROBE_PACED(from, to);
        if (first)
                pause_begin(from, kept);
        pause_limit(from, length, budgeted);
        return true;
}

static void wait_remove(struct wait *wait)
{
        LIST_REMOVE(wait, of_sender);
        LIST_REMOVE(wait, of_receiver);
        LIST_INSERT_HEAD(&wait->sender->engine->free_waits, wait, of_sender);
}

static void pace_wake_waiters(struct session *to)
{
        struct wait *wait;

        while ((wait = LIST_FIRST(&to->waiters))) {
                struct session *from = wait->sender;

                wait_remove(wait);
                if (!session_is_paused(from))
                        pause_end(from);
        }
}

void pace_forget(struct session *s)
{
        struct wait *wait;

        while ((wait = LIST_FIRST(&s->pace.waits)))
                wait_remove(wait);
        pace_wake_waiters(s);
}

int pace_reserve(struct engine *e, size_t n)
{
        while (n-- > 0) {
                struct wait *wait = calloc(1, sizeof(*wait));

                if (!wait)
                        return -ENOMEM;
                LIST_INSERT_HEAD(&e->free_waits, wait, of_sender);
        }
        return 0;
}

void pace_trim(struct engine *e)
{
        struct wait *wait;

        while ((wait = LIST_FIRST(&e->free_waits))) {
                LIST_REMOVE(wait, of_sender);
                free(wait);
        }
}

/* --- Queues that fill and empty --- */

void pace_grown(struct session *to)
{
        const struct engine_config *config = &to->engine->config;

        if (to->queue.n_frames >= config->queue_frames || to->queue.n_bytes >= config->queue_bytes)
                to->queue_full = true;
        if (to->queue.n_frames > to->counters.queue_frames_max)
                to->counters.queue_frames_max = to->queue.n_frames;
        if (to->queue.n_bytes > to->counters.queue_bytes_max)
                to->counters.queue_bytes_max = to->queue.n_bytes;
}

void pace_shrunk(struct session *to)
{
        const struct engine_config *config = &to->engine->config;

        if (!to->queue_full)
                return;
        if (!queue_is_empty(&to->queue) &&
            (2 * (size_t)to->queue.n_frames >= config->queue_frames ||
             2 * to->queue.n_bytes >= config->queue_bytes))
                return;
        to->queue_full = false;
        to->striking = false;
        pace_wake_waiters(to);
}

void pace_configured(struct session *s, const struct engine_config *before)
{
        const struct engine_config *config = &s->engine->config;
        struct pace *p = &s->pace;

        if (config->slow_policy != before->slow_policy)
                s->striking = false;
        if (!queue_is_empty(&s->queue))
                pace_grown(s);
        pace_shrunk(s);
        if (session_is_paused(s) && p->deadline != NSEC_INFINITY)
                p->deadline = MIN(p->deadline, s->engine->now + config->slow_pace);
}

/* A queue that only waits for the end of the pass is written now. */
static bool pace_is_full(struct session *to)
{
        if (likely(!to->queue_full))
                return false;
        if (to->engine->shared)
                engine_look_at_clock(to->engine);
        if (!to->write_blocked)
                session_write_now(to);
        return to->queue_full && to->state == SESSION_LIVE;
}

/* Before it is struck: its socket may have room, and only its own worker has not come to see that.
 */
static bool pace_gets_room(struct session *to)
{
        session_write_now(to);
        return !to->queue_full;
}

/* Whom another worker is just writing to is given time: only then is it known how slow it is. */
static uint64_t pace_patience(const struct session *to, uint64_t length)
{
        return to->writing ? MAX(length, PAUSE_MIN) : length;
}

/* --- The policy --- */

void pace_count_drop(struct session *to, uint64_t n)
{
        counter_add(&to->counters.dropped, n);
        counter_add(&to->engine->counters.dropped, n);
        to->slow_dropped += n;
        worker_arm(to, MAX(to->slow_reported_at + NSEC_PER_SEC, to->engine->now));
}

static void pace_drop_oldest(struct session *to)
{
        const struct engine_config *config = &to->engine->config;
        size_t n = queue_drop_oldest(&to->queue, &to->engine->pool, config->queue_frames - 1,
                                     config->queue_bytes);

        if (n)
                pace_count_drop(to, n);
}

/* Strikes the receiver. Afterwards it is LIVE no more, or frames for it are dropped until it has
 * room. */
static void pace_strike(struct session *to)
{
        struct engine *e = to->engine;

        counter_add(&e->counters.struck, 1);
        PROBE_STRUCK(to, e->config.slow_policy);
        if (e->config.slow_policy == SLOW_DISCONNECT) {
                to->struck = true;
                session_drain(to, ENGINE_EVENT_STRUCK, "its queue stayed full: unregistered");
                return;
        }
        to->striking = true;
        event_push(to, ENGINE_EVENT_STRUCK, to->queue.n_frames,
                   "its queue stayed full: the %s frames for it are dropped until it has room",
                   e->config.slow_policy == SLOW_DROP_NEWEST ? "newest" : "oldest");
        pace_wake_waiters(to);
}

/* What becomes of one more frame for a receiver that has been struck. */
static enum pace_verdict pace_after_strike(struct session *to)
{
        if (to->state != SESSION_LIVE)
                return PACE_REFUSE;
        if (to->engine->config.slow_policy == SLOW_DROP_OLDEST) {
                pace_drop_oldest(to);
                return PACE_PUT;
        }
        pace_count_drop(to, 1);
        return PACE_REFUSE;
}

bool pace_own_room(struct session *s)
{
        if (!pace_is_full(s))
                return true;
        return s->state == SESSION_LIVE && !wait_add(s, s, NSEC_INFINITY, false, true);
}

enum pace_verdict pace_message(struct session *from, struct session *to)
{
        bool stranger = from->account != to->account;
        uint64_t length;

        if (likely(!pace_is_full(to)))
                return to->state == SESSION_LIVE ? PACE_PUT : PACE_REFUSE;
        if (to == from)
                return wait_add(from, to, NSEC_INFINITY, false, true) ? PACE_WAIT : PACE_REFUSE;
        if (to->striking)
                return pace_after_strike(to);
        length = pace_patience(to, stranger ? ledger_left(from) : from->engine->config.slow_pace);
        if (length >= PAUSE_MIN && wait_add(from, to, length, stranger, true))
                return PACE_WAIT;
        if (pace_gets_room(to))
                return PACE_PUT;
        pace_strike(to);
        return pace_after_strike(to);
}

enum pace_verdict pace_fan_out(struct session *from, struct session *to)
{
        const struct engine_config *config = &to->engine->config;
        bool endless;
        uint64_t left;

        if (likely(!pace_is_full(to)))
                return to->state == SESSION_LIVE ? PACE_PUT : PACE_REFUSE;
        endless = to->queue.n_bytes > 2 * config->queue_bytes;
        if (!from) {
                if ((to->writing && !endless) || pace_gets_room(to))
                        return PACE_PUT;
                pace_count_drop(to, 1);
                return PACE_REFUSE;
        }
        if (to == from) {
                wait_add(from, to, NSEC_INFINITY, false, false);
                return PACE_PUT;
        }
        if (to->striking)
                return pace_after_strike(to);
        left = pace_patience(to, ledger_left(from));
        if (left >= PAUSE_MIN && !endless && wait_add(from, to, left, true, false))
                return PACE_PUT;
        if (pace_gets_room(to))
                return PACE_PUT;
        pace_strike(to);
        return pace_after_strike(to);
}

void pace_expired(struct session *from)
{
        struct wait *wait, *next;

        pause_charge(from);
        from->pace.deadline = NSEC_INFINITY;
        LIST_FOREACH_SAFE (wait, &from->pace.waits, of_sender, next) {
                if (wait->receiver == from)
                        continue;
                if (wait->receiver->writing) {
                        from->pace.deadline = from->engine->now + PAUSE_MIN;
                        continue;
                }
                if (pace_gets_room(wait->receiver))
                        continue;
                /* A message that waited is refused; under a drop policy it is tried again and
                 * dropped there. */
                if (from->pace.kept && from->engine->config.slow_policy == SLOW_DISCONNECT)
                        from->pace.refuse = true;
                pace_strike(wait->receiver);
        }
}
