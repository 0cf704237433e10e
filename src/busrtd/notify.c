/* SPDX-License-Identifier: Apache-2.0 */
#include <bsd/string.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <systemd/sd-daemon.h>

#include "basic/clock.h"
#include "busrtd/notify.h"
#include "busrtd/real-time.h"

#define TEXTS_MAX 32
#define LIGHT_TEXTS_MAX 8 /* the rest is for states */
#define TEXT_MAX 160

struct notify {
        pthread_t thread;
        pthread_mutex_t lock;
        pthread_cond_t more; /* something to tell, or an end to come to */
        pthread_cond_t over; /* the thread is at its end */
        size_t first, n;
        bool stopping, stopped;
        char texts[TEXTS_MAX][TEXT_MAX];
};

/* False: all is told, and the end was asked for. */
static bool notify_take(struct notify *n, char out[TEXT_MAX])
{
        bool got;

        pthread_mutex_lock(&n->lock);
        while (n->n == 0 && !n->stopping)
                pthread_cond_wait(&n->more, &n->lock);
        got = n->n > 0;
        if (got) {
                memcpy(out, n->texts[n->first], TEXT_MAX);
                n->first = (n->first + 1) % TEXTS_MAX;
                n->n--;
        }
        pthread_mutex_unlock(&n->lock);
        return got;
}

static void *notify_main(void *userdata)
{
        struct notify *n = userdata;
        char text[TEXT_MAX];

        pthread_setname_np(pthread_self(), "busrtd-notify");
        (void)real_time_step_down();
        while (notify_take(n, text))
                (void)sd_notify(0, text);
        pthread_mutex_lock(&n->lock);
        n->stopped = true;
        pthread_cond_signal(&n->over);
        pthread_mutex_unlock(&n->lock);
        return NULL;
}

static void notify_destroy(struct notify *n)
{
        pthread_cond_destroy(&n->over);
        pthread_cond_destroy(&n->more);
        pthread_mutex_destroy(&n->lock);
        free(n);
}

/* Signals are the main thread's. */
static int notify_start_thread(struct notify *n)
{
        sigset_t all, old;
        int r;

        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &old);
        r = pthread_create(&n->thread, NULL, notify_main, n);
        pthread_sigmask(SIG_SETMASK, &old, NULL);
        return -r;
}

int notify_new(struct notify **ret)
{
        pthread_condattr_t attr;
        struct notify *n;
        int r;

        *ret = NULL;
        if (!getenv("NOTIFY_SOCKET"))
                return 0;
        n = calloc(1, sizeof(*n));
        if (!n)
                return -ENOMEM;
        pthread_condattr_init(&attr);
        pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        pthread_mutex_init(&n->lock, NULL);
        pthread_cond_init(&n->more, &attr);
        pthread_cond_init(&n->over, &attr);
        pthread_condattr_destroy(&attr);
        r = notify_start_thread(n);
        if (r < 0) {
                notify_destroy(n);
                return r;
        }
        *ret = n;
        return 0;
}

struct notify *notify_free(struct notify *n)
{
        uint64_t deadline = clock_nsec(CLOCK_MONOTONIC) + NSEC_PER_SEC;
        struct timespec ts = {(time_t)(deadline / NSEC_PER_SEC), (long)(deadline % NSEC_PER_SEC)};
        bool stopped;
        int r = 0;

        if (!n)
                return NULL;
        pthread_mutex_lock(&n->lock);
        n->stopping = true;
        pthread_cond_signal(&n->more);
        while (!n->stopped && r == 0)
                r = pthread_cond_timedwait(&n->over, &n->lock, &ts);
        stopped = n->stopped;
        pthread_mutex_unlock(&n->lock);
        if (!stopped) { /* the end of the process takes it */
                pthread_detach(n->thread);
                return NULL;
        }
        pthread_join(n->thread, NULL);
        notify_destroy(n);
        return NULL;
}

static void notify_put(struct notify *n, const char *text, bool light)
{
        pthread_mutex_lock(&n->lock);
        if (!light || n->n < LIGHT_TEXTS_MAX) {
                n->n += n->n < TEXTS_MAX;
                (void)strlcpy(n->texts[(n->first + n->n - 1) % TEXTS_MAX], text, TEXT_MAX);
        }
        pthread_cond_signal(&n->more);
        pthread_mutex_unlock(&n->lock);
}

void notify_tell(struct notify *n, const char *format, ...)
{
        char text[TEXT_MAX];
        va_list ap;

        if (!n)
                return;
        va_start(ap, format);
        (void)vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        notify_put(n, text, false);
}

void notify_tell_lightly(struct notify *n, const char *format, ...)
{
        char text[TEXT_MAX];
        va_list ap;

        if (!n)
                return;
        va_start(ap, format);
        (void)vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        notify_put(n, text, true);
}
