# SPDX-License-Identifier: Apache-2.0
"""busrtctl listen: what it prints of what came, and how it ends."""
import base64
import json
import os
import re
import signal

from bus import BROADCAST, MESSAGE, OK, PUBLISH
from tool import Running, TestCase, main

TIME = r'\d\d:\d\d:\d\d\.\d{3}'
ALL_BYTES = bytes(range(256))
HOSTILE = 'a\033[2J\u202eb\u0085c\\d'.encode() + b'\x07'


class Listen(TestCase):
    def setUp(self):
        super().setUp()
        self.sender = self.receiver('sender')

    def publish(self, topic, payload):
        self.assertEqual(self.sender.acked(PUBLISH, topic.encode() + b'\0' + payload), OK)

    def send(self, target, payload):
        self.assertEqual(self.sender.acked(MESSAGE, target.encode() + b'\0' + payload), OK)

    def output(self, process):
        self.assertEqual(process.wait(), 0, process.err.drain())
        return process.out.read_all()

    # --- What it hears ---

    def test_everything_by_default(self):
        listener = self.listener('-x', '.broker/#', '-c', '3')
        self.publish('a', b'one')
        self.publish('b/c', b'two')
        self.send('listener', b'three')
        self.assertRegex(self.output(listener),
                         rf'^{TIME} publication sender a: one\n{TIME} publication sender b/c: two\n'
                         rf'{TIME} message +sender: three\n$')

    def test_topics_and_exclusions(self):
        listener = self.listener('a/#', 'b', '-x', 'a/x', '-x', 'a/y/#', '-c', '2')
        for topic in 'c', 'a', 'a/x', 'a/y/z', 'a/z', 'b':
            self.publish(topic, topic.encode())
        self.assertEqual(re.findall(r'sender (\S+): ', self.output(listener)), ['a/z', 'b'])

    def test_messages_and_broadcasts_alone(self):
        listener = self.listener('--no-topics', '-c', '2', name='plc.1')
        self.publish('a', b'not this')
        self.send('plc.1', b'one')
        self.assertEqual(self.sender.acked(BROADCAST, b'plc.*\0two'), OK)
        self.assertRegex(self.output(listener), r'^\S+ message +sender: one\n\S+ broadcast +sender: two\n$')

    def test_realtime_is_shown(self):
        listener = self.listener('a', '-c', '1')
        self.sender.send(PUBLISH, b'a\0x', 2)
        self.assertIn('sender a realtime: x\n', self.output(listener))

    # --- How it looks ---

    def test_text_is_on_one_line(self):
        listener = self.listener('a', '-c', '1')
        self.publish('a', 'Grüße\n\t\\'.encode())
        self.assertIn('sender a: Grüße\\n\\t\\\\\n', self.output(listener))

    def test_bytes_are_a_hex_dump(self):
        listener = self.listener('a', '-c', '1')
        self.publish('a', b'\x00\x01binary and more\xff')
        self.assertRegex(self.output(listener), r'sender a: 18 bytes\n'
                         r'    00000000: 0001 6269 6e61 7279 2061 6e64 206d 6f72  \.\.binary and mor\n'
                         r'    00000010: 65ff {2,}e\.\n$')

    def test_a_terminal_cannot_be_attacked(self):
        hostile = self.receiver('n\u202e\u2066n')
        for n, payload in enumerate((HOSTILE, HOSTILE + b'\xff' * 2000, ALL_BYTES, b'\xc2\x9b31m')):
            for arguments in (), ('--json',), ('--full',):
                listener = self.listener('#', '-x', '.broker/#', '-c', '1', *arguments, name=f'l{n}')
                topic = b'\x1b]0;t\x07/' + '\u202e\u009b'.encode()
                self.assertEqual(hostile.acked(PUBLISH, topic + b'\0' + payload), OK)
                for character in self.output(listener):
                    self.assertTrue(character == '\n' or character >= ' ', ascii(character))
                    self.assertNotIn(character, '\x7f\x85\x9b\u202e\u2066')

    def test_long_payloads_are_cut(self):
        for arguments, shown in ((), False), (('--full',), True):
            listener = self.listener('a', '-c', '2', *arguments, name=f'l{shown}')
            self.publish('a', 'ü'.encode() * 5000 + b'END')
            self.publish('a', b'\0' * 5000 + b'END')
            out = self.output(listener)
            self.assertEqual(out.count('END'), 2 if shown else 0)
            self.assertEqual(len(re.findall(r'\.\.\. \d+ more bytes\n', out)), 0 if shown else 2)
            self.assertNotIn('\ufffd', out)

    def test_topics_alone(self):
        listener = self.listener('--topics', 'a/#', '-c', '3')
        self.publish('a/b', b'x')
        self.send('listener', b'a message has none')
        self.publish('a/\033', b'y')
        self.assertEqual(self.output(listener), 'a/b\na/\\x1b\n')

    def test_json_holds_everything(self):
        listener = self.listener('a/#', '--json', '-c', '5')
        payloads = [b'', 'Grüße "x" \\ \n\033 \u202e \U000e0001'.encode(), ALL_BYTES, b'a\0b']
        for payload in payloads:
            self.publish('a/b"c', payload)
        self.send('listener', b'm')
        found = [json.loads(line) for line in self.output(listener).split('\n')[:-1]]
        for payload, got in zip(payloads, found):
            self.assertEqual((got['kind'], got['sender'], got['topic'], got['size'], got['realtime']),
                             ('publication', 'sender', 'a/b"c', len(payload), False))
            self.assertRegex(got['time'], r'^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$')
            text = got['payload']
            self.assertEqual({'text': text.encode, 'base64': lambda: base64.b64decode(text, validate=True)}
                             [got['encoding']](), payload)
        self.assertEqual([got['encoding'] for got in found], ['text', 'text', 'base64', 'base64', 'text'])
        self.assertEqual((found[4]['kind'], found[4]['topic']), ('message', None))

    def test_json_may_be_said_before_the_verb(self):
        process = self.running('--json', '-n', 'j', 'listen', '-v', 'a', '-c', '1')
        process.err.wait_for('Listening')
        self.publish('a', b'x')
        self.assertEqual(json.loads(self.output(process))['payload'], 'x')

    def test_raw_is_the_payload_alone(self):
        for option, end in ('--raw', '\n'), ('-0', '\0'):
            listener = self.listener('a', option, '-c', '2', name='l' + option)
            self.publish('a', b'one')
            self.publish('a', b'two\nlines')
            self.assertEqual(self.output(listener), f'one{end}two\nlines{end}')

    def test_colours_on_a_terminal(self):
        terminal = self.terminal('-n', 'listener', 'listen', 'a', '-c', '1')
        terminal.wait_for(b'Listening as listener.')
        self.publish('a', b'\033[31mx')
        self.assertEqual(terminal.wait(), 0)
        self.assertIn(b'\033[36msender\033[0m \033[32ma\033[0m: \\x1b[31mx\r\n', terminal.screen)
        self.assertRegex(terminal.screen, rb'1 received, 6 B, in \d+\.\d s\r\n$')

    # --- How it ends ---

    def test_after_a_time(self):
        self.assertEqual(self.ok('listen', 'a', '--for', '100ms'), '')

    def test_an_interrupt_is_success_with_a_summary(self):
        for number in signal.SIGINT, signal.SIGTERM:
            listener = self.listener('a', name=f'l{number}')
            self.publish('a', b'x' * 10)
            listener.out.wait_for('xxx\n')
            listener.signal(number)
            self.assertEqual(listener.wait(), 0)
            self.assertRegex(listener.err.read_all(), r'\n1 received, 10 B, in ')

    def test_nobody_reads_any_more(self):
        """Noticed at once, and not only with the next publication."""
        reader, writer = os.pipe()
        process = Running('-s', self.path, 'listen', '-v', stdout=writer)
        self.addCleanup(process.close)
        os.close(writer)
        process.err.wait_for('Listening')
        os.close(reader)
        self.assertEqual(process.wait(), 0)
        self.assertNotIn('cannot', process.err.read_all())

    def test_a_full_disk_is_a_failure(self):
        full = os.open('/dev/full', os.O_WRONLY)
        self.addCleanup(os.close, full)
        listener = self.listener('a', stdout=full)
        self.publish('a', b'x')
        self.assertEqual(listener.wait(), 1)
        listener.err.wait_for('cannot write the output: .*[Ss]pace')

    def test_a_lost_connection_is_a_failure(self):
        listener = self.listener('a')
        self.bus.process.kill()
        self.assertEqual(listener.wait(), 1)
        listener.err.wait_for('busrtctl: the connection is lost')


class Held(TestCase):
    broker_args = ('-t', '2')

    def test_a_listener_whose_output_is_held_stays(self):
        """Dropped would be who sends nothing for 2.5 s: longer than the probe takes to see four pings of the broker."""
        listener = self.listener('a', '--raw', '-c', '100')
        with self.bus.client('probe') as probe:
            for number in range(100):
                probe.send(PUBLISH, b'a\0' + b'%03d' % number * 10000)
            pings = 0
            while pings < 4:
                pings += probe.take(6) == bytes(6)
                probe.socket.sendall(bytes(9))
        self.assertIsNone(listener.process.poll(), listener.err.drain())
        out = listener.out.read_all()
        self.assertEqual(out, ''.join(f'{number:03d}' * 10000 + '\n' for number in range(100)))
        self.assertEqual(listener.wait(), 0)


if __name__ == '__main__':
    main()
