# SPDX-License-Identifier: Apache-2.0
"""The service as it is managed over D-Bus: what it shows, what it does, and what it does without a D-Bus."""
import contextlib
import json
import os
import re
import subprocess

from clients import PORT, SERVICE, SOCKET, check, exchange, f, is_in_state, peer, records, stopped_afterwards
from little_system import Failure, entering, wait_until

NAME, PATH, MANAGER, CLIENT = "org.busrt1", "/org/busrt1", "org.busrt1.Manager", "org.busrt1.Client"


def call(system, method, *args, path=PATH, interface=MANAGER, name=NAME, check=True):
    """The values that a method returns."""
    done = system.run("busctl", "--json=short", "call", name, path, interface, method, *args, check=check)
    if not check and done.returncode != 0:
        raise Failure(done.stderr.strip())
    return json.loads(done.stdout)["data"] if done.stdout.strip() else []


def get(system, *properties, path=PATH, interface=MANAGER, name=NAME):
    text = system.run("busctl", "--json=short", "get-property", name, path, interface, *properties).stdout
    values = [json.loads(line)["data"] for line in text.splitlines()]
    return values if len(properties) > 1 else values[0]


def on_the_bus(system, name=NAME):
    return system.run("busctl", "--no-pager", "status", name, check=False).returncode == 0


@contextlib.contextmanager
def served(system):
    """The service runs with two clients, and its name is on D-Bus."""
    with stopped_afterwards(system):
        with peer(system.connect_unix(SOCKET), b"plc.1") as a, peer(system.connect_tcp(PORT), b"plc.2") as b:
            wait_until(lambda: on_the_bus(system), f"{NAME} is on D-Bus")
            yield a, b


def clients_by_name(system):
    return {row[1]: row for row in call(system, "ListClients")[0]}


def properties(system):
    """The manager's and a client's properties say what the bus has done."""
    with served(system) as (a, b):
        exchange(a, b"plc.1", b, b"plc.2")
        n, frames = get(system, "NClients", "FramesIn")
        check(n == 2, f"{n} clients")
        check(frames >= 2, f"{frames} frames in")
        listeners = get(system, "Listeners")
        check(["unix", SOCKET, True] in listeners and ["tcp", f"127.0.0.1:{PORT}", True] in listeners, f"listeners: {listeners}")
        version = system.run("busrtctl", "--version").stdout.split()[-1]
        check(get(system, "Version") == version, "the version is another one")
        path, = call(system, "GetClient", "s", "plc.1")
        name, kind, uid, into = get(system, "Name", "Kind", "User", "FramesIn", path=path, interface=CLIENT)
        check((name, kind, uid, into) == ("plc.1", "local_ipc", 0, 1), f"plc.1 is {(name, kind, uid, into)}")
        check(set(clients_by_name(system)) == {"plc.1", "plc.2"}, "others are listed")


def introspection(system):
    """`busctl introspect` and `busctl tree` show the manager, and each client as an object of its own."""
    with served(system):
        text = system.run("busctl", "--no-pager", "introspect", NAME, PATH).stdout
        for member in ("ListClients", "DisconnectClient", "Reload", "ClientsChanged", "QueueFrames", "UptimeUSec"):
            check(re.search(rf"^\.{member} ", text, re.M), f"{member} is not shown")
        tree = system.run("busctl", "--no-pager", "--list", "tree", NAME).stdout.split()
        paths = [path for path in tree if re.fullmatch(rf"{PATH}/client/_\d+", path)]
        check(len(paths) == 2, f"the tree has {tree}")


