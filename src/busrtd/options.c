/* SPDX-License-Identifier: Apache-2.0 */
/*
 * As strict as the reference's parser, so that a mistake shows at once: names are not abbreviated,
 * nothing but -B may be repeated, nothing may be left over. --name=value, --name value, -n value,
 * -nvalue, -n=value and -abc are read.
 */
#include "busrtd/options-table.h"
#include "busrtd/text.h"

static bool takes_value(const struct option_row *row)
{
        return row->value_name != NULL;
}

/* --- Names --- */

/* value is what stood in the same argument, or NULL. */
static int take(struct option_parser *p, const struct option_row *row, const char *value)
{
        uint64_t bit = UINT64_C(1) << (row - option_rows);
        char name[64];

        if (p->seen & bit && row->kind != OPTION_BIND)
                return option_complain(p, "%s is given twice", option_row_name(p, row, name));
        p->seen |= bit;
        if (row->without_value && !value)
                return option_apply(p, row, row->without_value);
        if (!takes_value(row))
                return value ? option_complain(p, "%s takes no value",
                                               option_row_name(p, row, name))
                             : option_apply(p, row, NULL);
        if (!value && p->next >= p->argc)
                return option_complain(p, "%s needs a value: %s", option_row_name(p, row, name),
                                       row->value_name);
        return option_apply(p, row, value ? value : p->argv[p->next++]);
}

static const struct option_row *find_short(char c)
{
        for (size_t i = 0; i < option_n_rows; i++)
                if (option_rows[i].short_name && option_rows[i].short_name == c)
                        return &option_rows[i];
        return NULL;
}

static const struct option_row *find_long(const char *name, size_t len)
{
        for (size_t i = 0; i < option_n_rows; i++)
                if (option_rows[i].long_name && strlen(option_rows[i].long_name) == len &&
                    memcmp(option_rows[i].long_name, name, len) == 0)
                        return &option_rows[i];
        return NULL;
}

static int complain_unknown(struct option_parser *p, const char *arg)
{
        char visible[128];

        return option_complain(p, "unknown option \"%s\"; busrtd --help lists them",
                               text_visible(arg, visible, sizeof(visible)));
}

static int parse_long(struct option_parser *p, const char *arg)
{
        const char *equals = strchr(arg, '=');
        const struct option_row *row =
                find_long(arg + 2, equals ? (size_t)(equals - arg - 2) : strlen(arg + 2));

        return row ? take(p, row, equals ? equals + 1 : NULL) : complain_unknown(p, arg);
}

/* Several flags may share one '-'; a value ends the argument. */
static int parse_short(struct option_parser *p, const char *arg)
{
        int r = 0;

        for (const char *c = arg + 1; *c && r == 0; c++) {
                const struct option_row *row = find_short(*c);

                if (!row)
                        return complain_unknown(p, arg);
                if (takes_value(row) || c[1] == '=')
                        return take(p, row, c[1] == '=' ? c + 2 : c[1] ? c + 1 : NULL);
                r = take(p, row, NULL);
        }
        return r;
}

static int parse_one(struct option_parser *p, const char *arg)
{
        char visible[128];

        if (arg[0] == '-' && arg[1] == '-' && arg[2])
                return parse_long(p, arg);
        if (arg[0] == '-' && arg[1] && arg[1] != '-')
                return parse_short(p, arg);
        return option_complain(p, "unexpected argument \"%s\"; addresses are given with -B",
                               text_visible(arg, visible, sizeof(visible)));
}

int options_parse(int argc, char **argv, FILE *out, struct options *ret,
                  char error[OPTIONS_ERROR_MAX])
{
        _cleanup_(options_done) struct options options;
        struct option_parser p = {argc, argv, 1, out, &options, error, 0, NULL, {.line = 0}};

        options_init(&options);
        options.argc = argc;
        options.argv = argv;
        error[0] = '\0';
        while (p.next < argc) {
                int r = parse_one(&p, argv[p.next++]);

                if (r != 0)
                        return r;
        }
        options.given = p.seen;
        *ret = options;
        options.binds = NULL;
        return 0;
}

void options_done(struct options *options)
{
        free(options->binds);
        options_forget_access(options);
        config_done(&options->config);
        options->binds = NULL;
        options->n_binds = 0;
}
