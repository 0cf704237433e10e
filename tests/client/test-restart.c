/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promise: a broker that is killed under load and started again gets all its clients back, with
 * their subscriptions and exclusions; each call that was under way ends with -ECONNRESET; nothing
 * is left behind. $BUSRT_TEST_ROUNDS says how often, 20 times by default. Times are told, not
 * judged.
 */
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>

#include "client-bed.h"
#include "real-broker.h"

#define ACKED BUSRT_QOS_PROCESSED
#define ROUNDS 20
#define HELD 8 /* calls under way when the broker dies, and one that blocks */
#define PATIENCE 60
#define BATCH 64 /* publications; and how long their coming is waited for */
#define BATCH_NSEC 10000000
#define GROWTH ((size_t)1 << 20) /* of the heap from the second round on: buffers that are kept */

enum role { SERVER, SUBSCRIBER, DISTANT, WAITER, PUBLISHER, CALLER, HOLDER, N_ROLES };
static const char *const names[N_ROLES] = {"server",    "subscriber", "distant", "waiter",
                                           "publisher", "caller",     "holder"};

/* What the threads tell, at any time: read with the lock. Who looks at it waits for `changed`. */
static struct world {
        pthread_mutex_t lock;
        pthread_cond_t changed;
        bool stop;
        enum busrt_state told[N_ROLES];    /* last */
        unsigned changes[N_ROLES];         /* of it, since the broker was killed */
        unsigned n_held;                   /* requests that the server has and does not answer */
        unsigned n_ended;                  /* of those, in this round */
        unsigned n_wrong_ends;             /* with another error */
        unsigned n_echoes, n_loads, n_got; /* n_got: loads of all rounds */
        unsigned marks[2], n_excluded;     /* what the subscriber got of the round's probes */
        uint64_t ended_at, back_at[2];     /* of most, and of the distant one */
        int wrong;                         /* an error that nobody may see */
} world = {.lock = PTHREAD_MUTEX_INITIALIZER};

static busrt_client *clients[N_ROLES];
static busrt_request *requests[HELD + 1]; /* the server's alone */

static void world_lock(void)
{
        pthread_mutex_lock(&world.lock);
}

static void world_unlock(void)
{
        pthread_cond_broadcast(&world.changed);
        pthread_mutex_unlock(&world.lock);
}

static bool is_stopped(void)
{
        bool stop;

        world_lock();
        stop = world.stop;
        pthread_mutex_unlock(&world.lock);
        return stop;
}

/* --- The clients' handlers --- */

static void on_state(busrt_client *c, enum busrt_state state, int error, void *userdata)
{
        size_t role = (size_t)userdata;

        world_lock();
        world.told[role] = state;
        world.changes[role]++;
        if (state == BUSRT_STATE_CONNECTED)
                world.back_at[role == DISTANT] = now_usec();
        world_unlock();
}

/* "hold" is never answered: what is kept of the last round is dropped in this. */
static void on_request(busrt_client *c, busrt_request *request, void *userdata)
{
        static size_t at;
        size_t len;
        const void *params = busrt_request_get_params(request, &len);
        struct iovec iov = {(void *)(uintptr_t)params, len};

        if (strcmp(busrt_request_get_method(request), "hold") != 0) {
                (void)busrt_request_reply(request, &iov, 1);
                return;
        }
        busrt_request_unref(requests[at % ARRAY_SIZE(requests)]);
        requests[at++ % ARRAY_SIZE(requests)] = busrt_request_ref(request);
        world_lock();
        world.n_held++;
        world_unlock();
}

static void on_frame(busrt_client *c, busrt_frame *frame, void *userdata)
{
        const char *topic = busrt_frame_get_topic(frame);
        unsigned mark = 0;
        size_t len;
        const void *payload = busrt_frame_get_payload(frame, &len);

        memcpy(&mark, payload, MIN(len, sizeof(mark)));
        world_lock();
        world.n_loads += strncmp(topic, "load/", 5) == 0;
        world.n_got++;
        world.n_excluded += strcmp(topic, "probe/not") == 0;
        if (strcmp(topic, "probe/one") == 0)
                world.marks[0] = mark;
        if (strcmp(topic, "other/two") == 0)
                world.marks[1] = mark;
        world_unlock();
}

