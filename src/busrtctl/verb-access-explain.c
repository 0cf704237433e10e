/* SPDX-License-Identifier: Apache-2.0 */
/* busrtctl access explain: what the rules say of one client, and which line says it. */
#include <getopt.h>
#include <pwd.h>
#include <stdio.h>

#include "basic/macro.h"
#include "busrtctl/access-question.h"
#include "busrtctl/access-who.h"
#include "busrtctl/grid.h"
#include "busrtctl/output.h"
#include "busrtctl/verb-access.h"

#define VERB "access explain"
#define QUESTIONS_MAX 256
#define GROUPS_MAX 64

static const char help[] =
        "Usage: busrtctl access explain NAME [OPTION]...\n"
        "\n"
        "Says whether this user may be the client NAME on the bus, and whether it may then do what "
        "is\n"
        "asked; or, if nothing is asked, all that the section for NAME says. Each answer has its\n"
        "reason, and the file and line of the rule. The rules are those of the files now: a broker "
        "has\n"
        "them since its last reload.\n"
        "\n"
        "Who:\n"
        "  -u, --user USER     a user of this machine, with all its groups (who calls this)\n"
        "  -g, --group GROUP   as if it were in this group, too; may be repeated\n"
        "      --host ADDRESS  by TCP from this address instead\n"
        "\n"
        "What; each may be repeated:\n"
        "  -P, --publish TOPIC     may it publish on this topic?\n"
        "  -S, --subscribe MASK    may it subscribe to this mask of topics?\n"
        "  -M, --send CLIENT       may it send messages to this client, or call it?\n"
        "  -B, --broadcast MASK    may it broadcast to this mask of clients?\n"
        "  -R, --receive CLIENT    does it take frames from this client?\n"
        "\n"
        "Options:\n" ACCESS_SOURCE_HELP "      --json          one object\n"
        "  -h, --help          this text\n"
        "\n"
        "Exit status: 0 all of it is allowed, 1 something is not, 2 a mistake on the command line, "
        "or\n"
        "rules that are no rules.\n"
        "\n"
        "Examples:\n"
        "  busrtctl access explain plc.1 --user plc\n"
        "  busrtctl access explain hmi --host 192.0.2.7 --subscribe 'line/#' --send plc.1\n";

struct question {
        enum access_deed deed;
        const char *object;
        struct verdict verdict;
};

struct explain {
        struct settings settings;
        struct access_source source;
        const char *name, *user, *host;
        const char *groups[GROUPS_MAX];
        size_t n_groups;
        struct question questions[QUESTIONS_MAX]; /* the first is ACCESS_BEAR */
        size_t n_questions;

        struct access_people people; /* none is declared */
        struct access_who who;
        struct access_files files;
};

/* --- Who --- */

static int find_who(struct explain *e)
{
        char number[16];
        const struct passwd *own = e->user || e->host ? NULL : getpwuid(getuid());
        int r;

        (void)snprintf(number, sizeof(number), "%u", (unsigned)getuid());
        if (e->host)
                r = access_who_of_host(e->host, &e->who);
        else
                r = access_who_of_user(&e->people,
                                       e->user ? e->user
                                       : own   ? own->pw_name
                                               : number,
                                       &e->who);
        if (r == -EINVAL)
                return usage_error(VERB, "--host \"%s\": no IPv4 or IPv6 address", e->host);
        if (r == -ENOENT)
                return usage_error(VERB, "--user \"%s\": no such user", e->user);
        for (size_t i = 0; i < e->n_groups && r >= 0; i++) {
                r = access_who_add_group(&e->people, e->groups[i], &e->who);
                if (r == -ENOENT)
                        return usage_error(VERB, "--group \"%s\": no such group", e->groups[i]);
        }
        if (r < 0)
                (void)fail(-r, "cannot judge");
        return r < 0 ? EXIT_USAGE : 0;
}

/* --- For people --- */

static void add_question(struct grid *grid, const struct question *q)
{
        _cleanup_(text_done) struct text what = {0}, place = {0};
        const struct verdict *v = &q->verdict;

        text_adds(&what, access_deed_names[q->deed]);
        text_adds(&what, q->object ? " " : " the name");
        if (q->object)
                text_add_visible(&what, q->object, strlen(q->object));
        grid_take(grid, access_take_text(&what));
        grid_add_visible(grid, v->allow ? "allowed" : "denied");
        grid_add_visible(grid, v->reason);
        if (v->file)
                access_add_place(&place, v->file, v->line);
        else
                text_adds(&place, "-");
        grid_take(grid, access_take_text(&place));
}

