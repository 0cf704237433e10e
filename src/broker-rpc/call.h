/* SPDX-License-Identifier: Apache-2.0 */
/* One call that is being answered on the worker, and what its method says: a result in a buffer, or
 * a code and a text. */
#pragma once

#include <msgpack.h>

#include "broker-rpc/broker-rpc.h"
#include "broker-rpc/errand.h"
#include "wire/rpc.h"

#define ERROR_LOG_LEVEL "the level is none of err, warning, notice, info, debug"

struct broker_rpc {
        struct engine_service service;
        struct engine *engine;
        bool has_host;
        struct broker_rpc_host host;
        uid_t own_uid; /* who is let do what root is */
        struct errands errands;
};

struct call {
        struct broker_rpc *rpc;
        struct engine *engine;
        struct session *from;
        bool realtime;
        struct rpc_message request;
        msgpack_sbuffer result;
        const char *error;               /* may be NULL */
        char text[ERRAND_NAME_MAX + 64]; /* for errors that are no static text */
        bool later;                      /* it is answered by the host */
};

typedef int (*method_fn)(struct call *call); /* 0 or enum rpc_code */

bool call_is_of(const struct rpc_message *request, const char *method);
/* The result {ok: true}. */
int call_ok(struct call *call);
int call_out_of_memory(struct call *call);

/* admin.c */
/* 0; or the caller may not, which is told in the log. */
int call_check_admin(struct call *call, const char *action, const char *what);
int method_client_get(struct call *call);
int method_client_disconnect(struct call *call);
int method_reload(struct call *call);
int method_config_get(struct call *call);
int method_status(struct call *call);
int method_log_level(struct call *call);
int method_stats_reset(struct call *call);
int method_quota_get(struct call *call);
