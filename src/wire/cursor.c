/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "wire/cursor.h"

/* --- The map --- */

/* Some clients send their bytes as text, and texts as bytes. */
static bool is_bytes(const struct item *item)
{
        return item->kind == ITEM_STR || item->kind == ITEM_BIN;
}

static int read_id(struct item_reader *r, struct cursor_payload *ret)
{
        struct item item;

        if (item_read(r, &item) < 0 || !is_bytes(&item) || item.value != CURSOR_ID_SIZE)
                return -EBADMSG;
        memcpy(ret->id, item.data, CURSOR_ID_SIZE);
        return 0;
}

static int read_count(struct item_reader *r, struct cursor_payload *ret)
{
        struct item item;

        if (item_read(r, &item) < 0)
                return -EBADMSG;
        if (item.kind == ITEM_NIL)
                return 0;
        if (item.kind != ITEM_UNSIGNED && (item.kind != ITEM_SIGNED || (int64_t)item.value < 0))
                return -EBADMSG;
        ret->count = item.value;
        return 0;
}

static int read_pair(struct item_reader *r, struct cursor_payload *ret, unsigned *seen)
{
        struct item key;
        unsigned bit;

        if (item_read(r, &key) < 0)
                return -EBADMSG;
        bit = !is_bytes(&key) || key.value != 1 ? 0
              : *key.data == 'u'                ? 1
              : *key.data == 'n'                ? 2
                                                : 0;
        if (*seen & bit)
                return -EBADMSG;
        *seen |= bit;
        switch (bit) {
        case 1:
                return read_id(r, ret);
        case 2:
                return read_count(r, ret);
        default:
                /* The rest of the key, where it is an array or a map, and the value. */
                for (uint64_t left = item_count_inside(&key) + 1; left > 0; left--)
                        if (item_skip(r) < 0)
                                return -EBADMSG;
                return 0;
        }
}

static int read_map(struct item_reader *r, uint64_t n, struct cursor_payload *ret)
{
        unsigned seen = 0;

        for (uint64_t i = 0; i < n; i++)
                if (read_pair(r, ret, &seen) < 0)
                        return -EBADMSG;
        return seen & 1 ? 0 : -EBADMSG;
}

int cursor_payload_decode(const uint8_t *data, size_t len, struct cursor_payload *ret)
{
        struct item_reader r = {data, data + len};
        struct cursor_payload payload = {.count = 1};
        struct item item;
        int error;

        if (item_read(&r, &item) < 0)
                return -EBADMSG;
        if (item.kind == ITEM_MAP)
                error = read_map(&r, item.value, &payload);
        else if (item.kind == ITEM_ARRAY && (item.value == 1 || item.value == 2))
                error = read_id(&r, &payload);
        else
                return -EBADMSG;
        if (error == 0 && item.kind == ITEM_ARRAY && item.value == 2)
                error = read_count(&r, &payload);
        if (error == 0)
                *ret = payload;
        return error;
}

static uint8_t *put_number(uint8_t *p, uint32_t n, size_t size)
{
        for (size_t i = size; i > 0; i--)
                *p++ = (uint8_t)(n >> (8 * (i - 1)));
        return p;
}

size_t cursor_payload_encode(uint8_t out[CURSOR_PAYLOAD_MAX], const uint8_t id[CURSOR_ID_SIZE],
                             const uint32_t *count)
{
        uint8_t *p = out;

        *p++ = count ? 0x82 : 0x81;
        memcpy(p, "\xa1u\xc4\x10", 4);
        memcpy(p + 4, id, CURSOR_ID_SIZE);
        p += 4 + CURSOR_ID_SIZE;
        if (!count)
                return (size_t)(p - out);
        memcpy(p, "\xa1n", 2);
        p += 2;
        if (*count > UINT16_MAX) {
                *p++ = 0xce;
                p = put_number(p, *count, 4);
        } else if (*count > UINT8_MAX) {
                *p++ = 0xcd;
                p = put_number(p, *count, 2);
        } else {
                if (*count > 0x7f)
                        *p++ = 0xcc;
                *p++ = (uint8_t)*count;
        }
        return (size_t)(p - out);
}

/* --- The array --- */

size_t cursor_array_head_encode(uint8_t out[CURSOR_ARRAY_HEAD_MAX], uint32_t count)
{
        if (count < 16) {
                out[0] = (uint8_t)(0x90 | count);
                return 1;
        }
        out[0] = count > UINT16_MAX ? 0xdd : 0xdc;
        return (size_t)(put_number(out + 1, count, count > UINT16_MAX ? 4 : 2) - out);
}

int cursor_array_decode(const uint8_t *data, size_t len, struct item_reader *ret,
                        uint64_t *ret_count)
{
        struct item_reader r = {data, data + len}, values;
        struct item head;

        if (item_read(&r, &head) < 0 || head.kind != ITEM_ARRAY)
                return -EBADMSG;
        values = r;
        for (uint64_t left = head.value; left > 0; left--)
                if (item_skip(&r) < 0)
                        return -EBADMSG;
        if (r.p != r.end)
                return -EBADMSG;
        *ret = values;
        *ret_count = head.value;
        return 0;
}

bool cursor_is_value(const uint8_t *data, size_t len)
{
        struct item_reader r = {data, data + len};

        return item_skip(&r) == 0 && r.p == r.end;
}
