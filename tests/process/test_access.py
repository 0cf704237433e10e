# SPDX-License-Identifier: Apache-2.0
"""Access rules, from outside: every operation of every kind of peer, the codes, and the lines in the log that say which
rule it was; what a reload does to clients that are there, and that a set with a mistake changes nothing.

Users and groups need root: without, only what TCP and our own user can show is tried."""
import contextlib
import os
import re
import signal
import time

from bus import BROADCAST, MESSAGE, NOBODY, OK, PUBLICATION, PUBLISH, SUBSCRIBE, as_user, has_ipv6, main, run
from rules import DENIED, EXCLUDE, ME, PUBLISH_FOR, RulesCase, answer

IS_ROOT = ME == 0
GROUP, MORE = 23456, 23457  # of nobody who is here
ALL = 'SendTo=* .broker\nBroadcastTo=*\nPublishTo=#\nSubscribeTo=# .broker/#\n'


class Kind:
    """One way to be somebody, and the rules that name him or do not."""

    def __init__(self, name, allowed, refused, transport='unix', context=contextlib.nullcontext):
        self.name, self.allowed, self.refused, self.transport, self.context = name, allowed, refused, transport, context


KINDS = [Kind('me', f'AllowUsers={ME}', 'AllowHosts=127.0.0.1'),
         Kind('v4', 'AllowHosts=127.0.0.0/8', 'AllowUsers=*', 'v4')]
if IS_ROOT:
    KINDS += [Kind('user', f'AllowUsers={NOBODY}', f'AllowUsers=root\nAllowGroups={GROUP}', context=lambda: as_user(NOBODY, MORE)),
              Kind('group', f'AllowGroups={GROUP}', f'AllowGroups={MORE}', context=lambda: as_user(NOBODY, GROUP)),
              Kind('supplementary', f'AllowGroups=77 {MORE}', f'AllowUsers={MORE}\nAllowGroups={GROUP + 5}',
                   context=lambda: as_user(NOBODY, GROUP, (5, MORE)))]
if has_ipv6():
    KINDS.append(Kind('v6', 'AllowHosts=::1', 'AllowHosts=192.0.2.0/24 2001:db8::/32', 'v6'))

# What is done, its frame, the key that may allow it, what allows it, what does not, what is told.
OPERATIONS = [('message', MESSAGE, b'sink\0x', 'SendTo', 'other sink', 'sink.x', 'send to "sink"'),
              ('broadcast', BROADCAST, b'sink\0x', 'BroadcastTo', '?', 'other', 'broadcast to "sink"'),
              ('publish', PUBLISH, b't/x\0x', 'PublishTo', 't/+', 't', 'publish on "t/x"'),
              ('publish-for', PUBLISH_FOR, b't/x\0sink\0x', 'PublishTo', '#', 'u/#', 'publish on "t/x"'),
              ('subscribe', SUBSCRIBE, b't/+', 'SubscribeTo', 't/#', 't/x', 'subscribe to "t/+"')]


