/* SPDX-License-Identifier: Apache-2.0 */
/* Promise: calls work between clients in this process, from sockets to them and back, and to the
 * broker's own client, also for names that begin with a dot. */
#include "embed-bed.h"

#define SERVICE ".service"

/* --- A service with a loop of its own, in this process --- */

static int echo(busrt_client *c, busrt_request *request, void *userdata)
{
        size_t len;
        const void *params = busrt_request_get_params(request, &len);
        struct iovec iov = {(void *)params, len};

        return busrt_request_reply(request, &iov, 1);
}

struct service {
        busrt_client *client, *helper; /* a handler calls by another client than its own */
        pthread_t thread;
        int result;
};

/* Calls on. */
static int forward(busrt_client *c, busrt_request *request, void *userdata)
{
        struct service *s = userdata;
        _cleanup_frame_ busrt_frame *reply = NULL;
        struct iovec iov;
        int r = busrt_client_call(s->helper, ".other", "echo", IOV("forwarded"), 0, DEADLINE, NULL,
                                  &reply);

        if (r < 0)
                return busrt_request_reply_error(request, -32000, "no", 2);
        iov.iov_base = (void *)busrt_frame_get_payload(reply, &iov.iov_len);
        return busrt_request_reply(request, &iov, 1);
}

static void *run(void *userdata)
{
        struct service *s = userdata;

        s->result = busrt_client_run(s->client);
        return NULL;
}

static void service_start(struct service *s, busrt_broker *b, const char *name)
{
        const busrt_method methods[] = {{"echo", echo, NULL, 0}, {"forward", forward, s, 0}};

        s->client = new_named_client(name);
        s->helper = new_client(name[1] == 'o' ? "helper.other" : "helper.service");
        assert_int_equal(busrt_broker_connect(b, s->helper), 0);
        assert_int_equal(busrt_client_add_methods(s->client, methods, 2), 0);
        assert_int_equal(busrt_client_add_info(s->client, "us", "a service", "1"), 0);
        assert_int_equal(busrt_broker_connect(b, s->client), 0);
        assert_int_equal(pthread_create(&s->thread, NULL, run, s), 0);
}

static void service_stop(struct service *s)
{
        assert_int_equal(busrt_client_disconnect(s->client), 0);
        assert_int_equal(pthread_join(s->thread, NULL), 0);
        assert_int_equal(s->result, -ESHUTDOWN);
        busrt_client_free(s->client);
        busrt_client_free(s->helper);
}

static void expect_result(busrt_client *c, const char *target, const char *method,
                          const char *params, const void *want, size_t want_len)
{
        _cleanup_frame_ busrt_frame *reply = NULL;
        struct iovec iov = {(void *)params, strlen(params)};
        const void *got;
        size_t len;

        assert_int_equal(busrt_client_call(c, target, method, &iov, 1, 0, DEADLINE, NULL, &reply),
                         0);
        assert_string_equal(busrt_frame_get_sender(reply), target);
        got = busrt_frame_get_payload(reply, &len);
        assert_int_equal(len, want_len);
        assert_memory_equal(got, want, len);
}

static int error_code(busrt_client *c, const char *target, const char *method, const char *params)
{
        busrt_rpc_error error = BUSRT_RPC_ERROR_INIT;
        struct iovec iov = {(void *)params, strlen(params)};
        int code;

        assert_int_equal(busrt_client_call(c, target, method, &iov, 1, 0, DEADLINE, &error, NULL),
                         -EREMOTEIO);
        code = error.code;
        busrt_rpc_error_done(&error);
        return code;
}

static void a_service_is_called(busrt_client *c)
{
        for (unsigned i = 0; i < 50; i++)
                expect_result(c, SERVICE, "echo", "hello", "hello", 5);
        expect_result(c, SERVICE, "forward", "", "forwarded", 9);
        assert_int_equal(error_code(c, SERVICE, "nothing", ""), -32601);
        assert_int_equal(busrt_client_call(c, ".nobody", "m", NULL, 0, 0, DEADLINE, NULL, NULL),
                         -EHOSTUNREACH);
        assert_int_equal(busrt_client_call0(c, SERVICE, "echo", NULL, 0, ACKED, NULL), 0);
}

static void calls_from_everywhere(void **state)
{
        _cleanup_broker_ busrt_broker *b = started_broker();
        _cleanup_client_ busrt_client *here = joined(b, "here"), *dot = joined(b, ".dot"),
                                      *there = joined_by_socket("there");
        struct service service, other;

        service_start(&other, b, ".other");
        service_start(&service, b, SERVICE);
        a_service_is_called(here);
        a_service_is_called(dot);
        a_service_is_called(there);
        service_stop(&service);
        service_stop(&other);
}

struct ended {
        unsigned n, n_wrong;
        int result;
};

/* Replies come in the order of the calls, each longer than the last. */
static void on_reply(busrt_client *c, int result, const busrt_rpc_error *error, busrt_frame *reply,
                     void *userdata)
{
        struct ended *e = userdata;
        size_t len = 0;

        e->result = result;
        (void)busrt_frame_get_payload(reply, &len);
        e->n_wrong += result != 0 || len != 1000 * e->n;
        e->n++;
}

static void process_until(busrt_client *c, const unsigned *n, unsigned wanted)
{
        uint64_t until = now_usec() + DEADLINE;

        while (*n < wanted) {
                assert_true(now_usec() < until);
                if (busrt_client_process(c) == 0)
                        assert_true(busrt_client_wait(c, SECOND) >= 0);
        }
}

