/* SPDX-License-Identifier: Apache-2.0 */
/* Accounts with few limits, and connections that count in them. */
#pragma once

#include <stdlib.h>

#include "access/account.h"
#include "basic/macro.h"

static inline struct account_limits limits_of(size_t max_connections, size_t max_held,
                                              size_t max_held_one)
{
        struct account_limits limits = {
                .max = {[QUOTA_CONNECTIONS] = max_connections,
                        [QUOTA_HANDSHAKES] = SIZE_MAX,
                        [QUOTA_NAMES] = SIZE_MAX,
                        [QUOTA_SUBSCRIPTIONS] = SIZE_MAX,
                        [QUOTA_MEMORY] = max_held_one},
                .max_held = max_held,
        };

        return limits;
}

static inline struct accounts *accounts_of(const struct account_limits *limits)
{
        struct accounts *a = NULL;

        assert_int_equal(accounts_new(limits, false, &a), 0);
        assert_non_null(a);
        return a;
}

static inline struct accounts *new_accounts(size_t max_connections, size_t max_held,
                                            size_t max_held_one)
{
        struct account_limits limits = limits_of(max_connections, max_held, max_held_one);

        return accounts_of(&limits);
}

static inline void set_limits(struct accounts *a, size_t max_connections, size_t max_held,
                              size_t max_held_one)
{
        struct account_limits limits = limits_of(max_connections, max_held, max_held_one);

        accounts_set_limits(a, &limits);
}

/* One that is through its handshake. */
static inline int join(struct accounts *a, const struct identity *id, struct account **ret)
{
        enum quota quota = QUOTA_N;
        int r = accounts_connect(a, id, 1, ret, &quota);

        if (r == 0)
                account_give_back(*ret, QUOTA_HANDSHAKES, 1);
        else if (r == -EDQUOT && quota != QUOTA_CONNECTIONS)
                abort();
        return r;
}

static inline struct account *connect_user(struct accounts *a, uid_t uid)
{
        struct identity id = identity_of_user(uid);
        struct account *account = NULL;

        assert_int_equal(join(a, &id, &account), 0);
        assert_true(identity_equal(&account->identity, &id));
        return account;
}
