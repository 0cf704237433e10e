/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promise: no argument does worse than its -errno: NULL, empty, too long, out of range, and
 * addresses that are none. The client stays as it was.
 */
#include <fcntl.h>

#include <busrt/topics.h>

#include "client-bed.h"

#define NAME_MAX_BYTES 1024

static struct fake *fake;
static const char *const topics[] = {"a/#", "b/+"};

static void ignore_op(busrt_op *op, int result, void *userdata)
{
}

static void ignore_reply(busrt_client *c, int result, const busrt_rpc_error *error,
                         busrt_frame *reply, void *userdata)
{
}

static void acknowledge(struct fake *f, void *userdata)
{
        fake_handshake(f);
        fake_acknowledge_all(f);
}

static void null_objects(void **state)
{
        size_t len = 7;

        assert_int_equal(busrt_op_wait(NULL, 0), -EINVAL);
        assert_int_equal(busrt_op_result(NULL), -EINVAL);
        assert_int_equal(busrt_op_set_handler(NULL, ignore_op, NULL), -EINVAL);
        assert_null(busrt_op_ref(NULL));
        assert_null(busrt_op_unref(NULL));
        assert_int_equal(busrt_call_cancel(NULL), -EINVAL);
        assert_null(busrt_call_ref(NULL));
        assert_null(busrt_call_unref(NULL));
        assert_int_equal(busrt_frame_get_kind(NULL), 0);
        assert_null(busrt_frame_get_sender(NULL));
        assert_null(busrt_frame_get_topic(NULL));
        assert_null(busrt_frame_get_payload(NULL, &len));
        assert_int_equal(len, 0);
        assert_null(busrt_frame_get_payload(NULL, NULL));
        assert_int_equal(busrt_frame_is_realtime(NULL), 0);
        assert_null(busrt_frame_ref(NULL));
        assert_null(busrt_frame_unref(NULL));
}

static void ignore_end(busrt_client *c, busrt_request *request, int result, void *userdata)
{
}

static int ignore_request(busrt_client *c, busrt_request *request, void *userdata)
{
        return 0;
}

static void null_requests(void **state)
{
        size_t len = 7;

        assert_int_equal(busrt_request_cancel(NULL, 0), -EINVAL);
        assert_int_equal(busrt_request_set_timeout(NULL, 1), -EINVAL);
        assert_int_equal(busrt_request_set_end_handler(NULL, ignore_end, NULL), -EINVAL);

        assert_null(busrt_request_get_sender(NULL));
        assert_null(busrt_request_get_method(NULL));
        assert_null(busrt_request_get_params(NULL, &len));
        assert_int_equal(len, 0);
        assert_null(busrt_request_get_params(NULL, NULL));
        assert_int_equal(busrt_request_wants_reply(NULL), 0);
        assert_null(busrt_request_ref(NULL));
        assert_null(busrt_request_unref(NULL));
        assert_int_equal(busrt_request_reply(NULL, NULL, 0), -EINVAL);
        assert_int_equal(busrt_request_reply_error(NULL, -1, NULL, 0), -EINVAL);
        busrt_rpc_error_done(NULL);
}

#define EINVALS(call) assert_int_equal(call, -EINVAL)

