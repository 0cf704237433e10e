/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the engine asks the access rules: whether a client may have its name, and what it may do
 * then. Each session has its rule from its registration on, or none where there are no rules, which
 * is all that is looked at then. What was allowed is remembered: targets with the last target
 * (dispatch.c), topics in the topic cache, with the last rule that allowed each, which is all that
 * such a frame costs. But others may take a topic's place there, or its note, and nobody shall have
 * to pay for that with a rule of thousands of masks: so each session also has a small cache of its
 * own, which has broadcasts' masks too. What is denied is told, at most once a second for each
 * session.
 *
 * New rules come between two passes. Every session is asked anew who it is and what it subscribes
 * to, and nothing that was remembered is kept.
 */
#include <inttypes.h>
#include <stdio.h>

#include "access/rules.h"
#include "basic/text.h"
#include "engine/internal.h"

/* --- What was allowed --- */

/* Who publishes on few topics needs little; it grows when there are more, up to 8 KiB, which its
 * user is charged. */
#define PERMIT_WAYS 4
#define PERMIT_SETS_MAX 32
#define PERMIT_TEXT 62

/* A text that may be published on, or broadcast to, by its session's rule. */
struct permit {
        uint8_t op; /* 0: none */
        uint8_t len;
        char text[PERMIT_TEXT];
};

struct permits {
        size_t n_sets;             /* a power of two */
        unsigned turn;             /* the next to be given up, in each set */
        const struct permit *last; /* that was asked for */
        struct permit all[];
};

/* The few places where a text may be. */
static struct permit *permit_set(struct permits *permits, const char *text, size_t len)
{
        size_t set = text_hash(text, len) >> 59 & (permits->n_sets - 1);

        return &permits->all[set * PERMIT_WAYS];
}

static inline bool permit_is(const struct permit *permit, uint8_t op, const char *text, size_t len)
{
        return permit->len == len && permit->op == op && text_is_equal(permit->text, text, len);
}

/* Most say the same again. */
static inline bool permit_is_known(const struct session *s, uint8_t op, const char *text,
                                   size_t len)
{
        struct permits *permits = s->permits;
        const struct permit *set;

        if (!permits || len > PERMIT_TEXT)
                return false;
        if (permit_is(permits->last, op, text, len))
                return true;
        set = permit_set(permits, text, len);
        for (size_t i = 0; i < PERMIT_WAYS; i++)
                if (permit_is(&set[i], op, text, len)) {
                        permits->last = &set[i];
                        return true;
                }
        return false;
}

static size_t permits_size(size_t n_sets)
{
        return sizeof(struct permits) + n_sets * PERMIT_WAYS * sizeof(struct permit);
}

static void permits_free(struct session *s)
{
        if (!s->permits)
                return;
        account_release(s->engine->accounts, s->account, permits_size(s->permits->n_sets));
        free(s->permits);
        s->permits = NULL;
}

/* What was remembered before is learned again. Without memory, all stays as it was. */
static void permits_resize(struct session *s, size_t n_sets)
{
        struct accounts *accounts = s->engine->accounts;
        size_t size = permits_size(n_sets);
        struct permits *more;

        if (account_charge(accounts, s->account, size) != CHARGE_OK)
                return;
        more = calloc(1, size);
        if (!more) {
                account_release(accounts, s->account, size);
                return;
        }
        more->n_sets = n_sets;
        more->last = more->all;
        permits_free(s);
        s->permits = more;
}

static void permit_note(struct session *s, uint8_t op, const char *text, size_t len)
{
        struct permit *set, *permit;
        size_t i = 0;

        if (len > PERMIT_TEXT)
                return;
        if (!s->permits)
                permits_resize(s, 1);
        if (!s->permits)
                return;
        set = permit_set(s->permits, text, len);
        while (i < PERMIT_WAYS && set[i].op != 0)
                i++;
        if (i == PERMIT_WAYS && s->permits->n_sets < PERMIT_SETS_MAX) {
                permits_resize(s, 2 * s->permits->n_sets);
                set = permit_set(s->permits, text, len);
        }
        permit = &set[i < PERMIT_WAYS ? i : s->permits->turn++ % PERMIT_WAYS];
        permit->op = op;
        permit->len = (uint8_t)len;
        memcpy(permit->text, text, len);
}

/* --- A guard in the place of rules --- */

/* The rule of everyone whom it guards: there is something to be asked. */
static const struct access_rule *const guarded = (const void *)&guarded;

static struct verdict guard_verdict(const struct session *s, enum engine_action action,
                                    const char *target, size_t len)
{
        const struct engine *e = s->engine;
        struct engine_question question = {action, &s->peer, s->name, target, len};

        if (e->guard(&question, e->guard_userdata))
                return (struct verdict){.allow = true};
        return (struct verdict){.code = WIRE_ACCESS, .reason = "the program does not allow it"};
}

