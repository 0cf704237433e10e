/* SPDX-License-Identifier: Apache-2.0 */
/* Output queues against a plain model: what goes in comes out in order, and drops take whole frames
 * only. */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "basic/macro.h"
#include "engine/queue.h"
#include "transport/transport.h"
#include "wire/frame.h"

#define STREAM_MAX (64 << 20)

static struct accounts *accounts;
static struct account *account;
static struct buffer_pool pool;

static int setup(void **state)
{
        struct account_limits limits = {.max = {[QUOTA_MEMORY] = SIZE_MAX / 8},
                                        .max_held = SIZE_MAX / 4};
        struct identity id = identity_of_user(1);

        assert_int_equal(accounts_new(&limits, false, &accounts), 0);
        assert_int_equal(accounts_connect_again(accounts, &id, &account), 0);
        buffer_pool_init(&pool, accounts);
        return 0;
}

static int teardown(void **state)
{
        assert_int_equal(accounts_held(accounts), 0);
        buffer_pool_done(&pool);
        account_give_back(account, QUOTA_HANDSHAKES, 1);
        accounts_disconnect(accounts, account);
        accounts_free(accounts);
        return 0;
}

/* A frame of `size` bytes of that kind, its fill derived from its number. */
static void make_frame(uint8_t *at, uint8_t kind, size_t size, uint32_t number)
{
        memset(at, (int)number, size);
        if (kind == WIRE_KIND_ACK) {
                wire_ack_encode(at, (const uint8_t *)&number, WIRE_OK);
                return;
        }
        wire_delivery_encode(at, kind, (uint32_t)(size - WIRE_DELIVERY_HEADER_SIZE), false);
}

static void put_frame(struct queue *q, const uint8_t *frame, size_t size)
{
        struct buffer *shared;
        uint8_t *room;

        if (size <= QUEUE_INLINE_MAX) {
                room = queue_put_inline(q, &pool, account, size);
                assert_non_null(room);
                memcpy(room, frame, size);
                return;
        }
        assert_int_equal(buffer_new(&pool, account, size, SIZE_MAX, &shared), 0);
        memcpy(shared->data, frame, size);
        assert_int_equal(queue_put_shared(q, &pool, account, shared, 0, size), 0);
        buffer_unref(&pool, shared);
}

static size_t read_all(int fd, uint8_t *to)
{
        size_t n = 0;

        for (;;) {
                ssize_t r = recv(fd, to + n, 65536, MSG_DONTWAIT);

                if (r <= 0)
                        return n;
                n += (size_t)r;
        }
}

/* As much as the socket takes. */
static void write_some(struct queue *q, int fd)
{
        struct queue_batch batch;
        ssize_t n;

        while (!queue_is_empty(q)) {
                queue_gather(q, &batch);
                n = transport_writev(fd, batch.iov, batch.n);
                queue_written(q, &pool, n > 0 ? (size_t)n : 0);
                if (n < 0 || (size_t)n < batch.n_bytes)
                        return;
        }
}

