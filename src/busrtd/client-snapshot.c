/* SPDX-License-Identifier: Apache-2.0 */
/* Strings go into chunks that never move, so that pointers to them stay right while more come. */
#include <bsd/string.h>

#include "basic/macro.h"
#include "busrtd/client-snapshot.h"
#include "busrtd/text.h"
#include "wire/handshake.h"

#define CHUNK_SIZE ((size_t)64 * 1024)
/* What one message of D-Bus may well hold. */
#define BYTES_MAX ((size_t)24 * 1024 * 1024)
#define TEXTS_MAX ((size_t)200 * 1000)

struct client_snapshot_chunk {
        struct client_snapshot_chunk *next;
        size_t used, size;
        char bytes[];
};

struct visit {
        struct engine *engine;
        struct client_snapshot *snapshot;
        const char *name; /* NULL: by id, or all */
        uint64_t id;
        bool all;
        unsigned wanted;
        enum client_text_kind kind; /* of what is copied now */
        int error;
};

void client_snapshot_done(struct client_snapshot *s)
{
        struct client_snapshot_chunk *chunk;

        while ((chunk = s->chunks)) {
                s->chunks = chunk->next;
                free(chunk);
        }
        free(s->clients);
        free(s->texts);
        *s = (struct client_snapshot){0};
}

/* --- On the worker: copies only --- */

static int add_chunk(struct client_snapshot *s, size_t size)
{
        struct client_snapshot_chunk *chunk = malloc(sizeof(*chunk) + size);

        if (!chunk)
                return -ENOMEM;
        chunk->next = s->chunks;
        chunk->used = 0;
        chunk->size = size;
        s->chunks = chunk;
        return 0;
}

static int copy_text(struct client_snapshot *s, const char *text, size_t len, const char **ret)
{
        struct client_snapshot_chunk *chunk = s->chunks;
        char *copy;
        int r;

        s->n_bytes += len + 1;
        if (s->n_bytes > BYTES_MAX)
                return -E2BIG;
        if (!chunk || chunk->size - chunk->used <= len) {
                r = add_chunk(s, MAX(CHUNK_SIZE, len + 1));
                if (r < 0)
                        return r;
                chunk = s->chunks;
        }
        copy = chunk->bytes + chunk->used;
        memcpy(copy, text, len);
        copy[len] = '\0';
        chunk->used += len + 1;
        *ret = copy;
        return 0;
}

/* Room for one more in an array that doubles. */
static int make_room(void **array, size_t *n_allocated, size_t n, size_t size)
{
        size_t more = *n_allocated ? *n_allocated * 2 : 16;
        void *larger;

        if (n < *n_allocated)
                return 0;
        larger = reallocarray(*array, more, size);
        if (!larger)
                return -ENOMEM;
        *array = larger;
        *n_allocated = more;
        return 0;
}

static int copy_strings(struct client_snapshot *s, struct engine_client_info *info)
{
        int r = copy_text(s, info->name, strlen(info->name), &info->name);

        if (r == 0 && info->source)
                r = copy_text(s, info->source, strlen(info->source), &info->source);
        if (r == 0 && info->listener)
                r = copy_text(s, info->listener, strlen(info->listener), &info->listener);
        return r;
}

static int on_text(const char *text, size_t len, void *userdata)
{
        struct visit *v = userdata;
        struct client_snapshot *s = v->snapshot;
        struct client_text *to;
        int r = s->n_texts == TEXTS_MAX ? -E2BIG : 0;

        if (r == 0)
                r = make_room((void **)&s->texts, &s->n_texts_allocated, s->n_texts,
                              sizeof(*s->texts));
        if (r < 0)
                return r;
        to = &s->texts[s->n_texts];
        to->client = s->n_clients - 1;
        to->kind = v->kind;
        r = copy_text(s, text, len, &to->text);
        if (r == 0)
                s->n_texts++;
        return r;
}

static int copy_texts(struct visit *v, uint64_t id)
{
        int r = 0;

        if (v->wanted & CLIENT_SNAPSHOT_MASKS) {
                v->kind = CLIENT_TEXT_MASK;
                r = engine_foreach_subscription(v->engine, id, false, on_text, v);
                v->kind = CLIENT_TEXT_EXCLUSION;
                if (r == 0)
                        r = engine_foreach_subscription(v->engine, id, true, on_text, v);
        }
        if (r == 0 && v->wanted & CLIENT_SNAPSHOT_SECONDARIES) {
                v->kind = CLIENT_TEXT_SECONDARY;
                r = engine_foreach_secondary(v->engine, id, on_text, v);
        }
        return r;
}

