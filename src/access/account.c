/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Identities and their accounts.
 *
 * One mutex guards the table, the references and the counts of connections: they change when a
 * client comes or goes. What is held changes with every frame, so it takes no lock: a charge is a
 * compare-exchange on the account and another on the sum of all. Neither ever exceeds its limit,
 * not even for a moment. A charge that the sum refuses is taken back from the account; until then
 * it may refuse another charge of the same identity, which is all that anybody can see of it.
 *
 * Bytes keep an account alive as references do, without touching the lock: an account whose last
 * reference goes while it still holds something is idle. It stays in the table, where its owner's
 * next connection finds it, and is freed by a later call that sees its balance at zero. Such a call
 * looks at a few idle accounts only, so its cost does not depend on their number.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <bsd/sys/queue.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "access/access.h"
#include "basic/macro.h"

#define IDLE_LOOKS 4 /* idle accounts looked at by each call that may free some */

struct entry {
        struct account account;
        TAILQ_ENTRY(entry) idle_link; /* linked while n_refs is 0 */
};

TAILQ_HEAD(entry_list, entry);

struct accounts {
        pthread_mutex_t lock;
        struct table table;
        struct entry_list idle;
        size_t max_connections; /* under lock */
        size_t max_held;        /* atomic, like the two below */
        size_t max_held_one;
        _Alignas(64) size_t held; /* written with every frame: a cache line of its own */
};

/* --- Identities --- */

struct identity identity_of_user(uid_t uid)
{
        struct identity id = {.kind = IDENTITY_USER};

        static_assert(sizeof(uid) <= sizeof(id.bytes), "a uid must fit");
        memcpy(id.bytes, &uid, sizeof(uid));
        return id;
}

struct identity identity_of_ipv4(const uint8_t address[4])
{
        static const uint8_t loopback[4] = {127, 0, 0, 1};
        struct identity id = {.kind = IDENTITY_IPV4};

        memcpy(id.bytes, address[0] == 127 ? loopback : address, 4);
        return id;
}

struct identity identity_of_ipv6(const uint8_t address[16])
{
        static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
        static const uint8_t loopback[16] = {[15] = 1};
        struct identity id = {.kind = IDENTITY_IPV6};

        if (memcmp(address, mapped, sizeof(mapped)) == 0)
                return identity_of_ipv4(address + sizeof(mapped));
        if (memcmp(address, loopback, sizeof(loopback)) == 0)
                return identity_of_ipv4((const uint8_t[4]){127, 0, 0, 1});
        memcpy(id.bytes, address, sizeof(id.bytes));
        return id;
}

