/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nats-load: puts four kinds of traffic on a BUS/RT broker or on a NATS server, by the same code
 * but for a codec, so that the two can be set beside each other. Prints one JSON object. Exit
 * status 0 means that every message arrived once and in order.
 */
#include "flows.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char USAGE[] =
        "Usage: nats-load busrt|nats ADDRESS KIND [OPTIONS]\n"
        "\n"
        "ADDRESS is host:port or, of a BUS/RT broker, a socket path.\n"
        "\n"
        "  publish    each client publishes on a topic without subscribers\n"
        "  deliver    each client publishes to the next one in a ring\n"
        "  request    pairs of clients: one asks, the other answers\n"
        "  fan-out    one client publishes, --receivers clients get it\n"
        "\n"
        "  --clients N        clients, or pairs of them (default 8)\n"
        "  --receivers N      of fan-out (default 4)\n"
        "  --payload BYTES    (default 100)\n"
        "  --window N         most messages in flight to a receiver, or requests of a client in\n"
        "                     flight (default 4096)\n"
        "  --batch N          most messages in one write (default 512)\n"
        "  --seconds S        time of the measurement (default 1)\n"
        "  --warmup S         the same traffic before it (default 0.2)\n"
        "  --count N          stop after N messages of each sender\n"
        "  --broker-pid PID   report this process's CPU and memory\n";

struct workload {
        const char *name, *unit;
        void (*open)(struct traffic *t);
};

static void open_publish(struct traffic *t)
{
        uint32_t n = (uint32_t)t->o->clients;

        traffic_open(t, n, n);
        for (uint32_t i = 0; i < n; i++)
                flow_send(t, i, i, &(struct path){ROUTE_TOPIC, .to = "bench/nobody"});
}

static void open_deliver(struct traffic *t)
{
        uint32_t n = (uint32_t)t->o->clients;

        traffic_open(t, n, n);
        for (uint32_t i = 0; i < n; i++) {
                struct link *receiver = &t->links[(i + 1) % n];
                struct path p = {ROUTE_TOPIC};

                strcpy(p.from, t->links[i].client.name);
                snprintf(p.to, sizeof(p.to), "bench/for/%05u", (i + 1) % n);
                flow_send(t, i, i, &p);
                flow_receive(t, i, (i + 1) % n, &p);
                flow_bound(&t->flows[i], &receiver->got, t->o->window);
        }
}

static void open_request(struct traffic *t)
{
        uint32_t n = (uint32_t)t->o->clients * 2;

        traffic_open(t, n, n);
        for (uint32_t i = 0; i < n; i += 2) {
                struct link *asks = &t->links[i], *answers = &t->links[i + 1];
                struct path p = {ROUTE_REQUEST}, back = {ROUTE_REPLY};

                strcpy(p.from, asks->client.name);
                strcpy(p.to, answers->client.name);
                strcpy(back.from, p.to);
                strcpy(back.to, p.from);
                flow_send(t, i, i, &p);
                flow_receive(t, i, i + 1, &p);
                flow_send(t, i + 1, i + 1, &back);
                flow_receive(t, i + 1, i, &back);
                flow_bound(&t->flows[i], &asks->got, t->o->window);
                flow_bound(&t->flows[i + 1], &answers->got, 0);
        }
}

static void open_fan_out(struct traffic *t)
{
        uint32_t n = (uint32_t)t->o->receivers;
        struct path p = {ROUTE_TOPIC, .to = "bench/all"};

        traffic_open(t, n + 1, 1);
        strcpy(p.from, t->links[0].client.name);
        flow_send(t, 0, 0, &p);
        for (uint32_t i = 1; i <= n; i++) {
                flow_receive(t, 0, i, &p);
                flow_bound(&t->flows[0], &t->links[i].got, t->o->window);
        }
}

static const struct workload KINDS[] = {
        {"publish", "message", open_publish},
        {"deliver", "delivery", open_deliver},
        {"request", "exchange", open_request},
        {"fan-out", "delivery", open_fan_out},
};

static const struct workload *kind_find(const char *name)
{
        for (size_t i = 0; i < ARRAY_LEN(KINDS); i++)
                if (strcmp(KINDS[i].name, name) == 0)
                        return &KINDS[i];
        fail("%s: no such kind of traffic (see --help)", name);
}

