/* SPDX-License-Identifier: Apache-2.0 */
#include "basic/macro.h"
#include "engine/queue.h"
#include "wire/frame.h"

#define CHUNK_FIRST 2000 /* a queue that holds little holds little memory */
#define CHUNK_NEXT 32000
#define BATCH_BYTES (1 << 20)
#define PREFETCH_AHEAD 256 /* bytes: two or three small frames */

void queue_init(struct queue *q)
{
        *q = (struct queue){.n_slots = QUEUE_N_SEGMENTS};
        q->ring = q->first;
}

void queue_clear(struct queue *q, struct buffer_pool *pool)
{
        for (uint32_t i = 0; i < q->n_segments; i++)
                buffer_unref(pool, queue_segment(q, i)->buffer);
        buffer_unref(pool, q->chunk);
        buffer_unref(pool, q->ring_buffer);
        queue_init(q);
}

void queue_move(struct queue *from, struct queue *to)
{
        *to = *from;
        if (from->ring == from->first)
                to->ring = to->first;
        queue_init(from);
}

void queue_clear_rest(struct queue *q, struct buffer_pool *pool, struct account *account)
{
        while (q->n_segments > q->n_gathered)
                buffer_unref(pool, queue_segment(q, --q->n_segments)->buffer);
        q->chunk = buffer_unref(pool, q->chunk);
        for (uint32_t i = 0; i < q->n_segments; i++)
                if (queue_segment(q, i)->buffer->n_refs == 1)
                        buffer_forgive(pool, queue_segment(q, i)->buffer, account);
}

/* The ring doubles into a buffer charged to whoever's frame needs it. */
static int queue_grow_ring(struct queue *q, struct buffer_pool *pool, struct account *account)
{
        struct buffer *b;
        struct segment *ring;
        uint32_t n_slots;
        int r = buffer_new(pool, account, q->n_slots * 2 * sizeof(struct segment), SIZE_MAX, &b);

        if (r < 0)
                return r;
        ring = (struct segment *)b->data;
        n_slots = 1u << (31 - __builtin_clz((uint32_t)(b->capacity / sizeof(struct segment))));
        for (uint32_t i = 0; i < q->n_segments; i++)
                ring[i] = *queue_segment(q, i);
        buffer_unref(pool, q->ring_buffer);
        q->ring_buffer = b;
        q->ring = ring;
        q->head = 0;
        q->n_slots = n_slots;
        return 0;
}

static int queue_push(struct queue *q, struct buffer_pool *pool, struct account *account,
                      struct segment segment)
{
        if (q->n_segments == q->n_slots) {
                int r = queue_grow_ring(q, pool, account);

                if (r < 0)
                        return r;
        }
        q->ring[(q->head + q->n_segments++) & (q->n_slots - 1)] = segment;
        return 0;
}

/* Makes sure that the chunk has room for `size` bytes. */
static int queue_need_chunk(struct queue *q, struct buffer_pool *pool, struct account *account,
                            size_t size)
{
        struct buffer *b;
        int r;

        if (q->chunk && q->chunk->capacity - q->chunk_used >= size)
                return 0;
        r = buffer_new(pool, account, q->n_bytes ? CHUNK_NEXT : CHUNK_FIRST, SIZE_MAX, &b);
        if (r < 0)
                return r;
        buffer_unref(pool, q->chunk);
        q->chunk = b;
        q->chunk_used = 0;
        return 0;
}

/* The segment that ends where the chunk's next byte goes: the last one or a new one. */
static struct segment *queue_open_segment(struct queue *q, struct buffer_pool *pool,
                                          struct account *account)
{
        struct segment *last = q->n_segments ? queue_segment(q, q->n_segments - 1) : NULL;
        int r;

        if (last && last->buffer == q->chunk && last->offset + last->length == q->chunk_used)
                return last;
        r = queue_push(q, pool, account,
                       (struct segment){.buffer = q->chunk, .offset = q->chunk_used});
        if (r < 0) {
                errno = -r;
                return NULL;
        }
        buffer_ref(q->chunk);
        return queue_segment(q, q->n_segments - 1);
}

static uint8_t *queue_put_bytes(struct queue *q, struct buffer_pool *pool, struct account *account,
                                size_t size, uint32_t n_frames)
{
        struct segment *last;
        uint8_t *room;
        int r = queue_need_chunk(q, pool, account, size);

        if (unlikely(r < 0)) {
                errno = -r;
                return NULL;
        }
        last = queue_open_segment(q, pool, account);
        if (unlikely(!last))
                return NULL;
        room = q->chunk->data + q->chunk_used;
        /* Another thread, on another CPU, may have read the chunk the last time. */
        __builtin_prefetch(room + PREFETCH_AHEAD, 1);
        __builtin_prefetch(room + PREFETCH_AHEAD + 64, 1);
        last->length += (uint32_t)size;
        last->n_frames += n_frames;
        q->chunk_used += size;
        q->n_bytes += size;
        q->n_frames += n_frames;
        return room;
}

uint8_t *queue_put_inline(struct queue *q, struct buffer_pool *pool, struct account *account,
                          size_t size)
{
        return queue_put_bytes(q, pool, account, size, 1);
}

