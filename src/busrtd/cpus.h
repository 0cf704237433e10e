/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of CPUs, as the kernel writes them: "0-3,8". */
#pragma once

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>

/* 0, or -EINVAL: that is no list. An empty one is a set without CPUs. */
int cpus_parse(const char *text, cpu_set_t *ret);
/* Writes as much of it as there is room for. Returns out. */
const char *cpus_format(const cpu_set_t *cpus, char *out, size_t size);

/* Those on which processes run that nobody has placed: all that are online and not isolated. */
void cpus_shared(cpu_set_t *ret);
/* Is at least one of `shared` left to others, and are there n of them? */
bool cpus_are_own(const cpu_set_t *cpus, const cpu_set_t *shared, size_t n);
