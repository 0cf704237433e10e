/* SPDX-License-Identifier: Apache-2.0 */
/* The engine through its face: joining, the operations, leaving. */
#include <string.h>
#include <sys/socket.h>

#include "bed.h"

#define PROCESSED 0x40
#define REALTIME 0x80

static void clients_join_and_leave(void **state)
{
        struct bed bed;
        struct peer a, b;

        bed_open(&bed, NULL);
        a = bed_join(&bed, "a");
        assert_int_equal(bed_counters(&bed).clients, 1);
        b = bed_join(&bed, "b");
        assert_int_equal(bed_counters(&bed).clients, 2);
        peer_close(&a);
        bed_settle(&bed);
        assert_int_equal(bed_counters(&bed).clients, 1);
        a = bed_join(&bed, "a");
        peer_close(&a);
        peer_close(&b);
        bed_close(&bed);
}

static void a_message_reaches_its_target(void **state)
{
        struct bed bed;
        struct peer a, b;
        uint32_t op;

        bed_open(&bed, NULL);
        a = bed_join(&bed, "a");
        b = bed_join(&bed, "b");
        op = peer_send(&a, WIRE_OP_MESSAGE | PROCESSED, LITERAL("b\0hello"));
        bed_settle(&bed);
        peer_expect_ack(&a, op, WIRE_OK);
        peer_expect(&b, LITERAL("\x12\x07\0\0\0\0a\0hello"));
        op = peer_send(&a, WIRE_OP_MESSAGE | PROCESSED | REALTIME, LITERAL("c\0hello"));
        bed_settle(&bed);
        peer_expect_ack(&a, op, WIRE_NOT_REGISTERED);
        peer_close(&a);
        peer_close(&b);
        bed_close(&bed);
}

static void a_publication_reaches_its_subscribers(void **state)
{
        struct bed bed;
        struct peer a, b;
        uint32_t op;

        bed_open(&bed, NULL);
        a = bed_join(&bed, "a");
        b = bed_join(&bed, "b");
        op = peer_send(&b, WIRE_OP_SUBSCRIBE | PROCESSED, LITERAL("x/#\0y"));
        bed_settle(&bed);
        peer_expect_ack(&b, op, WIRE_OK);
        op = peer_send(&a, WIRE_OP_PUBLISH | PROCESSED | REALTIME, LITERAL("x/1\0hello"));
        bed_settle(&bed);
        peer_expect_ack(&a, op, WIRE_OK);
        peer_expect(&b, LITERAL("\x01\x0b\0\0\0\x01"
                                "a\0x/1\0hello"));
        op = peer_send(&b, WIRE_OP_EXCLUDE | PROCESSED, LITERAL("x/1"));
        peer_send(&a, WIRE_OP_PUBLISH, LITERAL("x/1\0hello"));
        bed_settle(&bed);
        peer_expect_ack(&b, op, WIRE_OK);
        peer_close(&a);
        peer_close(&b);
        bed_close(&bed);
}

/* Everything in one write, and everything one byte at a time, has the same outcome. */
static void bytes_may_arrive_in_any_portions(void **state)
{
        static const char script[] = "\xeb\x01\0\x01\0a"
                                     "\x01\0\0\0\x52\x04\0\0\0"
                                     "a\0hi"
                                     "\0\0\0\0\0\xff\xff\xff\xff"
                                     "\x02\0\0\0\x12\x04\0\0\0"
                                     "a\0ho";
        static const char want[] =
                "\xeb\x01\0\x01\x01\x12\x04\0\0\0\0a\0hi\xfe\x01\0\0\0\x01\x12\x04\0\0\0\0a\0ho";

        for (size_t portion = 1; portion < sizeof(script); portion++) {
                struct bed bed;
                struct peer a;

                bed_open(&bed, NULL);
                a = bed_connect(&bed, 1000);
                for (size_t at = 0; at < sizeof(script) - 1; at += portion) {
                        size_t left = sizeof(script) - 1 - at;

                        peer_write(&a, script + at, left < portion ? left : portion);
                        bed_settle(&bed);
                }
                peer_expect(&a, want, sizeof(want) - 1);
                peer_close(&a);
                bed_close(&bed);
        }
}

/* Millions of topics in one frame are handled in many passes; others are served in between. */
static void a_long_list_of_topics_does_not_hold_the_bus(void **state)
{
        static uint8_t body[3 << 20];
        struct bed bed;
        struct peer a, b;
        size_t at = 0;
        uint32_t op;

        bed_open(&bed, NULL);
        a = bed_join(&bed, "a");
        b = bed_join(&bed, "b");
        op = 1;
        peer_write(&a, "\x01\0\0\0\x42\0\0\x30\0", 9);
        while (at < sizeof(body)) {
                ssize_t n = send(a.fd, body + at, sizeof(body) - at, MSG_DONTWAIT);

                at += n > 0 ? (size_t)n : 0;
                assert_int_equal(engine_process(bed.engine), 0);
        }
        assert_int_equal(engine_process(bed.engine), 0);
        peer_expect(&a, NULL, 0);
        peer_send(&b, WIRE_OP_MESSAGE, LITERAL("b\0quick"));
        for (unsigned i = 0; i < 3; i++)
                assert_int_equal(engine_process(bed.engine), 0);
        peer_expect(&b, LITERAL("\x12\x07\0\0\0\0b\0quick"));
        assert_true(bed_settle(&bed) > 100);
        peer_expect_ack(&a, op, WIRE_OK);
        peer_close(&a);
        peer_close(&b);
        bed_close(&bed);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(clients_join_and_leave),
                cmocka_unit_test(a_message_reaches_its_target),
                cmocka_unit_test(a_publication_reaches_its_subscribers),
                cmocka_unit_test(bytes_may_arrive_in_any_portions),
                cmocka_unit_test(a_long_list_of_topics_does_not_hold_the_bus),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
