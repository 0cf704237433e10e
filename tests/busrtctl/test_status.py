# SPDX-License-Identifier: Apache-2.0
"""busrtctl status: how the broker does, for people and as JSON."""
import json
import re

from bus import OK, PUBLISH, SUBSCRIBE
from tool import TestCase, main, run


class Status(TestCase):
    broker_args = ('-B', '127.0.0.1:0')

    def test_for_people(self):
        self.receiver('plc.1')
        lines = self.ok('status').splitlines()
        self.assertRegex(lines[0], r'^● busrtd \d+\.\d+\.\d+$')
        labels = [line[:13].strip() for line in lines[1:]]
        self.assertEqual(labels, ['Active', 'PID', 'Reached by', 'Listeners', '', 'Clients', 'In', 'Out', 'Queues',
                                  'Dropped', 'Struck', 'Refused', 'Denied', 'Bad', 'Access', 'Log level'])
        text = '\n'.join(lines)
        self.assertRegex(text, r'Active: since \w{3} \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC; \d+\w+ ago\n')
        self.assertIn(f'PID: {self.bus.process.pid}\n', text)
        self.assertIn(f'Reached by: {self.path}\n', text)
        self.assertIn('Listeners: unix bus.sock\n' + ' ' * 15 + 'tcp  127.0.0.1:', text)
        self.assertIn('Clients: 2, on 2 connections\n', text)
        self.assertRegex(text, r'In: [\d,]+ frames, \d.* B\n')
        self.assertRegex(text, r'Queues: .*B held of .*iB \(0\.0%\)\n')
        self.assertIn('Dropped: 0 frames\n', text)

    def test_limits(self):
        self.assertNotIn('QueueFrames', self.ok('status'))
        for option in '-l', '--limits':
            self.assertRegex(self.ok('status', option), r'Limits: \w+=\S+\n(?: {15}\w+=\S*\n)+ +Descriptors: [\d,]+ at most\n$')
            self.assertIn('QueueFrames=8192\n', self.ok('status', option))

    def test_json(self):
        sender, receiver = self.receiver('sender'), self.receiver('receiver')
        receiver.acked(SUBSCRIBE, b'#')
        for args in ('status', '--json'), ('--json', 'status'):
            before = json.loads(self.ok(*args))
            self.assertEqual(sender.acked(PUBLISH, b't\0' + b'x' * 998), OK)
            after = json.loads(self.ok(*args))
            self.assertGreaterEqual(after['in_bytes'] - before['in_bytes'], 1000)
            self.assertGreaterEqual(after['out_frames'] - before['out_frames'], 2)
        self.assertEqual((after['pid'], after['clients'], after['log_level']), (self.bus.process.pid, 3, 'info'))
        self.assertEqual((after['dropped'], after['struck'], after['refused'], after['bad_frames']), (0, 0, 0, 0))
        self.assertEqual([listener['kind'] for listener in after['listeners']], ['unix', 'tcp'])
        self.assertEqual(after['limits']['QueueFrames'], '8192')
        self.assertTrue(re.fullmatch(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z', after['started']))
        self.assertEqual(after['route'], self.path)

    def test_what_went_wrong_stands_out(self):
        self.assertEqual(self.connected(self.bus, 'bad').socket.send(b'\xff' * 9), 9)
        terminal = self.terminal('status')
        self.assertEqual(terminal.wait(), 0)
        self.assertIn(b'\033[33m1 connection that broke the protocol\033[0m', terminal.screen)
        self.assertIn(b'0 frames', terminal.screen)
        self.assertNotIn(b'\033[33m0', terminal.screen)

    def test_the_c_locale(self):
        self.assertEqual(self.ok('status', env={'LC_ALL': 'C'})[:9], '* busrtd ')

    def test_no_broker(self):
        status, out, err = run('-s', '/nowhere/bus.sock', 'status')
        self.assertEqual((status, out), (1, b''))
        self.assertIn('/nowhere/bus.sock', err)

    def test_mistakes(self):
        self.fails('status', 'x', says='no arguments: "x"', status=2)
        self.fails('status', '--all', says='unknown option --all', status=2)


if __name__ == '__main__':
    main()
