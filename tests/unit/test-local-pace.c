/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slow receivers where one or both sides live in the engine's process: what such a sender may not
 * send yet stays with it, and it is told when to try again.
 */
#include "local-bed.h"

#define FULL 8 /* frames */

static void open_small(struct bed *bed, enum slow_policy policy)
{
        struct engine_config config;

        local_config(&config);
        config.queue_frames = FULL;
        config.slow_policy = policy;
        config.slow_pace = 20 * NSEC_PER_MSEC;
        bed_open(bed, &config);
}

static bool is_told(void *userdata)
{
        return local_is_told(userdata);
}

/* "TARGET 00 n": the frame number n. */
static ssize_t try_number(struct local *l, uint8_t flags, const char *target, uint8_t n)
{
        uint8_t body[64];
        size_t len = strlen(target) + 1;

        memcpy(body, target, len);
        body[len] = n;
        return local_try(l, flags, body, len + 1);
}

/* Numbers from 0 on, until it must wait. Returns how many went. */
static uint8_t fill(struct local *l, uint8_t flags, const char *target)
{
        uint8_t n = 0;

        while (try_number(l, flags, target, n) > 0)
                assert_true(++n < 200);
        assert_int_equal(try_number(l, flags, target, n), -EAGAIN);
        return n;
}

/* The next frame is that number, of a sender with a name of one letter; messages only. */
static void expect_number(struct local *l, uint8_t n)
{
        uint8_t got[9];

        assert_int_equal(engine_local_read(l->end, got, sizeof(got)), sizeof(got));
        assert_int_equal(got[0], WIRE_KIND_MESSAGE);
        assert_int_equal(got[8], n);
}

static void expect_numbers(struct local *l, uint8_t from, uint8_t to)
{
        while (from < to)
                expect_number(l, from++);
        local_expect(l, "", 0);
}

/* --- Room --- */

static void a_sender_is_told_of_room(void **state)
{
        struct bed bed;
        struct local a, b;
        uint8_t n = 0;

        open_small(&bed, SLOW_DISCONNECT);
        a = local_join(&bed, "a");
        b = local_join(&bed, "b");
        assert_int_equal(fill(&a, WIRE_OP_MESSAGE, "b"), FULL);
        for (; n <= FULL / 2; n++) {
                assert_false(local_is_told(&a));
                expect_number(&b, n);
        }
        assert_true(local_is_told(&a));
        assert_int_equal(try_number(&a, WIRE_OP_MESSAGE, "b", FULL), 12);
        local_expect(&a, "", 0);
        assert_false(local_is_told(&a));
        expect_numbers(&b, n, FULL + 1);
        assert_int_equal(bed_counters(&bed).struck, 0);
        local_close(&a);
        local_close(&b);
        bed_close(&bed);
}

/* What it sent in one write goes as far as it may; the rest is asked for once. */
static void a_batch_goes_as_far_as_it_may(void **state)
{
        uint8_t batch[20 * 12];
        struct bed bed;
        struct local a, b;

        for (uint8_t i = 0; i < 20; i++)
                frame_make(batch + 12 * i, i, WIRE_OP_MESSAGE, (uint8_t[]){'b', 0, i}, 3);
        open_small(&bed, SLOW_DISCONNECT);
        a = local_join(&bed, "a");
        b = local_join(&bed, "b");
        assert_int_equal(local_write(&a, batch, sizeof(batch)), FULL * 12);
        assert_int_equal(local_write(&a, batch + FULL * 12, sizeof(batch) - FULL * 12), -EAGAIN);
        expect_numbers(&b, 0, FULL);
        assert_true(local_is_told(&a));
        assert_int_equal(local_write(&a, batch + FULL * 12, sizeof(batch) - FULL * 12), FULL * 12);
        expect_numbers(&b, FULL, 2 * FULL);
        assert_int_equal(local_write(&a, batch + 2 * FULL * 12, 4 * 12), 4 * 12);
        expect_numbers(&b, 2 * FULL, 20);
        local_close(&a);
        local_close(&b);
        bed_close(&bed);
}

