# SPDX-License-Identifier: Apache-2.0
"""busrtctl monitor: events as they happen, which of them, and how it ends."""
import json
import signal
import time

from tool import TestCase, main


class Monitor(TestCase):
    def monitor(self, *args):
        process = self.running('monitor', '-v', *args)
        process.err.wait_for('Watching .*bus.sock. Ctrl-C ends it.')
        return process

    def come_and_go(self, name):
        with self.bus.client(name):
            pass

    def comes(self, process, name, pattern):
        """Events are told from some moment on: clients come until one is."""
        for _ in range(1000):
            self.come_and_go(name)
            process.out.read_more(0.05)
            if name in process.out.text:
                break
        return process.out.wait_for(pattern)

    def test_who_comes_and_goes(self):
        process = self.monitor()
        self.comes(process, 'plc.1', r'\d\d:\d\d:\d\d\.\d{3} connected plc\.1( \(#\d+\))?\n')
        process.out.wait_for(r'\d\d:\d\d:\d\d\.\d{3} gone      plc\.1')

    def test_patterns_and_events(self):
        process = self.monitor('-e', 'connected,resync', 'plc.*', 'hall')
        self.comes(process, 'hall', 'connected hall')
        self.come_and_go('nobody')
        self.come_and_go('plc.2')
        process.out.wait_for(r'connected plc\.2')
        process.signal(signal.SIGINT)
        process.wait()
        text = process.out.read_all()
        self.assertNotIn('nobody', text)
        self.assertNotIn('gone', text)

    def test_json(self):
        process = self.monitor('--json', '-e', 'connected', 'plc*')
        self.comes(process, 'plc.1', '}\n')
        event = json.loads(process.out.text.splitlines()[0])
        self.assertEqual(list(event), ['time', 'event', 'id', 'client', 'detail'])
        self.assertEqual((event['event'], event['client']), ('connected', 'plc.1'))
        self.assertRegex(event['time'], r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$')

    def test_so_many(self):
        process = self.monitor('-c', '1', 'plc*')
        self.comes(process, 'plc.1', 'plc')
        self.assertEqual(process.wait(), 0)
        self.assertEqual(process.out.read_all().count('\n'), 1)

    def test_local_and_universal_time(self):
        for options, differ in (('--utc',), False), ((), True):
            process = self.running('monitor', '-v', '-e', 'connected', *options, env={'TZ': 'AAA-5'})
            process.err.wait_for('Watching')
            hour = int(self.comes(process, 'plc.1', r'(\d\d):\d\d:\d\d\.\d+ connected').group(1))
            self.assertEqual((hour - time.gmtime().tm_hour) % 24 >= 4, differ)

    def test_a_signal_ends_it(self):
        for number in signal.SIGINT, signal.SIGTERM:
            process = self.monitor()
            process.signal(number)
            self.assertEqual(process.wait(), 0)

    def test_a_lost_broker_is_a_failure(self):
        process = self.monitor('nobody')
        self.bus.stop()
        self.assertEqual(process.wait(), 1)
        process.out.wait_for(r'shutdown\n')
        self.assertRegex(process.err.read_all(), 'busrtctl: .*broker')

    def test_colours_on_a_terminal_alone(self):
        terminal = self.terminal('monitor', '-c', '1', '-e', 'connected')
        terminal.wait_for(b'Watching')
        while b'plc.1' not in terminal.screen:
            self.come_and_go('plc.1')
            terminal.read(0.05)
        self.assertIn(b'\033[32mconnected\033[0m \033[36mplc.1\033[0m', terminal.screen)

    def test_mistakes(self):
        self.fails('monitor', '-e', 'nothing', says='-e "nothing": no such event', status=2)
        self.fails('monitor', '-c', '0', says='not a number above 0', status=2)


if __name__ == '__main__':
    main()
