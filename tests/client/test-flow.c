/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promise: buffers are bounded and nothing that was taken is lost: a client goes on reading while
 * its writes are blocked, sending waits or says -EAGAIN, frames wait for their reader, and a full
 * receive buffer holds up the broker but never the answer that a call waits for.
 */
#include "client-bed.h"

#define ACKED BUSRT_QOS_PROCESSED
#define PIECE 1000
#define MANY 8000 /* frames of that size: more than sockets hold */

/* --- Frames that bear a number --- */

static uint32_t number_of(const void *payload)
{
        uint32_t n;

        memcpy(&n, payload, sizeof(n));
        return n;
}

static int send_number(busrt_client *c, uint32_t n, unsigned qos)
{
        static char rest[PIECE];
        struct iovec iov[2] = {{&n, sizeof(n)}, {rest, sizeof(rest)}};

        return busrt_client_send(c, "you", iov, 2, qos, NULL);
}

static void expect_numbers(struct fake *f, uint32_t n)
{
        for (uint32_t i = 0; i < n; i++) {
                struct fake_frame frame = fake_frame(f);

                if (frame.length != 4 + 4 + PIECE || number_of(frame.body + 4) != i)
                        fake_wrong(f, "a frame lost, torn, or out of order");
        }
}

static void deliver_numbers(struct fake *f, uint32_t n)
{
        static uint8_t body[4 + 4 + PIECE] = "you";

        for (uint32_t i = 0; i < n; i++) {
                memcpy(body + 4, &i, sizeof(i));
                fake_deliver(f, 0x12, body, sizeof(body));
        }
}

static void read_numbers(busrt_client *c, uint32_t from, uint32_t to)
{
        for (uint32_t i = from; i < to; i++) {
                _cleanup_frame_ busrt_frame *frame = NULL;
                size_t len;

                assert_int_equal(busrt_client_read(c, DEADLINE, &frame), 0);
                assert_int_equal(number_of(busrt_frame_get_payload(frame, &len)), i);
                assert_int_equal(len, 4 + PIECE);
        }
}

/* --- Both ways at once --- */

/* Takes nothing until all of its own is taken. */
static void deliver_before_reading(struct fake *f, void *userdata)
{
        fake_handshake(f);
        deliver_numbers(f, MANY);
        expect_numbers(f, MANY);
        fake_signal(f);
        fake_acknowledge_all(f);
}

static void reads_while_its_writes_are_blocked(void **state)
{
        _cleanup_client_ busrt_client *c = quiet_client("me");
        struct fake *fake = fake_start(FAKE_UNIX, deliver_before_reading, NULL);

        assert_int_equal(busrt_client_set_timeout(c, DEADLINE), 0);
        assert_int_equal(busrt_client_set_send_buffer(c, 64 << 10), 0);
        assert_int_equal(busrt_client_connect(c, fake_address(fake)), 0);
        for (uint32_t i = 0; i < MANY; i++)
                assert_int_equal(send_number(c, i, BUSRT_QOS_NO), 0);
        assert_int_equal(busrt_client_flush(c, DEADLINE), 0);
        fake_wait(fake);
        read_numbers(c, 0, MANY);
        fake_stop(fake);
}

static void flushing_reads_too(void **state)
{
        _cleanup_client_ busrt_client *c = quiet_client("me");
        struct fake *fake = fake_start(FAKE_UNIX, deliver_before_reading, NULL);

        assert_int_equal(busrt_client_set_send_buffer(c, 64 << 20), 0);
        assert_int_equal(busrt_client_connect(c, fake_address(fake)), 0);
        for (uint32_t i = 0; i < MANY; i++)
                assert_int_equal(send_number(c, i, BUSRT_QOS_NO | BUSRT_QOS_DONTWAIT), 0);
        assert_int_equal(busrt_client_flush(c, DEADLINE), 0);
        assert_int_equal(busrt_client_get_unsent(c), 0);
        fake_wait(fake);
        read_numbers(c, 0, MANY);
        fake_stop(fake);
}

/* --- A full send buffer --- */