static void on_end(int result)
{
        world_lock();
        world.n_wrong_ends += result != -ECONNRESET;
        world.n_ended++;
        world.ended_at = now_usec();
        world_unlock();
}

static void on_reply(busrt_client *c, int result, const busrt_rpc_error *error, busrt_frame *reply,
                     void *userdata)
{
        on_end(result);
}

/* --- The threads --- */

static void *run(void *userdata)
{
        (void)busrt_client_run(userdata);
        return NULL;
}

/* What a program may see of a broker that dies: anything else is remembered. */
static void expect(int r)
{
        if (r >= 0 || r == -ECONNRESET || r == -ENOTCONN || r == -EHOSTUNREACH)
                return;
        world_lock();
        world.wrong = r;
        world_unlock();
}

/* A load that its receiver can bear, or the broker would drop that as slow: more when some of the
 * last came, and a little in any case, since what was under way is lost with the broker. */
static void wait_for_some(unsigned got)
{
        struct timespec deadline;

        clock_gettime(CLOCK_MONOTONIC, &deadline);
        deadline.tv_nsec += BATCH_NSEC;
        if (deadline.tv_nsec >= 1000000000) {
                deadline.tv_sec++;
                deadline.tv_nsec -= 1000000000;
        }
        world_lock();
        while (world.n_got - got < BATCH / 2 && !world.stop &&
               pthread_cond_timedwait(&world.changed, &world.lock, &deadline) == 0)
                continue;
        pthread_mutex_unlock(&world.lock);
}

static unsigned n_got(void)
{
        unsigned n;

        world_lock();
        n = world.n_got;
        pthread_mutex_unlock(&world.lock);
        return n;
}

static void *publish(void *userdata)
{
        static const uint8_t bytes[100];
        struct iovec iov = {(void *)(uintptr_t)bytes, sizeof(bytes)};
        busrt_client *c = userdata;

        for (unsigned i = 0, got = 0; !is_stopped(); i++) {
                int r;

                if (i % BATCH == 0) {
                        wait_for_some(got);
                        got = n_got();
                }
                r = busrt_client_publish(c, "load/x", &iov, 1, i % 16 ? 0 : ACKED, NULL);

                if (r == -EAGAIN) /* the offline buffer is full */
                        r = busrt_client_wait_connected(c, BUSRT_TIMEOUT_INFINITE);
                expect(r);
        }
        return NULL;
}

static void *call(void *userdata)
{
        busrt_client *c = userdata;

        while (!is_stopped()) {
                int r = busrt_client_call(c, "server", "echo", IOV("x"), 0, BUSRT_TIMEOUT_INFINITE,
                                          NULL, NULL);

                expect(r);
                if (r == -ENOTCONN || r == -ECONNRESET)
                        (void)busrt_client_wait_connected(c, BUSRT_TIMEOUT_INFINITE);
                world_lock();
                world.n_echoes += r == 0;
                world_unlock();
        }
        return NULL;
}

/* One call each round that blocks until the broker dies. */
static void *hold(void *userdata)
{
        busrt_client *c = userdata;

        while (!is_stopped()) {
                int r = busrt_client_call(c, "server", "hold", NULL, 0, 0, BUSRT_TIMEOUT_INFINITE,
                                          NULL, NULL);

                expect(r);
                if (r == -ECONNRESET)
                        on_end(r);
                (void)busrt_client_wait_connected(c, BUSRT_TIMEOUT_INFINITE);
        }
        return NULL;
}

/* --- The test --- */

typedef bool (*condition)(unsigned round);

static void until(const char *what, condition holds, unsigned round)
{
        struct timespec deadline;
        unsigned changes[N_ROLES];
        int r = 0;

        clock_gettime(CLOCK_MONOTONIC, &deadline);
        deadline.tv_sec += PATIENCE;
        world_lock();
        while (!holds(round) && r == 0)
                r = pthread_cond_timedwait(&world.changed, &world.lock, &deadline);
        memcpy(changes, world.changes, sizeof(changes));
        pthread_mutex_unlock(&world.lock);
        for (size_t i = 0; r != 0 && i < N_ROLES; i++)
                print_error("%s: state %d, %u changes, %s\n", names[i],
                            busrt_client_get_state(clients[i]), changes[i],
                            busrt_strerror(busrt_client_error(clients[i])));
        if (r != 0)
                fail_msg("round %u: %s", round, what);
}

