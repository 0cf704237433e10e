# SPDX-License-Identifier: Apache-2.0
"""busrtctl access: what rules say without a broker, and that the broker says the same."""
import glob
import json
import os
import subprocess
import unittest

import bus
from bus import OK, PUBLISH, SUBSCRIBE
from tool import BUSRTCTL, NOBODY, TestCase, environment, main, others_may_run_it, become_somebody, run

DENIED = 0x79
EXAMPLES = os.path.join(os.environ.get('SOURCE', os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..')),
                        'docs', 'examples', 'access')
RULES = '''
[plc.?]
AllowUsers=0
PublishTo=plc/#
SubscribeTo=command/+
SendTo=.broker archive

[archive]
AllowUsers=65534
AllowGroups=4242
AllowHosts=192.0.2.0/24
ReceiveFrom=plc.1
BroadcastTo=plc.?
'''


class AccessCase(bus.TestCase):
    def setUp(self):
        self.dir = self.directory()
        self.rules = os.path.join(self.dir, 'rules')
        os.mkdir(self.rules)
        self.write('rules/10-a.conf', RULES)

    def write(self, name, text):
        path = os.path.join(self.dir, name)
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text)
        return path

    def access(self, verb, *args, rules=True):
        status, out, err = run('access', verb, *args, *(['--rules', self.rules] if rules else []))
        return status, out.decode(), err

    def answers(self, *args):
        """allowed, line of the rule: of each question."""
        status, out, err = self.access('explain', '--json', *args)
        self.assertEqual(err, '')
        answers = json.loads(out)['answers']
        self.assertEqual(status, 0 if all(a['allowed'] for a in answers) else 1)
        return [(a['allowed'], a['line']) for a in answers]


class Explain(AccessCase):
    def test_who_may_bear_the_name(self):
        self.assertEqual(self.answers('plc.1', '--user', '0'), [(True, 3)])
        self.assertEqual(self.answers('plc.1', '--user', str(NOBODY)), [(False, 3)])
        self.assertEqual(self.answers('archive', '--user', str(NOBODY)), [(True, 9)])
        self.assertEqual(self.answers('archive', '--user', '0'), [(False, 9)])
        self.assertEqual(self.answers('archive', '--user', '0', '--group', '4242'), [(True, 10)])
        self.assertEqual(self.answers('archive', '--host', '192.0.2.9'), [(True, 11)])
        self.assertEqual(self.answers('archive', '--host', '::ffff:192.0.2.9'), [(True, 11)])
        self.assertEqual(self.answers('archive', '--host', '::1'), [(False, 11)])
        self.assertEqual(self.answers('plc.1%%3', '-u', '0'), [(True, 3)])
        self.assertEqual(self.answers('other', '-u', '0'), [(False, None)])
        self.assertEqual(self.answers('.broker', '-u', '0'), [(False, None)])

    def test_what_its_bearer_may_do(self):
        self.assertEqual(self.answers('plc.1', '-u', '0', '--publish', 'plc/1', '--publish', 'x', '--subscribe', 'command/#',
                                      '--send', '.broker', '--send', 'archive', '--broadcast', '*', '--receive', 'x'),
                         [(True, 3), (True, 4), (False, 4), (False, 5), (True, 6), (True, 6), (False, 2), (True, 2)])

    def test_what_is_sent_must_be_taken(self):
        self.assertEqual(self.answers('plc.2', '-u', '0', '--send', 'archive'), [(True, 3), (False, 12)])

    def test_without_a_question_the_section_is_shown(self):
        self.write('rules/20-b.conf', '[plc.?]\nSendTo=\nSendTo=db\n')
        status, out, err = self.access('explain', 'plc.1', '--user', '0')
        self.assertEqual((status, err), (0, ''))
        self.assertIn('By section [plc.?]', out)
        self.assertRegex(out, r'SubscribeTo +command/\+ +\S+10-a\.conf:5\n')
        self.assertRegex(out, r'SendTo +db +\S+20-b\.conf:3\n')
        self.assertNotIn('archive', out)
        self.assertRegex(self.access('explain', 'x', '--user', '0')[1], 'No section matches')

    def test_no_rules_allow_everything(self):
        os.unlink(os.path.join(self.rules, '10-a.conf'))
        self.assertEqual(self.answers('x', '--send', 'y'), [(True, None), (True, None)])

    def test_the_caller_is_who_is_asked_about(self):
        self.assertEqual(self.answers('plc.1'), [(os.getuid() == 0, 3)])

    def test_mistakes_are_no_denials(self):
        for args, says in (((), 'NAME of a client is missing'), (('a', 'b'), 'more than one NAME'),
                           (('a', '--user', 'no such'), 'no such user'), (('a', '--group', 'no such'), 'no such group'),
                           (('a', '--host', 'x'), 'no IPv4 or IPv6'), (('a', '--host', '::1', '-u', '0'), 'no --user'),
                           (('a', '--config', 'x'), 'one of them'), (('a', '--frobnicate'), 'unknown option')):
            status, out, err = self.access('explain', *args)
            self.assertEqual((status, out), (2, ''), args)
            self.assertRegex(err, says)
        status, out, err = run('access', 'explain', 'a', '--rules', self.dir + '/missing')
        self.assertEqual((status, out), (2, b''))
        self.assertRegex(err, 'No such file')
        self.assertEqual(run('access', 'frobnicate')[0], 2)

    def test_rules_that_are_none_are_told_with_their_place(self):
        self.write('rules/20-b.conf', '[x]\nAllowUsers=nobody-of-that-name\n')
        for verb in ('explain', 'x'), ('show',):
            status, out, err = self.access(*verb)
            self.assertEqual((status, out), (2, ''))
            self.assertRegex(err, r'20-b\.conf:2: AllowUsers "nobody-of-that-name": no such user')

    def test_unknown_keys_are_told(self):
        self.write('rules/20-b.conf', '[x]\nFrobnicate=1\n')
        status, _, err = self.access('explain', 'plc.1', '-u', '0')
        self.assertEqual(status, 0)
        self.assertRegex(err, r'20-b\.conf:2: the key "Frobnicate" means nothing here')

    def test_rules_of_a_config_file(self):
        path = self.write('busrtd.conf', '')
        os.rename(self.rules, path + '.access.d')
        self.assertEqual(run('access', 'explain', 'x', '-u', '0', '-c', path)[0], 1)
        self.assertEqual(run('access', 'explain', 'plc.1', '-u', '0', '-c', path)[0], 0)

    def test_names_are_made_visible(self):
        out = self.access('explain', 'a\x1b[31m', '-u', '0', '--send', '\x1b]0;x')[1]
        self.assertNotIn('\x1b', out)
        self.assertIn(r'\x1b]0;x', out)


