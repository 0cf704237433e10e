/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where busrtd listens, and when, is read from what it says. It has nothing of the test's own
 * output, and is killed with the test, however that ends: else whoever reads that output to its
 * end would wait for a broker that a failed test has left.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "basic/macro.h"
#include "real-broker.h"

#define DEADLINE_MS 60000

struct real_broker {
        pid_t pid;
        int log;
        bool told;
        char dir[32], path[64], tcp[32], tcp6[32], said[8192];
};

static bool has_ipv6(void)
{
        struct sockaddr_in6 loopback = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
        _cleanup_close_ int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

        return fd >= 0 && bind(fd, (struct sockaddr *)&loopback, sizeof(loopback)) == 0;
}

/* Until it has told its limits, which it does when all listeners are there. */
static void read_log(struct real_broker *b)
{
        size_t len = 0;

        while (!strstr(b->said, "limits:")) {
                struct pollfd p = {.fd = b->log, .events = POLLIN};
                ssize_t n;

                assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
                n = read(b->log, b->said + len, sizeof(b->said) - 1 - len);
                if (n <= 0)
                        fail_msg("busrtd did not start: %s", b->said);
                len += (size_t)n;
        }
}

static void find_address(const struct real_broker *b, const char *host, char ret[32])
{
        const char *at = strstr(b->said, host);

        assert_non_null(at);
        assert_int_equal(sscanf(at, "%31s", ret), 1);
}

/* In the child, where only async-signal-safe functions may be called. */
static _Noreturn void become(char **argv, int log, pid_t test)
{
        /* The test may have died before this took hold. */
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == test &&
            dup2(log, STDOUT_FILENO) >= 0 && dup2(log, STDERR_FILENO) >= 0)
                execvp(argv[0], argv);
        _exit(127);
}

static void spawn(struct real_broker *b)
{
        const char *program = getenv("BUSRTD");
        char *argv[] = {
                (char *)(program ? program : "busrtd"),     (char *)"-B", b->path, (char *)"-B",
                b->tcp[0] ? b->tcp : (char *)"127.0.0.1:0", NULL,         NULL,    NULL};
        pid_t test = getpid();
        int log[2];

        if (has_ipv6()) {
                argv[5] = (char *)"-B";
                argv[6] = b->tcp6[0] ? b->tcp6 : (char *)"[::1]:0";
        }
        assert_int_equal(pipe2(log, O_CLOEXEC), 0);
        b->pid = fork();
        assert_true(b->pid >= 0);
        if (b->pid == 0)
                become(argv, log[1], test);
        close(log[1]);
        b->log = log[0];
        read_log(b);
        find_address(b, "127.0.0.1:", b->tcp);
        if (argv[5])
                find_address(b, "[::1]:", b->tcp6);
}

struct real_broker *real_broker_start(void)
{
        struct real_broker *b = calloc(1, sizeof(*b));

        assert_non_null(b);
        strcpy(b->dir, "/tmp/busrt-real-XXXXXX");
        assert_non_null(mkdtemp(b->dir));
        snprintf(b->path, sizeof(b->path), "%s/bus.sock", b->dir);
        spawn(b);
        return b;
}

void real_broker_kill(struct real_broker *b)
{
        int status;

        assert_int_equal(kill(b->pid, SIGKILL), 0);
        assert_int_equal(waitpid(b->pid, &status, 0), b->pid);
        assert_true(WIFSIGNALED(status));
        close(b->log);
}

void real_broker_start_again(struct real_broker *b)
{
        memset(b->said, 0, sizeof(b->said));
        spawn(b);
}

void real_broker_tell_to_stop(struct real_broker *b)
{
        b->told = true;
        assert_int_equal(kill(b->pid, SIGTERM), 0);
}

/* That is when nobody has the other end of its log any more. */
static void wait_for_end(struct real_broker *b)
{
        struct pollfd p = {.fd = b->log, .events = POLLIN};
        ssize_t n;

        do {
                if (poll(&p, 1, DEADLINE_MS) != 1)
                        fail_msg("busrtd does not stop");
                n = read(b->log, b->said, sizeof(b->said));
        } while (n > 0);
        assert_int_equal(n, 0);
}

struct real_broker *real_broker_stop(struct real_broker *b)
{
        int status;

        if (!b)
                return NULL;
        if (!b->told)
                real_broker_tell_to_stop(b);
        wait_for_end(b);
        assert_int_equal(waitpid(b->pid, &status, 0), b->pid);
        close(b->log);
        (void)rmdir(b->dir);
        free(b);
        assert_int_equal(status, 0);
        return NULL;
}

const char *real_broker_path(const struct real_broker *b)
{
        return b->path;
}

const char *real_broker_tcp(const struct real_broker *b)
{
        return b->tcp;
}

const char *real_broker_tcp6(const struct real_broker *b)
{
        return b->tcp6[0] ? b->tcp6 : NULL;
}
