/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is there already: stale files are replaced, those of the living and of others never, and of
 * many that start at once on one stale file just one gets it.
 */
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "basic/macro.h"
#include "transport/transport.h"

static char directory[PATH_MAX];

static const char *in_directory(const char *name)
{
        static char path[PATH_MAX + 16];

        (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
        return path;
}

static int make_directory(void **state)
{
        (void)snprintf(directory, sizeof(directory), "/tmp/busrt-listen-XXXXXX");
        return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
        static const char *const names[] = {"s", "f", "x"};

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                (void)unlink(in_directory(names[i]));
        return rmdir(directory);
}

static int connect_to(const char *path)
{
        struct sockaddr_un sa = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);

        memcpy(sa.sun_path, path, strlen(path) + 1);
        if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0)
                return fd;
        close(fd);
        return -1;
}

static void test_a_unix_listener_listens(void **state)
{
        const char *error = "untouched";
        int fd = transport_listen_unix(in_directory("s"), 0, &error), client;
        char name[PATH_MAX];

        assert_true(fd >= 0);
        assert_null(error);
        assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        assert_int_equal(transport_local_name(fd, name, sizeof(name)), 0);
        assert_string_equal(name, in_directory("s"));
        client = connect_to(in_directory("s"));
        assert_true(client >= 0);
        close(client);
        close(fd);
}

static void test_a_stale_socket_is_replaced(void **state)
{
        int first = transport_listen_unix(in_directory("s"), 0, NULL), second, client;

        assert_true(first >= 0);
        close(first); /* the file stays */
        second = transport_listen_unix(in_directory("s"), 0, NULL);
        assert_true(second >= 0);
        client = connect_to(in_directory("s"));
        assert_true(client >= 0);
        close(client);
        close(second);
}

static void test_a_living_socket_is_not_stolen(void **state)
{
        const char *error;
        int first = transport_listen_unix(in_directory("s"), 0, NULL), client;
        struct stat before, after;

        assert_int_equal(lstat(in_directory("s"), &before), 0);
        assert_int_equal(transport_listen_unix(in_directory("s"), 0, &error), -EADDRINUSE);
        assert_non_null(error);
        assert_int_equal(lstat(in_directory("s"), &after), 0);
        assert_int_equal(before.st_ino, after.st_ino);
        client = connect_to(in_directory("s"));
        assert_true(client >= 0);
        close(client);
        close(first);
}

/* One whose backlog is full refuses nobody, it lets them wait. */
static void test_a_busy_socket_is_not_stolen(void **state)
{
        struct sockaddr_un sa = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM, 0), clients[8];
        size_t n = 0;

        memcpy(sa.sun_path, in_directory("s"), strlen(in_directory("s")) + 1);
        (void)unlink(sa.sun_path);
        assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
        assert_int_equal(listen(fd, 0), 0);
        for (; n < ARRAY_SIZE(clients); n++) {
                clients[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
                if (connect(clients[n], (struct sockaddr *)&sa, sizeof(sa)) < 0)
                        break;
        }
        assert_in_range(n, 1, ARRAY_SIZE(clients) - 1);
        assert_int_equal(transport_listen_unix(sa.sun_path, 0, NULL), -EADDRINUSE);
        for (size_t i = 0; i <= n; i++)
                close(clients[i]);
        close(fd);
}

static void test_other_files_are_left_alone(void **state)
{
        const char *error;
        struct stat st;
        int fd = open(in_directory("x"), O_CREAT | O_WRONLY, 0600);

        close(fd);
        assert_int_equal(transport_listen_unix(in_directory("x"), 0, &error), -EEXIST);
        assert_non_null(error);
        assert_int_equal(transport_open_fifo(in_directory("x"), &error), -EEXIST);
        assert_non_null(error);
        assert_int_equal(lstat(in_directory("x"), &st), 0);
        assert_true(S_ISREG(st.st_mode));
        assert_int_equal(unlink(in_directory("x")), 0);
        assert_int_equal(symlink("/etc/passwd", in_directory("x")), 0);
        assert_int_equal(transport_listen_unix(in_directory("x"), 0, NULL), -EEXIST);
        assert_int_equal(transport_open_fifo(in_directory("x"), NULL), -EEXIST);
}

