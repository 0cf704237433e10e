/* SPDX-License-Identifier: Apache-2.0 */
/* The broker as a process: engine, listeners, log and signals on one event loop, from start to
 * stop. */
#pragma once

#include "busrtd/options.h"
#include "busrtd/sockets.h"

#define EXIT_USAGE 2 /* what the operator asked for cannot be */

/* ready_fd: of background_start(), or -1; taken over. Returns the exit status; what keeps it from
 * starting is told on stderr in one line. */
int daemon_run(const struct options *options, const struct passed_sockets *passed, int ready_fd);