int queue_put_raw(struct queue *q, struct buffer_pool *pool, struct account *account,
                  const void *bytes, size_t size)
{
        uint8_t *room = queue_put_bytes(q, pool, account, size, 0);

        if (!room)
                return -errno;
        memcpy(room, bytes, size);
        q->partial += size;
        return 0;
}

int queue_put_shared(struct queue *q, struct buffer_pool *pool, struct account *account,
                     struct buffer *buffer, size_t offset, size_t size)
{
        int r = queue_push(q, pool, account, (struct segment){buffer, offset, (uint32_t)size, 1});

        if (r < 0)
                return r;
        buffer_ref(buffer);
        q->n_bytes += size;
        q->n_frames++;
        return 0;
}

static void queue_pop(struct queue *q, struct buffer_pool *pool)
{
        struct segment *s = queue_segment(q, 0);

        buffer_unref(pool, s->buffer);
        q->head = (q->head + 1) & (q->n_slots - 1);
        q->n_segments--;
}

/* Counts the frames that begin in the first n bytes of the segment as gone, and notes how much is
 * left of the last of them. */
static void segment_consume(struct queue *q, struct segment *s, size_t n)
{
        size_t end = s->offset + n, skip = MIN(q->partial, n);

        q->partial -= skip;
        s->offset += skip;
        while (s->offset < end) {
                size_t size = wire_delivery_size(s->buffer->data + s->offset),
                       out = MIN(size, end - s->offset);

                s->n_frames--;
                q->n_frames--;
                q->partial = size - out;
                s->offset += out;
        }
        s->length -= (uint32_t)n;
        q->n_bytes -= n;
}

static void queue_consume(struct queue *q, struct buffer_pool *pool, size_t n)
{
        while (n > 0) {
                struct segment *s = queue_segment(q, 0);

                if (n < s->length) {
                        segment_consume(q, s, n);
                        return;
                }
                n -= s->length;
                q->n_bytes -= s->length;
                q->n_frames -= s->n_frames;
                q->partial = 0;
                queue_pop(q, pool);
        }
        if (queue_is_empty(q))
                queue_clear(q, pool);
}

void queue_gather(struct queue *q, struct queue_batch *ret)
{
        ret->n = ret->n_bytes = 0;
        while (ret->n < MIN(q->n_segments, (uint32_t)QUEUE_BATCH) && ret->n_bytes < BATCH_BYTES) {
                const struct segment *s = queue_segment(q, (uint32_t)ret->n);

                ret->iov[ret->n++] = (struct iovec){s->buffer->data + s->offset, s->length};
                ret->n_bytes += s->length;
        }
        q->n_gathered = (uint32_t)ret->n;
}

void queue_written(struct queue *q, struct buffer_pool *pool, size_t n)
{
        q->n_gathered = 0;
        queue_consume(q, pool, n);
}

/* Acknowledgements, pings and the words of the broker itself stay. */
static bool frame_may_drop(const uint8_t *frame)
{
        static const char broker[] = ".broker";

        if (frame[0] == WIRE_KIND_ACK || frame[0] == WIRE_KIND_PING)
                return false;
        return le32_get(frame + 1) < sizeof(broker) ||
               memcmp(frame + WIRE_DELIVERY_HEADER_SIZE, broker, sizeof(broker)) != 0;
}

/* Takes `size` bytes at `at` out of the segment. What must stay before them moves up over the hole.
 */
static void segment_cut(struct queue *q, struct segment *s, size_t at, size_t size)
{
        uint8_t *start = s->buffer->data + s->offset;

        memmove(start + size, start, at - s->offset);
        s->offset += size;
        s->length -= (uint32_t)size;
        s->n_frames--;
        q->n_bytes -= size;
        q->n_frames--;
}

static size_t segment_drop_oldest(struct queue *q, struct segment *s, size_t skip,
                                  size_t max_frames, size_t max_bytes)
{
        size_t at = s->offset + skip, n = 0;

        while (at < s->offset + s->length && (q->n_frames > max_frames || q->n_bytes > max_bytes)) {
                size_t size = wire_delivery_size(s->buffer->data + at);

                if (frame_may_drop(s->buffer->data + at)) {
                        segment_cut(q, s, at, size);
                        n++;
                }
                at += size;
        }
        return n;
}

/* Closes the gaps that emptied segments left. */
static void queue_compact(struct queue *q, struct buffer_pool *pool)
{
        uint32_t kept = 0;

        for (uint32_t i = 0; i < q->n_segments; i++) {
                struct segment s = *queue_segment(q, i);

                if (s.length == 0)
                        buffer_unref(pool, s.buffer);
                else
                        *queue_segment(q, kept++) = s;
        }
        q->n_segments = kept;
}

size_t queue_drop_oldest(struct queue *q, struct buffer_pool *pool, size_t max_frames,
                         size_t max_bytes)
{
        size_t n = 0, dropped, emptied = 0;

        for (uint32_t i = q->n_gathered; i < q->n_segments; i++) {
                struct segment *s = queue_segment(q, i);

                if (q->n_frames <= max_frames && q->n_bytes <= max_bytes)
                        break;
                dropped = segment_drop_oldest(q, s, i == 0 ? MIN(q->partial, (size_t)s->length) : 0,
                                              max_frames, max_bytes);
                n += dropped;
                emptied += s->length == 0;
        }
        if (emptied)
                queue_compact(q, pool);
        if (n && queue_is_empty(q))
                queue_clear(q, pool);
        return n;
}
