/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Publishes each line of its standard input.
 *
 *      publisher NAME TOPIC            seq 1000000 | publisher counter numbers
 *
 * Every line is acknowledged, but a line does not wait for the acknowledgement of the one before:
 * up to WINDOW operations are on their way at a time.
 */
#include <stdio.h>
#include <stdlib.h>

#include <busrt/client.h>

#define WINDOW 256

/* Waits for the operation in that place, if there is one, and empties it. */
static int finish(busrt_op **place)
{
        int r = *place ? busrt_op_wait(*place, BUSRT_TIMEOUT_DEFAULT) : 0;

        *place = busrt_op_unref(*place);
        return r;
}

/* The acknowledgement of a line is waited for when its place is needed again. */
static int publish_lines(busrt_client *client, const char *topic, busrt_op **window, size_t *ret_n)
{
        char *line = NULL;
        size_t room = 0, n;
        ssize_t len;
        int r = 0;

        for (n = 0; r >= 0 && (len = getline(&line, &room, stdin)) >= 0; n++) {
                struct iovec iov = {line, (size_t)len};

                if (line[len - 1] == '\n')
                        iov.iov_len--;
                r = finish(&window[n % WINDOW]);
                if (r >= 0)
                        r = busrt_client_publish(client, topic, &iov, 1, BUSRT_QOS_PROCESSED,
                                                 &window[n % WINDOW]);
        }
        free(line);
        if (r < 0)
                return r;
        *ret_n = n;
        return 0;
}

static int publish_all(busrt_client *client, const char *topic, size_t *ret_n)
{
        busrt_op *window[WINDOW] = {0};
        int r, error;

        r = busrt_client_connect(client, NULL);
        if (r < 0)
                return r;
        r = publish_lines(client, topic, window, ret_n);
        for (size_t i = 0; i < WINDOW; i++) {
                error = finish(&window[i]);
                if (r >= 0)
                        r = error;
        }
        return r;
}

int main(int argc, char **argv)
{
        busrt_client *client;
        size_t n;
        int r;

        if (argc != 3) {
                fprintf(stderr, "usage: %s NAME TOPIC\n", argv[0]);
                return 2;
        }
        r = busrt_client_new(argv[1], &client);
        if (r >= 0) {
                r = publish_all(client, argv[2], &n);
                busrt_client_free(client);
        }
        if (r < 0) {
                fprintf(stderr, "%s: %s\n", argv[1], busrt_strerror(r));
                return EXIT_FAILURE;
        }
        printf("%zu published\n", n);
        return EXIT_SUCCESS;
}
