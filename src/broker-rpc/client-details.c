/* SPDX-License-Identifier: Apache-2.0 */
#include "access/access.h"
#include "basic/macro.h"
#include "broker-rpc/client-details.h"
#include "broker-rpc/pack.h"

#define N_FIELDS 21
#define N_LISTS 3

static int add_text(const char *text, size_t len, void *userdata)
{
        struct pack_array *array = userdata;

        if (pack_bytes(&array->packer, text, len) < 0)
                return -ENOMEM;
        array->n++;
        return array->items.size > CLIENT_DETAILS_MAX ? -EMSGSIZE : 0;
}

static int pack_lists(struct engine *engine, uint64_t id, msgpack_packer *pk)
{
        _cleanup_(pack_array_done) struct pack_array array;
        int r;

        pack_array_init(&array);
        r = engine_foreach_secondary(engine, id, add_text, &array);
        if (r < 0)
                return r;
        if (pack_array_field(pk, "secondaries", &array) < 0)
                return -ENOMEM;
        r = engine_foreach_subscription(engine, id, false, add_text, &array);
        if (r < 0)
                return r;
        if (pack_array_field(pk, "subscriptions", &array) < 0)
                return -ENOMEM;
        r = engine_foreach_subscription(engine, id, true, add_text, &array);
        if (r < 0)
                return r;
        return pack_array_field(pk, "exclusions", &array) < 0 ? -ENOMEM : 0;
}

static int pack_who(const struct engine_client_info *info, msgpack_packer *pk,
                    const msgpack_sbuffer *buffer, size_t *ret_name)
{
        size_t len = strlen(info->name);
        int r = pack_number_field(pk, "id", info->id);

        r = r < 0 ? r : pack_text(pk, "name");
        r = r < 0 ? r : pack_bytes(pk, info->name, len);
        *ret_name = buffer->size - len;
        r = r < 0 ? r : pack_text_field(pk, "kind", transport_kind_name(info->kind));
        r = r < 0 ? r : pack_text_field(pk, "source", info->source);
        r = r < 0 ? r : pack_text_field(pk, "port", info->listener);
        r = r < 0 ? r : pack_text(pk, "primary");
        if (info->primary)
                r = r < 0 ? r : msgpack_pack_nil(pk);
        else
                r = r < 0 ? r : pack_bytes(pk, info->name, access_primary_len(info->name, len));
        r = r < 0 ? r : pack_known_field(pk, "uid", info->uid, (uid_t)-1);
        r = r < 0 ? r : pack_known_field(pk, "gid", info->gid, (gid_t)-1);
        r = r < 0 ? r : pack_known_field(pk, "pid", (uint64_t)info->pid, 0);
        return r < 0 ? r : pack_number_field(pk, "connected", info->connected_at);
}

static int pack_numbers(const struct engine_client_info *info, msgpack_packer *pk)
{
        int r = pack_number_field(pk, "r_frames", info->r_frames);

        r = r < 0 ? r : pack_number_field(pk, "r_bytes", info->r_bytes);
        r = r < 0 ? r : pack_number_field(pk, "w_frames", info->w_frames);
        r = r < 0 ? r : pack_number_field(pk, "w_bytes", info->w_bytes);
        r = r < 0 ? r : pack_number_field(pk, "dropped", info->dropped);
        r = r < 0 ? r : pack_number_field(pk, "queue", info->queue_frames);
        r = r < 0 ? r : pack_number_field(pk, "queue_bytes", info->queue_bytes);
        r = r < 0 ? r : pack_number_field(pk, "queue_max", info->queue_frames_max);
        r = r < 0 ? r : pack_number_field(pk, "queue_bytes_max", info->queue_bytes_max);
        r = r < 0 ? r : pack_number_field(pk, "paced", info->paced);
        return r < 0 ? r : pack_number_field(pk, "instances", info->instances);
}

int client_details_pack(struct engine *engine, const struct engine_client_info *info, bool masks,
                        msgpack_sbuffer *buffer, size_t *ret_name)
{
        msgpack_packer pk;
        size_t name = 0;
        int r;

        msgpack_packer_init(&pk, buffer, msgpack_sbuffer_write);
        r = msgpack_pack_map(&pk, N_FIELDS + (masks ? N_LISTS : 0));
        r = r < 0 ? r : pack_who(info, &pk, buffer, &name);
        r = r < 0 ? r : pack_numbers(info, &pk);
        if (r < 0)
                return -ENOMEM;
        r = masks ? pack_lists(engine, info->id, &pk) : 0;
        if (r < 0)
                return r;
        if (buffer->size > CLIENT_DETAILS_MAX)
                return -EMSGSIZE;
        *ret_name = name;
        return 0;
}
