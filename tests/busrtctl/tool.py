# SPDX-License-Identifier: Apache-2.0
"""The tool as its users run it, against a busrtd of the test's own.

run() drives busrtctl to its end; Running is one that goes on, with its output read as it comes; Terminal is one on a
pseudo terminal. FakeBroker says what a test wants it to say. bus.py (of tests/process) starts busrtd.
"""
import ctypes
import os
import pty
import select
import socket
import struct
import subprocess
import termios
import threading
import time

import bus
from bus import DEADLINE, MESSAGE, OK, SUBSCRIBE, Reader, remaining

NOBODY = 65534
BUSRTCTL = os.environ.get('BUSRTCTL', 'busrtctl')


def environment(extra=None):
    env = {key: value for key, value in os.environ.items()
           if key not in ('BUSRT_SOCKET', 'XDG_RUNTIME_DIR', 'DBUS_SESSION_BUS_ADDRESS', 'DBUS_SYSTEM_BUS_ADDRESS',
                          'NO_COLOR', 'TERM')}
    env.update({'LC_ALL': 'C.UTF-8', 'TERM': 'xterm', 'TZ': 'UTC'})
    env.update(extra or {})
    return env


def run(*args, stdin=b'', env=None, **options):
    """busrtctl to its end: (status, stdout as bytes, stderr)."""
    done = subprocess.run([BUSRTCTL, *args], capture_output=True, input=stdin, timeout=DEADLINE, env=environment(env),
                          **options)
    return done.returncode, done.stdout, done.stderr.decode()


class Running:
    """One that goes on. out and err are Readers."""

    def __init__(self, *args, env=None, stdin=subprocess.DEVNULL, stdout=None):
        reader, err = os.pipe()
        self.err, self.out = Reader(reader), None
        if stdout is None:
            reader, stdout = os.pipe()
            self.out = Reader(reader)
        self.process = subprocess.Popen([BUSRTCTL, *args], stdin=stdin, stdout=stdout, stderr=err, env=environment(env))
        os.close(err)
        if self.out:
            os.close(stdout)

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self):
        return self.process.wait(DEADLINE)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.process.stdin:
            self.process.stdin.close()
        os.close(self.err.fd)
        if self.out:
            os.close(self.out.fd)


class Terminal:
    """One on a terminal: screen is all that it has written there. size: (lines, columns). before: run first."""

    def __init__(self, *args, env=None, stdin=None, size=None, before=None):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            if before:
                before()
            if size:
                termios.tcsetwinsize(0, size)
            if stdin is not None:
                os.dup2(stdin, 0)
            os.execve(BUSRTCTL, [BUSRTCTL, *args], environment(env))
        self.screen, self.status = b'', None

    def wait_for(self, *words):
        until = time.monotonic() + DEADLINE
        while not all(word in self.screen for word in words):
            if not self.read(remaining(until, f'{words} in {self.screen!r}')):
                raise AssertionError(f'no {words} in {self.screen!r}')

    def read(self, timeout):
        if not select.select([self.fd], [], [], timeout)[0]:
            return True
        try:
            data = os.read(self.fd, 1 << 16)
        except OSError:
            data = b''
        self.screen += data
        return bool(data)

    def type(self, keys):
        os.write(self.fd, keys)

    def resize(self, lines, columns):
        termios.tcsetwinsize(self.fd, (lines, columns))

    def signal(self, number):
        os.kill(self.pid, number)

    def wait(self):
        until = time.monotonic() + DEADLINE
        while self.read(remaining(until, 'no end')):
            pass
        self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.status

    def close(self):
        os.close(self.fd)
        if self.status is None:
            os.kill(self.pid, 9)
            os.waitpid(self.pid, 0)


class FakeServer:
    """Serves one connection after the other on a thread of its own: talk(client, stream) does it."""

    def __init__(self, path):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen()
        self.client = None
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                self.client = client = self.listener.accept()[0]
            except OSError:
                return
            with client, client.makefile('rb') as stream:
                try:
                    self.talk(client, stream)
                except (OSError, EOFError, struct.error):
                    pass

    def close(self):
        """Its thread ends first: it might accept at the number of the descriptor, which is another's by then."""
        self.listener.shutdown(socket.SHUT_RDWR)
        try:
            if self.client:
                self.client.shutdown(socket.SHUT_RDWR)
        except OSError:  # it has gone by itself
            pass
        self.thread.join(DEADLINE)
        self.listener.close()


