#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a message costs the broker, counted, not timed: the same on every machine, whatever else that does.

The broker runs under callgrind, with few and then with more messages of each kind. The difference, for each message, is
its price: instructions in user space, calls of the allocator, system calls. Each has a ceiling with some room above what
was counted when it was set (gcc 12, -O2, x86-64); who raises one says why. And with a thousand access rules it costs
hardly more instructions than without.

The kind `real-time` is all of them under RealTime=yes: there the worker may not once take memory, for however many messages.

    guard.py BUSRTD BUSRT-LOAD [KIND]...
"""
import glob
import os
import re
import shutil
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from brokers import Broker, Side, may_lock_memory, raise_file_limit
from clients import run_load

BUSRTD, LOAD = sys.argv[1:3]
FEW, MORE = 2000, 12000  # operations of each client

ALLOCATOR = {"malloc", "calloc", "realloc", "aligned_alloc", "mmap", "mremap"}
MEMORY = ALLOCATOR | {"brk", "sbrk"}
REAL_TIME = "real-time"
SYSTEM_CALLS = {"read", "readv", "recv", "recvmsg", "write", "writev", "send", "sendmsg", "epoll_wait", "epoll_ctl", "poll",
                "sched_yield"}

# kind: (arguments of busrt-load, units for each operation of each client, ceilings of instructions, of allocations, and
# of system calls for each unit)
KINDS = {
    "message": (["--stage", "send+recv.no", "--clients", "2"], 2, 720, 0.01, 0.05),
    "nobody": (["--stage", "send.no", "--clients", "2"], 2, 310, 0.01, 0.05),
    "acknowledged": (["--stage", "send+recv.ack", "--clients", "2", "--depth", "64"], 2, 950, 0.01, 0.2),
    # One read, one write with the delivery and the acknowledgement in it, and an eighth of a wait.
    "alone": (["--stage", "send+recv.ack", "--clients", "8"], 8, 2150, 0.01, 2.4),
    "publication": (["--stage", "publish+recv.no", "--clients", "2"], 2, 880, 0.01, 0.05),
    "unheard": (["--stage", "publish.no", "--clients", "2"], 2, 480, 0.01, 0.05),
    "topics": (["--stage", "topics", "--clients", "2", "--topics", "64", "--batch", "64", "--window", "1024"], 2, 800, 0.01, 0.05),
    "fan-out": (["--stage", "fanout", "--receivers", "100", "--window", "1024", "--batch", "256"], 100, 450, 0.01, 0.05),
    "broadcast": (["--stage", "broadcast", "--receivers", "100", "--window", "1024", "--batch", "256"], 100, 450, 0.01, 0.05),
}

RULES_COST = 1.05  # with rules, of what it costs without
RULES = "[bench.*]\nAllowUsers=*\nSendTo=bench.*\nBroadcastTo=bench.*\nPublishTo=bench/#\nSubscribeTo=bench/#\n" + "".join(
    f"[plant{i}.*]\nAllowUsers={i} 0\nSendTo=plant{i}.a plant{i}.*\nBroadcastTo=plant{i}.*\n"
    f"PublishTo=plant{i}/a plant{i}/b/+ plant{i}/c/#\nSubscribeTo=plant{i}/a plant{i}/b/+ plant{i}/c/#\n" for i in range(999))


def read_profile(path):
    """(instructions, {function: how often it was called}) of a callgrind file."""
    names, calls, total, called = {}, {}, 0, None
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            match = re.match(r"(c?fn)=\((\d+)\)(?: (.*))?", line)
            if match:
                kind, number, name = match.groups()
                if name:
                    names[number] = re.sub(r"'\d+$", "", name)  # of recursion
                called = names[number] if kind == "cfn" else None
            elif line.startswith("calls=") and called:
                calls[called] = calls.get(called, 0) + int(line[6:].split()[0])
            elif line.startswith(("summary:", "totals:")):
                total = int(line.split()[1])
    return total, calls


def profile(arguments, operations, *options, rules="", threads="no"):
    """The profiles of the whole of a broker's life, with so many operations of each client in it: one, or one for each thread."""
    folder = tempfile.mkdtemp(prefix="busrt-guard-")
    out = os.path.join(folder, "out")
    config = os.path.join(folder, "busrtd.conf")
    os.mkdir(config + ".access.d")
    for name, text in ((config, ""), (config + ".access.d/rules.conf", rules)):
        with open(name, "w", encoding="utf-8") as file:
            file.write(text)
    try:
        side = Side("ours", f"valgrind -q --tool=callgrind --separate-threads={threads} --callgrind-out-file={out} {BUSRTD}")
        # Nobody is pinged, and nobody is slow, because valgrind is.
        with Broker(side, ("-t", "300", "--slow-pace", "500", "--config", config, *options)) as broker:
            run_load(LOAD, broker, "throughput", [*arguments, "--warmup", "0", "--seconds", "300", "--count", operations],
                     timeout=300)
        return [read_profile(path) for path in glob.glob(out + "*")]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def count(arguments, operations, rules=""):
    found, = profile(arguments, operations, rules=rules)
    return found


