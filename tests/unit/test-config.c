/* SPDX-License-Identifier: Apache-2.0 */
/* Which files count, what is read from them, and times. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "basic/clock.h"
#include "basic/macro.h"
#include "config/config.h"

static char error[CONFIG_ERROR_MAX];
static char top[] = "/tmp/busrt-config-XXXXXX";

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
        (void)remove(path);
        if (!text) {
                assert_int_equal(symlink("/dev/null", path), 0);
                return;
        }
        f = fopen(path, "w");
        assert_non_null(f);
        (void)fputs(text, f);
        (void)fclose(f);
}

static void test_earlier_folders_mask_and_drop_ins_go_by_name(void **state)
{
        struct config c = {0};
        char a[64], b[64];
        const char *folders[] = {a, "/nonexistent", b};
        const char *want[] = {"main", "10", "20", "40"};

        (void)snprintf(a, sizeof(a), "%s/a", top);
        (void)snprintf(b, sizeof(b), "%s/b", top);
        put("b/x.conf", "K=masked\n");
        put("a/x.conf", "K=main\n");
        put("b/x.conf.d/10.conf", "K=10\n");
        put("a/x.conf.d/20.conf", "K=20\n");
        put("b/x.conf.d/20.conf", "K=masked\n");
        put("a/x.conf.d/30.conf", NULL);
        put("b/x.conf.d/30.conf", "K=masked\n");
        put("b/x.conf.d/35.conf", "K=masked\n");
        put("a/x.conf.d/35.conf", "");
        put("b/x.conf.d/40.conf", "K=40\n");
        put("b/x.conf.d/50.txt", "K=other\n");
        assert_int_equal(config_read_folders(&c, folders, 3, "x.conf", error), 0);
        assert_int_equal(c.n_entries, ARRAY_SIZE(want));
        for (size_t i = 0; i < ARRAY_SIZE(want); i++)
                assert_string_equal(c.entries[i].value, want[i]);
        config_done(&c);
}

static void test_folders_may_hold_nothing_but_drop_ins(void **state)
{
        struct config c = {0};
        char a[64], b[64];
        const char *folders[] = {a, "/nonexistent", b};
        const char *want[] = {"10", "20"};

        (void)snprintf(a, sizeof(a), "%s/first.d", top);
        (void)snprintf(b, sizeof(b), "%s/second.d", top);
        put("second.d/10.conf", "K=10\n");
        put("second.d/20.conf", "K=masked\n");
        put("first.d/20.conf", "K=20\n");
        put("second.d/30.conf", "K=masked\n");
        put("first.d/30.conf", NULL);
        put("first.d/x", "K=other\n");
        assert_int_equal(config_read_drop_ins(&c, folders, 3, error), 0);
        assert_int_equal(c.n_entries, ARRAY_SIZE(want));
        for (size_t i = 0; i < ARRAY_SIZE(want); i++)
                assert_string_equal(c.entries[i].value, want[i]);
        config_done(&c);
}

static void test_headers_are_kept_with_or_without_entries(void **state)
{
        static const char text[] = "[a]\n[b]\nk=v\n[a]\n";
        static const char *const want[] = {"a", "b", "a"};
        struct config c = {0};

        assert_int_equal(config_add_text(&c, "f", text, strlen(text), error), 0);
        assert_int_equal(c.n_sections, ARRAY_SIZE(want));
        for (size_t i = 0; i < ARRAY_SIZE(want); i++)
                assert_string_equal(c.sections[i].name, want[i]);
        assert_int_equal(c.sections[2].line, 4);
        assert_string_equal(c.sections[2].file, "f");
        assert_ptr_equal(c.entries[0].section, c.sections[1].name);
        config_done(&c);
}

static void test_words_are_divided_by_blanks_or_quoted(void **state)
{
        static const struct {
                const char *text;
                const char *words[4];
                int end;
        } cases[] = {
                {"", {0}, 0},
                {" \t ", {0}, 0},
                {"a", {"a"}, 0},
                {"  a\tb  c ", {"a", "b", "c"}, 0},
                {"\"a b\" 'c \"d'", {"a b", "c \"d"}, 0},
                {"'' \"\"", {"", ""}, 0},
                {"a\"b c'd", {"a\"b", "c'd"}, 0},
                {"a 'b", {"a"}, -EINVAL},
                {"a 'b'c", {"a"}, -EINVAL},
                {"\"", {0}, -EINVAL},
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                const char *at = cases[i].text, *word;
                size_t len, n = 0;
                int r;

                while ((r = config_next_word(&at, &word, &len)) > 0) {
                        assert_non_null(cases[i].words[n]);
                        assert_int_equal(len, strlen(cases[i].words[n]));
                        assert_memory_equal(word, cases[i].words[n++], len);
                }
                assert_int_equal(r, cases[i].end);
                assert_null(cases[i].words[n]);
        }
}

static void test_entries_keep_their_origin(void **state)
{
        static const char text[] = "; c\n[One]\n\n  Key = a b = c \r\n[Two]\nk=";
        struct config c = {0};

        assert_int_equal(config_add_text(&c, "f", text, strlen(text), error), 0);
        assert_int_equal(c.n_entries, 2);
        assert_string_equal(c.entries[0].section, "One");
        assert_string_equal(c.entries[0].key, "Key");
        assert_string_equal(c.entries[0].value, "a b = c");
        assert_int_equal(c.entries[0].line, 4);
        assert_string_equal(c.entries[1].section, "Two");
        assert_string_equal(c.entries[1].value, "");
        assert_int_equal(c.entries[1].line, 6);
        config_done(&c);
}

static void test_what_is_no_configuration_is_refused_by_line(void **state)
{
        static const char *const bad[] = {"x",     "=x",     "[",      "[]",        "[a",
                                          "[a]b]", "k=\x1b", "k=\xff", "k=\xc2\x9b"};

        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                struct config c = {0};
                char text[32];

                (void)snprintf(text, sizeof(text), "\n%s\n", bad[i]);
                assert_int_equal(config_add_text(&c, "f", text, strlen(text), error), -EINVAL);
                assert_memory_equal(error, "f:2: ", 5);
                config_done(&c);
        }
}

static void test_times(void **state)
{
        uint64_t n = 4711;

        assert_int_equal(config_parse_span("100ms", 1, &n), 0);
        assert_int_equal(n, 100 * NSEC_PER_MSEC);
        assert_int_equal(config_parse_span("1min 30.5 s", 1, &n), 0);
        assert_int_equal(n, 90500 * NSEC_PER_MSEC);
        assert_int_equal(config_parse_span("7", NSEC_PER_USEC, &n), 0);
        assert_int_equal(n, 7 * NSEC_PER_USEC);
        assert_int_equal(config_parse_span("", 1, &n), -EINVAL);
        assert_int_equal(config_parse_span("5x", 1, &n), -EINVAL);
        assert_int_equal(config_parse_span("-5s", 1, &n), -EINVAL);
        assert_int_equal(config_parse_span("99999999999999999999", 1, &n), -ERANGE);
        assert_int_equal(config_parse_span("999999999999d", 1, &n), -ERANGE);
        assert_int_equal(n, 7 * NSEC_PER_USEC);
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
                cmocka_unit_test(test_earlier_folders_mask_and_drop_ins_go_by_name),
                cmocka_unit_test(test_folders_may_hold_nothing_but_drop_ins),
                cmocka_unit_test(test_headers_are_kept_with_or_without_entries),
                cmocka_unit_test(test_words_are_divided_by_blanks_or_quoted),
                cmocka_unit_test(test_entries_keep_their_origin),
                cmocka_unit_test(test_what_is_no_configuration_is_refused_by_line),
                cmocka_unit_test(test_times),
        };

        return cmocka_run_group_tests_name("config", tests, make_top, remove_top);
}