static int on_client(const struct engine_client_info *info, void *userdata)
{
        struct visit *v = userdata;
        struct client_snapshot *s = v->snapshot;
        int r;

        if (info->kind == TRANSPORT_INTERNAL)
                return 0;
        r = make_room((void **)&s->clients, &s->n_clients_allocated, s->n_clients,
                      sizeof(*s->clients));
        if (r < 0)
                return r;
        s->clients[s->n_clients] = *info;
        r = copy_strings(s, &s->clients[s->n_clients]);
        if (r < 0)
                return r;
        s->n_clients++;
        return copy_texts(v, info->id);
}

static int visit_one(struct visit *v)
{
        struct engine_client_info info;
        int r = v->name ? engine_find_client(v->engine, v->name, strlen(v->name), &info)
                        : engine_get_client(v->engine, v->id, &info);

        if (r < 0)
                return r;
        return info.kind == TRANSPORT_INTERNAL ? -ENOENT : on_client(&info, v);
}

static void on_worker(struct engine *engine, void *userdata)
{
        struct visit *v = userdata;

        v->error = v->all ? engine_foreach_client(engine, on_client, v) : visit_one(v);
}

/* --- On the main thread --- */

/* One text that libsystemd refuses would spoil the whole answer. The copies are the snapshot's own.
 */
static void suit_dbus(struct client_snapshot *s)
{
        for (size_t i = 0; i < s->n_clients; i++)
                text_suit_dbus((char *)s->clients[i].name);
        for (size_t i = 0; i < s->n_texts; i++)
                text_suit_dbus((char *)s->texts[i].text);
}

static int compare_names(const void *a, const void *b)
{
        return strcmp(((const struct engine_client_info *)a)->name,
                      ((const struct engine_client_info *)b)->name);
}

static int compare_texts(const void *a, const void *b, void *userdata)
{
        const struct client_text *x = a, *y = b;
        const struct client_snapshot *s = userdata;
        int r = strcmp(s->clients[x->client].name, s->clients[y->client].name);

        if (r == 0)
                r = (int)x->kind - (int)y->kind;
        return r ? r : strcmp(x->text, y->text);
}

/* Where nobody comes meanwhile, nothing has to grow while the worker waits. */
static int reserve(struct engine *engine, struct client_snapshot *s)
{
        struct engine_counters counters;

        engine_get_counters(engine, &counters);
        s->n_clients_allocated = counters.clients + 16;
        s->clients = calloc(s->n_clients_allocated, sizeof(*s->clients));
        if (!s->clients)
                return -ENOMEM;
        return add_chunk(s, MIN(MAX(CHUNK_SIZE, s->n_clients_allocated * 64), BYTES_MAX));
}

static int take(struct engine *engine, struct visit *v, uint64_t timeout,
                struct client_snapshot *ret)
{
        _cleanup_(client_snapshot_done) struct client_snapshot s = {0};
        int r = v->all ? reserve(engine, &s) : 0;

        if (r < 0)
                return r;
        v->engine = engine;
        v->snapshot = &s;
        r = engine_inspect(engine, on_worker, v, timeout);
        if (r == 0)
                r = v->error;
        if (r < 0)
                return r;
        suit_dbus(&s);
        if (s.n_texts)
                qsort_r(s.texts, s.n_texts, sizeof(*s.texts), compare_texts, &s);
        *ret = s;
        s = (struct client_snapshot){0};
        return 0;
}

int client_snapshot_take_all(struct engine *engine, unsigned wanted, uint64_t timeout,
                             struct client_snapshot *ret)
{
        struct visit v = {.all = true, .wanted = wanted};
        int r = take(engine, &v, timeout, ret);

        if (r == 0 && !wanted)
                qsort(ret->clients, ret->n_clients, sizeof(*ret->clients), compare_names);
        return r;
}

int client_snapshot_take_name(struct engine *engine, const char *name, unsigned wanted,
                              uint64_t timeout, struct client_snapshot *ret)
{
        struct visit v = {.name = name, .wanted = wanted};

        if (name && strlen(name) > WIRE_NAME_MAX)
                return -ENOENT;
        return take(engine, &v, timeout, ret);
}

int client_snapshot_take_id(struct engine *engine, uint64_t id, unsigned wanted, uint64_t timeout,
                            struct client_snapshot *ret)
{
        struct visit v = {.id = id, .wanted = wanted};

        return take(engine, &v, timeout, ret);
}

const char *client_primary_name(const struct engine_client_info *info, char *out, size_t size)
{
        const char *end = info->primary ? NULL : strstr(info->name, "%%");
        size_t len = end ? (size_t)(end - info->name) : 0;

        (void)strlcpy(out, info->name, MIN(size, len + 1));
        return out;
}
