/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Methods for administrators: root, and the user that the broker runs as, on UNIX sockets, where
 * the kernel says who is there. First the parameters are looked at, then who asks, then whether
 * there is what is asked for; who is refused is told in the log, and so is what changed something.
 */
#include <stdarg.h>
#include <stdio.h>

#include "basic/macro.h"
#include "basic/utf8.h"
#include "broker-rpc/call.h"
#include "broker-rpc/client-list.h"
#include "broker-rpc/client-details.h"
#include "broker-rpc/pack.h"
#include "broker-rpc/params.h"
#include "wire/frame.h"

#define ACTION_INSPECT "org.busrt1.inspect"
#define ACTION_DISCONNECT "org.busrt1.disconnect"
#define ACTION_RELOAD "org.busrt1.reload"
#define ACTION_SET_LOG_LEVEL "org.busrt1.set-log-level"
#define ACTION_RESET_STATISTICS "org.busrt1.reset-statistics"

/* --- Who may --- */

static int deed_new(const struct call *call, const char *action, struct errand **ret)
{
        struct errand *errand = calloc(1, sizeof(*errand));
        struct engine_client_info caller;

        if (!errand)
                return -ENOMEM;
        engine_get_caller(call->from, &caller);
        errand->session = caller.id;
        errand->id = call->request.id;
        errand->realtime = call->realtime;
        errand->action = action;
        (void)snprintf(errand->sender, sizeof(errand->sender), "%s", caller.name);
        (void)snprintf(errand->source, sizeof(errand->source), "%s",
                       caller.source ? caller.source : "");
        errand->has_uid = caller.kind == TRANSPORT_UNIX;
        errand->uid = caller.uid;
        errand->pid = caller.pid;
        *ret = errand;
        return 0;
}

/* 0; or the caller may not, which is told, and the errand is gone. */
static int deed_check(struct call *call, struct errand **errand)
{
        const struct errand *e = *errand;

        if (e->has_uid && (e->uid == 0 || e->uid == call->rpc->own_uid))
                return 0;
        (*errand)->kind = ERRAND_DENIED;
        errands_post(&call->rpc->errands, TAKE_PTR(*errand));
        call->error = "only root and the broker's own user may, on a UNIX socket";
        return RPC_CODE_BUS(WIRE_ACCESS);
}

static int busy(struct call *call)
{
        call->error = "too much waits to be done: try again";
        return RPC_CODE_BUS(WIRE_BUSY);
}

/* Makes it and checks it. client: whom it is about, or NULL. */
_printf_(5, 6) static int deed_begin(struct call *call, const char *action,
                                     const struct params_field *client, struct errand **ret,
                                     const char *what, ...)
{
        struct errand *errand;
        va_list ap;
        int code;

        if (deed_new(call, action, &errand) < 0)
                return call_out_of_memory(call);
        va_start(ap, what);
        (void)vsnprintf(errand->what, sizeof(errand->what), what, ap);
        va_end(ap);
        if (client && client->given)
                (void)snprintf(errand->client, sizeof(errand->client), "%.*s",
                               (int)MIN(client->len, sizeof(errand->client)), client->text);
        code = deed_check(call, &errand);
        if (code == 0)
                *ret = errand;
        return code;
}

int call_check_admin(struct call *call, const char *action, const char *what)
{
        _cleanup_free_ struct errand *errand = NULL;

        return deed_begin(call, action, NULL, &errand, "%s", what);
}

/* --- Clients --- */

/* By name or by id; or all, where a method takes that. */
struct target {
        struct params_field fields[3];
        char shown[ERRAND_NAME_MAX + 8]; /* `"plc.1"`, `#7`; "" for all */
};

enum { NAME, ID, MASKS };

/* A name of whatever length in quotes, cut between characters. */
static void show_name(const char *name, size_t len, char *out, size_t size)
{
        size_t n = MIN(len, (size_t)ERRAND_NAME_MAX - 4);

        while (n > 0 && n < len && ((uint8_t)name[n] & 0xc0) == 0x80)
                n--;
        (void)snprintf(out, size, "\"%.*s%s\"", (int)n, name, n < len ? "..." : "");
}

static int parse_target(struct call *call, size_t n_fields, struct target *ret)
{
        const struct rpc_message *request = &call->request;
        struct target t = {.fields = {[NAME] = {"name", PARAMS_TEXT},
                                      [ID] = {"id", PARAMS_NUMBER},
                                      [MASKS] = {"masks", PARAMS_FLAG}}};
        int r = 0;

        if (request->data_len > 0)
                r = params_parse_fields(request->data, request->data_len, t.fields, n_fields,
                                        &call->error);
        if (r >= 0 && t.fields[NAME].given && t.fields[ID].given) {
                call->error = "name and id";
                r = -EBADMSG;
        }
        if (r < 0)
                return RPC_CODE_INVALID_PARAMS;
        if (t.fields[NAME].given)
                show_name(t.fields[NAME].text, t.fields[NAME].len, t.shown, sizeof(t.shown));
        else if (t.fields[ID].given)
                (void)snprintf(t.shown, sizeof(t.shown), "#%llu",
                               (unsigned long long)t.fields[ID].number);
        *ret = t;
        return 0;
}

