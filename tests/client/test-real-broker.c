/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promise: a test's own broker (real-broker.c) goes with its test and holds nothing of the test's
 * output, though the test ends where it stands, as one that a sanitizer stops does. Or a run of
 * tests would wait for the end of that output, and never say why the test failed.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "client-bed.h"
#include "real-broker.h"

#define LAST_WORD 66 /* ThreadSanitizer's, for one */

static pid_t test_that_ends(int output)
{
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid > 0)
                return pid;
        (void)setpgid(0, 0);
        if (dup2(output, STDOUT_FILENO) < 0 || dup2(output, STDERR_FILENO) < 0)
                _exit(1);
        close(output);
        (void)real_broker_start();
        _exit(LAST_WORD);
}

static void expect_end_of_output(int fd)
{
        struct pollfd p = {.fd = fd, .events = POLLIN};
        char c;

        assert_int_equal(poll(&p, 1, (int)(DEADLINE / MSEC)), 1);
        assert_int_equal(read(fd, &c, 1), 0);
}

/* An orphan is ours, and so is the news of its end. */
static void expect_killed_orphan(const sigset_t *child_ends)
{
        static const struct timespec patience = {.tv_sec = (time_t)(DEADLINE / SECOND)};
        int status;
        pid_t pid;

        while ((pid = waitpid(-1, &status, WNOHANG)) == 0)
                assert_int_equal(sigtimedwait(child_ends, NULL, &patience), SIGCHLD);
        assert_true(pid > 0);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGKILL);
}

static pid_t started;

static void goes_with_its_test(void **state)
{
        sigset_t child_ends;
        int output[2], status;

        sigemptyset(&child_ends);
        sigaddset(&child_ends, SIGCHLD);
        assert_int_equal(sigprocmask(SIG_BLOCK, &child_ends, NULL), 0);
        assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
        assert_int_equal(pipe2(output, O_CLOEXEC), 0);
        started = test_that_ends(output[1]);
        close(output[1]);
        assert_int_equal(waitpid(started, &status, 0), started);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), LAST_WORD);
        expect_end_of_output(output[0]);
        close(output[0]);
        expect_killed_orphan(&child_ends);
}

static int kill_what_is_left(void **state)
{
        if (started > 0)
                (void)kill(-started, SIGKILL);
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_teardown(goes_with_its_test, kill_what_is_left),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
