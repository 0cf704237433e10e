/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connections that the driver holds, each under its handle. Each has a thread that runs it and
 * tells what arrives; orders are carried out by blocking calls of the main thread meanwhile.
 */
#pragma once

#include <busrt/client.h>

#include "line.h"

/* The connection of an order, under "h" or another key. The driver names no unknown one. */
busrt_client *connection_client(json_object *order, const char *key);

/* These carry out orders, and return the answer. */
json_object *connection_open(json_object *order);
json_object *connection_open_secondary(json_object *order);
json_object *connection_reopen(json_object *order);
json_object *connection_close(json_object *order);

void connections_close(void);
