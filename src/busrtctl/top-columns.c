/* SPDX-License-Identifier: Apache-2.0 */
#include "basic/macro.h"
#include "busrtctl/fit.h"
#include "busrtctl/top.h"

/* What a name should have. */
#define NAME_MIN ((size_t)14)

const struct top_column_info top_columns[N_TOP_COLUMNS] = {
        [TOP_IN] = {"in", "In/s", 'i', .rank = 0},
        [TOP_OUT] = {"out", "Out/s", 'o', .rank = 0},
        [TOP_BYTES] = {"bytes", "Bytes/s", 'b', .rank = 3},
        [TOP_QUEUE] = {"queue", "qUeue", 'u', .rank = 1},
        [TOP_HIGHEST] = {"highest", "hiGhest", 'g', .rank = 6},
        [TOP_DROPS] = {"drops", "Drop/s", 'd', .rank = 2},
        [TOP_PACED] = {"paced", "pAced%", 'a', .rank = 5},
        [TOP_USER] = {"user", "uSer", 's', .left = true, .rank = 4},
        [TOP_PID] = {"pid", "Pid", 'p', .rank = 7},
        [TOP_NAME] = {"name", "Name", 'n', .left = true, .rank = 0},
};

/* --- Width --- */

size_t top_choose_columns(const struct top *top, size_t width, bool shown[N_TOP_COLUMNS])
{
        size_t sum = NAME_MIN;

        for (size_t i = 0; i < TOP_NAME; i++) {
                shown[i] = true;
                sum += top->widths[i] + 1;
        }
        shown[TOP_NAME] = true;
        while (width > 0 && sum > width) {
                size_t last = 0;

                for (size_t i = 1; i < TOP_NAME; i++)
                        if (shown[i] && top_columns[i].rank > top_columns[last].rank)
                                last = i;
                if (top_columns[last].rank == 0)
                        break;
                shown[last] = false;
                sum -= top->widths[last] + 1;
        }
        sum -= NAME_MIN;
        return width > sum ? width - sum : 0;
}

int top_measure(struct top *top)
{
        for (size_t i = 0; i < TOP_NAME; i++) {
                top->widths[i] = MAX(top->widths[i], strlen(top_columns[i].heading));
                for (size_t j = 0; j < top->n_rows; j++) {
                        _cleanup_(text_done) struct text cell = {0};

                        top_add_cell(&cell, top, (enum top_column)i, top->rows[j]);
                        text_add(&cell, "", 1);
                        if (cell.failed)
                                return -ENOMEM;
                        top->widths[i] = MAX(top->widths[i], fit_width(cell.data));
                }
        }
        return 0;
}

/* --- Content --- */

static void add_rate(struct text *out, const struct top_row *row, double rate, bool bytes)
{
        char number[TEXT_NUMBER_MAX];
        uint64_t n = (uint64_t)(rate + 0.5);

        text_adds(out, !row->known ? "-" : bytes ? text_bytes(n, number) : text_count(n, number));
}

void top_add_cell(struct text *out, struct top *top, enum top_column column,
                  const struct top_row *row)
{
        const struct admin_client *client = row->client;
        char number[TEXT_NUMBER_MAX];

        switch (column) {
        case TOP_IN:
                add_rate(out, row, row->rates.in, false);
                return;
        case TOP_OUT:
                add_rate(out, row, row->rates.out, false);
                return;
        case TOP_BYTES:
                add_rate(out, row, row->rates.in_bytes + row->rates.out_bytes, true);
                return;
        case TOP_QUEUE:
                text_adds(out, text_count(client->queue_frames, number));
                return;
        case TOP_HIGHEST:
                text_adds(out, text_count(client->queue_frames_max, number));
                return;
        case TOP_DROPS:
                add_rate(out, row, row->rates.drops, false);
                return;
        case TOP_PACED:
                if (row->known)
                        text_addf(out, "%.1f", row->rates.paced);
                else
                        text_adds(out, "-");
                return;
        case TOP_USER:
                text_adds(out, users_name(&top->users, client->uid));
                return;
        case TOP_PID:
                if (client->pid > 0)
                        text_addf(out, "%u", client->pid);
                else
                        text_adds(out, "-");
                return;
        default:
                text_add_visible(out, client->name, strlen(client->name));
        }
}

/* --- Order --- */

static double number(const struct top_row *row, enum top_column key)
{
        switch (key) {
        case TOP_IN:
                return row->rates.in;
        case TOP_OUT:
                return row->rates.out;
        case TOP_QUEUE:
                return (double)row->client->queue_frames;
        case TOP_HIGHEST:
                return (double)row->client->queue_frames_max;
        case TOP_DROPS:
                return row->rates.drops;
        case TOP_PACED:
                return row->rates.paced;
        case TOP_PID:
                return row->client->pid;
        default:
                return row->rates.in_bytes + row->rates.out_bytes;
        }
}

/* Numbers begin with the largest, texts with the first; equals are in the order of their names. */
int top_compare(const void *a, const void *b, void *userdata)
{
        struct top *top = userdata;
        const struct top_row *x = *(const struct top_row *const *)a;
        const struct top_row *y = *(const struct top_row *const *)b;
        double m = number(x, top->key), n = number(y, top->key);
        int r = (n > m) - (n < m);

        if (top->key == TOP_NAME)
                r = 0;
        else if (top->key == TOP_USER)
                r = strcmp(users_name(&top->users, x->client->uid),
                           users_name(&top->users, y->client->uid));
        if (r == 0)
                r = strcmp(x->client->name, y->client->name);
        return top->reverse ? -r : r;
}
