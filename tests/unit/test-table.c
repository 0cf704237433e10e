/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hash table against an array that says what is in it, with and without memory for its buckets;
 * its hash against values of another implementation.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "basic/macro.h"
#include "basic/table.h"
#include "counted-malloc.h"
#include "random.h"

#define N_ITEMS 2000

struct item {
        int before; /* the node is not the first member */
        struct table_node node;
        uint64_t key;
        bool in;
        unsigned seen;
};

static struct item items[N_ITEMS];

static struct item *item_of(struct table_node *n)
{
        return container_of(n, struct item, node);
}

static struct item *find(const struct table *t, uint64_t key)
{
        uint64_t hash = table_hash(t, &key, sizeof(key));
        struct table_node *n;

        table_foreach (n, t, hash) {
                if (item_of(n)->key == key)
                        return item_of(n);
        }
        return NULL;
}

static void items_reset(void)
{
        memset(items, 0, sizeof(items));
        for (unsigned i = 0; i < N_ITEMS; i++)
                items[i].key = i;
}

static void item_toggle(struct table *t, struct item *item)
{
        if (item->in)
                table_remove(t, &item->node);
        else
                table_insert(t, &item->node, table_hash(t, &item->key, sizeof(item->key)));
        item->in = !item->in;
}

static size_t check_all(const struct table *t)
{
        size_t n = 0;

        for (unsigned i = 0; i < N_ITEMS; i++) {
                assert_ptr_equal(find(t, i), items[i].in ? &items[i] : NULL);
                n += items[i].in;
        }
        assert_int_equal(t->n_entries, n);
        return n;
}

static void test_finds_what_is_in_and_nothing_else(void **state)
{
        struct table t;

        random_seed("table");
        items_reset();
        table_init(&t);
        check_all(&t);
        for (unsigned round = 0; round < 50; round++) {
                unsigned n = random_below(N_ITEMS);

                for (unsigned i = 0; i < n; i++)
                        item_toggle(&t, &items[random_below(N_ITEMS)]);
                check_all(&t);
        }
        table_done(&t);
        assert_int_equal(memory.n_live, 0);
}

static void test_works_without_memory_for_buckets(void **state)
{
        struct table t;

        items_reset();
        table_init(&t);
        for (unsigned i = 0; i < N_ITEMS; i++) {
                memory_fail_in(1);
                item_toggle(&t, &items[i]);
        }
        assert_int_equal(memory.n_live, 0);
        assert_int_equal(check_all(&t), N_ITEMS);
        memory_fail_in(0);
        item_toggle(&t, &items[0]);
        item_toggle(&t, &items[0]);
        assert_int_equal(memory.n_live, 1);
        check_all(&t);
        table_done(&t);
        assert_int_equal(memory.n_live, 0);
}

static void test_entries_of_one_hash_are_all_found(void **state)
{
        struct table t;
        struct table_node *n;
        size_t found = 0;

        items_reset();
        table_init(&t);
        for (unsigned i = 0; i < 100; i++)
                table_insert(&t, &items[i].node, i < 50 ? 7 : 7 + (UINT64_C(1) << 40));
        table_foreach (n, &t, 7) {
                assert_true(item_of(n)->key < 50);
                found++;
        }
        assert_int_equal(found, 50);
        table_remove(&t, &items[20].node);
        table_foreach (n, &t, 7) {
                assert_int_not_equal(item_of(n)->key, 20);
                found--;
        }
        assert_int_equal(found, 1);
        table_done(&t);
}

static void test_growth_keeps_chains_short(void **state)
{
        struct table t;

        items_reset();
        table_init(&t);
        for (unsigned i = 0; i < N_ITEMS; i++)
                item_toggle(&t, &items[i]);
        assert_true(t.mask + 1 >= N_ITEMS);
        assert_true(t.mask + 1 <= 2 * N_ITEMS);
        assert_int_equal((t.mask + 1) & t.mask, 0);
        table_done(&t);
}

static void test_a_walk_sees_each_entry_once(void **state)
{
        struct table t;
        struct table_node *n;

        items_reset();
        table_init(&t);
        assert_null(table_walk(&t, NULL));
        for (unsigned i = 0; i < N_ITEMS; i += 3)
                item_toggle(&t, &items[i]);
        for (n = table_walk(&t, NULL); n; n = table_walk(&t, n))
                item_of(n)->seen++;
        for (unsigned i = 0; i < N_ITEMS; i++)
                assert_int_equal(items[i].seen, items[i].in);
        table_done(&t);
}

