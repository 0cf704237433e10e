# SPDX-License-Identifier: Apache-2.0
"""Buses beside the system's first: more of them, and each user's own."""
import os

from clients import SERVICE, check, is_in_state, peer
from little_system import wait_until


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


CASES = (two_instances, user_bus)
