/* SPDX-License-Identifier: Apache-2.0 */
/* Promise: brokers and their clients may end in any order and in any state, and a process may have
 * any number of them. */
#include <signal.h>

#include "embed-bed.h"

/* --- Who goes first --- */

static void clients_go_first(void **state)
{
        busrt_broker *b = started_broker();
        busrt_client *here = joined(b, ".here"), *there = joined_by_socket("there");

        busrt_client_free(here);
        busrt_client_free(there);
        busrt_broker_free(b);
}

/* They find themselves closed, and are what any closed client is. */
static void the_broker_goes_first(void **state)
{
        busrt_broker *b = started_broker();
        busrt_client *here = joined(b, ".here"), *there = joined_by_socket("there"),
                     *fresh = new_client("fresh");

        busrt_broker_free(b);
        expect_closed(here, -ECONNRESET);
        expect_closed(there, -ECONNRESET);
        assert_int_equal(busrt_client_send(here, "x", IOV("x"), 0, NULL), -ENOTCONN);
        assert_int_equal(busrt_client_ping(here), -ENOTCONN);
        assert_int_equal(busrt_client_process(here), 1); /* the state handler's turn */
        assert_int_equal(busrt_client_process(here), -ECONNRESET);
        assert_int_equal(busrt_client_get_state(here), BUSRT_STATE_CLOSED);
        busrt_client_free(here);
        busrt_client_free(there);
        busrt_client_free(fresh);
}

/* One that has not looked yet finds out when it sends. */
static void sending_after_the_broker_has_gone(void **state)
{
        busrt_broker *b = started_broker();
        busrt_client *c = joined(b, "c"), *d = joined(b, "d");
        busrt_op *op;

        assert_int_equal(busrt_client_send(d, "c", IOV("x"), ACKED, &op), 0);
        busrt_broker_free(b);
        assert_int_equal(busrt_client_send(c, "d", IOV("x"), ACKED, NULL), -ECONNRESET);
        assert_int_equal(busrt_op_wait(op, DEADLINE), 0); /* it came before the end */
        busrt_op_unref(op);
        busrt_client_free(c);
        busrt_client_free(d);
}

/* What was acknowledged, and the broker's last word. */
static void what_waits_comes_before_the_end(void **state)
{
        static char large[300001];
        busrt_broker *b = started_broker();
        busrt_client *c = joined(b, "c"), *d = joined(b, "d");
        struct iovec iov = {large, sizeof(large) - 1};
        busrt_frame *f;

        memset(large, 'x', sizeof(large) - 1);
        assert_int_equal(busrt_client_send(d, "c", IOV("1"), ACKED, NULL), 0);
        assert_int_equal(busrt_client_send(d, "c", &iov, 1, ACKED, NULL), 0);
        busrt_client_free(d);
        busrt_broker_free(b);
        expect_frame(c, BUSRT_KIND_MESSAGE, "d", "1");
        expect_frame(c, BUSRT_KIND_MESSAGE, "d", large);
        assert_int_equal(busrt_client_read(c, DEADLINE, &f), 0);
        assert_string_equal(busrt_frame_get_sender(f), ".broker");
        assert_string_equal(busrt_frame_get_topic(f), ".broker/warn");
        busrt_frame_unref(f);
        expect_closed(c, -ECONNRESET);
        busrt_client_free(c);
}

static void a_broker_that_never_started(void **state)
{
        for (unsigned n_workers = 1; n_workers <= 4; n_workers++) {
                busrt_broker *b = new_broker();
                busrt_client *c[5];
                int fds[2];

                assert_int_equal(busrt_broker_set(b, BUSRT_BROKER_WORKERS, n_workers), 0);
                assert_int_equal(busrt_broker_listen(b, place.path, 0), 0);
                for (unsigned i = 0; i < 5; i++) {
                        char name[] = {(char)('a' + i), 0};

                        c[i] = joined(b, name);
                }
                assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
                assert_int_equal(busrt_broker_adopt(b, fds[0]), 0);
                assert_int_equal(busrt_client_send(c[0], "e", IOV("x"), ACKED, NULL), 0);
                c[0] = busrt_client_free(c[0]);
                busrt_broker_free(b);
                expect_frame(c[4], BUSRT_KIND_MESSAGE, "a", "x");
                for (unsigned i = 1; i < 5; i++) {
                        expect_closed(c[i], -ECONNRESET);
                        busrt_client_free(c[i]);
                }
                close(fds[1]);
        }
        for (unsigned i = 0; i < 3; i++)
                busrt_broker_free(new_broker());
}

