/* SPDX-License-Identifier: Apache-2.0 */
#include <bsd/string.h>
#include <inttypes.h>
#include <stdio.h>

#include "basic/clock.h"
#include "basic/macro.h"
#include "busrtd/status-line.h"

#define INTERVAL_USEC (3 * NSEC_PER_SEC / NSEC_PER_USEC)
/* An event may be read a little before the number of clients has changed: so one more look. */
#define LOOKS 2

struct status_line {
        struct engine *engine;
        struct notify *notify;
        size_t n_listeners;
        sd_event_source *timer;
        uint64_t told_at; /* microseconds */
        unsigned looks;   /* still to come */
        bool overridden;
        char text[96]; /* as it was told */
};

static void format_line(const struct status_line *l, char *out, size_t size)
{
        struct engine_counters counters;
        const char *s = l->n_listeners == 1 ? "" : "s";

        engine_get_counters(l->engine, &counters);
        if (counters.clients == 0)
                (void)snprintf(out, size, "Serving on %zu listener%s", l->n_listeners, s);
        else
                (void)snprintf(out, size, "Serving %" PRIu64 " client%s on %zu listener%s",
                               counters.clients, counters.clients == 1 ? "" : "s", l->n_listeners,
                               s);
}

/* True: it was another than before. */
static bool tell_line(struct status_line *l)
{
        char text[sizeof(l->text)];

        format_line(l, text, sizeof(text));
        if (strcmp(text, l->text) == 0)
                return false;
        (void)strlcpy(l->text, text, sizeof(l->text));
        notify_tell_lightly(l->notify, "STATUS=%s", text);
        l->told_at = clock_nsec(CLOCK_MONOTONIC) / NSEC_PER_USEC;
        return true;
}

static void look_at(struct status_line *l, uint64_t usec)
{
        (void)sd_event_source_set_time(l->timer, usec);
        (void)sd_event_source_set_enabled(l->timer, SD_EVENT_ONESHOT);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
        struct status_line *l = userdata;

        if (l->overridden)
                return 0;
        l->looks = tell_line(l) ? LOOKS : l->looks - 1;
        if (l->looks > 0)
                look_at(l, clock_nsec(CLOCK_MONOTONIC) / NSEC_PER_USEC + INTERVAL_USEC);
        return 0;
}

int status_line_new(sd_event *loop, struct engine *engine, struct notify *notify,
                    size_t n_listeners, struct status_line **ret)
{
        struct status_line *l = calloc(1, sizeof(*l));
        int r;

        if (!l)
                return -ENOMEM;
        l->engine = engine;
        l->notify = notify;
        l->n_listeners = n_listeners;
        r = sd_event_add_time(loop, &l->timer, CLOCK_MONOTONIC, 0, 0, on_timer, l);
        if (r >= 0)
                r = sd_event_source_set_enabled(l->timer, SD_EVENT_OFF);
        if (r < 0) {
                status_line_free(l);
                return r;
        }
        *ret = l;
        return 0;
}

struct status_line *status_line_free(struct status_line *line)
{
        if (!line)
                return NULL;
        sd_event_source_disable_unref(line->timer);
        free(line);
        return NULL;
}

void status_line_ready(struct status_line *line)
{
        format_line(line, line->text, sizeof(line->text));
        notify_tell(line->notify, "READY=1\nSTATUS=%s", line->text);
}

void status_line_touch(struct status_line *line)
{
        if (line->looks > 0)
                return;
        line->looks = LOOKS;
        look_at(line, line->told_at + INTERVAL_USEC);
}

void status_line_override(struct status_line *line, const char *text)
{
        line->overridden = text != NULL;
        line->text[0] = '\0';
        if (text)
                notify_tell_lightly(line->notify, "STATUS=%s", text);
        else
                (void)tell_line(line);
}
