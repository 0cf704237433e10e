# SPDX-License-Identifier: Apache-2.0
"""What is measured, and what is promised of it.

A case measures one broker once and returns {metric: value}. Its rows say how a metric is shown and which
goal it has. All numbers of a case come from the same runs.
"""

from brokers import Broker
from clients import CLI_STAGES, run_cli, run_idle, run_load

QUEUE = ("--queue-size", "2000000")


class Row:
    """One line of the table. A goal is a kind and a number:

    at-least   ours / reference      (rates)
    at-most    ours / reference      (costs)
    below      ours alone
    apart      ours alone: by how much `metric` and `other` may differ, as a part of the smaller
    all        ours alone: every run has it
    """

    def __init__(self, metric, label, unit, goal=None, number=None, other=None):
        self.metric, self.label, self.unit = metric, label, unit
        self.goal, self.number, self.other = goal, number, other


class Case:
    """A name, a sentence, rows, and measure(setup, side) -> {metric: value}."""

    def __init__(self, name, text, rows, measure, runs=None):
        self.name, self.text, self.rows, self.measure = name, text, rows, measure
        self.runs = runs or {}


def start(setup, side, args=()):
    return Broker(side, args, setup.broker_cpu)


def load(setup, broker, mode, args, cpu=None):
    args = ["--seconds", setup.seconds, "--warmup", setup.warmup, *args]
    return run_load(setup.load, broker, mode, args, setup.client_cpu if cpu is None else cpu)


def cost(result, suffix=""):
    return {"rate" + suffix: result["rate"], "cpu" + suffix: result["broker_cpu_ns_per_unit"],
            "hwm" + suffix: result["broker_hwm_kib"]}


def traffic(name, text, args, rate=None, cpu=None, unit="message"):
    """A case of one stage of busrt-load."""

    def measure(setup, side):
        with start(setup, side) as broker:
            return cost(load(setup, broker, "throughput", args))

    plural = unit[:-1] + "ies" if unit.endswith("y") else unit + "s"
    rows = [Row("rate", "rate", f"{plural}/s", rate and "at-least", rate),
            Row("cpu", "broker CPU", f"ns/{unit}", cpu and "at-most", cpu),
            Row("hwm", "high-water mark", "KiB")]
    return Case(name, text, rows, measure)


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
        rows += [Row("rate " + name, f"{name}: rate", "op/s", "at-least", 1.25),
                 Row("cpu " + name, f"{name}: broker CPU", "ns/op", "at-most", 1 / 2)]
    return rows + [Row("hwm", "high-water mark", "KiB", "at-most", 1 / 10)]


def latency(name, text, args, busy_poll=None, goal=None):
    def measure(setup, side):
        polls = busy_poll and side.knows_busy_poll
        # Always on a CPU each: who polls wants one.
        with Broker(side, ("--busy-poll", str(busy_poll)) if polls else (), setup.cpus[-1]) as broker:
            found = load(setup, broker, "latency", args, setup.cpus[0])
        return {key: found[key + "_ns"] / 1000 for key in ("p50", "p90", "p99", "p999", "max")}

    rows = [Row("p50", "p50", "us", goal and "at-most", goal)]
    rows += [Row(key, key, "us") for key in ("p90", "p99", "p999", "max")]
    return Case(name, text, rows, measure)


def idle_memory(setup, side):
    n = setup.idle
    with start(setup, side) as broker:
        memory, result = run_idle(setup.load, broker, n, setup.client_cpu)
    first, last = memory["before"], memory["pinged"]
    return {"rss": (last["rss"] - first["rss"]) / n,
            "dirty": (last["private_dirty"] - first["private_dirty"]) / n,
            "registered": (memory["registered"]["rss"] - first["rss"]) / n,
            "ping": result["broker_cpu_ns_per_unit"] / 1000}


IDLE_ROWS = [Row("rss", "RSS after every client was pinged", "KiB/client", "below", 4),
             Row("dirty", "private dirty memory, likewise", "KiB/client", "below", 4),
             Row("registered", "RSS when all are registered", "KiB/client"),
             Row("ping", "broker CPU for a ping and its answer", "us", "below", 15)]


