/* SPDX-License-Identifier: Apache-2.0 */
/* busrtctl monitor: who comes and goes on busrtd, who is refused, who loses frames, as it happens.
 */
#include <getopt.h>
#include <stdio.h>

#include "basic/macro.h"
#include "busrtctl/client-fields.h"
#include "busrtctl/output.h"
#include "busrtctl/text-time.h"

static const char help[] =
        "Usage: busrtctl [OPTION]... monitor [OPTION]... [PATTERN]...\n"
        "\n"
        "Prints what happens on busrtd, a line for each event, until it is interrupted. PATTERN: "
        "only\n"
        "of clients whose names match, as in a shell.\n"
        "\n"
        "Options:\n"
        "  -e, --event WHAT   only this: connected, gone, refused, bad-frame, struck, dropped,\n"
        "                     timeout, takeover, memory, denied, resync or shutdown; may be\n"
        "                     repeated, or be a list with commas\n"
        "  -c, --count N      end after N\n"
        "      --utc          times are UTC, else local\n"
        "      --json         one object per line, with times in UTC\n"
        "  -v, --verbose      say on stderr how it watches, also where stderr is no terminal\n"
        "  -h, --help         this text\n"
        "\n"
        "Examples:\n"
        "  busrtctl monitor 'plc.*'\n"
        "  busrtctl monitor -e struck,dropped --json\n";

#define WHAT_WIDTH 9

static const struct {
        const char *name, *color;
        bool everybodys; /* of no client alone: no pattern hides it */
} events[] = {
        {"connected", ANSI_GREEN},      {"gone", ANSI_DIM},
        {"refused", ANSI_YELLOW},       {"bad-frame", ANSI_RED},
        {"struck", ANSI_RED},           {"dropped", ANSI_YELLOW},
        {"timeout", ANSI_YELLOW},       {"takeover", ANSI_YELLOW},
        {"memory", ANSI_RED},           {"denied", ANSI_YELLOW},
        {"resync", ANSI_MAGENTA, true}, {"shutdown", ANSI_BOLD, true},
};

struct monitor {
        struct settings settings;
        char *const *patterns;
        bool wanted[ARRAY_SIZE(events)]; /* none: all */
        bool chosen, utc, verbose;
        uint64_t count;

        uint64_t shown;
        int status;
};

/* ARRAY_SIZE: a name from a newer broker. */
static size_t find_event(const char *name)
{
        size_t i = 0;

        while (i < ARRAY_SIZE(events) && strcmp(events[i].name, name) != 0)
                i++;
        return i;
}

static bool is_wanted(const struct monitor *monitor, const struct admin_event *event)
{
        size_t i = find_event(event->what);

        if (monitor->chosen && !(i < ARRAY_SIZE(events) && monitor->wanted[i]))
                return false;
        return (i < ARRAY_SIZE(events) && events[i].everybodys) ||
               name_matches(event->client, monitor->patterns);
}

/* --- Output --- */

static void add_human(struct text *out, const struct monitor *monitor,
                      const struct admin_event *event)
{
        const struct settings *settings = &monitor->settings;
        size_t i = find_event(event->what);
        bool alone = !event->client[0] && event->id == 0 && !event->detail[0];

        text_adds(out, ansi(settings, ANSI_DIM));
        text_add_clock(out, event->time, monitor->utc);
        text_addf(out, "%s %s", ansi(settings, ANSI_RESET),
                  ansi(settings, i < ARRAY_SIZE(events) ? events[i].color : ""));
        text_add_visible(out, event->what, strlen(event->what));
        for (size_t n = strlen(event->what); n < WHAT_WIDTH && !alone; n++)
                text_adds(out, " ");
        text_adds(out, ansi(settings, ANSI_RESET));
        if (event->client[0]) {
                text_addf(out, " %s", ansi(settings, ANSI_CYAN));
                text_add_visible(out, event->client, strlen(event->client));
                text_adds(out, ansi(settings, ANSI_RESET));
        }
        if (event->id > 0)
                text_addf(out, " (#%llu)", (unsigned long long)event->id);
        if (event->detail[0])
                text_adds(out, event->client[0] || event->id > 0 ? ": " : " ");
        text_add_visible(out, event->detail, strlen(event->detail));
        text_adds(out, "\n");
}

