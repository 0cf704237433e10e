/* SPDX-License-Identifier: Apache-2.0 */
/*
 * New access rules for clients that are there, and rules for clients that were moved: nobody keeps
 * what he may not have, nobody loses what he may, and every count is right.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "basic/macro.h"
#include "rules-bed.h"

#define PROCESSED 0x40
#define ALL "AllowUsers=*\nSendTo=* .broker\nBroadcastTo=*\nPublishTo=#\nSubscribeTo=#\n"

static size_t use_of_subscriptions;

static int find_subscriptions(const struct engine_account_info *info, void *userdata)
{
        if (strcmp(info->identity, "user 1000") == 0)
                use_of_subscriptions = info->subscriptions.used;
        return 0;
}

static size_t subscriptions_of_user(struct bed *bed)
{
        use_of_subscriptions = SIZE_MAX;
        assert_int_equal(engine_foreach_account(bed->engine, find_subscriptions, NULL), 0);
        return use_of_subscriptions;
}

/* --- Reload --- */

static void who_may_not_be_here_any_more_is_disconnected(void **state)
{
        static const char tail[] = "\x12\x04\0\0\0\0a\0xy"; /* what was queued before */
        struct engine_event ev;
        struct peer a, b;
        struct bed bed;

        open_with_rules(&bed, "[*]\n" ALL);
        a = bed_join(&bed, "a");
        b = bed_join(&bed, "b");
        peer_send(&a, WIRE_OP_MESSAGE, LITERAL("b\0xy"));
        assert_int_equal(engine_process(bed.engine), 0);
        change_rules(&bed, "[a]\n" ALL "[b]\nSendTo=a\nAllowUsers=1001 root\n");
        bed_settle(&bed);
        peer_expect(&b, tail, sizeof(tail) - 1);
        peer_expect_end(&b);
        ev = bed_event(&bed, ENGINE_EVENT_GONE);
        assert_string_equal(ev.name, "b");
        assert_int_equal(ev.cause, ENGINE_CAUSE_RULE);
        assert_true(ev.over);
        assert_string_equal(ev.file, "f");
        assert_int_equal(ev.line, 9);
        assert_int_equal(bed_counters(&bed).clients, 1);
        bed_acked(&bed, &a, WIRE_OP_MESSAGE, LITERAL("b\0x"), WIRE_NOT_REGISTERED);
        peer_close(&a);
        peer_close(&b);
        bed_close(&bed);
}

static void secondaries_go_with_their_primary_and_each_is_told_once(void **state)
{
        struct peer a, a1, a2;
        struct engine_event ev;
        struct bed bed;
        unsigned n = 0;

        open_with_rules(&bed, "[*]\n" ALL);
        a = bed_join(&bed, "a");
        a1 = bed_join(&bed, "a%%1");
        a2 = bed_join(&bed, "a%%2");
        change_rules(&bed, "[b]\n" ALL);
        bed_settle(&bed);
        assert_int_equal(bed_counters(&bed).clients, 0);
        while (engine_event_next(bed.engine, &ev) > 0)
                n += ev.over;
        assert_int_equal(n, 3);
        peer_close(&a);
        peer_close(&a1);
        peer_close(&a2);
        bed_close(&bed);
}

