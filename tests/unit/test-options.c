/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line as the reference's parser reads it: which ways of writing an option mean the
 * same, what is refused, and that --help tells of each.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "basic/clock.h"
#include "basic/macro.h"
#include "busrtd/options.h"

#define ARGS_MAX 16

static char error[OPTIONS_ERROR_MAX];

/* Arguments divided by blanks; "@" stands for an empty one. */
static int parse(const char *line, struct options *ret)
{
        static char copy[1024];
        char *argv[ARGS_MAX + 2] = {(char *)"busrtd"}, *save = NULL;
        int argc = 1, r;
        FILE *out = fopen("/dev/null", "w");

        assert_true(strlen(line) < sizeof(copy));
        strcpy(copy, line);
        for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
                assert_true(argc < ARGS_MAX);
                if (strcmp(word, "@") == 0)
                        word[0] = '\0';
                argv[argc++] = word;
        }
        r = options_parse(argc, argv, out, ret, error);
        fclose(out);
        return r;
}

static struct options good(const char *line)
{
        struct options o;
        int r = parse(line, &o);

        if (r != 0)
                print_error("%s: %s\n", line, error);
        assert_int_equal(r, 0);
        return o;
}

/* Refused, in one line that names what was wrong. */
static void bad(const char *line, const char *named)
{
        struct options o = {.n_binds = 4711};
        int r = parse(line, &o);

        if (r != -EINVAL || !strstr(error, named))
                print_error("%s: %d, %s\n", line, r, error);
        assert_int_equal(r, -EINVAL);
        assert_non_null(strstr(error, named));
        assert_null(strchr(error, '\n'));
        assert_int_equal(o.n_binds, 4711);
}

static void test_nothing_given_is_the_defaults(void **state)
{
        struct options o = good("");
        struct engine_config config;

        engine_config_init(&config);
        assert_int_equal(o.engine.timeout, config.timeout);
        assert_int_equal(o.engine.busy_poll, config.busy_poll);
        assert_int_equal(o.engine.slow_pace, config.slow_pace);
        assert_int_equal(o.engine.slow_policy, config.slow_policy);
        assert_int_equal(o.engine.queue_frames, config.queue_frames);
        assert_int_equal(o.engine.queue_bytes, config.queue_bytes);
        assert_int_equal(o.engine.max_frame_size, config.max_frame_size);
        assert_int_equal(o.engine.queue_memory_max, config.queue_memory_max);
        assert_int_equal(o.engine.force_register, FORCE_REGISTER_NO);
        assert_int_equal(o.engine.max_names_per_user, config.max_names_per_user);
        assert_int_equal(o.engine.max_handshakes_per_user, config.max_handshakes_per_user);
        assert_int_equal(o.engine.max_subscriptions_per_user, config.max_subscriptions_per_user);
        assert_int_equal(o.engine.connection_rate_per_user, config.connection_rate_per_user);
        assert_int_equal(o.engine.connection_burst_per_user, config.connection_burst_per_user);
        assert_int_equal(o.engine.n_exempt, 2);
        assert_int_equal(o.engine.exempt[0], 0);
        assert_int_equal(o.engine.exempt[1], geteuid());
        assert_int_equal(o.n_binds, 0);
        assert_null(o.pid_file);
        assert_false(o.engine.real_time);
        assert_int_equal(o.engine.real_time_reserve, 16 << 20);
        assert_false(o.verbose || o.daemonize || o.log_syslog);
        options_done(&o);
}

static void test_the_reference_s_command_line(void **state)
{
        struct options o = good("-B /run/a.sock --bind 127.0.0.1:7777 --bind=fifo:/run/f -w 4 -t "
                                "2.5 --buf-size 8192 "
                                "--queue-size 100");

        assert_int_equal(o.n_binds, 3);
        assert_string_equal(o.binds[0], "/run/a.sock");
        assert_string_equal(o.binds[1], "127.0.0.1:7777");
        assert_string_equal(o.binds[2], "fifo:/run/f");
        assert_int_equal(o.engine.timeout, 2500 * NSEC_PER_MSEC);
        assert_int_equal(o.engine.queue_frames, 100);
        options_done(&o);
        o = good("--buf-ttl 10 --force-register -P /run/p --verbose -D --log-syslog -B ./x.ipc");
        assert_int_equal(o.engine.force_register, FORCE_REGISTER_ANY);
        assert_true(o.verbose && o.daemonize && o.log_syslog);
        assert_string_equal(o.pid_file, "/run/p");
        options_done(&o);
}

