/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>

#include "basic/macro.h"
#include "basic/utf8.h"
#include "busrtctl/text.h"

void text_done(struct text *text)
{
        free(text->data);
        *text = (struct text){0};
}

char *text_room(struct text *text, size_t len)
{
        size_t size = MAX(text->size * 2, (size_t)256);
        char *data;

        if (text->size - text->len >= len)
                return text->data + text->len;
        while (size - text->len < len && size <= SIZE_MAX / 4)
                size *= 2;
        data = size - text->len < len ? NULL : realloc(text->data, size);
        if (!data) {
                text->failed = true;
                return NULL;
        }
        text->data = data;
        text->size = size;
        return data + text->len;
}

void text_add(struct text *text, const void *data, size_t len)
{
        char *room = len > 0 ? text_room(text, len) : NULL;

        if (!room)
                return;
        memcpy(room, data, len);
        text->len += len;
}

void text_adds(struct text *text, const char *string)
{
        text_add(text, string, strlen(string));
}

void text_addf(struct text *text, const char *format, ...)
{
        char *string = NULL;
        va_list args;
        int n;

        va_start(args, format);
        n = vasprintf(&string, format, args);
        va_end(args);
        if (n < 0) {
                text->failed = true;
                return;
        }
        text_add(text, string, (size_t)n);
        free(string);
}

/* The character at p, which is valid UTF-8. */
static uint32_t decode(const uint8_t *p, size_t *ret_len)
{
        size_t n = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
        uint32_t c = n == 1 ? p[0] : p[0] & (0x7fu >> n);

        for (size_t i = 1; i < n; i++)
                c = c << 6 | (p[i] & 0x3f);
        *ret_len = n;
        return c;
}

/* Controls, line and paragraph separators, and what turns the direction of writing or cannot be
 * seen at all: a line with these reads other than it is. */
