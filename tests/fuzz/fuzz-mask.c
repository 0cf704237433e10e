/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Masks, the subset test and both trees, for any bytes. The input is lines. The first is a topic
 * that the others, as masks, are held against, and then, the other way round, a mask for names.
 * Everything is compared with the definition in mask-model.h.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/mask-model.h"
#include "basic/macro.h"
#include "route/mask.h"
#include "route/name-tree.h"
#include "route/subscription.h"

#define MAX_LINES 24
#define MAX_INPUT 4096
#define MAX_WITNESS 8192 /* the definition is slow */

#define CHECK(condition)                                                                           \
        do {                                                                                       \
                if (!(condition)) {                                                                \
                        fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);            \
                        abort();                                                                   \
                }                                                                                  \
        } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct line {
        const char *text;
        size_t len;
};

static size_t split(const char *data, size_t size, struct line *lines)
{
        const char *end = data + size, *stop;
        size_t n = 0;

        for (; n < MAX_LINES; data = stop + 1) {
                stop = memchr(data, '\n', (size_t)(end - data));
                lines[n++] = (struct line){data, (size_t)((stop ? stop : end) - data)};
                if (!stop)
                        break;
        }
        return n;
}

static bool model(const struct mask_syntax *syntax, const struct line *mask,
                  const struct line *text)
{
        return model_match(syntax, mask->text, mask->len, text->text, text->len);
}

static bool matches(const struct mask_syntax *syntax, const struct line *mask,
                    const struct line *text)
{
        return mask_match(syntax, mask->text, mask->len, text->text, text->len);
}

static bool is_subset(const struct mask_syntax *syntax, const struct line *inner,
                      const struct line *outer)
{
        return mask_is_subset(syntax, inner->text, inner->len, outer->text, outer->len);
}

/* --- Masks --- */

static void check_mask(const struct mask_syntax *syntax, const struct line *mask,
                       const struct line *text)
{
        struct line canonical = {mask->text, mask_canonical_len(syntax, mask->text, mask->len)};

        CHECK(mask_n_parts(syntax, mask->text, mask->len) ==
              model_n_parts(syntax, mask->text, mask->len));
        CHECK(canonical.len == model_canonical_len(syntax, mask->text, mask->len));
        CHECK(mask_canonical_len(syntax, canonical.text, canonical.len) == canonical.len);
        CHECK(matches(syntax, mask, text) == model(syntax, mask, text));
        CHECK(matches(syntax, &canonical, text) == matches(syntax, mask, text));
        CHECK(is_subset(syntax, mask, &canonical) && is_subset(syntax, &canonical, mask));
}

/* A text that the mask matches and that has as little as possible to do with any other: a word of
 * `word_len` stands for each part that is open, n_rest of them for the rest. */
static struct line witness(const struct mask_syntax *syntax, const struct line *mask,
                           size_t word_len, size_t n_rest)
{
        size_t n_parts = model_n_parts(syntax, mask->text, mask->len);
        char *text = malloc(mask->len + (n_parts + n_rest) * (word_len + 1)), *p = text;

        CHECK(text);
        for (size_t i = 0; i < n_parts; i++) {
                struct model_part part = model_part(syntax, mask->text, mask->len, i);
                bool rest = model_is(part, syntax->rest),
                     open = rest || model_is(part, syntax->any);

                for (size_t k = 0; k < (rest ? n_rest : 1); k++) {
                        if (p > text || i > 0 || k > 0)
                                *p++ = syntax->separator;
                        if (open)
                                memset(p, 'w', word_len);
                        else
                                memcpy(p, part.text, part.len);
                        p += open ? word_len : part.len;
                }
                if (rest)
                        break;
        }
        return (struct line){text, (size_t)(p - text)};
}

/* The inner mask is a subset exactly if the outer one matches the shortest and a very long text of
 * the inner one, made of words too long for the outer mask to name. */
static void check_subset(const struct mask_syntax *syntax, const struct line *inner,
                         const struct line *outer)
{
        size_t n_long = model_n_parts(syntax, outer->text, outer->len) + 1;
        size_t n_inner = model_n_parts(syntax, inner->text, inner->len);
        struct line little, much;

        if ((n_inner + n_long) * (outer->len + 1) > MAX_WITNESS)
                return;
        little = witness(syntax, inner, outer->len + 1, 1);
        much = witness(syntax, inner, outer->len + 1, n_long);
        CHECK(matches(syntax, inner, &little) && matches(syntax, inner, &much));
        CHECK(is_subset(syntax, inner, outer) ==
              (model(syntax, outer, &little) && model(syntax, outer, &much)));
        free((void *)little.text);
        free((void *)much.text);
}

