/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Masks of topics (docs/protocol.md, 4), as far as a client needs them: does one match, what stands
 * for its '+' and '#', and which of two is the more specific. Pure functions over texts with a NUL.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

bool topic_mask_matches(const char *mask, const char *topic);
/* Has it no '+' and no '#' part? */
bool topic_mask_is_literal(const char *mask);
/* Its length without what stands behind the first '#' part. */
size_t topic_mask_len(const char *mask);
/* < 0: a is the more specific. A total order; 0: the same mask. */
int topic_mask_compare(const char *a, const char *b);
