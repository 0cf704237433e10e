# SPDX-License-Identifier: Apache-2.0
"""The packages: installed, installed again, purged."""
import os

from clients import FIFO_SOCKET, PORT, SERVICE, SOCKET, SOCKETS, check, install, is_in_state, peer, stopped_afterwards
from little_system import PACKAGES, wait_until


def enabled_by_hand(system):
    """Installing the packages starts nothing and opens nothing; `systemctl enable --now` opens the sockets."""
    install(system)
    for unit in (SERVICE, *SOCKETS, FIFO_SOCKET):
        check(is_in_state(system, "inactive", unit), f"{unit} is active from the start")
    for unit in (*SOCKETS, FIFO_SOCKET):
        found = system.run("systemctl", "is-enabled", unit, check=False).stdout.strip()
        check(found == "disabled", f"{unit} is {found}")
    system.run("systemctl", "enable", "--now", *SOCKETS)
    check(is_in_state(system, "inactive"), "the service runs before anyone wants it")
    mode = os.stat(system.path(SOCKET)).st_mode & 0o777
    check(mode == 0o660, f"the socket's mode is {mode:o}")
    group = system.run("stat", "-c", "%U:%G", SOCKET).stdout.strip()
    check(group == "root:busrt", f"the socket belongs to {group}")


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
        system.run("dpkg", "--purge", "busrtd", "busrtctl", "libbusrt0", "libbusrt-dev", "libbusrt-broker0",
                   "libbusrt-broker-dev")
    left = system.run("systemctl", "list-units", "--plain", "--no-legend", "--state=active", "busrtd*").stdout
    check(not left, f"still active: {left}")
    left = system.run("find", "/etc", "/run", "/usr", "/var", "-xdev", "(", "-iname", "*busrt*", ")", "-not", "-path",
                      PACKAGES + "*").stdout.split()
    check(not left, f"left behind: {left}")
    for base, wanted in (("passwd", "busrtd"), ("group", "busrt")):
        check(system.run("getent", base, wanted).stdout, f"{wanted} is gone from {base}")


FIRST = (enabled_by_hand,)
LAST = (upgrade, purge)
