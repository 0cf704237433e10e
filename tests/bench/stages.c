/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stages of the throughput mode: who sends what to whom. "send" and "publish" reach nobody;
 * with "+recv" each client sends to the next one in a ring; the fan-outs have one sender; "topics"
 * has 64 topics of traffic, ten of them with one subscriber each, and as many other subscriptions
 * beside them as wanted.
 */
#include "traffic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HOT_TOPICS 64U
#define HOT_RECEIVERS 10U
#define TOPIC_MAX 48U

enum reach {
        REACH_NOBODY,
        REACH_NEXT,
        REACH_ALL,
        REACH_HOT,
};

struct stage {
        const char *name;
        enum op op;
        enum reach reach;
        bool ack;
        const char *unit;
};

static const struct stage STAGES[] = {
        {"send.no", OP_MESSAGE, REACH_NOBODY, false, "message"},
        {"send.ack", OP_MESSAGE, REACH_NOBODY, true, "operation"},
        {"send+recv.no", OP_MESSAGE, REACH_NEXT, false, "delivery"},
        {"send+recv.ack", OP_MESSAGE, REACH_NEXT, true, "delivery"},
        {"publish.no", OP_PUBLISH, REACH_NOBODY, false, "message"},
        {"publish+recv.no", OP_PUBLISH, REACH_NEXT, false, "delivery"},
        {"publish+recv.ack", OP_PUBLISH, REACH_NEXT, true, "delivery"},
        {"fanout", OP_PUBLISH, REACH_ALL, false, "delivery"},
        {"broadcast", OP_BROADCAST, REACH_ALL, false, "delivery"},
        {"topics", OP_PUBLISH, REACH_HOT, false, "message"},
};

static const struct stage *stage_find(const char *name)
{
        for (size_t i = 0; i < ARRAY_LEN(STAGES); i++)
                if (strcmp(STAGES[i].name, name) == 0)
                        return &STAGES[i];
        fail("%s: no such stage (see --help)", name);
}

void stage_list(void)
{
        for (size_t i = 0; i < ARRAY_LEN(STAGES); i++)
                printf(" %s", STAGES[i].name);
        printf("\n");
}

const char *stage_unit(const struct options *o)
{
        return stage_find(o->stage)->unit;
}

/* The target or topic of the frame in `slot` of sender `index`. */
static void stage_target(const struct traffic *t, const struct stage *stage, uint32_t index,
                         uint32_t slot, char *ret)
{
        uint32_t next = (index + 1) % t->n_senders;

        if (stage->reach == REACH_NOBODY)
                strcpy(ret, stage->op == OP_PUBLISH ? "bench/nobody" : "bench.nobody");
        else if (stage->reach == REACH_HOT)
                snprintf(ret, TOPIC_MAX, "bench/hot/%02u", slot % HOT_TOPICS);
        else if (stage->reach == REACH_ALL)
                strcpy(ret, stage->op == OP_PUBLISH ? "bench/all" : "bench.r.*");
        else if (stage->op == OP_PUBLISH)
                snprintf(ret, TOPIC_MAX, "bench/for/%05u", next);
        else
                snprintf(ret, TOPIC_MAX, "bench.s.%05u", next);
}

static uint32_t log2_of(uint64_t n)
{
        return (uint32_t)(63 - __builtin_clzll(n));
}

