/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From bytes to frames. The worker reads into its one buffer and handles every whole frame where it
 * lies. Of an unfinished frame the body goes on in a buffer of its own, into which the next read
 * puts its bytes directly and from which a large frame is later sent: it grows as bytes arrive,
 * never by what the header claims. Bytes that may not be handled now, because the session is
 * paused, are kept and handled first when it goes on.
 */
#include "engine/internal.h"

#define ASSEMBLY_FIRST 960 /* body bytes that the smallest buffer holds behind the headroom */
/* With the longest sender's name instead of the target's, its length must still fit into 32 bits.
 */
#define BODY_MAX ((size_t)UINT32_MAX - INPUT_HEADROOM)
#define DIRECT_READ_MAX (256 << 10) /* into a body, per read */

static bool input_wanted(const struct session *s)
{
        return s->state <= SESSION_LIVE && !session_is_paused(s) && !s->claiming &&
               s->engine->current->budget > 0;
}

/* Runs an operation that takes memory until it succeeds, ending the largest holders one after the
 * other; where none is left, the session itself ends. */
static bool input_retry(struct session *s, int r)
{
        if (memory_relieve(s->engine, s->account, r))
                return s->state <= SESSION_LIVE;
        session_kill(s, ENGINE_EVENT_MEMORY, "no memory for what it sent");
        return false;
}

/* Small buffers are charged whole, large ones as their bytes arrive, since memory that was never
 * touched is none. */
static size_t assembly_charge(size_t body_len)
{
        return body_len <= WORKER_READ_SIZE ? SIZE_MAX : INPUT_HEADROOM + body_len;
}

/* Makes room for at least `want` bytes of body in all. */
static bool assembly_reserve(struct session *s, size_t want)
{
        struct input *in = &s->input;
        struct engine *e = s->engine;
        size_t whole = INPUT_HEADROOM + (size_t)in->request.length;
        size_t capacity = MIN(whole, INPUT_HEADROOM + MAX(2 * want, (size_t)ASSEMBLY_FIRST));
        int r;

        if (buffer_pool_has(&e->pool, whole))
                capacity = whole;
        for (;;) {
                if (!in->body)
                        r = buffer_new(&e->pool, s->account, capacity, assembly_charge(want),
                                       &in->body);
                else if (in->body->capacity < INPUT_HEADROOM + want)
                        r = buffer_grow(&e->pool, &in->body, INPUT_HEADROOM + in->body_len,
                                        capacity);
                else
                        r = 0;
                if (r == 0)
                        r = buffer_charge(&e->pool, in->body,
                                          MIN(assembly_charge(want),
                                              in->body->capacity + sizeof(struct buffer)));
                if (r == 0)
                        return true;
                if (!input_retry(s, r))
                        return false;
        }
}

/* Takes as much of p as belongs to the unfinished frame. */
static size_t assembly_add(struct session *s, const uint8_t *p, size_t len)
{
        struct input *in = &s->input;
        size_t n = MIN(len, in->request.length - in->body_len);

        if (!assembly_reserve(s, in->body_len + n))
                return 0;
        if (n)
                memcpy(in->body->data + INPUT_HEADROOM + in->body_len, p, n);
        in->body_len += n;
        return n;
}

static bool assembly_is_whole(const struct input *in)
{
        return in->assembling && in->body_len == in->request.length;
}

static void input_frame_done(struct session *s)
{
        s->frame_at = s->engine->now;
        s->body_since = 0;
        s->last_look = false;
}

/* Handles the assembled frame once it is whole. False: it must wait. The extra reference keeps the
 * bytes in place though the session may be ended while they are delivered. */
static bool assembly_finish(struct session *s)
{
        struct input *in = &s->input;
        struct buffer *body = buffer_ref(in->body);
        enum dispatch_result r =
                dispatch_frame(s, &in->request, body->data + INPUT_HEADROOM, in->body_len, body);

        buffer_unref(&s->engine->pool, body);
        if (r == DISPATCH_WAIT)
                return false;
        in->body = buffer_unref(&s->engine->pool, in->body);
        in->assembling = false;
        input_frame_done(s);
        return true;
}

