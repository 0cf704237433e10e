/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as the parameters of client.list, of a broker with a few clients, some of them with
 * names that make filters slow. There must be one answer, a list or an error with a text, and it
 * must not be expensive.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "basic/clock.h"
#include "basic/macro.h"
#include "basic/utf8.h"
#include "broker-rpc/broker-rpc.h"
#include "wire/handshake.h"
#include "wire/rpc.h"

#define CEILING (100 * NSEC_PER_MSEC * SANITIZER_COST) /* ten times what is promised */
#define CALL "\1\1\0\0\0client.list"                   /* with the 00 of the literal */

#define CHECK(condition)                                                                           \
        do {                                                                                       \
                if (!(condition)) {                                                                \
                        fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);            \
                        abort();                                                                   \
                }                                                                                  \
        } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct session {
        int unused;
};

/* A stand-in: a table of clients, and the answers that came. */
struct engine {
        struct engine_service service;
        struct session caller;
        struct engine_client_info clients[8];
        size_t n_clients;
        size_t n_replies;
};

void engine_set_service(struct engine *engine, const struct engine_service *service)
{
        engine->service = *service;
}

void engine_get_counters(struct engine *engine, struct engine_counters *ret)
{
        *ret = (struct engine_counters){0};
}

uint64_t engine_uptime(const struct engine *engine)
{
        return 0;
}

int engine_foreach_client(struct engine *engine,
                          int (*fn)(const struct engine_client_info *info, void *userdata),
                          void *userdata)
{
        int r = 0;

        for (size_t i = 0; i < engine->n_clients && r == 0; i++)
                r = fn(&engine->clients[i], userdata);
        return r;
}

void engine_reply(struct engine *engine, struct session *to, const void *head, size_t head_len,
                  const void *body, size_t body_len, bool realtime)
{
        struct rpc_message m;

        engine->n_replies++;
        CHECK(to == &engine->caller && rpc_decode(head, head_len, &m) && m.id == 1);
        if (m.kind == RPC_ERROR) {
                CHECK(m.code == RPC_CODE_PARSE && body_len > 0 && utf8_is_valid(body, body_len));
        } else {
                CHECK(m.kind == RPC_REPLY && body_len >= 10);
                CHECK(memcmp(body,
                             "\x81\xa7"
                             "clients",
                             9) == 0);
                CHECK((((const uint8_t *)body)[9] & 0x0f) <= engine->n_clients);
        }
}

/* For calls that are not made here. */
void engine_get_caller(const struct session *from, struct engine_client_info *ret)
{
        abort();
}

int engine_find_client(struct engine *engine, const char *name, size_t len,
                       struct engine_client_info *ret)
{
        abort();
}

int engine_get_client(struct engine *engine, uint64_t id, struct engine_client_info *ret)
{
        abort();
}

int engine_foreach_subscription(struct engine *engine, uint64_t id, bool exclusions,
                                int (*fn)(const char *mask, size_t len, void *userdata),
                                void *userdata)
{
        abort();
}

int engine_foreach_account(struct engine *engine,
                           int (*fn)(const struct engine_account_info *info, void *userdata),
                           void *userdata)
{
        abort();
}

int engine_foreach_secondary(struct engine *engine, uint64_t id,
                             int (*fn)(const char *name, size_t len, void *userdata),
                             void *userdata)
{
        abort();
}

int engine_disconnect(struct engine *engine, uint64_t id)
{
        abort();
}

void engine_reset_counters(struct engine *engine)
{
        abort();
}

int engine_reply_later(struct engine *engine, uint64_t id, const void *head, size_t head_len,
                       const void *body, size_t body_len, bool realtime)
{
        abort();
}

static void add_client(struct engine *engine, const char *piece)
{
        static char names[8][WIRE_NAME_MAX + 1];
        char *name = names[engine->n_clients];

        while (strlen(name) + strlen(piece) < WIRE_NAME_MAX)
                strcat(name, piece);
        engine->clients[engine->n_clients++] =
                (struct engine_client_info){.name = name, .primary = true, .instances = 1};
}

static struct engine *prepare(void)
{
        static struct engine engine;
        static struct broker_rpc *rpc;

        if (rpc)
                return &engine;
        CHECK(broker_rpc_new(&rpc) == 0);
        broker_rpc_attach(rpc, &engine);
        engine.clients[engine.n_clients++] = (struct engine_client_info){
                .name = "plc.1", .kind = TRANSPORT_UNIX, .primary = true, .instances = 1};
        engine.clients[engine.n_clients++] = (struct engine_client_info){
                .name = "é_2 x", .kind = TRANSPORT_TCP, .primary = true, .instances = 1};
        add_client(&engine, "a");
        add_client(&engine, "ab.");
        add_client(&engine, "é");
        add_client(&engine, " ");
        return &engine;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_free_ uint8_t *payload = malloc(sizeof(CALL) + size);
        struct engine *engine = prepare();
        uint64_t start;

        CHECK(payload);
        memcpy(payload, CALL, sizeof(CALL));
        if (size > 0)
                memcpy(payload + sizeof(CALL), data, size);
        engine->n_replies = 0;
        start = clock_nsec(CLOCK_THREAD_CPUTIME_ID);
        engine->service.message(engine, &engine->caller, payload, sizeof(CALL) + size, false,
                                engine->service.userdata);
        CHECK(clock_nsec(CLOCK_THREAD_CPUTIME_ID) - start < CEILING);
        CHECK(engine->n_replies == 1);
        return 0;
}
