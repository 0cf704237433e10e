/* SPDX-License-Identifier: Apache-2.0 */
/* A topic has one slot, and takes it from whichever had it before. A slot is of no use any more as
 * soon as the tree has another version. */
#include <stdlib.h>
#include <string.h>

#include "basic/macro.h"
#include "route/topic-cache.h"

#define SLOTS_LOG2 8
#define TOPIC_MAX 62
#define RECEIVERS_MAX 16

struct topic_cache_slot {
        uint64_t version; /* of the tree; 0: empty */
        uint8_t topic_len, n_found;
        char topic[TOPIC_MAX];
        struct subscriber *found[RECEIVERS_MAX];
};

/* Whoever finds two topics for one slot makes them slower for himself, and no slower than without.
 */
static size_t slot_of(const char *topic, size_t len)
{
        uint64_t hash = len, word;

        for (; len >= sizeof(word); topic += sizeof(word), len -= sizeof(word)) {
                memcpy(&word, topic, sizeof(word));
                hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        }
        for (word = 0; len > 0; len--)
                word = word << 8 | (uint8_t)topic[len - 1];
        hash = (hash ^ hash >> 32 ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        return hash >> (64 - SLOTS_LOG2);
}

void topic_cache_done(struct topic_cache *cache)
{
        free(cache->slots);
        cache->slots = NULL;
}

static void slot_fill(struct topic_cache_slot *slot, uint64_t version, const char *topic,
                      size_t len, const struct match_set *set)
{
        slot->version = version;
        slot->topic_len = (uint8_t)len;
        slot->n_found = (uint8_t)set->n_found;
        memcpy(slot->topic, topic, len);
        if (set->n_found > 0) /* a set that never found anybody has no memory */
                memcpy(slot->found, set->found, set->n_found * sizeof(*set->found));
}

static struct topic_cache_slot *find_slot(struct topic_cache *cache, const char *topic, size_t len)
{
        if (unlikely(!cache->slots))
                cache->slots = calloc((size_t)1 << SLOTS_LOG2, sizeof(*cache->slots));
        return cache->slots && len <= TOPIC_MAX ? &cache->slots[slot_of(topic, len)] : NULL;
}

int topic_cache_match(struct topic_cache *cache, const struct subscription_tree *tree,
                      const char *topic, size_t len, struct match_set *set,
                      struct subscriber *const **ret, size_t *ret_n)
{
        struct topic_cache_slot *slot = find_slot(cache, topic, len);
        uint64_t version = subscription_tree_version(tree);
        int r;

        if (slot && likely(slot->version == version && slot->topic_len == len &&
                           memcmp(slot->topic, topic, len) == 0)) {
                set->n_steps = 0;
                *ret = slot->found;
                *ret_n = slot->n_found;
                return 0;
        }
        r = subscription_match(tree, topic, len, set);
        if (r < 0)
                return r;
        if (slot && set->n_found <= RECEIVERS_MAX)
                slot_fill(slot, version, topic, len, set);
        *ret = set->found;
        *ret_n = set->n_found;
        return 0;
}
