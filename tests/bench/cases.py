# SPDX-License-Identifier: Apache-2.0
"""What is measured, and what is promised of it.

A case measures one broker once and returns {metric: value}. Its rows say how a metric is shown and which
goal it has. All numbers of a case come from the same runs.
"""

from brokers import Broker
from clients import CLI_STAGES, run_cli, run_idle, run_load
from goals import Apart, Below, Complete, at_least, at_most, floor_at_least, floor_at_most, own_at_least, own_at_most

QUEUE = ("--queue-size", "2000000")


class Row:
    """One line of the table: a metric of the measurements, how it is shown, and the goals that it has."""

    def __init__(self, metric, label, unit, *goals):
        self.metric, self.label, self.unit, self.goals = metric, label, unit, [goal for goal in goals if goal]


class Floor:
    """busrt-floor beside both brokers: its options, and those that busrt-load needs with it."""

    def __init__(self, *args, load=()):
        self.args, self.load = args, load


class Case:
    """A name, a sentence, rows, and measure(setup, side) -> {metric: value}. A case with a floor measures that, too."""

    def __init__(self, name, text, rows, measure, runs=None, floor=None):
        self.name, self.text, self.rows, self.measure = name, text, rows, measure
        self.runs, self.floor = runs or {}, floor


def start(setup, side, args=(), floor=None, tcp=False):
    """A fresh broker, or the floor in its place."""
    return Broker(side, floor.args if side is setup.floor else args, setup.broker_cpu, tcp)


def load(setup, broker, mode, args, cpu=None, floor=None):
    args = ["--seconds", setup.seconds, "--warmup", setup.warmup, *args]
    if floor and broker.side is setup.floor:
        args += floor.load
    return run_load(setup.load, broker, mode, args, setup.client_cpu if cpu is None else cpu)


def cost(result, suffix=""):
    return {"rate" + suffix: result["rate"], "cpu" + suffix: result["broker_cpu_ns_per_unit"],
            "hwm" + suffix: result["broker_hwm_kib"]}


def traffic(name, text, args, rate=(), cpu=(), unit="message", floor=None, tcp=False):
    """A case of one stage of busrt-load. rate and cpu: goals."""

    def measure(setup, side):
        with start(setup, side, floor=floor, tcp=tcp) as broker:
            return cost(load(setup, broker, "throughput", args, floor=floor))

    plural = unit[:-1] + "ies" if unit.endswith("y") else unit + "s"
    rows = [Row("rate", "rate", f"{plural}/s", *rate),
            Row("cpu", "broker CPU", f"ns/{unit}", *cpu),
            Row("hwm", "high-water mark", "KiB")]
    return Case(name, text, rows, measure, floor=floor)


def cli_defaults(setup, side):
    with Broker(side) as broker:
        run_cli(setup.cli, broker, iters=setup.iters_defaults)
        return {"completed": 1, "hwm": broker.memory()["hwm"]}


def cli_queue(setup, side):
    with Broker(side, QUEUE) as broker:
        stages = run_cli(setup.cli, broker, QUEUE, setup.iters)
        found = {"hwm": broker.memory()["hwm"]}
    for name, stage in stages.items():
        found["rate " + name], found["cpu " + name] = stage["rate"], stage["cpu"]
    return found


def cli_queue_rows():
    rows = []
    for name in CLI_STAGES:
        acked = name in ("rpc.call", "rpc.call+handle") or name.endswith("processed")
        cpu = 1 / 3 if name == "rpc.call" else 1 / 1.8 if acked else 1 / 2
        rows += [Row("rate " + name, f"{name}: rate", "op/s", at_least(1.3 if acked else 1.25)),
                 Row("cpu " + name, f"{name}: broker CPU", "ns/op", at_most(cpu))]
    return rows + [Row("hwm", "high-water mark", "KiB", at_most(1 / 10))]


RELAY = Floor("relay", load=("--raw",))
RELAY_POLL = Floor("relay", "--poll", load=("--raw",))


def latency(name, text, args, busy_poll=None, floor=None, p50=(), p999=()):
    def measure(setup, side):
        polls = busy_poll and side.knows_busy_poll
        if side is setup.floor:
            options = floor.args
        else:
            options = ("--busy-poll", str(busy_poll)) if polls else ()
        # Always on a CPU each: who polls wants one.
        with Broker(side, options, setup.cpus[-1]) as broker:
            found = load(setup, broker, "latency", args, setup.cpus[0], floor)
        return {key: found[key + "_ns"] / 1000 for key in ("p50", "p90", "p99", "p999", "max")}

    goals = {"p50": p50, "p999": p999}
    return Case(name, text, [Row(key, "p99.9" if key == "p999" else key, "us", *goals.get(key, ()))
                             for key in ("p50", "p90", "p99", "p999", "max")], measure, floor=floor)


ONE_WAYS = ("blocking", "polling")
ONE_ROWS = [Row("rate best", "rate, the better of the two ways", "operations/s", at_least(3)),
            Row("rate blocking", "rate, client and broker wait", "operations/s"),
            Row("cpu blocking", "broker CPU", "ns/operation"),
            Row("rate polling", "rate, both look all the time, on a CPU each", "operations/s"),
            Row("cpu polling", "broker CPU", "ns/operation")]


