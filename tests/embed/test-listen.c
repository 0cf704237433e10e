/* SPDX-License-Identifier: Apache-2.0 */
/* Promise: a broker listens wherever it is told to, before and after its start, gets in nobody's
 * way there, and leaves nothing behind. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/un.h>

#include "embed-bed.h"

static mode_t mode_of(const char *path)
{
        struct stat st;

        assert_int_equal(lstat(path, &st), 0);
        assert_true(S_ISSOCK(st.st_mode));
        return st.st_mode & 07777;
}

static bool is_there(const char *path)
{
        struct stat st;

        return lstat(path, &st) == 0;
}

static int unix_socket(const char *path)
{
        struct sockaddr_un sa = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        strcpy(sa.sun_path, path);
        assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
        return fd;
}

static int tcp_socket(char address[32])
{
        struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t len = sizeof(sa);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
        assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
        snprintf(address, 32, "127.0.0.1:%u", ntohs(sa.sin_port));
        return fd;
}

static void served_at(const char *address)
{
        _cleanup_client_ busrt_client *c = new_client("c");

        assert_int_equal(busrt_client_connect(c, address), 0);
        assert_int_equal(busrt_client_send(c, "c", IOV("hello"), ACKED, NULL), 0);
        expect_frame(c, BUSRT_KIND_MESSAGE, "c", "hello");
}

/* --- UNIX sockets --- */

static void a_path_with_a_mode(void **state)
{
        static const mode_t modes[] = {0600, 0660, 0666, 0777};
        mode_t mask = umask(027);

        for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
                busrt_broker *b = new_broker();

                assert_int_equal(busrt_broker_listen(b, place.path, modes[i]), 0);
                assert_int_equal(mode_of(place.path), modes[i]);
                busrt_broker_free(b);
                assert_false(is_there(place.path));
                b = new_broker();
                assert_int_equal(busrt_broker_listen(b, place.path, 0), 0);
                assert_int_equal(mode_of(place.path), 0750);
                busrt_broker_free(b);
        }
        umask(mask);
}

static void before_and_after_the_start(void **state)
{
        _cleanup_broker_ busrt_broker *b = started_broker();
        char second[80], tcp[32];
        int fd = tcp_socket(tcp);

        snprintf(second, sizeof(second), "%s/second.sock", place.dir);
        served_at(place.path);
        assert_int_equal(busrt_broker_listen(b, second, 0600), 0);
        served_at(second);
        served_at(place.path);
        close(fd);
        assert_int_equal(busrt_broker_listen(b, tcp, 0), 0);
        served_at(tcp);
}

/* All of several clients at once, at each of many sockets. */
static void many_listeners(void **state)
{
        enum { N = 40 };
        _cleanup_broker_ busrt_broker *b = new_broker();
        char path[N][80];

        assert_int_equal(busrt_broker_start(b), 0);
        for (unsigned i = 0; i < N; i++) {
                snprintf(path[i], sizeof(path[i]), "%s/%u.sock", place.dir, i);
                assert_int_equal(busrt_broker_listen(b, path[i], 0), 0);
        }
        for (unsigned i = 0; i < N; i++)
                served_at(path[i]);
        b = busrt_broker_free(b);
        for (unsigned i = 0; i < N; i++)
                assert_false(is_there(path[i]));
}

static void a_stale_socket_is_replaced(void **state)
{
        _cleanup_broker_ busrt_broker *b = NULL;

        close(unix_socket(place.path));
        assert_true(is_there(place.path));
        b = started_broker();
        served_at(place.path);
}

static void somebody_listens_there(void **state)
{
        _cleanup_broker_ busrt_broker *b = started_broker(), *other = new_broker();
        char tcp[32];
        int fd = tcp_socket(tcp);

        assert_int_equal(busrt_broker_listen(b, place.path, 0), -EADDRINUSE);
        assert_int_equal(busrt_broker_listen(other, place.path, 0), -EADDRINUSE);
        assert_int_equal(listen(fd, 1), 0);
        assert_int_equal(busrt_broker_listen(b, tcp, 0), -EADDRINUSE);
        close(fd);
        other = busrt_broker_free(other);
        served_at(place.path);
}

