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
                cmocka_unit_test(test_entries_keep_their_origin),
                cmocka_unit_test(test_what_is_no_configuration_is_refused_by_line),
                cmocka_unit_test(test_times),
        };

        return cmocka_run_group_tests_name("config", tests, make_top, remove_top);
}
