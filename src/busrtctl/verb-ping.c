/* SPDX-License-Identifier: Apache-2.0 */
/* busrtctl ping: round trips of the call "test", one at a time, as ping(8) prints them. An error
 * reply has gone the same way, so that any client that serves calls can be pinged. */
#include <getopt.h>
#include <math.h>
#include <stdio.h>

#include "basic/clock.h"
#include "basic/macro.h"
#include "busrtctl/reply.h"

static const char help[] =
        "Usage: busrtctl [OPTION]... ping [OPTION]... [TARGET]\n"
        "\n"
        "Measures how long calls through the broker take: to the broker itself, or to the client\n"
        "TARGET, and from there back. Ctrl-C ends it with a summary.\n"
        "\n"
        "Options:\n"
        "  -c, --count N         end after N\n"
        "  -i, --interval TIME   from one call to the next (1s); 0: each at once after the answer\n"
        "  -q, --quiet           only the summary\n"
        "      --realtime        the calls are not to be delayed\n"
        "      --json            one object per line, the summary last\n"
        "  -h, --help            this text\n"
        "\n"
        "How long an answer may take is said before the verb: busrtctl -t 100ms ping.\n"
        "The status is 0 if there were answers, and none was lost.\n";

struct ping {
        struct settings settings;
        const char *target;
        uint64_t count, interval; /* microseconds */
        unsigned qos;
        bool quiet;

        /* The call on its way. */
        bool pending;
        uint64_t start; /* nanoseconds */

        uint64_t begin, end, sent, received;
        double min, max, sum, squares; /* milliseconds */
};

/* --- Output --- */

static const char *lost_text(int result)
{
        return result == -ETIMEDOUT      ? "no answer in time"
               : result == -EHOSTUNREACH ? "nobody has that name"
                                         : busrt_strerror(result);
}

static void print_answer_json(const struct ping *ping, int result, double ms, int code)
{
        (void)printf("{\"seq\":%llu,\"time_ms\":", (unsigned long long)ping->sent);
        if (result == 0 || result == -EREMOTEIO)
                (void)printf("%.6f,\"lost\":null", ms);
        else
                (void)printf("null,\"lost\":\"%s\"", lost_text(result));
        (void)printf(code ? ",\"error_code\":%d}\n" : ",\"error_code\":null}\n", code);
}

static void print_answer(const struct ping *ping, int result, double ms, int code)
{
        _cleanup_free_ char *target = text_visible(ping->target);
        const char *name = rpc_code_name(code);

        if (result != 0 && result != -EREMOTEIO) {
                (void)printf("%s: seq=%llu %s%s%s\n", target ? target : "?",
                             (unsigned long long)ping->sent, ansi(&ping->settings, ANSI_RED),
                             lost_text(result), ansi(&ping->settings, ANSI_RESET));
                return;
        }
        (void)printf("reply from %s: seq=%llu time=%.3f ms", target ? target : "?",
                     (unsigned long long)ping->sent, ms);
        /* That the method is not there is what most clients answer. */
        if (result == -EREMOTEIO && code != BUSRT_RPC_METHOD_NOT_FOUND)
                (void)printf(" (error %d%s%s)", code, name ? ", " : "", name ? name : "");
        (void)printf("\n");
}

static double mean_deviation(const struct ping *ping)
{
        double mean = ping->sum / (double)ping->received;
        double variance = ping->squares / (double)ping->received - mean * mean;

        return variance > 0 ? sqrt(variance) : 0;
}

static void print_summary_json(const struct ping *ping)
{
        (void)printf("{\"sent\":%llu,\"received\":%llu,\"seconds\":%.6f",
                     (unsigned long long)ping->sent, (unsigned long long)ping->received,
                     (double)(ping->end - ping->begin) / 1e9);
        if (ping->received > 0)
                (void)printf(",\"min_ms\":%.6f,\"avg_ms\":%.6f,\"max_ms\":%.6f,\"mdev_ms\":%.6f",
                             ping->min, ping->sum / (double)ping->received, ping->max,
                             mean_deviation(ping));
        (void)printf("}\n");
}

static void print_summary(const struct ping *ping)
{
        _cleanup_free_ char *target = text_visible(ping->target);
        double lost = ping->sent > 0
                              ? 100.0 * (double)(ping->sent - ping->received) / (double)ping->sent
                              : 0;

        (void)printf("\n--- %s ping statistics ---\n"
                     "%llu sent, %llu answered, %.3g%% lost, time %llu ms\n",
                     target ? target : "?", (unsigned long long)ping->sent,
                     (unsigned long long)ping->received, lost,
                     (unsigned long long)((ping->end - ping->begin) / NSEC_PER_MSEC));
        if (ping->received > 0)
                (void)printf("rtt min/avg/max/mdev = %.3f/%.3f/%.3f/%.3f ms\n", ping->min,
                             ping->sum / (double)ping->received, ping->max, mean_deviation(ping));
}

/* --- Pinging --- */

static void on_reply(busrt_client *client, int result, const busrt_rpc_error *error,
                     busrt_frame *reply, void *userdata)
{
        struct ping *ping = userdata;
        double ms = (double)(clock_nsec(CLOCK_MONOTONIC) - ping->start) / 1e6;
        int code = result == -EREMOTEIO && error ? error->code : 0;

        ping->pending = false;
        /* Whose connection has gone had no chance to be answered: the loop tells that. */
        if (result == -ECONNRESET)
                return;
        if (result == 0 || result == -EREMOTEIO) {
                ping->min = ping->received == 0 ? ms : fmin(ping->min, ms);
                ping->max = fmax(ping->max, ms);
                ping->sum += ms;
                ping->squares += ms * ms;
                ping->received++;
        }
        if (ping->settings.json && !ping->quiet)
                print_answer_json(ping, result, ms, code);
        else if (!ping->quiet)
                print_answer(ping, result, ms, code);
        (void)fflush(stdout);
}

