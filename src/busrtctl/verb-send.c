/* SPDX-License-Identifier: Apache-2.0 */
/*
 * busrtctl send, broadcast and publish. Payloads are sent in batches: what is there without
 * waiting, gathered by cork. Unless told otherwise the last of each batch is acknowledged. Since
 * the broker handles one sender's frames in order, that says that it has taken the whole batch, and
 * one missing target is noticed while there is more to send.
 */
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>

#include "basic/macro.h"
#include "busrtctl/busrtctl.h"
#include "busrtctl/progress.h"
#include "busrtctl/sender.h"
#include "busrtctl/source.h"
#include "busrtctl/text.h"

#define BATCH_MESSAGES 16384
#define BATCH_BYTES ((size_t)1024 * 1024)
/* With --rate, sleeps are no shorter: what falls due meanwhile is sent at once. */
#define SLEEP_MIN_USEC 1000
/* A connection that ends over a payload from here on was probably ended for its size. */
#define LARGE_PAYLOAD ((size_t)1024 * 1024)

static const char help_format[] =
        "Usage: busrtctl [OPTION]... %s\n"
        "\n"
        "%s\n"
        "\n"
        "The payload is the arguments, divided by blanks. Without, or with - alone, it is all of\n"
        "standard input. Nothing is printed on success, which means that the broker has taken it.\n"
        "\n"
        "Options:\n"
        "  -f, --file FILE      the payload is all of this file; -: standard input\n"
        "  -l, --lines          each line of standard input, or of the file, is a message; only "
        "the\n"
        "                       last line of what is there at a time is acknowledged (see -q)\n"
        "  -0, --null           the same, for messages that end with a NUL\n"
        "  -c, --count N        send it N times\n"
        "      --rate N         no more than N per second\n"
        "  -q, --qos QOS        no, processed, realtime or realtime-processed: \"processed\" has "
        "every\n"
        "                       message acknowledged, \"no\" and \"realtime\" none\n"
        "%s"
        "  -v, --verbose        say on stderr what was sent, also where it was quick\n"
        "  -h, --help           this text\n"
        "\n"
        "Examples:\n"
        "%s";

static const struct {
        enum sender_verb verb;
        const char *name, *usage, *summary, *options, *examples;
        const char *target, *failure;
} verbs[] = {
        {SENDER_SEND, "send", "send [OPTION]... TARGET [PAYLOAD]...",
         "Sends a message to the client of that name.", "",
         "  busrtctl send plc.1 start pump 3\n"
         "  busrtctl send plc.1 -f firmware.bin\n",
         "name of a receiver", "cannot send to"},
        {SENDER_BROADCAST, "broadcast", "broadcast [OPTION]... MASK [PAYLOAD]...",
         "Sends a message to every client whose name matches: ? is any one part between dots, * "
         "at\n"
         "the end any further parts.",
         "",
         "  busrtctl broadcast 'plc.*' stop\n"
         "  busrtctl broadcast 'plc.?.pump' stop\n",
         "mask of receivers", "cannot broadcast to"},
        {SENDER_PUBLISH, "publish", "publish [OPTION]... TOPIC [PAYLOAD]...",
         "Publishes to those who subscribe to the topic.",
         "      --for RECEIVER   only to this client, if it subscribes to the topic\n",
         "  busrtctl publish sensors/temperature 21.5\n"
         "  tail -F events.log | busrtctl publish -l events\n"
         "  busrtctl publish -c 100 --rate 10 ticks tick\n",
         "topic", "cannot publish on"},
};

struct send {
        const struct settings *settings;
        enum sender_verb verb;
        const char *file;
        bool lines, verbose, counted;
        char delimiter;
        uint64_t count;
        double rate;   /* per second; 0: as fast as it goes */
        bool auto_ack; /* the last of each batch */

        struct source source;
        struct sender sender;
        struct progress progress;
        size_t largest;  /* payload so far */
        int input_error; /* 0 or -errno */
};

enum { OPTION_RATE = 0x100, OPTION_FOR };

