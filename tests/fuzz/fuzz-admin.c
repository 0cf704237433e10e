/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as the parameters of an administrator's calls, of a real broker with two clients and
 * one more that calls. The first byte picks the method, and whether the caller may. There must be
 * one answer: of the right kind for who asks, and an error only with a text.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/socket.h>

#include "basic/clock.h"
#include "basic/macro.h"
#include "basic/utf8.h"
#include "broker-rpc/broker-rpc.h"
#include "wire/frame.h"
#include "wire/rpc.h"

#define CHECK(condition)                                                                           \
        do {                                                                                       \
                if (!(condition)) {                                                                \
                        fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);            \
                        abort();                                                                   \
                }                                                                                  \
        } while (0)

#define LITERAL(text) (text), sizeof(text) - 1
#define SIZE_MAX_OF_INPUT 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const methods[] = {"client.get", "client.disconnect", "log.level",
                                      "reload",     "config.get",        "status",
                                      "stats.reset"};

static struct engine *engine;
static struct broker_rpc *rpc;

/* --- The host --- */

static void on_about(struct broker_rpc_about *ret, void *userdata)
{
        *ret = (struct broker_rpc_about){.log_level = "info"};
}

static int on_reload(char *error, size_t size, void *userdata)
{
        (void)snprintf(error, size, "busrtd.conf:1: no");
        return -EINVAL;
}

static int on_set_log_level(const char *level, void *userdata)
{
        CHECK(utf8_is_valid(level, strlen(level)) && level[0]);
        return strcmp(level, "info") == 0 ? 0 : -EINVAL;
}

static int on_foreach_setting(int (*fn)(const struct broker_rpc_setting *setting, void *userdata),
                              void *fn_userdata, bool limits, void *userdata)
{
        return 0;
}

static int on_foreach_listener(int (*fn)(enum transport_kind kind, const char *address,
                                         bool inherited, void *userdata),
                               void *fn_userdata, void *userdata)
{
        return 0;
}

static void on_denied(const struct broker_rpc_deed *deed, const char *why, void *userdata)
{
        CHECK(strcmp(deed->sender, "stranger") == 0 && deed->uid != 0 && deed->what[0]);
}

static void on_granted(const struct broker_rpc_deed *deed, void *userdata)
{
        CHECK(strcmp(deed->sender, "root") == 0 && deed->uid == 0 && deed->what[0]);
}

static void on_missed(void *userdata)
{
        abort();
}

static const struct broker_rpc_host host = {
        .about = on_about,
        .reload = on_reload,
        .set_log_level = on_set_log_level,
        .foreach_setting = on_foreach_setting,
        .foreach_listener = on_foreach_listener,
        .denied = on_denied,
        .granted = on_granted,
        .missed = on_missed,
};

/* --- The bus --- */

static void settle(void)
{
        do {
                broker_rpc_process(rpc);
                CHECK(engine_process(engine) == 0);
        } while (engine_timeout(engine) == 0);
}

static void put(int fd, const void *bytes, size_t len)
{
        const uint8_t *p = bytes;

        while (len > 0) {
                ssize_t n = send(fd, p, len, MSG_NOSIGNAL | MSG_DONTWAIT);

                CHECK(n > 0 || errno == EAGAIN);
                p += n > 0 ? n : 0;
                len -= n > 0 ? (size_t)n : 0;
                settle();
        }
}

static int join(const char *name, uid_t uid)
{
        struct transport_peer who = {.kind = TRANSPORT_UNIX, .uid = uid, .gid = uid};
        uint8_t hello[64] = {0xeb, 1, 0, (uint8_t)strlen(name)};
        char answers[8];
        int fds[2];

        CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
        CHECK(engine_adopt(engine, fds[0], &who, "/fuzz.sock") == 0);
        settle();
        memcpy(hello + 5, name, strlen(name));
        put(fds[1], hello, 5 + strlen(name));
        CHECK(recv(fds[1], answers, sizeof(answers), MSG_DONTWAIT) == 5 && answers[4] == WIRE_OK);
        return fds[1];
}

/* The answer, and nothing else than pings behind it. */
static size_t receive(int fd, uint8_t *out, size_t size)
{
        size_t n = 0;
        ssize_t got;

        settle();
        while ((got = recv(fd, out + n, size - n, MSG_DONTWAIT)) > 0) {
                n += (size_t)got;
                settle();
        }
        return n;
}

static void check_answer(const uint8_t *answer, size_t len, bool may)
{
        struct rpc_message m;

        CHECK(len > WIRE_DELIVERY_HEADER_SIZE + 8);
        CHECK(wire_delivery_size(answer) == len);
        CHECK(rpc_decode(answer + WIRE_DELIVERY_HEADER_SIZE + 8,
                         len - WIRE_DELIVERY_HEADER_SIZE - 8, &m));
        CHECK(m.id == 7 && (m.kind == RPC_ERROR || (m.kind == RPC_REPLY && may)));
        if (m.kind == RPC_ERROR)
                CHECK(utf8_is_valid(m.data, m.data_len));
        if (m.kind == RPC_ERROR && !may)
                CHECK(m.code == RPC_CODE_BUS(WIRE_ACCESS) || m.code == RPC_CODE_INVALID_PARAMS);
}

static void call(int fd, const char *method, const uint8_t *params, size_t len)
{
        _cleanup_free_ uint8_t *frame = malloc(WIRE_REQUEST_HEADER_SIZE + 64 + len);
        size_t n = 8;

        CHECK(frame);
        memcpy(frame, "\0\0\0\0\x12\0\0\0\0.broker\0", WIRE_REQUEST_HEADER_SIZE + 8);
        n += rpc_request_encode(frame + WIRE_REQUEST_HEADER_SIZE + n, 7, method, strlen(method));
        if (len > 0)
                memcpy(frame + WIRE_REQUEST_HEADER_SIZE + n, params, len);
        le32_put(frame + 5, (uint32_t)(n + len));
        put(fd, frame, WIRE_REQUEST_HEADER_SIZE + n + len);
}

static void open_bus(void)
{
        struct engine_config config;

        engine_config_init(&config);
        config.n_workers = 1;
        config.timeout = 3600 * NSEC_PER_SEC;
        CHECK(engine_new(&config, &engine) == 0 && broker_rpc_new(&rpc) == 0);
        broker_rpc_attach(rpc, engine);
        broker_rpc_set_host(rpc, &host);
}

static void close_bus(void)
{
        engine = engine_free(engine);
        rpc = broker_rpc_free(rpc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static uint8_t answer[1 << 20];
        int a, b, caller;
        bool may;

        if (size < 1 || size > SIZE_MAX_OF_INPUT)
                return 0;
        may = data[0] & 0x80;
        open_bus();
        a = join("plc.1", 1000);
        put(a, LITERAL("\0\0\0\0\x02\x07\0\0\0a/#\0b/+"));
        b = join("plc.1%%0", 1000);
        caller = join(may ? "root" : "stranger", may ? 0 : 4242);
        call(caller, methods[(data[0] & 0x7f) % ARRAY_SIZE(methods)], data + 1, size - 1);
        check_answer(answer, receive(caller, answer, sizeof(answer)), may);
        close(caller);
        close(b);
        close(a);
        settle();
        close_bus();
        return 0;
}
