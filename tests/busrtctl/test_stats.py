# SPDX-License-Identifier: Apache-2.0
"""busrtctl stats: totals, and rates of what is sent meanwhile."""
import json
import signal
import threading

from bus import PUBLISH
from tool import TestCase, main

TOTALS = ['uptime', 'r_frames', 'r_bytes', 'w_frames', 'w_bytes']


class Stats(TestCase):
    def test_totals(self):
        self.receiver('sender').acked(PUBLISH, b't\0' + b'x' * 5000)
        self.assertRegex(self.ok('stats'), r'^Uptime +(\d+ min )?\d+ s\nIn +\d+ frames +\d\.\d KiB\n'
                         r'Out +\d+ frames +\d+\.?\d* (B|KiB)\n$')

    def test_json(self):
        sender = self.receiver('sender')
        before = json.loads(self.ok('stats', '--json'))
        self.assertEqual(list(before), TOTALS)
        for _ in range(10):
            sender.acked(PUBLISH, b't\0' + b'x' * 998)
        after = json.loads(self.ok('stats', '--json'))
        self.assertGreaterEqual(after['r_bytes'] - before['r_bytes'], 10000)
        self.assertLess(after['r_bytes'] - before['r_bytes'], 12000)

    def test_watching_shows_rates(self):
        out = self.ok('stats', '--watch', '-i', '10ms', '-c', '21').splitlines()
        self.assertEqual(len(out), 23)
        for n, line in enumerate(out):
            if n in (0, 21):
                self.assertRegex(line, '^TIME +IN FRAMES/s +IN BYTES/s +OUT FRAMES/s +OUT BYTES/s$')
            else:
                self.assertRegex(line, r'^\d\d:\d\d:\d\d +[\d,]+ +[\d.]+ \w+ +[\d,]+ +[\d.]+ \w+$')
        self.assertEqual(len({len(line) for line in out}), 1)

    def test_rates_are_what_was_sent(self):
        sender, done = self.receiver('sender'), threading.Event()

        def publish():
            while not done.is_set():
                sender.acked(PUBLISH, b't\0' + b'x' * 98)
        thread = threading.Thread(target=publish)
        thread.start()
        try:
            line = json.loads(self.ok('stats', '-i', '300ms', '-c', '1', '--json'))
        finally:
            done.set()
            thread.join()
        self.assertEqual(list(line), ['seconds', *TOTALS, 'r_frames_per_second', 'r_bytes_per_second',
                                      'w_frames_per_second', 'w_bytes_per_second'])
        self.assertGreaterEqual(line['seconds'], 0.3)
        self.assertGreater(line['r_frames_per_second'], 10)
        self.assertAlmostEqual(line['r_bytes_per_second'] / line['r_frames_per_second'], 100, delta=20)

    def test_a_signal_ends_watching(self):
        process = self.running('stats', '-w', '-i', '10ms')
        process.out.wait_for(r'\d\d:\d\d:\d\d')
        process.signal(signal.SIGINT)
        self.assertEqual(process.wait(), 0)

    def test_a_signal_is_seen_while_an_answer_is_awaited(self):
        process = self.running('-t', '10m', 'stats', '-w', '-i', '10ms')
        process.out.wait_for(r'\d\d:\d\d:\d\d')
        self.bus.signal(signal.SIGSTOP)
        process.signal(signal.SIGINT)
        self.assertEqual((process.wait(), process.err.read_all()), (0, ''))

    def test_a_lost_connection_is_a_failure(self):
        process = self.running('stats', '-w', '-i', '10ms')
        process.out.wait_for(r'\d\d:\d\d:\d\d')
        self.bus.stop()
        self.assertEqual(process.wait(), 1)
        self.assertRegex(process.err.read_all(), 'busrtctl: ')

    def test_mistakes(self):
        self.fails('stats', 'x', says='no arguments', status=2)
        self.fails('stats', '-i', '0', says='-i "0": not a time', status=2)


if __name__ == '__main__':
    main()
