/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever the engine tells comes out as one line that says who and why, under a MESSAGE_ID of its
 * own. */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "basic/macro.h"
#include "busrtd/messages.h"

/* All that the engine tells. */
static const struct {
        enum engine_event_type type;
        enum engine_cause cause;
} all_events[] = {
        {ENGINE_EVENT_REGISTERED, ENGINE_CAUSE_NONE},
        {ENGINE_EVENT_GONE, ENGINE_CAUSE_NONE},
        {ENGINE_EVENT_REFUSED, ENGINE_CAUSE_PROTOCOL},
        {ENGINE_EVENT_REFUSED, ENGINE_CAUSE_NAME},
        {ENGINE_EVENT_REFUSED, ENGINE_CAUSE_RULE},
        {ENGINE_EVENT_REFUSED, ENGINE_CAUSE_QUOTA},
        {ENGINE_EVENT_REFUSED, ENGINE_CAUSE_NO_MEMORY},
        {ENGINE_EVENT_BAD_FRAME, ENGINE_CAUSE_NONE},
        {ENGINE_EVENT_STRUCK, ENGINE_CAUSE_NONE},
        {ENGINE_EVENT_DROPPED, ENGINE_CAUSE_NONE},
        {ENGINE_EVENT_TIMEOUT, ENGINE_CAUSE_KEEP_ALIVE},
        {ENGINE_EVENT_TIMEOUT, ENGINE_CAUSE_HANDSHAKE},
        {ENGINE_EVENT_TIMEOUT, ENGINE_CAUSE_BODY},
        {ENGINE_EVENT_TIMEOUT, ENGINE_CAUSE_BLOCKED},
        {ENGINE_EVENT_TAKEOVER, ENGINE_CAUSE_NONE},
        {ENGINE_EVENT_MEMORY, ENGINE_CAUSE_NONE},
        {ENGINE_EVENT_RESYNC, ENGINE_CAUSE_NONE},
};

static struct engine_event event_of(enum engine_event_type type, enum engine_cause cause)
{
        return (struct engine_event){.type = type,
                                     .cause = cause,
                                     .kind = TRANSPORT_UNIX,
                                     .id = 7,
                                     .uid = 1000,
                                     .gid = 100,
                                     .pid = 4711,
                                     .n_frames = 55,
                                     .name = "plc.1",
                                     .detail = "for a reason"};
}

static void check_record(const struct log_record *r)
{
        assert_in_range(r->priority, LOG_ERR, LOG_DEBUG);
        assert_int_equal(strlen(r->message_id), 32);
        for (const char *c = r->message_id; *c; c++)
                assert_true(isdigit(*c) || (*c >= 'a' && *c <= 'f'));
        assert_true(strlen(r->text) > 0);
        assert_null(strchr(r->text, '\n'));
        assert_null(strstr(r->text, "(null)"));
}

static void test_every_event_is_a_line(void **state)
{
        const char *ids[ARRAY_SIZE(all_events)];

        for (size_t i = 0; i < ARRAY_SIZE(all_events); i++) {
                struct engine_event event = event_of(all_events[i].type, all_events[i].cause);
                struct log_record r;

                assert_true(message_event(&r, &event));
                check_record(&r);
                ids[i] = r.message_id;
                for (size_t other = 0; other < i; other++)
                        assert_string_not_equal(ids[other], r.message_id);
                if (event.type == ENGINE_EVENT_RESYNC)
                        continue;
                assert_non_null(strstr(r.text, "client \"plc.1\" (user 1000, process 4711)"));
                if (event.type != ENGINE_EVENT_REGISTERED)
                        assert_non_null(strstr(r.text, "for a reason"));
                assert_string_equal(r.client, "plc.1");
                assert_string_equal(r.reason, "for a reason");
                assert_true(r.has_uid);
                assert_int_equal(r.uid, 1000);
                assert_true(r.has_gid);
                assert_int_equal(r.gid, 100);
                assert_int_equal(r.session, 7);
        }
}

