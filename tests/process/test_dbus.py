# SPDX-License-Identifier: Apache-2.0
"""org.busrt1 on a D-Bus of the test's own: what can be read, what can be called, and what subscribers are told."""
import os
import signal
import socket
import time
from xml.etree import ElementTree

from bus import Client, DEADLINE, EXCLUDE, GREETING, MESSAGE, OK, PUBLISH, SUBSCRIBE, connect, main
from dbus import CLIENT, DBusCase, LOG_CONTROL, LOG_PATH, MANAGER, NAME, PATH, SOURCE

NOBODY = 0xffffffff
NO_SUCH_CLIENT = 'org.busrt1.Error.NoSuchClient'


class Reading(DBusCase):
    def test_the_manager_s_properties(self):
        before = time.time_ns() // 1000
        broker = self.managed('-B', 'fifo:in.fifo', '--queue-size', '100', '--slow-policy', 'drop-oldest')
        client = self.connected(broker, 'c')
        was = self.get_all()
        self.assertEqual(client.acked(MESSAGE, b'c\0hello'), OK)
        p = self.get_all()
        self.assertRegex(p['Version'], r'^\d+\.\d+')
        self.assertLess(before, p['StartTimestamp'])
        self.assertLess(p['StartTimestamp'], time.time_ns() // 1000)
        self.assertGreater(p['UptimeUSec'], 0)
        self.assertEqual([p[name] - was[name] for name in ('FramesIn', 'BytesIn', 'FramesOut', 'BytesOut')], [1, 7, 2, 13])
        self.assertEqual((p['FramesDropped'], p['ReceiversStruck'], p['Refused'], p['BadFrames']), (0, 0, 0, 0))
        self.assertEqual((p['NConnections'], p['NClients']), (1, 1))
        self.assertIsInstance(p['MemoryHeld'], int)
        self.assertEqual((p['TimeoutUSec'], p['BusyPollUSec'], p['SlowConsumerPaceUSec']), (50_000_000, 0, 100_000))
        self.assertEqual((p['SlowConsumerPolicy'], p['QueueFrames'], p['QueueBytes']), ('drop-oldest', 100, 16 << 20))
        self.assertGreater(p['QueueMemoryMax'], 1 << 20)
        self.assertEqual((p['MaxFrameSize'], p['MaxTopicParts'], p['MaxTopicLength']), (64 << 20, 128, 4096))
        self.assertEqual((p['MaxConnectionsPerUser'], p['ForceRegister']), (16000, False))
        self.assertGreater(p['MaxFiles'], 0)
        self.assertEqual(p['Listeners'], [['unix', 'bus.sock', False], ['fifo', 'in.fifo', False]])
        self.assertEqual((p['MaxHandshakesPerUser'], p['MaxNamesPerUser'], p['MaxSubscriptionsPerUser']), (8192, 16000, 100000))
        self.assertEqual((p['ConnectionRatePerUser'], p['ConnectionBurstPerUser']), (2000, 16000))
        self.assertEqual(p['QueueMemoryMaxPerUser'], p['QueueMemoryMax'] // 2)
        self.assertEqual((p['ForceRegisterMode'], p['NAccessRules'], p['Denied']), ('no', 0, 0))
        self.assertEqual(len(p), 38)
        for name, value in p.items():
            if name != 'UptimeUSec':
                self.assertEqual(self.get(name), value, name)

    def test_a_client_s_properties(self):
        broker = self.managed()
        client, second = self.connected(broker, 'plc.1'), self.connected(broker, 'plc.1%%0')
        self.assertEqual(client.acked(MESSAGE, b'plc.1%%0\0hello'), OK)
        path = self.call('GetClient', 's', 'plc.1')[0]
        p = self.get_all(path, CLIENT)
        self.assertEqual(path, f'/org/busrt1/client/_{p["Id"]}')
        self.assertEqual((p['Name'], p['Kind'], p['Listener'], p['Primary']), ('plc.1', 'local_ipc', 'bus.sock', ''))
        self.assertEqual((p['User'], p['Group'], p['ProcessID']), (os.getuid(), os.getgid(), os.getpid()))
        self.assertIsInstance(p['Unit'], str)
        self.assertLess(abs(p['ConnectedTimestamp'] - time.time_ns() // 1000), DEADLINE * 1_000_000)
        self.assertEqual((p['FramesIn'], p['BytesIn'], p['FramesDropped']), (1, 14, 0))
        self.assertEqual((p['QueueFrames'], p['QueueBytes'], p['PacedUSec']), (0, 0, 0))
        self.assertEqual(p['Secondaries'], ['plc.1%%0'])
        p = self.get_all(self.call('GetClient', 's', 'plc.1%%0')[0], CLIENT)
        self.assertEqual((p['Primary'], p['Secondaries'], p['FramesOut'], p['QueueFramesMax']), ('plc.1', [], 1, 1))
        second.close()

    def test_no_client_no_object(self):
        broker = self.managed()
        self.connected(broker, 'c')
        path = self.call('GetClient', 's', 'c')[0]
        own = int(path.rpartition('_')[2])
        self.assertEqual(self.get('Id', path, CLIENT), own)
        for name in ('_0', '_1', f'_0{own}', str(own), f'_{own}x', f'_{own}/x', '_18446744073709551615',
                     f'_{own + (1 << 64)}', '_', f'__{own}'):
            error, _ = self.error('GetAddress', path=f'/org/busrt1/client/{name}', interface=CLIENT)
            self.assertEqual(error, 'org.freedesktop.DBus.Error.UnknownObject', name)

    def test_a_name_that_libsystemd_refuses(self):
        broker = self.managed()
        subscriber = self.subscriber()
        client, second = self.connected(broker, 'x\ufffe'), self.connected(broker, 'x\ufffe%%\U0001ffff')
        self.assertEqual(client.acked(SUBSCRIBE, 'a/\ufdd0'.encode()), OK)
        self.connected(broker, 'y')
        shown, second_shown = 'x\ufffd', 'x\ufffd%%\ufffd'
        rows = self.call('ListClients')[0]
        self.assertEqual([(row[1], row[4]) for row in rows], [(shown, ''), (second_shown, shown), ('y', '')])
        subscriber.wait_for(f'added .* {shown}\n')
        subscriber.wait_for('added .* y\n')
        self.assertEqual(self.call('ListSubscriptions', 's', '')[0][1], [shown, 'a/\ufffd', False])
        properties = self.get_all(rows[0][-1], CLIENT)
        self.assertEqual((properties['Name'], properties['Secondaries']), (shown, [second_shown]))
        self.call_at(rows[0][-1], CLIENT, 'Disconnect')
        with self.assertRaises(EOFError):
            while True:
                client.receive()
        second.close()

    def test_objects_are_listed(self):
        broker = self.managed()
        clients = [self.connected(broker, name) for name in ('b', 'a')]
        tree = self.busctl('--list', 'tree', NAME)[1].split()
        self.assertEqual([path for path in tree if '/client/' in path],
                         sorted(self.call('GetClient', 's', name)[0] for name in 'ab'))
        self.assertIn(PATH, tree)
        self.assertIn(LOG_PATH, tree)
        clients.clear()

    def described(self, path, interface):
        """How the running broker describes an interface, blanks evened out."""
        return interface_of(self.call_at(path, 'org.freedesktop.DBus.Introspectable', 'Introspect')[0], interface)

    def test_what_is_installed_describes_it(self):
        broker = self.managed()
        self.connected(broker, 'c')
        for path, interface in ((PATH, MANAGER), (self.call('GetClient', 's', 'c')[0], CLIENT)):
            with open(f'{SOURCE}/units/dbus/{interface}.xml', encoding='utf-8') as file:
                self.assertEqual(interface_of(file.read(), interface), self.described(path, interface))


class Calling(DBusCase):
    def test_all_clients_in_one_answer(self):
        broker = self.managed()
        names = ['z', 'a', 'a%%1', 'Ünï', 'b' * 1024]
        clients = [self.connected(broker, name) for name in names]
        rows = self.call('ListClients')[0]
        self.assertEqual([row[1] for row in rows], sorted(names, key=str.encode))
        by_name = {row[1]: row for row in rows}
        row = by_name['a%%1']
        self.assertEqual(row[2:8], ['local_ipc', 'bus.sock', 'a', os.getuid(), os.getgid(), os.getpid()])
        self.assertEqual(row[20], f'/org/busrt1/client/_{row[0]}')
        self.assertEqual((by_name['a'][19], by_name['z'][19]), (2, 1))
        self.assertEqual(len(row), 21)
        clients.clear()

    def test_a_tcp_client_has_no_user(self):
        where = ('127.0.0.1', free_port())
        self.managed('-B', '%s:%d' % where)
        client = Client(where, 'far')
        self.addCleanup(client.close)
        row, = self.call('ListClients')[0]
        self.assertEqual(row[2:8], ['tcp', '%s:%d' % where, '', NOBODY, NOBODY, 0])
        address = '%s:%d' % client.socket.getsockname()
        self.assertEqual(self.call('ListAddresses')[0], [[row[0], address]])
        self.assertEqual(self.call_at(row[20], CLIENT, 'GetAddress')[0], address)

    def test_clients_are_found(self):
        broker = self.managed()
        self.connected(broker, 'c')
        path = self.call('GetClient', 's', 'c')[0]
        self.assertEqual(self.call('GetClientByID', 't', path.rpartition('_')[2]), [path])
        self.assertEqual(self.call('FindClientsByUser', 'u', str(os.getuid())), [[path]])
        self.assertEqual(self.call('FindClientsByUser', 'u', '12345'), [[]])
        self.assertEqual(self.call('FindClientsByUser', 'u', str(NOBODY)), [[]])
        for name in ('', 'nobody', '.broker', 'c%%0', 'x' * 70000):
            error, text = self.error('GetClient', 's', name)
            self.assertEqual(error, NO_SUCH_CLIENT)
            self.assertIn(f'"{name[:200]}', text)
        error, text = self.error('GetClientByID', 't', '18446744073709551615')
        self.assertEqual((error, '18446744073709551615' in text), (NO_SUCH_CLIENT, True))

    def test_a_hostile_name_in_an_error_is_harmless(self):
        self.managed()
        _, text = self.error('GetClient', 's', '\x1b[2Jx\u202e')
        self.assertNotIn('\x1b', text)
        self.assertNotIn('\u202e', text)

    def test_bad_arguments(self):
        self.managed()
        for member, *args in (('GetClient',), ('GetClient', 't', '1'), ('GetClientByID', 's', 'a'), ('ListClients', 's', 'a')):
            self.assertEqual(self.error(member, *args)[0], 'org.freedesktop.DBus.Error.InvalidArgs', member)
        self.assertEqual(self.error('Nonsense')[0], 'org.freedesktop.DBus.Error.UnknownMethod')

    def test_subscriptions(self):
        broker = self.managed()
        a, b = self.connected(broker, 'a'), self.connected(broker, 'b')
        for client, op, mask in ((a, SUBSCRIBE, b'x/#'), (a, EXCLUDE, b'x/y'), (b, SUBSCRIBE, b'z/+')):
            self.assertEqual(client.acked(op, mask), OK)
        everybody = ['.broker/warn', False]
        of_a = [everybody, ['x/#', False], ['x/y', True]]
        self.assertEqual(self.call('ListSubscriptions', 's', 'a')[0], [['a', *row] for row in of_a])
        self.assertEqual(self.call('ListSubscriptions', 's', '')[0],
                         [['a', *row] for row in of_a] + [['b', *everybody], ['b', 'z/+', False]])
        self.assertEqual(self.call_at(self.call('GetClient', 's', 'a')[0], CLIENT, 'ListSubscriptions')[0], of_a)
        self.assertEqual(self.error('ListSubscriptions', 's', 'nobody')[0], NO_SUCH_CLIENT)

    def test_clients_are_disconnected(self):
        broker = self.managed()
        a, b = self.connected(broker, 'a'), self.connected(broker, 'b')
        self.call('DisconnectClient', 's', 'a')
        with self.assertRaises(EOFError):
            a.receive()
        path = self.call('GetClient', 's', 'b')[0]
        self.call_at(path, CLIENT, 'Disconnect')
        with self.assertRaises(EOFError):
            b.receive()
        broker.log.wait_for(r'user \d+, process \d+ was let disconnect client "a"')
        broker.log.wait_for(r'user \d+, process \d+ was let disconnect client "b"')
        self.assertEqual(self.error('DisconnectClient', 's', 'a')[0], NO_SUCH_CLIENT)
        self.assertEqual(self.error('Disconnect', path=path, interface=CLIENT)[0], 'org.freedesktop.DBus.Error.UnknownObject')

    def test_statistics_are_reset(self):
        broker = self.managed()
        client = self.connected(broker, 'c')
        self.assertEqual(client.acked(MESSAGE, b'c\0hello'), OK)
        self.assertGreater(self.get('FramesIn'), 0)
        self.call('ResetStatistics')
        self.assertEqual(self.get('FramesIn'), 0)
        self.assertEqual(self.get('FramesIn', self.call('GetClient', 's', 'c')[0], CLIENT), 0)
        broker.log.wait_for('was let set all counters to zero')

    def test_the_log_level_is_read_and_written(self):
        broker = self.managed()
        level = lambda: self.get('LogLevel', LOG_PATH, LOG_CONTROL)
        self.assertEqual(level(), 'info')
        self.assertEqual(self.get('LogTarget', LOG_PATH, LOG_CONTROL), 'console')
        self.assertEqual(self.get('SyslogIdentifier', LOG_PATH, LOG_CONTROL), 'busrtd')
        self.assertEqual(self.set_log('LogLevel', 'debug')[0], 0)
        self.assertEqual(level(), 'debug')
        self.connected(broker, 'c')
        broker.log.wait_for('client "c" .*registered')
        for word in ('loud', '', 'emerg', 'DEBUG'):
            status, _, err = self.set_log('LogLevel', word)
            self.assertNotEqual(status, 0)
            self.assertIn(f'LogLevel "{word}": err, warning, notice, info or debug is wanted', err)
        self.assertEqual(self.set_log('LogTarget', 'console')[0], 0)
        self.assertIn('until busrtd is started anew', self.set_log('LogTarget', 'journal')[2])
        self.assertNotEqual(self.set_log('SyslogIdentifier', 'x')[0], 0)
        status, _, err = self.busctl('set-property', NAME, LOG_PATH, LOG_CONTROL, 'LogLevel', 'u', '1')
        self.assertNotEqual(status, 0)
        self.assertEqual(level(), 'debug')


class Telling(DBusCase):
    def test_comings_and_goings_are_told(self):
        broker = self.managed()
        subscriber = self.subscriber()
        client = self.connected(broker, 'c')
        number = subscriber.wait_for(r'added (\d+) c\n').group(1)
        self.assertEqual(self.call('GetClient', 's', 'c'), [f'/org/busrt1/client/_{number}'])
        client.close()
        subscriber.wait_for(rf'removed {number} c\n')

    def test_many_changes_are_few_signals(self):
        broker = self.managed()
        subscriber = self.subscriber()
        clients = [self.connected(broker, f'c{i}') for i in range(300)]
        subscriber.wait_for(r'added \d+ c299\n')
        text = subscriber.out.drain()
        self.assertEqual(text.count('added'), len(clients))
        self.assertLess(text.count('tick'), 150)

    def test_too_many_changes_are_one_resync(self):
        broker = self.managed()
        subscriber = self.subscriber()
        primary = self.connected(broker, 'p')
        for i in range(1200):
            self.connected(broker, f'p%%{i}')
        primary.close()  # takes all its secondaries with it, in one pass of the worker
        subscriber.wait_for('resync')

    def test_what_goes_wrong_is_told(self):
        broker = self.managed()
        subscriber = self.subscriber()
        client = self.connected(broker, 'c')
        with connect(broker.path()) as s:
            s.sendall(GREETING + b'\x01\x00c')
            subscriber.wait_for('event refused c: the name is taken\n')
        client.socket.sendall(b'\0' * 9 * 3 + b'\xff' * 900)
        subscriber.wait_for('event bad-frame c: ')
        subscriber.wait_for(r'removed \d+ c\n')

    def test_what_rules_deny_is_told_without_the_topic(self):
        directory = self.directory()
        os.mkdir(directory + '/b.conf.access.d')
        for name, text in (('b.conf', '[Bus]\n'), ('b.conf.access.d/a.conf', f'[*]\nAllowUsers={os.getuid()}\nPublishTo=a\n')):
            with open(os.path.join(directory, name), 'w', encoding='ascii') as file:
                file.write(text)
        broker = self.managed('--config', directory + '/b.conf')
        subscriber = self.subscriber()
        self.assertEqual(self.connected(broker, 'c').acked(PUBLISH, b'secret/topic\0x'), 0x79)
        subscriber.wait_for('event denied c: by access rules')
        self.assertNotIn('secret', subscriber.out.drain())

    def test_a_name_that_is_no_text_is_told(self):
        broker = self.managed()
        subscriber = self.subscriber()
        with connect(broker.path()) as s:
            s.sendall(GREETING + b'\x03\x00\xff\xfe\x01')
            subscriber.wait_for(r'event refused \S+: ')

    def test_events_are_bounded(self):
        broker = self.managed()
        subscriber = self.subscriber()
        taken = self.connected(broker, 'c')
        broker.signal(signal.SIGSTOP)
        connections = [connect(broker.path()) for _ in range(500)]
        for s in connections:
            s.sendall(GREETING + b'\x01\x00c')
        broker.signal(signal.SIGCONT)
        subscriber.wait_for(r'event more : \d+\n')
        for s in connections:
            s.close()
        taken.close()

    def test_nobody_is_told_after_unsubscribe(self):
        broker = self.managed()
        subscriber = self.subscriber()
        subscriber.tell('unsubscribe')
        subscriber.wait_for('Unsubscribe done')
        other = self.subscriber()
        self.assertEqual(other.stop(), 0)
        self.connected(broker, 'c')
        self.assertEqual(self.error('Unsubscribe')[0], 'org.busrt1.Error.NotSubscribed')
        # Had it been told of that one, it would have been before this one.
        third = self.subscriber()
        self.connected(broker, 'd')
        third.wait_for(r'added \d+ d\n')
        self.assertNotRegex(third.out.text, r'added \d+ c\n')
        self.assertNotRegex(subscriber.out.drain(), r'added \d+ c\n')

    def test_subscribers_that_vanish_are_forgotten(self):
        broker = self.managed()
        for _ in range(300):  # more than may be subscribed at a time
            self.helper('call', PATH, MANAGER, 'Subscribe').wait_for('ok\n')
        subscriber = self.subscriber()
        self.connected(broker, 'c')
        subscriber.wait_for('added')

    def test_a_reload_is_told(self):
        config = self.directory() + '/b.conf'
        with open(config, 'w') as file:
            file.write('[Bus]\nQueueFrames=100\n')
        broker = self.managed('--config', config)
        subscriber = self.subscriber()
        settings = {key: rest for key, *rest in self.call('GetConfig')[0]}
        self.assertEqual(settings['QueueFrames'], ['100', config, 2])
        self.assertEqual(settings['MaxTopicParts'], ['128', '', 0])
        self.assertEqual(settings['Listen'], ['bus.sock', 'command line', 0])
        with open(config, 'w') as file:
            file.write('[Bus]\n\nQueueFrames=200\nSlowConsumerPolicy=drop-newest\nForceRegister=yes\n')
        self.call('Reload')
        for name in ('QueueFrames', 'SlowConsumerPolicy', 'ForceRegister'):
            subscriber.wait_for(f'changed {name}\n')
        self.assertNotIn('changed QueueBytes', subscriber.out.drain())
        self.assertEqual((self.get('QueueFrames'), self.get('SlowConsumerPolicy'), self.get('ForceRegister')),
                         (200, 'drop-newest', True))
        with open(config, 'w') as file:
            file.write('[Bus]\nQueueFrames=none\n')
        error, text = self.error('Reload')
        self.assertEqual(error, 'org.busrt1.Error.ReloadFailed')
        self.assertRegex(text, f'^{config}:2: .*QueueFrames')
        self.assertEqual(self.get('QueueFrames'), 200)
        broker.signal(signal.SIGHUP)
        broker.log.wait_for('configuration not reloaded', 2)
        self.assertEqual(broker.log.text.count('was let reload'), 1)  # what was refused has changed nothing


def interface_of(xml, name):
    element = ElementTree.fromstring(xml).find(f'interface[@name="{name}"]')
    return ElementTree.canonicalize(ElementTree.tostring(element), strip_text=True)


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


if __name__ == '__main__':
    main()
