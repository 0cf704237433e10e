/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promise: eight clients in this process and eight by socket, each on a thread of its own and some
 * on two, talk to all others at once, while clients come and go and the program looks in: every
 * frame arrives, once and in its sender's order. Made for ThreadSanitizer; without it, what each
 * got is looked at all the same.
 */
#include "embed-bed.h"

#define N_LOCAL 8
#define N_CLIENTS 16
#define N_SERVICES 3 /* of these; the others talk */
#define N_TALKERS (N_CLIENTS - N_SERVICES)
#define N_ROUNDS 500
#define N_LOOKS 200

/* In a thread, cmocka's assertions have nowhere to jump to. */
#define EXPECT(crowd, condition)                                                                   \
        do {                                                                                       \
                if (!(condition)) {                                                                \
                        fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);            \
                        (crowd)->n_wrong++;                                                        \
                }                                                                                  \
        } while (0)

struct crowd;

/* Whoever talks: to every other by number, in messages and in publications. */
struct talker {
        struct crowd *crowd;
        unsigned me;
        busrt_client *client;
        pthread_t thread, loop;
        bool has_loop;
        atomic_uint sent[N_CLIENTS], published;       /* by this one */
        atomic_uint got[N_CLIENTS], heard[N_CLIENTS]; /* from each */
};

struct crowd {
        busrt_broker *broker;
        struct talker talkers[N_CLIENTS];
        atomic_uint n_wrong, n_finished, n_visitors, n_events;
        atomic_bool go;
        bool narrow;
};

#define MAGIC 0x62757372

struct number {
        uint32_t magic, from, n;
};

/* Some have this behind the number, as a second piece: those are put together on the way. */
static uint8_t ballast[30000];

static const char *name_of(unsigned i, char name[16])
{
        snprintf(name, 16, "%s%u", i < N_SERVICES ? ".service" : i < N_LOCAL ? "here" : "there", i);
        return name;
}

/* Services are the first in this process, so that names with a dot are called, too. */
static busrt_client *make_client(struct crowd *crowd, const char *name, bool local)
{
        return local ? joined(crowd->broker, name) : joined_by_socket(name);
}

/* --- What comes --- */

static void take_number(struct talker *t, atomic_uint counts[], const struct number *number)
{
        EXPECT(t->crowd, number->from < N_CLIENTS);
        if (number->from < N_CLIENTS)
                EXPECT(t->crowd, atomic_fetch_add(&counts[number->from], 1) == number->n);
}

static void on_frame(busrt_client *c, busrt_frame *f, void *userdata)
{
        struct talker *t = userdata;
        struct number number;
        size_t len;
        const void *payload = busrt_frame_get_payload(f, &len);

        if (len < sizeof(number))
                return; /* visitors', the broker's */
        memcpy(&number, payload, sizeof(number));
        EXPECT(t->crowd, number.magic == MAGIC && (len - sizeof(number)) % sizeof(ballast) == 0);
        if (busrt_frame_get_kind(f) == BUSRT_KIND_MESSAGE)
                take_number(t, t->got, &number);
        else if (busrt_frame_get_kind(f) == BUSRT_KIND_PUBLICATION)
                take_number(t, t->heard, &number);
}

static bool has_all(struct talker *t)
{
        const struct talker *others = t->crowd->talkers;

        for (unsigned i = N_SERVICES; i < N_CLIENTS; i++)
                if (t->got[i] != others[i].sent[t->me] || t->heard[i] != others[i].published)
                        return false;
        return true;
}

/* --- What is sent --- */

static void send_number(struct talker *t, unsigned to, unsigned qos)
{
        struct number number = {MAGIC, t->me, t->sent[to]++};
        struct iovec iov[] = {{&number, sizeof(number)}, {ballast, sizeof(ballast)}};
        size_t n = number.n % 16 == 7 ? 2 : 1;
        char name[16];

        EXPECT(t->crowd, busrt_client_send(t->client, name_of(to, name), iov, n, qos, NULL) == 0);
}

static void publish_number(struct talker *t, unsigned qos)
{
        struct number number = {MAGIC, t->me, t->published++};
        struct iovec iov[] = {{&number, sizeof(number)}, {ballast, sizeof(ballast)}};
        size_t n = number.n % 50 == 9 ? 2 : 1;
        char topic[32];

        snprintf(topic, sizeof(topic), "t/%u/%u", t->me, number.n % 3);
        EXPECT(t->crowd, busrt_client_publish(t->client, topic, iov, n, qos, NULL) == 0);
}

static void call_service(struct talker *t, unsigned service)
{
        _cleanup_frame_ busrt_frame *reply = NULL;
        struct number number = {MAGIC, t->me, service}, back = {0};
        struct iovec iov = {&number, sizeof(number)};
        char name[16];
        size_t len = 0;
        int r = busrt_client_call(t->client, name_of(service, name), "echo", &iov, 1, 0, DEADLINE,
                                  NULL, &reply);

        EXPECT(t->crowd, r == 0);
        if (r == 0)
                memcpy(&back, busrt_frame_get_payload(reply, &len), sizeof(back));
        EXPECT(t->crowd, len == sizeof(back) && back.from == t->me && back.n == service);
}

