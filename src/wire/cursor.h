/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What calls of cursors carry (docs/protocol.md, 10), in MessagePack: the map {u: id, n: count} of
 * replies and params, and the array of a bulk.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/item.h"

#define CURSOR_ID_SIZE 16     /* a UUID */
#define CURSOR_PAYLOAD_MAX 32 /* bytes of the map, as it is written here */
#define CURSOR_ARRAY_HEAD_MAX 5

struct cursor_payload {
        uint8_t id[CURSOR_ID_SIZE];
        uint64_t count; /* 1 where none is given */
};

/* Reads the map, whose other keys mean nothing, or the array [id] or [id, count]. What is behind it
 * is not looked at. -EBADMSG. */
int cursor_payload_decode(const uint8_t *data, size_t len, struct cursor_payload *ret);
/* Writes the map, with n where it is given; returns its length. */
size_t cursor_payload_encode(uint8_t out[CURSOR_PAYLOAD_MAX], const uint8_t id[CURSOR_ID_SIZE],
                             const uint32_t *count);

/* The head of an array of so many; returns its length. */
size_t cursor_array_head_encode(uint8_t out[CURSOR_ARRAY_HEAD_MAX], uint32_t count);
/* A whole array and nothing else: a reader of its values, and their number. -EBADMSG. */
int cursor_array_decode(const uint8_t *data, size_t len, struct item_reader *ret,
                        uint64_t *ret_count);
/* These bytes are one value. */
bool cursor_is_value(const uint8_t *data, size_t len);
