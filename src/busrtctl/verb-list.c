/* SPDX-License-Identifier: Apache-2.0 */
/* busrtctl list: the clients as busrtd's administrator sees them. */
#include <getopt.h>
#include <stdio.h>

#include "basic/macro.h"
#include "busrtctl/client-fields.h"
#include "busrtctl/grid.h"
#include "busrtctl/output.h"
#include "busrtctl/text-time.h"

static const char help[] =
        "Usage: busrtctl [OPTION]... list [OPTION]... [PATTERN]...\n"
        "\n"
        "Lists the clients of busrtd: whose they are, what they have sent into the bus (IN) and\n"
        "what was queued for them (OUT), in frames and bytes, the frames that wait now (QUEUE) "
        "and\n"
        "those that were lost (DROPPED). PATTERN: only names that match, as in a shell.\n"
        "\n"
        "Options:\n"
        "  -u, --uid USER    only this user's, by name or number\n"
        "  -a, --all         secondaries, too\n"
        "  -S, --sort KEY    name, user, pid, kind, in, in-bytes, out, out-bytes, queue, dropped "
        "or\n"
        "                    connected; numbers begin with the largest, connected with the latest\n"
        "  -R, --reverse     the other way round\n"
        "      --names       names alone, each on a line\n"
        "      --no-legend   neither headings nor the sum\n"
        "      --json        an array of objects\n"
        "  -h, --help        this text\n"
        "\n"
        "Examples:\n"
        "  busrtctl list 'plc.*'\n"
        "  busrtctl list --sort queue\n";

/* A terminal of 80 columns has no room for the bytes, one of 40 shows names and traffic alone. */
static const struct grid_column columns[] = {
        {"NAME", .cut = true, .color = "cyan"},
        {"USER", .rank = 2, .cut = true},
        {"PID", .rank = 4, .right = true},
        {"KIND", .rank = 6},
        {"IN", .right = true},
        {"IN BYTES", .rank = 8, .right = true},
        {"OUT", .right = true},
        {"OUT BYTES", .rank = 7, .right = true},
        {"QUEUE", .rank = 1, .right = true},
        {"DROPPED", .rank = 5, .right = true},
        {"CONNECTED", .rank = 3},
};

struct list {
        struct settings settings;
        char *const *patterns;
        uint32_t uid; /* ADMIN_NO_ID: anybody's */
        enum client_key key;
        bool all, reverse, names, no_legend;

        struct users users;
        size_t n_hidden; /* secondaries */
};

/* --- Which, and in which order --- */

static bool is_wanted(struct list *list, const struct admin_client *client)
{
        if (!name_matches(client->name, list->patterns) ||
            (list->uid != ADMIN_NO_ID && client->uid != list->uid))
                return false;
        if (list->all || !client_is_secondary(client))
                return true;
        list->n_hidden++;
        return false;
}

static int compare(const void *a, const void *b, void *userdata)
{
        struct list *list = userdata;
        int r = client_compare(a, b, list->key, &list->users);

        return list->reverse ? -r : r;
}

static void choose(struct list *list, struct admin_clients *clients)
{
        size_t n = 0;

        for (size_t i = 0; i < clients->n; i++)
                if (is_wanted(list, &clients->clients[i]))
                        clients->clients[n++] = clients->clients[i];
        clients->n = n;
        if (n > 0)
                qsort_r(clients->clients, n, sizeof(*clients->clients), compare, list);
}

/* --- Output --- */

static void add_row(struct grid *grid, struct list *list, const struct admin_client *client,
                    uint64_t now)
{
        char age[TEXT_SPAN_MAX], *pid = NULL;

        grid_add_visible(grid, client->name);
        grid_add_visible(grid, users_name(&list->users, client->uid));
        if (client->pid == 0)
                grid_add_visible(grid, "");
        else
                grid_take(grid, asprintf(&pid, "%u", client->pid) < 0 ? NULL : pid);
        grid_add_visible(grid, client->kind);
        grid_add_count(grid, client->in_frames);
        grid_add_bytes(grid, client->in_bytes);
        grid_add_count(grid, client->out_frames);
        grid_add_bytes(grid, client->out_bytes);
        grid_add_count(grid, client->queue_frames);
        grid_add_count(grid, client->dropped);
        grid_add_visible(grid, text_age(client->connected, now, age));
}

