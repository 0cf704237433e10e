/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree of subscriptions against a plain list of who has which mask, through random additions,
 * removals and searches; with every allocation failing in turn; and by counting what it takes.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "basic/macro.h"
#include "counted-malloc.h"
#include "counted-steps.h"
#include "mask-model.h"
#include "random.h"
#include "route/subscription.h"

#define N_SUBSCRIBERS 24
#define MAX_ENTRIES 4096
#define MAX_MASK 48

struct entry {
        unsigned who;
        size_t len;
        char mask[MAX_MASK];
};

struct world {
        struct subscription_tree *tree;
        struct subscriber subscribers[N_SUBSCRIBERS];
        struct match_set set;
        struct entry entries[MAX_ENTRIES];
        size_t n_entries;
};

/* --- The list --- */

static struct entry *entry_find(struct world *w, unsigned who, const char *mask, size_t len)
{
        len = model_canonical_len(&mask_topic, mask, len);
        for (size_t i = 0; i < w->n_entries; i++) {
                struct entry *e = &w->entries[i];

                if (e->who == who && e->len == len && memcmp(e->mask, mask, len) == 0)
                        return e;
        }
        return NULL;
}

static void entry_add(struct world *w, unsigned who, const char *mask, size_t len)
{
        struct entry *e = &w->entries[w->n_entries++];

        assert_true(w->n_entries <= MAX_ENTRIES);
        e->who = who;
        e->len = model_canonical_len(&mask_topic, mask, len);
        memcpy(e->mask, mask, e->len);
}

static void entry_remove(struct world *w, struct entry *e)
{
        *e = w->entries[--w->n_entries];
}

static size_t entries_of(const struct world *w, unsigned who)
{
        size_t n = 0;

        for (size_t i = 0; i < w->n_entries; i++)
                n += w->entries[i].who == who;
        return n;
}

/* --- Both at once --- */

static void world_open(struct world *w)
{
        memset(w, 0, sizeof(*w));
        assert_int_equal(memory.n_live, 0);
        assert_int_equal(subscription_tree_new(&w->tree), 0);
        assert_int_not_equal(subscription_tree_version(w->tree), 0);
        for (unsigned i = 0; i < N_SUBSCRIBERS; i++)
                subscriber_init(&w->subscribers[i]);
}

static void world_close(struct world *w)
{
        for (unsigned i = 0; i < N_SUBSCRIBERS; i++)
                subscription_remove_all(w->tree, &w->subscribers[i]);
        assert_true(subscription_tree_is_empty(w->tree));
        assert_null(subscription_tree_free(w->tree));
        match_set_done(&w->set);
        assert_int_equal(memory.n_live, 0);
}

static void world_add(struct world *w, unsigned who, const char *mask, size_t len)
{
        bool had = entry_find(w, who, mask, len);
        uint64_t version = subscription_tree_version(w->tree);

        assert_int_equal(subscription_add(w->tree, &w->subscribers[who], mask, len), !had);
        assert_int_equal(subscription_tree_version(w->tree) == version, had);
        if (!had)
                entry_add(w, who, mask, len);
}

static void world_add_text(struct world *w, unsigned who, const char *mask)
{
        world_add(w, who, mask, strlen(mask));
}

static void world_remove(struct world *w, unsigned who, const char *mask, size_t len)
{
        struct entry *e = entry_find(w, who, mask, len);
        uint64_t version = subscription_tree_version(w->tree);

        assert_int_equal(subscription_remove(w->tree, &w->subscribers[who], mask, len), e != NULL);
        assert_int_equal(subscription_tree_version(w->tree) == version, !e);
        if (e)
                entry_remove(w, e);
}

static void world_remove_all(struct world *w, unsigned who)
{
        subscription_remove_all(w->tree, &w->subscribers[who]);
        for (size_t i = w->n_entries; i-- > 0;)
                if (w->entries[i].who == who)
                        entry_remove(w, &w->entries[i]);
}

static bool keep_odd_lengths(const char *mask, size_t len, void *userdata)
{
        ++*(size_t *)userdata;
        return len % 2 == 1;
}

static void world_retain(struct world *w, unsigned who)
{
        size_t n_asked = 0, n = entries_of(w, who);

        subscription_retain(w->tree, &w->subscribers[who], keep_odd_lengths, &n_asked);
        assert_int_equal(n_asked, n);
        for (size_t i = w->n_entries; i-- > 0;)
                if (w->entries[i].who == who && w->entries[i].len % 2 == 0)
                        entry_remove(w, &w->entries[i]);
}

