/* SPDX-License-Identifier: Apache-2.0 */
/* Clients in the engine's process: how their sessions end, and names that change hands. */
#include "local-bed.h"

/* --- The client closes --- */

static void the_client_closes_in_every_state(void **state)
{
        struct bed bed;
        struct local a, b;

        local_bed_open(&bed);
        a = local_connect(&bed);
        local_close(&a);
        a = local_connect(&bed);
        assert_int_equal(local_write(&a, LITERAL("\xeb\x01\0")), 3);
        local_close(&a);
        a = local_join(&bed, "a");
        local_close(&a);
        /* with frames that it has not read, and half of one that it has sent */
        a = local_join(&bed, "a");
        b = local_join(&bed, "b");
        local_send(&b, WIRE_OP_MESSAGE, LITERAL("a\0hello"));
        assert_int_equal(local_write(&a, LITERAL("\0\0\0\0\x12\xff\xff\0\0b\0")), 11);
        assert_true(bed_counters(&bed).held > 0);
        local_close(&a);
        local_close(&b);
        assert_int_equal(bed_counters(&bed).clients, 0);
        bed_settle(&bed);
        assert_int_equal(bed_counters(&bed).sessions, 0);
        assert_int_equal(bed_counters(&bed).held, 0);
        assert_null(engine_local_free(NULL));
        bed_close(&bed);
}

/* --- The broker ends it --- */

static void what_was_queued_can_be_read_to_the_end(void **state)
{
        struct bed bed;
        struct local a, b;
        uint64_t id;

        local_bed_open(&bed);
        a = local_join(&bed, "a");
        b = local_join(&bed, "b");
        id = bed_event(&bed, ENGINE_EVENT_REGISTERED).id;
        local_send(&b, WIRE_OP_MESSAGE, LITERAL("a\0hello"));
        local_expect(&a, LITERAL("\x12\x07\0\0\0\0b\0hello"));
        local_send(&b, WIRE_OP_MESSAGE, LITERAL("a\0again"));
        assert_int_equal(engine_disconnect(bed.engine, id), 0);
        bed_settle(&bed);
        local_acked(&b, WIRE_OP_MESSAGE, LITERAL("a\0hello"), WIRE_NOT_REGISTERED);
        assert_int_equal(local_try(&a, WIRE_OP_MESSAGE, LITERAL("b\0hello")), -EPIPE);
        assert_true(local_is_told(&a));
        local_expect(&a, LITERAL("\x12\x07\0\0\0\0b\0again"));
        local_expect_end(&a);
        bed_settle(&bed);
        assert_int_equal(bed_counters(&bed).sessions, 1);
        local_expect_end(&a);
        local_close(&a);
        local_close(&b);
        bed_close(&bed);
}

/* It is told though it waits for nothing that would come. */
static void who_is_asleep_is_told_of_the_end(void **state)
{
        struct bed bed;
        struct local a;

        local_bed_open(&bed);
        a = local_join(&bed, "a");
        local_expect(&a, "", 0);
        assert_false(local_is_told(&a));
        assert_int_equal(engine_disconnect(bed.engine, bed_event(&bed, ENGINE_EVENT_REGISTERED).id),
                         0);
        bed_settle(&bed);
        assert_true(local_is_told(&a));
        local_expect_end(&a);
        local_close(&a);
        bed_close(&bed);
}

