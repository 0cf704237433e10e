/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Remote calls, the caller's side (docs/protocol.md, 5). A request is a message that is always
 * acknowledged; operation and call have one id. The call ends with its target's reply, with an
 * acknowledgement that says it was not delivered, with its deadline, or with the connection.
 */
#include "client/internal.h"
#include "wire/frame.h"
#include "wire/rpc.h"

#define REQUEST_HEAD 5 /* kind, id; the method follows */

int call_compare(const busrt_call *a, const busrt_call *b)
{
        if (a->deadline != b->deadline)
                return a->deadline < b->deadline ? -1 : 1;
        return a < b ? -1 : a > b;
}

RB_GENERATE(call_tree, busrt_call, by_deadline, call_compare)

PUBLIC void busrt_rpc_error_done(busrt_rpc_error *error)
{
        if (!error)
                return;
        free(error->data);
        *error = (busrt_rpc_error)BUSRT_RPC_ERROR_INIT;
}

PUBLIC busrt_call *busrt_call_ref(busrt_call *call)
{
        if (call)
                atomic_fetch_add_explicit(&call->refs, 1, memory_order_relaxed);
        return call;
}

PUBLIC busrt_call *busrt_call_unref(busrt_call *call)
{
        if (call && atomic_fetch_sub_explicit(&call->refs, 1, memory_order_acq_rel) == 1) {
                busrt_rpc_error_done(&call->error);
                busrt_frame_unref(call->reply);
                client_unref(call->client);
                free(call);
        }
        return NULL;
}

static void busrt_call_unrefp(busrt_call **call)
{
        busrt_call_unref(*call);
}

/* --- Beginning and end --- */

/* Two references: the caller's, and the one that goes with its end. */
static busrt_call *call_new(busrt_client *c, const char *target)
{
        size_t len = strlen(target) + 1;
        busrt_call *call = malloc(sizeof(*call) + len);

        if (!call)
                return NULL;
        *call = (busrt_call){.pending.kind = PENDING_CALL, .event.kind = EVENT_CALL, .client = c};
        memcpy(call->target, target, len);
        if (slots_add(&c->slots, &call->pending) < 0) {
                free(call);
                return NULL;
        }
        atomic_init(&call->refs, 2);
        client_ref(c);
        return call;
}

/* No answer will find it any more. */
static void call_forget(busrt_call *call, enum call_state state)
{
        slots_remove(&call->client->slots, &call->pending);
        if (call->timed)
                RB_REMOVE(call_tree, &call->client->calls, call);
        call->timed = false;
        call->state = state;
}

void call_end(busrt_call *call, int result)
{
        call_forget(call, CALL_ENDED);
        call->result = result;
        client_changed(call->client);
        if (call->handler)
                event_add(call->client, &call->event);
        else
                busrt_call_unref(call);
}

void call_acknowledged(busrt_call *call, int result)
{
        if (result < 0)
                call_end(call, result);
}

void call_keep_time(busrt_client *c, uint64_t now)
{
        busrt_call *call;

        while ((call = RB_MIN(call_tree, &c->calls)) && call->deadline <= now)
                call_end(call, -ETIMEDOUT);
}

static char *copy_data(const uint8_t *data, size_t len)
{
        char *copy = len > 0 ? malloc(len + 1) : NULL;

        if (copy) {
                memcpy(copy, data, len);
                copy[len] = '\0';
        }
        return copy;
}

void call_reply(busrt_client *c, busrt_frame *frame, const struct rpc_message *reply)
{
        struct pending *item = slots_find(&c->slots, reply->id);
        busrt_call *call;

        if (!item || item->kind != PENDING_CALL ||
            strcmp(container_of(item, busrt_call, pending)->target, frame->sender) != 0) {
                frame_recycle(c, frame);
                return;
        }
        call = container_of(item, busrt_call, pending);
        if (reply->kind == RPC_ERROR) {
                call->error.code = reply->code;
                call->error.data = copy_data(reply->data, reply->data_len);
                call->error.len = call->error.data ? reply->data_len : 0;
                frame_recycle(c, frame);
        } else {
                frame->kind = BUSRT_KIND_REPLY;
                frame->payload = reply->data;
                frame->len = reply->data_len;
                call->reply = frame;
        }
        call_end(call, reply->kind == RPC_ERROR ? -EREMOTEIO : 0);
}

/* --- Calling --- */

static bool call_is_done(const busrt_client *c, const void *arg)
{
        const busrt_call *call = arg;

        return call->state != CALL_WAITING;
}

static int call_check(busrt_client *c, const struct send *send)
{
        if (!send->method || !send->method[0] ||
            (send->qos & ~(unsigned)(BUSRT_QOS_REALTIME | BUSRT_QOS_DONTWAIT)))
                return -EINVAL;
        return send_check(send);
}

/* The client is locked. The request is on its way, and the call is the caller's. */
static int call_start(busrt_client *c, struct send *send, busrt_call **ret)
{
        uint8_t head[REQUEST_HEAD] = {RPC_REQUEST};
        busrt_call *call;
        int r = call_check(c, send);

        /* A late call is worse than none: it never waits for a connection. */
        if (r == 0)
                client_look(c);
        if (r == 0)
                r = client_is_live(c);
        if (r < 0)
                return r;
        call = call_new(c, send->target);
        if (!call)
                return -ENOMEM;
        c->has_called = true;
        le32_put(head + 1, call->pending.id);
        send->rpc_head = head;
        send->rpc_head_len = sizeof(head);
        send->qos |= BUSRT_QOS_PROCESSED;
        r = send_frame(c, send, call->pending.id);
        if (r < 0) {
                if (call->state == CALL_WAITING) {
                        call_forget(call, CALL_CANCELLED);
                        busrt_call_unref(call);
                }
                busrt_call_unref(call);
                return r;
        }
        *ret = call;
        return 0;
}

