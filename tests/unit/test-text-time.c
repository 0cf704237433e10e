/* SPDX-License-Identifier: Apache-2.0 */
/* Moments and spans as they are read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "basic/macro.h"
#include "busrtctl/text-time.h"

#define SECOND UINT64_C(1000000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

static void assert_span(uint64_t span, const char *expected)
{
        char out[TEXT_SPAN_MAX];

        assert_string_equal(text_span(span, out), expected);
}

static void test_spans_have_two_units_at_most(void **state)
{
        assert_span(0, "0");
        assert_span(7, "7us");
        assert_span(350999, "350ms");
        assert_span(42 * SECOND + 999999, "42s");
        assert_span(3 * MINUTE + 2 * SECOND, "3min 2s");
        assert_span(3 * MINUTE, "3min");
        assert_span(12 * MINUTE + 59 * SECOND, "12min");
        assert_span(5 * HOUR + 3 * MINUTE, "5h 3min");
        assert_span(DAY + 4 * HOUR, "1d 4h");
        assert_span(1000 * DAY + 4 * HOUR, "1000d");
        assert_span(UINT64_MAX, "213503982d");
}

static void test_ages(void **state)
{
        char out[TEXT_SPAN_MAX];

        assert_string_equal(text_age(0, 3 * MINUTE, out), "3min ago");
        assert_string_equal(text_age(5, SECOND, out), "now");
        assert_string_equal(text_age(2 * HOUR, HOUR, out), "now");
}

static void assert_moment(void (*add)(struct text *out, uint64_t moment), const char *expected)
{
        struct text text = {0};

        add(&text, 1795743182 * SECOND + 42);
        text_add(&text, "", 1);
        assert_string_equal(text.data, expected);
        text_done(&text);
}

static void add_clock(struct text *out, uint64_t moment)
{
        text_add_clock(out, moment, false);
        text_adds(out, " ");
        text_add_clock(out, moment, true);
}

static void test_moments(void **state)
{
        assert_moment(text_add_iso, "\"2026-11-27T01:33:02.000042Z\"");
        assert_moment(text_add_date, "Fri 2026-11-27 03:33:02 EET");
        assert_moment(add_clock, "03:33:02.000 01:33:02.000");
}

static int set_zone(void **state)
{
        setenv("TZ", "EET-2", 1);
        tzset();
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_spans_have_two_units_at_most),
                cmocka_unit_test(test_ages),
                cmocka_unit_test(test_moments),
        };

        return cmocka_run_group_tests(tests, set_zone, NULL);
}
