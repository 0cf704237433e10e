# SPDX-License-Identifier: Apache-2.0
"""Records in the journal: their fields, and what becomes of them while nobody reads, or when the socket is a new one.

The journal's socket has a fixed path, so this runs in a mount namespace of its own, where it is the test's. Where
the system allows none to ordinary users it says so, and counts as skipped (status 77).
"""
import os
import select
import signal
import socket
import subprocess
import sys
import time

from bus import BUSRTD, DEADLINE, GREETING, MESSAGE, OK, SUBSCRIBE, Client, TestCase, connect, kill_if_there, main

FOLDER = '/run/systemd/journal'
UNSHARE = ['unshare', '--user', '--map-root-user', '--mount']


def fields_of(data):
    """A record in the journal's native form: lines of NAME=value, or for values with newlines a line NAME, the
    length in 64 bits, and the value. No field comes twice."""
    fields = {}
    while data:
        line, _, data = data.partition(b'\n')
        name, equals, value = line.partition(b'=')
        if not equals:
            size = 8 + int.from_bytes(data[:8], 'little')
            value, data = data[8:size], data[size + 1:]
        if name in fields:
            raise AssertionError(f'{name} comes twice')
        fields[name] = value
    return {name.decode(): value.decode(errors='surrogateescape') for name, value in fields.items()}


