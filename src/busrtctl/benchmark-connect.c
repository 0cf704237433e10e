/* SPDX-License-Identifier: Apache-2.0 */
/* How fast clients come and go. */
#include <stdio.h>

#include "basic/macro.h"
#include "busrtctl/benchmark.h"

int prepare_nothing(struct worker *worker)
{
        return 0;
}

/* A name of its own for each: whether a broker has noticed yet that one is free again is not what
 * is measured. */
int work_connect(struct worker *worker)
{
        int r = 0;

        while (r >= 0 && worker_goes_on(worker)) {
                _cleanup_(busrt_client_freep) busrt_client *client = NULL;
                uint64_t start = clock_nsec(CLOCK_MONOTONIC);
                char suffix[48];

                (void)snprintf(suffix, sizeof(suffix), "c%u.%llu", worker->index,
                               (unsigned long long)worker->sent++);
                r = worker_connect(worker, suffix, &client);
                if (r >= 0)
                        worker_count(worker, clock_nsec(CLOCK_MONOTONIC) - start);
        }
        return r;
}
