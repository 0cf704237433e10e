/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache of topics says what the tree says, through random subscriptions, departures and
 * publications; and by counting what the tree is spared.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "basic/macro.h"
#include "counted-malloc.h"
#include "random.h"
#include "route/topic-cache.h"

#define N_SUBSCRIBERS 40 /* more than are kept for one topic */
#define N_TOPICS 60000   /* more than there are slots */
#define N_STEPS 400000
#define TEXT_MAX 80

struct world {
        struct subscription_tree *tree;
        struct subscriber subscribers[N_SUBSCRIBERS];
        struct topic_cache cache;
        struct match_set set, set2;
};

static void world_open(struct world *w)
{
        *w = (struct world){0};
        assert_int_equal(subscription_tree_new(&w->tree), 0);
        for (size_t i = 0; i < N_SUBSCRIBERS; i++)
                subscriber_init(&w->subscribers[i]);
}

static void world_close(struct world *w)
{
        for (size_t i = 0; i < N_SUBSCRIBERS; i++)
                subscription_remove_all(w->tree, &w->subscribers[i]);
        match_set_done(&w->set);
        match_set_done(&w->set2);
        topic_cache_done(&w->cache);
        subscription_tree_free(w->tree);
}

/* Topics of all lengths, some beyond what the cache takes, the empty one among them; pairs that
 * differ in a single byte anywhere. */
static size_t make_topic(unsigned number, char out[TEXT_MAX])
{
        size_t len = number % 73;

        for (size_t i = 0; i < len; i++)
                out[i] = i % 5 == 4 ? '/' : 'a';
        if (len > 0)
                out[number / 73 * 7 % len] = (char)('b' + number % 3);
        return len;
}

static int compare(const void *a, const void *b)
{
        const struct subscriber *const *x = a, *const *y = b;

        return (*x > *y) - (*x < *y);
}

static size_t match(struct world *w, const char *topic, size_t len, struct subscriber *const **ret)
{
        size_t n;

        assert_int_equal(topic_cache_match(topic_cache_find(&w->cache, topic, len), w->tree, topic,
                                           len, &w->set, ret, &n),
                         0);
        return n;
}

static void assert_same(struct world *w, const char *topic, size_t len)
{
        struct subscriber *const *found;
        struct subscriber *sorted[N_SUBSCRIBERS];
        size_t n = match(w, topic, len, &found);

        assert_int_equal(subscription_match(w->tree, topic, len, &w->set2), 0);
        assert_int_equal(n, w->set2.n_found);
        if (n == 0)
                return;
        memcpy(sorted, found, n * sizeof(*found));
        qsort(sorted, n, sizeof(*sorted), compare);
        qsort(w->set2.found, n, sizeof(*sorted), compare);
        assert_memory_equal(sorted, w->set2.found, n * sizeof(*sorted));
}

static void change_something(struct world *w)
{
        struct subscriber *s = &w->subscribers[random_below(N_SUBSCRIBERS)];
        char mask[TEXT_MAX];
        size_t len = make_topic(random_below(N_TOPICS), mask);

        if (len > 2 && random_below(2) == 0) {
                len = len < 5 || random_below(2) ? 1 : len - len % 5;
                mask[len - 1] = '#';
        }
        switch (random_below(10)) {
        case 0:
                subscription_remove_all(w->tree, s);
                break;
        case 1:
        case 2:
                assert_true(subscription_remove(w->tree, s, mask, len) >= 0);
                break;
        default:
                assert_true(subscription_add(w->tree, s, mask, len) >= 0);
        }
}

static void test_it_says_what_the_tree_says(void **state)
{
        struct world w;
        char topic[TEXT_MAX];

        random_seed("topic-cache");
        world_open(&w);
        for (size_t step = 0; step < N_STEPS; step++) {
                if (random_below(20) == 0)
                        change_something(&w);
                assert_same(&w, topic, make_topic(random_below(N_TOPICS), topic));
        }
        world_close(&w);
}

static void test_a_known_topic_is_not_searched_for(void **state)
{
        struct subscriber *const *found;
        struct world w;

        world_open(&w);
        assert_int_equal(subscription_add(w.tree, &w.subscribers[0], "a/+", 3), 1);
        for (unsigned i = 0; i < 3; i++) {
                assert_int_equal(match(&w, "a/b", 3, &found), 1);
                assert_int_equal(w.set.n_steps == 0, i > 0);
                assert_ptr_equal(found[0], &w.subscribers[0]);
        }
        assert_int_equal(subscription_remove(w.tree, &w.subscribers[0], "a/+", 3), 1);
        assert_int_equal(match(&w, "a/b", 3, &found), 0);
        world_close(&w);
}

/* Whatever is noted of a topic is never read of another, comes and goes with the topic, and stays
 * when somebody subscribes. */
