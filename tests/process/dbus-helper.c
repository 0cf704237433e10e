/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What busctl cannot be, for test_dbus.py: a polkit of its own, a subscriber, and a caller who does
 * not wait for answers. One line on stdout for each thing that happens.
 *
 *      dbus-helper authority yes|no|challenge|silent|error
 *      dbus-helper subscriber          goes on until stdin ends; "unsubscribe" there
 *      dbus-helper call PATH INTERFACE MEMBER [TYPE VALUE]    "ok", or the name and text of the
 * error dbus-helper flood N MEMBER      N calls at once, then counts what comes back dbus-helper
 * deaf N MEMBER       the same, and reads nothing until stdin ends
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#define HELD_MAX 10000

#define NAME "org.busrt1"
#define PATH "/org/busrt1"
#define MANAGER "org.busrt1.Manager"

static void check(int r, const char *what)
{
        if (r >= 0)
                return;
        (void)fprintf(stderr, "dbus-helper: %s: %s\n", what, strerror(-r));
        exit(EXIT_FAILURE);
}

static sd_bus *connect_bus(void)
{
        sd_bus *bus;

        check(sd_bus_new(&bus), "new");
        check(sd_bus_set_address(bus, getenv("DBUS_SESSION_BUS_ADDRESS")), "address");
        check(sd_bus_set_bus_client(bus, true), "client");
        check(sd_bus_start(bus), "start");
        return bus;
}

/* --- A polkit --- */

static int read_check(sd_bus_message *m, const char **kind, const char **name, const char **action,
                      char *details, size_t size, unsigned *flags, const char **id)
{
        const char *key, *value;

        details[0] = '\0';
        check(sd_bus_message_enter_container(m, 'r', "sa{sv}"), "subject");
        check(sd_bus_message_read(m, "s", kind), "kind");
        check(sd_bus_message_enter_container(m, 'a', "{sv}"), "subject's details");
        check(sd_bus_message_enter_container(m, 'e', "sv"), "its first");
        check(sd_bus_message_read(m, "s", &key), "key");
        check(sd_bus_message_read(m, "v", "s", name), "name");
        check(sd_bus_message_exit_container(m), "end");
        check(sd_bus_message_exit_container(m), "end");
        check(sd_bus_message_exit_container(m), "end");
        check(sd_bus_message_read(m, "s", action), "action");
        check(sd_bus_message_enter_container(m, 'a', "{ss}"), "details");
        while (sd_bus_message_read(m, "{ss}", &key, &value) > 0)
                (void)snprintf(details + strlen(details), size - strlen(details), " %s=%s", key,
                               value);
        check(sd_bus_message_exit_container(m), "end");
        return sd_bus_message_read(m, "us", flags, id);
}

/* Who waits, until it is cancelled. */
static sd_bus_message *held[HELD_MAX];
static char held_ids[HELD_MAX][32];
static unsigned n_held;

static void hold(sd_bus_message *m, const char *id)
{
        check(n_held < HELD_MAX ? 0 : -ENOBUFS, "hold");
        held[n_held] = sd_bus_message_ref(m);
        (void)snprintf(held_ids[n_held++], sizeof(held_ids[0]), "%s", id);
}

static int on_check(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        const char *mode = userdata, *kind, *name, *action, *id;
        char details[512];
        unsigned flags;

        check(read_check(m, &kind, &name, &action, details, sizeof(details), &flags, &id), "read");
        printf("check %s %s%s%s\n", kind, action, details, flags ? " interactive" : "");
        if (strcmp(mode, "silent") == 0) {
                hold(m, id);
                return 1;
        }
        if (strcmp(mode, "error") == 0)
                return sd_bus_error_set(error, "org.freedesktop.PolicyKit1.Error.Failed",
                                        "the authority is not well");
        return sd_bus_reply_method_return(m, "(bba{ss})", strcmp(mode, "yes") == 0,
                                          strcmp(mode, "challenge") == 0, 0);
}

static int on_cancel(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        const char *id;

        check(sd_bus_message_read(m, "s", &id), "read");
        printf("cancel %s\n", id);
        for (unsigned i = 0; i < n_held; i++)
                if (held[i] && strcmp(held_ids[i], id) == 0) {
                        check(sd_bus_reply_method_errorf(
                                      held[i], "org.freedesktop.PolicyKit1.Error.Cancelled",
                                      "cancelled"),
                              "cancel");
                        held[i] = sd_bus_message_unref(held[i]);
                }
        return sd_bus_reply_method_return(m, NULL);
}