static bool all_held(unsigned round)
{
        return world.n_held >= (round + 1) * (HELD + 1);
}

static bool all_ended(unsigned round)
{
        return world.n_ended == HELD + 1;
}

/* Those who have a handler that is processed. The broker may have dropped one that was slow before
 * it died: that is away then, or back already, and comes back all the same. */
static bool all_back(unsigned round)
{
        for (size_t i = SERVER; i <= WAITER; i++)
                if (world.told[i] != BUSRT_STATE_CONNECTED || world.changes[i] == 0)
                        return false;
        return true;
}

static bool load_flows(unsigned round)
{
        return world.n_echoes > 10 && world.n_loads > 100;
}

static bool probes_came(unsigned round)
{
        return world.marks[0] == round + 1 && world.marks[1] == round + 1;
}

static busrt_client *make(enum role role, const char *address)
{
        static const char *const topics[] = {"load/+", "probe/#"}, *const more[] = {"other/+"},
                                 *const not [] = {"probe/not"};
        busrt_client *c;

        assert_int_equal(busrt_client_new(names[role], &c), 0);
        assert_int_equal(busrt_client_set_reconnect(c, BUSRT_TIMEOUT_INFINITE), 0);
        if (role != DISTANT) /* with the pauses of the library */
                assert_int_equal(busrt_client_set_reconnect_pause(c, 5 * MSEC, 50 * MSEC), 0);
        assert_int_equal(busrt_client_set_timeout(c, PATIENCE * SECOND), 0);
        if (role == PUBLISHER)
                assert_int_equal(busrt_client_set_offline_buffer(c, 65536), 0);
        assert_int_equal(busrt_client_set_state_handler(c, on_state, (void *)role), 0);
        if (role == SERVER)
                assert_int_equal(busrt_client_set_request_handler(c, on_request, NULL), 0);
        if (role == SUBSCRIBER)
                assert_int_equal(busrt_client_set_frame_handler(c, on_frame, NULL), 0);
        assert_int_equal(busrt_client_connect(c, address), 0);
        if (role == SUBSCRIBER) {
                assert_int_equal(busrt_client_subscribe(c, topics, 2, ACKED, NULL), 0);
                assert_int_equal(busrt_client_subscribe(c, more, 1, ACKED, NULL), 0);
                assert_int_equal(busrt_client_exclude(c, not, 1, ACKED, NULL), 0);
        }
        return c;
}

static void start_calls(void)
{
        for (int i = 0; i < HELD; i++) {
                int r;

                /* The server may come back a little later than the waiter. */
                r = busrt_client_call_async(clients[WAITER], "server", "hold", NULL, 0, 0,
                                            BUSRT_TIMEOUT_INFINITE, on_reply, NULL, NULL);
                assert_int_equal(r, 0);
        }
}

/* One that is back has asked for its subscriptions, which the broker may have yet to read. What the
 * same client sends afterwards is answered after they are there. */
static void wait_for_subscriptions(void)
{
        assert_int_equal(busrt_client_publish(clients[SUBSCRIBER], "nobody", IOV("x"), ACKED, NULL),
                         0);
}

/* In the order of one client: what is excluded would have come before what is not. */
static void send_probes(unsigned round)
{
        unsigned mark = round + 1;
        struct iovec iov = {&mark, sizeof(mark)};
        static const char *const topics[] = {"probe/not", "probe/one", "other/two"};

        for (size_t i = 0; i < ARRAY_SIZE(topics); i++)
                assert_int_equal(
                        busrt_client_publish(clients[WAITER], topics[i], &iov, 1, ACKED, NULL), 0);
}

static uint64_t time_since(uint64_t start, const uint64_t *end)
{
        uint64_t t;

        world_lock();
        t = *end - MIN(start, *end);
        pthread_mutex_unlock(&world.lock);
        return t;
}

static void assert_nothing_wrong(void)
{
        unsigned n_wrong_ends, n_excluded;
        int wrong;

        world_lock();
        n_wrong_ends = world.n_wrong_ends;
        n_excluded = world.n_excluded;
        wrong = world.wrong;
        pthread_mutex_unlock(&world.lock);
        assert_int_equal(n_wrong_ends, 0);
        assert_int_equal(n_excluded, 0);
        assert_int_equal(wrong, 0);
}

