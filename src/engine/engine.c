/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's face: made and ended, and requests from other threads handed to the workers. */
#include <sched.h>
#include <signal.h>

#include "access/rules.h"
#include "basic/mutex.h"
#include "engine/internal.h"

static int engine_make_workers(struct engine *e)
{
        buffer_pool_init(&e->pool, e->accounts);
        e->workers = calloc(e->config.n_workers, sizeof(*e->workers));
        e->current = e->workers;
        if (!e->workers)
                return -ENOMEM;
        while (e->n_workers < e->config.n_workers) {
                int r = worker_init(&e->workers[e->n_workers++], e);

                if (r < 0)
                        return r;
        }
        return e->real_time ? engine_reserve(e) : 0;
}

int engine_new(const struct engine_config *config, struct engine **ret)
{
        struct engine *e = calloc(1, sizeof(*e));
        struct account_limits limits;
        int r;

        if (!e)
                return -ENOMEM;
        e->config = *config;
        e->real_time = config->real_time;
        e->shared = config->n_workers > 1 || config->local_clients;
        access_rules_ref(e->config.access);
        e->events.fd = -1;
        e->started_at = clock_nsec(CLOCK_MONOTONIC);
        e->trim_at = e->now = e->started_at;
        LIST_INIT(&e->sessions);
        STAILQ_INIT(&e->leavers);
        LIST_INIT(&e->free_waits);
        engine_config_limits(config, &limits);
        r = requests_init(&e->requests, e->real_time);
        if (r == 0)
                r = mutex_init(&e->lock, e->real_time);
        if (r == 0)
                r = accounts_new(&limits, config->real_time, &e->accounts);
        if (r == 0)
                r = engine_make_workers(e);
        if (r == 0)
                r = registry_init(&e->registry);
        if (r == 0)
                r = event_ring_init(&e->events);
        if (r == 0)
                r = broker_init(e);
        if (r < 0) {
                engine_free(e);
                return r;
        }
        *ret = e;
        return 0;
}

/* Nobody is told: the tables and lists that would need it go too. */
static void engine_kill_all(struct engine *e)
{
        struct session *s, *secondary;

        while ((s = LIST_FIRST(&e->sessions))) {
                session_kill(s, ENGINE_EVENT_GONE, NULL);
                STAILQ_INIT(&e->leavers);
                while ((secondary = LIST_FIRST(&s->secondaries))) {
                        LIST_REMOVE(secondary, secondary_of);
                        secondary->primary = NULL;
                }
                registry_remove(&e->registry, s);
                LIST_REMOVE(s, link);
                if (s->local)
                        local_ended(s->local);
                session_free(s);
        }
}

static void engine_end_workers(struct engine *e)
{
        for (unsigned i = 0; i < e->n_workers; i++)
                worker_done(&e->workers[i]);
        free(e->workers);
        requests_done(&e->requests);
        pace_trim(e);
        match_set_done(&e->match_set);
        match_set_done(&e->exclusion_set);
        topic_cache_done(&e->topic_cache);
        name_set_done(&e->name_set);
        buffer_pool_done(&e->pool);
        pthread_mutex_destroy(&e->lock);
}

struct engine *engine_free(struct engine *engine)
{
        if (!engine)
                return NULL;
        if (engine->started)
                engine_stop(engine, false);
        engine_kill_all(engine);
        broker_done(engine);
        registry_done(&engine->registry);
        event_ring_done(&engine->events);
        engine_end_workers(engine);
        accounts_free(engine->accounts);
        access_rules_unref(engine->config.access);
        free(engine);
        return NULL;
}

/* Who has been started ends at once. */
static void engine_join(struct engine *e, unsigned n_started)
{
        for (unsigned i = 0; i < n_started; i++)
                pthread_join(e->workers[i].thread, NULL);
        e->started = false;
}

/* The workers take no signal: they are the host's. None goes to work before all are there. */
int engine_start(struct engine *engine)
{
        sigset_t all, before;
        unsigned n = 0;
        int r = 0;

        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        pthread_mutex_lock(&engine->lock);
        engine->quiet = false;
        while (n < engine->n_workers && r == 0) {
                r = pthread_create(&engine->workers[n].thread, NULL, worker_main,
                                   &engine->workers[n]);
                n += r == 0;
        }
        if (r != 0)
                engine->quiet = true;
        engine->started = r == 0;
        pthread_mutex_unlock(&engine->lock);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        if (r != 0)
                engine_join(engine, n);
        return -r;
}

static int engine_post(struct engine *engine, enum request_type type, struct request fields)
{
        struct request *r;
        int ret = request_new(type, 0, &r);

        if (ret < 0)
                return ret;
        fields.type = type;
        *r = fields;
        request_post(engine, r);
        return 0;
}

void engine_stop(struct engine *engine, bool announce)
{
        while (engine_post(engine, REQUEST_STOP, (struct request){.announce = announce}) < 0)
                sched_yield();
        if (engine->started)
                engine_join(engine, engine->n_workers);
}

int engine_warn(struct engine *engine)
{
        return engine_post(engine, REQUEST_WARN, (struct request){0});
}

