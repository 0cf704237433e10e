# SPDX-License-Identifier: Apache-2.0
"""The drop-in for real time as it is shipped, in the service's sandbox: the worker alone is under SCHED_FIFO, memory is
locked, traffic flows; and where memory may not be locked, one line says what to do."""
import contextlib
import os
import re
import shutil

from clients import SERVICE, SOCKET, check, exchange, is_in_state, peer, records, stopped_afterwards
from little_system import wait_until

EXAMPLE = "/usr/share/doc/busrtd/examples/realtime.conf"
UNIT_DROP_IN = f"/etc/systemd/system/{SERVICE}.d/realtime.conf"
CONFIG_DROP_IN = "/etc/busrt/busrtd.conf.d/realtime.conf"
ID_REAL_TIME = "ebb2f25a79604c4f869a5d1ba07a3291"
ID_NOT_LOCKED = "1b7de33427a9481e993845e7d88e7989"


def leave_to_lock(system):
    """What a service here needs beside the drop-in: on a machine that lets nobody raise limits, a capability in their place."""
    limit = system.run("systemd-run", "--quiet", "--wait", "--pipe", "-p", "LimitMEMLOCK=infinity", "sh", "-c", "ulimit -l").stdout
    return () if limit.strip() == "unlimited" else ("CapabilityBoundingSet=CAP_IPC_LOCK", "AmbientCapabilities=CAP_IPC_LOCK")


@contextlib.contextmanager
def installed(system, *more):
    """As the first lines of the drop-in say, and more lines for [Service]."""
    with open(system.path(EXAMPLE), encoding="utf-8") as file:
        commands = re.findall(r"^#   ((?:mkdir|cp|printf) .*)$", file.read(), re.M)
    check(len(commands) == 3, f"the example says {commands}")
    existed = os.path.exists(system.path("/etc/busrt"))
    try:
        for command in commands:
            system.run("sh", "-c", f"cd {os.path.dirname(EXAMPLE)} && {command}")
        with open(system.path(UNIT_DROP_IN), "a", encoding="ascii") as file:
            file.write("[Service]\n" + "".join(line + "\n" for line in more))
        system.run("systemctl", "daemon-reload")
        with stopped_afterwards(system):
            yield
    finally:
        shutil.rmtree(os.path.dirname(system.path(UNIT_DROP_IN)))
        shutil.rmtree(os.path.dirname(system.path(CONFIG_DROP_IN)))
        if not existed:
            os.rmdir(system.path("/etc/busrt"))
        system.run("systemctl", "daemon-reload")


def threads(system):
    """{(name, policy, CPUs), ...} of the service's threads."""
    found, folder = set(), f"/proc/{system.outer_pid(SERVICE)}/task"
    for task in os.listdir(folder):
        with open(f"{folder}/{task}/comm", encoding="utf-8") as file:
            found.add((file.read().strip(), os.sched_getscheduler(int(task)), tuple(os.sched_getaffinity(int(task)))))
    return found


def real_time(system):
    """With the drop-in for real time, memory is locked, the worker alone runs under SCHED_FIFO, and messages arrive."""
    more = leave_to_lock(system)
    with installed(system, *more), peer(system.connect_unix(SOCKET), b"a") as a, peer(system.connect_unix(SOCKET), b"b") as b:
        exchange(a, b"a", b, b"b")
        with open(f"/proc/{system.outer_pid(SERVICE)}/status", encoding="utf-8") as file:
            locked = int(re.search(r"^VmLck:\s*(\d+) kB", file.read(), re.M).group(1))
        check(locked > 16 << 10, f"{locked} kB are locked")
        wanted = {("busrt-worker", os.SCHED_FIFO, (1,)),
                  *((name, os.SCHED_OTHER, (1,)) for name in ("busrtd", "busrtd-log", "busrtd-notify"))}
        check(threads(system) == wanted, f"the threads run so: {threads(system)}")
        pid = system.show(SERVICE, "MainPID")
        record, = wait_until(lambda: records(system, f"_PID={pid}", f"MESSAGE_ID={ID_REAL_TIME}"), "the record of it")
        check("of memory locked" in record["MESSAGE"] and "1 worker under SCHED_FIFO, priority 20, on CPU 1" in record["MESSAGE"]
              and record["PRIORITY"] == "6", f"the record is {record}")
        return record["MESSAGE"] + (", by a capability, since no limit can be raised here" if more else "")


def busy_polling(system):
    """With the drop-in for real time, busy polling is allowed on the CPU that it gives, and not on all of them."""
    with installed(system, *leave_to_lock(system)):
        with open(system.path(CONFIG_DROP_IN), "a", encoding="ascii") as file:
            file.write("BusyPollUSec=50\n")
        with peer(system.connect_unix(SOCKET), b"a") as a, peer(system.connect_unix(SOCKET), b"b") as b:
            exchange(a, b"a", b, b"b")
        system.run("systemctl", "stop", SERVICE)
        with open(system.path(UNIT_DROP_IN), "a", encoding="ascii") as file:
            file.write("CPUAffinity=\n")
        system.run("systemctl", "daemon-reload")
        check(system.run("systemctl", "start", SERVICE, check=False).returncode != 0, "it polls on CPUs that it shares")
        check(is_in_state(system, "failed"), "systemd tries again")
        record = wait_until(lambda: records(system, f"BUSRT_FILE={CONFIG_DROP_IN}", "BUSRT_LINE=3"), "the record of it")[0]
        check("CPUAffinity=" in record["MESSAGE"], f"the record is {record}")


def memory_that_cannot_be_locked(system):
    """Real time without leave to lock memory is a start that fails, once, and one line with what to do."""
    for line, advice in (("LimitMEMLOCK=1M", "LimitMEMLOCK=infinity"), ("SystemCallFilter=~@memlock", "SystemCallFilter=@memlock")):
        with installed(system, line):
            check(system.run("systemctl", "start", SERVICE, check=False).returncode != 0, f"it started with {line}")
            check(is_in_state(system, "failed"), "systemd tries again")
            check(system.show(SERVICE, "ExecMainStatus") == "2", "the exit status is not 2")
            wait_until(lambda: any(advice in record["MESSAGE"] for record in records(system, f"MESSAGE_ID={ID_NOT_LOCKED}")),
                       f"a record that says {advice}")


CASES = (real_time, busy_polling, memory_that_cannot_be_locked)
