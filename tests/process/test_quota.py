# SPDX-License-Identifier: Apache-2.0
"""What one user, or one address, may have, from outside: refused at the door, at the handshake or by an acknowledgement, told
once and then counted, and given back. As root by another user's connections, else by TCP: root's and the broker's own
user have no limits."""
import contextlib
import os
import signal
import time

from bus import DEADLINE, GREETING, MESSAGE, OK, SUBSCRIBE, Client, TestCase, ask_for, connect, main

EXCLUDE, UNSUBSCRIBE = 0x04, 0x03
DENIED = 0x79


class Quota(TestCase):
    def start(self, *args):
        self.running, self.where, self.who, self.context = self.limited_peer(*args)
        return self.running

    def connect(self):
        with self.context():
            s = connect(self.where)
        self.addCleanup(s.close)
        return s

    def is_greeted(self, s):
        try:
            return s.recv(3) == GREETING
        except ConnectionError:
            return False

    def is_let_in(self):
        with self.connect() as s:
            return self.is_greeted(s)

    def code_of(self, name):
        s = self.connect()
        try:
            return ask_for(s, name)
        finally:
            s.close()

    def joined(self, name):
        with self.context():
            return self.connected(self.running, name, self.where)

    def retried(self, condition):
        """What the broker sees in its own time."""
        until = time.monotonic() + DEADLINE
        while not condition():
            self.assertLess(time.monotonic(), until)

    def test_connections_without_a_name(self):
        broker = self.start('--max-handshakes-per-user', '3')
        waiting = [self.connect() for _ in range(3)]
        self.assertTrue(all(self.is_greeted(s) for s in waiting))
        for _ in range(50):
            self.assertFalse(self.is_greeted(self.connect()))
        broker.log.wait_for(f'connection of {self.who} on [^ ]+ refused: it has too many connections without a name '
                            r'\(MaxHandshakesPerUser\)')
        self.assertLessEqual(broker.log.drain().count('refused: it has too many'), 20)
        waiting[0].sendall(GREETING + b'\1\0a')
        self.assertEqual(waiting[0].recv(1) + waiting[0].recv(1), b'\1\1')
        self.retried(self.is_let_in)
        with self.connected(broker, 'own', broker.path()) as own:  # nobody else is concerned
            self.assertEqual(own.acked(MESSAGE, b'a\0x'), OK)

    def test_connections_per_second(self):
        broker = self.start('--connection-rate-per-user', '1', '--connection-burst-per-user', '5')
        begin = time.monotonic()
        greeted = 0
        for _ in range(200):
            with self.connect() as s:
                greeted += self.is_greeted(s)
        self.assertIn(greeted, range(5, 5 + int(time.monotonic() - begin) + 2))
        broker.log.wait_for(f'connection of {self.who} on [^ ]+ refused: it has too many connections per second '
                            r'\(ConnectionRatePerUser\)')
        self.retried(self.is_let_in)

    def test_names(self):
        broker = self.start('--max-names-per-user', '2')
        a, _ = self.joined('a'), self.joined('a%%1')
        self.assertEqual(self.code_of('b'), DENIED)
        broker.log.wait_for(r'client "b" \(.*\) refused: its user has as many names as it may \(MaxNamesPerUser\)')
        self.assertEqual(a.acked(MESSAGE, b'a%%1\0x'), OK)
        a.close()
        self.retried(lambda: self.code_of('b') == OK)

    def test_subscriptions(self):
        broker = self.start('--max-subscriptions-per-user', '3')
        a, b = self.joined('a'), self.joined('b')
        self.assertEqual(a.acked(SUBSCRIBE, b'1\0002'), OK)
        self.assertEqual(b.acked(EXCLUDE, b'3'), OK)
        self.assertEqual(b.acked(SUBSCRIBE, b'4'), DENIED)
        broker.log.wait_for(r'client "b" \(.*\) was refused a subscription: its user has as many as it may '
                            r'\(MaxSubscriptionsPerUser\)')
        self.assertEqual(b.acked(MESSAGE, b'a\0x'), OK)
        self.assertEqual(a.acked(UNSUBSCRIBE, b'2'), OK)
        self.assertEqual(b.acked(SUBSCRIBE, b'4'), OK)

    def test_memory(self):
        broker = self.start('--queue-memory-max-per-user', '1M')
        a = self.joined('a')
        masks = [b'x/%d' % i for i in range(4000)]
        self.assertEqual(a.acked(SUBSCRIBE, b'\0'.join(masks)), DENIED)
        broker.log.wait_for(r'client "a" \(.*\) was refused a subscription: .*\(QueueMemoryMaxPerUser\)')
        self.assertEqual(a.acked(MESSAGE, b'a\0x'), OK)

    def test_the_broker_s_own_user_and_root_have_no_limits(self):
        broker = self.broker('-B', 'bus.sock', '--max-connections-per-user', '1', '--max-handshakes-per-user', '1',
                             '--max-names-per-user', '1', '--max-subscriptions-per-user', '1',
                             '--connection-rate-per-user', '1', '--connection-burst-per-user', '1')
        clients = [self.connected(broker, f'c{i}') for i in range(20)]
        for client in clients:
            self.assertEqual(client.acked(SUBSCRIBE, b'1\0002\0003'), OK)

    def test_new_limits_hold_for_what_comes(self):
        file = self.directory() + '/b.conf'
        with open(file, 'w') as f:
            f.write('[Bus]\n')
        broker = self.start('--config', file)
        a = self.joined('a')
        self.assertEqual(a.acked(SUBSCRIBE, b'1\0002'), OK)
        with open(file, 'w') as f:
            f.write('[Bus]\nMaxSubscriptionsPerUser=2\nMaxNamesPerUser=1\n')
        broker.signal(signal.SIGHUP)
        broker.log.wait_for('configuration reloaded: .*MaxNamesPerUser 16000 -> 1, MaxSubscriptionsPerUser 100000 -> 2')
        self.retried(lambda: a.acked(SUBSCRIBE, b'3') == DENIED or a.acked(UNSUBSCRIBE, b'3') != OK)
        self.assertEqual(self.code_of('b'), DENIED)
        self.assertEqual(a.acked(MESSAGE, b'a\0x'), OK)

    def test_a_name_is_taken_over_as_the_mode_says(self):
        for mode, own, other in (('no', 0x76, 0x76), ('same-identity', OK, 0x76), ('any', OK, OK), (None, OK, OK)):
            broker = self.start('--force-register' + (f'={mode}' if mode else ''))
            held = self.joined('n')
            if os.getuid() == 0 or self.where != broker.path():
                with contextlib.closing(connect(broker.path())) as s:  # root's, or not by TCP: another identity
                    self.assertEqual(ask_for(s, 'n'), other, mode)
                    if other == OK:
                        self.assertRaises(EOFError, held.receive)
                self.retried(lambda: self.code_of('free') == OK)
            if other != OK:
                self.assertEqual(self.code_of('n'), own, mode)
            held.close()
            broker.stop()


if __name__ == '__main__':
    main()
