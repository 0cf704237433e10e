#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds the manual to the public headers: every function that they declare stands in the synopsis of exactly one page,
with the same prototype, and in the NAME section of that page, by which it is found; no page tells of a function that
is not there; every value of their enumerations stands in bold in some page; every page is built. And busrtd.conf(5) to
the daemon: it tells of each key, once, and of no other.

Inline functions whose names begin with busrt_internal_ are nobody's business.

    check-manual.py [ROOT]
"""
import glob
import os
import re
import sys

INTERNAL = "busrt_internal_"
# An argument may be a function: parentheses in parentheses.
PROTOTYPE = re.compile(r"(?:^|[;}])\s*((?:static inline )?(?:const |unsigned |enum |struct )*\w+ \**)(busrt_\w+)"
                       r"(\((?:[^()]|\([^()]*\))*\))(?=\s*;)")
HANDLER = re.compile(r"typedef [^;]*?\(\*(busrt_\w+)\)\([^()]*\)(?=\s*;)")


def without_comments(text):
    return re.sub(r"//[^\n]*|/\*.*?\*/", " ", text, flags=re.S)


def values(text):
    """The names of all values of a header's enumerations."""
    return re.findall(r"\bBUSRT_\w+", " ".join(re.findall(r"\benum \w+ \{([^}]*)\}", without_comments(text))))


def declarations(text):
    """name -> prototype of every function and type of function, blanks evened out. Bodies, comments and the
    preprocessor's lines do not count."""
    text = without_comments(text)
    text = re.sub(r"^\{\n.*?^\}\n", ";\n", text, flags=re.S | re.M)
    text = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*$", ";", text, flags=re.M)
    text = text.replace('extern "C" {', ";")
    text = " ".join(text.split())
    found = {name: f"{result}{name}{arguments}".replace("static inline ", "")
             for result, name, arguments in PROTOTYPE.findall(text)}
    found.update((match.group(1), match.group(0)) for match in HANDLER.finditer(text))
    return {name: prototype for name, prototype in found.items() if not name.startswith(INTERNAL)}


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def section(text, title):
    match = re.search(rf"^# {title}\n(.*?)(?=^# |\Z)", text, re.S | re.M)
    return match.group(1) if match else ""


def names(text):
    """Those that a page is found by."""
    return section(text, "NAME").split(" - ")[0].replace(",", " ").split()


def synopsis(text):
    """What a page declares."""
    return declarations("".join(re.findall(r"^```\n(.*?)^```$", section(text, "SYNOPSIS"), re.S | re.M)))


def check_page(page, text, public):
    """What one page says of functions, as complaints."""
    told = synopsis(text)
    for name, prototype in told.items():
        if name not in public:
            yield f"{page}: there is no {name} in a public header"
        elif public[name] != prototype:
            yield f"{page}: {prototype} is {public[name]} in its header"
    functions = {name for name, prototype in told.items() if not prototype.startswith("typedef")}
    listed = names(text)
    if page.split(".")[0] not in listed:
        yield f"{page}: its NAME section does not have its own name"
    if functions or len(listed) > 1:
        for name in sorted(functions.symmetric_difference(listed)):
            yield f"{page}: {name} is not in both NAME and SYNOPSIS"


def check_keys(table, page):
    """What busrtd.conf(5) says of keys, as complaints."""
    keys, told = set(re.findall(r'\.key = "(\w+)"', table)), re.findall(r"^\*(\w+)=\*", page, re.M)
    for name in sorted(keys.symmetric_difference(told) | {name for name in told if told.count(name) > 1}):
        yield f"busrtd.conf.5: {name}= is {'there %d times' % told.count(name) if name in keys else 'no key of busrtd'}"


def check_tree(root):
    table, public, words = os.path.join(root, "src", "busrtd", "options-table.c"), {}, []
    for header in sorted(glob.glob(os.path.join(root, "include", "busrt", "*.h*"))):
        public.update(declarations(read(header)))
        words += values(read(header))
    if not public:
        yield f"{root}: there are no public headers to read"
    pages = {os.path.basename(path)[:-len(".scd")]: read(path)
             for path in sorted(glob.glob(os.path.join(root, "docs", "man", "*.scd")))}
    build = read(os.path.join(root, "docs", "man", "meson.build"))
    where = {}
    if os.path.exists(table):
        yield from check_keys(read(table), pages.get("busrtd.conf.5", ""))
    for page, text in pages.items():
        if f"'{page}'" not in build:
            yield f"{page}: is not built: docs/man/meson.build does not name it"
        if page.endswith(".3"):
            yield from check_page(page, text, public)
            for name in synopsis(text):
                where.setdefault(name, []).append(page)
    library = "".join(text for page, text in pages.items() if page.endswith(".3"))
    yield from (f"{word}: no page tells of it" for word in words if f"*{word}*" not in library)
    for name in public:
        if len(where.get(name, ())) != 1:
            yield f"{name}: is in the synopsis of {', '.join(where.get(name, ())) or 'no page'}, not of exactly one"


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    wrong = list(check_tree(root))
    for line in wrong:
        print(line)
    print(f"{len(wrong)} wrong" if wrong else "the manual and the headers agree")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
