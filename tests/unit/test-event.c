/* SPDX-License-Identifier: Apache-2.0 */
/* What the host is told: the end of each client once, and nothing else as its end. */
#include <string.h>

#include "bed.h"

#define PAYLOAD 2000

static uint64_t id_of(struct bed *bed, const char *name)
{
        struct engine_client_info info = {0};

        assert_int_equal(engine_find_client(bed->engine, name, strlen(name), &info), 0);
        return info.id;
}

static unsigned count_over(struct bed *bed, uint64_t id)
{
        struct engine_event ev;
        unsigned n = 0;

        while (engine_event_next(bed->engine, &ev) > 0)
                n += ev.over && ev.id == id;
        return n;
}

static void the_end_of_a_client_is_one_event(void **state)
{
        struct engine_config config;
        uint64_t closed, broken, kicked, struck;
        struct peer a, b, c, d;
        struct bed bed;

        bed_config(&config);
        config.queue_frames = 8;
        config.slow_pace = 0;
        bed_open(&bed, &config);
        a = bed_join(&bed, "a");
        b = bed_join(&bed, "b");
        c = bed_join(&bed, "c");
        d = bed_join(&bed, "d");
        closed = id_of(&bed, "a");
        struck = id_of(&bed, "b");
        kicked = id_of(&bed, "c");
        broken = id_of(&bed, "d");
        assert_int_equal(count_over(&bed, closed), 0);
        engine_disconnect(bed.engine, kicked);
        engine_disconnect(bed.engine, kicked);
        bed_settle(&bed);
        assert_int_equal(count_over(&bed, kicked), 1);
        peer_send(&d, 0x3f, NULL, 0);
        bed_settle(&bed);
        assert_int_equal(count_over(&bed, broken), 1);
        for (unsigned i = 0; bed_counters(&bed).struck == 0; i++) {
                static const uint8_t body[2 + PAYLOAD] = "b";

                assert_true(i < 10000);
                peer_send(&a, WIRE_OP_MESSAGE, body, sizeof(body));
                bed_settle(&bed);
        }
        assert_int_equal(count_over(&bed, struck), 1);
        peer_close(&a);
        bed_settle(&bed);
        assert_int_equal(count_over(&bed, closed), 1);
        peer_close(&b);
        peer_close(&c);
        peer_close(&d);
        bed_close(&bed);
}

static void losing_frames_is_not_the_end(void **state)
{
        struct engine_config config;
        struct peer a, b;
        struct bed bed;
        uint64_t id;

        bed_config(&config);
        config.queue_frames = 8;
        config.slow_pace = 0;
        config.slow_policy = SLOW_DROP_NEWEST;
        bed_open(&bed, &config);
        a = bed_join(&bed, "a");
        b = bed_join(&bed, "b");
        id = id_of(&bed, "b");
        for (unsigned i = 0; bed_counters(&bed).dropped == 0; i++) {
                static const uint8_t body[2 + PAYLOAD] = "b";

                assert_true(i < 10000);
                peer_send(&a, WIRE_OP_MESSAGE, body, sizeof(body));
                bed_settle(&bed);
        }
        assert_int_equal(bed_counters(&bed).struck, 1);
        assert_int_equal(count_over(&bed, id), 0);
        peer_close(&b);
        bed_settle(&bed);
        assert_int_equal(count_over(&bed, id), 1);
        peer_close(&a);
        bed_close(&bed);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_end_of_a_client_is_one_event),
                cmocka_unit_test(losing_frames_is_not_the_end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
