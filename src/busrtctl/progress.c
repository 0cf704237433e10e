/* SPDX-License-Identifier: Apache-2.0 */
#include "busrtctl/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "busrtctl/busrtctl.h"
#include "busrtctl/text.h"

#define REDRAW_USEC 200000
/* Short runs show nothing. */
#define FIRST_DRAW_USEC 500000

void progress_init(struct progress *progress, uint64_t total, bool verbose)
{
        *progress = (struct progress){
                .start = now_usec(),
                .total = total,
                .terminal = isatty(STDERR_FILENO),
                .verbose = verbose,
        };
        progress->drawn = progress->start + FIRST_DRAW_USEC - REDRAW_USEC;
}

static void print_state(const struct progress *progress, uint64_t now)
{
        char messages[TEXT_NUMBER_MAX], bytes[TEXT_NUMBER_MAX], rate[TEXT_NUMBER_MAX];
        double seconds = now > progress->start ? (double)(now - progress->start) / 1e6 : 1e-6;

        if (progress->label)
                (void)fprintf(stderr, "%s: %s", progress->label,
                              text_count(progress->messages, messages));
        else
                (void)fprintf(stderr, "%s %s, %s", text_count(progress->messages, messages),
                              progress->messages == 1 ? "message" : "messages",
                              text_bytes(progress->bytes, bytes));
        (void)fprintf(stderr, ", %.1f s, %s per second", seconds,
                      text_count((uint64_t)((double)progress->messages / seconds + 0.5), rate));
        if (progress->total > 1 && progress->messages < progress->total)
                (void)fprintf(stderr, ", %.0f %%",
                              100.0 * (double)progress->messages / (double)progress->total);
}

void progress_update(struct progress *progress)
{
        uint64_t now;

        if (!progress->terminal)
                return;
        now = now_usec();
        if (now - progress->drawn < REDRAW_USEC || now < progress->drawn)
                return;
        (void)fputs("\r", stderr);
        print_state(progress, now);
        (void)fputs("\033[K", stderr);
        (void)fflush(stderr);
        progress->drawn = now;
        progress->shown = true;
}

void progress_clear(struct progress *progress)
{
        if (progress->shown)
                (void)fputs("\r\033[K", stderr);
}

void progress_done(struct progress *progress)
{
        progress_clear(progress);
        if (!progress->shown && !progress->verbose)
                return;
        print_state(progress, now_usec());
        (void)fputs("\n", stderr);
}
