/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames in bytes (docs/protocol.md, 1 to 3): headers of every flag byte, bodies cut at every byte,
 * and every short body against a plain reading of the page. Bodies lie in blocks of just their
 * size, so that a sanitizer sees a read beyond the end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "basic/macro.h"
#include "wire/frame.h"
#include "wire/handshake.h"

#define BYTES(text) text, sizeof(text) - 1

static const uint8_t ops[] = {WIRE_OP_PUBLISH, WIRE_OP_MESSAGE, WIRE_OP_BROADCAST, WIRE_OP_NOP};

/* --- Headers --- */

static void test_a_request_is_read_for_every_flag_byte(void **state)
{
        static const uint32_t lengths[] = {0, 1, 0x01020304, 0x7fffffff, 0xffffffff};

        for (unsigned flags = 0; flags < 256; flags++)
                for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
                        uint8_t header[WIRE_REQUEST_HEADER_SIZE] = {0xaa, 0xbb, 0xcc, 0xdd,
                                                                    (uint8_t)flags};
                        struct wire_request r;

                        for (unsigned k = 0; k < 4; k++)
                                header[5 + k] = (uint8_t)(lengths[i] >> (8 * k));
                        wire_request_decode(header, &r);
                        assert_memory_equal(r.op_id, "\xaa\xbb\xcc\xdd", 4);
                        assert_int_equal(r.op, flags % 64);
                        assert_int_equal(r.qos, flags / 64);
                        assert_int_equal(r.length, flags == 0 ? 0 : lengths[i]);
                        assert_int_equal(wire_request_is_ping(&r), flags == 0);
                }
}

static void test_qos_bits_say_processed_and_realtime(void **state)
{
        uint8_t header[WIRE_REQUEST_HEADER_SIZE] = {0, 0, 0, 0, 0x40 | WIRE_OP_MESSAGE};
        struct wire_request r;

        wire_request_decode(header, &r);
        assert_int_equal(r.qos & WIRE_QOS_PROCESSED, WIRE_QOS_PROCESSED);
        assert_int_equal(r.qos & WIRE_QOS_REALTIME, 0);
        header[4] = 0x80 | WIRE_OP_MESSAGE;
        wire_request_decode(header, &r);
        assert_int_equal(r.qos & WIRE_QOS_PROCESSED, 0);
        assert_int_equal(r.qos & WIRE_QOS_REALTIME, WIRE_QOS_REALTIME);
}

static void test_known_operations_are_those_of_the_table(void **state)
{
        static const uint8_t known[] = {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x12, 0x13};

        for (unsigned op = 0; op < 64; op++)
                assert_int_equal(wire_op_is_known((uint8_t)op),
                                 memchr(known, (int)op, sizeof(known)) != NULL);
}

static void test_deliveries_are_written_to_the_byte(void **state)
{
        static const uint8_t kinds[] = {WIRE_KIND_MESSAGE, WIRE_KIND_BROADCAST,
                                        WIRE_KIND_PUBLICATION};

        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
                uint8_t out[8], expected[8] = {kinds[i], 0x04, 0x03, 0x02, 0x01, 1, 0xee, 0xee};

                memset(out, 0xee, sizeof(out));
                wire_delivery_encode(out, kinds[i], 0x01020304, true);
                assert_memory_equal(out, expected, sizeof(out));
                assert_int_equal(wire_delivery_size(out), 6 + 0x01020304);
                wire_delivery_encode(out, kinds[i], UINT32_MAX, false);
                assert_int_equal(out[5], 0);
                assert_int_equal(wire_delivery_size(out), (size_t)6 + UINT32_MAX);
        }
}

static void test_acknowledgements_and_pings_are_six_bytes(void **state)
{
        static const uint8_t op_id[4] = {0xff, 0xff, 0xff, 0x7f};
        uint8_t out[8];

        memset(out, 0xee, sizeof(out));
        wire_ack_encode(out, op_id, WIRE_NOT_DELIVERED);
        assert_memory_equal(out, "\xfe\xff\xff\xff\x7f\x77\xee\xee", 8);
        assert_int_equal(wire_delivery_size(out), 6);
        assert_int_equal(wire_delivery_size((const uint8_t *)"\0\1\1\1\1\0"), 6);
}

