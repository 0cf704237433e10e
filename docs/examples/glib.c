/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client in a main loop of GLib, as a source of its own: publishes the load of the machine every
 * second, and prints what others publish. It may be started before the broker, and outlives it.
 *
 *      glib NAME                       until SIGTERM or SIGINT
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <glib-unix.h>
#include <glib.h>

#include <busrt/client.h>

/* --- The source --- */

struct client_source {
        GSource source;
        gpointer tag; /* of the descriptor in it */
        busrt_client *client;
};

/* Before each poll: the client says when it wants to be woken. GLib's clock is the same one. */
static gboolean source_prepare(GSource *source, gint *timeout)
{
        struct client_source *s = (struct client_source *)source;
        uint64_t until, now = (uint64_t)g_get_monotonic_time();

        *timeout = -1;
        if (busrt_client_get_timeout(s->client, &until) < 0 || until == UINT64_MAX)
                return FALSE;
        *timeout = until <= now ? 0 : (gint)MIN((until - now + 999) / 1000, G_MAXINT);
        return until <= now;
}

static gboolean source_check(GSource *source)
{
        struct client_source *s = (struct client_source *)source;
        gint timeout;

        return g_source_query_unix_fd(source, s->tag) != 0 || source_prepare(source, &timeout);
}

/* Once: other sources get their turn. What goes wrong is told by the state handler. */
static gboolean source_dispatch(GSource *source, GSourceFunc callback, gpointer userdata)
{
        struct client_source *s = (struct client_source *)source;

        (void)busrt_client_process(s->client);
        return G_SOURCE_CONTINUE;
}

static GSource *source_new(busrt_client *client)
{
        static GSourceFuncs functions = {
                .prepare = source_prepare, .check = source_check, .dispatch = source_dispatch};
        GSource *source = g_source_new(&functions, sizeof(struct client_source));
        struct client_source *s = (struct client_source *)source;

        s->client = client;
        s->tag = g_source_add_unix_fd(source, busrt_client_get_fd(client), G_IO_IN);
        return source;
}

/* --- The program --- */

struct program {
        GMainLoop *loop;
        busrt_client *client;
        int error;
};

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
                g_main_loop_quit(program->loop);
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

static gboolean on_second(gpointer userdata)
{
        struct program *program = userdata;
        char topic[1100], text[32];
        double load;
        struct iovec iov = {.iov_base = text};

        if (getloadavg(&load, 1) != 1)
                return G_SOURCE_CONTINUE;
        snprintf(topic, sizeof(topic), "load/%s", busrt_client_get_name(program->client));
        iov.iov_len = (size_t)snprintf(text, sizeof(text), "%.2f", load);
        /* While the client is away this is -ENOTCONN: yesterday's load is of no interest. */
        (void)busrt_client_publish(program->client, topic, &iov, 1,
                                   BUSRT_QOS_NO | BUSRT_QOS_DONTWAIT, NULL);
        return G_SOURCE_CONTINUE;
}

static gboolean on_signal(gpointer userdata)
{
        struct program *program = userdata;

        g_main_loop_quit(program->loop);
        return G_SOURCE_CONTINUE;
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

static int run(struct program *program)
{
        GSource *source = source_new(program->client);
        int r;

        program->loop = g_main_loop_new(NULL, FALSE);
        g_source_attach(source, NULL);
        g_timeout_add_seconds(1, on_second, program);
        g_unix_signal_add(SIGTERM, on_signal, program);
        g_unix_signal_add(SIGINT, on_signal, program);
        r = connect_client(program);
        if (r >= 0) {
                g_main_loop_run(program->loop);
                r = program->error;
        }
        g_source_destroy(source);
        g_source_unref(source);
        g_main_loop_unref(program->loop);
        return r;
}

int main(int argc, char **argv)
{
        struct program program = {0};
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
