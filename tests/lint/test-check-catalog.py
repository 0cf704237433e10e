#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Shows that check-catalog.py catches what it is there for: each test lays a small tree with one thing wrong in it."""
import importlib.util
import os
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
spec = importlib.util.spec_from_file_location("check_catalog", os.path.join(HERE, "check-catalog.py"))
check_catalog = importlib.util.module_from_spec(spec)
spec.loader.exec_module(check_catalog)

ONE, TWO = "1" * 32, "2" * 32
MESSAGES = f'#define ID_ONE "{ONE}"\n#define ID_TWO "{TWO}"\nsay(ID_ONE); say(ID_TWO);\n'
SINK = 'add_field(&entry, "MESSAGE=%s", x);\nadd_field(&entry, "BUSRT_CLIENT=%s", x);\nadd_field(&entry, "BUSRT_LINE=%u", x);\n'
MANUAL = "_BUSRT_CLIENT_ and _BUSRT_LINE_\n"


def entry(message_id, body="Line @BUSRT_LINE@ is wrong.", subject="Subject: It happened"):
    return f"-- {message_id}\n{subject}\nDefined-By: busrtd\nDocumentation: man:busrtd(8)\nSupport: man:busrtd(8)\n\n{body}\n\n"


class Catalog(unittest.TestCase):
    def wrong(self, *parts, messages=MESSAGES, sink=SINK, manual=MANUAL, catalog="# -\n\n" + entry(ONE) + entry(TWO)):
        with tempfile.TemporaryDirectory() as root:
            for path, text in ((check_catalog.MESSAGES, messages), (check_catalog.SINK, sink),
                               (check_catalog.MANUAL, manual), (check_catalog.CATALOG, catalog)):
                os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
                with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                    file.write(text)
            found = list(check_catalog.check_tree(root))
        self.assertEqual(len(found), len(parts), found)
        for part, line in zip(parts, found):
            self.assertIn(part, line)

    def test_what_agrees_is_fine(self):
        self.wrong()

    def test_ids(self):
        self.wrong("ID_TWO is not used", messages=MESSAGES.replace("say(ID_TWO)", ""))
        self.wrong("ID_TWO is no MESSAGE_ID", "has 0 entries", "no such id", messages=MESSAGES.replace(TWO, "2" * 31))
        self.wrong("ID_ONE has the id of another", "ID_TWO has the id of another", "no such id",
                   messages=MESSAGES.replace(TWO, ONE))

    def test_entries(self):
        self.wrong("ID_TWO", catalog=entry(ONE))
        self.wrong("ID_ONE (1111", catalog=entry(ONE) + entry(ONE) + entry(TWO))
        self.wrong("no such id", catalog=entry(ONE) + entry(TWO) + entry("3" * 32))

    def test_what_an_entry_says(self):
        for part, what in (("its headers", {"subject": "Subject:"}), ("its headers", {"subject": "Title: x"}),
                           ("it says nothing", {"body": ""}), ("longer than", {"body": "x" * 81}),
                           ("no field BUSRT_SIZE", {"body": "@BUSRT_SIZE@"}), ("no field X", {"subject": "Subject: @X@"}),
                           ("BUSRT_CLIENT is as a peer", {"body": "@BUSRT_CLIENT@"})):
            self.wrong(part, catalog=entry(ONE, **what) + entry(TWO))

    def test_fields_are_in_the_manual(self):
        self.wrong("does not tell of BUSRT_LINE", manual="_BUSRT_CLIENT_")


if __name__ == "__main__":
    unittest.main()
