/* SPDX-License-Identifier: Apache-2.0 */
/* Who is on the bus: by name, by id, by dotted parts, by subscription. */
#include "engine/internal.h"

const char registry_first_mask[] = ".broker/warn";

int registry_init(struct registry *r)
{
        int ret;

        table_init(&r->names);
        table_init(&r->ids);
        r->version = 1;
        ret = name_tree_new(&r->name_tree);
        return ret < 0 ? ret : subscription_tree_new(&r->subscriptions);
}

void registry_done(struct registry *r)
{
        if (r->name_tree)
                name_tree_free(r->name_tree);
        if (r->subscriptions)
                subscription_tree_free(r->subscriptions);
        table_done(&r->names);
        table_done(&r->ids);
}

struct session *registry_find(const struct registry *r, const char *name, size_t len)
{
        uint64_t hash = table_hash(&r->names, name, len);
        struct table_node *n;

        table_foreach (n, &r->names, hash) {
                struct session *s = container_of(n, struct session, by_name);

                if (s->name_len == len && memcmp(s->name, name, len) == 0)
                        return s;
        }
        return NULL;
}

struct session *registry_find_id(const struct registry *r, uint64_t id)
{
        uint64_t hash = table_hash(&r->ids, &id, sizeof(id));
        struct table_node *n;

        table_foreach (n, &r->ids, hash) {
                struct session *s = container_of(n, struct session, by_id);

                if (s->id == id)
                        return s;
        }
        return NULL;
}

int registry_add(struct registry *r, struct session *s)
{
        int ret = name_tree_add(r->name_tree, &s->name_entry, s->name, s->name_len);

        if (ret < 0)
                return ret;
        ret = subscription_add(r->subscriptions, &s->subscriber, registry_first_mask,
                               strlen(registry_first_mask));
        if (ret < 0) {
                name_tree_remove(r->name_tree, &s->name_entry);
                return ret;
        }
        table_insert(&r->names, &s->by_name, table_hash(&r->names, s->name, s->name_len));
        table_insert(&r->ids, &s->by_id, table_hash(&r->ids, &s->id, sizeof(s->id)));
        if (s->primary) {
                LIST_INSERT_HEAD(&s->primary->secondaries, s, secondary_of);
                s->primary->n_secondaries++;
        }
        account_take(s->account, QUOTA_NAMES);
        account_give_back(s->account, QUOTA_HANDSHAKES, s->nameless);
        s->nameless = false;
        s->registered = true;
        s->state = SESSION_LIVE;
        r->n_clients++;
        r->version++;
        return 0;
}

void registry_remove(struct registry *r, struct session *s)
{
        if (!s->registered)
                return;
        table_remove(&r->names, &s->by_name);
        table_remove(&r->ids, &s->by_id);
        name_tree_remove(r->name_tree, &s->name_entry);
        subscription_remove_all(r->subscriptions, &s->subscriber);
        if (s->primary) {
                LIST_REMOVE(s, secondary_of);
                s->primary->n_secondaries--;
                s->primary = NULL;
        }
        account_give_back(s->account, QUOTA_NAMES, 1);
        s->registered = false;
        r->n_clients--;
        r->version++;
}

static int refuse(struct refusal *ret, uint8_t code, enum engine_cause cause, const char *reason)
{
        *ret = (struct refusal){.code = code, .cause = cause, .reason = reason};
        return code;
}

/* A secondary's primary must be there, and be the same peer's. */
static int claim_primary(struct session *s, struct refusal *ret)
{
        struct session *primary;

        if (session_is_primary(s))
                return WIRE_OK;
        primary = registry_find(&s->engine->registry, s->name, s->primary_len);
        if (!primary || primary->state != SESSION_LIVE)
                return refuse(ret, WIRE_NOT_REGISTERED, ENGINE_CAUSE_NAME,
                              "its primary is not registered");
        if (primary->account != s->account)
                return refuse(ret, WIRE_ACCESS, ENGINE_CAUSE_RULE,
                              "its primary belongs to another user or address");
        s->primary = primary;
        return WIRE_OK;
}

/* May it have one name more? The one that it takes from its own user's client does not count. */
static int claim_quota(struct session *s, const struct session *holder, struct refusal *ret)
{
        if ((holder && holder->account == s->account) ||
            account_has_room(s->engine->accounts, s->account, QUOTA_NAMES))
                return WIRE_OK;
        return refuse(ret, WIRE_ACCESS, ENGINE_CAUSE_QUOTA,
                      "its user has as many names as it may (MaxNamesPerUser)");
}

static bool may_take_over(const struct session *s, const struct session *holder)
{
        switch (s->engine->config.force_register) {
        case FORCE_REGISTER_ANY:
                return session_is_primary(s);
        case FORCE_REGISTER_SAME_IDENTITY:
                return session_is_primary(s) && holder->account == s->account;
        case FORCE_REGISTER_NO:
                break;
        }
        return false;
}

/* Somebody has the name. */
static int claim_from(struct session *s, struct session *holder, struct refusal *ret)
{
        if (holder->state != SESSION_LIVE)
                return 0;
        if (holder->fd >= 0 && transport_peer_hung_up(holder->fd)) {
                /* Its last bytes are read first: what they say was sent before. */
                holder->hung_up = holder->readable = true;
                worker_run_later(holder);
                return 0;
        }
        if (may_take_over(s, holder)) {
                holder->announced = false;
                session_drain(holder, ENGINE_EVENT_TAKEOVER,
                              "its name was taken over by a new client");
                return 0;
        }
        return refuse(ret, WIRE_BUSY, ENGINE_CAUSE_NAME, "the name is taken");
}

static int claim_name(struct session *s, struct refusal *ret)
{
        struct registry *r = &s->engine->registry;
        struct session *holder = registry_find(r, s->name, s->name_len);
        int code = claim_quota(s, holder, ret);

        if (code != WIRE_OK)
                return code;
        if (holder)
                return claim_from(s, holder, ret);
        if (registry_add(r, s) < 0)
                return refuse(ret, WIRE_OTHER, ENGINE_CAUSE_NO_MEMORY, "no memory to register it");
        return WIRE_OK;
}

int registry_claim(struct session *s, struct refusal *ret)
{
        int code = claim_primary(s, ret);

        if (code == WIRE_OK)
                code = claim_name(s, ret);
        if (code != WIRE_OK)
                s->primary = NULL;
        return code;
}
