/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The load client: what its parts share. Options, connections (client.c), the probe that watches
 * the broker and the JSON writer (report.c), and one entry for each mode. It stands on libc alone
 * and has wire code of its own, so that a fault in the broker's codecs cannot hide behind the same
 * fault here. busrt-floor (floor.c) shares that wire code.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define NSEC_PER_SEC UINT64_C(1000000000)

/* Client to broker: u32 id, u8 flags, u32 body length. Broker to client: u8 kind, u32 length or id,
 * u8. */
#define SEND_HEADER 9U
#define RECV_HEADER 6U

enum op {
        OP_PUBLISH = 0x01,
        OP_SUBSCRIBE = 0x02,
        OP_MESSAGE = 0x12,
        OP_BROADCAST = 0x13,
};

enum qos {
        QOS_PROCESSED = 0x40,
        QOS_REALTIME = 0x80,
};

enum kind {
        KIND_PING = 0x00,
        KIND_ACK = 0xFE,
};

enum code {
        CODE_OK = 0x01,
        CODE_NOT_REGISTERED = 0x71,
};

struct options {
        const char *mode;
        const char *address;
        const char *stage;
        uint64_t clients;    /* sending clients; in idle mode, idle ones */
        uint64_t receivers;  /* of the fan-out stages, groups and masks */
        uint64_t payload;    /* bytes, at least PAYLOAD_MIN */
        uint64_t window;     /* frames in flight for each receiver, a power of two */
        uint64_t batch;      /* most frames in a write */
        uint64_t depth;      /* operations of a client that wait for their acknowledgement */
        uint64_t count;      /* operations of each client, 0 = as many as the time allows */
        uint64_t topics;     /* subscribed in total in the topics stage, or groups */
        uint64_t idle;       /* idle clients beside the traffic */
        uint64_t cpu;        /* to run on, UINT64_MAX = any */
        uint64_t interval;   /* microseconds from an arrival to the next send (latency) */
        uint64_t broker_pid; /* whose CPU and memory are measured, 0 = nobody's */
        double seconds;
        double warmup;
        bool realtime;
        bool block; /* wait in poll() (latency) */
        bool poll;  /* never wait (throughput) */
        bool raw;   /* what is sent is what arrives: a relay is at the other end */
        bool mute;  /* do not answer pings (idle) */
};

struct client {
        int fd;
        char name[48];
};

/* report.c */
struct probe {
        uint64_t nsec;
        uint64_t broker_cpu_nsec;
        uint64_t own_cpu_nsec;
};

_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
void *xcalloc(size_t n, size_t size);
uint64_t now_nsec(void);
void probe_take(struct probe *p, const struct options *o);
void report_open(const struct options *o);
void report_text(const char *key, const char *value);
void report_number(const char *key, uint64_t value);
void report_real(const char *key, double value);
/* Seconds, CPU of both sides, and what both cost for each of `units`; then the broker's memory. */
void report_cost(const struct options *o, const struct probe *from, const struct probe *to,
                 const char *unit, uint64_t units);
void report_close(void);

/* client.c */
static inline uint32_t get32(const uint8_t *p)
{
        return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t get64(const uint8_t *p)
{
        return (uint64_t)get32(p) | (uint64_t)get32(p + 4) << 32;
}

static inline void put32(uint8_t *p, uint32_t v)
{
        p[0] = (uint8_t)v;
        p[1] = (uint8_t)(v >> 8);
        p[2] = (uint8_t)(v >> 16);
        p[3] = (uint8_t)(v >> 24);
}

static inline void put64(uint8_t *p, uint64_t v)
{
        put32(p, (uint32_t)v);
        put32(p + 4, (uint32_t)(v >> 32));
}

extern const uint8_t PING_FRAME[SEND_HEADER];

/* Connects, without a word; `name` is what messages for people call it. */
void client_connect(struct client *c, const char *address, const char *name);
/* Connects and registers `name`. Blocking; any refusal ends the program with its reason. */
void client_open(struct client *c, const char *address, const char *name);
void client_close(struct client *c);
void client_write(struct client *c, const void *data, size_t size);
void client_read(struct client *c, void *data, size_t size);
/* Sends one operation with QoS processed, waits for its acknowledgement and returns the result
 * code. */
uint8_t client_request(struct client *c, enum op op, const void *body, size_t size);
/* A frame, its payload left zero. Returns its length; with frame == NULL only counts. */
size_t frame_write(uint8_t *frame, uint8_t flags, const char *target, size_t payload);

/* One entry for each mode. */
int mode_throughput(const struct options *o);
int mode_latency(const struct options *o);
int mode_idle(const struct options *o);
int mode_connect(const struct options *o);

/* idle.c: n clients that only answer pings. */
struct crowd;
struct crowd *crowd_new(const struct options *o, uint64_t n);
/* Lets a thread of its own serve them, beside other traffic. */
void crowd_start(struct crowd *crowd);
struct crowd *crowd_free(struct crowd *crowd);