/* A client that comes back where it can does not look for a broker that was its own. */
static void no_client_here_comes_back(void **state)
{
        busrt_broker *b = started_broker();
        busrt_client *c = new_client("c");

        assert_int_equal(busrt_client_set_reconnect(c, BUSRT_TIMEOUT_INFINITE), 0);
        assert_int_equal(busrt_broker_connect(b, c), 0);
        busrt_broker_free(b);
        expect_closed(c, -ECONNRESET);
        busrt_client_free(c);
}

static void secondaries_go_with_their_primary(void **state)
{
        _cleanup_broker_ busrt_broker *b = started_broker();
        _cleanup_client_ busrt_client *second = NULL, *other = NULL;
        busrt_client *c = joined(b, ".c");

        assert_int_equal(busrt_client_new_secondary(c, "1", &second), 0);
        assert_int_equal(busrt_client_new_secondary(c, NULL, &other), 0);
        assert_int_equal(busrt_broker_connect(b, second), 0);
        assert_int_equal(busrt_client_send(c, ".c%%1", IOV("x"), ACKED, NULL), 0);
        expect_frame(second, BUSRT_KIND_MESSAGE, ".c", "x");
        busrt_client_free(c);
        expect_closed(second, -ECONNRESET);
        assert_int_equal(busrt_broker_connect(b, other), -EHOSTUNREACH);
}

/* --- Threads that are in it --- */

#define N_THREADS 8

struct crew {
        busrt_client *clients[N_THREADS];
        pthread_t threads[N_THREADS];
        atomic_uint ready;
        int results[N_THREADS];
};

static void *run(void *userdata)
{
        struct crew *crew = userdata;
        unsigned i = atomic_fetch_add(&crew->ready, 1);

        crew->results[i] = busrt_client_run(crew->clients[i]);
        return NULL;
}

/* Some wait for what never comes, some send as fast as they can, some call. */
static void *wait_or_send(void *userdata)
{
        struct crew *crew = userdata;
        unsigned i = atomic_fetch_add(&crew->ready, 1);
        busrt_client *c = crew->clients[i];
        busrt_frame *f;
        int r;

        do {
                if (i % 4 == 0)
                        r = busrt_client_read(c, BUSRT_TIMEOUT_INFINITE, &f);
                else if (i % 4 == 1)
                        r = busrt_client_send(c, "c0", IOV("x"), ACKED, NULL);
                else if (i % 4 == 2)
                        r = busrt_client_publish(c, ".broker/warn", IOV("x"), 0, NULL);
                else
                        r = busrt_client_call(c, ".broker", "test", NULL, 0, 0, DEADLINE, NULL,
                                              NULL);
                if (r == 0 && i % 4 == 0)
                        busrt_frame_unref(f);
                if (r == -ENOBUFS || r == -EHOSTUNREACH)
                        r = 0; /* c0 reads slower than we send, and may be struck for it */
        } while (r >= 0);
        crew->results[i] = r;
        return NULL;
}

static bool all_ready(void *userdata)
{
        return ((struct crew *)userdata)->ready == N_THREADS;
}

static void freed_under(void *(*work)(void *), unsigned n_workers)
{
        busrt_broker *b = new_broker();
        struct crew crew = {.ready = 0};

        assert_int_equal(busrt_broker_set(b, BUSRT_BROKER_WORKERS, n_workers), 0);
        assert_int_equal(busrt_broker_listen(b, place.path, 0), 0);
        assert_int_equal(busrt_broker_start(b), 0);
        for (unsigned i = 0; i < N_THREADS; i++) {
                char name[] = {'c', (char)('0' + i), 0};

                crew.clients[i] = i % 3 ? joined(b, name) : joined_by_socket(name);
        }
        for (unsigned i = 0; i < N_THREADS; i++)
                assert_int_equal(pthread_create(&crew.threads[i], NULL, work, &crew), 0);
        wait_until(all_ready, &crew);
        busrt_broker_free(b);
        for (unsigned i = 0; i < N_THREADS; i++)
                assert_int_equal(pthread_join(crew.threads[i], NULL), 0);
        for (unsigned i = 0; i < N_THREADS; i++) {
                assert_true(crew.results[i] == -ECONNRESET || crew.results[i] == -ENOTCONN);
                assert_int_equal(busrt_client_error(crew.clients[i]), -ECONNRESET);
                busrt_client_free(crew.clients[i]);
        }
}

static void the_broker_goes_under_loops(void **state)
{
        for (unsigned i = 0; i < 5; i++)
                freed_under(run, 1 + i % 2);
}

