/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one user, or one address, may have of everything: refused where it is too much, with the
 * code that the peer gets and the event, and given back when it is no more. Others are not
 * concerned.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "basic/clock.h"
#include "basic/macro.h"
#include "bed.h"
#include "engine/internal.h"

static const struct transport_peer user = {.kind = TRANSPORT_UNIX, .uid = 1000};
static const struct transport_peer host = {
        .kind = TRANSPORT_TCP, .family_bytes = 4, .address = {192, 0, 2, 1}};

struct search {
        const char *identity;
        struct engine_account_info info;
        unsigned n_found;
};

static int find_account(const struct engine_account_info *info, void *userdata)
{
        struct search *search = userdata;

        if (strcmp(info->identity, search->identity) == 0) {
                search->info = *info;
                search->n_found++;
        }
        return 0;
}

static struct engine_account_info account_of(struct bed *bed, const char *identity)
{
        struct search search = {.identity = identity};

        assert_int_equal(engine_foreach_account(bed->engine, find_account, &search), 0);
        assert_int_equal(search.n_found, 1);
        return search.info;
}

/* --- At accept --- */

static void expect_refused(struct bed *bed, const struct transport_peer *who, int error)
{
        uint64_t before = bed_counters(bed).refused;

        assert_int_equal(engine_adopt(bed->engine, -1, who, "x"), error);
        assert_int_equal(bed_counters(bed).refused, before + 1);
}

static void connections_without_a_name_are_limited(void **state)
{
        static const struct transport_peer *const peers[] = {&user, &host};

        for (size_t i = 0; i < ARRAY_SIZE(peers); i++) {
                struct engine_config config;
                struct peer a, b, c;
                struct bed bed;

                bed_config(&config);
                config.max_handshakes_per_user = 2;
                bed_open(&bed, &config);
                a = bed_connect_from(&bed, peers[i]);
                b = bed_connect_from(&bed, peers[i]);
                expect_refused(&bed, peers[i], -EUSERS);
                c = bed_connect(&bed, 1001);
                assert_int_equal(bed_ask_name(&bed, &a, "a"), WIRE_OK);
                peer_close(&c);
                c = bed_connect_from(&bed, peers[i]);
                expect_refused(&bed, peers[i], -EUSERS);
                peer_close(&b);
                bed_settle(&bed);
                b = bed_connect_from(&bed, peers[i]);
                assert_int_equal(account_of(&bed, i ? "192.0.2.1" : "user 1000").handshakes.used,
                                 2);
                assert_int_equal(account_of(&bed, i ? "192.0.2.1" : "user 1000").handshakes.refused,
                                 2);
                peer_close(&a);
                peer_close(&b);
                peer_close(&c);
                bed_close(&bed);
        }
}

static void who_is_refused_a_name_has_no_name(void **state)
{
        struct engine_config config;
        struct peer a, b;
        struct bed bed;

        bed_config(&config);
        config.max_handshakes_per_user = 1;
        bed_open(&bed, &config);
        a = bed_connect(&bed, 1000);
        assert_int_equal(bed_ask_name(&bed, &a, ".x"), WIRE_DATA);
        peer_close(&a);
        bed_settle(&bed);
        b = bed_join(&bed, "b");
        assert_int_equal(account_of(&bed, "user 1000").handshakes.used, 0);
        peer_close(&b);
        bed_close(&bed);
}

static void connections_per_second_are_limited(void **state)
{
        struct engine_config config;
        struct peer peers[5];
        struct bed bed;

        bed_config(&config);
        config.connection_rate_per_user = 1;
        config.connection_burst_per_user = ARRAY_SIZE(peers);
        bed_open(&bed, &config);
        for (size_t i = 0; i < ARRAY_SIZE(peers); i++) {
                peers[i] = bed_connect_from(&bed, &host);
                peer_close(&peers[i]);
        }
        bed_settle(&bed); /* leaving is no way round it */
        expect_refused(&bed, &host, -EBUSY);
        peers[0] = bed_connect(&bed, 1000);
        peer_close(&peers[0]);
        bed_close(&bed);
}

static void new_limits_are_taken(void **state)
{
        struct engine_config config;
        struct bed bed;
        struct peer a;

        bed_open(&bed, NULL);
        a = bed_join(&bed, "a");
        config = bed.config;
        config.max_names_per_user = 1;
        config.max_subscriptions_per_user = 1;
        assert_int_equal(engine_configure(bed.engine, &config), 0);
        bed_settle(&bed);
        bed_acked(&bed, &a, WIRE_OP_SUBSCRIBE, LITERAL("a"), WIRE_OK);
        bed_acked(&bed, &a, WIRE_OP_SUBSCRIBE, LITERAL("b"), WIRE_ACCESS);
        config.max_subscriptions_per_user = 2;
        config.exempt[0] = 1000;
        config.n_exempt = 1;
        assert_int_equal(engine_configure(bed.engine, &config), 0);
        bed_settle(&bed);
        bed_acked(&bed, &a, WIRE_OP_SUBSCRIBE, LITERAL("b\0c\0d\0e"), WIRE_OK);
        peer_close(&a);
        bed_close(&bed);
}

