/* SPDX-License-Identifier: Apache-2.0 */
/* An administrator's questions as methods of `.broker`, on one connection. */
#include <stdio.h>

#include "basic/macro.h"
#include "busrtctl/admin-rpc.h"
#include "busrtctl/map-read.h"

#define CODE_RELOAD_FAILED (-32116)
#define CODE_DENIED (-32121)

/* --- What went wrong --- */

static int fail_denied(const struct admin *admin)
{
        if (!address_is_path(admin->route))
                return -fail(0,
                             "%s: not allowed: the broker takes that on UNIX sockets alone, from "
                             "root and from its own user",
                             admin->route);
        (void)fail(0, "%s: not allowed: by its socket the broker lets root and its own user alone",
                   admin->route);
        admin_advise_root();
        if (admin->no_bus)
                (void)fail(0, "others could be let by polkit, on D-Bus, but %s", admin->no_bus);
        return -EXIT_FAILURE;
}

static int fail_reply(const struct admin *admin, const char *method, const char *name,
                      const busrt_rpc_error *error)
{
        _cleanup_free_ char *text = strndup(error->data ? error->data : "", error->len);

        if (!text)
                return -fail(ENOMEM, "%s", method);
        switch (error->code) {
        case BUSRT_RPC_NOT_FOUND:
                return admin_fail_no_client(name ? name : text);
        case CODE_DENIED:
                return fail_denied(admin);
        case CODE_RELOAD_FAILED:
                return admin_fail_reload(text);
        case BUSRT_RPC_METHOD_NOT_FOUND:
                return admin_fail_unknown(admin, method);
        default:
                return -fail(0, "%s: %s: error %d%s%s", admin->route, method, error->code,
                             text[0] ? ": " : "", text);
        }
}

static int fail_call(const struct admin *admin, const char *method, const char *name, int r,
                     const busrt_rpc_error *error)
{
        if (r == -EINTR && interrupted())
                return -EXIT_FAILURE;
        if (r == -EREMOTEIO)
                return fail_reply(admin, method, name, error);
        if (r == -ETIMEDOUT)
                return -fail(0, "%s: no answer in time (busrtctl -t TIME waits longer)",
                             admin->route);
        return rpc_fail_connection(admin, r);
}

int rpc_fail_connection(const struct admin *admin, int r)
{
        if (r == -EINTR && interrupted())
                return -EXIT_FAILURE;
        if (r == -ENOTCONN)
                r = busrt_client_error(admin->client);
        return -fail(r, "%s", admin->route);
}

/* --- Calling --- */

/* A reply, and what of it points into it. */
struct answer {
        busrt_frame *frame;
        msgpack_unpacked unpacked;
};

static void answer_init(struct answer *answer)
{
        answer->frame = NULL;
        msgpack_unpacked_init(&answer->unpacked);
}

static void answer_done(struct answer *answer)
{
        msgpack_unpacked_destroy(&answer->unpacked);
        busrt_frame_unref(answer->frame);
}

/* name: whom the question is about, or NULL. params are spent. 0, or -EXIT_FAILURE after saying
 * what went wrong. */
static int ask(struct admin *admin, const char *method, const char *name, busrt_params *params,
               struct answer *answer)
{
        _cleanup_(busrt_rpc_error_done) busrt_rpc_error error = BUSRT_RPC_ERROR_INIT;
        _cleanup_(text_done) struct text packed = {0};
        const struct iovec *iov;
        int n = params->n_pairs > 0 ? busrt_params_get(params, &iov) : 0, r;

        for (int i = 0; i < n; i++)
                text_add(&packed, iov[i].iov_base, iov[i].iov_len);
        busrt_params_done(params);
        if (n < 0 || packed.failed)
                return -fail(ENOMEM, "%s", method);
        r = call_quietly(admin->client, BROKER_NAME, method, &packed, 0, &error, &answer->frame);
        if (r < 0)
                return fail_call(admin, method, name, r, &error);
        r = unpack_reply(answer->frame, &answer->unpacked);
        return r < 0 ? admin_fail_answer(admin, method, r) : 0;
}