static void something_else_is_there(void **state)
{
        _cleanup_broker_ busrt_broker *b = new_broker();

        close(open(place.path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
        assert_int_equal(busrt_broker_listen(b, place.path, 0), -EEXIST);
        b = busrt_broker_free(b);
        assert_int_equal(unlink(place.path), 0);
}

/* --- What it leaves --- */

static void a_file_that_is_not_its_own_stays(void **state)
{
        busrt_broker *b = started_broker();

        assert_int_equal(unlink(place.path), 0);
        close(open(place.path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
        busrt_broker_free(b);
        assert_int_equal(unlink(place.path), 0);
        b = started_broker();
        assert_int_equal(unlink(place.path), 0);
        busrt_broker_free(b);
        assert_false(is_there(place.path));
}

/* One that took the other's place there keeps it. */
static void a_successor_keeps_its_socket(void **state)
{
        busrt_broker *first = started_broker(), *second;

        assert_int_equal(unlink(place.path), 0);
        second = started_broker();
        busrt_broker_free(first);
        served_at(place.path);
        busrt_broker_free(second);
        assert_false(is_there(place.path));
}

static void a_relative_path(void **state)
{
        char before[4096];
        busrt_broker *b = new_broker();

        assert_non_null(getcwd(before, sizeof(before)));
        assert_int_equal(chdir(place.dir), 0);
        assert_int_equal(busrt_broker_listen(b, "bus.sock", 0), 0);
        assert_int_equal(busrt_broker_start(b), 0);
        served_at("bus.sock");
        served_at(place.path);
        busrt_broker_free(b);
        assert_false(is_there(place.path));
        /* From elsewhere it is another file, which is let alone. */
        b = new_broker();
        assert_int_equal(busrt_broker_listen(b, "bus.sock", 0), 0);
        assert_int_equal(chdir(before), 0);
        busrt_broker_free(b);
        (void)unlink(place.path);
}

static void nothing_is_left(void **state)
{
        size_t n_fds = count_fds(), n_threads = count_threads();

        for (unsigned i = 0; i < 20; i++) {
                busrt_broker *b = new_broker();
                busrt_client *c = new_client("c");

                assert_int_equal(busrt_broker_listen(b, place.path, 0), 0);
                assert_int_equal(busrt_broker_listen(b, "127.0.0.1:0", 0), 0);
                assert_int_equal(busrt_broker_set(b, BUSRT_BROKER_WORKERS, 1 + i % 3), 0);
                if (i % 4 > 0) {
                        assert_int_equal(busrt_broker_start(b), 0);
                        assert_int_equal(busrt_client_connect(c, place.path), 0);
                }
                if (i % 2)
                        c = busrt_client_free(c);
                busrt_broker_free(b);
                busrt_client_free(c);
                assert_int_equal(count_fds(), n_fds);
                assert_int_equal(count_threads(), n_threads);
                assert_false(is_there(place.path));
        }
}

/* --- Sockets that are given --- */

static void a_given_listener(void **state)
{
        _cleanup_broker_ busrt_broker *b = new_broker();
        int unix_fd = unix_socket(place.path), tcp_fd;
        char tcp[32];

        tcp_fd = tcp_socket(tcp);
        assert_int_equal(listen(unix_fd, 5), 0);
        assert_int_equal(listen(tcp_fd, 5), 0);
        assert_int_equal(busrt_broker_listen_fd(b, unix_fd), 0);
        assert_int_equal(busrt_broker_start(b), 0);
        assert_int_equal(busrt_broker_listen_fd(b, tcp_fd), 0);
        assert_true(fcntl(unix_fd, F_GETFL) & O_NONBLOCK);
        assert_true(fcntl(tcp_fd, F_GETFD) & FD_CLOEXEC);
        served_at(place.path);
        served_at(tcp);
        b = busrt_broker_free(b);
        /* The descriptors went with it; the file is whose it was. */
        assert_int_equal(fcntl(unix_fd, F_GETFD), -1);
        assert_int_equal(fcntl(tcp_fd, F_GETFD), -1);
        assert_int_equal(unlink(place.path), 0);
}

static void a_listener_given_twice(void **state)
{
        _cleanup_broker_ busrt_broker *b = new_broker();
        int fd = unix_socket(place.path);

        assert_int_equal(listen(fd, 5), 0);
        assert_int_equal(busrt_broker_listen_fd(b, fd), 0);
        assert_int_equal(busrt_broker_listen_fd(b, fd), -EEXIST);
        assert_int_equal(busrt_broker_start(b), 0);
        served_at(place.path);
        assert_int_equal(unlink(place.path), 0);
}

struct seen {
        atomic_uint n;
        char name[200], detail[200];
};

static void see_listener(busrt_broker *b, const busrt_broker_event *event, void *userdata)
{
        struct seen *seen = userdata;

        if (event->type != BUSRT_BROKER_EVENT_LISTENER)
                return;
        snprintf(seen->name, sizeof(seen->name), "%s", event->name);
        snprintf(seen->detail, sizeof(seen->detail), "%s", event->detail);
        seen->n++;
}

static bool has_seen(void *userdata)
{
        return ((struct seen *)userdata)->n > 0;
}

/* Somebody else who has it shuts it down: that is told once, and all else goes on. */
static void a_listener_that_is_shut_down(void **state)
{
        _cleanup_broker_ busrt_broker *b = new_broker();
        struct seen seen = {0};
        char tcp[32], second[80];
        int fds[2] = {unix_socket(place.path), tcp_socket(tcp)};

        snprintf(second, sizeof(second), "%s/second.sock", place.dir);
        assert_int_equal(busrt_broker_set_event_handler(b, see_listener, &seen), 0);
        assert_int_equal(busrt_broker_listen(b, second, 0), 0);
        assert_int_equal(busrt_broker_start(b), 0);
        for (unsigned i = 0; i < 2; i++) {
                int copy = dup(fds[i]);

                assert_int_equal(listen(fds[i], 5), 0);
                assert_int_equal(busrt_broker_listen_fd(b, fds[i]), 0);
                seen.n = 0;
                assert_int_equal(shutdown(copy, SHUT_RDWR), 0);
                wait_until(has_seen, &seen);
                assert_string_equal(seen.name, i == 0 ? place.path : tcp);
                assert_string_equal(seen.detail, "it does not listen any more");
                close(copy);
        }
        served_at(second);
        assert_int_equal(seen.n, 1);
        assert_int_equal(unlink(place.path), 0);
}

static int note_source(const busrt_broker_client_info *info, void *userdata)
{
        bool tcp = strcmp(info->name, "t") == 0;

        if (strcmp(info->name, "u") != 0 && !tcp)
                return 0;
        assert_null(info->listener);
        assert_false(info->peer.local);
        assert_int_equal(info->peer.has_uid, !tcp);
        if (tcp)
                assert_memory_equal(info->peer.source, "127.0.0.1:", 10);
        else
                assert_int_equal(info->peer.uid, geteuid());
        ++*(unsigned *)userdata;
        return 0;
}

/* Connected sockets of any kind, before and after the start, blocking as they come. */
static void adopted_connections(void **state)
{
        _cleanup_broker_ busrt_broker *b = new_broker();
        _cleanup_client_ busrt_client *u = new_client("u"), *t = new_client("t");
        struct sockaddr_in sa;
        socklen_t len = sizeof(sa);
        unsigned n = 0;
        char tcp[32];
        int pair[2], listener = tcp_socket(tcp), ours, theirs;

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        assert_int_equal(busrt_broker_adopt(b, pair[0]), 0);
        assert_int_equal(busrt_broker_start(b), 0);
        assert_int_equal(busrt_client_connect_fd(u, pair[1]), 0);
        assert_int_equal(listen(listener, 1), 0);
        assert_int_equal(getsockname(listener, (struct sockaddr *)&sa, &len), 0);
        ours = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(ours, (struct sockaddr *)&sa, sizeof(sa)), 0);
        theirs = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        close(listener);
        assert_int_equal(busrt_broker_adopt(b, theirs), 0);
        assert_int_equal(busrt_client_connect_fd(t, ours), 0);
        assert_int_equal(busrt_client_send(u, "t", IOV("hello"), ACKED, NULL), 0);
        expect_frame(t, BUSRT_KIND_MESSAGE, "u", "hello");
        assert_int_equal(busrt_broker_foreach_client(b, note_source, &n), 0);
        assert_int_equal(n, 2);
        b = busrt_broker_free(b);
        expect_closed(u, -ECONNRESET);
        expect_closed(t, -ECONNRESET);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_path_with_a_mode),
                cmocka_unit_test(before_and_after_the_start),
                cmocka_unit_test(many_listeners),
                cmocka_unit_test(a_stale_socket_is_replaced),
                cmocka_unit_test(somebody_listens_there),
                cmocka_unit_test(something_else_is_there),
                cmocka_unit_test(a_file_that_is_not_its_own_stays),
                cmocka_unit_test(a_successor_keeps_its_socket),
                cmocka_unit_test(a_relative_path),
                cmocka_unit_test(nothing_is_left),
                cmocka_unit_test(a_given_listener),
                cmocka_unit_test(a_listener_given_twice),
                cmocka_unit_test(a_listener_that_is_shut_down),
                cmocka_unit_test(adopted_connections),
        };

        return cmocka_run_group_tests(tests, place_make, place_remove);
}
