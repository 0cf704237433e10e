/* SPDX-License-Identifier: Apache-2.0 */
/* Clients in the engine's process: the same protocol, without a socket and without a pass. */
#include "local-bed.h"

/* --- The handshake --- */

static void a_client_in_this_process_joins_at_once(void **state)
{
        struct bed bed;
        struct local a;
        struct engine_event ev;

        local_bed_open(&bed);
        a = local_connect(&bed);
        assert_true(local_is_told(&a));
        local_expect(&a, LITERAL("\xeb\x01\0"));
        assert_false(local_is_told(&a));
        assert_int_equal(local_write(&a, LITERAL("\xeb\x01\0")), 3);
        assert_true(local_is_told(&a));
        local_expect(&a, LITERAL("\x01"));
        assert_int_equal(local_write(&a, LITERAL("\x01\0a")), 3);
        local_expect(&a, LITERAL("\x01"));
        assert_int_equal(bed_counters(&bed).clients, 1);
        ev = bed_event(&bed, ENGINE_EVENT_REGISTERED);
        assert_string_equal(ev.name, "a");
        assert_int_equal(ev.kind, TRANSPORT_MEMORY);
        assert_int_equal(ev.uid, geteuid());
        assert_int_equal(ev.pid, getpid());
        local_close(&a);
        assert_int_equal(bed_counters(&bed).clients, 0);
        ev = bed_event(&bed, ENGINE_EVENT_GONE);
        assert_true(ev.over);
        assert_string_equal(ev.detail, "closed by the client");
        bed_settle(&bed);
        assert_int_equal(bed_counters(&bed).sessions, 0);
        bed_close(&bed);
}

static void the_whole_handshake_may_come_in_one_write(void **state)
{
        struct bed bed;
        struct local a;

        local_bed_open(&bed);
        a = local_connect(&bed);
        assert_int_equal(local_write(&a, LITERAL("\xeb\x01\0\x01\0a\0\0\0\x01\x52\x03\0\0\0a\0!")),
                         18);
        local_expect(&a, LITERAL("\xeb\x01\0\x01\x01\x12\x03\0\0\0\0a\0!\xfe\0\0\0\x01\x01"));
        local_close(&a);
        bed_close(&bed);
}

static void refused(struct bed *bed, const void *bytes, size_t len, const void *answer, size_t n)
{
        struct local a = local_connect(bed);
        uint8_t got[16];

        assert_int_equal(local_write(&a, bytes, len), len);
        assert_int_equal(local_read(&a, got, sizeof(got)), n);
        assert_memory_equal(got, answer, n);
        local_expect_end(&a);
        (void)bed_event(bed, ENGINE_EVENT_REFUSED);
        local_close(&a);
        bed_settle(bed);
        assert_int_equal(bed_counters(bed).sessions, 0);
}

static void a_wrong_handshake_is_refused(void **state)
{
        struct bed bed;

        local_bed_open(&bed);
        refused(&bed, LITERAL("GET / HTTP"), LITERAL("\xeb\x01\0\x75"));
        refused(&bed, LITERAL("\xeb\x02\0"), LITERAL("\xeb\x01\0\x75"));
        refused(&bed, LITERAL("\xeb\x01\0\0\0"), LITERAL("\xeb\x01\0\x01\x72"));
        refused(&bed, LITERAL("\xeb\x01\0\x01\0\x07"), LITERAL("\xeb\x01\0\x01\x72"));
        refused(&bed, LITERAL("\xeb\x01\0\xff\xff"), LITERAL("\xeb\x01\0\x01\x72"));
        assert_int_equal(bed_counters(&bed).refused, 5);
        bed_close(&bed);
}

