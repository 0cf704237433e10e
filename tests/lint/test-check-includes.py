#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Shows that check-includes.py catches what it is there for: each test lays a small tree in a temporary folder,
with one thing right or wrong in it, and looks at what is reported."""
import importlib.util
import os
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
spec = importlib.util.spec_from_file_location("check_includes", os.path.join(HERE, "check-includes.py"))
check_includes = importlib.util.module_from_spec(spec)
spec.loader.exec_module(check_includes)


class Includes(unittest.TestCase):
    def complaints(self, files):
        """What is said of a tree of these files: path -> text."""
        with tempfile.TemporaryDirectory() as root:
            os.makedirs(os.path.join(root, "src"))
            for name, text in files.items():
                path = os.path.join(root, name)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "w", encoding="utf-8") as file:
                    file.write(text)
            return check_includes.check_tree(root)

    def fine(self, files):
        self.assertEqual(self.complaints(files), [])

    def wrong(self, part, files):
        found = self.complaints(files)
        self.assertEqual(len(found), 1, found)
        self.assertIn(part, found[0])

    def test_an_arrow_that_runs_forward_is_fine(self):
        self.fine({"src/wire/frame.c": '#include "basic/macro.h"\n#include <stdint.h>\n'})
        self.fine({"src/busrtd/main.c": '#include "engine/engine.h"\n#include "basic/macro.h"\n#include "route/mask.h"\n'})

    def test_an_arrow_that_runs_back_is_caught(self):
        self.wrong("wire may not use engine", {"src/wire/frame.c": '#include "engine/engine.h"\n'})
        self.wrong("basic may not use wire", {"src/basic/table.h": '#include "wire/frame.h"\n'})
        self.wrong("client may not use route", {"src/client/client.c": '#include "route/mask.h"\n'})
        self.wrong("busrtctl may not use engine", {"src/busrtctl/main.c": '#include "engine/engine.h"\n'})

    def test_rooms_side_by_side_do_not_use_each_other(self):
        self.wrong("wire may not use route", {"src/wire/frame.c": '#include "route/mask.h"\n'})
        self.wrong("route may not use transport", {"src/route/mask.c": '#include "transport/transport.h"\n'})

    def test_a_way_round_by_dots_is_caught(self):
        self.wrong("wire may not use engine", {"src/engine/engine.h": "",
                   "src/wire/frame.c": '#include "../engine/engine.h"\n'})

    def test_the_line_is_named(self):
        self.wrong("src/wire/frame.c:3:", {"src/wire/frame.c": '/*\n */\n  #  include "engine/engine.h"\n'})

    def test_comments_are_not_includes(self):
        self.fine({"src/wire/frame.c": '/*\n#include "engine/engine.h"\n*/\n// #include "engine/engine.h"\n'})

    def test_an_include_by_macro_is_refused(self):
        self.wrong("by macro", {"src/wire/frame.c": "#include ROOM\n"})

    def test_a_room_of_no_name_is_refused(self):
        self.wrong("no known room", {"src/misc/misc.c": ""})
        self.wrong("there is no room misc", {"src/wire/frame.c": '#include "misc/misc.h"\n'})

    def test_third_party_headers_stay_in_their_rooms(self):
        self.fine({"src/busrtd/main.c": "#include <systemd/sd-daemon.h>\n#include <bsd/string.h>\n"})
        self.fine({"src/broker-rpc/filter.c": "#include <pcre2.h>\n#include <msgpack.h>\n#include <msgpack/pack.h>\n"})
        self.wrong("belongs to busrtctl, busrtd", {"src/engine/worker.c": "#include <systemd/sd-event.h>\n"})
        self.wrong("belongs to broker-rpc, busrtctl", {"src/busrtd/main.c": "#include <pcre2.h>\n"})
        self.wrong("belongs to busrtctl, busrtd", {"src/engine/session.c": "#include <bsd/string.h>\n"})
        self.wrong("is not known here", {"src/engine/session.c": "#include <uv.h>\n"})

    def test_the_queue_macros_are_everywhere_but_not_those_of_the_c_library(self):
        self.fine({"src/engine/session.c": "#include <bsd/sys/queue.h>\n#include <bsd/sys/tree.h>\n"})
        self.wrong("use <bsd/sys/queue.h>", {"src/engine/session.c": "#include <sys/queue.h>\n"})

    def test_public_headers_stand_alone(self):
        self.fine({"include/busrt/client.h": '#include <stdint.h>\n#include "error.h"\n', "include/busrt/error.h": ""})
        self.wrong("public header", {"include/busrt/client.h": '#include "wire/frame.h"\n'})
        self.wrong("public header", {"include/busrt/client.h": "#include <systemd/sd-event.h>\n"})
        self.wrong("is public", {"src/engine/engine.c": "#include <busrt/client.h>\n"})

    def test_attachments_may_include_what_they_attach_and_nothing_else(self):
        self.fine({"include/busrt/sd-event.h": "#include <systemd/sd-event.h>\n#include <busrt/client.h>\n"})
        self.fine({"include/busrt/msgpack.h": "#include <msgpack.h>\n"})
        self.wrong("public header", {"include/busrt/sd-event.h": "#include <systemd/sd-bus.h>\n"})
        self.wrong("public header", {"include/busrt/sd-event.h": "#include <msgpack.h>\n"})
        self.wrong("public header", {"include/busrt/msgpack.h": "#include <msgpack/pack.h>\n"})
        self.wrong("public header", {"include/other/msgpack.h": "#include <msgpack.h>\n"})

    def test_attachments_are_used_where_what_they_attach_may_be(self):
        self.fine({"src/busrtctl/main.c": "#include <busrt/sd-event.h>\n#include <busrt/msgpack.h>\n"})
        self.wrong("belongs to broker-rpc, busrtctl, not to client",
                   {"src/client/call.c": "#include <busrt/msgpack.h>\n"})
        self.wrong("belongs to busrtctl, busrtd, not to client", {"src/client/loop.c": "#include <busrt/sd-event.h>\n"})
        self.wrong("not to another public header", {"include/busrt/rpc.h": "#include <busrt/msgpack.h>\n"})

    def test_a_build_file_that_links_a_later_room_is_caught(self):
        self.fine({"src/wire/meson.build": "wire = declare_dependency(link_with: x, dependencies: [basic])\n"})
        self.wrong("wire may not link engine",
                   {"src/wire/meson.build": "wire = declare_dependency(\n        dependencies: [basic, engine])\n"})
        self.wrong("route may not link broker-rpc", {"src/route/meson.build": "x = [broker_rpc]\n"})

    def test_a_build_file_that_links_a_library_of_another_room_is_caught(self):
        self.fine({"src/busrtd/meson.build": "executable('busrtd', 'main.c', dependencies: [libsystemd, libbsd])\n"})
        self.wrong("libbsd belongs to", {"src/engine/meson.build": "dependencies: [libbsd]\n"})

    def test_names_in_strings_and_comments_of_a_build_file_do_not_count(self):
        self.fine({"src/wire/meson.build": "# engine\nx = static_library('engine', 'busrtd.c')\n"})

    def test_a_tree_without_sources_is_no_success(self):
        with tempfile.TemporaryDirectory() as root:
            self.assertEqual(len(check_includes.check_tree(root)), 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
