/* SPDX-License-Identifier: Apache-2.0 */
/* busrtctl config: the settings of the broker in force, and where each was said. */
#include <getopt.h>
#include <stdio.h>

#include "basic/macro.h"
#include "busrtctl/admin.h"
#include "busrtctl/grid.h"
#include "busrtctl/output.h"

static const char help[] =
        "Usage: busrtctl [OPTION]... config [OPTION]...\n"
        "\n"
        "Shows the settings of the broker that are in force and not the built-in ones: the keys "
        "of\n"
        "busrtd.conf(5), their values, and the file and line that said so, or the command line.\n"
        "\n"
        "Options:\n"
        "  -a, --all    the built-in ones, too\n"
        "      --json   an array of objects; file and line are null where there is none\n"
        "  -h, --help   this text\n";

static bool is_built_in(const struct admin_setting *setting)
{
        return setting->file[0] == '\0';
}

/* "FILE:LINE" */
static char *format_place(const struct admin_setting *setting)
{
        _cleanup_(text_done) struct text text = {0};

        if (is_built_in(setting))
                text_adds(&text, "built in");
        text_add_visible(&text, setting->file, strlen(setting->file));
        if (setting->line > 0)
                text_addf(&text, ":%u", setting->line);
        text_add(&text, "", 1);
        return text.failed ? NULL : TAKE_PTR(text.data);
}

static int print_grid(const struct settings *settings, const struct admin_settings *list, bool all)
{
        static const struct grid_column columns[] = {
                {"KEY", .color = "cyan"}, {"VALUE"}, {"FROM", .cut = true}};
        _cleanup_(grid_done) struct grid grid = {columns, ARRAY_SIZE(columns)};
        size_t n = 0;

        for (size_t i = 0; i < list->n; i++) {
                const struct admin_setting *setting = &list->settings[i];

                if (is_built_in(setting) && !all)
                        continue;
                grid_add_visible(&grid, setting->key);
                grid_add_visible(&grid, setting->value);
                grid_take(&grid, format_place(setting));
                n++;
        }
        if (grid_print(&grid, settings) < 0)
                return fail(ENOMEM, "cannot print the settings");
        if (n == 0)
                (void)fputs("All settings are the built-in ones: --all shows them.\n", stderr);
        return finish_output(EXIT_SUCCESS);
}

static void add_object(struct text *out, const struct admin_setting *setting)
{
        text_adds(out, "{\"key\":");
        text_add_json(out, setting->key, strlen(setting->key));
        text_adds(out, ",\"value\":");
        text_add_json(out, setting->value, strlen(setting->value));
        text_adds(out, ",\"file\":");
        if (is_built_in(setting))
                text_adds(out, "null");
        else
                text_add_json(out, setting->file, strlen(setting->file));
        if (setting->line > 0)
                text_addf(out, ",\"line\":%u}", setting->line);
        else
                text_adds(out, ",\"line\":null}");
}

static int print_json(const struct admin_settings *list, bool all)
{
        _cleanup_(text_done) struct text out = {0};
        const char *comma = "";

        text_adds(&out, "[");
        for (size_t i = 0; i < list->n; i++) {
                if (is_built_in(&list->settings[i]) && !all)
                        continue;
                text_adds(&out, comma);
                add_object(&out, &list->settings[i]);
                comma = ",";
        }
        text_adds(&out, "]\n");
        return print_text(&out);
}

static int run(const struct settings *settings, bool all)
{
        _cleanup_(admin_settings_done) struct admin_settings list = {0};
        _cleanup_(admin_freep) struct admin *admin = NULL;

        if (admin_open(settings, &admin) < 0 || admin_get_settings(admin, &list) < 0)
                return EXIT_FAILURE;
        return settings->json ? print_json(&list, all) : print_grid(settings, &list, all);
}

int verb_config(const struct settings *settings, int argc, char **argv)
{
        static const struct option options[] = {
                {"all", no_argument, NULL, 'a'},
                {"json", no_argument, NULL, 'j'},
                {"help", no_argument, NULL, 'h'},
                {NULL, 0, NULL, 0},
        };
        struct settings own = *settings;
        bool all = false;
        int c;

        while ((c = getopt_long(argc, argv, ":ah", options, NULL)) >= 0)
                switch (c) {
                case 'a':
                        all = true;
                        break;
                case 'j':
                        own.json = true;
                        break;
                case 'h':
                        return print_help(settings, help);
                default:
                        return option_error("config", c, argv);
                }
        if (optind < argc)
                return usage_error("config", "it takes no arguments: \"%s\"", argv[optind]);
        return run(&own, all);
}
