/* SPDX-License-Identifier: Apache-2.0 */
/* What every stage's workers do: connect, wait, count, and check what arrives. All waits are cut
 * into slices, so that one that is told to stop does. */
#include <stdarg.h>
#include <stdio.h>

#include "basic/macro.h"
#include "busrtctl/benchmark.h"

#define SLICE_USEC 100000
/* A second in all. */
#define NAME_TRIES 100
#define NAME_PAUSE_NSEC (10 * NSEC_PER_MSEC)
/* Bytes on their way to one receiver: well below the queues of busrtd. */
#define WINDOW_BYTES (UINT64_C(4) << 20)
/* The same to all receivers together. */
#define WINDOW_BYTES_ALL (UINT64_C(64) << 20)

int worker_fail(struct worker *worker, int error, const char *format, ...)
{
        struct worker *none = NULL;
        va_list args;

        if (worker->failure || worker_is_stopped(worker))
                return error;
        va_start(args, format);
        if (vasprintf(&worker->failure, format, args) < 0)
                worker->failure = NULL;
        va_end(args);
        worker->error = error;
        (void)atomic_compare_exchange_strong(&worker->load->failed, &none, worker);
        atomic_store(&worker->load->stop, true);
        return error;
}

int worker_fail_at(struct worker *worker, int error, busrt_client *client)
{
        if (!worker->failure)
                worker->explained = true;
        return worker_fail(worker, error, "%s", busrt_client_get_name(client));
}

static const char *why_not_connected(int error)
{
        return error == -EBUSY      ? "the name is taken"
               : error == -EBADMSG  ? "the broker refuses the name"
               : error == -EACCES   ? "access rules of the broker do not let it in"
               : error == -EMFILE   ? "too many open files (ulimit -n)"
               : error == -EMSGSIZE ? "the frames are longer than the broker allows"
                                    : busrt_strerror(error);
}

static int connect_once(const struct load *load, const char *name, busrt_client **ret)
{
        _cleanup_(busrt_client_freep) busrt_client *client = NULL;
        int r = busrt_client_new(name, &client);

        if (r >= 0)
                r = busrt_client_set_timeout(client, load->settings->timeout);
        if (r >= 0)
                r = busrt_client_connect(client, busrt_client_get_address(load->control));
        if (r >= 0)
                *ret = TAKE_PTR(client);
        return r;
}

int worker_connect(struct worker *worker, const char *suffix, busrt_client **ret)
{
        static const struct timespec pause = {.tv_nsec = NAME_PAUSE_NSEC};
        _cleanup_free_ char *name = NULL;
        unsigned tries = 0;
        int r;

        if (asprintf(&name, "%s.%s", busrt_client_get_name(worker->load->control), suffix) < 0) {
                name = NULL;
                return worker_fail(worker, -ENOMEM, "no memory");
        }
        /* A broker may not have noticed yet that the client of the stage before has gone. */
        while ((r = connect_once(worker->load, name, ret)) == -EBUSY && ++tries < NAME_TRIES &&
               !interrupted())
                (void)nanosleep(&pause, NULL);
        return r < 0 ? worker_fail(worker, r, "cannot connect as \"%s\": %s", name,
                                   why_not_connected(r))
                     : 0;
}

bool worker_is_stopped(const struct worker *worker)
{
        return atomic_load_explicit(&worker->load->stop, memory_order_relaxed);
}

bool worker_goes_on(struct worker *worker)
{
        return !worker_is_stopped(worker) &&
               !atomic_load_explicit(&worker->load->finish, memory_order_relaxed) &&
               atomic_load_explicit(&worker->done, memory_order_relaxed) < worker->target &&
               clock_nsec(CLOCK_MONOTONIC) < worker->deadline;
}

void worker_count(struct worker *worker, uint64_t nsec)
{
        uint64_t done = atomic_load_explicit(&worker->done, memory_order_relaxed);

        /* Only this thread writes it. */
        atomic_store_explicit(&worker->done, done + 1, memory_order_relaxed);
        if (nsec != UINT64_MAX)
                histogram_add(worker->histogram, nsec);
}

int worker_check_number(struct worker *worker, busrt_client *client, uint64_t number,
                        uint64_t expected)
{
        const char *name = busrt_client_get_name(client);

        if (number == expected)
                return 0;
        return number > expected
                       ? worker_fail(
                                 worker, -EBADMSG,
                                 "frames were lost, or dropped from a queue without room for them "
                                 "(--window sets how many may be on their way): %s was to get "
                                 "number %llu, and got number %llu",
                                 name, (unsigned long long)expected, (unsigned long long)number)
                       : worker_fail(worker, -EBADMSG,
                                     "a frame came twice or too late: %s was to get number %llu, "
                                     "and got number %llu",
                                     name, (unsigned long long)expected,
                                     (unsigned long long)number);
}

