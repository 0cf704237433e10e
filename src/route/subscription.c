/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree of masks as it grows and shrinks (subscription-tree.h says what it is made of). Whatever
 * takes memory is done first, what cannot fail last. A node that holds nothing any more is freed at
 * once. Every removal is one look-up in the table of subscriptions; the last receiver of the node
 * takes the place that became free.
 */
#include <assert.h>
#include <errno.h>

#include "basic/macro.h"
#include "route/mask.h"
#include "route/subscription-tree.h"

/* --- Nodes --- */

static bool mask_node_is_empty(const struct mask_node *n)
{
        return n->n_receivers == 0 && n->base.n_children == 0 && !n->any && !n->rest;
}

static void mask_node_free(struct mask_node *n)
{
        if (n->receivers_size > 0)
                free(n->receivers);
        free(n->mask);
        free(n);
}

static struct mask_node *mask_node_parent(const struct mask_node *n)
{
        return (struct mask_node *)n->base.parent;
}

static void mask_node_unlink(struct subscription_tree *tree, struct mask_node *n)
{
        struct mask_node *parent = mask_node_parent(n);

        if (parent->any == n) {
                parent->any = NULL;
        } else if (parent->rest == n) {
                parent->rest = NULL;
        } else {
                table_remove(&tree->children, &n->base.entry);
                parent->base.n_children--;
        }
}

/* Frees the node if it holds nothing any more, and then what held nothing but it. */
static void mask_node_prune(struct subscription_tree *tree, struct mask_node *n)
{
        while (n != tree->root && mask_node_is_empty(n)) {
                struct mask_node *parent = mask_node_parent(n);

                mask_node_unlink(tree, n);
                mask_node_free(n);
                n = parent;
        }
}

/* Where a direct pointer leads to the child by that part; NULL for a literal part. */
static struct mask_node **mask_node_slot(struct mask_node *n, const struct part *part)
{
        if (part_is(part, mask_topic.any))
                return &n->any;
        return part_is(part, mask_topic.rest) ? &n->rest : NULL;
}

static uint64_t mask_node_child_hash(const struct subscription_tree *tree,
                                     const struct mask_node *n, const struct part *part)
{
        return part_node_child_hash(&n->base, table_hash(&tree->children, part->text, part->len));
}

static struct mask_node *mask_node_child(const struct subscription_tree *tree, struct mask_node *n,
                                         const struct part *part)
{
        struct mask_node **slot = mask_node_slot(n, part);

        if (slot)
                return *slot;
        return (struct mask_node *)part_node_find(&tree->children, &n->base, part,
                                                  mask_node_child_hash(tree, n, part));
}

static struct mask_node *mask_node_add_child(struct subscription_tree *tree, struct mask_node *n,
                                             const struct part *part)
{
        struct mask_node **slot = mask_node_slot(n, part), *child;
        uint64_t hash = mask_node_child_hash(tree, n, part);

        child = (struct mask_node *)part_node_new(sizeof(*child), part);
        if (!child)
                return NULL;
        child->base.parent = &n->base;
        child->receivers = &child->receiver;
        if (slot) {
                child->base.entry.hash = hash;
                *slot = child;
        } else {
                table_insert(&tree->children, &child->base.entry, hash);
                n->base.n_children++;
        }
        return child;
}

/* The node at which this canonical mask ends; NULL if there is none. */
static struct mask_node *tree_find(const struct subscription_tree *tree, const char *mask,
                                   size_t len)
{
        struct part_cursor c = part_cursor_of(mask, len, mask_topic.separator);
        struct mask_node *n = tree->root;
        struct part part;

        while (n && part_next(&c, &part))
                n = mask_node_child(tree, n, &part);
        return n;
}

/* The same, made if need be. It may hold nothing: then the caller gives it something, or prunes. */
static int tree_find_or_make(struct subscription_tree *tree, const char *mask, size_t len,
                             struct mask_node **ret)
{
        struct part_cursor c = part_cursor_of(mask, len, mask_topic.separator);
        struct mask_node *n = tree->root, *child;
        struct part part;

