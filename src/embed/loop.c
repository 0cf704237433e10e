/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop beside the workers: it accepts connections and tells the program what happened. It runs
 * on a thread of the broker's, or in busrt_broker_process(), where it also has the engine's one
 * worker.
 */
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "embed/internal.h"

#define EVENTS_PER_TURN 32
#define TOLD_PER_TURN 256

void loop_wake(busrt_broker *b)
{
        static const uint64_t one = 1;

        (void)!write(b->wake_fd, &one, sizeof(one));
}

/* --- What happened --- */

static void tell(busrt_broker *b, const busrt_broker_event *event)
{
        if (b->on_event)
                b->on_event(b, event, b->on_event_data);
}

void loop_tell_listener(busrt_broker *b, const char *name, const char *detail)
{
        tell(b, &(busrt_broker_event){
                        .type = BUSRT_BROKER_EVENT_LISTENER, .name = name, .detail = detail});
}

void loop_tell_refused(busrt_broker *b, const char *name, int error)
{
        const char *why = error == -EDQUOT ? "a connection: its user has as many as it may"
                          : error == -EUSERS
                                  ? "a connection: its user has as many without a name as "
                                    "it may"
                          : error == -EBUSY ? "a connection: its user connects too fast"
                                            : "a connection: no memory";

        tell(b, &(busrt_broker_event){
                        .type = BUSRT_BROKER_EVENT_REFUSED, .name = name, .detail = why});
}

static const enum busrt_broker_event_type types[] = {
        [ENGINE_EVENT_REGISTERED] = BUSRT_BROKER_EVENT_REGISTERED,
        [ENGINE_EVENT_GONE] = BUSRT_BROKER_EVENT_GONE,
        [ENGINE_EVENT_REFUSED] = BUSRT_BROKER_EVENT_REFUSED,
        [ENGINE_EVENT_BAD_FRAME] = BUSRT_BROKER_EVENT_BAD_FRAME,
        [ENGINE_EVENT_STRUCK] = BUSRT_BROKER_EVENT_STRUCK,
        [ENGINE_EVENT_DROPPED] = BUSRT_BROKER_EVENT_DROPPED,
        [ENGINE_EVENT_TIMEOUT] = BUSRT_BROKER_EVENT_TIMEOUT,
        [ENGINE_EVENT_TAKEOVER] = BUSRT_BROKER_EVENT_TAKEOVER,
        [ENGINE_EVENT_MEMORY] = BUSRT_BROKER_EVENT_MEMORY,
        [ENGINE_EVENT_DENIED] = BUSRT_BROKER_EVENT_DENIED,
        [ENGINE_EVENT_RESYNC] = BUSRT_BROKER_EVENT_RESYNC,
};

static bool tell_events(busrt_broker *b)
{
        struct engine_event ev;

        for (unsigned i = 0; i < TOLD_PER_TURN; i++) {
                if (engine_event_next(b->engine, &ev) == 0)
                        return false;
                tell(b, &(busrt_broker_event){
                                .type = types[ev.type],
                                .over = ev.over,
                                .id = ev.id,
                                .peer = broker_peer(ev.kind, ev.uid, ev.gid, ev.pid, ev.source),
                                .n_frames = ev.n_frames,
                                .name = ev.name,
                                .detail = ev.detail});
        }
        return true;
}

PUBLIC int busrt_broker_set_event_handler(busrt_broker *broker, busrt_broker_event_handler handler,
                                          void *userdata)
{
        int r;

        if (!broker)
                return -EINVAL;
        pthread_mutex_lock(&broker->lock);
        r = broker->engine ? -EBUSY : 0;
        if (r == 0) {
                broker->on_event = handler;
                broker->on_event_data = userdata;
        }
        pthread_mutex_unlock(&broker->lock);
        return r;
}

/* --- A turn --- */

