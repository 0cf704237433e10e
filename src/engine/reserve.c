/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Under real time the engine takes what it needs for messages before the first one comes, and
 * touches it, so that later no message waits for the allocator or for a page. Larger receiver sets
 * than these take their memory when they are first met, and keep it.
 */
#include "engine/internal.h"

#define RECEIVERS 4096 /* of one frame */
#define WAITS 1024     /* senders that are paused, for each receiver that they wait for */

int engine_reserve(struct engine *e)
{
        int r;

        for (unsigned i = 0; i < e->n_workers; i++)
                memset(e->workers[i].read_buffer, 0, WORKER_READ_SIZE);
        r = buffer_pool_reserve(&e->pool, e->config.real_time_reserve);
        if (r == 0)
                r = topic_cache_reserve(&e->topic_cache);
        if (r == 0)
                r = match_set_reserve(&e->match_set, RECEIVERS);
        if (r == 0)
                r = match_set_reserve(&e->exclusion_set, RECEIVERS);
        if (r == 0)
                r = name_set_reserve(&e->name_set, RECEIVERS);
        return r < 0 ? r : pace_reserve(e, WAITS);
}
