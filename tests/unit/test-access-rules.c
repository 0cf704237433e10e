/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets of access rules: which section counts, what is taken back, limits; what it costs to ask;
 * references; and what happens where there is no memory.
 */
#include <pthread.h>

#include "access-bed.h"
#include "basic/macro.h"
#include "counted-malloc.h"

/* --- Sections --- */

static void expect_section(const struct access_rules *rules, const char *name, const char *want)
{
        size_t len;
        const char *got = access_rule_mask(find(rules, name), &len);

        assert_string_equal(got, want);
        assert_int_equal(len, strlen(want));
}

static void test_the_most_specific_section_counts_alone(void **state)
{
        static const char *const masks[] = {"*",       "?",       "plc.*", "plc.?",
                                            "?.1",     "plc.1",   "?.1.*", "plc.?.x",
                                            "plc.*.x", "plc.1.*", "a.?"};
        struct access_rules *rules;

        for (int backwards = 0; backwards < 2; backwards++) {
                struct maker m;

                begin(&m);
                for (size_t i = 0; i < ARRAY_SIZE(masks); i++)
                        section(&m, masks[backwards ? ARRAY_SIZE(masks) - 1 - i : i]);
                rules = end(&m);
                assert_int_equal(access_rules_n_sections(rules), ARRAY_SIZE(masks) - 1);
                expect_section(rules, "plc.1", "plc.1");
                expect_section(rules, "plc.1%%0", "plc.1");
                expect_section(rules, "plc.2", "plc.?");
                expect_section(rules, "plc.2.3", "plc.*");
                expect_section(rules, "plc.1.x", "plc.1.*");
                expect_section(rules, "plc.2.x", "plc.?.x");
                expect_section(rules, "x.1", "?.1");
                expect_section(rules, "x.1.2", "?.1.*");
                expect_section(rules, "x", "?");
                expect_section(rules, "x.2", "*");
                expect_section(rules, "plc", "?");
                expect_section(rules, "a.?", "a.?");
                expect_section(rules, "a.b", "a.?");
                access_rules_unref(rules);
        }
}

static void test_a_name_that_looks_like_a_mask_is_a_name(void **state)
{
        struct access_rules *rules;
        struct maker m;

        begin(&m);
        section(&m, "a.?");
        section(&m, "b");
        mask(&m, ACCESS_SEND_TO, "x.y");
        rules = end(&m);
        expect_section(rules, "a.*", "a.?");
        expect_section(rules, "?", "");
        assert_false(may(rules, "b", ACCESS_SEND_TO, "x.?"));
        assert_false(may(rules, "b", ACCESS_SEND_TO, "*"));
        access_rules_unref(rules);
}

static void test_sections_of_one_mask_are_one_and_keep_every_place(void **state)
{
        struct access_rules *rules;
        struct maker m;

        begin(&m);
        section(&m, "a.*");
        section(&m, "b");
        section(&m, "a.*.x");
        mask(&m, ACCESS_SEND_TO, "x");
        section(&m, "a.*");
        mask(&m, ACCESS_SEND_TO, "y");
        rules = end(&m);
        assert_int_equal(access_rules_n_sections(rules), 2);
        assert_int_equal(access_rules_n_words(rules), 2);
        expect(access_ask(find(rules, "a.1"), ACCESS_SEND_TO, "x", 1), true, 4);
        expect(access_ask(find(rules, "a.1"), ACCESS_SEND_TO, "y", 1), true, 6);
        expect(access_ask(find(rules, "a.1"), ACCESS_SEND_TO, "z", 1), false, 4);
        expect(access_ask(find(rules, "a.1"), ACCESS_PUBLISH_TO, "z", 1), false, 1);
        access_rules_unref(rules);
}

static void test_what_is_taken_back_counts_no_more(void **state)
{
        struct access_rules *rules;
        struct maker m;

        begin(&m);
        section(&m, "a");
        mask(&m, ACCESS_SEND_TO, "x");
        mask(&m, ACCESS_RECEIVE_FROM, "x");
        mask(&m, ACCESS_PUBLISH_TO, "x");
        access_builder_reset(m.builder, m.section, ACCESS_SEND_TO);
        access_builder_reset(m.builder, m.section, ACCESS_RECEIVE_FROM);
        mask(&m, ACCESS_SEND_TO, "y");
        rules = end(&m);
        assert_int_equal(access_rules_n_words(rules), 2);
        expect(access_ask(find(rules, "a"), ACCESS_SEND_TO, "x", 1), false, 5);
        expect(access_ask(find(rules, "a"), ACCESS_SEND_TO, "y", 1), true, 5);
        expect(access_ask(find(rules, "a"), ACCESS_RECEIVE_FROM, "z", 1), true, 1);
        assert_true(may(rules, "a", ACCESS_PUBLISH_TO, "x"));
        access_rules_unref(rules);
}

