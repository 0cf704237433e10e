/* SPDX-License-Identifier: Apache-2.0 */
/* What access rules say, by example: each kind of peer, each key. */
#include "access-bed.h"
#include "basic/macro.h"
#include "random.h"
#include "route/mask.h"

static void test_without_rules_everybody_may_everything(void **state)
{
        struct maker m;
        struct access_rules *rules;

        begin(&m);
        rules = end(&m);
        for (int i = 0; i < 2; i++) {
                const struct access_rules *none = i ? rules : NULL;

                assert_null(find(none, "a"));
                assert_int_equal(access_rules_n_sections(none), 0);
                expect(bear(none, "a", user(0, 0)), true, 0);
                for (enum access_key key = ACCESS_SEND_TO; key < ACCESS_N_KEYS; key++)
                        expect(access_ask(find(none, "a"), key, ".broker/x", 9), true, 0);
        }
        access_rules_unref(rules);
}

static void test_with_rules_what_no_section_names_is_refused(void **state)
{
        struct access_rules *rules = rules_of(ACCESS_SEND_TO, "*");
        struct maker m;

        access_rules_unref(rules);
        begin(&m);
        section(&m, "a");
        rules = end(&m);
        assert_int_equal(access_rules_n_sections(rules), 1);
        expect(bear(rules, "b", user(0, 0)), false, 0);
        for (enum access_key key = ACCESS_SEND_TO; key < ACCESS_N_KEYS; key++)
                expect(access_ask(find(rules, "b"), key, "x", 1), false, 0);
        expect(access_ask(find(rules, "b"), ACCESS_PUBLISH_TO, ".broker", 7), false, 0);
        access_rules_unref(rules);
}

static void test_absent_keys_allow_nothing_but_receiving(void **state)
{
        struct access_rules *rules;
        struct maker m;

        begin(&m);
        section(&m, "a");
        rules = end(&m);
        for (enum access_key key = ACCESS_SEND_TO; key < ACCESS_RECEIVE_FROM; key++)
                expect(access_ask(find(rules, "a"), key, "a", 1), false, 1);
        expect(access_ask(find(rules, "a"), ACCESS_RECEIVE_FROM, "x", 1), true, 1);
        expect(bear(rules, "a", user(0, 0)), false, 1);
        expect(bear(rules, "a", tcp("127.0.0.1")), false, 1);
        access_rules_unref(rules);
}

static void test_users_match_by_number_and_only_on_unix(void **state)
{
        struct access_rules *rules;
        struct maker m;

        begin(&m);
        section(&m, "a");
        number(&m, ACCESS_ALLOW_USERS, 1000);
        number(&m, ACCESS_ALLOW_USERS, 5);
        number(&m, ACCESS_ALLOW_USERS, 1000);
        section(&m, "any");
        word(&m, ACCESS_ALLOW_USERS, &(struct access_word){.any = true});
        rules = end(&m);
        expect(bear(rules, "a", user(1000, 0)), true, 2);
        expect(bear(rules, "a", user(5, 0)), true, 3);
        expect(bear(rules, "a", user(0, 1000)), false, 2);
        expect(bear(rules, "any", user(0, 0)), true, 6);
        expect(bear(rules, "any", user(4711, 0)), true, 6);
        expect(bear(rules, "any", tcp("127.0.0.1")), false, 5);
        expect(bear(rules, "a", tcp("192.0.2.1")), false, 1);
        access_rules_unref(rules);
}