def count_of_workers(arguments, operations):
    """How often workers took memory, with RealTime=yes. What they give back is not counted: at the end that depends on who was
    first."""
    found = [calls for _, calls in profile(arguments, operations, "--real-time", threads="yes") if "worker_pass" in calls]
    if not found:
        raise AssertionError("no worker is in the profiles")
    return sum(called(calls, MEMORY) for calls in found)


def called(calls, functions):
    """Of these, under whatever name the C library has for them."""
    return sum(n for name, n in calls.items() if name.split("@")[0].removeprefix("__").removeprefix("_IO_") in functions)


class Guard(unittest.TestCase):
    pass


def check(name):
    arguments, units, *ceilings = KINDS[name]

    def test(self):
        few, more = count(arguments, FEW), count(arguments, MORE)
        n = (MORE - FEW) * units
        prices = ((more[0] - few[0]) / n, (called(more[1], ALLOCATOR) - called(few[1], ALLOCATOR)) / n,
                  (called(more[1], SYSTEM_CALLS) - called(few[1], SYSTEM_CALLS)) / n)
        print(f"{name}: {prices[0]:.0f} instructions, {prices[1]:.4f} allocations, {prices[2]:.4f} system calls")
        for price, ceiling, what in zip(prices, ceilings, ("instructions", "allocations", "system calls")):
            self.assertLessEqual(price, ceiling, f"{what} for each unit of {name}")
        self.assertGreater(prices[0], ceilings[0] / 4, f"{name}: that was not the traffic that it should be")
        ruled = (count(arguments, MORE, RULES)[0] - count(arguments, FEW, RULES)[0]) / n
        print(f"{name}: {ruled:.0f} instructions with 1000 rules, {100 * ruled / prices[0] - 100:+.1f} %")
        self.assertLessEqual(ruled, prices[0] * RULES_COST, f"instructions for each unit of {name} with 1000 rules")

    return test


def check_real_time(name):
    arguments = KINDS[name][0]
    if "--receivers" in arguments:  # what waits for so many has its place in the reserve
        arguments = [*arguments, "--window", "128", "--batch", "32"]

    @unittest.skipUnless(may_lock_memory(), "memory cannot be locked here")
    def test(self):
        few, more = count_of_workers(arguments, FEW // 4), count_of_workers(arguments, MORE // 4)
        print(f"{name} under real time: {more - few} allocations in {(MORE - FEW) // 4} operations of each client")
        self.assertEqual(more, few, f"the worker takes memory for a {name}")
        self.assertGreater(few, 0, "that clients come takes memory, and was not counted")

    return test


for kind in sys.argv[3:] or [*KINDS, REAL_TIME]:
    if kind == REAL_TIME:
        for each in KINDS:
            setattr(Guard, "test_real_time_" + each.replace("-", "_"), check_real_time(each))
    else:
        setattr(Guard, "test_" + kind.replace("-", "_"), check(kind))

if __name__ == "__main__":
    raise_file_limit()
    unittest.main(argv=sys.argv[:1], verbosity=2)