static const sd_bus_vtable authority[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("CheckAuthorization", "(sa{sv})sa{ss}us", "(bba{ss})", on_check,
                      SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("CancelCheckAuthorization", "s", "", on_cancel, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

static void be_authority(sd_bus *bus, char *mode)
{
        check(sd_bus_add_object_vtable(bus, NULL, "/org/freedesktop/PolicyKit1/Authority",
                                       "org.freedesktop.PolicyKit1.Authority", authority, mode),
              "object");
        check(sd_bus_request_name(bus, "org.freedesktop.PolicyKit1", 0), "name");
        puts("ready");
        for (;;) {
                int r = sd_bus_process(bus, NULL);

                check(r, "process");
                if (r == 0)
                        check(sd_bus_wait(bus, UINT64_MAX), "wait");
        }
}

/* --- A subscriber --- */

static void print_clients(sd_bus_message *m, const char *what)
{
        const char *name;
        uint64_t id;

        check(sd_bus_message_enter_container(m, 'a', "(ts)"), "clients");
        while (sd_bus_message_read(m, "(ts)", &id, &name) > 0)
                printf("%s %llu %s\n", what, (unsigned long long)id, name);
        check(sd_bus_message_exit_container(m), "end");
}

static void print_events(sd_bus_message *m)
{
        const char *what, *name, *detail;
        uint64_t usec, id;

        check(sd_bus_message_enter_container(m, 'a', "(tstss)"), "events");
        while (sd_bus_message_read(m, "(tstss)", &usec, &what, &id, &name, &detail) > 0)
                printf("event %s %s: %s\n", what, name, detail);
        check(sd_bus_message_exit_container(m), "end");
}

static void print_changed(sd_bus_message *m)
{
        const char *interface, *property;

        check(sd_bus_message_read(m, "s", &interface), "interface");
        check(sd_bus_message_enter_container(m, 'a', "{sv}"), "properties");
        while (sd_bus_message_enter_container(m, 'e', "sv") > 0) {
                check(sd_bus_message_read(m, "s", &property), "property");
                printf("changed %s\n", property);
                check(sd_bus_message_skip(m, "v"), "value");
                check(sd_bus_message_exit_container(m), "end");
        }
}

static int on_signal(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        if (sd_bus_message_is_signal(m, MANAGER, "ClientsChanged")) {
                puts("tick");
                print_clients(m, "added");
                print_clients(m, "removed");
        } else if (sd_bus_message_is_signal(m, MANAGER, "Resync"))
                puts("resync");
        else if (sd_bus_message_is_signal(m, MANAGER, "Events"))
                print_events(m);
        else
                print_changed(m);
        return 0;
}

static void call(sd_bus *bus, const char *member)
{
        sd_bus_error error = SD_BUS_ERROR_NULL;

        check(sd_bus_call_method(bus, NAME, PATH, MANAGER, member, &error, NULL, NULL), member);
        printf("%s done\n", member);
}

static int on_stdin(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        char line[64];
        ssize_t n = read(fd, line, sizeof(line));

        if (n <= 0)
                return sd_event_exit(sd_event_source_get_event(source), 0);
        call(userdata, "Unsubscribe");
        return 0;
}

static void be_subscriber(sd_bus *bus)
{
        sd_event *loop;

        check(sd_event_default(&loop), "loop");
        check(sd_bus_attach_event(bus, loop, 0), "attach");
        check(sd_event_add_io(loop, NULL, STDIN_FILENO, 1, on_stdin, bus), "stdin");
        check(sd_bus_match_signal(bus, NULL, NAME, PATH, NULL, NULL, on_signal, NULL), "match");
        call(bus, "Subscribe");
        check(sd_event_loop(loop), "loop");
        sd_bus_detach_event(bus);
        sd_event_unref(loop);
}

/* --- A flood --- */

static unsigned n_replies, n_errors;

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        n_replies++;
        if (sd_bus_message_get_error(m))
                n_errors++;
        return 1;
}

static void flood(sd_bus *bus, unsigned n, const char *member, bool deaf)
{
        char byte;

        for (unsigned i = 0; i < n; i++)
                check(sd_bus_call_method_async(bus, NULL, NAME, PATH, MANAGER, member, on_reply,
                                               NULL, NULL),
                      "call");
        if (deaf) {
                /* Only what is to be written moves. */
                uint64_t left;

                do {
                        check(sd_bus_get_n_queued_write(bus, &left), "left");
                        if (left)
                                check(sd_bus_flush(bus), "flush");
                } while (left);
                puts("sent");
                (void)!read(STDIN_FILENO, &byte, 1);
                return;
        }
        while (n_replies < n) {
                int r = sd_bus_process(bus, NULL);

                check(r, "process");
                if (r == 0)
                        check(sd_bus_wait(bus, UINT64_MAX), "wait");
        }
        printf("%u replies, %u errors\n", n_replies, n_errors);
}

static void try_call(sd_bus *bus, char **args)
{
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *m;

        check(sd_bus_message_new_method_call(bus, &m, NAME, args[0], args[1], args[2]), "message");
        if (args[3] && args[3][0] == 't')
                check(sd_bus_message_append(m, "t", strtoull(args[4], NULL, 10)), "number");
        else if (args[3] && args[3][0] == 'h')
                check(sd_bus_message_append(m, "h", atoi(args[4])), "descriptor");
        else if (args[3])
                check(sd_bus_message_append(m, "s", args[4]), "text");
        if (sd_bus_call(bus, m, 0, &error, NULL) < 0)
                printf("error %s: %s\n", error.name, error.message);
        else
                puts("ok");
        sd_bus_error_free(&error);
        sd_bus_message_unref(m);
}

int main(int argc, char **argv)
{
        const char *role = argc > 1 ? argv[1] : "";
        sd_bus *bus = connect_bus();

        (void)setvbuf(stdout, NULL, _IOLBF, 0);
        if (strcmp(role, "authority") == 0 && argc == 3)
                be_authority(bus, argv[2]);
        else if (strcmp(role, "subscriber") == 0)
                be_subscriber(bus);
        else if (strcmp(role, "call") == 0 && (argc == 5 || argc == 7))
                try_call(bus, argv + 2);
        else if (argc == 4)
                flood(bus, (unsigned)atoi(argv[2]), argv[3], strcmp(role, "deaf") == 0);
        else
                return EXIT_FAILURE;
        sd_bus_close_unref(bus);
        return EXIT_SUCCESS;
}
