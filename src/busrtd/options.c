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
        const char *key; /* in [Bus] of the configuration; NULL: on the command line alone */
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
         0, .key = "Listen"},
        HEADING("Process"),
        {OPTION_FLAG, 'D', NULL, NULL, "go into the background once the listeners are ready",
         TO(daemonize)},
        {OPTION_TEXT, 'P', "pid-file", "PATH", "write the process id there", TO(pid_file)},
        {OPTION_FLAG, 0, "verbose", NULL,
         "log every client that comes and goes, to stderr unless -D", TO(verbose)},
        {OPTION_FLAG, 0, "log-syslog", NULL, "log to the journal or syslog instead of stderr",
         TO(log_syslog)},
        HEADING("Configuration"),
        {OPTION_TEXT, 0, "config", "FILE",
         "read only this file and FILE.d/*.conf; without it busrtd.conf\n"
         "in /etc/busrt, /run/busrt and so on, see busrtd.conf(5)",
         TO(config_file)},
        {OPTION_FLAG, 0, "check-config", NULL,
         "print what differs from the built-in values, and from where", TO(check_config)},
        HEADING("Clients"),
        {OPTION_SECONDS, 't', NULL, "SECONDS",
         "timeout of keep-alive, handshake and blocked clients", TO(engine.timeout),
         .key = "TimeoutSec"},
        {OPTION_FLAG, 0, "force-register", NULL, "a new client takes the name of an old one over",
         TO(engine.force_register), .key = "ForceRegister"},
        {OPTION_COUNT, 0, "max-connections-per-user", "N", "connections of one user or address",
         TO(engine.max_connections_per_user), 1, 10000000, .key = "MaxConnectionsPerUser"},
        HEADING("Slow receivers"),
        {OPTION_COUNT, 0, "queue-size", "N", "a client's queue is full at N frames",
         TO(engine.queue_frames), 1, UINT32_MAX, .key = "QueueFrames"},
        {OPTION_SIZE, 0, "queue-bytes", "SIZE", "or at so many bytes", TO(engine.queue_bytes), 4096,
         1LL << 40, .key = "QueueBytes"},
        {OPTION_DURATION, 0, "slow-pace", "MSEC", "how long senders wait for a full queue",
         TO(engine.slow_pace), 0, 500, NSEC_PER_MSEC, .key = "SlowConsumerPaceSec"},
        {OPTION_POLICY, 0, "slow-policy", "POLICY", "then: disconnect, drop-newest or drop-oldest",
         TO(engine.slow_policy), .key = "SlowConsumerPolicy"},
        {OPTION_SIZE, 0, "queue-memory-max", "SIZE",
         "all queues together; one user may hold half of it", TO(engine.queue_memory_max), 1 << 20,
         1LL << 50, .key = "QueueMemoryMax"},
        HEADING("Frames"),
        {OPTION_SIZE, 0, "max-frame-size", "SIZE", "longest body of a frame",
         TO(engine.max_frame_size), 1024, UINT32_MAX, .key = "MaxFrameSize"},
        {OPTION_COUNT, 0, "max-topic-parts", "N", "parts of a topic or mask",
         TO(engine.max_topic_parts), 1, 65536, .key = "MaxTopicParts"},
        {OPTION_SIZE, 0, "max-topic-length", "SIZE", "length of a topic or mask",
         TO(engine.max_topic_length), 1, 1 << 20, .key = "MaxTopicLength"},
        HEADING("Latency"),
        {OPTION_DURATION, 0, "busy-poll", "USEC",
         "look for more work that long before sleeping; costs CPU", TO(engine.busy_poll), 0,
         1000000, NSEC_PER_USEC, .key = "BusyPollUSec"},
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
        uint64_t seen;                    /* rows, by their number */
        const struct config_entry *entry; /* of a file; NULL: the command line */
};

static bool takes_value(const struct option_row *row)
{
        return row->value_name != NULL;
}

