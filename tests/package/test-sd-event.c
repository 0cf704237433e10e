/* SPDX-License-Identifier: Apache-2.0 */
/* <busrt/sd-event.h>: a client in a loop that others share, and every moment at which it may leave.
 */
#include "../client/client-bed.h"

#include <busrt/sd-event.h>

#define MESSAGE 0x12

struct program {
        sd_event *event;
        busrt_client *client;
        sd_event_source *attachment;
        char heard[64];
        int result;
        int connected, closed;
        int leaves; /* detaches, and frees the client, in the next handler */
};

static void leave(struct program *p)
{
        p->attachment = busrt_client_detach_event(p->attachment);
        p->client = busrt_client_free(p->client);
}

static void on_state(busrt_client *client, enum busrt_state state, int error, void *userdata)
{
        struct program *p = userdata;

        if (state == BUSRT_STATE_CONNECTED)
                p->connected++;
        else {
                p->closed++;
                p->result = error;
        }
}

static void on_frame(busrt_client *client, busrt_frame *frame, void *userdata)
{
        struct program *p = userdata;
        size_t len;
        const char *payload = busrt_frame_get_payload(frame, &len);

        assert_true(len < sizeof(p->heard));
        memcpy(p->heard, payload, len);
        if (p->leaves)
                leave(p);
}

static void on_reply(busrt_client *client, int result, const busrt_rpc_error *error,
                     busrt_frame *reply, void *userdata)
{
        struct program *p = userdata;

        p->result = result;
        if (p->leaves)
                leave(p);
}

static void program_start(struct program *p, struct fake *fake)
{
        *p = (struct program){0};
        assert_int_equal(sd_event_new(&p->event), 0);
        p->client = quiet_client("me");
        assert_int_equal(busrt_client_attach_event(p->client, p->event, 0, &p->attachment), 0);
        assert_int_equal(busrt_client_set_state_handler(p->client, on_state, p), 0);
        assert_int_equal(busrt_client_set_frame_handler(p->client, on_frame, p), 0);
        assert_int_equal(busrt_client_connect_start(p->client, fake_address(fake)), 0);
}

static void program_stop(struct program *p)
{
        leave(p);
        sd_event_unref(p->event);
}

/* Runs the loop until the flag is set. */
static void run_until(struct program *p, const int *flag)
{
        while (!*flag)
                assert_true(sd_event_run(p->event, DEADLINE) > 0);
}

/* Runs what is due, and shows that nothing is left that would wake the loop again and again. */
static void assert_quiet(struct program *p)
{
        int n = 0;

        while (sd_event_run(p->event, 0) > 0)
                assert_true(++n < 100);
}

static void script_hello(struct fake *fake, void *userdata)
{
        fake_handshake(fake);
        fake_deliver(fake, MESSAGE, LITERAL("you\0hello"));
        fake_pause(fake);
        fake_deliver(fake, MESSAGE, LITERAL("you\0again"));
        fake_pause(fake);
}

static void script_silent(struct fake *fake, void *userdata)
{
        fake_handshake(fake);
        fake_frame(fake);
        fake_pause(fake);
}

static void test_frames_are_handled_by_the_loop(void **state)
{
        _cleanup_fake_ struct fake *fake = fake_start(FAKE_UNIX, script_hello, NULL);
        struct program p;

        program_start(&p, fake);
        run_until(&p, (const int *)p.heard);
        assert_string_equal(p.heard, "hello");
        assert_int_equal(p.connected, 1);
        assert_quiet(&p);
        p.heard[0] = 0;
        fake_go(fake);
        while (!p.heard[0])
                assert_true(sd_event_run(p.event, DEADLINE) > 0);
        assert_string_equal(p.heard, "again");
        program_stop(&p);
}

