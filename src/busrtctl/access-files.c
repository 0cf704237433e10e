/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <sys/stat.h>

#include "basic/macro.h"
#include "busrtctl/access-files.h"
#include "busrtctl/busrtctl.h"

void access_files_done(struct access_files *files)
{
        access_rules_unref(files->rules);
        config_done(&files->config);
        *files = (struct access_files){0};
}

static int complain(const char *text)
{
        (void)fail(0, "%s", text);
        return EXIT_USAGE;
}

static void on_unknown(const struct config_entry *entry, void *userdata)
{
        (void)fail(0, "%s:%u: %s\"%s\" means nothing here", entry->file, entry->line,
                   entry->section[0] ? "the key " : "outside of a section the key ", entry->key);
}

/* Rules that are not there would allow everything. */
static int check_source(const struct access_source *source)
{
        const char *path = source->folder ? source->folder : source->config_file;
        struct stat st;

        if (!path)
                return 0;
        if (stat(path, &st) < 0)
                return -errno;
        return source->folder && !S_ISDIR(st.st_mode) ? -ENOTDIR : 0;
}

int access_files_load(const char *verb, const struct access_source *source,
                      const struct access_resolver *resolver, struct access_files *ret)
{
        _cleanup_(access_files_done) struct access_files files = {0};
        const char *path = source->folder ? source->folder : source->config_file;
        char error[CONFIG_ERROR_MAX] = "";
        int r = check_source(source);

        if (r < 0)
                return usage_error(verb, "%s: %s", path, strerrordesc_np(-r));
        if (source->folder)
                r = config_read_drop_ins(&files.config, &source->folder, 1, error);
        else
                r = access_collect_files(source->config_file, &files.config, error);
        if (r >= 0)
                r = access_read_config(&files.config, resolver, on_unknown, NULL, &files.rules,
                                       error);
        if (r < 0)
                return complain(error[0] ? error : strerrordesc_np(-r));
        *ret = files;
        files = (struct access_files){0};
        return 0;
}
