/* SPDX-License-Identifier: Apache-2.0 */
/* Questions to access rules, and what a file of expectations says, as the tool takes it apart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "basic/macro.h"
#include "busrtctl/access-expect.h"
#include "config/access.h"

static int find_nobody(const char *name, uint32_t *ret, void *userdata)
{
        return -ENOENT;
}

static struct access_rules *rules_of(const char *text)
{
        static const struct access_resolver resolver = {find_nobody, find_nobody, NULL};
        struct access_rules *rules = NULL;
        struct config config = {0};
        char error[CONFIG_ERROR_MAX];

        assert_int_equal(config_add_text(&config, "rules.conf", text, strlen(text), error), 0);
        assert_int_equal(access_read_config(&config, &resolver, NULL, NULL, &rules, error), 0);
        config_done(&config);
        return rules;
}

static void expect(const struct access_rules *rules, const char *name, enum access_deed deed,
                   const char *object, bool allow, unsigned line)
{
        const struct access_peer peer = {.kind = IDENTITY_USER, .uid = 7, .gid = 7};
        struct verdict v = access_judge(rules, name, &peer, deed, object);

        assert_int_equal(v.allow, allow);
        assert_int_equal(v.line, line);
        assert_non_null(v.reason);
}

static void each_deed_is_judged_by_its_key(void **state)
{
        struct access_rules *rules = rules_of("[a]\nAllowUsers=7\nPublishTo=p\nSubscribeTo=s\n"
                                              "SendTo=*\nBroadcastTo=m\nReceiveFrom=r\n");

        expect(rules, "a", ACCESS_BEAR, NULL, true, 2);
        expect(rules, "b", ACCESS_BEAR, NULL, false, 0);
        expect(rules, "", ACCESS_BEAR, NULL, false, 0);
        expect(rules, "a", ACCESS_PUBLISH, "p", true, 3);
        expect(rules, "a", ACCESS_PUBLISH, "s", false, 3);
        expect(rules, "a", ACCESS_SUBSCRIBE, "s", true, 4);
        expect(rules, "a", ACCESS_BROADCAST, "m", true, 6);
        expect(rules, "a", ACCESS_BROADCAST, "p", false, 6);
        expect(rules, "a", ACCESS_RECEIVE, "r", true, 7);
        expect(rules, "a", ACCESS_RECEIVE, "x", false, 7);
        access_rules_unref(rules);
}

static void what_is_sent_must_be_taken_but_by_the_broker(void **state)
{
        struct access_rules *rules =
                rules_of("[a]\nSendTo=*\n[b]\nReceiveFrom=c\n[*]\nReceiveFrom=nobody\n");

        expect(rules, "a", ACCESS_SEND, "b", false, 4);
        expect(rules, "a", ACCESS_SEND, ".broker", true, 2);
        expect(rules, "b", ACCESS_SEND, "a", false, 3);
        expect(NULL, "a", ACCESS_SEND, "b", true, 0);
        access_rules_unref(rules);
}

static int parse_header(const char *text, struct access_words *words, struct access_header *ret)
{
        const char *why = NULL;
        int r = access_words_split(text, words);

        if (r >= 0)
                r = access_header_parse(words, ret, &why);
        assert_true(r >= 0 || why);
        return r;
}

static void headers_name_a_client_and_who_it_is(void **state)
{
        struct access_words words = {0};
        struct access_header h;

        assert_int_equal(parse_header("plc.1", &words, &h), 0);
        assert_string_equal(h.name, "plc.1");
        assert_null(h.user);
        assert_null(h.host);
        access_words_done(&words);
        assert_int_equal(parse_header("\"a b\" as user olga group x group y", &words, &h), 0);
        assert_string_equal(h.name, "a b");
        assert_string_equal(h.user, "olga");
        assert_int_equal(h.n_groups, 2);
        assert_string_equal(h.groups[1], "y");
        access_words_done(&words);
        assert_int_equal(parse_header("a as host ::1", &words, &h), 0);
        assert_string_equal(h.host, "::1");
        access_words_done(&words);
}

static void headers_that_say_something_else_are_refused(void **state)
{
        static const char *const bad[] = {
                " ",
                "a b",
                "a as",
                "a as user",
                "a as x y",
                "a as host 1 group x",
                "a as host 1 user 2",
                "a as user x user y",
                "a as group x",
                "a for user x",
        };

        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                struct access_words words = {0};
                struct access_header h = {.name = "untouched"};

                assert_int_equal(parse_header(bad[i], &words, &h), -EINVAL);
                assert_string_equal(h.name, "untouched");
                access_words_done(&words);
        }
}

static int parse_expectation(const char *text, enum access_deed *ret)
{
        struct access_words words = {0};
        const char *why = NULL;
        int r;

        assert_int_equal(access_words_split(text, &words), 0);
        r = access_expectation_parse(&words, ret, &why);
        assert_true(r >= 0 || why);
        access_words_done(&words);
        return r;
}

static void expectations_are_a_deed_and_what_it_is_about(void **state)
{
        enum access_deed deed = ACCESS_N_DEEDS;

        assert_int_equal(parse_expectation("bear", &deed), 0);
        assert_int_equal(deed, ACCESS_BEAR);
        assert_int_equal(parse_expectation("broadcast 'a b' c", &deed), 0);
        assert_int_equal(deed, ACCESS_BROADCAST);
        assert_int_equal(parse_expectation("bear x", &deed), -EINVAL);
        assert_int_equal(parse_expectation("send", &deed), -EINVAL);
        assert_int_equal(parse_expectation("", &deed), -EINVAL);
        assert_int_equal(parse_expectation("publi x", &deed), -EINVAL);
        assert_int_equal(deed, ACCESS_BROADCAST);
}

static void a_quote_that_does_not_end_is_no_word(void **state)
{
        struct access_words words = {.n = 0};

        assert_int_equal(access_words_split("a \"b", &words), -EINVAL);
        assert_int_equal(words.n, 0);
        assert_int_equal(access_words_split("", &words), 0);
        assert_int_equal(words.n, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(each_deed_is_judged_by_its_key),
                cmocka_unit_test(what_is_sent_must_be_taken_but_by_the_broker),
                cmocka_unit_test(headers_name_a_client_and_who_it_is),
                cmocka_unit_test(headers_that_say_something_else_are_refused),
                cmocka_unit_test(expectations_are_a_deed_and_what_it_is_about),
                cmocka_unit_test(a_quote_that_does_not_end_is_no_word),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
