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
/* The bus's own results (docs/protocol.md, 3) as codes: -32000 less the result. */
#define BUSRT_RPC_NOT_REGISTERED (-32113)
#define BUSRT_RPC_DATA (-32114) /* also: a method's name that is not UTF-8 */
#define BUSRT_RPC_IO (-32115)
#define BUSRT_RPC_OTHER (-32116)
#define BUSRT_RPC_NOT_SUPPORTED (-32117)
#define BUSRT_RPC_BUSY (-32118)
#define BUSRT_RPC_NOT_DELIVERED (-32119)
#define BUSRT_RPC_TIMEOUT (-32120)
#define BUSRT_RPC_ACCESS (-32121)

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

/* --- Being called: a table of methods --- */

typedef struct busrt_request busrt_request;

/*
 * A client may have a table of methods. A request goes to its method's handler; one for no method
 * of the table goes to the request handler below, or gets BUSRT_RPC_METHOD_NOT_FOUND where there is
 * none. While a client has neither, requests arrive as ordinary messages. Finding a method takes
 * one look into a hash table, however many there are.
 *
 * A handler is called from busrt_client_process(), one at a time; it replies at once, or takes a
 * reference (busrt_request_ref()), returns 0, and any thread replies later: so calls run
 * concurrently, and end in any order. The request is borrowed. What it returns:
 *
 *   0 or more   it has replied, or will; see busrt_request_unref() for what happens if it does not
 *   a code      -32768 … -4096: the caller gets it, if it has no reply yet
 *   an -errno   -4095 … -1: likewise, as the code that busrt_rpc_code() gives, with
 *               busrt_strerror()'s text
 *
 * Of a request that wants no reply (busrt_client_call0()) all this holds, and nothing is sent.
 */
typedef int (*busrt_method_handler)(busrt_client *client, busrt_request *request, void *userdata);

typedef struct busrt_method {
        const char *name; /* UTF-8, not empty */
        busrt_method_handler handler;
        void *userdata;
        uint64_t timeout; /* of each request; 0: as busrt_client_set_request_timeout() says */
} busrt_method;

/* Adds n methods, at least one, or none of them; the table is copied. At any time, best before
 * connecting. -EEXIST: there is one of that name already, or two in the list. */
int busrt_client_add_methods(busrt_client *client, const busrt_method *methods, size_t n);
/* Requests that wait for it find it gone. A call of its handler in another thread is not waited
 * for. -ENOENT. */
int busrt_client_remove_method(busrt_client *client, const char *name);
/* Adds two methods that services of the bus have by convention, and that take no params: "test",
 * whose result is {ok: true}, and "info", whose result is {author, description, version}, in
 * MessagePack. Texts are UTF-8, copied; what is NULL is left out. -EEXIST as above. */
int busrt_client_add_info(busrt_client *client, const char *author, const char *description,
                          const char *version);
/* The code of an error reply that tells of an -errno: the bus's own for the errors that the broker
 * may answer (-EBUSY: BUSRT_RPC_BUSY), BUSRT_RPC_INVALID_PARAMS for -EINVAL and -ERANGE,
 * BUSRT_RPC_PARSE for -EBADMSG, BUSRT_RPC_METHOD_NOT_FOUND for -ENOSYS, BUSRT_RPC_NOT_FOUND for
 * -ENOENT, BUSRT_RPC_TIMEOUT for -ETIMEDOUT, and BUSRT_RPC_INTERNAL for any other. */
int busrt_rpc_code(int error);

/* --- Requests that are open: from the handler's call until the reply --- */

/* How long a request may be open: 1 … BUSRT_TIMEOUT_INFINITE, the default. The time counts from its
 * handler's call; then the caller gets BUSRT_RPC_TIMEOUT. For requests to come; at any time. */
int busrt_client_set_request_timeout(busrt_client *client, uint64_t usec);
/* How many may be open at a time: 1 … SIZE_MAX, the default. A request beyond gets BUSRT_RPC_BUSY,
 * and no handler is called. At any time. */
int busrt_client_set_max_requests(busrt_client *client, size_t n);
/* How many are open, or -errno. */
ssize_t busrt_client_count_requests(busrt_client *client);
/* Ends all requests of that sender and of its secondaries (NULL: of everybody), also those that no
 * handler was called for yet, and returns how many those were. code: what the callers get; 0 sends
 * nothing, for a caller that has gone (the broker says so on ".broker/info"). */
ssize_t busrt_client_cancel_requests(busrt_client *client, const char *sender, int code);
/* The same for one request: 0, or why it has ended already. */
int busrt_request_cancel(busrt_request *request, int code);
/* Sets when the request ends, from now on, in place of what the method and the client say;
 * BUSRT_TIMEOUT_INFINITE: never. Or why it has ended already. */
int busrt_request_set_timeout(busrt_request *request, uint64_t timeout);

/* Why a request ended without a reply of the program's; what then calls of
 * busrt_request_reply() return, too: -ETIMEDOUT its time was up, -ECANCELED it was cancelled,
 * -ECONNRESET the client closed (replies are then -ENOTCONN). Called once, from
 * busrt_client_process(), also if it had ended before the handler was set; not after a reply, and
 * not when the last reference was dropped. The request is borrowed. NULL takes the handler back.
 * -EALREADY: there was a reply, or one was called.
 */
typedef void (*busrt_request_end_handler)(busrt_client *client, busrt_request *request, int result,
                                          void *userdata);
int busrt_request_set_end_handler(busrt_request *request, busrt_request_end_handler handler,
                                  void *userdata);

/* --- Being called: one handler for all --- */

/* Requests, from busrt_client_process(). The request is borrowed: busrt_request_ref() keeps it to
 * reply later. When its last reference goes without a reply, the caller gets BUSRT_RPC_INTERNAL.
 * While there is no handler and no method, requests arrive as ordinary messages. At any time. */
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
/* The last one, of a request that is open: the caller gets BUSRT_RPC_INTERNAL. */
busrt_request *busrt_request_unref(busrt_request *request);

/* Once each request (-EALREADY; -ETIMEDOUT, -ECANCELED: it had ended), from any thread. It does not
 * wait for the broker's acknowledgement; room to send is taken even where the send buffer is full.
 * code: -32768 … 32767, not 0. */
int busrt_request_reply(busrt_request *request, const struct iovec *iov, size_t n_iov);
int busrt_request_reply_error(busrt_request *request, int code, const void *data, size_t len);

#ifdef __cplusplus
}
#endif

#endif
