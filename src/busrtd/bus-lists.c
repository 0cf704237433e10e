/* SPDX-License-Identifier: Apache-2.0 */
/* Methods of org.busrt1.Manager that answer with a whole table, in one message. */
#include <stdio.h>

#include "busrtd/bus-internal.h"
#include "busrtd/text.h"

static int append_client(sd_bus_message *m, const struct engine_client_info *c)
{
        char path[BUS_CLIENT_PATH_MAX], primary[BUS_NAME_SIZE], listener[512];

        return sd_bus_message_append(
                m, "(tssssuuutttttttttttto)", c->id, c->name, transport_kind_name(c->kind),
                c->listener ? text_utf8(c->listener, listener, sizeof(listener)) : "",
                client_primary_name(c, primary, sizeof(primary)), (uint32_t)c->uid,
                (uint32_t)c->gid, (uint32_t)c->pid, c->connected_at / NSEC_PER_USEC, c->r_frames,
                c->r_bytes, c->w_frames, c->w_bytes, c->dropped, (uint64_t)c->queue_frames,
                (uint64_t)c->queue_bytes, (uint64_t)c->queue_frames_max,
                (uint64_t)c->queue_bytes_max, c->paced / NSEC_PER_USEC, (uint64_t)c->instances,
                bus_client_path(c->id, path));
}

/* An answer that is an array, begun. */
static int reply_begin(sd_bus_message *m, const char *contents, sd_bus_message **ret)
{
        int r = sd_bus_message_new_method_return(m, ret);

        return r < 0 ? r : sd_bus_message_open_container(*ret, SD_BUS_TYPE_ARRAY, contents);
}

