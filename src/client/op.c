/* SPDX-License-Identifier: Apache-2.0 */
/* Operations (docs/protocol.md, 2): their frames, and the acknowledgements that end them. */
#include "client/internal.h"
#include "wire/frame.h"
#include "wire/rpc.h"

#define HEAD_PIECES 5 /* before the payload: header, target, receiver, RPC header, method */
#define QOS_ALL (BUSRT_QOS_REALTIME_PROCESSED | BUSRT_QOS_DONTWAIT)

/* --- Frames --- */

int send_check(const struct send *send)
{
        if ((!send->target && !send->bare) || (send->qos & ~(unsigned)QOS_ALL) ||
            (send->n_iov > 0 && !send->iov))
                return -EINVAL;
        for (size_t i = 0; i < send->n_iov; i++)
                if (send->iov[i].iov_len > 0 && !send->iov[i].iov_base)
                        return -EINVAL;
        return 0;
}

static void add_piece(struct iovec *pieces, size_t *n, const void *data, size_t len)
{
        pieces[(*n)++] = (struct iovec){(void *)(uintptr_t)data, len};
}

/* The bytes of the body, or SIZE_MAX where they are more than max. */
static size_t body_size(const struct iovec *pieces, size_t n, size_t max)
{
        size_t len = 0;

        for (size_t i = 0; i < n; i++) {
                if (pieces[i].iov_len > max - len)
                        return SIZE_MAX;
                len += pieces[i].iov_len;
        }
        return len;
}

/* The NULs of the strings are the 00 of the protocol. */
static size_t head_pieces(const struct send *send, const uint8_t *header, struct iovec *pieces)
{
        size_t n = 0;

        add_piece(pieces, &n, header, WIRE_REQUEST_HEADER_SIZE);
        if (send->target)
                add_piece(pieces, &n, send->target, strlen(send->target) + 1);
        if (send->receiver)
                add_piece(pieces, &n, send->receiver, strlen(send->receiver) + 1);
        if (send->rpc_head)
                add_piece(pieces, &n, send->rpc_head, send->rpc_head_len);
        if (send->method)
                add_piece(pieces, &n, send->method, strlen(send->method) + 1);
        return n;
}

void send_encode_header(uint8_t *header, uint8_t op, unsigned qos, uint32_t id, size_t len)
{
        le32_put(header, id);
        header[4] = (uint8_t)(op | (qos & BUSRT_QOS_REALTIME_PROCESSED) << 6);
        le32_put(header + 5, (uint32_t)len);
}

int send_frame(busrt_client *c, const struct send *send, uint32_t id)
{
        uint8_t header[WIRE_REQUEST_HEADER_SIZE];
        struct iovec few[DIRECT_PIECES], *pieces = few;
        _cleanup_free_ struct iovec *many = NULL;
        unsigned flags = send->output_flags;
        size_t n, len;
        int r;

        if (send->n_iov > DIRECT_PIECES - HEAD_PIECES) {
                many = reallocarray(NULL, send->n_iov + HEAD_PIECES, sizeof(*many));
                if (!many)
                        return -ENOMEM;
                pieces = many;
        }
        n = head_pieces(send, header, pieces);
        if (send->n_iov > 0)
                memcpy(pieces + n, send->iov, send->n_iov * sizeof(*send->iov));
        n += send->n_iov;
        len = body_size(pieces + 1, n - 1, c->max_frame);
        if (len == SIZE_MAX)
                return -EMSGSIZE;
        send_encode_header(header, send->op, send->qos, id, len);
        if (send->qos & BUSRT_QOS_DONTWAIT)
                flags |= OUTPUT_DONTWAIT;
        r = output_send(c, pieces, n, WIRE_REQUEST_HEADER_SIZE + len, flags, send->deadline);
        if (r == 0 && send->wish)
                wish_change_apply(c, send->wish);
        return r;
}

/* --- The operation --- */

static busrt_op *op_new(busrt_client *c)
{
        busrt_op *op = malloc(sizeof(*op));
        int r;

        if (!op)
                return NULL;
        *op = (busrt_op){.pending.kind = PENDING_OP,
                         .event.kind = EVENT_OP,
                         .client = c,
                         .result = -EINPROGRESS};
        r = slots_add(&c->slots, &op->pending);
        if (r < 0) {
                free(op);
                return NULL;
        }
        atomic_init(&op->refs, 2);
        client_ref(c);
        return op;
}

void op_finish(busrt_op *op, int result)
{
        busrt_client *c = op->client;

        slots_remove(&c->slots, &op->pending);
        op->result = result;
        client_changed(c);
        if (op->handler) {
                op->queued = true;
                event_add(c, &op->event); /* with the reference of the slot */
        } else
                busrt_op_unref(op);
}

static bool op_is_done(const busrt_client *c, const void *arg)
{
        const busrt_op *op = arg;

        return op->result != -EINPROGRESS;
}

/* Nothing was sent. */
static void op_discard(busrt_op *op)
{
        if (op->result == -EINPROGRESS) {
                slots_remove(&op->client->slots, &op->pending);
                busrt_op_unref(op);
        }
        busrt_op_unref(op);
}

/* While the client is away, what it wants of the broker is only noted. */
static int send_wish(busrt_client *c, struct send *send, busrt_op **ret_op)
{
        busrt_op *op = NULL;

        if (send->qos & BUSRT_QOS_PROCESSED && !ret_op && client_in_handler(c))
                return -EDEADLK;
        if (ret_op) {
                op = op_new(c);
                if (!op)
                        return -ENOMEM;
                op_finish(op, 0);
                *ret_op = op;
        }
        wish_change_apply(c, send->wish);
        return 0;
}

