/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /org/busrt1/client/_ID: one client. There is no object until somebody asks: then the client is
 * copied out of the engine, once for all its properties.
 */
#include <stdio.h>
#include <systemd/sd-login.h>

#include "busrtd/bus-internal.h"
#include "busrtd/text.h"

/* The client that a path names. 1; 0: there is none; -errno. */
static int take_by_path(struct bus *b, const char *path, unsigned wanted,
                        struct client_snapshot *ret)
{
        uint64_t id;
        int r;

        if (!bus_client_path_parse(path, &id))
                return 0;
        r = client_snapshot_take_id(b->control->engine, id, wanted, BUS_CLIENT_TIMEOUT, ret);
        return r == -ENOENT ? 0 : r < 0 ? r : 1;
}

static int find(sd_bus *bus, const char *path, const char *interface, void *userdata,
                void **ret_found, sd_bus_error *error)
{
        struct bus *b = userdata;
        int r;

        client_snapshot_done(&b->found);
        r = take_by_path(b, path, CLIENT_SNAPSHOT_SECONDARIES, &b->found);
        if (r < 0)
                return bus_fail(r, error);
        *ret_found = b;
        return r;
}

static int enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes,
                     sd_bus_error *error)
{
        const struct client_snapshot *s;
        struct bus *b = userdata;
        char **nodes, path[BUS_CLIENT_PATH_MAX];
        int r;

        /* libsystemd asks for what is above and below, too. */
        if (strcmp(prefix, BUS_CLIENT_PATH) != 0)
                return 0;
        r = bus_clients_peek(&b->clients, &s);
        if (r < 0)
                return bus_fail(r, error);
        nodes = calloc(s->n_clients + 1, sizeof(*nodes));
        if (!nodes)
                return -ENOMEM;
        for (size_t i = 0; i < s->n_clients; i++) {
                nodes[i] = strdup(bus_client_path(s->clients[i].id, path));
                if (!nodes[i]) {
                        while (i > 0)
                                free(nodes[--i]);
                        free(nodes);
                        return -ENOMEM;
                }
        }
        *ret_nodes = nodes;
        return 0;
}

/* --- Properties --- */

static const struct engine_client_info *found(void *userdata)
{
        return ((const struct bus *)userdata)->found.clients;
}

static int get_number(sd_bus *bus, const char *path, const char *interface, const char *property,
                      sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        const struct engine_client_info *c = found(userdata);
        const struct {
                const char *name;
                uint64_t value;
        } numbers[] = {
                {"Id", c->id},
                {"ConnectedTimestamp", c->connected_at / NSEC_PER_USEC},
                {"FramesIn", c->r_frames},
                {"BytesIn", c->r_bytes},
                {"FramesOut", c->w_frames},
                {"BytesOut", c->w_bytes},
                {"FramesDropped", c->dropped},
                {"QueueFrames", c->queue_frames},
                {"QueueBytes", c->queue_bytes},
                {"QueueFramesMax", c->queue_frames_max},
                {"QueueBytesMax", c->queue_bytes_max},
                {"PacedUSec", c->paced / NSEC_PER_USEC},
        };

        for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
                if (strcmp(numbers[i].name, property) == 0)
                        return sd_bus_message_append(reply, "t", numbers[i].value);
        return -ENOENT;
}

static int get_name(sd_bus *bus, const char *path, const char *interface, const char *property,
                    sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        return sd_bus_message_append(reply, "s", found(userdata)->name);
}

static int get_kind(sd_bus *bus, const char *path, const char *interface, const char *property,
                    sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        return sd_bus_message_append(reply, "s", transport_kind_name(found(userdata)->kind));
}

static int get_listener(sd_bus *bus, const char *path, const char *interface, const char *property,
                        sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        const struct engine_client_info *c = found(userdata);
        char text[512];

        return sd_bus_message_append(reply, "s",
                                     c->listener ? text_utf8(c->listener, text, sizeof(text)) : "");
}

static int get_primary(sd_bus *bus, const char *path, const char *interface, const char *property,
                       sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        char name[BUS_NAME_SIZE];

        return sd_bus_message_append(reply, "s",
                                     client_primary_name(found(userdata), name, sizeof(name)));
}