/* Only they may: who shares the broker's process. */
static void names_may_begin_with_a_dot(void **state)
{
        static const struct {
                const char *name;
                uint8_t code, by_socket;
        } rows[] = {
                {".a", WIRE_OK, WIRE_DATA},
                {".a%%1", WIRE_OK, WIRE_DATA}, /* the first one is still there */
                {".b%%1", WIRE_NOT_REGISTERED, WIRE_DATA},
                {".", WIRE_DATA, WIRE_DATA},
                {"..", WIRE_DATA, WIRE_DATA},
                {"..a", WIRE_DATA, WIRE_DATA},
                {".%%1", WIRE_DATA, WIRE_DATA},
                {".broker", WIRE_BUSY, WIRE_DATA},
                {".broker%%1", WIRE_ACCESS, WIRE_DATA},
                {".brok", WIRE_OK, WIRE_DATA},
                {"b", WIRE_OK, WIRE_BUSY},
        };
        struct local locals[ARRAY_SIZE(rows)];
        struct bed bed;

        local_bed_open(&bed);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct peer p = bed_connect(&bed, geteuid());

                locals[i] = local_connect(&bed);
                if (local_ask(&locals[i], rows[i].name, strlen(rows[i].name)) != rows[i].code ||
                    bed_ask_name(&bed, &p, rows[i].name) != rows[i].by_socket)
                        fail_msg("\"%s\"", rows[i].name);
                peer_close(&p);
        }
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                local_close(&locals[i]);
        bed_close(&bed);
}

/* Nobody's name, however long, makes it write behind its buffers. */
static void the_longest_name(void **state)
{
        static char name[WIRE_NAME_MAX + 1];
        struct bed bed;
        struct local a, b;

        memset(name, 'n', sizeof(name));
        local_bed_open(&bed);
        a = local_connect(&bed);
        assert_int_equal(local_ask(&a, name, WIRE_NAME_MAX), WIRE_OK);
        name[0] = '.';
        b = local_connect(&bed);
        assert_int_equal(local_ask(&b, name, WIRE_NAME_MAX), WIRE_OK);
        local_close(&a);
        local_close(&b);
        bed_close(&bed);
}

/* --- Frames --- */

static void a_message_reaches_its_target(void **state)
{
        struct bed bed;
        struct local a, b;
        struct peer s;
        uint32_t op;

        local_bed_open(&bed);
        a = local_join(&bed, "a");
        b = local_join(&bed, "b");
        s = bed_join(&bed, "s");
        op = local_send(&a, WIRE_OP_MESSAGE | PROCESSED, LITERAL("b\0hello"));
        assert_true(local_is_told(&b));
        local_expect(&b, LITERAL("\x12\x07\0\0\0\0a\0hello"));
        assert_false(local_is_told(&b));
        local_expect_ack(&a, op, WIRE_OK);
        /* to and from a socket, oneself, and nobody */
        local_acked(&a, WIRE_OP_MESSAGE | REALTIME, LITERAL("s\0hello"), WIRE_OK);
        peer_expect(&s, LITERAL("\x12\x07\0\0\0\x01"
                                "a\0hello"));
        bed_acked(&bed, &s, WIRE_OP_MESSAGE, LITERAL("a\0hello"), WIRE_OK);
        local_expect(&a, LITERAL("\x12\x07\0\0\0\0s\0hello"));
        local_send(&a, WIRE_OP_MESSAGE, LITERAL("a\0"));
        local_expect(&a, LITERAL("\x12\x02\0\0\0\0a\0"));
        local_acked(&a, WIRE_OP_MESSAGE, LITERAL("c\0hello"), WIRE_NOT_REGISTERED);
        local_expect(&a, "", 0);
        local_close(&b);
        local_acked(&a, WIRE_OP_MESSAGE, LITERAL("b\0hello"), WIRE_NOT_REGISTERED);
        local_close(&a);
        peer_close(&s);
        bed_close(&bed);
}

