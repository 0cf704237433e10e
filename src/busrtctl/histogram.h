/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long things took, counted in buckets whose width grows with their values, as HDR histograms
 * do: each power of two has HISTOGRAM_STEPS of them, so that a value is known to within less than a
 * hundredth of it, from a nanosecond to half an hour, in fixed memory. Minimum, maximum and mean
 * are exact.
 */
#pragma once

#include <stdint.h>

#define HISTOGRAM_STEPS 128 /* a power of two */
/* What is longer counts as this. */
#define HISTOGRAM_MAX ((UINT64_C(1) << 41) - 1)
/* The values below HISTOGRAM_STEPS, and the 34 powers of two from there to 2^41. */
#define HISTOGRAM_BUCKETS (35 * HISTOGRAM_STEPS)

/* Starts zeroed. */
struct histogram {
        uint64_t count, min, max;
        double sum;
        uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *histogram, uint64_t value);
void histogram_merge(struct histogram *to, const struct histogram *from);
/* The value that so many hundredths of all are not above: the upper end of its bucket, and never
 * more than the maximum. 0 where there are none. */
uint64_t histogram_percentile(const struct histogram *histogram, double percent);
double histogram_mean(const struct histogram *histogram);
/* The greatest value that the bucket counts. */
uint64_t histogram_bucket_end(unsigned bucket);