struct times {
        uint64_t *ended, *back[2];
};

static void one_round(struct real_broker *b, unsigned round, struct times *times)
{
        uint64_t killed, started;

        start_calls();
        until("calls arrive", all_held, round);
        until("load flows", load_flows, round);
        world_lock();
        memset(world.changes, 0, sizeof(world.changes));
        world_unlock();
        killed = now_usec();
        real_broker_kill(b);
        until("calls end", all_ended, round);
        assert_nothing_wrong();
        times->ended[round] = time_since(killed, &world.ended_at);
        world_lock();
        world.n_ended = world.n_echoes = world.n_loads = 0;
        world_unlock();
        real_broker_start_again(b);
        started = now_usec();
        until("clients come back", all_back, round);
        for (size_t i = 0; i < ARRAY_SIZE(times->back); i++)
                times->back[i][round] = time_since(started, &world.back_at[i]);
        wait_for_subscriptions();
        send_probes(round);
        until("subscriptions hold", probes_came, round);
        assert_nothing_wrong();
}

static int compare(const void *a, const void *b)
{
        const uint64_t *x = a, *y = b;

        return *x < *y ? -1 : *x > *y;
}

static void tell(const char *what, uint64_t *times, unsigned n)
{
        qsort(times, n, sizeof(times[0]), compare);
        print_message("%s: median %.1f ms, p99 %.1f ms, most %.1f ms\n", what,
                      (double)times[n / 2] / 1000, (double)times[n * 99 / 100] / 1000,
                      (double)times[n - 1] / 1000);
}

static unsigned n_rounds(void)
{
        const char *text = getenv("BUSRT_TEST_ROUNDS");
        int n = text ? atoi(text) : ROUNDS;

        return n > 0 ? (unsigned)n : ROUNDS;
}

static void start_threads(pthread_t *threads)
{
        void *(*const bodies[N_ROLES])(void *) = {run, run, run, run, publish, call, hold};

        for (size_t i = 0; i < N_ROLES; i++)
                assert_int_equal(pthread_create(&threads[i], NULL, bodies[i], clients[i]), 0);
}

static void stop_threads(pthread_t *threads)
{
        world_lock();
        world.stop = true;
        world_unlock();
        for (size_t i = 0; i < N_ROLES; i++)
                (void)busrt_client_disconnect(clients[i]);
        for (size_t i = 0; i < N_ROLES; i++)
                assert_int_equal(pthread_join(threads[i], NULL), 0);
        for (size_t i = 0; i < ARRAY_SIZE(requests); i++)
                busrt_request_unref(requests[i]);
        for (size_t i = 0; i < N_ROLES; i++)
                clients[i] = busrt_client_free(clients[i]);
}

static void all_come_back(void **state)
{
        struct real_broker *b = real_broker_start();
        unsigned rounds = n_rounds();
        uint64_t *memory = calloc(rounds, 3 * sizeof(*memory));
        struct times times = {memory, {memory + rounds, memory + 2 * rounds}};
        size_t n_fds, n_fds_before = count_fds(), heap = 0;
        pthread_t threads[N_ROLES];

        for (size_t i = 0; i < N_ROLES; i++)
                clients[i] =
                        make((enum role)i, i == DISTANT ? real_broker_tcp(b) : real_broker_path(b));
        n_fds = count_fds();
        start_threads(threads);
        for (unsigned i = 0; i < rounds; i++) {
                one_round(b, i, &times);
                if (i == 1)
                        heap = mallinfo2().uordblks;
        }
        if (rounds > 2)
                assert_in_range(mallinfo2().uordblks, 0, heap + GROWTH);
        stop_threads(threads);
        assert_int_equal(count_fds(), n_fds_before);
        assert_true(n_fds > n_fds_before);
        print_message("%u rounds\n", rounds);
        tell("calls ended after the kill", times.ended, rounds);
        tell("back after the start, pauses of 5 to 50 ms", times.back[0], rounds);
        tell("back after the start, pauses of 50 ms to 1 s", times.back[1], rounds);
        free(memory);
        real_broker_stop(b);
}

int main(void)
{
        const struct CMUnitTest tests[] = {cmocka_unit_test(all_come_back)};
        pthread_condattr_t attr;

        pthread_condattr_init(&attr);
        pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        pthread_cond_init(&world.changed, &attr);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
