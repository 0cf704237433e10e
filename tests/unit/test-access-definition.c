/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Access rules against their definition (access-model.h), by a million random sets; and whether
 * anything that a mask reaches is more than the mask was allowed, by enumeration of all masks up to
 * four parts and all texts up to five.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "access-ask.h"
#include "access-model.h"
#include "basic/macro.h"
#include "random.h"
#include "wire/frame.h"

#define N_SETS 1000000

static const char *random_text(char separator, char any, char rest, bool wild)
{
        static char ring[256][24];
        static unsigned next;
        static const char *const words[] = {"a", "b", "", "aa", "%", ".broker"};
        char *out = ring[next++ % 256];
        unsigned n_parts = 1 + random_below(3);
        size_t len = 0;

        for (unsigned i = 0; i < n_parts; i++) {
                unsigned which = random_below(wild ? 16 : 12);

                if (i > 0)
                        out[len++] = separator;
                if (which >= 12)
                        out[len++] = which < 14 ? any : rest;
                else
                        len += (size_t)sprintf(out + len, "%s",
                                               which < 10 ? words[which % 2]
                                                          : words[2 + random_below(3)]);
        }
        out[len] = '\0';
        if (random_below(24) == 0)
                return separator == '.' ? ".broker" : random_below(2) ? ".broker/warn" : ".broker";
        return out;
}

static const char *random_name(bool wild)
{
        const char *text;

        do
                text = random_text('.', '?', '*', wild);
        while (text[0] == '\0');
        return text;
}

static const char *random_topic(bool wild)
{
        return random_text('/', '+', '#', wild);
}

static const char *random_secondary(void)
{
        static char out[64];

        (void)snprintf(out, sizeof(out), "%s%%%%%s", random_name(false), random_name(false));
        return random_below(3) ? random_name(random_below(8) == 0) : out;
}

static void random_address(uint8_t out[16], unsigned *ret_bytes)
{
        static const uint8_t some[][16] = {
                {127, 0, 0, 1},
                {127, 3},
                {10, 1, 2, 3},
                {10, 1, 2, 4},
                {192, 0, 2, 7},
                {0},
                {[15] = 1},
                {[15] = 2},
                {0x20, 1, 0xd, 0xb8, [15] = 1},
                {0x20, 1, 0xd, 0xb8, 7},
                {[10] = 0xff, 0xff, 10, 1, 2, 3},
                {[10] = 0xff, 0xff, 127, 0, 0, 1},
                {[10] = 0xff, 0xff, 192, 0, 2, 7},
                {[10] = 0xff, 0xff},
        };
        unsigned i = random_below(ARRAY_SIZE(some));

        memcpy(out, some[i], 16);
        *ret_bytes = i < 5 || (i == 5 && random_below(2)) ? 4 : 16;
}

static struct access_word random_word(enum access_key key)
{
        struct access_word w = {.id = random_below(4)};
        unsigned bytes;

        if (key == ACCESS_ALLOW_USERS) {
                w.any = random_below(8) == 0;
        } else if (key == ACCESS_ALLOW_HOSTS) {
                random_address(w.prefix.address, &bytes);
                w.prefix.family_bytes = (uint8_t)bytes;
                w.prefix.n_bits = (uint8_t)random_below(bytes * 8 + 1);
        } else if (key >= ACCESS_SEND_TO) {
                w.mask = key == ACCESS_PUBLISH_TO || key == ACCESS_SUBSCRIBE_TO ? random_topic(true)
                                                                                : random_name(true);
                w.len = strlen(w.mask);
        }
        return w;
}

static bool has_separator(const char *text)
{
        return strstr(text, "%%") != NULL;
}

static void random_set(struct model *m)
{
        unsigned n_sections = 1 + random_below(3);
        const char *sections[3];

        m->n = random_below(20) ? 1 + random_below(24) : 0;
        for (unsigned i = 0; i < n_sections; i++)
                do
                        sections[i] = random_name(true);
                while (has_separator(sections[i]));
        for (size_t i = 0; i < m->n; i++) {
                struct model_statement *s = &m->statements[i];

                *s = (struct model_statement){.section = sections[random_below(n_sections)]};
                s->section_len = strlen(s->section);
                s->line = (unsigned)i + 1;
                s->key = random_below(ACCESS_N_KEYS);
                s->header = random_below(12) == 0;
                s->reset = !s->header && random_below(12) == 0;
                do
                        s->word = random_word(s->key);
                while (s->word.mask && has_separator(s->word.mask));
        }
}

