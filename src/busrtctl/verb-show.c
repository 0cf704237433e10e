/* SPDX-License-Identifier: Apache-2.0 */
/* busrtctl show: all that is known of a client; for scripts, single properties of it. */
#include <getopt.h>
#include <stdio.h>

#include "basic/macro.h"
#include "busrtctl/client-fields.h"
#include "busrtctl/label.h"
#include "busrtctl/output.h"
#include "busrtctl/text-time.h"

static const char help[] =
        "Usage: busrtctl [OPTION]... show [OPTION]... CLIENT...\n"
        "\n"
        "Shows all that is known of the clients: who they are, what they have moved, what waits "
        "for\n"
        "them and what they subscribe to. CLIENT: a name, or \"#ID\".\n"
        "\n"
        "Options:\n"
        "  -p, --property KEY   only this, as KEY=VALUE; may be repeated, or be a list with "
        "commas.\n"
        "                       Id, Name, Kind, Listener, Primary, User, Group, ProcessID, Unit,\n"
        "                       Address, ConnectedTimestamp, FramesIn, BytesIn, FramesOut, "
        "BytesOut,\n"
        "                       FramesDropped, QueueFrames, QueueBytes, QueueFramesMax,\n"
        "                       QueueBytesMax, PacedUSec, Instances, Secondaries, Subscriptions "
        "or\n"
        "                       Exclusions; of the last three each on a line of its own\n"
        "      --value          with -p: the values alone\n"
        "  -P KEY               as -p KEY --value\n"
        "      --json           an object with all of it, on a line for each\n"
        "  -h, --help           this text\n"
        "\n"
        "Examples:\n"
        "  busrtctl show plc.1\n"
        "  busrtctl show -P QueueFrames plc.1\n";

/* Of polkit. */
#define INSPECT "org.busrt1.inspect"

/* --- Properties --- */

enum property_type { NUMBER, SHORT_NUMBER, ID, TEXT, TEXTS };

#define OF(member) offsetof(struct admin_client_details, member)

/* Named as those of org.busrt1.Client on D-Bus. */
static const struct property {
        const char *name;
        enum property_type type;
        size_t offset;
        bool private;
} properties[] = {
        {"Id", NUMBER, OF(client.id)},
        {"Name", TEXT, OF(client.name)},
        {"Kind", TEXT, OF(client.kind)},
        {"Listener", TEXT, OF(client.listener)},
        {"Primary", TEXT, OF(client.primary)},
        {"User", ID, OF(client.uid)},
        {"Group", ID, OF(client.gid)},
        {"ProcessID", SHORT_NUMBER, OF(client.pid)},
        {"Unit", TEXT, OF(unit)},
        {"Address", TEXT, OF(address), true},
        {"ConnectedTimestamp", NUMBER, OF(client.connected)},
        {"FramesIn", NUMBER, OF(client.in_frames)},
        {"BytesIn", NUMBER, OF(client.in_bytes)},
        {"FramesOut", NUMBER, OF(client.out_frames)},
        {"BytesOut", NUMBER, OF(client.out_bytes)},
        {"FramesDropped", NUMBER, OF(client.dropped)},
        {"QueueFrames", NUMBER, OF(client.queue_frames)},
        {"QueueBytes", NUMBER, OF(client.queue_bytes)},
        {"QueueFramesMax", NUMBER, OF(client.queue_frames_max)},
        {"QueueBytesMax", NUMBER, OF(client.queue_bytes_max)},
        {"PacedUSec", NUMBER, OF(client.paced)},
        {"Instances", NUMBER, OF(client.instances)},
        {"Secondaries", TEXTS, OF(secondaries)},
        {"Subscriptions", TEXTS, OF(subscriptions), true},
        {"Exclusions", TEXTS, OF(exclusions), true},
};

struct show {
        struct settings settings;
        const struct property *wanted[2 * ARRAY_SIZE(properties)];
        size_t n_wanted;
        bool value;

        struct users users;
        struct admin *admin;
        struct admin_status status; /* for the limits */
};

static const char *const *texts_of(const struct admin_client_details *details, size_t offset)
{
        static const char *const none[] = {NULL};
        const char *const *texts;

        memcpy(&texts, (const char *)details + offset, sizeof(texts));
        return texts ? texts : none;
}

static void add_value(struct text *out, const struct property *property,
                      const struct admin_client_details *details, size_t i)
{
        const char *at = (const char *)details + property->offset, *text;
        uint64_t number;
        uint32_t id;

        switch (property->type) {
        case NUMBER:
                memcpy(&number, at, sizeof(number));
                text_addf(out, "%llu", (unsigned long long)number);
                return;
        case SHORT_NUMBER:
        case ID:
                memcpy(&id, at, sizeof(id));
                if (property->type == SHORT_NUMBER || id != ADMIN_NO_ID)
                        text_addf(out, "%u", id);
                return;
        case TEXT:
                memcpy(&text, at, sizeof(text));
                text_add_visible(out, text, strlen(text));
                return;
        case TEXTS:
                text = texts_of(details, property->offset)[i];
                text_add_visible(out, text ? text : "", text ? strlen(text) : 0);
        }
}

