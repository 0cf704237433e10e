/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stages with many clients on one thread: fan-out, topics, idle ones. The clients wait together, in
 * one epoll; twice a second all are looked after, since each has its pings to send.
 */
#include <stdio.h>
#include <sys/epoll.h>

#include "basic/macro.h"
#include "busrtctl/benchmark.h"

#define SLICE_MSEC 100
#define LOOK_AFTER_NSEC (NSEC_PER_SEC / 2)
#define EVENTS 64
#define TOPICS_IN_ONE 500
/* Of the topics with traffic, and who subscribe to them. */
#define HOT_TOPICS 100
#define HOT_RECEIVERS 10
/* After the last has come, before memory is looked at: busrtd takes what it was handed in with back
 * at its next keep-alive, which is after 2.5 s unless it is told otherwise. */
#define SETTLE_NSEC (3 * NSEC_PER_SEC)

struct member {
        struct worker *worker;
        busrt_client *client;
        uint64_t next; /* number of the frame to come */
};

struct crowd {
        int epoll_fd;
        size_t n;
        uint64_t stride; /* between the numbers that one gets */
        uint64_t looked_after, last_arrival;
        char **topics;
        size_t n_topics;
        struct member *members;
};

struct crowd *crowd_free(struct crowd *crowd)
{
        if (!crowd)
                return NULL;
        for (size_t i = 0; crowd->members && i < crowd->n; i++)
                busrt_client_free(crowd->members[i].client);
        for (size_t i = 0; crowd->topics && i < crowd->n_topics; i++)
                free(crowd->topics[i]);
        free(crowd->topics);
        free(crowd->members);
        close_fd(crowd->epoll_fd);
        free(crowd);
        return NULL;
}

static int crowd_new(struct worker *worker, size_t n)
{
        struct crowd *crowd = calloc(1, sizeof(*crowd));

        if (!crowd)
                return worker_fail(worker, -ENOMEM, "no memory");
        worker->crowd = crowd;
        crowd->n = n;
        crowd->members = calloc(n, sizeof(*crowd->members));
        crowd->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (crowd->epoll_fd < 0 || !crowd->members)
                return worker_fail(worker, -ENOMEM, "no memory");
        return 0;
}

/* --- What arrives --- */

static int check_topic(struct member *member, const busrt_frame *frame)
{
        const struct crowd *crowd = member->worker->crowd;
        const char *topic = busrt_frame_get_topic(frame);

        if (topic && strcmp(topic, crowd->topics[member->next % crowd->n_topics]) == 0)
                return 0;
        return worker_fail(member->worker, -EBADMSG, "%s got a frame of another topic",
                           busrt_client_get_name(member->client));
}

static void on_frame(busrt_client *client, busrt_frame *frame, void *userdata)
{
        struct member *member = userdata;
        struct worker *worker = member->worker;
        uint64_t number = 0;
        const void *data;
        size_t len;

        if (!worker->client ||
            strcmp(busrt_frame_get_sender(frame), busrt_client_get_name(worker->client)) != 0)
                return;
        data = busrt_frame_get_payload(frame, &len);
        if (benchmark_payload_read(&worker->payload, data, len, &number) < 0) {
                (void)worker_fail(worker, -EBADMSG, "a frame that %s got is not as it was sent",
                                  busrt_client_get_name(client));
                return;
        }
        if (worker_check_number(worker, client, number, member->next) < 0 ||
            check_topic(member, frame) < 0)
                return;
        member->next += worker->crowd->stride;
        worker->crowd->last_arrival = clock_nsec(CLOCK_MONOTONIC);
        worker_count(worker, UINT64_MAX);
}

static int process_client(struct worker *worker, busrt_client *client)
{
        int r;

        do
                r = busrt_client_process(client);
        while (r > 0);
        return r < 0 ? worker_fail_at(worker, r, client) : 0;
}

static int look_after_all(struct worker *worker, uint64_t now)
{
        struct crowd *crowd = worker->crowd;
        int r = worker->client ? process_client(worker, worker->client) : 0;

        crowd->looked_after = now;
        /* The main thread is in here, too, while clients connect. */
        if (!worker->started)
                (void)busrt_client_process(worker->load->control);
        for (size_t i = 0; r >= 0 && i < crowd->n; i++)
                if (crowd->members[i].client)
                        r = process_client(worker, crowd->members[i].client);
        return r;
}

