/* SPDX-License-Identifier: Apache-2.0 */
/* Who sleeps is woken: waits beside calls, beside other loops, under corks, and at the end. */
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client-bed.h"

#define SMALL 4096 /* of a receive buffer */

static void *wait_for_ever(void *client)
{
        (void)busrt_client_wait(client, BUSRT_TIMEOUT_INFINITE);
        return NULL;
}

static void *run_loop(void *client)
{
        (void)busrt_client_run(client);
        return NULL;
}

static void greet(struct fake *f, void *userdata)
{
        fake_handshake(f);
        fake_acknowledge_all(f);
}

static void a_wait_ends_though_another_thread_processes_the_end(void **state)
{
        for (unsigned i = 0; i < 50; i++) {
                struct fake *fake = fake_start(FAKE_UNIX, greet, NULL);
                busrt_client *c = connected_client(fake);
                pthread_t thread;

                while (busrt_client_process(c) > 0)
                        ;
                assert_int_equal(pthread_create(&thread, NULL, wait_for_ever, c), 0);
                assert_int_equal(busrt_client_disconnect(c), 0);
                while (busrt_client_process(c) >= 0)
                        ;
                assert_int_equal(pthread_join(thread, NULL), 0);
                busrt_client_free(c);
                fake_stop(fake);
        }
}

static void deliver_too_much(struct fake *f, void *userdata)
{
        static uint8_t body[4 + 2 * SMALL] = "you";

        fake_handshake(f);
        fake_deliver(f, 0x12, body, sizeof(body));
        fake_pause(f);
        fake_deliver(f, 0x12, LITERAL("you\0more"));
        fake_acknowledge_all(f);
}

static busrt_client *with_small_buffer(struct fake *fake)
{
        busrt_client *c = quiet_client("me");

        assert_int_equal(busrt_client_set_receive_buffer(c, SMALL), 0);
        assert_int_equal(busrt_client_connect(c, fake_address(fake)), 0);
        return c;
}

