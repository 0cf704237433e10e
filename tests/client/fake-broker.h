/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A broker that does what a test's script says. The script is a function in a thread of its own; it
 * sends and expects bytes, whole frames, or the handshake, and the broker can be made to die at any
 * byte of it: fake_die_at() counts what is sent and received, and at that byte ends the script and
 * the connection. So a test runs one script once for every byte that it has.
 *
 * Nothing here calls malloc() while a script runs, so that a test can count the client's calls.
 * What a script finds wrong is kept until fake_stop(), which fails the test.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fake;

/* How it dies. */
enum fake_end {
        FAKE_CLOSE,    /* close(2) of its socket */
        FAKE_SHUTDOWN, /* the end of what it sends; it reads no more, but the socket stays */
        FAKE_RESET, /* RST on TCP; on a UNIX socket, closed with bytes unread where there are any */
        FAKE_HANG,  /* it neither reads nor writes any more */
};

enum fake_net {
        FAKE_UNIX,
        FAKE_TCP,
        FAKE_PAIR, /* connected from the start: fake_take_fd() */
};

typedef void (*fake_script)(struct fake *fake, void *userdata);

/* Starts it. The script is for the first connection; at its end the broker reads and throws away
 * what comes. */
struct fake *fake_start(enum fake_net net, fake_script script, void *userdata);
/* The same, dying at that byte of the connection: 0 at once. */
struct fake *fake_start_dying(enum fake_net net, fake_script script, void *userdata, size_t at,
                              enum fake_end how);
/* Ends the script wherever it is, and frees. Fails if something was wrong. Returns NULL. */
struct fake *fake_stop(struct fake *fake);
const char *fake_address(const struct fake *fake);
/* The client's end of a pair: the caller's. */
int fake_take_fd(struct fake *fake);

/* Meetings between the test and the script. Each fake_wait() takes one fake_signal(), each
 * fake_pause() one fake_go(). */
void fake_wait(struct fake *fake);
void fake_go(struct fake *fake);
bool fake_has_signalled(struct fake *fake);
/* Bytes sent and received when the script ended. */
size_t fake_await_end(struct fake *fake);

/* --- For scripts --- */

void fake_signal(struct fake *fake);
void fake_pause(struct fake *fake);

void fake_send(struct fake *fake, const void *bytes, size_t len);
/* Reads so many bytes, and compares them. */
void fake_expect(struct fake *fake, const void *bytes, size_t len);
bool fake_has_input(struct fake *fake);
/* Says once why the client is wrong, and ends the script. */
_Noreturn void fake_wrong(struct fake *fake, const char *why);
_Noreturn void fake_die(struct fake *fake, enum fake_end how);
/* Closes the connection, and the script goes on; or takes the next one too. */
void fake_hang_up(struct fake *fake);
void fake_next(struct fake *fake);
/* From now on, when the client goes, the script starts over with the next connection. */
void fake_persist(struct fake *fake);

/* Greeting, name, ok. The name is not looked at. */
void fake_handshake(struct fake *fake);

/* A frame of the client's; body lives until the next one. */
struct fake_frame {
        uint32_t op;
        uint8_t flags;
        uint32_t length;
        const uint8_t *body;
};
/* The next that is not a ping. */
struct fake_frame fake_frame(struct fake *fake);
/* The next, which must have these flags and this body. Returns its op id. */
uint32_t fake_expect_frame(struct fake *fake, uint8_t flags, const void *body, size_t len);
void fake_ack(struct fake *fake, uint32_t op, uint8_t code);
/* Only the six bytes of a header. */
void fake_header(struct fake *fake, uint8_t kind, uint32_t length, uint8_t last);
/* body: sender, 00, …, payload. */
void fake_deliver(struct fake *fake, uint8_t kind, const void *body, size_t len);
/* The id of the call that this frame of the client's is. */
uint32_t fake_call_id(struct fake *fake, const struct fake_frame *call);
/* A reply (kind 11) or error reply (12, its code the first two bytes) by that sender. */
void fake_reply(struct fake *fake, const char *sender, uint8_t kind, uint32_t id, const void *data,
                size_t len);
/* A request to the client; id 0 wants no reply. */
void fake_request(struct fake *fake, const char *sender, uint32_t id, const char *method);
/* Takes a call to "you", acknowledges it, and replies so. */
void fake_serve_call(struct fake *fake, const void *result, size_t len);
/* Acknowledges what wants to be, and gives calls their params back, for ever. */
_Noreturn void fake_echo_all(struct fake *fake);
/* Acknowledges what wants to be, for ever. */
_Noreturn void fake_acknowledge_all(struct fake *fake);

#define LITERAL(text) (text), sizeof(text) - 1
