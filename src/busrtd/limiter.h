/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nobody fills the log: each key (a client, a user, a FIFO) has so many records in a window of
 * time; the rest is counted, and told in one line when the window is over. The memory is bounded:
 * keys that share a place with too many others push the oldest out.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct limiter;

/* window in nanoseconds. -ENOMEM. */
int limiter_new(unsigned burst, uint64_t window, struct limiter **ret);
struct limiter *limiter_free(struct limiter *limiter);

/* Who a summary is about. */
struct limiter_summary {
        char who[224];
        uint64_t suppressed;
        uint64_t weight; /* the sum of theirs */
};

/* May one more record for `who` go out? If not, it was counted, and what it weighs (frames that it
 * tells of, for example), so that sums stay exact. ret_evicted->suppressed > 0: another key had to
 * make room, and this is the summary that is due for it. */
bool limiter_pass(struct limiter *limiter, const char *who, uint64_t weight, uint64_t now,
                  struct limiter_summary *ret_evicted);

/* Takes one summary whose window is over. */
bool limiter_take_summary(struct limiter *limiter, uint64_t now, struct limiter_summary *ret);
/* When the next one will be due; UINT64_MAX: nothing was suppressed. */
uint64_t limiter_deadline(const struct limiter *limiter);
