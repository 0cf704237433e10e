/* SPDX-License-Identifier: Apache-2.0 */
/* Ids of operations and calls, and what waits under them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/internal.h"

#define MANY 100000

static struct pending items[MANY];

static void what_is_added_is_found_until_it_is_removed(void **state)
{
        struct slots slots = {0};

        for (size_t i = 0; i < MANY; i++)
                assert_int_equal(slots_add(&slots, &items[i]), 0);
        for (size_t i = 0; i < MANY; i++)
                assert_ptr_equal(slots_find(&slots, items[i].id), &items[i]);
        for (size_t i = 0; i < MANY; i++) {
                uint32_t id = items[i].id;

                slots_remove(&slots, &items[i]);
                assert_null(slots_find(&slots, id));
                assert_int_equal(items[i].id, 0);
        }
        assert_int_equal(slots.used, 0);
        slots_done(&slots);
}

static void nothing_is_found_where_nothing_was_added(void **state)
{
        struct slots slots = {0};

        assert_null(slots_find(&slots, 1));
        assert_int_equal(slots_add(&slots, &items[0]), 0);
        assert_null(slots_find(&slots, items[0].id + 1));
        assert_null(slots_find(&slots, items[0].id + slots.size));
        assert_null(slots_find(&slots, 0));
        slots_done(&slots);
}

/* One that waits for long is passed over, and makes the table no larger. */
static void short_ones_go_round_a_long_one(void **state)
{
        struct slots slots = {0};
        uint32_t size;

        assert_int_equal(slots_add(&slots, &items[0]), 0);
        size = slots.size;
        for (size_t i = 1; i < MANY; i++) {
                assert_int_equal(slots_add(&slots, &items[i]), 0);
                assert_int_not_equal(items[i].id & (size - 1), items[0].id & (size - 1));
                assert_ptr_equal(slots_find(&slots, items[0].id), &items[0]);
                slots_remove(&slots, &items[i]);
        }
        assert_int_equal(slots.size, size);
        slots_done(&slots);
}

/* Id 0 means "no reply": it is nobody's, also when the numbers begin again. */
static void ids_begin_again_without_0(void **state)
{
        struct slots slots = {.last_id = UINT32_MAX - 3};

        for (size_t i = 0; i < 8; i++)
                assert_int_equal(slots_add(&slots, &items[i]), 0);
        assert_int_equal(items[2].id, UINT32_MAX);
        assert_int_equal(items[3].id, 1);
        for (size_t i = 0; i < 8; i++)
                assert_ptr_equal(slots_find(&slots, items[i].id), &items[i]);
        slots_done(&slots);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_is_added_is_found_until_it_is_removed),
                cmocka_unit_test(nothing_is_found_where_nothing_was_added),
                cmocka_unit_test(short_ones_go_round_a_long_one),
                cmocka_unit_test(ids_begin_again_without_0),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
