#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Latency as cyclictest has it: a frame each millisecond, one way, on a machine that is idle and on one that is busy,
through a plain broker and through one with all that real time takes.

    realtime.py --ours BUSRTD --load BUSRT-LOAD

Plain: busrtd as it is. Real time: --real-time, SCHED_FIFO, and bound to the last CPU, which the load may use, too. The
client sleeps between frames and blocks for each, on the first CPU; it is under SCHED_FIFO in the first table, in the second
it is not. Busy: four processes that only count, and one that copies memory, wherever the system puts them; each ends by
itself. All set-ups are measured in turn, round by round. Shown are the medians of the rounds with the least and the greatest value,
and the greatest of all. Wants root, or a user who may use SCHED_FIFO and lock memory.
"""
import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys

from brokers import Broker, Failed, Side, may_lock_memory, raise_file_limit
from clients import load_argv
from table import number

BROKER_PRIORITY, CLIENT_PRIORITY = 20, 10
VALUES = (("p50", "p50"), ("p99", "p99"), ("p999", "p99.9"), ("max", "max"))
COUNT = "import sys, time\nend = time.monotonic() + float(sys.argv[1])\nwhile time.monotonic() < end:\n sum(range(100000))"
COPY = ("import sys, time\nend = time.monotonic() + float(sys.argv[1])\na = bytearray(64 << 20)\n"
        "while time.monotonic() < end:\n b = bytes(a)")
COUNTERS = 4
SKIPPED = 77


def fifo(priority):
    return ["chrt", "--fifo", str(priority)]


def on_cpu(cpu):
    return ["taskset", "--cpu-list", str(cpu)]


@contextlib.contextmanager
def load(busy, seconds):
    """What else the machine does meanwhile."""
    programs = [COUNT] * COUNTERS + [COPY] if busy else []
    processes = [subprocess.Popen([sys.executable, "-c", program, str(seconds)]) for program in programs]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


class Setup:
    def __init__(self, args, real_time, busy, client_fifo):
        self.args, self.real_time, self.busy, self.client_fifo = args, real_time, busy, client_fifo
        self.found = {key: [] for key, _ in VALUES}

    def side(self):
        before = [*fifo(BROKER_PRIORITY), *on_cpu(max(os.sched_getaffinity(0)))] if self.real_time else []
        return Side("ours", " ".join([*before, self.args.ours]))

    def measure(self):
        a = self.args
        before = [*on_cpu(min(os.sched_getaffinity(0))), *(fifo(CLIENT_PRIORITY) if self.client_fifo else [])]
        with Broker(self.side(), ["--real-time"] if self.real_time else []) as broker, load(self.busy, a.seconds + 30):
            done = subprocess.run(
                [*before, *load_argv(a.load, broker, "latency", ["--block", "--interval", a.interval, "--warmup", "0.3",
                                                                 "--seconds", a.seconds])],
                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=a.seconds + 60)
        if done.returncode != 0:
            raise Failed(done.stderr.strip() or f"busrt-load: status {done.returncode}")
        result = json.loads(done.stdout.splitlines()[-1])
        for key in self.found:
            self.found[key].append(result[key + "_ns"] / 1000)

    def cell(self, key):
        values = self.found[key]
        middle, least, most = statistics.median(values), min(values), max(values)
        return number(most) if key == "max" else f"{number(middle)} ({number(least)}..{number(most)})"


def print_table(setups, client):
    print(f"\n| one way, µs, client under {client} | idle, plain | idle, real time | busy, plain | busy, real time |")
    print("|---|---|---|---|---|")
    for key, name in VALUES:
        print(f"| {name} | " + " | ".join(setup.cell(key) for setup in setups) + " |")


def main():
    parser = argparse.ArgumentParser(description="Latency on an idle and on a busy machine, plain and under real time.")
    parser.add_argument("--ours", required=True, help="busrtd")
    parser.add_argument("--load", required=True, help="busrt-load")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3, help="of each measurement")
    parser.add_argument("--interval", type=int, default=1000, help="from frame to frame, in microseconds")
    args = parser.parse_args()
    raise_file_limit()
    if subprocess.run([*fifo(1), "true"], capture_output=True).returncode != 0 or not may_lock_memory():
        print("realtime: this user may not use SCHED_FIFO, or not lock memory")
        return SKIPPED
    if len(os.sched_getaffinity(0)) < 2:
        print("realtime: that takes two CPUs")
        return SKIPPED
    setups = [Setup(args, real_time, busy, client_fifo)
              for client_fifo in (True, False) for busy in (False, True) for real_time in (False, True)]
    before = os.getloadavg()[0]
    for turn in range(args.rounds):
        for setup in setups if turn % 2 == 0 else setups[::-1]:
            setup.measure()
    print(f"{args.rounds} rounds of {args.seconds:g} s, a frame every {args.interval} µs; {len(os.sched_getaffinity(0))} CPUs, "
          f"Linux {os.uname().release}, load average at the beginning: {before:.1f}")
    for i, client in enumerate(("SCHED_FIFO", "SCHED_OTHER")):
        print_table(setups[4 * i:4 * i + 4], client)
    return 0


if __name__ == "__main__":
    sys.exit(main())
