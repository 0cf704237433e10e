/* SPDX-License-Identifier: Apache-2.0 */
/* What happens on the bus, from the signals of org.busrt1. They come to those alone who have called
 * Subscribe(). */
#include <stdio.h>

#include "basic/clock.h"
#include "basic/macro.h"
#include "busrtctl/bus-call.h"

struct watch {
        admin_event_handler fn;
        void *userdata;
        bool done;
        bool gone; /* the name has no owner any more */
        int error;
};

static void pass(struct watch *watch, const struct admin_event *event)
{
        if (!watch->done && watch->fn(event, watch->userdata) != 0)
                watch->done = true;
}

/* A signal of another type than it should have: this is no broker that is known here. */
static int give_up(struct watch *watch, int r)
{
        if (r < 0) {
                watch->error = r;
                watch->done = true;
        }
        return 0;
}

static int pass_clients(struct watch *watch, sd_bus_message *m, const char *what)
{
        struct admin_event event = {
                .time = clock_nsec(CLOCK_REALTIME) / NSEC_PER_USEC,
                .what = what,
                .detail = "",
        };
        int r = sd_bus_message_enter_container(m, 'a', "(ts)");

        while (r >= 0 && (r = sd_bus_message_read(m, "(ts)", &event.id, &event.client)) > 0)
                pass(watch, &event);
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int on_clients_changed(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        struct watch *watch = userdata;
        int r = pass_clients(watch, m, "connected");

        if (r >= 0)
                r = pass_clients(watch, m, "gone");
        return give_up(watch, r);
}

static int on_events(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        struct watch *watch = userdata;
        struct admin_event event = {0};
        int r = sd_bus_message_enter_container(m, 'a', "(tstss)");

        while (r >= 0 && (r = sd_bus_message_read(m, "(tstss)", &event.time, &event.what, &event.id,
                                                  &event.client, &event.detail)) > 0)
                pass(watch, &event);
        return give_up(watch, r);
}

static void pass_bare(struct watch *watch, const char *what)
{
        const struct admin_event event = {
                .time = clock_nsec(CLOCK_REALTIME) / NSEC_PER_USEC,
                .what = what,
                .client = "",
                .detail = "",
        };

        pass(watch, &event);
}

static int on_resync(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        pass_bare(userdata, "resync");
        return 0;
}

static int on_owner_changed(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        struct watch *watch = userdata;
        const char *name, *before, *after;
        int r = sd_bus_message_read(m, "sss", &name, &before, &after);

        if (r < 0 || !before[0])
                return give_up(watch, r);
        pass_bare(watch, "shutdown");
        watch->gone = !watch->done;
        watch->done = true;
        return 0;
}

enum { N_MATCHES = 4 };

static int add_matches(struct admin *admin, struct watch *watch, sd_bus_slot **slots)
{
        static const struct {
                const char *member;
                sd_bus_message_handler_t handler;
        } signals[] = {{"ClientsChanged", on_clients_changed},
                       {"Events", on_events},
                       {"Resync", on_resync}};
        _cleanup_free_ char *owner = NULL;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(signals); i++)
                r = sd_bus_match_signal_async(admin->bus, &slots[i], admin->bus_name,
                                              BUS_MANAGER_PATH, BUS_MANAGER, signals[i].member,
                                              signals[i].handler, NULL, watch);
        if (r < 0)
                return r;
        if (asprintf(&owner,
                     "type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',"
                     "interface='org.freedesktop.DBus',member='NameOwnerChanged',arg0='%s'",
                     admin->bus_name) < 0)
                return -ENOMEM;
        return sd_bus_add_match_async(admin->bus, &slots[N_MATCHES - 1], owner, on_owner_changed,
                                      NULL, watch);
}

static int watch_until_done(struct admin *admin, struct watch *watch)
{
        static const struct bus_method subscribe = {BUS_MANAGER_PATH, BUS_MANAGER, "Subscribe"};
        static const struct bus_method unsubscribe = {BUS_MANAGER_PATH, BUS_MANAGER, "Unsubscribe",
                                                      .silent = true};
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL, *ignored = NULL;
        int r = bus_call(admin, &subscribe, &reply, NULL);

        if (r < 0)
                return r;
        r = bus_process_until(admin->bus, UINT64_MAX, &watch->done);
        if (r < 0)
                return bus_fail_connection(admin, r);
        if (watch->gone)
                return -fail(0, "%s: the broker has stopped", admin->route);
        if (watch->error < 0)
                return admin_fail_answer(admin, subscribe.method, watch->error);
        (void)bus_call(admin, &unsubscribe, &ignored, NULL);
        return 0;
}

int bus_watch(struct admin *admin, admin_event_handler fn, void *userdata)
{
        struct watch watch = {.fn = fn, .userdata = userdata};
        sd_bus_slot *slots[N_MATCHES] = {NULL};
        int r = add_matches(admin, &watch, slots);

        r = r < 0 ? bus_fail_connection(admin, r) : watch_until_done(admin, &watch);
        for (size_t i = 0; i < N_MATCHES; i++)
                sd_bus_slot_unref(slots[i]);
        return r < 0 && interrupted() ? 0 : r;
}
