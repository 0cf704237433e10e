/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters, read where they lie. Nothing is allocated, and what is skipped is paid from the
 * request's steps. 1023 levels are read, as the reference does. */
#pragma once

#include <stdbool.h>
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

/* One of the parameters of a method of ours. */
struct params_field {
        const char *key;
        enum { PARAMS_TEXT, PARAMS_NUMBER, PARAMS_FLAG } type;
        bool seen;        /* it is there, perhaps as nil */
        bool given;       /* and has a value */
        const char *text; /* UTF-8, not NUL-terminated, points into the params */
        size_t len;
        uint64_t number;
        bool flag;
};

/* A map with texts as keys, each of them one of the fields', and at most once; nil stands for "not
 * given". 0, or -EBADMSG with *ret_error, a static text. */
int params_parse_fields(const uint8_t *data, size_t len, struct params_field *fields, size_t n,
                        const char **ret_error);
