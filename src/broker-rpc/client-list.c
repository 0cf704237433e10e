/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients are packed as the engine shows them, in no order. Then their records are sorted by name
 * and put together. All memory is in three growing arrays, freed when the list is done.
 */
#include "basic/macro.h"
#include "broker-rpc/client-details.h"
#include "broker-rpc/client-list.h"
#include "broker-rpc/pack.h"

struct entry {
        size_t offset, len; /* of the packed client */
        size_t name, name_len;
};

struct list {
        struct engine *engine;
        struct filter *filter; /* of client.list */
        bool masks;            /* of an administrator's list: with them */
        msgpack_sbuffer records;
        msgpack_packer packer; /* into records */
        struct entry *entries;
        size_t n, max;
};

static void list_done(struct list *l)
{
        msgpack_sbuffer_destroy(&l->records);
        free(l->entries);
}

static int add_entry(struct list *l, struct entry **ret)
{
        if (l->n == l->max) {
                size_t max = l->max ? l->max * 2 : 64;
                struct entry *entries = realloc(l->entries, max * sizeof(*entries));

                if (!entries)
                        return -ENOMEM;
                l->entries = entries;
                l->max = max;
        }
        *ret = &l->entries[l->n++];
        return 0;
}

static int pack_client(struct list *l, const struct engine_client_info *info, size_t name_len,
                       size_t *ret_name)
{
        msgpack_packer *pk = &l->packer;
        int r = msgpack_pack_map(pk, 10);

        r = r < 0 ? r : pack_text(pk, "name");
        r = r < 0 ? r : msgpack_pack_str(pk, name_len);
        *ret_name = l->records.size;
        r = r < 0 ? r : msgpack_pack_str_body(pk, info->name, name_len);
        r = r < 0 ? r : pack_text_field(pk, "kind", transport_kind_name(info->kind));
        r = r < 0 ? r : pack_text_field(pk, "source", info->source);
        r = r < 0 ? r : pack_text_field(pk, "port", info->listener);
        r = r < 0 ? r : pack_number_field(pk, "r_frames", info->r_frames);
        r = r < 0 ? r : pack_number_field(pk, "r_bytes", info->r_bytes);
        r = r < 0 ? r : pack_number_field(pk, "w_frames", info->w_frames);
        r = r < 0 ? r : pack_number_field(pk, "w_bytes", info->w_bytes);
        r = r < 0 ? r : pack_number_field(pk, "queue", info->queue_frames);
        r = r < 0 ? r : pack_number_field(pk, "instances", info->instances);
        return r < 0 ? -ENOMEM : 0;
}

/* For client.list: primaries, as the reference shows them. */
static int add_client(const struct engine_client_info *info, void *userdata)
{
        struct list *l = userdata;
        size_t name_len = strlen(info->name);
        struct entry *entry;
        int r = 1;

        if (!info->primary)
                return 0;
        if (l->filter)
                r = filter_match(l->filter, info->name, name_len);
        if (r <= 0)
                return r;
        r = add_entry(l, &entry);
        if (r < 0)
                return r;
        entry->offset = l->records.size;
        entry->name_len = name_len;
        r = pack_client(l, info, name_len, &entry->name);
        entry->len = l->records.size - entry->offset;
        return r;
}

/* For an administrator: all but `.broker`. */
static int add_details(const struct engine_client_info *info, void *userdata)
{
        struct list *l = userdata;
        struct entry *entry;
        int r;

        if (info->kind == TRANSPORT_INTERNAL)
                return 0;
        r = add_entry(l, &entry);
        if (r < 0)
                return r;
        entry->offset = l->records.size;
        entry->name_len = strlen(info->name);
        r = client_details_pack(l->engine, info, l->masks, &l->records, &entry->name);
        entry->len = l->records.size - entry->offset;
        return r;
}

static int compare_entries(const void *a, const void *b, void *records)
{
        const struct entry *x = a, *y = b;
        const char *base = records;
        int r = memcmp(base + x->name, base + y->name, MIN(x->name_len, y->name_len));

        if (r != 0)
                return r;
        return (x->name_len > y->name_len) - (x->name_len < y->name_len);
}

static int put_together(struct list *l, msgpack_sbuffer *ret)
{
        msgpack_packer pk;
        int r;

        if (l->n > 1)
                qsort_r(l->entries, l->n, sizeof(*l->entries), compare_entries, l->records.data);
        msgpack_packer_init(&pk, ret, msgpack_sbuffer_write);
        r = msgpack_pack_map(&pk, 1);
        r = r < 0 ? r : pack_text(&pk, "clients");
        r = r < 0 ? r : msgpack_pack_array(&pk, l->n);
        for (size_t i = 0; r >= 0 && i < l->n; i++)
                r = msgpack_sbuffer_write(ret, l->records.data + l->entries[i].offset,
                                          l->entries[i].len);
        return r < 0 ? -ENOMEM : 0;
}

static int list_clients(struct list *l,
                        int (*add)(const struct engine_client_info *info, void *userdata),
                        msgpack_sbuffer *ret)
{
        int r;

        msgpack_sbuffer_init(&l->records);
        msgpack_packer_init(&l->packer, &l->records, msgpack_sbuffer_write);
        r = engine_foreach_client(l->engine, add, l);
        return r < 0 ? r : put_together(l, ret);
}

int client_list_pack(struct engine *engine, struct filter *filter, msgpack_sbuffer *ret)
{
        _cleanup_(list_done) struct list l = {.engine = engine, .filter = filter};

        return list_clients(&l, add_client, ret);
}

int client_list_pack_details(struct engine *engine, bool masks, msgpack_sbuffer *ret)
{
        _cleanup_(list_done) struct list l = {.engine = engine, .masks = masks};

        return list_clients(&l, add_details, ret);
}
