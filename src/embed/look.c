/* SPDX-License-Identifier: Apache-2.0 */
/* What goes on inside, and what is done there in the broker's own name. */
#include "basic/utf8.h"
#include "embed/internal.h"
#include "route/mask.h"
#include "wire/handshake.h"

bool broker_visit(busrt_broker *b, void (*fn)(struct engine *engine, void *userdata),
                  void *userdata)
{
        struct engine *e;

        pthread_mutex_lock(&b->lock);
        e = b->engine;
        pthread_mutex_unlock(&b->lock);
        if (e)
                engine_visit(e, fn, userdata);
        return e != NULL;
}

PUBLIC int busrt_broker_get_stats(busrt_broker *broker, busrt_broker_stats *ret)
{
        struct engine_counters c = {0};
        struct engine *e;

        if (!broker || !ret)
                return -EINVAL;
        pthread_mutex_lock(&broker->lock);
        e = broker->engine;
        pthread_mutex_unlock(&broker->lock);
        if (e)
                engine_get_counters(e, &c);
        *ret = (busrt_broker_stats){.uptime = e ? engine_uptime(e) / NSEC_PER_USEC : 0,
                                    .r_frames = c.r_frames,
                                    .r_bytes = c.r_bytes,
                                    .w_frames = c.w_frames,
                                    .w_bytes = c.w_bytes,
                                    .dropped = c.dropped,
                                    .struck = c.struck,
                                    .refused = c.refused,
                                    .denied = c.denied,
                                    .bad = c.bad,
                                    .connections = c.sessions,
                                    .clients = c.clients,
                                    .held = c.held};
        return 0;
}

struct walk {
        int (*fn)(const busrt_broker_client_info *info, void *userdata);
        void *userdata;
        int result;
};

static int tell_client(const struct engine_client_info *info, void *userdata)
{
        const struct walk *walk = userdata;

        return walk->fn(
                &(busrt_broker_client_info){.id = info->id,
                                            .name = info->name,
                                            .listener = info->listener,
                                            .peer = broker_peer(info->kind, info->uid, info->gid,
                                                                info->pid, info->source),
                                            .primary = info->primary,
                                            .connected_at = info->connected_at / NSEC_PER_USEC,
                                            .r_frames = info->r_frames,
                                            .r_bytes = info->r_bytes,
                                            .w_frames = info->w_frames,
                                            .w_bytes = info->w_bytes,
                                            .dropped = info->dropped,
                                            .queue_frames = info->queue_frames,
                                            .queue_bytes = info->queue_bytes},
                walk->userdata);
}

static void walk_clients(struct engine *engine, void *userdata)
{
        struct walk *walk = userdata;

        walk->result = engine_foreach_client(engine, tell_client, walk);
}

PUBLIC int busrt_broker_foreach_client(busrt_broker *broker,
                                       int (*fn)(const busrt_broker_client_info *info,
                                                 void *userdata),
                                       void *userdata)
{
        struct walk walk = {fn, userdata, 0};

        if (!broker || !fn)
                return -EINVAL;
        (void)broker_visit(broker, walk_clients, &walk);
        return walk.result;
}

struct ending {
        uint64_t id;
        int result;
};

static void end_client(struct engine *engine, void *userdata)
{
        struct ending *ending = userdata;

        ending->result = engine_end(engine, ending->id);
}

PUBLIC int busrt_broker_disconnect(busrt_broker *broker, uint64_t id)
{
        struct ending ending = {id, -ENOENT};

        if (!broker)
                return -EINVAL;
        (void)broker_visit(broker, end_client, &ending);
        return ending.result;
}

/* --- In its own name --- */

struct sending {
        enum engine_send_kind kind;
        const char *target;
        const void *payload;
        size_t len;
        int result;
};

static void send_frame(struct engine *engine, void *userdata)
{
        struct sending *s = userdata;
        struct engine_client_info info;
        size_t len = strlen(s->target);

        if (s->kind == ENGINE_SEND_MESSAGE)
                s->result = engine_find_client(engine, s->target, len, &info);
        if (s->result == 0)
                engine_send_now(engine, s->kind, s->target, len, s->payload, s->len);
}

static int kind_of(enum busrt_kind kind, enum engine_send_kind *ret)
{
        switch (kind) {
        case BUSRT_KIND_MESSAGE:
                *ret = ENGINE_SEND_MESSAGE;
                return 0;
        case BUSRT_KIND_BROADCAST:
                *ret = ENGINE_SEND_BROADCAST;
                return 0;
        case BUSRT_KIND_PUBLICATION:
                *ret = ENGINE_SEND_PUBLICATION;
                return 0;
        default:
                return -EINVAL;
        }
}

static int check_sending(busrt_broker *b, const struct sending *s)
{
        bool is_topic = s->kind == ENGINE_SEND_PUBLICATION;
        size_t target_len = strlen(s->target), max_len = WIRE_NAME_MAX, max_parts, max_frame;

        pthread_mutex_lock(&b->lock);
        if (is_topic)
                max_len = b->config.max_topic_length;
        max_parts = b->config.max_topic_parts;
        max_frame = b->config.max_frame_size;
        pthread_mutex_unlock(&b->lock);
        if (target_len > max_len || !utf8_is_valid(s->target, target_len) ||
            (is_topic && mask_n_parts(&mask_topic, s->target, target_len) > max_parts))
                return -EINVAL;
        return s->len > max_frame ? -EMSGSIZE : 0;
}

PUBLIC int busrt_broker_send(busrt_broker *broker, enum busrt_kind kind, const char *target,
                             const void *payload, size_t len)
{
        struct sending s = {.target = target, .payload = payload, .len = len};
        int r;

        if (!broker || !target || !target[0] || (len > 0 && !payload))
                return -EINVAL;
        r = kind_of(kind, &s.kind);
        if (r == 0)
                r = check_sending(broker, &s);
        if (r < 0)
                return r;
        if (!broker_visit(broker, send_frame, &s) && s.kind == ENGINE_SEND_MESSAGE)
                return -ENOENT;
        return s.result;
}