/* --- Names --- */

static void open_with_names(struct bed *bed, size_t n, enum force_register force)
{
        struct engine_config config;

        bed_config(&config);
        config.max_names_per_user = n;
        config.force_register = force;
        bed_open(bed, &config);
}

static void names_are_limited(void **state)
{
        struct engine_event ev;
        struct peer a, a1, b, c;
        struct bed bed;

        open_with_names(&bed, 2, FORCE_REGISTER_NO);
        a = bed_join(&bed, "a");
        a1 = bed_join(&bed, "a%%1");
        b = bed_connect(&bed, 1000);
        assert_int_equal(bed_ask_name(&bed, &b, "b"), WIRE_ACCESS);
        peer_expect_end(&b);
        ev = bed_event(&bed, ENGINE_EVENT_REFUSED);
        assert_int_equal(ev.cause, ENGINE_CAUSE_QUOTA);
        assert_string_equal(ev.name, "b");
        assert_true(ev.over);
        c = bed_join_as(&bed, "c", 1001);
        assert_int_equal(account_of(&bed, "user 1000").names.used, 2);
        assert_int_equal(account_of(&bed, "user 1000").names.refused, 1);
        peer_close(&b);
        peer_close(&a1);
        bed_settle(&bed);
        b = bed_join(&bed, "b");
        peer_close(&a);
        peer_close(&b);
        peer_close(&c);
        bed_close(&bed);
}

static uint8_t settled_code(struct bed *bed, struct peer *p)
{
        uint8_t answer[5];
        size_t n = 0;

        while (n < sizeof(answer)) {
                ssize_t r;

                bed_settle(bed);
                r = peer_read(p, answer + n, sizeof(answer) - n);
                assert_true(r >= 0);
                n += (size_t)r;
        }
        return answer[4];
}

/* Asks until there is an answer: the old owner may have to leave first. */
static uint8_t take_over(struct bed *bed, struct peer *p, uid_t uid)
{
        *p = bed_connect(bed, uid);
        peer_write(p, LITERAL("\xeb\x01\x00\x01\x00n"));
        return settled_code(bed, p);
}

static void its_own_name_can_be_taken_over_at_the_limit(void **state)
{
        struct peer a, b, other;
        struct bed bed;

        open_with_names(&bed, 1, FORCE_REGISTER_ANY);
        a = bed_join(&bed, "n");
        assert_int_equal(take_over(&bed, &b, 1000), WIRE_OK);
        peer_expect_end(&a);
        other = bed_join_as(&bed, "other", 1001);
        /* Who has a name already takes none from another, and does not end him in the attempt. */
        peer_close(&a);
        assert_int_equal(take_over(&bed, &a, 1001), WIRE_ACCESS);
        assert_int_equal(bed_counters(&bed).clients, 2);
        bed_acked(&bed, &b, WIRE_OP_MESSAGE, LITERAL("zzz\0"), WIRE_NOT_REGISTERED);
        peer_close(&a);
        peer_close(&b);
        peer_close(&other);
        bed_close(&bed);
}

static void a_name_is_taken_over_as_the_mode_says(void **state)
{
        static const struct {
                enum force_register mode;
                uid_t uid;
                uint8_t code;
        } cases[] = {{FORCE_REGISTER_NO, 1000, WIRE_BUSY},
                     {FORCE_REGISTER_NO, 1001, WIRE_BUSY},
                     {FORCE_REGISTER_SAME_IDENTITY, 1000, WIRE_OK},
                     {FORCE_REGISTER_SAME_IDENTITY, 1001, WIRE_BUSY},
                     {FORCE_REGISTER_ANY, 1000, WIRE_OK},
                     {FORCE_REGISTER_ANY, 1001, WIRE_OK}};

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct peer a, b;
                struct bed bed;

                open_with_names(&bed, 10, cases[i].mode);
                a = bed_join(&bed, "n");
                assert_int_equal(take_over(&bed, &b, cases[i].uid), cases[i].code);
                if (cases[i].code == WIRE_OK)
                        peer_expect_end(&a);
                else
                        bed_acked(&bed, &a, WIRE_OP_MESSAGE, LITERAL("n2\0x"), WIRE_NOT_REGISTERED);
                peer_close(&a);
                peer_close(&b);
                bed_close(&bed);
        }
}

