/* SPDX-License-Identifier: Apache-2.0 */
/* Names of users and groups, as the system knows them. */
#include <grp.h>
#include <pwd.h>

#include "basic/macro.h"
#include "config/access.h"

#define RECORD_MIN 1024
#define RECORD_MAX (1 << 20) /* bytes: a group may have very many members */

/* What the look-ups have in common: one attempt with so many bytes of room. 0, or an errno. */
typedef int (*attempt_fn)(const char *name, char *room, size_t size, uint32_t *ret,
                          bool *ret_found);

static int attempt_user(const char *name, char *room, size_t size, uint32_t *ret, bool *ret_found)
{
        struct passwd record, *found = NULL;
        int r = getpwnam_r(name, &record, room, size, &found);

        *ret_found = found != NULL;
        if (found)
                *ret = found->pw_uid;
        return r;
}

static int attempt_group(const char *name, char *room, size_t size, uint32_t *ret, bool *ret_found)
{
        struct group record, *found = NULL;
        int r = getgrnam_r(name, &record, room, size, &found);

        *ret_found = found != NULL;
        if (found)
                *ret = found->gr_gid;
        return r;
}

static int look_up(attempt_fn attempt, const char *name, uint32_t *ret)
{
        bool found = false;
        int r = ERANGE;

        for (size_t size = RECORD_MIN; r == ERANGE && size <= RECORD_MAX; size *= 2) {
                _cleanup_free_ char *room = malloc(size);

                if (!room)
                        return -ENOMEM;
                r = attempt(name, room, size, ret, &found);
        }
        if (found)
                return 0;
        /* Not every source says "none" by success. */
        return r == 0 || r == ENOENT || r == ESRCH ? -ENOENT : -r;
}

static int find_user(const char *name, uid_t *ret, void *userdata)
{
        return look_up(attempt_user, name, ret);
}

static int find_group(const char *name, gid_t *ret, void *userdata)
{
        return look_up(attempt_group, name, ret);
}

const struct access_resolver access_resolver_system = {find_user, find_group, NULL};