static void frames_leave_in_order_and_whole(void **state)
{
        static uint8_t want[STREAM_MAX], got[STREAM_MAX];
        size_t n_want = 0, n_got = 0;
        unsigned seed = 1;
        struct queue q;
        int fds[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
        queue_init(&q);
        for (uint32_t i = 0; i < 3000; i++) {
                size_t size = rand_r(&seed) % 10 == 0 ? 1000 + (size_t)rand_r(&seed) % 20000
                                                      : 6 + (size_t)rand_r(&seed) % 900;
                uint8_t kind = rand_r(&seed) % 5 == 0 ? WIRE_KIND_ACK : WIRE_KIND_MESSAGE;

                if (kind == WIRE_KIND_ACK)
                        size = WIRE_DELIVERY_HEADER_SIZE;
                make_frame(want + n_want, kind, size, i);
                put_frame(&q, want + n_want, size);
                n_want += size;
                if (rand_r(&seed) % 7 == 0) {
                        write_some(&q, fds[0]);
                        if (rand_r(&seed) % 3 == 0)
                                n_got += read_all(fds[1], got + n_got);
                        assert_int_equal(q.n_bytes == 0, queue_is_empty(&q));
                }
        }
        while (!queue_is_empty(&q)) {
                write_some(&q, fds[0]);
                n_got += read_all(fds[1], got + n_got);
        }
        n_got += read_all(fds[1], got + n_got);
        assert_int_equal(n_got, n_want);
        assert_memory_equal(got, want, n_want);
        assert_int_equal(q.n_frames, 0);
        assert_null(q.chunk);
        close(fds[0]);
        close(fds[1]);
}

/* Another worker may put and drop while a system call has what stands first. */
static void what_is_gathered_stays_where_it_is(void **state)
{
        static uint8_t frame[QUEUE_INLINE_MAX], before[1 << 20];
        struct queue_batch batch;
        struct queue q;
        size_t n = 0, rest;

        queue_init(&q);
        for (uint32_t i = 0; i < 1000; i++) {
                if (i == 300) {
                        queue_gather(&q, &batch);
                        for (size_t k = 0; k < batch.n; n += batch.iov[k++].iov_len)
                                memcpy(before + n, batch.iov[k].iov_base, batch.iov[k].iov_len);
                }
                make_frame(frame, WIRE_KIND_MESSAGE, 307, i);
                put_frame(&q, frame, 307);
        }
        assert_int_equal(n, 300 * 307);
        rest = queue_drop_oldest(&q, &pool, 0, 0);
        assert_true(rest > 0 && rest < 1000 - 300 + 1);
        n = 0;
        for (size_t k = 0; k < batch.n; n += batch.iov[k++].iov_len)
                assert_memory_equal(before + n, batch.iov[k].iov_base, batch.iov[k].iov_len);
        queue_written(&q, &pool, n);
        assert_int_equal(q.n_frames, 1000 - 300 - rest);
        assert_int_equal(q.n_bytes, 307 * (size_t)q.n_frames);
        queue_clear(&q, &pool);
}

/* Fills a queue behind a full socket, so that its first frame has begun to leave; then drops. */
static void drop_oldest_keeps_what_must_stay(void **state)
{
        static uint8_t got[4 << 20], frame[QUEUE_INLINE_MAX];
        uint32_t number = 0, acks_put = 0, acks_got = 0, puts = 0, messages = 0, last = 0;
        size_t n, at, dropped;
        struct queue q;
        int fds[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
        queue_init(&q);
        while (q.n_frames < 500) {
                bool ack = number % 3 == 0;
                size_t size = ack ? WIRE_DELIVERY_HEADER_SIZE : 307;

                make_frame(frame, ack ? WIRE_KIND_ACK : WIRE_KIND_MESSAGE, size, number);
                le32_put(frame + (ack ? 1 : 20), number++);
                put_frame(&q, frame, size);
                acks_put += ack;
                puts += !ack;
                if (number % 100 == 0)
                        write_some(&q, fds[0]);
        }
        dropped = queue_drop_oldest(&q, &pool, 200, SIZE_MAX);
        assert_int_equal(q.n_frames, 200);
        assert_int_equal(dropped, 300);
        for (n = 0; !queue_is_empty(&q);) {
                n += read_all(fds[1], got + n);
                write_some(&q, fds[0]);
        }
        n += read_all(fds[1], got + n);
        for (at = 0; at < n; at += wire_delivery_size(got + at)) {
                if (got[at] == WIRE_KIND_ACK) {
                        acks_got++;
                        continue;
                }
                assert_int_equal(wire_delivery_size(got + at), 307);
                assert_true(messages == 0 || le32_get(got + at + 20) > last);
                last = le32_get(got + at + 20);
                messages++;
        }
        assert_int_equal(at, n);
        assert_int_equal(acks_got, acks_put);
        assert_int_equal(messages + dropped, puts);
        close(fds[0]);
        close(fds[1]);
}

static void the_brokers_own_words_are_not_dropped(void **state)
{
        struct queue q;
        uint8_t frame[100] = {0};

        queue_init(&q);
        wire_delivery_encode(frame, WIRE_KIND_PUBLICATION,
                             sizeof(frame) - WIRE_DELIVERY_HEADER_SIZE, false);
        memcpy(frame + WIRE_DELIVERY_HEADER_SIZE, ".broker", 8);
        put_frame(&q, frame, sizeof(frame));
        memcpy(frame + WIRE_DELIVERY_HEADER_SIZE, ".brokeX", 8);
        put_frame(&q, frame, sizeof(frame));
        assert_int_equal(queue_drop_oldest(&q, &pool, 0, 0), 1);
        assert_int_equal(q.n_frames, 1);
        queue_clear(&q, &pool);
}

/* A thousand receivers of one large frame hold it once. */
static void a_large_frame_is_held_once(void **state)
{
        static struct queue queues[1000];
        struct buffer *shared;
        size_t held;

        assert_int_equal(buffer_new(&pool, account, 100000, SIZE_MAX, &shared), 0);
        wire_delivery_encode(shared->data, WIRE_KIND_MESSAGE, 100000 - WIRE_DELIVERY_HEADER_SIZE,
                             false);
        held = accounts_held(accounts);
        for (size_t i = 0; i < ARRAY_SIZE(queues); i++) {
                queue_init(&queues[i]);
                assert_int_equal(queue_put_shared(&queues[i], &pool, account, shared, 0, 100000),
                                 0);
        }
        assert_int_equal(accounts_held(accounts), held);
        buffer_unref(&pool, shared);
        for (size_t i = 0; i < ARRAY_SIZE(queues); i++)
                queue_clear(&queues[i], &pool);
}

/* What was not needed for a tick goes back to the system; what is needed is not fetched from there
 * again. */
static void the_pool_forgets_what_is_not_needed(void **state)
{
        struct buffer *b[64];

        for (size_t i = 0; i < ARRAY_SIZE(b); i++)
                assert_int_equal(buffer_new(&pool, account, 3000, SIZE_MAX, &b[i]), 0);
        for (size_t i = 0; i < ARRAY_SIZE(b); i++)
                buffer_unref(&pool, b[i]);
        assert_int_equal(pool.n_free, ARRAY_SIZE(b));
        buffer_pool_trim(&pool);
        assert_int_equal(buffer_new(&pool, account, 3000, SIZE_MAX, &b[0]), 0);
        buffer_unref(&pool, b[0]);
        buffer_pool_trim(&pool);
        assert_int_equal(pool.n_free, 1);
        buffer_pool_trim(&pool);
        assert_int_equal(pool.n_free, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(frames_leave_in_order_and_whole, setup, teardown),
                cmocka_unit_test_setup_teardown(what_is_gathered_stays_where_it_is, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(drop_oldest_keeps_what_must_stay, setup, teardown),
                cmocka_unit_test_setup_teardown(the_brokers_own_words_are_not_dropped, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(a_large_frame_is_held_once, setup, teardown),
                cmocka_unit_test_setup_teardown(the_pool_forgets_what_is_not_needed, setup,
                                                teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
