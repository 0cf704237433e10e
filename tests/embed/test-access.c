/* SPDX-License-Identifier: Apache-2.0 */
/* Promise: what a client may do is asked of the program, with what the kernel knows of the peer,
 * and asked anew when the program says so. */
#include "embed-bed.h"

/* What is denied: whoever's name begins with `who`, with targets that are `target`. */
struct law {
        bool deny[BUSRT_ACTION_SUBSCRIBE + 1];
        const char *who, *target; /* NULL: any */
        unsigned asked[BUSRT_ACTION_SUBSCRIBE + 1], n_wrong;
        bool local;
};

/* The handler runs on whatever thread routes. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define NEW_LAW(...)                                                                               \
        do {                                                                                       \
                pthread_mutex_lock(&lock);                                                         \
                __VA_ARGS__;                                                                       \
                pthread_mutex_unlock(&lock);                                                       \
        } while (0)

static int verdict(struct law *law, const busrt_broker_question *q)
{
        bool name = q->action == BUSRT_ACTION_REGISTER;

        law->asked[q->action]++;
        law->n_wrong += name != (q->target == NULL) || (name && q->target_len != 0);
        law->n_wrong += q->peer->local != law->local || !q->peer->has_uid ||
                        q->peer->uid != geteuid() || q->peer->pid != getpid() || q->peer->source;
        if (!law->deny[q->action])
                return 0;
        if (law->who && strncmp(q->name, law->who, strlen(law->who)) != 0)
                return 0;
        if (law->target && (strlen(law->target) != q->target_len ||
                            memcmp(law->target, q->target, q->target_len) != 0))
                return 0;
        return 1; /* anything but 0 */
}

static int judge(busrt_broker *b, const busrt_broker_question *q, void *userdata)
{
        int r;

        NEW_LAW(r = verdict(userdata, q));
        return r;
}

static unsigned times_asked(const struct law *law, enum busrt_broker_action action)
{
        unsigned n;

        NEW_LAW(n = law->asked[action]);
        return n;
}

static void expect_right_questions(const struct law *law)
{
        unsigned n;

        NEW_LAW(n = law->n_wrong);
        assert_int_equal(n, 0);
}

static busrt_broker *ruled_broker(struct law *law)
{
        busrt_broker *b = new_broker();

        assert_int_equal(busrt_broker_set_access_handler(b, judge, law), 0);
        assert_int_equal(busrt_broker_listen(b, place.path, 0), 0);
        assert_int_equal(busrt_broker_start(b), 0);
        return b;
}

/* A client here, or by socket: the same is asked. */
static busrt_client *join(busrt_broker *b, const struct law *law, const char *name)
{
        return law->local ? joined(b, name) : joined_by_socket(name);
}

static int join_fails(busrt_broker *b, const struct law *law, const char *name)
{
        _cleanup_client_ busrt_client *c = new_client(name);

        return law->local ? busrt_broker_connect(b, c) : busrt_client_connect(c, place.path);
}

static void a_name(struct law law)
{
        _cleanup_broker_ busrt_broker *b = ruled_broker(&law);
        _cleanup_client_ busrt_client *c = NULL;

        NEW_LAW(law.deny[BUSRT_ACTION_REGISTER] = true; law.who = "bad");
        c = join(b, &law, "good");
        assert_int_equal(join_fails(b, &law, "bad.one"), -EACCES);
        expect_right_questions(&law);
        assert_true(times_asked(&law, BUSRT_ACTION_REGISTER) >= 2);
}

