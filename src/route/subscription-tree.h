/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a tree of masks is made of, for the two files that build it and search it.
 *
 * A node stands for a mask's parts up to it. The literal children of all nodes are in one table
 * (part.h), `+` and `#` are direct pointers. A node at which masks end holds their subscribers as a
 * dense array, so that a search copies them in one go, and the text of the mask, once for all of
 * them. A second table knows each subscription by node and subscriber, and so which place in the
 * array is whose.
 */
#pragma once

#include "basic/table.h"
#include "route/part.h"
#include "route/subscription.h"

struct mask_node {
        struct part_node base;
        struct mask_node *any, *rest;
        struct subscriber **receivers; /* an array, or &receiver for one */
        struct subscriber *receiver;
        size_t n_receivers;
        size_t receivers_size; /* in bytes, 0 for &receiver */
        char *mask;            /* the canonical text while there are receivers */
        size_t mask_len;
};

struct subscription {
        LIST_ENTRY(subscription) link; /* of its subscriber */
        struct table_node entry;       /* by node and subscriber */
        struct mask_node *node;
        struct subscriber *subscriber;
        size_t index; /* in node->receivers */
};

struct subscription_tree {
        struct table children;
        struct table subscriptions;
        struct mask_node *root;
        uint64_t version;
};
