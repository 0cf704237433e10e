/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the broker sends: read in large pieces, and taken apart where it lies. Frames point into the
 * piece that they came in. One that does not fit gets a piece of its own, which grows as its bytes
 * arrive, so that a length alone costs nothing.
 */
#include "client/internal.h"
#include "wire/frame.h"
#include "wire/rpc.h"

#define DRAIN_READS 16

void input_done(struct input *input)
{
        chunk_unref(input->chunk);
        *input = (struct input){0};
}

/* --- Room --- */

/* A chunk of that size holds the unfinished frame at its start. */
static int move_tail(struct input *in, size_t size)
{
        struct chunk *chunk = chunk_new(size);
        size_t len = in->end - in->start;

        if (!chunk)
                return -ENOMEM;
        if (len > 0)
                memcpy(chunk->data, in->chunk->data + in->start, len);
        chunk_unref(in->chunk);
        *in = (struct input){chunk, 0, len, false};
        return 0;
}

/* No frame points into it any more. */
static bool is_ours_alone(const struct input *in)
{
        return atomic_load_explicit(&in->chunk->refs, memory_order_acquire) == 1;
}

/* The same chunk, larger, where it can be had without a copy. */
static int grow(struct input *in, size_t size)
{
        struct chunk *chunk;

        if (in->start > 0 || !is_ours_alone(in))
                return move_tail(in, size);
        chunk = realloc(in->chunk, sizeof(*chunk) + size);
        if (!chunk)
                return -ENOMEM;
        chunk->size = size;
        in->chunk = chunk;
        return 0;
}

/* The whole length of the unfinished frame, as far as it is known. */
static size_t frame_size(const busrt_client *c)
{
        const struct input *in = &c->input;

        if (c->connecting.phase != PHASE_READY || in->end - in->start < WIRE_DELIVERY_HEADER_SIZE)
                return WIRE_DELIVERY_HEADER_SIZE;
        return wire_delivery_size(in->chunk->data + in->start);
}

/* Room to read into, behind what is there. */
static int make_room(busrt_client *c)
{
        struct input *in = &c->input;
        size_t len = in->end - in->start, wanted = frame_size(c);

        /* What was made for a large frame has held nothing else, and goes with it. */
        if (!in->chunk || (len == 0 && in->chunk->size > CHUNK_SIZE))
                return move_tail(in, CHUNK_SIZE);
        if (in->start > 0 && is_ours_alone(in)) {
                memmove(in->chunk->data, in->chunk->data + in->start, len);
                in->start = 0;
                in->end = len;
        }
        if (in->end < in->chunk->size && in->start + wanted <= in->chunk->size)
                return 0;
        if (wanted <= CHUNK_SIZE)
                return move_tail(in, CHUNK_SIZE);
        /* A large frame: as much again as has come, up to all of it. */
        if (in->start > 0 || in->end == in->chunk->size)
                return grow(in, MIN(wanted, MAX(2 * len, 2 * CHUNK_SIZE)));
        return 0;
}

/* --- Frames --- */

static size_t broken(busrt_client *c, int error, const char *what)
{
        client_log(c, BUSRT_LOG_ERROR, "%s: %s sent %s", c->name, c->address, what);
        client_lost(c, error);
        return 0;
}

static void acknowledged(busrt_client *c, const uint8_t *p)
{
        struct pending *item = slots_find(&c->slots, le32_get(p + 1));
        int result = client_errno(p[5]);

        if (!item) { /* of a call that is over, or a subscription that was restored */
                if (le32_get(p + 1) == c->reconnect.restore_id)
                        reconnect_restored(c, result);
                return;
        }
        if (item->kind == PENDING_OP)
                op_finish(container_of(item, busrt_op, pending), result);
        else
                call_acknowledged(container_of(item, busrt_call, pending), result);
}

/* Cuts sender, topic and payload out of a body. False: a 00 is missing. */
static bool split_body(busrt_frame *f, const uint8_t *body, size_t len)
{
        const uint8_t *end = body + len, *zero = memchr(body, 0, len);

        if (!zero)
                return false;
        f->sender = (const char *)body;
        body = zero + 1;
        if (f->kind == BUSRT_KIND_PUBLICATION) {
                zero = memchr(body, 0, (size_t)(end - body));
                if (!zero)
                        return false;
                f->topic = (const char *)body;
                body = zero + 1;
        }
        f->payload = body;
        f->len = (size_t)(end - body);
        return true;
}

