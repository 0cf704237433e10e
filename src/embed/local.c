/* SPDX-License-Identifier: Apache-2.0 */
/* Clients in this process: a client of libbusrt over the engine's end of a session. */
#include "embed/internal.h"

struct local_stream {
        busrt_broker *broker;
        struct engine_local *local;
};

static ssize_t stream_read(void *userdata, void *to, size_t size)
{
        struct local_stream *s = userdata;

        return engine_local_read(s->local, to, size);
}

static ssize_t stream_write(void *userdata, const struct iovec *iov, size_t n)
{
        struct local_stream *s = userdata;

        return engine_local_write(s->local, iov, n);
}

static void stream_close(void *userdata)
{
        struct local_stream *s = userdata;

        engine_local_free(s->local);
        broker_unref(s->broker);
        free(s);
}

/* With the lock. */
static int make_stream(busrt_broker *b, struct local_stream **ret)
{
        struct local_stream *s;
        int r = broker_need_engine(b);

        if (r < 0)
                return r;
        s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        r = engine_local_new(b->engine, NULL, &s->local);
        if (r < 0) {
                free(s);
                return r;
        }
        s->broker = broker_ref(b);
        *ret = s;
        return 0;
}

PUBLIC int busrt_broker_connect(busrt_broker *broker, busrt_client *client)
{
        busrt_stream stream = {.read = stream_read, .write = stream_write, .close = stream_close};
        struct local_stream *s;
        int r;

        if (!broker || !client)
                return -EINVAL;
        if (busrt_client_get_fd(client) < 0)
                return -ECHILD; /* in which the broker's lock may be in any state */
        pthread_mutex_lock(&broker->lock);
        r = make_stream(broker, &s);
        pthread_mutex_unlock(&broker->lock);
        if (r < 0)
                return r;
        stream.userdata = s;
        stream.fd = engine_local_fd(s->local);
        return busrt_client_connect_stream(client, &stream);
}
