/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accounts: exact limits, what keeps an account alive, and the same under threads that charge,
 * release, connect and disconnect at once.
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "account-bed.h"

#define N_THREADS 4

/* --- Connections --- */

static void test_connections_are_limited_per_identity(void **state)
{
        struct accounts *a = new_accounts(3, 1000, 500);
        struct identity id = identity_of_user(1);
        struct account *one = connect_user(a, 1), *other, *untouched = NULL;

        for (unsigned i = 0; i < 2; i++)
                assert_ptr_equal(connect_user(a, 1), one);
        assert_int_equal(one->used[QUOTA_CONNECTIONS], 3);
        assert_int_equal(join(a, &id, &untouched), -EDQUOT);
        assert_null(untouched);
        other = connect_user(a, 2);
        assert_ptr_not_equal(other, one);

        assert_null(accounts_disconnect(a, one));
        assert_ptr_equal(connect_user(a, 1), one);
        assert_int_equal(join(a, &id, &untouched), -EDQUOT);

        for (unsigned i = 0; i < 3; i++)
                accounts_disconnect(a, one);
        accounts_disconnect(a, other);
        assert_null(accounts_free(a));
}

static void test_a_limit_of_zero_leaves_nothing_behind(void **state)
{
        struct accounts *a = new_accounts(0, 1000, 500);
        struct identity id = identity_of_user(1);
        struct account *account = NULL;

        assert_int_equal(join(a, &id, &account), -EDQUOT);
        assert_null(account);
        accounts_free(a);
}

static void test_the_broker_connects_and_charges_beyond_a_users_limits(void **state)
{
        struct accounts *a = new_accounts(1, 1000, 500);
        struct identity id = {.kind = IDENTITY_BROKER};
        struct account *account;

        for (unsigned i = 0; i < 5; i++)
                assert_int_equal(join(a, &id, &account), 0);
        assert_int_equal(account_charge(a, account, 1000), CHARGE_OK);
        assert_int_equal(account_charge(a, account, 1), CHARGE_OVER_ALL);
        assert_int_equal(accounts_held(a), 1000);
        account_release(a, account, 1000);
        for (unsigned i = 0; i < 5; i++)
                accounts_disconnect(a, account);
        accounts_free(a);
}

static void test_null_is_nobody(void **state)
{
        struct accounts *a = new_accounts(1, 1, 1);

        assert_null(account_ref(a, NULL));
        assert_null(account_unref(a, NULL));
        assert_null(accounts_disconnect(a, NULL));
        accounts_free(a);
        assert_null(accounts_free(NULL));
}

/* --- Charges --- */

static void test_charges_stop_at_the_byte(void **state)
{
        struct accounts *a = new_accounts(10, 1000, 500);
        struct account *one = connect_user(a, 1), *two = connect_user(a, 2),
                       *three = connect_user(a, 3);

        assert_int_equal(account_charge(a, one, 501), CHARGE_OVER_ONE);
        assert_int_equal(account_charge(a, one, 500), CHARGE_OK);
        assert_int_equal(account_charge(a, one, 1), CHARGE_OVER_ONE);
        assert_int_equal(account_charge(a, one, 0), CHARGE_OK);
        assert_int_equal(account_charge(a, two, 499), CHARGE_OK);
        assert_int_equal(account_charge(a, three, 2), CHARGE_OVER_ALL);
        assert_int_equal(three->used[QUOTA_MEMORY], 0);
        assert_int_equal(account_charge(a, three, 1), CHARGE_OK);
        assert_int_equal(account_charge(a, two, 1), CHARGE_OVER_ALL);
        assert_int_equal(account_charge(a, one, 1), CHARGE_OVER_ONE);
        assert_int_equal(one->used[QUOTA_MEMORY], 500);
        assert_int_equal(two->used[QUOTA_MEMORY], 499);
        assert_int_equal(three->used[QUOTA_MEMORY], 1);
        assert_int_equal(accounts_held(a), 1000);

        account_release(a, one, 500);
        account_release(a, two, 499);
        account_release(a, three, 1);
        accounts_disconnect(a, one);
        accounts_disconnect(a, two);
        accounts_disconnect(a, three);
        accounts_free(a);
}

static void test_huge_charges_do_not_wrap(void **state)
{
        static const size_t huge[] = {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX / 2 + 1, 1001};
        struct accounts *a = new_accounts(10, 1000, 1000);
        struct account *one = connect_user(a, 1);

        assert_int_equal(account_charge(a, one, 2), CHARGE_OK);
        for (size_t i = 0; i < ARRAY_SIZE(huge); i++)
                assert_int_not_equal(account_charge(a, one, huge[i]), CHARGE_OK);
        assert_int_equal(accounts_held(a), 2);
        account_release(a, one, 2);
        accounts_disconnect(a, one);
        accounts_free(a);
}