static void read_when_told(struct fake *f, void *userdata)
{
        fake_handshake(f);
        fake_pause(f);
        expect_numbers(f, *(const uint32_t *)userdata);
        fake_signal(f);
        fake_acknowledge_all(f);
}

/* Returns how many frames went until there was no room. */
static uint32_t fill(busrt_client *c)
{
        uint32_t n = 0;
        int r;

        while ((r = send_number(c, n, BUSRT_QOS_DONTWAIT)) == 0)
                n++;
        assert_int_equal(r, -EAGAIN);
        return n;
}

static void sending_waits_for_room(void **state)
{
        _cleanup_client_ busrt_client *c = quiet_client("me");
        uint32_t n = 0;
        struct fake *fake = fake_start(FAKE_UNIX, read_when_told, &n);
        ssize_t unsent;

        assert_int_equal(busrt_client_set_send_buffer(c, 16 << 10), 0);
        assert_int_equal(busrt_client_connect(c, fake_address(fake)), 0);
        n = fill(c) + 1;
        unsent = busrt_client_get_unsent(c);
        assert_true(unsent > 0 && unsent <= 16 << 10);
        assert_int_equal(busrt_client_set_timeout(c, 10 * MSEC), 0);
        assert_int_equal(send_number(c, UINT32_MAX, BUSRT_QOS_NO), -ETIMEDOUT);
        assert_int_equal(send_number(c, UINT32_MAX, ACKED), -ETIMEDOUT);
        assert_int_equal(busrt_client_flush(c, 10 * MSEC), -ETIMEDOUT);
        assert_int_equal(busrt_client_flush(c, 0), -ETIMEDOUT);
        assert_int_equal(busrt_client_get_unsent(c), unsent);
        assert_int_equal(busrt_client_set_timeout(c, DEADLINE), 0);
        fake_go(fake);
        assert_int_equal(send_number(c, n - 1, BUSRT_QOS_NO), 0);
        assert_int_equal(busrt_client_flush(c, DEADLINE), 0);
        fake_wait(fake);
        fake_stop(fake);
}

static void ignore_reply(busrt_client *c, int result, const busrt_rpc_error *error,
                         busrt_frame *reply, void *userdata)
{
}

/* The call's deadline, not the client's. */
static void a_call_waits_for_room_no_longer_than_it_may(void **state)
{
        static char bytes[4096];
        _cleanup_client_ busrt_client *c = quiet_client("me");
        uint32_t n = 0;
        struct fake *fake = fake_start(FAKE_UNIX, read_when_told, &n);
        struct iovec iov = {bytes, sizeof(bytes)};
        uint64_t start;

        assert_int_equal(busrt_client_set_send_buffer(c, 4096), 0);
        assert_int_equal(busrt_client_set_timeout(c, 12 * SECOND), 0);
        assert_int_equal(busrt_client_connect(c, fake_address(fake)), 0);
        n = fill(c);
        start = now_usec();
        assert_int_equal(busrt_client_call(c, "you", "m", &iov, 1, 0, 20 * MSEC, NULL, NULL),
                         -ETIMEDOUT);
        assert_int_equal(busrt_client_call_async(c, "you", "m", &iov, 1, 0, 20 * MSEC, ignore_reply,
                                                 NULL, NULL),
                         -ETIMEDOUT);
        assert_true(now_usec() - start < 10 * SECOND);
        fake_go(fake);
        assert_int_equal(busrt_client_flush(c, DEADLINE), 0);
        fake_wait(fake);
        fake_stop(fake);
}

static void take_large(struct fake *f, void *userdata)
{
        struct fake_frame frame;

        fake_handshake(f);
        fake_pause(f);
        frame = fake_frame(f);
        if (frame.length != 4 + (4 << 20))
                fake_wrong(f, "another length");
        fake_acknowledge_all(f);
}

