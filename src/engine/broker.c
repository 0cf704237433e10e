/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The broker's own client, `.broker`: registered as any other, so that it is listed, counted and in
 * reach of broadcasts, but without a connection. What it sends is never paced: a full receiver
 * loses it, counted.
 */
#include "engine/internal.h"

#define ANNOUNCEMENT_MAX (1024 + 64) /* the longest name, and all else */

static const char broker_name[] = ".broker";

int broker_init(struct engine *e)
{
        static const struct transport_peer nobody = {.kind = TRANSPORT_INTERNAL};
        int r = session_new(e, -1, &nobody, NULL, false, &e->broker);

        if (r < 0)
                return r;
        e->broker->name = strdup(broker_name);
        if (!e->broker->name)
                return -ENOMEM;
        e->broker->name_len = e->broker->primary_len = (uint16_t)strlen(broker_name);
        return registry_add(&e->registry, e->broker);
}

void broker_done(struct engine *e)
{
        if (!e->broker)
                return;
        registry_remove(&e->registry, e->broker);
        e->broker = session_free(e->broker);
}

static struct outgoing broker_frame(struct engine *e, uint8_t kind, const void *payload, size_t len)
{
        count_received(e->broker, len);
        return (struct outgoing){.kind = kind,
                                 .sender = e->broker,
                                 .payload = payload,
                                 .payload_len = len,
                                 .counted = len};
}

static void broker_publish(struct engine *e, const char *topic, size_t topic_len,
                           const void *payload, size_t len)
{
        struct outgoing f = broker_frame(e, WIRE_KIND_PUBLICATION, payload, len);

        f.topic = topic;
        f.topic_len = topic_len;
        deliver_publication(NULL, &f, topic_cache_find(&e->topic_cache, topic, topic_len), NULL,
                            NULL, 0);
}

static void broker_message(struct engine *e, const char *target, size_t target_len,
                           const void *payload, size_t len)
{
        struct session *to = registry_find(&e->registry, target, target_len);
        struct outgoing f = broker_frame(e, WIRE_KIND_MESSAGE, payload, len);

        if (!to || to->state != SESSION_LIVE)
                return;
        count_queued(to, f.counted);
        if (to->kind == TRANSPORT_INTERNAL)
                return;
        outgoing_init(&f, NULL);
        if (pace_fan_out(NULL, to) == PACE_PUT && !outgoing_put(&f, to))
                pace_count_drop(to, 1);
        outgoing_done(&f);
}

void engine_send_now(struct engine *e, enum engine_send_kind kind, const char *target,
                     size_t target_len, const void *payload, size_t payload_len)
{
        struct outgoing f;

        switch (kind) {
        case ENGINE_SEND_MESSAGE:
                broker_message(e, target, target_len, payload, payload_len);
                break;
        case ENGINE_SEND_BROADCAST:
                f = broker_frame(e, WIRE_KIND_BROADCAST, payload, payload_len);
                deliver_broadcast(NULL, &f, NULL, target, target_len);
                break;
        case ENGINE_SEND_PUBLICATION:
                broker_publish(e, target, target_len, payload, payload_len);
                break;
        }
}

void engine_reply(struct engine *engine, struct session *to, const void *head, size_t head_len,
                  const void *body, size_t body_len, bool realtime)
{
        struct outgoing f = broker_frame(engine, WIRE_KIND_MESSAGE, head, head_len);

        counter_add(&engine->broker->counters.r_bytes, body_len);
        counter_add(&engine->counters.r_bytes, body_len);
        if (to->state != SESSION_LIVE)
                return;
        f.payload2 = body;
        f.payload2_len = body_len;
        f.counted = head_len + body_len;
        f.realtime = realtime;
        count_queued(to, f.counted);
        outgoing_init(&f, NULL);
        if (!outgoing_put(&f, to))
                session_kill(to, ENGINE_EVENT_MEMORY, "no memory for a reply to it");
        outgoing_done(&f);
}

/* --- Announcements: MessagePack maps of a known shape, written by hand so that the engine needs no
 * library --- */

static uint8_t *pack_text(uint8_t *at, const char *text, size_t len)
{
        if (len < 32) {
                *at++ = (uint8_t)(0xa0 | len);
        } else if (len < 256) {
                *at++ = 0xd9;
                *at++ = (uint8_t)len;
        } else {
                *at++ = 0xda;
                *at++ = (uint8_t)(len >> 8);
                *at++ = (uint8_t)len;
        }
        memcpy(at, text, len);
        return at + len;
}

static uint8_t *pack_number(uint8_t *at, uint64_t n)
{
        unsigned bytes = n < 128 ? 0 : n < 256 ? 1 : n < 65536 ? 2 : n <= UINT32_MAX ? 4 : 8;

        if (bytes == 0) {
                *at++ = (uint8_t)n;
                return at;
        }
        *at++ = (uint8_t)(0xcc + __builtin_ctz(bytes));
        while (bytes-- > 0)
                *at++ = (uint8_t)(n >> (8 * bytes));
        return at;
}

static uint8_t *pack_time(uint8_t *at)
{
        return pack_number(pack_text(at, "t", 1), clock_nsec(CLOCK_REALTIME));
}

void broker_announce(struct engine *e, const char *topic, const char *what, const char *name,
                     size_t name_len)
{
        uint8_t map[ANNOUNCEMENT_MAX], *at = map;

        *at++ = (uint8_t)(0x80 | (name ? 3 : 2));
        at = pack_text(pack_text(at, "s", 1), what, strlen(what));
        if (name)
                at = pack_text(pack_text(at, "d", 1), name, name_len);
        at = pack_time(at);
        broker_publish(e, topic, strlen(topic), map, (size_t)(at - map));
}

void broker_announce_slow(struct engine *e, const char *name, size_t name_len, bool struck,
                          uint64_t dropped)
{
        static const char topic[] = ".broker/slow";
        const char *what = struck ? "struck" : "slow";
        uint8_t map[ANNOUNCEMENT_MAX], *at = map;

        *at++ = 0x84;
        at = pack_text(pack_text(at, "s", 1), what, strlen(what));
        at = pack_text(pack_text(at, "d", 1), name, name_len);
        at = pack_number(pack_text(at, "n", 1), dropped);
        at = pack_time(at);
        broker_publish(e, topic, strlen(topic), map, (size_t)(at - map));
}
