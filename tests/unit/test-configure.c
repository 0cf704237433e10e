/* SPDX-License-Identifier: Apache-2.0 */
/* New limits, and what they do to sessions that there are. */
#include <string.h>

#include "basic/clock.h"
#include "bed.h"
#include "engine/internal.h"

static struct engine_client_info find(struct bed *bed, const char *name)
{
        struct engine_client_info info = {0};

        assert_int_equal(engine_find_client(bed->engine, name, strlen(name), &info), 0);
        return info;
}

#define PAYLOAD 2000

/* Until `from` is paused for b, whose socket is full. */
static void fill(struct bed *bed, struct peer *from)
{
        static const uint8_t body[2 + PAYLOAD] = "b";
        struct engine_client_info info;

        for (uint64_t n = 1;; n++) {
                peer_send(from, WIRE_OP_MESSAGE, body, sizeof(body));
                bed_settle(bed);
                info = find(bed, "a");
                if (info.r_frames < n)
                        return;
                assert_true(n < 10000);
        }
}

static void open_paced(struct bed *bed)
{
        struct engine_config config;

        bed_config(&config);
        config.queue_frames = 8;
        config.slow_pace = 3600 * NSEC_PER_SEC;
        bed_open(bed, &config);
}

static bool nobody_is_there(void *userdata)
{
        return bed_counters(userdata).sessions == 0;
}

/* Who is registered, and who is not yet. */
static void a_shorter_timeout_ends_who_is_silent(void **state)
{
        struct engine_config config;
        struct bed bed;
        struct peer a, b;

        bed_open(&bed, NULL);
        config = bed.config;
        a = bed_join(&bed, "a");
        b = bed_connect(&bed, 1000);
        assert_int_equal(bed_counters(&bed).sessions, 2);
        config.timeout = 20 * NSEC_PER_MSEC;
        assert_int_equal(engine_configure(bed.engine, &config), 0);
        bed_until(&bed, nobody_is_there, &bed);
        assert_int_equal(bed_event(&bed, ENGINE_EVENT_TIMEOUT).type, ENGINE_EVENT_TIMEOUT);
        assert_int_equal(bed_event(&bed, ENGINE_EVENT_TIMEOUT).type, ENGINE_EVENT_TIMEOUT);
        peer_close(&a);
        peer_close(&b);
        bed_close(&bed);
}

/* Who was silent for as long as the old timeout allowed has the whole new one. */
static void a_new_timeout_ends_nobody_at_once(void **state)
{
        struct engine_config config;
        struct session *s;
        struct bed bed;
        struct peer a;

        bed_open(&bed, NULL);
        config = bed.config;
        a = bed_join(&bed, "a");
        s = registry_find(&bed.engine->registry, "a", 1);
        s->frame_at -= 3000 * NSEC_PER_SEC;
        config.timeout = 60 * NSEC_PER_SEC;
        assert_int_equal(engine_configure(bed.engine, &config), 0);
        bed_settle(&bed);
        assert_int_equal(bed_counters(&bed).clients, 1);
        assert_true(s->ping_at <= bed.engine->now + 30 * NSEC_PER_SEC);
        assert_true(s->timer_at <= s->ping_at);
        assert_true(session_next_deadline(s) > bed.engine->now);
        peer_close(&a);
        bed_close(&bed);
}

static void a_longer_timeout_is_everybodys(void **state)
{
        struct engine_config config;
        uint64_t deadline;
        struct session *s;
        struct bed bed;
        struct peer a;

        bed_open(&bed, NULL);
        config = bed.config;
        a = bed_connect(&bed, 1000);
        s = LIST_FIRST(&bed.engine->sessions);
        deadline = session_next_deadline(s);
        config.timeout += 100 * NSEC_PER_SEC;
        assert_int_equal(engine_configure(bed.engine, &config), 0);
        bed_settle(&bed);
        assert_int_equal(session_next_deadline(s), deadline + 100 * NSEC_PER_SEC);
        peer_close(&a);
        bed_close(&bed);
}

