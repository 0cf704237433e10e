/* SPDX-License-Identifier: Apache-2.0 */
/* busrtctl access show: the sections in the order in which they count. */
#include <getopt.h>
#include <stdio.h>

#include "basic/macro.h"
#include "busrtctl/client-fields.h"
#include "busrtctl/grid.h"
#include "busrtctl/output.h"
#include "busrtctl/verb-access.h"
#include "route/mask.h"

#define VERB "access show"

static const char help[] =
        "Usage: busrtctl access show [OPTION]... [MASK]...\n"
        "\n"
        "Shows the sections of the access rules, all of them or those of these masks, the most "
        "specific\n"
        "first: of those that match a client's name, the uppermost holds. Sections of several "
        "files are\n"
        "put together, lines that were taken back are left out.\n"
        "\n"
        "Options:\n" ACCESS_SOURCE_HELP
        "      --json          an array of objects: section, key, value, file, line\n"
        "  -h, --help          this text\n";

/* A section by its canonical mask, which lies in the text of a file. */
struct section {
        const char *mask;
        size_t len;
        const char *file; /* of its first header */
        unsigned line;
};

struct show {
        struct settings settings;
        struct access_source source;
        char *const *masks;
        struct access_files files;
        struct section *sections;
        size_t n_sections;
        const struct section *now; /* whose lines are printed */
        struct grid *grid;
        struct text *json;
        size_t n_lines;
};

static int compare(const void *a, const void *b)
{
        const struct section *x = a, *y = b;

        return mask_compare(&mask_name, x->mask, x->len, y->mask, y->len);
}

/* Without those that came before: qsort(3) keeps no order among equals. */
static int collect(struct show *show)
{
        const struct config *config = &show->files.config;

        show->sections = calloc(config->n_sections + 1, sizeof(*show->sections));
        if (!show->sections)
                return -ENOMEM;
        for (size_t i = 0; i < config->n_sections; i++) {
                const struct config_section *from = &config->sections[i];
                struct section one = {from->name, 0, from->file, from->line};
                size_t n = 0;

                one.len = mask_canonical_len(&mask_name, from->name, strlen(from->name));
                while (n < show->n_sections && compare(&show->sections[n], &one) != 0)
                        n++;
                if (n == show->n_sections)
                        show->sections[show->n_sections++] = one;
        }
        if (show->n_sections > 1)
                qsort(show->sections, show->n_sections, sizeof(*show->sections), compare);
        return 0;
}

static bool is_wanted(const struct show *show, const struct section *section)
{
        if (!show->masks[0])
                return true;
        for (char *const *mask = show->masks; *mask; mask++)
                if (mask_canonical_len(&mask_name, *mask, strlen(*mask)) == section->len &&
                    memcmp(*mask, section->mask, section->len) == 0)
                        return true;
        return false;
}

static void add_row(struct show *show, const char *key, const char *value, const char *file,
                    unsigned line)
{
        _cleanup_(text_done) struct text mask = {0}, place = {0};

        text_adds(&mask, "[");
        text_add_visible(&mask, show->now->mask, show->now->len);
        text_adds(&mask, "]");
        grid_take(show->grid, access_take_text(&mask));
        grid_add_visible(show->grid, key);
        grid_add_visible(show->grid, value);
        access_add_place(&place, file, line);
        grid_take(show->grid, access_take_text(&place));
}

static void add_object(struct show *show, const char *key, const char *value, const char *file,
                       unsigned line)
{
        text_adds(show->json, show->json->len > 1 ? ",\n{\"section\":" : "{\"section\":");
        text_add_json(show->json, show->now->mask, show->now->len);
        text_adds(show->json, ",\"key\":");
        text_add_json(show->json, key, strlen(key));
        text_adds(show->json, ",\"value\":");
        text_add_json(show->json, value, strlen(value));
        access_add_place_json(show->json, file, line);
        text_adds(show->json, "}");
}

static int add_line(const struct config_entry *entry, void *userdata)
{
        struct show *show = userdata;

        show->n_lines++;
        (show->json ? add_object : add_row)(show, entry->key, entry->value, entry->file,
                                            entry->line);
        return 0;
}

/* A section that says nothing still holds, and refuses everything. */
static void add_sections(struct show *show)
{
        for (size_t i = 0; i < show->n_sections; i++) {
                const struct section *s = &show->sections[i];

                if (!is_wanted(show, s))
                        continue;
                show->now = s;
                show->n_lines = 0;
                (void)access_foreach_line(&show->files.config, s->mask, s->len, add_line, show);
                if (show->n_lines == 0)
                        (show->json ? add_object : add_row)(show, "", "", s->file, s->line);
        }
}

static int print_grid(struct show *show)
{
        static const struct grid_column columns[] = {
                {"SECTION", .color = "cyan"}, {"KEY"}, {"VALUE", .cut = true}, {"RULE"}};
        _cleanup_(grid_done) struct grid grid = {columns, ARRAY_SIZE(columns)};

        show->grid = &grid;
        add_sections(show);
        if (grid_print(&grid, &show->settings) < 0)
                return fail(ENOMEM, "cannot print the rules");
        if (show->n_sections == 0)
                (void)fputs("There are no access rules: everybody may everything.\n", stderr);
        return finish_output(EXIT_SUCCESS);
}

static int print_json(struct show *show)
{
        _cleanup_(text_done) struct text out = {0};

        show->json = &out;
        text_adds(&out, "[");
        add_sections(show);
        text_adds(&out, "]\n");
        return print_text(&out);
}

static void show_done(struct show *show)
{
        access_files_done(&show->files);
        free(show->sections);
}

static int run(struct show *show)
{
        int r = access_files_load(VERB, &show->source, &access_resolver_system, &show->files);

        if (r > 0)
                return r;
        if (collect(show) < 0)
                return fail(ENOMEM, "cannot print the rules");
        return show->settings.json ? print_json(show) : print_grid(show);
}

int access_show(const struct settings *settings, int argc, char **argv)
{
        static const struct option options[] = {
                {"rules", required_argument, NULL, 'r'},
                {"config", required_argument, NULL, 'c'},
                {"json", no_argument, NULL, 'j'},
                {"help", no_argument, NULL, 'h'},
                {NULL, 0, NULL, 0},
        };
        _cleanup_(show_done) struct show show = {.settings = *settings};
        int c, r;

        while ((c = getopt_long(argc, argv, ":r:c:h", options, NULL)) >= 0)
                switch (c) {
                case 'r':
                        show.source.folder = optarg;
                        break;
                case 'c':
                        show.source.config_file = optarg;
                        break;
                case 'j':
                        show.settings.json = true;
                        break;
                case 'h':
                        return print_help(settings, help);
                default:
                        return option_error(VERB, c, argv);
                }
        show.masks = argv + optind;
        r = access_check_source(VERB, &show.source);
        return r > 0 ? r : run(&show);
}
