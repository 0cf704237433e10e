/* SPDX-License-Identifier: Apache-2.0 */
/* Slow receivers: who waits, who is struck, what is dropped, and that every frame is accounted for.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "basic/clock.h"
#include "bed.h"

#define PROCESSED 0x40
#define PAYLOAD 2000

/* A frame of PAYLOAD bytes: the target, its number, and fill. Returns its length. */
static size_t numbered(uint8_t *body, const char *target, uint32_t number)
{
        size_t len = strlen(target) + 1;

        memcpy(body, target, len);
        memset(body + len, 'x', PAYLOAD);
        le32_put(body + len, number);
        return len + PAYLOAD;
}

static uint32_t send_numbered(struct peer *p, uint8_t flags, const char *target, uint32_t number)
{
        uint8_t body[PAYLOAD + 64];

        return peer_send(p, flags, body, numbered(body, target, number));
}

static void open_small(struct bed *bed, enum slow_policy policy)
{
        struct engine_config config;

        bed_config(&config);
        config.queue_frames = 8;
        config.slow_policy = policy;
        config.slow_pace = 20 * NSEC_PER_MSEC;
        bed_open(bed, &config);
}

/* The result code of the next acknowledgement, 0 if there is none. */
static uint8_t next_ack(struct peer *p)
{
        uint8_t ack[WIRE_DELIVERY_HEADER_SIZE];
        ssize_t n = peer_read(p, ack, sizeof(ack));

        if (n <= 0)
                return 0;
        assert_int_equal(n, sizeof(ack));
        assert_int_equal(ack[0], WIRE_KIND_ACK);
        return ack[5];
}

/* Sends numbered messages to a receiver that does not read until the sender is paused. Returns how
 * many were acknowledged; one more has been sent and waits. */
static uint32_t fill(struct bed *bed, struct peer *from, const char *target)
{
        for (uint32_t n = 0; n < 10000; n++) {
                send_numbered(from, WIRE_OP_MESSAGE | PROCESSED, target, n);
                bed_settle(bed);
                uint8_t result = next_ack(from);

                if (result == 0)
                        return n;
                assert_int_equal(result, WIRE_OK);
        }
        fail_msg("the sender was never paused");
        return 0;
}

/* Reads every whole delivery that is there and gives the numbers to the caller. Returns how many.
 */
static uint32_t drain(struct bed *bed, struct peer *p, uint32_t *numbers, uint32_t max)
{
        static uint8_t buf[4 << 20];
        size_t have = 0, at = 0;
        uint32_t n = 0;

        for (;;) {
                ssize_t r = peer_read(p, buf + have, sizeof(buf) - have);

                if (r <= 0 && bed_settle(bed) == 0)
                        break;
                have += r > 0 ? (size_t)r : 0;
                if (r < 0)
                        break;
        }
        while (at < have) {
                size_t size = wire_delivery_size(buf + at);

                if (size > WIRE_DELIVERY_HEADER_SIZE) {
                        assert_true(n < max);
                        numbers[n++] = le32_get(buf + at + size - PAYLOAD);
                }
                at += size;
        }
        assert_int_equal(at, have);
        return n;
}

struct ack_wait {
        struct peer *peer;
        uint8_t result;
};

static bool ack_came(void *userdata)
{
        struct ack_wait *w = userdata;

        w->result = next_ack(w->peer);
        return w->result != 0;
}

static uint8_t await_ack(struct bed *bed, struct peer *p)
{
        struct ack_wait w = {.peer = p};

        bed_until(bed, ack_came, &w);
        return w.result;
}