static void the_broker_goes_under_calls(void **state)
{
        for (unsigned i = 0; i < 5; i++)
                freed_under(wait_or_send, 1 + i % 2);
}

/* --- Many of them --- */

static void several_brokers_share_nothing(void **state)
{
        enum { N = 5 };
        busrt_broker *brokers[N];
        busrt_client *clients[N][2];

        for (unsigned i = 0; i < N; i++) {
                brokers[i] = new_broker();
                if (i % 2)
                        assert_int_equal(busrt_broker_start(brokers[i]), 0);
                clients[i][0] = joined(brokers[i], "a");
                clients[i][1] = joined(brokers[i], "b");
        }
        for (unsigned i = 0; i < N; i++) {
                char text[] = {(char)('0' + i), 0};
                struct iovec iov = {text, 1};

                assert_int_equal(busrt_client_send(clients[i][0], "b", &iov, 1, ACKED, NULL), 0);
                assert_int_equal(busrt_client_broadcast(clients[i][0], "b", &iov, 1, ACKED, NULL),
                                 0);
        }
        for (unsigned i = 0; i < N; i++) {
                char text[] = {(char)('0' + i), 0};

                expect_frame(clients[i][1], BUSRT_KIND_MESSAGE, "a", text);
                expect_frame(clients[i][1], BUSRT_KIND_BROADCAST, "a", text);
                expect_nothing(clients[i][1]);
                assert_int_equal(stats_of(brokers[i]).clients, 2);
        }
        for (unsigned i = 0; i < N; i++) {
                busrt_broker_free(brokers[i]);
                for (unsigned j = 0; j < 2; j++)
                        busrt_client_free(clients[i][j]);
        }
}

static void many_come_and_go(void **state)
{
        _cleanup_broker_ busrt_broker *b = started_broker();
        size_t n_fds, n = 0;
        bool settled = false;

        for (unsigned i = 0; i < 500; i++)
                busrt_client_free(joined(b, "c"));
        busrt_client_free(joined_by_socket("c"));
        n_fds = count_fds();
        for (unsigned i = 0; i < 500; i++)
                busrt_client_free(i % 5 ? joined(b, "c") : joined_by_socket("c"));
        while (!settled) {
                settled = stats_of(b).connections == 0 && count_fds() <= n_fds;
                assert_true(++n < 10000000);
                sched_yield();
        }
        assert_int_equal(stats_of(b).clients, 0);
}

/* --- Threads of its own --- */

static unsigned count_deaf_threads(void)
{
        DIR *d = opendir("/proc/self/task");
        const struct dirent *entry;
        unsigned n = 0;

        while ((entry = readdir(d))) {
                char path[300], line[200];
                FILE *f;

                if (entry->d_name[0] == '.')
                        continue;
                snprintf(path, sizeof(path), "/proc/self/task/%s/status", entry->d_name);
                f = fopen(path, "re");
                assert_non_null(f);
                while (fgets(line, sizeof(line), f))
                        if (strncmp(line, "SigBlk:", 7) == 0)
                                n += strtoull(line + 7, NULL, 16) >> (SIGTERM - 1) & 1;
                fclose(f);
        }
        closedir(d);
        return n;
}

/* All signals are the program's. */
static void its_threads_take_no_signals(void **state)
{
        _cleanup_broker_ busrt_broker *b = new_broker();
        unsigned n_deaf = count_deaf_threads();
        size_t n_threads = count_threads();

        assert_int_equal(busrt_broker_set(b, BUSRT_BROKER_WORKERS, 3), 0);
        assert_int_equal(busrt_broker_listen(b, place.path, 0), 0);
        assert_int_equal(busrt_broker_start(b), 0);
        busrt_client_free(joined_by_socket("c")); /* they are at work, not at their beginnings */
        assert_int_equal(count_threads(), n_threads + 4);
        assert_int_equal(count_deaf_threads(), n_deaf + 4);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(clients_go_first),
                cmocka_unit_test(the_broker_goes_first),
                cmocka_unit_test(sending_after_the_broker_has_gone),
                cmocka_unit_test(what_waits_comes_before_the_end),
                cmocka_unit_test(a_broker_that_never_started),
                cmocka_unit_test(no_client_here_comes_back),
                cmocka_unit_test(secondaries_go_with_their_primary),
                cmocka_unit_test(the_broker_goes_under_loops),
                cmocka_unit_test(the_broker_goes_under_calls),
                cmocka_unit_test(several_brokers_share_nothing),
                cmocka_unit_test(many_come_and_go),
                cmocka_unit_test(its_threads_take_no_signals),
        };

        return cmocka_run_group_tests(tests, place_make, place_remove);
}
