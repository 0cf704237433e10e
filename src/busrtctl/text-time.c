/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <time.h>

#include "basic/clock.h"
#include "basic/macro.h"
#include "busrtctl/text-time.h"

#define USEC_PER_SEC UINT64_C(1000000)
/* Beyond as many of a unit the next one is noise. */
#define COARSE 10

uint64_t now_realtime(void)
{
        return clock_nsec(CLOCK_REALTIME) / NSEC_PER_USEC;
}

const char *text_span(uint64_t span, char out[TEXT_SPAN_MAX])
{
        static const struct {
                const char *name;
                uint64_t usec;
        } units[] = {{"d", 86400 * USEC_PER_SEC},
                     {"h", 3600 * USEC_PER_SEC},
                     {"min", 60 * USEC_PER_SEC},
                     {"s", USEC_PER_SEC},
                     {"ms", 1000},
                     {"us", 1}};
        size_t unit = 0, seconds = 3;
        uint64_t n, rest = 0;

        while (unit + 1 < ARRAY_SIZE(units) && span < units[unit].usec)
                unit++;
        n = span / units[unit].usec;
        if (unit < seconds && n < COARSE)
                rest = span % units[unit].usec / units[unit + 1].usec;
        if (span == 0)
                (void)snprintf(out, TEXT_SPAN_MAX, "0");
        else if (rest > 0)
                (void)snprintf(out, TEXT_SPAN_MAX, "%llu%s %llu%s", (unsigned long long)n,
                               units[unit].name, (unsigned long long)rest, units[unit + 1].name);
        else
                (void)snprintf(out, TEXT_SPAN_MAX, "%llu%s", (unsigned long long)n,
                               units[unit].name);
        return out;
}

/* Clocks of the past may be ahead of ours: what lies in the future is now. */
const char *text_age(uint64_t moment, uint64_t now, char out[TEXT_SPAN_MAX])
{
        char span[TEXT_SPAN_MAX];

        if (moment >= now || now - moment < USEC_PER_SEC)
                (void)snprintf(out, TEXT_SPAN_MAX, "now");
        else
                (void)snprintf(out, TEXT_SPAN_MAX, "%.40s ago", text_span(now - moment, span));
        return out;
}

static struct tm broken_down(uint64_t moment, bool utc)
{
        time_t seconds = (time_t)(moment / USEC_PER_SEC);
        struct tm tm = {0};

        (void)(utc ? gmtime_r(&seconds, &tm) : localtime_r(&seconds, &tm));
        return tm;
}

void text_add_clock(struct text *out, uint64_t moment, bool utc)
{
        struct tm tm = broken_down(moment, utc);

        text_addf(out, "%02d:%02d:%02d.%03u", tm.tm_hour, tm.tm_min, tm.tm_sec,
                  (unsigned)(moment % USEC_PER_SEC / 1000));
}

void text_add_date(struct text *out, uint64_t moment)
{
        struct tm tm = broken_down(moment, false);
        char date[64];

        text_add(out, date, strftime(date, sizeof(date), "%a %Y-%m-%d %H:%M:%S %Z", &tm));
}

void text_add_iso(struct text *out, uint64_t moment)
{
        struct tm tm = broken_down(moment, true);

        text_addf(out, "\"%04d-%02d-%02dT%02d:%02d:%02d.%06uZ\"", tm.tm_year + 1900, tm.tm_mon + 1,
                  tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (unsigned)(moment % USEC_PER_SEC));
}
