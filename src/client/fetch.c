/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cursors, the side that takes: a fetch knows where a cursor is and how it stands, and makes each
 * call of it by the public functions. The client's lock guards it; while a call is under way it is
 * busy, and the call's result is noted before the program hears of it.
 */
#include <limits.h>

#include <busrt/cursor.h>

#include "client/internal.h"
#include "wire/cursor.h"

#define BULK_DEFAULT 100
#define OPEN 1 /* of fetch->over */

struct busrt_fetch {
        atomic_uint refs; /* the program's, and one of a call that has a handler */
        busrt_client *client;
        const char *target, *next, *next_bulk, *cancel; /* in names, or NULL */
        uint8_t id[CURSOR_ID_SIZE];
        uint32_t bulk;
        int over;   /* OPEN; 0: the end is known; or why it has failed */
        bool busy;  /* a call is under way */
        bool freed; /* by the program */

        busrt_frame *frame; /* where items of busrt_fetch_item() are */
        struct item_reader rest;
        uint64_t left;

        uint32_t asked; /* items, of the call with a handler; 0: a single one */
        busrt_call *call;
        unsigned n_begun, n_ended; /* such calls */
        busrt_fetch_handler handler;
        void *userdata;
        char names[];
};

/* --- Life --- */

static void fetch_free_memory(busrt_fetch *f)
{
        busrt_frame_unref(f->frame);
        busrt_call_unref(f->call);
        client_unref(f->client);
        free(f);
}

static void fetch_unref(busrt_fetch *f)
{
        if (atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) == 1)
                fetch_free_memory(f);
}

static bool methods_are_valid(const busrt_cursor_methods *m)
{
        if (!m || (!m->next && !m->next_bulk))
                return false;
        return (!m->next || m->next[0]) && (!m->next_bulk || m->next_bulk[0]) &&
               (!m->cancel || m->cancel[0]);
}

/* Copies a name that may be NULL, and moves on. */
static const char *take_name(char **to, const char *name)
{
        char *copy = *to;
        size_t len;

        if (!name)
                return NULL;
        len = strlen(name) + 1;
        memcpy(copy, name, len);
        *to += len;
        return copy;
}

static size_t name_size(const char *name)
{
        return name ? strlen(name) + 1 : 0;
}

static int fetch_make(busrt_client *c, const char *target, const busrt_cursor_methods *m,
                      busrt_fetch **ret)
{
        busrt_fetch *f;
        char *to;

        if (c && client_forked(c))
                return -ECHILD;
        if (!c || !target || !target[0] || !methods_are_valid(m))
                return -EINVAL;
        f = calloc(1, sizeof(*f) + name_size(target) + name_size(m->next) +
                              name_size(m->next_bulk) + name_size(m->cancel));
        if (!f)
                return -ENOMEM;
        to = f->names;
        atomic_init(&f->refs, 1);
        f->client = client_ref(c);
        f->target = take_name(&to, target);
        f->next = take_name(&to, m->next);
        f->next_bulk = take_name(&to, m->next_bulk);
        f->cancel = take_name(&to, m->cancel);
        f->bulk = BULK_DEFAULT;
        f->over = OPEN;
        *ret = f;
        return 0;
}

static int fetch_set_id(busrt_fetch *f, const void *payload, size_t len)
{
        struct cursor_payload p;
        int r = payload && len > 0 ? cursor_payload_decode(payload, len, &p) : -EBADMSG;

        if (r == 0)
                memcpy(f->id, p.id, sizeof(f->id));
        return r;
}

PUBLIC int busrt_fetch_new(busrt_client *client, const char *target, const void *payload,
                           size_t len, const busrt_cursor_methods *methods, busrt_fetch **ret)
{
        busrt_fetch *f;
        int r = ret ? fetch_make(client, target, methods, &f) : -EINVAL;

        if (r < 0)
                return r;
        r = fetch_set_id(f, payload, len);
        if (r == 0)
                *ret = f;
        else
                fetch_unref(f);
        return r;
}

