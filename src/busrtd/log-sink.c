/* SPDX-License-Identifier: Apache-2.0 */
#define SD_JOURNAL_SUPPRESS_LOCATION 1
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <time.h>

#include "basic/clock.h"
#include "basic/macro.h"
#include "busrtd/log-sink.h"

#define LINGER (100 * NSEC_PER_MSEC)
#define JOURNAL_SOCKET "/run/systemd/journal/socket"

/* systemd says which device and inode it has connected to the journal; stderr may have been
 * redirected since. */
bool log_stderr_is_journal(void)
{
        const char *stream = getenv("JOURNAL_STREAM");
        unsigned long long device, inode;
        struct stat st;

        return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
               fstat(STDERR_FILENO, &st) == 0 && st.st_dev == (dev_t)device &&
               st.st_ino == (ino_t)inode;
}

static enum log_target system_target(void)
{
        return access(JOURNAL_SOCKET, W_OK) == 0 ? LOG_TARGET_JOURNAL : LOG_TARGET_SYSLOG;
}

enum log_target log_target_choose(bool verbose, bool daemonize, bool log_syslog)
{
        const char *disable = getenv("DISABLE_SYSLOG");

        if (daemonize)
                return disable && strcmp(disable, "1") == 0 && !log_syslog ? LOG_TARGET_NONE
                                                                           : system_target();
        if (log_syslog && !verbose)
                return system_target();
        return log_stderr_is_journal() ? LOG_TARGET_JOURNAL : LOG_TARGET_STDERR;
}

static bool has_env(const char *name)
{
        const char *value = getenv(name);

        return value && value[0];
}

void log_sink_init(struct log_sink *sink, enum log_target target)
{
        const char *term = getenv("TERM");
        bool terminal = isatty(STDERR_FILENO);

        *sink = (struct log_sink){
                .target = target,
                .priorities = !terminal && has_env("INVOCATION_ID"),
                .colours = terminal && !has_env("NO_COLOR") && term && strcmp(term, "dumb") != 0,
        };
        /* Now, since file descriptors may run out. The journal's is opened by the first record. */
        if (target == LOG_TARGET_SYSLOG)
                openlog("busrtd", LOG_PID | LOG_NDELAY, LOG_DAEMON);
}

/* --- stderr --- */

/* Waits where it must, also where somebody has made the terminal non-blocking. Errors end the line:
 * there is nobody left to tell. */
static void write_all(const char *p, size_t n)
{
        while (n > 0) {
                ssize_t w = write(STDERR_FILENO, p, n);

                if (w >= 0) {
                        p += w;
                        n -= (size_t)w;
                } else if (errno == EAGAIN) {
                        struct pollfd fd = {.fd = STDERR_FILENO, .events = POLLOUT};

                        (void)poll(&fd, 1, -1);
                } else if (errno != EINTR)
                        return;
        }
}

static const char *colour_of(int priority)
{
        switch (priority) {
        case LOG_ERR:
                return "\033[31m";
        case LOG_WARNING:
                return "\033[33m";
        case LOG_DEBUG:
                return "\033[2m";
        default:
                return "";
        }
}

/* "2031-05-07T12:00:00+02:00  ", as the reference's lines begin. */
static void format_time(char *out, size_t size)
{
        time_t now = time(NULL);
        char stamp[40] = "";
        struct tm tm;
        size_t n;

        if (localtime_r(&now, &tm))
                n = strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S%z", &tm);
        else
                n = 0;
        if (n > 5) /* +0200 -> +02:00 */
                (void)snprintf(out, size, "%.*s:%s  ", (int)n - 2, stamp, stamp + n - 2);
        else
                out[0] = '\0';
}

static void write_stderr(const struct log_sink *sink, const struct log_record *record)
{
        char line[sizeof(record->text) + 64], start[48];
        const char *colour = sink->colours ? colour_of(record->priority) : "";
        int n;

        if (sink->priorities)
                (void)snprintf(start, sizeof(start), "<%d>", record->priority);
        else
                format_time(start, sizeof(start));
        n = snprintf(line, sizeof(line), "%s%s%s%s\n", colour, start, record->text,
                     colour[0] ? "\033[0m" : "");
        write_all(line, (size_t)n);
}

