/* SPDX-License-Identifier: Apache-2.0 */
/* busrtctl stats: what the broker has moved since it started, or with --watch, moves now. */
#include <getopt.h>
#include <stdio.h>

#include "basic/macro.h"
#include "busrtctl/reply.h"

static const char help[] =
        "Usage: busrtctl [OPTION]... stats [OPTION]...\n"
        "\n"
        "Tells what was sent into the bus since the broker started (in), and what was sent on to\n"
        "receivers (out).\n"
        "\n"
        "Options:\n"
        "  -w, --watch           go on, with a line of rates per interval\n"
        "  -i, --interval TIME   between lines (1s); as --watch\n"
        "  -c, --count N         end after N lines; as --watch\n"
        "      --json            the broker's answer as JSON; with --watch one object per line\n"
        "  -h, --help            this text\n";

/* Lines until the headings are shown again. */
#define PAGE_LINES 20

enum { UPTIME, R_FRAMES, R_BYTES, W_FRAMES, W_BYTES, N_FIELDS };

static const char *const names[N_FIELDS] = {"uptime", "r_frames", "r_bytes", "w_frames", "w_bytes"};

struct counters {
        uint64_t time; /* microseconds, monotonic */
        uint64_t n[N_FIELDS];
};

struct stats {
        struct settings settings;
        bool watch;
        uint64_t interval, count;
        busrt_client *client;
};

/* --- Asking --- */

static int read_counters(const busrt_frame *reply, struct counters *ret)
{
        _cleanup_(msgpack_unpacked_destroy) msgpack_unpacked stats;
        struct counters counters = {.time = now_usec()};
        int r;

        msgpack_unpacked_init(&stats);
        r = unpack_reply(reply, &stats);
        for (size_t i = 0; r >= 0 && i < N_FIELDS; i++)
                r = busrt_map_get_uint(&stats.data, names[i], &counters.n[i]);
        if (r >= 0)
                *ret = counters;
        return r;
}

/* 0, or an exit status below 0. */
static int get_counters(const struct stats *stats, struct counters *ret)
{
        _cleanup_(busrt_frame_unrefp) busrt_frame *reply = NULL;

        if (call_method(stats->client, ".broker", "stats", NULL, 0, &reply) < 0)
                return -EXIT_FAILURE;
        if (read_counters(reply, ret) < 0)
                return -fail(0, "the broker's answer is no statistics");
        return 0;
}

/* --- Once --- */

static void print_uptime(const struct settings *settings, uint64_t seconds)
{
        (void)printf("%sUptime%s ", ansi(settings, ANSI_BOLD), ansi(settings, ANSI_RESET));
        if (seconds >= 86400)
                (void)printf(" %llu d", (unsigned long long)(seconds / 86400));
        if (seconds >= 3600)
                (void)printf(" %llu h", (unsigned long long)(seconds / 3600 % 24));
        if (seconds >= 60)
                (void)printf(" %llu min", (unsigned long long)(seconds / 60 % 60));
        (void)printf(" %llu s\n", (unsigned long long)(seconds % 60));
}

static void print_totals(const struct settings *settings, const struct counters *counters)
{
        char frames[TEXT_NUMBER_MAX], bytes[TEXT_NUMBER_MAX];

        print_uptime(settings, counters->n[UPTIME]);
        for (size_t i = R_FRAMES; i < N_FIELDS; i += 2)
                (void)printf("%s%-7s%s %20s frames %12s\n", ansi(settings, ANSI_BOLD),
                             i == R_FRAMES ? "In" : "Out", ansi(settings, ANSI_RESET),
                             text_count(counters->n[i], frames),
                             text_bytes(counters->n[i + 1], bytes));
}

static int run_once(const struct stats *stats)
{
        _cleanup_(busrt_frame_unrefp) busrt_frame *reply = NULL;
        struct counters counters;
        const void *data;
        size_t len;

        if (!stats->settings.json) {
                if (get_counters(stats, &counters) < 0)
                        return EXIT_FAILURE;
                print_totals(&stats->settings, &counters);
                return finish_output(EXIT_SUCCESS);
        }
        if (call_method(stats->client, ".broker", "stats", NULL, 0, &reply) < 0)
                return EXIT_FAILURE;
        data = busrt_frame_get_payload(reply, &len);
        return print_payload(&stats->settings, data, len);
}

/* --- Watching --- */

static double rate(const struct counters *now, const struct counters *before, size_t field)
{
        double seconds = (double)MAX(now->time - before->time, UINT64_C(1)) / 1e6;

        return now->n[field] < before->n[field]
                       ? 0
                       : (double)(now->n[field] - before->n[field]) / seconds;
}

