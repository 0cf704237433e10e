/* SPDX-License-Identifier: Apache-2.0 */
/*
 * As strict as the reference's parser, so that a mistake shows at once: names are not abbreviated,
 * nothing but -B may be repeated, nothing may be left over. --name=value, --name value, -n value,
 * -nvalue, -n=value and -abc are read.
 */
#include <bsd/stdlib.h>
#include <math.h>
#include <stdarg.h>

#include "basic/clock.h"
#include "basic/macro.h"
#include "busrtd/options.h"
#include "busrtd/text.h"

enum option_kind {
        OPTION_HEADING, /* no option: a line of --help */
        OPTION_FLAG,
        OPTION_COUNT,
        OPTION_SIZE,     /* bytes, with a suffix K, M or G */
        OPTION_SECONDS,  /* with a fraction */
        OPTION_DURATION, /* in `unit` nanoseconds */
        OPTION_POLICY,
        OPTION_TEXT,
        OPTION_BIND,
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
};

#define TO(field) offsetof(struct options, field)
#define HEADING(text)                                                                              \
        {                                                                                          \
                .kind = OPTION_HEADING, .help = text                                               \
        }

#define TIMEOUT_MIN 0.01
#define TIMEOUT_MAX 1e7
#define WITHOUT_EFFECT_MAX (1LL << 40)

static const struct option_row rows[] = {
        HEADING("Listening"),
        {OPTION_BIND, 'B', "bind", "ADDRESS",
         "path of a UNIX socket, HOST:PORT, [IPV6]:PORT or fifo:PATH;\n"
         "may be repeated. A path begins with / or ends in .sock,\n"
         ".socket or .ipc",
         0},
        HEADING("Process"),
        {OPTION_FLAG, 'D', NULL, NULL, "go into the background once the listeners are ready",
         TO(daemonize)},
        {OPTION_TEXT, 'P', "pid-file", "PATH", "write the process id there", TO(pid_file)},
        {OPTION_FLAG, 0, "verbose", NULL,
         "log every client that comes and goes, to stderr unless -D", TO(verbose)},
        {OPTION_FLAG, 0, "log-syslog", NULL, "log to the journal or syslog instead of stderr",
         TO(log_syslog)},
        HEADING("Clients"),
        {OPTION_SECONDS, 't', NULL, "SECONDS",
         "timeout of keep-alive, handshake and blocked clients", TO(engine.timeout)},
        {OPTION_FLAG, 0, "force-register", NULL, "a new client takes the name of an old one over",
         TO(engine.force_register)},
        {OPTION_COUNT, 0, "max-connections-per-user", "N", "connections of one user or address",
         TO(engine.max_connections_per_user), 1, 10000000},
        HEADING("Slow receivers"),
        {OPTION_COUNT, 0, "queue-size", "N", "a client's queue is full at N frames",
         TO(engine.queue_frames), 1, UINT32_MAX},
        {OPTION_SIZE, 0, "queue-bytes", "SIZE", "or at so many bytes", TO(engine.queue_bytes), 4096,
         1LL << 40},
        {OPTION_DURATION, 0, "slow-pace", "MSEC", "how long senders wait for a full queue",
         TO(engine.slow_pace), 0, 500, NSEC_PER_MSEC},
        {OPTION_POLICY, 0, "slow-policy", "POLICY", "then: disconnect, drop-newest or drop-oldest",
         TO(engine.slow_policy)},
        {OPTION_SIZE, 0, "queue-memory-max", "SIZE",
         "all queues together; one user may hold half of it", TO(engine.queue_memory_max), 1 << 20,
         1LL << 50},
        HEADING("Frames"),
        {OPTION_SIZE, 0, "max-frame-size", "SIZE", "longest body of a frame",
         TO(engine.max_frame_size), 1024, UINT32_MAX},
        {OPTION_COUNT, 0, "max-topic-parts", "N", "parts of a topic or mask",
         TO(engine.max_topic_parts), 1, 65536},
        {OPTION_SIZE, 0, "max-topic-length", "SIZE", "length of a topic or mask",
         TO(engine.max_topic_length), 1, 1 << 20},
        HEADING("Latency"),
        {OPTION_DURATION, 0, "busy-poll", "USEC",
         "look for more work that long before sleeping; costs CPU", TO(engine.busy_poll), 0,
         1000000, NSEC_PER_USEC},
        HEADING("Taken for the reference's sake, without effect here"),
        {OPTION_COUNT, 'w', NULL, "WORKERS", "there is one worker", TO(without_effect), 1, 65536},
        {OPTION_COUNT, 0, "buf-size", "BYTES", "buffers follow the traffic", TO(without_effect), 0,
         WITHOUT_EFFECT_MAX},
        {OPTION_COUNT, 0, "buf-ttl", "USEC", "every pass of the worker ends with a flush",
         TO(without_effect), 0, WITHOUT_EFFECT_MAX},
        HEADING("Help"),
        {OPTION_HELP, 'h', "help", NULL, "this text", 0},
        {OPTION_VERSION, 'V', "version", NULL, "the version", 0},
};

