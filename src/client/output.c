/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is sent: written at once where the socket takes it, from where the program has it; the rest,
 * and what is gathered (corked, or in a handler that others follow), is copied into one buffer.
 */
#include <limits.h>

#include "client/internal.h"

#define OUTPUT_MIN 4096
#define OUTPUT_KEEP ((size_t)256 * 1024) /* a larger buffer is given back once it is empty */

/* --- The buffer --- */

static int reserve(struct output *o, size_t len)
{
        size_t unsent = output_unsent(o), size = MAX(o->size, (size_t)OUTPUT_MIN);
        uint8_t *data;

        if (o->size - o->end >= len)
                return 0;
        if (o->start > 0 && o->size - unsent >= len && o->start >= o->size / 2) {
                memmove(o->data, o->data + o->start, unsent);
                o->start = 0;
                o->end = unsent;
                return 0;
        }
        while (size - unsent < len) {
                if (size > SIZE_MAX / 2)
                        return -ENOMEM;
                size *= 2;
        }
        data = malloc(size);
        if (!data)
                return -ENOMEM;
        if (unsent > 0)
                memcpy(data, o->data + o->start, unsent);
        free(o->data);
        o->data = data;
        o->start = 0;
        o->end = unsent;
        o->size = size;
        return 0;
}

/* Copies the pieces without their first `skip` bytes; there is room. */
static void append(struct output *o, const struct iovec *iov, size_t n, size_t skip)
{
        for (size_t i = 0; i < n; i++) {
                size_t from = MIN(skip, iov[i].iov_len);

                skip -= from;
                if (iov[i].iov_len > from)
                        memcpy(o->data + o->end, (const uint8_t *)iov[i].iov_base + from,
                               iov[i].iov_len - from);
                o->end += iov[i].iov_len - from;
        }
}

int output_append(struct output *o, const struct iovec *iov, size_t n, size_t len)
{
        int r = reserve(o, len);

        if (r == 0)
                append(o, iov, n, 0);
        return r;
}

void output_done(struct output *o)
{
        free(o->data);
        o->data = NULL;
        o->start = o->end = o->size = 0;
}

static void consumed(struct output *o, size_t n)
{
        o->start += n;
        if (o->start < o->end)
                return;
        o->start = o->end = 0;
        if (o->size > OUTPUT_KEEP)
                output_done(o);
}

/* --- Writing --- */

/* The peer takes nothing more: whoever reads, or the next to do so, ends the connection. */
static void write_failed(busrt_client *c, int error)
{
        struct output *o = &c->output;

        o->broken = true;
        o->error = error == -EPIPE ? -ECONNRESET : error;
        o->start = o->end = 0;
        if (reader_enter(c))
                reader_leave(c);
        else
                client_wake_reader(c);
}

bool output_write(busrt_client *c)
{
        struct output *o = &c->output;
        struct iovec iov;
        ssize_t n;

        if (output_unsent(o) == 0 || c->fd < 0 || c->connecting.pending)
                return false;
        iov = (struct iovec){o->data + o->start, output_unsent(o)};
        n = client_write(c, &iov, 1);
        if (n > 0) {
                consumed(o, (size_t)n);
                if (output_unsent(o) == 0 || output_unsent(o) < c->send_buffer)
                        client_changed(c);
                return true;
        }
        if (n != -EAGAIN)
                write_failed(c, (int)n);
        return false;
}

/* What waits is written now, or when the cork goes, or when the handlers of this batch have run. */
static bool is_gathering(const busrt_client *c)
{
        return c->output.corked > 0 || (client_in_handler(c) && c->more_follows);
}

/* Nothing waits: from where it lies. 0, or -errno where the frame is lost. */
static int send_directly(busrt_client *c, const struct iovec *iov, size_t n, size_t len)
{
        struct iovec pieces[DIRECT_PIECES];
        ssize_t written;
        int r;

        memcpy(pieces, iov, n * sizeof(*iov));
        written = client_write(c, pieces, n);
        if (written < 0 && written != -EAGAIN) {
                write_failed(c, (int)written);
                return -ECONNRESET;
        }
        written = MAX(written, (ssize_t)0);
        if ((size_t)written == len)
                return 0;
        r = reserve(&c->output, len - (size_t)written);
        if (r < 0) {
                /* Half a frame is out: nothing can follow it. */
                if (written > 0)
                        client_lost(c, r);
                return r;
        }
        append(&c->output, iov, n, (size_t)written);
        return 0;
}