static void test_groups_match_the_primary_and_supplementary_ones(void **state)
{
        const gid_t groups[] = {7, 100, 3};
        struct access_peer peer = user(1000, 50);
        struct access_rules *rules;
        struct maker m;

        peer.groups = groups;
        peer.n_groups = ARRAY_SIZE(groups);
        begin(&m);
        section(&m, "primary");
        number(&m, ACCESS_ALLOW_GROUPS, 50);
        section(&m, "supplementary");
        number(&m, ACCESS_ALLOW_GROUPS, 99);
        number(&m, ACCESS_ALLOW_GROUPS, 3);
        section(&m, "other");
        number(&m, ACCESS_ALLOW_GROUPS, 1000);
        section(&m, "both");
        number(&m, ACCESS_ALLOW_USERS, 1);
        number(&m, ACCESS_ALLOW_GROUPS, 100);
        rules = end(&m);
        expect(bear(rules, "primary", peer), true, 2);
        expect(bear(rules, "supplementary", peer), true, 5);
        expect(bear(rules, "other", peer), false, 7);
        expect(bear(rules, "both", peer), true, 10);
        expect(bear(rules, "both", user(2, 2)), false, 9);
        expect(bear(rules, "primary", tcp("0.0.0.50")), false, 1);
        access_rules_unref(rules);
}

static void test_hosts_match_by_prefix_and_only_on_tcp(void **state)
{
        struct access_rules *rules;
        struct maker m;

        begin(&m);
        section(&m, "a");
        host(&m, "192.0.2.7", 32);
        host(&m, "10.0.0.0", 8);
        host(&m, "172.16.0.0", 12);
        host(&m, "2001:db8::", 32);
        host(&m, "2001:db9::1", 128);
        host(&m, "::ffff:198.51.100.0", 120);
        rules = end(&m);
        expect(bear(rules, "a", tcp("192.0.2.7")), true, 2);
        expect(bear(rules, "a", tcp("192.0.2.8")), false, 2);
        expect(bear(rules, "a", tcp("10.255.0.1")), true, 3);
        expect(bear(rules, "a", tcp("11.0.0.1")), false, 2);
        expect(bear(rules, "a", tcp("172.31.255.255")), true, 4);
        expect(bear(rules, "a", tcp("172.32.0.0")), false, 2);
        expect(bear(rules, "a", tcp("2001:db8:1::1")), true, 5);
        expect(bear(rules, "a", tcp("2001:db9::1")), true, 6);
        expect(bear(rules, "a", tcp("2001:db9::2")), false, 2);
        expect(bear(rules, "a", tcp("::ffff:10.1.2.3")), true, 3);
        expect(bear(rules, "a", tcp("::10.1.2.3")), false, 2);
        expect(bear(rules, "a", tcp("198.51.100.9")), true, 7);
        expect(bear(rules, "a", tcp("::ffff:198.51.100.9")), true, 7);
        expect(bear(rules, "a", tcp("127.0.0.1")), false, 2);
        expect(bear(rules, "a", user(0, 0)), false, 1);
        access_rules_unref(rules);
}

static bool host_rule_allows(const char *rule, unsigned n_bits, const char *peer)
{
        struct access_rules *rules;
        struct maker m;
        bool allow;

        begin(&m);
        section(&m, "*");
        host(&m, rule, n_bits);
        rules = end(&m);
        allow = bear(rules, "a", tcp(peer)).allow;
        access_rules_unref(rules);
        return allow;
}