static void test_a_walk_may_remove_once_next_is_known(void **state)
{
        struct table t;
        struct table_node *n, *next;
        size_t n_removed = 0;

        items_reset();
        table_init(&t);
        for (unsigned i = 0; i < N_ITEMS; i++)
                item_toggle(&t, &items[i]);
        for (n = table_walk(&t, NULL); n; n = next) {
                next = table_walk(&t, n);
                item_toggle(&t, item_of(n));
                n_removed++;
        }
        assert_int_equal(n_removed, N_ITEMS);
        assert_null(table_walk(&t, NULL));
        check_all(&t);
        table_done(&t);
}

static void test_a_table_that_was_done_can_be_used_again(void **state)
{
        struct table t;

        items_reset();
        table_init(&t);
        for (unsigned i = 0; i < N_ITEMS; i++)
                item_toggle(&t, &items[i]);
        table_done(&t);
        items_reset();
        check_all(&t);
        item_toggle(&t, &items[5]);
        check_all(&t);
        table_done(&t);
        assert_int_equal(memory.n_live, 0);
}

/* Python hashes bytes by SipHash-1-3, with a key of zeros when PYTHONHASHSEED=0: hash(b"abc") &
 * 2**64-1. */
static void test_the_hash_is_siphash_1_3(void **state)
{
        static const struct {
                const char *text;
                uint64_t hash;
        } cases[] = {
                {"a", UINT64_C(0x407448d2b89b1813)},
                {"abc", UINT64_C(0xc03bc3a0042630f2)},
                {"sensors", UINT64_C(0x6bb244ef033f69bf)},
                {"sensors/", UINT64_C(0xe33951b7e9c4ec70)},
                {"/a/b/c/d/e/f/g/h/i", UINT64_C(0xad06136843c1d1c1)},
        };
        uint8_t bytes[63];
        struct table t;

        table_init(&t);
        t.key[0] = t.key[1] = 0;
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
                assert_true(table_hash(&t, cases[i].text, strlen(cases[i].text)) == cases[i].hash);
        for (size_t i = 0; i < sizeof(bytes); i++)
                bytes[i] = (uint8_t)i;
        assert_true(table_hash(&t, bytes, sizeof(bytes)) == UINT64_C(0x385d3e39e5f37359));
}

static void test_each_table_has_a_key_of_its_own(void **state)
{
        struct table a, b;

        table_init(&a);
        table_init(&b);
        assert_true(a.key[0] != b.key[0] || a.key[1] != b.key[1]);
        assert_true(table_hash(&a, "x", 1) != table_hash(&b, "x", 1));
        assert_true(table_hash(&a, "x", 1) == table_hash(&a, "x", 1));
}

/* Every length and alignment, in a block of just that size: a sanitizer sees a read beyond it. */
static void test_the_hash_reads_its_bytes_and_no_more(void **state)
{
        struct table t;
        uint64_t seen[65];

        table_init(&t);
        for (size_t len = 0; len <= 64; len++) {
                for (size_t shift = 0; shift < 8; shift++) {
                        char *block = malloc(shift + len > 0 ? shift + len : 1);

                        assert_non_null(block);
                        memset(block, 'x', shift + len);
                        seen[len] = table_hash(&t, block + shift, len);
                        assert_true(shift == 0 || seen[len] == table_hash(&t, block, len));
                        free(block);
                }
                for (size_t other = 0; other < len; other++)
                        assert_true(seen[other] != seen[len]);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_finds_what_is_in_and_nothing_else),
                cmocka_unit_test(test_works_without_memory_for_buckets),
                cmocka_unit_test(test_entries_of_one_hash_are_all_found),
                cmocka_unit_test(test_growth_keeps_chains_short),
                cmocka_unit_test(test_a_walk_sees_each_entry_once),
                cmocka_unit_test(test_a_walk_may_remove_once_next_is_known),
                cmocka_unit_test(test_a_table_that_was_done_can_be_used_again),
                cmocka_unit_test(test_the_hash_is_siphash_1_3),
                cmocka_unit_test(test_each_table_has_a_key_of_its_own),
                cmocka_unit_test(test_the_hash_reads_its_bytes_and_no_more),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
