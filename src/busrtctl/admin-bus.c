/* SPDX-License-Identifier: Apache-2.0 */
/* An administrator's questions by way of org.busrt1 on D-Bus. */
#include "basic/macro.h"
#include "busrtctl/bus-call.h"
#include "busrtctl/bus-read.h"

/* --- Clients --- */

static int bus_list_clients(struct admin *admin, struct admin_memory *memory,
                            struct admin_clients *ret)
{
        static const struct bus_method method = {BUS_MANAGER_PATH, BUS_MANAGER, "ListClients"};
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r = bus_call(admin, &method, &reply, NULL);

        if (r < 0)
                return r;
        r = bus_read_clients(reply, memory, ret);
        return r < 0 ? admin_fail_answer(admin, method.method, r) : 0;
}

/* The path of the client's object, which *ret_reply holds. */
static int find_client(struct admin *admin, const char *name, sd_bus_message **ret_reply,
                       const char **ret_path)
{
        struct bus_method method = {BUS_MANAGER_PATH, BUS_MANAGER, "GetClient", .client = name};
        uint64_t id;
        int r;

        if (admin_name_is_id(name, &id)) {
                method.method = "GetClientByID";
                r = bus_call(admin, &method, ret_reply, "t", id);
        } else {
                r = bus_call(admin, &method, ret_reply, "s", name);
        }
        if (r < 0)
                return r;
        r = sd_bus_message_read_basic(*ret_reply, 'o', ret_path);
        return r <= 0 ? admin_fail_answer(admin, method.method, r < 0 ? r : -EBADMSG) : 0;
}

static int read_client_property(sd_bus_message *m, const char *name, struct admin_memory *memory,
                                void *structure)
{
        struct admin_client_details *details = structure;
        bool unit = strcmp(name, "Unit") == 0;
        int r;

        if (!unit && strcmp(name, "Secondaries") != 0)
                return sd_bus_message_skip(m, "v");
        r = sd_bus_message_enter_container(m, 'v', unit ? "s" : "as");
        if (r >= 0)
                r = unit ? bus_read_text(m, 's', memory, &details->unit)
                         : bus_read_words(m, memory, &details->secondaries);
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int get_client_properties(struct admin *admin, const char *name, const char *path,
                                 struct admin_memory *memory, struct admin_client_details *ret)
{
        const struct bus_method method = {path, BUS_PROPERTIES, "GetAll", .client = name};
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r = bus_call(admin, &method, &reply, "s", BUS_CLIENT);

        if (r < 0)
                return r;
        r = bus_read_properties(reply, &admin_client_fields, read_client_property, memory, ret);
        if (r < 0)
                return admin_fail_answer(admin, method.method, r);
        if (!ret->client.name[0])
                return admin_fail_answer(admin, method.method, -EBADMSG);
        for (const char **word = ret->secondaries; *word; word++)
                ret->client.instances++;
        return 0;
}

/* What polkit may keep to itself: then that is told by private_denied. A client that has left in
 * between looks as it did. */
static int get_client_private(struct admin *admin, const char *path, struct admin_memory *memory,
                              struct admin_client_details *ret)
{
        const struct bus_method address = {path, BUS_CLIENT, "GetAddress", .silent = true};
        const struct bus_method masks = {path, BUS_CLIENT, "ListSubscriptions", .silent = true};
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *addressed = NULL, *masked = NULL;
        int r = bus_call(admin, &address, &addressed, NULL);

        if (r >= 0 && (r = bus_read_text(addressed, 's', memory, &ret->address)) < 0)
                return admin_fail_answer(admin, address.method, r);
        if (r >= 0)
                r = bus_call(admin, &masks, &masked, NULL);
        if (r >= 0 && (r = bus_read_masks(masked, memory, ret)) < 0)
                return admin_fail_answer(admin, masks.method, r);
        ret->private_denied = r == -EACCES;
        return r < 0 && r != -EACCES && r != -EIO ? bus_fail_connection(admin, r) : 0;
}

static int bus_get_client(struct admin *admin, const char *name, struct admin_memory *memory,
                          struct admin_client_details *ret)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *path;
        int r = find_client(admin, name, &reply, &path);

        if (r >= 0)
                r = get_client_properties(admin, name, path, memory, ret);
        return r < 0 ? r : get_client_private(admin, path, memory, ret);
}

