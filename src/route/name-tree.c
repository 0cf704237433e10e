/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree of names. A node stands for a name's parts up to it. A literal part of a mask leads to
 * one child by the table of children (part.h), `?` to all of them by the list that every node has
 * of its own, `*` to all that is below, which is walked along these lists without a stack.
 *
 * A search goes level by level like that of subscription-match.c. One path only leads to a node,
 * and a node has one entry, so nothing is found twice.
 */
#include <assert.h>
#include <bsd/sys/queue.h>
#include <errno.h>

#include "basic/macro.h"
#include "route/mask.h"
#include "route/name-tree.h"
#include "route/part.h"

LIST_HEAD(name_list, name_node);

struct name_node {
        struct part_node base;
        struct name_entry *entry; /* NULL: names only go through here */
        struct name_list children;
        LIST_ENTRY(name_node) sibling;
};

struct name_tree {
        struct table children;
        struct name_node *root;
};

static struct name_node *name_node_parent(const struct name_node *n)
{
        return (struct name_node *)n->base.parent;
}

static struct name_node *name_node_child(const struct name_tree *tree, const struct name_node *n,
                                         const struct part *part, uint64_t hash)
{
        return (struct name_node *)part_node_find(&tree->children, &n->base, part, hash);
}

static struct name_node *name_node_add_child(struct name_tree *tree, struct name_node *n,
                                             const struct part *part, uint64_t hash)
{
        struct name_node *child = (struct name_node *)part_node_new(sizeof(*child), part);

        if (!child)
                return NULL;
        child->base.parent = &n->base;
        table_insert(&tree->children, &child->base.entry, hash);
        LIST_INSERT_HEAD(&n->children, child, sibling);
        n->base.n_children++;
        return child;
}

/* Frees the node if it holds nothing any more, and then what held nothing but it. */
static void name_node_prune(struct name_tree *tree, struct name_node *n)
{
        while (n != tree->root && n->base.n_children == 0 && !n->entry) {
                struct name_node *parent = name_node_parent(n);

                table_remove(&tree->children, &n->base.entry);
                LIST_REMOVE(n, sibling);
                parent->base.n_children--;
                free(n);
                n = parent;
        }
}

int name_tree_new(struct name_tree **ret)
{
        _cleanup_free_ struct name_tree *tree = calloc(1, sizeof(*tree));

        if (!tree)
                return -ENOMEM;
        tree->root = calloc(1, sizeof(*tree->root));
        if (!tree->root)
                return -ENOMEM;
        table_init(&tree->children);
        *ret = TAKE_PTR(tree);
        return 0;
}

struct name_tree *name_tree_free(struct name_tree *tree)
{
        if (!tree)
                return NULL;
        assert(tree->children.n_entries == 0);
        table_done(&tree->children);
        free(tree->root);
        free(tree);
        return NULL;
}

int name_tree_add(struct name_tree *tree, struct name_entry *entry, const char *name, size_t len)
{
        struct part_cursor c = part_cursor_of(name, len, mask_name.separator);
        struct name_node *n = tree->root, *child;
        struct part part;
        uint64_t hash;

        assert(!entry->node);
        while (part_next(&c, &part)) {
                hash = table_hash(&tree->children, part.text, part.len);
                hash = part_node_child_hash(&n->base, hash);
                child = name_node_child(tree, n, &part, hash);
                if (!child)
                        child = name_node_add_child(tree, n, &part, hash);
                if (!child) {
                        name_node_prune(tree, n);
                        return -ENOMEM;
                }
                n = child;
        }
        if (n->entry)
                return -EEXIST;
        n->entry = entry;
        entry->node = n;
        return 0;
}

void name_tree_remove(struct name_tree *tree, struct name_entry *entry)
{
        struct name_node *n = TAKE_PTR(entry->node);

        if (!n)
                return;
        n->entry = NULL;
        name_node_prune(tree, n);
}

/* --- Search --- */

struct search {
        const struct name_tree *tree;
        struct name_set *set;
        size_t begin, end; /* the queue, in set->scratch */
};

static struct name_node **search_queue(const struct search *s)
{
        return s->set->scratch;
}

