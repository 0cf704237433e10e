/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each user, or each address, costs the broker, and how much of it each may cost: the last
 * link of the chain of verdicts (rules.h).
 *
 * Counts may be read at any time and are changed by any thread. Pure: the clock is an argument.
 */
#pragma once

#include "access/access.h"
#include "basic/table.h"

enum quota {
        QUOTA_CONNECTIONS,
        QUOTA_HANDSHAKES, /* connections that have no name yet */
        QUOTA_RATE,       /* connections per time: nothing is counted, only refused */
        QUOTA_NAMES,
        QUOTA_SUBSCRIPTIONS, /* and exclusions */
        QUOTA_MEMORY,        /* bytes; by account_charge() alone */
        QUOTA_N,
};

#define ACCOUNT_EXEMPT_MAX 4

struct account_limits {
        size_t max[QUOTA_N]; /* of one identity; QUOTA_RATE: connections per second, 0: any */
        size_t burst;        /* so many connections may come at once before the rate counts */
        size_t max_held;     /* bytes that all may hold together */
        uid_t exempt[ACCOUNT_EXEMPT_MAX]; /* from all limits but max_held */
        size_t n_exempt;
};

/* What one identity holds. All but the first two are atomic. */
struct account {
        struct table_node node; /* under the accounts' lock, as what follows it in account.c */
        struct identity identity;
        bool exempt;
        size_t used[QUOTA_N];
        uint64_t refused[QUOTA_N]; /* how often, since it was last without a connection */
};

struct accounts;

/* inherit: their lock inherits priority (basic/mutex.h). */
int accounts_new(const struct account_limits *limits, bool inherit, struct accounts **ret);
/* All references must be gone, nothing may be held: asserted. */
struct accounts *accounts_free(struct accounts *a);
/* They hold for what comes; nothing is taken from anybody. */
void accounts_set_limits(struct accounts *a, const struct account_limits *limits);

/* Counts one more connection of that identity, which has no name yet, at that time of a monotonic
 * clock in nanoseconds. -EDQUOT, and *ret_quota says of what it has as much as it may; -ENOMEM. */
int accounts_connect(struct accounts *a, const struct identity *id, uint64_t now,
                     struct account **ret, enum quota *ret_quota);
/* One that there was already: whatever the limits are. -ENOMEM. */
int accounts_connect_again(struct accounts *a, const struct identity *id, struct account **ret);
/* The counterpart: one connection less, and drops the reference. Returns NULL. */
struct account *accounts_disconnect(struct accounts *a, struct account *account);
struct account *account_ref(struct accounts *a, struct account *account);
struct account *account_unref(struct accounts *a, struct account *account);

/* May it have one more? False is counted. For names and subscriptions: whoever takes is alone. */
bool account_has_room(struct accounts *a, struct account *account, enum quota quota);
/* Whatever the limit is. */
void account_take(struct account *account, enum quota quota);
void account_give_back(struct account *account, enum quota quota, size_t n);
/* How much of it it may have; SIZE_MAX: it is exempt. */
size_t account_max(const struct accounts *a, const struct account *account, enum quota quota);

enum charge_result {
        CHARGE_OK,
        CHARGE_OVER_ONE, /* this identity holds more than its share */
        CHARGE_OVER_ALL, /* all of them together hold more than the limit */
};

/* Before memory is taken. On anything but CHARGE_OK nothing is charged. */
enum charge_result account_charge(struct accounts *a, struct account *account, size_t bytes);
void account_release(struct accounts *a, struct account *account, size_t bytes);

size_t accounts_held(const struct accounts *a);
/* How much all may hold; how much this one may. */
size_t accounts_limit(const struct accounts *a);
size_t account_limit(const struct accounts *a, const struct account *account);
/* The account that holds most; NULL if there is none. The reference is the caller's. */
struct account *accounts_largest(struct accounts *a);
/* Each that is connected or holds something, until fn returns non-zero, which is returned. fn may
 * only look. */
int accounts_foreach(struct accounts *a, int (*fn)(const struct account *account, void *userdata),
                     void *userdata);
