# SPDX-License-Identifier: Apache-2.0
"""One broker under test: starts it on a socket or port of its own, measures its CPU and memory, stops it.

CPU comes from the process clock (every thread, user and system, in nanoseconds, also of threads that have
ended). Memory comes from /proc/PID/status and /proc/PID/smaps_rollup, in KiB.
"""

import os
import resource
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time


class Failed(Exception):
    """A measurement that did not come to its end. Says in one line why."""


class Side:
    """How to start one of the two: its label, its command (a string or a path) and further arguments."""

    def __init__(self, label, command, args=""):
        self.label = label
        self.argv = shlex.split(command) + shlex.split(args)
        done = subprocess.run(self.argv + ["--help"], capture_output=True, text=True, timeout=10)
        if done.returncode != 0:
            raise SystemExit(f"compare: {command} --help fails with status {done.returncode}")
        self.knows_busy_poll = "--busy-poll" in done.stdout


def raise_file_limit():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def may_lock_memory():
    """As RealTime=yes wants it."""
    return subprocess.run([sys.executable, "-c", "import ctypes, sys; sys.exit(ctypes.CDLL(None).mlockall(3))"],
                          capture_output=True).returncode == 0


def pin_to(cpu):
    """What a child does before its program starts: take its CPU, if it has one, and its open files."""

    def prepare():
        raise_file_limit()
        if cpu is not None:
            os.sched_setaffinity(0, {cpu})

    return prepare


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Broker:
    """A running broker, as a context: `with Broker(side, args, cpu) as broker`. Its address is a path, or host:port."""

    def __init__(self, side, args=(), cpu=None, tcp=False):
        self.side = side
        self.dir = tempfile.mkdtemp(prefix="busrt-bench-")
        self.socket = f"127.0.0.1:{free_port()}" if tcp else os.path.join(self.dir, "bus.sock")
        self.log_path = os.path.join(self.dir, "log")
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                self.argv(list(args)),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=pin_to(cpu))
        self.pid = self.process.pid

    def argv(self, args):
        return self.side.argv + ["-B", self.socket] + args

    def __enter__(self):
        try:
            self.wait_until_ready(10)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *error):
        self.stop()

    def wait_until_ready(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise Failed(f"the broker ended at once: {self.last_line()}")
            if self.answers():
                return
            time.sleep(0.002)
        raise Failed(f"the broker was not there after {seconds} s")

    def answers(self):
        host, _, port = self.socket.rpartition(":")
        with socket.socket(socket.AF_INET if host else socket.AF_UNIX, socket.SOCK_STREAM) as s:
            s.settimeout(1)
            try:
                s.connect((host, int(port)) if host else self.socket)
                return s.recv(3) == b"\xeb\x01\x00"
            except OSError:
                return False

    def last_line(self):
        with open(self.log_path, "rb") as f:
            lines = f.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "(no output)"

    def cpu_ns(self):
        # The clock id of a process, as clock_getcpuclockid() computes it.
        return time.clock_gettime_ns((~self.pid << 3) | 2)

    def memory(self):
        """{'rss', 'hwm', 'private_dirty'} in KiB."""
        found = {}
        for name, keys in (("status", {"VmRSS": "rss", "VmHWM": "hwm"}),
                           ("smaps_rollup", {"Private_Dirty": "private_dirty"})):
            with open(f"/proc/{self.pid}/{name}") as f:
                for line in f:
                    key, _, rest = line.partition(":")
                    if key in keys:
                        found[keys[key]] = int(rest.split()[0])
        return found

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)
