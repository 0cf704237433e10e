/* SPDX-License-Identifier: Apache-2.0 */
/* How much one identity may have of each thing, who is exempt, and what the accounts show of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "account-bed.h"
#include "basic/clock.h"

static int connect_at(struct accounts *a, uid_t uid, uint64_t now, struct account **ret,
                      enum quota *ret_quota)
{
        struct identity id = identity_of_user(uid);

        return accounts_connect(a, &id, now, ret, ret_quota);
}

static void leave(struct accounts *a, struct account *account, size_t n)
{
        account_give_back(account, QUOTA_HANDSHAKES, n);
        while (n-- > 0)
                accounts_disconnect(a, account);
}

static void test_connections_without_a_name_are_limited(void **state)
{
        struct account_limits limits = limits_of(10, 1000, 500);
        struct account *one = NULL, *other;
        struct accounts *a;
        enum quota quota = QUOTA_N;

        limits.max[QUOTA_HANDSHAKES] = 2;
        a = accounts_of(&limits);
        for (unsigned i = 0; i < 2; i++)
                assert_int_equal(connect_at(a, 1, 1, &one, &quota), 0);
        assert_int_equal(connect_at(a, 1, 1, &one, &quota), -EDQUOT);
        assert_int_equal(quota, QUOTA_HANDSHAKES);
        assert_int_equal(one->refused[QUOTA_HANDSHAKES], 1);
        assert_int_equal(connect_at(a, 2, 1, &other, &quota), 0);
        account_give_back(one, QUOTA_HANDSHAKES, 1);
        account_take(one, QUOTA_NAMES);
        assert_int_equal(connect_at(a, 1, 1, &one, &quota), 0);
        assert_int_equal(one->used[QUOTA_CONNECTIONS], 3);
        account_give_back(one, QUOTA_NAMES, 1);
        accounts_disconnect(a, one);
        leave(a, one, 2);
        leave(a, other, 1);
        accounts_free(a);
}

static void test_names_and_subscriptions_are_limited(void **state)
{
        static const enum quota quotas[] = {QUOTA_NAMES, QUOTA_SUBSCRIPTIONS};

        for (size_t i = 0; i < ARRAY_SIZE(quotas); i++) {
                struct account_limits limits = limits_of(10, 1000, 500);
                struct account *one, *other;
                struct accounts *a;

                limits.max[quotas[i]] = 2;
                a = accounts_of(&limits);
                one = connect_user(a, 1);
                other = connect_user(a, 2);
                for (unsigned j = 0; j < 2; j++) {
                        assert_true(account_has_room(a, one, quotas[i]));
                        account_take(one, quotas[i]);
                }
                assert_false(account_has_room(a, one, quotas[i]));
                assert_false(account_has_room(a, one, quotas[i]));
                assert_int_equal(one->refused[quotas[i]], 2);
                assert_true(account_has_room(a, other, quotas[i]));
                account_give_back(one, quotas[i], 1);
                assert_true(account_has_room(a, one, quotas[i]));
                account_give_back(one, quotas[i], 1);
                accounts_disconnect(a, one);
                accounts_disconnect(a, other);
                accounts_free(a);
        }
}

static struct accounts *accounts_with_rate(size_t rate, size_t burst)
{
        struct account_limits limits = limits_of(SIZE_MAX, 1000, 500);

        limits.max[QUOTA_RATE] = rate;
        limits.burst = burst;
        return accounts_of(&limits);
}

/* As many as may come at that time. */
static size_t connect_all(struct accounts *a, uid_t uid, uint64_t now)
{
        struct account *account = NULL;
        enum quota quota = QUOTA_N;
        size_t n = 0;

        while (n < 100000 && connect_at(a, uid, now, &account, &quota) == 0)
                n++;
        if (n > 0)
                leave(a, account, n);
        return n;
}

