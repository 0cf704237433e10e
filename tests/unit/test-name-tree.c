/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree of names against a plain list of names, through random additions, removals and searches;
 * with every allocation failing in turn; and by counting what it takes.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "basic/macro.h"
#include "counted-malloc.h"
#include "counted-steps.h"
#include "mask-model.h"
#include "random.h"
#include "route/name-tree.h"

#define N_NAMES 200
#define MAX_NAME 48

struct client {
        struct name_entry entry;
        bool in;
        size_t len;
        char name[MAX_NAME];
};

struct world {
        struct name_tree *tree;
        struct name_set set;
        struct client clients[N_NAMES];
};

static void world_open(struct world *w)
{
        memset(w, 0, sizeof(*w));
        assert_int_equal(memory.n_live, 0);
        assert_int_equal(name_tree_new(&w->tree), 0);
}

static void world_close(struct world *w)
{
        for (unsigned i = 0; i < N_NAMES; i++)
                name_tree_remove(w->tree, &w->clients[i].entry);
        assert_null(name_tree_free(w->tree));
        name_set_done(&w->set);
        assert_int_equal(memory.n_live, 0);
}

static bool is_taken(const struct world *w, const char *name, size_t len)
{
        for (unsigned i = 0; i < N_NAMES; i++) {
                const struct client *c = &w->clients[i];

                if (c->in && c->len == len && memcmp(c->name, name, len) == 0)
                        return true;
        }
        return false;
}

static void client_add(struct world *w, unsigned who, const char *name, size_t len)
{
        struct client *c = &w->clients[who];
        bool taken = is_taken(w, name, len);

        assert_false(c->in);
        memcpy(c->name, name, len);
        c->len = len;
        assert_int_equal(name_tree_add(w->tree, &c->entry, c->name, len), taken ? -EEXIST : 0);
        assert_int_equal(c->entry.node == NULL, taken);
        c->in = !taken;
        /* The tree keeps no pointer into the caller's text. */
        if (taken)
                memset(c->name, 'z', len);
}

static void client_add_text(struct world *w, unsigned who, const char *name)
{
        client_add(w, who, name, strlen(name));
}

static void client_remove(struct world *w, unsigned who)
{
        name_tree_remove(w->tree, &w->clients[who].entry);
        assert_null(w->clients[who].entry.node);
        w->clients[who].in = false;
}

static void world_check(struct world *w, const char *mask, size_t len)
{
        bool expected[N_NAMES] = {false};

        for (unsigned i = 0; i < N_NAMES; i++) {
                const struct client *c = &w->clients[i];

                expected[i] = c->in && model_match(&mask_name, mask, len, c->name, c->len);
        }
        assert_int_equal(name_tree_match(w->tree, mask, len, &w->set), 0);
        for (size_t i = 0; i < w->set.n_found; i++) {
                size_t who =
                        (size_t)(container_of(w->set.found[i], struct client, entry) - w->clients);

                if (who >= N_NAMES || !expected[who])
                        fail_msg("mask \"%.*s\": %zu was found twice, or wrongly", (int)len, mask,
                                 who);
                expected[who] = false;
        }
        for (unsigned i = 0; i < N_NAMES; i++)
                if (expected[i])
                        fail_msg("mask \"%.*s\": \"%s\" was not found", (int)len, mask,
                                 w->clients[i].name);
}

static void world_check_text(struct world *w, const char *mask)
{
        world_check(w, mask, strlen(mask));
}

static const char *const some_masks[] = {"*",    "?",     "?.?",   "?.*",    "a",    "a.*", "a.?",
                                         "a.b",  "a.b.*", "",      "pl.*.z", "?.b",  ".*",  ".?",
                                         "a.*.", "*.a",   "?.?.*", "a.*b",   "?%%?", "+.#"};

static void world_check_some(struct world *w)
{
        for (size_t i = 0; i < ARRAY_SIZE(some_masks); i++)
                world_check_text(w, some_masks[i]);
}

