/* SPDX-License-Identifier: Apache-2.0 */
/* Remote calls, the called side (docs/protocol.md, 5): requests, and their replies. */
#include "basic/utf8.h"
#include "client/internal.h"
#include "wire/frame.h"
#include "wire/rpc.h"

/* The client is locked. The acknowledgement, of operation 0, is nobody's. */
static int reply_locked(busrt_request *request, const uint8_t *head, size_t head_len,
                        const struct iovec *iov, size_t n_iov)
{
        busrt_client *c = request->client;
        struct send send = {
                .op = WIRE_OP_MESSAGE,
                .qos = request->frame->realtime ? BUSRT_QOS_REALTIME_PROCESSED
                                                : BUSRT_QOS_PROCESSED,
                .target = request->frame->sender,
                .rpc_head = head,
                .rpc_head_len = head_len,
                .iov = iov,
                .n_iov = n_iov,
                .output_flags = OUTPUT_FORCE,
        };
        int r = send_check(&send);

        if (r == 0 && request->replied)
                r = -EALREADY;
        if (r == 0 && client_is_live(c) < 0)
                r = c->gone ? -ECONNRESET : -ENOTCONN;
        if (r == 0 && request->id != 0)
                r = send_frame(c, &send, 0);
        if (r == 0)
                request->replied = true;
        return r;
}

static int reply_error_locked(busrt_request *request, int16_t code, const void *data, size_t len)
{
        uint8_t head[RPC_ERROR_HEADER_SIZE];
        struct iovec iov = {(void *)(uintptr_t)data, len};

        rpc_error_encode(head, request->id, code);
        return reply_locked(request, head, sizeof(head), &iov, 1);
}

static busrt_request *request_new(busrt_client *c, busrt_frame *frame, const struct rpc_message *m)
{
        busrt_request *request = malloc(sizeof(*request));

        if (!request)
                return NULL;
        *request = (busrt_request){.event.kind = EVENT_REQUEST,
                                   .client = client_ref(c),
                                   .frame = frame,
                                   .id = m->id,
                                   .method = m->method,
                                   .params = m->data,
                                   .len = m->data_len};
        atomic_init(&request->refs, 1);
        return request;
}

int request_receive(busrt_client *c, busrt_frame *frame, const struct rpc_message *message)
{
        busrt_request *request = request_new(c, frame, message);

        if (!request)
                return -ENOMEM;
        if (!utf8_is_valid(message->method, message->method_len)) {
                (void)reply_error_locked(request, RPC_CODE_METHOD_NOT_UTF8, NULL, 0);
                request->replied = true;
                busrt_request_unref(request);
                return 0;
        }
        c->queued += frame->charge;
        event_add(c, &request->event);
        return 0;
}

PUBLIC busrt_request *busrt_request_ref(busrt_request *request)
{
        if (request)
                atomic_fetch_add_explicit(&request->refs, 1, memory_order_relaxed);
        return request;
}

PUBLIC busrt_request *busrt_request_unref(busrt_request *request)
{
        if (!request || atomic_fetch_sub_explicit(&request->refs, 1, memory_order_acq_rel) != 1)
                return NULL;
        if (!request->replied && client_lock(request->client) == 0)
                (void)client_unlock(request->client,
                                    reply_error_locked(request, RPC_CODE_INTERNAL, NULL, 0));
        busrt_frame_unref(request->frame);
        client_unref(request->client);
        free(request);
        return NULL;
}

PUBLIC const char *busrt_request_get_sender(const busrt_request *request)
{
        return request ? request->frame->sender : NULL;
}

PUBLIC const char *busrt_request_get_method(const busrt_request *request)
{
        return request ? request->method : NULL;
}

PUBLIC const void *busrt_request_get_params(const busrt_request *request, size_t *ret_len)
{
        if (ret_len)
                *ret_len = request ? request->len : 0;
        return request ? request->params : NULL;
}

PUBLIC int busrt_request_wants_reply(const busrt_request *request)
{
        return request && request->id != 0;
}

PUBLIC int busrt_request_reply(busrt_request *request, const struct iovec *iov, size_t n_iov)
{
        uint8_t head[RPC_REPLY_HEADER_SIZE];
        int r = client_lock(request ? request->client : NULL);

        if (r < 0)
                return r;
        rpc_reply_encode(head, request->id);
        return client_unlock(request->client,
                             reply_locked(request, head, sizeof(head), iov, n_iov));
}

PUBLIC int busrt_request_reply_error(busrt_request *request, int code, const void *data, size_t len)
{
        int r = client_lock(request ? request->client : NULL);

        if (r < 0)
                return r;
        if (code < INT16_MIN || code > INT16_MAX || code == 0)
                return client_unlock(request->client, -EINVAL);
        return client_unlock(request->client,
                             reply_error_locked(request, (int16_t)code, data, len));
}