static void test_all_of_loopback_is_one_host(void **state)
{
        static const char *const peers[] = {"127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"};

        for (size_t i = 0; i < ARRAY_SIZE(peers); i++) {
                assert_true(host_rule_allows("127.0.0.0", 8, peers[i]));
                assert_true(host_rule_allows("127.0.0.1", 32, peers[i]));
                assert_true(host_rule_allows("127.9.0.0", 16, peers[i]));
                assert_true(host_rule_allows("::1", 128, peers[i]));
                assert_true(host_rule_allows("::ffff:127.0.0.1", 128, peers[i]));
                assert_true(host_rule_allows("0.0.0.0", 0, peers[i]));
                assert_true(host_rule_allows("::", 0, peers[i]));
                assert_false(host_rule_allows("128.0.0.0", 1, peers[i]));
                assert_false(host_rule_allows("126.0.0.0", 8, peers[i]));
                assert_false(host_rule_allows("::2", 128, peers[i]));
                assert_false(host_rule_allows("::ffff:10.0.0.0", 104, peers[i]));
        }
        assert_false(host_rule_allows("127.0.0.0", 8, "192.0.2.1"));
        assert_false(host_rule_allows("::1", 128, "::2"));
        assert_true(host_rule_allows("0.0.0.0", 0, "192.0.2.1"));
        assert_true(host_rule_allows("0.0.0.0", 0, "::ffff:192.0.2.1"));
        assert_true(host_rule_allows("::ffff:0.0.0.0", 96, "192.0.2.1"));
        assert_false(host_rule_allows("::", 0, "192.0.2.1"));
        assert_false(host_rule_allows("::", 0, "::ffff:192.0.2.1"));
        assert_false(host_rule_allows("0.0.0.0", 0, "2001:db8::1"));
}

static void test_the_brokers_own_clients_bear_any_name(void **state)
{
        struct access_rules *rules = rules_of(ACCESS_SEND_TO, "x");

        expect(bear(rules, "a", (struct access_peer){.kind = IDENTITY_BROKER}), true, 0);
        access_rules_unref(rules);
}

static void test_messages_go_to_masks_of_names(void **state)
{
        struct access_rules *rules;
        struct maker m;

        begin(&m);
        section(&m, "a");
        mask(&m, ACCESS_SEND_TO, "plc.?");
        mask(&m, ACCESS_SEND_TO, "db");
        mask(&m, ACCESS_SEND_TO, "archive");
        rules = end(&m);
        expect(access_ask(find(rules, "a"), ACCESS_SEND_TO, "db", 2), true, 3);
        expect(access_ask(find(rules, "a"), ACCESS_SEND_TO, "archive", 7), true, 4);
        expect(access_ask(find(rules, "a"), ACCESS_SEND_TO, "plc.1", 5), true, 2);
        expect(access_ask(find(rules, "a"), ACCESS_SEND_TO, "plc.1.2", 7), false, 2);
        expect(access_ask(find(rules, "a"), ACCESS_SEND_TO, "", 0), false, 2);
        assert_false(may(rules, "a", ACCESS_SEND_TO, ".broker"));
        assert_false(may(rules, "a", ACCESS_SEND_TO, "a"));
        access_rules_unref(rules);
}

static void test_the_broker_must_be_among_the_targets(void **state)
{
        struct access_rules *rules = rules_of(ACCESS_SEND_TO, ".broker");

        assert_true(may(rules, "a", ACCESS_SEND_TO, ".broker"));
        assert_false(may(rules, "a", ACCESS_SEND_TO, "b"));
        access_rules_unref(rules);
        rules = rules_of(ACCESS_SEND_TO, "*");
        assert_true(may(rules, "a", ACCESS_SEND_TO, ".broker"));
        access_rules_unref(rules);
        rules = rules_of(ACCESS_SEND_TO, "?");
        assert_false(may(rules, "a", ACCESS_SEND_TO, ".broker"));
        access_rules_unref(rules);
}

/* The client of a secondary chooses what stands behind "%%": dots in it must not make its name
 * match what its primary's does not. */
