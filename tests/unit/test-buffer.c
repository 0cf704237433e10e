/* SPDX-License-Identifier: Apache-2.0 */
/* The reserve of a buffer pool: it is there from the start, it stays, and it is enough. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "basic/macro.h"
#include "counted-malloc.h"
#include "engine/buffer.h"

#define RESERVE (16 << 20)
#define SHARE (RESERVE / 8) /* of each size from 2 KiB to 256 KiB */
#define LIMIT (64 << 20)

static struct accounts *accounts;
static struct account *account;
static struct buffer_pool pool;
static size_t n_live; /* without the pool */

static int setup(void **state)
{
        struct account_limits limits = {.max = {[QUOTA_MEMORY] = LIMIT}, .max_held = LIMIT};
        struct identity id = identity_of_user(1);

        assert_int_equal(accounts_new(&limits, false, &accounts), 0);
        assert_int_equal(accounts_connect_again(accounts, &id, &account), 0);
        n_live = memory.n_live;
        buffer_pool_init(&pool, accounts);
        assert_int_equal(buffer_pool_reserve(&pool, RESERVE), 0);
        memory_count();
        return 0;
}

static int teardown(void **state)
{
        assert_int_equal(accounts_held(accounts), 0);
        buffer_pool_done(&pool);
        assert_int_equal(memory.n_live, n_live);
        account_give_back(account, QUOTA_HANDSHAKES, 1);
        accounts_disconnect(accounts, account);
        accounts_free(accounts);
        return 0;
}

/* Takes n buffers of that size, a list. */
static struct buffer *take(size_t n, size_t size)
{
        struct buffer *list = NULL, *b;

        for (size_t i = 0; i < n; i++) {
                assert_int_equal(buffer_new(&pool, account, size - sizeof(*b), SIZE_MAX, &b), 0);
                assert_true(b->capacity + sizeof(*b) >= size);
                b->next = list;
                list = b;
        }
        return list;
}

static void give_back(struct buffer *list)
{
        while (list) {
                struct buffer *next = list->next;

                buffer_unref(&pool, list);
                list = next;
        }
}

static void what_is_reserved_takes_no_memory(void **state)
{
        for (size_t size = 2 << 10; size <= 256 << 10; size *= 2)
                give_back(take(SHARE / size, size));
        assert_int_equal(memory.n_calls, 0);
        assert_int_equal(accounts_held(accounts), 0);
}

static void larger_ones_serve_where_the_wanted_size_is_used_up(void **state)
{
        size_t n_all = 0;
        struct buffer *list;

        for (size_t size = 2 << 10; size <= 256 << 10; size *= 2)
                n_all += SHARE / size;
        list = take(n_all, 2 << 10);
        assert_int_equal(memory.n_calls, 0);
        /* Charged as what they are. */
        assert_int_equal(accounts_held(accounts), RESERVE);
        assert_false(buffer_pool_has(&pool, 100));
        give_back(list);
        assert_true(buffer_pool_has(&pool, 100));
        /* No smaller one does. */
        list = take(SHARE >> 18, 256 << 10);
        assert_int_equal(memory.n_calls, 0);
        give_back(take(1, 256 << 10));
        assert_int_equal(memory.n_calls, 1);
        give_back(list);
}

static void what_is_beyond_goes_back_and_the_reserve_stays(void **state)
{
        size_t n_before = memory.n_live;
        struct buffer *list = take(SHARE / (256 << 10) + 5, 256 << 10);

        assert_int_equal(memory.n_calls, 5);
        give_back(list);
        assert_true(buffer_pool_has_spare(&pool));
        buffer_pool_trim(&pool); /* they were used in this tick */
        buffer_pool_trim(&pool);
        assert_int_equal(memory.n_live, n_before);
        assert_false(buffer_pool_has_spare(&pool));
        for (int i = 0; i < 10; i++)
                buffer_pool_trim(&pool);
        assert_int_equal(memory.n_live, n_before);
        memory_count();
        what_is_reserved_takes_no_memory(state);
}

/* It lies beside the limit, so that it is still there when that was reached. */
static void the_limit_of_all_does_not_touch_the_reserve(void **state)
{
        size_t large = 16 << 20, n_before = memory.n_live;
        struct buffer *held = take(LIMIT / large, large), *b;

        assert_int_equal(buffer_new(&pool, account, 100, SIZE_MAX, &b), -EDQUOT);
        give_back(held);
        buffer_pool_trim(&pool);
        buffer_pool_trim(&pool);
        assert_int_equal(memory.n_live, n_before);
        memory_count();
        what_is_reserved_takes_no_memory(state);
}

static void one_of_the_reserve_that_grows_stays_in_it(void **state)
{
        size_t n_before = memory.n_live;
        struct buffer *b = take(1, 256 << 10);

        memset(b->data, 7, 1000);
        assert_int_equal(buffer_grow(&pool, &b, 1000, 600 << 10), 0);
        assert_true(b->capacity >= 600 << 10);
        for (size_t i = 0; i < 1000; i++)
                assert_int_equal(b->data[i], 7);
        buffer_unref(&pool, b);
        buffer_pool_trim(&pool);
        buffer_pool_trim(&pool);
        assert_int_equal(memory.n_live, n_before);
        memory_count();
        what_is_reserved_takes_no_memory(state);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(what_is_reserved_takes_no_memory, setup, teardown),
                cmocka_unit_test_setup_teardown(larger_ones_serve_where_the_wanted_size_is_used_up,
                                                setup, teardown),
                cmocka_unit_test_setup_teardown(what_is_beyond_goes_back_and_the_reserve_stays,
                                                setup, teardown),
                cmocka_unit_test_setup_teardown(the_limit_of_all_does_not_touch_the_reserve, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(one_of_the_reserve_that_grows_stays_in_it, setup,
                                                teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