int engine_quiesce(struct engine *engine)
{
        int r = engine_post(engine, REQUEST_QUIESCE, (struct request){0});

        if (r < 0)
                return r;
        if (engine->started)
                engine_join(engine, engine->n_workers);
        else
                while (!engine->quiet)
                        engine_process(engine);
        /* Connections that were accepted meanwhile become sessions that can be exported, and who
         * was disconnected meanwhile has left before. Clients in this process go on, if there are
         * any. */
        worker_enter_bus(engine->workers);
        requests_serve(engine);
        for (unsigned i = 0; i < engine->n_workers; i++)
                worker_settle(&engine->workers[i]);
        worker_leave_bus(engine->workers);
        return 0;
}

int engine_fd(const struct engine *engine)
{
        return engine->workers[0].epoll_fd;
}

int engine_timeout(struct engine *engine)
{
        struct worker *w = &engine->workers[0];
        int timeout;

        worker_enter_bus(w);
        timeout = worker_timeout(w, clock_nsec(CLOCK_MONOTONIC));
        worker_leave_bus(w);
        return timeout;
}

int engine_process(struct engine *engine)
{
        struct worker *w = &engine->workers[0];
        int r;

        worker_enter_bus(w);
        r = worker_pass(w, 0);
        w->waits_until = NSEC_INFINITY; /* as far as others know: for the embedder's next look */
        worker_leave_bus(w);
        return r;
}

int engine_adopt(struct engine *engine, int fd, const struct transport_peer *peer,
                 const char *listener)
{
        struct request *request;
        struct session *s;
        int r = session_new(engine, fd, peer, listener, false, &s);

        if (r == -EDQUOT || r == -EUSERS || r == -EBUSY)
                count_refusal(engine);
        if (r < 0)
                return r;
        r = request_new(REQUEST_ADOPT, 0, &request);
        if (r < 0) {
                s->fd = -1;
                session_free(s);
                return r;
        }
        request->session = s;
        request_post(engine, request);
        return 0;
}

int engine_disconnect(struct engine *engine, uint64_t id)
{
        return engine_post(engine, REQUEST_DISCONNECT, (struct request){.id = id});
}

void engine_wake_all(struct engine *e)
{
        for (unsigned i = 0; i < e->n_workers; i++)
                worker_wake(&e->workers[i]);
}

void engine_ping(struct engine *engine)
{
        __atomic_add_fetch(&engine->pings, 1, __ATOMIC_RELAXED);
        engine_wake_all(engine);
}

bool engine_has_answered(const struct engine *engine)
{
        uint64_t pings = __atomic_load_n(&engine->pings, __ATOMIC_RELAXED);

        for (unsigned i = 0; i < engine->n_workers; i++)
                if (__atomic_load_n(&engine->workers[i].pings_seen, __ATOMIC_RELAXED) != pings)
                        return false;
        return true;
}

int engine_configure(struct engine *engine, const struct engine_config *config)
{
        int r = engine_post(engine, REQUEST_CONFIGURE, (struct request){.config = *config});

        if (r == 0)
                access_rules_ref(config->access);
        return r;
}

/* A request with bytes in two parts. */
static int request_new_with(enum request_type type, const void *first, size_t first_len,
                            const void *second, size_t second_len, struct request **ret)
{
        int r = request_new(type, first_len + second_len, ret);

        if (r < 0)
                return r;
        (*ret)->target_len = first_len;
        (*ret)->payload_len = second_len;
        memcpy((*ret)->data, first, first_len);
        if (second_len > 0)
                memcpy((*ret)->data + first_len, second, second_len);
        return 0;
}

int engine_send(struct engine *engine, enum engine_send_kind kind, const char *target,
                size_t target_len, const void *payload, size_t payload_len)
{
        struct request *request;
        int r = request_new_with(REQUEST_SEND, target, target_len, payload, payload_len, &request);

        if (r < 0)
                return r;
        request->kind = kind;
        request_post(engine, request);
        return 0;
}

int engine_reply_later(struct engine *engine, uint64_t id, const void *head, size_t head_len,
                       const void *body, size_t body_len, bool realtime)
{
        struct request *request;
        int r = request_new_with(REQUEST_REPLY, head, head_len, body, body_len, &request);

        if (r < 0)
                return r;
        request->id = id;
        request->realtime = realtime;
        request_post(engine, request);
        return 0;
}

void engine_get_counters(struct engine *engine, struct engine_counters *ret)
{
        const uint64_t *from = (const uint64_t *)&engine->counters;
        uint64_t *to = (uint64_t *)ret;

        for (size_t i = 0; i < sizeof(*ret) / sizeof(*to); i++)
                to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
        ret->held = accounts_held(engine->accounts);
}

uint64_t engine_uptime(const struct engine *engine)
{
        return clock_nsec(CLOCK_MONOTONIC) - engine->started_at;
}

void engine_set_service(struct engine *engine, const struct engine_service *service)
{
        engine->service = *service;
}

void engine_set_tap(struct engine *engine, engine_tap_fn fn, void *userdata)
{
        engine->tap = fn;
        engine->tap_userdata = userdata;
}
