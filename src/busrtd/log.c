/* SPDX-License-Identifier: Apache-2.0 */
/* The ring has one writer and one reader; its lock is held while a record is copied, and never
 * while one is written. */
#include <pthread.h>
#include <signal.h>

#include "basic/clock.h"
#include "basic/macro.h"
#include "busrtd/log-sink.h"
#include "busrtd/messages.h"
#include "busrtd/real-time.h"

#define N_RECORDS 256
#define FLUSH_TIME NSEC_PER_SEC
#define RETRY_TIME NSEC_PER_SEC /* between two looks for a journal that was not there */

struct log {
        struct log_sink sink;
        int max_priority;
        pthread_t thread;

        pthread_mutex_t lock;
        pthread_cond_t more; /* there is something to write, or an end to come to */
        pthread_cond_t over; /* the thread is at its end */
        size_t first, n;     /* records in the ring */
        uint64_t n_lost;     /* since that was last told */
        bool held;           /* nothing is written yet */
        bool deaf;           /* the last record could not be written: there is no journal */
        bool stopping, stopped;
        struct log_record records[N_RECORDS];
};

static struct timespec deadline_in(uint64_t nsec)
{
        uint64_t at = clock_nsec(CLOCK_MONOTONIC) + nsec;

        return (struct timespec){(time_t)(at / NSEC_PER_SEC), (long)(at % NSEC_PER_SEC)};
}

/* Until there is something to write. A journal that was not there is looked for again. */
static void log_wait(struct log *log)
{
        struct timespec retry = deadline_in(RETRY_TIME);
        int r = 0;

        while (!log->stopping && r == 0 &&
               (log->held || (log->n == 0 && (log->n_lost == 0 || log->deaf)))) {
                if (log->deaf)
                        r = pthread_cond_timedwait(&log->more, &log->lock, &retry);
                else
                        pthread_cond_wait(&log->more, &log->lock);
        }
}

/* Waits for a record, or for the news that some were lost. False: all is written and the end was
 * asked for. */
static bool log_take(struct log *log, struct log_record *ret)
{
        bool got = true;

        pthread_mutex_lock(&log->lock);
        log_wait(log);
        if (log->n > 0) {
                *ret = log->records[log->first];
                log->first = (log->first + 1) % N_RECORDS;
                log->n--;
        } else if (log->n_lost > 0) {
                message_records_lost(ret, log->n_lost);
                log->n_lost = 0;
        } else
                got = false;
        pthread_mutex_unlock(&log->lock);
        return got;
}

/* What could not be written counts as lost; news of losses carries the losses that it tells of. */
static bool log_write(struct log *log, const struct log_record *record)
{
        bool written = log_sink_write(&log->sink, record), go_on;

        pthread_mutex_lock(&log->lock);
        log->deaf = !written;
        if (!written)
                log->n_lost += message_is_of_lost_records(record) ? record->records : 1;
        go_on = written || !log->stopping;
        pthread_mutex_unlock(&log->lock);
        return go_on;
}

static void *log_main(void *userdata)
{
        struct log *log = userdata;
        struct log_record record;

        pthread_setname_np(pthread_self(), "busrtd-log");
        (void)real_time_step_down();
        while (log_take(log, &record) && log_write(log, &record))
                ;
        pthread_mutex_lock(&log->lock);
        log->stopped = true;
        pthread_cond_signal(&log->over);
        pthread_mutex_unlock(&log->lock);
        return NULL;
}

/* Signals are the main thread's. */
static int log_start_thread(struct log *log)
{
        sigset_t all, old;
        int r;

        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &old);
        r = pthread_create(&log->thread, NULL, log_main, log);
        pthread_sigmask(SIG_SETMASK, &old, NULL);
        return -r;
}

static void log_destroy(struct log *log)
{
        pthread_cond_destroy(&log->over);
        pthread_cond_destroy(&log->more);
        pthread_mutex_destroy(&log->lock);
        free(log);
}

int log_new(enum log_target target, int max_priority, struct log **ret)
{
        struct log *log = calloc(1, sizeof(*log));
        pthread_condattr_t attr;
        int r;

        if (!log)
                return -ENOMEM;
        log->max_priority = max_priority;
        log->held = true;
        log_sink_init(&log->sink, target);
        pthread_condattr_init(&attr);
        pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        pthread_mutex_init(&log->lock, NULL);
        pthread_cond_init(&log->more, &attr);
        pthread_cond_init(&log->over, &attr);
        pthread_condattr_destroy(&attr);
        r = log_start_thread(log);
        if (r < 0) {
                log_destroy(log);
                return r;
        }
        *ret = log;
        return 0;
}

/* Nothing was taken from the ring yet: it begins at 0. */
static void log_discard(struct log *log)
{
        size_t kept = 0;

        for (size_t i = 0; i < log->n; i++)
                if (log->records[i].priority <= LOG_WARNING)
                        log->records[kept++] = log->records[i];
        log->n = kept;
        log->n_lost = 0;
}

enum log_target log_get_target(const struct log *log)
{
        return log->sink.target;
}

void log_release(struct log *log, bool discard)
{
        pthread_mutex_lock(&log->lock);
        if (log->held && discard)
                log_discard(log);
        log->held = false;
        pthread_cond_signal(&log->more);
        pthread_mutex_unlock(&log->lock);
}

/* Asks the thread to come to its end, and says whether it did. */
static bool log_stop_thread(struct log *log)
{
        struct timespec ts = deadline_in(FLUSH_TIME);
        bool stopped;
        int r = 0;

        pthread_mutex_lock(&log->lock);
        log->stopping = true;
        pthread_cond_signal(&log->more);
        while (!log->stopped && r == 0)
                r = pthread_cond_timedwait(&log->over, &log->lock, &ts);
        stopped = log->stopped;
        pthread_mutex_unlock(&log->lock);
        return stopped;
}

struct log *log_free(struct log *log)
{
        if (!log)
                return NULL;
        log_release(log, false);
        /* A thread that hangs in a write keeps its log; the end of the process takes both. */
        if (!log_stop_thread(log)) {
                pthread_detach(log->thread);
                return NULL;
        }
        pthread_join(log->thread, NULL);
        log_sink_linger(&log->sink);
        log_destroy(log);
        return NULL;
}

void log_set_max_priority(struct log *log, int max_priority)
{
        log->max_priority = max_priority;
}

int log_max_priority(const struct log *log)
{
        return log->max_priority;
}

bool log_wants(const struct log *log, int priority)
{
        return priority <= log->max_priority;
}

void log_submit(struct log *log, const struct log_record *record)
{
        if (!log_wants(log, record->priority))
                return;
        pthread_mutex_lock(&log->lock);
        if (log->n < N_RECORDS)
                log->records[(log->first + log->n++) % N_RECORDS] = *record;
        else
                log->n_lost++;
        pthread_cond_signal(&log->more);
        pthread_mutex_unlock(&log->lock);
}
