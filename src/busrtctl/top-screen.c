/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The screen of busrtctl top, by ncurses. What is said on stderr meanwhile would be lost with the
 * screen: it is kept until that is gone.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <wchar.h>

#include <ncurses.h>

#include "basic/macro.h"
#include "busrtctl/fit.h"
#include "busrtctl/text-time.h"
#include "busrtctl/top.h"

#include <term.h> /* last: it makes macros of words like "columns" */

/* The connection is looked after so often while nobody types. Microseconds. */
#define TICK_USEC 500000
#define ESCAPE 27
#define ESCAPE_DELAY_MSEC 25
/* Smaller ones have no room for the summary. */
#define SUMMARY_MIN_LINES 8

enum { PAIR_HEADING = 1, PAIR_NAME, PAIR_TROUBLE };

/* --- Opening and closing --- */

/* A signal handler has nowhere else to look. */
static volatile sig_atomic_t screen_is_open;

bool top_screen_is_possible(void)
{
        bool possible;
        int error;

        if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) ||
            setupterm(NULL, STDOUT_FILENO, &error) != OK)
                return false;
        possible = tigetstr("cup") && tigetstr("clear");
        (void)del_curterm(cur_term);
        return possible;
}

static void leave_screen(void)
{
        if (screen_is_open)
                (void)endwin();
        screen_is_open = 0;
}

struct screen {
        SCREEN *screen;
        int real_stderr;  /* -1: it is where it was */
        int kept;         /* what was said */
        sigset_t signals; /* as they were blocked before */
};

static volatile sig_atomic_t suspend_is_asked;

static void on_suspend(int number)
{
        suspend_is_asked = 1;
}

static void set_suspend_handler(void (*handler)(int number))
{
        struct sigaction action = {.sa_handler = handler};

        (void)sigemptyset(&action.sa_mask);
        (void)sigaction(SIGTSTP, &action, NULL);
}

/* The screen is left before this program stops, and drawn when it goes on. */
static void suspend(const struct screen *screen)
{
        sigset_t held;

        suspend_is_asked = 0;
        (void)endwin();
        set_suspend_handler(SIG_DFL);
        (void)raise(SIGTSTP);
        (void)sigprocmask(SIG_SETMASK, &screen->signals, &held); /* stops here */
        (void)sigprocmask(SIG_SETMASK, &held, NULL);
        set_suspend_handler(on_suspend);
        (void)refresh();
}

/* They are looked after where nothing is drawn, in ppoll() alone. The handler that ncurses has for
 * SIGTSTP draws, which a handler may not. */
static void hold_signals(struct screen *screen)
{
        sigset_t held;

        (void)sigemptyset(&held);
        (void)sigaddset(&held, SIGTSTP);
        (void)sigaddset(&held, SIGWINCH);
        (void)sigprocmask(SIG_BLOCK, &held, &screen->signals);
        set_suspend_handler(on_suspend);
}

/* What cannot be kept is said on the screen, and drawn over: better than no screen. */
static void keep_stderr(struct screen *screen)
{
        screen->real_stderr = dup(STDERR_FILENO);
        screen->kept = memfd_create("stderr", MFD_CLOEXEC);
        if (screen->real_stderr >= 0 && screen->kept >= 0)
                (void)dup2(screen->kept, STDERR_FILENO);
}

static void give_stderr_back(struct screen *screen)
{
        char buffer[4096];
        ssize_t n;

        if (screen->real_stderr >= 0)
                (void)dup2(screen->real_stderr, STDERR_FILENO);
        for (off_t at = 0; (n = pread(screen->kept, buffer, sizeof(buffer), at)) > 0; at += n)
                (void)fwrite(buffer, 1, (size_t)n, stderr);
        screen->real_stderr = close_fd(screen->real_stderr);
        screen->kept = close_fd(screen->kept);
}

static int open_screen(struct screen *screen, const struct settings *settings)
{
        /* Before ncurses, which would end the program in its own way. */
        int r = catch_all_interrupts(leave_screen);

        if (r < 0)
                return fail(r, "cannot catch signals");
        screen->screen = newterm(NULL, stdout, stdin);
        if (!screen->screen)
                return fail(0, "the terminal cannot be drawn on: -b prints lines");
        screen_is_open = 1;
        hold_signals(screen);
        keep_stderr(screen);
        (void)set_escdelay(ESCAPE_DELAY_MSEC);
        (void)cbreak();
        (void)noecho();
        (void)keypad(stdscr, TRUE);
        (void)nodelay(stdscr, TRUE);
        (void)curs_set(0);
        if (settings->color && start_color() == OK && use_default_colors() == OK) {
                (void)init_pair(PAIR_HEADING, COLOR_BLACK, COLOR_GREEN);
                (void)init_pair(PAIR_NAME, COLOR_CYAN, -1);
                (void)init_pair(PAIR_TROUBLE, COLOR_YELLOW, -1);
        }
        return 0;
}

