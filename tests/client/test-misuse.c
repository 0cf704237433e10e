/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promise: every exported function has a defined result in every state: in a client that is new,
 * connecting, or closed, from a handler, in a forked child, and for NULL.
 */
#include <sys/socket.h>
#include <sys/wait.h>

#include <busrt/cursor.h>
#include <busrt/topics.h>

#include "client-bed.h"

/* --- Every function, by one good call --- */

static struct fake *fake; /* whom the calls connect to */
static busrt_op *pending; /* never acknowledged */
static const char *const topics[] = {"a/#", "b/+"};

static void ignore_frame(busrt_client *c, busrt_frame *frame, void *userdata)
{
}

static void ignore_reply(busrt_client *c, int result, const busrt_rpc_error *error,
                         busrt_frame *reply, void *userdata)
{
}

static void ignore_log(busrt_client *c, enum busrt_log_level level, const char *text,
                       void *userdata)
{
}

static int ignore_request(busrt_client *c, busrt_request *request, void *userdata)
{
        return 0;
}

static void ignore_topic(busrt_client *c, busrt_frame *frame, const char *mask, void *userdata)
{
}

static int add_and_remove_method(busrt_client *c)
{
        const busrt_method method = {"m", ignore_request, NULL, 0};
        int r = busrt_client_add_methods(c, &method, 1);

        return r < 0 ? r : busrt_client_remove_method(c, "m");
}

static int add_and_remove_info(busrt_client *c)
{
        int r = busrt_client_add_info(c, "a", "d", "v");

        if (r == 0)
                r = busrt_client_remove_method(c, "test");
        return r < 0 ? r : busrt_client_remove_method(c, "info");
}

static int add_and_remove_topic(busrt_client *c)
{
        int r = busrt_client_add_topic_handler(c, "a/+", ignore_topic, NULL);

        return r < 0 ? r : busrt_client_remove_topic_handler(c, "a/+");
}

/* Each in a client where the other does not matter. */
static int unsubscribe_with(busrt_client *c, unsigned qos)
{
        int r = busrt_client_add_topic_handler(c, "b/+", ignore_topic, NULL), left;

        if (r < 0)
                return r;
        r = busrt_client_unsubscribe_handler(c, "b/+", qos, NULL);
        left = busrt_client_remove_topic_handler(c, "b/+");
        return left == (r < 0 ? 0 : -ENOENT) ? r : 1;
}

static int subscribe_with(busrt_client *c, unsigned qos)
{
        int r = busrt_client_subscribe_handler(c, "b/+", ignore_topic, NULL, qos, NULL), left;

        if (!c || r == -ECHILD)
                return r;
        left = busrt_client_remove_topic_handler(c, "b/+");
        return left == (r < 0 ? -ENOENT : 0) ? r : 1;
}

static const busrt_cursor_methods cursor_methods = {"N", "NB", "NC"};
static const char cursor[] = "\x81\xa1u\xc4\x10"
                             "0123456789abcdef";

static void ignore_more(busrt_fetch *fetch, int result, const busrt_rpc_error *error,
                        void *userdata)
{
}

static int add_and_remove_cursor_methods(busrt_client *c)
{
        int r = busrt_client_add_cursor_methods(c, &cursor_methods);

        if (r == 0)
                r = busrt_client_remove_method(c, "N");
        if (r == 0)
                r = busrt_client_remove_method(c, "NB");
        return r < 0 ? r : busrt_client_remove_method(c, "NC");
}

static int open_fetch(busrt_client *c)
{
        busrt_fetch *f;

        return busrt_fetch_open(c, "you", "m", NULL, 0, &cursor_methods, SECOND, NULL, &f);
}

