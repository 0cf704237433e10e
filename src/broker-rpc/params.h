/* SPDX-License-Identifier: Apache-2.0 */
/* The parameters of client.list, read where they lie. Nothing is allocated, and what is skipped is
 * paid from the request's steps. 1023 levels are read, as the reference does. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct params_filter {
        const char *text; /* UTF-8, not NUL-terminated, points into the params. NULL: no filter */
        size_t len;
};

/* Takes what the reference takes: {filter: text} or [text], text as str or bin, key also as 0, nil
 * for no filter, other keys with any value, anything after the end. 0, -E2BIG (too expensive) or
 * -EBADMSG with *ret_error, a static text. */
int params_parse_filter(const uint8_t *data, size_t len, int64_t *steps, struct params_filter *ret,
                        const char **ret_error);
