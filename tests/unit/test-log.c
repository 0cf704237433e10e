/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whoever logs never waits, though the log's reader does not read; what is lost is counted; what
 * can be written in time is written at the end.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "basic/clock.h"
#include "basic/macro.h"
#include "busrtd/log.h"

struct fixture {
        int saved; /* the real stderr */
        int reader, writer;
};

/* stderr becomes a pipe. */
static int redirect(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));
        int fds[2];

        if (!f || pipe(fds) < 0)
                return -1;
        f->saved = dup(STDERR_FILENO);
        f->reader = fds[0];
        f->writer = fds[1];
        (void)signal(SIGPIPE, SIG_IGN);
        (void)dup2(f->writer, STDERR_FILENO);
        *state = f;
        return 0;
}

static int restore(void **state)
{
        struct fixture *f = *state;

        (void)dup2(f->saved, STDERR_FILENO);
        close_fd(f->saved);
        close_fd(f->reader);
        close_fd(f->writer);
        free(f);
        return 0;
}

static void submit(struct log *log, int priority, const char *text)
{
        struct log_record record = {.priority = priority};

        (void)snprintf(record.text, sizeof(record.text), "%s", text);
        log_submit(log, &record);
}

/* From here on nobody writes: what reads comes to an end. */
static void end_writing(struct fixture *f)
{
        (void)dup2(f->saved, STDERR_FILENO);
        f->writer = close_fd(f->writer);
}

/* Everything that is written until the end. */
static char *read_to_end(struct fixture *f)
{
        static char all[16 << 20];
        size_t n = 0;
        ssize_t r;

        while ((r = read(f->reader, all + n, sizeof(all) - 1 - n)) > 0)
                n += (size_t)r;
        all[n] = '\0';
        return all;
}

static char *read_all(struct fixture *f)
{
        end_writing(f);
        return read_to_end(f);
}

static size_t count(const char *text, const char *what)
{
        size_t n = 0;

        for (; (text = strstr(text, what)); text += strlen(what))
                n++;
        return n;
}

/* The sum of what was told as lost. */
static size_t count_lost(const char *text)
{
        size_t n = 0;

        while ((text = strstr(text, " log records were lost"))) {
                const char *digits = text++;

                while (digits[-1] >= '0' && digits[-1] <= '9')
                        digits--;
                n += strtoul(digits, NULL, 10);
        }
        return n;
}

static void test_records_come_out_in_order_and_by_priority(void **state)
{
        struct log *log;
        char *all;

        assert_int_equal(log_new(LOG_TARGET_STDERR, LOG_INFO, &log), 0);
        assert_true(log_wants(log, LOG_INFO));
        assert_false(log_wants(log, LOG_DEBUG));
        log_release(log, false);
        submit(log, LOG_INFO, "first");
        submit(log, LOG_DEBUG, "hidden");
        submit(log, LOG_ERR, "second");
        log_free(log);
        all = read_all(*state);
        assert_int_equal(count(all, "\n"), 2);
        assert_non_null(strstr(all, "first\n"));
        assert_true(strstr(all, "second\n") > strstr(all, "first\n"));
        assert_null(strstr(all, "hidden"));
}

static void test_records_are_kept_back_until_released(void **state)
{
        struct fixture *f = *state;
        struct pollfd p = {.fd = f->reader, .events = POLLIN};
        struct log *log;
        char *all;

        assert_int_equal(log_new(LOG_TARGET_STDERR, LOG_INFO, &log), 0);
        submit(log, LOG_INFO, "of no use");
        submit(log, LOG_WARNING, "what may have been the matter");
        submit(log, LOG_NOTICE, "of no use");
        assert_int_equal(poll(&p, 1, 0), 0);
        log_release(log, true);
        submit(log, LOG_INFO, "kept");
        log_free(log);
        all = read_all(f);
        assert_null(strstr(all, "of no use"));
        assert_non_null(strstr(all, "kept\n"));
        assert_true(strstr(all, "kept\n") > strstr(all, "what may have been the matter\n"));
}

