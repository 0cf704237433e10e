/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <time.h>

#include "basic/macro.h"
#include "busrtctl/client-fields.h"
#include "busrtctl/fit.h"
#include "busrtctl/text-time.h"
#include "busrtctl/top.h"

static const char *count(double rate, char out[TEXT_NUMBER_MAX])
{
        return text_count((uint64_t)(rate + 0.5), out);
}

static const char *bytes(double rate, char out[TEXT_NUMBER_MAX])
{
        return text_bytes((uint64_t)(rate + 0.5), out);
}

static void add_broker(struct text *out, const struct top *top)
{
        const struct admin_status *status = &top->sample.status;
        char span[TEXT_SPAN_MAX], clients[TEXT_NUMBER_MAX], connections[TEXT_NUMBER_MAX];
        time_t clock = (time_t)(top->sample.clock / 1000000);
        struct tm tm;

        (void)localtime_r(&clock, &tm);
        text_addf(out, "%02d:%02d:%02d busrtd ", tm.tm_hour, tm.tm_min, tm.tm_sec);
        text_add_visible(out, status->version, strlen(status->version));
        text_addf(out, ", up %s; %s clients, %s connections", text_span(status->uptime, span),
                  text_count(status->n_clients, clients),
                  text_count(status->n_connections, connections));
}

static void add_traffic(struct text *out, const struct top *top)
{
        const struct top_rates *rates = &top->sample.rates;
        char in[TEXT_NUMBER_MAX], out_count[TEXT_NUMBER_MAX];
        char in_bytes[TEXT_NUMBER_MAX], out_bytes[TEXT_NUMBER_MAX];

        if (!top->sample.known) {
                text_adds(out, "In -/s, out -/s");
                return;
        }
        text_addf(out, "In %s/s, %s/s; out %s/s, %s/s", count(rates->in, in),
                  bytes(rates->in_bytes, in_bytes), count(rates->out, out_count),
                  bytes(rates->out_bytes, out_bytes));
}

static void add_losses(struct text *out, const struct top *top)
{
        const struct admin_status *status = &top->sample.status;
        char held[TEXT_NUMBER_MAX], max[TEXT_NUMBER_MAX], dropped[TEXT_NUMBER_MAX];
        char rate[TEXT_NUMBER_MAX], struck[TEXT_NUMBER_MAX];

        text_addf(out, "Queues %s of %s; dropped %s", text_bytes(status->held, held),
                  text_bytes(status->queue_memory_max, max), text_count(status->dropped, dropped));
        if (top->sample.rates.drops > 0)
                text_addf(out, " (%s/s)", count(top->sample.rates.drops, rate));
        text_addf(out, ", struck %s", text_count(status->struck, struck));
}

void top_add_summary(struct text *out, const struct top *top, size_t line)
{
        static void (*const lines[TOP_SUMMARY_LINES])(struct text * out, const struct top *top) = {
                add_broker, add_traffic, add_losses};

        lines[line](out, top);
}

/* --- The table --- */

static void add_heading(struct text *out, struct top *top, enum top_column column)
{
        const char *heading = top_columns[column].heading;

        for (const char *p = heading; *p; p++) {
                char c = (char)toupper((unsigned char)*p);

                text_add(out, &c, 1);
        }
}

void top_add_line(struct text *out, struct top *top, const struct top_row *row, size_t width)
{
        bool shown[N_TOP_COLUMNS];
        size_t left = top_choose_columns(top, width, shown);

        for (size_t i = 0; i < N_TOP_COLUMNS; i++) {
                _cleanup_(text_done) struct text cell = {0};

                if (!shown[i])
                        continue;
                if (row)
                        top_add_cell(&cell, top, (enum top_column)i, row);
                else
                        add_heading(&cell, top, (enum top_column)i);
                text_add(&cell, "", 1);
                out->failed = out->failed || cell.failed;
                if (cell.failed)
                        return;
                if (i == TOP_NAME && width == 0)
                        text_adds(out, cell.data);
                else if (i == TOP_NAME)
                        (void)fit_add(out, cell.data, left);
                else if (top_columns[i].left)
                        fit_add_left(out, cell.data, top->widths[i]);
                else
                        fit_add_right(out, cell.data, top->widths[i]);
                text_adds(out, i == TOP_NAME ? "" : " ");
        }
}

/* --- For programs --- */

static void add_json_rates(struct text *out, const struct top_rates *rates, bool known)
{
        const struct {
                const char *name;
                double value;
        } members[] = {
                {"in_frames", rates->in},   {"in_bytes", rates->in_bytes},
                {"out_frames", rates->out}, {"out_bytes", rates->out_bytes},
                {"dropped", rates->drops},
        };

        for (size_t i = 0; i < ARRAY_SIZE(members); i++)
                if (known)
                        text_addf(out, ",\"%s_per_second\":%.1f", members[i].name,
                                  members[i].value);
                else
                        text_addf(out, ",\"%s_per_second\":null", members[i].name);
}

void top_add_json(struct text *out, struct top *top)
{
        const struct top_sample *sample = &top->sample;

        text_adds(out, "{\"time\":");
        text_add_iso(out, sample->clock);
        text_addf(out, ",\"connections\":%llu,\"held\":%llu,\"dropped\":%llu,\"struck\":%llu",
                  (unsigned long long)sample->status.n_connections,
                  (unsigned long long)sample->status.held,
                  (unsigned long long)sample->status.dropped,
                  (unsigned long long)sample->status.struck);
        add_json_rates(out, &sample->rates, sample->known);
        text_adds(out, ",\"clients\":[");
        for (size_t i = 0; i < top->n_rows; i++) {
                const struct top_row *row = top->rows[i];

                text_adds(out, i > 0 ? ",{" : "{");
                client_add_json(out, row->client, &top->users);
                add_json_rates(out, &row->rates, row->known);
                text_adds(out, "}");
        }
        text_adds(out, "]}\n");
}
