/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promise: a publication goes to one handler, that of its topic or of the most specific mask, and
 * what no handler is for goes where it went before; handlers come and go at any time, and the
 * broker is told with them.
 */
#include <pthread.h>
#include <stdatomic.h>

#include <busrt/topics.h>

#include "../unit/random.h"
#include "client-bed.h"
#include "real-broker.h"

#define ACKED BUSRT_QOS_PROCESSED
#define N_MASKS 60
#define N_TOPICS 2000

static struct real_broker *broker;

static busrt_client *joined(const char *name)
{
        busrt_client *c;

        assert_int_equal(busrt_client_new(name, &c), 0);
        assert_int_equal(busrt_client_connect(c, real_broker_path(broker)), 0);
        return c;
}

static void publish(busrt_client *c, const char *topic)
{
        assert_int_equal(busrt_client_publish(c, topic, IOV("x"), ACKED, NULL), 0);
}

/* What handlers note, one word for each call. */
struct notes {
        char text[256];
        int n;
};

static void note(struct notes *notes, const char *who, const char *mask, const char *topic)
{
        size_t len = strlen(notes->text);

        snprintf(notes->text + len, sizeof(notes->text) - len, "%s:%s:%s ", who, mask, topic);
        notes->n++;
}

static struct notes notes;

/* userdata: who it is. */
static void on_topic(busrt_client *c, busrt_frame *frame, const char *mask, void *userdata)
{
        note(&notes, userdata, mask, busrt_frame_get_topic(frame));
}

static void on_frame(busrt_client *c, busrt_frame *frame, void *userdata)
{
        note(&notes, userdata, "", busrt_frame_get_topic(frame));
}

/* Publishes to itself, and processes until it was told of all that had come before. */
static void expect_notes(busrt_client *c, const char *want)
{
        uint64_t until = now_usec() + DEADLINE;
        int n = 0;

        for (const char *p = want; *p; p++)
                n += *p == ' ';
        while (notes.n < n) {
                assert_true(now_usec() < until);
                (void)busrt_client_process(c);
        }
        assert_string_equal(notes.text, want);
        notes = (struct notes){0};
}

static void *name_of(const char *text)
{
        return (void *)(uintptr_t)text;
}

static void add(busrt_client *c, const char *mask, const char *who)
{
        assert_int_equal(busrt_client_add_topic_handler(c, mask, on_topic, name_of(who)), 0);
}

static void the_most_specific_handler_gets_it_alone(void **state)
{
        _cleanup_client_ busrt_client *c = joined("me");
        const char *all = "#";

        assert_int_equal(busrt_client_subscribe(c, &all, 1, ACKED, NULL), 0);
        add(c, "#", "all");
        add(c, "a/#", "below");
        add(c, "a/+/c", "middle");
        add(c, "a/b/#/ignored", "deep");
        add(c, "a/b", "exact");
        publish(c, "a/b");
        publish(c, "a/b/c");
        publish(c, "a/x/c");
        publish(c, "a/x/d");
        publish(c, "a");
        expect_notes(c, "exact:a/b:a/b deep:a/b/#:a/b/c middle:a/+/c:a/x/c below:a/#:a/x/d "
                        "all:#:a ");
        assert_int_equal(busrt_client_remove_topic_handler(c, "a/b"), 0);
        assert_int_equal(busrt_client_remove_topic_handler(c, "a/b/#"), 0);
        publish(c, "a/b");
        publish(c, "a/b/c");
        expect_notes(c, "below:a/#:a/b middle:a/+/c:a/b/c ");
}

static void what_no_handler_is_for_goes_where_it_went_before(void **state)
{
        _cleanup_client_ busrt_client *c = joined("me");
        _cleanup_frame_ busrt_frame *frame = NULL, *message = NULL;
        const char *all = "#";

        assert_int_equal(busrt_client_subscribe(c, &all, 1, ACKED, NULL), 0);
        add(c, "a", "a");
        publish(c, "a");
        publish(c, "b");
        assert_int_equal(busrt_client_send(c, "me", IOV("a"), ACKED, NULL), 0);
        assert_int_equal(busrt_client_read(c, DEADLINE, &frame), 0);
        assert_string_equal(busrt_frame_get_topic(frame), "b");
        assert_int_equal(busrt_client_read(c, DEADLINE, &message), 0);
        assert_int_equal(busrt_frame_get_kind(message), BUSRT_KIND_MESSAGE);
        expect_notes(c, "a:a:a ");
        assert_int_equal(busrt_client_set_frame_handler(c, on_frame, name_of("frame")), 0);
        publish(c, "b");
        publish(c, "a");
        expect_notes(c, "frame::b a:a:a ");
}

