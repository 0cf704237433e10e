# SPDX-License-Identifier: Apache-2.0
"""The programs that put load on a broker: busrt-load, and the benchmark of the reference's own tool."""

import json
import re
import selectors
import subprocess
import time

from brokers import Failed, pin_to

STARTED = re.compile(r"stage started: (\S+)")
COMPLETED = re.compile(r"stage completed: (\S+) \(([\d_]+) iters, ([\d.]+) secs\)")
CLI_STAGES = ("rpc.call", "rpc.call+handle", "rpc.call0", "send.qos.no", "send.qos.processed",
              "send+recv.qos.no", "send+recv.qos.processed")


def load_argv(program, broker, mode, args):
    return [program, mode, broker.socket, "--broker-pid", str(broker.pid)] + [str(a) for a in args]


def run_load(program, broker, mode, args, cpu=None, timeout=120):
    """Runs busrt-load to its end and returns its last result."""
    try:
        done = subprocess.run(load_argv(program, broker, mode, args), stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=timeout,
                              preexec_fn=pin_to(cpu))
    except subprocess.TimeoutExpired:
        raise Failed(f"busrt-load {mode} was not ready after {timeout} s") from None
    if done.returncode != 0:
        raise Failed(done.stderr.strip() or f"busrt-load: status {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def run_idle(program, broker, clients, cpu=None, timeout=60):
    """Opens idle clients. Returns the broker's memory before, once all are registered, and once each has
    been pinged, and the last result of busrt-load."""
    before = broker.memory()
    process = subprocess.Popen(
        load_argv(program, broker, "idle", ["--clients", clients, "--seconds", timeout]),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=pin_to(cpu))
    memory = {"before": before}
    try:
        for line in process.stdout:
            result = json.loads(line)
            memory[result["event"]] = broker.memory()
            if result["event"] == "pinged":
                process.stdin.close()
        if process.wait(timeout) != 0 or "pinged" not in memory:
            raise Failed("idle clients were disconnected or never pinged")
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stdout.close()
    return memory, result


class CliRun:
    """`busrt SOCKET benchmark`: the broker's CPU is read as the lines about its stages appear."""

    def __init__(self, broker):
        self.broker = broker
        self.stages = {}
        self.running = None
        self.cpu = 0

    def line(self, text):
        started, completed = STARTED.search(text), COMPLETED.search(text)
        if started:
            self.running, self.cpu = started.group(1), self.broker.cpu_ns()
        elif completed:
            iters, seconds = int(completed.group(2).replace("_", "")), float(completed.group(3))
            self.stages[completed.group(1)] = {
                "rate": iters / max(seconds, 0.0005),
                "cpu": (self.broker.cpu_ns() - self.cpu) / iters,
            }
            self.running = None


def read_lines(process, silence):
    """Lines of a program; ends it when it has said nothing for that many seconds."""
    selector = selectors.DefaultSelector()
    selector.register(process.stdout, selectors.EVENT_READ)
    rest, end = b"", time.monotonic() + silence
    while selector.select(max(0, end - time.monotonic())):
        data = process.stdout.read1(65536)
        if not data:
            return
        *lines, rest = (rest + data).split(b"\n")
        end = time.monotonic() + silence
        for line in lines:
            yield line.decode(errors="replace")
    process.kill()
    raise Failed(f"busrt benchmark said nothing for {silence} s")


def run_cli(program, broker, options=(), iters=None, silence=120):
    """Runs the reference's benchmark; fails unless all seven stages complete. {stage: {rate, cpu}}"""
    argv = [program, *options, broker.socket, "benchmark", "-w", "8"]
    argv += ["-i", str(iters)] if iters else []
    run = CliRun(broker)
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, preexec_fn=pin_to(None))
    try:
        for line in read_lines(process, silence):
            run.line(line)
        status = process.wait(silence)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stdout.close()
    if status != 0 or set(run.stages) != set(CLI_STAGES):
        raise Failed(f"busrt benchmark ended with status {status} in {run.running or 'no stage'}, "
                     f"{len(run.stages)} of {len(CLI_STAGES)} stages completed")
    return run.stages
