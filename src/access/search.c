/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of a key's masks covers a text: they are sorted part by part, so those that begin with the
 * same parts stand side by side, and what the text goes on with is found among them by halving.
 * From each part two ways may lead on, by the part itself and by `any`; one is put aside while the
 * other is taken. Where few masks are left they are tried in turn, and so they are where more ways
 * would have to be put aside than there is room for.
 */
#include <string.h>

#include "access/internal.h"
#include "basic/macro.h"

#define FEW 4
#define RUNS_MAX 32

/* In the order in which they are sorted. */
enum part_class {
        PART_NONE, /* the mask has ended */
        PART_LITERAL,
        PART_ANY,
        PART_REST,
};

/* Masks with the same first parts. */
struct run {
        size_t low, high; /* items */
        size_t at;   /* where the next part begins in all of them; beyond the end: there is none */
        size_t from; /* and where it does in the text */
};

struct search {
        const struct list *list;
        const struct mask_syntax *syntax;
        covers_fn covers;
        const char *text;
        size_t len;
        const struct item *found; /* the one that was said first */
        unsigned n_tried;
        size_t n_runs;
        struct run runs[RUNS_MAX];
};

bool covers_text(const struct mask_syntax *syntax, const char *mask, size_t mask_len,
                 const char *text, size_t len)
{
        return mask_match(syntax, mask, mask_len, text, len);
}

bool covers_mask(const struct mask_syntax *syntax, const char *mask, size_t mask_len,
                 const char *inner, size_t len)
{
        return mask_is_subset(syntax, inner, len, mask, mask_len);
}

static size_t part_len(const struct mask_syntax *syntax, const char *text, size_t len, size_t at)
{
        const char *stop = memchr(text + at, syntax->separator, len - at);

        return (stop ? (size_t)(stop - text) : len) - at;
}

static int compare_part(struct search *s, const struct item *item, size_t at, enum part_class class,
                        const char *want, size_t want_len)
{
        const char *part = item->mask.text + at;
        enum part_class own = PART_NONE;
        size_t len = 0;
        int r = 0;

        s->n_tried++;
        if (at <= item->mask.len) {
                len = part_len(s->syntax, item->mask.text, item->mask.len, at);
                own = PART_LITERAL;
                if (len == 1 && *part == s->syntax->any)
                        own = PART_ANY;
                else if (len == 1 && *part == s->syntax->rest)
                        own = PART_REST;
        }
        if (own != class || class != PART_LITERAL)
                return (int)own - (int)class;
        if (MIN(len, want_len) > 0)
                r = memcmp(part, want, MIN(len, want_len));
        return r != 0 ? r : (len > want_len) - (len < want_len);
}

/* The first of the run's items whose next part is no less than that, or, if beyond, more. */
static size_t first_item(struct search *s, const struct run *run, enum part_class class,
                         const char *want, size_t want_len, bool beyond)
{
        size_t low = run->low, high = run->high;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (compare_part(s, &s->list->items[middle], run->at, class, want, want_len) <
                    beyond)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

static void search_found(struct search *s, const struct item *item)
{
        if (!s->found || item->order < s->found->order)
                s->found = item;
}

/* Most masks begin with a part that is no wildcard, and most texts with another: one look tells. */
static bool begins_otherwise(const struct search *s, const struct item *item)
{
        const char *mask = item->mask.text;

        return s->len > 0 && item->mask.len > 0 && mask[0] != s->text[0] &&
               mask[0] != s->syntax->any && mask[0] != s->syntax->rest;
}

static void try_in_turn(struct search *s, const struct run *run)
{
        for (size_t i = run->low; i < run->high; i++) {
                const struct item *item = &s->list->items[i];

                if (!begins_otherwise(s, item) &&
                    s->covers(s->syntax, item->mask.text, item->mask.len, s->text, s->len))
                        search_found(s, item);
        }
        s->n_tried += (unsigned)(run->high - run->low);
}

static void search_go_on(struct search *s, size_t low, size_t high, size_t at, size_t from)
{
        if (low < high)
                s->runs[s->n_runs++] = (struct run){low, high, at, from};
}

/* One part further in the text. Equal masks stand in the order in which they were said. */
static void search_step(struct search *s, struct run run)
{
        const char *want = s->text + run.from;
        size_t len, rest, any, high = run.high;

        if (run.from > s->len) { /* all of the text is covered by those that end here, too */
                run.high = first_item(s, &run, PART_LITERAL, "", 0, false);
                if (run.low < run.high)
                        search_found(s, &s->list->items[run.low]);
                return;
        }
        len = part_len(s->syntax, s->text, s->len, run.from);
        rest = first_item(s, &run, PART_REST, NULL, 0, false);
        if (rest < high)
                search_found(s, &s->list->items[rest]);
        /* No other part holds a mask's `rest`. */
        if (s->covers == covers_mask && len == 1 && *want == s->syntax->rest)
                return;
        run.high = rest;
        any = first_item(s, &run, PART_ANY, NULL, 0, false);
        search_go_on(s, any, rest, run.at + 2, run.from + len + 1);
        run.high = any;
        run.low = first_item(s, &run, PART_LITERAL, want, len, false);
        high = first_item(s, &run, PART_LITERAL, want, len, true);
        search_go_on(s, run.low, high, run.at + len + 1, run.from + len + 1);
}

const struct item *list_find_wild(const struct list *list, const struct mask_syntax *syntax,
                                  covers_fn covers, const char *text, size_t len,
                                  unsigned *ret_n_tried)
{
        struct search s;

        s.list = list;
        s.syntax = syntax;
        s.covers = covers;
        s.text = len > 0 ? text : "";
        s.len = len;
        s.found = NULL;
        s.n_tried = 0;
        s.n_runs = 0;
        search_go_on(&s, list->n_literals, list->n_items, 0, 0);
        while (s.n_runs > 0) {
                struct run run = s.runs[--s.n_runs];

                if (run.high - run.low <= FEW || s.n_runs + 2 > RUNS_MAX)
                        try_in_turn(&s, &run);
                else
                        search_step(&s, run);
        }
        *ret_n_tried = s.n_tried;
        return s.found;
}
