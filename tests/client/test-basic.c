/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ordinary use against a real broker: every operation in every QoS, what arrives of it, addresses,
 * secondaries, and loops of the program's own. Calls are in test-rpc.c.
 */
#include <pthread.h>
#include <sys/stat.h>

#include "client-bed.h"
#include "real-broker.h"

#define ACKED BUSRT_QOS_PROCESSED

static struct real_broker *broker;

static int start(void **state)
{
        broker = real_broker_start();
        return 0;
}

static int stop(void **state)
{
        broker = real_broker_stop(broker);
        return 0;
}

static busrt_client *joined(const char *name)
{
        busrt_client *c;

        assert_int_equal(busrt_client_new(name, &c), 0);
        assert_int_equal(busrt_client_connect(c, real_broker_path(broker)), 0);
        return c;
}

static void expect_frame(busrt_client *c, enum busrt_kind kind, const char *sender,
                         const char *topic, const char *payload)
{
        _cleanup_frame_ busrt_frame *f = NULL;
        const void *got;
        size_t len;

        assert_int_equal(busrt_client_read(c, DEADLINE, &f), 0);
        assert_int_equal(busrt_frame_get_kind(f), kind);
        assert_string_equal(busrt_frame_get_sender(f), sender);
        if (topic)
                assert_string_equal(busrt_frame_get_topic(f), topic);
        else
                assert_null(busrt_frame_get_topic(f));
        got = busrt_frame_get_payload(f, &len);
        assert_int_equal(len, strlen(payload));
        assert_memory_equal(got, payload, len);
}

/* All that was sent to it before has come: it sends itself a message. */
static void expect_no_more(busrt_client *c)
{
        const char *me = busrt_client_get_name(c);

        assert_int_equal(busrt_client_send(c, me, IOV("end"), ACKED, NULL), 0);
        expect_frame(c, BUSRT_KIND_MESSAGE, me, NULL, "end");
}

static void subscribe(busrt_client *c, const char *topic)
{
        assert_int_equal(busrt_client_subscribe(c, &topic, 1, ACKED, NULL), 0);
}

/* --- Every QoS --- */

static void expect_realtime(busrt_client *c, unsigned qos)
{
        _cleanup_frame_ busrt_frame *f = NULL;

        assert_int_equal(busrt_client_read(c, DEADLINE, &f), 0);
        assert_int_equal(busrt_frame_is_realtime(f), (qos & BUSRT_QOS_REALTIME) != 0);
}

static void payloads_in_every_qos(void **state)
{
        _cleanup_client_ busrt_client *a = joined("x.a"), *b = joined("x.b");

        subscribe(b, "t/#");
        for (unsigned qos = 0; qos < 4; qos++) {
                struct iovec iov[3] = {{(char *)"o", 1}, {NULL, 0}, {(char *)"ne", 2}};

                assert_int_equal(busrt_client_send(a, "x.b", iov, 3, qos, NULL), 0);
                expect_frame(b, BUSRT_KIND_MESSAGE, "x.a", NULL, "one");
                assert_int_equal(busrt_client_broadcast(a, "?.b", IOV("two"), qos, NULL), 0);
                expect_frame(b, BUSRT_KIND_BROADCAST, "x.a", NULL, "two");
                assert_int_equal(busrt_client_publish(a, "t/3", IOV("three"), qos, NULL), 0);
                expect_frame(b, BUSRT_KIND_PUBLICATION, "x.a", "t/3", "three");
                assert_int_equal(busrt_client_publish_for(a, "t/4", "x.b", NULL, 0, qos, NULL), 0);
                expect_frame(b, BUSRT_KIND_PUBLICATION, "x.a", "t/4", "");
                assert_int_equal(
                        busrt_client_send(a, "x.b", NULL, 0, qos | BUSRT_QOS_DONTWAIT, NULL), 0);
                expect_realtime(b, qos);
        }
        expect_no_more(a);
        expect_no_more(b);
}

