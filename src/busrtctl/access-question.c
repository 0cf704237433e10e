/* SPDX-License-Identifier: Apache-2.0 */
#include "basic/macro.h"
#include "busrtctl/access-question.h"

const char *const access_deed_names[ACCESS_N_DEEDS] = {
        [ACCESS_BEAR] = "bear", [ACCESS_PUBLISH] = "publish",     [ACCESS_SUBSCRIBE] = "subscribe",
        [ACCESS_SEND] = "send", [ACCESS_BROADCAST] = "broadcast", [ACCESS_RECEIVE] = "receive",
};

enum access_deed access_deed_find(const char *word, size_t len)
{
        enum access_deed deed = 0;

        while (deed < ACCESS_N_DEEDS && (strlen(access_deed_names[deed]) != len ||
                                         memcmp(access_deed_names[deed], word, len) != 0))
                deed++;
        return deed;
}

static struct verdict judge_name(const struct access_rules *rules, const char *name, size_t len,
                                 const struct access_peer *peer)
{
        struct verdict v = access_check_name(name, len);

        return v.allow ? access_check_identity(rules, name, len, peer) : v;
}

/* The broker itself takes whatever it is sent. */
static struct verdict judge_send(const struct access_rules *rules, const struct access_rule *rule,
                                 const char *name, const char *target)
{
        struct verdict v = access_check_send(rule, target, strlen(target)), taken;

        if (!v.allow || strcmp(target, ".broker") == 0)
                return v;
        taken = access_check_receive(access_rules_find(rules, target, strlen(target)), name,
                                     strlen(name));
        return taken.allow ? v : taken;
}

struct verdict access_judge(const struct access_rules *rules, const char *name,
                            const struct access_peer *peer, enum access_deed deed,
                            const char *object)
{
        size_t len = strlen(name), object_len = object ? strlen(object) : 0;
        const struct access_rule *rule = access_rules_find(rules, name, len);

        switch (deed) {
        case ACCESS_PUBLISH:
                return access_check_publish(rule, object, object_len);
        case ACCESS_SUBSCRIBE:
                return access_check_subscribe(rule, object, object_len);
        case ACCESS_SEND:
                return judge_send(rules, rule, name, object);
        case ACCESS_BROADCAST:
                return access_check_broadcast(rule, object, object_len);
        case ACCESS_RECEIVE:
                return access_check_receive(rule, object, object_len);
        default:
                return judge_name(rules, name, len, peer);
        }
}
