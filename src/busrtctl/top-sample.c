/* SPDX-License-Identifier: Apache-2.0 */
/* Two samples, and what happened between them. Clients are told apart by their ids: one that came
 * back under its name has no rates yet. */
#include "basic/macro.h"
#include "busrtctl/client-fields.h"
#include "busrtctl/text-time.h"
#include "busrtctl/top.h"

void top_sample_done(struct top_sample *sample)
{
        admin_status_done(&sample->status);
        admin_clients_done(&sample->clients);
        free(sample->rows);
        *sample = (struct top_sample){0};
}

static int compare_ids(const void *a, const void *b)
{
        const struct admin_client *x = a, *y = b;

        return (x->id > y->id) - (x->id < y->id);
}

/* Counters were reset where they run back. */
static double per_second(uint64_t now, uint64_t before, double seconds)
{
        return now < before ? 0 : (double)(now - before) / seconds;
}

static struct top_rates client_rates(const struct admin_client *now,
                                     const struct admin_client *before, double seconds)
{
        double paced = per_second(now->paced, before->paced, seconds) / 1e6 * 100;

        return (struct top_rates){
                .in = per_second(now->in_frames, before->in_frames, seconds),
                .out = per_second(now->out_frames, before->out_frames, seconds),
                .in_bytes = per_second(now->in_bytes, before->in_bytes, seconds),
                .out_bytes = per_second(now->out_bytes, before->out_bytes, seconds),
                .drops = per_second(now->dropped, before->dropped, seconds),
                .paced = MIN(paced, 100.0),
        };
}

static struct top_rates broker_rates(const struct admin_status *now,
                                     const struct admin_status *before, double seconds)
{
        return (struct top_rates){
                .in = per_second(now->in_frames, before->in_frames, seconds),
                .out = per_second(now->out_frames, before->out_frames, seconds),
                .in_bytes = per_second(now->in_bytes, before->in_bytes, seconds),
                .out_bytes = per_second(now->out_bytes, before->out_bytes, seconds),
                .drops = per_second(now->dropped, before->dropped, seconds),
        };
}

/* Both lists are sorted by id. */
static void compare_samples(struct top_sample *now, const struct top_sample *before)
{
        double seconds = (double)MAX(now->time - before->time, UINT64_C(1)) / 1e6;
        size_t old = 0;

        now->known = before->time > 0 && now->status.started == before->status.started;
        if (now->known)
                now->rates = broker_rates(&now->status, &before->status, seconds);
        for (size_t i = 0; i < now->clients.n; i++) {
                const struct admin_client *client = &now->clients.clients[i];
                struct top_row *row = &now->rows[i];

                row->client = client;
                while (old < before->clients.n && before->clients.clients[old].id < client->id)
                        old++;
                row->known = now->known && old < before->clients.n &&
                             before->clients.clients[old].id == client->id;
                if (row->known)
                        row->rates = client_rates(client, &before->clients.clients[old], seconds);
        }
}

int top_sample_take(struct top_sample *sample, struct admin *admin)
{
        _cleanup_(top_sample_done) struct top_sample now = {0};

        if (admin_get_status(admin, &now.status) < 0 || admin_list_clients(admin, &now.clients) < 0)
                return -EXIT_FAILURE;
        now.time = now_usec();
        now.clock = now_realtime();
        now.rows = calloc(now.clients.n + 1, sizeof(*now.rows));
        if (!now.rows)
                return -fail(ENOMEM, "cannot show the clients");
        if (now.clients.n > 0)
                qsort(now.clients.clients, now.clients.n, sizeof(*now.clients.clients),
                      compare_ids);
        compare_samples(&now, sample);
        top_sample_done(sample);
        *sample = now;
        now = (struct top_sample){0};
        return 0;
}

/* --- Which rows, and in which order --- */

/* The filter is found anywhere in the name. */
static bool is_wanted(const struct top *top, const struct admin_client *client)
{
        char pattern[TOP_FILTER_MAX + 2] = "*";
        char *const patterns[] = {pattern, NULL};

        if ((top->uid != ADMIN_NO_ID && client->uid != top->uid) ||
            (!top->all && client_is_secondary(client)) ||
            !name_matches(client->name, top->patterns))
                return false;
        (void)stpcpy(stpcpy(pattern + 1, top->filter), top->filter[0] ? "*" : "");
        return name_matches(client->name, patterns);
}

int top_arrange(struct top *top)
{
        const struct top_row **rows =
                reallocarray(top->rows, top->sample.clients.n + 1, sizeof(*rows));

        if (!rows)
                return -ENOMEM;
        top->rows = rows;
        top->n_rows = 0;
        for (size_t i = 0; i < top->sample.clients.n; i++)
                if (is_wanted(top, top->sample.rows[i].client))
                        rows[top->n_rows++] = &top->sample.rows[i];
        if (top->n_rows > 0)
                qsort_r(rows, top->n_rows, sizeof(*rows), top_compare, top);
        return top_measure(top);
}
