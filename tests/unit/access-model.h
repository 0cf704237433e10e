/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Access rules, said as a definition and not as an algorithm: a list of statements in the order in
 * which they were made, gone through from the start for every question. Masks by mask-model.h.
 *
 *      A section is a canonical mask. A key's words in a section are those said since the key was
 *      last taken back.
 *      A mask lies within another if that one matches two texts of it: the shortest, and a long
 *      one, both made of words that the other cannot name.
 */
#pragma once

#include <assert.h>
#include <stdio.h>

#include "access/rules.h"
#include "mask-model.h"

#define MODEL_STATEMENTS_MAX 64
#define MODEL_TEXT_MAX 4096

struct model_statement {
        const char *section;
        size_t section_len;
        unsigned line;
        bool header; /* no more than [section] */
        bool reset;
        enum access_key key;
        struct access_word word;
};

struct model {
        struct model_statement statements[MODEL_STATEMENTS_MAX];
        size_t n;
};

/* --- Masks --- */

/* A text that the mask matches: each open part is `word`, the rest n_rest of them. */
static inline size_t model_witness(const struct mask_syntax *syntax, const char *mask, size_t len,
                                   const char *word, size_t n_rest, char out[MODEL_TEXT_MAX])
{
        size_t n_parts = model_n_parts(syntax, mask, len), n = 0;
        bool rest = false;

        for (size_t i = 0; i < n_parts && !rest; i++) {
                struct model_part part = model_part(syntax, mask, len, i);

                rest = model_is(part, syntax->rest);
                if (rest || model_is(part, syntax->any))
                        part = (struct model_part){word, strlen(word)};
                for (size_t k = 0; k < (rest ? n_rest : 1); k++) {
                        assert(n + part.len + 1 < MODEL_TEXT_MAX);
                        if (i + k > 0)
                                out[n++] = syntax->separator;
                        if (part.len > 0)
                                memcpy(out + n, part.text, part.len);
                        n += part.len;
                }
        }
        return n;
}

static inline bool model_subset(const struct mask_syntax *syntax, const char *inner,
                                size_t inner_len, const char *outer, size_t outer_len)
{
        static const char word[] = "a word of no mask";
        char little[MODEL_TEXT_MAX], much[MODEL_TEXT_MAX];
        size_t n_long = model_n_parts(syntax, outer, outer_len) + 1;
        size_t little_len = model_witness(syntax, inner, inner_len, word, 1, little);
        size_t much_len = model_witness(syntax, inner, inner_len, word, n_long, much);

        return model_match(syntax, outer, outer_len, little, little_len) &&
               model_match(syntax, outer, outer_len, much, much_len);
}

static inline bool model_same_section(const struct model_statement *a,
                                      const struct model_statement *b)
{
        size_t a_len = model_canonical_len(&mask_name, a->section, a->section_len);
        size_t b_len = model_canonical_len(&mask_name, b->section, b->section_len);

        return a_len == b_len && memcmp(a->section, b->section, a_len) == 0;
}

/* Up to the first "%%". */
static inline size_t model_primary_len(const char *name, size_t len)
{
        for (size_t i = 0; i + 1 < len; i++)
                if (name[i] == '%' && name[i + 1] == '%')
                        return i;
        return len;
}

/* 0: literal, 1: any, 2: rest, of the part of that number. */
static inline int model_width(const struct model_statement *s, size_t index)
{
        struct model_part part = model_part(&mask_name, s->section, s->section_len, index);

        return model_is(part, '*') ? 2 : model_is(part, '?') ? 1 : 0;
}

/* Of two sections that match the same name and are not the same. */
static inline bool model_is_more_specific(const struct model_statement *a,
                                          const struct model_statement *b)
{
        size_t i = 0;

        while (model_width(a, i) == model_width(b, i))
                i++;
        return model_width(a, i) < model_width(b, i);
}

/* The first statement of the section for that name; NULL: there is none. */
static inline const struct model_statement *model_find(const struct model *m, const char *name,
                                                       size_t len)
{
        const struct model_statement *best = NULL;

        len = model_primary_len(name, len);
        for (size_t i = 0; i < m->n; i++) {
                const struct model_statement *s = &m->statements[i];

                if (model_match(&mask_name, s->section, s->section_len, name, len) &&
                    (!best || (!model_same_section(s, best) && model_is_more_specific(s, best))))
                        best = s;
        }
        return best;
}

