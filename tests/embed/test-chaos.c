/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promise: whatever clients and program do to each other at the same time, every call gives a
 * result that is written down, nobody waits for ever, and in the end nothing is left. Threads fight
 * for a few names, throw frames of all sizes at whoever has them, and go in the middle of it, while
 * the program disconnects, changes options and rules, and at last frees the broker under their
 * hands.
 */
#include "embed-bed.h"

#define N_THREADS 8
#define N_NAMES 5
#define N_LIVES 60 /* of each thread */
#define N_DEEDS 40 /* of each life, at the most */
#define LARGE 300000

struct arena {
        busrt_broker *broker;
        pthread_t threads[N_THREADS];
        atomic_uint next_seed, n_wrong, n_running, n_done, n_refused, n_lost;
        atomic_bool forbid;
};

static uint8_t payload[LARGE];

/* Seeded: a run can be had again, as far as threads can. */
static uint32_t draw(uint32_t *seed, uint32_t below)
{
        *seed = *seed * 1664525 + 1013904223;
        return (*seed >> 8) % below;
}

static void wrong(struct arena *a, const char *what, int r)
{
        fprintf(stderr, "%s: %s (%d)\n", what, busrt_strerror(r), r);
        a->n_wrong++;
}

/* What may come of anything that is sent. */
static void judge(struct arena *a, const char *what, int r)
{
        switch (r) {
        case -ECONNRESET: /* taken over, struck, disconnected */
        case -ENOTCONN:
                a->n_lost++;
                break;
        case -EHOSTUNREACH: /* nobody has that name just now */
        case -ENOBUFS:      /* who has it does not read */
        case -EACCES:
        case -EAGAIN:
                a->n_refused++;
                break;
        default:
                if (r < 0)
                        wrong(a, what, r);
                else
                        a->n_done++;
        }
}

static const char *some_name(uint32_t *seed, char name[8])
{
        snprintf(name, 8, "n%u", draw(seed, N_NAMES));
        return name;
}

/* Few are large, most are small; some are in pieces. */
static int send_some(busrt_client *c, uint32_t *seed)
{
        static const size_t sizes[] = {0, 1, 20, 100, 1000, 5000, LARGE};
        size_t len = sizes[draw(seed, draw(seed, 8) ? 5 : 7)];
        struct iovec iov[] = {{payload, len / 3}, {payload, len - len / 3}};
        unsigned qos = draw(seed, 2) ? ACKED : BUSRT_QOS_DONTWAIT;
        char name[8];

        switch (draw(seed, 4)) {
        case 0:
                return busrt_client_publish(c, "t/1", iov, 2, qos, NULL);
        case 1:
                return busrt_client_broadcast(c, "?", iov, 2, qos, NULL);
        default:
                return busrt_client_send(c, some_name(seed, name), iov, 2, qos, NULL);
        }
}

static void do_something(struct arena *a, busrt_client *c, uint32_t *seed)
{
        static const char *const masks[] = {"t/#", "+/1", ".broker/info"};
        busrt_frame *f;
        int r;

        switch (draw(seed, 8)) {
        case 0:
                judge(a, "subscribe",
                      busrt_client_subscribe(c, masks, 1 + draw(seed, 3), ACKED, NULL));
                break;
        case 1:
                judge(a, "unsubscribe",
                      busrt_client_unsubscribe(c, masks, 1 + draw(seed, 3), ACKED, NULL));
                break;
        case 2:
                judge(a, "call",
                      busrt_client_call(c, ".broker", "client.list", NULL, 0, 0, DEADLINE, NULL,
                                        NULL));
                break;
        case 3:
        case 4:
                while ((r = busrt_client_read(c, 0, &f)) == 0)
                        busrt_frame_unref(f);
                judge(a, "read", r);
                break;
        default:
                judge(a, "send", send_some(c, seed));
        }
}

static int join(struct arena *a, busrt_client *c, uint32_t *seed)
{
        return draw(seed, 3) ? busrt_broker_connect(a->broker, c)
                             : busrt_client_connect(c, place.path);
}

/* From its name to its end. False: the broker is not there any more. */
static bool live_once(struct arena *a, uint32_t *seed)
{
        char name[8];
        busrt_client *c = new_client(some_name(seed, name));
        unsigned n = draw(seed, N_DEEDS);
        int r = busrt_client_set_timeout(c, DEADLINE);

        if (r == 0)
                r = join(a, c, seed);
        if (r < 0 && r != -ECONNRESET && r != -EACCES && r != -EBUSY)
                wrong(a, "connect", r);
        for (unsigned i = 0; i < n && busrt_client_get_state(c) == BUSRT_STATE_CONNECTED; i++)
                do_something(a, c, seed);
        busrt_client_free(c);
        return r == 0;
}

static void *fight(void *userdata)
{
        struct arena *a = userdata;
        uint32_t seed = 1 + atomic_fetch_add(&a->next_seed, 1);

        for (unsigned i = 0; i < N_LIVES && a->n_wrong == 0; i++)
                (void)live_once(a, &seed);
        a->n_running--;
        return NULL;
}

/* --- The program --- */

static int sometimes(busrt_broker *b, const busrt_broker_question *q, void *userdata)
{
        struct arena *a = userdata;

        return a->forbid && q->action == BUSRT_ACTION_SUBSCRIBE;
}

static void ignore_event(busrt_broker *b, const busrt_broker_event *event, void *userdata)
{
}

