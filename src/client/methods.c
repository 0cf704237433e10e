/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Remote calls, the called side: the table of methods by name, and whose turn a request is.
 *
 * A method is counted: one reference of the table, and one of the dispatcher while its handler
 * runs, since another thread may remove it meanwhile.
 */
#include "basic/table.h"
#include "basic/utf8.h"
#include "client/internal.h"
#include "wire/frame.h"
#include "wire/rpc.h"

struct method {
        struct table_node node; /* first: what the table gives is it */
        struct method *next;    /* of those that are to be added */
        atomic_uint refs;
        busrt_method_handler handler;
        void *userdata;
        uint64_t timeout;
        void *result; /* its own: of "info" */
        char name[];
};

struct methods {
        struct table by_name;
};

/* --- A method --- */

static struct method *method_unref(struct method *m)
{
        if (m && atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) == 1) {
                free(m->result);
                free(m);
        }
        return NULL;
}

static int method_new(const busrt_method *from, struct method **ret)
{
        size_t len;
        struct method *m;

        if (!from->name || !from->handler)
                return -EINVAL;
        len = strlen(from->name);
        if (len == 0 || !utf8_is_valid(from->name, len))
                return -EINVAL;
        m = malloc(sizeof(*m) + len + 1);
        if (!m)
                return -ENOMEM;
        *m = (struct method){
                .handler = from->handler, .userdata = from->userdata, .timeout = from->timeout};
        atomic_init(&m->refs, 1);
        memcpy(m->name, from->name, len + 1);
        *ret = m;
        return 0;
}

static void list_freep(struct method **list)
{
        while (*list) {
                struct method *m = *list;

                *list = m->next;
                method_unref(m);
        }
}

static int list_new(const busrt_method *methods, size_t n, struct method **ret)
{
        _cleanup_(list_freep) struct method *list = NULL;

        for (size_t i = 0; i < n; i++) {
                struct method *m;
                int r = method_new(&methods[i], &m);

                if (r < 0)
                        return r;
                m->next = list;
                list = m;
        }
        *ret = TAKE_PTR(list);
        return 0;
}

/* --- The table --- */

static struct method *methods_find(const struct methods *methods, const char *name)
{
        struct table_node *node;
        uint64_t hash;

        if (!methods)
                return NULL;
        hash = table_hash(&methods->by_name, name, strlen(name));
        table_foreach (node, &methods->by_name, hash)
                if (strcmp(container_of(node, struct method, node)->name, name) == 0)
                        return container_of(node, struct method, node);
        return NULL;
}

static void methods_insert(struct methods *methods, struct method *m)
{
        table_insert(&methods->by_name, &m->node,
                     table_hash(&methods->by_name, m->name, strlen(m->name)));
}

static void methods_remove(struct methods *methods, struct method *m)
{
        table_remove(&methods->by_name, &m->node);
        method_unref(m);
}

bool methods_any(const busrt_client *c)
{
        return c->methods && c->methods->by_name.n_entries > 0;
}

void methods_free(struct methods *methods)
{
        struct table_node *node;

        if (!methods)
                return;
        while ((node = table_walk(&methods->by_name, NULL)))
                methods_remove(methods, container_of(node, struct method, node));
        table_done(&methods->by_name);
        free(methods);
}

static int methods_make(busrt_client *c)
{
        if (c->methods)
                return 0;
        c->methods = malloc(sizeof(*c->methods));
        if (!c->methods)
                return -ENOMEM;
        table_init(&c->methods->by_name);
        return 0;
}

/* Moves the list into the table, up to a name that is there. ret_done: those that were. */
static int insert_list(struct methods *methods, struct method **list, struct method **ret_done)
{
        struct method *m;

        while ((m = *list)) {
                if (methods_find(methods, m->name))
                        return -EEXIST;
                *list = m->next;
                m->next = *ret_done;
                *ret_done = m;
                methods_insert(methods, m);
        }
        return 0;
}

