/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The accounts.
 *
 * One mutex guards the table, the references, connections and their rate: they change when a client
 * comes or goes. What else is counted takes no lock: names and subscriptions are atomic adds; a
 * charge, which comes with every frame, is a compare-exchange on the account and another on the sum
 * of all. Neither ever exceeds its limit, not even for a moment. A charge that the sum refuses is
 * taken back from the account; until then it may refuse another charge of the same identity, which
 * is all that anybody can see of it.
 *
 * Bytes keep an account alive as references do, without touching the lock: an account whose last
 * reference goes while it still holds something is idle. It stays in the table, where its owner's
 * next connection finds it, and is freed by a later call that sees its balance at zero. So does one
 * that has connected so often that it could not do so again at once: else it would only have to
 * leave to be forgotten. Such a call looks at a few idle accounts only, so its cost does not depend
 * on their number.
 */
#include <assert.h>
#include <bsd/sys/queue.h>
#include <pthread.h>
#include <string.h>

#include "access/account.h"
#include "basic/clock.h"
#include "basic/macro.h"
#include "basic/mutex.h"

#define IDLE_LOOKS 4 /* idle accounts looked at by each call that may free some */

struct entry {
        struct account account;
        unsigned n_refs;
        uint64_t tokens; /* connections that may come at once, in billionths */
        uint64_t filled_at;
        TAILQ_ENTRY(entry) idle_link; /* linked while n_refs is 0 */
};

TAILQ_HEAD(entry_list, entry);

struct accounts {
        pthread_mutex_t lock;
        struct table table;
        struct entry_list idle;
        uint64_t now;                 /* of the last connection */
        struct account_limits limits; /* max and max_held atomic, the rest under lock */
        _Alignas(64) size_t held;     /* written with every frame: a cache line of its own */
};