static void lists_in_every_qos(void **state)
{
        static const char *const wanted[] = {"a/+", "b/#", "c"}, *const unwanted[] = {"a/2",
                                                                                      "b/x/#"};
        _cleanup_client_ busrt_client *c = joined("lists"), *p = joined("publisher");

        for (unsigned qos = 0; qos < 4; qos++) {
                assert_int_equal(busrt_client_subscribe(c, wanted, 3, qos, NULL), 0);
                assert_int_equal(busrt_client_exclude(c, unwanted, 2, qos, NULL), 0);
                expect_no_more(c);
                for (unsigned i = 0; i < 2; i++) {
                        assert_int_equal(busrt_client_publish(p, "a/2", NULL, 0, ACKED, NULL), 0);
                        assert_int_equal(busrt_client_publish(p, "b/x/1", NULL, 0, ACKED, NULL), 0);
                        assert_int_equal(busrt_client_publish(p, "a/1", NULL, 0, ACKED, NULL), 0);
                        assert_int_equal(busrt_client_publish(p, "b/y/z", NULL, 0, ACKED, NULL), 0);
                        assert_int_equal(busrt_client_publish(p, "c", NULL, 0, ACKED, NULL), 0);
                        if (i == 1) {
                                expect_frame(c, BUSRT_KIND_PUBLICATION, "publisher", "a/2", "");
                                expect_frame(c, BUSRT_KIND_PUBLICATION, "publisher", "b/x/1", "");
                        }
                        expect_frame(c, BUSRT_KIND_PUBLICATION, "publisher", "a/1", "");
                        expect_frame(c, BUSRT_KIND_PUBLICATION, "publisher", "b/y/z", "");
                        expect_frame(c, BUSRT_KIND_PUBLICATION, "publisher", "c", "");
                        assert_int_equal(busrt_client_unexclude(c, unwanted, 2, qos, NULL), 0);
                        expect_no_more(c);
                }
                assert_int_equal(busrt_client_unsubscribe(c, wanted, 3, qos, NULL), 0);
                expect_no_more(c);
                assert_int_equal(busrt_client_publish(p, "c", NULL, 0, ACKED, NULL), 0);
                expect_no_more(c);
        }
}

static void publish_for_reaches_one(void **state)
{
        _cleanup_client_ busrt_client *a = joined("a"), *b = joined("b");

        subscribe(a, "t");
        subscribe(b, "t");
        assert_int_equal(busrt_client_publish_for(a, "t", "b", IOV("x"), ACKED, NULL), 0);
        expect_frame(b, BUSRT_KIND_PUBLICATION, "a", "t", "x");
        expect_no_more(a);
        assert_int_equal(busrt_client_publish_for(a, "t", "nobody", IOV("x"), ACKED, NULL), 0);
        expect_no_more(b);
}

/* --- Answers of the broker --- */

static void refusals_have_their_errno(void **state)
{
        _cleanup_client_ busrt_client *c = joined("taken"), *d = NULL, *e = NULL;
        _cleanup_op_ busrt_op *op = NULL;

        assert_int_equal(busrt_client_send(c, "nobody", NULL, 0, ACKED, NULL), -EHOSTUNREACH);
        assert_int_equal(busrt_client_send(c, "nobody", NULL, 0, BUSRT_QOS_NO, NULL), 0);
        assert_int_equal(busrt_client_send(c, "nobody", NULL, 0, ACKED, &op), 0);
        assert_int_equal(busrt_op_wait(op, DEADLINE), -EHOSTUNREACH);
        assert_int_equal(busrt_op_result(op), -EHOSTUNREACH);
        assert_int_equal(busrt_client_new("taken", &d), 0);
        assert_int_equal(busrt_client_connect(d, real_broker_path(broker)), -EBUSY);
        assert_int_equal(busrt_client_error(d), -EBUSY);
        assert_int_equal(busrt_client_new("orphan%%1", &e), 0);
        assert_int_equal(busrt_client_connect(e, real_broker_path(broker)), -EHOSTUNREACH);
        assert_int_equal(busrt_client_send(c, "taken", NULL, 0, ACKED, NULL), 0);
}

static void bad_text_costs_the_connection(void **state)
{
        _cleanup_client_ busrt_client *c = joined("bad");

        assert_int_equal(busrt_client_send(c, "\xff", NULL, 0, ACKED, NULL), -EBADMSG);
        assert_int_equal(busrt_client_flush(c, DEADLINE), 0);
        while (busrt_client_get_state(c) == BUSRT_STATE_CONNECTED)
                if (busrt_client_process(c) == 0)
                        (void)busrt_client_wait(c, SECOND);
        assert_int_equal(busrt_client_error(c), -ECONNRESET);
}

/* --- Operations that are waited for later, or never --- */

