# SPDX-License-Identifier: Apache-2.0
"""A journal that takes nothing for a minute, and one that is not there. In a system of its own, since all other cases need
theirs."""
import contextlib
import os
import signal
import struct
import time

from clients import PORT, SERVICE, SOCKET, SOCKETS, check, exchange, f, install, offend, peer, records
from little_system import wait_until

JOURNALD = "systemd-journald.service"
JOURNAL_SOCKETS = ("systemd-journald.socket", "systemd-journald-dev-log.socket")
JOURNAL_PATH = "/run/systemd/journal/socket"
ID_BAD_FRAME = "5ce1e8b83dc84958a307a2d98a677859"
ID_RECORDS_LOST = "5dc96898b54c47baa18c5fc2fc3f80d7"
SECONDS = 60  # what is promised
BATCH = 200
PING = bytes(9)
REST = 0.02  # between batches, for the sake of what runs beside this
SOURCES = 200  # addresses of offenders: of one alone the service would record no more than a few
RECORDS_HELD = 256 + 512  # by the service's ring, and by the journal's socket


def is_stopped(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return file.read().rsplit(")", 1)[1].split()[0] == "T"


@contextlib.contextmanager
def stopped(pid):
    os.kill(pid, signal.SIGSTOP)
    try:
        wait_until(lambda: is_stopped(pid), "journald stopped")
        yield
        check(is_stopped(pid), "journald went on meanwhile")
    finally:
        os.kill(pid, signal.SIGCONT)


def send_batch(sender, receiver, number):
    """BATCH messages, every one acknowledged and delivered, in order."""
    payloads = [struct.pack("<II", number, i) for i in range(BATCH)]
    for op_id in sender.send(*[("receiver", payload) for payload in payloads]):
        sender.expect(f.got_ack(op_id))
    for payload in payloads:
        receiver.expect(f.got_message("sender", payload))
    receiver.connection.sendall(PING)


def send_for_a_minute(system, sender, receiver):
    """Traffic, and between the batches an offence each time. (number of batches, the slowest's seconds)"""
    number, slowest, end = 0, 0, time.monotonic() + SECONDS
    while time.monotonic() < end:
        source = f"127.0.1.{number % SOURCES + 1}"
        offend(system.connect_tcp(PORT, source), b"offender.%d" % number)
        began = time.monotonic()
        send_batch(sender, receiver, number)
        slowest = max(slowest, time.monotonic() - began)
        number += 1
        time.sleep(REST)
    return number, slowest


def lost_records(system):
    return sum(int(record["BUSRT_RECORDS"]) for record in records(system, f"MESSAGE_ID={ID_RECORDS_LOST}"))


def journal_stands_still(system):
    """While journald is stopped for 60 s no message is lost or late for it; every record is then there or counted as lost."""
    install(system)
    system.run("systemctl", "enable", "--now", *SOCKETS)
    with peer(system.connect_unix(SOCKET), b"sender") as a, peer(system.connect_tcp(PORT), b"receiver") as b:
        exchange(a, b"sender", b, b"receiver")
        broker = system.show(SERVICE, "MainPID")
        with stopped(system.outer_pid(JOURNALD)):
            batches, slowest = send_for_a_minute(system, a, b)
        exchange(a, b"sender", b, b"receiver")
        check(system.show(SERVICE, "MainPID") == broker, "the broker was restarted")
        check(batches > RECORDS_HELD, f"only {batches} records were provoked")
        wait_until(lambda: lost_records(system), "a record of how many were lost")
        offend(system.connect_unix(SOCKET), b"after.the.stop")
        wait_until(lambda: records(system, "BUSRT_CLIENT=after.the.stop"), "a record of what happened afterwards")
        there, lost = len(records(system, f"MESSAGE_ID={ID_BAD_FRAME}")) - 1, lost_records(system)
        check(there + lost == batches, f"{batches} offences, {there} records, {lost} counted as lost")
    return f"{batches * BATCH} messages, the slowest {BATCH} in {slowest * 1e3:.0f} ms; {batches} offences, {lost} records lost"


def journal_is_replaced(system):
    """While journald is stopped and its socket gone, messages go on; with a new socket records do, and what was lost is counted."""
    offences, before = 50, lost_records(system)
    with peer(system.connect_unix(SOCKET), b"sender") as a, peer(system.connect_tcp(PORT), b"receiver") as b:
        exchange(a, b"sender", b, b"receiver")
        broker = system.show(SERVICE, "MainPID")
        system.run("systemctl", "stop", *JOURNAL_SOCKETS, JOURNALD)
        os.unlink(system.path(JOURNAL_PATH))
        for i in range(offences):
            offend(system.connect_tcp(PORT, f"127.0.2.{i + 1}"), b"unheard.%d" % i)
        send_batch(a, b, 0)
        system.run("systemctl", "start", *JOURNAL_SOCKETS, JOURNALD)
        wait_until(lambda: lost_records(system) > before, "a record of how many were lost")
        offend(system.connect_unix(SOCKET), b"after.the.start")
        wait_until(lambda: records(system, "BUSRT_CLIENT=after.the.start"), "a record of what happened afterwards")
        exchange(a, b"sender", b, b"receiver")
        check(system.show(SERVICE, "MainPID") == broker, "the broker was restarted")
    there = sum(record.get("BUSRT_CLIENT", "").startswith("unheard.") for record in records(system))
    lost = lost_records(system) - before
    check(there + lost == offences, f"{offences} offences, {there} records, {lost} counted as lost")
    return f"{offences} offences, {there} records, {lost} counted as lost"


CASES = (journal_stands_still, journal_is_replaced)