class Journal(TestCase):
    def setUp(self):
        self.open_socket()

    def tearDown(self):
        self.close_socket()

    def open_socket(self):
        """In the place of one that is there, at no moment of which there is none."""
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(FOLDER + '/new')
        os.rename(FOLDER + '/new', FOLDER + '/socket')

    def close_socket(self):
        self.socket.close()
        os.unlink(FOLDER + '/socket')

    def read(self):
        """The fields of the next record."""
        self.assertTrue(select.select([self.socket], [], [], DEADLINE)[0], 'no record')
        return fields_of(self.socket.recv(1 << 16))

    def wait_for(self, text, seen=None):
        """The next record with that text; those before it are added to `seen`."""
        until = time.monotonic() + DEADLINE
        while time.monotonic() < until:
            record = self.read()
            if text in record['MESSAGE']:
                return record
            if seen is not None:
                seen.append(record)
        raise AssertionError(f'no record with {text!r}')

    def under_the_journal(self, *args, **options):
        """A broker whose stderr is the journal's, as far as it can tell: (broker, our end of stderr)."""
        ours, its = socket.socketpair()
        self.addCleanup(ours.close)
        stat = os.fstat(its.fileno())
        broker = self.broker(*args, stderr=its.fileno(), env={'JOURNAL_STREAM': f'{stat.st_dev}:{stat.st_ino}'}, **options)
        its.close()
        return broker, ours

    def write(self, path, text):
        with open(path, 'w') as file:
            file.write(text)

    def bad_frame(self, broker, name):
        client = broker.client(name)
        client.send(0x3e, b'nonsense')
        self.assertRaises(EOFError, client.receive)
        client.close()

    def ask_for(self, broker, name):
        """Is refused that name."""
        with connect(broker.path()) as s:
            s.sendall(GREETING + len(name).to_bytes(2, 'little') + name)
            while s.recv(100):
                pass

    def test_records_have_fields(self):
        broker = self.broker('-B', 'bus.sock', '--log-syslog')
        self.bad_frame(broker, 'plc.1')
        record = self.wait_for('plc.1')
        self.assertEqual(record['BUSRT_CLIENT'], 'plc.1')
        self.assertEqual(record['BUSRT_UID'], str(os.getuid()))
        self.assertEqual(record['BUSRT_GID'], str(os.getgid()))
        self.assertEqual(record['BUSRT_PID'], str(os.getpid()))
        self.assertEqual(record['PRIORITY'], '4')
        self.assertEqual(record['SYSLOG_IDENTIFIER'], 'busrtd')
        self.assertRegex(record['MESSAGE_ID'], '^[0-9a-f]{32}$')
        self.assertRegex(record['BUSRT_SESSION'], '^[0-9]+$')
        self.assertTrue(record['BUSRT_REASON'])
        self.assertEqual(broker.stop(), 0)
        self.assertEqual(broker.log.text, '', 'stderr stays silent')

    def test_no_name_forges_a_field(self):
        broker = self.broker('-B', 'bus.sock', '--log-syslog')
        self.ask_for(broker, b'.plain')
        honest = self.wait_for('.plain')
        length = (7).to_bytes(8, 'little')
        for name in (b'.x\nPRIORITY=0\nMESSAGE_ID=' + b'0' * 32, b'.x\n\nBUSRT_UID=0', b'.x\nBUSRT_UID\n\x01',
                     b'.x\nMESSAGE\n' + length[:1] + b'\nforged', b'.\n', b'.=\n=', b'.' + b'\nA=b' * 200):
            self.ask_for(broker, name)
            record = self.wait_for('begins with a dot')
            self.assertEqual(set(record), set(honest))
            shown = name if len(name) < 128 else name[:124] + b'...'
            self.assertEqual(record['BUSRT_CLIENT'], shown.decode())
            for field in 'PRIORITY', 'MESSAGE_ID', 'BUSRT_UID', 'BUSRT_PID', 'BUSRT_REASON':
                self.assertEqual(record[field], honest[field])
            self.assertNotIn('\n', record['MESSAGE'])
        self.assertEqual(broker.stop(), 0)

    def test_stderr_that_is_the_journal_s_gets_records_instead_of_lines(self):
        broker, ours = self.under_the_journal('-B', 'bus.sock')
        record = self.wait_for('listening on bus.sock')
        self.assertEqual(record['BUSRT_LISTENER'], 'bus.sock')
        broker.stop()
        self.assertEqual(ours.recv(100), b'')

    def test_a_start_that_fails_is_one_record(self):
        self.write(FOLDER + '/b.conf', '[Bus]\nQueueFrames=0\n')
        broker, ours = self.under_the_journal('--config', FOLDER + '/b.conf', wait=False)
        self.assertEqual(broker.wait(), 2)
        self.assertEqual(ours.recv(100), b'')
        record = self.read()
        self.assertEqual((record['BUSRT_FILE'], record['BUSRT_LINE']), (FOLDER + '/b.conf', '2'))
        self.assertIn('QueueFrames= "0": a whole number', record['BUSRT_REASON'])
        broker, ours = self.under_the_journal('-B', '/nowhere/b.sock', wait=False)
        self.assertEqual(broker.wait(), 1)
        self.assertEqual(ours.recv(100), b'')
        record = self.read()
        self.assertIn('cannot listen on /nowhere/b.sock', record['MESSAGE'])
        self.assertEqual(record['BUSRT_LISTENER'], '/nowhere/b.sock')
        self.assertRegex(record['MESSAGE_ID'], '^[0-9a-f]{32}$')

    def test_access_rules_are_told_with_their_place(self):
        """Refused, denied, disconnected, and bereft of a subscription: each has an id of its own."""
        path = self.directory() + '/b.conf'
        rules = path + '.access.d/10.conf'
        me = os.getuid()
        os.mkdir(path + '.access.d')
        self.write(path, '[Bus]\n')
        self.write(rules, f'[a]\nAllowUsers={me}\nSubscribeTo=t\n[b]\nAllowUsers={me}\n[c]\nAllowHosts=::1\n')
        broker = self.broker('-B', 'bus.sock', '--log-syslog', '--config', path)
        a, _ = self.connected(broker, 'a'), self.connected(broker, 'b')
        self.ask_for(broker, b'c')
        records = [(self.wait_for('client "c" '), '6', 'c')]
        self.assertEqual(a.acked(SUBSCRIBE, b't\0u'), 0x79)
        records.append((self.wait_for('client "a" '), '3', 'a'))
        self.write(rules, f'[a]\nAllowUsers={me}\n[b]\nAllowUsers={me + 1}\n')
        broker.signal(signal.SIGHUP)
        more = [self.wait_for('new access rules'), self.wait_for('new access rules')]
        more.sort(key=lambda record: record['BUSRT_CLIENT'])
        records += [(more[0], '1', 'a'), (more[1], '4', 'b')]
        for record, line, name in records:
            self.assertEqual((record['BUSRT_FILE'], record['BUSRT_LINE'], record['BUSRT_CLIENT'], record['PRIORITY']),
                             (rules, line, name, '4'))
            self.assertTrue(record['BUSRT_REASON'])
            self.assertEqual(record['BUSRT_UID'], str(me))
        self.assertEqual(len({record['MESSAGE_ID'] for record, _, _ in records}), 4)

    def test_unknown_keys_and_reloads_are_told_with_their_place(self):
        path = self.directory() + '/b.conf'
        self.write(path, '[Bus]\nNonsense=1\n')
        broker = self.broker('-B', 'bus.sock', '--log-syslog', '--config', path)
        for _ in range(2):  # at the start, and at a reload
            record = self.wait_for('unknown key "Nonsense"')
            self.assertEqual((record['BUSRT_FILE'], record['BUSRT_LINE'], record['PRIORITY']), (path, '2', '4'))
            broker.signal(signal.SIGHUP)
        self.wait_for('configuration reloaded')
        self.write(path, '[Bus]\n\nQueueFrames=none\n')
        broker.signal(signal.SIGHUP)
        record = self.wait_for('not reloaded')
        self.assertEqual((record['BUSRT_FILE'], record['BUSRT_LINE'], record['PRIORITY']), (path, '3', '3'))
        self.assertIn(f'{path}:3: QueueFrames= "none"', record['BUSRT_REASON'])
        self.assertEqual(broker.stop(), 0)

    def test_an_unknown_key_is_told_where_the_start_fails(self):
        path = self.directory() + '/b.conf'
        self.write(path, '[Bus]\nLsten=/x.sock\n')
        broker, _ = self.under_the_journal('-B', '/nowhere/b.sock', '--config', path, wait=False)
        self.assertEqual(broker.wait(), 1)
        self.assertIn('unknown key "Lsten"', self.read()['MESSAGE'])
        self.assertIn('cannot listen', self.read()['MESSAGE'])

    def background(self, *args):
        """-D: (directory, process id)."""
        directory = self.directory()
        done = subprocess.run([BUSRTD, '-D', '-B', 'bus.sock', '-P', 'pid', *args], cwd=directory, stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 0)
        with open(directory + '/pid') as file:
            pid = int(file.read())
        self.addCleanup(kill_if_there, pid)
        return directory, pid

    def test_the_background_logs_there_too(self):
        _, pid = self.background()
        self.wait_for('listening on bus.sock')
        os.kill(pid, signal.SIGTERM)
        self.wait_for('got SIGTERM')

    def test_nobody_reads_and_traffic_goes_on(self):
        """A record for each that comes and each that goes, more than ring and socket hold: there, or counted."""
        guests, seen = 2000, []
        directory, pid = self.background('--verbose', '-t', '50')
        with Client(directory + '/bus.sock', 'c') as client:
            for i in range(guests):
                Client(directory + '/bus.sock', f'guest{i}').close()
                self.assertEqual(client.acked(MESSAGE, b'c\0hello'), OK)
            lost = int(self.wait_for('log records were lost', seen)['BUSRT_RECORDS'])
            self.assertGreater(lost, 0)
            Client(directory + '/bus.sock', 'late').close()
            self.wait_for('"late"', seen)
        os.kill(pid, signal.SIGTERM)
        self.wait_for('got SIGTERM', seen)
        lost += sum(int(r['BUSRT_RECORDS']) for r in seen if 'were lost' in r['MESSAGE'])
        there = sum('"guest' in record['MESSAGE'] for record in seen)
        told = sum('"c"' in record['MESSAGE'] or '"late"' in record['MESSAGE'] for record in seen)
        self.assertFalse([r for r in seen if 'more happened' in r['MESSAGE']], 'the engine lost events')
        self.assertEqual(there + lost, 2 * guests, f'{there} there, {lost} lost, {told} of others')

    def test_a_journal_that_is_gone_is_found_again(self):
        """Its socket removed, or there with nobody behind it."""
        for gone in (self.close_socket, lambda: self.socket.close()):
            broker = self.broker('-B', 'bus.sock', '--log-syslog')
            self.wait_for('limits')
            gone()
            for i in range(50):
                self.bad_frame(broker, f'unheard{i}')
            self.open_socket()
            seen = []
            lost = int(self.wait_for('log records were lost', seen)['BUSRT_RECORDS'])
            self.bad_frame(broker, 'heard')
            self.wait_for('"heard"', seen)
            self.assertEqual(lost + sum('"unheard' in r['MESSAGE'] for r in seen), 50)
            self.assertEqual(broker.stop(), 0)
            while 'got SIGTERM' not in self.read()['MESSAGE']:
                pass

    def test_a_journal_that_is_gone_does_not_hold_up_the_end(self):
        broker = self.broker('-B', 'bus.sock', '--log-syslog')
        self.wait_for('limits')
        self.close_socket()
        self.bad_frame(broker, 'unheard')
        self.assert_serves(broker.path())
        self.assertEqual(broker.stop(), 0)
        self.open_socket()


if __name__ == '__main__':
    if '--inside' in sys.argv:
        sys.argv.remove('--inside')
        subprocess.run(['mount', '-t', 'tmpfs', 'none', '/run'], check=True)
        os.makedirs(FOLDER)
        main()
    elif subprocess.run([*UNSHARE, 'true'], stderr=subprocess.DEVNULL).returncode == 0:
        os.execvp(UNSHARE[0], [*UNSHARE, sys.executable, __file__, '--inside', *sys.argv[1:]])
    else:
        print('skipped: this system lets ordinary users make no mount namespace')
        sys.exit(77)
