/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the bus tells those who have subscribed: who came and went, and what went wrong, collected
 * for 100 ms at a time. More than that holds, or than the D-Bus daemon takes, becomes one Resync.
 */
#pragma once

#include <bsd/sys/queue.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "engine/engine.h"

#define BUS_SIGNALS_CHANGES_MAX 1000 /* in one tick */
#define BUS_SIGNALS_EVENTS_MAX 100

struct bus_signals_change {
        bool added; /* or removed */
        uint64_t id;
        char name[128];
};

struct bus_signals_event {
        uint64_t usec;
        const char *what;
        uint64_t id;
        char name[128];
        char detail[160];
};

struct bus_signals {
        sd_event *loop;
        sd_bus *connection;
        LIST_HEAD(bus_subscriber_list, bus_subscriber) subscribers;
        size_t n_subscribers;
        struct bus_signals_tick *tick; /* NULL while nobody is subscribed */
};

void bus_signals_init(struct bus_signals *s, sd_event *loop);
/* connection NULL: it is lost, and with it all who were subscribed. */
void bus_signals_set_connection(struct bus_signals *s, sd_bus *connection);
void bus_signals_done(struct bus_signals *s);

/* The sender of m; m is answered when it is known who that is. 0 or -errno; -EDQUOT: there are too
 * many. */
int bus_signals_subscribe(struct bus_signals *s, sd_bus_message *m);
/* -ENOENT: it was not. */
int bus_signals_unsubscribe(struct bus_signals *s, const char *name);

void bus_signals_tell(struct bus_signals *s, const struct engine_event *event);
