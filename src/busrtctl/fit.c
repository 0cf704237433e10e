/* SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>
#include <stdio.h>
#include <wchar.h>

#include "basic/macro.h"
#include "busrtctl/fit.h"

/* One character as it is shown. */
struct glyph {
        char bytes[MB_LEN_MAX + 8];
        size_t len;     /* of bytes */
        size_t columns; /* that it takes */
};

static void escape(struct glyph *glyph, const char *p, size_t n)
{
        glyph->len = 0;
        for (size_t i = 0; i < n; i++)
                glyph->len += (size_t)snprintf(glyph->bytes + glyph->len,
                                               sizeof(glyph->bytes) - glyph->len, "\\x%02x",
                                               (unsigned char)p[i]);
        glyph->columns = glyph->len;
}

/* Reads the character at p, which is not the end. Returns its length. A locale of single bytes
 * has no names for those beyond ASCII; characters whose width nobody knows are "?". */
static size_t read_glyph(const char *p, struct glyph *ret)
{
        mbstate_t state = {0};
        wchar_t c;
        size_t n = MB_CUR_MAX > 1 ? mbrtowc(&c, p, MB_LEN_MAX, &state) : (size_t)-1;
        int columns;

        if ((unsigned char)*p < 0x80) {
                *ret = (struct glyph){.bytes = {*p}, .len = 1, .columns = 1};
                return 1;
        }
        if (n == 0 || n > MB_LEN_MAX) {
                escape(ret, p, 1);
                return 1;
        }
        columns = wcwidth(c);
        if (columns < 0) {
                *ret = (struct glyph){.bytes = "?", .len = 1, .columns = 1};
                return n;
        }
        memcpy(ret->bytes, p, n);
        ret->len = n;
        ret->columns = (size_t)columns;
        return n;
}

size_t fit_width(const char *visible)
{
        size_t columns = 0;
        struct glyph glyph;

        for (const char *p = visible; *p;) {
                p += read_glyph(p, &glyph);
                columns += glyph.columns;
        }
        return columns;
}

const char *fit_mark(void)
{
        return MB_CUR_MAX > 1 ? "…" : "~";
}

const char *fit_dot(void)
{
        return MB_CUR_MAX > 1 ? "●" : "*";
}

size_t fit_add(struct text *out, const char *visible, size_t columns)
{
        bool whole = fit_width(visible) <= columns;
        size_t room = whole ? columns : columns - MIN(columns, (size_t)1), used = 0;
        struct glyph glyph;

        for (const char *p = visible; *p; used += glyph.columns) {
                p += read_glyph(p, &glyph);
                if (used + glyph.columns > room)
                        break;
                text_add(out, glyph.bytes, glyph.len);
        }
        if (whole || columns == 0)
                return used;
        text_adds(out, fit_mark());
        return used + 1;
}

static void add_blanks(struct text *out, size_t n)
{
        char *room = n > 0 ? text_room(out, n) : NULL;

        if (!room)
                return;
        memset(room, ' ', n);
        out->len += n;
}

void fit_add_left(struct text *out, const char *visible, size_t columns)
{
        add_blanks(out, columns - fit_add(out, visible, columns));
}

void fit_add_right(struct text *out, const char *visible, size_t columns)
{
        size_t blanks = columns - MIN(columns, fit_width(visible));

        add_blanks(out, blanks);
        /* Where a wide character is cut a column may be left. */
        fit_add_left(out, visible, columns - blanks);
}
