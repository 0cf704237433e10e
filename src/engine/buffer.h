/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one buffer type: memory for bytes on their way, counted, and charged to the account of
 * whoever sent them.
 *
 * Sizes are powers of two. What is given back is kept by the pool for the next to ask, the
 * warmest first; what was not needed for a whole tick goes back to the system, and what would
 * exceed the limit of all accounts together with what is held goes at once. So a busy worker
 * neither calls malloc nor holds more than its last second needed, and no session holds a buffer
 * that has nothing in it.
 *
 * A pool may have a reserve: buffers that were made and touched at the start, and stay. They are
 * not counted in the limit while they lie here, and where none of the wanted size is left, a larger
 * one serves.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "access/account.h"

#define BUFFER_MIN_CLASS 11 /* 2 KiB */
#define BUFFER_MAX_CLASS 33
#define BUFFER_N_CLASSES (BUFFER_MAX_CLASS - BUFFER_MIN_CLASS + 1)

struct buffer {
        struct buffer *next; /* in the pool */
        struct account *account;
        size_t capacity; /* of data */
        size_t charged;
        unsigned n_refs;
        unsigned size_class;
        uint8_t data[];
};

struct buffer_pool {
        struct accounts *accounts;
        size_t n_free;               /* of all sizes */
        size_t n_bytes;              /* in these */
        size_t n_kept, n_kept_bytes; /* the reserve: of these so many stay */
        struct {
                struct buffer *free;
                size_t n_free;
                size_t n_idle; /* the fewest that lay here since the last tick */
                size_t n_kept;
        } classes[BUFFER_N_CLASSES];
};

void buffer_pool_init(struct buffer_pool *pool, struct accounts *accounts);
void buffer_pool_done(struct buffer_pool *pool);
/* About so many bytes in buffers of each size up to 256 KiB. Once, into a new pool. -ENOMEM. */
int buffer_pool_reserve(struct buffer_pool *pool, size_t bytes);
/* There may be something to trim. */
static inline bool buffer_pool_has_spare(const struct buffer_pool *pool)
{
        return pool->n_free > pool->n_kept;
}
/* A buffer of that capacity lies ready: taking it takes no memory from the system. */
bool buffer_pool_has(const struct buffer_pool *pool, size_t capacity);
/* Once a second: frees what nobody asked for since the last time. */
void buffer_pool_trim(struct buffer_pool *pool);

/* A buffer of at least that capacity, of which `charge` bytes are charged (SIZE_MAX: all of it), or
 * all of it where it comes from the pool.
 * -EDQUOT: the account is over its own limit; -ENOSPC: all accounts together are; -ENOMEM. */
int buffer_new(struct buffer_pool *pool, struct account *account, size_t capacity, size_t charge,
               struct buffer **ret);
struct buffer *buffer_ref(struct buffer *buffer);
/* Returns NULL. */
struct buffer *buffer_unref(struct buffer_pool *pool, struct buffer *buffer);

/* The only reference grows to hold at least capacity bytes; the first `used` bytes are kept. */
int buffer_grow(struct buffer_pool *pool, struct buffer **buffer, size_t used, size_t capacity);
/* It will be given back soon, and is charged no longer. account: one that lives until then. */
void buffer_forgive(struct buffer_pool *pool, struct buffer *buffer, struct account *account);
/* Charges up to `bytes` in all. */
int buffer_charge(struct buffer_pool *pool, struct buffer *buffer, size_t bytes);