static void test_finds_by_the_rules_of_the_protocol(void **state)
{
        static const char *const names[] = {".broker", "a",  "a.b",  "a.b.c", "b%%0",       "pl.x",
                                            "pl.x.y",  "pl", "a.",   "*",     "?",          "a.*",
                                            "a.?",     "",   "a..b", "+.#",   "x.y.z.u.v.w"};
        struct world w;

        world_open(&w);
        for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
                client_add_text(&w, i, names[i]);
                world_check_some(&w);
        }
        for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
                world_check_text(&w, names[i]);
        assert_int_equal(name_tree_match(w.tree, "*", 1, &w.set), 0);
        assert_int_equal(w.set.n_found, ARRAY_SIZE(names));
        world_close(&w);
}

static void test_a_name_is_taken_once(void **state)
{
        struct world w;

        world_open(&w);
        client_add_text(&w, 0, "a.b");
        client_add_text(&w, 1, "a.b");
        client_add_text(&w, 1, "a");
        client_add_text(&w, 2, "a");
        client_remove(&w, 0);
        client_add_text(&w, 2, "a.b");
        world_check_some(&w);
        world_close(&w);
}

static void test_removing_what_is_in_no_tree_changes_nothing(void **state)
{
        struct world w;

        world_open(&w);
        client_remove(&w, 0);
        client_add_text(&w, 0, "a");
        client_remove(&w, 0);
        client_remove(&w, 0);
        assert_null(name_tree_free(NULL));
        world_close(&w);
}

static size_t random_text(char *out, unsigned wild)
{
        static const char *const words[] = {"a", "a", "b", "b", "", "ab", "a%%0", "*"};
        unsigned n_parts = 1 + random_below(5);
        size_t len = 0;

        for (unsigned i = 0; i < n_parts; i++) {
                const char *word = words[random_below(ARRAY_SIZE(words))];

                if (random_below(16) < wild)
                        word = random_below(3) ? "?" : "*";
                if (i > 0)
                        out[len++] = '.';
                memcpy(out + len, word, strlen(word));
                len += strlen(word);
        }
        return len;
}

static void random_histories(unsigned n_rounds)
{
        static struct world w;
        char text[MAX_NAME];

        for (unsigned round = 0; round < n_rounds; round++) {
                world_open(&w);
                for (unsigned i = 0; i < 1000; i++) {
                        unsigned who = random_below(N_NAMES);
                        unsigned add_of_16 = i / 250 % 2 ? 4 : 12; /* grow, shrink, and so on */
                        bool in = w.clients[who].in;

                        if (in && random_below(16) >= add_of_16)
                                client_remove(&w, who);
                        else if (!in && random_below(16) < add_of_16)
                                client_add(&w, who, text, random_text(text, 1));
                        world_check(&w, text, random_text(text, 7));
                }
                world_check_some(&w);
                world_close(&w);
        }
}

static void test_random_histories_agree_with_the_list(void **state)
{
        random_seed("names");
        random_histories(100);
}

static void test_hashes_that_collide_change_nothing(void **state)
{
        random_seed("names that collide");
        steps.collide = true;
        random_histories(8);
        steps.collide = false;
}

/* --- Without memory --- */

static unsigned add_with_failures(struct world *w, unsigned who, const char *name)
{
        struct client *c = &w->clients[who];

        for (unsigned n = 1;; n++) {
                bool failed;
                int r;

                memory_fail_in(n);
                r = name_tree_add(w->tree, &c->entry, name, strlen(name));
                failed = memory.failed;
                memory_fail_in(0);
                if (r == 0)
                        name_tree_remove(w->tree, &c->entry);
                else
                        assert_int_equal(r, -ENOMEM);
                assert_null(c->entry.node);
                world_check_some(w);
                if (!failed) {
                        client_add_text(w, who, name);
                        return n - 1;
                }
        }
}