static void handlers_get_what_came_before_them(void **state)
{
        _cleanup_client_ busrt_client *c = joined("me");
        _cleanup_frame_ busrt_frame *frame = NULL;
        const char *all = "#";

        assert_int_equal(busrt_client_subscribe(c, &all, 1, ACKED, NULL), 0);
        publish(c, "a");
        publish(c, "b");
        publish(c, "a");
        add(c, "a", "late");
        expect_notes(c, "late:a:a late:a:a ");
        publish(c, "a");
        /* Before it was handled: it is to be read again. */
        assert_int_equal(busrt_client_remove_topic_handler(c, "a"), 0);
        assert_int_equal(busrt_client_read(c, DEADLINE, &frame), 0);
        assert_string_equal(busrt_frame_get_topic(frame), "b");
        frame = busrt_frame_unref(frame);
        assert_int_equal(busrt_client_read(c, DEADLINE, &frame), 0);
        assert_string_equal(busrt_frame_get_topic(frame), "a");
}

static void a_mask_is_added_once(void **state)
{
        _cleanup_client_ busrt_client *c = quiet_client("me");

        assert_int_equal(busrt_client_remove_topic_handler(c, "a"), -ENOENT);
        assert_int_equal(busrt_client_remove_topic_handler(c, "a/#"), -ENOENT);
        add(c, "a", "");
        add(c, "", "");
        add(c, "a/#/b", "");
        assert_int_equal(busrt_client_add_topic_handler(c, "a", on_topic, NULL), -EEXIST);
        assert_int_equal(busrt_client_add_topic_handler(c, "", on_topic, NULL), -EEXIST);
        assert_int_equal(busrt_client_add_topic_handler(c, "a/#", on_topic, NULL), -EEXIST);
        assert_int_equal(busrt_client_add_topic_handler(c, "a/#/c", on_topic, NULL), -EEXIST);
        assert_int_equal(busrt_client_remove_topic_handler(c, "a/#/d"), 0);
        add(c, "a/#", "");
        assert_int_equal(busrt_client_remove_topic_handler(c, "+"), -ENOENT);
}

/* --- Subscribing --- */

static void a_handler_subscribes_and_unsubscribes(void **state)
{
        _cleanup_client_ busrt_client *c = joined("me");
        _cleanup_op_ busrt_op *op = NULL;

        assert_int_equal(
                busrt_client_subscribe_handler(c, "a/+", on_topic, name_of("s"), ACKED, NULL), 0);
        assert_int_equal(
                busrt_client_subscribe_handler(c, "end", on_topic, name_of("s"), ACKED, &op), 0);
        assert_int_equal(busrt_op_wait(op, DEADLINE), 0);
        assert_int_equal(busrt_client_subscribe_handler(c, "a/+", on_topic, NULL, ACKED, NULL),
                         -EEXIST);
        publish(c, "a/b");
        expect_notes(c, "s:a/+:a/b ");
        assert_int_equal(busrt_client_unsubscribe_handler(c, "a/+", ACKED, NULL), 0);
        assert_int_equal(busrt_client_unsubscribe_handler(c, "a/+", ACKED, NULL), -ENOENT);
        publish(c, "a/b");
        publish(c, "end");
        expect_notes(c, "s:end:end ");
        assert_int_equal(busrt_client_read(c, 0, &(busrt_frame *){NULL}), -EAGAIN);
}

