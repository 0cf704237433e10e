/* SPDX-License-Identifier: Apache-2.0 */
/*
 * busrtctl access test: whether the rules do what a file expects of them. First the file's own
 * lines are read, which say whose users there are and where the rules lie; then each expectation is
 * judged, in its order.
 */
#include <getopt.h>
#include <stdio.h>

#include "basic/macro.h"
#include "busrtctl/access-expect.h"
#include "busrtctl/access-who.h"
#include "busrtctl/output.h"
#include "busrtctl/verb-access.h"

#define VERB "access test"

static const char help[] =
        "Usage: busrtctl access test [OPTION]... FILE\n"
        "\n"
        "Holds access rules to what FILE expects of them, see busrt.access(5):\n"
        "\n"
        "  Rules=access.d\n"
        "  User=plc plc dialout\n"
        "\n"
        "  [plc.1 as user plc]\n"
        "  Allow=bear\n"
        "  Allow=publish line/1/speed line/1/load\n"
        "  Deny=publish line/2/speed\n"
        "\n"
        "  [plc.1 as host 192.0.2.7]\n"
        "  Deny=bear\n"
        "\n"
        "Prints one line for each expectation that does not hold, with the rule that says "
        "otherwise.\n"
        "\n"
        "Options:\n" ACCESS_SOURCE_HELP "  -q, --quiet         no sum at the end\n"
        "      --json          one object: n, and an array of what failed\n"
        "  -h, --help          this text\n"
        "\n"
        "Exit status: 0 all hold, 1 one does not, 2 a mistake on the command line, in FILE or in "
        "the\n"
        "rules.\n";

struct test {
        struct settings settings;
        struct access_source source;
        const char *path;
        bool quiet;

        struct config config;
        char *folder; /* of Rules= */
        struct access_people people;
        struct access_files files;

        /* The section that is being judged. */
        const char *section;
        struct access_words header_words;
        struct access_header header;
        struct access_who who;
        struct verdict bears;

        size_t n, n_failed;
        struct text json;
};

static int complain(const char *file, unsigned line, const char *what, const char *why)
{
        (void)fail(0, "%s:%u: %s: %s", file, line, what, why);
        return -EXIT_USAGE;
}

static int out_of_memory(void)
{
        (void)fail(ENOMEM, "cannot judge");
        return -EXIT_USAGE;
}

static int split(const struct config_entry *entry, struct access_words *ret)
{
        int r = access_words_split(entry->value, ret);

        if (r == -ENOMEM)
                return out_of_memory();
        return r < 0 ? complain(entry->file, entry->line, entry->key,
                                "a quoted word does not end here")
                     : 0;
}

/* --- Before the first section --- */

/* From the folder of the file that says it. */
static int take_rules(struct test *t, const struct config_entry *entry)
{
        const char *slash = strrchr(entry->file, '/');
        int r;

        if (!entry->value[0] || t->folder)
                return complain(entry->file, entry->line, "Rules=", "it names one folder");
        if (entry->value[0] == '/' || !slash)
                r = asprintf(&t->folder, "%s", entry->value);
        else
                r = asprintf(&t->folder, "%.*s/%s", (int)(slash - entry->file), entry->file,
                             entry->value);
        if (r < 0) {
                t->folder = NULL;
                return out_of_memory();
        }
        return 0;
}

static int take_person(struct test *t, const struct config_entry *entry)
{
        _cleanup_(access_words_done) struct access_words words = {0};
        bool user = strcmp(entry->key, "User") == 0;
        int r = split(entry, &words);

        if (r < 0)
                return r;
        if (words.n == 0 || (!user && words.n > 1))
                return complain(entry->file, entry->line, entry->key,
                                user ? "it is written User=NAME GROUP..."
                                     : "it is written Group=NAME");
        r = user ? access_people_add_user(&t->people, words.words[0],
                                          (const char *const *)words.words + 1, words.n - 1)
                 : access_people_add_group(&t->people, words.words[0]);
        if (r == -EEXIST)
                return complain(entry->file, entry->line, entry->key, "it is there already");
        return r < 0 ? out_of_memory() : 0;
}

static int take_preamble(struct test *t)
{
        int r = 0;

        for (size_t i = 0; i < t->config.n_entries && r == 0; i++) {
                const struct config_entry *entry = &t->config.entries[i];

                if (entry->section[0])
                        break;
                if (strcmp(entry->key, "Rules") == 0)
                        r = take_rules(t, entry);
                else if (strcmp(entry->key, "User") == 0 || strcmp(entry->key, "Group") == 0)
                        r = take_person(t, entry);
                else
                        r = complain(entry->file, entry->line, entry->key,
                                     "before the first section stand Rules=, User= and Group=");
        }
        if (!t->source.folder && !t->source.config_file)
                t->source.folder = t->folder;
        return r;
}

