/* SPDX-License-Identifier: Apache-2.0 */
/* Cursors of the library, given out and taken: customers with an id and a name. */
#pragma once

#include <busrt/client.h>

#include "line.h"

/* The methods of a server of cursors: cursor.open, with two numbers of four bytes as params, how
 * many customers and how many microseconds a cursor lives; and those that serve it. Besides, those
 * of the server in the reference's example: Ccustomers, N and NB. */
int cursors_serve(busrt_client *client);
/* Carries out an order: opens a cursor, and takes all that it gives, one by one or so many at a
 * time. */
json_object *cursor_take(json_object *order);
