# SPDX-License-Identifier: Apache-2.0
"""busrtctl send, broadcast and publish: what arrives, and what their exit status says."""
import hashlib
import os
import select
import signal
import struct
import subprocess
import time

import bus
from bus import OK, SUBSCRIBE
from tool import BUSRTCTL, TestCase, main

MILLION = 1000000


class Send(TestCase):
    def file(self, data):
        path = os.path.join(self.bus.dir, 'payload')
        with open(path, 'wb') as file:
            file.write(data)
        return path

    def published(self, *args, count=1, **options):
        """What a subscriber of "t" gets from this command."""
        with self.bus.client('subscriber') as receiver:
            self.assertEqual(receiver.acked(SUBSCRIBE, b't'), OK)
            self.assertEqual(self.ok('publish', 't', *args, **options), '')
            return self.publications(receiver, 't', count)

    # --- Payloads ---

    def test_arguments(self):
        self.assertEqual(self.published('one', 'two  three'), [b'one two  three'])
        self.assertEqual(self.published(''), [b''])
        self.assertEqual(self.published('--', '-x', '-'), [b'-x -'])

    def test_standard_input(self):
        data = bytes(range(256)) * 3
        self.assertEqual(self.published(stdin=data), [data])
        self.assertEqual(self.published('-', stdin=data), [data])
        self.assertEqual(self.published(stdin=b''), [b''])

    def test_a_file(self):
        self.assertEqual(self.published('-f', self.file(b'a\nb\n')), [b'a\nb\n'])
        self.assertEqual(self.published('-f', '/dev/null'), [b''])
        self.fails('publish', 't', '-f', '/nonexistent', says='/nonexistent: No such file')
        self.fails('publish', 't', '-f', '/', says='/: Is a directory')

    def test_lines(self):
        self.assertEqual(self.published('-l', stdin=b'one\n\ntwo\r\nthree', count=4), [b'one', b'', b'two\r', b'three'])
        self.assertEqual(self.published('-l', '-f', self.file(b'a\nb\n'), count=2), [b'a', b'b'])
        self.assertEqual(self.published('-0', stdin=b'one\ntwo\0three\0', count=2), [b'one\ntwo', b'three'])

    def test_lines_of_any_length(self):
        lines = [bytes([65 + n % 26]) * n * 99991 for n in range(12)]
        self.assertEqual(self.published('-l', stdin=b'\n'.join(lines), count=12), lines)

    def test_no_lines_at_all(self):
        self.ok('publish', 't', '-l', stdin=b'')

    def test_a_line_goes_out_at_once(self):
        receiver = self.receiver(topic='t')
        process = self.running('publish', '-l', 't', stdin=subprocess.PIPE)
        for line in b'one', b'two':
            process.process.stdin.write(line + b'\n')
            process.process.stdin.flush()
            self.assertEqual(self.publications(receiver, 't', 1), [line])
        process.process.stdin.close()
        self.assertEqual(process.wait(), 0)

    def test_large_payloads(self):
        for size in 10**6, 64 * 10**6:
            data = os.urandom(1000) * (size // 1000)
            with open(os.path.join(self.bus.dir, 'got'), 'w+b') as got:
                listener = self.listener('t', '--raw', '-c', '1', name=f'l{size}', stdout=got.fileno())
                self.ok('publish', 't', '-f', self.file(data))
                self.assertEqual(listener.wait(), 0)
                got.seek(0)
                self.assertEqual(hashlib.sha256(got.read()).digest(), hashlib.sha256(data + b'\n').digest())

    # --- How often ---

    def test_count(self):
        self.assertEqual(self.published('-c', '1000', 'x', count=1000), [b'x'] * 1000)
        self.assertEqual(self.published('-c', '3', stdin=b'y', count=3), [b'y'] * 3)

    def test_rate_is_not_exceeded(self):
        start = time.monotonic()
        self.published('-c', '6', '--rate', '20', 'x', count=6)
        self.assertGreaterEqual(time.monotonic() - start, 5 / 20)
        start = time.monotonic()
        self.published('-l', '--rate', '10000', stdin=b'x\n' * 2000, count=2000)
        self.assertGreaterEqual(time.monotonic() - start, 1999 / 10000)

    def test_a_million_lines(self):
        """At ten times the time of the promise, a million in a second."""
        before = self.published_so_far()
        start = time.monotonic()
        self.ok('publish', '-l', 't', stdin=b'hello\n' * MILLION)
        self.assertLess(time.monotonic() - start, 10)
        self.assertGreaterEqual(self.published_so_far() - before, MILLION)

    def published_so_far(self):
        """Frames that the broker has taken, of its own account."""
        client = self.receiver(f'stats{time.monotonic_ns()}')
        client.send(bus.MESSAGE, b'.broker\0\x01\1\0\0\0stats\0')
        payload = self.message(client)[0]
        at = payload.index(b'r_frames') + len(b'r_frames')
        sizes = {0xcc: '>B', 0xcd: '>H', 0xce: '>I', 0xcf: '>Q'}
        return payload[at] if payload[at] < 0x80 else struct.unpack_from(sizes[payload[at]], payload, at + 1)[0]

    # --- To whom ---

    def test_send_reaches_one(self):
        receiver = self.receiver('plc.1')
        self.ok('-n', 'me', 'send', 'plc.1', 'hello')
        self.assertEqual(self.message(receiver), (b'hello', 'me'))

    def test_broadcast_reaches_whose_name_matches(self):
        receivers = [self.receiver(name) for name in ('plc.1', 'plc.2.x')]
        self.ok('broadcast', 'plc.?', 'one')
        self.ok('broadcast', 'plc.*', 'two')
        self.assertEqual([receivers[0].receive()[:2] for _ in '12'], [(bus.BROADCAST, b'one'), (bus.BROADCAST, b'two')])
        self.assertEqual(receivers[1].receive()[:2], (bus.BROADCAST, b'two'))

    def test_publish_for_one(self):
        a, b = self.receiver('a', topic='t'), self.receiver('b', topic='t')
        self.ok('publish', 't', 'for b', '--for', 'b')
        self.ok('publish', 't', 'for all')
        self.assertEqual(self.publications(a, 't', 1), [b'for all'])
        self.assertEqual(self.publications(b, 't', 2), [b'for b', b'for all'])

    def test_qos_is_what_was_asked_for(self):
        receiver = self.receiver('r')
        for qos, realtime in ('no', 0), ('processed', 0), ('realtime', 1), ('realtime-processed', 1):
            self.ok('send', 'r', 'x', '-q', qos)
            kind, length, got = struct.unpack('<BIB', receiver.take(6))
            receiver.take(length)
            self.assertEqual((kind, got), (bus.MESSAGE, realtime))

    # --- When it fails ---

    def test_nobody_has_that_name(self):
        self.fails('send', 'nobody', 'x', says='cannot send to "nobody": .*\n.*busrtctl clients')
        self.fails('send', 'nobody', '-l', says='cannot send to "nobody"', stdin=b'x\n' * 100000)
        self.fails('send', 'nobody', '-c', '5000', 'x', '-q', 'processed', says='cannot send to "nobody"')
        self.assertEqual(self.ok('send', 'nobody', 'x', '-q', 'no'), '')

    def test_a_target_that_is_missing_is_noticed_before_the_end(self):
        process = self.running('send', 'nobody', '-l', stdin=subprocess.PIPE)
        process.process.stdin.write(b'x\n')
        process.process.stdin.flush()
        self.assertEqual(process.wait(), 1)

    def test_a_lost_connection_is_noticed_before_the_end(self):
        receiver = self.receiver(topic='t')
        process = self.running('publish', 't', '-l', stdin=subprocess.PIPE)
        process.process.stdin.write(b'x\n')
        process.process.stdin.flush()
        self.publications(receiver, 't', 1)
        self.bus.process.kill()
        self.assertEqual(process.wait(), 1)
        process.err.wait_for('cannot publish on "t"')

    def test_interrupted_is_not_success(self):
        receiver = self.receiver(topic='t')
        process = self.running('publish', 't', '-c', '1000', '--rate', '1', 'x')
        self.publications(receiver, 't', 1)
        process.signal(signal.SIGINT)
        self.assertEqual(process.wait(), 1)
        process.err.wait_for('interrupted: not all was sent')

    def test_a_signal_is_seen_while_the_broker_takes_nothing(self):
        for args, stdin in (('-q', 'processed'), b'x\n'), ((), b'x' * 4096 + b'\n'):
            process = self.running('-t', '10m', 'publish', 't', '-lv', *args, stdin=subprocess.PIPE)
            receiver = self.receiver(topic='t')
            process.process.stdin.write(stdin)
            process.process.stdin.flush()
            self.publications(receiver, 't', 1)
            receiver.close()
            self.bus.signal(signal.SIGSTOP)
            pipe, left = process.process.stdin.fileno(), 20 << 20
            os.set_blocking(pipe, False)
            while left > 0 and select.select([], [pipe], [], 0.2)[1]:
                left -= os.write(pipe, stdin * 500)
            process.signal(signal.SIGINT)
            try:
                self.assertEqual(process.wait(), 1)
            finally:
                self.bus.signal(signal.SIGCONT)
            process.err.wait_for('interrupted: not all was sent')

    def test_what_is_malformed_names_the_limit(self):
        for topic, says in (('x' * 5000, r'"x{60}…": Refused.*\nIt is 5000 bytes long: the broker\'s limit is 4096'),
                            ('/'.join('x' * 200), r'It has 200 parts: the broker\'s limit is 128')):
            self.fails('publish', topic, 'x', says=says)
            self.fails('listen', topic, says=says)
            self.fails('listen', '-x', topic, says=says)

    def test_input_that_cannot_be_read_is_the_inputs_error(self):
        for args in ('-l',), ():
            self.fails('publish', 't', '-f', self.bus.dir, *args, says=rf'^busrtctl: {self.bus.dir}: Is a directory\n$')
            fd = os.open(self.bus.dir, os.O_RDONLY)
            done = subprocess.run([BUSRTCTL, '-s', self.path, 'publish', 't', *args], stdin=fd, capture_output=True)
            os.close(fd)
            self.assertEqual((done.returncode, done.stderr), (1, b'busrtctl: standard input: Is a directory\n'))

    # --- What is shown ---

    def test_verbose_tells_what_was_sent(self):
        status, out, err = self.ctl('publish', 't', '-v', '-c', '1234', 'xy')
        self.assertEqual((status, out), (0, b''))
        self.assertRegex(err, r'^1,234 messages, 2\.4 KiB, \d+\.\d s, [\d,]+ per second\n$')

    def test_progress_on_a_terminal(self):
        terminal = self.terminal('publish', 't', '-c', '100', '--rate', '100', 'x')
        self.assertEqual(terminal.wait(), 0)
        self.assertRegex(terminal.screen, rb'^(\r\d+ messages, \d+ B, \d\.\d s, \d+ per second, \d+ %\033\[K)+'
                         rb'\r\033\[K100 messages, 100 B, \d\.\d s, \d+ per second\r\n$')

    def test_short_runs_say_nothing_on_a_terminal(self):
        terminal = self.terminal('publish', 't', 'x')
        self.assertEqual((terminal.wait(), terminal.screen), (0, b''))

    def test_a_terminal_is_told_that_it_is_read(self):
        terminal = self.terminal('publish', 't')
        terminal.wait_for(b'Reading the payload from the terminal; Ctrl-D')
        os.write(terminal.fd, b'\x04')
        self.assertEqual(terminal.wait(), 0)


class Limit(TestCase):
    broker_args = ('--max-frame-size', '1M')

    def test_too_large_for_the_broker(self):
        path = os.path.join(self.bus.dir, 'large')
        with open(path, 'wb') as file:
            file.write(bytes(2 << 20))
        self.fails('publish', 't', '-f', path, says='a message of 2 MiB is refused; the broker\'s limit is')


if __name__ == '__main__':
    main()