/* --- Subscriptions --- */

/* Of "#ID", too: clients are listed by their names. */
static int name_of(struct admin *admin, const char *name, struct admin_memory *memory,
                   const char **ret)
{
        struct admin_client_details details;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *path;
        uint64_t id;
        int r;

        if (!name || !admin_name_is_id(name, &id)) {
                *ret = name ? name : "";
                return 0;
        }
        admin_details_init(&details);
        r = find_client(admin, name, &reply, &path);
        if (r >= 0)
                r = get_client_properties(admin, name, path, memory, &details);
        if (r >= 0)
                *ret = details.client.name;
        return r;
}

static int bus_list_subscriptions(struct admin *admin, const char *name,
                                  struct admin_memory *memory, struct admin_subscriptions *ret)
{
        const struct bus_method method = {BUS_MANAGER_PATH, BUS_MANAGER, "ListSubscriptions",
                                          .action = "org.busrt1.inspect", .client = name};
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *full;
        int r = name_of(admin, name, memory, &full);

        if (r >= 0)
                r = bus_call(admin, &method, &reply, "s", full);
        if (r < 0)
                return r;
        r = bus_read_subscriptions(reply, memory, ret);
        return r < 0 ? admin_fail_answer(admin, method.method, r) : 0;
}

/* --- The broker --- */

