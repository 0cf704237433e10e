# SPDX-License-Identifier: Apache-2.0
"""The units by themselves: what systemd makes of them."""
from clients import SERVICE, check

FOLDER = "/usr/lib/systemd"
SYSTEM_UNITS = ("busrtd.service", "busrtd.socket", "busrtd-tcp.socket", "busrtd-fifo.socket", "busrtd@x.service", "busrtd@x.socket",
                "busrtctl-metrics.service", "busrtctl-metrics.timer")
USER_UNITS = (f"{FOLDER}/user/busrtd.service", f"{FOLDER}/user/busrtd.socket")


def units_are_clean(system):
    """`systemd-analyze verify` has nothing to say of any unit."""
    for options, units in (((), SYSTEM_UNITS), (("--user",), USER_UNITS)):
        done = system.run("env", "XDG_RUNTIME_DIR=/run", "systemd-analyze", "verify", "--man=no", *options, *units, check=False)
        check((done.returncode, done.stdout + done.stderr) == (0, ""), f"verify: {done.stdout}{done.stderr}")


def exposure(system):
    """The exposure of the services, which serve TCP too, is 0.5 at the most."""
    for unit in (SERVICE, "busrtd@x.service"):
        done = system.run("systemd-analyze", "security", "--threshold=5", "--no-pager", unit, check=False)
        check(done.returncode == 0, f"{unit} is too exposed: {done.stdout[-2000:]}")


CASES = (units_are_clean, exposure)