static void a_failed_subscription_leaves_no_handler_and_a_failed_end_leaves_it(void **state)
{
        _cleanup_client_ busrt_client *c = joined("me"), *fresh = quiet_client("you");
        busrt_op *op = NULL;
        char *deep = calloc(1, 2001);

        assert_non_null(deep);
        memset(deep, '/', 2000);
        assert_int_equal(busrt_client_subscribe_handler(c, deep, on_topic, NULL, ACKED, NULL),
                         -EBADMSG);
        assert_int_equal(busrt_client_remove_topic_handler(c, deep), -ENOENT);
        free(deep);
        assert_int_equal(busrt_client_subscribe_handler(c, "a", on_topic, NULL, 0x40, NULL),
                         -EINVAL);
        assert_int_equal(busrt_client_subscribe_handler(c, "a", on_topic, NULL, 0, &op), -EINVAL);
        assert_int_equal(busrt_client_remove_topic_handler(c, "a"), -ENOENT);
        assert_int_equal(busrt_client_subscribe_handler(fresh, "a", on_topic, NULL, 0, NULL),
                         -ENOTCONN);
        assert_int_equal(busrt_client_remove_topic_handler(fresh, "a"), -ENOENT);
        add(fresh, "a", "");
        assert_int_equal(busrt_client_unsubscribe_handler(fresh, "a", 0, NULL), -ENOTCONN);
        assert_int_equal(busrt_client_remove_topic_handler(fresh, "a"), 0);
}

/* --- Handlers that change the table --- */

static void remove_self(busrt_client *c, busrt_frame *frame, const char *mask, void *userdata)
{
        int r = busrt_client_remove_topic_handler(c, mask);

        note(&notes, r == 0 ? "gone" : "wrong", mask, busrt_frame_get_topic(frame));
}

static void a_handler_may_remove_itself(void **state)
{
        _cleanup_client_ busrt_client *c = joined("me");

        assert_int_equal(busrt_client_subscribe_handler(c, "a/#", remove_self, NULL, ACKED, NULL),
                         0);
        add(c, "#", "other");
        publish(c, "a/b");
        publish(c, "a/b");
        expect_notes(c, "gone:a/#:a/b other:#:a/b ");
}

static void free_client(busrt_client *c, busrt_frame *frame, const char *mask, void *userdata)
{
        busrt_client_free(c);
        note(&notes, "freed", mask, busrt_frame_get_topic(frame));
}

static void a_handler_may_free_the_client(void **state)
{
        busrt_client *c = joined("me");

        assert_int_equal(busrt_client_subscribe_handler(c, "+", free_client, NULL, ACKED, NULL), 0);
        publish(c, "a");
        while (notes.n == 0)
                (void)busrt_client_process(c);
        assert_string_equal(notes.text, "freed:+:a ");
        notes = (struct notes){0};
}

/* --- Many, against a definition: of all that match, none is more specific --- */

static char masks[N_MASKS][16];

static void random_mask(char text[16], bool topic)
{
        static const char *const words[] = {"a", "b", "c", "+", "+", "#"};
        unsigned n = 1 + random_below(4);

        text[0] = '\0';
        for (unsigned i = 0; i < n; i++) {
                if (i > 0)
                        strcat(text, "/");
                strcat(text, words[random_below(topic ? 3 : 6)]);
        }
}

/* a is more specific: in the first part that differs. */
static bool beats(const char *a, const char *b)
{
        while (*a && *a == *b)
                a++, b++;
        if (*a == *b || *b == '\0' || *a == '\0')
                return false; /* not both match one topic */
        return *b == '#' ? *a != '#' : *b == '+' && *a != '+' && *a != '#';
}

static char chosen[16], published[16];
static int n_chosen;

static void choose(busrt_client *c, busrt_frame *frame, const char *mask, void *userdata)
{
        snprintf(chosen, sizeof(chosen), "%s", mask);
        snprintf(published, sizeof(published), "%s", busrt_frame_get_topic(frame));
        n_chosen++;
}

static void count_unwanted(busrt_client *c, busrt_frame *frame, void *userdata)
{
        chosen[0] = '\0';
        snprintf(published, sizeof(published), "%s", busrt_frame_get_topic(frame));
        n_chosen++;
}

static void check_choice(const char *topic)
{
        bool any = false;

        assert_string_equal(published, topic);
        for (size_t i = 0; i < N_MASKS; i++)
                if (busrt_topic_matches(masks[i], topic)) {
                        any = true;
                        if (beats(masks[i], chosen))
                                fail_msg("%s went to %s, not %s", topic, chosen, masks[i]);
                }
        assert_int_equal(any, chosen[0] != '\0');
        assert_true(!any || busrt_topic_matches(chosen, topic));
}

