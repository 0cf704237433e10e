/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Remote calls through a real broker: the broker's own methods, a server that answers at once,
 * later, with errors or never, notifications, calls without reply, deadlines and cancelling.
 */
#include <pthread.h>

#include "client-bed.h"
#include "real-broker.h"

#define ACKED BUSRT_QOS_PROCESSED
#define N_LATER 3

static struct real_broker *broker;

/* A server with a loop of its own. Its handlers run in that thread alone. */
static struct {
        busrt_client *client;
        pthread_t thread;
        int result;
        busrt_request *later[N_LATER]; /* answered all at once, the last first */
        unsigned n_later, n_wrong;
        char notes[64], no_reply[64];
} server;

static busrt_client *joined(const char *name)
{
        busrt_client *c;

        assert_int_equal(busrt_client_new(name, &c), 0);
        assert_int_equal(busrt_client_connect(c, real_broker_path(broker)), 0);
        return c;
}

/* --- The server --- */

static void echo(busrt_request *request)
{
        size_t len;
        const void *params = busrt_request_get_params(request, &len);
        struct iovec iov = {(void *)params, len};

        server.n_wrong += busrt_request_reply(request, &iov, 1) != 0;
        server.n_wrong += busrt_request_reply(request, NULL, 0) != -EALREADY;
        busrt_request_unref(request);
}

static void answer_later(busrt_request *request)
{
        server.later[server.n_later++] = busrt_request_ref(request);
        if (server.n_later == N_LATER)
                while (server.n_later > 0)
                        echo(server.later[--server.n_later]);
}

static void answer(busrt_client *c, busrt_request *request, void *userdata)
{
        const char *method = busrt_request_get_method(request);
        size_t len;
        const void *params = busrt_request_get_params(request, &len);
        struct iovec iov[2] = {{(void *)params, len}, {(void *)params, len}};

        server.n_wrong += strcmp(busrt_request_get_sender(request), "caller") != 0;
        if (strcmp(method, "twice") == 0)
                server.n_wrong += busrt_request_reply(request, iov, 2) != 0;
        else if (strcmp(method, "nothing") == 0)
                server.n_wrong += busrt_request_reply(request, NULL, 0) != 0;
        else if (strcmp(method, "fail") == 0)
                server.n_wrong += busrt_request_reply_error(request, -7, params, len) != 0;
        else if (strcmp(method, "later") == 0)
                answer_later(request);
        else if (strcmp(method, "note") == 0) {
                server.n_wrong += busrt_request_wants_reply(request) != 0;
                memcpy(server.no_reply, params, MIN(len, sizeof(server.no_reply) - 1));
                server.n_wrong += busrt_request_reply(request, NULL, 0) != 0; /* and none is sent */
        } else if (strcmp(method, "notes") == 0) {
                iov[0] = (struct iovec){server.no_reply, strlen(server.no_reply)};
                iov[1] = (struct iovec){server.notes, strlen(server.notes)};
                server.n_wrong += busrt_request_reply(request, iov, 2) != 0;
        } else if (strcmp(method, "drop") != 0)
                server.n_wrong += busrt_request_reply_error(request, BUSRT_RPC_METHOD_NOT_FOUND,
                                                            NULL, 0) != 0;
}

static void take_note(busrt_client *c, const char *sender, const void *payload, size_t len,
                      void *userdata)
{
        memcpy(server.notes, payload, MIN(len, sizeof(server.notes) - 1));
}

static void *serve(void *userdata)
{
        server.result = busrt_client_run(server.client);
        return NULL;
}

static int start(void **state)
{
        broker = real_broker_start();
        assert_int_equal(busrt_client_new("server", &server.client), 0);
        assert_int_equal(busrt_client_set_request_handler(server.client, answer, NULL), 0);
        assert_int_equal(busrt_client_set_notification_handler(server.client, take_note, NULL), 0);
        assert_int_equal(busrt_client_connect(server.client, real_broker_path(broker)), 0);
        assert_int_equal(pthread_create(&server.thread, NULL, serve, NULL), 0);
        return 0;
}

