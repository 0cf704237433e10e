/* SPDX-License-Identifier: Apache-2.0 */
#include "basic/macro.h"
#include "engine/buffer.h"

/* From here on memory comes from the kernel page by page, so capacity that was never touched costs
 * nothing. */
#define BUFFER_MAPPED_CLASS 18

static unsigned class_of(size_t capacity)
{
        size_t size = capacity + sizeof(struct buffer);
        unsigned c = size <= 1 ? 0 : 64 - (unsigned)__builtin_clzll(size - 1);

        return MAX(c, BUFFER_MIN_CLASS);
}

void buffer_pool_init(struct buffer_pool *pool, struct accounts *accounts)
{
        *pool = (struct buffer_pool){.accounts = accounts};
}

static size_t class_size(unsigned size_class)
{
        return (size_t)1 << size_class;
}

static struct buffer *pool_pop(struct buffer_pool *pool, unsigned i)
{
        struct buffer *b = pool->classes[i].free;

        pool->classes[i].free = b->next;
        pool->classes[i].n_free--;
        pool->n_free--;
        pool->n_bytes -= class_size(b->size_class);
        return b;
}

static void pool_free_some(struct buffer_pool *pool, unsigned i, size_t n)
{
        while (n-- > 0 && pool->classes[i].free)
                free(pool_pop(pool, i));
        pool->classes[i].n_idle = pool->classes[i].n_free;
}

/* What is held and what lies here never exceed the limit together. */
static bool pool_is_over(const struct buffer_pool *pool, size_t bytes)
{
        return pool->n_bytes + bytes + accounts_held(pool->accounts) >
               accounts_limit(pool->accounts);
}

/* Before memory is taken from the system: the largest go first. */
static void pool_make_room(struct buffer_pool *pool)
{
        for (unsigned i = BUFFER_N_CLASSES; i > 0 && pool->n_bytes && pool_is_over(pool, 0);)
                if (pool->classes[i - 1].free)
                        pool_free_some(pool, i - 1, 1);
                else
                        i--;
}

void buffer_pool_trim(struct buffer_pool *pool)
{
        for (unsigned i = 0; i < BUFFER_N_CLASSES; i++)
                pool_free_some(pool, i, pool->classes[i].n_idle);
}

void buffer_pool_done(struct buffer_pool *pool)
{
        for (unsigned i = 0; i < BUFFER_N_CLASSES; i++)
                pool_free_some(pool, i, SIZE_MAX);
}

bool buffer_pool_has(const struct buffer_pool *pool, size_t capacity)
{
        unsigned size_class = class_of(capacity);

        return size_class <= BUFFER_MAX_CLASS && pool->classes[size_class - BUFFER_MIN_CLASS].free;
}

/* -EDQUOT: the account is over its own limit; -ENOSPC: all accounts together are. */
static int pool_charge(struct buffer_pool *pool, struct account *account, size_t bytes)
{
        enum charge_result r = account_charge(pool->accounts, account, bytes);

        return r == CHARGE_OK ? 0 : r == CHARGE_OVER_ONE ? -EDQUOT : -ENOSPC;
}

static struct buffer *pool_take(struct buffer_pool *pool, unsigned size_class)
{
        unsigned i = size_class - BUFFER_MIN_CLASS;
        struct buffer *b;

        if (!pool->classes[i].free)
                return NULL;
        b = pool_pop(pool, i);
        if (pool->classes[i].n_free < pool->classes[i].n_idle)
                pool->classes[i].n_idle = pool->classes[i].n_free;
        return b;
}

static void pool_give(struct buffer_pool *pool, struct buffer *b)
{
        unsigned i = b->size_class - BUFFER_MIN_CLASS;

        if (unlikely(pool_is_over(pool, class_size(b->size_class)))) {
                free(b);
                return;
        }
        b->next = pool->classes[i].free;
        pool->classes[i].free = b;
        pool->classes[i].n_free++;
        pool->n_free++;
        pool->n_bytes += class_size(b->size_class);
}

int buffer_new(struct buffer_pool *pool, struct account *account, size_t capacity, size_t charge,
               struct buffer **ret)
{
        unsigned size_class = class_of(capacity);
        size_t charged;
        struct buffer *b;
        int r;

        if (size_class > BUFFER_MAX_CLASS)
                return -ENOMEM;
        /* What lay in the pool was touched before: it is memory, whatever will be put there. */
        charged = class_size(size_class);
        if (!pool->classes[size_class - BUFFER_MIN_CLASS].free)
                charged = MIN(charge, charged);
        r = pool_charge(pool, account, charged);
        if (r < 0)
                return r;
        b = pool_take(pool, size_class);
        if (!b) {
                pool_make_room(pool);
                b = malloc((size_t)1 << size_class);
                if (!b) {
                        account_release(pool->accounts, account, charged);
                        return -ENOMEM;
                }
                b->size_class = size_class;
                b->capacity = ((size_t)1 << size_class) - sizeof(*b);
        }
        b->next = NULL;
        b->account = account;
        b->charged = charged;
        b->n_refs = 1;
        *ret = b;
        return 0;
}

struct buffer *buffer_ref(struct buffer *buffer)
{
        buffer->n_refs++;
        return buffer;
}

struct buffer *buffer_unref(struct buffer_pool *pool, struct buffer *buffer)
{
        if (!buffer || --buffer->n_refs > 0)
                return NULL;
        account_release(pool->accounts, buffer->account, buffer->charged);
        pool_give(pool, buffer);
        return NULL;
}

int buffer_charge(struct buffer_pool *pool, struct buffer *buffer, size_t bytes)
{
        int r;

        if (bytes <= buffer->charged)
                return 0;
        r = pool_charge(pool, buffer->account, bytes - buffer->charged);
        if (r == 0)
                buffer->charged = bytes;
        return r;
}

/* Mapped memory moves without a copy. */
static int buffer_remap(struct buffer **buffer, unsigned size_class)
{
        struct buffer *b = realloc(*buffer, (size_t)1 << size_class);

        if (!b)
                return -ENOMEM;
        b->size_class = size_class;
        b->capacity = ((size_t)1 << size_class) - sizeof(*b);
        *buffer = b;
        return 0;
}

int buffer_grow(struct buffer_pool *pool, struct buffer **buffer, size_t used, size_t capacity)
{
        struct buffer *b = *buffer, *bigger;
        unsigned size_class = class_of(capacity);
        int r;

        if (b->capacity >= capacity)
                return 0;
        if (size_class > BUFFER_MAX_CLASS)
                return -ENOMEM;
        if (b->size_class >= BUFFER_MAPPED_CLASS &&
            !pool->classes[size_class - BUFFER_MIN_CLASS].free)
                return buffer_remap(buffer, size_class);

        /* The charge moves over with the bytes: take it off the old one first, so that a user at
         * the limit is not refused for holding the same frame twice. */
        account_release(pool->accounts, b->account, b->charged);
        r = buffer_new(pool, b->account, capacity, b->charged, &bigger);
        if (r < 0) {
                b->charged = 0;
                return r;
        }
        b->charged = 0;
        memcpy(bigger->data, b->data, used);
        buffer_unref(pool, b);
        *buffer = bigger;
        return 0;
}