/* With a fetch of its own. */
static int fetch_by(busrt_client *c, int how)
{
        busrt_frame *frame;
        busrt_fetch *f;
        const void *data;
        size_t len;
        int r = busrt_fetch_new(c, "you", cursor, sizeof(cursor) - 1, &cursor_methods, &f);

        if (r < 0)
                return r;
        switch (how) {
        case 0:
                r = busrt_fetch_next(f, SECOND, NULL, &frame);
                break;
        case 1:
                r = busrt_fetch_next_bulk(f, 5, SECOND, NULL, &frame);
                break;
        case 2:
                r = busrt_fetch_item(f, SECOND, NULL, &data, &len);
                break;
        case 3:
                r = busrt_fetch_item(f, 0, NULL, &data, &len);
                break;
        case 4:
                r = busrt_fetch_more(f, SECOND, ignore_more, NULL);
                break;
        case 5:
                r = busrt_fetch_cancel(f);
                break;
        default:
                r = busrt_fetch_set_bulk(f, 5);
        }
        busrt_fetch_free(f);
        return r;
}

/* A call that is to be named in a row below. */
#define CALL(name, ...)                                                                            \
        static int name(busrt_client *c)                                                           \
        {                                                                                          \
                return (int)__VA_ARGS__;                                                           \
        }

static int new_secondary(busrt_client *c)
{
        busrt_client *second;
        int r = busrt_client_new_secondary(c, "1", &second);

        if (r == 0)
                busrt_client_free(second);
        return r;
}

static int connect_a_socket(busrt_client *c)
{
        int fds[2], r;

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        r = busrt_client_connect_fd(c, fds[0]);
        close(fds[1]);
        if (r < 0)
                close(fds[0]); /* still ours */
        return r;
}

static ssize_t no_read(void *userdata, void *to, size_t size)
{
        return -EAGAIN;
}

static ssize_t no_write(void *userdata, const struct iovec *iov, size_t n)
{
        return -EAGAIN;
}

static void close_stream(void *userdata)
{
        *(bool *)userdata = true;
}

/* The stream is closed all the same. */
static int connect_a_stream(busrt_client *c)
{
        bool closed = false;
        busrt_stream stream = {
                .read = no_read, .write = no_write, .close = close_stream, .userdata = &closed};
        int r = busrt_client_connect_stream(c, &stream);

        if (c && r != -ECHILD)
                assert_true(closed);
        return r;
}

static int has_fd(busrt_client *c)
{
        int r = busrt_client_get_fd(c);

        return r < 0 ? r : 0;
}

static int has_timeout(busrt_client *c)
{
        uint64_t usec;

        return busrt_client_get_timeout(c, &usec);
}

/* 1 is as good as 0: there was something to do. */
static int process(busrt_client *c)
{
        int r = busrt_client_process(c);

        return r < 0 ? r : 0;
}

static int send_for_later(busrt_client *c)
{
        _cleanup_op_ busrt_op *op = NULL;

        return busrt_client_send(c, "you", IOV("x"), BUSRT_QOS_PROCESSED, &op);
}

static int read_one(busrt_client *c)
{
        _cleanup_frame_ busrt_frame *frame = NULL;

        return busrt_client_read(c, 0, &frame);
}

CALL(set_timeout, busrt_client_set_timeout(c, SECOND))
CALL(set_ping_interval, busrt_client_set_ping_interval(c, 0))
CALL(set_busy_poll, busrt_client_set_busy_poll(c, 0))
CALL(set_send_buffer, busrt_client_set_send_buffer(c, 4096))
CALL(set_receive_buffer, busrt_client_set_receive_buffer(c, 4096))
CALL(set_max_frame_size, busrt_client_set_max_frame_size(c, 4096))
CALL(set_reconnect, busrt_client_set_reconnect(c, 0))
CALL(set_reconnect_pause, busrt_client_set_reconnect_pause(c, SECOND, SECOND))
CALL(set_offline_buffer, busrt_client_set_offline_buffer(c, 4096))
CALL(wait_connected, busrt_client_wait_connected(c, 0))
CALL(set_log_handler, busrt_client_set_log_handler(c, ignore_log, NULL))
CALL(set_state_handler, busrt_client_set_state_handler(c, NULL, NULL))
CALL(set_frame_handler, busrt_client_set_frame_handler(c, ignore_frame, NULL))
CALL(set_request_handler, busrt_client_set_request_handler(c, NULL, NULL))
CALL(set_notification_handler, busrt_client_set_notification_handler(c, NULL, NULL))
CALL(connect_blocking, busrt_client_connect(c, fake_address(fake)))
CALL(connect_start, busrt_client_connect_start(c, fake_address(fake)))
CALL(get_state, busrt_client_get_state(c))
CALL(get_error, busrt_client_error(c))
CALL(get_events, busrt_client_get_events(c))
CALL(wait_for_work, busrt_client_wait(c, 0))
CALL(run, busrt_client_run(c))
CALL(send_off, busrt_client_send(c, "you", IOV("x"), BUSRT_QOS_NO, NULL))
CALL(send_acked, busrt_client_send(c, "you", IOV("x"), BUSRT_QOS_PROCESSED, NULL))
CALL(broadcast, busrt_client_broadcast(c, "*", IOV("x"), BUSRT_QOS_NO, NULL))
CALL(broadcast_acked, busrt_client_broadcast(c, "*", IOV("x"), BUSRT_QOS_PROCESSED, NULL))
CALL(publish, busrt_client_publish(c, "t", IOV("x"), BUSRT_QOS_REALTIME, NULL))
CALL(publish_acked, busrt_client_publish(c, "t", IOV("x"), BUSRT_QOS_PROCESSED, NULL))
CALL(publish_for, busrt_client_publish_for(c, "t", "you", IOV("x"), BUSRT_QOS_NO, NULL))
CALL(publish_for_acked,
     busrt_client_publish_for(c, "t", "you", IOV("x"), BUSRT_QOS_PROCESSED, NULL))
