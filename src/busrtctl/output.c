/* SPDX-License-Identifier: Apache-2.0 */
/*
 * O_NONBLOCK belongs to the open file, which a shell shares with others: so pipes and terminals are
 * opened once more. Where that is not allowed, as much is written as poll(2) promises room for.
 */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

#include "basic/clock.h"
#include "basic/macro.h"
#include "busrtctl/output.h"

void output_open(struct output *output)
{
        struct stat st;

        *output = (struct output){.fd = STDOUT_FILENO};
        (void)signal(SIGPIPE, SIG_IGN);
        if (fstat(STDOUT_FILENO, &st) < 0 || S_ISSOCK(st.st_mode))
                return;
        output->whole = S_ISREG(st.st_mode);
        if (S_ISFIFO(st.st_mode) || isatty(STDOUT_FILENO)) {
                int fd = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

                output->whole = fd >= 0;
                output->fd = fd >= 0 ? fd : STDOUT_FILENO;
        }
}

void output_done(struct output *output)
{
        text_done(&output->text);
        if (output->fd != STDOUT_FILENO)
                output->fd = close_fd(output->fd);
}

size_t output_waiting(const struct output *output)
{
        return output->text.len - output->start;
}

/* 1: written, 0: there is no room now. */
static int write_some(struct output *output)
{
        struct pollfd room = {.fd = output->fd, .events = POLLOUT};
        size_t len = output_waiting(output);
        ssize_t n;

        if (!output->whole) {
                len = MIN(len, (size_t)PIPE_BUF);
                if (poll(&room, 1, 0) == 0)
                        return 0;
        }
        n = write(output->fd, output->text.data + output->start, len);
        if (n < 0)
                return errno == EAGAIN ? 0 : errno == EINTR ? 1 : -errno;
        output->start += (size_t)n;
        return 1;
}

int output_write(struct output *output, bool wait)
{
        struct pollfd fds[] = {
                {.fd = output->fd, .events = POLLOUT},
                {.fd = interrupt_fd(), .events = POLLIN},
        };

        while (output_waiting(output) > 0) {
                int r = write_some(output);

                if (r < 0)
                        return r;
                /* Who is told to stop does not wait for a reader that does not read. */
                if (r == 0 && (!wait || interrupted()))
                        return 0;
                if (r == 0)
                        (void)poll(fds, ARRAY_SIZE(fds), -1);
        }
        output->text.len = output->start = 0;
        return output->text.failed ? -ENOMEM : 0;
}

/* In milliseconds; -1: without end. */
static int sleep_time(busrt_client *client, uint64_t end)
{
        uint64_t now = clock_nsec(CLOCK_MONOTONIC) / NSEC_PER_USEC, until = UINT64_MAX;

        (void)busrt_client_get_timeout(client, &until);
        until = MIN(until, end);
        if (until == UINT64_MAX)
                return -1;
        return until <= now ? 0 : (int)(MIN(until - now, UINT64_C(3600000000)) + 999) / 1000;
}

int output_wait(const struct output *output, busrt_client *client, uint64_t end)
{
        struct pollfd fds[] = {
                {.fd = busrt_client_get_fd(client), .events = POLLIN},
                {.fd = interrupt_fd(), .events = POLLIN},
                {.fd = output->fd, .events = output_waiting(output) > 0 ? POLLOUT : 0},
        };

        (void)poll(fds, ARRAY_SIZE(fds), sleep_time(client, end));
        return fds[2].revents & (POLLERR | POLLHUP) ? -EPIPE : 0;
}

int print_text(const struct text *text)
{
        if (text->failed)
                return fail(ENOMEM, "cannot show the result");
        if (text->len > 0)
                (void)fwrite(text->data, 1, text->len, stdout);
        return finish_output(EXIT_SUCCESS);
}
