/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Access rules, as the engine enforces them: every operation against every kind of rule and of
 * peer, the codes that peers get, what is told of it and where the rule stands.
 */
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "basic/macro.h"
#include "bed.h"
#include "engine/internal.h"
#include "rules-bed.h"

#define PROCESSED 0x40

static void expect_denied(struct bed *bed, const char *detail, unsigned line)
{
        struct engine_event ev = bed_event(bed, ENGINE_EVENT_DENIED);

        assert_int_equal(ev.cause, ENGINE_CAUSE_NONE);
        assert_int_equal(ev.n_frames, 1);
        assert_false(ev.over);
        assert_string_equal(ev.detail, detail);
        assert_string_equal(ev.file, line ? "f" : "");
        assert_int_equal(ev.line, line);
}

/* --- Who --- */

#define OTHER_GROUP 4242

static const struct who {
        const char *what;
        const char *allowed; /* the rule that names the peer, and ones that do not */
        const char *refused[3];
        struct transport_peer peer;
} everyone[] = {
        {"user",
         "AllowUsers=7",
         {"AllowUsers=8", "AllowHosts=0.0.0.0/0 ::/0", "AllowGroups=7"},
         {.kind = TRANSPORT_UNIX, .uid = 7, .gid = 5}},
        {"any user",
         "AllowUsers=*",
         {"AllowGroups=7", "AllowHosts=0.0.0.0/0", ""},
         {.kind = TRANSPORT_UNIX, .uid = 7, .gid = 5}},
        {"group",
         "AllowGroups=5",
         {"AllowGroups=6", "AllowUsers=5", "AllowHosts=0.0.0.0/0"},
         {.kind = TRANSPORT_UNIX, .uid = 7, .gid = 5}},
        {"supplementary group",
         "AllowGroups=3 4242",
         {"AllowGroups=4243", "AllowUsers=4242", "AllowUsers=8"},
         {.kind = TRANSPORT_UNIX, .uid = 7, .gid = 5}},
        {"IPv4",
         "AllowHosts=192.0.2.0/24",
         {"AllowHosts=192.0.3.0/24", "AllowUsers=*", "AllowGroups=0"},
         {.kind = TRANSPORT_TCP, .family_bytes = 4, .address = {192, 0, 2, 7}}},
        {"IPv6",
         "AllowHosts=2001:db8::/48",
         {"AllowHosts=2001:db9::/48", "AllowUsers=*", "AllowHosts=0.0.0.0/0"},
         {.kind = TRANSPORT_TCP, .family_bytes = 16, .address = {0x20, 1, 0x0d, 0xb8, [15] = 9}}},
        {"mapped IPv4",
         "AllowHosts=192.0.2.7",
         {"AllowHosts=192.0.2.8", "AllowHosts=2001::/16", ""},
         {.kind = TRANSPORT_TCP, .family_bytes = 16, .address = {[10] = 0xff, 0xff, 192, 0, 2, 7}}},
        {"loopback",
         "AllowHosts=127.0.0.0/8",
         {"AllowHosts=128.0.0.0/8", "AllowUsers=0", "AllowUsers=*"},
         {.kind = TRANSPORT_TCP, .family_bytes = 16, .address = {[15] = 1}}},
};

/* The kernel tells the supplementary groups of whoever made the socket: only root can choose. */
static bool can_be(const struct who *who)
{
        static const gid_t groups[] = {1, OTHER_GROUP};

        return strcmp(who->what, "supplementary group") != 0 ||
               (geteuid() == 0 && setgroups(ARRAY_SIZE(groups), groups) == 0);
}

