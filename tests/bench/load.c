/* SPDX-License-Identifier: Apache-2.0 */
/*
 * busrt-load: measures a broker from outside. Reads the options, takes its place on a CPU, runs one
 * mode and prints one JSON object for each result. Exit status 0 means that every frame arrived
 * once and in order.
 */
#include "load.h"
#include "traffic.h"

#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static const char USAGE[] =
        "Usage: busrt-load MODE ADDRESS [OPTIONS]\n"
        "\n"
        "ADDRESS is a socket path or host:port. Each result is one JSON object on a line.\n"
        "\n"
        "  throughput   traffic of one stage (--stage) for --seconds, every frame checked\n"
        "  latency      one way between two idle connections of one thread\n"
        "  idle         --clients idle connections; ends when standard input is closed\n"
        "  connect      connects, registers and closes, one after the other\n"
        "\n"
        "  --stage NAME       one of those below (default send+recv.no)\n"
        "  --clients N        sending clients, or idle ones (default 8)\n"
        "  --receivers N      of the stages fanout, broadcast, groups and masks (default 100)\n"
        "  --payload BYTES    (default 100)\n"
        "  --window FRAMES    most frames in flight to one receiver (default 4096)\n"
        "  --batch FRAMES     most frames in one write (default 512)\n"
        "  --depth N          acknowledged stages: operations in flight of a client (default 1)\n"
        "  --topics N         topics stage: topics subscribed in total (default 10); groups stage: "
        "groups\n"
        "  --idle N           idle clients beside the traffic (default 0)\n"
        "  --seconds S        time of the measurement (default 1)\n"
        "  --warmup S         the same traffic before it (default 0.2)\n"
        "  --count N          stop after N operations of each client, or N samples\n"
        "  --interval USEC    latency: rest before the next frame (default 0)\n"
        "  --realtime         ask for an immediate flush\n"
        "  --block            latency: wait in poll(), do not look all the time\n"
        "  --poll             throughput: look all the time, do not wait\n"
        "  --raw              for a relay of bytes: send frames in the form in which they arrive\n"
        "  --mute             idle: do not answer pings\n"
        "  --cpu N            run on this CPU only\n"
        "  --broker-pid PID   report this process's CPU and memory\n"
        "\n"
        "Stages:";

enum option_id {
        OPTION_HELP = 256,
        OPTION_STAGE,
        OPTION_SECONDS,
        OPTION_WARMUP,
        OPTION_REALTIME,
        OPTION_BLOCK,
        OPTION_POLL,
        OPTION_RAW,
        OPTION_MUTE,
        OPTION_NUMBER, /* and on: an index into NUMBERS */
};

struct number_option {
        const char *name;
        size_t offset;
        uint64_t min, max;
};

#define NUMBER(name, field, min, max)                                                              \
        {                                                                                          \
                name, offsetof(struct options, field), min, max                                    \
        }

static const struct number_option NUMBERS[] = {
        NUMBER("clients", clients, 1, 60000),
        NUMBER("receivers", receivers, 1, 60000),
        NUMBER("payload", payload, PAYLOAD_MIN, PAYLOAD_MAX),
        NUMBER("window", window, WINDOW_GRANULES, 1U << 20),
        NUMBER("batch", batch, 1, 1U << 16),
        NUMBER("depth", depth, 1, 1U << 20),
        NUMBER("topics", topics, 1, 1000000),
        NUMBER("idle", idle, 0, 60000),
        NUMBER("count", count, 1, UINT32_MAX),
        NUMBER("interval", interval, 0, 10000000),
        NUMBER("cpu", cpu, 0, CPU_SETSIZE - 1),
        NUMBER("broker-pid", broker_pid, 1, INT32_MAX),
};

static const struct option FLAGS[] = {
        {"help", no_argument, NULL, OPTION_HELP},
        {"stage", required_argument, NULL, OPTION_STAGE},
        {"seconds", required_argument, NULL, OPTION_SECONDS},
        {"warmup", required_argument, NULL, OPTION_WARMUP},
        {"realtime", no_argument, NULL, OPTION_REALTIME},
        {"block", no_argument, NULL, OPTION_BLOCK},
        {"poll", no_argument, NULL, OPTION_POLL},
        {"raw", no_argument, NULL, OPTION_RAW},
        {"mute", no_argument, NULL, OPTION_MUTE},
};

static void parse_number(struct options *o, const struct number_option *n, const char *text)
{
        char *end;
        unsigned long long value;

        errno = 0;
        value = strtoull(text, &end, 10);
        if (*text < '0' || *text > '9' || *end || errno || value < n->min || value > n->max)
                fail("--%s %s: want a number of %llu to %llu", n->name, text,
                     (unsigned long long)n->min, (unsigned long long)n->max);
        *(uint64_t *)((char *)o + n->offset) = value;
}

