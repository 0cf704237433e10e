/* SPDX-License-Identifier: Apache-2.0 */
/* Who holds a mutex that a thread under SCHED_FIFO waits for runs with that one's priority. Where
 * this user may start no such thread, that is not tried. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "basic/mutex.h"

#define PRIORITY 7

static pthread_mutex_t mutex;

static void *take_it(void *unused)
{
        pthread_mutex_lock(&mutex);
        pthread_mutex_unlock(&mutex);
        return NULL;
}

static int start_waiter(pthread_t *ret)
{
        struct sched_param param = {.sched_priority = PRIORITY};
        pthread_attr_t attributes;
        int r;

        pthread_attr_init(&attributes);
        pthread_attr_setinheritsched(&attributes, PTHREAD_EXPLICIT_SCHED);
        pthread_attr_setschedpolicy(&attributes, SCHED_FIFO);
        pthread_attr_setschedparam(&attributes, &param);
        r = pthread_create(ret, &attributes, take_it, NULL);
        pthread_attr_destroy(&attributes);
        return r;
}

/* The 18th field of /proc/thread-self/stat: below zero under real-time scheduling, -1 - priority.
 */
static long own_priority(void)
{
        FILE *f = fopen("/proc/thread-self/stat", "re");
        char text[1024] = "", *at;
        long priority = 0;

        assert_non_null(f);
        assert_non_null(fgets(text, sizeof(text), f));
        fclose(f);
        at = strrchr(text, ')');
        assert_non_null(at);
        assert_int_equal(sscanf(at + 1,
                                " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d "
                                "%*d %ld",
                                &priority),
                         1);
        return priority;
}

static void the_holder_inherits_priority(void **state)
{
        pthread_t waiter;

        assert_int_equal(mutex_init(&mutex, true), 0);
        pthread_mutex_lock(&mutex);
        assert_true(own_priority() >= 0);
        if (start_waiter(&waiter) != 0) {
                pthread_mutex_unlock(&mutex);
                pthread_mutex_destroy(&mutex);
                skip();
        }
        while (own_priority() != -1 - PRIORITY)
                sched_yield();
        pthread_mutex_unlock(&mutex);
        assert_true(own_priority() >= 0);
        pthread_join(waiter, NULL);
        pthread_mutex_destroy(&mutex);
}

static void a_plain_one_is_a_mutex_too(void **state)
{
        assert_int_equal(mutex_init(&mutex, false), 0);
        assert_int_equal(pthread_mutex_lock(&mutex), 0);
        assert_int_not_equal(pthread_mutex_trylock(&mutex), 0);
        assert_int_equal(pthread_mutex_unlock(&mutex), 0);
        assert_int_equal(pthread_mutex_destroy(&mutex), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_holder_inherits_priority),
                cmocka_unit_test(a_plain_one_is_a_mutex_too),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