static void bad_bytes_end_it(void **state)
{
        static const struct {
                const char *bytes;
                size_t len;
                const char *answer;
                size_t answer_len;
        } rows[] = {
                {LITERAL("\x01\0\0\0\x7f\0\0\0\0"), LITERAL("\xfe\x01\0\0\0\x72")},
                {LITERAL("\x01\0\0\0\x3f\0\0\0\0"), "", 0},
                {LITERAL("\x01\0\0\0\x52\x01\0\0\0a"), LITERAL("\xfe\x01\0\0\0\x72")},
                {LITERAL("\x01\0\0\0\x52\x02\0\0\0\xff\0"), LITERAL("\xfe\x01\0\0\0\x72")},
                {LITERAL("\x01\0\0\0\x42\x02\0\0\0a\xff"), LITERAL("\xfe\x01\0\0\0\x72")},
                {LITERAL("\x01\0\0\0\x52\xff\xff\xff\xff"), LITERAL("\xfe\x01\0\0\0\x72")},
                {LITERAL("\x01\0\0\0\x52\x01\x04\0\0"), LITERAL("\xfe\x01\0\0\0\x72")},
        };
        struct engine_config config;
        struct bed bed;

        local_config(&config);
        config.max_frame_size = 1024;
        bed_open(&bed, &config);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct local a = local_join(&bed, "a");

                assert_int_equal(local_write(&a, rows[i].bytes, rows[i].len), rows[i].len);
                assert_true(bed_event(&bed, ENGINE_EVENT_BAD_FRAME).over);
                if (rows[i].answer_len)
                        local_expect(&a, rows[i].answer, rows[i].answer_len);
                local_expect_end(&a);
                local_close(&a);
        }
        assert_int_equal(bed_counters(&bed).bad, ARRAY_SIZE(rows));
        bed_close(&bed);
}

/* Of what one write holds, all before the bad frame counts. */
static void good_frames_before_a_bad_one(void **state)
{
        struct bed bed;
        struct local a, b;

        local_bed_open(&bed);
        a = local_join(&bed, "a");
        b = local_join(&bed, "b");
        assert_int_equal(local_write(&a, LITERAL("\x01\0\0\0\x52\x04\0\0\0"
                                                 "b\0hi"
                                                 "\x02\0\0\0\x7f\0\0\0\0"
                                                 "\x03\0\0\0\x52\x04\0\0\0"
                                                 "b\0no")),
                         13 + 9 + 13);
        local_expect(&b, LITERAL("\x12\x04\0\0\0\0a\0hi"));
        local_expect(&a, LITERAL("\xfe\x01\0\0\0\x01\xfe\x02\0\0\0\x72"));
        local_expect_end(&a);
        local_close(&a);
        local_close(&b);
        bed_close(&bed);
}

/* --- Names that change hands --- */

static bool is_told(void *userdata)
{
        return local_is_told(userdata);
}

static bool is_over(void *userdata)
{
        uint8_t byte;

        return engine_local_read(((struct local *)userdata)->end, &byte, 1) == 0;
}

static bool is_joined(void *userdata)
{
        return bed_counters(userdata).clients == 1;
}

static void open_forced(struct bed *bed, enum force_register force)
{
        struct engine_config config;

        local_config(&config);
        config.force_register = force;
        bed_open(bed, &config);
}

static void a_taken_name_is_refused(void **state)
{
        struct bed bed;
        struct local a, b;
        struct peer s;

        local_bed_open(&bed);
        a = local_join(&bed, "a");
        b = local_connect(&bed);
        assert_int_equal(local_ask(&b, "a", 1), WIRE_BUSY);
        local_expect_end(&b);
        local_close(&b);
        s = bed_connect(&bed, geteuid());
        assert_int_equal(bed_ask_name(&bed, &s, "a"), WIRE_BUSY);
        peer_close(&s);
        local_acked(&a, WIRE_OP_MESSAGE, LITERAL("nobody\0"), WIRE_NOT_REGISTERED);
        local_close(&a);
        bed_close(&bed);
}

/* Who takes a name over here has it when its write returns, without a pass. */
static void a_name_is_taken_over_at_once(void **state)
{
        struct bed bed;
        struct local first, second, third;
        struct peer s;

        open_forced(&bed, FORCE_REGISTER_ANY);
        first = local_join(&bed, "a");
        second = local_join(&bed, "a%%1");
        third = local_join(&bed, "b");
        local_send(&third, WIRE_OP_MESSAGE, LITERAL("a\0hello"));
        local_close(&third);
        third = local_join(&bed, "a");
        assert_true(bed_event(&bed, ENGINE_EVENT_TAKEOVER).over);
        local_expect(&first, LITERAL("\x12\x07\0\0\0\0b\0hello"));
        local_expect_end(&first);
        local_expect_end(&second);
        assert_int_equal(bed_counters(&bed).clients, 1);
        /* and by a socket, which waits for the next pass, and from one */
        s = bed_connect(&bed, geteuid());
        peer_write(&s, LITERAL("\xeb\x01\0\x01\0a"));
        bed_until(&bed, is_over, &third);
        bed_until(&bed, is_joined, &bed);
        peer_expect(&s, LITERAL("\xeb\x01\0\x01\x01"));
        local_close(&third);
        third = local_join(&bed, "a");
        bed_settle(&bed);
        peer_expect_end(&s);
        local_acked(&third, WIRE_OP_MESSAGE, LITERAL("b\0"), WIRE_NOT_REGISTERED);
        local_close(&first);
        local_close(&second);
        local_close(&third);
        peer_close(&s);
        bed_close(&bed);
}