PUBLIC int busrt_fetch_open(busrt_client *client, const char *target, const char *method,
                            const struct iovec *iov, size_t n_iov,
                            const busrt_cursor_methods *methods, uint64_t timeout,
                            busrt_rpc_error *error, busrt_fetch **ret)
{
        busrt_frame *reply = NULL;
        busrt_fetch *f;
        int r = ret ? fetch_make(client, target, methods, &f) : -EINVAL;

        /* First the memory: a cursor that nobody will use is a burden to the server. */
        if (r < 0)
                return r;
        r = busrt_client_call(client, target, method, iov, n_iov, 0, timeout, error, &reply);
        if (r == 0)
                r = fetch_set_id(f, reply->payload, reply->len);
        busrt_frame_unref(reply);
        if (r == 0)
                *ret = f;
        else
                fetch_unref(f);
        return r;
}

PUBLIC busrt_fetch *busrt_fetch_free(busrt_fetch *fetch)
{
        busrt_call *call;

        if (!fetch)
                return NULL;
        if (client_lock(fetch->client) < 0) {
                fetch_free_memory(fetch); /* in a forked child, where nothing is under way */
                return NULL;
        }
        fetch->freed = true;
        call = TAKE_PTR(fetch->call);
        (void)client_unlock(fetch->client, 0);
        /* Then its handler does not give up the call's reference. */
        if (call && busrt_call_cancel(call) == 0)
                fetch_unref(fetch);
        busrt_call_unref(call);
        fetch_unref(fetch);
        return NULL;
}

/* --- One call --- */

/* 1, and the fetch is busy; or what the function returns instead. */
static int fetch_begin(busrt_fetch *f, bool offered, uint64_t timeout)
{
        int r;

        if (f->busy || f->left > 0)
                return -EBUSY;
        if (f->over != OPEN)
                return f->over;
        r = !offered ? -ENOSYS : timeout == 0 ? -EAGAIN : 1;
        f->busy = r == 1;
        return r;
}

/* What a result means for the calls to come: see cursor.h. */
static int classify(busrt_fetch *f, int r, int code)
{
        if (r == -EREMOTEIO && code == BUSRT_RPC_NOT_FOUND)
                r = -ESTALE;
        switch (r) {
        case -EREMOTEIO:
                if (code == BUSRT_RPC_BUSY)
                        break;
                f->over = r;
                break;
        case -ESTALE:
        case -ETIMEDOUT:
        case -ECONNRESET:
        case -EIO:
        case -EREMOTE:
        case -ETIME:
                f->over = r;
                break;
        default:
                break;
        }
        return r;
}

/* Reads the reply to a call for so many items, 0: a single one. */
static int take_reply(busrt_fetch *f, uint32_t asked, const busrt_frame *reply)
{
        uint64_t count = reply->len > 0;
        int r = 0;

        f->rest = (struct item_reader){reply->payload, reply->payload + reply->len};
        if (asked > 0)
                r = cursor_array_decode(reply->payload, reply->len, &f->rest, &count);
        if (r < 0 || count > MAX(asked, UINT32_C(1)))
                return f->over = -EBADMSG;
        if (count < MAX(asked, UINT32_C(1)))
                f->over = 0;
        return (int)count;
}

/* The call is over: the number of items, 0 at the end, or -errno. */
static int fetch_end(busrt_fetch *f, uint32_t asked, int r, int code, const busrt_frame *reply)
{
        f->busy = false;
        if (f->over == -ECANCELED)
                return -ECANCELED;
        return r < 0 ? classify(f, r, code) : take_reply(f, asked, reply);
}

/* Items of that reply are given out one by one. */
static void keep_reply(busrt_fetch *f, int count, busrt_frame *reply)
{
        busrt_frame_unref(f->frame);
        f->frame = busrt_frame_ref(reply);
        f->left = (uint64_t)count;
}

/* Params of a call. */
struct params {
        uint8_t data[CURSOR_PAYLOAD_MAX];
        struct iovec iov;
};

