/* SPDX-License-Identifier: Apache-2.0 */
/* What an answer of the broker lies in: taken in pieces, freed as a whole. */
#pragma once

#include <stddef.h>

struct admin_memory;

/* NULL: no memory. */
struct admin_memory *admin_memory_new(void);
/* Returns NULL. */
struct admin_memory *admin_memory_free(struct admin_memory *memory);

/* A copy with a NUL behind it. 0; -ENOMEM; -EBADMSG: there is a NUL in it, which no text of a
 * broker has. */
int admin_memory_add_text(struct admin_memory *memory, const char *text, size_t len,
                          const char **ret);
/* Makes room for one more behind the n that are in *array, each of that size; zeroed. *array may
 * move. 0 or -ENOMEM. */
int admin_memory_grow(struct admin_memory *memory, void *array, size_t n, size_t size);
/* Adds to a list with NULL at its end. 0, -ENOMEM or -EBADMSG. */
int admin_memory_add_word(struct admin_memory *memory, const char ***list, size_t *n,
                          const char *text, size_t len);

static inline void admin_memory_freep(struct admin_memory **memory)
{
        admin_memory_free(*memory);
}
