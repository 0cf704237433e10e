/* SPDX-License-Identifier: Apache-2.0 */
/* From text to the field of an option, and what to say where that is not possible. */
#include <bsd/stdlib.h>
#include <bsd/string.h>
#include <math.h>
#include <stdarg.h>
#include <systemd/sd-bus.h>

#include "basic/clock.h"
#include "broker-rpc/broker-rpc.h"
#include "busrtd/options-table.h"
#include "busrtd/text.h"

#define TIMEOUT_MIN 0.01
#define TIMEOUT_MAX 1e7

const char *option_row_name(const struct option_parser *p, const struct option_row *row,
                            char out[64])
{
        if (p->entry)
                (void)snprintf(out, 64, "%s=", row->key);
        else if (row->long_name)
                (void)snprintf(out, 64, "--%s", row->long_name);
        else
                (void)snprintf(out, 64, "-%c", row->short_name);
        return out;
}

int option_complain(struct option_parser *p, const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(p->error, OPTIONS_ERROR_MAX, format, ap);
        va_end(ap);
        return -EINVAL;
}

_printf_(4, 5) static int complain_value(struct option_parser *p, const struct option_row *row,
                                         const char *value, const char *format, ...)
{
        char name[64], visible[128], wanted[256], file[192], where[224] = "";
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(wanted, sizeof(wanted), format, ap);
        va_end(ap);
        if (p->entry) {
                (void)snprintf(where, sizeof(where),
                               "%s:%u: ", text_visible(p->entry->file, file, sizeof(file)),
                               p->entry->line);
                (void)snprintf(p->failed_at.file, sizeof(p->failed_at.file), "%s", p->entry->file);
                p->failed_at.line = p->entry->line;
        }
        return option_complain(p, "%s%s \"%s\": %s", where, option_row_name(p, row, name),
                               text_visible(value, visible, sizeof(visible)), wanted);
}

/* --- Values --- */

static int set_count(struct option_parser *p, const struct option_row *row, const char *value,
                     size_t *field)
{
        const char *error;
        long long n = strtonum(value, row->min, row->max, &error);

        if (error)
                return complain_value(p, row, value, "a whole number from %lld to %lld is wanted",
                                      row->min, row->max);
        *field = (size_t)n;
        return 0;
}

static int set_duration(struct option_parser *p, const struct option_row *row, const char *value,
                        uint64_t *field)
{
        size_t n = 0;
        int r = set_count(p, row, value, &n);

        if (r < 0)
                return r;
        *field = n * row->unit;
        return 0;
}

static unsigned suffix_shift(char c)
{
        switch (c) {
        case 'k':
        case 'K':
                return 10;
        case 'm':
        case 'M':
                return 20;
        case 'g':
        case 'G':
                return 30;
        default:
                return 0;
        }
}

static int set_size(struct option_parser *p, const struct option_row *row, const char *value,
                    size_t *field)
{
        char digits[32], low[TEXT_NUMBER_MAX], high[TEXT_NUMBER_MAX];
        size_t len = strlen(value);
        unsigned shift = len ? suffix_shift(value[len - 1]) : 0;
        const char *error = "too long";
        long long n = 0;

        if (len < sizeof(digits)) {
                memcpy(digits, value, len + 1);
                if (shift)
                        digits[len - 1] = '\0';
                n = strtonum(digits, 0, row->max >> shift, &error);
        }
        if (error || n << shift < row->min)
                return complain_value(p, row, value,
                                      "a number of bytes from %s to %s is wanted, with K, M or G "
                                      "for larger units",
                                      text_bytes((uint64_t)row->min, low),
                                      text_bytes((uint64_t)row->max, high));
        *field = (size_t)n << shift;
        return 0;
}

static int set_seconds(struct option_parser *p, const struct option_row *row, const char *value,
                       uint64_t *field)
{
        char *end;
        double seconds = strtod(value, &end);

        /* strtod() skips blanks and reads hexadecimal numbers, which nobody means here. */
        if (end == value || *end || strspn(value, "+0123456789.eE-") != strlen(value) ||
            !isfinite(seconds) || seconds < TIMEOUT_MIN || seconds > TIMEOUT_MAX)
                return complain_value(p, row, value,
                                      "a number of seconds from %g to %.0f is wanted", TIMEOUT_MIN,
                                      TIMEOUT_MAX);
        *field = (uint64_t)(seconds * (double)NSEC_PER_SEC);
        return 0;
}

/* "a, b or c" */
static const char *list_words(const char *const *words, char *out, size_t size)
{
        out[0] = '\0';
        for (size_t i = 0; words[i]; i++) {
                if (i > 0)
                        (void)strlcat(out, words[i + 1] ? ", " : " or ", size);
                (void)strlcat(out, words[i], size);
        }
        return out;
}