/* What has come, or nothing within a slice of time. */
static int crowd_process(struct worker *worker)
{
        struct crowd *crowd = worker->crowd;
        struct epoll_event events[EVENTS];
        uint64_t now;
        int n = epoll_wait(crowd->epoll_fd, events, EVENTS, SLICE_MSEC), r = 0;

        for (int i = 0; r >= 0 && i < n; i++)
                r = process_client(worker, events[i].data.ptr);
        if (r < 0)
                return r;
        if (worker_is_stopped(worker))
                return -ECANCELED;
        now = clock_nsec(CLOCK_MONOTONIC);
        return now - crowd->looked_after > LOOK_AFTER_NSEC ? look_after_all(worker, now) : 0;
}

/* --- Connecting --- */

static int crowd_watch(struct worker *worker, busrt_client *client)
{
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};

        return epoll_ctl(worker->crowd->epoll_fd, EPOLL_CTL_ADD, busrt_client_get_fd(client),
                         &event) < 0
                       ? worker_fail(worker, -errno, "cannot wait for clients")
                       : 0;
}

static int crowd_connect(struct worker *worker)
{
        struct crowd *crowd = worker->crowd;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < crowd->n; i++) {
                struct member *member = &crowd->members[i];
                char suffix[32];

                if (interrupted())
                        return -ECANCELED;
                (void)snprintf(suffix, sizeof(suffix), "s%zu", i);
                member->worker = worker;
                r = worker_connect(worker, suffix, &member->client);
                if (r < 0)
                        return r;
                (void)busrt_client_set_frame_handler(member->client, on_frame, member);
                r = crowd_watch(worker, member->client);
                /* The first of many would be dropped while the last connect. */
                if (r >= 0 && clock_nsec(CLOCK_MONOTONIC) - crowd->looked_after > LOOK_AFTER_NSEC)
                        r = look_after_all(worker, clock_nsec(CLOCK_MONOTONIC));
        }
        return r;
}

static int subscribe(struct worker *worker, busrt_client *client, char **topics, size_t n)
{
        int r = busrt_client_subscribe(client, (const char *const *)topics, n, BUSRT_QOS_PROCESSED,
                                       NULL);

        return r < 0 ? worker_fail(worker, r, "%s cannot subscribe to %zu topics: %s",
                                   busrt_client_get_name(client), n, busrt_strerror(r))
                     : 0;
}

/* Where frames are published: by the publisher's name, for a benchmark beside this one. */
static int name_topics(struct worker *worker, size_t n)
{
        struct crowd *crowd = worker->crowd;

        crowd->topics = calloc(n, sizeof(*crowd->topics));
        if (!crowd->topics)
                return worker_fail(worker, -ENOMEM, "no memory");
        crowd->n_topics = n;
        for (size_t i = 0; i < n; i++)
                if (asprintf(&crowd->topics[i], "%s/hot/%zu", busrt_client_get_name(worker->client),
                             i) < 0) {
                        crowd->topics[i] = NULL;
                        return worker_fail(worker, -ENOMEM, "no memory");
                }
        return 0;
}

static int prepare_publisher(struct worker *worker, size_t receivers, size_t topics)
{
        int r = crowd_new(worker, receivers);

        if (r >= 0)
                r = worker_connect(worker, "w0", &worker->client);
        if (r >= 0)
                r = name_topics(worker, topics);
        if (r >= 0)
                r = crowd_watch(worker, worker->client);
        return r < 0 ? r : crowd_connect(worker);
}

int prepare_fan_out(struct worker *worker)
{
        int r = prepare_publisher(worker, worker->load->stage->many, 1);

        for (size_t i = 0; r >= 0 && i < worker->crowd->n; i++)
                r = subscribe(worker, worker->crowd->members[i].client, worker->crowd->topics, 1);
        if (r >= 0)
                worker->crowd->stride = 1;
        return r;
}

/* Subscriptions beside which the traffic goes: a third are plain, a third end in +, a third in #.
 */
static int subscribe_cold(struct worker *worker, busrt_client *client, size_t first, size_t n)
{
        static const char *const ends[] = {"plain", "+", "#"};
        char *topics[TOPICS_IN_ONE];
        size_t done = 0;
        int r = 0;

        while (r >= 0 && done < n &&
               asprintf(&topics[done], "%s/cold/%zu/%s", busrt_client_get_name(worker->client),
                        first + done, ends[(first + done) % ARRAY_SIZE(ends)]) >= 0)
                done++;
        r = done < n ? worker_fail(worker, -ENOMEM, "no memory")
                     : subscribe(worker, client, topics, n);
        for (size_t i = 0; i < done; i++)
                free(topics[i]);
        return r;
}