static void test_a_note_is_of_one_topic(void **state)
{
        static char notes[TEXT_MAX][TEXT_MAX][3]; /* one for each text that make_topic() makes */
        size_t n_kept = 0, n_lost = 0;
        bool noted[N_TOPICS] = {0};
        struct world w;

        random_seed("topic-cache");
        world_open(&w);
        for (size_t step = 0; step < N_STEPS; step++) {
                unsigned number = random_below(N_TOPICS);
                struct subscriber *const *found;
                struct topic_place place;
                char topic[TEXT_MAX];
                size_t len = make_topic(number, topic);
                const void *own = &notes[len][len ? number / 73 * 7 % len : 0][number % 3];

                if (random_below(20) == 0)
                        change_something(&w);
                place = topic_cache_find(&w.cache, topic, len);
                if (place.note && *place.note) {
                        assert_true(len == 0 || *place.note == own);
                        n_kept++;
                } else if (noted[number]) {
                        n_lost++;
                }
                if (place.note)
                        *place.note = own;
                noted[number] = place.note != NULL;
                match(&w, topic, len, &found);
        }
        assert_true(n_kept > N_STEPS / 20);
        assert_true(n_lost > N_STEPS / 200);
        topic_cache_clear(&w.cache);
        for (unsigned i = 0; i < N_TOPICS; i++) {
                char topic[TEXT_MAX];
                struct topic_place place = topic_cache_find(&w.cache, topic, make_topic(i, topic));

                assert_true(!place.note || !*place.note);
        }
        world_close(&w);
}

/* Who may not publish a topic only looks for it. */
static void test_looking_for_a_topic_takes_no_place(void **state)
{
        struct subscriber *const *found;
        char topic[TEXT_MAX];
        struct world w;

        world_open(&w);
        match(&w, "a/b", 3, &found);
        for (unsigned i = 0; i < N_TOPICS; i++)
                (void)topic_cache_find(&w.cache, topic, make_topic(i, topic));
        match(&w, "a/b", 3, &found);
        assert_int_equal(w.set.n_steps, 0);
        world_close(&w);
}

static bool is_there_again(struct topic_cache_slot *slot, const char *bytes, size_t len)
{
        size_t topic_len = SIZE_MAX;
        struct topic_place place =
                topic_cache_find_again(slot, (const uint8_t *)bytes, len, &topic_len);

        assert_true(!place.slot ||
                    (place.slot == slot && place.note && topic_len == strlen(bytes)));
        return place.slot != NULL;
}

static void test_a_slot_is_believed_for_the_topic_that_it_has(void **state)
{
        struct subscriber *const *found;
        struct topic_cache_slot *slot;
        char topic[TEXT_MAX];
        struct world w;

        world_open(&w);
        assert_false(is_there_again(NULL, "line/1/speed\0x", 14));
        match(&w, "line/1/speed", 12, &found);
        slot = topic_cache_find(&w.cache, "line/1/speed", 12).slot;
        assert_true(is_there_again(slot, "line/1/speed\0x", 14));
        assert_true(is_there_again(slot, "line/1/speed", 13));
        assert_false(is_there_again(slot, "line/1/speed", 12)); /* the 00 is missing */
        assert_false(is_there_again(slot, "line/1/speed/", 14));
        assert_false(is_there_again(slot, "line/2/speed", 13));
        assert_false(is_there_again(slot, "line/1/spee", 12));
        assert_false(is_there_again(slot, "", 1));
        /* Another topic takes its place. */
        for (unsigned i = 0; topic_cache_find(&w.cache, "line/1/speed", 12).note; i++)
                match(&w, topic, (size_t)sprintf(topic, "other/%u", i), &found);
        assert_false(is_there_again(slot, "line/1/speed", 13));
        match(&w, "line/1/speed", 12, &found);
        slot = topic_cache_find(&w.cache, "line/1/speed", 12).slot;
        topic_cache_clear(&w.cache);
        assert_false(is_there_again(slot, "line/1/speed", 13));
        world_close(&w);
}

static void test_memory_is_fixed_and_may_be_refused(void **state)
{
        struct subscriber *const *found;
        char topic[TEXT_MAX];
        struct world w;

        world_open(&w);
        assert_int_equal(subscription_add(w.tree, &w.subscribers[0], "#", 1), 1);
        memory_fail_in(1); /* the slots: it does without them */
        assert_int_equal(match(&w, "a", 1, &found), 1);
        assert_true(memory.failed);
        memory_fail_in(0);
        for (unsigned i = 0; i < N_TOPICS; i++)
                assert_same(&w, topic, make_topic(i, topic));
        memory_count();
        for (unsigned i = 0; i < N_TOPICS; i++)
                assert_same(&w, topic, make_topic(i, topic));
        assert_int_equal(memory.n_calls, 0);
        world_close(&w);
        assert_int_equal(memory.n_live, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_it_says_what_the_tree_says),
                cmocka_unit_test(test_a_known_topic_is_not_searched_for),
                cmocka_unit_test(test_a_note_is_of_one_topic),
                cmocka_unit_test(test_looking_for_a_topic_takes_no_place),
                cmocka_unit_test(test_a_slot_is_believed_for_the_topic_that_it_has),
                cmocka_unit_test(test_memory_is_fixed_and_may_be_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