static const struct iovec *params_make(struct params *p, const busrt_fetch *f, uint32_t asked)
{
        p->iov.iov_base = p->data;
        p->iov.iov_len = cursor_payload_encode(p->data, f->id, asked > 0 ? &asked : NULL);
        return &p->iov;
}

/* The fetch is busy, the client not locked. Returns with it locked. */
static int fetch_call(busrt_fetch *f, uint32_t asked, uint64_t timeout, busrt_rpc_error *error,
                      busrt_frame **ret_reply)
{
        busrt_rpc_error said = BUSRT_RPC_ERROR_INIT;
        struct params params;
        busrt_frame *reply = NULL;
        int r;

        r = busrt_client_call(f->client, f->target, asked > 0 ? f->next_bulk : f->next,
                              params_make(&params, f, asked), 1, 0, timeout, &said, &reply);
        pthread_mutex_lock(&f->client->lock);
        r = fetch_end(f, asked, r, said.code, reply);
        if (error && (r == -EREMOTEIO || r == -ESTALE)) {
                busrt_rpc_error_done(error);
                *error = said;
        } else
                busrt_rpc_error_done(&said);
        if (r > 0)
                *ret_reply = reply;
        else
                busrt_frame_unref(reply);
        return r;
}

static int fetch_frame(busrt_fetch *f, uint32_t asked, uint64_t timeout, busrt_rpc_error *error,
                       busrt_frame **ret)
{
        int r = client_lock(f->client);

        if (r < 0)
                return r;
        r = client_unlock(f->client, fetch_begin(f, asked > 0 ? f->next_bulk : f->next, timeout));
        if (r != 1)
                return r;
        r = fetch_call(f, asked, timeout, error, ret);
        return client_unlock(f->client, r);
}

PUBLIC int busrt_fetch_next(busrt_fetch *fetch, uint64_t timeout, busrt_rpc_error *error,
                            busrt_frame **ret)
{
        return fetch && ret ? fetch_frame(fetch, 0, timeout, error, ret) : -EINVAL;
}

PUBLIC int busrt_fetch_next_bulk(busrt_fetch *fetch, size_t n, uint64_t timeout,
                                 busrt_rpc_error *error, busrt_frame **ret)
{
        if (!fetch || !ret || n == 0 || n > INT_MAX)
                return -EINVAL;
        return fetch_frame(fetch, (uint32_t)n, timeout, error, ret);
}

/* --- Item by item --- */

PUBLIC int busrt_fetch_set_bulk(busrt_fetch *fetch, size_t n)
{
        int r;

        if (!fetch || n == 0 || n > INT_MAX)
                return -EINVAL;
        r = client_lock(fetch->client);
        if (r < 0)
                return r;
        fetch->bulk = (uint32_t)n;
        return client_unlock(fetch->client, 0);
}

/* Items to ask for at once. */
static uint32_t to_ask(const busrt_fetch *f)
{
        return f->next_bulk ? f->bulk : 0;
}

/* One of those that are here; the array was looked through when it came. */
static int take_item(busrt_fetch *f, const void **ret_data, size_t *ret_len)
{
        const uint8_t *begin = f->rest.p;

        if (f->next_bulk)
                (void)item_skip(&f->rest);
        else
                f->rest.p = f->rest.end;
        f->left--;
        *ret_data = begin;
        *ret_len = (size_t)(f->rest.p - begin);
        return 1;
}

/* The client is locked. */
static int fetch_item(busrt_fetch *f, uint64_t timeout, busrt_rpc_error *error,
                      const void **ret_data, size_t *ret_len)
{
        busrt_frame *reply = NULL;
        uint32_t asked;
        int r;

        if (!f->busy && f->left > 0)
                return take_item(f, ret_data, ret_len);
        r = fetch_begin(f, true, timeout);
        if (r != 1)
                return r;
        asked = to_ask(f);
        (void)client_unlock(f->client, 0);
        r = fetch_call(f, asked, timeout, error, &reply);
        if (r <= 0)
                return r;
        keep_reply(f, r, reply);
        busrt_frame_unref(reply);
        return take_item(f, ret_data, ret_len);
}