static const struct option options[] = {
        {"file", required_argument, NULL, 'f'},
        {"lines", no_argument, NULL, 'l'},
        {"null", no_argument, NULL, '0'},
        {"count", required_argument, NULL, 'c'},
        {"rate", required_argument, NULL, OPTION_RATE},
        {"qos", required_argument, NULL, 'q'},
        {"for", required_argument, NULL, OPTION_FOR},
        {"verbose", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
};

static int parse_rate(const char *text, double *ret)
{
        char *end;
        double rate = strtod(text, &end);

        if (end == text || *end || !(rate >= 1e-6 && rate <= 1e12))
                return -EINVAL;
        *ret = rate;
        return 0;
}

/* 0, or an exit status below 0. */
static int take_option(struct send *send, int c, char **argv)
{
        const char *name = verbs[send->verb].name;

        switch (c) {
        case 'f':
                send->file = strcmp(optarg, "-") == 0 ? "/dev/stdin" : optarg;
                return -check_given(name, "-f", optarg);
        case 'l':
        case '0':
                send->lines = true;
                send->delimiter = c == 'l' ? '\n' : '\0';
                return 0;
        case 'c':
                send->counted = true;
                if (parse_number(optarg, 1, UINT64_MAX, &send->count) < 0)
                        return -usage_error(name, "-c \"%s\": not a number above 0", optarg);
                return 0;
        case OPTION_RATE:
                if (parse_rate(optarg, &send->rate) < 0)
                        return -usage_error(name, "--rate \"%s\": not a number above 0", optarg);
                return 0;
        case 'q':
                send->auto_ack = false;
                if (parse_qos(optarg, &send->sender.qos) < 0)
                        return -usage_error(name,
                                            "-q \"%s\": not one of no, processed, realtime, "
                                            "realtime-processed",
                                            optarg);
                return 0;
        case OPTION_FOR:
                if (send->verb != SENDER_PUBLISH)
                        return -usage_error(name, "--for belongs to publish");
                send->sender.receiver = optarg;
                return -check_given(name, "--for", optarg);
        case 'v':
                send->verbose = true;
                return 0;
        default:
                return -option_error(name, c, argv);
        }
}

/* --- What is to be sent --- */

static int join_arguments(struct source *source, char **words, size_t n, uint64_t count)
{
        struct text text = {0};

        for (size_t i = 0; i < n; i++) {
                if (i > 0)
                        text_adds(&text, " ");
                text_adds(&text, words[i]);
        }
        source_init_payload(source, text.data, text.len, count);
        return text.failed ? -ENOMEM : 0;
}

static const char *input_name(const struct send *send)
{
        return send->file ? send->file : "standard input";
}

/* 0, or an exit status below 0. */
static int open_source(struct send *send, char **words, size_t n)
{
        bool from_stdin = n == 0 || (n == 1 && strcmp(words[0], "-") == 0);
        int fd = STDIN_FILENO, r;

        if (!from_stdin) {
                r = join_arguments(&send->source, words, n, send->count);
                return r < 0 ? -fail(r, "the payload") : 0;
        }
        if (send->file) {
                fd = open(send->file, O_RDONLY | O_CLOEXEC);
                if (fd < 0)
                        return -fail(0, "%s: %s", send->file, strerrordesc_np(errno));
        } else if (isatty(STDIN_FILENO) && isatty(STDERR_FILENO)) {
                (void)fprintf(stderr,
                              "Reading %s from the terminal; Ctrl-D on a new line ends it.\n",
                              send->lines ? "messages, one on a line," : "the payload");
        }
        r = send->lines ? source_init_lines(&send->source, fd, send->delimiter)
                        : source_init_whole(&send->source, fd, send->count);
        return r < 0 ? -fail(0, "%s: %s", input_name(send), strerrordesc_np(-r)) : 0;
}

/* --- Sending --- */

static void drop_frame(busrt_client *client, busrt_frame *frame, void *userdata)
{
}

/* How many may go now. */
static uint64_t allowance(const struct send *send, uint64_t now)
{
        double due;

        if (send->rate <= 0)
                return BATCH_MESSAGES;
        due = (double)(now - send->progress.start) / 1e6 * send->rate + 1;
        if (due <= (double)send->progress.messages)
                return 0;
        return (uint64_t)MIN(due - (double)send->progress.messages, (double)BATCH_MESSAGES);
}

/* The time from now until the next is allowed, in microseconds. */
static uint64_t pause_length(const struct send *send, uint64_t now)
{
        double due =
                (double)send->progress.start + (double)send->progress.messages / send->rate * 1e6;

        return (uint64_t)MAX(due - (double)now, (double)SLEEP_MIN_USEC);
}

/* Up to `allowed` payloads, one behind: the last is known as such only when there is no next one.
 * *ret_more: what source_next() said. */
static int send_batch(struct send *send, uint64_t allowed, int *ret_more)
{
        const char *next, *payload = NULL;
        size_t len = 0, next_len, bytes = 0;
        bool held = false;
        int r = 0;

        *ret_more = 1;
        for (uint64_t n = 0; r >= 0 && n < allowed && bytes < BATCH_BYTES; n++) {
                *ret_more = source_next(&send->source, &next, &next_len);
                if (*ret_more <= 0)
                        break;
                if (held)
                        r = sender_send(&send->sender, payload, len, false);
                held = true;
                payload = next;
                len = next_len;
                bytes += len;
                send->largest = MAX(send->largest, len);
                send->progress.messages++;
        }
        if (r >= 0 && held)
                r = sender_send(&send->sender, payload, len, send->auto_ack);
        send->progress.bytes += bytes;
        return r;
}

static int process(struct send *send)
{
        int r;

        do
                r = busrt_client_process(send->sender.client);
        while (r > 0);
        return r < 0 ? r : sender_collect(&send->sender, false);
}

/* Until there is input; the connection is looked after meanwhile. */
static int wait_for_input(struct send *send)
{
        struct pollfd fds[] = {
                {.fd = send->source.fd, .events = POLLIN},
                {.fd = busrt_client_get_fd(send->sender.client), .events = POLLIN},
                {.fd = interrupt_fd(), .events = POLLIN},
        };

        while (!interrupted()) {
                uint64_t until = UINT64_MAX, now = now_usec();
                int r, ms;

                progress_update(&send->progress);
                (void)busrt_client_get_timeout(send->sender.client, &until);
                ms = until == UINT64_MAX ? -1
                     : until <= now      ? 0
                                         : (int)MIN((until - now + 999) / 1000, UINT64_C(1000000));
                (void)poll(fds, ARRAY_SIZE(fds), ms);
                r = process(send);
                if (r < 0 || fds[0].revents)
                        return r;
        }
        return -EINTR;
}

static int wait_for_turn(struct send *send)
{
        uint64_t now = now_usec(), end = now + pause_length(send, now);

        while (now < end) {
                int r = wait_client(send->sender.client, MIN(end - now, UINT64_C(200000)));

                if (r >= 0)
                        r = process(send);
                if (r < 0)
                        return r;
                progress_update(&send->progress);
                now = now_usec();
        }
        return 0;
}

/* -ENODATA: all is sent; 0: there is more, or -errno. */
static int send_step(struct send *send)
{
        int r, more = 1;
        uint64_t allowed = allowance(send, now_usec());

        if (allowed == 0)
                return wait_for_turn(send);
        (void)busrt_client_cork(send->sender.client);
        r = send_batch(send, allowed, &more);
        (void)busrt_client_uncork(send->sender.client);
        if (r >= 0)
                r = process(send);
        if (r < 0)
                return r;
        progress_update(&send->progress);
        if (interrupted())
                return -EINTR;
        if (more < 0)
                return more;
        if (more == 0) {
                r = wait_for_input(send);
                if (r < 0)
                        return r;
                send->input_error = source_fill(&send->source);
                return send->input_error;
        }
        return 0;
}

static int send_all(struct send *send)
{
        int r, end;

        progress_init(&send->progress, send->counted ? send->count : 0, send->verbose);
        do
                r = send_step(send);
        while (r >= 0);
        if (r != -ENODATA && r != -EINTR)
                return r;
        /* Who is told to stop waits no more. */
        end = sender_collect(&send->sender, r == -ENODATA);
        if (end >= 0 && r == -ENODATA)
                end = sender_flush(&send->sender);
        return end < 0 ? end : r == -ENODATA ? 0 : r;
}

static int fail_send(const struct send *send, int error)
{
        const char *failure = verbs[send->verb].failure, *target = send->sender.target;
        char size[TEXT_NUMBER_MAX];

        if (error == -EINTR)
                return fail(0, "interrupted: not all was sent");
        if (send->input_error < 0)
                return fail(0, "%s: %s", input_name(send), strerrordesc_np(-send->input_error));
        if (send->largest >= LARGE_PAYLOAD &&
            (error == -EMSGSIZE || error == -EBADMSG || error == -ECONNRESET || error == -EPIPE))
                return fail(0,
                            "%s \"%s\": a message of %s is refused; the broker's limit "
                            "is 64 MiB unless busrtd --max-frame-size says otherwise",
                            failure, target, text_bytes(send->largest, size));
        return fail_about(error, failure, target);
}

static int run(struct send *send)
{
        _cleanup_(busrt_client_freep) busrt_client *client = NULL;
        int r;

        if (connect_broker(send->settings, &client) < 0)
                return EXIT_FAILURE;
        r = catch_interrupts();
        if (r < 0)
                return fail(r, "cannot catch signals");
        (void)busrt_client_set_frame_handler(client, drop_frame, NULL);
        send->sender.client = client;
        r = send_all(send);
        progress_done(&send->progress);
        sender_done(&send->sender);
        return r < 0 ? fail_send(send, r) : EXIT_SUCCESS;
}

static int check(const struct send *send, size_t n_words)
{
        const char *name = verbs[send->verb].name;

        if (send->file && n_words > 0)
                return usage_error(name, "a payload, and a file");
        if (send->lines && n_words > 0)
                return usage_error(name, "a payload, and --lines or --null");
        if (send->lines && send->counted)
                return usage_error(name, "--count, and --lines or --null");
        return 0;
}

static int print_verb_help(const struct send *send)
{
        _cleanup_free_ char *text = NULL;

        if (asprintf(&text, help_format, verbs[send->verb].usage, verbs[send->verb].summary,
                     verbs[send->verb].options, verbs[send->verb].examples) < 0)
                return fail(ENOMEM, "--help");
        return print_help(send->settings, text);
}

static int verb_any(const struct settings *settings, enum sender_verb verb, int argc, char **argv)
{
        struct send send = {.settings = settings,
                            .verb = verb,
                            .count = 1,
                            .auto_ack = true,
                            .source = {.fd = -1},
                            .sender = {.verb = verb, .timeout = settings->timeout}};
        size_t n_words;
        int c, r;

        while ((c = getopt_long(argc, argv, ":f:l0c:q:vh", options, NULL)) >= 0) {
                r = c == 'h' ? 0 : take_option(&send, c, argv);
                if (r < 0)
                        return -r;
                if (c == 'h')
                        return print_verb_help(&send);
        }
        if (optind == argc)
                return usage_error(verbs[verb].name, "the %s is missing", verbs[verb].target);
        r = check_given(verbs[verb].name, verbs[verb].target, argv[optind]);
        if (r > 0)
                return r;
        send.sender.target = argv[optind++];
        n_words = (size_t)(argc - optind);
        r = check(&send, n_words);
        if (r > 0)
                return r;
        r = open_source(&send, argv + optind, n_words);
        r = r < 0 ? -r : run(&send);
        source_done(&send.source);
        return r;
}

int verb_send(const struct settings *settings, int argc, char **argv)
{
        return verb_any(settings, SENDER_SEND, argc, argv);
}

int verb_broadcast(const struct settings *settings, int argc, char **argv)
{
        return verb_any(settings, SENDER_BROADCAST, argc, argv);
}

int verb_publish(const struct settings *settings, int argc, char **argv)
{
        return verb_any(settings, SENDER_PUBLISH, argc, argv);
}