static void test_new_limits_apply_to_what_comes(void **state)
{
        struct accounts *a = new_accounts(10, 1000, 500);
        struct account *one = connect_user(a, 1);
        struct identity id = identity_of_user(1);
        struct account *again;

        assert_int_equal(account_charge(a, one, 400), CHARGE_OK);
        set_limits(a, 1, 300, 200);
        assert_int_equal(account_charge(a, one, 1), CHARGE_OVER_ONE);
        assert_int_equal(join(a, &id, &again), -EDQUOT);
        set_limits(a, 2, 300, 2000);
        assert_int_equal(account_charge(a, one, 1), CHARGE_OVER_ALL);
        set_limits(a, 2, 2000, 2000);
        assert_int_equal(account_charge(a, one, 1600), CHARGE_OK);
        assert_int_equal(join(a, &id, &again), 0);
        account_release(a, one, 2000);
        accounts_disconnect(a, one);
        accounts_disconnect(a, again);
        accounts_free(a);
}

static void test_the_largest_is_who_holds_most(void **state)
{
        struct accounts *a = new_accounts(10, 1000, 1000);
        struct account *users[5];

        assert_null(accounts_largest(a));
        for (unsigned i = 0; i < ARRAY_SIZE(users); i++)
                users[i] = connect_user(a, i);
        assert_null(accounts_largest(a));
        for (unsigned i = 0; i < ARRAY_SIZE(users); i++) {
                struct account *largest;

                assert_int_equal(account_charge(a, users[i], 10 * (1 + i * 3 % 5)), CHARGE_OK);
                largest = accounts_largest(a);
                assert_ptr_equal(largest, users[i < 3 ? i > 0 : 3]);
                account_unref(a, largest);
        }
        for (unsigned i = 0; i < ARRAY_SIZE(users); i++) {
                account_release(a, users[i], 10 * (1 + i * 3 % 5));
                accounts_disconnect(a, users[i]);
        }
        accounts_free(a);
}

/* --- What keeps an account alive --- */

static void test_a_reference_outlives_the_connection(void **state)
{
        struct accounts *a = new_accounts(1, 1000, 1000);
        struct account *one = connect_user(a, 1), *ref = account_ref(a, one);

        assert_ptr_equal(ref, one);
        accounts_disconnect(a, one);
        assert_int_equal(ref->used[QUOTA_CONNECTIONS], 0);
        assert_ptr_equal(connect_user(a, 1), ref);
        accounts_disconnect(a, ref);
        account_unref(a, ref);
        accounts_free(a);
}

static void test_held_bytes_outlive_all_references(void **state)
{
        struct accounts *a = new_accounts(1, 1000, 600);
        struct account *one = connect_user(a, 1), *largest;

        assert_int_equal(account_charge(a, one, 600), CHARGE_OK);
        accounts_disconnect(a, one);
        assert_int_equal(accounts_held(a), 600);

        /* Coming back does not help: what was held then counts now. */
        assert_ptr_equal(connect_user(a, 1), one);
        assert_int_equal(account_charge(a, one, 1), CHARGE_OVER_ONE);
        accounts_disconnect(a, one);

        largest = accounts_largest(a);
        assert_ptr_equal(largest, one);
        account_unref(a, largest);
        account_release(a, one, 600);
        accounts_free(a);
}

static void test_many_idle_accounts_go_when_they_hold_nothing(void **state)
{
        enum { N = 100 };
        struct accounts *a = new_accounts(1, 100000, 1000);
        struct account *idle[N];

        for (unsigned round = 0; round < 3; round++) {
                for (unsigned i = 0; i < N; i++) {
                        idle[i] = connect_user(a, i);
                        assert_int_equal(account_charge(a, idle[i], 1 + i), CHARGE_OK);
                        accounts_disconnect(a, idle[i]);
                }
                for (unsigned i = 0; i < N; i++) {
                        account_release(a, idle[(i * 37) % N], 1 + (i * 37) % N);
                        accounts_disconnect(a, connect_user(a, 5000 + i));
                }
        }
        assert_int_equal(accounts_held(a), 0);
        accounts_free(a);
}

#ifndef NDEBUG
static void child_leaks_a_charge(void)
{
        struct accounts *a = new_accounts(1, 10, 10);
        struct account *one = connect_user(a, 1);

        (void)account_charge(a, one, 1);
        accounts_disconnect(a, one);
        accounts_free(a);
}

static void child_leaks_a_reference(void)
{
        struct accounts *a = new_accounts(1, 10, 10);

        account_ref(a, connect_user(a, 1));
        accounts_free(a);
}

static void child_releases_too_much(void)
{
        struct accounts *a = new_accounts(1, 10, 10);
        struct account *one = connect_user(a, 1);

        (void)account_charge(a, one, 3);
        account_release(a, one, 4);
}