/* A key that had been a switch before it had words. */
static bool find_switch(const struct option_row *row, const char *value, unsigned *ret)
{
        bool on;

        if (!row->without_value || config_parse_boolean(value, &on) < 0)
                return false;
        for (*ret = 0; on && strcmp(row->words[*ret], row->without_value) != 0; ++*ret)
                ;
        return true;
}

static int set_word(struct option_parser *p, const struct option_row *row, const char *value,
                    unsigned *field)
{
        char list[96];

        for (unsigned i = 0; row->words[i]; i++)
                if (strcmp(value, row->words[i]) == 0) {
                        *field = i;
                        return 0;
                }
        if (find_switch(row, value, field))
                return 0;
        return complain_value(p, row, value, "%s is wanted",
                              list_words(row->words, list, sizeof(list)));
}

static int add_bind(struct option_parser *p, const struct option_row *row, const char *value)
{
        struct options *o = p->options;
        struct transport_address address;
        const char **more;
        int r = transport_address_parse(value, &address);

        if (r == -EPROTONOSUPPORT)
                return complain_value(p, row, value, "WebSocket listeners are not supported");
        if (r < 0)
                return complain_value(p, row, value,
                                      "not an address: a path that begins with / or ends in .sock, "
                                      ".socket or .ipc, "
                                      "HOST:PORT, [IPV6]:PORT or fifo:PATH is wanted");
        more = reallocarray(o->binds, o->n_binds + 1, sizeof(*o->binds));
        if (!more)
                return -ENOMEM;
        o->binds = more;
        o->binds[o->n_binds++] = value;
        return 0;
}

static int set_text(struct option_parser *p, const struct option_row *row, const char *value,
                    const char **field)
{
        if (value[0] == '\0')
                return complain_value(p, row, value, "a path is wanted");
        *field = value;
        return 0;
}

static int set_dbus_name(struct option_parser *p, const struct option_row *row, const char *value,
                         const char **field)
{
        if (value[0] == ':' || sd_bus_service_name_is_valid(value) <= 0)
                return complain_value(p, row, value, "a well-known name of D-Bus is wanted");
        *field = value;
        return 0;
}

/* A time as files write it. */
static int set_span(struct option_parser *p, const struct option_row *row, const char *value,
                    uint64_t *field)
{
        bool seconds = row->kind == OPTION_SECONDS;
        uint64_t min = seconds ? (uint64_t)(TIMEOUT_MIN * (double)NSEC_PER_SEC)
                               : (uint64_t)row->min * row->unit;
        uint64_t max =
                seconds ? (uint64_t)TIMEOUT_MAX * NSEC_PER_SEC : (uint64_t)row->max * row->unit;
        uint64_t unit = strstr(row->key, "USec") ? NSEC_PER_USEC : NSEC_PER_SEC, n;
        char low[TEXT_NUMBER_MAX], high[TEXT_NUMBER_MAX];

        if (config_parse_span(value, unit, &n) < 0 || n < min || n > max)
                return complain_value(p, row, value, "a time from %s to %s is wanted",
                                      min ? text_duration(min, low) : "0",
                                      text_duration(max, high));
        *field = n;
        return 0;
}

static int set_boolean(struct option_parser *p, const struct option_row *row, const char *value,
                       bool *field)
{
        if (config_parse_boolean(value, field) < 0)
                return complain_value(p, row, value, "yes or no is wanted");
        return 0;
}

int option_apply(struct option_parser *p, const struct option_row *row, const char *value)
{
        void *field = (char *)p->options + row->offset;

        switch (row->kind) {
        case OPTION_FLAG:
                if (value)
                        return set_boolean(p, row, value, field);
                *(bool *)field = true;
                return 0;
        case OPTION_COUNT:
                return set_count(p, row, value, field);
        case OPTION_SIZE:
                return set_size(p, row, value, field);
        case OPTION_SECONDS:
                return p->entry ? set_span(p, row, value, field)
                                : set_seconds(p, row, value, field);
        case OPTION_DURATION:
                return p->entry ? set_span(p, row, value, field)
                                : set_duration(p, row, value, field);
        case OPTION_WORD:
                return set_word(p, row, value, field);
        case OPTION_TEXT:
                return set_text(p, row, value, field);
        case OPTION_BIND:
                return add_bind(p, row, value);
        case OPTION_DBUS_NAME:
                return set_dbus_name(p, row, value, field);
        case OPTION_HELP:
                options_print_help(p->out);
                return 1;
        case OPTION_VERSION:
                fprintf(p->out, "busrtd " BUSRT_VERSION "%s\n", broker_rpc_build_note());
                return 1;
        case OPTION_HEADING:
                break;
        }
        return -EINVAL;
}
