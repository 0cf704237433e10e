/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of `busrtctl benchmark` share. A stage is one thing that is measured: the table of
 * them is in benchmark-stages.c, what they do in benchmark-plain.c (one client for each worker),
 * benchmark-crowd.c (many clients on one thread) and benchmark-connect.c. benchmark-run.c runs one:
 * the main thread connects the workers' clients, a thread for each worker warms up and waits at a
 * gate, and all go on together. Each frame has a number, and is checked where it arrives.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include <busrt/rpc.h>

#include "busrtctl/busrtctl.h"
#include "busrtctl/histogram.h"
#include "busrtctl/text.h"

#define BENCHMARK_WORKERS_MAX 1024
#define BENCHMARK_ITERS_MAX UINT64_C(1000000000000)
/* A frame's number, with room to check that it is whole. */
#define BENCHMARK_PAYLOAD_MIN 16
#define BENCHMARK_PAYLOAD_MAX (32 << 20)
#define BENCHMARK_WINDOW_MAX 1000000

struct benchmark_options {
        uint64_t workers, iters, payload, window;
        uint64_t limit; /* microseconds, of each stage */
};

/* --- benchmark-broker.c: the broker's process --- */

struct benchmark_broker {
        pid_t pid; /* 0: not known */
        clockid_t clock;
        bool has_clock;      /* its CPU time can be read */
        const char *why_not; /* why pid is not known; static, NULL where it is */
        char *author, *version;
};

/* Asks the broker what it is, and finds its process. */
void benchmark_broker_find(struct benchmark_broker *broker, busrt_client *control);
void benchmark_broker_done(struct benchmark_broker *broker);
/* Nanoseconds of CPU, all its threads; 0 where has_clock is false. */
uint64_t benchmark_broker_cpu(const struct benchmark_broker *broker);
/* Resident bytes; 0: not known. */
uint64_t benchmark_broker_memory(const struct benchmark_broker *broker);

/* --- benchmark-payload.c --- */

/* 0xee and a number of 56 bits in front, the number again, inverted, at the end; 0xee between. The
 * first byte says that it is no call (docs/protocol.md, 5). */
struct benchmark_payload {
        size_t len;
        uint8_t head[8], tail[8];
        uint8_t *fill;
        struct iovec iov[3];
};

int benchmark_payload_init(struct benchmark_payload *payload, size_t len);
void benchmark_payload_done(struct benchmark_payload *payload);
/* What iov holds from now on. */
void benchmark_payload_number(struct benchmark_payload *payload, uint64_t number);
/* The number of one of this length; -EBADMSG: it is not as it was sent. */
int benchmark_payload_read(const struct benchmark_payload *payload, const void *data, size_t len,
                           uint64_t *ret);

/* --- Stages --- */

struct load;
struct worker;

struct stage {
        const char *name, *help;
        const char *unit; /* of what is counted, one of it */
        /* In the main thread, for each worker. 0, or an error after worker_fail(). */
        int (*prepare)(struct worker *worker);
        /* In its own, while worker_goes_on(). */
        int (*work)(struct worker *worker);
        uint64_t payload;            /* bytes; 0: as the options say */
        uint64_t many;               /* clients or topics */
        uint64_t divisor;            /* of the iterations that are asked for; 0: 1 */
        uint64_t capacity;           /* bytes in all that it moves at most; 0: no limit */
        bool ours;                   /* not among the reference's seven */
        bool alone;                  /* one worker, whatever the options say */
        bool idle;                   /* about memory, not about speed */
        const char *target, *method; /* of calls; target NULL: oneself */
        unsigned qos;
};

/* benchmark-stages.c; the last has no name. */
extern const struct stage benchmark_stages[];

/* --- Workers --- */

struct worker {
        struct load *load;
        unsigned index;
        pthread_t thread;
        bool started;

        busrt_client *client, *peer;
        struct crowd *crowd;
        char *nobody; /* a name that nobody has */
        struct benchmark_payload payload;
        struct histogram *histogram;

        uint64_t target;   /* to be done */
        uint64_t deadline; /* nanoseconds, monotonic */
        uint64_t end;      /* when it was through */
        atomic_uint_fast64_t done;
        uint64_t sent, next; /* numbers of frames: to be sent next, to arrive next */

        /* Of a call on its way. */
        bool answered;
        int result;
        bool changed;

        int error;
        char *failure;  /* what went wrong */
        bool explained; /* error is to be explained behind it */
};

/* Clocks at one moment, nanoseconds. */
struct sample {
        uint64_t time, broker_cpu, own_cpu;
};

/* One stage as it runs. */
struct load {
        const struct settings *settings;
        const struct benchmark_options *options;
        const struct benchmark_broker *broker;
        const struct stage *stage;
        busrt_client *control; /* the main thread's own connection */

