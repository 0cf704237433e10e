/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each key has its share of the log and no more, whatever others do; what is held back is counted
 * to the last one.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "busrtd/limiter.h"

#define BURST 10
#define WINDOW 1000

static struct limiter *make(void)
{
        struct limiter *limiter;

        assert_int_equal(limiter_new(BURST, WINDOW, &limiter), 0);
        return limiter;
}

static unsigned count_passed(struct limiter *limiter, const char *who, uint64_t now, unsigned n)
{
        struct limiter_summary evicted;
        unsigned passed = 0;

        for (unsigned i = 0; i < n; i++)
                passed += limiter_pass(limiter, who, 3, now, &evicted);
        return passed;
}

static void test_a_burst_passes_and_the_rest_is_told_once(void **state)
{
        struct limiter *limiter = make();
        struct limiter_summary s;

        assert_int_equal(limiter_deadline(limiter), UINT64_MAX);
        assert_int_equal(count_passed(limiter, "a", 100, BURST), BURST);
        assert_int_equal(limiter_deadline(limiter), UINT64_MAX);
        assert_int_equal(count_passed(limiter, "a", 500, 7), 0);
        assert_int_equal(limiter_deadline(limiter), 100 + WINDOW);
        assert_false(limiter_take_summary(limiter, 99 + WINDOW, &s));
        assert_true(limiter_take_summary(limiter, 100 + WINDOW, &s));
        assert_string_equal(s.who, "a");
        assert_int_equal(s.suppressed, 7);
        assert_int_equal(s.weight, 21);
        assert_false(limiter_take_summary(limiter, 100 + WINDOW, &s));
        assert_int_equal(limiter_deadline(limiter), UINT64_MAX);
        limiter_free(limiter);
}

static void test_a_new_window_is_a_new_share(void **state)
{
        struct limiter *limiter = make();
        struct limiter_summary s;

        assert_int_equal(count_passed(limiter, "a", 0, BURST + 3), BURST);
        assert_true(limiter_pass(limiter, "a", 3, WINDOW, &s));
        assert_int_equal(s.suppressed, 3);
        assert_string_equal(s.who, "a");
        assert_int_equal(count_passed(limiter, "a", WINDOW, BURST), BURST - 1);
        limiter_free(limiter);
}

static void test_one_does_not_take_another_s_share(void **state)
{
        struct limiter *limiter = make();

        assert_int_equal(count_passed(limiter, "a", 0, 100), BURST);
        assert_int_equal(count_passed(limiter, "b", 0, 100), BURST);
        assert_int_equal(count_passed(limiter, "", 0, 100), BURST);
        limiter_free(limiter);
}

/* More keys than there are places: each record is either passed or in one summary, none is
 * forgotten. */
static void test_nothing_is_forgotten_in_a_flood_of_keys(void **state)
{
        struct limiter *limiter = make();
        struct limiter_summary s;
        uint64_t passed = 0, suppressed = 0, weight = 0, now = 0;
        char who[32];

        for (unsigned i = 0; i < 100000; i++, now += i % 3 == 0) {
                (void)snprintf(who, sizeof(who), "key %u", i % 5000 < 2500 ? i % 7 : i % 5000);
                passed += limiter_pass(limiter, who, 3, now, &s);
                suppressed += s.suppressed;
                weight += s.suppressed ? s.weight : 0;
        }
        while (limiter_take_summary(limiter, UINT64_MAX, &s)) {
                suppressed += s.suppressed;
                weight += s.weight;
        }
        assert_int_equal(weight, 3 * suppressed);
        assert_int_equal(passed + suppressed, 100000);
        assert_true(suppressed > 10000);
        limiter_free(limiter);
}

static void test_long_keys_are_cut(void **state)
{
        struct limiter *limiter = make();
        char who[1000];

        memset(who, 'x', sizeof(who) - 1);
        who[sizeof(who) - 1] = '\0';
        assert_int_equal(count_passed(limiter, who, 0, 2 * BURST), BURST);
        limiter_free(limiter);
        assert_null(limiter_free(NULL));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_burst_passes_and_the_rest_is_told_once),
                cmocka_unit_test(test_a_new_window_is_a_new_share),
                cmocka_unit_test(test_one_does_not_take_another_s_share),
                cmocka_unit_test(test_nothing_is_forgotten_in_a_flood_of_keys),
                cmocka_unit_test(test_long_keys_are_cut),
        };

        return cmocka_run_group_tests_name("limiter", tests, NULL, NULL);
}
