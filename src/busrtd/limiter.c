/* SPDX-License-Identifier: Apache-2.0 */
/* A table of fixed size: a key may stand in any of the few places of its set. */
#include <bsd/string.h>

#include "basic/macro.h"
#include "basic/table.h"
#include "busrtd/limiter.h"

#define N_SETS 32
#define N_WAYS 8

struct place {
        uint64_t hash; /* with a random key, so that nobody can aim at another's set */
        uint64_t start;
        uint64_t suppressed, weight;
        unsigned passed;
        bool used;
        char who[sizeof(((struct limiter_summary *)0)->who)];
};

struct limiter {
        struct table hasher; /* holds nothing: it is there for its keyed hash */
        unsigned burst;
        uint64_t window;
        size_t n_waiting; /* places with something suppressed */
        struct place places[N_SETS][N_WAYS];
};

int limiter_new(unsigned burst, uint64_t window, struct limiter **ret)
{
        struct limiter *limiter = calloc(1, sizeof(*limiter));

        if (!limiter)
                return -ENOMEM;
        table_init(&limiter->hasher);
        limiter->burst = burst;
        limiter->window = window;
        *ret = limiter;
        return 0;
}

struct limiter *limiter_free(struct limiter *limiter)
{
        if (limiter)
                table_done(&limiter->hasher);
        free(limiter);
        return NULL;
}

static bool place_is_over(const struct limiter *limiter, const struct place *place, uint64_t now)
{
        return now - place->start >= limiter->window;
}

static void place_take_summary(struct limiter *limiter, struct place *place,
                               struct limiter_summary *ret)
{
        ret->suppressed = place->suppressed;
        ret->weight = place->weight;
        (void)strlcpy(ret->who, place->who, sizeof(ret->who));
        if (place->suppressed)
                limiter->n_waiting--;
        place->suppressed = place->weight = 0;
        place->used = false;
}

static struct place *find(struct place *set, uint64_t hash, const char *who)
{
        for (size_t i = 0; i < N_WAYS; i++)
                if (set[i].used && set[i].hash == hash && strcmp(set[i].who, who) == 0)
                        return &set[i];
        return NULL;
}

/* A free one, one whose window is over without a summary due, or the oldest. */
static struct place *find_room(const struct limiter *limiter, struct place *set, uint64_t now)
{
        struct place *oldest = &set[0];

        for (size_t i = 0; i < N_WAYS; i++) {
                if (!set[i].used || (place_is_over(limiter, &set[i], now) && !set[i].suppressed))
                        return &set[i];
                if (set[i].start < oldest->start)
                        oldest = &set[i];
        }
        return oldest;
}

bool limiter_pass(struct limiter *limiter, const char *who, uint64_t weight, uint64_t now,
                  struct limiter_summary *ret_evicted)
{
        char key[sizeof(limiter->places[0][0].who)];
        size_t n = MIN(strlcpy(key, who, sizeof(key)), sizeof(key) - 1);
        uint64_t hash = table_hash(&limiter->hasher, key, n);
        struct place *set = limiter->places[hash % N_SETS], *place = find(set, hash, key);

        ret_evicted->suppressed = 0;
        if (!place || place_is_over(limiter, place, now)) {
                if (!place)
                        place = find_room(limiter, set, now);
                place_take_summary(limiter, place, ret_evicted);
                *place = (struct place){.hash = hash, .start = now, .used = true};
                memcpy(place->who, key, n + 1);
        }
        if (place->passed < limiter->burst) {
                place->passed++;
                return true;
        }
        limiter->n_waiting += place->suppressed == 0;
        place->suppressed++;
        place->weight += weight;
        return false;
}

bool limiter_take_summary(struct limiter *limiter, uint64_t now, struct limiter_summary *ret)
{
        struct place *all = &limiter->places[0][0];

        for (size_t i = 0; limiter->n_waiting > 0 && i < N_SETS * N_WAYS; i++)
                if (all[i].suppressed && place_is_over(limiter, &all[i], now)) {
                        place_take_summary(limiter, &all[i], ret);
                        return true;
                }
        return false;
}

uint64_t limiter_deadline(const struct limiter *limiter)
{
        const struct place *all = &limiter->places[0][0];
        uint64_t deadline = UINT64_MAX;

        for (size_t i = 0; limiter->n_waiting > 0 && i < N_SETS * N_WAYS; i++)
                if (all[i].suppressed)
                        deadline = MIN(deadline, all[i].start + limiter->window);
        return deadline;
}
