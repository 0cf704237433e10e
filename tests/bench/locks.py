#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What several workers cost one another, counted: mutexes taken, waits for one, wake-ups, for each message.

The broker runs with count-locks preloaded, with few and then with more messages of each kind; the difference is what a
message costs. How large the batches are that one system call brings is up to the machine, so the numbers move a little.

    locks.py --ours BUSRTD --load BUSRT-LOAD --preload LIB [--workers 1,2,4,8] [--rounds N] [--smoke]
"""
import argparse
import os
import statistics
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from brokers import Broker, Side, raise_file_limit
from clients import run_load

# name: (arguments of busrt-load, units for each operation of each of 8 clients, few operations, more)
KINDS = {
    "send+recv": (["--stage", "send+recv.no"], 8, 20000, 220000),
    "publish+recv": (["--stage", "publish+recv.no"], 8, 20000, 220000),
    "acknowledged, 1 in flight": (["--stage", "send+recv.ack"], 8, 500, 3500),
    "acknowledged, 64 in flight": (["--stage", "send+recv.ack", "--depth", "64"], 8, 20000, 120000),
    "fan-out to 100": (["--stage", "fanout", "--receivers", "100", "--window", "1024", "--batch", "256"], 100, 500, 4500),
}
WHAT = ("mutexes taken", "waits", "wake-ups")


def count(options, arguments, operations, workers):
    with tempfile.NamedTemporaryFile(prefix="busrt-locks-") as out:
        side = Side("ours", options.ours)
        os.environ.update(LD_PRELOAD=options.preload, COUNT_LOCKS=out.name)
        try:
            broker = Broker(side, ("-w", str(workers)))
        finally:
            del os.environ["LD_PRELOAD"], os.environ["COUNT_LOCKS"]
        with broker:
            run_load(options.load, broker, "throughput",
                     [*arguments, "--warmup", "0", "--seconds", "100", "--count", operations], timeout=150)
        return [int(word) for word in out.read().split()]


def price(options, kind, workers):
    arguments, units, few, more = KINDS[kind]
    if options.smoke:
        few, more = few // 10, more // 10
    before, after = (count(options, arguments, n, workers) for n in (few, more))
    return [(b - a) / ((more - few) * units) for a, b in zip(before, after)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--ours", required=True)
    parser.add_argument("--load", required=True)
    parser.add_argument("--preload", required=True, type=os.path.abspath)
    parser.add_argument("--workers", default="1,2,4,8")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--smoke", action="store_true", help="once and tiny; fails where a message has a price of its own")
    options = parser.parse_args()
    workers = [int(n) for n in options.workers.split(",")]
    failed = False
    raise_file_limit()
    print("| for each message | " + " | ".join(f"{n} workers" for n in workers) + " |\n|---|" + "---|" * len(workers))
    for kind in KINDS:
        found = {n: [price(options, kind, n) for _ in range(1 if options.smoke else options.rounds)] for n in workers}
        for i, what in enumerate(WHAT):
            medians = [statistics.median(p[i] for p in found[n]) for n in workers]
            print(f"| {kind}: {what} | " + " | ".join(f"{m:.4f}" for m in medians) + " |", flush=True)
            # One operation at a time is some system calls, and the lock is left and taken at each; all else comes in batches.
            failed |= max(medians) > (15 if "1 in flight" in kind else 1)
    return options.smoke and failed


if __name__ == "__main__":
    sys.exit(main())
