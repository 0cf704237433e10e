/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MessagePack, one item at a time, read where it lies.
 *
 * The reader is our own: msgpack-c's allocates what a header claims (an array of 2^28 nils in five
 * bytes is 4 GiB) and stops at 32 levels. This one allocates nothing, and how deep is the caller's
 * to say.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum item_kind {
        ITEM_NIL,
        ITEM_FALSE,
        ITEM_TRUE,
        ITEM_UNSIGNED, /* value */
        ITEM_SIGNED,   /* value, in two's complement; it may be 0 or more */
        ITEM_FLOAT,    /* number; it was of 32 bits if value is 4 */
        ITEM_STR,      /* data, value bytes long; not checked for UTF-8 */
        ITEM_BIN,
        ITEM_EXT,   /* the same, and type */
        ITEM_ARRAY, /* value items follow */
        ITEM_MAP,   /* value pairs follow */
};

struct item {
        enum item_kind kind;
        int8_t type;
        uint64_t value;
        double number;
        const uint8_t *data;
};

/* What is still to be read. */
struct item_reader {
        const uint8_t *p, *end;
};

/* The next header, and the bytes of a text, bin or extension. Items of arrays and maps are not
 * read. 0, -ENODATA (it ends too early) or -EBADMSG (the byte c1, which begins nothing). */
int item_read(struct item_reader *r, struct item *ret);
/* How many items an array or a map holds; of all others 0. */
uint64_t item_count_inside(const struct item *item);
/* One whole value, with all that is inside, however deep. 0 or what item_read() says. */
int item_skip(struct item_reader *r);
