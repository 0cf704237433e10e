/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handlers of publications: those of topics in a hash table, those of masks in an array, the most
 * specific first, so that the first that matches is the one.
 *
 * A handler is counted: one reference of the table, and one of the dispatcher while it runs, since
 * it may be removed meanwhile.
 */
#include <busrt/topics.h>

#include "basic/table.h"
#include "basic/utf8.h"
#include "client/internal.h"
#include "client/topic-mask.h"

#define MASKS_MIN 8

struct topic_handler {
        struct table_node node; /* of a topic without '+' and '#' */
        atomic_uint refs;
        busrt_topic_handler call;
        void *userdata;
        bool literal;
        char mask[];
};

struct topic_handlers {
        struct table literals;
        struct topic_handler **masks;
        size_t n_masks, size;
};

/* --- A handler --- */

static struct topic_handler *handler_new(const char *mask, busrt_topic_handler call, void *userdata)
{
        size_t len = topic_mask_len(mask);
        struct topic_handler *h = malloc(sizeof(*h) + len + 1);

        if (!h)
                return NULL;
        *h = (struct topic_handler){
                .call = call, .userdata = userdata, .literal = topic_mask_is_literal(mask)};
        atomic_init(&h->refs, 1);
        memcpy(h->mask, mask, len);
        h->mask[len] = '\0';
        return h;
}

static struct topic_handler *handler_ref(struct topic_handler *h)
{
        if (h)
                atomic_fetch_add_explicit(&h->refs, 1, memory_order_relaxed);
        return h;
}

static void handler_unrefp(struct topic_handler **h)
{
        if (*h && atomic_fetch_sub_explicit(&(*h)->refs, 1, memory_order_acq_rel) == 1)
                free(*h);
}

/* --- The table. The client is locked. --- */

static struct topic_handler *literal_find(const struct topic_handlers *t, const char *topic)
{
        uint64_t hash = table_hash(&t->literals, topic, strlen(topic));
        struct table_node *node;

        table_foreach (node, &t->literals, hash)
                if (strcmp(container_of(node, struct topic_handler, node)->mask, topic) == 0)
                        return container_of(node, struct topic_handler, node);
        return NULL;
}

