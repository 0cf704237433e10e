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

from bus import BUSRTD, DEADLINE, MESSAGE, OK, Client, TestCase, kill_if_there, main

FOLDER = '/run/systemd/journal'
UNSHARE = ['unshare', '--user', '--map-root-user', '--mount']


class Journal(TestCase):
    def setUp(self):
        self.open_socket()

    def tearDown(self):
        self.socket.close()
        os.unlink(FOLDER + '/socket')

    def open_socket(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(FOLDER + '/socket')

    def read(self):
        """The fields of the next record."""
        self.assertTrue(select.select([self.socket], [], [], DEADLINE)[0], 'no record')
        return dict(line.split('=', 1) for line in self.socket.recv(1 << 16).decode().splitlines())

    def wait_for(self, text):
        until = time.monotonic() + DEADLINE
        while time.monotonic() < until:
            record = self.read()
            if text in record['MESSAGE']:
                return record
        raise AssertionError(f'no record with {text!r}')

    def bad_frame(self, broker, name):
        client = broker.client(name)
        client.send(0x3e, b'nonsense')
        self.assertRaises(EOFError, client.receive)
        client.close()

    def test_records_have_fields(self):
        broker = self.broker('-B', 'bus.sock', '--log-syslog')
        self.bad_frame(broker, 'plc.1')
        record = self.wait_for('plc.1')
        self.assertEqual(record['BUSRT_CLIENT'], 'plc.1')
        self.assertEqual(record['BUSRT_UID'], str(os.getuid()))
        self.assertEqual(record['BUSRT_PID'], str(os.getpid()))
        self.assertEqual(record['PRIORITY'], '4')
        self.assertEqual(record['SYSLOG_IDENTIFIER'], 'busrtd')
        self.assertRegex(record['MESSAGE_ID'], '^[0-9a-f]{32}$')
        self.assertRegex(record['BUSRT_SESSION'], '^[0-9]+$')
        self.assertTrue(record['BUSRT_REASON'])
        self.assertEqual(broker.stop(), 0)
        self.assertEqual(broker.log.text, '', 'stderr stays silent')

    def test_stderr_that_is_the_journal_s_gets_records_instead_of_lines(self):
        ours, its = socket.socketpair()
        stat = os.fstat(its.fileno())
        broker = self.broker('-B', 'bus.sock', stderr=its.fileno(), env={'JOURNAL_STREAM': f'{stat.st_dev}:{stat.st_ino}'})
        its.close()
        self.assertIn('listening on bus.sock', self.wait_for('listening')['MESSAGE'])
        broker.stop()
        self.assertEqual(ours.recv(100), b'')
        ours.close()

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
        directory, pid = self.background('--verbose', '-t', '50')
        with Client(directory + '/bus.sock', 'c') as client:
            for i in range(2000):  # a record each: more than ring and socket hold
                Client(directory + '/bus.sock', f'guest{i}').close()
                self.assertEqual(client.acked(MESSAGE, b'c\0hello'), OK)
            lost = self.wait_for('log records were lost')['MESSAGE']
            self.assertGreater(int(lost.split()[0]), 0)
            Client(directory + '/bus.sock', 'late').close()
            self.wait_for('late')
        os.kill(pid, signal.SIGTERM)
        self.wait_for('got SIGTERM')

    def test_a_new_socket_is_found(self):
        broker = self.broker('-B', 'bus.sock', '--log-syslog')
        self.wait_for('limits')
        self.socket.close()
        os.unlink(FOLDER + '/socket')
        self.bad_frame(broker, 'unheard')
        self.open_socket()
        self.bad_frame(broker, 'heard')
        self.wait_for('"heard"')
        self.assertEqual(broker.stop(), 0)


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
