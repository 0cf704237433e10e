/* SPDX-License-Identifier: Apache-2.0 */
/* The questions to access rules by the key that answers them. */
#pragma once

#include "access/rules.h"

/* key: ACCESS_SEND_TO and those behind it. */
static inline struct verdict access_ask(const struct access_rule *rule, enum access_key key,
                                        const char *text, size_t len)
{
        switch (key) {
        case ACCESS_SEND_TO:
                return access_check_send(rule, text, len);
        case ACCESS_BROADCAST_TO:
                return access_check_broadcast(rule, text, len);
        case ACCESS_PUBLISH_TO:
                return access_check_publish(rule, text, len);
        case ACCESS_SUBSCRIBE_TO:
                return access_check_subscribe(rule, text, len);
        default:
                return access_check_receive(rule, text, len);
        }
}