static void print_sum(const struct list *list, size_t n)
{
        (void)printf("%s%zu %s listed.", n > 0 ? "\n" : "", n, n == 1 ? "client" : "clients");
        if (list->n_hidden > 0)
                (void)printf(" --all shows %zu %s, too.", list->n_hidden,
                             list->n_hidden == 1 ? "secondary" : "secondaries");
        (void)printf("\n");
}

static int print_table(struct list *list, const struct admin_clients *clients)
{
        _cleanup_(grid_done) struct grid grid = {columns, ARRAY_SIZE(columns),
                                                 .no_headings = list->no_legend};
        uint64_t now = now_realtime();
        int r;

        for (size_t i = 0; i < clients->n; i++)
                add_row(&grid, list, &clients->clients[i], now);
        r = grid_print(&grid, &list->settings);
        if (r >= 0 && !list->no_legend)
                print_sum(list, clients->n);
        return r;
}

static int print_texts(struct list *list, const struct admin_clients *clients)
{
        _cleanup_(text_done) struct text out = {0};
        bool json = list->settings.json;

        text_adds(&out, json ? "[" : "");
        for (size_t i = 0; i < clients->n; i++) {
                const struct admin_client *client = &clients->clients[i];

                text_adds(&out, json ? i > 0 ? ",\n{" : "{" : "");
                if (json)
                        client_add_json(&out, client, &list->users);
                else
                        text_add_visible(&out, client->name, strlen(client->name));
                text_adds(&out, json ? "}" : "\n");
        }
        text_adds(&out, json ? "]\n" : "");
        return print_text(&out);
}

static int run(struct list *list)
{
        _cleanup_(admin_freep) struct admin *admin = NULL;
        _cleanup_(admin_clients_done) struct admin_clients clients = {0};
        int r;

        if (admin_open(&list->settings, &admin) < 0 || admin_list_clients(admin, &clients) < 0)
                return EXIT_FAILURE;
        choose(list, &clients);
        if (list->settings.json || list->names)
                return print_texts(list, &clients);
        r = print_table(list, &clients);
        return r < 0 ? fail(r, "cannot print the list") : finish_output(EXIT_SUCCESS);
}

/* --- The command line --- */

static int find_key(const char *name, enum client_key *ret)
{
        for (size_t i = 0; i < N_CLIENT_KEYS; i++)
                if (strcmp(name, client_key_names[i]) == 0) {
                        *ret = (enum client_key)i;
                        return 0;
                }
        return -EINVAL;
}

enum { OPTION_JSON = 0x100, OPTION_NAMES, OPTION_NO_LEGEND };

/* 0, or an exit status below 0. */
static int take_option(struct list *list, int c, char **argv)
{
        switch (c) {
        case 'u':
                if (parse_user(optarg, &list->uid) < 0)
                        return -usage_error("list", "--uid \"%s\": no such user", optarg);
                return 0;
        case 'S':
                if (find_key(optarg, &list->key) < 0)
                        return -usage_error("list",
                                            "--sort \"%s\": not one of name, user, pid, kind, in, "
                                            "in-bytes, out, out-bytes, queue, dropped, connected",
                                            optarg);
                return 0;
        case 'a':
                list->all = true;
                return 0;
        case 'R':
                list->reverse = true;
                return 0;
        case OPTION_NAMES:
                list->names = true;
                return 0;
        case OPTION_NO_LEGEND:
                list->no_legend = true;
                return 0;
        case OPTION_JSON:
                list->settings.json = true;
                return 0;
        default:
                return -option_error("list", c, argv);
        }
}

int verb_list(const struct settings *settings, int argc, char **argv)
{
        static const struct option options[] = {
                {"uid", required_argument, NULL, 'u'},
                {"all", no_argument, NULL, 'a'},
                {"sort", required_argument, NULL, 'S'},
                {"reverse", no_argument, NULL, 'R'},
                {"names", no_argument, NULL, OPTION_NAMES},
                {"no-legend", no_argument, NULL, OPTION_NO_LEGEND},
                {"json", no_argument, NULL, OPTION_JSON},
                {"help", no_argument, NULL, 'h'},
                {NULL, 0, NULL, 0},
        };
        struct list list = {.settings = *settings, .uid = ADMIN_NO_ID};
        int c, r;

        while ((c = getopt_long(argc, argv, ":u:aS:Rh", options, NULL)) >= 0) {
                if (c == 'h')
                        return print_help(settings, help);
                r = take_option(&list, c, argv);
                if (r < 0)
                        return -r;
        }
        list.patterns = argv + optind;
        r = run(&list);
        users_done(&list.users);
        return r;
}
