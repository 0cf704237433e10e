/* SPDX-License-Identifier: Apache-2.0 */
/* A server that counts, and a caller that takes. */
#pragma once

#include "cursor-bed.h"
#include "methods-bed.h"

static inline busrt_fetch *opened(busrt_client *c, const char *method)
{
        busrt_fetch *f;

        assert_int_equal(
                busrt_fetch_open(c, "server", method, NULL, 0, &cursor_methods, DEADLINE, NULL, &f),
                0);
        return f;
}

/* The code of the error reply that opening gets. */
static inline int open_code(busrt_client *c, const char *method)
{
        busrt_rpc_error error = BUSRT_RPC_ERROR_INIT;
        busrt_fetch *f = NULL;
        int code;

        assert_int_equal(busrt_fetch_open(c, "server", method, NULL, 0, &cursor_methods, DEADLINE,
                                          &error, &f),
                         -EREMOTEIO);
        assert_null(f);
        code = error.code;
        busrt_rpc_error_done(&error);
        return code;
}

/* Takes items one by one until the end; they are the numbers from `from` on. Returns how many. */
static inline uint32_t take_all(busrt_fetch *f, uint32_t from)
{
        const void *data;
        uint32_t n = 0;
        size_t len;
        int r;

        while ((r = busrt_fetch_item(f, DEADLINE, NULL, &data, &len)) == 1) {
                assert_int_equal(len, 5);
                assert_int_equal(number_decode(data), from + n);
                n++;
        }
        assert_int_equal(r, 0);
        assert_int_equal(busrt_fetch_item(f, DEADLINE, NULL, &data, &len), 0);
        return n;
}

static inline void take_bulk(busrt_fetch *f, size_t n, uint32_t from, size_t want)
{
        _cleanup_frame_ busrt_frame *frame = NULL;
        const uint8_t *p;
        size_t len;

        assert_int_equal(busrt_fetch_next_bulk(f, n, DEADLINE, NULL, &frame), want);
        if (want == 0) {
                assert_null(frame);
                return;
        }
        p = busrt_frame_get_payload(frame, &len);
        for (size_t i = 0; i < want; i++)
                assert_int_equal(number_decode(p + len - 5 * (want - i)), from + i);
}

static inline void take_one(busrt_fetch *f, uint32_t want)
{
        _cleanup_frame_ busrt_frame *frame = NULL;

        assert_int_equal(busrt_fetch_next(f, DEADLINE, NULL, &frame), 1);
        assert_int_equal(number_decode(busrt_frame_get_payload(frame, NULL)), want);
}

/* The code of the error reply to a call of a cursor with this id. */
static inline int id_code(busrt_client *c, const char *method, const void *id, size_t count)
{
        uint8_t params[22] = "\x81\xa1u\xc4\x10",
                bulk[] = "\x82\xa1n\xce....\xa1u\xc4\x10................";
        busrt_rpc_error error = BUSRT_RPC_ERROR_INIT;
        struct iovec iov = {params, 21};
        int r, code;

        memcpy(params + 5, id, 16);
        if (count > 0) {
                number_encode(bulk + 3, (uint32_t)count);
                memcpy(bulk + 12, id, 16);
                iov = (struct iovec){bulk, 28};
        }
        r = busrt_client_call(c, "server", method, &iov, 1, 0, DEADLINE, &error, NULL);
        code = error.code;
        busrt_rpc_error_done(&error);
        assert_int_equal(r, code ? -EREMOTEIO : 0);
        return code;
}

static inline void await_freed(struct counter *counter, int n)
{
        uint64_t until = now_usec() + DEADLINE;

        while (atomic_load(&counter->n_freed) != n)
                assert_true(now_usec() < until);
}

static inline void start_counting(struct bed *b, struct counter *counter)
{
        const busrt_method methods[] = {{"open", open_counter, counter, 0}};

        bed_start(b, methods, 1);
        assert_int_equal(busrt_client_add_cursor_methods(b->server, &cursor_methods), 0);
}
