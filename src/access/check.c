/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What rules say. Every question ends in allow() or refuse(), so that each verdict has its reason
 * and its place. No memory is taken, and the only loops are over one key's words (those over masks
 * are in search.c).
 */
#include <string.h>

#include "access/internal.h"
#include "wire/frame.h"

static const char no_rules[] = "there are no access rules";
static const char no_section[] = "no section of the access rules matches the name";
static const char own_client[] = "it is the broker's own client";

static const struct {
        const char *allowed;
        const char *refused;
} reasons[ACCESS_N_KEYS] = {
        [ACCESS_ALLOW_USERS] = {"the access rules allow this user the name",
                                "the access rules do not allow this user the name"},
        [ACCESS_ALLOW_GROUPS] = {"the access rules allow this user's group the name",
                                 "the access rules do not allow this user's groups the name"},
        [ACCESS_ALLOW_HOSTS] = {"the access rules allow this host the name",
                                "the access rules do not allow this host the name"},
        [ACCESS_SEND_TO] = {"the access rules allow messages to the target",
                            "the access rules do not allow messages to the target"},
        [ACCESS_BROADCAST_TO] = {"the access rules allow broadcasts to the mask",
                                 "the access rules do not allow broadcasts to all of the mask"},
        [ACCESS_PUBLISH_TO] = {"the access rules allow publishing to the topic",
                               "the access rules do not allow publishing to the topic"},
        [ACCESS_SUBSCRIBE_TO] = {"the access rules allow subscribing to the mask",
                                 "the access rules do not allow subscribing to all of the mask"},
        [ACCESS_RECEIVE_FROM] = {"the access rules allow frames from the sender",
                                 "the access rules do not allow frames from the sender"},
};

static struct verdict allow(const char *reason, const struct access_place *place)
{
        return (struct verdict){
                .allow = true,
                .code = WIRE_OK,
                .reason = reason,
                .file = place ? place->file : NULL,
                .line = place ? place->line : 0,
        };
}

static struct verdict refuse(const struct access_rule *rule, enum access_key key)
{
        const struct list *list = &rule->lists[key];
        const struct access_place *place = list->n_items > 0 ? &list->place : &rule->place;

        return (struct verdict){
                .code = WIRE_ACCESS,
                .reason = rule == &access_rule_of_nobody ? no_section : reasons[key].refused,
                .file = place->file,
                .line = place->line,
        };
}

/* --- Who may bear a name --- */

