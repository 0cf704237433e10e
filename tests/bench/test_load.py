#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""busrt-load must notice a broker that does wrong. A small broker here serves one client that sends to itself
and commits one fault at frame 20; an honest run passes, every fault ends the client with its reason.

Usage: test_load.py BUSRT_LOAD
"""

import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading

FAULT_AT = 20

# fault: (arguments, what busrt-load must say; None: it must pass)
FAULTS = {
    "none": ([], None),
    "lose": ([], "frame 21 of sender 0 came in place of 20"),
    "double": ([], "frame 20 of sender 0 came in place of 21"),
    "swap": ([], "frame 21 of sender 0 came in place of 20"),
    "rename": ([], "kind, sender or topic is wrong"),
    "cut": ([], "that nobody sent"),
    "close": ([], "closed the connection"),
    "honest-acks": (["--stage", "send+recv.ack", "--depth", "4"], None),
    "ack-code": (["--stage", "send+recv.ack"], "acknowledged with code 0x77"),
    "ack-twice": (["--stage", "send+recv.ack"], "acknowledgement of 20, not of"),
    "ack-unasked": ([], "acknowledgement of 0, not of"),
}


class FaultyBroker(threading.Thread):
    """Serves one connection: echoes its messages, but for the fault."""

    def __init__(self, path, fault):
        super().__init__(daemon=True)
        self.fault, self.held, self.count = fault, None, 0
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(path)
        self.listener.listen(1)

    def take(self, n):
        data = b""
        while len(data) < n:
            part = self.peer.recv(n - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def run(self):
        try:
            self.peer, _ = self.listener.accept()
            self.peer.sendall(b"\xeb\x01\x00")
            self.take(3)
            self.peer.sendall(b"\x01")
            self.client = self.take(struct.unpack("<H", self.take(2))[0])
            self.peer.sendall(b"\x01")
            while True:
                op_id, flags, size = struct.unpack("<IBI", self.take(9))
                self.peer.sendall(self.answer(op_id, flags, self.take(size)))
        except (EOFError, OSError):
            pass
        self.peer.close()

    def answer(self, op_id, flags, body):
        target, _, payload = body.partition(b"\0")
        name = self.client
        wrong = self.count == FAULT_AT and self.fault
        if flags & 0x3F == 0x12 and target == name:
            self.count += 1
        if wrong == "rename":
            name = name[:-1] + b"9"
        if wrong == "cut":
            payload = payload[:50]
        if wrong == "close":
            self.peer.shutdown(socket.SHUT_WR)
            while True:
                self.take(1)
        frame = b"\x12" + struct.pack("<IB", len(name) + 1 + len(payload), 0) + name + b"\0" + payload
        ack = b"\xfe" + struct.pack("<IB", op_id, 0x77 if wrong == "ack-code" else 1)
        out = frame if target == name or wrong else b""
        out = {"lose": b"", "double": frame * 2, "swap": b""}.get(wrong, out)
        if self.held:
            out, self.held = out + self.held, None
        if wrong == "swap":
            self.held = frame
        if flags & 0x40 or wrong == "ack-unasked":
            out += ack * (2 if wrong == "ack-twice" else 1)
        return out


def try_fault(program, fault):
    """None if busrt-load did what it must, else what was wrong."""
    args, expected = FAULTS[fault]
    with tempfile.TemporaryDirectory(prefix="busrt-bench-") as directory:
        path = os.path.join(directory, "bus.sock")
        FaultyBroker(path, fault).start()
        done = subprocess.run([program, "throughput", path, "--clients", "1", "--count", "40", "--warmup", "0",
                               "--batch", "8", "--window", "64", "--seconds", "60", *args],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    if expected is None:
        return None if done.returncode == 0 else f"status {done.returncode}: {done.stderr}"
    if done.returncode == 0:
        return "the client noticed nothing"
    return None if expected in done.stderr else f"wrong reason: {done.stderr}"


def main():
    wrong = 0
    for fault in FAULTS:
        error = try_fault(sys.argv[1], fault)
        wrong += error is not None
        print(f"{'not ok' if error else 'ok'} - {fault}" + (f": {error.strip()}" if error else ""), flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
