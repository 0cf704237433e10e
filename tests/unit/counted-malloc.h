/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory under a test's control: counts what the code under test takes and gives back, and lets one
 * chosen allocation fail. The program is linked with -Wl,--wrap for the four functions
 * (counted_malloc in meson.build); libraries outside of it are not touched. One thread only.
 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

static struct {
        size_t n_calls; /* allocations asked for */
        size_t n_bytes; /* that they asked for */
        size_t n_live;  /* blocks held now */
        size_t fail_in; /* 1: the next one fails; 0: none */
        bool failed;    /* the chosen one came */
} memory;

/* The first, second, ... allocation from now on fails, once. 0: none. */
static inline void memory_fail_in(size_t n)
{
        memory.fail_in = n;
        memory.failed = false;
}

static inline void memory_count(void)
{
        memory.n_calls = memory.n_bytes = 0;
}

static inline bool memory_asked(size_t bytes)
{
        memory.n_calls++;
        memory.n_bytes += bytes;
        if (memory.fail_in == 0 || --memory.fail_in > 0)
                return true;
        memory.failed = true;
        errno = ENOMEM;
        return false;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void __real_free(void *p);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void __wrap_free(void *p);

void *__wrap_malloc(size_t size)
{
        void *p = memory_asked(size) ? __real_malloc(size) : NULL;

        memory.n_live += p != NULL;
        return p;
}

void *__wrap_calloc(size_t n, size_t size)
{
        void *p = memory_asked(n * size) ? __real_calloc(n, size) : NULL;

        memory.n_live += p != NULL;
        return p;
}

void *__wrap_realloc(void *p, size_t size)
{
        void *q = memory_asked(size) ? __real_realloc(p, size) : NULL;

        memory.n_live += !p && q;
        return q;
}

void __wrap_free(void *p)
{
        memory.n_live -= p != NULL;
        __real_free(p);
}
