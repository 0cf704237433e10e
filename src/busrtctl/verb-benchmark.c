/* SPDX-License-Identifier: Apache-2.0 */
/* busrtctl benchmark: its options, which stages it runs, and in which order. */
#include <fnmatch.h>
#include <getopt.h>
#include <stdio.h>
#include <sys/resource.h>

#include "basic/macro.h"
#include "busrtctl/benchmark.h"
#include "busrtctl/output.h"

static const char help[] =
        "Usage: busrtctl [OPTION]... benchmark [OPTION]...\n"
        "\n"
        "Measures what a BUS/RT broker, any, can do: how much, how fast, at what cost. Without\n"
        "--stage and --all the seven stages of the reference's benchmark are run. Each frame is\n"
        "checked: one that is lost, doubled or changed ends it with an error. Ctrl-C ends it with\n"
        "what has been measured.\n"
        "\n"
        "Options:\n"
        "  -w, --workers N       clients that work side by side, each on a thread (1)\n"
        "  -i, --iters N         of all workers together, for each stage (1000000)\n"
        "      --payload SIZE    of each frame, 16 to 32M; suffixes K, M (100)\n"
        "      --window N        frames on their way to one receiver, at most (1024)\n"
        "      --seconds TIME    for each stage, at most (30s)\n"
        "      --stage NAME      this one, or all that match a pattern; may be given again\n"
        "      --all             all stages\n"
        "      --list            what the stages are; nothing is run\n"
        "      --json            one object, with histograms\n"
        "  -h, --help            this text\n"
        "\n"
        "It loads the broker with all that it takes: not for a bus that others work with.\n"
        "The status is 0 if all frames were where they belong.\n";

#define DEFAULT_ITERS 1000000
#define DEFAULT_PAYLOAD 100
#define DEFAULT_WINDOW 1024
#define DEFAULT_LIMIT_USEC 30000000

/* What the command line says. */
struct arguments {
        struct benchmark *benchmark;
        bool all, list;
        const char **patterns;
        size_t n_patterns;
};

/* --- Which stages --- */

static size_t count_stages(void)
{
        size_t n = 0;

        while (benchmark_stages[n].name)
                n++;
        return n;
}

static bool is_wanted(const struct arguments *arguments, const struct stage *stage)
{
        if (arguments->all || (arguments->n_patterns == 0 && !stage->ours))
                return true;
        for (size_t i = 0; i < arguments->n_patterns; i++)
                if (fnmatch(arguments->patterns[i], stage->name, 0) == 0)
                        return true;
        return false;
}

static int check_patterns(const struct arguments *arguments)
{
        for (size_t i = 0; i < arguments->n_patterns; i++) {
                const struct stage *stage = benchmark_stages;

                while (stage->name && fnmatch(arguments->patterns[i], stage->name, 0) != 0)
                        stage++;
                if (!stage->name)
                        return usage_error("benchmark",
                                           "no stage is called \"%s\": --list has them",
                                           arguments->patterns[i]);
        }
        return 0;
}

/* Memory first: what other stages leave behind in a broker is memory for idle clients. */
static int choose_stages(const struct arguments *arguments)
{
        struct benchmark *benchmark = arguments->benchmark;
        size_t n = count_stages();

        benchmark->stages = calloc(n, sizeof(*benchmark->stages));
        benchmark->outcomes = calloc(n, sizeof(*benchmark->outcomes));
        if (!benchmark->stages || !benchmark->outcomes)
                return -ENOMEM;
        for (unsigned idle = 2; idle-- > 0;)
                for (size_t i = 0; i < n; i++)
                        if (benchmark_stages[i].idle == idle &&
                            is_wanted(arguments, &benchmark_stages[i]))
                                benchmark->stages[benchmark->n_stages++] = &benchmark_stages[i];
        return 0;
}

static int list_stages(const struct settings *settings)
{
        for (const struct stage *stage = benchmark_stages; stage->name; stage++)
                (void)printf("%s%-24s%s %s\n", ansi(settings, ANSI_BOLD), stage->name,
                             ansi(settings, ANSI_RESET), stage->help);
        return finish_output(EXIT_SUCCESS);
}

/* --- Running them --- */

/* Each client takes four descriptors. */
static void allow_descriptors(void)
{
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return;
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
}

static void drop_frame(busrt_client *client, busrt_frame *frame, void *userdata)
{
}

/* 0, or as benchmark_run_stage(). */
static int run_stages(struct benchmark *benchmark)
{
        int r = 0;

        for (size_t i = 0; r >= 0 && i < benchmark->n_stages; i++) {
                struct outcome *outcome = &benchmark->outcomes[benchmark->n_outcomes];

                if (interrupted())
                        return -EINTR;
                r = benchmark_run_stage(benchmark, benchmark->stages[i], outcome,
                                        &benchmark->failure);
                if (outcome->stage)
                        benchmark->n_outcomes++;
        }
        return r;
}

static int run(struct benchmark *benchmark)
{
        int r, status;

        if (connect_broker(&benchmark->settings, &benchmark->control) < 0)
                return EXIT_FAILURE;
        r = catch_interrupts();
        if (r < 0)
                return fail(r, "cannot catch signals");
        allow_descriptors();
        (void)busrt_client_set_frame_handler(benchmark->control, drop_frame, NULL);
        benchmark->started = clock_nsec(CLOCK_REALTIME);
        benchmark_broker_find(&benchmark->broker, benchmark->control);
        r = run_stages(benchmark);
        benchmark->partial = r < 0;
        status = benchmark->settings.json ? benchmark_print_json(benchmark)
                                          : benchmark_print(benchmark);
        if (r < 0 && r != -EINTR)
                return fail(benchmark->failure ? 0 : r, "%s",
                            benchmark->failure ? benchmark->failure : "cannot go on");
        return status;
}

