# SPDX-License-Identifier: Apache-2.0
"""A page of the docs whose tables are written by a program, between two markers that bear the program's word."""


def markers(word):
    return f"<!-- {word}: begin -->", f"<!-- {word}: end -->"


def read(path, word):
    """What stands before and after the tables. A page without the markers is refused."""
    begin, end = markers(word)
    with open(path, encoding="utf-8") as f:
        text = f.read()
    if begin not in text or end not in text:
        raise SystemExit(f"{path} has no {begin} and {end}")
    return text.partition(begin)[0] + begin, end + text.partition(end)[2]


def write(path, word, lines):
    head, tail = read(path, word)
    with open(path, "w", encoding="utf-8") as f:
        f.write(head + "\n" + "\n".join(lines).rstrip() + "\n" + tail)
