/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first bytes of a connection (docs/protocol.md, 1): the broker greets with three bytes, the
 * client answers with the same three, is told "ok", sends its name with a two-byte length, and is
 * told "ok" or one error code.
 */
#pragma once

#include <stdint.h>

#define WIRE_GREETING_MAGIC 0xeb
#define WIRE_PROTOCOL_VERSION 1
#define WIRE_GREETING_SIZE 3
#define WIRE_NAME_MAX 1024 /* bytes of a client's name */

static const uint8_t wire_greeting[WIRE_GREETING_SIZE] = {WIRE_GREETING_MAGIC,
                                                          WIRE_PROTOCOL_VERSION, 0};

/* The separator between the name of a primary client and what makes one of its secondaries. */
#define WIRE_SECONDARY_SEPARATOR "%%"
