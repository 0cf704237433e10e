# SPDX-License-Identifier: Apache-2.0
"""What is tried on the booted system. A case is a function whose first line of documentation says what holds; it
raises when it does not. The first installs the packages, the last purges them; each between starts and ends with the
service stopped and its sockets listening."""
import contextlib
import json
import os
import signal
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "differential"))

import frames as f  # the bytes of the protocol
from little_system import PACKAGES, Failure, wait_until

SERVICE = "busrtd.service"
SOCKETS = ("busrtd.socket", "busrtd-tcp.socket")
SOCKET = "/run/busrt/bus.sock"
PORT = 7777
JOURNALD = "systemd-journald.service"
PACKAGED_TEST = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "debian", "tests", "bus")

TRAFFIC = 20000  # messages while the journal stands still
BATCH = 100
OFFENDERS = 400  # each provokes a record; a journal that nobody reads takes 11


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


def exchange(a, name_a, b, name_b):
    """One message each way, each acknowledged and delivered."""
    for sender, receiver, source, target in ((a, b, name_a, name_b), (b, a, name_b, name_a)):
        op_id, = sender.send((target, b"to " + target))
        sender.expect(f.got_ack(op_id))
        receiver.expect(f.got_message(source, b"to " + target))


def offend(system, name):
    """A client that breaks the protocol by an operation that does not exist, and loses its connection for it."""
    with peer(system.connect_unix(SOCKET), name) as client:
        client.connection.sendall(f.frame(0x3F, b""))
        check(client.next_frame() is None, "an unknown operation was answered")


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


def journal_at_start(system):
    """The journal has a line for each listener and one with the limits, under our name and with a MESSAGE_ID."""
    with stopped_afterwards(system):
        with peer(system.connect_unix(SOCKET), b"reader"):
            pid = system.show(SERVICE, "MainPID")
            found = wait_until(lambda: records(system, f"_PID={pid}"), "a record of the service")
    lines = [record["MESSAGE"] for record in found]
    for wanted in (SOCKET, f"127.0.0.1:{PORT}", "8192"):
        check(any(wanted in line for line in lines), f"no record has {wanted}: {lines}")
    for record in found:
        check(record["SYSLOG_IDENTIFIER"] == "busrtd", f"a record of {record['SYSLOG_IDENTIFIER']}")
        check(len(record.get("MESSAGE_ID", "")) == 32, f"no MESSAGE_ID: {record['MESSAGE']}")


def offender_in_journal(system):
    """A client that breaks the protocol costs one record, with its name, uid and the reason as fields."""
    with stopped_afterwards(system):
        offend(system, b"rude.client")
        record = wait_until(lambda: records(system, "BUSRT_CLIENT=rude.client"), "the record of the offence")[0]
        check(record["BUSRT_UID"] == "0", f"the uid is {record['BUSRT_UID']}")
        check(record["BUSRT_REASON"], "no reason is given")


