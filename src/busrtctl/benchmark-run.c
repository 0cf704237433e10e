/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One stage: its workers' clients are connected, the workers warm up, wait for each other, and are
 * measured from the moment when all begin to the moment when the last is through. Meanwhile the
 * main thread keeps the verb's own connection alive, draws, and waits for Ctrl-C.
 */
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>

#include "basic/macro.h"
#include "busrtctl/benchmark.h"
#include "busrtctl/progress.h"

#define SLICE_MSEC 100
#define WARM_UP_ITERS 5000
#define WARM_UP_NSEC (NSEC_PER_SEC / 2)
/* After Ctrl-C what is on its way may still arrive. */
#define FINISH_NSEC NSEC_PER_SEC
/* To tell a broker that is gone from one that put one client out. */
#define ALIVE_USEC 2000000

/* --- Threads --- */

static void take_sample(const struct load *load, struct sample *ret)
{
        ret->broker_cpu = benchmark_broker_cpu(load->broker);
        ret->own_cpu = clock_nsec(CLOCK_PROCESS_CPUTIME_ID);
        ret->time = clock_nsec(CLOCK_MONOTONIC);
}

static void tell_main(struct load *load)
{
        static const uint64_t one = 1;

        (void)!write(load->event_fd, &one, sizeof(one));
}

static int warm_up(struct worker *worker)
{
        uint64_t target = worker->target;
        int r;

        if (worker->load->stage->idle)
                return 0;
        worker->target = MIN(target, (uint64_t)WARM_UP_ITERS);
        worker->deadline = clock_nsec(CLOCK_MONOTONIC) + WARM_UP_NSEC;
        r = worker->load->stage->work(worker);
        memset(worker->histogram, 0, sizeof(*worker->histogram));
        atomic_store(&worker->done, 0);
        worker->target = target;
        return r;
}

static void *run_worker(void *userdata)
{
        struct worker *worker = userdata;
        struct load *load = worker->load;
        int r = warm_up(worker);

        atomic_fetch_add(&load->ready, 1);
        tell_main(load);
        (void)pthread_mutex_lock(&load->gate);
        (void)pthread_mutex_unlock(&load->gate);
        worker->deadline = clock_nsec(CLOCK_MONOTONIC) + load->options->limit * NSEC_PER_USEC;
        if (r >= 0)
                r = load->stage->work(worker);
        if (r < 0 && !worker->failure)
                worker->error = r;
        /* The last one says when it was over. */
        if (atomic_fetch_sub(&load->running, 1) == 1)
                take_sample(load, &load->end);
        tell_main(load);
        return NULL;
}

/* --- The main thread --- */

static uint64_t count_done(const struct load *load)
{
        uint64_t done = 0;

        for (unsigned i = 0; i < load->n_workers; i++)
                done += atomic_load_explicit(&load->workers[i].done, memory_order_relaxed);
        return done;
}

/* Wakes up at least ten times a second. */
static void wait_for_event(struct load *load)
{
        struct pollfd fds[] = {
                {.fd = load->event_fd, .events = POLLIN},
                {.fd = load->lost ? -1 : busrt_client_get_fd(load->control), .events = POLLIN},
                {.fd = interrupted() ? -1 : interrupt_fd(), .events = POLLIN},
        };
        uint64_t count;
        int r = 1;

        if (poll(fds, ARRAY_SIZE(fds), SLICE_MSEC) > 0 && fds[0].revents)
                (void)!read(load->event_fd, &count, sizeof(count));
        while (!load->lost && r > 0)
                r = busrt_client_process(load->control);
        if (r < 0) {
                load->lost = true;
                atomic_store(&load->stop, true);
        }
}

/* Until the counter is what it is to be. */
static void wait_for_workers(struct load *load, atomic_uint *counter, unsigned wanted,
                             struct progress *progress)
{
        uint64_t finish = UINT64_MAX;

        while (atomic_load(counter) != wanted) {
                wait_for_event(load);
                if (interrupted() && finish == UINT64_MAX) {
                        finish = clock_nsec(CLOCK_MONOTONIC) + FINISH_NSEC;
                        atomic_store(&load->finish, true);
                }
                if (clock_nsec(CLOCK_MONOTONIC) >= finish)
                        atomic_store(&load->stop, true);
                if (!progress)
                        continue;
                progress->messages = count_done(load);
                progress_update(progress);
        }
}

