/* SPDX-License-Identifier: Apache-2.0 */
/* Promise: a program may serve a broker by its own loop, in one thread with all of its clients, and
 * sleeps soundly meanwhile: whatever other threads cause wakes it. */
#include <sys/un.h>

#include "embed-bed.h"

#define N_ECHOES 200
#define HOUR (3600 * SECOND)

/* --- One thread for all --- */

struct party {
        busrt_broker *broker;
        busrt_client *clients[2]; /* here, and by socket */
        unsigned n_got[2], n_wrong;
};

/* What the one sends comes back from the other; then it sends the next. */
static void on_frame(busrt_client *c, busrt_frame *f, void *userdata)
{
        struct party *p = userdata;
        unsigned me = c == p->clients[1];
        const char *other = me ? ".here" : "there";
        size_t len;
        const void *payload = busrt_frame_get_payload(f, &len);
        struct iovec iov = {(void *)payload, len};

        p->n_wrong += strcmp(busrt_frame_get_sender(f), other) != 0 || len != 5;
        if (++p->n_got[me] < N_ECHOES)
                p->n_wrong += busrt_client_send(c, other, &iov, 1, BUSRT_QOS_NO, NULL) != 0;
}

static uint64_t timeouts_of(const struct party *p)
{
        uint64_t usec, first = span_of(p->broker), now = now_usec();

        for (unsigned i = 0; i < 2; i++) {
                assert_int_equal(busrt_client_get_timeout(p->clients[i], &usec), 0);
                first = MIN(first, usec > now ? usec - now : 0);
        }
        return MIN(first, DEADLINE);
}

static void poll_all(struct party *p)
{
        struct pollfd fds[] = {{busrt_broker_get_fd(p->broker), POLLIN, 0},
                               {busrt_client_get_fd(p->clients[0]), POLLIN, 0},
                               {busrt_client_get_fd(p->clients[1]), POLLIN, 0}};

        assert_true(poll(fds, 3, (int)((timeouts_of(p) + MSEC - 1) / MSEC)) >= 0);
        assert_int_equal(busrt_broker_process(p->broker), 0);
        for (unsigned i = 0; i < 2; i++)
                while (busrt_client_process(p->clients[i]) == 1)
                        ;
}

static void one_loop_for_broker_and_clients(void **state)
{
        struct party p = {.broker = new_broker(),
                          .clients = {new_named_client(".here"), new_client("there")}};
        uint64_t until = now_usec() + DEADLINE;

        assert_int_equal(busrt_broker_listen(p.broker, place.path, 0), 0);
        for (unsigned i = 0; i < 2; i++)
                assert_int_equal(busrt_client_set_frame_handler(p.clients[i], on_frame, &p), 0);
        assert_int_equal(busrt_broker_connect(p.broker, p.clients[0]), 0);
        assert_int_equal(busrt_client_connect_start(p.clients[1], place.path), 0);
        while (busrt_client_get_state(p.clients[1]) != BUSRT_STATE_CONNECTED)
                poll_all(&p);
        assert_int_equal(busrt_client_send(p.clients[1], ".here", IOV("hello"), 0, NULL), 0);
        while (p.n_got[0] < N_ECHOES) {
                poll_all(&p);
                assert_true(now_usec() < until);
        }
        assert_int_equal(p.n_wrong, 0);
        assert_true(p.n_got[1] >= N_ECHOES - 1);
        busrt_client_free(p.clients[0]);
        busrt_broker_free(p.broker);
        expect_closed(p.clients[1], -ECONNRESET);
        busrt_client_free(p.clients[1]);
}

static void clients_here_need_no_loop(void **state)
{
        _cleanup_broker_ busrt_broker *b = new_broker();
        _cleanup_client_ busrt_client *c = joined(b, "c"), *d = joined(b, "d");

        assert_int_equal(busrt_client_send(c, "d", IOV("1"), ACKED, NULL), 0);
        expect_frame(d, BUSRT_KIND_MESSAGE, "c", "1");
        settle(b);
        assert_int_equal(busrt_client_send(d, "c", IOV("2"), ACKED, NULL), 0);
        expect_frame(c, BUSRT_KIND_MESSAGE, "d", "2");
}