static void an_empty_buffer_takes_any_one_frame(void **state)
{
        _cleanup_client_ busrt_client *c = quiet_client("me");
        struct fake *fake = fake_start(FAKE_UNIX, take_large, NULL);
        struct iovec iov = {calloc(1, 4 << 20), 4 << 20};

        assert_int_equal(busrt_client_set_send_buffer(c, 4096), 0);
        assert_int_equal(busrt_client_connect(c, fake_address(fake)), 0);
        assert_int_equal(busrt_client_send(c, "you", &iov, 1, BUSRT_QOS_DONTWAIT, NULL), 0);
        memset(iov.iov_base, 0xff, iov.iov_len); /* it was copied or written */
        free(iov.iov_base);
        assert_int_equal(send_number(c, 0, BUSRT_QOS_DONTWAIT), -EAGAIN);
        fake_go(fake);
        assert_int_equal(send_number(c, 0, ACKED), 0);
        fake_stop(fake);
}

/* --- A full send buffer, and handlers --- */

struct in_handler {
        int done, sent, acked, replied;
};

static void try_to_send(busrt_client *c, busrt_request *request, void *userdata)
{
        static char bytes[4096];
        _cleanup_op_ busrt_op *op = NULL;
        struct in_handler *h = userdata;
        struct iovec iov = {bytes, sizeof(bytes)};

        h->sent = send_number(c, 0, BUSRT_QOS_NO);
        h->acked = busrt_client_send(c, "you", &iov, 1, ACKED, &op);
        h->replied = busrt_request_reply(request, IOV("y"));
        h->done = 1;
}

static void request_and_read_later(struct fake *f, void *userdata)
{
        fake_handshake(f);
        fake_pause(f);
        fake_request(f, "you", 5, "m");
        fake_pause(f);
        expect_numbers(f, *(const uint32_t *)userdata);
        fake_expect_frame(f, 0x52, LITERAL("you\0\x11\x05\0\0\0y"));
        fake_signal(f);
        fake_acknowledge_all(f);
}

static void replies_have_room_always(void **state)
{
        _cleanup_client_ busrt_client *c = quiet_client("me");
        uint32_t n = 0;
        struct fake *fake = fake_start(FAKE_UNIX, request_and_read_later, &n);
        struct in_handler h = {0};

        assert_int_equal(busrt_client_set_send_buffer(c, 4096), 0);
        assert_int_equal(busrt_client_connect(c, fake_address(fake)), 0);
        assert_int_equal(busrt_client_set_request_handler(c, try_to_send, &h), 0);
        n = fill(c);
        fake_go(fake);
        process_until(c, is_set, &h.done);
        assert_int_equal(h.sent, -EAGAIN);
        assert_int_equal(h.acked, -EAGAIN);
        assert_int_equal(h.replied, 0);
        fake_go(fake);
        assert_int_equal(busrt_client_flush(c, DEADLINE), 0);
        fake_wait(fake);
        fake_stop(fake);
}

/* --- A full receive buffer --- */

static void deliver_then_ack(struct fake *f, void *userdata)
{
        struct fake_frame frame;

        fake_handshake(f);
        frame = fake_frame(f);
        deliver_numbers(f, MANY);
        fake_ack(f, frame.op, 1);
        fake_signal(f);
        fake_acknowledge_all(f);
}

static void a_call_reads_past_a_full_buffer(void **state)
{
        _cleanup_client_ busrt_client *c = quiet_client("me");
        struct fake *fake = fake_start(FAKE_UNIX, deliver_then_ack, NULL);

        assert_int_equal(busrt_client_set_receive_buffer(c, 4096), 0);
        assert_int_equal(busrt_client_connect(c, fake_address(fake)), 0);
        assert_int_equal(busrt_client_set_timeout(c, DEADLINE), 0);
        assert_int_equal(busrt_client_send(c, "you", NULL, 0, ACKED, NULL), 0);
        read_numbers(c, 0, MANY);
        fake_stop(fake);
}

static void deliver_only(struct fake *f, void *userdata)
{
        fake_handshake(f);
        deliver_numbers(f, MANY);
        fake_signal(f);
        fake_acknowledge_all(f);
}

