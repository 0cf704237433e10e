/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One listening socket: connections are accepted a bounded number at a time and handed to the
 * engine. When file descriptors or memory run out it looks away for a moment instead of spinning,
 * says so once in a while, and says when it is over.
 */
#pragma once

#include <bsd/sys/queue.h>
#include <sys/resource.h>
#include <systemd/sd-event.h>

#include "busrtd/own-file.h"
#include "busrtd/report.h"
#include "engine/engine.h"

struct listener;
LIST_HEAD(listener_list, listener);

/* What it works with; must outlive it. */
struct listener_context {
        sd_event *loop;
        struct engine *engine;
        struct report *report;
        rlim_t max_files; /* for the log */
};

/* Takes the fd over (on failure too), and on success the file where there is one of ours. name is
 * what clients see as their port. */
int listener_new(const struct listener_context *context, struct listener_list *list,
                 enum transport_kind kind, int fd, const char *name, struct own_file *own,
                 struct listener **ret);
/* Removes the file. Returns NULL. */
struct listener *listener_free(struct listener *listener);
