/* SPDX-License-Identifier: Apache-2.0 */
/* A client as an administrator sees it, as a MessagePack map. */
#pragma once

#include <msgpack.h>
#include <stdbool.h>

#include "engine/engine.h"

/* How large a result may become. */
#define CLIENT_DETAILS_MAX (64 << 20)

/* Behind what is in the buffer; with secondaries, subscriptions and exclusions, in no order, where
 * `masks`. *ret_name: where in the buffer its name stands. 0, -ENOMEM, or -EMSGSIZE: the buffer has
 * become too large. */
int client_details_pack(struct engine *engine, const struct engine_client_info *info, bool masks,
                        msgpack_sbuffer *buffer, size_t *ret_name);
