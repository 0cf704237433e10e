/* SPDX-License-Identifier: Apache-2.0 */
#include "basic/macro.h"
#include "engine/buffer.h"

/* From here on memory comes from the kernel page by page, so capacity that was never touched costs
 * nothing. */
#define BUFFER_MAPPED_CLASS 18
#define RESERVED_CLASSES 8 /* the smallest: 2 KiB to 256 KiB */

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

static void pool_push(struct buffer_pool *pool, struct buffer *b)
{
        unsigned i = b->size_class - BUFFER_MIN_CLASS;

        b->next = pool->classes[i].free;
        pool->classes[i].free = b;
        pool->classes[i].n_free++;
        pool->n_free++;
        pool->n_bytes += class_size(b->size_class);
}

/* Those beyond the reserve. */
static size_t pool_spare(const struct buffer_pool *pool, unsigned i)
{
        size_t n_free = pool->classes[i].n_free, n_kept = pool->classes[i].n_kept;

        return n_free > n_kept ? n_free - n_kept : 0;
}

static void pool_free_some(struct buffer_pool *pool, unsigned i, size_t n)
{
        for (n = MIN(n, pool_spare(pool, i)); n > 0; n--)
                free(pool_pop(pool, i));
        pool->classes[i].n_idle = pool->classes[i].n_free;
}

/* What is held and what lies here beyond the reserve never exceed the limit together. */
static bool pool_is_over(const struct buffer_pool *pool, size_t bytes)
{
        size_t lying = pool->n_bytes - MIN(pool->n_bytes, pool->n_kept_bytes);

        return lying + bytes + accounts_held(pool->accounts) > accounts_limit(pool->accounts);
}

/* Before memory is taken from the system: the largest go first. */
static void pool_make_room(struct buffer_pool *pool)
{
        for (unsigned i = BUFFER_N_CLASSES; i > 0 && pool->n_bytes && pool_is_over(pool, 0);)
                if (pool_spare(pool, i - 1))
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
                while (pool->classes[i].free)
                        free(pool_pop(pool, i));
}

static struct buffer *buffer_alloc(unsigned size_class)
{
        struct buffer *b = malloc(class_size(size_class));

        if (!b)
                return NULL;
        b->size_class = size_class;
        b->capacity = class_size(size_class) - sizeof(*b);
        return b;
}

int buffer_pool_reserve(struct buffer_pool *pool, size_t bytes)
{
        for (unsigned i = 0; i < RESERVED_CLASSES; i++) {
                size_t size = class_size(i + BUFFER_MIN_CLASS);

                for (size_t n = bytes / RESERVED_CLASSES / size; n > 0; n--) {
                        struct buffer *b = buffer_alloc(i + BUFFER_MIN_CLASS);

                        if (!b)
                                return -ENOMEM;
                        memset(b->data, 0, b->capacity);
                        pool_push(pool, b);
                }
                pool->classes[i].n_kept = pool->classes[i].n_free;
        }
        pool->n_kept = pool->n_free;
        pool->n_kept_bytes = pool->n_bytes;
        return 0;
}

/* The class of a buffer that lies ready and is large enough, of a reserve also a larger one; 0:
 * there is none. */
static unsigned pool_find(const struct buffer_pool *pool, unsigned size_class)
{
        if (size_class > BUFFER_MAX_CLASS)
                return 0;
        if (pool->classes[size_class - BUFFER_MIN_CLASS].free)
                return size_class;
        for (unsigned i = size_class - BUFFER_MIN_CLASS; pool->n_kept && i < RESERVED_CLASSES; i++)
                if (pool->classes[i].free)
                        return i + BUFFER_MIN_CLASS;
        return 0;
}

bool buffer_pool_has(const struct buffer_pool *pool, size_t capacity)
{
        return pool_find(pool, class_of(capacity)) != 0;
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
        struct buffer *b = pool_pop(pool, i);

        if (pool->classes[i].n_free < pool->classes[i].n_idle)
                pool->classes[i].n_idle = pool->classes[i].n_free;
        return b;
}

static void pool_give(struct buffer_pool *pool, struct buffer *b)
{
        unsigned i = b->size_class - BUFFER_MIN_CLASS;

        if (unlikely(pool_is_over(pool, class_size(b->size_class))) &&
            pool->classes[i].n_free >= pool->classes[i].n_kept)
                free(b);
        else
                pool_push(pool, b);
}

int buffer_new(struct buffer_pool *pool, struct account *account, size_t capacity, size_t charge,
               struct buffer **ret)
{
        unsigned size_class = class_of(capacity), ready = pool_find(pool, size_class);
        size_t charged;
        struct buffer *b;
        int r;

        if (size_class > BUFFER_MAX_CLASS)
                return -ENOMEM;
        /* What lay in the pool was touched before: it is memory, whatever will be put there. */
        charged = ready ? class_size(ready) : MIN(charge, class_size(size_class));
        r = pool_charge(pool, account, charged);
        if (r < 0)
                return r;
        if (ready) {
                b = pool_take(pool, ready);
        } else {
                pool_make_room(pool);
                b = buffer_alloc(size_class);
                if (!b) {
                        account_release(pool->accounts, account, charged);
                        return -ENOMEM;
                }
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

void buffer_forgive(struct buffer_pool *pool, struct buffer *buffer, struct account *account)
{
        account_release(pool->accounts, buffer->account, buffer->charged);
        buffer->account = account;
        buffer->charged = 0;
}

/* Mapped memory moves without a copy. A buffer of the reserve stays what it is. */
static bool buffer_may_move(const struct buffer_pool *pool, const struct buffer *b)
{
        return b->size_class >=
               (pool->n_kept ? BUFFER_MIN_CLASS + RESERVED_CLASSES : BUFFER_MAPPED_CLASS);
}

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
        if (buffer_may_move(pool, b) && !pool_find(pool, size_class))
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
