/* SPDX-License-Identifier: Apache-2.0 */
/* busrtctl quota: what users and addresses have of all that is limited for each of them. */
#include <arpa/inet.h>
#include <getopt.h>
#include <stdio.h>

#include "access/access.h"
#include "basic/macro.h"
#include "busrtctl/client-fields.h"
#include "busrtctl/grid.h"
#include "busrtctl/output.h"

static const char help[] =
        "Usage: busrtctl [OPTION]... quota [OPTION]... [USER|ADDRESS]\n"
        "\n"
        "Lists what each user, and each address on TCP, has of what it may have: connections,\n"
        "names, subscriptions, bytes held in queues, and connections without a name yet. REFUSED "
        "is\n"
        "how often it wanted more, since it was last without a connection. IPv6 addresses count\n"
        "together as far as their first 64 bits are the same, and so does all of loopback.\n"
        "\n"
        "What others have is theirs: by D-Bus polkit decides who may see it; one's own user is "
        "free.\n"
        "By the broker's own socket root and the broker's user may.\n"
        "\n"
        "Options:\n"
        "      --json   an array of objects; a limit is null where there is none\n"
        "  -h, --help   this text\n"
        "\n"
        "Examples:\n"
        "  busrtctl quota plc\n"
        "  busrtctl quota 192.0.2.7\n";

static const struct grid_column columns[] = {
        {"WHO", .cut = true, .color = "cyan"},
        {"CONNECTIONS", .right = true},
        {"NAMES", .rank = 2, .right = true},
        {"SUBSCRIPTIONS", .rank = 1, .right = true},
        {"HELD", .right = true},
        {"HANDSHAKES", .rank = 3, .right = true},
        {"REFUSED"},
};

/* In the order of the columns, and of JSON. */
static const struct {
        const char *name;
        size_t offset;
} uses[] = {
        {"connections", offsetof(struct admin_quota, connections)},
        {"names", offsetof(struct admin_quota, names)},
        {"subscriptions", offsetof(struct admin_quota, subscriptions)},
        {"held", offsetof(struct admin_quota, held)},
        {"handshakes", offsetof(struct admin_quota, handshakes)},
        {"rate", offsetof(struct admin_quota, rate)},
};

#define HELD 3
#define RATE 5

static const struct admin_use *use_of(const struct admin_quota *quota, size_t i)
{
        return (const struct admin_use *)((const char *)quota + uses[i].offset);
}

/* --- For people --- */

static char *finish(struct text *text)
{
        text_add(text, "", 1);
        return text->failed ? NULL : TAKE_PTR(text->data);
}

/* "12 of 16,000"; the user to whom no limit applies has "12". */
static char *format_use(const struct admin_use *use, bool bytes)
{
        char used[TEXT_NUMBER_MAX], max[TEXT_NUMBER_MAX];
        _cleanup_(text_done) struct text text = {0};

        text_adds(&text, bytes ? text_bytes(use->used, used) : text_count(use->used, used));
        if (use->max != ADMIN_NO_LIMIT)
                text_addf(&text, " of %s",
                          bytes ? text_bytes(use->max, max) : text_count(use->max, max));
        return finish(&text);
}

/* "names 3, rate 1" */
static char *format_refused(const struct admin_quota *quota)
{
        _cleanup_(text_done) struct text text = {0};
        char number[TEXT_NUMBER_MAX];

        for (size_t i = 0; i < ARRAY_SIZE(uses); i++)
                if (use_of(quota, i)->refused > 0)
                        text_addf(&text, "%s%s %s", text.len > 0 ? ", " : "", uses[i].name,
                                  text_count(use_of(quota, i)->refused, number));
        if (text.len == 0)
                text_adds(&text, "-");
        return finish(&text);
}

static const char *who(struct users *users, const struct admin_quota *quota)
{
        return quota->uid == ADMIN_NO_ID ? quota->identity : users_name(users, quota->uid);
}

