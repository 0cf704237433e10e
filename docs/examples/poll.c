/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client in a loop of plain poll(2): lines of standard input go to another client, and what that
 * sends is printed.
 *
 *      poll NAME TARGET                until the end of the input
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <busrt/client.h>

struct chat {
        busrt_client *client;
        const char *target;
        char line[4096]; /* what is there of a line */
        size_t len;
        int ended;
};

static void on_frame(busrt_client *client, busrt_frame *frame, void *userdata)
{
        size_t len;
        const char *payload = busrt_frame_get_payload(frame, &len);

        printf("%s: %.*s\n", busrt_frame_get_sender(frame), (int)len, payload);
        fflush(stdout);
}

/* Up to the moment that the client names: poll(2)'s milliseconds, rounded up. */
static int milliseconds(busrt_client *client)
{
        struct timespec now;
        uint64_t usec, until;

        if (busrt_client_get_timeout(client, &until) < 0)
                return 0;
        if (until == UINT64_MAX)
                return -1;
        clock_gettime(CLOCK_MONOTONIC, &now);
        usec = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
        return until <= usec ? 0 : (int)((until - usec + 999) / 1000);
}

/* A blocking call in the loop: while it waits for the answer, what else comes is kept. */
static int send_line(struct chat *chat, const char *line, size_t len)
{
        struct iovec iov = {(void *)line, len};
        int r = busrt_client_send(chat->client, chat->target, &iov, 1, BUSRT_QOS_PROCESSED, NULL);

        if (r == -EHOSTUNREACH) {
                printf("%s is not there\n", chat->target);
                fflush(stdout);
                return 0;
        }
        return r;
}

/* All whole lines, and one that fills the buffer. */
static int send_lines(struct chat *chat)
{
        char *line = chat->line, *end;
        size_t left = chat->len;
        int r = 0;

        while (r >= 0 && (end = memchr(line, '\n', left)) != NULL) {
                r = send_line(chat, line, (size_t)(end - line));
                left -= (size_t)(end + 1 - line);
                line = end + 1;
        }
        if (r >= 0 && (left == sizeof(chat->line) || (chat->ended && left > 0))) {
                r = send_line(chat, line, left);
                left = 0;
        }
        memmove(chat->line, line, left);
        chat->len = left;
        return r;
}

static int read_input(struct chat *chat)
{
        ssize_t n = read(STDIN_FILENO, chat->line + chat->len, sizeof(chat->line) - chat->len);

        if (n < 0)
                return errno == EINTR || errno == EAGAIN ? 0 : -errno;
        chat->ended = n == 0;
        chat->len += (size_t)n;
        return send_lines(chat);
}

static int run(struct chat *chat)
{
        struct pollfd fds[2];
        int r;

        while (!chat->ended) {
                /* It does a bounded amount of work each time: again, until nothing is left. */
                do
                        r = busrt_client_process(chat->client);
                while (r > 0);
                if (r < 0)
                        return r;
                fds[0] = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
                fds[1] = (struct pollfd){.fd = busrt_client_get_fd(chat->client),
                                         .events = (short)busrt_client_get_events(chat->client)};
                if (poll(fds, 2, milliseconds(chat->client)) < 0 && errno != EINTR)
                        return -errno;
                r = fds[0].revents ? read_input(chat) : 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

int main(int argc, char **argv)
{
        struct chat chat = {0};
        int r;

        if (argc != 3) {
                fprintf(stderr, "usage: %s NAME TARGET\n", argv[0]);
                return 2;
        }
        chat.target = argv[2];
        r = busrt_client_new(argv[1], &chat.client);
        if (r >= 0)
                r = busrt_client_set_frame_handler(chat.client, on_frame, NULL);
        if (r >= 0)
                r = busrt_client_connect(chat.client, NULL);
        if (r >= 0)
                r = run(&chat);
        busrt_client_free(chat.client);
        if (r < 0)
                fprintf(stderr, "%s: %s\n", argv[1], busrt_strerror(r));
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
