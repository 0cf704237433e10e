/* SPDX-License-Identifier: Apache-2.0 */
/*
 * busrtctl listen: subscribes, and prints what comes until it has enough. While standard output
 * takes nothing, the connection is processed all the same, so that the broker does not drop a
 * listener whose output is held; frames wait in the library, which reads no further when it holds
 * many.
 */
#include <getopt.h>
#include <stdio.h>

#include "basic/macro.h"
#include "busrtctl/busrtctl.h"
#include "busrtctl/output.h"
#include "busrtctl/print-frame.h"

/* No frame is taken while so many bytes wait for standard output. */
#define OUTPUT_HIGH ((size_t)256 * 1024)
#define MASKS_MAX 1024

static const char help[] =
        "Usage: busrtctl [OPTION]... listen [OPTION]... [TOPIC]...\n"
        "\n"
        "Prints publications on these topics (by default #: all), and every message and broadcast\n"
        "that is sent to this client's name (busrtctl -n NAME listen). Masks: + is any one part, "
        "#\n"
        "at the end any further parts. Text is shown as text, all else as a hex dump.\n"
        "\n"
        "Options:\n"
        "  -x, --exclude MASK   no publications on these topics; may be repeated\n"
        "      --no-topics      no subscriptions: only what is sent to this client\n"
        "  -c, --count N        end after N\n"
        "      --for TIME       end after this time (10, 500ms, 2m)\n"
        "      --full           payloads are not cut\n"
        "  -r, --raw            payloads alone, each on a line\n"
        "  -0, --null           the same, each ended by a NUL\n"
        "      --json           one JSON object per line\n"
        "      --topics         topics alone, each on a line\n"
        "  -v, --verbose        say on stderr when it listens, and what has come at the end, also "
        "where\n"
        "                       stderr is no terminal\n"
        "  -h, --help           this text\n"
        "\n"
        "Examples:\n"
        "  busrtctl listen 'sensors/#' -x 'sensors/debug/#'\n"
        "  busrtctl listen --json alarms/+ | jq .payload\n"
        "  busrtctl -n plc.test listen --no-topics\n";

struct listen {
        const struct settings *settings;
        struct frame_style style;
        const char *excluded[MASKS_MAX];
        size_t n_excluded;
        bool no_topics, verbose;
        uint64_t count; /* UINT64_MAX: no end */
        uint64_t span;  /* microseconds; UINT64_MAX: no end */

        struct output output;
        uint64_t start, frames, bytes;
};

enum { OPTION_JSON = 0x100, OPTION_NO_TOPICS, OPTION_FOR, OPTION_FULL, OPTION_TOPICS };

static const struct option options[] = {
        {"exclude", required_argument, NULL, 'x'},
        {"no-topics", no_argument, NULL, OPTION_NO_TOPICS},
        {"count", required_argument, NULL, 'c'},
        {"for", required_argument, NULL, OPTION_FOR},
        {"full", no_argument, NULL, OPTION_FULL},
        {"raw", no_argument, NULL, 'r'},
        {"null", no_argument, NULL, '0'},
        {"json", no_argument, NULL, OPTION_JSON},
        {"topics", no_argument, NULL, OPTION_TOPICS},
        {"verbose", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
};

static void set_raw(struct frame_style *style, char delimiter)
{
        style->view = VIEW_RAW;
        style->delimiter = delimiter;
}

/* 0, or an exit status below 0. */
static int take_option(struct listen *listen, int c, char **argv)
{
        switch (c) {
        case 'x':
                if (listen->n_excluded == MASKS_MAX)
                        return -usage_error("listen", "more than %d exclusions", MASKS_MAX);
                listen->excluded[listen->n_excluded++] = optarg;
                return -check_given("listen", "-x", optarg);
        case 'c':
                if (parse_number(optarg, 1, UINT64_MAX - 1, &listen->count) < 0)
                        return -usage_error("listen", "-c \"%s\": not a number above 0", optarg);
                return 0;
        case OPTION_FOR:
                if (parse_time(optarg, &listen->span) < 0)
                        return -usage_error("listen", "--for \"%s\": not a time", optarg);
                return 0;
        case OPTION_NO_TOPICS:
                listen->no_topics = true;
                return 0;
        case OPTION_FULL:
                listen->style.full = true;
                return 0;
        case OPTION_JSON:
                listen->style.view = VIEW_JSON;
                return 0;
        case OPTION_TOPICS:
                listen->style.view = VIEW_TOPIC;
                return 0;
        case 'r':
                set_raw(&listen->style, '\n');
                return 0;
        case '0':
                set_raw(&listen->style, '\0');
                return 0;
        case 'v':
                listen->verbose = true;
                return 0;
        default:
                return -option_error("listen", c, argv);
        }
}

/* One by one: so that a refusal can say which. */
static int subscribe(busrt_client *client, char **topics, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                const char *topic = topics[i];
                int r = busrt_client_subscribe(client, &topic, 1, BUSRT_QOS_PROCESSED, NULL);

                if (r < 0)
                        return -fail_about(r, "cannot subscribe to", topic);
        }
        return 0;
}

