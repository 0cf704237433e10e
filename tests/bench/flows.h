/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The traffic of nats-load, whatever the protocol. A flow is what one client sends: numbered
 * messages, as many at a time as its bounds let it, where a bound is what a receiver has got so far
 * and how far ahead of that the flow may be. Replies are a flow that may never be ahead of the
 * requests that came. A payload begins with its flow's index (u32) and the message's number (u64).
 */
#pragma once

#include "codec.h"

#define PAYLOAD_MIN 12U

struct flow;

struct link {
        struct client client;
        const uint8_t *out; /* what the socket did not take yet */
        size_t out_left;
        bool armed; /* EPOLLOUT is asked for */
        bool in_barrier;
        bool pong_due;
        const struct flow *source; /* of what it receives, or NULL */
        uint8_t *expected; /* what each message begins with: the head, and the flow's index */
        size_t expected_size, message_size;
        uint64_t got;
        uint8_t *rest; /* of an unfinished message */
        size_t rest_size;
};

struct bound {
        const uint64_t *count;
        uint64_t ahead;
};

struct flow {
        struct link *sender;
        uint8_t *frames; /* a batch, prepared but for the numbers */
        size_t frame_size, number_at;
        struct bound *bounds;
        uint32_t n_bounds;
        bool answers; /* only as many as there were requests, also when the time is over */
        uint64_t next, limit;
};

struct traffic {
        const struct options *o;
        const struct codec *codec;
        struct link *links;
        struct flow *flows;
        uint32_t n_links, n_flows;
        uint8_t *buffer; /* every read goes through it */
        int epoll;
};

/* Connects the clients, with nothing to send or receive. */
void traffic_open(struct traffic *t, uint32_t links, uint32_t flows);
void traffic_close(struct traffic *t);
/* Lets link `from` send flow `i` along a path, and link `to` receive it. */
void flow_send(struct traffic *t, uint32_t i, uint32_t from, const struct path *p);
void flow_receive(struct traffic *t, uint32_t i, uint32_t to, const struct path *p);
void flow_bound(struct flow *flow, const uint64_t *count, uint64_t ahead);
/* Sends until the time or the count is over, then waits until everything has arrived. */
void traffic_run(struct traffic *t, double seconds, uint64_t count);