static void larger_queues_let_a_paused_sender_go_on(void **state)
{
        struct engine_config config;
        struct bed bed;
        struct peer a, b;
        uint64_t before;

        open_paced(&bed);
        config = bed.config;
        a = bed_join(&bed, "a");
        b = bed_join(&bed, "b");
        fill(&bed, &a);
        before = find(&bed, "a").r_frames;
        config.queue_frames = 1000;
        assert_int_equal(engine_configure(bed.engine, &config), 0);
        bed_settle(&bed);
        assert_int_equal(find(&bed, "a").r_frames, before + 1);
        config.queue_frames = 4;
        assert_int_equal(engine_configure(bed.engine, &config), 0);
        peer_send(&a, WIRE_OP_MESSAGE, LITERAL("b\0x"));
        bed_settle(&bed);
        assert_int_equal(find(&bed, "a").r_frames, before + 1);
        peer_close(&a);
        peer_close(&b);
        bed_close(&bed);
}

static bool somebody_was_struck(void *userdata)
{
        return bed_counters(userdata).struck > 0;
}

static void a_shorter_pause_is_taken_by_one_under_way(void **state)
{
        struct engine_config config;
        struct bed bed;
        struct peer a, b;

        open_paced(&bed);
        config = bed.config;
        a = bed_join(&bed, "a");
        b = bed_join(&bed, "b");
        fill(&bed, &a);
        config.slow_pace = 5 * NSEC_PER_MSEC;
        assert_int_equal(engine_configure(bed.engine, &config), 0);
        bed_until(&bed, somebody_was_struck, &bed);
        assert_int_equal(bed_event(&bed, ENGINE_EVENT_STRUCK).type, ENGINE_EVENT_STRUCK);
        peer_close(&a);
        peer_close(&b);
        bed_close(&bed);
}

static void new_limits_of_connections_hold_for_the_next(void **state)
{
        struct transport_peer who = {.kind = TRANSPORT_UNIX, .uid = 1000};
        struct engine_config config;
        struct bed bed;
        struct peer a;

        bed_open(&bed, NULL);
        config = bed.config;
        a = bed_join(&bed, "a");
        config.max_connections_per_user = 1;
        assert_int_equal(engine_configure(bed.engine, &config), 0);
        bed_settle(&bed);
        assert_int_equal(engine_adopt(bed.engine, -1, &who, "x"), -EDQUOT);
        assert_int_equal(bed_counters(&bed).clients, 1);
        peer_close(&a);
        bed_close(&bed);
}

/* Also for a topic that was published just before. */
static void new_limits_of_topics_hold_for_the_next_publication(void **state)
{
        static const char body[] = "line/1/speed\0x";
        struct engine_config config;
        struct bed bed;
        struct peer a;

        bed_open(&bed, NULL);
        config = bed.config;
        a = bed_join(&bed, "a");
        bed_acked(&bed, &a, WIRE_OP_PUBLISH, body, sizeof(body) - 1, WIRE_OK);
        bed_acked(&bed, &a, WIRE_OP_PUBLISH, body, sizeof(body) - 1, WIRE_OK);
        config.max_topic_length = 11;
        assert_int_equal(engine_configure(bed.engine, &config), 0);
        bed_settle(&bed);
        bed_acked(&bed, &a, WIRE_OP_PUBLISH, body, sizeof(body) - 1, WIRE_DATA);
        config.max_topic_length = 12;
        assert_int_equal(engine_configure(bed.engine, &config), 0);
        bed_settle(&bed);
        bed_acked(&bed, &a, WIRE_OP_PUBLISH, body, sizeof(body) - 1, WIRE_OK);
        peer_close(&a);
        bed_close(&bed);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_shorter_timeout_ends_who_is_silent),
                cmocka_unit_test(a_new_timeout_ends_nobody_at_once),
                cmocka_unit_test(a_longer_timeout_is_everybodys),
                cmocka_unit_test(larger_queues_let_a_paused_sender_go_on),
                cmocka_unit_test(a_shorter_pause_is_taken_by_one_under_way),
                cmocka_unit_test(new_limits_of_connections_hold_for_the_next),
                cmocka_unit_test(new_limits_of_topics_hold_for_the_next_publication),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
