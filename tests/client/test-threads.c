/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promise: any function from any thread. Eight threads call at once, with and without a loop in a
 * ninth; connections are closed, calls cancelled and objects freed under each other's hands. Made
 * for ThreadSanitizer; without it, what each thread got is looked at all the same.
 */
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "client-bed.h"

#define N_THREADS 8
#define N_CALLS 150
#define ACKED BUSRT_QOS_PROCESSED

struct crew {
        busrt_client *client;
        pthread_t threads[N_THREADS], loop;
        atomic_uint next, wrong, done;
        int loop_result;
};

/* In a thread, cmocka's assertions have nowhere to jump to. */
#define EXPECT(crew, condition)                                                                    \
        do {                                                                                       \
                if (!(condition)) {                                                                \
                        fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);            \
                        atomic_fetch_add(&(crew)->wrong, 1);                                       \
                }                                                                                  \
        } while (0)

static void *run_loop(void *userdata)
{
        struct crew *crew = userdata;

        crew->loop_result = busrt_client_run(crew->client);
        return NULL;
}

static void crew_start(struct crew *crew, void *(*work)(void *))
{
        for (unsigned i = 0; i < N_THREADS; i++)
                assert_int_equal(pthread_create(&crew->threads[i], NULL, work, crew), 0);
}

static void crew_join(struct crew *crew)
{
        for (unsigned i = 0; i < N_THREADS; i++)
                assert_int_equal(pthread_join(crew->threads[i], NULL), 0);
        assert_int_equal(crew->wrong, 0);
}

static void loop_start(struct crew *crew)
{
        assert_int_equal(pthread_create(&crew->loop, NULL, run_loop, crew), 0);
}

static void loop_end(struct crew *crew)
{
        assert_int_equal(busrt_client_disconnect(crew->client), 0);
        assert_int_equal(pthread_join(crew->loop, NULL), 0);
        assert_int_equal(crew->loop_result, -ESHUTDOWN);
}

/* --- Blocking calls --- */

/* Each call gets its own params back. */
static void *call_many(void *userdata)
{
        struct crew *crew = userdata;

        for (unsigned i = 0; i < N_CALLS; i++) {
                uint32_t n = atomic_fetch_add(&crew->next, 1), got = 0;
                struct iovec iov = {&n, sizeof(n)};
                busrt_frame *reply = NULL;
                size_t len = 0;
                int r = busrt_client_call(crew->client, "you", "m", &iov, 1, 0, DEADLINE, NULL,
                                          &reply);

                EXPECT(crew, r == 0);
                if (r == 0)
                        memcpy(&got, busrt_frame_get_payload(reply, &len), sizeof(got));
                EXPECT(crew, len == sizeof(n) && got == n);
                busrt_frame_unref(reply);
                EXPECT(crew, busrt_client_publish(crew->client, "t", &iov, 1, ACKED, NULL) == 0);
        }
        return NULL;
}

static void echo(struct fake *f, void *userdata)
{
        fake_handshake(f);
        fake_echo_all(f);
}

static void eight_threads_call_at_once(void **state)
{
        struct fake *fake = fake_start(FAKE_UNIX, echo, NULL);
        struct crew crew = {.client = connected_client(fake)};

        crew_start(&crew, call_many);
        crew_join(&crew);
        busrt_client_free(crew.client);
        fake_stop(fake);
}

static void eight_threads_call_beside_a_loop(void **state)
{
        struct fake *fake = fake_start(FAKE_UNIX, echo, NULL);
        struct crew crew = {.client = connected_client(fake)};

        loop_start(&crew);
        crew_start(&crew, call_many);
        crew_join(&crew);
        loop_end(&crew);
        busrt_client_free(crew.client);
        fake_stop(fake);
}

/* The loop comes and goes while others wait. */
static void the_reader_may_change(void **state)
{
        struct fake *fake = fake_start(FAKE_UNIX, echo, NULL);
        struct crew crew = {.client = connected_client(fake)};

        crew_start(&crew, call_many);
        while (atomic_load(&crew.next) < N_THREADS * N_CALLS) {
                (void)busrt_client_wait(crew.client, MSEC);
                (void)busrt_client_process(crew.client);
        }
        crew_join(&crew);
        busrt_client_free(crew.client);
        fake_stop(fake);
}

/* --- Sending, and operations dropped --- */