static void sender_init(struct traffic *t, const struct stage *stage, uint32_t index,
                        uint32_t receivers)
{
        const struct options *o = t->o;
        struct sender *s = &t->senders[index];
        uint8_t flags = (uint8_t)stage->op | (stage->ack ? QOS_PROCESSED : 0) |
                        (o->realtime ? QOS_REALTIME : 0);
        char target[TOPIC_MAX];

        stage_target(t, stage, index, 0, target);
        s->peer = &t->peers[index];
        s->peer->sender = s;
        s->slots = (uint32_t)o->batch;
        s->depth = stage->ack ? (uint32_t)o->depth : 0;
        s->ack_code = CODE_OK;
        if (stage->op == OP_MESSAGE && stage->reach == REACH_NOBODY)
                s->ack_code = CODE_NOT_REGISTERED;
        s->receivers = receivers;
        s->granule_shift = log2_of(o->window / WINDOW_GRANULES);
        s->frame_size = frame_write(NULL, flags, target, t->payload);
        s->payload_at = s->frame_size - t->payload;
        s->frames = xcalloc(s->slots, s->frame_size);
        for (uint32_t i = 0; i < s->slots; i++) {
                uint8_t *frame = s->frames + i * s->frame_size;

                stage_target(t, stage, index, i, target);
                frame_write(frame, flags, target, t->payload);
                put32(frame + s->payload_at, index);
                memset(frame + s->payload_at + PAYLOAD_MIN, 0xEE, t->payload - PAYLOAD_MIN);
        }
        s->barrier_size = frame_write(NULL, 0, "bench.nobody", 0);
        s->barrier = xcalloc(1, s->barrier_size);
        frame_write(s->barrier, OP_MESSAGE | QOS_PROCESSED, "bench.nobody", 0);
}

/* What the receiver gets from sender `from`: kind, length, realtime, the sender's name and the
 * topic. */
static void flow_init(struct flow *flow, const struct traffic *t, const struct stage *stage,
                      uint32_t from, uint32_t slot)
{
        char name[TOPIC_MAX], topic[TOPIC_MAX] = "";
        size_t n, m;

        snprintf(name, sizeof(name), "bench.s.%05u", from);
        n = strlen(name) + 1;
        if (stage->op == OP_PUBLISH)
                stage_target(t, stage, from, slot, topic);
        m = stage->op == OP_PUBLISH ? strlen(topic) + 1 : 0;
        flow->prefix_size = RECV_HEADER + n + m;
        flow->prefix = xcalloc(1, flow->prefix_size);
        flow->prefix[0] = (uint8_t)stage->op;
        put32(flow->prefix + 1, (uint32_t)(n + m + t->payload));
        flow->prefix[5] = t->o->realtime;
        memcpy(flow->prefix + RECV_HEADER, name, n);
        memcpy(flow->prefix + RECV_HEADER + n, topic, m);
        flow->next = slot;
        flow->stride = stage->reach == REACH_HOT ? HOT_TOPICS : 1;
}

static void receiver_init(struct traffic *t, const struct stage *stage, uint32_t index,
                          struct peer *peer)
{
        struct receiver *r = &t->receivers[index];
        uint32_t before = (index + t->n_senders - 1) % t->n_senders;

        peer->receiver = r;
        r->flows = xcalloc(t->n_senders, sizeof(*r->flows));
        if (stage->reach == REACH_NEXT)
                flow_init(&r->flows[before], t, stage, before, 0);
        for (uint32_t k = 0; stage->reach != REACH_NEXT && k < t->n_senders; k++)
                flow_init(&r->flows[k], t, stage, k, stage->reach == REACH_HOT ? index : 0);
}

static void subscribe(struct peer *p, const char *topics, size_t size)
{
        uint8_t code = client_request(&p->client, OP_SUBSCRIBE, topics, size);

        if (code != CODE_OK)
                fail("%s: subscribing failed with code 0x%02x", p->client.name, code);
}

/* Of the topics that see no traffic a third is plain, a third ends in `+`, a third in `#`. */
static void cold_topic(uint64_t i, char *ret)
{
        const char *end = i % 3 == 0 ? "plain" : i % 3 == 1 ? "+" : "#";

        snprintf(ret, TOPIC_MAX, "bench/%06llu/%s", (unsigned long long)i, end);
}

