/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promise: handlers may use what their comments say, whoever's thread they are on, and nobody waits
 * for himself: not who sends to himself, not two who flood each other, not who frees things in the
 * wrong order.
 */
#include "embed-bed.h"

/* --- Clients that answer themselves --- */

struct echo {
        unsigned n, wanted, n_refused;
        int done;
};

static void echo_to_self(busrt_client *c, busrt_frame *f, void *userdata)
{
        struct echo *e = userdata;
        size_t len;
        const void *payload = busrt_frame_get_payload(f, &len);
        struct iovec iov = {(void *)payload, len};

        e->done = ++e->n >= e->wanted;
        for (unsigned i = 0; i < 2 && !e->done; i++)
                if (busrt_client_send(c, busrt_client_get_name(c), &iov, 1, 0, NULL) < 0)
                        e->n_refused++;
}

static void process_until_done(busrt_client *c, const int *done)
{
        uint64_t until = now_usec() + DEADLINE;

        while (!*done) {
                assert_true(now_usec() < until);
                if (busrt_client_process(c) == 0 && !*done)
                        assert_true(busrt_client_wait(c, SECOND) >= 0);
        }
}

/* Each frame makes two, until its own queue and its send buffer are full. */
static void a_handler_floods_itself(void **state)
{
        _cleanup_broker_ busrt_broker *b = new_broker();
        _cleanup_client_ busrt_client *c = new_client("c");
        struct echo e = {.wanted = 20000};

        assert_int_equal(busrt_broker_set(b, BUSRT_BROKER_QUEUE_FRAMES, 100), 0);
        assert_int_equal(busrt_client_set_send_buffer(c, 4096), 0);
        assert_int_equal(busrt_client_set_receive_buffer(c, 4096), 0);
        assert_int_equal(busrt_client_set_frame_handler(c, echo_to_self, &e), 0);
        assert_int_equal(busrt_broker_start(b), 0);
        assert_int_equal(busrt_broker_connect(b, c), 0);
        assert_int_equal(busrt_client_send(c, "c", IOV("0123456789012345"), 0, NULL), 0);
        process_until_done(c, &e.done);
        assert_true(e.n_refused > 0);
        assert_int_equal(stats_of(b).struck, 0);
}

/* --- Two that flood each other --- */

struct flood {
        busrt_client *client;
        const char *to;
        unsigned n_sent, n_got, n_busy;
        pthread_t thread;
};

#define N_FLOOD 20000

static void count_frame(busrt_client *c, busrt_frame *f, void *userdata)
{
        ((struct flood *)userdata)->n_got++;
}

/* Sends what it can without waiting, and takes what comes, until all is there. */
static void *flood(void *userdata)
{
        struct flood *f = userdata;
        uint64_t until = now_usec() + DEADLINE;

        while ((f->n_sent < N_FLOOD || f->n_got < N_FLOOD) && now_usec() < until) {
                int r = f->n_sent < N_FLOOD ? busrt_client_send(f->client, f->to, IOV("0123456789"),
                                                                BUSRT_QOS_DONTWAIT, NULL)
                                            : -EAGAIN;

                if (r == 0) {
                        f->n_sent++;
                        continue;
                }
                if (r != -EAGAIN)
                        break;
                f->n_busy++;
                if (busrt_client_process(f->client) == 0)
                        (void)busrt_client_wait(f->client, 100 * MSEC);
        }
        (void)busrt_client_flush(f->client, DEADLINE);
        return NULL;
}

/* The same, and waits for room where there is none. */
static void *flood_and_wait(void *userdata)
{
        struct flood *f = userdata;
        busrt_frame *frame;

        while (f->n_sent < N_FLOOD &&
               busrt_client_send(f->client, f->to, IOV("0123456789"), 0, NULL) == 0)
                f->n_sent++;
        while (f->n_got < N_FLOOD && busrt_client_read(f->client, DEADLINE, &frame) == 0) {
                busrt_frame_unref(frame);
                f->n_got++;
        }
        (void)busrt_client_flush(f->client, DEADLINE);
        return NULL;
}