static int send_acknowledged(busrt_client *c, struct send *send, busrt_op **ret_op)
{
        uint64_t deadline;
        busrt_op *op;
        int r;

        if (!ret_op && client_in_handler(c))
                return -EDEADLK;
        if (!ret_op) {
                deadline = client_deadline(c, c->timeout);
                send->deadline = &deadline;
        }
        op = op_new(c);
        if (!op)
                return -ENOMEM;
        r = send_frame(c, send, op->pending.id);
        if (r < 0) {
                op_discard(op);
                return r;
        }
        if (ret_op) {
                *ret_op = op;
                return 0;
        }
        r = client_wait_for(c, op_is_done, op, deadline);
        if (r == 0)
                r = op->result;
        busrt_op_unref(op);
        return r;
}

int send_operation_locked(busrt_client *c, struct send *send, busrt_op **ret_op)
{
        int r = send_check(send);

        if (r == 0 && ret_op && !(send->qos & BUSRT_QOS_PROCESSED))
                r = -EINVAL;
        if (r < 0)
                return r;
        client_look(c);
        r = client_may_send(c);
        if (send->wish && client_is_away(c))
                return send_wish(c, send, ret_op);
        if (r < 0)
                return r;
        if (send->qos & BUSRT_QOS_PROCESSED)
                return send_acknowledged(c, send, ret_op);
        return send_frame(c, send, 0);
}

int send_operation(busrt_client *c, struct send *send, busrt_op **ret_op)
{
        int r = client_lock(c);

        return r < 0 ? r : client_unlock(c, send_operation_locked(c, send, ret_op));
}

PUBLIC int busrt_op_wait(busrt_op *op, uint64_t timeout)
{
        busrt_client *c = op ? op->client : NULL;
        int r = client_lock(c);

        if (r < 0)
                return r;
        r = client_in_handler(c) ? -EDEADLK : 0;
        if (r == 0 && !op_is_done(c, op))
                r = client_wait_for(c, op_is_done, op, client_deadline(c, timeout));
        return client_unlock(c, r < 0 ? r : op->result);
}

PUBLIC int busrt_op_result(busrt_op *op)
{
        int r = client_lock(op ? op->client : NULL);

        return r < 0 ? r : client_unlock(op->client, op->result);
}

PUBLIC int busrt_op_set_handler(busrt_op *op, busrt_op_handler handler, void *userdata)
{
        busrt_client *c = op ? op->client : NULL;
        int r = client_lock(c);

        if (r < 0)
                return r;
        if (op->handled || c->gone)
                return client_unlock(c, op->handled ? -EALREADY : -ECONNRESET);
        op->handler = handler;
        op->userdata = userdata;
        if (handler && op_is_done(c, op) && !op->queued) {
                op->queued = true;
                event_add(c, &busrt_op_ref(op)->event);
        }
        return client_unlock(c, 0);
}

PUBLIC busrt_op *busrt_op_ref(busrt_op *op)
{
        if (op)
                atomic_fetch_add_explicit(&op->refs, 1, memory_order_relaxed);
        return op;
}

PUBLIC busrt_op *busrt_op_unref(busrt_op *op)
{
        if (op && atomic_fetch_sub_explicit(&op->refs, 1, memory_order_acq_rel) == 1) {
                client_unref(op->client);
                free(op);
        }
        return NULL;
}

/* --- Sending --- */

PUBLIC int busrt_client_send(busrt_client *client, const char *target, const struct iovec *iov,
                             size_t n_iov, unsigned qos, busrt_op **ret_op)
{
        struct send send = {.op = WIRE_OP_MESSAGE,
                            .qos = qos,
                            .target = target && target[0] ? target : NULL,
                            .iov = iov,
                            .n_iov = n_iov};

        return send_operation(client, &send, ret_op);
}

PUBLIC int busrt_client_broadcast(busrt_client *client, const char *mask, const struct iovec *iov,
                                  size_t n_iov, unsigned qos, busrt_op **ret_op)
{
        struct send send = {.op = WIRE_OP_BROADCAST,
                            .qos = qos,
                            .target = mask && mask[0] ? mask : NULL,
                            .iov = iov,
                            .n_iov = n_iov};

        return send_operation(client, &send, ret_op);
}

/* The empty topic is one. */
PUBLIC int busrt_client_publish(busrt_client *client, const char *topic, const struct iovec *iov,
                                size_t n_iov, unsigned qos, busrt_op **ret_op)
{
        struct send send = {
                .op = WIRE_OP_PUBLISH, .qos = qos, .target = topic, .iov = iov, .n_iov = n_iov};

        return send_operation(client, &send, ret_op);
}

PUBLIC int busrt_client_publish_for(busrt_client *client, const char *topic, const char *receiver,
                                    const struct iovec *iov, size_t n_iov, unsigned qos,
                                    busrt_op **ret_op)
{
        struct send send = {.op = WIRE_OP_PUBLISH_FOR,
                            .qos = qos,
                            .target = receiver && receiver[0] ? topic : NULL,
                            .receiver = receiver,
                            .iov = iov,
                            .n_iov = n_iov};

        return send_operation(client, &send, ret_op);
}

PUBLIC int busrt_client_ping(busrt_client *client)
{
        static const uint8_t ping[WIRE_REQUEST_HEADER_SIZE];
        struct iovec iov = {(void *)(uintptr_t)ping, sizeof(ping)};
        int r = client_lock(client);

        if (r < 0)
                return r;
        r = client_is_live(client);
        return client_unlock(client,
                             r < 0 ? r : output_send(client, &iov, 1, sizeof(ping), 0, NULL));
}