static int stop(void **state)
{
        assert_int_equal(busrt_client_disconnect(server.client), 0);
        assert_int_equal(pthread_join(server.thread, NULL), 0);
        assert_int_equal(server.result, -ESHUTDOWN);
        assert_int_equal(server.n_wrong, 0);
        busrt_client_free(server.client);
        broker = real_broker_stop(broker);
        return 0;
}

/* --- The broker's own methods --- */

static void the_broker_answers(void **state)
{
        _cleanup_client_ busrt_client *c = joined("caller");
        _cleanup_frame_ busrt_frame *reply = NULL;
        busrt_rpc_error error = BUSRT_RPC_ERROR_INIT;
        size_t len;

        assert_int_equal(
                busrt_client_call(c, ".broker", "test", NULL, 0, 0, DEADLINE, &error, &reply), 0);
        assert_int_equal(busrt_frame_get_kind(reply), BUSRT_KIND_REPLY);
        assert_string_equal(busrt_frame_get_sender(reply), ".broker");
        assert_memory_equal(busrt_frame_get_payload(reply, &len), "\x81\xa2ok\xc3", 5);
        assert_int_equal(len, 5);
        assert_int_equal(
                busrt_client_call(c, ".broker", "none", NULL, 0, 0, DEADLINE, &error, NULL),
                -EREMOTEIO);
        assert_int_equal(error.code, BUSRT_RPC_METHOD_NOT_FOUND);
        busrt_rpc_error_done(&error);
}

/* --- Calls --- */

static void expect_result(busrt_client *c, const char *method, unsigned qos, const char *want)
{
        _cleanup_frame_ busrt_frame *reply = NULL;
        const void *result;
        size_t len;

        assert_int_equal(
                busrt_client_call(c, "server", method, IOV("ab"), qos, DEADLINE, NULL, &reply), 0);
        result = busrt_frame_get_payload(reply, &len);
        assert_int_equal(len, strlen(want));
        assert_memory_equal(result, want, len);
        assert_int_equal(busrt_frame_is_realtime(reply), qos == BUSRT_QOS_REALTIME);
        assert_null(busrt_frame_get_topic(reply));
}

static void results(void **state)
{
        _cleanup_client_ busrt_client *c = joined("caller");

        for (unsigned i = 0; i < 100; i++) {
                expect_result(c, "twice", 0, "abab");
                expect_result(c, "twice", BUSRT_QOS_REALTIME, "abab");
                expect_result(c, "nothing", 0, "");
        }
}

static void error_replies(void **state)
{
        _cleanup_client_ busrt_client *c = joined("caller");
        busrt_rpc_error error = BUSRT_RPC_ERROR_INIT;
        busrt_frame *none = NULL;

        assert_int_equal(
                busrt_client_call(c, "server", "fail", IOV("why"), 0, DEADLINE, &error, &none),
                -EREMOTEIO);
        assert_int_equal(error.code, -7);
        assert_string_equal(error.data, "why");
        assert_int_equal(error.len, 3);
        busrt_rpc_error_done(&error);
        assert_int_equal(
                busrt_client_call(c, "server", "what", NULL, 0, 0, DEADLINE, &error, &none),
                -EREMOTEIO);
        assert_int_equal(error.code, BUSRT_RPC_METHOD_NOT_FOUND);
        busrt_rpc_error_done(&error);
        /* let go without a reply */
        assert_int_equal(
                busrt_client_call(c, "server", "drop", NULL, 0, 0, DEADLINE, &error, &none),
                -EREMOTEIO);
        assert_int_equal(error.code, BUSRT_RPC_INTERNAL);
        busrt_rpc_error_done(&error);
        assert_null(none);
}

static void nobody_is_there(void **state)
{
        _cleanup_client_ busrt_client *c = joined("caller");
        busrt_frame *none = NULL;

        assert_int_equal(busrt_client_call(c, "nobody", "m", NULL, 0, 0, DEADLINE, NULL, &none),
                         -EHOSTUNREACH);
        assert_null(none);
}

