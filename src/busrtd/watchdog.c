/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Four looks in an interval: each asks every worker for a pass, and the next finds out whether all
 * were made.
 */
#include <inttypes.h>
#include <stdio.h>
#include <systemd/sd-daemon.h>

#include "basic/clock.h"
#include "basic/macro.h"
#include "busrtd/messages.h"
#include "busrtd/text.h"
#include "busrtd/watchdog.h"

#define LOOKS_PER_INTERVAL 4
#define ROUNDED_TO (10 * NSEC_PER_MSEC)
#define PERIOD_MIN (10 * NSEC_PER_MSEC) /* however short the interval is */

struct watchdog {
        struct engine *engine;
        struct report *report;
        struct notify *notify;
        struct status_line *status_line;
        sd_event_source *timer;
        uint64_t interval; /* nanoseconds */
        uint64_t period;   /* from look to look */
        uint64_t moved_at; /* when all workers were last seen to have moved */
        bool stalled;      /* that was told */
};

/* To what people want to read. */
static uint64_t round_up(uint64_t nsec)
{
        return (nsec + ROUNDED_TO - 1) / ROUNDED_TO * ROUNDED_TO;
}

static void tell_stalled(struct watchdog *w, uint64_t since)
{
        char text[96], duration[TEXT_NUMBER_MAX];
        struct log_record record;

        w->stalled = true;
        message_worker_stalled(&record, since);
        report_record(w->report, &record);
        (void)snprintf(text, sizeof(text), "A worker has stood still for %s",
                       text_duration(since, duration));
        status_line_override(w->status_line, text);
}

static void tell_resumed(struct watchdog *w, uint64_t since)
{
        struct log_record record;

        w->stalled = false;
        message_worker_resumed(&record, since);
        report_record(w->report, &record);
        status_line_override(w->status_line, NULL);
}

static void look(struct watchdog *w)
{
        uint64_t now = clock_nsec(CLOCK_MONOTONIC), since = round_up(now - w->moved_at);

        if (engine_has_answered(w->engine)) {
                w->moved_at = now;
                notify_tell_lightly(w->notify, "WATCHDOG=1");
                if (w->stalled)
                        tell_resumed(w, since);
        } else if (!w->stalled && since >= w->interval / 2)
                tell_stalled(w, since);
        engine_ping(w->engine);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
        struct watchdog *w = userdata;

        look(w);
        return sd_event_source_set_time(source,
                                        (clock_nsec(CLOCK_MONOTONIC) + w->period) / NSEC_PER_USEC);
}

int watchdog_new(sd_event *loop, struct engine *engine, struct report *report,
                 struct notify *notify, struct status_line *status_line, struct watchdog **ret)
{
        struct watchdog *w;
        uint64_t usec;
        int r = sd_watchdog_enabled(0, &usec);

        if (r <= 0) {
                *ret = NULL;
                return 0; /* nor does a value that means nothing keep the bus from starting */
        }
        w = calloc(1, sizeof(*w));
        if (!w)
                return -ENOMEM;
        w->engine = engine;
        w->report = report;
        w->notify = notify;
        w->status_line = status_line;
        w->interval = usec * NSEC_PER_USEC;
        w->period = MAX(w->interval / LOOKS_PER_INTERVAL, PERIOD_MIN);
        w->moved_at = clock_nsec(CLOCK_MONOTONIC);
        engine_ping(engine);
        r = sd_event_add_time(loop, &w->timer, CLOCK_MONOTONIC, 0,
                              w->period / LOOKS_PER_INTERVAL / NSEC_PER_USEC, on_timer, w);
        if (r >= 0)
                r = sd_event_source_set_enabled(w->timer, SD_EVENT_ON);
        if (r < 0) {
                watchdog_free(w);
                return r;
        }
        *ret = w;
        return 0;
}

struct watchdog *watchdog_free(struct watchdog *watchdog)
{
        if (!watchdog)
                return NULL;
        sd_event_source_disable_unref(watchdog->timer);
        free(watchdog);
        return NULL;
}
