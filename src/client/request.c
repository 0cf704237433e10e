/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Remote calls, the called side (docs/protocol.md, 5): requests, from their arrival to their end,
 * which is a reply, a deadline, a cancellation, or the last reference. Until then they are in the
 * client's list, which holds no references: so who ends a request that it found there takes one
 * first, and leaves alone what somebody is just giving up.
 */
#include "basic/utf8.h"
#include "client/internal.h"
#include "wire/frame.h"
#include "wire/handshake.h"
#include "wire/rpc.h"

int request_compare(const busrt_request *a, const busrt_request *b)
{
        if (a->deadline != b->deadline)
                return a->deadline < b->deadline ? -1 : 1;
        return a < b ? -1 : a > b;
}

RB_GENERATE(request_tree, busrt_request, by_deadline, request_compare)

static int ended(const busrt_request *request)
{
        return atomic_load_explicit(&request->ended, memory_order_acquire);
}

/* The last word: from here on a last reference may free it without the lock. */
static void set_ended(busrt_request *request, int result)
{
        request_forget(request);
        atomic_store_explicit(&request->ended, result, memory_order_release);
}

/* --- Replies. The client is locked. --- */

/* The acknowledgement, of operation 0, is nobody's. */
static int reply_send(busrt_request *request, const uint8_t *head, size_t head_len,
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

        if (r == 0 && client_may_send(c) < 0)
                r = c->gone ? -ECONNRESET : -ENOTCONN;
        if (r == 0 && request->id != 0)
                r = send_frame(c, &send, 0);
        return r;
}

static int reply_send_error(busrt_request *request, int code, const void *data, size_t len)
{
        uint8_t head[RPC_ERROR_HEADER_SIZE];
        struct iovec iov = {(void *)(uintptr_t)data, len};

        rpc_error_encode(head, request->id, (int16_t)code);
        return reply_send(request, head, sizeof(head), &iov, 1);
}

/* May it be replied to? That the client closed is told by sending. */
static int check_open(const busrt_request *request)
{
        int r = ended(request);

        return r == -ECONNRESET && client_is_live(request->client) < 0 ? 0 : r;
}

static int replied(busrt_request *request, int r)
{
        if (r == 0)
                set_ended(request, -EALREADY);
        return r;
}

int request_reply(busrt_request *request, const struct iovec *iov, size_t n_iov)
{
        uint8_t head[RPC_REPLY_HEADER_SIZE];
        int r = check_open(request);

        rpc_reply_encode(head, request->id);
        if (r == 0)
                r = reply_send(request, head, sizeof(head), iov, n_iov);
        return replied(request, r);
}

int request_fail(busrt_request *request, int code, const char *text)
{
        int r = check_open(request);

        if (r == 0)
                r = reply_send_error(request, code, text, text ? strlen(text) : 0);
        return replied(request, r);
}

/* --- From arrival to end --- */

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
                (void)request_fail(request, RPC_CODE_METHOD_NOT_UTF8, NULL);
                request_drop(request);
                return 0;
        }
        c->queued += frame->charge;
        request->linked = true;
        LIST_INSERT_HEAD(&c->requests, request, link);
        event_add(c, &request->event);
        return 0;
}

static void set_deadline(busrt_request *request, uint64_t timeout)
{
        busrt_client *c = request->client;

        if (request->timed)
                RB_REMOVE(request_tree, &c->deadlines, request);
        request->deadline =
                timeout == BUSRT_TIMEOUT_INFINITE ? UINT64_MAX : client_deadline(c, timeout);
        request->timed = request->deadline != UINT64_MAX;
        if (!request->timed)
                return;
        RB_INSERT(request_tree, &c->deadlines, request);
        /* Somebody may sleep for longer than that. */
        if (RB_MIN(request_tree, &c->deadlines) == request && !client_in_handler(c)) {
                client_wake_loop(c);
                client_wake_reader(c);
        }
}

void request_start(busrt_request *request, uint64_t timeout)
{
        request->running = true;
        request->client->n_running++;
        set_deadline(request, timeout);
}

void request_forget(busrt_request *request)
{
        busrt_client *c = request->client;

        if (request->linked)
                LIST_REMOVE(request, link);
        if (request->timed)
                RB_REMOVE(request_tree, &c->deadlines, request);
        if (request->running)
                c->n_running--;
        request->linked = request->timed = request->running = false;
}

void request_drop(busrt_request *request)
{
        if (ended(request) == 0)
                set_ended(request, -ECONNRESET);
        busrt_request_unref(request);
}

static bool try_ref(busrt_request *request)
{
        unsigned refs = atomic_load_explicit(&request->refs, memory_order_relaxed);

        while (refs > 0)
                if (atomic_compare_exchange_weak(&request->refs, &refs, refs + 1))
                        return true;
        return false;
}

/* Its handler is told, once. */
static void queue_end(busrt_request *request)
{
        if (!request->on_end || request->end_queued)
                return;
        request->end_queued = true;
        request->event.kind = EVENT_REQUEST_END;
        request->event.number = 0;
        event_add(request->client, &busrt_request_ref(request)->event);
}

/* Not by a reply of the program's. code: what the caller gets; 0: nothing. False: whoever gives the
 * last reference up waits for the lock, and answers. */