static int prepare_worker(struct load *load, unsigned index, uint64_t target)
{
        struct worker *worker = &load->workers[index];
        int r;

        worker->load = load;
        worker->index = index;
        worker->target = target;
        worker->histogram = calloc(1, sizeof(*worker->histogram));
        if (!worker->histogram)
                return worker_fail(worker, -ENOMEM, "no memory");
        r = benchmark_payload_init(&worker->payload, load->stage->payload ? load->stage->payload
                                                                          : load->options->payload);
        if (r < 0)
                return worker_fail(worker, r, "no memory");
        return interrupted() ? -ECANCELED : load->stage->prepare(worker);
}

/* What each worker is to do: the iterations that are asked for are all of theirs. */
static uint64_t share(const struct load *load)
{
        const struct stage *stage = load->stage;
        uint64_t all = load->options->iters / MAX(stage->divisor, UINT64_C(1));

        if (stage->capacity > 0)
                all = MIN(all, stage->capacity / stage->payload);
        return MAX(all / load->n_workers, UINT64_C(1));
}

static int prepare_all(struct load *load)
{
        int r = 0;

        for (unsigned i = 0; r >= 0 && i < load->n_workers; i++) {
                r = prepare_worker(load, i, share(load));
                /* So that pings are sent. */
                (void)busrt_client_process(load->control);
        }
        return r;
}

/* They stop at the gate. All of them, or none is left. */
static int start_threads(struct load *load)
{
        for (unsigned i = 0; i < load->n_workers; i++) {
                struct worker *worker = &load->workers[i];
                int error;

                worker->started = true;
                error = pthread_create(&worker->thread, NULL, run_worker, worker);
                if (error == 0)
                        continue;
                worker->started = false;
                return worker_fail(worker, -error, "cannot start %u threads: %s", load->n_workers,
                                   strerrordesc_np(error));
        }
        return 0;
}

static void join_threads(struct load *load)
{
        for (unsigned i = 0; i < load->n_workers; i++)
                if (load->workers[i].started)
                        (void)pthread_join(load->workers[i].thread, NULL);
}

static int measure(struct load *load)
{
        struct progress progress;
        int r;

        (void)pthread_mutex_init(&load->gate, NULL);
        (void)pthread_mutex_lock(&load->gate);
        atomic_store(&load->running, load->n_workers);
        r = start_threads(load);
        if (r >= 0)
                wait_for_workers(load, &load->ready, load->n_workers, NULL);
        take_sample(load, &load->begin);
        (void)pthread_mutex_unlock(&load->gate);
        if (r >= 0) {
                progress_init(&progress, share(load) * load->n_workers, false);
                progress.label = load->stage->name;
                wait_for_workers(load, &load->running, 0, &progress);
                progress_clear(&progress);
        }
        join_threads(load);
        (void)pthread_mutex_destroy(&load->gate);
        return r;
}

/* --- Outcome --- */

static bool broker_is_alive(struct load *load)
{
        int r = busrt_client_call(load->control, ".broker", "test", NULL, 0, 0, ALIVE_USEC, NULL,
                                  NULL);

        return !load->lost && (r >= 0 || r == -EREMOTEIO);
}

static bool is_about_connection(int error)
{
        return error == -ECONNRESET || error == -ENOTCONN || error == -EPIPE ||
               error == -ETIMEDOUT || error == -EPROTO || error == -ECONNREFUSED ||
               error == -ENOENT || error == -EIO;
}

/* What a client of ours got means here. */
static const char *explain(int error)
{
        switch (error) {
        case -ECONNRESET:
        case -ENOTCONN:
        case -EPIPE:
                return "the broker put it out, and lives: what was on its way was more than its "
                       "queue holds, unless the broker's log says otherwise (--window sets how "
                       "many frames may be on their way)";
        case -ENOBUFS:
                return "its queue in the broker overflowed (--window sets how many frames may be "
                       "on their way)";
        case -EHOSTUNREACH:
                return "the broker no longer knows it: its queue overflowed, unless the broker's "
                       "log says otherwise";
        default:
                return busrt_strerror(error);
        }
}

