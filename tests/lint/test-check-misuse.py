#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Shows that check-misuse.py catches what it is there for: each test lays one header and the tests beside it, with one
function called or not."""
import importlib.util
import os
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
spec = importlib.util.spec_from_file_location("check_misuse", os.path.join(HERE, "check-misuse.py"))
check_misuse = importlib.util.module_from_spec(spec)
spec.loader.exec_module(check_misuse)

HEADER = "typedef void (*busrt_handler)(busrt_client *client);\n" \
         "int busrt_client_send(busrt_client *client, const char *target);\nint busrt_code(int error);\n"
STATES = "CALL(send, busrt_client_send(c, NULL))\n"
ARGUMENTS = "        assert_int_equal(busrt_code(0), 0);\n"
INLINE = "static inline int busrt_unpack(const void *data)\n{\n        return 0;\n}\n"


class Misuse(unittest.TestCase):
    def complaints(self, states=STATES, arguments=ARGUMENTS, cursors="", **headers):
        with tempfile.TemporaryDirectory() as root:
            files = {"tests/client/test-misuse.c": states, "tests/client/test-arguments.c": arguments,
                     "tests/client/test-cursor-arguments.c": cursors}
            files.update((f"include/busrt/{name}.h", text) for name, text in (headers or {"x": HEADER}).items())
            for name, text in files.items():
                path = os.path.join(root, name)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "w", encoding="utf-8") as file:
                    file.write(text)
            return list(check_misuse.check_tree(root))

    def wrong(self, part, **files):
        found = self.complaints(**files)
        self.assertEqual(len(found), 1, found)
        self.assertIn(part, found[0])

    def test_functions_that_are_called_are_fine(self):
        self.assertEqual(self.complaints(), [])
        self.assertEqual(self.complaints(states=STATES + ARGUMENTS, arguments=""), [])
        self.assertEqual(self.complaints(arguments="", cursors=ARGUMENTS), [])

    def test_a_function_without_a_test_is_caught(self):
        self.wrong("x.h: busrt_code is not called in", arguments="")
        self.wrong("y.h: busrt_new is not called in", x=HEADER, y="int busrt_new(const char *name);\n")

    def test_a_function_of_a_client_is_for_the_table_of_states(self):
        self.wrong("busrt_client_send is not called in tests/client/test-misuse.c:", states="", arguments=STATES + ARGUMENTS)

    def test_a_name_that_is_no_call_does_not_count(self):
        for text in ("/* busrt_code(0) */\n", "// busrt_code(0)\n", 'puts("busrt_code(0)");\n', "#include <busrt_code>\n",
                     "busrt_code_of(0);\n", "char c = '\"'; /* busrt_code(0) */ c = '\"';\n"):
            self.wrong("busrt_code", arguments=text)

    def test_inline_functions_have_their_own_tests(self):
        self.wrong("msgpack.h: busrt_unpack is not called in tests/package/test-msgpack.c", x=HEADER, msgpack=INLINE)

    def test_a_tree_without_headers_is_no_success(self):
        self.wrong("no public headers", x="")


if __name__ == "__main__":
    unittest.main(verbosity=2)
