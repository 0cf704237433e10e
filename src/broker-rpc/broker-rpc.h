/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The methods of `.broker` (docs/protocol.md, 6): test, info, stats, client.list, benchmark.test.
 * Parameters and results are MessagePack maps. It answers on the worker that handles the caller;
 * what it costs is bounded (one step budget for a whole client.list filter).
 */
#pragma once

#include "engine/engine.h"

struct broker_rpc;

int broker_rpc_new(struct broker_rpc **ret);
/* After the engine that it served. Returns NULL. */
struct broker_rpc *broker_rpc_free(struct broker_rpc *rpc);

/* Becomes the engine's service. */
void broker_rpc_attach(struct broker_rpc *rpc, struct engine *engine);
