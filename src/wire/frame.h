/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames after the handshake (docs/protocol.md, 2 and 3).
 *
 * A client's frame is a header of nine bytes and a body; the broker's is a header of six and a
 * body. Decoders look at bytes that are whole already and point into them; they copy nothing.
 * Encoders write into room that the caller has measured.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/le.h"

enum wire_op {
        WIRE_OP_NOP = 0x00,
        WIRE_OP_PUBLISH = 0x01,
        WIRE_OP_SUBSCRIBE = 0x02,
        WIRE_OP_UNSUBSCRIBE = 0x03,
        WIRE_OP_EXCLUDE = 0x04,
        WIRE_OP_UNEXCLUDE = 0x05,
        WIRE_OP_PUBLISH_FOR = 0x06,
        WIRE_OP_MESSAGE = 0x12,
        WIRE_OP_BROADCAST = 0x13,
};

enum wire_kind {
        WIRE_KIND_PING = 0x00,
        WIRE_KIND_PUBLICATION = 0x01,
        WIRE_KIND_MESSAGE = 0x12,
        WIRE_KIND_BROADCAST = 0x13,
        WIRE_KIND_ACK = 0xfe,
};

enum wire_result {
        WIRE_OK = 0x01,
        WIRE_NOT_REGISTERED = 0x71,
        WIRE_DATA = 0x72,
        WIRE_IO = 0x73,
        WIRE_OTHER = 0x74,
        WIRE_NOT_SUPPORTED = 0x75,
        WIRE_BUSY = 0x76,
        WIRE_NOT_DELIVERED = 0x77,
        WIRE_TIMEOUT = 0x78,
        WIRE_ACCESS = 0x79,
};

static inline bool wire_result_is_known(uint8_t code)
{
        return code == WIRE_OK || (code >= WIRE_NOT_REGISTERED && code <= WIRE_ACCESS);
}

#define WIRE_REQUEST_HEADER_SIZE 9
#define WIRE_DELIVERY_HEADER_SIZE 6 /* also the whole of a ping and of an acknowledgement */

#define WIRE_QOS_PROCESSED 1
#define WIRE_QOS_REALTIME 2

/* What a client's nine bytes say. */
struct wire_request {
        uint8_t op_id[4]; /* opaque, echoed in the acknowledgement */
        uint8_t op;
        uint8_t qos;
        uint32_t length; /* of the body that follows; 0 for a ping whatever its bytes say */
};

static inline void wire_request_decode(const uint8_t header[WIRE_REQUEST_HEADER_SIZE],
                                       struct wire_request *ret)
{
        uint8_t flags = header[4];

        memcpy(ret->op_id, header, sizeof(ret->op_id));
        ret->op = flags & 0x3f;
        ret->qos = flags >> 6;
        ret->length = flags == 0 ? 0 : le32_get(header + 5);
}

/* Operation 0 with QoS bits is no ping: its body is read and ignored (docs/protocol.md, 2). */
static inline bool wire_request_is_ping(const struct wire_request *r)
{
        return r->op == WIRE_OP_NOP && r->qos == 0;
}

static inline bool wire_op_is_known(uint8_t op)
{
        return op <= WIRE_OP_PUBLISH_FOR || op == WIRE_OP_MESSAGE || op == WIRE_OP_BROADCAST;
}

/* The parts of a body that names something before its payload. */
struct wire_body {
        const char *target; /* topic, receiver's name or mask; not NUL-terminated */
        size_t target_len;
        const char *receiver; /* publish-for only: the primary name that it is for */
        size_t receiver_len;
        size_t payload; /* offset of the payload in the body */
};

/* Splits the body of publish, publish-for, message or broadcast (and of operation 0). False: a 00
 * is missing. */
bool wire_body_split(uint8_t op, const uint8_t *body, size_t len, struct wire_body *ret);

/* Steps through a list of topics joined by 00: an empty body is one empty topic. Start with *pos =
 * 0; false after the last. */
bool wire_topics_next(const uint8_t *body, size_t len, size_t *pos, const char **ret_topic,
                      size_t *ret_len);

static inline void wire_delivery_encode(uint8_t out[WIRE_DELIVERY_HEADER_SIZE], uint8_t kind,
                                        uint32_t length, bool realtime)
{
        out[0] = kind;
        le32_put(out + 1, length);
        out[5] = realtime;
}

static inline void wire_ack_encode(uint8_t out[WIRE_DELIVERY_HEADER_SIZE], const uint8_t op_id[4],
                                   uint8_t result)
{
        out[0] = WIRE_KIND_ACK;
        memcpy(out + 1, op_id, 4);
        out[5] = result;
}

/* The whole length of a frame of the broker's that starts at p (six bytes must be there). */
static inline size_t wire_delivery_size(const uint8_t *p)
{
        if (p[0] == WIRE_KIND_ACK || p[0] == WIRE_KIND_PING)
                return WIRE_DELIVERY_HEADER_SIZE;
        return WIRE_DELIVERY_HEADER_SIZE + (size_t)le32_get(p + 1);
}