CALL(subscribe, busrt_client_subscribe(c, topics, 2, BUSRT_QOS_NO, NULL))
CALL(subscribe_acked, busrt_client_subscribe(c, topics, 2, BUSRT_QOS_PROCESSED, NULL))
CALL(unsubscribe, busrt_client_unsubscribe(c, topics, 2, BUSRT_QOS_NO, NULL))
CALL(unsubscribe_acked, busrt_client_unsubscribe(c, topics, 2, BUSRT_QOS_PROCESSED, NULL))
CALL(exclude, busrt_client_exclude(c, topics, 2, BUSRT_QOS_NO, NULL))
CALL(exclude_acked, busrt_client_exclude(c, topics, 2, BUSRT_QOS_PROCESSED, NULL))
CALL(unexclude, busrt_client_unexclude(c, topics, 2, BUSRT_QOS_NO, NULL))
CALL(unexclude_acked, busrt_client_unexclude(c, topics, 2, BUSRT_QOS_PROCESSED, NULL))
CALL(ping, busrt_client_ping(c))
CALL(corked, busrt_client_cork(c))
CALL(uncorked, busrt_client_uncork(c))
CALL(flush, busrt_client_flush(c, 10 * SECOND))
CALL(get_unsent, busrt_client_get_unsent(c))
CALL(call, busrt_client_call(c, "you", "m", NULL, 0, 0, SECOND, NULL, NULL))
CALL(call_async,
     busrt_client_call_async(c, "you", "m", NULL, 0, 0, SECOND, ignore_reply, NULL, NULL))
CALL(call0, busrt_client_call0(c, "you", "m", NULL, 0, BUSRT_QOS_NO, NULL))
CALL(call0_acked, busrt_client_call0(c, "you", "m", NULL, 0, BUSRT_QOS_PROCESSED, NULL))
CALL(notify, busrt_client_notify(c, "you", IOV("x"), BUSRT_QOS_NO, NULL))
CALL(notify_acked, busrt_client_notify(c, "you", IOV("x"), BUSRT_QOS_PROCESSED, NULL))
CALL(set_request_timeout, busrt_client_set_request_timeout(c, SECOND))
CALL(set_max_requests, busrt_client_set_max_requests(c, 1))
CALL(count_requests, busrt_client_count_requests(c))
CALL(cancel_requests, busrt_client_cancel_requests(c, NULL, -1))
CALL(set_max_cursors, busrt_client_set_max_cursors(c, 1, 1))
CALL(set_max_bulk, busrt_client_set_max_bulk(c, 1))
CALL(set_cursors_bound, busrt_client_set_cursors_bound(c, 1))
CALL(count_cursors, busrt_client_count_cursors(c))
CALL(close_cursors, busrt_client_close_cursors(c, NULL))
CALL(fetch_next, fetch_by(c, 0))
CALL(fetch_next_bulk, fetch_by(c, 1))
CALL(fetch_item, fetch_by(c, 2))
CALL(fetch_item_at_once, fetch_by(c, 3))
CALL(fetch_more, fetch_by(c, 4))
CALL(fetch_cancel, fetch_by(c, 5))
CALL(fetch_set_bulk, fetch_by(c, 6))
CALL(subscribe_handler, subscribe_with(c, BUSRT_QOS_NO))
CALL(subscribe_handler_acked, subscribe_with(c, BUSRT_QOS_PROCESSED))
CALL(unsubscribe_handler, unsubscribe_with(c, BUSRT_QOS_NO))
CALL(unsubscribe_handler_acked, unsubscribe_with(c, BUSRT_QOS_PROCESSED))
CALL(disconnect, busrt_client_disconnect(c))