        while (part_next(&c, &part)) {
                child = mask_node_child(tree, n, &part);
                if (!child)
                        child = mask_node_add_child(tree, n, &part);
                if (!child) {
                        mask_node_prune(tree, n);
                        return -ENOMEM;
                }
                n = child;
        }
        *ret = n;
        return 0;
}

/* --- Receivers of a node --- */

/* Room for one more, and the mask's text for the first. */
static int mask_node_reserve(struct mask_node *n, const char *mask, size_t len)
{
        if (!n->mask) {
                n->mask = malloc(len + 1);
                if (!n->mask)
                        return -ENOMEM;
                memcpy(n->mask, len ? mask : "", len);
                n->mask[len] = 0;
                n->mask_len = len;
        }
        if (n->n_receivers == 0)
                return 0;
        if (n->receivers_size == 0) {
                void *array = NULL;
                int r = pointers_grow(&array, &n->receivers_size, 2);

                if (r < 0)
                        return r;
                n->receivers = array;
                n->receivers[0] = n->receiver;
        }
        return pointers_reserve((void **)&n->receivers, &n->receivers_size, n->n_receivers + 1);
}

/* Gives back what is no longer needed: memory follows use. */
static void mask_node_shrink(struct mask_node *n)
{
        size_t wanted = n->n_receivers * 2 * sizeof(*n->receivers);
        void *smaller;

        if (n->receivers_size == 0 || wanted * 2 > n->receivers_size)
                return;
        if (n->n_receivers <= 1) {
                n->receiver = n->receivers[0];
                free(n->receivers);
                n->receivers = &n->receiver;
                n->receivers_size = 0;
                return;
        }
        smaller = realloc(n->receivers, wanted);
        if (!smaller)
                return;
        n->receivers = smaller;
        n->receivers_size = wanted;
}

static uint64_t subscription_hash(const struct subscription_tree *tree,
                                  const struct mask_node *node, const struct subscriber *s)
{
        const void *key[] = {node, s};

        return table_hash(&tree->subscriptions, key, sizeof(key));
}

static struct subscription *tree_subscription(const struct subscription_tree *tree,
                                              const struct mask_node *node,
                                              const struct subscriber *s)
{
        uint64_t hash = subscription_hash(tree, node, s);
        struct table_node *entry;

        table_foreach (entry, &tree->subscriptions, hash) {
                struct subscription *sub = container_of(entry, struct subscription, entry);

                if (sub->node == node && sub->subscriber == s)
                        return sub;
        }
        return NULL;
}

/* The last receiver takes the place of the one that leaves. */
static void mask_node_remove_receiver(struct subscription_tree *tree, struct mask_node *n,
                                      size_t index)
{
        struct subscriber *last = n->receivers[--n->n_receivers];

        if (index < n->n_receivers) {
                tree_subscription(tree, n, last)->index = index;
                n->receivers[index] = last;
        }
        mask_node_shrink(n);
}

static void subscription_free(struct subscription_tree *tree, struct subscription *sub)
{
        struct mask_node *node = sub->node;

        mask_node_remove_receiver(tree, node, sub->index);
        if (node->n_receivers == 0) {
                free(node->mask);
                node->mask = NULL;
        }
        mask_node_prune(tree, node);
        table_remove(&tree->subscriptions, &sub->entry);
        LIST_REMOVE(sub, link);
        sub->subscriber->n_subscriptions--;
        tree->version++;
        free(sub);
}

/* The node has room. */
static void subscription_link(struct subscription_tree *tree, struct subscription *sub,
                              struct mask_node *node, struct subscriber *s)
{
        sub->node = node;
        sub->subscriber = s;
        sub->index = node->n_receivers;
        node->receivers[node->n_receivers++] = s;
        table_insert(&tree->subscriptions, &sub->entry, subscription_hash(tree, node, s));
        LIST_INSERT_HEAD(&s->subscriptions, sub, link);
        s->n_subscriptions++;
        tree->version++;
}

