/* SPDX-License-Identifier: Apache-2.0 */
/* What the host is told: the end of each client once, nothing else as its end, and refusals and
 * time-outs by their kinds. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "basic/clock.h"
#include "basic/macro.h"
#include "basic/utf8.h"
#include "bed.h"
#include "wire/handshake.h"

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

static void a_long_name_is_cut_between_characters(void **state)
{
        static const size_t lengths[] = {126, 127, 128, 129, 130, 131, 1024};
        struct engine_event ev;
        struct bed bed;

        bed_open(&bed, NULL);
        for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
                char name[1025] = "";
                struct peer a;

                for (size_t n = lengths[i] % 3; n < lengths[i]; n += 3)
                        memcpy(name + n, "\xe2\x82\xac", 3);
                memset(name, 'a', lengths[i] % 3);
                a = bed_join(&bed, name);
                ev = bed_event(&bed, ENGINE_EVENT_REGISTERED);
                assert_true(utf8_is_valid(ev.name, strlen(ev.name)));
                if (lengths[i] < sizeof(ev.name))
                        assert_string_equal(ev.name, name);
                else
                        assert_string_equal(ev.name + strlen(ev.name) - 3, "...");
                assert_true(strlen(ev.name) >= MIN(lengths[i], 122));
                peer_close(&a);
                bed_settle(&bed);
        }
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

/* --- Kinds of refusals --- */

/* A connection that says this in its handshake, and the kind of refusal that it meets. */
static enum engine_cause refused_for(struct bed *bed, uid_t uid, const void *greeting,
                                     const char *name)
{
        struct peer p = bed_connect(bed, uid);
        uint64_t refused = bed_counters(bed).refused;
        struct engine_event ev;
        uint8_t len[2];

        peer_write(&p, greeting, WIRE_GREETING_SIZE);
        if (name) {
                le16_put(len, (uint16_t)strlen(name));
                peer_write(&p, len, sizeof(len));
                peer_write(&p, name, strlen(name));
        }
        bed_settle(bed);
        ev = bed_event(bed, ENGINE_EVENT_REFUSED);
        assert_true(ev.over);
        assert_int_equal(bed_counters(bed).refused, refused + 1);
        peer_close(&p);
        bed_settle(bed);
        return ev.cause;
}

static void refusals_are_told_apart(void **state)
{
        struct bed bed;
        struct peer a;

        bed_open(&bed, NULL);
        a = bed_join(&bed, "a");
        assert_int_equal(refused_for(&bed, 1000, "GET", NULL), ENGINE_CAUSE_PROTOCOL);
        assert_int_equal(refused_for(&bed, 1000, "\xeb\x07\x00", NULL), ENGINE_CAUSE_PROTOCOL);
        assert_int_equal(refused_for(&bed, 1000, wire_greeting, ".a"), ENGINE_CAUSE_NAME);
        assert_int_equal(refused_for(&bed, 1000, wire_greeting, "a"), ENGINE_CAUSE_NAME);
        assert_int_equal(refused_for(&bed, 1000, wire_greeting, "b%%1"), ENGINE_CAUSE_NAME);
        assert_int_equal(refused_for(&bed, 1001, wire_greeting, "a%%1"), ENGINE_CAUSE_RULE);
        peer_close(&a);
        bed_close(&bed);
}

#define MASKS 5000

/* "0\0" "1\0" ... */
static size_t many_masks(char *list, size_t size)
{
        size_t at = 0;

        for (unsigned i = 0; i < MASKS; i++)
                at += (size_t)snprintf(list + at, size - at, "%u", i) + 1;
        return at - 1;
}

static unsigned count_of(struct bed *bed, enum engine_event_type type, enum engine_cause cause)
{
        struct engine_event ev;
        unsigned n = 0;

        while (engine_event_next(bed->engine, &ev) > 0)
                if (ev.type == type && ev.cause == cause) {
                        assert_false(ev.over);
                        n++;
                }
        return n;
}