static void two_flood(void *(*work)(void *), bool handler, bool socket)
{
        _cleanup_broker_ busrt_broker *b = new_broker();
        struct flood f[2] = {{.client = new_client("a"), .to = "b"},
                             {.client = new_client("b"), .to = "a"}};

        assert_int_equal(busrt_broker_set(b, BUSRT_BROKER_QUEUE_FRAMES, 50), 0);
        assert_int_equal(busrt_broker_set(b, BUSRT_BROKER_SLOW_PACE, SECOND / 2), 0);
        assert_int_equal(busrt_broker_listen(b, place.path, 0), 0);
        assert_int_equal(busrt_broker_start(b), 0);
        for (unsigned i = 0; i < 2; i++) {
                assert_int_equal(busrt_client_set_timeout(f[i].client, DEADLINE), 0);
                assert_int_equal(busrt_client_set_send_buffer(f[i].client, 4096), 0);
                if (handler)
                        assert_int_equal(
                                busrt_client_set_frame_handler(f[i].client, count_frame, &f[i]), 0);
                if (i == 1 && socket)
                        assert_int_equal(busrt_client_connect(f[i].client, place.path), 0);
                else
                        assert_int_equal(busrt_broker_connect(b, f[i].client), 0);
        }
        for (unsigned i = 0; i < 2; i++)
                assert_int_equal(pthread_create(&f[i].thread, NULL, work, &f[i]), 0);
        for (unsigned i = 0; i < 2; i++)
                assert_int_equal(pthread_join(f[i].thread, NULL), 0);
        for (unsigned i = 0; i < 2; i++) {
                assert_int_equal(f[i].n_sent, N_FLOOD);
                assert_int_equal(f[i].n_got, N_FLOOD);
                busrt_client_free(f[i].client);
        }
        assert_int_equal(stats_of(b).struck, 0);
}

static void two_flood_each_other_by_handlers(void **state)
{
        two_flood(flood, true, false);
        two_flood(flood, true, true);
}

static void two_flood_each_other_and_wait(void **state)
{
        two_flood(flood_and_wait, false, false);
        two_flood(flood_and_wait, false, true);
}

/* --- One thread that would have to be two --- */

/* Nobody serves the other one: that is a time-out, not for ever. */
static void waiting_for_whom_one_would_have_to_serve(void **state)
{
        _cleanup_broker_ busrt_broker *b = new_broker();
        _cleanup_client_ busrt_client *c = joined(b, "c"), *d = joined(b, "d");
        _cleanup_frame_ busrt_frame *call = NULL;
        int r;

        assert_int_equal(busrt_broker_set(b, BUSRT_BROKER_QUEUE_FRAMES, 10), 0);
        assert_int_equal(busrt_client_set_timeout(c, 50 * MSEC), 0);
        assert_int_equal(
                busrt_client_call(c, "d", "m", NULL, 0, 0, BUSRT_TIMEOUT_DEFAULT, NULL, NULL),
                -ETIMEDOUT);
        while ((r = busrt_client_send(c, "d", IOV("x"), ACKED, NULL)) == 0)
                ;
        assert_int_equal(r, -ETIMEDOUT);
        /* What waited goes when there is room, without a loop. The call came first. */
        assert_int_equal(busrt_client_read(d, DEADLINE, &call), 0);
        for (unsigned i = 0; i < 9; i++)
                expect_frame(d, BUSRT_KIND_MESSAGE, "c", "x");
        assert_true(busrt_client_process(c) >= 0);
        expect_frame(d, BUSRT_KIND_MESSAGE, "c", "x");
        assert_int_equal(busrt_client_send(c, "d", IOV("y"), ACKED, NULL), 0);
        expect_frame(d, BUSRT_KIND_MESSAGE, "c", "y");
}

/* --- The event handler --- */

struct helper {
        busrt_client *mine, *other;
        atomic_uint n_events, n_wrong;
        atomic_bool done;
        pthread_t server;
};

#define EXPECT(helper, condition)                                                                  \
        do {                                                                                       \
                if (!(condition)) {                                                                \
                        fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);            \
                        (helper)->n_wrong++;                                                       \
                }                                                                                  \
        } while (0)

static int see_client(const busrt_broker_client_info *info, void *userdata)
{
        ++*(unsigned *)userdata;
        return 0;
}

static int echo_params(busrt_client *c, busrt_request *request, void *userdata)
{
        size_t len;
        const void *params = busrt_request_get_params(request, &len);
        struct iovec iov = {(void *)params, len};

        return busrt_request_reply(request, &iov, 1);
}

static void *serve(void *userdata)
{
        (void)busrt_client_run(userdata);
        return NULL;
}

