/* SPDX-License-Identifier: Apache-2.0 */
/* Promise: where there are no descriptors left, the call that wants one says so and leaves nothing;
 * a listener says so once, does not spin, and goes on when there are some again. */
#include <sys/resource.h>

#include "embed-bed.h"

/* Lets so many more be opened; 1000: as many as before. */
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

static int try_broker(void)
{
        busrt_broker *b = NULL;
        busrt_client *c = new_client("c"), *d = NULL;
        int r;

        r = busrt_broker_new(&b);
        if (r == 0)
                r = busrt_broker_listen(b, place.path, 0);
        if (r == 0)
                r = busrt_broker_connect(b, c);
        if (r == 0)
                r = busrt_broker_start(b);
        if (r == 0)
                r = busrt_client_send(c, "c", IOV("x"), ACKED, NULL);
        busrt_client_free(d);
        busrt_client_free(c);
        busrt_broker_free(b);
        return r;
}

/* One more each time, until there are enough. */
static void a_broker_needs_some(void **state)
{
        size_t n_fds = count_fds();
        unsigned n;
        int r = -EMFILE;

        for (n = 3; r < 0; n++) { /* the first three are the client's */
                allow_fds(n);
                r = try_broker();
                allow_fds(1000);
                assert_true(r == 0 || r == -EMFILE);
                assert_int_equal(count_fds(), n_fds);
                assert_true(n < 100);
        }
        print_message("%u descriptors\n", n - 1);
        assert_true(n > 8);
}

static void a_client_here_needs_one(void **state)
{
        _cleanup_broker_ busrt_broker *b = started_broker();
        _cleanup_client_ busrt_client *c = new_client("c"), *d = new_client("d");
        size_t n_fds = count_fds();

        allow_fds(0);
        assert_int_equal(busrt_broker_connect(b, c), -EMFILE);
        allow_fds(1000);
        assert_int_equal(count_fds(), n_fds);
        /* Nothing has happened to it. */
        assert_int_equal(busrt_broker_connect(b, c), 0);
        assert_int_equal(busrt_broker_connect(b, d), 0);
        assert_int_equal(count_fds(), n_fds + 2);
        assert_int_equal(busrt_client_send(c, "d", IOV("x"), ACKED, NULL), 0);
}

struct troubles {
        atomic_uint n;
        char name[200], detail[200];
};

static void see_trouble(busrt_broker *b, const busrt_broker_event *event, void *userdata)
{
        struct troubles *t = userdata;

        if (event->type != BUSRT_BROKER_EVENT_LISTENER)
                return;
        snprintf(t->name, sizeof(t->name), "%s", event->name);
        snprintf(t->detail, sizeof(t->detail), "%s", event->detail);
        t->n++;
}

static bool in_trouble(void *userdata)
{
        return ((struct troubles *)userdata)->n > 0;
}

static bool is_connected(void *userdata)
{
        busrt_client *c = userdata;

        assert_true(busrt_client_process(c) >= 0);
        return busrt_client_get_state(c) == BUSRT_STATE_CONNECTED;
}

static uint64_t cpu_usec(void)
{
        struct rusage u;

        assert_int_equal(getrusage(RUSAGE_SELF, &u), 0);
        return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * SECOND +
               (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

/* Accepting is tried again a few times a second: nobody wakes for it more often. */
static uint64_t count_switches(void)
{
        struct rusage u;

        assert_int_equal(getrusage(RUSAGE_SELF, &u), 0);
        return (uint64_t)u.ru_nvcsw + (uint64_t)u.ru_nivcsw;
}

static void a_listener_waits_for_some(void **state)
{
        _cleanup_broker_ busrt_broker *b = new_broker();
        _cleanup_client_ busrt_client *waiting = new_client("waiting"), *c = NULL;
        struct troubles t = {0};
        struct pollfd nothing = {.fd = -1};
        uint64_t cpu, switches;

        assert_int_equal(busrt_broker_set_event_handler(b, see_trouble, &t), 0);
        assert_int_equal(busrt_broker_listen(b, place.path, 0), 0);
        assert_int_equal(busrt_broker_start(b), 0);
        c = joined(b, "c");
        allow_fds(1); /* the connecting end's */
        assert_int_equal(busrt_client_connect_start(waiting, place.path), 0);
        wait_until(in_trouble, &t);
        assert_string_equal(t.name, place.path);
        assert_string_equal(t.detail, "Too many open files");
        cpu = cpu_usec();
        switches = count_switches();
        assert_int_equal(poll(&nothing, 1, 1000), 0); /* what is measured: a second of trouble */
        switches = count_switches() - switches;
        print_message("%llu us of CPU, %llu wake-ups in a second without descriptors\n",
                      (unsigned long long)(cpu_usec() - cpu), (unsigned long long)switches);
        assert_true(switches < 200);
        assert_int_equal(t.n, 1);
        assert_int_equal(busrt_client_send(c, "c", IOV("x"), ACKED, NULL), 0);
        allow_fds(1000);
        wait_until(is_connected, waiting);
        assert_int_equal(t.n, 1);
        assert_int_equal(busrt_client_send(waiting, "c", IOV("y"), ACKED, NULL), 0);
        /* and the next time it is told again */
        t.n = 0;
        waiting = busrt_client_free(waiting);
        waiting = new_client("waiting");
        allow_fds(1);
        assert_int_equal(busrt_client_connect_start(waiting, place.path), 0);
        wait_until(in_trouble, &t);
        allow_fds(1000);
        wait_until(is_connected, waiting);
}

/* The same on the program's loop: the time to try again is among its timeouts. */
static void on_the_programs_loop(void **state)
{
        _cleanup_broker_ busrt_broker *b = new_broker();
        _cleanup_client_ busrt_client *waiting = new_client("waiting");
        struct troubles t = {0};

        assert_int_equal(busrt_broker_set_event_handler(b, see_trouble, &t), 0);
        assert_int_equal(busrt_broker_listen(b, place.path, 0), 0);
        settle(b);
        allow_fds(1);
        assert_int_equal(busrt_client_connect_start(waiting, place.path), 0);
        serve_until(b, in_trouble, &t);
        for (unsigned i = 0; i < 5; i++) {
                struct pollfd p = {.fd = busrt_broker_get_fd(b), .events = POLLIN};

                assert_true(span_of(b) <= SECOND || poll(&p, 1, 0) > 0);
                turn(b, SECOND);
        }
        assert_int_equal(t.n, 1);
        allow_fds(1000);
        serve_until(b, is_connected, waiting);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_broker_needs_some),
                cmocka_unit_test(a_client_here_needs_one),
                cmocka_unit_test(a_listener_waits_for_some),
                cmocka_unit_test(on_the_programs_loop),
        };

        return cmocka_run_group_tests(tests, place_make, place_remove);
}