/* A client that does not look. */
static void a_call_has_a_deadline(void **state)
{
        _cleanup_client_ busrt_client *c = joined("caller");
        _cleanup_client_ __attribute__((unused)) busrt_client *deaf = joined("deaf");
        uint64_t before = now_usec();

        assert_int_equal(busrt_client_call(c, "deaf", "m", NULL, 0, 0, 20 * MSEC, NULL, NULL),
                         -ETIMEDOUT);
        assert_true(now_usec() - before >= 20 * MSEC);
        assert_int_equal(busrt_client_call(c, "deaf", "m", NULL, 0, 0, 0, NULL, NULL), -ETIMEDOUT);
        expect_result(c, "twice", 0, "abab");
}

/* --- Calls that are not waited for --- */

struct ended {
        int done;
        unsigned n;
        int result[N_LATER], code[N_LATER];
        char text[N_LATER][16];
};

static void note_reply(busrt_client *c, int result, const busrt_rpc_error *error,
                       busrt_frame *reply, void *userdata)
{
        struct ended *e = userdata;
        size_t len;
        const void *payload = busrt_frame_get_payload(reply, &len);

        assert_true(e->n < N_LATER);
        assert_int_equal(result == 0, reply != NULL);
        assert_int_equal(result == -EREMOTEIO, error != NULL);
        e->result[e->n] = result;
        e->code[e->n] = error ? error->code : 0;
        if (payload)
                memcpy(e->text[e->n], payload, MIN(len, (size_t)15));
        e->done = ++e->n == N_LATER;
}

static int call_async(busrt_client *c, const char *target, const char *method, const char *params,
                      uint64_t timeout, struct ended *e, busrt_call **ret)
{
        struct iovec iov = {(void *)params, strlen(params)};

        return busrt_client_call_async(c, target, method, &iov, 1, 0, timeout, note_reply, e, ret);
}

static void replies_come_in_any_order(void **state)
{
        _cleanup_client_ busrt_client *c = joined("caller");
        struct ended e = {0};

        assert_int_equal(call_async(c, "server", "later", "1", DEADLINE, &e, NULL), 0);
        assert_int_equal(call_async(c, "server", "later", "2", DEADLINE, &e, NULL), 0);
        assert_int_equal(call_async(c, "server", "later", "3", DEADLINE, &e, NULL), 0);
        process_until(c, is_set, &e.done);
        assert_string_equal(e.text[0], "3");
        assert_string_equal(e.text[1], "2");
        assert_string_equal(e.text[2], "1");
}

static void each_call_ends_in_its_way(void **state)
{
        _cleanup_client_ busrt_client *c = joined("caller");
        _cleanup_client_ __attribute__((unused)) busrt_client *deaf = joined("deaf");
        struct ended e = {0};

        assert_int_equal(call_async(c, "nobody", "m", "", DEADLINE, &e, NULL), 0);
        assert_int_equal(call_async(c, "server", "fail", "", DEADLINE, &e, NULL), 0);
        while (e.n < 2)
                if (busrt_client_process(c) == 0)
                        (void)busrt_client_wait(c, SECOND);
        assert_int_equal(call_async(c, "deaf", "m", "", 20 * MSEC, &e, NULL), 0);
        process_until(c, is_set, &e.done);
        assert_int_equal(e.result[0], -EHOSTUNREACH);
        assert_int_equal(e.result[1], -EREMOTEIO);
        assert_int_equal(e.code[1], -7);
        assert_int_equal(e.result[2], -ETIMEDOUT);
}

