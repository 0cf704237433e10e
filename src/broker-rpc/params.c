/* SPDX-License-Identifier: Apache-2.0 */
/* What is looked for, through the reader of wire/item.h; each item costs a step. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "basic/macro.h"
#include "basic/utf8.h"
#include "broker-rpc/params.h"
#include "wire/item.h"

/* Of arrays, maps and extensions within each other, the outermost one too. */
#define DEPTH_MAX 1023

struct reader {
        struct item_reader items;
        int64_t *steps;
        const char *error;
};

static int reader_fail(struct reader *r, const char *error)
{
        r->error = error;
        return -EBADMSG;
}

static int read_item(struct reader *r, struct item *ret)
{
        int error;

        if (r->items.p < r->items.end && (*r->steps)-- <= 0)
                return -E2BIG;
        error = item_read(&r->items, ret);
        if (error == -ENODATA)
                return reader_fail(r, "parameters end too early");
        return error < 0 ? reader_fail(r, "parameters are not MessagePack") : 0;
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
                if (item_count_inside(&item) > 0)
                        left[depth++] = item_count_inside(&item);
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
        struct reader r = {.items = {data, data + len}, .steps = steps};
        struct params_filter filter = {0};
        int error = read_params(&r, &filter);

        if (error == -EBADMSG)
                *ret_error = r.error;
        if (error >= 0)
                *ret = filter;
        return error;
}

/* --- Fields --- */

static int find_field(struct reader *r, struct params_field *fields, size_t n,
                      struct params_field **ret)
{
        struct item key;
        int error = read_item(r, &key);

        if (error < 0)
                return error;
        if (key.kind != ITEM_STR)
                return reader_fail(r, "a key is no text");
        for (size_t i = 0; i < n; i++)
                if (strlen(fields[i].key) == key.value &&
                    memcmp(fields[i].key, key.data, key.value) == 0) {
                        *ret = &fields[i];
                        return 0;
                }
        return reader_fail(r, "a key is not known");
}

static int take_value(struct reader *r, const struct item *item, struct params_field *field)
{
        bool is_number = item->kind == ITEM_UNSIGNED ||
                         (item->kind == ITEM_SIGNED && (int64_t)item->value >= 0);

        if (field->type == PARAMS_NUMBER && is_number) {
                field->number = item->value;
        } else if (field->type == PARAMS_FLAG &&
                   (item->kind == ITEM_TRUE || item->kind == ITEM_FALSE)) {
                field->flag = item->kind == ITEM_TRUE;
        } else if (field->type == PARAMS_TEXT && item->kind == ITEM_STR) {
                if (!utf8_is_valid(item->data, item->value))
                        return reader_fail(r, "a text is not UTF-8");
                field->text = (const char *)item->data;
                field->len = item->value;
        } else
                return reader_fail(r, "a value is of the wrong kind");
        return 0;
}

static int read_field(struct reader *r, struct params_field *fields, size_t n)
{
        struct params_field *field;
        struct item item;
        int error = find_field(r, fields, n, &field);

        if (error >= 0 && field->seen)
                error = reader_fail(r, "a key is given twice");
        if (error >= 0)
                error = read_item(r, &item);
        if (error < 0)
                return error;
        field->seen = true;
        field->given = item.kind != ITEM_NIL;
        return field->given ? take_value(r, &item, field) : 0;
}

int params_parse_fields(const uint8_t *data, size_t len, struct params_field *fields, size_t n,
                        const char **ret_error)
{
        int64_t steps = INT64_MAX; /* each key may be there once, and its value is one item */
        struct reader r = {.items = {data, data + len}, .steps = &steps};
        struct item map;
        int error = read_item(&r, &map);

        if (error >= 0 && map.kind != ITEM_MAP)
                error = reader_fail(&r, "parameters are no map");
        for (uint64_t i = 0; error >= 0 && i < map.value; i++)
                error = read_field(&r, fields, n);
        if (error >= 0 && r.items.p < r.items.end)
                error = reader_fail(&r, "there is something behind the parameters");
        if (error < 0)
                *ret_error = r.error;
        return error;
}