@contextlib.contextmanager
def monitored(system):
    """What D-Bus carries from us meanwhile, as a function that waits for a text."""
    monitor = subprocess.Popen([*entering(system.leader), "busctl", "--no-pager", "--json=short", "monitor", NAME],
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    os.set_blocking(monitor.stdout.fileno(), False)
    seen = []

    def see():
        seen.append(monitor.stdout.read() or b"")
        return b"".join(seen).decode(errors="replace")

    try:
        # It reads when it sees a call that is made after it began.
        wait_until(lambda: call(system, "GetConfig") and "GetConfig" in see(), "busctl monitor is listening")
        yield lambda text: wait_until(lambda: text in see(), f"{text} on D-Bus")
    finally:
        monitor.terminate()
        monitor.wait()
        monitor.stdout.close()


def signals(system):
    """A subscriber is told by signals who comes and goes."""
    with served(system), monitored(system) as wait_for:
        subscriber = subprocess.Popen([*entering(system.leader), "busrtctl", "--system", "--json", "monitor"],
                                      stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
        try:
            wait_for("Subscribe")
            with peer(system.connect_unix(SOCKET), b"guest"):
                wait_for("guest")
            wait_for("ClientsChanged")
            while "guest" not in (line := subscriber.stdout.readline()):
                check(line, "busrtctl monitor has ended")
        finally:
            subscriber.terminate()
            subscriber.wait()
            subscriber.stdout.close()


def disconnecting(system):
    """A client that is disconnected over D-Bus is gone, and the journal says by whom."""
    with served(system) as (a, _):
        call(system, "DisconnectClient", "s", "plc.1")
        check(a.next_frame() is None, "plc.1 is still connected")
        wait_until(lambda: "plc.1" not in clients_by_name(system), "plc.1 is no more listed")
        record, = records(system, "BUSRT_ACTION=org.busrt1.disconnect")
        check((record["BUSRT_CLIENT"], record["BUSRT_UID"]) == ("plc.1", "0"), f"the record is {record}")


def bad_arguments(system):
    """Who asks for a client that is not there is told its name."""
    with served(system):
        for method, signature, wanted in (("GetClient", "s", "nobody.7"), ("DisconnectClient", "s", "nobody.7"),
                                          ("ListSubscriptions", "s", "nobody.7"), ("GetClientByID", "t", "123456789")):
            try:
                call(system, method, signature, wanted, check=False)
            except Failure as failure:
                check(wanted in str(failure), f"{method}: {failure}")
            else:
                raise Failure(f"{method} knows {wanted}")


def log_level(system):
    """`systemctl service-log-level` reads and sets what is logged."""
    with served(system):
        check(system.run("systemctl", "service-log-level", SERVICE).stdout.strip() == "info", "the level is not info")
        system.run("systemctl", "service-log-level", SERVICE, "debug")
        with peer(system.connect_unix(SOCKET), b"seen.at.debug"):
            wait_until(lambda: records(system, "BUSRT_CLIENT=seen.at.debug"), "a record of a client that came")
        system.run("systemctl", "service-log-level", SERVICE, "warning")
        check(system.run("systemctl", "service-log-level", SERVICE).stdout.strip() == "warning", "the level was not set")


def without_dbus(system):
    """D-Bus is stopped and started: the bus goes on meanwhile, the name is taken again, and the journal tells of both."""
    with served(system) as (a, b):
        system.run("systemctl", "stop", "dbus.socket", "dbus.service")
        exchange(a, b"plc.1", b, b"plc.2")
        wait_until(lambda: any("no more on D-Bus" in r["MESSAGE"] for r in records(system)), "the record of the loss")
        names = system.run("busrtctl", "list", "--names", "plc.*").stdout.split()  # it is a client itself now
        check(names == ["plc.1", "plc.2"], f"without D-Bus, busrtctl list says {names}")
        system.run("systemctl", "start", "dbus.socket", "dbus.service")
        wait_until(lambda: on_the_bus(system), f"{NAME} is on D-Bus again")
        exchange(a, b"plc.1", b, b"plc.2")
        check(set(clients_by_name(system)) == {"plc.1", "plc.2"}, "a client was lost")
        check(is_in_state(system, "active"), "the service has ended")


def without_dbus_from_the_start(system):
    """A service that finds no D-Bus works all the same, says so once, and takes its name when D-Bus comes."""
    system.run("systemctl", "stop", "dbus.socket", "dbus.service")
    try:
        with stopped_afterwards(system):
            with peer(system.connect_unix(SOCKET), b"a") as a, peer(system.connect_unix(SOCKET), b"b") as b:
                exchange(a, b"a", b, b"b")
                pid = system.show(SERVICE, "MainPID")
                found = wait_until(lambda: [r for r in records(system, f"_PID={pid}") if "is not on D-Bus" in r["MESSAGE"]],
                                   "the record that there is none")
                check(len(found) == 1, f"{len(found)} records")
                system.run("systemctl", "start", "dbus.socket", "dbus.service")
                wait_until(lambda: on_the_bus(system), f"{NAME} is on D-Bus")
                exchange(a, b"a", b, b"b")
    finally:
        system.run("systemctl", "start", "dbus.socket", "dbus.service")


def instances_on_dbus(system):
    """A second bus has a name of its own there, which `busrtctl --instance` finds."""
    name = f"{NAME}.bus_one"
    system.run("systemctl", "start", "busrtd@one.socket")
    with peer(system.connect_unix("/run/busrt/one/bus.sock"), b"of.one"):
        wait_until(lambda: on_the_bus(system, name), f"{name} is on D-Bus")
        check([row[1] for row in call(system, "ListClients", name=name)[0]] == ["of.one"], "other clients are listed")
        listed = system.run("busrtctl", "--instance", "one", "list", "--names").stdout.split()
        check(listed == ["of.one"], f"busrtctl lists {listed}")
        level = system.run("systemctl", "service-log-level", "busrtd@one.service").stdout.strip()
        check(level == "info", f"the level is {level}")
    system.run("systemctl", "stop", "busrtd@one.socket", "busrtd@one.service")


CASES = (properties, introspection, signals, disconnecting, bad_arguments, log_level, instances_on_dbus, without_dbus,
         without_dbus_from_the_start)