static void test_the_greeting_is_three_bytes(void **state)
{
        assert_int_equal(sizeof(wire_greeting), 3);
        assert_memory_equal(wire_greeting, "\xeb\x01\x00", 3);
}

/* --- Bodies --- */

static bool split(uint8_t op, const void *body, size_t len, struct wire_body *ret)
{
        uint8_t *copy = malloc(len);
        bool ok;

        assert_non_null(copy);
        memcpy(copy, body, len);
        *ret = (struct wire_body){.target_len = 99};
        ok = wire_body_split(op, copy, len, ret);
        if (!ok)
                assert_int_equal(ret->target_len, 99); /* untouched */
        if (ok) {
                assert_ptr_equal(ret->target, copy);
                assert_in_range(ret->payload, 1, len);
                /* Offsets are what the tests compare. */
                ret->target = NULL;
                ret->receiver =
                        ret->receiver ? (const char *)(ret->receiver - (const char *)copy) : NULL;
        }
        free(copy);
        return ok;
}

static void test_a_body_is_target_and_payload(void **state)
{
        struct wire_body b;

        for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
                assert_true(split(ops[i], BYTES("target\0pay\0load"), &b));
                assert_int_equal(b.target_len, 6);
                assert_int_equal(b.payload, 7);
                assert_null(b.receiver);
                assert_int_equal(b.receiver_len, 0);
                assert_true(split(ops[i], BYTES("\0"), &b));
                assert_int_equal(b.target_len, 0);
                assert_int_equal(b.payload, 1);
        }
}

static void test_publish_for_names_a_receiver_too(void **state)
{
        struct wire_body b;

        assert_true(split(WIRE_OP_PUBLISH_FOR, BYTES("to/pic\0receiver\0pay\0load"), &b));
        assert_int_equal(b.target_len, 6);
        assert_int_equal((uintptr_t)b.receiver, 7);
        assert_int_equal(b.receiver_len, 8);
        assert_int_equal(b.payload, 16);
        assert_true(split(WIRE_OP_PUBLISH_FOR, BYTES("\0\0"), &b));
        assert_int_equal(b.target_len + b.receiver_len, 0);
        assert_int_equal(b.payload, 2);
}

static void test_a_body_without_its_00_is_none(void **state)
{
        static const char body[] = "topic\0receiver\0payload";
        struct wire_body b;

        for (size_t n = 0; n < sizeof(body) - 1; n++) {
                for (size_t i = 0; i < ARRAY_SIZE(ops); i++)
                        assert_int_equal(split(ops[i], body, n, &b), n >= 6);
                assert_int_equal(split(WIRE_OP_PUBLISH_FOR, body, n, &b), n >= 15);
        }
        assert_false(wire_body_split(WIRE_OP_MESSAGE, NULL, 0, &b));
}

/* Every body of up to six bytes that are 00, 'a' or FF. */
static void test_every_short_body_is_divided_at_its_00s(void **state)
{
        static const uint8_t alphabet[] = {0, 'a', 0xff};

        for (unsigned i = 0; i < 3 * 3 * 3 * 3 * 3 * 3; i++)
                for (size_t n = 0; n <= 6; n++) {
                        uint8_t body[6];
                        size_t zeros[6], n_zeros = 0;
                        struct wire_body b;

                        for (unsigned k = 0, rest = i; k < 6; k++, rest /= 3) {
                                body[k] = alphabet[rest % 3];
                                if (k < n && body[k] == 0)
                                        zeros[n_zeros++] = k;
                        }
                        assert_int_equal(split(WIRE_OP_PUBLISH, body, n, &b), n_zeros >= 1);
                        if (n_zeros >= 1) {
                                assert_int_equal(b.target_len, zeros[0]);
                                assert_int_equal(b.payload, zeros[0] + 1);
                        }
                        assert_int_equal(split(WIRE_OP_PUBLISH_FOR, body, n, &b), n_zeros >= 2);
                        if (n_zeros >= 2) {
                                assert_int_equal(b.target_len, zeros[0]);
                                assert_int_equal(b.receiver_len, zeros[1] - zeros[0] - 1);
                                assert_int_equal(b.payload, zeros[1] + 1);
                        }
                }
}