/* Masks of its own, besides the one that stays. */
static void change_subscriptions(struct talker *t, unsigned round)
{
        const char *masks[] = {"t/+/0", "x/#", "t/5/+"};

        if (round % 2)
                EXPECT(t->crowd, busrt_client_unsubscribe(t->client, masks, 3, ACKED, NULL) == 0);
        else
                EXPECT(t->crowd, busrt_client_subscribe(t->client, masks, 3, ACKED, NULL) == 0);
}

/* Somebody new comes, listens, says something, and goes: sometimes before that has gone. Nobody is
 * waited for: a talker on this thread may be who would have to read. */
static void visit(struct talker *t, unsigned round)
{
        static const char *const masks[] = {"t/+/1", "t/#"};
        char name[32], to[16];
        busrt_client *c;

        snprintf(name, sizeof(name), "visitor.%u.%u", t->me, round);
        c = make_client(t->crowd, name, round % 4 < 2);
        EXPECT(t->crowd, busrt_client_subscribe(c, masks, 1 + round % 2, ACKED, NULL) == 0);
        EXPECT(t->crowd, busrt_client_send(c, name_of(N_SERVICES + round % N_TALKERS, to),
                                           IOV("hi"), 0, NULL) == 0);
        if (round % 5)
                EXPECT(t->crowd, busrt_client_process(c) >= 0);
        busrt_client_free(c);
        t->crowd->n_visitors++;
}

static void talk_once(struct talker *t, unsigned round)
{
        for (unsigned i = 0; i < 4; i++)
                send_number(t, N_SERVICES + (t->me + round + i) % N_TALKERS,
                            i % 2 ? ACKED : BUSRT_QOS_NO);
        publish_number(t, round % 2 ? BUSRT_QOS_REALTIME_PROCESSED : BUSRT_QOS_NO);
        if (round % 4 == t->me % 4)
                call_service(t, round % N_SERVICES);
        if (round % 3 == 0)
                change_subscriptions(t, round / 3);
        if (round % 25 == t->me)
                visit(t, round);
        if (round % 10 == 9)
                EXPECT(t->crowd,
                       busrt_client_broadcast(t->client, "there?", IOV("hi"), ACKED, NULL) == 0);
        for (unsigned i = 0; i < 8 && !t->has_loop; i++)
                if (busrt_client_process(t->client) == 0)
                        break;
}

/* --- Threads --- */

static void *run(void *userdata)
{
        return (void *)(intptr_t)busrt_client_run(userdata);
}

static void *talk(void *userdata)
{
        struct talker *t = userdata;
        uint64_t until = now_usec() + 2 * DEADLINE;

        while (!t->crowd->go)
                sched_yield();
        for (unsigned round = 0; round < N_ROUNDS && t->crowd->n_wrong == 0; round++)
                talk_once(t, round);
        EXPECT(t->crowd, busrt_client_flush(t->client, DEADLINE) == 0);
        t->crowd->n_finished++;
        while ((t->crowd->n_finished < N_TALKERS || !has_all(t)) && t->crowd->n_wrong == 0) {
                EXPECT(t->crowd, now_usec() < until);
                if (t->has_loop)
                        sched_yield();
                else if (busrt_client_process(t->client) == 0)
                        (void)busrt_client_wait(t->client, 10 * MSEC);
        }
        return NULL;
}

static int echo(busrt_client *c, busrt_request *request, void *userdata)
{
        size_t len;
        const void *params = busrt_request_get_params(request, &len);
        struct iovec iov = {(void *)params, len};

        return busrt_request_reply(request, &iov, 1);
}

static void start_service(struct crowd *crowd, unsigned i)
{
        static const busrt_method method = {"echo", echo, NULL, 0};
        struct talker *t = &crowd->talkers[i];
        char name[16];

        t->client = joined(crowd->broker, name_of(i, name));
        t->has_loop = true;
        assert_int_equal(busrt_client_add_methods(t->client, &method, 1), 0);
        assert_int_equal(pthread_create(&t->loop, NULL, run, t->client), 0);
}

static void start_talker(struct crowd *crowd, unsigned i)
{
        static const char *const all[] = {"t/#"};
        struct talker *t = &crowd->talkers[i];
        char name[16];

        t->crowd = crowd;
        t->me = i;
        t->has_loop = i % 2;
        t->client = make_client(crowd, name_of(i, name), i < N_LOCAL);
        assert_int_equal(busrt_client_set_frame_handler(t->client, on_frame, t), 0);
        assert_int_equal(busrt_client_set_timeout(t->client, DEADLINE), 0);
        assert_int_equal(busrt_client_subscribe(t->client, all, 1, ACKED, NULL), 0);
        if (t->has_loop)
                assert_int_equal(pthread_create(&t->loop, NULL, run, t->client), 0);
        assert_int_equal(pthread_create(&t->thread, NULL, talk, t), 0);
}

