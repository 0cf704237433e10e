# SPDX-License-Identifier: Apache-2.0
"""A worker that stands still: the watchdog is not fed, and systemd restarts the service."""
import os
import shutil

from clients import SERVICE, SOCKET, check, exchange, f, peer, records, stopped_afterwards
from little_system import wait_until

PROGRAM = "/usr/local/bin/busrtd-faults"  # the broker, with a method that stalls its worker
DROP_IN = f"/run/systemd/system/{SERVICE}.d/faults.conf"
ID_WORKER_STALLED = "adb4b3dcf2bc4a3ea0592ec69281fe66"


def stalled_worker(system):
    """A service whose worker stands still is killed by the watchdog and started again; one that works is not."""
    shutil.copy(system.faults, system.path(PROGRAM))
    os.makedirs(system.path(os.path.dirname(DROP_IN)))
    with open(system.path(DROP_IN), "w", encoding="ascii") as file:
        file.write(f"[Service]\nExecStart=\nExecStart={PROGRAM}\nWatchdogSec=1\nLimitCORE=0\n")
    system.run("systemctl", "daemon-reload")
    try:
        with stopped_afterwards(system):
            with peer(system.connect_unix(SOCKET), b"a") as a, peer(system.connect_unix(SOCKET), b"b") as b:
                pid = system.show(SERVICE, "MainPID")
                fed = system.show(SERVICE, "WatchdogTimestampMonotonic")
                wait_until(lambda: system.show(SERVICE, "WatchdogTimestampMonotonic") != fed, "the watchdog is fed")
                exchange(a, b"a", b, b"b")
                check(system.show(SERVICE, "MainPID") == pid, "it was restarted without a reason")
                # {seconds: 60}
                a.send((".broker", b"\x01" + (7).to_bytes(4, "little") + b"fault.stall\x00\x81\xa7seconds\x3c"))
                wait_until(lambda: system.show(SERVICE, "MainPID") not in ("0", pid), "a new process")
            check(system.show(SERVICE, "NRestarts") != "0", "it was not restarted")
            wait_until(lambda: records(system, f"MESSAGE_ID={ID_WORKER_STALLED}"), "the record of the stall")
            with peer(system.connect_unix(SOCKET), b"a") as a, peer(system.connect_unix(SOCKET), b"b") as b:
                exchange(a, b"a", b, b"b")
    finally:
        shutil.rmtree(os.path.dirname(system.path(DROP_IN)))
        os.unlink(system.path(PROGRAM))
        system.run("systemctl", "daemon-reload")


CASES = (stalled_worker,)
