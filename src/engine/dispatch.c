/* SPDX-License-Identifier: Apache-2.0 */
/* What each operation of a client does (docs/protocol.md, 2 and 4). */
#include "basic/utf8.h"
#include "engine/internal.h"

void dispatch_violation(struct session *s, const struct wire_request *request, const char *what)
{
        session_ack(s, request, WIRE_DATA);
        session_drain(s, ENGINE_EVENT_BAD_FRAME, what);
}

/* Topics and masks of more parts or bytes than the limits are refused, and nothing else is. */
static bool text_within_limits(const struct session *s, const struct mask_syntax *syntax,
                               const char *text, size_t len)
{
        const struct engine_config *config = &s->engine->config;

        if (len > config->max_topic_length)
                return false;
        return len < config->max_topic_parts ||
               mask_n_parts(syntax, text, len) <= config->max_topic_parts;
}

/* --- Lists of topics --- */

static int exclusions_need(struct session *s)
{
        return s->exclusions ? 0 : subscription_tree_new(&s->exclusions);
}

static int topic_apply(struct session *s, uint8_t op, const char *topic, size_t len)
{
        struct subscription_tree *subscriptions = s->engine->registry.subscriptions;
        int r;

        switch (op) {
        case WIRE_OP_SUBSCRIBE:
                return session_subscribe(s, subscriptions, &s->subscriber, topic, len);
        case WIRE_OP_UNSUBSCRIBE:
                return session_unsubscribe(s, subscriptions, &s->subscriber, topic, len);
        case WIRE_OP_EXCLUDE:
                r = exclusions_need(s);
                return r < 0 ? r : session_subscribe(s, s->exclusions, &s->excluder, topic, len);
        default:
                return s->exclusions
                               ? session_unsubscribe(s, s->exclusions, &s->excluder, topic, len)
                               : 0;
        }
}

static enum wire_result topic_handle(struct session *s, uint8_t op, const char *topic, size_t len)
{
        int r;

        if (!text_within_limits(s, &mask_topic, topic, len))
                return WIRE_DATA;
        if (op == WIRE_OP_SUBSCRIBE && unlikely(s->rule) && !permit_subscribe(s, topic, len))
                return WIRE_ACCESS;
        r = topic_apply(s, op, topic, len);
        if (r >= 0)
                return WIRE_OK;
        if (r == -EDQUOT || r == -EUSERS) {
                session_tell_refusal(s, ENGINE_CAUSE_QUOTA,
                                     r == -EDQUOT ? "it, or its user, holds as much memory as it "
                                                    "may (QueueMemoryMaxPerUser)"
                                                  : "its user has as many as it may "
                                                    "(MaxSubscriptionsPerUser)");
                return WIRE_ACCESS;
        }
        session_tell_refusal(s, ENGINE_CAUSE_NO_MEMORY, "no memory for a subscription");
        return WIRE_OTHER;
}

/* A list may hold millions: it is handled in as many passes as the budget asks for. */
static enum dispatch_result dispatch_topics(struct session *s, const struct wire_request *request,
                                            const uint8_t *body, size_t len)
{
        struct topic_list *list = &s->topic_list;
        enum wire_result result;
        const char *topic;
        size_t topic_len;

        if (list->at == 0)
                list->result = WIRE_OK;
        while (wire_topics_next(body, len, &list->at, &topic, &topic_len)) {
                if (!utf8_is_valid(topic, topic_len)) {
                        dispatch_violation(s, request, "a topic is not UTF-8");
                        return DISPATCH_DONE;
                }
                result = topic_handle(s, request->op, topic, topic_len);
                if (result != WIRE_OK && list->result != WIRE_ACCESS)
                        list->result = result;
                pass_spend(s->engine, WORKER_FRAME_COST);
                if (s->engine->current->budget <= 0 && list->at <= len)
                        return DISPATCH_WAIT;
        }
        list->at = 0;
        count_received(s, len);
        session_ack(s, request, list->result);
        return DISPATCH_DONE;
}

/* --- Messages --- */

static struct outgoing outgoing_of(const struct session *s, const struct wire_request *request,
                                   uint8_t kind, const uint8_t *body, size_t len,
                                   const struct wire_body *b)
{
        return (struct outgoing){.kind = kind,
                                 .realtime = request->qos & WIRE_QOS_REALTIME,
                                 .sender = s,
                                 .payload = body + b->payload,
                                 .payload_len = len - b->payload,
                                 .counted = len};
}