/* --- The journal --- */

#define N_FIELDS 24
#define FIELD_NAME_MAX 24

struct journal_entry {
        struct iovec fields[N_FIELDS];
        size_t n_fields;
        char text[sizeof(struct log_record) + N_FIELDS * FIELD_NAME_MAX];
        size_t n_text;
};

_printf_(2, 3) static void add_field(struct journal_entry *entry, const char *format, ...)
{
        char *start = entry->text + entry->n_text;
        size_t room = sizeof(entry->text) - entry->n_text;
        va_list ap;
        int n;

        va_start(ap, format);
        n = vsnprintf(start, room, format, ap);
        va_end(ap);
        if (n < 0 || (size_t)n >= room || entry->n_fields == N_FIELDS)
                return;
        entry->fields[entry->n_fields++] = (struct iovec){start, (size_t)n};
        entry->n_text += (size_t)n + 1;
}

/* Binary-safe: what a peer sent may hold newlines and is one field's value all the same.
 * OBJECT_PID= would have journald look the peer up, but it believes that of root alone. */
static bool write_journal(const struct log_record *record)
{
        struct journal_entry entry = {.n_fields = 0};

        /* sd_journal_sendv() takes a missing journal for success. */
        if (access(JOURNAL_SOCKET, F_OK) < 0)
                return false;
        add_field(&entry, "MESSAGE=%s", record->text);
        add_field(&entry, "PRIORITY=%d", record->priority);
        add_field(&entry, "SYSLOG_IDENTIFIER=busrtd");
        if (record->message_id)
                add_field(&entry, "MESSAGE_ID=%s", record->message_id);
        if (record->client[0])
                add_field(&entry, "BUSRT_CLIENT=%s", record->client);
        if (record->has_uid)
                add_field(&entry, "BUSRT_UID=%u", (unsigned)record->uid);
        if (record->has_gid)
                add_field(&entry, "BUSRT_GID=%u", (unsigned)record->gid);
        if (record->pid)
                add_field(&entry, "BUSRT_PID=%d", (int)record->pid);
        if (record->source[0])
                add_field(&entry, "BUSRT_SOURCE=%s", record->source);
        if (record->listener[0])
                add_field(&entry, "BUSRT_LISTENER=%s", record->listener);
        if (record->reason[0])
                add_field(&entry, "BUSRT_REASON=%s", record->reason);
        if (record->session)
                add_field(&entry, "BUSRT_SESSION=%" PRIu64, record->session);
        if (record->has_frames)
                add_field(&entry, "BUSRT_FRAMES=%" PRIu64, record->frames);
        if (record->records)
                add_field(&entry, "BUSRT_RECORDS=%" PRIu64, record->records);
        if (record->file[0])
                add_field(&entry, "BUSRT_FILE=%s", record->file);
        if (record->line)
                add_field(&entry, "BUSRT_LINE=%u", record->line);
        if (record->action[0])
                add_field(&entry, "BUSRT_ACTION=%s", record->action);
        if (record->sender[0])
                add_field(&entry, "BUSRT_SENDER=%s", record->sender);
        return sd_journal_sendv(entry.fields, (int)entry.n_fields) >= 0;
}

bool log_sink_write(struct log_sink *sink, const struct log_record *record)
{
        switch (sink->target) {
        case LOG_TARGET_STDERR:
                write_stderr(sink, record);
                break;
        case LOG_TARGET_JOURNAL:
                if (!write_journal(record))
                        return false;
                sink->journal_at = clock_nsec(CLOCK_MONOTONIC);
                break;
        case LOG_TARGET_SYSLOG:
                syslog(record->priority, "%s", record->text);
                break;
        case LOG_TARGET_NONE:
                break;
        }
        return true;
}

void log_sink_linger(const struct log_sink *sink)
{
        uint64_t past = clock_nsec(CLOCK_MONOTONIC) - sink->journal_at;

        if (past < LINGER)
                (void)nanosleep(&(struct timespec){.tv_nsec = (long)(LINGER - past)}, NULL);
}
