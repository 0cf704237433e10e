/* SPDX-License-Identifier: Apache-2.0 */
/* The names of users and groups. Each is looked up once: the name service may be far away. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Starts zeroed. */
struct users {
        struct user_name *names;
        size_t n;
};

void users_done(struct users *users);
/* "root", "1234" where it has no name, "-" for ADMIN_NO_ID. Visible; lives as long as users. */
const char *users_name(struct users *users, uint32_t uid);
const char *users_group(struct users *users, uint32_t gid);