/* Many frames and many connections take many turns, not one. */
static void turns_are_bounded(void **state)
{
        enum { N = 200 };
        _cleanup_broker_ busrt_broker *b = new_broker();
        unsigned turns = 0;
        int fds[N];

        assert_int_equal(busrt_broker_listen(b, place.path, 0), 0);
        assert_int_equal(busrt_broker_process(b), 0);
        for (unsigned i = 0; i < N; i++) {
                struct sockaddr_un sa = {.sun_family = AF_UNIX};

                strcpy(sa.sun_path, place.path);
                fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
                assert_int_equal(connect(fds[i], (struct sockaddr *)&sa, sizeof(sa)), 0);
        }
        while (stats_of(b).connections < N) {
                assert_int_equal(busrt_broker_process(b), 0);
                assert_true(++turns < 100);
        }
        assert_true(turns >= 3);
        for (unsigned i = 0; i < N; i++)
                close(fds[i]);
}

/* --- Asleep --- */

static void nothing_to_do_is_no_timeout(void **state)
{
        _cleanup_broker_ busrt_broker *b = new_broker();
        _cleanup_client_ busrt_client *c = NULL;
        uint64_t usec;

        assert_int_equal(busrt_broker_get_timeout(b, &usec), 0);
        assert_int_equal(usec, 0); /* it has not been served yet */
        assert_int_equal(busrt_broker_set(b, BUSRT_BROKER_TIMEOUT, HOUR), 0);
        c = joined(b, "c");
        settle(b);
        do
                turn(b, SECOND + 100 * MSEC); /* spare buffers go after a second */
        while (span_of(b) < 10 * SECOND);
        assert_true(span_of(b) > HOUR / 2);
}

/* Sleeps as a program does until done; nothing but the descriptor may wake it. */
static void sleep_until(busrt_broker *b, bool (*done)(void *), void *userdata)
{
        struct pollfd p = {.fd = busrt_broker_get_fd(b), .events = POLLIN};

        while (!done(userdata)) {
                uint64_t usec = span_of(b);

                if (poll(&p, 1, (int)(MIN(usec, DEADLINE) / MSEC)) == 0)
                        assert_true(usec <= 2 * SECOND);
                assert_int_equal(busrt_broker_process(b), 0);
        }
}

struct sleeper {
        busrt_broker *broker;
        busrt_client *client;
        busrt_op *op;
        atomic_bool go, done;
        unsigned n_read;
};

static void *close_client(void *userdata)
{
        struct sleeper *s = userdata;

        while (!s->go)
                sched_yield();
        s->client = busrt_client_free(s->client);
        return NULL;
}

static bool has_no_connections(void *userdata)
{
        struct sleeper *s = userdata;

        s->go = true;
        return stats_of(s->broker).connections == 0;
}

static void a_client_that_closes_on_another_thread(void **state)
{
        _cleanup_broker_ busrt_broker *b = new_broker();
        struct sleeper s = {.broker = b};
        pthread_t thread;

        assert_int_equal(busrt_broker_set(b, BUSRT_BROKER_TIMEOUT, HOUR), 0);
        s.client = joined(b, "c");
        settle(b);
        assert_int_equal(pthread_create(&thread, NULL, close_client, &s), 0);
        sleep_until(b, has_no_connections, &s);
        assert_int_equal(pthread_join(thread, NULL), 0);
}

static void *read_all(void *userdata)
{
        struct sleeper *s = userdata;
        busrt_frame *f;

        while (!s->go)
                sched_yield();
        while (busrt_client_read(s->client, DEADLINE, &f) == 0) {
                busrt_frame_unref(f);
                if (++s->n_read == 5)
                        break;
        }
        return NULL;
}

static bool is_connected(void *userdata)
{
        busrt_client *c = userdata;

        assert_true(busrt_client_process(c) >= 0);
        return busrt_client_get_state(c) == BUSRT_STATE_CONNECTED;
}

static bool is_acknowledged(void *userdata)
{
        struct sleeper *s = userdata;

        s->go = true;
        while (busrt_client_process(s->client) == 1)
                ;
        return busrt_op_result(s->op) != -EINPROGRESS;
}

/* A sender by socket waits for a receiver here, which makes room on its own thread: then the
 * broker's loop has to go on with the sender. */
