/* SPDX-License-Identifier: Apache-2.0 */
/* Calls, and what came back as a person or a program reads it. */
#pragma once

#include <busrt/msgpack.h>
#include <busrt/rpc.h>

#include "busrtctl/busrtctl.h"
#include "busrtctl/text.h"

/* "method not found", or NULL for a code without a name. Static. */
const char *rpc_code_name(int code);

/* Adds MessagePack as JSON (pretty: over several lines); what is none as text on one line, or as a
 * hex dump below; with --json as a string or {"$base64": ...}. Ends with a newline. */
void add_payload(struct text *out, const struct settings *settings, const void *data, size_t len,
                 bool pretty);
/* The same on standard output, pretty on a terminal. Returns the exit status. */
int print_payload(const struct settings *settings, const void *data, size_t len);

/* Calls and waits, also for an interrupt. 0 and the reply, which is the caller's; -EINTR when
 * interrupted(), or as busrt_client_call(). */
int call_quietly(busrt_client *client, const char *target, const char *method,
                 const struct text *params, unsigned qos, busrt_rpc_error *error,
                 busrt_frame **ret);
/* The same; or -EXIT_FAILURE after saying on stderr what went wrong (nothing when interrupted()).
 */
int call_method(busrt_client *client, const char *target, const char *method,
                const struct text *params, unsigned qos, busrt_frame **ret);
/* The same of the broker that settings name, connected for this one call. */
int call_broker(const struct settings *settings, const char *method, const struct text *params,
                busrt_frame **ret);

/* The value of a reply, from whatever answers there; as busrt_frame_unpack(). */
int unpack_reply(const busrt_frame *reply, msgpack_unpacked *ret);

static inline void busrt_frame_unrefp(busrt_frame **frame)
{
        busrt_frame_unref(*frame);
}