def count_traffic(system, sender, receiver):
    """TRAFFIC messages, every one acknowledged and delivered in order, while offenders provoke records."""
    for first in range(0, TRAFFIC, BATCH):
        for i in range(OFFENDERS * BATCH // TRAFFIC):
            offend(system, b"offender.%d.%d" % (first, i))
        numbers = [struct.pack("<I", n) for n in range(first, first + BATCH)]
        for op_id in sender.send(*[("receiver", number) for number in numbers]):
            sender.expect(f.got_ack(op_id))
        for number in numbers:
            receiver.expect(f.got_message("sender", number))


def is_stopped(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return file.read().rsplit(")", 1)[1].split()[0] == "T"


def journal_stands_still(system):
    """While journald is stopped no message is lost or late for it; when it goes on, logging does too."""
    with stopped_afterwards(system):
        with peer(system.connect_unix(SOCKET), b"sender") as a, peer(system.connect_tcp(PORT), b"receiver") as b:
            exchange(a, b"sender", b, b"receiver")
            broker = system.show(SERVICE, "MainPID")
            journald = system.outer_pid(JOURNALD)
            os.kill(journald, signal.SIGSTOP)
            try:
                wait_until(lambda: is_stopped(journald), "journald stopped")
                count_traffic(system, a, b)
                check(is_stopped(journald), "journald went on meanwhile")
            finally:
                os.kill(journald, signal.SIGCONT)
            exchange(a, b"sender", b, b"receiver")
            check(system.show(SERVICE, "MainPID") == broker, "the broker was restarted")

            def new_record():
                offend(system, b"after.the.stop")
                return records(system, "BUSRT_CLIENT=after.the.stop")
            wait_until(new_record, "a record of what happened after journald went on")


def enabled_by_hand(system):
    """Installing the packages starts nothing and opens nothing; `systemctl enable --now` opens the sockets."""
    install(system)
    for unit in (SERVICE, *SOCKETS, "busrtd-fifo.socket"):
        check(is_in_state(system, "inactive", unit), f"{unit} is active from the start")
    for unit in (*SOCKETS, "busrtd-fifo.socket"):
        found = system.run("systemctl", "is-enabled", unit, check=False).stdout.strip()
        check(found == "disabled", f"{unit} is {found}")
    system.run("systemctl", "enable", "--now", *SOCKETS)
    check(is_in_state(system, "inactive"), "the service runs before anyone wants it")
    mode = os.stat(system.path(SOCKET)).st_mode & 0o777
    check(mode == 0o660, f"the socket's mode is {mode:o}")
    group = system.run("stat", "-c", "%U:%G", SOCKET).stdout.strip()
    check(group == "root:busrt", f"the socket belongs to {group}")


def units_are_clean(system):
    """`systemd-analyze verify` has nothing to say of any unit, and the service's exposure is 0.5 at the most."""
    folder = "/usr/lib/systemd"
    for options, units in (((), ("busrtd.service", "busrtd.socket", "busrtd-tcp.socket", "busrtd-fifo.socket",
                                 "busrtd@x.service", "busrtd@x.socket")),
                           (("--user",), (f"{folder}/user/busrtd.service", f"{folder}/user/busrtd.socket"))):
        done = system.run("env", "XDG_RUNTIME_DIR=/run", "systemd-analyze", "verify", "--man=no", *options, *units, check=False)
        check((done.returncode, done.stdout + done.stderr) == (0, ""), f"verify: {done.stdout}{done.stderr}")
    done = system.run("systemd-analyze", "security", "--threshold=5", "--no-pager", SERVICE, check=False)
    check(done.returncode == 0, f"too exposed: {done.stdout[-2000:]}")


def packaged_test(system):
    """debian/tests/bus: a member of the group comes in by busrtctl, a stranger does not."""
    with stopped_afterwards(system):
        with open(PACKAGED_TEST, encoding="utf-8") as file:
            system.run("sh", "-c", file.read())


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


def two_instances(system):
    """Two more buses run beside the first, each a process with its own clients; stopping one leaves the other."""
    names = ("one", "two")
    units = [f"busrtd@{name}.socket" for name in names]
    system.run("systemctl", "enable", "--now", *units)
    with peer(system.connect_unix("/run/busrt/one/bus.sock"), b"same.name") as one, \
         peer(system.connect_unix("/run/busrt/two/bus.sock"), b"same.name") as two:
        wait_until(lambda: all(is_in_state(system, "active", f"busrtd@{name}.service") for name in names), "both run")
        check(is_in_state(system, "inactive"), "the first bus was started, too")
        pids = {system.show(f"busrtd@{name}.service", "MainPID") for name in names}
        check(len(pids) == 2, "both are one process")
        system.run("systemctl", "stop", units[0], "busrtd@one.service")
        while one.next_frame() is not None:
            pass
        op_id, = two.send(("same.name", b"still here"))
        check(two.next_frame() is not None, "the other bus does not answer")


def user_bus(system):
    """A user's manager has a bus of the user's own, at the path where the tool looks for it."""
    system.run("useradd", "--create-home", "--home-dir", "/var/lib/alice", "alice")
    system.run("loginctl", "enable-linger", "alice")
    uid = system.run("id", "-u", "alice").stdout.strip()
    wait_until(lambda: os.path.exists(system.path(f"/run/user/{uid}/systemd/private")), "the user's manager runs")
    as_alice = ("setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "env",
                f"XDG_RUNTIME_DIR=/run/user/{uid}", "HOME=/var/lib/alice")
    system.run(*as_alice, "systemctl", "--user", "enable", "--now", "busrtd.socket")
    said = system.run(*as_alice, "busrtctl", "rpc", "call", ".broker", "test").stdout
    check("true" in said, f"the user's broker says {said!r}")
    state = system.run(*as_alice, "systemctl", "--user", "is-active", SERVICE, check=False).stdout.strip()
    check(state == "active", f"the user's service is {state}")
    check(is_in_state(system, "inactive"), "the system's bus was started, too")
    path = system.path(f"/run/user/{uid}/busrt")
    modes = [os.stat(path).st_mode & 0o777, os.stat(path + "/bus.sock").st_mode & 0o777]
    check(modes == [0o700, 0o600], f"the modes are {modes}")
    system.run("loginctl", "disable-linger", "alice")
    system.run(*as_alice, "systemctl", "--user", "disable", "--now", "busrtd.socket", SERVICE, check=False)


def upgrade(system):
    """Installing the packages again restarts what runs, and leaves enabled what was."""
    with stopped_afterwards(system):
        with peer(system.connect_unix(SOCKET), b"before") as client:
            pid = system.show(SERVICE, "MainPID")
            install(system)
            while client.next_frame() is not None:
                pass
        with peer(system.connect_unix(SOCKET), b"after"), peer(system.connect_tcp(PORT), b"tcp"):
            wait_until(lambda: system.show(SERVICE, "MainPID") not in ("0", pid), "a new process")
    for unit in SOCKETS:
        check(system.run("systemctl", "is-enabled", unit).stdout.strip() == "enabled", f"{unit} is no longer enabled")


def purge(system):
    """Purging the packages while the buses run ends them, and leaves nothing but the system's user and its groups."""
    with peer(system.connect_unix(SOCKET), b"a"), peer(system.connect_unix("/run/busrt/two/bus.sock"), b"b"):
        system.run("dpkg", "--purge", "busrtd", "busrtctl", "libbusrt0", "libbusrt-dev")
    left = system.run("systemctl", "list-units", "--plain", "--no-legend", "--state=active", "busrtd*").stdout
    check(not left, f"still active: {left}")
    left = system.run("find", "/etc", "/run", "/usr", "/var", "-xdev", "(", "-iname", "*busrt*", ")", "-not", "-path",
                      PACKAGES + "*").stdout.split()
    check(not left, f"left behind: {left}")
    for base, wanted in (("passwd", "busrtd"), ("group", "busrt")):
        check(system.run("getent", base, wanted).stdout, f"{wanted} is gone from {base}")


CASES = (enabled_by_hand, units_are_clean, packaged_test, activation, both_sockets, announcement_at_stop,
         sockets_outlive_the_service, journal_at_start, offender_in_journal, journal_stands_still, tcp_enabled_later,
         fifo, two_instances, user_bus, upgrade, purge)
