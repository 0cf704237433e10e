/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PCRE2 is told to call back before every item of the pattern (auto-callouts): that is where steps
 * are counted. Its own match limit would not do, as it begins anew at every character of a name.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "basic/macro.h"
#include "broker-rpc/filter.h"
#include "broker-rpc/filter-dialect.h"

#define NEST_MAX 250
#define HEAP_MAX_KIB 1024 /* of a match */

struct filter {
        int64_t *steps;
        pcre2_general_context *general;
        pcre2_compile_context *compile;
        pcre2_match_context *match;
        pcre2_match_data *data;
        pcre2_code *code;
};

/* PCRE2's memory comes from here, so that a test can make it fail. */
static void *filter_malloc(size_t size, void *userdata)
{
        return malloc(size);
}

static void filter_release(void *p, void *userdata)
{
        free(p);
}

struct filter *filter_free(struct filter *f)
{
        if (!f)
                return NULL;
        pcre2_code_free(f->code);
        pcre2_match_data_free(f->data);
        pcre2_match_context_free(f->match);
        pcre2_compile_context_free(f->compile);
        pcre2_general_context_free(f->general);
        free(f);
        return NULL;
}

static void filter_freep(struct filter **f)
{
        filter_free(*f);
}

/* What stands between two callouts may be a run along the rest of the name. */
static int64_t cost(size_t rest)
{
        return 1 + (int64_t)(rest / 16);
}

static int on_callout(pcre2_callout_block *block, void *userdata)
{
        struct filter *f = userdata;

        *f->steps -= cost(block->subject_length - block->current_position);
        return *f->steps < 0 ? PCRE2_ERROR_CALLOUT : 0;
}

static int prepare(struct filter *f)
{
        f->general = pcre2_general_context_create(filter_malloc, filter_release, NULL);
        if (f->general)
                f->compile = pcre2_compile_context_create(f->general);
        if (f->compile)
                f->match = pcre2_match_context_create(f->general);
        if (!f->match)
                return -ENOMEM;
        pcre2_set_parens_nest_limit(f->compile, NEST_MAX);
        pcre2_set_heap_limit(f->match, HEAP_MAX_KIB);
        pcre2_set_callout(f->match, on_callout, f);
        return 0;
}

int filter_new(const char *pattern, size_t len, int64_t *steps, struct filter **ret,
               const char **ret_error)
{
        _cleanup_(filter_freep) struct filter *f = calloc(1, sizeof(*f));
        PCRE2_SIZE offset;
        int error, r;

        if (!f)
                return -ENOMEM;
        if (len > FILTER_LENGTH_MAX)
                return -E2BIG;
        *ret_error = filter_dialect_refusal(pattern, len);
        if (*ret_error)
                return -EINVAL;
        f->steps = steps;
        r = prepare(f);
        if (r < 0)
                return r;
        f->code =
                pcre2_compile((PCRE2_SPTR)pattern, len,
                              PCRE2_UTF | PCRE2_UCP | PCRE2_DOLLAR_ENDONLY | PCRE2_NO_AUTO_CAPTURE |
                                      PCRE2_NEVER_BACKSLASH_C | PCRE2_AUTO_CALLOUT,
                              &error, &offset, f->compile);
        if (!f->code && error == PCRE2_ERROR_HEAP_FAILED)
                return -ENOMEM;
        if (!f->code) {
                *ret_error = "filter is not a valid pattern";
                return -EINVAL;
        }
        f->data = pcre2_match_data_create(1, f->general);
        if (!f->data)
                return -ENOMEM;
        *ret = TAKE_PTR(f);
        return 0;
}

int filter_match(struct filter *f, const char *name, size_t len)
{
        int r;

        *f->steps -= cost(len);
        if (*f->steps < 0)
                return -E2BIG;
        r = pcre2_match(f->code, (PCRE2_SPTR)name, len, 0, PCRE2_NO_UTF_CHECK, f->data, f->match);
        if (r >= 0)
                return 1;
        if (r == PCRE2_ERROR_NOMATCH)
                return 0;
        return r == PCRE2_ERROR_NOMEMORY ? -ENOMEM : -E2BIG;
}