static void test_secondaries_count_as_their_primary(void **state)
{
        struct access_rules *rules;
        struct maker m;

        begin(&m);
        section(&m, "a");
        number(&m, ACCESS_ALLOW_USERS, 1);
        mask(&m, ACCESS_SEND_TO, "b");
        mask(&m, ACCESS_RECEIVE_FROM, "?.plc");
        mask(&m, ACCESS_RECEIVE_FROM, "c");
        section(&m, "*.plc");
        rules = end(&m);
        expect(bear(rules, "a%%x", user(1, 1)), true, 2);
        expect(bear(rules, "a%%x.plc", user(1, 1)), true, 2);
        assert_true(may(rules, "a%%x%%y", ACCESS_SEND_TO, "b"));
        assert_true(may(rules, "a", ACCESS_SEND_TO, "b%%1"));
        assert_true(may(rules, "a", ACCESS_SEND_TO, "b%%1.2"));
        assert_false(may(rules, "a", ACCESS_SEND_TO, "b.1"));
        assert_true(may(rules, "a", ACCESS_RECEIVE_FROM, "x.plc%%2"));
        assert_true(may(rules, "a", ACCESS_RECEIVE_FROM, "c%%2"));
        assert_false(may(rules, "a", ACCESS_RECEIVE_FROM, "evil%%x.plc"));
        access_rules_unref(rules);
}

static void test_a_broadcast_lies_wholly_in_one_mask(void **state)
{
        struct access_rules *rules;
        struct maker m;

        begin(&m);
        section(&m, "a");
        mask(&m, ACCESS_BROADCAST_TO, "plc.?");
        mask(&m, ACCESS_BROADCAST_TO, "db.*");
        mask(&m, ACCESS_BROADCAST_TO, "x");
        rules = end(&m);
        expect(access_ask(find(rules, "a"), ACCESS_BROADCAST_TO, "plc.?", 5), true, 2);
        expect(access_ask(find(rules, "a"), ACCESS_BROADCAST_TO, "plc.*", 5), false, 2);
        assert_true(may(rules, "a", ACCESS_BROADCAST_TO, "plc.1"));
        assert_true(may(rules, "a", ACCESS_BROADCAST_TO, "db.*"));
        assert_true(may(rules, "a", ACCESS_BROADCAST_TO, "db.*.x"));
        assert_true(may(rules, "a", ACCESS_BROADCAST_TO, "db.?.*"));
        assert_true(may(rules, "a", ACCESS_BROADCAST_TO, "x"));
        assert_false(may(rules, "a", ACCESS_BROADCAST_TO, "?"));
        assert_false(may(rules, "a", ACCESS_BROADCAST_TO, "*"));
        assert_false(may(rules, "a", ACCESS_BROADCAST_TO, "?.1"));
        assert_false(may(rules, "a", ACCESS_BROADCAST_TO, "x%%1"));
        access_rules_unref(rules);
}

static void test_a_subscription_is_no_wider_than_its_rule(void **state)
{
        struct access_rules *rules = rules_of(ACCESS_SUBSCRIBE_TO, "a/+");

        assert_true(may(rules, "c", ACCESS_SUBSCRIBE_TO, "a/+"));
        assert_true(may(rules, "c", ACCESS_SUBSCRIBE_TO, "a/b"));
        assert_false(may(rules, "c", ACCESS_SUBSCRIBE_TO, "a/#"));
        assert_false(may(rules, "c", ACCESS_SUBSCRIBE_TO, "a/#/b"));
        assert_false(may(rules, "c", ACCESS_SUBSCRIBE_TO, "a/+/b"));
        assert_false(may(rules, "c", ACCESS_SUBSCRIBE_TO, "#"));
        assert_false(may(rules, "c", ACCESS_SUBSCRIBE_TO, "+/b"));
        access_rules_unref(rules);
        rules = rules_of(ACCESS_SUBSCRIBE_TO, "a/#/b");
        assert_true(may(rules, "c", ACCESS_SUBSCRIBE_TO, "a/#"));
        assert_true(may(rules, "c", ACCESS_SUBSCRIBE_TO, "a/+/c"));
        assert_false(may(rules, "c", ACCESS_SUBSCRIBE_TO, "a"));
        access_rules_unref(rules);
}

