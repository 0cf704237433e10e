/* SPDX-License-Identifier: Apache-2.0 */
/*
 * busrtctl top, apart: samples and the rates between them (top-sample.c), the table of its columns
 * (top-columns.c), the lines of text that both faces show (top-lines.c), the screen (top-screen.c)
 * and its keys (top-keys.c).
 */
#pragma once

#include "busrtctl/admin.h"
#include "busrtctl/text.h"
#include "busrtctl/users.h"

/* --- top-sample.c --- */

/* Per second, since the sample before. */
struct top_rates {
        double in, out, in_bytes, out_bytes, drops;
        double paced; /* percent */
};

struct top_row {
        const struct admin_client *client;
        struct top_rates rates;
        bool known; /* it was there in the sample before: there are rates */
};

/* Starts zeroed. */
struct top_sample {
        uint64_t time;  /* microseconds, monotonic; 0: none yet */
        uint64_t clock; /* CLOCK_REALTIME */
        struct admin_status status;
        struct admin_clients clients; /* by id */
        struct top_rates rates;       /* of the broker */
        bool known;
        struct top_row *rows; /* one for each client, by id */
};

void top_sample_done(struct top_sample *sample);
/* Takes the next one in the place of the last. 0; or -EXIT_FAILURE after saying on stderr what went
 * wrong, with the last one as it was. */
int top_sample_take(struct top_sample *sample, struct admin *admin);

/* --- What is shown --- */

#define TOP_FILTER_MAX 256

enum top_column {
        TOP_IN,
        TOP_OUT,
        TOP_BYTES,
        TOP_QUEUE,
        TOP_HIGHEST,
        TOP_DROPS,
        TOP_PACED,
        TOP_USER,
        TOP_PID,
        TOP_NAME,
        N_TOP_COLUMNS,
};

struct top {
        struct settings settings;
        const char *route;
        uint64_t delay;
        char *const *patterns;
        uint32_t uid;                /* ADMIN_NO_ID: anybody's */
        char filter[TOP_FILTER_MAX]; /* part of the name, as fnmatch(3) */
        enum top_column key;
        bool all, reverse;

        struct top_sample sample;
        struct users users;
        const struct top_row **rows; /* those to be shown, in order */
        size_t n_rows;
        size_t widths[N_TOP_COLUMNS]; /* they only grow, so that nothing jumps about */

        /* Of the screen. */
        size_t first; /* row on the screen */
        size_t page;  /* rows that it has room for */
        bool paused, help, typing, quit;
        char typed[TOP_FILTER_MAX];
};

/* Chooses and sorts the rows anew. 0 or -ENOMEM. */
int top_arrange(struct top *top);

/* --- top-columns.c --- */

struct top_column_info {
        const char *name;    /* for --sort */
        const char *heading; /* with the column's key in it, as a capital */
        char key;
        bool left;     /* texts; numbers stand at the right */
        unsigned rank; /* 0: is never left out */
};
extern const struct top_column_info top_columns[N_TOP_COLUMNS];

/* The columns that fit, without TOP_NAME, which gets what is left; returned. width 0: all. */
size_t top_choose_columns(const struct top *top, size_t width, bool shown[N_TOP_COLUMNS]);
/* Lets the widths grow to what the rows need. 0 or -ENOMEM. */
int top_measure(struct top *top);
/* What stands in a cell. */
void top_add_cell(struct text *out, struct top *top, enum top_column column,
                  const struct top_row *row);
/* As qsort_r(3) of rows wants it; userdata is the top. */
int top_compare(const void *a, const void *b, void *userdata);

/* --- top-lines.c --- */

#define TOP_SUMMARY_LINES 3
/* What stands above the table; line from 0. */
void top_add_summary(struct text *out, const struct top *top, size_t line);
/* The heading, or with a row that; width 0: the name is whole. Not a newline. */
void top_add_line(struct text *out, struct top *top, const struct top_row *row, size_t width);
/* An object with the whole sample, on one line. */
void top_add_json(struct text *out, struct top *top);

/* --- top-screen.c --- */

/* Can the terminal be drawn on, and typed at? */
bool top_screen_is_possible(void);
/* Goes on until the user ends it, n samples (0: no end) were shown or the broker goes. Returns the
 * exit status. */
int top_screen_run(struct top *top, struct admin *admin, uint64_t n);

/* --- top-keys.c --- */

/* One that was typed, as get_wch(3) gives it; function: a KEY_ code. */
void top_take_key(struct top *top, unsigned key, bool function);
extern const char top_keys_help[];
