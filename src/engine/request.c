/* SPDX-License-Identifier: Apache-2.0 */
#include "access/rules.h"
#include "basic/mutex.h"
#include "engine/internal.h"

int requests_init(struct requests *requests, bool inherit)
{
        STAILQ_INIT(&requests->list);
        return mutex_init(&requests->lock, inherit);
}

void requests_done(struct requests *requests)
{
        struct request *r;

        while ((r = STAILQ_FIRST(&requests->list))) {
                STAILQ_REMOVE_HEAD(&requests->list, link);
                session_free(r->session);
                inspection_unref(r->inspection);
                access_rules_unref(r->config.access);
                free(r);
        }
        pthread_mutex_destroy(&requests->lock);
}

int request_new(enum request_type type, size_t data_size, struct request **ret)
{
        struct request *r = calloc(1, sizeof(*r) + data_size);

        if (!r)
                return -ENOMEM;
        r->type = type;
        *ret = r;
        return 0;
}

void request_post(struct engine *engine, struct request *request)
{
        struct requests *requests = &engine->requests;
        bool first;

        pthread_mutex_lock(&requests->lock);
        first = STAILQ_EMPTY(&requests->list);
        STAILQ_INSERT_TAIL(&requests->list, request, link);
        pthread_mutex_unlock(&requests->lock);
        if (first)
                worker_wake(&engine->workers[0]);
}

/* --- What they do --- */

static void request_stop(struct engine *e, bool announce)
{
        struct session *s, *next;

        if (e->stopping)
                return;
        e->stopping = true;
        if (announce)
                broker_announce(e, ".broker/warn", "shutdown", NULL, 0);
        LIST_FOREACH_SAFE (s, &e->sessions, link, next) {
                s->announced = false;
                if (s->local)
                        local_stop(s->local);
                else
                        session_drain(s, ENGINE_EVENT_GONE, NULL);
        }
        engine_wake_all(e);
}

static void request_adopt(struct engine *e, struct session *s)
{
        if (e->stopping)
                session_free(s);
        else
                session_start(s);
}

void engine_configure_now(struct engine *e, const struct engine_config *config)
{
        struct engine_config before = e->config;
        struct account_limits limits;
        struct session *s;

        e->config = *config; /* with the caller's reference of the rules */
        e->config.n_workers = before.n_workers;
        engine_config_limits(config, &limits);
        accounts_set_limits(e->accounts, &limits);
        LIST_FOREACH (s, &e->sessions, link)
                session_configured(s, &before);
        topic_cache_clear(&e->topic_cache); /* it has what was within the limits */
        if (config->access != before.access)
                permit_renew(e);
        access_rules_unref(before.access);
}

/* `.broker` has no connection that could end. */
int engine_end(struct engine *engine, uint64_t id)
{
        struct session *s = registry_find_id(&engine->registry, id);

        if (!s || s->kind == TRANSPORT_INTERNAL)
                return -ENOENT;
        session_drain(s, ENGINE_EVENT_GONE, "disconnected by the administrator");
        return 0;
}

static void request_reply(struct engine *e, const struct request *r)
{
        struct session *s = registry_find_id(&e->registry, r->id);

        if (s)
                engine_reply(e, s, r->data, r->target_len, r->data + r->target_len, r->payload_len,
                             r->realtime);
}

static void request_quiesce(struct engine *e)
{
        e->quiet = true;
        engine_wake_all(e);
}

static void request_serve(struct engine *e, struct request *r)
{
        switch (r->type) {
        case REQUEST_ADOPT:
                request_adopt(e, r->session);
                break;
        case REQUEST_DISCONNECT:
                (void)engine_end(e, r->id);
                break;
        case REQUEST_CONFIGURE:
                engine_configure_now(e, &r->config);
                break;
        case REQUEST_SEND:
                engine_send_now(e, r->kind, r->data, r->target_len, r->data + r->target_len,
                                r->payload_len);
                break;
        case REQUEST_REPLY:
                request_reply(e, r);
                break;
        case REQUEST_WARN:
                broker_announce(e, ".broker/warn", "shutdown", NULL, 0);
                break;
        case REQUEST_STOP:
                request_stop(e, r->announce);
                break;
        case REQUEST_QUIESCE:
                request_quiesce(e);
                break;
        case REQUEST_INSPECT:
                inspection_run(r->inspection, e);
                inspection_unref(r->inspection);
                break;
        }
}

void requests_serve(struct engine *engine)
{
        struct requests *requests = &engine->requests;
        struct request_list list = STAILQ_HEAD_INITIALIZER(list);
        struct request *r;

        pthread_mutex_lock(&requests->lock);
        STAILQ_CONCAT(&list, &requests->list);
        pthread_mutex_unlock(&requests->lock);
        while ((r = STAILQ_FIRST(&list))) {
                STAILQ_REMOVE_HEAD(&list, link);
                request_serve(engine, r);
                free(r);
        }
}