#define SKIP 1000000 /* not in this state */

struct row {
        const char *name;
        int (*call)(busrt_client *c);
        int fresh, connecting, away, closed, handler;
};

#define ROW(name, ...)                                                                             \
        {                                                                                          \
#name, name, __VA_ARGS__                                                           \
        }

/* What each gives in a client that is new, connecting, reconnecting, closed by this program; and in
 * a handler of one that is connected. */
static const struct row rows[] = {
        ROW(new_secondary, 0, 0, 0, 0, 0),
        ROW(set_timeout, 0, 0, 0, 0, 0),
        ROW(set_ping_interval, 0, -EBUSY, -EBUSY, -EBUSY, -EBUSY),
        ROW(set_busy_poll, 0, 0, 0, 0, 0),
        ROW(set_send_buffer, 0, -EBUSY, -EBUSY, -EBUSY, -EBUSY),
        ROW(set_receive_buffer, 0, -EBUSY, -EBUSY, -EBUSY, -EBUSY),
        ROW(set_max_frame_size, 0, -EBUSY, -EBUSY, -EBUSY, -EBUSY),
        ROW(set_reconnect, 0, -EBUSY, -EBUSY, -EBUSY, -EBUSY),
        ROW(set_reconnect_pause, 0, -EBUSY, -EBUSY, -EBUSY, -EBUSY),
        ROW(set_offline_buffer, 0, -EBUSY, -EBUSY, -EBUSY, -EBUSY),
        ROW(wait_connected, -ENOTCONN, -ETIMEDOUT, -ETIMEDOUT, -ECONNRESET, -EDEADLK),
        ROW(set_log_handler, 0, -EBUSY, -EBUSY, -EBUSY, -EBUSY),
        ROW(set_state_handler, 0, 0, 0, 0, 0),
        ROW(set_frame_handler, 0, 0, 0, 0, 0),
        ROW(set_request_handler, 0, 0, 0, 0, 0),
        ROW(set_notification_handler, 0, 0, 0, 0, 0),
        ROW(connect_blocking, SKIP, -EALREADY, -EISCONN, -EISCONN, -EISCONN),
        ROW(connect_start, SKIP, -EALREADY, -EISCONN, -EISCONN, -EISCONN),
        ROW(connect_a_socket, SKIP, -EALREADY, -EISCONN, -EISCONN, -EISCONN),
        ROW(connect_a_stream, SKIP, -EALREADY, -EISCONN, -EISCONN, -EISCONN),
        ROW(get_state, BUSRT_STATE_NEW, BUSRT_STATE_CONNECTING, BUSRT_STATE_RECONNECTING,
            BUSRT_STATE_CLOSED, BUSRT_STATE_CONNECTED),
        ROW(get_error, 0, 0, -ECONNRESET, -ESHUTDOWN, 0),
        ROW(has_fd, 0, 0, 0, 0, 0),
        ROW(get_events, POLLIN, POLLIN, POLLIN, POLLIN, POLLIN),
        ROW(has_timeout, 0, 0, 0, 0, 0),
        ROW(process, -ENOTCONN, 0, 0, -ESHUTDOWN, -EDEADLK),
        ROW(wait_for_work, -ENOTCONN, SKIP, SKIP, 1, -EDEADLK),
        ROW(run, -ENOTCONN, SKIP, SKIP, -ESHUTDOWN, -EDEADLK),
        ROW(send_off, -ENOTCONN, -ENOTCONN, -ENOTCONN, -ENOTCONN, 0),
        ROW(send_acked, -ENOTCONN, -ENOTCONN, -ENOTCONN, -ENOTCONN, -EDEADLK),
        ROW(send_for_later, -ENOTCONN, -ENOTCONN, -ENOTCONN, -ENOTCONN, 0),
        ROW(broadcast, -ENOTCONN, -ENOTCONN, -ENOTCONN, -ENOTCONN, 0),
        ROW(broadcast_acked, -ENOTCONN, -ENOTCONN, -ENOTCONN, -ENOTCONN, -EDEADLK),
        ROW(publish, -ENOTCONN, -ENOTCONN, -ENOTCONN, -ENOTCONN, 0),
        ROW(publish_acked, -ENOTCONN, -ENOTCONN, -ENOTCONN, -ENOTCONN, -EDEADLK),
        ROW(publish_for, -ENOTCONN, -ENOTCONN, -ENOTCONN, -ENOTCONN, 0),
        ROW(publish_for_acked, -ENOTCONN, -ENOTCONN, -ENOTCONN, -ENOTCONN, -EDEADLK),
        ROW(subscribe, -ENOTCONN, -ENOTCONN, 0, -ENOTCONN, 0),
        ROW(subscribe_acked, -ENOTCONN, -ENOTCONN, 0, -ENOTCONN, -EDEADLK),
        ROW(unsubscribe, -ENOTCONN, -ENOTCONN, 0, -ENOTCONN, 0),
        ROW(unsubscribe_acked, -ENOTCONN, -ENOTCONN, 0, -ENOTCONN, -EDEADLK),
        ROW(exclude, -ENOTCONN, -ENOTCONN, 0, -ENOTCONN, 0),
        ROW(exclude_acked, -ENOTCONN, -ENOTCONN, 0, -ENOTCONN, -EDEADLK),
        ROW(unexclude, -ENOTCONN, -ENOTCONN, 0, -ENOTCONN, 0),
        ROW(unexclude_acked, -ENOTCONN, -ENOTCONN, 0, -ENOTCONN, -EDEADLK),
        ROW(ping, -ENOTCONN, -ENOTCONN, -ENOTCONN, -ENOTCONN, 0),
        ROW(corked, -ENOTCONN, -ENOTCONN, -ENOTCONN, -ENOTCONN, 0),
        ROW(uncorked, -EINVAL, -EINVAL, -EINVAL, -EINVAL, 0), /* in the handler: the one above */
        ROW(flush, -ENOTCONN, -ENOTCONN, -ENOTCONN, -ENOTCONN, -EDEADLK),
        ROW(get_unsent, -ENOTCONN, SKIP, -ENOTCONN, -ENOTCONN, SKIP),
        ROW(read_one, -ENOTCONN, -ENOTCONN, -EAGAIN, -ECONNRESET, -EDEADLK),
        ROW(call, -ENOTCONN, -ENOTCONN, -ENOTCONN, -ENOTCONN, -EDEADLK),
        ROW(call_async, -ENOTCONN, -ENOTCONN, -ENOTCONN, -ENOTCONN, 0),
        ROW(call0, -ENOTCONN, -ENOTCONN, -ENOTCONN, -ENOTCONN, 0),
        ROW(call0_acked, -ENOTCONN, -ENOTCONN, -ENOTCONN, -ENOTCONN, -EDEADLK),
        ROW(notify, -ENOTCONN, -ENOTCONN, -ENOTCONN, -ENOTCONN, 0),
        ROW(notify_acked, -ENOTCONN, -ENOTCONN, -ENOTCONN, -ENOTCONN, -EDEADLK),
        ROW(add_and_remove_method, 0, 0, 0, 0, 0),
        ROW(add_and_remove_info, 0, 0, 0, 0, 0),
        ROW(add_and_remove_topic, 0, 0, 0, 0, 0),
        ROW(set_request_timeout, 0, 0, 0, 0, 0),
        ROW(set_max_requests, 0, 0, 0, 0, 0),
        ROW(count_requests, 0, 0, 0, 0, 0),
        ROW(cancel_requests, 0, 0, 0, 0, 0),
        ROW(add_and_remove_cursor_methods, 0, 0, 0, 0, 0),
        ROW(set_max_cursors, 0, 0, 0, 0, 0),
        ROW(set_max_bulk, 0, 0, 0, 0, 0),
        ROW(set_cursors_bound, 0, 0, 0, 0, 0),
        ROW(count_cursors, 0, 0, 0, 0, 0),
        ROW(close_cursors, 0, 0, 0, 0, 0),
        ROW(open_fetch, -ENOTCONN, -ENOTCONN, -ENOTCONN, -ENOTCONN, -EDEADLK),
        ROW(fetch_next, -ENOTCONN, -ENOTCONN, -ENOTCONN, -ENOTCONN, -EDEADLK),
        ROW(fetch_next_bulk, -ENOTCONN, -ENOTCONN, -ENOTCONN, -ENOTCONN, -EDEADLK),
        ROW(fetch_item, -ENOTCONN, -ENOTCONN, -ENOTCONN, -ENOTCONN, -EDEADLK),
        ROW(fetch_item_at_once, -EAGAIN, -EAGAIN, -EAGAIN, -EAGAIN, -EAGAIN),
        ROW(fetch_more, -ENOTCONN, -ENOTCONN, -ENOTCONN, -ENOTCONN, 0),
        ROW(fetch_cancel, -ENOTCONN, -ENOTCONN, -ENOTCONN, -ENOTCONN, 0),
        ROW(fetch_set_bulk, 0, 0, 0, 0, 0),
        ROW(subscribe_handler, -ENOTCONN, -ENOTCONN, 0, -ENOTCONN, 0),
        ROW(subscribe_handler_acked, -ENOTCONN, -ENOTCONN, 0, -ENOTCONN, -EDEADLK),
        ROW(unsubscribe_handler, -ENOTCONN, -ENOTCONN, 0, -ENOTCONN, 0),
        ROW(unsubscribe_handler_acked, -ENOTCONN, -ENOTCONN, 0, -ENOTCONN, -EDEADLK),
        ROW(disconnect, -ENOTCONN, SKIP, SKIP, 0, SKIP),
};