static void close_screen(struct screen *screen)
{
        leave_screen();
        if (screen->screen) {
                set_suspend_handler(SIG_DFL);
                delscreen(screen->screen);
                (void)sigprocmask(SIG_SETMASK, &screen->signals, NULL);
        }
        give_stderr_back(screen);
}

/* --- Drawing --- */

/* The text from this cell on, cut at the end of the line. */
static void put(int y, int x, struct text *text, chtype attributes)
{
        _cleanup_(text_done) struct text cut = {0};

        text_add(text, "", 1);
        if (text->failed || x >= COLS || y >= LINES)
                return;
        (void)fit_add(&cut, text->data, (size_t)(COLS - x));
        if (cut.failed)
                return;
        (void)attrset((attr_t)attributes);
        (void)mvaddnstr(y, x, cut.data ? cut.data : "", (int)cut.len);
        (void)attrset(A_NORMAL);
}

static chtype color(const struct top *top, short pair)
{
        return top->settings.color ? COLOR_PAIR(pair) : 0;
}

/* On an inverted bar; the column that is sorted by is bold, the keys of all are underlined. */
static void draw_heading(struct top *top, int y)
{
        bool shown[N_TOP_COLUMNS];
        chtype bar = top->settings.color ? color(top, PAIR_HEADING) : A_REVERSE;
        int x = 0;

        (void)top_choose_columns(top, (size_t)COLS, shown);
        (void)mvhline(y, 0, ' ' | bar, COLS);
        for (size_t i = 0; i < N_TOP_COLUMNS; i++) {
                const char *heading = top_columns[i].heading;
                int len = (int)strlen(heading), width = i == TOP_NAME ? len : (int)top->widths[i];

                if (!shown[i])
                        continue;
                for (int j = 0; j < len; j++) {
                        int at = x + j + (top_columns[i].left ? 0 : width - len);
                        char c = heading[j];
                        bool key = c >= 'A' && c <= 'Z';

                        c = c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
                        if (at < COLS)
                                (void)mvaddch(y, at,
                                              (chtype)c | bar | (key ? A_UNDERLINE : 0) |
                                                      (i == top->key ? A_BOLD : 0));
                }
                x += width + 1;
        }
}

static bool is_trouble(enum top_column column, const struct top_row *row)
{
        return (column == TOP_DROPS && row->rates.drops > 0) ||
               (column == TOP_PACED && row->rates.paced > 0);
}

/* Each cell is put at its own column: a width that the terminal sees otherwise moves nothing. */
static void draw_row(struct top *top, int y, const struct top_row *row)
{
        bool shown[N_TOP_COLUMNS];
        int x = 0;

        (void)top_choose_columns(top, (size_t)COLS, shown);
        for (size_t i = 0; i < N_TOP_COLUMNS; i++) {
                _cleanup_(text_done) struct text cell = {0}, filled = {0};
                enum top_column column = (enum top_column)i;

                if (!shown[i])
                        continue;
                top_add_cell(&cell, top, column, row);
                if (column == TOP_NAME) {
                        put(y, x, &cell, color(top, PAIR_NAME));
                        continue;
                }
                text_add(&cell, "", 1);
                if (cell.failed)
                        return;
                if (top_columns[i].left)
                        fit_add_left(&filled, cell.data, top->widths[i]);
                else
                        fit_add_right(&filled, cell.data, top->widths[i]);
                put(y, x, &filled, is_trouble(column, row) ? color(top, PAIR_TROUBLE) : 0);
                x += (int)top->widths[i] + 1;
        }
}

/* The line above the heading. */
static void draw_state(struct top *top, int y)
{
        _cleanup_(text_done) struct text state = {0};
        char span[TEXT_SPAN_MAX];

        if (top->typing) {
                text_adds(&state, "Only names with: ");
                text_add_visible(&state, top->typed, strlen(top->typed));
                text_adds(&state, "_");
        } else {
                text_addf(&state, "%s; h: help, q: end",
                          top->paused ? "Paused" : text_span(top->delay, span));
                if (top->reverse)
                        text_adds(&state, "; reversed");
                if (top->filter[0]) {
                        text_adds(&state, "; only ");
                        text_add_visible(&state, top->filter, strlen(top->filter));
                }
                if (top->n_rows > top->page)
                        text_addf(&state, "; %zu-%zu of %zu", top->first + 1,
                                  MIN(top->first + top->page, top->n_rows), top->n_rows);
        }
        put(y, 0, &state, top->typing || top->paused ? A_BOLD : A_DIM);
}

