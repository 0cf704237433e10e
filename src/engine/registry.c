/* SPDX-License-Identifier: Apache-2.0 */
/* Who is on the bus: by name, by id, by dotted parts, by subscription. */
#include "engine/internal.h"

static const char first_mask[] = ".broker/warn"; /* what every client is subscribed to at first */

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
        ret = subscription_add(r->subscriptions, &s->subscriber, first_mask, strlen(first_mask));
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
        s->registered = false;
        r->n_clients--;
        r->version++;
}

/* About: a node for each part, which none may share, the mask's text, and the subscription itself.
 * The mask that every client has from the start costs nobody anything. */
static size_t subscription_cost(const char *mask, size_t len)
{
        size_t canonical = mask_canonical_len(&mask_topic, mask, len);

        if (canonical == strlen(first_mask) && memcmp(mask, first_mask, canonical) == 0)
                return 0;
        return 128 + 128 * mask_n_parts(&mask_topic, mask, canonical) + 2 * canonical;
}

/* One client's may be half of what its user may hold: the rest is for frames. */
int session_subscribe(struct session *s, struct subscription_tree *tree,
                      struct subscriber *subscriber, const char *mask, size_t len)
{
        struct engine *e = s->worker->engine;
        size_t cost = subscription_cost(mask, len);
        int r;

        if (s->subscribed + cost > e->config.queue_memory_max / 4 ||
            account_charge(e->accounts, s->account, cost) != CHARGE_OK)
                return -EDQUOT;
        r = subscription_add(tree, subscriber, mask, len);
        if (r == 1)
                s->subscribed += cost;
        else
                account_release(e->accounts, s->account, cost);
        return r;
}

int session_unsubscribe(struct session *s, struct subscription_tree *tree,
                        struct subscriber *subscriber, const char *mask, size_t len)
{
        size_t cost = subscription_cost(mask, len);
        int r = subscription_remove(tree, subscriber, mask, len);

        if (r == 1) {
                account_release(s->worker->engine->accounts, s->account, cost);
                s->subscribed -= cost;
        }
        return r;
}

/* A secondary's primary must be there, and be the same peer's. */
static int claim_primary(struct session *s, const char **ret_reason)
{
        struct session *primary;

        if (session_is_primary(s))
                return WIRE_OK;
        primary = registry_find(&s->worker->engine->registry, s->name, s->primary_len);
        if (!primary || primary->state != SESSION_LIVE) {
                *ret_reason = "its primary is not registered";
                return WIRE_NOT_REGISTERED;
        }
        if (primary->account != s->account) {
                *ret_reason = "its primary belongs to another user or address";
                return WIRE_ACCESS;
        }
        s->primary = primary;
        return WIRE_OK;
}

/* Somebody has the name. */
static int claim_from(struct session *s, struct session *holder, const char **ret_reason)
{
        struct engine *e = s->worker->engine;

        if (holder->state != SESSION_LIVE)
                return 0;
        if (holder->kind != TRANSPORT_INTERNAL && transport_peer_hung_up(holder->fd)) {
                /* Its last bytes are read first: what they say was sent before. */
                holder->hung_up = holder->readable = true;
                worker_run_later(holder);
                return 0;
        }
        if (e->config.force_register && session_is_primary(s)) {
                holder->announced = false;
                session_drain(holder, ENGINE_EVENT_TAKEOVER,
                              "its name was taken over by a new client");
                return 0;
        }
        *ret_reason = "the name is taken";
        return WIRE_BUSY;
}

int registry_claim(struct session *s, const char **ret_reason)
{
        struct registry *r = &s->worker->engine->registry;
        struct session *holder;
        int code = claim_primary(s, ret_reason);

        if (code != WIRE_OK)
                return code;
        holder = registry_find(r, s->name, s->name_len);
        code = holder                   ? claim_from(s, holder, ret_reason)
               : registry_add(r, s) < 0 ? WIRE_OTHER
                                        : WIRE_OK;
        if (code == WIRE_OTHER)
                *ret_reason = "no memory to register it";
        if (code != WIRE_OK)
                s->primary = NULL;
        return code;
}
