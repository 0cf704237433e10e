/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promise: a table of methods answers each request once, with what its handler says; it may change
 * at any time; test and info answer as services do.
 */
#include "methods-bed.h"

static void assert_answers(busrt_client *c, const char *method, const char *want, size_t want_len)
{
        _cleanup_frame_ busrt_frame *reply = NULL;
        const void *result;
        size_t len;

        assert_int_equal(busrt_client_call(c, "server", method, NULL, 0, 0, DEADLINE, NULL, &reply),
                         0);
        result = busrt_frame_get_payload(reply, &len);
        assert_int_equal(len, want_len);
        assert_memory_equal(result, want, len);
}

/* --- What handlers return --- */

static int return_number(busrt_client *c, busrt_request *request, void *userdata)
{
        return *(const int *)userdata;
}

static int reply_and_fail(busrt_client *c, busrt_request *request, void *userdata)
{
        (void)busrt_request_reply(request, NULL, 0);
        return -EBUSY;
}

static void what_a_handler_returns_is_the_answer(void **state)
{
        static const struct {
                int returned, code;
        } rows[] = {
                {0, BUSRT_RPC_INTERNAL}, /* no reply, and no reference kept */
                {7, BUSRT_RPC_INTERNAL},
                {-EINVAL, BUSRT_RPC_INVALID_PARAMS},
                {-ERANGE, BUSRT_RPC_INVALID_PARAMS},
                {-EBADMSG, BUSRT_RPC_PARSE},
                {-ENOSYS, BUSRT_RPC_METHOD_NOT_FOUND},
                {-ENOENT, BUSRT_RPC_NOT_FOUND},
                {-EHOSTUNREACH, BUSRT_RPC_NOT_REGISTERED},
                {-EIO, BUSRT_RPC_IO},
                {-EREMOTE, BUSRT_RPC_OTHER},
                {-EOPNOTSUPP, BUSRT_RPC_NOT_SUPPORTED},
                {-EBUSY, BUSRT_RPC_BUSY},
                {-ENOBUFS, BUSRT_RPC_NOT_DELIVERED},
                {-ETIME, BUSRT_RPC_TIMEOUT},
                {-ETIMEDOUT, BUSRT_RPC_TIMEOUT},
                {-EACCES, BUSRT_RPC_ACCESS},
                {-ENOMEM, BUSRT_RPC_INTERNAL},
                {-4095, BUSRT_RPC_INTERNAL},
                {-4096, -4096},
                {BUSRT_RPC_INVALID_REQUEST, BUSRT_RPC_INVALID_REQUEST},
                {BUSRT_RPC_DATA, -32114},
                {INT16_MIN, INT16_MIN},
                {INT16_MIN - 1, BUSRT_RPC_INTERNAL},
                {INT32_MIN, BUSRT_RPC_INTERNAL},
        };
        int number = 0;
        const busrt_method methods[] = {{"number", return_number, &number, 0},
                                        {"both", reply_and_fail, NULL, 0},
                                        {"echo", echo, NULL, 0}};
        struct bed b;
        char text[64];

        bed_start(&b, methods, ARRAY_SIZE(methods));
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                number = rows[i].returned;
                assert_int_equal(call_code(b.caller, "number", text), rows[i].code);
                if (number < 0 && number > -4096) {
                        assert_string_equal(text, busrt_strerror(number));
                        assert_int_equal(busrt_rpc_code(number), rows[i].code);
                } else
                        assert_string_equal(text, "");
        }
        assert_int_equal(call_code(b.caller, "both", NULL), 0);
        assert_int_equal(call_code(b.caller, "echo", NULL), 0);
        assert_int_equal(busrt_client_count_requests(b.server), 0);
        bed_stop(&b);
}

/* --- The table --- */

static void on_request(busrt_client *c, busrt_request *request, void *userdata)
{
        busrt_request_reply(request, IOV("the other"));
}

static void what_is_no_method_goes_to_the_request_handler_or_is_not_found(void **state)
{
        const busrt_method methods[] = {{"a", return_number, &(int){-EIO}, 0}};
        struct bed b;

        bed_start(&b, methods, 1);
        assert_int_equal(call_code(b.caller, "b", NULL), BUSRT_RPC_METHOD_NOT_FOUND);
        assert_int_equal(call_code(b.caller, "\xff", NULL), BUSRT_RPC_DATA);
        assert_int_equal(busrt_client_set_request_handler(b.server, on_request, NULL), 0);
        assert_int_equal(call_code(b.caller, "a", NULL), BUSRT_RPC_IO);
        assert_answers(b.caller, "b", "the other", 9);
        assert_int_equal(busrt_client_set_request_handler(b.server, NULL, NULL), 0);
        assert_int_equal(call_code(b.caller, "b", NULL), BUSRT_RPC_METHOD_NOT_FOUND);
        assert_int_equal(busrt_client_remove_method(b.server, "a"), 0);
        assert_int_equal(busrt_client_set_request_handler(b.server, on_request, NULL), 0);
        assert_answers(b.caller, "a", "the other", 9);
        bed_stop(&b);
}