static int call_wait(busrt_client *c, busrt_call *call, uint64_t deadline)
{
        int r = client_wait_for(c, call_is_done, call, deadline);

        if (r == 0)
                return call->result;
        call_forget(call, CALL_CANCELLED);
        busrt_call_unref(call);
        return r;
}

static int call_blocking(busrt_client *c, struct send *send, uint64_t timeout,
                         busrt_rpc_error *error, busrt_frame **ret_reply)
{
        _cleanup_(busrt_call_unrefp) busrt_call *call = NULL;
        uint64_t deadline = client_deadline(c, timeout);
        int r;

        send->deadline = &deadline;
        r = client_in_handler(c) ? -EDEADLK : call_start(c, send, &call);
        if (r < 0)
                return r;
        r = call_wait(c, call, deadline);
        if (r == 0 && ret_reply)
                *ret_reply = TAKE_PTR(call->reply);
        if (r == -EREMOTEIO && error) {
                busrt_rpc_error_done(error);
                *error = call->error;
                call->error = (busrt_rpc_error)BUSRT_RPC_ERROR_INIT;
        }
        return r;
}

PUBLIC int busrt_client_call(busrt_client *client, const char *target, const char *method,
                             const struct iovec *iov, size_t n_iov, unsigned qos, uint64_t timeout,
                             busrt_rpc_error *error, busrt_frame **ret_reply)
{
        struct send send = {.op = WIRE_OP_MESSAGE,
                            .qos = qos,
                            .target = target && target[0] ? target : NULL,
                            .method = method,
                            .iov = iov,
                            .n_iov = n_iov};
        int r = client_lock(client);

        if (r < 0)
                return r;
        return client_unlock(client, call_blocking(client, &send, timeout, error, ret_reply));
}

/* The reply may have come already, while the request waited for room. */
static void call_set_handler(busrt_client *c, busrt_call *call, uint64_t deadline)
{
        if (call->state == CALL_ENDED) {
                event_add(c, &busrt_call_ref(call)->event);
                return;
        }
        if (deadline == UINT64_MAX)
                return;
        call->deadline = deadline;
        call->timed = true;
        RB_INSERT(call_tree, &c->calls, call);
        /* Somebody may sleep for longer than that. */
        if (RB_MIN(call_tree, &c->calls) == call && !client_in_handler(c)) {
                client_wake_loop(c);
                client_wake_reader(c);
        }
}

PUBLIC int busrt_client_call_async(busrt_client *client, const char *target, const char *method,
                                   const struct iovec *iov, size_t n_iov, unsigned qos,
                                   uint64_t timeout, busrt_reply_handler handler, void *userdata,
                                   busrt_call **ret_call)
{
        struct send send = {.op = WIRE_OP_MESSAGE,
                            .qos = qos,
                            .target = target && target[0] ? target : NULL,
                            .method = method,
                            .iov = iov,
                            .n_iov = n_iov};
        busrt_call *call = NULL;
        uint64_t deadline;
        int r = client_lock(client);

        if (r < 0)
                return r;
        deadline = timeout == 0 ? now_usec() : client_deadline(client, timeout);
        send.deadline = &deadline;
        r = handler ? call_start(client, &send, &call) : -EINVAL;
        if (r < 0)
                return client_unlock(client, r);
        call->handler = handler;
        call->userdata = userdata;
        call_set_handler(client, call, deadline);
        if (ret_call)
                *ret_call = call;
        else
                busrt_call_unref(call);
        return client_unlock(client, 0);
}

PUBLIC int busrt_call_cancel(busrt_call *call)
{
        busrt_client *c = call ? call->client : NULL;
        int r = client_lock(c);

        if (r < 0)
                return r;
        switch (call->state) {
        case CALL_WAITING:
                call_forget(call, CALL_CANCELLED);
                busrt_call_unref(call);
                break;
        case CALL_ENDED: /* its event waits, and finds this */
                call->state = CALL_CANCELLED;
                break;
        default:
                r = -EALREADY;
        }
        return client_unlock(c, r);
}

/* --- Without a reply --- */

PUBLIC int busrt_client_call0(busrt_client *client, const char *target, const char *method,
                              const struct iovec *iov, size_t n_iov, unsigned qos,
                              busrt_op **ret_op)
{
        static const uint8_t head[REQUEST_HEAD] = {RPC_REQUEST};
        struct send send = {.op = WIRE_OP_MESSAGE,
                            .qos = qos,
                            .target = target && target[0] && method && method[0] ? target : NULL,
                            .rpc_head = head,
                            .rpc_head_len = sizeof(head),
                            .method = method,
                            .iov = iov,
                            .n_iov = n_iov};

        return send_operation(client, &send, ret_op);
}

PUBLIC int busrt_client_notify(busrt_client *client, const char *target, const struct iovec *iov,
                               size_t n_iov, unsigned qos, busrt_op **ret_op)
{
        static const uint8_t head[1] = {RPC_NOTIFICATION};
        struct send send = {.op = WIRE_OP_MESSAGE,
                            .qos = qos,
                            .target = target && target[0] ? target : NULL,
                            .rpc_head = head,
                            .rpc_head_len = sizeof(head),
                            .iov = iov,
                            .n_iov = n_iov};

        return send_operation(client, &send, ret_op);
}
