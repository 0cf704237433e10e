/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of what the engine knows about clients. */
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>

#include "basic/clock.h"
#include "basic/macro.h"
#include "bed.h"
#include "busrtd/client-snapshot.h"

#define LONG (60 * NSEC_PER_SEC)
#define SUBSCRIBE 0x02
#define EXCLUDE 0x04

static void all_are_sorted_and_the_broker_is_not_among_them(void **state)
{
        static const char *const names[] = {"b", "a", "a%%2", "c", "a%%1", "\xc3\xa9"};
        static const char *const sorted[] = {"a", "a%%1", "a%%2", "b", "c", "\xc3\xa9"};
        struct peer peers[ARRAY_SIZE(names)];
        struct client_snapshot s;
        struct bed bed;

        bed_open(&bed, NULL);
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                peers[i] = bed_join(&bed, names[i]);
        assert_int_equal(client_snapshot_take_all(bed.engine, 0, LONG, &s), 0);
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                peer_close(&peers[i]);
        bed_close(&bed);
        /* The copies have outlived the engine. */
        assert_int_equal(s.n_clients, ARRAY_SIZE(sorted));
        for (size_t i = 0; i < ARRAY_SIZE(sorted); i++)
                assert_string_equal(s.clients[i].name, sorted[i]);
        assert_int_equal(s.n_texts, 0);
        client_snapshot_done(&s);
        assert_null(s.clients);
}

static void assert_text(const struct client_snapshot *s, size_t i, const char *client,
                        enum client_text_kind kind, const char *text)
{
        assert_true(i < s->n_texts);
        assert_string_equal(s->clients[s->texts[i].client].name, client);
        assert_int_equal(s->texts[i].kind, kind);
        assert_string_equal(s->texts[i].text, text);
}

static void masks_and_secondaries_are_with_their_client(void **state)
{
        struct client_snapshot s;
        struct peer a, b, secondary;
        struct bed bed;

        bed_open(&bed, NULL);
        b = bed_join(&bed, "b");
        a = bed_join(&bed, "a");
        secondary = bed_join(&bed, "a%%x");
        (void)peer_send(&b, SUBSCRIBE, LITERAL("z"));
        (void)peer_send(&a, SUBSCRIBE, LITERAL("y/#\0x"));
        (void)peer_send(&a, EXCLUDE, LITERAL("w"));
        bed_settle(&bed);
        assert_int_equal(client_snapshot_take_all(bed.engine, CLIENT_SNAPSHOT_MASKS, LONG, &s), 0);
        assert_int_equal(s.n_texts, 7);
        assert_text(&s, 0, "a", CLIENT_TEXT_MASK, ".broker/warn");
        assert_text(&s, 1, "a", CLIENT_TEXT_MASK, "x");
        assert_text(&s, 2, "a", CLIENT_TEXT_MASK, "y/#");
        assert_text(&s, 3, "a", CLIENT_TEXT_EXCLUSION, "w");
        assert_text(&s, 4, "a%%x", CLIENT_TEXT_MASK, ".broker/warn");
        assert_text(&s, 6, "b", CLIENT_TEXT_MASK, "z");
        client_snapshot_done(&s);
        assert_int_equal(
                client_snapshot_take_name(bed.engine, "a", CLIENT_SNAPSHOT_SECONDARIES, LONG, &s),
                0);
        assert_int_equal(s.n_clients, 1);
        assert_int_equal(s.n_texts, 1);
        assert_text(&s, 0, "a", CLIENT_TEXT_SECONDARY, "a%%x");
        client_snapshot_done(&s);
        peer_close(&secondary);
        peer_close(&a);
        peer_close(&b);
        bed_close(&bed);
}

static void one_is_found_by_name_and_id(void **state)
{
        struct client_snapshot s, same;
        struct bed bed;
        struct peer a;

        bed_open(&bed, NULL);
        a = bed_join(&bed, "a");
        assert_int_equal(client_snapshot_take_name(bed.engine, "a", 0, LONG, &s), 0);
        assert_int_equal(client_snapshot_take_id(bed.engine, s.clients[0].id, 0, LONG, &same), 0);
        assert_string_equal(same.clients[0].name, "a");
        client_snapshot_done(&same);
        client_snapshot_done(&s);
        assert_int_equal(client_snapshot_take_name(bed.engine, "", 0, LONG, &s), -ENOENT);
        assert_int_equal(client_snapshot_take_name(bed.engine, ".broker", 0, LONG, &s), -ENOENT);
        for (uint64_t id = 0; id < 2; id++) /* `.broker` has one of them */
                assert_int_equal(client_snapshot_take_id(bed.engine, id, 0, LONG, &s), -ENOENT);
        assert_int_equal(client_snapshot_take_id(bed.engine, UINT64_MAX, 0, LONG, &s), -ENOENT);
        peer_close(&a);
        bed_close(&bed);
}