static void test_frames_are_counted_where_they_matter(void **state)
{
        struct engine_event event = event_of(ENGINE_EVENT_DROPPED, ENGINE_CAUSE_NONE);
        struct log_record r;

        assert_true(message_event(&r, &event));
        assert_non_null(strstr(r.text, "55 frames"));
        assert_true(r.has_frames);
        assert_int_equal(r.frames, 55);
        event = event_of(ENGINE_EVENT_STRUCK, ENGINE_CAUSE_NONE);
        assert_true(message_event(&r, &event));
        assert_non_null(strstr(r.text, "55 frames wait"));
        event = event_of(ENGINE_EVENT_TIMEOUT, ENGINE_CAUSE_BODY);
        assert_true(message_event(&r, &event));
        assert_null(strstr(r.text, "55"));
        assert_false(r.has_frames);
}

static void test_tcp_peers_are_known_by_their_address(void **state)
{
        struct engine_event event = event_of(ENGINE_EVENT_BAD_FRAME, ENGINE_CAUSE_NONE);
        struct log_record r;

        event.kind = TRANSPORT_TCP;
        strcpy(event.source, "[2001:db8::1]:4000");
        event.name[0] = '\0';
        assert_true(message_event(&r, &event));
        assert_non_null(strstr(r.text, "a client without a name ([2001:db8::1]:4000)"));
        assert_false(r.has_uid);
        assert_string_equal(r.source, "[2001:db8::1]:4000");
}

/* The line of the rule stands in the text and in fields of its own. */
static void test_access_rules_are_told_with_their_place(void **state)
{
        static const struct {
                enum engine_event_type type;
                enum engine_cause cause;
                const char *says;
        } cases[] = {
                {ENGINE_EVENT_REFUSED, ENGINE_CAUSE_RULE, " refused: "},
                {ENGINE_EVENT_GONE, ENGINE_CAUSE_RULE, " disconnected by new access rules: "},
                {ENGINE_EVENT_DENIED, ENGINE_CAUSE_NONE, " denied: "},
                {ENGINE_EVENT_DENIED, ENGINE_CAUSE_RULE,
                 " lost subscriptions to new access rules: "},
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct engine_event event = event_of(cases[i].type, cases[i].cause);
                struct log_record r;

                event.over = true;
                strcpy(event.file, "/etc/\033");
                event.line = 7;
                assert_true(message_event(&r, &event));
                check_record(&r);
                assert_int_equal(r.priority, LOG_WARNING);
                assert_non_null(strstr(r.text, cases[i].says));
                assert_non_null(strstr(r.text, " (/etc/"));
                assert_non_null(strstr(r.text, ":7)"));
                assert_string_equal(r.file, "/etc/\033");
                assert_int_equal(r.line, 7);
                event.line = 0;
                event.file[0] = '\0';
                assert_true(message_event(&r, &event));
                assert_null(strstr(r.text, ":0)"));
        }
}

static void test_who_is_refused_and_stays_was_refused_a_subscription(void **state)
{
        struct engine_event event = event_of(ENGINE_EVENT_REFUSED, ENGINE_CAUSE_QUOTA);
        struct log_record r;

        event.over = false;
        assert_true(message_event(&r, &event));
        assert_non_null(strstr(r.text, " was refused a subscription: "));
        event.over = true;
        assert_true(message_event(&r, &event));
        assert_non_null(strstr(r.text, " refused: "));
}

static void test_each_quota_of_connections_names_its_key(void **state)
{
        static const struct {
                int error;
                const char *key;
        } cases[] = {{-EDQUOT, "(MaxConnectionsPerUser)"},
                     {-EUSERS, "(MaxHandshakesPerUser)"},
                     {-EBUSY, "(ConnectionRatePerUser)"}};
        struct transport_peer peer = {.kind = TRANSPORT_UNIX, .uid = 3};
        struct log_record r, other;

        message_connection_refused(&other, "/run/x", &peer, -EDQUOT);
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                message_connection_refused(&r, "/run/x", &peer, cases[i].error);
                check_record(&r);
                assert_non_null(strstr(r.text, cases[i].key));
                assert_string_equal(r.message_id, other.message_id);
        }
}

static void test_the_longest_texts_fit(void **state)
{
        struct engine_event event = event_of(ENGINE_EVENT_STRUCK, ENGINE_CAUSE_NONE);
        struct log_record r;

        memset(event.name, 0xff, sizeof(event.name) - 1);
        memset(event.detail, '\n', sizeof(event.detail) - 1);
        memset(event.file, '\n', sizeof(event.file) - 1);
        event.line = 1;
        assert_true(message_event(&r, &event));
        check_record(&r);
        event.type = (enum engine_event_type)1000;
        assert_false(message_event(&r, &event));
}