/* The loop does not read on, the call does. */
static void calls_are_answered_beside_a_loop_whose_inbox_is_full(void **state)
{
        struct fake *fake = fake_start(FAKE_UNIX, deliver_too_much, NULL);
        busrt_client *c = with_small_buffer(fake);
        pthread_t thread;

        assert_int_equal(pthread_create(&thread, NULL, run_loop, c), 0);
        fake_go(fake);
        for (unsigned i = 0; i < 20; i++)
                assert_int_equal(busrt_client_publish(c, "t", NULL, 0, BUSRT_QOS_PROCESSED, NULL),
                                 0);
        assert_int_equal(busrt_client_disconnect(c), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        busrt_client_free(c);
        fake_stop(fake);
}

static void the_descriptor_hears_again_when_a_full_inbox_is_read(void **state)
{
        struct fake *fake = fake_start(FAKE_UNIX, deliver_too_much, NULL);
        _cleanup_client_ busrt_client *c = with_small_buffer(fake);
        struct pollfd poll_fd = {.fd = busrt_client_get_fd(c), .events = POLLIN};
        busrt_frame *frame;

        assert_int_equal(busrt_client_read(c, DEADLINE, &frame), 0);
        busrt_frame_unref(frame);
        while (busrt_client_process(c) > 0)
                ;
        fake_go(fake);
        assert_int_equal(poll(&poll_fd, 1, (int)(DEADLINE / MSEC)), 1);
        fake_stop(fake);
}

static void waiting_under_a_cork_writes(void **state)
{
        _cleanup_client_ busrt_client *c = NULL;
        _cleanup_op_ busrt_op *op = NULL;
        struct fake *fake = fake_start(FAKE_UNIX, greet, NULL);

        c = connected_client(fake);
        assert_int_equal(busrt_client_cork(c), 0);
        assert_int_equal(busrt_client_publish(c, "t", NULL, 0, BUSRT_QOS_PROCESSED, &op), 0);
        assert_true(busrt_client_get_unsent(c) > 0);
        assert_int_equal(busrt_op_wait(op, DEADLINE), 0);
        assert_int_equal(busrt_client_get_unsent(c), 0);
        assert_int_equal(busrt_client_uncork(c), 0);
        fake_stop(fake);
}

static void note_order(busrt_client *c, busrt_frame *frame, void *userdata)
{
        *(unsigned *)userdata = *(unsigned *)userdata * 10 + 2;
}

static void note_notification(busrt_client *c, const char *sender, const void *payload, size_t len,
                              void *userdata)
{
        *(unsigned *)userdata = *(unsigned *)userdata * 10 + 1;
}

static void deliver_three(struct fake *f, void *userdata)
{
        fake_handshake(f);
        fake_pause(f);
        fake_deliver(f, 0x12, LITERAL("you\0\0note"));
        fake_deliver(f, 0x12, LITERAL("you\0message"));
        fake_deliver(f, 0x12, LITERAL("you\0\0note"));
        fake_acknowledge_all(f);
}

static void late_handlers_keep_the_order(void **state)
{
        _cleanup_client_ busrt_client *c = NULL;
        struct fake *fake = fake_start(FAKE_UNIX, deliver_three, NULL);
        unsigned order = 0;

        c = connected_client(fake);
        assert_int_equal(busrt_client_set_notification_handler(c, note_notification, &order), 0);
        fake_go(fake);
        /* The answer comes behind the three, and is waited for without any handler running. */
        assert_int_equal(busrt_client_publish(c, "t", NULL, 0, BUSRT_QOS_PROCESSED, NULL), 0);
        assert_int_equal(order, 0);
        assert_int_equal(busrt_client_set_frame_handler(c, note_order, &order), 0);
        while (busrt_client_process(c) > 0)
                ;
        assert_int_equal(order, 121);
        fake_stop(fake);
}

/* --- A name with two addresses: the first swallows what is sent to it --- */

static struct sockaddr_in two_targets[2];

/* Instead of the C library's: that needs a name that somebody has given two addresses. */
__attribute__((visibility("default"))) int
getaddrinfo(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **ret)
{
        struct addrinfo *list = calloc(2, sizeof(*list));

        if (!list)
                return EAI_MEMORY;
        for (unsigned i = 0; i < 2; i++) {
                list[i].ai_family = AF_INET;
                list[i].ai_addr = (struct sockaddr *)&two_targets[i];
                list[i].ai_addrlen = sizeof(two_targets[i]);
        }
        list[0].ai_next = &list[1];
        *ret = list;
        return 0;
}

__attribute__((visibility("default"))) void freeaddrinfo(struct addrinfo *list)
{
        free(list);
}

static int listen_somewhere(struct sockaddr_in *ret)
{
        socklen_t len = sizeof(*ret);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        *ret = (struct sockaddr_in){.sin_family = AF_INET,
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        assert_true(fd >= 0);
        assert_int_equal(bind(fd, (struct sockaddr *)ret, sizeof(*ret)), 0);
        assert_int_equal(listen(fd, 0), 0);
        assert_int_equal(getsockname(fd, (struct sockaddr *)ret, &len), 0);
        return fd;
}

static bool connects_at_once(int fd, const struct sockaddr_in *to)
{
        struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};

        (void)connect(fd, (const struct sockaddr *)to, sizeof(*to));
        return poll(&poll_fd, 1, 200) > 0;
}

/* Connections until its backlog is full: from then on it does not answer. */
static size_t fill_backlog(const struct sockaddr_in *to, int fds[], size_t max)
{
        size_t n = 0;

        do {
                assert_true(n < max);
                fds[n] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        } while (connects_at_once(fds[n++], to));
        return n;
}

static void connect_to_the_second(void (*connect_by)(busrt_client *c))
{
        struct fake *fake = fake_start(FAKE_TCP, greet, NULL);
        int fds[16], listener = listen_somewhere(&two_targets[0]);
        size_t n = fill_backlog(&two_targets[0], fds, ARRAY_SIZE(fds));
        busrt_client *c = quiet_client("me");

        two_targets[1] = two_targets[0];
        two_targets[1].sin_port =
                htons((uint16_t)strtoul(strrchr(fake_address(fake), ':') + 1, NULL, 10));
        assert_int_equal(busrt_client_set_timeout(c, 4000000), 0);
        connect_by(c);
        assert_int_equal(busrt_client_get_state(c), BUSRT_STATE_CONNECTED);
        busrt_client_free(c);
        fake_stop(fake);
        while (n > 0)
                (void)close(fds[--n]);
        (void)close(listener);
}

static void connect_blocking(busrt_client *c)
{
        assert_int_equal(busrt_client_connect(c, "two.invalid:1"), 0);
}

static void connect_by_a_loop(busrt_client *c)
{
        assert_int_equal(busrt_client_connect_start(c, "two.invalid:1"), 0);
        while (busrt_client_get_state(c) == BUSRT_STATE_CONNECTING)
                if (busrt_client_process(c) == 0)
                        assert_true(busrt_client_wait(c, BUSRT_TIMEOUT_INFINITE) >= 0);
}

static void a_silent_first_address_leaves_the_second_its_share(void **state)
{
        connect_to_the_second(connect_blocking);
        connect_to_the_second(connect_by_a_loop);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_silent_first_address_leaves_the_second_its_share),
                cmocka_unit_test(a_wait_ends_though_another_thread_processes_the_end),
                cmocka_unit_test(calls_are_answered_beside_a_loop_whose_inbox_is_full),
                cmocka_unit_test(the_descriptor_hears_again_when_a_full_inbox_is_read),
                cmocka_unit_test(waiting_under_a_cork_writes),
                cmocka_unit_test(late_handlers_keep_the_order),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