/* The same of one client, or of all for NULL. */
static int ask_about(struct admin *admin, const char *method, const char *name,
                     struct answer *answer)
{
        busrt_params params = BUSRT_PARAMS_INIT;
        uint64_t id;

        if (name && admin_name_is_id(name, &id))
                (void)busrt_params_add_uint(&params, "id", id);
        else if (name)
                (void)busrt_params_add_string(&params, "name", name);
        return ask(admin, method, name, &params, answer);
}

/* What is done, with nothing to be read of the answer. */
static int order(struct admin *admin, const char *method, const char *name)
{
        _cleanup_(answer_done) struct answer answer;

        answer_init(&answer);
        return ask_about(admin, method, name, &answer);
}

/* --- Clients --- */

static int read_client(const msgpack_object *map, struct admin_memory *memory,
                       struct admin_client *ret)
{
        int r;

        admin_client_init(ret);
        r = map_read_fields(map, &admin_client_fields, memory, ret);
        return r >= 0 && !ret->name[0] ? -EBADMSG : r;
}

static int add_client(const msgpack_object *map, struct admin_memory *memory, void *userdata)
{
        struct admin_clients *clients = userdata;
        int r = admin_memory_grow(memory, &clients->clients, clients->n, sizeof(*clients->clients));

        return r < 0 ? r : read_client(map, memory, &clients->clients[clients->n++]);
}

static int rpc_list_clients(struct admin *admin, struct admin_memory *memory,
                            struct admin_clients *ret)
{
        _cleanup_(answer_done) struct answer answer;
        int r;

        answer_init(&answer);
        r = ask_about(admin, "client.get", NULL, &answer);
        if (r < 0)
                return r;
        r = map_foreach(&answer.unpacked.data, "clients", add_client, memory, ret);
        return r < 0 ? admin_fail_answer(admin, "client.get", r) : 0;
}

static int read_details(const msgpack_object *map, struct admin_memory *memory,
                        struct admin_client_details *ret)
{
        int r = map->type == MSGPACK_OBJECT_MAP ? read_client(map, memory, &ret->client) : -EBADMSG;

        if (r >= 0)
                r = map_read_text(map, "source", memory, &ret->address);
        if (r >= 0)
                r = map_read_words(map, "secondaries", memory, &ret->secondaries);
        if (r >= 0)
                r = map_read_words(map, "subscriptions", memory, &ret->subscriptions);
        if (r >= 0)
                r = map_read_words(map, "exclusions", memory, &ret->exclusions);
        return r;
}

static int rpc_get_client(struct admin *admin, const char *name, struct admin_memory *memory,
                          struct admin_client_details *ret)
{
        _cleanup_(answer_done) struct answer answer;
        int r;

        answer_init(&answer);
        r = ask_about(admin, "client.get", name, &answer);
        if (r < 0)
                return r;
        r = read_details(&answer.unpacked.data, memory, ret);
        return r < 0 ? admin_fail_answer(admin, "client.get", r) : 0;
}

/* --- Subscriptions --- */

static int add_masks(const char *client, const char *const *masks, bool exclusion,
                     struct admin_memory *memory, struct admin_subscriptions *ret)
{
        for (; *masks; masks++) {
                int r = admin_memory_grow(memory, &ret->subscriptions, ret->n,
                                          sizeof(*ret->subscriptions));

                if (r < 0)
                        return r;
                ret->subscriptions[ret->n++] =
                        (struct admin_subscription){client, *masks, exclusion};
        }
        return 0;
}