static const char *const policies[] = {
        [SLOW_DISCONNECT] = "disconnect",
        [SLOW_DROP_NEWEST] = "drop-newest",
        [SLOW_DROP_OLDEST] = "drop-oldest",
};

struct parser {
        int argc;
        char **argv;
        int next; /* of argv */
        FILE *out;
        struct options *options;
        char *error;
        uint64_t seen; /* rows, by their number */
};

static bool takes_value(const struct option_row *row)
{
        return row->value_name != NULL;
}

/* "--timeout", "-t" */
static const char *row_name(const struct option_row *row, char out[64])
{
        if (row->long_name)
                (void)snprintf(out, 64, "--%s", row->long_name);
        else
                (void)snprintf(out, 64, "-%c", row->short_name);
        return out;
}

_printf_(2, 3) static int complain(struct parser *p, const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(p->error, OPTIONS_ERROR_MAX, format, ap);
        va_end(ap);
        return -EINVAL;
}

_printf_(4, 5) static int complain_value(struct parser *p, const struct option_row *row,
                                         const char *value, const char *format, ...)
{
        char name[64], visible[128], wanted[256];
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(wanted, sizeof(wanted), format, ap);
        va_end(ap);
        return complain(p, "%s \"%s\": %s", row_name(row, name),
                        text_visible(value, visible, sizeof(visible)), wanted);
}

/* --- Values --- */