/* --- Words --- */

/* Is this statement a word of that section and key that was not taken back? */
static inline bool model_in_force(const struct model *m, const struct model_statement *s,
                                  const struct model_statement *section, enum access_key key)
{
        if (s->header || s->reset || s->key != key || !model_same_section(s, section))
                return false;
        for (const struct model_statement *later = s; later < m->statements + m->n; later++)
                if (later->reset && later->key == key && model_same_section(later, section))
                        return false;
        return true;
}

static inline bool model_bit(const uint8_t *address, unsigned i)
{
        return address[i / 8] >> (7 - i % 8) & 1;
}

static inline bool model_prefix_holds(unsigned prefix_bytes, unsigned n_bits, const uint8_t *prefix,
                                      unsigned address_bytes, const uint8_t *address)
{
        if (prefix_bytes != address_bytes)
                return false;
        for (unsigned i = 0; i < n_bits; i++)
                if (model_bit(prefix, i) != model_bit(address, i))
                        return false;
        return true;
}

static inline bool model_is_mapped(const uint8_t *a)
{
        for (int i = 0; i < 12; i++)
                if (a[i] != (i < 10 ? 0 : 0xff))
                        return false;
        return true;
}

static inline bool model_host_matches(const struct access_prefix *p, const struct access_peer *peer)
{
        static const uint8_t one[16] = {[15] = 1};
        const uint8_t *address = peer->address, *prefix = p->address;
        unsigned address_bytes = peer->kind == IDENTITY_IPV4 ? 4 : 16;
        unsigned prefix_bytes = p->family_bytes, n_bits = p->n_bits;

        if (address_bytes == 16 && model_is_mapped(address)) {
                address += 12;
                address_bytes = 4;
        }
        if (prefix_bytes == 16 && n_bits >= 96 && model_is_mapped(prefix)) {
                prefix += 12;
                prefix_bytes = 4;
                n_bits -= 96;
        }
        if (address_bytes == 4 ? address[0] == 127 : memcmp(address, one, 16) == 0) {
                /* Any address of loopback: 127.x.y.z with the prefix's own x.y.z is the one that
                 * it holds if it holds any. */
                uint8_t v4[4] = {127, prefix[1], prefix[2], prefix[3]};

                return model_prefix_holds(prefix_bytes, n_bits, prefix, 4, v4) ||
                       model_prefix_holds(prefix_bytes, n_bits, prefix, 16, one);
        }
        return model_prefix_holds(prefix_bytes, n_bits, prefix, address_bytes, address);
}

static inline bool model_peer_matches(const struct model_statement *s,
                                      const struct access_peer *peer)
{
        if (s->key == ACCESS_ALLOW_HOSTS)
                return (peer->kind == IDENTITY_IPV4 || peer->kind == IDENTITY_IPV6) &&
                       model_host_matches(&s->word.prefix, peer);
        if (peer->kind != IDENTITY_USER)
                return false;
        if (s->key == ACCESS_ALLOW_USERS)
                return s->word.any || s->word.id == peer->uid;
        if (s->word.id == peer->gid)
                return true;
        for (size_t i = 0; i < peer->n_groups; i++)
                if (s->word.id == peer->groups[i])
                        return true;
        return false;
}

/* text: what is asked about; for the keys of who may bear a name, the peer is. */
static inline bool model_word_covers(const struct model_statement *s, const char *text, size_t len,
                                     const struct access_peer *peer)
{
        const char *mask = s->word.mask;
        size_t mask_len = s->word.len;

        switch (s->key) {
        case ACCESS_SEND_TO:
        case ACCESS_RECEIVE_FROM:
                return model_match(&mask_name, mask, mask_len, text, model_primary_len(text, len));
        case ACCESS_BROADCAST_TO:
                return model_subset(&mask_name, text, len, mask, mask_len);
        case ACCESS_PUBLISH_TO:
                return model_match(&mask_topic, mask, mask_len, text, len);
        case ACCESS_SUBSCRIBE_TO:
                return model_subset(&mask_topic, text, len, mask, mask_len);
        default:
                return model_peer_matches(s, peer);
        }
}

/* --- Verdicts --- */

static inline bool model_is_text(const char *text, size_t len, const char *other)
{
        return len == strlen(other) && memcmp(text, other, len) == 0;
}