static void note_result(busrt_op *op, int result, void *userdata)
{
        *(int *)userdata = result < 0 ? result : 1;
}

static void operations_may_wait(void **state)
{
        _cleanup_client_ busrt_client *c = joined("later");
        _cleanup_op_ busrt_op *op = NULL;
        busrt_op *dropped = NULL, *ref;
        int result = 0;

        for (unsigned i = 0; i < 100; i++) {
                assert_int_equal(busrt_client_publish(c, "t", NULL, 0, ACKED, &dropped), 0);
                dropped = busrt_op_unref(dropped);
        }
        assert_int_equal(busrt_client_publish(c, "t", NULL, 0, ACKED, &op), 0);
        ref = busrt_op_ref(op);
        assert_int_equal(busrt_op_wait(ref, DEADLINE), 0);
        assert_int_equal(busrt_op_wait(ref, 0), 0);
        busrt_op_unref(ref);
        /* the result is there already: the handler comes all the same, once */
        assert_int_equal(busrt_op_set_handler(op, note_result, &result), 0);
        assert_int_equal(result, 0);
        process_until(c, is_set, &result);
        assert_int_equal(result, 1);
        result = 0;
        assert_int_equal(busrt_client_send(c, "nobody", NULL, 0, ACKED, &dropped), 0);
        assert_int_equal(busrt_op_set_handler(dropped, note_result, &result), 0);
        busrt_op_unref(dropped); /* it holds itself */
        process_until(c, is_set, &result);
        assert_int_equal(result, -EHOSTUNREACH);
}

/* --- Reading --- */

static void reading_has_deadlines(void **state)
{
        _cleanup_client_ busrt_client *c = joined("reader");
        busrt_frame *none = NULL;
        uint64_t start_time = now_usec();

        assert_int_equal(busrt_client_read(c, 0, &none), -EAGAIN);
        assert_int_equal(busrt_client_read(c, 20 * MSEC, &none), -ETIMEDOUT);
        assert_true(now_usec() - start_time >= 20 * MSEC);
        while (busrt_client_process(c) == 1) /* it has been told that it is connected */
                continue;
        assert_int_equal(busrt_client_wait(c, 0), 0);
        assert_int_equal(busrt_client_set_timeout(c, 20 * MSEC), 0);
        assert_int_equal(busrt_client_read(c, BUSRT_TIMEOUT_DEFAULT, &none), -ETIMEDOUT);
        assert_null(none);
}

#define FLOOD 50000

static void *send_flood(void *userdata)
{
        busrt_client *c = userdata;
        long failed = 0;

        for (uint32_t i = 0; i < FLOOD; i++) {
                struct iovec iov = {&i, sizeof(i)};

                if (i % 64 == 0)
                        failed += busrt_client_cork(c) < 0;
                failed += busrt_client_send(c, "flooded", &iov, 1, BUSRT_QOS_NO, NULL) < 0;
                if (i % 64 == 63 || i == FLOOD - 1)
                        failed += busrt_client_uncork(c) < 0;
        }
        failed += busrt_client_flush(c, DEADLINE) < 0;
        return (void *)failed;
}

static void a_flood_arrives_in_order(void **state)
{
        _cleanup_client_ busrt_client *from = joined("flooder"), *to = joined("flooded");
        pthread_t thread;
        void *failed;

        assert_int_equal(busrt_client_set_timeout(from, DEADLINE), 0);
        assert_int_equal(pthread_create(&thread, NULL, send_flood, from), 0);
        for (uint32_t i = 0; i < FLOOD; i++) {
                _cleanup_frame_ busrt_frame *f = NULL;
                uint32_t n;

                assert_int_equal(busrt_client_read(to, DEADLINE, &f), 0);
                memcpy(&n, busrt_frame_get_payload(f, NULL), sizeof(n));
                assert_int_equal(n, i);
        }
        assert_int_equal(pthread_join(thread, &failed), 0);
        assert_null(failed);
}

static void busy_polling_finds_the_same(void **state)
{
        _cleanup_client_ busrt_client *c = joined("busy");

        assert_int_equal(busrt_client_set_busy_poll(c, 500), 0);
        for (unsigned i = 0; i < 100; i++) {
                assert_int_equal(busrt_client_send(c, "busy", IOV("x"), BUSRT_QOS_REALTIME, NULL),
                                 0);
                expect_frame(c, BUSRT_KIND_MESSAGE, "busy", NULL, "x");
                assert_int_equal(busrt_client_publish(c, "t", NULL, 0, ACKED, NULL), 0);
        }
}