static void end_client(struct talker *t)
{
        void *result;

        if (t->has_loop) {
                assert_int_equal(busrt_client_disconnect(t->client), 0);
                assert_int_equal(pthread_join(t->loop, &result), 0);
                assert_int_equal((intptr_t)result, -ESHUTDOWN);
        }
        busrt_client_free(t->client);
}

/* --- The program looks in meanwhile --- */

static void count_event(busrt_broker *b, const busrt_broker_event *event, void *userdata)
{
        struct crowd *crowd = userdata;

        crowd->n_events++;
        /* What the broker itself sends is not waited for. */
        if (event->type == BUSRT_BROKER_EVENT_DROPPED && crowd->narrow)
                return;
        EXPECT(crowd, event->type == BUSRT_BROKER_EVENT_REGISTERED ||
                              event->type == BUSRT_BROKER_EVENT_GONE);
        if (crowd->n_wrong)
                fprintf(stderr, "%s: %s (%d)\n", event->name, event->detail, event->type);
}

static int count_client(const busrt_broker_client_info *info, void *userdata)
{
        ++*(unsigned *)userdata;
        return 0;
}

static void look_in(struct crowd *crowd)
{
        for (unsigned i = 0; i < N_LOOKS; i++) {
                unsigned n = 0;

                assert_int_equal(busrt_broker_foreach_client(crowd->broker, count_client, &n), 0);
                assert_true(n >= N_CLIENTS + 1);
                assert_true(stats_of(crowd->broker).clients >= N_CLIENTS);
                assert_int_equal(
                        busrt_broker_send(crowd->broker, BUSRT_KIND_BROADCAST, "*", "all", 3), 0);
                assert_int_equal(
                        busrt_broker_set(crowd->broker, BUSRT_BROKER_QUEUE_BYTES, (16 << 20) + i),
                        0);
                sched_yield();
        }
}

static bool is_quiet(void *userdata)
{
        busrt_broker_stats s = stats_of(userdata);

        return s.connections == 0 && s.clients == 0 && s.held == 0;
}

static struct crowd crowd;

static void all_talk(uint64_t queue_frames)
{
        busrt_broker_stats stats;

        crowd = (struct crowd){.broker = new_broker(), .narrow = queue_frames < 100};
        assert_int_equal(busrt_broker_set(crowd.broker, BUSRT_BROKER_QUEUE_FRAMES, queue_frames),
                         0);
        assert_int_equal(busrt_broker_set(crowd.broker, BUSRT_BROKER_WORKERS, 2), 0);
        assert_int_equal(busrt_broker_set(crowd.broker, BUSRT_BROKER_SLOW_PACE, SECOND / 2), 0);
        assert_int_equal(busrt_broker_set(crowd.broker, BUSRT_BROKER_TIMEOUT, DEADLINE), 0);
        assert_int_equal(busrt_broker_set_event_handler(crowd.broker, count_event, &crowd), 0);
        assert_int_equal(busrt_broker_listen(crowd.broker, place.path, 0), 0);
        assert_int_equal(busrt_broker_start(crowd.broker), 0);
        for (unsigned i = 0; i < N_SERVICES; i++)
                start_service(&crowd, i);
        for (unsigned i = N_SERVICES; i < N_CLIENTS; i++)
                start_talker(&crowd, i);
        crowd.go = true;
        look_in(&crowd);
        for (unsigned i = N_SERVICES; i < N_CLIENTS; i++)
                assert_int_equal(pthread_join(crowd.talkers[i].thread, NULL), 0);
        assert_int_equal(crowd.n_wrong, 0);
        for (unsigned i = 0; i < N_CLIENTS; i++)
                end_client(&crowd.talkers[i]);
        wait_until(is_quiet, crowd.broker);
        stats = stats_of(crowd.broker);
        print_message("%llu frames in, %llu out; %u visitors, %u events\n",
                      (unsigned long long)stats.r_frames, (unsigned long long)stats.w_frames,
                      crowd.n_visitors, crowd.n_events);
        assert_int_equal(stats.struck + stats.bad, 0);
        assert_true(stats.dropped == 0 || crowd.narrow);
        assert_true(crowd.n_visitors > N_TALKERS);
        busrt_broker_free(crowd.broker);
}

static void all_talk_to_all(void **state)
{
        all_talk(8192);
}

/* Everybody waits for everybody all the time. */
static void through_narrow_queues(void **state)
{
        all_talk(10);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(all_talk_to_all),
                cmocka_unit_test(through_narrow_queues),
        };

        return cmocka_run_group_tests(tests, place_make, place_remove);
}