static void test_an_addition_without_memory_changes_nothing(void **state)
{
        unsigned n_failures = 0;
        char name[MAX_NAME];
        struct world w;

        world_open(&w);
        n_failures += add_with_failures(&w, 0, "a");
        n_failures += add_with_failures(&w, 1, "a.b.c.d.e.f");
        n_failures += add_with_failures(&w, 2, "a.b.c");
        n_failures += add_with_failures(&w, 3, "");
        for (unsigned i = 4; i < 120; i++) {
                snprintf(name, sizeof(name), "a.%u.x.%u", i % 7, i);
                n_failures += add_with_failures(&w, i, name);
        }
        assert_true(n_failures >= 137); /* at least one for each node */
        world_close(&w);
}

static void test_a_tree_without_memory_is_not_made(void **state)
{
        struct name_tree *tree = NULL;

        for (size_t n = 1; n <= 2; n++) {
                memory_fail_in(n);
                assert_int_equal(name_tree_new(&tree), -ENOMEM);
                assert_true(memory.failed);
                assert_null(tree);
                assert_int_equal(memory.n_live, 0);
        }
        memory_fail_in(0);
}

static void fill_for_search(struct world *w)
{
        char name[MAX_NAME];

        for (unsigned i = 0; i < N_NAMES; i++) {
                snprintf(name, sizeof(name), "plant.%u.line.%u.plc", i % 10, i);
                client_add_text(w, i, name);
        }
}

static void test_a_search_without_memory_finds_nobody_and_says_so(void **state)
{
        static const char *const masks[] = {"plant.?.line.?.plc", "plant.?.*", "*",
                                            "plant.3.line.3.plc"};
        struct name_set set = {0};
        struct world w;

        world_open(&w);
        fill_for_search(&w);
        for (size_t i = 0; i < ARRAY_SIZE(masks); i++) {
                size_t n = 0;
                int r;

                do {
                        name_set_done(&set);
                        memory_fail_in(++n);
                        r = name_tree_match(w.tree, masks[i], strlen(masks[i]), &set);
                        assert_int_equal(r, memory.failed ? -ENOMEM : 0);
                        assert_int_equal(set.n_found == 0, memory.failed);
                } while (r < 0);
                assert_true(n > 2);
                memory_fail_in(0);
        }
        name_set_done(&set);
        world_close(&w);
}

/* --- What it takes --- */

static void test_a_warm_search_allocates_nothing(void **state)
{
        struct world w;

        world_open(&w);
        fill_for_search(&w);
        world_check_text(&w, "plant.?.line.?.plc");
        world_check_text(&w, "*");
        memory_count();
        for (unsigned i = 0; i < 100; i++)
                assert_int_equal(
                        name_tree_match(w.tree, i % 2 ? "plant.?.*" : "?.?.?.?.?", 9, &w.set), 0);
        assert_int_equal(memory.n_calls, 0);
        assert_int_equal(w.set.n_found, N_NAMES);
        world_close(&w);
}

/* One node for each part, and no more than a few look-ups to find it by any mask. */
static void test_a_name_of_many_dots_costs_its_length(void **state)
{
        char name[64000], masks[3][64000];
        struct world w;

        memset(name, '.', sizeof(name));
        world_open(&w);
        for (size_t len = 18; len <= sizeof(name); len *= 5) {
                memory_count();
                steps_count();
                assert_int_equal(name_tree_add(w.tree, &w.clients[0].entry, name, len), 0);
                assert_true(steps.n_hashes <= 2 * (len + 1));
                assert_true(memory.n_calls <= len + 2 + 16);
                assert_true(memory.n_bytes <= 200 * (len + 1));
                for (size_t i = 0; i < len; i++) {
                        masks[0][i] = i % 2 ? '.' : '?';
                        masks[1][i] = '.';
                        masks[2][i] = i == len - 1 ? '*' : '.';
                }
                for (size_t k = 0; k < ARRAY_SIZE(masks); k++) {
                        steps_count();
                        assert_int_equal(name_tree_match(w.tree, masks[k], len, &w.set), 0);
                        assert_int_equal(w.set.n_found, k > 0);
                        assert_true(steps.n_hashes <= len + 1);
                }
                client_remove(&w, 0);
        }
        world_close(&w);
}

