/* SPDX-License-Identifier: Apache-2.0 */
/* Looking into the engine from outside, what is to be seen there, and counters that begin anew. */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "basic/clock.h"
#include "bed.h"
#include "engine/internal.h"

#define PROCESSED 0x40
#define LONG (60 * NSEC_PER_SEC)

/* --- Visits --- */

struct visit {
        pthread_t thread; /* in which it ran */
        unsigned n;       /* how often */
        size_t n_clients;
};

static int count_client(const struct engine_client_info *info, void *userdata)
{
        size_t *n = userdata;

        (*n)++;
        return 0;
}

static void visit(struct engine *engine, void *userdata)
{
        struct visit *v = userdata;

        v->thread = pthread_self();
        v->n++;
        v->n_clients = 0;
        engine_foreach_client(engine, count_client, &v->n_clients);
}

static void a_visit_runs_on_the_worker(void **state)
{
        struct visit v = {0};
        struct bed bed;
        struct peer a;

        bed_open(&bed, NULL);
        a = bed_join(&bed, "a");
        assert_int_equal(engine_start(bed.engine), 0);
        assert_int_equal(engine_inspect(bed.engine, visit, &v, LONG), 0);
        assert_int_equal(v.n, 1);
        assert_int_equal(v.n_clients, 2); /* `.broker` too */
        assert_false(pthread_equal(v.thread, pthread_self()));
        peer_close(&a);
        engine_stop(bed.engine, false);
        bed_close(&bed);
}

static void without_a_worker_thread_a_visit_runs_in_place(void **state)
{
        struct visit v = {0};
        struct bed bed;

        bed_open(&bed, NULL);
        assert_int_equal(engine_inspect(bed.engine, visit, &v, 0), 0);
        assert_int_equal(v.n, 1);
        assert_true(pthread_equal(v.thread, pthread_self()));
        assert_int_equal(engine_start(bed.engine), 0);
        engine_stop(bed.engine, false);
        assert_int_equal(engine_inspect(bed.engine, visit, &v, 0), 0);
        assert_int_equal(v.n, 2);
        assert_true(pthread_equal(v.thread, pthread_self()));
        bed_close(&bed);
}

static void visit_within(struct engine *engine, void *userdata)
{
        struct visit *v = userdata;

        v[0].thread = pthread_self();
        assert_int_equal(engine_inspect(engine, visit, &v[1], 0), 0);
}

static void a_visit_may_visit(void **state)
{
        struct visit v[2] = {0};
        struct bed bed;

        bed_open(&bed, NULL);
        assert_int_equal(engine_start(bed.engine), 0);
        assert_int_equal(engine_inspect(bed.engine, visit_within, v, LONG), 0);
        assert_int_equal(v[1].n, 1);
        assert_true(pthread_equal(v[0].thread, v[1].thread));
        engine_stop(bed.engine, false);
        bed_close(&bed);
}

/* A service that holds its worker until it is let go. */
struct holdup {
        sem_t held, go;
};

static void hold_worker(struct engine *engine, struct session *from, const uint8_t *payload,
                        size_t len, bool realtime, void *userdata)
{
        struct holdup *h = userdata;

        sem_post(&h->held);
        sem_wait(&h->go);
}

static void a_visit_that_was_given_up_never_runs(void **state)
{
        struct visit late = {0}, next = {0};
        struct engine_service service;
        struct holdup h;
        struct bed bed;
        struct peer a;

        sem_init(&h.held, 0, 0);
        sem_init(&h.go, 0, 0);
        service = (struct engine_service){.message = hold_worker, .userdata = &h};
        bed_open(&bed, NULL);
        engine_set_service(bed.engine, &service);
        a = bed_join(&bed, "a");
        assert_int_equal(engine_start(bed.engine), 0);
        peer_send(&a, WIRE_OP_MESSAGE, LITERAL(".broker\0x"));
        sem_wait(&h.held);
        assert_int_equal(engine_inspect(bed.engine, visit, &late, NSEC_PER_MSEC), -ETIMEDOUT);
        assert_int_equal(engine_inspect(bed.engine, visit, &late, 0), -ETIMEDOUT);
        sem_post(&h.go);
        assert_int_equal(engine_inspect(bed.engine, visit, &next, LONG), 0);
        assert_int_equal(next.n, 1);
        assert_int_equal(late.n, 0);
        engine_stop(bed.engine, false);
        peer_close(&a);
        bed_close(&bed);
        sem_destroy(&h.held);
        sem_destroy(&h.go);
}

