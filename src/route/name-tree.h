/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names on the bus, as a tree of their dotted parts, so that a broadcast mask ('.', '?', '*')
 * finds its receivers by walking what matches. Same rules as the subscription tree: plain data,
 * many readers or one writer, no recursion, memory linear in the names' lengths.
 */
#pragma once

#include <stddef.h>

struct name_tree;
struct name_node;

/* What a session embeds. */
struct name_entry {
        struct name_node *node; /* NULL: not in a tree */
};

/* The entries found. Starts zeroed; the caller keeps it from search to search, so that a warm
 * search allocates nothing. */
struct name_set {
        struct name_entry **found;
        size_t n_found, n_allocated;
        size_t n_steps; /* what the last search looked at: a measure of its cost */
        void *scratch;
        size_t scratch_size;
};

int name_tree_new(struct name_tree **ret);
/* All names must be gone. Returns NULL. */
struct name_tree *name_tree_free(struct name_tree *tree);

/* One entry per name, one name per entry; the text is copied. -EEXIST, -ENOMEM: nothing changed. */
int name_tree_add(struct name_tree *tree, struct name_entry *entry, const char *name, size_t len);
/* An entry that is in no tree stays so. */
void name_tree_remove(struct name_tree *tree, struct name_entry *entry);

/* Fills set with the entry of every name that matches the mask, each once, in no particular order.
 * 0, or -ENOMEM (the set is then empty). */
int name_tree_match(const struct name_tree *tree, const char *mask, size_t len,
                    struct name_set *set);
/* Takes memory for a search that finds n names now. -ENOMEM. */
int name_set_reserve(struct name_set *set, size_t n);
void name_set_done(struct name_set *set);
