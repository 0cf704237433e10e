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

        *w = (struct worker){.engine = engine, .epoll_fd = -1, .wake_fd = -1};
        LIST_INIT(&w->sessions);
        TAILQ_INIT(&w->run_queue);
        LIST_INIT(&w->unwritten);
        STAILQ_INIT(&w->leavers);
        STAILQ_INIT(&w->requests);
        LIST_INIT(&w->free_waits);
        RB_INIT(&w->timers);
        pthread_mutex_init(&w->requests_lock, NULL);
        w->now = clock_nsec(CLOCK_MONOTONIC);
        w->trim_at = w->now + NSEC_PER_SEC;
        buffer_pool_init(&w->pool, engine->accounts);

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
        struct request *r;

        while ((r = STAILQ_FIRST(&w->requests))) {
                STAILQ_REMOVE_HEAD(&w->requests, link);
                session_free(r->session);
                inspection_unref(r->inspection);
                access_rules_unref(r->config.access);
                free(r);
        }
        pace_trim(w);
        match_set_done(&w->match_set);
        topic_cache_done(&w->topic_cache);
        match_set_done(&w->exclusion_set);
        name_set_done(&w->name_set);
        buffer_pool_done(&w->pool);
        free(w->read_buffer);
        w->epoll_fd = close_fd(w->epoll_fd);
        w->wake_fd = close_fd(w->wake_fd);
        pthread_mutex_destroy(&w->requests_lock);
}

/* --- Requests --- */

int request_new(enum request_type type, size_t data_size, struct request **ret)
{
        struct request *r = calloc(1, sizeof(*r) + data_size);

        if (!r)
                return -ENOMEM;
        r->type = type;
        *ret = r;
        return 0;
}

void worker_wake(struct worker *w)
{
        static const uint64_t one = 1;

        (void)!write(w->wake_fd, &one, sizeof(one));
}

void worker_post(struct worker *w, struct request *request)
{
        bool first;

        pthread_mutex_lock(&w->requests_lock);
        first = STAILQ_EMPTY(&w->requests);
        STAILQ_INSERT_TAIL(&w->requests, request, link);
        pthread_mutex_unlock(&w->requests_lock);
        if (first)
                worker_wake(w);
}

static void worker_stop(struct worker *w, bool announce)
{
        struct session *s, *next;

        if (w->stopping)
                return;
        w->stopping = true;
        if (announce)
                broker_announce(w->engine, ".broker/warn", "shutdown", NULL, 0);
        LIST_FOREACH_SAFE (s, &w->sessions, link, next) {
                s->announced = false;
                session_drain(s, ENGINE_EVENT_GONE, NULL);
        }
}

static void request_adopt(struct worker *w, struct session *s)
{
        if (w->stopping)
                session_free(s);
        else
                session_start(s);
}

static void worker_configure(struct worker *w, const struct engine_config *config)
{
        struct engine_config before = w->engine->config;
        struct account_limits limits;
        struct session *s;

        w->engine->config = *config; /* with the request's reference of the rules */
        engine_config_limits(config, &limits);
        accounts_set_limits(w->engine->accounts, &limits);
        LIST_FOREACH (s, &w->sessions, link)
                session_configured(s, &before);
        if (config->access != before.access)
                permit_renew(w->engine);
        access_rules_unref(before.access);
}

/* `.broker` has no connection that could end. */
static void request_disconnect(struct worker *w, uint64_t id)
{
        struct session *s = registry_find_id(&w->engine->registry, id);

        if (s && s->kind != TRANSPORT_INTERNAL)
                session_drain(s, ENGINE_EVENT_GONE, "disconnected by the administrator");
}

static void request_reply(struct worker *w, const struct request *r)
{
        struct session *s = registry_find_id(&w->engine->registry, r->id);

        if (s)
                engine_reply(w->engine, s, r->data, r->target_len, r->data + r->target_len,
                             r->payload_len, r->realtime);
}

static void worker_serve(struct worker *w, struct request *r)
{
        switch (r->type) {
        case REQUEST_ADOPT:
                request_adopt(w, r->session);
                break;
        case REQUEST_DISCONNECT:
                request_disconnect(w, r->id);
                break;
        case REQUEST_CONFIGURE:
                worker_configure(w, &r->config);
                break;
        case REQUEST_SEND:
                broker_send(w->engine, r->kind, r->data, r->target_len,
                            (uint8_t *)r->data + r->target_len, r->payload_len);
                break;
        case REQUEST_REPLY:
                request_reply(w, r);
                break;
        case REQUEST_WARN:
                broker_announce(w->engine, ".broker/warn", "shutdown", NULL, 0);
                break;
        case REQUEST_STOP:
                worker_stop(w, r->announce);
                break;
        case REQUEST_QUIESCE:
                w->quiet = true;
                break;
        case REQUEST_INSPECT:
                inspection_run(r->inspection, w->engine);
                inspection_unref(r->inspection);
                break;
        }
}

void worker_serve_requests(struct worker *w)
{
        struct request_list list = STAILQ_HEAD_INITIALIZER(list);
        struct request *r;
        uint64_t count;

        (void)!read(w->wake_fd, &count, sizeof(count));
        pthread_mutex_lock(&w->requests_lock);
        STAILQ_CONCAT(&list, &w->requests);
        pthread_mutex_unlock(&w->requests_lock);
        while ((r = STAILQ_FIRST(&list))) {
                STAILQ_REMOVE_HEAD(&list, link);
                worker_serve(w, r);
                free(r);
        }
}

/* --- Events and timers --- */

