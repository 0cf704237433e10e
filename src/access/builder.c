/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How rules are made. The builder fills a set that nobody else knows yet, and finishing it sorts
 * what must be sorted. All memory is taken while words are added, so that this cannot fail.
 */
#include <stdlib.h>

#include "access/internal.h"
#include "basic/macro.h"
#include "basic/utf8.h"

struct access_builder {
        struct access_rules *rules;
        size_t n_text; /* bytes, for ACCESS_TEXT_MAX */
        unsigned order;
};

int access_builder_new(struct access_builder **ret)
{
        _cleanup_free_ struct access_builder *b = calloc(1, sizeof(*b));

        if (!b)
                return -ENOMEM;
        b->rules = calloc(1, sizeof(*b->rules));
        if (!b->rules)
                return -ENOMEM;
        b->rules->n_refs = 1;
        table_init(&b->rules->by_mask);
        *ret = TAKE_PTR(b);
        return 0;
}

struct access_builder *access_builder_free(struct access_builder *b)
{
        if (b) {
                access_rules_unref(b->rules);
                free(b);
        }
        return NULL;
}

static void rule_freep(struct access_rule **rule)
{
        *rule = rule_free(*rule);
}

/* --- Adding --- */

static int fail(const char **ret_why, int r, const char *why)
{
        *ret_why = why;
        return r;
}

/* Makes room for one more, at least doubling. */
static int array_reserve(void **items, size_t *size, size_t n, size_t item_size)
{
        size_t wanted = MAX(n + 1, *size * 2);
        void *more;

        if (n < *size)
                return 0;
        more = realloc(*items, wanted * item_size);
        if (!more)
                return -ENOMEM;
        *items = more;
        *size = wanted;
        return 0;
}

static int take_text(struct access_builder *b, size_t len, const char **ret_why)
{
        if (len > ACCESS_TEXT_MAX - b->n_text)
                return fail(ret_why, -E2BIG, "the access rules are larger than 4 MiB");
        b->n_text += len;
        return 0;
}

static int copy_text(struct access_builder *b, const char *text, size_t len, char **ret,
                     const char **ret_why)
{
        int r = take_text(b, len, ret_why);
        char *copy;

        if (r < 0)
                return r;
        copy = malloc(len + 1);
        if (!copy)
                return -ENOMEM;
        memcpy(copy, text, len);
        copy[len] = '\0';
        *ret = copy;
        return 0;
}

/* A copy of the place that lasts as long as the rules. Words come file by file, so that it is
 * enough to know the last file's name. */
static int keep_place(struct access_builder *b, const struct access_place *place,
                      struct access_place *ret, const char **ret_why)
{
        struct file_name *file = b->rules->files;
        size_t size = strlen(place->file) + 1;
        int r;

        if (!file || strcmp(file->text, place->file) != 0) {
                r = take_text(b, size, ret_why);
                if (r < 0)
                        return r;
                file = malloc(sizeof(*file) + size);
                if (!file)
                        return -ENOMEM;
                memcpy(file->text, place->file, size);
                file->next = b->rules->files;
                b->rules->files = file;
        }
        *ret = (struct access_place){file->text, place->line};
        return 0;
}

static bool key_is_of_topics(enum access_key key)
{
        return key == ACCESS_PUBLISH_TO || key == ACCESS_SUBSCRIBE_TO;
}

static const struct mask_syntax *key_syntax(enum access_key key)
{
        return key_is_of_topics(key) ? &mask_topic : &mask_name;
}

/* Sections, SendTo and ReceiveFrom are held against primaries' names, so that a mask with "%%"
 * would silently match nothing. A broadcast's mask is held against all names. */
static const char *mask_fault(const char *mask, size_t len, bool is_name, bool is_primary)
{
        if (len > ACCESS_MASK_MAX)
                return "a mask is longer than 4096 bytes";
        if (!utf8_is_valid(mask, len))
                return "a mask is not UTF-8";
        if (is_name && len == 0)
                return "a client's name cannot be empty";
        if (is_primary && access_primary_len(mask, len) != len)
                return "name the primary: what holds for it holds for what follows %% too";
        return NULL;
}

static int add_section(struct access_builder *b, const char *mask, size_t len, uint64_t hash,
                       const struct access_place *place, struct access_rule **ret,
                       const char **ret_why)
{
        _cleanup_(rule_freep) struct access_rule *rule = NULL;
        struct access_rules *rules = b->rules;
        int r;

        if (rules->n_sections == ACCESS_SECTIONS_MAX)
                return fail(ret_why, -E2BIG, "more than 4096 sections of access rules");
        r = array_reserve((void **)&rules->sections, &rules->size, rules->n_sections,
                          sizeof(*rules->sections));
        if (r < 0)
                return r;
        rule = calloc(1, sizeof(*rule));
        if (!rule)
                return -ENOMEM;
        rule->len = len;
        rule->literal = mask_is_literal(&mask_name, mask, len);
        r = copy_text(b, mask, len, &rule->mask, ret_why);
        if (r >= 0)
                r = keep_place(b, place, &rule->place, ret_why);
        if (r < 0)
                return r;
        table_insert(&rules->by_mask, &rule->node, hash);
        *ret = rules->sections[rules->n_sections++] = TAKE_PTR(rule);
        return 0;
}

int access_builder_section(struct access_builder *b, const char *mask, size_t len,
                           const struct access_place *place, struct access_rule **ret,
                           const char **ret_why)
{
        const char *fault = mask_fault(mask, len, true, true);
        struct access_rule *known;
        uint64_t hash;

        if (fault)
                return fail(ret_why, -EINVAL, fault);
        len = mask_canonical_len(&mask_name, mask, len);
        hash = table_hash(&b->rules->by_mask, mask, len);
        known = rules_find_section(b->rules, mask, len, hash);
        if (!known)
                return add_section(b, mask, len, hash, place, ret, ret_why);
        *ret = known;
        return 0;
}

