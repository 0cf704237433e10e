/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promise: when there is no memory, or no descriptor, the call that wanted it says so, nothing else
 * changes, and nothing is left over. One script of everything that a client can do is run again and
 * again; in the first run the first allocation fails, in the next the second, until a run needs no
 * more of them.
 *
 * Only the library's own allocations count: it is linked statically here. The broker's thread makes
 * none.
 */
#include <sys/resource.h>

#include <busrt/topics.h>

#include "faults-bed.h"

#define LARGE 300000
#define N_DELIVERED 6

/* --- The broker: acknowledges, echoes calls, and delivers when asked --- */

static void deliver_all(struct fake *f)
{
        static const uint8_t large[LARGE] = "you\0";

        fake_deliver(f, 0x12, LITERAL("you\0hello"));
        fake_deliver(f, 0x01, LITERAL("you\0topic\0hello"));
        fake_deliver(f, 0x13, LITERAL("you\0hello"));
        fake_deliver(f, 0x12, large, sizeof(large));
        fake_request(f, "you", 0x7fffffff, "method");
        fake_deliver(f, 0x12, LITERAL("you\0\0note"));
}

static void serve(struct fake *f, void *userdata)
{
        fake_handshake(f);
        for (;;) {
                struct fake_frame frame = fake_frame(f);
                const uint8_t *rpc = memchr(frame.body, 0, frame.length);
                bool is_call = rpc && frame.flags == 0x52 && frame.length < 1000 && rpc[1] == 1 &&
                               frame.body + frame.length - rpc >= 8;

                if (frame.length == 8 && memcmp(frame.body, "deliver", 8) == 0)
                        deliver_all(f);
                if (frame.flags & 0x40)
                        fake_ack(f, frame.op, 1);
                if (is_call && memcmp(rpc + 2, "\0\0\0\0", 4) != 0)
                        fake_reply(f, "you", 0x11, fake_call_id(f, &frame), LITERAL("result"));
        }
}

/* --- The script --- */

static unsigned n_lost; /* connections */

struct ended {
        int done, result;
};

static void op_ended(busrt_op *op, int result, void *userdata)
{
        *(struct ended *)userdata = (struct ended){1, result};
}

static void call_ended(busrt_client *c, int result, const busrt_rpc_error *error,
                       busrt_frame *reply, void *userdata)
{
        *(struct ended *)userdata = (struct ended){1, result};
}

/* A failure to read is the caller's to see, and the bytes are still there. */
static void process_until_ended(struct ended *e)
{
        uint64_t until = now_usec() + PATIENCE;

        while (!e->done) {
                int r = busrt_client_process(client);

                worked(r);
                if (r == 0 && !e->done)
                        worked(busrt_client_wait(client, SECOND));
                assert_true(now_usec() < until);
        }
        worked(e->result);
}

static void operations(void)
{
        static const char *const topics[] = {"a/#", "b/+", "c"};

        worked(busrt_client_publish(client, "t", IOV("x"), ACKED, NULL));
        worked(busrt_client_publish_for(client, "t", "you", IOV("x"), ACKED, NULL));
        worked(busrt_client_broadcast(client, "*", IOV("x"), ACKED, NULL));
        worked(busrt_client_subscribe(client, topics, 3, ACKED, NULL));
        worked(busrt_client_unsubscribe(client, topics, 3, ACKED, NULL));
        worked(busrt_client_exclude(client, topics, 3, ACKED, NULL));
        worked(busrt_client_unexclude(client, topics, 3, ACKED, NULL));
        worked(busrt_client_notify(client, "you", IOV("x"), ACKED, NULL));
        worked(busrt_client_call0(client, "you", "m", IOV("x"), ACKED, NULL));
        worked(busrt_client_ping(client));
}

static void operations_for_later(void)
{
        busrt_op *ops[40] = {NULL};
        struct ended e = {0};

        worked(busrt_client_cork(client));
        for (size_t i = 0; i < ARRAY_SIZE(ops); i++)
                worked(busrt_client_send(client, "you", IOV("x"), ACKED, &ops[i]));
        worked(busrt_client_uncork(client));
        for (size_t i = 1; i < ARRAY_SIZE(ops); i++) {
                if (ops[i])
                        worked(busrt_op_wait(ops[i], PATIENCE));
                busrt_op_unref(ops[i]);
        }
        if (ops[0] && worked(busrt_op_set_handler(ops[0], op_ended, &e)))
                process_until_ended(&e);
        busrt_op_unref(ops[0]);
}

