/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Masks against a definition (mask-model.h), by ten million random pairs; the subset test against
 * enumeration of all masks up to four parts and all texts up to five.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "basic/macro.h"
#include "mask-model.h"
#include "random.h"
#include "route/mask.h"

#define N_PAIRS 10000000

static bool topic_matches(const char *mask, const char *topic)
{
        return mask_match(&mask_topic, mask, strlen(mask), topic, strlen(topic));
}

static bool name_matches(const char *mask, const char *name)
{
        return mask_match(&mask_name, mask, strlen(mask), name, strlen(name));
}

static bool topic_subset(const char *inner, const char *outer)
{
        return mask_is_subset(&mask_topic, inner, strlen(inner), outer, strlen(outer));
}

static void test_what_the_protocol_says_of_topics(void **state)
{
        assert_true(topic_matches("a/b", "a/b"));
        assert_false(topic_matches("a/b", "a/b/"));
        assert_false(topic_matches("a/b", "/a/b"));
        assert_true(topic_matches("a/#", "a/b"));
        assert_true(topic_matches("a/#", "a/b/c"));
        assert_true(topic_matches("a/#", "a/"));
        assert_false(topic_matches("a/#", "a"));
        assert_true(topic_matches("a/#/b", "a/c"));
        assert_true(topic_matches("a/+/c", "a/b/c"));
        assert_true(topic_matches("a/+/c", "a//c"));
        assert_false(topic_matches("a/+", "a/b/c"));
        assert_false(topic_matches("+", "a/b"));
        assert_true(topic_matches("#", "a/b"));
        assert_false(topic_matches("a+", "ab"));
        assert_false(topic_matches("a#", "ab"));
        assert_false(topic_matches("?", "a"));
        assert_false(topic_matches("*", "a"));
}

static void test_the_empty_topic_is_one_empty_part(void **state)
{
        assert_true(topic_matches("", ""));
        assert_true(topic_matches("+", ""));
        assert_true(topic_matches("#", ""));
        assert_false(topic_matches("/", ""));
        assert_false(topic_matches("+/#", ""));
        assert_false(topic_matches("", "a"));
        assert_false(topic_matches("", "/"));
        assert_true(mask_match(&mask_topic, NULL, 0, NULL, 0));
        assert_int_equal(mask_n_parts(&mask_topic, NULL, 0), 1);
}

static void test_wildcards_in_a_topic_are_text(void **state)
{
        assert_true(topic_matches("+", "+"));
        assert_true(topic_matches("+", "#"));
        assert_true(topic_matches("a/#", "a/#"));
        assert_false(topic_matches("a/b", "a/+"));
        assert_false(topic_matches("a/b", "a/#"));
        assert_false(topic_matches("a", "#"));
}

static void test_what_the_protocol_says_of_names(void **state)
{
        assert_true(name_matches("plc.?", "plc.1"));
        assert_true(name_matches("plc.?", "plc.1%%0"));
        assert_false(name_matches("plc.?", "plc"));
        assert_false(name_matches("plc.?", "plc.1.2"));
        assert_true(name_matches("plc.*", "plc.1.2"));
        assert_false(name_matches("plc.*", "plc"));
        assert_true(name_matches("pl.*.z", "pl.a"));
        assert_true(name_matches("*", ".broker"));
        assert_true(name_matches("?.?", ".broker"));
        assert_false(name_matches("?", ".broker"));
        assert_false(name_matches("+", "a"));
        assert_false(name_matches("#", "a"));
}

static void test_parts_are_separators_and_one(void **state)
{
        assert_int_equal(mask_n_parts(&mask_topic, "", 0), 1);
        assert_int_equal(mask_n_parts(&mask_topic, "a.b", 3), 1);
        assert_int_equal(mask_n_parts(&mask_topic, "a/b", 3), 2);
        assert_int_equal(mask_n_parts(&mask_topic, "///", 3), 4);
        assert_int_equal(mask_n_parts(&mask_topic, "///", 2), 3);
        assert_int_equal(mask_n_parts(&mask_name, "a.b", 3), 2);
}