/* A mask is looked at no further than names reach. */
static void test_a_mask_of_many_dots_is_cheap(void **state)
{
        char mask[64000];
        struct world w;

        world_open(&w);
        fill_for_search(&w);
        client_remove(&w, 0);
        client_add_text(&w, 0, "..a");
        for (size_t i = 0; i < sizeof(mask); i++)
                mask[i] = '.';
        steps_count();
        assert_int_equal(name_tree_match(w.tree, mask, sizeof(mask), &w.set), 0);
        assert_int_equal(w.set.n_found, 0);
        assert_true(steps.n_parts <= 4);
        assert_true(steps.n_hashes <= 4);
        world_close(&w);
}

/* The reference needed 2 s and 823 MiB for one such name. */
static void test_dots_and_question_marks_do_not_multiply(void **state)
{
        struct world w;
        char mask[MAX_NAME];

        world_open(&w);
        memory_count();
        client_add_text(&w, 0, "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s.t");
        assert_true(memory.n_bytes < 8192);
        for (unsigned bits = 0; bits < 1 << 12; bits++) {
                memcpy(mask, w.clients[0].name, w.clients[0].len);
                for (unsigned i = 0; i < 12; i++)
                        if (bits >> i & 1)
                                mask[2 * i] = '?';
                steps_count();
                assert_int_equal(name_tree_match(w.tree, mask, w.clients[0].len, &w.set), 0);
                assert_int_equal(w.set.n_found, 1);
                assert_true(steps.n_hashes <= 20);
        }
        world_close(&w);
}

static void test_a_literal_mask_takes_a_look_up_per_part_whoever_else_is_there(void **state)
{
        struct world w;

        world_open(&w);
        fill_for_search(&w);
        steps_count();
        assert_int_equal(name_tree_match(w.tree, "plant.3.line.13.plc", 19, &w.set), 0);
        assert_int_equal(w.set.n_found, 1);
        assert_int_equal(steps.n_hashes, 5);
        world_close(&w);
}

static void test_memory_goes_back_when_names_go(void **state)
{
        struct world w;

        world_open(&w);
        fill_for_search(&w);
        assert_true(memory.n_live > N_NAMES);
        for (unsigned i = 0; i < N_NAMES; i++)
                client_remove(&w, i);
        assert_int_equal(memory.n_live, 2); /* the tree and its root */
        world_close(&w);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_finds_by_the_rules_of_the_protocol),
                cmocka_unit_test(test_a_name_is_taken_once),
                cmocka_unit_test(test_removing_what_is_in_no_tree_changes_nothing),
                cmocka_unit_test(test_random_histories_agree_with_the_list),
                cmocka_unit_test(test_hashes_that_collide_change_nothing),
                cmocka_unit_test(test_an_addition_without_memory_changes_nothing),
                cmocka_unit_test(test_a_tree_without_memory_is_not_made),
                cmocka_unit_test(test_a_search_without_memory_finds_nobody_and_says_so),
                cmocka_unit_test(test_a_warm_search_allocates_nothing),
                cmocka_unit_test(test_a_name_of_many_dots_costs_its_length),
                cmocka_unit_test(test_a_mask_of_many_dots_is_cheap),
                cmocka_unit_test(test_dots_and_question_marks_do_not_multiply),
                cmocka_unit_test(
                        test_a_literal_mask_takes_a_look_up_per_part_whoever_else_is_there),
                cmocka_unit_test(test_memory_goes_back_when_names_go),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
