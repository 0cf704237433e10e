/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking into the engine. Sessions belong to the workers, so whoever else wants to see them sends
 * the first of them a function and waits. The waiter may give up: then the function is not run any
 * more, and whoever lets go last, waiter or worker, frees what both refer to.
 */
#include "basic/mutex.h"
#include "engine/internal.h"

/* --- A visit from another thread --- */

struct inspection {
        pthread_mutex_t lock;
        pthread_cond_t done;
        enum { INSPECTION_ASKED, INSPECTION_RUNNING, INSPECTION_DONE, INSPECTION_GIVEN_UP } state;
        unsigned n_refs;
        void (*fn)(struct engine *engine, void *userdata);
        void *userdata;
};

static int inspection_new(void (*fn)(struct engine *engine, void *userdata), void *userdata,
                          bool inherit, struct inspection **ret)
{
        struct inspection *i = malloc(sizeof(*i));
        pthread_condattr_t attributes;
        int r;

        if (!i)
                return -ENOMEM;
        *i = (struct inspection){.n_refs = 1, .fn = fn, .userdata = userdata};
        r = mutex_init(&i->lock, inherit);
        if (r < 0) {
                free(i);
                return r;
        }
        pthread_condattr_init(&attributes);
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        pthread_cond_init(&i->done, &attributes);
        pthread_condattr_destroy(&attributes);
        *ret = i;
        return 0;
}

struct inspection *inspection_unref(struct inspection *i)
{
        bool last;

        if (!i)
                return NULL;
        pthread_mutex_lock(&i->lock);
        last = --i->n_refs == 0;
        pthread_mutex_unlock(&i->lock);
        if (!last)
                return NULL;
        pthread_cond_destroy(&i->done);
        pthread_mutex_destroy(&i->lock);
        free(i);
        return NULL;
}

void inspection_run(struct inspection *i, struct engine *engine)
{
        bool wanted;

        pthread_mutex_lock(&i->lock);
        wanted = i->state == INSPECTION_ASKED;
        if (wanted)
                i->state = INSPECTION_RUNNING;
        pthread_mutex_unlock(&i->lock);
        if (!wanted)
                return;
        i->fn(engine, i->userdata);
        pthread_mutex_lock(&i->lock);
        i->state = INSPECTION_DONE;
        pthread_cond_signal(&i->done);
        pthread_mutex_unlock(&i->lock);
}

/* Once it runs it is waited for to its end: it uses what is the caller's. */
static int inspection_wait(struct inspection *i, uint64_t timeout)
{
        uint64_t until = clock_nsec(CLOCK_MONOTONIC) + MIN(timeout, UINT64_C(1) << 62);
        struct timespec ts = {.tv_sec = (time_t)(until / NSEC_PER_SEC),
                              .tv_nsec = (long)(until % NSEC_PER_SEC)};
        int r = 0;

        pthread_mutex_lock(&i->lock);
        while (i->state == INSPECTION_ASKED && r != ETIMEDOUT)
                r = pthread_cond_timedwait(&i->done, &i->lock, &ts);
        if (i->state == INSPECTION_ASKED)
                i->state = INSPECTION_GIVEN_UP;
        while (i->state == INSPECTION_RUNNING)
                pthread_cond_wait(&i->done, &i->lock);
        r = i->state == INSPECTION_DONE ? 0 : -ETIMEDOUT;
        pthread_mutex_unlock(&i->lock);
        return r;
}

static int inspection_post(struct inspection *i, struct engine *e)
{
        struct request *request;
        int r = request_new(REQUEST_INSPECT, 0, &request);

        if (r < 0)
                return r;
        i->n_refs++; /* still nobody else's */
        request->inspection = i;
        request_post(e, request);
        return 0;
}

static bool is_worker(const struct engine *e)
{
        for (unsigned i = 0; i < e->n_workers; i++)
                if (pthread_equal(pthread_self(), e->workers[i].thread))
                        return true;
        return false;
}

int engine_inspect(struct engine *engine, void (*fn)(struct engine *engine, void *userdata),
                   void *userdata, uint64_t timeout)
{
        struct inspection *i;
        int r;

        if (!engine->started || is_worker(engine)) {
                if (!engine->started)
                        engine->now = clock_nsec(CLOCK_MONOTONIC);
                fn(engine, userdata);
                return 0;
        }
        r = inspection_new(fn, userdata, engine->real_time, &i);
        if (r < 0)
                return r;
        r = inspection_post(i, engine);
        if (r == 0)
                r = inspection_wait(i, timeout);
        inspection_unref(i);
        return r;
}

/* --- Clients --- */

static void info_of(const struct session *s, struct engine_client_info *ret)
{
        const struct transport_peer *peer = &s->peer;
        bool is_user = s->kind == TRANSPORT_UNIX || s->kind == TRANSPORT_MEMORY;

        *ret = (struct engine_client_info){
                .id = s->id,
                .name = s->name,
                .kind = s->kind,
                .source = peer->source[0] ? peer->source : NULL,
                .listener = s->listener,
                .primary = session_is_primary(s),
                .uid = is_user ? peer->uid : (uid_t)-1,
                .gid = is_user ? peer->gid : (gid_t)-1,
                .pid = is_user && peer->has_pid ? peer->pid : 0,
                .connected_at = s->connected_at,
                .r_frames = s->counters.r_frames,
                .r_bytes = s->counters.r_bytes,
                .w_frames = s->counters.w_frames,
                .w_bytes = s->counters.w_bytes,
                .dropped = s->counters.dropped,
                .queue_frames = s->queue.n_frames,
                .queue_bytes = s->queue.n_bytes,
                .queue_frames_max = s->counters.queue_frames_max,
                .queue_bytes_max = s->counters.queue_bytes_max,
                .paced = pace_total(s),
                .instances = 1 + s->n_secondaries,
        };
}