/* The last target is remembered, also one that is not there: most senders talk to one peer for
 * long. *ret is NULL if nobody has that name. WIRE_DATA: it could not be one. WIRE_ACCESS: rules
 * do not allow it; that is not remembered. */
static enum wire_result find_target(struct session *s, const char *name, size_t len,
                                    struct session **ret)
{
        struct registry *r = &s->engine->registry;
        struct last_target *last = &s->last_target;

        if (last->version == r->version && last->len == len && memcmp(last->name, name, len) == 0) {
                *ret = last->session;
                return WIRE_OK;
        }
        *ret = registry_find(r, name, len);
        if (!*ret && !utf8_is_valid(name, len))
                return WIRE_DATA;
        if (unlikely(s->rule) && !permit_message(s, name, len, *ret))
                return WIRE_ACCESS;
        if (len <= sizeof(last->name)) {
                last->session = *ret;
                last->version = r->version;
                last->len = len;
                memcpy(last->name, name, len);
        }
        return WIRE_OK;
}

/* A frame that its struck receiver never got counts as written all the same, as with the reference.
 */
static void count_refused(struct engine *e, size_t bytes)
{
        counter_add(&e->counters.w_frames, 1);
        counter_add(&e->counters.w_bytes, bytes);
}

/* `.broker` answers at once, behind the acknowledgement. */
static void call_service(struct session *s, const struct wire_request *request,
                         const uint8_t *payload, size_t len)
{
        struct engine *e = s->engine;

        session_ack(s, request, WIRE_OK);
        if (e->service.message && s->state == SESSION_LIVE)
                e->service.message(e, s, payload, len, request->qos & WIRE_QOS_REALTIME,
                                   e->service.userdata);
}

static enum wire_result deliver_message(struct session *to, struct outgoing f, struct buffer *body)
{
        enum wire_result result = WIRE_OK;

        count_queued(to, f.counted);
        outgoing_init(&f, body);
        if (!outgoing_put(&f, to))
                result = WIRE_NOT_DELIVERED;
        outgoing_done(&f);
        return result;
}

static enum dispatch_result message_done(struct session *s, const struct wire_request *request,
                                         size_t len, enum wire_result result)
{
        count_received(s, len);
        session_ack(s, request, result);
        return DISPATCH_DONE;
}

static enum dispatch_result dispatch_message(struct session *s, const struct wire_request *request,
                                             uint8_t *p, size_t len, const struct wire_body *b,
                                             struct buffer *body)
{
        enum wire_result result;
        struct session *to;

        if (s->pace.refuse) {
                s->pace.refuse = false;
                count_refused(s->engine, len);
                return message_done(s, request, len, WIRE_NOT_DELIVERED);
        }
        result = find_target(s, b->target, b->target_len, &to);
        if (result == WIRE_DATA) {
                dispatch_violation(s, request, "the target is not UTF-8");
                return DISPATCH_DONE;
        }
        if (result != WIRE_OK)
                return message_done(s, request, len, result);
        if (!to || to->state != SESSION_LIVE)
                return message_done(s, request, len, WIRE_NOT_REGISTERED);
        if (to->kind == TRANSPORT_INTERNAL) {
                if (!pace_own_room(s))
                        return DISPATCH_WAIT;
                count_received(s, len);
                count_queued(to, len);
                call_service(s, request, p + b->payload, len - b->payload);
                return DISPATCH_DONE;
        }
        switch (pace_message(s, to)) {
        case PACE_WAIT:
                return DISPATCH_WAIT;
        case PACE_REFUSE:
                count_queued(to, len);
                return message_done(s, request, len, WIRE_NOT_DELIVERED);
        default:
                return message_done(
                        s, request, len,
                        deliver_message(to, outgoing_of(s, request, WIRE_KIND_MESSAGE, p, len, b),
                                        body));
        }
}

/* --- Fan-out --- */

static void fan_out_ack(struct session *s, const struct wire_request *request, int r)
{
        session_ack(s, request, r < 0 ? WIRE_OTHER : WIRE_OK);
}

static enum dispatch_result dispatch_broadcast(struct session *s,
                                               const struct wire_request *request, uint8_t *p,
                                               size_t len, const struct wire_body *b,
                                               struct buffer *body)
{
        struct outgoing f = outgoing_of(s, request, WIRE_KIND_BROADCAST, p, len, b);

