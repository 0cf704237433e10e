/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a configuration file: entries lie in their file and are trimmed, or the line at
 * fault is named. Values are read as every type. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"

#define CHECK(condition)                                                                           \
        do {                                                                                       \
                if (!(condition)) {                                                                \
                        fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);            \
                        abort();                                                                   \
                }                                                                                  \
        } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_entry(const struct config_entry *entry)
{
        size_t len = strlen(entry->value);
        uint64_t span;
        bool boolean;

        CHECK(entry->key[0] && entry->line > 0 && !strchr(entry->key, '='));
        CHECK(len == 0 || (entry->value[0] != ' ' && entry->value[len - 1] != ' '));
        CHECK(!strpbrk(entry->value, "\n\x1b"));
        (void)config_parse_boolean(entry->value, &boolean);
        (void)config_parse_span(entry->value, 1, &span);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        char error[CONFIG_ERROR_MAX];
        struct config config = {0};
        int r = config_add_text(&config, "file", (const char *)data, size, error);

        CHECK(r == 0 ? error[0] == '\0' : strncmp(error, "file:", 5) == 0);
        for (size_t i = 0; i < config.n_entries; i++)
                check_entry(&config.entries[i]);
        config_done(&config);
        return 0;
}