/* Processing alone does not take what nobody reads: the broker waits. */
static void a_full_buffer_holds_up_the_broker(void **state)
{
        _cleanup_client_ busrt_client *c = quiet_client("me");
        struct fake *fake = fake_start(FAKE_UNIX, deliver_only, NULL);
        int r;

        assert_int_equal(busrt_client_set_receive_buffer(c, 64 << 10), 0);
        assert_int_equal(busrt_client_connect(c, fake_address(fake)), 0);
        for (unsigned quiet = 0; quiet < 200 && !fake_has_signalled(fake); quiet++) {
                r = busrt_client_process(c);
                assert_true(r >= 0);
                if (r > 0)
                        quiet = 0; /* it is not full yet */
                else
                        (void)poll(NULL, 0, 1);
        }
        assert_false(fake_has_signalled(fake));
        read_numbers(c, 0, MANY);
        fake_wait(fake);
        fake_stop(fake);
}

struct counted {
        int done;
        uint32_t next;
};

static void take_number(busrt_client *c, busrt_frame *frame, void *userdata)
{
        struct counted *n = userdata;

        assert_int_equal(number_of(busrt_frame_get_payload(frame, NULL)), n->next);
        n->done = ++n->next == MANY;
}

/* The first half by reading, and the rest, which has come already, by the handler. */
static void frames_wait_for_a_handler(void **state)
{
        _cleanup_client_ busrt_client *c = NULL;
        struct fake *fake = fake_start(FAKE_UNIX, deliver_then_ack, NULL);
        struct counted n = {.next = MANY / 2};

        c = connected_client(fake);
        assert_int_equal(busrt_client_send(c, "you", NULL, 0, ACKED, NULL), 0);
        read_numbers(c, 0, MANY / 2);
        assert_int_equal(busrt_client_set_frame_handler(c, take_number, &n), 0);
        process_until(c, is_set, &n.done);
        fake_stop(fake);
}

/* What was handled makes room. */
static void handled_frames_make_room(void **state)
{
        _cleanup_client_ busrt_client *c = quiet_client("me");
        struct fake *fake = fake_start(FAKE_UNIX, deliver_only, NULL);
        struct counted n = {0};

        assert_int_equal(busrt_client_set_receive_buffer(c, 4096), 0);
        assert_int_equal(busrt_client_set_frame_handler(c, take_number, &n), 0);
        assert_int_equal(busrt_client_connect(c, fake_address(fake)), 0);
        process_until(c, is_set, &n.done);
        fake_stop(fake);
}

/* --- Corks --- */

static void three_frames(struct fake *f, void *userdata)
{
        fake_handshake(f);
        fake_pause(f);
        if (fake_has_input(f))
                fake_wrong(f, "something was sent in spite of the cork");
        fake_signal(f);
        expect_numbers(f, 3);
        fake_acknowledge_all(f);
}

static void a_cork_gathers(void **state)
{
        _cleanup_client_ busrt_client *c = NULL;
        struct fake *fake = fake_start(FAKE_UNIX, three_frames, NULL);
        ssize_t unsent;

        c = connected_client(fake);
        assert_int_equal(busrt_client_cork(c), 0);
        assert_int_equal(busrt_client_cork(c), 0);
        assert_int_equal(send_number(c, 0, BUSRT_QOS_NO), 0);
        unsent = busrt_client_get_unsent(c);
        assert_true(unsent > PIECE);
        assert_int_equal(send_number(c, 1, BUSRT_QOS_REALTIME), 0);
        assert_int_equal(busrt_client_get_unsent(c), 2 * unsent);
        assert_int_equal(busrt_client_uncork(c), 0);
        assert_int_equal(send_number(c, 2, BUSRT_QOS_NO), 0);
        fake_go(fake);
        fake_wait(fake);
        assert_int_equal(busrt_client_get_unsent(c), 3 * unsent);
        assert_int_equal(busrt_client_uncork(c), 0);
        assert_int_equal(busrt_client_get_unsent(c), 0);
        assert_int_equal(busrt_client_uncork(c), -EINVAL);
        assert_int_equal(busrt_client_send(c, "you", NULL, 0, ACKED, NULL), 0);
        fake_stop(fake);
}