static int set_count(struct parser *p, const struct option_row *row, const char *value,
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

static int set_duration(struct parser *p, const struct option_row *row, const char *value,
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

static int set_size(struct parser *p, const struct option_row *row, const char *value,
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

static int set_seconds(struct parser *p, const struct option_row *row, const char *value,
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

static int set_policy(struct parser *p, const struct option_row *row, const char *value,
                      enum slow_policy *field)
{
        for (size_t i = 0; i < ARRAY_SIZE(policies); i++)
                if (strcmp(value, policies[i]) == 0) {
                        *field = (enum slow_policy)i;
                        return 0;
                }
        return complain_value(p, row, value, "disconnect, drop-newest or drop-oldest is wanted");
}

static int add_bind(struct parser *p, const struct option_row *row, const char *value)
{
        struct options *o = p->options;
        struct transport_address address;
        int r = transport_address_parse(value, &address);

        if (r == -EPROTONOSUPPORT)
                return complain_value(p, row, value, "WebSocket listeners are not supported");
        if (r < 0)
                return complain_value(p, row, value,
                                      "not an address: a path that begins with / or ends in .sock, "
                                      ".socket or .ipc, "
                                      "HOST:PORT, [IPV6]:PORT or fifo:PATH is wanted");
        if (!o->binds) {
                o->binds = calloc((size_t)p->argc, sizeof(*o->binds)); /* there cannot be more */
                if (!o->binds)
                        return -ENOMEM;
        }
        o->binds[o->n_binds++] = value;
        return 0;
}

static int set_text(struct parser *p, const struct option_row *row, const char *value,
                    const char **field)
{
        if (value[0] == '\0')
                return complain_value(p, row, value, "a path is wanted");
        *field = value;
        return 0;
}

/* --- Help --- */

#define HELP_INDENT 36

/* "[8192]", from the field itself, so that it cannot differ from what is in force. */
static void print_default(FILE *out, const struct option_row *row, const struct options *defaults)
{
        const void *field = (const char *)defaults + row->offset;
        char text[TEXT_NUMBER_MAX];

        if (row->offset == TO(without_effect))
                return;
        if (row->kind == OPTION_COUNT)
                fprintf(out, " [%zu]", *(const size_t *)field);
        else if (row->kind == OPTION_SIZE)
                fprintf(out, " [%s]", text_bytes(*(const size_t *)field, text));
        else if (row->kind == OPTION_SECONDS || row->kind == OPTION_DURATION)
                fprintf(out, " [%s]", text_duration(*(const uint64_t *)field, text));
        else if (row->kind == OPTION_POLICY)
                fprintf(out, " [%s]", policies[*(const enum slow_policy *)field]);
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
                (void)snprintf(names + n, sizeof(names) - (size_t)n, " %s", row->value_name);
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

static void print_help(FILE *out)
{
        struct options defaults = {0};

        engine_config_init(&defaults.engine);
        fputs("busrtd - a broker for the BUS/RT protocol\n\n"
              "Usage: busrtd [OPTION...]\n\n"
              "Without -B, and without sockets from systemd, it listens on "
              "$XDG_RUNTIME_DIR/busrt/bus.sock\n"
              "(root without that variable: /run/busrt/bus.sock). A SIZE is in bytes, or ends in "
              "K, M or G.\n",
              out);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                print_row(out, &rows[i], &defaults);
}

/* --- Names --- */

static int apply(struct parser *p, const struct option_row *row, const char *value)
{
        void *field = (char *)p->options + row->offset;

        switch (row->kind) {
        case OPTION_FLAG:
                *(bool *)field = true;
                return 0;
        case OPTION_COUNT:
                return set_count(p, row, value, field);
        case OPTION_SIZE:
                return set_size(p, row, value, field);
        case OPTION_SECONDS:
                return set_seconds(p, row, value, field);
        case OPTION_DURATION:
                return set_duration(p, row, value, field);
        case OPTION_POLICY:
                return set_policy(p, row, value, field);
        case OPTION_TEXT:
                return set_text(p, row, value, field);
        case OPTION_BIND:
                return add_bind(p, row, value);
        case OPTION_HELP:
                print_help(p->out);
                return 1;
        case OPTION_VERSION:
                fputs("busrtd " BUSRT_VERSION "\n", p->out);
                return 1;
        case OPTION_HEADING:
                break;
        }
        return -EINVAL;
}

/* value is what stood in the same argument, or NULL. */
static int take(struct parser *p, const struct option_row *row, const char *value)
{
        uint64_t bit = UINT64_C(1) << (row - rows);
        char name[64];

        if (p->seen & bit && row->kind != OPTION_BIND)
                return complain(p, "%s is given twice", row_name(row, name));
        p->seen |= bit;
        if (!takes_value(row))
                return value ? complain(p, "%s takes no value", row_name(row, name))
                             : apply(p, row, NULL);
        if (!value && p->next >= p->argc)
                return complain(p, "%s needs a value: %s", row_name(row, name), row->value_name);
        return apply(p, row, value ? value : p->argv[p->next++]);
}

static const struct option_row *find_short(char c)
{
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (rows[i].short_name && rows[i].short_name == c)
                        return &rows[i];
        return NULL;
}

static const struct option_row *find_long(const char *name, size_t len)
{
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (rows[i].long_name && strlen(rows[i].long_name) == len &&
                    memcmp(rows[i].long_name, name, len) == 0)
                        return &rows[i];
        return NULL;
}

static int complain_unknown(struct parser *p, const char *arg)
{
        char visible[128];

        return complain(p, "unknown option \"%s\"; busrtd --help lists them",
                        text_visible(arg, visible, sizeof(visible)));
}

static int parse_long(struct parser *p, const char *arg)
{
        const char *equals = strchr(arg, '=');
        const struct option_row *row =
                find_long(arg + 2, equals ? (size_t)(equals - arg - 2) : strlen(arg + 2));

        return row ? take(p, row, equals ? equals + 1 : NULL) : complain_unknown(p, arg);
}

/* Several flags may share one '-'; a value ends the argument. */
static int parse_short(struct parser *p, const char *arg)
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

static int parse_one(struct parser *p, const char *arg)
{
        char visible[128];

        if (arg[0] == '-' && arg[1] == '-' && arg[2])
                return parse_long(p, arg);
        if (arg[0] == '-' && arg[1] && arg[1] != '-')
                return parse_short(p, arg);
        return complain(p, "unexpected argument \"%s\"; addresses are given with -B",
                        text_visible(arg, visible, sizeof(visible)));
}

int options_parse(int argc, char **argv, FILE *out, struct options *ret,
                  char error[OPTIONS_ERROR_MAX])
{
        _cleanup_(options_done) struct options options = {0};
        struct parser p = {argc, argv, 1, out, &options, error, 0};

        engine_config_init(&options.engine);
        error[0] = '\0';
        while (p.next < argc) {
                int r = parse_one(&p, argv[p.next++]);

                if (r != 0)
                        return r;
        }
        *ret = options;
        options.binds = NULL;
        return 0;
}

void options_done(struct options *options)
{
        free(options->binds);
        options->binds = NULL;
        options->n_binds = 0;
}