static void describe_failure(struct load *load, char **ret)
{
        const struct worker *worker = atomic_load(&load->failed);
        const char *name = load->stage->name, *text = worker ? worker->failure : NULL;
        int r;

        if (load->lost ||
            ((!worker || is_about_connection(worker->error)) && !broker_is_alive(load)))
                r = asprintf(ret, "stage %s: the broker is gone, or does not answer any more",
                             name);
        else
                r = asprintf(ret, "stage %s: %s%s%s", name, text ? text : "no memory",
                             worker && worker->explained ? ": " : "",
                             worker && worker->explained ? explain(worker->error) : "");
        if (r < 0)
                *ret = NULL;
}

static bool was_canceled(const struct load *load)
{
        for (unsigned i = 0; i < load->n_workers; i++)
                if (load->workers[i].error < 0)
                        return true;
        return false;
}

/* What comes twice may come last. */
static int check_rest(struct load *load)
{
        int r = 0;

        for (unsigned i = 0; r >= 0 && i < load->n_workers; i++) {
                struct worker *worker = &load->workers[i];

                if (worker->crowd)
                        r = crowd_check_rest(worker);
                else if (worker->client)
                        r = worker_check_rest(worker, worker->client);
                if (r >= 0 && worker->peer)
                        r = worker_check_rest(worker, worker->peer);
        }
        return r;
}

static int make_outcome(const struct load *load, struct outcome *ret)
{
        struct outcome outcome = {
                .stage = load->stage,
                .workers = load->n_workers,
                .payload = load->workers[0].payload.len,
                .done = count_done(load),
                .nsec = load->end.time - load->begin.time,
                .own_cpu = load->end.own_cpu - load->begin.own_cpu,
                .memory_before = load->memory_before,
                .memory_after = load->memory_after,
        };

        if (load->end.broker_cpu > load->begin.broker_cpu)
                outcome.broker_cpu = load->end.broker_cpu - load->begin.broker_cpu;
        outcome.end = interrupted() ? END_INTERRUPT
                      : !load->stage->idle && outcome.done < share(load) * load->n_workers
                              ? END_TIME
                              : END_COUNT;
        outcome.histogram = calloc(1, sizeof(*outcome.histogram));
        if (!outcome.histogram)
                return -ENOMEM;
        for (unsigned i = 0; i < load->n_workers; i++)
                histogram_merge(outcome.histogram, load->workers[i].histogram);
        if (outcome.histogram->count == 0) {
                free(outcome.histogram);
                outcome.histogram = NULL;
        }
        *ret = outcome;
        return 0;
}

static void load_done(struct load *load)
{
        for (unsigned i = 0; load->workers && i < load->n_workers; i++) {
                struct worker *worker = &load->workers[i];

                worker->crowd = crowd_free(worker->crowd);
                busrt_client_free(worker->client);
                busrt_client_free(worker->peer);
                benchmark_payload_done(&worker->payload);
                free(worker->nobody);
                free(worker->histogram);
                free(worker->failure);
        }
        free(load->workers);
        close_fd(load->event_fd);
}

static int run(struct load *load, struct outcome *ret, char **ret_failure)
{
        int r = prepare_all(load);

        if (r >= 0)
                r = measure(load);
        if (r >= 0 && !was_canceled(load))
                r = check_rest(load);
        if (load->lost || atomic_load(&load->failed)) {
                describe_failure(load, ret_failure);
                return -EIO;
        }
        if (r < 0 || was_canceled(load))
                return interrupted() ? -EINTR : r < 0 ? r : -EIO;
        /* Told to stop before anything was measured. */
        if (count_done(load) == 0)
                return -EINTR;
        r = make_outcome(load, ret);
        return r < 0 ? r : interrupted() ? -EINTR : 0;
}

int benchmark_run_stage(const struct benchmark *benchmark, const struct stage *stage,
                        struct outcome *ret, char **ret_failure)
{
        _cleanup_(load_done) struct load load = {
                .settings = &benchmark->settings,
                .options = &benchmark->options,
                .broker = &benchmark->broker,
                .stage = stage,
                .control = benchmark->control,
                .n_workers = stage->alone ? 1 : (unsigned)benchmark->options.workers,
        };

        load.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        load.workers = calloc(load.n_workers, sizeof(*load.workers));
        if (load.event_fd < 0 || !load.workers)
                return -ENOMEM;
        return run(&load, ret, ret_failure);
}
