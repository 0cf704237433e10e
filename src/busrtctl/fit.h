/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text in the columns of a terminal, where a character may take none, one or two. The text is what
 * text_add_visible() made. What the locale has no form for is shown as escapes, so that a width is
 * always true.
 */
#pragma once

#include "busrtctl/text.h"

size_t fit_width(const char *visible);
/* The last character of what does not fit: "…", or "~" where the locale has none. Static. */
const char *fit_mark(void);
/* "●", or "*". Static. */
const char *fit_dot(void);
/* Adds at most so many columns of it; what is cut ends with fit_mark(). Returns the columns that
 * were used. */
size_t fit_add(struct text *out, const char *visible, size_t columns);
/* The same, filled with blanks to just so many columns. */
void fit_add_left(struct text *out, const char *visible, size_t columns);
void fit_add_right(struct text *out, const char *visible, size_t columns);
