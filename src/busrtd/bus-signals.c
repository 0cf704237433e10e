/* SPDX-License-Identifier: Apache-2.0 */
#include <bsd/string.h>
#include <inttypes.h>
#include <stdio.h>

#include "basic/clock.h"
#include "basic/macro.h"
#include "busrtd/bus-internal.h"
#include "busrtd/bus-peer.h"
#include "busrtd/text.h"

#define TICK (100 * NSEC_PER_MSEC)
#define ACCURACY (10 * NSEC_PER_MSEC) /* it may be so much later */
#define SUBSCRIBERS_MAX 128           /* D-Bus lets one connection watch 512 */
#define SUBSCRIBERS_PER_USER_MAX 32

struct bus_subscriber {
        LIST_ENTRY(bus_subscriber) link;
        struct bus_signals *signals;
        sd_bus_slot *watch, *call;
        sd_bus_message *message; /* not answered yet */
        uid_t uid;
        char name[];
};

/* What has come since the last tick. */
struct bus_signals_tick {
        sd_event_source *timer;
        bool running;
        bool resync;
        size_t n_changes, n_events;
        uint64_t n_more; /* events that found no room */
        struct bus_signals_change changes[BUS_SIGNALS_CHANGES_MAX];
        struct bus_signals_event events[BUS_SIGNALS_EVENTS_MAX];
};

/* --- The tick --- */

static struct bus_signals_tick *tick_free(struct bus_signals_tick *tick)
{
        if (!tick)
                return NULL;
        sd_event_source_disable_unref(tick->timer);
        free(tick);
        return NULL;
}

static int append_changes(sd_bus_message *m, const struct bus_signals_tick *tick, bool added)
{
        int r = sd_bus_message_open_container(m, SD_BUS_TYPE_ARRAY, "(ts)");

        for (size_t i = 0; i < tick->n_changes && r >= 0; i++)
                if (tick->changes[i].added == added)
                        r = sd_bus_message_append(m, "(ts)", tick->changes[i].id,
                                                  tick->changes[i].name);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int send_changes(sd_bus *connection, const struct bus_signals_tick *tick)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r = sd_bus_message_new_signal(connection, &m, BUS_PATH, BUS_MANAGER, "ClientsChanged");

        if (r >= 0)
                r = append_changes(m, tick, true);
        if (r >= 0)
                r = append_changes(m, tick, false);
        return r < 0 ? r : sd_bus_send(connection, m, NULL);
}

static int append_more(sd_bus_message *m, uint64_t n)
{
        char detail[64];

        (void)snprintf(detail, sizeof(detail), "%" PRIu64, n);
        return sd_bus_message_append(m, "(tstss)", clock_nsec(CLOCK_REALTIME) / NSEC_PER_USEC,
                                     "more", UINT64_C(0), "", detail);
}

static int send_events(sd_bus *connection, const struct bus_signals_tick *tick)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r = sd_bus_message_new_signal(connection, &m, BUS_PATH, BUS_MANAGER, "Events");

        if (r >= 0)
                r = sd_bus_message_open_container(m, SD_BUS_TYPE_ARRAY, "(tstss)");
        for (size_t i = 0; i < tick->n_events && r >= 0; i++) {
                const struct bus_signals_event *e = &tick->events[i];

                r = sd_bus_message_append(m, "(tstss)", e->usec, e->what, e->id, e->name,
                                          e->detail);
        }
        if (r >= 0 && tick->n_more)
                r = append_more(m, tick->n_more);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r < 0 ? r : sd_bus_send(connection, m, NULL);
}

static void tick_start(struct bus_signals_tick *tick)
{
        if (tick->running)
                return;
        if (sd_event_source_set_time_relative(tick->timer, TICK / NSEC_PER_USEC) >= 0 &&
            sd_event_source_set_enabled(tick->timer, SD_EVENT_ONESHOT) >= 0)
                tick->running = true;
}