/* --- Who may have a name --- */

static enum identity_kind peer_kind(const struct transport_peer *peer)
{
        if (peer->kind != TRANSPORT_TCP)
                return IDENTITY_USER;
        return peer->family_bytes == 4 ? IDENTITY_IPV4 : IDENTITY_IPV6;
}

static struct refusal refusal_of(const struct verdict *v)
{
        return (struct refusal){.code = v->code,
                                .cause = ENGINE_CAUSE_RULE,
                                .reason = v->reason,
                                .file = v->file,
                                .line = v->line};
}

static bool permit_name_by_guard(struct session *s, struct refusal *ret)
{
        struct verdict v = guard_verdict(s, ENGINE_ACTION_REGISTER, NULL, 0);

        if (v.allow)
                s->rule = guarded;
        else
                *ret = refusal_of(&v);
        return v.allow;
}

bool permit_name(struct session *s, struct refusal *ret)
{
        const struct access_rules *rules = s->engine->config.access;
        struct access_peer peer = {
                .kind = peer_kind(&s->peer), .uid = s->peer.uid, .gid = s->peer.gid};
        _cleanup_free_ gid_t *groups = NULL;
        struct verdict v;

        permit_forget(s);
        if (s->engine->guard)
                return permit_name_by_guard(s, ret);
        if (likely(access_rules_n_sections(rules) == 0))
                return true;
        memcpy(peer.address, s->peer.address, sizeof(peer.address));
        if (s->kind == TRANSPORT_UNIX &&
            transport_peer_groups(s->fd, &groups, &peer.n_groups) == -ENOMEM) {
                *ret = (struct refusal){.code = WIRE_OTHER,
                                        .cause = ENGINE_CAUSE_NO_MEMORY,
                                        .reason = "no memory to ask for its groups"};
                return false;
        }
        peer.groups = groups;
        v = access_check_identity(rules, s->name, s->name_len, &peer);
        if (!v.allow) {
                *ret = refusal_of(&v);
                return false;
        }
        s->rule = access_rules_find(rules, s->name, s->name_len);
        s->picky = access_rule_is_picky(s->rule);
        s->engine->registry.n_picky += s->picky;
        return true;
}

void permit_forget(struct session *s)
{
        /* Of a session that never was on its worker the registry hears nothing. */
        if (s->picky)
                s->engine->registry.n_picky--;
        s->picky = false;
        s->rule = NULL;
        permits_free(s);
}

/* --- What is told of denials --- */

#define SHOWN_MAX 100 /* bytes of a topic, a mask or a name */

static bool permit_deny(struct session *s, const struct verdict *v, const char *what,
                        const char *text, size_t len)
{
        struct refusal why = refusal_of(v);
        char detail[sizeof(((struct engine_event *)NULL)->detail)];

        counter_add(&s->engine->counters.denied, 1);
        if (s->denied_told_at && s->engine->now < s->denied_told_at + NSEC_PER_SEC) {
                s->denied_untold++;
                worker_arm(s, s->denied_told_at + NSEC_PER_SEC);
                return false;
        }
        (void)snprintf(detail, sizeof(detail), "may not %s \"%.*s%s\"", what,
                       (int)MIN(len, (size_t)SHOWN_MAX), text, len > SHOWN_MAX ? "..." : "");
        why.reason = detail;
        why.cause = ENGINE_CAUSE_NONE;
        s->denied_told_at = s->engine->now;
        event_push_denied(s, 1, &why);
        return false;
}

void permit_tell_denied(struct session *s)
{
        char detail[64];

        if (!s->denied_untold)
                return;
        (void)snprintf(detail, sizeof(detail), "%" PRIu64 " more times since then",
                       s->denied_untold);
        event_push_denied(s, s->denied_untold, &(struct refusal){.reason = detail});
        s->denied_untold = 0;
        s->denied_told_at = s->engine->now;
}

/* --- Questions --- */

/* Of the pass, for each mask that a text is held against. */
#define MASK_COST (2 * WORKER_FRAME_COST)

/* A rule may have thousands of masks: whoever asks for many of them is served less often. */
static struct verdict permit_pay(struct engine *e, struct verdict v)
{
        if (e->current->budget > 0) /* one fan-out may ask many rules */
                pass_spend(e, (int)v.n_tried * MASK_COST);
        return v;
}