/* --- Subscriptions --- */

static void subscriptions_of_all_clients_are_limited(void **state)
{
        struct engine_config config;
        struct engine_event ev;
        struct peer a, b, c;
        struct bed bed;

        bed_config(&config);
        config.max_subscriptions_per_user = 5;
        bed_open(&bed, &config);
        a = bed_join(&bed, "a");
        b = bed_join(&bed, "b");
        c = bed_join_as(&bed, "c", 1001);
        bed_acked(&bed, &a, WIRE_OP_SUBSCRIBE, LITERAL("1\0002\0003"), WIRE_OK);
        bed_acked(&bed, &b, WIRE_OP_EXCLUDE, LITERAL("1"), WIRE_OK);
        bed_acked(&bed, &b, WIRE_OP_SUBSCRIBE, LITERAL("1\0002"), WIRE_ACCESS);
        assert_int_equal(account_of(&bed, "user 1000").subscriptions.used, 5);
        assert_int_equal(account_of(&bed, "user 1000").subscriptions.refused, 1);
        ev = bed_event(&bed, ENGINE_EVENT_REFUSED);
        assert_int_equal(ev.cause, ENGINE_CAUSE_QUOTA);
        assert_non_null(strstr(ev.detail, "MaxSubscriptionsPerUser"));
        assert_false(ev.over);
        bed_acked(&bed, &b, WIRE_OP_EXCLUDE, LITERAL("2"), WIRE_ACCESS);
        bed_acked(&bed, &b, WIRE_OP_SUBSCRIBE, LITERAL(".broker/warn"), WIRE_OK);
        bed_acked(&bed, &c, WIRE_OP_SUBSCRIBE, LITERAL("1\0002\0003\0004\0005"), WIRE_OK);

        /* A subscription that was there is no further one; one that is gone makes room. */
        bed_acked(&bed, &a, WIRE_OP_UNSUBSCRIBE, LITERAL("2\000zzz"), WIRE_OK);
        bed_acked(&bed, &b, WIRE_OP_SUBSCRIBE, LITERAL("1\0003"), WIRE_OK);
        bed_acked(&bed, &b, WIRE_OP_UNEXCLUDE, LITERAL("1"), WIRE_OK);
        bed_acked(&bed, &b, WIRE_OP_EXCLUDE, LITERAL("7"), WIRE_OK);
        assert_int_equal(account_of(&bed, "user 1000").subscriptions.used, 5);
        peer_close(&a);
        bed_settle(&bed);
        assert_int_equal(account_of(&bed, "user 1000").subscriptions.used, 3);
        peer_close(&b);
        peer_close(&c);
        bed_close(&bed);
}

/* Who has a mask already asks for nothing more. */
static void what_is_subscribed_is_not_refused_at_the_limit(void **state)
{
        struct engine_config config;
        struct bed bed;
        struct peer a;

        bed_config(&config);
        config.max_subscriptions_per_user = 3;
        bed_open(&bed, &config);
        a = bed_join(&bed, "a");
        bed_acked(&bed, &a, WIRE_OP_SUBSCRIBE, LITERAL("1\0002/#"), WIRE_OK);
        bed_acked(&bed, &a, WIRE_OP_EXCLUDE, LITERAL("3"), WIRE_OK);
        bed_acked(&bed, &a, WIRE_OP_SUBSCRIBE, LITERAL("1\0002/#\0002/#/x"), WIRE_OK);
        bed_acked(&bed, &a, WIRE_OP_EXCLUDE, LITERAL("3"), WIRE_OK);
        bed_acked(&bed, &a, WIRE_OP_SUBSCRIBE, LITERAL("3"), WIRE_ACCESS);
        bed_acked(&bed, &a, WIRE_OP_EXCLUDE, LITERAL("1"), WIRE_ACCESS);
        assert_int_equal(account_of(&bed, "user 1000").subscriptions.used, 3);
        peer_close(&a);
        bed_close(&bed);
}

static void memory_of_one_user_has_a_limit_of_its_own(void **state)
{
        struct engine_config config;
        char list[4096];
        struct peer a, b;
        struct bed bed;
        size_t len = 0;

        bed_config(&config);
        config.queue_memory_max_per_user = 64 << 10;
        bed_open(&bed, &config);
        a = bed_join(&bed, "a");
        b = bed_join_as(&bed, "b", 1001);
        for (char c = '!'; len < sizeof(list) - 8; c++)
                for (char d = '!'; d < '~' && len < sizeof(list) - 8; d++)
                        len += (size_t)sprintf(list + len, "%c%c%c", c, d, d) + 1;
        bed_acked(&bed, &a, WIRE_OP_SUBSCRIBE, list, len - 1, WIRE_ACCESS);
        assert_int_equal(bed_event(&bed, ENGINE_EVENT_REFUSED).cause, ENGINE_CAUSE_QUOTA);
        assert_in_range(account_of(&bed, "user 1000").memory.used, 16 << 10, 64 << 10);
        assert_int_equal(account_of(&bed, "user 1001").memory.used, 0);
        bed_acked(&bed, &b, WIRE_OP_SUBSCRIBE, LITERAL("x"), WIRE_OK);
        peer_close(&a);
        peer_close(&b);
        bed_close(&bed);
}