static void a_name_is_for_whom_the_rules_say(void **state)
{
        for (size_t i = 0; i < ARRAY_SIZE(everyone); i++) {
                const struct who *who = &everyone[i];
                struct engine_event ev;
                struct bed bed;
                struct peer p;
                char text[256];

                if (!can_be(who))
                        continue;
                (void)snprintf(text, sizeof(text), "[x]\nAllowUsers=*\n[a]\n%s\n", who->allowed);
                open_with_rules(&bed, text);
                p = bed_connect_from(&bed, &who->peer);
                assert_int_equal(bed_ask_name(&bed, &p, "a"), WIRE_OK);
                peer_close(&p);
                bed_settle(&bed);
                p = bed_connect_from(&bed, &who->peer);
                assert_int_equal(bed_ask_name(&bed, &p, "b"), WIRE_ACCESS);
                peer_expect_end(&p);
                ev = bed_event(&bed, ENGINE_EVENT_REFUSED);
                assert_int_equal(ev.cause, ENGINE_CAUSE_RULE);
                assert_string_equal(ev.name, "b");
                assert_true(ev.over);
                assert_int_equal(ev.line, 0);
                peer_close(&p);
                bed_close(&bed);
        }
}

static void a_name_is_refused_to_others(void **state)
{
        for (size_t i = 0; i < ARRAY_SIZE(everyone); i++)
                for (size_t j = 0; j < ARRAY_SIZE(everyone[i].refused); j++) {
                        const char *refused = everyone[i].refused[j];
                        struct engine_event ev;
                        struct bed bed;
                        struct peer p;
                        char text[256];

                        if (!can_be(&everyone[i]))
                                continue;
                        (void)snprintf(text, sizeof(text), "[*]\n%s\n", refused);
                        open_with_rules(&bed, text);
                        p = bed_connect_from(&bed, &everyone[i].peer);
                        assert_int_equal(bed_ask_name(&bed, &p, "a"), WIRE_ACCESS);
                        peer_expect_end(&p);
                        ev = bed_event(&bed, ENGINE_EVENT_REFUSED);
                        assert_int_equal(ev.cause, ENGINE_CAUSE_RULE);
                        assert_string_equal(ev.file, "f");
                        assert_in_range(ev.line, 1, 2);
                        assert_int_equal(bed_counters(&bed).clients, 0);
                        assert_int_equal(bed_counters(&bed).refused, 1);
                        peer_close(&p);
                        bed_close(&bed);
                }
}

static void root_is_subject_to_rules(void **state)
{
        struct bed bed;
        struct peer p;

        open_with_rules(&bed, "[a]\nAllowUsers=1\n");
        p = bed_connect(&bed, 0);
        assert_int_equal(bed_ask_name(&bed, &p, "a"), WIRE_ACCESS);
        peer_close(&p);
        bed_close(&bed);
}

static void what_is_no_name_is_told_before_any_rule(void **state)
{
        struct bed bed;
        struct peer p;

        open_with_rules(&bed, "[a]\nAllowUsers=1\n");
        p = bed_connect(&bed, 5);
        assert_int_equal(bed_ask_name(&bed, &p, ".x"), WIRE_DATA);
        assert_int_equal(bed_event(&bed, ENGINE_EVENT_REFUSED).cause, ENGINE_CAUSE_NAME);
        peer_close(&p);
        bed_close(&bed);
}

/* --- What --- */

static const struct operation {
        uint8_t op;
        const char *body;
        size_t len;
        const char *key, *good, *bad;
        const char *denied; /* the event's text */
        bool delivers;
} operations[] = {
        {WIRE_OP_MESSAGE, LITERAL("b\0x"), "SendTo", "b", "c", "may not send to \"b\"", true},
        {WIRE_OP_MESSAGE, LITERAL("b\0x"), "SendTo", "c *", "b.b b.?", "may not send to \"b\"",
         true},
        {WIRE_OP_MESSAGE, LITERAL("b\0x"), "SendTo", "?", "?.?", "may not send to \"b\"", true},
        {WIRE_OP_BROADCAST, LITERAL("?\0x"), "BroadcastTo", "?", "b", "may not broadcast to \"?\"",
         true},
        {WIRE_OP_BROADCAST, LITERAL("b\0x"), "BroadcastTo", "*", "?.*",
         "may not broadcast to \"b\"", true},
        {WIRE_OP_PUBLISH, LITERAL("t/x\0p"), "PublishTo", "t/+", "u/#",
         "may not publish on \"t/x\"", true},
        {WIRE_OP_PUBLISH, LITERAL("t/x\0p"), "PublishTo", "a t/x", "t t/x/y",
         "may not publish on \"t/x\"", true},
        {WIRE_OP_PUBLISH_FOR, LITERAL("t/x\0b\0p"), "PublishTo", "#", "t/x/#",
         "may not publish on \"t/x\"", true},
        {WIRE_OP_SUBSCRIBE, LITERAL("t/+"), "SubscribeTo", "t/#", "t/x",
         "may not subscribe to \"t/+\"", false},
        {WIRE_OP_SUBSCRIBE, LITERAL("t/+"), "SubscribeTo", "t/+", "t/+/#",
         "may not subscribe to \"t/+\"", false},
};