static void drop_frame(busrt_client *client, busrt_frame *frame, void *userdata)
{
}

/* Until nothing is on its way and the time (nanoseconds) has come. 0; -EINTR, or the connection's
 * error. */
static int wait_for_turn(struct ping *ping, busrt_client *client, uint64_t turn)
{
        uint64_t now = clock_nsec(CLOCK_MONOTONIC);
        int r = 0;

        while (r >= 0 && (ping->pending || now < turn)) {
                r = wait_client(client,
                                ping->pending ? UINT64_MAX : (turn - now) / NSEC_PER_USEC + 1);
                while (r > 0)
                        r = busrt_client_process(client);
                now = clock_nsec(CLOCK_MONOTONIC);
        }
        return r;
}

static int ping_loop(struct ping *ping, busrt_client *client)
{
        uint64_t turn = clock_nsec(CLOCK_MONOTONIC);
        int r = 0;

        ping->begin = turn;
        while (r >= 0 && ping->sent < ping->count && !ferror(stdout)) {
                ping->start = clock_nsec(CLOCK_MONOTONIC);
                r = busrt_client_call_async(client, ping->target, "test", NULL, 0, ping->qos,
                                            BUSRT_TIMEOUT_DEFAULT, on_reply, ping, NULL);
                if (r < 0)
                        break;
                ping->pending = true;
                ping->sent++;
                turn += ping->interval * NSEC_PER_USEC;
                r = wait_for_turn(ping, client, ping->sent < ping->count ? turn : 0);
                /* After a long answer there is nothing to catch up. */
                turn = MAX(turn, clock_nsec(CLOCK_MONOTONIC));
        }
        /* What was on its way when it was told to stop was not given its time. */
        if (ping->pending && r == -EINTR)
                ping->sent--;
        ping->end = clock_nsec(CLOCK_MONOTONIC);
        return r == -EINTR ? 0 : r;
}

static void print_start(const struct ping *ping, busrt_client *client)
{
        _cleanup_free_ char *target = text_visible(ping->target),
                            *address = text_visible(busrt_client_get_address(client));

        if (!ping->settings.json)
                (void)printf("PING %s at %s\n", target ? target : "?", address ? address : "?");
        (void)fflush(stdout);
}

static int run(struct ping *ping)
{
        _cleanup_(busrt_client_freep) busrt_client *client = NULL;
        int r, status;

        if (connect_broker(&ping->settings, &client) < 0)
                return EXIT_FAILURE;
        r = catch_interrupts();
        if (r < 0)
                return fail(r, "cannot catch signals");
        (void)busrt_client_set_frame_handler(client, drop_frame, NULL);
        print_start(ping, client);
        r = ping_loop(ping, client);
        if (ping->settings.json)
                print_summary_json(ping);
        else
                print_summary(ping);
        status = finish_output(ping->received > 0 && ping->received == ping->sent ? EXIT_SUCCESS
                                                                                  : EXIT_FAILURE);
        if (r == -EINVAL)
                return fail(r, "cannot call \"%s\"", ping->target);
        return r < 0 ? fail(r, "the connection is lost") : status;
}

enum { OPTION_JSON = 0x100, OPTION_REALTIME };

/* 0, or an exit status below 0. */
static int take_option(struct ping *ping, int c, char **argv)
{
        switch (c) {
        case 'c':
                if (parse_number(optarg, 1, UINT64_MAX, &ping->count) < 0)
                        return -usage_error("ping", "-c \"%s\": not a number above 0", optarg);
                return 0;
        case 'i':
                ping->interval = 0;
                if (strcmp(optarg, "0") != 0 && parse_time(optarg, &ping->interval) < 0)
                        return -usage_error("ping", "-i \"%s\": not a time", optarg);
                return 0;
        case 'q':
                ping->quiet = true;
                return 0;
        case OPTION_REALTIME:
                ping->qos = BUSRT_QOS_REALTIME;
                return 0;
        case OPTION_JSON:
                ping->settings.json = true;
                return 0;
        default:
                return -option_error("ping", c, argv);
        }
}

int verb_ping(const struct settings *settings, int argc, char **argv)
{
        static const struct option options[] = {
                {"count", required_argument, NULL, 'c'},
                {"interval", required_argument, NULL, 'i'},
                {"quiet", no_argument, NULL, 'q'},
                {"realtime", no_argument, NULL, OPTION_REALTIME},
                {"json", no_argument, NULL, OPTION_JSON},
                {"help", no_argument, NULL, 'h'},
                {NULL, 0, NULL, 0},
        };
        struct ping ping = {.settings = *settings,
                            .target = ".broker",
                            .count = UINT64_MAX,
                            .interval = 1000000};
        int c, r;

        while ((c = getopt_long(argc, argv, ":c:i:qh", options, NULL)) >= 0) {
                if (c == 'h')
                        return print_help(settings, help);
                r = take_option(&ping, c, argv);
                if (r < 0)
                        return -r;
        }
        if (optind < argc)
                ping.target = argv[optind++];
        if (check_given("ping", "TARGET", ping.target) > 0)
                return EXIT_USAGE;
        if (optind < argc)
                return usage_error("ping", "more than one target: \"%s\"", argv[optind]);
        return run(&ping);
}
