/* SPDX-License-Identifier: Apache-2.0 */
/* What the configuration files say of the options. */
#include "busrtd/options-table.h"
#include "busrtd/text.h"

static const char *const folders[] = {"/etc/busrt", "/run/busrt", "/usr/local/lib/busrt",
                                      "/usr/lib/busrt"};

static const struct option_row *find_key(const struct config_entry *entry)
{
        if (strcmp(entry->section, "Bus") != 0)
                return NULL;
        for (size_t i = 0; i < option_n_rows; i++)
                if (option_rows[i].key && strcmp(option_rows[i].key, entry->key) == 0)
                        return &option_rows[i];
        return NULL;
}

/* An empty value takes back what earlier files said. */
static void reset(struct options *o, const struct option_row *row)
{
        struct options defaults;

        options_init(&defaults);
        if (row->kind == OPTION_BIND)
                o->n_binds = 0;
        else
                memcpy((char *)o + row->offset, (char *)&defaults + row->offset,
                       option_field_size(row));
}

static int apply_entry(struct option_parser *p, const struct config_entry *entry)
{
        const struct option_row *row = find_key(entry);
        struct options *o = p->options, scratch = {0};
        int r;

        if (!row)
                return 0;
        p->entry = entry;
        /* What the command line overrides must be right, too. */
        if (o->given >> (row - option_rows) & 1)
                p->options = &scratch;
        else
                o->origins[row - option_rows] = entry->value[0] ? entry : NULL;
        if (entry->value[0])
                r = option_apply(p, row, entry->value);
        else
                r = (reset(p->options, row), 0);
        options_done(&scratch);
        p->options = o;
        return r;
}

/* What follows from other values. */
static void settle(struct options *o)
{
        if (o->engine.queue_memory_max_per_user == 0)
                o->engine.queue_memory_max_per_user = o->engine.queue_memory_max / 2;
}

int options_read_config(struct options *o, char error[OPTIONS_ERROR_MAX])
{
        struct option_parser p = {.options = o, .error = error};
        int r;

        error[0] = '\0';
        r = o->config_file ? config_read_file(&o->config, o->config_file, error)
                           : config_read_folders(&o->config, folders, ARRAY_SIZE(folders),
                                                 "busrtd.conf", error);
        for (size_t i = 0; i < o->config.n_entries && r >= 0; i++) {
                r = apply_entry(&p, &o->config.entries[i]);
                if (r < 0)
                        o->config.failed_at = p.failed_at;
        }
        if (r >= 0)
                settle(o);
        return r < 0 ? r : options_read_access(o, error);
}

/* Those of access rules follow on those of busrtd.conf. */
const struct config_entry *options_next_unknown(const struct options *o, size_t *i)
{
        size_t in_access;

        while (*i < o->config.n_entries) {
                const struct config_entry *entry = &o->config.entries[(*i)++];

                if (!find_key(entry))
                        return entry;
        }
        in_access = (*i)++ - o->config.n_entries;
        return in_access < o->n_access_unknown ? &o->access_unknown[in_access] : NULL;
}

int options_read_again(const struct options *options, struct options *ret,
                       char error[OPTIONS_ERROR_MAX], struct config_place *where)
{
        _cleanup_(options_done) struct options fresh = {0};
        int r = options_parse(options->argc, options->argv, stdout, &fresh, error);

        if (r >= 0)
                r = options_read_config(&fresh, error);
        *where = fresh.config.failed_at;
        if (r < 0)
                return r;
        *ret = fresh;
        fresh = (struct options){0};
        return 0;
}
