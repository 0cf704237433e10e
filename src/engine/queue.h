/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What waits to be written to one client: a ring of segments, each a slice of a buffer. Small
 * frames are copied one behind the other into the session's own chunk; a larger one is a slice of a
 * buffer that all of its receivers share. No frame lies across two segments, so frames can be
 * counted and dropped by walking their headers.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "engine/buffer.h"

#define QUEUE_INLINE_MAX 1024 /* encoded bytes of a frame that is copied to each receiver */
#define QUEUE_N_SEGMENTS 2    /* without a ring of its own */

struct segment {
        struct buffer *buffer;
        size_t offset;
        uint32_t length;
        uint32_t n_frames; /* of which no byte has left */
};

struct queue {
        struct segment *ring; /* `first`, or in ring_buffer */
        struct segment first[QUEUE_N_SEGMENTS];
        struct buffer *ring_buffer;
        struct buffer *chunk; /* where small frames go */
        size_t chunk_used;
        uint32_t head, n_segments, n_slots; /* slots: a power of two */
        uint32_t n_frames;                  /* frames of which no byte has left */
        uint32_t n_gathered;                /* segments at the front that a system call uses */
        size_t n_bytes;                     /* all bytes that have not left */
        size_t partial; /* bytes left of what stands first and has begun to leave, or is no frame
                           (handshake) */
};

void queue_init(struct queue *q);
/* Drops everything. */
void queue_clear(struct queue *q, struct buffer_pool *pool);
/* Drops all but what is gathered, which is charged no longer; to be cleared when that is over.
 * account: as for buffer_forgive(). */
void queue_clear_rest(struct queue *q, struct buffer_pool *pool, struct account *account);

/* All of it, also what is gathered, into a queue that has nothing. */
void queue_move(struct queue *from, struct queue *to);

static inline bool queue_is_empty(const struct queue *q)
{
        return q->n_bytes == 0;
}

/* Room at the end for one frame of `size` <= QUEUE_INLINE_MAX bytes, which counts as queued: the
 * caller fills it at once. NULL with errno EDQUOT, ENOSPC or ENOMEM. */
uint8_t *queue_put_inline(struct queue *q, struct buffer_pool *pool, struct account *account,
                          size_t size);
/* A whole frame as a slice of a buffer, of which the queue takes a reference of its own. */
int queue_put_shared(struct queue *q, struct buffer_pool *pool, struct account *account,
                     struct buffer *buffer, size_t offset, size_t size);
/* Bytes that are no frames. Only before the first frame. */
int queue_put_raw(struct queue *q, struct buffer_pool *pool, struct account *account,
                  const void *bytes, size_t size);

/* What stands first, for one system call: it stays where it is until queue_written(), whatever is
 * put behind it or dropped meanwhile. */
#define QUEUE_BATCH 64
struct queue_batch {
        struct iovec iov[QUEUE_BATCH];
        size_t n, n_bytes;
};
void queue_gather(struct queue *q, struct queue_batch *ret);
/* The first n bytes of what was gathered are out. */
void queue_written(struct queue *q, struct buffer_pool *pool, size_t n);

/* Drops the oldest frames that may be dropped (no acknowledgements, no pings, nothing of
 * `.broker`'s, nothing that has begun to leave or is gathered) until at most max_frames and
 * max_bytes are left, or there are none. Returns how many. */
size_t queue_drop_oldest(struct queue *q, struct buffer_pool *pool, size_t max_frames,
                         size_t max_bytes);

/* Walks the segments in order: 0 <= i < n_segments. */
static inline struct segment *queue_segment(const struct queue *q, uint32_t i)
{
        return &q->ring[(q->head + i) & (q->n_slots - 1)];
}