static void add_json(struct text *out, const struct admin_event *event)
{
        text_adds(out, "{\"time\":");
        text_add_iso(out, event->time);
        text_adds(out, ",\"event\":");
        text_add_json(out, event->what, strlen(event->what));
        if (event->id > 0)
                text_addf(out, ",\"id\":%llu,\"client\":", (unsigned long long)event->id);
        else
                text_adds(out, ",\"id\":null,\"client\":");
        text_add_json(out, event->client, strlen(event->client));
        text_adds(out, ",\"detail\":");
        text_add_json(out, event->detail, strlen(event->detail));
        text_adds(out, "}\n");
}

/* Non-zero ends the watching. */
static int on_event(const struct admin_event *event, void *userdata)
{
        _cleanup_(text_done) struct text out = {0};
        struct monitor *monitor = userdata;

        if (!is_wanted(monitor, event))
                return 0;
        if (monitor->settings.json)
                add_json(&out, event);
        else
                add_human(&out, monitor, event);
        monitor->status = print_text(&out);
        return monitor->status != EXIT_SUCCESS || ++monitor->shown == monitor->count;
}

/* --- The verb --- */

static int run(struct monitor *monitor)
{
        _cleanup_(admin_freep) struct admin *admin = NULL;
        int r = catch_interrupts();

        if (r < 0)
                return fail(r, "cannot catch signals");
        if (admin_open(&monitor->settings, &admin) < 0)
                return EXIT_FAILURE;
        if (monitor->verbose || isatty(STDERR_FILENO))
                (void)fprintf(stderr, "Watching %s. Ctrl-C ends it.\n", admin_route(admin));
        if (admin_watch(admin, on_event, monitor) < 0)
                return interrupted() ? EXIT_SUCCESS : EXIT_FAILURE;
        return monitor->status;
}

/* A list with commas. 0, or an exit status below 0. */
static int take_events(struct monitor *monitor, char *list)
{
        for (char *name; (name = strsep(&list, ",")) != NULL;) {
                size_t i = find_event(name);

                if (i == ARRAY_SIZE(events))
                        return -usage_error("monitor", "-e \"%s\": no such event", name);
                monitor->wanted[i] = true;
        }
        monitor->chosen = true;
        return 0;
}

enum { OPTION_JSON = 0x100, OPTION_UTC };

/* 0, or an exit status below 0. */
static int take_option(struct monitor *monitor, int c, char **argv)
{
        switch (c) {
        case 'e':
                return take_events(monitor, optarg);
        case 'c':
                if (parse_number(optarg, 1, UINT64_MAX, &monitor->count) < 0)
                        return -usage_error("monitor", "-c \"%s\": not a number above 0", optarg);
                return 0;
        case 'v':
                monitor->verbose = true;
                return 0;
        case OPTION_UTC:
                monitor->utc = true;
                return 0;
        case OPTION_JSON:
                monitor->settings.json = true;
                return 0;
        default:
                return -option_error("monitor", c, argv);
        }
}

int verb_monitor(const struct settings *settings, int argc, char **argv)
{
        static const struct option options[] = {
                {"event", required_argument, NULL, 'e'},
                {"count", required_argument, NULL, 'c'},
                {"utc", no_argument, NULL, OPTION_UTC},
                {"json", no_argument, NULL, OPTION_JSON},
                {"verbose", no_argument, NULL, 'v'},
                {"help", no_argument, NULL, 'h'},
                {NULL, 0, NULL, 0},
        };
        struct monitor monitor = {.settings = *settings};
        int c, r;

        while ((c = getopt_long(argc, argv, ":e:c:vh", options, NULL)) >= 0) {
                if (c == 'h')
                        return print_help(settings, help);
                r = take_option(&monitor, c, argv);
                if (r < 0)
                        return -r;
        }
        monitor.patterns = argv + optind;
        return run(&monitor);
}