static int print_grid(const struct settings *settings, struct users *users,
                      const struct admin_quotas *list)
{
        _cleanup_(grid_done) struct grid grid = {columns, ARRAY_SIZE(columns)};

        for (size_t i = 0; i < list->n; i++) {
                const struct admin_quota *quota = &list->quotas[i];

                grid_add_visible(&grid, who(users, quota));
                for (size_t j = 0; j < RATE; j++)
                        grid_take(&grid, format_use(use_of(quota, j), j == HELD));
                grid_take(&grid, format_refused(quota));
        }
        if (grid_print(&grid, settings) < 0)
                return fail(ENOMEM, "cannot print the quotas");
        if (list->n == 0)
                (void)fputs("Not connected: nothing is counted.\n", stderr);
        return finish_output(EXIT_SUCCESS);
}

/* --- For programs --- */

static void add_number(struct text *out, const char *key, const char *what, uint64_t n)
{
        if (n == ADMIN_NO_LIMIT)
                text_addf(out, ",\"%s%s\":null", key, what);
        else
                text_addf(out, ",\"%s%s\":%llu", key, what, (unsigned long long)n);
}

static void add_object(struct text *out, struct users *users, const struct admin_quota *quota)
{
        const char *user = quota->uid == ADMIN_NO_ID ? NULL : users_name(users, quota->uid);

        text_adds(out, "{\"identity\":");
        text_add_json(out, quota->identity, strlen(quota->identity));
        add_number(out, "uid", "", user ? quota->uid : ADMIN_NO_LIMIT);
        text_adds(out, ",\"user\":");
        if (user)
                text_add_json(out, user, strlen(user));
        else
                text_adds(out, "null");
        for (size_t i = 0; i < ARRAY_SIZE(uses); i++) {
                const struct admin_use *use = use_of(quota, i);

                if (i != RATE)
                        add_number(out, uses[i].name, "", use->used);
                add_number(out, uses[i].name, "_max", use->max);
                add_number(out, uses[i].name, "_refused", use->refused);
        }
        text_adds(out, "}");
}

static int print_json(struct users *users, const struct admin_quotas *list)
{
        _cleanup_(text_done) struct text out = {0};

        text_adds(&out, "[");
        for (size_t i = 0; i < list->n; i++) {
                text_adds(&out, i > 0 ? ",\n" : "");
                add_object(&out, users, &list->quotas[i]);
        }
        text_adds(&out, "]\n");
        return print_text(&out);
}

/* --- The verb --- */

/* As the broker calls it. 0 or -EINVAL. */
static int find_identity(const char *text, char out[64])
{
        uint8_t address[16];
        struct identity identity;
        uint32_t uid;

        if (parse_user(text, &uid) >= 0)
                identity = identity_of_user(uid);
        else if (inet_pton(AF_INET, text, address) == 1)
                identity = identity_of_ipv4(address);
        else if (inet_pton(AF_INET6, text, address) == 1)
                identity = identity_of_ipv6(address);
        else
                return -EINVAL;
        identity_format(&identity, out, 64);
        return 0;
}

static int run(const struct settings *settings, const char *identity)
{
        _cleanup_(admin_quotas_done) struct admin_quotas list = {0};
        _cleanup_(admin_freep) struct admin *admin = NULL;
        _cleanup_(users_done) struct users users = {0};

        if (admin_open(settings, &admin) < 0 || admin_list_quotas(admin, identity, &list) < 0)
                return EXIT_FAILURE;
        return settings->json ? print_json(&users, &list) : print_grid(settings, &users, &list);
}

int verb_quota(const struct settings *settings, int argc, char **argv)
{
        static const struct option options[] = {
                {"json", no_argument, NULL, 'j'},
                {"help", no_argument, NULL, 'h'},
                {NULL, 0, NULL, 0},
        };
        struct settings own = *settings;
        const char *given;
        char identity[64];
        int c;

        while ((c = getopt_long(argc, argv, ":h", options, NULL)) >= 0) {
                if (c == 'h')
                        return print_help(settings, help);
                if (c != 'j')
                        return option_error("quota", c, argv);
                own.json = true;
        }
        given = optind < argc ? argv[optind++] : NULL;
        if (optind < argc)
                return usage_error("quota", "more than one USER or ADDRESS: \"%s\"", argv[optind]);
        if (given && find_identity(given, identity) < 0)
                return usage_error("quota", "\"%s\": neither a user of this machine nor an address",
                                   given);
        return run(&own, given ? identity : NULL);
}
