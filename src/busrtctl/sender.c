/* SPDX-License-Identifier: Apache-2.0 */
#include "busrtctl/sender.h"

#include <errno.h>
#include <stdbool.h>

static int start(struct sender *sender, const struct iovec *payload, unsigned qos, busrt_op **ret)
{
        switch (sender->verb) {
        case SENDER_SEND:
                return busrt_client_send(sender->client, sender->target, payload, 1, qos, ret);
        case SENDER_BROADCAST:
                return busrt_client_broadcast(sender->client, sender->target, payload, 1, qos, ret);
        case SENDER_PUBLISH:
                break;
        }
        if (sender->receiver)
                return busrt_client_publish_for(sender->client, sender->target, sender->receiver,
                                                payload, 1, qos, ret);
        return busrt_client_publish(sender->client, sender->target, payload, 1, qos, ret);
}

/* The oldest operation: its result, and it is forgotten. -EINPROGRESS: not without waiting. */
static int collect_first(struct sender *sender, bool wait)
{
        busrt_op *op = sender->ops[sender->first];
        int r = wait ? busrt_op_wait(op, BUSRT_TIMEOUT_DEFAULT) : busrt_op_result(op);

        if (r == -EINPROGRESS)
                return r;
        busrt_op_unref(op);
        sender->first = (sender->first + 1) % SENDER_WINDOW;
        sender->n_ops--;
        return r;
}

int sender_collect(struct sender *sender, int wait)
{
        while (sender->n_ops > 0) {
                int r = collect_first(sender, wait);

                if (r == -EINPROGRESS)
                        return 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

int sender_send(struct sender *sender, const char *payload, size_t len, int ack)
{
        struct iovec iov = {.iov_base = (void *)payload, .iov_len = len};
        unsigned qos = sender->qos | (ack ? BUSRT_QOS_PROCESSED : 0);
        busrt_op *op = NULL;
        int r;

        if (!(qos & BUSRT_QOS_PROCESSED))
                return start(sender, &iov, qos, NULL);
        if (sender->n_ops == SENDER_WINDOW) {
                r = collect_first(sender, true);
                if (r < 0)
                        return r;
        }
        r = start(sender, &iov, qos, &op);
        if (r < 0)
                return r;
        sender->ops[(sender->first + sender->n_ops++) % SENDER_WINDOW] = op;
        return 0;
}

void sender_done(struct sender *sender)
{
        while (sender->n_ops > 0) {
                busrt_op_unref(sender->ops[sender->first]);
                sender->first = (sender->first + 1) % SENDER_WINDOW;
                sender->n_ops--;
        }
}
