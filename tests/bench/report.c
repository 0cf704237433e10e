/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a measurement says: one JSON object on standard output. The broker's CPU is read from its
 * process clock, which counts every thread, user and system, in nanoseconds, also of threads that
 * have ended.
 */
#include "load.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

_Noreturn void fail(const char *format, ...)
{
        va_list args;

        fprintf(stderr, "%s: ", program_invocation_short_name);
        va_start(args, format);
        vfprintf(stderr, format, args);
        va_end(args);
        fputc('\n', stderr);
        exit(1);
}

void *xcalloc(size_t n, size_t size)
{
        void *p = calloc(n > 0 ? n : 1, size);

        if (!p)
                fail("out of memory");
        return p;
}

static uint64_t clock_read(clockid_t clock)
{
        struct timespec ts;

        if (clock_gettime(clock, &ts) < 0)
                return 0;
        return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

uint64_t now_nsec(void)
{
        return clock_read(CLOCK_MONOTONIC);
}

void probe_take(struct probe *p, const struct options *o)
{
        clockid_t clock;

        p->nsec = now_nsec();
        p->own_cpu_nsec = clock_read(CLOCK_PROCESS_CPUTIME_ID);
        p->broker_cpu_nsec = 0;
        if (o->broker_pid == 0)
                return;
        if (clock_getcpuclockid((pid_t)o->broker_pid, &clock) != 0)
                fail("no process %llu", (unsigned long long)o->broker_pid);
        p->broker_cpu_nsec = clock_read(clock);
}

void report_open(const struct options *o)
{
        printf("{\"mode\": \"%s\"", o->mode);
}

void report_text(const char *key, const char *value)
{
        printf(", \"%s\": \"%s\"", key, value);
}

void report_number(const char *key, uint64_t value)
{
        printf(", \"%s\": %llu", key, (unsigned long long)value);
}

void report_real(const char *key, double value)
{
        printf(", \"%s\": %.3f", key, value);
}

/* The value in KiB of a line of /proc/PID/status, 0 if there is none. */
static uint64_t status_kib(uint64_t pid, const char *key)
{
        char path[64], line[256];
        uint64_t value = 0;
        FILE *f;

        snprintf(path, sizeof(path), "/proc/%llu/status", (unsigned long long)pid);
        f = fopen(path, "re");
        if (!f)
                return 0;
        while (fgets(line, sizeof(line), f))
                if (strncmp(line, key, strlen(key)) == 0 && line[strlen(key)] == ':')
                        value = strtoull(line + strlen(key) + 1, NULL, 10);
        fclose(f);
        return value;
}

void report_cost(const struct options *o, const struct probe *from, const struct probe *to,
                 const char *unit, uint64_t units)
{
        double seconds = (double)(to->nsec - from->nsec) / (double)NSEC_PER_SEC;
        double each = units > 0 ? 1.0 / (double)units : 0;
        uint64_t broker = to->broker_cpu_nsec - from->broker_cpu_nsec;
        uint64_t own = to->own_cpu_nsec - from->own_cpu_nsec;

        report_text("unit", unit);
        report_number("units", units);
        printf(", \"seconds\": %.6f", seconds);
        report_real("rate", seconds > 0 ? (double)units / seconds : 0);
        report_number("client_cpu_ns", own);
        report_real("client_cpu_ns_per_unit", (double)own * each);
        if (o->broker_pid == 0)
                return;
        report_number("broker_cpu_ns", broker);
        report_real("broker_cpu_ns_per_unit", (double)broker * each);
        report_number("broker_rss_kib", status_kib(o->broker_pid, "VmRSS"));
        report_number("broker_hwm_kib", status_kib(o->broker_pid, "VmHWM"));
}

void report_close(void)
{
        printf("}\n");
        fflush(stdout);
}
