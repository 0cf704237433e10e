/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The topics of the stages that have many: which topic a frame is on, who subscribes to which
 * masks, and which topics therefore reach whom. What is expected is counted out here, not matched.
 *
 * topics: 64 topics of traffic, ten of them with one subscriber each, and as many subscriptions
 * beside them as wanted.
 *
 * groups: topics with as many subscribers each, nothing else.
 *
 * masks: ten thousand topics bench/AA/BB/C (a hundred of A, twenty of B, five of C), in an order
 * that jumps about. A subscriber has twenty masks, each in another A: fifteen topics, three masks
 * that match five topics (bench/AA/BB/+, bench/AA/BB/#, +/AA/BB/#) and two that match twenty
 * (bench/AA/+/C, +/AA/+/C). With a thousand subscribers every topic reaches seven of them: three
 * by the former, four by the latter.
 */
#include "traffic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOT_TOPICS 64U
#define HOT_RECEIVERS 10U

#define A_COUNT 100U
#define B_COUNT 20U
#define C_COUNT 5U
#define ALL_TOPICS (A_COUNT * B_COUNT * C_COUNT)
#define MASKS 20U
#define PLAIN_MASKS 15U
#define MEMBER_MASKS 3U
/* Frame n is on topic n * STEP, and topic n in frame n * STEP_BACK, each modulo ALL_TOPICS. */
#define STEP 7919U
#define STEP_BACK 7679U

struct mask {
        const char *root;
        uint32_t a, b, c; /* B_COUNT and C_COUNT: any */
        char any_c;
};

uint32_t topics_count(enum reach reach, const struct options *o)
{
        switch (reach) {
        case REACH_HOT:
                return HOT_TOPICS;
        case REACH_GROUPS:
                return (uint32_t)o->topics;
        case REACH_MASKS:
                return ALL_TOPICS;
        default:
                return 1;
        }
}

uint32_t topics_receivers(enum reach reach, const struct options *o)
{
        return reach == REACH_HOT ? HOT_RECEIVERS : (uint32_t)o->receivers;
}

void topics_name(enum reach reach, uint32_t slot, char *ret)
{
        uint32_t n = (uint32_t)((uint64_t)slot * STEP % ALL_TOPICS);

        if (reach == REACH_HOT)
                snprintf(ret, TOPIC_MAX, "bench/hot/%02u", slot % HOT_TOPICS);
        else if (reach == REACH_GROUPS)
                snprintf(ret, TOPIC_MAX, "bench/group/%05u", slot);
        else
                snprintf(ret, TOPIC_MAX, "bench/%02u/%02u/%u", n / (B_COUNT * C_COUNT),
                         n / C_COUNT % B_COUNT, n % C_COUNT);
}

/* Of the topics that see no traffic a third is plain, a third ends in `+`, a third in `#`. */
static void cold_topic(uint64_t i, char *ret)
{
        const char *end = i % 3 == 0 ? "plain" : i % 3 == 1 ? "+" : "#";

        snprintf(ret, TOPIC_MAX, "bench/%06llu/%s", (unsigned long long)i, end);
}

/* A hundred subscribers have the same k, and masks that differ only in A. */
static struct mask mask_find(uint32_t subscriber, uint32_t j)
{
        uint32_t k = subscriber / A_COUNT, n = j * 10 + k;
        struct mask m = {.root = "bench", .a = (subscriber + j * (A_COUNT / MASKS)) % A_COUNT};

        if (j < PLAIN_MASKS) {
                m.b = n / C_COUNT % B_COUNT;
                m.c = n % C_COUNT;
        } else if (j < PLAIN_MASKS + MEMBER_MASKS) {
                /* The upper half of B comes twice here, the lower one did among the plain ones. */
                n -= PLAIN_MASKS * 10;
                m.b = (n < B_COUNT ? n : n - B_COUNT / 2) % B_COUNT;
                m.c = C_COUNT;
                m.any_c = j == PLAIN_MASKS ? '+' : '#';
        } else {
                m.b = B_COUNT;
                m.c = k % C_COUNT;
        }
        if (j == PLAIN_MASKS + MEMBER_MASKS - 1 || j == MASKS - 1)
                m.root = "+";
        return m;
}

static void mask_name(const struct mask *m, char *ret)
{
        char b[12] = "+", c[12] = {m->any_c};

        if (m->b < B_COUNT)
                snprintf(b, sizeof(b), "%02u", m->b);
        if (m->c < C_COUNT)
                snprintf(c, sizeof(c), "%u", m->c);
        snprintf(ret, TOPIC_MAX, "%s/%02u/%s/%s", m->root, m->a, b, c);
}

static uint32_t topic_slot(uint32_t a, uint32_t b, uint32_t c)
{
        return (uint32_t)((uint64_t)((a * B_COUNT + b) * C_COUNT + c) * STEP_BACK % ALL_TOPICS);
}

static void mask_mark(const struct mask *m, bool *slots)
{
        for (uint32_t b = 0; b < B_COUNT; b++)
                for (uint32_t c = 0; c < C_COUNT; c++)
                        if ((m->b == B_COUNT || m->b == b) && (m->c == C_COUNT || m->c == c))
                                slots[topic_slot(m->a, b, c)] = true;
}

/* Names joined by NUL, as a subscription wants them. */
static char *join(char *end, const char *name, bool first)
{
        if (!first)
                *end++ = '\0';
        return stpcpy(end, name);
}

char *topics_subscription(enum reach reach, const struct options *o, uint32_t subscriber,
                          size_t *ret_size)
{
        uint64_t cold =
                reach == REACH_HOT && o->topics > HOT_RECEIVERS ? o->topics - HOT_RECEIVERS : 0;
        char *names = xcalloc(cold / HOT_RECEIVERS + 2 + MASKS, TOPIC_MAX), *end = names;
        char name[TOPIC_MAX];

        for (uint32_t j = 0; reach == REACH_MASKS && j < MASKS; j++) {
                struct mask m = mask_find(subscriber, j);

                mask_name(&m, name);
                end = join(end, name, j == 0);
        }
        if (reach != REACH_MASKS) {
                topics_name(reach,
                            reach == REACH_GROUPS ? subscriber % (uint32_t)o->topics : subscriber,
                            name);
                end = join(end, name, true);
        }
        for (uint64_t i = subscriber; i < cold; i += HOT_RECEIVERS) {
                cold_topic(i, name);
                end = join(end, name, false);
        }
        *ret_size = (size_t)(end - names);
        return names;
}

uint32_t *topics_reaching(enum reach reach, const struct options *o, uint32_t subscriber,
                          uint32_t *ret_n)
{
        uint32_t count = topics_count(reach, o), n = 0;
        bool *slots = xcalloc(count, sizeof(*slots));
        uint32_t *found = xcalloc(count, sizeof(*found));

        if (reach != REACH_MASKS)
                slots[subscriber % count] = true;
        for (uint32_t j = 0; reach == REACH_MASKS && j < MASKS; j++) {
                struct mask m = mask_find(subscriber, j);

                mask_mark(&m, slots);
        }
        for (uint32_t i = 0; i < count; i++)
                if (slots[i])
                        found[n++] = i;
        free(slots);
        *ret_n = n;
        return found;
}
