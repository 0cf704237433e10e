/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Access rules from files: which files count, what may stand in them, what an error says, and what
 * happens where there is no memory.
 */
#include <arpa/inet.h>
#include <grp.h>
#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "access-ask.h"
#include "basic/macro.h"
#include "config/access-value.h"
#include "counted-strings.h"

static char error[CONFIG_ERROR_MAX];
static char top[] = "/tmp/busrt-access-XXXXXX";

/* --- A system of two users and a group --- */

static int find_user(const char *name, uid_t *ret, void *userdata)
{
        if (strcmp(name, "broken") == 0)
                return -EIO;
        if (strcmp(name, "plc") != 0 && strcmp(name, "hmi") != 0)
                return -ENOENT;
        *ret = name[0] == 'p' ? 101 : 102;
        return 0;
}

static int find_group(const char *name, gid_t *ret, void *userdata)
{
        if (strcmp(name, "operators") != 0)
                return -ENOENT;
        *ret = 201;
        return 0;
}

static const struct access_resolver resolver = {find_user, find_group, NULL};

static struct {
        char text[512];
        size_t n;
} warnings;

static void note_warning(const struct config_entry *entry, void *userdata)
{
        size_t used = strlen(warnings.text);

        assert_ptr_equal(userdata, &warnings);
        (void)snprintf(warnings.text + used, sizeof(warnings.text) - used, "%s:%u [%s] %s\n",
                       entry->file, entry->line, entry->section, entry->key);
        warnings.n++;
}

/* --- Reading and asking --- */

static int read_text(const char *text, struct access_rules **ret)
{
        struct config c = {0};
        int r = config_add_text(&c, "f", text, strlen(text), error);

        warnings.text[0] = '\0';
        warnings.n = 0;
        if (r >= 0)
                r = access_read_config(&c, &resolver, note_warning, &warnings, ret, error);
        if (r < 0 && r != -ENOMEM)
                assert_string_equal(c.failed_at.file, "f");
        config_done(&c);
        return r;
}

static struct access_rules *rules_of(const char *text)
{
        struct access_rules *rules = NULL;

        if (read_text(text, &rules) != 0)
                fail_msg("%s", error);
        assert_string_equal(error, "");
        return rules;
}

static void expect_error(const char *text, const char *want)
{
        struct access_rules *rules = NULL;

        assert_int_not_equal(read_text(text, &rules), 0);
        assert_string_equal(error, want);
        assert_null(rules);
}

static struct verdict ask(const struct access_rules *rules, const char *name, enum access_key key,
                          const char *text)
{
        return access_ask(access_rules_find(rules, name, strlen(name)), key, text, strlen(text));
}

static struct verdict bear(const struct access_rules *rules, const char *name, uid_t uid, gid_t gid)
{
        const struct access_peer peer = {.kind = IDENTITY_USER, .uid = uid, .gid = gid};

        return access_check_identity(rules, name, strlen(name), &peer);
}

static struct verdict bear_from(const struct access_rules *rules, const char *name,
                                const char *address)
{
        struct access_peer peer = {.kind = strchr(address, ':') ? IDENTITY_IPV6 : IDENTITY_IPV4};

        assert_int_equal(
                inet_pton(peer.kind == IDENTITY_IPV6 ? AF_INET6 : AF_INET, address, peer.address),
                1);
        return access_check_identity(rules, name, strlen(name), &peer);
}

static void expect(struct verdict v, bool allow, const char *file, unsigned line)
{
        assert_int_equal(v.allow, allow);
        assert_int_equal(v.line, line);
        if (file)
                assert_string_equal(v.file, file);
        else
                assert_null(v.file);
}

/* --- What may stand in a file --- */

