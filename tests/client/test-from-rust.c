/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promise: what docs/from-rust.md shows in C does what it says there. The page's code is included
 * as it stands, all of it: a function that no test calls does not compile.
 */
#include <arpa/inet.h>
#include <sys/socket.h>

#include "from-rust-bed.h"

/* --- Connecting, sending, receiving --- */

static void connecting(void **state)
{
        _cleanup_client_ busrt_client *c = NULL, *second = NULL, *third = NULL, *none = NULL;
        const char *path = real_broker_path(broker);

        assert_int_equal(connect_as("me", path, &c), 0);
        assert_int_equal(connect_as("me", path, &none), -EBUSY);
        assert_int_equal(connect_as("", path, &none), -EINVAL);
        assert_int_equal(connect_as("you", "ws://127.0.0.1:1", &none), -EPROTONOSUPPORT);
        assert_null(none);
        assert_int_equal(connect_second(c, path, &second), 0);
        assert_int_equal(strncmp(busrt_client_get_name(second), "me%%", 4), 0);
        assert_int_equal(connect_second(second, path, &third), 0);
        assert_int_equal(connect_second(NULL, path, &none), -EINVAL);
        assert_null(none);
}

static void sending(void **state)
{
        _cleanup_client_ busrt_client *c = peer("me"), *plc1 = NULL, *plc2 = NULL;

        assert_int_equal(start(c), -EHOSTUNREACH);
        plc1 = peer("plc.1");
        assert_int_equal(start(c), 0);
        assert_int_equal(stop_both(c), -EHOSTUNREACH);
        plc2 = peer("plc.2");
        assert_int_equal(stop_both(c), 0);
        assert_int_equal(send_parts(c, "head", 4, "body", 4), 0);
        assert_next(plc1, "prepare");
        assert_next(plc1, "start");
        assert_next(plc1, "stop");
        assert_next(plc1, "stop");
        assert_next(plc1, "headbody");
        assert_next(plc2, "stop");
}

static void prints_frames(int (*function)(busrt_client *, FILE *), int result)
{
        _cleanup_client_ busrt_client *c = peer("listener"), *me = peer("me"), *second = NULL;
        struct printer p;

        assert_int_equal(connect_second(me, real_broker_path(broker), &second), 0);
        assert_int_equal(
                busrt_client_subscribe(c, &(const char *){"news"}, 1, BUSRT_QOS_PROCESSED, NULL),
                0);
        printer_start(&p, c, function);
        assert_int_equal(busrt_client_send(me, "listener", IOV("hello"), BUSRT_QOS_PROCESSED, NULL),
                         0);
        publish(second, "news", "new");
        assert_printed(&p, "me -: hello\nme news: new\n");
        assert_int_equal(printer_stop(&p), result);
}

static void receiving(void **state)
{
        prints_frames(print_frames, -ECONNRESET);
        prints_frames(print_frames_as_they_come, -ESHUTDOWN);
}

static void topics(void **state)
{
        _cleanup_client_ busrt_client *c = peer("listener"), *me = peer("me");

        assert_int_equal(choose_topics(c), 0);
        publish(me, "sensors/roof/raw", "not this");
        publish(me, "sensors/roof/wind", "one");
        publish(me, "other", "not this");
        publish(me, "alarms/fire", "two");
        assert_next(c, "one");
        assert_next(c, "two");
}

static void topics_by_handlers(void **state)
{
        _cleanup_client_ busrt_client *c = peer("listener"), *me = peer("me");
        struct printer p;

        printer_start(&p, c, print_sensors);
        /* subscribed when it answers, since the frame handler is set before */
        assert_int_equal(busrt_client_send(me, "listener", IOV("x"), BUSRT_QOS_PROCESSED, NULL), 0);
        assert_printed(&p, "something else from me\n");
        publish(me, "sensors/roof/wind", "5");
        assert_printed(&p, "roof/wind: 5\n");
        assert_int_equal(printer_stop(&p), -ESHUTDOWN);
}

/* --- Calls --- */

static int method_sum(busrt_client *client, busrt_request *request, void *userdata)
{
        busrt_params result = BUSRT_PARAMS_INIT;
        const struct iovec *iov;
        msgpack_unpacked params;
        int64_t a, b;
        size_t len;
        const void *data = busrt_request_get_params(request, &len);
        int r = busrt_unpack(data, len, &params);

        if (r < 0)
                return r;
        r = busrt_map_get_int(&params.data, "a", &a);
        if (r >= 0)
                r = busrt_map_get_int(&params.data, "b", &b);
        msgpack_unpacked_destroy(&params);
        if (r < 0 || a > 1000)
                return BUSRT_RPC_INVALID_PARAMS;
        busrt_params_add_int(&result, "sum", a + b);
        r = busrt_params_get(&result, &iov);
        if (r >= 0)
                r = busrt_request_reply(request, iov, (size_t)r);
        busrt_params_done(&result);
        return r;
}