static void print_headings(const struct settings *settings)
{
        (void)printf("%s%-8s %14s %14s %14s %14s%s\n", ansi(settings, ANSI_BOLD), "TIME",
                     "IN FRAMES/s", "IN BYTES/s", "OUT FRAMES/s", "OUT BYTES/s",
                     ansi(settings, ANSI_RESET));
}

static void print_rates(const struct settings *settings, const struct counters *now,
                        const struct counters *before)
{
        time_t clock = time(NULL);
        struct tm tm;

        (void)localtime_r(&clock, &tm);
        (void)printf("%02d:%02d:%02d", tm.tm_hour, tm.tm_min, tm.tm_sec);
        for (size_t i = R_FRAMES; i < N_FIELDS; i++) {
                char number[TEXT_NUMBER_MAX];
                uint64_t n = (uint64_t)(rate(now, before, i) + 0.5);

                (void)printf(" %14s", i == R_BYTES || i == W_BYTES ? text_bytes(n, number)
                                                                   : text_count(n, number));
        }
        (void)printf("\n");
}

static void print_json(const struct counters *now, const struct counters *before)
{
        (void)printf("{\"seconds\":%.6f", (double)(now->time - before->time) / 1e6);
        for (size_t i = 0; i < N_FIELDS; i++)
                (void)printf(",\"%s\":%llu", names[i], (unsigned long long)now->n[i]);
        for (size_t i = R_FRAMES; i < N_FIELDS; i++)
                (void)printf(",\"%s_per_second\":%.1f", names[i], rate(now, before, i));
        (void)printf("}\n");
}

/* Drops the publications that every client gets. */
static void drop_frame(busrt_client *client, busrt_frame *frame, void *userdata)
{
}

static int run_watch(const struct stats *stats)
{
        struct counters before, now;
        int r = catch_interrupts();

        if (r < 0)
                return fail(r, "cannot catch signals");
        if (get_counters(stats, &before) < 0)
                return interrupted() ? EXIT_SUCCESS : EXIT_FAILURE;
        for (uint64_t line = 0; line < stats->count; line++) {
                r = process_until(stats->client, before.time + stats->interval, NULL);
                if (r == -EINTR)
                        break;
                if (r < 0)
                        return fail(r, "the connection is lost");
                if (get_counters(stats, &now) < 0)
                        return interrupted() ? EXIT_SUCCESS : EXIT_FAILURE;
                if (stats->settings.json)
                        print_json(&now, &before);
                else if (line % PAGE_LINES == 0)
                        print_headings(&stats->settings);
                if (!stats->settings.json)
                        print_rates(&stats->settings, &now, &before);
                if (finish_output(EXIT_SUCCESS) != EXIT_SUCCESS)
                        return EXIT_FAILURE;
                before = now;
        }
        return EXIT_SUCCESS;
}

static int run(struct stats *stats)
{
        int r;

        if (connect_broker(&stats->settings, &stats->client) < 0)
                return EXIT_FAILURE;
        (void)busrt_client_set_frame_handler(stats->client, drop_frame, NULL);
        r = stats->watch ? run_watch(stats) : run_once(stats);
        stats->client = busrt_client_free(stats->client);
        return r;
}

enum { OPTION_JSON = 0x100 };

/* 0, or an exit status below 0. */
static int take_option(struct stats *stats, int c, char **argv)
{
        stats->watch = stats->watch || c == 'w' || c == 'i' || c == 'c';
        switch (c) {
        case 'w':
                return 0;
        case 'i':
                if (parse_time(optarg, &stats->interval) < 0)
                        return -usage_error("stats", "-i \"%s\": not a time", optarg);
                return 0;
        case 'c':
                if (parse_number(optarg, 1, UINT64_MAX, &stats->count) < 0)
                        return -usage_error("stats", "-c \"%s\": not a number above 0", optarg);
                return 0;
        case OPTION_JSON:
                stats->settings.json = true;
                return 0;
        default:
                return -option_error("stats", c, argv);
        }
}

int verb_stats(const struct settings *settings, int argc, char **argv)
{
        static const struct option options[] = {
                {"watch", no_argument, NULL, 'w'},       {"interval", required_argument, NULL, 'i'},
                {"count", required_argument, NULL, 'c'}, {"json", no_argument, NULL, OPTION_JSON},
                {"help", no_argument, NULL, 'h'},        {NULL, 0, NULL, 0},
        };
        struct stats stats = {.settings = *settings, .interval = 1000000, .count = UINT64_MAX};
        int c, r;

        while ((c = getopt_long(argc, argv, ":wi:c:h", options, NULL)) >= 0) {
                if (c == 'h')
                        return print_help(settings, help);
                r = take_option(&stats, c, argv);
                if (r < 0)
                        return -r;
        }
        if (optind < argc)
                return usage_error("stats", "it takes no arguments: \"%s\"", argv[optind]);
        return run(&stats);
}
