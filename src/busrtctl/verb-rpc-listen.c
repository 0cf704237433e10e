/* SPDX-License-Identifier: Apache-2.0 */
/*
 * busrtctl rpc listen: prints the calls and notifications that come, and answers the calls. They
 * are answered while standard output takes nothing, too; what cannot be shown then is counted.
 */
#include <getopt.h>
#include <stdio.h>

#include "basic/macro.h"
#include "busrtctl/output.h"
#include "busrtctl/reply.h"
#include "busrtctl/text-time.h"
#include "busrtctl/value.h"
#include "busrtctl/verb-rpc.h"

#define VERB "rpc listen"
/* Nothing is added while so many bytes wait for standard output. */
#define OUTPUT_HIGH ((size_t)8 * 1024 * 1024)

static const char help[] =
        "Usage: busrtctl [OPTION]... rpc listen [OPTION]...\n"
        "\n"
        "Prints the calls and notifications that are sent to this client's name (busrtctl -n NAME "
        "rpc\n"
        "listen), and answers the calls: with \"method not found\", unless told otherwise.\n"
        "\n"
        "Options:\n"
        "      --reply JSON         answer with this result\n"
        "      --error CODE[:TEXT]  answer with this error\n"
        "  -c, --count N            end after N\n"
        "      --for TIME           end after this time (10, 500ms, 2m)\n"
        "      --json               one JSON object per line\n"
        "  -v, --verbose            say on stderr when it listens, also where stderr is no "
        "terminal\n"
        "  -h, --help               this text\n"
        "\n"
        "Examples:\n"
        "  busrtctl -n plc.test rpc listen --reply '{\"ok\": true}'\n";

struct rpc_listen {
        struct settings settings;
        struct text reply; /* MessagePack */
        bool has_reply, has_error, verbose;
        int code;
        const char *error;
        uint64_t count, span;

        struct output output;
        uint64_t shown, hidden;
};

/* --- What came --- */

/* kind: "call", "call0" or "notification"; method: NULL for the last. */
static void add_human(struct rpc_listen *listen, const char *kind, const char *sender,
                      const char *method)
{
        struct text *out = &listen->output.text;
        const struct settings *settings = &listen->settings;

        text_adds(out, ansi(settings, ANSI_DIM));
        text_add_clock(out, now_realtime(), false);
        text_addf(out, " %-12s%s %s", kind, ansi(settings, ANSI_RESET), ansi(settings, ANSI_CYAN));
        text_add_visible(out, sender, strlen(sender));
        text_adds(out, ansi(settings, ANSI_RESET));
        if (method) {
                text_addf(out, " %s", ansi(settings, ANSI_GREEN));
                text_add_visible(out, method, strlen(method));
                text_adds(out, ansi(settings, ANSI_RESET));
        }
        text_adds(out, ": ");
}

static void add_json(struct rpc_listen *listen, const char *kind, const char *sender,
                     const char *method)
{
        struct text *out = &listen->output.text;

        text_adds(out, "{\"time\":");
        text_add_iso(out, now_realtime());
        text_addf(out, ",\"kind\":\"%s\",\"sender\":", kind);
        text_add_json(out, sender, strlen(sender));
        text_adds(out, ",\"method\":");
        if (method)
                text_add_json(out, method, strlen(method));
        else
                text_adds(out, "null");
        text_adds(out, ",\"params\":");
}

static void show(struct rpc_listen *listen, const char *kind, const char *sender,
                 const char *method, const void *data, size_t len)
{
        struct text *out = &listen->output.text;

        listen->shown++;
        if (output_waiting(&listen->output) >= OUTPUT_HIGH) {
                listen->hidden++;
                return;
        }
        if (!listen->settings.json) {
                add_human(listen, kind, sender, method);
                add_payload(out, &listen->settings, data, len, false);
                text_adds(out, len == 0 ? "\n" : "");
                return;
        }
        add_json(listen, kind, sender, method);
        add_payload(out, &listen->settings, data, len, false);
        if (!out->failed)
                out->len--; /* the newline */
        text_adds(out, "}\n");
}

static bool has_enough(const struct rpc_listen *listen)
{
        return listen->shown >= listen->count;
}

static void on_request(busrt_client *client, busrt_request *request, void *userdata)
{
        struct rpc_listen *listen = userdata;
        struct iovec reply = {listen->reply.data, listen->reply.len};
        size_t len;
        const void *params = busrt_request_get_params(request, &len);

        if (!has_enough(listen))
                show(listen, busrt_request_wants_reply(request) ? "call" : "call0",
                     busrt_request_get_sender(request), busrt_request_get_method(request), params,
                     len);
        if (listen->has_reply)
                (void)busrt_request_reply(request, &reply, 1);
        else
                (void)busrt_request_reply_error(request, listen->code, listen->error,
                                                strlen(listen->error));
}

static void on_notification(busrt_client *client, const char *sender, const void *payload,
                            size_t len, void *userdata)
{
        struct rpc_listen *listen = userdata;

        if (!has_enough(listen))
                show(listen, "notification", sender, NULL, payload, len);
}

/* Messages and publications are the matter of "listen". */
static void drop_frame(busrt_client *client, busrt_frame *frame, void *userdata)
{
}

/* --- Listening --- */

