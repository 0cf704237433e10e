# SPDX-License-Identifier: Apache-2.0
"""busrtctl metrics: both formats, as promtool and Prometheus' own library read them where they are there."""
import os
import re
import shutil
import subprocess
import unittest

from bus import MESSAGE, OK
from tool import TestCase, main

try:
    from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
    from prometheus_client.parser import text_string_to_metric_families as read_text
except ImportError:
    read_openmetrics = read_text = None

SAMPLE = re.compile(r'(\w+)(?:\{((?:\w+="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (-?[\d.]+)')


def samples(text):
    """name or (name, labels) -> value, of a text that has nothing else in it but comments."""
    found = {}
    for line in text.splitlines():
        if not line.startswith('# '):
            name, labels, value = SAMPLE.fullmatch(line).groups()
            found[(name, labels) if labels else name] = float(value)
    return found


class Metrics(TestCase):
    def setUp(self):
        super().setUp()
        self.one, self.two = self.receiver('plc.1'), self.receiver('生产线"\\x')
        for _ in range(3):
            self.assertEqual(self.two.acked(MESSAGE, b'plc.1\0' + b'x' * 2000), OK)

    def test_the_broker(self):
        text = self.ok('metrics')
        found = samples(text)
        self.assertEqual(found['busrt_clients'], 3)
        self.assertGreaterEqual(found['busrt_in_bytes_total'], 6018)
        self.assertEqual(found['busrt_dropped_frames_total'], 0)
        self.assertRegex(text, r'busrt_build_info\{version="\d+\.\d+\.\d+"\} 1\n')
        for name in found:
            name = name if isinstance(name, str) else name[0]
            kind = 'counter' if name.endswith('_total') else 'gauge'
            self.assertRegex(text, rf'# HELP {name} [A-Z].*\.\n# TYPE {name} {kind}\n{name}[ {{]')
        self.assertNotIn('client=', text)
        self.assertNotIn('EOF', text)

    def test_openmetrics(self):
        text = self.ok('metrics', '--openmetrics', '--clients')
        self.assertTrue(text.endswith('\n# EOF\n'))
        self.assertIn('# TYPE busrt_build info\nbusrt_build_info{', text)
        self.assertIn('# TYPE busrt_in_bytes counter\n# UNIT busrt_in_bytes bytes\nbusrt_in_bytes_total ', text)

    def test_clients(self):
        user = samples(self.ok('metrics', '--clients'))
        found = {labels: value for (name, labels), value in ((key, value) for key, value in user.items()
                                                             if isinstance(key, tuple))
                 if name == 'busrt_client_in_bytes_total'}
        names = [re.match(r'client="((?:[^"\\]|\\.)*)"', labels).group(1) for labels in found]
        self.assertEqual(names[:2], ['plc.1', r'生产线\"\\x'])
        self.assertEqual(list(found.values())[:2], [0, 6018])
        self.assertEqual(user['busrt_clients_left_out'], 0)

    def test_so_many_clients(self):
        for option, left_out in ('--clients=1', 2), ('--clients=3', 0), ('--clients=9', 0):
            text = self.ok('-n', 'zz', 'metrics', option)
            self.assertEqual(samples(text)['busrt_clients_left_out'], left_out)
            self.assertIn('client="plc.1"', text)
            self.assertEqual('client="zz"' in text, left_out == 0)

    def test_a_file_is_replaced_at_one_blow(self):
        folder = self.directory()
        path = os.path.join(folder, 'busrt.prom')
        for before in None, 'old':
            if before:
                with open(path, 'w') as file:
                    file.write(before)
                os.chmod(path, 0o600)
            self.assertEqual(self.ok('metrics', '--output', path, umask=0o077), '')
            with open(path) as file:
                self.assertIn('busrt_clients 3\n', file.read())
            self.assertEqual((os.stat(path).st_mode & 0o777, os.listdir(folder)), (0o644, ['busrt.prom']))

    def test_where_it_fails_the_file_stays(self):
        folder = self.directory()
        path = os.path.join(folder, 'busrt.prom')
        with open(path, 'w') as file:
            file.write('old')
        self.bus.stop()
        self.fails('metrics', '-o', path, says='bus.sock')
        with open(path) as file:
            self.assertEqual((file.read(), os.listdir(folder)), ('old', ['busrt.prom']))

    def test_what_is_no_file_stays(self):
        self.fails('metrics', '-o', '/dev/null', says='/dev/null is no file: it is not replaced')
        self.fails('metrics', '-o', '/nowhere/busrt.prom', says='cannot replace /nowhere/busrt.prom: No such file')
        self.fails('metrics', '-o', self.directory(), says='is no file')

    def test_names_are_escaped_for_a_terminal_alone(self):
        self.receiver('x\u202e')
        self.assertIn('client="x\u202e"', self.ok('metrics', '--clients'))
        terminal = self.terminal('metrics', '--clients')
        terminal.wait()
        self.assertIn(rb'client="x\\xe2\\x80\\xae"', terminal.screen)

    @unittest.skipUnless(shutil.which('promtool'), 'there is no promtool')
    def test_promtool_has_no_complaints(self):
        for args in ('metrics',), ('metrics', '--clients'):
            done = subprocess.run(['promtool', 'check', 'metrics'], input=self.ok(*args), capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ''))

    @unittest.skipUnless(read_openmetrics, "Prometheus' Python library is not there")
    def test_prometheus_reads_both(self):
        for read, args in (read_text, ()), (read_openmetrics, ('--openmetrics',)):
            families = {family.name: family for family in read(self.ok('metrics', '--clients', *args))}
            self.assertEqual(families['busrt_in_bytes'].type, 'counter')
            self.assertEqual(families['busrt_client_in_bytes'].samples[1].labels['client'], '生产线"\\x')

    def test_mistakes(self):
        self.fails('metrics', '--clients=0', says='not a number above 0', status=2)
        self.fails('metrics', 'x', says='no arguments', status=2)
        self.fails('metrics', '-o', '', says='-o: it is empty', status=2)


if __name__ == '__main__':
    main()