static int print_answers(struct explain *e)
{
        static const struct grid_column columns[] = {{"QUESTION", .color = "cyan"},
                                                     {"ANSWER"},
                                                     {"WHY", .cut = true, .rank = 1},
                                                     {"RULE"}};
        _cleanup_(grid_done) struct grid grid = {columns, ARRAY_SIZE(columns)};

        for (size_t i = 0; i < e->n_questions; i++)
                add_question(&grid, &e->questions[i]);
        return grid_print(&grid, &e->settings);
}

static int add_line(const struct config_entry *entry, void *userdata)
{
        _cleanup_(text_done) struct text place = {0};
        struct grid *grid = userdata;

        grid_add_visible(grid, entry->key);
        grid_add_visible(grid, entry->value);
        access_add_place(&place, entry->file, entry->line);
        grid_take(grid, access_take_text(&place));
        return 0;
}

/* Which section it is, and what stands in it. */
static int print_section(struct explain *e)
{
        static const struct grid_column columns[] = {
                {"KEY", .color = "cyan"}, {"VALUE", .cut = true}, {"RULE"}};
        _cleanup_(grid_done) struct grid grid = {columns, ARRAY_SIZE(columns)};
        const struct access_rule *rule =
                access_rules_find(e->files.rules, e->name, strlen(e->name));
        _cleanup_free_ char *visible = NULL;
        size_t len = 0;
        const char *mask = rule ? access_rule_mask(rule, &len) : "";

        if (len == 0) {
                (void)printf("\n%s\n", rule ? "No section matches: it may do nothing."
                                            : "There are no access rules: it may do everything.");
                return 0;
        }
        visible = text_visible(mask);
        (void)access_foreach_line(&e->files.config, mask, len, add_line, &grid);
        (void)printf("\nBy section [%s]. What has no line here is not allowed%s:\n",
                     visible ? visible : "?",
                     access_rule_is_picky(rule) ? "" : "; frames are taken from everybody");
        return grid_print(&grid, &e->settings);
}

static int print_all(struct explain *e)
{
        _cleanup_free_ char *name = text_visible(e->name), *who = text_visible(e->who.text);
        int r = 0;

        if (e->n_questions == 1 && name && who) {
                (void)printf("%s as %s:\n", name, who);
                r = print_answers(e);
                if (r >= 0)
                        r = print_section(e);
                if (!e->source.folder && !e->source.config_file)
                        (void)printf("\nThese are the files as they are now; the broker has them "
                                     "since its last reload.\n");
        } else {
                r = print_answers(e);
        }
        return r;
}

/* --- For programs --- */

static void add_answer_json(struct text *out, const struct question *q)
{
        text_addf(out, "{\"question\":\"%s\",\"about\":", access_deed_names[q->deed]);
        if (q->object)
                text_add_json(out, q->object, strlen(q->object));
        else
                text_adds(out, "null");
        text_addf(out, ",\"allowed\":%s,\"reason\":\"%s\"", q->verdict.allow ? "true" : "false",
                  q->verdict.reason);
        access_add_place_json(out, q->verdict.file, q->verdict.line);
        text_adds(out, "}");
}

static int print_json(const struct explain *e)
{
        const struct access_rule *rule =
                access_rules_find(e->files.rules, e->name, strlen(e->name));
        _cleanup_(text_done) struct text out = {0};
        size_t len = 0;
        const char *mask = rule ? access_rule_mask(rule, &len) : "";

        text_adds(&out, "{\"name\":");
        text_add_json(&out, e->name, strlen(e->name));
        text_adds(&out, ",\"who\":");
        text_add_json(&out, e->who.text, strlen(e->who.text));
        text_adds(&out, ",\"section\":");
        if (len > 0)
                text_add_json(&out, mask, len);
        else
                text_adds(&out, "null");
        text_adds(&out, ",\"answers\":[");
        for (size_t i = 0; i < e->n_questions; i++) {
                text_adds(&out, i > 0 ? ",\n" : "");
                add_answer_json(&out, &e->questions[i]);
        }
        text_adds(&out, "]}\n");
        return print_text(&out);
}