/* What cannot be sent is lost, and that is told by the Resync of a later tick. */
static int on_tick(sd_event_source *source, uint64_t usec, void *userdata)
{
        struct bus_signals *s = userdata;
        struct bus_signals_tick *tick = s->tick;
        int r = 0;

        tick->running = false;
        if (bus_is_congested(s->connection)) {
                tick->resync = tick->resync || tick->n_changes > 0;
                tick->n_more += tick->n_events;
                tick->n_changes = tick->n_events = 0;
                tick_start(tick);
                return 0;
        }
        if (tick->resync)
                r = sd_bus_emit_signal(s->connection, BUS_PATH, BUS_MANAGER, "Resync", NULL);
        else if (tick->n_changes)
                r = send_changes(s->connection, tick);
        if (tick->n_events || tick->n_more)
                (void)send_events(s->connection, tick);
        tick->resync = r < 0;
        tick->n_changes = tick->n_events = 0;
        tick->n_more = 0;
        if (tick->resync)
                tick_start(tick);
        return 0;
}

static int tick_new(struct bus_signals *s, struct bus_signals_tick **ret)
{
        struct bus_signals_tick *tick = calloc(1, sizeof(*tick));
        int r;

        if (!tick)
                return -ENOMEM;
        r = sd_event_add_time_relative(s->loop, &tick->timer, CLOCK_MONOTONIC, 0,
                                       ACCURACY / NSEC_PER_USEC, on_tick, s);
        if (r >= 0)
                r = sd_event_source_set_enabled(tick->timer, SD_EVENT_OFF);
        if (r < 0) {
                tick_free(tick);
                return r;
        }
        *ret = tick;
        return 0;
}

/* --- Subscribers --- */

void bus_signals_init(struct bus_signals *s, sd_event *loop)
{
        *s = (struct bus_signals){.loop = loop};
        LIST_INIT(&s->subscribers);
}

static void subscriber_free(struct bus_subscriber *subscriber)
{
        struct bus_signals *s = subscriber->signals;

        LIST_REMOVE(subscriber, link);
        s->n_subscribers--;
        sd_bus_slot_unref(subscriber->call);
        sd_bus_slot_unref(subscriber->watch);
        sd_bus_message_unref(subscriber->message);
        free(subscriber);
        if (s->n_subscribers == 0)
                s->tick = tick_free(s->tick);
}

void bus_signals_set_connection(struct bus_signals *s, sd_bus *connection)
{
        struct bus_subscriber *subscriber;

        while ((subscriber = LIST_FIRST(&s->subscribers)))
                subscriber_free(subscriber);
        s->connection = connection;
}

void bus_signals_done(struct bus_signals *s)
{
        bus_signals_set_connection(s, NULL);
}

static int on_subscriber_gone(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        subscriber_free(userdata);
        return 0;
}

static int reply_too_many(sd_bus_message *m)
{
        return sd_bus_reply_method_errorf(m, SD_BUS_ERROR_LIMITS_EXCEEDED,
                                          "too many are subscribed");
}

/* Whose end would go unseen is no subscriber. */
static int on_subscriber_watched(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        struct bus_subscriber *subscriber = userdata;

        if (!sd_bus_message_is_method_error(m, NULL))
                return 1;
        if (subscriber->message)
                (void)reply_too_many(subscriber->message);
        subscriber_free(subscriber);
        return 1;
}

static size_t count_of_user(const struct bus_signals *s, uid_t uid)
{
        const struct bus_subscriber *subscriber;
        size_t n = 0;

        LIST_FOREACH (subscriber, &s->subscribers, link)
                if (!subscriber->message && subscriber->uid == uid)
                        n++;
        return n;
}

/* It may have gone before it was watched. */
static int on_subscriber_known(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *message = NULL;
        struct bus_subscriber *subscriber = userdata;
        size_t n = 0;
        pid_t pid;
        int r = bus_peer_read_credentials(m, &subscriber->uid, &pid);

        subscriber->call = sd_bus_slot_unref(subscriber->call);
        if (r >= 0 && subscriber->uid != 0)
                n = count_of_user(subscriber->signals, subscriber->uid);
        message = TAKE_PTR(subscriber->message);
        if (r >= 0 && n < SUBSCRIBERS_PER_USER_MAX) {
                (void)sd_bus_reply_method_return(message, NULL);
                return 1;
        }
        subscriber_free(subscriber);
        if (r < 0)
                (void)sd_bus_reply_method_errno(message, r, NULL);
        else
                (void)reply_too_many(message);
        return 1;
}

static struct bus_subscriber *find_subscriber(const struct bus_signals *s, const char *name)
{
        struct bus_subscriber *subscriber;

        LIST_FOREACH (subscriber, &s->subscribers, link)
                if (strcmp(subscriber->name, name) == 0)
                        return subscriber;
        return NULL;
}

