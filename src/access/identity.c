/* SPDX-License-Identifier: Apache-2.0 */
/* Who counts as one. */
#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "access/access.h"

struct identity identity_of_user(uid_t uid)
{
        struct identity id = {.kind = IDENTITY_USER};

        static_assert(sizeof(uid) <= sizeof(id.bytes), "a uid must fit");
        memcpy(id.bytes, &uid, sizeof(uid));
        return id;
}

struct identity identity_of_ipv4(const uint8_t address[4])
{
        static const uint8_t loopback[4] = {127, 0, 0, 1};
        struct identity id = {.kind = IDENTITY_IPV4};

        memcpy(id.bytes, address[0] == 127 ? loopback : address, 4);
        return id;
}

struct identity identity_of_ipv6(const uint8_t address[16])
{
        static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
        static const uint8_t loopback[16] = {[15] = 1};
        struct identity id = {.kind = IDENTITY_IPV6};

        if (memcmp(address, mapped, sizeof(mapped)) == 0)
                return identity_of_ipv4(address + sizeof(mapped));
        if (memcmp(address, loopback, sizeof(loopback)) == 0)
                return identity_of_ipv4((const uint8_t[4]){127, 0, 0, 1});
        memcpy(id.bytes, address, sizeof(id.bytes));
        return id;
}

bool identity_equal(const struct identity *a, const struct identity *b)
{
        return a->kind == b->kind && memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

void identity_format(const struct identity *id, char *out, size_t size)
{
        uint8_t address[16] = {0};
        char text[INET6_ADDRSTRLEN];
        uid_t uid;

        switch (id->kind) {
        case IDENTITY_USER:
                memcpy(&uid, id->bytes, sizeof(uid));
                snprintf(out, size, "user %u", (unsigned)uid);
                break;
        case IDENTITY_IPV4:
                snprintf(out, size, "%s", inet_ntop(AF_INET, id->bytes, text, sizeof(text)));
                break;
        case IDENTITY_IPV6:
                memcpy(address, id->bytes, sizeof(id->bytes));
                snprintf(out, size, "%s/64", inet_ntop(AF_INET6, address, text, sizeof(text)));
                break;
        default:
                snprintf(out, size, "broker");
        }
}