static void test_publications_match_a_mask_but_never_the_brokers_topics(void **state)
{
        struct access_rules *rules;
        struct maker m;

        begin(&m);
        section(&m, "a");
        mask(&m, ACCESS_PUBLISH_TO, "a/#");
        mask(&m, ACCESS_PUBLISH_TO, "");
        section(&m, "all");
        mask(&m, ACCESS_PUBLISH_TO, "#");
        mask(&m, ACCESS_PUBLISH_TO, ".broker");
        mask(&m, ACCESS_PUBLISH_TO, ".broker/#");
        rules = end(&m);
        expect(access_ask(find(rules, "a"), ACCESS_PUBLISH_TO, "a/b", 3), true, 2);
        expect(access_ask(find(rules, "a"), ACCESS_PUBLISH_TO, NULL, 0), true, 3);
        expect(access_ask(find(rules, "a"), ACCESS_PUBLISH_TO, "a", 1), false, 2);
        expect(access_ask(find(rules, "all"), ACCESS_PUBLISH_TO, ".broker", 7), false, 5);
        expect(access_ask(find(rules, "all"), ACCESS_PUBLISH_TO, ".broker/", 8), false, 5);
        expect(access_ask(find(rules, "all"), ACCESS_PUBLISH_TO, ".broker/info/x", 14), false, 5);
        assert_true(may(rules, "all", ACCESS_PUBLISH_TO, ".brokers"));
        assert_true(may(rules, "all", ACCESS_PUBLISH_TO, ".broke"));
        assert_true(may(rules, "all", ACCESS_PUBLISH_TO, "x/.broker"));
        access_rules_unref(rules);
}

static void test_the_brokers_warnings_need_no_rule(void **state)
{
        struct access_rules *rules = rules_of(ACCESS_SUBSCRIBE_TO, "a");

        expect(access_ask(find(rules, "c"), ACCESS_SUBSCRIBE_TO, ".broker/warn", 12), true, 0);
        assert_false(may(rules, "c", ACCESS_SUBSCRIBE_TO, ".broker/+"));
        assert_false(may(rules, "c", ACCESS_SUBSCRIBE_TO, ".broker/info"));
        access_rules_unref(rules);
        rules = rules_of(ACCESS_SUBSCRIBE_TO, "#");
        assert_true(may(rules, "c", ACCESS_SUBSCRIBE_TO, ".broker/info"));
        access_rules_unref(rules);
}

static void test_frames_are_taken_from_masks_and_always_from_the_broker(void **state)
{
        struct access_rules *rules = rules_of(ACCESS_RECEIVE_FROM, "b.?");

        expect(access_ask(find(rules, "a"), ACCESS_RECEIVE_FROM, "b.1", 3), true, 2);
        expect(access_ask(find(rules, "a"), ACCESS_RECEIVE_FROM, "c", 1), false, 2);
        expect(access_ask(find(rules, "a"), ACCESS_RECEIVE_FROM, ".broker", 7), true, 0);
        access_rules_unref(rules);
}

static const struct access_rule *subscribing(struct maker *m, const char *name, const char *first,
                                             const char *second)
{
        section(m, name);
        mask(m, ACCESS_SUBSCRIBE_TO, first);
        if (second)
                mask(m, ACCESS_SUBSCRIBE_TO, second);
        return m->section;
}

static void test_rules_with_the_same_masks_allow_the_same_subscriptions(void **state)
{
        const struct access_rule *a, *same, *narrower, *wider, *fewer, *silent;
        struct access_rules *rules;
        struct maker m;

        begin(&m);
        a = subscribing(&m, "a", "t/+", "u");
        mask(&m, ACCESS_PUBLISH_TO, "x");
        same = subscribing(&m, "b", "u", "t/+");
        narrower = subscribing(&m, "c", "u", "t/x");
        wider = subscribing(&m, "d", "u", "t/#");
        fewer = subscribing(&m, "e", "u", NULL);
        section(&m, "f");
        silent = m.section;
        rules = end(&m);
        assert_true(access_rules_subscribe_alike(a, a));
        assert_true(access_rules_subscribe_alike(a, same));
        assert_false(access_rules_subscribe_alike(a, narrower));
        assert_false(access_rules_subscribe_alike(a, wider));
        assert_false(access_rules_subscribe_alike(a, fewer));
        assert_false(access_rules_subscribe_alike(silent, a));
        assert_true(access_rules_subscribe_alike(silent, access_rules_find(rules, "z", 1)));
        assert_true(access_rules_subscribe_alike(NULL, NULL));
        assert_false(access_rules_subscribe_alike(NULL, silent));
        assert_false(access_rules_subscribe_alike(silent, NULL));
        access_rules_unref(rules);
}

