/* SPDX-License-Identifier: Apache-2.0 */
/* What a session is subscribed to, or excludes, and what that costs its user. */
#include "engine/internal.h"

/* About: a node for each part, which none may share, the mask's text, and the subscription itself.
 * The mask that every client has from the start costs nobody anything. */
static size_t subscription_cost(const char *mask, size_t len)
{
        size_t canonical = mask_canonical_len(&mask_topic, mask, len);

        if (canonical == strlen(registry_first_mask) &&
            memcmp(mask, registry_first_mask, canonical) == 0)
                return 0;
        return 128 + 128 * mask_n_parts(&mask_topic, mask, canonical) + 2 * canonical;
}

static void subscription_count(struct session *s, size_t cost)
{
        if (cost == 0)
                return;
        account_take(s->account, QUOTA_SUBSCRIPTIONS);
        s->n_subscribed++;
        s->subscribed += cost;
}

/* One client's may take half of the memory that its user may hold: the rest is for frames. */
static int subscribe_at(struct session *s, struct subscription_tree *tree,
                        struct subscriber *subscriber, const char *mask, size_t len, size_t cost)
{
        struct accounts *accounts = s->engine->accounts;
        int r;

        if (s->subscribed + cost > account_limit(accounts, s->account) / 2 ||
            account_charge(accounts, s->account, cost) != CHARGE_OK)
                return -EDQUOT;
        r = subscription_add(tree, subscriber, mask, len);
        if (r == 1)
                subscription_count(s, cost);
        else
                account_release(accounts, s->account, cost);
        return r;
}

int session_subscribe(struct session *s, struct subscription_tree *tree,
                      struct subscriber *subscriber, const char *mask, size_t len)
{
        size_t cost = subscription_cost(mask, len);
        bool has_room =
                cost == 0 || account_has_room(s->engine->accounts, s->account, QUOTA_SUBSCRIPTIONS);
        int r = has_room ? subscribe_at(s, tree, subscriber, mask, len, cost) : -EUSERS;

        /* Who has it already asks for nothing more. */
        if ((r == -EUSERS || r == -EDQUOT) && subscription_exists(tree, subscriber, mask, len))
                return 0;
        return r;
}

int session_subscribe_again(struct session *s, struct subscription_tree *tree,
                            struct subscriber *subscriber, const char *mask, size_t len)
{
        return subscribe_at(s, tree, subscriber, mask, len, subscription_cost(mask, len));
}

/* Gives back what one subscription cost that is no more. */
static void subscription_uncount(struct session *s, size_t cost)
{
        if (cost == 0)
                return;
        account_release(s->engine->accounts, s->account, cost);
        account_give_back(s->account, QUOTA_SUBSCRIPTIONS, 1);
        s->n_subscribed--;
        s->subscribed -= cost;
}

struct retaining {
        struct session *session;
        bool (*keep)(const char *mask, size_t len, void *userdata);
        void *userdata;
};

static bool retain(const char *mask, size_t len, void *userdata)
{
        const struct retaining *r = userdata;

        if (r->keep(mask, len, r->userdata))
                return true;
        subscription_uncount(r->session, subscription_cost(mask, len));
        return false;
}

void session_retain_subscriptions(struct session *s,
                                  bool (*keep)(const char *mask, size_t len, void *userdata),
                                  void *userdata)
{
        struct retaining r = {s, keep, userdata};

        subscription_retain(s->engine->registry.subscriptions, &s->subscriber, retain, &r);
}

int session_unsubscribe(struct session *s, struct subscription_tree *tree,
                        struct subscriber *subscriber, const char *mask, size_t len)
{
        int r = subscription_remove(tree, subscriber, mask, len);

        if (r == 1)
                subscription_uncount(s, subscription_cost(mask, len));
        return r;
}
