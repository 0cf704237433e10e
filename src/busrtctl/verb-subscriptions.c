/* SPDX-License-Identifier: Apache-2.0 */
/* busrtctl subscriptions: who subscribes to what. */
#include <getopt.h>
#include <stdio.h>

#include "basic/macro.h"
#include "busrtctl/admin.h"
#include "busrtctl/grid.h"
#include "busrtctl/output.h"

static const char help[] =
        "Usage: busrtctl [OPTION]... subscriptions [OPTION]... [CLIENT]\n"
        "\n"
        "Lists the masks that clients have subscribed to, or have excluded; of one client, by its\n"
        "name or as #ID, or of all. An exclusion takes away what the client's subscriptions "
        "bring.\n"
        "\n"
        "What others subscribe to is theirs: by D-Bus polkit decides who may see it, and a "
        "password\n"
        "may be asked for; by the broker's own socket root and the broker's user may.\n"
        "\n"
        "Options:\n"
        "      --json   an array of objects: client, mask, exclusion\n"
        "  -h, --help   this text\n";

static int print_grid(const struct settings *settings, const struct admin_subscriptions *list)
{
        static const struct grid_column columns[] = {
                {"CLIENT", .color = "cyan"}, {"MASK", .cut = true}, {"KIND"}};
        _cleanup_(grid_done) struct grid grid = {columns, ARRAY_SIZE(columns)};

        for (size_t i = 0; i < list->n; i++) {
                const struct admin_subscription *one = &list->subscriptions[i];

                grid_add_visible(&grid, one->client);
                grid_add_visible(&grid, one->mask);
                grid_add_visible(&grid, one->exclusion ? "exclusion" : "subscription");
        }
        if (grid_print(&grid, settings) < 0)
                return fail(ENOMEM, "cannot print the subscriptions");
        if (list->n == 0)
                (void)fputs("0 subscriptions.\n", stderr);
        return finish_output(EXIT_SUCCESS);
}

static int print_json(const struct admin_subscriptions *list)
{
        _cleanup_(text_done) struct text out = {0};

        text_adds(&out, "[");
        for (size_t i = 0; i < list->n; i++) {
                const struct admin_subscription *one = &list->subscriptions[i];

                text_adds(&out, i > 0 ? ",{\"client\":" : "{\"client\":");
                text_add_json(&out, one->client, strlen(one->client));
                text_adds(&out, ",\"mask\":");
                text_add_json(&out, one->mask, strlen(one->mask));
                text_addf(&out, ",\"exclusion\":%s}", one->exclusion ? "true" : "false");
        }
        text_adds(&out, "]\n");
        return print_text(&out);
}

static int run(const struct settings *settings, const char *client)
{
        _cleanup_(admin_subscriptions_done) struct admin_subscriptions list = {0};
        _cleanup_(admin_freep) struct admin *admin = NULL;

        if (admin_open(settings, &admin) < 0 || admin_list_subscriptions(admin, client, &list) < 0)
                return EXIT_FAILURE;
        return settings->json ? print_json(&list) : print_grid(settings, &list);
}

int verb_subscriptions(const struct settings *settings, int argc, char **argv)
{
        static const struct option options[] = {
                {"json", no_argument, NULL, 'j'},
                {"help", no_argument, NULL, 'h'},
                {NULL, 0, NULL, 0},
        };
        struct settings own = *settings;
        const char *client;
        int c;

        while ((c = getopt_long(argc, argv, ":h", options, NULL)) >= 0) {
                if (c == 'h')
                        return print_help(settings, help);
                if (c != 'j')
                        return option_error("subscriptions", c, argv);
                own.json = true;
        }
        client = optind < argc ? argv[optind++] : NULL;
        if (client && check_given("subscriptions", "CLIENT", client) > 0)
                return EXIT_USAGE;
        if (optind < argc)
                return usage_error("subscriptions", "more than one CLIENT: \"%s\"", argv[optind]);
        return run(&own, client);
}