static void calling(void **state)
{
        _cleanup_client_ busrt_client *c = peer("me"), *server = NULL;
        const busrt_method method = {"add", method_sum, NULL, 0};
        pthread_t thread;
        int64_t sum = 7;

        assert_int_equal(add(c, 1, 2, &sum), -EHOSTUNREACH);
        assert_int_equal(sum, 7);
        server = peer("calculator");
        assert_int_equal(busrt_client_add_methods(server, &method, 1), 0);
        assert_int_equal(run_in_a_thread(server, &thread), 0);
        assert_int_equal(add(c, 40, 2, &sum), 0);
        assert_int_equal(sum, 42);
        assert_int_equal(add(c, 2000, 2, &sum), -EREMOTEIO);
        assert_int_equal(busrt_client_disconnect(server), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
}

static void calling_two(void **state)
{
        _cleanup_client_ busrt_client *c = peer("me"), *plc1 = peer("plc.1"), *plc2 = NULL;
        struct answers answers = {0};
        pthread_t thread1, thread2;

        assert_int_equal(busrt_client_add_info(plc1, NULL, NULL, NULL), 0);
        assert_int_equal(run_in_a_thread(plc1, &thread1), 0);
        assert_int_equal(ask_both(c, &answers), 0);
        assert_int_equal(answers.failed, 1); /* plc.2 is not there */
        plc2 = peer("plc.2");
        assert_int_equal(busrt_client_add_info(plc2, NULL, NULL, NULL), 0);
        assert_int_equal(run_in_a_thread(plc2, &thread2), 0);
        assert_int_equal(ask_both(c, &answers), 0);
        assert_int_equal(answers.failed, 1);
        assert_int_equal(answers.expected, 0);
        assert_int_equal(busrt_client_disconnect(c), 0);
        assert_int_equal(ask_both(c, &answers), -ENOTCONN);
        assert_int_equal(busrt_client_disconnect(plc1), 0);
        assert_int_equal(busrt_client_disconnect(plc2), 0);
        assert_int_equal(pthread_join(thread1, NULL), 0);
        assert_int_equal(pthread_join(thread2, NULL), 0);
}

#define FIVE "\x81\xa5value\x05" /* params: {value: 5} */

static struct counter counter;

static int serve_counter(busrt_client *client, FILE *out)
{
        counter = (struct counter){.out = out};
        return serve(client, &counter);
}

/* What a call of the server gave: 0, or the code of an error. */
static int call_code(busrt_client *c, const char *target, const char *method, const void *params,
                     size_t len, const char *result)
{
        busrt_rpc_error error = BUSRT_RPC_ERROR_INIT;
        _cleanup_frame_ busrt_frame *reply = NULL;
        struct iovec iov = {(void *)params, len};
        int r = busrt_client_call(c, target, method, &iov, 1, 0, DEADLINE, &error, &reply);
        int code = error.code;
        const void *payload = busrt_frame_get_payload(reply, &len);

        busrt_rpc_error_done(&error);
        if (r < 0) {
                assert_int_equal(r, -EREMOTEIO);
                return code;
        }
        assert_int_equal(len, strlen(result));
        assert_memory_equal(payload, result, len);
        return 0;
}

static uint64_t total_of(busrt_client *c, const char *target)
{
        _cleanup_frame_ busrt_frame *reply = NULL;
        msgpack_unpacked result;
        uint64_t total = 0;

        assert_int_equal(busrt_client_call(c, target, "get", NULL, 0, 0, DEADLINE, NULL, &reply),
                         0);
        assert_int_equal(busrt_frame_unpack(reply, &result), 0);
        assert_int_equal(busrt_map_get_uint(&result.data, "value", &total), 0);
        msgpack_unpacked_destroy(&result);
        return total;
}

static void serving(void **state)
{
        _cleanup_client_ busrt_client *server = NULL, *c = peer("me");
        const busrt_method slow = {"slow", method_slow, NULL, 0};
        struct printer p;

        assert_int_equal(busrt_client_new("server", &server), 0);
        assert_int_equal(busrt_client_add_methods(server, &slow, 1), 0);
        assert_int_equal(busrt_client_connect(server, real_broker_path(broker)), 0);
        printer_start(&p, server, serve_counter);
        assert_int_equal(call_code(c, "server", "slow", "", 0, "done"), 0);
        assert_int_equal(call_code(c, "server", "add", FIVE, sizeof(FIVE) - 1, ""), 0);
        assert_int_equal(call_code(c, "server", "add", FIVE, sizeof(FIVE) - 1, ""), 0);
        assert_int_equal(call_code(c, "server", "add", "\xc1", 1, ""), BUSRT_RPC_PARSE);
        assert_int_equal(call_code(c, "server", "add", "\x80", 1, ""), BUSRT_RPC_INVALID_PARAMS);
        assert_int_equal(call_code(c, "server", "none", "", 0, ""), BUSRT_RPC_METHOD_NOT_FOUND);
        assert_int_equal(total_of(c, "server"), 10);
        assert_int_equal(busrt_client_notify(c, "server", IOV("news"), BUSRT_QOS_PROCESSED, NULL),
                         0);
        assert_printed(&p, "me says 4 bytes\n");
        assert_int_equal(printer_stop(&p), -ESHUTDOWN);
}

static void cursors(void **state)
{
        _cleanup_client_ busrt_client *server = peer("numbers"), *c = peer("me");
        pthread_t thread;
        uint64_t sum = 0;

        assert_int_equal(serve_numbers(server), 0);
        assert_int_equal(run_in_a_thread(server, &thread), 0);
        for (int i = 0; i < 2; i++) {
                assert_int_equal(total(c, "numbers", &sum), 0);
                assert_int_equal(sum, 999 * 1000 / 2);
        }
        assert_int_equal(total(c, "nobody", &sum), -EHOSTUNREACH);
        assert_int_equal(busrt_client_count_cursors(server), 0);
        assert_int_equal(busrt_client_disconnect(server), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
}

/* --- A broker in the program --- */

/* Of a port that nobody has, as long as the socket is there. */
static int tcp_socket(char address[32])
{
        struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t len = sizeof(sa);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
        assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
        snprintf(address, 32, "127.0.0.1:%u", ntohs(sa.sin_port));
        return fd;
}

static void of_the_program(char path[64])
{
        strcpy(path, "/tmp/busrt-from-rust-XXXXXX");
        assert_non_null(mkdtemp(path));
        strcat(path, "/bus.sock");
}

/* The broker took its socket with it. */
static void remove_folder(char path[64])
{
        *strrchr(path, '/') = '\0';
        assert_int_equal(rmdir(path), 0);
}

static void assert_counts(const char *address, uint64_t total)
{
        _cleanup_client_ busrt_client *c = NULL;

        assert_int_equal(connect_as("panel", address, &c), 0);
        assert_int_equal(call_code(c, ".counter", "add", FIVE, sizeof(FIVE) - 1, ""), 0);
        assert_int_equal(total_of(c, ".counter"), total);
        assert_int_equal(call_code(c, ".broker", "test", "", 0, "\x81\xa2ok\xc3"), 0);
}

static void a_broker_with_threads(void **state)
{
        struct counter mine = {.total = 0};
        busrt_broker *b = NULL, *none = NULL;
        busrt_client *c = NULL;
        char path[64], tcp[32];
        pthread_t thread;
        int fd = tcp_socket(tcp);

        of_the_program(path);
        close(fd);
        assert_int_equal(start_broker(path, tcp, &b), 0);
        assert_int_equal(start_broker(path, tcp, &none), -EADDRINUSE);
        assert_null(none);
        assert_int_equal(add_counter(b, &mine, &c), 0);
        assert_int_equal(add_counter(b, &mine, &c), -EBUSY);
        assert_int_equal(run_in_a_thread(c, &thread), 0);
        assert_counts(path, 5);
        assert_counts(tcp, 10);
        busrt_broker_free(b);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(busrt_client_error(c), -ECONNRESET);
        busrt_client_free(c);
        remove_folder(path);
}

struct both {
        busrt_broker *broker;
        busrt_client *client;
        int result;
};

static void *serve_both(void *userdata)
{
        struct both *both = userdata;

        both->result = poll_with_broker(both->broker, both->client);
        return NULL;
}

static void assert_guarded(const char *path)
{
        _cleanup_client_ busrt_client *panel = NULL, *second = NULL, *none = NULL;

        assert_int_equal(connect_as("other", path, &none), -EACCES);
        assert_int_equal(connect_as("panels", path, &none), -EACCES);
        assert_int_equal(connect_as("panel", path, &panel), 0);
        assert_int_equal(connect_second(panel, path, &second), 0);
        publish(panel, "panel/light", "on");
        publish(second, "panel/light", "on");
        assert_int_equal(
                busrt_client_publish(panel, "panels", IOV("no"), BUSRT_QOS_PROCESSED, NULL),
                -EACCES);
        assert_int_equal(busrt_client_broadcast(panel, "*", IOV("no"), BUSRT_QOS_PROCESSED, NULL),
                         -EACCES);
}

static void a_broker_in_a_loop(void **state)
{
        struct counter mine = {.total = 0};
        struct both both = {.result = 0};
        char path[64];
        pthread_t thread;

        of_the_program(path);
        assert_int_equal(busrt_broker_new(&both.broker), 0);
        assert_int_equal(listen_guarded(both.broker, path), 0);
        assert_int_equal(add_counter(both.broker, &mine, &both.client), 0);
        assert_int_equal(listen_guarded(both.broker, path), -EBUSY);
        /* let in */
        assert_int_equal(
                busrt_client_broadcast(both.client, "*", IOV("yes"), BUSRT_QOS_PROCESSED, NULL), 0);
        assert_int_equal(pthread_create(&thread, NULL, serve_both, &both), 0);
        assert_guarded(path);
        assert_counts(path, 5);
        assert_int_equal(busrt_client_disconnect(both.client), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(both.result, -ESHUTDOWN);
        busrt_broker_free(both.broker);
        busrt_client_free(both.client);
        remove_folder(path);
}

/* --- Loops, coming back --- */

static void disconnect_by_message(busrt_client *client, busrt_frame *frame, void *userdata)
{
        assert_int_equal(busrt_client_disconnect(client), 0);
}

static void a_loop_by_poll(void **state)
{
        _cleanup_client_ busrt_client *c = peer("looping"), *me = peer("me");

        assert_int_equal(busrt_client_set_frame_handler(c, disconnect_by_message, NULL), 0);
        assert_int_equal(busrt_client_send(me, "looping", IOV("x"), BUSRT_QOS_PROCESSED, NULL), 0);
        assert_int_equal(poll_until_closed(c), -ESHUTDOWN);
}

static void a_loop_of_sd_event(void **state)
{
        _cleanup_client_ busrt_client *c = peer("looping"), *me = peer("me");
        sd_event_source *source = NULL;
        sd_event *event;

        assert_true(sd_event_new(&event) >= 0);
        assert_int_equal(attach(c, event, &source), 0);
        assert_int_equal(busrt_client_set_frame_handler(c, disconnect_by_message, NULL), 0);
        assert_int_equal(busrt_client_send(me, "looping", IOV("x"), BUSRT_QOS_PROCESSED, NULL), 0);
        while (busrt_client_get_state(c) == BUSRT_STATE_CONNECTED)
                assert_true(sd_event_run(event, DEADLINE) > 0);
        assert_null(busrt_client_detach_event(source));
        sd_event_unref(event);
}

static void coming_back(void **state)
{
        _cleanup_client_ busrt_client *c = NULL;
        _cleanup_op_ busrt_op *op = NULL;

        real_broker_kill(broker);
        assert_int_equal(busrt_client_new("me", &c), 0);
        assert_int_equal(busrt_client_set_reconnect_pause(c, MSEC, 10 * MSEC), 0);
        assert_int_equal(stay(c, real_broker_path(broker)), 0);
        assert_int_equal(busrt_client_send(c, "me", IOV("kept"), BUSRT_QOS_PROCESSED, &op), 0);
        for (int i = 0; i < 2; i++) {
                real_broker_start_again(broker);
                assert_int_equal(busrt_client_wait_connected(c, DEADLINE), 0);
                if (i == 0) {
                        assert_int_equal(busrt_op_wait(op, DEADLINE), 0);
                        assert_next(c, "kept");
                        assert_int_equal(choose_topics(c), 0);
                        real_broker_kill(broker);
                        while (busrt_client_get_state(c) == BUSRT_STATE_CONNECTED)
                                assert_true(busrt_client_process(c) >= 0);
                }
        }
        publish(c, "alarms/fire", "heard again");
        assert_next(c, "heard again");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(connecting),
                cmocka_unit_test(sending),
                cmocka_unit_test(receiving),
                cmocka_unit_test(topics),
                cmocka_unit_test(topics_by_handlers),
                cmocka_unit_test(calling),
                cmocka_unit_test(calling_two),
                cmocka_unit_test(serving),
                cmocka_unit_test(cursors),
                cmocka_unit_test(a_broker_with_threads),
                cmocka_unit_test(a_broker_in_a_loop),
                cmocka_unit_test(a_loop_by_poll),
                cmocka_unit_test(a_loop_of_sd_event),
                cmocka_unit_test(coming_back),
        };

        return cmocka_run_group_tests(tests, real_broker_begin, real_broker_end);
}