/* What was published to nobody, the answers that came, or all that came. */
static uint64_t count_units(const struct traffic *t)
{
        uint64_t sent = 0, got = 0, answered = 0;

        for (uint32_t i = 0; i < t->n_flows; i++)
                sent += t->flows[i].next;
        for (uint32_t i = 0; i < t->n_links; i++) {
                const struct link *l = &t->links[i];

                got += l->got;
                if (l->source && l->source->answers)
                        answered += l->got;
        }
        return answered > 0 ? answered : got > 0 ? got : sent;
}

static const struct number_option {
        const char *name;
        size_t offset;
        uint64_t min, max;
} NUMBERS[] = {
        {"clients", offsetof(struct options, clients), 1, 1000},
        {"receivers", offsetof(struct options, receivers), 1, 1000},
        {"payload", offsetof(struct options, payload), PAYLOAD_MIN, 65536},
        {"window", offsetof(struct options, window), 1, 1U << 20},
        {"batch", offsetof(struct options, batch), 1, 1U << 16},
        {"count", offsetof(struct options, count), 1, UINT32_MAX},
        {"broker-pid", offsetof(struct options, broker_pid), 1, INT32_MAX},
};

static void parse_number(struct options *o, const struct number_option *n, const char *text)
{
        char *end;
        unsigned long long value = strtoull(text, &end, 10);

        if (*text == '\0' || *end != '\0' || value < n->min || value > n->max)
                fail("--%s wants a number from %llu to %llu", n->name, (unsigned long long)n->min,
                     (unsigned long long)n->max);
        *(uint64_t *)(void *)((char *)o + n->offset) = value;
}

static double parse_seconds(const char *text)
{
        char *end;
        double value = strtod(text, &end);

        if (*text == '\0' || *end != '\0' || !(value >= 0 && value <= 3600))
                fail("%s: not a number of seconds", text);
        return value;
}

/* Ids of the options: an index into NUMBERS, or one of these. */
enum { OPTION_SECONDS = 256, OPTION_WARMUP, OPTION_HELP };

static void parse_options(struct options *o, int argc, char **argv)
{
        struct option table[ARRAY_LEN(NUMBERS) + 4] = {
                {"seconds", required_argument, NULL, OPTION_SECONDS},
                {"warmup", required_argument, NULL, OPTION_WARMUP},
                {"help", no_argument, NULL, OPTION_HELP},
        };
        int id;

        for (size_t i = 0; i < ARRAY_LEN(NUMBERS); i++)
                table[3 + i] = (struct option){NUMBERS[i].name, required_argument, NULL, (int)i};
        while ((id = getopt_long(argc, argv, "", table, NULL)) != -1) {
                if (id == OPTION_SECONDS)
                        o->seconds = parse_seconds(optarg);
                else if (id == OPTION_WARMUP)
                        o->warmup = parse_seconds(optarg);
                else if (id == OPTION_HELP || id == '?')
                        break;
                else
                        parse_number(o, &NUMBERS[id], optarg);
        }
        if (id != -1 || argc - optind != 3) {
                fputs(USAGE, id == OPTION_HELP ? stdout : stderr);
                exit(id == OPTION_HELP ? 0 : 2);
        }
        o->mode = argv[optind];
        o->address = argv[optind + 1];
        o->stage = argv[optind + 2];
}

static const struct codec *codec_find(const char *name)
{
        const struct codec *const codecs[] = {&CODEC_BUSRT, &CODEC_NATS};

        for (size_t i = 0; i < ARRAY_LEN(codecs); i++)
                if (strcmp(codecs[i]->name, name) == 0)
                        return codecs[i];
        fail("%s: no such protocol (see --help)", name);
}

int main(int argc, char **argv)
{
        struct options o = {
                .clients = 8,
                .receivers = 4,
                .payload = 100,
                .window = 4096,
                .batch = 512,
                .seconds = 1,
                .warmup = 0.2,
        };
        struct traffic t = {.o = &o};
        const struct workload *kind;
        struct probe from, to;
        uint64_t before;

        parse_options(&o, argc, argv);
        t.codec = codec_find(o.mode);
        kind = kind_find(o.stage);
        kind->open(&t);
        if (o.warmup > 0)
                traffic_run(&t, o.warmup, o.count);
        before = count_units(&t);
        probe_take(&from, &o);
        traffic_run(&t, o.seconds, o.count);
        probe_take(&to, &o);
        report_open(&o);
        report_text("kind", kind->name);
        report_number("clients", t.n_links);
        report_number("payload", o.payload);
        report_cost(&o, &from, &to, kind->unit, count_units(&t) - before);
        report_close();
        traffic_close(&t);
        return 0;
}