/* --- Many masks --- */

#define MASKS_MAX 80
#define RANDOM_ROUNDS 1000

/* Few different parts, so that much is covered, and by more than one. Deep ones are alike at first,
 * each for another while: at each part one of them leaves the others. */
static size_t random_mask(char *out, bool deep)
{
        static const char *const parts[] = {"a", "b", "ab", "", "+", "+", "#"};
        unsigned n = random_below(5), n_alike = deep ? random_below(80) : 0;
        char *at = out;

        for (unsigned i = 0; i < n_alike; i++)
                at = stpcpy(at, "a/");
        for (unsigned i = 0; i < n; i++)
                at += sprintf(at, "%s/", parts[random_below(ARRAY_SIZE(parts))]);
        at = stpcpy(at, parts[random_below(ARRAY_SIZE(parts))]);
        return (size_t)(at - out);
}

/* The word that was said first of those that cover it, found by trying all in turn. A literal word
 * that does comes before all others. Lines begin behind the section's. */
static unsigned line_of(char masks[][256], size_t n, const char *text, size_t len, bool is_mask)
{
        unsigned line = 0;

        for (size_t i = n; i-- > 0;) {
                size_t mask_len = strlen(masks[i]);
                bool covers = is_mask ? mask_is_subset(&mask_topic, text, len, masks[i], mask_len)
                                      : mask_match(&mask_topic, masks[i], mask_len, text, len);

                if (covers)
                        line = (unsigned)i + 2;
        }
        for (size_t i = n; i-- > 0;)
                if (strlen(masks[i]) == len && memcmp(masks[i], text, len) == 0 &&
                    mask_is_literal(&mask_topic, text, len))
                        line = (unsigned)i + 2;
        return line;
}

static void test_of_many_masks_the_first_that_was_said_counts(void **state)
{
        static char masks[MASKS_MAX][256];
        size_t n_allowed = 0, n_refused = 0;

        random_seed("access-check");
        for (unsigned round = 0; round < RANDOM_ROUNDS; round++) {
                size_t n = 1 + random_below(MASKS_MAX);
                bool deep = round % 4 == 0;
                struct access_rules *rules;
                struct maker m, m2;

                begin(&m);
                begin(&m2);
                section(&m, "a");
                section(&m2, "a");
                for (size_t i = 0; i < n; i++) {
                        random_mask(masks[i], deep);
                        mask(&m, ACCESS_SUBSCRIBE_TO, masks[i]);
                        mask(&m2, ACCESS_PUBLISH_TO, masks[i]);
                }
                for (unsigned k = 0; k < 2; k++) {
                        rules = k ? end(&m2) : end(&m);
                        for (unsigned i = 0; i < 40; i++) {
                                char text[256];
                                size_t len = random_mask(text, deep);
                                unsigned line = line_of(masks, n, text, len, k == 0);

                                expect(access_ask(find(rules, "a"),
                                                  k ? ACCESS_PUBLISH_TO : ACCESS_SUBSCRIBE_TO, text,
                                                  len),
                                       line > 0, line > 0 ? line : 2);
                                n_allowed += line > 0;
                                n_refused += line == 0;
                        }
                        access_rules_unref(rules);
                }
        }
        assert_true(n_allowed > RANDOM_ROUNDS);
        assert_true(n_refused > RANDOM_ROUNDS);
}