static void add_property(struct text *out, const struct show *show, const struct property *property,
                         const struct admin_client_details *details)
{
        size_t n = 1;

        if (property->type == TEXTS)
                for (n = 0; texts_of(details, property->offset)[n];)
                        n++;
        for (size_t i = 0; i < MAX(n, (size_t)1); i++) {
                if (!show->value)
                        text_addf(out, "%s=", property->name);
                add_value(out, property, details, i);
                text_adds(out, "\n");
        }
}

/* 0, or EXIT_FAILURE after saying what was not told. */
static int add_properties(struct text *out, const struct show *show,
                          const struct admin_client_details *details)
{
        for (size_t i = 0; i < show->n_wanted; i++) {
                if (show->wanted[i]->private && details->private_denied)
                        return fail(0, "%s of \"%s\": not allowed: it takes the right " INSPECT,
                                    show->wanted[i]->name, details->client.name);
                add_property(out, show, show->wanted[i], details);
        }
        return 0;
}

/* --- For people --- */

static void add_text(struct text *out, const struct show *show, const char *label, const char *text)
{
        if (!text[0])
                return;
        add_label(out, &show->settings, label);
        text_add_visible(out, text, strlen(text));
        text_adds(out, "\n");
}

static void add_texts(struct text *out, const struct show *show, const char *label,
                      const char *const *texts)
{
        for (size_t i = 0; texts[i]; i++)
                add_text(out, show, i == 0 ? label : "", texts[i]);
}

static void add_who(struct text *out, struct show *show, const struct admin_client_details *details)
{
        const struct admin_client *client = &details->client;
        char age[TEXT_SPAN_MAX];

        add_text(out, show, "Secondary of", client->primary);
        add_label(out, &show->settings, "Joined");
        text_add_date(out, client->connected);
        text_addf(out, "; %s\n", text_age(client->connected, now_realtime(), age));
        add_label(out, &show->settings, "By");
        text_add_visible(out, client->kind, strlen(client->kind));
        text_adds(out, ", ");
        text_add_visible(out, client->listener, strlen(client->listener));
        text_adds(out, "\n");
        add_text(out, show, "Address", details->address);
        if (client->uid != ADMIN_NO_ID) {
                add_label(out, &show->settings, "User");
                text_addf(out, "%s (%u), ", users_name(&show->users, client->uid), client->uid);
                text_addf(out, "group %s (%u)\n", users_group(&show->users, client->gid),
                          client->gid);
        }
        if (client->pid != 0) {
                add_label(out, &show->settings, "PID");
                text_addf(out, "%u\n", client->pid);
        }
        add_text(out, show, "Unit", details->unit);
}

/* In the form of text_count() and text_bytes() where it is a number. */
static void add_limit(struct text *out, const struct show *show, const char *name, bool bytes)
{
        char number[TEXT_NUMBER_MAX];
        uint64_t limit;

        for (size_t i = 0; i < show->status.n_limits; i++) {
                const char *value = show->status.limits[i].text;

                if (strcmp(show->status.limits[i].name, name) != 0)
                        continue;
                if (parse_number(value, 0, UINT64_MAX, &limit) >= 0)
                        value = bytes ? text_bytes(limit, number) : text_count(limit, number);
                text_add_visible(out, value, strlen(value));
        }
}

static void add_queue(struct text *out, const struct show *show, const struct admin_client *client)
{
        const struct settings *settings = &show->settings;
        char span[TEXT_SPAN_MAX];

        add_traffic(out, settings, "Queue", client->queue_frames, client->queue_bytes);
        add_traffic(out, settings, "At most", client->queue_frames_max, client->queue_bytes_max);
        add_label(out, settings, "Full at");
        add_limit(out, show, "QueueFrames", false);
        text_adds(out, " frames, ");
        add_limit(out, show, "QueueBytes", true);
        text_adds(out, "\n");
        add_trouble(out, settings, "Dropped", client->dropped, "frame", "frames");
        add_label(out, settings, "Paced");
        text_addf(out, "%s\n", text_span(client->paced, span));
}

static void add_client(struct text *out, struct show *show,
                       const struct admin_client_details *details)
{
        const struct admin_client *client = &details->client;

        text_adds(out, ansi(&show->settings, ANSI_CYAN));
        text_add_visible(out, client->name, strlen(client->name));
        text_addf(out, "%s (#%llu)\n", ansi(&show->settings, ANSI_RESET),
                  (unsigned long long)client->id);
        add_who(out, show, details);
        add_traffic(out, &show->settings, "In", client->in_frames, client->in_bytes);
        add_traffic(out, &show->settings, "Out", client->out_frames, client->out_bytes);
        add_queue(out, show, client);
        add_texts(out, show, "Secondaries", texts_of(details, OF(secondaries)));
        if (details->private_denied) {
                add_label(out, &show->settings, "Subscriptions");
                text_addf(out, "%snot shown, nor the address: they take the right " INSPECT "%s\n",
                          ansi(&show->settings, ANSI_DIM), ansi(&show->settings, ANSI_RESET));
                return;
        }
        add_texts(out, show, "Subscriptions", texts_of(details, OF(subscriptions)));
        add_texts(out, show, "Exclusions", texts_of(details, OF(exclusions)));
}

