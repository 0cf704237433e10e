# SPDX-License-Identifier: Apache-2.0
"""One user floods the broker while another goes on talking: no exchange fails, hardly one takes ten times what it takes
while another broker is flooded, what the flooder has stays within its limits, the log says it in a few lines, and in the
end all comes back.

As root the flooder is another user, by the UNIX socket. Else it comes by TCP: the broker's own user has no limits."""
import contextlib
import os
import resource
import select
import socket
import struct
import time
import warnings

from bus import GREETING, MESSAGE, NOBODY, SUBSCRIBE, Client, TestCase, as_user, connect, main
from calls import Caller
from observe import SANITIZED, Bystanders, descriptors, private_memory, wait_until

TALKER = 65533         # the user whose exchanges are timed
EXCHANGES = 1000       # at least, without the flood and with it
SLOWER, FLOOR = 10, 0.01  # one exchange in a hundred may take so many times as long, or so many seconds
MEMORY = 16 << 20      # bytes that may stay
LINES = 150            # in the log, and as many again for each ten seconds: a user's own limit is 100
HANDSHAKES = 5000
TIMEOUT = 2            # for a handshake
JOIN = 1               # seconds: ten times of what is promised to who joins meanwhile
LIMITS = ('--max-connections-per-user', '2000', '--max-names-per-user', '500', '--max-subscriptions-per-user', '5000',
          '--queue-memory-max-per-user', '8M')
FEW_PER_SECOND = ('--connection-rate-per-user', '200', '--connection-burst-per-user', '500')


def p99(times):
    return sorted(times)[len(times) * 99 // 100]


# --- Floods: each is begun once, and what it returns is done over and over ---

def greeted(where):
    """A connection that the broker took, or None."""
    with contextlib.suppress(ConnectionError):
        s = connect(where)
        if s.recv(3) == GREETING:
            return s
        s.close()
    return None


def connect_and_close(where):
    def again():
        s = greeted(where)
        if s:
            s.close()
    return again


def connect_and_hold(where):
    held = []
    return lambda: held.append(greeted(where))


def begin_handshakes(where):
    """As many as HANDSHAKES, and then it only looks whether they end."""
    held, poll = [], select.poll()

    def again():
        if len(held) < HANDSHAKES:
            held.append(greeted(where))
            poll.register(held[-1], select.POLLRDHUP)
        else:
            for fd, _ in poll.poll(10):
                poll.unregister(fd)
    return again


def join_and_hold(where):
    held = []

    def again():
        s = greeted(where)
        if s:
            s.sendall(GREETING + struct.pack('<H', 12) + b'flooder%05d' % len(held))
            if s.recv(2, socket.MSG_WAITALL) == b'\1\1':
                held.append(s)
            else:
                s.close()
    return again


def subscribe(where):
    client, numbers = Client(where, 'flooder'), iter(range(1 << 30))

    def again():
        client.acked(SUBSCRIBE, b'\0'.join(b'flood/%d' % next(numbers) for _ in range(500)))
    return again


class Deaf:
    """Receivers that never read, and who sends to them; who is ended comes again."""

    def __init__(self, where):
        self.where, self.numbers, self.clients = where, iter(range(1 << 30)), {}

    def client(self, name):
        if name not in self.clients:
            self.clients[name] = Client(self.where, name)
        return self.clients[name]

    def __call__(self):
        names = [f'deaf.{i}' for i in range(20)]
        for name in names:
            if self.client(name).socket.fileno() < 0 or select.select([self.client(name).socket], [], [], 0)[0]:
                self.look(name)
            self.client('sender').send(MESSAGE, name.encode() + b'\0' + bytes(100000))

    def look(self, name):
        """It reads only to see whether it is still there."""
        poll = select.poll()
        poll.register(self.clients[name].socket, select.POLLRDHUP)
        if poll.poll(0):
            self.clients.pop(name).close()


class Flooder:
    """A process that floods as another user until it is told to end."""

    def __init__(self, where, begin):
        self.told, say = os.pipe()
        end, self.tell = os.pipe()
        self.rounds = 0
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(self.tell)
                warnings.simplefilter('ignore', ResourceWarning)
                self.become_another()
                self.flood(begin(where), end, say)
            finally:
                os._exit(0)
        os.close(say)
        os.close(end)
        os.set_blocking(self.told, False)

    @staticmethod
    def become_another():
        if os.getuid() == 0:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)

    @staticmethod
    def flood(again, end, say):
        while not select.select([end], [], [], 0)[0]:
            again()
            os.write(say, b'.')

    def has_done(self, n):
        with contextlib.suppress(BlockingIOError):
            said = os.read(self.told, 65536)
            assert said, 'the flooder has failed'
            self.rounds += len(said)
        return self.rounds >= n

    def end(self):
        os.close(self.tell)
        os.close(self.told)
        os.waitpid(self.pid, 0)