static void bad_payload_arguments(busrt_client *c)
{
        busrt_op *op = NULL;

        EINVALS(busrt_client_send(c, NULL, NULL, 0, 0, NULL));
        EINVALS(busrt_client_send(c, "", NULL, 0, 0, NULL));
        EINVALS(busrt_client_send(c, "a", NULL, 1, 0, NULL));
        EINVALS(busrt_client_send(c, "a", NULL, 0, 4, NULL));
        EINVALS(busrt_client_send(c, "a", NULL, 0, 0x200, NULL));
        EINVALS(busrt_client_send(c, "a", NULL, 0, BUSRT_QOS_NO, &op));
        EINVALS(busrt_client_send(c, "a", NULL, 0, BUSRT_QOS_REALTIME, &op));
        EINVALS(busrt_client_broadcast(c, NULL, NULL, 0, 0, NULL));
        EINVALS(busrt_client_broadcast(c, "", NULL, 0, 0, NULL));
        EINVALS(busrt_client_broadcast(c, "*", NULL, 1, 0, NULL));
        EINVALS(busrt_client_publish(c, NULL, NULL, 0, 0, NULL));
        EINVALS(busrt_client_publish(c, "t", NULL, 1, 0, NULL));
        EINVALS(busrt_client_publish_for(c, NULL, "a", NULL, 0, 0, NULL));
        EINVALS(busrt_client_publish_for(c, "t", NULL, NULL, 0, 0, NULL));
        EINVALS(busrt_client_publish_for(c, "t", "", NULL, 0, 0, NULL));
        EINVALS(busrt_client_publish_for(c, "t", "a", NULL, 1, 0, NULL));
        EINVALS(busrt_client_notify(c, NULL, NULL, 0, 0, NULL));
        EINVALS(busrt_client_notify(c, "", NULL, 0, 0, NULL));
        EINVALS(busrt_client_notify(c, "a", NULL, 1, 0, NULL));
        assert_null(op);
}

static void bad_lists(busrt_client *c)
{
        static const char *const holed[] = {"a", NULL};
        int (*const lists[])(busrt_client *, const char *const *, size_t, unsigned,
                             busrt_op **) = {busrt_client_subscribe, busrt_client_unsubscribe,
                                             busrt_client_exclude, busrt_client_unexclude};

        for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
                EINVALS(lists[i](c, NULL, 1, 0, NULL));
                EINVALS(lists[i](c, topics, 0, 0, NULL));
                EINVALS(lists[i](c, NULL, 0, 0, NULL));
                EINVALS(lists[i](c, holed, 2, 0, NULL));
                EINVALS(lists[i](c, topics, 2, 4, NULL));
        }
}

static void bad_calls(busrt_client *c)
{
        busrt_frame *f = NULL;

        EINVALS(busrt_client_call(c, NULL, "m", NULL, 0, 0, SECOND, NULL, &f));
        EINVALS(busrt_client_call(c, "", "m", NULL, 0, 0, SECOND, NULL, &f));
        EINVALS(busrt_client_call(c, "a", NULL, NULL, 0, 0, SECOND, NULL, &f));
        EINVALS(busrt_client_call(c, "a", "m", NULL, 1, 0, SECOND, NULL, &f));
        EINVALS(busrt_client_call(c, "a", "m", NULL, 0, 1, SECOND, NULL, &f));
        EINVALS(busrt_client_call_async(c, NULL, "m", NULL, 0, 0, 0, ignore_reply, NULL, NULL));
        EINVALS(busrt_client_call_async(c, "a", NULL, NULL, 0, 0, 0, ignore_reply, NULL, NULL));
        EINVALS(busrt_client_call_async(c, "a", "m", NULL, 1, 0, 0, ignore_reply, NULL, NULL));
        EINVALS(busrt_client_call_async(c, "a", "m", NULL, 0, 0, 0, NULL, NULL, NULL));
        EINVALS(busrt_client_call0(c, NULL, "m", NULL, 0, 0, NULL));
        EINVALS(busrt_client_call0(c, "a", NULL, NULL, 0, 0, NULL));
        EINVALS(busrt_client_call0(c, "a", "m", NULL, 1, 0, NULL));
        EINVALS(busrt_client_read(c, 0, NULL));
        EINVALS(busrt_client_get_timeout(c, NULL));
        EINVALS(busrt_client_uncork(c));
        assert_null(f);
}

static void arguments_of_operations(void **state)
{
        _cleanup_client_ busrt_client *c = NULL;

        fake = fake_start(FAKE_UNIX, acknowledge, NULL);
        c = connected_client(fake);
        bad_payload_arguments(c);
        bad_lists(c);
        bad_calls(c);
        assert_int_equal(busrt_client_get_state(c), BUSRT_STATE_CONNECTED);
        fake_stop(fake);
}

