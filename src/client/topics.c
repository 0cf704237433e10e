/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Subscriptions and exclusions: lists of topics in one operation. A client that reconnects keeps
 * what is wished for, to ask for it again.
 */
#include "basic/utf8.h"
#include "client/internal.h"
#include "client/topic-mask.h"
#include "wire/frame.h"

/* Divided by 00, and with one behind the last that is not part of the length. */
static char *join(const char *const *topics, size_t n, size_t *ret_len)
{
        size_t len = 0;
        char *text, *p;

        for (size_t i = 0; i < n; i++) {
                if (!topics[i])
                        return errno = EINVAL, NULL;
                len += strlen(topics[i]) + 1;
        }
        p = text = malloc(len);
        if (!text)
                return NULL;
        for (size_t i = 0; i < n; i++)
                p = stpcpy(p, topics[i]) + 1;
        *ret_len = len - 1;
        return text;
}

/* --- For the next connection --- */

#define WARNINGS ".broker/warn" /* to which every client is subscribed from the start */
#define WISH_MAX 65535          /* bytes of a mask that is asked for again */

/* Operations go down: exclusions are there before what they take away from. */
int wish_compare(const struct wish *a, const struct wish *b)
{
        return a->op != b->op ? (a->op < b->op ? 1 : -1) : strcmp(a->topic, b->topic);
}

RB_GENERATE(wish_tree, wish, link, wish_compare)

/* What becomes of the wishes when the frame is sent: the memory is there before. */
struct wish_change {
        uint8_t op;
        size_t n;
        struct wish *wishes[];
};

static struct wish *wish_new(uint8_t op, const char *topic)
{
        size_t len = topic_mask_len(topic);
        struct wish *wish = malloc(sizeof(*wish) + len + 1);

        if (!wish)
                return NULL;
        wish->op = op;
        memcpy(wish->topic, topic, len);
        wish->topic[len] = '\0';
        return wish;
}

static void wish_change_free(struct wish_change *change)
{
        if (!change)
                return;
        for (size_t i = 0; i < change->n; i++)
                free(change->wishes[i]);
        free(change);
}

static void wish_change_freep(struct wish_change **change)
{
        wish_change_free(*change);
}

/* A mask that ends the connection would end each. */
static int wish_change_new(uint8_t op, const char *const *topics, size_t n,
                           struct wish_change **ret)
{
        _cleanup_(wish_change_freep) struct wish_change *change =
                n < SIZE_MAX / 16 ? malloc(sizeof(*change) + n * sizeof(change->wishes[0])) : NULL;

        if (!change)
                return -ENOMEM;
        change->op = op;
        for (change->n = 0; change->n < n; change->n++) {
                size_t len = strlen(topics[change->n]);

                if (len > WISH_MAX || !utf8_is_valid(topics[change->n], len))
                        return -EBADMSG;
                change->wishes[change->n] = wish_new(op, topics[change->n]);
                if (!change->wishes[change->n])
                        return -ENOMEM;
        }
        *ret = TAKE_PTR(change);
        return 0;
}

static void wish_drop(busrt_client *c, struct wish *like, uint8_t op)
{
        struct wish *old;

        like->op = op;
        old = RB_FIND(wish_tree, &c->wishes, like);
        if (old)
                RB_REMOVE(wish_tree, &c->wishes, old);
        free(old);
}

/* True: it is the client's now. */
static bool wish_keep(busrt_client *c, struct wish *wish, uint8_t op)
{
        wish->op = op;
        return !RB_INSERT(wish_tree, &c->wishes, wish);
}

static bool wish_apply(busrt_client *c, struct wish *wish, uint8_t op)
{
        bool warnings = strcmp(wish->topic, WARNINGS) == 0;

        switch (op) {
        case WIRE_OP_SUBSCRIBE:
                wish_drop(c, wish, WIRE_OP_UNSUBSCRIBE);
                return !warnings && wish_keep(c, wish, WIRE_OP_SUBSCRIBE);
        case WIRE_OP_UNSUBSCRIBE:
                wish_drop(c, wish, WIRE_OP_SUBSCRIBE);
                return warnings && wish_keep(c, wish, WIRE_OP_UNSUBSCRIBE);
        case WIRE_OP_EXCLUDE:
                return wish_keep(c, wish, WIRE_OP_EXCLUDE);
        default:
                wish_drop(c, wish, WIRE_OP_EXCLUDE);
                return false;
        }
}

void wish_change_apply(busrt_client *c, struct wish_change *change)
{
        for (size_t i = 0; i < change->n; i++)
                if (wish_apply(c, change->wishes[i], change->op))
                        change->wishes[i] = NULL;
}

void wishes_done(struct wish_tree *wishes)
{
        struct wish *wish;

        while ((wish = RB_ROOT(wishes))) {
                RB_REMOVE(wish_tree, wishes, wish);
                free(wish);
        }
}

/* --- Sending --- */

static int send_topics_locked(busrt_client *c, struct send *send, const char *const *topics,
                              size_t n, busrt_op **ret_op)
{
        _cleanup_(wish_change_freep) struct wish_change *change = NULL;
        int r = c->reconnect.limit > 0 && c->connecting.n_targets > 0
                        ? wish_change_new(send->op, topics, n, &change)
                        : 0;

        send->wish = change;
        return r < 0 ? r : send_operation_locked(c, send, ret_op);
}

static int send_topics(busrt_client *c, uint8_t op, const char *const *topics, size_t n,
                       unsigned qos, busrt_op **ret_op)
{
        struct send send = {.op = op, .qos = qos, .bare = true};
        _cleanup_free_ char *text = NULL;
        struct iovec iov;
        int r;

        if (!c)
                return -EINVAL;
        if (client_forked(c))
                return -ECHILD;
        if (!topics || n == 0)
                return -EINVAL;
        text = join(topics, n, &iov.iov_len);
        if (!text)
                return -errno;
        iov.iov_base = text;
        send.iov = &iov;
        send.n_iov = 1;
        r = client_lock(c);
        return r < 0 ? r : client_unlock(c, send_topics_locked(c, &send, topics, n, ret_op));
}

PUBLIC int busrt_client_subscribe(busrt_client *client, const char *const *topics, size_t n_topics,
                                  unsigned qos, busrt_op **ret_op)
{
        return send_topics(client, WIRE_OP_SUBSCRIBE, topics, n_topics, qos, ret_op);
}

PUBLIC int busrt_client_unsubscribe(busrt_client *client, const char *const *topics,
                                    size_t n_topics, unsigned qos, busrt_op **ret_op)
{
        return send_topics(client, WIRE_OP_UNSUBSCRIBE, topics, n_topics, qos, ret_op);
}

PUBLIC int busrt_client_exclude(busrt_client *client, const char *const *topics, size_t n_topics,
                                unsigned qos, busrt_op **ret_op)
{
        return send_topics(client, WIRE_OP_EXCLUDE, topics, n_topics, qos, ret_op);
}

PUBLIC int busrt_client_unexclude(busrt_client *client, const char *const *topics, size_t n_topics,
                                  unsigned qos, busrt_op **ret_op)
{
        return send_topics(client, WIRE_OP_UNEXCLUDE, topics, n_topics, qos, ret_op);
}