static void large_payload(void)
{
        static uint8_t bytes[LARGE];
        struct iovec iov[4];

        for (size_t i = 0; i < ARRAY_SIZE(iov); i++)
                iov[i] = (struct iovec){bytes + i * sizeof(bytes) / 4, sizeof(bytes) / 4};
        worked(busrt_client_send(client, "you", iov, 4, BUSRT_QOS_NO, NULL));
        worked(busrt_client_send(client, "you", iov, 4, ACKED, NULL));
        worked(busrt_client_flush(client, PATIENCE));
}

static void calls(void)
{
        busrt_rpc_error error = BUSRT_RPC_ERROR_INIT;
        struct ended e = {0};
        busrt_frame *reply = NULL;
        busrt_call *call = NULL;

        if (worked(busrt_client_call(client, "you", "m", IOV("x"), 0, PATIENCE, &error, &reply)))
                busrt_frame_unref(reply);
        busrt_rpc_error_done(&error);
        if (worked(busrt_client_call_async(client, "you", "m", IOV("x"), 0, PATIENCE, call_ended,
                                           &e, &call)))
                process_until_ended(&e);
        busrt_call_unref(call);
        call = NULL;
        if (worked(busrt_client_call_async(client, "you", "m", IOV("x"), 0, PATIENCE, call_ended,
                                           &e, &call)))
                (void)busrt_call_cancel(call);
        busrt_call_unref(call);
}

/* All have come when the acknowledgement has; none is lost because memory was, once. */
static void frames_by_reading(void)
{
        busrt_frame *frame, *kept = NULL;
        unsigned n = 0;
        int r;

        if (!worked(busrt_client_send(client, "deliver", NULL, 0, ACKED, NULL)))
                return;
        while ((r = busrt_client_read(client, 0, &frame)) != -EAGAIN) {
                if (!worked(r) && is_lost())
                        break;
                if (r < 0)
                        continue;
                busrt_frame_unref(kept);
                kept = frame;
                n++;
        }
        busrt_frame_unref(kept);
        assert_int_equal(n, N_DELIVERED);
}

struct handled {
        int done;
        unsigned frames, requests, notes, ends;
        busrt_request *later;
};

static void note_end(busrt_client *c, busrt_request *request, int result, void *userdata)
{
        struct handled *h = userdata;

        h->ends++;
}

static void look(struct handled *h)
{
        h->done = h->frames + h->requests + h->notes >= N_DELIVERED;
}

static void on_frame(busrt_client *c, busrt_frame *frame, void *userdata)
{
        struct handled *h = userdata;

        h->frames++;
        look(h);
}

static void on_note(busrt_client *c, const char *sender, const void *payload, size_t len,
                    void *userdata)
{
        struct handled *h = userdata;

        h->notes++;
        look(h);
}

static void on_request(busrt_client *c, busrt_request *request, void *userdata)
{
        struct handled *h = userdata;

        h->requests++;
        h->later = busrt_request_ref(request);
        look(h);
}

static void frames_by_handlers(void)
{
        struct handled h = {0};
        uint64_t until = now_usec() + PATIENCE;

        worked(busrt_client_set_frame_handler(client, on_frame, &h));
        worked(busrt_client_set_notification_handler(client, on_note, &h));
        worked(busrt_client_set_request_handler(client, on_request, &h));
        if (!worked(busrt_client_send(client, "deliver", NULL, 0, ACKED, NULL)))
                return;
        while (!h.done) {
                worked(busrt_client_process(client));
                assert_true(now_usec() < until);
        }
        assert_int_equal(h.frames + h.requests + h.notes, N_DELIVERED);
        if (h.later && !worked(busrt_request_reply(h.later, IOV("result"))))
                worked(busrt_request_reply_error(h.later, 1, "no memory", 9));
        busrt_request_unref(h.later);
        worked(busrt_client_flush(client, PATIENCE));
}

static int keep_request(busrt_client *c, busrt_request *request, void *userdata)
{
        struct handled *h = userdata;

        h->requests++;
        worked(busrt_request_set_end_handler(request, note_end, h));
        h->later = busrt_request_ref(request);
        return 0;
}

static void on_topic(busrt_client *c, busrt_frame *frame, const char *mask, void *userdata)
{
        on_frame(c, frame, userdata);
}