/* Also who asks too late for the worker to come leaves nothing behind. */
static void a_visit_in_vain_is_freed_with_the_engine(void **state)
{
        struct visit v = {0};
        struct bed bed;

        bed_open(&bed, NULL);
        bed.engine->started = true; /* and no thread is there */
        assert_int_equal(engine_inspect(bed.engine, visit, &v, 0), -ETIMEDOUT);
        bed.engine->started = false;
        bed.engine = engine_free(bed.engine);
        assert_int_equal(v.n, 0);
}

struct slow_visit {
        sem_t begun;
        bool ended;
};

static void visit_slowly(struct engine *engine, void *userdata)
{
        struct slow_visit *v = userdata;

        sem_post(&v->begun);
        usleep(20000); /* longer than the visitor's patience */
        v->ended = true;
}

static void a_visit_that_has_begun_is_waited_for(void **state)
{
        struct bed bed;

        bed_open(&bed, NULL);
        assert_int_equal(engine_start(bed.engine), 0);
        for (unsigned i = 0; i < 20; i++) {
                struct slow_visit v = {0};
                int r;

                sem_init(&v.begun, 0, 0);
                r = engine_inspect(bed.engine, visit_slowly, &v, 5 * NSEC_PER_MSEC);
                assert_int_equal(r, sem_trywait(&v.begun) == 0 ? 0 : -ETIMEDOUT);
                assert_int_equal(v.ended, r == 0);
                sem_destroy(&v.begun);
        }
        engine_stop(bed.engine, false);
        bed_close(&bed);
}

static void a_ping_makes_the_worker_pass(void **state)
{
        struct bed bed;
        uint64_t passes;

        bed_open(&bed, NULL);
        bed_settle(&bed);
        passes = bed_counters(&bed).passes;
        assert_int_equal(bed_settle(&bed), 0);
        assert_true(engine_has_answered(bed.engine));
        engine_ping(bed.engine);
        assert_false(engine_has_answered(bed.engine));
        assert_int_equal(bed_settle(&bed), 1);
        assert_int_equal(bed_counters(&bed).passes, passes + 1);
        assert_true(engine_has_answered(bed.engine));
        bed_close(&bed);
}

/* --- What is seen --- */

static struct engine_client_info find(struct bed *bed, const char *name)
{
        struct engine_client_info info = {0};

        assert_int_equal(engine_find_client(bed->engine, name, strlen(name), &info), 0);
        return info;
}

static void a_client_is_found_by_name_and_id(void **state)
{
        struct engine_client_info info;
        struct bed bed;
        struct peer a, b;

        bed_open(&bed, NULL);
        a = bed_join_as(&bed, "a", 1000);
        b = bed_join_as(&bed, "b", 1001);
        info = find(&bed, "b");
        assert_string_equal(info.name, "b");
        assert_int_equal(info.uid, 1001);
        assert_int_equal(engine_get_client(bed.engine, info.id, &info), 0);
        assert_string_equal(info.name, "b");
        assert_int_equal(engine_get_client(bed.engine, info.id + 100, &info), -ENOENT);
        assert_int_equal(engine_find_client(bed.engine, "ab", 2, &info), -ENOENT);
        assert_int_equal(engine_disconnect(bed.engine, find(&bed, "b").id), 0);
        assert_int_equal(engine_find_client(bed.engine, "b", 1, &info), 0);
        bed_settle(&bed);
        assert_int_equal(engine_find_client(bed.engine, "b", 1, &info), -ENOENT);
        assert_string_equal(bed_event(&bed, ENGINE_EVENT_GONE).detail,
                            "disconnected by the administrator");
        peer_close(&a);
        peer_close(&b);
        bed_close(&bed);
}

