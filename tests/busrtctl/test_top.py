# SPDX-License-Identifier: Apache-2.0
"""busrtctl top: on terminals of all sizes, its keys, how it ends, and as lines."""
import json
import re
import signal
import termios
import time

from bus import DEADLINE, OK, PUBLISH, SUBSCRIBE, remaining
from screen import Screen
from tool import Terminal, TestCase, main


HEADING = 'IN/S OUT/S'
NAMES = ['plc.1', 'plc.2', '生产线.温度', 'x' * 1024, 'rtl\u202e\u200fmark', 'e\u0301.x']


class Face:
    """A busrtctl top on a vt220."""

    def __init__(self, path, *args, size=(24, 80), env=None):
        self.terminal = Terminal('-s', path, 'top', *args, size=size, env={'TERM': 'vt220', **(env or {})})
        self.screen, self.fed = Screen(*size), 0

    def feed(self):
        self.screen.feed(self.terminal.screen[self.fed:])
        self.fed = len(self.terminal.screen)

    def wait_until(self, condition, what):
        until = time.monotonic() + DEADLINE
        self.feed()
        while not condition():
            if not self.terminal.read(remaining(until, f'no {what} in {self.screen.lines}')):
                raise AssertionError(f'ended without {what}: {self.screen.lines}')
            self.feed()

    def wait_for(self, pattern, without=None):
        """The lines on the screen once the pattern is found in them."""
        def found():
            text = '\n'.join(self.screen.lines)
            return re.search(pattern, text) and not (without and re.search(without, text))
        self.wait_until(found, pattern)
        return self.screen.lines

    def wait_for_names(self, *patterns):
        """That these are the names below the heading, and no others."""
        def found():
            names = self.names()
            return len(names) == len(patterns) and all(map(re.fullmatch, patterns, names))
        self.wait_until(found, patterns)

    def resize(self, *size):
        self.feed()
        self.screen.resize(*size)
        self.terminal.resize(*size)

    def type(self, keys):
        self.terminal.type(keys)

    def names(self):
        lines = self.screen.lines
        start = next((i for i, line in enumerate(lines) if HEADING in line), len(lines))
        return [line.split()[-1] for line in lines[start + 1:] if line]


class TopCase(TestCase):
    def top(self, *args, **options):
        face = Face(self.path, *args, **options)
        self.addCleanup(face.terminal.close)
        return face