static void *send_many(void *userdata)
{
        struct crew *crew = userdata;
        uint32_t what[2] = {atomic_fetch_add(&crew->next, 1), 0};
        struct iovec iov = {what, sizeof(what)};

        for (; what[1] < N_CALLS; what[1]++) {
                busrt_op *op = NULL;

                EXPECT(crew, busrt_client_send(crew->client, "you", &iov, 1, ACKED, &op) == 0);
                if (what[1] % 3 == 0)
                        EXPECT(crew, busrt_op_wait(op, DEADLINE) == 0);
                busrt_op_unref(op); /* its acknowledgement may just be coming */
        }
        return NULL;
}

/* Whole frames, and each thread's in its order. */
static void expect_in_order(struct fake *f, void *userdata)
{
        uint32_t next[N_THREADS] = {0}, what[2];

        fake_handshake(f);
        for (unsigned i = 0; i < N_THREADS * N_CALLS; i++) {
                struct fake_frame frame = fake_frame(f);

                if (frame.length != 4 + sizeof(what))
                        fake_wrong(f, "a torn frame");
                memcpy(what, frame.body + 4, sizeof(what));
                if (what[0] >= N_THREADS || what[1] != next[what[0]]++)
                        fake_wrong(f, "a thread's frames are out of order");
                fake_ack(f, frame.op, 1);
        }
        fake_signal(f);
        fake_acknowledge_all(f);
}

static void sends_do_not_mix(void **state)
{
        struct fake *fake = fake_start(FAKE_UNIX, expect_in_order, NULL);
        struct crew crew = {.client = connected_client(fake)};

        loop_start(&crew);
        crew_start(&crew, send_many);
        crew_join(&crew);
        fake_wait(fake);
        loop_end(&crew);
        busrt_client_free(crew.client);
        fake_stop(fake);
}

/* --- Reading --- */

#define N_FRAMES 2000

static void *read_until_closed(void *userdata)
{
        struct crew *crew = userdata;
        busrt_frame *frame;
        int r;

        while ((r = busrt_client_read(crew->client, DEADLINE, &frame)) == 0) {
                atomic_fetch_add(&crew->done, 1);
                busrt_frame_unref(frame);
        }
        EXPECT(crew, r == -ECONNRESET);
        return NULL;
}

static void deliver_and_leave(struct fake *f, void *userdata)
{
        fake_handshake(f);
        for (unsigned i = 0; i < N_FRAMES; i++)
                fake_deliver(f, 0x12, LITERAL("you\0hello"));
        fake_die(f, FAKE_CLOSE);
}

static void each_frame_has_one_reader(void **state)
{
        struct fake *fake = fake_start(FAKE_UNIX, deliver_and_leave, NULL);
        struct crew crew = {.client = connected_client(fake)};

        crew_start(&crew, read_until_closed);
        crew_join(&crew);
        assert_int_equal(crew.done, N_FRAMES);
        busrt_client_free(crew.client);
        fake_stop(fake);
}

/* --- The end, while others wait --- */

static void *wait_for_ever(void *userdata)
{
        struct crew *crew = userdata;
        unsigned which = atomic_fetch_add(&crew->next, 1);
        busrt_frame *frame = NULL;
        busrt_op *op = NULL;
        int r;

        switch (which % 4) {
        case 0:
                r = busrt_client_call(crew->client, "you", "m", NULL, 0, 0, BUSRT_TIMEOUT_INFINITE,
                                      NULL, &frame);
                break;
        case 1:
                r = busrt_client_read(crew->client, BUSRT_TIMEOUT_INFINITE, &frame);
                break;
        case 2:
                r = busrt_client_publish(crew->client, "t", NULL, 0, ACKED, NULL);
                break;
        default:
                r = busrt_client_send(crew->client, "you", NULL, 0, ACKED, &op);
                EXPECT(crew, r == 0);
                r = busrt_op_wait(op, BUSRT_TIMEOUT_INFINITE);
                busrt_op_unref(op);
        }
        EXPECT(crew, r == -ECONNRESET);
        EXPECT(crew, !frame);
        return NULL;
}

/* Six of the eight send something. */
static void swallow(struct fake *f, void *userdata)
{
        fake_handshake(f);
        for (unsigned i = 0; i < 6; i++)
                fake_frame(f);
        fake_signal(f);
        fake_pause(f);
        fake_die(f, FAKE_CLOSE);
}

