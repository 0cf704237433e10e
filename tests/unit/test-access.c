/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which names are allowed (docs/protocol.md, 1), by enumeration: every length around the limits,
 * every code point, every pair and many triples of bytes, every short arrangement of "%%". Names
 * are checked in buffers of just their size, so that a sanitizer sees a read beyond the end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "access/access.h"
#include "basic/macro.h"
#include "wire/frame.h"
#include "wire/handshake.h"

static struct verdict check(const void *name, size_t len)
{
        char *copy = malloc(len ? len : 1);
        struct verdict v;

        assert_non_null(copy);
        memcpy(copy, name, len);
        v = access_check_name(len ? copy : copy + 1, len);
        free(copy);
        return v;
}

static bool is_allowed(const void *name, size_t len)
{
        struct verdict v = check(name, len);

        assert_int_equal(v.code, v.allow ? WIRE_OK : WIRE_DATA);
        assert_non_null(v.reason);
        return v.allow;
}

static void test_reasons_name_the_fault(void **state)
{
        static const struct {
                const char *name;
                size_t len;
                const char *reason;
        } cases[] = {
                {"", 0, "empty"},         {".", 1, "dot"},          {".broker", 7, "dot"},
                {"admin\0x", 7, "NUL"},   {"a\0", 2, "NUL"},        {"\0", 1, "NUL"},
                {"a\nb", 3, "control"},   {"a\x7f", 2, "control"},  {"\xc2\x85", 2, "control"},
                {"\xff", 1, "UTF-8"},     {"a\xc2", 2, "UTF-8"},    {"%%", 2, "empty part"},
                {"a%%", 3, "empty part"}, {"%%a", 3, "empty part"},
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct verdict v = check(cases[i].name, cases[i].len);

                assert_false(v.allow);
                assert_int_equal(v.code, WIRE_DATA);
                assert_non_null(strstr(v.reason, cases[i].reason));
                assert_null(v.file);
        }
}

static void test_ordinary_names_are_allowed(void **state)
{
        static const char *const names[] = {"a",
                                            "plc.1",
                                            "plc.1%%0",
                                            "a.",
                                            "a..b",
                                            " ",
                                            "a b",
                                            "%",
                                            "a%b",
                                            "a%",
                                            "*",
                                            "?",
                                            "a/b",
                                            "#",
                                            "\xc2\xa0",
                                            "~",
                                            "worker",
                                            "a%%%",
                                            "a%%b%%c.d%%e",
                                            "-",
                                            "=x",
                                            ":",
                                            "\xf0\x9f\x9a\x8c"};

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                assert_true(is_allowed(names[i], strlen(names[i])));
}

static void test_every_length(void **state)
{
        char name[UINT16_MAX];

        memset(name, 'n', sizeof(name));
        for (size_t len = 0; len <= 2 * WIRE_NAME_MAX; len++)
                assert_int_equal(is_allowed(name, len), len >= 1 && len <= 1024);
        assert_false(is_allowed(name, sizeof(name)));
        assert_non_null(strstr(check(name, WIRE_NAME_MAX + 1).reason, "long"));
}

