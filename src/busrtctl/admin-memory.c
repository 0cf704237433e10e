/* SPDX-License-Identifier: Apache-2.0 */
#include "basic/macro.h"
#include "busrtctl/admin-memory.h"

#define CHUNK_SIZE 16384
#define ITEMS_MIN 8

struct chunk {
        struct chunk *next;
        size_t used, size;
        max_align_t data[];
};

struct admin_memory {
        struct chunk *first; /* the newest, which is the one with room */
};

struct admin_memory *admin_memory_new(void)
{
        return calloc(1, sizeof(struct admin_memory));
}

struct admin_memory *admin_memory_free(struct admin_memory *memory)
{
        if (!memory)
                return NULL;
        while (memory->first) {
                struct chunk *next = memory->first->next;

                free(memory->first);
                memory->first = next;
        }
        free(memory);
        return NULL;
}

/* Zeroed and aligned, or NULL. */
static void *take(struct admin_memory *memory, size_t size)
{
        struct chunk *chunk = memory->first;
        void *room;

        if (size > SIZE_MAX / 2)
                return NULL;
        size = (size + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
        if (!chunk || chunk->size - chunk->used < size) {
                size_t wanted = MAX(size, (size_t)CHUNK_SIZE);

                chunk = calloc(1, sizeof(*chunk) + wanted);
                if (!chunk)
                        return NULL;
                chunk->size = wanted;
                chunk->next = memory->first;
                memory->first = chunk;
        }
        room = (char *)chunk->data + chunk->used;
        chunk->used += size;
        return room;
}

int admin_memory_add_text(struct admin_memory *memory, const char *text, size_t len,
                          const char **ret)
{
        char *copy;

        if (len == 0) {
                *ret = "";
                return 0;
        }
        if (memchr(text, 0, len))
                return -EBADMSG;
        copy = take(memory, len + 1);
        if (!copy)
                return -ENOMEM;
        memcpy(copy, text, len);
        *ret = copy;
        return 0;
}

/* The arrays double, so that n alone says whether there is room. */
int admin_memory_grow(struct admin_memory *memory, void *array, size_t n, size_t size)
{
        void **place = array, *wider;

        if (n > 0 && (n < ITEMS_MIN || (n & (n - 1)) != 0))
                return 0;
        if (n > SIZE_MAX / 4 / size)
                return -ENOMEM;
        wider = take(memory, MAX(n * 2, (size_t)ITEMS_MIN) * size);
        if (!wider)
                return -ENOMEM;
        if (n > 0)
                memcpy(wider, *place, n * size);
        *place = wider;
        return 0;
}

int admin_memory_add_word(struct admin_memory *memory, const char ***list, size_t *n,
                          const char *text, size_t len)
{
        int r = *n == 0 ? admin_memory_grow(memory, list, 0, sizeof(**list)) : 0;

        if (r >= 0)
                r = admin_memory_add_text(memory, text, len, &(*list)[*n]);
        if (r < 0)
                return r;
        /* There is always room for the NULL behind the last. */
        r = admin_memory_grow(memory, list, ++*n, sizeof(**list));
        if (r >= 0)
                (*list)[*n] = NULL;
        return r;
}
