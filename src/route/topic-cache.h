/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who receives what is published on topics that came lately: found once, and then known until
 * somebody subscribes or unsubscribes. Memory follows use, up to 3.4 MB; what does not fit, a long
 * topic or one with many receivers, is searched for each time, which is then a small part of what
 * it costs.
 */
#pragma once

#include "route/subscription.h"

struct topic_cache_slot;

#define TOPIC_CACHE_SETS_LOG2 13
#define TOPIC_CACHE_SETS (1 << TOPIC_CACHE_SETS_LOG2)

/* Starts zeroed. Belongs to one tree. */
struct topic_cache {
        struct topic_cache_slot *slots;       /* NULL: nothing was published yet */
        uint64_t used[TOPIC_CACHE_SETS / 64]; /* a bit for each set that ever had a topic */
};

/* Where a topic is, or would be; until the next topic_cache_match(). */
struct topic_place {
        struct topic_cache_slot *slot; /* NULL: nowhere */
        const void **note; /* whatever its caller knows of the topic; NULL: it is not there */
};

/* Takes its memory now. -ENOMEM. */
int topic_cache_reserve(struct topic_cache *cache);
void topic_cache_done(struct topic_cache *cache);

/* Changes nothing that is known. */
struct topic_place topic_cache_find(struct topic_cache *cache, const char *topic, size_t len);

/* As subscription_match(), of a topic that was just looked for, which then may take the place of
 * another. *ret are set's own, or the cache's; both until the next call. set->n_steps is 0 where
 * nothing had to be searched for. */
int topic_cache_match(struct topic_place place, const struct subscription_tree *tree,
                      const char *topic, size_t len, struct match_set *set,
                      struct subscriber *const **ret, size_t *ret_n);

/* Where the topic that stands at the beginning of these bytes, before a 00, is, if that is this
 * slot: most say the same again. Else nowhere. */
struct topic_place topic_cache_find_again(struct topic_cache_slot *slot, const uint8_t *bytes,
                                          size_t len, size_t *ret_topic_len);

/* Nothing is known any more; slots stay where they are. */
void topic_cache_clear(struct topic_cache *cache);
