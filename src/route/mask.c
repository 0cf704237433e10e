/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Masks, part by part. Each part of a mask decides about one part of what it is held against, and
 * only the last may decide about more: so one walk along both texts, side by side, answers every
 * question here.
 */
#include "basic/macro.h"
#include "route/mask.h"
#include "route/part.h"

const struct mask_syntax mask_topic = {.separator = '/', .any = '+', .rest = '#'};
const struct mask_syntax mask_name = {.separator = '.', .any = '?', .rest = '*'};

size_t mask_n_parts(const struct mask_syntax *syntax, const char *text, size_t len)
{
        struct part_cursor c = part_cursor_of(text, len, syntax->separator);
        struct part part;
        size_t n = 0;

        while (part_next(&c, &part))
                n++;
        return n;
}

size_t mask_canonical_len(const struct mask_syntax *syntax, const char *mask, size_t len)
{
        struct part_cursor c = part_cursor_of(mask, len, syntax->separator);
        struct part part;

        while (part_next(&c, &part))
                if (part_is(&part, syntax->rest))
                        return (size_t)(part.text + part.len - mask);
        return len;
}

bool mask_match(const struct mask_syntax *syntax, const char *mask, size_t mask_len,
                const char *text, size_t text_len)
{
        struct part_cursor m = part_cursor_of(mask, mask_len, syntax->separator);
        struct part_cursor t = part_cursor_of(text, text_len, syntax->separator);
        struct part want, have;

        while (part_next(&m, &want)) {
                if (!part_next(&t, &have))
                        return false;
                if (part_is(&want, syntax->rest))
                        return true;
                if (!part_is(&want, syntax->any) && !part_equal(&want, &have))
                        return false;
        }
        return !t.next;
}

/* Since there are more words than any mask can name, a literal part of the outer mask holds nothing
 * but itself, and no mask of fixed length holds one that ends in `rest`. */
bool mask_is_subset(const struct mask_syntax *syntax, const char *inner, size_t inner_len,
                    const char *outer, size_t outer_len)
{
        struct part_cursor i = part_cursor_of(inner, inner_len, syntax->separator);
        struct part_cursor o = part_cursor_of(outer, outer_len, syntax->separator);
        struct part in, out;

        while (part_next(&o, &out)) {
                if (!part_next(&i, &in))
                        return false;
                if (part_is(&out, syntax->rest))
                        return true;
                if (part_is(&in, syntax->rest))
                        return false;
                if (!part_is(&out, syntax->any) && !part_equal(&out, &in))
                        return false;
        }
        return !i.next;
}

/* 0: literal, 1: any, 2: rest. */
static int part_width(const struct mask_syntax *syntax, const struct part *part)
{
        return part_is(part, syntax->rest) ? 2 : part_is(part, syntax->any);
}

bool mask_is_literal(const struct mask_syntax *syntax, const char *mask, size_t len)
{
        struct part_cursor c = part_cursor_of(mask, len, syntax->separator);
        struct part part;

        while (part_next(&c, &part))
                if (part_width(syntax, &part) > 0)
                        return false;
        return true;
}

static int part_compare(const struct mask_syntax *syntax, const struct part *a,
                        const struct part *b)
{
        int a_width = part_width(syntax, a), b_width = part_width(syntax, b), r;

        if (a_width != b_width)
                return a_width - b_width;
        r = memcmp(a->text, b->text, MIN(a->len, b->len));
        return r != 0 ? r : (a->len > b->len) - (a->len < b->len);
}

int mask_compare(const struct mask_syntax *syntax, const char *a, size_t a_len, const char *b,
                 size_t b_len)
{
        struct part_cursor a_cursor = part_cursor_of(a, a_len, syntax->separator);
        struct part_cursor b_cursor = part_cursor_of(b, b_len, syntax->separator);
        struct part a_part = {0}, b_part = {0};
        int r = 0;

        while (r == 0) {
                bool a_more = part_next(&a_cursor, &a_part), b_more = part_next(&b_cursor, &b_part);

                if (!a_more || !b_more)
                        return a_more - b_more;
                r = part_compare(syntax, &a_part, &b_part);
                if (r == 0 && part_is(&a_part, syntax->rest))
                        return 0;
        }
        return r;
}
