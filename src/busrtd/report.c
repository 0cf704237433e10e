/* SPDX-License-Identifier: Apache-2.0 */
#include <bsd/string.h>
#include <stdio.h>

#include "basic/clock.h"
#include "basic/macro.h"
#include "busrtd/limiter.h"
#include "busrtd/messages.h"
#include "busrtd/report.h"
#include "busrtd/text.h"

#define WINDOW (10 * NSEC_PER_SEC)
#define CLIENT_BURST 10
#define IDENTITY_BURST 100
#define KEY_MAX 224

struct report {
        struct log *log;
        struct limiter *clients;    /* by name and origin, or by FIFO or listener */
        struct limiter *identities; /* by user or address: names are free to invent */
        sd_event_source *timer;     /* for summaries */
        uint64_t timer_at;
};

static void report_summary(struct report *r, const struct limiter_summary *summary)
{
        struct log_record record;

        if (!summary->suppressed)
                return;
        message_suppressed(&record, summary->who, summary->suppressed, summary->weight);
        log_submit(r->log, &record);
}

/* Wakes up when the next summary is due. */
static void report_arm(struct report *r)
{
        uint64_t at = MIN(limiter_deadline(r->clients), limiter_deadline(r->identities));

        if (at == UINT64_MAX || at == r->timer_at)
                return;
        r->timer_at = at;
        (void)sd_event_source_set_time(r->timer, at / NSEC_PER_USEC + 1);
        (void)sd_event_source_set_enabled(r->timer, SD_EVENT_ONESHOT);
}

static void report_take_summaries(struct report *r, struct limiter *limiter, uint64_t now)
{
        struct limiter_summary summary;

        while (limiter_take_summary(limiter, now, &summary))
                report_summary(r, &summary);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
        struct report *r = userdata;
        uint64_t now = clock_nsec(CLOCK_MONOTONIC);

        r->timer_at = 0;
        report_take_summaries(r, r->clients, now);
        report_take_summaries(r, r->identities, now);
        report_arm(r);
        return 0;
}

int report_new(sd_event *loop, struct log *log, struct report **ret)
{
        struct report *report = calloc(1, sizeof(*report));
        int r;

        if (!report)
                return -ENOMEM;
        report->log = log;
        r = limiter_new(CLIENT_BURST, WINDOW, &report->clients);
        if (r >= 0)
                r = limiter_new(IDENTITY_BURST, WINDOW, &report->identities);
        if (r >= 0)
                r = sd_event_add_time(loop, &report->timer, CLOCK_MONOTONIC, 0, 0, on_timer,
                                      report);
        if (r >= 0)
                r = sd_event_source_set_enabled(report->timer, SD_EVENT_OFF);
        if (r < 0) {
                report_free(report);
                return r;
        }
        *ret = report;
        return 0;
}

struct report *report_free(struct report *report)
{
        if (!report)
                return NULL;
        sd_event_source_disable_unref(report->timer);
        limiter_free(report->identities);
        limiter_free(report->clients);
        free(report);
        return NULL;
}

void report_record(struct report *report, const struct log_record *record)
{
        log_submit(report->log, record);
}

static bool report_pass(struct report *r, struct limiter *limiter, const char *key, uint64_t weight)
{
        struct limiter_summary evicted;
        bool pass = limiter_pass(limiter, key, weight, clock_nsec(CLOCK_MONOTONIC), &evicted);

        report_summary(r, &evicted);
        if (!pass)
                report_arm(r);
        return pass;
}

void report_limited(struct report *report, const char *key, const struct log_record *record)
{
        if (log_wants(report->log, record->priority) &&
            report_pass(report, report->clients, key, 0))
                log_submit(report->log, record);
}

/* "user 1000", "192.0.2.7" */
static void identity_key(const struct engine_event *event, char *out, size_t size)
{
        char *port;

        if (event->kind == TRANSPORT_UNIX) {
                (void)snprintf(out, size, "user %u", (unsigned)event->uid);
                return;
        }
        (void)strlcpy(out, event->source, size);
        port = strrchr(out, ':');
        if (port)
                *port = '\0';
}

void report_engine_event(struct report *report, const struct engine_event *event)
{
        char identity[80], key[KEY_MAX], name[sizeof(event->name)];
        struct log_record record;
        uint64_t dropped = event->type == ENGINE_EVENT_DROPPED ? event->n_frames : 0;

        if (!message_event(&record, event) || !log_wants(report->log, record.priority))
                return;
        if (event->type == ENGINE_EVENT_RESYNC) {
                report_limited(report, "the log", &record);
                return;
        }
        identity_key(event, identity, sizeof(identity));
        if (event->name[0])
                (void)snprintf(key, sizeof(key), "client \"%s\" of %s",
                               text_visible(event->name, name, sizeof(name)), identity);
        else
                (void)snprintf(key, sizeof(key), "clients without a name of %s", identity);
        /* Whoever turns the debug lines on wants to see them all. */
        if (report_pass(report, report->clients, key, dropped) &&
            (record.priority == LOG_DEBUG ||
             report_pass(report, report->identities, identity, dropped)))
                log_submit(report->log, &record);
}
