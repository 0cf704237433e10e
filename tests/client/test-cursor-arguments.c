/* SPDX-License-Identifier: Apache-2.0 */
/* Promise: no argument of a function of cursors does worse than its -errno. */
#include "cursor-bed.h"

static void ignore_more(busrt_fetch *fetch, int result, const busrt_rpc_error *error,
                        void *userdata)
{
}

#define EINVALS(call) assert_int_equal(call, -EINVAL)

static void no_argument_does_worse_than_its_errno(void **state)
{
        static const busrt_cursor_methods none = {NULL, NULL, "NC"}, empty = {"N", "", NULL};
        static const busrt_cursor_methods bad = {"\xff", NULL, NULL};
        _cleanup_client_ busrt_client *c = quiet_client("me");
        _cleanup_fetch_ busrt_fetch *f = NULL;
        busrt_fetch *g = NULL;
        busrt_frame *frame = NULL;
        const void *data;
        size_t len = sizeof(OPENED) - 1;

        EINVALS(busrt_fetch_new(NULL, "you", OPENED, len, &cursor_methods, &g));
        EINVALS(busrt_fetch_new(c, NULL, OPENED, len, &cursor_methods, &g));
        EINVALS(busrt_fetch_new(c, "", OPENED, len, &cursor_methods, &g));
        EINVALS(busrt_fetch_new(c, "you", OPENED, len, NULL, &g));
        EINVALS(busrt_fetch_new(c, "you", OPENED, len, &none, &g));
        EINVALS(busrt_fetch_new(c, "you", OPENED, len, &empty, &g));
        EINVALS(busrt_fetch_new(c, "you", OPENED, len, &cursor_methods, NULL));
        assert_int_equal(busrt_fetch_new(c, "you", NULL, 0, &cursor_methods, &g), -EBADMSG);
        EINVALS(busrt_fetch_open(NULL, "you", "m", NULL, 0, &cursor_methods, 1, NULL, &g));
        EINVALS(busrt_fetch_open(c, "you", NULL, NULL, 0, &cursor_methods, 1, NULL, &g));
        EINVALS(busrt_fetch_open(c, "you", "m", NULL, 1, &cursor_methods, 1, NULL, &g));
        EINVALS(busrt_fetch_open(c, "you", "m", NULL, 0, NULL, 1, NULL, &g));
        EINVALS(busrt_fetch_open(c, "you", "m", NULL, 0, &cursor_methods, 1, NULL, NULL));
        assert_int_equal(busrt_fetch_open(c, "you", "m", NULL, 0, &cursor_methods, 1, NULL, &g),
                         -ENOTCONN);
        assert_null(g);
        fetch_opened(c, &f);
        EINVALS(busrt_fetch_next(NULL, 1, NULL, &frame));
        EINVALS(busrt_fetch_next(f, 1, NULL, NULL));
        EINVALS(busrt_fetch_next_bulk(NULL, 1, 1, NULL, &frame));
        EINVALS(busrt_fetch_next_bulk(f, 0, 1, NULL, &frame));
        EINVALS(busrt_fetch_next_bulk(f, (size_t)INT32_MAX + 1, 1, NULL, &frame));
        EINVALS(busrt_fetch_next_bulk(f, 1, 1, NULL, NULL));
        EINVALS(busrt_fetch_set_bulk(NULL, 1));
        EINVALS(busrt_fetch_set_bulk(f, 0));
        EINVALS(busrt_fetch_set_bulk(f, (size_t)INT32_MAX + 1));
        EINVALS(busrt_fetch_item(NULL, 1, NULL, &data, &len));
        EINVALS(busrt_fetch_item(f, 1, NULL, NULL, &len));
        EINVALS(busrt_fetch_item(f, 1, NULL, &data, NULL));
        EINVALS(busrt_fetch_more(NULL, 1, ignore_more, NULL));
        EINVALS(busrt_fetch_more(f, 1, NULL, NULL));
        EINVALS(busrt_fetch_cancel(NULL));
        assert_null(busrt_fetch_free(NULL));
        EINVALS(busrt_client_add_cursor_methods(NULL, &cursor_methods));
        EINVALS(busrt_client_add_cursor_methods(c, NULL));
        EINVALS(busrt_client_add_cursor_methods(c, &empty));
        EINVALS(busrt_client_add_cursor_methods(c, &bad));
        EINVALS(busrt_client_add_cursor_methods(c, &(busrt_cursor_methods){NULL, NULL, NULL}));
        EINVALS(busrt_client_set_max_cursors(c, 0, 1));
        EINVALS(busrt_client_set_max_cursors(c, 1, 0));
        EINVALS(busrt_client_set_max_bulk(c, 0));
        EINVALS(busrt_client_set_max_bulk(c, (size_t)UINT32_MAX + 1));
        EINVALS(busrt_client_close_cursors(c, ""));
        EINVALS(busrt_request_reply_cursor(NULL, count_on, NULL, NULL, 1));
        EINVALS(busrt_cursor_put(NULL, NULL, 0));
        EINVALS(busrt_cursor_continue(NULL, 0));
        EINVALS(busrt_cursor_close(NULL));
        assert_null(busrt_cursor_get_id(NULL));
        assert_null(busrt_cursor_ref(NULL));
        assert_null(busrt_cursor_unref(NULL));
}

