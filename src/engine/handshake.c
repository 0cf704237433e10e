/* SPDX-License-Identifier: Apache-2.0 */
/* The client's greeting and its name (docs/protocol.md, 1). */
#include "engine/internal.h"
#include "engine/probe.h"

static void handshake_answer(struct session *s, uint8_t code)
{
        session_put_raw(s, &code, 1);
}

static void handshake_refuse_for(struct session *s, const struct refusal *why)
{
        handshake_answer(s, why->code);
        session_drain_for(s, ENGINE_EVENT_REFUSED, why);
}

static void handshake_refuse(struct session *s, uint8_t code, enum engine_cause cause,
                             const char *reason)
{
        handshake_refuse_for(s, &(struct refusal){.code = code, .cause = cause, .reason = reason});
}

static size_t handshake_greeting(struct session *s, const uint8_t *p, size_t len)
{
        if (len < WIRE_GREETING_SIZE)
                return 0;
        if (p[0] != WIRE_GREETING_MAGIC) {
                handshake_refuse(s, WIRE_NOT_SUPPORTED, ENGINE_CAUSE_PROTOCOL,
                                 "not the BUS/RT protocol");
        } else if (le16_get(p + 1) != WIRE_PROTOCOL_VERSION) {
                handshake_refuse(s, WIRE_NOT_SUPPORTED, ENGINE_CAUSE_PROTOCOL,
                                 "unknown protocol version");
        } else {
                s->state = SESSION_NAMING;
                handshake_answer(s, WIRE_OK);
        }
        return WIRE_GREETING_SIZE;
}

static void handshake_registered(struct session *s)
{
        struct engine *e = s->engine;
        uint64_t now = s->engine->now;

        handshake_answer(s, WIRE_OK);
        s->ping_at = now + e->config.timeout / 2;
        s->frame_at = now;
        counter_add(&e->counters.clients, 1);
        worker_arm(s, session_next_deadline(s));
        PROBE_CONNECT(s);
        event_push(s, ENGINE_EVENT_REGISTERED, 0, "registered");
        if (session_is_primary(s))
                broker_announce(e, ".broker/info", "reg", s->name, s->name_len);
}

/* The session takes the name, or is refused it. False: not yet. */
static bool handshake_claim(struct session *s)
{
        struct refusal why;
        int code = registry_claim(s, &why);

        if (code == 0) {
                s->claiming = true;
                worker_arm(s, s->engine->now + NSEC_PER_MSEC);
                return false;
        }
        if (code == WIRE_OK)
                handshake_registered(s);
        else
                handshake_refuse_for(s, &why);
        return true;
}

static bool handshake_set_name(struct session *s, const char *name, size_t len)
{
        /* Whose names begin so is the broker's own, and so is who lives in its process. */
        size_t own = s->local && len > 1 && name[0] == '.';
        struct verdict v = access_check_name(name + own, len - own);
        struct refusal why;

        free(s->name);
        s->name_len = 0;
        s->name = malloc(len + 1);
        if (!s->name) {
                handshake_refuse(s, WIRE_OTHER, ENGINE_CAUSE_NO_MEMORY, "no memory for the name");
                return false;
        }
        /* Also one that is refused, and may hold a NUL: the log shows it. */
        memcpy(s->name, name, len);
        s->name[len] = 0;
        s->name_len = (uint16_t)len;
        s->primary_len = (uint16_t)access_primary_len(name, len);
        if (!v.allow)
                handshake_refuse(s, v.code, ENGINE_CAUSE_NAME, v.reason);
        else if (!permit_name(s, &why))
                handshake_refuse_for(s, &why);
        return s->state == SESSION_NAMING;
}

static size_t handshake_name(struct session *s, const uint8_t *p, size_t len)
{
        size_t name_len;

        if (len < 2)
                return 0;
        name_len = le16_get(p);
        if (name_len > WIRE_NAME_MAX) {
                handshake_refuse(s, WIRE_DATA, ENGINE_CAUSE_NAME, "name is longer than 1024 bytes");
                return 2;
        }
        if (len < 2 + name_len)
                return 0;
        if (handshake_set_name(s, (const char *)p + 2, name_len) && !handshake_claim(s))
                return 0;
        return 2 + name_len;
}

size_t handshake_consume(struct session *s, const uint8_t *p, size_t len)
{
        return s->state == SESSION_GREETING ? handshake_greeting(s, p, len)
                                            : handshake_name(s, p, len);
}
