#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The packages on a real systemd: small systems are booted, the packages are installed there, used from outside as
clients and from inside as an administrator would, and purged. Needs root, systemd-nspawn and, the first time, the
network for what the packages depend on.

    run.py --packages FOLDER --faults BUSRTD [--may-skip]

Without --may-skip, a machine on which no system can be booted makes the suite fail.
"""
import argparse
import glob
import os
import re
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor

sys.dont_write_bytecode = True

import buses
import guarding
import installing
import journal
import managing
import realtime
import reloading
import standing_journal
import starting
import units
import watchdog
from little_system import CannotBoot, System, root_for

# A case is a function whose first line of documentation says what holds; it raises when it does not, and may return a
# word on what it saw. Each list is for a system of its own, and they run side by side. In the first two the packages
# are installed at the beginning; each case afterwards starts and ends with the service stopped and its sockets listening.
SYSTEMS = (
    (*installing.FIRST, *units.CASES, *starting.CASES, *journal.CASES, *buses.CASES, *installing.LAST),
    (*installing.FIRST, *managing.CASES, *guarding.CASES, *reloading.CASES, *watchdog.CASES, *realtime.CASES),
    standing_journal.CASES,
)


def run_case(case, system):
    """Whether it passed; prints its verdict, and all that is to be said, in one go."""
    said = ""
    try:
        note = case(system)
        passed = True
    except Exception:  # whatever went wrong, the next case has its own chance
        note = None
        passed = False
        said = traceback.format_exc()
    said += ("ok    " if passed else "FAIL  ") + case.__doc__.split("\n")[0]
    print(said + (f" [{note}]" if note else ""), flush=True)
    return passed


def run_cases(cases, root, debs, faults):
    """Runs the cases in turn on one system, which each leaves as it found it. How many passed."""
    system = System(root, debs, faults)
    try:
        passed = sum([run_case(case, system) for case in cases])
        if passed < len(cases):
            print(system.run("journalctl", "--no-pager", "-n", "100", check=False).stdout, flush=True)
    finally:
        system.close()
    return passed


def main():
    parser = argparse.ArgumentParser(description="Tries the packages on a real systemd.")
    parser.add_argument("--packages", required=True, help="folder with the .deb packages under test")
    parser.add_argument("--faults", required=True, help="a busrtd that was built to fail on demand")
    parser.add_argument("--case", help="only the cases whose names match this regular expression, and what comes first")
    parser.add_argument("--may-skip", action="store_true", help="no failure where no system can be booted")
    args = parser.parse_args()
    cache = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "busrt-tests")
    systems = [[case for case in cases if case in installing.FIRST or re.search(args.case or "", case.__name__)]
               for cases in SYSTEMS]
    systems = [cases for cases in systems if set(cases) - set(installing.FIRST)]
    n = sum(map(len, systems))
    try:
        debs = glob.glob(os.path.join(args.packages, "*.deb"))
        root = root_for(debs, cache)
        with ThreadPoolExecutor() as pool:
            passed = sum(pool.map(lambda cases: run_cases(cases, root, debs, args.faults), systems))
    except CannotBoot as reason:
        print(f"{'Skipped' if args.may_skip else 'Failed'}: no system can be booted here. {reason}")
        print(f"0 passed, 0 failed, {n} skipped" if args.may_skip else f"0 passed, {n} failed, 0 skipped")
        return 0 if args.may_skip else 1
    print(f"{passed} passed, {n - passed} failed, 0 skipped")
    return 0 if passed == n else 1


if __name__ == "__main__":
    sys.exit(main())
