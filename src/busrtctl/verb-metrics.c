/* SPDX-License-Identifier: Apache-2.0 */
/* busrtctl metrics: what busrtd counts, as Prometheus reads it. */
#include <getopt.h>
#include <stdio.h>

#include "basic/macro.h"
#include "busrtctl/client-fields.h"
#include "busrtctl/metrics.h"
#include "busrtctl/output.h"
#include "busrtctl/replace-file.h"

static const char help[] =
        "Usage: busrtctl [OPTION]... metrics [OPTION]...\n"
        "\n"
        "Prints what busrtd counts in the text format of Prometheus, as the textfile collector of\n"
        "its node exporter reads it.\n"
        "\n"
        "Options:\n"
        "  -o, --output FILE     replace this file, at one blow; where anything fails it stays\n"
        "      --clients[=MAX]   series for each client, too, for MAX at most (1000): those who "
        "have\n"
        "                        been there for longest\n"
        "      --openmetrics     the format of OpenMetrics instead\n"
        "  -h, --help            this text\n"
        "\n"
        "Examples:\n"
        "  busrtctl metrics -o /var/lib/prometheus/node-exporter/busrt.prom\n";

#define CLIENTS_MOST 1000

struct metrics {
        struct settings settings;
        struct metrics_style style;
        const char *output;
};

static int add_all(struct text *out, struct metrics *metrics)
{
        _cleanup_(admin_freep) struct admin *admin = NULL;
        _cleanup_(admin_status_done) struct admin_status status = {0};
        _cleanup_(admin_clients_done) struct admin_clients clients = {0};
        _cleanup_(users_done) struct users users = {0};

        if (admin_open(&metrics->settings, &admin) < 0 || admin_get_status(admin, &status) < 0 ||
            (metrics->style.clients && admin_list_clients(admin, &clients) < 0))
                return -EXIT_FAILURE;
        metrics->style.visible = !metrics->output && isatty(STDOUT_FILENO);
        add_metrics(out, &metrics->style, &status, &clients, &users);
        return 0;
}

static int run(struct metrics *metrics)
{
        _cleanup_(text_done) struct text out = {0};
        int r;

        if (add_all(&out, metrics) < 0)
                return EXIT_FAILURE;
        if (!metrics->output || out.failed)
                return print_text(&out);
        r = replace_file(metrics->output, out.data, out.len);
        if (r == -EEXIST)
                return fail(0, "%s is no file: it is not replaced", metrics->output);
        return r < 0 ? fail(r, "cannot replace %s", metrics->output) : EXIT_SUCCESS;
}

enum { OPTION_CLIENTS = 0x100, OPTION_OPENMETRICS };

/* 0, or an exit status below 0. */
static int take_option(struct metrics *metrics, int c, char **argv)
{
        switch (c) {
        case 'o':
                metrics->output = optarg;
                return -check_given("metrics", "-o", optarg);
        case OPTION_CLIENTS:
                metrics->style.clients = true;
                if (optarg && parse_number(optarg, 1, UINT32_MAX, &metrics->style.most) < 0)
                        return -usage_error("metrics", "--clients=\"%s\": not a number above 0",
                                            optarg);
                return 0;
        case OPTION_OPENMETRICS:
                metrics->style.open = true;
                return 0;
        default:
                return -option_error("metrics", c, argv);
        }
}

int verb_metrics(const struct settings *settings, int argc, char **argv)
{
        static const struct option options[] = {
                {"output", required_argument, NULL, 'o'},
                {"clients", optional_argument, NULL, OPTION_CLIENTS},
                {"openmetrics", no_argument, NULL, OPTION_OPENMETRICS},
                {"help", no_argument, NULL, 'h'},
                {NULL, 0, NULL, 0},
        };
        struct metrics metrics = {.settings = *settings, .style = {.most = CLIENTS_MOST}};
        int c, r;

        while ((c = getopt_long(argc, argv, ":o:h", options, NULL)) >= 0) {
                if (c == 'h')
                        return print_help(settings, help);
                r = take_option(&metrics, c, argv);
                if (r < 0)
                        return -r;
        }
        if (optind < argc)
                return usage_error("metrics", "it takes no arguments: \"%s\"", argv[optind]);
        return run(&metrics);
}