static void test_an_option_can_be_written_in_several_ways(void **state)
{
        static const char *const ways[] = {"-t 3",  "-t3",   "-t=3",   "-Dt3", "-Dt=3",
                                           "-Dt 3", "-t +3", "-t 3e0", "-t 3."};
        static const char *const long_ways[] = {"--pid-file p", "--pid-file=p", "-P p", "-Pp",
                                                "-P=p"};

        for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
                struct options o = good(ways[i]);

                assert_int_equal(o.engine.timeout, 3 * NSEC_PER_SEC);
                options_done(&o);
        }
        for (size_t i = 0; i < ARRAY_SIZE(long_ways); i++) {
                struct options o = good(long_ways[i]);

                assert_string_equal(o.pid_file, "p");
                options_done(&o);
        }
}

static void test_our_limits(void **state)
{
        struct options o = good(
                "--busy-poll 100 --slow-policy drop-oldest --queue-bytes 64K --max-frame-size 1m "
                "--queue-memory-max 2G");

        assert_int_equal(o.engine.busy_poll, 100 * NSEC_PER_USEC);
        assert_int_equal(o.engine.slow_policy, SLOW_DROP_OLDEST);
        assert_int_equal(o.engine.queue_bytes, 65536);
        assert_int_equal(o.engine.max_frame_size, 1 << 20);
        assert_int_equal(o.engine.queue_memory_max, 2ULL << 30);
        options_done(&o);
        o = good("--max-topic-parts 3 --max-topic-length 77 --slow-pace 0 "
                 "--max-connections-per-user 5 "
                 "--slow-policy=drop-newest");
        assert_int_equal(o.engine.max_topic_parts, 3);
        assert_int_equal(o.engine.max_topic_length, 77);
        assert_int_equal(o.engine.slow_pace, 0);
        assert_int_equal(o.engine.max_connections_per_user, 5);
        assert_int_equal(o.engine.slow_policy, SLOW_DROP_NEWEST);
        options_done(&o);
}

static void test_limits_of_each_user(void **state)
{
        struct options o = good("--max-handshakes-per-user 1 --max-names-per-user 2 "
                                "--max-subscriptions-per-user 3 --connection-rate-per-user 0 "
                                "--connection-burst-per-user 5 --queue-memory-max-per-user 6M");

        assert_int_equal(o.engine.max_handshakes_per_user, 1);
        assert_int_equal(o.engine.max_names_per_user, 2);
        assert_int_equal(o.engine.max_subscriptions_per_user, 3);
        assert_int_equal(o.engine.connection_rate_per_user, 0);
        assert_int_equal(o.engine.connection_burst_per_user, 5);
        assert_int_equal(o.engine.queue_memory_max_per_user, 6 << 20);
        options_done(&o);
        bad("--connection-burst-per-user 0", "--connection-burst-per-user");
        bad("--max-names-per-user 0", "--max-names-per-user");
}

static void test_force_register_has_modes(void **state)
{
        static const struct {
                const char *args;
                enum force_register mode;
        } cases[] = {{"--force-register", FORCE_REGISTER_ANY},
                     {"--force-register=any", FORCE_REGISTER_ANY},
                     {"--force-register=yes", FORCE_REGISTER_ANY},
                     {"--force-register=same-identity", FORCE_REGISTER_SAME_IDENTITY},
                     {"--force-register=no", FORCE_REGISTER_NO},
                     {"--force-register --verbose", FORCE_REGISTER_ANY}};

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct options o = good(cases[i].args);

                assert_int_equal(o.engine.force_register, cases[i].mode);
                options_done(&o);
        }
        bad("--force-register=some", "no, same-identity or any");
        bad("--force-register any", "any");
}

