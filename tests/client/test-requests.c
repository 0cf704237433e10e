/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promise: a request is replied to now or later, from any thread; it ends by its deadline or when
 * it is cancelled, and then its handler is told, and a late reply; no caller waits for ever.
 */
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "methods-bed.h"

#define N_WORKERS 4
#define N_CALLERS 4
#define N_CALLS 200
#define N_HELD (N_CALLERS * N_CALLS)

/* --- Later, and concurrently --- */

/* Requests in the order in which they came, taken by workers. */
static struct {
        pthread_mutex_t lock;
        sem_t filled;
        busrt_request *held[N_HELD];
        atomic_uint n, taken, wrong;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int hold(busrt_client *c, busrt_request *request, void *userdata)
{
        pthread_mutex_lock(&pool.lock);
        if (pool.n < N_HELD) {
                pool.held[pool.n++] = busrt_request_ref(request);
                sem_post(&pool.filled);
        }
        pthread_mutex_unlock(&pool.lock);
        return 0;
}

static busrt_request *pool_take(void)
{
        busrt_request *request;

        sem_wait(&pool.filled);
        pthread_mutex_lock(&pool.lock);
        request = pool.held[pool.taken++];
        pthread_mutex_unlock(&pool.lock);
        return request;
}

static void *work(void *userdata)
{
        for (unsigned i = 0; i < N_HELD / N_WORKERS; i++) {
                busrt_request *request = pool_take();

                if (echo(NULL, request, NULL) != 0)
                        atomic_fetch_add(&pool.wrong, 1);
                busrt_request_unref(request);
        }
        return NULL;
}

static void *call_often(void *userdata)
{
        busrt_client *c = userdata;

        for (unsigned i = 0; i < N_CALLS; i++) {
                busrt_frame *reply = NULL;
                struct iovec iov = {&i, sizeof(i)};
                size_t len = 0;
                const void *result;
                int r = busrt_client_call(c, "server", "hold", &iov, 1, 0, DEADLINE, NULL, &reply);

                result = busrt_frame_get_payload(reply, &len);
                if (r != 0 || len != sizeof(i) || memcmp(result, &i, len) != 0)
                        atomic_fetch_add(&pool.wrong, 1);
                busrt_frame_unref(reply);
        }
        return NULL;
}

static void concurrent_calls_are_answered_by_any_thread(void **state)
{
        const busrt_method methods[] = {{"hold", hold, NULL, DEADLINE}};
        pthread_t workers[N_WORKERS], callers[N_CALLERS];
        struct bed b;

        sem_init(&pool.filled, 0, 0);
        bed_start(&b, methods, 1);
        for (unsigned i = 0; i < N_WORKERS; i++)
                assert_int_equal(pthread_create(&workers[i], NULL, work, NULL), 0);
        for (unsigned i = 0; i < N_CALLERS; i++)
                assert_int_equal(pthread_create(&callers[i], NULL, call_often, b.caller), 0);
        for (unsigned i = 0; i < N_CALLERS; i++)
                assert_int_equal(pthread_join(callers[i], NULL), 0);
        for (unsigned i = 0; i < N_WORKERS; i++)
                assert_int_equal(pthread_join(workers[i], NULL), 0);
        assert_int_equal(pool.wrong, 0);
        assert_int_equal(busrt_client_count_requests(b.server), 0);
        bed_stop(&b);
        sem_destroy(&pool.filled);
}

/* --- A server in this thread, and callers that never block --- */

struct got {
        int done, result, code;
};

static void on_reply(busrt_client *c, int result, const busrt_rpc_error *error, busrt_frame *reply,
                     void *userdata)
{
        struct got *got = userdata;

        got->done++;
        got->result = result;
        got->code = error ? error->code : 0;
}

static void start_call(busrt_client *c, const char *method, struct got *got)
{
        *got = (struct got){0};
        assert_int_equal(busrt_client_call_async(c, "server", method, NULL, 0, 0, DEADLINE,
                                                 on_reply, got, NULL),
                         0);
}

/* What the server keeps. */
struct kept {
        busrt_request *requests[8];
        int n;
        int ended, result; /* as the end handler was told */
        unsigned calls;
};

static void on_end(busrt_client *c, busrt_request *request, int result, void *userdata)
{
        struct kept *k = userdata;

        k->ended++;
        k->result = result;
}

static int keep(busrt_client *c, busrt_request *request, void *userdata)
{
        struct kept *k = userdata;
        int r = busrt_request_set_end_handler(request, on_end, k);

        if (r == 0)
                k->requests[k->n++] = busrt_request_ref(request);
        return r;
}

static int count(busrt_client *c, busrt_request *request, void *userdata)
{
        ((struct kept *)userdata)->calls++;
        return busrt_request_reply(request, NULL, 0);
}

/* Neither replies nor keeps it. */
static int drop(busrt_client *c, busrt_request *request, void *userdata)
{
        ((struct kept *)userdata)->calls++;
        return 0;
}

static void kept_done(struct kept *k)
{
        while (k->n > 0)
                busrt_request_unref(k->requests[--k->n]);
        *k = (struct kept){0};
}

struct pair {
        busrt_client *server, *caller;
        struct kept kept;
};

static void pair_start(struct pair *p, uint64_t timeout)
{
        const busrt_method methods[] = {{"keep", keep, &p->kept, timeout},
                                        {"count", count, &p->kept, 0},
                                        {"drop", drop, &p->kept, 0}};

        *p = (struct pair){joined("server"), joined("caller"), {{0}, 0, 0, 0, 0}};
        assert_int_equal(busrt_client_add_methods(p->server, methods, 3), 0);
}

static void pair_stop(struct pair *p)
{
        kept_done(&p->kept);
        busrt_client_free(p->server);
        busrt_client_free(p->caller);
}

/* Both are processed, so that nothing depends on which wakes whom. */
static void run_until(struct pair *p, const int *n, int wanted)
{
        uint64_t until = now_usec() + DEADLINE;

        while (*n < wanted) {
                assert_true(now_usec() < until);
                if (p->server)
                        (void)busrt_client_process(p->server);
                (void)busrt_client_process(p->caller);
        }
}

static void a_deadline_answers_and_a_late_reply_is_told_so(void **state)
{
        struct pair p;
        struct got got;

        pair_start(&p, MSEC);
        start_call(p.caller, "keep", &got);
        run_until(&p, &got.done, 1);
        assert_int_equal(got.result, -EREMOTEIO);
        assert_int_equal(got.code, BUSRT_RPC_TIMEOUT);
        run_until(&p, &p.kept.ended, 1);
        assert_int_equal(p.kept.result, -ETIMEDOUT);
        assert_int_equal(busrt_request_reply(p.kept.requests[0], NULL, 0), -ETIMEDOUT);
        assert_int_equal(busrt_request_reply_error(p.kept.requests[0], -7, NULL, 0), -ETIMEDOUT);
        assert_int_equal(busrt_request_cancel(p.kept.requests[0], 0), -ETIMEDOUT);
        assert_int_equal(busrt_request_set_timeout(p.kept.requests[0], 1), -ETIMEDOUT);
        assert_int_equal(busrt_request_set_end_handler(p.kept.requests[0], on_end, &p.kept),
                         -EALREADY);
        assert_int_equal(busrt_client_count_requests(p.server), 0);
        assert_int_equal(p.kept.ended, 1);
        pair_stop(&p);
}

static void the_clients_timeout_holds_where_the_method_has_none(void **state)
{
        struct pair p;
        struct got got;

        pair_start(&p, 0);
        assert_int_equal(busrt_client_set_request_timeout(p.server, MSEC), 0);
        start_call(p.caller, "keep", &got);
        run_until(&p, &got.done, 1);
        assert_int_equal(got.code, BUSRT_RPC_TIMEOUT);
        pair_stop(&p);
}

/* The one that is set last holds; nobody is asked before its time. */
static void a_requests_own_timeout_holds(void **state)
{
        struct pair p;
        struct got got;

        pair_start(&p, DEADLINE);
        start_call(p.caller, "keep", &got);
        run_until(&p, &p.kept.n, 1);
        assert_int_equal(busrt_request_set_timeout(p.kept.requests[0], BUSRT_TIMEOUT_INFINITE), 0);
        assert_int_equal(busrt_request_set_timeout(p.kept.requests[0], DEADLINE), 0);
        assert_int_equal(busrt_request_set_timeout(p.kept.requests[0], 0), 0);
        run_until(&p, &got.done, 1);
        assert_int_equal(got.code, BUSRT_RPC_TIMEOUT);
        pair_stop(&p);
}

/* The deadline of a request wakes a server that sleeps for ever. */
static void a_deadline_wakes_a_sleeping_server(void **state)
{
        struct kept kept = {0};
        const busrt_method methods[] = {{"keep", keep, &kept, 5 * MSEC}};
        struct bed b;

        bed_start(&b, methods, 1);
        assert_int_equal(call_code(b.caller, "keep", NULL), BUSRT_RPC_TIMEOUT);
        bed_stop(&b);
        kept_done(&kept);
}

static void a_reply_in_time_ends_it_once(void **state)
{
        struct pair p;
        struct got got;

        pair_start(&p, DEADLINE);
        start_call(p.caller, "keep", &got);
        run_until(&p, &p.kept.n, 1);
        assert_int_equal(busrt_client_count_requests(p.server), 1);
        assert_int_equal(busrt_request_reply(p.kept.requests[0], NULL, 0), 0);
        assert_int_equal(busrt_request_cancel(p.kept.requests[0], -7), -EALREADY);
        assert_int_equal(busrt_request_set_timeout(p.kept.requests[0], 0), -EALREADY);
        assert_int_equal(busrt_request_set_end_handler(p.kept.requests[0], on_end, &p.kept),
                         -EALREADY);
        run_until(&p, &got.done, 1);
        assert_int_equal(got.result, 0);
        assert_int_equal(busrt_client_count_requests(p.server), 0);
        assert_int_equal(p.kept.ended, 0);
        pair_stop(&p);
}

static void a_cancelled_request_is_answered_and_its_handler_told(void **state)
{
        struct pair p;
        struct got got;

        pair_start(&p, DEADLINE);
        start_call(p.caller, "keep", &got);
        run_until(&p, &p.kept.n, 1);
        assert_int_equal(busrt_request_cancel(p.kept.requests[0], INT16_MAX + 1), -EINVAL);
        assert_int_equal(busrt_request_cancel(p.kept.requests[0], BUSRT_RPC_BUSY), 0);
        assert_int_equal(busrt_request_cancel(p.kept.requests[0], BUSRT_RPC_BUSY), -ECANCELED);
        assert_int_equal(busrt_request_reply(p.kept.requests[0], NULL, 0), -ECANCELED);
        assert_int_equal(p.kept.ended, 0); /* never inside the call */
        run_until(&p, &got.done, 1);
        assert_int_equal(got.code, BUSRT_RPC_BUSY);
        run_until(&p, &p.kept.ended, 1);
        assert_int_equal(p.kept.result, -ECANCELED);
        pair_stop(&p);
}

static void an_end_handler_may_be_taken_back_and_set_again(void **state)
{
        struct pair p;
        struct got got;

        pair_start(&p, DEADLINE);
        start_call(p.caller, "keep", &got);
        run_until(&p, &p.kept.n, 1);
        assert_int_equal(busrt_request_cancel(p.kept.requests[0], -7), 0);
        assert_int_equal(busrt_request_set_end_handler(p.kept.requests[0], NULL, NULL), 0);
        run_until(&p, &got.done, 1);
        while (busrt_client_process(p.server) == 1)
                continue;
        assert_int_equal(p.kept.ended, 0);
        assert_int_equal(busrt_request_set_end_handler(p.kept.requests[0], on_end, &p.kept), 0);
        run_until(&p, &p.kept.ended, 1);
        assert_int_equal(p.kept.result, -ECANCELED);
        pair_stop(&p);
}

static void all_of_one_sender_are_cancelled(void **state)
{
        struct pair p;
        struct got got, other_got, second_got;
        _cleanup_client_ busrt_client *other = joined("caller2"), *second = NULL;

        pair_start(&p, DEADLINE);
        assert_int_equal(busrt_client_new_secondary(p.caller, "x", &second), 0);
        assert_int_equal(busrt_client_connect(second, real_broker_path(broker)), 0);
        start_call(p.caller, "keep", &got);
        start_call(other, "keep", &other_got);
        start_call(second, "keep", &second_got);
        run_until(&p, &p.kept.n, 3);
        assert_int_equal(busrt_client_count_requests(p.server), 3);
        assert_int_equal(busrt_client_cancel_requests(p.server, "caller3", -7), 0);
        assert_int_equal(busrt_client_cancel_requests(p.server, "caller", 0), 2);
        run_until(&p, &p.kept.ended, 2);
        assert_int_equal(busrt_client_count_requests(p.server), 1);
        assert_int_equal(got.done, 0); /* nothing is sent */
        assert_int_equal(busrt_client_cancel_requests(p.server, NULL, -7), 1);
        assert_int_equal(busrt_client_cancel_requests(p.server, NULL, -7), 0);
        run_until(&p, &p.kept.ended, 3);
        while (!other_got.done)
                assert_true(busrt_client_process(other) >= 0);
        assert_int_equal(other_got.code, -7);
        pair_stop(&p);
}

/* Before its turn: no handler is called for it. */
static void a_request_that_waits_is_cancelled_too(void **state)
{
        struct pair p;
        struct got got[2];
        ssize_t n;

        pair_start(&p, 0);
        start_call(p.caller, "count", &got[0]);
        do {
                /* A read takes what has come, and calls no handler. */
                busrt_frame *frame;

                assert_int_equal(busrt_client_read(p.server, MSEC, &frame), -ETIMEDOUT);
                n = busrt_client_cancel_requests(p.server, NULL, -7);
        } while (n == 0);
        assert_int_equal(n, 1);
        start_call(p.caller, "count", &got[1]);
        run_until(&p, &got[1].done, 1);
        assert_int_equal(got[0].code, -7);
        assert_int_equal(p.kept.calls, 1);
        pair_stop(&p);
}

static void no_more_are_open_than_allowed(void **state)
{
        struct pair p;
        struct got got[3];

        pair_start(&p, DEADLINE);
        assert_int_equal(busrt_client_set_max_requests(p.server, 2), 0);
        for (int i = 0; i < 3; i++)
                start_call(p.caller, "keep", &got[i]);
        run_until(&p, &got[2].done, 1);
        assert_int_equal(got[2].code, BUSRT_RPC_BUSY);
        assert_int_equal(p.kept.n, 2);
        assert_int_equal(busrt_request_reply(p.kept.requests[0], NULL, 0), 0);
        start_call(p.caller, "count", &got[2]);
        run_until(&p, &got[2].done, 1);
        assert_int_equal(got[2].result, 0);
        pair_stop(&p);
}

static void what_nobody_waits_for_ends_in_silence(void **state)
{
        struct pair p;
        struct got got;

        pair_start(&p, MSEC);
        assert_int_equal(
                busrt_client_call0(p.caller, "server", "keep", NULL, 0, BUSRT_QOS_PROCESSED, NULL),
                0);
        run_until(&p, &p.kept.ended, 1);
        assert_int_equal(p.kept.result, -ETIMEDOUT);
        assert_int_equal(
                busrt_client_call0(p.caller, "server", "none", NULL, 0, BUSRT_QOS_PROCESSED, NULL),
                0);
        start_call(p.caller, "count", &got);
        run_until(&p, &got.done, 1);
        /* and no message came */
        assert_int_equal(busrt_client_read(p.caller, 0, &(busrt_frame *){NULL}), -EAGAIN);
        pair_stop(&p);
}

static void closing_ends_what_is_open(void **state)
{
        struct pair p;
        struct got got;

        pair_start(&p, DEADLINE);
        start_call(p.caller, "keep", &got);
        run_until(&p, &p.kept.n, 1);
        assert_int_equal(busrt_client_disconnect(p.server), 0);
        run_until(&p, &p.kept.ended, 1);
        assert_int_equal(p.kept.result, -ECONNRESET);
        assert_int_equal(busrt_client_count_requests(p.server), 0);
        assert_int_equal(busrt_request_reply(p.kept.requests[0], NULL, 0), -ENOTCONN);
        p.server = busrt_client_free(p.server);
        assert_int_equal(busrt_request_reply(p.kept.requests[0], NULL, 0), -ECONNRESET);
        assert_int_equal(busrt_request_set_end_handler(p.kept.requests[0], on_end, NULL),
                         -ECONNRESET);
        assert_int_equal(busrt_request_cancel(p.kept.requests[0], 0), -ECONNRESET);
        pair_stop(&p);
}

/* Until a request waits for its handler. */
static void call_and_wait(struct pair *p, const char *method, struct got *got)
{
        uint64_t due = 1;

        while (busrt_client_process(p->server) == 1)
                continue;
        start_call(p->caller, method, got);
        while (due != 0) {
                busrt_frame *frame;

                assert_int_equal(busrt_client_read(p->server, MSEC, &frame), -ETIMEDOUT);
                assert_int_equal(busrt_client_get_timeout(p->server, &due), 0);
        }
}

static void a_request_whose_turn_comes_after_the_close_is_told_of_it(void **state)
{
        struct pair p;
        struct got got;

        pair_start(&p, DEADLINE);
        call_and_wait(&p, "keep", &got);
        assert_int_equal(busrt_client_disconnect(p.server), 0);
        run_until(&p, &p.kept.ended, 1);
        assert_int_equal(p.kept.result, -ECONNRESET);
        pair_stop(&p);
}

static void what_is_dropped_after_the_close_is_not_found_any_more(void **state)
{
        struct pair p;
        struct got got;

        pair_start(&p, DEADLINE);
        call_and_wait(&p, "drop", &got);
        assert_int_equal(busrt_client_disconnect(p.server), 0);
        while (busrt_client_process(p.server) == 1)
                continue;
        assert_int_equal(p.kept.calls, 1);
        assert_int_equal(busrt_client_count_requests(p.server), 0);
        assert_int_equal(busrt_client_cancel_requests(p.server, NULL, -7), 0);
        pair_stop(&p);
}

static int wrong_in_child(busrt_client *server, busrt_request *request)
{
        int wrong = 0;

        wrong += busrt_request_reply(request, NULL, 0) != -ECHILD;
        wrong += busrt_request_reply_error(request, -7, NULL, 0) != -ECHILD;
        wrong += busrt_request_cancel(request, -7) != -ECHILD;
        wrong += busrt_request_set_timeout(request, 0) != -ECHILD;
        wrong += busrt_request_set_end_handler(request, on_end, NULL) != -ECHILD;
        wrong += busrt_request_unref(request) != NULL;
        wrong += busrt_client_free(server) != NULL;
        return wrong;
}

static void after_fork_a_request_is_the_parents(void **state)
{
        struct pair p;
        struct got got;
        int status;
        pid_t pid;

        pair_start(&p, DEADLINE);
        start_call(p.caller, "keep", &got);
        run_until(&p, &p.kept.n, 1);
        pid = fork();
        if (pid == 0)
                _exit(wrong_in_child(p.server, p.kept.requests[0]));
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        assert_int_equal(busrt_request_reply(p.kept.requests[0], NULL, 0), 0);
        run_until(&p, &got.done, 1);
        assert_int_equal(got.result, 0);
        pair_stop(&p);
}

/* --- Cancelling, replying, and giving up, all at once --- */

static void *cancel_often(void *userdata)
{
        busrt_client *c = userdata;

        while (!atomic_load(&pool.wrong)) {
                ssize_t n = busrt_client_cancel_requests(c, NULL, -9);

                if (n < 0)
                        return NULL;
        }
        return NULL;
}

static int give_to_nobody(busrt_client *c, busrt_request *request, void *userdata)
{
        (void)busrt_request_set_timeout(request, 1);
        return hold(c, request, userdata);
}

static void *give_up(void *userdata)
{
        for (unsigned i = 0; i < N_HELD; i++) {
                busrt_request *request = pool_take();

                if (i % 3 == 0)
                        (void)busrt_request_reply(request, NULL, 0);
                else if (i % 3 == 1)
                        (void)busrt_request_set_end_handler(request, on_end, userdata);
                busrt_request_unref(request);
        }
        return NULL;
}

static void every_call_gets_one_answer_however_it_ends(void **state)
{
        const busrt_method methods[] = {{"hold", give_to_nobody, NULL, 0}};
        struct kept kept = {0};
        pthread_t giver, canceller;
        struct got got[8];
        struct bed b;

        pool.n = pool.taken = 0;
        sem_init(&pool.filled, 0, 0);
        bed_start(&b, methods, 1);
        assert_int_equal(pthread_create(&giver, NULL, give_up, &kept), 0);
        assert_int_equal(pthread_create(&canceller, NULL, cancel_often, b.server), 0);
        for (unsigned i = 0; i < N_HELD * 2 && pool.n < N_HELD; i += 8) {
                struct pair p = {NULL, b.caller, {{0}, 0, 0, 0, 0}};

                for (unsigned k = 0; k < 8; k++)
                        start_call(b.caller, "hold", &got[k]);
                for (unsigned k = 0; k < 8; k++)
                        run_until(&p, &got[k].done, 1);
        }
        /* The giver waits for requests that were cancelled before their turn. */
        atomic_store(&pool.wrong, 1);
        assert_int_equal(pthread_join(canceller, NULL), 0);
        while (pool.n < N_HELD)
                (void)call_code(b.caller, "hold", NULL);
        assert_int_equal(pthread_join(giver, NULL), 0);
        bed_stop(&b);
        sem_destroy(&pool.filled);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(concurrent_calls_are_answered_by_any_thread),
                cmocka_unit_test(a_deadline_answers_and_a_late_reply_is_told_so),
                cmocka_unit_test(the_clients_timeout_holds_where_the_method_has_none),
                cmocka_unit_test(a_requests_own_timeout_holds),
                cmocka_unit_test(a_deadline_wakes_a_sleeping_server),
                cmocka_unit_test(a_reply_in_time_ends_it_once),
                cmocka_unit_test(a_cancelled_request_is_answered_and_its_handler_told),
                cmocka_unit_test(an_end_handler_may_be_taken_back_and_set_again),
                cmocka_unit_test(all_of_one_sender_are_cancelled),
                cmocka_unit_test(a_request_that_waits_is_cancelled_too),
                cmocka_unit_test(no_more_are_open_than_allowed),
                cmocka_unit_test(what_nobody_waits_for_ends_in_silence),
                cmocka_unit_test(closing_ends_what_is_open),
                cmocka_unit_test(a_request_whose_turn_comes_after_the_close_is_told_of_it),
                cmocka_unit_test(what_is_dropped_after_the_close_is_not_found_any_more),
                cmocka_unit_test(after_fork_a_request_is_the_parents),
                cmocka_unit_test(every_call_gets_one_answer_however_it_ends),
        };

        return cmocka_run_group_tests(tests, start, stop);
}
