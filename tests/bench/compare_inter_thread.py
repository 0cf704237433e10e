#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares two brokers inside a program: libbusrt-broker and the published one, each with two clients of its process.

inter-thread.c says what is done, and checks each frame. A round measures both sides, and the one that begins alternates.
Shown are medians with the least and the greatest value. CPU is the process's own, user and system: broker and clients.

The published clients are tasks of a runtime with two threads. Two that take turns stay on one of them, where neither
waits for another CPU; in the cases that say "apart" each has a thread of its own, as clients of libbusrt have.
"""
import argparse
import json
import resource
import signal
import subprocess
import sys

import page
import table
from brokers import Failed
from cases import Case, Row
from compare import executable, machine, run_case, smoke_line, write_json
from goals import at_least, at_most

TIMEOUT = 120


class Program:
    """One of the two sides."""

    def __init__(self, label, path):
        self.label, self.path = label, executable(path)

    def run(self, mode, seconds):
        """What it prints, and the CPU that it took for each frame."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        try:
            done = subprocess.run([self.path, mode, str(seconds)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                  timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            raise Failed(f"{mode} was not ready after {TIMEOUT} s") from None
        if done.returncode != 0:
            raise Failed(done.stderr.strip() or f"{mode}: status {done.returncode}")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found = json.loads(done.stdout)
        cpu = sum(getattr(after, key) - getattr(before, key) for key in ("ru_utime", "ru_stime"))
        return {**found, "cpu": cpu * 1e9 / found["frames"]}


class Setup:
    """The options as compare.run_case wants them."""

    def __init__(self, o):
        self.ours, self.turn = Program("ours", o.ours), 0
        self.reference = Program("reference", o.reference) if o.reference else None
        self.rounds, self.seconds = (1, 0.02) if o.smoke else (o.rounds, o.seconds)

    def sides(self, case, turn):
        every = [self.ours] + ([self.reference] if self.reference else [])
        return every[turn % len(every):] + every[:turn % len(every)]


def case(name, text, ours, reference, *rows):
    """ours, reference: the mode of each program."""
    modes = {"ours": ours, "reference": reference}
    return Case(name, text, rows, lambda setup, side: side.run(modes[side.label], setup.seconds))


def one_way(name, text, mode, *goals):
    return case(name, text, mode, "messages", Row("rate", "rate", "messages/s", *goals), Row("cpu", "CPU", "ns/message"))


def round_trips(name, text, ours, reference, *goals):
    return case(name, text, ours, reference, Row("p50", "p50", "us", *goals), Row("p99", "p99", "us"),
                Row("max", "max", "us"), Row("cpu", "CPU", "ns/round trip"))


CASES = [
    one_way("messages", "one client sends 100 bytes to the other, without acknowledgement", "messages", at_least(3)),
    one_way("corked", "the same, ours written a hundred at a time", "corked"),
    round_trips("waiting", "round trips of 100 bytes; all sleep until something comes", "waiting", "waiting"),
    round_trips("waiting.apart", "the same, the published clients on a thread each", "waiting", "apart"),
    round_trips("polling", "round trips; ours look all the time", "polling", "waiting", at_most(1 / 3)),
    round_trips("polling.apart", "the same, the published clients on a thread each", "polling", "apart", at_most(1 / 3)),
]


def parse_options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--ours", required=True, metavar="PATH", help="tests/bench/inter-thread of a build directory")
    p.add_argument("--reference", metavar="PATH", help="inter-thread of tests/interop/rust; without it ours runs alone")
    p.add_argument("--only", action="append", default=[], choices=[c.name for c in CASES], help="only this case")
    p.add_argument("--rounds", type=int, default=9, help="measurements of each side (default 9)")
    p.add_argument("--seconds", type=float, default=1.0, help="of one measurement (default 1)")
    p.add_argument("--smoke", action="store_true", help="everything once and tiny; only what arrives decides")
    p.add_argument("--strict", action="store_true", help="exit status 1 if a goal is not met")
    p.add_argument("--json", metavar="FILE", help="write every value")
    p.add_argument("--write-docs", metavar="FILE", help="put the tables between its markers")
    return p.parse_args()


def measure(o, setup):
    """[(case, {label: table.Side})], and the lines of the page."""
    lines = [f"{setup.rounds} rounds of {setup.seconds:g} s; medians, with (least..greatest). {machine()}.", ""]
    measured = []
    print("\n".join(lines), flush=True)
    for chosen in [c for c in CASES if not o.only or c.name in o.only]:
        sides = run_case(setup, chosen)
        fresh = table.case_lines(chosen, sides)
        print(smoke_line(chosen, sides) if o.smoke else "\n".join(fresh), flush=True)
        measured.append((chosen, sides))
        lines += fresh
    return measured, lines


def main():
    o = parse_options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no program is left behind
    if o.write_docs:
        page.read(o.write_docs, "inter-thread")  # a page without markers is refused now
    measured, lines = measure(o, Setup(o))
    if o.json:
        write_json(o.json, measured)
    if o.write_docs:
        page.write(o.write_docs, "inter-thread", lines)
    failed = sum(len(side.failures) for _, sides in measured for side in sides.values())
    unmet = sum(not is_met for c, sides in measured for *_, is_met in table.judged(c, sides))
    print(f"{len(measured)} cases, {failed} failed measurements" + ("" if o.smoke else f", {unmet} goals not met"))
    return 1 if failed or (o.strict and unmet and not o.smoke) else 0


if __name__ == "__main__":
    sys.exit(main())
