# SPDX-License-Identifier: Apache-2.0
"""busrtctl disconnect, reload, log-level, config, subscriptions and reset-statistics, by way of `.broker`."""
import json
import os
import unittest

from bus import MESSAGE, OK, SUBSCRIBE
from tool import TestCase, become_somebody, main, others_may_run_it, run

EXCLUDE = 0x04
VERBS = (('disconnect', 'a'), ('reload',), ('log-level',), ('log-level', 'info'), ('config',), ('subscriptions',),
         ('subscriptions', 'a'), ('reset-statistics',), ('list',), ('show', 'a'), ('status',))


def ended(client):
    """Waits until the broker has closed the connection."""
    try:
        while True:
            client.receive()
    except (EOFError, ConnectionResetError):
        return True


class Disconnect(TestCase):
    def test_those_that_are_named(self):
        one, two, three = self.receiver('plc.1'), self.receiver('plc.2'), self.receiver('plc.3')
        self.assertEqual(self.ok('disconnect', 'plc.1', 'plc.3'), '')
        self.assertTrue(ended(one) and ended(three))
        self.assertEqual(two.acked(MESSAGE, b'plc.2\0x'), OK)

    def test_by_id(self):
        one, two = self.receiver('plc.1'), self.receiver('plc.2')
        clients = {client['name']: client['id'] for client in json.loads(self.ok('list', '--json'))}
        self.assertEqual(self.ok('disconnect', f'#{clients["plc.1"]}'), '')
        self.assertTrue(ended(one))
        self.assertEqual(two.acked(MESSAGE, b'plc.2\0x'), OK)

    def test_who_is_not_there_is_told_and_the_others_go(self):
        one = self.receiver('plc.1')
        self.fails('disconnect', 'no\x1b\u202e', 'plc.1', '#18446744073709551615', '#18446744073709551616',
                   says=r'^busrtctl: no client "no\\x1b\\xe2\\x80\\xae" is connected\n'
                   r'"busrtctl list" lists who is there.\n'
                   r'busrtctl: no client "#18446744073709551615" is connected\n.*\n'
                   r'busrtctl: no client "#18446744073709551616" is connected\n.*\n$')
        self.assertTrue(ended(one))

    def test_mistakes(self):
        self.fails('disconnect', says='name of a client is missing', status=2)
        self.fails('disconnect', 'a', '', says='CLIENT: it is empty', status=2)
        self.fails('disconnect', '--json', 'a', says='unknown option --json', status=2)


class Configuration(TestCase):
    def setUp(self):
        directory = self.directory()
        self.file = os.path.join(directory, 'bus.conf')
        self.write('[Bus]\nQueueFrames=100\n')
        self.bus = self.broker('-B', 'bus.sock', '-t', '50', '--max-topic-parts', '99', '--config', self.file)
        self.path = self.bus.path()

    def write(self, text):
        with open(self.file, 'w', encoding='utf-8') as file:
            file.write(text)

    def settings(self, *args):
        return {s['key']: (s['value'], s['file'], s['line']) for s in json.loads(self.ok('config', '--json', *args))}

    def test_what_is_not_built_in(self):
        lines = self.ok('config').splitlines()
        self.assertRegex(lines[0], r'^KEY +VALUE +FROM *$')
        self.assertEqual([line.split() for line in lines[1:]],
                         [['Listen', 'bus.sock', 'command', 'line'], ['TimeoutSec', '50000ms', 'command', 'line'],
                          ['QueueFrames', '100', self.file + ':2'],
                          ['MaxTopicParts', '99', 'command', 'line']])
        self.assertEqual(self.settings(), {'Listen': ('bus.sock', 'command line', None),
                                           'TimeoutSec': ('50000ms', 'command line', None),
                                           'QueueFrames': ('100', self.file, 2),
                                           'MaxTopicParts': ('99', 'command line', None)})

    def test_all(self):
        self.assertRegex(self.ok('config', '--all'), r'(?m)^QueueBytes +16777216 +built in *$')
        settings = self.settings('-a')
        self.assertEqual(settings['QueueBytes'], ('16777216', None, None))
        self.assertEqual(settings['QueueFrames'], ('100', self.file, 2))
        self.fails('config', 'x', says='no arguments: "x"', status=2)

    def test_reload_takes_what_is_right(self):
        self.write('[Bus]\n\nQueueFrames=200\n')
        self.assertEqual(self.ok('reload'), '')
        self.assertEqual(self.settings()['QueueFrames'], ('200', self.file, 3))

    def test_reload_refuses_what_is_wrong_and_says_where(self):
        self.write('[Bus]\nQueueFrames=2\nQueueBytes=many\n')
        self.fails('reload', says=f'^busrtctl: not reloaded: {self.file}:3: QueueBytes= "many": .*\n'
                   'The configuration in force stays as it was.\n$')
        self.assertEqual(self.settings()['QueueFrames'], ('100', self.file, 2))

    def test_mistakes(self):
        for verb in 'reload', 'reset-statistics':
            self.fails(verb, 'x', says='no arguments: "x"', status=2)


