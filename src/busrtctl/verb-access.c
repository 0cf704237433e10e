/* SPDX-License-Identifier: Apache-2.0 */
/* busrtctl access: what access rules say, without a broker. */
#include <stdio.h>

#include "basic/macro.h"
#include "busrtctl/verb-access.h"

static const char help[] =
        "Usage: busrtctl access explain NAME [OPTION]...\n"
        "       busrtctl access show [OPTION]... [MASK]...\n"
        "       busrtctl access test [OPTION]... FILE\n"
        "\n"
        "Looks at the access rules as they are in their files now, see busrt.access(5), and judges "
        "as\n"
        "the broker does. The broker itself is not asked: it has them as they were at its start or "
        "its\n"
        "last reload.\n"
        "\n"
        "  explain   who may bear a name, and what its bearer may do, and by which line\n"
        "  show      the sections, the most specific first, each line with its file\n"
        "  test      whether the rules do what a file expects of them\n"
        "\n"
        "\"busrtctl access explain --help\" and so on say more.\n";

int access_check_source(const char *verb, const struct access_source *source)
{
        if (source->folder && source->config_file)
                return usage_error(verb, "--rules and --config: one of them says where the rules "
                                         "are");
        if (source->folder)
                return check_given(verb, "--rules", source->folder);
        return source->config_file ? check_given(verb, "--config", source->config_file) : 0;
}

void access_add_place(struct text *text, const char *file, unsigned line)
{
        if (!file)
                return;
        text_add_visible(text, file, strlen(file));
        text_addf(text, ":%u", line);
}

char *access_take_text(struct text *text)
{
        text_add(text, "", 1);
        return text->failed ? NULL : TAKE_PTR(text->data);
}

void access_add_place_json(struct text *out, const char *file, unsigned line)
{
        text_adds(out, ",\"file\":");
        if (file)
                text_add_json(out, file, strlen(file));
        else
                text_adds(out, "null");
        if (file)
                text_addf(out, ",\"line\":%u", line);
        else
                text_adds(out, ",\"line\":null");
}

int verb_access(const struct settings *settings, int argc, char **argv)
{
        static const struct {
                const char *name;
                int (*run)(const struct settings *settings, int argc, char **argv);
        } verbs[] = {{"explain", access_explain}, {"show", access_show}, {"test", access_test}};

        if (argc < 2)
                return usage_error("access", "one of explain, show and test is missing");
        if (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0)
                return print_help(settings, help);
        for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
                if (strcmp(argv[1], verbs[i].name) == 0)
                        return verbs[i].run(settings, argc - 1, argv + 1);
        return usage_error("access", "\"%s\" is none of explain, show and test", argv[1]);
}
