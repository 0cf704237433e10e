/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a mask matches, said as a definition and not as an algorithm, slow and without regard to how
 * the matchers do it:
 *
 *      M = the mask's parts up to its first `rest` part, or all if it has none.
 *      With one: the text has at least as many parts as M, and those before the last of M fit.
 *      Without: the text has as many parts as M, and all fit.
 *      A part of M fits a part of the text if it is `any` or the same bytes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "route/mask.h"

struct model_part {
        const char *text;
        size_t len;
};

static inline size_t model_n_parts(const struct mask_syntax *syntax, const char *text, size_t len)
{
        size_t n = 1;

        for (size_t i = 0; i < len; i++)
                if (text[i] == syntax->separator)
                        n++;
        return n;
}

/* Part number `index`, counted from the start every time. */
static inline struct model_part model_part(const struct mask_syntax *syntax, const char *text,
                                           size_t len, size_t index)
{
        size_t begin = 0, end;

        for (; index > 0; index--) {
                while (text[begin] != syntax->separator)
                        begin++;
                begin++;
        }
        for (end = begin; end < len && text[end] != syntax->separator; end++)
                ;
        return (struct model_part){text + begin, end - begin};
}

static inline bool model_is(struct model_part p, char word)
{
        return p.len == 1 && p.text[0] == word;
}

static inline bool model_fits(const struct mask_syntax *syntax, struct model_part want,
                              struct model_part have)
{
        return model_is(want, syntax->any) ||
               (want.len == have.len && memcmp(want.text, have.text, want.len) == 0);
}

static inline bool model_match(const struct mask_syntax *syntax, const char *mask, size_t mask_len,
                               const char *text, size_t text_len)
{
        size_t n_mask = model_n_parts(syntax, mask, mask_len);
        size_t n_text = model_n_parts(syntax, text, text_len);
        size_t n_fixed = 0;
        bool open;

        while (n_fixed < n_mask &&
               !model_is(model_part(syntax, mask, mask_len, n_fixed), syntax->rest))
                n_fixed++;
        open = n_fixed < n_mask;
        if (open ? n_text < n_fixed + 1 : n_text != n_fixed)
                return false;
        for (size_t i = 0; i < n_fixed; i++)
                if (!model_fits(syntax, model_part(syntax, mask, mask_len, i),
                                model_part(syntax, text, text_len, i)))
                        return false;
        return true;
}

/* "a/#/b" is "a/#". */
static inline size_t model_canonical_len(const struct mask_syntax *syntax, const char *mask,
                                         size_t len)
{
        for (size_t i = 0, n = model_n_parts(syntax, mask, len); i < n; i++) {
                struct model_part p = model_part(syntax, mask, len, i);

                if (model_is(p, syntax->rest))
                        return (size_t)(p.text + p.len - mask);
        }
        return len;
}
