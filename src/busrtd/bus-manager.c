/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /org/busrt1: the bus as a whole. Its counters are read without the worker, so that whoever polls
 * them costs the bus nothing.
 */
#include <inttypes.h>
#include <stdio.h>

#include "access/rules.h"
#include "busrtd/bus-internal.h"
#include "busrtd/text.h"

/* --- Properties --- */

static int get_version(sd_bus *bus, const char *path, const char *interface, const char *property,
                       sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        return sd_bus_message_append(reply, "s", BUSRT_VERSION);
}

static int get_start(sd_bus *bus, const char *path, const char *interface, const char *property,
                     sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        const struct bus *b = userdata;

        return sd_bus_message_append(reply, "t", b->control->started_at / NSEC_PER_USEC);
}

static int get_uptime(sd_bus *bus, const char *path, const char *interface, const char *property,
                      sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        const struct bus *b = userdata;

        return sd_bus_message_append(reply, "t", engine_uptime(b->control->engine) / NSEC_PER_USEC);
}

static int get_max_files(sd_bus *bus, const char *path, const char *interface, const char *property,
                         sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        const struct bus *b = userdata;

        return sd_bus_message_append(reply, "t", (uint64_t)b->control->max_files);
}

static int get_counter(sd_bus *bus, const char *path, const char *interface, const char *property,
                       sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        static const struct {
                const char *name;
                size_t offset;
        } counters[] = {
                {"FramesIn", offsetof(struct engine_counters, r_frames)},
                {"BytesIn", offsetof(struct engine_counters, r_bytes)},
                {"FramesOut", offsetof(struct engine_counters, w_frames)},
                {"BytesOut", offsetof(struct engine_counters, w_bytes)},
                {"FramesDropped", offsetof(struct engine_counters, dropped)},
                {"ReceiversStruck", offsetof(struct engine_counters, struck)},
                {"Refused", offsetof(struct engine_counters, refused)},
                {"Denied", offsetof(struct engine_counters, denied)},
                {"BadFrames", offsetof(struct engine_counters, bad)},
                {"NConnections", offsetof(struct engine_counters, sessions)},
                {"NClients", offsetof(struct engine_counters, clients)},
                {"MemoryHeld", offsetof(struct engine_counters, held)},
        };
        const struct bus *b = userdata;
        struct engine_counters values;

        engine_get_counters(b->control->engine, &values);
        for (size_t i = 0; i < ARRAY_SIZE(counters); i++)
                if (strcmp(counters[i].name, property) == 0)
                        return sd_bus_message_append(
                                reply, "t",
                                *(const uint64_t *)((const char *)&values + counters[i].offset));
        return -ENOENT;
}

static const char *kind_word(enum transport_kind kind)
{
        switch (kind) {
        case TRANSPORT_TCP:
                return "tcp";
        case TRANSPORT_FIFO:
                return "fifo";
        default:
                return "unix";
        }
}

static int append_listener(enum transport_kind kind, const char *name, bool inherited,
                           void *userdata)
{
        char text[512];

        return MIN(sd_bus_message_append(userdata, "(ssb)", kind_word(kind),
                                         text_utf8(name, text, sizeof(text)), inherited),
                   0);
}