static int add_subscriber(const msgpack_object *map, struct admin_memory *memory, void *userdata)
{
        struct admin_client_details details;
        int r;

        admin_details_init(&details);
        r = read_details(map, memory, &details);
        if (r >= 0)
                r = add_masks(details.client.name, details.subscriptions, false, memory, userdata);
        if (r >= 0)
                r = add_masks(details.client.name, details.exclusions, true, memory, userdata);
        return r;
}

static int rpc_list_subscriptions(struct admin *admin, const char *name,
                                  struct admin_memory *memory, struct admin_subscriptions *ret)
{
        _cleanup_(answer_done) struct answer answer;
        busrt_params params = BUSRT_PARAMS_INIT;
        int r;

        answer_init(&answer);
        if (name) {
                r = ask_about(admin, "client.get", name, &answer);
        } else {
                (void)busrt_params_add_bool(&params, "masks", true);
                r = ask(admin, "client.get", NULL, &params, &answer);
        }
        if (r < 0)
                return r;
        r = name ? add_subscriber(&answer.unpacked.data, memory, ret)
                 : map_foreach(&answer.unpacked.data, "clients", add_subscriber, memory, ret);
        return r < 0 ? admin_fail_answer(admin, "client.get", r) : 0;
}

/* --- The broker --- */

static int add_listener(const msgpack_object *map, struct admin_memory *memory, void *userdata)
{
        struct admin_status *status = userdata;
        struct admin_listener *one;
        int inherited = 0, r;

        r = admin_memory_grow(memory, &status->listeners, status->n_listeners,
                              sizeof(*status->listeners));
        if (r < 0)
                return r;
        one = &status->listeners[status->n_listeners++];
        r = map_read_text(map, "kind", memory, &one->kind);
        if (r >= 0)
                r = map_read_text(map, "address", memory, &one->address);
        if (r >= 0)
                r = busrt_map_get_bool(map, "inherited", &inherited);
        one->inherited = inherited;
        return r == -ENOENT ? 0 : r;
}

static int add_limit(const msgpack_object *map, struct admin_memory *memory, void *userdata)
{
        struct admin_status *status = userdata;
        struct admin_limit *one;
        int r;

        r = admin_memory_grow(memory, &status->limits, status->n_limits, sizeof(*status->limits));
        if (r < 0)
                return r;
        one = &status->limits[status->n_limits++];
        r = map_read_text(map, "key", memory, &one->name);
        if (r >= 0)
                r = map_read_text(map, "value", memory, &one->text);
        if (r >= 0 && strcmp(one->name, "QueueMemoryMax") == 0)
                (void)parse_number(one->text, 0, UINT64_MAX, &status->queue_memory_max);
        return r;
}

static int rpc_get_status(struct admin *admin, struct admin_memory *memory,
                          struct admin_status *ret)
{
        _cleanup_(answer_done) struct answer answer;
        int r;

        answer_init(&answer);
        r = ask_about(admin, "status", NULL, &answer);
        if (r < 0)
                return r;
        r = map_read_fields(&answer.unpacked.data, &admin_status_fields, memory, ret);
        if (r >= 0)
                r = map_foreach(&answer.unpacked.data, "listeners", add_listener, memory, ret);
        if (r >= 0)
                r = map_foreach(&answer.unpacked.data, "limits", add_limit, memory, ret);
        return r < 0 ? admin_fail_answer(admin, "status", r) : 0;
}

static int add_setting(const msgpack_object *map, struct admin_memory *memory, void *userdata)
{
        struct admin_settings *settings = userdata;
        struct admin_setting *one;
        uint64_t line = 0;
        int r;

        r = admin_memory_grow(memory, &settings->settings, settings->n, sizeof(*one));
        if (r < 0)
                return r;
        one = &settings->settings[settings->n++];
        r = map_read_text(map, "key", memory, &one->key);
        if (r >= 0)
                r = map_read_text(map, "value", memory, &one->value);
        if (r >= 0)
                r = map_read_text(map, "file", memory, &one->file);
        if (r < 0)
                return r;
        r = busrt_map_get_uint(map, "line", &line);
        if ((r < 0 && r != -ENOENT) || line > UINT32_MAX)
                return -EBADMSG;
        one->line = (uint32_t)line;
        return 0;
}