/* Says of each row that is wrong what came. */
static unsigned compare(const struct row *row, int got, int want, const char *when)
{
        if (want == SKIP || got == want)
                return 0;
        print_error("%s, %s: %d instead of %d\n", row->name, when, got, want);
        return 1;
}

/* --- States --- */

static void in_a_new_client(void **state)
{
        _cleanup_client_ busrt_client *c = quiet_client("me");
        unsigned wrong = 0;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (rows[i].fresh != SKIP)
                        wrong += compare(&rows[i], rows[i].call(c), rows[i].fresh, "new");
        assert_int_equal(wrong, 0);
}

static void say_nothing(struct fake *f, void *userdata)
{
        fake_pause(f);
}

static void while_connecting(void **state)
{
        _cleanup_client_ busrt_client *c = quiet_client("me");
        unsigned wrong = 0;

        fake = fake_start(FAKE_UNIX, say_nothing, NULL);
        assert_int_equal(busrt_client_connect_start(c, fake_address(fake)), 0);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (rows[i].connecting != SKIP)
                        wrong += compare(&rows[i], rows[i].call(c), rows[i].connecting,
                                         "connecting");
        fake_stop(fake);
        assert_int_equal(wrong, 0);
}

static void go_and_stay_away(struct fake *f, void *userdata)
{
        fake_handshake(f);
        fake_hang_up(f);
        fake_pause(f);
}