/* One operation of `a`, twice: the second time it is remembered, if it was allowed. */
static void try(const struct who *who, const struct operation *o, const char *rule, bool allowed,
                unsigned line)
{
        static uint8_t got[256];
        struct peer a, b;
        struct bed bed;
        char text[512];

        (void)snprintf(text, sizeof(text), "[a]\n%s\n%s\n[b]\nAllowUsers=9\nSubscribeTo=t/#\n",
                       who->allowed, rule);
        open_with_rules(&bed, text);
        b = bed_join_as(&bed, "b", 9);
        peer_expect_ack(&b,
                        (peer_send(&b, WIRE_OP_SUBSCRIBE | PROCESSED, LITERAL("t/#")),
                         bed_settle(&bed), b.next_op),
                        WIRE_OK);
        a = bed_connect_from(&bed, &who->peer);
        assert_int_equal(bed_ask_name(&bed, &a, "a"), WIRE_OK);
        for (unsigned i = 1; i <= 2; i++) {
                peer_send(&a, o->op | PROCESSED, o->body, o->len);
                bed_settle(&bed);
                if (!(o->op == WIRE_OP_BROADCAST && allowed && o->body[0] == '?'))
                        peer_expect_ack(&a, a.next_op, allowed ? WIRE_OK : WIRE_ACCESS);
                assert_int_equal(peer_read(&b, got, sizeof(got)) > 0, allowed && o->delivers);
                assert_int_equal(bed_counters(&bed).denied, allowed ? 0 : i);
        }
        if (o->op == WIRE_OP_SUBSCRIBE)
                assert_int_equal(n_subscriptions(&bed, "a"), allowed ? 2 : 1);
        if (allowed)
                assert_true(no_event(&bed, ENGINE_EVENT_DENIED));
        else
                expect_denied(&bed, o->denied, line);
        peer_close(&a);
        peer_close(&b);
        bed_close(&bed);
}

static void operations_are_for_whom_the_rules_say(void **state)
{
        char rule[64];

        for (size_t i = 0; i < ARRAY_SIZE(everyone); i++)
                for (size_t j = 0; can_be(&everyone[i]) && j < ARRAY_SIZE(operations); j++) {
                        const struct operation *o = &operations[j];

                        (void)snprintf(rule, sizeof(rule), "%s=%s", o->key, o->good);
                        try(&everyone[i], o, rule, true, 0);
                        (void)snprintf(rule, sizeof(rule), "%s=%s", o->key, o->bad);
                        try(&everyone[i], o, rule, false, 3);
                        try(&everyone[i], o, "", false, 1);
                }
}

static void without_rules_everybody_may_everything(void **state)
{
        static const char *const texts[] = {"", "# nothing\n"};
        struct peer a, b;
        struct bed bed;

        for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
                open_with_rules(&bed, texts[i]);
                a = bed_join_as(&bed, "a", 7);
                b = bed_join_as(&bed, "b", 9);
                for (size_t j = 0; j < ARRAY_SIZE(operations); j++) {
                        uint8_t got[256];

                        peer_send(&a, operations[j].op, operations[j].body, operations[j].len);
                        bed_settle(&bed);
                        (void)peer_read(&a, got, sizeof(got));
                }
                peer_expect_ack(
                        &a,
                        (peer_send(&a, WIRE_OP_PUBLISH | PROCESSED, LITERAL(".broker/x\0p")),
                         bed_settle(&bed), a.next_op),
                        WIRE_OK);
                assert_int_equal(bed_counters(&bed).denied, 0);
                assert_true(no_event(&bed, ENGINE_EVENT_DENIED));
                peer_close(&a);
                peer_close(&b);
                bed_close(&bed);
        }
}

