/* SPDX-License-Identifier: Apache-2.0 */
/* The stages: the seven of the reference's own benchmark, by its names and in its order, and what
 * it does not measure. */
#include "busrtctl/benchmark.h"

#define SWEEP_BYTES (UINT64_C(1) << 30)
#define URGENT BUSRT_QOS_REALTIME
#define URGENT_ACK BUSRT_QOS_REALTIME_PROCESSED

#define PAYLOAD(size_name, size)                                                                   \
        {                                                                                          \
                .name = "payload." size_name,                                                      \
                .help = "as send+recv.qos.no, with a payload of " size_name " bytes",              \
                .unit = "message", .prepare = prepare_client, .work = work_loop, .payload = size,  \
                .capacity = SWEEP_BYTES, .ours = true                                              \
        }
#define FAN_OUT(n)                                                                                 \
        {                                                                                          \
                .name = "fan-out." #n, .help = "publications that " #n " subscribers get",         \
                .unit = "delivery", .prepare = prepare_fan_out, .work = work_fan_out, .many = n,   \
                .ours = true, .alone = true                                                        \
        }
#define TOPICS(n)                                                                                  \
        {                                                                                          \
                .name = "topics." #n,                                                              \
                .help = "publications on 100 topics, beside " #n " subscriptions",                 \
                .unit = "publication", .prepare = prepare_topics, .work = work_fan_out, .many = n, \
                .ours = true, .alone = true                                                        \
        }

const struct stage benchmark_stages[] = {
        {.name = "rpc.call",
         .help = "calls of the broker's echo, one at a time",
         .unit = "call",
         .prepare = prepare_client,
         .work = work_call,
         .target = ".broker",
         .method = "benchmark.test"},
        {.name = "rpc.call+handle",
         .help = "calls that each worker makes to itself, and answers",
         .unit = "call",
         .prepare = prepare_client,
         .work = work_call,
         .method = "benchmark.selftest"},
        {.name = "rpc.call0",
         .help = "calls without a reply to nobody, each acknowledged",
         .unit = "call",
         .prepare = prepare_client,
         .work = work_call0,
         .target = "nobody",
         .method = "test",
         .qos = URGENT_ACK},
        {.name = "send.qos.no",
         .help = "messages to nobody, without acknowledgement",
         .unit = "message",
         .prepare = prepare_client,
         .work = work_send},
        {.name = "send.qos.processed",
         .help = "messages to nobody, each acknowledged",
         .unit = "message",
         .prepare = prepare_client,
         .work = work_send_acknowledged,
         .qos = URGENT_ACK},
        {.name = "send+recv.qos.no",
         .help = "messages of each worker to itself",
         .unit = "message",
         .prepare = prepare_client,
         .work = work_loop},
        {.name = "send+recv.qos.processed",
         .help = "the same, each acknowledged and received before the next",
         .unit = "message",
         .prepare = prepare_client,
         .work = work_loop_acknowledged,
         .qos = URGENT_ACK},
        {.name = "latency.one-way",
         .help = "a message from one client to another, one at a time",
         .unit = "message",
         .prepare = prepare_pair,
         .work = work_one_way,
         .qos = URGENT,
         .ours = true},
        {.name = "latency.round-trip",
         .help = "the same, and a message back",
         .unit = "round trip",
         .prepare = prepare_pair,
         .work = work_round_trip,
         .qos = URGENT,
         .ours = true},
        {.name = "latency.publish",
         .help = "a publication from one client to another, one at a time",
         .unit = "publication",
         .prepare = prepare_subscriber,
         .work = work_publish,
         .qos = URGENT,
         .ours = true},
        FAN_OUT(10),
        FAN_OUT(100),
        FAN_OUT(1000),
        TOPICS(100),
        TOPICS(10000),
        TOPICS(100000),
        PAYLOAD("16", 16),
        PAYLOAD("64", 64),
        PAYLOAD("256", 256),
        PAYLOAD("1K", 1024),
        PAYLOAD("4K", 4096),
        PAYLOAD("16K", 16384),
        PAYLOAD("64K", 65536),
        PAYLOAD("256K", 262144),
        PAYLOAD("1M", 1048576),
        {.name = "connect",
         .help = "clients that come and go; a hundredth of the iterations",
         .unit = "connection",
         .prepare = prepare_nothing,
         .work = work_connect,
         .divisor = 100,
         .ours = true},
        {.name = "idle.1000",
         .help = "what 1000 idle clients take of the broker's memory; always first",
         .unit = "client",
         .prepare = prepare_idle,
         .work = work_idle,
         .many = 1000,
         .ours = true,
         .alone = true,
         .idle = true},
        {0},
};