static void world_check_topic(struct world *w, const char *topic, size_t len)
{
        bool expected[N_SUBSCRIBERS] = {false}, any = false;

        for (size_t i = 0; i < w->n_entries; i++) {
                const struct entry *e = &w->entries[i];

                if (model_match(&mask_topic, e->mask, e->len, topic, len))
                        expected[e->who] = any = true;
        }
        assert_int_equal(subscription_match(w->tree, topic, len, &w->set), 0);
        for (size_t i = 0; i < w->set.n_found; i++) {
                size_t who = (size_t)(w->set.found[i] - w->subscribers);

                if (who >= N_SUBSCRIBERS || !expected[who])
                        fail_msg("topic \"%.*s\": %zu was found twice, or wrongly", (int)len, topic,
                                 who);
                expected[who] = false;
        }
        for (unsigned i = 0; i < N_SUBSCRIBERS; i++)
                if (expected[i])
                        fail_msg("topic \"%.*s\": %u was not found", (int)len, topic, i);
        assert_int_equal(subscription_match_any(w->tree, topic, len, &w->set), any);
}

static void world_check_text(struct world *w, const char *topic)
{
        world_check_topic(w, topic, strlen(topic));
}

static int tick_off(const char *mask, size_t len, void *userdata)
{
        struct {
                struct world *w;
                unsigned who;
                size_t n;
        } *visit = userdata;

        visit->n++;
        assert_non_null(entry_find(visit->w, visit->who, mask, len));
        assert_int_equal(model_canonical_len(&mask_topic, mask, len), len);
        assert_int_equal(mask[len], 0);
        return 0;
}

static void world_check_lists(struct world *w)
{
        for (unsigned i = 0; i < N_SUBSCRIBERS; i++) {
                struct {
                        struct world *w;
                        unsigned who;
                        size_t n;
                } visit = {w, i, 0};

                assert_int_equal(subscription_foreach(&w->subscribers[i], tick_off, &visit), 0);
                assert_int_equal(visit.n, entries_of(w, i));
                assert_int_equal(w->subscribers[i].n_subscriptions, visit.n);
        }
        assert_int_equal(subscription_tree_is_empty(w->tree), w->n_entries == 0);
}

/* --- Said by the protocol --- */

static void test_finds_by_the_rules_of_the_protocol(void **state)
{
        static const char *const masks[] = {"",    "+",   "#",     "a", "a/b",   "a/#",
                                            "a/+", "+/b", "a/+/c", "/", "a/#/b", ".broker/warn",
                                            "+/+", "a/"};
        static const char *const topics[] = {"",   "a",   "b", "a/b",         "a/c", "a/b/c",
                                             "/",  "a/",  "+", "a/#",         "a/+", "x/y/z",
                                             "//", "+/+", "#", ".broker/warn"};
        struct world w;

        world_open(&w);
        for (unsigned i = 0; i < ARRAY_SIZE(masks); i++) {
                world_add_text(&w, i, masks[i]);
                for (unsigned k = 0; k < ARRAY_SIZE(topics); k++)
                        world_check_text(&w, topics[k]);
        }
        world_check_lists(&w);
        assert_int_equal(subscription_match(w.tree, NULL, 0, &w.set), 0);
        assert_int_equal(w.set.n_found, 3);
        world_close(&w);
}

static void test_two_texts_of_one_mask_are_one_subscription(void **state)
{
        struct world w;

        world_open(&w);
        assert_int_equal(subscription_add(w.tree, &w.subscribers[0], "a/#/b", 5), 1);
        assert_int_equal(subscription_add(w.tree, &w.subscribers[0], "a/#", 3), 0);
        assert_int_equal(w.subscribers[0].n_subscriptions, 1);
        assert_int_equal(subscription_remove(w.tree, &w.subscribers[0], "a/#/c/d", 7), 1);
        assert_int_equal(w.subscribers[0].n_subscriptions, 0);
        assert_int_equal(subscription_remove(w.tree, &w.subscribers[0], "a/#", 3), 0);
        world_close(&w);
}

static void test_removing_what_is_not_there_changes_nothing(void **state)
{
        struct world w;

        world_open(&w);
        world_add_text(&w, 0, "a/b/c");
        world_remove(&w, 0, "a/b", 3);
        world_remove(&w, 0, "a/b/c/d", 7);
        world_remove(&w, 0, "a/b/+", 5);
        world_remove(&w, 0, "#", 1);
        world_remove(&w, 0, "", 0);
        world_remove(&w, 1, "a/b/c", 5);
        world_check_lists(&w);
        world_check_text(&w, "a/b/c");
        world_close(&w);
}

