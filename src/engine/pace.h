/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slow receivers (docs/slow-receivers.md). A sender that meets a full queue is paused: its next
 * frames stay unread until there is room, or until the pause is so old that the policy strikes the
 * receiver. Pauses that a stranger causes are limited to a tenth of any second, by a ledger that
 * every session keeps.
 */
#pragma once

#include <bsd/sys/queue.h>
#include <stdbool.h>
#include <stdint.h>

struct engine_config;
struct session;
struct engine;

/* One sender waits for one receiver; both are linked, so either can go. */
struct wait {
        struct session *sender, *receiver;
        LIST_ENTRY(wait) of_sender, of_receiver;
};
LIST_HEAD(wait_list, wait);

#define PACE_LEDGER_SLOTS 10 /* tenths of a second */

struct pace {
        struct wait_list waits;
        uint64_t since;       /* when the pause began */
        uint64_t deadline;    /* when the policy strikes; NSEC_INFINITY: never */
        uint64_t total;       /* nanoseconds of all pauses that have ended */
        bool budgeted;        /* this pause counts in the ledger */
        bool kept;            /* a frame waits for this pause to end, at the front of the input */
        bool refuse;          /* that frame is refused: its receiver was struck */
        uint64_t ledger_slot; /* the tenth of a second that the newest slot stands for */
        uint32_t ledger[PACE_LEDGER_SLOTS + 1]; /* nanoseconds paused in each */
};

enum pace_verdict {
        PACE_PUT,    /* queue the frame */
        PACE_WAIT,   /* keep the frame; the sender is paused */
        PACE_REFUSE, /* drop the frame: 77 for a message */
};

/* May a message of `from` be queued for `to`? */
enum pace_verdict pace_message(struct session *from, struct session *to);
/* May one copy of a fan-out of `from` (NULL: `.broker`) be queued for `to`? Never PACE_WAIT: a full
 * receiver may take this one and pauses the sender afterwards. */
enum pace_verdict pace_fan_out(struct session *from, struct session *to);
/* Own acknowledgements and replies: is there room for another? Otherwise the session waits for
 * itself. */
bool pace_own_room(struct session *s);

/* After a queue has grown: is it full now? */
void pace_grown(struct session *to);
/* After a queue has shrunk: who waited for room goes on. */
void pace_shrunk(struct session *to);
/* The pause's deadline has passed. */
void pace_expired(struct session *from);
/* Both sides of all waits of a session that ends. */
void pace_forget(struct session *s);

/* Nanoseconds that this sender was paused so far, a pause under way included; and from now on. */
uint64_t pace_total(const struct session *s);
void pace_reset_total(struct session *s);
/* The limits have changed: who is full by the new ones, and how long may a pause still be? */
void pace_configured(struct session *s, const struct engine_config *before);

/* One frame to this receiver was lost. */
void pace_count_drop(struct session *to, uint64_t n);

/* For an imported session: it goes on waiting for that receiver, by the clocks that it brought
 * along. */
bool pace_link(struct session *from, struct session *to);
/* Frees the pool of wait objects. */
void pace_trim(struct engine *e);
/* So many at once, without taking memory. -ENOMEM. */
int pace_reserve(struct engine *e, size_t n);