/* Everything that a handler may do, for a client whose name says that it is to be done. */
static void use_all(busrt_broker *b, const busrt_broker_event *event, void *userdata)
{
        struct helper *h = userdata;
        busrt_client *c;
        unsigned n = 0;

        h->n_events++;
        if (event->type != BUSRT_BROKER_EVENT_REGISTERED || strcmp(event->name, "go") != 0)
                return;
        EXPECT(h, busrt_broker_send(b, BUSRT_KIND_MESSAGE, "go", "hello", 5) == 0);
        EXPECT(h, busrt_broker_foreach_client(b, see_client, &n) == 0 && n == 4);
        EXPECT(h, busrt_client_send(h->mine, "go", IOV("mine"), ACKED, NULL) == 0);
        EXPECT(h, busrt_client_call(h->mine, "server", "echo", IOV("x"), 0, DEADLINE, NULL, NULL) ==
                          0);
        EXPECT(h, busrt_client_new("new", &c) == 0 && busrt_broker_connect(b, c) == 0);
        EXPECT(h, busrt_client_send(c, "mine", IOV("new"), ACKED, NULL) == 0);
        busrt_client_free(c);
        EXPECT(h, busrt_broker_set(b, BUSRT_BROKER_QUEUE_FRAMES, 1000) == 0);
        EXPECT(h, busrt_broker_listen(b, place.path, 0) == 0);
        EXPECT(h, busrt_broker_access_changed(b) == 0);
        EXPECT(h, busrt_broker_disconnect(b, event->id) == 0);
        h->done = true;
}

static bool is_done(void *userdata)
{
        return ((struct helper *)userdata)->done;
}

static void an_event_handler_uses_everything(void **state)
{
        static const busrt_method method = {"echo", echo_params, NULL, 0};
        _cleanup_broker_ busrt_broker *b = new_broker();
        _cleanup_client_ busrt_client *go = NULL, *server = new_client("server");
        struct helper h = {0};

        assert_int_equal(busrt_broker_set_event_handler(b, use_all, &h), 0);
        assert_int_equal(busrt_broker_start(b), 0);
        assert_int_equal(busrt_client_add_methods(server, &method, 1), 0);
        assert_int_equal(busrt_broker_connect(b, server), 0);
        assert_int_equal(pthread_create(&h.server, NULL, serve, server), 0);
        h.mine = joined(b, "mine");
        go = joined(b, "go");
        wait_until(is_done, &h);
        assert_int_equal(h.n_wrong, 0);
        expect_frame(go, BUSRT_KIND_MESSAGE, ".broker", "hello");
        expect_frame(go, BUSRT_KIND_MESSAGE, "mine", "mine");
        expect_closed(go, -ECONNRESET);
        expect_frame(h.mine, BUSRT_KIND_MESSAGE, "new", "new");
        assert_int_equal(busrt_client_disconnect(server), 0);
        assert_int_equal(pthread_join(h.server, NULL), 0);
        busrt_client_free(h.mine);
}

/* The client that the event is about is freed on another thread meanwhile, or in the handler. */
static void free_it(busrt_broker *b, const busrt_broker_event *event, void *userdata)
{
        struct helper *h = userdata;

        if (event->type == BUSRT_BROKER_EVENT_GONE && strcmp(event->name, "other") == 0)
                h->done = true;
        if (event->type != BUSRT_BROKER_EVENT_REGISTERED || strcmp(event->name, "go") != 0)
                return;
        h->other = busrt_client_free(h->other);
}

static void an_event_handler_frees_a_client(void **state)
{
        _cleanup_broker_ busrt_broker *b = new_broker();
        _cleanup_client_ busrt_client *go = NULL;
        struct helper h = {0};

        assert_int_equal(busrt_broker_set_event_handler(b, free_it, &h), 0);
        h.other = joined(b, "other");
        assert_int_equal(busrt_broker_start(b), 0);
        go = joined(b, "go");
        wait_until(is_done, &h);
        assert_null(h.other);
}

/* The same in the program's own thread, and loop, and with a turn of that from inside of one. */
static void use_all_and_process(busrt_broker *b, const busrt_broker_event *event, void *userdata)
{
        struct helper *h = userdata;
        busrt_broker_stats stats;
        unsigned n = 0;
        uint64_t usec;

        h->n_events++;
        EXPECT(h, busrt_broker_process(b) == 0);
        if (event->type != BUSRT_BROKER_EVENT_REGISTERED || strcmp(event->name, "go") != 0)
                return;
        EXPECT(h, busrt_broker_get_stats(b, &stats) == 0 && stats.clients == 2);
        EXPECT(h, busrt_broker_get_timeout(b, &usec) == 0);
        EXPECT(h, busrt_broker_foreach_client(b, see_client, &n) == 0 && n == 3);
        EXPECT(h, busrt_broker_send(b, BUSRT_KIND_MESSAGE, "go", "hello", 5) == 0);
        EXPECT(h, busrt_broker_listen(b, "127.0.0.1:0", 0) == 0);
        EXPECT(h, busrt_broker_set(b, BUSRT_BROKER_QUEUE_FRAMES, 1000) == 0);
        EXPECT(h, busrt_client_send(h->mine, "go", IOV("mine"), ACKED, NULL) == 0);
        EXPECT(h, busrt_broker_disconnect(b, event->id) == 0);
        h->done = true;
}

