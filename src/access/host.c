/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses in rules. An IPv4 peer that came over an IPv6 socket is an IPv4 peer, and every process
 * of this machine can take any address of loopback: so those are one host, 127.0.0.1, whichever a
 * rule or a peer has.
 */
#include <string.h>

#include "access/internal.h"

static const uint8_t ipv4_loopback[4] = {127};
static const uint8_t ipv6_loopback[16] = {[15] = 1};
static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

#define IPV4_LOOPBACK_BITS 8
#define MAPPED_BITS 96

static bool bits_are_equal(const uint8_t *a, const uint8_t *b, size_t n_bits)
{
        size_t n_bytes = n_bits / 8, rest = n_bits % 8;

        return memcmp(a, b, n_bytes) == 0 &&
               (rest == 0 || (a[n_bytes] ^ b[n_bytes]) >> (8 - rest) == 0);
}

struct host host_of_ipv4(const uint8_t address[4], uint8_t n_bits)
{
        struct host host = {.family_bytes = 4, .n_bits = n_bits};
        size_t common = n_bits < IPV4_LOOPBACK_BITS ? n_bits : IPV4_LOOPBACK_BITS;

        memcpy(host.address, address, 4);
        host.loopback = bits_are_equal(address, ipv4_loopback, common);
        return host;
}

struct host host_of_ipv6(const uint8_t address[16], uint8_t n_bits)
{
        struct host host = {.family_bytes = 16, .n_bits = n_bits};

        if (n_bits >= MAPPED_BITS && memcmp(address, mapped, sizeof(mapped)) == 0)
                return host_of_ipv4(address + sizeof(mapped), n_bits - MAPPED_BITS);
        memcpy(host.address, address, 16);
        host.loopback = bits_are_equal(address, ipv6_loopback, n_bits);
        return host;
}

bool host_holds(const struct host *prefix, const struct host *address)
{
        if (address->loopback)
                return prefix->loopback;
        return prefix->family_bytes == address->family_bytes &&
               bits_are_equal(prefix->address, address->address, prefix->n_bits);
}
