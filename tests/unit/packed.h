/* SPDX-License-Identifier: Apache-2.0 */
/* A small MessagePack encoder: each integer and text as small as it can be. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct bytes {
        uint8_t data[4096];
        size_t n;
};

static inline void put(struct bytes *b, unsigned c)
{
        assert_true(b->n < sizeof(b->data));
        b->data[b->n++] = (uint8_t)c;
}

static inline void put_bytes(struct bytes *b, const void *data, size_t len)
{
        for (size_t i = 0; i < len; i++)
                put(b, ((const uint8_t *)data)[i]);
}

static inline void put_text(struct bytes *b, const char *text)
{
        size_t len = strlen(text);

        if (len < 32) {
                put(b, 0xa0 | (unsigned)len);
        } else if (len < 256) {
                put(b, 0xd9);
                put(b, (unsigned)len);
        } else {
                put(b, 0xda);
                put(b, (unsigned)len >> 8);
                put(b, (unsigned)len & 0xff);
        }
        put_bytes(b, text, len);
}

static inline void put_number(struct bytes *b, uint64_t v)
{
        int size = v < 128 ? 0 : v < 256 ? 1 : v < 65536 ? 2 : v < UINT64_C(0x100000000) ? 4 : 8;

        if (size > 0)
                put(b, size == 1 ? 0xcc : size == 2 ? 0xcd : size == 4 ? 0xce : 0xcf);
        for (int i = size - 1; i >= 0; i--)
                put(b, (unsigned)(v >> (8 * i)) & 0xff);
        if (size == 0)
                put(b, (unsigned)v);
}

static inline void put_text_or_nil(struct bytes *b, const char *text)
{
        if (text)
                put_text(b, text);
        else
                put(b, 0xc0);
}