static int node_subscribe(struct subscription_tree *tree, struct mask_node *node,
                          struct subscriber *s, const char *mask, size_t len)
{
        _cleanup_free_ struct subscription *sub = NULL;
        int r;

        if (tree_subscription(tree, node, s))
                return 0;
        sub = malloc(sizeof(*sub));
        if (!sub)
                return -ENOMEM;
        r = mask_node_reserve(node, mask, len);
        if (r < 0)
                return r;
        subscription_link(tree, TAKE_PTR(sub), node, s);
        return 1;
}

/* --- The tree --- */

int subscription_tree_new(struct subscription_tree **ret)
{
        _cleanup_free_ struct subscription_tree *tree = calloc(1, sizeof(*tree));

        if (!tree)
                return -ENOMEM;
        tree->root = calloc(1, sizeof(*tree->root));
        if (!tree->root)
                return -ENOMEM;
        table_init(&tree->children);
        table_init(&tree->subscriptions);
        tree->version = 1;
        *ret = TAKE_PTR(tree);
        return 0;
}

struct subscription_tree *subscription_tree_free(struct subscription_tree *tree)
{
        if (!tree)
                return NULL;
        assert(subscription_tree_is_empty(tree));
        assert(mask_node_is_empty(tree->root));
        table_done(&tree->children);
        table_done(&tree->subscriptions);
        free(tree->root);
        free(tree);
        return NULL;
}

bool subscription_tree_is_empty(const struct subscription_tree *tree)
{
        return tree->subscriptions.n_entries == 0;
}

uint64_t subscription_tree_version(const struct subscription_tree *tree)
{
        return tree->version;
}

/* --- Subscribers --- */

void subscriber_init(struct subscriber *s)
{
        LIST_INIT(&s->subscriptions);
        s->n_subscriptions = 0;
}

int subscription_add(struct subscription_tree *tree, struct subscriber *s, const char *mask,
                     size_t len)
{
        struct mask_node *node;
        int r;

        len = mask_canonical_len(&mask_topic, mask, len);
        r = tree_find_or_make(tree, mask, len, &node);
        if (r < 0)
                return r;
        r = node_subscribe(tree, node, s, mask, len);
        if (r < 0 && node->n_receivers == 0) {
                free(node->mask);
                node->mask = NULL;
                mask_node_prune(tree, node);
        }
        return r;
}

static struct subscription *subscription_find(const struct subscription_tree *tree,
                                              const struct subscriber *s, const char *mask,
                                              size_t len)
{
        const struct mask_node *node =
                tree_find(tree, mask, mask_canonical_len(&mask_topic, mask, len));

        return node ? tree_subscription(tree, node, s) : NULL;
}

int subscription_remove(struct subscription_tree *tree, struct subscriber *s, const char *mask,
                        size_t len)
{
        struct subscription *sub = subscription_find(tree, s, mask, len);

        if (!sub)
                return 0;
        subscription_free(tree, sub);
        return 1;
}

bool subscription_exists(const struct subscription_tree *tree, const struct subscriber *s,
                         const char *mask, size_t len)
{
        return subscription_find(tree, s, mask, len) != NULL;
}

void subscription_remove_all(struct subscription_tree *tree, struct subscriber *s)
{
        while (!LIST_EMPTY(&s->subscriptions))
                subscription_free(tree, LIST_FIRST(&s->subscriptions));
}

void subscription_retain(struct subscription_tree *tree, struct subscriber *s,
                         bool (*keep)(const char *mask, size_t len, void *userdata), void *userdata)
{
        struct subscription *sub, *next;

        LIST_FOREACH_SAFE (sub, &s->subscriptions, link, next)
                if (!keep(sub->node->mask, sub->node->mask_len, userdata))
                        subscription_free(tree, sub);
}

int subscription_foreach(const struct subscriber *s,
                         int (*fn)(const char *mask, size_t len, void *userdata), void *userdata)
{
        struct subscription *sub;
        int r;

        LIST_FOREACH (sub, &s->subscriptions, link) {
                r = fn(sub->node->mask, sub->node->mask_len, userdata);
                if (r != 0)
                        return r;
        }
        return 0;
}
