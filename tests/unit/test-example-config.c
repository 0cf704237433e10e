/* SPDX-License-Identifier: Apache-2.0 */
/* The example of busrtd.conf that is installed, which the argument names, says of every key what is
 * built in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "basic/macro.h"
#include "busrtd/options.h"

#define PATH "/tmp/busrt-example-XXXXXX"
#define SETTINGS_MAX 64

static const char *example;

/* A copy in which no key is commented out. */
static void uncomment(char path[static sizeof(PATH)])
{
        FILE *in = fopen(example, "re"), *out;
        char line[256];
        int fd;

        memcpy(path, PATH, sizeof(PATH));
        fd = mkstemp(path);
        assert_true(in && fd >= 0);
        out = fdopen(fd, "w");
        assert_non_null(out);
        while (fgets(line, sizeof(line), in)) {
                bool key = line[0] == '#' && line[1] >= 'A' && line[1] <= 'Z';

                assert_true(fputs(line + key, out) >= 0);
        }
        assert_int_equal(fclose(in), 0);
        assert_int_equal(fclose(out), 0);
}

static void read_options(char *path, struct options *ret)
{
        static char *argv[4], program[] = "busrtd", option[] = "--config";
        char error[OPTIONS_ERROR_MAX];

        argv[0] = program;
        argv[1] = option;
        argv[2] = path;
        assert_int_equal(options_parse(3, argv, stdout, ret, error), 0);
        if (options_read_config(ret, error) < 0)
                fail_msg("%s", error);
}

struct settings {
        char lines[SETTINGS_MAX][128];
        size_t n;
};

static int collect(const struct option_setting *setting, void *userdata)
{
        struct settings *s = userdata;

        assert_true(s->n < SETTINGS_MAX);
        (void)snprintf(s->lines[s->n++], sizeof(s->lines[0]), "%s=%s", setting->key,
                       setting->value);
        return 0;
}

static unsigned count_key(const struct config *config, const char *line)
{
        size_t len = strcspn(line, "=");
        unsigned n = 0;

        for (size_t i = 0; i < config->n_entries; i++)
                n += strlen(config->entries[i].key) == len &&
                     memcmp(config->entries[i].key, line, len) == 0;
        return n;
}

static void it_says_every_built_in_value_once(void **state)
{
        _cleanup_(options_done) struct options built_in = {0}, said = {0};
        struct settings expected = {.n = 0}, found = {.n = 0};
        char path[sizeof(PATH)], none[] = "/dev/null";
        size_t unknown = 0;

        uncomment(path);
        read_options(none, &built_in);
        read_options(path, &said);
        (void)unlink(path);
        (void)options_foreach_setting(&built_in, collect, &expected);
        (void)options_foreach_setting(&said, collect, &found);
        assert_int_equal(found.n, expected.n);
        assert_int_equal(said.config.n_entries, expected.n);
        assert_null(options_next_unknown(&said, &unknown));
        for (size_t i = 0; i < expected.n; i++) {
                assert_string_equal(found.lines[i], expected.lines[i]);
                assert_int_equal(count_key(&said.config, expected.lines[i]), 1);
        }
}

static void as_it_is_it_changes_nothing(void **state)
{
        _cleanup_(options_done) struct options options = {0};
        char path[256];

        (void)snprintf(path, sizeof(path), "%s", example);
        read_options(path, &options);
        assert_int_equal(options.config.n_files, 1);
        assert_int_equal(options.config.n_entries, 0);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(it_says_every_built_in_value_once),
                cmocka_unit_test(as_it_is_it_changes_nothing),
        };

        if (argc != 2)
                return EXIT_FAILURE;
        example = argv[1];
        return cmocka_run_group_tests_name("example-config", tests, NULL, NULL);
}