PUBLIC int busrt_fetch_item(busrt_fetch *fetch, uint64_t timeout, busrt_rpc_error *error,
                            const void **ret_data, size_t *ret_len)
{
        int r;

        if (!fetch || !ret_data || !ret_len)
                return -EINVAL;
        r = client_lock(fetch->client);
        if (r < 0)
                return r;
        r = fetch_item(fetch, timeout, error, ret_data, ret_len);
        return client_unlock(fetch->client, r);
}

/* --- Without waiting --- */

static void on_more(busrt_client *c, int result, const busrt_rpc_error *error, busrt_frame *reply,
                    void *userdata)
{
        busrt_fetch *f = userdata;
        busrt_call *call;
        busrt_fetch_handler handler;
        void *data;
        bool freed;

        pthread_mutex_lock(&c->lock);
        f->n_ended = f->n_begun;
        call = TAKE_PTR(f->call);
        handler = f->handler;
        data = f->userdata;
        freed = f->freed;
        result = fetch_end(f, f->asked, result, error ? error->code : 0, reply);
        if (result > 0 && !freed)
                keep_reply(f, result, reply);
        (void)client_unlock(c, 0);
        busrt_call_unref(call);
        if (!freed)
                handler(f, result, result == -EREMOTEIO || result == -ESTALE ? error : NULL, data);
        fetch_unref(f);
}

/* The call has been started, and may have ended by now. */
static void keep_call(busrt_fetch *f, unsigned number, busrt_call *call)
{
        pthread_mutex_lock(&f->client->lock);
        if (f->n_ended != number)
                f->call = TAKE_PTR(call);
        (void)client_unlock(f->client, 0);
        busrt_call_unref(call);
}

static int start_more(busrt_fetch *f, unsigned number, uint64_t timeout)
{
        struct params params;
        busrt_call *call;
        int r;

        atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
        r = busrt_client_call_async(f->client, f->target, f->asked > 0 ? f->next_bulk : f->next,
                                    params_make(&params, f, f->asked), 1, 0, timeout, on_more, f,
                                    &call);
        if (r == 0) {
                keep_call(f, number, call);
                return 0;
        }
        pthread_mutex_lock(&f->client->lock);
        r = fetch_end(f, f->asked, r, 0, NULL);
        (void)client_unlock(f->client, 0);
        fetch_unref(f);
        return r;
}

PUBLIC int busrt_fetch_more(busrt_fetch *fetch, uint64_t timeout, busrt_fetch_handler handler,
                            void *userdata)
{
        unsigned number = 0;
        int r;

        if (!fetch || !handler)
                return -EINVAL;
        r = client_lock(fetch->client);
        if (r < 0)
                return r;
        r = fetch_begin(fetch, true, timeout);
        if (r == 1) {
                fetch->handler = handler;
                fetch->userdata = userdata;
                fetch->asked = to_ask(fetch);
                number = ++fetch->n_begun;
        }
        (void)client_unlock(fetch->client, 0);
        if (r != 1)
                return r == 0 ? -ENODATA : r;
        return start_more(fetch, number, timeout);
}

/* --- No more of it --- */

PUBLIC int busrt_fetch_cancel(busrt_fetch *fetch)
{
        struct params params;
        bool tell;
        int r = client_lock(fetch ? fetch->client : NULL);

        if (r < 0)
                return r;
        tell = fetch->over != 0 && fetch->over != -ESTALE && fetch->over != -ECANCELED;
        fetch->over = -ECANCELED;
        fetch->left = 0;
        (void)client_unlock(fetch->client, 0);
        if (!tell)
                return 0;
        if (!fetch->cancel)
                return -ENOSYS;
        return busrt_client_call0(fetch->client, fetch->target, fetch->cancel,
                                  params_make(&params, fetch, 0), 1, BUSRT_QOS_NO, NULL);
}