bool identity_equal(const struct identity *a, const struct identity *b)
{
        return a->kind == b->kind && memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

void identity_format(const struct identity *id, char *out, size_t size)
{
        uint8_t address[16] = {0};
        char text[INET6_ADDRSTRLEN];
        uid_t uid;

        switch (id->kind) {
        case IDENTITY_USER:
                memcpy(&uid, id->bytes, sizeof(uid));
                snprintf(out, size, "user %u", (unsigned)uid);
                break;
        case IDENTITY_IPV4:
                snprintf(out, size, "%s", inet_ntop(AF_INET, id->bytes, text, sizeof(text)));
                break;
        case IDENTITY_IPV6:
                memcpy(address, id->bytes, sizeof(id->bytes));
                snprintf(out, size, "%s/64", inet_ntop(AF_INET6, address, text, sizeof(text)));
                break;
        default:
                snprintf(out, size, "broker");
        }
}

/* --- The table --- */

static size_t load(const size_t *counter)
{
        return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

static void accounts_lock(struct accounts *a)
{
        pthread_mutex_lock(&a->lock);
}

static void accounts_unlock(struct accounts *a)
{
        pthread_mutex_unlock(&a->lock);
}

static void entry_free(struct accounts *a, struct entry *e)
{
        assert(e->account.n_connections == 0);
        TAILQ_REMOVE(&a->idle, e, idle_link);
        table_remove(&a->table, &e->account.node);
        free(e);
}

/* Frees idle accounts that hold nothing any more, of the first few; the others go to the end. With
 * no reference left nobody can charge, and the release that brought the balance to zero was the
 * last to touch the account. */
static void accounts_reap(struct accounts *a, size_t n_looks)
{
        struct entry *e;

        for (; n_looks > 0 && (e = TAILQ_FIRST(&a->idle)); n_looks--) {
                if (__atomic_load_n(&e->account.held, __ATOMIC_ACQUIRE) == 0) {
                        entry_free(a, e);
                } else {
                        TAILQ_REMOVE(&a->idle, e, idle_link);
                        TAILQ_INSERT_TAIL(&a->idle, e, idle_link);
                }
        }
}

static void entry_ref(struct accounts *a, struct entry *e)
{
        if (e->account.n_refs++ == 0)
                TAILQ_REMOVE(&a->idle, e, idle_link);
}

/* A new idle account goes to the front: if it holds nothing it is freed right now. */
static void entry_unref(struct accounts *a, struct entry *e)
{
        assert(e->account.n_refs > 0);
        if (--e->account.n_refs == 0)
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

/* Idle, as one without a reference is. */
static struct entry *entry_new(struct accounts *a, const struct identity *id, uint64_t hash)
{
        struct entry *e = calloc(1, sizeof(*e));

        if (!e)
                return NULL;
        e->account.identity = *id;
        table_insert(&a->table, &e->account.node, hash);
        TAILQ_INSERT_HEAD(&a->idle, e, idle_link);
        return e;
}

int accounts_new(size_t max_connections, size_t max_held, size_t max_held_one,
                 struct accounts **ret)
{
        struct accounts *a = aligned_alloc(_Alignof(struct accounts), sizeof(*a));

        if (!a)
                return -ENOMEM;
        *a = (struct accounts){
                .lock = PTHREAD_MUTEX_INITIALIZER,
                .max_connections = max_connections,
                .max_held = max_held,
                .max_held_one = max_held_one,
        };
        table_init(&a->table);
        TAILQ_INIT(&a->idle);
        *ret = a;
        return 0;
}

struct accounts *accounts_free(struct accounts *a)
{
        if (!a)
                return NULL;
        accounts_reap(a, a->table.n_entries);
        assert(a->table.n_entries == 0);
        assert(accounts_held(a) == 0);
        table_done(&a->table);
        pthread_mutex_destroy(&a->lock);
        free(a);
        return NULL;
}

void accounts_set_limits(struct accounts *a, size_t max_connections, size_t max_held,
                         size_t max_held_one)
{
        accounts_lock(a);
        a->max_connections = max_connections;
        __atomic_store_n(&a->max_held, max_held, __ATOMIC_RELAXED);
        __atomic_store_n(&a->max_held_one, max_held_one, __ATOMIC_RELAXED);
        accounts_unlock(a);
}

/* --- Connections and references --- */

static int connect_locked(struct accounts *a, const struct identity *id, struct account **ret)
{
        uint64_t hash = table_hash(&a->table, id, sizeof(*id));
        struct entry *e = entry_find(a, id, hash);
        size_t n_connections = e ? e->account.n_connections : 0;

        if (n_connections >= a->max_connections && id->kind != IDENTITY_BROKER)
                return -EDQUOT;
        if (!e)
                e = entry_new(a, id, hash);
        if (!e)
                return -ENOMEM;
        entry_ref(a, e);
        e->account.n_connections++;
        *ret = &e->account;
        return 0;
}

int accounts_connect(struct accounts *a, const struct identity *id, struct account **ret)
{
        int r;

        accounts_lock(a);
        r = connect_locked(a, id, ret);
        accounts_reap(a, IDLE_LOOKS);
        accounts_unlock(a);
        return r;
}

struct account *accounts_disconnect(struct accounts *a, struct account *account)
{
        if (!account)
                return NULL;
        accounts_lock(a);
        assert(account->n_connections > 0);
        account->n_connections--;
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
                size_t held = load(&e->account.held);

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

/* --- What is held --- */

/* Adds to a counter unless it would exceed max. */
static bool counter_add(size_t *counter, size_t bytes, size_t max)
{
        size_t held = load(counter);

        do {
                if (bytes > max || held > max - bytes)
                        return false;
        } while (!__atomic_compare_exchange_n(counter, &held, held + bytes, true, __ATOMIC_RELAXED,
                                              __ATOMIC_RELAXED));
        return true;
}

/* The last touch of a charge: it may be all that kept the account alive. */
static void counter_sub(size_t *counter, size_t bytes)
{
        size_t before = __atomic_fetch_sub(counter, bytes, __ATOMIC_RELEASE);

        assert(before >= bytes);
        (void)before;
}

/* The identity's own limit comes first: who is over it can win nothing at the expense of others.
 * The broker's own clients are counted like all, but have no limit beside the sum.
 */
enum charge_result account_charge(struct accounts *a, struct account *account, size_t bytes)
{
        bool is_broker = account->identity.kind == IDENTITY_BROKER;
        size_t max_one = is_broker ? SIZE_MAX : load(&a->max_held_one);

        if (!counter_add(&account->held, bytes, max_one))
                return CHARGE_OVER_ONE;
        if (!counter_add(&a->held, bytes, load(&a->max_held))) {
                counter_sub(&account->held, bytes);
                return CHARGE_OVER_ALL;
        }
        return CHARGE_OK;
}

void account_release(struct accounts *a, struct account *account, size_t bytes)
{
        counter_sub(&account->held, bytes);
        counter_sub(&a->held, bytes);
}

size_t accounts_held(const struct accounts *a)
{
        return load(&a->held);
}

size_t accounts_limit(const struct accounts *a)
{
        return load(&a->max_held);
}