static void subscriptions_that_are_not_allowed_any_more_are_dropped(void **state)
{
        struct engine_event ev;
        struct bed bed;
        struct peer a;
        uint64_t held;

        open_with_rules(&bed, "[*]\n" ALL);
        a = bed_join(&bed, "a");
        bed_acked(&bed, &a, WIRE_OP_SUBSCRIBE, LITERAL("t/a"), WIRE_OK);
        held = bed_counters(&bed).held;
        bed_acked(&bed, &a, WIRE_OP_SUBSCRIBE, LITERAL("u\0v/+\0#"), WIRE_OK);
        bed_acked(&bed, &a, WIRE_OP_EXCLUDE, LITERAL("x/#"), WIRE_OK);
        bed_acked(&bed, &a, WIRE_OP_UNEXCLUDE, LITERAL("x/#"), WIRE_OK);
        assert_int_equal(subscriptions_of_user(&bed), 4);
        change_rules(&bed, "[a]\nAllowUsers=*\nPublishTo=#\nSubscribeTo=t/#\n");
        bed_settle(&bed);
        assert_int_equal(subscriptions_of_user(&bed), 1);
        assert_int_equal(n_subscriptions(&bed, "a"), 2); /* `.broker/warn`, too */
        assert_int_equal(bed_counters(&bed).held, held);
        assert_int_equal(bed_counters(&bed).clients, 1);
        ev = bed_event(&bed, ENGINE_EVENT_DENIED);
        assert_int_equal(ev.cause, ENGINE_CAUSE_RULE);
        assert_int_equal(ev.n_frames, 3);
        assert_false(ev.over);
        assert_non_null(strstr(ev.detail, "and 2 more"));
        assert_string_equal(ev.file, "f");
        assert_int_equal(ev.line, 4);
        assert_true(no_event(&bed, ENGINE_EVENT_DENIED));
        bed_acked(&bed, &a, WIRE_OP_PUBLISH, LITERAL("u\0p"), WIRE_OK); /* and nothing comes back */
        peer_close(&a);
        bed_close(&bed);
}

static void one_subscription_is_named(void **state)
{
        struct bed bed;
        struct peer a;

        open_with_rules(&bed, "[*]\n" ALL);
        a = bed_join(&bed, "a");
        bed_acked(&bed, &a, WIRE_OP_SUBSCRIBE, LITERAL("t/+"), WIRE_OK);
        change_rules(&bed, "[a]\nAllowUsers=*\n");
        bed_settle(&bed);
        assert_string_equal(bed_event(&bed, ENGINE_EVENT_DENIED).detail, "\"t/+\"");
        peer_close(&a);
        bed_close(&bed);
}

static void exclusions_stay(void **state)
{
        struct bed bed;
        struct peer a;

        open_with_rules(&bed, "[*]\n" ALL);
        a = bed_join(&bed, "a");
        bed_acked(&bed, &a, WIRE_OP_EXCLUDE, LITERAL("x/#"), WIRE_OK);
        change_rules(&bed, "[a]\nAllowUsers=*\n");
        bed_settle(&bed);
        assert_int_equal(subscriptions_of_user(&bed), 1);
        assert_true(no_event(&bed, ENGINE_EVENT_DENIED));
        peer_close(&a);
        bed_close(&bed);
}

/* What was remembered as allowed is asked for anew, in both directions. */
static void the_next_frame_is_judged_by_the_new_rules(void **state)
{
        static const struct {
                uint8_t op;
                const char *body;
                size_t len;
        } frames[] = {{WIRE_OP_MESSAGE, LITERAL("b\0x")},
                      {WIRE_OP_PUBLISH, LITERAL("t\0x")},
                      {WIRE_OP_BROADCAST, LITERAL("b\0x")}};
        static const char none[] = "[a]\nAllowUsers=*\n[b]\nAllowUsers=*\n";
        static const char *const texts[] = {"[*]\n" ALL, none, NULL, none, "[?]\n" ALL, none};
        struct peer a, b;
        struct bed bed;

        open_with_rules(&bed, texts[0]);
        a = bed_join(&bed, "a");
        b = bed_join(&bed, "b");
        for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
                if (i > 0)
                        change_rules(&bed, texts[i]);
                for (size_t j = 0; j < 2 * ARRAY_SIZE(frames); j++)
                        bed_acked(&bed, &a, frames[j % 3].op, frames[j % 3].body, frames[j % 3].len,
                                  i % 2 == 0 ? WIRE_OK : WIRE_ACCESS);
        }
        peer_close(&a);
        peer_close(&b);
        bed_close(&bed);
}

/* New rules may lie where old ones lay, which by then are gone: with neither new rules nor none is
 * anything left in the topic cache. */