/* --- Limits --- */

static int try_word(struct maker *m, enum access_key key, const struct access_word *w)
{
        const struct access_place place = {"f", 1};
        const char *why = NULL;
        int r = access_builder_add(m->builder, m->section, key, w, &place, &why);

        assert_int_equal(why != NULL, r < 0);
        return r;
}

static int try_section(struct maker *m, const char *text, size_t len)
{
        const struct access_place place = {"f", 1};
        const char *why = NULL;
        int r = access_builder_section(m->builder, text, len, &place, &m->section, &why);

        assert_int_equal(why != NULL, r < 0);
        return r;
}

static void test_what_cannot_be_meant_is_refused_with_a_reason(void **state)
{
        char text[ACCESS_MASK_MAX + 1];
        struct access_word large = {.mask = text, .len = sizeof(text)};
        struct maker m;

        memset(text, 'a', sizeof(text));
        begin(&m);
        section(&m, "a");
        assert_int_equal(try_section(&m, text, sizeof(text)), -EINVAL);
        assert_int_equal(try_section(&m, "", 0), -EINVAL);
        assert_int_equal(try_section(&m, "a%%b", 4), -EINVAL);
        assert_int_equal(try_section(&m, "\xff", 1), -EINVAL);
        for (enum access_key key = ACCESS_SEND_TO; key < ACCESS_N_KEYS; key++) {
                bool topics = key == ACCESS_PUBLISH_TO || key == ACCESS_SUBSCRIBE_TO;
                bool primaries = key == ACCESS_SEND_TO || key == ACCESS_RECEIVE_FROM;

                assert_int_equal(try_word(&m, key, &large), -EINVAL);
                assert_int_equal(try_word(&m, key, &(struct access_word){.mask = "\xff", .len = 1}),
                                 -EINVAL);
                assert_int_equal(try_word(&m, key, &(struct access_word){.mask = ""}),
                                 topics ? 0 : -EINVAL);
                assert_int_equal(try_word(&m, key, &(struct access_word){.mask = "a%%b", .len = 4}),
                                 primaries ? -EINVAL : 0);
        }
        assert_int_equal(try_word(&m, ACCESS_ALLOW_USERS, &(struct access_word){.id = UINT32_MAX}),
                         -EINVAL);
        assert_int_equal(try_word(&m, ACCESS_ALLOW_GROUPS, &(struct access_word){.any = true}),
                         -EINVAL);
        assert_int_equal(try_word(&m, ACCESS_ALLOW_HOSTS, &(struct access_word){.id = 0}), -EINVAL);
        assert_int_equal(
                try_word(&m, ACCESS_ALLOW_HOSTS, &(struct access_word){.prefix = {4, 33, {0}}}),
                -EINVAL);
        m.builder = access_builder_free(m.builder);
}

static void test_sections_words_and_bytes_are_limited(void **state)
{
        char text[ACCESS_MASK_MAX];
        struct access_word w = {.mask = text, .len = sizeof(text)};
        struct maker m;
        size_t n = 0;

        begin(&m);
        for (int i = 0; i < ACCESS_SECTIONS_MAX; i++)
                assert_int_equal(try_section(&m, text, (size_t)snprintf(text, 32, "a.%d", i)), 0);
        assert_int_equal(try_section(&m, "one-more", 8), -E2BIG);
        assert_int_equal(try_section(&m, "a.7", 3), 0);
        for (int i = 0; i < ACCESS_WORDS_MAX; i++)
                assert_int_equal(try_word(&m, ACCESS_ALLOW_USERS, &(struct access_word){.id = 1}),
                                 0);
        assert_int_equal(try_word(&m, ACCESS_ALLOW_USERS, &(struct access_word){.id = 1}), -E2BIG);
        access_builder_reset(m.builder, m.section, ACCESS_ALLOW_USERS);
        memset(text, 'a', sizeof(text));
        while (try_word(&m, ACCESS_SEND_TO, &w) == 0)
                n++;
        assert_in_range(n, 1000, ACCESS_TEXT_MAX / ACCESS_MASK_MAX);
        access_builder_reset(m.builder, m.section, ACCESS_SEND_TO);
        for (; n > 0; n--)
                assert_int_equal(try_word(&m, ACCESS_SEND_TO, &w), 0);
        assert_int_equal(try_word(&m, ACCESS_SEND_TO, &w), -E2BIG);
        m.builder = access_builder_free(m.builder);
}

/* --- Counts --- */