static void test_every_key_is_read_and_keeps_its_line(void **state)
{
        struct access_rules *rules = rules_of("# who and what\n"
                                              "[plc.?]\n"
                                              "AllowUsers = plc 7\n"
                                              "AllowGroups=operators 8\n"
                                              "AllowHosts=192.0.2.0/24 2001:db8::7\n"
                                              "SendTo=.broker hmi.*\n"
                                              "BroadcastTo=hmi.?\n"
                                              "PublishTo=plc/#\n"
                                              "SubscribeTo=cmd/+\n"
                                              "ReceiveFrom=hmi.1\n"
                                              "\n"
                                              "[empty]\n"
                                              "[any]\n"
                                              "AllowUsers=*\n");

        assert_int_equal(warnings.n, 0);
        assert_int_equal(access_rules_n_sections(rules), 3);
        assert_int_equal(access_rules_n_words(rules), 13);
        expect(bear(rules, "plc.1", 101, 0), true, "f", 3);
        expect(bear(rules, "plc.1", 7, 0), true, "f", 3);
        expect(bear(rules, "plc.1", 0, 201), true, "f", 4);
        expect(bear(rules, "plc.1", 0, 8), true, "f", 4);
        expect(bear(rules, "plc.1", 102, 7), false, "f", 3);
        expect(bear(rules, "any", 12345, 0), true, "f", 14);
        expect(bear(rules, "empty", 0, 0), false, "f", 12);
        expect(bear(rules, "other", 0, 0), false, NULL, 0);
        expect(bear_from(rules, "plc.1", "192.0.2.99"), true, "f", 5);
        expect(bear_from(rules, "plc.1", "2001:db8::7"), true, "f", 5);
        expect(bear_from(rules, "plc.1", "2001:db8::8"), false, "f", 5);
        expect(ask(rules, "plc.1", ACCESS_SEND_TO, ".broker"), true, "f", 6);
        expect(ask(rules, "plc.1", ACCESS_BROADCAST_TO, "hmi.?"), true, "f", 7);
        expect(ask(rules, "plc.1", ACCESS_BROADCAST_TO, "hmi.*"), false, "f", 7);
        expect(ask(rules, "plc.1", ACCESS_PUBLISH_TO, "plc/1/x"), true, "f", 8);
        expect(ask(rules, "plc.1", ACCESS_SUBSCRIBE_TO, "cmd/#"), false, "f", 9);
        expect(ask(rules, "plc.1", ACCESS_RECEIVE_FROM, "hmi.2"), false, "f", 10);
        access_rules_unref(rules);
}

static void test_repeated_keys_add_up_and_an_empty_value_takes_back(void **state)
{
        struct access_rules *rules = rules_of("[a]\n"
                                              "SendTo=x\n"
                                              "PublishTo=t\n"
                                              "SendTo=y\n"
                                              "[b]\n"
                                              "SendTo=x\n"
                                              "ReceiveFrom=x\n"
                                              "[a]\n"
                                              "SendTo=\n"
                                              "SendTo=z\n"
                                              "[b]\n"
                                              "SendTo=y\n"
                                              "ReceiveFrom=\n");

        expect(ask(rules, "a", ACCESS_SEND_TO, "x"), false, "f", 10);
        expect(ask(rules, "a", ACCESS_SEND_TO, "y"), false, "f", 10);
        expect(ask(rules, "a", ACCESS_SEND_TO, "z"), true, "f", 10);
        expect(ask(rules, "a", ACCESS_PUBLISH_TO, "t"), true, "f", 3);
        expect(ask(rules, "b", ACCESS_SEND_TO, "x"), true, "f", 6);
        expect(ask(rules, "b", ACCESS_SEND_TO, "y"), true, "f", 12);
        expect(ask(rules, "b", ACCESS_RECEIVE_FROM, "q"), true, "f", 5);
        access_rules_unref(rules);
}

static void test_words_with_blanks_are_quoted(void **state)
{
        struct access_rules *rules = rules_of("[a b]\n"
                                              "SubscribeTo=\"a b/+\" \t 'c \"d' e\"f\n"
                                              "PublishTo=\"\" 'x'\n");

        expect(ask(rules, "a b", ACCESS_SUBSCRIBE_TO, "a b/c"), true, "f", 2);
        expect(ask(rules, "a b", ACCESS_SUBSCRIBE_TO, "c \"d"), true, "f", 2);
        expect(ask(rules, "a b", ACCESS_SUBSCRIBE_TO, "e\"f"), true, "f", 2);
        expect(ask(rules, "a b", ACCESS_SUBSCRIBE_TO, "b/c"), false, "f", 2);
        expect(ask(rules, "a b", ACCESS_PUBLISH_TO, ""), true, "f", 3);
        expect(ask(rules, "a b", ACCESS_PUBLISH_TO, "x"), true, "f", 3);
        access_rules_unref(rules);
}

