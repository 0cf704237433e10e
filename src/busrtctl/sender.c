/* SPDX-License-Identifier: Apache-2.0 */
#include "busrtctl/sender.h"

#include <errno.h>
#include <stdbool.h>

#include "basic/macro.h"
#include "busrtctl/busrtctl.h"

static int start_now(struct sender *sender, const struct iovec *payload, unsigned qos,
                     busrt_op **ret)
{
        qos |= BUSRT_QOS_DONTWAIT;
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

/* Until something has come or been written, in the library's own waits' stead: those do not end at
 * an interrupt. Nothing is written while corked. */
static int wait_for_client(struct sender *sender, uint64_t end)
{
        uint64_t now = now_usec();
        bool corked;
        int r;

        if (now >= end)
                return -ETIMEDOUT;
        corked = busrt_client_uncork(sender->client) >= 0;
        r = wait_client(sender->client, end - now);
        while (r > 0)
                r = busrt_client_process(sender->client);
        if (corked)
                (void)busrt_client_cork(sender->client);
        return r;
}

static int start(struct sender *sender, const struct iovec *payload, unsigned qos, busrt_op **ret)
{
        uint64_t end = 0;
        int r;

        while ((r = start_now(sender, payload, qos, ret)) == -EAGAIN) {
                end = end ? end : now_usec() + sender->timeout;
                r = wait_for_client(sender, end);
                if (r < 0)
                        return r;
        }
        return r;
}

/* The oldest operation: its result, and it is forgotten. -EINPROGRESS: not without waiting. */
static int collect_first(struct sender *sender, bool wait)
{
        busrt_op *op = sender->ops[sender->first];
        uint64_t end = wait ? now_usec() + sender->timeout : 0;
        int r;

        while ((r = busrt_op_result(op)) == -EINPROGRESS) {
                r = wait ? wait_for_client(sender, end) : -EINPROGRESS;
                /* What ended the connection may have come behind the acknowledgement. */
                if (r < 0 && busrt_op_result(op) == -EINPROGRESS)
                        return r;
        }
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

int sender_flush(struct sender *sender)
{
        uint64_t end = now_usec() + sender->timeout;
        int r = 0;

        while (r >= 0 && busrt_client_get_unsent(sender->client) > 0)
                r = wait_for_client(sender, end);
        return r;
}

void sender_done(struct sender *sender)
{
        while (sender->n_ops > 0) {
                busrt_op_unref(sender->ops[sender->first]);
                sender->first = (sender->first + 1) % SENDER_WINDOW;
                sender->n_ops--;
        }
}
