/* SPDX-License-Identifier: Apache-2.0 */
/* The access rules that belong to the options, and what in their files means nothing. */
#include "busrtd/options-table.h"
#include "config/access.h"

static void unknown_done(struct config_entry *entry)
{
        free((char *)entry->section);
        free((char *)entry->key);
        free((char *)entry->file);
}

struct noting {
        struct options *options;
        bool failed;
};

/* The entry's own texts are gone when there is a log to tell of it. */
static int note_unknown(struct options *o, const struct config_entry *entry)
{
        struct config_entry copy = {.section = strdup(entry->section),
                                    .key = strdup(entry->key),
                                    .value = "",
                                    .file = strdup(entry->file),
                                    .line = entry->line};
        struct config_entry *more =
                reallocarray(o->access_unknown, o->n_access_unknown + 1, sizeof(*more));

        if (more)
                o->access_unknown = more;
        if (!more || !copy.section || !copy.key || !copy.file) {
                unknown_done(&copy);
                return -ENOMEM;
        }
        more[o->n_access_unknown++] = copy;
        return 0;
}

static void on_unknown(const struct config_entry *entry, void *userdata)
{
        struct noting *noting = userdata;

        if (!noting->failed && note_unknown(noting->options, entry) < 0)
                noting->failed = true;
}

int options_read_access(struct options *o, char error[OPTIONS_ERROR_MAX])
{
        struct noting noting = {.options = o};
        struct access_rules *rules = NULL;
        int r = access_read_files(o->config_file, &access_resolver_system, on_unknown, &noting,
                                  &rules, error, &o->config.failed_at);

        if (r < 0)
                return r;
        o->engine.access = rules;
        return noting.failed ? -ENOMEM : 0;
}

void options_forget_access(struct options *o)
{
        for (size_t i = 0; i < o->n_access_unknown; i++)
                unknown_done(&o->access_unknown[i]);
        free(o->access_unknown);
        o->access_unknown = NULL;
        o->n_access_unknown = 0;
        o->engine.access = access_rules_unref(o->engine.access);
}
