/* SPDX-License-Identifier: Apache-2.0 */
/* The host's side: what the worker left for it is done on its thread, and answered from there. */
#include "basic/macro.h"
#include "broker-rpc/call.h"
#include "broker-rpc/pack.h"
#include "wire/frame.h"

#define ERRANDS_PER_TURN 16
#define ERROR_MAX 512

int broker_rpc_fd(const struct broker_rpc *rpc)
{
        return rpc->errands.fd;
}

/* --- Replies --- */

static int reply_result(struct broker_rpc *rpc, const struct errand *e,
                        const msgpack_sbuffer *result)
{
        uint8_t head[RPC_REPLY_HEADER_SIZE];

        rpc_reply_encode(head, e->id);
        return engine_reply_later(rpc->engine, e->session, head, sizeof(head), result->data,
                                  result->size, e->realtime);
}

static void reply_error(struct broker_rpc *rpc, const struct errand *e, int code, const char *text)
{
        uint8_t head[RPC_ERROR_HEADER_SIZE];

        if (e->id == 0)
                return;
        rpc_error_encode(head, e->id, (int16_t)code);
        (void)engine_reply_later(rpc->engine, e->session, head, sizeof(head), text, strlen(text),
                                 e->realtime);
}

/* pack: writes the result; < 0: no memory. */
static void reply_packed(struct broker_rpc *rpc, const struct errand *e,
                         int (*pack)(struct broker_rpc *rpc, msgpack_sbuffer *result))
{
        msgpack_sbuffer result;
        int r;

        if (e->id == 0)
                return;
        msgpack_sbuffer_init(&result);
        r = pack(rpc, &result);
        r = r < 0 ? r : reply_result(rpc, e, &result);
        if (r < 0)
                reply_error(rpc, e, RPC_CODE_INTERNAL, "out of memory");
        msgpack_sbuffer_destroy(&result);
}

/* --- The log --- */

static struct broker_rpc_deed deed_of(const struct errand *e)
{
        return (struct broker_rpc_deed){.action = e->action,
                                        .what = e->what,
                                        .client = e->client,
                                        .sender = e->sender,
                                        .source = e->source,
                                        .has_uid = e->has_uid,
                                        .uid = e->uid,
                                        .pid = e->pid};
}

static void tell_denied(struct broker_rpc *rpc, const struct errand *e)
{
        struct broker_rpc_deed deed = deed_of(e);

        rpc->host.denied(&deed,
                         e->has_uid ? "it is neither root nor the broker's own user"
                                    : "it did not come by a UNIX socket",
                         rpc->host.userdata);
}

static void tell_granted(struct broker_rpc *rpc, const struct errand *e)
{
        struct broker_rpc_deed deed = deed_of(e);

        rpc->host.granted(&deed, rpc->host.userdata);
}

/* --- What is asked --- */

static int pack_ok_result(struct broker_rpc *rpc, msgpack_sbuffer *result)
{
        return pack_ok(result);
}

static void run_reload(struct broker_rpc *rpc, const struct errand *e)
{
        char error[ERROR_MAX] = "";

        if (rpc->host.reload(error, sizeof(error), rpc->host.userdata) < 0) {
                reply_error(rpc, e, RPC_CODE_BUS(WIRE_OTHER), error);
                return;
        }
        tell_granted(rpc, e);
        reply_packed(rpc, e, pack_ok_result);
}

static int pack_log_level(struct broker_rpc *rpc, msgpack_sbuffer *result)
{
        struct broker_rpc_about about;
        msgpack_packer pk;
        int r;

        rpc->host.about(&about, rpc->host.userdata);
        msgpack_packer_init(&pk, result, msgpack_sbuffer_write);
        r = msgpack_pack_map(&pk, 1);
        return r < 0 ? r : pack_text_field(&pk, "level", about.log_level);
}

static void run_log_level(struct broker_rpc *rpc, const struct errand *e)
{
        if (e->level[0]) {
                if (rpc->host.set_log_level(e->level, rpc->host.userdata) < 0) {
                        reply_error(rpc, e, RPC_CODE_INVALID_PARAMS, ERROR_LOG_LEVEL);
                        return;
                }
                tell_granted(rpc, e);
        }
        reply_packed(rpc, e, pack_log_level);
}

/* --- Settings and status --- */

static int add_setting(const struct broker_rpc_setting *s, void *userdata)
{
        struct pack_array *array = userdata;
        msgpack_packer *pk = &array->packer;
        int r = msgpack_pack_map(pk, 4);

        r = r < 0 ? r : pack_text_field(pk, "key", s->key);
        r = r < 0 ? r : pack_text_field(pk, "value", s->value);
        r = r < 0 ? r : pack_text_field(pk, "file", s->file);
        r = r < 0 ? r : pack_number_field(pk, "line", s->line);
        array->n++;
        return r;
}

static int add_limit(const struct broker_rpc_setting *s, void *userdata)
{
        struct pack_array *array = userdata;
        msgpack_packer *pk = &array->packer;
        int r = msgpack_pack_map(pk, 2);

        r = r < 0 ? r : pack_text_field(pk, "key", s->key);
        r = r < 0 ? r : pack_text_field(pk, "value", s->value);
        array->n++;
        return r;
}