/* A table of methods, and handlers by topic. */
static void tables(void)
{
        struct handled h = {0};
        const busrt_method methods[] = {{"method", keep_request, &h, 1},
                                        {"n", keep_request, &h, 0}};
        uint64_t until = now_usec() + PATIENCE;
        bool served, published;

        worked(busrt_client_set_request_handler(client, NULL, NULL));
        served = worked(busrt_client_add_methods(client, methods, 2));
        worked(busrt_client_add_info(client, "author", "description", "version"));
        published =
                worked(busrt_client_subscribe_handler(client, "topic", on_topic, &h, ACKED, NULL));
        worked(busrt_client_add_topic_handler(client, "a/#", on_topic, &h));
        worked(busrt_client_set_frame_handler(client, on_frame, &h));
        worked(busrt_client_set_notification_handler(client, on_note, &h));
        if (!served)
                worked(busrt_client_set_request_handler(client, on_request, &h));
        if (!worked(busrt_client_send(client, "deliver", NULL, 0, ACKED, NULL)))
                goto out;
        while (!h.done || (served && h.ends == 0)) {
                worked(busrt_client_process(client));
                assert_true(now_usec() < until);
        }
        assert_int_equal(h.frames + h.requests + h.notes, N_DELIVERED);
out:
        busrt_request_unref(h.later);
        if (published)
                worked(busrt_client_unsubscribe_handler(client, "topic", ACKED, NULL));
        worked(busrt_client_set_request_handler(client, NULL, NULL));
}

static void others(struct fake *fake)
{
        busrt_client *second = NULL;

        if (worked(busrt_client_new_secondary(client, NULL, &second)))
                busrt_client_free(second);
        if (worked(busrt_client_new("you", &second))) {
                int r = busrt_client_connect(second, "/nonexistent/bus.sock");

                assert_true(r == -ENOENT || !worked(r));
                busrt_client_free(second);
        }
}

static void run_script(struct fake *fake)
{
        if (!worked(busrt_client_new("me", &client)))
                return;
        worked(busrt_client_set_ping_interval(client, 0));
        worked(busrt_client_set_timeout(client, PATIENCE));
        if (worked(busrt_client_connect(client, fake_address(fake)))) {
                operations();
                operations_for_later();
                large_payload();
                calls();
                frames_by_reading();
                frames_by_handlers();
                tables();
                others(fake);
                n_lost += is_lost();
                assert_true(is_lost() || busrt_client_get_state(client) == BUSRT_STATE_CONNECTED);
                worked(busrt_client_send(client, "you", IOV("last"), ACKED, NULL));
        }
        client = busrt_client_free(client);
}

static void every_allocation_may_fail(enum fake_net net)
{
        size_t n_fds = count_fds(), n_live = memory.n_live, n;

        n_lost = 0;
        for (n = 0, memory.failed = true; n <= 1 || memory.failed; n++) {
                struct fake *fake = fake_start(net, serve, NULL);

                memory_fail_in(n); /* 0: none, to see that the script itself is good */
                run_script(fake);
                memory.fail_in = 0;
                fake_stop(fake);
                assert_int_equal(memory.n_live, n_live);
                assert_int_equal(count_fds(), n_fds);
        }
        print_message("%zu allocations, each of which failed once; %u connections lost\n", n - 2,
                      n_lost);
        assert_true(n > 20);
        assert_true(n_lost <= 2); /* the two large payloads */
}

static void no_memory_over_unix(void **state)
{
        every_allocation_may_fail(FAKE_UNIX);
}

static void no_memory_over_tcp(void **state)
{
        every_allocation_may_fail(FAKE_TCP);
}

/* --- Coming back --- */

#define N_TOPICS 40

/* Again and again, wherever a connection ends; each time it delivers what is asked for. */
static void serve_twice(struct fake *f, void *userdata)
{
        fake_persist(f);
        for (;;) {
                fake_handshake(f);
                for (;;) {
                        struct fake_frame frame = fake_frame(f);

                        if (frame.length >= 7 && memcmp(frame.body, "goodbye", 7) == 0)
                                break;
                        if (frame.flags & 0x40)
                                fake_ack(f, frame.op, 1);
                }
                fake_next(f);
        }
}

static void ignore_log(busrt_client *c, enum busrt_log_level level, const char *text,
                       void *userdata)
{
}

static void wish(void)
{
        static const char *const one[] = {"a/#"}, *const warnings[] = {".broker/warn"};
        char text[N_TOPICS][8];
        const char *many[N_TOPICS];

        for (size_t i = 0; i < N_TOPICS; i++) {
                snprintf(text[i], sizeof(text[i]), "t/%zu", i);
                many[i] = text[i];
        }
        worked(busrt_client_subscribe(client, many, N_TOPICS, ACKED, NULL));
        worked(busrt_client_exclude(client, one, 1, ACKED, NULL));
        worked(busrt_client_unsubscribe(client, warnings, 1, ACKED, NULL));
        worked(busrt_client_unsubscribe(client, many, 2, ACKED, NULL));
}

