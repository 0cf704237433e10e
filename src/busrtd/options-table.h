/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of options share: the one table that says everything about each option, and the
 * way a value gets into its field.
 */
#pragma once

#include "access/rules.h"
#include "basic/macro.h"
#include "busrtd/options.h"

enum option_kind {
        OPTION_HEADING, /* no option: a line of --help */
        OPTION_FLAG,
        OPTION_COUNT,
        OPTION_SIZE,     /* bytes, with a suffix K, M or G */
        OPTION_SECONDS,  /* with a fraction */
        OPTION_DURATION, /* in `unit` nanoseconds */
        OPTION_WORD,     /* one of some */
        OPTION_TEXT,
        OPTION_BIND,
        OPTION_DBUS_NAME,
        OPTION_HELP,
        OPTION_VERSION,
};

struct option_row {
        enum option_kind kind;
        char short_name;
        const char *long_name;
        const char *value_name;
        const char *help; /* lines divided by '\n' */
        size_t offset;
        long long min, max;
        uint64_t unit;
        const char *const *words;  /* NULL after the last */
        const char *without_value; /* the word that is meant where no value is given, and by "yes";
                                      by "no" it is the first */
        bool at_start;             /* a reload does not change it */
        const char *key; /* in [Bus] of the configuration; NULL: on the command line alone */
};

extern const struct option_row option_rows[];
extern const size_t option_n_rows;

/* Bytes that a value takes, 0 for lists and for what has none. */
size_t option_field_size(const struct option_row *row);
void options_init(struct options *ret);
void options_print_help(FILE *out);
/* 0; else as options_read_config(). */
int options_read_access(struct options *options, char error[OPTIONS_ERROR_MAX]);
void options_forget_access(struct options *options);

struct option_parser {
        int argc;
        char **argv;
        int next; /* of argv */
        FILE *out;
        struct options *options;
        char *error;
        uint64_t seen;                    /* rows, by their number */
        const struct config_entry *entry; /* of a file; NULL: the command line */
        struct config_place failed_at;
};

/* One line that says what is wrong. Returns -EINVAL. */
_printf_(2, 3) int option_complain(struct option_parser *p, const char *format, ...);
/* "--timeout", "-t"; or the key, where a file is read */
const char *option_row_name(const struct option_parser *p, const struct option_row *row,
                            char out[64]);
/* Checks the value and puts it into its field; NULL for a flag that was given. 0 or -errno. */
int option_apply(struct option_parser *p, const struct option_row *row, const char *value);
