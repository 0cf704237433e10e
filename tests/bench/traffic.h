/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine of the throughput stages: senders that write batches of prepared frames, receivers
 * that check every frame. A payload begins with its sender's index (u32) and sequence number (u64).
 *
 * Frames in flight are bounded without a word on the wire: a receiver that has everything of one
 * granule (a part of the window) says so in the sender's memory, and the sender goes on when all of
 * them have. So no receiver is ever more than a window behind, and a broker with short queues
 * survives.
 */
#pragma once

#include "load.h"

#define PAYLOAD_MIN 12U
#define PAYLOAD_MAX (16U * 1024 * 1024)
#define WINDOW_GRANULES 8U

struct sender;
struct receiver;

/* One connection of the traffic: a sender, a receiver, or both. */
struct peer {
        struct client client;
        struct sender *sender;
        struct receiver *receiver;
        const uint8_t *out; /* what the socket did not take yet */
        size_t out_left;
        bool armed;    /* EPOLLOUT is asked for */
        uint8_t *tail; /* of an unfinished frame */
        size_t tail_size;
};

struct sender {
        struct peer *peer;
        uint8_t *frames; /* one for each slot; slot i holds sequence numbers that are i mod `slots`
                          */
        uint8_t *prefix; /* how these frames begin when they arrive, up to a topic or the payload */
        size_t prefix_size;
        size_t topic_size; /* of a publication, with its NUL: the same of all topics */
        uint8_t *barrier;  /* the acknowledged operation that ends a phase without receivers */
        size_t barrier_size;
        size_t frame_size;
        size_t payload_at;
        uint32_t slots;
        uint32_t batch;   /* most frames in a write */
        uint32_t depth;   /* 0: no acknowledgements */
        uint8_t ack_code; /* that is right */
        bool in_barrier;
        uint32_t receivers; /* 0: nobody gets these frames */
        uint32_t granule_shift;
        uint32_t behind[WINDOW_GRANULES]; /* receivers that have all of the granule */
        uint64_t granules;                /* that all receivers have */
        uint64_t next, limit; /* sequence numbers: of the next frame, and where this phase ends */
        uint64_t acked;
};

/* What a receiver expects of one sender. */
struct flow {
        uint64_t next; /* sequence number */
        uint64_t base; /* of the round through all topics that `next` is in */
        uint32_t at;   /* in the receiver's list */
        bool open;     /* anything at all */
};

struct receiver {
        struct flow *flows; /* by the sender's index */
        uint32_t *topics;   /* which topics it gets, ascending: those of sequence numbers */
        uint32_t n_topics;
        uint64_t delivered;
};

struct traffic {
        const struct options *o;
        struct peer *peers;
        struct sender *senders;
        struct receiver *receivers;
        uint32_t n_peers, n_senders, n_receivers;
        uint32_t n_topics; /* frame n of a sender is on topic n mod n_topics */
        size_t payload;
        size_t frame_max; /* no frame that arrives is longer */
        uint8_t *buffer;  /* small frames are read through it, large ones into the tail */
        int epoll;
        uint64_t idle_since; /* nanoseconds, 0 while anything comes */
};

struct totals {
        uint64_t sent, acked, delivered;
};

/* Takes a traffic whose tables are filled. */
void traffic_start(struct traffic *t);
/* Sends until the time or each sender's count is over, then waits until everything has arrived. */
void traffic_run(struct traffic *t, double seconds, uint64_t count);
struct totals traffic_totals(const struct traffic *t);

/* Whom the frames of a stage reach. */
enum reach {
        REACH_NOBODY,
        REACH_NEXT,
        REACH_ALL,
        REACH_HOT, /* and on: by topics.c */
        REACH_GROUPS,
        REACH_MASKS,
};

/* topics.c: what the stages with many topics need to know. The topic of frame n of a sender is that
 * of slot n modulo the count. */
#define TOPIC_MAX 48U
uint32_t topics_count(enum reach reach, const struct options *o);
uint32_t topics_receivers(enum reach reach, const struct options *o);
void topics_name(enum reach reach, uint32_t slot, char *ret);
/* The masks of a subscriber, joined by NUL. The caller frees them. */
char *topics_subscription(enum reach reach, const struct options *o, uint32_t subscriber,
                          size_t *ret_size);
/* The slots whose frames reach a subscriber, ascending. The caller frees them. */
uint32_t *topics_reaching(enum reach reach, const struct options *o, uint32_t subscriber,
                          uint32_t *ret_n);

/* stages.c: connects the clients and fills the tables as the stage of the options wants it. */
void stage_open(struct traffic *t, const struct options *o);
void stage_close(struct traffic *t);
/* What is counted in a stage: "message" (sent), "operation" (acknowledged) or "delivery". */
const char *stage_unit(const struct options *o);
void stage_list(void);
