/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a file of access rules. It is refused with the line at fault, or read; then each
 * text that stands in it, and each line behind the first NUL, is asked about, and the verdicts are
 * compared with the definition in access-model.h, lines and all.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/access-ask.h"
#include "../unit/access-model.h"
#include "basic/macro.h"
#include "config/access-value.h"

#define MAX_INPUT 4096
#define MAX_TEXT 64 /* the definition is slow */
#define MAX_QUESTIONS 48
#define MAX_NAMES 6

#define CHECK(condition)                                                                           \
        do {                                                                                       \
                if (!(condition)) {                                                                \
                        fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);            \
                        abort();                                                                   \
                }                                                                                  \
        } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct text {
        const char *text;
        size_t len;
};

struct questions {
        struct text texts[MAX_QUESTIONS];
        size_t n;
};

static void add_question(struct questions *q, const char *text, size_t len)
{
        if (q->n < MAX_QUESTIONS && len <= MAX_TEXT)
                q->texts[q->n++] = (struct text){text, len};
}

/* "u" and a digit, "g" and a digit. */
static int find_id(const char *name, char kind, uint32_t *ret)
{
        if (name[0] != kind || name[1] < '0' || name[1] > '9' || name[2])
                return name[0] == '!' ? -EIO : -ENOENT;
        *ret = (uint32_t)(name[1] - '0');
        return 0;
}

static int find_user(const char *name, uid_t *ret, void *userdata)
{
        return find_id(name, 'u', ret);
}

static int find_group(const char *name, gid_t *ret, void *userdata)
{
        return find_id(name, 'g', ret);
}

static const struct access_resolver resolver = {find_user, find_group, NULL};

static void count_warning(const struct config_entry *entry, void *userdata)
{
        CHECK(entry->line > 0);
        ++*(size_t *)userdata;
}

/* --- The file as statements of the definition; false: it is too large for that --- */

static const char *const keys[ACCESS_N_KEYS] = {"AllowUsers",  "AllowGroups", "AllowHosts",
                                                "SendTo",      "BroadcastTo", "PublishTo",
                                                "SubscribeTo", "ReceiveFrom"};

static struct model_statement *add_statement(struct model *m, const char *section, unsigned line)
{
        struct model_statement *s = &m->statements[m->n];

        if (m->n == MODEL_STATEMENTS_MAX || strlen(section) > MAX_TEXT)
                return NULL;
        *s = (struct model_statement){.section = section, .section_len = strlen(section)};
        s->line = line;
        m->n++;
        return s;
}

static void read_word(struct model_statement *s, const char *text, size_t len)
{
        const char *why;

        s->word = (struct access_word){.mask = text, .len = len};
        if (s->key == ACCESS_ALLOW_USERS)
                CHECK(access_parse_user(text, len, &resolver, &s->word, &why) == 0);
        else if (s->key == ACCESS_ALLOW_GROUPS)
                CHECK(access_parse_group(text, len, &resolver, &s->word, &why) == 0);
        else if (s->key == ACCESS_ALLOW_HOSTS)
                CHECK(access_parse_prefix(text, len, &s->word.prefix, &why) == 0);
}

static bool add_entry(struct model *m, const struct config_entry *entry, enum access_key key,
                      struct questions *q)
{
        const char *at = entry->value, *word;
        struct model_statement *s;
        size_t len;

        if (*at == '\0') {
                s = add_statement(m, entry->section, entry->line);
                if (s) {
                        s->reset = true;
                        s->key = key;
                }
                return s;
        }
        while (config_next_word(&at, &word, &len) > 0) {
                s = add_statement(m, entry->section, entry->line);
                if (!s || len > MAX_TEXT)
                        return false;
                s->key = key;
                read_word(s, word, len);
                add_question(q, word, len);
        }
        return true;
}

static bool add_header(struct model *m, const struct config_section *header, struct questions *q)
{
        struct model_statement *s = add_statement(m, header->name, header->line);

        if (!s)
                return false;
        s->header = true;
        add_question(q, header->name, strlen(header->name));
        return true;
}

