/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which process the broker is, so that its CPU time and memory can be told. The kernel says who
 * listens on a UNIX socket; where that is the service manager, which hands its sockets on, busrtd
 * tells its own number to its own user and to root.
 */
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "basic/macro.h"
#include "busrtctl/benchmark.h"
#include "busrtctl/reply.h"

static int read_line(pid_t pid, const char *file, const char *key, char *ret, size_t size)
{
        char path[64], line[256];
        FILE *stream;
        int r = -ENOENT;

        (void)snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
        stream = fopen(path, "re");
        if (!stream)
                return -errno;
        while (r < 0 && fgets(line, sizeof(line), stream))
                if (strncmp(line, key, strlen(key)) == 0) {
                        (void)snprintf(ret, size, "%s", line + strlen(key));
                        ret[strcspn(ret, "\n")] = '\0';
                        r = 0;
                }
        (void)fclose(stream);
        return r;
}

static int get_listener(const char *path, struct ucred *ret)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        socklen_t len = sizeof(*ret);

        if (strlen(path) >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        (void)strcpy(address.sun_path, path);
        if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
            getsockopt(fd, SOL_SOCKET, SO_PEERCRED, ret, &len) < 0)
                return -errno;
        return 0;
}

/* busrtd's own answer. 0: it has none. */
static pid_t ask_for_pid(busrt_client *control)
{
        _cleanup_(msgpack_unpacked_destroy) msgpack_unpacked status;
        _cleanup_(busrt_frame_unrefp) busrt_frame *reply = NULL;
        uint64_t pid = 0;

        msgpack_unpacked_init(&status);
        if (call_quietly(control, ".broker", "status", NULL, 0, NULL, &reply) < 0 ||
            unpack_reply(reply, &status) < 0 || busrt_map_get_uint(&status.data, "pid", &pid) < 0 ||
            pid > INT32_MAX)
                return 0;
        return (pid_t)pid;
}

static void find_pid(struct benchmark_broker *broker, busrt_client *control)
{
        const char *address = busrt_client_get_address(control);
        struct ucred peer = {0};
        char name[32] = "";

        broker->why_not = "only of a broker on a UNIX socket";
        if (!address_is_path(address))
                return;
        broker->why_not = "the kernel does not tell who listens on the socket";
        if (get_listener(address, &peer) < 0 || peer.pid <= 0)
                return;
        (void)read_line(peer.pid, "comm", "", name, sizeof(name));
        if (peer.pid == 1 || strcmp(name, "systemd") == 0) {
                broker->why_not = "the socket is the service manager's, and only root and the "
                                  "broker's own user may ask busrtd";
                /* Anybody else who asked would be refused, and on record. */
                peer.pid = geteuid() == 0 || geteuid() == peer.uid ? ask_for_pid(control) : 0;
        }
        if (peer.pid <= 0)
                return;
        broker->pid = peer.pid;
        broker->why_not = NULL;
}

static char *copy_text(const msgpack_object *map, const char *key)
{
        const char *value;
        size_t len;

        return busrt_map_get_string(map, key, &value, &len) < 0 ? NULL : strndup(value, len);
}

void benchmark_broker_find(struct benchmark_broker *broker, busrt_client *control)
{
        _cleanup_(msgpack_unpacked_destroy) msgpack_unpacked info;
        _cleanup_(busrt_frame_unrefp) busrt_frame *reply = NULL;
        struct timespec time;

        msgpack_unpacked_init(&info);
        if (call_quietly(control, ".broker", "info", NULL, 0, NULL, &reply) >= 0 &&
            unpack_reply(reply, &info) >= 0) {
                broker->author = copy_text(&info.data, "author");
                broker->version = copy_text(&info.data, "version");
        }
        find_pid(broker, control);
        broker->has_clock = broker->pid > 0 &&
                            clock_getcpuclockid(broker->pid, &broker->clock) == 0 &&
                            clock_gettime(broker->clock, &time) == 0;
}

void benchmark_broker_done(struct benchmark_broker *broker)
{
        free(broker->author);
        free(broker->version);
        *broker = (struct benchmark_broker){0};
}

uint64_t benchmark_broker_cpu(const struct benchmark_broker *broker)
{
        struct timespec time;

        /* It may have ended meanwhile. */
        if (!broker->has_clock || clock_gettime(broker->clock, &time) < 0)
                return 0;
        return (uint64_t)time.tv_sec * NSEC_PER_SEC + (uint64_t)time.tv_nsec;
}

uint64_t benchmark_broker_memory(const struct benchmark_broker *broker)
{
        char kib[64];

        if (broker->pid <= 0 || read_line(broker->pid, "status", "VmRSS:", kib, sizeof(kib)) < 0)
                return 0;
        return strtoull(kib, NULL, 10) * 1024;
}