static void fan_out_reaches_everybody(void **state)
{
        struct bed bed;
        struct local a, b;
        struct peer s;

        local_bed_open(&bed);
        a = local_join(&bed, "x.a");
        b = local_join(&bed, "x.b");
        s = bed_join(&bed, "x.s");
        local_acked(&b, WIRE_OP_SUBSCRIBE, LITERAL("t/#"), WIRE_OK);
        bed_acked(&bed, &s, WIRE_OP_SUBSCRIBE, LITERAL("t/+"), WIRE_OK);
        local_acked(&a, WIRE_OP_PUBLISH, LITERAL("t/1\0hello"), WIRE_OK);
        local_expect(&b, LITERAL("\x01\x0d\0\0\0\0x.a\0t/1\0hello"));
        peer_expect(&s, LITERAL("\x01\x0d\0\0\0\0x.a\0t/1\0hello"));
        peer_send(&s, WIRE_OP_PUBLISH, LITERAL("t/2\0hello"));
        bed_settle(&bed);
        local_expect(&b, LITERAL("\x01\x0d\0\0\0\0x.s\0t/2\0hello"));
        peer_expect(&s, LITERAL("\x01\x0d\0\0\0\0x.s\0t/2\0hello"));
        local_acked(&a, WIRE_OP_BROADCAST, LITERAL("x.?.*\0hello"), WIRE_OK);
        local_send(&a, WIRE_OP_BROADCAST | PROCESSED, LITERAL("x.*\0hello"));
        local_expect(&b, LITERAL("\x13\x09\0\0\0\0x.a\0hello"));
        peer_expect(&s, LITERAL("\x13\x09\0\0\0\0x.a\0hello"));
        local_expect(&a, LITERAL("\x13\x09\0\0\0\0x.a\0hello\xfe\x03\0\0\0\x01"));
        local_close(&a);
        local_close(&b);
        peer_close(&s);
        bed_close(&bed);
}

static void what_is_excluded_does_not_come(void **state)
{
        struct bed bed;
        struct local a, b;

        local_bed_open(&bed);
        a = local_join(&bed, "x.a");
        b = local_join(&bed, "x.b");
        local_acked(&b, WIRE_OP_SUBSCRIBE, LITERAL("t/#"), WIRE_OK);
        local_acked(&b, WIRE_OP_EXCLUDE, LITERAL("t/1"), WIRE_OK);
        local_acked(&a, WIRE_OP_PUBLISH, LITERAL("t/1\0hello"), WIRE_OK);
        local_expect(&b, "", 0);
        local_acked(&b, WIRE_OP_UNEXCLUDE, LITERAL("t/1"), WIRE_OK);
        local_acked(&a, WIRE_OP_PUBLISH_FOR, LITERAL("t/1\0x.b\0hello"), WIRE_OK);
        local_expect(&b, LITERAL("\x01\x0d\0\0\0\0x.a\0t/1\0hello"));
        local_acked(&a, WIRE_OP_PUBLISH_FOR, LITERAL("t/1\0x.a\0hello"), WIRE_OK);
        local_acked(&b, WIRE_OP_UNSUBSCRIBE, LITERAL("t/#"), WIRE_OK);
        local_acked(&a, WIRE_OP_PUBLISH, LITERAL("t/1\0hello"), WIRE_OK);
        local_expect(&b, "", 0);
        local_close(&a);
        local_close(&b);
        bed_close(&bed);
}

static void their_coming_and_going_is_announced(void **state)
{
        struct bed bed;
        struct local a, second;
        struct peer s;
        uint8_t got[256];

        local_bed_open(&bed);
        s = bed_join(&bed, "s");
        bed_acked(&bed, &s, WIRE_OP_SUBSCRIBE, LITERAL(".broker/info"), WIRE_OK);
        a = local_join(&bed, "a");
        assert_int_equal(peer_read(&s, got, sizeof(got)), 49);
        assert_memory_equal(got + 6,
                            "\x2e"
                            "broker\0.broker/info\0\x83\xa1s\xa3reg\xa1"
                            "d\xa1"
                            "a\xa1t",
                            34);
        second = local_join(&bed, "a%%1");
        assert_int_equal(peer_read(&s, got, sizeof(got)), 0);
        local_close(&a);
        assert_int_equal(peer_read(&s, got, sizeof(got)), 51);
        assert_memory_equal(got + 6,
                            "\x2e"
                            "broker\0.broker/info\0\x83\xa1s\xa5unreg\xa1"
                            "d\xa1"
                            "a\xa1t",
                            36);
        /* Who goes, goes with its secondaries. */
        local_expect_end(&second);
        local_close(&second);
        peer_close(&s);
        bed_close(&bed);
}