static bool is_disturbing(uint32_t c)
{
        return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x61c || (c >= 0x200b && c <= 0x200f) ||
               (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
               (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe0fff);
}

bool text_is_plain(const void *data, size_t len)
{
        const uint8_t *p = data;
        size_t n;

        if (!utf8_is_valid(data, len))
                return false;
        for (size_t i = 0; i < len; i += n)
                if (is_disturbing(decode(p + i, &n)))
                        return false;
        return true;
}

bool text_is_readable(const void *data, size_t len)
{
        const uint8_t *p = data;

        for (size_t i = 0; i < len; i++)
                if (p[i] < 0x20 && !(p[i] == '\n' || p[i] == '\t' || p[i] == '\r' || p[i] == 0x1b))
                        return false;
        return utf8_is_valid(data, len);
}

/* The length of the well-formed character that p begins with, or 0. */
static size_t character_length(const uint8_t *p, size_t left)
{
        size_t n = p[0] < 0x80 ? 1 : p[0] < 0xc0 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;

        return n > 0 && n <= left && utf8_is_valid(p, n) ? n : 0;
}

static void add_escaped_bytes(struct text *text, const uint8_t *p, size_t len)
{
        for (size_t i = 0; i < len; i++)
                switch (p[i]) {
                case '\n':
                        text_adds(text, "\\n");
                        break;
                case '\t':
                        text_adds(text, "\\t");
                        break;
                case '\r':
                        text_adds(text, "\\r");
                        break;
                default:
                        text_addf(text, "\\x%02x", p[i]);
                }
}

void text_add_visible(struct text *text, const void *data, size_t len)
{
        const uint8_t *p = data;
        size_t n, ignored;

        if (text_is_plain(data, len)) {
                text_add(text, data, len);
                return;
        }
        for (size_t i = 0; i < len; i += MAX(n, (size_t)1)) {
                n = character_length(p + i, len - i);
                if (n == 0 || is_disturbing(decode(p + i, &ignored)))
                        add_escaped_bytes(text, p + i, MAX(n, (size_t)1));
                else if (p[i] == '\\')
                        text_adds(text, "\\\\");
                else
                        text_add(text, p + i, n);
        }
}

char *text_visible(const char *string)
{
        struct text text = {0};

        text_add_visible(&text, string, strlen(string));
        text_add(&text, "", 1);
        if (text.failed)
                text_done(&text);
        return text.data;
}

static void add_json_character(struct text *text, const uint8_t *p, size_t n)
{
        uint32_t c = decode(p, &n);

        if (c == '"' || c == '\\')
                text_addf(text, "\\%c", (char)c);
        else if (c == '\n')
                text_adds(text, "\\n");
        else if (c == '\t')
                text_adds(text, "\\t");
        else if (!is_disturbing(c))
                text_add(text, p, n);
        else if (c < 0x10000)
                text_addf(text, "\\u%04x", c);
        else
                text_addf(text, "\\u%04x\\u%04x", 0xd7c0 + (c >> 10), 0xdc00 + (c & 0x3ff));
}

void text_add_json(struct text *text, const void *data, size_t len)
{
        const uint8_t *p = data;
        size_t plain = 0, n;

        text_adds(text, "\"");
        for (size_t i = 0; i < len; i += n) {
                n = 1;
                if (p[i] >= 0x20 && p[i] < 0x7f && p[i] != '"' && p[i] != '\\')
                        continue;
                text_add(text, p + plain, i - plain);
                n = character_length(p + i, len - i);
                if (n > 0)
                        add_json_character(text, p + i, n);
                else
                        text_adds(text, "\xef\xbf\xbd");
                n = MAX(n, (size_t)1);
                plain = i + n;
        }
        text_add(text, p + plain, len - plain);
        text_adds(text, "\"");
}

static const char base64_digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void text_add_base64(struct text *text, const void *data, size_t len)
{
        const uint8_t *p = data;
        char *out = text_room(text, (len + 2) / 3 * 4);

        if (!out)
                return;
        for (size_t i = 0; i < len; i += 3) {
                uint32_t three = (uint32_t)p[i] << 16 |
                                 (i + 1 < len ? (uint32_t)p[i + 1] << 8 : 0) |
                                 (i + 2 < len ? p[i + 2] : 0);

                *out++ = base64_digits[three >> 18];
                *out++ = base64_digits[three >> 12 & 63];
                *out++ = i + 1 < len ? base64_digits[three >> 6 & 63] : '=';
                *out++ = i + 2 < len ? base64_digits[three & 63] : '=';
        }
        text->len += (len + 2) / 3 * 4;
}

bool text_add_from_base64(struct text *text, const char *base64, size_t len)
{
        size_t padding = len > 1 && base64[len - 1] == '=' ? 1 + (base64[len - 2] == '=') : 0;

        if (len % 4 > 0)
                return false;
        for (size_t i = 0; i < len; i += 4) {
                size_t unused = i + 4 == len ? padding : 0;
                uint32_t three = 0;

                for (size_t j = i; j < i + 4 - unused; j++) {
                        const char *digit = base64[j] ? strchr(base64_digits, base64[j]) : NULL;

                        if (!digit)
                                return false;
                        three |= (uint32_t)(digit - base64_digits) << (18 - 6 * (j - i));
                }
                text_add(text,
                         (const uint8_t[]){(uint8_t)(three >> 16), (uint8_t)(three >> 8),
                                           (uint8_t)three},
                         3 - unused);
        }
        return true;
}

#define HEX_WIDTH 16

static void add_hex_line(struct text *text, const uint8_t *p, size_t len)
{
        for (size_t i = 0; i < HEX_WIDTH; i++) {
                if (i < len)
                        text_addf(text, "%02x", p[i]);
                else
                        text_adds(text, "  ");
                if (i % 2)
                        text_adds(text, " ");
        }
        text_adds(text, " ");
        for (size_t i = 0; i < len; i++)
                text_add(text, p[i] >= 0x20 && p[i] < 0x7f ? (const char *)p + i : ".", 1);
        text_adds(text, "\n");
}

void text_add_hex(struct text *text, const void *data, size_t len, const char *prefix)
{
        const uint8_t *p = data;

        for (size_t i = 0; i < len; i += HEX_WIDTH) {
                text_addf(text, "%s%08zx: ", prefix, i);
                add_hex_line(text, p + i, MIN(len - i, (size_t)HEX_WIDTH));
        }
}

const char *text_bytes(uint64_t n, char out[TEXT_NUMBER_MAX])
{
        static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
        double value = (double)n;
        size_t unit = 0;

        for (; value >= 1024 && unit + 1 < ARRAY_SIZE(units); unit++)
                value /= 1024;
        (void)snprintf(out, TEXT_NUMBER_MAX,
                       value == (double)(uint64_t)value ? "%.0f %s" : "%.1f %s", value,
                       units[unit]);
        return out;
}

const char *text_count(uint64_t n, char out[TEXT_NUMBER_MAX])
{
        char digits[TEXT_NUMBER_MAX], *end = out;
        int len = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n);

        for (int i = 0; i < len; i++) {
                if (i > 0 && (len - i) % 3 == 0)
                        *end++ = ',';
                *end++ = digits[i];
        }
        *end = '\0';
        return out;
}
