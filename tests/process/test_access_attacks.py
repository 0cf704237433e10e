# SPDX-License-Identifier: Apache-2.0
"""Clients that try to get past the access rules: by names that look like others, as secondaries of others' primaries, by
masks wider than their own, in the broker's name, and while the rules change under load."""
import contextlib
import signal
import threading
import time

from bus import BROADCAST, DEADLINE, MESSAGE, NOBODY, OK, PUBLISH, SUBSCRIBE, as_user, main
from calls import Caller
from rules import DENIED, ME, PUBLISH_FOR, RulesCase, answer

NO_NAME, NOT_THERE = 0x72, 0x71
RELOADS = 200
MINE = f'AllowUsers={ME}\n'


class LookAlikes(RulesCase):
    def test_names_that_look_alike_are_other_names(self):
        composed, decomposed = 'caf\u00e9', 'cafe\u0301'
        self.write_rules(f'[a]\n{MINE}[{composed}]\n{MINE}[sub.a]\n{MINE}')
        broker = self.start()
        for name in ('\u0430', 'A', 'a ', ' a', 'a.', 'a\u200b', '\uff41', 'a%', 'a.%%', decomposed, composed + '.x', 'sub',
                     'sub.a.b', 'sub..a', 'sub\u2024a', 'sub/a'):
            self.assertIn(answer(broker.path(), name), (DENIED, NO_NAME) if '%%' in name else (DENIED,), name)
        for name in (composed, 'a', 'sub.a'):
            self.assertEqual(answer(broker.path(), name), OK, name)

    def test_a_nul_or_an_empty_part_is_no_name(self):
        self.write_rules(f'[*]\n{MINE}')
        broker = self.start()
        a = self.connected(broker, 'a')
        for name in (b'', b'a\0', b'a\0b', b'\0a', b'a%%', b'%%a', b'%%', b'a%%%%b', b'a%%b%%', b'a%%\0', b'.broker', b'.broker%%a',
                     b'a%%\x1b[2J', b'a%%\xff', b'\xc3'):
            self.assertEqual(answer(broker.path(), name), NO_NAME, name)
        for name in (b'a%%%', b'a%%b%%c', b'a%%.broker'):
            self.assertEqual(answer(broker.path(), name), OK, name)
        for name in (b'b%%a', b'a%%%%', b'a.%%b'):
            self.assertIn(answer(broker.path(), name), (NOT_THERE, NO_NAME), name)
        self.assertEqual(a.acked(MESSAGE, b'a\0x'), DENIED)

    def test_targets_that_look_alike_are_other_targets(self):
        self.write_rules(f'[a]\n{MINE}SendTo=sink.1\nBroadcastTo=sink.1\n[sink.*]\n{MINE}[\u0455ink.1]\n{MINE}')
        broker = self.start()
        a = self.connected(broker, 'a')
        others = [self.connected(broker, name) for name in ('sink.2', '\u0455ink.1', 'sink.1.x')]
        for name in ('sink.2', '\u0455ink.1', 'sink.1.x', 'sink', 'sink.', 'sink.1.', 'SINK.1', '%%sink.1', ''):
            self.assertEqual(a.acked(MESSAGE, name.encode() + b'\0x'), DENIED, name)
            self.assertEqual(a.acked(BROADCAST, name.encode() + b'\0x'), DENIED, name)
        for mask in ('*', '?.1', 'sink.?', 'sink.*', 'sink.1.*', 'sink.1%%*', '?'):
            self.assertEqual(a.acked(BROADCAST, mask.encode() + b'\0x'), DENIED, mask)
        self.assertEqual(a.acked(MESSAGE, b'sink.1%%other\0x'), NOT_THERE)
        self.assertEqual(a.acked(BROADCAST, b'sink.1\0x'), OK)
        for other in others:
            self.assertEqual(other.acked(SUBSCRIBE, b'.broker/warn'), OK)
            self.assertEqual(other.heard, [])


