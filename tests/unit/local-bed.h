/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients in the engine's process, for tests on the bed: a local is one's end of its session. What
 * it writes is handled before the write returns, without a pass of the engine.
 */
#pragma once

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "basic/clock.h"
#include "basic/macro.h"
#include "bed.h"
#include "wire/handshake.h"

#define PROCESSED 0x40
#define REALTIME 0x80

struct local {
        struct engine_local *end;
        uint32_t next_op;
};

static inline void local_config(struct engine_config *config)
{
        bed_config(config);
        config->local_clients = true;
}

static inline void local_bed_open(struct bed *bed)
{
        struct engine_config config;

        local_config(&config);
        bed_open(bed, &config);
}

static inline struct local local_connect(struct bed *bed)
{
        struct local l = {0};

        assert_int_equal(engine_local_new(bed->engine, NULL, &l.end), 0);
        return l;
}

/* The program is told to try again: of room, of bytes, of the end. */
static inline bool local_is_told(const struct local *l)
{
        struct pollfd p = {.fd = engine_local_fd(l->end), .events = POLLIN};

        return poll(&p, 1, 0) > 0;
}

static inline ssize_t local_write(struct local *l, const void *bytes, size_t len)
{
        return engine_local_write(l->end, &(struct iovec){(void *)bytes, len}, 1);
}

/* Reads what is there, at most size bytes. -1: the end. After less than that it will be told. */
static inline ssize_t local_read(struct local *l, void *buf, size_t size)
{
        size_t n = 0;

        while (n < size) {
                ssize_t r = engine_local_read(l->end, (uint8_t *)buf + n, size - n);

                if (r == -EAGAIN)
                        return (ssize_t)n;
                assert_true(r >= 0);
                if (r == 0)
                        return n ? (ssize_t)n : -1;
                n += (size_t)r;
        }
        return (ssize_t)n;
}

static inline void local_expect(struct local *l, const void *bytes, size_t len)
{
        uint8_t got[4096];
        ssize_t n = local_read(l, got, sizeof(got));

        assert_int_equal(n, len);
        if (len)
                assert_memory_equal(got, bytes, len);
}

static inline void local_expect_ack(struct local *l, uint32_t op, uint8_t result)
{
        uint8_t ack[WIRE_DELIVERY_HEADER_SIZE], id[4];

        le32_put(id, op);
        wire_ack_encode(ack, id, result);
        local_expect(l, ack, sizeof(ack));
}

static inline void local_expect_end(struct local *l)
{
        uint8_t byte;

        assert_int_equal(local_read(l, &byte, 1), -1);
        assert_int_equal(local_write(l, "\0\0\0\0\0\0\0\0\0", 9), -EPIPE);
        assert_true(local_is_told(l));
}

/* What it is told when the engine stops: everything that was queued for it, then the warning. */
static inline void local_expect_stop(struct local *l, const void *bytes, size_t len)
{
        static const char warning[] = "\x01\x2c\0\0\0\0.broker\0.broker/warn\0\x82\xa1s\xa8"
                                      "shutdown\xa1t";
        uint8_t got[4096];

        assert_int_equal(local_read(l, got, sizeof(got)), len + 50);
        if (len)
                assert_memory_equal(got, bytes, len);
        assert_memory_equal(got + len, warning, sizeof(warning) - 1);
        local_expect_end(l);
}

static inline void local_close(struct local *l)
{
        l->end = engine_local_free(l->end);
}

/* The code of the answer to that name. */
static inline uint8_t local_ask(struct local *l, const char *name, size_t len)
{
        uint8_t answer[5], hello[2 + WIRE_NAME_MAX];

        le16_put(hello, (uint16_t)len);
        memcpy(hello + 2, name, len);
        assert_int_equal(local_write(l, wire_greeting, WIRE_GREETING_SIZE), WIRE_GREETING_SIZE);
        assert_int_equal(local_write(l, hello, 2 + len), 2 + len);
        assert_int_equal(local_read(l, answer, sizeof(answer)), sizeof(answer));
        assert_memory_equal(answer, "\xeb\x01\x00\x01", 4);
        return answer[4];
}

static inline struct local local_join(struct bed *bed, const char *name)
{
        struct local l = local_connect(bed);

        assert_int_equal(local_ask(&l, name, strlen(name)), WIRE_OK);
        return l;
}

/* A frame's bytes. Returns how many. */
static inline size_t frame_make(uint8_t *to, uint32_t op, uint8_t flags, const void *body,
                                size_t len)
{
        le32_put(to, op);
        to[4] = flags;
        le32_put(to + 5, (uint32_t)len);
        if (len)
                memcpy(to + WIRE_REQUEST_HEADER_SIZE, body, len);
        return WIRE_REQUEST_HEADER_SIZE + len;
}

/* A small frame, in one piece: what the write gives, the frame's length where it was taken. */
static inline ssize_t local_try(struct local *l, uint8_t flags, const void *body, size_t len)
{
        uint8_t frame[4096];

        assert_true(len < sizeof(frame) - WIRE_REQUEST_HEADER_SIZE);
        return local_write(l, frame, frame_make(frame, ++l->next_op, flags, body, len));
}

/* Returns its op id. */
static inline uint32_t local_send(struct local *l, uint8_t flags, const void *body, size_t len)
{
        assert_int_equal(local_try(l, flags, body, len), WIRE_REQUEST_HEADER_SIZE + len);
        return l->next_op;
}

static inline void local_acked(struct local *l, uint8_t op, const void *body, size_t len,
                               uint8_t result)
{
        uint32_t id = local_send(l, op | PROCESSED, body, len);

        local_expect_ack(l, id, result);
}
