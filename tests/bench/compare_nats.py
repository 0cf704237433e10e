#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares our broker with nats-server, each in its own protocol, with the traffic of nats-load.

A round measures three: nats-server over TCP on the loopback, ours over the same, and ours over its UNIX socket. Each
measurement starts a fresh broker, and who begins goes round. Shown are medians with the least and the greatest value;
the ratios are our medians beside those of nats-server. A goal is met when the rate or the CPU for each message is.
"""
import argparse
import glob
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import page
import table
from brokers import Broker, Failed, Side, free_port, pin_to, raise_file_limit
from cases import Row
from compare import machine
from goals import at_least, at_most, factor

SKIPPED = 77  # as meson wants it
RATE, CPU = Row("rate", "rate", "", at_least(3)), Row("cpu", "broker CPU", "", at_most(1 / 3))

# name: (what it is, arguments of nats-load, plural of the unit, unit)
WORKLOADS = {
    "publish": ("8 clients publish on a topic without subscribers", ["publish"], "messages", "message"),
    "deliver": ("8 clients in a ring, each publishes for the next one", ["deliver"], "deliveries", "delivery"),
    "request.one": ("one client asks, another answers, one request in flight",
                    ["request", "--clients", "1", "--window", "1"], "exchanges", "exchange"),
    "request.64": ("the same, 64 requests in flight", ["request", "--clients", "1", "--window", "64"],
                   "exchanges", "exchange"),
    "fan-out.4": ("one client publishes, 4 get it", ["fan-out", "--receivers", "4"], "deliveries", "delivery"),
}


class Bus(Broker):
    """Ours, with a port beside the socket."""

    protocol = "busrt"

    def argv(self, args):
        self.tcp = f"127.0.0.1:{free_port()}"
        return super().argv(args) + ["-B", self.tcp]

    def address(self, transport):
        return self.socket if transport == "UNIX" else self.tcp


class NatsServer(Broker):
    """nats-server without a configuration, on a port of its choice, which it writes to a file."""

    protocol = "nats"

    def argv(self, args):
        return self.side.argv + ["-a", "127.0.0.1", "-p", "-1", "--ports_file_dir", self.dir] + args

    def address(self, _):
        for path in glob.glob(os.path.join(self.dir, "*.ports")):
            with open(path) as f:
                return json.load(f)["nats"][0].removeprefix("nats://")
        raise OSError("no ports file")

    def wait_until_ready(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise Failed(f"nats-server ended at once: {self.last_line()}")
            try:
                host, port = self.address("TCP").split(":")
                with socket.create_connection((host, int(port)), 1) as s:
                    if s.recv(5) == b"INFO ":
                        return
            except (OSError, ValueError):  # no file, half a file, or nobody there
                time.sleep(0.002)
        raise Failed(f"nats-server was not there after {seconds} s")


class Contender:
    """One of the three: what is started, and how it is reached."""

    def __init__(self, label, broker, side, transport):
        self.label, self.broker, self.side, self.transport = label, broker, side, transport


def contenders(o):
    ours = Side("ours", o.ours)
    nats = [Contender("nats", NatsServer, Side("nats-server", o.nats), "TCP")] if o.nats else []
    return nats + [Contender("tcp", Bus, ours, "TCP"), Contender("unix", Bus, ours, "UNIX")]


def measure(o, contender, args):
    with contender.broker(contender.side) as broker:
        argv = [o.load, broker.protocol, broker.address(contender.transport), *args, "--broker-pid", str(broker.pid)]
        try:
            done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
                                  preexec_fn=pin_to(None))
        except subprocess.TimeoutExpired:
            raise Failed("nats-load was not ready after 120 s") from None
    if done.returncode != 0:
        raise Failed(done.stderr.strip() or f"nats-load: status {done.returncode}")
    found = json.loads(done.stdout)
    return {"units": found["units"], "rate": found["rate"], "cpu": found["broker_cpu_ns_per_unit"],
            "client": found["client_cpu_ns_per_unit"]}


def run_workload(o, name, everyone):
    """{label: table.Side}"""
    done = {c.label: table.Side() for c in everyone}
    args = WORKLOADS[name][1] + (["--count", "500", "--warmup", "0"] if o.smoke else ["--seconds", str(o.seconds)])
    for turn in range(o.rounds):
        first = turn % len(everyone)
        for contender in everyone[first:] + everyone[:first]:
            try:
                done[contender.label].runs.append(measure(o, contender, args))
            except Failed as error:
                done[contender.label].failures.append(str(error))
                print(f"{name}: {contender.label}: {error}", file=sys.stderr)
    return done


def is_met(ours, nats):
    """By the rate or by the CPU; None when something could not be measured."""
    found = [row.goals[0].is_met({"ours": ours, "reference": nats}, row.metric) for row in (RATE, CPU)]
    return None if None in found else any(found)


def workload_lines(name, done):
    _, _, units, unit = WORKLOADS[name]
    nats = done["nats"]
    for row, what in ((RATE, f"{units}/s"), (CPU, f"broker CPU, ns/{unit}")):
        cells = [f"{name}: {what}", table.spread(nats, row)]
        for label in ("tcp", "unix"):
            ratio = row.goals[0].found({"ours": done[label], "reference": nats}, row.metric)
            cells += [table.spread(done[label], row), factor(ratio),
                      table.MET[is_met(done[label], nats)] if row is RATE else ""]
        yield "| " + " | ".join(cells) + " |"


def heading(o):
    version = subprocess.run([o.nats, "--version"], capture_output=True, text=True).stdout.split()[-1]
    yield f"{o.rounds} rounds of {o.seconds:g} s; medians, with (least..greatest). {machine()}. nats-server {version}."
    yield "The goal: three times the rate, or a third of the CPU."
    yield ""
    yield "| | nats-server, TCP | busrtd, TCP | busrtd / nats-server | met | busrtd, UNIX | busrtd / nats-server | met |"
    yield "|---|---|---|---|---|---|---|---|"


def smoke_line(name, done):
    """Nothing lost, and what was counted is what was asked for."""
    expected = {"publish": 4000, "deliver": 4000, "request.one": 500, "request.64": 500, "fan-out.4": 2000}[name]
    wrong = [f"{label}: {side.failures or side.values('units')}" for label, side in done.items()
             if side.values("units") != [expected]]
    told = "; ".join(wrong) or f"{expected} each of {', '.join(done)}"
    return f"{'not ok' if wrong else 'ok'} - {name}: {told}", bool(wrong)


def parse_options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--ours", required=True, metavar="BUSRTD", help="our broker (a path, or a whole command)")
    p.add_argument("--load", required=True, metavar="PATH", help="tests/bench/nats-load of a build directory")
    p.add_argument("--nats", metavar="PATH", help="nats-server (default: the one on PATH)")
    p.add_argument("--only", action="append", default=[], choices=list(WORKLOADS), help="only this traffic")
    p.add_argument("--rounds", type=int, default=9, help="measurements of each (default 9)")
    p.add_argument("--seconds", type=float, default=1.0, help="of one measurement (default 1)")
    p.add_argument("--smoke", action="store_true", help="everything once and tiny; only counts decide")
    p.add_argument("--json", metavar="FILE", help="write every value")
    p.add_argument("--write-docs", metavar="FILE", help="put the table between its markers")
    o = p.parse_args()
    o.nats = o.nats or shutil.which("nats-server", path=os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin")
    o.rounds = 1 if o.smoke else o.rounds
    return o


def compare(o):
    results, lines = {}, list(heading(o))
    print("\n".join(lines), flush=True)
    for name in o.only or WORKLOADS:
        results[name] = run_workload(o, name, contenders(o))
        fresh = list(workload_lines(name, results[name]))
        print("\n".join(fresh), flush=True)
        lines += fresh
    if o.json:
        with open(o.json, "w") as f:
            json.dump({name: {label: side.__dict__ for label, side in done.items()}
                       for name, done in results.items()}, f, indent=1)
    if o.write_docs:
        page.write(o.write_docs, "nats", lines)
    return 1 if any(side.failures for done in results.values() for side in done.values()) else 0


def smoke(o):
    failed = 0
    for name in o.only or WORKLOADS:
        line, wrong = smoke_line(name, run_workload(o, name, contenders(o)))
        print(line, flush=True)
        failed += wrong
    return 1 if failed else 0 if o.nats else SKIPPED


def main():
    o = parse_options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no broker is left behind
    raise_file_limit()
    if not o.nats:
        print("skipped: there is no nats-server" + (", ours alone" if o.smoke else ""))
    if o.smoke:
        return smoke(o)
    if o.write_docs:
        page.read(o.write_docs, "nats")  # a page without markers is refused now
    return compare(o) if o.nats else SKIPPED


if __name__ == "__main__":
    sys.exit(main())