static void the_topic_cache_knows_nothing_of_old_rules(void **state)
{
        static const char *const texts[] = {"[a]\nAllowUsers=*\nPublishTo=t\n", NULL,
                                            "[a]\nAllowUsers=*\nPublishTo=u\n"};
        struct topic_cache *cache;
        struct peer a;
        struct bed bed;

        open_with_rules(&bed, texts[0]);
        cache = &bed.engine->topic_cache;
        a = bed_join(&bed, "a");
        for (size_t i = 0; i < 60; i++) {
                const struct access_rule *rule = registry_find(&bed.engine->registry, "a", 1)->rule;
                const void **note;

                for (size_t j = 0; j < 3; j++)
                        bed_acked(&bed, &a, WIRE_OP_PUBLISH, LITERAL("t\0x"),
                                  i % 3 == 2 ? WIRE_ACCESS : WIRE_OK);
                note = topic_cache_find(cache, "t", 1).note;
                assert_ptr_equal(note ? *note : NULL, i % 3 == 0 ? rule : NULL);
                change_rules(&bed, texts[(i + 1) % 3]);
                bed_settle(&bed);
                assert_null(topic_cache_find(cache, "t", 1).note);
        }
        peer_close(&a);
        bed_close(&bed);
}

/* It costs its user something, more for more topics, up to a limit, until there are new rules. */
static void what_is_remembered_is_paid_for(void **state)
{
        size_t few, many;
        struct bed bed;
        struct peer a;

        open_with_rules(&bed, "[*]\n" ALL);
        a = bed_join(&bed, "a");
        assert_int_equal(bed_counters(&bed).held, 0);
        bed_acked(&bed, &a, WIRE_OP_PUBLISH, LITERAL("t\0x"), WIRE_OK);
        few = bed_counters(&bed).held;
        assert_in_range(few, 1, 1000);
        for (unsigned i = 0; i < 2000; i++) {
                char body[32];
                int len = snprintf(body, sizeof(body), "topic/%u", i);

                bed_acked(&bed, &a, WIRE_OP_PUBLISH, body, (size_t)len + 1, WIRE_OK);
        }
        many = bed_counters(&bed).held;
        assert_in_range(many, 4 * few, 9000);
        change_rules(&bed, "[a]\n" ALL);
        bed_settle(&bed);
        assert_int_equal(bed_counters(&bed).held, 0);
        bed_acked(&bed, &a, WIRE_OP_PUBLISH, LITERAL("t\0x"), WIRE_OK);
        assert_int_equal(bed_counters(&bed).held, few);
        peer_close(&a);
        bed_settle(&bed);
        assert_int_equal(bed_counters(&bed).held, 0);
        bed_close(&bed);
}

/* The receiver's rule counts as the sender's does. */
static void a_receiver_may_become_choosy(void **state)
{
        struct peer a, b;
        struct bed bed;

        open_with_rules(&bed, "[*]\n" ALL);
        a = bed_join(&bed, "a");
        b = bed_join(&bed, "b");
        bed_acked(&bed, &a, WIRE_OP_MESSAGE, LITERAL("b\0x"), WIRE_OK);
        change_rules(&bed, "[a]\n" ALL "[b]\nReceiveFrom=c\n" ALL);
        bed_acked(&bed, &a, WIRE_OP_MESSAGE, LITERAL("b\0x"), WIRE_ACCESS);
        assert_int_equal(bed.engine->registry.n_picky, 1);
        change_rules(&bed, "[a]\n" ALL "[b]\n" ALL);
        bed_acked(&bed, &a, WIRE_OP_MESSAGE, LITERAL("b\0x"), WIRE_OK);
        assert_int_equal(bed.engine->registry.n_picky, 0);
        change_rules(&bed, NULL);
        bed_acked(&bed, &a, WIRE_OP_MESSAGE, LITERAL("b\0x"), WIRE_OK);
        peer_close(&a);
        peer_close(&b);
        bed_close(&bed);
}