static void while_reconnecting(void **state)
{
        _cleanup_client_ busrt_client *c = quiet_client("me");
        unsigned wrong = 0;

        fake = fake_start(FAKE_UNIX, go_and_stay_away, NULL);
        assert_int_equal(busrt_client_set_reconnect(c, BUSRT_TIMEOUT_INFINITE), 0);
        assert_int_equal(busrt_client_set_timeout(c, DEADLINE), 0);
        assert_int_equal(busrt_client_connect(c, fake_address(fake)), 0);
        while (busrt_client_get_state(c) != BUSRT_STATE_RECONNECTING)
                assert_true(busrt_client_process(c) >= 0);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (rows[i].away != SKIP)
                        wrong += compare(&rows[i], rows[i].call(c), rows[i].away, "reconnecting");
        fake_stop(fake);
        assert_int_equal(wrong, 0);
}

static void acknowledge(struct fake *f, void *userdata)
{
        fake_handshake(f);
        fake_acknowledge_all(f);
}

static void in_a_closed_client(void **state)
{
        _cleanup_client_ busrt_client *c = NULL;
        unsigned wrong = 0;

        fake = fake_start(FAKE_UNIX, acknowledge, NULL);
        c = connected_client(fake);
        assert_int_equal(busrt_client_disconnect(c), 0);
        while (busrt_client_process(c) == 1)
                continue;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (rows[i].closed != SKIP)
                        wrong += compare(&rows[i], rows[i].call(c), rows[i].closed, "closed");
        fake_stop(fake);
        assert_int_equal(wrong, 0);
}