static void child_leaks_a_name(void)
{
        struct accounts *a = new_accounts(1, 10, 10);
        struct account *one = connect_user(a, 1);

        account_take(one, QUOTA_NAMES);
        accounts_disconnect(a, one);
        accounts_free(a);
}

static void child_gives_back_too_many(void)
{
        struct accounts *a = new_accounts(1, 10, 10);
        struct account *one = connect_user(a, 1);

        account_take(one, QUOTA_SUBSCRIPTIONS);
        account_give_back(one, QUOTA_SUBSCRIPTIONS, 2);
}

static void child_disconnects_twice(void)
{
        struct accounts *a = new_accounts(2, 10, 10);
        struct account *one = connect_user(a, 1);

        account_ref(a, one);
        accounts_disconnect(a, one);
        accounts_disconnect(a, one);
}

static void child_is_balanced(void)
{
        struct accounts *a = new_accounts(1, 10, 10);
        struct account *one = connect_user(a, 1);

        (void)account_charge(a, one, 3);
        account_release(a, one, 3);
        accounts_disconnect(a, one);
        accounts_free(a);
}

/* The signal that ended the child; 0 if none did. */
static int run_child(void (*fn)(void))
{
        int status;
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
                signal(SIGABRT, SIG_DFL);
                if (!freopen("/dev/null", "w", stderr))
                        _exit(1);
                fn();
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void test_a_balance_that_is_not_zero_is_noticed(void **state)
{
        assert_int_equal(run_child(child_is_balanced), 0);
        assert_int_equal(run_child(child_leaks_a_charge), SIGABRT);
        assert_int_equal(run_child(child_leaks_a_reference), SIGABRT);
        assert_int_equal(run_child(child_releases_too_much), SIGABRT);
        assert_int_equal(run_child(child_disconnects_twice), SIGABRT);
        assert_int_equal(run_child(child_leaks_a_name), SIGABRT);
        assert_int_equal(run_child(child_gives_back_too_many), SIGABRT);
}
#endif

/* --- Threads --- */

struct job {
        struct accounts *a;
        pthread_barrier_t *barrier;
        unsigned seed;
        size_t n_granted;
        size_t n_wrong;
};

static void run_threads(struct accounts *a, void *(*fn)(void *), struct job jobs[N_THREADS])
{
        pthread_t threads[N_THREADS];
        pthread_barrier_t barrier;

        assert_int_equal(pthread_barrier_init(&barrier, NULL, N_THREADS), 0);
        for (unsigned i = 0; i < N_THREADS; i++) {
                jobs[i] = (struct job){.a = a, .barrier = &barrier, .seed = i + 1};
                assert_int_equal(pthread_create(&threads[i], NULL, fn, &jobs[i]), 0);
        }
        for (unsigned i = 0; i < N_THREADS; i++)
                assert_int_equal(pthread_join(threads[i], NULL), 0);
        pthread_barrier_destroy(&barrier);
}

/* xorshift: the same on every machine. */
static unsigned next_random(unsigned *seed)
{
        *seed ^= *seed << 13;
        *seed ^= *seed >> 17;
        *seed ^= *seed << 5;
        return *seed;
}

enum {
        RACE_LIMIT = 20000,
};

/* Takes byte by byte until refused; nobody gives anything back, so each refusal is final. */
static void *charge_until_refused(void *userdata)
{
        struct job *job = userdata;
        struct identity id = identity_of_user(7);
        struct account *account;

        if (join(job->a, &id, &account) < 0)
                abort();
        pthread_barrier_wait(job->barrier);
        while (account_charge(job->a, account, 1) == CHARGE_OK)
                job->n_granted++;
        pthread_barrier_wait(job->barrier);
        for (size_t i = 0; i < job->n_granted; i++)
                account_release(job->a, account, 1);
        accounts_disconnect(job->a, account);
        return NULL;
}

static void assert_exact(size_t max_held, size_t max_held_one)
{
        struct accounts *a = new_accounts(N_THREADS, max_held, max_held_one);
        struct job jobs[N_THREADS];
        size_t n_granted = 0;

        run_threads(a, charge_until_refused, jobs);
        for (unsigned i = 0; i < N_THREADS; i++)
                n_granted += jobs[i].n_granted;
        assert_int_equal(n_granted, RACE_LIMIT);
        assert_int_equal(accounts_held(a), 0);
        accounts_free(a);
}

static void test_racing_threads_get_exactly_the_limit(void **state)
{
        assert_exact(RACE_LIMIT, SIZE_MAX);
        assert_exact(SIZE_MAX, RACE_LIMIT);
        assert_exact(RACE_LIMIT, RACE_LIMIT);
}

enum {
        STORM_ROUNDS = 30000,
        STORM_USERS = 3,
        STORM_MAX = 4000,
        STORM_MAX_ONE = 1800,
        STORM_SLOTS = 8,
};

struct slot {
        struct account *account;
        size_t bytes;
};

/* Neither counter may be above its limit, even for a moment. The thread holds bytes or a reference
 * on the account. */
static void look(struct job *job, struct account *account)
{
        if (accounts_held(job->a) > STORM_MAX)
                job->n_wrong++;
        if (__atomic_load_n(&account->used[QUOTA_MEMORY], __ATOMIC_RELAXED) > STORM_MAX_ONE)
                job->n_wrong++;
}

/* Charges and disconnects at once: until it is released, the charge alone keeps the account. */
static void storm_take(struct job *job, struct slot *slot)
{
        struct identity id = identity_of_user(next_random(&job->seed) % STORM_USERS);
        struct account *account;
        size_t bytes = 1 + next_random(&job->seed) % 900;

        if (join(job->a, &id, &account) < 0)
                return;
        if (account_charge(job->a, account, bytes) == CHARGE_OK) {
                *slot = (struct slot){account, bytes};
                job->n_granted++;
        }
        look(job, account);
        accounts_disconnect(job->a, account);
}

static void storm_give_back(struct job *job, struct slot *slot)
{
        look(job, slot->account);
        account_release(job->a, slot->account, slot->bytes);
        *slot = (struct slot){0};
}

static void *storm(void *userdata)
{
        struct job *job = userdata;
        struct slot slots[STORM_SLOTS] = {0};

        pthread_barrier_wait(job->barrier);
        for (unsigned i = 0; i < STORM_ROUNDS; i++) {
                struct slot *slot = &slots[next_random(&job->seed) % STORM_SLOTS];

                if (slot->account)
                        storm_give_back(job, slot);
                else
                        storm_take(job, slot);
                if (i % 64 == 0)
                        account_unref(job->a, accounts_largest(job->a));
        }
        for (unsigned i = 0; i < STORM_SLOTS; i++)
                if (slots[i].account)
                        storm_give_back(job, &slots[i]);
        return NULL;
}

static void test_a_storm_of_threads_ends_at_zero(void **state)
{
        struct accounts *a = new_accounts(N_THREADS - 1, STORM_MAX, STORM_MAX_ONE);
        struct job jobs[N_THREADS];

        run_threads(a, storm, jobs);
        for (unsigned i = 0; i < N_THREADS; i++) {
                assert_int_equal(jobs[i].n_wrong, 0);
                assert_true(jobs[i].n_granted > 0);
        }
        assert_int_equal(accounts_held(a), 0);
        assert_null(accounts_largest(a));
        accounts_free(a);
}

/* Counts the connections that it got while all others hold theirs. */
static void *connect_until_refused(void *userdata)
{
        struct job *job = userdata;
        struct identity id = identity_of_ipv4((const uint8_t[4]){192, 0, 2, 1});
        struct account *account = NULL;

        pthread_barrier_wait(job->barrier);
        while (join(job->a, &id, &account) == 0)
                job->n_granted++;
        pthread_barrier_wait(job->barrier);
        for (size_t i = 0; i < job->n_granted; i++)
                accounts_disconnect(job->a, account);
        return NULL;
}

static void test_racing_threads_get_exactly_so_many_connections(void **state)
{
        struct accounts *a = new_accounts(5000, 1, 1);
        struct job jobs[N_THREADS];
        size_t n_granted = 0;

        run_threads(a, connect_until_refused, jobs);
        for (unsigned i = 0; i < N_THREADS; i++)
                n_granted += jobs[i].n_granted;
        assert_int_equal(n_granted, 5000);
        accounts_free(a);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_connections_are_limited_per_identity),
                cmocka_unit_test(test_a_limit_of_zero_leaves_nothing_behind),
                cmocka_unit_test(test_the_broker_connects_and_charges_beyond_a_users_limits),
                cmocka_unit_test(test_null_is_nobody),
                cmocka_unit_test(test_charges_stop_at_the_byte),
                cmocka_unit_test(test_huge_charges_do_not_wrap),
                cmocka_unit_test(test_new_limits_apply_to_what_comes),
                cmocka_unit_test(test_the_largest_is_who_holds_most),
                cmocka_unit_test(test_a_reference_outlives_the_connection),
                cmocka_unit_test(test_held_bytes_outlive_all_references),
                cmocka_unit_test(test_many_idle_accounts_go_when_they_hold_nothing),
#ifndef NDEBUG
                cmocka_unit_test(test_a_balance_that_is_not_zero_is_noticed),
#endif
                cmocka_unit_test(test_racing_threads_get_exactly_the_limit),
                cmocka_unit_test(test_a_storm_of_threads_ends_at_zero),
                cmocka_unit_test(test_racing_threads_get_exactly_so_many_connections),
        };

        return cmocka_run_group_tests_name("account", tests, NULL, NULL);
}
