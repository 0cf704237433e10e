/* SPDX-License-Identifier: Apache-2.0 */
/* A cursor that reads one header at a time and checks each length against what is left. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "basic/macro.h"
#include "basic/utf8.h"
#include "broker-rpc/params.h"

/* Of arrays, maps and extensions within each other, the outermost one too. */
#define DEPTH_MAX 1023

struct reader {
        const uint8_t *p, *end;
        int64_t *steps;
        const char *error;
};

enum item_kind {
        ITEM_NIL,
        ITEM_UNSIGNED, /* value */
        ITEM_SCALAR,   /* any other number, true and false */
        ITEM_STR,      /* data, value bytes long */
        ITEM_BIN,
        ITEM_EXT,
        ITEM_ARRAY, /* value items follow */
        ITEM_MAP,   /* value pairs follow */
};

struct item {
        enum item_kind kind;
        uint64_t value;
        const uint8_t *data;
};

static int reader_fail(struct reader *r, const char *error)
{
        r->error = error;
        return -EBADMSG;
}

static int read_bytes(struct reader *r, uint64_t n, const uint8_t **ret)
{
        if (n > (uint64_t)(r->end - r->p))
                return reader_fail(r, "parameters end too early");
        *ret = r->p;
        r->p += n;
        return 0;
}

/* A big-endian integer of n bytes. */
static int read_integer(struct reader *r, size_t n, uint64_t *ret)
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

/* What is left after a length of that size: the bytes themselves. */
static int read_data(struct reader *r, enum item_kind kind, size_t extra, struct item *ret)
{
        ret->kind = kind;
        return read_bytes(r, ret->value + extra, &ret->data);
}

/* Markers from 0xc0 to 0xdf. */
static int read_marked(struct reader *r, uint8_t marker, struct item *ret)
{
        static const struct {
                uint8_t kind;
                uint8_t size; /* of the number that follows */
                bool fixed;   /* that many bytes follow instead, without a number */
        } markers[32] = {
                {ITEM_NIL, 0, false},      {0, 0, false}, /* c1 is none */
                {ITEM_SCALAR, 0, false},   {ITEM_SCALAR, 0, false},
                {ITEM_BIN, 1, false},      {ITEM_BIN, 2, false},
                {ITEM_BIN, 4, false},      {ITEM_EXT, 1, false},
                {ITEM_EXT, 2, false},      {ITEM_EXT, 4, false},
                {ITEM_SCALAR, 4, false},   {ITEM_SCALAR, 8, false},
                {ITEM_UNSIGNED, 1, false}, {ITEM_UNSIGNED, 2, false},
                {ITEM_UNSIGNED, 4, false}, {ITEM_UNSIGNED, 8, false},
                {ITEM_SCALAR, 1, false},   {ITEM_SCALAR, 2, false},
                {ITEM_SCALAR, 4, false},   {ITEM_SCALAR, 8, false},
                {ITEM_EXT, 1, true},       {ITEM_EXT, 2, true},
                {ITEM_EXT, 4, true},       {ITEM_EXT, 8, true},
                {ITEM_EXT, 16, true},      {ITEM_STR, 1, false},
                {ITEM_STR, 2, false},      {ITEM_STR, 4, false},
                {ITEM_ARRAY, 2, false},    {ITEM_ARRAY, 4, false},
                {ITEM_MAP, 2, false},      {ITEM_MAP, 4, false},
        };
        size_t i = marker - 0xc0U;
        int error;

        if (marker == 0xc1)
                return reader_fail(r, "parameters are not MessagePack");
        ret->kind = (enum item_kind)markers[i].kind;
        ret->value = markers[i].size;
        if (!markers[i].fixed) {
                error = read_integer(r, markers[i].size, &ret->value);
                if (error < 0)
                        return error;
        }
        if (ret->kind == ITEM_STR || ret->kind == ITEM_BIN)
                return read_data(r, ret->kind, 0, ret);
        return ret->kind == ITEM_EXT ? read_data(r, ITEM_EXT, 1, ret) : 0;
}