static void a_message(struct law law)
{
        _cleanup_broker_ busrt_broker *b = ruled_broker(&law);
        _cleanup_client_ busrt_client *c = join(b, &law, "c"), *d = join(b, &law, "d");
        busrt_rpc_error error = BUSRT_RPC_ERROR_INIT;
        unsigned asked;

        NEW_LAW(law.deny[BUSRT_ACTION_SEND] = true; law.target = "d");
        assert_int_equal(busrt_client_send(c, "d", IOV("x"), ACKED, NULL), -EACCES);
        assert_int_equal(busrt_client_send(c, "c", IOV("x"), ACKED, NULL), 0);
        assert_int_equal(busrt_client_send(c, "nobody", IOV("x"), ACKED, NULL), -EHOSTUNREACH);
        assert_int_equal(busrt_client_call(c, "d", "m", NULL, 0, 0, DEADLINE, &error, NULL),
                         -EACCES);
        NEW_LAW(law.target = ".broker");
        assert_int_equal(
                busrt_client_call(c, ".broker", "test", NULL, 0, 0, DEADLINE, &error, NULL),
                -EACCES);
        busrt_rpc_error_done(&error);
        /* What was allowed is remembered, what was denied is not. */
        NEW_LAW(law.deny[BUSRT_ACTION_SEND] = false);
        for (unsigned i = 0; i < 10; i++)
                assert_int_equal(busrt_client_send(c, "d", IOV("x"), ACKED, NULL), 0);
        asked = times_asked(&law, BUSRT_ACTION_SEND);
        assert_true(asked >= 5 && asked <= 7);
        expect_right_questions(&law);
        for (unsigned i = 0; i < 10; i++)
                expect_frame(d, BUSRT_KIND_MESSAGE, "c", "x");
        expect_nothing(d);
}

static void fan_out(struct law law)
{
        static const char *const topics[] = {"t", "u"};
        _cleanup_broker_ busrt_broker *b = ruled_broker(&law);
        _cleanup_client_ busrt_client *c = join(b, &law, "c"), *d = join(b, &law, "d");

        assert_int_equal(busrt_client_subscribe(d, topics, 2, ACKED, NULL), 0);
        NEW_LAW(law.deny[BUSRT_ACTION_PUBLISH] = law.deny[BUSRT_ACTION_BROADCAST] = true;
                law.target = "t");
        assert_int_equal(busrt_client_publish(c, "t", IOV("x"), ACKED, NULL), -EACCES);
        assert_int_equal(busrt_client_publish_for(c, "t", "d", IOV("x"), ACKED, NULL), -EACCES);
        assert_int_equal(busrt_client_publish(c, "u", IOV("y"), ACKED, NULL), 0);
        expect_frame(d, BUSRT_KIND_PUBLICATION, "c", "y");
        NEW_LAW(law.target = "*");
        assert_int_equal(busrt_client_broadcast(c, "*", IOV("x"), ACKED, NULL), -EACCES);
        assert_int_equal(busrt_client_broadcast(c, "?", IOV("z"), ACKED, NULL), 0);
        expect_frame(d, BUSRT_KIND_BROADCAST, "c", "z");
        expect_nothing(d);
        expect_right_questions(&law);
}

static void a_subscription(struct law law)
{
        static const char *const topics[] = {"t", "secret", "u"};
        _cleanup_broker_ busrt_broker *b = ruled_broker(&law);
        _cleanup_client_ busrt_client *c = join(b, &law, "c");

        NEW_LAW(law.deny[BUSRT_ACTION_SUBSCRIBE] = true; law.target = "secret");
        assert_int_equal(busrt_client_subscribe(c, topics, 3, ACKED, NULL), -EACCES);
        assert_int_equal(busrt_client_publish(c, "secret", IOV("x"), ACKED, NULL), 0);
        assert_int_equal(busrt_client_publish(c, "u", IOV("y"), ACKED, NULL), 0);
        expect_frame(c, BUSRT_KIND_PUBLICATION, "c", "y");
        expect_right_questions(&law);
}

