/* SPDX-License-Identifier: Apache-2.0 */
/* Clients in the engine's process: large frames, and lists of topics that are more than one pass
 * may handle. */
#include <stdio.h>

#include "local-bed.h"

#define LARGE (3 << 20)

static uint8_t large[WIRE_REQUEST_HEADER_SIZE + 2 + LARGE], got[LARGE + 64];

static size_t make_large(void)
{
        for (size_t i = 0; i < LARGE; i++)
                large[11 + i] = (uint8_t)(i * 2654435761u >> 13);
        le32_put(large, 7);
        large[4] = WIRE_OP_MESSAGE | PROCESSED;
        le32_put(large + 5, LARGE + 2);
        memcpy(large + 9, "b", 2);
        return sizeof(large);
}

/* In reads of that size, the first of an odd one. */
static void expect_large(struct local *b, size_t size)
{
        size_t n = 0;

        while (n < LARGE + 8) {
                ssize_t r = engine_local_read(b->end, got + n, n ? size : 3);

                assert_true(r > 0 && (size_t)r <= size);
                n += (size_t)r;
        }
        assert_int_equal(n, LARGE + 8);
        assert_memory_equal(got, "\x12\x02\0\x30\0\0a\0", 8);
        assert_memory_equal(got + 8, large + 11, LARGE);
        local_expect(b, "", 0);
}

static void write_in(struct local *a, size_t len, size_t portion)
{
        for (size_t at = 0; at < len; at += portion)
                assert_int_equal(local_write(a, large + at, MIN(portion, len - at)),
                                 MIN(portion, len - at));
}

static void a_large_frame_in_any_portions(void **state)
{
        static const size_t portions[] = {sizeof(large), LARGE,     1 << 20, 100001,
                                          4096,          4096 + 11, 777};
        size_t len = make_large();
        struct bed bed;
        struct local a, b;

        local_bed_open(&bed);
        a = local_join(&bed, "a");
        b = local_join(&bed, "b");
        for (size_t i = 0; i < ARRAY_SIZE(portions); i++) {
                write_in(&a, len, portions[i]);
                local_expect_ack(&a, 7, WIRE_OK);
                expect_large(&b, portions[ARRAY_SIZE(portions) - 1 - i]);
        }
        assert_true(bed_counters(&bed).held < 10000);
        local_close(&a);
        local_close(&b);
        bed_close(&bed);
}

/* In one write of pieces, their first end at every place around the header's, and around that of
 * what is put together. */
static void a_large_frame_in_pieces(void **state)
{
        static const size_t firsts[] = {1,   5,    8,    9,    10,   11,     12,
                                        100, 4094, 4095, 4096, 4097, 1 << 20};
        size_t len = make_large();
        struct bed bed;
        struct local a, b;

        local_bed_open(&bed);
        a = local_join(&bed, "a");
        b = local_join(&bed, "b");
        for (size_t i = 0; i < ARRAY_SIZE(firsts); i++) {
                size_t first = firsts[i], second = (len - first) / 3;
                size_t head = MIN(first, (size_t)WIRE_REQUEST_HEADER_SIZE);
                struct iovec iov[] = {{large, head},
                                      {large + head, first - head},
                                      {large + first, second},
                                      {large + first + second, len - first - second}};

                assert_int_equal(engine_local_write(a.end, iov, 4), len);
                local_expect_ack(&a, 7, WIRE_OK);
                expect_large(&b, 65536);
        }
        local_close(&a);
        local_close(&b);
        bed_close(&bed);
}

/* Held once for all of them. */
static void a_large_publication_is_shared(void **state)
{
        struct bed bed;
        struct local a, b[4];
        struct peer s;
        size_t len = make_large();

        large[4] = WIRE_OP_PUBLISH;
        local_bed_open(&bed);
        a = local_join(&bed, "a");
        s = bed_join(&bed, "s");
        bed_acked(&bed, &s, WIRE_OP_SUBSCRIBE, LITERAL("b"), WIRE_OK);
        for (size_t i = 0; i < ARRAY_SIZE(b); i++) {
                char name[] = {(char)('b' + i), 0};

                b[i] = local_join(&bed, name);
                local_acked(&b[i], WIRE_OP_SUBSCRIBE, LITERAL("b"), WIRE_OK);
        }
        write_in(&a, len, len);
        assert_true(bed_counters(&bed).held > LARGE);
        assert_true(bed_counters(&bed).held < LARGE + LARGE / 2);
        for (size_t i = 0; i < ARRAY_SIZE(b); i++) {
                assert_int_equal(local_read(&b[i], got, sizeof(got)), LARGE + 10);
                assert_memory_equal(got, "\x01\x04\0\x30\0\0a\0b\0", 10);
                assert_memory_equal(got + 10, large + 11, LARGE);
                local_close(&b[i]);
        }
        for (size_t n = 0; n < LARGE + 10;) {
                n += (size_t)peer_read(&s, got + n, sizeof(got) - n);
                bed_settle(&bed);
        }
        assert_memory_equal(got + 10, large + 11, LARGE);
        local_close(&a);
        peer_close(&s);
        bed_close(&bed);
}

