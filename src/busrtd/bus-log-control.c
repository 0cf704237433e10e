/* SPDX-License-Identifier: Apache-2.0 */
/*
 * org.freedesktop.LogControl1, which `systemctl service-log-level` speaks. libsystemd runs a
 * property's setter at once and can neither put it off nor check its caller without waiting; so
 * Properties.Set is taken before the table sees it.
 */
#include <stdio.h>

#include "busrtd/bus-internal.h"
#include "busrtd/text.h"

static const char *target_word(enum log_target target)
{
        switch (target) {
        case LOG_TARGET_STDERR:
                return "console";
        case LOG_TARGET_JOURNAL:
                return "journal";
        case LOG_TARGET_SYSLOG:
                return "syslog";
        case LOG_TARGET_NONE:
                break;
        }
        return "null";
}

/* --- Reading --- */

static int get_level(sd_bus *bus, const char *path, const char *interface, const char *property,
                     sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        const struct bus *b = userdata;

        return sd_bus_message_append(reply, "s",
                                     control_log_level_name(control_log_level(b->control)));
}

static int get_target(sd_bus *bus, const char *path, const char *interface, const char *property,
                      sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        const struct bus *b = userdata;

        return sd_bus_message_append(reply, "s", target_word(log_get_target(b->control->log)));
}

static int get_identifier(sd_bus *bus, const char *path, const char *interface,
                          const char *property, sd_bus_message *reply, void *userdata,
                          sd_bus_error *error)
{
        return sd_bus_message_append(reply, "s", "busrtd");
}

/* --- Writing --- */

static int on_set(sd_bus_message *m, void *userdata, sd_bus_error *error);

static int set_level(struct bus *b, sd_bus_message *m, const char *word, sd_bus_error *error)
{
        char visible[64], what[64];
        struct polkit_request request = {
                .admin = {.action = "org.busrt1.set-log-level", .what = what, .client = ""}};
        int level = control_log_level_find(word), r;

        if (level < 0)
                return sd_bus_error_setf(
                        error, SD_BUS_ERROR_INVALID_ARGS,
                        "LogLevel \"%s\": err, warning, notice, info or debug is wanted",
                        text_visible(word, visible, sizeof(visible)));
        (void)snprintf(what, sizeof(what), "set the log level to %s", word);
        r = polkit_check(b->polkit, m, on_set, b, &request, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        control_set_log_level(b->control, level);
        polkit_tell_granted(b->polkit, &request);
        return sd_bus_reply_method_return(m, NULL);
}

static int set_target(struct bus *b, sd_bus_message *m, const char *word, sd_bus_error *error)
{
        const char *now = target_word(log_get_target(b->control->log));

        if (strcmp(word, now) == 0)
                return sd_bus_reply_method_return(m, NULL);
        return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
                                 "LogTarget is \"%s\" until busrtd is started anew", now);
}

/* 0: it is for the table. */
static int on_set(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        const char *interface, *property, *value;
        int r;

        if (!sd_bus_message_is_method_call(m, "org.freedesktop.DBus.Properties", "Set") ||
            !sd_bus_message_has_signature(m, "ssv"))
                return 0;
        r = sd_bus_message_read(m, "ss", &interface, &property);
        if (r < 0)
                return r;
        if (strcmp(interface, BUS_LOG_CONTROL) != 0 || sd_bus_message_read(m, "v", "s", &value) < 0)
                return sd_bus_message_rewind(m, true) < 0 ? -EBADMSG : 0;
        if (strcmp(property, "LogLevel") == 0)
                return set_level(userdata, m, value, error);
        if (strcmp(property, "LogTarget") == 0)
                return set_target(userdata, m, value, error);
        return sd_bus_message_rewind(m, true) < 0 ? -EBADMSG : 0;
}

/* What has not been taken before is wrong. */
static int set_nothing(sd_bus *bus, const char *path, const char *interface, const char *property,
                       sd_bus_message *value, void *userdata, sd_bus_error *error)
{
        return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS, "%s is a text", property);
}

/* --- The table --- */

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_WRITABLE_PROPERTY("LogLevel", "s", get_level, set_nothing, 0,
                                 SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_WRITABLE_PROPERTY("LogTarget", "s", get_target, set_nothing, 0,
                                 SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("SyslogIdentifier", "s", get_identifier, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_VTABLE_END,
};

int bus_log_control_add(struct bus *b)
{
        int r = sd_bus_add_object(b->connection, NULL, BUS_LOG_PATH, on_set, b);

        if (r >= 0)
                r = sd_bus_add_object_vtable(b->connection, NULL, BUS_LOG_PATH, BUS_LOG_CONTROL,
                                             vtable, b);
        return r;
}