/* Edge-triggered: input is announced once and then read until the socket has no more. EPOLLOUT is
 * asked for only while a write is blocked, since a UNIX socket reports it for every read of the
 * peer. */
void worker_watch(struct worker *w, struct session *s)
{
        struct epoll_event ev = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = s};

        if (epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, s->fd, &ev) < 0)
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
}

static void worker_note(struct worker *w, const struct epoll_event *ev)
{
        struct session *s = ev->data.ptr;

        if (!s) {
                worker_serve_requests(w);
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
        struct session *s;

        for (unsigned i = 0;
             i < TIMERS_PER_PASS && (s = RB_MIN(timer_tree, &w->timers)) && s->timer_at <= w->now;
             i++) {
                worker_disarm(s);
                session_check_timers(s);
        }
        if (w->now >= w->trim_at) {
                w->trim_at = w->now + NSEC_PER_SEC;
                buffer_pool_trim(&w->pool);
                pace_trim(w);
        }
}

int worker_timeout(const struct worker *w)
{
        const struct session *s = RB_MIN(timer_tree, (struct timer_tree *)&w->timers);
        uint64_t now, at;

        if (!TAILQ_EMPTY(&w->run_queue) || !LIST_EMPTY(&w->unwritten) || !STAILQ_EMPTY(&w->leavers))
                return 0;
        at = s ? s->timer_at : NSEC_INFINITY;
        if (!buffer_pool_is_empty(&w->pool))
                at = MIN(at, w->trim_at);
        if (at == NSEC_INFINITY)
                return -1;
        now = clock_nsec(CLOCK_MONOTONIC);
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

static void worker_bury(struct worker *w, struct session *s)
{
        LIST_REMOVE(s, link);
        w->n_sessions--;
        counter_sub(&w->engine->counters.sessions, 1);
        worker_disarm(s);
        session_free(s);
        w->victims.account = NULL;
}

/* Takes one that is no longer LIVE out of the tables, and its secondaries with it, and tells. */
static void worker_unregister(struct worker *w, struct session *s)
{
        struct session *secondary;

        if (!s->registered)
                return;
        registry_remove(&w->engine->registry, s);
        counter_sub(&w->engine->counters.clients, 1);
        PROBE_GONE(s);
        if (s->slow_dropped)
                event_push(s, ENGINE_EVENT_DROPPED, s->slow_dropped,
                           "its queue was full: frames for it were dropped");
        permit_tell_denied(s);
        if (s->struck || s->slow_dropped)
                broker_announce_slow(w->engine, s->name, s->name_len, s->struck, s->slow_dropped);
        if (session_is_primary(s) && s->announced)
                broker_announce(w->engine, ".broker/info", "unreg", s->name, s->name_len);
        while ((secondary = LIST_FIRST(&s->secondaries))) {
                LIST_REMOVE(secondary, secondary_of);
                secondary->primary = NULL;
                session_drain(secondary, ENGINE_EVENT_GONE, "its primary is gone");
        }
}

void worker_settle(struct worker *w)
{
        struct session *s;

        while ((s = STAILQ_FIRST(&w->leavers))) {
                STAILQ_REMOVE_HEAD(&w->leavers, leave_link);
                s->leaving = false;
                worker_unregister(w, s);
                if (s->state == SESSION_DEAD)
                        worker_bury(w, s);
        }
}

/* Writing may end sessions, whose leaving may give others something to be written. */
static void worker_finish_pass(struct worker *w)
{
        struct session *s;

        do {
                worker_settle(w);
                while ((s = LIST_FIRST(&w->unwritten))) {
                        LIST_REMOVE(s, unwritten_link);
                        s->unwritten = false;
                        session_write(s);
                }
        } while (!STAILQ_EMPTY(&w->leavers));
        event_flush(w);
}

/* Looks again and again for a while after the last event, then blocks. */
static int worker_wait(struct worker *w, struct epoll_event *events, int timeout)
{
        uint64_t until = w->event_at + w->engine->config.busy_poll;
        int n;

        if (timeout == 0 || w->engine->config.busy_poll == 0)
                return epoll_wait(w->epoll_fd, events, EVENTS_PER_WAIT, timeout);
        if (timeout > 0)
                until = MIN(until, w->now + (uint64_t)timeout * NSEC_PER_MSEC);
        for (;;) {
                uint64_t now;

                n = epoll_wait(w->epoll_fd, events, EVENTS_PER_WAIT, 0);
                now = clock_nsec(CLOCK_MONOTONIC);
                if (n != 0 || now >= until)
                        break;
                sched_yield();
        }
        return n != 0 ? n : epoll_wait(w->epoll_fd, events, EVENTS_PER_WAIT, worker_timeout(w));
}

int worker_pass(struct worker *w, int timeout)
{
        struct epoll_event events[EVENTS_PER_WAIT];
        int n = worker_wait(w, events, timeout);

        if (n < 0 && errno != EINTR)
                return -errno;
        w->now = clock_nsec(CLOCK_MONOTONIC);
        if (n > 0)
                w->event_at = w->now;
        w->budget = WORKER_BUDGET;
        w->victims.account = NULL;
        for (int i = 0; i < n; i++)
                worker_note(w, &events[i]);
        worker_run_sessions(w);
        worker_run_timers(w);
        worker_finish_pass(w);
        counter_add(&w->engine->counters.passes, 1);
        return 0;
}

void *worker_main(void *worker)
{
        struct worker *w = worker;

        while (!w->quiet && !(w->stopping && w->n_sessions == 0))
                if (worker_pass(w, worker_timeout(w)) < 0)
                        break;
        return NULL;
}