/* --- Sections --- */

static int find_who(struct test *t, const struct config_section *at)
{
        const struct access_header *h = &t->header;
        int r = 0;

        if (h->host)
                r = access_who_of_host(h->host, &t->who);
        else if (h->user)
                r = access_who_of_user(&t->people, h->user, &t->who);
        if (r == -EINVAL)
                return complain(at->file, at->line, h->host, "no IPv4 or IPv6 address");
        if (r == -ENOENT)
                return complain(at->file, at->line, h->user,
                                "there is no such user here, and no User= before that says so");
        for (size_t i = 0; i < h->n_groups && r >= 0; i++) {
                r = access_who_add_group(&t->people, h->groups[i], &t->who);
                if (r == -ENOENT)
                        return complain(at->file, at->line, h->groups[i],
                                        "there is no such group here, and no Group= before that "
                                        "says so");
        }
        return r < 0 ? out_of_memory() : 0;
}

static int begin_section(struct test *t, const struct config_section *at)
{
        const char *why = NULL;
        int r;

        access_who_done(&t->who);
        access_words_done(&t->header_words);
        t->section = at->name;
        r = access_words_split(at->name, &t->header_words);
        if (r == -ENOMEM)
                return out_of_memory();
        if (r < 0)
                return complain(at->file, at->line, at->name, "a quoted word does not end here");
        r = access_header_parse(&t->header_words, &t->header, &why);
        if (r < 0)
                return complain(at->file, at->line, at->name, why);
        r = find_who(t, at);
        if (r < 0)
                return r;
        t->bears = access_judge(t->files.rules, t->header.name, &t->who.peer, ACCESS_BEAR, NULL);
        return 0;
}

/* --- Expectations --- */

struct expectation {
        const struct config_entry *entry;
        bool allow;
        enum access_deed deed;
        const char *object; /* NULL: none */
};

static void tell_text(struct test *t, const struct expectation *x, const struct verdict *v,
                      const char *what)
{
        _cleanup_(text_done) struct text line = {0};

        access_add_place(&line, x->entry->file, x->entry->line);
        text_adds(&line, ": [");
        text_add_visible(&line, t->section, strlen(t->section));
        text_addf(&line, "] %s=%s", x->entry->key, access_deed_names[x->deed]);
        text_adds(&line, x->object ? " " : "");
        if (x->object)
                text_add_visible(&line, x->object, strlen(x->object));
        text_addf(&line, ": %s: %s", what, v->reason);
        if (v->file) {
                text_adds(&line, " (");
                access_add_place(&line, v->file, v->line);
                text_adds(&line, ")");
        }
        text_adds(&line, "\n");
        (void)print_text(&line);
}

static void tell_json(struct test *t, const struct expectation *x, const struct verdict *v,
                      const char *what)
{
        struct text *out = &t->json;

        text_adds(out, out->len > 0 ? ",\n{\"section\":" : "{\"section\":");
        text_add_json(out, t->section, strlen(t->section));
        text_addf(out, ",\"expected\":\"%s\",\"question\":\"%s\",\"about\":",
                  x->allow ? "allow" : "deny", access_deed_names[x->deed]);
        if (x->object)
                text_add_json(out, x->object, strlen(x->object));
        else
                text_adds(out, "null");
        text_addf(out, ",\"test\":{\"line\":%u},\"holds\":\"%s\",\"reason\":\"%s\"", x->entry->line,
                  what, v->reason);
        access_add_place_json(out, v->file, v->line);
        text_adds(out, "}");
}

/* Who may not bear the name cannot try anything else: that would hold, and prove nothing. */
static void judge(struct test *t, const struct expectation *x)
{
        bool named = t->header.user || t->header.host;
        struct verdict v =
                access_judge(t->files.rules, t->header.name, &t->who.peer, x->deed, x->object);
        const char *what = v.allow ? "allowed" : "denied";

        t->n++;
        if (named && x->deed != ACCESS_BEAR && !t->bears.allow) {
                v = t->bears;
                what = "it may not bear the name";
        } else if (v.allow == x->allow) {
                return;
        }
        t->n_failed++;
        (t->settings.json ? tell_json : tell_text)(t, x, &v, what);
}