static void refused_subscriptions_are_one_event(void **state)
{
        static char list[MASKS * 5];
        struct engine_config config;
        struct bed bed;
        struct peer a;
        size_t len;

        bed_config(&config);
        config.queue_memory_max = 1 << 20;
        bed_open(&bed, &config);
        a = bed_join(&bed, "a");
        len = many_masks(list, sizeof(list));
        assert_int_equal(count_of(&bed, ENGINE_EVENT_REFUSED, ENGINE_CAUSE_QUOTA), 0);
        peer_send(&a, WIRE_OP_SUBSCRIBE, list, len);
        bed_settle(&bed);
        assert_int_equal(count_of(&bed, ENGINE_EVENT_REFUSED, ENGINE_CAUSE_QUOTA), 1);
        assert_int_equal(bed_counters(&bed).refused, 1);
        assert_int_equal(bed_counters(&bed).clients, 1);
        peer_close(&a);
        bed_close(&bed);
}

static void too_many_connections_count_as_refused(void **state)
{
        struct transport_peer who = {.kind = TRANSPORT_UNIX, .uid = 1000};
        struct engine_config config;
        struct bed bed;
        struct peer a;

        bed_config(&config);
        config.max_connections_per_user = 1;
        bed_open(&bed, &config);
        a = bed_join(&bed, "a");
        assert_int_equal(engine_adopt(bed.engine, -1, &who, "x"), -EDQUOT);
        assert_int_equal(bed_counters(&bed).refused, 1);
        peer_close(&a);
        bed_close(&bed);
}

/* --- Kinds of time-outs --- */

static bool nobody_is_there(void *userdata)
{
        return bed_counters(userdata).sessions == 0;
}

static void open_hasty(struct bed *bed)
{
        struct engine_config config;

        bed_config(&config);
        config.timeout = 30 * NSEC_PER_MSEC;
        bed_open(bed, &config);
}

static void expect_timeout(struct bed *bed, struct peer *p, enum engine_cause cause)
{
        bed_until(bed, nobody_is_there, bed);
        assert_int_equal(bed_event(bed, ENGINE_EVENT_TIMEOUT).cause, cause);
        peer_close(p);
}

static void time_outs_are_told_apart(void **state)
{
        static const uint8_t half[] = {1, 0, 0, 0, WIRE_OP_MESSAGE, 100, 0, 0, 0, 'a'};
        struct bed bed;
        struct peer p;

        open_hasty(&bed);
        p = bed_connect(&bed, 1000);
        expect_timeout(&bed, &p, ENGINE_CAUSE_HANDSHAKE);
        p = bed_join(&bed, "a");
        expect_timeout(&bed, &p, ENGINE_CAUSE_KEEP_ALIVE);
        p = bed_join(&bed, "a");
        peer_write(&p, half, sizeof(half));
        expect_timeout(&bed, &p, ENGINE_CAUSE_BODY);
        bed_close(&bed);
}

static bool was_blocked(void *userdata)
{
        struct bed *bed = userdata;
        struct engine_event ev;
        bool found = false;

        while (engine_event_next(bed->engine, &ev) > 0)
                found |= ev.type == ENGINE_EVENT_TIMEOUT && ev.cause == ENGINE_CAUSE_BLOCKED;
        return found;
}

/* It answers in time, and takes nothing. */
static void a_client_that_takes_nothing_is_told_as_that(void **state)
{
        static const uint8_t body[2 + PAYLOAD] = "b", ping[WIRE_REQUEST_HEADER_SIZE] = {0};
        struct engine_config config;
        struct bed bed;
        struct peer a, b;

        bed_open(&bed, NULL);
        a = bed_join(&bed, "a");
        b = bed_join(&bed, "b");
        for (unsigned i = 0; i < 1000; i++) {
                peer_send(&a, WIRE_OP_MESSAGE, body, sizeof(body));
                bed_settle(&bed);
        }
        config = bed.config;
        config.timeout = 50 * NSEC_PER_MSEC;
        assert_int_equal(engine_configure(bed.engine, &config), 0);
        for (unsigned i = 0; i < 10; i++)
                peer_write(&b, ping, sizeof(ping));
        bed_until(&bed, was_blocked, &bed);
        peer_close(&a);
        peer_close(&b);
        bed_close(&bed);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_end_of_a_client_is_one_event),
                cmocka_unit_test(a_long_name_is_cut_between_characters),
                cmocka_unit_test(losing_frames_is_not_the_end),
                cmocka_unit_test(refusals_are_told_apart),
                cmocka_unit_test(refused_subscriptions_are_one_event),
                cmocka_unit_test(too_many_connections_count_as_refused),
                cmocka_unit_test(time_outs_are_told_apart),
                cmocka_unit_test(a_client_that_takes_nothing_is_told_as_that),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