static inline bool model_is_without_rule(enum access_key key, const char *text, size_t len)
{
        return (key == ACCESS_SUBSCRIBE_TO && model_is_text(text, len, ".broker/warn")) ||
               (key == ACCESS_RECEIVE_FROM && model_is_text(text, len, ".broker"));
}

static inline bool model_is_never(enum access_key key, const char *text, size_t len)
{
        return key == ACCESS_PUBLISH_TO && model_is_text(text, len < 8 ? len : 7, ".broker") &&
               (len == 7 || text[7] == '/');
}

/* Is a word of that line one of this section and key that allows it? */
static inline bool model_line_allows(const struct model *m, const struct model_statement *section,
                                     enum access_key key, unsigned line, const char *text,
                                     size_t len, const struct access_peer *peer)
{
        for (const struct model_statement *s = m->statements; s < m->statements + m->n; s++)
                if (s->line == line && model_in_force(m, s, section, key) &&
                    model_word_covers(s, text, len, peer))
                        return true;
        return false;
}

/* The line of the key's first word in force; 0: the key is absent. */
static inline unsigned model_key_line(const struct model *m, const struct model_statement *section,
                                      enum access_key key)
{
        for (const struct model_statement *s = m->statements; s < m->statements + m->n; s++)
                if (model_in_force(m, s, section, key))
                        return s->line;
        return 0;
}

static inline bool model_key_allows(const struct model *m, const struct model_statement *section,
                                    enum access_key key, const char *text, size_t len,
                                    const struct access_peer *peer)
{
        for (const struct model_statement *s = m->statements; s < m->statements + m->n; s++)
                if (model_in_force(m, s, section, key) && model_word_covers(s, text, len, peer))
                        return true;
        return false;
}

/* The section's first line: where its header is. */
static inline unsigned model_section_line(const struct model *m,
                                          const struct model_statement *section)
{
        for (const struct model_statement *s = m->statements; s < m->statements + m->n; s++)
                if (model_same_section(s, section))
                        return s->line;
        return 0;
}

static inline unsigned model_refusal_line(const struct model *m,
                                          const struct model_statement *section,
                                          enum access_key key)
{
        unsigned line = model_key_line(m, section, key);

        return line > 0 ? line : model_section_line(m, section);
}

/* Is this verdict on what the bearer of `name` asks right, place and all? key: SendTo ... */
static inline bool model_agrees(const struct model *m, const struct verdict *v, const char *name,
                                size_t name_len, enum access_key key, const char *text, size_t len)
{
        const struct model_statement *section = model_find(m, name, name_len);

        if (m->n == 0 || model_is_without_rule(key, text, len))
                return v->allow && v->line == 0;
        if (!section)
                return !v->allow && v->line == 0;
        if (key == ACCESS_RECEIVE_FROM && model_key_line(m, section, key) == 0)
                return v->allow && v->line == model_section_line(m, section);
        if (!model_is_never(key, text, len) && model_key_allows(m, section, key, text, len, NULL))
                return v->allow && model_line_allows(m, section, key, v->line, text, len, NULL);
        return !v->allow && v->line == model_refusal_line(m, section, key);
}

/* The same for who may bear it. */
static inline bool model_agrees_on_identity(const struct model *m, const struct verdict *v,
                                            const char *name, size_t name_len,
                                            const struct access_peer *peer)
{
        const struct model_statement *section = model_find(m, name, name_len);
        enum access_key refused_by = ACCESS_ALLOW_HOSTS;

        if (m->n == 0 || peer->kind == IDENTITY_BROKER)
                return v->allow && v->line == 0;
        if (!section)
                return !v->allow && v->line == 0;
        for (enum access_key key = 0; key <= ACCESS_ALLOW_HOSTS; key++)
                if (model_key_allows(m, section, key, NULL, 0, peer))
                        return v->allow &&
                               model_line_allows(m, section, key, v->line, NULL, 0, peer);
        if (peer->kind == IDENTITY_USER)
                refused_by = model_key_line(m, section, ACCESS_ALLOW_USERS) > 0 ||
                                             model_key_line(m, section, ACCESS_ALLOW_GROUPS) == 0
                                     ? ACCESS_ALLOW_USERS
                                     : ACCESS_ALLOW_GROUPS;
        return !v->allow && v->line == model_refusal_line(m, section, refused_by);
}
