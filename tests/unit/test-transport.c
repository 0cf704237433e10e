/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses as text, who is at the other end, and reads and writes that never wait.
 */
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "basic/macro.h"
#include "transport/transport.h"

static void expect_kind(const char *text, enum transport_kind kind, const char *rest)
{
        struct transport_address a;

        assert_int_equal(transport_address_parse(text, &a), 0);
        assert_int_equal(a.kind, kind);
        assert_string_equal(a.text, rest);
}

static void test_paths_are_unix_sockets(void **state)
{
        static const char *const paths[] = {"/",          "/run/x", "/a:1", "a.sock",
                                            "./b.socket", "c.ipc",  ".sock"};

        for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
                expect_kind(paths[i], TRANSPORT_UNIX, paths[i]);
}

static void test_fifos_are_named_by_their_prefix(void **state)
{
        struct transport_address a;

        expect_kind("fifo:/run/f", TRANSPORT_FIFO, "/run/f");
        expect_kind("fifo:f.sock", TRANSPORT_FIFO, "f.sock");
        expect_kind("fifo:fifo:", TRANSPORT_FIFO, "fifo:");
        assert_int_equal(transport_address_parse("fifo:", &a), -EINVAL);
}

static void test_anything_else_is_host_and_port(void **state)
{
        static const char *const good[] = {"127.0.0.1:80", "localhost:0", "h:65535", "[::1]:7777",
                                           "[fe80::1%2]:1"};

        for (size_t i = 0; i < ARRAY_SIZE(good); i++)
                expect_kind(good[i], TRANSPORT_TCP, good[i]);
}

static void test_what_is_no_address_is_refused(void **state)
{
        static const char *const bad[] = {"",         "x",     ":1",     "h:",    "h:65536",
                                          "h:999999", "h:-1",  "h:1x",   "h: 1",  "::1:80",
                                          "[]:1",     "[::1]", "[::1]1", "a]:1x", "[:1",
                                          "x.sock/",  "h:0x1", "sock",   "[::1]:"};
        struct transport_address a = {.text = "untouched"};

        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                assert_int_equal(transport_address_parse(bad[i], &a), -EINVAL);
        assert_int_equal(transport_address_parse("ws://h:1", &a), -EPROTONOSUPPORT);
        assert_int_equal(transport_address_parse("wss://h:1/x.sock", &a), -EPROTONOSUPPORT);
        assert_string_equal(a.text, "untouched");
}

static void test_kinds_have_the_reference_s_names(void **state)
{
        assert_string_equal(transport_kind_name(TRANSPORT_INTERNAL), "internal");
        assert_string_equal(transport_kind_name(TRANSPORT_UNIX), "local_ipc");
        assert_string_equal(transport_kind_name(TRANSPORT_TCP), "tcp");
}

static void test_a_unix_peer_is_the_kernel_s_word(void **state)
{
        struct transport_peer peer;
        int fds[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
        assert_int_equal(transport_peer_get(fds[0], &peer), 0);
        assert_int_equal(peer.kind, TRANSPORT_UNIX);
        assert_int_equal(peer.uid, getuid());
        assert_int_equal(peer.gid, getgid());
        assert_true(peer.has_pid);
        assert_int_equal(peer.pid, getpid());
        assert_string_equal(peer.source, "");
        close(fds[0]);
        close(fds[1]);
}

/* Connects through a listener of `address` and returns both ends. */
static void tcp_pair(const char *address, int *ret_client, int *ret_server)
{
        int listener = transport_listen_tcp(address, NULL);
        struct pollfd p = {.fd = listener, .events = POLLIN};
        struct sockaddr_storage ss;
        socklen_t len = sizeof(ss);

        assert_true(listener >= 0);
        assert_int_equal(getsockname(listener, (struct sockaddr *)&ss, &len), 0);
        *ret_client = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(*ret_client, (struct sockaddr *)&ss, len), 0);
        assert_int_equal(poll(&p, 1, -1), 1);
        *ret_server = accept(listener, NULL, NULL);
        assert_true(*ret_server >= 0);
        close(listener);
}

static void test_a_tcp_peer_is_its_address(void **state)
{
        static const uint8_t loopback[4] = {127, 0, 0, 1};
        struct transport_peer peer;
        char name[64];
        int client, server;

        tcp_pair("127.0.0.1:0", &client, &server);
        assert_int_equal(transport_peer_get(server, &peer), 0);
        assert_int_equal(transport_local_name(client, name, sizeof(name)), 0);
        assert_int_equal(peer.kind, TRANSPORT_TCP);
        assert_int_equal(peer.family_bytes, 4);
        assert_memory_equal(peer.address, loopback, 4);
        assert_string_equal(peer.source, name);
        assert_memory_equal(name, "127.0.0.1:", 10);
        close(client);
        close(server);
}

static bool has_ipv6(void)
{
        int fd = transport_listen_tcp("[::1]:0", NULL);

        if (fd >= 0)
                close(fd);
        return fd >= 0;
}

