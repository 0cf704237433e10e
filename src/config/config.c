/* SPDX-License-Identifier: Apache-2.0 */
/* The lines of one file. */
#include <stdarg.h>
#include <stdio.h>

#include "basic/macro.h"
#include "basic/utf8.h"
#include "config/config.h"

static struct config_file *file_free(struct config_file *file)
{
        if (file) {
                free(file->path);
                free(file->text);
                free(file);
        }
        return NULL;
}

static void file_freep(struct config_file **file)
{
        *file = file_free(*file);
}

void config_done(struct config *config)
{
        for (size_t i = 0; i < config->n_files; i++)
                file_free(config->files[i]);
        free(config->files);
        free(config->entries);
        free(config->sections);
        *config = (struct config){0};
}

struct line {
        struct config *config;
        const struct config_file *file;
        unsigned number;
        char *error;
};

static int complain(const struct line *line, const char *reason)
{
        struct config_place *at = &line->config->failed_at;

        (void)snprintf(at->file, sizeof(at->file), "%s", line->file->path);
        at->line = line->number;
        (void)snprintf(line->error, CONFIG_ERROR_MAX, "%.256s:%u: %s", line->file->path,
                       line->number, reason);
        return -EINVAL;
}

static bool is_blank(char c)
{
        return c == ' ' || c == '\t' || c == '\r';
}

/* Cuts blanks off both ends, in place. */
static char *trim(char *text)
{
        char *end = text + strlen(text);

        while (end > text && is_blank(end[-1]))
                end--;
        *end = '\0';
        while (is_blank(*text))
                text++;
        return text;
}

/* Controls, those of two bytes among them, have no business in a value. */
static bool is_plain(const char *text)
{
        const unsigned char *c = (const unsigned char *)text;

        for (; *c; c++)
                if ((*c < ' ' && *c != '\t') || *c == 0x7f || (*c == 0xc2 && c[1] < 0xa0))
                        return false;
        return true;
}

static int add_entry(struct config *config, const struct config_entry *entry)
{
        struct config_entry *more =
                reallocarray(config->entries, config->n_entries + 1, sizeof(*more));

        if (!more)
                return -ENOMEM;
        config->entries = more;
        more[config->n_entries++] = *entry;
        return 0;
}

static int add_section(struct config *config, const struct config_section *section)
{
        struct config_section *more =
                reallocarray(config->sections, config->n_sections + 1, sizeof(*more));

        if (!more)
                return -ENOMEM;
        config->sections = more;
        more[config->n_sections++] = *section;
        return 0;
}

static int parse_line(struct config *config, const struct line *line, char *text,
                      const char **section)
{
        struct config_entry entry = {.file = line->file->path, .line = line->number};
        char *equals;

        text = trim(text);
        if (text[0] == '\0' || text[0] == '#' || text[0] == ';')
                return 0;
        if (!utf8_is_valid(text, strlen(text)) || !is_plain(text))
                return complain(line, "this line is no plain text");
        if (text[0] == '[') {
                size_t len = strlen(text);

                if (len < 3 || text[len - 1] != ']' || strcspn(text + 1, "[]") != len - 2)
                        return complain(line, "a section is written [Name]");
                text[len - 1] = '\0';
                *section = text + 1;
                return add_section(
                        config, &(struct config_section){text + 1, line->file->path, line->number});
        }
        equals = strchr(text, '=');
        if (!equals)
                return complain(line, "neither [Section] nor Key=Value nor a comment");
        *equals = '\0';
        entry.section = *section;
        entry.key = trim(text);
        entry.value = trim(equals + 1);
        if (entry.key[0] == '\0')
                return complain(line, "a key is missing before \"=\"");
        return add_entry(config, &entry);
}

static int parse_lines(struct config *config, struct config_file *file, size_t len,
                       char error[CONFIG_ERROR_MAX])
{
        struct line line = {config, file, 1, error};
        const char *section = "";
        char *at = file->text, *end = at + len;
        int r = 0;

        for (; at < end && r >= 0; line.number++) {
                char *stop = memchr(at, '\n', (size_t)(end - at));

                if (!stop)
                        stop = end;
                *stop = '\0';
                if (strlen(at) != (size_t)(stop - at))
                        return complain(&line, "this line is no plain text");
                r = parse_line(config, &line, at, &section);
                at = stop + 1;
        }
        return r;
}

static int add_file(struct config *config, struct config_file *file)
{
        struct config_file **more =
                reallocarray(config->files, config->n_files + 1, sizeof(struct config_file *));

        if (!more)
                return -ENOMEM;
        config->files = more;
        more[config->n_files++] = file;
        return 0;
}

int config_add_text(struct config *config, const char *path, const char *text, size_t len,
                    char error[CONFIG_ERROR_MAX])
{
        _cleanup_(file_freep) struct config_file *file = calloc(1, sizeof(*file));
        struct config_file *added = file;
        int r;

        error[0] = '\0';
        if (!file)
                return -ENOMEM;
        file->path = strdup(path);
        file->text = malloc(len + 1);
        if (!file->path || !file->text)
                return -ENOMEM;
        memcpy(file->text, text, len);
        file->text[len] = '\0';
        r = add_file(config, file);
        if (r < 0)
                return r;
        TAKE_PTR(file);
        return parse_lines(config, added, len, error);
}