class Secondaries(RulesCase):
    def others(self):
        """Ways to be somebody else."""
        yield self.where['v4'], contextlib.nullcontext
        if ME == 0:
            yield self.where['unix'], lambda: as_user(NOBODY)

    def test_nobody_joins_anothers_primary(self):
        self.write_rules(f'[shared]\n{MINE}AllowUsers={NOBODY}\nAllowHosts=127.0.0.1\n[own]\n{MINE}[free.*]\nAllowUsers=*\nAllowHosts=::/0\n')
        broker = self.start()
        for name in ('shared', 'own', 'free.1'):
            self.connected(broker, name)
        for where, context in self.others():
            for name in ('shared%%x', 'own%%x', 'own%%free.1', 'own%%x.free.1', 'free.1%%x', 'own%%x%%free.1'):
                with context():
                    self.assertEqual(answer(where, name), DENIED, name)
        broker.log.wait_for('client "shared%%x" [^\n]* refused: its primary belongs to another user or address')
        self.assertEqual(answer(broker.path(), 'own%%x'), OK)

    def test_a_secondary_may_what_its_primary_may(self):
        self.write_rules(f'[a]\n{MINE}SendTo=b\nReceiveFrom=b\n[b]\n{MINE}SendTo=a\n[x.*]\n{MINE}SendTo=*\nPublishTo=#\n')
        broker = self.start()
        a, b, x = (self.connected(broker, name) for name in ('a', 'b', 'x.1'))
        second = self.connected(broker, 'a%%x.1')
        self.assertEqual(second.acked(MESSAGE, b'x.1\0x'), DENIED)
        self.assertEqual(second.acked(PUBLISH, b't\0x'), DENIED)
        self.assertEqual(second.acked(MESSAGE, b'b\0x'), OK)
        self.assertEqual(b.receive()[2], 'a%%x.1')
        self.assertEqual(x.acked(MESSAGE, b'a%%x.1\0x'), DENIED)
        self.assertEqual(b.acked(MESSAGE, b'a%%x.1\0x'), OK)
        self.assertEqual(a.acked(MESSAGE, b'b\0x'), OK)


class Masks(RulesCase):
    def test_a_subscription_is_no_wider_than_the_rule(self):
        self.write_rules(f'[a]\n{MINE}SubscribeTo=a/+\nSendTo=a\n[p]\n{MINE}PublishTo=#\n')
        broker = self.start()
        a, p = self.connected(broker, 'a'), self.connected(broker, 'p')
        wide = ('#', 'a/#', '+/+', '+', '+/#', '+/b', 'a', '', '/a/b', 'a/+/#', 'a/b/#', 'a/+/+', 'a/b/c', 'a/#/b', '#/a/b', 'A/b')
        for mask in wide:
            self.assertEqual(a.acked(SUBSCRIBE, mask.encode()), DENIED, mask)
        self.assertEqual(a.acked(SUBSCRIBE, '\0'.join(wide).encode()), DENIED)
        for topic in ('a', 'b/b', 'a/b/c', 'a/b', '.broker/info', '/a/b', ''):
            self.assertIn(p.acked(PUBLISH, topic.encode() + b'\0x'), (OK, DENIED))
        self.assertEqual(a.acked(MESSAGE, b'a\0end'), OK)
        self.assertEqual(set(a.heard) | ({a.receive()[1]} if not a.heard else set()), {b'end'})
        for mask in ('a/b', 'a/+', 'a/', 'a/%%'):
            self.assertEqual(a.acked(SUBSCRIBE, mask.encode()), OK, mask)

    def test_nobody_speaks_for_the_broker(self):
        self.write_rules(f'[a]\n{MINE}PublishTo=# .broker/# .broker .broker/warn\n[b]\n{MINE}SubscribeTo=#\n')
        broker = self.start()
        a, b = self.connected(broker, 'a'), self.connected(broker, 'b')
        self.assertEqual(b.acked(SUBSCRIBE, b'#\0.broker/#'), OK)
        for topic in (b'.broker', b'.broker/', b'.broker/warn', b'.broker/info', b'.broker/x/y', b'.broker//', b'.broker/#'):
            self.assertEqual(a.acked(PUBLISH, topic + b'\0x'), DENIED, topic)
            self.assertEqual(a.acked(PUBLISH_FOR, topic + b'\0b\0x'), DENIED, topic)
        for topic in (b'.brokers', b'/.broker/warn', b'x/.broker'):
            self.assertEqual(a.acked(PUBLISH, topic + b'\0x'), OK, topic)
            self.assertEqual(b.receive()[1], topic + b'\0x')


