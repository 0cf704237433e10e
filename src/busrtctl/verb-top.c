/* SPDX-License-Identifier: Apache-2.0 */
/* busrtctl top: what goes over busrtd now, and whose it is. */
#include <getopt.h>
#include <stdio.h>

#include "basic/macro.h"
#include "busrtctl/client-fields.h"
#include "busrtctl/output.h"
#include "busrtctl/top.h"

static const char help[] =
        "Usage: busrtctl [OPTION]... top [OPTION]... [PATTERN]...\n"
        "\n"
        "Shows what goes over busrtd now: rates of each client, the frames that wait for it, "
        "those\n"
        "that are lost, and how much of its time it is held up as a sender. PATTERN: only names "
        "that\n"
        "match, as in a shell. On the screen h tells the keys. Where standard input or output is "
        "no\n"
        "terminal that can be drawn on, as with -b.\n"
        "\n"
        "Options:\n"
        "  -d, --delay TIME     between two looks (2s); units: us, ms, s, m, h\n"
        "  -n, --iterations N   end after N\n"
        "  -b, --batch          lines instead of a screen, from the second look on\n"
        "  -u, --uid USER       only this user's, by name or number\n"
        "  -a, --all            secondaries, too\n"
        "  -S, --sort KEY       in, out, bytes, queue, highest, drops, paced, user, pid or name\n"
        "  -R, --reverse        the other way round\n"
        "      --json           as -b, an object on a line for each look\n"
        "  -h, --help           this text\n";

#define DELAY_USEC 2000000
/* The broker is not to be kept busy by being looked at. */
#define DELAY_MIN_USEC 10000

struct options {
        struct top top;
        uint64_t n; /* 0: no end */
        bool batch;
};

/* --- Lines --- */

static int print_sample(struct top *top)
{
        _cleanup_(text_done) struct text out = {0};
        int r = top_arrange(top);

        if (r < 0)
                return fail(r, "cannot show the clients");
        if (top->settings.json) {
                top_add_json(&out, top);
                return print_text(&out);
        }
        for (size_t i = 0; i < TOP_SUMMARY_LINES; i++) {
                top_add_summary(&out, top, i);
                text_adds(&out, "\n");
        }
        text_adds(&out, "\n");
        for (size_t i = 0; i <= top->n_rows; i++) {
                top_add_line(&out, top, i == 0 ? NULL : top->rows[i - 1], 0);
                text_adds(&out, "\n");
        }
        text_adds(&out, "\n");
        return print_text(&out);
}

/* Rates need two looks: the first one is not shown. */
static int run_batch(struct top *top, struct admin *admin, uint64_t n)
{
        int r = catch_interrupts();

        if (r < 0)
                return fail(r, "cannot catch signals");
        if (top_sample_take(&top->sample, admin) < 0)
                return interrupted() ? EXIT_SUCCESS : EXIT_FAILURE;
        for (uint64_t i = 0; n == 0 || i < n; i++) {
                uint64_t end = top->sample.time + top->delay, now = now_usec();

                if (admin_wait(admin, end > now ? end - now : 1) < 0 ||
                    top_sample_take(&top->sample, admin) < 0)
                        return interrupted() ? EXIT_SUCCESS : EXIT_FAILURE;
                r = print_sample(top);
                if (r != EXIT_SUCCESS)
                        return r;
        }
        return EXIT_SUCCESS;
}

static int run(struct options *options)
{
        _cleanup_(admin_freep) struct admin *admin = NULL;
        struct top *top = &options->top;
        int r;

        if (admin_open(&top->settings, &admin) < 0)
                return EXIT_FAILURE;
        if (options->batch || top->settings.json || !top_screen_is_possible())
                r = run_batch(top, admin, options->n);
        else
                r = top_screen_run(top, admin, options->n);
        top_sample_done(&top->sample);
        users_done(&top->users);
        free(top->rows);
        return r;
}

/* --- The command line --- */

static int find_column(const char *name, enum top_column *ret)
{
        for (size_t i = 0; i < N_TOP_COLUMNS; i++)
                if (strcmp(name, top_columns[i].name) == 0) {
                        *ret = (enum top_column)i;
                        return 0;
                }
        return -EINVAL;
}

enum { OPTION_JSON = 0x100 };

/* 0, or an exit status below 0. */
static int take_choice(struct top *top, int c, char **argv)
{
        switch (c) {
        case 'u':
                if (parse_user(optarg, &top->uid) < 0)
                        return -usage_error("top", "--uid \"%s\": no such user", optarg);
                return 0;
        case 'S':
                if (find_column(optarg, &top->key) < 0)
                        return -usage_error("top",
                                            "--sort \"%s\": not one of in, out, bytes, queue, "
                                            "highest, drops, paced, user, pid, name",
                                            optarg);
                return 0;
        case 'a':
                top->all = true;
                return 0;
        case 'R':
                top->reverse = true;
                return 0;
        case OPTION_JSON:
                top->settings.json = true;
                return 0;
        default:
                return -option_error("top", c, argv);
        }
}

static int take_option(struct options *options, int c, char **argv)
{
        switch (c) {
        case 'd':
                if (parse_time(optarg, &options->top.delay) < 0 ||
                    options->top.delay < DELAY_MIN_USEC)
                        return -usage_error("top", "-d \"%s\": not a time of 10ms or more", optarg);
                return 0;
        case 'n':
                if (parse_number(optarg, 1, UINT64_MAX, &options->n) < 0)
                        return -usage_error("top", "-n \"%s\": not a number above 0", optarg);
                return 0;
        case 'b':
                options->batch = true;
                return 0;
        default:
                return take_choice(&options->top, c, argv);
        }
}

int verb_top(const struct settings *settings, int argc, char **argv)
{
        static const struct option long_options[] = {
                {"delay", required_argument, NULL, 'd'},
                {"iterations", required_argument, NULL, 'n'},
                {"batch", no_argument, NULL, 'b'},
                {"uid", required_argument, NULL, 'u'},
                {"all", no_argument, NULL, 'a'},
                {"sort", required_argument, NULL, 'S'},
                {"reverse", no_argument, NULL, 'R'},
                {"json", no_argument, NULL, OPTION_JSON},
                {"help", no_argument, NULL, 'h'},
                {NULL, 0, NULL, 0},
        };
        struct options options = {
                .top = {.settings = *settings,
                        .delay = DELAY_USEC,
                        .uid = ADMIN_NO_ID,
                        .key = TOP_BYTES},
        };
        int c, r;

        while ((c = getopt_long(argc, argv, ":d:n:bu:aS:Rh", long_options, NULL)) >= 0) {
                if (c == 'h')
                        return print_help(settings, help);
                r = take_option(&options, c, argv);
                if (r < 0)
                        return -r;
        }
        options.top.patterns = argv + optind;
        return run(&options);
}
