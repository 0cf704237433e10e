/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promise: when there is no memory, the call that wanted it says so, or one client is ended; the
 * broker goes on, and nothing is left over. One script of everything that a broker and
 * its clients do is run again and again, on the program's loop; in the first run the first
 * allocation fails, in the next the second, until a run needs no more of them.
 *
 * Both libraries are linked statically: all that they allocate counts.
 */
#include "../unit/counted-printf.h"
#include "../unit/counted-strings.h"
#include "embed-bed.h"

#define PATIENCE (20 * SECOND)
#define LARGE 200000

static busrt_broker *broker;
static busrt_client *here, *dot, *there;

/* --- What may come of it --- */

/* The engine has ended it for want of memory, or libbusrt has. */
static bool is_lost(busrt_client *c)
{
        return c && busrt_client_get_state(c) == BUSRT_STATE_CLOSED;
}

static bool any_lost(void)
{
        return is_lost(here) || is_lost(dot) || is_lost(there);
}

/* -ENOMEM; what the engine answers where it has none (other, not delivered); and what follows from
 * a client that is gone. Nothing is ever waited for in vain. */
static bool worked(int r)
{
        bool for_memory = r == -ENOMEM || r == -EREMOTE || r == -ENOBUFS;
        bool for_loss = r == -ECONNRESET || r == -ENOTCONN || r == -EHOSTUNREACH;

        if (r >= 0)
                return true;
        if (!memory.failed || !(for_memory || (for_loss && any_lost())))
                fail_msg("%s (%d), %s", busrt_strerror(r), r,
                         memory.failed ? "memory has failed" : "memory has not failed");
        return false;
}

/* --- The script --- */

static int allow_all(busrt_broker *b, const busrt_broker_question *q, void *userdata)
{
        return 0;
}

static void ignore_event(busrt_broker *b, const busrt_broker_event *event, void *userdata)
{
}

static int note_id(const busrt_broker_client_info *info, void *userdata)
{
        if (strcmp(info->name, ".dot") == 0)
                *(uint64_t *)userdata = info->id;
        return 0;
}

static void serve(void)
{
        struct pollfd p = {.fd = busrt_broker_get_fd(broker), .events = POLLIN};
        uint64_t usec;

        (void)worked(busrt_broker_get_timeout(broker, &usec));
        (void)poll(&p, 1, (int)(MIN(usec, MSEC) / MSEC));
        (void)worked(busrt_broker_process(broker));
}

static busrt_client *join(const char *name)
{
        busrt_client *c = NULL;
        int r;

        if (!worked(busrt_client_new_for_stream(name, &c)))
                return NULL;
        (void)busrt_client_set_timeout(c, BUSRT_TIMEOUT_INFINITE);
        (void)busrt_client_set_ping_interval(c, 0);
        r = busrt_broker_connect(broker, c);
        if (r == -ECONNRESET && memory.failed)
                return busrt_client_free(c); /* its session ended */
        return worked(r) ? c : busrt_client_free(c);
}

static busrt_client *join_by_socket(const char *name)
{
        uint64_t until = now_usec() + PATIENCE;
        busrt_client *c = NULL;
        int r;

        if (!worked(busrt_client_new(name, &c)))
                return NULL;
        (void)busrt_client_set_ping_interval(c, 0);
        r = busrt_client_connect_start(c, place.path);
        while (r == 0 && busrt_client_get_state(c) == BUSRT_STATE_CONNECTING) {
                assert_true(now_usec() < until);
                serve();
                (void)busrt_client_process(c);
        }
        if (r == 0 && busrt_client_get_state(c) == BUSRT_STATE_CONNECTED)
                return c;
        assert_true(memory.failed);
        return busrt_client_free(c);
}

/* All that there is for it. */
static unsigned take_all(busrt_client *c)
{
        busrt_frame *f;
        unsigned n = 0;
        int r;

        while (c && (r = busrt_client_read(c, 0, &f)) != -EAGAIN) {
                if (r == -ECONNRESET || r == -ENOTCONN)
                        return n;
                if (!worked(r))
                        continue;
                busrt_frame_unref(f);
                n++;
        }
        return n;
}

static void subscriptions(busrt_client *c)
{
        char text[40][16];
        const char *topics[40];

        for (size_t i = 0; i < 40; i++) {
                snprintf(text[i], sizeof(text[i]), "%zu/+/x%zu", i % 7, i);
                topics[i] = text[i];
        }
        topics[0] = "t/#";
        (void)worked(busrt_client_subscribe(c, topics, 40, ACKED, NULL));
        (void)worked(busrt_client_exclude(c, topics + 1, 20, ACKED, NULL));
        (void)worked(busrt_client_unsubscribe(c, topics + 5, 20, ACKED, NULL));
        (void)worked(busrt_client_unexclude(c, topics + 1, 10, ACKED, NULL));
}

