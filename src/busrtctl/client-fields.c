/* SPDX-License-Identifier: Apache-2.0 */
#include <fnmatch.h>
#include <pwd.h>

#include "basic/macro.h"
#include "busrtctl/client-fields.h"
#include "busrtctl/text-time.h"

bool client_is_secondary(const struct admin_client *client)
{
        return client->primary[0];
}

bool name_matches(const char *name, char *const *patterns)
{
        if (!patterns || !patterns[0])
                return true;
        for (; *patterns; patterns++)
                if (fnmatch(*patterns, name, 0) == 0)
                        return true;
        return false;
}

int parse_user(const char *text, uint32_t *ret_uid)
{
        const struct passwd *user = getpwnam(text);
        uint64_t uid;

        if (user)
                uid = user->pw_uid;
        else if (parse_number(text, 0, UINT32_MAX - 1, &uid) < 0)
                return -EINVAL;
        *ret_uid = (uint32_t)uid;
        return 0;
}

/* --- Order --- */

const char *const client_key_names[N_CLIENT_KEYS] = {
        "name", "user",      "pid",   "kind",    "in",        "in-bytes",
        "out",  "out-bytes", "queue", "dropped", "connected",
};

static uint64_t number(const struct admin_client *client, enum client_key key)
{
        switch (key) {
        case CLIENT_PID:
                return client->pid;
        case CLIENT_IN:
                return client->in_frames;
        case CLIENT_IN_BYTES:
                return client->in_bytes;
        case CLIENT_OUT:
                return client->out_frames;
        case CLIENT_OUT_BYTES:
                return client->out_bytes;
        case CLIENT_QUEUE:
                return client->queue_frames;
        case CLIENT_DROPPED:
                return client->dropped;
        default:
                return client->connected;
        }
}

int client_compare(const struct admin_client *a, const struct admin_client *b, enum client_key key,
                   struct users *users)
{
        uint64_t m = number(a, key), n = number(b, key);
        int r = (n > m) - (n < m);

        if (key == CLIENT_NAME)
                r = 0;
        else if (key == CLIENT_USER)
                r = strcmp(users_name(users, a->uid), users_name(users, b->uid));
        else if (key == CLIENT_KIND)
                r = strcmp(a->kind, b->kind);
        return r != 0 ? r : strcmp(a->name, b->name);
}

/* --- JSON --- */

static void add_string(struct text *out, const char *key, const char *value)
{
        text_addf(out, ",\"%s\":", key);
        if (value)
                text_add_json(out, value, strlen(value));
        else
                text_adds(out, "null");
}

static void add_number(struct text *out, const char *key, uint64_t value)
{
        text_addf(out, ",\"%s\":%llu", key, (unsigned long long)value);
}

static void add_id(struct text *out, const char *key, uint32_t id, uint32_t none)
{
        if (id == none)
                add_string(out, key, NULL);
        else
                add_number(out, key, id);
}

void json_add_strings(struct text *out, const char *const *strings)
{
        text_adds(out, "[");
        for (size_t i = 0; strings[i]; i++) {
                text_adds(out, i > 0 ? "," : "");
                text_add_json(out, strings[i], strlen(strings[i]));
        }
        text_adds(out, "]");
}

void client_add_json(struct text *out, const struct admin_client *client, struct users *users)
{
        text_addf(out, "\"id\":%llu", (unsigned long long)client->id);
        add_string(out, "name", client->name);
        add_string(out, "primary", client->primary[0] ? client->primary : NULL);
        add_string(out, "kind", client->kind);
        add_string(out, "listener", client->listener);
        add_id(out, "uid", client->uid, ADMIN_NO_ID);
        add_string(out, "user", client->uid == ADMIN_NO_ID ? NULL : users_name(users, client->uid));
        add_id(out, "gid", client->gid, ADMIN_NO_ID);
        add_id(out, "pid", client->pid, 0);
        text_adds(out, ",\"connected\":");
        text_add_iso(out, client->connected);
        add_number(out, "in_frames", client->in_frames);
        add_number(out, "in_bytes", client->in_bytes);
        add_number(out, "out_frames", client->out_frames);
        add_number(out, "out_bytes", client->out_bytes);
        add_number(out, "dropped", client->dropped);
        add_number(out, "queue_frames", client->queue_frames);
        add_number(out, "queue_bytes", client->queue_bytes);
        add_number(out, "queue_frames_max", client->queue_frames_max);
        add_number(out, "queue_bytes_max", client->queue_bytes_max);
        add_number(out, "paced_usec", client->paced);
        add_number(out, "instances", client->instances);
}
