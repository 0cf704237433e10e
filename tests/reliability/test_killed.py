# SPDX-License-Identifier: Apache-2.0
"""Clients that are killed in the middle of a frame: nobody gets part of it, nothing stays, and the name is free at once.
BUSRT_TEST_KILLS=N kills N instead of 300."""
import os
import random
import signal
import struct
import time

from bus import MESSAGE, OK, SUBSCRIBE, TestCase, connect, main
from observe import Bystanders

KILLS = int(os.environ.get('BUSRT_TEST_KILLS', 300))
NOT_REGISTERED = 0x71
CEILING = 10 * 0.05  # ten times what is promised


def frame(number, size):
    body = b'witness\0' + struct.pack('<I', number) + b'x' * size
    return struct.pack('<IBI', number, MESSAGE, len(body)) + body


def doomed(path, name, data):
    """Registers, writes, and dies without a chance to do anything more. In a process of its own."""
    pid = os.fork()
    if pid:
        return pid
    with connect(path) as s:
        s.sendall(b'\xeb\x01\x00' + struct.pack('<H', len(name)) + name)
        answer = b''
        while len(answer) < 5: # with a time-out MSG_WAITALL waits for nothing
            answer += s.recv(5 - len(answer))
        s.sendall(data)
        os.kill(os.getpid(), signal.SIGKILL)


def buried(pid):
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL


class Killed(TestCase):
    def setUp(self):
        seed = int(os.environ.get('BUSRT_TEST_SEED', time.time_ns()))
        print(f'BUSRT_TEST_SEED={seed}')
        self.random = random.Random(seed)

    def test_in_the_middle_of_a_frame(self):
        broker = self.broker('-B', 'bus.sock')
        bystanders = Bystanders(self, broker)
        witness = self.connected(broker, 'witness')
        bystanders.descriptors += 1
        number, slowest = 0, 0.0
        for turn in range(KILLS):
            whole = [frame(number + i, self.random.randrange(3000)) for i in range(self.random.randrange(4))]
            last = frame(0xdead, self.random.choice((10, 3000, 100000)))
            buried(doomed(broker.path(), b'victim', b''.join(whole) + last[:self.random.randrange(1, len(last))]))
            begin = time.monotonic()
            with broker.client('victim') as heir:
                slowest = max(slowest, time.monotonic() - begin)
                self.assertEqual(heir.acked(MESSAGE, b'witness\0' + struct.pack('<I', number + len(whole))), OK)
            for expected in range(number, number + len(whole) + 1):
                kind, payload, sender = witness.receive()
                self.assertEqual((kind, payload[:4], sender), (MESSAGE, struct.pack('<I', expected), 'victim'))
            number += len(whole) + 1
            if turn % 20 == 0:
                bystanders.check()
        print(f'{KILLS} killed; name free again within {slowest * 1000:.1f} ms')
        self.assertLess(slowest, CEILING)
        bystanders.nothing_is_left()

    def test_a_primary_with_its_secondaries(self):
        broker = self.broker('-B', 'bus.sock')
        bystanders = Bystanders(self, broker)
        ops = self.connected(broker, 'ops')
        bystanders.descriptors += 1
        self.assertEqual(ops.acked(SUBSCRIBE, b'.broker/info'), OK)
        ready, go = os.pipe()
        pid = os.fork()
        if not pid:
            clients = [broker.client('family')] + [broker.client(f'family%%{i}') for i in range(100)]
            os.write(go, b'%d' % len(clients))
            signal.pause()
        self.assertEqual(os.read(ready, 10), b'101')
        os.kill(pid, signal.SIGKILL)
        buried(pid)
        bystanders.nothing_is_left()
        for name in (b'family', b'family%%0', b'family%%99', b'anybody'):
            self.assertEqual(ops.acked(MESSAGE, name + b'\0'), NOT_REGISTERED)
        about = [text for text in ops.heard if b'family' in text]
        self.assertEqual([b'unreg' in text for text in about], [False, True])
        for fd in (ready, go):
            os.close(fd)


if __name__ == '__main__':
    main()
