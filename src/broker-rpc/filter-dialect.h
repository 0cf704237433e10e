/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Patterns are written in the common core of PCRE2's syntax and that of Rust's regex crate, which
 * the reference uses. What Rust refuses (look-around, back-references, recursion and their kin) is
 * refused, and so is what both take but read differently (nested classes and set operations,
 * possessive quantifiers, a few escapes): better no answer than another one.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct filter_dialect {
        const char *refusal; /* what is refused in the pattern, a static text; NULL: nothing */
        bool ascii;          /* it has [:alpha:] or its like, which are ASCII's for Rust */
        size_t count;        /* the largest number of repetitions that it demands */
        uint64_t cost; /* characters that PCRE2 looks at when it compiles ranges with flag i */
};

struct filter_dialect filter_dialect_check(const char *pattern, size_t len);