static int subscribe_all_cold(struct worker *worker, size_t n)
{
        struct crowd *crowd = worker->crowd;
        int r = 0;

        for (size_t first = 0; r >= 0 && first < n; first += TOPICS_IN_ONE)
                r = subscribe_cold(worker, crowd->members[first / TOPICS_IN_ONE % crowd->n].client,
                                   first, MIN(n - first, (size_t)TOPICS_IN_ONE));
        return r;
}

int prepare_topics(struct worker *worker)
{
        int r = prepare_publisher(worker, HOT_RECEIVERS, HOT_TOPICS);
        struct crowd *crowd = worker->crowd;

        for (size_t i = 0; r >= 0 && i < HOT_TOPICS; i++)
                r = subscribe(worker, crowd->members[i % crowd->n].client, &crowd->topics[i], 1);
        for (size_t i = 0; r >= 0 && i < crowd->n; i++)
                crowd->members[i].next = i;
        if (r >= 0)
                crowd->stride = crowd->n;
        return r < 0 ? r : subscribe_all_cold(worker, worker->load->stage->many - HOT_TOPICS);
}

/* --- Traffic --- */

static int publish_numbers(struct worker *worker, uint64_t n)
{
        const struct crowd *crowd = worker->crowd;
        int r = 0;

        (void)busrt_client_cork(worker->client);
        for (uint64_t i = 0; r >= 0 && i < n; i++) {
                const char *topic = crowd->topics[worker->sent % crowd->n_topics];

                benchmark_payload_number(&worker->payload, worker->sent++);
                r = busrt_client_publish(worker->client, topic, worker->payload.iov, 3,
                                         BUSRT_QOS_NO, NULL);
        }
        (void)busrt_client_uncork(worker->client);
        return r < 0 ? worker_fail_at(worker, r, worker->client) : 0;
}

/* Frames that the slowest still is to get. */
static uint64_t crowd_behind(const struct worker *worker)
{
        const struct crowd *crowd = worker->crowd;
        uint64_t next = UINT64_MAX;

        for (size_t i = 0; i < crowd->n; i++)
                next = MIN(next, crowd->members[i].next);
        return worker->sent > next ? worker->sent - next : 0;
}

static int crowd_wait(struct worker *worker, uint64_t left)
{
        struct crowd *crowd = worker->crowd;
        int r = 0;

        crowd->last_arrival = clock_nsec(CLOCK_MONOTONIC);
        while (r >= 0 && crowd_behind(worker) > left) {
                r = crowd_process(worker);
                if (r >= 0 && clock_nsec(CLOCK_MONOTONIC) - crowd->last_arrival >
                                      worker->load->settings->timeout * NSEC_PER_USEC)
                        r = worker_fail(
                                worker, -ETIMEDOUT,
                                "frames did not arrive: lost, or dropped from a queue without "
                                "room for them (--window sets how many may be on their way)");
        }
        return r;
}

/* One that is read has its handler, which knows what is too much. */
int crowd_check_rest(struct worker *worker)
{
        struct crowd *crowd = worker->crowd;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < crowd->n; i++) {
                r = worker_check_rest(worker, crowd->members[i].client);
                if (r >= 0)
                        r = process_client(worker, crowd->members[i].client);
        }
        return worker->failure ? worker->error : r;
}

int work_fan_out(struct worker *worker)
{
        struct crowd *crowd = worker->crowd;
        uint64_t receivers = crowd->stride == 1 ? crowd->n : 1, window, end;
        int r = 0;

        window = worker_window(worker, receivers);
        end = worker->sent + (worker->target + receivers - 1) / receivers;
        while (r >= 0 && worker->sent < end && worker_goes_on(worker)) {
                r = publish_numbers(worker, MIN(window / 2, end - worker->sent));
                if (r >= 0)
                        r = crowd_wait(worker, window / 2);
        }
        return r < 0 ? r : crowd_wait(worker, 0);
}

/* --- Idle clients --- */

int prepare_idle(struct worker *worker)
{
        struct load *load = worker->load;
        int r = crowd_new(worker, MIN(load->stage->many, load->options->iters));

        if (r < 0)
                return r;
        load->memory_before = benchmark_broker_memory(load->broker);
        return crowd_connect(worker);
}

int work_idle(struct worker *worker)
{
        uint64_t settled = clock_nsec(CLOCK_MONOTONIC) + SETTLE_NSEC;
        int r = 0;

        settled = MIN(settled, worker->deadline);
        while (r >= 0 && clock_nsec(CLOCK_MONOTONIC) < settled &&
               !atomic_load(&worker->load->finish))
                r = crowd_process(worker);
        worker->load->memory_after = benchmark_broker_memory(worker->load->broker);
        for (size_t i = 0; r >= 0 && i < worker->crowd->n; i++)
                worker_count(worker, UINT64_MAX);
        return r;
}
