/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client in a loop of sd-event, beside a timer and signals: publishes the load of the machine
 * every second, and prints what others publish.
 *
 *      sd-event NAME                   until SIGTERM or SIGINT
 *
 * Nothing here blocks: connecting is started, and the state handler tells how it ends.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <busrt/sd-event.h>

#define SECOND UINT64_C(1000000)

static void on_state(busrt_client *client, enum busrt_state state, int error, void *userdata)
{
        static const char *const topics[] = {"load/+"};
        sd_event *event = userdata;

        if (state == BUSRT_STATE_CONNECTED) {
                /* Handlers do not wait. In the order of one client no answer is needed, either. */
                error = busrt_client_subscribe(client, topics, 1, BUSRT_QOS_NO, NULL);
                fprintf(stderr, "%s is connected\n", busrt_client_get_name(client));
        }
        if (error < 0)
                sd_event_exit(event, error);
}

static void on_frame(busrt_client *client, busrt_frame *frame, void *userdata)
{
        const char *topic = busrt_frame_get_topic(frame);
        size_t len;
        const char *payload = busrt_frame_get_payload(frame, &len);

        if (topic)
                printf("%s: %.*s\n", topic, (int)len, payload);
        fflush(stdout);
}

static int on_second(sd_event_source *source, uint64_t usec, void *userdata)
{
        busrt_client *client = userdata;
        char topic[1100], text[32];
        double load;
        struct iovec iov = {.iov_base = text};
        int r;

        if (busrt_client_get_state(client) == BUSRT_STATE_CONNECTED && getloadavg(&load, 1) == 1) {
                snprintf(topic, sizeof(topic), "load/%s", busrt_client_get_name(client));
                iov.iov_len = (size_t)snprintf(text, sizeof(text), "%.2f", load);
                r = busrt_client_publish(client, topic, &iov, 1, BUSRT_QOS_NO | BUSRT_QOS_DONTWAIT,
                                         NULL);
                if (r < 0) /* -EAGAIN: the broker does not read just now */
                        fprintf(stderr, "not published: %s\n", busrt_strerror(r));
        }
        r = sd_event_source_set_time(source, usec + SECOND);
        return r < 0 ? r : sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int add_sources(sd_event *event, busrt_client *client)
{
        sigset_t mask;
        int r;

        sigemptyset(&mask);
        sigaddset(&mask, SIGTERM);
        sigaddset(&mask, SIGINT);
        sigprocmask(SIG_BLOCK, &mask, NULL);
        /* Without a handler they end the loop. */
        r = sd_event_add_signal(event, NULL, SIGTERM, NULL, NULL);
        if (r >= 0)
                r = sd_event_add_signal(event, NULL, SIGINT, NULL, NULL);
        if (r >= 0)
                r = sd_event_add_time(event, NULL, CLOCK_MONOTONIC, 0, 0, on_second, client);
        return r;
}

static int run(busrt_client *client)
{
        sd_event_source *attachment = NULL;
        sd_event *event = NULL;
        int r;

        r = sd_event_default(&event);
        if (r >= 0)
                r = add_sources(event, client);
        if (r >= 0)
                r = busrt_client_attach_event(client, event, 0, &attachment);
        if (r >= 0)
                r = busrt_client_set_state_handler(client, on_state, event);
        if (r >= 0)
                r = busrt_client_set_frame_handler(client, on_frame, NULL);
        if (r >= 0)
                r = busrt_client_connect_start(client, NULL);
        if (r >= 0)
                r = sd_event_loop(event);
        if (r >= 0)
                r = busrt_client_flush(client, BUSRT_TIMEOUT_DEFAULT);
        busrt_client_detach_event(attachment);
        sd_event_unref(event);
        return r;
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
                r = run(client);
                busrt_client_free(client);
        }
        if (r < 0)
                fprintf(stderr, "%s: %s\n", argv[1], busrt_strerror(r));
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
