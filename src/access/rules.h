/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may bear which name, and what a bearer may do (docs/man/busrt.access.5.scd). A request passes
 * one chain of verdicts, and the first refusal is the answer:
 *
 *      identity   who is it?                           access.h: struct identity
 *      name       is this a name at all?               access.h: access_check_name()
 *      rule       may it bear the name?                access_check_identity()
 *                 may it send, publish, subscribe?     access_check_send() ...
 *      quota      has it room left?                    account.h: accounts_connect() ...
 *
 * A set of rules is made once, by a builder, and never changed: any thread may ask it without a
 * lock, as long as it holds a reference. Questions allocate nothing. Pure: users and groups come as
 * numbers, hosts as bytes; src/config/access.h reads the files.
 */
#pragma once

#include "access/access.h"

#define ACCESS_SECTIONS_MAX 4096
#define ACCESS_WORDS_MAX 65536     /* of all sections together */
#define ACCESS_MASK_MAX 4096       /* bytes of one mask */
#define ACCESS_TEXT_MAX (4u << 20) /* bytes of all masks and file names together */

struct access_rules;
struct access_rule; /* what one section says */

/* NULL, and a set without sections: everybody may everything. */
struct access_rules *access_rules_ref(struct access_rules *rules);
/* From any thread. Takes NULL and returns it. */
struct access_rules *access_rules_unref(struct access_rules *rules);

size_t access_rules_n_sections(const struct access_rules *rules);
size_t access_rules_n_words(const struct access_rules *rules);

/* --- Questions --- */

/* Who is at the other end, with all that a rule may ask for. */
struct access_peer {
        enum identity_kind kind; /* IDENTITY_BROKER may bear any name */
        uid_t uid;               /* IDENTITY_USER, and its groups */
        gid_t gid;
        const gid_t *groups; /* supplementary ones, in any order */
        size_t n_groups;
        uint8_t address[16]; /* whole, not just its prefix; IDENTITY_IPV4: the first 4 bytes */
};

/* The rule for the client of that name, or for its primary: of the sections whose masks match, the
 * most specific. Where none does, a rule that refuses everything. It stays valid as long as the
 * rules are referenced. NULL: there are no access rules. */
const struct access_rule *access_rules_find(const struct access_rules *rules, const char *name,
                                            size_t len);
/* The mask of a rule's section. "" and 0: no section matches. */
const char *access_rule_mask(const struct access_rule *rule, size_t *ret_len);

/* Does it say from whom frames are taken? NULL: no. */
bool access_rule_is_picky(const struct access_rule *rule);

/* Are their bearers allowed the same subscriptions, by the same masks? NULL: all. */
bool access_rules_subscribe_alike(const struct access_rule *a, const struct access_rule *b);

/* All of the following give WIRE_OK or WIRE_ACCESS. file (the rules' own) and line: of the word
 * that allowed; of the key that did not, or of the section where it has no such key; NULL and 0
 * where no section matches or no rule was needed. */

/* May this peer bear that name? access_check_name() was asked before. */
struct verdict access_check_identity(const struct access_rules *rules, const char *name, size_t len,
                                     const struct access_peer *peer);

/* rule: of the client that asks; NULL: there are no access rules. Names of secondaries count as
 * their primary's. */
struct verdict access_check_send(const struct access_rule *rule, const char *target, size_t len);
struct verdict access_check_broadcast(const struct access_rule *rule, const char *mask, size_t len);
struct verdict access_check_publish(const struct access_rule *rule, const char *topic, size_t len);
struct verdict access_check_subscribe(const struct access_rule *rule, const char *mask, size_t len);
/* rule: of the receiver. */
struct verdict access_check_receive(const struct access_rule *rule, const char *sender, size_t len);

/* --- Making rules --- */

enum access_key {
        ACCESS_ALLOW_USERS,
        ACCESS_ALLOW_GROUPS,
        ACCESS_ALLOW_HOSTS,
        ACCESS_SEND_TO, /* from here on masks */
        ACCESS_BROADCAST_TO,
        ACCESS_PUBLISH_TO,
        ACCESS_SUBSCRIBE_TO,
        ACCESS_RECEIVE_FROM,
        ACCESS_N_KEYS,
};

struct access_place {
        const char *file; /* copied */
        unsigned line;
};

/* Addresses that begin with the same bits. */
struct access_prefix {
        uint8_t family_bytes; /* 4 or 16 */
        uint8_t n_bits;
        uint8_t address[16]; /* network order; bits behind n_bits do not count */
};

/* One word behind a key. */
struct access_word {
        const char *mask; /* masks, copied */
        size_t len;
        bool any;    /* AllowUsers: "*" */
        uint32_t id; /* AllowUsers, AllowGroups */
        struct access_prefix prefix;
};

struct access_builder;

int access_builder_new(struct access_builder **ret);
struct access_builder *access_builder_free(struct access_builder *b);

/* All return 0, -ENOMEM, -E2BIG (beyond one of the limits above), or -EINVAL with a static text in
 * *ret_why. What was added before stays. */

/* The section of that mask, a new one where there is none of the same canonical mask. */
int access_builder_section(struct access_builder *b, const char *mask, size_t len,
                           const struct access_place *place, struct access_rule **ret,
                           const char **ret_why);
int access_builder_add(struct access_builder *b, struct access_rule *section, enum access_key key,
                       const struct access_word *word, const struct access_place *place,
                       const char **ret_why);
/* Takes back all words of that key: it counts as absent until there are new ones. */
void access_builder_reset(struct access_builder *b, struct access_rule *section,
                          enum access_key key);
/* Ends the builder: *b becomes NULL. Never fails. */
struct access_rules *access_builder_finish(struct access_builder **b);