/* `.broker` is not to be had. */
static int find_target(struct call *call, const struct target *t, struct engine_client_info *ret)
{
        struct engine_client_info info;
        int r;

        if (t->fields[NAME].given)
                r = engine_find_client(call->engine, t->fields[NAME].text, t->fields[NAME].len,
                                       &info);
        else
                r = engine_get_client(call->engine, t->fields[ID].number, &info);
        if (r < 0 || info.kind == TRANSPORT_INTERNAL) {
                (void)snprintf(call->text, sizeof(call->text), "there is no client %s", t->shown);
                call->error = call->text;
                return RPC_CODE_NOT_FOUND;
        }
        *ret = info;
        return 0;
}

int method_client_get(struct call *call)
{
        _cleanup_free_ struct errand *errand = NULL;
        struct engine_client_info info;
        struct target target;
        size_t name;
        int code = parse_target(call, 3, &target), r;

        if (code == 0)
                code = deed_begin(call, ACTION_INSPECT, &target.fields[NAME], &errand,
                                  "look at %s%s", target.shown[0] ? "client " : "the clients",
                                  target.shown);
        if (code == 0 && target.shown[0])
                code = find_target(call, &target, &info);
        if (code < 0)
                return code;
        r = target.shown[0] ? client_details_pack(call->engine, &info, true, &call->result, &name)
                            : client_list_pack_details(call->engine, target.fields[MASKS].flag,
                                                       &call->result);
        if (r == -EMSGSIZE) {
                call->error = "too much for one reply";
                return RPC_CODE_INTERNAL;
        }
        return r < 0 ? call_out_of_memory(call) : 0;
}

/* --- Quotas --- */

/* Room for each of 10000 addresses and more. */
#define QUOTAS_MAX ((size_t)4 << 20)

struct quota_list {
        struct pack_array rows;
        const struct params_field *identity;
};

static int pack_use(msgpack_packer *pk, const char *key, const struct engine_account_use *use)
{
        char name[32];
        int r = pack_number_field(pk, key, use->used);

        (void)snprintf(name, sizeof(name), "%s_max", key);
        r = r < 0 ? r : pack_known_field(pk, name, use->max, ENGINE_NO_LIMIT);
        (void)snprintf(name, sizeof(name), "%s_refused", key);
        return r < 0 ? r : pack_number_field(pk, name, use->refused);
}

static int add_quota(const struct engine_account_info *info, void *userdata)
{
        struct quota_list *list = userdata;
        msgpack_packer *pk = &list->rows.packer;
        int r;

        if (list->identity->given &&
            (list->identity->len != strlen(info->identity) ||
             memcmp(list->identity->text, info->identity, list->identity->len) != 0))
                return 0;
        r = msgpack_pack_map(pk, 2 + 5 * 3 + 2);
        r = r < 0 ? r : pack_text_field(pk, "identity", info->identity);
        r = r < 0 ? r : pack_known_field(pk, "uid", info->uid, (uid_t)-1);
        r = r < 0 ? r : pack_use(pk, "connections", &info->connections);
        r = r < 0 ? r : pack_use(pk, "names", &info->names);
        r = r < 0 ? r : pack_use(pk, "subscriptions", &info->subscriptions);
        r = r < 0 ? r : pack_use(pk, "held", &info->memory);
        r = r < 0 ? r : pack_use(pk, "handshakes", &info->handshakes);
        r = r < 0 ? r : pack_known_field(pk, "rate_max", info->rate.max, ENGINE_NO_LIMIT);
        r = r < 0 ? r : pack_number_field(pk, "rate_refused", info->rate.refused);
        if (r < 0)
                return -ENOMEM;
        list->rows.n++;
        return list->rows.items.size > QUOTAS_MAX ? -EMSGSIZE : 0;
}

static int pack_quotas(struct call *call, const struct params_field *identity)
{
        struct quota_list list = {.identity = identity};
        msgpack_packer pk;
        int r;

        pack_array_init(&list.rows);
        msgpack_packer_init(&pk, &call->result, msgpack_sbuffer_write);
        r = engine_foreach_account(call->engine, add_quota, &list);
        if (r >= 0 &&
            (msgpack_pack_map(&pk, 1) < 0 || pack_array_field(&pk, "quotas", &list.rows) < 0))
                r = -ENOMEM;
        pack_array_done(&list.rows);
        return r;
}

