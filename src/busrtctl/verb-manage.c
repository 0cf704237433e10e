/* SPDX-License-Identifier: Apache-2.0 */
/* busrtctl disconnect, reload, log-level and reset-statistics: what changes the broker. */
#include <getopt.h>
#include <stdio.h>

#include "basic/macro.h"
#include "busrtctl/admin.h"
#include "busrtctl/output.h"

#define WHO_MAY                                                                                    \
        "By D-Bus polkit decides who may, and a password may be asked for; by the broker's own\n"  \
        "socket root and the broker's user may.\n"

static const char disconnect_help[] = "Usage: busrtctl [OPTION]... disconnect CLIENT...\n"
                                      "\n"
                                      "Ends the connections of clients, which are given by their "
                                      "names, or as #ID. A program that\n"
                                      "connects again by itself will be back soon.\n"
                                      "\n" WHO_MAY "\n"
                                      "Options:\n"
                                      "  -h, --help   this text\n"
                                      "\n"
                                      "Examples:\n"
                                      "  busrtctl disconnect plc.1\n"
                                      "  busrtctl disconnect '#4711'\n";

static const char reload_help[] =
        "Usage: busrtctl [OPTION]... reload\n"
        "\n"
        "Has the broker read its configuration again, and waits until that is in force. A\n"
        "configuration with a mistake in it is refused as a whole: file, line and reason are "
        "told,\n"
        "the one before stays in force, and the exit status is 1.\n"
        "\n" WHO_MAY "\n"
        "Options:\n"
        "  -h, --help   this text\n";

static const char log_level_help[] =
        "Usage: busrtctl [OPTION]... log-level [OPTION]... [LEVEL]\n"
        "\n"
        "Prints what the broker logs, or sets it until the broker stops. LEVEL: err, warning, "
        "notice,\n"
        "info or debug, which also tells of every client that comes and goes.\n"
        "\n" WHO_MAY "\n"
        "Options:\n"
        "      --json   the level as a string of JSON\n"
        "  -h, --help   this text\n";

static const char reset_help[] = "Usage: busrtctl [OPTION]... reset-statistics\n"
                                 "\n"
                                 "Sets the counters of the broker and of all its clients to zero. "
                                 "What watches them, such as\n"
                                 "a monitoring system, sees them fall.\n"
                                 "\n" WHO_MAY "\n"
                                 "Options:\n"
                                 "  -h, --help   this text\n";

/* The options of a verb that has but these. 0: go on behind optind; else *ret_status. */
static int take_options(const char *help, struct settings *settings, bool with_json, int argc,
                        char **argv, int *ret_status)
{
        static const struct option options[] = {
                {"help", no_argument, NULL, 'h'},
                {"json", no_argument, NULL, 'j'},
                {NULL, 0, NULL, 0},
        };
        int c;

        while ((c = getopt_long(argc, argv, ":h", options, NULL)) >= 0) {
                if (c == 'j' && with_json) {
                        settings->json = true;
                        continue;
                }
                if (c == 'j')
                        *ret_status = usage_error(argv[0], "unknown option %s", argv[optind - 1]);
                else
                        *ret_status = c == 'h' ? print_help(settings, help)
                                               : option_error(argv[0], c, argv);
                return -EINVAL;
        }
        return 0;
}

/* Opens the way, where nothing stands behind the options. 0, or *ret_status. */
static int open_bare(const char *help, const struct settings *settings, int argc, char **argv,
                     struct admin **ret, int *ret_status)
{
        struct settings own = *settings;
        int r = take_options(help, &own, false, argc, argv, ret_status);

        if (r < 0)
                return r;
        if (optind < argc) {
                *ret_status = usage_error(argv[0], "it takes no arguments: \"%s\"", argv[optind]);
                return -EINVAL;
        }
        r = admin_open(&own, ret);
        if (r < 0)
                *ret_status = EXIT_FAILURE;
        return r;
}

int verb_disconnect(const struct settings *settings, int argc, char **argv)
{
        _cleanup_(admin_freep) struct admin *admin = NULL;
        struct settings own = *settings;
        int status = EXIT_SUCCESS;

        if (take_options(disconnect_help, &own, false, argc, argv, &status) < 0)
                return status;
        if (optind == argc)
                return usage_error(argv[0], "the name of a client is missing");
        for (int i = optind; i < argc; i++)
                if (check_given(argv[0], "CLIENT", argv[i]) > 0)
                        return EXIT_USAGE;
        if (admin_open(&own, &admin) < 0)
                return EXIT_FAILURE;
        for (int i = optind; i < argc; i++)
                if (admin_disconnect(admin, argv[i]) < 0)
                        status = EXIT_FAILURE;
        return status;
}

int verb_reload(const struct settings *settings, int argc, char **argv)
{
        _cleanup_(admin_freep) struct admin *admin = NULL;
        int status;

        if (open_bare(reload_help, settings, argc, argv, &admin, &status) < 0)
                return status;
        return admin_reload(admin) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int verb_reset_statistics(const struct settings *settings, int argc, char **argv)
{
        _cleanup_(admin_freep) struct admin *admin = NULL;
        int status;

        if (open_bare(reset_help, settings, argc, argv, &admin, &status) < 0)
                return status;
        return admin_reset_statistics(admin) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static bool is_level(const char *word)
{
        static const char *const levels[] = {"err", "warning", "notice", "info", "debug"};

        for (size_t i = 0; i < ARRAY_SIZE(levels); i++)
                if (strcmp(word, levels[i]) == 0)
                        return true;
        return false;
}

static int print_level(const struct settings *settings, struct admin *admin)
{
        _cleanup_(text_done) struct text out = {0};
        const char *level;

        if (admin_get_log_level(admin, &level) < 0)
                return EXIT_FAILURE;
        if (settings->json)
                text_add_json(&out, level, strlen(level));
        else
                text_add_visible(&out, level, strlen(level));
        text_adds(&out, "\n");
        return print_text(&out);
}

int verb_log_level(const struct settings *settings, int argc, char **argv)
{
        _cleanup_(admin_freep) struct admin *admin = NULL;
        struct settings own = *settings;
        const char *level;
        int status;

        if (take_options(log_level_help, &own, true, argc, argv, &status) < 0)
                return status;
        level = optind < argc ? argv[optind++] : NULL;
        if (optind < argc)
                return usage_error(argv[0], "more than one LEVEL: \"%s\"", argv[optind]);
        if (level && !is_level(level))
                return usage_error(argv[0],
                                   "\"%s\" is none of err, warning, notice, info and debug", level);
        if (admin_open(&own, &admin) < 0)
                return EXIT_FAILURE;
        if (!level)
                return print_level(&own, admin);
        return admin_set_log_level(admin, level) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
