/* SPDX-License-Identifier: Apache-2.0 */
/* A cursor that reads one header at a time and checks each length against what is left. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "wire/item.h"

static int read_bytes(struct item_reader *r, uint64_t n, const uint8_t **ret)
{
        if (n > (uint64_t)(r->end - r->p))
                return -ENODATA;
        *ret = r->p;
        r->p += n;
        return 0;
}

/* A big-endian integer of n bytes. */
static int read_integer(struct item_reader *r, size_t n, uint64_t *ret)
{
        const uint8_t *p;
        int error = read_bytes(r, n, &p);

        if (error < 0)
                return error;
        *ret = 0;
        for (size_t i = 0; i < n; i++)
                *ret = *ret << 8 | p[i];
        return 0;
}

static void set_signed(struct item *item, size_t size)
{
        unsigned unused = 64 - 8 * (unsigned)size;

        item->value = (uint64_t)((int64_t)(item->value << unused) >> unused);
}

static void set_float(struct item *item, size_t size)
{
        uint32_t bits = (uint32_t)item->value;
        float single;

        memcpy(&item->number, &item->value, sizeof(item->number));
        if (size == 4) {
                memcpy(&single, &bits, sizeof(single));
                item->number = (double)single;
        }
        item->value = size;
}

/* What is left after a length of that size: the bytes themselves. */
static int read_data(struct item_reader *r, struct item *ret)
{
        const uint8_t *type;
        int error = 0;

        if (ret->kind == ITEM_EXT) {
                error = read_bytes(r, 1, &type);
                if (error < 0)
                        return error;
                ret->type = (int8_t)*type;
        }
        return read_bytes(r, ret->value, &ret->data);
}

/* Markers from 0xc0 to 0xdf. */
static int read_marked(struct item_reader *r, uint8_t marker, struct item *ret)
{
        static const struct {
                uint8_t kind;
                uint8_t size; /* of the number that follows */
                bool fixed;   /* that many bytes follow instead, without a number */
        } markers[32] = {
                {ITEM_NIL, 0, false},      {0, 0, false}, /* c1 is none */
                {ITEM_FALSE, 0, false},    {ITEM_TRUE, 0, false},
                {ITEM_BIN, 1, false},      {ITEM_BIN, 2, false},
                {ITEM_BIN, 4, false},      {ITEM_EXT, 1, false},
                {ITEM_EXT, 2, false},      {ITEM_EXT, 4, false},
                {ITEM_FLOAT, 4, false},    {ITEM_FLOAT, 8, false},
                {ITEM_UNSIGNED, 1, false}, {ITEM_UNSIGNED, 2, false},
                {ITEM_UNSIGNED, 4, false}, {ITEM_UNSIGNED, 8, false},
                {ITEM_SIGNED, 1, false},   {ITEM_SIGNED, 2, false},
                {ITEM_SIGNED, 4, false},   {ITEM_SIGNED, 8, false},
                {ITEM_EXT, 1, true},       {ITEM_EXT, 2, true},
                {ITEM_EXT, 4, true},       {ITEM_EXT, 8, true},
                {ITEM_EXT, 16, true},      {ITEM_STR, 1, false},
                {ITEM_STR, 2, false},      {ITEM_STR, 4, false},
                {ITEM_ARRAY, 2, false},    {ITEM_ARRAY, 4, false},
                {ITEM_MAP, 2, false},      {ITEM_MAP, 4, false},
        };
        size_t i = marker - 0xc0U, size = markers[i].size;
        int error;

        if (marker == 0xc1)
                return -EBADMSG;
        ret->kind = (enum item_kind)markers[i].kind;
        ret->value = size;
        if (!markers[i].fixed) {
                error = read_integer(r, size, &ret->value);
                if (error < 0)
                        return error;
        }
        switch (ret->kind) {
        case ITEM_SIGNED:
                set_signed(ret, size);
                return 0;
        case ITEM_FLOAT:
                set_float(ret, size);
                return 0;
        case ITEM_STR:
        case ITEM_BIN:
        case ITEM_EXT:
                return read_data(r, ret);
        default:
                return 0;
        }
}

int item_read(struct item_reader *r, struct item *ret)
{
        const uint8_t *p;
        int error = read_bytes(r, 1, &p);

        if (error < 0)
                return error;
        if (*p >= 0xc0 && *p <= 0xdf)
                return read_marked(r, *p, ret);
        if (*p < 0x80) {
                *ret = (struct item){.kind = ITEM_UNSIGNED, .value = *p};
        } else if (*p < 0xa0) {
                *ret = (struct item){.kind = *p < 0x90 ? ITEM_MAP : ITEM_ARRAY, .value = *p & 0x0f};
        } else if (*p < 0xc0) {
                *ret = (struct item){.kind = ITEM_STR, .value = *p & 0x1f};
                return read_data(r, ret);
        } else {
                *ret = (struct item){.kind = ITEM_SIGNED, .value = (uint64_t)(int8_t)*p};
        }
        return 0;
}

uint64_t item_count_inside(const struct item *item)
{
        if (item->kind == ITEM_MAP)
                return item->value * 2;
        return item->kind == ITEM_ARRAY ? item->value : 0;
}

int item_skip(struct item_reader *r)
{
        uint64_t left = 1;
        struct item item;

        while (left > 0) {
                int error = item_read(r, &item);

                if (error < 0)
                        return error;
                /* Each is a byte at least: so this cannot grow beyond what there is. */
                left += item_count_inside(&item) - 1;
                if (left > (uint64_t)(r->end - r->p))
                        return -ENODATA;
        }
        return 0;
}