/* --- Lists of topics --- */

static void expect_topics(const char *body, size_t len, const char *const *topics, size_t n)
{
        uint8_t *copy = malloc(len);
        const char *topic;
        size_t pos = 0, topic_len;

        assert_non_null(copy);
        memcpy(copy, body, len);
        for (size_t i = 0; i < n; i++) {
                assert_true(wire_topics_next(copy, len, &pos, &topic, &topic_len));
                assert_int_equal(topic_len, strlen(topics[i]));
                assert_memory_equal(topic, topics[i], topic_len);
        }
        for (int i = 0; i < 2; i++) /* and stays at its end */
                assert_false(wire_topics_next(copy, len, &pos, &topic, &topic_len));
        free(copy);
}

static void test_topics_are_divided_by_00(void **state)
{
        static const struct {
                const char *body;
                size_t len, n;
                const char *topics[4];
        } cases[] = {
                {BYTES(""), 1, {""}}, /* the empty topic */
                {BYTES("a"), 1, {"a"}},
                {BYTES("a/b\0#"), 2, {"a/b", "#"}},
                {BYTES("\0"), 2, {"", ""}},
                {BYTES("a\0"), 2, {"a", ""}},
                {BYTES("\0a"), 2, {"", "a"}},
                {BYTES("a\0\0b"), 3, {"a", "", "b"}},
                {BYTES("\0\0\0"), 4, {"", "", "", ""}},
                {BYTES("a\0bc\0def\0\xff"), 4, {"a", "bc", "def", "\xff"}},
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
                expect_topics(cases[i].body, cases[i].len, cases[i].topics, cases[i].n);
}

/* A list cut anywhere: as many topics as there are 00s, and one; together they are the body again.
 */
static void test_topics_make_the_body_again(void **state)
{
        static const char body[] = "a/b\0\0#\0long topic\0+/x\0";

        for (size_t n = 0; n < sizeof(body); n++) {
                size_t pos = 0, len, n_topics = 0, n_zeros = 0, used = 0;
                const char *topic;
                uint8_t *copy = malloc(n);

                assert_non_null(copy);
                memcpy(copy, body, n);
                while (wire_topics_next(copy, n, &pos, &topic, &len)) {
                        assert_ptr_equal(topic, (const char *)copy + used);
                        used += len + 1;
                        n_topics++;
                }
                for (size_t i = 0; i < n; i++)
                        n_zeros += body[i] == '\0';
                assert_int_equal(n_topics, n_zeros + 1);
                assert_int_equal(used, n + 1);
                free(copy);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_request_is_read_for_every_flag_byte),
                cmocka_unit_test(test_qos_bits_say_processed_and_realtime),
                cmocka_unit_test(test_known_operations_are_those_of_the_table),
                cmocka_unit_test(test_deliveries_are_written_to_the_byte),
                cmocka_unit_test(test_acknowledgements_and_pings_are_six_bytes),
                cmocka_unit_test(test_the_greeting_is_three_bytes),
                cmocka_unit_test(test_a_body_is_target_and_payload),
                cmocka_unit_test(test_publish_for_names_a_receiver_too),
                cmocka_unit_test(test_a_body_without_its_00_is_none),
                cmocka_unit_test(test_every_short_body_is_divided_at_its_00s),
                cmocka_unit_test(test_topics_are_divided_by_00),
                cmocka_unit_test(test_topics_make_the_body_again),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
