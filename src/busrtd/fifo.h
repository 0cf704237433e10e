/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A named pipe that scripts write lines to: read as soon as something is there, a bounded number of
 * lines at a time, and no faster than the worker takes them.
 */
#pragma once

#include <bsd/sys/queue.h>
#include <systemd/sd-event.h>

#include "busrtd/own-file.h"
#include "busrtd/report.h"
#include "engine/engine.h"

struct fifo;
LIST_HEAD(fifo_list, fifo);

/* What it works with; must outlive it. */
struct fifo_context {
        sd_event *loop;
        struct engine *engine;
        struct report *report;
        const struct engine_config *limits;
};

/* Takes the fd over (on failure too), and on success the file where there is one of ours. */
int fifo_new(const struct fifo_context *context, struct fifo_list *list, int fd, const char *path,
             struct own_file *own, struct fifo **ret);
/* Removes the file. Returns NULL. */
struct fifo *fifo_free(struct fifo *fifo);