static int subscriber_watch(struct bus_subscriber *subscriber)
{
        sd_bus *connection = subscriber->signals->connection;
        int r = bus_peer_watch(connection, subscriber->name, on_subscriber_gone,
                               on_subscriber_watched, subscriber, &subscriber->watch);

        if (r < 0)
                return r;
        return bus_peer_ask_credentials(connection, subscriber->name, on_subscriber_known,
                                        subscriber, &subscriber->call);
}

int bus_signals_subscribe(struct bus_signals *s, sd_bus_message *m)
{
        const char *name = sd_bus_message_get_sender(m);
        struct bus_subscriber *subscriber;
        int r;

        if (!name)
                return -EINVAL;
        if (find_subscriber(s, name))
                return MIN(sd_bus_reply_method_return(m, NULL), 0);
        if (s->n_subscribers >= SUBSCRIBERS_MAX)
                return -EDQUOT;
        r = s->tick ? 0 : tick_new(s, &s->tick);
        if (r < 0)
                return r;
        subscriber = calloc(1, sizeof(*subscriber) + strlen(name) + 1);
        if (!subscriber) {
                if (s->n_subscribers == 0)
                        s->tick = tick_free(s->tick);
                return -ENOMEM;
        }
        (void)strcpy(subscriber->name, name);
        subscriber->message = sd_bus_message_ref(m);
        subscriber->signals = s;
        LIST_INSERT_HEAD(&s->subscribers, subscriber, link);
        s->n_subscribers++;
        r = subscriber_watch(subscriber);
        if (r < 0)
                subscriber_free(subscriber);
        return r;
}

int bus_signals_unsubscribe(struct bus_signals *s, const char *name)
{
        struct bus_subscriber *subscriber = find_subscriber(s, name);

        if (!subscriber)
                return -ENOENT;
        subscriber_free(subscriber);
        return 0;
}

/* --- What the engine tells --- */

static const char *const event_words[] = {
        [ENGINE_EVENT_REFUSED] = "refused", [ENGINE_EVENT_BAD_FRAME] = "bad-frame",
        [ENGINE_EVENT_STRUCK] = "struck",   [ENGINE_EVENT_DROPPED] = "dropped",
        [ENGINE_EVENT_TIMEOUT] = "timeout", [ENGINE_EVENT_TAKEOVER] = "takeover",
        [ENGINE_EVENT_MEMORY] = "memory",   [ENGINE_EVENT_DENIED] = "denied",
};

/* Topics of others are not for everybody. */
static const char *event_reason(const struct engine_event *event)
{
        return event->type == ENGINE_EVENT_DENIED
                       ? "by access rules: the journal says what, and which"
                       : event->detail;
}

static void add_change(struct bus_signals_tick *tick, const struct engine_event *event, bool added)
{
        struct bus_signals_change *change = &tick->changes[tick->n_changes];

        if (tick->n_changes == BUS_SIGNALS_CHANGES_MAX)
                tick->resync = true;
        if (tick->resync)
                return;
        change->added = added;
        change->id = event->id;
        (void)text_utf8(event->name, change->name, sizeof(change->name));
        tick->n_changes++;
}

static void add_event(struct bus_signals_tick *tick, const struct engine_event *event)
{
        struct bus_signals_event *e = &tick->events[tick->n_events];

        if (tick->n_events == BUS_SIGNALS_EVENTS_MAX) {
                tick->n_more++;
                return;
        }
        e->usec = clock_nsec(CLOCK_REALTIME) / NSEC_PER_USEC;
        e->what = event_words[event->type];
        e->id = event->id;
        (void)text_utf8(event->name, e->name, sizeof(e->name));
        (void)text_utf8(event_reason(event), e->detail, sizeof(e->detail));
        tick->n_events++;
}

void bus_signals_tell(struct bus_signals *s, const struct engine_event *event)
{
        struct bus_signals_tick *tick = s->tick;

        if (!tick)
                return;
        if (event->type == ENGINE_EVENT_RESYNC)
                tick->resync = true;
        if (event->type == ENGINE_EVENT_REGISTERED)
                add_change(tick, event, true);
        else if (event->over && event->type != ENGINE_EVENT_REFUSED && event->name[0])
                add_change(tick, event, false);
        if ((size_t)event->type < ARRAY_SIZE(event_words) && event_words[event->type])
                add_event(tick, event);
        if (tick->resync || tick->n_changes || tick->n_events)
                tick_start(tick);
}