# Two sets, A and B: what each of them lets happen, and what neither does. On m, A lets p publish and B lets s subscribe;
# to w, A lets p send and broadcast, and B lets w take it: so nothing ever arrives unless one frame is judged by both.
COMMON = (f'[admin]\n{MINE}SendTo=.broker\n[stranger]\n{MINE}SendTo=*\nPublishTo=#\nBroadcastTo=*\n'
          f'[n]\n{MINE}SubscribeTo=#\nReceiveFrom=admin\n')
SETS = (COMMON + f'[p]\n{MINE}SendTo=w\nBroadcastTo=w\nPublishTo=both/# t/A m\n[s]\n{MINE}SubscribeTo=both/+ t/A\nReceiveFrom=p\n'
        f'[w]\n{MINE}ReceiveFrom=z\n[r.A]\n{MINE}',
        COMMON + f'[p]\n{MINE}SendTo=s\nBroadcastTo=s\nPublishTo=both/# t/B\n[s]\n{MINE}SubscribeTo=both/+ t/B m\nReceiveFrom=p\n'
        f'[w]\n{MINE}ReceiveFrom=p\n[r.B]\n{MINE}')
EITHER = (OK, DENIED)


class Load:
    """A client in a thread of its own, that does its round over and over."""

    def __init__(self, round_):
        self.round, self.rounds, self.error, self.over = round_, 0, None, threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        try:
            while not self.over.is_set():
                self.round()
                self.rounds += 1
        except BaseException as error:  # told in the thread of the test
            self.error = error

    def end(self):
        self.over.set()
        self.thread.join()
        return self.error


