/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The line that `systemctl status` shows: "Serving 12 clients on 2 listeners". It is told when it
 * has changed, and at most every few seconds; without a service manager nothing is done.
 */
#pragma once

#include <systemd/sd-event.h>

#include "busrtd/notify.h"
#include "engine/engine.h"

struct status_line;

int status_line_new(sd_event *loop, struct engine *engine, struct notify *notify,
                    size_t n_listeners, struct status_line **ret);
struct status_line *status_line_free(struct status_line *line);

/* Tells the first one, and that the service is ready. */
void status_line_ready(struct status_line *line);
/* A client has come or gone. */
void status_line_touch(struct status_line *line);
/* Another text instead, at once; NULL: no more. */
void status_line_override(struct status_line *line, const char *text);