/* What a receiver does not take is refused where there is one, and skipped where there are many. */
static void a_receiver_may_choose_its_senders(void **state)
{
        static const struct {
                const char *rule;
                bool taken;
        } cases[] = {{"ReceiveFrom=a", true},
                     {"ReceiveFrom=c", false},
                     {"ReceiveFrom=c ? d", true},
                     {"ReceiveFrom=a.a", false},
                     {"", true}};
        static const struct operation *const sent[] = {&operations[0], &operations[3],
                                                       &operations[5], &operations[7]};

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
                for (size_t j = 0; j < ARRAY_SIZE(sent); j++) {
                        bool is_message = sent[j]->op == WIRE_OP_MESSAGE;
                        uint8_t got[256];
                        struct peer a, b;
                        struct bed bed;
                        char text[256];

                        (void)snprintf(text, sizeof(text),
                                       "[a]\nAllowUsers=7\nSendTo=*\nBroadcastTo=*\nPublishTo=#\n"
                                       "[b]\nAllowUsers=9\nSubscribeTo=#\n%s\n",
                                       cases[i].rule);
                        open_with_rules(&bed, text);
                        a = bed_join_as(&bed, "a", 7);
                        b = bed_join_as(&bed, "b", 9);
                        peer_send(&b, WIRE_OP_SUBSCRIBE, LITERAL("#"));
                        bed_settle(&bed);
                        peer_send(&a, sent[j]->op | PROCESSED, sent[j]->body, sent[j]->len);
                        bed_settle(&bed);
                        if (sent[j]->op != WIRE_OP_BROADCAST)
                                peer_expect_ack(&a, a.next_op,
                                                cases[i].taken || !is_message ? WIRE_OK
                                                                              : WIRE_ACCESS);
                        assert_int_equal(peer_read(&b, got, sizeof(got)) > 0, cases[i].taken);
                        if (is_message && !cases[i].taken)
                                expect_denied(&bed,
                                              "may not send to, which does not take its frames, "
                                              "\"b\"",
                                              9);
                        peer_close(&a);
                        peer_close(&b);
                        bed_settle(&bed);
                        assert_int_equal(bed.engine->registry.n_picky, 0);
                        bed_close(&bed);
                }
}

static void the_broker_is_heard_by_all(void **state)
{
        static uint8_t got[4096];
        struct bed bed;
        struct peer b;

        open_with_rules(&bed, "[b]\nAllowUsers=9\nReceiveFrom=c\n");
        b = bed_join_as(&bed, "b", 9);
        assert_int_equal(engine_send(bed.engine, ENGINE_SEND_MESSAGE, "b", 1, "x", 1), 0);
        bed_settle(&bed);
        assert_true(peer_read(&b, got, sizeof(got)) > 0);
        assert_int_equal(engine_warn(bed.engine), 0);
        bed_settle(&bed);
        assert_true(peer_read(&b, got, sizeof(got)) > 0);
        peer_close(&b);
        bed_close(&bed);
}

/* --- `.broker` --- */

static void the_broker_must_be_named(void **state)
{
        struct bed bed;
        struct peer a, b, c;

        open_with_rules(&bed, "[a]\nAllowUsers=*\nSendTo=.broker\n[b]\nAllowUsers=*\nSendTo=b\n"
                              "[c]\nAllowUsers=*\nSendTo=?\n");
        a = bed_join(&bed, "a");
        b = bed_join(&bed, "b");
        c = bed_join(&bed, "c");
        bed_acked(&bed, &a, WIRE_OP_MESSAGE, LITERAL(".broker\0x"), WIRE_OK);
        bed_acked(&bed, &b, WIRE_OP_MESSAGE, LITERAL(".broker\0x"), WIRE_ACCESS);
        bed_acked(&bed, &c, WIRE_OP_MESSAGE, LITERAL(".broker\0x"), WIRE_ACCESS);
        peer_close(&a);
        peer_close(&b);
        peer_close(&c);
        bed_close(&bed);
}

