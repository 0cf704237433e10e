/* SPDX-License-Identifier: Apache-2.0 */
/* What --help says of the options, and what --check-config and busrtctl say of their values. */
#include <stdio.h>

#include "basic/clock.h"
#include "busrtd/options-table.h"
#include "busrtd/text.h"

/* --- Help --- */

#define HELP_INDENT 40

/* "[8192]", from the field itself, so that it cannot differ from what is in force. */
static void print_default(FILE *out, const struct option_row *row, const struct options *defaults)
{
        const void *field = (const char *)defaults + row->offset;
        char text[TEXT_NUMBER_MAX];

        if (row->offset == offsetof(struct options, without_effect))
                return;
        if (row->kind == OPTION_COUNT)
                fprintf(out, " [%zu]", *(const size_t *)field);
        else if (row->kind == OPTION_SIZE && *(const size_t *)field > 0)
                fprintf(out, " [%s]", text_bytes(*(const size_t *)field, text));
        else if (row->kind == OPTION_SECONDS || row->kind == OPTION_DURATION)
                fprintf(out, " [%s]", text_duration(*(const uint64_t *)field, text));
        else if (row->kind == OPTION_WORD)
                fprintf(out, " [%s]", row->words[*(const unsigned *)field]);
        else if (row->kind == OPTION_DBUS_NAME)
                fprintf(out, " [%s]", *(const char *const *)field);
}

static void print_names(FILE *out, const struct option_row *row)
{
        char names[64];
        int n = 0;

        if (row->short_name)
                n += snprintf(names, sizeof(names), "-%c", row->short_name);
        if (row->long_name)
                n += snprintf(names + n, sizeof(names) - (size_t)n, "%s--%s", n ? ", " : "    ",
                              row->long_name);
        if (row->value_name)
                (void)snprintf(names + n, sizeof(names) - (size_t)n,
                               row->without_value ? "[=%s]" : " %s", row->value_name);
        fprintf(out, "  %-*s", HELP_INDENT - 2, names);
}

static void print_row(FILE *out, const struct option_row *row, const struct options *defaults)
{
        if (row->kind == OPTION_HEADING) {
                fprintf(out, "\n%s:\n", row->help);
                return;
        }
        print_names(out, row);
        for (const char *line = row->help; line;) {
                const char *end = strchr(line, '\n');

                fprintf(out, "%.*s", (int)(end ? end - line : (long)strlen(line)), line);
                if (end)
                        fprintf(out, "\n%*s", HELP_INDENT, "");
                line = end ? end + 1 : NULL;
        }
        print_default(out, row, defaults);
        fputc('\n', out);
}

void options_print_help(FILE *out)
{
        struct options defaults;

        options_init(&defaults);
        fputs("busrtd - a broker for the BUS/RT protocol\n\n"
              "Usage: busrtd [OPTION...]\n\n"
              "Without -B, and without sockets from systemd, it listens on "
              "$XDG_RUNTIME_DIR/busrt/bus.sock\n"
              "(root without that variable: /run/busrt/bus.sock). A SIZE is in bytes, or ends in "
              "K, M or G.\n",
              out);
        for (size_t i = 0; i < option_n_rows; i++)
                print_row(out, &option_rows[i], &defaults);
}

/* In the form in which a file may say it. */
static const char *format_value(const struct option_row *row, const void *field,
                                char out[TEXT_NUMBER_MAX])
{
        uint64_t n;

        switch (row->kind) {
        case OPTION_FLAG:
                return *(const bool *)field ? "yes" : "no";
        case OPTION_WORD:
                return row->words[*(const unsigned *)field];
        case OPTION_DBUS_NAME:
                return *(const char *const *)field;
        case OPTION_COUNT:
        case OPTION_SIZE:
                (void)snprintf(out, TEXT_NUMBER_MAX, "%zu", *(const size_t *)field);
                return out;
        default:
                n = *(const uint64_t *)field / NSEC_PER_USEC;
                (void)snprintf(out, TEXT_NUMBER_MAX, "%llu%s",
                               (unsigned long long)(n % 1000 ? n : n / 1000),
                               n % 1000 ? "us" : "ms");
                return out;
        }
}

static const struct config_entry *bind_origin(const struct options *o, const char *bind)
{
        for (size_t i = 0; i < o->config.n_entries; i++)
                if (o->config.entries[i].value == bind)
                        return &o->config.entries[i];
        return NULL;
}

static struct option_setting setting_of(const struct options *o, const struct option_row *row,
                                        const char *value, const struct config_entry *origin)
{
        struct option_setting setting = {row->key, value, "", 0, row->at_start};

        if (origin) {
                setting.file = origin->file;
                setting.line = origin->line;
        } else if (o->given >> (row - option_rows) & 1)
                setting.file = "command line";
        return setting;
}

static int foreach_bind(const struct options *o, const struct option_row *row,
                        int (*fn)(const struct option_setting *setting, void *userdata),
                        void *userdata)
{
        struct option_setting setting = setting_of(o, row, "", NULL);
        int r = 0;

        if (o->n_binds == 0)
                return fn(&setting, userdata);
        for (size_t i = 0; i < o->n_binds && r == 0; i++) {
                setting = setting_of(o, row, o->binds[i], bind_origin(o, o->binds[i]));
                r = fn(&setting, userdata);
        }
        return r;
}

int options_foreach_setting(const struct options *o,
                            int (*fn)(const struct option_setting *setting, void *userdata),
                            void *userdata)
{
        int r = 0;

        for (size_t i = 0; i < option_n_rows && r == 0; i++) {
                const void *field = (const char *)o + option_rows[i].offset;
                char text[TEXT_NUMBER_MAX];

                if (option_rows[i].kind == OPTION_BIND)
                        r = foreach_bind(o, &option_rows[i], fn, userdata);
                else if (option_rows[i].key) {
                        struct option_setting setting = setting_of(
                                o, &option_rows[i], format_value(&option_rows[i], field, text),
                                o->origins[i]);

                        r = fn(&setting, userdata);
                }
        }
        return r;
}

static int print_setting(const struct option_setting *s, void *userdata)
{
        FILE *out = userdata;
        char visible[256];

        if (!s->file[0])
                return 0;
        fprintf(out, "%s=%s", s->key, text_visible(s->value, visible, sizeof(visible)));
        fprintf(out, "  # %s", text_visible(s->file, visible, sizeof(visible)));
        if (s->line)
                fprintf(out, ":%u", s->line);
        fputc('\n', out);
        return 0;
}

void options_print_effective(const struct options *o, FILE *out)
{
        (void)options_foreach_setting(o, print_setting, out);
}
