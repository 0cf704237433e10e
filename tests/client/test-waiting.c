/* SPDX-License-Identifier: Apache-2.0 */
/* Who sleeps is woken: waits beside calls, beside other loops, under corks, and at the end. */
#include <poll.h>
#include <pthread.h>

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

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_wait_ends_though_another_thread_processes_the_end),
                cmocka_unit_test(calls_are_answered_beside_a_loop_whose_inbox_is_full),
                cmocka_unit_test(the_descriptor_hears_again_when_a_full_inbox_is_read),
                cmocka_unit_test(waiting_under_a_cork_writes),
                cmocka_unit_test(late_handlers_keep_the_order),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