/* The answers change: who may not be here goes, and what one may not hear is taken away. */
static void new_answers(struct law law)
{
        static const char *const topics[] = {"t", "secret"};
        _cleanup_broker_ busrt_broker *b = ruled_broker(&law);
        _cleanup_client_ busrt_client *bad = join(b, &law, "bad"), *c = join(b, &law, "c");

        assert_int_equal(busrt_client_subscribe(c, topics, 2, ACKED, NULL), 0);
        assert_int_equal(busrt_client_send(c, "c", IOV("1"), ACKED, NULL), 0);
        assert_int_equal(busrt_client_publish(c, "t", IOV("2"), ACKED, NULL), 0);
        expect_frame(c, BUSRT_KIND_MESSAGE, "c", "1");
        expect_frame(c, BUSRT_KIND_PUBLICATION, "c", "2");
        NEW_LAW(law.deny[BUSRT_ACTION_REGISTER] = true; law.who = "bad");
        assert_int_equal(busrt_broker_access_changed(b), 0);
        expect_closed(bad, -ECONNRESET);
        NEW_LAW(law.deny[BUSRT_ACTION_REGISTER] = false;
                law.deny[BUSRT_ACTION_SUBSCRIBE] = law.deny[BUSRT_ACTION_SEND] = true;
                law.who = NULL; law.target = "secret");
        assert_int_equal(busrt_broker_access_changed(b), 0);
        assert_int_equal(busrt_client_publish(c, "secret", IOV("3"), ACKED, NULL), 0);
        NEW_LAW(law.target = "c");
        assert_int_equal(busrt_broker_access_changed(b), 0);
        /* what was remembered as allowed is asked for again */
        assert_int_equal(busrt_client_send(c, "c", IOV("4"), ACKED, NULL), -EACCES);
        NEW_LAW(law.deny[BUSRT_ACTION_PUBLISH] = true; law.target = "t");
        assert_int_equal(busrt_broker_access_changed(b), 0);
        assert_int_equal(busrt_client_publish(c, "t", IOV("5"), ACKED, NULL), -EACCES);
        NEW_LAW(law.target = NULL);
        assert_int_equal(busrt_broker_access_changed(b), 0);
        NEW_LAW(law.deny[BUSRT_ACTION_PUBLISH] = false);
        assert_int_equal(busrt_client_publish(c, "t", IOV("6"), ACKED, NULL), 0);
        expect_nothing(c);
        expect_right_questions(&law);
}

#define BOTH(what)                                                                                 \
        static void what##_of_a_client_here(void **state)                                          \
        {                                                                                          \
                what((struct law){.local = true});                                                 \
        }                                                                                          \
        static void what##_of_a_client_by_socket(void **state)                                     \
        {                                                                                          \
                what((struct law){.local = false});                                                \
        }
BOTH(a_name)
BOTH(a_message)
BOTH(fan_out)
BOTH(a_subscription)
BOTH(new_answers)

/* What the program sends in the broker's name is not asked for. */
static void the_broker_itself_may_everything(void **state)
{
        struct law law = {.local = true};
        _cleanup_broker_ busrt_broker *b = ruled_broker(&law);
        _cleanup_client_ busrt_client *c = joined(b, "c");

        NEW_LAW(memset(law.deny, true, sizeof(law.deny)));
        assert_int_equal(busrt_broker_send(b, BUSRT_KIND_MESSAGE, "c", "1", 1), 0);
        expect_frame(c, BUSRT_KIND_MESSAGE, ".broker", "1");
        assert_int_equal(busrt_broker_send(b, BUSRT_KIND_BROADCAST, "*", "2", 1), 0);
        expect_frame(c, BUSRT_KIND_BROADCAST, ".broker", "2");
        assert_int_equal(busrt_broker_send(b, BUSRT_KIND_PUBLICATION, ".broker/warn", "3", 1), 0);
        expect_frame(c, BUSRT_KIND_PUBLICATION, ".broker", "3");
}

static void without_a_handler_nothing_changes(void **state)
{
        _cleanup_broker_ busrt_broker *b = started_broker();
        _cleanup_client_ busrt_client *c = joined(b, "c");

        assert_int_equal(busrt_broker_access_changed(b), 0);
        assert_int_equal(busrt_client_send(c, "c", IOV("1"), ACKED, NULL), 0);
        expect_frame(c, BUSRT_KIND_MESSAGE, "c", "1");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_name_of_a_client_here),
                cmocka_unit_test(a_name_of_a_client_by_socket),
                cmocka_unit_test(a_message_of_a_client_here),
                cmocka_unit_test(a_message_of_a_client_by_socket),
                cmocka_unit_test(fan_out_of_a_client_here),
                cmocka_unit_test(fan_out_of_a_client_by_socket),
                cmocka_unit_test(a_subscription_of_a_client_here),
                cmocka_unit_test(a_subscription_of_a_client_by_socket),
                cmocka_unit_test(new_answers_of_a_client_here),
                cmocka_unit_test(new_answers_of_a_client_by_socket),
                cmocka_unit_test(the_broker_itself_may_everything),
                cmocka_unit_test(without_a_handler_nothing_changes),
        };

        return cmocka_run_group_tests(tests, place_make, place_remove);
}
