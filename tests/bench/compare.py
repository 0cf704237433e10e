#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares two brokers: the same client, the same machine, one after the other, again and again.

Every measurement starts a fresh broker. A round measures both sides, and the side that begins alternates, so
that slow drifts of the machine hit both. Shown are medians with the least and the greatest value. Where it says
what a broker could reach at all, a third side takes its turn: the floor, a program that does next to nothing.
"""

import argparse
import fnmatch
import json
import os
import platform
import signal
import sys

import cases
import page
import table
from brokers import Failed, Side, raise_file_limit

HERE = os.path.dirname(os.path.abspath(__file__))


def parse_options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--ours", required=True, metavar="BUSRTD", help="our broker (a path, or a whole command)")
    p.add_argument("--load", metavar="PATH", help="busrt-load (default: beside ours, in tests/bench)")
    p.add_argument("--floor", metavar="PATH", help="busrt-floor (default: beside busrt-load)")
    p.add_argument("--reference", metavar="DIR", default=os.environ.get("BUSRT_REFERENCE"),
                   help="where the reference's busrtd and busrt are (default: $BUSRT_REFERENCE)")
    p.add_argument("--ours-args", default="", metavar="ARGS", help="further arguments for our broker")
    p.add_argument("--reference-args", default="", metavar="ARGS", help="further arguments for the reference")
    p.add_argument("--only", action="append", default=[], metavar="NAME", help="only this case (wildcards)")
    p.add_argument("--skip", action="append", default=[], metavar="NAME", help="not this case (wildcards)")
    p.add_argument("--list", action="store_true", help="print the cases and end")
    p.add_argument("--rounds", type=int, default=9, help="measurements of each side (default 9)")
    p.add_argument("--runs", type=int, default=5, help="of cli.defaults, ours, half a minute each (default 5)")
    p.add_argument("--reference-runs", type=int, default=3, help="of cli.defaults, the reference (default 3)")
    p.add_argument("--iters", type=int, default=60000, help="operations in each stage of cli.queue")
    p.add_argument("--seconds", type=float, default=0.6, help="of one measurement (default 0.6)")
    p.add_argument("--placement", choices=("free", "pinned"), default="free",
                   help="wherever the system puts them, or client and broker on a CPU each (default free; "
                        "latency is always measured pinned, the reference's own benchmark never)")
    p.add_argument("--smoke", action="store_true", help="everything once and tiny; only counts decide")
    p.add_argument("--strict", action="store_true", help="exit status 1 if a goal is not met")
    p.add_argument("--json", metavar="FILE", help="write every value")
    p.add_argument("--write-docs", metavar="FILE", help="put the tables between its markers")
    return p.parse_args()


def executable(path):
    if not os.access(path, os.X_OK):
        raise SystemExit(f"compare: {path} is not there or not executable")
    return path


def default_load(ours):
    """busrt-load of the build directory that our broker is in."""
    return os.path.normpath(os.path.join(os.path.dirname(ours), "../../tests/bench/busrt-load"))


class Setup:
    """The options as the cases want them."""

    def __init__(self, o):
        self.cpus = sorted(os.sched_getaffinity(0))[:2]
        pinned = o.placement == "pinned"
        self.client_cpu, self.broker_cpu = (self.cpus[0], self.cpus[-1]) if pinned else (None, None)
        self.load = executable(o.load or default_load(o.ours.split()[0]))
        self.ours = Side("ours", o.ours, o.ours_args)
        self.floor = Side("floor", executable(o.floor or os.path.join(os.path.dirname(self.load), "busrt-floor")))
        self.reference = self.cli = None
        if o.reference:
            self.reference = Side("reference", executable(os.path.join(o.reference, "busrtd")), o.reference_args)
            self.cli = executable(os.path.join(o.reference, "busrt"))
        self.rounds, self.runs, self.reference_runs = o.rounds, o.runs, o.reference_runs
        self.seconds, self.warmup, self.scale, self.turn = o.seconds, 0.2, 1, 0
        self.iters, self.iters_defaults = o.iters, None
        self.idle, self.topics, self.fan_out, self.large = 10000, 10000, 1000, 1000000
        if o.smoke:
            self.rounds = self.runs = self.reference_runs = 1
            self.seconds, self.warmup, self.scale = 0.05, 0.0, 0.02
            self.iters, self.iters_defaults = 800, 800
            self.idle, self.topics, self.fan_out = 100, 1000, 200

    def sides(self, case, turn):
        """Those that take part in a round, in turn the first."""
        every = [self.ours] + ([self.reference] if self.reference else []) + ([self.floor] if case.floor else [])
        return every[turn % len(every):] + every[:turn % len(every)]


def choose(o, found):
    def wanted(case):
        if any(fnmatch.fnmatch(case.name, pattern) for pattern in o.skip):
            return False
        return not o.only or any(fnmatch.fnmatch(case.name, pattern) for pattern in o.only)

    chosen = [case for case in found if wanted(case)]
    if not chosen:
        raise SystemExit("compare: no such case; --list shows them")
    if o.smoke and not o.only:
        # The reference's tool warms the CPU up for seconds: once is enough here.
        chosen = [case for case in chosen if case.name != "cli.queue"]
    return chosen


def measure(setup, case, side, done):
    if sys.stderr.isatty():
        print(f"{case.name} {setup.turn + 1} {side.label} \033[K", end="\r", file=sys.stderr, flush=True)
    try:
        done.runs.append(case.measure(setup, side))
    except Failed as error:
        done.failures.append(str(error))
        print(f"{case.name}: {side.label}: {error}", file=sys.stderr)


def run_case(setup, case):
    """All sides in turn. {label: table.Side}"""
    done = {label: table.Side() for label in ("ours", "reference", "floor")}
    wanted = {side.label: case.runs.get(side.label, setup.rounds) for side in setup.sides(case, 0)}
    for setup.turn in range(max(wanted.values())):
        for side in setup.sides(case, setup.turn):
            if setup.turn < wanted[side.label]:
                measure(setup, case, side, done[side.label])
    # The reference now and then disconnects its own benchmark: such runs are counted and repeated, where it
    # is not the completing that is measured. Ours gets no second try.
    for setup.turn in range(setup.turn + 1, setup.turn + 1 + setup.rounds):
        if setup.reference and not case.runs and len(done["reference"].runs) < setup.rounds:
            measure(setup, case, setup.reference, done["reference"])
    return done


def machine():
    model = "unknown CPU"
    with open("/proc/cpuinfo") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
    release = ".".join(platform.release().split("-")[0].split(".")[:2])
    return f"{len(os.sched_getaffinity(0))} CPUs, {model}, Linux {release}"


def heading(setup):
    where = "Nothing is pinned but `latency*`, and `one-at-a-time*` where it polls" if setup.client_cpu is None else \
        "Client and broker are pinned to a CPU each, but for `cli`"
    return [f"{setup.rounds} rounds of {setup.seconds:g} s; medians, with (least..greatest). "
            f"{machine()}. {where}.", ""]


def smoke_line(case, sides):
    return f"{case.name}: " + ", ".join(f"{label} {len(side.runs)} complete, {len(side.failures)} failed"
                                        for label, side in sides.items() if side.runs or side.failures)


def write_json(path, measured):
    with open(path, "w") as f:
        json.dump({case.name: {label: {"runs": side.runs, "failures": side.failures}
                               for label, side in sides.items()} for case, sides in measured}, f, indent=1)
        f.write("\n")


def main():
    o = parse_options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no broker is left behind
    raise_file_limit()
    setup = Setup(o)
    found = cases.all_cases(setup)
    if o.list:
        print("\n".join(f"{case.name:20} {case.text}" for case in found))
        return 0
    if o.write_docs:
        page.read(o.write_docs, "bench")  # a page without markers is refused now, not after an hour
    head, lines, measured = heading(setup), [], []
    print("\n".join(head), flush=True)
    for case in choose(o, found):
        sides = run_case(setup, case)
        measured.append((case, sides))
        fresh = table.case_lines(case, sides)
        print(smoke_line(case, sides) if o.smoke else "\n".join(fresh), flush=True)
        lines += fresh
    summary = table.goal_lines(measured)
    if not o.smoke:
        print("\n".join(summary))
    if o.json:
        write_json(o.json, measured)
    if o.write_docs:
        page.write(o.write_docs, "bench", head + summary + lines)
    failed = sum(len(sides[label].failures) for _, sides in measured for label in ("ours", "floor"))
    unmet = sum(not is_met for case, sides in measured for *_, is_met in table.judged(case, sides))
    goals = "" if o.smoke else f", {unmet} goals not met"
    print(f"{len(measured)} cases, {failed} failed measurements of ours{goals}")
    if not setup.reference:
        print("No reference was given: nothing was compared with it, and its own benchmark did not run.")
    return 1 if failed or (o.strict and unmet and not o.smoke) else 0


if __name__ == "__main__":
    sys.exit(main())
