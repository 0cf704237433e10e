# SPDX-License-Identifier: Apache-2.0
"""A busrtd of the test's own, and raw clients of it.

Broker starts the program that $BUSRTD names in a temporary directory, listens to what it tells the service manager,
and reads its log from a pipe. Client is one connection that speaks bytes. Nothing here sleeps: every wait is for a
condition, with a deadline far beyond what it should take.
"""
import contextlib
import os
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

DEADLINE = 60
BUSRTD = os.environ.get('BUSRTD', 'busrtd')

NOBODY = 65534

GREETING = b'\xeb\x01\x00'
OK = 0x01
PUBLISH, SUBSCRIBE, EXCLUDE, MESSAGE, BROADCAST = 0x01, 0x02, 0x04, 0x12, 0x13
PROCESSED = 1
PUBLICATION, ACK, PING = 0x01, 0xfe, 0x00


# argv: the descriptors, the program, its arguments.
LAUNCHER = """
import fcntl, os, sys
high = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 100) for fd in sys.argv[1].split(',')]
for i, fd in enumerate(high):
    os.dup2(fd, 3 + i)
os.closerange(3 + len(high), 100 + len(high) + 100)
os.environ['LISTEN_PID'] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
"""


class Deadline(AssertionError):
    """Something did not come in time."""


def remaining(until, what):
    left = until - time.monotonic()
    if left <= 0:
        raise Deadline(what)
    return left


class Reader:
    """What comes out of a pipe, line by line."""

    def __init__(self, fd):
        self.fd, self.text, self.ended = fd, '', False
        os.set_blocking(fd, False)

    def read_more(self, timeout):
        if self.ended or not select.select([self.fd], [], [], timeout)[0]:
            return
        data = os.read(self.fd, 1 << 16)
        self.ended = not data
        self.text += data.decode(errors='replace')

    def wait_for(self, pattern, count=1):
        """The last of `count` matches of the pattern in all that has come so far and will come."""
        until = time.monotonic() + DEADLINE
        while True:
            found = list(re.finditer(pattern, self.text))
            if len(found) >= count:
                return found[count - 1]
            if self.ended:
                raise AssertionError(f'no {pattern!r} in {self.text!r}')
            self.read_more(remaining(until, f'no {pattern!r} in {self.text!r}'))

    def read_all(self):
        until = time.monotonic() + DEADLINE
        while not self.ended:
            self.read_more(remaining(until, 'no end of the pipe'))
        return self.text

    def drain(self):
        """What is there now."""
        before = None
        while before != self.text:
            before = self.text
            self.read_more(0)
        return self.text


class Notifications:
    """The service manager's end of sd_notify(3)."""

    def __init__(self, path):
        self.path, self.seen = path, []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.bind(path)

    def drain(self):
        """Takes what is there now; who tells waits when nobody does."""
        while select.select([self.socket], [], [], 0)[0]:
            self.seen += self.socket.recv(4096).decode().split('\n')

    def wait_for_more(self, ended, what='anything more', until=None):
        """False where the process ended first."""
        until = until or time.monotonic() + DEADLINE
        ready = select.select([self.socket, ended], [], [], remaining(until, f'no {what}: {self.seen}'))[0]
        if not ready:
            raise Deadline(f'no {what}: {self.seen}')
        if self.socket in ready:
            self.drain()
        return self.socket in ready

    def wait_for(self, word, ended):
        """False where the process ended first."""
        until = time.monotonic() + DEADLINE
        while not any(word in line for line in self.seen):
            if not self.wait_for_more(ended, word, until):
                return False
        return True

    def last(self, start):
        """The last one that begins so."""
        return [line for line in self.seen if line.startswith(start)][-1]


