/* SPDX-License-Identifier: Apache-2.0 */
/* MessagePack to JSON. Written while it is read: nothing is held but the levels that are open. */
#include <math.h>
#include <stdio.h>

#include "basic/macro.h"
#include "busrtctl/busrtctl.h"
#include "busrtctl/value.h"
#include "wire/item.h"

/* A larger payload is not indented: up to 2 * VALUE_DEPTH_MAX blanks may stand before one byte. */
#define PRETTY_MAX ((size_t)256 * 1024)

struct printer {
        struct text *out;
        struct item_reader in;
        bool pretty, color;
};

static void add_colored(const struct printer *p, const char *code, const char *text)
{
        text_adds(p->out, p->color ? code : "");
        text_adds(p->out, text);
        text_adds(p->out, p->color ? ANSI_RESET : "");
}

static void add_line(const struct printer *p, size_t depth)
{
        if (p->pretty)
                text_addf(p->out, "\n%*s", (int)depth * 2, "");
}

/* --- Numbers --- */

static bool reads_back(const char *text, double number, bool single)
{
        return single ? strtof(text, NULL) == (float)number : strtod(text, NULL) == number;
}

/* The shortest text that is read as the same number again, and never as an integer. */
static void format_float(double number, bool single, char out[TEXT_NUMBER_MAX])
{
        int digits = single ? 6 : 15;

        do
                (void)snprintf(out, TEXT_NUMBER_MAX, "%.*g", digits++, number);
        while (digits <= 17 && !reads_back(out, number, single));
        if (!strpbrk(out, ".e"))
                strcat(out, ".0");
}

/* nil, booleans and numbers. False: item is none of these. */
static bool format_plain(const struct item *item, char out[TEXT_NUMBER_MAX])
{
        switch (item->kind) {
        case ITEM_NIL:
                strcpy(out, "null");
                return true;
        case ITEM_FALSE:
                strcpy(out, "false");
                return true;
        case ITEM_TRUE:
                strcpy(out, "true");
                return true;
        case ITEM_UNSIGNED:
                (void)snprintf(out, TEXT_NUMBER_MAX, "%llu", (unsigned long long)item->value);
                return true;
        case ITEM_SIGNED:
                (void)snprintf(out, TEXT_NUMBER_MAX, "%lld", (long long)item->value);
                return true;
        case ITEM_FLOAT:
                if (isnan(item->number))
                        strcpy(out, "nan");
                else if (isinf(item->number))
                        strcpy(out, item->number > 0 ? "inf" : "-inf");
                else
                        format_float(item->number, item->value == 4, out);
                return true;
        default:
                return false;
        }
}

static void add_plain(const struct printer *p, const struct item *item, const char *text)
{
        char quoted[TEXT_NUMBER_MAX + 2];
        bool is_word = item->kind == ITEM_FLOAT && !isfinite(item->number);

        (void)snprintf(quoted, sizeof(quoted), is_word ? "\"%s\"" : "%s", text);
        add_colored(p,
                    item->kind == ITEM_NIL       ? ANSI_DIM
                    : item->kind < ITEM_UNSIGNED ? ANSI_YELLOW
                                                 : ANSI_CYAN,
                    quoted);
}

/* --- Bytes --- */

static void add_base64(const struct printer *p, const uint8_t *data, size_t len)
{
        text_adds(p->out, "\"");
        text_add_base64(p->out, data, len);
        text_adds(p->out, "\"");
}

static void add_bytes(const struct printer *p, const struct item *item)
{
        const char *space = p->pretty ? " " : "";

        if (item->kind == ITEM_STR) {
                text_adds(p->out, p->color ? ANSI_GREEN : "");
                text_add_json(p->out, item->data, item->value);
                text_adds(p->out, p->color ? ANSI_RESET : "");
                return;
        }
        text_adds(p->out, "{");
        if (item->kind == ITEM_EXT)
                text_addf(p->out, "\"$ext\":%s%d,%s", space, item->type, space);
        text_addf(p->out, "\"$base64\":%s", space);
        add_base64(p, item->data, item->value);
        text_adds(p->out, "}");
}

/* --- Arrays and maps --- */

static int read_whole(struct item_reader *in, struct item *ret)
{
        uint64_t left = 1;
        struct item item;
        int r;

        for (bool first = true; left > 0; left--, first = false) {
                r = item_read(in, &item);
                if (r < 0)
                        return r;
                left += item_count_inside(&item);
                if (first)
                        *ret = item;
        }
        return 0;
}

/* Quotes inside quotes would double with each level; so what is no plain key is not opened. */
static int add_key(struct printer *p)
{
        const uint8_t *start = p->in.p;
        char text[TEXT_NUMBER_MAX];
        struct item item;
        int r = read_whole(&p->in, &item);

        if (r < 0)
                return r;
        text_adds(p->out, p->color ? ANSI_BLUE : "");
        if (item.kind == ITEM_STR) {
                text_add_json(p->out, item.data, item.value);
        } else if (format_plain(&item, text)) {
                text_addf(p->out, "\"%s\"", text);
        } else {
                text_adds(p->out, "\"$msgpack:");
                text_add_base64(p->out, start, (size_t)(p->in.p - start));
                text_adds(p->out, "\"");
        }
        text_addf(p->out, "%s:%s", p->color ? ANSI_RESET : "", p->pretty ? " " : "");
        return 0;
}

static int add_value(struct printer *p, size_t depth);

static int add_items(struct printer *p, const struct item *item, size_t depth)
{
        bool is_map = item->kind == ITEM_MAP;
        int r = 0;

        if (depth == VALUE_DEPTH_MAX)
                return -EBADMSG;
        text_adds(p->out, is_map ? "{" : "[");
        for (uint64_t i = 0; r >= 0 && i < item->value && !p->out->failed; i++) {
                text_adds(p->out, i > 0 ? "," : "");
                add_line(p, depth + 1);
                r = is_map ? add_key(p) : 0;
                if (r >= 0)
                        r = add_value(p, depth + 1);
        }
        if (item->value > 0)
                add_line(p, depth);
        text_adds(p->out, is_map ? "}" : "]");
        return r;
}

static int add_value(struct printer *p, size_t depth)
{
        char text[TEXT_NUMBER_MAX];
        struct item item;
        int r = item_read(&p->in, &item);

        if (r < 0)
                return r;
        if (format_plain(&item, text))
                add_plain(p, &item, text);
        else if (item.kind < ITEM_ARRAY)
                add_bytes(p, &item);
        else
                return add_items(p, &item, depth);
        return 0;
}

int value_to_json(struct text *out, const struct value_style *style, const void *data, size_t len)
{
        const uint8_t *start = data;
        struct printer p = {
                .out = out,
                .in = {start, start + len},
                .pretty = style->pretty && len <= PRETTY_MAX,
                .color = style->color,
        };
        size_t before = out->len;
        int r;

        r = len > 0 ? add_value(&p, 0) : -EBADMSG;
        if (r >= 0 && p.in.p == p.in.end)
                return 0;
        out->len = before;
        return -EBADMSG;
}

bool value_is_whole(const void *data, size_t len)
{
        const uint8_t *start = data;
        struct item_reader in = {start, start + len};
        struct item item;

        return len > 0 && read_whole(&in, &item) >= 0 && in.p == in.end;
}
