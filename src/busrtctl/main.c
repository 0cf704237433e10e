/* SPDX-License-Identifier: Apache-2.0 */
/* busrtctl: the options before the verb, and the table of verbs. */
#include <fcntl.h>
#include <getopt.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>

#include "basic/macro.h"
#include "busrtctl/busrtctl.h"

#define DEFAULT_TIMEOUT_USEC 5000000
#define SUGGEST_MAX_DISTANCE 3
#define WORD_MAX 32

struct verb {
        const char *group;
        const char *name;
        const char *arguments;
        const char *help;
        int (*run)(const struct settings *settings, int argc, char **argv);
};

#define TALK "Talk"
#define LOOK "Look"
#define MANAGE "Manage"

/* In the order of --help; the verbs of a group stand together. */
static const struct verb verbs[] = {
        {TALK, "listen", "[TOPIC]...", "print what is published, and sent to this client",
         verb_listen},
        {TALK, "send", "TARGET [PAYLOAD]...", "send a message to one client", verb_send},
        {TALK, "broadcast", "MASK [PAYLOAD]...", "send to all clients whose names match",
         verb_broadcast},
        {TALK, "publish", "TOPIC [PAYLOAD]...", "publish to those who subscribe to the topic",
         verb_publish},
        {TALK, "rpc", "call TARGET METHOD ...", "call a method, notify, or see who calls",
         verb_rpc},
        {TALK, "ping", "[TARGET]", "how long calls through the broker take", verb_ping},
        {TALK, "benchmark", "[--all]", "how much a broker can do, and at what cost",
         verb_benchmark},
        {LOOK, "status", "", "how busrtd does", verb_status},
        {LOOK, "list", "[PATTERN]...", "list the clients of busrtd, with their users", verb_list},
        {LOOK, "show", "CLIENT...", "all that is known of a client of busrtd", verb_show},
        {LOOK, "subscriptions", "[CLIENT]", "who subscribes to what", verb_subscriptions},
        {LOOK, "access", "explain NAME ...", "who may do what, by the access rules", verb_access},
        {LOOK, "quota", "[USER|ADDRESS]", "what users have of what they may have", verb_quota},
        {LOOK, "config", "[--all]", "the settings in force, and who said so", verb_config},
        {LOOK, "top", "[PATTERN]...", "what goes over busrtd now, client by client", verb_top},
        {LOOK, "monitor", "[PATTERN]...", "what happens on busrtd, as it happens", verb_monitor},
        {LOOK, "metrics", "[-o FILE]", "counters of busrtd, for Prometheus", verb_metrics},
        {LOOK, "clients", "[REGEX]", "list who is connected, to any BUS/RT broker", verb_clients},
        {LOOK, "stats", "[--watch]", "what the broker has moved, or moves now", verb_stats},
        {LOOK, "info", "", "which broker this is", verb_info},
        {MANAGE, "disconnect", "CLIENT...", "end clients' connections", verb_disconnect},
        {MANAGE, "reload", "", "read the configuration again", verb_reload},
        {MANAGE, "log-level", "[LEVEL]", "what the broker logs", verb_log_level},
        {MANAGE, "reset-statistics", "", "begin counting at zero again", verb_reset_statistics},
        {NULL, NULL, NULL, NULL, NULL},
};

static const char usage[] = "Usage: busrtctl [OPTION]... VERB [ARGUMENT]...\n"
                            "\n"
                            "Talks to a BUS/RT broker, and looks after busrtd.\n";

static const char options_help[] =
        "\n"
        "Options:\n"
        "  -s, --socket ADDRESS   the broker: a path, HOST:PORT or [IPV6]:PORT. By default the "
        "first\n"
        "                         that is there of $BUSRT_SOCKET, $XDG_RUNTIME_DIR/busrt/bus.sock\n"
        "                         and /run/busrt/bus.sock\n"
        "      --system           the system's broker\n"
        "      --user             the user's own broker\n"
        "  -i, --instance NAME    the broker of busrtd@NAME\n"
        "  -n, --name NAME        this client's name (busrtctl.HOST.PID)\n"
        "  -t, --timeout TIME     to connect, and for each answer (5s); units: us, ms, s, m, h\n"
        "      --json             output for programs, where the verb has output\n"
        "      --no-color         as with $NO_COLOR set, or where stdout is no terminal\n"
        "      --no-ask-password  never ask for one, where polkit wants to\n"
        "  -h, --help             this text; after a verb: what the verb takes\n"
        "  -V, --version          the version\n"
        "\n"
        "Exit status: 0 success, 1 failure, 2 a mistake on the command line.\n";

