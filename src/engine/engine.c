/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's face: made and ended, and requests from other threads handed to the worker. */
#include <sched.h>
#include <signal.h>

#include "access/rules.h"
#include "engine/internal.h"

int engine_new(const struct engine_config *config, struct engine **ret)
{
        struct engine *e = calloc(1, sizeof(*e));
        struct account_limits limits;
        int r;

        if (!e)
                return -ENOMEM;
        e->config = *config;
        access_rules_ref(e->config.access);
        e->events.fd = -1;
        e->worker.epoll_fd = e->worker.wake_fd = -1;
        e->started_at = clock_nsec(CLOCK_MONOTONIC);
        engine_config_limits(config, &limits);
        r = accounts_new(&limits, &e->accounts);
        if (r == 0)
                r = worker_init(&e->worker, e);
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
        struct worker *w = &e->worker;
        struct session *s, *secondary;

        while ((s = LIST_FIRST(&w->sessions))) {
                session_kill(s, ENGINE_EVENT_GONE, NULL);
                STAILQ_INIT(&w->leavers);
                while ((secondary = LIST_FIRST(&s->secondaries))) {
                        LIST_REMOVE(secondary, secondary_of);
                        secondary->primary = NULL;
                }
                registry_remove(&e->registry, s);
                LIST_REMOVE(s, link);
                session_free(s);
        }
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
        worker_done(&engine->worker);
        accounts_free(engine->accounts);
        access_rules_unref(engine->config.access);
        free(engine);
        return NULL;
}

/* The worker takes no signal: they are the host's. */
int engine_start(struct engine *engine)
{
        sigset_t all, before;
        int r;

        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        r = pthread_create(&engine->worker.thread, NULL, worker_main, &engine->worker);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        engine->started = r == 0;
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
        worker_post(&engine->worker, r);
        return 0;
}

static void engine_join(struct engine *engine)
{
        pthread_join(engine->worker.thread, NULL);
        engine->started = false;
}

void engine_stop(struct engine *engine, bool announce)
{
        while (engine_post(engine, REQUEST_STOP, (struct request){.announce = announce}) < 0)
                sched_yield();
        if (engine->started)
                engine_join(engine);
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
                engine_join(engine);
        else
                while (!engine->worker.quiet)
                        engine_process(engine);
        /* Connections that were accepted meanwhile become sessions that can be exported, and who
         * was disconnected meanwhile has left before. */
        worker_serve_requests(&engine->worker);
        worker_settle(&engine->worker);
        return 0;
}

int engine_fd(const struct engine *engine)
{
        return engine->worker.epoll_fd;
}

int engine_timeout(struct engine *engine)
{
        return worker_timeout(&engine->worker);
}

int engine_process(struct engine *engine)
{
        return worker_pass(&engine->worker, 0);
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
        worker_post(&engine->worker, request);
        return 0;
}

int engine_disconnect(struct engine *engine, uint64_t id)
{
        return engine_post(engine, REQUEST_DISCONNECT, (struct request){.id = id});
}

int engine_ping(struct engine *engine)
{
        worker_wake(&engine->worker);
        return 0;
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
        worker_post(&engine->worker, request);
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
        worker_post(&engine->worker, request);
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
