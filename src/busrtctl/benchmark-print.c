/* SPDX-License-Identifier: Apache-2.0 */
/* The results as a table, and below it what is no rate. */
#include <stdio.h>

#include "basic/macro.h"
#include "busrtctl/benchmark.h"
#include "busrtctl/grid.h"

static const struct grid_column columns[] = {
        {.heading = "STAGE"},
        {.heading = "ITERS", .right = true, .rank = 2},
        {.heading = "SECONDS", .right = true, .rank = 3},
        {.heading = "PER SECOND", .right = true},
        {.heading = "MIB/s", .right = true, .rank = 4},
        {.heading = "P50 us", .right = true, .rank = 1},
        {.heading = "P90 us", .right = true, .rank = 6},
        {.heading = "P99 us", .right = true, .rank = 1},
        {.heading = "P99.9 us", .right = true, .rank = 5},
        {.heading = "MAX us", .right = true, .rank = 3},
        {.heading = "BROKER us", .right = true, .rank = 2},
        {.heading = "OWN us", .right = true, .rank = 7},
};

static void add_number(struct grid *grid, bool there, int digits, double value)
{
        char *cell = NULL;

        if (!there)
                cell = strdup("-");
        else if (asprintf(&cell, "%.*f", digits, value) < 0)
                cell = NULL;
        grid_take(grid, cell);
}

static void add_percentiles(struct grid *grid, const struct outcome *outcome)
{
        static const double percents[] = {50, 90, 99, 99.9, 100};
        const struct histogram *histogram = outcome->histogram;

        for (size_t i = 0; i < ARRAY_SIZE(percents); i++)
                add_number(grid, histogram != NULL, 1,
                           histogram ? (double)histogram_percentile(histogram, percents[i]) / 1e3
                                     : 0);
}

static void add_row(struct grid *grid, const struct outcome *outcome, bool has_clock)
{
        double rate = outcome_rate(outcome);

        grid_add_visible(grid, outcome->stage->name);
        grid_add_count(grid, outcome->done);
        add_number(grid, true, 3, (double)outcome->nsec / 1e9);
        grid_add_count(grid, (uint64_t)(rate + 0.5));
        add_number(grid, outcome->stage->divisor == 0, 1,
                   rate * (double)outcome->payload / (1 << 20));
        add_percentiles(grid, outcome);
        add_number(grid, has_clock, 2, outcome_each(outcome, outcome->broker_cpu) / 1e3);
        add_number(grid, true, 2, outcome_each(outcome, outcome->own_cpu) / 1e3);
}

static int print_table(const struct benchmark *benchmark)
{
        _cleanup_(grid_done) struct grid grid = {
                .columns = columns,
                .n_columns = ARRAY_SIZE(columns),
        };

        for (size_t i = 0; i < benchmark->n_outcomes; i++)
                if (!benchmark->outcomes[i].stage->idle)
                        add_row(&grid, &benchmark->outcomes[i], benchmark->broker.has_clock);
        return grid_print(&grid, &benchmark->settings);
}

static void print_idle(const struct outcome *outcome)
{
        uint64_t grown = outcome->memory_after > outcome->memory_before
                                 ? outcome->memory_after - outcome->memory_before
                                 : 0;
        char each[TEXT_NUMBER_MAX], after[TEXT_NUMBER_MAX], n[TEXT_NUMBER_MAX];

        if (outcome->memory_after == 0)
                return;
        (void)printf("%s: %s idle clients take %s of the broker's memory each; it has %s now\n",
                     outcome->stage->name, text_count(outcome->done, n),
                     text_bytes(grown / outcome->done, each),
                     text_bytes(outcome->memory_after, after));
}

/* What one must know to read the table. */
static void print_notes(const struct benchmark *benchmark)
{
        bool first = true;

        for (size_t i = 0; i < benchmark->n_outcomes; i++)
                if (benchmark->outcomes[i].stage->idle)
                        print_idle(&benchmark->outcomes[i]);
        for (size_t i = 0; i < benchmark->n_outcomes; i++)
                if (benchmark->outcomes[i].end == END_TIME) {
                        (void)printf("%s%s", first ? "Ended by --seconds: " : ", ",
                                     benchmark->outcomes[i].stage->name);
                        first = false;
                }
        if (!first)
                (void)printf("\n");
        if (benchmark->broker.why_not)
                (void)printf("The broker's CPU and memory are not known: %s\n",
                             benchmark->broker.why_not);
        else if (!benchmark->broker.has_clock)
                (void)printf("The broker's CPU time may not be read\n");
        if (benchmark->partial)
                (void)printf("%sPartial: it was ended before all was measured%s\n",
                             ansi(&benchmark->settings, ANSI_YELLOW),
                             ansi(&benchmark->settings, ANSI_RESET));
}

static void print_head(const struct benchmark *benchmark)
{
        const struct benchmark_options *options = &benchmark->options;
        const char *author = benchmark->broker.author, *version = benchmark->broker.version;
        _cleanup_free_ char *who = text_visible(author ? author : "?"),
                            *what = text_visible(version ? version : "?"),
                            *where = text_visible(busrt_client_get_address(benchmark->control));
        char workers[TEXT_NUMBER_MAX], iters[TEXT_NUMBER_MAX];

        (void)printf("Broker at %s: %s, version %s\n"
                     "%s %s, %s iterations, payload of %llu bytes, window of %llu frames\n\n",
                     where ? where : "?", who ? who : "?", what ? what : "?",
                     text_count(options->workers, workers),
                     options->workers == 1 ? "worker" : "workers",
                     text_count(options->iters, iters), (unsigned long long)options->payload,
                     (unsigned long long)options->window);
}

int benchmark_print(const struct benchmark *benchmark)
{
        if (benchmark->n_outcomes == 0 && benchmark->failure)
                return EXIT_SUCCESS;
        print_head(benchmark);
        if (print_table(benchmark) < 0)
                return fail(ENOMEM, "cannot show the result");
        print_notes(benchmark);
        return finish_output(EXIT_SUCCESS);
}
