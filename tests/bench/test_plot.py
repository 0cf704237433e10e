# SPDX-License-Identifier: Apache-2.0
"""test_plot.py BUSRTD BUSRTCTL: what `busrtctl benchmark --json` prints can be drawn, and what is drawn is SVG with a
line for each file."""
import os
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as xml

from brokers import Broker, Side

BUSRTD, BUSRTCTL = sys.argv.pop(1), sys.argv.pop(1)
PLOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'plot.py')
SVG = '{http://www.w3.org/2000/svg}'


class Plots(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix='busrt-plot-')
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def measure(self, name, *stages):
        with Broker(Side('ours', BUSRTD)) as broker, open(self.path(name), 'wb') as file:
            subprocess.run([BUSRTCTL, '-s', broker.socket, 'benchmark', '--json', '-i', '40', '--seconds', '20s',
                            *(word for stage in stages for word in ('--stage', stage))],
                           check=True, timeout=120, stdout=file)

    def draw(self, *files):
        return subprocess.run([sys.executable, PLOT, '-o', self.path('plots'), *files], capture_output=True, text=True,
                              timeout=60)

    def lines(self, name):
        root = xml.parse(self.path('plots', name)).getroot()
        self.assertEqual(root.tag, SVG + 'svg')
        # Each has one in the legend, too.
        return len([path for path in root.iter(SVG + 'path') if path.get('class') == 'line']) // 2, root

    def test_each_file_is_a_line(self):
        self.measure('one.json', 'latency.*', 'payload.16', 'payload.256', 'fan-out.10', 'fan-out.100')
        done = self.draw('one=' + self.path('one.json'), '<two>=' + self.path('one.json'))
        self.assertEqual((done.returncode, done.stderr), (0, ''))
        self.assertEqual(sorted(os.listdir(self.path('plots'))), ['fan-out.svg', 'latency.svg', 'payload.svg'])
        self.assertEqual(self.lines('latency.svg')[0], 6)
        n, root = self.lines('payload.svg')
        self.assertEqual((n, len(list(root.iter(SVG + 'circle')))), (2, 4))
        texts = [text.text for text in root.iter(SVG + 'text')]
        for text in '16 B', '256 B', 'one', '<two>':
            self.assertIn(text, texts)
        self.assertEqual(self.lines('fan-out.svg')[0], 2)

    def test_what_was_not_measured_is_not_drawn(self):
        self.measure('calls.json', 'rpc.call')
        self.assertEqual(self.draw(self.path('calls.json')).returncode, 0)
        self.assertEqual(os.listdir(self.path('plots')), ['latency.svg'])

    def test_nothing_to_draw_is_an_error(self):
        self.measure('none.json', 'send.qos.no')
        done = self.draw(self.path('none.json'))
        self.assertEqual(done.returncode, 1)
        self.assertIn('nothing to draw', done.stderr)

    def test_another_file_is_an_error(self):
        with open(self.path('other.json'), 'w', encoding='utf-8') as file:
            file.write('[]')
        for name in 'other.json', 'missing.json':
            done = self.draw(self.path(name))
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stderr, r'^plot\.py: \S+: not what busrtctl benchmark --json prints')


if __name__ == '__main__':
    unittest.main()
