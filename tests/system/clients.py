# SPDX-License-Identifier: Apache-2.0
"""Raw clients of the booted system, in bytes, and what every case needs of its service."""
import contextlib
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "differential"))

import frames as f  # the bytes of the protocol
from little_system import PACKAGES, Failure

SERVICE = "busrtd.service"
SOCKETS = ("busrtd.socket", "busrtd-tcp.socket")
FIFO_SOCKET = "busrtd-fifo.socket"
SOCKET = "/run/busrt/bus.sock"
PORT = 7777


def check(condition, text):
    if not condition:
        raise Failure(text)


class Peer:
    """A registered raw client."""

    def __init__(self, connection, name):
        self.connection, self.buffer, self.next_id = connection, b"", 1
        greeting = self.take(3)
        check(greeting == f.GREETING, f"the greeting is {greeting.hex()}")
        connection.sendall(f.GREETING)
        check(self.take(1) == b"\x01", "the version was refused")
        connection.sendall(f.named(name))
        check(self.take(1) == b"\x01", f"the name {name} was refused")

    def _more(self):
        data = self.connection.recv(1 << 16)
        self.buffer += data
        return data

    def take(self, count):
        while len(self.buffer) < count:
            check(self._more(), "the broker has closed the connection")
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def next_frame(self):
        """The next frame that is no ping; None at the end."""
        while True:
            size = f.frame_size(self.buffer[:6])
            if size is not None and len(self.buffer) >= size:
                item = self.take(size)
                if item != bytes(6):
                    return item
            elif not self._more():
                return None

    def expect(self, wanted):
        got = self.next_frame()
        check(got == wanted, f"wanted {f.describe(wanted)}, got {f.describe(got)}")

    def send(self, *messages):
        """Sends (target, payload) pairs, acknowledgement wanted; returns their op ids."""
        first = self.next_id
        self.next_id += len(messages)
        self.connection.sendall(b"".join(f.frame(f.MESSAGE, f.to(target, payload), f.PROCESSED, first + i)
                                         for i, (target, payload) in enumerate(messages)))
        return range(first, self.next_id)

    def close(self):
        self.connection.close()


@contextlib.contextmanager
def peer(connection, name):
    client = Peer(connection, name)
    try:
        yield client
    finally:
        client.close()


def exchange(a, name_a, b, name_b):
    """One message each way, each acknowledged and delivered."""
    for sender, receiver, source, target in ((a, b, name_a, name_b), (b, a, name_b, name_a)):
        op_id, = sender.send((target, b"to " + target))
        sender.expect(f.got_ack(op_id))
        receiver.expect(f.got_message(source, b"to " + target))


def offend(connection, name):
    """A client that breaks the protocol by an operation that does not exist, and loses its connection for it."""
    with peer(connection, name) as client:
        client.connection.sendall(f.frame(0x3F, b""))
        check(client.next_frame() is None, "an unknown operation was answered")


def ask_for(connection, name):
    """A client that is refused this name."""
    try:
        connection.sendall(f.GREETING + f.named(name))
        while connection.recv(100):
            pass
    finally:
        connection.close()


def install(system):
    system.run("sh", "-c", f"dpkg --install {PACKAGES}/*.deb")


@contextlib.contextmanager
def stopped_afterwards(system):
    try:
        yield
    finally:
        system.run("systemctl", "stop", SERVICE)
        system.run("systemctl", "reset-failed")  # so many starts in so short a time are not a fault here
        system.run("systemctl", "start", *SOCKETS)


def is_in_state(system, state, unit=SERVICE):
    return system.show(unit, "ActiveState") == state


def records(system, *match):
    """The journal's records of our service, oldest first."""
    system.run("journalctl", "--sync")
    text = system.run("journalctl", "--no-pager", "--all", "-o", "json", "-u", SERVICE, *match).stdout
    return [json.loads(line) for line in text.splitlines()]
