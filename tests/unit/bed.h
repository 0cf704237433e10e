/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A test bed: an engine on the test's own loop, and clients that are the other ends of socket
 * pairs. Nothing sleeps: bed_settle() runs passes until the engine has nothing left to do at once.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/engine.h"
#include "wire/frame.h"

struct bed {
        struct engine *engine;
        struct engine_config config;
};

struct peer {
        int fd;
        uint32_t next_op;
};

/* Defaults for one worker, with a timeout long enough never to matter. */
void bed_config(struct engine_config *config);
void bed_open(struct bed *bed, const struct engine_config *config);
/* Closes nothing of the peers'. Asserts that no memory is held once all peers are gone. */
void bed_close(struct bed *bed);
/* Passes until nothing is ready. Returns their number. */
unsigned bed_settle(struct bed *bed);
/* Passes, blocking in between, until done() says so; fails after ten seconds. */
void bed_until(struct bed *bed, bool (*done)(void *), void *userdata);
struct engine_counters bed_counters(struct bed *bed);
/* The next event of that type; fails if there is none. */
struct engine_event bed_event(struct bed *bed, enum engine_event_type type);

/* A raw connection of that user, or of that peer: the greeting is not answered yet. */
struct peer bed_connect(struct bed *bed, uid_t uid);
struct peer bed_connect_from(struct bed *bed, const struct transport_peer *who);
/* Asks for that name: the code of the answer. */
uint8_t bed_ask_name(struct bed *bed, struct peer *p, const char *name);
/* Through the handshake by that name; fails unless accepted. */
struct peer bed_join(struct bed *bed, const char *name);
struct peer bed_join_as(struct bed *bed, const char *name, uid_t uid);

void peer_write(const struct peer *p, const void *bytes, size_t len);
/* A frame with that flags byte; returns its op id. */
uint32_t peer_send(struct peer *p, uint8_t flags, const void *body, size_t len);
/* Sends one with acknowledgement; fails unless that comes with this code, and nothing else. */
void bed_acked(struct bed *bed, struct peer *p, uint8_t op, const void *body, size_t len,
               uint8_t result);
/* Reads what is there, at most size bytes, without blocking. -1: the end. */
ssize_t peer_read(const struct peer *p, void *buf, size_t size);
/* Fails unless exactly these bytes are there. */
void peer_expect(const struct peer *p, const void *bytes, size_t len);
void peer_expect_ack(const struct peer *p, uint32_t op, uint8_t result);
void peer_expect_end(const struct peer *p);
void peer_close(struct peer *p);

/* "body" with its NULs: peer_send(p, flags, LITERAL("topic\0payload")). */
#define LITERAL(text) (text), sizeof(text) - 1