static double parse_seconds(const char *text)
{
        char *end;
        double value = strtod(text, &end);

        if (end == text || *end || !(value >= 0 && value <= 86400))
                fail("%s: want seconds", text);
        return value;
}

static void apply_option(struct options *o, int id)
{
        switch (id) {
        case OPTION_HELP:
                fputs(USAGE, stdout);
                stage_list();
                exit(0);
        case OPTION_STAGE:
                o->stage = optarg;
                break;
        case OPTION_SECONDS:
                o->seconds = parse_seconds(optarg);
                break;
        case OPTION_WARMUP:
                o->warmup = parse_seconds(optarg);
                break;
        case OPTION_REALTIME:
                o->realtime = true;
                break;
        case OPTION_BLOCK:
                o->block = true;
                break;
        case OPTION_POLL:
                o->poll = true;
                break;
        case OPTION_RAW:
                o->raw = true;
                break;
        case OPTION_MUTE:
                o->mute = true;
                break;
        default:
                if (id < OPTION_NUMBER)
                        exit(2);
                parse_number(o, &NUMBERS[id - OPTION_NUMBER], optarg);
        }
}

static void parse_options(struct options *o, int argc, char **argv)
{
        struct option table[ARRAY_LEN(FLAGS) + ARRAY_LEN(NUMBERS) + 1] = {0};
        int id;

        memcpy(table, FLAGS, sizeof(FLAGS));
        for (size_t i = 0; i < ARRAY_LEN(NUMBERS); i++)
                table[ARRAY_LEN(FLAGS) + i] = (struct option){NUMBERS[i].name, required_argument,
                                                              NULL, OPTION_NUMBER + (int)i};
        while ((id = getopt_long(argc, argv, "h", table, NULL)) != -1)
                apply_option(o, id == 'h' ? OPTION_HELP : id);
        if (argc - optind != 2) {
                fputs(USAGE, stderr);
                stage_list();
                exit(2);
        }
        o->mode = argv[optind];
        o->address = argv[optind + 1];
        if ((o->window & (o->window - 1)) != 0)
                fail("--window wants a power of two");
}

static void settle(const struct options *o)
{
        struct rlimit files;

        if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
                files.rlim_cur = files.rlim_max;
                setrlimit(RLIMIT_NOFILE, &files);
        }
        if (o->cpu != UINT64_MAX) {
                cpu_set_t set;

                CPU_ZERO(&set);
                CPU_SET((size_t)o->cpu, &set);
                if (sched_setaffinity(0, sizeof(set), &set) < 0)
                        fail("CPU %llu: %s", (unsigned long long)o->cpu, strerror(errno));
        }
}

int mode_throughput(const struct options *o)
{
        struct crowd *crowd = o->idle > 0 ? crowd_new(o, o->idle) : NULL;
        struct traffic t = {0};
        struct totals before, after;
        struct probe from, to;
        const char *unit = stage_unit(o);
        uint64_t units;

        if (crowd)
                crowd_start(crowd);
        stage_open(&t, o);
        traffic_start(&t);
        if (o->warmup > 0)
                traffic_run(&t, o->warmup, o->count);
        before = traffic_totals(&t);
        probe_take(&from, o);
        traffic_run(&t, o->seconds, o->count);
        probe_take(&to, o);
        after = traffic_totals(&t);
        units = strcmp(unit, "delivery") == 0    ? after.delivered - before.delivered
                : strcmp(unit, "operation") == 0 ? after.acked - before.acked
                                                 : after.sent - before.sent;
        report_open(o);
        report_text("stage", o->stage);
        report_number("clients", t.n_senders);
        report_number("receivers", t.n_receivers);
        report_number("idle", o->idle);
        report_number("payload", o->payload);
        report_number("sent", after.sent - before.sent);
        report_number("delivered", after.delivered - before.delivered);
        report_cost(o, &from, &to, unit, units);
        report_close();
        stage_close(&t);
        crowd_free(crowd);
        return 0;
}

int main(int argc, char **argv)
{
        static const struct {
                const char *name;
                int (*run)(const struct options *o);
        } MODES[] = {
                {"throughput", mode_throughput},
                {"latency", mode_latency},
                {"idle", mode_idle},
                {"connect", mode_connect},
        };
        struct options o = {
                .stage = "send+recv.no",
                .clients = 8,
                .receivers = 100,
                .payload = 100,
                .window = 4096,
                .batch = 512,
                .depth = 1,
                .topics = 10,
                .cpu = UINT64_MAX,
                .seconds = 1,
                .warmup = 0.2,
        };

        parse_options(&o, argc, argv);
        settle(&o);
        for (size_t i = 0; i < ARRAY_LEN(MODES); i++)
                if (strcmp(o.mode, MODES[i].name) == 0)
                        return MODES[i].run(&o);
        fail("%s: no such mode (see --help)", o.mode);
}
