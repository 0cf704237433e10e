/* SPDX-License-Identifier: Apache-2.0 */
/* The results as one JSON object, with all that one needs to judge and to draw them. */
#include <sched.h>
#include <stdio.h>
#include <sys/utsname.h>

#include "basic/macro.h"
#include "busrtctl/benchmark.h"
#include "busrtctl/output.h"

static void add_string(struct text *out, const char *key, const char *value)
{
        text_addf(out, "\"%s\":", key);
        if (value)
                text_add_json(out, value, strlen(value));
        else
                text_adds(out, "null");
}

static void add_uint(struct text *out, const char *key, uint64_t value)
{
        text_addf(out, "\"%s\":%llu", key, (unsigned long long)value);
}

/* null where it is not known. */
static void add_known(struct text *out, const char *key, bool known, uint64_t value)
{
        if (known)
                add_uint(out, key, value);
        else
                text_addf(out, "\"%s\":null", key);
}

/* As /proc/cpuinfo has it; NULL: it has none. */
static char *cpu_model(void)
{
        FILE *stream = fopen("/proc/cpuinfo", "re");
        char line[256], *model = NULL;

        while (!model && stream && fgets(line, sizeof(line), stream))
                if (strncmp(line, "model name", strlen("model name")) == 0 && strchr(line, ':')) {
                        line[strcspn(line, "\n")] = '\0';
                        model = strdup(strchr(line, ':') + 1 + strspn(strchr(line, ':') + 1, " "));
                }
        if (stream)
                (void)fclose(stream);
        return model;
}

static void add_machine(struct text *out)
{
        _cleanup_free_ char *model = cpu_model();
        long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
        struct utsname name = {0};
        cpu_set_t cpus;
        bool allowed = sched_getaffinity(0, sizeof(cpus), &cpus) == 0;

        (void)uname(&name);
        text_adds(out, "\"machine\":{");
        add_string(out, "host", name.nodename);
        text_adds(out, ",");
        add_string(out, "system", name.sysname);
        text_adds(out, ",");
        add_string(out, "release", name.release);
        text_adds(out, ",");
        add_string(out, "arch", name.machine);
        text_adds(out, ",");
        add_string(out, "cpu", model);
        text_adds(out, ",");
        add_uint(out, "cpus", (uint64_t)sysconf(_SC_NPROCESSORS_ONLN));
        text_adds(out, ",");
        add_known(out, "cpus_allowed", allowed, allowed ? (uint64_t)CPU_COUNT(&cpus) : 0);
        text_adds(out, ",");
        add_uint(out, "memory", (uint64_t)pages * (uint64_t)size);
        text_adds(out, "}");
}

static void add_broker(struct text *out, const struct benchmark *benchmark)
{
        const struct benchmark_broker *broker = &benchmark->broker;

        text_adds(out, "\"broker\":{");
        add_string(out, "address", busrt_client_get_address(benchmark->control));
        text_adds(out, ",");
        add_string(out, "author", broker->author);
        text_adds(out, ",");
        add_string(out, "version", broker->version);
        text_adds(out, ",");
        add_known(out, "pid", broker->pid > 0, (uint64_t)broker->pid);
        text_adds(out, ",");
        add_string(out, "pid_unknown", broker->why_not);
        text_adds(out, "}");
}

static void add_options(struct text *out, const struct benchmark_options *options)
{
        text_adds(out, "\"options\":{");
        add_uint(out, "workers", options->workers);
        text_adds(out, ",");
        add_uint(out, "iters", options->iters);
        text_adds(out, ",");
        add_uint(out, "payload", options->payload);
        text_adds(out, ",");
        add_uint(out, "window", options->window);
        text_addf(out, ",\"seconds\":%.6f}", (double)options->limit / 1e6);
}