static void draw_help(int y)
{
        for (const char *p = top_keys_help; *p;) {
                _cleanup_(text_done) struct text line = {0};
                size_t len = strcspn(p, "\n");

                text_add(&line, p, len);
                put(y++, 0, &line, 0);
                p += len + 1;
        }
}

static void draw(struct top *top)
{
        int y = 0;

        (void)erase();
        for (size_t i = 0; LINES >= SUMMARY_MIN_LINES && i < TOP_SUMMARY_LINES; i++) {
                _cleanup_(text_done) struct text line = {0};

                top_add_summary(&line, top, i);
                put(y++, 0, &line, 0);
        }
        top->page = LINES > y + 2 ? (size_t)(LINES - y - 2) : 0;
        top->first = MIN(top->first, top->n_rows > top->page ? top->n_rows - top->page : 0);
        draw_state(top, y++);
        if (top->help) {
                draw_help(y);
        } else {
                draw_heading(top, y++);
                for (size_t i = 0; i < top->page && top->first + i < top->n_rows; i++)
                        draw_row(top, y++, top->rows[top->first + i]);
        }
        (void)refresh();
}

/* --- Going on --- */

/* What a terminal sends for a key that its description does not know begins with an escape, too:
 * that is no key at all. */
static bool is_unknown_sequence(wint_t key, int r)
{
        bool more = false;

        if (r == KEY_CODE_YES || key != ESCAPE)
                return false;
        while (get_wch(&key) != ERR)
                more = true;
        return more;
}

static void take_keys(struct top *top)
{
        wint_t key;
        int r;

        while ((r = get_wch(&key)) != ERR)
                if (!is_unknown_sequence(key, r))
                        top_take_key(top, key, r == KEY_CODE_YES);
}

/* Draws, and draws again after each key, until the time (microseconds, monotonic) has come or
 * the user ends it. 0, or -errno: -EPIPE, the terminal is gone; as admin_wait(). */
static int wait_for_keys(struct top *top, struct admin *admin, const struct screen *screen,
                         uint64_t end)
{
        struct timespec span = {0};
        int r = 0;

        while (r >= 0 && !top->quit) {
                struct pollfd fds[] = {
                        {.fd = STDIN_FILENO, .events = POLLIN},
                        {.fd = interrupt_fd(), .events = POLLIN},
                };
                uint64_t now = now_usec();

                r = top_arrange(top);
                if (r < 0)
                        return r;
                draw(top);
                if (!top->paused && now >= end)
                        return 0;
                now = top->paused ? TICK_USEC : MIN(end - now, (uint64_t)TICK_USEC);
                span.tv_nsec = (long)now * 1000;
                (void)ppoll(fds, ARRAY_SIZE(fds), &span, &screen->signals);
                if (suspend_is_asked)
                        suspend(screen);
                if (fds[0].revents & (POLLERR | POLLHUP | POLLNVAL))
                        return -EPIPE;
                take_keys(top);
                r = admin_wait(admin, 1);
        }
        return r;
}

static int show_samples(struct top *top, struct admin *admin, const struct screen *screen,
                        uint64_t n)
{
        int r = 0;

        for (uint64_t i = 0; r >= 0 && !top->quit && (n == 0 || i < n); i++) {
                if (top_sample_take(&top->sample, admin) < 0)
                        return interrupted() ? -EINTR : -EXIT_FAILURE;
                r = wait_for_keys(top, admin, screen, top->sample.time + top->delay);
        }
        return r;
}

int top_screen_run(struct top *top, struct admin *admin, uint64_t n)
{
        struct screen screen = {.real_stderr = -1, .kept = -1};
        int r = open_screen(&screen, &top->settings);

        if (r == 0) {
                r = show_samples(top, admin, &screen, n);
                close_screen(&screen);
                if (r == -ENOMEM)
                        return fail(r, "cannot go on");
                r = r < 0 && r != -EINTR && r != -EPIPE ? EXIT_FAILURE : EXIT_SUCCESS;
        }
        return r;
}