/* All of the list, or none. */
static int add_list(busrt_client *c, struct method **list)
{
        struct method *m, *done = NULL;
        bool had = methods_any(c);
        int r = methods_make(c);

        if (r == 0)
                r = insert_list(c->methods, list, &done);
        /* What came as messages may be for them. */
        if (r == 0 && !had && !c->on_request)
                r = frames_sort_again(c);
        while (r < 0 && (m = done)) {
                done = m->next;
                methods_remove(c->methods, m);
        }
        return r;
}

PUBLIC int busrt_client_add_methods(busrt_client *client, const busrt_method *methods, size_t n)
{
        _cleanup_(list_freep) struct method *list = NULL;
        int r;

        if (client && client_forked(client))
                return -ECHILD;
        r = client && methods && n > 0 ? list_new(methods, n, &list) : -EINVAL;
        if (r == 0)
                r = client_lock(client);
        return r < 0 ? r : client_unlock(client, add_list(client, &list));
}

PUBLIC int busrt_client_remove_method(busrt_client *client, const char *name)
{
        struct method *m;
        int r = client_lock(client);

        if (r < 0)
                return r;
        if (!name || !name[0])
                return client_unlock(client, -EINVAL);
        m = methods_find(client->methods, name);
        if (m)
                methods_remove(client->methods, m);
        return client_unlock(client, m ? 0 : -ENOENT);
}

/* --- test and info --- */

#define INFO_TEXTS 3
#define STR_HEAD_MAX 5

static int no_params(busrt_request *request)
{
        return request->len > 0 ? BUSRT_RPC_INVALID_PARAMS : 0;
}

static int method_test(busrt_client *c, busrt_request *request, void *userdata)
{
        static const uint8_t result[] = {0x81, 0xa2, 'o', 'k', 0xc3};
        struct iovec iov = {(void *)(uintptr_t)result, sizeof(result)};
        int r = no_params(request);

        return r < 0 ? r : busrt_request_reply(request, &iov, 1);
}

struct info {
        size_t len;
        uint8_t map[];
};

static int method_info(busrt_client *c, busrt_request *request, void *userdata)
{
        struct info *info = userdata;
        struct iovec iov = {info->map, info->len};
        int r = no_params(request);

        return r < 0 ? r : busrt_request_reply(request, &iov, 1);
}

/* A text in MessagePack. Returns what is behind it. */
static uint8_t *pack_text(uint8_t *p, const char *text)
{
        size_t len = strlen(text);

        if (len < 32)
                *p++ = (uint8_t)(0xa0 | len);
        else {
                *p++ = 0xdb;
                for (int shift = 24; shift >= 0; shift -= 8)
                        *p++ = (uint8_t)(len >> shift);
        }
        memcpy(p, text, len);
        return p + len;
}

static int info_new(const char *const values[INFO_TEXTS], struct info **ret)
{
        static const char *const keys[INFO_TEXTS] = {"author", "description", "version"};
        size_t size = 1;
        struct info *info;
        uint8_t *p;

        for (size_t i = 0; i < INFO_TEXTS; i++) {
                size_t len = values[i] ? strlen(values[i]) : 0;

                if (len > UINT32_MAX || (values[i] && !utf8_is_valid(values[i], len)))
                        return -EINVAL;
                size += strlen(keys[i]) + len + (size_t)2 * STR_HEAD_MAX;
        }
        info = malloc(sizeof(*info) + size);
        if (!info)
                return -ENOMEM;
        info->map[0] = 0x80;
        p = info->map + 1;
        for (size_t i = 0; i < INFO_TEXTS; i++)
                if (values[i]) {
                        info->map[0]++;
                        p = pack_text(pack_text(p, keys[i]), values[i]);
                }
        info->len = (size_t)(p - info->map);
        *ret = info;
        return 0;
}

PUBLIC int busrt_client_add_info(busrt_client *client, const char *author, const char *description,
                                 const char *version)
{
        _cleanup_(list_freep) struct method *list = NULL;
        _cleanup_free_ struct info *info = NULL;
        int r;

        if (client && client_forked(client))
                return -ECHILD;
        r = client ? info_new((const char *const[]){author, description, version}, &info) : -EINVAL;
        if (r == 0) {
                const busrt_method methods[] = {{"info", method_info, info, 0},
                                                {"test", method_test, NULL, 0}};

                r = list_new(methods, ARRAY_SIZE(methods), &list);
        }
        if (r < 0)
                return r;
        list->next->result = TAKE_PTR(info); /* the list is the other way round */
        r = client_lock(client);
        return r < 0 ? r : client_unlock(client, add_list(client, &list));
}

