/* SPDX-License-Identifier: Apache-2.0 */
/* An administrator's calls of `.broker`: what the worker leaves for the main thread is done here by
 * control.h, and told in the log. */
#pragma once

#include "broker-rpc/broker-rpc.h"
#include "busrtd/control.h"

/* Before the engine starts. control must be filled in when the loop runs, and outlive rpc. The
 * source is the caller's. */
int control_rpc_attach(struct control *control, sd_event *loop, struct broker_rpc *rpc,
                       sd_event_source **ret);