static void test_a_mask_ends_at_its_first_rest(void **state)
{
        static const struct {
                const char *mask, *canonical;
        } cases[] = {
                {"a/#/b", "a/#"},   {"#/#", "#"},       {"#", "#"},    {"", ""},
                {"a/b", "a/b"},     {"a/", "a/"},       {"/#/", "/#"}, {"a#/b", "a#/b"},
                {"##/#/x", "##/#"}, {"+/*/b", "+/*/b"},
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
                assert_int_equal(
                        mask_canonical_len(&mask_topic, cases[i].mask, strlen(cases[i].mask)),
                        strlen(cases[i].canonical));
        assert_int_equal(mask_canonical_len(&mask_name, "pl.*.z", 6), 4);
        assert_int_equal(mask_canonical_len(&mask_topic, NULL, 0), 0);
}

/* One to six parts. Few words, so that matches are frequent, and some that only look like
 * wildcards. */
static size_t random_text(const struct mask_syntax *syntax, char *out, unsigned wild)
{
        unsigned n_parts = 1 + random_below(6);
        uint64_t r = random_next();
        size_t len = 0;

        for (unsigned i = 0; i < n_parts; i++, r >>= 8) {
                unsigned word = r & 15;

                if (i > 0)
                        out[len++] = syntax->separator;
                if (((r >> 4) & 15) < wild) {
                        out[len++] = word < 11 ? syntax->any : syntax->rest;
                } else if (word < 12) {
                        out[len++] = word < 9 ? 'a' : 'b';
                } else if (word < 15) {
                        out[len++] = 'a';
                        out[len++] = word == 12 ? 'a' : word == 13 ? syntax->any : syntax->rest;
                }
        }
        return len;
}

static void match_random_pairs(const struct mask_syntax *syntax, size_t n)
{
        char mask[32], text[32];
        size_t n_matches = 0;

        for (size_t i = 0; i < n; i++) {
                size_t mask_len = random_text(syntax, mask, 5);
                size_t text_len = random_text(syntax, text, 1);
                bool matches = mask_match(syntax, mask, mask_len, text, text_len);

                if (matches != model_match(syntax, mask, mask_len, text, text_len))
                        fail_msg("mask \"%.*s\", text \"%.*s\": the matcher says %d", (int)mask_len,
                                 mask, (int)text_len, text, matches);
                n_matches += matches;
        }
        printf("%zu pairs, %zu matches\n", n, n_matches);
        assert_true(n_matches > n / 20);
}

static void test_ten_million_random_pairs_match_as_defined(void **state)
{
        random_seed("random pairs");
        match_random_pairs(&mask_topic, N_PAIRS / 2);
        match_random_pairs(&mask_name, N_PAIRS / 2);
}

static void test_parts_may_hold_any_bytes(void **state)
{
        const char mask[] = "\0x/\xff\xfe/+";
        const char text[] = "\0x/\xff\xfe/\0";

        assert_true(mask_match(&mask_topic, mask, sizeof(mask) - 1, text, sizeof(text) - 1));
        assert_false(mask_match(&mask_topic, mask, sizeof(mask) - 1, "\0y/\xff\xfe/\0",
                                sizeof(text) - 1));
}

static void test_the_subset_test_names_no_escalation(void **state)
{
        assert_false(topic_subset("a/#", "a/+"));
        assert_false(topic_subset("#", "+"));
        assert_false(topic_subset("#", "+/#"));
        assert_false(topic_subset("+", "a"));
        assert_false(topic_subset("a/#/b", "a/+/b"));
        assert_true(topic_subset("a/#/b", "a/#"));
        assert_true(topic_subset("a/#", "a/#/b"));
        assert_true(topic_subset("a/+", "a/#"));
        assert_true(topic_subset("+/#", "#"));
        assert_false(topic_subset("a", "a/#"));
        assert_true(topic_subset("", "#"));
        assert_true(topic_subset("", "+"));
}

/* --- Enumeration --- */

#define MASK_DEPTH 4
#define TEXT_DEPTH 5
#define N_MASKS (5 + 25 + 125 + 625)
#define N_TEXTS (6 + 36 + 216 + 1296 + 7776)

struct enumerated {
        char text[2 * TEXT_DEPTH];
        size_t len;
};

/* All texts of up to `depth` parts made of these words; a blank stands for the empty part. */
static size_t enumerate(const char *words, unsigned depth, char separator, struct enumerated *out)
{
        size_t n_words = strlen(words), n = 0, n_of_depth = 1;

        for (unsigned d = 1; d <= depth; d++) {
                n_of_depth *= n_words;
                for (size_t i = 0; i < n_of_depth; i++, n++) {
                        out[n].len = 0;
                        for (size_t digits = i, k = 0; k < d; k++, digits /= n_words) {
                                if (k > 0)
                                        out[n].text[out[n].len++] = separator;
                                if (words[digits % n_words] != ' ')
                                        out[n].text[out[n].len++] = words[digits % n_words];
                        }
                }
        }
        return n;
}

/* Which texts each mask matches, as bits. By the definition: what is tested here rests on nothing
 * that is tested elsewhere. */
static void match_all(const struct mask_syntax *syntax, const struct enumerated *masks,
                      const struct enumerated *texts, uint64_t (*ret)[(N_TEXTS + 63) / 64])
{
        for (size_t m = 0; m < N_MASKS; m++)
                for (size_t t = 0; t < N_TEXTS; t++)
                        if (model_match(syntax, masks[m].text, masks[m].len, texts[t].text,
                                        texts[t].len))
                                ret[m][t / 64] |= UINT64_C(1) << (t % 64);
}

static bool bits_are_subset(const uint64_t *inner, const uint64_t *outer)
{
        for (size_t i = 0; i < (N_TEXTS + 63) / 64; i++)
                if (inner[i] & ~outer[i])
                        return false;
        return true;
}

/* Words of the texts: those of the masks, the wildcards as text, and one that no mask names. */
static void enumerate_and_compare(const struct mask_syntax *syntax, const char *mask_words,
                                  const char *text_words)
{
        struct enumerated *masks = calloc(N_MASKS, sizeof(*masks));
        struct enumerated *texts = calloc(N_TEXTS, sizeof(*texts));
        uint64_t(*bits)[(N_TEXTS + 63) / 64] = calloc(N_MASKS, sizeof(*bits));
        size_t n_subsets = 0;

        assert_true(masks && texts && bits);
        assert_int_equal(enumerate(mask_words, MASK_DEPTH, syntax->separator, masks), N_MASKS);
        assert_int_equal(enumerate(text_words, TEXT_DEPTH, syntax->separator, texts), N_TEXTS);
        match_all(syntax, masks, texts, bits);
        for (size_t i = 0; i < N_MASKS; i++)
                for (size_t o = 0; o < N_MASKS; o++) {
                        bool subset = mask_is_subset(syntax, masks[i].text, masks[i].len,
                                                     masks[o].text, masks[o].len);

                        if (subset != bits_are_subset(bits[i], bits[o]))
                                fail_msg("inner \"%.*s\", outer \"%.*s\": the test says %d",
                                         (int)masks[i].len, masks[i].text, (int)masks[o].len,
                                         masks[o].text, subset);
                        n_subsets += subset;
                }
        printf("%d masks, %d texts, %zu subsets\n", N_MASKS, N_TEXTS, n_subsets);
        assert_true(n_subsets > N_MASKS);
        free(masks);
        free(texts);
        free(bits);
}

static void test_the_subset_test_is_exact_to_depth_four(void **state)
{
        enumerate_and_compare(&mask_topic, "ab +#", "ab +#z");
        enumerate_and_compare(&mask_name, "ab ?*", "ab ?*z");
}

/* --- Specificity --- */

static int topic_compare(const char *a, const char *b)
{
        int r = mask_compare(&mask_topic, a, strlen(a), b, strlen(b));
        int back = mask_compare(&mask_topic, b, strlen(b), a, strlen(a));

        assert_int_equal((r > 0) - (r < 0), (back < 0) - (back > 0));
        return r;
}

static void test_literal_comes_before_any_before_rest_from_the_left(void **state)
{
        assert_true(topic_compare("a", "+") < 0);
        assert_true(topic_compare("+", "#") < 0);
        assert_true(topic_compare("a/#", "+/b") < 0);
        assert_true(topic_compare("a/b", "a/+") < 0);
        assert_true(topic_compare("a/+/c", "a/+/+") < 0);
        assert_true(topic_compare("a/+/#", "a/#") < 0);
        assert_true(topic_compare("a//#", "a/+/b") < 0);
        assert_true(topic_compare("z", "+") < 0);
        assert_int_equal(topic_compare("a/#/b", "a/#/c"), 0);
        assert_int_equal(topic_compare("a/#", "a/#/c"), 0);
        assert_int_equal(topic_compare("a/+", "a/+"), 0);
        assert_true(topic_compare("a", "b") != 0);
        assert_true(topic_compare("a", "a/b") != 0);
        assert_true(topic_compare("a", "aa") != 0);
}

/* A mask within another is at least as specific; the order has no circle. */
static void test_specificity_orders_all_masks_to_depth_three(void **state)
{
        size_t n = 5 + 25 + 125;
        struct enumerated *m = calloc(n, sizeof(*m));

        assert_non_null(m);
        assert_int_equal(enumerate("ab +#", 3, '/', m), n);
        for (size_t i = 0; i < n; i++)
                m[i].text[m[i].len] = '\0';
        for (size_t i = 0; i < n; i++)
                for (size_t j = 0; j < n; j++) {
                        int r = topic_compare(m[i].text, m[j].text);

                        if (topic_subset(m[i].text, m[j].text))
                                assert_true(topic_subset(m[j].text, m[i].text) ? r == 0 : r < 0);
                        for (size_t k = 0; k < n && r < 0; k++)
                                if (topic_compare(m[j].text, m[k].text) <= 0)
                                        assert_true(topic_compare(m[i].text, m[k].text) < 0);
                }
        free(m);
}

static void test_a_mask_is_literal_without_wildcard_parts(void **state)
{
        assert_true(mask_is_literal(&mask_topic, "a/b", 3));
        assert_true(mask_is_literal(&mask_topic, "a+/#b/?/*", 9));
        assert_true(mask_is_literal(&mask_topic, NULL, 0));
        assert_false(mask_is_literal(&mask_topic, "a/+/b", 5));
        assert_false(mask_is_literal(&mask_topic, "#", 1));
        assert_false(mask_is_literal(&mask_name, "a.*", 3));
}

static void test_a_million_separators_are_walked_not_climbed(void **state)
{
        size_t n = 1000000;
        char *text = malloc(n);

        assert_non_null(text);
        memset(text, '/', n);
        assert_int_equal(mask_n_parts(&mask_topic, text, n), n + 1);
        assert_true(mask_match(&mask_topic, text, n, text, n));
        assert_false(mask_match(&mask_topic, text, n - 1, text, n));
        assert_true(mask_match(&mask_topic, "/#", 2, text, n));
        assert_true(mask_is_subset(&mask_topic, text, n, text, n));
        assert_int_equal(mask_canonical_len(&mask_topic, text, n), n);
        free(text);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_the_protocol_says_of_topics),
                cmocka_unit_test(test_the_empty_topic_is_one_empty_part),
                cmocka_unit_test(test_wildcards_in_a_topic_are_text),
                cmocka_unit_test(test_what_the_protocol_says_of_names),
                cmocka_unit_test(test_parts_are_separators_and_one),
                cmocka_unit_test(test_a_mask_ends_at_its_first_rest),
                cmocka_unit_test(test_ten_million_random_pairs_match_as_defined),
                cmocka_unit_test(test_parts_may_hold_any_bytes),
                cmocka_unit_test(test_the_subset_test_names_no_escalation),
                cmocka_unit_test(test_the_subset_test_is_exact_to_depth_four),
                cmocka_unit_test(test_literal_comes_before_any_before_rest_from_the_left),
                cmocka_unit_test(test_specificity_orders_all_masks_to_depth_three),
                cmocka_unit_test(test_a_mask_is_literal_without_wildcard_parts),
                cmocka_unit_test(test_a_million_separators_are_walked_not_climbed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
