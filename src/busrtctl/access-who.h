/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who connects, as access rules see it: a user with all of its groups, or a host. Users and groups
 * are those of this machine, and those that somebody has declared, for rules that are to be used
 * elsewhere.
 */
#pragma once

#include "access/rules.h"
#include "config/access.h"

/* Declared ones. Starts zeroed. */
struct access_people {
        struct access_person *users;
        size_t n_users;
        char **groups;
        size_t n_groups;
};

void access_people_done(struct access_people *people);
/* A user with these groups, the first of them its primary one; without any, with one of its own
 * name. Names are copied. 0; -EEXIST: it was declared before; -ENOMEM. */
int access_people_add_user(struct access_people *people, const char *name,
                           const char *const *groups, size_t n_groups);
int access_people_add_group(struct access_people *people, const char *name);
/* Asks for declared ones first, then the system. */
struct access_resolver access_people_resolver(struct access_people *people);

struct access_who {
        struct access_peer peer; /* its groups are these */
        gid_t *groups;
        size_t n_groups;
        char *text; /* "user plc", "host 192.0.2.7" */
};

void access_who_done(struct access_who *who);
/* A name or a number. 0; -ENOENT: there is no such user, or it cannot be found out; -ENOMEM. */
int access_who_of_user(const struct access_people *people, const char *user,
                       struct access_who *ret);
/* One group more. As above. */
int access_who_add_group(struct access_people *people, const char *group, struct access_who *who);
/* 0; -EINVAL: no address; -ENOMEM. */
int access_who_of_host(const char *address, struct access_who *ret);
