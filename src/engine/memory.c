/* SPDX-License-Identifier: Apache-2.0 */
/* At the memory limit the one who holds most loses the receiver that most of it waits for. */
#include "engine/internal.h"

/* What this session keeps of that account's memory: queued for it, or read from it and not handled.
 */
static size_t memory_held_by(const struct session *s, const struct account *account)
{
        const struct queue *q = &s->queue;
        size_t n = 0;

        for (uint32_t i = 0; i < q->n_segments; i++)
                if (queue_segment(q, i)->buffer->account == account)
                        n += queue_segment(q, i)->length;
        if (q->ring_buffer && q->ring_buffer->account == account)
                n += q->ring_buffer->charged;
        if (s->input.body && s->input.body->account == account)
                n += s->input.body->charged;
        if (s->input.pending && s->input.pending->account == account)
                n += s->input.pending->charged;
        return n;
}

/* At least as much, without a walk. */
static size_t memory_held_at_most(const struct session *s)
{
        size_t n = s->queue.n_bytes;

        n += s->queue.ring_buffer ? s->queue.ring_buffer->charged : 0;
        n += s->input.body ? s->input.body->charged : 0;
        return n + (s->input.pending ? s->input.pending->charged : 0);
}

/* Keeps the list in order, the largest first. */
static void victims_insert(struct victims *v, struct session *s, size_t held)
{
        size_t i = MIN(v->n, ARRAY_SIZE(v->list) - 1);

        if (v->n == ARRAY_SIZE(v->list) && held <= v->list[i].held)
                return;
        for (; i > 0 && v->list[i - 1].held < held; i--)
                v->list[i] = v->list[i - 1];
        v->list[i].session = s;
        v->list[i].held = held;
        v->n = MIN(v->n + 1, ARRAY_SIZE(v->list));
}

/* Thousands of receivers may have to go in one pass, and looking at all of their queues for each is
 * too dear: one look finds many. */
static void victims_find(struct engine *e, const struct account *account)
{
        struct victims *v = &e->victims;
        struct session *s;

        *v = (struct victims){.account = account};
        LIST_FOREACH (s, &e->sessions, link) {
                size_t held;

                if (s->state == SESSION_DEAD || (v->n == ARRAY_SIZE(v->list) &&
                                                 memory_held_at_most(s) <= v->list[v->n - 1].held))
                        continue;
                held = memory_held_by(s, account);
                if (held > 0)
                        victims_insert(v, s, held);
        }
}

/* The next of those found that still holds about what it held then. */
static struct session *victims_next(struct victims *v)
{
        while (v->taken < v->n) {
                struct session *s = v->list[v->taken].session;
                size_t held = v->list[v->taken++].held;

                if (s->state != SESSION_DEAD && memory_held_by(s, v->account) > held / 2)
                        return s;
        }
        return NULL;
}

/* Nothing of it waits for anybody: whose subscriptions are most of it? */
static struct session *memory_largest_subscriber(struct engine *e, const struct account *account)
{
        struct session *s, *largest = NULL;
        size_t most = 0;

        LIST_FOREACH (s, &e->sessions, link)
                if (s->account == account && s->state != SESSION_DEAD && s->subscribed > most) {
                        most = s->subscribed;
                        largest = s;
                }
        return largest;
}

static struct session *memory_victim(struct engine *e, const struct account *account)
{
        struct session *s = e->victims.account == account ? victims_next(&e->victims) : NULL;

        if (s)
                return s;
        victims_find(e, account);
        s = victims_next(&e->victims);
        return s ? s : memory_largest_subscriber(e, account);
}

bool memory_relieve(struct engine *e, struct account *account, int error)
{
        struct accounts *accounts = e->accounts;
        struct account *largest = NULL;
        struct session *victim;

        if (error == -EDQUOT)
                largest = account_ref(accounts, account);
        else if (error == -ENOSPC)
                largest = accounts_largest(accounts);

        victim = largest ? memory_victim(e, largest) : NULL;
        if (largest)
                account_unref(accounts, largest);
        if (!victim)
                return false;
        session_kill(victim, ENGINE_EVENT_MEMORY,
                     error == -EDQUOT
                             ? "it held most of all that one user may hold (QueueMemoryMaxPerUser)"
                             : "it held most of the largest user's memory (QueueMemoryMax)");
        return true;
}