class FakeBroker(FakeServer):
    """Serves one connection after the other: the greeting, `name_code` for the name, `code` for what wants an
    acknowledgement, and to every call `result` or `error` (code, text), where given."""

    def __init__(self, path, greeting=bus.GREETING, name_code=OK, code=OK, result=None, error=None):
        self.greeting, self.name_code, self.code = greeting, name_code, code
        self.reply = None if result is None else (b'\x11', result)
        if error:
            self.reply = b'\x12', struct.pack('<h', error[0]) + error[1]
        super().__init__(path)

    def talk(self, client, stream):
        client.sendall(self.greeting)
        if stream.read(3) != bus.GREETING:
            return
        client.sendall(b'\x01')
        stream.read(struct.unpack('<H', stream.read(2))[0])
        client.sendall(bytes([self.name_code]))
        while self.name_code == OK:
            op, flags, length = struct.unpack('<IBI', stream.read(9))
            body = stream.read(length) if flags else b''
            if flags & 0x40:
                client.sendall(struct.pack('<BIB', bus.ACK, op, self.code))
            if self.reply and flags & 0x3f == MESSAGE:
                target, _, call = body.partition(b'\0')
                reply = target + b'\0' + self.reply[0] + call[1:5] + self.reply[1]
                client.sendall(struct.pack('<BIB', MESSAGE, len(reply), 0) + reply)


def drop_root():
    """To be called before exec: root may no longer open what file modes forbid."""
    libc = ctypes.CDLL(None)
    for capability in 1, 2:  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        libc.prctl(24, capability, 0, 0, 0)


def become_somebody():
    """To be called before exec: a user who is not root."""
    if os.geteuid() == 0:
        os.setuid(NOBODY)


def others_may_run_it():
    try:
        return subprocess.run([BUSRTCTL, '--version'], preexec_fn=become_somebody, capture_output=True).returncode == 0
    except PermissionError:
        return False


class TestCase(bus.TestCase):
    """self.bus is a running broker, and self.path its socket."""
    broker_args = ()

    def setUp(self):
        self.bus = self.broker('-B', 'bus.sock', *self.broker_args)
        self.path = self.bus.path()

    def ctl(self, *args, **options):
        return run('-s', self.path, *args, **options)

    def ok(self, *args, **options):
        """stdout as text, of a run without complaints."""
        status, out, err = self.ctl(*args, **options)
        self.assertEqual((status, err), (0, ''))
        return out.decode()

    def fails(self, *args, says, status=1, **options):
        got, out, err = self.ctl(*args, **options)
        self.assertEqual((got, out), (status, b''), err)
        self.assertRegex(err, says)

    def running(self, *args, **options):
        process = Running('-s', self.path, *args, **options)
        self.addCleanup(process.close)
        return process

    def terminal(self, *args, **options):
        terminal = Terminal('-s', self.path, *args, **options)
        self.addCleanup(terminal.close)
        return terminal

    def fake(self, **options):
        path = os.path.join(self.directory(), 'fake.sock')
        fake = FakeBroker(path, **options)
        self.addCleanup(fake.close)
        return path

    def listener(self, *args, name='listener', **options):
        """A `busrtctl listen` that listens."""
        process = self.running('-n', name, 'listen', '-v', *args, **options)
        process.err.wait_for('Listening as')
        return process

    def receiver(self, name='receiver', topic=None, where=None):
        """A raw client, subscribed."""
        client = self.connected(self.bus, name, where)
        if topic is not None:
            self.assertEqual(client.acked(SUBSCRIBE, topic.encode()), OK)
        return client

    def publications(self, client, topic, count):
        """The payloads of the next publications on this topic."""
        found = []
        while len(found) < count:
            kind, payload, _ = client.receive()
            got, _, payload = payload.partition(b'\0')
            if kind == bus.PUBLICATION and got == topic.encode():
                found.append(payload)
        return found

    def message(self, client):
        while True:
            kind, payload, sender = client.receive()
            if kind == MESSAGE:
                return payload, sender


main = bus.main