/* --- Secondaries --- */

static void secondaries(void **state)
{
        _cleanup_client_ busrt_client *primary = joined("plc"), *one = NULL, *other = NULL;

        assert_int_equal(busrt_client_new_secondary(primary, "1", &one), 0);
        assert_int_equal(busrt_client_new_secondary(primary, NULL, &other), 0);
        assert_int_equal(busrt_client_connect(one, busrt_client_get_address(primary)), 0);
        assert_int_equal(busrt_client_connect(other, busrt_client_get_address(primary)), 0);
        assert_int_equal(busrt_client_send(primary, "plc%%1", IOV("x"), ACKED, NULL), 0);
        expect_frame(one, BUSRT_KIND_MESSAGE, "plc", NULL, "x");
        assert_int_equal(busrt_client_send(other, "plc", IOV("y"), ACKED, NULL), 0);
        expect_frame(primary, BUSRT_KIND_MESSAGE, busrt_client_get_name(other), NULL, "y");
        subscribe(one, "t");
        assert_int_equal(busrt_client_publish_for(primary, "t", "plc", IOV("z"), ACKED, NULL), 0);
        expect_frame(one, BUSRT_KIND_PUBLICATION, "plc", "t", "z");
        expect_no_more(primary);
        primary = busrt_client_free(primary);
        for (unsigned i = 0; i < 2; i++) {
                busrt_frame *none = NULL;

                assert_int_equal(busrt_client_read(i ? one : other, DEADLINE, &none), -ECONNRESET);
                assert_int_equal(busrt_client_error(i ? one : other), -ECONNRESET);
        }
}

/* --- Addresses --- */

static void try_address(const char *address)
{
        _cleanup_client_ busrt_client *c = NULL;

        assert_int_equal(busrt_client_new("addressed", &c), 0);
        assert_null(busrt_client_get_address(c));
        assert_int_equal(busrt_client_connect(c, address), 0);
        if (address)
                assert_string_equal(busrt_client_get_address(c), address);
        assert_int_equal(busrt_client_send(c, "addressed", IOV("x"), ACKED, NULL), 0);
        expect_frame(c, BUSRT_KIND_MESSAGE, "addressed", NULL, "x");
}

static void unix_and_tcp(void **state)
{
        char local[64];

        try_address(real_broker_path(broker));
        try_address(real_broker_tcp(broker));
        snprintf(local, sizeof(local), "localhost%s", strchr(real_broker_tcp(broker), ':'));
        try_address(local);
        assert_int_equal(setenv("BUSRT_SOCKET", real_broker_path(broker), 1), 0);
        try_address(NULL);
        assert_int_equal(setenv("BUSRT_SOCKET", real_broker_tcp(broker), 1), 0);
        try_address(NULL);
        assert_int_equal(unsetenv("BUSRT_SOCKET"), 0);
}

/* Without $BUSRT_SOCKET the user's own. */
static void the_users_broker(void **state)
{
        char dir[] = "/tmp/busrt-user-XXXXXX", sub[64], link[64];

        assert_non_null(mkdtemp(dir));
        snprintf(sub, sizeof(sub), "%s/busrt", dir);
        snprintf(link, sizeof(link), "%s/busrt/bus.sock", dir);
        assert_int_equal(mkdir(sub, 0700), 0);
        assert_int_equal(symlink(real_broker_path(broker), link), 0);
        assert_int_equal(unsetenv("BUSRT_SOCKET"), 0);
        assert_int_equal(setenv("XDG_RUNTIME_DIR", dir, 1), 0);
        try_address(NULL);
        assert_int_equal(setenv("BUSRT_SOCKET", "", 1), 0);
        try_address(NULL);
        assert_int_equal(unlink(link) | rmdir(sub) | rmdir(dir), 0);
        assert_int_equal(unsetenv("XDG_RUNTIME_DIR"), 0);
}

static void tcp6(void **state)
{
        if (!real_broker_tcp6(broker))
                skip();
        try_address(real_broker_tcp6(broker));
}

static void nobody_listens(void **state)
{
        _cleanup_client_ busrt_client *c = NULL;

        assert_int_equal(busrt_client_new("me", &c), 0);
        assert_int_equal(busrt_client_connect(c, "127.0.0.1:1"), -ECONNREFUSED);
        assert_int_equal(busrt_client_get_state(c), BUSRT_STATE_CLOSED);
}

