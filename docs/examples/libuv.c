/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client in a loop of libuv: publishes the load of the machine every second, and prints what
 * others publish. It may be started before the broker, and outlives it.
 *
 *      libuv NAME                      until SIGTERM or SIGINT
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <uv.h>

#include <busrt/client.h>

struct program {
        uv_loop_t loop;
        busrt_client *client;
        uv_poll_t poll;       /* the client's descriptor, */
        uv_timer_t timer;     /* its time, */
        uv_prepare_t prepare; /* and what asks for that before each poll */
        uv_timer_t second;
        uv_signal_t term, interrupt;
        int error;
};

/* --- The client in the loop --- */

/* Once: others get their turn. What goes wrong is told by the state handler. */
static void process(struct program *program)
{
        (void)busrt_client_process(program->client);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
        process(poll->data);
}

static void on_time(uv_timer_t *timer)
{
        process(timer->data);
}

/* Milliseconds from now, rounded up: libuv's own clock stands still between its looks at it. */
static uint64_t milliseconds_until(uint64_t until)
{
        struct timespec now;
        uint64_t usec;

        clock_gettime(CLOCK_MONOTONIC, &now);
        usec = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
        return until <= usec ? 0 : (until - usec + 999) / 1000;
}

static void on_prepare(uv_prepare_t *prepare)
{
        struct program *program = prepare->data;
        uint64_t until;

        uv_update_time(&program->loop);
        if (busrt_client_get_timeout(program->client, &until) < 0 || until == UINT64_MAX)
                uv_timer_stop(&program->timer);
        else
                uv_timer_start(&program->timer, on_time, milliseconds_until(until), 0);
}

static int add_client(struct program *program)
{
        int r = uv_poll_init(&program->loop, &program->poll, busrt_client_get_fd(program->client));

        if (r < 0)
                return r;
        uv_timer_init(&program->loop, &program->timer);
        uv_prepare_init(&program->loop, &program->prepare);
        program->poll.data = program->timer.data = program->prepare.data = program;
        uv_prepare_start(&program->prepare, on_prepare);
        return uv_poll_start(&program->poll, UV_READABLE, on_poll);
}

/* --- The program --- */

static void on_state(busrt_client *client, enum busrt_state state, int error, void *userdata)
{
        struct program *program = userdata;
        const char *name = busrt_client_get_name(client);

        if (state == BUSRT_STATE_CONNECTED)
                fprintf(stderr, "%s is connected\n", name);
        else if (state == BUSRT_STATE_RECONNECTING)
                fprintf(stderr, "%s is away: %s\n", name, busrt_strerror(error));
        else {
                program->error = error;
                uv_stop(&program->loop);
        }
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

static void on_second(uv_timer_t *timer)
{
        struct program *program = timer->data;
        char topic[1100], text[32];
        double load[3];
        struct iovec iov = {.iov_base = text};

        uv_loadavg(load);
        snprintf(topic, sizeof(topic), "load/%s", busrt_client_get_name(program->client));
        iov.iov_len = (size_t)snprintf(text, sizeof(text), "%.2f", load[0]);
        /* While the client is away this is -ENOTCONN: yesterday's load is of no interest. */
        (void)busrt_client_publish(program->client, topic, &iov, 1,
                                   BUSRT_QOS_NO | BUSRT_QOS_DONTWAIT, NULL);
}

static void on_signal(uv_signal_t *signal, int number)
{
        uv_stop(signal->loop);
}

static void add_others(struct program *program)
{
        uv_timer_init(&program->loop, &program->second);
        program->second.data = program;
        uv_timer_start(&program->second, on_second, 0, 1000);
        uv_signal_init(&program->loop, &program->term);
        uv_signal_init(&program->loop, &program->interrupt);
        uv_signal_start(&program->term, on_signal, SIGTERM);
        uv_signal_start(&program->interrupt, on_signal, SIGINT);
}

static int connect_client(struct program *program)
{
        static const char *const topics[] = {"load/+"};
        busrt_client *client = program->client;
        int r;

        r = busrt_client_set_reconnect(client, BUSRT_TIMEOUT_INFINITE);
        if (r >= 0)
                r = busrt_client_set_state_handler(client, on_state, program);
        if (r >= 0)
                r = busrt_client_set_frame_handler(client, on_frame, NULL);
        if (r >= 0)
                r = busrt_client_connect_start(client, NULL);
        /* It is noted, and asked for on each connection. */
        if (r >= 0)
                r = busrt_client_subscribe(client, topics, 1, BUSRT_QOS_NO, NULL);
        return r;
}

static void close_handle(uv_handle_t *handle, void *userdata)
{
        if (!uv_is_closing(handle))
                uv_close(handle, NULL);
}

/* libuv's errors are -errno, too. The descriptor is the client's: it goes after its handle. */
static int run(struct program *program)
{
        int r = uv_loop_init(&program->loop);

        if (r < 0)
                return r;
        r = add_client(program);
        if (r >= 0) {
                add_others(program);
                r = connect_client(program);
        }
        if (r >= 0) {
                uv_run(&program->loop, UV_RUN_DEFAULT);
                r = program->error;
        }
        uv_walk(&program->loop, close_handle, NULL);
        uv_run(&program->loop, UV_RUN_DEFAULT);
        uv_loop_close(&program->loop);
        return r;
}

int main(int argc, char **argv)
{
        struct program program = {.error = 0};
        int r;

        if (argc != 2) {
                fprintf(stderr, "usage: %s NAME\n", argv[0]);
                return 2;
        }
        r = busrt_client_new(argv[1], &program.client);
        if (r >= 0) {
                r = run(&program);
                busrt_client_free(program.client);
        }
        if (r < 0)
                fprintf(stderr, "%s: %s\n", argv[1], busrt_strerror(r));
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