static void a_name_is_added_once_and_a_list_as_a_whole(void **state)
{
        _cleanup_client_ busrt_client *c = quiet_client("me");
        const busrt_method one[] = {{"a", echo, NULL, 0}};
        const busrt_method two[] = {
                {"b", echo, NULL, 0}, {"c", echo, NULL, 0}, {"a", echo, NULL, 0}};
        const busrt_method twice[] = {{"d", echo, NULL, 0}, {"d", echo, NULL, 0}};

        assert_int_equal(busrt_client_remove_method(c, "a"), -ENOENT);
        assert_int_equal(busrt_client_add_methods(c, one, 1), 0);
        assert_int_equal(busrt_client_add_methods(c, one, 1), -EEXIST);
        assert_int_equal(busrt_client_add_methods(c, two, 3), -EEXIST);
        assert_int_equal(busrt_client_add_methods(c, twice, 2), -EEXIST);
        for (const char *const *name = (const char *const[]){"b", "c", "d", NULL}; *name; name++)
                assert_int_equal(busrt_client_remove_method(c, *name), -ENOENT);
        assert_int_equal(busrt_client_remove_method(c, "a"), 0);
        assert_int_equal(busrt_client_add_methods(c, two, 3), 0);
        assert_int_equal(busrt_client_add_info(c, NULL, NULL, NULL), 0);
        assert_int_equal(busrt_client_add_info(c, NULL, NULL, NULL), -EEXIST);
        assert_int_equal(busrt_client_remove_method(c, "test"), 0);
        assert_int_equal(busrt_client_add_info(c, NULL, NULL, NULL), -EEXIST);
        assert_int_equal(busrt_client_remove_method(c, "test"), -ENOENT);
        assert_int_equal(busrt_client_remove_method(c, "info"), 0);
}

static void many_methods_are_all_found(void **state)
{
        enum { N = 1000 };
        static char names[N][8];
        static int numbers[N];
        static busrt_method methods[N];
        struct bed b;

        for (int i = 0; i < N; i++) {
                snprintf(names[i], sizeof(names[i]), "m%d", i);
                numbers[i] = -5000 - i;
                methods[i] = (busrt_method){names[i], return_number, &numbers[i], 0};
        }
        bed_start(&b, methods, N);
        memset(names, 0, sizeof(names)); /* they were copied */
        memset(methods, 0, sizeof(methods));
        for (int i = 0; i < N; i++) {
                char name[8];

                snprintf(name, sizeof(name), "m%d", i);
                assert_int_equal(call_code(b.caller, name, NULL), -5000 - i);
        }
        bed_stop(&b);
}

static void requests_that_came_as_messages_are_for_methods_added_later(void **state)
{
        const busrt_method methods[] = {{"echo", echo, NULL, 0}};
        _cleanup_client_ busrt_client *server = joined("server"), *caller = joined("caller");
        _cleanup_frame_ busrt_frame *frame = NULL, *reply = NULL;
        uint64_t until = now_usec() + DEADLINE;
        int r;

        assert_int_equal(busrt_client_send(caller, "server", IOV("\1\1\0\0\0echo\0one"), 1, NULL),
                         0);
        assert_int_equal(busrt_client_send(caller, "server", IOV("plain"), 1, NULL), 0);
        assert_int_equal(busrt_client_send(caller, "server", IOV("\1\2\0\0\0echo\0two"), 1, NULL),
                         0);
        assert_int_equal(busrt_client_read(server, DEADLINE, &frame), 0); /* the first, as it is */
        frame = busrt_frame_unref(frame);
        assert_int_equal(busrt_client_add_methods(server, methods, 1), 0);
        assert_int_equal(busrt_client_read(server, DEADLINE, &frame), 0);
        assert_memory_equal(busrt_frame_get_payload(frame, NULL), "plain", 5);
        while ((r = busrt_client_read(caller, 0, &reply)) == -EAGAIN) {
                assert_true(now_usec() < until);
                (void)busrt_client_process(server);
        }
        assert_int_equal(r, 0);
        assert_memory_equal(busrt_frame_get_payload(reply, NULL), "\x11\2\0\0\0two", 8);
}

/* --- test and info --- */

static void test_and_info_answer_as_services_do(void **state)
{
        static const char info[] = "\x83\xa6"
                                   "author\xa2me\xab"
                                   "description\xdb\0\0\0\x28"
                                   "0123456789012345678901234567890123456789\xa7version\xa3"
                                   "1.0";
        struct bed b;

        bed_start(&b, NULL, 0);
        assert_int_equal(busrt_client_add_info(b.server, "me",
                                               "0123456789012345678901234567890123456789", "1.0"),
                         0);
        assert_answers(b.caller, "test", "\x81\xa2ok\xc3", 5);
        assert_answers(b.caller, "info", info, sizeof(info) - 1);
        assert_int_equal(call_code(b.caller, "test", NULL), BUSRT_RPC_INVALID_PARAMS);
        assert_int_equal(call_code(b.caller, "info", NULL), BUSRT_RPC_INVALID_PARAMS);
        assert_int_equal(busrt_client_remove_method(b.server, "test"), 0);
        assert_int_equal(busrt_client_remove_method(b.server, "info"), 0);
        assert_int_equal(busrt_client_add_info(b.server, NULL, NULL, NULL), 0);
        assert_answers(b.caller, "info", "\x80", 1);
        bed_stop(&b);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_a_handler_returns_is_the_answer),
                cmocka_unit_test(what_is_no_method_goes_to_the_request_handler_or_is_not_found),
                cmocka_unit_test(a_name_is_added_once_and_a_list_as_a_whole),
                cmocka_unit_test(many_methods_are_all_found),
                cmocka_unit_test(requests_that_came_as_messages_are_for_methods_added_later),
                cmocka_unit_test(test_and_info_answer_as_services_do),
        };

        return cmocka_run_group_tests(tests, start, stop);
}
