/* SPDX-License-Identifier: Apache-2.0 */
/* Subscriptions and exclusions: lists of topics in one operation. */
#include "client/internal.h"
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

static int send_topics(busrt_client *c, uint8_t op, const char *const *topics, size_t n,
                       unsigned qos, busrt_op **ret_op)
{
        struct send send = {.op = op, .qos = qos, .bare = true};
        _cleanup_free_ char *text = NULL;
        struct iovec iov;

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
        return send_operation(c, &send, ret_op);
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
