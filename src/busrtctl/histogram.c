/* SPDX-License-Identifier: Apache-2.0 */
#include "busrtctl/histogram.h"

#include "basic/macro.h"

/* Of HISTOGRAM_STEPS. */
#define STEP_BITS 7

/* Below HISTOGRAM_STEPS each value has its bucket; from there on what counts are the first
 * STEP_BITS + 1 bits, of which the highest is always set. */
static unsigned bucket_of(uint64_t value)
{
        unsigned shift;

        if (value < HISTOGRAM_STEPS)
                return (unsigned)value;
        shift = 63 - (unsigned)__builtin_clzll(value) - STEP_BITS;
        return (shift << STEP_BITS) + (unsigned)(value >> shift);
}

uint64_t histogram_bucket_end(unsigned bucket)
{
        unsigned shift = bucket < 2 * HISTOGRAM_STEPS ? 0 : (bucket >> STEP_BITS) - 1;
        uint64_t first = bucket - ((uint64_t)shift << STEP_BITS);

        return ((first + 1) << shift) - 1;
}

void histogram_add(struct histogram *histogram, uint64_t value)
{
        value = MIN(value, HISTOGRAM_MAX);
        histogram->min = histogram->count == 0 ? value : MIN(histogram->min, value);
        histogram->max = MAX(histogram->max, value);
        histogram->count++;
        histogram->sum += (double)value;
        histogram->buckets[bucket_of(value)]++;
}

void histogram_merge(struct histogram *to, const struct histogram *from)
{
        if (from->count == 0)
                return;
        to->min = to->count == 0 ? from->min : MIN(to->min, from->min);
        to->max = MAX(to->max, from->max);
        to->count += from->count;
        to->sum += from->sum;
        for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
                to->buckets[i] += from->buckets[i];
}

uint64_t histogram_percentile(const struct histogram *histogram, double percent)
{
        double wanted = (double)histogram->count * percent / 100;
        uint64_t seen = 0;

        for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
                seen += histogram->buckets[i];
                if (seen > 0 && (double)seen >= wanted)
                        return MIN(histogram_bucket_end(i), histogram->max);
        }
        return histogram->max;
}

double histogram_mean(const struct histogram *histogram)
{
        return histogram->count > 0 ? histogram->sum / (double)histogram->count : 0;
}