static void a_sender_by_socket_waits_for_room(void **state)
{
        struct bed bed;
        struct local b;
        struct peer s;
        uint32_t op;

        open_small(&bed, SLOW_DISCONNECT);
        s = bed_join(&bed, "s");
        b = local_join(&bed, "b");
        for (uint8_t n = 0; n < FULL + 2; n++)
                op = peer_send(&s, n == FULL ? WIRE_OP_MESSAGE | PROCESSED : WIRE_OP_MESSAGE,
                               (uint8_t[]){'b', 0, n}, 3);
        bed_settle(&bed);
        peer_expect(&s, "", 0);
        expect_numbers(&b, 0, FULL);
        bed_settle(&bed);
        peer_expect_ack(&s, op - 1, WIRE_OK);
        expect_numbers(&b, FULL, FULL + 2);
        local_close(&b);
        peer_close(&s);
        bed_close(&bed);
}

static void a_sender_waits_for_a_socket(void **state)
{
        static uint8_t body[3000], got[1 << 20];
        struct bed bed;
        struct local a;
        struct peer s;
        size_t sent = 0, received = 0;

        open_small(&bed, SLOW_DISCONNECT);
        a = local_join(&bed, "a");
        s = bed_join(&bed, "s");
        memcpy(body, "s", 2);
        while (local_try(&a, WIRE_OP_MESSAGE, body, sizeof(body)) > 0)
                assert_true(++sent < 10000);
        assert_true(sent > FULL);
        local_expect(&a, "", 0);
        while (!local_is_told(&a)) {
                received += (size_t)peer_read(&s, got, sizeof(got));
                bed_settle(&bed);
        }
        assert_true(local_try(&a, WIRE_OP_MESSAGE, body, sizeof(body)) > 0);
        do
                received += (size_t)peer_read(&s, got, sizeof(got));
        while (bed_settle(&bed) > 0 || received < (sent + 1) * (sizeof(body) + 6));
        assert_int_equal(received, (sent + 1) * (sizeof(body) + 6));
        assert_int_equal(bed_counters(&bed).struck, 0);
        local_close(&a);
        peer_close(&s);
        bed_close(&bed);
}

/* All who wait for one receiver go on, and nothing is lost, doubled or swapped. */
static void many_senders_wait_for_one(void **state)
{
        struct local senders[5];
        uint8_t next[5] = {0}, seen[5] = {0}, got[9];
        struct bed bed;
        struct local b;

        open_small(&bed, SLOW_DISCONNECT);
        b = local_join(&bed, "b");
        for (uint8_t i = 0; i < 5; i++)
                senders[i] = local_join(&bed, (char[]){(char)('0' + i), 0});
        for (unsigned round = 0; round < 1000; round++) {
                for (uint8_t i = 0; i < 5; i++)
                        while (next[i] < 200 &&
                               try_number(&senders[i], WIRE_OP_MESSAGE, "b", next[i]) > 0)
                                next[i]++;
                for (unsigned i = 0; i < 5; i++) {
                        uint8_t *number;

                        if (engine_local_read(b.end, got, sizeof(got)) < 0)
                                break;
                        number = &seen[got[6] - '0'];
                        assert_int_equal(got[8], *number);
                        ++*number;
                }
        }
        for (uint8_t i = 0; i < 5; i++) {
                assert_int_equal(seen[i], 200);
                local_close(&senders[i]);
        }
        local_expect(&b, "", 0);
        local_close(&b);
        bed_close(&bed);
}

/* --- Its own queue --- */

static void who_does_not_read_its_own_waits(void **state)
{
        static const char *const targets[] = {"a", "nobody", ".broker"};
        struct bed bed;
        struct local a;

        open_small(&bed, SLOW_DISCONNECT);
        a = local_join(&bed, "a");
        for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
                uint8_t got[256], n = fill(&a, WIRE_OP_MESSAGE | PROCESSED, targets[i]);

                assert_true(n >= FULL / 2 && n <= FULL);
                assert_int_equal(try_number(&a, WIRE_OP_MESSAGE | PROCESSED, targets[i], n),
                                 -EAGAIN);
                assert_true(local_is_told(&a)); /* there is something to read */
                assert_int_equal(local_read(&a, got, sizeof(got)), n * 6 + (i == 0 ? n * 9 : 0));
                /* That made room, which it has not been at since. */
                assert_true(local_is_told(&a));
                assert_true(try_number(&a, WIRE_OP_MESSAGE | PROCESSED, targets[i], n) > 0);
                assert_int_equal(local_read(&a, got, sizeof(got)), 6 + (i == 0 ? 9 : 0));
                assert_false(local_is_told(&a));
        }
        assert_int_equal(bed_counters(&bed).struck, 0);
        local_close(&a);
        bed_close(&bed);
}

