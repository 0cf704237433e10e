/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is it, and may it? Identities of peers, the accounts that hold what each of them costs, and
 * the one function that gives verdicts on names. Pure: text and numbers in, verdict out.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "basic/table.h"

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

/* What one identity holds. Counters are changed by any thread, by atomic adds. */
struct account {
        struct table_node node;
        struct identity identity;
        unsigned n_refs;      /* under accounts.lock */
        size_t n_connections; /* under accounts.lock */
        size_t held;          /* bytes of the broker's memory, atomic */
};

struct accounts;

int accounts_new(size_t max_connections, size_t max_held, size_t max_held_one,
                 struct accounts **ret);
/* All references must be gone, nothing may be held: asserted. */
struct accounts *accounts_free(struct accounts *a);
void accounts_set_limits(struct accounts *a, size_t max_connections, size_t max_held,
                         size_t max_held_one);

/* Counts one more connection of that identity. -EDQUOT: it has as many as it may. */
int accounts_connect(struct accounts *a, const struct identity *id, struct account **ret);
/* The counterpart: one connection less, and drops the reference. Returns NULL. */
struct account *accounts_disconnect(struct accounts *a, struct account *account);
struct account *account_ref(struct accounts *a, struct account *account);
struct account *account_unref(struct accounts *a, struct account *account);

enum charge_result {
        CHARGE_OK,
        CHARGE_OVER_ONE, /* this identity holds more than its share */
        CHARGE_OVER_ALL, /* all of them together hold more than the limit */
};

/* Before memory is taken. On anything but CHARGE_OK nothing is charged. */
enum charge_result account_charge(struct accounts *a, struct account *account, size_t bytes);
void account_release(struct accounts *a, struct account *account, size_t bytes);

size_t accounts_held(const struct accounts *a);
/* How much may be held. */
size_t accounts_limit(const struct accounts *a);
/* The account that holds most; NULL if there is none. The reference is the caller's. */
struct account *accounts_largest(struct accounts *a);

/* The answer to "may it?": code is an enum wire_result for the peer, reason a text for the log.
 * file and line name the rule where one decided. */
struct verdict {
        bool allow;
        uint8_t code;
        const char *reason;
        const char *file;
        unsigned line;
};

/* May a client register by this name? (docs/protocol.md, 1.) Whether it is taken is the registry's
 * to say. */
struct verdict access_check_name(const char *name, size_t len);

/* The length of the primary's name: what stands before the first "%%"; len itself for a primary. */
size_t access_primary_len(const char *name, size_t len);