static void end_while_all_wait(bool loop, bool by_broker)
{
        struct fake *fake = fake_start(FAKE_UNIX, swallow, NULL);
        struct crew crew = {.client = quiet_client("me")};

        assert_int_equal(busrt_client_set_timeout(crew.client, BUSRT_TIMEOUT_INFINITE), 0);
        assert_int_equal(busrt_client_connect(crew.client, fake_address(fake)), 0);
        if (loop)
                loop_start(&crew);
        crew_start(&crew, wait_for_ever);
        fake_wait(fake);
        if (by_broker)
                fake_go(fake);
        else
                assert_int_equal(busrt_client_disconnect(crew.client), 0);
        crew_join(&crew);
        if (loop)
                assert_int_equal(pthread_join(crew.loop, NULL), 0);
        assert_int_equal(busrt_client_error(crew.client), by_broker ? -ECONNRESET : -ESHUTDOWN);
        busrt_client_free(crew.client);
        fake_stop(fake);
}

static void disconnecting_wakes_all(void **state)
{
        end_while_all_wait(false, false);
        end_while_all_wait(true, false);
}

static void a_dying_broker_wakes_all(void **state)
{
        end_while_all_wait(false, true);
        end_while_all_wait(true, true);
}

/* --- Cancelling --- */

static void count_reply(busrt_client *c, int result, const busrt_rpc_error *error,
                        busrt_frame *reply, void *userdata)
{
        atomic_fetch_add((atomic_uint *)userdata, 1);
}

static void *cancel_many(void *userdata)
{
        struct crew *crew = userdata;

        for (unsigned i = 0; i < N_CALLS; i++) {
                busrt_call *call = NULL;
                int r = busrt_client_call_async(crew->client, "you", "m", NULL, 0, 0, DEADLINE,
                                                count_reply, &crew->done, &call);

                EXPECT(crew, r == 0);
                if (i % 2)
                        EXPECT(crew,
                               busrt_client_publish(crew->client, "t", NULL, 0, ACKED, NULL) == 0);
                r = busrt_call_cancel(call);
                EXPECT(crew, r == 0 || r == -EALREADY);
                if (r == 0)
                        atomic_fetch_add(&crew->done, 1);
                EXPECT(crew, busrt_call_cancel(call) == -EALREADY || r == 0);
                busrt_call_unref(call);
        }
        return NULL;
}

static void a_call_is_cancelled_or_handled(void **state)
{
        struct fake *fake = fake_start(FAKE_UNIX, echo, NULL);
        struct crew crew = {.client = connected_client(fake)};

        loop_start(&crew);
        crew_start(&crew, cancel_many);
        crew_join(&crew);
        loop_end(&crew);
        assert_int_equal(crew.done, N_THREADS * N_CALLS);
        busrt_client_free(crew.client);
        fake_stop(fake);
}

/* --- Handlers and blocking calls --- */

struct meeting {
        struct crew crew;
        sem_t in_handler, done;
        int result;
};

static void wait_in_handler(busrt_client *c, busrt_frame *frame, void *userdata)
{
        struct meeting *m = userdata;

        sem_post(&m->in_handler);
        sem_wait(&m->done);
}

static void deliver_and_echo(struct fake *f, void *userdata)
{
        fake_handshake(f);
        fake_deliver(f, 0x12, LITERAL("you\0hello"));
        fake_echo_all(f);
}

/* A handler may wait for another thread that is in a call: nobody needs the loop for that. */
static void calls_do_not_wait_for_handlers(void **state)
{
        struct fake *fake = fake_start(FAKE_UNIX, deliver_and_echo, NULL);
        struct meeting m = {.crew.client = connected_client(fake)};
        int r;

        sem_init(&m.in_handler, 0, 0);
        sem_init(&m.done, 0, 0);
        assert_int_equal(busrt_client_set_frame_handler(m.crew.client, wait_in_handler, &m), 0);
        loop_start(&m.crew);
        sem_wait(&m.in_handler);
        r = busrt_client_call(m.crew.client, "you", "m", NULL, 0, 0, DEADLINE, NULL, NULL);
        sem_post(&m.done);
        assert_int_equal(r, 0);
        loop_end(&m.crew);
        busrt_client_free(m.crew.client);
        sem_destroy(&m.in_handler);
        sem_destroy(&m.done);
        fake_stop(fake);
}