/* *ret_lost: what ended the connection. 0, or -errno of standard output. */
static int listen_loop(struct rpc_listen *listen, busrt_client *client, int *ret_lost)
{
        uint64_t start = now_usec();
        uint64_t end = listen->span < UINT64_MAX ? start + listen->span : UINT64_MAX;
        int r = 0;

        *ret_lost = 0;
        while (r >= 0 && !interrupted() && !has_enough(listen) && now_usec() < end) {
                int more = busrt_client_process(client);

                r = output_write(&listen->output, false);
                if (more < 0) {
                        *ret_lost = more;
                        break;
                }
                if (r >= 0 && more == 0 && !has_enough(listen))
                        r = output_wait(&listen->output, client, end);
        }
        return r < 0 ? r : output_write(&listen->output, !interrupted());
}

static int run(struct rpc_listen *listen)
{
        _cleanup_(busrt_client_freep) busrt_client *client = NULL;
        int r, lost = 0;

        if (connect_broker(&listen->settings, &client) < 0)
                return EXIT_FAILURE;
        r = catch_interrupts();
        if (r < 0)
                return fail(r, "cannot catch signals");
        (void)busrt_client_set_frame_handler(client, drop_frame, NULL);
        (void)busrt_client_set_request_handler(client, on_request, listen);
        (void)busrt_client_set_notification_handler(client, on_notification, listen);
        if (listen->verbose || isatty(STDERR_FILENO))
                (void)fprintf(stderr, "Serving as %s. Ctrl-C ends it.\n",
                              busrt_client_get_name(client));
        output_open(&listen->output);
        r = listen_loop(listen, client, &lost);
        output_done(&listen->output);
        if (lost >= 0)
                (void)busrt_client_flush(client, BUSRT_TIMEOUT_DEFAULT);
        if (listen->hidden > 0)
                (void)fprintf(stderr, "%llu not shown: the output was held for too long\n",
                              (unsigned long long)listen->hidden);
        if (r < 0 && r != -EPIPE)
                return fail(r, "cannot write the output");
        return lost < 0 ? fail(lost, "the connection is lost") : EXIT_SUCCESS;
}

/* --- The command line: 0, or an exit status below 0 --- */

static int take_reply(struct rpc_listen *listen, const char *json)
{
        _cleanup_free_ char *error = NULL;
        int r = value_from_json(&listen->reply, json, strlen(json), &error);

        listen->has_reply = true;
        if (r == -EBADMSG)
                return -usage_error(VERB, "--reply: not JSON: %s", error);
        return r < 0 ? -fail(r, "--reply") : 0;
}

static int take_error(struct rpc_listen *listen, const char *text)
{
        char *end;
        long code;

        errno = 0;
        code = strtol(text, &end, 10);
        if (end == text || (*end && *end != ':') || errno || code == 0 || code < INT16_MIN ||
            code > INT16_MAX)
                return -usage_error(VERB, "--error \"%s\": not CODE or CODE:TEXT, from %d to %d",
                                    text, INT16_MIN, INT16_MAX);
        listen->has_error = true;
        listen->code = (int)code;
        listen->error = *end ? end + 1 : "";
        return 0;
}

enum { OPTION_JSON = 0x100, OPTION_FOR, OPTION_REPLY, OPTION_ERROR };

static int take_option(struct rpc_listen *listen, int c, char **argv)
{
        switch (c) {
        case OPTION_REPLY:
                text_done(&listen->reply);
                return take_reply(listen, optarg);
        case OPTION_ERROR:
                return take_error(listen, optarg);
        case 'c':
                if (parse_number(optarg, 1, UINT64_MAX, &listen->count) < 0)
                        return -usage_error(VERB, "-c \"%s\": not a number above 0", optarg);
                return 0;
        case OPTION_FOR:
                if (parse_time(optarg, &listen->span) < 0)
                        return -usage_error(VERB, "--for \"%s\": not a time", optarg);
                return 0;
        case OPTION_JSON:
                listen->settings.json = true;
                return 0;
        case 'v':
                listen->verbose = true;
                return 0;
        default:
                return -option_error(VERB, c, argv);
        }
}

int rpc_listen(const struct settings *settings, int argc, char **argv)
{
        static const struct option options[] = {
                {"reply", required_argument, NULL, OPTION_REPLY},
                {"error", required_argument, NULL, OPTION_ERROR},
                {"count", required_argument, NULL, 'c'},
                {"for", required_argument, NULL, OPTION_FOR},
                {"json", no_argument, NULL, OPTION_JSON},
                {"verbose", no_argument, NULL, 'v'},
                {"help", no_argument, NULL, 'h'},
                {NULL, 0, NULL, 0},
        };
        struct rpc_listen listen = {
                .settings = *settings,
                .code = BUSRT_RPC_METHOD_NOT_FOUND,
                .error = "busrtctl rpc listen serves no methods",
                .count = UINT64_MAX,
                .span = UINT64_MAX,
        };
        int c, r = 0;

        while (r >= 0 && (c = getopt_long(argc, argv, ":c:vh", options, NULL)) >= 0) {
                if (c == 'h')
                        return print_help(settings, help);
                r = take_option(&listen, c, argv);
        }
        if (r >= 0 && optind < argc)
                r = -usage_error(VERB, "it takes no arguments: \"%s\"", argv[optind]);
        if (r >= 0 && listen.has_reply && listen.has_error)
                r = -usage_error(VERB, "--reply, and --error");
        r = r < 0 ? -r : run(&listen);
        text_done(&listen.reply);
        return r;
}
