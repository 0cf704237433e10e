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

static struct session *memory_victim(struct worker *w, const struct account *account)
{
        struct session *s, *victim = NULL;
        size_t most = 0, held;

        LIST_FOREACH (s, &w->sessions, link) {
                held = s->state == SESSION_DEAD ? 0 : memory_held_by(s, account);
                if (held > most) {
                        most = held;
                        victim = s;
                }
        }
        return victim;
}

bool memory_relieve(struct worker *w, struct account *account, int error)
{
        struct accounts *accounts = w->engine->accounts;
        struct account *largest = NULL;
        struct session *victim;

        if (error == -EDQUOT)
                largest = account_ref(accounts, account);
        else if (error == -ENOSPC)
                largest = accounts_largest(accounts);

        victim = largest ? memory_victim(w, largest) : NULL;
        if (largest)
                account_unref(accounts, largest);
        if (!victim)
                return false;
        session_kill(victim, ENGINE_EVENT_MEMORY,
                     "QueueMemoryMax reached: it held most of the largest user's memory");
        return true;
}
