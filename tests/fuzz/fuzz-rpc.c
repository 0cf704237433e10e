/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as the payload of a message, and as the body of a client's frame. What is decoded must
 * lie within them, and what is made of its parts again must be the same bytes.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "basic/macro.h"
#include "wire/frame.h"
#include "wire/rpc.h"

#define CHECK(condition)                                                                           \
        do {                                                                                       \
                if (!(condition)) {                                                                \
                        fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);            \
                        abort();                                                                   \
                }                                                                                  \
        } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Writes the header of that message again; returns its length. */
static size_t encode(const struct rpc_message *m, uint8_t *out)
{
        switch (m->kind) {
        case RPC_NOTIFICATION:
                out[0] = RPC_NOTIFICATION;
                return 1;
        case RPC_REQUEST:
                return rpc_request_encode(out, m->id, m->method, m->method_len);
        case RPC_REPLY:
                rpc_reply_encode(out, m->id);
                return RPC_REPLY_HEADER_SIZE;
        case RPC_ERROR:
                rpc_error_encode(out, m->id, m->code);
                return RPC_ERROR_HEADER_SIZE;
        }
        abort();
}

static void check_rpc(const uint8_t *data, size_t size)
{
        _cleanup_free_ uint8_t *again = malloc(size + 8);
        struct rpc_message m;

        CHECK(again);
        if (!rpc_decode(data, size, &m)) {
                CHECK(size < 7 || data[0] == RPC_REQUEST ||
                      (data[0] != RPC_NOTIFICATION && data[0] != RPC_REPLY &&
                       data[0] != RPC_ERROR));
                CHECK(size < 6 || data[0] != RPC_REQUEST || !memchr(data + 5, 0, size - 5));
                return;
        }
        CHECK(m.data >= data && m.data + m.data_len == data + size);
        CHECK(encode(&m, again) == (size_t)(m.data - data));
        CHECK(memcmp(again, data, (size_t)(m.data - data)) == 0);
        if (m.kind == RPC_REQUEST)
                CHECK(!m.method_len || !memchr(m.method, 0, m.method_len));
}

static void check_body(uint8_t op, const uint8_t *data, size_t size)
{
        size_t n_zeros = 0, wanted = op == WIRE_OP_PUBLISH_FOR ? 2 : 1;
        struct wire_body b;

        for (size_t i = 0; i < size; i++)
                n_zeros += data[i] == 0;
        CHECK(wire_body_split(op, data, size, &b) == (n_zeros >= wanted));
        if (n_zeros < wanted)
                return;
        CHECK(b.target == (const char *)data && b.payload <= size && data[b.target_len] == 0);
        CHECK(data[b.payload - 1] == 0);
        CHECK(b.target_len + wanted + b.receiver_len == b.payload);
        CHECK(!b.target_len || !memchr(b.target, 0, b.target_len));
        CHECK(!b.receiver_len || !memchr(b.receiver, 0, b.receiver_len));
}

static void check_topics(const uint8_t *data, size_t size)
{
        size_t pos = 0, used = 0, len;
        const char *topic;

        while (wire_topics_next(data, size, &pos, &topic, &len)) {
                CHECK(topic == (const char *)data + used && used + len <= size);
                CHECK(!len || !memchr(topic, 0, len));
                CHECK(used + len == size || data[used + len] == 0);
                used += len + 1;
        }
        CHECK(used == size + 1);
}

static void check_header(const uint8_t *data, size_t size)
{
        struct wire_request r;

        if (size < WIRE_REQUEST_HEADER_SIZE)
                return;
        wire_request_decode(data, &r);
        CHECK((r.op | r.qos << 6) == data[4] && memcmp(r.op_id, data, 4) == 0);
        CHECK(r.length == (data[4] ? le32_get(data + 5) : 0));
        CHECK(wire_delivery_size(data) >= WIRE_DELIVERY_HEADER_SIZE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        check_rpc(data, size);
        check_header(data, size);
        check_topics(data, size);
        check_body(WIRE_OP_MESSAGE, data, size);
        check_body(WIRE_OP_PUBLISH_FOR, data, size);
        return 0;
}
