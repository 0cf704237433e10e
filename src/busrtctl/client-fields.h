/* SPDX-License-Identifier: Apache-2.0 */
/* What the views of an administrator show of each client, in one order and form. */
#pragma once

#include "busrtctl/admin.h"
#include "busrtctl/text.h"
#include "busrtctl/users.h"

/* Of "plc.1%%0": it has no name of its own. */
bool client_is_secondary(const struct admin_client *client);
/* No patterns (NULL or none): every name. As fnmatch(3), NULL-terminated. */
bool name_matches(const char *name, char *const *patterns);

/* A user's name or number. 0 or -EINVAL. */
int parse_user(const char *text, uint32_t *ret_uid);

/* What a list can be sorted by. Texts begin with the first, numbers with the largest, connected
 * with the latest. */
enum client_key {
        CLIENT_NAME,
        CLIENT_USER,
        CLIENT_PID,
        CLIENT_KIND,
        CLIENT_IN,
        CLIENT_IN_BYTES,
        CLIENT_OUT,
        CLIENT_OUT_BYTES,
        CLIENT_QUEUE,
        CLIENT_DROPPED,
        CLIENT_CONNECTED,
        N_CLIENT_KEYS,
};
/* "name", "in-bytes"... */
extern const char *const client_key_names[N_CLIENT_KEYS];
/* As strcmp(3); equals are in the order of their names. users: for CLIENT_USER. */
int client_compare(const struct admin_client *a, const struct admin_client *b, enum client_key key,
                   struct users *users);

/* The members of a JSON object, without its braces. */
void client_add_json(struct text *out, const struct admin_client *client, struct users *users);
/* An array of strings. */
void json_add_strings(struct text *out, const char *const *strings);