/* --- The policies --- */

static void a_slow_receiver_is_struck(void **state)
{
        struct bed bed;
        struct local a, b;
        struct engine_event ev;

        open_small(&bed, SLOW_DISCONNECT);
        a = local_join(&bed, "a");
        b = local_join(&bed, "b");
        assert_int_equal(fill(&a, WIRE_OP_MESSAGE, "b"), FULL);
        bed_until(&bed, is_told, &a);
        ev = bed_event(&bed, ENGINE_EVENT_STRUCK);
        assert_string_equal(ev.name, "b");
        assert_true(ev.over);
        local_acked(&a, WIRE_OP_MESSAGE, LITERAL("b\0\x08"), WIRE_NOT_DELIVERED);
        local_acked(&a, WIRE_OP_MESSAGE, LITERAL("b\0\x08"), WIRE_NOT_REGISTERED);
        for (uint8_t n = 0; n < FULL; n++)
                expect_number(&b, n);
        local_expect_end(&b);
        local_close(&a);
        local_close(&b);
        bed_close(&bed);
}

static void the_newest_are_dropped(void **state)
{
        struct bed bed;
        struct local a, b;

        open_small(&bed, SLOW_DROP_NEWEST);
        a = local_join(&bed, "a");
        b = local_join(&bed, "b");
        assert_int_equal(fill(&a, WIRE_OP_MESSAGE, "b"), FULL);
        bed_until(&bed, is_told, &a);
        assert_false(bed_event(&bed, ENGINE_EVENT_STRUCK).over);
        for (uint8_t n = 0; n < 3; n++)
                local_acked(&a, WIRE_OP_MESSAGE, LITERAL("b\0\x08"), WIRE_NOT_DELIVERED);
        assert_int_equal(bed_counters(&bed).dropped, 3);
        expect_numbers(&b, 0, FULL);
        local_acked(&a, WIRE_OP_MESSAGE, LITERAL("b\0\x09"), WIRE_OK);
        expect_numbers(&b, 9, 10);
        local_close(&a);
        local_close(&b);
        bed_close(&bed);
}

static void the_oldest_are_dropped(void **state)
{
        struct bed bed;
        struct local a, b;

        open_small(&bed, SLOW_DROP_OLDEST);
        a = local_join(&bed, "a");
        b = local_join(&bed, "b");
        assert_int_equal(fill(&a, WIRE_OP_MESSAGE, "b"), FULL);
        bed_until(&bed, is_told, &a);
        for (uint8_t n = FULL; n < FULL + 3; n++) {
                assert_true(try_number(&a, WIRE_OP_MESSAGE | PROCESSED, "b", n) > 0);
                local_expect_ack(&a, a.next_op, WIRE_OK);
        }
        assert_int_equal(bed_counters(&bed).dropped, 3);
        expect_numbers(&b, 3, FULL + 3);
        local_close(&a);
        local_close(&b);
        bed_close(&bed);
}

/* The first bytes of a frame have been taken: it is not dropped, and goes on where it was. */
static void a_frame_half_taken_is_not_dropped(void **state)
{
        uint8_t got[9];
        struct bed bed;
        struct local a, b;

        open_small(&bed, SLOW_DROP_OLDEST);
        a = local_join(&bed, "a");
        b = local_join(&bed, "b");
        assert_int_equal(fill(&a, WIRE_OP_MESSAGE, "b"), FULL);
        assert_int_equal(engine_local_read(b.end, got, 4), 4);
        bed_until(&bed, is_told, &a);
        for (uint8_t n = FULL; n < FULL + 3; n++)
                assert_true(try_number(&a, WIRE_OP_MESSAGE, "b", n) > 0);
        assert_int_equal(engine_local_read(b.end, got + 4, 5), 5);
        assert_memory_equal(got, "\x12\x03\0\0\0\0a\0\0", 9);
        assert_int_equal(engine_local_read(b.end, got, 9), 9);
        assert_true(got[8] >= 3);
        for (uint8_t n = got[8] + 1; n < FULL + 3; n++)
                expect_number(&b, n);
        local_expect(&b, "", 0);
        local_close(&a);
        local_close(&b);
        bed_close(&bed);
}

