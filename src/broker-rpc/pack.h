/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces of MessagePack maps, each number as small as it can be. All fail only where the buffer
 * cannot grow. */
#pragma once

#include <msgpack.h>
#include <stdbool.h>
#include <string.h>

static inline int pack_text(msgpack_packer *pk, const char *text)
{
        size_t len = strlen(text);
        int r = msgpack_pack_str(pk, len);

        return r < 0 ? r : msgpack_pack_str_body(pk, text, len);
}

/* value may be NULL: nil. */
static inline int pack_text_field(msgpack_packer *pk, const char *key, const char *value)
{
        int r = pack_text(pk, key);

        if (r < 0)
                return r;
        return value ? pack_text(pk, value) : msgpack_pack_nil(pk);
}

static inline int pack_number_field(msgpack_packer *pk, const char *key, uint64_t value)
{
        int r = pack_text(pk, key);

        return r < 0 ? r : msgpack_pack_uint64(pk, value);
}

/* What may be nil: by a number that says "none". */
static inline int pack_known_field(msgpack_packer *pk, const char *key, uint64_t value,
                                   uint64_t none)
{
        int r = pack_text(pk, key);

        if (r < 0)
                return r;
        return value == none ? msgpack_pack_nil(pk) : msgpack_pack_uint64(pk, value);
}

static inline int pack_flag_field(msgpack_packer *pk, const char *key, bool value)
{
        int r = pack_text(pk, key);

        if (r < 0)
                return r;
        return value ? msgpack_pack_true(pk) : msgpack_pack_false(pk);
}

static inline int pack_bytes(msgpack_packer *pk, const char *text, size_t len)
{
        int r = msgpack_pack_str(pk, len);

        return r < 0 ? r : msgpack_pack_str_body(pk, text, len);
}

/* An array whose length is known at its end. Its packer points into it: it stays where it is. */
struct pack_array {
        msgpack_sbuffer items;
        msgpack_packer packer;
        size_t n;
};

static inline void pack_array_init(struct pack_array *a)
{
        a->n = 0;
        msgpack_sbuffer_init(&a->items);
        msgpack_packer_init(&a->packer, &a->items, msgpack_sbuffer_write);
}

static inline void pack_array_done(struct pack_array *a)
{
        msgpack_sbuffer_destroy(&a->items);
}

/* It is empty then, for the next. */
static inline int pack_array_field(msgpack_packer *pk, const char *key, struct pack_array *a)
{
        int r = pack_text(pk, key);

        r = r < 0 ? r : msgpack_pack_array(pk, a->n);
        if (r >= 0 && a->items.size > 0)
                r = pk->callback(pk->data, a->items.data, a->items.size);
        a->n = 0;
        msgpack_sbuffer_clear(&a->items);
        return r;
}

/* {ok: true} */
static inline int pack_ok(msgpack_sbuffer *buffer)
{
        msgpack_packer pk;
        int r;

        msgpack_packer_init(&pk, buffer, msgpack_sbuffer_write);
        r = msgpack_pack_map(&pk, 1);
        return r < 0 ? r : pack_flag_field(&pk, "ok", true);
}