static void *change_handlers(void *userdata)
{
        static atomic_uint seen;
        struct crew *crew = userdata;

        for (unsigned i = 0; i < N_CALLS; i++) {
                EXPECT(crew, busrt_client_set_notification_handler(crew->client, NULL, NULL) == 0);
                EXPECT(crew, busrt_client_set_state_handler(crew->client, NULL, NULL) == 0);
                EXPECT(crew, busrt_client_set_timeout(crew->client, DEADLINE) == 0);
                EXPECT(crew, busrt_client_set_busy_poll(crew->client, i % 2 * 10) == 0);
                EXPECT(crew, busrt_client_get_state(crew->client) == BUSRT_STATE_CONNECTED);
                EXPECT(crew, busrt_client_error(crew->client) == 0);
                EXPECT(crew, busrt_client_get_unsent(crew->client) >= 0);
                EXPECT(crew, busrt_client_cork(crew->client) == 0);
                EXPECT(crew, busrt_client_call_async(crew->client, "you", "m", NULL, 0, 0, DEADLINE,
                                                     count_reply, &seen, NULL) == 0);
                EXPECT(crew, busrt_client_uncork(crew->client) == 0);
                EXPECT(crew, busrt_client_ping(crew->client) == 0);
                EXPECT(crew, busrt_client_flush(crew->client, DEADLINE) == 0);
        }
        return NULL;
}

static void settings_change_under_a_loop(void **state)
{
        struct fake *fake = fake_start(FAKE_UNIX, echo, NULL);
        struct crew crew = {.client = connected_client(fake)};

        loop_start(&crew);
        crew_start(&crew, change_handlers);
        crew_join(&crew);
        loop_end(&crew);
        busrt_client_free(crew.client);
        fake_stop(fake);
}

/* --- What outlives the client --- */

struct kept {
        int done;
        busrt_op *op;
        busrt_call *call;
        busrt_request *request;
        busrt_frame *frame;
        atomic_uint replies;
};

static void keep_request(busrt_client *c, busrt_request *request, void *userdata)
{
        struct kept *k = userdata;

        k->request = busrt_request_ref(request);
        k->done = k->frame != NULL;
}

static void keep_frame(busrt_client *c, busrt_frame *frame, void *userdata)
{
        struct kept *k = userdata;

        k->frame = busrt_frame_ref(frame);
        k->done = k->request != NULL;
}

static void deliver_both(struct fake *f, void *userdata)
{
        fake_handshake(f);
        fake_pause(f);
        fake_deliver(f, 0x12, LITERAL("you\0hello"));
        fake_request(f, "you", 3, "method");
        fake_pause(f);
}

/* In another thread than all that was before. */
static void *let_go(void *userdata)
{
        struct kept *k = userdata;

        busrt_op_unref(k->op);
        busrt_call_unref(k->call);
        busrt_request_unref(k->request);
        busrt_frame_unref(k->frame);
        return NULL;
}

static void objects_outlive_the_client(void **state)
{
        struct fake *fake = fake_start(FAKE_UNIX, deliver_both, NULL);
        busrt_client *c = connected_client(fake);
        struct kept k = {0};
        pthread_t thread;

        busrt_client_set_request_handler(c, keep_request, &k);
        busrt_client_set_frame_handler(c, keep_frame, &k);
        fake_go(fake);
        process_until(c, is_set, &k.done);
        assert_int_equal(busrt_client_send(c, "you", NULL, 0, ACKED, &k.op), 0);
        assert_int_equal(busrt_client_call_async(c, "you", "m", NULL, 0, 0, DEADLINE, count_reply,
                                                 &k.replies, &k.call),
                         0);
        assert_null(busrt_client_free(c));
        assert_int_equal(busrt_op_result(k.op), -ECONNRESET);
        assert_int_equal(busrt_op_wait(k.op, DEADLINE), -ECONNRESET);
        assert_string_equal(busrt_request_get_method(k.request), "method");
        assert_string_equal(busrt_request_get_sender(k.request), "you");
        assert_int_equal(busrt_request_wants_reply(k.request), 1);
        assert_true(busrt_request_reply(k.request, IOV("x")) < 0);
        assert_string_equal(busrt_frame_get_sender(k.frame), "you");
        (void)busrt_call_cancel(k.call);
        assert_int_equal(pthread_create(&thread, NULL, let_go, &k), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(k.replies, 0);
        fake_stop(fake);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(eight_threads_call_at_once),
                cmocka_unit_test(eight_threads_call_beside_a_loop),
                cmocka_unit_test(the_reader_may_change),
                cmocka_unit_test(sends_do_not_mix),
                cmocka_unit_test(each_frame_has_one_reader),
                cmocka_unit_test(disconnecting_wakes_all),
                cmocka_unit_test(a_dying_broker_wakes_all),
                cmocka_unit_test(a_call_is_cancelled_or_handled),
                cmocka_unit_test(calls_do_not_wait_for_handlers),
                cmocka_unit_test(settings_change_under_a_loop),
                cmocka_unit_test(objects_outlive_the_client),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