static void nobody_speaks_for_the_broker(void **state)
{
        struct bed bed;
        struct peer a;

        open_with_rules(&bed, "[a]\nAllowUsers=*\nPublishTo=# .broker/# .broker/warn + .broker\n");
        a = bed_join(&bed, "a");
        bed_acked(&bed, &a, WIRE_OP_PUBLISH, LITERAL(".broker/warn\0x"), WIRE_ACCESS);
        bed_acked(&bed, &a, WIRE_OP_PUBLISH, LITERAL(".broker\0x"), WIRE_ACCESS);
        bed_acked(&bed, &a, WIRE_OP_PUBLISH_FOR, LITERAL(".broker/x/y\0a\0x"), WIRE_ACCESS);
        bed_acked(&bed, &a, WIRE_OP_PUBLISH, LITERAL(".brokers/x\0x"), WIRE_OK);
        peer_close(&a);
        bed_close(&bed);
}

static void the_warning_is_everybodys(void **state)
{
        struct bed bed;
        struct peer a;

        open_with_rules(&bed, "[a]\nAllowUsers=*\n");
        a = bed_join(&bed, "a");
        bed_acked(&bed, &a, WIRE_OP_UNSUBSCRIBE, LITERAL(".broker/warn"), WIRE_OK);
        bed_acked(&bed, &a, WIRE_OP_SUBSCRIBE, LITERAL(".broker/warn"), WIRE_OK);
        bed_acked(&bed, &a, WIRE_OP_SUBSCRIBE, LITERAL(".broker/info"), WIRE_ACCESS);
        bed_acked(&bed, &a, WIRE_OP_SUBSCRIBE, LITERAL(".broker/#"), WIRE_ACCESS);
        peer_close(&a);
        bed_close(&bed);
}

/* --- Lists, names, what is told --- */

static void what_is_allowed_in_a_list_stands(void **state)
{
        struct bed bed;
        struct peer a;

        open_with_rules(&bed, "[a]\nAllowUsers=*\nSubscribeTo=t/# u\n");
        a = bed_join(&bed, "a");
        bed_acked(&bed, &a, WIRE_OP_SUBSCRIBE, LITERAL("t/a\0v\0u\0#\0t/b"), WIRE_ACCESS);
        assert_int_equal(n_subscriptions(&bed, "a"), 4);
        expect_denied(&bed, "may not subscribe to \"v\"", 3);
        assert_int_equal(bed_counters(&bed).denied, 2);
        bed_acked(&bed, &a, WIRE_OP_EXCLUDE, LITERAL("x\0y/#"), WIRE_OK);
        bed_acked(&bed, &a, WIRE_OP_UNEXCLUDE, LITERAL("x"), WIRE_OK);
        bed_acked(&bed, &a, WIRE_OP_UNSUBSCRIBE, LITERAL("v\0t/a"), WIRE_OK);
        peer_close(&a);
        bed_close(&bed);
}

static void a_denial_is_told_whatever_else_is_wrong_with_the_list(void **state)
{
        struct engine_config config;
        struct bed bed;
        struct peer a;

        bed_config(&config);
        config.max_topic_parts = 2;
        config.access = rules_of("[a]\nAllowUsers=*\n");
        bed_open(&bed, &config);
        access_rules_unref(config.access);
        a = bed_join(&bed, "a");
        bed_acked(&bed, &a, WIRE_OP_SUBSCRIBE, LITERAL("v\0a/b/c"), WIRE_ACCESS);
        bed_acked(&bed, &a, WIRE_OP_SUBSCRIBE, LITERAL("a/b/c\0v"), WIRE_ACCESS);
        bed_acked(&bed, &a, WIRE_OP_SUBSCRIBE, LITERAL("a/b/c"), WIRE_DATA);
        peer_close(&a);
        bed_close(&bed);
}

