/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of the connection. An attempt is given a time, and so is the pause before the next one;
 * both double as long as nothing comes of it. Waiting for the socket to appear (watch_bind) makes
 * it quick where the D-Bus daemon comes later than the broker. Each change is one record.
 */
#include <inttypes.h>
#include <stdio.h>

#include "busrtd/bus-address.h"
#include "busrtd/bus-internal.h"
#include "busrtd/messages.h"
#include "busrtd/text.h"

#define PATIENCE_MIN (2 * NSEC_PER_SEC)
#define PATIENCE_MAX (30 * NSEC_PER_SEC)
#define AGAIN_SOON (100 * NSEC_PER_MSEC)
#define WAITING_MESSAGES_MAX 16

/* --- What is told --- */

static void tell_missing(struct bus *b, const char *why)
{
        struct log_record record;

        if (b->state == BUS_TAKEN) {
                message_bus_lost(&record, b->name, why);
                b->state = BUS_LOST;
        } else if (b->state == BUS_STARTING) {
                message_bus_missing(&record, b->name, why, b->address != NULL);
                b->state = BUS_MISSING;
        } else
                return;
        report_record(b->control->report, &record);
}

static void tell_taken(struct bus *b)
{
        struct log_record record;

        if (b->state == BUS_TAKEN)
                return;
        b->state = BUS_TAKEN;
        message_bus_taken(&record, b->name);
        report_record(b->control->report, &record);
}

/* --- The timer --- */

static void arm(struct bus *b, uint64_t nsec)
{
        (void)sd_event_source_set_time_relative(b->timer, nsec / NSEC_PER_USEC);
        (void)sd_event_source_set_enabled(b->timer, SD_EVENT_ONESHOT);
}

static void disarm(struct bus *b)
{
        (void)sd_event_source_set_enabled(b->timer, SD_EVENT_OFF);
        b->patience = PATIENCE_MIN;
}

/* The connection itself is closed when the timer comes: this may be called from within it. */
static void lose(struct bus *b, const char *why)
{
        bool at_once = b->state == BUS_TAKEN;

        polkit_forget_all(b->polkit);
        bus_clients_forget_calls(&b->clients);
        bus_signals_set_connection(&b->signals, NULL);
        tell_missing(b, why);
        arm(b, at_once ? AGAIN_SOON : b->patience);
}

static void disconnect(struct bus *b)
{
        polkit_forget_all(b->polkit);
        bus_clients_forget_calls(&b->clients);
        bus_signals_set_connection(&b->signals, NULL);
        b->connection = sd_bus_close_unref(b->connection);
}

/* --- The connection --- */

static int on_name_answer(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        struct bus *b = userdata;
        const sd_bus_error *e = sd_bus_message_get_error(m);
        uint32_t answer = 0;

        if (e)
                lose(b, e->message ? e->message : e->name);
        else if (sd_bus_message_read(m, "u", &answer) < 0)
                lose(b, "the answer of D-Bus cannot be read");
        else {
                disarm(b);
                if (answer == 2) /* in the queue: a signal will say when it is ours */
                        tell_missing(b, "the name is another's");
        }
        return 1;
}

/* Is it the D-Bus daemon's signal about our name? */
static bool is_about_name(sd_bus_message *m, const char *signal_name, const char *name)
{
        const char *about, *sender = sd_bus_message_get_sender(m);
        bool is_ours;

        if (!sd_bus_message_is_signal(m, "org.freedesktop.DBus", signal_name) || !sender ||
            strcmp(sender, "org.freedesktop.DBus") != 0)
                return false;
        is_ours = sd_bus_message_read(m, "s", &about) >= 0 && strcmp(about, name) == 0;
        (void)sd_bus_message_rewind(m, true);
        return is_ours;
}

static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        struct bus *b = userdata;

        if (sd_bus_message_is_signal(m, "org.freedesktop.DBus.Local", "Disconnected"))
                lose(b, "the connection has ended");
        else if (is_about_name(m, "NameAcquired", b->name))
                tell_taken(b);
        else if (is_about_name(m, "NameLost", b->name))
                tell_missing(b, "another has taken the name");
        return 0;
}

static int open_connection(struct bus *b)
{
        int r = sd_bus_new(&b->connection);

        if (r >= 0)
                r = sd_bus_set_description(b->connection, "busrtd");
        if (r >= 0)
                r = sd_bus_set_address(b->connection, b->address);
        if (r >= 0)
                r = sd_bus_set_bus_client(b->connection, true);
        if (r >= 0)
                r = sd_bus_set_watch_bind(b->connection, true);
        /* Descriptors that come with a call, wanted or not, would be ours as long as it waits. */
        if (r >= 0)
                r = sd_bus_negotiate_fds(b->connection, false);
        if (r >= 0)
                r = sd_bus_add_filter(b->connection, NULL, on_message, b);
        if (r >= 0)
                r = bus_manager_add(b);
        if (r >= 0)
                r = bus_client_add(b);
        if (r >= 0)
                r = bus_log_control_add(b);
        if (r >= 0)
                r = sd_bus_start(b->connection);
        if (r >= 0)
                r = sd_bus_attach_event(b->connection, b->control->loop, BUS_PRIORITY);
        if (r >= 0)
                r = sd_bus_request_name_async(b->connection, NULL, b->name, SD_BUS_NAME_QUEUE,
                                              on_name_answer, b);
        return r;
}