/* 1; 0: it is of somebody else's, and nothing to us. */
static int check_frame(struct worker *worker, busrt_client *client, const busrt_frame *frame,
                       const char *sender, uint64_t expected)
{
        uint64_t number = 0;
        const void *data;
        size_t len;
        int r;

        if (strcmp(busrt_frame_get_sender(frame), sender) != 0)
                return 0;
        data = busrt_frame_get_payload(frame, &len);
        r = benchmark_payload_read(&worker->payload, data, len, &number);
        if (r < 0)
                return worker_fail(worker, r, "a frame that %s got is not as it was sent",
                                   busrt_client_get_name(client));
        r = worker_check_number(worker, client, number, expected);
        return r < 0 ? r : 1;
}

static int read_frame(struct worker *worker, busrt_client *client, busrt_frame **ret)
{
        uint64_t timeout = worker->load->settings->timeout, waited = 0;
        int r;

        for (;;) {
                r = busrt_client_read(client, MIN(timeout - waited, (uint64_t)SLICE_USEC), ret);
                if (r >= 0)
                        return 0;
                if (r != -ETIMEDOUT && r != -EAGAIN)
                        return worker_fail_at(worker, r, client);
                if (worker_is_stopped(worker))
                        return -ECANCELED;
                waited += SLICE_USEC;
                if (waited >= timeout)
                        return worker_fail(
                                worker, -ETIMEDOUT,
                                "frames to %s did not arrive: lost, or dropped from a queue "
                                "without room for them (--window sets how many may be on "
                                "their way)",
                                busrt_client_get_name(client));
        }
}

int worker_receive(struct worker *worker, busrt_client *client, const char *sender, uint64_t *next)
{
        int r;

        do {
                busrt_frame *frame;

                r = read_frame(worker, client, &frame);
                if (r < 0)
                        return r;
                r = check_frame(worker, client, frame, sender, *next);
                busrt_frame_unref(frame);
        } while (r == 0);
        if (r > 0)
                (*next)++;
        return r < 0 ? r : 0;
}

/* What was queued for a client comes before the acknowledgement of what it sends then. */
static int check_behind(struct worker *worker, busrt_client *client)
{
        const char *name = busrt_client_get_name(client);
        _cleanup_free_ char *nobody = NULL;
        int r;

        if (asprintf(&nobody, "%s.nobody", name) < 0)
                return worker_fail(worker, -ENOMEM, "no memory");
        r = busrt_client_send(client, nobody, NULL, 0, BUSRT_QOS_PROCESSED, NULL);
        return r < 0 && r != -EHOSTUNREACH ? worker_fail_at(worker, r, client) : 0;
}

int worker_check_rest(struct worker *worker, busrt_client *client)
{
        size_t len = strlen(busrt_client_get_name(worker->load->control));
        int r = check_behind(worker, client);
        busrt_frame *frame;

        while (r >= 0 && busrt_client_read(client, 0, &frame) >= 0) {
                /* All of ours begin so. */
                if (strncmp(busrt_frame_get_sender(frame),
                            busrt_client_get_name(worker->load->control), len) == 0)
                        r = worker_fail(worker, -EBADMSG, "a frame came twice: %s got one more",
                                        busrt_client_get_name(client));
                busrt_frame_unref(frame);
        }
        return r;
}

int worker_wait_op(struct worker *worker, busrt_op *op, int expected)
{
        uint64_t timeout = worker->load->settings->timeout, waited = 0;
        int r;

        do {
                r = busrt_op_wait(op, MIN(timeout - waited, (uint64_t)SLICE_USEC));
                waited += SLICE_USEC;
        } while (r == -ETIMEDOUT && waited < timeout && !worker_is_stopped(worker));
        busrt_op_unref(op);
        if (r == expected)
                return 0;
        if (r == -ETIMEDOUT && worker_is_stopped(worker))
                return -ECANCELED;
        if (r == 0)
                return worker_fail(worker, -EBADMSG,
                                   "somebody has the name \"%s\", which nobody should",
                                   worker->nobody);
        return worker_fail_at(worker, r, worker->client);
}

uint64_t worker_window(const struct worker *worker, uint64_t n)
{
        uint64_t bytes = MIN(WINDOW_BYTES, WINDOW_BYTES_ALL / n);
        uint64_t frames = MIN(worker->load->options->window, bytes / worker->payload.len);

        return MAX(frames, UINT64_C(2));
}