class NothingConfigured(TestCase):
    def test_a_word_where_all_is_built_in(self):
        path = self.fake(result=b'\x81\xa8settings\x91\x83\xa3key\xa1K\xa5value\xa1V\xa4file\xa0')
        status, out, err = run('-s', path, 'config')
        self.assertEqual((status, out, err), (0, b'', 'All settings are the built-in ones: --all shows them.\n'))
        self.assertEqual(run('-s', path, 'config', '--json'), (0, b'[]\n', ''))

    def setUp(self):
        pass


class Log(TestCase):
    def test_the_level(self):
        self.assertEqual(self.ok('log-level'), 'info\n')
        self.assertEqual(self.ok('log-level', 'debug'), '')
        self.assertEqual(self.ok('log-level', '--json'), '"debug"\n')
        self.receiver('seen')
        self.bus.log.wait_for('"seen".*registered')
        self.assertEqual(self.ok('log-level', 'err'), '')
        self.assertEqual(self.ok('--json', 'log-level'), '"err"\n')

    def test_mistakes(self):
        self.fails('log-level', 'loud', says='"loud" is none of err, warning, notice, info and debug', status=2)
        self.fails('log-level', 'info', 'x', says='more than one LEVEL: "x"', status=2)


class Subscriptions(TestCase):
    def setUp(self):
        super().setUp()
        self.one = self.receiver('plc.1', 'b/#')
        self.assertEqual(self.one.acked(SUBSCRIBE, b'a/+'), OK)
        self.assertEqual(self.one.acked(EXCLUDE, b'a/x'), OK)
        self.receiver('plc.2', 'c')

    def test_a_table(self):
        lines = self.ok('-n', 'me', 'subscriptions').splitlines()
        self.assertRegex(lines[0], r'^CLIENT +MASK +KIND *$')
        self.assertEqual([tuple(line.split()) for line in lines[1:]],
                         [('me', '.broker/warn', 'subscription'), ('plc.1', '.broker/warn', 'subscription'),
                          ('plc.1', 'a/+', 'subscription'), ('plc.1', 'a/x', 'exclusion'),
                          ('plc.1', 'b/#', 'subscription'), ('plc.2', '.broker/warn', 'subscription'),
                          ('plc.2', 'c', 'subscription')])

    def test_of_one_client(self):
        self.assertEqual([line.split()[1] for line in self.ok('subscriptions', 'plc.2').splitlines()],
                         ['MASK', '.broker/warn', 'c'])
        self.fails('subscriptions', 'nobody', says='no client "nobody" is connected')
        self.fails('subscriptions', 'a', 'b', says='more than one CLIENT: "b"', status=2)

    def test_json(self):
        self.assertEqual(json.loads(self.ok('subscriptions', '--json', 'plc.1')),
                         [{'client': 'plc.1', 'mask': mask, 'exclusion': mask == 'a/x'}
                          for mask in ('.broker/warn', 'a/+', 'a/x', 'b/#')])

    def test_names_and_masks_are_shown_escaped(self):
        client = self.receiver('x\u202e\u2066.\\x1b', 't\x1b[2J\u202e')
        for args in (), ('--json',):
            out = self.ok('subscriptions', *args)
            self.assertNotIn('\u202e', out)
            self.assertNotIn('\x1b', out)
        self.assertIn(r'x\xe2\x80\xae\xe2\x81\xa6.\\x1b', self.ok('subscriptions'))
        client.close()

    def test_nobody_subscribes(self):
        path = self.fake(result=b'\x81\xa7clients\x90')
        self.assertEqual(run('-s', path, 'subscriptions'), (0, b'', '0 subscriptions.\n'))
        self.assertEqual(run('-s', path, 'subscriptions', '--json'), (0, b'[]\n', ''))


