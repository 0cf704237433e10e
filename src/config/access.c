/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From lines to rules. Sections and their entries are gone through in the order of the files, so
 * that the first fault is the one that is told, and an empty value takes back what stands before
 * it.
 */
#include <limits.h>
#include <stdio.h>

#include "basic/macro.h"
#include "config/access-value.h"
#include "route/mask.h"

#define WORD_SHOWN 64 /* bytes of a word that an error repeats */

static const char *const system_folders[] = {"/etc/busrt/access.d", "/run/busrt/access.d",
                                             "/usr/local/lib/busrt/access.d",
                                             "/usr/lib/busrt/access.d"};

static const char *const keys[ACCESS_N_KEYS] = {
        [ACCESS_ALLOW_USERS] = "AllowUsers",   [ACCESS_ALLOW_GROUPS] = "AllowGroups",
        [ACCESS_ALLOW_HOSTS] = "AllowHosts",   [ACCESS_SEND_TO] = "SendTo",
        [ACCESS_BROADCAST_TO] = "BroadcastTo", [ACCESS_PUBLISH_TO] = "PublishTo",
        [ACCESS_SUBSCRIBE_TO] = "SubscribeTo", [ACCESS_RECEIVE_FROM] = "ReceiveFrom",
};

struct reading {
        struct config *config;
        const struct access_resolver *resolver;
        struct access_builder *builder;
        char *error; /* CONFIG_ERROR_MAX */
};

static void builder_freep(struct access_builder **b)
{
        *b = access_builder_free(*b);
}

static void config_donep(struct config *config)
{
        config_done(config);
}

static void set_place(struct config_place *at, const char *file, unsigned line)
{
        (void)snprintf(at->file, sizeof(at->file), "%s", file);
        at->line = line;
}

/* How much of a word to show: whole characters. */
static int shown_len(const char *word, size_t len)
{
        if (len <= WORD_SHOWN)
                return (int)len;
        len = WORD_SHOWN;
        while (len > 0 && (word[len] & 0xc0) == 0x80)
                len--;
        return (int)len;
}

static int complain(struct reading *reading, const struct access_place *place, const char *key,
                    const char *word, size_t len, int r, const char *why)
{
        if (r == -ENOMEM)
                return r;
        set_place(&reading->config->failed_at, place->file, place->line);
        (void)snprintf(reading->error, CONFIG_ERROR_MAX, "%.256s:%u: %s \"%.*s\"%s: %s",
                       place->file, place->line, key, shown_len(word, len), word,
                       len > WORD_SHOWN ? "..." : "", why);
        return r;
}

static int add_word(struct reading *reading, struct access_rule *section, enum access_key key,
                    const char *text, size_t len, const struct access_place *place)
{
        struct access_word word = {.mask = text, .len = len};
        const char *why = NULL;
        int r = 0;

        if (key == ACCESS_ALLOW_USERS)
                r = access_parse_user(text, len, reading->resolver, &word, &why);
        else if (key == ACCESS_ALLOW_GROUPS)
                r = access_parse_group(text, len, reading->resolver, &word, &why);
        else if (key == ACCESS_ALLOW_HOSTS)
                r = access_parse_prefix(text, len, &word.prefix, &why);
        if (r >= 0)
                r = access_builder_add(reading->builder, section, key, &word, place, &why);
        return r < 0 ? complain(reading, place, keys[key], text, len, r, why) : 0;
}

static int add_entry(struct reading *reading, struct access_rule *section, enum access_key key,
                     const struct config_entry *entry)
{
        const struct access_place place = {entry->file, entry->line};
        const char *at = entry->value, *word;
        size_t len;
        int r;

        if (*at == '\0')
                access_builder_reset(reading->builder, section, key);
        while ((r = config_next_word(&at, &word, &len)) > 0) {
                r = add_word(reading, section, key, word, len, &place);
                if (r < 0)
                        return r;
        }
        return r < 0 ? complain(reading, &place, keys[key], at, strlen(at), r,
                                "a quoted word does not end here")
                     : 0;
}

static int add_section(struct reading *reading, const struct config_section *section,
                       struct access_rule **ret)
{
        const struct access_place place = {section->file, section->line};
        size_t len = strlen(section->name);
        const char *why = NULL;
        int r = access_builder_section(reading->builder, section->name, len, &place, ret, &why);

        return r < 0 ? complain(reading, &place, "section", section->name, len, r, why) : 0;
}

/* ACCESS_N_KEYS: it means nothing here. */
static enum access_key find_key(const struct config_entry *entry)
{
        enum access_key key = 0;

