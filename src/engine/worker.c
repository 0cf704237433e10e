/* SPDX-License-Identifier: Apache-2.0 */
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "access/rules.h"
#include "engine/internal.h"
#include "engine/probe.h"

#define EVENTS_PER_WAIT 32
#define TIMERS_PER_PASS 1024

int timer_compare(const struct session *a, const struct session *b)
{
        if (a->timer_at != b->timer_at)
                return a->timer_at < b->timer_at ? -1 : 1;
        if (a->id != b->id)
                return a->id < b->id ? -1 : 1;
        return a < b ? -1 : a > b; /* only a record that somebody made up repeats an id */
}

RB_GENERATE(timer_tree, session, timer_link, timer_compare)

int worker_init(struct worker *w, struct engine *engine)
{
        struct epoll_event ev = {.events = EPOLLIN};

        *w = (struct worker){
                .engine = engine, .epoll_fd = -1, .wake_fd = -1, .waits_until = NSEC_INFINITY};
        TAILQ_INIT(&w->run_queue);
        LIST_INIT(&w->unwritten);
        STAILQ_INIT(&w->graves);
        RB_INIT(&w->timers);
        w->read_buffer = malloc(WORKER_READ_SIZE + WIRE_NAME_MAX + 64);
        if (!w->read_buffer)
                return -ENOMEM;
        w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (w->epoll_fd < 0 || w->wake_fd < 0 ||
            epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, w->wake_fd, &ev) < 0)
                return -errno;
        return 0;
}

void worker_done(struct worker *w)
{
        free(w->read_buffer);
        w->epoll_fd = close_fd(w->epoll_fd);
        w->wake_fd = close_fd(w->wake_fd);
}

/* --- One bus, several workers --- */

void worker_leave_bus(struct worker *w)
{
        if (w->engine->shared)
                pthread_mutex_unlock(&w->engine->lock);
}

void worker_enter_bus(struct worker *w)
{
        if (!w->engine->shared)
                return;
        pthread_mutex_lock(&w->engine->lock);
        w->engine->current = w;
}

void worker_wake(struct worker *w)
{
        static const uint64_t one = 1;

        (void)!write(w->wake_fd, &one, sizeof(one));
}

/* Somebody else has something for it that cannot wait until then. Once is enough. */
static void worker_nudge(struct worker *w, uint64_t at)
{
        if (w == w->engine->current || at >= w->waits_until)
                return;
        w->waits_until = 0;
        worker_wake(w);
}

static void worker_woken(struct worker *w)
{
        uint64_t count;

        (void)!read(w->wake_fd, &count, sizeof(count));
        if (w == &w->engine->workers[0])
                requests_serve(w->engine);
}

/* --- Events and timers --- */

/* Edge-triggered: input is announced once and then read until the socket has no more. EPOLLOUT is
 * asked for only while a write is blocked, since a UNIX socket reports it for every read of the
 * peer. */
void worker_watch(struct session *s)
{
        struct epoll_event ev = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = s};

        if (s->fd >= 0 && epoll_ctl(s->worker->epoll_fd, EPOLL_CTL_ADD, s->fd, &ev) < 0)
                session_kill(s, ENGINE_EVENT_GONE, strerrordesc_np(errno));
}

void worker_watch_writable(struct session *s, bool wanted)
{
        struct epoll_event ev = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET | (wanted ? EPOLLOUT : 0),
                                 .data.ptr = s};

        (void)epoll_ctl(s->worker->epoll_fd, EPOLL_CTL_MOD, s->fd, &ev);
}

void worker_run_later(struct session *s)
{
        if (s->running || s->state == SESSION_DEAD)
                return;
        s->running = true;
        TAILQ_INSERT_TAIL(&s->worker->run_queue, s, run_link);
        worker_nudge(s->worker, 0);
}

void worker_disarm(struct session *s)
{
        if (s->timer_at == NSEC_INFINITY)
                return;
        RB_REMOVE(timer_tree, &s->worker->timers, s);
        s->timer_at = NSEC_INFINITY;
}

void worker_arm(struct session *s, uint64_t at)
{
        if (at >= s->timer_at)
                return;
        worker_disarm(s);
        s->timer_at = at;
        RB_INSERT(timer_tree, &s->worker->timers, s);
        worker_nudge(s->worker, at);
}

