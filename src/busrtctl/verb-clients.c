/* SPDX-License-Identifier: Apache-2.0 */
/* busrtctl clients: who is on the bus. The broker filters, this program sorts. */
#include <getopt.h>
#include <stdio.h>

#include "basic/macro.h"
#include "busrtctl/grid.h"
#include "busrtctl/reply.h"

static const char help[] =
        "Usage: busrtctl [OPTION]... clients [OPTION]... [REGEX]\n"
        "\n"
        "Lists the clients that are connected, and what they have sent into the bus (IN) and what\n"
        "was sent to them (OUT). QUEUE: frames that wait to be taken. INST: the client and its\n"
        "secondaries. REGEX: only those in whose name it is found. Any BUS/RT broker tells this;\n"
        "\"busrtctl list\" is the view of busrtd's administrator.\n"
        "\n"
        "Options:\n"
        "  -S, --sort KEY   name, kind, source, port, r_frames, r_bytes, w_frames, w_bytes, queue "
        "or\n"
        "                   instances; numbers begin with the largest\n"
        "  -R, --reverse    the other way round\n"
        "      --names      names alone, each on a line\n"
        "      --json       an array of what the broker tells\n"
        "  -h, --help       this text\n"
        "\n"
        "Examples:\n"
        "  busrtctl clients '^plc\\.'\n"
        "  busrtctl clients --sort queue\n";

enum { N_TEXTS = 4, N_NUMBERS = 6, N_KEYS = N_TEXTS + N_NUMBERS };

/* In the order of struct client. */
static const struct {
        const char *name, *heading;
} keys[N_KEYS] = {
        {"name", "NAME"},   {"kind", "KIND"},        {"source", "SOURCE"}, {"port", "PORT"},
        {"r_frames", "IN"}, {"r_bytes", "IN BYTES"}, {"w_frames", "OUT"},  {"w_bytes", "OUT BYTES"},
        {"queue", "QUEUE"}, {"instances", "INST"},
};

/* On a terminal too narrow for the table, the end of the last columns is cut: addresses are the
 * least of it. */
static const size_t columns[N_KEYS] = {0, 1, 4, 5, 6, 7, 8, 9, 2, 3};

struct client {
        struct {
                const char *data; /* in the reply; NULL: nil */
                size_t len;
        } texts[N_TEXTS];
        uint64_t numbers[N_NUMBERS];
        const msgpack_object *map;
};

struct list {
        struct settings settings;
        const char *filter;
        size_t key; /* to sort by */
        bool reverse, names;

        struct client *clients;
        size_t n;
};

/* --- What the broker tells --- */

/* What is missing, or is of another kind, stays empty: brokers differ. */
static void read_client(const msgpack_object *map, struct client *ret)
{
        *ret = (struct client){.map = map};
        for (size_t i = 0; i < N_TEXTS; i++)
                (void)busrt_map_get_string(map, keys[i].name, &ret->texts[i].data,
                                           &ret->texts[i].len);
        for (size_t i = 0; i < N_NUMBERS; i++)
                (void)busrt_map_get_uint(map, keys[N_TEXTS + i].name, &ret->numbers[i]);
}

static int read_list(struct list *list, const msgpack_object *reply)
{
        const msgpack_object *clients = busrt_map_get(reply, "clients");
        size_t n;

        if (!clients || clients->type != MSGPACK_OBJECT_ARRAY)
                return -EBADMSG;
        n = clients->via.array.size;
        list->clients = calloc(n + 1, sizeof(*list->clients));
        if (!list->clients)
                return -ENOMEM;
        for (; list->n < n; list->n++)
                read_client(&clients->via.array.ptr[list->n], &list->clients[list->n]);
        return 0;
}

static int compare_texts(const struct client *a, const struct client *b, size_t key)
{
        size_t a_len = a->texts[key].len, b_len = b->texts[key].len, n = MIN(a_len, b_len);
        int r = n > 0 ? memcmp(a->texts[key].data, b->texts[key].data, n) : 0;

        return r != 0 ? r : (a_len > b_len) - (a_len < b_len);
}

/* Equals are in the order of their names. */
static int compare(const void *a, const void *b, void *userdata)
{
        const struct list *list = userdata;
        const struct client *x = a, *y = b;
        int r;

        if (list->key < N_TEXTS) {
                r = compare_texts(x, y, list->key);
        } else {
                uint64_t m = x->numbers[list->key - N_TEXTS], n = y->numbers[list->key - N_TEXTS];

                r = (n > m) - (n < m);
        }
        if (r == 0)
                return compare_texts(x, y, 0);
        return list->reverse ? -r : r;
}

/* --- Output --- */

static char *format_cell(const struct client *client, size_t key)
{
        _cleanup_(text_done) struct text text = {0};
        char number[TEXT_NUMBER_MAX];

        if (key < N_TEXTS && client->texts[key].data)
                text_add_visible(&text, client->texts[key].data, client->texts[key].len);
        else if (key < N_TEXTS)
                text_adds(&text, "-");
        else if (strstr(keys[key].name, "bytes"))
                text_adds(&text, text_bytes(client->numbers[key - N_TEXTS], number));
        else
                text_adds(&text, text_count(client->numbers[key - N_TEXTS], number));
        text_add(&text, "", 1);
        return text.failed ? NULL : TAKE_PTR(text.data);
}

