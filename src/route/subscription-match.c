/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Searches the tree of masks for those that match a topic.
 *
 * It goes level by level. Its queue holds the nodes that the topic's parts so far have led to; for
 * each part the nodes at the front are taken off, and what the part leads to from them is put on at
 * the end. One path only leads to a node, so the queue is never longer than the tree is large.
 *
 * Only if more than one node had subscribers can one of them be there twice. Few are compared with
 * each other, more go through a hash set in the memory that was the queue's.
 */
#include "basic/macro.h"
#include "route/mask.h"
#include "route/subscription-tree.h"

#define FEW_RECEIVERS 16

struct search {
        const struct subscription_tree *tree;
        struct match_set *set;
        size_t begin, end; /* the queue, in set->scratch */
        size_t n_nodes;    /* those that had subscribers */
        bool any;          /* one is enough, and who they are is of no interest */
};

/* Takes over the subscribers of a node at which a matching mask ends. */
static int search_take(struct search *s, const struct mask_node *n)
{
        struct match_set *set = s->set;
        size_t size = set->n_allocated * sizeof(*set->found);
        int r;

        s->n_nodes++;
        if (s->any)
                return 0;
        r = pointers_reserve((void **)&set->found, &size, set->n_found + n->n_receivers);
        if (r < 0)
                return r;
        set->n_allocated = size / sizeof(*set->found);
        memcpy(set->found + set->n_found, n->receivers, n->n_receivers * sizeof(*n->receivers));
        set->n_found += n->n_receivers;
        return 0;
}

static void search_push(struct search *s, struct mask_node *n)
{
        struct mask_node **queue = s->set->scratch;

        queue[s->end++] = n;
}

/* Goes on from all nodes of this level by one part. Each leads to two others at most. */
static int search_level(struct search *s, const struct part *part)
{
        const struct subscription_tree *tree = s->tree;
        size_t level_end = s->end;
        uint64_t part_hash = 0;
        bool hashed = false;
        int r;

        r = pointers_reserve(&s->set->scratch, &s->set->scratch_size,
                             s->end + 2 * (s->end - s->begin));
        while (r == 0 && s->begin < level_end) {
                struct mask_node *n = ((struct mask_node **)s->set->scratch)[s->begin++];
                struct part_node *child = NULL;

                if (n->rest)
                        r = search_take(s, n->rest);
                if (n->any)
                        search_push(s, n->any);
                if (n->base.n_children == 0)
                        continue;
                if (!hashed)
                        part_hash = table_hash(&tree->children, part->text, part->len);
                hashed = true;
                child = part_node_find(&tree->children, &n->base, part,
                                       part_node_child_hash(&n->base, part_hash));
                if (child)
                        search_push(s, (struct mask_node *)child);
        }
        return r;
}

static int search_run(struct search *s, const char *topic, size_t len)
{
        struct part_cursor c = part_cursor_of(topic, len, mask_topic.separator);
        struct part part;
        int r;

        r = pointers_reserve(&s->set->scratch, &s->set->scratch_size, 1);
        if (r < 0)
                return r;
        search_push(s, s->tree->root);
        while (s->begin < s->end && part_next(&c, &part)) {
                r = search_level(s, &part);
                if (r < 0 || (s->any && s->n_nodes > 0))
                        return r;
        }
        for (; r == 0 && s->begin < s->end; s->begin++) {
                struct mask_node *n = ((struct mask_node **)s->set->scratch)[s->begin];

                if (n->n_receivers > 0)
                        r = search_take(s, n);
        }
        return r;
}

static void match_set_unite_few(struct match_set *set)
{
        size_t n = 0;

        for (size_t i = 0; i < set->n_found; i++) {
                size_t j = 0;

                while (j < n && set->found[j] != set->found[i])
                        j++;
                if (j == n)
                        set->found[n++] = set->found[i];
        }
        set->n_found = n;
}

static int match_set_unite_many(struct match_set *set)
{
        unsigned bits = 64 - (unsigned)__builtin_clzll(set->n_found * 2);
        size_t n_slots = (size_t)1 << bits, n = 0;
        struct subscriber **slots;
        int r;

        r = pointers_reserve(&set->scratch, &set->scratch_size, n_slots);
        if (r < 0)
                return r;
        slots = set->scratch;
        memset(slots, 0, n_slots * sizeof(*slots));
        for (size_t i = 0; i < set->n_found; i++) {
                struct subscriber *s = set->found[i];
                size_t at = ((uint64_t)(uintptr_t)s * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - bits);

                while (slots[at] && slots[at] != s)
                        at = (at + 1) & (n_slots - 1);
                if (!slots[at])
                        set->found[n++] = slots[at] = s;
        }
        set->n_found = n;
        return 0;
}

int subscription_match(const struct subscription_tree *tree, const char *topic, size_t len,
                       struct match_set *set)
{
        struct search s = {.tree = tree, .set = set};
        int r;

        set->n_found = 0;
        r = search_run(&s, topic, len);
        set->n_steps = s.end + set->n_found;
        if (r == 0 && s.n_nodes > 1) {
                if (set->n_found <= FEW_RECEIVERS)
                        match_set_unite_few(set);
                else
                        r = match_set_unite_many(set);
        }
        if (r < 0)
                set->n_found = 0;
        return r;
}

int subscription_match_any(const struct subscription_tree *tree, const char *topic, size_t len,
                           struct match_set *set)
{
        struct search s = {.tree = tree, .set = set, .any = true};
        int r = search_run(&s, topic, len);

        set->n_steps = s.end;
        return r < 0 ? r : s.n_nodes > 0;
}

/* To unite so many takes the most of the scratch. */
int match_set_reserve(struct match_set *set, size_t n)
{
        size_t size = set->n_allocated * sizeof(*set->found);
        int r = pointers_reserve((void **)&set->found, &size, n);

        set->n_allocated = size / sizeof(*set->found);
        return r < 0 ? r : pointers_reserve(&set->scratch, &set->scratch_size, 4 * n);
}

void match_set_done(struct match_set *set)
{
        free(set->found);
        free(set->scratch);
        *set = (struct match_set){0};
}
