/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of missing memory share: the allocations that counted-malloc.h leaves out, a
 * client, and what it may return. */
#pragma once

#include "../unit/counted-malloc.h"
#include "client-bed.h"

#define ACKED BUSRT_QOS_PROCESSED
#define PATIENCE (20 * SECOND)

/* A libc function that allocates calls its own malloc(). */
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t len);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t len);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
int __real_vasprintf(char **ret, const char *format, va_list args);
int __wrap_vasprintf(char **ret, const char *format, va_list args);
int __wrap_asprintf(char **ret, const char *format, ...);

int __wrap_vasprintf(char **ret, const char *format, va_list args)
{
        int n = memory_asked(1) ? __real_vasprintf(ret, format, args) : -1;

        memory.n_live += n >= 0;
        return n;
}

int __wrap_asprintf(char **ret, const char *format, ...)
{
        va_list args;
        int n;

        va_start(args, format);
        n = __wrap_vasprintf(ret, format, args);
        va_end(args);
        return n;
}

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

static busrt_client *client;

/* A large frame that is half written, and whose rest finds no room, costs the connection. */
static bool is_lost(void)
{
        return client && busrt_client_error(client) == -ENOMEM;
}

/* No other error than this one, and what follows from a connection that it has ended. */
static bool worked(int r)
{
        bool lost = (r == -ENOTCONN || r == -ECONNRESET) && is_lost();

        if (r < 0 && r != -ENOMEM && !lost)
                print_error("%s\n", busrt_strerror(r));
        assert_true(r >= 0 || r == -ENOMEM || lost);
        assert_true(r >= 0 || memory.failed);
        return r >= 0;
}