static void a_cancelled_call_is_silent(void **state)
{
        _cleanup_client_ busrt_client *c = joined("caller");
        struct ended e = {.n = N_LATER - 1};
        busrt_call *call = NULL, *done = NULL, *ref;

        assert_int_equal(call_async(c, "server", "twice", "a", DEADLINE, &e, &call), 0);
        ref = busrt_call_ref(call);
        assert_int_equal(busrt_call_cancel(ref), 0);
        busrt_call_unref(ref);
        assert_int_equal(call_async(c, "server", "twice", "b", DEADLINE, &e, &done), 0);
        process_until(c, is_set, &e.done);
        assert_string_equal(e.text[N_LATER - 1], "bb");
        assert_int_equal(busrt_call_cancel(done), -EALREADY);
        busrt_call_unref(call);
        busrt_call_unref(done);
}

/* From one handler to the next call: a chain of three. */
static void chain(busrt_client *c, int result, const busrt_rpc_error *error, busrt_frame *reply,
                  void *userdata)
{
        struct ended *e = userdata;

        assert_int_equal(result, 0);
        assert_int_equal(busrt_client_call(c, "server", "m", NULL, 0, 0, SECOND, NULL, NULL),
                         -EDEADLK);
        e->done = ++e->n == N_LATER;
        if (!e->done)
                assert_int_equal(busrt_client_call_async(c, "server", "nothing", NULL, 0, 0,
                                                         DEADLINE, chain, e, NULL),
                                 0);
}

static void handlers_may_call(void **state)
{
        _cleanup_client_ busrt_client *c = joined("caller");
        struct ended e = {0};

        assert_int_equal(busrt_client_call_async(c, "server", "nothing", NULL, 0, 0, DEADLINE,
                                                 chain, &e, NULL),
                         0);
        process_until(c, is_set, &e.done);
}

/* --- Notifications, and calls without reply --- */

static void notifications_and_call0(void **state)
{
        _cleanup_client_ busrt_client *c = joined("caller");

        for (unsigned qos = 0; qos < 4; qos++) {
                const char text[2] = {(char)('a' + qos), 0};
                struct iovec iov = {(void *)text, 1};
                char want[3] = {text[0], text[0], 0};

                assert_int_equal(busrt_client_notify(c, "server", &iov, 1, qos, NULL), 0);
                assert_int_equal(busrt_client_call0(c, "server", "note", &iov, 1, qos, NULL), 0);
                expect_result(c, "notes", 0, want);
        }
        assert_int_equal(busrt_client_notify(c, "nobody", NULL, 0, ACKED, NULL), -EHOSTUNREACH);
        assert_int_equal(busrt_client_call0(c, "nobody", "m", NULL, 0, ACKED, NULL), -EHOSTUNREACH);
}

/* Without handlers all of it arrives as messages. */
static void without_handlers_they_are_messages(void **state)
{
        static const char *const want[] = {"\0note", "\1\0\0\0\0m\0x"};
        static const size_t lens[] = {5, 8};
        _cleanup_client_ busrt_client *c = joined("caller"), *plain = joined("plain");

        assert_int_equal(busrt_client_notify(c, "plain", IOV("note"), ACKED, NULL), 0);
        assert_int_equal(busrt_client_call0(c, "plain", "m", IOV("x"), ACKED, NULL), 0);
        for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
                _cleanup_frame_ busrt_frame *f = NULL;
                size_t len;

                assert_int_equal(busrt_client_read(plain, DEADLINE, &f), 0);
                assert_int_equal(busrt_frame_get_kind(f), BUSRT_KIND_MESSAGE);
                assert_memory_equal(busrt_frame_get_payload(f, &len), want[i], lens[i]);
                assert_int_equal(len, lens[i]);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_broker_answers),
                cmocka_unit_test(results),
                cmocka_unit_test(error_replies),
                cmocka_unit_test(nobody_is_there),
                cmocka_unit_test(a_call_has_a_deadline),
                cmocka_unit_test(replies_come_in_any_order),
                cmocka_unit_test(each_call_ends_in_its_way),
                cmocka_unit_test(a_cancelled_call_is_silent),
                cmocka_unit_test(handlers_may_call),
                cmocka_unit_test(notifications_and_call0),
                cmocka_unit_test(without_handlers_they_are_messages),
        };

        return cmocka_run_group_tests(tests, start, stop);
}