static int reply_end(sd_bus_message *reply)
{
        int r = sd_bus_message_close_container(reply);

        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int take_all(struct bus *b, sd_bus_message *m, unsigned wanted, struct client_snapshot *ret,
                    sd_bus_error *error)
{
        int r = bus_check_congestion(m, error);

        if (r < 0)
                return r;
        r = client_snapshot_take_all(b->control->engine, wanted, BUS_LIST_TIMEOUT, ret);
        return r < 0 ? bus_fail(r, error) : 0;
}

int bus_list_clients(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const struct client_snapshot *s;
        struct bus *b = userdata;
        int r = bus_clients_take(&b->clients, m, bus_list_clients, &s, error);

        if (r <= 0)
                return r < 0 ? r : 1;
        r = reply_begin(m, "(tssssuuutttttttttttto)", &reply);
        for (size_t i = 0; i < s->n_clients && r >= 0; i++)
                r = append_client(reply, &s->clients[i]);
        return r < 0 ? r : reply_end(reply);
}

int bus_find_clients_by_user(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const struct client_snapshot *s;
        char path[BUS_CLIENT_PATH_MAX];
        struct bus *b = userdata;
        uint32_t uid;
        int r = sd_bus_message_read(m, "u", &uid);

        if (r >= 0)
                r = bus_clients_take(&b->clients, m, bus_find_clients_by_user, &s, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = reply_begin(m, "o", &reply);
        for (size_t i = 0; i < s->n_clients && r >= 0; i++)
                if (s->clients[i].kind == TRANSPORT_UNIX && s->clients[i].uid == uid)
                        r = sd_bus_message_append(reply, "o",
                                                  bus_client_path(s->clients[i].id, path));
        return r < 0 ? r : reply_end(reply);
}

int bus_list_addresses(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        _cleanup_(client_snapshot_done) struct client_snapshot s = {0};
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r = bus_check_inspect(userdata, m, NULL, "see the addresses", bus_list_addresses,
                                  error);

        if (r <= 0)
                return r < 0 ? r : 1;
        r = take_all(userdata, m, 0, &s, error);
        if (r >= 0)
                r = reply_begin(m, "(ts)", &reply);
        for (size_t i = 0; i < s.n_clients && r >= 0; i++)
                if (s.clients[i].source)
                        r = sd_bus_message_append(reply, "(ts)", s.clients[i].id,
                                                  s.clients[i].source);
        return r < 0 ? r : reply_end(reply);
}

static int reply_subscriptions(sd_bus_message *m, const struct client_snapshot *s)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r = reply_begin(m, "(ssb)", &reply);

        for (size_t i = 0; i < s->n_texts && r >= 0; i++)
                r = sd_bus_message_append(reply, "(ssb)", s->clients[s->texts[i].client].name,
                                          s->texts[i].text,
                                          s->texts[i].kind == CLIENT_TEXT_EXCLUSION);
        return r < 0 ? r : reply_end(reply);
}

/* Who may not see them is not worth the worker's time. */
static int list_all_subscriptions(sd_bus_message *m, struct bus *b, sd_bus_error *error)
{
        _cleanup_(client_snapshot_done) struct client_snapshot s = {0};
        int r = bus_check_inspect(b, m, NULL, "see the subscriptions", bus_list_subscriptions,
                                  error);

        if (r <= 0)
                return r < 0 ? r : 1;
        r = take_all(b, m, CLIENT_SNAPSHOT_MASKS, &s, error);
        return r < 0 ? r : reply_subscriptions(m, &s);
}

int bus_list_subscriptions(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        _cleanup_(client_snapshot_done) struct client_snapshot s = {0};
        struct bus *b = userdata;
        const char *name;
        int r = sd_bus_message_read(m, "s", &name);

        if (r < 0)
                return r;
        if (!name[0])
                return list_all_subscriptions(m, b, error);
        r = client_snapshot_take_name(b->control->engine, name, CLIENT_SNAPSHOT_MASKS,
                                      BUS_CLIENT_TIMEOUT, &s);
        if (r == -ENOENT)
                return bus_fail_no_client(name, error);
        if (r < 0)
                return bus_fail(r, error);
        r = bus_check_inspect(b, m, &s.clients[0], "see the subscriptions", bus_list_subscriptions,
                              error);
        if (r <= 0)
                return r < 0 ? r : 1;
        return reply_subscriptions(m, &s);
}

static int append_setting(const char *key, const char *value, const char *file, unsigned line,
                          void *userdata)
{
        char shown[1024], where[1024];

        return MIN(sd_bus_message_append(userdata, "(sssu)", key,
                                         text_utf8(value, shown, sizeof(shown)),
                                         text_utf8(file, where, sizeof(where)), (uint32_t)line),
                   0);
}

int bus_get_config(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        struct bus *b = userdata;
        int r = reply_begin(m, "(sssu)", &reply);

        if (r >= 0)
                r = control_foreach_setting(b->control, append_setting, reply);
        return r < 0 ? r : reply_end(reply);
}

/* --- Quotas --- */

#define QUOTA_ROW "(suttttttttttttttttt)"

struct quota_list {
        sd_bus_message *reply;
        const char *identity; /* "": all */
};

static int append_quota(const struct engine_account_info *a, void *userdata)
{
        const struct quota_list *list = userdata;

        if (list->identity[0] && strcmp(a->identity, list->identity) != 0)
                return 0;
        return MIN(sd_bus_message_append(
                           list->reply, QUOTA_ROW, a->identity, (uint32_t)a->uid,
                           a->connections.used, a->connections.max, a->connections.refused,
                           a->names.used, a->names.max, a->names.refused, a->subscriptions.used,
                           a->subscriptions.max, a->subscriptions.refused, a->memory.used,
                           a->memory.max, a->memory.refused, a->handshakes.used, a->handshakes.max,
                           a->handshakes.refused, a->rate.max, a->rate.refused),
                   0);
}

/* "user 1000", as engine_account_info has it. */
static bool quota_owner(const char *identity, uid_t *ret)
{
        char same[64];
        unsigned uid;

        if (sscanf(identity, "user %u", &uid) != 1)
                return false;
        (void)snprintf(same, sizeof(same), "user %u", uid);
        *ret = uid;
        return strcmp(identity, same) == 0;
}

/* It costs the worker nothing: only who comes or goes waits for it. */
int bus_list_quotas(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        struct polkit_request request = {.admin = {.action = "org.busrt1.inspect", .client = ""}};
        char visible[64], what[96];
        struct bus *b = userdata;
        struct quota_list list;
        int r = sd_bus_message_read(m, "s", &list.identity);

        if (r < 0)
                return r;
        request.has_owner = quota_owner(list.identity, &request.owner);
        (void)snprintf(what, sizeof(what), "see the quotas of %s",
                       list.identity[0] ? text_visible(list.identity, visible, sizeof(visible))
                                        : "all");
        request.admin.what = what;
        r = polkit_check(b->polkit, m, bus_list_quotas, b, &request, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = bus_check_congestion(m, error);
        if (r < 0)
                return r;
        r = reply_begin(m, QUOTA_ROW, &reply);
        list.reply = reply;
        if (r >= 0)
                r = engine_foreach_account(b->control->engine, append_quota, &list);
        return r < 0 ? r : reply_end(reply);
}