static void arguments_of_settings(void **state)
{
        _cleanup_client_ busrt_client *c = quiet_client("me");

        EINVALS(busrt_client_set_timeout(c, 0));
        EINVALS(busrt_client_set_timeout(c, 999));
        assert_int_equal(busrt_client_set_timeout(c, 1000), 0);
        assert_int_equal(busrt_client_set_timeout(c, BUSRT_TIMEOUT_INFINITE), 0);
        EINVALS(busrt_client_set_ping_interval(c, 999));
        assert_int_equal(busrt_client_set_ping_interval(c, 1000), 0);
        EINVALS(busrt_client_set_busy_poll(c, SECOND + 1));
        assert_int_equal(busrt_client_set_busy_poll(c, SECOND), 0);
        EINVALS(busrt_client_set_send_buffer(c, 4095));
        EINVALS(busrt_client_set_receive_buffer(c, 4095));
        EINVALS(busrt_client_set_max_frame_size(c, 1023));
        EINVALS(busrt_client_set_max_frame_size(c, (size_t)UINT32_MAX + 1));
        assert_int_equal(busrt_client_set_max_frame_size(c, UINT32_MAX), 0);
        EINVALS(busrt_client_set_reconnect(c, 999));
        EINVALS(busrt_client_set_reconnect(c, BUSRT_TIMEOUT_DEFAULT));
        assert_int_equal(busrt_client_set_reconnect(c, BUSRT_TIMEOUT_INFINITE), 0);
        assert_int_equal(busrt_client_set_reconnect(c, 1000), 0);
        EINVALS(busrt_client_set_reconnect_pause(c, 999, SECOND));
        EINVALS(busrt_client_set_reconnect_pause(c, SECOND, SECOND - 1));
        EINVALS(busrt_client_set_reconnect_pause(c, SECOND, 3600 * SECOND + 1));
        assert_int_equal(busrt_client_set_reconnect_pause(c, 1000, 3600 * SECOND), 0);
        EINVALS(busrt_client_set_offline_buffer(c, 4095));
        assert_int_equal(busrt_client_set_offline_buffer(c, 4096), 0);
        assert_int_equal(busrt_client_set_log_handler(c, NULL, NULL), 0);
}

static void arguments_of_servers(void **state)
{
        _cleanup_client_ busrt_client *c = quiet_client("me");
        const busrt_method good = {"m", ignore_request, NULL, 0};
        const busrt_method bad[][2] = {{good, {NULL, ignore_request, NULL, 0}},
                                       {good, {"", ignore_request, NULL, 0}},
                                       {good, {"\xff", ignore_request, NULL, 0}},
                                       {good, {"n", NULL, NULL, 0}}};

        EINVALS(busrt_client_add_methods(NULL, &good, 1));
        EINVALS(busrt_client_add_methods(c, NULL, 1));
        EINVALS(busrt_client_add_methods(c, &good, 0));
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                EINVALS(busrt_client_add_methods(c, bad[i], 2));
        assert_int_equal(busrt_client_remove_method(c, "m"), -ENOENT);
        EINVALS(busrt_client_remove_method(NULL, "m"));
        EINVALS(busrt_client_remove_method(c, NULL));
        EINVALS(busrt_client_remove_method(c, ""));
        EINVALS(busrt_client_add_info(NULL, NULL, NULL, NULL));
        EINVALS(busrt_client_add_info(c, NULL, "\xff", NULL));
        assert_int_equal(busrt_client_remove_method(c, "test"), -ENOENT);
        EINVALS(busrt_client_set_request_timeout(c, 0));
        EINVALS(busrt_client_set_max_requests(c, 0));
        EINVALS(busrt_client_cancel_requests(c, "", 0));
        EINVALS(busrt_client_cancel_requests(c, NULL, INT16_MIN - 1));
        EINVALS(busrt_client_cancel_requests(c, NULL, INT16_MAX + 1));
        EINVALS(busrt_client_count_requests(NULL));
}

static void ignore_topic(busrt_client *c, busrt_frame *frame, const char *mask, void *userdata)
{
}

