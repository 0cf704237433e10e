/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prints what is published on some topics, and what is sent to it by name.
 *
 *      listener NAME TOPIC...          listener logger 'sensors/#' 'alarms/+'
 *
 * Blocking calls alone: the shortest way to write a client. The broker is the one that
 * $BUSRT_SOCKET names, or the first of the usual places.
 */
#include <stdio.h>
#include <stdlib.h>

#include <busrt/client.h>

static void print(const busrt_frame *frame)
{
        const char *topic = busrt_frame_get_topic(frame);
        size_t len;
        const char *payload = busrt_frame_get_payload(frame, &len);

        /* A payload is bytes, and ends with its length. */
        printf("%s %s: %.*s\n", busrt_frame_get_sender(frame), topic ? topic : "-", (int)len,
               payload);
        fflush(stdout);
}

static int listen_on(busrt_client *client, const char *const *topics, size_t n_topics)
{
        busrt_frame *frame;
        int r;

        r = busrt_client_connect(client, NULL);
        if (r < 0)
                return r;
        /* NULL: the call waits until the broker has acknowledged it. */
        r = busrt_client_subscribe(client, topics, n_topics, BUSRT_QOS_PROCESSED, NULL);
        if (r < 0)
                return r;
        fprintf(stderr, "%s listens at %s\n", busrt_client_get_name(client),
                busrt_client_get_address(client));
        for (;;) {
                r = busrt_client_read(client, BUSRT_TIMEOUT_INFINITE, &frame);
                if (r < 0)
                        return r;
                print(frame);
                busrt_frame_unref(frame);
        }
}

int main(int argc, char **argv)
{
        busrt_client *client;
        int r;

        if (argc < 3) {
                fprintf(stderr, "usage: %s NAME TOPIC...\n", argv[0]);
                return 2;
        }
        r = busrt_client_new(argv[1], &client);
        if (r < 0) {
                fprintf(stderr, "%s: %s\n", argv[1], busrt_strerror(r));
                return EXIT_FAILURE;
        }
        r = listen_on(client, (const char *const *)&argv[2], (size_t)argc - 2);
        fprintf(stderr, "%s: %s\n", argv[1], busrt_strerror(r));
        busrt_client_free(client);
        return EXIT_FAILURE;
}