class Floods(TestCase):
    def start(self, *args):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.begin, self.args = time.monotonic(), args
        self.running, self.where, _, _ = self.limited_peer(*args)
        self.pid = self.running.process.pid
        self.identity = f'user {NOBODY}' if os.getuid() == 0 else '127.0.0.1'
        self.admin = Caller(self.running.path(), 'admin')
        self.addCleanup(self.admin.close)
        self.talkers = Bystanders(self, self.running, lambda: as_user(TALKER) if os.getuid() == 0 else contextlib.nullcontext())
        self.talkers.check()
        self.before = descriptors(self.pid), private_memory(self.pid)

    def quotas(self):
        """What the flooder has, where it has anything."""
        return self.admin.call('quota.get', identity=self.identity)['quotas']

    def within_limits(self):
        for quota in self.quotas():
            for what in ('connections', 'names', 'subscriptions', 'held', 'handshakes'):
                self.assertLessEqual(quota[what], quota[what + '_max'], what)

    def flooded(self, where, begin, n_rounds):
        """What exchanges take meanwhile: of a hundred the slowest."""
        flooder, times = Flooder(where, begin), []

        def enough():
            times.append(self.talkers.check())
            if len(times) % 100 == 0:
                self.within_limits()
            return flooder.has_done(n_rounds) and len(times) >= EXCHANGES
        try:
            wait_until(enough, 'the flood stands still')
        finally:
            flooder.end()
        return p99(times)

    def flood(self, begin, n_rounds):
        """First another broker: the machine has as much to do then."""
        other, where, _, _ = self.limited_peer(*self.args)
        idle = p99([self.talkers.check() for _ in range(EXCHANGES)])
        beside = self.flooded(where, begin, n_rounds)
        other.stop()
        took = self.flooded(self.where, begin, n_rounds)
        print(f'{begin.__name__}: p99 {idle * 1e6:.0f} us; {beside * 1e6:.0f} us while another broker is flooded; '
              f'{took * 1e6:.0f} us', flush=True)
        if not SANITIZED:
            self.assertLess(took, max(SLOWER * beside, FLOOR))

    def over(self):
        """All is as it was."""
        wait_until(lambda: not self.quotas(), 'something is still counted')
        wait_until(lambda: descriptors(self.pid) <= self.before[0], 'descriptors stay open')
        if not SANITIZED:
            wait_until(lambda: private_memory(self.pid) < self.before[1] + MEMORY, 'memory is kept')
        self.talkers.check()
        self.assertEqual(self.running.stop(), 0)
        elapsed = time.monotonic() - self.begin
        self.assertLess(self.running.log.text.count('\n'), LINES * (1 + elapsed / 10), self.running.log.text)

    def try_flood(self, begin, n_rounds, limit, *args):
        self.start(*LIMITS, *args)
        self.flood(begin, n_rounds)
        self.running.log.wait_for(limit)
        self.over()

    def test_connections_that_come_and_go(self):
        self.try_flood(connect_and_close, 5000, 'ConnectionRatePerUser', *FEW_PER_SECOND)

    def test_connections_that_stay(self):
        self.try_flood(connect_and_hold, 3000, 'MaxConnectionsPerUser')

    def test_names(self):
        self.try_flood(join_and_hold, 1500, 'MaxNamesPerUser')

    def test_subscriptions(self):
        self.try_flood(subscribe, 200, 'MaxSubscriptionsPerUser')

    def test_bytes_that_nobody_reads(self):
        self.try_flood(Deaf, 100, 'QueueMemoryMaxPerUser')

    def test_handshakes_that_never_end(self):
        self.start('-t', str(TIMEOUT))
        flooder, joins = Flooder(self.where, begin_handshakes), []

        def join():
            self.talkers.check()
            begin = time.monotonic()
            Client(self.running.path(), 'joiner').close()
            joins.append(time.monotonic() - begin)
            return self.quotas()
        try:
            wait_until(lambda: join() and flooder.has_done(HANDSHAKES), 'the flood stands still')
            begin = time.monotonic()
            wait_until(lambda: not join(), 'handshakes go on for ever')
            took = time.monotonic() - begin
        finally:
            flooder.end()
        print(f'{HANDSHAKES} handshakes: the last ended {took:.2f} s after the last began; {len(joins)} joins, '
              f'slowest {max(joins) * 1e6:.0f} us', flush=True)
        self.assertLess(took, 2 * TIMEOUT)
        self.assertLess(max(joins), JOIN)
        self.over()


if __name__ == '__main__':
    main()