class Broker:
    """A running busrtd. Sockets, where given, are passed as systemd does; a launcher executes what follows it. patient: a
    timeout that is long enough for clients that never ping, as those here."""

    def __init__(self, *args, directory=None, env=None, sockets=(), names=None, stderr=None, wait=True, patient=True,
                 launcher=(), program=BUSRTD, **popen):
        self.owns_directory = directory is None
        self.dir = directory or tempfile.mkdtemp(prefix='busrt-process-')
        self.notify = Notifications(tempfile.mktemp(prefix='notify-', dir=self.dir))
        self.env = {key: value for key, value in os.environ.items()
                    if key not in ('JOURNAL_STREAM', 'INVOCATION_ID', 'XDG_RUNTIME_DIR', 'DISABLE_SYSLOG', 'LISTEN_FDS',
                                'SYSTEMD_EXEC_PID', 'MANAGERPID', 'DBUS_SESSION_BUS_ADDRESS')}
        self.env.update({'NOTIFY_SOCKET': self.notify.path, 'LC_ALL': 'C', **(env or {})})
        argv = [*launcher, program, *(('-t', '50') if patient and '-t' not in args else ()), *args]
        if sockets:
            popen['pass_fds'], argv = self.with_sockets(argv, sockets, names)
        self.log = None
        if stderr is None:
            reader, stderr = os.pipe()
            self.log = Reader(reader)
            popen['stderr'] = stderr
        elif stderr is not False:
            popen['stderr'] = stderr
        popen.setdefault('stdin', subprocess.DEVNULL)
        self.process = subprocess.Popen(argv, cwd=self.dir, env=self.env, **popen)
        if self.log:
            os.close(stderr)
        self.ended = os.pidfd_open(self.process.pid)
        if wait and not self.notify.wait_for('READY=1', self.ended):
            raise AssertionError('it did not start: ' + (self.log.read_all() if self.log else '?'))

    def with_sockets(self, argv, sockets, names):
        """A launcher moves the descriptors into place and says which process they are for."""
        fds = [s if isinstance(s, int) else s.fileno() for s in sockets]
        self.env['LISTEN_FDS'] = str(len(fds))
        if names:
            self.env['LISTEN_FDNAMES'] = ':'.join(names)
        return fds, [sys.executable, '-c', LAUNCHER, ','.join(map(str, fds)), *argv]

    def path(self, name='bus.sock'):
        return os.path.join(self.dir, name)

    def client(self, name, where=None):
        return Client(where or self.path(), name)

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self):
        """The exit status."""
        while self.notify.wait_for_more(self.ended, 'end of the process'):
            pass
        return self.process.wait(DEADLINE)

    def stop(self):
        """Ends it in order, and says with which status."""
        if self.process.poll() is None:
            self.process.terminate()
        status = self.wait()
        if self.log:
            self.log.read_all()
        return status

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.ended)
        self.notify.socket.close()
        if self.log:
            os.close(self.log.fd)
        if self.owns_directory:
            shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def connect(where):
    if isinstance(where, tuple):
        s = socket.socket(socket.AF_INET6 if ':' in where[0] else socket.AF_INET)
    else:
        s = socket.socket(socket.AF_UNIX)
    s.settimeout(DEADLINE)
    try:
        s.connect(where)
    except OSError:
        s.close()
        raise
    return s


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(('::1', 0))
        return True
    except OSError:
        return False


def ask_for(s, name):
    """What the broker answers on that new connection to whoever asks for that name: the code."""
    name = name if isinstance(name, bytes) else name.encode()
    s.sendall(GREETING + struct.pack('<H', len(name)) + name)
    got = b''
    while len(got) < 5:
        data = s.recv(5 - len(got))
        if not data:
            raise EOFError('closed before the answer')
        got += data
    return got[4]