static struct peer join_from(struct bed *bed, const struct transport_peer *who, char name)
{
        struct peer p;
        int fds[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
        assert_int_equal(engine_adopt(bed->engine, fds[0], who, "here"), 0);
        p.fd = fds[1];
        peer_write(&p, LITERAL("\xeb\x01\0\x01\0"));
        peer_write(&p, &name, 1);
        bed_settle(bed);
        return p;
}

static void a_client_is_shown_with_its_peer_and_when_it_came(void **state)
{
        struct transport_peer user = {.kind = TRANSPORT_UNIX,
                                      .uid = 7,
                                      .gid = 8,
                                      .pid = 9,
                                      .has_pid = true},
                              unknown = {.kind = TRANSPORT_UNIX, .uid = 7, .gid = 8, .pid = 9},
                              remote = {.kind = TRANSPORT_TCP,
                                        .family_bytes = 4,
                                        .address = {192, 0, 2, 1},
                                        .source = "192.0.2.1:5"};
        uint64_t before = clock_nsec(CLOCK_REALTIME);
        struct engine_client_info info;
        struct peer u, n, r;
        struct bed bed;

        bed_open(&bed, NULL);
        u = join_from(&bed, &user, 'u');
        n = join_from(&bed, &unknown, 'n');
        r = join_from(&bed, &remote, 'r');
        info = find(&bed, "u");
        assert_int_equal(info.uid, 7);
        assert_int_equal(info.gid, 8);
        assert_int_equal(info.pid, 9);
        assert_true(info.connected_at >= before);
        assert_true(info.connected_at <= clock_nsec(CLOCK_REALTIME));
        assert_int_equal(find(&bed, "n").uid, 7);
        assert_int_equal(find(&bed, "n").pid, 0);
        info = find(&bed, "r");
        assert_int_equal(info.uid, (uid_t)-1);
        assert_int_equal(info.gid, (gid_t)-1);
        assert_int_equal(info.pid, 0);
        assert_string_equal(info.source, "192.0.2.1:5");
        assert_int_equal(find(&bed, ".broker").uid, (uid_t)-1);
        peer_close(&u);
        peer_close(&n);
        peer_close(&r);
        bed_close(&bed);
}

struct texts {
        char text[256]; /* each followed by a blank */
        size_t n, stop_after;
};

static int note_text(const char *text, size_t len, void *userdata)
{
        struct texts *t = userdata;
        size_t at = strlen(t->text);

        assert_true(at + len + 2 < sizeof(t->text));
        memcpy(t->text + at, text, len);
        memcpy(t->text + at + len, " ", 2);
        return ++t->n == t->stop_after ? 5 : 0;
}

static void subscriptions_exclusions_and_secondaries_are_shown(void **state)
{
        struct texts masks = {0}, excluded = {0}, seconds = {0}, first = {.stop_after = 1};
        struct peer a, s1, s2;
        struct bed bed;
        uint64_t id;

        bed_open(&bed, NULL);
        a = bed_join(&bed, "a");
        s1 = bed_join(&bed, "a%%1");
        s2 = bed_join(&bed, "a%%2");
        peer_send(&a, WIRE_OP_UNSUBSCRIBE, LITERAL(".broker/warn"));
        peer_send(&a, WIRE_OP_SUBSCRIBE, LITERAL("x/#"));
        peer_send(&a, WIRE_OP_EXCLUDE, LITERAL("x/1"));
        bed_settle(&bed);
        id = find(&bed, "a").id;
        assert_int_equal(engine_foreach_subscription(bed.engine, id, false, note_text, &masks), 0);
        assert_string_equal(masks.text, "x/# ");
        assert_int_equal(engine_foreach_subscription(bed.engine, id, true, note_text, &excluded),
                         0);
        assert_string_equal(excluded.text, "x/1 ");
        assert_int_equal(engine_foreach_secondary(bed.engine, id, note_text, &seconds), 0);
        assert_int_equal(seconds.n, 2);
        assert_non_null(strstr(seconds.text, "a%%1 "));
        assert_non_null(strstr(seconds.text, "a%%2 "));
        assert_int_equal(engine_foreach_secondary(bed.engine, id, note_text, &first), 5);
        assert_int_equal(first.n, 1);
        assert_int_equal(engine_foreach_secondary(bed.engine, id + 99, note_text, &first), -ENOENT);
        assert_int_equal(engine_foreach_subscription(bed.engine, id + 99, true, note_text, &first),
                         -ENOENT);
        peer_close(&a);
        peer_close(&s1);
        peer_close(&s2);
        bed_close(&bed);
}

/* --- High-water marks and pauses --- */

#define PAYLOAD 2000

/* Until `from` is paused for b, whose socket is full. */
static void fill(struct bed *bed, struct peer *from)
{
        static const uint8_t body[2 + PAYLOAD] = "b";
        struct engine_client_info info;

        for (uint64_t n = 1;; n++) {
                peer_send(from, WIRE_OP_MESSAGE, body, sizeof(body));
                bed_settle(bed);
                info = find(bed, "a");
                if (info.r_frames < n)
                        return;
                assert_true(n < 10000);
        }
}

static void open_paced(struct bed *bed)
{
        struct engine_config config;

        bed_config(&config);
        config.queue_frames = 8;
        config.slow_pace = 3600 * NSEC_PER_SEC;
        bed_open(bed, &config);
}

static void drain(struct bed *bed, struct peer *p)
{
        static uint8_t buf[1 << 20];

        while (peer_read(p, buf, sizeof(buf)) > 0 || bed_settle(bed) > 0)
                ;
}

static void the_highest_mark_of_a_queue_is_kept(void **state)
{
        struct engine_client_info info;
        struct bed bed;
        struct peer a, b;

        open_paced(&bed);
        a = bed_join(&bed, "a");
        b = bed_join(&bed, "b");
        assert_int_equal(find(&bed, "b").queue_frames_max, 0);
        fill(&bed, &a);
        info = find(&bed, "b");
        assert_int_equal(info.queue_frames, 8);
        assert_int_equal(info.queue_frames_max, 8);
        assert_true(info.queue_bytes_max >= 8 * PAYLOAD);
        assert_true(info.queue_bytes_max >= info.queue_bytes);
        drain(&bed, &b);
        info = find(&bed, "b");
        assert_int_equal(info.queue_frames, 0);
        assert_int_equal(info.queue_frames_max, 8);
        assert_true(info.queue_bytes_max >= 8 * PAYLOAD);
        peer_close(&a);
        peer_close(&b);
        bed_close(&bed);
}

/* In place, so that "now" is now. */
static void paced_now(struct engine *engine, void *userdata)
{
        struct engine_client_info info;

        assert_int_equal(engine_find_client(engine, "a", 1, &info), 0);
        *(uint64_t *)userdata = info.paced;
}

static uint64_t paced(struct bed *bed)
{
        uint64_t nsec = 0;

        assert_int_equal(engine_inspect(bed->engine, paced_now, &nsec, 0), 0);
        return nsec;
}

static void paused_time_counts_while_it_lasts_and_afterwards(void **state)
{
        struct bed bed;
        struct peer a, b;
        uint64_t before, whole;

        open_paced(&bed);
        a = bed_join(&bed, "a");
        b = bed_join(&bed, "b");
        assert_int_equal(paced(&bed), 0);
        fill(&bed, &a);
        before = paced(&bed);
        while (paced(&bed) < before + 3 * NSEC_PER_MSEC)
                usleep(1000);
        drain(&bed, &b);
        whole = paced(&bed);
        assert_true(whole >= before + 3 * NSEC_PER_MSEC);
        usleep(1000);
        assert_int_equal(paced(&bed), whole);
        peer_close(&a);
        peer_close(&b);
        bed_close(&bed);
}

/* --- Beginning anew --- */

static void reset(struct engine *engine, void *userdata)
{
        struct engine_client_info info;

        engine_reset_counters(engine);
        assert_int_equal(engine_find_client(engine, "a", 1, &info), 0);
        assert_int_equal(info.paced, 0);
}

static void a_reset_leaves_what_is_so_now(void **state)
{
        struct engine_counters before, after;
        struct engine_client_info info;
        struct bed bed;
        struct peer a, b;

        open_paced(&bed);
        a = bed_join(&bed, "a");
        b = bed_join(&bed, "b");
        fill(&bed, &a);
        before = bed_counters(&bed);
        assert_int_equal(engine_inspect(bed.engine, reset, NULL, 0), 0);
        after = bed_counters(&bed);
        assert_true(before.r_frames > 0 && before.w_bytes > 0);
        assert_int_equal(after.r_frames + after.r_bytes + after.w_frames + after.w_bytes, 0);
        assert_int_equal(after.sessions, 2);
        assert_int_equal(after.clients, 2);
        assert_int_equal(after.held, before.held);
        assert_int_equal(after.passes, before.passes);
        assert_int_equal(find(&bed, "a").r_frames + find(&bed, "a").r_bytes, 0);
        assert_int_equal(find(&bed, ".broker").r_frames, 0);
        info = find(&bed, "b");
        assert_int_equal(info.w_frames, 0);
        assert_int_equal(info.queue_frames_max, 8);
        assert_int_equal(info.queue_bytes_max, info.queue_bytes);
        drain(&bed, &b);
        assert_int_equal(engine_inspect(bed.engine, reset, NULL, 0), 0);
        assert_int_equal(find(&bed, "b").queue_frames_max, 0);
        assert_int_equal(find(&bed, "b").queue_bytes_max, 0);
        peer_close(&a);
        peer_close(&b);
        bed_close(&bed);
}

static void what_was_refused_or_bad_is_reset_too(void **state)
{
        struct engine_counters c;
        struct peer a, twin;
        struct bed bed;

        bed_open(&bed, NULL);
        a = bed_join(&bed, "a");
        twin = bed_connect(&bed, 1000);
        peer_write(&twin, LITERAL("\xeb\x01\0\x01\0a"));
        peer_send(&a, 0x3f, NULL, 0);
        bed_settle(&bed);
        c = bed_counters(&bed);
        assert_int_equal(c.refused, 1);
        assert_int_equal(c.bad, 1);
        engine_reset_counters(bed.engine);
        c = bed_counters(&bed);
        assert_int_equal(c.refused + c.bad + c.struck + c.dropped, 0);
        peer_close(&a);
        peer_close(&twin);
        bed_close(&bed);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_visit_runs_on_the_worker),
                cmocka_unit_test(without_a_worker_thread_a_visit_runs_in_place),
                cmocka_unit_test(a_visit_may_visit),
                cmocka_unit_test(a_visit_that_was_given_up_never_runs),
                cmocka_unit_test(a_visit_in_vain_is_freed_with_the_engine),
                cmocka_unit_test(a_visit_that_has_begun_is_waited_for),
                cmocka_unit_test(a_ping_makes_the_worker_pass),
                cmocka_unit_test(a_client_is_found_by_name_and_id),
                cmocka_unit_test(a_client_is_shown_with_its_peer_and_when_it_came),
                cmocka_unit_test(subscriptions_exclusions_and_secondaries_are_shown),
                cmocka_unit_test(the_highest_mark_of_a_queue_is_kept),
                cmocka_unit_test(paused_time_counts_while_it_lasts_and_afterwards),
                cmocka_unit_test(a_reset_leaves_what_is_so_now),
                cmocka_unit_test(what_was_refused_or_bad_is_reset_too),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
