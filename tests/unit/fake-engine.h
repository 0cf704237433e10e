/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stand-in for the engine, to call `.broker` without one: a table of clients, numbers, and the
 * last reply that was queued. The allocations that it makes itself are not counted.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "basic/clock.h"
#include "basic/macro.h"
#include "broker-rpc/broker-rpc.h"
#include "counted-malloc.h"
#include "wire/le.h"
#include "wire/rpc.h"

#define CALL_ID 0x04030201
#define BYTES(text) text, sizeof(text) - 1
/* Ten times what is promised for any filter. */
#define CEILING (100 * NSEC_PER_MSEC * SANITIZER_COST)

/* The masks of every client of the table, and the secondaries of each primary. */
#define FAKE_MASKS "plc/#", "a/+"
#define FAKE_EXCLUSION "plc/secret"
#define FAKE_SECONDARY "x%%0"

static const struct engine_account_info fake_accounts[] = {
        {.identity = "192.0.2.7", .uid = (uid_t)-1, .connections = {1, 100, 2}},
        {.identity = "user 0",
         .exempt = true,
         .connections = {2, ENGINE_NO_LIMIT, 0},
         .names = {3, ENGINE_NO_LIMIT, 0},
         .subscriptions = {4, ENGINE_NO_LIMIT, 0},
         .memory = {500, 4096, 6},
         .handshakes = {7, 8, 9},
         .rate = {0, 10, 11}},
};

struct session {
        struct engine_client_info info;
};

struct engine {
        struct engine_service service;
        struct engine_counters counters;
        uint64_t uptime;
        const struct engine_client_info *clients;
        size_t n_clients;
        struct session caller;
        size_t n_replies;
        uint8_t *reply; /* the last one, head and body */
        size_t reply_len;
        const void *body; /* where it was */
        uint32_t ids[16]; /* of the last calls that were answered, by n_replies */
        bool realtime;
        uint64_t disconnected; /* the last id */
        size_t n_disconnected, n_reset;
        bool without_memory; /* for requests to the worker */
};

void engine_set_service(struct engine *engine, const struct engine_service *service)
{
        engine->service = *service;
}

void engine_get_counters(struct engine *engine, struct engine_counters *ret)
{
        *ret = engine->counters;
}

uint64_t engine_uptime(const struct engine *engine)
{
        return engine->uptime;
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
        assert_ptr_equal(to, &engine->caller);
        engine->ids[engine->n_replies++ % ARRAY_SIZE(engine->ids)] =
                le32_get((const uint8_t *)head + 1);
        __real_free(engine->reply);
        engine->reply_len = head_len + body_len;
        engine->reply = __real_malloc(engine->reply_len);
        assert_non_null(engine->reply);
        memcpy(engine->reply, head, head_len);
        if (body_len > 0)
                memcpy(engine->reply + head_len, body, body_len);
        engine->body = body;
        engine->realtime = realtime;
}

void engine_get_caller(const struct session *from, struct engine_client_info *ret)
{
        *ret = from->info;
}

int engine_find_client(struct engine *engine, const char *name, size_t len,
                       struct engine_client_info *ret)
{
        for (size_t i = 0; i < engine->n_clients; i++)
                if (strlen(engine->clients[i].name) == len &&
                    memcmp(engine->clients[i].name, name, len) == 0) {
                        *ret = engine->clients[i];
                        return 0;
                }
        return -ENOENT;
}

int engine_get_client(struct engine *engine, uint64_t id, struct engine_client_info *ret)
{
        for (size_t i = 0; i < engine->n_clients; i++)
                if (engine->clients[i].id == id) {
                        *ret = engine->clients[i];
                        return 0;
                }
        return -ENOENT;
}

int engine_foreach_subscription(struct engine *engine, uint64_t id, bool exclusions,
                                int (*fn)(const char *mask, size_t len, void *userdata),
                                void *userdata)
{
        static const char *const masks[] = {FAKE_MASKS};
        int r = 0;

        if (exclusions)
                return fn(FAKE_EXCLUSION, strlen(FAKE_EXCLUSION), userdata);
        for (size_t i = 0; i < ARRAY_SIZE(masks) && r == 0; i++)
                r = fn(masks[i], strlen(masks[i]), userdata);
        return r;
}

int engine_foreach_account(struct engine *engine,
                           int (*fn)(const struct engine_account_info *info, void *userdata),
                           void *userdata)
{
        int r = 0;

        for (size_t i = 0; i < ARRAY_SIZE(fake_accounts) && r == 0; i++)
                r = fn(&fake_accounts[i], userdata);
        return r;
}

int engine_foreach_secondary(struct engine *engine, uint64_t id,
                             int (*fn)(const char *name, size_t len, void *userdata),
                             void *userdata)
{
        return fn(FAKE_SECONDARY, strlen(FAKE_SECONDARY), userdata);
}