/* A full receiver takes this one, and the sender waits before its next. */
static void fan_out_pauses_its_sender(void **state)
{
        struct bed bed;
        struct local a, b;

        open_small(&bed, SLOW_DISCONNECT);
        a = local_join(&bed, "a");
        b = local_join(&bed, "b");
        local_acked(&b, WIRE_OP_SUBSCRIBE, LITERAL("t"), WIRE_OK);
        assert_int_equal(fill(&a, WIRE_OP_PUBLISH, "t"), FULL + 1);
        local_expect(&a, "", 0);
        assert_false(local_is_told(&a));
        for (uint8_t n = 0; n <= FULL; n++) {
                uint8_t got[11];

                assert_int_equal(engine_local_read(b.end, got, sizeof(got)), sizeof(got));
                assert_int_equal(got[10], n);
        }
        assert_true(local_is_told(&a));
        assert_true(try_number(&a, WIRE_OP_PUBLISH, "t", FULL + 1) > 0);
        assert_int_equal(fill(&a, WIRE_OP_PUBLISH, "t"), FULL);
        bed_until(&bed, is_told, &a);
        assert_string_equal(bed_event(&bed, ENGINE_EVENT_STRUCK).name, "b");
        assert_true(try_number(&a, WIRE_OP_PUBLISH, "t", 0) > 0);
        local_close(&a);
        local_close(&b);
        bed_close(&bed);
}

/* --- A frame that was taken whole and waits inside --- */

#define LARGE 100000

static uint8_t large[WIRE_REQUEST_HEADER_SIZE + 2 + LARGE], got[LARGE + 64];

static void write_large(struct local *a)
{
        frame_make(large, 77, WIRE_OP_MESSAGE | PROCESSED, large + WIRE_REQUEST_HEADER_SIZE,
                   LARGE + 2);
        memcpy(large + WIRE_REQUEST_HEADER_SIZE, "b", 2);
        for (size_t i = 0; i < LARGE; i++)
                large[11 + i] = (uint8_t)(i * 2654435761u >> 13);
        assert_int_equal(local_write(a, large, 5000), 5000);
        assert_int_equal(local_write(a, large + 5000, sizeof(large) - 5000), sizeof(large) - 5000);
}

static void expect_large(struct local *b)
{
        for (size_t n = 0; n < LARGE + 8;) {
                ssize_t r = engine_local_read(b->end, got + n, LARGE + 8 - n);

                assert_true(r > 0);
                n += (size_t)r;
        }
        assert_int_equal(got[6], 'a');
        assert_memory_equal(got + 8, large + 11, LARGE);
}

static void fill_and_write_large(struct bed *bed, struct local *a, struct local *b)
{
        open_small(bed, SLOW_DISCONNECT);
        *a = local_join(bed, "a");
        *b = local_join(bed, "b");
        for (uint8_t n = 0; n < FULL; n++)
                assert_true(try_number(a, WIRE_OP_MESSAGE, "b", n) > 0);
        write_large(a);
        assert_int_equal(try_number(a, WIRE_OP_MESSAGE, "b", FULL), -EAGAIN);
        local_expect(a, "", 0);
        assert_false(local_is_told(a));
}

/* The worker goes on with it. */
static void a_waiting_frame_is_resumed(void **state)
{
        struct bed bed;
        struct local a, b;

        fill_and_write_large(&bed, &a, &b);
        expect_numbers(&b, 0, FULL);
        bed_settle(&bed);
        expect_large(&b);
        local_expect(&b, "", 0);
        assert_true(local_is_told(&a));
        local_expect_ack(&a, 77, WIRE_OK);
        assert_int_equal(try_number(&a, WIRE_OP_MESSAGE, "b", FULL), 12);
        expect_numbers(&b, FULL, FULL + 1);
        bed_settle(&bed);
        local_expect(&b, "", 0);
        local_close(&a);
        local_close(&b);
        bed_close(&bed);
}

/* Or the sender, before the worker has come to it. */
static void a_waiting_frame_goes_before_the_next(void **state)
{
        struct bed bed;
        struct local a, b;

        fill_and_write_large(&bed, &a, &b);
        expect_numbers(&b, 0, FULL);
        assert_int_equal(try_number(&a, WIRE_OP_MESSAGE, "b", FULL), 12);
        expect_large(&b);
        expect_numbers(&b, FULL, FULL + 1);
        local_expect_ack(&a, 77, WIRE_OK);
        bed_settle(&bed);
        local_expect(&b, "", 0);
        local_expect(&a, "", 0);
        local_close(&a);
        local_close(&b);
        bed_close(&bed);
}