static void benchmark_done(struct benchmark *benchmark)
{
        for (size_t i = 0; i < benchmark->n_outcomes; i++)
                free(benchmark->outcomes[i].histogram);
        free(benchmark->outcomes);
        free(benchmark->stages);
        free(benchmark->failure);
        benchmark_broker_done(&benchmark->broker);
        busrt_client_free(benchmark->control);
}

/* --- The command line --- */

enum {
        OPTION_JSON = 0x100,
        OPTION_PAYLOAD,
        OPTION_WINDOW,
        OPTION_SECONDS,
        OPTION_STAGE,
        OPTION_ALL,
        OPTION_LIST,
};

/* Bytes: "100", "4K", "1M". */
static int parse_size(const char *text, uint64_t *ret)
{
        _cleanup_free_ char *number = strdup(text);
        size_t len = strlen(text);
        unsigned shift = 0;
        uint64_t n;
        int r;

        if (!number)
                return -ENOMEM;
        if (len > 1 && strchr("KM", text[len - 1])) {
                shift = text[len - 1] == 'K' ? 10 : 20;
                number[len - 1] = '\0';
        }
        r = parse_number(number, 1, BENCHMARK_PAYLOAD_MAX, &n);
        n <<= shift;
        if (r < 0 || n < BENCHMARK_PAYLOAD_MIN || n > BENCHMARK_PAYLOAD_MAX)
                return r < 0 ? r : -ERANGE;
        *ret = n;
        return 0;
}

/* 0, or an exit status below 0. */
static int take_number(const char *name, uint64_t min, uint64_t max, uint64_t *ret)
{
        if (parse_number(optarg, min, max, ret) >= 0)
                return 0;
        return -usage_error("benchmark", "%s \"%s\": not a number from %llu to %llu", name, optarg,
                            (unsigned long long)min, (unsigned long long)max);
}

static int take_option(struct arguments *arguments, int c, char **argv)
{
        struct benchmark_options *options = &arguments->benchmark->options;

        switch (c) {
        case 'w':
                return take_number("-w", 1, BENCHMARK_WORKERS_MAX, &options->workers);
        case 'i':
                return take_number("-i", 1, BENCHMARK_ITERS_MAX, &options->iters);
        case OPTION_WINDOW:
                return take_number("--window", 2, BENCHMARK_WINDOW_MAX, &options->window);
        case OPTION_PAYLOAD:
                if (parse_size(optarg, &options->payload) < 0)
                        return -usage_error("benchmark",
                                            "--payload \"%s\": not a size from 16 to 32M", optarg);
                return 0;
        case OPTION_SECONDS:
                if (parse_time(optarg, &options->limit) < 0)
                        return -usage_error("benchmark", "--seconds \"%s\": not a time", optarg);
                return 0;
        case OPTION_STAGE:
                arguments->patterns[arguments->n_patterns++] = optarg;
                return 0;
        case OPTION_ALL:
                arguments->all = true;
                return 0;
        case OPTION_LIST:
                arguments->list = true;
                return 0;
        case OPTION_JSON:
                arguments->benchmark->settings.json = true;
                return 0;
        default:
                return -option_error("benchmark", c, argv);
        }
}

/* The command line is all right: what there is to do. */
static int act(struct arguments *arguments)
{
        const struct settings *settings = &arguments->benchmark->settings;
        int r = check_patterns(arguments);

        if (r > 0)
                return r;
        if (arguments->list)
                return list_stages(settings);
        r = choose_stages(arguments);
        return r < 0 ? fail(r, "cannot start") : run(arguments->benchmark);
}

int verb_benchmark(const struct settings *settings, int argc, char **argv)
{
        static const struct option options[] = {
                {"workers", required_argument, NULL, 'w'},
                {"iters", required_argument, NULL, 'i'},
                {"payload", required_argument, NULL, OPTION_PAYLOAD},
                {"window", required_argument, NULL, OPTION_WINDOW},
                {"seconds", required_argument, NULL, OPTION_SECONDS},
                {"stage", required_argument, NULL, OPTION_STAGE},
                {"all", no_argument, NULL, OPTION_ALL},
                {"list", no_argument, NULL, OPTION_LIST},
                {"json", no_argument, NULL, OPTION_JSON},
                {"help", no_argument, NULL, 'h'},
                {NULL, 0, NULL, 0},
        };
        _cleanup_(benchmark_done) struct benchmark benchmark = {
                .settings = *settings,
                .options = {.workers = 1,
                            .iters = DEFAULT_ITERS,
                            .payload = DEFAULT_PAYLOAD,
                            .window = DEFAULT_WINDOW,
                            .limit = DEFAULT_LIMIT_USEC},
        };
        _cleanup_free_ const char **patterns = calloc((size_t)argc, sizeof(*patterns));
        struct arguments arguments = {.benchmark = &benchmark, .patterns = patterns};
        int c, r;

        if (!patterns)
                return fail(ENOMEM, "cannot start");
        while ((c = getopt_long(argc, argv, ":w:i:h", options, NULL)) >= 0) {
                if (c == 'h')
                        return print_help(settings, help);
                r = take_option(&arguments, c, argv);
                if (r < 0)
                        return -r;
        }
        if (optind < argc)
                return usage_error("benchmark", "it takes no arguments: \"%s\"", argv[optind]);
        return act(&arguments);
}
