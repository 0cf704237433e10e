/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of rules: how long they live, and which of their sections counts. */
#include <stdlib.h>

#include "access/internal.h"
#include "basic/macro.h"

static void item_done(struct item *item, enum access_key key)
{
        if (key >= ACCESS_SEND_TO)
                free(item->mask.text);
}

void rule_list_clear(struct list *list, enum access_key key)
{
        for (size_t i = 0; i < list->n_items; i++)
                item_done(&list->items[i], key);
        free(list->items);
        *list = (struct list){0};
}

struct access_rule *rule_free(struct access_rule *rule)
{
        if (!rule)
                return NULL;
        for (enum access_key key = 0; key < ACCESS_N_KEYS; key++)
                rule_list_clear(&rule->lists[key], key);
        free(rule->mask);
        free(rule);
        return NULL;
}

static void rules_free(struct access_rules *rules)
{
        struct file_name *file = rules->files;

        for (size_t i = 0; i < rules->n_sections; i++)
                rule_free(rules->sections[i]);
        free(rules->sections);
        table_done(&rules->by_mask);
        while (file) {
                struct file_name *next = file->next;

                free(file);
                file = next;
        }
        free(rules);
}

struct access_rules *access_rules_ref(struct access_rules *rules)
{
        if (rules)
                __atomic_fetch_add(&rules->n_refs, 1, __ATOMIC_RELAXED);
        return rules;
}

struct access_rules *access_rules_unref(struct access_rules *rules)
{
        if (rules && __atomic_fetch_sub(&rules->n_refs, 1, __ATOMIC_ACQ_REL) == 1)
                rules_free(rules);
        return NULL;
}

/* --- Words --- */

int item_compare_id(const struct item *a, uint32_t id)
{
        return (a->id > id) - (a->id < id);
}

/* Shorter before longer: most comparisons need no look at the bytes. */
int item_compare_text(const struct item *a, const char *text, size_t len)
{
        if (a->mask.len != len)
                return a->mask.len < len ? -1 : 1;
        return len > 0 ? memcmp(a->mask.text, text, len) : 0;
}

/* --- Looking --- */

struct access_rule *rules_find_section(const struct access_rules *rules, const char *mask,
                                       size_t len, uint64_t hash)
{
        struct table_node *n;

        table_foreach (n, &rules->by_mask, hash) {
                struct access_rule *rule = container_of(n, struct access_rule, node);

                if (rule->len == len && memcmp(rule->mask, mask, len) == 0)
                        return rule;
        }
        return NULL;
}

const struct access_rule access_rule_of_nobody = {.mask = (char[]){""}};

size_t access_rules_n_sections(const struct access_rules *rules)
{
        return rules ? rules->n_sections : 0;
}

size_t access_rules_n_words(const struct access_rules *rules)
{
        return rules ? rules->n_words : 0;
}

/* A literal mask that matches is more specific than any other that does: one look into the table
 * finds it. The others are in order, so that the first one is the answer. */
const struct access_rule *access_rules_find(const struct access_rules *rules, const char *name,
                                            size_t len)
{
        const struct access_rule *rule;

        if (access_rules_n_sections(rules) == 0)
                return NULL;
        len = access_primary_len(name, len);
        rule = rules_find_section(rules, name, len, table_hash(&rules->by_mask, name, len));
        if (rule && rule->literal)
                return rule;
        for (size_t i = 0; i < rules->n_wild; i++) {
                rule = rules->sections[i];
                if (mask_match(&mask_name, rule->mask, rule->len, name, len))
                        return rule;
        }
        return &access_rule_of_nobody;
}

const char *access_rule_mask(const struct access_rule *rule, size_t *ret_len)
{
        *ret_len = rule->len;
        return rule->mask;
}