class OnTheScreen(TopCase):
    def setUp(self):
        super().setUp()
        self.clients = [self.receiver(name) for name in NAMES]
        self.secondary = self.receiver('plc.2%%a')

    def test_what_is_shown(self):
        face = self.top('-d', '10m')
        face.wait_for_names('busrtctl.*', 'e\u0301.x', 'plc.1', 'plc.2', r'rtl\\xe2.*…', 'x+…', '生产线.温度')
        lines = face.screen.lines
        self.assertRegex(lines[0], r'^\d\d:\d\d:\d\d busrtd \d+\.\d+\.\d+, up .*; 8 clients, 8 connections$')
        self.assertEqual(lines[1], 'In -/s, out -/s')
        self.assertRegex(lines[2], r'^Queues .* of .*; dropped 0, struck 0$')
        self.assertRegex(lines[4], r'^IN/S OUT/S BYTES/S QUEUE HIGHEST DROP/S PACED% USER +PID NAME$')
        rows = [line for line in lines[5:] if line]
        self.assertRegex(rows[1], r'^ +- +- +- +\d+ +\d+ +- +- \w+ +\d+ e\u0301\.x$')
        self.assertNotIn('plc.2%%a', '\n'.join(lines))

    def test_rates_come_with_the_second_look(self):
        self.assertEqual(self.clients[1].acked(SUBSCRIBE, b'#'), OK)
        face = self.top('-d', '50ms')
        face.wait_for(r'In \d')
        until = time.monotonic() + DEADLINE
        while not re.search(r'\n *[1-9][\d,]* +[1-9][\d,]* +[1-9].* plc\.1\n', '\n'.join(face.screen.lines)):
            self.assertEqual(self.clients[0].acked(PUBLISH, b't\0' + b'x' * 500), OK)
            face.terminal.read(remaining(until, f'no rates in {face.screen.lines}'))
            face.feed()
        self.assertRegex(face.screen.lines[1], r'^In [1-9][\d,]*/s, .*B/s; out [1-9]')

    def test_it_fits_terminals_of_all_sizes(self):
        face = self.top('-d', '10m', '-S', 'name')
        for size in (24, 80), (10, 40), (50, 200), (7, 30), (5, 12), (2, 20), (1, 1), (24, 80):
            face.resize(*size)
            face.wait_for(r'e\u0301\.x' if size[0] > 6 else r'10' if size[0] > 1 else '')
        face.resize(10, 40)
        face.wait_for('1-5 of 7(.*\n)*IN/S OUT/S QUEUE DROP/S NAME\n')
        face.type(b'\033[6~')
        face.wait_for('3-7 of 7')
        face.wait_for_names(r'plc\.1', r'plc\.2', r'rtl\\xe2.*…', 'x+…', '生产线.温度')
        self.assertNotIn('\u202e', face.terminal.screen.decode())

    def test_the_c_locale(self):
        face = self.top('-d', '10m', '-S', 'name', env={'LC_ALL': 'C'})
        face.wait_for(r'\\xe7\\x94')
        self.assertTrue(face.terminal.screen.isascii())

    def test_sorting_by_keys(self):
        face = self.top('-d', '10m')
        face.type(b'n')
        face.wait_for(r'busrtctl.*\n.* e\u0301\.x\n.* plc\.1\n.* plc\.2\n')
        face.type(b'r')
        face.wait_for(r'NAME\n.* 生产线\.温度\n.*…\n.* rtl')

    def test_a_filter(self):
        face = self.top('-d', '10m', '-S', 'name')
        face.wait_for(r'plc\.2')
        face.type(b'/plx')
        face.wait_for('with: plx_')
        face.type(b'\x7fc*')
        face.type('线\x7f2\r'.encode())
        face.wait_for(r'only plc\*2', without='busrtctl')
        face.wait_for_names(r'plc\.2')
        face.type(b'/' + b'\x7f' * 9 + '线'.encode() + b'\r')
        face.wait_for('only 线')
        face.wait_for_names('生产线.温度')
        face.type(b'/plc')
        face.wait_for('with: 线plc_')
        face.type(b'\033')
        face.wait_for('only 线')
        face.type(b'/\x7f\r')
        face.wait_for(r'plc\.2', without='only')

    def test_scrolling(self):
        face = self.top('-d', '10m', '-S', 'name', size=(9, 80))
        for keys, shown in ((b'', '1-4'), (b'\033[B', '2-5'), (b'\033[B', '3-6'), (b'\033[A', '2-5'),
                            (b'\033[6~', '4-7'), (b'\033[B', '4-7'), (b'\033[5~', '1-4')):
            face.type(keys)
            face.wait_for(f'{shown} of 7')

    def test_keys_that_the_terminal_does_not_know_do_nothing(self):
        face = self.top('-d', '10m')
        face.wait_for(HEADING)
        face.type(b'\033[99~')
        while not re.search('with: /*_', '\n'.join(face.screen.lines)):
            face.type(b'/')  # what comes too early belongs to the key
            face.terminal.read(0.1)
            face.feed()

    def test_help_and_back(self):
        face = self.top('-d', '10m')
        face.type(b'h')
        face.wait_for('sort by IN', without=HEADING)
        face.type(b'x')
        face.wait_for(HEADING, without='sort by')

    def test_a_pause_holds_the_picture(self):
        face = self.top('-d', '10ms')
        face.wait_for('In \\d')
        face.type(b' ')
        face.wait_for('Paused')
        before = face.screen.lines[0]
        face.type(b'h')
        face.wait_for('end\\n')
        self.assertEqual(face.screen.lines[0], before)
        face.type(b'x ')
        face.wait_for('10ms; h', without='Paused')

    def test_options_choose(self):
        face = self.top('-d', '10m', '-a', '-S', 'name', 'plc*')
        face.wait_for_names('plc.1', 'plc.2', 'plc.2%%a')
        face = self.top('-d', '10m', '-u', '4294967290')
        face.wait_for('NAME')
        face.wait_for_names()

    def test_no_colours_where_none_are_wanted(self):
        for args, colour in (('--no-color',), False), ((), True):
            terminal = Terminal(*args, '-s', self.path, 'top', '-d', '10m', size=(24, 80))
            self.addCleanup(terminal.close)
            terminal.wait_for(b'plc.2')
            self.assertEqual(b'\033[36m' in terminal.screen, colour)