static void more_than_an_answer_may_hold_is_refused(void **state)
{
        struct client_snapshot s;
        char mask[4001] = {0};
        struct bed bed;
        struct peer a;

        bed_open(&bed, NULL);
        a = bed_join(&bed, "a");
        memset(mask, 'x', sizeof(mask) - 1);
        for (unsigned i = 0; i < 7000; i++) {
                (void)snprintf(mask, 6, "%05u", i);
                mask[5] = 'x';
                (void)peer_send(&a, SUBSCRIBE, mask, sizeof(mask) - 1);
                bed_settle(&bed);
        }
        assert_int_equal(client_snapshot_take_all(bed.engine, CLIENT_SNAPSHOT_MASKS, LONG, &s),
                         -E2BIG);
        assert_int_equal(
                client_snapshot_take_name(bed.engine, "a", CLIENT_SNAPSHOT_MASKS, LONG, &s),
                -E2BIG);
        assert_int_equal(client_snapshot_take_all(bed.engine, 0, LONG, &s), 0);
        assert_int_equal(s.n_clients, 1);
        client_snapshot_done(&s);
        peer_close(&a);
        bed_close(&bed);
}

/* --- A worker that does not come to it --- */

struct stall {
        struct engine *engine;
        sem_t begun, end;
};

static void hold_up(struct engine *engine, void *userdata)
{
        struct stall *stall = userdata;

        sem_post(&stall->begun);
        while (sem_wait(&stall->end) < 0)
                ;
}

static void *stall_main(void *userdata)
{
        struct stall *stall = userdata;

        (void)engine_inspect(stall->engine, hold_up, stall, LONG);
        return NULL;
}

static void the_worker_is_not_waited_for_for_ever(void **state)
{
        struct client_snapshot s;
        struct stall stall;
        pthread_t thread;
        struct bed bed;

        bed_open(&bed, NULL);
        assert_int_equal(engine_start(bed.engine), 0);
        stall.engine = bed.engine;
        sem_init(&stall.begun, 0, 0);
        sem_init(&stall.end, 0, 0);
        assert_int_equal(pthread_create(&thread, NULL, stall_main, &stall), 0);
        while (sem_wait(&stall.begun) < 0)
                ;
        assert_int_equal(client_snapshot_take_all(bed.engine, 0, NSEC_PER_MSEC, &s), -ETIMEDOUT);
        assert_int_equal(client_snapshot_take_id(bed.engine, 1, 0, NSEC_PER_MSEC, &s), -ETIMEDOUT);
        sem_post(&stall.end);
        pthread_join(thread, NULL);
        assert_int_equal(client_snapshot_take_all(bed.engine, 0, LONG, &s), 0);
        client_snapshot_done(&s);
        engine_stop(bed.engine, false);
        sem_destroy(&stall.begun);
        sem_destroy(&stall.end);
        bed_close(&bed);
}

static void primaries_are_named(void **state)
{
        char out[16];

        assert_string_equal(
                client_primary_name(&(struct engine_client_info){.name = "a", .primary = true}, out,
                                    sizeof(out)),
                "");
        assert_string_equal(client_primary_name(&(struct engine_client_info){.name = "a%%b%%c"},
                                                out, sizeof(out)),
                            "a");
        assert_string_equal(
                client_primary_name(&(struct engine_client_info){.name = "longer than it%%x"}, out,
                                    4),
                "lon");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(all_are_sorted_and_the_broker_is_not_among_them),
                cmocka_unit_test(masks_and_secondaries_are_with_their_client),
                cmocka_unit_test(one_is_found_by_name_and_id),
                cmocka_unit_test(more_than_an_answer_may_hold_is_refused),
                cmocka_unit_test(the_worker_is_not_waited_for_for_ever),
                cmocka_unit_test(primaries_are_named),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
