#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""nats-load must notice a server that does wrong. A small one here serves one client that publishes to itself and
commits one fault at message 20; an honest run passes, every fault ends the client with its reason.

Usage: test_nats.py NATS_LOAD
"""
import socket
import subprocess
import sys
import threading

FAULT_AT = 20

# fault: what nats-load must say; None: it must pass
FAULTS = {
    "none": None,
    "ping": None,
    "lose": "message 21 came in place of 20",
    "double": "message 20 came in place of 21",
    "swap": "message 21 came in place of 20",
    "future": "message 9999 came in place of 20",
    "rename": "not what was expected: MSG bench.for.00009 1 100",
    "cut": "not what was expected: MSG bench.for.00000 1 50",
    "end": "message 20 does not end where it should",
    "complain": "not what was expected: -ERR 'Slow Consumer'",
    "pong": "an answer, though nothing was asked",
    "close": "closed the connection",
    "greeting": "not a NATS server",
}


class FaultyServer(threading.Thread):
    """Serves one connection: what it publishes comes back, but for the fault. `pongs` counts its answers."""

    def __init__(self, fault):
        super().__init__(daemon=True)
        self.fault, self.count, self.held, self.pongs = fault, 0, b"", 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]

    def run(self):
        peer, _ = self.listener.accept()
        with peer, peer.makefile("rb") as stream:
            self.stream = stream
            try:
                peer.sendall(b"HELLO\r\n" if self.fault == "greeting" else b"INFO {}\r\n")
                while line := stream.readline():
                    answer = self.answer(line)
                    if answer is None:
                        # What nobody reads would make a reset of the end.
                        peer.shutdown(socket.SHUT_WR)
                        stream.read()
                        return
                    peer.sendall(answer)
            except OSError:
                pass

    def answer(self, line):
        word = line.split()[0]
        self.pongs += word == b"PONG"
        if word == b"PING":
            return b"PONG\r\n"
        return self.publication(line.split()[1], self.stream.read(100 + 2)) if word == b"PUB" else b""

    def publication(self, subject, payload):
        wrong = self.fault if self.count == FAULT_AT else None
        self.count += 1
        message = b"MSG %s 1 100\r\n%s" % (subject, payload)
        held, self.held = self.held, b""
        if wrong == "swap":
            self.held = message
        return {
            None: message + held,
            "none": message,
            "ping": b"PING\r\n" + message,
            "lose": b"",
            "double": message * 2,
            "swap": b"",
            "future": message.replace(FAULT_AT.to_bytes(8, "little"), (9999).to_bytes(8, "little")),
            "rename": message.replace(b"00000", b"00009"),
            "cut": b"MSG %s 1 50\r\n%s\r\n" % (subject, payload[:50]),
            "end": message[:-2] + b"..",
            "complain": b"-ERR 'Slow Consumer'\r\n",
            "pong": b"PONG\r\n" + message,
            "close": None,
            "greeting": message,
        }[wrong]


def try_fault(program, fault):
    """None if nats-load did what it must, else what was wrong."""
    server = FaultyServer(fault)
    server.start()
    done = subprocess.run([program, "nats", server.address, "deliver", "--clients", "1", "--count", "40", "--warmup", "0",
                           "--batch", "8", "--window", "64", "--seconds", "60"],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    if FAULTS[fault] is None:
        if done.returncode != 0:
            return f"status {done.returncode}: {done.stderr}"
        server.join(10)
        return None if server.pongs == (fault == "ping") else f"{server.pongs} answers to its ping"
    if done.returncode == 0:
        return "the client noticed nothing"
    return None if FAULTS[fault] in done.stderr else f"wrong reason: {done.stderr}"


def main():
    wrong = 0
    for fault in FAULTS:
        error = try_fault(sys.argv[1], fault)
        wrong += error is not None
        print(f"{'not ok' if error else 'ok'} - {fault}" + (f": {error.strip()}" if error else ""), flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