        if (entry->section[0] == '\0')
                return ACCESS_N_KEYS;
        while (key < ACCESS_N_KEYS && strcmp(keys[key], entry->key) != 0)
                key++;
        return key;
}

/* Entries point to their header's own text, which tells where among the headers they stand. */
static int add_all(struct reading *reading, access_warn_fn warn, void *userdata)
{
        const struct config *config = reading->config;
        struct access_rule *section = NULL;
        size_t n_sections = 0;
        int r = 0;

        for (size_t i = 0; i < config->n_entries && r >= 0; i++) {
                const struct config_entry *entry = &config->entries[i];
                enum access_key key = find_key(entry);

                while (r >= 0 && entry->section[0] != '\0' &&
                       (n_sections == 0 || config->sections[n_sections - 1].name != entry->section))
                        r = add_section(reading, &config->sections[n_sections++], &section);
                if (r >= 0 && key < ACCESS_N_KEYS)
                        r = add_entry(reading, section, key, entry);
                else if (r >= 0 && warn)
                        warn(entry, userdata);
        }
        for (; n_sections < config->n_sections && r >= 0; n_sections++)
                r = add_section(reading, &config->sections[n_sections], &section);
        return r;
}

int access_read_config(struct config *config, const struct access_resolver *resolver,
                       access_warn_fn warn, void *userdata, struct access_rules **ret,
                       char error[CONFIG_ERROR_MAX])
{
        _cleanup_(builder_freep) struct access_builder *builder = NULL;
        struct reading reading = {config, resolver, NULL, error};
        int r = access_builder_new(&builder);

        error[0] = '\0';
        if (r < 0)
                return r;
        reading.builder = builder;
        r = add_all(&reading, warn, userdata);
        if (r < 0)
                return r;
        *ret = access_builder_finish(&builder);
        return 0;
}

int access_read_folders(const char *const *folders, size_t n_folders,
                        const struct access_resolver *resolver, access_warn_fn warn, void *userdata,
                        struct access_rules **ret, char error[CONFIG_ERROR_MAX],
                        struct config_place *where)
{
        _cleanup_(config_donep) struct config config = {0};
        int r = config_read_drop_ins(&config, folders, n_folders, error);

        if (r >= 0)
                r = access_read_config(&config, resolver, warn, userdata, ret, error);
        if (where)
                *where = config.failed_at;
        return r;
}

int access_collect_files(const char *config_file, struct config *config,
                         char error[CONFIG_ERROR_MAX])
{
        _cleanup_free_ char *path = NULL;

        error[0] = '\0';
        if (!config_file)
                return config_read_drop_ins(config, system_folders, ARRAY_SIZE(system_folders),
                                            error);
        if (asprintf(&path, "%s.access.d", config_file) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        return config_read_drop_ins(config, (const char *const[]){path}, 1, error);
}

int access_read_files(const char *config_file, const struct access_resolver *resolver,
                      access_warn_fn warn, void *userdata, struct access_rules **ret,
                      char error[CONFIG_ERROR_MAX], struct config_place *where)
{
        _cleanup_(config_donep) struct config config = {0};
        int r = access_collect_files(config_file, &config, error);

        if (r >= 0)
                r = access_read_config(&config, resolver, warn, userdata, ret, error);
        if (where)
                *where = config.failed_at;
        return r;
}

/* --- Lines as they stand in the files --- */

static bool is_of_section(const struct config_entry *entry, const char *mask, size_t len)
{
        size_t own = mask_canonical_len(&mask_name, entry->section, strlen(entry->section));

        return own == len && memcmp(entry->section, mask, len) == 0;
}

/* The index behind the last line that takes back what the section has said of the key. */
static size_t find_start(const struct config *config, enum access_key key, const char *mask,
                         size_t len)
{
        for (size_t i = config->n_entries; i > 0; i--) {
                const struct config_entry *entry = &config->entries[i - 1];

                if (entry->value[0] == '\0' && find_key(entry) == key &&
                    is_of_section(entry, mask, len))
                        return i;
        }
        return 0;
}

int access_foreach_line(const struct config *config, const char *mask, size_t len,
                        int (*fn)(const struct config_entry *entry, void *userdata), void *userdata)
{
        size_t start[ACCESS_N_KEYS];
        int r = 0;

        for (enum access_key key = 0; key < ACCESS_N_KEYS; key++)
                start[key] = find_start(config, key, mask, len);
        for (size_t i = 0; i < config->n_entries && r == 0; i++) {
                const struct config_entry *entry = &config->entries[i];
                enum access_key key = find_key(entry);

                if (key < ACCESS_N_KEYS && i >= start[key] && is_of_section(entry, mask, len))
                        r = fn(entry, userdata);
        }
        return r;
}
