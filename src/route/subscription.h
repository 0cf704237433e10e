/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is subscribed to what: a tree of topic parts ('/', '+', '#') that answers "which subscribers
 * match this topic?" by steps that depend on the topic's depth and on the masks that match, not on
 * those that do not.
 *
 * The tree is plain data without locks: readers may search it at the same time, a writer must be
 * alone. A search keeps all of its state in the caller's match_set. No recursion; memory is taken
 * on add only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <bsd/sys/queue.h>

struct subscription_tree;

LIST_HEAD(subscription_list, subscription);

/* What a session embeds. */
struct subscriber {
        struct subscription_list subscriptions;
        size_t n_subscriptions;
};

/* The receivers found by a search: each once, in no particular order. Starts zeroed; the caller
 * keeps it from search to search, so that a warm search allocates nothing. */
struct match_set {
        struct subscriber **found;
        size_t n_found, n_allocated;
        size_t n_steps; /* what the last search looked at: a measure of its cost */
        void *scratch;  /* the search's own working memory */
        size_t scratch_size;
};

int subscription_tree_new(struct subscription_tree **ret);
/* All subscriptions must be gone. Returns NULL. */
struct subscription_tree *subscription_tree_free(struct subscription_tree *tree);

void subscriber_init(struct subscriber *s);

/* 1: subscribed. 0: this subscriber had the mask already. -ENOMEM: nothing changed. */
int subscription_add(struct subscription_tree *tree, struct subscriber *s, const char *mask,
                     size_t len);
/* 1: removed. 0: there was none. */
int subscription_remove(struct subscription_tree *tree, struct subscriber *s, const char *mask,
                        size_t len);
bool subscription_exists(const struct subscription_tree *tree, const struct subscriber *s,
                         const char *mask, size_t len);
void subscription_remove_all(struct subscription_tree *tree, struct subscriber *s);
/* Removes every subscription of s for which keep() says false. */
void subscription_retain(struct subscription_tree *tree, struct subscriber *s,
                         bool (*keep)(const char *mask, size_t len, void *userdata),
                         void *userdata);

/* Calls fn with the canonical text of each mask of s, until it returns non-zero, which is returned.
 */
int subscription_foreach(const struct subscriber *s,
                         int (*fn)(const char *mask, size_t len, void *userdata), void *userdata);

/* Fills set with every subscriber that has at least one mask that matches. 0, or -ENOMEM (the set
 * is then empty). */
int subscription_match(const struct subscription_tree *tree, const char *topic, size_t len,
                       struct match_set *set);
/* Does any mask in the tree match? 1, 0 or -ENOMEM. Used for a client's exclusions. Uses set for
 * scratch memory only. */
int subscription_match_any(const struct subscription_tree *tree, const char *topic, size_t len,
                           struct match_set *set);

bool subscription_tree_is_empty(const struct subscription_tree *tree);
/* Changes whenever a subscription is added or removed. Never 0. */
uint64_t subscription_tree_version(const struct subscription_tree *tree);

/* Takes memory for a search that finds n receivers now. -ENOMEM. */
int match_set_reserve(struct match_set *set, size_t n);
void match_set_done(struct match_set *set);