/* Where the mask is, or would be. */
static size_t mask_place(const struct topic_handlers *t, const char *mask)
{
        size_t low = 0, high = t->n_masks;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (topic_mask_compare(t->masks[middle]->mask, mask) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

/* The handler of just this topic or mask. */
static struct topic_handler *handlers_get(const struct topic_handlers *t, const char *mask)
{
        size_t i;

        if (!t)
                return NULL;
        if (topic_mask_is_literal(mask))
                return literal_find(t, mask);
        i = mask_place(t, mask);
        return i < t->n_masks && topic_mask_compare(t->masks[i]->mask, mask) == 0 ? t->masks[i]
                                                                                  : NULL;
}

/* The handler for a publication. */
static struct topic_handler *handlers_find(const struct topic_handlers *t, const char *topic)
{
        struct topic_handler *h;

        if (!t)
                return NULL;
        h = t->literals.n_entries > 0 ? literal_find(t, topic) : NULL;
        for (size_t i = 0; !h && i < t->n_masks; i++)
                if (topic_mask_matches(t->masks[i]->mask, topic))
                        h = t->masks[i];
        return h;
}

static int mask_insert(struct topic_handlers *t, struct topic_handler *h)
{
        size_t i = mask_place(t, h->mask);

        if (t->n_masks == t->size) {
                size_t size = MAX(t->size * 2, (size_t)MASKS_MIN);
                struct topic_handler **masks =
                        reallocarray(t->masks, size, sizeof(struct topic_handler *));

                if (!masks)
                        return -ENOMEM;
                t->masks = masks;
                t->size = size;
        }
        memmove(t->masks + i + 1, t->masks + i, (t->n_masks - i) * sizeof(struct topic_handler *));
        t->masks[i] = h;
        t->n_masks++;
        return 0;
}

static void handlers_remove(struct topic_handlers *t, struct topic_handler *h)
{
        if (h->literal)
                table_remove(&t->literals, &h->node);
        else {
                size_t i = mask_place(t, h->mask);

                t->n_masks--;
                memmove(t->masks + i, t->masks + i + 1,
                        (t->n_masks - i) * sizeof(struct topic_handler *));
        }
        handler_unrefp(&h);
}

void topic_handlers_free(struct topic_handlers *t)
{
        struct table_node *node;

        if (!t)
                return;
        while ((node = table_walk(&t->literals, NULL)))
                handlers_remove(t, container_of(node, struct topic_handler, node));
        while (t->n_masks > 0)
                handlers_remove(t, t->masks[t->n_masks - 1]);
        table_done(&t->literals);
        free(t->masks);
        free(t);
}

static int handlers_make(busrt_client *c)
{
        if (c->topics)
                return 0;
        c->topics = calloc(1, sizeof(*c->topics));
        if (!c->topics)
                return -ENOMEM;
        table_init(&c->topics->literals);
        return 0;
}

static int handlers_add(busrt_client *c, struct topic_handler *h)
{
        int r = handlers_make(c);

        if (r == 0 && handlers_get(c->topics, h->mask))
                r = -EEXIST;
        if (r == 0 && !h->literal)
                r = mask_insert(c->topics, h);
        if (r < 0)
                return r;
        if (h->literal)
                table_insert(&c->topics->literals, &h->node,
                             table_hash(&c->topics->literals, h->mask, strlen(h->mask)));
        handler_ref(h);
        atomic_fetch_add(&c->handlers_version, 1);
        /* Publications take no memory to be sorted. */
        (void)frames_sort_again(c);
        return 0;
}

/* --- Publications --- */

bool topic_handlers_any(const busrt_client *c)
{
        return c->topics && (c->topics->n_masks > 0 || c->topics->literals.n_entries > 0);
}

bool topic_handlers_want(const busrt_client *c, const busrt_frame *frame)
{
        return frame->kind == BUSRT_KIND_PUBLICATION && handlers_find(c->topics, frame->topic);
}

bool topic_handlers_run(busrt_client *c, busrt_frame *frame)
{
        _cleanup_(handler_unrefp) struct topic_handler *h = NULL;

        pthread_mutex_lock(&c->lock);
        h = handler_ref(handlers_find(c->topics, frame->topic));
        pthread_mutex_unlock(&c->lock);
        if (h)
                h->call(c, frame, h->mask, h->userdata);
        return h != NULL;
}

/* --- Setting them --- */

static bool mask_is_valid(const char *mask)
{
        return mask && utf8_is_valid(mask, strlen(mask));
}

static int add(busrt_client *c, const char *mask, busrt_topic_handler call, void *userdata,
               struct topic_handler **ret)
{
        _cleanup_(handler_unrefp) struct topic_handler *h = NULL;
        int r = client_lock(c);

        if (r < 0)
                return r;
        if (!mask_is_valid(mask) || !call)
                return client_unlock(c, -EINVAL);
        h = handler_new(mask, call, userdata);
        r = h ? handlers_add(c, h) : -ENOMEM;
        if (r == 0 && ret)
                *ret = TAKE_PTR(h);
        return client_unlock(c, r);
}

/* The handler of that mask, if it is this one still (NULL: whichever). */
static int take_away(busrt_client *c, const char *mask, const struct topic_handler *only)
{
        struct topic_handler *h;
        int r = client_lock(c);

        if (r < 0)
                return r;
        if (!mask_is_valid(mask))
                return client_unlock(c, -EINVAL);
        h = handlers_get(c->topics, mask);
        if (!h || (only && h != only))
                return client_unlock(c, -ENOENT);
        handlers_remove(c->topics, h);
        atomic_fetch_add(&c->handlers_version, 1);
        (void)frames_sort_again(c);
        return client_unlock(c, 0);
}

PUBLIC int busrt_client_add_topic_handler(busrt_client *client, const char *mask,
                                          busrt_topic_handler handler, void *userdata)
{
        return add(client, mask, handler, userdata, NULL);
}

PUBLIC int busrt_client_remove_topic_handler(busrt_client *client, const char *mask)
{
        return take_away(client, mask, NULL);
}

PUBLIC int busrt_client_subscribe_handler(busrt_client *client, const char *mask,
                                          busrt_topic_handler handler, void *userdata, unsigned qos,
                                          busrt_op **ret_op)
{
        _cleanup_(handler_unrefp) struct topic_handler *h = NULL;
        int r = add(client, mask, handler, userdata, &h);

        if (r < 0)
                return r;
        /* First the handler: the first publication may come before the acknowledgement. */
        r = busrt_client_subscribe(client, &mask, 1, qos, ret_op);
        if (r < 0)
                (void)take_away(client, mask, h);
        /* A client that reconnects would ask for it again. */
        if (r == -ECONNRESET)
                (void)busrt_client_unsubscribe(client, &mask, 1, BUSRT_QOS_NO, NULL);
        return r;
}

PUBLIC int busrt_client_unsubscribe_handler(busrt_client *client, const char *mask, unsigned qos,
                                            busrt_op **ret_op)
{
        _cleanup_(handler_unrefp) struct topic_handler *h = NULL;
        int r = client_lock(client);

        if (r < 0)
                return r;
        if (!mask_is_valid(mask))
                return client_unlock(client, -EINVAL);
        h = handler_ref(handlers_get(client->topics, mask));
        r = client_unlock(client, h ? 0 : -ENOENT);
        if (r == 0)
                r = busrt_client_unsubscribe(client, &mask, 1, qos, ret_op);
        if (r == 0)
                (void)take_away(client, mask, h);
        return r;
}