def one_measure(setup, side, args, floor, way):
    args = ["--stage", "send.ack", "--clients", 1, *args]
    options, client_cpu, broker_cpu = floor.args if side is setup.floor else (), None, setup.broker_cpu
    if way == "polling":
        args.append("--poll")
        client_cpu, broker_cpu = setup.cpus[0], setup.cpus[-1]
        if side is setup.floor:
            options += ("--poll",)
        elif side.knows_busy_poll:
            options = ("--busy-poll", "100")
    with Broker(side, options, broker_cpu) as broker:
        return cost(load(setup, broker, "throughput", args, client_cpu, floor), " " + way)


def one_at_a_time(name, text, args):
    """Both ways. Who runs a broker takes the one that serves better, so the better ones are compared."""
    floor = Floor("ack")

    def measure(setup, side):
        found = {}
        for way in ONE_WAYS if setup.turn % 2 == 0 else ONE_WAYS[::-1]:
            found.update(one_measure(setup, side, args, floor, way))
        return {**found, "rate best": max(found["rate " + way] for way in ONE_WAYS)}

    return Case(name, text, ONE_ROWS, measure, floor=floor)


def idle_memory(setup, side):
    n = setup.idle
    with start(setup, side) as broker:
        memory, result = run_idle(setup.load, broker, n, setup.client_cpu)
    first, last = memory["before"], memory["pinged"]
    return {"rss": (last["rss"] - first["rss"]) / n,
            "dirty": (last["private_dirty"] - first["private_dirty"]) / n,
            "registered": (memory["registered"]["rss"] - first["rss"]) / n,
            "ping": result["broker_cpu_ns_per_unit"] / 1000}


IDLE_ROWS = [Row("rss", "RSS after every client was pinged", "KiB/client", Below(4)),
             Row("dirty", "private dirty memory, likewise", "KiB/client", Below(4)),
             Row("registered", "RSS when all are registered", "KiB/client"),
             Row("ping", "broker CPU for a ping and its answer", "us", Below(15))]


def beside(**ways):
    """A case that runs several kinds of traffic on each broker, each on a fresh one. {suffix: setup -> arguments}"""

    def measure(setup, side):
        found, all_ways = {}, list(ways.items())
        for suffix, make in all_ways if setup.turn % 2 == 0 else all_ways[::-1]:
            with start(setup, side) as broker:
                found.update(cost(load(setup, broker, "throughput", make(setup)), " " + suffix))
        return found

    return measure


def topics_args(topics):
    return ["--stage", "topics", "--topics", topics]


TOPICS_ROWS = [Row("cpu few", "broker CPU with 10 topics subscribed", "ns/message"),
               Row("cpu many", "broker CPU with 10000 topics subscribed", "ns/message", Apart(25, "cpu few"))]

# Every publication of all three reaches seven subscribers.
MASKS_WAYS = {
    "masks": lambda s: ["--stage", "masks", "--receivers", 1000, "--window", 16384],
    "plain": lambda s: ["--stage", "groups", "--receivers", 1001, "--topics", 143, "--window", 16384],
    "lone": lambda s: ["--stage", "groups", "--receivers", 7, "--topics", 1, "--window", 512],
}
MASKS_ROWS = [Row("cpu masks", "broker CPU, 10000 topics, 1000 subscribers with 20 masks", "ns/publication", at_most(1 / 7),
                  own_at_most(1.3, "cpu plain", "one topic each")),
              Row("cpu plain", "broker CPU, 1001 subscribers with one topic each", "ns/publication"),
              Row("cpu lone", "broker CPU, one topic, 7 subscribers", "ns/publication"),
              Row("rate masks", "rate, 20 masks", "publications/s"),
              Row("rate plain", "rate, one topic each", "publications/s")]


def idle_beside_args(setup, n):
    # As long as two pings are apart, so that every idle client's is in it.
    return ["--stage", "send+recv.no", "--seconds", 2.5 * setup.scale] + (["--idle", n] if n else [])


IDLE_BESIDE_ROWS = [Row("rate few", "rate without an idle client", "deliveries/s"),
                    Row("rate many", "rate with idle clients", "deliveries/s", own_at_least(0.95, "rate few", "without")),
                    Row("cpu few", "broker CPU without an idle client", "ns/delivery"),
                    Row("cpu many", "broker CPU with idle clients", "ns/delivery", Apart(25, "cpu few"))]


def connect(setup, side):
    with start(setup, side) as broker:
        return cost(load(setup, broker, "connect", []))


def fan_out(n):
    args = ["--stage", "fanout", "--receivers", n, "--window", 1024, "--batch", 256]
    return traffic(f"fan-out.{n}", f"one publisher, {n} subscribers", args, [at_least(4)], [at_most(1 / 8)], "delivery")


def fan_out_acked(n):
    args = ["--stage", "fanout.ack", "--receivers", n, "--window", 1024]
    return traffic(f"fan-out.{n}.ack", f"one publisher, {n} subscribers, one publication at a time, acknowledged", args,
                   cpu=[at_most(1 / 2.2)], unit="delivery")