/* Whoever has read a part, or one of many, finds the descriptor readable while there is more. */
static void it_is_told_while_there_is_more(void **state)
{
        struct bed bed;
        struct local a, b;
        uint8_t byte;

        local_bed_open(&bed);
        a = local_join(&bed, "a");
        b = local_join(&bed, "b");
        for (unsigned n_frames = 1; n_frames < 4; n_frames++) {
                for (unsigned i = 0; i < n_frames; i++)
                        local_send(&a, WIRE_OP_MESSAGE, LITERAL("b\0hello"));
                for (unsigned i = 0; i < n_frames * 13; i++) {
                        assert_true(local_is_told(&b));
                        assert_int_equal(engine_local_read(b.end, &byte, 1), 1);
                }
                assert_int_equal(engine_local_read(b.end, &byte, 1), -EAGAIN);
                assert_false(local_is_told(&b));
        }
        local_close(&a);
        local_close(&b);
        bed_close(&bed);
}

/* One write in two pieces, cut at every byte, is the same as in one. */
static void a_frame_may_come_in_pieces(void **state)
{
        static const char script[] = "\x01\0\0\0\x52\x04\0\0\0"
                                     "a\0hi"
                                     "\0\0\0\0\0\xff\xff\xff\xff"
                                     "\x02\0\0\0\x12\x04\0\0\0"
                                     "a\0ho";
        static const char want[] = "\x12\x04\0\0\0\0a\0hi\xfe\x01\0\0\0\x01\x12\x04\0\0\0\0a\0ho";
        struct bed bed;
        struct local a;

        local_bed_open(&bed);
        a = local_join(&bed, "a");
        for (size_t at = 0; at < sizeof(script); at++) {
                struct iovec iov[] = {{(void *)script, at},
                                      {NULL, 0},
                                      {(void *)(script + at), sizeof(script) - 1 - at}};

                assert_int_equal(engine_local_write(a.end, iov, 3), sizeof(script) - 1);
                local_expect(&a, want, sizeof(want) - 1);
        }
        local_close(&a);
        bed_close(&bed);
}

static void half_a_frame_is_an_error(void **state)
{
        static const char bytes[] = "\x01\0\0\0\x52\x04\0\0\0"
                                    "a\0hi"
                                    "\x02\0\0\0\x12\x04\0\0";
        struct bed bed;
        struct local a = {0};
        struct iovec none[2] = {{NULL, 0}, {NULL, 0}};

        local_bed_open(&bed);
        a = local_connect(&bed);
        assert_int_equal(local_write(&a, LITERAL("\xeb\x01")), -EINVAL);
        assert_int_equal(local_write(&a, LITERAL("\xeb\x01\0\x03")), 3);
        assert_int_equal(local_write(&a, LITERAL("\x03")), -EINVAL);
        assert_int_equal(local_write(&a, LITERAL("\x03\0ab")), -EINVAL);
        local_close(&a);
        a = local_join(&bed, "a");
        for (size_t n = 1; n < WIRE_REQUEST_HEADER_SIZE; n++)
                assert_int_equal(local_write(&a, bytes, n), -EINVAL);
        assert_int_equal(local_write(&a, bytes, 0), -EINVAL);
        assert_int_equal(engine_local_write(a.end, none, 2), -EINVAL);
        assert_int_equal(engine_local_write(a.end, none, 0), -EINVAL);
        assert_int_equal(local_write(&a, bytes, sizeof(bytes) - 1), 13);
        assert_int_equal(local_write(&a, bytes + 13, sizeof(bytes) - 14), -EINVAL);
        /* nothing of all that has been kept */
        local_expect(&a, LITERAL("\x12\x04\0\0\0\0a\0hi\xfe\x01\0\0\0\x01"));
        local_close(&a);
        bed_close(&bed);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_client_in_this_process_joins_at_once),
                cmocka_unit_test(the_whole_handshake_may_come_in_one_write),
                cmocka_unit_test(a_wrong_handshake_is_refused),
                cmocka_unit_test(names_may_begin_with_a_dot),
                cmocka_unit_test(the_longest_name),
                cmocka_unit_test(a_message_reaches_its_target),
                cmocka_unit_test(fan_out_reaches_everybody),
                cmocka_unit_test(what_is_excluded_does_not_come),
                cmocka_unit_test(their_coming_and_going_is_announced),
                cmocka_unit_test(it_is_told_while_there_is_more),
                cmocka_unit_test(a_frame_may_come_in_pieces),
                cmocka_unit_test(half_a_frame_is_an_error),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
