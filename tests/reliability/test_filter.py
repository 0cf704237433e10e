# SPDX-License-Identifier: Apache-2.0
"""Filters of client.list that were made to take for ever: the broker answers at once, and has not grown."""
import struct

from bus import MESSAGE, OK, PROCESSED, TestCase, main
from observe import SANITIZED, Bystanders, cost, private_memory

PROMISED = 0.010  # CPU seconds for a call
GROWTH = 2 << 20  # bytes, for all of them

FILTERS = (
    b'(a+)+$',
    b'(a*)*b',
    b'(a|aa)+$',
    b'(a|a?)+$',
    b'^(([a-z])+.)+[A-Z]([a-z])+$',
    b'(.*)(.*)(.*)(.*)(.*)(.*)(.*)(.*)(.*)[^a]x',
    b'(a?){200}a{200}',
    b'((a{0,100}){0,100}){0,100}$',
    b'(?:a?){1000}(?:a){1000}',
    b'a*a*a*a*a*a*a*a*a*a*b',
    b'((((((((((a*)*)*)*)*)*)*)*)*)*b',
    b'[a-z]*[a-y]*[a-x]*[a-w]*[a-v]*z',
    b'(' * 200 + b'a' + b')*' * 200 + b'b',
    b'.*' * 200 + b'x',
    b'a{1000}{1000}',
    b'(a{1000}){1000}',
    b'\\pL{1000}\\pN',
    b'[' + b'a-z' * 1000 + b']+x',
    b'|'.join(b'a' * i + b'b' for i in range(1, 200)),
    b'(?i)' + b'a?' * 500 + b'a' * 500,
)


def text(value):
    return b'\xda' + struct.pack('>H', len(value)) + value


class Filter(TestCase):
    def test_none_takes_long(self):
        broker = self.broker('-B', 'bus.sock')
        bystanders = Bystanders(self, broker)
        pid = broker.process.pid
        for i in range(50):
            self.connected(broker, 'a' * (100 + i * 18))
        client = self.connected(broker, 'asks')
        before, slowest = None, 0.0
        for again in range(2):
            for number, pattern in enumerate(FILTERS):
                params = b'\x81\xa6filter' + text(pattern)
                with cost(pid) as spent:
                    client.send(MESSAGE, b'.broker\0\1' + struct.pack('<I', number + 1) + b'client.list\0' + params,
                                PROCESSED)
                    self.assertEqual(client.receive()[1], OK)
                    reply = client.receive()[1]
                self.assertIn(reply[0], (0x11, 0x12))
                self.assertEqual(struct.unpack('<I', reply[1:5])[0], number + 1)
                slowest = max(slowest, spent[0])
                bystanders.check()
            before = before or private_memory(pid)
        print(f'{len(FILTERS)} filters: {slowest * 1000:.1f} ms of CPU at most; a bystander waited '
              f'{bystanders.slowest * 1000:.1f} ms at most')
        if not SANITIZED:
            self.assertLess(slowest, 10 * PROMISED)
            self.assertLess(private_memory(pid) - before, GROWTH)


if __name__ == '__main__':
    main()