static void many_calls_at_once(void **state)
{
        enum { N = 100 };
        _cleanup_broker_ busrt_broker *b = started_broker();
        _cleanup_client_ busrt_client *here = joined(b, "here"), *there = joined_by_socket("there");
        static char large[N * 1000];
        struct ended ended[2] = {{0}, {0}};
        struct service other;

        service_start(&other, b, ".other");
        for (unsigned i = 0; i < 2 * N; i++) {
                struct iovec iov = {large, i / 2 * 1000};

                assert_int_equal(busrt_client_call_async(i % 2 ? here : there, ".other", "echo",
                                                         &iov, 1, 0, DEADLINE, on_reply,
                                                         &ended[i % 2], NULL),
                                 0);
        }
        process_until(here, &ended[1].n, N);
        process_until(there, &ended[0].n, N);
        assert_int_equal(ended[0].n_wrong + ended[1].n_wrong, 0);
        service_stop(&other);
}

/* A call that is under way when it does. */
static void the_broker_goes(void **state)
{
        busrt_broker *b = new_broker();
        busrt_client *c = joined(b, "c"), *silent = joined(b, ".silent");
        struct ended ended = {0};

        assert_int_equal(busrt_client_call_async(c, ".silent", "m", NULL, 0, 0, DEADLINE, on_reply,
                                                 &ended, NULL),
                         0);
        busrt_broker_free(b);
        process_until(c, &ended.n, 1);
        assert_int_equal(ended.result, -ECONNRESET);
        busrt_client_free(silent);
        busrt_client_free(c);
}

/* --- The broker's own client --- */

static bool contains(const void *bytes, size_t len, const char *what, size_t what_len)
{
        return memmem(bytes, len, what, what_len) != NULL;
}
#define CONTAINS(bytes, len, text) contains(bytes, len, text, sizeof(text) - 1)

static void the_list_of_clients(busrt_client *c)
{
        _cleanup_frame_ busrt_frame *reply = NULL;
        const uint8_t *list;
        size_t len, n_internal = 0;

        assert_int_equal(
                busrt_client_call(c, ".broker", "client.list", NULL, 0, 0, DEADLINE, NULL, &reply),
                0);
        list = busrt_frame_get_payload(reply, &len);
        assert_true(CONTAINS(list, len,
                             "\xa4name\xa5.here\xa4kind\xa8internal\xa6source\xc0\xa4"
                             "port\xc0"));
        assert_true(CONTAINS(list, len, "\xa4name\xa7.broker\xa4kind\xa8internal"));
        assert_true(CONTAINS(list, len, "\xa4name\xa5there\xa4kind\xa9local_ipc\xa6source\xc0"));
        assert_true(contains(list, len, place.path, strlen(place.path)));
        for (size_t i = 0; i + 9 < len; i++)
                n_internal += memcmp(list + i, "\xa8internal", 9) == 0;
        assert_int_equal(n_internal, 2);
}

static void the_broker_is_called(busrt_client *c)
{
        _cleanup_frame_ busrt_frame *info = NULL, *stats = NULL;
        const void *got;
        size_t len;

        expect_result(c, ".broker", "test", "", "\x81\xa2ok\xc3", 5);
        expect_result(c, ".broker", "benchmark.test", "any", "any", 3);
        assert_int_equal(busrt_client_call(c, ".broker", "info", NULL, 0, 0, DEADLINE, NULL, &info),
                         0);
        got = busrt_frame_get_payload(info, &len);
        assert_true(CONTAINS(got, len,
                             "\xa6"
                             "author") &&
                    CONTAINS(got, len, "\xa7version"));
        assert_int_equal(
                busrt_client_call(c, ".broker", "stats", NULL, 0, 0, DEADLINE, NULL, &stats), 0);
        got = busrt_frame_get_payload(stats, &len);
        assert_true(CONTAINS(got, len, "\xa6uptime") && CONTAINS(got, len, "\xa7w_bytes"));
        the_list_of_clients(c);
        assert_int_equal(error_code(c, ".broker", "nothing", ""), -32601);
        assert_int_equal(error_code(c, ".broker", "test", "\x80"), -32602);
        /* what only a daemon can do is not there */
        assert_int_equal(error_code(c, ".broker", "admin.reload", ""), -32601);
}

static void the_broker_answers(void **state)
{
        _cleanup_broker_ busrt_broker *b = started_broker();
        _cleanup_client_ busrt_client *here = joined(b, ".here"),
                                      *there = joined_by_socket("there");

        the_broker_is_called(here);
        the_broker_is_called(there);
}

/* Without a thread or a loop: the answer is there when the call has been sent. */
static void the_broker_answers_at_once(void **state)
{
        _cleanup_broker_ busrt_broker *b = new_broker();
        _cleanup_client_ busrt_client *c = joined(b, "c");

        expect_result(c, ".broker", "test", "", "\x81\xa2ok\xc3", 5);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(calls_from_everywhere),
                cmocka_unit_test(many_calls_at_once),
                cmocka_unit_test(the_broker_goes),
                cmocka_unit_test(the_broker_answers),
                cmocka_unit_test(the_broker_answers_at_once),
        };

        return cmocka_run_group_tests(tests, place_make, place_remove);
}