/* Headers and entries are two lists; lines tell how they lie between each other. */
static bool read_model(const struct config *config, struct model *m, struct questions *q,
                       size_t *ret_n_unknown)
{
        size_t h = 0;

        for (size_t e = 0; e <= config->n_entries; e++) {
                const struct config_entry *entry =
                        e < config->n_entries ? &config->entries[e] : NULL;
                enum access_key key = 0;

                for (; h < config->n_sections && (!entry || config->sections[h].line < entry->line);
                     h++)
                        if (!add_header(m, &config->sections[h], q))
                                return false;
                if (!entry)
                        break;
                while (key < ACCESS_N_KEYS && strcmp(keys[key], entry->key) != 0)
                        key++;
                if (key == ACCESS_N_KEYS || entry->section[0] == '\0')
                        ++*ret_n_unknown;
                else if (!add_entry(m, entry, key, q))
                        return false;
        }
        return true;
}

/* --- Questions --- */

static void check_peers(const struct model *m, const struct access_rules *rules,
                        const struct text *name)
{
        static const gid_t groups[] = {3, 1};
        struct access_peer peers[] = {
                {.kind = IDENTITY_USER, .uid = 1, .gid = 2, .groups = groups, .n_groups = 2},
                {.kind = IDENTITY_USER, .uid = 4711, .gid = 4711},
                {.kind = IDENTITY_IPV4, .address = {127, 0, 0, 1}},
                {.kind = IDENTITY_IPV4, .address = {10, 0, 0, 1}},
                {.kind = IDENTITY_IPV6, .address = {[15] = 1}},
                {.kind = IDENTITY_IPV6, .address = {0x20, 0x01, 0x0d, 0xb8, [15] = 1}},
                {.kind = IDENTITY_IPV6, .address = {[10] = 0xff, 0xff, 10, 0, 0, 1}},
                {.kind = IDENTITY_BROKER},
        };

        for (size_t i = 0; i < ARRAY_SIZE(peers); i++) {
                struct verdict v = access_check_identity(rules, name->text, name->len, &peers[i]);

                CHECK(model_agrees_on_identity(m, &v, name->text, name->len, &peers[i]));
        }
}

static void check_name(const struct model *m, const struct access_rules *rules,
                       const struct text *name, const struct questions *q)
{
        const struct access_rule *rule = access_rules_find(rules, name->text, name->len);

        CHECK(!rule == (m->n == 0));
        check_peers(m, rules, name);
        for (enum access_key key = ACCESS_SEND_TO; key < ACCESS_N_KEYS; key++)
                for (size_t i = 0; i < q->n; i++) {
                        const struct text *t = &q->texts[i];
                        struct verdict v = access_ask(rule, key, t->text, t->len);

                        CHECK(!v.file == !v.line);
                        CHECK(model_agrees(m, &v, name->text, name->len, key, t->text, t->len));
                }
}

static void check_rules(const struct config *config, const struct access_rules *rules,
                        struct questions *q, size_t n_warnings)
{
        static struct model m;
        size_t n_unknown = 0;

        m.n = 0;
        if (!read_model(config, &m, q, &n_unknown))
                return;
        CHECK(n_unknown == n_warnings);
        for (size_t i = 0; i < MIN(q->n, (size_t)MAX_NAMES); i++)
                check_name(&m, rules, &q->texts[i], q);
        check_name(&m, rules, &(struct text){"a.b%%c", 6}, q);
}

static void split_questions(const char *text, size_t size, struct questions *q)
{
        const char *end = text + size;

        while (text < end && q->n < MAX_QUESTIONS / 2) {
                const char *stop = memchr(text, '\n', (size_t)(end - text));

                add_question(q, text, (size_t)((stop ? stop : end) - text));
                text = stop ? stop + 1 : end;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
        size_t file_size = nul ? (size_t)(nul - data) : size, n_warnings = 0;
        char error[CONFIG_ERROR_MAX];
        struct access_rules *rules = NULL;
        struct config config = {0};
        struct questions q = {.n = 0};
        int r;

        if (size > MAX_INPUT)
                return 0;
        if (nul)
                split_questions((const char *)nul + 1, size - file_size - 1, &q);
        r = config_add_text(&config, "file", (const char *)data, file_size, error);
        if (r == 0)
                r = access_read_config(&config, &resolver, count_warning, &n_warnings, &rules,
                                       error);
        CHECK(r == 0 ? rules && !error[0] : !rules && strncmp(error, "file:", 5) == 0);
        if (r == 0)
                check_rules(&config, rules, &q, n_warnings);
        else
                CHECK(config.failed_at.line > 0 && !strcmp(config.failed_at.file, "file"));
        access_rules_unref(rules);
        config_done(&config);
        return 0;
}
