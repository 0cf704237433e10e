/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one hash table: intrusive, chained, grown by doubling and given back when the last entry
 * goes. Nodes live in their owners, so insertion cannot fail: where memory for a larger bucket
 * array is refused, the chains grow longer instead. Keys come from peers, so they are hashed by
 * SipHash-1-3 with a random key of the table's own.
 *
 *      struct table_node *n;
 *      uint64_t hash = table_hash(&t, key, len);
 *      table_foreach(n, &t, hash) { ... compare the owner's key ... }
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct table_node {
        struct table_node *next;
        uint64_t hash;
};

struct table {
        struct table_node **buckets;
        struct table_node *first_bucket; /* what buckets points to until the table grows */
        size_t n_entries;
        size_t mask; /* number of buckets - 1 */
        uint64_t key[2];
};

void table_init(struct table *t);
/* Frees the bucket array only; the entries belong to their owners. */
void table_done(struct table *t);

uint64_t table_hash(const struct table *t, const void *data, size_t len);
void table_insert(struct table *t, struct table_node *n, uint64_t hash);
/* The node must be in the table. */
void table_remove(struct table *t, struct table_node *n);

/* The first node of that hash at or after n in its chain; NULL at its end. */
static inline struct table_node *table_chain(struct table_node *n, uint64_t hash)
{
        while (n && n->hash != hash)
                n = n->next;
        return n;
}

#define table_foreach(n, t, h)                                                                     \
        for ((n) = table_chain((t)->buckets[(h) & (t)->mask], (h)); (n);                           \
             (n) = table_chain((n)->next, (h)))

/* Walks all: start with n = NULL. The node returned may be removed before the next call only if
 * `next` was asked for first. */
struct table_node *table_walk(const struct table *t, const struct table_node *n);
