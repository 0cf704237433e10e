#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds the tests of misuse to the public headers: each function that these declare is named in a test that calls it
wrongly. One whose first argument is the client has different results in different states, and must be in the table of
test-misuse.c; any other may be in test-arguments.c or test-cursor-arguments.c instead. Functions that are inline are tested where their header is.

    check-misuse.py [ROOT]
"""
import glob
import importlib.util
import os
import re
import sys

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
spec = importlib.util.spec_from_file_location("check_manual", os.path.join(HERE, "check-manual.py"))
check_manual = importlib.util.module_from_spec(spec)
spec.loader.exec_module(check_manual)

STATES = "tests/client/test-misuse.c"
ARGUMENTS = ["tests/client/test-arguments.c", "tests/client/test-cursor-arguments.c"]
# Headers with a room of tests of their own, or whose functions are inline: where theirs are called.
ELSEWHERE = {
    "broker.h": ["tests/embed/test-misuse.c"],
    "msgpack.h": ["tests/package/test-msgpack.c"],
    "sd-event.h": ["tests/package/test-sd-event.c"],
}

NOT_CODE = re.compile(r"""/\*.*?\*/|//[^\n]*|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|^[ \t]*#[ \t]*include[^\n]*""", re.S | re.M)


def named(root, path):
    """The words of a C file that are neither comment nor text."""
    whole = os.path.join(root, path)
    return set(re.findall(r"\w+", NOT_CODE.sub(" ", check_manual.read(whole)))) if os.path.exists(whole) else set()


def tests_of(header, prototype):
    if header in ELSEWHERE:
        return ELSEWHERE[header]
    return [STATES] if "(busrt_client *" in prototype else [STATES, *ARGUMENTS]


def check_tree(root):
    words, n = {}, 0
    for path in sorted(glob.glob(os.path.join(root, "include", "busrt", "*.h*"))):
        header = os.path.basename(path).removesuffix(".in")
        for name, prototype in check_manual.declarations(check_manual.read(path)).items():
            if prototype.startswith("typedef"):
                continue
            n += 1
            tests = tests_of(header, prototype)
            for test in tests:
                words.setdefault(test, named(root, test))
            if not any(name in words[test] for test in tests):
                yield f"{header}: {name} is not called in {' or '.join(tests)}: what does misuse of it give?"
    if n == 0:
        yield f"{root}: there are no public headers to read"


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "..", "..")
    wrong = list(check_tree(root))
    for line in wrong:
        print(line)
    print(f"{len(wrong)} wrong" if wrong else "every public function has its test of misuse")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
