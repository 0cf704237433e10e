/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a set of rules is made of; for builder.c, which makes it, rules.c, which keeps it, and
 * check.c and search.c, which ask it.
 *
 * A key's words are one array. Literal masks stand first, sorted, and are searched by halving;
 * masks with wildcards follow, sorted by mask_compare(). Users and groups are sorted by number. Of
 * equal words the one that was said first stands first.
 */
#pragma once

#include "access/rules.h"
#include "basic/table.h"
#include "route/mask.h"

#define ANY_USER UINT32_MAX /* (uid_t)-1 is no user; sorted behind all others */

/* An address as rules see it: mapped IPv4 is IPv4, and all of loopback is the same. */
struct host {
        uint8_t family_bytes;
        uint8_t n_bits; /* of a peer's: all */
        bool loopback;  /* of a prefix: it holds one of them */
        uint8_t address[16];
};

struct item {
        struct access_place place;
        unsigned order; /* in which they were said */
        bool literal;
        union {
                struct {
                        char *text;
                        size_t len;
                } mask;
                uint32_t id;
                struct host host;
        };
};

struct list {
        struct item *items;
        size_t n_items;
        size_t n_literals;
        size_t size;               /* there is room for so many */
        struct access_place place; /* of the first word in force */
};

struct access_rule {
        struct table_node node;
        char *mask; /* canonical */
        size_t len;
        struct access_place place; /* of the first header */
        bool literal;
        struct list lists[ACCESS_N_KEYS];
};

struct file_name {
        struct file_name *next;
        char text[];
};

struct access_rules {
        unsigned n_refs; /* atomic */
        struct table by_mask;
        struct access_rule **sections; /* those with wildcards first, the most specific first */
        size_t n_sections;
        size_t n_wild;
        size_t size;
        size_t n_words;
        struct file_name *files;
};

/* The rule of clients that no section names: it refuses everything. */
extern const struct access_rule access_rule_of_nobody;

struct access_rule *rule_free(struct access_rule *rule);
void rule_list_clear(struct list *list, enum access_key key);
/* By its canonical mask; NULL: there is none. hash is table_hash() of the mask. */
struct access_rule *rules_find_section(const struct access_rules *rules, const char *mask,
                                       size_t len, uint64_t hash);

struct host host_of_ipv4(const uint8_t address[4], uint8_t n_bits);
struct host host_of_ipv6(const uint8_t address[16], uint8_t n_bits);
/* Does this prefix hold that address? */
bool host_holds(const struct host *prefix, const struct host *address);

/* By number or by bytes alone, whatever the order in which words were said. */
int item_compare_id(const struct item *a, uint32_t id);
int item_compare_text(const struct item *a, const char *text, size_t len);

/* search.c: does that mask cover the text, or another mask? */
typedef bool (*covers_fn)(const struct mask_syntax *syntax, const char *mask, size_t mask_len,
                          const char *text, size_t len);
bool covers_text(const struct mask_syntax *syntax, const char *mask, size_t mask_len,
                 const char *text, size_t len);
bool covers_mask(const struct mask_syntax *syntax, const char *mask, size_t mask_len,
                 const char *inner, size_t len);
/* Of the masks with wildcards that cover it the one that was said first; NULL: none does. */
const struct item *list_find_wild(const struct list *list, const struct mask_syntax *syntax,
                                  covers_fn covers, const char *text, size_t len,
                                  unsigned *ret_n_tried);
