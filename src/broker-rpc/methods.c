/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which call is answered by which method. A method writes its result to a buffer and returns 0, or
 * says what is wrong by a code and a text; the reply is queued in one place.
 */
#include "basic/clock.h"
#include "basic/macro.h"
#include "basic/utf8.h"
#include "broker-rpc/broker-rpc.h"
#include "broker-rpc/client-list.h"
#include "broker-rpc/pack.h"
#include "broker-rpc/params.h"
#include "wire/rpc.h"

#define AUTHOR "the busrt authors"

struct broker_rpc {
        struct engine_service service;
};

/* One call that is being answered. */
struct call {
        struct engine *engine;
        struct session *from;
        bool realtime;
        struct rpc_message request;
        msgpack_sbuffer result;
        const char *error; /* static text, may be NULL */
};

typedef int (*method_fn)(struct call *call); /* 0 or enum rpc_code */

/* What memory or the filter says, as a code. */
static int fail(struct call *call, int r, const char *text)
{
        call->error = text;
        switch (r) {
        case -ENOMEM:
                call->error = "out of memory";
                return RPC_CODE_INTERNAL;
        case -E2BIG:
                call->error = "filter too expensive";
                return RPC_CODE_PARSE;
        default:
                return RPC_CODE_PARSE;
        }
}

static int method_test(struct call *call)
{
        msgpack_packer pk;
        int r;

        msgpack_packer_init(&pk, &call->result, msgpack_sbuffer_write);
        r = msgpack_pack_map(&pk, 1);
        r = r < 0 ? r : pack_text(&pk, "ok");
        r = r < 0 ? r : msgpack_pack_true(&pk);
        return r < 0 ? fail(call, -ENOMEM, NULL) : 0;
}

static int method_info(struct call *call)
{
        msgpack_packer pk;
        int r;

        msgpack_packer_init(&pk, &call->result, msgpack_sbuffer_write);
        r = msgpack_pack_map(&pk, 2);
        r = r < 0 ? r : pack_text_field(&pk, "author", AUTHOR);
        r = r < 0 ? r : pack_text_field(&pk, "version", BUSRT_VERSION);
        return r < 0 ? fail(call, -ENOMEM, NULL) : 0;
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
        return r < 0 ? fail(call, -ENOMEM, NULL) : 0;
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
        bool takes_params;
        method_fn fn;
} methods[] = {
        {"test", false, method_test},
        {"info", false, method_info},
        {"stats", false, method_stats},
        {"client.list", true, method_client_list},
};

static bool is_method(const struct rpc_message *request, const char *name)
{
        return request->method_len == strlen(name) &&
               memcmp(request->method, name, request->method_len) == 0;
}

static int run(struct call *call)
{
        const struct rpc_message *request = &call->request;

        if (!utf8_is_valid(request->method, request->method_len))
                return RPC_CODE_METHOD_NOT_UTF8;
        for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
                if (is_method(request, methods[i].name)) {
                        if (request->data_len > 0 && !methods[i].takes_params)
                                return RPC_CODE_INVALID_PARAMS;
                        return methods[i].fn(call);
                }
        return RPC_CODE_METHOD_NOT_FOUND;
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

        if (is_method(&call->request, "benchmark.test")) {
                reply(call, call->request.data, call->request.data_len);
                return;
        }
        msgpack_sbuffer_init(&call->result);
        code = run(call);
        if (code < 0)
                reply_error(call, code);
        else
                reply(call, call->result.data, call->result.size);
        msgpack_sbuffer_destroy(&call->result);
}

/* No method changes anything, so a call that wants no reply has nothing to do. */
static void on_message(struct engine *engine, struct session *from, const uint8_t *payload,
                       size_t len, bool realtime, void *userdata)
{
        struct call call = {.engine = engine, .from = from, .realtime = realtime};

        if (rpc_decode(payload, len, &call.request) && call.request.kind == RPC_REQUEST &&
            call.request.id != 0)
                answer(&call);
}

int broker_rpc_new(struct broker_rpc **ret)
{
        struct broker_rpc *rpc = calloc(1, sizeof(*rpc));

        if (!rpc)
                return -ENOMEM;
        rpc->service = (struct engine_service){.message = on_message, .userdata = rpc};
        *ret = rpc;
        return 0;
}

struct broker_rpc *broker_rpc_free(struct broker_rpc *rpc)
{
        free(rpc);
        return NULL;
}

void broker_rpc_attach(struct broker_rpc *rpc, struct engine *engine)
{
        engine_set_service(engine, &rpc->service);
}