static struct access_rules *build(const struct model *m)
{
        struct access_builder *b = NULL;

        assert_int_equal(access_builder_new(&b), 0);
        for (size_t i = 0; i < m->n; i++) {
                const struct model_statement *s = &m->statements[i];
                const struct access_place place = {"f", s->line};
                struct access_rule *rule = NULL;
                const char *why = NULL;

                assert_int_equal(
                        access_builder_section(b, s->section, s->section_len, &place, &rule, &why),
                        0);
                if (s->reset)
                        access_builder_reset(b, rule, s->key);
                else if (!s->header &&
                         access_builder_add(b, rule, s->key, &s->word, &place, &why) < 0)
                        fail_msg("%s", why);
        }
        return access_builder_finish(&b);
}

static const char *random_question(enum access_key key)
{
        switch (key) {
        case ACCESS_SEND_TO:
        case ACCESS_RECEIVE_FROM:
                return random_secondary();
        case ACCESS_BROADCAST_TO:
                return random_name(random_below(2));
        default:
                return random_topic(random_below(2));
        }
}

static void check_random_peer(const struct model *m, const struct access_rules *rules,
                              const char *name, size_t n_allowed[2])
{
        gid_t groups[3] = {random_below(6), random_below(6), random_below(6)};
        struct access_peer peer = {
                .kind = random_below(2) ? IDENTITY_USER : IDENTITY_IPV4,
                .uid = random_below(6),
                .gid = random_below(6),
                .groups = groups,
                .n_groups = random_below(4),
        };
        struct verdict v;
        unsigned bytes;

        random_address(peer.address, &bytes);
        if (peer.kind == IDENTITY_IPV4 && bytes == 16)
                peer.kind = IDENTITY_IPV6;
        v = access_check_identity(rules, name, strlen(name), &peer);
        n_allowed[v.allow]++;
        if (!model_agrees_on_identity(m, &v, name, strlen(name), &peer))
                fail_msg("the name \"%s\": allow %d, line %u", name, v.allow, v.line);
}

static void check_random_questions(const struct model *m, const struct access_rules *rules,
                                   size_t n_allowed[2])
{
        static char name[64];
        const struct access_rule *rule;

        (void)snprintf(name, sizeof(name), "%s", random_secondary());
        rule = access_rules_find(rules, name, strlen(name));
        check_random_peer(m, rules, name, n_allowed);
        for (enum access_key key = ACCESS_SEND_TO; key < ACCESS_N_KEYS; key++) {
                const char *text = random_question(key);
                struct verdict v = access_ask(rule, key, text, strlen(text));

                n_allowed[v.allow]++;
                assert_int_equal(v.code, v.allow ? WIRE_OK : WIRE_ACCESS);
                assert_int_equal(v.file != NULL, v.line > 0);
                if (!model_agrees(m, &v, name, strlen(name), key, text, strlen(text)))
                        fail_msg("\"%s\", key %d, \"%s\": allow %d, line %u", name, key, text,
                                 v.allow, v.line);
        }
}

static void test_a_million_random_sets_say_what_is_defined(void **state)
{
        static struct model m;
        size_t n_allowed[2] = {0};

        random_seed("random rules");
        for (size_t i = 0; i < N_SETS; i++) {
                struct access_rules *rules;

                random_set(&m);
                rules = build(&m);
                check_random_questions(&m, rules, n_allowed);
                access_rules_unref(rules);
        }
        printf("%d sets, %zu allowed, %zu refused\n", N_SETS, n_allowed[1], n_allowed[0]);
        assert_true(n_allowed[0] > N_SETS / 2 && n_allowed[1] > N_SETS / 2);
}

/* --- Escalation, by enumeration --- */

#define MASK_DEPTH 4
#define TEXT_DEPTH 5
#define N_MASKS (5 + 25 + 125 + 625)
#define N_TEXTS (4 + 16 + 64 + 256 + 1024)
#define N_WORDS ((N_TEXTS + 63) / 64)

struct enumerated {
        char text[2 * TEXT_DEPTH];
        size_t len;
        uint64_t matches[N_WORDS]; /* which texts */
};

static struct enumerated masks[N_MASKS], texts[N_TEXTS];