/* What can be told from the header alone. */
static bool header_is_good(struct session *s, const struct wire_request *request)
{
        if (!wire_op_is_known(request->op))
                dispatch_violation(s, request, "unknown operation");
        else if (request->length > MIN(s->engine->config.max_frame_size, BODY_MAX))
                dispatch_violation(s, request, "frame longer than MaxFrameSize");
        else
                return true;
        return false;
}

/* One frame, or the beginning of one. Returns the bytes taken; 0: it needs more, or must wait. */
static size_t input_frame(struct session *s, uint8_t *p, size_t len)
{
        struct wire_request request;
        size_t size;

        if (len < WIRE_REQUEST_HEADER_SIZE)
                return 0;
        wire_request_decode(p, &request);
        if (wire_request_is_ping(&request)) {
                pass_spend(s->engine, 1);
                input_frame_done(s);
                return WIRE_REQUEST_HEADER_SIZE;
        }
        if (!header_is_good(s, &request))
                return 0;
        size = WIRE_REQUEST_HEADER_SIZE + (size_t)request.length;
        if (len < size) {
                s->input.assembling = true;
                s->input.request = request;
                s->input.body_len = 0;
                s->body_since = s->engine->now;
                return WIRE_REQUEST_HEADER_SIZE + assembly_add(s, p + WIRE_REQUEST_HEADER_SIZE,
                                                               len - WIRE_REQUEST_HEADER_SIZE);
        }
        if (dispatch_frame(s, &request, p + WIRE_REQUEST_HEADER_SIZE, request.length, NULL) ==
            DISPATCH_WAIT)
                return 0;
        input_frame_done(s);
        return size;
}

size_t session_consume(struct session *s, uint8_t *p, size_t len)
{
        size_t at = 0, n;

        while (input_wanted(s)) {
                if (s->input.assembling) {
                        at += assembly_add(s, p + at, len - at);
                        if (s->state > SESSION_LIVE || !assembly_is_whole(&s->input) ||
                            !assembly_finish(s))
                                break;
                        continue;
                }
                if (at == len)
                        break;
                if (s->state < SESSION_LIVE)
                        n = handshake_consume(s, p + at, len - at);
                else
                        n = input_frame(s, p + at, len - at);
                if (n == 0)
                        break;
                at += n;
        }
        return at;
}

/* Keeps bytes of the worker's buffer beyond the pass. */
static void input_keep(struct session *s, const uint8_t *p, size_t len)
{
        struct input *in = &s->input;
        int r;

        while ((r = buffer_new(&s->engine->pool, s->account, len, SIZE_MAX, &in->pending)) < 0)
                if (!input_retry(s, r))
                        return;
        memcpy(in->pending->data, p, len);
        in->pending_at = 0;
        in->pending_end = len;
}

/* Handles what was kept. */
static void input_resume(struct session *s)
{
        struct input *in = &s->input;
        struct buffer *pending;

        if (assembly_is_whole(in) && !assembly_finish(s))
                return;
        if (!in->pending)
                return;
        pending = buffer_ref(in->pending);
        in->pending_at += session_consume(s, pending->data + in->pending_at,
                                          in->pending_end - in->pending_at);
        buffer_unref(&s->engine->pool, pending);
        if (in->pending && in->pending_at == in->pending_end)
                in->pending = buffer_unref(&s->engine->pool, in->pending);
}

/* The end of the stream, or the connection's error. Of one that takes nothing any more, no bytes
 * are an end too. */
static void input_end(struct session *s, ssize_t r, bool deaf)
{
        if (r == -EAGAIN && !deaf)
                return;
        s->readable = false;
        s->hung_up = true;
        if (r == 0 && s->body_since)
                session_drain(s, ENGINE_EVENT_GONE,
                              "closed by the client in the middle of a frame");
        else
                session_drain(s, ENGINE_EVENT_GONE,
                              r == 0 || r == -EAGAIN ? "closed by the client"
                                                     : strerrordesc_np((int)-r));
}

