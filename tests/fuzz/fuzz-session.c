/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client that sends any bytes, from its greeting on. The first byte says whether the handshake is
 * made for it, and into what portions the rest is cut. Whatever it sends, a bystander's message to
 * itself still arrives, and in the end nothing is held (the engine asserts that).
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "basic/clock.h"
#include "engine/engine.h"

#define CHECK(condition)                                                                           \
        do {                                                                                       \
                if (!(condition)) {                                                                \
                        fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);            \
                        abort();                                                                   \
                }                                                                                  \
        } while (0)

#define LITERAL(text) (text), sizeof(text) - 1

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void settle(struct engine *e)
{
        do
                CHECK(engine_process(e) == 0);
        while (engine_timeout(e) == 0);
}

static int connect_client(struct engine *e, uid_t uid)
{
        struct transport_peer who = {.kind = TRANSPORT_UNIX, .uid = uid};
        int fds[2];

        CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
        CHECK(engine_adopt(e, fds[0], &who, "/fuzz.sock") == 0);
        settle(e);
        return fds[1];
}

static void put(struct engine *e, int fd, const void *bytes, size_t len)
{
        (void)!send(fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        settle(e);
}

static void drain(int fd)
{
        uint8_t buf[65536];

        while (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) > 0)
                continue;
}

static void bystander_works(struct engine *e, int fd)
{
        static const char want[] = "\x12\x06\0\0\0\0good\0!";
        char got[64];

        drain(fd);
        put(e, fd, LITERAL("\1\0\0\0\x12\6\0\0\0good\0!"));
        CHECK(recv(fd, got, sizeof(got), MSG_DONTWAIT) == sizeof(want) - 1);
        CHECK(memcmp(got, want, sizeof(want) - 1) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct engine_config config;
        struct engine *e;
        int good, bad;
        size_t portion;

        if (size < 1)
                return 0;
        engine_config_init(&config);
        config.n_workers = 1;
        config.timeout = 3600 * NSEC_PER_SEC;
        config.queue_frames = 16;
        config.queue_memory_max = 4 << 20;
        CHECK(engine_new(&config, &e) == 0);
        good = connect_client(e, 1);
        put(e, good, LITERAL("\xeb\1\0\4\0good"));
        bad = connect_client(e, 2);
        if (data[0] & 1)
                put(e, bad, LITERAL("\xeb\1\0\3\0bad"));
        portion = 1 + (size_t)(data[0] >> 1) * 4;
        for (size_t at = 1; at < size; at += portion)
                put(e, bad, data + at, size - at < portion ? size - at : portion);
        bystander_works(e, good);
        close(bad);
        settle(e);
        bystander_works(e, good);
        close(good);
        settle(e);
        engine_free(e);
        return 0;
}
