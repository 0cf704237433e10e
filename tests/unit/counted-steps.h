/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much a search of a tree does, counted by what it calls: memchr() for every part that it cuts
 * off a text, and table_hash() for every part that it looks up. The program is linked with
 * -Wl,--wrap for both (counted_steps in meson.build).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "basic/table.h"

static struct {
        size_t n_parts;  /* cut off */
        size_t n_hashes; /* looked up */
        bool collide;    /* makes all hashes the same */
} steps;

static inline void steps_count(void)
{
        steps.n_parts = steps.n_hashes = 0;
}

void *__real_memchr(const void *p, int c, size_t len);
void *__wrap_memchr(const void *p, int c, size_t len);
uint64_t __real_table_hash(const struct table *t, const void *data, size_t len);
uint64_t __wrap_table_hash(const struct table *t, const void *data, size_t len);

void *__wrap_memchr(const void *p, int c, size_t len)
{
        steps.n_parts++;
        return __real_memchr(p, c, len);
}

uint64_t __wrap_table_hash(const struct table *t, const void *data, size_t len)
{
        steps.n_hashes++;
        return steps.collide ? 7 : __real_table_hash(t, data, len);
}