static void test_a_full_pipe_costs_records_and_no_time(void **state)
{
        enum { N = 100000 };
        struct fixture *f = *state;
        uint64_t start = clock_nsec(CLOCK_MONOTONIC);
        size_t lost;
        struct log *log;
        pthread_t reader;
        char *all;

        assert_int_equal(log_new(LOG_TARGET_STDERR, LOG_INFO, &log), 0);
        log_release(log, false);
        for (unsigned i = 0; i < N; i++)
                submit(log, LOG_INFO, "a record of some length, so that the pipe is soon full");
        assert_true(clock_nsec(CLOCK_MONOTONIC) - start < 10 * NSEC_PER_SEC);
        /* Now somebody reads. */
        (void)fcntl(f->writer, F_SETPIPE_SZ, 1 << 20);
        assert_int_equal(
                pthread_create(&reader, NULL, (void *(*)(void *))(void (*)(void))read_to_end, f),
                0);
        log_free(log);
        end_writing(f);
        assert_int_equal(pthread_join(reader, (void **)&all), 0);
        lost = count_lost(all);
        assert_true(lost > 0);
        assert_int_equal(count(all, "a record of some length") + lost, N);
}

/* In a process of its own, since the thread that hangs ends with it. */
static void test_a_reader_that_never_reads_does_not_hold_up_the_end(void **state)
{
        uint64_t start = clock_nsec(CLOCK_MONOTONIC);
        struct log *log;
        int status;
        pid_t pid = fork();

        if (pid == 0) {
                if (log_new(LOG_TARGET_STDERR, LOG_INFO, &log) < 0)
                        _exit(1);
                log_release(log, false);
                for (unsigned i = 0; i < 5000; i++)
                        submit(log, LOG_INFO,
                               "a record of some length, so that the pipe is soon full");
                log_free(log);
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        assert_true(clock_nsec(CLOCK_MONOTONIC) - start < 10 * NSEC_PER_SEC);
}

static void test_a_closed_stderr_is_no_trouble(void **state)
{
        struct fixture *f = *state;
        struct log *log;

        f->reader = close_fd(f->reader);
        assert_int_equal(log_new(LOG_TARGET_STDERR, LOG_INFO, &log), 0);
        log_release(log, false);
        submit(log, LOG_INFO, "to nobody");
        log_free(log);
        (void)close(STDERR_FILENO);
        assert_int_equal(log_new(LOG_TARGET_STDERR, LOG_INFO, &log), 0);
        log_release(log, false);
        submit(log, LOG_INFO, "to nothing");
        log_free(log);
}

static void test_the_target_follows_the_reference(void **state)
{
        assert_int_equal(setenv("JOURNAL_STREAM", "1:1", 1), 0);
        assert_int_equal(unsetenv("DISABLE_SYSLOG"), 0);
        assert_int_equal(log_target_choose(false, false, false), LOG_TARGET_STDERR);
        assert_int_equal(log_target_choose(true, false, true), LOG_TARGET_STDERR);
        assert_int_not_equal(log_target_choose(false, false, true), LOG_TARGET_STDERR);
        assert_int_not_equal(log_target_choose(false, true, false), LOG_TARGET_STDERR);
        assert_int_equal(setenv("DISABLE_SYSLOG", "1", 1), 0);
        assert_int_equal(log_target_choose(false, true, false), LOG_TARGET_NONE);
        assert_int_not_equal(log_target_choose(false, true, true), LOG_TARGET_NONE);
        assert_int_equal(log_target_choose(false, false, false), LOG_TARGET_STDERR);
}

#define log_test(fn) cmocka_unit_test_setup_teardown(fn, redirect, restore)

int main(void)
{
        const struct CMUnitTest tests[] = {
                log_test(test_records_come_out_in_order_and_by_priority),
                log_test(test_records_are_kept_back_until_released),
                log_test(test_a_full_pipe_costs_records_and_no_time),
                log_test(test_a_reader_that_never_reads_does_not_hold_up_the_end),
                log_test(test_a_closed_stderr_is_no_trouble),
                cmocka_unit_test(test_the_target_follows_the_reference),
        };

        return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