static int make_mask(struct access_builder *b, enum access_key key, const struct access_word *word,
                     struct item *item, const char **ret_why)
{
        const struct mask_syntax *syntax = key_syntax(key);
        const char *fault = mask_fault(word->mask, word->len, !key_is_of_topics(key),
                                       key == ACCESS_SEND_TO || key == ACCESS_RECEIVE_FROM);

        if (fault)
                return fail(ret_why, -EINVAL, fault);
        item->literal = mask_is_literal(syntax, word->mask, word->len);
        item->mask.len = mask_canonical_len(syntax, word->mask, word->len);
        return copy_text(b, word->mask, item->mask.len, &item->mask.text, ret_why);
}

static int make_host(const struct access_prefix *prefix, struct item *item, const char **ret_why)
{
        if ((prefix->family_bytes != 4 && prefix->family_bytes != 16) ||
            prefix->n_bits > prefix->family_bytes * 8)
                return fail(ret_why, -EINVAL, "no IPv4 or IPv6 prefix");
        item->host = prefix->family_bytes == 4 ? host_of_ipv4(prefix->address, prefix->n_bits)
                                               : host_of_ipv6(prefix->address, prefix->n_bits);
        return 0;
}

static int make_item(struct access_builder *b, enum access_key key, const struct access_word *word,
                     struct item *item, const char **ret_why)
{
        if (key >= ACCESS_SEND_TO)
                return make_mask(b, key, word, item, ret_why);
        if (key == ACCESS_ALLOW_HOSTS)
                return make_host(&word->prefix, item, ret_why);
        if (word->any ? key != ACCESS_ALLOW_USERS : word->id == ANY_USER)
                return fail(ret_why, -EINVAL, "no number of a user or a group");
        item->id = word->any ? ANY_USER : word->id;
        return 0;
}

int access_builder_add(struct access_builder *b, struct access_rule *section, enum access_key key,
                       const struct access_word *word, const struct access_place *place,
                       const char **ret_why)
{
        struct list *list = &section->lists[key];
        struct item item = {.order = b->order};
        int r;

        if (b->rules->n_words == ACCESS_WORDS_MAX)
                return fail(ret_why, -E2BIG, "more than 65536 words of access rules");
        r = array_reserve((void **)&list->items, &list->size, list->n_items, sizeof(*list->items));
        if (r >= 0)
                r = keep_place(b, place, &item.place, ret_why);
        if (r >= 0)
                r = make_item(b, key, word, &item, ret_why);
        if (r < 0)
                return r;
        if (list->n_items == 0)
                list->place = item.place;
        list->items[list->n_items++] = item;
        list->n_literals += item.literal;
        b->rules->n_words++;
        b->order++;
        return 0;
}

void access_builder_reset(struct access_builder *b, struct access_rule *section,
                          enum access_key key)
{
        struct list *list = &section->lists[key];

        b->rules->n_words -= list->n_items;
        for (size_t i = 0; i < list->n_items && key >= ACCESS_SEND_TO; i++)
                b->n_text -= list->items[i].mask.len;
        rule_list_clear(list, key);
}

/* --- Finishing --- */

static int by_order(const struct item *a, const struct item *b)
{
        return (a->order > b->order) - (a->order < b->order);
}

static int by_id(const void *left, const void *right)
{
        const struct item *a = left, *b = right;
        int r = item_compare_id(a, b->id);

        return r != 0 ? r : by_order(a, b);
}

static int by_mask(const struct mask_syntax *syntax, const struct item *a, const struct item *b)
{
        int r = b->literal - a->literal;

        if (r == 0)
                r = a->literal ? item_compare_text(a, b->mask.text, b->mask.len)
                               : mask_compare(syntax, a->mask.text, a->mask.len, b->mask.text,
                                              b->mask.len);
        return r != 0 ? r : by_order(a, b);
}

static int by_topic_mask(const void *left, const void *right)
{
        return by_mask(&mask_topic, left, right);
}

static int by_name_mask(const void *left, const void *right)
{
        return by_mask(&mask_name, left, right);
}

static int by_specificity(const void *left, const void *right)
{
        const struct access_rule *a = *(struct access_rule *const *)left;
        const struct access_rule *b = *(struct access_rule *const *)right;

        if (a->literal != b->literal)
                return a->literal - b->literal;
        return mask_compare(&mask_name, a->mask, a->len, b->mask, b->len);
}

static void list_sort(struct list *list, enum access_key key)
{
        int (*by)(const void *, const void *) = by_id;

        if (list->n_items < 2 || key == ACCESS_ALLOW_HOSTS)
                return;
        if (key >= ACCESS_SEND_TO)
                by = key_is_of_topics(key) ? by_topic_mask : by_name_mask;
        qsort(list->items, list->n_items, sizeof(*list->items), by);
}

struct access_rules *access_builder_finish(struct access_builder **b)
{
        struct access_rules *rules = TAKE_PTR((*b)->rules);

        if (rules->n_sections > 1)
                qsort(rules->sections, rules->n_sections, sizeof(*rules->sections), by_specificity);
        for (size_t i = 0; i < rules->n_sections; i++) {
                rules->n_wild += !rules->sections[i]->literal;
                for (enum access_key key = 0; key < ACCESS_N_KEYS; key++)
                        list_sort(&rules->sections[i]->lists[key], key);
        }
        *b = access_builder_free(*b);
        return rules;
}