static size_t encode(uint32_t c, uint8_t out[4])
{
        if (c < 0x80) {
                out[0] = (uint8_t)c;
                return 1;
        }
        if (c < 0x800) {
                out[0] = (uint8_t)(0xc0 | c >> 6);
                out[1] = (uint8_t)(0x80 | (c & 0x3f));
                return 2;
        }
        if (c < 0x10000) {
                out[0] = (uint8_t)(0xe0 | c >> 12);
                out[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
                out[2] = (uint8_t)(0x80 | (c & 0x3f));
                return 3;
        }
        out[0] = (uint8_t)(0xf0 | c >> 18);
        out[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
        out[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        out[3] = (uint8_t)(0x80 | (c & 0x3f));
        return 4;
}

static bool code_point_is_allowed(uint32_t c)
{
        bool control = c < 0x20 || (c >= 0x7f && c <= 0x9f);
        bool surrogate = c >= 0xd800 && c <= 0xdfff;

        return !control && !surrogate && c <= 0x10ffff;
}

static void test_every_code_point_in_every_place(void **state)
{
        for (uint32_t c = 0; c < 0x110100; c++) {
                uint8_t name[6] = {'a'};
                size_t n = encode(c, name + 1);
                bool allowed = code_point_is_allowed(c);

                assert_int_equal(is_allowed(name, 1 + n), allowed);
                assert_int_equal(is_allowed(name + 1, n), allowed && c != '.');
                name[1 + n] = 'b';
                assert_int_equal(is_allowed(name, 2 + n), allowed);
                for (size_t cut = 1; cut < n; cut++)
                        assert_false(is_allowed(name, 1 + cut));
        }
}

/* The well-formed sequences of two and three bytes, by the ranges of the Unicode standard. */
static bool pair_is_utf8(const uint8_t p[2])
{
        if (p[0] < 0x80)
                return p[1] < 0x80;
        return p[0] >= 0xc2 && p[0] <= 0xdf && p[1] >= 0x80 && p[1] <= 0xbf;
}

static bool triple_is_utf8(const uint8_t p[3])
{
        uint32_t c = (uint32_t)(p[0] & 0x0f) << 12 | (uint32_t)(p[1] & 0x3f) << 6 | (p[2] & 0x3f);

        if (p[0] < 0x80)
                return pair_is_utf8(p + 1);
        if (pair_is_utf8(p))
                return p[2] < 0x80;
        return (p[0] & 0xf0) == 0xe0 && (p[1] & 0xc0) == 0x80 && (p[2] & 0xc0) == 0x80 &&
               c >= 0x800 && (c < 0xd800 || c > 0xdfff);
}

static bool has_control_byte(const uint8_t *p, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                if (p[i] < 0x20 || p[i] == 0x7f)
                        return true;
                if (i > 0 && p[i - 1] == 0xc2 && p[i] < 0xa0)
                        return true;
        }
        return false;
}

static void test_every_pair_of_bytes(void **state)
{
        for (unsigned i = 0; i < 0x10000; i++) {
                uint8_t name[4] = {'a', (uint8_t)(i >> 8), (uint8_t)i, 'b'};

                assert_int_equal(is_allowed(name, sizeof(name)),
                                 pair_is_utf8(name + 1) && !has_control_byte(name + 1, 2));
        }
}

static void test_every_triple_of_bytes_at_the_edges_of_ranges(void **state)
{
        static const uint8_t edges[] = {0x00, 0x1f, 0x20, 0x41, 0x7e, 0x7f, 0x80, 0x8f, 0x90,
                                        0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xc3, 0xdf, 0xe0,
                                        0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf4, 0xf5, 0xff};
        size_t n = ARRAY_SIZE(edges);

        for (size_t i = 0; i < n * n * n; i++) {
                uint8_t name[5] = {'a', edges[i / n / n], edges[i / n % n], edges[i % n], 'b'};

                assert_int_equal(is_allowed(name, sizeof(name)),
                                 triple_is_utf8(name + 1) && !has_control_byte(name + 1, 3));
        }
}

/* "%%" divides: no part may be empty. Takes the name apart from its left end, byte by byte. */
static bool model_parts_are_full(const char *name, size_t len, size_t *ret_primary)
{
        size_t part = 0;
        bool full = true;

        *ret_primary = len;
        for (size_t i = 0; i < len; i++) {
                if (name[i] != '%' || i + 1 == len || name[i + 1] != '%') {
                        part++;
                        continue;
                }
                if (*ret_primary == len)
                        *ret_primary = i;
                full = full && part > 0;
                part = 0;
                i++;
        }
        return full && part > 0;
}

static void test_every_short_arrangement_of_separators(void **state)
{
        static const char alphabet[] = "a%.";
        char name[10];
        size_t n_allowed = 0, primary;

        for (size_t len = 1; len <= sizeof(name); len++) {
                size_t n = 1;

                for (size_t i = 0; i < len; i++)
                        n *= 3;
                for (size_t i = 0; i < n; i++) {
                        bool full;

                        for (size_t j = 0, rest = i; j < len; j++, rest /= 3)
                                name[j] = alphabet[rest % 3];
                        full = model_parts_are_full(name, len, &primary);
                        assert_int_equal(is_allowed(name, len), full && name[0] != '.');
                        assert_int_equal(access_primary_len(name, len), primary);
                        n_allowed += full;
                }
        }
        assert_true(n_allowed > 10000);
}

static void test_separators_in_a_row(void **state)
{
        static const struct {
                const char *name;
                bool allowed;
                size_t primary_len;
        } cases[] = {
                {"%%%%", false, 0},   {"%%%", false, 0},    {"a%%%%", false, 1},
                {"a%%%%b", false, 1}, {"a%%b%%", false, 1}, {"a%%%", true, 1},
                {"a%%%b", true, 1},   {"a%%b%", true, 1},   {"a%%b%%c", true, 1},
                {"a%b%%c", true, 3},  {"%a%%b", true, 2},   {"plc.1%%0", true, 5},
                {"plc.1", true, 5},   {"%", true, 1},       {"a%%%%%b", false, 1},
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                size_t len = strlen(cases[i].name);

                assert_int_equal(is_allowed(cases[i].name, len), cases[i].allowed);
                assert_int_equal(access_primary_len(cases[i].name, len), cases[i].primary_len);
        }
        assert_int_equal(access_primary_len("", 0), 0);
        assert_int_equal(access_primary_len(NULL, 0), 0);
}

/* The name is not NUL-terminated: what stands behind it must not matter. */
static void test_what_follows_the_name_is_not_read(void **state)
{
        assert_true(is_allowed("a%%b", 4));
        assert_true(access_check_name("a%%", 2).allow);
        assert_int_equal(access_primary_len("a%%", 2), 2);
        assert_true(access_check_name("ok\n", 2).allow);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_reasons_name_the_fault),
                cmocka_unit_test(test_ordinary_names_are_allowed),
                cmocka_unit_test(test_every_length),
                cmocka_unit_test(test_every_code_point_in_every_place),
                cmocka_unit_test(test_every_pair_of_bytes),
                cmocka_unit_test(test_every_triple_of_bytes_at_the_edges_of_ranges),
                cmocka_unit_test(test_every_short_arrangement_of_separators),
                cmocka_unit_test(test_separators_in_a_row),
                cmocka_unit_test(test_what_follows_the_name_is_not_read),
        };

        return cmocka_run_group_tests_name("access", tests, NULL, NULL);
}