/* --- Who is exempt --- */

static void who_is_exempt_has_no_limits(void **state)
{
        struct engine_config config;
        struct peer peers[10];
        struct bed bed;

        bed_config(&config);
        config.max_connections_per_user = config.max_handshakes_per_user = 1;
        config.max_names_per_user = config.max_subscriptions_per_user = 1;
        config.connection_rate_per_user = config.connection_burst_per_user = 1;
        config.exempt[0] = 1000;
        config.n_exempt = 1;
        bed_open(&bed, &config);
        for (size_t i = 0; i < ARRAY_SIZE(peers); i++)
                peers[i] = bed_connect(&bed, 1000);
        for (size_t i = 0; i < ARRAY_SIZE(peers); i++) {
                char name[] = {(char)('a' + i), 0};

                assert_int_equal(bed_ask_name(&bed, &peers[i], name), WIRE_OK);
                bed_acked(&bed, &peers[i], WIRE_OP_SUBSCRIBE, LITERAL("1\0002\0003"), WIRE_OK);
        }
        assert_true(account_of(&bed, "user 1000").exempt);
        assert_int_equal(account_of(&bed, "user 1000").subscriptions.used, 30);
        for (size_t i = 0; i < ARRAY_SIZE(peers); i++)
                peer_close(&peers[i]);
        bed_close(&bed);
}

/* --- Moved --- */

static int move_session(const void *record, size_t len, int fd, void *to)
{
        int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

        assert_int_equal(engine_import(to, record, len, copy), 0);
        return 0;
}

/* In an engine whose limits are all below what there is, everything is counted again. */
static void what_is_moved_is_counted_whatever_the_limits(void **state)
{
        struct engine_account_info info;
        struct engine_config config;
        struct engine *to;
        struct peer a, b, c;
        struct bed bed;

        bed_open(&bed, NULL);
        a = bed_join(&bed, "a");
        b = bed_join(&bed, "b");
        c = bed_connect(&bed, 1000);
        bed_acked(&bed, &a, WIRE_OP_SUBSCRIBE, LITERAL("1\0002\0003"), WIRE_OK);
        bed_acked(&bed, &b, WIRE_OP_EXCLUDE, LITERAL("1\0002"), WIRE_OK);
        config = bed.config;
        config.max_connections_per_user = config.max_handshakes_per_user = 1;
        config.max_names_per_user = config.max_subscriptions_per_user = 1;
        config.connection_rate_per_user = config.connection_burst_per_user = 1;
        assert_int_equal(engine_quiesce(bed.engine), 0);
        assert_int_equal(engine_new(&config, &to), 0);
        assert_int_equal(engine_export(bed.engine, move_session, to), 0);
        assert_int_equal(engine_import_done(to), 0);
        engine_free(bed.engine);
        bed.engine = to;
        info = account_of(&bed, "user 1000");
        assert_int_equal(info.connections.used, 3);
        assert_int_equal(info.handshakes.used, 1);
        assert_int_equal(info.names.used, 2);
        assert_int_equal(info.subscriptions.used, 5);
        bed_acked(&bed, &a, WIRE_OP_SUBSCRIBE, LITERAL("4"), WIRE_ACCESS);
        peer_close(&a);
        peer_close(&b);
        peer_close(&c);
        bed_close(&bed);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(connections_without_a_name_are_limited),
                cmocka_unit_test(who_is_refused_a_name_has_no_name),
                cmocka_unit_test(connections_per_second_are_limited),
                cmocka_unit_test(new_limits_are_taken),
                cmocka_unit_test(names_are_limited),
                cmocka_unit_test(its_own_name_can_be_taken_over_at_the_limit),
                cmocka_unit_test(a_name_is_taken_over_as_the_mode_says),
                cmocka_unit_test(subscriptions_of_all_clients_are_limited),
                cmocka_unit_test(what_is_subscribed_is_not_refused_at_the_limit),
                cmocka_unit_test(memory_of_one_user_has_a_limit_of_its_own),
                cmocka_unit_test(who_is_exempt_has_no_limits),
                cmocka_unit_test(what_is_moved_is_counted_whatever_the_limits),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