/* --- In handlers --- */

struct handled {
        unsigned wrong;
        int done;
};

static void deliver_one(struct fake *f, void *userdata)
{
        fake_handshake(f);
        fake_deliver(f, 0x12, LITERAL("you\0hello"));
        fake_acknowledge_all(f);
}

static void try_all(busrt_client *c, busrt_frame *frame, void *userdata)
{
        struct handled *h = userdata;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (rows[i].handler != SKIP)
                        h->wrong += compare(&rows[i], rows[i].call(c), rows[i].handler, "handler");
        h->done = 1;
}

static void in_a_frame_handler(void **state)
{
        _cleanup_client_ busrt_client *c = NULL;
        struct handled h = {0};

        fake = fake_start(FAKE_UNIX, deliver_one, NULL);
        c = connected_client(fake);
        assert_int_equal(busrt_client_set_frame_handler(c, try_all, &h), 0);
        process_until(c, is_set, &h.done);
        assert_int_equal(busrt_client_send(c, "you", IOV("x"), BUSRT_QOS_PROCESSED, NULL), 0);
        fake_stop(fake);
        assert_int_equal(h.wrong, 0);
}

static void note_deadlock(busrt_op *op, int result, void *userdata)
{
        int *got = userdata;

        *got = pending ? busrt_op_wait(pending, 0) : 0;
}

/* Acknowledges the second operation alone. */
static void acknowledge_second(struct fake *f, void *userdata)
{
        fake_handshake(f);
        fake_frame(f);
        fake_ack(f, fake_frame(f).op, 1);
        fake_pause(f);
}

static void waiting_in_an_operation_handler(void **state)
{
        _cleanup_client_ busrt_client *c = NULL;
        _cleanup_op_ busrt_op *op = NULL;
        int got = 0;

        fake = fake_start(FAKE_UNIX, acknowledge_second, NULL);
        c = connected_client(fake);
        assert_int_equal(busrt_client_send(c, "a", NULL, 0, BUSRT_QOS_PROCESSED, &pending), 0);
        assert_int_equal(busrt_client_send(c, "b", NULL, 0, BUSRT_QOS_PROCESSED, &op), 0);
        assert_int_equal(busrt_op_set_handler(op, note_deadlock, &got), 0);
        process_until(c, is_set, &got);
        assert_int_equal(got, -EDEADLK);
        assert_int_equal(busrt_op_result(pending), -EINPROGRESS);
        assert_int_equal(busrt_op_wait(pending, 0), -ETIMEDOUT);
        pending = busrt_op_unref(pending);
        fake_stop(fake);
}

static void free_self(busrt_client *c, busrt_frame *frame, void *userdata)
{
        *(int *)userdata = 1;
        assert_null(busrt_client_free(c));
}

static void freeing_in_a_handler(void **state)
{
        busrt_client *c;
        int done = 0;

        fake = fake_start(FAKE_UNIX, deliver_one, NULL);
        c = connected_client(fake);
        assert_int_equal(busrt_client_set_frame_handler(c, free_self, &done), 0);
        while (!done) {
                assert_true(busrt_client_wait(c, DEADLINE) >= 0);
                (void)busrt_client_process(c);
        }
        fake_stop(fake);
}

/* --- After fork --- */

