/* SPDX-License-Identifier: Apache-2.0 */
/* busrtctl rpc call, call0 and notify. */
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>

#include "basic/macro.h"
#include "busrtctl/reply.h"
#include "busrtctl/source.h"
#include "busrtctl/value.h"
#include "busrtctl/verb-rpc.h"

static const char help[] =
        "Usage: busrtctl [OPTION]... rpc call   [OPTION]... TARGET METHOD [PARAM]...\n"
        "       busrtctl [OPTION]... rpc call0  [OPTION]... TARGET METHOD [PARAM]...\n"
        "       busrtctl [OPTION]... rpc notify [OPTION]... TARGET [PAYLOAD]...\n"
        "       busrtctl [OPTION]... rpc listen [OPTION]...\n"
        "\n"
        "call calls a method and prints its result as JSON; call0 calls and wants no reply; "
        "notify\n"
        "sends a notification; listen prints what others call here (rpc listen --help).\n"
        "\n"
        "Parameters are KEY=VALUE, sent as a MessagePack map: true, false, integers, numbers, all\n"
        "else is text. One argument that begins with { or [ is JSON. The payload of notify is the\n"
        "arguments, divided by blanks, as they are.\n"
        "\n"
        "Options:\n"
        "  -j, --params JSON   the parameters, or the payload, as JSON of any kind; -: from "
        "standard\n"
        "                      input\n"
        "  -f, --file FILE     the same as bytes from a file, sent as they are; -: standard input\n"
        "      --realtime      the broker and the receiver are asked not to delay it\n"
        "  -r, --raw           call: print the bytes of the result as they are\n"
        "      --json          call: print JSON on one line, also where the result is not "
        "MessagePack\n"
        "  -h, --help          this text\n"
        "\n"
        "Examples:\n"
        "  busrtctl rpc call .broker info\n"
        "  busrtctl rpc call .broker client.list filter='^plc'\n"
        "  busrtctl rpc call plc.1 set name=pump speed=2.5 on=true\n"
        "  busrtctl rpc call plc.1 set '{\"name\": \"pump\", \"speeds\": [1, 2.5]}'\n";

enum rpc_verb { RPC_CALL, RPC_CALL0, RPC_NOTIFY };

static const char *const verb_names[] = {"rpc call", "rpc call0", "rpc notify"};

struct rpc {
        struct settings settings;
        enum rpc_verb verb;
        const char *json, *file;
        bool raw;
        unsigned qos;
        struct text params;
};

enum { OPTION_JSON = 0x100, OPTION_REALTIME };

static const struct option options[] = {
        {"params", required_argument, NULL, 'j'},
        {"file", required_argument, NULL, 'f'},
        {"realtime", no_argument, NULL, OPTION_REALTIME},
        {"raw", no_argument, NULL, 'r'},
        {"json", no_argument, NULL, OPTION_JSON},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
};

/* 0, or an exit status below 0. */
static int take_option(struct rpc *rpc, int c, char **argv)
{
        switch (c) {
        case 'j':
                rpc->json = optarg;
                return -check_given(verb_names[rpc->verb], "--params", optarg);
        case 'f':
                rpc->file = optarg;
                return -check_given(verb_names[rpc->verb], "--file", optarg);
        case 'r':
                rpc->raw = true;
                return 0;
        case OPTION_JSON:
                rpc->settings.json = true;
                return 0;
        case OPTION_REALTIME:
                rpc->qos = BUSRT_QOS_REALTIME;
                return 0;
        default:
                return -option_error(verb_names[rpc->verb], c, argv);
        }
}

/* --- Parameters: each 0, or an exit status below 0 --- */

/* All of a file, or of standard input for "-". */
static int read_file(const char *file, struct text *out)
{
        struct source source = {.fd = -1};
        const char *data = NULL;
        size_t len = 0;
        int fd = strcmp(file, "-") == 0 ? STDIN_FILENO : open(file, O_RDONLY | O_CLOEXEC), r;

        if (fd < 0)
                return -fail(0, "%s: %s", file, strerrordesc_np(errno));
        r = source_init_whole(&source, fd, 1);
        if (r >= 0 && source_next(&source, &data, &len) > 0)
                text_add(out, data, len);
        source_done(&source);
        return r < 0 ? -fail(0, "%s: %s", file, strerrordesc_np(-r)) : 0;
}

static int take_json(struct rpc *rpc, const char *json, size_t len)
{
        _cleanup_free_ char *error = NULL;
        int r = value_from_json(&rpc->params, json, len, &error);

        if (r == -EBADMSG)
                return -usage_error(verb_names[rpc->verb], "not JSON: %s", error);
        return r < 0 ? -fail(r, "the parameters") : 0;
}