static void test_an_ipv6_peer_is_written_in_brackets(void **state)
{
        struct transport_peer peer;
        int client, server;

        if (!has_ipv6()) {
                print_message("no IPv6 on this machine: only the text forms were tested\n");
                return;
        }
        tcp_pair("[::1]:0", &client, &server);
        assert_int_equal(transport_peer_get(server, &peer), 0);
        assert_int_equal(peer.family_bytes, 16);
        assert_memory_equal(peer.address, &in6addr_loopback, 16);
        assert_memory_equal(peer.source, "[::1]:", 6);
        close(client);
        close(server);
}

static void test_a_mapped_ipv4_peer_is_seen_on_an_ipv6_listener(void **state)
{
        struct sockaddr_in6 sa6;
        struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t len = sizeof(sa6);
        struct transport_peer peer;
        int listener, client, server;

        if (!has_ipv6())
                return;
        listener = transport_listen_tcp("[::]:0", NULL);
        assert_true(listener >= 0);
        assert_int_equal(getsockname(listener, (struct sockaddr *)&sa6, &len), 0);
        sa.sin_port = sa6.sin6_port;
        client = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(connect(client, (struct sockaddr *)&sa, sizeof(sa)), 0);
        server = accept(listener, NULL, NULL);
        assert_int_equal(transport_peer_get(server, &peer), 0);
        assert_memory_equal(peer.source, "[::ffff:127.0.0.1]:", 19);
        close(client);
        close(server);
        close(listener);
}

static void test_tcp_delays_nothing(void **state)
{
        int client, server, on = 0;
        socklen_t len = sizeof(on);

        tcp_pair("127.0.0.1:0", &client, &server);
        transport_prepare(server, TRANSPORT_TCP);
        assert_int_equal(getsockopt(server, IPPROTO_TCP, TCP_NODELAY, &on, &len), 0);
        assert_int_not_equal(on, 0);
        close(client);
        close(server);
}

static void test_no_peer_no_answer(void **state)
{
        struct transport_peer peer;
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);

        assert_int_equal(transport_peer_get(fd, &peer), -ENOTCONN);
        close(fd);
        assert_int_equal(transport_peer_get(fd, &peer), -EBADF);
}

static void test_reads_and_writes_never_wait(void **state)
{
        static char block[65536];
        struct iovec iov = {block, sizeof(block)};
        size_t sent = 0, got = 0;
        ssize_t r;
        int fds[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0); /* blocking */
        assert_int_equal(transport_readv(fds[0], &iov, 1), -EAGAIN);
        while ((r = transport_writev(fds[0], &iov, 1)) > 0)
                sent += (size_t)r;
        assert_int_equal(r, -EAGAIN);
        while ((r = transport_readv(fds[1], &iov, 1)) > 0)
                got += (size_t)r;
        assert_int_equal(r, -EAGAIN);
        assert_int_equal(sent, got);
        close(fds[0]);
        assert_int_equal(transport_readv(fds[1], &iov, 1), 0);
        assert_int_equal(transport_writev(fds[1], &iov, 1), -EPIPE); /* and no signal */
        close(fds[1]);
}

static void test_many_pieces_go_out_in_order(void **state)
{
        enum { N = IOV_MAX + 100 };
        static struct iovec out[N];
        char got[N];
        struct iovec in[2] = {{got, 10}, {got + 10, N - 10}};
        int fds[2];

        for (size_t i = 0; i < N; i++)
                out[i] = (struct iovec){(char *)"0123456789" + i % 10, 1};
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
        assert_int_equal(transport_writev(fds[0], out, N), IOV_MAX);
        assert_int_equal(transport_readv(fds[1], in, 2), IOV_MAX);
        for (size_t i = 0; i < IOV_MAX; i++)
                assert_int_equal(got[i], '0' + (int)(i % 10));
        close(fds[0]);
        close(fds[1]);
}

static void test_a_closed_side_is_seen_before_its_last_bytes(void **state)
{
        int fds[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
        assert_false(transport_peer_hung_up(fds[0]));
        assert_int_equal(write(fds[1], "x", 1), 1);
        assert_false(transport_peer_hung_up(fds[0]));
        assert_int_equal(shutdown(fds[1], SHUT_WR), 0);
        assert_true(transport_peer_hung_up(fds[0]));
        close(fds[1]);
        assert_true(transport_peer_hung_up(fds[0]));
        close(fds[0]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_paths_are_unix_sockets),
                cmocka_unit_test(test_fifos_are_named_by_their_prefix),
                cmocka_unit_test(test_anything_else_is_host_and_port),
                cmocka_unit_test(test_what_is_no_address_is_refused),
                cmocka_unit_test(test_kinds_have_the_reference_s_names),
                cmocka_unit_test(test_a_unix_peer_is_the_kernel_s_word),
                cmocka_unit_test(test_a_tcp_peer_is_its_address),
                cmocka_unit_test(test_an_ipv6_peer_is_written_in_brackets),
                cmocka_unit_test(test_a_mapped_ipv4_peer_is_seen_on_an_ipv6_listener),
                cmocka_unit_test(test_tcp_delays_nothing),
                cmocka_unit_test(test_no_peer_no_answer),
                cmocka_unit_test(test_reads_and_writes_never_wait),
                cmocka_unit_test(test_many_pieces_go_out_in_order),
                cmocka_unit_test(test_a_closed_side_is_seen_before_its_last_bytes),
        };

        return cmocka_run_group_tests_name("transport", tests, NULL, NULL);
}