static unsigned wrong_in_child(busrt_client *c, busrt_op *op, busrt_call *call, busrt_fetch *fetch)
{
        busrt_client *second = c;
        const void *data;
        size_t len;
        unsigned wrong = 0;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                wrong += compare(&rows[i], rows[i].call(c), -ECHILD, "forked");
        wrong += busrt_client_new_secondary(c, NULL, &second) != -ECHILD || second != c;
        wrong += busrt_client_get_name(c) != NULL || busrt_client_get_address(c) != NULL;
        wrong += busrt_op_wait(op, 0) != -ECHILD;
        wrong += busrt_op_result(op) != -ECHILD;
        wrong += busrt_op_set_handler(op, note_deadlock, NULL) != -ECHILD;
        wrong += busrt_call_cancel(call) != -ECHILD;
        wrong += busrt_fetch_item(fetch, 0, NULL, &data, &len) != -ECHILD;
        wrong += busrt_fetch_more(fetch, SECOND, ignore_more, NULL) != -ECHILD;
        wrong += busrt_fetch_set_bulk(fetch, 1) != -ECHILD;
        wrong += busrt_fetch_cancel(fetch) != -ECHILD;
        wrong += busrt_fetch_free(fetch) != NULL;
        wrong += busrt_op_unref(op) != NULL;
        wrong += busrt_call_unref(call) != NULL;
        wrong += busrt_client_free(c) != NULL;
        return wrong;
}

static void after_fork_all_is_echild(void **state)
{
        _cleanup_client_ busrt_client *c = NULL;
        _cleanup_op_ busrt_op *op = NULL;
        busrt_call *async;
        busrt_fetch *fetch;
        int status;
        pid_t pid;

        fake = fake_start(FAKE_UNIX, acknowledge, NULL);
        c = connected_client(fake);
        assert_int_equal(busrt_client_send(c, "a", NULL, 0, BUSRT_QOS_PROCESSED, &op), 0);
        assert_int_equal(busrt_client_call_async(c, "a", "m", NULL, 0, 0, DEADLINE, ignore_reply,
                                                 NULL, &async),
                         0);
        assert_int_equal(
                busrt_fetch_new(c, "a", cursor, sizeof(cursor) - 1, &cursor_methods, &fetch), 0);
        assert_int_equal(busrt_fetch_more(fetch, DEADLINE, ignore_more, NULL), 0);
        pid = fork();
        if (pid == 0)
                _exit(wrong_in_child(c, op, async, fetch) != 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        /* the parent's connection is alive */
        assert_int_equal(busrt_op_wait(op, DEADLINE), 0);
        assert_int_equal(busrt_client_send(c, "a", NULL, 0, BUSRT_QOS_PROCESSED, NULL), 0);
        assert_int_equal(busrt_call_cancel(async), 0);
        busrt_fetch_free(fetch);
        busrt_call_unref(async);
        fake_stop(fake);
}

/* --- NULL --- */

static void null_client(void **state)
{
        busrt_client *second = (void *)&second;
        uint64_t usec;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (rows[i].call != connect_blocking && rows[i].call != connect_start)
                        assert_int_equal(compare(&rows[i], rows[i].call(NULL), -EINVAL, "NULL"), 0);
        assert_int_equal(busrt_client_connect(NULL, "x.sock"), -EINVAL);
        assert_int_equal(busrt_client_connect_start(NULL, "x.sock"), -EINVAL);
        assert_int_equal(busrt_client_get_timeout(NULL, &usec), -EINVAL);
        assert_int_equal(busrt_client_new_secondary(NULL, NULL, &second), -EINVAL);
        assert_ptr_equal(second, &second);
        assert_null(busrt_client_free(NULL));
        assert_null(busrt_client_get_name(NULL));
        assert_null(busrt_client_get_address(NULL));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(in_a_new_client),
                cmocka_unit_test(while_connecting),
                cmocka_unit_test(while_reconnecting),
                cmocka_unit_test(in_a_closed_client),
                cmocka_unit_test(in_a_frame_handler),
                cmocka_unit_test(waiting_in_an_operation_handler),
                cmocka_unit_test(freeing_in_a_handler),
                cmocka_unit_test(after_fork_all_is_echild),
                cmocka_unit_test(null_client),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
