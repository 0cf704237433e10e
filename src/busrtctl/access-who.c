/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Declared users and groups have numbers that no real one has, so that a rule which names one by
 * its number does not match another by chance.
 */
#include <arpa/inet.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>

#include "basic/macro.h"
#include "busrtctl/access-who.h"
#include "busrtctl/busrtctl.h"

#define DECLARED_FIRST 0xf0000000u
#define DECLARED_MAX 65536
#define NO_GROUP ((gid_t)-1)

struct access_person {
        char *name;
        gid_t *groups;
        size_t n_groups;
};

/* --- Declared ones --- */

static void person_done(struct access_person *person)
{
        free(person->name);
        free(person->groups);
}

void access_people_done(struct access_people *people)
{
        for (size_t i = 0; i < people->n_users; i++)
                person_done(&people->users[i]);
        for (size_t i = 0; i < people->n_groups; i++)
                free(people->groups[i]);
        free(people->users);
        free(people->groups);
        *people = (struct access_people){0};
}

static const struct access_person *find_person(const struct access_people *people, const char *name,
                                               uid_t *ret)
{
        for (size_t i = 0; i < people->n_users; i++)
                if (strcmp(people->users[i].name, name) == 0) {
                        *ret = DECLARED_FIRST + (uid_t)i;
                        return &people->users[i];
                }
        return NULL;
}

static bool find_group(const struct access_people *people, const char *name, gid_t *ret)
{
        for (size_t i = 0; i < people->n_groups; i++)
                if (strcmp(people->groups[i], name) == 0) {
                        *ret = DECLARED_FIRST + (gid_t)i;
                        return true;
                }
        return false;
}

/* It may be there already: users share groups. */
static int declare_group(struct access_people *people, const char *name, gid_t *ret)
{
        char **more;

        if (find_group(people, name, ret))
                return 0;
        if (people->n_groups == DECLARED_MAX)
                return -ENOMEM;
        more = reallocarray(people->groups, people->n_groups + 1, sizeof(*more));
        if (!more)
                return -ENOMEM;
        people->groups = more;
        more[people->n_groups] = strdup(name);
        if (!more[people->n_groups])
                return -ENOMEM;
        *ret = DECLARED_FIRST + (gid_t)people->n_groups++;
        return 0;
}

int access_people_add_group(struct access_people *people, const char *name)
{
        gid_t gid;

        return find_group(people, name, &gid) ? -EEXIST : declare_group(people, name, &gid);
}

int access_people_add_user(struct access_people *people, const char *name,
                           const char *const *groups, size_t n_groups)
{
        _cleanup_(person_done) struct access_person person = {0};
        struct access_person *more;
        uid_t uid;
        int r = 0;

        if (find_person(people, name, &uid))
                return -EEXIST;
        if (n_groups == 0) {
                groups = &name;
                n_groups = 1;
        }
        person.name = strdup(name);
        person.groups = calloc(n_groups, sizeof(*person.groups));
        more = reallocarray(people->users, people->n_users + 1, sizeof(*more));
        if (more)
                people->users = more;
        if (!more || !person.name || !person.groups || people->n_users == DECLARED_MAX)
                return -ENOMEM;
        for (; person.n_groups < n_groups && r >= 0; person.n_groups++)
                r = declare_group(people, groups[person.n_groups], &person.groups[person.n_groups]);
        if (r < 0)
                return r;
        more[people->n_users++] = person;
        person = (struct access_person){0};
        return 0;
}

static int resolve_user(const char *name, uid_t *ret, void *userdata)
{
        return find_person(userdata, name, ret)
                       ? 0
                       : access_resolver_system.find_user(name, ret,
                                                          access_resolver_system.userdata);
}

static int resolve_group(const char *name, gid_t *ret, void *userdata)
{
        return find_group(userdata, name, ret)
                       ? 0
                       : access_resolver_system.find_group(name, ret,
                                                           access_resolver_system.userdata);
}