static int send_gathered(busrt_client *c, const struct iovec *iov, size_t n, size_t len)
{
        int r = output_append(&c->output, iov, n, len);

        if (r < 0)
                return r;
        if (!is_gathering(c) || output_unsent(&c->output) >= CHUNK_SIZE)
                (void)output_write(c);
        return c->output.broken ? -ECONNRESET : 0;
}

/* Of this connection: the next one has nothing to do with it. */
struct room {
        size_t len;
        unsigned generation;
};

static bool has_room(const busrt_client *c, const void *arg)
{
        const struct room *room = arg;
        size_t unsent = output_unsent(&c->output);

        return room->generation != c->generation || unsent == 0 ||
               (unsent <= c->send_buffer && room->len <= c->send_buffer - unsent);
}

static int wait_for_room(busrt_client *c, const struct room *room, unsigned flags,
                         const uint64_t *deadline)
{
        int r;

        (void)output_write(c);
        if (flags & OUTPUT_DONTWAIT || client_in_handler(c))
                r = has_room(c, room) ? 0 : -EAGAIN;
        else
                r = client_wait_for(c, has_room, room,
                                    deadline ? *deadline : client_deadline(c, c->timeout));
        return r == 0 && room->generation != c->generation ? -ECONNRESET : r;
}

/* Nobody waits for room here: who knows when there will be some. */
static int send_offline(busrt_client *c, const struct iovec *iov, size_t n, size_t len)
{
        if (len > c->offline_buffer)
                return -EMSGSIZE;
        if (len > c->offline_buffer - output_unsent(&c->offline))
                return -EAGAIN;
        return output_append(&c->offline, iov, n, len);
}

int output_send(busrt_client *c, const struct iovec *iov, size_t n, size_t len, unsigned flags,
                const uint64_t *deadline)
{
        struct room room = {len, c->generation};
        int r = 0;

        if (client_is_away(c) && !(flags & OUTPUT_HANDSHAKE))
                return send_offline(c, iov, n, len);
        if (!(flags & (OUTPUT_FORCE | OUTPUT_HANDSHAKE)) && !has_room(c, &room))
                r = wait_for_room(c, &room, flags, deadline);
        if (r < 0)
                return r;
        if (c->output.broken)
                return -ECONNRESET;
        if (output_unsent(&c->output) == 0 && n <= DIRECT_PIECES && !is_gathering(c))
                r = send_directly(c, iov, n, len);
        else
                r = send_gathered(c, iov, n, len);
        if (output_is_due(c)) {
                client_update_interest(c);
                client_wake_reader(c);
        }
        return r;
}

/* --- Cork and flush --- */

PUBLIC int busrt_client_cork(busrt_client *client)
{
        int r = client_lock(client);

        if (r < 0)
                return r;
        r = client->output.corked == UINT_MAX ? -EINVAL : client_is_live(client);
        if (r == 0)
                client->output.corked++;
        return client_unlock(client, r);
}

PUBLIC int busrt_client_uncork(busrt_client *client)
{
        int r = client_lock(client);

        if (r < 0)
                return r;
        if (client->output.corked == 0)
                return client_unlock(client, -EINVAL);
        if (--client->output.corked == 0) {
                (void)output_write(client);
                client_update_interest(client);
                client_wake_reader(client);
        }
        return client_unlock(client, client_is_live(client));
}

static bool is_flushed(const busrt_client *c, const void *arg)
{
        const unsigned *generation = arg;

        return *generation != c->generation ||
               (output_unsent(&c->output) == 0 && !c->output.broken);
}

static int flush(busrt_client *c, uint64_t deadline)
{
        unsigned generation = c->generation;
        int r = client_is_live(c);

        if (r == 0)
                r = client_wait_for(c, is_flushed, &generation, deadline);
        return r == 0 && generation != c->generation ? -ECONNRESET : r;
}

PUBLIC int busrt_client_flush(busrt_client *client, uint64_t timeout)
{
        int r = client_lock(client);

        if (r < 0)
                return r;
        return client_unlock(client, flush(client, client_deadline(client, timeout)));
}

PUBLIC ssize_t busrt_client_get_unsent(busrt_client *client)
{
        int r = client_lock(client);
        size_t unsent;

        if (r < 0)
                return r;
        if (client->state == BUSRT_STATE_CONNECTED)
                unsent = output_unsent(&client->output);
        else if (client_is_away(client) && client->offline_buffer > 0)
                unsent = output_unsent(&client->offline);
        else
                return client_unlock(client, -ENOTCONN);
        (void)client_unlock(client, 0);
        return (ssize_t)unsent;
}