@contextlib.contextmanager
def as_user(uid, gid=None, groups=()):
    """Connections that are made meanwhile are that user's. Root only."""
    before = os.getgroups()
    os.setgroups(list(groups))
    os.setegid(uid if gid is None else gid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(before)


class Client:
    """A registered connection, by an address or a socket that is connected."""

    def __init__(self, where, name):
        self.socket = where if isinstance(where, socket.socket) else connect(where)
        self.buffer, self.op, self.heard = b'', 0, []
        self.shake(name if isinstance(name, bytes) else name.encode())

    def shake(self, name):
        self.expect(GREETING)
        self.socket.sendall(GREETING)
        self.expect(b'\x01')
        self.socket.sendall(struct.pack('<H', len(name)) + name)
        self.expect(b'\x01')

    def take(self, n):
        while len(self.buffer) < n:
            data = self.socket.recv(1 << 16)
            if not data:
                raise EOFError('the broker closed the connection')
            self.buffer += data
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def expect(self, what):
        got = self.take(len(what))
        if got != what:
            raise AssertionError(f'{got!r} instead of {what!r}')

    def frame(self, op, body, qos=0):
        self.op += 1
        return struct.pack('<IBI', self.op, op | qos << 6, len(body)) + body

    def send(self, op, body, qos=0):
        self.socket.sendall(self.frame(op, body, qos))
        return self.op

    def receive(self):
        """The next frame that is no ping: (kind, payload or result, op id or sender)."""
        while True:
            kind, length, last = struct.unpack('<BIB', self.take(6))
            if kind == ACK:
                return ACK, last, length
            if kind != PING:
                sender, _, rest = self.take(length).partition(b'\0')
                return kind, rest, sender.decode()

    def acked(self, op, body):
        """Sends with acknowledgement and returns its code; payloads that come before are kept in `heard`."""
        number = self.send(op, body, PROCESSED)
        while True:
            kind, result, about = self.receive()
            if kind == ACK and about == number:
                return result
            self.heard.append(result)

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def run(*args, env=None, program=BUSRTD, **options):
    """busrtd to its end: (status, stdout, stderr)."""
    done = subprocess.run([program, *args], capture_output=True, text=True, timeout=DEADLINE, stdin=subprocess.DEVNULL,
                          env={**os.environ, **(env or {})}, **options)
    return done.returncode, done.stdout, done.stderr


def kill_if_there(pid):
    """For a process in the background that a failed test has left."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


class TestCase(unittest.TestCase):
    def broker(self, *args, **options):
        broker = Broker(*args, **options)
        self.addCleanup(broker.close)
        return broker

    def connected(self, broker, name, where=None):
        client = broker.client(name, where)
        self.addCleanup(client.close)
        return client

    def limited_peer(self, *args, **options):
        """A broker, and how to reach it as somebody whom its limits per user concern: those of root and of its own
        user do not count. (broker, where, who in the log as a pattern, context in which to connect)"""
        broker = self.broker('-B', 'bus.sock', '-B', '127.0.0.1:0', *args, **options)
        return broker, *self.limited_way(broker)

    def limited_way(self, broker):
        """The same for one that runs and listens on bus.sock and 127.0.0.1."""
        if os.getuid() == 0:
            os.chmod(broker.dir, 0o755)
            os.chmod(broker.path(), 0o777)
            return broker.path(), f'user {NOBODY}', lambda: as_user(NOBODY)
        port = int(broker.log.wait_for(r'listening on 127.0.0.1:(\d+)').group(1))
        return ('127.0.0.1', port), r'127\.0\.0\.1:\d+', contextlib.nullcontext

    def directory(self):
        path = tempfile.mkdtemp(prefix='busrt-process-')
        self.addCleanup(shutil.rmtree, path, True)
        return path

    def assert_serves(self, where, name='probe'):
        """A client joins there and hears itself."""
        with Client(where, name) as client:
            client.send(MESSAGE, name.encode() + b'\0hello', PROCESSED)
            self.assertEqual({client.receive()[:2], client.receive()[:2]}, {(MESSAGE, b'hello'), (ACK, OK)})

    def assert_one_line(self, text, pattern):
        self.assertRegex(text, pattern)
        self.assertEqual(text.count('\n'), 1, text)


def main():
    unittest.main(verbosity=2)