static void test_unknown_options_are_refused(void **state)
{
        bad("--nonsense", "\"--nonsense\"");
        bad("-x", "\"-x\"");
        bad("-Dx", "\"-Dx\"");
        bad("--queue", "\"--queue\""); /* no abbreviations */
        bad("--verbos", "--verbos");
        bad("--", "\"--\"");
        bad("-", "\"-\"");
        bad("left over", "\"left\"");
        bad("-B /x more", "\"more\"");
        bad("--=x", "\"--=x\"");
}

static void test_values_must_be_there_and_only_where_wanted(void **state)
{
        bad("-t", "-t needs a value");
        bad("--pid-file", "--pid-file needs a value");
        bad("-B", "--bind needs a value");
        bad("--verbose=1", "--verbose takes no value");
        bad("-D=1", "-D takes no value");
        bad("--help=x", "--help takes no value");
        bad("-P @", "--pid-file");
        bad("-B @", "--bind");
}

static void test_nothing_but_bind_may_be_repeated(void **state)
{
        struct options o = good("-B /a -B /a --bind /b");

        assert_int_equal(o.n_binds, 3);
        options_done(&o);
        bad("-t 1 -t 1", "-t is given twice");
        bad("--verbose --verbose", "--verbose is given twice");
        bad("-DD", "-D is given twice");
        bad("-P a --pid-file b", "--pid-file is given twice");
}

static void test_numbers_have_ranges(void **state)
{
        static const char *const seconds[] = {"0",    "-1",    "x", "nan",     "inf", "1s",
                                              "0x10", "1e400", "@", "0.009",   "1e8", "1,5",
                                              "-0.0", "0.0.1", "e", "infinity"};
        static const char *const counts[] = {"0", "-1", "x",  "1.5", "99999999999999999999",
                                             "@", "1K", "0x1"};
        static const char *const sizes[] = {"0",
                                            "1",
                                            "-1",
                                            "K",
                                            "4095",
                                            "99999999G",
                                            "1T",
                                            "1KK",
                                            "1.5M",
                                            "@",
                                            "00000000000000000000000000000000000000000000004096"};
        char line[128];

        for (size_t i = 0; i < ARRAY_SIZE(seconds); i++) {
                (void)snprintf(line, sizeof(line), "-t %s", seconds[i]);
                bad(line, "seconds from 0.01 to 10000000");
        }
        for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
                (void)snprintf(line, sizeof(line), "--queue-size %s", counts[i]);
                bad(line, "whole number from 1 to 4294967295");
        }
        for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
                (void)snprintf(line, sizeof(line), "--queue-bytes %s", sizes[i]);
                bad(line, "from 4 KiB to 1 TiB");
        }
        bad("--slow-pace 501", "from 0 to 500");
        bad("--busy-poll 1000001", "from 0 to 1000000");
        bad("-w 0", "from 1 to");
        bad("--slow-policy drop", "disconnect, drop-newest or drop-oldest");
}

static void test_the_edges_of_ranges_are_taken(void **state)
{
        struct options o = good("-t 0.01 --queue-size 4294967295 --queue-bytes 4096 --slow-pace "
                                "500 --max-frame-size 1K");

        assert_int_equal(o.engine.timeout, 10 * NSEC_PER_MSEC);
        assert_int_equal(o.engine.queue_frames, UINT32_MAX);
        assert_int_equal(o.engine.queue_bytes, 4096);
        assert_int_equal(o.engine.slow_pace, 500 * NSEC_PER_MSEC);
        assert_int_equal(o.engine.max_frame_size, 1024);
        options_done(&o);
        o = good("-t 1e7 --queue-bytes 1024G --max-frame-size 4294967295");
        assert_int_equal(o.engine.timeout, 10000000 * NSEC_PER_SEC);
        assert_int_equal(o.engine.queue_bytes, 1LL << 40);
        options_done(&o);
}