class Statistics(TestCase):
    def test_counters_begin_again(self):
        one = self.receiver('plc.1')
        for _ in range(50):
            self.assertEqual(one.acked(MESSAGE, b'plc.1\0x'), OK)
        self.assertGreaterEqual(json.loads(self.ok('status', '--json'))['in_frames'], 50)
        self.assertEqual(self.ok('reset-statistics'), '')
        self.assertLess(json.loads(self.ok('status', '--json'))['in_frames'], 50)


class WhoMay(TestCase):
    @unittest.skipUnless(os.geteuid() == 0 and others_may_run_it(), 'only root can become somebody else')
    def test_nobody_else(self):
        os.chmod(self.bus.dir, 0o755)
        os.chmod(self.path, 0o777)
        for args in VERBS:
            self.fails(*args, says=rf'^busrtctl: {self.path}: not allowed: by its socket the broker lets root and its own '
                       'user alone\nAs root it is allowed: sudo busrtctl ...\n$', preexec_fn=become_somebody)

    def test_nobody_by_tcp(self):
        broker = self.broker('-B', '127.0.0.1:0')
        address = broker.log.wait_for(r'listening on .*(127\.0\.0\.1:\d+)').group(1)
        for args in VERBS:
            status, out, err = run('-s', address, *args)
            self.assertEqual((status, out), (1, b''))
            self.assertRegex(err, f'^busrtctl: {address}: not allowed: the broker takes that on UNIX sockets alone')


class StrangeBrokers(TestCase):
    """What answers there is not always a busrtd."""
    nonsense = (b'', b'\xc1', b'\xc0', b'\x01', b'\xa1x', b'\x91\x01', b'\x91' * 100000, b'\xdd\xff\xff\xff\xff')
    of_maps = (b'\x81\xa7clients\xdd\x0f\xff\xff\xff', b'\x81\xa7clients\x91\x01', b'\x81\xa7clients\x91\x81\xa4name\x05',
               b'\x81\xa7clients\x91\x82\xa4name\xa1x\xa2id\xa1y', b'\x81\xa7clients\x91\x82\xa4name\xa1x\xa3uid\xcf' + b'\xff' * 8,
               b'\x81\xa7clients\x91\x81\xa4name\xa2a\0', b'\x81\xa7clients\x91\x82\xa4name\xa1a\xadsubscriptions\x91\x01',
               b'\x82\xa4name\xa1a\xadsubscriptions\xa1x', b'\x81\xa8settings\x91\x82\xa3key\xa1k\xa4line\xa1x',
               b'\x81\xa8settings\xa1x', b'\x81\xa5level\x07', b'\x81\xa6status\x80', b'\x81\xa6uptime\xa1x')

    def setUp(self):
        pass

    def test_what_is_no_answer_is_a_failure(self):
        for answer in self.nonsense + self.of_maps:
            path = self.fake(result=answer)
            for args in VERBS:
                status, out, err = run('-s', path, *args)
                self.assertIn(status, (0, 1), (answer, args, err))
                if status == 1:
                    self.assertEqual(out, b'')
                    self.assertRegex(err, rf'^busrtctl: {path}: the answer to [a-z.]+ is not one that this program '
                                     'knows\n$')
        path = self.fake(result=b'\x01')
        for args in ('config',), ('subscriptions',), ('list',), ('show', 'a'), ('status',):
            self.assertEqual(run('-s', path, *args)[0], 1, args)

    def test_a_broker_without_these_methods(self):
        path = self.fake(error=(-32601, b''))
        for args in VERBS:
            status, out, err = run('-s', path, *args)
            self.assertEqual((status, out), (1, b''))
            self.assertRegex(err, rf'^busrtctl: {path}: the broker does not know [a-z.]+: it is no busrtd, or an older '
                             'one\n$')

    def test_errors_are_told_escaped(self):
        path = self.fake(error=(-32118, b'wait \x1b[2J'))
        self.assertEqual(run('-s', path, 'reload'), (1, b'', f'busrtctl: {path}: reload: error -32118: wait \\x1b[2J\n'))
        path = self.fake(error=(-32116, b'f:1: \x1b'))
        self.assertEqual(run('-s', path, 'reload')[2].splitlines()[0], r'busrtctl: not reloaded: f:1: \x1b')
        path = self.fake(error=(-32001, b'there is none'))
        self.assertIn('no client "a" is connected', run('-s', path, 'disconnect', 'a')[2])

    def test_a_broker_that_does_not_answer(self):
        path = self.fake()
        self.assertEqual(run('-s', path, '-t', '100ms', 'reload'),
                         (1, b'', f'busrtctl: {path}: no answer in time (busrtctl -t TIME waits longer)\n'))


if __name__ == '__main__':
    main()
