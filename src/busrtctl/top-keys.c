/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <limits.h>
#include <wchar.h>

#include <ncurses.h>

#include "basic/macro.h"
#include "busrtctl/top.h"

#define ESCAPE 27
#define DELETE 127
#define BACKSPACE 8

const char top_keys_help[] = "i o b u g   sort by IN, OUT, BYTES, QUEUE, HIGHEST\n"
                             "d a s p n   by DROP, PACED, USER, PID, NAME\n"
                             "r           the other way round\n"
                             "/           only names with this in them, * and ? as in a shell\n"
                             "space       hold still, and go on\n"
                             "Up Down PgUp PgDn Home End   scroll\n"
                             "h           this, until a key is pressed\n"
                             "q, Esc      end\n";

/* --- Typing a filter --- */

static void drop_character(char *text)
{
        size_t len = strlen(text);

        while (len > 0 && ((unsigned char)text[--len] & 0xc0) == 0x80)
                ;
        text[len] = '\0';
}

static void add_character(char *text, unsigned key)
{
        size_t len = strlen(text), n;
        mbstate_t state = {0};
        char bytes[MB_LEN_MAX];

        n = wcrtomb(bytes, (wchar_t)key, &state);
        if (n > sizeof(bytes) || n == 0 || len + n >= TOP_FILTER_MAX || key < ' ')
                return;
        memcpy(text + len, bytes, n);
        text[len + n] = '\0';
}

/* Escape leaves the filter as it was; an empty one is none. */
static void take_typed(struct top *top, unsigned key, bool function)
{
        if ((function && key == KEY_ENTER) || (!function && (key == '\n' || key == '\r'))) {
                memcpy(top->filter, top->typed, sizeof(top->filter));
                top->first = 0;
                top->typing = false;
        } else if (!function && key == ESCAPE) {
                top->typing = false;
        } else if ((function && key == KEY_BACKSPACE) ||
                   (!function && (key == DELETE || key == BACKSPACE))) {
                drop_character(top->typed);
        } else if (!function) {
                add_character(top->typed, key);
        }
}

/* --- Moving --- */

static void scroll_to(struct top *top, size_t first)
{
        size_t last = top->n_rows > top->page ? top->n_rows - top->page : 0;

        top->first = MIN(first, last);
}

static void take_function(struct top *top, unsigned key)
{
        size_t page = MAX(top->page, (size_t)1);

        switch (key) {
        case KEY_UP:
                scroll_to(top, top->first - MIN(top->first, (size_t)1));
                return;
        case KEY_DOWN:
                scroll_to(top, top->first + 1);
                return;
        case KEY_PPAGE:
                scroll_to(top, top->first - MIN(top->first, page));
                return;
        case KEY_NPAGE:
                scroll_to(top, top->first + page);
                return;
        case KEY_HOME:
                scroll_to(top, 0);
                return;
        case KEY_END:
                scroll_to(top, top->n_rows);
        }
}

static void take_letter(struct top *top, unsigned key)
{
        switch (key) {
        case 'q':
        case ESCAPE:
                top->quit = true;
                return;
        case 'r':
                top->reverse = !top->reverse;
                return;
        case 'h':
        case '?':
                top->help = true;
                return;
        case ' ':
                top->paused = !top->paused;
                return;
        case '/':
                memcpy(top->typed, top->filter, sizeof(top->typed));
                top->typing = true;
                return;
        }
        for (size_t i = 0; i < N_TOP_COLUMNS; i++)
                if (key < 0x80 && tolower((int)key) == top_columns[i].key) {
                        top->key = (enum top_column)i;
                        top->first = 0;
                }
}

void top_take_key(struct top *top, unsigned key, bool function)
{
        if (function && key == KEY_RESIZE)
                return;
        if (top->help)
                top->help = false;
        else if (top->typing)
                take_typed(top, key, function);
        else if (function)
                take_function(top, key);
        else
                take_letter(top, key);
}
