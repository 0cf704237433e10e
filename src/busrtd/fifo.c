/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pipe is watched edge-triggered: once the last writer has gone, a level would be reported for
 * ever. A line ends with a newline, or where its writer goes without one.
 */
#include <sys/epoll.h>

#include "basic/clock.h"
#include "basic/macro.h"
#include "busrtd/fifo-line.h"
#include "busrtd/fifo.h"
#include "busrtd/messages.h"

#define LINE_MAX_BYTES (64 * 1024)
#define LINES_PER_TURN 1000
#define PAUSE_USEC 1000 /* before it looks again whether the worker has taken them */

struct fifo {
        LIST_ENTRY(fifo) link;
        const struct fifo_context *context;
        int fd;
        char *path;
        struct own_file own;
        sd_event_source *io, *timer;
        unsigned budget; /* lines of this turn */
        uint64_t passes; /* of the worker, when this turn began */
        bool sent;       /* something for it to take, in this turn */
        bool too_long;   /* what comes up to the next newline belongs to a line that was dropped */
        size_t n;        /* bytes in `buffer`: an unfinished line, or lines for the next turn */
        char buffer[LINE_MAX_BYTES + 1];
};

static void fifo_complain(struct fifo *f, const char *why)
{
        struct log_record record;

        message_fifo_line(&record, f->path, why);
        report_limited(f->context->report, f->path, &record);
}

static size_t count_parts(const char *text, size_t len, char separator)
{
        size_t n = 1;

        for (size_t i = 0; i < len; i++)
                n += text[i] == separator;
        return n;
}

/* The limits that hold for clients hold here. */
static const char *check_limits(const struct engine_config *limits, const struct fifo_line *line)
{
        char separator = line->kind == ENGINE_SEND_PUBLICATION ? '/' : '.';

        if (line->target_len > limits->max_topic_length)
                return "its target is too long (--max-topic-length)";
        if (count_parts(line->target, line->target_len, separator) > limits->max_topic_parts)
                return "its target has too many parts (--max-topic-parts)";
        return NULL;
}

static const char *fifo_send(struct fifo *f, const char *text, size_t len)
{
        _cleanup_free_ uint8_t *payload = NULL;
        size_t payload_len;
        struct fifo_line line;
        const char *why = fifo_line_parse(text, len, &line);
        int r;

        if (!why)
                why = check_limits(f->context->limits, &line);
        if (!why)
                why = fifo_line_encode(&line, &payload, &payload_len);
        if (why)
                return why;
        f->sent = true;
        r = engine_send(f->context->engine, line.kind, line.target, line.target_len, payload,
                        payload_len);
        return r < 0 ? strerrordesc_np(-r) : NULL;
}

static void fifo_take_line(struct fifo *f, const char *text, size_t len)
{
        const char *why = fifo_send(f, text, len);

        if (why && why[0])
                fifo_complain(f, why);
}

/* Takes whole lines while the budget lasts, and moves the rest to the front. */
static void fifo_take_lines(struct fifo *f)
{
        char *start = f->buffer, *end = f->buffer + f->n, *newline = NULL;

        while (f->budget > 0 && (newline = memchr(start, '\n', (size_t)(end - start)))) {
                size_t len = (size_t)(newline - start);

                if (!f->too_long)
                        fifo_take_line(f, start, len - (len > 0 && start[len - 1] == '\r'));
                f->too_long = false;
                f->budget--;
                start = newline + 1;
        }
        f->n = (size_t)(end - start);
        memmove(f->buffer, start, f->n);
        if (!newline && (f->n == sizeof(f->buffer) || f->too_long)) {
                if (!f->too_long)
                        fifo_complain(f, "it is longer than 64 KiB");
                f->too_long = true;
                f->n = 0;
        }
}

/* The last writer has gone. */
static void fifo_end(struct fifo *f)
{
        if (f->n > 0 && !f->too_long)
                fifo_take_line(f, f->buffer, f->n);
        f->n = 0;
        f->too_long = false;
}

