#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The packages on a real systemd: a small system is booted, the packages are installed there, used from outside as
clients and from inside as an administrator would, and purged. Needs root, systemd-nspawn and, the first time, the
network for what the packages depend on.

    run.py --packages FOLDER [--may-skip]

Without --may-skip, a machine on which no system can be booted makes the suite fail.
"""
import argparse
import glob
import os
import sys
import traceback

sys.dont_write_bytecode = True

import cases
from little_system import CannotBoot, System, root_for


def run_cases(system):
    """Runs every case in turn on one system, which each leaves as it found it. (passed, failed)"""
    counts = {True: 0, False: 0}
    for case in cases.CASES:
        try:
            case(system)
            passed = True
        except Exception:  # whatever went wrong, the next case has its own chance
            passed = False
            traceback.print_exc(file=sys.stdout)
        print(("ok    " if passed else "FAIL  ") + case.__doc__.split("\n")[0], flush=True)
        counts[passed] += 1
    if counts[False]:
        print(system.run("journalctl", "--no-pager", "-n", "100", check=False).stdout)
    return counts[True], counts[False]


def main():
    parser = argparse.ArgumentParser(description="Tries the packages on a real systemd.")
    parser.add_argument("--packages", required=True, help="folder with the .deb packages under test")
    parser.add_argument("--may-skip", action="store_true", help="no failure where no system can be booted")
    args = parser.parse_args()
    cache = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "busrt-tests")
    try:
        debs = glob.glob(os.path.join(args.packages, "*.deb"))
        system = System(root_for(debs, cache), debs)
    except CannotBoot as reason:
        n = len(cases.CASES)
        print(f"{'Skipped' if args.may_skip else 'Failed'}: no system can be booted here. {reason}")
        print(f"0 passed, 0 failed, {n} skipped" if args.may_skip else f"0 passed, {n} failed, 0 skipped")
        return 0 if args.may_skip else 1
    try:
        passed, failed = run_cases(system)
    finally:
        system.close()
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