/* --- Long lists --- */

#define N_TOPICS 100000 /* a pass handles 16384 */

static size_t make_list(void)
{
        size_t at = WIRE_REQUEST_HEADER_SIZE;

        for (size_t i = 0; i < N_TOPICS; i++)
                at += (size_t)sprintf((char *)large + at, "%s%zu/x", i ? "." : "", i);
        for (size_t i = WIRE_REQUEST_HEADER_SIZE; i < at; i++)
                if (large[i] == '.')
                        large[i] = 0;
        le32_put(large, 1);
        large[4] = WIRE_OP_SUBSCRIBE | PROCESSED;
        le32_put(large + 5, (uint32_t)(at - WIRE_REQUEST_HEADER_SIZE));
        return at;
}

static void is_subscribed_to_all(struct bed *bed, struct local *a)
{
        struct local b = local_join(bed, "b");

        local_acked(&b, WIRE_OP_PUBLISH, LITERAL("0/x\0!"), WIRE_OK);
        local_acked(&b, WIRE_OP_PUBLISH, LITERAL("99999/x\0!"), WIRE_OK);
        local_expect(a, LITERAL("\x01\x07\0\0\0\0b\0"
                                "0/x\0!"
                                "\x01\x0b\0\0\0\0b\0"
                                "99999/x\0!"));
        local_close(&b);
}

/* Its own thread does all of it, in one call. */
static void a_long_list_of_topics(void **state)
{
        size_t len = make_list();
        struct bed bed;
        struct local a;

        local_bed_open(&bed);
        a = local_join(&bed, "a");
        assert_int_equal(local_write(&a, large, len), len);
        local_expect_ack(&a, 1, WIRE_OK);
        is_subscribed_to_all(&bed, &a);
        local_close(&a);
        bed_close(&bed);
}

/* In pieces it is assembled first, and its end may be left to the worker. */
static void a_long_list_of_topics_in_pieces(void **state)
{
        size_t len = make_list();
        struct iovec iov[] = {{large, 9}, {large + 9, 100000}, {large + 100009, len - 100009}};
        struct bed bed;
        struct local a;

        local_bed_open(&bed);
        a = local_join(&bed, "a");
        assert_int_equal(engine_local_write(a.end, iov, 3), len);
        bed_settle(&bed);
        local_expect_ack(&a, 1, WIRE_OK);
        assert_false(local_is_told(&a));
        is_subscribed_to_all(&bed, &a);
        local_close(&a);
        bed_close(&bed);
}

/* What is sent behind it comes behind it. */
static void a_long_list_and_what_follows(void **state)
{
        size_t len = make_list();
        struct bed bed;
        struct local a;

        local_bed_open(&bed);
        a = local_join(&bed, "a");
        assert_int_equal(local_write(&a, large, 5000), 5000);
        assert_int_equal(local_write(&a, large + 5000, len - 5000), len - 5000);
        a.next_op = 1;
        local_send(&a, WIRE_OP_PUBLISH | PROCESSED, LITERAL("99999/x\0!"));
        local_expect(&a, LITERAL("\xfe\x01\0\0\0\x01\x01\x0b\0\0\0\0a\0"
                                 "99999/x\0!\xfe\x02\0\0\0\x01"));
        bed_settle(&bed);
        local_expect(&a, "", 0);
        local_close(&a);
        bed_close(&bed);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_large_frame_in_any_portions),
                cmocka_unit_test(a_large_frame_in_pieces),
                cmocka_unit_test(a_large_publication_is_shared),
                cmocka_unit_test(a_long_list_of_topics),
                cmocka_unit_test(a_long_list_of_topics_in_pieces),
                cmocka_unit_test(a_long_list_and_what_follows),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
