/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <sys/ioctl.h>

#include <libsmartcols/libsmartcols.h>

#include "basic/macro.h"
#include "busrtctl/fit.h"
#include "busrtctl/grid.h"

#define COLUMNS_MAX 32
/* What a column that may be cut should keep. */
#define CUT_MIN ((size_t)12)

void grid_done(struct grid *grid)
{
        for (size_t i = 0; i < grid->n; i++)
                free(grid->cells[i]);
        free(grid->cells);
        grid->cells = NULL;
        grid->n = grid->size = 0;
}

void grid_take(struct grid *grid, char *cell)
{
        if (cell && grid->n == grid->size) {
                size_t size = MAX(grid->size * 2, (size_t)64);
                char **cells = reallocarray(grid->cells, size, sizeof(*cells));

                if (cells) {
                        grid->cells = cells;
                        grid->size = size;
                }
        }
        if (cell && grid->n < grid->size && !grid->failed) {
                grid->cells[grid->n++] = cell;
                return;
        }
        free(cell);
        grid->failed = true;
}

void grid_add_visible(struct grid *grid, const char *text)
{
        grid_take(grid, text[0] ? text_visible(text) : strdup("-"));
}

void grid_add_count(struct grid *grid, uint64_t n)
{
        char number[TEXT_NUMBER_MAX];

        grid_take(grid, strdup(text_count(n, number)));
}

void grid_add_bytes(struct grid *grid, uint64_t n)
{
        char number[TEXT_NUMBER_MAX];

        grid_take(grid, strdup(text_bytes(n, number)));
}

/* --- Layout --- */

struct layout {
        size_t widths[COLUMNS_MAX];
        bool shown[COLUMNS_MAX];
};

static size_t natural_width(const struct grid *grid, size_t column)
{
        size_t width = fit_width(grid->columns[column].heading);

        for (size_t i = column; i < grid->n; i += grid->n_columns)
                width = MAX(width, fit_width(grid->cells[i]));
        return width;
}

static size_t least_width(const struct grid *grid, const struct layout *layout, size_t column)
{
        size_t width = layout->widths[column];

        return grid->columns[column].cut ? MIN(width, CUT_MIN) : width;
}

static void leave_out_columns(const struct grid *grid, struct layout *layout, size_t room)
{
        size_t sum = 0, last;

        for (size_t i = 0; i < grid->n_columns; i++)
                sum += least_width(grid, layout, i) + 1;
        while (sum > room) {
                last = 0;
                for (size_t i = 1; i < grid->n_columns; i++)
                        if (layout->shown[i] && grid->columns[i].rank > grid->columns[last].rank)
                                last = i;
                if (grid->columns[last].rank == 0)
                        return;
                layout->shown[last] = false;
                sum -= least_width(grid, layout, last) + 1;
        }
}

/* The widest pays first. */
static void cut_columns(const struct grid *grid, struct layout *layout, size_t room)
{
        size_t sum = 0, widest;

        for (size_t i = 0; i < grid->n_columns; i++)
                sum += layout->shown[i] ? layout->widths[i] + 1 : 0;
        for (; sum > room; sum--) {
                widest = COLUMNS_MAX;
                for (size_t i = 0; i < grid->n_columns; i++)
                        if (layout->shown[i] && grid->columns[i].cut &&
                            layout->widths[i] > CUT_MIN &&
                            (widest == COLUMNS_MAX || layout->widths[i] > layout->widths[widest]))
                                widest = i;
                if (widest == COLUMNS_MAX)
                        return;
                layout->widths[widest]--;
        }
}

static void make_layout(const struct grid *grid, struct layout *ret)
{
        struct winsize size = {0};
        size_t room;

        for (size_t i = 0; i < grid->n_columns; i++) {
                ret->widths[i] = natural_width(grid, i);
                ret->shown[i] = true;
        }
        if (!isatty(STDOUT_FILENO))
                return;
        /* There is no blank behind the last. */
        room = 1 +
               (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80);
        leave_out_columns(grid, ret, room);
        cut_columns(grid, ret, room);
}

/* --- Output --- */

static int add_columns(const struct grid *grid, struct libscols_table *table,
                       const struct layout *layout)
{
        for (size_t i = 0; i < grid->n_columns; i++) {
                const struct grid_column *from = &grid->columns[i];
                struct libscols_column *column;

                if (!layout->shown[i])
                        continue;
                column = scols_table_new_column(table, from->heading, 0,
                                                (from->right ? SCOLS_FL_RIGHT : 0) |
                                                        (from->cut ? SCOLS_FL_TRUNC : 0));
                if (!column || scols_cell_set_color(scols_column_get_header(column), "bold") < 0 ||
                    (from->color && scols_column_set_color(column, from->color) < 0))
                        return -ENOMEM;
        }
        return 0;
}

static int add_row(const struct grid *grid, struct libscols_table *table,
                   const struct layout *layout, size_t row)
{
        struct libscols_line *line = scols_table_new_line(table, NULL);
        size_t n = 0;
        int r = line ? 0 : -ENOMEM;

        for (size_t i = 0; r >= 0 && i < grid->n_columns; i++) {
                _cleanup_(text_done) struct text cell = {0};

                if (!layout->shown[i])
                        continue;
                (void)fit_add(&cell, grid->cells[row * grid->n_columns + i], layout->widths[i]);
                text_add(&cell, "", 1);
                r = cell.failed ? -ENOMEM : scols_line_refer_data(line, n++, cell.data);
                if (r >= 0)
                        cell.data = NULL;
        }
        return r;
}

int grid_print(const struct grid *grid, const struct settings *settings)
{
        size_t rows = grid->n / grid->n_columns;
        struct libscols_table *table;
        struct layout layout;
        int r;

        if (grid->failed || grid->n_columns > COLUMNS_MAX)
                return -ENOMEM;
        if (rows == 0)
                return 0;
        make_layout(grid, &layout);
        table = scols_new_table();
        r = table ? add_columns(grid, table, &layout) : -ENOMEM;
        for (size_t i = 0; r >= 0 && i < rows; i++)
                r = add_row(grid, table, &layout, i);
        if (r >= 0) {
                /* The cells are harmless already; encoded once more, "\x1b" would be "\x5cx1b". */
                (void)scols_table_enable_noencoding(table, 1);
                (void)scols_table_enable_colors(table, settings->color);
                (void)scols_table_enable_noheadings(table, grid->no_headings);
                r = scols_print_table(table);
        }
        scols_unref_table(table);
        return r;
}
