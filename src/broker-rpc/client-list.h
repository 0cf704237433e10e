/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of clients, by name, as MessagePack: the result of client.list, which has every primary
 * that the filter lets through, and that of client.get without a name. */
#pragma once

#include <msgpack.h>

#include "broker-rpc/filter.h"
#include "engine/engine.h"

/* filter may be NULL. Writes to an empty buffer, which stays the caller's on failure, too. 0,
 * -ENOMEM, or -E2BIG from the filter. */
int client_list_pack(struct engine *engine, struct filter *filter, msgpack_sbuffer *ret);
/* All that there is to see of all clients but `.broker`. 0, -ENOMEM, or -EMSGSIZE: it is too much.
 */
int client_list_pack_details(struct engine *engine, bool masks, msgpack_sbuffer *ret);