static int add_listener(enum transport_kind kind, const char *address, bool inherited,
                        void *userdata)
{
        static const char *const kinds[] = {[TRANSPORT_INTERNAL] = "internal",
                                            [TRANSPORT_UNIX] = "unix",
                                            [TRANSPORT_TCP] = "tcp",
                                            [TRANSPORT_FIFO] = "fifo"};
        struct pack_array *array = userdata;
        msgpack_packer *pk = &array->packer;
        int r = msgpack_pack_map(pk, 3);

        r = r < 0 ? r : pack_text_field(pk, "kind", kinds[kind]);
        r = r < 0 ? r : pack_text_field(pk, "address", address);
        r = r < 0 ? r : pack_flag_field(pk, "inherited", inherited);
        array->n++;
        return r;
}

static int pack_settings(struct broker_rpc *rpc, msgpack_sbuffer *result)
{
        _cleanup_(pack_array_done) struct pack_array array;
        msgpack_packer pk;
        int r;

        pack_array_init(&array);
        msgpack_packer_init(&pk, result, msgpack_sbuffer_write);
        r = rpc->host.foreach_setting(add_setting, &array, false, rpc->host.userdata);
        r = r < 0 ? r : msgpack_pack_map(&pk, 1);
        return r < 0 ? r : pack_array_field(&pk, "settings", &array);
}

static int pack_counters(struct broker_rpc *rpc, msgpack_packer *pk)
{
        struct engine_counters c;
        int r;

        engine_get_counters(rpc->engine, &c);
        r = pack_number_field(pk, "r_frames", c.r_frames);
        r = r < 0 ? r : pack_number_field(pk, "r_bytes", c.r_bytes);
        r = r < 0 ? r : pack_number_field(pk, "w_frames", c.w_frames);
        r = r < 0 ? r : pack_number_field(pk, "w_bytes", c.w_bytes);
        r = r < 0 ? r : pack_number_field(pk, "dropped", c.dropped);
        r = r < 0 ? r : pack_number_field(pk, "struck", c.struck);
        r = r < 0 ? r : pack_number_field(pk, "refused", c.refused);
        r = r < 0 ? r : pack_number_field(pk, "denied", c.denied);
        r = r < 0 ? r : pack_number_field(pk, "bad_frames", c.bad);
        r = r < 0 ? r : pack_number_field(pk, "connections", c.sessions);
        r = r < 0 ? r : pack_number_field(pk, "clients", c.clients);
        return r < 0 ? r : pack_number_field(pk, "held", c.held);
}

static int pack_status_lists(struct broker_rpc *rpc, msgpack_packer *pk)
{
        _cleanup_(pack_array_done) struct pack_array array;
        int r;

        pack_array_init(&array);
        r = rpc->host.foreach_listener(add_listener, &array, rpc->host.userdata);
        r = r < 0 ? r : pack_array_field(pk, "listeners", &array);
        r = r < 0 ? r : rpc->host.foreach_setting(add_limit, &array, true, rpc->host.userdata);
        return r < 0 ? r : pack_array_field(pk, "limits", &array);
}

static int pack_status(struct broker_rpc *rpc, msgpack_sbuffer *result)
{
        struct broker_rpc_about about;
        msgpack_packer pk;
        int r;

        rpc->host.about(&about, rpc->host.userdata);
        msgpack_packer_init(&pk, result, msgpack_sbuffer_write);
        r = msgpack_pack_map(&pk, 21);
        r = r < 0 ? r : pack_text_field(&pk, "version", BUSRT_VERSION);
        r = r < 0 ? r : pack_number_field(&pk, "pid", (uint64_t)getpid());
        r = r < 0 ? r : pack_number_field(&pk, "started", about.started_at);
        r = r < 0 ? r : pack_number_field(&pk, "uptime", engine_uptime(rpc->engine));
        r = r < 0 ? r : pack_counters(rpc, &pk);
        r = r < 0 ? r : pack_number_field(&pk, "max_files", about.max_files);
        r = r < 0 ? r : pack_text_field(&pk, "log_level", about.log_level);
        r = r < 0 ? r : pack_number_field(&pk, "access_rules", about.n_access_rules);
        return r < 0 ? r : pack_status_lists(rpc, &pk);
}

/* --- Errands --- */

static void run(struct broker_rpc *rpc, const struct errand *e)
{
        switch (e->kind) {
        case ERRAND_RELOAD:
                run_reload(rpc, e);
                break;
        case ERRAND_SETTINGS:
                reply_packed(rpc, e, pack_settings);
                break;
        case ERRAND_STATUS:
                reply_packed(rpc, e, pack_status);
                break;
        case ERRAND_LOG_LEVEL:
                run_log_level(rpc, e);
                break;
        case ERRAND_DENIED:
                tell_denied(rpc, e);
                break;
        case ERRAND_GRANTED:
                tell_granted(rpc, e);
                break;
        }
}

static struct errand *take(struct broker_rpc *rpc)
{
        bool missed;
        struct errand *e = errands_take(&rpc->errands, &missed);

        if (missed)
                rpc->host.missed(rpc->host.userdata);
        return e;
}

void broker_rpc_process(struct broker_rpc *rpc)
{
        struct errand *e;

        for (unsigned i = 0; i < ERRANDS_PER_TURN && (e = take(rpc)); i++) {
                run(rpc, e);
                free(e);
        }
}

void broker_rpc_finish(struct broker_rpc *rpc)
{
        struct errand *e;

        while ((e = take(rpc))) {
                if (errand_is_record(e->kind))
                        run(rpc, e);
                free(e);
        }
}