static const struct item *find_id(const struct list *list, uint32_t id)
{
        size_t low = 0, high = list->n_items;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (item_compare_id(&list->items[middle], id) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low < list->n_items && list->items[low].id == id ? &list->items[low] : NULL;
}

static const struct item *find_group(const struct list *list, const struct access_peer *peer)
{
        const struct item *item = find_id(list, peer->gid);

        for (size_t i = 0; list->n_items > 0 && i < peer->n_groups && !item; i++)
                item = find_id(list, peer->groups[i]);
        return item;
}

static const struct item *find_host(const struct list *list, const struct access_peer *peer)
{
        struct host host = peer->kind == IDENTITY_IPV4 ? host_of_ipv4(peer->address, 32)
                                                       : host_of_ipv6(peer->address, 128);

        for (size_t i = 0; i < list->n_items; i++)
                if (host_holds(&list->items[i].host, &host))
                        return &list->items[i];
        return NULL;
}

static struct verdict check_user(const struct access_rule *rule, const struct access_peer *peer)
{
        const struct list *users = &rule->lists[ACCESS_ALLOW_USERS];
        const struct list *groups = &rule->lists[ACCESS_ALLOW_GROUPS];
        enum access_key key = ACCESS_ALLOW_USERS;
        const struct item *item = find_id(users, peer->uid);

        if (!item)
                item = find_id(users, ANY_USER);
        if (!item) {
                key = ACCESS_ALLOW_GROUPS;
                item = find_group(groups, peer);
        }
        if (item)
                return allow(reasons[key].allowed, &item->place);
        return refuse(rule, users->n_items == 0 && groups->n_items > 0 ? ACCESS_ALLOW_GROUPS
                                                                       : ACCESS_ALLOW_USERS);
}

struct verdict access_check_identity(const struct access_rules *rules, const char *name, size_t len,
                                     const struct access_peer *peer)
{
        const struct access_rule *rule = access_rules_find(rules, name, len);
        const struct item *item;

        if (!rule)
                return allow(no_rules, NULL);
        if (peer->kind == IDENTITY_BROKER)
                return allow(own_client, NULL);
        if (peer->kind == IDENTITY_USER)
                return check_user(rule, peer);
        item = find_host(&rule->lists[ACCESS_ALLOW_HOSTS], peer);
        return item ? allow(reasons[ACCESS_ALLOW_HOSTS].allowed, &item->place)
                    : refuse(rule, ACCESS_ALLOW_HOSTS);
}

/* --- What its bearer may do --- */

static const struct item *find_literal(const struct list *list, const char *text, size_t len)
{
        size_t low = 0, high = list->n_literals;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (item_compare_text(&list->items[middle], text, len) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low < list->n_literals && item_compare_text(&list->items[low], text, len) == 0
                       ? &list->items[low]
                       : NULL;
}

/* A literal word covers nothing but itself, whether it is held against a text or a mask. */
static struct verdict check_words(const struct access_rule *rule, enum access_key key,
                                  const struct mask_syntax *syntax, covers_fn covers,
                                  const char *text, size_t len)
{
        const struct list *list = &rule->lists[key];
        const struct item *item = find_literal(list, text, len);
        unsigned n_tried = 0;
        struct verdict v;

        if (!item)
                item = list_find_wild(list, syntax, covers, text, len, &n_tried);
        v = item ? allow(reasons[key].allowed, &item->place) : refuse(rule, key);
        v.n_tried = n_tried;
        return v;
}

static bool is_text(const char *text, size_t len, const char *other)
{
        return len == strlen(other) && memcmp(text, other, len) == 0;
}

struct verdict access_check_send(const struct access_rule *rule, const char *target, size_t len)
{
        if (!rule)
                return allow(no_rules, NULL);
        return check_words(rule, ACCESS_SEND_TO, &mask_name, covers_text, target,
                           access_primary_len(target, len));
}

struct verdict access_check_broadcast(const struct access_rule *rule, const char *mask, size_t len)
{
        if (!rule)
                return allow(no_rules, NULL);
        return check_words(rule, ACCESS_BROADCAST_TO, &mask_name, covers_mask, mask, len);
}

/* Clients believe what comes under these topics, since it comes from the broker. */
static bool is_broker_topic(const char *topic, size_t len)
{
        static const char below[] = ".broker/";

        return is_text(topic, len, ".broker") ||
               (len >= strlen(below) && memcmp(topic, below, strlen(below)) == 0);
}

struct verdict access_check_publish(const struct access_rule *rule, const char *topic, size_t len)
{
        if (!rule)
                return allow(no_rules, NULL);
        if (is_broker_topic(topic, len) && rule != &access_rule_of_nobody) {
                struct verdict v = refuse(rule, ACCESS_PUBLISH_TO);

                v.reason = "with access rules only the broker publishes below .broker";
                return v;
        }
        return check_words(rule, ACCESS_PUBLISH_TO, &mask_topic, covers_text, topic, len);
}

struct verdict access_check_subscribe(const struct access_rule *rule, const char *mask, size_t len)
{
        if (!rule)
                return allow(no_rules, NULL);
        if (is_text(mask, len, ".broker/warn"))
                return allow("every client is subscribed to .broker/warn", NULL);
        return check_words(rule, ACCESS_SUBSCRIBE_TO, &mask_topic, covers_mask, mask, len);
}

bool access_rules_subscribe_alike(const struct access_rule *a, const struct access_rule *b)
{
        const struct list *one, *other;

        if (!a || !b)
                return a == b;
        one = &a->lists[ACCESS_SUBSCRIBE_TO];
        other = &b->lists[ACCESS_SUBSCRIBE_TO];
        if (one->n_items != other->n_items)
                return false;
        for (size_t i = 0; i < one->n_items; i++)
                if (item_compare_text(&one->items[i], other->items[i].mask.text,
                                      other->items[i].mask.len) != 0)
                        return false;
        return true;
}

bool access_rule_is_picky(const struct access_rule *rule)
{
        return rule &&
               (rule == &access_rule_of_nobody || rule->lists[ACCESS_RECEIVE_FROM].n_items > 0);
}

struct verdict access_check_receive(const struct access_rule *rule, const char *sender, size_t len)
{
        if (!rule)
                return allow(no_rules, NULL);
        if (is_text(sender, len, ".broker"))
                return allow("everybody hears the broker", NULL);
        if (!access_rule_is_picky(rule))
                return allow("the access rules do not say from whom frames are taken",
                             &rule->place);
        return check_words(rule, ACCESS_RECEIVE_FROM, &mask_name, covers_text, sender,
                           access_primary_len(sender, len));
}