/* It may take more tries: one that finds no memory is followed by another. */
static void go_and_come_back(void)
{
        static const char *const later[] = {"later"};
        busrt_op *op = NULL, *wished = NULL;

        if (!worked(busrt_client_send(client, "goodbye", NULL, 0, BUSRT_QOS_NO, NULL)))
                return;
        while (busrt_client_get_state(client) == BUSRT_STATE_CONNECTED)
                worked(busrt_client_process(client));
        worked(busrt_client_send(client, "you", IOV("waits"), BUSRT_QOS_NO, NULL));
        worked(busrt_client_send(client, "you", IOV("waits"), ACKED, &op));
        worked(busrt_client_subscribe(client, later, 1, ACKED, &wished));
        worked(busrt_client_wait_connected(client, PATIENCE));
        if (op)
                worked(busrt_op_wait(op, PATIENCE));
        busrt_op_unref(op);
        busrt_op_unref(wished);
}

static void run_persistent(struct fake *fake)
{
        if (!worked(busrt_client_new("me", &client)))
                return;
        worked(busrt_client_set_ping_interval(client, 0));
        worked(busrt_client_set_timeout(client, PATIENCE));
        worked(busrt_client_set_reconnect(client, BUSRT_TIMEOUT_INFINITE));
        worked(busrt_client_set_reconnect_pause(client, 1000, 1000));
        worked(busrt_client_set_offline_buffer(client, 65536));
        worked(busrt_client_set_log_handler(client, ignore_log, NULL));
        if (worked(busrt_client_connect(client, fake_address(fake)))) {
                wish();
                go_and_come_back();
                worked(busrt_client_send(client, "you", IOV("last"), ACKED, NULL));
                assert_int_equal(busrt_client_get_state(client), BUSRT_STATE_CONNECTED);
        }
        client = busrt_client_free(client);
}

static void no_memory_while_coming_back(void **state)
{
        size_t n_fds = count_fds(), n_live = memory.n_live, n;

        for (n = 0, memory.failed = true; n <= 1 || memory.failed; n++) {
                struct fake *fake = fake_start(FAKE_UNIX, serve_twice, NULL);

                memory_fail_in(n);
                run_persistent(fake);
                memory.fail_in = 0;
                fake_stop(fake);
                assert_int_equal(memory.n_live, n_live);
                assert_int_equal(count_fds(), n_fds);
        }
        print_message("%zu allocations, each of which failed once\n", n - 2);
        assert_true(n > N_TOPICS);
}

/* --- No descriptors --- */

/* Lets so many more be opened. */
static void allow_fds(unsigned n)
{
        static struct rlimit before;
        struct rlimit limit;
        int next = dup(0);

        if (before.rlim_cur == 0)
                assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
        limit = before;
        close(next);
        if (n < 1000)
                limit.rlim_cur = (rlim_t)next + n;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static int connect_with_fds(unsigned n, struct fake *fake)
{
        int r, fd = fake_take_fd(fake);
        busrt_client *c = NULL;

        allow_fds(n);
        r = busrt_client_new("me", &c);
        if (r == 0)
                r = busrt_client_connect_fd(c, fd);
        allow_fds(1000);
        if (r < 0)
                close(fd);
        else
                r = busrt_client_send(c, "you", NULL, 0, BUSRT_QOS_NO, NULL);
        busrt_client_free(c);
        return r == -ENOTCONN ? 0 : r; /* not registered yet */
}

static void no_descriptors(void **state)
{
        size_t n_fds = count_fds();
        unsigned n;
        int r = -EMFILE;

        for (n = 0; r != 0; n++) {
                struct fake *fake = fake_start(FAKE_PAIR, serve, NULL);

                r = connect_with_fds(n, fake);
                assert_true(r == 0 || r == -EMFILE);
                fake_stop(fake);
                assert_int_equal(count_fds(), n_fds);
        }
        assert_in_range(n, 2, 10);
}

static void no_descriptor_for_the_socket(void **state)
{
        size_t n_fds = count_fds();

        for (unsigned n = 0; n < 10; n++) {
                struct fake *fake = fake_start(FAKE_UNIX, serve, NULL);
                busrt_client *c = NULL;
                int r;

                assert_int_equal(busrt_client_new("me", &c), 0);
                assert_int_equal(busrt_client_set_timeout(c, 10 * MSEC), 0);
                allow_fds(n);
                r = busrt_client_connect(c, fake_address(fake));
                allow_fds(1000);
                /* the last is the broker's, who could not accept */
                assert_true(r == 0 || r == -EMFILE || r == -ETIMEDOUT);
                assert_true(n > 0 || r == -EMFILE);
                busrt_client_free(c);
                fake_stop(fake);
                assert_int_equal(count_fds(), n_fds);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(no_memory_over_unix),
                cmocka_unit_test(no_memory_over_tcp),
                cmocka_unit_test(no_memory_while_coming_back),
                cmocka_unit_test(no_descriptors),
                cmocka_unit_test(no_descriptor_for_the_socket),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
