# SPDX-License-Identifier: Apache-2.0
"""What a test of ill-treatment looks at from outside: the broker's CPU, memory and descriptors, and two bystanders who
must be able to talk all the while."""
import os
import time
from contextlib import contextmanager, nullcontext

from bus import ACK, DEADLINE, MESSAGE, OK

SANITIZED = os.environ.get('SANITIZED') == 'yes'


def cpu_seconds(pid):
    """Of all its threads, to the nanosecond."""
    total = 0
    for task in os.listdir(f'/proc/{pid}/task'):
        with open(f'/proc/{pid}/task/{task}/schedstat') as file:
            total += int(file.read().split()[0])
    return total / 1e9


def private_memory(pid):
    """Bytes that are this process's alone and were written to."""
    with open(f'/proc/{pid}/smaps_rollup') as file:
        return 1024 * sum(int(line.split()[1]) for line in file if line.startswith('Private_Dirty:'))


def descriptors(pid):
    return len(os.listdir(f'/proc/{pid}/fd'))


def wait_until(condition, what):
    until = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < until, what
        time.sleep(0.001)


class Bystanders:
    """Two clients that have nothing to do with it. context: in which they connect."""

    def __init__(self, test, broker, context=nullcontext):
        self.pid = broker.process.pid
        with context():
            self.ping = test.connected(broker, 'bystander.ping')
            self.pong = test.connected(broker, 'bystander.pong')
        self.descriptors, self.number, self.slowest = descriptors(self.pid), 0, 0.0

    def check(self):
        """There and back; returns the seconds that it took."""
        self.number += 1
        begin = time.monotonic()
        for one, other, name in ((self.ping, self.pong, b'pong'), (self.pong, self.ping, b'ping')):
            text = b'%d' % self.number
            assert one.acked(MESSAGE, b'bystander.' + name + b'\0' + text) == OK
            frame = other.receive()
            while frame[0] == ACK:
                frame = other.receive()
            assert frame[1] == text, frame
        took = time.monotonic() - begin
        self.slowest = max(self.slowest, took)
        return took

    def nothing_is_left(self):
        """All others have gone, and so have their descriptors."""
        self.check()
        wait_until(lambda: descriptors(self.pid) <= self.descriptors, 'descriptors stay open')


@contextmanager
def cost(pid):
    """The CPU seconds that the broker spends meanwhile, in the one item of a list."""
    spent, begin = [], cpu_seconds(pid)
    yield spent
    spent.append(cpu_seconds(pid) - begin)
