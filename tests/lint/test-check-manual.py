#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Shows that check-manual.py catches what it is there for: each test lays one header and one page, with one thing right
or wrong in them."""
import importlib.util
import os
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
spec = importlib.util.spec_from_file_location("check_manual", os.path.join(HERE, "check-manual.py"))
check_manual = importlib.util.module_from_spec(spec)
spec.loader.exec_module(check_manual)

HEADER = """
/* int busrt_in_a_comment(void); */
#define BUSRT_MACRO(x) \\
        busrt_in_a_macro(x);
extern "C" {
/* One. */
int busrt_one(const char *name,
              busrt_client **ret);
typedef void (*busrt_handler)(void *userdata);
static inline int busrt_internal_helper(int x)
{
        return busrt_one(NULL, x);
}
static inline const void *busrt_two(int x)
{
        return busrt_one(NULL, x);
}
"""
SYNOPSIS = "int busrt_one(const char *name, busrt_client **ret);\nconst void *busrt_two(int x);\n" \
           "typedef void (*busrt_handler)(void *userdata);\n"


def page(names="busrt_one, busrt_two", synopsis=SYNOPSIS):
    return f"# NAME\n\n{names} - say something\n\n# SYNOPSIS\n\n```\n#include <busrt/x.h>\n\n{synopsis}```\n\n# MORE\n\n" \
           "```\nint busrt_example(void);\n```\n"


class Manual(unittest.TestCase):
    def complaints(self, header=HEADER, build="'busrt_one.3',", **pages):
        pages = pages or {"busrt_one": page()}
        with tempfile.TemporaryDirectory() as root:
            files = {"include/busrt/x.h": header, "docs/man/meson.build": build}
            files.update((f"docs/man/{name}.3.scd", text) for name, text in pages.items())
            for name, text in files.items():
                path = os.path.join(root, name)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "w", encoding="utf-8") as file:
                    file.write(text)
            return list(check_manual.check_tree(root))

    def wrong(self, *parts, **files):
        found = self.complaints(**files)
        self.assertEqual(len(found), len(parts), found)
        for part, line in zip(parts, found):
            self.assertIn(part, line)

    def test_a_manual_that_agrees_is_fine(self):
        self.assertEqual(self.complaints(), [])

    def test_a_function_without_a_page_is_caught(self):
        self.wrong("busrt_three: is in the synopsis of no page", header=HEADER + "void busrt_three(void);\n")

    def test_a_function_of_two_pages_is_caught(self):
        self.wrong("busrt_two: is in the synopsis of busrt_one.3, busrt_two.3", build="'busrt_one.3', 'busrt_two.3'",
                   busrt_one=page(), busrt_two=page("busrt_two", "const void *busrt_two(int x);\n"))

    def test_a_function_that_takes_a_function_is_one(self):
        header = HEADER + "int busrt_three(int (*fn)(const char *name,\n                           void *userdata), void *userdata);\n"
        self.wrong("busrt_three: is in the synopsis of no page", header=header)

    def test_a_value_that_no_page_tells_of_is_caught(self):
        header = HEADER + "enum busrt_word {\n        BUSRT_ONE = 1, /* not BUSRT_THREE */\n        BUSRT_TWO,\n};\n"
        told = page() + "*BUSRT_ONE*\n\tone\n"
        self.wrong("BUSRT_TWO: no page tells of it", header=header, busrt_one=told)
        self.assertEqual(self.complaints(header=header, busrt_one=told + "*BUSRT_TWO*\n"), [])

    def test_a_page_about_nothing_is_caught(self):
        self.wrong("there is no busrt_gone", busrt_one=page("busrt_one, busrt_two, busrt_gone",
                                                            SYNOPSIS + "int busrt_gone(void);\n"))

    def test_another_prototype_is_caught(self):
        self.wrong("int busrt_one(char *name", busrt_one=page(synopsis=SYNOPSIS.replace("const char *name", "char *name")))
        self.wrong("typedef int", busrt_one=page(synopsis=SYNOPSIS.replace("typedef void", "typedef int")))

    def test_a_name_by_which_a_page_is_not_found_is_caught(self):
        self.wrong("busrt_two is not in both", busrt_one=page("busrt_one"))
        self.wrong("busrt_more is not in both", busrt_one=page("busrt_one, busrt_two,\nbusrt_more"))

    def test_a_page_that_lacks_its_own_name_is_caught(self):
        self.wrong("does not have its own name", build="'busrt_other.3'", busrt_other=page())

    def test_a_page_that_is_not_built_is_caught(self):
        self.wrong("is not built", build="")

    def test_a_tree_without_headers_is_no_success(self):
        self.assertIn("no public headers", self.complaints(header="")[0])

    def test_keys_of_the_configuration(self):
        table = '{.key = "One"},\n{.key = "Two"},\n'
        self.assertEqual(list(check_manual.check_keys(table, "*One=* _x_\n\tBuilt in.\n\n*Two=* _y_\n")), [])
        for page, part in (("*One=* _x_\n", "Two= is there 0 times"), ("*One=*\n*Two=*\n*Two=*\n", "Two= is there 2 times"),
                           ("*One=*\n*Two=*\n*Three=*\n", "Three= is no key")):
            found = list(check_manual.check_keys(table, page))
            self.assertEqual(len(found), 1, found)
            self.assertIn(part, found[0])


if __name__ == "__main__":
    unittest.main(verbosity=2)