int engine_disconnect(struct engine *engine, uint64_t id)
{
        if (engine->without_memory)
                return -ENOMEM;
        engine->disconnected = id;
        engine->n_disconnected++;
        return 0;
}

void engine_reset_counters(struct engine *engine)
{
        engine->n_reset++;
}

int engine_reply_later(struct engine *engine, uint64_t id, const void *head, size_t head_len,
                       const void *body, size_t body_len, bool realtime)
{
        if (engine->without_memory)
                return -ENOMEM;
        assert_int_equal(id, engine->caller.info.id);
        engine_reply(engine, &engine->caller, head, head_len, body, body_len, realtime);
        return 0;
}

static struct engine bus;
static struct broker_rpc *rpc;

static inline int set_up(void **state)
{
        memset(&bus, 0, sizeof(bus));
        memory_fail_in(0);
        if (broker_rpc_new(&rpc) < 0)
                return -1;
        broker_rpc_attach(rpc, &bus);
        return 0;
}

static inline int tear_down(void **state)
{
        __real_free(bus.reply);
        rpc = broker_rpc_free(rpc);
        return rpc || memory.n_live != 0 ? -1 : 0;
}

/* In a block of just its size, so that a sanitizer sees a read beyond it. */
static inline void deliver(const void *payload, size_t len, bool realtime)
{
        uint8_t *copy = __real_malloc(len ? len : 1);

        assert_non_null(copy);
        memcpy(copy, payload, len);
        bus.service.message(&bus, &bus.caller, copy, len, realtime, bus.service.userdata);
        __real_free(copy);
}

static inline void call_id(uint32_t id, const void *method, size_t method_len, const void *params,
                           size_t len)
{
        uint8_t *payload = __real_malloc(6 + method_len + len);
        size_t n;

        assert_non_null(payload);
        n = rpc_request_encode(payload, id, method, method_len);
        if (len > 0)
                memcpy(payload + n, params, len);
        deliver(payload, n + len, false);
        __real_free(payload);
}

static inline void call(const char *method, const void *params, size_t len)
{
        size_t before = bus.n_replies;

        call_id(CALL_ID, method, strlen(method), params, len);
        assert_int_equal(bus.n_replies, before + 1);
}

static inline void expect_result(const void *result, size_t len)
{
        assert_int_equal(bus.reply_len, RPC_REPLY_HEADER_SIZE + len);
        assert_memory_equal(bus.reply, "\x11\1\2\3\4", RPC_REPLY_HEADER_SIZE);
        assert_memory_equal(bus.reply + RPC_REPLY_HEADER_SIZE, result, len);
}

static inline bool is_error(int code)
{
        struct rpc_message m;

        return rpc_decode(bus.reply, bus.reply_len, &m) && m.kind == RPC_ERROR && m.id == CALL_ID &&
               m.code == code;
}

static inline bool error_says(const char *text)
{
        return memmem(bus.reply + RPC_ERROR_HEADER_SIZE, bus.reply_len - RPC_ERROR_HEADER_SIZE,
                      text, strlen(text)) != NULL;
}

static inline void expect_error(int code, bool with_text)
{
        assert_true(is_error(code));
        assert_int_equal(bus.reply_len > RPC_ERROR_HEADER_SIZE, with_text);
}

static inline void show(const struct engine_client_info *clients, size_t n)
{
        bus.clients = clients;
        bus.n_clients = n;
}

/* Clients in no order: 7919 is coprime to any n used. The caller frees them. */
static inline struct engine_client_info *many_clients(size_t n, char (*names)[64])
{
        struct engine_client_info *clients = test_calloc(n, sizeof(*clients));

        for (size_t i = 0; i < n; i++) {
                snprintf(names[i], sizeof(names[i]), "c.%07zu.plant.line.%zu", i * 7919 % n, i % 7);
                clients[i] = (struct engine_client_info){.name = names[i],
                                                         .kind = TRANSPORT_UNIX,
                                                         .listener = "/run/busrt/bus.sock",
                                                         .primary = true,
                                                         .instances = 1,
                                                         .r_frames = i,
                                                         .w_bytes = i * 1000};
        }
        return clients;
}

static inline uint64_t cpu_time(void)
{
        return clock_nsec(CLOCK_THREAD_CPUTIME_ID);
}

/* Each allocation of a call fails in turn: the answer is then an internal error, and nothing is
 * left behind. */
static inline void fail_in_turn(const char *method, const void *params, size_t len)
{
        size_t held = memory.n_live, n = 0;

        do {
                memory_fail_in(++n);
                call(method, params, len);
                assert_int_equal(memory.n_live, held);
                if (memory.failed)
                        expect_error(RPC_CODE_INTERNAL, true);
        } while (memory.failed);
        memory_fail_in(0);
        assert_int_equal(bus.reply[0], RPC_REPLY);
        assert_true(n > 1);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