static void test_connections_per_time_are_limited(void **state)
{
        struct accounts *a = accounts_with_rate(10, 25);
        uint64_t now = 77 * NSEC_PER_SEC;
        struct account *account;
        enum quota quota;

        assert_int_equal(connect_all(a, 1, now), 25);
        assert_int_equal(connect_all(a, 1, now), 0);
        assert_int_equal(connect_at(a, 1, now, &account, &quota), -EDQUOT);
        assert_int_equal(quota, QUOTA_RATE);
        assert_int_equal(connect_all(a, 2, now), 25);
        assert_int_equal(connect_all(a, 1, now + NSEC_PER_SEC / 10 - 1), 0);
        assert_int_equal(connect_all(a, 1, now + NSEC_PER_SEC / 10), 1);
        assert_int_equal(connect_all(a, 1, now + NSEC_PER_SEC), 9);
        assert_int_equal(connect_all(a, 1, now + NSEC_PER_SEC / 2),
                         0); /* a clock never goes back */
        assert_int_equal(connect_all(a, 1, now + 3600 * NSEC_PER_SEC), 25);
        accounts_free(a);
}

/* Nothing is lost in rounding, however the time is cut. */
static void test_the_rate_is_exact(void **state)
{
        static const size_t rates[] = {1, 3, 7, 1000, 999983};

        for (size_t i = 0; i < ARRAY_SIZE(rates); i++) {
                struct accounts *a = accounts_with_rate(rates[i], 3);
                uint64_t begin = 5 * NSEC_PER_SEC, now = begin;
                size_t n = connect_all(a, 1, now);

                assert_int_equal(n, 3);
                for (n = 0; now < begin + NSEC_PER_SEC; n += connect_all(a, 1, now))
                        now += 997;
                assert_int_equal(n, (now - begin) * rates[i] / NSEC_PER_SEC);
                accounts_free(a);
        }
}

static size_t n_accounts(struct accounts *a);

static void test_who_leaves_is_not_forgotten_while_the_rate_counts(void **state)
{
        struct accounts *a = accounts_with_rate(1, 2);
        uint64_t now = NSEC_PER_SEC;

        assert_int_equal(connect_all(a, 1, now), 2);
        for (unsigned i = 2; i < 20; i++)
                assert_int_equal(connect_all(a, i, now), 2);
        assert_int_equal(connect_all(a, 1, now), 0);
        assert_int_equal(n_accounts(a), 0);
        assert_int_equal(connect_all(a, 1, now + 2 * NSEC_PER_SEC), 2);
        accounts_free(a);
}

static void test_new_rates_hold_for_what_comes(void **state)
{
        struct account_limits limits = limits_of(SIZE_MAX, 1000, 500);
        struct accounts *a = accounts_with_rate(0, 1);

        assert_int_equal(connect_all(a, 1, NSEC_PER_SEC), 100000);
        limits.max[QUOTA_RATE] = 5;
        limits.burst = 10;
        accounts_set_limits(a, &limits);
        assert_in_range(connect_all(a, 1, 2 * NSEC_PER_SEC), 5, 10);
        assert_int_equal(connect_all(a, 1, 4 * NSEC_PER_SEC), 10);
        limits.burst = 3;
        accounts_set_limits(a, &limits);
        assert_int_equal(connect_all(a, 1, 400 * NSEC_PER_SEC), 3);
        accounts_free(a);
}

static void test_who_is_exempt_has_no_limit_but_that_of_all(void **state)
{
        struct account_limits limits = limits_of(1, 1000, 500);
        struct account *account = NULL;
        struct accounts *a;
        enum quota quota = QUOTA_N;

        limits.max[QUOTA_HANDSHAKES] = limits.max[QUOTA_NAMES] = 1;
        limits.max[QUOTA_RATE] = limits.burst = 1;
        limits.max[QUOTA_SUBSCRIPTIONS] = 0;
        limits.exempt[0] = 0;
        limits.exempt[1] = 7;
        limits.n_exempt = 2;
        a = accounts_of(&limits);
        for (unsigned i = 0; i < 100; i++)
                assert_int_equal(connect_at(a, 7, 1, &account, &quota), 0);
        assert_true(account->exempt);
        assert_true(account_has_room(a, account, QUOTA_SUBSCRIPTIONS));
        assert_int_equal(account_limit(a, account), 1000);
        assert_int_equal(account_charge(a, account, 1000), CHARGE_OK);
        assert_int_equal(account_charge(a, account, 1), CHARGE_OVER_ALL);
        account_release(a, account, 1000);
        limits.n_exempt = 1;
        accounts_set_limits(a, &limits);
        assert_false(account->exempt);
        assert_int_equal(connect_at(a, 7, 1, &account, &quota), -EDQUOT);
        assert_int_equal(account_charge(a, account, 501), CHARGE_OVER_ONE);
        assert_int_equal(account_limit(a, account), 500);
        assert_int_equal(account->refused[QUOTA_MEMORY], 1);
        leave(a, account, 100);
        accounts_free(a);
}

