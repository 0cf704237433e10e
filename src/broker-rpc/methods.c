/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which call is answered by which method. A method writes its result to a buffer and returns 0, or
 * says what is wrong by a code and a text; the reply is queued in one place. Those for
 * administrators are in admin.c.
 */
#include "basic/clock.h"
#include "basic/macro.h"
#include "basic/utf8.h"
#include "broker-rpc/call.h"
#include "broker-rpc/client-list.h"
#include "broker-rpc/fault.h"
#include "broker-rpc/pack.h"
#include "broker-rpc/params.h"

#define AUTHOR "the busrt authors"

int call_out_of_memory(struct call *call)
{
        call->error = "out of memory";
        return RPC_CODE_INTERNAL;
}

/* What memory or the filter says, as a code. */
static int fail(struct call *call, int r, const char *text)
{
        call->error = text;
        switch (r) {
        case -ENOMEM:
                return call_out_of_memory(call);
        case -E2BIG:
                call->error = "filter too expensive";
                return RPC_CODE_PARSE;
        default:
                return RPC_CODE_PARSE;
        }
}

int call_ok(struct call *call)
{
        return pack_ok(&call->result) < 0 ? call_out_of_memory(call) : 0;
}

static int method_test(struct call *call)
{
        return call_ok(call);
}

static int method_info(struct call *call)
{
        msgpack_packer pk;
        int r;

        msgpack_packer_init(&pk, &call->result, msgpack_sbuffer_write);
        r = msgpack_pack_map(&pk, 2);
        r = r < 0 ? r : pack_text_field(&pk, "author", AUTHOR);
        r = r < 0 ? r : pack_text_field(&pk, "version", BUSRT_VERSION);
        return r < 0 ? call_out_of_memory(call) : 0;
}

static int method_stats(struct call *call)
{
        struct engine_counters counters;
        msgpack_packer pk;
        int r;

        engine_get_counters(call->engine, &counters);
        msgpack_packer_init(&pk, &call->result, msgpack_sbuffer_write);
        r = msgpack_pack_map(&pk, 5);
        r = r < 0 ? r
                  : pack_number_field(&pk, "uptime", engine_uptime(call->engine) / NSEC_PER_SEC);
        r = r < 0 ? r : pack_number_field(&pk, "r_frames", counters.r_frames);
        r = r < 0 ? r : pack_number_field(&pk, "r_bytes", counters.r_bytes);
        r = r < 0 ? r : pack_number_field(&pk, "w_frames", counters.w_frames);
        r = r < 0 ? r : pack_number_field(&pk, "w_bytes", counters.w_bytes);
        return r < 0 ? call_out_of_memory(call) : 0;
}

static void filter_freep(struct filter **filter)
{
        filter_free(*filter);
}

static int method_client_list(struct call *call)
{
        _cleanup_(filter_freep) struct filter *filter = NULL;
        struct params_filter params = {0};
        int64_t steps = FILTER_STEPS;
        const char *error = NULL;
        int r = 0;

        if (call->request.data_len > 0)
                r = params_parse_filter(call->request.data, call->request.data_len, &steps, &params,
                                        &error);
        if (r >= 0 && params.text)
                r = filter_new(params.text, params.len, &steps, &filter, &error);
        if (r >= 0)
                r = client_list_pack(call->engine, filter, &call->result);
        return r < 0 ? fail(call, r, error) : 0;
}

static const struct method {
        const char *name;
        method_fn fn;
        bool takes_params;
        bool for_admin; /* there only with a host */
        bool acts;      /* it does something also where no reply is wanted */
} methods[] = {
        {"test", method_test},
        {"info", method_info},
        {"stats", method_stats},
        {"client.list", method_client_list, .takes_params = true},
        {"client.get", method_client_get, .takes_params = true, .for_admin = true},
        {"client.disconnect", method_client_disconnect, true, true, true},
        {"reload", method_reload, .for_admin = true, .acts = true},
        {"config.get", method_config_get, .for_admin = true},
        {"status", method_status, .for_admin = true},
        {"log.level", method_log_level, true, true, true},
        {"stats.reset", method_stats_reset, .for_admin = true, .acts = true},
        {"quota.get", method_quota_get, .takes_params = true, .for_admin = true},
};