void engine_get_caller(const struct session *from, struct engine_client_info *ret)
{
        info_of(from, ret);
}

int engine_foreach_client(struct engine *engine,
                          int (*fn)(const struct engine_client_info *info, void *userdata),
                          void *userdata)
{
        struct table_node *n = NULL;

        while ((n = table_walk(&engine->registry.names, n))) {
                const struct session *s = container_of(n, struct session, by_name);
                struct engine_client_info info;
                int r;

                if (s->state != SESSION_LIVE)
                        continue;
                info_of(s, &info);
                r = fn(&info, userdata);
                if (r != 0)
                        return r;
        }
        return 0;
}

static const struct session *find_live(const struct engine *engine, uint64_t id)
{
        const struct session *s = registry_find_id(&engine->registry, id);

        return s && s->state == SESSION_LIVE ? s : NULL;
}

int engine_find_client(struct engine *engine, const char *name, size_t len,
                       struct engine_client_info *ret)
{
        const struct session *s = registry_find(&engine->registry, name, len);

        if (!s || s->state != SESSION_LIVE)
                return -ENOENT;
        info_of(s, ret);
        return 0;
}

int engine_get_client(struct engine *engine, uint64_t id, struct engine_client_info *ret)
{
        const struct session *s = find_live(engine, id);

        if (!s)
                return -ENOENT;
        info_of(s, ret);
        return 0;
}

int engine_foreach_subscription(struct engine *engine, uint64_t id, bool exclusions,
                                int (*fn)(const char *mask, size_t len, void *userdata),
                                void *userdata)
{
        const struct session *s = find_live(engine, id);

        if (!s)
                return -ENOENT;
        return subscription_foreach(exclusions ? &s->excluder : &s->subscriber, fn, userdata);
}

int engine_foreach_secondary(struct engine *engine, uint64_t id,
                             int (*fn)(const char *name, size_t len, void *userdata),
                             void *userdata)
{
        const struct session *s = find_live(engine, id), *secondary;
        int r = 0;

        if (!s)
                return -ENOENT;
        LIST_FOREACH (secondary, &s->secondaries, secondary_of) {
                if (secondary->state == SESSION_LIVE)
                        r = fn(secondary->name, secondary->name_len, userdata);
                if (r != 0)
                        break;
        }
        return r;
}

/* --- Accounts --- */

struct account_walk {
        struct engine *engine;
        int (*fn)(const struct engine_account_info *info, void *userdata);
        void *userdata;
};

static struct engine_account_use use_of(const struct accounts *accounts,
                                        const struct account *account, enum quota quota)
{
        size_t max = account_max(accounts, account, quota);
        bool none = max == SIZE_MAX || (quota == QUOTA_RATE && max == 0);

        return (struct engine_account_use){
                .max = none ? ENGINE_NO_LIMIT : max,
                .used = __atomic_load_n(&account->used[quota], __ATOMIC_RELAXED),
                .refused = __atomic_load_n(&account->refused[quota], __ATOMIC_RELAXED),
        };
}

static int visit_account(const struct account *account, void *userdata)
{
        const struct account_walk *walk = userdata;
        const struct accounts *accounts = walk->engine->accounts;
        struct engine_account_info info = {
                .uid = (uid_t)-1,
                .exempt = __atomic_load_n(&account->exempt, __ATOMIC_RELAXED),
                .connections = use_of(accounts, account, QUOTA_CONNECTIONS),
                .handshakes = use_of(accounts, account, QUOTA_HANDSHAKES),
                .rate = use_of(accounts, account, QUOTA_RATE),
                .names = use_of(accounts, account, QUOTA_NAMES),
                .subscriptions = use_of(accounts, account, QUOTA_SUBSCRIPTIONS),
                .memory = use_of(accounts, account, QUOTA_MEMORY),
        };

        identity_format(&account->identity, info.identity, sizeof(info.identity));
        if (account->identity.kind == IDENTITY_USER)
                memcpy(&info.uid, account->identity.bytes, sizeof(info.uid));
        return walk->fn(&info, walk->userdata);
}

int engine_foreach_account(struct engine *engine,
                           int (*fn)(const struct engine_account_info *info, void *userdata),
                           void *userdata)
{
        struct account_walk walk = {engine, fn, userdata};

        return accounts_foreach(engine->accounts, visit_account, &walk);
}

/* --- Counters --- */

static void session_reset_counters(struct session *s)
{
        s->counters = (struct session_counters){
                .queue_frames_max = s->queue.n_frames,
                .queue_bytes_max = s->queue.n_bytes,
        };
        pace_reset_total(s);
}

/* What is so now stays, and so do the passes: whoever watches over progress compares them. */
void engine_reset_counters(struct engine *engine)
{
        struct engine_counters *c = &engine->counters;
        uint64_t *const counted[] = {&c->r_frames, &c->r_bytes, &c->w_frames,
                                     &c->w_bytes,  &c->dropped, &c->struck,
                                     &c->refused,  &c->denied,  &c->bad};
        struct session *s;

        for (size_t i = 0; i < ARRAY_SIZE(counted); i++)
                __atomic_store_n(counted[i], 0, __ATOMIC_RELAXED);
        LIST_FOREACH (s, &engine->sessions, link)
                session_reset_counters(s);
        session_reset_counters(engine->broker);
}