struct access_resolver access_people_resolver(struct access_people *people)
{
        return (struct access_resolver){resolve_user, resolve_group, people};
}

/* --- Who connects --- */

void access_who_done(struct access_who *who)
{
        free(who->groups);
        free(who->text);
        *who = (struct access_who){0};
}

static int add_gid(struct access_who *who, gid_t gid)
{
        gid_t *more = reallocarray(who->groups, who->n_groups + 1, sizeof(*more));

        if (!more)
                return -ENOMEM;
        more[who->n_groups++] = gid;
        who->groups = more;
        who->peer.groups = more;
        who->peer.n_groups = who->n_groups;
        return 0;
}

/* As login gives them to it. */
static int take_groups(struct access_who *who, const char *name, gid_t primary)
{
        int n = 64, r;

        do {
                gid_t *more = reallocarray(who->groups, (size_t)n, sizeof(*more));

                if (!more)
                        return -ENOMEM;
                who->groups = more;
                r = getgrouplist(name, primary, more, &n);
        } while (r < 0 && n < DECLARED_MAX);
        if (r < 0)
                return -ENOENT;
        who->n_groups = (size_t)n;
        who->peer.groups = who->groups;
        who->peer.n_groups = who->n_groups;
        return 0;
}

static int take_person(struct access_who *who, const struct access_person *person, uid_t uid)
{
        int r = 0;

        who->peer.uid = uid;
        who->peer.gid = person->groups[0];
        for (size_t i = 0; i < person->n_groups && r >= 0; i++)
                r = add_gid(who, person->groups[i]);
        return r;
}

/* A number that has no name has no groups. */
static int take_user(struct access_who *who, const char *user)
{
        const struct passwd *entry = getpwnam(user);
        uint64_t uid;

        if (!entry && parse_number(user, 0, UINT32_MAX - 1, &uid) < 0)
                return -ENOENT;
        if (!entry)
                entry = getpwuid((uid_t)uid);
        who->peer.uid = entry ? entry->pw_uid : (uid_t)uid;
        who->peer.gid = entry ? entry->pw_gid : NO_GROUP;
        return entry ? take_groups(who, entry->pw_name, entry->pw_gid) : 0;
}

int access_who_of_user(const struct access_people *people, const char *user, struct access_who *ret)
{
        _cleanup_(access_who_done) struct access_who who = {.peer.kind = IDENTITY_USER};
        uid_t uid;
        const struct access_person *person = find_person(people, user, &uid);
        int r = person ? take_person(&who, person, uid) : take_user(&who, user);

        if (r < 0)
                return r;
        if (asprintf(&who.text, "user %s", user) < 0) {
                who.text = NULL;
                return -ENOMEM;
        }
        *ret = who;
        who = (struct access_who){0};
        return 0;
}

int access_who_add_group(struct access_people *people, const char *group, struct access_who *who)
{
        char *text;
        uint64_t number;
        gid_t gid;
        int r = resolve_group(group, &gid, people);

        if (r < 0 && parse_number(group, 0, UINT32_MAX - 1, &number) >= 0) {
                gid = (gid_t)number;
                r = 0;
        }
        if (r < 0)
                return r == -ENOMEM ? r : -ENOENT;
        if (asprintf(&text, "%s group %s", who->text, group) < 0)
                return -ENOMEM;
        free(who->text);
        who->text = text;
        return add_gid(who, gid);
}

int access_who_of_host(const char *address, struct access_who *ret)
{
        struct access_who who = {0};

        if (inet_pton(AF_INET, address, who.peer.address) == 1)
                who.peer.kind = IDENTITY_IPV4;
        else if (inet_pton(AF_INET6, address, who.peer.address) == 1)
                who.peer.kind = IDENTITY_IPV6;
        else
                return -EINVAL;
        if (asprintf(&who.text, "host %s", address) < 0)
                return -ENOMEM;
        *ret = who;
        return 0;
}
