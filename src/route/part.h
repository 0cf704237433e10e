/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the matchers of this room share, and nobody outside it: a cursor over the parts of a text,
 * the base of the nodes of both trees, and arrays of pointers that grow.
 *
 * A tree keeps the literal children of all of its nodes in one hash table, keyed by parent and
 * part. A node without children costs nothing for having none, and a step down is one look-up
 * however many children there are.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "basic/table.h"

struct part {
        const char *text;
        size_t len;
};

struct part_cursor {
        const char *next; /* NULL: all parts were given out */
        const char *end;
        char separator;
};

/* A text of no bytes has one part, which is empty. */
static inline struct part_cursor part_cursor_of(const char *text, size_t len, char separator)
{
        const char *start = text ? text : "";

        return (struct part_cursor){.next = start, .end = start + len, .separator = separator};
}

/* The next part; false after the last. */
static inline bool part_next(struct part_cursor *c, struct part *ret)
{
        const char *stop;

        if (!c->next)
                return false;
        stop = memchr(c->next, c->separator, (size_t)(c->end - c->next));
        *ret = (struct part){c->next, (size_t)((stop ? stop : c->end) - c->next)};
        c->next = stop ? stop + 1 : NULL;
        return true;
}

static inline bool part_is(const struct part *p, char word)
{
        return p->len == 1 && *p->text == word;
}

static inline bool part_equal(const struct part *a, const struct part *b)
{
        return a->len == b->len && memcmp(a->text, b->text, a->len) == 0;
}

struct part_node {
        struct table_node
                entry; /* in the tree's table of children, unless a direct pointer leads here */
        struct part_node *parent; /* NULL: the root */
        struct part part;
        size_t n_children; /* those in the table */
};

/* The place of a child in the table, by the hash of its part. The parent's own hash stands for the
 * path so far. Both come from a keyed hash, and the product does not commute, so that no peer can
 * pick paths that collide. */
static inline uint64_t part_node_child_hash(const struct part_node *parent, uint64_t part_hash)
{
        uint64_t x = (parent->entry.hash ^ part_hash) * UINT64_C(0x9e3779b97f4a7c15);

        return x ^ (x >> 32);
}

/* The child, or NULL. hash is part_node_child_hash(). */
static inline struct part_node *part_node_find(const struct table *children,
                                               const struct part_node *parent,
                                               const struct part *part, uint64_t hash)
{
        struct table_node *entry;

        table_foreach (entry, children, hash) {
                struct part_node *n = (struct part_node *)entry; /* its first member */

                if (n->parent == parent && part_equal(&n->part, part))
                        return n;
        }
        return NULL;
}

/* A zeroed node of that size, which begins with a part_node, and a copy of the part behind it. */
struct part_node *part_node_new(size_t size, const struct part *part);

/* Makes room for `wanted` pointers, at least doubling. *size counts bytes. 0 or -ENOMEM: nothing
 * changed. */
int pointers_grow(void **items, size_t *size, size_t wanted);

static inline int pointers_reserve(void **items, size_t *size, size_t wanted)
{
        return wanted <= *size / sizeof(void *) ? 0 : pointers_grow(items, size, wanted);
}
