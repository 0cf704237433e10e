/* SPDX-License-Identifier: Apache-2.0 */
#include "basic/clock.h"
#include "basic/macro.h"
#include "busrtctl/map-read.h"

int map_read_text(const msgpack_object *map, const char *key, struct admin_memory *memory,
                  const char **ret)
{
        const char *text = "";
        size_t len = 0;
        int r = busrt_map_get_string(map, key, &text, &len);

        return r < 0 && r != -ENOENT ? r : admin_memory_add_text(memory, text, len, ret);
}

static int read_field(const msgpack_object *map, const struct admin_field *field,
                      struct admin_memory *memory, void *structure)
{
        void *place = admin_field_in(structure, field);
        uint64_t value;
        int r;

        if (field->type == 's')
                return map_read_text(map, field->key, memory, place);
        r = busrt_map_get_uint(map, field->key, &value);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        if (field->type == 'u' && value > UINT32_MAX)
                return -ERANGE;
        if (field->type == 'u')
                *(uint32_t *)place = (uint32_t)value;
        else
                *(uint64_t *)place = field->nsec ? value / NSEC_PER_USEC : value;
        return 0;
}

int map_read_fields(const msgpack_object *map, const struct admin_fields *fields,
                    struct admin_memory *memory, void *structure)
{
        int r = map->type == MSGPACK_OBJECT_MAP ? 0 : -EBADMSG;

        for (size_t i = 0; r >= 0 && i < fields->n; i++)
                r = read_field(map, &fields->fields[i], memory, structure);
        return r;
}

int map_foreach(const msgpack_object *map, const char *key,
                int (*fn)(const msgpack_object *item, struct admin_memory *memory, void *userdata),
                struct admin_memory *memory, void *userdata)
{
        const msgpack_object *array = busrt_map_get(map, key);
        int r = array && array->type == MSGPACK_OBJECT_ARRAY ? 0 : -EBADMSG;

        for (size_t i = 0; r >= 0 && i < array->via.array.size; i++) {
                const msgpack_object *item = &array->via.array.ptr[i];

                r = item->type == MSGPACK_OBJECT_MAP ? fn(item, memory, userdata) : -EBADMSG;
        }
        return r;
}

int map_read_words(const msgpack_object *map, const char *key, struct admin_memory *memory,
                   const char ***ret)
{
        const msgpack_object *array = busrt_map_get(map, key);
        size_t n = 0;
        int r = 0;

        if (!array)
                return 0;
        if (array->type != MSGPACK_OBJECT_ARRAY)
                return -EBADMSG;
        for (size_t i = 0; r >= 0 && i < array->via.array.size; i++) {
                const msgpack_object *item = &array->via.array.ptr[i];

                r = item->type == MSGPACK_OBJECT_STR
                            ? admin_memory_add_word(memory, ret, &n, item->via.str.ptr,
                                                    item->via.str.size)
                            : -EBADMSG;
        }
        return r;
}