static void test_errors_say_what(void **state)
{
        char long_path[200];
        const char *error;

        memset(long_path, 'x', sizeof(long_path));
        long_path[0] = '/';
        long_path[sizeof(long_path) - 1] = '\0';
        assert_int_equal(transport_listen_unix(long_path, 0, &error), -ENAMETOOLONG);
        assert_non_null(error);
        assert_int_equal(transport_listen_unix(in_directory("no/s"), 0, &error), -ENOENT);
        assert_non_null(error);
        assert_int_equal(transport_open_fifo(in_directory("no/f"), &error), -ENOENT);
        assert_non_null(error);
        assert_int_equal(transport_listen_tcp("nonsense", &error), -EINVAL);
        assert_non_null(error);
        assert_int_equal(transport_listen_tcp("192.0.2.1:0", &error), -EADDRNOTAVAIL);
        assert_null(error);
}

/* Waits for the word to go, tries, tells, and keeps what it got until everybody has been heard. */
static void contend(int go, int told, int over)
{
        char answer;

        (void)!read(go, &answer, 1);
        answer = transport_listen_unix(in_directory("s"), 0, NULL) >= 0;
        (void)!write(told, &answer, 1);
        (void)!read(over, &answer, 1);
        _exit(0);
}

static void test_of_many_at_once_one_gets_the_stale_socket(void **state)
{
        enum { N = 16, ROUNDS = 300 };
        static const char words[N];
        int go[2], told[2], over[2];

        for (size_t round = 0; round < ROUNDS; round++) {
                int won = 0;
                char answer;

                close(transport_listen_unix(in_directory("s"), 0, NULL));
                assert_true(pipe(go) == 0 && pipe(told) == 0 && pipe(over) == 0);
                for (size_t i = 0; i < N; i++)
                        if (fork() == 0) {
                                close(over[1]);
                                contend(go[0], told[1], over[0]);
                        }
                assert_int_equal(write(go[1], words, N), N);
                for (size_t i = 0; i < N; i++) {
                        assert_int_equal(read(told[0], &answer, 1), 1);
                        won += answer;
                }
                assert_int_equal(won, 1);
                close(over[1]);
                while (wait(NULL) > 0)
                        ;
                for (size_t i = 0; i < 2; i++) {
                        close(go[i]);
                        close(told[i]);
                }
                close(over[0]);
        }
}

static void test_a_port_in_use_is_refused(void **state)
{
        int fd = transport_listen_tcp("127.0.0.1:0", NULL);
        char name[64];

        assert_true(fd >= 0);
        assert_int_equal(transport_local_name(fd, name, sizeof(name)), 0);
        assert_int_equal(transport_listen_tcp(name, NULL), -EADDRINUSE);
        close(fd);
}

static void test_a_fifo_has_its_mode_whatever_the_umask(void **state)
{
        mode_t mask = umask(0077);
        int fd = transport_open_fifo(in_directory("f"), NULL), writer;
        struct stat st;
        char c;

        umask(mask);
        assert_true(fd >= 0);
        assert_int_equal(fstat(fd, &st), 0);
        assert_true(S_ISFIFO(st.st_mode));
        assert_int_equal(st.st_mode & 07777, 0622);
        writer = open(in_directory("f"), O_WRONLY | O_NONBLOCK);
        assert_int_equal(write(writer, "x", 1), 1);
        assert_int_equal(read(fd, &c, 1), 1);
        assert_int_equal(read(fd, &c, 1), -1);
        assert_int_equal(errno, EAGAIN);
        close(writer);
        assert_int_equal(read(fd, &c, 1), 0);
        close(fd);
}

static void test_a_stale_fifo_is_replaced_and_a_read_one_is_not(void **state)
{
        struct stat before, after;
        int first = transport_open_fifo(in_directory("f"), NULL), second;

        assert_int_equal(fstat(first, &before), 0);
        assert_int_equal(transport_open_fifo(in_directory("f"), NULL), -EADDRINUSE);
        close(first);
        second = transport_open_fifo(in_directory("f"), NULL);
        assert_true(second >= 0);
        assert_int_equal(fstat(second, &after), 0);
        assert_int_equal(after.st_mode & 07777, 0622);
        close(second);
}

#define listening_test(fn) cmocka_unit_test_setup_teardown(fn, make_directory, remove_directory)

int main(void)
{
        const struct CMUnitTest tests[] = {
                listening_test(test_a_unix_listener_listens),
                listening_test(test_a_stale_socket_is_replaced),
                listening_test(test_a_living_socket_is_not_stolen),
                listening_test(test_a_busy_socket_is_not_stolen),
                listening_test(test_other_files_are_left_alone),
                listening_test(test_errors_say_what),
                listening_test(test_of_many_at_once_one_gets_the_stale_socket),
                listening_test(test_a_port_in_use_is_refused),
                listening_test(test_a_fifo_has_its_mode_whatever_the_umask),
                listening_test(test_a_stale_fifo_is_replaced_and_a_read_one_is_not),
        };

        return cmocka_run_group_tests_name("transport-listen", tests, NULL, NULL);
}