static void frames(busrt_client *from)
{
        static uint8_t bytes[LARGE];
        struct iovec large[] = {{bytes, LARGE / 2}, {bytes + LARGE / 2, LARGE / 2}};
        struct iovec medium = {bytes, 3000};

        (void)worked(busrt_client_send(from, "here", IOV("x"), ACKED, NULL));
        (void)worked(busrt_client_send(from, ".dot", large, 2, ACKED, NULL));
        (void)worked(busrt_client_send(from, ".dot", &medium, 1, BUSRT_QOS_NO, NULL));
        (void)worked(busrt_client_publish(from, "t/1", &medium, 1, ACKED, NULL));
        (void)worked(busrt_client_publish(from, "t/2", large, 2, ACKED, NULL));
        (void)worked(busrt_client_publish_for(from, "t/3", "here", IOV("x"), ACKED, NULL));
        (void)worked(busrt_client_broadcast(from, "*", IOV("x"), ACKED, NULL));
        for (unsigned i = 0; i < 300; i++)
                (void)worked(busrt_client_send(from, "here", IOV("0123456789"), 0, NULL));
        (void)take_all(here);
        (void)take_all(dot);
}

static void calls(busrt_client *c)
{
        static const char *const methods[] = {"test", "info", "stats", "client.list",
                                              "benchmark.test"};

        for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
                busrt_rpc_error error = BUSRT_RPC_ERROR_INIT;
                busrt_frame *reply = NULL;
                int r = busrt_client_call(c, ".broker", methods[i], NULL, 0, 0,
                                          BUSRT_TIMEOUT_INFINITE, &error, &reply);

                if (r == -EREMOTEIO) /* it had no memory to answer, and said so */
                        assert_true(memory.failed && error.code == -32603);
                else
                        (void)worked(r);
                busrt_rpc_error_done(&error);
                busrt_frame_unref(reply);
        }
}

/* There and back, by socket. */
static void over_the_socket(void)
{
        uint64_t until = now_usec() + PATIENCE;
        busrt_op *op = NULL;

        if (!there || !worked(busrt_client_send(there, "here", IOV("x"), ACKED, &op)))
                return;
        while (busrt_op_result(op) == -EINPROGRESS) {
                assert_true(now_usec() < until);
                serve();
                (void)busrt_client_process(there);
        }
        (void)worked(busrt_op_result(op));
        busrt_op_unref(op);
        if (here)
                (void)worked(busrt_client_send(here, "there", IOV("x"), ACKED, NULL));
        for (unsigned i = 0; i < 5; i++)
                serve();
        (void)take_all(there);
}

static void the_program(void)
{
        busrt_broker_stats stats;
        uint64_t id = 0;
        int r;

        (void)worked(busrt_broker_get_stats(broker, &stats));
        (void)worked(busrt_broker_foreach_client(broker, note_id, &id));
        (void)worked(busrt_broker_set(broker, BUSRT_BROKER_QUEUE_FRAMES, 1000));
        (void)worked(busrt_broker_access_changed(broker));
        r = busrt_broker_send(broker, BUSRT_KIND_MESSAGE, "here", "x", 1);
        assert_true(r == 0 || r == -ENOENT);
        (void)worked(busrt_broker_send(broker, BUSRT_KIND_BROADCAST, "*", "x", 1));
        (void)worked(busrt_broker_send(broker, BUSRT_KIND_PUBLICATION, "t/1", "x", 1));
        r = busrt_broker_disconnect(broker, id);
        assert_true(r == 0 || r == -ENOENT);
        serve();
}

static void run_script(void)
{
        if (!worked(busrt_broker_new(&broker)))
                return;
        (void)worked(busrt_broker_set_access_handler(broker, allow_all, NULL));
        (void)worked(busrt_broker_set_event_handler(broker, ignore_event, NULL));
        (void)worked(busrt_broker_listen(broker, place.path, 0));
        (void)worked(busrt_broker_listen(broker, "127.0.0.1:0", 0));
        if (worked(busrt_broker_process(broker))) {
                here = join("here");
                dot = join(".dot");
                there = memory.failed ? NULL : join_by_socket("there");
                if (here && dot) {
                        subscriptions(here);
                        frames(dot);
                        calls(here);
                }
                over_the_socket();
                the_program();
        }
        here = busrt_client_free(here);
        broker = busrt_broker_free(broker);
        there = busrt_client_free(there);
        dot = busrt_client_free(dot);
}

static void every_allocation_may_fail(void **state)
{
        size_t n_fds = count_fds(), n_live = memory.n_live, n;

        for (n = 0, memory.failed = true; n <= 1 || memory.failed; n++) {
                alarm(60);         /* who waits in vain does so for ever */
                memory_fail_in(n); /* 0: none, to see that the script itself is good */
                run_script();
                memory.fail_in = 0;
                alarm(0);
                if (memory.n_live != n_live || count_fds() != n_fds)
                        fail_msg("allocation %zu: %zd blocks and %zd descriptors are left", n,
                                 (ssize_t)(memory.n_live - n_live), (ssize_t)(count_fds() - n_fds));
                assert_int_equal(access(place.path, F_OK), -1);
        }
        print_message("%zu allocations, each of which failed once\n", n - 2);
        assert_true(n > 100);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_allocation_may_fail),
        };

        return cmocka_run_group_tests(tests, place_make, place_remove);
}
