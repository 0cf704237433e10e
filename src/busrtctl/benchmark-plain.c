/* SPDX-License-Identifier: Apache-2.0 */
/* Stages with a client for each worker, or two: the reference's seven, payload sizes, latency. */
#include <stdio.h>

#include "basic/macro.h"
#include "busrtctl/benchmark.h"

#define SLICE_USEC 100000
/* Frames that nobody gets, between two looks at the clock. */
#define BATCH 512

static uint64_t now(void)
{
        return clock_nsec(CLOCK_MONOTONIC);
}

/* --- Clients --- */

static void on_request(busrt_client *client, busrt_request *request, void *userdata)
{
        struct iovec piece;

        piece.iov_base = (void *)(uintptr_t)busrt_request_get_params(request, &piece.iov_len);
        (void)busrt_request_reply(request, &piece, 1);
}

static int connect_worker(struct worker *worker, char kind, busrt_client **ret)
{
        char suffix[32];

        (void)snprintf(suffix, sizeof(suffix), "%c%u", kind, worker->index);
        return worker_connect(worker, suffix, ret);
}

int prepare_client(struct worker *worker)
{
        int r = connect_worker(worker, 'w', &worker->client);

        if (r >= 0 &&
            asprintf(&worker->nobody, "%s.nobody", busrt_client_get_name(worker->client)) < 0) {
                worker->nobody = NULL;
                return worker_fail(worker, -ENOMEM, "no memory");
        }
        if (r >= 0 && worker->load->stage->method && !worker->load->stage->target)
                r = busrt_client_set_request_handler(worker->client, on_request, NULL);
        return r;
}

int prepare_pair(struct worker *worker)
{
        int r = prepare_client(worker);

        return r < 0 ? r : connect_worker(worker, 'p', &worker->peer);
}

/* The topic of a worker is the name of its publisher. */
int prepare_subscriber(struct worker *worker)
{
        int r = prepare_pair(worker);
        const char *topic;

        if (r < 0)
                return r;
        topic = busrt_client_get_name(worker->client);
        r = busrt_client_subscribe(worker->peer, &topic, 1, BUSRT_QOS_PROCESSED, NULL);
        return r < 0 ? worker_fail(worker, r, "cannot subscribe to \"%s\": %s", topic,
                                   busrt_strerror(r))
                     : 0;
}

/* --- Calls --- */

static void on_reply(busrt_client *client, int result, const busrt_rpc_error *error,
                     busrt_frame *reply, void *userdata)
{
        struct worker *worker = userdata;
        uint64_t number = 0;
        const void *data;
        size_t len;

        worker->answered = true;
        worker->result = result;
        if (result < 0)
                return;
        data = busrt_frame_get_payload(reply, &len);
        worker->changed = benchmark_payload_read(&worker->payload, data, len, &number) < 0 ||
                          number != worker->sent;
}

static int wait_for_answer(struct worker *worker)
{
        int r = 0;

        while (r >= 0 && !worker->answered) {
                r = busrt_client_process(worker->client);
                if (r == 0 && !worker->answered)
                        r = busrt_client_wait(worker->client, SLICE_USEC);
                if (r == 0 && worker_is_stopped(worker))
                        return -ECANCELED;
        }
        return r < 0 ? worker_fail_at(worker, r, worker->client) : 0;
}

static int check_answer(struct worker *worker)
{
        const struct stage *stage = worker->load->stage;

        if (worker->result == -EREMOTEIO)
                return worker_fail(worker, -EREMOTEIO,
                                   "the broker does not serve the method \"%s\"", stage->method);
        if (worker->result < 0)
                return worker_fail_at(worker, worker->result, worker->client);
        return worker->changed ? worker_fail(worker, -EBADMSG, "a reply to %s is not what was sent",
                                             busrt_client_get_name(worker->client))
                               : 0;
}

int work_call(struct worker *worker)
{
        const struct stage *stage = worker->load->stage;
        const char *target = stage->target ? stage->target : busrt_client_get_name(worker->client);
        int r = 0;

        while (r >= 0 && worker_goes_on(worker)) {
                uint64_t start = now();

                benchmark_payload_number(&worker->payload, worker->sent);
                worker->answered = false;
                r = busrt_client_call_async(worker->client, target, stage->method,
                                            worker->payload.iov, 3, BUSRT_QOS_REALTIME,
                                            BUSRT_TIMEOUT_DEFAULT, on_reply, worker, NULL);
                r = r < 0 ? worker_fail_at(worker, r, worker->client) : wait_for_answer(worker);
                if (r >= 0)
                        r = check_answer(worker);
                if (r >= 0)
                        worker_count(worker, now() - start);
                worker->sent++;
        }
        return r;
}

int work_call0(struct worker *worker)
{
        const struct stage *stage = worker->load->stage;
        int r = 0;

        while (r >= 0 && worker_goes_on(worker)) {
                uint64_t start = now();
                busrt_op *op;

                benchmark_payload_number(&worker->payload, worker->sent++);
                r = busrt_client_call0(worker->client, worker->nobody, stage->method,
                                       worker->payload.iov, 3, stage->qos, &op);
                r = r < 0 ? worker_fail_at(worker, r, worker->client)
                          : worker_wait_op(worker, op, -EHOSTUNREACH);
                if (r >= 0)
                        worker_count(worker, now() - start);
        }
        return r;
}

/* --- Messages to nobody --- */