static void add_latency(struct text *out, const struct histogram *histogram)
{
        static const struct {
                const char *key;
                double percent;
        } points[] = {{"p50_ns", 50}, {"p90_ns", 90}, {"p99_ns", 99}, {"p99_9_ns", 99.9}};
        bool first = true;

        text_addf(out, ",\"latency\":{\"count\":%llu,\"min_ns\":%llu,\"mean_ns\":%.1f",
                  (unsigned long long)histogram->count, (unsigned long long)histogram->min,
                  histogram_mean(histogram));
        for (size_t i = 0; i < ARRAY_SIZE(points); i++)
                text_addf(out, ",\"%s\":%llu", points[i].key,
                          (unsigned long long)histogram_percentile(histogram, points[i].percent));
        text_addf(out, ",\"max_ns\":%llu,\"buckets\":[", (unsigned long long)histogram->max);
        for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
                if (histogram->buckets[i] == 0)
                        continue;
                text_addf(out, "%s[%llu,%llu]", first ? "" : ",",
                          (unsigned long long)histogram_bucket_end(i),
                          (unsigned long long)histogram->buckets[i]);
                first = false;
        }
        text_adds(out, "]}");
}

static void add_memory(struct text *out, const struct outcome *outcome)
{
        bool known = outcome->memory_after > 0 && outcome->memory_before > 0;
        uint64_t grown = outcome->memory_after > outcome->memory_before
                                 ? outcome->memory_after - outcome->memory_before
                                 : 0;

        text_adds(out, ",\"memory\":{");
        add_known(out, "before", known, outcome->memory_before);
        text_adds(out, ",");
        add_known(out, "after", known, outcome->memory_after);
        text_adds(out, ",");
        add_known(out, "per_client", known, grown / outcome->done);
        text_adds(out, "}");
}

static void add_outcome(struct text *out, const struct outcome *outcome, bool has_clock)
{
        static const char *const ends[] = {"count", "time", "interrupt"};
        const struct stage *stage = outcome->stage;

        text_adds(out, "{");
        add_string(out, "name", stage->name);
        text_adds(out, ",");
        add_string(out, "unit", stage->unit);
        text_addf(out, ",\"workers\":%u,\"iters\":%llu,\"ended\":\"%s\",\"seconds\":%.9f",
                  outcome->workers, (unsigned long long)outcome->done, ends[outcome->end],
                  (double)outcome->nsec / 1e9);
        text_addf(out, ",\"payload\":%zu,\"many\":%llu", outcome->payload,
                  (unsigned long long)stage->many);
        if (stage->idle)
                text_adds(out, ",\"rate\":null,");
        else
                text_addf(out, ",\"rate\":%.3f,", outcome_rate(outcome));
        add_known(out, "broker_cpu_ns", has_clock, outcome->broker_cpu);
        if (has_clock)
                text_addf(out, ",\"broker_cpu_ns_each\":%.1f",
                          outcome_each(outcome, outcome->broker_cpu));
        else
                text_adds(out, ",\"broker_cpu_ns_each\":null");
        text_addf(out, ",\"own_cpu_ns\":%llu,\"own_cpu_ns_each\":%.1f",
                  (unsigned long long)outcome->own_cpu, outcome_each(outcome, outcome->own_cpu));
        if (stage->idle)
                add_memory(out, outcome);
        if (outcome->histogram)
                add_latency(out, outcome->histogram);
        else
                text_adds(out, ",\"latency\":null");
        text_adds(out, "}");
}

int benchmark_print_json(const struct benchmark *benchmark)
{
        _cleanup_(text_done) struct text out = {0};

        text_adds(&out, "{");
        add_string(&out, "busrtctl", BUSRT_VERSION_STRING);
        text_addf(&out, ",\"started\":%.3f,", (double)benchmark->started / 1e9);
        add_machine(&out);
        text_adds(&out, ",");
        add_broker(&out, benchmark);
        text_adds(&out, ",");
        add_options(&out, &benchmark->options);
        text_addf(&out, ",\"partial\":%s,", benchmark->partial ? "true" : "false");
        add_string(&out, "error", benchmark->failure);
        text_adds(&out, ",\"stages\":[");
        for (size_t i = 0; i < benchmark->n_outcomes; i++) {
                text_adds(&out, i > 0 ? "," : "");
                add_outcome(&out, &benchmark->outcomes[i], benchmark->broker.has_clock);
        }
        text_adds(&out, "]}\n");
        return print_text(&out);
}