class Access(RulesCase):
    def join(self, broker, kind, name):
        with kind.context():
            return self.connected(broker, name, self.where[kind.transport])

    def answer(self, kind, name):
        """The code that whoever asks for that name gets."""
        with kind.context():
            return answer(self.where[kind.transport], name)

    def place(self, line):
        return re.escape(f'({self.rules_file}:{line})')

    # --- The matrix ---

    def test_names_are_for_whom_the_rules_say(self):
        self.write_rules(''.join(f'[{kind.name}.ok]\n{kind.allowed}\n[{kind.name}.no]\n{kind.refused}\n' for kind in KINDS))
        broker = self.start()
        for kind in KINDS:
            self.assertEqual(self.answer(kind, f'{kind.name}.ok'), OK, kind.name)
            self.assertEqual(self.answer(kind, f'{kind.name}.no'), DENIED, kind.name)
            self.assertEqual(self.answer(kind, f'{kind.name}.unnamed'), DENIED, kind.name)
            broker.log.wait_for(rf'client "{kind.name}\.no" \([^)]*\) refused: the access rules do not allow [^\n]*'
                                rf'\({re.escape(self.rules_file)}:\d+\)')
            broker.log.wait_for(rf'client "{kind.name}\.unnamed" \([^)]*\) refused: no section [^\n(]*\n')

    def try_operation(self, broker, sink, kind, case, operation):
        what, op, body, key, good, bad, told = operation
        name = f'{kind.name}.{case}.{what}'
        line = self.lines[name]
        with self.join(broker, kind, name) as client:
            self.assertEqual(client.acked(op, body), OK if case == 'ok' else DENIED, name)
        if case == 'ok' and what != 'subscribe':
            self.assertEqual(sink.receive()[1][-1:], b'x', name)
        if case != 'ok':
            broker.log.wait_for(rf'client "{re.escape(name)}" \([^)]*\) denied: may not {re.escape(told)} {self.place(line)}')

    def test_operations_are_for_whom_the_rules_say(self):
        text = [f'[sink]\nAllowUsers={ME}\nSubscribeTo=#']
        self.lines = {}
        for kind in KINDS:
            for case in ('ok', 'no', 'absent'):
                for what, _, _, key, good, bad, _ in OPERATIONS:
                    rule = {'ok': f'\n{key}={good}', 'no': f'\n{key}={bad}', 'absent': ''}[case]
                    header = '\n'.join(text).count('\n') + 2
                    text.append(f'[{kind.name}.{case}.{what}]\n{kind.allowed}{rule}')
                    self.lines[f'{kind.name}.{case}.{what}'] = header + (kind.allowed + rule).count('\n') + (1 if rule else 0) \
                        if case == 'no' else header
        self.write_rules('\n'.join(text) + '\n')
        broker = self.start()
        sink = self.connected(broker, 'sink')
        self.assertEqual(sink.acked(SUBSCRIBE, b't/#'), OK)
        for kind in KINDS:
            for case in ('ok', 'no', 'absent'):
                for operation in OPERATIONS:
                    self.try_operation(broker, sink, kind, case, operation)
        self.assertNotIn('.ok.', ''.join(line for line in broker.log.drain().split('\n') if 'denied' in line))

    def test_a_receiver_chooses_its_senders(self):
        self.write_rules(f'[a]\nAllowUsers={ME}\n{ALL}[b]\nAllowUsers={ME}\n{ALL}ReceiveFrom=c\n[c]\nAllowUsers={ME}\n{ALL}')
        broker = self.start()
        a, b, c = (self.connected(broker, name) for name in 'abc')
        self.assertEqual(b.acked(SUBSCRIBE, b't'), OK)
        self.assertEqual(a.acked(MESSAGE, b'b\0from a'), DENIED)
        self.assertEqual(a.acked(PUBLISH, b't\0from a'), OK)
        self.assertEqual(a.acked(BROADCAST, b'b\0from a'), OK)
        self.assertEqual(c.acked(PUBLISH, b't\0from c'), OK)
        self.assertEqual(b.receive(), (PUBLICATION, b't\0from c', 'c'))
        broker.log.wait_for(r'client "a" [^\n]* denied: may not send to, which does not take its frames, "b" ' + self.place(13))

    def test_nobody_speaks_for_the_broker_or_to_it_unnamed(self):
        self.write_rules(f'[a]\nAllowUsers={ME}\nSendTo=? a.*\nPublishTo=# .broker/#\n[b]\nAllowUsers={ME}\nSendTo=.broker\n')
        broker = self.start()
        a, b = self.connected(broker, 'a'), self.connected(broker, 'b')
        self.assertEqual(a.acked(PUBLISH, b'.broker/warn\0x'), DENIED)
        self.assertEqual(a.acked(PUBLISH, b'.broker\0x'), DENIED)
        self.assertEqual(a.acked(MESSAGE, b'.broker\0x'), DENIED)
        self.assertEqual(a.acked(SUBSCRIBE, b'.broker/warn'), OK)
        self.assertEqual(a.acked(SUBSCRIBE, b'.broker/info'), DENIED)
        self.assertEqual(b.acked(MESSAGE, b'.broker\0\x01\1\0\0\0test\0'), OK)

    def test_without_rules_everybody_may_everything(self):
        broker = self.start()
        with self.connected(broker, 'a') as a:
            self.assertEqual(a.acked(PUBLISH, b'.broker/x\0x'), OK)
            self.assertEqual(a.acked(SUBSCRIBE, b'#'), OK)
        self.assertNotIn('access rules', broker.log.drain())

    def test_a_flood_of_denials_is_two_lines(self):
        self.write_rules(f'[a]\nAllowUsers={ME}\n')
        broker = self.start()
        a = self.connected(broker, 'a')
        begin = time.monotonic()
        for _ in range(500):
            a.send(PUBLISH, b't\0x')
        self.assertEqual(a.acked(PUBLISH, b't\0x'), DENIED)
        elapsed = time.monotonic() - begin
        a.close()
        broker.log.wait_for(r'client "a" [^\n]* denied: \d+ more times since then')
        self.assertLessEqual(broker.log.drain().count(' denied: '), 2 + 2 * elapsed)

    # --- Reload ---

    def test_a_reload_drops_names_and_subscriptions(self):
        self.write_rules(f'[?]\nAllowUsers={ME}\n{ALL}')
        broker = self.start()
        broker.log.wait_for('access rules: 1 section, 7 words')
        a, b = self.connected(broker, 'a'), self.connected(broker, 'b')
        self.assertEqual(a.acked(SUBSCRIBE, b't/x\0u\0v'), OK)
        self.assertEqual(a.acked(PUBLISH, b'w\0x'), OK)
        self.write_rules(f'[a]\nAllowUsers={ME}\nSubscribeTo=t/#\nPublishTo=#\n')
        self.assertEqual(self.reload(broker), 'configuration reloaded: no setting has changed')
        broker.log.wait_for('access rules: 1 section, 3 words')
        broker.log.wait_for(r'client "b" \([^)]*\) disconnected by new access rules: no section [^\n]*\n')
        broker.log.wait_for(r'client "a" \([^)]*\) lost subscriptions to new access rules: "[uv]" and 1 more ' + self.place(3))
        self.assertRaises(EOFError, b.receive)
        for topic in (b'u', b'v', b't/x'):
            self.assertEqual(a.acked(PUBLISH, topic + b'\0x'), OK)
        self.assertEqual(a.heard, [b't/x\0x'])
        os.unlink(self.rules_file)
        self.reload(broker)
        broker.log.wait_for('there are no access rules: everybody may everything')
        self.assertEqual(self.answer(KINDS[0], 'b'), OK)

    def test_a_mistake_anywhere_changes_nothing(self):
        self.write_rules(f'[a]\nAllowUsers={ME}\nPublishTo=t\n')
        broker = self.start()
        a = self.connected(broker, 'a')
        for text, line, reason in ((f'[a]\nAllowUsers={ME}\nPublishTo=#\nAllowUsers=no-such-user-here\n', 4, 'no-such-user-here'),
                                   ('[a]\nAllowHosts=1.2.3.4/99\n', 2, '1.2.3.4/99'),
                                   ('[a]\nnonsense\n', 2, 'neither')):
            self.write_rules(text)
            self.write_config('MaxTopicParts=1\n')
            says = self.reload(broker)
            self.assertRegex(says, rf'not reloaded, all stays as it was: {re.escape(self.rules_file)}:{line}: [^\n]*{re.escape(reason)}')
            self.assertEqual(a.acked(PUBLISH, b't\0x'), OK)
            self.assertEqual(a.acked(PUBLISH, b'x\0x'), DENIED)
            self.assertEqual(a.acked(EXCLUDE, b'a/b/c'), OK)
            status, _, err = run('--config', self.file, '--check-config')
            self.assertEqual(status, 2)
            self.assert_one_line(err, rf'^busrtd: {re.escape(self.rules_file)}:{line}: ')
        self.write_rules(f'[a]\nAllowUsers={ME}\nPublishTo=#\n')
        self.write_config('MaxTopicParts=nonsense\n')
        self.assertIn(f'{self.file}:3:', self.reload(broker))
        self.assertEqual(a.acked(PUBLISH, b'x\0x'), DENIED)
        self.write_config('MaxTopicParts=1\n')
        self.assertIn('MaxTopicParts 128 -> 1', self.reload(broker))
        self.assertEqual(a.acked(PUBLISH, b'x\0x'), OK)
        self.assertEqual(a.acked(EXCLUDE, b'a/b/c'), 0x72)

    def test_wrong_rules_are_no_start(self):
        self.write_rules('[a]\nAllowUsers=no-such-user-here\n')
        status, _, err = run('--config', self.file, '-B', self.dir + '/s.sock')
        self.assertEqual(status, 2)
        self.assert_one_line(err, rf'^busrtd: {re.escape(self.rules_file)}:2: ')

    def test_check_config_counts_and_warns(self):
        self.write_rules('[a]\nAllowUsers=*\nNonsense=1\n[b]\nSendTo=a b\n')
        self.write_rules('[a]\nAllowHosts=::/0\n', '20.conf')
        status, out, err = run('--config', self.file, '--check-config')
        self.assertEqual(status, 0)
        self.assertIn('# access rules: 2 sections, 4 words\n', out)
        self.assertEqual(err, f'busrtd: {self.rules_file}:3: unknown key "Nonsense" in section "a": ignored\n')
        broker = self.start()
        broker.log.wait_for('unknown key "Nonsense" in section "a": ignored')

    def test_reloads_between_frames_leave_no_frame_between(self):
        """Under a stream of lists, rules change to and fro: each list is judged by one set."""
        sets = [f'[a]\nAllowUsers={ME}\nSubscribeTo=t/1 u/1\n', f'[a]\nAllowUsers={ME}\nSubscribeTo=t/2 u/2\n']
        self.write_rules(sets[0])
        broker = self.start()
        a = self.connected(broker, 'a')
        for i in range(20):
            self.write_rules(sets[i % 2])
            broker.signal(signal.SIGHUP)
            for _ in range(20):
                self.assertEqual(a.acked(SUBSCRIBE, b't/1\0t/2\0u/1\0u/2'), DENIED)
            broker.notify.drain()
            self.reloads += 1
            broker.log.wait_for('configuration reloaded', count=self.reloads)
            self.assertEqual(a.acked(SUBSCRIBE, b't/%d\0u/%d' % (i % 2 + 1, i % 2 + 1)), OK)


if __name__ == '__main__':
    main()
