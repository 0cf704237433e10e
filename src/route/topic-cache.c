/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A topic has a set of two slots, and takes one of them from whichever had it before. Who receives
 * it is of no use any more as soon as the tree has another version; what is noted of it is, until
 * another topic takes the slot. Whoever finds three topics for one set makes them slower, and no
 * slower than without.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "basic/macro.h"
#include "basic/text.h"
#include "route/topic-cache.h"

#define WAYS 2
#define TOPIC_MAX 62
#define TOPIC_NONE UINT8_MAX /* for its length: the slot has none */
#define RECEIVERS_MAX 16

struct topic_cache_slot {
        uint64_t version; /* of the tree; 0: nobody was found yet */
        const void *note;
        uint8_t topic_len, n_found : 7;
        uint8_t turn : 1; /* of a set's first: which of them is given up next */
        char topic[TOPIC_MAX];
        struct subscriber *found[RECEIVERS_MAX];
};

int topic_cache_reserve(struct topic_cache *cache)
{
        if (!cache->slots)
                cache->slots = calloc((size_t)TOPIC_CACHE_SETS * WAYS, sizeof(*cache->slots));
        return cache->slots ? 0 : -ENOMEM;
}

void topic_cache_done(struct topic_cache *cache)
{
        free(cache->slots);
        cache->slots = NULL;
}

static bool slot_holds(const struct topic_cache_slot *slot, const char *topic, size_t len)
{
        return slot->topic_len == len && text_is_equal(slot->topic, topic, len);
}

/* Apart, so that all later searches keep nothing on the stack for it. */
static __attribute__((noinline)) struct topic_place find_first(struct topic_cache *cache,
                                                               const char *topic, size_t len)
{
        return topic_cache_reserve(cache) == 0 ? topic_cache_find(cache, topic, len)
                                               : (struct topic_place){0};
}

struct topic_place topic_cache_find(struct topic_cache *cache, const char *topic, size_t len)
{
        struct topic_cache_slot *set;
        size_t n;

        if (unlikely(len > TOPIC_MAX))
                return (struct topic_place){0};
        if (unlikely(!cache->slots))
                return find_first(cache, topic, len);
        n = text_hash(topic, len) >> (64 - TOPIC_CACHE_SETS_LOG2);
        set = &cache->slots[n * WAYS];
        for (size_t i = 0; i < WAYS; i++)
                if (likely(slot_holds(&set[i], topic, len)))
                        return (struct topic_place){.slot = &set[i], .note = &set[i].note};
        cache->used[n / 64] |= UINT64_C(1) << n % 64;
        return (struct topic_place){.slot = &set[set->turn++]};
}

struct topic_place topic_cache_find_again(struct topic_cache_slot *slot, const uint8_t *bytes,
                                          size_t len, size_t *ret_topic_len)
{
        if (!slot || slot->topic_len >= len || bytes[slot->topic_len] != 0 ||
            !text_is_equal(slot->topic, (const char *)bytes, slot->topic_len))
                return (struct topic_place){0};
        *ret_topic_len = slot->topic_len;
        return (struct topic_place){.slot = slot, .note = &slot->note};
}

static void slot_fill(struct topic_place place, uint64_t version, const char *topic, size_t len,
                      const struct match_set *set)
{
        struct topic_cache_slot *slot = place.slot;

        if (!place.note) {
                slot->note = NULL;
                slot->topic_len = (uint8_t)len;
                memcpy(slot->topic, topic, len);
        }
        slot->version = version;
        slot->n_found = set->n_found & 0x7f;
        if (set->n_found > 0) /* a set that never found anybody has no memory */
                memcpy(slot->found, set->found, set->n_found * sizeof(*set->found));
}

int topic_cache_match(struct topic_place place, const struct subscription_tree *tree,
                      const char *topic, size_t len, struct match_set *set,
                      struct subscriber *const **ret, size_t *ret_n)
{
        uint64_t version = subscription_tree_version(tree);
        int r;

        if (likely(place.note && place.slot->version == version)) {
                set->n_steps = 0;
                *ret = place.slot->found;
                *ret_n = place.slot->n_found;
                return 0;
        }
        r = subscription_match(tree, topic, len, set);
        if (r < 0)
                return r;
        if (place.slot && set->n_found <= RECEIVERS_MAX)
                slot_fill(place, version, topic, len, set);
        *ret = set->found;
        *ret_n = set->n_found;
        return 0;
}

void topic_cache_clear(struct topic_cache *cache)
{
        for (size_t n = 0; n < TOPIC_CACHE_SETS; n++)
                for (size_t i = 0; cache->used[n / 64] >> n % 64 & 1 && i < WAYS; i++)
                        cache->slots[n * WAYS + i].topic_len = TOPIC_NONE;
        memset(cache->used, 0, sizeof(cache->used));
}
