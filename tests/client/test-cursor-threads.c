/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promise: many cursors of many callers, which many threads answer for, give each item once and in
 * order; and what the program has in them is given back once.
 */
#include "cursor-bed.h"
#include "methods-bed.h"

#define N_CALLERS 4
#define N_ROUNDS 60
#define N_WORKERS 3

/* Cursors that workers answer for; each counts for itself. */
struct job {
        busrt_cursor *cursor;
        uint32_t at, total;
        size_t wanted;
        struct job *next;
};

static struct {
        pthread_mutex_t lock;
        pthread_cond_t changed;
        struct job *jobs;
        bool over;
        atomic_uint n_opened, n_freed;
} works;

static int hand_over(busrt_cursor *cursor, size_t wanted, void *userdata)
{
        struct job *job = userdata;

        pthread_mutex_lock(&works.lock);
        job->cursor = cursor;
        job->wanted = wanted;
        job->next = works.jobs;
        works.jobs = job;
        pthread_cond_signal(&works.changed);
        pthread_mutex_unlock(&works.lock);
        return BUSRT_CURSOR_LATER;
}

static void job_free(void *userdata)
{
        atomic_fetch_add(&works.n_freed, 1);
        free(userdata);
}

static int open_job(busrt_client *c, busrt_request *request, void *userdata)
{
        struct job *job = calloc(1, sizeof(*job));
        int r;

        if (!job)
                return -ENOMEM;
        job->total = atomic_fetch_add(&works.n_opened, 1) % 50;
        r = busrt_request_reply_cursor(request, hand_over, job_free, job, BUSRT_TIMEOUT_DEFAULT);
        if (r < 0)
                job_free(job);
        return r;
}

static void do_job(struct job *job)
{
        busrt_cursor *cursor = job->cursor;
        int answer = BUSRT_CURSOR_MORE;

        /* In parts of three. */
        for (size_t i = 0; i < 3 && i < job->wanted && job->at < job->total; i++)
                if (put_number(cursor, job->at) == 0)
                        job->at++;
        if (job->at == job->total)
                answer = BUSRT_CURSOR_END;
        assert_int_equal(busrt_cursor_continue(cursor, answer), 0);
}

static void *work(void *userdata)
{
        struct job *job;

        pthread_mutex_lock(&works.lock);
        while (!works.over || works.jobs) {
                job = works.jobs;
                if (!job) {
                        pthread_cond_wait(&works.changed, &works.lock);
                        continue;
                }
                works.jobs = job->next;
                pthread_mutex_unlock(&works.lock);
                do_job(job);
                pthread_mutex_lock(&works.lock);
        }
        pthread_mutex_unlock(&works.lock);
        return NULL;
}

static void one_round(busrt_client *c, unsigned number)
{
        _cleanup_fetch_ busrt_fetch *f = NULL;
        const void *data;
        uint32_t n = 0;
        size_t len;
        int r;

        assert_int_equal(
                busrt_fetch_open(c, "server", "open", NULL, 0, &cursor_methods, DEADLINE, NULL, &f),
                0);
        assert_int_equal(busrt_fetch_set_bulk(f, number % 13 + 1), 0);
        while ((r = busrt_fetch_item(f, DEADLINE, NULL, &data, &len)) == 1) {
                assert_int_equal(number_decode(data), n++);
                if (number % 5 == 0 && n == number % 40) {
                        assert_int_equal(busrt_fetch_cancel(f), 0);
                        return;
                }
        }
        assert_int_equal(r, 0);
}

static void *be_caller(void *userdata)
{
        unsigned number = (unsigned)(uintptr_t)userdata;
        char name[16];
        busrt_client *c;

        snprintf(name, sizeof(name), "caller.%u", number);
        c = joined(name);
        for (unsigned i = 0; i < N_ROUNDS; i++)
                one_round(c, number + i);
        busrt_client_free(c);
        return NULL;
}