static bool request_end(busrt_request *request, int result, int code)
{
        if (!try_ref(request))
                return false;
        /* Where this finds no memory, the caller's own deadline remains. */
        if (code != 0)
                (void)reply_send_error(request, code, NULL, 0);
        set_ended(request, result);
        queue_end(request);
        busrt_request_unref(request);
        return true;
}

void request_keep_time(busrt_client *c, uint64_t now)
{
        busrt_request *request;

        while ((request = RB_MIN(request_tree, &c->deadlines)) && request->deadline <= now) {
                RB_REMOVE(request_tree, &c->deadlines, request);
                request->timed = false;
                (void)request_end(request, -ETIMEDOUT, BUSRT_RPC_TIMEOUT);
        }
}

void request_end_all(busrt_client *c, int result)
{
        busrt_request *request, *next;

        LIST_FOREACH_SAFE (request, &c->requests, link, next)
                if (request->running)
                        (void)request_end(request, result, 0);
}

void request_tell_end(busrt_request *request)
{
        busrt_client *c = request->client;
        busrt_request_end_handler handler;
        void *data;

        pthread_mutex_lock(&c->lock);
        handler = request->on_end;
        data = request->on_end_data;
        request->end_queued = false;
        request->end_told = handler != NULL;
        pthread_mutex_unlock(&c->lock);
        if (handler)
                handler(c, request, ended(request), data);
        busrt_request_unref(request);
}

/* --- What the program does with it --- */

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
        if (ended(request) == 0 && client_lock(request->client) == 0) {
                (void)request_fail(request, RPC_CODE_INTERNAL, NULL);
                request_forget(request);
                (void)client_unlock(request->client, 0);
        }
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

static bool code_is_valid(int code)
{
        return code >= INT16_MIN && code <= INT16_MAX;
}

PUBLIC int busrt_request_reply(busrt_request *request, const struct iovec *iov, size_t n_iov)
{
        int r = client_lock(request ? request->client : NULL);

        return r < 0 ? r : client_unlock(request->client, request_reply(request, iov, n_iov));
}

PUBLIC int busrt_request_reply_error(busrt_request *request, int code, const void *data, size_t len)
{
        int r = client_lock(request ? request->client : NULL);

        if (r < 0)
                return r;
        r = code_is_valid(code) && code != 0 ? check_open(request) : -EINVAL;
        if (r == 0)
                r = reply_send_error(request, code, data, len);
        return client_unlock(request->client, replied(request, r));
}

PUBLIC int busrt_request_cancel(busrt_request *request, int code)
{
        int r = client_lock(request ? request->client : NULL);

        if (r < 0)
                return r;
        r = code_is_valid(code) ? ended(request) : -EINVAL;
        if (r == 0)
                (void)request_end(request, -ECANCELED, code);
        return client_unlock(request->client, r);
}

PUBLIC int busrt_request_set_timeout(busrt_request *request, uint64_t timeout)
{
        int r = client_lock(request ? request->client : NULL);

        if (r < 0)
                return r;
        r = ended(request);
        if (r == 0)
                set_deadline(request, timeout);
        return client_unlock(request->client, r);
}

PUBLIC int busrt_request_set_end_handler(busrt_request *request, busrt_request_end_handler handler,
                                         void *userdata)
{
        int r = client_lock(request ? request->client : NULL);

        if (r < 0)
                return r;
        /* Its handler was called when the client had closed already. */
        if (ended(request) == 0 && request->client->state == BUSRT_STATE_CLOSED)
                (void)request_end(request, -ECONNRESET, 0);
        if (ended(request) == -EALREADY || request->end_told || request->client->gone)
                return client_unlock(request->client,
                                     request->client->gone ? -ECONNRESET : -EALREADY);
        request->on_end = handler;
        request->on_end_data = userdata;
        if (ended(request) != 0)
                queue_end(request);
        return client_unlock(request->client, 0);
}

bool name_is_of(const char *name, const char *primary)
{
        size_t len = strlen(primary);

        return strncmp(name, primary, len) == 0 &&
               (name[len] == '\0' || strncmp(name + len, WIRE_SECONDARY_SEPARATOR,
                                             strlen(WIRE_SECONDARY_SEPARATOR)) == 0);
}

PUBLIC ssize_t busrt_client_cancel_requests(busrt_client *client, const char *sender, int code)
{
        struct request_list found = LIST_HEAD_INITIALIZER(found);
        busrt_request *request, *next;
        ssize_t n = 0;
        int r = client_lock(client);

        if (r < 0)
                return r;
        if (!code_is_valid(code) || (sender && !sender[0]))
                return client_unlock(client, -EINVAL);
        LIST_FOREACH_SAFE (request, &client->requests, link, next)
                if (!sender || name_is_of(request->frame->sender, sender)) {
                        LIST_REMOVE(request, link);
                        LIST_INSERT_HEAD(&found, request, link);
                }
        /* Each is sent to, which may fail, and end all that are in the client's list. */
        while ((request = LIST_FIRST(&found)))
                if (request_end(request, -ECANCELED, code))
                        n++;
                else {
                        LIST_REMOVE(request, link);
                        request->linked = false;
                }
        (void)client_unlock(client, 0);
        return n;
}

PUBLIC ssize_t busrt_client_count_requests(busrt_client *client)
{
        int r = client_lock(client);
        ssize_t n;

        if (r < 0)
                return r;
        n = (ssize_t)client->n_running;
        (void)client_unlock(client, 0);
        return n;
}
