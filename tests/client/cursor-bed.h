/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of cursors share: a program that counts, as the source of items. */
#pragma once

#include <stdatomic.h>

#include <busrt/cursor.h>

#include "client-bed.h"

static const busrt_cursor_methods cursor_methods = {"N", "NB", "NC"};

/* Gives the numbers 0 … total - 1, each as a MessagePack integer of five bytes. */
struct counter {
        uint32_t total, at;
        uint32_t per_call;  /* puts so many each time; 0: as many as are wanted */
        bool end_with_last; /* says so with the last item, not by the next call */
        uint32_t fail_at;   /* returns failure there; 0: never */
        int failure;
        atomic_int n_calls, n_freed;
        uint64_t ttl;
};

static inline void number_encode(uint8_t out[5], uint32_t number)
{
        out[0] = 0xce;
        for (int i = 0; i < 4; i++)
                out[1 + i] = (uint8_t)(number >> (24 - 8 * i));
}

static inline uint32_t number_decode(const void *data)
{
        const uint8_t *p = data;

        return (uint32_t)p[1] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 8 | p[4];
}

/* In two pieces. */
static inline int put_number(busrt_cursor *cursor, uint32_t number)
{
        uint8_t bytes[5];
        struct iovec iov[] = {{bytes, 1}, {bytes + 1, 4}};

        number_encode(bytes, number);
        return busrt_cursor_put(cursor, iov, 2);
}

static inline int count_on(busrt_cursor *cursor, size_t wanted, void *userdata)
{
        struct counter *counter = userdata;
        uint32_t end = counter->fail_at ? counter->fail_at : counter->total;
        size_t n = counter->per_call ? MIN(wanted, (size_t)counter->per_call) : wanted;

        atomic_fetch_add(&counter->n_calls, 1);
        if (counter->at == end)
                return counter->fail_at ? counter->failure : BUSRT_CURSOR_END;
        for (; n > 0 && counter->at < end; n--) {
                int r = put_number(cursor, counter->at);

                if (r < 0)
                        return r;
                counter->at++;
        }
        return counter->at == counter->total && counter->end_with_last ? BUSRT_CURSOR_END
                                                                       : BUSRT_CURSOR_MORE;
}

static inline void counter_freed(void *userdata)
{
        struct counter *counter = userdata;

        atomic_fetch_add(&counter->n_freed, 1);
}

/* A method: opens that counter. */
static inline int open_counter(busrt_client *c, busrt_request *request, void *userdata)
{
        struct counter *counter = userdata;

        return busrt_request_reply_cursor(request, count_on, counter_freed, counter,
                                          counter->ttl ? counter->ttl : BUSRT_TIMEOUT_DEFAULT);
}

static inline void fetch_freep(busrt_fetch **f)
{
        busrt_fetch_free(*f);
}
#define _cleanup_fetch_ _cleanup_(fetch_freep)

/* What opens a cursor, of "you". */
#define OPENED                                                                                     \
        "\x81\xa1u\xc4\x10"                                                                        \
        "0123456789abcdef"

static inline void fetch_opened(busrt_client *c, busrt_fetch **ret)
{
        assert_int_equal(
                busrt_fetch_new(c, "you", OPENED, sizeof(OPENED) - 1, &cursor_methods, ret), 0);
}
