/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promise: libbusrt's masks of topics match just what the definition says (mask-model.h), the more
 * specific of two that match the same topic comes first, and the parts that stand for '+' and '#'
 * make the topic again. By a million random pairs.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <busrt/topics.h>

#include "client/topic-mask.h"
#include "mask-model.h"
#include "random.h"

#define N_PAIRS 1000000
#define MAX_PARTS 5
#define TEXT_SIZE 32

static void random_text(char text[TEXT_SIZE], const char *const *words, unsigned n_words)
{
        unsigned n = 1 + random_below(MAX_PARTS);

        text[0] = '\0';
        for (unsigned i = 0; i < n; i++) {
                if (i > 0)
                        strcat(text, "/");
                strcat(text, words[random_below(n_words)]);
        }
}

static void random_mask(char text[TEXT_SIZE])
{
        static const char *const words[] = {"a", "b", "", "ab", "+", "+", "#", "a+"};

        random_text(text, words, 8);
}

static void random_topic(char text[TEXT_SIZE])
{
        static const char *const words[] = {"a", "b", "", "ab", "a", "b", "a+", "+", "#"};

        random_text(text, words, 9);
}

static bool model_matches(const char *mask, const char *topic)
{
        return model_match(&mask_topic, mask, strlen(mask), topic, strlen(topic));
}

static void masks_match_as_defined(void **state)
{
        unsigned matched = 0;

        for (unsigned i = 0; i < N_PAIRS; i++) {
                char mask[TEXT_SIZE], topic[TEXT_SIZE];
                bool expected;

                random_mask(mask);
                random_topic(topic);
                expected = model_matches(mask, topic);
                matched += expected;
                if (topic_mask_matches(mask, topic) != expected)
                        fail_msg("%s and %s: not %d", mask, topic, expected);
                assert_int_equal(busrt_topic_matches(mask, topic), expected);
                assert_int_equal(topic_mask_len(mask),
                                 model_canonical_len(&mask_topic, mask, strlen(mask)));
        }
        assert_true(matched > N_PAIRS / 100);
}

/* Puts the topic together again: words as the mask has them, and what stands for the others. */
static void rebuild(const char *mask, const char *topic, char made[2 * TEXT_SIZE])
{
        size_t n_parts = model_n_parts(&mask_topic, mask, topic_mask_len(mask)), index = 0, len;
        const char *text;

        made[0] = '\0';
        for (size_t i = 0; i < n_parts; i++) {
                struct model_part p = model_part(&mask_topic, mask, strlen(mask), i);

                if (i > 0)
                        strcat(made, "/");
                if (model_is(p, '+') || model_is(p, '#')) {
                        assert_int_equal(busrt_topic_get_part(mask, topic, index++, &text, &len),
                                         0);
                        strncat(made, text, len);
                } else
                        strncat(made, p.text, p.len);
        }
        assert_int_equal(busrt_topic_get_part(mask, topic, index, &text, &len), -ENOENT);
}

static void what_stands_for_the_wildcards_makes_the_topic(void **state)
{
        for (unsigned i = 0; i < N_PAIRS; i++) {
                char mask[TEXT_SIZE], topic[TEXT_SIZE], made[2 * TEXT_SIZE];
                const char *text;
                size_t len;

                random_mask(mask);
                random_topic(topic);
                if (model_matches(mask, topic)) {
                        rebuild(mask, topic, made);
                        assert_string_equal(made, topic);
                } else
                        assert_int_equal(busrt_topic_get_part(mask, topic, 0, &text, &len),
                                         -ENOENT);
        }
}

static void a_mask_of_words_alone_is_a_topic(void **state)
{
        assert_true(topic_mask_is_literal(""));
        assert_true(topic_mask_is_literal("a/b/"));
        assert_true(topic_mask_is_literal("a+/#b"));
        assert_false(topic_mask_is_literal("a/+"));
        assert_false(topic_mask_is_literal("+/a"));
        assert_false(topic_mask_is_literal("a/#/b"));
        assert_false(topic_mask_is_literal("#"));
}

static int sign(int r)
{
        return (r > 0) - (r < 0);
}

static void the_more_specific_comes_first(void **state)
{
        static const char *const sorted[] = {"",    "a",     "a/b",   "a/b/c", "a/b/+", "a/b/#",
                                             "a/+", "a/+/c", "a/+/#", "a/#",   "b",     "+",
                                             "+/b", "+/+",   "+/#",   "#"};

        for (size_t i = 0; i < 16; i++)
                for (size_t k = 0; k < 16; k++)
                        assert_int_equal(sign(topic_mask_compare(sorted[i], sorted[k])),
                                         (i > k) - (i < k));
        assert_int_equal(topic_mask_compare("a/#/b", "a/#"), 0);
}

/* An order: turned round it is the other way round, and of three it holds through the middle. */
static void comparing_is_an_order(void **state)
{
        for (unsigned i = 0; i < N_PAIRS; i++) {
                char a[TEXT_SIZE], b[TEXT_SIZE], c[TEXT_SIZE];

                random_mask(a);
                random_mask(b);
                random_mask(c);
                assert_int_equal(sign(topic_mask_compare(a, b)), -sign(topic_mask_compare(b, a)));
                if (topic_mask_compare(a, b) <= 0 && topic_mask_compare(b, c) <= 0)
                        assert_true(topic_mask_compare(a, c) <= 0);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(masks_match_as_defined),
                cmocka_unit_test(what_stands_for_the_wildcards_makes_the_topic),
                cmocka_unit_test(a_mask_of_words_alone_is_a_topic),
                cmocka_unit_test(the_more_specific_comes_first),
                cmocka_unit_test(comparing_is_an_order),
        };

        random_seed("topic-mask");
        return cmocka_run_group_tests(tests, NULL, NULL);
}