/* What was written there is read away, so that it wakes once. */
static void awake(const busrt_broker *b)
{
        uint64_t count;

        (void)!read(b->wake_fd, &count, sizeof(count));
}

static void on_descriptor(busrt_broker *b, const struct epoll_event *ev)
{
        if (!ev->data.ptr)
                awake(b);
        else if (ev->data.ptr == &b->engine)
                (void)tell_events(b);
        else if (ev->data.ptr != &b->epoll_fd) /* that is the worker's, who is served anyway */
                listener_accept(ev->data.ptr, ev->events);
}

static uint64_t retry_at(const busrt_broker *b)
{
        return __atomic_load_n(&b->retry_at, __ATOMIC_RELAXED);
}

static int turn(busrt_broker *b, int timeout)
{
        struct epoll_event events[EVENTS_PER_TURN];
        int n = epoll_wait(b->epoll_fd, events, EVENTS_PER_TURN, timeout);

        if (n < 0 && errno != EINTR)
                return -errno;
        for (int i = 0; i < n; i++)
                on_descriptor(b, &events[i]);
        if (retry_at(b) != NSEC_INFINITY && clock_nsec(CLOCK_MONOTONIC) >= retry_at(b)) {
                pthread_mutex_lock(&b->lock);
                listeners_retry(b);
                pthread_mutex_unlock(&b->lock);
        }
        return 0;
}

static int until_retry(const busrt_broker *b)
{
        uint64_t now = clock_nsec(CLOCK_MONOTONIC), at = retry_at(b);

        if (at == NSEC_INFINITY)
                return -1;
        return at <= now ? 0 : (int)((at - now) / NSEC_PER_MSEC) + 1;
}

void *loop_main(void *broker)
{
        busrt_broker *b = broker;

        (void)pthread_setname_np(pthread_self(), "busrt-broker");
        while (!__atomic_load_n(&b->ending, __ATOMIC_ACQUIRE) && turn(b, until_retry(b)) >= 0)
                ;
        return NULL;
}

/* --- Of the program --- */

PUBLIC int busrt_broker_get_fd(busrt_broker *broker)
{
        return broker ? broker->epoll_fd : -EINVAL;
}

PUBLIC int busrt_broker_get_timeout(busrt_broker *broker, uint64_t *ret_usec)
{
        uint64_t at;
        int msec = 0;

        if (!broker || !ret_usec)
                return -EINVAL;
        pthread_mutex_lock(&broker->lock);
        if (broker->state == BROKER_SERVED)
                msec = engine_timeout(broker->engine);
        pthread_mutex_unlock(&broker->lock);
        at = retry_at(broker);
        if (msec > 0)
                at = MIN(at, clock_nsec(CLOCK_MONOTONIC) + (uint64_t)msec * NSEC_PER_MSEC);
        *ret_usec = msec == 0 ? 0 : at == NSEC_INFINITY ? UINT64_MAX : at / NSEC_PER_USEC + 1;
        return 0;
}

/* The worker's descriptor becomes one of the loop's. */
static int begin(busrt_broker *b)
{
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &b->epoll_fd};
        int r;

        if (b->state == BROKER_SERVED)
                return 0;
        if (b->state == BROKER_STARTED || b->config.n_workers > 1)
                return -EBUSY;
        r = broker_need_engine(b);
        if (r < 0)
                return r;
        if (epoll_ctl(b->epoll_fd, EPOLL_CTL_ADD, engine_fd(b->engine), &event) < 0)
                return -errno;
        b->state = BROKER_SERVED;
        return 0;
}

PUBLIC int busrt_broker_process(busrt_broker *broker)
{
        int r;

        if (!broker)
                return -EINVAL;
        pthread_mutex_lock(&broker->lock);
        r = begin(broker);
        pthread_mutex_unlock(&broker->lock);
        if (r == 0)
                r = engine_process(broker->engine);
        return r < 0 ? r : turn(broker, 0);
}