/* Reads until there is no more, or the budget is spent: then whole lines may be left in the buffer.
 */
static int fifo_read(struct fifo *f)
{
        fifo_take_lines(f);
        while (f->budget > 0) {
                ssize_t r = read(f->fd, f->buffer + f->n, sizeof(f->buffer) - f->n);

                if (r < 0 && errno == EINTR)
                        continue;
                if (r < 0)
                        return errno == EAGAIN ? 0 : -errno;
                if (r == 0) {
                        fifo_end(f);
                        return 0;
                }
                f->n += (size_t)r;
                fifo_take_lines(f);
        }
        return 0;
}

static uint64_t count_passes(struct fifo *f)
{
        struct engine_counters counters;

        engine_get_counters(f->context->engine, &counters);
        return counters.passes;
}

static void fifo_fail(struct fifo *f, int error)
{
        struct log_record record;

        message_listener_failed(&record, TRANSPORT_FIFO, f->path, strerrordesc_np(-error));
        report_record(f->context->report, &record);
        (void)sd_event_source_set_enabled(f->io, SD_EVENT_OFF);
}

/* A budget that was spent pauses the FIFO until the worker has made a pass. To switch an edge on
 * reports what waits. */
static void fifo_turn(struct fifo *f)
{
        int r;

        f->budget = LINES_PER_TURN;
        f->passes = count_passes(f);
        f->sent = false;
        r = fifo_read(f);
        if (r < 0)
                fifo_fail(f, r);
        else if (f->budget > 0)
                (void)sd_event_source_set_enabled(f->io, SD_EVENT_ON);
        else {
                (void)sd_event_source_set_enabled(f->io, SD_EVENT_OFF);
                (void)sd_event_source_set_time_relative(f->timer, PAUSE_USEC);
                (void)sd_event_source_set_enabled(f->timer, SD_EVENT_ONESHOT);
        }
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        fifo_turn(userdata);
        return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
        struct fifo *f = userdata;

        if (!f->sent || count_passes(f) != f->passes) {
                fifo_turn(f);
                return 0;
        }
        (void)sd_event_source_set_time_relative(f->timer, PAUSE_USEC);
        return sd_event_source_set_enabled(f->timer, SD_EVENT_ONESHOT);
}

static int fifo_watch(struct fifo *f)
{
        sd_event *loop = f->context->loop;
        int r = sd_event_add_io(loop, &f->io, f->fd, EPOLLIN | EPOLLET, on_io, f);

        if (r >= 0)
                /* Without a word about accuracy a timer may be a quarter of a second late. */
                r = sd_event_add_time_relative(loop, &f->timer, CLOCK_MONOTONIC, 0, 1, on_timer, f);
        if (r >= 0)
                r = sd_event_source_set_enabled(f->timer, SD_EVENT_OFF);
        return r;
}

int fifo_new(const struct fifo_context *context, struct fifo_list *list, int fd, const char *path,
             struct own_file *own, struct fifo **ret)
{
        struct fifo *f = calloc(1, sizeof(*f));
        int r;

        if (!f) {
                close_fd(fd);
                return -ENOMEM;
        }
        f->context = context;
        f->fd = fd;
        LIST_INSERT_HEAD(list, f, link);
        f->path = strdup(path);
        r = f->path ? fifo_watch(f) : -ENOMEM;
        if (r < 0) {
                fifo_free(f);
                return r;
        }
        f->own = *own;
        *own = (struct own_file){0};
        *ret = f;
        return 0;
}

struct fifo *fifo_free(struct fifo *f)
{
        if (!f)
                return NULL;
        LIST_REMOVE(f, link);
        sd_event_source_disable_unref(f->io);
        sd_event_source_disable_unref(f->timer);
        own_file_remove(&f->own);
        close_fd(f->fd);
        free(f->path);
        free(f);
        return NULL;
}
