# SPDX-License-Identifier: Apache-2.0
"""test_floor.py BUSRT_FLOOR BUSRT_LOAD: the floor does what the client expects of it, and nothing else."""
import json
import subprocess
import sys
import unittest

from brokers import Broker, Side

FLOOR, LOAD = sys.argv.pop(1), sys.argv.pop(1)
ONE_WAY = ['--warmup', '0', '--seconds', '60', '--count', '300']
LARGE = ['--raw', '--clients', '2', '--payload', '1000000', '--batch', '1', '--window', '8', '--count', '20']


def start(*args, tcp=False):
    return Broker(Side('floor', FLOOR), args, tcp=tcp)


def run(broker, mode, *args):
    return subprocess.run([LOAD, mode, broker.socket, *ONE_WAY, *args], capture_output=True, text=True, timeout=60)


class Floor(unittest.TestCase):
    def passes(self, broker, mode, *args):
        done = run(broker, mode, *args)
        self.assertEqual((done.returncode, done.stderr), (0, ''))
        return json.loads(done.stdout)

    def refused(self, reason, broker, *args):
        done = run(broker, 'throughput', *args)
        self.assertEqual(done.returncode, 1)
        self.assertIn(reason, done.stderr)

    def test_acknowledges_every_frame_that_asks(self):
        for tcp in False, True:
            with start('ack', tcp=tcp) as broker:
                for depth in '1', '64':
                    self.assertEqual(self.passes(broker, 'throughput', '--stage', 'send.ack', '--depth', depth)['units'], 2400)

    def test_passes_messages_on_to_the_next_connection(self):
        with start('ack', '--pass') as broker:
            # The ring begins anew when all have gone.
            for depth in '1', '64', '1':
                found = self.passes(broker, 'throughput', '--stage', 'send+recv.ack', '--depth', depth)
                self.assertEqual(found['delivered'], 2400)

    def test_passes_nothing_on_unless_told_to(self):
        with start('ack') as broker:
            self.refused('acknowledged with code 0x71', broker, '--stage', 'send+recv.ack')

    def test_looks_all_the_time_if_told_to(self):
        with start('ack', '--poll') as broker:
            self.passes(broker, 'throughput', '--stage', 'send.ack', '--clients', '1', '--poll')

    def test_relays_bytes_as_they_are(self):
        for options in [], ['--poll']:
            with start('relay', *options) as broker:
                self.assertEqual(self.passes(broker, 'throughput', *LARGE)['delivered'], 40)
            with start('relay', *options) as broker:
                self.assertEqual(self.passes(broker, 'latency', '--raw', '--block')['units'], 300)

    def test_a_relay_is_no_broker(self):
        with start('relay') as broker:
            self.refused('too long', broker, '--clients', '2')

    def test_a_relay_is_for_plain_messages_only(self):
        with start('relay') as broker:
            self.refused('a relay knows only send+recv.no', broker, '--raw', '--stage', 'publish+recv.no')

    def test_refuses_what_it_does_not_know(self):
        for args in ([], ['ack'], ['ack', '-B', '/nowhere/at.sock'], ['relay', '-B', '/tmp', '--connections', '0'],
                     ['fly', '-B', '/nowhere/at.sock'], ['ack', '--fast']):
            done = subprocess.run([FLOOR, *args], capture_output=True, timeout=60)
            self.assertIn(done.returncode, (1, 2))


if __name__ == '__main__':
    unittest.main()
