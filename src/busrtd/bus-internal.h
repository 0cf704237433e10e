/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the D-Bus face share. */
#pragma once

#include <systemd/sd-bus.h>

#include "basic/clock.h"
#include "basic/macro.h"
#include "busrtd/bus-clients.h"
#include "busrtd/bus-signals.h"
#include "busrtd/bus.h"
#include "busrtd/client-snapshot.h"
#include "busrtd/polkit.h"

#define BUS_PATH "/org/busrt1"
#define BUS_CLIENT_PATH "/org/busrt1/client"
#define BUS_MANAGER "org.busrt1.Manager"
#define BUS_CLIENT "org.busrt1.Client"
#define BUS_LOG_PATH "/org/freedesktop/LogControl1"
#define BUS_LOG_CONTROL "org.freedesktop.LogControl1"

#define BUS_ERROR_NO_SUCH_CLIENT "org.busrt1.Error.NoSuchClient"
#define BUS_ERROR_RELOAD_FAILED "org.busrt1.Error.ReloadFailed"
#define BUS_ERROR_NOT_SUBSCRIBED "org.busrt1.Error.NotSubscribed"

/* Whoever wants to be accepted by the broker goes first. */
#define BUS_PRIORITY (SD_EVENT_PRIORITY_NORMAL + 10)

/* How long the main thread waits for the worker. */
#define BUS_CLIENT_TIMEOUT (100 * NSEC_PER_MSEC)
#define BUS_LIST_TIMEOUT NSEC_PER_SEC

struct bus {
        struct control *control;
        enum dbus_mode mode; /* the system's or the user's */
        const char *name;
        char *address;
        sd_bus *connection; /* NULL between two attempts */
        sd_event_source *timer;
        uint64_t patience; /* with an attempt, and before the next; ns */
        enum {
                BUS_STARTING, /* nothing is told yet */
                BUS_MISSING,
                BUS_TAKEN,
                BUS_LOST,
        } state;
        struct polkit *polkit;
        struct bus_signals signals;
        struct bus_clients clients;
        struct engine_config shown; /* limits as the bus knows them */
        uint64_t n_access_rules_shown;
        struct client_snapshot found; /* the client whose properties are being read */
};

/* Each adds its objects to a connection. 0 or -errno. */
int bus_manager_add(struct bus *b);
int bus_client_add(struct bus *b);
int bus_log_control_add(struct bus *b);

/* The limits in force are what the bus knows. */
void bus_manager_note_limits(struct bus *b);
/* New limits are in force. */
void bus_manager_tell_limits(struct bus *b);

/* Whether so much waits to be sent that no large thing may be added. */
bool bus_is_congested(sd_bus *connection);
/* -LimitsExceeded, where it is. */
int bus_check_congestion(sd_bus_message *m, sd_bus_error *error);

/* What client_snapshot_take_*() came to, but -ENOENT, as an error. Returns a negative number. */
int bus_fail(int r, sd_bus_error *error);
int bus_fail_no_client(const char *name, sd_bus_error *error);

#define BUS_NAME_SIZE 1025 /* of a client's name, with its NUL */
/* Asks polkit, and ends the client; what a method that found the client does then. */
int bus_disconnect_client(struct bus *b, sd_bus_message *m, const struct engine_client_info *info,
                          sd_bus_message_handler_t handler, sd_bus_error *error);
/* May the sender see what is nobody's business but the client's user? As polkit_check(). info NULL:
 * it is about all clients. what completes "may not ...". */
int bus_check_inspect(struct bus *b, sd_bus_message *m, const struct engine_client_info *info,
                      const char *what, sd_bus_message_handler_t handler, sd_bus_error *error);

/* "/org/busrt1/client/_5" */
#define BUS_CLIENT_PATH_MAX 64
const char *bus_client_path(uint64_t id, char out[BUS_CLIENT_PATH_MAX]);
/* Exactly as it is written there; false: it is no client's. */
bool bus_client_path_parse(const char *path, uint64_t *ret_id);

/* --- Methods, bus-lists.c --- */

int bus_list_clients(sd_bus_message *m, void *userdata, sd_bus_error *error);
int bus_list_subscriptions(sd_bus_message *m, void *userdata, sd_bus_error *error);
int bus_list_addresses(sd_bus_message *m, void *userdata, sd_bus_error *error);
int bus_find_clients_by_user(sd_bus_message *m, void *userdata, sd_bus_error *error);
int bus_get_config(sd_bus_message *m, void *userdata, sd_bus_error *error);
int bus_list_quotas(sd_bus_message *m, void *userdata, sd_bus_error *error);
