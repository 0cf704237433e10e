/* SPDX-License-Identifier: Apache-2.0 */
/* A mutex that a thread under real-time scheduling may have to wait for. */
#pragma once

#include <pthread.h>
#include <stdbool.h>

/* inherit: whoever holds it while others wait runs with the highest priority of theirs until it
 * lets go, so that nothing in between can hold up the one that waits. 0 or -errno. */
static inline int mutex_init(pthread_mutex_t *mutex, bool inherit)
{
        pthread_mutexattr_t attributes;
        int r = pthread_mutexattr_init(&attributes);

        if (r != 0)
                return -r;
        /* Whoever finds it taken looks on for a moment: a sleep costs more than most waits last. */
        (void)pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ADAPTIVE_NP);
        if (inherit)
                r = pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
        if (r == 0)
                r = pthread_mutex_init(mutex, &attributes);
        pthread_mutexattr_destroy(&attributes);
        return -r;
}