static enum busrt_kind kind_of(uint8_t wire_kind)
{
        return wire_kind == WIRE_KIND_MESSAGE     ? BUSRT_KIND_MESSAGE
               : wire_kind == WIRE_KIND_BROADCAST ? BUSRT_KIND_BROADCAST
                                                  : BUSRT_KIND_PUBLICATION;
}

static bool is_reply(const busrt_frame *f, struct rpc_message *ret)
{
        return f->kind == BUSRT_KIND_MESSAGE && rpc_decode(f->payload, f->len, ret) &&
               (ret->kind == RPC_REPLY || ret->kind == RPC_ERROR);
}

/* A whole frame at p. Bytes used, 0 when the connection is over, or -ENOMEM. */
static ssize_t take_delivery(busrt_client *c, const uint8_t *p, size_t size)
{
        busrt_frame *f = frame_new(c);
        struct rpc_message m;

        if (!f)
                return -ENOMEM;
        f->kind = kind_of(p[0]);
        f->realtime = p[5];
        f->charge = size + sizeof(*f);
        f->chunk = c->input.chunk;
        atomic_fetch_add_explicit(&f->chunk->refs, 1, memory_order_relaxed);
        if (!split_body(f, p + WIRE_DELIVERY_HEADER_SIZE, size - WIRE_DELIVERY_HEADER_SIZE)) {
                frame_recycle(c, f);
                return (ssize_t)broken(c, -EPROTO, "a frame without a sender's or topic's end");
        }
        if (c->has_called && is_reply(f, &m))
                call_reply(c, f, &m);
        else if (frame_sort(c, f) < 0) {
                frame_recycle(c, f);
                return -ENOMEM;
        }
        return (ssize_t)size;
}

/* As take_delivery(); 0 also when the frame is not whole yet. */
static ssize_t take_frame(busrt_client *c, const uint8_t *p, size_t len)
{
        size_t size;

        if (len < WIRE_DELIVERY_HEADER_SIZE)
                return 0;
        size = wire_delivery_size(p);
        switch (p[0]) {
        case WIRE_KIND_PING:
                return (ssize_t)size;
        case WIRE_KIND_ACK:
                acknowledged(c, p);
                return (ssize_t)size;
        case WIRE_KIND_MESSAGE:
        case WIRE_KIND_BROADCAST:
        case WIRE_KIND_PUBLICATION:
                if (size - WIRE_DELIVERY_HEADER_SIZE > c->max_frame)
                        return (ssize_t)broken(c, -EMSGSIZE, "a frame that is longer than allowed");
                return len < size ? 0 : take_delivery(c, p, size);
        default:
                return (ssize_t)broken(c, -EPROTO, "a frame of no known kind");
        }
}

/* All that is whole. 0 or -ENOMEM. */
static int parse(busrt_client *c)
{
        struct input *in = &c->input;

        while (in->start < in->end && !client_is_over(c)) {
                const uint8_t *p = in->chunk->data + in->start;
                size_t len = in->end - in->start;
                ssize_t n = c->connecting.phase == PHASE_READY ? take_frame(c, p, len)
                                                               : (ssize_t)connect_input(c, p, len);

                in->starved = n == -ENOMEM;
                if (n <= 0)
                        return (int)n;
                in->start += (size_t)n;
        }
        return 0;
}

/* --- Reading --- */

static void ended(busrt_client *c, int error)
{
        client_lost(c, error == -EPIPE || error == 0 ? -ECONNRESET : error);
}

int input_read(busrt_client *c)
{
        struct input *in = &c->input;
        ssize_t n;
        int r;

        /* What did not find memory the last time comes first. */
        r = parse(c);
        if (r == 0 && !client_is_over(c))
                r = make_room(c);
        if (r < 0 || client_is_over(c))
                return r;
        c->asleep = true;
        pthread_mutex_unlock(&c->lock);
        n = client_read(c, in->chunk->data + in->end, in->chunk->size - in->end);
        pthread_mutex_lock(&c->lock);
        c->asleep = false;
        if (client_is_over(c) || n == -EAGAIN)
                return 0;
        if (n <= 0) {
                ended(c, (int)n);
                return 1;
        }
        in->end += (size_t)n;
        r = parse(c);
        client_changed(c);
        return r < 0 ? r : 1;
}

void input_drain(busrt_client *c)
{
        for (unsigned i = 0; i < DRAIN_READS && !client_is_over(c); i++)
                if (input_read(c) <= 0)
                        return;
}
