/* SPDX-License-Identifier: Apache-2.0 */
/* Times in buckets: nothing is lost, and what is told of them is true to within a hundredth. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "basic/macro.h"
#include "busrtctl/histogram.h"

static struct histogram *histogram_new(void)
{
        struct histogram *histogram = calloc(1, sizeof(*histogram));

        assert_non_null(histogram);
        return histogram;
}

static void test_nothing_is_all_zero(void **state)
{
        _cleanup_free_ struct histogram *empty = histogram_new();

        assert_int_equal(histogram_percentile(empty, 50), 0);
        assert_int_equal(histogram_percentile(empty, 100), 0);
        assert_true(histogram_mean(empty) == 0);
}

/* Each bucket begins where the one before ended, and a value is in the bucket that ends first from
 * it on: its only one. */
static void test_buckets_leave_no_gap(void **state)
{
        for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
                _cleanup_free_ struct histogram *one = histogram_new();
                uint64_t end = histogram_bucket_end(i);
                uint64_t start = i > 0 ? histogram_bucket_end(i - 1) + 1 : 0;

                assert_true(start <= end);
                assert_true(end - start <= start / HISTOGRAM_STEPS);
                histogram_add(one, start);
                histogram_add(one, end);
                assert_int_equal(one->buckets[i], 2);
        }
        assert_int_equal(histogram_bucket_end(HISTOGRAM_BUCKETS - 1), HISTOGRAM_MAX);
}

static void test_percentiles_are_those_of_the_values(void **state)
{
        _cleanup_free_ struct histogram *histogram = histogram_new();
        static const double percents[] = {1, 50, 90, 99, 99.9, 100};

        for (uint64_t i = 1; i <= 100000; i++)
                histogram_add(histogram, i * 1000);
        for (size_t i = 0; i < ARRAY_SIZE(percents); i++) {
                double exact = percents[i] * 1000 * 1000;
                double told = (double)histogram_percentile(histogram, percents[i]);

                assert_true(told >= exact && told <= exact * 1.01);
        }
        assert_int_equal(histogram->count, 100000);
        assert_int_equal(histogram->min, 1000);
        assert_int_equal(histogram->max, 100000000);
        assert_true(histogram_mean(histogram) == 50000500);
}

static void test_one_value_is_every_percentile(void **state)
{
        _cleanup_free_ struct histogram *histogram = histogram_new();

        histogram_add(histogram, 1000003);
        assert_int_equal(histogram_percentile(histogram, 0), 1000003);
        assert_int_equal(histogram_percentile(histogram, 50), 1000003);
        assert_int_equal(histogram_percentile(histogram, 100), 1000003);
}

static void test_one_outlier_is_the_last_percentile_only(void **state)
{
        _cleanup_free_ struct histogram *histogram = histogram_new();

        for (unsigned i = 0; i < 999; i++)
                histogram_add(histogram, 100);
        histogram_add(histogram, 5000000);
        assert_int_equal(histogram_percentile(histogram, 99.9), 100);
        assert_int_equal(histogram_percentile(histogram, 99.95), 5000000);
}

static void test_what_is_too_long_counts_as_the_longest(void **state)
{
        _cleanup_free_ struct histogram *histogram = histogram_new();

        histogram_add(histogram, UINT64_MAX);
        assert_int_equal(histogram->count, 1);
        assert_int_equal(histogram->max, HISTOGRAM_MAX);
        assert_int_equal(histogram->buckets[HISTOGRAM_BUCKETS - 1], 1);
}

static void test_merging_is_as_if_all_had_been_added_to_one(void **state)
{
        _cleanup_free_ struct histogram *one = histogram_new(), *other = histogram_new(),
                                        *both = histogram_new(), *empty = histogram_new();

        for (uint64_t i = 0; i < 5000; i++) {
                uint64_t value = i * i * 37 + 11;

                histogram_add(i % 3 == 0 ? one : other, value);
                histogram_add(both, value);
        }
        histogram_merge(empty, one);
        histogram_merge(empty, other);
        assert_int_equal(empty->count, both->count);
        assert_int_equal(empty->min, both->min);
        assert_int_equal(empty->max, both->max);
        assert_true(empty->sum == both->sum);
        assert_memory_equal(empty->buckets, both->buckets, sizeof(both->buckets));
}

static void test_merging_nothing_changes_nothing(void **state)
{
        _cleanup_free_ struct histogram *histogram = histogram_new(), *empty = histogram_new();

        histogram_add(histogram, 7);
        histogram_merge(histogram, empty);
        assert_int_equal(histogram->min, 7);
        assert_int_equal(histogram->count, 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_nothing_is_all_zero),
                cmocka_unit_test(test_buckets_leave_no_gap),
                cmocka_unit_test(test_percentiles_are_those_of_the_values),
                cmocka_unit_test(test_one_value_is_every_percentile),
                cmocka_unit_test(test_one_outlier_is_the_last_percentile_only),
                cmocka_unit_test(test_what_is_too_long_counts_as_the_longest),
                cmocka_unit_test(test_merging_is_as_if_all_had_been_added_to_one),
                cmocka_unit_test(test_merging_nothing_changes_nothing),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