/* At each part of the text one mask goes another way: more ways than can be put aside. */
static void test_masks_may_part_at_every_part(void **state)
{
        char text[MASKS_MAX * 2 + 8], *at = text;
        struct access_rules *rules;
        struct maker m;

        begin(&m);
        section(&m, "a");
        for (unsigned i = 0; i < MASKS_MAX; i++, at += 2) {
                strcpy(at, "+/x");
                mask(&m, ACCESS_PUBLISH_TO, text);
                strcpy(at, "a/");
        }
        rules = end(&m);
        at = text;
        for (unsigned i = 0; i < MASKS_MAX; i++, at += 2) {
                strcpy(at, "z/x");
                expect(access_ask(find(rules, "a"), ACCESS_PUBLISH_TO, text, strlen(text)), true,
                       i + 2);
                strcpy(at, "z/y");
                expect(access_ask(find(rules, "a"), ACCESS_PUBLISH_TO, text, strlen(text)), false,
                       2);
                strcpy(at, "a/");
        }
        access_rules_unref(rules);
}

/* What it costs: of masks that differ in a part all but a few are passed over, wherever that part
 * is. */
static void test_of_many_masks_few_are_tried(void **state)
{
        static const char *const shapes[] = {"t/+/%u", "plant/area%u/#", "a%u/+/x/#"};
        static const char *const texts[] = {"t/x/%u", "plant/area%u/s/t", "a%u/s/x/y"};

        for (size_t shape = 0; shape < ARRAY_SIZE(shapes); shape++) {
                struct access_rules *rules;
                struct maker m;
                char text[32];

                begin(&m);
                section(&m, "a");
                for (unsigned i = 0; i < 1000; i++) {
                        (void)snprintf(text, sizeof(text), shapes[shape], i);
                        mask(&m, ACCESS_PUBLISH_TO, text);
                }
                rules = end(&m);
                for (unsigned i = 0; i < 2000; i++) {
                        struct verdict v;

                        (void)snprintf(text, sizeof(text), texts[shape], i);
                        v = access_ask(find(rules, "a"), ACCESS_PUBLISH_TO, text, strlen(text));
                        assert_int_equal(v.allow, i < 1000);
                        assert_in_range(v.n_tried, 1, 200);
                }
                access_rules_unref(rules);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_without_rules_everybody_may_everything),
                cmocka_unit_test(test_with_rules_what_no_section_names_is_refused),
                cmocka_unit_test(test_absent_keys_allow_nothing_but_receiving),
                cmocka_unit_test(test_users_match_by_number_and_only_on_unix),
                cmocka_unit_test(test_groups_match_the_primary_and_supplementary_ones),
                cmocka_unit_test(test_hosts_match_by_prefix_and_only_on_tcp),
                cmocka_unit_test(test_all_of_loopback_is_one_host),
                cmocka_unit_test(test_the_brokers_own_clients_bear_any_name),
                cmocka_unit_test(test_messages_go_to_masks_of_names),
                cmocka_unit_test(test_the_broker_must_be_among_the_targets),
                cmocka_unit_test(test_secondaries_count_as_their_primary),
                cmocka_unit_test(test_a_broadcast_lies_wholly_in_one_mask),
                cmocka_unit_test(test_a_subscription_is_no_wider_than_its_rule),
                cmocka_unit_test(test_publications_match_a_mask_but_never_the_brokers_topics),
                cmocka_unit_test(test_the_brokers_warnings_need_no_rule),
                cmocka_unit_test(test_frames_are_taken_from_masks_and_always_from_the_broker),
                cmocka_unit_test(test_rules_with_the_same_masks_allow_the_same_subscriptions),
                cmocka_unit_test(test_of_many_masks_the_first_that_was_said_counts),
                cmocka_unit_test(test_masks_may_part_at_every_part),
                cmocka_unit_test(test_of_many_masks_few_are_tried),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
