/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces of MessagePack maps, each number as small as it can be. All fail only where the buffer
 * cannot grow. */
#pragma once

#include <msgpack.h>
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