static void many_handlers_choose_as_defined(void **state)
{
        _cleanup_client_ busrt_client *c = joined("me");
        const char *all = "#";

        assert_int_equal(busrt_client_subscribe(c, &all, 1, ACKED, NULL), 0);
        assert_int_equal(busrt_client_set_frame_handler(c, count_unwanted, NULL), 0);
        for (size_t i = 0; i < N_MASKS; i++) {
                int r;

                do
                        random_mask(masks[i], false);
                while (masks[i][0] == '#' || strncmp(masks[i], "+/#", 3) == 0);
                r = busrt_client_add_topic_handler(c, masks[i], choose, NULL);
                assert_true(r == 0 || r == -EEXIST);
        }
        for (int i = 0; i < N_TOPICS; i++) {
                char topic[16];

                random_mask(topic, true);
                n_chosen = 0;
                publish(c, topic);
                process_until(c, is_set, &n_chosen);
                check_choice(topic);
                if (random_below(20) == 0) { /* one is replaced */
                        size_t k = random_below(N_MASKS);

                        (void)busrt_client_remove_topic_handler(c, masks[k]);
                        (void)busrt_client_add_topic_handler(c, masks[k], choose, NULL);
                }
        }
}

/* --- From several threads --- */

static atomic_uint n_called;

static void count_call(busrt_client *c, busrt_frame *frame, const char *mask, void *userdata)
{
        if (busrt_topic_matches(mask, busrt_frame_get_topic(frame)) == 1)
                atomic_fetch_add(&n_called, 1);
}

static void count_frame(busrt_client *c, busrt_frame *frame, void *userdata)
{
        atomic_fetch_add(&n_called, 1);
}

static void *run_loop(void *userdata)
{
        (void)busrt_client_run(userdata);
        return NULL;
}

static void *change_often(void *userdata)
{
        for (unsigned i = 0; i < 2000; i++) {
                (void)busrt_client_add_topic_handler(userdata, i % 2 ? "t/+" : "t/a", count_call,
                                                     NULL);
                (void)busrt_client_remove_topic_handler(userdata, i % 3 ? "t/+" : "t/a");
        }
        return NULL;
}

static void each_is_handled_once_while_handlers_change(void **state)
{
        busrt_client *c = joined("me");
        pthread_t loop, changers[3];
        const char *all = "t/#";
        uint64_t until = now_usec() + DEADLINE;

        assert_int_equal(busrt_client_subscribe(c, &all, 1, ACKED, NULL), 0);
        assert_int_equal(busrt_client_set_frame_handler(c, count_frame, NULL), 0);
        assert_int_equal(pthread_create(&loop, NULL, run_loop, c), 0);
        for (int i = 0; i < 3; i++)
                assert_int_equal(pthread_create(&changers[i], NULL, change_often, c), 0);
        for (int i = 0; i < 1000; i++)
                publish(c, i % 2 ? "t/a" : "t/b");
        for (int i = 0; i < 3; i++)
                assert_int_equal(pthread_join(changers[i], NULL), 0);
        while (atomic_load(&n_called) < 1000)
                assert_true(now_usec() < until);
        assert_int_equal(busrt_client_disconnect(c), 0);
        assert_int_equal(pthread_join(loop, NULL), 0);
        assert_int_equal(n_called, 1000);
        busrt_client_free(c);
}

static int start(void **state)
{
        broker = real_broker_start();
        random_seed("topics");
        return 0;
}

static int stop(void **state)
{
        broker = real_broker_stop(broker);
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_most_specific_handler_gets_it_alone),
                cmocka_unit_test(what_no_handler_is_for_goes_where_it_went_before),
                cmocka_unit_test(handlers_get_what_came_before_them),
                cmocka_unit_test(a_mask_is_added_once),
                cmocka_unit_test(a_handler_subscribes_and_unsubscribes),
                cmocka_unit_test(
                        a_failed_subscription_leaves_no_handler_and_a_failed_end_leaves_it),
                cmocka_unit_test(a_handler_may_remove_itself),
                cmocka_unit_test(a_handler_may_free_the_client),
                cmocka_unit_test(many_handlers_choose_as_defined),
                cmocka_unit_test(each_is_handled_once_while_handlers_change),
        };

        return cmocka_run_group_tests(tests, start, stop);
}
