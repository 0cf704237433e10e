/* SPDX-License-Identifier: Apache-2.0 */
/* Clients in the engine's process: what they are limited by, and what is seen of them. */
#include <fcntl.h>

#include "local-bed.h"

/* --- Limits --- */

static void its_user_has_as_much_as_it_may(void **state)
{
        struct engine_config config;
        struct engine_local *end = (void *)&end;
        struct bed bed;
        struct local a, b;

        local_config(&config);
        config.max_connections_per_user = 2;
        config.max_handshakes_per_user = 1;
        config.max_names_per_user = 1;
        config.max_subscriptions_per_user = 1;
        bed_open(&bed, &config);
        a = local_connect(&bed);
        assert_int_equal(engine_local_new(bed.engine, NULL, &end), -EUSERS);
        assert_int_equal(local_ask(&a, "a", 1), WIRE_OK);
        b = local_connect(&bed);
        assert_int_equal(local_ask(&b, "b", 1), WIRE_ACCESS);
        assert_int_equal(engine_local_new(bed.engine, NULL, &end), -EDQUOT);
        assert_ptr_equal(end, &end);
        local_close(&b);
        bed_settle(&bed);
        local_acked(&a, WIRE_OP_SUBSCRIBE, LITERAL("t"), WIRE_OK);
        local_acked(&a, WIRE_OP_SUBSCRIBE, LITERAL("u"), WIRE_ACCESS);
        local_close(&a);
        bed_settle(&bed);
        config.max_connections_per_user = 100;
        config.connection_rate_per_user = 1;
        config.connection_burst_per_user = 1;
        config.max_handshakes_per_user = 100;
        assert_int_equal(engine_configure(bed.engine, &config), 0);
        bed_settle(&bed);
        for (unsigned i = 0; i < 3; i++) {
                int r = engine_local_new(bed.engine, NULL, &a.end);

                if (r == 0)
                        local_close(&a);
                assert_true(r == 0 || r == -EBUSY);
                assert_true(r == -EBUSY || i < 2);
        }
        bed_close(&bed);
}

/* Whoever holds most loses it, sender and receivers here or there. */
static void memory_is_limited(void **state)
{
        static uint8_t body[2000];
        struct engine_config config;
        struct bed bed;
        struct local a, b;
        unsigned n = 0;

        local_config(&config);
        config.queue_memory_max = 1 << 20;
        bed_open(&bed, &config);
        a = local_join(&bed, "a");
        b = local_join(&bed, "b");
        memcpy(body, "b", 2);
        while (local_try(&a, WIRE_OP_MESSAGE, body, sizeof(body)) > 0 &&
               bed_counters(&bed).clients == 2) {
                assert_true(bed_counters(&bed).held <= 1 << 20);
                assert_true(++n < 1000);
        }
        assert_true(n > 100);
        assert_string_equal(bed_event(&bed, ENGINE_EVENT_MEMORY).name, "b");
        local_expect_end(&b);
        local_acked(&a, WIRE_OP_MESSAGE, LITERAL("b\0"), WIRE_NOT_REGISTERED);
        local_close(&b);
        bed_settle(&bed);
        assert_true(bed_counters(&bed).held < 10000);
        local_close(&a);
        bed_close(&bed);
}

/* A frame that it sends and never finishes counts, and finds the limit. */
static void an_unfinished_frame_is_limited(void **state)
{
        static uint8_t bytes[100000] = "\0\0\0\0\x12\0\0\0\x02"
                                       "b";
        struct engine_config config;
        struct bed bed;
        struct local a;
        ssize_t r;
        unsigned n = 0;

        local_config(&config);
        config.queue_memory_max = 1 << 20;
        bed_open(&bed, &config);
        a = local_join(&bed, "a");
        while ((r = local_write(&a, bytes, sizeof(bytes))) > 0)
                assert_true(++n < 100);
        assert_int_equal(r, -EPIPE);
        assert_true(n >= 2);
        (void)bed_event(&bed, ENGINE_EVENT_MEMORY);
        local_expect_end(&a);
        local_close(&a);
        bed_close(&bed);
}

/* --- What is seen of them --- */

