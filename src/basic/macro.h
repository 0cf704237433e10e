/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The small words that every room uses: array size, minimum, container_of, branch hints, and the
 * cleanup attributes that free a local when it leaves scope. TAKE_PTR and TAKE_FD hand ownership
 * on.
 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _cleanup_free_ _cleanup_(freep)
#define _cleanup_close_ _cleanup_(closep)
#define _printf_(fmt, args) __attribute__((format(printf, fmt, args)))

#define TAKE_PTR(p)                                                                                \
        ({                                                                                         \
                __typeof__(p) *_take = &(p);                                                       \
                __typeof__(p) _taken = *_take;                                                     \
                *_take = NULL;                                                                     \
                _taken;                                                                            \
        })

#define TAKE_FD(fd)                                                                                \
        ({                                                                                         \
                int *_take = &(fd);                                                                \
                int _taken = *_take;                                                               \
                *_take = -1;                                                                       \
                _taken;                                                                            \
        })

static inline void freep(void *p)
{
        free(*(void **)p);
}

/* Closes and keeps errno. Returns -1, so that `fd = close_fd(fd)` leaves no stale number. */
static inline int close_fd(int fd)
{
        if (fd >= 0) {
                int saved = errno;

                (void)close(fd);
                errno = saved;
        }
        return -1;
}

static inline void closep(int *fd)
{
        close_fd(*fd);
}