static int read_status_property(sd_bus_message *m, const char *name, struct admin_memory *memory,
                                void *structure)
{
        struct admin_status *status = structure;
        bool listeners = strcmp(name, "Listeners") == 0;
        int r;

        if (!listeners && strcmp(name, "QueueMemoryMax") != 0)
                return sd_bus_message_skip(m, "v");
        r = sd_bus_message_enter_container(m, 'v', listeners ? "a(ssb)" : "t");
        if (r >= 0)
                r = listeners ? bus_read_listeners(m, memory, status)
                              : sd_bus_message_read_basic(m, 't', &status->queue_memory_max);
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int get_status_properties(struct admin *admin, struct admin_memory *memory,
                                 struct admin_status *ret)
{
        static const struct bus_method method = {BUS_MANAGER_PATH, BUS_PROPERTIES, "GetAll"};
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r = bus_call(admin, &method, &reply, "s", BUS_MANAGER);

        if (r < 0)
                return r;
        r = bus_read_properties(reply, &admin_status_fields, read_status_property, memory, ret);
        return r < 0 ? admin_fail_answer(admin, method.method, r) : 0;
}

/* The bus knows it. */
static int get_pid(struct admin *admin, uint32_t *ret)
{
        static const struct bus_method method = {"/org/freedesktop/DBus", "org.freedesktop.DBus",
                                                 "GetConnectionUnixProcessID",
                                                 .destination = "org.freedesktop.DBus"};
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r = bus_call(admin, &method, &reply, "s", admin->bus_name);

        if (r < 0)
                return r;
        r = sd_bus_message_read_basic(reply, 'u', ret);
        return r <= 0 ? admin_fail_answer(admin, method.method, r < 0 ? r : -EBADMSG) : 0;
}

static int bus_get_settings(struct admin *admin, struct admin_memory *memory,
                            struct admin_settings *ret)
{
        static const struct bus_method method = {BUS_MANAGER_PATH, BUS_MANAGER, "GetConfig"};
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r = bus_call(admin, &method, &reply, NULL);

        if (r < 0)
                return r;
        r = bus_read_settings(reply, memory, ret);
        return r < 0 ? admin_fail_answer(admin, method.method, r) : 0;
}

/* The limits are the settings of the configuration that a reload changes. */
static bool is_limit(const char *key)
{
        static const char *const others[] = {"Listen",  "DBus",     "DBusName",
                                             "Workers", "RealTime", "RealTimeReserve"};

        for (size_t i = 0; i < ARRAY_SIZE(others); i++)
                if (strcmp(key, others[i]) == 0)
                        return false;
        return true;
}

static int get_limits(struct admin *admin, struct admin_memory *memory, struct admin_status *ret)
{
        struct admin_settings settings = {0};
        int r = bus_get_settings(admin, memory, &settings);

        for (size_t i = 0; r >= 0 && i < settings.n; i++) {
                if (!is_limit(settings.settings[i].key))
                        continue;
                r = admin_memory_grow(memory, &ret->limits, ret->n_limits, sizeof(*ret->limits));
                if (r < 0)
                        return admin_fail_answer(admin, "GetConfig", r);
                ret->limits[ret->n_limits++] =
                        (struct admin_limit){settings.settings[i].key, settings.settings[i].value};
        }
        return r;
}

static int bus_get_log_level(struct admin *admin, struct admin_memory *memory, const char **ret)
{
        static const struct bus_method method = {BUS_LOG_PATH, BUS_PROPERTIES, "Get"};
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r = bus_call(admin, &method, &reply, "ss", BUS_LOG, "LogLevel");

        if (r < 0)
                return r;
        r = sd_bus_message_enter_container(reply, 'v', "s");
        if (r >= 0)
                r = r == 0 ? -EBADMSG : bus_read_text(reply, 's', memory, ret);
        return r < 0 ? admin_fail_answer(admin, "LogLevel", r) : 0;
}

static int bus_get_status(struct admin *admin, struct admin_memory *memory,
                          struct admin_status *ret)
{
        int r = get_status_properties(admin, memory, ret);

        if (r >= 0)
                r = get_limits(admin, memory, ret);
        if (r >= 0)
                r = bus_get_log_level(admin, memory, &ret->log_level);
        return r < 0 ? r : get_pid(admin, &ret->pid);
}

/* --- Quotas --- */

static int bus_list_quotas(struct admin *admin, const char *identity, struct admin_memory *memory,
                           struct admin_quotas *ret)
{
        const struct bus_method method = {BUS_MANAGER_PATH, BUS_MANAGER, "ListQuotas",
                                          .action = "org.busrt1.inspect"};
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r = bus_call(admin, &method, &reply, "s", identity ? identity : "");

        if (r < 0)
                return r;
        r = bus_read_quotas(reply, memory, ret);
        return r < 0 ? admin_fail_answer(admin, method.method, r) : 0;
}

/* --- Doing --- */

static int bus_disconnect(struct admin *admin, const char *name)
{
        struct bus_method method = {BUS_MANAGER_PATH, BUS_MANAGER, "DisconnectClient",
                                    .action = "org.busrt1.disconnect", .client = name};
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *found = NULL, *reply = NULL;
        uint64_t id;
        int r;

        if (!admin_name_is_id(name, &id))
                return bus_call(admin, &method, &reply, "s", name);
        r = find_client(admin, name, &found, &method.path);
        if (r < 0)
                return r;
        method.interface = BUS_CLIENT;
        method.method = "Disconnect";
        return bus_call(admin, &method, &reply, NULL);
}

static int bus_reload(struct admin *admin)
{
        static const struct bus_method method = {BUS_MANAGER_PATH, BUS_MANAGER, "Reload",
                                                 .action = "org.busrt1.reload"};
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;

        return bus_call(admin, &method, &reply, NULL);
}

static int bus_reset_statistics(struct admin *admin)
{
        static const struct bus_method method = {BUS_MANAGER_PATH, BUS_MANAGER, "ResetStatistics",
                                                 .action = "org.busrt1.reset-statistics"};
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;

        return bus_call(admin, &method, &reply, NULL);
}

static int bus_set_log_level(struct admin *admin, const char *level)
{
        static const struct bus_method method = {BUS_LOG_PATH, BUS_PROPERTIES, "Set",
                                                 .action = "org.busrt1.set-log-level"};
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;

        return bus_call(admin, &method, &reply, "ssv", BUS_LOG, "LogLevel", "s", level);
}

static int bus_wait_until(struct admin *admin, uint64_t end)
{
        int r = bus_process_until(admin->bus, end, NULL);

        return r == -EINTR || r >= 0 ? r : bus_fail_connection(admin, r);
}

const struct admin_way admin_way_bus = {
        .list_clients = bus_list_clients,
        .get_client = bus_get_client,
        .list_subscriptions = bus_list_subscriptions,
        .get_status = bus_get_status,
        .get_settings = bus_get_settings,
        .list_quotas = bus_list_quotas,
        .disconnect = bus_disconnect,
        .reload = bus_reload,
        .reset_statistics = bus_reset_statistics,
        .get_log_level = bus_get_log_level,
        .set_log_level = bus_set_log_level,
        .watch = bus_watch,
        .wait = bus_wait_until,
};