static void arguments_of_topics(void **state)
{
        _cleanup_client_ busrt_client *c = quiet_client("me");
        const char *text = NULL;
        size_t len = 7;

        EINVALS(busrt_client_add_topic_handler(NULL, "a", ignore_topic, NULL));
        EINVALS(busrt_client_add_topic_handler(c, NULL, ignore_topic, NULL));
        EINVALS(busrt_client_add_topic_handler(c, "\xff", ignore_topic, NULL));
        EINVALS(busrt_client_add_topic_handler(c, "a", NULL, NULL));
        EINVALS(busrt_client_remove_topic_handler(NULL, "a"));
        EINVALS(busrt_client_remove_topic_handler(c, NULL));
        EINVALS(busrt_client_subscribe_handler(NULL, "a", ignore_topic, NULL, 0, NULL));
        EINVALS(busrt_client_subscribe_handler(c, NULL, ignore_topic, NULL, 0, NULL));
        EINVALS(busrt_client_subscribe_handler(c, "a", NULL, NULL, 0, NULL));
        EINVALS(busrt_client_unsubscribe_handler(NULL, "a", 0, NULL));
        EINVALS(busrt_client_unsubscribe_handler(c, NULL, 0, NULL));
        EINVALS(busrt_topic_matches(NULL, "a"));
        EINVALS(busrt_topic_matches("a", NULL));
        EINVALS(busrt_topic_get_part(NULL, "a", 0, &text, &len));
        EINVALS(busrt_topic_get_part("+", NULL, 0, &text, &len));
        EINVALS(busrt_topic_get_part("+", "a", 0, NULL, &len));
        EINVALS(busrt_topic_get_part("+", "a", 0, &text, NULL));
        assert_int_equal(busrt_topic_get_part("+", "a", 1, &text, &len), -ENOENT);
        assert_null(text);
        assert_int_equal(len, 7);
}

/* --- Names and addresses --- */

static int try_name(const char *name)
{
        busrt_client *c = NULL;
        int r = busrt_client_new(name, &c);

        assert_true(r == 0 || !c);
        busrt_client_free(c);
        return r;
}

static void names(void **state)
{
        char name[NAME_MAX_BYTES + 2];

        memset(name, 'n', sizeof(name));
        name[NAME_MAX_BYTES + 1] = 0;
        assert_int_equal(try_name(name), -ENAMETOOLONG);
        name[NAME_MAX_BYTES] = 0;
        assert_int_equal(try_name(name), 0);
        EINVALS(try_name(NULL));
        EINVALS(try_name(""));
        EINVALS(try_name(".broker"));
        EINVALS(try_name("a\nb"));
        EINVALS(try_name("a\x7f"));
        EINVALS(try_name("\xc3"));
        EINVALS(busrt_client_new("me", NULL));
        assert_int_equal(try_name("\xc3\xa4"), 0);
}

/* Those that begin with a dot are no names for a socket. */
static void names_for_streams(void **state)
{
        static const char *const bad[] = {NULL, "", ".", "..", ".a\nb", "\xc3"};
        _cleanup_client_ busrt_client *dot = NULL;
        busrt_client *none = NULL;

        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                EINVALS(busrt_client_new_for_stream(bad[i], &none));
        EINVALS(busrt_client_new_for_stream(".me", NULL));
        assert_null(none);
        assert_int_equal(busrt_client_new_for_stream(".me", &dot), 0);
        EINVALS(busrt_client_connect(dot, "/nowhere.sock"));
        assert_int_equal(busrt_client_get_state(dot), BUSRT_STATE_NEW);
}

static void names_of_secondaries(void **state)
{
        _cleanup_client_ busrt_client *c = quiet_client("me");
        _cleanup_client_ busrt_client *a = NULL, *b = NULL, *named = NULL;
        char suffix[NAME_MAX_BYTES + 1];
        busrt_client *none = NULL;

        memset(suffix, 's', sizeof(suffix));
        suffix[NAME_MAX_BYTES] = 0;
        assert_int_equal(busrt_client_new_secondary(c, suffix, &none), -ENAMETOOLONG);
        EINVALS(busrt_client_new_secondary(c, "", &none));
        EINVALS(busrt_client_new_secondary(c, "\n", &none));
        EINVALS(busrt_client_new_secondary(c, "x", NULL));
        assert_null(none);
        assert_int_equal(busrt_client_new_secondary(c, "x", &named), 0);
        assert_string_equal(busrt_client_get_name(named), "me%%x");
        assert_int_equal(busrt_client_new_secondary(c, NULL, &a), 0);
        assert_int_equal(busrt_client_new_secondary(c, NULL, &b), 0);
        assert_string_not_equal(busrt_client_get_name(a), busrt_client_get_name(b));
        assert_int_equal(strncmp(busrt_client_get_name(a), "me%%", 4), 0);
}

