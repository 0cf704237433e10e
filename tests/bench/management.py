#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What it costs the bus to be looked at: traffic beside thousands of clients, with and without questions over D-Bus.

One broker, on a D-Bus of its own, with idle clients. In turn, traffic that nobody watches and the same traffic while
ListClients is called once a second; then, in turn, latency with nobody watching and while GetAll of single clients is
called a hundred times. Shown are medians with the least and the greatest value, and the difference of the medians.
"""

import argparse
import contextlib
import os
import statistics
import subprocess
import tempfile
import threading
import time

from brokers import Broker, Side, raise_file_limit
from clients import load_argv, run_load

MANAGER = ("org.busrt1", "/org/busrt1", "org.busrt1.Manager")
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


class Questions:
    """Calls over D-Bus by busctl, which prints nothing."""

    def __init__(self, address):
        self.argv = ["busctl", "--address=" + address, "--quiet", "call"]
        self.asked = 0

    def ask(self, *call):
        done = subprocess.run(self.argv + list(call), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        self.asked += done.returncode == 0
        return done

    def list_clients(self):
        self.ask(*MANAGER, "ListClients")

    def get_all(self, path):
        self.ask("org.busrt1", path, "org.freedesktop.DBus.Properties", "GetAll", "s", "org.busrt1.Client")


@contextlib.contextmanager
def repeated(question, interval):
    """Asks again and again meanwhile, on a thread of its own."""
    over = threading.Event()

    def run():
        while not over.is_set():
            began = time.monotonic()
            question()
            over.wait(max(0.0, interval - (time.monotonic() - began)))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


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
    parser.add_argument("--clients", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=4)
    o = parser.parse_args()
    raise_file_limit()
    with message_bus() as address:
        os.environ["DBUS_SESSION_BUS_ADDRESS"] = address
        questions = Questions(address)
        with Broker(Side("ours", o.ours, "--dbus=user")) as broker, idle_clients(o.load, broker, o.clients):
            wait_until(lambda: questions.ask(*MANAGER, "GetConfig").returncode == 0, "org.busrt1")
            path = "/org/busrt1/client/_" + subprocess.run(
                ["busctl", "--address=" + address, "--list", "tree", "org.busrt1"], capture_output=True, text=True,
                check=True).stdout.split("/client/_", 1)[1].split()[0]

            questions.asked = 0
            quiet, asked = in_turn(o.rounds, lambda: run_load(o.load, broker, "throughput", ["--seconds", o.seconds]),
                                   lambda: repeated(questions.list_clients, 1.0))
            print(f"{o.clients} clients; ListClients once a second, answered {questions.asked} times")
            for label, unit, key in (("rate", "messages/s", "rate"), ("broker CPU", "ns/message", "broker_cpu_ns_per_unit")):
                show(label, unit, [run[key] for run in quiet], [run[key] for run in asked])

            questions.asked = 0
            quiet, asked = in_turn(o.rounds, lambda: run_load(o.load, broker, "latency", ["--seconds", 2, "--block", "--interval", 200]),
                                   lambda: repeated(lambda: questions.get_all(path), 0.02))
            print(f"GetAll of one client 50 times a second, answered {questions.asked} times")
            for key in ("p50", "p99", "p999"):
                show("one way, " + key, "us", [run[key + "_ns"] / 1000 for run in quiet], [run[key + "_ns"] / 1000 for run in asked])


if __name__ == "__main__":
    main()