static void test_questions_allocate_nothing(void **state)
{
        const gid_t groups[] = {1, 2, 3};
        struct access_peer peer = user(1000, 50);
        struct access_rules *rules;
        struct maker m;

        peer.groups = groups;
        peer.n_groups = ARRAY_SIZE(groups);
        begin(&m);
        section(&m, "a.?");
        for (enum access_key key = ACCESS_SEND_TO; key < ACCESS_N_KEYS; key++)
                mask(&m, key, "b"), mask(&m, key, "?.#");
        number(&m, ACCESS_ALLOW_GROUPS, 3);
        rules = end(&m);
        memory_count();
        assert_true(bear(rules, "a.1%%2", peer).allow);
        for (enum access_key key = ACCESS_SEND_TO; key < ACCESS_N_KEYS; key++)
                assert_true(may(rules, "a.1", key, "b"));
        assert_int_equal(memory.n_calls, 0);
        access_rules_unref(rules);
}

static void test_the_last_reference_frees_all(void **state)
{
        size_t before = memory.n_live;
        struct access_rules *rules = rules_of(ACCESS_SEND_TO, "x"), *other;

        other = access_rules_ref(rules);
        assert_ptr_equal(other, rules);
        assert_null(access_rules_unref(rules));
        assert_true(may(other, "a", ACCESS_SEND_TO, "x"));
        assert_null(access_rules_unref(other));
        assert_int_equal(memory.n_live, before);
        assert_null(access_rules_ref(NULL));
        assert_null(access_rules_unref(NULL));
}

#define N_THREADS 4

static void *ask_often(void *arg)
{
        struct access_rules *rules = arg;

        for (int i = 0; i < 20000; i++) {
                struct access_rules *mine = access_rules_ref(rules);
                const struct access_rule *rule = access_rules_find(mine, "a.1", 3);

                if (!access_check_send(rule, "x", 1).allow || access_check_send(rule, "y", 1).allow)
                        abort();
                access_rules_unref(mine);
        }
        access_rules_unref(rules);
        return NULL;
}

static void test_any_thread_may_ask_and_be_the_last(void **state)
{
        struct access_rules *rules = rules_of(ACCESS_SEND_TO, "x");
        pthread_t threads[N_THREADS];

        for (int i = 0; i < N_THREADS; i++)
                assert_int_equal(
                        pthread_create(&threads[i], NULL, ask_often, access_rules_ref(rules)), 0);
        access_rules_unref(rules);
        for (int i = 0; i < N_THREADS; i++)
                assert_int_equal(pthread_join(threads[i], NULL), 0);
}

/* 0, or the first error. */
static int build_some(struct access_rules **ret)
{
        static const char *const sections[] = {"a", "a.?", "b", "a", "c", "d", "e", "f", "g"};
        struct access_builder *b = NULL;
        int r = access_builder_new(&b);

        for (size_t i = 0; i < ARRAY_SIZE(sections) && r >= 0; i++) {
                const struct access_place place = {i % 2 ? "f" : "other", 1};
                struct access_rule *rule = NULL;
                const char *why = NULL;

                r = access_builder_section(b, sections[i], strlen(sections[i]), &place, &rule,
                                           &why);
                for (int k = 0; k < 5 && r >= 0; k++) {
                        r = access_builder_add(b, rule, ACCESS_SEND_TO,
                                               &(struct access_word){.mask = "x.y", .len = 3},
                                               &place, &why);
                        if (r >= 0)
                                r = access_builder_add(b, rule, ACCESS_ALLOW_USERS,
                                                       &(struct access_word){.id = 7}, &place,
                                                       &why);
                }
                assert_null(why);
        }
        if (r >= 0)
                *ret = access_builder_finish(&b);
        access_builder_free(b);
        return r;
}

static void test_each_failed_allocation_is_one_clean_error(void **state)
{
        size_t before = memory.n_live, n = 0;
        struct access_rules *rules = NULL;
        int r;

        do {
                memory_fail_in(++n);
                r = build_some(&rules);
                assert_int_equal(r, r < 0 ? -ENOMEM : 0);
                assert_int_equal(rules != NULL, r == 0);
                if (rules) {
                        assert_true(may(rules, "a", ACCESS_SEND_TO, "x.y"));
                        rules = access_rules_unref(rules);
                }
                assert_int_equal(memory.n_live, before);
        } while (memory.failed);
        memory_fail_in(0);
        printf("%zu allocations failed in turn\n", n - 1);
        assert_true(n > 20);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_the_most_specific_section_counts_alone),
                cmocka_unit_test(test_a_name_that_looks_like_a_mask_is_a_name),
                cmocka_unit_test(test_sections_of_one_mask_are_one_and_keep_every_place),
                cmocka_unit_test(test_what_is_taken_back_counts_no_more),
                cmocka_unit_test(test_what_cannot_be_meant_is_refused_with_a_reason),
                cmocka_unit_test(test_sections_words_and_bytes_are_limited),
                cmocka_unit_test(test_questions_allocate_nothing),
                cmocka_unit_test(test_the_last_reference_frees_all),
                cmocka_unit_test(test_any_thread_may_ask_and_be_the_last),
                cmocka_unit_test(test_each_failed_allocation_is_one_clean_error),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