static void test_what_is_not_known_is_warned_of_and_the_rest_counts(void **state)
{
        struct access_rules *rules = rules_of("SendTo=early\n[a]\nSendto=x\nSendTo=y\nOther=\n");

        assert_string_equal(warnings.text, "f:1 [] SendTo\nf:3 [a] Sendto\nf:5 [a] Other\n");
        assert_int_equal(access_rules_n_words(rules), 1);
        expect(ask(rules, "a", ACCESS_SEND_TO, "y"), true, "f", 4);
        expect(ask(rules, "a", ACCESS_SEND_TO, "x"), false, "f", 4);
        access_rules_unref(rules);
}

static void test_nothing_is_no_rules(void **state)
{
        struct access_rules *rules = rules_of("# [a]\n");

        assert_int_equal(access_rules_n_sections(rules), 0);
        expect(bear(rules, "a", 0, 0), true, NULL, 0);
        access_rules_unref(rules);
}

static void test_errors_name_line_word_and_reason(void **state)
{
        expect_error(
                "[a]\nAllowUsers=plc who\n",
                "f:2: AllowUsers \"who\": no such user; names are looked up when the rules are "
                "loaded");
        expect_error("[a]\nAllowGroups=plc\n",
                     "f:2: AllowGroups \"plc\": no such group; names are looked up when the rules "
                     "are loaded");
        expect_error(
                "[a]\nAllowGroups=*\n",
                "f:2: AllowGroups \"*\": no such group; names are looked up when the rules are "
                "loaded");
        expect_error("[a]\nAllowUsers=broken\n", "f:2: AllowUsers \"broken\": Input/output error");
        expect_error("[a]\nAllowUsers=4294967295\n",
                     "f:2: AllowUsers \"4294967295\": no number of a user");
        expect_error("[a]\nAllowGroups=99999999999999999999\n",
                     "f:2: AllowGroups \"99999999999999999999\": no number of a group");
        expect_error("[a]\n\nAllowHosts=1.2.3\n",
                     "f:3: AllowHosts \"1.2.3\": no IPv4 or IPv6 address");
        expect_error("[a]\nSendTo=b%%1\n",
                     "f:2: SendTo \"b%%1\": name the primary: what holds for it holds for what "
                     "follows %% too");
        expect_error("[a]\n[b%%1]\n",
                     "f:2: section \"b%%1\": name the primary: what holds for it holds for what "
                     "follows %% too");
        expect_error("[a]\nSendTo=''\n", "f:2: SendTo \"\": a client's name cannot be empty");
        expect_error("[a]\nSendTo=x 'y\n", "f:2: SendTo \" 'y\": a quoted word does not end here");
        expect_error("[a]\nSendTo='x'y\n", "f:2: SendTo \"'x'y\": a quoted word does not end here");
        expect_error("[a]\nx\n", "f:2: neither [Section] nor Key=Value nor a comment");
        expect_error("[a]\nSendTo=\xff\n", "f:2: this line is no plain text");
}

/* In the order of the lines, whatever kind they are of. */
static void test_the_first_of_several_errors_is_told(void **state)
{
        expect_error(
                "[a]\nAllowUsers=who\n[b%%]\n",
                "f:2: AllowUsers \"who\": no such user; names are looked up when the rules are "
                "loaded");
        expect_error("[b%%]\nAllowUsers=who\n",
                     "f:1: section \"b%%\": name the primary: what holds for it holds for what "
                     "follows %% too");
}

static void test_a_mask_is_at_most_4096_bytes_and_an_error_shows_its_beginning(void **state)
{
        static char text[ACCESS_MASK_MAX + 64];
        struct access_rules *rules;
        size_t n = (size_t)sprintf(text, "[a]\nPublishTo=");

        memset(text + n, 'x', ACCESS_MASK_MAX);
        rules = rules_of(text);
        assert_true(ask(rules, "a", ACCESS_PUBLISH_TO, text + n).allow);
        access_rules_unref(rules);
        memcpy(text + n + 62, "\xe2\x82\xac", 3);
        text[n + ACCESS_MASK_MAX] = 'x';
        expect_error(text,
                     "f:2: PublishTo \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                     "xxxxxx\"...: a mask is longer than 4096 bytes");
}