bool permit_message(struct session *s, const char *target, size_t len, const struct session *to)
{
        struct verdict v = s->engine->guard
                                   ? guard_verdict(s, ENGINE_ACTION_SEND, target, len)
                                   : permit_pay(s->engine, access_check_send(s->rule, target, len));

        if (!v.allow)
                return permit_deny(s, &v, "send to", target, len);
        if (!to || !to->picky)
                return true; /* nobody is who has a guard */
        v = permit_pay(s->engine, access_check_receive(to->rule, s->name, s->name_len));
        return v.allow ||
               permit_deny(s, &v, "send to, which does not take its frames,", target, len);
}

static bool permit_fan_out_anew(struct session *s, uint8_t op, const char *text, size_t len)
{
        bool is_broadcast = op == WIRE_OP_BROADCAST;
        struct verdict v;

        if (s->engine->guard)
                v = guard_verdict(s, is_broadcast ? ENGINE_ACTION_BROADCAST : ENGINE_ACTION_PUBLISH,
                                  text, len);
        else if (is_broadcast)
                v = permit_pay(s->engine, access_check_broadcast(s->rule, text, len));
        else
                v = permit_pay(s->engine, access_check_publish(s->rule, text, len));
        if (!v.allow)
                return permit_deny(s, &v, is_broadcast ? "broadcast to" : "publish on", text, len);
        permit_note(s, op, text, len);
        return true;
}

bool permit_fan_out_by_rule(struct session *s, uint8_t op, const char *text, size_t len)
{
        return likely(permit_is_known(s, op, text, len)) || permit_fan_out_anew(s, op, text, len);
}

static struct verdict check_subscribe(const struct session *s, const char *mask, size_t len)
{
        return s->engine->guard ? guard_verdict(s, ENGINE_ACTION_SUBSCRIBE, mask, len)
                                : access_check_subscribe(s->rule, mask, len);
}

bool permit_subscribe(struct session *s, const char *mask, size_t len)
{
        struct verdict v = permit_pay(s->engine, check_subscribe(s, mask, len));

        return v.allow || permit_deny(s, &v, "subscribe to", mask, len);
}

bool permit_receive(const struct session *to, const struct session *from)
{
        return !to->picky ||
               permit_pay(to->engine, access_check_receive(to->rule, from->name, from->name_len))
                       .allow;
}

/* --- New rules --- */

struct dropping {
        struct session *session;
        size_t n_dropped;
        struct verdict verdict; /* of the first that was dropped */
        char mask[SHOWN_MAX + 1];
};

static bool keep_subscription(const char *mask, size_t len, void *userdata)
{
        struct dropping *d = userdata;
        struct verdict v = check_subscribe(d->session, mask, len);

        if (v.allow)
                return true;
        if (d->n_dropped++ == 0) {
                d->verdict = v;
                (void)snprintf(d->mask, sizeof(d->mask), "%.*s", (int)len, mask);
        }
        return false;
}

static void permit_renew_subscriptions(struct session *s)
{
        struct dropping d = {.session = s};
        char detail[sizeof(((struct engine_event *)NULL)->detail)];
        struct refusal why;

        session_retain_subscriptions(s, keep_subscription, &d);
        if (d.n_dropped == 0)
                return;
        why = refusal_of(&d.verdict);
        if (d.n_dropped == 1)
                (void)snprintf(detail, sizeof(detail), "\"%s\"", d.mask);
        else
                (void)snprintf(detail, sizeof(detail), "\"%s\" and %zu more", d.mask,
                               d.n_dropped - 1);
        why.reason = detail;
        event_push_denied(s, d.n_dropped, &why);
}

/* A list of topics that is half done begins anew: no frame is handled by two sets of rules, and who
 * is subscribed already is not harmed. Its subscriptions, which may be very many, are looked at
 * only where the rule for them has changed; the old rules are there until all is done. */
static void permit_renew_session(struct session *s)
{
        const struct access_rule *before = s->rule;
        struct refusal why;

        permit_forget(s);
        s->topic_list.at = 0;
        if (s->state != SESSION_LIVE)
                return;
        if (!permit_name(s, &why))
                session_drain_for(s, ENGINE_EVENT_GONE, &why);
        else if (s->engine->guard || (s->rule && !access_rules_subscribe_alike(before, s->rule)))
                permit_renew_subscriptions(s);
}

void permit_renew(struct engine *engine)
{
        struct session *s;

        topic_cache_clear(&engine->topic_cache);
        LIST_FOREACH (s, &engine->sessions, link)
                permit_renew_session(s);
        engine->registry.version++; /* the last targets are forgotten */
}

void engine_set_guard(struct engine *engine, engine_guard_fn guard, void *userdata)
{
        engine->guard = guard;
        engine->guard_userdata = userdata;
}

void engine_renew_guard(struct engine *engine)
{
        if (engine->guard)
                permit_renew(engine);
}