static int stop_at_second(const char *mask, size_t len, void *userdata)
{
        return ++*(int *)userdata == 2 ? -EIO : 0;
}

static void test_foreach_hands_on_what_stopped_it(void **state)
{
        struct world w;
        int n = 0;

        world_open(&w);
        world_add_text(&w, 0, "a");
        world_add_text(&w, 0, "b");
        world_add_text(&w, 0, "c");
        assert_int_equal(subscription_foreach(&w.subscribers[0], stop_at_second, &n), -EIO);
        assert_int_equal(n, 2);
        world_close(&w);
}

static void test_nothing_is_as_good_as_a_tree_that_was_never_made(void **state)
{
        struct match_set set = {0};

        assert_null(subscription_tree_free(NULL));
        match_set_done(&set);
        match_set_done(&set);
}

/* --- At random --- */

/* One to five parts of few words, so that masks meet. */
static size_t random_text(char *out, unsigned wild)
{
        static const char *const words[] = {"a", "a", "a", "b", "b", "", "ab", "a+"};
        unsigned n_parts = 1 + random_below(5);
        size_t len = 0;

        for (unsigned i = 0; i < n_parts; i++) {
                const char *word = words[random_below(ARRAY_SIZE(words))];

                if (random_below(16) < wild)
                        word = random_below(3) ? "+" : "#";
                if (i > 0)
                        out[len++] = '/';
                memcpy(out + len, word, strlen(word));
                len += strlen(word);
        }
        return len;
}

static void random_change(struct world *w, unsigned add_of_16)
{
        unsigned who = random_below(N_SUBSCRIBERS), what = random_below(16);
        char mask[MAX_MASK];
        size_t len = random_text(mask, 5);

        if (what < add_of_16) {
                world_add(w, who, mask, len);
        } else if (random_below(40) == 0) {
                world_remove_all(w, who);
        } else if (random_below(40) == 0) {
                world_retain(w, who);
        } else if (w->n_entries > 0 && what % 4 > 0) {
                struct entry e = w->entries[random_below((unsigned)w->n_entries)];

                world_remove(w, e.who, e.mask, e.len);
        } else {
                world_remove(w, who, mask, len);
        }
}

static void random_histories(unsigned n_rounds)
{
        static struct world world;
        struct world *w = &world;
        char topic[MAX_MASK];

        for (unsigned round = 0; round < n_rounds; round++) {
                world_open(w);
                for (unsigned i = 0; i < 800; i++) {
                        /* Grow for a while, then shrink, and so on. */
                        random_change(w, i / 200 % 2 ? 5 : 12);
                        world_check_topic(w, topic, random_text(topic, 1));
                        if (i % 100 == 0)
                                world_check_lists(w);
                }
                world_check_lists(w);
                world_close(w);
        }
}

static void test_random_histories_agree_with_the_list(void **state)
{
        random_seed("subscriptions");
        random_histories(120);
}

static void test_hashes_that_collide_change_nothing(void **state)
{
        random_seed("subscriptions that collide");
        steps.collide = true;
        random_histories(8);
        steps.collide = false;
}

/* --- Each once --- */

#define N_MANY 1000

/* Every one of many under several masks that match, so that the larger way of finding doubles is
 * taken, and gone through as the numbers grow and shrink. */
static void test_many_subscribers_under_many_masks_are_found_once(void **state)
{
        static const char *const masks[] = {"a/b/c", "a/b/+", "a/#", "#", "+/b/c"};
        static struct subscriber many[N_MANY];
        struct subscription_tree *tree;
        struct match_set set = {0};

        assert_int_equal(subscription_tree_new(&tree), 0);
        for (size_t i = 0; i < N_MANY; i++) {
                subscriber_init(&many[i]);
                for (size_t k = 0; k < ARRAY_SIZE(masks); k++)
                        if (i % (k + 1) == 0)
                                assert_int_equal(subscription_add(tree, &many[i], masks[k],
                                                                  strlen(masks[k])),
                                                 1);
                assert_int_equal(subscription_match(tree, "a/b/c", 5, &set), 0);
                assert_int_equal(set.n_found, i + 1);
        }
        for (size_t i = 0; i < N_MANY; i++) {
                bool seen[N_MANY] = {false};

                for (size_t k = 0; i % 50 == 0 && k < set.n_found; k++) {
                        assert_false(seen[set.found[k] - many]);
                        seen[set.found[k] - many] = true;
                }
                subscription_remove_all(tree, &many[i]);
                assert_int_equal(subscription_match(tree, "a/b/c", 5, &set), 0);
                assert_int_equal(set.n_found, N_MANY - 1 - i);
        }
        subscription_tree_free(tree);
        match_set_done(&set);
        assert_int_equal(memory.n_live, 0);
}

