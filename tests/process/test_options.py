# SPDX-License-Identifier: Apache-2.0
"""The command line, from outside: answers, complaints and exit statuses."""
import os

from bus import BUSRTD, OK, SUBSCRIBE, TestCase, main, run


class Options(TestCase):
    def refused(self, *args, says):
        status, out, err = run(*args)
        self.assertEqual((status, out), (2, ''))
        self.assert_one_line(err, '^busrtd: .*' + says)

    def test_help_goes_to_stdout(self):
        for option in '-h', '--help':
            status, out, err = run(option)
            self.assertEqual((status, err), (0, ''))
            for word in ('--bind', '--busy-poll', 'without effect', '-w', '--buf-size', '--buf-ttl'):
                self.assertIn(word, out)

    def test_the_version_is_told(self):
        for option in '-V', '--version':
            status, out, err = run(option)
            self.assertEqual((status, err), (0, ''))
            self.assertRegex(out, r'^busrtd \d+\.\d+\.\d+\n$')

    def test_help_that_cannot_be_written_is_a_failure(self):
        with open('/dev/full', 'w') as full:
            self.assertEqual(os.waitstatus_to_exitcode(os.system(f'"{BUSRTD}" --help >/dev/full')), 1, full)

    def test_mistakes_are_one_line_and_status_2(self):
        self.refused('--nonsense', says='unknown option "--nonsense"')
        self.refused('-t', says='-t needs a value')
        self.refused('-t', '0', says='-t "0": a number of seconds')
        self.refused('-B', 'nonsense', says='not an address')
        self.refused('-B', 'ws://127.0.0.1:1', says='WebSocket')
        self.refused('--queue-size', '0', says='whole number')
        self.refused('more', says='unexpected argument')
        self.refused('--verbose', '--verbose', says='given twice')
        self.refused('-B', 'a\033[2J', says='not an address')

    def test_a_start_script_of_the_reference_works(self):
        broker = self.broker('-B', 'bus.sock', '--bind', '127.0.0.1:0', '--bind=fifo:bus.fifo', '-w', '4', '-t', '5',
                             '--buf-size', '16384', '--buf-ttl', '10', '--queue-size', '8192', '--force-register',
                             '-P', 'busrtd.pid', '--verbose')
        self.assert_serves(broker.path())

    def test_limits_of_the_command_line_are_in_force(self):
        broker = self.broker('-B', 'bus.sock', '--max-topic-parts', '3', '--max-topic-length', '20')
        client = self.connected(broker, 'c')
        self.assertEqual(client.acked(SUBSCRIBE, b'a/b/c'), OK)
        self.assertEqual(client.acked(SUBSCRIBE, b'a/b/c/d'), 0x72)
        self.assertEqual(client.acked(SUBSCRIBE, b'x' * 21), 0x72)
        broker.log.wait_for('limits: .*topic 3 parts, 20 bytes')

    def test_the_start_is_told_in_a_few_lines(self):
        broker = self.broker('-t', '5', '-B', 'bus.sock', '-B', '127.0.0.1:0')
        broker.log.wait_for('limits: ')
        self.assertEqual(broker.stop(), 0)
        self.assertRegex(broker.log.text, r'(?s)^\S+  busrtd \S+ starts\n'
                         r'\S+  listening on bus.sock \(UNIX, mode 0\d\d\d\)\n'
                         r'\S+  listening on 127.0.0.1:\d+ \(TCP\)\n'
                         r'\S+  limits: timeout 5 s; [^\n]*\n'
                         r'\S+  got SIGTERM: stopping\n$')


if __name__ == '__main__':
    main()