static void expect_all_and_ack(struct fake *f, void *userdata)
{
        fake_handshake(f);
        expect_numbers(f, MANY);
        fake_acknowledge_all(f);
}

/* More than the send buffer holds; and a call that waits does not wait for the uncork. */
static void a_cork_holds_up_nobody(void **state)
{
        _cleanup_client_ busrt_client *c = quiet_client("me");
        struct fake *fake = fake_start(FAKE_UNIX, expect_all_and_ack, NULL);

        assert_int_equal(busrt_client_set_send_buffer(c, 16 << 10), 0);
        assert_int_equal(busrt_client_connect(c, fake_address(fake)), 0);
        assert_int_equal(busrt_client_cork(c), 0);
        for (uint32_t i = 0; i < MANY; i++)
                assert_int_equal(send_number(c, i, BUSRT_QOS_NO), 0);
        assert_int_equal(busrt_client_send(c, "you", NULL, 0, ACKED, NULL), 0);
        assert_int_equal(busrt_client_uncork(c), 0);
        fake_stop(fake);
}

/* --- Keep-alive --- */

static void expect_pings(struct fake *f, void *userdata)
{
        fake_handshake(f);
        for (unsigned i = 0; i < 5; i++)
                fake_expect(f, LITERAL("\0\0\0\0\0\0\0\0\0"));
        fake_deliver(f, 0x12, LITERAL("you\0enough"));
        fake_acknowledge_all(f);
}

static void a_waiting_client_pings(void **state)
{
        _cleanup_client_ busrt_client *c = quiet_client("me");
        _cleanup_frame_ busrt_frame *frame = NULL;
        struct fake *fake = fake_start(FAKE_UNIX, expect_pings, NULL);

        assert_int_equal(busrt_client_set_ping_interval(c, MSEC), 0);
        assert_int_equal(busrt_client_connect(c, fake_address(fake)), 0);
        assert_int_equal(busrt_client_read(c, DEADLINE, &frame), 0);
        fake_stop(fake);
}

static void note_frame(busrt_client *c, busrt_frame *frame, void *userdata)
{
        *(int *)userdata = 1;
}

/* get_timeout() tells a foreign loop when. */
static void a_processed_client_pings(void **state)
{
        _cleanup_client_ busrt_client *c = quiet_client("me");
        struct fake *fake = fake_start(FAKE_UNIX, expect_pings, NULL);
        uint64_t at, before = now_usec();
        int done = 0;

        assert_int_equal(busrt_client_set_ping_interval(c, MSEC), 0);
        assert_int_equal(busrt_client_set_frame_handler(c, note_frame, &done), 0);
        assert_int_equal(busrt_client_connect(c, fake_address(fake)), 0);
        while (!done) {
                struct pollfd p = {.fd = busrt_client_get_fd(c),
                                   .events = (short)busrt_client_get_events(c)};
                int r = busrt_client_process(c);

                assert_true(r >= 0);
                assert_int_equal(busrt_client_get_timeout(c, &at), 0);
                assert_true(at == 0 || (at > before && at <= now_usec() + SECOND));
                if (r == 0 && at > 0 && at > now_usec())
                        (void)poll(&p, 1, (int)((at - now_usec()) / 1000 + 1));
        }
        fake_stop(fake);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(reads_while_its_writes_are_blocked),
                cmocka_unit_test(flushing_reads_too),
                cmocka_unit_test(sending_waits_for_room),
                cmocka_unit_test(a_call_waits_for_room_no_longer_than_it_may),
                cmocka_unit_test(an_empty_buffer_takes_any_one_frame),
                cmocka_unit_test(replies_have_room_always),
                cmocka_unit_test(a_call_reads_past_a_full_buffer),
                cmocka_unit_test(a_full_buffer_holds_up_the_broker),
                cmocka_unit_test(frames_wait_for_a_handler),
                cmocka_unit_test(handled_frames_make_room),
                cmocka_unit_test(a_cork_gathers),
                cmocka_unit_test(a_cork_holds_up_nobody),
                cmocka_unit_test(a_waiting_client_pings),
                cmocka_unit_test(a_processed_client_pings),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