/* 127.0.0.1 as a number of four bytes is no user. */
static void test_addresses_are_never_exempt(void **state)
{
        struct account_limits limits = limits_of(0, 1000, 500);
        struct identity id = identity_of_ipv4((const uint8_t[4]){127, 0, 0, 1});
        struct account *account;
        struct accounts *a;
        enum quota quota;

        memcpy(limits.exempt, id.bytes, sizeof(uid_t));
        limits.n_exempt = 1;
        a = accounts_of(&limits);
        assert_int_equal(accounts_connect(a, &id, 1, &account, &quota), -EDQUOT);
        accounts_free(a);
}

static void test_who_was_there_before_comes_again_beyond_all_limits(void **state)
{
        struct account_limits limits = limits_of(0, 1000, 500);
        struct identity id = identity_of_user(1);
        struct account *account;
        struct accounts *a;
        enum quota quota;

        limits.max[QUOTA_RATE] = limits.burst = 1;
        a = accounts_of(&limits);
        for (unsigned i = 0; i < 3; i++)
                assert_int_equal(accounts_connect_again(a, &id, &account), 0);
        assert_int_equal(account->used[QUOTA_CONNECTIONS], 3);
        assert_int_equal(accounts_connect(a, &id, 1, &account, &quota), -EDQUOT);
        leave(a, account, 3);
        accounts_free(a);
}

static int count_account(const struct account *account, void *userdata)
{
        assert_true(account->used[QUOTA_CONNECTIONS] > 0 || account->used[QUOTA_MEMORY] > 0);
        ++*(size_t *)userdata;
        return 0;
}

static int find_user_2(const struct account *account, void *userdata)
{
        struct identity id = identity_of_user(2);

        return identity_equal(&account->identity, &id) ? 42 : 0;
}

static size_t n_accounts(struct accounts *a)
{
        size_t n = 0;

        assert_int_equal(accounts_foreach(a, count_account, &n), 0);
        return n;
}

static void test_all_accounts_can_be_seen(void **state)
{
        struct accounts *a = new_accounts(5, 1000, 500);
        struct account *one = connect_user(a, 1), *two = connect_user(a, 2);

        assert_int_equal(account_charge(a, two, 5), CHARGE_OK);
        assert_int_equal(n_accounts(a), 2);
        assert_int_equal(accounts_foreach(a, find_user_2, NULL), 42);
        accounts_disconnect(a, one);
        accounts_disconnect(a, two);
        assert_int_equal(n_accounts(a), 1);
        account_release(a, two, 5);
        accounts_free(a);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_connections_without_a_name_are_limited),
                cmocka_unit_test(test_names_and_subscriptions_are_limited),
                cmocka_unit_test(test_connections_per_time_are_limited),
                cmocka_unit_test(test_the_rate_is_exact),
                cmocka_unit_test(test_who_leaves_is_not_forgotten_while_the_rate_counts),
                cmocka_unit_test(test_new_rates_hold_for_what_comes),
                cmocka_unit_test(test_who_is_exempt_has_no_limit_but_that_of_all),
                cmocka_unit_test(test_addresses_are_never_exempt),
                cmocka_unit_test(test_who_was_there_before_comes_again_beyond_all_limits),
                cmocka_unit_test(test_all_accounts_can_be_seen),
        };

        return cmocka_run_group_tests_name("quota", tests, NULL, NULL);
}
