/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of CPUs, and whether some of them are a worker's own. */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "basic/macro.h"
#include "busrtd/cpus.h"

static cpu_set_t cpus(const char *list)
{
        cpu_set_t set;

        assert_int_equal(cpus_parse(list, &set), 0);
        return set;
}

static void lists_are_read_and_written(void **state)
{
        static const char *const lists[] = {"", "0", "1", "0-1", "0,2", "0-3,8,10-11", "1023"};
        char text[64];

        for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
                cpu_set_t set = cpus(lists[i]);

                assert_string_equal(cpus_format(&set, text, sizeof(text)), lists[i]);
        }
        assert_int_equal(CPU_COUNT(&(cpu_set_t[]){cpus("0-3,8\n")}[0]), 5);
}

static void what_is_no_list_is_refused(void **state)
{
        static const char *const wrong[] = {
                "a",   "-1",   "1-",      "3-2",  "1024",
                "0,x", "0 1",  "0-3-4",   ",",    "99999999999999999999",
                "0x1", "1,,2", "0-99999", "+1,2", " 1"};
        cpu_set_t set = cpus("7");

        for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
                if (cpus_parse(wrong[i], &set) != -EINVAL)
                        print_error("taken: %s\n", wrong[i]);
                assert_int_equal(cpus_parse(wrong[i], &set), -EINVAL);
        }
        assert_true(CPU_ISSET(7, &set));
        assert_int_equal(CPU_COUNT(&set), 1);
}

static void a_long_list_is_cut(void **state)
{
        cpu_set_t set = cpus("0,2,4,6,8");
        char text[6];

        assert_string_equal(cpus_format(&set, text, sizeof(text)), "0,2,4");
}

static void those_are_own_that_leave_some_to_others(void **state)
{
        static const struct {
                const char *cpus, *shared;
                size_t n;
                bool own;
        } cases[] = {
                {"0-1", "0-1", 1, false},                         /* not placed */
                {"1", "0-1", 1, true},    {"1", "0-1", 2, false}, /* too few */
                {"2-3", "0-3", 2, true},  {"0", "0", 1, false},   /* there is one only */
                {"1", "0", 1, true},                              /* isolated */
                {"0", "0", 1, false}, /* not placed: the other is isolated */
                {"0-1", "0", 1, false},   {"", "0-1", 1, false},
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                cpu_set_t set = cpus(cases[i].cpus), shared = cpus(cases[i].shared);

                if (cpus_are_own(&set, &shared, cases[i].n) != cases[i].own)
                        print_error("%s of %s\n", cases[i].cpus, cases[i].shared);
                assert_int_equal(cpus_are_own(&set, &shared, cases[i].n), cases[i].own);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(lists_are_read_and_written),
                cmocka_unit_test(what_is_no_list_is_refused),
                cmocka_unit_test(a_long_list_is_cut),
                cmocka_unit_test(those_are_own_that_leave_some_to_others),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