/* One header, and the bytes of a text, bin or extension. Items of arrays and maps are not read. */
static int read_item(struct reader *r, struct item *ret)
{
        const uint8_t *p;
        int error = read_bytes(r, 1, &p);

        if (error < 0)
                return error;
        if ((*r->steps)-- <= 0)
                return -E2BIG;
        if (*p >= 0xc0 && *p <= 0xdf)
                return read_marked(r, *p, ret);
        ret->value = *p & 0x0f;
        if (*p < 0x80) {
                *ret = (struct item){.kind = ITEM_UNSIGNED, .value = *p};
        } else if (*p < 0x90) {
                ret->kind = ITEM_MAP;
        } else if (*p < 0xa0) {
                ret->kind = ITEM_ARRAY;
        } else if (*p < 0xc0) {
                ret->value = *p & 0x1f;
                return read_data(r, ITEM_STR, 0, ret);
        } else {
                ret->kind = ITEM_SCALAR;
        }
        return 0;
}

static uint64_t count_inside(const struct item *item)
{
        if (item->kind == ITEM_MAP)
                return item->value * 2;
        return item->kind == ITEM_ARRAY ? item->value : 0;
}

/* Skips one value, whatever is in it. It stands inside the outermost map. */
static int skip_value(struct reader *r)
{
        uint64_t left[DEPTH_MAX]; /* items still to come, per level */
        struct item item;
        size_t depth = 1;
        int error;

        left[0] = 1;
        while (depth > 0) {
                if (left[depth - 1]-- == 0) {
                        depth--;
                        continue;
                }
                error = read_item(r, &item);
                if (error < 0)
                        return error;
                if (item.kind < ITEM_EXT)
                        continue;
                if (depth == DEPTH_MAX)
                        return reader_fail(r, "parameters are nested too deep");
                if (count_inside(&item) > 0)
                        left[depth++] = count_inside(&item);
        }
        return 0;
}

static int read_filter(struct reader *r, struct params_filter *ret)
{
        struct item item;
        int error = read_item(r, &item);

        if (error < 0)
                return error;
        if (item.kind == ITEM_NIL)
                return 0;
        if (item.kind != ITEM_STR && item.kind != ITEM_BIN)
                return reader_fail(r, "filter is not a text");
        if (!utf8_is_valid(item.data, item.value))
                return reader_fail(r, "filter is not UTF-8");
        *ret = (struct params_filter){(const char *)item.data, item.value};
        return 0;
}

/* 1: it names the filter. */
static int read_key(struct reader *r)
{
        struct item item;
        int error = read_item(r, &item);

        if (error < 0)
                return error;
        switch (item.kind) {
        case ITEM_STR:
        case ITEM_BIN:
                return item.value == 6 && memcmp(item.data, "filter", 6) == 0;
        case ITEM_UNSIGNED:
                return item.value == 0;
        default:
                return reader_fail(r, "key is neither a text nor an unsigned integer");
        }
}

static int read_map(struct reader *r, uint64_t n, struct params_filter *ret)
{
        bool found = false;

        for (uint64_t i = 0; i < n; i++) {
                int error = read_key(r);

                if (error > 0 && found)
                        return reader_fail(r, "filter is given twice");
                found = found || error > 0;
                if (error >= 0)
                        error = error > 0 ? read_filter(r, ret) : skip_value(r);
                if (error < 0)
                        return error;
        }
        return 0;
}

static int read_params(struct reader *r, struct params_filter *ret)
{
        struct item item;
        int error = read_item(r, &item);

        if (error < 0)
                return error;
        if (item.kind == ITEM_MAP)
                return read_map(r, item.value, ret);
        if (item.kind != ITEM_ARRAY || item.value != 1)
                return reader_fail(r, "parameters are neither a map nor an array of one");
        return read_filter(r, ret);
}

int params_parse_filter(const uint8_t *data, size_t len, int64_t *steps, struct params_filter *ret,
                        const char **ret_error)
{
        struct reader r = {.p = data, .end = data + len, .steps = steps};
        struct params_filter filter = {0};
        int error = read_params(&r, &filter);

        if (error == -EBADMSG)
                *ret_error = r.error;
        if (error >= 0)
                *ret = filter;
        return error;
}