static void secondaries_are_judged_as_their_primary(void **state)
{
        uint8_t got[256];
        struct peer a, a1, b;
        struct bed bed;

        open_with_rules(
                &bed, "[a]\nAllowUsers=7\nSendTo=b\n[b]\nAllowUsers=9\nSendTo=a\nReceiveFrom=a\n");
        a = bed_join_as(&bed, "a", 7);
        a1 = bed_join_as(&bed, "a%%1", 7);
        b = bed_join_as(&bed, "b", 9);
        bed_acked(&bed, &a1, WIRE_OP_MESSAGE, LITERAL("b\0x"), WIRE_OK);
        assert_true(peer_read(&b, got, sizeof(got)) > 0);
        bed_acked(&bed, &b, WIRE_OP_MESSAGE, LITERAL("a%%1\0x"), WIRE_OK);
        assert_true(peer_read(&a1, got, sizeof(got)) > 0);
        bed_acked(&bed, &b, WIRE_OP_MESSAGE, LITERAL("a%%2\0x"), WIRE_NOT_REGISTERED);
        peer_close(&b);
        b = bed_connect(&bed, 9);
        assert_int_equal(bed_ask_name(&bed, &b, "a%%2"), WIRE_ACCESS);
        peer_close(&a);
        peer_close(&a1);
        peer_close(&b);
        bed_close(&bed);
}

/* Who may not send there does not learn who is there. */
static void denied_comes_before_not_there(void **state)
{
        struct bed bed;
        struct peer a;

        open_with_rules(&bed, "[a]\nAllowUsers=*\nSendTo=here\n");
        a = bed_join(&bed, "a");
        bed_acked(&bed, &a, WIRE_OP_MESSAGE, LITERAL("nobody\0x"), WIRE_ACCESS);
        bed_acked(&bed, &a, WIRE_OP_MESSAGE, LITERAL("here\0x"), WIRE_NOT_REGISTERED);
        peer_close(&a);
        bed_close(&bed);
}

static void denials_are_told_once_a_second(void **state)
{
        struct engine_client_info info;
        struct engine_event ev;
        struct session *s;
        struct bed bed;
        struct peer a;

        open_with_rules(&bed, "[a]\nAllowUsers=*\n");
        a = bed_join(&bed, "a");
        for (unsigned i = 0; i < 1000; i++) {
                peer_send(&a, WIRE_OP_PUBLISH, LITERAL("t\0p"));
                bed_settle(&bed);
        }
        expect_denied(&bed, "may not publish on \"t\"", 1);
        assert_true(no_event(&bed, ENGINE_EVENT_DENIED));
        assert_int_equal(bed_counters(&bed).denied, 1000);
        assert_int_equal(engine_find_client(bed.engine, "a", 1, &info), 0);
        assert_int_equal(info.r_frames, 1000);

        /* The rest at the end of the second. */
        s = registry_find(&bed.engine->registry, "a", 1);
        assert_in_range(s->timer_at, 1, s->denied_told_at + 1000000000);
        s->denied_told_at -= 1000000000;
        session_check_timers(s);
        ev = bed_event(&bed, ENGINE_EVENT_DENIED);
        assert_int_equal(ev.n_frames, 999);
        assert_string_equal(ev.detail, "999 more times since then");
        assert_string_equal(ev.file, "");

        /* Or when it leaves. */
        peer_send(&a, WIRE_OP_PUBLISH, LITERAL("t\0p"));
        bed_settle(&bed);
        assert_true(no_event(&bed, ENGINE_EVENT_DENIED));
        peer_close(&a);
        bed_settle(&bed);
        assert_int_equal(bed_event(&bed, ENGINE_EVENT_DENIED).n_frames, 1);
        bed_close(&bed);
}

static void long_texts_are_cut(void **state)
{
        static char topic[3000];
        struct engine_event ev;
        struct bed bed;
        struct peer a;

        open_with_rules(&bed, "[a]\nAllowUsers=*\n");
        a = bed_join(&bed, "a");
        memset(topic, 't', sizeof(topic) - 2);
        peer_send(&a, WIRE_OP_PUBLISH, topic, sizeof(topic));
        bed_settle(&bed);
        ev = bed_event(&bed, ENGINE_EVENT_DENIED);
        assert_string_equal(ev.detail + strlen(ev.detail) - 5, "t...\"");
        peer_close(&a);
        bed_close(&bed);
}

/* More texts than are remembered, of all lengths, in all orders: what is remembered is never
 * mistaken for another. */
