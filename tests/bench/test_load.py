#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""busrt-load must notice a broker that does wrong. A small broker here serves one client that sends to itself
and commits one fault at frame 20; an honest run passes, every fault ends the client with its reason. Another one
serves subscribers with many masks, which it matches by itself, and does wrong with one publication.

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

LARGE = ["--payload", "1000000", "--batch", "1", "--window", "8"]

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
    "honest-polled": (["--poll", "--stage", "send+recv.ack"], None),
    "honest-large": (LARGE, None),
    "large lose": (LARGE, "frame 21 of sender 0 came in place of 20"),
    "large swap": (LARGE, "frame 21 of sender 0 came in place of 20"),
    "large rename": (LARGE, "kind, sender or topic is wrong"),
    "large cut": (LARGE, "that nobody sent"),
}

# What is done to a publication for one subscriber. The next frame is on another topic than the one that is due.
MASK_RECEIVERS = 100
MASK_FAULT_AT = 200
MASK_FAULTS = {
    "none": None,
    "lose": "topic is wrong",
    "double": "topic is wrong",
    "retopic": "topic is wrong",
    "stray": "topic is wrong",
}


class Server(threading.Thread):
    """One connection that was accepted: takes frames apart."""

    def __init__(self, listener):
        super().__init__(daemon=True)
        self.listener = listener

    def take(self, n):
        data = bytearray()
        while len(data) < n:
            part = self.peer.recv(n - len(data))
            if not part:
                raise EOFError
            data += part
        return bytes(data)

    def greet(self):
        self.peer, _ = self.listener.accept()
        self.peer.sendall(b"\xeb\x01\x00")
        self.take(3)
        self.peer.sendall(b"\x01")
        self.client = self.take(struct.unpack("<H", self.take(2))[0])
        self.peer.sendall(b"\x01")


class FaultyBroker(Server):
    """Echoes the messages of one connection, but for the fault."""

    def __init__(self, listener, fault):
        super().__init__(listener)
        self.fault, self.held, self.count = fault, None, 0

    def run(self):
        try:
            self.greet()
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


def matches(mask, topic):
    masks, topics = mask.split(b"/"), topic.split(b"/")
    if masks[-1] == b"#" and len(topics) >= len(masks):
        masks, topics = masks[:-1], topics[:len(masks) - 1]
    return len(masks) == len(topics) and all(a in (b, b"+") for a, b in zip(masks, topics))


class MaskBroker(Server):
    """Accepts all connections, and serves publications of the first to those that subscribed, but for the fault."""

    def __init__(self, listener, fault):
        super().__init__(listener)
        self.fault, self.count, self.subscribers = fault, 0, []

    def run(self):
        try:
            self.greet()
            first, name = self.peer, self.client
            for _ in range(MASK_RECEIVERS):
                self.greet()
                self.subscribers.append((self.peer, []))
            for self.peer, masks in self.subscribers:
                op_id, _, size = struct.unpack("<IBI", self.take(9))
                masks += self.take(size).split(b"\0")
                self.peer.sendall(b"\xfe" + struct.pack("<IB", op_id, 1))
            self.peer = first
            while True:
                _, _, size = struct.unpack("<IBI", self.take(9))
                self.publish(name, *self.take(size).split(b"\0", 1))
        except (EOFError, OSError):
            pass
        for peer, _ in self.subscribers:
            peer.close()

    def publish(self, name, topic, payload):
        found = [peer for peer, masks in self.subscribers if any(matches(mask, topic) for mask in masks)]
        self.count += 1
        if self.count > MASK_FAULT_AT and found and self.fault in ("lose", "double", "retopic", "stray"):
            if self.fault == "lose":
                found.pop()
            elif self.fault == "double":
                found.append(found[-1])
            elif self.fault == "stray":
                found.append(next(peer for peer, _ in self.subscribers if peer not in found))
            else:
                topic = topic[:-1] + bytes([topic[-1] ^ 1])
            self.fault = None
        body = name + b"\0" + topic + b"\0" + payload
        for peer in found:
            peer.sendall(b"\x01" + struct.pack("<IB", len(body), 0) + body)


def run_load(program, broker, fault, args):
    with tempfile.TemporaryDirectory(prefix="busrt-bench-") as directory:
        path = os.path.join(directory, "bus.sock")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(path)
            listener.listen(MASK_RECEIVERS + 1)
            broker(listener, fault).start()
            return subprocess.run([program, "throughput", path, "--clients", "1", "--warmup", "0", "--seconds", "60", *args],
                                  stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)


def verdict(done, expected):
    """None if busrt-load did what it must, else what was wrong."""
    if expected is None:
        return None if done.returncode == 0 else f"status {done.returncode}: {done.stderr}"
    if done.returncode == 0:
        return "the client noticed nothing"
    return None if expected in done.stderr else f"wrong reason: {done.stderr}"


def try_fault(program, fault):
    args, expected = FAULTS[fault]
    return verdict(run_load(program, FaultyBroker, fault.split()[-1],
                            ["--count", "40", "--batch", "8", "--window", "64", *args]), expected)


def try_masks(program, fault):
    return verdict(run_load(program, MaskBroker, fault,
                            ["--stage", "masks", "--receivers", str(MASK_RECEIVERS), "--count", "500", "--window", "16384",
                             "--batch", "16"]), MASK_FAULTS[fault])


def main():
    wrong = 0
    for kind, run, faults in ("", try_fault, FAULTS), ("masks: ", try_masks, MASK_FAULTS):
        for fault in faults:
            error = run(sys.argv[1], fault)
            wrong += error is not None
            print(f"{'not ok' if error else 'ok'} - {kind}{fault}" + (f": {error.strip()}" if error else ""), flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
