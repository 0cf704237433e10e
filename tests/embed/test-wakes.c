/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promise: no client in this process sleeps while there is something for it: not where it has read
 * a part, not where it stopped as its inbox was full, not where a frame came while it was looking.
 * Two threads throw frames to and fro, each next one only when the last has come: one wake-up lost
 * and all stands still.
 */
#include "embed-bed.h"

#define ROUNDS 4000
#define PATIENCE (20 * SECOND) /* no round takes that long */

struct pair {
        busrt_broker *broker;
        busrt_client *here, *there;
        void (*await)(busrt_client *c, size_t len); /* the next frame, of that length */
        size_t largest, burst;
        pthread_t thread;
        atomic_uint n_wrong;
};

static uint8_t payload[400000];

static size_t length_of(const struct pair *p, unsigned round, size_t k)
{
        return 1 + (round * 7919 + k * 104729) % p->largest;
}

static void send_burst(struct pair *p, busrt_client *from, const char *to, unsigned round)
{
        for (size_t k = 0; k < p->burst; k++) {
                struct iovec iov = {payload, length_of(p, round, k)};

                p->n_wrong += busrt_client_send(from, to, &iov, 1, 0, NULL) != 0;
        }
}

static void *answer(void *userdata)
{
        struct pair *p = userdata;

        for (unsigned round = 0; round < ROUNDS && p->n_wrong == 0; round++) {
                busrt_frame *f = NULL;

                p->n_wrong += busrt_client_read(p->there, PATIENCE, &f) != 0;
                busrt_frame_unref(f);
                send_burst(p, p->there, "here", round);
        }
        (void)busrt_client_flush(p->there, PATIENCE);
        return NULL;
}

static void expect_length(const busrt_frame *f, size_t want)
{
        size_t len;

        (void)busrt_frame_get_payload(f, &len);
        assert_int_equal(len, want);
}

/* --- Ways of waiting --- */

static void by_reading(busrt_client *c, size_t len)
{
        _cleanup_frame_ busrt_frame *f = NULL;

        assert_int_equal(busrt_client_read(c, PATIENCE, &f), 0);
        expect_length(f, len);
}

/* Processes until something came, perhaps a part, and then waits in a call. */
static void by_processing_and_reading(busrt_client *c, size_t len)
{
        uint64_t until = now_usec() + PATIENCE;
        busrt_frame *f;
        int r = busrt_client_read(c, 0, &f);

        while (r == -EAGAIN && busrt_client_process(c) == 0)
                assert_true(now_usec() < until);
        if (r == -EAGAIN)
                r = busrt_client_read(c, PATIENCE, &f);
        assert_int_equal(r, 0);
        expect_length(f, len);
        busrt_frame_unref(f);
}

/* As a program's loop: only poll(2) tells when to go on. */
static void by_polling(busrt_client *c, size_t len)
{
        struct pollfd p = {.fd = busrt_client_get_fd(c), .events = POLLIN};
        busrt_frame *f;
        int r;

        while ((r = busrt_client_read(c, 0, &f)) == -EAGAIN) {
                uint64_t due;

                while ((r = busrt_client_process(c)) == 1)
                        ;
                assert_int_equal(r, 0);
                r = busrt_client_read(c, 0, &f);
                if (r == 0)
                        break;
                assert_int_equal(busrt_client_get_timeout(c, &due), 0);
                if (due > now_usec())
                        assert_int_equal(poll(&p, 1, (int)(PATIENCE / MSEC)), 1);
        }
        assert_int_equal(r, 0);
        expect_length(f, len);
        busrt_frame_unref(f);
}

/* --- The game --- */

static void play(void (*await)(busrt_client *c, size_t len), size_t largest, size_t burst,
                 size_t receive_buffer, bool socket)
{
        struct pair p = {.broker = started_broker(),
                         .here = new_client("here"),
                         .await = await,
                         .largest = largest,
                         .burst = burst};

        assert_int_equal(busrt_client_set_ping_interval(p.here, 0), 0);
        assert_int_equal(busrt_client_set_receive_buffer(p.here, receive_buffer), 0);
        assert_int_equal(busrt_broker_set(p.broker, BUSRT_BROKER_SLOW_PACE, SECOND / 2), 0);
        assert_int_equal(busrt_broker_connect(p.broker, p.here), 0);
        p.there = socket ? joined_by_socket("there") : joined(p.broker, "there");
        assert_int_equal(pthread_create(&p.thread, NULL, answer, &p), 0);
        for (unsigned round = 0; round < ROUNDS; round++) {
                assert_int_equal(busrt_client_send(p.here, "there", IOV("go"), 0, NULL), 0);
                for (size_t k = 0; k < burst; k++)
                        p.await(p.here, length_of(&p, round, k));
        }
        assert_int_equal(pthread_join(p.thread, NULL), 0);
        assert_int_equal(p.n_wrong, 0);
        busrt_client_free(p.here);
        busrt_client_free(p.there);
        busrt_broker_free(p.broker);
}

static void play_all(void (*await)(busrt_client *c, size_t len))
{
        for (unsigned socket = 0; socket < 2; socket++) {
                play(await, 20, 1, 1 << 20, socket);
                play(await, 20, 10, 4096, socket);
                play(await, 3000, 5, 4096, socket);
                play(await, sizeof(payload), 1, 1 << 20, socket);
        }
}

static void who_reads(void **state)
{
        play_all(by_reading);
}

static void who_processes_and_reads(void **state)
{
        play_all(by_processing_and_reading);
}

static void who_polls(void **state)
{
        play_all(by_polling);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(who_reads),
                cmocka_unit_test(who_processes_and_reads),
                cmocka_unit_test(who_polls),
        };

        return cmocka_run_group_tests(tests, place_make, place_remove);
}