/* --- Limits --- */

PUBLIC int busrt_client_set_request_timeout(busrt_client *client, uint64_t usec)
{
        int r = client_lock(client);

        if (r < 0)
                return r;
        if (usec == 0)
                return client_unlock(client, -EINVAL);
        client->request_timeout = usec;
        return client_unlock(client, 0);
}

PUBLIC int busrt_client_set_max_requests(busrt_client *client, size_t n)
{
        int r = client_lock(client);

        if (r < 0)
                return r;
        if (n == 0)
                return client_unlock(client, -EINVAL);
        client->max_running = n;
        return client_unlock(client, 0);
}

/* --- A request's turn --- */

PUBLIC int busrt_rpc_code(int error)
{
        switch (error) {
        case -EINVAL:
        case -ERANGE:
                return BUSRT_RPC_INVALID_PARAMS;
        case -EBADMSG:
                return BUSRT_RPC_PARSE;
        case -ENOSYS:
                return BUSRT_RPC_METHOD_NOT_FOUND;
        case -ENOENT:
                return BUSRT_RPC_NOT_FOUND;
        case -EHOSTUNREACH:
                return BUSRT_RPC_NOT_REGISTERED;
        case -EIO:
                return BUSRT_RPC_IO;
        case -EREMOTE:
                return BUSRT_RPC_OTHER;
        case -EOPNOTSUPP:
                return BUSRT_RPC_NOT_SUPPORTED;
        case -EBUSY:
                return BUSRT_RPC_BUSY;
        case -ENOBUFS:
                return BUSRT_RPC_NOT_DELIVERED;
        case -ETIME:
        case -ETIMEDOUT:
                return BUSRT_RPC_TIMEOUT;
        case -EACCES:
                return BUSRT_RPC_ACCESS;
        default:
                return BUSRT_RPC_INTERNAL;
        }
}

/* The client is locked. True: a handler is to be called, ret's or, where that is NULL, the other.
 */
static bool begin(busrt_request *request, bool has_other, struct method **ret)
{
        busrt_client *c = request->client;
        struct method *m = methods_find(c->methods, request->method);
        uint64_t timeout = m && m->timeout ? m->timeout : c->request_timeout;

        if (request->ended != 0)
                return false; /* cancelled */
        if (!m && !has_other) {
                if (c->methods)
                        (void)request_fail(request, BUSRT_RPC_METHOD_NOT_FOUND, NULL);
                return false;
        }
        if (c->n_running >= c->max_running) {
                (void)request_fail(request, BUSRT_RPC_BUSY, NULL);
                return false;
        }
        if (m)
                atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
        request_start(request, timeout);
        *ret = m;
        return true;
}

void request_fail_as(busrt_request *request, int r)
{
        bool is_code = r <= -4096;
        int code = r < INT16_MIN ? BUSRT_RPC_INTERNAL : is_code ? r : busrt_rpc_code(r);

        (void)request_fail(request, code, is_code ? NULL : busrt_strerror(r));
}

/* What a handler returned instead of a reply. */
static void fail(busrt_request *request, int r)
{
        busrt_client *c = request->client;

        pthread_mutex_lock(&c->lock);
        if (request->ended == 0)
                request_fail_as(request, r);
        (void)client_unlock(c, 0);
}

void request_run(busrt_request *request, busrt_request_handler other, void *other_data)
{
        busrt_client *c = request->client;
        struct method *m = NULL;
        bool wanted;
        int r = 0;

        pthread_mutex_lock(&c->lock);
        wanted = begin(request, other != NULL, &m);
        (void)client_unlock(c, 0);
        if (!wanted)
                return;
        if (m)
                r = m->handler(c, request, m->userdata);
        else
                other(c, request, other_data);
        method_unref(m);
        if (r < 0)
                fail(request, r);
}