/* "--timeout", "-t"; or the key, where a file is read */
static const char *row_name(const struct parser *p, const struct option_row *row, char out[64])
{
        if (p->entry)
                (void)snprintf(out, 64, "%s=", row->key);
        else if (row->long_name)
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
        char name[64], visible[128], wanted[256], file[192], where[224] = "";
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(wanted, sizeof(wanted), format, ap);
        va_end(ap);
        if (p->entry)
                (void)snprintf(where, sizeof(where),
                               "%s:%u: ", text_visible(p->entry->file, file, sizeof(file)),
                               p->entry->line);
        return complain(p, "%s%s \"%s\": %s", where, row_name(p, row, name),
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

static int set_text(struct parser *p, const struct option_row *row, const char *value,
                    const char **field)
{
        if (value[0] == '\0')
                return complain_value(p, row, value, "a path is wanted");
        *field = value;
        return 0;
}

/* A time as files write it. */
static int set_span(struct parser *p, const struct option_row *row, const char *value,
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

static int set_boolean(struct parser *p, const struct option_row *row, const char *value,
                       bool *field)
{
        if (config_parse_boolean(value, field) < 0)
                return complain_value(p, row, value, "yes or no is wanted");
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
                return complain(p, "%s is given twice", row_name(p, row, name));
        p->seen |= bit;
        if (!takes_value(row))
                return value ? complain(p, "%s takes no value", row_name(p, row, name))
                             : apply(p, row, NULL);
        if (!value && p->next >= p->argc)
                return complain(p, "%s needs a value: %s", row_name(p, row, name), row->value_name);
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
        struct parser p = {argc, argv, 1, out, &options, error, 0, NULL};

        engine_config_init(&options.engine);
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

/* --- Files --- */

static const char *const folders[] = {"/etc/busrt", "/run/busrt", "/usr/local/lib/busrt",
                                      "/usr/lib/busrt"};

static const struct option_row *find_key(const struct config_entry *entry)
{
        if (strcmp(entry->section, "Bus") != 0)
                return NULL;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (rows[i].key && strcmp(rows[i].key, entry->key) == 0)
                        return &rows[i];
        return NULL;
}

static size_t field_size(const struct option_row *row)
{
        switch (row->kind) {
        case OPTION_FLAG:
                return sizeof(bool);
        case OPTION_COUNT:
        case OPTION_SIZE:
                return sizeof(size_t);
        case OPTION_SECONDS:
        case OPTION_DURATION:
                return sizeof(uint64_t);
        case OPTION_POLICY:
                return sizeof(enum slow_policy);
        default:
                return 0;
        }
}

/* An empty value takes back what earlier files said. */
static void reset(struct options *o, const struct option_row *row)
{
        struct options defaults = {0};

        engine_config_init(&defaults.engine);
        if (row->kind == OPTION_BIND)
                o->n_binds = 0;
        else
                memcpy((char *)o + row->offset, (char *)&defaults + row->offset, field_size(row));
}

static int apply_entry(struct parser *p, const struct config_entry *entry)
{
        const struct option_row *row = find_key(entry);
        struct options *o = p->options, scratch = {0};
        int r;

        if (!row)
                return 0;
        p->entry = entry;
        /* What the command line overrides must be right, too. */
        if (o->given >> (row - rows) & 1)
                p->options = &scratch;
        else
                o->origins[row - rows] = entry->value[0] ? entry : NULL;
        if (entry->value[0])
                r = apply(p, row, entry->value);
        else
                r = (reset(p->options, row), 0);
        options_done(&scratch);
        p->options = o;
        return r;
}

int options_read_config(struct options *o, char error[OPTIONS_ERROR_MAX])
{
        struct parser p = {.options = o, .error = error};
        int r;

        error[0] = '\0';
        r = o->config_file ? config_read_file(&o->config, o->config_file, error)
                           : config_read_folders(&o->config, folders, ARRAY_SIZE(folders),
                                                 "busrtd.conf", error);
        for (size_t i = 0; i < o->config.n_entries && r >= 0; i++)
                r = apply_entry(&p, &o->config.entries[i]);
        return r;
}

const struct config_entry *options_next_unknown(const struct options *o, size_t *i)
{
        while (*i < o->config.n_entries) {
                const struct config_entry *entry = &o->config.entries[(*i)++];

                if (!find_key(entry))
                        return entry;
        }
        return NULL;
}

static void print_value(FILE *out, const struct option_row *row, const void *field)
{
        uint64_t n;

        switch (row->kind) {
        case OPTION_FLAG:
                fputs(*(const bool *)field ? "yes" : "no", out);
                break;
        case OPTION_POLICY:
                fputs(policies[*(const enum slow_policy *)field], out);
                break;
        case OPTION_COUNT:
        case OPTION_SIZE:
                fprintf(out, "%zu", *(const size_t *)field);
                break;
        default:
                n = *(const uint64_t *)field / NSEC_PER_USEC;
                fprintf(out, "%llu%s", (unsigned long long)(n % 1000 ? n : n / 1000),
                        n % 1000 ? "us" : "ms");
                break;
        }
}

static void print_effective(FILE *out, const struct option_row *row, const void *field,
                            const char *address, const struct config_entry *origin)
{
        char visible[256];

        fprintf(out, "%s=", row->key);
        if (address)
                fputs(text_visible(address, visible, sizeof(visible)), out);
        else
                print_value(out, row, field);
        if (origin)
                fprintf(out, "  # %s:%u\n", text_visible(origin->file, visible, sizeof(visible)),
                        origin->line);
        else
                fputs("  # command line\n", out);
}

static const struct config_entry *bind_origin(const struct options *o, const char *bind)
{
        for (size_t i = 0; i < o->config.n_entries; i++)
                if (o->config.entries[i].value == bind)
                        return &o->config.entries[i];
        return NULL;
}

void options_print_effective(const struct options *o, FILE *out)
{
        struct options defaults = {0};

        engine_config_init(&defaults.engine);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const void *field = (const char *)o + rows[i].offset;

                if (rows[i].kind == OPTION_BIND)
                        for (size_t b = 0; b < o->n_binds; b++)
                                print_effective(out, &rows[i], NULL, o->binds[b],
                                                bind_origin(o, o->binds[b]));
                else if (rows[i].key && memcmp(field, (const char *)&defaults + rows[i].offset,
                                               field_size(&rows[i])) != 0)
                        print_effective(out, &rows[i], field, NULL, o->origins[i]);
        }
}

void options_done(struct options *options)
{
        free(options->binds);
        config_done(&options->config);
        options->binds = NULL;
        options->n_binds = 0;
}