/* --- Without memory --- */

static const char *const some_topics[] = {"",      "a",    "a/b",    "a/b/c", "a/b/c/d",
                                          "x/y/z", "m3/x", "m4/x/y", "m17"};

static void world_check_some(struct world *w)
{
        for (size_t i = 0; i < ARRAY_SIZE(some_topics); i++)
                world_check_text(w, some_topics[i]);
        world_check_lists(w);
}

/* Adds with the first, second, ... allocation failing, until that one is not reached any more. */
static unsigned add_with_failures(struct world *w, unsigned who, const char *mask)
{
        uint64_t version = subscription_tree_version(w->tree);
        struct subscriber *s = &w->subscribers[who];

        for (unsigned n = 1;; n++) {
                bool failed;
                int r;

                memory_fail_in(n);
                r = subscription_add(w->tree, s, mask, strlen(mask));
                failed = memory.failed;
                memory_fail_in(0);
                if (!failed) {
                        assert_int_equal(r, 1);
                        entry_add(w, who, mask, strlen(mask));
                        return n - 1;
                }
                if (r == 1) { /* done without a larger bucket array */
                        assert_int_equal(subscription_remove(w->tree, s, mask, strlen(mask)), 1);
                        version = subscription_tree_version(w->tree);
                        continue;
                }
                assert_int_equal(r, -ENOMEM);
                assert_true(subscription_tree_version(w->tree) == version);
                world_check_some(w);
        }
}

static void test_an_addition_without_memory_changes_nothing(void **state)
{
        static const char *const masks[] = {"",    "#",       "a/b/c/d", "a/b/+/d",
                                            "a/#", "+/+/+/#", "x/y/z",   "a"};
        struct world w;
        unsigned n_failures = 0;
        char mask[16];

        world_open(&w);
        for (unsigned i = 0; i < ARRAY_SIZE(masks); i++)
                for (unsigned who = 0; who < 6; who++)
                        n_failures += add_with_failures(&w, who, masks[i]);
        for (unsigned i = 0; i < 100; i++) {
                snprintf(mask, sizeof(mask), i % 3 ? "m%u" : "m%u/#", i);
                n_failures += add_with_failures(&w, i % N_SUBSCRIBERS, mask);
        }
        assert_true(n_failures > 300);
        world_check_some(&w);
        world_close(&w);
}

static void test_a_lone_addition_without_memory_leaves_nothing(void **state)
{
        struct world w;
        size_t n = 0;
        bool failed;

        do {
                world_open(&w);
                memory_fail_in(++n);
                (void)subscription_add(w.tree, &w.subscribers[0], "a/b/+/c/#", 9);
                failed = memory.failed;
                memory_fail_in(0);
                world_close(&w);
        } while (failed);
        assert_true(n > 5 + 2); /* nodes, the subscription and the text */
}

static void test_a_tree_without_memory_is_not_made(void **state)
{
        struct subscription_tree *tree = NULL;

        for (size_t n = 1; n <= 2; n++) {
                memory_fail_in(n);
                assert_int_equal(subscription_tree_new(&tree), -ENOMEM);
                assert_true(memory.failed);
                assert_null(tree);
                assert_int_equal(memory.n_live, 0);
        }
        memory_fail_in(0);
}

static void fill_for_search(struct world *w)
{
        for (unsigned i = 0; i < N_SUBSCRIBERS; i++) {
                world_add_text(w, i, "a/b/c/d");
                world_add_text(w, i, "a/+/c/d");
                world_add_text(w, i, "+/b/+/d");
                world_add_text(w, i, "+/+/c/+");
                world_add_text(w, i, "a/#");
        }
}

