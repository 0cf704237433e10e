# SPDX-License-Identifier: Apache-2.0
"""busrtctl ping: round trips, what is lost, and the sum of it."""
import json
import re
import signal

from tool import TestCase, main

ANSWER = r'reply from \.broker: seq=(\d+) time=\d+\.\d{3} ms'
SUMMARY = r'\n--- (\S+) ping statistics ---\n(\d+) sent, (\d+) answered, (\S+)% lost, time \d+ ms\n'
TIMES = r'rtt min/avg/max/mdev = (\d+\.\d{3})/(\d+\.\d{3})/(\d+\.\d{3})/(\d+\.\d{3}) ms\n$'


class Ping(TestCase):
    def summary(self, text):
        found = re.search(SUMMARY, text)
        self.assertTrue(found, text)
        return found.groups()

    def test_the_broker_by_default(self):
        out = self.ok('ping', '-c', '3', '-i', '1ms')
        self.assertTrue(out.startswith(f'PING .broker at {self.path}\n'))
        self.assertEqual(re.findall(ANSWER, out), ['1', '2', '3'])
        self.assertEqual(self.summary(out), ('.broker', '3', '3', '0'))
        low, mean, high, _ = map(float, re.search(TIMES, out).groups())
        self.assertTrue(low <= mean <= high)

    def test_quiet_and_without_pauses(self):
        out = self.ok('ping', '-q', '-c', '1000', '-i', '0')
        self.assertNotIn('seq=', out)
        self.assertEqual(self.summary(out), ('.broker', '1000', '1000', '0'))

    def test_the_interval_is_kept(self):
        out = self.ok('ping', '-c', '4', '-i', '50ms')
        self.assertGreaterEqual(int(re.search(r'time (\d+) ms', out).group(1)), 150)

    def test_a_client_that_serves_calls(self):
        server = self.running('-n', 'plc.1', 'rpc', 'listen', '-v')
        server.err.wait_for('Serving as')
        out = self.ok('ping', 'plc.1', '-c', '2', '-i', '0')
        self.assertEqual(len(re.findall(r'(?m)^reply from plc\.1: seq=\d time=[\d.]+ ms$', out)), 2)

    def test_another_error_is_told(self):
        server = self.running('-n', 'plc.1', 'rpc', 'listen', '-v', '--error', '-32603')
        server.err.wait_for('Serving as')
        self.assertRegex(self.ok('ping', 'plc.1', '-c', '1'), r'ms \(error -32603, internal error\)\n')

    def test_silence_is_lost(self):
        self.receiver('mute')
        status, out, err = self.ctl('-t', '1s', 'ping', 'mute', '-c', '2', '-i', '0')
        self.assertEqual((status, err), (1, ''))
        self.assertIn('mute: seq=1 no answer in time\nmute: seq=2 no answer in time\n', out.decode())
        self.assertEqual(self.summary(out.decode()), ('mute', '2', '0', '100'))
        self.assertNotIn(b'rtt', out)

    def test_nobody_there_is_lost(self):
        status, out, _ = self.ctl('ping', 'nobody', '-c', '1')
        self.assertEqual(status, 1)
        self.assertIn(b'nobody: seq=1 nobody has that name\n', out)

    def test_a_signal_ends_it_with_the_summary(self):
        process = self.running('ping', '-i', '5ms')
        process.out.wait_for('seq=3 ')
        process.signal(signal.SIGINT)
        self.assertEqual(process.wait(), 0)
        _, sent, answered, lost = self.summary(process.out.read_all())
        self.assertEqual((answered, lost), (sent, '0'))

    def test_a_signal_before_the_first_answer_is_no_success(self):
        self.receiver('mute')
        process = self.running('ping', 'mute')
        process.out.wait_for('PING')
        process.signal(signal.SIGINT)
        self.assertEqual(process.wait(), 1)
        self.assertEqual(self.summary(process.out.read_all())[1:3], ('0', '0'))

    def test_a_broker_that_dies(self):
        process = self.running('ping', '-i', '5ms')
        process.out.wait_for('seq=2 ')
        self.bus.signal(signal.SIGKILL)
        self.assertEqual(process.wait(), 1)
        self.assertGreaterEqual(int(self.summary(process.out.read_all())[2]), 2)
        self.assertIn('the connection is lost', process.err.read_all())

    def test_json(self):
        self.receiver('mute')
        lines = [json.loads(line) for line in self.ok('ping', '--json', '-c', '2', '-i', '0').splitlines()]
        self.assertEqual([(line['seq'], line['lost'], line['error_code']) for line in lines[:2]],
                         [(1, None, None), (2, None, None)])
        self.assertEqual((lines[2]['sent'], lines[2]['received']), (2, 2))
        self.assertLessEqual(lines[2]['min_ms'], lines[2]['max_ms'])
        status, out, _ = self.ctl('-t', '20ms', 'ping', 'mute', '--json', '-c', '1')
        self.assertEqual(status, 1)
        self.assertEqual(json.loads(out.splitlines()[0]),
                         {'seq': 1, 'time_ms': None, 'lost': 'no answer in time', 'error_code': None})

    def test_mistakes(self):
        self.fails('ping', 'a', 'b', says='more than one target', status=2)
        self.fails('ping', '-i', 'often', says='-i "often"', status=2)
        self.fails('ping', '-c', '0', says='-c "0"', status=2)


if __name__ == '__main__':
    main()