def beside(few, many):
    """A case that runs the topics stage twice on each broker: with few and with many of something."""

    def measure(setup, side):
        found, both = {}, [(" few", few), (" many", many)]
        for suffix, make in both if setup.turn % 2 == 0 else both[::-1]:
            with start(setup, side) as broker:
                args = ["--stage", "topics", *make(setup)]
                found.update(cost(load(setup, broker, "throughput", args), suffix))
        return found

    return measure


def beside_rows(few, many):
    return [Row("cpu few", f"broker CPU with {few}", "ns/message"),
            Row("cpu many", f"broker CPU with {many}", "ns/message"),
            Row("cpu many", "difference", "%", "apart", 25, other="cpu few")]


def connect(setup, side):
    with start(setup, side) as broker:
        return cost(load(setup, broker, "connect", []))


def fan_out(n, goal=None):
    args = ["--stage", "fanout", "--receivers", n, "--window", 1024, "--batch", 256]
    return traffic(f"fan-out.{n}", f"one publisher, {n} subscribers", args, cpu=goal, unit="delivery")


ACKED = {
    "one": ("one operation of a client at a time, realtime as in the reference's benchmark",
            ["--realtime"]),
    "plain": ("one operation of a client at a time, not realtime", []),
    "64": ("64 operations of a client at a time, not realtime", ["--depth", 64]),
}


def acked(stage, way):
    text, args = ACKED[way]
    return traffic(f"{stage}.{way}", "acknowledged, " + text, ["--stage", stage, *args], 1.2, 1 / 1.6,
                   "operation" if stage == "send.ack" else "delivery")


def all_cases(setup):
    cases = [
        Case("cli.defaults", "the reference's `busrt SOCK benchmark -w 8`, both sides at their defaults",
             [Row("completed", "completed", "runs", "all"), Row("hwm", "high-water mark", "KiB")],
             cli_defaults, runs={"ours": setup.runs, "reference": setup.reference_runs}),
        Case("cli.queue", f"the same with `--queue-size 2000000` on both sides, {setup.iters} operations",
             cli_queue_rows(), cli_queue),
        traffic("send.no", "8 clients send to nobody, no acknowledgements", ["--stage", "send.no"], 3, 1 / 6),
        traffic("send+recv.no", "8 clients in a ring, no acknowledgements", ["--stage", "send+recv.no"],
                6, 1 / 10, "delivery"),
        *[acked(stage, way) for way in ACKED for stage in ("send.ack", "send+recv.ack")],
        traffic("publish.no", "8 clients publish, nobody subscribed", ["--stage", "publish.no"]),
        traffic("publish+recv.no", "8 clients publish to one subscriber each",
                ["--stage", "publish+recv.no"], unit="delivery"),
        traffic("broadcast.100", "one sender broadcasts to 100 clients",
                ["--stage", "broadcast", "--window", 1024, "--batch", 256], unit="delivery"),
        fan_out(10), fan_out(100, 1 / 6), fan_out(setup.fan_out, 1 / 6),
        latency("latency.rest", "one way, a frame every millisecond, ours with busy polling",
                ["--interval", 1000], 5000, 1 / 8),
        latency("latency", "one way, a frame after the other, ours with busy polling", [], 100),
        latency("latency.realtime", "the same with realtime frames", ["--realtime"], 100),
        latency("latency.block", "the same without busy polling, the client blocks too", ["--block"]),
        Case("idle", f"{setup.idle} idle clients", IDLE_ROWS, idle_memory),
        Case("topics", "traffic on 64 topics, 10 of them subscribed, and other subscriptions beside them",
             beside_rows("10 topics subscribed", f"{setup.topics} topics subscribed"),
             beside(lambda s: ["--topics", 10], lambda s: ["--topics", s.topics])),
        Case("idle-beside", "the same traffic and idle clients beside it",
             beside_rows("no idle client", f"{setup.idle} idle clients"),
             # As long as two pings are apart, so that every idle client's is in it.
             beside(lambda s: ["--seconds", 2.5 * s.scale],
                    lambda s: ["--seconds", 2.5 * s.scale, "--idle", s.idle])),
        Case("connect", "connect, register, close, one after the other",
             [Row("rate", "rate", "1/s"), Row("cpu", "broker CPU", "ns each")], connect),
    ]
    return [case for case in cases if setup.cli or not case.name.startswith("cli.")]
