/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handles publications by their topics: temperatures, alarms, and whatever else there is of
 * sensors.
 *
 *      subscriber NAME
 *
 * Each goes to one handler, that of the most specific mask.
 */
#include <stdio.h>
#include <stdlib.h>

#include <busrt/topics.h>

/* userdata: what it is. What stands for the mask's '+' is where. */
static void print_value(busrt_client *client, busrt_frame *frame, const char *mask, void *userdata)
{
        const char *topic = busrt_frame_get_topic(frame), *where = topic;
        size_t len, where_len = 0;
        const char *payload = busrt_frame_get_payload(frame, &len);

        busrt_topic_get_part(mask, topic, 0, &where, &where_len);
        printf("%s at %.*s: %.*s\n", (const char *)userdata, (int)where_len, where, (int)len,
               payload);
        fflush(stdout);
}

static void print_other(busrt_client *client, busrt_frame *frame, const char *mask, void *userdata)
{
        printf("something else: %s\n", busrt_frame_get_topic(frame));
        fflush(stdout);
}

static int subscribe(busrt_client *client)
{
        static const struct {
                const char *mask, *what;
                busrt_topic_handler handler;
        } table[] = {
                {"sensors/+/temperature", "temperature", print_value},
                {"sensors/+/alarm", "alarm", print_value},
                {"sensors/#", NULL, print_other},
        };

        for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
                int r = busrt_client_subscribe_handler(client, table[i].mask, table[i].handler,
                                                       (void *)table[i].what, BUSRT_QOS_PROCESSED,
                                                       NULL);

                if (r < 0)
                        return r;
        }
        return 0;
}

int main(int argc, char **argv)
{
        busrt_client *client;
        int r;

        if (argc != 2) {
                fprintf(stderr, "usage: %s NAME\n", argv[0]);
                return 2;
        }
        r = busrt_client_new(argv[1], &client);
        if (r >= 0) {
                r = busrt_client_connect(client, NULL);
                if (r >= 0)
                        r = subscribe(client);
                if (r >= 0) {
                        fprintf(stderr, "%s listens\n", argv[1]);
                        r = busrt_client_run(client);
                }
                busrt_client_free(client);
        }
        fprintf(stderr, "%s: %s\n", argv[1], busrt_strerror(r));
        return EXIT_FAILURE;
}
