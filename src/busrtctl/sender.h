/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sends payloads to one place. Acknowledgements are taken while sending goes on: up to
 * SENDER_WINDOW of them are awaited at a time. The client is corked; each wait ends with -EINTR
 * when interrupted().
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <busrt/client.h>

#define SENDER_WINDOW 1024

enum sender_verb { SENDER_SEND, SENDER_BROADCAST, SENDER_PUBLISH };

/* Set verb, client, target, receiver, qos and timeout; the rest starts zeroed. */
struct sender {
        enum sender_verb verb;
        busrt_client *client;
        const char *target;
        const char *receiver; /* publish: only for this one, or NULL */
        unsigned qos;
        uint64_t timeout; /* microseconds, of each wait */

        busrt_op *ops[SENDER_WINDOW]; /* a ring */
        size_t first, n_ops;
};

/* ack: in any case; without, as qos says. 0 or -errno: of this one, or of one before. */
int sender_send(struct sender *sender, const char *payload, size_t len, int ack);
/* Takes what has been acknowledged; with wait, waits for all. 0 or -errno. */
int sender_collect(struct sender *sender, int wait);
/* Waits until all is written. 0 or -errno. */
int sender_flush(struct sender *sender);
void sender_done(struct sender *sender);