class Reloads(RulesCase):
    def expect(self, client, op, body, codes):
        self.assertIn(client.acked(op, body), codes, body)

    def publisher(self, p):
        def round_():
            for topic in (b'both/1', b't/A', b't/B', b'm'):
                self.expect(p, PUBLISH, topic + b'\0x', EITHER)
            self.expect(p, PUBLISH_FOR, b'm\0s\0x', EITHER)
            self.expect(p, PUBLISH, b'both/1\0x', (OK,))
            for op, target in ((MESSAGE, b's'), (BROADCAST, b's'), (BROADCAST, b'w')):
                self.expect(p, op, target + b'\0message', EITHER)
            self.expect(p, PUBLISH, b'never\0x', (DENIED,))
            for op, target in ((MESSAGE, b'w'), (MESSAGE, b'n'), (BROADCAST, b'*'), (BROADCAST, b'?')):
                self.expect(p, op, target + b'\0x', (DENIED,))
        return round_

    def subscriber(self, s):
        def round_():
            self.expect(s, SUBSCRIBE, b'both/1\0t/A\0m\0t/B', (DENIED,))
            self.expect(s, SUBSCRIBE, b'm', EITHER)
            self.expect(s, SUBSCRIBE, b'both/+', (OK,))
            for mask in (b'#', b'never', b'both/#', b't/+'):
                self.expect(s, SUBSCRIBE, mask, (DENIED,))
            self.assertLessEqual(set(s.heard), {b'both/1\0x', b't/A\0x', b't/B\0x', b'message'})
            s.heard.clear()
        return round_

    def stranger(self, x):
        """May send to all, and nobody takes it."""
        def round_():
            for target in (b's', b'w', b'n'):
                self.expect(x, MESSAGE, target + b'\0stranger', (DENIED,))
                self.expect(x, BROADCAST, target + b'\0stranger', (OK,))
            for topic in (b'both/1', b'm', b't/A', b't/B'):
                self.expect(x, PUBLISH, topic + b'\0stranger', (OK,))
        return round_

    def comer(self, broker):
        def round_():
            for name in ('r.A', 'r.B'):
                self.assertIn(answer(broker.path(), name), (OK, DENIED, 0x76), name)
            self.assertEqual(answer(broker.path(), 'r.C'), DENIED)
            self.assertEqual(answer(broker.path(), 'p%%' + '\0'), NO_NAME)
        return round_

    def listener(self, client):
        def round_():
            self.expect(client, SUBSCRIBE, b'.broker/warn', (OK,))
            self.assertEqual([heard for heard in client.heard if not heard.startswith(b'.broker/info\0')], [])
        return round_

    def masks_of(self, admin, name):
        return set(admin.call('client.get', name=name)['subscriptions'])

    def check_last(self, broker, clients, last):
        other = 'BA'[last]
        held, admin = 'AB'[last], clients['admin']
        p, s = clients['p'], clients['s']
        allowed = {'.broker/warn', 'both/1', 'both/+', f't/{held}'} | ({'m'} if held == 'B' else set())
        self.assertLessEqual(self.masks_of(admin, 's'), allowed)
        self.expect(s, SUBSCRIBE, b'both/1\0t/A\0m\0t/B', (DENIED,))
        self.assertEqual(self.masks_of(admin, 's'), allowed)
        self.expect(p, PUBLISH, f't/{held}\0last'.encode(), (OK,))
        self.expect(p, PUBLISH, f't/{other}\0x'.encode(), (DENIED,))
        self.expect(p, PUBLISH, b'm\0x', (OK if held == 'A' else DENIED,))
        self.expect(p, MESSAGE, b's\0x', (OK if held == 'B' else DENIED,))
        self.assertEqual(answer(broker.path(), f'r.{held}'), OK)
        self.assertEqual(answer(broker.path(), f'r.{other}'), DENIED)

    def end(self, loads):
        errors = [error for error in [load.end() for load in loads] if error]
        self.assertEqual(errors, [])

    def test_rules_that_change_under_load_are_one_set_or_the_other(self):
        self.write_rules(SETS[0])
        broker = self.start()
        clients = {name: self.connected(broker, name) for name in ('p', 's', 'w', 'n', 'stranger')}
        clients['admin'] = Caller(broker.path(), 'admin')
        self.addCleanup(clients['admin'].close)
        self.assertEqual(clients['n'].acked(SUBSCRIBE, b'#'), OK)
        loads = [Load(round_) for round_ in
                 (self.publisher(clients['p']), self.subscriber(clients['s']), self.stranger(clients['stranger']),
                  self.listener(clients['w']), self.listener(clients['n']), self.comer(broker), self.comer(broker))]
        try:
            for i in range(1, RELOADS + 1):
                self.write_rules(SETS[i % 2])
                self.assertIn('configuration reloaded', self.reload(broker))
        finally:
            self.end(loads)
        self.assertGreater(min(load.rounds for load in loads), 10)
        self.check_last(broker, clients, RELOADS % 2)

    def test_what_was_allowed_is_forgotten_with_its_rules(self):
        """Nobody comes or goes meanwhile."""
        self.write_rules(SETS[0])
        broker = self.start()
        p, _, _ = (self.connected(broker, name) for name in ('p', 's', 'w'))
        for i in range(10):
            for _ in range(2):
                self.expect(p, PUBLISH, b't/%c\0x' % b'AB'[i % 2], (OK,))
                self.expect(p, PUBLISH, b't/%c\0x' % b'BA'[i % 2], (DENIED,))
                self.expect(p, MESSAGE, b's\0x', (OK if i % 2 else DENIED,))
                self.expect(p, BROADCAST, b's\0x', (OK if i % 2 else DENIED,))
                self.expect(p, MESSAGE, b'w\0x', (DENIED,))
            self.write_rules(SETS[(i + 1) % 2])
            self.assertIn('configuration reloaded', self.reload(broker))
            p.acked(MESSAGE, b'nobody\0x')

    def test_reloads_that_come_at_once_leave_the_last(self):
        """Nobody waits for one reload before the next."""
        self.write_rules(SETS[0])
        broker = self.start()
        clients = {name: self.connected(broker, name) for name in ('p', 's', 'w')}
        clients['admin'] = Caller(broker.path(), 'admin')
        self.addCleanup(clients['admin'].close)
        leaver = self.connected(broker, 'r.A')
        loads = [Load(self.publisher(clients['p'])), Load(self.subscriber(clients['s']))]
        for i in range(RELOADS):
            self.write_rules(SETS[i % 2])
            broker.signal(signal.SIGHUP)
            broker.notify.drain()
        self.end(loads)
        self.write_rules(SETS[1])
        broker.signal(signal.SIGHUP)
        until = time.monotonic() + DEADLINE
        while answer(broker.path(), 'r.B') != OK:
            self.assertLess(time.monotonic(), until)
            broker.notify.drain()
        self.assertRaises(EOFError, leaver.receive)
        self.check_last(broker, clients, 1)


if __name__ == '__main__':
    main()
