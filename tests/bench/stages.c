/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stages of the throughput mode: who sends what to whom. "send" and "publish" reach nobody;
 * with "+recv" each client sends to the next one in a ring; the fan-outs have one sender; those
 * with many topics are told in topics.c.
 */
#include "traffic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

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
        {"fanout.ack", OP_PUBLISH, REACH_ALL, true, "delivery"},
        {"broadcast", OP_BROADCAST, REACH_ALL, false, "delivery"},
        {"topics", OP_PUBLISH, REACH_HOT, false, "message"},
        {"groups", OP_PUBLISH, REACH_GROUPS, false, "message"},
        {"masks", OP_PUBLISH, REACH_MASKS, false, "message"},
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
        else if (stage->reach >= REACH_HOT)
                topics_name(stage->reach, slot % t->n_topics, ret);
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

/* How frames of this sender begin when they arrive: kind, length, realtime and its name. */
static void sender_prefix(struct sender *s, const struct traffic *t, enum op op)
{
        size_t n = strlen(s->peer->client.name) + 1;

        s->prefix_size = RECV_HEADER + n;
        s->prefix = xcalloc(1, s->prefix_size);
        s->prefix[0] = (uint8_t)op;
        put32(s->prefix + 1, (uint32_t)(n + s->topic_size + t->payload));
        s->prefix[5] = t->o->realtime;
        memcpy(s->prefix + RECV_HEADER, s->peer->client.name, n);
}

/* One frame for each slot: several in a row, or one for each topic. */
static void sender_frames(struct sender *s, const struct traffic *t, const struct stage *stage,
                          uint32_t index, uint8_t flags)
{
        char target[TOPIC_MAX];

        stage_target(t, stage, index, 0, target);
        s->topic_size = stage->op == OP_PUBLISH ? strlen(target) + 1 : 0;
        sender_prefix(s, t, stage->op);
        s->frame_size = t->o->raw ? s->prefix_size + t->payload
                                  : frame_write(NULL, flags, target, t->payload);
        s->payload_at = s->frame_size - t->payload;
        s->slots = t->n_topics * (s->batch > t->n_topics ? s->batch / t->n_topics : 1);
        s->frames = xcalloc(s->slots, s->frame_size);
        for (uint32_t i = 0; i < s->slots; i++) {
                uint8_t *frame = s->frames + i * s->frame_size;

                stage_target(t, stage, index, i, target);
                if (t->o->raw)
                        memcpy(frame, s->prefix, s->prefix_size);
                else
                        frame_write(frame, flags, target, t->payload);
                put32(frame + s->payload_at, index);
                memset(frame + s->payload_at + PAYLOAD_MIN, 0xEE, t->payload - PAYLOAD_MIN);
        }
}

static void sender_init(struct traffic *t, const struct stage *stage, uint32_t index)
{
        const struct options *o = t->o;
        struct sender *s = &t->senders[index];

        s->peer = &t->peers[index];
        s->peer->sender = s;
        s->batch = (uint32_t)o->batch;
        s->depth = stage->ack ? (uint32_t)o->depth : 0;
        s->ack_code = CODE_OK;
        if (stage->op == OP_MESSAGE && stage->reach == REACH_NOBODY)
                s->ack_code = CODE_NOT_REGISTERED;
        s->receivers = stage->reach == REACH_NEXT ? 1 : t->n_receivers;
        s->granule_shift = log2_of(o->window / WINDOW_GRANULES);
        sender_frames(s, t, stage, index,
                      (uint8_t)((uint8_t)stage->op | (stage->ack ? QOS_PROCESSED : 0) |
                                (o->realtime ? QOS_REALTIME : 0)));
        s->barrier_size = frame_write(NULL, 0, "bench.nobody", 0);
        s->barrier = xcalloc(1, s->barrier_size);
        frame_write(s->barrier, OP_MESSAGE | QOS_PROCESSED, "bench.nobody", 0);
}

/* The window moves on by granules that every receiver has seen: none may be without a frame for
 * one of them. */
static void receiver_check(const struct traffic *t, const struct receiver *r)
{
        for (uint32_t i = 0; i < r->n_topics; i++) {
                uint32_t next = i + 1 < r->n_topics ? r->topics[i + 1] : t->n_topics + r->topics[0];

                if (next - r->topics[i] > t->o->window / WINDOW_GRANULES)
                        fail("%s: wants --window >= %u", t->o->stage,
                             WINDOW_GRANULES * (next - r->topics[i]));
        }
}

static void receiver_init(struct traffic *t, const struct stage *stage, uint32_t index,
                          struct peer *peer)
{
        struct receiver *r = &t->receivers[index];
        uint32_t before = (index + t->n_senders - 1) % t->n_senders;

        peer->receiver = r;
        r->topics = topics_reaching(stage->reach, t->o, index, &r->n_topics);
        receiver_check(t, r);
        r->flows = xcalloc(t->n_senders, sizeof(*r->flows));
        for (uint32_t k = 0; k < t->n_senders; k++) {
                r->flows[k].open = stage->reach != REACH_NEXT || k == before;
                r->flows[k].next = r->topics[0];
        }
}

static void receiver_subscribe(struct traffic *t, const struct stage *stage, uint32_t index,
                               struct peer *p)
{
        uint32_t before = (index + t->n_senders - 1) % t->n_senders;
        char *topics = xcalloc(1, TOPIC_MAX);
        uint8_t code = CODE_OK;
        size_t size;

        stage_target(t, stage, before, 0, topics);
        size = strlen(topics);
        if (stage->reach >= REACH_HOT) {
                free(topics);
                topics = topics_subscription(stage->reach, t->o, index, &size);
        }
        if (stage->op == OP_PUBLISH)
                code = client_request(&p->client, OP_SUBSCRIBE, topics, size);
        if (code != CODE_OK)
                fail("%s: subscribing failed with code 0x%02x", p->client.name, code);
        free(topics);
}

static void stage_counts(struct traffic *t, const struct stage *stage)
{
        t->n_topics = topics_count(stage->reach, t->o);
        t->n_senders = stage->reach == REACH_ALL ? 1 : (uint32_t)t->o->clients;
        if (stage->reach == REACH_NEXT)
                t->n_receivers = t->n_senders;
        if (stage->reach >= REACH_ALL)
                t->n_receivers = topics_receivers(stage->reach, t->o);
        t->n_peers = t->n_senders + (stage->reach == REACH_NEXT ? 0 : t->n_receivers);
}

static void stage_check(const struct options *o, const struct stage *stage)
{
        if (stage->reach == REACH_HOT && o->topics < topics_receivers(stage->reach, o))
                fail("topics: wants --topics >= %u", topics_receivers(stage->reach, o));
        if (stage->reach == REACH_GROUPS && o->topics > o->receivers)
                fail("groups: wants --receivers >= --topics");
        if (o->raw && (stage->op != OP_MESSAGE || stage->ack || stage->reach != REACH_NEXT))
                fail("%s: a relay knows only send+recv.no", stage->name);
}

void stage_open(struct traffic *t, const struct options *o)
{
        const struct stage *stage = stage_find(o->stage);

        stage_check(o, stage);
        t->o = o;
        t->payload = o->payload;
        stage_counts(t, stage);
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
                sender_init(t, stage, i);
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
                free(t->senders[i].prefix);
                free(t->senders[i].barrier);
        }
        for (uint32_t i = 0; i < t->n_receivers; i++) {
                free(t->receivers[i].topics);
                free(t->receivers[i].flows);
        }
        free(t->peers);
        free(t->senders);
        free(t->receivers);
        free(t->buffer);
        close(t->epoll);
}