static void everything_is_counted(void **state)
{
        struct engine_counters before, c;
        struct bed bed;
        struct local a, b;

        local_bed_open(&bed);
        a = local_join(&bed, "a");
        b = local_join(&bed, "b");
        before = bed_counters(&bed);
        assert_int_equal(before.sessions, 2);
        local_acked(&a, WIRE_OP_MESSAGE, LITERAL("b\0hello"), WIRE_OK);
        c = bed_counters(&bed);
        assert_int_equal(c.r_frames - before.r_frames, 1);
        assert_int_equal(c.r_bytes - before.r_bytes, 7);
        assert_int_equal(c.w_frames - before.w_frames, 2);
        assert_int_equal(c.w_bytes - before.w_bytes, 7 + 6);
        assert_true(c.held > 0);
        local_expect(&b, LITERAL("\x12\x07\0\0\0\0a\0hello"));
        local_close(&a);
        local_close(&b);
        bed_settle(&bed);
        assert_int_equal(bed_counters(&bed).held, 0);
        bed_close(&bed);
}

struct look {
        unsigned n_clients, n_subscriptions;
        int found, ended, sent;
};

static int count_mask(const char *mask, size_t len, void *userdata)
{
        struct look *look = userdata;

        look->n_subscriptions++;
        return 0;
}

static int see_client(const struct engine_client_info *info, void *userdata)
{
        struct look *look = userdata;

        look->n_clients++;
        if (strcmp(info->name, ".a") != 0)
                return 0;
        assert_int_equal(info->kind, TRANSPORT_MEMORY);
        assert_string_equal(transport_kind_name(info->kind), "internal");
        assert_string_equal(info->listener, "here");
        assert_int_equal(info->uid, geteuid());
        assert_int_equal(info->gid, getegid());
        assert_int_equal(info->pid, getpid());
        assert_true(info->primary);
        assert_int_equal(info->queue_frames, 1);
        assert_int_equal(info->r_frames, 1);
        assert_int_equal(info->instances, 1);
        return 0;
}

static void look_around(struct engine *engine, void *userdata)
{
        struct look *look = userdata;
        struct engine_client_info info;

        (void)engine_foreach_client(engine, see_client, look);
        look->found = engine_find_client(engine, ".a", 2, &info);
        (void)engine_foreach_subscription(engine, info.id, false, count_mask, look);
        engine_send_now(engine, ENGINE_SEND_MESSAGE, "s", 1, "hi", 2);
        look->ended = engine_end(engine, info.id);
}

/* On this thread, with the bus in hand; what it caused is done when it returns. */
static void a_visit(void **state)
{
        struct look look = {0};
        struct local a = {0};
        struct bed bed;
        struct peer s;

        local_bed_open(&bed);
        s = bed_join(&bed, "s");
        assert_int_equal(engine_local_new(bed.engine, "here", &a.end), 0);
        assert_int_equal(local_ask(&a, ".a", 2), WIRE_OK);
        local_acked(&a, WIRE_OP_SUBSCRIBE, LITERAL("t"), WIRE_OK);
        peer_send(&s, WIRE_OP_MESSAGE, LITERAL(".a\0hi"));
        bed_settle(&bed);
        engine_visit(bed.engine, look_around, &look);
        assert_int_equal(look.n_clients, 3);
        assert_int_equal(look.n_subscriptions, 2);
        assert_int_equal(look.found, 0);
        assert_int_equal(look.ended, 0);
        peer_expect(&s, LITERAL("\x12\x0a\0\0\0\0.broker\0hi"));
        local_expect(&a, LITERAL("\x12\x04\0\0\0\0s\0hi"));
        local_expect_end(&a);
        local_close(&a);
        peer_close(&s);
        bed_close(&bed);
}

/* --- Other processes cannot have them --- */

static int count_record(const void *record, size_t len, int fd, void *userdata)
{
        assert_true(fcntl(fd, F_GETFD) >= 0);
        ++*(unsigned *)userdata;
        return 0;
}

static void they_are_not_exported(void **state)
{
        struct bed bed;
        struct local a;
        struct peer s;
        unsigned n = 0;

        local_bed_open(&bed);
        a = local_join(&bed, "a");
        s = bed_join(&bed, "s");
        assert_int_equal(engine_quiesce(bed.engine), 0);
        assert_int_equal(engine_export(bed.engine, count_record, &n), 0);
        assert_int_equal(n, 1);
        local_close(&a);
        peer_close(&s);
        bed.engine = engine_free(bed.engine);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(its_user_has_as_much_as_it_may),
                cmocka_unit_test(memory_is_limited),
                cmocka_unit_test(an_unfinished_frame_is_limited),
                cmocka_unit_test(everything_is_counted),
                cmocka_unit_test(a_visit),
                cmocka_unit_test(they_are_not_exported),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