        count_received(s, len);
        if (!text_within_limits(s, &mask_name, b->target, b->target_len)) {
                session_ack(s, request, WIRE_DATA);
                return DISPATCH_DONE;
        }
        if (!permit_broadcast(s, b->target, b->target_len)) {
                session_ack(s, request, WIRE_ACCESS);
                return DISPATCH_DONE;
        }
        fan_out_ack(s, request, deliver_broadcast(s, &f, body, b->target, b->target_len));
        return DISPATCH_DONE;
}

/* On a topic that is one, within the limits. */
static enum dispatch_result publish(struct session *s, const struct wire_request *request,
                                    uint8_t *p, size_t len, const struct wire_body *b,
                                    struct topic_place place, struct buffer *body)
{
        struct outgoing f = outgoing_of(s, request, WIRE_KIND_PUBLICATION, p, len, b);

        count_received(s, len);
        if (!permit_publication(s, place.note, b->target, b->target_len)) {
                session_ack(s, request, WIRE_ACCESS);
                return DISPATCH_DONE;
        }
        f.topic = b->target;
        f.topic_len = b->target_len;
        fan_out_ack(s, request,
                    deliver_publication(s, &f, place, body, b->receiver, b->receiver_len));
        return DISPATCH_DONE;
}

static enum dispatch_result dispatch_publish(struct session *s, const struct wire_request *request,
                                             uint8_t *p, size_t len, const struct wire_body *b,
                                             struct buffer *body)
{
        struct topic_place place;

        if (!text_within_limits(s, &mask_topic, b->target, b->target_len)) {
                count_received(s, len);
                session_ack(s, request, WIRE_DATA);
                return DISPATCH_DONE;
        }
        place = topic_cache_find(&s->engine->topic_cache, b->target, b->target_len);
        s->last_topic = place.slot;
        return publish(s, request, p, len, b, place, body);
}

static enum dispatch_result dispatch_targeted(struct session *s, const struct wire_request *request,
                                              uint8_t *p, size_t len, struct buffer *body)
{
        struct wire_body b;

        if (!wire_body_split(request->op, p, len, &b)) {
                dispatch_violation(s, request, "no 00 behind the target");
                return DISPATCH_DONE;
        }
        if (request->op == WIRE_OP_MESSAGE)
                return dispatch_message(s, request, p, len, &b, body);
        if (!utf8_is_valid(b.target, b.target_len) ||
            (b.receiver && !utf8_is_valid(b.receiver, b.receiver_len))) {
                dispatch_violation(s, request, "the target is not UTF-8");
                return DISPATCH_DONE;
        }
        if (request->op == WIRE_OP_NOP)
                return DISPATCH_DONE;
        if (request->op == WIRE_OP_BROADCAST)
                return dispatch_broadcast(s, request, p, len, &b, body);
        return dispatch_publish(s, request, p, len, &b, body);
}

/* Most say the same again: then it is known to be a topic, and who receives it. */
static bool publish_again(struct session *s, const struct wire_request *request, uint8_t *p,
                          size_t len, struct buffer *body)
{
        struct wire_body b = {.target = (const char *)p};
        struct topic_place place = topic_cache_find_again(s->last_topic, p, len, &b.target_len);

        if (!place.slot)
                return false;
        b.payload = b.target_len + 1;
        publish(s, request, p, len, &b, place, body);
        return true;
}

enum dispatch_result dispatch_frame(struct session *s, const struct wire_request *request,
                                    uint8_t *p, size_t len, struct buffer *body)
{
        pass_spend(s->engine, WORKER_FRAME_COST);
        /* An acknowledgement needs room in the sender's own queue: without it the frame waits. */
        if ((request->qos & WIRE_QOS_PROCESSED) && !pace_own_room(s))
                return DISPATCH_WAIT;
        if (s->state != SESSION_LIVE)
                return DISPATCH_DONE;
        switch (request->op) {
        case WIRE_OP_SUBSCRIBE:
        case WIRE_OP_UNSUBSCRIBE:
        case WIRE_OP_EXCLUDE:
        case WIRE_OP_UNEXCLUDE:
                return dispatch_topics(s, request, p, len);
        case WIRE_OP_PUBLISH:
                if (publish_again(s, request, p, len, body))
                        return DISPATCH_DONE;
                /* fall through */
        default:
                return dispatch_targeted(s, request, p, len, body);
        }
}
