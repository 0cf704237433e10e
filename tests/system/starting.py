# SPDX-License-Identifier: Apache-2.0
"""Sockets start the service; it stops in order, and its sockets outlive it."""
import os

from clients import (PORT, SERVICE, SOCKET, check, exchange, f, is_in_state, peer, stopped_afterwards)
from little_system import wait_until

PACKAGED_TEST = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "debian", "tests", "bus")


def packaged_test(system):
    """debian/tests/bus: a member of the group comes in by busrtctl, a stranger does not."""
    with stopped_afterwards(system):
        with open(PACKAGED_TEST, encoding="utf-8") as file:
            system.run("sh", "-c", file.read())


def activation(system):
    """A client that connects to a socket of systemd starts the service, by UNIX and by TCP alike."""
    for connect in (lambda: system.connect_unix(SOCKET), lambda: system.connect_tcp(PORT)):
        with stopped_afterwards(system):
            check(is_in_state(system, "inactive"), "the service runs before anyone wants it")
            with peer(connect(), b"early"):
                wait_until(lambda: is_in_state(system, "active"), "the service is active: it told systemd READY=1")
                check(system.show(SERVICE, "StatusText"), "the service tells systemd no status")


def both_sockets(system):
    """A UNIX and a TCP client of inherited sockets talk to each other, and the service has no network itself."""
    with stopped_afterwards(system):
        with peer(system.connect_unix(SOCKET), b"unix") as a, peer(system.connect_tcp(PORT), b"tcp") as b:
            exchange(a, b"unix", b, b"tcp")
            networks = {os.readlink(f"/proc/{pid}/ns/net") for pid in (system.outer_pid(SERVICE), system.leader)}
            check(len(networks) == 2, "the service shares the network of the system")


def announcement_at_stop(system):
    """`systemctl stop` announces the shutdown to every client before it closes, and the service ends in order."""
    with stopped_afterwards(system):
        with peer(system.connect_unix(SOCKET), b"a") as a, peer(system.connect_tcp(PORT), b"b") as b:
            exchange(a, b"a", b, b"b")
            system.run("systemctl", "stop", "--no-block", SERVICE)
            for client in (a, b):
                kind, sender, topic, payload, _ = f.split(client.next_frame())
                check((kind, sender, topic) == (f.PUBLISH, b".broker", b".broker/warn"), "no warning came")
                check(b"\xa1s\xa8shutdown" in payload, f"the warning says {payload!r}")
                check(client.next_frame() is None, "something came after the warning")
        wait_until(lambda: is_in_state(system, "inactive"), "the service has ended")
        check(system.show(SERVICE, "Result") == "success", "the service ended with a failure")
        check(system.show(SERVICE, "ExecMainStatus") == "0", "the service's exit status is not 0")


def sockets_outlive_the_service(system):
    """Stopping leaves systemd's socket files alone: the next client starts the service again."""
    with stopped_afterwards(system):
        with peer(system.connect_unix(SOCKET), b"first"):
            pass
        system.run("systemctl", "stop", SERVICE)
        check(os.path.exists(system.path(SOCKET)), "the socket file is gone")
        with peer(system.connect_unix(SOCKET), b"second"):
            pass


def tcp_enabled_later(system):
    """A TCP socket that is enabled while the service runs is opened by the service's restart."""
    system.run("systemctl", "disable", "--now", "busrtd-tcp.socket")
    with stopped_afterwards(system):
        with peer(system.connect_unix(SOCKET), b"first"):
            system.run("systemctl", "enable", "busrtd-tcp.socket")
            system.run("systemctl", "restart", SERVICE)
        with peer(system.connect_unix(SOCKET), b"unix") as a, peer(system.connect_tcp(PORT), b"tcp") as b:
            exchange(a, b"unix", b, b"tcp")


def fifo(system):
    """What root writes to the FIFO starts the service, or reaches the client that runs."""
    with stopped_afterwards(system):
        system.run("systemctl", "start", "busrtd-fifo.socket")
        mode = os.stat(system.path("/run/busrt/bus.fifo")).st_mode & 0o777
        check(mode == 0o600, f"the FIFO's mode is {mode:o}")
        with peer(system.connect_unix(SOCKET), b"listener") as a:
            system.run("sh", "-c", "echo listener hello >/run/busrt/bus.fifo")
            kind, _, _, payload, _ = f.split(a.next_frame())
            check((kind, payload) == (f.MESSAGE, b"hello"), f"the FIFO's message is {payload!r}")
        system.run("systemctl", "stop", "busrtd-fifo.socket")


CASES = (packaged_test, activation, both_sockets, announcement_at_stop, sockets_outlive_the_service, tcp_enabled_later, fifo)
