/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UTF-8 against a decoder that works the value out and then asks whether it may be: all sequences
 * of one, two and three bytes, those of four from every byte at which a rule begins or ends, and
 * every code point. The short ones end where their block of memory ends, so that a sanitizer sees a
 * read beyond it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "basic/macro.h"
#include "basic/utf8.h"
#include "random.h"

/* How many bytes a character has that begins with this bit pattern; 0: none does. */
static size_t model_length(uint8_t c)
{
        if ((c & 0x80) == 0)
                return 1;
        if ((c & 0xe0) == 0xc0)
                return 2;
        if ((c & 0xf0) == 0xe0)
                return 3;
        return (c & 0xf8) == 0xf0 ? 4 : 0;
}

static bool model_is_valid(const uint8_t *p, size_t len)
{
        static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000}; /* that needs so many bytes */

        while (len > 0) {
                size_t n = model_length(*p);
                uint32_t value;

                if (n == 0 || n > len)
                        return false;
                value = n == 1 ? *p : *p & (0x7fu >> n);
                for (size_t i = 1; i < n; i++) {
                        if (p[i] < 0x80 || p[i] > 0xbf)
                                return false;
                        value = value * 64 + (p[i] - 0x80);
                }
                if (value < least[n] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
                        return false;
                p += n;
                len -= n;
        }
        return true;
}

static void check(const uint8_t *bytes, size_t len)
{
        bool valid = utf8_is_valid(bytes, len);

        if (valid == model_is_valid(bytes, len))
                return;
        for (size_t i = 0; i < len; i++)
                printf("%02x ", bytes[i]);
        fail_msg("utf8_is_valid() says %d", valid);
}

static void test_all_of_one_to_three_bytes(void **state)
{
        uint8_t *p = malloc(3);

        assert_non_null(p);
        for (uint32_t v = 0; v < 1u << 24; v++) {
                p[2] = (uint8_t)v;
                p[1] = (uint8_t)(v >> 8);
                p[0] = (uint8_t)(v >> 16);
                check(p, 3);
                if (v < 1u << 16)
                        check(p + 1, 2);
                if (v < 1u << 8)
                        check(p + 2, 1);
        }
        assert_true(utf8_is_valid(p, 0));
        free(p);
}

static const uint8_t edges[] = {0x00, 0x01, 0x7f, 0x80, 0x81, 0x8f, 0x90, 0x9f, 0xa0, 0xbe, 0xbf,
                                0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0,
                                0xf1, 0xf3, 0xf4, 0xf5, 0xf7, 0xf8, 0xfb, 0xfc, 0xfe, 0xff};

/* The fast path looks at eight bytes at once: so with ASCII before and behind too, at every
 * distance. */
static void test_edges_of_four_bytes_at_every_place(void **state)
{
        uint8_t text[32];

        for (size_t i = 0;
             i < ARRAY_SIZE(edges) * ARRAY_SIZE(edges) * ARRAY_SIZE(edges) * ARRAY_SIZE(edges);
             i++) {
                size_t before = i % 17;

                memset(text, 'x', sizeof(text));
                for (size_t rest = i, k = 0; k < 4; k++, rest /= ARRAY_SIZE(edges))
                        text[before + k] = edges[rest % ARRAY_SIZE(edges)];
                check(text + before, 4);
                check(text, before + 4);
                check(text, sizeof(text));
        }
}

static size_t encode(uint32_t value, uint8_t *out)
{
        if (value < 0x80) {
                out[0] = (uint8_t)value;
                return 1;
        }
        if (value < 0x800) {
                out[0] = (uint8_t)(0xc0 | value >> 6);
                out[1] = (uint8_t)(0x80 | (value & 63));
                return 2;
        }
        if (value < 0x10000) {
                out[0] = (uint8_t)(0xe0 | value >> 12);
                out[1] = (uint8_t)(0x80 | (value >> 6 & 63));
                out[2] = (uint8_t)(0x80 | (value & 63));
                return 3;
        }
        out[0] = (uint8_t)(0xf0 | value >> 18);
        out[1] = (uint8_t)(0x80 | (value >> 12 & 63));
        out[2] = (uint8_t)(0x80 | (value >> 6 & 63));
        out[3] = (uint8_t)(0x80 | (value & 63));
        return 4;
}

static void test_every_code_point_but_the_surrogates(void **state)
{
        uint8_t bytes[4];

        for (uint32_t value = 0; value < 0x1fffff; value++) {
                bool may_be = value <= 0x10ffff && (value < 0xd800 || value > 0xdfff);

                assert_int_equal(utf8_is_valid(bytes, encode(value, bytes)), may_be);
        }
}

/* Texts of whole characters, cut at every place, and with one byte changed. */
static void test_random_texts_cut_and_hurt(void **state)
{
        uint8_t text[80];

        random_seed("utf8");
        for (unsigned round = 0; round < 20000; round++) {
                size_t len = 0;

                while (len + 4 <= sizeof(text))
                        len += encode(random_below(2) ? random_below(0x80) : random_below(0xd800),
                                      text + len);
                for (size_t cut = 0; cut <= len; cut++)
                        check(text, cut);
                text[random_below((unsigned)len)] = (uint8_t)random_next();
                check(text, len);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_all_of_one_to_three_bytes),
                cmocka_unit_test(test_edges_of_four_bytes_at_every_place),
                cmocka_unit_test(test_every_code_point_but_the_surrogates),
                cmocka_unit_test(test_random_texts_cut_and_hurt),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