static void test_hosts_are_addresses_or_prefixes(void **state)
{
        static const struct {
                const char *text;
                int family_bytes, n_bits; /* 0: refused */
        } cases[] = {
                {"192.0.2.1", 4, 32},
                {"192.0.2.0/24", 4, 24},
                {"0.0.0.0/0", 4, 0},
                {"192.0.2.1/32", 4, 32},
                {"::", 16, 128},
                {"::/0", 16, 0},
                {"2001:db8::/32", 16, 32},
                {"::ffff:192.0.2.1", 16, 128},
                {"2001:db8:1:2:3:4:255.255.255.255/128", 16, 128},
                {"192.0.2.1/24", 0, 0},
                {"192.0.2.0/33", 0, 0},
                {"192.0.2.0/", 0, 0},
                {"192.0.2.0/-1", 0, 0},
                {"192.0.2.0/2 ", 0, 0},
                {"192.0.2.0/4294967320", 0, 0},
                {"192.0.2", 0, 0},
                {"2001:db8::1/32", 0, 0},
                {"::/129", 0, 0},
                {"fe80::1%eth0", 0, 0},
                {"[::1]", 0, 0},
                {"localhost", 0, 0},
                {"*", 0, 0},
                {"/8", 0, 0},
                {"", 0, 0},
                {"1111:2222:3333:4444:5555:6666:255.255.255.2555555", 0, 0},
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct access_prefix p = {0};
                const char *why = NULL;
                int r = access_parse_prefix(cases[i].text, strlen(cases[i].text), &p, &why);

                assert_int_equal(r, cases[i].family_bytes ? 0 : -EINVAL);
                assert_int_equal(why != NULL, r < 0);
                assert_int_equal(p.family_bytes, cases[i].family_bytes);
                assert_int_equal(p.n_bits, cases[i].n_bits);
        }
}

static void test_the_system_knows_its_users_and_groups(void **state)
{
        const struct access_resolver *system = &access_resolver_system;
        uint32_t id = 4711;

        assert_int_equal(system->find_user("root", &id, system->userdata), 0);
        assert_int_equal(id, 0);
        id = 4711;
        assert_int_equal(system->find_group("root", &id, system->userdata), 0);
        assert_int_equal(id, 0);
        assert_int_equal(system->find_user("no-such-user-here", &id, system->userdata), -ENOENT);
        assert_int_equal(system->find_group("no-such-group-here", &id, system->userdata), -ENOENT);
        assert_int_equal(id, 0);
}

/* --- Which files count --- */

static void put(const char *name, const char *text)
{
        char path[256];
        FILE *f;

        (void)snprintf(path, sizeof(path), "%s/%s", top, name);
        for (char *slash = strchr(path + strlen(top) + 1, '/'); slash;
             slash = strchr(slash + 1, '/')) {
                *slash = '\0';
                (void)mkdir(path, 0700);
                *slash = '/';
        }
        if (!text) {
                assert_int_equal(symlink("/dev/null", path), 0);
                return;
        }
        f = fopen(path, "w");
        assert_non_null(f);
        (void)fputs(text, f);
        (void)fclose(f);
}

static const char *path_of(const char *name)
{
        static char path[256];

        (void)snprintf(path, sizeof(path), "%s/%s", top, name);
        return path;
}

static void test_earlier_folders_mask_and_all_files_go_by_name(void **state)
{
        struct access_rules *rules = NULL;
        struct config_place where;
        char etc[64], usr[64];
        const char *folders[] = {etc, "/nonexistent", usr};

        (void)snprintf(etc, sizeof(etc), "%s/etc", top);
        (void)snprintf(usr, sizeof(usr), "%s/usr", top);
        put("usr/10.conf", "[a]\nSendTo=from-10\n");
        put("usr/20.conf", "[a]\nSendTo=masked\n");
        put("etc/20.conf", "\n[a]\nSendTo=from-20\n");
        put("usr/30.conf", "[b]\n");
        put("etc/30.conf", NULL);
        put("usr/35.conf", "[c]\n");
        put("etc/35.conf", "");
        put("etc/40.conf", "[a]\nPublishTo=\nPublishTo=t\n");
        put("etc/50.txt", "[d]\n");
        put("etc/.60.conf", "[e]\n");
        assert_int_equal(access_read_folders(folders, 3, &resolver, note_warning, &warnings, &rules,
                                             error, &where),
                         0);
        assert_int_equal(access_rules_n_sections(rules), 1);
        assert_int_equal(where.line, 0);
        expect(ask(rules, "a", ACCESS_SEND_TO, "from-10"), true, path_of("usr/10.conf"), 2);
        expect(ask(rules, "a", ACCESS_SEND_TO, "from-20"), true, path_of("etc/20.conf"), 3);
        expect(ask(rules, "a", ACCESS_SEND_TO, "masked"), false, path_of("usr/10.conf"), 2);
        expect(ask(rules, "a", ACCESS_PUBLISH_TO, "t"), true, path_of("etc/40.conf"), 3);
        expect(ask(rules, "a", ACCESS_SUBSCRIBE_TO, "t"), false, path_of("usr/10.conf"), 1);
        access_rules_unref(rules);
}