static int join(struct listen *listen, char **topics, size_t n, busrt_client **ret)
{
        static char all[] = "#";
        char *everything[] = {all};
        int r;

        if (connect_broker(listen->settings, ret) < 0)
                return -EXIT_FAILURE;
        for (size_t i = 0; i < listen->n_excluded; i++) {
                r = busrt_client_exclude(*ret, &listen->excluded[i], 1, BUSRT_QOS_PROCESSED, NULL);
                if (r < 0)
                        return -fail_about(r, "cannot exclude", listen->excluded[i]);
        }
        if (listen->no_topics)
                return 0;
        return n > 0 ? subscribe(*ret, topics, n) : subscribe(*ret, everything, 1);
}

static bool has_enough(const struct listen *listen)
{
        return listen->frames >= listen->count;
}

/* Takes what has come. 0: that is all for now, or -errno. */
static int take_frames(struct listen *listen, busrt_client *client)
{
        while (!has_enough(listen) && output_waiting(&listen->output) < OUTPUT_HIGH) {
                busrt_frame *frame;
                size_t len = 0;
                int r = busrt_client_read(client, 0, &frame);

                if (r < 0)
                        return r == -EAGAIN || r == -ETIMEDOUT ? 0 : r;
                print_frame(&listen->output.text, listen->settings, &listen->style, frame);
                (void)busrt_frame_get_payload(frame, &len);
                listen->frames++;
                listen->bytes += len;
                busrt_frame_unref(frame);
        }
        return 0;
}

static uint64_t end_time(const struct listen *listen)
{
        return listen->span < UINT64_MAX ? listen->start + listen->span : UINT64_MAX;
}

/* *ret_lost: what ended the connection. 0, or -errno of standard output. */
static int listen_loop(struct listen *listen, busrt_client *client, int *ret_lost)
{
        int r = 0;

        *ret_lost = 0;
        while (r >= 0 && !interrupted() && !has_enough(listen) && *ret_lost >= 0) {
                int more = busrt_client_process(client);

                *ret_lost = take_frames(listen, client);
                r = output_write(&listen->output, false);
                if (now_usec() >= end_time(listen))
                        break;
                if (r >= 0 && *ret_lost >= 0 && more <= 0 && !has_enough(listen))
                        r = output_wait(&listen->output, client, end_time(listen));
        }
        return r < 0 ? r : output_write(&listen->output, !interrupted());
}

static void print_summary(const struct listen *listen)
{
        char frames[TEXT_NUMBER_MAX], bytes[TEXT_NUMBER_MAX];

        if (!listen->verbose && !isatty(STDERR_FILENO))
                return;
        (void)fprintf(stderr, "%s received, %s, in %.1f s\n", text_count(listen->frames, frames),
                      text_bytes(listen->bytes, bytes), (double)(now_usec() - listen->start) / 1e6);
}

static int run(struct listen *listen, char **topics, size_t n)
{
        _cleanup_(busrt_client_freep) busrt_client *client = NULL;
        int r, lost = 0;

        r = join(listen, topics, n, &client);
        if (r < 0)
                return -r;
        r = catch_interrupts();
        if (r < 0)
                return fail(r, "cannot catch signals");
        listen->start = now_usec();
        if (listen->verbose || isatty(STDERR_FILENO))
                (void)fprintf(stderr, "Listening as %s. Ctrl-C ends it.\n",
                              busrt_client_get_name(client));
        output_open(&listen->output);
        r = listen_loop(listen, client, &lost);
        output_done(&listen->output);
        if (r == -EPIPE)
                return EXIT_SUCCESS;
        if (r < 0)
                return fail(r, "cannot write the output");
        print_summary(listen);
        return lost < 0 ? fail(lost, "the connection is lost") : EXIT_SUCCESS;
}

int verb_listen(const struct settings *settings, int argc, char **argv)
{
        struct listen listen = {
                .settings = settings,
                .style = {.view = settings->json ? VIEW_JSON : VIEW_HUMAN},
                .count = UINT64_MAX,
                .span = UINT64_MAX,
        };
        int c, r;

        while ((c = getopt_long(argc, argv, ":x:c:r0vh", options, NULL)) >= 0) {
                if (c == 'h')
                        return print_help(settings, help);
                r = take_option(&listen, c, argv);
                if (r < 0)
                        return -r;
        }
        for (int i = optind; i < argc; i++)
                if (check_given("listen", "TOPIC", argv[i]) > 0)
                        return EXIT_USAGE;
        if (listen.no_topics && optind < argc)
                return usage_error("listen", "--no-topics, and a topic");
        return run(&listen, argv + optind, (size_t)(argc - optind));
}