static int try_address(const char *address)
{
        _cleanup_client_ busrt_client *c = quiet_client("me"), *d = quiet_client("me");
        int r = busrt_client_connect(c, address);

        assert_int_equal(busrt_client_connect_start(d, address), r);
        assert_true(r < 0);
        return r;
}

static void addresses(void **state)
{
        char path[300];

        memset(path, '/', sizeof(path));
        path[sizeof(path) - 1] = 0;
        assert_int_equal(try_address(path), -ENAMETOOLONG);
        assert_int_equal(try_address("/nonexistent/bus.sock"), -ENOENT);
        assert_int_equal(try_address("/dev/null"), -ECONNREFUSED);
        assert_int_equal(try_address("ws://127.0.0.1:1"), -EPROTONOSUPPORT);
        assert_int_equal(try_address("wss://127.0.0.1:1/x"), -EPROTONOSUPPORT);
        EINVALS(try_address(""));
        EINVALS(try_address("127.0.0.1"));
        EINVALS(try_address("127.0.0.1:"));
        EINVALS(try_address("127.0.0.1:65536"));
        EINVALS(try_address("127.0.0.1:x"));
        EINVALS(try_address("127.0.0.1:-1"));
        EINVALS(try_address(":1"));
}

static void sockets_that_are_none(void **state)
{
        _cleanup_client_ busrt_client *c = quiet_client("me");
        size_t n_fds = count_fds();
        int fds[2];

        assert_true(busrt_client_connect_fd(c, -1) < 0);
        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        assert_int_equal(busrt_client_connect_fd(c, fds[0]), -ENOTSOCK);
        close(fds[0]);
        close(fds[1]);
        assert_int_equal(count_fds(), n_fds);
        assert_int_equal(busrt_client_get_state(c), BUSRT_STATE_NEW);
}

static void a_failed_address_may_be_followed_by_a_socket(void **state)
{
        _cleanup_client_ busrt_client *c = quiet_client("me");
        int fd;

        EINVALS(busrt_client_connect(c, "nonsense"));
        EINVALS(busrt_client_connect_start(c, "127.0.0.1:x"));
        assert_int_equal(busrt_client_get_state(c), BUSRT_STATE_NEW);
        fake = fake_start(FAKE_PAIR, acknowledge, NULL);
        fd = fake_take_fd(fake);
        assert_int_equal(busrt_client_connect_fd(c, fd), 0);
        assert_int_equal(busrt_client_send(c, "a", NULL, 0, BUSRT_QOS_PROCESSED, NULL), 0);
        assert_int_equal(busrt_client_connect(c, "x.sock"), -EISCONN);
        fake_stop(fake);
}