static void a_paused_sender_goes_on_when_there_is_room(void **state)
{
        static uint32_t got[10000];
        struct bed bed;
        struct peer a, b;
        uint32_t n, received;

        open_small(&bed, SLOW_DISCONNECT);
        a = bed_join(&bed, "a");
        b = bed_join(&bed, "b");
        n = fill(&bed, &a, "b");
        received = drain(&bed, &b, got, 10000);
        assert_int_equal(await_ack(&bed, &a), WIRE_OK);
        received += drain(&bed, &b, got + received, 10000 - received);
        assert_int_equal(received, n + 1);
        for (uint32_t i = 0; i < received; i++)
                assert_int_equal(got[i], i);
        assert_int_equal(bed_counters(&bed).struck, 0);
        peer_close(&a);
        peer_close(&b);
        bed_close(&bed);
}

static void disconnect_refuses_once_and_loses_nothing_acknowledged(void **state)
{
        static uint32_t got[10000];
        struct bed bed;
        struct peer a, b;
        uint32_t n, received;

        open_small(&bed, SLOW_DISCONNECT);
        a = bed_join(&bed, "a");
        b = bed_join_as(&bed, "b", 1001);
        n = fill(&bed, &a, "b");
        assert_int_equal(await_ack(&bed, &a), WIRE_NOT_DELIVERED);
        send_numbered(&a, WIRE_OP_MESSAGE | PROCESSED, "b", n + 1);
        assert_int_equal(await_ack(&bed, &a), WIRE_NOT_REGISTERED);
        assert_int_equal(bed_event(&bed, ENGINE_EVENT_STRUCK).uid, 1001);
        received = drain(&bed, &b, got, 10000);
        assert_int_equal(received, n);
        for (uint32_t i = 0; i < received; i++)
                assert_int_equal(got[i], i);
        bed_settle(&bed);
        peer_expect_end(&b);
        assert_int_equal(bed_counters(&bed).struck, 1);
        assert_int_equal(bed_counters(&bed).sessions, 1);
        peer_close(&a);
        peer_close(&b);
        bed_close(&bed);
}

/* Under both drop policies: sent = received + dropped, in order; which ones are lost differs. */
static void drops_are_counted(enum slow_policy policy)
{
        static uint32_t got[10000];
        struct bed bed;
        struct peer a, b;
        uint32_t n, ok = 0, refused = 0, received;

        open_small(&bed, policy);
        a = bed_join(&bed, "a");
        b = bed_join(&bed, "b");
        n = fill(&bed, &a, "b");
        (await_ack(&bed, &a) == WIRE_OK ? &ok : &refused)[0]++;
        for (uint32_t i = 1; i <= 50; i++) {
                send_numbered(&a, WIRE_OP_MESSAGE | PROCESSED, "b", n + i);
                bed_settle(&bed);
                (next_ack(&a) == WIRE_OK ? &ok : &refused)[0]++;
        }
        assert_int_equal(ok, policy == SLOW_DROP_OLDEST ? 51 : 0);
        assert_int_equal(refused, policy == SLOW_DROP_OLDEST ? 0 : 51);
        assert_int_equal(bed_counters(&bed).dropped, 51);
        received = drain(&bed, &b, got, 10000);
        assert_int_equal(received, n + 51 - 51);
        for (uint32_t i = 1; i < received; i++)
                assert_true(got[i] > got[i - 1]);
        assert_int_equal(got[received - 1], policy == SLOW_DROP_OLDEST ? n + 50 : n - 1);
        /* With room again nothing is dropped. */
        send_numbered(&a, WIRE_OP_MESSAGE | PROCESSED, "b", 7);
        assert_int_equal(await_ack(&bed, &a), WIRE_OK);
        assert_int_equal(drain(&bed, &b, got, 10000), 1);
        assert_int_equal(bed_counters(&bed).dropped, 51);
        assert_int_equal(bed_counters(&bed).clients, 2);
        peer_close(&a);
        peer_close(&b);
        bed_close(&bed);
}

static void drop_newest_counts_every_frame(void **state)
{
        drops_are_counted(SLOW_DROP_NEWEST);
}

static void drop_oldest_counts_every_frame(void **state)
{
        drops_are_counted(SLOW_DROP_OLDEST);
}

