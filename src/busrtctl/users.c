/* SPDX-License-Identifier: Apache-2.0 */
#include <grp.h>
#include <pwd.h>
#include <stdio.h>

#include "basic/macro.h"
#include "busrtctl/admin.h"
#include "busrtctl/text.h"
#include "busrtctl/users.h"

struct user_name {
        uint32_t id;
        bool group;
        char *text;
};

void users_done(struct users *users)
{
        for (size_t i = 0; i < users->n; i++)
                free(users->names[i].text);
        free(users->names);
        *users = (struct users){0};
}

static char *look_up(uint32_t id, bool group)
{
        const struct group *entry = group ? getgrgid(id) : NULL;
        const struct passwd *user = group ? NULL : getpwuid(id);
        const char *name = entry ? entry->gr_name : user ? user->pw_name : NULL;
        char *text = NULL;

        if (name)
                return text_visible(name);
        return asprintf(&text, "%u", id) < 0 ? NULL : text;
}

static const char *find(struct users *users, uint32_t id, bool group)
{
        struct user_name *names;
        char *text;

        if (id == ADMIN_NO_ID)
                return "-";
        for (size_t i = 0; i < users->n; i++)
                if (users->names[i].id == id && users->names[i].group == group)
                        return users->names[i].text;
        names = reallocarray(users->names, users->n + 1, sizeof(*names));
        if (!names)
                return "?";
        users->names = names;
        text = look_up(id, group);
        if (!text)
                return "?";
        names[users->n++] = (struct user_name){.id = id, .group = group, .text = text};
        return text;
}

const char *users_name(struct users *users, uint32_t uid)
{
        return find(users, uid, false);
}

const char *users_group(struct users *users, uint32_t gid)
{
        return find(users, gid, true);
}