static void test_a_config_file_has_its_own_folder_of_rules(void **state)
{
        struct access_rules *rules = NULL;
        struct config_place where;
        char file[256], bad[256];

        (void)snprintf(file, sizeof(file), "%s", path_of("my.conf"));
        assert_int_equal(access_read_files(file, &resolver, NULL, NULL, &rules, error, NULL), 0);
        assert_int_equal(access_rules_n_sections(rules), 0);
        rules = access_rules_unref(rules);
        put("my.conf.access.d/a.conf", "[a]\nSendTo=x\nUnknown=1\n");
        assert_int_equal(access_read_files(file, &resolver, NULL, NULL, &rules, error, &where), 0);
        expect(ask(rules, "a", ACCESS_SEND_TO, "x"), true, path_of("my.conf.access.d/a.conf"), 2);
        rules = access_rules_unref(rules);
        put("my.conf.access.d/b.conf", "\n[b]\nAllowUsers=who\n");
        assert_int_equal(access_read_files(file, &resolver, NULL, NULL, &rules, error, &where),
                         -EINVAL);
        (void)snprintf(bad, sizeof(bad), "%s", path_of("my.conf.access.d/b.conf"));
        assert_null(rules);
        assert_string_equal(where.file, bad);
        assert_int_equal(where.line, 3);
        assert_memory_equal(error, bad, strlen(bad));
}

/* Rules that cannot be read must not count as none. */
static void test_a_folder_or_file_that_cannot_be_read_is_an_error(void **state)
{
        struct access_rules *rules = NULL;
        struct config_place where;
        const char *folder = path_of("odd");
        char copy[256];

        (void)snprintf(copy, sizeof(copy), "%s", folder);
        folder = copy;
        put("odd/folder.conf/x", "");
        assert_int_equal(
                access_read_folders(&folder, 1, &resolver, NULL, NULL, &rules, error, &where),
                -EBADFD);
        assert_non_null(strstr(error, "odd/folder.conf: not a regular file"));
        assert_int_equal(where.line, 0);
        assert_null(rules);
}

/* --- Size --- */

static void test_a_thousand_sections_are_a_thousand_rules(void **state)
{
        static char text[1 << 17];
        struct access_rules *rules;
        size_t n = 0;

        for (int i = 0; i < 1000; i++)
                n += (size_t)snprintf(text + n, sizeof(text) - n,
                                      "[plc.%d%s]\nAllowUsers=%d plc\nPublishTo=plc/%d/#\n", i,
                                      i % 2 ? ".*" : "", i, i);
        rules = rules_of(text);
        assert_int_equal(access_rules_n_sections(rules), 1000);
        assert_int_equal(access_rules_n_words(rules), 3000);
        for (unsigned i = 0; i < 1000; i++) {
                char name[32], topic[32];

                (void)snprintf(name, sizeof(name), "plc.%u%s", i, i % 2 ? ".x" : "");
                (void)snprintf(topic, sizeof(topic), "plc/%u/x", i);
                expect(bear(rules, name, i, 0), true, "f", i * 3 + 2);
                expect(bear(rules, name, 5000, 0), false, "f", i * 3 + 2);
                expect(ask(rules, name, ACCESS_PUBLISH_TO, topic), true, "f", i * 3 + 3);
                expect(ask(rules, name, ACCESS_SEND_TO, topic), false, "f", i * 3 + 1);
        }
        access_rules_unref(rules);
}

static void test_more_than_is_allowed_names_the_line(void **state)
{
        static char text[ACCESS_SECTIONS_MAX * 8 + 64];
        struct access_rules *rules = NULL;
        size_t n = 0;

        for (int i = 0; i <= ACCESS_SECTIONS_MAX; i++)
                n += (size_t)snprintf(text + n, sizeof(text) - n, "[%d]\n", i);
        assert_int_equal(read_text(text, &rules), -E2BIG);
        assert_string_equal(error, "f:4097: section \"4096\": more than 4096 sections of access "
                                   "rules");
        assert_null(rules);
}