static void check_masks(const struct mask_syntax *syntax, const struct line *lines, size_t n)
{
        for (size_t i = 0; i < n; i++)
                check_mask(syntax, &lines[i], &lines[0]);
        for (size_t i = 0; i + 1 < n; i++)
                check_subset(syntax, &lines[i], &lines[i + 1]);
}

/* --- Trees --- */

#define N_SUBSCRIBERS 5

static void check_search(struct subscription_tree *tree, struct subscriber *subscribers,
                         const struct line *lines, size_t n, size_t step)
{
        bool expected[N_SUBSCRIBERS] = {false}, any = false;
        struct match_set set = {0};

        for (size_t i = step - 1; i < n; i += step)
                if (model(&mask_topic, &lines[i], &lines[0]))
                        expected[i % N_SUBSCRIBERS] = any = true;
        CHECK(subscription_match(tree, lines[0].text, lines[0].len, &set) == 0);
        for (size_t i = 0; i < set.n_found; i++) {
                CHECK(expected[set.found[i] - subscribers]);
                expected[set.found[i] - subscribers] = false;
        }
        for (size_t i = 0; i < N_SUBSCRIBERS; i++)
                CHECK(!expected[i]);
        CHECK(subscription_match_any(tree, lines[0].text, lines[0].len, &set) == any);
        match_set_done(&set);
}

static bool same_mask(const struct line *a, const struct line *b)
{
        size_t a_len = model_canonical_len(&mask_topic, a->text, a->len);
        size_t b_len = model_canonical_len(&mask_topic, b->text, b->len);

        return a_len == b_len && memcmp(a->text, b->text, a_len) == 0;
}

/* Does the same subscriber have the same mask by another line, of those that count? */
static bool has_twin(const struct line *lines, size_t n, size_t i, size_t step)
{
        for (size_t k = step - 1; k < n; k += step)
                if (k != i && k % N_SUBSCRIBERS == i % N_SUBSCRIBERS &&
                    same_mask(&lines[k], &lines[i]))
                        return true;
        return false;
}

/* Line i is a mask of subscriber i % N; then only those of every second line stay. */
static void check_subscriptions(const struct line *lines, size_t n)
{
        struct subscriber subscribers[N_SUBSCRIBERS];
        struct subscription_tree *tree;

        CHECK(subscription_tree_new(&tree) == 0);
        for (size_t i = 0; i < N_SUBSCRIBERS; i++)
                subscriber_init(&subscribers[i]);
        for (size_t i = 0; i < n; i++)
                CHECK(subscription_add(tree, &subscribers[i % N_SUBSCRIBERS], lines[i].text,
                                       lines[i].len) == !has_twin(lines, i, i, 1));
        check_search(tree, subscribers, lines, n, 1);
        for (size_t i = 0; i < n; i += 2)
                if (!has_twin(lines, n, i, 2))
                        subscription_remove(tree, &subscribers[i % N_SUBSCRIBERS], lines[i].text,
                                            lines[i].len);
        check_search(tree, subscribers, lines, n, 2);
        for (size_t i = 0; i < N_SUBSCRIBERS; i++)
                subscription_remove_all(tree, &subscribers[i]);
        subscription_tree_free(tree);
}

static bool is_repeated(const struct line *lines, size_t i)
{
        for (size_t k = 0; k < i; k++)
                if (lines[k].len == lines[i].len &&
                    memcmp(lines[k].text, lines[i].text, lines[i].len) == 0)
                        return true;
        return false;
}

static void check_names(const struct line *lines, size_t n)
{
        struct name_entry entries[MAX_LINES] = {0};
        struct name_set set = {0};
        struct name_tree *tree;
        size_t n_expected = 0;

        CHECK(name_tree_new(&tree) == 0);
        for (size_t i = 0; i < n; i++) {
                bool repeated = is_repeated(lines, i);

                CHECK(name_tree_add(tree, &entries[i], lines[i].text, lines[i].len) ==
                      (repeated ? -EEXIST : 0));
                n_expected += !repeated && model(&mask_name, &lines[0], &lines[i]);
        }
        CHECK(name_tree_match(tree, lines[0].text, lines[0].len, &set) == 0);
        CHECK(set.n_found == n_expected);
        for (size_t i = 0; i < set.n_found; i++)
                CHECK(model(&mask_name, &lines[0], &lines[set.found[i] - entries]));
        for (size_t i = 0; i < n; i++)
                name_tree_remove(tree, &entries[i]);
        name_set_done(&set);
        name_tree_free(tree);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct line lines[MAX_LINES];
        size_t n;

        if (size == 0 || size > MAX_INPUT)
                return 0;
        n = split((const char *)data, size, lines);
        check_masks(&mask_topic, lines, n);
        check_masks(&mask_name, lines, n);
        check_subscriptions(lines, n);
        check_names(lines, n);
        return 0;
}
