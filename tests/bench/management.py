#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What it costs the bus to be looked at: traffic beside thousands of clients, with and without questions over D-Bus.

One broker, on a D-Bus of its own, with idle clients. In turn, traffic that nobody watches and the same traffic while
ListClients is called once a second; then, in turn, latency with nobody watching and while GetAll of single clients is
called a hundred times. Shown are medians with the least and the greatest value, and the difference of the medians.
"""

import argparse
import contextlib
import json
import math
import os
import statistics
import subprocess
import tempfile
import time

from brokers import Broker, Side, raise_file_limit
from clients import load_argv, run_load

CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path={}</listen><policy context="default">
<allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>
"""


@contextlib.contextmanager
def message_bus():
    """A D-Bus of our own; its address."""
    with tempfile.TemporaryDirectory(prefix="busrt-bench-") as folder:
        socket, config = os.path.join(folder, "bus"), os.path.join(folder, "config")
        with open(config, "w", encoding="ascii") as file:
            file.write(CONFIG.format(socket))
        daemon = subprocess.Popen(["dbus-daemon", "--nofork", "--nopidfile", "--config-file", config], stdin=subprocess.DEVNULL)
        try:
            wait_until(lambda: os.path.exists(socket), "dbus-daemon")
            yield "unix:path=" + socket
        finally:
            daemon.terminate()
            daemon.wait()


def wait_until(condition, what):
    end = time.monotonic() + 30
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"management: {what} did not come")
        time.sleep(0.01)


class Asker:
    """Questions over D-Bus, by a program that keeps its connection. What it saw is added up."""

    def __init__(self, program, address):
        self.program, self.address = program, address
        self.answered, self.slowest = 0, 0

    @contextlib.contextmanager
    def asking(self, *what):
        process = subprocess.Popen([self.program, self.address, *map(str, what)], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, text=True)
        try:
            yield
        finally:
            said = json.loads(process.communicate()[0])
            self.answered += said["answered"]
            self.slowest = max(self.slowest, said["slowest_us"])

    def told(self):
        text = f"answered {self.answered} times, the slowest in {self.slowest / 1000:.1f} ms"
        self.answered = self.slowest = 0
        return text


def first_client(address):
    """The path of some client, once org.busrt1 is there."""
    found = []

    def look():
        done = subprocess.run(["busctl", "--address=" + address, "--list", "tree", "org.busrt1"], capture_output=True, text=True,
                              check=False)
        found[:] = [path for path in done.stdout.split() if "/client/_" in path]
        return found

    wait_until(look, "org.busrt1")
    return found[0]


@contextlib.contextmanager
def idle_clients(load, broker, n):
    process = subprocess.Popen(load_argv(load, broker, "idle", ["--clients", n, "--seconds", 3600]),
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        process.stdout.readline()  # all are registered
        yield
    finally:
        process.stdin.close()
        process.kill()
        process.wait()
        process.stdout.close()


def show(label, unit, quiet, asked):
    def column(values):
        return f"{statistics.median(values):.6g} ({min(values):.6g}..{max(values):.6g})"

    before, after = statistics.median(quiet), statistics.median(asked)
    print(f"{label}, {unit}: {column(quiet)} unwatched, {column(asked)} watched, {100 * (after - before) / before:+.1f} %", flush=True)


def in_turn(rounds, measure, watching):
    """(unwatched, watched): what measure() says, the side that begins alternating."""
    found = ([], [])
    for turn in range(rounds):
        for watched in ((False, True), (True, False))[turn % 2]:
            with watching() if watched else contextlib.nullcontext():
                found[watched].append(measure())
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", required=True, metavar="BUSRTD")
    parser.add_argument("--load", required=True, metavar="BUSRT-LOAD")
    parser.add_argument("--asker", metavar="PATH", help="the program that asks (default: beside busrt-load)")
    parser.add_argument("--clients", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=4)
    o = parser.parse_args()
    raise_file_limit()
    with message_bus() as address:
        os.environ["DBUS_SESSION_BUS_ADDRESS"] = address
        asker = Asker(o.asker or os.path.join(os.path.dirname(o.load), "asker"), address)
        with Broker(Side("ours", o.ours, "--dbus=user")) as broker, idle_clients(o.load, broker, o.clients):
            path = first_client(address)
            quiet, asked = in_turn(o.rounds, lambda: run_load(o.load, broker, "throughput", ["--seconds", o.seconds]),
                                   lambda: asker.asking("list", math.ceil(o.seconds + 0.5), 1000000))
            print(f"{o.clients} clients; ListClients once a second, {asker.told()}")
            for label, unit, key in (("rate", "messages/s", "rate"), ("broker CPU", "ns/message", "broker_cpu_ns_per_unit")):
                show(label, unit, [run[key] for run in quiet], [run[key] for run in asked])
            quiet, asked = in_turn(o.rounds, lambda: run_load(o.load, broker, "latency", ["--seconds", 2, "--block"]),
                                   lambda: asker.asking("get", 100, 20000, path))
            print(f"GetAll of one client 100 times in 2 s, {asker.told()}")
            for key in ("p50", "p99", "p999"):
                show("one way, " + key, "us", [run[key + "_ns"] / 1000 for run in quiet], [run[key + "_ns"] / 1000 for run in asked])


if __name__ == "__main__":
    main()