static void only_ones_own_name_is_taken_over(void **state)
{
        struct bed bed;
        struct local a;
        struct peer s;

        open_forced(&bed, FORCE_REGISTER_SAME_IDENTITY);
        s = bed_join_as(&bed, "a", geteuid() + 1);
        a = local_connect(&bed);
        assert_int_equal(local_ask(&a, "a", 1), WIRE_BUSY);
        local_close(&a);
        peer_close(&s);
        bed_settle(&bed);
        s = bed_join_as(&bed, "a", geteuid());
        a = local_join(&bed, "a");
        bed_settle(&bed);
        peer_expect_end(&s);
        peer_close(&s);
        local_close(&a);
        bed_close(&bed);
}

/* The worker has to read its last bytes first; the name is asked for again then. */
static void the_holder_of_a_name_has_just_gone(void **state)
{
        struct bed bed;
        struct local a;
        struct peer s;

        local_bed_open(&bed);
        s = bed_join(&bed, "a");
        a = local_connect(&bed);
        local_expect(&a, LITERAL("\xeb\x01\0"));
        assert_int_equal(local_write(&a, LITERAL("\xeb\x01\0")), 3);
        local_expect(&a, LITERAL("\x01"));
        peer_close(&s);
        assert_int_equal(local_write(&a, LITERAL("\x01\0a")), -EAGAIN);
        assert_false(local_is_told(&a));
        bed_until(&bed, is_told, &a);
        assert_int_equal(local_write(&a, LITERAL("\x01\0a")), 3);
        local_expect(&a, LITERAL("\x01"));
        local_close(&a);
        bed_close(&bed);
}

/* --- Time --- */

static bool has_ended(void *userdata)
{
        uint8_t byte;

        return recv(((struct peer *)userdata)->fd, &byte, 1, MSG_DONTWAIT) == 0;
}

/* Who shares the process is alive: it need not ping, nor read. A socket's client must. */
static void no_keep_alive(void **state)
{
        struct engine_config config;
        struct bed bed;
        struct local a, nameless, drained;
        struct peer s;

        local_config(&config);
        config.timeout = 20 * NSEC_PER_MSEC;
        bed_open(&bed, &config);
        a = local_join(&bed, "a");
        drained = local_join(&bed, "d");
        nameless = local_connect(&bed);
        local_send(&a, WIRE_OP_MESSAGE, LITERAL("a\0hello"));
        local_send(&a, WIRE_OP_MESSAGE, LITERAL("d\0hello"));
        assert_int_equal(local_write(&a, LITERAL("\0\0\0\0\x12\x07\0\0\0b\0")), 11);
        assert_int_equal(local_write(&drained, LITERAL("\0\0\0\0\x7f\0\0\0\0")), 9);
        s = bed_join(&bed, "s");
        bed_until(&bed, has_ended, &s);
        assert_string_equal(bed_event(&bed, ENGINE_EVENT_TIMEOUT).name, "");
        assert_string_equal(bed_event(&bed, ENGINE_EVENT_TIMEOUT).name, "s");
        /* It did not say its name in time; it did not read its last. */
        local_expect_end(&nameless);
        local_expect_end(&drained);
        bed_settle(&bed);
        assert_int_equal(bed_counters(&bed).sessions, 1);
        /* The frame's end comes when it comes, and no ping was ever sent. */
        assert_int_equal(local_write(&a, LITERAL("hello")), 5);
        local_expect(&a, LITERAL("\x12\x07\0\0\0\0a\0hello"));
        local_close(&a);
        local_close(&nameless);
        local_close(&drained);
        peer_close(&s);
        bed_close(&bed);
}