static int rpc_get_settings(struct admin *admin, struct admin_memory *memory,
                            struct admin_settings *ret)
{
        _cleanup_(answer_done) struct answer answer;
        int r;

        answer_init(&answer);
        r = ask_about(admin, "config.get", NULL, &answer);
        if (r < 0)
                return r;
        r = map_foreach(&answer.unpacked.data, "settings", add_setting, memory, ret);
        return r < 0 ? admin_fail_answer(admin, "config.get", r) : 0;
}

static int rpc_get_log_level(struct admin *admin, struct admin_memory *memory, const char **ret)
{
        _cleanup_(answer_done) struct answer answer;
        int r;

        answer_init(&answer);
        r = ask_about(admin, "log.level", NULL, &answer);
        if (r < 0)
                return r;
        r = map_read_text(&answer.unpacked.data, "level", memory, ret);
        return r < 0 ? admin_fail_answer(admin, "log.level", r) : 0;
}

/* --- Quotas --- */

static int add_quota(const msgpack_object *map, struct admin_memory *memory, void *userdata)
{
        struct admin_quotas *quotas = userdata;
        struct admin_quota *one;
        int r = admin_memory_grow(memory, &quotas->quotas, quotas->n, sizeof(*one));

        if (r < 0)
                return r;
        one = &quotas->quotas[quotas->n++];
        admin_quota_init(one);
        return map_read_fields(map, &admin_quota_fields, memory, one);
}

static int rpc_list_quotas(struct admin *admin, const char *identity, struct admin_memory *memory,
                           struct admin_quotas *ret)
{
        _cleanup_(answer_done) struct answer answer;
        busrt_params params = BUSRT_PARAMS_INIT;
        int r;

        answer_init(&answer);
        if (identity)
                (void)busrt_params_add_string(&params, "identity", identity);
        r = ask(admin, "quota.get", NULL, &params, &answer);
        if (r < 0)
                return r;
        r = map_foreach(&answer.unpacked.data, "quotas", add_quota, memory, ret);
        return r < 0 ? admin_fail_answer(admin, "quota.get", r) : 0;
}

/* --- Doing --- */

static int rpc_disconnect(struct admin *admin, const char *name)
{
        return order(admin, "client.disconnect", name);
}

static int rpc_reload(struct admin *admin)
{
        return order(admin, "reload", NULL);
}

static int rpc_reset_statistics(struct admin *admin)
{
        return order(admin, "stats.reset", NULL);
}

static int rpc_set_log_level(struct admin *admin, const char *level)
{
        _cleanup_(answer_done) struct answer answer;
        busrt_params params = BUSRT_PARAMS_INIT;

        answer_init(&answer);
        (void)busrt_params_add_string(&params, "level", level);
        return ask(admin, "log.level", NULL, &params, &answer);
}

static int rpc_wait_until(struct admin *admin, uint64_t end)
{
        int r = process_until(admin->client, end, NULL);

        return r == -EINTR || r >= 0 ? MIN(r, 0) : rpc_fail_connection(admin, r);
}

const struct admin_way admin_way_rpc = {
        .list_clients = rpc_list_clients,
        .get_client = rpc_get_client,
        .list_subscriptions = rpc_list_subscriptions,
        .get_status = rpc_get_status,
        .get_settings = rpc_get_settings,
        .list_quotas = rpc_list_quotas,
        .disconnect = rpc_disconnect,
        .reload = rpc_reload,
        .reset_statistics = rpc_reset_statistics,
        .get_log_level = rpc_get_log_level,
        .set_log_level = rpc_set_log_level,
        .watch = rpc_watch,
        .wait = rpc_wait_until,
};