static void subscribe_cold(struct traffic *t, struct peer *p, uint32_t index)
{
        uint64_t cold = t->o->topics > t->n_receivers ? t->o->topics - t->n_receivers : 0;
        char *topics = xcalloc(cold / t->n_receivers + 1, TOPIC_MAX), *end = topics;

        for (uint64_t i = index; i < cold; i += t->n_receivers) {
                char topic[TOPIC_MAX];

                cold_topic(i, topic);
                if (end != topics)
                        *end++ = '\0';
                end = stpcpy(end, topic);
        }
        if (end != topics)
                subscribe(p, topics, (size_t)(end - topics));
        free(topics);
}

static void receiver_subscribe(struct traffic *t, const struct stage *stage, uint32_t index,
                               struct peer *p)
{
        uint32_t before = (index + t->n_senders - 1) % t->n_senders;
        char topic[TOPIC_MAX];

        if (stage->op != OP_PUBLISH)
                return;
        stage_target(t, stage, before, index, topic);
        subscribe(p, topic, strlen(topic));
        if (stage->reach == REACH_HOT)
                subscribe_cold(t, p, index);
}

static void stage_counts(struct traffic *t, const struct stage *stage)
{
        t->n_senders = stage->reach == REACH_ALL ? 1 : (uint32_t)t->o->clients;
        if (stage->reach == REACH_NEXT)
                t->n_receivers = t->n_senders;
        if (stage->reach == REACH_ALL)
                t->n_receivers = (uint32_t)t->o->receivers;
        if (stage->reach == REACH_HOT)
                t->n_receivers = HOT_RECEIVERS;
        t->n_peers = t->n_senders + (stage->reach == REACH_NEXT ? 0 : t->n_receivers);
}

static void stage_check(const struct options *o, const struct stage *stage)
{
        if (stage->reach == REACH_HOT &&
            (o->batch < HOT_TOPICS || o->window < WINDOW_GRANULES * HOT_TOPICS))
                fail("topics: wants --batch >= %u and --window >= %u", HOT_TOPICS,
                     WINDOW_GRANULES * HOT_TOPICS);
        if (stage->reach == REACH_HOT && o->topics < HOT_RECEIVERS)
                fail("topics: wants --topics >= %u", HOT_RECEIVERS);
}

void stage_open(struct traffic *t, const struct options *o)
{
        const struct stage *stage = stage_find(o->stage);
        uint32_t receivers_each;

        stage_check(o, stage);
        t->o = o;
        t->payload = o->payload;
        stage_counts(t, stage);
        receivers_each = stage->reach == REACH_NEXT ? 1 : t->n_receivers;
        t->peers = xcalloc(t->n_peers, sizeof(*t->peers));
        t->senders = xcalloc(t->n_senders, sizeof(*t->senders));
        t->receivers = xcalloc(t->n_receivers, sizeof(*t->receivers));
        for (uint32_t i = 0; i < t->n_peers; i++) {
                bool sends = i < t->n_senders;
                char name[48];

                snprintf(name, sizeof(name), "bench.%c.%05u", sends ? 's' : 'r',
                         sends ? i : i - t->n_senders);
                client_open(&t->peers[i].client, o->address, name);
        }
        for (uint32_t i = 0; i < t->n_senders; i++)
                sender_init(t, stage, i, receivers_each);
        for (uint32_t i = 0; i < t->n_receivers; i++) {
                struct peer *p = &t->peers[stage->reach == REACH_NEXT ? i : t->n_senders + i];

                receiver_init(t, stage, i, p);
                receiver_subscribe(t, stage, i, p);
        }
}

void stage_close(struct traffic *t)
{
        for (uint32_t i = 0; i < t->n_peers; i++) {
                client_close(&t->peers[i].client);
                free(t->peers[i].tail);
        }
        for (uint32_t i = 0; i < t->n_senders; i++) {
                free(t->senders[i].frames);
                free(t->senders[i].barrier);
        }
        for (uint32_t i = 0; i < t->n_receivers; i++) {
                for (uint32_t k = 0; k < t->n_senders; k++)
                        free(t->receivers[i].flows[k].prefix);
                free(t->receivers[i].flows);
        }
        free(t->peers);
        free(t->senders);
        free(t->receivers);
        free(t->buffer);
        close(t->epoll);
}