        struct worker *workers;
        unsigned n_workers;
        int event_fd;         /* a worker is ready, or through */
        pthread_mutex_t gate; /* the main thread's until all may go on */
        atomic_bool finish;   /* begin nothing more */
        atomic_bool stop;     /* give up what is on its way, too */
        atomic_uint ready, running;
        _Atomic(struct worker *) failed; /* the first */
        bool lost;                       /* the control connection is */

        struct sample begin, end;
        uint64_t memory_before, memory_after; /* of idle stages, bytes */
};

/* benchmark-worker.c */

/* Says why; the first of all workers' failures is told in the end, and the others stop. Returns
 * error. */
int worker_fail(struct worker *worker, int error, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
/* The same where one of the worker's clients got error from the library, or from the broker. */
int worker_fail_at(struct worker *worker, int error, busrt_client *client);
/* Connects a client by the name of the verb's own, a dot and suffix. 0 or -errno, after
 * worker_fail(). */
int worker_connect(struct worker *worker, const char *suffix, busrt_client **ret);
/* False: enough is done, the time is up, or all are to finish or to stop. */
bool worker_goes_on(struct worker *worker);
/* What is on its way is not waited for any more. */
bool worker_is_stopped(const struct worker *worker);
/* One more is done, which took so long; UINT64_MAX: not measured. */
void worker_count(struct worker *worker, uint64_t nsec);
/* Waits for the next frame of the client from sender, checks its length and contents and that its
 * number is *next, and counts up. 0; -ECANCELED when all are to stop; or as worker_fail(). */
int worker_receive(struct worker *worker, busrt_client *client, const char *sender, uint64_t *next);
/* A number that came where another was to come. 0, or as worker_fail(). */
int worker_check_number(struct worker *worker, busrt_client *client, uint64_t number,
                        uint64_t expected);
/* When all that it was to get has come: that nothing is behind it. 0 or as worker_fail(). */
int worker_check_rest(struct worker *worker, busrt_client *client);
/* Waits for the acknowledgement, which must be `expected`. Takes the operation. */
int worker_wait_op(struct worker *worker, busrt_op *op, int expected);
/* Frames that may be on their way to one receiver, of n that all get them; at least 2. */
uint64_t worker_window(const struct worker *worker, uint64_t n);

/* benchmark-plain.c */
int prepare_client(struct worker *worker);
int prepare_pair(struct worker *worker);
int prepare_subscriber(struct worker *worker);
int work_call(struct worker *worker);
int work_call0(struct worker *worker);
int work_send(struct worker *worker);
int work_send_acknowledged(struct worker *worker);
int work_loop(struct worker *worker);
int work_loop_acknowledged(struct worker *worker);
int work_one_way(struct worker *worker);
int work_round_trip(struct worker *worker);
int work_publish(struct worker *worker);

/* benchmark-crowd.c */
int prepare_fan_out(struct worker *worker);
int prepare_topics(struct worker *worker);
int prepare_idle(struct worker *worker);
int work_fan_out(struct worker *worker);
int work_idle(struct worker *worker);
/* As worker_check_rest(), of all of them. */
int crowd_check_rest(struct worker *worker);
struct crowd *crowd_free(struct crowd *crowd);

/* benchmark-connect.c */
int prepare_nothing(struct worker *worker);
int work_connect(struct worker *worker);

/* --- Results --- */

enum outcome_end {
        END_COUNT,     /* all was done */
        END_TIME,      /* its time was up */
        END_INTERRUPT, /* Ctrl-C */
};

struct outcome {
        const struct stage *stage;
        unsigned workers;
        enum outcome_end end;
        size_t payload;
        uint64_t done, nsec, broker_cpu, own_cpu;
        uint64_t memory_before, memory_after;
        struct histogram *histogram; /* NULL: times were not taken */
};

struct benchmark {
        struct settings settings;
        struct benchmark_options options;
        struct benchmark_broker broker;
        busrt_client *control;
        uint64_t started; /* nanoseconds, realtime */

        const struct stage **stages;
        size_t n_stages;
        struct outcome *outcomes;
        size_t n_outcomes;
        bool partial; /* not all that was asked for */
        char *failure;
};

/* benchmark-run.c. 0 and the outcome; -EINTR: interrupted, with an outcome where something was
 * done (stage is NULL where not); else -errno, and what went wrong, to be freed. */
int benchmark_run_stage(const struct benchmark *benchmark, const struct stage *stage,
                        struct outcome *ret, char **ret_failure);
/* Of one operation, nanoseconds. */
static inline double outcome_each(const struct outcome *outcome, uint64_t nsec)
{
        return outcome->done > 0 ? (double)nsec / (double)outcome->done : 0;
}
static inline double outcome_rate(const struct outcome *outcome)
{
        return outcome->nsec > 0 ? (double)outcome->done * 1e9 / (double)outcome->nsec : 0;
}

/* benchmark-print.c, benchmark-json.c. The exit status. */
int benchmark_print(const struct benchmark *benchmark);
int benchmark_print_json(const struct benchmark *benchmark);