/* --- A loop of the program's own --- */

static void note_state(busrt_client *c, enum busrt_state state, int error, void *userdata)
{
        int *seen = userdata;

        if (state == BUSRT_STATE_CONNECTED)
                seen[0]++;
        else if (state == BUSRT_STATE_CLOSED)
                seen[1] = error;
}

static void note_frame(busrt_client *c, busrt_frame *frame, void *userdata)
{
        *(int *)userdata += busrt_frame_get_kind(frame) == BUSRT_KIND_MESSAGE;
}

/* As a program polls it: the descriptor and the moment are all it has. */
static int poll_once(busrt_client *c)
{
        struct pollfd p = {.fd = busrt_client_get_fd(c),
                           .events = (short)busrt_client_get_events(c)};
        uint64_t at, now = now_usec();
        int ms = -1;

        assert_int_equal(busrt_client_get_timeout(c, &at), 0);
        if (at != UINT64_MAX)
                ms = at <= now ? 0 : (int)((at - now) / 1000 + 1);
        assert_true(poll(&p, 1, ms) >= 0);
        return busrt_client_process(c);
}

static void a_loop_of_poll(void **state)
{
        _cleanup_client_ busrt_client *c = NULL;
        int seen[2] = {0}, n_frames = 0, fd;

        assert_int_equal(busrt_client_new("polled", &c), 0);
        fd = busrt_client_get_fd(c);
        assert_int_equal(busrt_client_set_state_handler(c, note_state, seen), 0);
        assert_int_equal(busrt_client_set_frame_handler(c, note_frame, &n_frames), 0);
        assert_int_equal(busrt_client_connect_start(c, real_broker_path(broker)), 0);
        while (!seen[0])
                assert_true(poll_once(c) >= 0);
        for (int i = 0; i < 100; i++)
                assert_int_equal(busrt_client_send(c, "polled", IOV("x"), BUSRT_QOS_NO, NULL), 0);
        while (n_frames < 100)
                assert_true(poll_once(c) >= 0);
        assert_int_equal(busrt_client_get_fd(c), fd);
        assert_int_equal(busrt_client_disconnect(c), 0);
        while (!seen[1])
                (void)poll_once(c);
        assert_int_equal(seen[1], -ESHUTDOWN);
        assert_int_equal(seen[0], 1);
        assert_int_equal(busrt_client_get_fd(c), fd);
}

/* --- The broker's own words --- */

static void the_last_words_of_a_broker(void **state)
{
        struct real_broker *other = real_broker_start();
        _cleanup_client_ busrt_client *c = NULL;
        _cleanup_frame_ busrt_frame *f = NULL;
        busrt_frame *none = NULL;

        assert_int_equal(busrt_client_new("listener", &c), 0);
        assert_int_equal(busrt_client_connect(c, real_broker_tcp(other)), 0);
        real_broker_tell_to_stop(other);
        assert_int_equal(busrt_client_read(c, DEADLINE, &f), 0);
        assert_string_equal(busrt_frame_get_topic(f), ".broker/warn");
        assert_string_equal(busrt_frame_get_sender(f), ".broker");
        assert_int_equal(busrt_client_read(c, DEADLINE, &none), -ECONNRESET);
        assert_int_equal(busrt_client_error(c), -ECONNRESET);
        real_broker_stop(other);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(payloads_in_every_qos),
                cmocka_unit_test(lists_in_every_qos),
                cmocka_unit_test(publish_for_reaches_one),
                cmocka_unit_test(refusals_have_their_errno),
                cmocka_unit_test(bad_text_costs_the_connection),
                cmocka_unit_test(operations_may_wait),
                cmocka_unit_test(reading_has_deadlines),
                cmocka_unit_test(a_flood_arrives_in_order),
                cmocka_unit_test(busy_polling_finds_the_same),
                cmocka_unit_test(secondaries),
                cmocka_unit_test(unix_and_tcp),
                cmocka_unit_test(the_users_broker),
                cmocka_unit_test(tcp6),
                cmocka_unit_test(nobody_listens),
                cmocka_unit_test(a_loop_of_poll),
                cmocka_unit_test(the_last_words_of_a_broker),
        };

        return cmocka_run_group_tests(tests, start, stop);
}