/* A publisher waits for the slow one; the others get everything. */
static void fan_out_reaches_all_others(void **state)
{
        static uint32_t got[10000];
        struct bed bed;
        struct peer a, quick, slow;
        uint32_t sent = 0, received = 0;

        open_small(&bed, SLOW_DISCONNECT);
        a = bed_join(&bed, "a");
        quick = bed_join(&bed, "quick");
        slow = bed_join_as(&bed, "slow", 1001);
        peer_send(&quick, WIRE_OP_SUBSCRIBE, LITERAL("t"));
        peer_send(&slow, WIRE_OP_SUBSCRIBE, LITERAL("t"));
        bed_settle(&bed);
        while (bed_counters(&bed).struck == 0) {
                send_numbered(&a, WIRE_OP_PUBLISH | PROCESSED, "t", sent++);
                assert_int_equal(await_ack(&bed, &a), WIRE_OK);
                received += drain(&bed, &quick, got + received, 10000 - received);
        }
        received += drain(&bed, &quick, got + received, 10000 - received);
        assert_int_equal(received, sent);
        for (uint32_t i = 0; i < received; i++)
                assert_int_equal(got[i], i);
        assert_int_equal(bed_counters(&bed).clients, 2);
        peer_close(&a);
        peer_close(&quick);
        peer_close(&slow);
        bed_close(&bed);
}

/* Once strangers have paused a sender for its share of a second, the next full queue is struck
 * without a wait. */
static void strangers_cost_no_more_than_their_share(void **state)
{
        struct bed bed;
        struct peer a, b, c;
        uint32_t op;

        open_small(&bed, SLOW_DISCONNECT);
        a = bed_join(&bed, "a");
        b = bed_join_as(&bed, "b", 1001);
        c = bed_join_as(&bed, "c", 1002);
        fill(&bed, &a, "b");
        assert_int_equal(await_ack(&bed, &a), WIRE_NOT_DELIVERED);
        for (op = 0; bed_counters(&bed).struck == 1; op++) {
                assert_true(op < 10000);
                send_numbered(&a, WIRE_OP_MESSAGE | PROCESSED, "c", op);
                bed_settle(&bed);
                assert_true(next_ack(&a) != 0);
        }
        peer_close(&a);
        peer_close(&b);
        peer_close(&c);
        bed_close(&bed);
}

/* A client that sends to itself without reading waits for itself; nobody is struck. */
static void sending_to_oneself_only_waits(void **state)
{
        static uint32_t got[10000];
        struct bed bed;
        struct peer a;
        uint32_t sent = 0, received = 0;

        open_small(&bed, SLOW_DISCONNECT);
        a = bed_join(&bed, "a");
        for (; sent < 400; sent++) {
                uint8_t body[PAYLOAD + 64], frame[PAYLOAD + 128] = {0};
                size_t len = numbered(body, "a", sent);

                frame[4] = WIRE_OP_MESSAGE;
                le32_put(frame + 5, (uint32_t)len);
                memcpy(frame + 9, body, len);
                if (send(a.fd, frame, len + 9, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)(len + 9))
                        break;
                bed_settle(&bed);
        }
        while (received < sent) {
                uint32_t n = drain(&bed, &a, got + received, 10000 - received);

                assert_true(n > 0);
                received += n;
        }
        for (uint32_t i = 0; i < received; i++)
                assert_int_equal(got[i], i);
        assert_int_equal(bed_counters(&bed).struck, 0);
        peer_close(&a);
        bed_close(&bed);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_paused_sender_goes_on_when_there_is_room),
                cmocka_unit_test(disconnect_refuses_once_and_loses_nothing_acknowledged),
                cmocka_unit_test(drop_newest_counts_every_frame),
                cmocka_unit_test(drop_oldest_counts_every_frame),
                cmocka_unit_test(fan_out_reaches_all_others),
                cmocka_unit_test(strangers_cost_no_more_than_their_share),
                cmocka_unit_test(sending_to_oneself_only_waits),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
