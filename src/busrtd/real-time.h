/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Real time, as far as the process goes: memory that is never paged and never given back, and which
 * threads run under which scheduling. Only workers move frames, so only they stay under SCHED_FIFO
 * or SCHED_RR where the process was started so; every other thread steps down to SCHED_OTHER.
 */
#pragma once

#include <sched.h>
#include <sys/resource.h>

#include "busrtd/options.h"

/* How the workers run. */
struct real_time {
        int policy; /* SCHED_OTHER, ... */
        int priority;
        cpu_set_t cpus;
        size_t n_workers;
        bool others_too; /* the other threads could not step down */
        size_t locked;   /* bytes of memory */
};

/* RealTime=yes: before anything else takes memory or starts a thread. */
void real_time_prepare(void);
/* The calling thread is no worker: it leaves real-time scheduling. 0 or -errno. */
int real_time_step_down(void);
/* The main thread steps down, and the first of the engine's workers is looked at: all were started
 * alike. */
void real_time_start(struct real_time *rt, struct engine *engine, size_t n_workers);
/* Looks at it again; one that stands still is as it was. */
void real_time_look(struct real_time *rt, struct engine *engine);
/* Locks all memory, that to come too. 0 or -errno. */
int real_time_lock(struct real_time *rt);
/* What there would be to lock, and how much the process may lock (RLIM_INFINITY: any). */
void real_time_needed(size_t *ret_bytes, rlim_t *ret_limit);

static inline bool real_time_is_scheduled(const struct real_time *rt)
{
        return rt->policy == SCHED_FIFO || rt->policy == SCHED_RR;
}
/* "SCHED_FIFO" */
const char *real_time_policy_name(int policy);

/* -EINVAL: the options ask for busy polling, and workers under real-time scheduling have no CPUs of
 * their own for that: error is one line with file, line and key, and where says the place. */
int real_time_check(const struct real_time *rt, const struct options *options,
                    char error[OPTIONS_ERROR_MAX], struct config_place *where);