#define VERB_WIDTH 28

static int main_help(const struct settings *settings)
{
        const char *group = "";

        (void)printf("%s", usage);
        for (const struct verb *verb = verbs; verb->name; verb++) {
                if (verb->group != group)
                        (void)printf("\n%s%s:%s\n", ansi(settings, ANSI_BOLD), verb->group,
                                     ansi(settings, ANSI_RESET));
                group = verb->group;
                (void)printf("  %s %-*s %s\n", verb->name, VERB_WIDTH - 1 - (int)strlen(verb->name),
                             verb->arguments, verb->help);
        }
        return print_help(settings, options_help);
}

/* How many letters must be changed, added, left out or swapped with their neighbours. */
static size_t distance(const char *a, const char *b)
{
        size_t n = strlen(a), m = strlen(b);
        size_t d[WORD_MAX + 1][WORD_MAX + 1];

        if (n > WORD_MAX || m > WORD_MAX)
                return SIZE_MAX;
        for (size_t i = 0; i <= n; i++)
                for (size_t j = 0; j <= m; j++) {
                        if (i == 0 || j == 0) {
                                d[i][j] = i + j;
                                continue;
                        }
                        d[i][j] = MIN(MIN(d[i - 1][j], d[i][j - 1]) + 1,
                                      d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
                        if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                                d[i][j] = MIN(d[i][j], d[i - 2][j - 2] + 1);
                }
        return d[n][m];
}

static int unknown_verb(const char *word)
{
        size_t best = MIN((size_t)SUGGEST_MAX_DISTANCE, strlen(word) / 2 + 1);
        const char *nearest = NULL;

        for (const struct verb *verb = verbs; verb->name; verb++) {
                size_t n = distance(word, verb->name);

                if (n < best || (!nearest && strlen(word) > 1 &&
                                 strncmp(word, verb->name, strlen(word)) == 0)) {
                        best = MIN(best, n);
                        nearest = verb->name;
                }
        }
        if (nearest)
                return usage_error(NULL, "unknown verb \"%s\": did you mean \"%s\"?", word,
                                   nearest);
        return usage_error(NULL, "unknown verb \"%s\"", word);
}

static const struct verb *find_verb(const char *name)
{
        for (const struct verb *verb = verbs; verb->name; verb++)
                if (strcmp(name, verb->name) == 0)
                        return verb;
        return NULL;
}

/* "help rpc listen" is "rpc listen --help". */
static int help_verb(const struct settings *settings, int argc, char **argv)
{
        static char option[] = "--help";
        const struct verb *verb = find_verb(argv[0]);
        char *words[] = {argv[0], argc > 1 ? argv[1] : option, option, NULL};

        if (!verb)
                return unknown_verb(argv[0]);
        if (argc > 2)
                return usage_error(NULL, "help is about one verb: \"%s\"", argv[2]);
        optind = 0;
        return verb->run(settings, argc > 1 ? 3 : 2, words);
}

static int run_verb(const struct settings *settings, int argc, char **argv)
{
        const struct verb *verb;

        if (argc == 0)
                return usage_error(NULL, "what is to be done? A verb is missing");
        if (strcmp(argv[0], "help") == 0)
                return argc > 1 ? help_verb(settings, argc - 1, argv + 1) : main_help(settings);
        verb = find_verb(argv[0]);
        if (!verb)
                return unknown_verb(argv[0]);
        optind = 0;
        return verb->run(settings, argc, argv);
}

enum { OPTION_JSON = 0x100, OPTION_NO_COLOR, OPTION_SYSTEM, OPTION_USER, OPTION_NO_ASK_PASSWORD };

static const struct option options[] = {
        {"socket", required_argument, NULL, 's'},
        {"system", no_argument, NULL, OPTION_SYSTEM},
        {"user", no_argument, NULL, OPTION_USER},
        {"instance", required_argument, NULL, 'i'},
        {"name", required_argument, NULL, 'n'},
        {"timeout", required_argument, NULL, 't'},
        {"json", no_argument, NULL, OPTION_JSON},
        {"no-color", no_argument, NULL, OPTION_NO_COLOR},
        {"no-ask-password", no_argument, NULL, OPTION_NO_ASK_PASSWORD},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {NULL, 0, NULL, 0},
};

/* --system, --user and --instance name a socket. 0, or an exit status. */
static int find_socket(struct settings *settings, char **ret_path)
{
        _cleanup_free_ char *base = NULL;
        const char *instance = settings->instance;
        int r;

        if (!instance && settings->bus == BUS_AUTO)
                return 0;
        if (settings->address)
                return usage_error(NULL, "-s says which broker: no --system, --user or -i beside");
        if (instance &&
            (strchr(instance, '/') || strcmp(instance, ".") == 0 || strcmp(instance, "..") == 0))
                return usage_error(NULL, "-i \"%s\": not the NAME of a busrtd@NAME", instance);
        base = settings->bus == BUS_USER ? NULL : strdup(SYSTEM_SOCKET);
        r = settings->bus == BUS_USER ? user_socket(&base) : base ? 0 : -ENOMEM;
        if (r == -ENXIO)
                return fail(0, "the user's broker cannot be found: $XDG_RUNTIME_DIR is not set");
        if (r >= 0 && instance)
                r = asprintf(ret_path, "%.*s/%s/bus.sock", (int)(strrchr(base, '/') - base), base,
                             instance);
        else if (r >= 0)
                *ret_path = TAKE_PTR(base);
        if (r < 0)
                return fail(ENOMEM, "cannot find the broker");
        settings->address = *ret_path;
        return 0;
}

/* 1: go on with the verb; 0: done, with *ret_status. */
static int take_option(int c, struct settings *settings, char **argv, int *ret_status)
{
        switch (c) {
        case 's':
                settings->address = optarg;
                *ret_status = check_given(NULL, "-s", optarg);
                return *ret_status == 0;
        case OPTION_SYSTEM:
                settings->bus = BUS_SYSTEM;
                break;
        case OPTION_USER:
                settings->bus = BUS_USER;
                break;
        case 'i':
                settings->instance = optarg;
                *ret_status = check_given(NULL, "-i", optarg);
                return *ret_status == 0;
        case 'n':
                settings->name = optarg;
                *ret_status = check_given(NULL, "-n", optarg);
                return *ret_status == 0;
        case 't':
                if (parse_time(optarg, &settings->timeout) >= 0 && settings->timeout >= 1000)
                        break;
                *ret_status = usage_error(NULL, "-t \"%s\": not a time of 1ms or more", optarg);
                return 0;
        case OPTION_JSON:
                settings->json = true;
                break;
        case OPTION_NO_COLOR:
                settings->color = false;
                break;
        case OPTION_NO_ASK_PASSWORD:
                settings->no_ask_password = true;
                break;
        case 'h':
                *ret_status = main_help(settings);
                return 0;
        case 'V':
                (void)printf("busrtctl %s\n", BUSRT_VERSION_STRING);
                *ret_status = finish_output(EXIT_SUCCESS);
                return 0;
        default:
                *ret_status = option_error(NULL, c, argv);
                return 0;
        }
        return 1;
}

static bool want_color(void)
{
        const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

        return isatty(STDOUT_FILENO) && !(no && no[0]) && term && strcmp(term, "dumb") != 0;
}

/* What stands for a standard descriptor that was closed fails with EBADF, as that would: else the
 * next file that is opened would be read or written in its place. */
static void keep_standard_descriptors(void)
{
        for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
                if (fcntl(fd, F_GETFD) < 0)
                        (void)open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

int main(int argc, char **argv)
{
        struct settings settings = {.timeout = DEFAULT_TIMEOUT_USEC, .color = want_color()};
        _cleanup_free_ char *socket = NULL;
        int c, status;

        keep_standard_descriptors();
        /* What reads the output may stop reading: that ends this program, without a word. */
        (void)signal(SIGPIPE, SIG_DFL);
        (void)setlocale(LC_CTYPE, "");
        while ((c = getopt_long(argc, argv, "+:s:i:n:t:hV", options, NULL)) >= 0)
                if (take_option(c, &settings, argv, &status) == 0)
                        return status;
        status = find_socket(&settings, &socket);
        if (status != 0)
                return status;
        return run_verb(&settings, argc - optind, argv + optind);
}