/* --- For programs --- */

static void add_json(struct text *out, struct show *show,
                     const struct admin_client_details *details)
{
        text_adds(out, "{");
        client_add_json(out, &details->client, &show->users);
        text_adds(out, ",\"unit\":");
        text_add_json(out, details->unit, strlen(details->unit));
        text_adds(out, ",\"secondaries\":");
        json_add_strings(out, texts_of(details, OF(secondaries)));
        if (details->private_denied) {
                text_adds(out, ",\"address\":null,\"subscriptions\":null,\"exclusions\":null}\n");
                return;
        }
        text_adds(out, ",\"address\":");
        text_add_json(out, details->address, strlen(details->address));
        text_adds(out, ",\"subscriptions\":");
        json_add_strings(out, texts_of(details, OF(subscriptions)));
        text_adds(out, ",\"exclusions\":");
        json_add_strings(out, texts_of(details, OF(exclusions)));
        text_adds(out, "}\n");
}

/* --- The verb --- */

static int show_client(struct show *show, const char *name, bool first)
{
        _cleanup_(admin_client_details_done) struct admin_client_details details = {0};
        _cleanup_(text_done) struct text out = {0};
        int r = 0;

        if (admin_get_client(show->admin, name, &details) < 0)
                return EXIT_FAILURE;
        if (show->settings.json) {
                add_json(&out, show, &details);
        } else if (show->n_wanted > 0) {
                text_adds(&out, first || show->value ? "" : "\n");
                r = add_properties(&out, show, &details);
        } else {
                text_adds(&out, first ? "" : "\n");
                add_client(&out, show, &details);
        }
        return print_text(&out) == EXIT_SUCCESS ? r : EXIT_FAILURE;
}

/* One that is not there does not keep the others from being shown. */
static int run(struct show *show, int n, char **names)
{
        bool human = !show->settings.json && show->n_wanted == 0;
        int r = EXIT_SUCCESS;

        if (admin_open(&show->settings, &show->admin) < 0 ||
            (human && admin_get_status(show->admin, &show->status) < 0))
                return EXIT_FAILURE;
        for (int i = 0; i < n; i++)
                if (show_client(show, names[i], i == 0) != EXIT_SUCCESS)
                        r = EXIT_FAILURE;
        return r;
}

static const struct property *find_property(const char *name)
{
        for (size_t i = 0; i < ARRAY_SIZE(properties); i++)
                if (strcmp(properties[i].name, name) == 0)
                        return &properties[i];
        return NULL;
}

/* A list with commas. 0, or an exit status below 0. */
static int take_properties(struct show *show, char *list)
{
        for (char *name; (name = strsep(&list, ",")) != NULL;) {
                const struct property *property = find_property(name);

                if (!property)
                        return -usage_error("show", "-p \"%s\": no such property", name);
                if (show->n_wanted == ARRAY_SIZE(show->wanted))
                        return -usage_error("show", "-p: too many properties");
                show->wanted[show->n_wanted++] = property;
        }
        return 0;
}

enum { OPTION_JSON = 0x100, OPTION_VALUE };

/* 0, or an exit status below 0. */
static int take_option(struct show *show, int c, char **argv)
{
        switch (c) {
        case 'p':
        case 'P':
                show->value = show->value || c == 'P';
                return take_properties(show, optarg);
        case OPTION_VALUE:
                show->value = true;
                return 0;
        case OPTION_JSON:
                show->settings.json = true;
                return 0;
        default:
                return -option_error("show", c, argv);
        }
}

static int check(const struct show *show, int n, char **names)
{
        if (show->value && show->n_wanted == 0)
                return usage_error("show", "--value is for single properties: -p is missing");
        if (show->settings.json && show->n_wanted > 0)
                return usage_error("show", "--json has all properties: it does not go with -p");
        if (n == 0)
                return usage_error("show", "which client? A name is missing");
        for (int i = 0; i < n; i++)
                if (check_given("show", "CLIENT", names[i]) > 0)
                        return EXIT_USAGE;
        return 0;
}

int verb_show(const struct settings *settings, int argc, char **argv)
{
        static const struct option options[] = {
                {"property", required_argument, NULL, 'p'},
                {"value", no_argument, NULL, OPTION_VALUE},
                {"json", no_argument, NULL, OPTION_JSON},
                {"help", no_argument, NULL, 'h'},
                {NULL, 0, NULL, 0},
        };
        struct show show = {.settings = *settings};
        int c, r;

        while ((c = getopt_long(argc, argv, ":p:P:h", options, NULL)) >= 0) {
                if (c == 'h')
                        return print_help(settings, help);
                r = take_option(&show, c, argv);
                if (r < 0)
                        return -r;
        }
        r = check(&show, argc - optind, argv + optind);
        if (r > 0)
                return r;
        r = run(&show, argc - optind, argv + optind);
        admin_status_done(&show.status);
        show.admin = admin_free(show.admin);
        users_done(&show.users);
        return r;
}