static void an_event_handler_on_the_programs_loop(void **state)
{
        _cleanup_broker_ busrt_broker *b = new_broker();
        _cleanup_client_ busrt_client *go = NULL;
        struct helper h = {0};

        assert_int_equal(busrt_broker_set_event_handler(b, use_all_and_process, &h), 0);
        settle(b);
        h.mine = joined(b, "mine");
        go = joined(b, "go");
        settle(b);
        assert_true(h.done);
        assert_int_equal(h.n_wrong, 0);
        assert_true(h.n_events >= 3);
        expect_frame(go, BUSRT_KIND_MESSAGE, ".broker", "hello");
        expect_frame(go, BUSRT_KIND_MESSAGE, "mine", "mine");
        expect_closed(go, -ECONNRESET);
        /* Many at once are told from inside of each other. */
        for (unsigned i = 0; i < 200; i++)
                busrt_client_free(joined(b, "c"));
        settle(b);
        assert_true(h.n_events >= 400);
        assert_int_equal(h.n_wrong, 0);
        busrt_client_free(h.mine);
}

/* --- Odd orders --- */

struct odd {
        busrt_broker *broker;
        busrt_client *first, *second;
        int done;
};

static void free_broker(busrt_client *c, busrt_frame *f, void *userdata)
{
        struct odd *odd = userdata;

        odd->broker = busrt_broker_free(odd->broker);
        odd->done = 1;
}

static void free_everything(busrt_client *c, busrt_frame *f, void *userdata)
{
        struct odd *odd = userdata;

        odd->second = busrt_client_free(odd->second);
        odd->broker = busrt_broker_free(odd->broker);
        odd->first = busrt_client_free(odd->first);
        odd->done = 1;
}

/* A client's handler is not the broker's. */
static void a_client_handler_frees_the_broker(void **state)
{
        for (unsigned started = 0; started < 2; started++) {
                struct odd odd = {.broker = new_broker()};

                if (started)
                        assert_int_equal(busrt_broker_start(odd.broker), 0);
                odd.first = joined(odd.broker, "first");
                odd.second = joined(odd.broker, "second");
                assert_int_equal(busrt_client_set_frame_handler(odd.first, free_broker, &odd), 0);
                assert_int_equal(busrt_client_send(odd.second, "first", IOV("x"), ACKED, NULL), 0);
                process_until_done(odd.first, &odd.done);
                expect_closed(odd.second, -ECONNRESET);
                busrt_client_free(odd.first);
                busrt_client_free(odd.second);
        }
}

static void a_client_handler_frees_everything(void **state)
{
        for (unsigned started = 0; started < 2; started++) {
                struct odd odd = {.broker = new_broker()};

                if (started)
                        assert_int_equal(busrt_broker_start(odd.broker), 0);
                odd.first = joined(odd.broker, "first");
                odd.second = joined(odd.broker, "second");
                assert_int_equal(busrt_client_set_frame_handler(odd.first, free_everything, &odd),
                                 0);
                for (unsigned i = 0; i < 10; i++)
                        assert_int_equal(
                                busrt_client_send(odd.second, "first", IOV("x"), ACKED, NULL), 0);
                while (!odd.done)
                        (void)busrt_client_process(odd.first);
                assert_null(odd.first);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_handler_floods_itself),
                cmocka_unit_test(two_flood_each_other_by_handlers),
                cmocka_unit_test(two_flood_each_other_and_wait),
                cmocka_unit_test(waiting_for_whom_one_would_have_to_serve),
                cmocka_unit_test(an_event_handler_uses_everything),
                cmocka_unit_test(an_event_handler_on_the_programs_loop),
                cmocka_unit_test(an_event_handler_frees_a_client),
                cmocka_unit_test(a_client_handler_frees_the_broker),
                cmocka_unit_test(a_client_handler_frees_everything),
        };

        return cmocka_run_group_tests(tests, place_make, place_remove);
}
