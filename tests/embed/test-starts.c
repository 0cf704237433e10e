/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promise: a start that finds no thread says so, changes nothing, and can be tried again; also
 * while clients in this process are at work. Both libraries are linked statically: pthread_create()
 * is the test's.
 */
#include "embed-bed.h"

static unsigned fail_thread; /* 1: the next one; 0: none */

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
                          void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
                          void *arg);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
                          void *arg)
{
        if (fail_thread > 0 && --fail_thread == 0)
                return EAGAIN;
        return __real_pthread_create(thread, attr, fn, arg);
}

static void use_broker(busrt_broker *b, const busrt_broker_event *event, void *userdata)
{
        busrt_broker_stats stats;

        assert_int_equal(busrt_broker_get_stats(b, &stats), 0);
}

/* It can be tried again, and then serves; clients that were there before notice nothing. */
static void every_thread_may_fail(void **state)
{
        size_t n_threads, n_fds;

        busrt_broker_free(started_broker()); /* a sanitizer's thread is there from now on */
        n_threads = count_threads();
        n_fds = count_fds();
        for (unsigned n = 1; n <= 4; n++) {
                busrt_broker *broker;
                busrt_client *c, *s = NULL;

                broker = new_broker();
                assert_int_equal(busrt_broker_set(broker, BUSRT_BROKER_WORKERS, 3), 0);
                assert_int_equal(busrt_broker_set_event_handler(broker, use_broker, NULL), 0);
                assert_int_equal(busrt_broker_listen(broker, place.path, 0), 0);
                c = joined(broker, "c");
                fail_thread = n;
                assert_int_equal(busrt_broker_start(broker), -EAGAIN);
                assert_int_equal(count_threads(), n_threads);
                assert_int_equal(busrt_client_send(c, "c", IOV("x"), ACKED, NULL), 0);
                if (n % 2) {
                        assert_int_equal(busrt_broker_start(broker), 0);
                        s = joined_by_socket("s");
                        assert_int_equal(busrt_client_send(s, "c", IOV("x"), ACKED, NULL), 0);
                }
                busrt_broker_free(broker);
                busrt_client_free(c);
                busrt_client_free(s);
                assert_int_equal(count_threads(), n_threads);
                assert_int_equal(count_fds(), n_fds);
        }
}

/* There are none at the end, where a broker of many workers never started. */
static void no_thread_to_end_with(void **state)
{
        busrt_broker *broker = new_broker();
        busrt_client *c, *d;

        assert_int_equal(busrt_broker_set(broker, BUSRT_BROKER_WORKERS, 3), 0);
        c = joined(broker, "c");
        d = joined(broker, "d");
        assert_int_equal(busrt_client_send(c, "d", IOV("x"), ACKED, NULL), 0);
        fail_thread = 1;
        busrt_broker_free(broker);
        expect_frame(d, BUSRT_KIND_MESSAGE, "c", "x");
        expect_closed(c, -ECONNRESET);
        expect_closed(d, -ECONNRESET);
        busrt_client_free(c);
        busrt_client_free(d);
        fail_thread = 0;
}

/* --- While clients are at work --- */

struct talk {
        busrt_broker *broker;
        busrt_client *client;
        const char *to;
        pthread_t thread;
        atomic_bool stop;
        atomic_uint n_sent, n_wrong;
};

static void *talk(void *userdata)
{
        struct talk *t = userdata;
        busrt_frame *f;

        while (!t->stop) {
                t->n_wrong += busrt_client_send(t->client, t->to, IOV("x"), ACKED, NULL) != 0;
                t->n_sent++;
                while (busrt_client_read(t->client, 0, &f) == 0)
                        busrt_frame_unref(f);
                busrt_client_free(joined(t->broker, t->to[0] == 'a' ? "visitor" : "guest"));
        }
        return NULL;
}

static bool has_talked(void *userdata)
{
        return ((struct talk *)userdata)->n_sent > 20;
}

/* Starts, and then the broker's end, under the hands of two that talk to each other. */
static void starting_under_clients(void **state)
{
        for (unsigned round = 0; round < 20; round++) {
                busrt_broker *broker = new_broker();
                struct talk t[2] = {{.broker = broker, .to = "b"}, {.broker = broker, .to = "a"}};

                assert_int_equal(busrt_broker_set(broker, BUSRT_BROKER_WORKERS, 2), 0);
                for (unsigned i = 0; i < 2; i++)
                        t[i].client = joined(broker, t[1 - i].to);
                for (unsigned i = 0; i < 2; i++)
                        assert_int_equal(pthread_create(&t[i].thread, NULL, talk, &t[i]), 0);
                for (unsigned n = 1; n <= 3; n++) {
                        fail_thread = n;
                        assert_int_equal(busrt_broker_start(broker), -EAGAIN);
                }
                wait_until(has_talked, &t[0]);
                assert_int_equal(busrt_broker_start(broker), 0);
                for (unsigned i = 0; i < 2; i++) {
                        t[i].stop = true;
                        assert_int_equal(pthread_join(t[i].thread, NULL), 0);
                        assert_int_equal(t[i].n_wrong, 0);
                }
                busrt_client_free(t[0].client);
                busrt_broker_free(broker);
                busrt_client_free(t[1].client);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_thread_may_fail),
                cmocka_unit_test(no_thread_to_end_with),
                cmocka_unit_test(starting_under_clients),
        };

        return cmocka_run_group_tests(tests, place_make, place_remove);
}
