# SPDX-License-Identifier: Apache-2.0
"""Thousands of clients that do nothing but keep themselves alive: what each costs the broker. BUSRT_TEST_CLIENTS=N takes
N of them, as far as the limit of open files lets it; 3000 otherwise."""
import os
import resource
import select
import struct

from bus import TestCase, main
from observe import SANITIZED, Bystanders, cost, private_memory

CLIENTS = int(os.environ.get('BUSRT_TEST_CLIENTS', 3000))
MEMORY = 4096   # bytes for each
PING = 15e-6    # CPU seconds for each ping exchanged
PINGS = 2       # of each client
TIMEOUT = 4     # the broker's: it pings each client twice in that time
OURS = struct.pack('<IBI', 0, 0, 0)
THEIRS = bytes(6)


def enough_files():
    """How many clients there can be."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return min(CLIENTS, hard - 200)


class Crowd:
    """The clients. Whoever is pinged answers."""

    def __init__(self):
        self.poll, self.sockets, self.counts = select.epoll(), {}, {}

    def add(self, client):
        fd = client.socket.fileno()
        self.sockets[fd], self.counts[fd] = client.socket, 0
        self.poll.register(fd, select.EPOLLIN)

    def serve(self, timeout):
        for fd, _ in self.poll.poll(timeout):
            data = self.sockets[fd].recv(4096)
            assert data and data == THEIRS * (len(data) // 6), data
            self.sockets[fd].sendall(OURS)
            self.counts[fd] += len(data) // 6

    def total(self):
        return sum(self.counts.values())

    def close(self):
        self.poll.close()
        for s in self.sockets.values():
            s.close()


class Idle(TestCase):
    def join(self, crowd, broker, name):
        crowd.add(broker.client(name))
        crowd.serve(0)

    def test_they_cost_little(self):
        n = enough_files()
        self.assertGreaterEqual(n, 1000)
        broker = self.broker('-B', 'bus.sock', '-t', str(TIMEOUT))
        bystanders, crowd, pid = Bystanders(self, broker), Crowd(), broker.process.pid
        self.addCleanup(crowd.close)
        for i in range(100):
            self.join(crowd, broker, f'first.{i}')
        before = private_memory(pid)
        for i in range(n):
            self.join(crowd, broker, f'idle.{i}')
            if i % 200 == 0:
                bystanders.check()
        each = (private_memory(pid) - before) / n
        begun, wanted = crowd.total(), {fd: count + PINGS for fd, count in crowd.counts.items()}
        with cost(pid) as spent:
            while any(crowd.counts[fd] < count for fd, count in wanted.items()):
                crowd.serve(1)
        bystanders.check()
        pings = crowd.total() - begun
        print(f'{n} clients: {each:.0f} bytes each, {spent[0] / pings * 1e6:.1f} us of CPU for each of {pings} pings '
              f'exchanged; a bystander waited {bystanders.slowest * 1000:.1f} ms at most')
        if not SANITIZED:
            self.assertLessEqual(each, MEMORY)
            self.assertLess(spent[0] / pings, 10 * PING)
        crowd.close()
        bystanders.nothing_is_left()


if __name__ == '__main__':
    main()
