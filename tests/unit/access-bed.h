/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of rules made word by word, each in a line of its own of file "f", and questions to them. */
#pragma once

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "access-ask.h"
#include "wire/frame.h"

/* --- Making rules: each word in a line of its own --- */

struct maker {
        struct access_builder *builder;
        struct access_rule *section;
        unsigned line;
};

static inline void begin(struct maker *m)
{
        *m = (struct maker){0};
        assert_int_equal(access_builder_new(&m->builder), 0);
}

static inline void section(struct maker *m, const char *mask)
{
        const struct access_place place = {"f", ++m->line};
        const char *why = NULL;

        assert_int_equal(
                access_builder_section(m->builder, mask, strlen(mask), &place, &m->section, &why),
                0);
}

static inline void word(struct maker *m, enum access_key key, const struct access_word *w)
{
        const struct access_place place = {"f", ++m->line};
        const char *why = NULL;

        assert_int_equal(access_builder_add(m->builder, m->section, key, w, &place, &why), 0);
}

static inline void mask(struct maker *m, enum access_key key, const char *text)
{
        word(m, key, &(struct access_word){.mask = text, .len = strlen(text)});
}

static inline void number(struct maker *m, enum access_key key, uint32_t id)
{
        word(m, key, &(struct access_word){.id = id});
}

static inline struct access_prefix prefix_of(const char *address, unsigned n_bits)
{
        struct access_prefix p = {.n_bits = (uint8_t)n_bits};

        p.family_bytes = strchr(address, ':') ? 16 : 4;
        assert_int_equal(inet_pton(p.family_bytes == 4 ? AF_INET : AF_INET6, address, p.address),
                         1);
        return p;
}

static inline void host(struct maker *m, const char *address, unsigned n_bits)
{
        word(m, ACCESS_ALLOW_HOSTS, &(struct access_word){.prefix = prefix_of(address, n_bits)});
}

static inline struct access_rules *end(struct maker *m)
{
        struct access_rules *rules = access_builder_finish(&m->builder);

        assert_non_null(rules);
        assert_null(m->builder);
        return rules;
}

/* [*] with one word behind one key, in line 2. */
static inline struct access_rules *rules_of(enum access_key key, const char *text)
{
        struct maker m;

        begin(&m);
        section(&m, "*");
        mask(&m, key, text);
        return end(&m);
}

/* --- Asking --- */

static inline const struct access_rule *find(const struct access_rules *rules, const char *name)
{
        return access_rules_find(rules, name, strlen(name));
}

static inline bool may(const struct access_rules *rules, const char *name, enum access_key key,
                       const char *text)
{
        struct verdict v = access_ask(find(rules, name), key, text, strlen(text));

        assert_int_equal(v.code, v.allow ? WIRE_OK : WIRE_ACCESS);
        assert_non_null(v.reason);
        return v.allow;
}

static inline void expect(struct verdict v, bool allow, unsigned line)
{
        assert_int_equal(v.allow, allow);
        assert_int_equal(v.code, allow ? WIRE_OK : WIRE_ACCESS);
        assert_non_null(v.reason);
        assert_int_equal(v.line, line);
        if (line)
                assert_string_equal(v.file, "f");
        else
                assert_null(v.file);
}

static inline struct access_peer user(uid_t uid, gid_t gid)
{
        return (struct access_peer){.kind = IDENTITY_USER, .uid = uid, .gid = gid};
}

static inline struct access_peer tcp(const char *address)
{
        bool is_ipv6 = strchr(address, ':');
        struct access_peer peer = {.kind = is_ipv6 ? IDENTITY_IPV6 : IDENTITY_IPV4};

        assert_int_equal(inet_pton(is_ipv6 ? AF_INET6 : AF_INET, address, peer.address), 1);
        return peer;
}

static inline struct verdict bear(const struct access_rules *rules, const char *name,
                                  struct access_peer peer)
{
        return access_check_identity(rules, name, strlen(name), &peer);
}