static void test_deadlines_are_kept_by_the_loop(void **state)
{
        _cleanup_fake_ struct fake *fake = fake_start(FAKE_UNIX, script_silent, NULL);
        struct program p;

        program_start(&p, fake);
        run_until(&p, &p.connected);
        assert_int_equal(busrt_client_call_async(p.client, "you", "m", NULL, 0, 0, 20 * MSEC,
                                                 on_reply, &p, NULL),
                         0);
        run_until(&p, &p.result);
        assert_int_equal(p.result, -ETIMEDOUT);
        assert_quiet(&p);
        program_stop(&p);
}

static void test_a_closed_client_lets_the_loop_sleep(void **state)
{
        _cleanup_fake_ struct fake *fake =
                fake_start_dying(FAKE_UNIX, script_hello, NULL, 20, FAKE_CLOSE);
        struct program p;

        program_start(&p, fake);
        run_until(&p, &p.closed);
        assert_true(p.result < 0);
        assert_quiet(&p);
        assert_int_equal(p.closed, 1);
        program_stop(&p);
}

static void test_a_handler_of_input_may_leave(void **state)
{
        _cleanup_fake_ struct fake *fake = fake_start(FAKE_UNIX, script_hello, NULL);
        struct program p;

        program_start(&p, fake);
        p.leaves = 1;
        while (p.client)
                assert_true(sd_event_run(p.event, DEADLINE) > 0);
        assert_string_equal(p.heard, "hello");
        assert_quiet(&p);
        program_stop(&p);
}

static void test_a_handler_of_time_may_leave(void **state)
{
        _cleanup_fake_ struct fake *fake = fake_start(FAKE_UNIX, script_silent, NULL);
        struct program p;

        program_start(&p, fake);
        run_until(&p, &p.connected);
        p.leaves = 1;
        assert_int_equal(busrt_client_call_async(p.client, "you", "m", NULL, 0, 0, 20 * MSEC,
                                                 on_reply, &p, NULL),
                         0);
        while (p.client)
                assert_true(sd_event_run(p.event, DEADLINE) > 0);
        assert_int_equal(p.result, -ETIMEDOUT);
        assert_quiet(&p);
        program_stop(&p);
}

static void test_a_client_may_change_its_loop(void **state)
{
        _cleanup_fake_ struct fake *fake = fake_start(FAKE_UNIX, script_hello, NULL);
        struct program p;

        program_start(&p, fake);
        p.attachment = busrt_client_detach_event(p.attachment);
        assert_int_equal(sd_event_run(p.event, 0), 0);
        assert_int_equal(p.connected, 0);
        assert_int_equal(busrt_client_attach_event(p.client, p.event, 5, &p.attachment), 0);
        run_until(&p, &p.connected);
        program_stop(&p);
}

static void test_the_default_loop_is_taken_and_given_back(void **state)
{
        size_t fds = count_fds();
        sd_event_source *source = NULL;
        _cleanup_client_ busrt_client *c = quiet_client("me");

        assert_int_equal(busrt_client_attach_event(c, NULL, 0, &source), 0);
        assert_non_null(sd_event_source_get_event(source));
        assert_null(busrt_client_detach_event(source));
        assert_null(busrt_client_detach_event(NULL));
        c = busrt_client_free(c);
        assert_int_equal(count_fds(), fds);
}

static void test_mistakes_are_told(void **state)
{
        sd_event_source *source = NULL;
        _cleanup_client_ busrt_client *c = quiet_client("me");

        assert_int_equal(busrt_client_attach_event(NULL, NULL, 0, &source), -EINVAL);
        assert_int_equal(busrt_client_attach_event(c, NULL, 0, NULL), -EINVAL);
        assert_null(source);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_frames_are_handled_by_the_loop),
                cmocka_unit_test(test_deadlines_are_kept_by_the_loop),
                cmocka_unit_test(test_a_closed_client_lets_the_loop_sleep),
                cmocka_unit_test(test_a_handler_of_input_may_leave),
                cmocka_unit_test(test_a_handler_of_time_may_leave),
                cmocka_unit_test(test_a_client_may_change_its_loop),
                cmocka_unit_test(test_the_default_loop_is_taken_and_given_back),
                cmocka_unit_test(test_mistakes_are_told),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
