# SPDX-License-Identifier: Apache-2.0
"""polkit guards what only an administrator may do: refused and granted, each with its record."""
import contextlib
import os

from clients import SERVICE, SOCKET, check, peer, records
from little_system import wait_until
from managing import MANAGER, NAME, PATH, clients_by_name, served

USER, HOME = "mallory", "/var/lib/mallory"
RULES = "/etc/polkit-1/rules.d/10-busrt-test.rules"
ACTIONS = {
    "org.busrt1.disconnect": ("DisconnectClient", "s", "plc.1"),
    "org.busrt1.reload": ("Reload",),
    "org.busrt1.reset-statistics": ("ResetStatistics",),
    "org.busrt1.inspect": ("ListSubscriptions", "s", "plc.1"),
}


@contextlib.contextmanager
def unprivileged(system):
    """A user without rights, as a function that runs a command; what it did to the system is undone."""
    system.run("useradd", "--create-home", "--home-dir", HOME, USER)
    try:
        yield lambda *command: system.run("runuser", "-u", USER, "--", *command, check=False)
    finally:
        system.run("userdel", "--remove", USER)


def ask(run, *call):
    return run("busctl", "call", NAME, PATH, MANAGER, *call)


def set_log_level(run, level):
    return run("busctl", "set-property", NAME, "/org/freedesktop/LogControl1", "org.freedesktop.LogControl1", "LogLevel",
               "s", level)


def denied(system):
    """A user without rights is refused all that is guarded, nothing happens, and each refusal is a record."""
    with served(system) as (a, _), unprivileged(system) as run:
        uid = system.run("id", "-u", USER).stdout.strip()
        for action, call in ACTIONS.items():
            done = ask(run, *call)
            check(done.returncode != 0, f"{call[0]} was granted")
            check("you may not" in done.stderr, f"{call[0]}: {done.stderr}")
            record = wait_until(lambda: records(system, f"BUSRT_ACTION={action}"), f"a record of {action}")[-1]
            check(record["BUSRT_UID"] == uid, f"{action}: the record names user {record.get('BUSRT_UID')}")
            check(record["PRIORITY"] == "4", f"{action}: the priority is {record['PRIORITY']}")
        check(set_log_level(run, "debug").returncode != 0, "the log level was set")
        check(system.run("systemctl", "service-log-level", SERVICE).stdout.strip() == "info", "the log level has changed")
        check(run("busctl", "call", NAME, PATH, MANAGER, "ListClients").returncode == 0, "ListClients is refused")
        check("plc.1" in clients_by_name(system), "plc.1 was disconnected")
        a.send(("plc.1", b"still here"))
        check(a.next_frame() is not None, "plc.1 was disconnected")


def granted(system):
    """A polkit rule grants a user one action and no other; what was done is a record that names the user."""
    with served(system) as (a, _), unprivileged(system) as run:
        uid = system.run("id", "-u", USER).stdout.strip()
        with open(system.path(RULES), "w", encoding="ascii") as file:
            file.write('polkit.addRule(function(action, subject) {\n'
                       f'    if (action.id == "org.busrt1.disconnect" && subject.user == "{USER}")\n'
                       '        return polkit.Result.YES;\n'
                       '});\n')
        try:
            wait_until(lambda: ask(run, "DisconnectClient", "s", "plc.1").returncode == 0, "the rule is in force")
            check(a.next_frame() is None, "plc.1 is still connected")
            check(ask(run, "Reload").returncode != 0, "Reload was granted, too")
            record = records(system, "BUSRT_ACTION=org.busrt1.disconnect", f"BUSRT_UID={uid}", "PRIORITY=5")[-1]
            check(record["BUSRT_CLIENT"] == "plc.1", f"the record is {record}")
        finally:
            os.unlink(system.path(RULES))


def without_polkit(system):
    """Where polkit does not answer, nothing is granted but to root."""
    with served(system), unprivileged(system) as run:
        system.run("systemctl", "mask", "--runtime", "--now", "polkit.service")
        try:
            done = ask(run, "DisconnectClient", "s", "plc.1")
            check(done.returncode != 0, "it was granted")
            system.run("busrtctl", "disconnect", "plc.2")
            check(set(clients_by_name(system)) == {"plc.1"}, "root could not disconnect plc.2, or somebody plc.1")
        finally:
            system.run("systemctl", "unmask", "--runtime", "polkit.service")


def own_client(system):
    """A user sees the subscriptions of a client of his own, and not those of another's."""
    with served(system), unprivileged(system) as run:
        system.run("adduser", "--quiet", USER, "busrt")
        done = run("sh", "-c", f"""
            busrtctl -s {SOCKET} -n mine listen 'secret/+' & listener=$!
            for i in $(seq 300); do
                busctl call {NAME} {PATH} {MANAGER} GetClient s mine >/dev/null 2>&1 && break
                sleep 0.05
            done
            busctl call {NAME} {PATH} {MANAGER} ListSubscriptions s mine; mine=$?
            busctl call {NAME} {PATH} {MANAGER} ListSubscriptions s plc.1; other=$?
            kill $listener
            test $mine = 0 -a $other != 0
        """)
        check(done.returncode == 0 and "secret/+" in done.stdout, f"{done.stdout}{done.stderr}")


CASES = (denied, granted, own_client, without_polkit)