struct pick {
        uint32_t skip;
        uint64_t id;
};

static int pick_one(const busrt_broker_client_info *info, void *userdata)
{
        struct pick *pick = userdata;

        pick->id = info->id;
        return pick->skip-- == 0;
}

static void meddle(struct arena *a, uint32_t *seed)
{
        struct pick pick = {.skip = draw(seed, N_NAMES)};
        busrt_broker *b = a->broker;
        int r = 0;

        switch (draw(seed, 6)) {
        case 0:
                (void)busrt_broker_foreach_client(b, pick_one, &pick);
                r = busrt_broker_disconnect(b, pick.id);
                break;
        case 1:
                r = busrt_broker_set(b, BUSRT_BROKER_SLOW_POLICY, draw(seed, 3));
                break;
        case 2:
                r = busrt_broker_set(b, BUSRT_BROKER_QUEUE_FRAMES, 1 + draw(seed, 50));
                break;
        case 3:
                r = busrt_broker_set(b, BUSRT_BROKER_SLOW_PACE, draw(seed, 20) * MSEC);
                break;
        case 4:
                a->forbid = !a->forbid;
                r = busrt_broker_access_changed(b);
                break;
        case 5:
                r = busrt_broker_send(b, BUSRT_KIND_BROADCAST, "?", payload, draw(seed, 2000));
                break;
        }
        if (r < 0 && r != -ENOENT)
                wrong(a, "the program", r);
}

static void open_arena(struct arena *a, unsigned n_workers)
{
        a->broker = new_broker();
        a->n_running = N_THREADS;
        assert_int_equal(busrt_broker_set(a->broker, BUSRT_BROKER_WORKERS, n_workers), 0);
        assert_int_equal(
                busrt_broker_set(a->broker, BUSRT_BROKER_FORCE_REGISTER, BUSRT_FORCE_REGISTER_ANY),
                0);
        assert_int_equal(busrt_broker_set_access_handler(a->broker, sometimes, a), 0);
        assert_int_equal(busrt_broker_set_event_handler(a->broker, ignore_event, a), 0);
        assert_int_equal(busrt_broker_listen(a->broker, place.path, 0), 0);
        assert_int_equal(busrt_broker_start(a->broker), 0);
        for (unsigned i = 0; i < N_THREADS; i++)
                assert_int_equal(pthread_create(&a->threads[i], NULL, fight, a), 0);
}

static bool is_quiet(void *userdata)
{
        busrt_broker_stats s = stats_of(userdata);

        return s.connections == 0 && s.clients == 0 && s.held == 0;
}

static void all_against_all(void **state)
{
        size_t n_fds = count_fds();

        for (unsigned n_workers = 1; n_workers <= 3; n_workers++) {
                struct arena a = {.next_seed = 1000 * n_workers};
                uint32_t seed = n_workers;

                open_arena(&a, n_workers);
                while (a.n_running > 0) {
                        meddle(&a, &seed);
                        sched_yield();
                }
                for (unsigned i = 0; i < N_THREADS; i++)
                        assert_int_equal(pthread_join(a.threads[i], NULL), 0);
                assert_int_equal(a.n_wrong, 0);
                print_message("%u went well, %u were refused, %u lost\n", a.n_done, a.n_refused,
                              a.n_lost);
                wait_until(is_quiet, a.broker);
                busrt_broker_free(a.broker);
                assert_int_equal(count_fds(), n_fds);
        }
}

/* --- The broker goes under their hands --- */

struct life {
        struct arena *arena;
        busrt_client *client;
        pthread_t thread;
        uint32_t seed;
};

static void *live_to_the_end(void *userdata)
{
        struct life *l = userdata;

        l->arena->n_running++;
        while (busrt_client_get_state(l->client) == BUSRT_STATE_CONNECTED)
                do_something(l->arena, l->client, &l->seed);
        return NULL;
}

static bool all_run(void *userdata)
{
        struct arena *a = userdata;

        return a->n_running == N_THREADS && a->n_done > 100;
}

static void the_broker_goes_in_the_middle(void **state)
{
        size_t n_fds = count_fds();

        for (unsigned round = 0; round < 20; round++) {
                struct arena a = {.broker = started_broker()};
                struct life lives[N_THREADS];

                for (unsigned i = 0; i < N_THREADS; i++) {
                        char name[] = {'n', (char)('0' + i), 0};

                        lives[i] = (struct life){.arena = &a, .seed = 100 * round + i};
                        lives[i].client = i % 3 ? joined(a.broker, name) : joined_by_socket(name);
                        assert_int_equal(busrt_client_set_timeout(lives[i].client, DEADLINE), 0);
                }
                for (unsigned i = 0; i < N_THREADS; i++)
                        assert_int_equal(
                                pthread_create(&lives[i].thread, NULL, live_to_the_end, &lives[i]),
                                0);
                wait_until(all_run, &a);
                busrt_broker_free(a.broker);
                for (unsigned i = 0; i < N_THREADS; i++) {
                        assert_int_equal(pthread_join(lives[i].thread, NULL), 0);
                        busrt_client_free(lives[i].client);
                }
                assert_int_equal(a.n_wrong, 0);
                assert_int_equal(count_fds(), n_fds);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(all_against_all),
                cmocka_unit_test(the_broker_goes_in_the_middle),
        };

        return cmocka_run_group_tests(tests, place_make, place_remove);
}