/* --- The verb --- */

static int run(struct explain *e)
{
        struct access_resolver resolver = access_people_resolver(&e->people);
        bool allowed = true;
        int r = find_who(e);

        if (r == 0)
                r = access_files_load(VERB, &e->source, &resolver, &e->files);
        if (r > 0)
                return r;
        for (size_t i = 0; i < e->n_questions; i++) {
                struct question *q = &e->questions[i];

                q->verdict =
                        access_judge(e->files.rules, e->name, &e->who.peer, q->deed, q->object);
                allowed = allowed && q->verdict.allow;
        }
        if (e->settings.json)
                r = print_json(e);
        else if (print_all(e) < 0)
                r = fail(ENOMEM, "cannot print the answers");
        else
                r = finish_output(EXIT_SUCCESS);
        return r > 0 ? EXIT_USAGE : allowed ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int add_object(struct explain *e, enum access_deed deed, const char *object)
{
        if (e->n_questions == QUESTIONS_MAX)
                return -usage_error(VERB, "more than %d questions", QUESTIONS_MAX - 1);
        e->questions[e->n_questions++] = (struct question){deed, object, {0}};
        return 0;
}

enum { OPTION_HOST = 0x100, OPTION_JSON };

/* 0, or an exit status below 0. */
static int take_option(struct explain *e, int c, char **argv)
{
        switch (c) {
        case 'u':
                e->user = optarg;
                return 0;
        case 'g':
                if (e->n_groups == GROUPS_MAX)
                        return -usage_error(VERB, "more than %d groups", GROUPS_MAX);
                e->groups[e->n_groups++] = optarg;
                return 0;
        case OPTION_HOST:
                e->host = optarg;
                return 0;
        case 'P':
                return add_object(e, ACCESS_PUBLISH, optarg);
        case 'S':
                return add_object(e, ACCESS_SUBSCRIBE, optarg);
        case 'M':
                return add_object(e, ACCESS_SEND, optarg);
        case 'B':
                return add_object(e, ACCESS_BROADCAST, optarg);
        case 'R':
                return add_object(e, ACCESS_RECEIVE, optarg);
        case 'r':
                e->source.folder = optarg;
                return 0;
        case 'c':
                e->source.config_file = optarg;
                return 0;
        case OPTION_JSON:
                e->settings.json = true;
                return 0;
        default:
                return -option_error(VERB, c, argv);
        }
}

static int check_options(const struct explain *e)
{
        if (e->host && (e->user || e->n_groups > 0))
                return usage_error(VERB, "--host comes by TCP: no --user, no --group beside it");
        return access_check_source(VERB, &e->source);
}

static void explain_done(struct explain *e)
{
        access_files_done(&e->files);
        access_who_done(&e->who);
        access_people_done(&e->people);
}

int access_explain(const struct settings *settings, int argc, char **argv)
{
        static const struct option options[] = {
                {"user", required_argument, NULL, 'u'},
                {"group", required_argument, NULL, 'g'},
                {"host", required_argument, NULL, OPTION_HOST},
                {"publish", required_argument, NULL, 'P'},
                {"subscribe", required_argument, NULL, 'S'},
                {"send", required_argument, NULL, 'M'},
                {"broadcast", required_argument, NULL, 'B'},
                {"receive", required_argument, NULL, 'R'},
                {"rules", required_argument, NULL, 'r'},
                {"config", required_argument, NULL, 'c'},
                {"json", no_argument, NULL, OPTION_JSON},
                {"help", no_argument, NULL, 'h'},
                {NULL, 0, NULL, 0},
        };
        _cleanup_(explain_done) struct explain e = {
                .settings = *settings, .questions = {{.deed = ACCESS_BEAR}}, .n_questions = 1};
        int c, r;

        while ((c = getopt_long(argc, argv, ":u:g:P:S:M:B:R:r:c:h", options, NULL)) >= 0) {
                if (c == 'h')
                        return print_help(settings, help);
                r = take_option(&e, c, argv);
                if (r < 0)
                        return -r;
        }
        if (optind == argc)
                return usage_error(VERB, "the NAME of a client is missing");
        e.name = argv[optind++];
        if (optind < argc)
                return usage_error(VERB, "more than one NAME: \"%s\"", argv[optind]);
        r = check_options(&e);
        return r > 0 ? r : run(&e);
}