static void test_addresses_are_checked(void **state)
{
        bad("-B nonsense", "\"nonsense\"");
        bad("-B ws://127.0.0.1:1", "WebSocket");
        bad("-B wss://127.0.0.1:1", "WebSocket");
        bad("-B localhost", "HOST:PORT");
        bad("-B localhost:99999", "HOST:PORT");
        bad("-B fifo:", "fifo:PATH");
}

static void test_what_strangers_wrote_cannot_disturb_the_terminal(void **state)
{
        bad("--\033[31m", "unknown option");
        assert_null(strchr(error, '\033'));
        bad("-B \302\233x", "not an address");
        assert_null(strchr(error, '\302'));
}

/* The whole of a stream that options_parse() wrote. */
static char *answer(const char *arg)
{
        char *argv[] = {(char *)"busrtd", (char *)arg, NULL}, *text = NULL;
        struct options o;
        size_t len;
        FILE *out = open_memstream(&text, &len);

        assert_int_equal(options_parse(2, argv, out, &o, error), 1);
        fclose(out);
        return text;
}

static void test_help_tells_of_every_option(void **state)
{
        static const char *const options[] = {"-B, --bind ADDRESS",
                                              "-P, --pid-file PATH",
                                              "--verbose",
                                              "-D ",
                                              "--log-syslog",
                                              "--force-register[=MODE]",
                                              "-w, --workers N",
                                              "-t SECONDS",
                                              "--buf-size BYTES",
                                              "--buf-ttl USEC",
                                              "--queue-size N",
                                              "--busy-poll USEC",
                                              "--real-time ",
                                              "--real-time-reserve SIZE",
                                              "--slow-policy POLICY",
                                              "--queue-bytes SIZE",
                                              "--max-frame-size SIZE",
                                              "--queue-memory-max SIZE",
                                              "--max-topic-parts N",
                                              "--max-topic-length SIZE",
                                              "--slow-pace MSEC",
                                              "--max-connections-per-user N",
                                              "--max-handshakes-per-user N",
                                              "--max-names-per-user N",
                                              "--max-subscriptions-per-user N",
                                              "--connection-rate-per-user N",
                                              "--connection-burst-per-user N",
                                              "--queue-memory-max-per-user SIZE",
                                              "-h, --help",
                                              "-V, --version",
                                              "[8192]",
                                              "[16 MiB]",
                                              "[100 ms]",
                                              "[disconnect]",
                                              "[5 s]",
                                              "without effect"};
        char *help = answer("--help"), *short_help = answer("-h");

        for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
                if (!strstr(help, options[i]))
                        print_error("not in --help: %s\n", options[i]);
                assert_non_null(strstr(help, options[i]));
        }
        assert_string_equal(help, short_help);
        for (const char *line = help; *line; line = strchr(line, '\n') + 1)
                assert_true(strcspn(line, "\n") <= 100);
        free(help);
        free(short_help);
}

static void test_the_version_is_one_line(void **state)
{
        char *text = answer("-V");

        assert_string_equal(text, "busrtd " BUSRT_VERSION "\n");
        free(text);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_nothing_given_is_the_defaults),
                cmocka_unit_test(test_the_reference_s_command_line),
                cmocka_unit_test(test_an_option_can_be_written_in_several_ways),
                cmocka_unit_test(test_our_limits),
                cmocka_unit_test(test_limits_of_each_user),
                cmocka_unit_test(test_force_register_has_modes),
                cmocka_unit_test(test_unknown_options_are_refused),
                cmocka_unit_test(test_values_must_be_there_and_only_where_wanted),
                cmocka_unit_test(test_nothing_but_bind_may_be_repeated),
                cmocka_unit_test(test_numbers_have_ranges),
                cmocka_unit_test(test_the_edges_of_ranges_are_taken),
                cmocka_unit_test(test_addresses_are_checked),
                cmocka_unit_test(test_what_strangers_wrote_cannot_disturb_the_terminal),
                cmocka_unit_test(test_help_tells_of_every_option),
                cmocka_unit_test(test_the_version_is_one_line),
        };

        return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
