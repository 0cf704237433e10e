/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What counted-malloc.h leaves out: a libc function that allocates calls its own malloc(). For a
 * test that is linked with counted_strings, too (meson.build).
 */
#pragma once

#include <string.h>

#include "counted-malloc.h"

char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t len);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t len);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

char *__wrap_strdup(const char *text)
{
        char *p = memory_asked(strlen(text) + 1) ? __real_strdup(text) : NULL;

        memory.n_live += p != NULL;
        return p;
}

char *__wrap_strndup(const char *text, size_t len)
{
        char *p = memory_asked(len + 1) ? __real_strndup(text, len) : NULL;

        memory.n_live += p != NULL;
        return p;
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
        return __wrap_realloc(p, n * size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
        void *p = memory_asked(size) ? __real_aligned_alloc(alignment, size) : NULL;

        memory.n_live += p != NULL;
        return p;
}