static void what_is_remembered_is_what_was_allowed(void **state)
{
        struct bed bed;
        struct peer a;
        unsigned seed = 1;

        open_with_rules(&bed, "[a]\nAllowUsers=*\nPublishTo=even/# \nBroadcastTo=odd.*\n");
        a = bed_join(&bed, "a");
        for (unsigned i = 0; i < 3000; i++) {
                unsigned n = (unsigned)rand_r(&seed) % 40;
                bool even = n % 2 == 0, is_broadcast = rand_r(&seed) & 1;
                char body[256];
                int len = snprintf(body, sizeof(body), is_broadcast ? "%s.%0*u" : "%s/%0*u",
                                   even ? "even" : "odd", (int)(1 + n * n % 80), n);

                peer_send(&a, (is_broadcast ? WIRE_OP_BROADCAST : WIRE_OP_PUBLISH) | PROCESSED,
                          body, (size_t)len + 1);
                bed_settle(&bed);
                peer_expect_ack(&a, a.next_op, even != is_broadcast ? WIRE_OK : WIRE_ACCESS);
        }
        peer_close(&a);
        bed_close(&bed);
}

/* Two clients of different rules, more topics than the topic cache has, each in all of its hands:
 * what one rule has allowed is never taken for another topic's, nor for the other rule's. */
static void what_one_rule_allows_another_may_not(void **state)
{
        struct peer peers[2];
        struct bed bed;
        unsigned seed = 1;

        open_with_rules(&bed, "[a]\nAllowUsers=*\nPublishTo=a/# both/#\n"
                              "[b]\nAllowUsers=*\nPublishTo=b/# both/#\n");
        peers[0] = bed_join(&bed, "a");
        peers[1] = bed_join(&bed, "b");
        for (unsigned i = 0; i < 20000; i++) {
                static const char *const first[] = {"a", "b", "both"};
                unsigned n = (unsigned)rand_r(&seed) % 1500, who = (unsigned)rand_r(&seed) % 2;
                char body[64];
                int len = snprintf(body, sizeof(body), "%s/%u", first[n % 3], n);

                bed_acked(&bed, &peers[who], WIRE_OP_PUBLISH, body, (size_t)len + 1,
                          n % 3 == who || n % 3 == 2 ? WIRE_OK : WIRE_ACCESS);
        }
        peer_close(&peers[0]);
        peer_close(&peers[1]);
        bed_close(&bed);
}

static const void **note_of(struct bed *bed, const char *topic)
{
        return topic_cache_find(&bed->engine->topic_cache, topic, strlen(topic)).note;
}

/* The topic cache serves all: who may not publish changes nothing in it. */
static void what_is_denied_takes_nobodys_place(void **state)
{
        struct bed bed;
        struct peer a, b;

        open_with_rules(&bed, "[a]\nAllowUsers=*\nPublishTo=t\n[b]\nAllowUsers=*\n");
        a = bed_join(&bed, "a");
        b = bed_join(&bed, "b");
        for (unsigned i = 0; i < 2; i++)
                bed_acked(&bed, &a, WIRE_OP_PUBLISH, LITERAL("t\0p"), WIRE_OK);
        for (unsigned i = 0; i < 3000; i++) {
                char body[32];
                int len = snprintf(body, sizeof(body), "%u", i);

                bed_acked(&bed, &b, WIRE_OP_PUBLISH, body, (size_t)len + 1, WIRE_ACCESS);
                assert_null(note_of(&bed, body));
        }
        bed_acked(&bed, &b, WIRE_OP_PUBLISH, LITERAL("t\0p"), WIRE_ACCESS);
        assert_non_null(note_of(&bed, "t"));
        assert_ptr_equal(*note_of(&bed, "t"), registry_find(&bed.engine->registry, "a", 1)->rule);
        peer_close(&a);
        peer_close(&b);
        bed_close(&bed);
}

