/* SPDX-License-Identifier: Apache-2.0 */
/* BUS/RT for nats-load: nothing is acknowledged but subscriptions and the barrier. */
#include "codec.h"

#include <string.h>

/* Nobody has the empty name, and the acknowledgement of a message to nobody says so. */
static const uint8_t BARRIER[SEND_HEADER + 1] = {[4] = OP_MESSAGE | QOS_PROCESSED, [5] = 1};

static enum op op_of(const struct path *p)
{
        return p->route == ROUTE_TOPIC ? OP_PUBLISH : OP_MESSAGE;
}

static void busrt_receive(struct client *c, const struct path *p)
{
        uint8_t code = CODE_OK;

        if (p->route == ROUTE_TOPIC)
                code = client_request(c, OP_SUBSCRIBE, p->to, strlen(p->to));
        if (code != CODE_OK)
                fail("%s: subscribing failed with code 0x%02x", c->name, code);
}

static size_t busrt_sent_head(uint8_t head[HEAD_MAX], const struct path *p, size_t payload)
{
        size_t n = strlen(p->to) + 1;

        put32(head, 0);
        head[4] = (uint8_t)op_of(p);
        put32(head + 5, (uint32_t)(n + payload));
        memcpy(head + SEND_HEADER, p->to, n);
        return SEND_HEADER + n;
}

static size_t busrt_arriving_head(uint8_t head[HEAD_MAX], const struct path *p, size_t payload)
{
        size_t n = strlen(p->from) + 1, m = p->route == ROUTE_TOPIC ? strlen(p->to) + 1 : 0;

        head[0] = (uint8_t)op_of(p);
        put32(head + 1, (uint32_t)(n + m + payload));
        head[5] = 0;
        memcpy(head + RECV_HEADER, p->from, n);
        memcpy(head + RECV_HEADER + n, p->to, m);
        return RECV_HEADER + n + m;
}

static size_t busrt_other(const struct client *c, const uint8_t *data, size_t size, enum event *ret)
{
        static const char broker[] = ".broker";
        size_t n;

        if (size < RECV_HEADER)
                return 0;
        *ret = data[0] == KIND_PING ? EVENT_PING : EVENT_NOTHING;
        if (data[0] == KIND_ACK && data[5] != CODE_NOT_REGISTERED)
                fail("%s: acknowledged with code 0x%02x", c->name, data[5]);
        if (data[0] == KIND_ACK)
                *ret = EVENT_BARRIER;
        if (data[0] == KIND_ACK || data[0] == KIND_PING)
                return RECV_HEADER;
        n = RECV_HEADER + get32(data + 1);
        if (size < n)
                return 0;
        /* The broker itself publishes its warnings to everyone. */
        if (n < RECV_HEADER + sizeof(broker) ||
            memcmp(data + RECV_HEADER, broker, sizeof(broker)) != 0)
                fail("%s: a frame of %zu bytes that nobody sent", c->name, n);
        return n;
}

const struct codec CODEC_BUSRT = {
        .name = "busrt",
        .open = client_open,
        .receive = busrt_receive,
        .sent_head = busrt_sent_head,
        .arriving_head = busrt_arriving_head,
        .other = busrt_other,
        .tail = "",
        .barrier = BARRIER,
        .barrier_size = sizeof(BARRIER),
        .pong = PING_FRAME,
        .pong_size = sizeof(PING_FRAME),
};
