# SPDX-License-Identifier: Apache-2.0
"""By D-Bus and by `.broker` an administrator sees the same broker, and does the same to it."""
import itertools
import json
import os
import re
import time
import unittest

import dbus
import tool
from bus import DEADLINE, MESSAGE, OK, SUBSCRIBE, remaining
from tool import main, run

EXCLUDE = 0x04
HERE = ('plc.1', 'plc.2', 'plc.2%%a', 'sensors')  # not the tool itself, which is a client of the second way


class BothWays(dbus.DBusCase):
    def setUp(self):
        super().setUp()
        self.runtime = self.directory()
        os.mkdir(os.path.join(self.runtime, 'busrt'))
        self.socket = os.path.join(self.runtime, 'busrt', 'bus.sock')
        self.config = os.path.join(self.runtime, 'bus.conf')
        self.write('[Bus]\nQueueFrames=100\n')
        self.env['XDG_RUNTIME_DIR'] = self.runtime
        self.bus = self.managed('-B', self.socket, '--config', self.config)
        # The first socket is nobody's in particular, the second the user's.
        self.ways = ('-s', self.bus.path()), ('-s', self.socket)
        clients = {name: self.connected(self.bus, name) for name in HERE}
        for mask in b'b/#', b'a/+':
            self.assertEqual(clients['plc.1'].acked(SUBSCRIBE, mask), OK)
        self.assertEqual(clients['plc.1'].acked(EXCLUDE, b'a/x'), OK)
        for _ in range(5):
            self.assertEqual(clients['plc.2'].acked(MESSAGE, b'plc.1\0' + b'x' * 100), OK)

    def write(self, text):
        with open(self.config, 'w', encoding='utf-8') as file:
            file.write(text)

    def ctl(self, way, *args, **options):
        return run(*way, *args, env=self.env, **options)

    def ok(self, way, *args):
        status, out, err = self.ctl(way, *args)
        self.assertEqual((status, err), (0, ''))
        return out.decode()

    def json(self, way, *args):
        return json.loads(self.ok(way, *args, '--json'))

    def each(self, read):
        """What is read by each way is the same, and is returned."""
        first, second = (read(way) for way in self.ways)
        self.assertEqual(first, second)
        return first

    def test_they_are_two_ways(self):
        routes = [self.json(way, 'status')['route'] for way in self.ways]
        self.assertEqual(routes, [self.bus.path(), "org.busrt1 on the user's D-Bus"])

    def test_clients(self):
        def read(way):
            return [{key: value for key, value in client.items() if not key.endswith('_max')}
                    for client in self.json(way, 'list', '--all') if client['name'] in HERE]
        clients = self.each(read)
        self.assertEqual([client['name'] for client in clients], sorted(HERE))
        self.assertEqual(clients[1]['in_frames'], 5)

    def test_one_client(self):
        for name in HERE:
            client = self.each(lambda way, name=name: self.json(way, 'show', name))
            number = client['id']
            self.assertEqual(self.each(lambda way, number=number: self.json(way, 'show', f'#{number}')), client)
        self.assertEqual(self.json(self.ways[1], 'show', 'plc.2')['secondaries'], ['plc.2%%a'])

    def test_subscriptions(self):
        masks = self.each(lambda way: [s for s in self.json(way, 'subscriptions') if s['client'] in HERE])
        self.assertEqual([(s['mask'], s['exclusion']) for s in masks if s['client'] == 'plc.1'],
                         [('.broker/warn', False), ('a/+', False), ('a/x', True), ('b/#', False)])
        self.assertEqual(self.each(lambda way: self.json(way, 'subscriptions', 'plc.1')),
                         [s for s in masks if s['client'] == 'plc.1'])

    def test_settings_and_limits(self):
        self.each(lambda way: self.json(way, 'config', '--all'))
        status = self.each(lambda way: {key: value for key, value in self.json(way, 'status').items()
                                        if key in ('version', 'pid', 'started', 'listeners', 'limits', 'log_level')})
        self.assertEqual(status['pid'], self.bus.process.pid)
        self.assertIn('100', json.dumps(status['limits']))

    def test_reload(self):
        for frames, way in enumerate(self.ways, 200):
            self.write(f'[Bus]\nQueueFrames={frames}\n')
            self.assertEqual(self.ok(way, 'reload'), '')
            self.each(lambda way: self.json(way, 'config'))
            self.assertIn(str(frames), self.ok(way, 'config'))
        self.write('[Bus]\nQueueFrames=many\n')
        status, out, err = self.each(lambda way: self.ctl(way, 'reload'))
        self.assertEqual((status, out), (1, b''))
        self.assertRegex(err, f'^busrtctl: not reloaded: {self.config}:2: QueueFrames= "many": ')

    def test_log_level(self):
        for level, way in zip(('err', 'notice'), self.ways):
            self.assertEqual(self.ok(way, 'log-level', level), '')
            self.assertEqual(self.each(lambda way: self.ok(way, 'log-level')), level + '\n')

    def test_disconnect_and_reset(self):
        self.assertEqual(self.each(lambda way: self.ctl(way, 'disconnect', 'nobody', '#12345')[::2]),
                         (1, 'busrtctl: no client "nobody" is connected\n"busrtctl list" lists who is there.\n'
                          'busrtctl: no client "#12345" is connected\n"busrtctl list" lists who is there.\n'))
        for victim, way in zip(('plc.1', 'plc.2'), self.ways):
            number = self.json(way, 'show', victim)['id']
            self.assertEqual(self.ok(way, 'disconnect', f'#{number}' if victim == 'plc.1' else victim), '')
            self.assertNotIn(victim, [client['name'] for client in self.json(way, 'list')])
            self.assertEqual(self.ok(way, 'reset-statistics'), '')

    def test_nobody_is_taken_for_another(self):
        number = self.json(self.ways[0], 'show', 'plc.1')['id']
        name = f'#{number}'
        self.connected(self.bus, name)
        liar = next(client['id'] for client in self.json(self.ways[0], 'list') if client['name'] == name)
        for verb in 'disconnect', 'show', 'subscriptions':
            self.assertEqual(self.each(lambda way, verb=verb: self.ctl(way, verb, name)),
                             (1, b'', f'busrtctl: "{name}" could be two: it is the name of client #{liar}, too, which is to be '
                              'given as that; the other by its name\n'))
        self.assertEqual(self.ok(self.ways[1], 'disconnect', f'#{liar}'), '')
        self.assertEqual(self.json(self.ways[0], 'show', name)['name'], 'plc.1')

    def test_who_comes_and_the_end_are_seen(self):
        watches = [tool.Running(*way, 'monitor', env=self.env) for way in self.ways]
        for watch in watches:
            self.addCleanup(watch.close)
            until = time.monotonic() + DEADLINE
            for number in itertools.count():  # the first ones come before it watches
                if re.search(r'connected +seen\.', watch.out.text):
                    break
                remaining(until, 'nobody was seen')
                self.bus.client(f'seen.{number}').close()
                watch.out.read_more(0.01)
        self.bus.stop()
        for watch in watches:
            watch.out.wait_for('shutdown')
            self.assertEqual(watch.wait(), 1)
            self.assertRegex(watch.err.read_all(), 'the broker has stopped')

    @unittest.skipUnless(os.geteuid() == 0 and tool.others_may_run_it(), 'only root can become somebody else')
    def test_others_may_look_by_one_way_and_do_nothing(self):
        os.chmod(self.runtime, 0o755)
        os.chmod(os.path.dirname(self.socket), 0o755)
        options = {'preexec_fn': tool.become_somebody}
        status, out, err = self.ctl(('--user',), 'list', '--names', **options)
        self.assertEqual((status, out.split()), (0, [b'plc.1', b'plc.2', b'sensors']), err)
        for args in ('disconnect', 'plc.1'), ('reload',), ('log-level', 'err'), ('reset-statistics',), ('subscriptions',):
            status, out, err = self.ctl(('--user',), *args, **options)
            self.assertEqual((status, out), (1, b''), args)
            self.assertRegex(err, r'^busrtctl: not allowed.*: it takes the right org\.busrt1\.')
        status, out, err = self.ctl(('--user',), 'show', 'plc.1', '--json', **options)
        self.assertEqual((status, json.loads(out)['subscriptions'] or None), (0, None), err)


if __name__ == '__main__':
    main()