int method_quota_get(struct call *call)
{
        _cleanup_free_ struct errand *errand = NULL;
        const struct rpc_message *request = &call->request;
        struct params_field identity = {"identity", PARAMS_TEXT};
        int code, r;

        if (request->data_len > 0 &&
            params_parse_fields(request->data, request->data_len, &identity, 1, &call->error) < 0)
                return RPC_CODE_INVALID_PARAMS;
        code = deed_begin(call, ACTION_INSPECT, NULL, &errand, "see the quotas");
        if (code < 0)
                return code;
        r = pack_quotas(call, &identity);
        if (r == -EMSGSIZE) {
                call->error = "too much for one reply";
                return RPC_CODE_INTERNAL;
        }
        return r < 0 ? call_out_of_memory(call) : 0;
}

/* What cannot be told is not done. */
static int deed_can_be_told(struct call *call, const struct errand *errand)
{
        return errands_have_room(&call->rpc->errands, ERRAND_GRANTED, errand->session) ? 0
                                                                                       : busy(call);
}

static void deed_tell(struct call *call, struct errand **errand)
{
        (*errand)->kind = ERRAND_GRANTED;
        errands_post(&call->rpc->errands, TAKE_PTR(*errand));
}

int method_client_disconnect(struct call *call)
{
        _cleanup_free_ struct errand *errand = NULL;
        struct engine_client_info info;
        struct target target;
        int code = parse_target(call, 2, &target);

        if (code == 0 && !target.shown[0]) {
                call->error = "neither name nor id";
                code = RPC_CODE_INVALID_PARAMS;
        }
        if (code == 0)
                code = deed_begin(call, ACTION_DISCONNECT, &target.fields[NAME], &errand,
                                  "disconnect client %s", target.shown);
        if (code == 0)
                code = find_target(call, &target, &info);
        if (code < 0)
                return code;
        (void)snprintf(errand->client, sizeof(errand->client), "%s", info.name);
        show_name(info.name, strlen(info.name), target.shown, sizeof(target.shown));
        (void)snprintf(errand->what, sizeof(errand->what), "disconnect client %s", target.shown);
        code = call_ok(call);
        if (code == 0)
                code = deed_can_be_told(call, errand);
        if (code == 0 && engine_disconnect(call->engine, info.id) < 0)
                code = call_out_of_memory(call);
        if (code == 0)
                deed_tell(call, &errand);
        return code;
}

int method_stats_reset(struct call *call)
{
        _cleanup_free_ struct errand *errand = NULL;
        int code = deed_begin(call, ACTION_RESET_STATISTICS, NULL, &errand, "reset the statistics");

        if (code == 0)
                code = call_ok(call);
        if (code == 0)
                code = deed_can_be_told(call, errand);
        if (code < 0)
                return code;
        engine_reset_counters(call->engine);
        deed_tell(call, &errand);
        return 0;
}

/* --- The host's matters --- */

/* On to the host, which answers. */
static int ask_host(struct call *call, enum errand_kind kind, struct errand **errand)
{
        (*errand)->kind = kind;
        if (!errands_have_room(&call->rpc->errands, kind, (*errand)->session))
                return busy(call);
        errands_post(&call->rpc->errands, TAKE_PTR(*errand));
        call->later = true;
        return 0;
}

int method_reload(struct call *call)
{
        _cleanup_free_ struct errand *errand = NULL;
        int code = deed_begin(call, ACTION_RELOAD, NULL, &errand, "reload the configuration");

        return code < 0 ? code : ask_host(call, ERRAND_RELOAD, &errand);
}

int method_config_get(struct call *call)
{
        _cleanup_free_ struct errand *errand = NULL;
        int code = deed_begin(call, ACTION_INSPECT, NULL, &errand, "see the configuration");

        return code < 0 ? code : ask_host(call, ERRAND_SETTINGS, &errand);
}

int method_status(struct call *call)
{
        _cleanup_free_ struct errand *errand = NULL;
        int code = deed_begin(call, ACTION_INSPECT, NULL, &errand, "see the status");

        return code < 0 ? code : ask_host(call, ERRAND_STATUS, &errand);
}

int method_log_level(struct call *call)
{
        _cleanup_free_ struct errand *errand = NULL;
        const struct rpc_message *request = &call->request;
        struct params_field level = {"level", PARAMS_TEXT};
        int code = 0;

        if (request->data_len > 0 &&
            params_parse_fields(request->data, request->data_len, &level, 1, &call->error) < 0)
                return RPC_CODE_INVALID_PARAMS;
        if (level.given && (level.len == 0 || level.len >= ERRAND_LEVEL_MAX)) {
                call->error = ERROR_LOG_LEVEL;
                return RPC_CODE_INVALID_PARAMS;
        }
        if (level.given)
                code = deed_begin(call, ACTION_SET_LOG_LEVEL, NULL, &errand,
                                  "set the log level to %.*s", (int)level.len, level.text);
        else
                code = deed_begin(call, ACTION_INSPECT, NULL, &errand, "see the log level");
        if (code < 0)
                return code;
        (void)snprintf(errand->level, sizeof(errand->level), "%.*s", (int)level.len,
                       level.given ? level.text : "");
        return ask_host(call, ERRAND_LOG_LEVEL, &errand);
}