static void test_a_search_without_memory_finds_nobody_and_says_so(void **state)
{
        struct match_set set = {0};
        struct world w;
        size_t n = 0;
        int r;

        world_open(&w);
        fill_for_search(&w);
        do {
                match_set_done(&set);
                memory_fail_in(++n);
                r = subscription_match(w.tree, "a/b/c/d", 7, &set);
                assert_int_equal(r, memory.failed ? -ENOMEM : 0);
                assert_int_equal(set.n_found, memory.failed ? 0 : N_SUBSCRIBERS);
        } while (r < 0);
        assert_true(n > 4);
        memory_fail_in(0);
        assert_int_equal(subscription_match(w.tree, "a/b/c/d", 7, &set), 0);
        assert_int_equal(set.n_found, N_SUBSCRIBERS);
        match_set_done(&set);
        world_close(&w);
}

static void test_an_exclusion_without_memory_excludes(void **state)
{
        struct match_set set = {0};
        struct world w;

        world_open(&w);
        world_add_text(&w, 0, "a/b");
        memory_fail_in(1);
        assert_true(subscription_match_any(w.tree, "x", 1, &set));
        assert_true(memory.failed);
        memory_fail_in(0);
        assert_false(subscription_match_any(w.tree, "x", 1, &set));
        match_set_done(&set);
        world_close(&w);
}

/* --- What it takes --- */

static void test_a_warm_search_allocates_nothing(void **state)
{
        struct world w;

        world_open(&w);
        fill_for_search(&w);
        world_check_text(&w, "a/b/c/d");
        memory_count();
        for (unsigned i = 0; i < 1000; i++)
                assert_int_equal(
                        subscription_match(w.tree, i % 2 ? "a/b/c/d" : "x/b/c/d", 7, &w.set), 0);
        assert_true(subscription_match_any(w.tree, "a/b/c/d", 7, &w.set));
        assert_int_equal(memory.n_calls, 0);
        world_close(&w);
}

/* A topic is looked at no further than masks reach. */
static void test_a_topic_of_many_slashes_is_cheap(void **state)
{
        struct world w;
        char topic[64000];

        memset(topic, '/', sizeof(topic));
        world_open(&w);
        fill_for_search(&w);
        world_add_text(&w, 0, "///");
        world_add_text(&w, 1, "/+/#");
        for (size_t len = 4000; len <= 64000; len += 4000) {
                match_set_done(&w.set);
                memory_count();
                steps_count();
                assert_int_equal(subscription_match(w.tree, topic, len, &w.set), 0);
                assert_int_equal(w.set.n_found, 1);
                assert_true(steps.n_parts <= 5);
                assert_true(steps.n_hashes <= 4);
                assert_true(memory.n_calls <= 6);
                assert_true(memory.n_bytes < 1024);
        }
        world_close(&w);
}

/* Masks that are as long: one look-up for each part, memory by length. */
static void test_a_mask_of_many_slashes_costs_its_length(void **state)
{
        struct world w;
        char topic[64000];

        memset(topic, '/', sizeof(topic));
        world_open(&w);
        for (size_t len = 4000; len <= 64000; len *= 4) {
                memory_count();
                steps_count();
                assert_int_equal(subscription_add(w.tree, &w.subscribers[0], topic, len), 1);
                assert_true(steps.n_hashes <= 2 * len + 8);
                assert_true(memory.n_bytes <= 300 * len);
                steps_count();
                assert_int_equal(subscription_match(w.tree, topic, len, &w.set), 0);
                assert_int_equal(w.set.n_found, 1);
                assert_true(steps.n_hashes <= len + 1);
                assert_int_equal(subscription_remove(w.tree, &w.subscribers[0], topic, len), 1);
        }
        world_close(&w);
}

static void test_a_search_takes_a_look_up_per_level_whatever_else_is_there(void **state)
{
        struct world w;
        char mask[32];

        world_open(&w);
        world_add_text(&w, 0, "plant/line/7/temperature");
        assert_int_equal(subscription_match(w.tree, "plant/line/7/temperature", 24, &w.set), 0);
        for (unsigned i = 0; i < 10000; i++) {
                snprintf(mask, sizeof(mask), "plant/line/%u/pressure", i);
                assert_int_equal(subscription_add(w.tree, &w.subscribers[1], mask, strlen(mask)),
                                 1);
        }
        steps_count();
        memory_count();
        assert_int_equal(subscription_match(w.tree, "plant/line/7/temperature", 24, &w.set), 0);
        assert_int_equal(w.set.n_found, 1);
        assert_int_equal(steps.n_hashes, 4);
        assert_int_equal(memory.n_calls, 0);
        world_close(&w);
}

/* All arrangements of `+` and the literal: the worst that masks of that depth can do is to be all
 * found. */