/* It is refused, and nothing else is. */
static void a_waiting_frame_of_a_struck_receiver(void **state)
{
        struct bed bed;
        struct local a, b, c;

        fill_and_write_large(&bed, &a, &b);
        c = local_join(&bed, "c");
        bed_until(&bed, is_told, &a);
        bed_settle(&bed);
        local_expect_ack(&a, 77, WIRE_NOT_DELIVERED);
        local_acked(&a, WIRE_OP_MESSAGE, LITERAL("c\0\x01"), WIRE_OK);
        local_acked(&a, WIRE_OP_MESSAGE, LITERAL("b\0\x01"), WIRE_NOT_REGISTERED);
        expect_numbers(&c, 1, 2);
        for (uint8_t n = 0; n < FULL; n++)
                expect_number(&b, n);
        local_expect_end(&b);
        local_close(&a);
        local_close(&b);
        local_close(&c);
        bed_close(&bed);
}

/* --- Ends while something waits --- */

static void the_receiver_goes_while_a_sender_waits(void **state)
{
        struct bed bed;
        struct local a, b;

        open_small(&bed, SLOW_DISCONNECT);
        a = local_join(&bed, "a");
        b = local_join(&bed, "b");
        assert_int_equal(fill(&a, WIRE_OP_MESSAGE, "b"), FULL);
        assert_false(local_is_told(&a));
        local_close(&b);
        assert_true(local_is_told(&a));
        local_acked(&a, WIRE_OP_MESSAGE, LITERAL("b\0\x08"), WIRE_NOT_REGISTERED);
        local_close(&a);
        bed_settle(&bed);
        assert_int_equal(bed_counters(&bed).held, 0);
        bed_close(&bed);
}

static void the_sender_goes_while_it_waits(void **state)
{
        struct bed bed;
        struct local a, b;

        open_small(&bed, SLOW_DISCONNECT);
        a = local_join(&bed, "a");
        b = local_join(&bed, "b");
        assert_int_equal(fill(&a, WIRE_OP_MESSAGE, "b"), FULL);
        local_close(&a);
        expect_numbers(&b, 0, FULL);
        local_close(&b);
        bed_close(&bed);
        fill_and_write_large(&bed, &a, &b);
        assert_true(bed_counters(&bed).held > LARGE);
        local_close(&a);
        bed_settle(&bed);
        assert_true(bed_counters(&bed).held < LARGE);
        expect_numbers(&b, 0, FULL);
        local_close(&b);
        bed_close(&bed);
}

static void both_go_with_the_engine(void **state)
{
        struct bed bed;
        struct local a, b;

        fill_and_write_large(&bed, &a, &b);
        engine_stop(bed.engine, true);
        bed_settle(&bed);
        local_expect_stop(&a, "", 0);
        for (uint8_t n = 0; n < FULL; n++)
                expect_number(&b, n);
        local_expect_end(&b); /* full as it was: the warning is dropped */
        assert_int_equal(bed_counters(&bed).held, 0);
        local_close(&b);
        local_close(&a);
        bed_close(&bed);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_sender_is_told_of_room),
                cmocka_unit_test(a_batch_goes_as_far_as_it_may),
                cmocka_unit_test(a_sender_by_socket_waits_for_room),
                cmocka_unit_test(a_sender_waits_for_a_socket),
                cmocka_unit_test(many_senders_wait_for_one),
                cmocka_unit_test(who_does_not_read_its_own_waits),
                cmocka_unit_test(a_slow_receiver_is_struck),
                cmocka_unit_test(the_newest_are_dropped),
                cmocka_unit_test(the_oldest_are_dropped),
                cmocka_unit_test(a_frame_half_taken_is_not_dropped),
                cmocka_unit_test(fan_out_pauses_its_sender),
                cmocka_unit_test(a_waiting_frame_is_resumed),
                cmocka_unit_test(a_waiting_frame_goes_before_the_next),
                cmocka_unit_test(a_waiting_frame_of_a_struck_receiver),
                cmocka_unit_test(the_receiver_goes_while_a_sender_waits),
                cmocka_unit_test(the_sender_goes_while_it_waits),
                cmocka_unit_test(both_go_with_the_engine),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