/* What a handler of requests finds wrong with what it says of a cursor. */
static void try_arguments(busrt_client *c, busrt_request *request, void *userdata)
{
        busrt_cursor *cursor = NULL;

        EINVALS(busrt_request_reply_cursor(request, NULL, NULL, NULL, 1));
        EINVALS(busrt_request_reply_cursor(request, count_on, NULL, NULL, 0));
        EINVALS(busrt_cursor_new(NULL, count_on, NULL, NULL, 1, &cursor));
        EINVALS(busrt_cursor_new(request, NULL, NULL, NULL, 1, &cursor));
        EINVALS(busrt_cursor_new(request, count_on, NULL, NULL, 0, &cursor));
        EINVALS(busrt_cursor_new(request, count_on, NULL, NULL, 1, NULL));
        assert_null(cursor);
        assert_int_equal(busrt_client_count_cursors(c), 0);
        assert_int_equal(busrt_cursor_new(request, count_on, counter_freed, userdata,
                                          BUSRT_TIMEOUT_INFINITE, &cursor),
                         0);
        EINVALS(busrt_cursor_continue(cursor, BUSRT_CURSOR_LATER));
        assert_int_equal(busrt_cursor_continue(cursor, BUSRT_CURSOR_END), -EALREADY);
        assert_int_equal(put_number(cursor, 1), -EALREADY);
        assert_int_equal(busrt_cursor_close(cursor), 0);
        assert_int_equal(busrt_cursor_close(cursor), 0);
        assert_int_equal(busrt_client_count_cursors(c), 0);
        busrt_cursor_unref(cursor);
        /* A request has one reply; then userdata are the program's still. */
        assert_int_equal(busrt_request_reply(request, NULL, 0), 0);
        assert_int_equal(busrt_request_reply_cursor(request, count_on, counter_freed, userdata, 1),
                         -EALREADY);
        assert_int_equal(busrt_client_count_cursors(c), 0);
}

static void ask_once(struct fake *f, void *userdata)
{
        fake_handshake(f);
        fake_request(f, "you", 7, "m");
        fake_pause(f);
}

static bool counter_is_freed(void *userdata)
{
        struct counter *counter = userdata;

        return counter->n_freed > 0;
}

static void nor_in_a_handler_of_requests(void **state)
{
        _cleanup_fake_ struct fake *fake = fake_start(FAKE_UNIX, ask_once, NULL);
        struct counter counter = {0};
        busrt_client *c = connected_client(fake);

        assert_int_equal(busrt_client_set_request_handler(c, try_arguments, &counter), 0);
        process_until(c, counter_is_freed, &counter);
        busrt_client_free(c);
        assert_int_equal(counter.n_freed, 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(no_argument_does_worse_than_its_errno),
                cmocka_unit_test(nor_in_a_handler_of_requests),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
