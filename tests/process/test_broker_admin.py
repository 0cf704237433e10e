# SPDX-License-Identifier: Apache-2.0
"""What an administrator calls of `.broker`: what it answers, who may, and what the log says of it."""
import os
import shutil
import socket
import struct
import time

from bus import BUSRTD, MESSAGE, OK, SUBSCRIBE, TestCase, main
from calls import Caller, Error, mp

DENIED, NOT_FOUND, BUSY, REFUSED, BAD_PARAMS = -32121, -32001, -32118, -32116, -32602
STRANGER = 4242
READ_ONLY = 'client.get', 'config.get', 'status', 'log.level'


def connection_of(uid, path):
    """Made by another process, of that user."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            s = socket.socket(socket.AF_UNIX)
            s.connect(path)
            socket.send_fds(theirs, [b'.'], [s.fileno()])
        finally:
            os._exit(0)
    theirs.close()
    fds = socket.recv_fds(ours, 1, 1)[1]
    ours.close()
    os.waitpid(pid, 0)
    if not fds:
        raise AssertionError(f'user {uid} could not connect to {path}')
    s = socket.socket(fileno=fds[0])
    s.settimeout(60)
    return s


class BrokerAdmin(TestCase):
    def started(self, *args, **options):
        broker = self.broker('-B', 'bus.sock', *args, **options)
        self.admin = self.caller(broker, 'admin')
        return broker

    def caller(self, broker, name, where=None):
        client = Caller(where or broker.path(), name)
        self.addCleanup(client.close)
        return client

    def stranger(self, broker, name='stranger'):
        if os.geteuid() != 0:
            self.skipTest('only root can come as another user')
        os.chmod(broker.dir, 0o755)
        os.chmod(broker.path(), 0o777)
        client = Caller(connection_of(STRANGER, broker.path()), name)
        self.addCleanup(client.close)
        return client

    def refused(self, code, caller, method, **params):
        with self.assertRaises(Error) as caught:
            caller.call(method, **params)
        self.assertEqual(caught.exception.code, code, caught.exception)
        return caught.exception.text

    # --- Clients ---

    def test_a_client_is_shown_in_full(self):
        broker = self.started()
        before = time.time_ns()
        plc = self.connected(broker, 'plc.1')
        second = self.connected(broker, 'plc.1%%0')
        self.assertEqual(plc.acked(SUBSCRIBE, b'a/#\0b/+'), OK)
        self.assertEqual(plc.acked(0x04, b'a/secret'), OK)
        self.assertEqual(plc.acked(MESSAGE, b'plc.1%%0\0hello'), OK)
        one = self.admin.call('client.get', name='plc.1')
        while one['queue']:  # it has its acknowledgement, and another worker has not come back from writing it
            one = self.admin.call('client.get', name='plc.1')
        self.assertEqual(one, self.admin.call('client.get', id=one['id']))
        self.assertTrue(before < one.pop('connected') < time.time_ns())
        self.assertGreater(one.pop('id'), 0)
        self.assertEqual(sorted(one.pop('subscriptions')), ['.broker/warn', 'a/#', 'b/+'])
        self.assertEqual(one, {
            'name': 'plc.1', 'kind': 'local_ipc', 'source': None, 'port': 'bus.sock', 'primary': None,
            'uid': os.geteuid(), 'gid': os.getegid(), 'pid': os.getpid(), 'r_frames': 3, 'r_bytes': 29,
            'w_frames': 3, 'w_bytes': 18, 'dropped': 0, 'queue': 0, 'queue_bytes': 0, 'queue_max': 1,
            'queue_bytes_max': 6, 'paced': 0, 'instances': 2, 'secondaries': ['plc.1%%0'], 'exclusions': ['a/secret']})
        other = self.admin.call('client.get', name='plc.1%%0')
        self.assertEqual((other['primary'], other['w_frames'], other['instances']), ('plc.1', 1, 1))
        self.assertTrue(second)

    def test_all_clients_are_listed_by_name(self):
        broker = self.started('-B', '127.0.0.1:0')
        port = int(broker.log.wait_for(r'listening on 127.0.0.1:(\d+)').group(1))
        far = self.connected(broker, 'far', ('127.0.0.1', port))
        self.assertEqual(far.acked(SUBSCRIBE, b'x'), OK)
        listed = self.admin.call('client.get')['clients']
        self.assertEqual([c['name'] for c in listed], ['admin', 'far'])
        self.assertNotIn('subscriptions', listed[0])
        by_tcp = listed[1]
        self.assertEqual((by_tcp['kind'], by_tcp['port'], by_tcp['uid'], by_tcp['gid'], by_tcp['pid']),
                         ('tcp', '127.0.0.1:0', None, None, None))
        self.assertRegex(by_tcp['source'], r'^127\.0\.0\.1:\d+$')
        listed = self.admin.call('client.get', masks=True)['clients']
        self.assertEqual(sorted(listed[1]['subscriptions']), ['.broker/warn', 'x'])

    def test_a_client_is_disconnected(self):
        broker = self.started()
        for how in 'name', 'id':
            victim = self.connected(broker, 'victim')
            one = self.admin.call('client.get', name='victim')
            self.assertEqual(self.admin.call('client.disconnect', **{how: one[how]}), {'ok': True})
            self.assertRaises(EOFError, victim.receive)
            self.assertEqual(self.refused(NOT_FOUND, self.admin, 'client.disconnect', name='victim'),
                             'there is no client "victim"')
        self.assertEqual(self.refused(NOT_FOUND, self.admin, 'client.disconnect', id=999999),
                         'there is no client #999999')
        self.refused(NOT_FOUND, self.admin, 'client.disconnect', name='.broker')
        broker.log.wait_for(rf'user {os.geteuid()}, process {os.getpid()} was let disconnect client "victim"', 2)

    def test_who_disconnects_itself_is_told_so_first(self):
        broker = self.started()
        self.assertEqual(self.admin.call('client.disconnect', name='admin'), {'ok': True})
        self.assertRaises(EOFError, self.admin.receive)
        self.assertTrue(broker)

    # --- The broker ---

    def test_the_status_is_told(self):
        before = time.time_ns()
        broker = self.started('--queue-size', '77')
        status = self.admin.call('status')
        self.assertEqual((status['pid'], status['connections'], status['clients'], status['log_level']),
                         (broker.process.pid, 1, 1, 'info'))
        self.assertTrue(before < status['started'] < time.time_ns())
        self.assertTrue(0 < status['uptime'] < time.time_ns() - before)
        self.assertEqual(status['listeners'], [{'kind': 'unix', 'address': 'bus.sock', 'inherited': False}])
        self.assertIn({'key': 'QueueFrames', 'value': '77'}, status['limits'])
        self.assertNotIn('Listen', [limit['key'] for limit in status['limits']])
        self.assertGreater(status['max_files'], 0)
        self.assertGreater(status['r_frames'], 0)

    def test_settings_tell_where_they_come_from(self):
        directory = self.directory()
        path = directory + '/busrtd.conf'
        with open(path, 'w') as file:
            file.write('[Bus]\n\nQueueFrames=100\n')
        self.started('--config', path)
        settings = {s['key']: s for s in self.admin.call('config.get')['settings']}
        self.assertEqual(settings['QueueFrames'], {'key': 'QueueFrames', 'value': '100', 'file': path, 'line': 3})
        self.assertEqual((settings['Listen']['value'], settings['Listen']['file']), ('bus.sock', 'command line'))
        self.assertEqual((settings['QueueBytes']['file'], settings['QueueBytes']['line']), ('', 0))

    def test_a_reload_comes_into_force_or_is_refused(self):
        path = self.directory() + '/busrtd.conf'
        with open(path, 'w') as file:
            file.write('[Bus]\nQueueFrames=100\n')
        broker = self.started('--config', path)
        with open(path, 'w') as file:
            file.write('[Bus]\nQueueFrames=200\n')
        self.assertEqual(self.admin.call('reload'), {'ok': True})
        self.assertIn({'key': 'QueueFrames', 'value': '200'}, self.admin.call('status')['limits'])
        broker.log.wait_for(r'was let reload the configuration')
        with open(path, 'w') as file:
            file.write('[Bus]\nQueueFrames=many\n')
        self.assertRegex(self.refused(REFUSED, self.admin, 'reload'), rf'^{path}:2: ')
        self.assertIn({'key': 'QueueFrames', 'value': '200'}, self.admin.call('status')['limits'])
        with open(path, 'w') as file:
            file.write('[Bus]\nQueueFrames=300\n')
        self.admin.call_without_reply('reload')
        broker.log.wait_for('QueueFrames 200 -> 300')

    def test_the_log_level_is_changed(self):
        broker = self.started()
        self.assertEqual(self.admin.call('log.level'), {'level': 'info'})
        self.assertEqual(self.admin.call('log.level', level='debug'), {'level': 'debug'})
        self.connected(broker, 'new')
        broker.log.wait_for('client "new" .* registered')
        self.admin.call_without_reply('log.level', mp.pack({'level': 'err'}))
        self.assertEqual(self.admin.call('log.level'), {'level': 'err'})
        self.assertIn('err, warning', self.refused(BAD_PARAMS, self.admin, 'log.level', level='loud'))

    def test_statistics_begin_anew(self):
        broker = self.started()
        plc = self.connected(broker, 'plc.1')
        for _ in range(50):
            self.assertEqual(plc.acked(MESSAGE, b'nobody\0x'), 0x71)
        self.assertEqual(self.admin.call('client.get', name='plc.1')['r_frames'], 50)
        self.assertEqual(self.admin.call('stats.reset'), {'ok': True})
        self.assertEqual(self.admin.call('client.get', name='plc.1')['r_frames'], 0)
        self.assertLess(self.admin.call('status')['r_frames'], 20)

    def test_replies_come_in_the_order_of_their_kind(self):
        self.started()
        late = [self.admin.begin('status' if i % 2 else 'config.get') for i in range(8)]
        early = [self.admin.begin('client.get') for _ in range(20)]
        came = [self.admin.reply()[0] for _ in range(28)]
        self.assertEqual([number for number in came if number in late], late)
        self.assertEqual([number for number in came if number in early], early)

    def test_more_than_a_few_at_once_are_told_that_it_is_busy(self):
        self.started()
        body = self.admin.request(1, 'status')
        self.admin.socket.sendall((struct.pack('<IBI', 0, MESSAGE, len(body)) + body) * 2000)  # for one pass or two
        answers = []
        for _ in range(2000):
            try:
                self.admin.reply()
                answers.append(OK)
            except Error as error:
                answers.append(error.code)
        self.assertEqual(set(answers), {OK, BUSY})
        self.assertGreaterEqual(answers.count(OK), 8)
        self.assertEqual(self.admin.call('log.level'), {'level': 'info'})

    def test_each_of_many_calls_has_one_reply(self):
        broker = self.started()
        methods = 'status', 'client.get', 'config.get', 'test', 'log.level', 'client.disconnect', 'stats.reset', 'nope'
        callers = [self.caller(broker, f'caller{i}') for i in range(6)]
        for i in range(100):
            for caller in callers:
                caller.begin(methods[i % len(methods)])
        for caller in callers:
            answered = []
            for _ in range(100):
                try:
                    answered.append(caller.reply()[0])
                except Error as error:
                    answered.append(error.number)
            self.assertEqual(sorted(answered), list(range(1, 101)))
        self.assertEqual(self.admin.call('log.level'), {'level': 'info'})

    # --- Who may ---

    def test_another_user_is_refused_and_that_is_told(self):
        broker = self.started()
        stranger = self.stranger(broker)
        victim = self.connected(broker, 'victim')
        for method in ('client.get', 'config.get', 'status', 'log.level', 'reload', 'stats.reset'):
            self.assertIn('root', self.refused(DENIED, stranger, method))
        self.refused(DENIED, stranger, 'client.disconnect', name='victim')
        self.refused(DENIED, stranger, 'log.level', level='debug')
        broker.log.wait_for(rf'user {STRANGER}, process \d+ may not disconnect client "victim": '
                            "it is neither root nor the broker's own user")
        broker.log.wait_for(rf'user {STRANGER}, process \d+ may not set the log level to debug')
        self.assertEqual(victim.acked(MESSAGE, b'victim\0still here'), OK)
        self.assertEqual(self.admin.call('log.level'), {'level': 'info'})
        self.assertNotIn('was let', broker.log.drain())
        self.assertIn('name', stranger.call('client.list')['clients'][0])

    def test_refusals_do_not_fill_the_log(self):
        broker = self.started()
        names = [self.stranger(broker, f'stranger{i}') for i in range(3)]
        for i in range(300):
            self.refused(DENIED, names[i % 3], 'reload')
        broker.log.wait_for(rf'calls of user {STRANGER}: 290 more records in 10 s, not shown')
        self.assertEqual(broker.log.text.count('may not reload'), 10)

    def test_names_of_clients_cannot_disturb_who_reads_of_refusals(self):
        broker = self.started()
        self.refused(DENIED, self.stranger(broker), 'client.disconnect', name='\033[2Jx\nsecond line')
        broker.log.wait_for('may not disconnect')
        self.assertEqual(broker.stop(), 0)
        self.assertNotIn('\033', broker.log.text)
        self.assertNotRegex(broker.log.text, '(?m)^second line')

    def test_tcp_is_refused_whoever_comes(self):
        broker = self.started('-B', '127.0.0.1:0')
        port = int(broker.log.wait_for(r'listening on 127.0.0.1:(\d+)').group(1))
        far = self.caller(broker, 'far', ('127.0.0.1', port))
        for method in READ_ONLY + ('reload', 'stats.reset'):
            self.refused(DENIED, far, method)
        far.call_without_reply('client.disconnect', mp.pack({'name': 'admin'}))
        broker.log.wait_for(r'127\.0\.0\.1:\d+ may not disconnect client "admin": it did not come by a UNIX socket')
        self.assertEqual(self.admin.call('log.level'), {'level': 'info'})

    def test_a_broker_of_another_user_serves_its_own_user_and_root(self):
        if os.geteuid() != 0:
            self.skipTest('only root can start it as another user')
        directory = self.directory()
        os.chown(directory, STRANGER, STRANGER)
        program = shutil.copy(BUSRTD, directory)  # where that user may come
        self.addCleanup(os.umask, os.umask(0))  # so that it may write to the notifications' socket
        broker = self.broker('-B', 'bus.sock', directory=directory, program=program, user=STRANGER, group=STRANGER,
                             extra_groups=[])
        own = Caller(connection_of(STRANGER, broker.path()), 'own')
        self.addCleanup(own.close)
        self.assertEqual(own.call('log.level'), {'level': 'info'})
        root = self.caller(broker, 'root')
        self.assertEqual(root.call('stats.reset'), {'ok': True})
        os.chmod(directory, 0o755)
        os.chmod(broker.path(), 0o777)
        other = Caller(connection_of(STRANGER + 1, broker.path()), 'other')
        self.addCleanup(other.close)
        self.refused(DENIED, other, 'log.level')

    def test_who_goes_before_its_reply_is_no_trouble(self):
        broker = self.started()
        for i in range(200):
            with Caller(broker.path(), f'brief{i}') as brief:
                brief.begin('status')
                brief.call_without_reply('log.level', mp.pack({'level': 'info'}))
        self.assertEqual(self.admin.call('log.level'), {'level': 'info'})
        self.assert_serves(broker.path())
        self.assertEqual(broker.stop(), 0)


if __name__ == '__main__':
    main()
