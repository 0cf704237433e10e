/* SPDX-License-Identifier: Apache-2.0 */
/* The defaults, and how much memory there is to share out. */
#include <stdio.h>
#include <sys/sysinfo.h>

#include "basic/clock.h"
#include "basic/macro.h"
#include "engine/internal.h"

#define CGROUP_ROOT "/sys/fs/cgroup"
#define CGROUP_PATH_MAX 4096

/* The number in that file; SIZE_MAX where there is none ("max"). */
static size_t read_limit(const char *path)
{
        FILE *f = fopen(path, "re");
        unsigned long long max;
        int n = 0;

        if (f) {
                n = fscanf(f, "%llu", &max);
                fclose(f);
        }
        return n == 1 ? max : SIZE_MAX;
}

/* Our group below the root, "/system.slice/busrtd.service"; "" where that is not known. */
static void find_cgroup(char out[CGROUP_PATH_MAX])
{
        FILE *f = fopen("/proc/self/cgroup", "re");
        char line[CGROUP_PATH_MAX + 3]; /* "0::" */

        out[0] = 0;
        while (f && fgets(line, sizeof(line), f))
                if (strncmp(line, "0::/", 4) == 0) {
                        line[strcspn(line, "\n")] = 0;
                        memcpy(out, line + 3, strlen(line + 3) + 1);
                }
        if (f)
                fclose(f);
}

/* The least memory limit of our cgroup and of those above it, up to the root, which has one in a
 * container. */
static size_t cgroup_memory_max(void)
{
        char group[CGROUP_PATH_MAX], path[sizeof(CGROUP_ROOT) + CGROUP_PATH_MAX + 16];
        size_t max = read_limit(CGROUP_ROOT "/memory/memory.limit_in_bytes"); /* of version 1 */
        char *end;

        find_cgroup(group);
        for (;;) {
                (void)snprintf(path, sizeof(path), CGROUP_ROOT "%s/memory.max", group);
                max = MIN(max, read_limit(path));
                end = strrchr(group, '/');
                if (!end)
                        return max;
                *end = 0;
        }
}

static size_t memory_of_machine(void)
{
        struct sysinfo info;

        if (sysinfo(&info) < 0)
                return (size_t)1 << 30;
        return MIN((size_t)info.totalram * info.mem_unit, cgroup_memory_max());
}

_Static_assert(ENGINE_EXEMPT_MAX == ACCOUNT_EXEMPT_MAX, "the same array");

void engine_config_limits(const struct engine_config *c, struct account_limits *ret)
{
        *ret = (struct account_limits){
                .max = {[QUOTA_CONNECTIONS] = c->max_connections_per_user,
                        [QUOTA_HANDSHAKES] = c->max_handshakes_per_user,
                        [QUOTA_RATE] = c->connection_rate_per_user,
                        [QUOTA_NAMES] = c->max_names_per_user,
                        [QUOTA_SUBSCRIPTIONS] = c->max_subscriptions_per_user,
                        [QUOTA_MEMORY] = c->queue_memory_max_per_user ? c->queue_memory_max_per_user
                                                                      : c->queue_memory_max / 2},
                .burst = c->connection_burst_per_user,
                .max_held = c->queue_memory_max,
                .n_exempt = MIN(c->n_exempt, (size_t)ENGINE_EXEMPT_MAX),
        };
        memcpy(ret->exempt, c->exempt, sizeof(ret->exempt));
}

void engine_config_init(struct engine_config *config)
{
        *config = (struct engine_config){
                .n_workers = BUSRT_DEFAULT_WORKERS,
                .timeout = 5 * NSEC_PER_SEC,
                .busy_poll = 0,
                .slow_pace = 100 * NSEC_PER_MSEC,
                .slow_policy = SLOW_DISCONNECT,
                .queue_frames = 8192,
                .queue_bytes = 16 << 20,
                .max_frame_size = 64 << 20,
                .max_topic_parts = 128,
                .max_topic_length = 4096,
                .queue_memory_max = memory_of_machine() / 4,
                .force_register = FORCE_REGISTER_NO,
                .max_connections_per_user = 16000,
                .max_handshakes_per_user = 8192,
                .max_names_per_user = 16000,
                .max_subscriptions_per_user = 100000,
                .connection_rate_per_user = 2000,
                .connection_burst_per_user = 16000,
                .real_time_reserve = 16 << 20,
        };
}
