/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table on standard output. On a terminal too narrow for it, first the columns of the highest
 * rank are left out, then the ends of those that may be cut are.
 */
#pragma once

#include "busrtctl/busrtctl.h"
#include "busrtctl/text.h"

struct grid_column {
        const char *heading;
        bool right;        /* numbers */
        bool cut;          /* its end may be */
        unsigned rank;     /* 0: is never left out */
        const char *color; /* as libsmartcols calls it, or NULL */
};

/* Starts with columns and n_columns. */
struct grid {
        const struct grid_column *columns;
        size_t n_columns;
        bool no_headings;

        char **cells; /* row by row */
        size_t n, size;
        bool failed; /* memory ran out */
};

void grid_done(struct grid *grid);
/* The next cell, from left to right. The text is taken; NULL: there was no memory for it. */
void grid_take(struct grid *grid, char *cell);
/* Text of a stranger's. Empty: "-". */
void grid_add_visible(struct grid *grid, const char *text);
void grid_add_count(struct grid *grid, uint64_t n);
void grid_add_bytes(struct grid *grid, uint64_t n);
/* Nothing where there are no rows. 0 or -ENOMEM. */
int grid_print(const struct grid *grid, const struct settings *settings);