static void test_the_rest(void **state)
{
        struct transport_peer peer = {.kind = TRANSPORT_UNIX, .uid = 3};
        struct engine_config config;
        struct log_record r[19];
        size_t n = 0;

        engine_config_init(&config);
        message_starting(&r[n++]);
        message_default_socket(&r[n++], "/run/\033");
        message_listening(&r[n++], TRANSPORT_UNIX, "/run/x", 0600, true);
        message_limits(&r[n++], &config, 1024);
        message_stopping(&r[n++], "SIGTERM");
        message_unknown_key(&r[n++], &(struct config_entry){"Bus", "Nonsense", "1", "/etc/b", 3});
        message_access_rules(&r[n++], NULL);
        message_reloaded(&r[n++], "no setting has changed");
        message_not_reloaded(&r[n++], "/etc/b:3: nonsense", &(struct config_place){"/etc/b", 3});
        message_config_refused(&r[n++], "/etc/b:3: nonsense", &(struct config_place){"/etc/b", 3});
        message_failed(&r[n++], "because");
        message_accept_paused(&r[n++], "/run/x", -EMFILE, 1024);
        message_accept_resumed(&r[n++], "/run/x");
        message_connection_refused(&r[n++], "/run/x", &peer, -EDQUOT);
        message_connection_refused(&r[n++], "/run/x", &peer, -ENOMEM);
        message_fifo_line(&r[n++], "/run/f", "it is bad");
        message_listener_failed(&r[n++], TRANSPORT_FIFO, "/run/f", "I/O error");
        message_suppressed(&r[n++], "user 3", 5, 9);
        message_records_lost(&r[n++], 5);
        for (size_t i = 0; i < n; i++) {
                check_record(&r[i]);
                for (size_t k = 0; k < i; k++)
                        assert_string_not_equal(r[i].message_id, r[k].message_id);
        }
        assert_non_null(strstr(r[n - 2].text, "9 dropped frames"));
}

static void test_records_say_what_they_are_about(void **state)
{
        struct transport_peer peer = {.kind = TRANSPORT_UNIX, .uid = 3, .gid = 4};
        struct config_entry entry = {"Bus", "Nonsense", "1", "/etc/b", 3};
        struct log_record r, other;

        message_connection_refused(&r, "/run/x", &peer, -EDQUOT);
        assert_string_equal(r.listener, "/run/x");
        assert_string_equal(r.reason, "too many connections");
        assert_int_equal(r.gid, 4);
        message_accept_paused(&r, "/run/x", -EMFILE, 1024);
        assert_string_equal(r.listener, "/run/x");
        message_accept_resumed(&r, "/run/x");
        assert_string_equal(r.listener, "/run/x");
        message_listening(&r, TRANSPORT_TCP, "127.0.0.1:1", -1, false);
        assert_string_equal(r.listener, "127.0.0.1:1");
        message_listener_failed(&r, TRANSPORT_TCP, "127.0.0.1:1", "because");
        assert_string_equal(r.listener, "127.0.0.1:1");
        assert_string_equal(r.reason, "because");
        message_listener_missing(&other, "cannot listen on a:1", "a:1");
        assert_string_equal(other.listener, "a:1");
        assert_string_equal(other.message_id, r.message_id);
        message_unknown_key(&r, &entry);
        assert_string_equal(r.file, "/etc/b");
        assert_int_equal(r.line, 3);
        message_suppressed(&r, "user 3", 5, 9);
        assert_int_equal(r.records, 5);
        assert_int_equal(r.frames, 9);
        assert_false(message_is_of_lost_records(&r));
        message_records_lost(&r, 7);
        assert_int_equal(r.records, 7);
        assert_true(message_is_of_lost_records(&r));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_event_is_a_line),
                cmocka_unit_test(test_frames_are_counted_where_they_matter),
                cmocka_unit_test(test_tcp_peers_are_known_by_their_address),
                cmocka_unit_test(test_access_rules_are_told_with_their_place),
                cmocka_unit_test(test_who_is_refused_and_stays_was_refused_a_subscription),
                cmocka_unit_test(test_each_quota_of_connections_names_its_key),
                cmocka_unit_test(test_the_longest_texts_fit),
                cmocka_unit_test(test_the_rest),
                cmocka_unit_test(test_records_say_what_they_are_about),
        };

        return cmocka_run_group_tests_name("messages", tests, NULL, NULL);
}