static size_t load(const size_t *counter)
{
        return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

static void store(size_t *counter, size_t n)
{
        __atomic_store_n(counter, n, __ATOMIC_RELAXED);
}

static void accounts_lock(struct accounts *a)
{
        pthread_mutex_lock(&a->lock);
}

static void accounts_unlock(struct accounts *a)
{
        pthread_mutex_unlock(&a->lock);
}

/* --- Connections per time: a bucket of tokens, in billionths, so that nothing is lost in rounding.
 * --- */

static uint64_t bucket_size(const struct account_limits *limits)
{
        return limits->burst * NSEC_PER_SEC;
}

static uint64_t bucket_level(const struct accounts *a, const struct entry *e)
{
        uint64_t rate = a->limits.max[QUOTA_RATE], size = bucket_size(&a->limits);
        uint64_t since = a->now > e->filled_at ? a->now - e->filled_at : 0;

        if (rate == 0 || since > size / rate)
                return size;
        return MIN(e->tokens + since * rate, size);
}

static void bucket_take(struct accounts *a, struct entry *e)
{
        uint64_t level = bucket_level(a, e);

        e->tokens = level > NSEC_PER_SEC ? level - NSEC_PER_SEC : 0;
        e->filled_at = a->now;
}

/* --- The table --- */

static void entry_free(struct accounts *a, struct entry *e)
{
        for (size_t i = 0; i < QUOTA_N; i++)
                assert(e->account.used[i] == 0);
        TAILQ_REMOVE(&a->idle, e, idle_link);
        table_remove(&a->table, &e->account.node);
        free(e);
}

static bool entry_is_done(const struct accounts *a, const struct entry *e)
{
        return __atomic_load_n(&e->account.used[QUOTA_MEMORY], __ATOMIC_ACQUIRE) == 0 &&
               bucket_level(a, e) == bucket_size(&a->limits);
}

/* Frees idle accounts that hold nothing any more, of the first few; the others go to the end. With
 * no reference left nobody can charge, and the release that brought the balance to zero was the
 * last to touch the account. */
static void accounts_reap(struct accounts *a, size_t n_looks)
{
        struct entry *e;

        for (; n_looks > 0 && (e = TAILQ_FIRST(&a->idle)); n_looks--) {
                if (entry_is_done(a, e)) {
                        entry_free(a, e);
                } else {
                        TAILQ_REMOVE(&a->idle, e, idle_link);
                        TAILQ_INSERT_TAIL(&a->idle, e, idle_link);
                }
        }
}

static void entry_ref(struct accounts *a, struct entry *e)
{
        if (e->n_refs++ == 0)
                TAILQ_REMOVE(&a->idle, e, idle_link);
}

/* A new idle account goes to the front: if it holds nothing it is freed right now. */
static void entry_unref(struct accounts *a, struct entry *e)
{
        assert(e->n_refs > 0);
        if (--e->n_refs == 0)
                TAILQ_INSERT_HEAD(&a->idle, e, idle_link);
        accounts_reap(a, IDLE_LOOKS);
}

static struct entry *entry_find(struct accounts *a, const struct identity *id, uint64_t hash)
{
        struct table_node *n;

        table_foreach (n, &a->table, hash) {
                struct entry *e = container_of(n, struct entry, account.node);

                if (identity_equal(&e->account.identity, id))
                        return e;
        }
        return NULL;
}

static bool is_exempt(const struct account_limits *limits, const struct identity *id)
{
        if (id->kind == IDENTITY_BROKER)
                return true;
        for (size_t i = 0; i < limits->n_exempt; i++) {
                struct identity exempt = identity_of_user(limits->exempt[i]);

                if (identity_equal(&exempt, id))
                        return true;
        }
        return false;
}

/* Idle, as one without a reference is. */
static struct entry *entry_new(struct accounts *a, const struct identity *id, uint64_t hash)
{
        struct entry *e = calloc(1, sizeof(*e));

        if (!e)
                return NULL;
        e->account.identity = *id;
        e->account.exempt = is_exempt(&a->limits, id);
        e->tokens = bucket_size(&a->limits);
        e->filled_at = a->now;
        table_insert(&a->table, &e->account.node, hash);
        TAILQ_INSERT_HEAD(&a->idle, e, idle_link);
        return e;
}

int accounts_new(const struct account_limits *limits, bool inherit, struct accounts **ret)
{
        struct accounts *a = aligned_alloc(_Alignof(struct accounts), sizeof(*a));
        int r;

        if (!a)
                return -ENOMEM;
        *a = (struct accounts){.limits = *limits};
        r = mutex_init(&a->lock, inherit);
        if (r < 0) {
                free(a);
                return r;
        }
        table_init(&a->table);
        TAILQ_INIT(&a->idle);
        *ret = a;
        return 0;
}

struct accounts *accounts_free(struct accounts *a)
{
        struct entry *e, *next;

        if (!a)
                return NULL;
        TAILQ_FOREACH_SAFE (e, &a->idle, idle_link, next)
                entry_free(a, e);
        assert(a->table.n_entries == 0);
        assert(accounts_held(a) == 0);
        table_done(&a->table);
        pthread_mutex_destroy(&a->lock);
        free(a);
        return NULL;
}

void accounts_set_limits(struct accounts *a, const struct account_limits *limits)
{
        accounts_lock(a);
        for (size_t i = 0; i < QUOTA_N; i++)
                store(&a->limits.max[i], limits->max[i]);
        store(&a->limits.max_held, limits->max_held);
        a->limits.burst = limits->burst;
        a->limits.n_exempt = limits->n_exempt;
        memcpy(a->limits.exempt, limits->exempt, sizeof(limits->exempt));
        for (struct table_node *n = NULL; (n = table_walk(&a->table, n));) {
                struct entry *e = container_of(n, struct entry, account.node);

                __atomic_store_n(&e->account.exempt, is_exempt(limits, &e->account.identity),
                                 __ATOMIC_RELAXED);
        }
        accounts_unlock(a);
}

/* --- What is counted --- */

static bool account_is_exempt(const struct account *account)
{
        return __atomic_load_n(&account->exempt, __ATOMIC_RELAXED);
}

/* Adds to a counter unless it would exceed max. */
static bool counter_add(size_t *counter, size_t n, size_t max)
{
        size_t before = load(counter);

        do {
                if (n > max || before > max - n)
                        return false;
        } while (!__atomic_compare_exchange_n(counter, &before, before + n, true, __ATOMIC_RELAXED,
                                              __ATOMIC_RELAXED));
        return true;
}

/* The last touch of a charge: it may be all that kept the account alive. */
static void counter_sub(size_t *counter, size_t n)
{
        size_t before = __atomic_fetch_sub(counter, n, __ATOMIC_RELEASE);

        assert(before >= n);
        (void)before;
}

size_t account_max(const struct accounts *a, const struct account *account, enum quota quota)
{
        return account_is_exempt(account) ? SIZE_MAX : load(&a->limits.max[quota]);
}

static void count_refused(struct account *account, enum quota quota)
{
        __atomic_add_fetch(&account->refused[quota], 1, __ATOMIC_RELAXED);
}

bool account_has_room(struct accounts *a, struct account *account, enum quota quota)
{
        if (load(&account->used[quota]) < account_max(a, account, quota))
                return true;
        count_refused(account, quota);
        return false;
}

void account_take(struct account *account, enum quota quota)
{
        __atomic_add_fetch(&account->used[quota], 1, __ATOMIC_RELAXED);
}

void account_give_back(struct account *account, enum quota quota, size_t n)
{
        counter_sub(&account->used[quota], n);
}

/* --- Connections and references --- */

/* What the identity has as much of as it may; QUOTA_N: nothing. */
static enum quota connect_check(const struct accounts *a, const struct entry *e)
{
        for (enum quota q = QUOTA_CONNECTIONS; q <= QUOTA_HANDSHAKES; q++)
                if ((e ? load(&e->account.used[q]) : 0) >= load(&a->limits.max[q]))
                        return q;
        return e && a->limits.max[QUOTA_RATE] > 0 && bucket_level(a, e) < NSEC_PER_SEC ? QUOTA_RATE
                                                                                       : QUOTA_N;
}

static int connect_locked(struct accounts *a, const struct identity *id, bool checked,
                          struct account **ret, enum quota *ret_quota)
{
        uint64_t hash = table_hash(&a->table, id, sizeof(*id));
        struct entry *e = entry_find(a, id, hash);
        bool exempt = e ? account_is_exempt(&e->account) : is_exempt(&a->limits, id);
        enum quota quota = checked && !exempt ? connect_check(a, e) : QUOTA_N;

        if (quota != QUOTA_N) {
                if (e)
                        count_refused(&e->account, quota);
                *ret_quota = quota;
                return -EDQUOT;
        }
        if (!e)
                e = entry_new(a, id, hash);
        if (!e)
                return -ENOMEM;
        entry_ref(a, e);
        if (checked && !exempt)
                bucket_take(a, e);
        account_take(&e->account, QUOTA_CONNECTIONS);
        account_take(&e->account, QUOTA_HANDSHAKES);
        *ret = &e->account;
        return 0;
}

int accounts_connect(struct accounts *a, const struct identity *id, uint64_t now,
                     struct account **ret, enum quota *ret_quota)
{
        int r;

        accounts_lock(a);
        a->now = MAX(a->now, now);
        r = connect_locked(a, id, true, ret, ret_quota);
        accounts_reap(a, IDLE_LOOKS);
        accounts_unlock(a);
        return r;
}

int accounts_connect_again(struct accounts *a, const struct identity *id, struct account **ret)
{
        int r;

        accounts_lock(a);
        r = connect_locked(a, id, false, ret, NULL);
        accounts_unlock(a);
        return r;
}

struct account *accounts_disconnect(struct accounts *a, struct account *account)
{
        if (!account)
                return NULL;
        accounts_lock(a);
        account_give_back(account, QUOTA_CONNECTIONS, 1);
        entry_unref(a, container_of(account, struct entry, account));
        accounts_unlock(a);
        return NULL;
}

struct account *account_ref(struct accounts *a, struct account *account)
{
        if (!account)
                return NULL;
        accounts_lock(a);
        entry_ref(a, container_of(account, struct entry, account));
        accounts_unlock(a);
        return account;
}

struct account *account_unref(struct accounts *a, struct account *account)
{
        if (!account)
                return NULL;
        accounts_lock(a);
        entry_unref(a, container_of(account, struct entry, account));
        accounts_unlock(a);
        return NULL;
}

struct account *accounts_largest(struct accounts *a)
{
        struct entry *largest = NULL;
        size_t most = 0;

        accounts_lock(a);
        for (struct table_node *n = NULL; (n = table_walk(&a->table, n));) {
                struct entry *e = container_of(n, struct entry, account.node);
                size_t held = load(&e->account.used[QUOTA_MEMORY]);

                if (held > most) {
                        most = held;
                        largest = e;
                }
        }
        if (largest)
                entry_ref(a, largest);
        accounts_unlock(a);
        return largest ? &largest->account : NULL;
}

int accounts_foreach(struct accounts *a, int (*fn)(const struct account *account, void *userdata),
                     void *userdata)
{
        int r = 0;

        accounts_lock(a);
        for (struct table_node *n = NULL; r == 0 && (n = table_walk(&a->table, n));) {
                const struct entry *e = container_of(n, struct entry, account.node);

                if (e->n_refs > 0 || load(&e->account.used[QUOTA_MEMORY]) > 0)
                        r = fn(&e->account, userdata);
        }
        accounts_unlock(a);
        return r;
}

/* --- What is held --- */

/* The identity's own limit comes first: who is over it can win nothing at the expense of others. */
enum charge_result account_charge(struct accounts *a, struct account *account, size_t bytes)
{
        size_t *held = &account->used[QUOTA_MEMORY];

        if (!counter_add(held, bytes, account_max(a, account, QUOTA_MEMORY))) {
                count_refused(account, QUOTA_MEMORY);
                return CHARGE_OVER_ONE;
        }
        if (!counter_add(&a->held, bytes, load(&a->limits.max_held))) {
                counter_sub(held, bytes);
                return CHARGE_OVER_ALL;
        }
        return CHARGE_OK;
}

void account_release(struct accounts *a, struct account *account, size_t bytes)
{
        counter_sub(&account->used[QUOTA_MEMORY], bytes);
        counter_sub(&a->held, bytes);
}

size_t accounts_held(const struct accounts *a)
{
        return load(&a->held);
}

size_t accounts_limit(const struct accounts *a)
{
        return load(&a->limits.max_held);
}

size_t account_limit(const struct accounts *a, const struct account *account)
{
        return MIN(account_max(a, account, QUOTA_MEMORY), accounts_limit(a));
}
