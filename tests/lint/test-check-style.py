#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Shows that check-style.py catches what it is there for: each test hands it one small text or tree."""
import importlib.util
import os
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
spec = importlib.util.spec_from_file_location("check_style", os.path.join(HERE, "check-style.py"))
check_style = importlib.util.module_from_spec(spec)
spec.loader.exec_module(check_style)

C = "/* " + check_style.LICENCE + " */\n"
SH = "#!/bin/bash\n# " + check_style.LICENCE + "\n"


def function(lines, comment="/* Adds. */"):
    """A C function of so many lines, braces included."""
    return f"{comment}\nstatic int add(int a,\n               int b)\n{{\n" + "        a++;\n" * (lines - 2) + "}\n"


class Style(unittest.TestCase):
    def wrong(self, part, name, text):
        found = list(check_style.check_file(name, text))
        self.assertEqual(len(found), 1, found)
        self.assertIn(part, found[0])

    def fine(self, name, text):
        self.assertEqual(list(check_style.check_file(name, text)), [])

    def test_a_licence_line_is_wanted_where_one_can_stand(self):
        self.fine("src/wire/frame.c", C)
        self.wrong("has no line", "src/wire/frame.c", "int a;\n")
        self.wrong("has no line", "src/wire/meson.build", "x = 1\n")
        self.wrong("has no line", "tools/run", "#!/bin/bash\n")
        self.fine("README.md", "# busrt\n")

    def test_promises_of_later_work_are_found(self):
        self.wrong("promises", "src/a.c", C + "/* TO" "DO: more */\n")
        self.wrong("promises", "docs/a.md", "This is not " "implemented.\n")
        self.fine("src/a.c", C + 'char name[] = "busrt-XX' 'XXXX";\n')

    def test_paths_of_one_machine_are_found(self):
        self.wrong("one machine", "docs/a.md", "Look into /ho" "me/me/busrt.\n")
        self.fine("docs/a.md", "Look into ~/.cache/busrt and tests/home/a.\n")

    def test_hosts_are_found(self):
        self.wrong("names the host", "docs/a.md", "See http" "s://registry.example.org/x.\n")

    def test_blanks_at_the_end_of_a_line_are_found(self):
        self.wrong("src/a.c:2: blanks", "src/a.c", C + "int a; \n")
        self.wrong("newline", "src/a.c", C + "int a;")

    def test_long_files_are_found(self):
        self.fine("src/a.c", C + "\n" * 799)
        self.wrong("wants a split", "src/a.c", C + "\n" * 800)
        self.fine("src/a.c", C + "/* Long because: a table. */\n" + "\n" * 800)

    def test_long_functions_are_found_and_a_reason_lets_them_be(self):
        self.fine("src/a.c", C + function(100))
        self.wrong("src/a.c:3: add has 101 lines", "src/a.c", C + function(101))
        self.fine("src/a.c", C + function(101, "/*\n * Adds. Long because it is one table.\n */"))

    def test_a_reason_is_for_one_function_only(self):
        self.wrong("add has 101", "src/a.c", C + function(101, "/* Long because. */") + "\n" + function(101))

    def test_tables_are_no_functions(self):
        self.fine("src/a.c", C + "static const int table[] = {\n" + "        1,\n" * 200 + "};\n")

    def test_python_that_does_not_parse_is_found(self):
        self.wrong("a.py:2", "tools/a.py", "# " + check_style.LICENCE + "\ndef f(:\n")

    def test_scripts_that_do_not_parse_are_found_by_suffix_and_by_first_line(self):
        for name in ("a.sh", "a"):
            with tempfile.TemporaryDirectory() as root:
                with open(os.path.join(root, name), "w", encoding="utf-8") as file:
                    file.write(SH + "if true; then\n")
                found = check_style.check_tree(root, say=lambda line: None)
                self.assertTrue(found and "syntax error" in " ".join(found), found)

    def test_layout_that_clang_format_would_change_is_found_or_said_to_be_unchecked(self):
        said = []
        with tempfile.TemporaryDirectory() as root:
            with open(os.path.join(root, "a.c"), "w", encoding="utf-8") as file:
                file.write(C + "int   a;\n")
            found = check_style.check_tree(root, say=said.append)
        told = found if check_style.clang_format() else said
        self.assertTrue(any("clang-format" in line for line in told), told)

    def test_links_to_nothing_are_found(self):
        with tempfile.TemporaryDirectory() as root:
            with open(os.path.join(root, "a.md"), "w", encoding="utf-8") as file:
                file.write("[here](a.md#top), [there](b.md), [far](https://www.apache.org/x)\n")
            self.assertEqual(check_style.check_tree(root, say=lambda line: None),
                             ["a.md:1: links b.md, which does not exist"])

    def test_an_empty_tree_is_no_success(self):
        with tempfile.TemporaryDirectory() as root:
            self.assertEqual(len(check_style.check_tree(root, say=lambda line: None)), 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
