/* SPDX-License-Identifier: Apache-2.0 */
/* One word of an access rule, as bytes and numbers; for access.c, and for its tests. */
#pragma once

#include "config/access.h"

/* All return 0, -EINVAL with a text in *ret_why, or -ENOMEM. */

/* "192.0.2.7", "192.0.2.0/24", "2001:db8::/32" */
int access_parse_prefix(const char *text, size_t len, struct access_prefix *ret,
                        const char **ret_why);
/* A number, or a name that the resolver knows. "*": any. */
int access_parse_user(const char *text, size_t len, const struct access_resolver *resolver,
                      struct access_word *ret, const char **ret_why);
int access_parse_group(const char *text, size_t len, const struct access_resolver *resolver,
                       struct access_word *ret, const char **ret_why);
