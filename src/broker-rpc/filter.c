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
        size_t size;  /* of the code */
        size_t count; /* the largest that a repetition demands */
        size_t last;  /* where in the name the last callout was */
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

/*
 * What happened since the last callout, and may happen up to the next, without one: a run along the
 * name, two characters a step; a repetition that wants so many characters and does not find them;
 * the start of another try; in a large pattern, the end of many groups, as of those that
 * (a|){0,1000} becomes.
 */
static int on_callout(pcre2_callout_block *block, void *userdata)
{
        struct filter *f = userdata;
        size_t at = block->current_position, run = at > f->last ? at - f->last : 0;

        f->last = at;
        run += MIN(f->count, block->subject_length - at);
        run += block->callout_flags & PCRE2_CALLOUT_STARTMATCH ? 4 : 0;
        *f->steps -= (int64_t)(1 + run / 2 + f->size / 384);
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
        pcre2_set_newline(f->compile, PCRE2_NEWLINE_LF);
        pcre2_set_parens_nest_limit(f->compile, NEST_MAX);
        pcre2_set_heap_limit(f->match, HEAP_MAX_KIB);
        pcre2_set_callout(f->match, on_callout, f);
        return 0;
}

static int compile(struct filter *f, const char *pattern, size_t len, uint32_t options,
                   const char **ret_error)
{
        PCRE2_SIZE offset;
        int error;

        options |= PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_NO_AUTO_CAPTURE |
                   PCRE2_NEVER_BACKSLASH_C | PCRE2_AUTO_CALLOUT;
        f->code = pcre2_compile((PCRE2_SPTR)pattern, len, options, &error, &offset, f->compile);
        if (!f->code && error == PCRE2_ERROR_HEAP_FAILED)
                return -ENOMEM;
        if (!f->code) {
                *ret_error = "filter is not a valid pattern";
                return -EINVAL;
        }
        pcre2_pattern_info(f->code, PCRE2_INFO_SIZE, &f->size);
        f->data = pcre2_match_data_create(1, f->general);
        return f->data ? 0 : -ENOMEM;
}

int filter_new(const char *pattern, size_t len, int64_t *steps, struct filter **ret,
               const char **ret_error)
{
        _cleanup_(filter_freep) struct filter *f = calloc(1, sizeof(*f));
        struct filter_dialect dialect;
        int r;

        if (!f)
                return -ENOMEM;
        if (len > FILTER_LENGTH_MAX)
                return -E2BIG;
        dialect = filter_dialect_check(pattern, len);
        *ret_error = dialect.refusal;
        if (dialect.refusal)
                return -EINVAL;
        *steps -= (int64_t)(dialect.cost / 4);
        if (*steps < 0)
                return -E2BIG;
        f->steps = steps;
        f->count = dialect.count;
        r = prepare(f);
        if (r < 0)
                return r;
        r = compile(f, pattern, len, dialect.ascii ? 0 : PCRE2_UCP, ret_error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(f);
        return 0;
}

int filter_match(struct filter *f, const char *name, size_t len)
{
        int r;

        f->last = 0;
        *f->steps -= (int64_t)(1 + len / 64);
        if (*f->steps < 0)
                return -E2BIG;
        r = pcre2_match(f->code, (PCRE2_SPTR)name, len, 0, PCRE2_NO_UTF_CHECK, f->data, f->match);
        if (r >= 0)
                return 1;
        if (r == PCRE2_ERROR_NOMATCH)
                return 0;
        return r == PCRE2_ERROR_NOMEMORY ? -ENOMEM : -E2BIG;
}
