/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the traffic of nats-load has to know of a protocol, so that one client drives two. A message
 * is a head, a payload and a tail. Head and tail of one sender's messages are always the same, on
 * the way to the broker and from it: they are prepared, compared, and never parsed.
 */
#pragma once

#include "load.h"

#define NAME_SIZE 48U
#define HEAD_MAX 256U

enum route {
        ROUTE_TOPIC,   /* to all who subscribed to the topic `to` */
        ROUTE_REQUEST, /* to the client `to`, which can see whom to answer */
        ROUTE_REPLY,   /* back to the client `to` */
};

struct path {
        enum route route;
        char from[NAME_SIZE], to[NAME_SIZE];
};

/* What something is that is no message. */
enum event {
        EVENT_NOTHING,
        EVENT_PING,
        EVENT_BARRIER, /* the broker has handled all that was sent before the barrier */
};

struct codec {
        const char *name;
        void (*open)(struct client *c, const char *address, const char *name);
        /* Lets `c` receive what is sent along the path, and returns when it is so. */
        void (*receive)(struct client *c, const struct path *p);
        /* A head as it is sent, and as it arrives. Returns its length. */
        size_t (*sent_head)(uint8_t head[HEAD_MAX], const struct path *p, size_t payload);
        size_t (*arriving_head)(uint8_t head[HEAD_MAX], const struct path *p, size_t payload);
        /* What begins at `data`, and its length: 0 if it is not all there. Ends the program when it
         * is a message, or a complaint. */
        size_t (*other)(const struct client *c, const uint8_t *data, size_t size, enum event *ret);
        const char *tail;
        const uint8_t *barrier, *pong;
        size_t barrier_size, pong_size;
};

extern const struct codec CODEC_BUSRT;
extern const struct codec CODEC_NATS;
