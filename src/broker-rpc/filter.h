/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filter of client.list: a pattern in the syntax of Rust's regex crate, which the reference
 * uses (see filter-dialect.h), asked whether it matches anywhere in a name. PCRE2 does the
 * matching.
 *
 * A request has one budget of steps for all that is done for it: reading its parameters, compiling
 * its pattern and matching every name. PCRE2 backtracks, so some patterns would take longer than
 * anyone lives; they end with -E2BIG when the steps are used up.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* A step takes 5 to 25 ns, so this is about 10 ms at most. A plain pattern takes 5 to 100 for a
 * name of 25 characters, so 5000 clients can be listed by nearly any. */
#define FILTER_STEPS 450000

#define FILTER_LENGTH_MAX 1024 /* bytes of a pattern */

struct filter;

/* 0, -ENOMEM, -E2BIG (too large or too expensive), or -EINVAL with *ret_error set to a static text.
 * The text must be UTF-8. The steps are used by every later call, too. */
int filter_new(const char *pattern, size_t len, int64_t *steps, struct filter **ret,
               const char **ret_error);
struct filter *filter_free(struct filter *filter);

/* 1, 0, -ENOMEM or -E2BIG. The name must be UTF-8. */
int filter_match(struct filter *filter, const char *name, size_t len);