/* --- The engine stops --- */

/* What waits for them can be taken all the same, and their ends be freed, whenever that is. */
static void the_engine_stops_in_every_state(void **state)
{
        struct bed bed;
        struct local a, b, c, d, e;
        struct engine_local *late = (void *)&late;

        local_bed_open(&bed);
        a = local_connect(&bed);
        b = local_connect(&bed);
        assert_int_equal(local_write(&b, LITERAL("\xeb\x01\0")), 3);
        c = local_join(&bed, "c");
        d = local_join(&bed, "d");
        e = local_join(&bed, "e");
        local_send(&c, WIRE_OP_MESSAGE, LITERAL("c\0hello"));
        assert_int_equal(local_write(&d, LITERAL("\0\0\0\0\x12\xff\0\0\0b\0")), 11);
        engine_stop(bed.engine, true);
        bed_settle(&bed);
        assert_int_equal(bed_counters(&bed).sessions, 0);
        local_expect(&a, LITERAL("\xeb\x01\0"));
        local_expect_end(&a);
        local_expect(&b, LITERAL("\xeb\x01\0\x01"));
        local_expect_end(&b);
        local_expect_stop(&c, LITERAL("\x12\x07\0\0\0\0c\0hello"));
        local_expect_stop(&d, "", 0);
        assert_int_equal(engine_local_new(bed.engine, NULL, &late), -ESHUTDOWN);
        assert_ptr_equal(late, &late);
        local_close(&a);
        local_close(&b);
        local_close(&c);
        local_close(&d);
        assert_true(bed_counters(&bed).held > 0);
        local_close(&e);
        assert_int_equal(bed_counters(&bed).held, 0);
        bed_close(&bed);
}

/* In odd portions, and a large one that was half taken before. */
static void what_waits_when_the_engine_stops_is_whole(void **state)
{
        static uint8_t frame[100000], got[2 * sizeof(frame)];
        struct bed bed;
        struct local a;
        size_t n = 0;
        ssize_t r;

        local_bed_open(&bed);
        a = local_join(&bed, "a");
        for (size_t i = 0; i < sizeof(frame); i++)
                frame[i] = (uint8_t)(i * 2654435761u >> 13);
        frame_make(frame, 0, WIRE_OP_MESSAGE, frame + WIRE_REQUEST_HEADER_SIZE,
                   sizeof(frame) - WIRE_REQUEST_HEADER_SIZE);
        memcpy(frame + WIRE_REQUEST_HEADER_SIZE, "a", 2);
        assert_int_equal(local_write(&a, frame, sizeof(frame)), sizeof(frame));
        local_send(&a, WIRE_OP_MESSAGE, LITERAL("a\0hello"));
        assert_int_equal(engine_local_read(a.end, got, 50001), 50001);
        engine_stop(bed.engine, true);
        bed_settle(&bed);
        for (n = 50001; (r = engine_local_read(a.end, got + n, 777)) > 0;)
                n += (size_t)r;
        assert_int_equal(r, 0);
        assert_int_equal(n, sizeof(frame) - 11 + 8 + 13 + 50);
        assert_memory_equal(got + 8, frame + 11, sizeof(frame) - 11);
        assert_memory_equal(got + 8 + sizeof(frame) - 11, "\x12\x07\0\0\0\0a\0hello\x01", 14);
        local_close(&a);
        assert_int_equal(bed_counters(&bed).held, 0);
        bed_close(&bed);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_client_closes_in_every_state),
                cmocka_unit_test(what_was_queued_can_be_read_to_the_end),
                cmocka_unit_test(who_is_asleep_is_told_of_the_end),
                cmocka_unit_test(bad_bytes_end_it),
                cmocka_unit_test(good_frames_before_a_bad_one),
                cmocka_unit_test(a_taken_name_is_refused),
                cmocka_unit_test(a_name_is_taken_over_at_once),
                cmocka_unit_test(only_ones_own_name_is_taken_over),
                cmocka_unit_test(the_holder_of_a_name_has_just_gone),
                cmocka_unit_test(no_keep_alive),
                cmocka_unit_test(the_engine_stops_in_every_state),
                cmocka_unit_test(what_waits_when_the_engine_stops_is_whole),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