static void rules_and_limits_come_together(void **state)
{
        struct engine_config config;
        struct bed bed;
        struct peer a;

        bed_open(&bed, NULL);
        a = bed_join(&bed, "a");
        config = bed.config;
        config.max_topic_parts = 2;
        config.access = rules_of("[a]\nAllowUsers=*\nSubscribeTo=t/#\n");
        assert_int_equal(engine_configure(bed.engine, &config), 0);
        access_rules_unref(config.access);
        bed_acked(&bed, &a, WIRE_OP_SUBSCRIBE, LITERAL("t/b/c"), WIRE_DATA);
        bed_acked(&bed, &a, WIRE_OP_SUBSCRIBE, LITERAL("u/b"), WIRE_ACCESS);
        bed_acked(&bed, &a, WIRE_OP_SUBSCRIBE, LITERAL("t/b"), WIRE_OK);
        peer_close(&a);
        bed_close(&bed);
}

/* --- A list that takes several passes --- */

#define MASKS 60000

static size_t many_masks(char *out)
{
        size_t len = 0;

        for (unsigned i = 0; i < MASKS; i++)
                len += (size_t)sprintf(out + len, "t/%05u", i) + 1;
        return len - 1;
}

/* Until some of the list was handled, and not all. */
static void send_many_masks(struct bed *bed, struct peer *a)
{
        const struct session *s = registry_find(&bed->engine->registry, "a", 1);
        uint8_t header[WIRE_REQUEST_HEADER_SIZE] = {1, 0, 0, 0, WIRE_OP_SUBSCRIBE | PROCESSED};
        char *list = malloc(MASKS * 8 + 1);
        size_t len = many_masks(list), sent = 0;

        le32_put(header + 5, (uint32_t)len);
        peer_write(a, header, sizeof(header));
        while (sent < len) {
                size_t n = MIN(len - sent, (size_t)30000);

                peer_write(a, list + sent, n);
                sent += n;
                if (sent < len)
                        bed_settle(bed);
        }
        while (s->topic_list.at == 0)
                assert_int_equal(engine_process(bed->engine), 0);
        free(list);
}

static void no_list_is_judged_by_two_sets_of_rules(void **state)
{
        struct bed bed;
        struct peer a;

        open_with_rules(&bed, "[*]\n" ALL);
        a = bed_join(&bed, "a");
        send_many_masks(&bed, &a);
        assert_in_range(n_subscriptions(&bed, "a"), 2, MASKS - 1);
        change_rules(&bed, "[*]\nAllowUsers=*\nSubscribeTo=t/59999 t/00001\n");
        bed_settle(&bed);
        peer_expect_ack(&a, 1, WIRE_ACCESS);
        assert_int_equal(n_subscriptions(&bed, "a"), 3);
        assert_int_equal(subscriptions_of_user(&bed), 2);
        peer_close(&a);
        bed_close(&bed);
}

/* What the old ones had refused already is asked for again. */
static void a_list_that_is_half_done_begins_anew(void **state)
{
        struct bed bed;
        struct peer a;

        open_with_rules(&bed, "[*]\nAllowUsers=*\n");
        a = bed_join(&bed, "a");
        send_many_masks(&bed, &a);
        assert_int_equal(n_subscriptions(&bed, "a"), 1);
        change_rules(&bed, "[*]\n" ALL);
        bed_settle(&bed);
        peer_expect_ack(&a, 1, WIRE_OK);
        assert_int_equal(n_subscriptions(&bed, "a"), 1 + MASKS);
        peer_close(&a);
        bed_close(&bed);
}

/* --- In handshake --- */

static void who_waits_for_a_name_is_judged_by_the_new_rules(void **state)
{
        struct peer a, b;
        struct bed bed;

        open_with_rules(&bed, "[*]\n" ALL);
        a = bed_connect(&bed, 1000);
        b = bed_connect(&bed, 1000);
        change_rules(&bed, "[b]\n" ALL);
        assert_int_equal(bed_ask_name(&bed, &a, "a"), WIRE_ACCESS);
        assert_int_equal(bed_ask_name(&bed, &b, "b"), WIRE_OK);
        peer_close(&a);
        peer_close(&b);
        bed_close(&bed);
}

static void rules_that_nobody_took_are_freed(void **state)
{
        struct bed bed;

        open_with_rules(&bed, "[*]\n" ALL);
        change_rules(&bed, "[a]\n" ALL);
        change_rules(&bed, NULL);
        change_rules(&bed, "[b]\n" ALL);
        bed.engine = engine_free(bed.engine);
}