static int search_reserve(struct search *s, size_t n_more)
{
        return pointers_reserve(&s->set->scratch, &s->set->scratch_size, s->end + n_more);
}

static int search_take(struct search *s, const struct name_node *n)
{
        struct name_set *set = s->set;
        size_t size = set->n_allocated * sizeof(*set->found);
        int r;

        if (!n->entry)
                return 0;
        r = pointers_reserve((void **)&set->found, &size, set->n_found + 1);
        if (r < 0)
                return r;
        set->n_allocated = size / sizeof(*set->found);
        set->found[set->n_found++] = n->entry;
        return 0;
}

/* The node after n in the walk through all that is below top; NULL at its end. */
static struct name_node *name_node_below(const struct name_node *top, const struct name_node *n)
{
        if (!LIST_EMPTY(&n->children))
                return LIST_FIRST(&n->children);
        while (n != top && !LIST_NEXT(n, sibling))
                n = name_node_parent(n);
        return n == top ? NULL : LIST_NEXT(n, sibling);
}

static int search_take_below(struct search *s, const struct name_node *top)
{
        int r = 0;

        for (const struct name_node *n = top; r == 0 && (n = name_node_below(top, n));) {
                s->set->n_steps++;
                r = search_take(s, n);
        }
        return r;
}

/* All children of a node. Those without children of their own are of no use unless this is the last
 * part. */
static int search_push_children(struct search *s, const struct name_node *n, bool last)
{
        struct name_node *child;
        int r;

        s->set->n_steps += n->base.n_children;
        r = search_reserve(s, n->base.n_children);
        if (r < 0)
                return r;
        LIST_FOREACH (child, &n->children, sibling)
                if (last || child->base.n_children > 0)
                        search_queue(s)[s->end++] = child;
        return 0;
}

static int search_push_child(struct search *s, const struct name_node *n, const struct part *part,
                             uint64_t part_hash)
{
        struct name_node *child;
        int r;

        if (n->base.n_children == 0)
                return 0;
        r = search_reserve(s, 1);
        if (r < 0)
                return r;
        child = name_node_child(s->tree, n, part, part_node_child_hash(&n->base, part_hash));
        if (child)
                search_queue(s)[s->end++] = child;
        return 0;
}

/* Goes on from all nodes of this level by one part of the mask. */
static int search_level(struct search *s, const struct part *part, bool last)
{
        uint64_t hash = table_hash(&s->tree->children, part->text, part->len);
        size_t level_end = s->end;
        int r = 0;

        while (r == 0 && s->begin < level_end) {
                const struct name_node *n = search_queue(s)[s->begin++];

                if (part_is(part, mask_name.rest))
                        r = search_take_below(s, n);
                else if (part_is(part, mask_name.any))
                        r = search_push_children(s, n, last);
                else
                        r = search_push_child(s, n, part, hash);
        }
        return r;
}

static int search_run(struct search *s, const char *mask, size_t len)
{
        struct part_cursor c = part_cursor_of(mask, len, mask_name.separator);
        struct part part;
        int r;

        r = search_reserve(s, 1);
        if (r < 0)
                return r;
        search_queue(s)[s->end++] = s->tree->root;
        while (r == 0 && s->begin < s->end && part_next(&c, &part))
                r = search_level(s, &part, !c.next);
        for (; r == 0 && s->begin < s->end; s->begin++)
                r = search_take(s, search_queue(s)[s->begin]);
        return r;
}

int name_tree_match(const struct name_tree *tree, const char *mask, size_t len,
                    struct name_set *set)
{
        struct search s = {.tree = tree, .set = set};
        int r;

        set->n_found = set->n_steps = 0;
        r = search_run(&s, mask, len);
        set->n_steps += s.end;
        if (r < 0)
                set->n_found = 0;
        return r;
}

int name_set_reserve(struct name_set *set, size_t n)
{
        size_t size = set->n_allocated * sizeof(*set->found);
        int r = pointers_reserve((void **)&set->found, &size, n);

        set->n_allocated = size / sizeof(*set->found);
        return r < 0 ? r : pointers_reserve(&set->scratch, &set->scratch_size, 2 * n);
}

void name_set_done(struct name_set *set)
{
        free(set->found);
        free(set->scratch);
        *set = (struct name_set){0};
}