class Show(AccessCase):
    def test_the_most_specific_first(self):
        self.write('rules/20-b.conf', '[*]\n[plc.1]\nSendTo=x\n[archive]\nAllowHosts=\n')
        status, out, err = self.access('show', '--json')
        self.assertEqual((status, err), (0, ''))
        rows = [(r['section'], r['key'], r['line']) for r in json.loads(out)]
        self.assertEqual(rows, [('archive', 'AllowUsers', 9), ('archive', 'AllowGroups', 10), ('archive', 'ReceiveFrom', 12),
                                ('archive', 'BroadcastTo', 13), ('plc.1', 'SendTo', 3), ('plc.?', 'AllowUsers', 3),
                                ('plc.?', 'PublishTo', 4), ('plc.?', 'SubscribeTo', 5), ('plc.?', 'SendTo', 6), ('*', '', 1)])
        self.assertEqual(len(self.access('show', 'plc.1')[1].splitlines()), 2)


class Test(AccessCase):
    def expect(self, text, *args):
        return self.access('test', self.write('x.test', text), *args)

    def test_what_holds(self):
        self.assertEqual(self.expect('[plc.1 as user 0]\nAllow=bear\nAllow=publish plc/1 "plc/a b"\nDeny=send x\n'
                                     '[archive]\nAllow=broadcast plc.?\n[archive as host 192.0.2.1]\nAllow=bear\n'),
                         (0, '6 of 6 expectations hold.\n', ''))

    def test_each_that_fails_is_a_line_with_the_rule(self):
        status, out, err = self.expect('[plc.1 as user 0]\nAllow=publish plc/1 x\nDeny=bear\n\n[plc.2]\nAllow=send archive\n')
        self.assertEqual((status, err), (1, ''))
        lines = out.splitlines()
        self.assertEqual(len(lines), 4)
        self.assertRegex(lines[0], r'x\.test:2: \[plc\.1 as user 0\] Allow=publish x: denied: .*10-a\.conf:4\)$')
        self.assertRegex(lines[1], r'x\.test:3: \[plc\.1 as user 0\] Deny=bear: allowed: .*10-a\.conf:3\)$')
        self.assertRegex(lines[2], r'x\.test:6: \[plc\.2\] Allow=send archive: denied: .*10-a\.conf:12\)$')
        self.assertEqual(lines[3], '1 of 4 expectations hold.')
        status, out, _ = self.expect('[plc.2]\nAllow=send archive\n', '--json')
        self.assertEqual((status, json.loads(out)['failed'][0]['line']), (1, 12))

    def test_who_may_not_bear_the_name_proves_nothing(self):
        status, out, _ = self.expect('[plc.1 as user 1]\nDeny=bear\nDeny=publish x\n')
        self.assertEqual(status, 1)
        self.assertRegex(out, 'Deny=publish x: it may not bear the name: ')

    def test_users_of_another_machine(self):
        os.mkdir(os.path.join(self.dir, 'other'))
        self.write('other/a.conf', '[a]\nAllowUsers=olga\n[b]\nAllowGroups=shift\n[c]\nAllowGroups=paul\n')
        text = 'Rules=other\nUser=olga olga shift\nUser=paul\n' + ''.join(
            f'[{name} as user {user}]\n{what}=bear\n' for name, user, what in (
                ('a', 'olga', 'Allow'), ('a', 'paul', 'Deny'), ('b', 'olga', 'Allow'), ('b', 'paul', 'Deny'),
                ('b', 'paul group shift', 'Allow'), ('c', 'paul', 'Allow'), ('c', 'olga', 'Deny')))
        path = self.write('x.test', text)
        self.assertEqual(self.access('test', path, rules=False), (0, '7 of 7 expectations hold.\n', ''))

    def test_mistakes_in_the_file(self):
        for text, says in (('', 'it expects nothing'), ('[a]\n', 'it expects nothing'), ('[a]\nAllow=fly x', r':2: .*none of'),
                           ('[a]\nAllow=bear', ':2: .*who'), ('[a as user 0]\nAllow=bear x', ':2: .*own name'),
                           ('[a]\nAllow=publish', ':2: .*missing'), ('[a]\nPermit=send x', ':2: .*Allow= and Deny='),
                           ('Frob=1\n[a]\nAllow=send x', ':1: .*before the first section'),
                           ('[a as user no-such-user]\nAllow=bear', ':1: no-such-user: there is no such user'),
                           ('[a as host x]\nAllow=bear', ':1: .*no IPv4'), ('[a of user 0]\nAllow=bear', ':1: .*NAME as'),
                           ('[a as user]\nAllow=bear', ':1: .*behind "as"'), ('User=x\nUser=x\n', ':2: .*already')):
            status, out, err = self.expect(text)
            self.assertEqual((status, out), (2, ''), text)
            self.assertRegex(err, says)
        self.assertRegex(self.access('test', self.dir + '/none')[2], 'none: No such file')
        self.assertEqual(self.access('test')[0], 2)

    def test_the_worked_set_ups(self):
        tests = sorted(glob.glob(os.path.join(EXAMPLES, '*', '*.test')))
        self.assertEqual([os.path.basename(path) for path in tests], ['cell.test', 'host.test', 'tunnel.test'])
        for path in tests:
            status, out, err = run('access', 'test', path)
            self.assertEqual((status, err), (0, ''), out)
            self.assertRegex(out.decode(), r'^(\d+) of \1 expectations hold\.$')