static int print_table(const struct list *list)
{
        struct grid_column shown[N_KEYS];
        _cleanup_(grid_done) struct grid grid = {shown, N_KEYS};

        for (size_t i = 0; i < N_KEYS; i++)
                shown[i] = (struct grid_column){
                        .heading = keys[columns[i]].heading,
                        .right = columns[i] >= N_TEXTS,
                        .cut = columns[i] > 1 && columns[i] < N_TEXTS,
                        .color = columns[i] == 0 ? "cyan" : NULL,
                };
        for (size_t row = 0; row < list->n; row++)
                for (size_t i = 0; i < N_KEYS; i++)
                        grid_take(&grid, format_cell(&list->clients[row], columns[i]));
        return grid_print(&grid, &list->settings);
}

static int print_names(const struct list *list)
{
        for (size_t i = 0; i < list->n; i++) {
                _cleanup_free_ char *name = format_cell(&list->clients[i], 0);

                if (!name)
                        return -ENOMEM;
                (void)puts(name);
        }
        return 0;
}

/* In the order asked for, with everything that the broker tells. */
static int print_json(const struct list *list)
{
        _cleanup_(msgpack_sbuffer_destroy) msgpack_sbuffer buffer;
        msgpack_packer pk;
        int r;

        msgpack_sbuffer_init(&buffer);
        msgpack_packer_init(&pk, &buffer, msgpack_sbuffer_write);
        r = msgpack_pack_array(&pk, list->n);
        for (size_t i = 0; r >= 0 && i < list->n; i++)
                r = msgpack_pack_object(&pk, *list->clients[i].map);
        if (r >= 0)
                r = print_payload(&list->settings, buffer.data, buffer.size);
        return r < 0 ? -ENOMEM : r;
}

/* --- The verb --- */

static int get_list(const struct list *list, busrt_frame **ret)
{
        busrt_params params = BUSRT_PARAMS_INIT;
        _cleanup_(text_done) struct text packed = {0};
        const struct iovec *iov;
        int n;

        if (!list->filter)
                return call_broker(&list->settings, "client.list", NULL, ret);
        (void)busrt_params_add_string(&params, "filter", list->filter);
        n = busrt_params_get(&params, &iov);
        for (int i = 0; i < n; i++)
                text_add(&packed, iov[i].iov_base, iov[i].iov_len);
        busrt_params_done(&params);
        if (n < 0 || packed.failed)
                return -fail(ENOMEM, "cannot list clients");
        return call_broker(&list->settings, "client.list", &packed, ret);
}

static int run(struct list *list)
{
        _cleanup_(busrt_frame_unrefp) busrt_frame *reply = NULL;
        _cleanup_(msgpack_unpacked_destroy) msgpack_unpacked unpacked;
        int r;

        msgpack_unpacked_init(&unpacked);
        if (get_list(list, &reply) < 0)
                return EXIT_FAILURE;
        r = unpack_reply(reply, &unpacked);
        if (r >= 0)
                r = read_list(list, &unpacked.data);
        if (r < 0)
                return fail(0, "the broker's answer is no list of clients");
        qsort_r(list->clients, list->n, sizeof(*list->clients), compare, list);
        r = list->settings.json ? print_json(list)
            : list->names       ? print_names(list)
                                : print_table(list);
        if (r < 0)
                return fail(r, "cannot print the list");
        if (list->n == 0 && !list->settings.json)
                (void)fputs("0 clients listed.\n", stderr);
        return finish_output(r);
}

static int find_key(const char *name, size_t *ret)
{
        for (size_t i = 0; i < N_KEYS; i++)
                if (strcmp(name, keys[i].name) == 0) {
                        *ret = i;
                        return 0;
                }
        return -EINVAL;
}

enum { OPTION_JSON = 0x100, OPTION_NAMES };

/* 0, or an exit status below 0. */
static int take_option(struct list *list, int c, char **argv)
{
        switch (c) {
        case 'S':
                if (find_key(optarg, &list->key) < 0)
                        return -usage_error(
                                "clients",
                                "--sort \"%s\": not one of name, kind, source, port, r_frames, "
                                "r_bytes, w_frames, w_bytes, queue, instances",
                                optarg);
                return 0;
        case 'R':
                list->reverse = true;
                return 0;
        case OPTION_NAMES:
                list->names = true;
                return 0;
        case OPTION_JSON:
                list->settings.json = true;
                return 0;
        default:
                return -option_error("clients", c, argv);
        }
}

int verb_clients(const struct settings *settings, int argc, char **argv)
{
        static const struct option options[] = {
                {"sort", required_argument, NULL, 'S'},
                {"reverse", no_argument, NULL, 'R'},
                {"names", no_argument, NULL, OPTION_NAMES},
                {"json", no_argument, NULL, OPTION_JSON},
                {"help", no_argument, NULL, 'h'},
                {NULL, 0, NULL, 0},
        };
        struct list list = {.settings = *settings};
        int c, r;

        while ((c = getopt_long(argc, argv, ":S:Rh", options, NULL)) >= 0) {
                if (c == 'h')
                        return print_help(settings, help);
                r = take_option(&list, c, argv);
                if (r < 0)
                        return -r;
        }
        if (optind < argc)
                list.filter = argv[optind++];
        if (list.filter && check_given("clients", "REGEX", list.filter) > 0)
                return EXIT_USAGE;
        if (optind < argc)
                return usage_error("clients", "more than one REGEX: \"%s\"", argv[optind]);
        r = run(&list);
        free(list.clients);
        return r;
}