static void worker_note(struct worker *w, const struct epoll_event *ev)
{
        struct session *s = ev->data.ptr;

        if (!s) {
                worker_woken(w);
                return;
        }
        if (s->state == SESSION_DEAD)
                return;
        if (ev->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
                s->hung_up = true;
        if (ev->events & EPOLLOUT) {
                session_write(s);
                if (s->state == SESSION_DEAD)
                        return;
        }
        if (ev->events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
                s->readable = true;
                worker_run_later(s);
        }
}

static void worker_run_timers(struct worker *w)
{
        struct engine *e = w->engine;
        struct session *s;

        for (unsigned i = 0;
             i < TIMERS_PER_PASS && (s = RB_MIN(timer_tree, &w->timers)) && s->timer_at <= e->now;
             i++) {
                worker_disarm(s);
                session_check_timers(s);
        }
        if (e->now >= e->trim_at) {
                e->trim_at = e->now + NSEC_PER_SEC;
                buffer_pool_trim(&e->pool);
                if (!e->real_time)
                        pace_trim(e);
        }
}

int worker_timeout(const struct worker *w, uint64_t now)
{
        const struct session *s = RB_MIN(timer_tree, (struct timer_tree *)&w->timers);
        const struct engine *e = w->engine;
        uint64_t at;

        if (!TAILQ_EMPTY(&w->run_queue) || !LIST_EMPTY(&w->unwritten) || !STAILQ_EMPTY(&e->leavers))
                return 0;
        at = s ? s->timer_at : NSEC_INFINITY;
        if (buffer_pool_has_spare(&e->pool))
                at = MIN(at, e->trim_at);
        if (at == NSEC_INFINITY)
                return -1;
        return at <= now ? 0
                         : (int)MIN((at - now + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC,
                                    UINT64_C(3600000));
}

/* --- A pass --- */

/* Everybody who has something, in turn and once, until the budget is spent. */
static void worker_run_sessions(struct worker *w)
{
        struct session *s;

        w->n_runs++;
        while (w->budget > 0 && (s = TAILQ_FIRST(&w->run_queue)) && s->ran_in != w->n_runs) {
                TAILQ_REMOVE(&w->run_queue, s, run_link);
                s->running = false;
                s->ran_in = w->n_runs;
                session_run(s);
        }
}

/* Closing the socket would do where nobody has a copy of it; a child of the host's may. */
static void worker_unwatch(struct session *s)
{
        if (s->fd >= 0)
                (void)epoll_ctl(s->worker->epoll_fd, EPOLL_CTL_DEL, s->fd, NULL);
}

static void worker_bury(struct worker *w, struct session *s)
{
        worker_unwatch(s);
        if (s->local)
                local_ended(s->local);
        LIST_REMOVE(s, link);
        w->n_sessions--;
        counter_sub(&w->engine->counters.sessions, 1);
        worker_disarm(s);
        session_free(s);
        w->engine->victims.account = NULL;
}

/* Who is pinned waits for the next time. */
static void worker_bury_dead(struct worker *w)
{
        struct grave_list graves = STAILQ_HEAD_INITIALIZER(graves);
        struct session *s;

        STAILQ_CONCAT(&graves, &w->graves);
        while ((s = STAILQ_FIRST(&graves))) {
                STAILQ_REMOVE_HEAD(&graves, leave_link);
                if (session_is_pinned(s))
                        STAILQ_INSERT_TAIL(&w->graves, s, leave_link);
                else
                        worker_bury(w, s);
        }
}

void worker_unpinned(struct session *s)
{
        worker_nudge(s->worker, 0);
}

/* Takes one that is no longer LIVE out of the tables, and its secondaries with it, and tells. */
static void unregister(struct session *s)
{
        struct engine *e = s->engine;
        struct session *secondary;

        if (!s->registered)
                return;
        registry_remove(&e->registry, s);
        counter_sub(&e->counters.clients, 1);
        PROBE_GONE(s);
        if (s->slow_dropped)
                event_push(s, ENGINE_EVENT_DROPPED, s->slow_dropped,
                           "its queue was full: frames for it were dropped");
        permit_tell_denied(s);
        if (s->struck || s->slow_dropped)
                broker_announce_slow(e, s->name, s->name_len, s->struck, s->slow_dropped);
        if (session_is_primary(s) && s->announced)
                broker_announce(e, ".broker/info", "unreg", s->name, s->name_len);
        while ((secondary = LIST_FIRST(&s->secondaries))) {
                LIST_REMOVE(secondary, secondary_of);
                secondary->primary = NULL;
                session_drain(secondary, ENGINE_EVENT_GONE, "its primary is gone");
        }
}

void worker_settle(struct worker *w)
{
        struct engine *e = w->engine;
        struct session *s;

        while ((s = STAILQ_FIRST(&e->leavers))) {
                STAILQ_REMOVE_HEAD(&e->leavers, leave_link);
                s->leaving = false;
                unregister(s);
                if (s->state != SESSION_DEAD)
                        continue;
                worker_nudge(s->worker, 0);
                if (s->fd < 0 && !session_is_pinned(s))
                        worker_bury(s->worker, s); /* no event ever named it */
                else
                        STAILQ_INSERT_TAIL(&s->worker->graves, s, leave_link);
        }
        worker_bury_dead(w);
}

/* Writing may end sessions, whose leaving may give others something to be written. */
void worker_finish_pass(struct worker *w)
{
        struct session *s;

        do {
                worker_settle(w);
                while ((s = LIST_FIRST(&w->unwritten))) {
                        session_unmark_unwritten(s);
                        session_write(s);
                }
        } while (!STAILQ_EMPTY(&w->engine->leavers));
        worker_bury_dead(w);
        event_flush(w->engine);
}

/* --- Waiting --- */

/* Until then it is of no use to wake it. With a timeout of 0 it looks again and again as long. */
static int worker_look(struct worker *w, struct epoll_event *events, int timeout, uint64_t until)
{
        int n, error;

        w->waits_until = until;
        worker_leave_bus(w);
        do
                n = epoll_wait(w->epoll_fd, events, EVENTS_PER_WAIT, timeout);
        while (n == 0 && timeout == 0 && until > 0 && clock_nsec(CLOCK_MONOTONIC) < until &&
               sched_yield() == 0);
        error = errno;
        worker_enter_bus(w);
        w->waits_until = 0;
        return n < 0 ? -error : n;
}

static int worker_block(struct worker *w, struct epoll_event *events, int timeout)
{
        uint64_t until = timeout < 0    ? NSEC_INFINITY
                         : timeout == 0 ? 0
                                        : w->engine->now + (uint64_t)timeout * NSEC_PER_MSEC;

        return worker_look(w, events, timeout, until);
}

/* Looks again and again for a while after the last event, then blocks. */
static int worker_wait(struct worker *w, struct epoll_event *events, int timeout)
{
        uint64_t until = w->event_at + w->engine->config.busy_poll;
        int n;

        if (timeout == 0 || w->engine->config.busy_poll == 0)
                return worker_block(w, events, timeout);
        if (timeout > 0)
                until = MIN(until, w->engine->now + (uint64_t)timeout * NSEC_PER_MSEC);
        n = worker_look(w, events, 0, until);
        return n != 0 ? n : worker_block(w, events, worker_timeout(w, clock_nsec(CLOCK_MONOTONIC)));
}

int worker_pass(struct worker *w, int timeout)
{
        struct engine *e = w->engine;
        struct epoll_event events[EVENTS_PER_WAIT];
        int n = worker_wait(w, events, timeout);

        if (n < 0 && n != -EINTR)
                return n;
        e->now = clock_nsec(CLOCK_MONOTONIC);
        if (n > 0)
                w->event_at = e->now;
        w->budget = WORKER_BUDGET;
        e->victims.account = NULL;
        for (int i = 0; i < n; i++)
                worker_note(w, &events[i]);
        worker_run_sessions(w);
        worker_run_timers(w);
        worker_finish_pass(w);
        if (w == e->workers)
                counter_add(&e->counters.passes, 1);
        __atomic_store_n(&w->pings_seen, __atomic_load_n(&e->pings, __ATOMIC_RELAXED),
                         __ATOMIC_RELAXED);
        return 0;
}

static bool worker_is_over(const struct worker *w)
{
        return w->engine->quiet || (w->engine->stopping && w->n_sessions == 0);
}

void *worker_main(void *worker)
{
        struct worker *w = worker;

        (void)pthread_setname_np(pthread_self(), "busrt-worker");
        worker_enter_bus(w);
        /* A timer may be late by what the last pass took: that is not worth asking for the time. */
        while (!worker_is_over(w) && worker_pass(w, worker_timeout(w, w->engine->now)) >= 0)
                ;
        worker_leave_bus(w);
        return NULL;
}