class Ends(TopCase):
    """In each case the terminal is as it was."""

    def start(self, *args):
        terminal = Terminal('-s', self.path, 'top', '-d', '10m', *args, size=(24, 80))
        self.addCleanup(terminal.close)
        self.before = termios.tcgetattr(terminal.fd)
        terminal.wait_for(b'\033[?1049h', b'AME')
        return terminal

    def assert_ended(self, terminal, status):
        self.assertEqual(terminal.wait(), status)
        self.assertEqual(terminal.screen.count(b'\033[?1049h'), terminal.screen.count(b'\033[?1049l'))
        self.assertEqual(termios.tcgetattr(terminal.fd)[:4], self.before[:4])

    def test_by_its_keys(self):
        for keys in b'q', b'\033', b'hxq', b'\003':
            terminal = self.start()
            terminal.type(keys)
            self.assert_ended(terminal, 0)

    def test_by_signals(self):
        for number in signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT:
            terminal = self.start()
            terminal.signal(number)
            self.assert_ended(terminal, 0)

    def test_by_a_second_signal_while_the_broker_stands_still(self):
        terminal = self.start('-d', '10ms')
        self.bus.signal(signal.SIGSTOP)
        try:
            terminal.signal(signal.SIGTERM)
            self.assert_ended(terminal, 0)
        finally:
            self.bus.signal(signal.SIGCONT)

    def test_when_the_broker_goes(self):
        terminal = self.start('-d', '10ms')
        self.bus.stop()
        terminal.wait_for(b'busrtctl: ')
        self.assert_ended(terminal, 1)
        self.assertGreater(terminal.screen.index(b'busrtctl: '), terminal.screen.index(b'\033[?1049l'))

    def test_after_so_many_looks(self):
        terminal = Terminal('-s', self.path, 'top', '-d', '10ms', '-n', '3', size=(24, 80))
        self.addCleanup(terminal.close)
        self.before = termios.tcgetattr(terminal.fd)
        self.assert_ended(terminal, 0)

    def test_suspended_and_back(self):
        terminal = self.start()
        terminal.signal(signal.SIGTSTP)
        terminal.wait_for(b'\033[?1049l')
        terminal.signal(signal.SIGCONT)
        while terminal.screen.count(b'\033[?1049h') < 2:
            terminal.read(DEADLINE)
        terminal.type(b'q')
        self.assert_ended(terminal, 0)


class AsLines(TopCase):
    def test_batch(self):
        self.receiver('plc.1')
        self.receiver('生产线')
        out = self.ok('top', '-b', '-n', '2', '-d', '10ms', '-S', 'name').splitlines()
        self.assertEqual([i for i, line in enumerate(out) if HEADING in line], [4, 13])
        for line in out[5:8]:
            self.assertRegex(line, r'^ *[\d,]+ +[\d,]+ +[\d.]+ \w+ +\d+ +\d+ +\d+ +[\d.]+ \w+ +\d+ \S+$|^ .* - ')
        self.assertEqual([line.split()[-1] for line in out[6:8]], ['plc.1', '生产线'])

    def test_what_is_no_screen_gets_lines(self):
        for env in {'TERM': 'dumb'}, {'TERM': 'no-such-terminal'}, {'TERM': ''}:
            terminal = self.terminal('top', '-n', '1', '-d', '10ms', env=env)
            self.assertEqual(terminal.wait(), 0)
            self.assertIn(HEADING.encode(), terminal.screen)
            self.assertNotIn(b'\033', terminal.screen)

    def test_json(self):
        sender = self.receiver('plc.1')
        process = self.running('--json', 'top', '-n', '2', '-d', '100ms', 'plc*')
        sender.acked(PUBLISH, b't\0' + b'x' * 98)
        self.assertEqual(process.wait(), 0)
        looks = [json.loads(line) for line in process.out.read_all().splitlines()]
        self.assertEqual(len(looks), 2)
        self.assertEqual([client['name'] for client in looks[1]['clients']], ['plc.1'])
        self.assertGreaterEqual(looks[1]['in_frames_per_second'], 1)
        self.assertEqual(looks[1]['clients'][0]['in_frames'], 1)

    def test_a_lost_broker_is_a_failure(self):
        process = self.running('top', '-b', '-d', '10ms')
        process.out.wait_for('NAME')
        self.bus.stop()
        self.assertEqual(process.wait(), 1)
        self.assertIn('busrtctl: ', process.err.read_all())

    def test_a_signal_ends_it(self):
        process = self.running('top', '-b', '-d', '10ms')
        process.out.wait_for('NAME')
        process.signal(signal.SIGINT)
        self.assertEqual((process.wait(), process.err.read_all()), (0, ''))

    def test_mistakes(self):
        self.fails('top', '-d', '1ms', says='-d "1ms": not a time of 10ms or more', status=2)
        self.fails('top', '-n', '0', says='-n "0": not a number above 0', status=2)
        self.fails('top', '--sort', 'size', says='not one of in, out, bytes', status=2)
        self.fails('top', '--uid', 'no such', says='no such user', status=2)


if __name__ == '__main__':
    main()
