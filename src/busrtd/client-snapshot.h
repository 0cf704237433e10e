/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the engine knows about clients, copied: the worker is held up while the copy is made, and
 * not while somebody sorts it or sends it away. `.broker` is never in it. Names and masks are
 * as text_suit_dbus() leaves them.
 */
#pragma once

#include "engine/engine.h"

/* What hangs on a client: its masks, its secondaries. */
enum client_text_kind {
        CLIENT_TEXT_MASK,
        CLIENT_TEXT_EXCLUSION,
        CLIENT_TEXT_SECONDARY,
};

struct client_text {
        size_t client; /* which of the clients */
        enum client_text_kind kind;
        const char *text;
};

struct client_snapshot {
        struct engine_client_info *clients; /* their strings are the snapshot's */
        size_t n_clients, n_clients_allocated;
        struct client_text *texts; /* sorted by client, kind and text */
        size_t n_texts, n_texts_allocated;
        struct client_snapshot_chunk *chunks; /* where the strings are */
        size_t n_bytes;
};

/* Besides the clients themselves. */
#define CLIENT_SNAPSHOT_MASKS (1U << 0)
#define CLIENT_SNAPSHOT_SECONDARIES (1U << 1)

/* All, sorted by name where no texts are wanted. Times are nanoseconds. -ETIMEDOUT: the worker
 * did not come to it. -E2BIG: more than one reply may hold. -ENOMEM. On success
 * client_snapshot_done(). */
int client_snapshot_take_all(struct engine *engine, unsigned wanted, uint64_t timeout,
                             struct client_snapshot *ret);
/* One; besides, -ENOENT: nobody is registered so. */
int client_snapshot_take_name(struct engine *engine, const char *name, unsigned wanted,
                              uint64_t timeout, struct client_snapshot *ret);
int client_snapshot_take_id(struct engine *engine, uint64_t id, unsigned wanted, uint64_t timeout,
                            struct client_snapshot *ret);
void client_snapshot_done(struct client_snapshot *s);

/* The name of a secondary's primary, "" where it is one itself. */
const char *client_primary_name(const struct engine_client_info *info, char *out, size_t size);
