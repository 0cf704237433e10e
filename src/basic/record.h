/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of bytes: numbers in little-endian and byte strings with their length, written one behind
 * the other and read back through a cursor that never leaves its bounds. Both sides remember the
 * first failure, so a caller may put or get many fields and look once.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct record_writer {
        uint8_t *data; /* the owner frees it */
        size_t len, allocated;
        bool failed; /* out of memory */
};

void record_put(struct record_writer *w, const void *bytes, size_t len);
void record_put_number(struct record_writer *w, uint64_t n);
/* Length and bytes. */
void record_put_string(struct record_writer *w, const void *bytes, size_t len);

struct record_reader {
        const uint8_t *at, *end;
        bool failed; /* cut short */
};

uint64_t record_get_number(struct record_reader *r);
/* NULL and 0 once failed; the bytes stay the record's. */
const uint8_t *record_get_string(struct record_reader *r, size_t *ret_len);