class Broker(AccessCase):
    """The same questions to busrtd."""

    @unittest.skipIf(os.getuid() != 0, 'the rules are for root')
    def test_the_broker_says_what_explain_says(self):
        config = self.write('busrtd.conf', '')
        os.rename(self.rules, config + '.access.d')
        broker = self.broker('-B', 'bus.sock', '--config', config)
        client = self.connected(broker, 'plc.1')
        for what, op in ('publish', PUBLISH), ('subscribe', SUBSCRIBE):
            for topic in 'plc/1', 'plc', 'x', 'command/x', 'command/#', '.broker/info':
                said = run('access', 'explain', 'plc.1', '-u', '0', f'--{what}', topic, '-c', config)[0]
                body = topic.encode() + (b'\0x' if op == PUBLISH else b'')
                self.assertEqual(client.acked(op, body), OK if said == 0 else DENIED, (what, topic))
        status = json.loads(run('-s', broker.path(), '-n', 'plc.3', '--json', 'status')[1])
        self.assertEqual((status['access_rules'], status['denied'] > 0), (2, True))

    @unittest.skipUnless(os.getuid() == 0 and others_may_run_it(), 'it takes another user who can run the tool')
    def test_anybody_may_ask(self):
        os.chmod(self.dir, 0o755)
        done = subprocess.run([BUSRTCTL, 'access', 'explain', 'archive', '--rules', self.rules], capture_output=True,
                              preexec_fn=become_somebody, env=environment())
        self.assertEqual((done.returncode, done.stderr), (0, b''))


if __name__ == '__main__':
    main()
