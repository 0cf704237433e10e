/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of org.busrt1 on D-Bus, and what is to be said when they fail. */
#pragma once

#include "busrtctl/admin-way.h"

#define BUS_MANAGER_PATH "/org/busrt1"
#define BUS_MANAGER "org.busrt1.Manager"
#define BUS_CLIENT "org.busrt1.Client"
#define BUS_PROPERTIES "org.freedesktop.DBus.Properties"
#define BUS_LOG_PATH "/org/freedesktop/LogControl1"
#define BUS_LOG "org.freedesktop.LogControl1"

/* Connects, where somebody has the name. 0; or -errno and why, to be freed (NULL: no memory). Says
 * nothing. */
int bus_open(struct admin *admin, char **ret_why);

struct bus_method {
        const char *path, *interface, *method;
        const char *action;      /* what polkit is asked for; NULL: nothing */
        const char *client;      /* whom it is about; NULL: nobody */
        const char *destination; /* NULL: the broker */
        bool silent;             /* a failure is not told, and no password is asked for */
};

/* Calls, with arguments as sd_bus_message_append() takes them. 0 and the reply, which is the
 * caller's; or -EXIT_FAILURE after saying what went wrong (nothing when interrupted()); of a
 * silent one -errno: -EACCES denied, -EIO any other error's answer. */
int bus_call(struct admin *admin, const struct bus_method *method, sd_bus_message **ret,
             const char *types, ...);

/* Until the time (microseconds, monotonic) has come, or *done is true; done may be NULL. 0; -EINTR
 * when interrupted(), or the connection's error. */
int bus_process_until(sd_bus *bus, uint64_t end, const bool *done);
/* The connection to D-Bus failed with r. Returns -EXIT_FAILURE, silent when interrupted(). */
int bus_fail_connection(const struct admin *admin, int r);

/* --- admin-bus-watch.c --- */

/* admin_watch() by D-Bus. */
int bus_watch(struct admin *admin, admin_event_handler fn, void *userdata);
