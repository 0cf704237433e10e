/* SPDX-License-Identifier: Apache-2.0 */
/* The way of `.broker`, in two files. */
#pragma once

#include "busrtctl/admin-way.h"
#include "busrtctl/reply.h"

#define BROKER_NAME ".broker"

/* The connection failed with r. Returns -EXIT_FAILURE, silent when interrupted(). */
int rpc_fail_connection(const struct admin *admin, int r);
/* admin_watch(), in admin-rpc-watch.c. */
int rpc_watch(struct admin *admin, admin_event_handler fn, void *userdata);
