/* SPDX-License-Identifier: Apache-2.0 */
/* One call is answered in each turn of the loop, so that others of the main thread have theirs. */
#include "busrtd/bus-clients.h"
#include "basic/macro.h"
#include "busrtd/bus-internal.h"

#define PAUSE 10 /* times as long as the visit */
#define CALLS_MAX 256
#define CALLS_PER_SENDER_MAX 32
#define CONGESTED_PAUSE (10 * NSEC_PER_MSEC)

struct bus_clients_call {
        STAILQ_ENTRY(bus_clients_call) link;
        sd_bus_message *message;
        sd_bus_message_handler_t handler;
};

static void arm(struct bus_clients *c, uint64_t nsec)
{
        (void)sd_event_source_set_time_relative(c->timer, nsec / NSEC_PER_USEC);
        (void)sd_event_source_set_enabled(c->timer, SD_EVENT_ONESHOT);
}

static void free_first(struct bus_clients *c, struct bus_clients_calls *calls)
{
        struct bus_clients_call *call = STAILQ_FIRST(calls);

        STAILQ_REMOVE_HEAD(calls, link);
        c->n_calls--;
        sd_bus_message_unref(call->message);
        free(call);
}

static int visit(struct bus_clients *c)
{
        uint64_t began = clock_nsec(CLOCK_MONOTONIC), now;
        int r;

        client_snapshot_done(&c->last);
        r = client_snapshot_take_all(c->engine, 0, BUS_LIST_TIMEOUT, &c->last);
        now = clock_nsec(CLOCK_MONOTONIC);
        c->pausing = true;
        c->pause_until = now + (now - began) * PAUSE;
        return r;
}

static void answer_first(struct bus_clients *c)
{
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        struct bus_clients_call *call = STAILQ_FIRST(&c->serving);
        int r = sd_bus_message_rewind(call->message, true);

        c->now = call;
        if (r >= 0)
                r = call->handler(call->message, c->userdata, &error);
        c->now = NULL;
        if (r < 0 || sd_bus_error_is_set(&error))
                (void)sd_bus_reply_method_errno(call->message, r, &error);
        free_first(c, &c->serving);
}

static void fail_all(struct bus_clients *c, int failure)
{
        while (!STAILQ_EMPTY(&c->waiting)) {
                _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
                int r = bus_fail(failure, &error);

                (void)sd_bus_reply_method_errno(STAILQ_FIRST(&c->waiting)->message, r, &error);
                free_first(c, &c->waiting);
        }
}

/* What there is to do next: an answer, the end of the pause, the next visit. */
static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
        struct bus_clients *c = userdata;
        uint64_t now = clock_nsec(CLOCK_MONOTONIC);
        int r;

        if (!STAILQ_EMPTY(&c->serving)) {
                bool congested = bus_is_congested(
                        sd_bus_message_get_bus(STAILQ_FIRST(&c->serving)->message));

                if (!congested)
                        answer_first(c);
                arm(c, congested ? CONGESTED_PAUSE : 0);
        } else if (now < c->pause_until)
                arm(c, c->pause_until - now + NSEC_PER_USEC);
        else if (STAILQ_EMPTY(&c->waiting)) {
                c->pausing = false;
                client_snapshot_done(&c->last);
        } else {
                r = visit(c);
                if (r < 0)
                        fail_all(c, r);
                STAILQ_CONCAT(&c->serving, &c->waiting);
                arm(c, 0);
        }
        return 0;
}

int bus_clients_init(struct bus_clients *c, sd_event *loop, struct engine *engine, void *userdata)
{
        int r;

        *c = (struct bus_clients){.engine = engine, .userdata = userdata};
        STAILQ_INIT(&c->serving);
        STAILQ_INIT(&c->waiting);
        r = sd_event_add_time_relative(loop, &c->timer, CLOCK_MONOTONIC, 0, 1, on_timer, c);
        if (r >= 0)
                r = sd_event_source_set_enabled(c->timer, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_source_set_priority(c->timer, BUS_PRIORITY);
        return r;
}

void bus_clients_forget_calls(struct bus_clients *c)
{
        while (!STAILQ_EMPTY(&c->serving))
                free_first(c, &c->serving);
        while (!STAILQ_EMPTY(&c->waiting))
                free_first(c, &c->waiting);
}

void bus_clients_done(struct bus_clients *c)
{
        bus_clients_forget_calls(c);
        client_snapshot_done(&c->last);
        c->timer = sd_event_source_disable_unref(c->timer);
}

static size_t count_of_sender(const struct bus_clients *c, const char *sender)
{
        const struct bus_clients_call *call;
        size_t n = 0;

        STAILQ_FOREACH (call, &c->waiting, link)
                if (strcmp(sd_bus_message_get_sender(call->message), sender) == 0)
                        n++;
        return n;
}

static int wait_for_next(struct bus_clients *c, sd_bus_message *m, sd_bus_message_handler_t handler,
                         sd_bus_error *error)
{
        const char *sender = sd_bus_message_get_sender(m);
        struct bus_clients_call *call;

        if (!sender || c->n_calls >= CALLS_MAX ||
            count_of_sender(c, sender) >= CALLS_PER_SENDER_MAX)
                return sd_bus_error_set(error, SD_BUS_ERROR_LIMITS_EXCEEDED,
                                        "too many calls wait for a list of clients");
        call = calloc(1, sizeof(*call));
        if (!call)
                return -ENOMEM;
        call->message = sd_bus_message_ref(m);
        call->handler = handler;
        STAILQ_INSERT_TAIL(&c->waiting, call, link);
        c->n_calls++;
        return 0;
}

int bus_clients_take(struct bus_clients *c, sd_bus_message *m, sd_bus_message_handler_t handler,
                     const struct client_snapshot **ret, sd_bus_error *error)
{
        int r;

        if (!c->now && c->pausing)
                return wait_for_next(c, m, handler, error);
        if (!c->now) {
                r = visit(c);
                arm(c, 0);
                if (r < 0)
                        return bus_fail(r, error);
        }
        *ret = &c->last;
        return 1;
}

int bus_clients_peek(struct bus_clients *c, const struct client_snapshot **ret)
{
        int r = 0;

        if (!c->pausing) {
                r = visit(c);
                arm(c, 0);
        }
        *ret = &c->last;
        return r;
}