static int get_uid(sd_bus *bus, const char *path, const char *interface, const char *property,
                   sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        return sd_bus_message_append(reply, "u", (uint32_t)found(userdata)->uid);
}

static int get_gid(sd_bus *bus, const char *path, const char *interface, const char *property,
                   sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        return sd_bus_message_append(reply, "u", (uint32_t)found(userdata)->gid);
}

static int get_pid(sd_bus *bus, const char *path, const char *interface, const char *property,
                   sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        return sd_bus_message_append(reply, "u", (uint32_t)found(userdata)->pid);
}

static int get_unit(sd_bus *bus, const char *path, const char *interface, const char *property,
                    sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        _cleanup_free_ char *unit = NULL;
        pid_t pid = found(userdata)->pid;

        /* 0 would be ourselves. */
        if (pid <= 0 || sd_pid_get_unit(pid, &unit) < 0)
                return sd_bus_message_append(reply, "s", "");
        return sd_bus_message_append(reply, "s", unit);
}

static int get_secondaries(sd_bus *bus, const char *path, const char *interface,
                           const char *property, sd_bus_message *reply, void *userdata,
                           sd_bus_error *error)
{
        const struct client_snapshot *s = &((const struct bus *)userdata)->found;
        int r = sd_bus_message_open_container(reply, SD_BUS_TYPE_ARRAY, "s");

        for (size_t i = 0; i < s->n_texts && r >= 0; i++)
                r = sd_bus_message_append(reply, "s", s->texts[i].text);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* --- Methods --- */

static int fail_gone(sd_bus_message *m, sd_bus_error *error)
{
        return sd_bus_error_setf(error, SD_BUS_ERROR_UNKNOWN_OBJECT, "there is no client %s",
                                 sd_bus_message_get_path(m));
}

static int get_address(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        _cleanup_(client_snapshot_done) struct client_snapshot s = {0};
        struct bus *b = userdata;
        int r = take_by_path(b, sd_bus_message_get_path(m), 0, &s);

        if (r <= 0)
                return r < 0 ? bus_fail(r, error) : fail_gone(m, error);
        r = bus_check_inspect(b, m, &s.clients[0], "see the address", get_address, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        return sd_bus_reply_method_return(m, "s", s.clients[0].source ? s.clients[0].source : "");
}

static int list_subscriptions(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        _cleanup_(client_snapshot_done) struct client_snapshot s = {0};
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        struct bus *b = userdata;
        int r = take_by_path(b, sd_bus_message_get_path(m), CLIENT_SNAPSHOT_MASKS, &s);

        if (r <= 0)
                return r < 0 ? bus_fail(r, error) : fail_gone(m, error);
        r = bus_check_inspect(b, m, &s.clients[0], "see the subscriptions", list_subscriptions,
                              error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, SD_BUS_TYPE_ARRAY, "(sb)");
        for (size_t i = 0; i < s.n_texts && r >= 0; i++)
                r = sd_bus_message_append(reply, "(sb)", s.texts[i].text,
                                          s.texts[i].kind == CLIENT_TEXT_EXCLUSION);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int disconnect(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        _cleanup_(client_snapshot_done) struct client_snapshot s = {0};
        struct bus *b = userdata;
        int r = take_by_path(b, sd_bus_message_get_path(m), 0, &s);

        if (r <= 0)
                return r < 0 ? bus_fail(r, error) : fail_gone(m, error);
        return bus_disconnect_client(b, m, &s.clients[0], disconnect, error);
}

/* --- Shared with the manager --- */

int bus_disconnect_client(struct bus *b, sd_bus_message *m, const struct engine_client_info *info,
                          sd_bus_message_handler_t handler, sd_bus_error *error)
{
        char name[256], what[300];
        struct polkit_request request = {
                .admin = {.action = "org.busrt1.disconnect", .what = what, .client = info->name}};
        int r;

        (void)snprintf(what, sizeof(what), "disconnect client \"%s\"",
                       text_visible(info->name, name, sizeof(name)));
        r = polkit_check(b->polkit, m, handler, b, &request, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = engine_disconnect(b->control->engine, info->id);
        if (r < 0)
                return r;
        polkit_tell_granted(b->polkit, &request);
        return sd_bus_reply_method_return(m, NULL);
}

int bus_check_inspect(struct bus *b, sd_bus_message *m, const struct engine_client_info *info,
                      const char *what, sd_bus_message_handler_t handler, sd_bus_error *error)
{
        char name[256], text[350];
        struct polkit_request request = {
                .admin = {.action = "org.busrt1.inspect",
                          .what = text,
                          .client = info ? info->name : ""},
                .has_owner = info && info->kind == TRANSPORT_UNIX,
                .owner = info ? info->uid : 0,
        };

        if (info)
                (void)snprintf(text, sizeof(text), "%s of client \"%s\"", what,
                               text_visible(info->name, name, sizeof(name)));
        else
                (void)snprintf(text, sizeof(text), "%s of all clients", what);
        return polkit_check(b->polkit, m, handler, b, &request, error);
}

/* --- The table --- */

#define CONSTANT SD_BUS_VTABLE_PROPERTY_CONST
#define FREE SD_BUS_VTABLE_UNPRIVILEGED /* for all; or it asks polkit itself */

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Id", "t", get_number, 0, CONSTANT),
        SD_BUS_PROPERTY("Name", "s", get_name, 0, CONSTANT),
        SD_BUS_PROPERTY("Kind", "s", get_kind, 0, CONSTANT),
        SD_BUS_PROPERTY("Listener", "s", get_listener, 0, CONSTANT),
        SD_BUS_PROPERTY("Primary", "s", get_primary, 0, CONSTANT),
        SD_BUS_PROPERTY("User", "u", get_uid, 0, CONSTANT),
        SD_BUS_PROPERTY("Group", "u", get_gid, 0, CONSTANT),
        SD_BUS_PROPERTY("ProcessID", "u", get_pid, 0, CONSTANT),
        SD_BUS_PROPERTY("Unit", "s", get_unit, 0, CONSTANT),
        SD_BUS_PROPERTY("ConnectedTimestamp", "t", get_number, 0, CONSTANT),
        SD_BUS_PROPERTY("FramesIn", "t", get_number, 0, 0),
        SD_BUS_PROPERTY("BytesIn", "t", get_number, 0, 0),
        SD_BUS_PROPERTY("FramesOut", "t", get_number, 0, 0),
        SD_BUS_PROPERTY("BytesOut", "t", get_number, 0, 0),
        SD_BUS_PROPERTY("FramesDropped", "t", get_number, 0, 0),
        SD_BUS_PROPERTY("QueueFrames", "t", get_number, 0, 0),
        SD_BUS_PROPERTY("QueueBytes", "t", get_number, 0, 0),
        SD_BUS_PROPERTY("QueueFramesMax", "t", get_number, 0, 0),
        SD_BUS_PROPERTY("QueueBytesMax", "t", get_number, 0, 0),
        SD_BUS_PROPERTY("PacedUSec", "t", get_number, 0, 0),
        SD_BUS_PROPERTY("Secondaries", "as", get_secondaries, 0, 0),
        SD_BUS_METHOD_WITH_ARGS("GetAddress", SD_BUS_NO_ARGS, SD_BUS_RESULT("s", address),
                                get_address, FREE),
        SD_BUS_METHOD_WITH_ARGS("ListSubscriptions", SD_BUS_NO_ARGS,
                                SD_BUS_RESULT("a(sb)", subscriptions), list_subscriptions, FREE),
        SD_BUS_METHOD_WITH_ARGS("Disconnect", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, disconnect, FREE),
        SD_BUS_VTABLE_END,
};

int bus_client_add(struct bus *b)
{
        int r = sd_bus_add_fallback_vtable(b->connection, NULL, BUS_CLIENT_PATH, BUS_CLIENT, vtable,
                                           find, b);

        if (r >= 0)
                r = sd_bus_add_node_enumerator(b->connection, NULL, BUS_CLIENT_PATH, enumerate, b);
        return r;
}