static void what_may_be_published_may_not_be_broadcast_for_that(void **state)
{
        struct bed bed;
        struct peer a;

        open_with_rules(&bed, "[a]\nAllowUsers=*\nPublishTo=x\nBroadcastTo=y\n");
        a = bed_join(&bed, "a");
        for (unsigned i = 0; i < 2; i++) {
                bed_acked(&bed, &a, WIRE_OP_PUBLISH, LITERAL("x\0p"), WIRE_OK);
                bed_acked(&bed, &a, WIRE_OP_BROADCAST, LITERAL("x\0p"), WIRE_ACCESS);
                bed_acked(&bed, &a, WIRE_OP_BROADCAST, LITERAL("y\0p"), WIRE_OK);
                bed_acked(&bed, &a, WIRE_OP_PUBLISH, LITERAL("y\0p"), WIRE_ACCESS);
        }
        peer_close(&a);
        bed_close(&bed);
}

/* --- What it costs --- */

#define PARTS 11 /* of each mask; so many masks as these can be one of two in all ways */
#define MANY (1u << PARTS)
#define FRAMES 100 /* as many as fit into the socket */

static char *add_masks(char *at, const char *key)
{
        at += sprintf(at, "\n%s=", key);
        for (unsigned i = 0; i < MANY; i++) {
                for (unsigned j = 0; j < PARTS; j++)
                        at += sprintf(at, "%c/", i >> j & 1 ? '+' : 'a');
                at += sprintf(at, "x ");
        }
        return at;
}

/* A rule with many masks, and a peer that asks for all of them with every frame: each holds all of
 * the topic but its end. */
static void masks_that_are_tried_are_paid_for(void **state)
{
        static const char head[] = "[a]\nAllowUsers=*";
        static const struct {
                uint8_t op;
                const char *body;
                size_t len;
        } frames[] = {{WIRE_OP_PUBLISH, LITERAL("a/a/a/a/a/a/a/a/a/a/a/y\0p")},
                      {WIRE_OP_SUBSCRIBE, LITERAL("a/a/a/a/a/a/a/a/a/a/a/y")}};
        char *text = malloc(sizeof(head) + 2 * MANY * 32);

        add_masks(add_masks(stpcpy(text, head), "PublishTo"), "SubscribeTo");
        for (size_t i = 0; i < ARRAY_SIZE(frames); i++) {
                struct bed bed;
                struct peer a;

                open_with_rules(&bed, text);
                a = bed_join(&bed, "a");
                for (unsigned n = 0; n < FRAMES; n++)
                        peer_send(&a, frames[i].op, frames[i].body, frames[i].len);
                assert_int_equal(engine_process(bed.engine), 0);
                assert_in_range(bed_counters(&bed).denied, 1, FRAMES / 10);
                bed_settle(&bed);
                assert_int_equal(bed_counters(&bed).denied, FRAMES);
                peer_close(&a);
                bed_close(&bed);
        }
        free(text);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_name_is_for_whom_the_rules_say),
                cmocka_unit_test(a_name_is_refused_to_others),
                cmocka_unit_test(root_is_subject_to_rules),
                cmocka_unit_test(what_is_no_name_is_told_before_any_rule),
                cmocka_unit_test(operations_are_for_whom_the_rules_say),
                cmocka_unit_test(without_rules_everybody_may_everything),
                cmocka_unit_test(a_receiver_may_choose_its_senders),
                cmocka_unit_test(the_broker_is_heard_by_all),
                cmocka_unit_test(the_broker_must_be_named),
                cmocka_unit_test(nobody_speaks_for_the_broker),
                cmocka_unit_test(the_warning_is_everybodys),
                cmocka_unit_test(what_is_allowed_in_a_list_stands),
                cmocka_unit_test(a_denial_is_told_whatever_else_is_wrong_with_the_list),
                cmocka_unit_test(secondaries_are_judged_as_their_primary),
                cmocka_unit_test(denied_comes_before_not_there),
                cmocka_unit_test(denials_are_told_once_a_second),
                cmocka_unit_test(long_texts_are_cut),
                cmocka_unit_test(what_is_remembered_is_what_was_allowed),
                cmocka_unit_test(what_one_rule_allows_another_may_not),
                cmocka_unit_test(what_is_denied_takes_nobodys_place),
                cmocka_unit_test(what_may_be_published_may_not_be_broadcast_for_that),
                cmocka_unit_test(masks_that_are_tried_are_paid_for),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
