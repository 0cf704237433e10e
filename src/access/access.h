/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is it, and may it? Identities of peers, and the one function that gives verdicts on names.
 * Pure: text and numbers in, verdict out.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum identity_kind {
        IDENTITY_BROKER, /* the broker's own clients */
        IDENTITY_USER,   /* a uid, of a UNIX socket's peer */
        IDENTITY_IPV4,   /* an address */
        IDENTITY_IPV6,   /* a /64 prefix; all of loopback TCP is one identity */
};

struct identity {
        uint8_t kind;
        uint8_t bytes[8]; /* uid, address or prefix; the rest zero */
};

struct identity identity_of_user(uid_t uid);
/* address: 4 or 16 bytes in network order. Mapped IPv4 counts as IPv4, loopback of either as
 * 127.0.0.1. */
struct identity identity_of_ipv4(const uint8_t address[4]);
struct identity identity_of_ipv6(const uint8_t address[16]);
bool identity_equal(const struct identity *a, const struct identity *b);
/* "user 1000", "192.0.2.7", "2001:db8::/64", "broker" */
void identity_format(const struct identity *id, char *out, size_t size);

/* The answer to "may it?": code is an enum wire_result for the peer, reason a text for the log.
 * file and line name the rule where one decided. n_tried: masks of rules that it was held against,
 * which is what it cost. */
struct verdict {
        bool allow;
        uint8_t code;
        const char *reason;
        const char *file;
        unsigned line;
        unsigned n_tried;
};

/* May a client register by this name? (docs/protocol.md, 1.) Whether it is taken is the registry's
 * to say. */
struct verdict access_check_name(const char *name, size_t len);

/* The length of the primary's name: what stands before the first "%%"; len itself for a primary. */
size_t access_primary_len(const char *name, size_t len);