/* Where the next bytes go: first the unfinished body, then the worker's buffer, behind the start of
 * a header or a handshake that was kept. */
static size_t input_prepare(struct session *s, struct iovec iov[2], size_t *ret_direct,
                            size_t *ret_prefix)
{
        struct input *in = &s->input;
        uint8_t *buffer = s->worker->read_buffer;
        size_t n = 0, prefix = 0, direct = 0;

        if (in->assembling) {
                direct =
                        MIN(in->body->capacity - INPUT_HEADROOM, in->request.length) - in->body_len;
                direct = MIN(direct, (size_t)DIRECT_READ_MAX);
                if (direct)
                        iov[n++] = (struct iovec){in->body->data + INPUT_HEADROOM + in->body_len,
                                                  direct};
        } else if (in->pending) {
                prefix = in->pending_end - in->pending_at;
                memcpy(buffer, in->pending->data + in->pending_at, prefix);
                in->pending = buffer_unref(&s->engine->pool, in->pending);
        }
        if (direct < DIRECT_READ_MAX)
                iov[n++] = (struct iovec){buffer + prefix, WORKER_READ_SIZE};
        *ret_direct = direct;
        *ret_prefix = prefix;
        return n;
}

void session_drop_input(struct session *s)
{
        struct input *in = &s->input;

        in->body = buffer_unref(&s->engine->pool, in->body);
        in->pending = buffer_unref(&s->engine->pool, in->pending);
        in->assembling = false;
}

/* The session may end meanwhile: where it reads to stays until it has. Or another worker finds that
 * there is more to be read, now that the peer has gone. */
static ssize_t input_receive(struct session *s, struct iovec *iov, size_t n_iov)
{
        ssize_t n;

        s->readable = false;
        s->reading = true;
        worker_leave_bus(s->worker);
        n = transport_readv(s->fd, iov, n_iov);
        worker_enter_bus(s->worker);
        s->reading = false;
        return n;
}

static void input_read(struct session *s)
{
        struct iovec iov[2];
        size_t direct, prefix, n_iov = input_prepare(s, iov, &direct, &prefix), want = 0, rest,
                               used;
        uint8_t *buffer = s->worker->read_buffer;
        bool deaf = s->deaf; /* before it is read: after its last word */
        ssize_t n;

        for (size_t i = 0; i < n_iov; i++)
                want += iov[i].iov_len;
        n = input_receive(s, iov, n_iov);
        if (s->state > SESSION_LIVE) {
                session_drop_input(s);
                return;
        }
        if (n <= 0) {
                if (prefix)
                        input_keep(s, buffer, prefix);
                input_end(s, n, deaf);
                return;
        }
        s->readable |= (size_t)n == want || s->hung_up;
        s->input.body_len += MIN((size_t)n, direct);
        if (direct && !assembly_reserve(s, s->input.body_len))
                return;
        rest = prefix + (size_t)n - MIN((size_t)n, direct);
        used = session_consume(s, buffer, rest);
        if (used < rest && s->state <= SESSION_LIVE)
                input_keep(s, buffer + used, rest - used);
}

/* After the last byte was written: whatever a lingering peer still sends is thrown away until it
 * closes. */
static void input_discard(struct session *s)
{
        struct iovec iov = {s->worker->read_buffer, WORKER_READ_SIZE};
        ssize_t n = input_receive(s, &iov, 1);

        if (n > 0)
                worker_run_later(s);
        else if (n != -EAGAIN)
                session_kill(s, ENGINE_EVENT_GONE, NULL);
}

void session_run(struct session *s)
{
        if (s->lingering)
                input_discard(s);
        if (input_wanted(s))
                input_resume(s);
        if (input_wanted(s) && s->readable)
                input_read(s);
        if (s->state <= SESSION_LIVE && !session_is_paused(s) && !s->claiming &&
            (s->readable || s->worker->budget <= 0))
                worker_run_later(s);
        if (s->local)
                local_wake(s->local);
}
