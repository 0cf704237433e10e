/* SPDX-License-Identifier: Apache-2.0 */
/* Text in the columns of a terminal: wide characters, none, cuts, and locales that know none of
 * it. */
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "basic/macro.h"
#include "busrtctl/fit.h"

static void assert_text(struct text *text, const char *expected)
{
        assert_false(text->failed);
        text_add(text, "", 1);
        assert_string_equal(text->data, expected);
        text_done(text);
}

static void assert_cut(const char *visible, size_t columns, const char *expected)
{
        struct text text = {0};
        size_t used = fit_add(&text, visible, columns);

        assert_true(used <= columns);
        assert_int_equal(text.failed, false);
        text_add(&text, "", 1);
        assert_int_equal(fit_width(text.data), used);
        assert_string_equal(text.data, expected);
        text_done(&text);
}

static int use_utf8(void **state)
{
        return setlocale(LC_CTYPE, "C.UTF-8") ? 0 : -1;
}

static int use_c(void **state)
{
        return setlocale(LC_CTYPE, "C") ? 0 : -1;
}

static void test_characters_take_none_one_or_two_columns(void **state)
{
        assert_int_equal(fit_width(""), 0);
        assert_int_equal(fit_width("plc.1"), 5);
        assert_int_equal(fit_width("Grüße"), 5);
        assert_int_equal(fit_width("生产线"), 6);
        assert_int_equal(fit_width("e\xcc\x81"), 1);
}

static void test_what_does_not_fit_is_marked(void **state)
{
        assert_cut("plc.1", 5, "plc.1");
        assert_cut("plc.1", 4, "plc…");
        assert_cut("plc.1", 1, "…");
        assert_cut("plc.1", 0, "");
        assert_cut("生产线", 6, "生产线");
        assert_cut("生产线", 5, "生产…");
        assert_cut("生产线", 4, "生…");
        assert_cut("生产线", 1, "…");
}

static void test_a_mark_of_no_width_stays_with_its_letter(void **state)
{
        assert_cut("e\xcc\x81x", 2, "e\xcc\x81x");
        assert_cut("ae\xcc\x81xy", 3, "ae\xcc\x81…");
}

static void test_filled_to_the_width(void **state)
{
        struct text text = {0};

        fit_add_left(&text, "ab", 4);
        text_adds(&text, "|");
        fit_add_right(&text, "ab", 4);
        text_adds(&text, "|");
        fit_add_right(&text, "生产线", 4);
        text_adds(&text, "|");
        fit_add_left(&text, "abcdef", 3);
        assert_text(&text, "ab  |  ab|生… |ab…");
}

static void test_bytes_that_are_no_characters_are_escaped(void **state)
{
        assert_cut("a\xff", 8, "a\\xff");
        assert_cut("a\xe7\x94", 16, "a\\xe7\\x94");
}

static void test_the_c_locale_shows_ascii(void **state)
{
        assert_int_equal(fit_width("ü"), 8);
        assert_cut("aü", 20, "a\\xc3\\xbc");
        assert_cut("plc.1", 4, "plc~");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(test_characters_take_none_one_or_two_columns, use_utf8),
                cmocka_unit_test_setup(test_what_does_not_fit_is_marked, use_utf8),
                cmocka_unit_test_setup(test_a_mark_of_no_width_stays_with_its_letter, use_utf8),
                cmocka_unit_test_setup(test_filled_to_the_width, use_utf8),
                cmocka_unit_test_setup(test_bytes_that_are_no_characters_are_escaped, use_utf8),
                cmocka_unit_test_setup(test_the_c_locale_shows_ascii, use_c),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
