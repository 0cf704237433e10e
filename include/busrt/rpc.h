/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libbusrt: remote calls (docs/protocol.md, 5). Requests, replies and notifications travel inside
 * messages; what params and results hold is for the two programs to agree on, by convention a
 * MessagePack map (<busrt/msgpack.h>). Results, time and threads are as <busrt/client.h> says.
 */
#ifndef BUSRT_RPC_H
#define BUSRT_RPC_H

#include <busrt/client.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Codes of error replies. */
#define BUSRT_RPC_PARSE (-32700)
#define BUSRT_RPC_INVALID_REQUEST (-32600)
#define BUSRT_RPC_METHOD_NOT_FOUND (-32601)
#define BUSRT_RPC_INVALID_PARAMS (-32602)
#define BUSRT_RPC_INTERNAL (-32603)
#define BUSRT_RPC_NOT_FOUND (-32001)

/* --- Calling --- */

/* An error reply: its code, and its data as a copy with a NUL behind it (NULL when there is none,
 * or no memory). Set to BUSRT_RPC_ERROR_INIT before the first use; freed by busrt_rpc_error_done(),
 * which also makes it usable again. */
typedef struct busrt_rpc_error {
        int code;
        char *data;
        size_t len;
} busrt_rpc_error;
#define BUSRT_RPC_ERROR_INIT                                                                       \
        {                                                                                          \
                0, NULL, 0                                                                         \
        }
void busrt_rpc_error_done(busrt_rpc_error *error);

/* Calls and waits for the reply: 0, and the reply's frame (ret_reply may be NULL). -EREMOTEIO: an
 * error reply, then in *error (may be NULL). Other errors come from the broker: -EHOSTUNREACH when
 * the target is not there. Only the target itself can reply. A reply that comes after -ETIMEDOUT is
 * dropped. qos: BUSRT_QOS_REALTIME or 0; the request is always acknowledged. */
int busrt_client_call(busrt_client *client, const char *target, const char *method,
                      const struct iovec *iov, size_t n_iov, unsigned qos, uint64_t timeout,
                      busrt_rpc_error *error, busrt_frame **ret_reply);

/* The same without waiting. handler is called once, from busrt_client_process(): with 0 and the
 * reply, with -EREMOTEIO and the error, or with another -errno; error and reply are borrowed, and
 * NULL where there is none. ret_call (may be NULL) is a reference for busrt_call_cancel(). */
typedef struct busrt_call busrt_call;
typedef void (*busrt_reply_handler)(busrt_client *client, int result, const busrt_rpc_error *error,
                                    busrt_frame *reply, void *userdata);
int busrt_client_call_async(busrt_client *client, const char *target, const char *method,
                            const struct iovec *iov, size_t n_iov, unsigned qos, uint64_t timeout,
                            busrt_reply_handler handler, void *userdata, busrt_call **ret_call);
/* Its handler will not be called any more. 0; -EALREADY: it has been, or is being called. */
int busrt_call_cancel(busrt_call *call);
busrt_call *busrt_call_ref(busrt_call *call);
busrt_call *busrt_call_unref(busrt_call *call);

/* A request that wants no reply, and a notification; qos and ret_op as for busrt_client_send(). */
int busrt_client_call0(busrt_client *client, const char *target, const char *method,
                       const struct iovec *iov, size_t n_iov, unsigned qos, busrt_op **ret_op);
int busrt_client_notify(busrt_client *client, const char *target, const struct iovec *iov,
                        size_t n_iov, unsigned qos, busrt_op **ret_op);

/* --- Being called --- */

typedef struct busrt_request busrt_request;

/* Requests, from busrt_client_process(). The request is borrowed: busrt_request_ref() keeps it to
 * reply later. When its last reference goes without a reply, the caller gets BUSRT_RPC_INTERNAL.
 * While there is no handler, requests arrive as ordinary messages. At any time. */
typedef void (*busrt_request_handler)(busrt_client *client, busrt_request *request, void *userdata);
int busrt_client_set_request_handler(busrt_client *client, busrt_request_handler handler,
                                     void *userdata);

/* Notifications, the same way: while there is no handler they arrive as ordinary messages. */
typedef void (*busrt_notification_handler)(busrt_client *client, const char *sender,
                                           const void *payload, size_t len, void *userdata);
int busrt_client_set_notification_handler(busrt_client *client, busrt_notification_handler handler,
                                          void *userdata);

/* As of a frame: no errors. */
const char *busrt_request_get_sender(const busrt_request *request);
const char *busrt_request_get_method(const busrt_request *request);
const void *busrt_request_get_params(const busrt_request *request, size_t *ret_len);
/* 0: nobody waits for a reply, and replying sends none. */
int busrt_request_wants_reply(const busrt_request *request);
busrt_request *busrt_request_ref(busrt_request *request);
busrt_request *busrt_request_unref(busrt_request *request);

/* Once each request (-EALREADY), from any thread. It does not wait for the broker's
 * acknowledgement; room to send is taken even where the send buffer is full. code: -32768 … 32767,
 * not 0. */
int busrt_request_reply(busrt_request *request, const struct iovec *iov, size_t n_iov);
int busrt_request_reply_error(busrt_request *request, int code, const void *data, size_t len);

#ifdef __cplusplus
}
#endif

#endif
