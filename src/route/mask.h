/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The grammar of masks, for topics and for client names alike: parts between separators, one word
 * for "any one part" and one for "one or more further parts", which ends the mask wherever it
 * stands. Pure functions over text; no recursion, no allocation.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct mask_syntax {
        char separator; /* '/' or '.' */
        char any;       /* '+' or '?': a part that is just this character is any one part */
        char rest; /* '#' or '*': a part that is just this character is one or more further parts */
};

extern const struct mask_syntax mask_topic; /* '/', '+', '#' */
extern const struct mask_syntax mask_name;  /* '.', '?', '*' */

/* The number of parts: separators + 1. */
size_t mask_n_parts(const struct mask_syntax *syntax, const char *text, size_t len);

/* The length of the mask without what stands behind its first `rest` part: "a/#/b" is "a/#", 3. Two
 * texts with the same canonical bytes are the same mask. */
size_t mask_canonical_len(const struct mask_syntax *syntax, const char *mask, size_t len);

/* Does the mask match this text, whose parts are all literal? (docs/protocol: "a/#" matches "a/b",
 * not "a".) */
bool mask_match(const struct mask_syntax *syntax, const char *mask, size_t mask_len,
                const char *text, size_t text_len);

/* Is everything that `inner` matches also matched by `outer`? Exact for a single outer mask. */
bool mask_is_subset(const struct mask_syntax *syntax, const char *inner, size_t inner_len,
                    const char *outer, size_t outer_len);

/* Has the mask no `any` and no `rest` part? Then it matches nothing but itself. */
bool mask_is_literal(const struct mask_syntax *syntax, const char *mask, size_t len);

/* Puts the more specific of two masks first (< 0: a): part by part from the left, literal before
 * `any` before `rest`. A total order of canonical masks; two that match the same text are equal or
 * differ in just that. */
int mask_compare(const struct mask_syntax *syntax, const char *a, size_t a_len, const char *b,
                 size_t b_len);
