/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A broker in the program's own loop of poll(2), and a client of it: one thread does all. Lines of
 * standard input are published on the topic "console", and what anybody sends to the client
 * ".console" is printed.
 *
 *      embed-loop SOCKET               until the end of the input
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <busrt/broker.h>

struct console {
        busrt_broker *broker;
        busrt_client *client;
        char line[4096]; /* what is there of a line */
        size_t len;
        bool ended;
};

static void on_frame(busrt_client *client, busrt_frame *frame, void *userdata)
{
        size_t len;
        const char *payload = busrt_frame_get_payload(frame, &len);

        printf("%s: %.*s\n", busrt_frame_get_sender(frame), (int)len, payload);
        fflush(stdout);
}

/* It goes into the subscribers' sockets on this thread, or waits in the broker for their room. */
static int publish(struct console *console, const char *line, size_t len)
{
        struct iovec iov = {(void *)line, len};

        return busrt_client_publish(console->client, "console", &iov, 1, 0, NULL);
}

/* All whole lines, and one that fills the buffer. */
static int publish_lines(struct console *console)
{
        char *line = console->line, *end;
        size_t left = console->len;
        int r = 0;

        while (r >= 0 && (end = memchr(line, '\n', left)) != NULL) {
                r = publish(console, line, (size_t)(end - line));
                left -= (size_t)(end + 1 - line);
                line = end + 1;
        }
        if (r >= 0 && (left == sizeof(console->line) || (console->ended && left > 0))) {
                r = publish(console, line, left);
                left = 0;
        }
        memmove(console->line, line, left);
        console->len = left;
        return r;
}

static int read_input(struct console *console)
{
        ssize_t n = read(STDIN_FILENO, console->line + console->len,
                         sizeof(console->line) - console->len);

        if (n < 0)
                return errno == EINTR || errno == EAGAIN ? 0 : -errno;
        console->ended = n == 0;
        console->len += (size_t)n;
        return publish_lines(console);
}

/* What there is to do now, of both. */
static int process(struct console *console)
{
        int r = busrt_broker_process(console->broker);

        while (r >= 0 && (r = busrt_client_process(console->client)) > 0)
                ;
        return r;
}

/* How long both may wait, rounded up. */
static int milliseconds(struct console *console)
{
        struct timespec now;
        uint64_t usec, first, until;

        if (busrt_broker_get_timeout(console->broker, &first) < 0 ||
            busrt_client_get_timeout(console->client, &until) < 0)
                return 0;
        if (until < first)
                first = until;
        if (first == UINT64_MAX)
                return -1;
        clock_gettime(CLOCK_MONOTONIC, &now);
        usec = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
        return first <= usec ? 0 : (int)((first - usec + 999) / 1000);
}

static int run(struct console *console)
{
        int r = 0;

        while (r >= 0 && !console->ended) {
                struct pollfd fds[] = {
                        {.fd = STDIN_FILENO, .events = POLLIN},
                        {.fd = busrt_broker_get_fd(console->broker), .events = POLLIN},
                        {.fd = busrt_client_get_fd(console->client), .events = POLLIN},
                };

                r = process(console);
                if (r < 0)
                        return r;
                if (poll(fds, 3, milliseconds(console)) < 0 && errno != EINTR)
                        return -errno;
                if (fds[0].revents)
                        r = read_input(console);
        }
        return r;
}

static int make(struct console *console, const char *path)
{
        int r = busrt_broker_new(&console->broker);

        if (r >= 0)
                r = busrt_client_new_for_stream(".console", &console->client);
        if (r >= 0)
                r = busrt_client_set_frame_handler(console->client, on_frame, NULL);
        if (r >= 0)
                r = busrt_broker_connect(console->broker, console->client);
        return r < 0 ? r : busrt_broker_listen(console->broker, path, 0600);
}

int main(int argc, char **argv)
{
        struct console console = {0};
        int r;

        if (argc != 2) {
                fprintf(stderr, "usage: %s SOCKET\n", argv[0]);
                return 2;
        }
        r = make(&console, argv[1]);
        if (r >= 0) {
                fprintf(stderr, "ready\n");
                r = run(&console);
        }
        busrt_client_free(console.client);
        busrt_broker_free(console.broker);
        if (r < 0)
                fprintf(stderr, "%s: %s\n", argv[1], busrt_strerror(r));
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