static int judge_entry(struct test *t, const struct config_entry *entry)
{
        _cleanup_(access_words_done) struct access_words words = {0};
        struct expectation x = {.entry = entry, .allow = strcmp(entry->key, "Allow") == 0};
        const char *why = NULL;
        int r;

        if (!x.allow && strcmp(entry->key, "Deny") != 0)
                return complain(entry->file, entry->line, entry->key,
                                "in a section stand Allow= and Deny=");
        r = split(entry, &words);
        if (r < 0)
                return r;
        r = access_expectation_parse(&words, &x.deed, &why);
        if (r < 0)
                return complain(entry->file, entry->line, entry->key, why);
        if (x.deed == ACCESS_BEAR && !t->header.user && !t->header.host)
                return complain(entry->file, entry->line, entry->key,
                                "who? The section is to be written [NAME as user USER]");
        if (x.deed == ACCESS_BEAR)
                judge(t, &x);
        for (size_t i = 1; i < words.n; i++) {
                x.object = words.words[i];
                judge(t, &x);
        }
        return 0;
}

/* Entries point to their header's own text, which tells where among the headers they stand. */
static int judge_all(struct test *t)
{
        size_t n_sections = 0;
        int r = 0;

        for (size_t i = 0; i < t->config.n_entries && r == 0; i++) {
                const struct config_entry *entry = &t->config.entries[i];

                if (!entry->section[0])
                        continue;
                while (r == 0 && t->section != entry->section)
                        r = begin_section(t, &t->config.sections[n_sections++]);
                if (r == 0)
                        r = judge_entry(t, entry);
        }
        if (r == 0 && t->n == 0) {
                (void)fail(0, "%s: it expects nothing", t->path);
                return -EXIT_USAGE;
        }
        return r;
}

/* --- The verb --- */

static int print_sum(struct test *t)
{
        _cleanup_(text_done) struct text out = {0};

        if (t->settings.json) {
                text_addf(&out, "{\"n\":%zu,\"failed\":[", t->n);
                text_add(&out, t->json.data, t->json.len);
                text_adds(&out, "]}\n");
                out.failed = out.failed || t->json.failed;
        } else if (!t->quiet) {
                text_addf(&out, "%zu of %zu expectations hold.\n", t->n - t->n_failed, t->n);
        }
        return print_text(&out);
}

static void test_done(struct test *t)
{
        text_done(&t->json);
        access_who_done(&t->who);
        access_words_done(&t->header_words);
        access_files_done(&t->files);
        access_people_done(&t->people);
        free(t->folder);
        config_done(&t->config);
}

static int read_file(struct test *t)
{
        char error[CONFIG_ERROR_MAX] = "";
        int r = config_read_one(&t->config, t->path, error);

        if (r < 0)
                (void)fail(0, "%s", error[0] ? error : strerrordesc_np(-r));
        return r < 0 ? -EXIT_USAGE : take_preamble(t);
}

static int run(struct test *t)
{
        struct access_resolver resolver = access_people_resolver(&t->people);
        int r = read_file(t);

        if (r == 0)
                r = -access_files_load(VERB, &t->source, &resolver, &t->files);
        if (r == 0)
                r = judge_all(t);
        if (r < 0)
                return -r;
        r = print_sum(t);
        return r > 0 ? EXIT_USAGE : t->n_failed > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int access_test(const struct settings *settings, int argc, char **argv)
{
        static const struct option options[] = {
                {"rules", required_argument, NULL, 'r'}, {"config", required_argument, NULL, 'c'},
                {"quiet", no_argument, NULL, 'q'},       {"json", no_argument, NULL, 'j'},
                {"help", no_argument, NULL, 'h'},        {NULL, 0, NULL, 0},
        };
        _cleanup_(test_done) struct test t = {.settings = *settings};
        int c, r;

        while ((c = getopt_long(argc, argv, ":r:c:qh", options, NULL)) >= 0)
                switch (c) {
                case 'r':
                        t.source.folder = optarg;
                        break;
                case 'c':
                        t.source.config_file = optarg;
                        break;
                case 'q':
                        t.quiet = true;
                        break;
                case 'j':
                        t.settings.json = true;
                        break;
                case 'h':
                        return print_help(settings, help);
                default:
                        return option_error(VERB, c, argv);
                }
        if (optind == argc)
                return usage_error(VERB, "the FILE with what is expected is missing");
        t.path = argv[optind++];
        if (optind < argc)
                return usage_error(VERB, "more than one FILE: \"%s\"", argv[optind]);
        r = access_check_source(VERB, &t.source);
        return r > 0 ? r : run(&t);
}