static void try_connection(struct bus *b)
{
        int r = open_connection(b);

        if (r < 0) {
                disconnect(b);
                lose(b, strerrordesc_np(-r));
        } else {
                bus_signals_set_connection(&b->signals, b->connection);
                arm(b, b->patience);
        }
        b->patience = MIN(b->patience * 2, PATIENCE_MAX);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
        struct bus *b = userdata;

        if (b->connection)
                tell_missing(b, "there is no answer");
        disconnect(b);
        try_connection(b);
        return 0;
}

/* --- Its owner's view --- */

static void on_reloaded(void *userdata)
{
        bus_manager_tell_limits(userdata);
}

static int bus_make(struct control *control, enum dbus_mode mode, struct bus *b)
{
        int r = polkit_new(control->report, mode == DBUS_SYSTEM, b->name, &b->polkit);

        if (r >= 0)
                r = sd_event_add_time_relative(control->loop, &b->timer, CLOCK_MONOTONIC, 0, 0,
                                               on_timer, b);
        if (r >= 0)
                r = sd_event_source_set_enabled(b->timer, SD_EVENT_OFF);
        if (r < 0)
                return r;
        r = bus_clients_init(&b->clients, control->loop, control->engine, b);
        if (r < 0)
                return r;
        r = bus_address_find(mode, &b->address);
        if (r == -ENOENT) {
                tell_missing(b, "the environment names none");
                return 0;
        }
        return r;
}

int bus_new(struct control *control, struct bus **ret)
{
        enum dbus_mode mode = bus_address_choose(control->started_with->dbus);
        struct bus *b;
        int r;

        *ret = NULL;
        if (mode == DBUS_OFF)
                return 0;
        b = calloc(1, sizeof(*b));
        if (!b)
                return -ENOMEM;
        b->control = control;
        b->mode = mode;
        b->name = control->started_with->dbus_name;
        b->patience = PATIENCE_MIN;
        bus_manager_note_limits(b);
        bus_signals_init(&b->signals, control->loop);
        r = bus_make(control, mode, b);
        if (r < 0) {
                bus_free(b);
                return r;
        }
        control->reloaded_userdata = b;
        control->on_reloaded = on_reloaded;
        if (b->address)
                try_connection(b);
        *ret = b;
        return 0;
}

struct bus *bus_free(struct bus *b)
{
        if (!b)
                return NULL;
        b->control->on_reloaded = NULL;
        if (b->connection)
                disconnect(b);
        bus_signals_done(&b->signals);
        if (b->clients.engine)
                bus_clients_done(&b->clients);
        polkit_free(b->polkit);
        sd_event_source_disable_unref(b->timer);
        client_snapshot_done(&b->found);
        free(b->address);
        free(b);
        return NULL;
}

void bus_tell_event(struct bus *b, const struct engine_event *event)
{
        if (b)
                bus_signals_tell(&b->signals, event);
}

/* --- For the other parts --- */

bool bus_is_congested(sd_bus *connection)
{
        uint64_t n = 0;

        return sd_bus_get_n_queued_write(connection, &n) >= 0 && n > WAITING_MESSAGES_MAX;
}

int bus_check_congestion(sd_bus_message *m, sd_bus_error *error)
{
        if (!bus_is_congested(sd_bus_message_get_bus(m)))
                return 0;
        return sd_bus_error_set(error, SD_BUS_ERROR_LIMITS_EXCEEDED,
                                "earlier answers are still on their way");
}

int bus_fail(int r, sd_bus_error *error)
{
        if (r == -ETIMEDOUT)
                return sd_bus_error_set(error, SD_BUS_ERROR_TIMEOUT, "the worker did not answer");
        if (r == -E2BIG)
                return sd_bus_error_set(error, SD_BUS_ERROR_LIMITS_EXCEEDED,
                                        "that is more than one answer can hold");
        return r;
}

int bus_fail_no_client(const char *name, sd_bus_error *error)
{
        char visible[256];

        return sd_bus_error_setf(error, BUS_ERROR_NO_SUCH_CLIENT,
                                 "there is no client of the name \"%s\"",
                                 text_visible(name, visible, sizeof(visible)));
}

const char *bus_client_path(uint64_t id, char out[BUS_CLIENT_PATH_MAX])
{
        (void)snprintf(out, BUS_CLIENT_PATH_MAX, BUS_CLIENT_PATH "/_%" PRIu64, id);
        return out;
}

bool bus_client_path_parse(const char *path, uint64_t *ret_id)
{
        char same[BUS_CLIENT_PATH_MAX];
        uint64_t id;

        if (sscanf(path, BUS_CLIENT_PATH "/_%" SCNu64, &id) != 1 ||
            strcmp(bus_client_path(id, same), path) != 0)
                return false;
        *ret_id = id;
        return true;
}