static size_t enumerate(const char *words, unsigned depth, char separator, struct enumerated *out)
{
        size_t n_words = strlen(words), n = 0, n_of_depth = 1;

        for (unsigned d = 1; d <= depth; d++) {
                n_of_depth *= n_words;
                for (size_t i = 0; i < n_of_depth; i++, n++) {
                        out[n] = (struct enumerated){.len = 0};
                        for (size_t digits = i, k = 0; k < d; k++, digits /= n_words) {
                                if (k > 0)
                                        out[n].text[out[n].len++] = separator;
                                if (words[digits % n_words] != ' ')
                                        out[n].text[out[n].len++] = words[digits % n_words];
                        }
                }
        }
        return n;
}

/* No client has the empty name, and no mask of names is empty. */
static bool is_possible(const struct enumerated *e, enum access_key key)
{
        return e->len > 0 || key == ACCESS_SUBSCRIBE_TO;
}

/* Whatever mask these rules allow, each single text that it matches would be allowed, too. */
static size_t check_no_escalation(const struct access_rules *rules, enum access_key key)
{
        const struct access_rule *rule = access_rules_find(rules, "a", 1);
        uint64_t allowed[N_WORDS] = {0};
        size_t n_allowed = 0;

        for (size_t t = 0; t < N_TEXTS; t++)
                if (!is_possible(&texts[t], key) ||
                    access_ask(rule, key, texts[t].text, texts[t].len).allow)
                        allowed[t / 64] |= UINT64_C(1) << (t % 64);
        for (size_t m = 0; m < N_MASKS; m++) {
                if (!is_possible(&masks[m], key) ||
                    !access_ask(rule, key, masks[m].text, masks[m].len).allow)
                        continue;
                n_allowed++;
                for (size_t i = 0; i < N_WORDS; i++)
                        if (masks[m].matches[i] & ~allowed[i])
                                fail_msg("\"%.*s\" reaches more than it may", (int)masks[m].len,
                                         masks[m].text);
        }
        return n_allowed;
}

/* One more word of [*]. */
static void add_mask(struct model *m, enum access_key key, const struct enumerated *mask)
{
        struct model_statement *s = &m->statements[m->n++];

        *s = (struct model_statement){.section = "*", .section_len = 1, .key = key};
        s->line = (unsigned)m->n;
        s->header = !is_possible(mask, key);
        s->word = (struct access_word){.mask = mask->text, .len = mask->len};
}

static void escalate(const struct mask_syntax *syntax, enum access_key key, const char *mask_words,
                     const char *text_words)
{
        static struct model m;
        size_t n_allowed = 0;

        assert_int_equal(enumerate(mask_words, MASK_DEPTH, syntax->separator, masks), N_MASKS);
        assert_int_equal(enumerate(text_words, TEXT_DEPTH, syntax->separator, texts), N_TEXTS);
        for (size_t i = 0; i < N_MASKS; i++)
                for (size_t t = 0; t < N_TEXTS; t++)
                        if (model_match(syntax, masks[i].text, masks[i].len, texts[t].text,
                                        texts[t].len))
                                masks[i].matches[t / 64] |= UINT64_C(1) << (t % 64);
        for (size_t i = 0; i < 3 * N_MASKS; i++) {
                struct access_rules *rules;

                m.n = 0;
                for (size_t k = 0; k < (i < N_MASKS ? 1 : 3); k++)
                        add_mask(&m, key, &masks[i < N_MASKS ? i : random_below(N_MASKS)]);
                rules = build(&m);
                n_allowed += check_no_escalation(rules, key);
                access_rules_unref(rules);
        }
        printf("%d rules of one mask and %d of three, %d masks each: %zu allowed\n", N_MASKS,
               2 * N_MASKS, N_MASKS, n_allowed);
        assert_true(n_allowed > 3 * N_MASKS);
}

static void test_no_allowed_mask_reaches_what_is_not_allowed(void **state)
{
        random_seed("escalation");
        escalate(&mask_topic, ACCESS_SUBSCRIBE_TO, "ab +#", "ab z");
        escalate(&mask_name, ACCESS_BROADCAST_TO, "ab ?*", "ab z");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_million_random_sets_say_what_is_defined),
                cmocka_unit_test(test_no_allowed_mask_reaches_what_is_not_allowed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