static void many_cursors_and_threads_at_once(void **state)
{
        const busrt_method methods[] = {{"open", open_job, NULL, 0}};
        pthread_t workers[N_WORKERS], callers[N_CALLERS];
        struct bed b;

        pthread_mutex_init(&works.lock, NULL);
        pthread_cond_init(&works.changed, NULL);
        bed_start(&b, methods, 1);
        assert_int_equal(busrt_client_add_cursor_methods(b.server, &cursor_methods), 0);
        for (size_t i = 0; i < N_WORKERS; i++)
                assert_int_equal(pthread_create(&workers[i], NULL, work, NULL), 0);
        for (size_t i = 0; i < N_CALLERS; i++)
                assert_int_equal(pthread_create(&callers[i], NULL, be_caller, (void *)i), 0);
        for (size_t i = 0; i < N_CALLERS; i++)
                assert_int_equal(pthread_join(callers[i], NULL), 0);
        pthread_mutex_lock(&works.lock);
        works.over = true;
        pthread_cond_broadcast(&works.changed);
        pthread_mutex_unlock(&works.lock);
        for (size_t i = 0; i < N_WORKERS; i++)
                assert_int_equal(pthread_join(workers[i], NULL), 0);
        bed_stop(&b);
        assert_int_equal(works.n_opened, N_CALLERS * N_ROUNDS);
        assert_int_equal(works.n_freed, works.n_opened);
}

/* --- Fetches that are freed by one thread while another runs their handlers --- */

#define N_FETCHES 2000

static atomic_uint told_late; /* outlives every handler */

static void note_more(busrt_fetch *f, int result, const busrt_rpc_error *error, void *userdata)
{
        atomic_fetch_add((atomic_uint *)userdata, 1);
}

static void *run_caller(void *userdata)
{
        assert_int_equal(busrt_client_run(userdata), -ESHUTDOWN);
        return NULL;
}

static void one_fetch(busrt_client *c, const void *payload, size_t len, unsigned number)
{
        uint64_t until = now_usec() + DEADLINE;
        static atomic_uint n_told;
        busrt_fetch *f;
        int r;

        assert_int_equal(busrt_fetch_new(c, "server", payload, len, &cursor_methods, &f), 0);
        assert_int_equal(busrt_fetch_set_bulk(f, 1), 0);
        for (unsigned i = 0; i < number % 4; i++) {
                unsigned before = atomic_load(&n_told);
                const void *data;
                size_t item_len;

                assert_int_equal(busrt_fetch_more(f, DEADLINE, note_more, &n_told), 0);
                while (atomic_load(&n_told) == before)
                        assert_true(now_usec() < until);
                /* The handler may be running still. */
                while ((r = busrt_fetch_item(f, 0, NULL, &data, &item_len)) == 1)
                        continue;
                assert_int_equal(r, -EAGAIN);
        }
        /* The last is not waited for. */
        assert_int_equal(busrt_fetch_more(f, DEADLINE, note_more, &told_late), 0);
        for (unsigned i = 0; i < number % 50; i++)
                (void)busrt_client_count_cursors(c);
        busrt_fetch_free(f);
}

static void fetches_are_freed_while_their_handlers_run(void **state)
{
        struct counter counter = {.total = UINT32_MAX};
        const busrt_method methods[] = {{"open", open_counter, &counter, 0}};
        busrt_frame *opening;
        pthread_t loop;
        struct bed b;

        bed_start(&b, methods, 1);
        assert_int_equal(busrt_client_add_cursor_methods(b.server, &cursor_methods), 0);
        assert_int_equal(
                busrt_client_call(b.caller, "server", "open", NULL, 0, 0, DEADLINE, NULL, &opening),
                0);
        assert_int_equal(pthread_create(&loop, NULL, run_caller, b.caller), 0);
        for (unsigned i = 0; i < N_FETCHES; i++) {
                size_t len;
                const void *payload = busrt_frame_get_payload(opening, &len);

                one_fetch(b.caller, payload, len, i);
        }
        busrt_frame_unref(opening);
        assert_int_equal(busrt_client_disconnect(b.caller), 0);
        assert_int_equal(pthread_join(loop, NULL), 0);
        bed_stop(&b);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(many_cursors_and_threads_at_once),
                cmocka_unit_test(fetches_are_freed_while_their_handlers_run),
        };

        return cmocka_run_group_tests(tests, start, stop);
}
