/* SPDX-License-Identifier: Apache-2.0 */
/* Untrusted text comes out harmless in room of any size; sizes and times read well. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "basic/clock.h"
#include "basic/macro.h"
#include "basic/utf8.h"
#include "busrtd/text.h"

static void expect(const char *text, const char *visible)
{
        char out[256];

        assert_string_equal(text_visible(text, out, sizeof(out)), visible);
}

static void test_plain_text_stays(void **state)
{
        expect("", "");
        expect("plc.1%%2", "plc.1%%2");
        expect("a b\\c \"d\"", "a b\\c \"d\"");
        expect("\xd0\xb4\xd0\xb0 \xf0\x9d\x84\x9e", "\xd0\xb4\xd0\xb0 \xf0\x9d\x84\x9e");
}

static void test_what_disturbs_is_written_out(void **state)
{
        static const char *const bad[] = {
                "\033[2J",
                "a\nb",
                "a\tb",
                "\x7f",
                "\xff",
                "\xc3",
                "\xc2\x9b"
                "31m",
                "\xe2\x80\xae"
                "x",
                "\xe2\x81\xa6"
                "x",
                "\r",
                "\x01",
                "\xed\xa0\x80",
        };
        char out[64];

        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                text_visible(bad[i], out, sizeof(out));
                assert_true(strlen(out) > 0);
                for (const char *c = out; *c; c++)
                        assert_in_range(*c, 0x20, 0x7e);
        }
}

static void test_dbus_gets_utf8(void **state)
{
        char out[64];

        assert_string_equal(text_utf8("a\033\nb\xc3\xa9\xe2\x80\xae", out, sizeof(out)),
                            "a\033\nb\xc3\xa9\xe2\x80\xae");
        assert_string_equal(text_utf8("\xc3\xa9", out, 2), "");
        text_utf8("a\xff\xfe", out, sizeof(out));
        assert_true(utf8_is_valid(out, strlen(out)));
        assert_int_equal(out[0], 'a');
}

static void test_noncharacters_are_not_for_dbus(void **state)
{
        static const char *const refused[] = {
                "\xef\xb7\x90",     "\xef\xb7\xaf",     "\xef\xbf\xbe",    "\xef\xbf\xbf",
                "\xf0\x9f\xbf\xbe", "\xf0\xaf\xbf\xbf", "\xf4\x8f\xbf\xbf"};
        static const char *const taken[] = {
                "\xef\xb7\x8f",     "\xef\xb7\xb0",     "\xef\xbf\xbd",     "\xee\xbf\xbe",
                "\xf0\x9f\xbf\xbd", "\xf0\x9e\xbf\xbe", "\xf0\x9f\xbe\xbe", "\xe2\x80\xae"};
        char out[64];

        for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
                char text[16];

                assert_true(utf8_is_valid(refused[i], strlen(refused[i])));
                (void)snprintf(text, sizeof(text), "a%sb%s", refused[i], refused[i]);
                assert_string_equal(text_utf8(text, out, sizeof(out)), "a\xef\xbf\xbd"
                                                                       "b\xef\xbf\xbd");
                for (const char *c = text_visible(text, out, sizeof(out)); *c; c++)
                        assert_in_range(*c, 0x20, 0x7e);
        }
        for (size_t i = 0; i < ARRAY_SIZE(taken); i++)
                assert_string_equal(text_utf8(taken[i], out, sizeof(out)), taken[i]);
}

static void test_any_room_is_enough(void **state)
{
        static const char *const texts[] = {"abcdefghijklmnop",
                                            "\xd0\xb4\xd0\xb0\xf0\x9d\x84\x9e\xd0\xb4",
                                            "\033\033\033\033\033\033", "\xff\x80\xff\x80\xff", ""};

        for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
                for (size_t size = 1; size < 40; size++) {
                        char *out = malloc(size);

                        assert_non_null(out);
                        text_visible(texts[i], out, size);
                        assert_true(strlen(out) < size);
                        assert_true(utf8_is_valid(out, strlen(out)));
                        free(out);
                }
}

static void test_sizes(void **state)
{
        char out[TEXT_NUMBER_MAX];

        assert_string_equal(text_bytes(0, out), "0 bytes");
        assert_string_equal(text_bytes(1023, out), "1023 bytes");
        assert_string_equal(text_bytes(1024, out), "1 KiB");
        assert_string_equal(text_bytes(1536, out), "1.5 KiB");
        assert_string_equal(text_bytes(64 << 20, out), "64 MiB");
        assert_string_equal(text_bytes(UINT64_C(1) << 40, out), "1 TiB");
        assert_true(strlen(text_bytes(UINT64_MAX, out)) < TEXT_NUMBER_MAX);
}

static void test_times(void **state)
{
        char out[TEXT_NUMBER_MAX];

        assert_string_equal(text_duration(0, out), "off");
        assert_string_equal(text_duration(5 * NSEC_PER_SEC, out), "5 s");
        assert_string_equal(text_duration(2500 * NSEC_PER_MSEC, out), "2.5 s");
        assert_string_equal(text_duration(100 * NSEC_PER_MSEC, out), "100 ms");
        assert_string_equal(text_duration(20 * NSEC_PER_USEC, out), "20 \xc2\xb5s");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_plain_text_stays),
                cmocka_unit_test(test_what_disturbs_is_written_out),
                cmocka_unit_test(test_dbus_gets_utf8),
                cmocka_unit_test(test_noncharacters_are_not_for_dbus),
                cmocka_unit_test(test_any_room_is_enough),
                cmocka_unit_test(test_sizes),
                cmocka_unit_test(test_times),
        };

        return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
