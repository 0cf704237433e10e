/* SPDX-License-Identifier: Apache-2.0 */
/* The result of client.list: every primary client that the filter lets through, by name, as
 * MessagePack. */
#pragma once

#include <msgpack.h>

#include "broker-rpc/filter.h"
#include "engine/engine.h"

/* filter may be NULL. Writes to an empty buffer, which stays the caller's on failure, too. 0,
 * -ENOMEM, or -E2BIG from the filter. */
int client_list_pack(struct engine *engine, struct filter *filter, msgpack_sbuffer *ret);
