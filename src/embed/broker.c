/* SPDX-License-Identifier: Apache-2.0 */
/* A broker's life: made, started, ended, and freed with the last of its clients. */
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "embed/internal.h"

busrt_broker *broker_ref(busrt_broker *b)
{
        atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
        return b;
}

static void broker_free_memory(busrt_broker *b)
{
        engine_free(b->engine);
        broker_rpc_free(b->rpc);
        close_fd(b->epoll_fd);
        close_fd(b->wake_fd);
        pthread_mutex_destroy(&b->lock);
        free(b);
}

busrt_broker *broker_unref(busrt_broker *b)
{
        if (b && atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) == 1)
                broker_free_memory(b);
        return NULL;
}

static void broker_unrefp(busrt_broker **b)
{
        *b = broker_unref(*b);
}

static int init_loop(busrt_broker *b)
{
        struct epoll_event event = {.events = EPOLLIN};

        b->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        b->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (b->epoll_fd < 0 || b->wake_fd < 0 ||
            epoll_ctl(b->epoll_fd, EPOLL_CTL_ADD, b->wake_fd, &event) < 0)
                return -errno;
        return 0;
}

PUBLIC int busrt_broker_new(busrt_broker **ret)
{
        _cleanup_(broker_unrefp) busrt_broker *b = NULL;
        int r;

        if (!ret)
                return -EINVAL;
        b = calloc(1, sizeof(*b));
        if (!b)
                return -ENOMEM;
        atomic_init(&b->refs, 1);
        pthread_mutex_init(&b->lock, NULL);
        b->epoll_fd = b->wake_fd = -1;
        b->retry_at = NSEC_INFINITY;
        LIST_INIT(&b->listeners);
        engine_config_init(&b->config);
        b->config.n_workers = 1;
        b->config.local_clients = true;
        b->config.exempt[0] = 0;
        b->config.exempt[1] = geteuid();
        b->config.n_exempt = 2;
        r = init_loop(b);
        if (r == 0)
                r = broker_rpc_new(&b->rpc);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(b);
        return 0;
}

int broker_need_engine(busrt_broker *b)
{
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &b->engine};
        struct engine *e;
        int r;

        if (b->state == BROKER_ENDING)
                return -ESHUTDOWN;
        if (b->engine)
                return 0;
        r = engine_new(&b->config, &e);
        if (r < 0)
                return r;
        if (epoll_ctl(b->epoll_fd, EPOLL_CTL_ADD, engine_event_fd(e), &event) < 0) {
                r = -errno;
                engine_free(e);
                return r;
        }
        broker_rpc_attach(b->rpc, e);
        b->engine = e;
        guard_attach(b);
        return 0;
}

/* --- Threads --- */

static int start_loop(busrt_broker *b)
{
        sigset_t all, before;
        int r;

        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        r = -pthread_create(&b->thread, NULL, loop_main, b);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        return r;
}

static void end_loop(busrt_broker *b)
{
        __atomic_store_n(&b->ending, true, __ATOMIC_RELEASE);
        loop_wake(b);
        pthread_join(b->thread, NULL);
}

static int start(busrt_broker *b)
{
        int r = b->state == BROKER_STARTED  ? -EALREADY
                : b->state == BROKER_SERVED ? -EBUSY
                                            : broker_need_engine(b);

        if (r == 0)
                r = engine_start(b->engine);
        if (r < 0)
                return r;
        r = start_loop(b);
        if (r == 0)
                b->state = BROKER_STARTED;
        else
                (void)engine_quiesce(b->engine); /* all is as before */
        return r;
}

PUBLIC int busrt_broker_start(busrt_broker *broker)
{
        int r;

        if (!broker)
                return -EINVAL;
        pthread_mutex_lock(&broker->lock);
        r = start(broker);
        pthread_mutex_unlock(&broker->lock);
        return r;
}

/* --- The end --- */

/* Whoever serves it has left: the engine is served here until everybody has gone, for which it sets
 * itself a time. */
static void serve_to_the_end(struct engine *e)
{
        struct engine_counters counters;
        struct pollfd fd = {engine_fd(e), POLLIN, 0};

        engine_stop(e, true);
        for (;;) {
                if (engine_process(e) < 0)
                        return;
                engine_get_counters(e, &counters);
                if (counters.sessions == 0)
                        return;
                (void)poll(&fd, 1, engine_timeout(e));
        }
}

/* Of several workers each ends its own, also those that were never started. Where they cannot be,
 * all clients in this process are told, and sockets are closed with the engine. */
static void end_engine(busrt_broker *b, enum broker_state before)
{
        if (b->config.n_workers == 1 && before != BROKER_STARTED) {
                serve_to_the_end(b->engine);
                return;
        }
        if (before == BROKER_STARTED || engine_start(b->engine) == 0) {
                engine_stop(b->engine, true);
                return;
        }
        engine_stop(b->engine, true);
        (void)engine_process(b->engine);
}

PUBLIC busrt_broker *busrt_broker_free(busrt_broker *broker)
{
        enum broker_state before;

        if (!broker)
                return NULL;
        pthread_mutex_lock(&broker->lock);
        before = broker->state;
        broker->state = BROKER_ENDING;
        pthread_mutex_unlock(&broker->lock);
        if (before == BROKER_STARTED)
                end_loop(broker);
        listeners_free(broker);
        if (broker->engine)
                end_engine(broker, before);
        return broker_unref(broker);
}
