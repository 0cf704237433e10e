# SPDX-License-Identifier: Apache-2.0
"""The configuration, read again while the bus is in use."""
import contextlib
import os
import shutil
import threading

from clients import SERVICE, SOCKET, check, exchange, peer, records
from little_system import wait_until
from managing import get, served

FILE = "/etc/busrt/busrtd.conf"


@contextlib.contextmanager
def configuration(system):
    """A function that writes the configuration; without one again afterwards."""

    def write(text):
        os.makedirs(os.path.dirname(system.path(FILE)), exist_ok=True)
        with open(system.path(FILE), "w", encoding="utf-8") as file:
            file.write(text)

    try:
        yield write
    finally:
        shutil.rmtree(os.path.dirname(system.path(FILE)), ignore_errors=True)


@contextlib.contextmanager
def traffic(a, b):
    """Messages go both ways all the time; a lost or late one fails the case."""
    stop, failed, n = threading.Event(), [], [0]

    def talk():
        try:
            while not stop.is_set():
                exchange(a, b"plc.1", b, b"plc.2")
                n[0] += 1
        except Exception as failure:
            failed.append(failure)

    thread = threading.Thread(target=talk)
    thread.start()
    try:
        yield n
        before = n[0]
        wait_until(lambda: n[0] > before or failed, "traffic afterwards")
    finally:
        stop.set()
        thread.join()
    if failed:
        raise failed[0]


def reload_under_load(system):
    """`systemctl reload` under load: a good file is in force for all, a bad one changes nothing and fails with file, line, reason."""
    with configuration(system) as write, served(system) as (a, b):
        pid = system.show(SERVICE, "MainPID")
        with traffic(a, b) as n:
            write("[Bus]\nQueueFrames=4321\nSlowConsumerPolicy=drop-oldest\n")
            system.run("systemctl", "reload", SERVICE)
            values = get(system, "QueueFrames", "SlowConsumerPolicy")
            check(values == [4321, "drop-oldest"], f"in force: {values}")
            write("[Bus]\nMaxTopicParts=77\nQueueFrames=none\n")
            done = system.run("systemctl", "reload", SERVICE, check=False)
            check(done.returncode != 0, "a bad configuration was taken")
            values = get(system, "QueueFrames", "MaxTopicParts")
            check(values == [4321, 128], f"after a bad file, in force: {values}")
            said = system.run("busrtctl", "reload", check=False)
            check(said.returncode == 1 and f"{FILE}:3" in said.stderr and "QueueFrames" in said.stderr, f"busrtctl says {said.stderr}")
            check(n[0] > 0, "there was no traffic")
        record = records(system, f"BUSRT_FILE={FILE}", "BUSRT_LINE=3")[-1]
        check("none" in record["BUSRT_REASON"], f"the reason is {record['BUSRT_REASON']}")
        check(system.show(SERVICE, "MainPID") == pid, "the service was restarted")
        check(system.show(SERVICE, "ActiveState") == "active", "the service is no more active")


def reload_without_dbus(system):
    """`systemctl reload` works without D-Bus, too."""
    with configuration(system) as write, served(system):
        system.run("systemctl", "stop", "dbus.socket", "dbus.service")
        try:
            write("[Bus]\nQueueFrames=1234\n")
            system.run("systemctl", "reload", SERVICE)
            text = system.run("busrtctl", "config").stdout
            check("1234" in text and f"{FILE}:2" in text, f"busrtctl config says {text}")
        finally:
            system.run("systemctl", "start", "dbus.socket", "dbus.service")


def warning_of_unknown_keys(system):
    """A key that is not known is told in the journal, with its file and line, and the service runs."""
    with configuration(system) as write:
        write("[Bus]\nQueueFrame=1\n")
        with served(system):
            record = wait_until(lambda: records(system, f"BUSRT_FILE={FILE}", "BUSRT_LINE=2"), "the warning")[-1]
            check(record["PRIORITY"] == "4" and "QueueFrame" in record["MESSAGE"], f"the record is {record}")


def refusal_at_start(system):
    """A bad value keeps the service from starting, systemd does not try again and again, and the journal says which line."""
    with configuration(system) as write:
        write("[Bus]\nQueueFrames=none\n")
        system.run("systemctl", "start", SERVICE, check=False)
        wait_until(lambda: system.show(SERVICE, "ActiveState") == "failed", "the service has failed")
        check(system.show(SERVICE, "NRestarts") == "0", "it was tried again")
        check(any(f"{FILE}:2" in r["MESSAGE"] for r in records(system)), "the journal does not say where")
    system.run("systemctl", "reset-failed")
    system.run("systemctl", "start", "busrtd.socket", "busrtd-tcp.socket")
    with peer(system.connect_unix(SOCKET), b"again"):
        pass
    system.run("systemctl", "stop", SERVICE)


CASES = (reload_under_load, reload_without_dbus, warning_of_unknown_keys, refusal_at_start)