bool call_is_of(const struct rpc_message *request, const char *name)
{
        return request->method_len == strlen(name) &&
               memcmp(request->method, name, request->method_len) == 0;
}

static const struct method *find_method(const struct call *call)
{
        for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
                if (call_is_of(&call->request, methods[i].name))
                        return !methods[i].for_admin || call->rpc->has_host ? &methods[i] : NULL;
        return NULL;
}

static int run(struct call *call)
{
        const struct rpc_message *request = &call->request;
        const struct method *method = find_method(call);
        method_fn fault = call->rpc->has_host ? fault_find_method(request) : NULL;

        if (fault)
                return fault(call);
        if (!utf8_is_valid(request->method, request->method_len))
                return RPC_CODE_METHOD_NOT_UTF8;
        if (!method)
                return RPC_CODE_METHOD_NOT_FOUND;
        if (request->data_len > 0 && !method->takes_params)
                return RPC_CODE_INVALID_PARAMS;
        return method->fn(call);
}

static void reply(const struct call *call, const void *body, size_t len)
{
        uint8_t head[RPC_REPLY_HEADER_SIZE];

        rpc_reply_encode(head, call->request.id);
        engine_reply(call->engine, call->from, head, sizeof(head), body, len, call->realtime);
}

static void reply_error(const struct call *call, int code)
{
        uint8_t head[RPC_ERROR_HEADER_SIZE];
        const char *text = call->error ? call->error : "";

        rpc_error_encode(head, call->request.id, (int16_t)code);
        engine_reply(call->engine, call->from, head, sizeof(head), text, strlen(text),
                     call->realtime);
}

static void answer(struct call *call)
{
        int code;

        if (call_is_of(&call->request, "benchmark.test")) {
                reply(call, call->request.data, call->request.data_len);
                return;
        }
        msgpack_sbuffer_init(&call->result);
        code = run(call);
        if (call->request.id != 0 && code < 0)
                reply_error(call, code);
        else if (call->request.id != 0 && !call->later)
                reply(call, call->result.data, call->result.size);
        msgpack_sbuffer_destroy(&call->result);
}

/* A call that wants no reply is of use only where the method changes something. */
static bool is_of_use(const struct call *call)
{
        const struct method *method;

        if (call->request.id != 0)
                return true;
        method = find_method(call);
        return method && method->acts;
}

static void on_message(struct engine *engine, struct session *from, const uint8_t *payload,
                       size_t len, bool realtime, void *userdata)
{
        struct call call = {.rpc = userdata, .engine = engine, .from = from, .realtime = realtime};

        if (rpc_decode(payload, len, &call.request) && call.request.kind == RPC_REQUEST &&
            is_of_use(&call))
                answer(&call);
}

int broker_rpc_new(struct broker_rpc **ret)
{
        struct broker_rpc *rpc = calloc(1, sizeof(*rpc));
        int r;

        if (!rpc)
                return -ENOMEM;
        rpc->service = (struct engine_service){.message = on_message, .userdata = rpc};
        rpc->own_uid = geteuid();
        r = errands_init(&rpc->errands);
        if (r < 0) {
                broker_rpc_free(rpc);
                return r;
        }
        *ret = rpc;
        return 0;
}

struct broker_rpc *broker_rpc_free(struct broker_rpc *rpc)
{
        if (!rpc)
                return NULL;
        errands_done(&rpc->errands);
        free(rpc);
        return NULL;
}

void broker_rpc_attach(struct broker_rpc *rpc, struct engine *engine)
{
        rpc->engine = engine;
        engine_set_service(engine, &rpc->service);
}

void broker_rpc_set_host(struct broker_rpc *rpc, const struct broker_rpc_host *host)
{
        rpc->host = *host;
        rpc->has_host = true;
}