/* A body that is longer than the client allows, because of its names alone. */
static void over_long_names_in_frames(void **state)
{
        _cleanup_client_ busrt_client *c = quiet_client("me");
        char name[4096];
        const char *list[] = {name};

        memset(name, 'n', sizeof(name));
        name[sizeof(name) - 1] = 0;
        fake = fake_start(FAKE_UNIX, acknowledge, NULL);
        assert_int_equal(busrt_client_set_max_frame_size(c, 1024), 0);
        assert_int_equal(busrt_client_connect(c, fake_address(fake)), 0);
        assert_int_equal(busrt_client_send(c, name, NULL, 0, 0, NULL), -EMSGSIZE);
        assert_int_equal(busrt_client_broadcast(c, name, NULL, 0, 0, NULL), -EMSGSIZE);
        assert_int_equal(busrt_client_publish(c, name, NULL, 0, 0, NULL), -EMSGSIZE);
        assert_int_equal(busrt_client_publish_for(c, "t", name, NULL, 0, 0, NULL), -EMSGSIZE);
        assert_int_equal(busrt_client_subscribe(c, list, 1, 1, NULL), -EMSGSIZE);
        assert_int_equal(busrt_client_exclude(c, list, 1, 1, NULL), -EMSGSIZE);
        assert_int_equal(busrt_client_notify(c, name, NULL, 0, 0, NULL), -EMSGSIZE);
        assert_int_equal(busrt_client_call0(c, "a", name, NULL, 0, 0, NULL), -EMSGSIZE);
        assert_int_equal(busrt_client_call(c, "a", name, NULL, 0, 0, SECOND, NULL, NULL),
                         -EMSGSIZE);
        assert_int_equal(busrt_client_send(c, "a", NULL, 0, BUSRT_QOS_PROCESSED, NULL), 0);
        fake_stop(fake);
}

static void lengths_that_overflow(void **state)
{
        _cleanup_client_ busrt_client *c = NULL;
        char bytes[2] = {0};
        struct iovec iov[2] = {{bytes, SIZE_MAX}, {bytes, sizeof(bytes)}};

        fake = fake_start(FAKE_UNIX, acknowledge, NULL);
        c = connected_client(fake);
        assert_int_equal(busrt_client_send(c, "a", iov, 2, 0, NULL), -EMSGSIZE);
        assert_int_equal(busrt_client_call(c, "a", "m", iov, 2, 0, SECOND, NULL, NULL), -EMSGSIZE);
        iov[0].iov_len = (size_t)UINT32_MAX - 1;
        assert_int_equal(busrt_client_publish(c, "a", iov, 2, 0, NULL), -EMSGSIZE);
        assert_int_equal(busrt_client_send(c, "a", NULL, 0, BUSRT_QOS_PROCESSED, NULL), 0);
        fake_stop(fake);
}

static void every_error_has_a_text(void **state)
{
        const char *none = busrt_strerror(1 << 20);

        assert_non_null(none);
        for (int e = 0; e < 200; e++) {
                assert_non_null(busrt_strerror(e));
                assert_ptr_equal(busrt_strerror(e), busrt_strerror(-e));
        }
        assert_string_not_equal(busrt_strerror(-EHOSTUNREACH), none);
        assert_non_null(busrt_strerror(INT32_MIN));
        assert_non_null(busrt_strerror(INT32_MAX));
}

static void every_number_has_a_code(void **state)
{
        for (int e = -200; e <= 200; e++) {
                assert_in_range(busrt_rpc_code(e) - INT16_MIN, 0, BUSRT_RPC_NOT_FOUND - INT16_MIN);
                if (e >= 0)
                        assert_int_equal(busrt_rpc_code(e), BUSRT_RPC_INTERNAL);
        }
        assert_int_equal(busrt_rpc_code(INT32_MIN), BUSRT_RPC_INTERNAL);
        assert_int_equal(busrt_rpc_code(INT32_MAX), BUSRT_RPC_INTERNAL);
}

static void the_library_is_of_the_version_of_its_headers(void **state)
{
        assert_string_equal(busrt_version(), BUSRT_VERSION_STRING);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(null_objects),
                cmocka_unit_test(null_requests),
                cmocka_unit_test(arguments_of_operations),
                cmocka_unit_test(arguments_of_settings),
                cmocka_unit_test(arguments_of_servers),
                cmocka_unit_test(arguments_of_topics),
                cmocka_unit_test(names),
                cmocka_unit_test(names_for_streams),
                cmocka_unit_test(names_of_secondaries),
                cmocka_unit_test(addresses),
                cmocka_unit_test(sockets_that_are_none),
                cmocka_unit_test(a_failed_address_may_be_followed_by_a_socket),
                cmocka_unit_test(over_long_names_in_frames),
                cmocka_unit_test(lengths_that_overflow),
                cmocka_unit_test(every_error_has_a_text),
                cmocka_unit_test(every_number_has_a_code),
                cmocka_unit_test(the_library_is_of_the_version_of_its_headers),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
