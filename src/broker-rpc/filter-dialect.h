/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Patterns are written in the common core of PCRE2's syntax and that of Rust's regex crate, which
 * the reference uses. What Rust refuses (look-around, back-references, recursion and their kin) is
 * refused, and so is what both take but read differently (nested classes and set operations,
 * possessive quantifiers, a few escapes): better no answer than another one.
 */
#pragma once

#include <stddef.h>

/* What is refused in the pattern, a static text; NULL: nothing. */
const char *filter_dialect_refusal(const char *pattern, size_t len);