static void a_receiver_that_reads_on_another_thread(void **state)
{
        _cleanup_broker_ busrt_broker *b = new_broker();
        _cleanup_client_ busrt_client *sender = new_client("s");
        struct sleeper receiver = {.broker = b}, s = {.broker = b, .client = sender};
        pthread_t thread;
        unsigned n_wakes = 0;

        assert_int_equal(busrt_broker_set(b, BUSRT_BROKER_TIMEOUT, HOUR), 0);
        assert_int_equal(busrt_broker_set(b, BUSRT_BROKER_QUEUE_FRAMES, 4), 0);
        assert_int_equal(busrt_broker_set(b, BUSRT_BROKER_SLOW_PACE, SECOND / 2), 0);
        assert_int_equal(busrt_broker_listen(b, place.path, 0), 0);
        receiver.client = joined(b, "r");
        assert_int_equal(busrt_client_set_ping_interval(sender, 0), 0);
        assert_int_equal(busrt_client_connect_start(sender, place.path), 0);
        serve_until(b, is_connected, sender);
        for (unsigned i = 0; i < 4; i++)
                assert_int_equal(busrt_client_send(sender, "r", IOV("x"), 0, NULL), 0);
        assert_int_equal(busrt_client_send(sender, "r", IOV("x"), ACKED, &s.op), 0);
        settle(b);
        assert_int_equal(busrt_op_result(s.op), -EINPROGRESS);
        assert_int_equal(pthread_create(&thread, NULL, read_all, &receiver), 0);
        receiver.go = true;
        while (!is_acknowledged(&s)) {
                struct pollfd p = {.fd = busrt_broker_get_fd(b), .events = POLLIN};
                uint64_t usec = span_of(b);

                n_wakes += poll(&p, 1, (int)(MIN(usec, DEADLINE) / MSEC)) > 0 || usec == 0;
                assert_int_equal(busrt_broker_process(b), 0);
        }
        assert_int_equal(busrt_op_result(s.op), 0);
        assert_true(n_wakes > 0); /* and not by the second that a pause may last */
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(receiver.n_read, 5);
        busrt_op_unref(s.op);
        busrt_client_free(receiver.client);
}

static void *connect_there(void *userdata)
{
        struct sleeper *s = userdata;

        while (!s->go)
                sched_yield();
        if (busrt_broker_listen(s->broker, place.path, 0) == 0 &&
            busrt_client_connect(s->client, place.path) == 0)
                s->done = true;
        return NULL;
}

static bool is_done(void *userdata)
{
        struct sleeper *s = userdata;

        s->go = true;
        return s->done;
}

static void a_listener_made_on_another_thread(void **state)
{
        _cleanup_broker_ busrt_broker *b = new_broker();
        struct sleeper s = {.broker = b, .client = new_client("c")};
        pthread_t thread;
        uint64_t until = now_usec() + DEADLINE;

        settle(b);
        assert_int_equal(pthread_create(&thread, NULL, connect_there, &s), 0);
        while (!is_done(&s)) {
                turn(b, 100 * MSEC); /* the last step is the client's, and wakes nobody here */
                assert_true(now_usec() < until);
        }
        assert_int_equal(pthread_join(thread, NULL), 0);
        busrt_client_free(s.client);
}

/* --- The end --- */

static void a_client_by_socket_gets_its_last(void **state)
{
        busrt_broker *b = new_broker();
        _cleanup_client_ busrt_client *c = new_client("c");
        _cleanup_frame_ busrt_frame *f = NULL;

        assert_int_equal(busrt_broker_listen(b, place.path, 0), 0);
        assert_int_equal(busrt_client_connect_start(c, place.path), 0);
        serve_until(b, is_connected, c);
        assert_int_equal(busrt_broker_send(b, BUSRT_KIND_MESSAGE, "c", "last", 4), 0);
        busrt_broker_free(b);
        expect_frame(c, BUSRT_KIND_MESSAGE, ".broker", "last");
        assert_int_equal(busrt_client_read(c, DEADLINE, &f), 0);
        assert_string_equal(busrt_frame_get_topic(f), ".broker/warn");
        expect_closed(c, -ECONNRESET);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(one_loop_for_broker_and_clients),
                cmocka_unit_test(clients_here_need_no_loop),
                cmocka_unit_test(turns_are_bounded),
                cmocka_unit_test(nothing_to_do_is_no_timeout),
                cmocka_unit_test(a_client_that_closes_on_another_thread),
                cmocka_unit_test(a_receiver_that_reads_on_another_thread),
                cmocka_unit_test(a_listener_made_on_another_thread),
                cmocka_unit_test(a_client_by_socket_gets_its_last),
        };

        return cmocka_run_group_tests(tests, place_make, place_remove);
}