ACKED = {
    "one": ("one operation of a client at a time, realtime as in the reference's benchmark",
            ["--realtime"]),
    "plain": ("one operation of a client at a time, not realtime", []),
    "64": ("64 operations of a client at a time, not realtime", ["--depth", 64]),
}


def acked(stage, way, tcp=False):
    text, args = ACKED[way]
    where = "over TCP on loopback, " if tcp else ""
    passes = stage == "send+recv.ack"
    floor = Floor("ack", "--pass") if passes else Floor("ack")
    # With 64 in flight neither sleeps any more: there the floor is not the kernel's cost, but no parsing and no names.
    rate = [at_least(1.5)] if tcp else [at_least(1.3)] + ([floor_at_least(0.85)] if way != "64" else [])
    return traffic(("tcp." if tcp else "") + f"{stage}.{way}", f"{where}8 clients, acknowledged, {text}",
                   ["--stage", stage, *args], rate, [at_most(1 / 2 if tcp else 1 / 1.8)],
                   "delivery" if passes else "operation", floor, tcp)


def all_cases(setup):
    cases = [
        Case("cli.defaults", "the reference's `busrt SOCK benchmark -w 8`, both sides at their defaults",
             [Row("completed", "completed", "runs", Complete()), Row("hwm", "high-water mark", "KiB")],
             cli_defaults, runs={"ours": setup.runs, "reference": setup.reference_runs}),
        Case("cli.queue", f"the same with `--queue-size 2000000` on both sides, {setup.iters} operations",
             cli_queue_rows(), cli_queue),
        traffic("send.no", "8 clients send to nobody, no acknowledgements", ["--stage", "send.no"],
                [at_least(5)], [at_most(1 / 10)]),
        traffic("send+recv.no", "8 clients in a ring, no acknowledgements", ["--stage", "send+recv.no"],
                [at_least(8)], [at_most(1 / 12)], "delivery"),
        *[acked(stage, way) for way in ACKED for stage in ("send.ack", "send+recv.ack")],
        one_at_a_time("one-at-a-time", "one client, one acknowledged operation at a time, not realtime", []),
        one_at_a_time("one-at-a-time.realtime", "the same with realtime frames", ["--realtime"]),
        traffic("publish.no", "8 clients publish, nobody subscribed", ["--stage", "publish.no"]),
        traffic("publish+recv.no", "8 clients publish to one subscriber each",
                ["--stage", "publish+recv.no"], unit="delivery"),
        traffic("broadcast.100", "one sender broadcasts to 100 clients",
                ["--stage", "broadcast", "--window", 1024, "--batch", 256], unit="delivery"),
        *[fan_out(n) for n in (10, 100, setup.fan_out)],
        *[fan_out_acked(n) for n in (10, 100, setup.fan_out)],
        traffic("large", f"2 clients send messages of {setup.large} bytes to one another",
                ["--clients", 2, "--payload", setup.large, "--window", 8, "--batch", 1],
                [floor_at_least(0.7)], unit="delivery", floor=RELAY),
        latency("latency.rest", "one way, a frame every millisecond, ours with busy polling",
                ["--interval", 1000], 5000, RELAY_POLL, [at_most(1 / 8)]),
        latency("latency", "one way, a frame after the other, ours with busy polling", [], 100, RELAY_POLL,
                [floor_at_most(1.5)], [at_most(1 / 3)]),
        latency("latency.realtime", "the same with realtime frames", ["--realtime"], 100, RELAY_POLL),
        latency("latency.block", "the same without busy polling, the client blocks too", ["--block"], None, RELAY,
                [at_most(0.9)]),
        Case("idle", f"{setup.idle} idle clients", IDLE_ROWS, idle_memory),
        Case("idle-beside", f"8 clients in a ring, with and without {setup.idle} idle clients", IDLE_BESIDE_ROWS,
             beside(few=lambda s: idle_beside_args(s, 0), many=lambda s: idle_beside_args(s, s.idle))),
        Case("topics", "traffic on 64 topics, 10 of them subscribed, and other subscriptions beside them", TOPICS_ROWS,
             beside(few=lambda s: topics_args(10), many=lambda s: topics_args(s.topics))),
        Case("masks", "publications on 10000 topics, a quarter of the masks with wildcards, 7 receivers each; beside it "
             "as many receivers by one topic each", MASKS_ROWS, beside(**MASKS_WAYS)),
        traffic("tcp.send+recv.no", "over TCP on loopback, 8 clients in a ring, no acknowledgements",
                ["--stage", "send+recv.no"], [at_least(6)], [at_most(1 / 8)], "delivery", tcp=True),
        *[acked(stage, way, True) for way in ("one", "plain") for stage in ("send.ack", "send+recv.ack")],
        Case("connect", "connect, register, close, one after the other",
             [Row("rate", "rate", "1/s"), Row("cpu", "broker CPU", "ns each")], connect),
    ]
    return [case for case in cases if setup.cli or not case.name.startswith("cli.")]