static int get_listeners(sd_bus *bus, const char *path, const char *interface, const char *property,
                         sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        const struct bus *b = userdata;
        int r = sd_bus_message_open_container(reply, SD_BUS_TYPE_ARRAY, "(ssb)");

        if (r >= 0)
                r = sockets_foreach(b->control->sockets, append_listener, reply);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* --- Limits --- */

struct limit {
        const char *name;
        size_t offset, size;
        uint64_t unit; /* what the number is divided by */
};

#define LIMIT(name, field, unit)                                                                   \
        {                                                                                          \
                name, offsetof(struct engine_config, field),                                       \
                        sizeof(((struct engine_config *)0)->field), unit                           \
        }

static const struct limit limits[] = {
        LIMIT("Workers", n_workers, 1),
        LIMIT("TimeoutUSec", timeout, NSEC_PER_USEC),
        LIMIT("BusyPollUSec", busy_poll, NSEC_PER_USEC),
        LIMIT("SlowConsumerPaceUSec", slow_pace, NSEC_PER_USEC),
        LIMIT("SlowConsumerPolicy", slow_policy, 1),
        LIMIT("QueueFrames", queue_frames, 1),
        LIMIT("QueueBytes", queue_bytes, 1),
        LIMIT("QueueMemoryMax", queue_memory_max, 1),
        LIMIT("QueueMemoryMaxPerUser", queue_memory_max_per_user, 1),
        LIMIT("MaxFrameSize", max_frame_size, 1),
        LIMIT("MaxTopicParts", max_topic_parts, 1),
        LIMIT("MaxTopicLength", max_topic_length, 1),
        LIMIT("MaxConnectionsPerUser", max_connections_per_user, 1),
        LIMIT("MaxHandshakesPerUser", max_handshakes_per_user, 1),
        LIMIT("MaxNamesPerUser", max_names_per_user, 1),
        LIMIT("MaxSubscriptionsPerUser", max_subscriptions_per_user, 1),
        LIMIT("ConnectionRatePerUser", connection_rate_per_user, 1),
        LIMIT("ConnectionBurstPerUser", connection_burst_per_user, 1),
        LIMIT("ForceRegister", force_register, 1),
        LIMIT("ForceRegisterMode", force_register, 1),
};

/* As the engine takes it. */
static uint64_t limit_value(const struct limit *limit, const struct engine_config *config)
{
        const char *field = (const char *)config + limit->offset;

        if (field == (const char *)&config->queue_memory_max_per_user &&
            config->queue_memory_max_per_user == 0)
                return config->queue_memory_max / 2;
        if (limit->size == sizeof(unsigned))
                return *(const unsigned *)field;
        return limit->size == sizeof(uint64_t) ? *(const uint64_t *)field : *(const size_t *)field;
}

static int get_limit(sd_bus *bus, const char *path, const char *interface, const char *property,
                     sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        const struct bus *b = userdata;
        const struct engine_config *config = &b->control->options->engine;

        for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
                if (strcmp(limits[i].name, property) == 0)
                        return sd_bus_message_append(
                                reply, "t", limit_value(&limits[i], config) / limits[i].unit);
        return -ENOENT;
}

static int get_policy(sd_bus *bus, const char *path, const char *interface, const char *property,
                      sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        const struct bus *b = userdata;

        return sd_bus_message_append(
                reply, "s", options_slow_policy_word(b->control->options->engine.slow_policy));
}

static int get_force_register(sd_bus *bus, const char *path, const char *interface,
                              const char *property, sd_bus_message *reply, void *userdata,
                              sd_bus_error *error)
{
        const struct bus *b = userdata;
        enum force_register mode = b->control->options->engine.force_register;

        if (strcmp(property, "ForceRegisterMode") == 0)
                return sd_bus_message_append(reply, "s", options_force_register_word(mode));
        return sd_bus_message_append(reply, "b", mode != FORCE_REGISTER_NO);
}

static uint64_t n_access_rules(const struct bus *b)
{
        return access_rules_n_sections(b->control->options->engine.access);
}

static int get_n_access_rules(sd_bus *bus, const char *path, const char *interface,
                              const char *property, sd_bus_message *reply, void *userdata,
                              sd_bus_error *error)
{
        return sd_bus_message_append(reply, "t", n_access_rules(userdata));
}

void bus_manager_note_limits(struct bus *b)
{
        b->shown = b->control->options->engine;
        b->shown.access = NULL; /* not ours */
        b->n_access_rules_shown = n_access_rules(b);
}

void bus_manager_tell_limits(struct bus *b)
{
        const struct engine_config *now = &b->control->options->engine;
        char *names[ARRAY_SIZE(limits) + 2];
        size_t n = 0;

        for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
                if (limit_value(&limits[i], &b->shown) != limit_value(&limits[i], now))
                        names[n++] = (char *)limits[i].name;
        if (n_access_rules(b) != b->n_access_rules_shown)
                names[n++] = (char *)"NAccessRules";
        names[n] = NULL;
        bus_manager_note_limits(b);
        if (n && b->connection)
                (void)sd_bus_emit_properties_changed_strv(b->connection, BUS_PATH, BUS_MANAGER,
                                                          names);
}

/* --- Methods --- */

static int reply_path(sd_bus_message *m, const struct client_snapshot *s)
{
        char path[BUS_CLIENT_PATH_MAX];

        return sd_bus_reply_method_return(m, "o", bus_client_path(s->clients[0].id, path));
}

static int get_client(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        _cleanup_(client_snapshot_done) struct client_snapshot s = {0};
        const struct bus *b = userdata;
        const char *name;
        int r = sd_bus_message_read(m, "s", &name);

        if (r < 0)
                return r;
        r = client_snapshot_take_name(b->control->engine, name, 0, BUS_CLIENT_TIMEOUT, &s);
        if (r == -ENOENT)
                return bus_fail_no_client(name, error);
        return r < 0 ? bus_fail(r, error) : reply_path(m, &s);
}

static int get_client_by_id(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        _cleanup_(client_snapshot_done) struct client_snapshot s = {0};
        const struct bus *b = userdata;
        uint64_t id;
        int r = sd_bus_message_read(m, "t", &id);

        if (r < 0)
                return r;
        r = client_snapshot_take_id(b->control->engine, id, 0, BUS_CLIENT_TIMEOUT, &s);
        if (r == -ENOENT)
                return sd_bus_error_setf(error, BUS_ERROR_NO_SUCH_CLIENT,
                                         "there is no client with the id %" PRIu64, id);
        return r < 0 ? bus_fail(r, error) : reply_path(m, &s);
}

static int disconnect_client(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        _cleanup_(client_snapshot_done) struct client_snapshot s = {0};
        struct bus *b = userdata;
        const char *name;
        int r = sd_bus_message_read(m, "s", &name);

        if (r < 0)
                return r;
        r = client_snapshot_take_name(b->control->engine, name, 0, BUS_CLIENT_TIMEOUT, &s);
        if (r == -ENOENT)
                return bus_fail_no_client(name, error);
        if (r < 0)
                return bus_fail(r, error);
        return bus_disconnect_client(b, m, &s.clients[0], disconnect_client, error);
}

static int reload(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        struct bus *b = userdata;
        struct polkit_request request = {.admin = {.action = "org.busrt1.reload",
                                                   .what = "reload the configuration",
                                                   .client = ""}};
        char why[CONTROL_ERROR_MAX], visible[CONTROL_ERROR_MAX];
        int r = polkit_check(b->polkit, m, reload, b, &request, error);

        if (r <= 0)
                return r < 0 ? r : 1;
        r = control_reload(b->control, why);
        if (r < 0)
                return sd_bus_error_set(error, BUS_ERROR_RELOAD_FAILED,
                                        text_visible(why, visible, sizeof(visible)));
        polkit_tell_granted(b->polkit, &request);
        return sd_bus_reply_method_return(m, NULL);
}

static void reset_on_worker(struct engine *engine, void *userdata)
{
        engine_reset_counters(engine);
}

static int reset_statistics(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        struct bus *b = userdata;
        struct polkit_request request = {.admin = {.action = "org.busrt1.reset-statistics",
                                                   .what = "set all counters to zero",
                                                   .client = ""}};
        int r = polkit_check(b->polkit, m, reset_statistics, b, &request, error);

        if (r <= 0)
                return r < 0 ? r : 1;
        r = engine_inspect(b->control->engine, reset_on_worker, NULL, BUS_LIST_TIMEOUT);
        if (r < 0)
                return bus_fail(r, error);
        polkit_tell_granted(b->polkit, &request);
        return sd_bus_reply_method_return(m, NULL);
}

static int subscribe(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        struct bus *b = userdata;
        int r = bus_signals_subscribe(&b->signals, m);

        if (r == -EDQUOT)
                return sd_bus_error_set(error, SD_BUS_ERROR_LIMITS_EXCEEDED,
                                        "too many are subscribed");
        return r < 0 ? r : 1;
}

static int unsubscribe(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        struct bus *b = userdata;
        const char *sender = sd_bus_message_get_sender(m);
        int r = sender ? bus_signals_unsubscribe(&b->signals, sender) : -ENOENT;

        if (r == -ENOENT)
                return sd_bus_error_set(error, BUS_ERROR_NOT_SUBSCRIBED, "you are not subscribed");
        return sd_bus_reply_method_return(m, NULL);
}

/* --- The table --- */

#define CONSTANT SD_BUS_VTABLE_PROPERTY_CONST
#define CHANGES SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE
#define FREE SD_BUS_VTABLE_UNPRIVILEGED /* for all; or it asks polkit itself */

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Version", "s", get_version, 0, CONSTANT),
        SD_BUS_PROPERTY("StartTimestamp", "t", get_start, 0, CONSTANT),
        SD_BUS_PROPERTY("UptimeUSec", "t", get_uptime, 0, 0),
        SD_BUS_PROPERTY("FramesIn", "t", get_counter, 0, 0),
        SD_BUS_PROPERTY("BytesIn", "t", get_counter, 0, 0),
        SD_BUS_PROPERTY("FramesOut", "t", get_counter, 0, 0),
        SD_BUS_PROPERTY("BytesOut", "t", get_counter, 0, 0),
        SD_BUS_PROPERTY("FramesDropped", "t", get_counter, 0, 0),
        SD_BUS_PROPERTY("ReceiversStruck", "t", get_counter, 0, 0),
        SD_BUS_PROPERTY("Refused", "t", get_counter, 0, 0),
        SD_BUS_PROPERTY("Denied", "t", get_counter, 0, 0),
        SD_BUS_PROPERTY("BadFrames", "t", get_counter, 0, 0),
        SD_BUS_PROPERTY("NConnections", "t", get_counter, 0, 0),
        SD_BUS_PROPERTY("NClients", "t", get_counter, 0, 0),
        SD_BUS_PROPERTY("MemoryHeld", "t", get_counter, 0, 0),
        SD_BUS_PROPERTY("Workers", "t", get_limit, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("TimeoutUSec", "t", get_limit, 0, CHANGES),
        SD_BUS_PROPERTY("BusyPollUSec", "t", get_limit, 0, CHANGES),
        SD_BUS_PROPERTY("SlowConsumerPaceUSec", "t", get_limit, 0, CHANGES),
        SD_BUS_PROPERTY("SlowConsumerPolicy", "s", get_policy, 0, CHANGES),
        SD_BUS_PROPERTY("QueueFrames", "t", get_limit, 0, CHANGES),
        SD_BUS_PROPERTY("QueueBytes", "t", get_limit, 0, CHANGES),
        SD_BUS_PROPERTY("QueueMemoryMax", "t", get_limit, 0, CHANGES),
        SD_BUS_PROPERTY("MaxFrameSize", "t", get_limit, 0, CHANGES),
        SD_BUS_PROPERTY("MaxTopicParts", "t", get_limit, 0, CHANGES),
        SD_BUS_PROPERTY("MaxTopicLength", "t", get_limit, 0, CHANGES),
        SD_BUS_PROPERTY("MaxConnectionsPerUser", "t", get_limit, 0, CHANGES),
        SD_BUS_PROPERTY("QueueMemoryMaxPerUser", "t", get_limit, 0, CHANGES),
        SD_BUS_PROPERTY("MaxHandshakesPerUser", "t", get_limit, 0, CHANGES),
        SD_BUS_PROPERTY("MaxNamesPerUser", "t", get_limit, 0, CHANGES),
        SD_BUS_PROPERTY("MaxSubscriptionsPerUser", "t", get_limit, 0, CHANGES),
        SD_BUS_PROPERTY("ConnectionRatePerUser", "t", get_limit, 0, CHANGES),
        SD_BUS_PROPERTY("ConnectionBurstPerUser", "t", get_limit, 0, CHANGES),
        SD_BUS_PROPERTY("ForceRegister", "b", get_force_register, 0, CHANGES),
        SD_BUS_PROPERTY("ForceRegisterMode", "s", get_force_register, 0, CHANGES),
        SD_BUS_PROPERTY("NAccessRules", "t", get_n_access_rules, 0, CHANGES),
        SD_BUS_PROPERTY("MaxFiles", "t", get_max_files, 0, CONSTANT),
        SD_BUS_PROPERTY("Listeners", "a(ssb)", get_listeners, 0, CONSTANT),
        SD_BUS_METHOD_WITH_ARGS("ListClients", SD_BUS_NO_ARGS,
                                SD_BUS_RESULT("a(tssssuuutttttttttttto)", clients),
                                bus_list_clients, FREE),
        SD_BUS_METHOD_WITH_ARGS("GetClient", SD_BUS_ARGS("s", name), SD_BUS_RESULT("o", client),
                                get_client, FREE),
        SD_BUS_METHOD_WITH_ARGS("GetClientByID", SD_BUS_ARGS("t", id), SD_BUS_RESULT("o", client),
                                get_client_by_id, FREE),
        SD_BUS_METHOD_WITH_ARGS("FindClientsByUser", SD_BUS_ARGS("u", uid),
                                SD_BUS_RESULT("ao", clients), bus_find_clients_by_user, FREE),
        SD_BUS_METHOD_WITH_ARGS("ListSubscriptions", SD_BUS_ARGS("s", name),
                                SD_BUS_RESULT("a(ssb)", subscriptions), bus_list_subscriptions,
                                FREE),
        SD_BUS_METHOD_WITH_ARGS("ListAddresses", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(ts)", addresses),
                                bus_list_addresses, FREE),
        SD_BUS_METHOD_WITH_ARGS("DisconnectClient", SD_BUS_ARGS("s", name), SD_BUS_NO_RESULT,
                                disconnect_client, FREE),
        SD_BUS_METHOD_WITH_ARGS("Reload", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, reload, FREE),
        SD_BUS_METHOD_WITH_ARGS("ResetStatistics", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT,
                                reset_statistics, FREE),
        SD_BUS_METHOD_WITH_ARGS("GetConfig", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(sssu)", settings),
                                bus_get_config, FREE),
        SD_BUS_METHOD_WITH_ARGS("ListQuotas", SD_BUS_ARGS("s", identity),
                                SD_BUS_RESULT("a(suttttttttttttttttt)", quotas), bus_list_quotas,
                                FREE),
        SD_BUS_METHOD_WITH_ARGS("Subscribe", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, subscribe, FREE),
        SD_BUS_METHOD_WITH_ARGS("Unsubscribe", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, unsubscribe, FREE),
        SD_BUS_SIGNAL_WITH_ARGS("ClientsChanged", SD_BUS_ARGS("a(ts)", added, "a(ts)", removed), 0),
        SD_BUS_SIGNAL_WITH_ARGS("Resync", SD_BUS_NO_ARGS, 0),
        SD_BUS_SIGNAL_WITH_ARGS("Events", SD_BUS_ARGS("a(tstss)", events), 0),
        SD_BUS_VTABLE_END,
};

int bus_manager_add(struct bus *b)
{
        return sd_bus_add_object_vtable(b->connection, NULL, BUS_PATH, BUS_MANAGER, vtable, b);
}
