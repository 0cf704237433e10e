/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "basic/macro.h"
#include "basic/utf8.h"
#include "busrtctl/output.h"
#include "busrtctl/reply.h"
#include "busrtctl/value.h"

#define ERROR_TEXT_SHOWN 4096

/* The broker's result 0x71 is -32113 in an error reply (docs/protocol.md, 5). */
#define BUS_CODE(result) (-32000 - (result))

const char *rpc_code_name(int code)
{
        static const struct {
                int code;
                const char *name;
        } names[] = {
                {BUSRT_RPC_PARSE, "parse error"},
                {BUSRT_RPC_INVALID_REQUEST, "invalid request"},
                {BUSRT_RPC_METHOD_NOT_FOUND, "method not found"},
                {BUSRT_RPC_INVALID_PARAMS, "invalid parameters"},
                {BUSRT_RPC_INTERNAL, "internal error"},
                {BUSRT_RPC_NOT_FOUND, "not found"},
                {BUS_CODE(0x71), "bus: not registered"},
                {BUS_CODE(0x72), "bus: bad data"},
                {BUS_CODE(0x73), "bus: input/output error"},
                {BUS_CODE(0x74), "bus: other error"},
                {BUS_CODE(0x75), "bus: not supported"},
                {BUS_CODE(0x76), "bus: busy"},
                {BUS_CODE(0x77), "bus: not delivered"},
                {BUS_CODE(0x78), "bus: timeout"},
                {BUS_CODE(0x79), "bus: access denied"},
        };

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (names[i].code == code)
                        return names[i].name;
        return NULL;
}

/* --- Payloads --- */

static void add_other(struct text *out, const struct settings *settings, const void *data,
                      size_t len)
{
        if (!settings->json && text_is_readable(data, len)) {
                text_add_visible(out, data, len);
                text_adds(out, "\n");
        } else if (!settings->json) {
                text_addf(out, "%s%zu bytes%s\n", ansi(settings, ANSI_DIM), len,
                          ansi(settings, ANSI_RESET));
                text_add_hex(out, data, len, "    ");
        } else if (utf8_is_valid(data, len) && !memchr(data, 0, len)) {
                text_add_json(out, data, len);
                text_adds(out, "\n");
        } else {
                text_adds(out, "{\"$base64\":\"");
                text_add_base64(out, data, len);
                text_adds(out, "\"}\n");
        }
}

void add_payload(struct text *out, const struct settings *settings, const void *data, size_t len,
                 bool pretty)
{
        struct value_style style = {.pretty = pretty, .color = settings->color};

        if (len == 0)
                text_adds(out, settings->json ? "null\n" : "");
        else if (value_to_json(out, &style, data, len) >= 0)
                text_adds(out, "\n");
        else
                add_other(out, settings, data, len);
}

int print_payload(const struct settings *settings, const void *data, size_t len)
{
        _cleanup_(text_done) struct text out = {0};

        add_payload(&out, settings, data, len, isatty(STDOUT_FILENO));
        return print_text(&out);
}

/* --- Calling --- */

/* By convention an error's data is a text; some services send MessagePack. */
static void add_error_data(struct text *out, const struct busrt_rpc_error *error)
{
        size_t len = MIN(error->len, (size_t)ERROR_TEXT_SHOWN);
        struct value_style style = {0};

        if (error->len == 0)
                return;
        text_adds(out, ": ");
        if (text_is_readable(error->data, error->len) ||
            value_to_json(out, &style, error->data, error->len) < 0)
                text_add_visible(out, error->data, len);
}

static int fail_reply(const char *target, const char *method, const busrt_rpc_error *error)
{
        const char *name = rpc_code_name(error->code);
        _cleanup_(text_done) struct text out = {0};

        text_adds(&out, "busrtctl: ");
        text_add_visible(&out, target, strlen(target));
        text_adds(&out, " ");
        text_add_visible(&out, method, strlen(method));
        text_addf(&out, ": error %d%s%s%s", error->code, name ? " (" : "", name ? name : "",
                  name ? ")" : "");
        add_error_data(&out, error);
        text_adds(&out, "\n");
        (void)fwrite(out.data, 1, out.len, stderr);
        return EXIT_FAILURE;
}

struct pending_call {
        bool done;
        int result;
        busrt_rpc_error *error;
        busrt_frame *reply;
};

static void on_reply(busrt_client *client, int result, const busrt_rpc_error *error,
                     busrt_frame *reply, void *userdata)
{
        struct pending_call *call = userdata;

        call->done = true;
        call->result = result;
        call->reply = busrt_frame_ref(reply);
        if (!error)
                return;
        call->error->code = error->code;
        call->error->data = error->data ? malloc(error->len + 1) : NULL;
        if (call->error->data) {
                memcpy(call->error->data, error->data, error->len + 1);
                call->error->len = error->len;
        }
}

int call_quietly(busrt_client *client, const char *target, const char *method,
                 const struct text *params, unsigned qos, busrt_rpc_error *error, busrt_frame **ret)
{
        struct iovec iov = {params ? params->data : NULL, params ? params->len : 0};
        struct pending_call call = {.error = error};
        busrt_call *handle = NULL;
        int r = busrt_client_call_async(client, target, method, &iov, iov.iov_len > 0, qos,
                                        BUSRT_TIMEOUT_DEFAULT, on_reply, &call, &handle);

        if (r < 0)
                return r;
        r = process_until(client, UINT64_MAX, &call.done);
        if (!call.done)
                (void)busrt_call_cancel(handle);
        busrt_call_unref(handle);
        /* What came before the connection ended counts. */
        r = call.done ? call.result : r;
        if (r >= 0)
                *ret = call.reply;
        return r;
}

int call_method(busrt_client *client, const char *target, const char *method,
                const struct text *params, unsigned qos, busrt_frame **ret)
{
        _cleanup_(busrt_rpc_error_done) busrt_rpc_error error = BUSRT_RPC_ERROR_INIT;
        int r = call_quietly(client, target, method, params, qos, &error, ret);

        if (r >= 0)
                return 0;
        if (r == -EINTR)
                return -EXIT_FAILURE;
        if (r == -EREMOTEIO)
                (void)fail_reply(target, method, &error);
        else if (r == -ETIMEDOUT)
                (void)fail(0, "%s %s: no answer in time (busrtctl -t TIME waits longer)", target,
                           method);
        else
                (void)fail(r, "%s %s", target, method);
        return -EXIT_FAILURE;
}

int call_broker(const struct settings *settings, const char *method, const struct text *params,
                busrt_frame **ret)
{
        _cleanup_(busrt_client_freep) busrt_client *client = NULL;

        if (connect_broker(settings, &client) < 0)
                return -EXIT_FAILURE;
        return call_method(client, ".broker", method, params, 0, ret);
}

int unpack_reply(const busrt_frame *reply, msgpack_unpacked *ret)
{
        size_t len;
        const void *data = busrt_frame_get_payload(reply, &len);

        return value_is_whole(data, len) ? busrt_unpack(data, len, ret) : -EBADMSG;
}
