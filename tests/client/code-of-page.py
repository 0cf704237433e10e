#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The C of a page, as one file that a test includes: what a reader is shown is what is compiled and run. Compilers name
lines of the page.

    code-of-page.py PAGE >HEADER
"""
import sys

path = sys.argv[1]
inside = False
with open(path, encoding="utf-8") as page:
    for number, line in enumerate(page, 1):
        if line == "```c\n":
            inside = True
            print(f'#line {number + 1} "{path}"')
        elif line == "```\n":
            inside = False
        elif inside:
            print(line, end="")