static void test_the_queue_is_no_longer_than_the_tree(void **state)
{
        struct world w;
        char mask[32];

        world_open(&w);
        for (unsigned bits = 0; bits < 1 << 10; bits++) {
                for (unsigned i = 0; i < 10; i++)
                        snprintf(mask + 2 * i, 3, "%c/", bits >> i & 1 ? '+' : 'a');
                assert_int_equal(
                        subscription_add(w.tree, &w.subscribers[bits % N_SUBSCRIBERS], mask, 19),
                        1);
        }
        steps_count();
        assert_int_equal(subscription_match(w.tree, "a/a/a/a/a/a/a/a/a/a", 19, &w.set), 0);
        assert_int_equal(w.set.n_found, N_SUBSCRIBERS);
        assert_int_equal(steps.n_hashes, 10);
        assert_true(w.set.scratch_size <= 4 * 2048 * sizeof(void *));
        world_close(&w);
}

/* However far the queue has come when a level is twice as wide as the one before. */
static void test_the_queue_has_room_for_every_level(void **state)
{
        char mask[128], topic[128];
        struct world w;

        for (unsigned n_before = 0; n_before < 48; n_before++) {
                size_t len = 2 * (n_before + 6) - 1;

                world_open(&w);
                for (size_t i = 0; i < len; i++)
                        topic[i] = mask[i] = i % 2 ? '/' : 'a';
                for (unsigned bits = 0; bits < 1 << 6; bits++) {
                        struct subscriber *s = &w.subscribers[bits % N_SUBSCRIBERS];

                        for (unsigned i = 0; i < 6; i++)
                                mask[2 * (n_before + i)] = bits >> i & 1 ? '+' : 'a';
                        assert_int_equal(subscription_add(w.tree, s, mask, len), 1);
                }
                assert_int_equal(subscription_match(w.tree, topic, len, &w.set), 0);
                assert_int_equal(w.set.n_found, N_SUBSCRIBERS);
                world_close(&w);
        }
}

static void test_memory_goes_back_when_subscriptions_go(void **state)
{
        static struct subscriber many[N_MANY];
        struct world w;
        size_t live;

        world_open(&w);
        world_add_text(&w, 0, "a/b");
        for (size_t i = 0; i < N_MANY; i++) {
                subscriber_init(&many[i]);
                assert_int_equal(subscription_add(w.tree, &many[i], "a/b", 3), 1);
                assert_int_equal(
                        subscription_add(w.tree, &many[i], i % 2 ? "a/b/c" : "a/#", i % 2 ? 5 : 3),
                        1);
        }
        live = memory.n_live;
        for (size_t i = 0; i < N_MANY; i++)
                subscription_remove_all(w.tree, &many[i]);
        /* What is left: tree, root, two nodes with a text for the one mask, two bucket arrays, a
         * subscription. */
        assert_true(live > 2 * N_MANY);
        assert_int_equal(memory.n_live, 8);
        world_check_text(&w, "a/b");
        match_set_done(&w.set);
        world_close(&w);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_finds_by_the_rules_of_the_protocol),
                cmocka_unit_test(test_two_texts_of_one_mask_are_one_subscription),
                cmocka_unit_test(test_removing_what_is_not_there_changes_nothing),
                cmocka_unit_test(test_foreach_hands_on_what_stopped_it),
                cmocka_unit_test(test_nothing_is_as_good_as_a_tree_that_was_never_made),
                cmocka_unit_test(test_random_histories_agree_with_the_list),
                cmocka_unit_test(test_hashes_that_collide_change_nothing),
                cmocka_unit_test(test_many_subscribers_under_many_masks_are_found_once),
                cmocka_unit_test(test_an_addition_without_memory_changes_nothing),
                cmocka_unit_test(test_a_lone_addition_without_memory_leaves_nothing),
                cmocka_unit_test(test_a_tree_without_memory_is_not_made),
                cmocka_unit_test(test_a_search_without_memory_finds_nobody_and_says_so),
                cmocka_unit_test(test_an_exclusion_without_memory_excludes),
                cmocka_unit_test(test_a_warm_search_allocates_nothing),
                cmocka_unit_test(test_a_topic_of_many_slashes_is_cheap),
                cmocka_unit_test(test_a_mask_of_many_slashes_costs_its_length),
                cmocka_unit_test(test_a_search_takes_a_look_up_per_level_whatever_else_is_there),
                cmocka_unit_test(test_the_queue_is_no_longer_than_the_tree),
                cmocka_unit_test(test_the_queue_has_room_for_every_level),
                cmocka_unit_test(test_memory_goes_back_when_subscriptions_go),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
