/* SPDX-License-Identifier: Apache-2.0 */
#define LIBBSD_NETBSD_VIS 1
#include <bsd/string.h>
#include <bsd/vis.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>

#include "basic/clock.h"
#include "basic/macro.h"
#include "basic/utf8.h"
#include "busrtd/text.h"

/* Two-byte controls (U+0080 to U+009F), and the marks that turn the direction of writing (U+200E,
 * U+200F, U+202A to U+202E, U+2066 to U+2069), which make a line read other than it is. p is valid
 * UTF-8. */
static bool is_disturbing(const uint8_t *p)
{
        if (p[0] < 0x20 || p[0] == 0x7f)
                return true;
        if (p[0] == 0xc2)
                return p[1] < 0xa0;
        if (p[0] != 0xe2)
                return false;
        return (p[1] == 0x80 && (p[2] == 0x8e || p[2] == 0x8f || (p[2] >= 0xaa && p[2] <= 0xae))) ||
               (p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9);
}

/* Code points that are kept free of characters: U+FDD0 to U+FDEF, and the last two of each plane. p
 * is valid UTF-8. */
static bool is_noncharacter(const uint8_t *p)
{
        if (p[0] == 0xef)
                return (p[1] == 0xb7 && p[2] >= 0x90 && p[2] <= 0xaf) ||
                       (p[1] == 0xbf && p[2] >= 0xbe);
        return p[0] >= 0xf0 && (p[1] & 0x0f) == 0x0f && p[2] == 0xbf && p[3] >= 0xbe;
}

static bool is_plain(const char *text)
{
        if (!utf8_is_valid(text, strlen(text)))
                return false;
        for (const uint8_t *p = (const uint8_t *)text; *p; p++)
                if (is_disturbing(p) || is_noncharacter(p))
                        return false;
        return true;
}

/* The length of the longest start of text that fits and does not end inside a character. */
static size_t cut_length(const char *text, size_t size)
{
        size_t n = strlen(text);

        if (n < size)
                return n;
        n = size - 1;
        while (n > 0 && ((uint8_t)text[n] & 0xc0) == 0x80)
                n--;
        return n;
}

/* Byte by byte, since strnvis(3) does not end its text where the room is too small. */
static void write_vis(const char *text, char *out, size_t size)
{
        char one[8];
        size_t n = 0;

        for (const uint8_t *p = (const uint8_t *)text; *p; p++) {
                size_t len =
                        (size_t)(vis(one, *p, VIS_CSTYLE | VIS_WHITE | VIS_NOLOCALE, p[1]) - one);

                if (n + len >= size)
                        break;
                memcpy(out + n, one, len);
                n += len;
        }
        out[n] = '\0';
}

static const char *write_text(const char *text, bool as_it_is, char *out, size_t size)
{
        size_t n;

        if (!as_it_is) {
                write_vis(text, out, size);
                return out;
        }
        n = cut_length(text, size);
        memcpy(out, text, n);
        out[n] = '\0';
        return out;
}

const char *text_visible(const char *text, char *out, size_t size)
{
        return write_text(text, is_plain(text), out, size);
}

const char *text_utf8(const char *text, char *out, size_t size)
{
        bool is_utf8 = utf8_is_valid(text, strlen(text));

        write_text(text, is_utf8, out, size);
        if (is_utf8)
                text_suit_dbus(out);
        return out;
}

void text_suit_dbus(char *text)
{
        const char *from = text;
        char *to = text;

        while (*from)
                if (is_noncharacter((const uint8_t *)from)) {
                        from += *(const uint8_t *)from < 0xf0 ? 3 : 4;
                        memcpy(to, "\xef\xbf\xbd", 3);
                        to += 3;
                } else
                        *to++ = *from++;
        *to = '\0';
}

const char *text_bytes(uint64_t n, char out[TEXT_NUMBER_MAX])
{
        static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
        double value = (double)n;
        size_t unit = 0;

        if (n < 1024) {
                (void)snprintf(out, TEXT_NUMBER_MAX, "%" PRIu64 " bytes", n);
                return out;
        }
        for (value /= 1024; value >= 1024 && unit + 1 < ARRAY_SIZE(units); unit++)
                value /= 1024;
        (void)snprintf(out, TEXT_NUMBER_MAX,
                       value == (double)(uint64_t)value ? "%.0f %s" : "%.1f %s", value,
                       units[unit]);
        return out;
}

const char *text_duration(uint64_t nsec, char out[TEXT_NUMBER_MAX])
{
        if (nsec == 0)
                (void)strlcpy(out, "off", TEXT_NUMBER_MAX);
        else if (nsec >= NSEC_PER_SEC)
                (void)snprintf(out, TEXT_NUMBER_MAX, "%.6g s", (double)nsec / (double)NSEC_PER_SEC);
        else if (nsec >= NSEC_PER_MSEC)
                (void)snprintf(out, TEXT_NUMBER_MAX, "%.6g ms",
                               (double)nsec / (double)NSEC_PER_MSEC);
        else
                (void)snprintf(out, TEXT_NUMBER_MAX, "%.6g µs",
                               (double)nsec / (double)NSEC_PER_USEC);
        return out;
}