/* --- No memory --- */

static const char several[] = "[a]\nAllowUsers=plc 7 *\nAllowGroups=operators\nAllowHosts=::1\n"
                              "SendTo=x y z.*\nSendTo=\nSendTo=x\n[b.?]\nPublishTo=# \"\"\n[c]\n";

static void test_each_failed_allocation_is_one_clean_error(void **state)
{
        size_t before = memory.n_live, n = 0;

        do {
                struct access_rules *rules = NULL;
                int r;

                memory_fail_in(++n);
                r = read_text(several, &rules);
                assert_int_equal(r, r < 0 ? -ENOMEM : 0);
                assert_int_equal(rules != NULL, r == 0);
                assert_string_equal(error, "");
                if (rules)
                        expect(ask(rules, "a", ACCESS_SEND_TO, "x"), true, "f", 7);
                access_rules_unref(rules);
                assert_int_equal(memory.n_live, before);
        } while (memory.failed);
        memory_fail_in(0);
        printf("%zu allocations failed in turn\n", n - 1);
        assert_true(n > 20);
}

/* Look-ups allocate, too. */
static void test_the_systems_look_ups_fail_cleanly(void **state)
{
        uint32_t id = 4711;

        memory_fail_in(1);
        assert_int_equal(access_resolver_system.find_user("root", &id, NULL), -ENOMEM);
        memory_fail_in(1);
        assert_int_equal(access_resolver_system.find_group("root", &id, NULL), -ENOMEM);
        memory_fail_in(0);
        assert_int_equal(id, 4711);
}

static void test_files_are_read_wholly_or_not_at_all(void **state)
{
        const char *folder;
        char path[256];
        size_t n = 0;

        put("memory/a.conf", several);
        put("memory/b.conf", several);
        (void)snprintf(path, sizeof(path), "%s", path_of("memory"));
        folder = path;
        do {
                struct access_rules *rules = NULL;
                int r;

                memory_fail_in(++n);
                r = access_read_folders(&folder, 1, &resolver, NULL, NULL, &rules, error, NULL);
                assert_int_equal(rules != NULL, r == 0);
                if (rules)
                        assert_int_equal(access_rules_n_sections(rules), 3);
                access_rules_unref(rules);
        } while (memory.failed);
        memory_fail_in(0);
        assert_true(n > 40);
}

static int make_top(void **state)
{
        return mkdtemp(top) ? 0 : -1;
}

static int remove_top(void **state)
{
        char command[64];

        (void)snprintf(command, sizeof(command), "rm -r %s", top);
        return system(command);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_key_is_read_and_keeps_its_line),
                cmocka_unit_test(test_repeated_keys_add_up_and_an_empty_value_takes_back),
                cmocka_unit_test(test_words_with_blanks_are_quoted),
                cmocka_unit_test(test_what_is_not_known_is_warned_of_and_the_rest_counts),
                cmocka_unit_test(test_nothing_is_no_rules),
                cmocka_unit_test(test_errors_name_line_word_and_reason),
                cmocka_unit_test(test_the_first_of_several_errors_is_told),
                cmocka_unit_test(
                        test_a_mask_is_at_most_4096_bytes_and_an_error_shows_its_beginning),
                cmocka_unit_test(test_hosts_are_addresses_or_prefixes),
                cmocka_unit_test(test_the_system_knows_its_users_and_groups),
                cmocka_unit_test(test_earlier_folders_mask_and_all_files_go_by_name),
                cmocka_unit_test(test_a_config_file_has_its_own_folder_of_rules),
                cmocka_unit_test(test_a_folder_or_file_that_cannot_be_read_is_an_error),
                cmocka_unit_test(test_a_thousand_sections_are_a_thousand_rules),
                cmocka_unit_test(test_more_than_is_allowed_names_the_line),
                cmocka_unit_test(test_each_failed_allocation_is_one_clean_error),
                cmocka_unit_test(test_the_systems_look_ups_fail_cleanly),
                cmocka_unit_test(test_files_are_read_wholly_or_not_at_all),
        };

        return cmocka_run_group_tests_name("access-file", tests, make_top, remove_top);
}
