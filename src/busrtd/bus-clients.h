/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists of all clients, for calls that anybody may make. Whoever asks without end takes no more
 * than a tenth of the worker's time: after a visit there is a pause ten times as long, and the
 * calls that come in it are answered from the next visit, all from one.
 */
#pragma once

#include <bsd/sys/queue.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "busrtd/client-snapshot.h"

STAILQ_HEAD(bus_clients_calls, bus_clients_call);

struct bus_clients {
        struct engine *engine;
        void *userdata; /* of handlers */
        sd_event_source *timer;
        bool pausing;
        uint64_t pause_until;
        struct client_snapshot last;        /* while pausing, or while calls are answered from it */
        struct bus_clients_calls serving;   /* answered from last */
        struct bus_clients_calls waiting;   /* for the next visit */
        const struct bus_clients_call *now; /* whose handler runs */
        size_t n_calls;
};

int bus_clients_init(struct bus_clients *c, sd_event *loop, struct engine *engine, void *userdata);
void bus_clients_done(struct bus_clients *c);
/* The connection is lost: nobody waits any more. */
void bus_clients_forget_calls(struct bus_clients *c);

/* 1: *ret is there until the handler returns. 0: handler is called again with m, and its errors are
 * replied. -errno, and error is set. */
int bus_clients_take(struct bus_clients *c, sd_bus_message *m, sd_bus_message_handler_t handler,
                     const struct client_snapshot **ret, sd_bus_error *error);
/* At once; it may be as old as the pause. 0 or -errno. */
int bus_clients_peek(struct bus_clients *c, const struct client_snapshot **ret);