/* --- Moved to another engine --- */

static int move_session(const void *record, size_t len, int fd, void *to)
{
        int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

        assert_int_equal(engine_import(to, record, len, copy), 0);
        return 0;
}

static void move_to(struct bed *bed, const struct engine_config *config)
{
        struct engine *to;

        assert_int_equal(engine_quiesce(bed->engine), 0);
        assert_int_equal(engine_new(config, &to), 0);
        assert_int_equal(engine_export(bed->engine, move_session, to), 0);
        assert_int_equal(engine_import_done(to), 0);
        engine_free(bed->engine);
        bed->engine = to;
}

static void who_is_moved_has_its_rule_again(void **state)
{
        struct engine_config config;
        struct peer a, b, c;
        struct bed bed;

        open_with_rules(&bed, "[*]\n" ALL);
        a = bed_join(&bed, "a");
        b = bed_join(&bed, "b");
        c = bed_join(&bed, "c");
        bed_acked(&bed, &a, WIRE_OP_SUBSCRIBE, LITERAL("t/x\0u"), WIRE_OK);
        config = bed.config;
        config.access = rules_of("[a]\nAllowUsers=*\nSendTo=b\nSubscribeTo=t/#\n"
                                 "[b]\nAllowUsers=*\nReceiveFrom=a\n");
        move_to(&bed, &config);
        access_rules_unref(config.access);
        bed_settle(&bed);
        peer_expect_end(&c);
        assert_int_equal(bed_event(&bed, ENGINE_EVENT_GONE).cause, ENGINE_CAUSE_RULE);
        assert_int_equal(n_subscriptions(&bed, "a"), 2);
        assert_int_equal(subscriptions_of_user(&bed), 1);
        assert_int_equal(bed.engine->registry.n_picky, 1);
        bed_acked(&bed, &a, WIRE_OP_MESSAGE, LITERAL("b\0x"), WIRE_OK);
        bed_acked(&bed, &a, WIRE_OP_PUBLISH, LITERAL("t\0x"), WIRE_ACCESS);
        peer_close(&a);
        peer_close(&b);
        peer_close(&c);
        bed_close(&bed);
}

static void what_was_not_told_yet_is_told_after_a_move(void **state)
{
        struct engine_event ev;
        struct bed bed;
        struct peer a;

        open_with_rules(&bed, "[*]\nAllowUsers=*\n");
        a = bed_join(&bed, "a");
        for (unsigned i = 0; i < 3; i++)
                bed_acked(&bed, &a, WIRE_OP_PUBLISH, LITERAL("t\0x"), WIRE_ACCESS);
        move_to(&bed, &bed.config);
        peer_close(&a);
        bed_settle(&bed);
        ev = bed_event(&bed, ENGINE_EVENT_DENIED);
        assert_int_equal(ev.n_frames, 2);
        bed_close(&bed);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(who_may_not_be_here_any_more_is_disconnected),
                cmocka_unit_test(secondaries_go_with_their_primary_and_each_is_told_once),
                cmocka_unit_test(subscriptions_that_are_not_allowed_any_more_are_dropped),
                cmocka_unit_test(one_subscription_is_named),
                cmocka_unit_test(exclusions_stay),
                cmocka_unit_test(the_next_frame_is_judged_by_the_new_rules),
                cmocka_unit_test(the_topic_cache_knows_nothing_of_old_rules),
                cmocka_unit_test(what_is_remembered_is_paid_for),
                cmocka_unit_test(a_receiver_may_become_choosy),
                cmocka_unit_test(rules_and_limits_come_together),
                cmocka_unit_test(no_list_is_judged_by_two_sets_of_rules),
                cmocka_unit_test(a_list_that_is_half_done_begins_anew),
                cmocka_unit_test(who_waits_for_a_name_is_judged_by_the_new_rules),
                cmocka_unit_test(rules_that_nobody_took_are_freed),
                cmocka_unit_test(who_is_moved_has_its_rule_again),
                cmocka_unit_test(what_was_not_told_yet_is_told_after_a_move),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