static int take_words(struct rpc *rpc, char **words, size_t n)
{
        _cleanup_free_ char *error = NULL;
        int r = value_from_words(&rpc->params, words, n, &error);

        if (r == -EBADMSG)
                return -usage_error(verb_names[rpc->verb], "%s", error);
        return r < 0 ? -fail(r, "the parameters") : 0;
}

static int take_payload(struct rpc *rpc, char **words, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                text_adds(&rpc->params, i > 0 ? " " : "");
                text_adds(&rpc->params, words[i]);
        }
        return 0;
}

static int take_params(struct rpc *rpc, char **words, size_t n)
{
        _cleanup_(text_done) struct text json = {0};
        int r;

        if ((rpc->json != NULL) + (rpc->file != NULL) + (n > 0) > 1)
                return -usage_error(verb_names[rpc->verb],
                                    "only one of arguments, --params and --file");
        if (rpc->file)
                return read_file(rpc->file, &rpc->params);
        if (rpc->json && strcmp(rpc->json, "-") == 0) {
                r = read_file("-", &json);
                return r < 0 ? r : take_json(rpc, json.data ? json.data : "", json.len);
        }
        if (rpc->json)
                return take_json(rpc, rpc->json, strlen(rpc->json));
        if (rpc->verb == RPC_NOTIFY)
                return take_payload(rpc, words, n);
        if (n == 1 && strchr("{[", words[0][0]) && words[0][0])
                return take_json(rpc, words[0], strlen(words[0]));
        return n > 0 ? take_words(rpc, words, n) : 0;
}

/* --- Doing it --- */

static int call(const struct rpc *rpc, busrt_client *client, const char *target, const char *method)
{
        _cleanup_(busrt_frame_unrefp) busrt_frame *reply = NULL;
        const void *data;
        size_t len;

        if (call_method(client, target, method, &rpc->params, rpc->qos, &reply) < 0)
                return EXIT_FAILURE;
        data = busrt_frame_get_payload(reply, &len);
        if (!rpc->raw)
                return print_payload(&rpc->settings, data, len);
        if (len > 0)
                (void)fwrite(data, 1, len, stdout);
        return finish_output(EXIT_SUCCESS);
}

/* method: NULL for a notification. */
static int run(const struct rpc *rpc, const char *target, const char *method)
{
        _cleanup_(busrt_client_freep) busrt_client *client = NULL;
        struct iovec iov = {rpc->params.data, rpc->params.len};
        unsigned qos = rpc->qos | BUSRT_QOS_PROCESSED;
        int r;

        if (rpc->params.failed)
                return fail(ENOMEM, "the parameters");
        if (connect_broker(&rpc->settings, &client) < 0)
                return EXIT_FAILURE;
        if (rpc->verb == RPC_CALL)
                return call(rpc, client, target, method);
        r = method ? busrt_client_call0(client, target, method, &iov, 1, qos, NULL)
                   : busrt_client_notify(client, target, &iov, 1, qos, NULL);
        if (r < 0)
                return method ? fail(r, "%s %s", target, method)
                              : fail(r, "cannot notify \"%s\"", target);
        return EXIT_SUCCESS;
}

static int verb_one(struct rpc *rpc, int argc, char **argv)
{
        const char *name = verb_names[rpc->verb], *target, *method = NULL;
        int c, r;

        while ((c = getopt_long(argc, argv, ":j:f:rh", options, NULL)) >= 0) {
                if (c == 'h')
                        return print_help(&rpc->settings, help);
                r = take_option(rpc, c, argv);
                if (r < 0)
                        return -r;
        }
        if (optind == argc)
                return usage_error(name, "the name of a client is missing");
        target = argv[optind++];
        if (check_given(name, "the name of a client", target) > 0)
                return EXIT_USAGE;
        if (rpc->verb != RPC_NOTIFY && optind == argc)
                return usage_error(name, "the method is missing");
        if (rpc->verb != RPC_NOTIFY)
                method = argv[optind++];
        if (method && check_given(name, "the method", method) > 0)
                return EXIT_USAGE;
        r = take_params(rpc, argv + optind, (size_t)(argc - optind));
        return r < 0 ? -r : run(rpc, target, method);
}

int verb_rpc(const struct settings *settings, int argc, char **argv)
{
        struct rpc rpc = {.settings = *settings};
        int r;

        if (argc < 2)
                return usage_error("rpc", "one of call, call0, notify and listen is missing");
        if (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0)
                return print_help(settings, help);
        if (strcmp(argv[1], "listen") == 0)
                return rpc_listen(settings, argc - 1, argv + 1);
        for (size_t i = 0; i < ARRAY_SIZE(verb_names); i++)
                if (strcmp(argv[1], verb_names[i] + strlen("rpc ")) == 0) {
                        rpc.verb = (enum rpc_verb)i;
                        r = verb_one(&rpc, argc - 1, argv + 1);
                        text_done(&rpc.params);
                        return r;
                }
        return usage_error("rpc", "\"%s\" is none of call, call0, notify and listen", argv[1]);
}