static int send_number(struct worker *worker, busrt_client *client, const char *target,
                       uint64_t number, unsigned qos, busrt_op **ret_op)
{
        int r;

        benchmark_payload_number(&worker->payload, number);
        r = busrt_client_send(client, target, worker->payload.iov, 3, qos, ret_op);
        return r < 0 ? worker_fail_at(worker, r, client) : r;
}

static int send_and_wait(struct worker *worker, const char *target, unsigned qos, int expected)
{
        busrt_op *op;
        int r = send_number(worker, worker->client, target, worker->sent++, qos, &op);

        return r < 0 ? r : worker_wait_op(worker, op, expected);
}

int work_send(struct worker *worker)
{
        int r = 0;

        while (r >= 0 && worker_goes_on(worker)) {
                uint64_t n = MIN(worker->target - worker->done, (uint64_t)BATCH);

                n = MIN(n, worker_window(worker, 1));
                (void)busrt_client_cork(worker->client);
                for (uint64_t i = 0; r >= 0 && i < n; i++) {
                        r = send_number(worker, worker->client, worker->nobody, worker->sent++,
                                        BUSRT_QOS_NO, NULL);
                        if (r >= 0)
                                worker_count(worker, UINT64_MAX);
                }
                (void)busrt_client_uncork(worker->client);
        }
        /* What is only written is not done: the acknowledgement of one behind them says that all
         * were handled. */
        return r < 0 ? r
                     : send_and_wait(worker, worker->nobody, BUSRT_QOS_PROCESSED, -EHOSTUNREACH);
}

int work_send_acknowledged(struct worker *worker)
{
        int r = 0;

        while (r >= 0 && worker_goes_on(worker)) {
                uint64_t start = now();

                r = send_and_wait(worker, worker->nobody, worker->load->stage->qos, -EHOSTUNREACH);
                if (r >= 0)
                        worker_count(worker, now() - start);
        }
        return r;
}

/* --- Messages to oneself --- */

static int send_window(struct worker *worker, uint64_t n)
{
        const char *name = busrt_client_get_name(worker->client);
        int r = 0;

        (void)busrt_client_cork(worker->client);
        for (uint64_t i = 0; r >= 0 && i < n; i++)
                r = send_number(worker, worker->client, name, worker->sent++, BUSRT_QOS_NO, NULL);
        (void)busrt_client_uncork(worker->client);
        return r;
}

/* Until no more than so many are on their way. */
static int receive_window(struct worker *worker, uint64_t left)
{
        const char *name = busrt_client_get_name(worker->client);
        int r = 0;

        while (r >= 0 && worker->sent - worker->next > left) {
                r = worker_receive(worker, worker->client, name, &worker->next);
                if (r >= 0)
                        worker_count(worker, UINT64_MAX);
        }
        return r;
}

int work_loop(struct worker *worker)
{
        uint64_t window = worker_window(worker, 1), end = worker->sent + worker->target;
        int r = 0;

        while (r >= 0 && worker->sent < end && worker_goes_on(worker)) {
                uint64_t room = window - (worker->sent - worker->next);

                r = send_window(worker, MIN(room, end - worker->sent));
                if (r >= 0)
                        r = receive_window(worker, window / 2);
        }
        return r < 0 ? r : receive_window(worker, 0);
}

int work_loop_acknowledged(struct worker *worker)
{
        const char *name = busrt_client_get_name(worker->client);
        int r = 0;

        while (r >= 0 && worker_goes_on(worker)) {
                uint64_t start = now();

                r = send_and_wait(worker, name, worker->load->stage->qos, 0);
                if (r >= 0)
                        r = worker_receive(worker, worker->client, name, &worker->next);
                if (r >= 0)
                        worker_count(worker, now() - start);
        }
        return r;
}

/* --- Latency: from one client to another --- */

/* Both ends are this thread, so that one clock measures, and one wake-up is in each way. */
static int pass(struct worker *worker, busrt_client *from, busrt_client *to, uint64_t number)
{
        int r = send_number(worker, from, busrt_client_get_name(to), number,
                            worker->load->stage->qos, NULL);

        return r < 0 ? r : worker_receive(worker, to, busrt_client_get_name(from), &number);
}

int work_one_way(struct worker *worker)
{
        int r = 0;

        while (r >= 0 && worker_goes_on(worker)) {
                uint64_t start = now();

                r = pass(worker, worker->client, worker->peer, worker->sent++);
                if (r >= 0)
                        worker_count(worker, now() - start);
        }
        return r;
}

int work_round_trip(struct worker *worker)
{
        int r = 0;

        while (r >= 0 && worker_goes_on(worker)) {
                uint64_t start = now();

                r = pass(worker, worker->client, worker->peer, worker->sent);
                if (r >= 0)
                        r = pass(worker, worker->peer, worker->client, worker->sent++);
                if (r >= 0)
                        worker_count(worker, now() - start);
        }
        return r;
}

int work_publish(struct worker *worker)
{
        const char *topic = busrt_client_get_name(worker->client);
        int r = 0;

        while (r >= 0 && worker_goes_on(worker)) {
                uint64_t start = now();

                benchmark_payload_number(&worker->payload, worker->sent++);
                r = busrt_client_publish(worker->client, topic, worker->payload.iov, 3,
                                         worker->load->stage->qos, NULL);
                r = r < 0 ? worker_fail_at(worker, r, worker->client)
                          : worker_receive(worker, worker->peer, topic, &worker->next);
                if (r >= 0)
                        worker_count(worker, now() - start);
        }
        return r;
}
