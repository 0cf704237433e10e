/* SPDX-License-Identifier: Apache-2.0 */
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>

#include "basic/clock.h"
#include "basic/macro.h"
#include "busrtd/cpus.h"
#include "busrtd/real-time.h"
#include "busrtd/text.h"

#define STACK_SIZE (256 << 10) /* of every thread: all of it is locked */
#define HEAP_STEP (1 << 20)
#define PATIENCE NSEC_PER_SEC

/* --- Memory --- */

/* One heap: others would each reserve, and have locked, 64 MiB. It grows, and is never given back;
 * no piece is mapped by itself, to be unmapped when it is freed. */
void real_time_prepare(void)
{
        pthread_attr_t attributes;

        (void)mallopt(M_ARENA_MAX, 1);
        (void)mallopt(M_MMAP_MAX, 0);
        (void)mallopt(M_TRIM_THRESHOLD, -1);
        (void)mallopt(M_TOP_PAD, HEAP_STEP);
        if (pthread_attr_init(&attributes) != 0)
                return;
        (void)pthread_attr_setstacksize(&attributes, STACK_SIZE);
        (void)pthread_setattr_default_np(&attributes);
        pthread_attr_destroy(&attributes);
}

/* The stack of the main thread grows as it is used: to here before it is locked. */
static void touch_stack(void)
{
        volatile char stack[STACK_SIZE / 2];

        for (size_t i = 0; i < sizeof(stack); i += 1024)
                stack[i] = 0;
}

/* A line of /proc/self/status, "VmLck:      24 kB", in bytes. */
static size_t own_memory(const char *what)
{
        FILE *f = fopen("/proc/self/status", "re");
        size_t kib = 0, len = strlen(what);
        char line[256];

        while (f && fgets(line, sizeof(line), f))
                if (strncmp(line, what, len) == 0 && line[len] == ':')
                        (void)sscanf(line + len + 1, "%zu", &kib);
        if (f)
                fclose(f);
        return kib << 10;
}

int real_time_lock(struct real_time *rt)
{
        touch_stack();
        if (mlockall(MCL_CURRENT | MCL_FUTURE) < 0)
                return -errno;
        rt->locked = own_memory("VmLck");
        return 0;
}

void real_time_needed(size_t *ret_bytes, rlim_t *ret_limit)
{
        struct rlimit limit;

        *ret_bytes = own_memory("VmSize");
        *ret_limit = getrlimit(RLIMIT_MEMLOCK, &limit) < 0 ? RLIM_INFINITY : limit.rlim_cur;
}

/* --- Scheduling --- */

static bool is_real_time(int policy)
{
        return policy == SCHED_FIFO || policy == SCHED_RR;
}

const char *real_time_policy_name(int policy)
{
        static const char *const names[] = {[SCHED_OTHER] = "SCHED_OTHER",
                                            [SCHED_FIFO] = "SCHED_FIFO",
                                            [SCHED_RR] = "SCHED_RR",
                                            [SCHED_BATCH] = "SCHED_BATCH",
                                            [SCHED_IDLE] = "SCHED_IDLE"};

        return policy >= 0 && (size_t)policy < ARRAY_SIZE(names) && names[policy]
                       ? names[policy]
                       : "another policy";
}

/* Of the calling thread. */
static int own_policy(void)
{
        int policy = sched_getscheduler(0);

        return policy < 0 ? SCHED_OTHER : policy & ~SCHED_RESET_ON_FORK;
}

int real_time_step_down(void)
{
        static const struct sched_param none = {0};

        if (!is_real_time(own_policy()))
                return 0;
        return sched_setscheduler(0, SCHED_OTHER, &none) < 0 ? -errno : 0;
}

static void look_at_this_thread(struct engine *engine, void *userdata)
{
        struct real_time *rt = userdata;
        struct sched_param param = {0};

        (void)sched_getparam(0, &param);
        rt->policy = own_policy();
        rt->priority = param.sched_priority;
        CPU_ZERO(&rt->cpus);
        (void)sched_getaffinity(0, sizeof(rt->cpus), &rt->cpus);
}

void real_time_look(struct real_time *rt, struct engine *engine)
{
        struct real_time now = *rt;

        if (engine_inspect(engine, look_at_this_thread, &now, PATIENCE) == 0)
                *rt = now;
}

void real_time_start(struct real_time *rt, struct engine *engine, size_t n_workers)
{
        rt->n_workers = n_workers;
        look_at_this_thread(NULL, rt);
        rt->others_too = real_time_step_down() < 0;
        real_time_look(rt, engine);
}

/* --- Busy polling --- */

static int find_busy_poll(const struct option_setting *s, void *userdata)
{
        struct option_setting *found = userdata;

        if (strcmp(s->key, "BusyPollUSec") != 0)
                return 0;
        *found = *s;
        found->value = NULL; /* not for longer than this */
        return 1;
}

int real_time_check(const struct real_time *rt, const struct options *o,
                    char error[OPTIONS_ERROR_MAX], struct config_place *where)
{
        struct option_setting setting = {.file = ""};
        char file[192], place[224] = "", cpus[128], poll[TEXT_NUMBER_MAX];
        cpu_set_t shared;

        cpus_shared(&shared);
        if (o->engine.busy_poll == 0 || !real_time_is_scheduled(rt) ||
            cpus_are_own(&rt->cpus, &shared, rt->n_workers + rt->others_too))
                return 0;
        (void)options_foreach_setting(o, find_busy_poll, &setting);
        if (setting.line) {
                (void)snprintf(place, sizeof(place),
                               "%s:%u: ", text_visible(setting.file, file, sizeof(file)),
                               setting.line);
                (void)snprintf(where->file, sizeof(where->file), "%s", setting.file);
                where->line = setting.line;
        }
        (void)snprintf(
                error, OPTIONS_ERROR_MAX,
                "%s%s %s: under %s each of %zu worker%s needs a CPU of its own for that, and "
                "CPU %s is shared: set CPUAffinity= to %zu that nothing else uses",
                place, setting.line ? "BusyPollUSec=" : "--busy-poll",
                text_duration(o->engine.busy_poll, poll), real_time_policy_name(rt->policy),
                rt->n_workers, rt->n_workers > 1 ? "s" : "",
                cpus_format(&rt->cpus, cpus, sizeof(cpus)), rt->n_workers + rt->others_too);
        return -EINVAL;
}
