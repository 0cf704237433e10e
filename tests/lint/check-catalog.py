#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds the journal's catalog to the daemon: each MESSAGE_ID in messages.c is used there and has exactly one entry,
nothing else has one, each entry has its headers and says something, and what it inserts is a field that the daemon
writes and no peer can fill, since journalctl prints it to terminals as it is. Each field is told of in busrtd(8).

    check-catalog.py [ROOT]
"""
import os
import re
import sys

MESSAGES = "src/busrtd/messages.c"
SINK = "src/busrtd/log-sink.c"
CATALOG = "units/catalog/busrtd.catalog"
MANUAL = "docs/man/busrtd.8.scd"
HEADERS = ["Subject", "Defined-By", "Documentation", "Support"]
OF_PEERS = {"BUSRT_CLIENT", "BUSRT_SENDER", "BUSRT_REASON", "BUSRT_SOURCE"}
WIDTH = 80


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8") as file:
        return file.read()


def entries(text):
    """(id, headers, body) of each."""
    for part in re.split(r"^-- ", text, flags=re.M)[1:]:
        head, _, body = part.partition("\n\n")
        message_id, *headers = head.split("\n")
        yield message_id, headers, body


def check_entry(message_id, headers, body, fields):
    if [line.partition(": ")[0] for line in headers] != HEADERS or not all(line.partition(": ")[2] for line in headers):
        yield f"its headers are not {', '.join(HEADERS)}"
    if not body.strip():
        yield "it says nothing"
    for line in body.splitlines():
        if len(line) > WIDTH:
            yield f"a line is longer than {WIDTH}: {line}"
    for name in re.findall(r"@([^@\s]*)@", "\n".join(headers) + body):
        if name not in fields:
            yield f"busrtd writes no field {name}"
        elif name in OF_PEERS:
            yield f"{name} is as a peer sent it, and would reach terminals so"


def check_tree(root):
    source, catalog, sink, manual = (read(root, path) for path in (MESSAGES, CATALOG, SINK, MANUAL))
    ids = re.findall(r'^#define (ID_\w+) "([^"]*)"$', source, re.M)
    fields = set(re.findall(r'"([A-Z_]+)=', sink))
    if not ids or not fields:
        yield f"{MESSAGES} has no ids, or {SINK} no fields"
    for name, value in ids:
        if not re.fullmatch("[0-9a-f]{32}", value):
            yield f"{MESSAGES}: {name} is no MESSAGE_ID"
        if len(re.findall(rf"\b{name}\b", source)) < 2:
            yield f"{MESSAGES}: {name} is not used"
    there = [message_id for message_id, _, _ in entries(catalog)]
    values = [value for _, value in ids]
    for name, value in ids:
        if values.count(value) > 1:
            yield f"{MESSAGES}: {name} has the id of another"
        if there.count(value) != 1:
            yield f"{CATALOG}: {name} ({value}) has {there.count(value)} entries"
    for message_id, headers, body in entries(catalog):
        if message_id not in values:
            yield f"{CATALOG}: {message_id}: {MESSAGES} has no such id"
        for complaint in check_entry(message_id, headers, body, fields):
            yield f"{CATALOG}: {message_id}: {complaint}"
    for field in sorted(fields):
        if field.startswith("BUSRT_") and f"_{field}_" not in manual:
            yield f"{MANUAL}: does not tell of {field}"


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    wrong = list(check_tree(root))
    for line in wrong:
        print(line)
    print(f"{len(wrong)} wrong" if wrong else "the catalog and the daemon agree")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
