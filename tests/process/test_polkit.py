# SPDX-License-Identifier: Apache-2.0
"""Who may do what on the system's D-Bus, with a polkit of the test's own. Needs root, to be another user as well."""
import contextlib
import os
import re
import shutil
import signal
import sys
import time
from xml.etree import ElementTree

from bus import BUSRTD, DEADLINE, EXCLUDE, OK, SUBSCRIBE, main
from dbus import AS_STRANGER, CLIENT, CONFIG, DBus, DBusCase, LOG_CONTROL, LOG_PATH, MANAGER, PATH, SOURCE, STRANGER

DENIED = 'org.freedesktop.DBus.Error.AccessDenied'
CHALLENGE = 'org.freedesktop.DBus.Error.InteractiveAuthorizationRequired'


@contextlib.contextmanager
def as_stranger():
    os.seteuid(STRANGER)
    try:
        yield
    finally:
        os.seteuid(0)


class PolkitCase(DBusCase):
    MODE = 'system'

    def authority(self, mode):
        authority = self.helper('authority', mode)
        authority.wait_for('ready\n')
        return authority

    def error(self, member, *args, **options):
        return super().error(member, *args, before=AS_STRANGER, **options)

    def open_broker(self):
        """One that strangers can reach."""
        broker = self.managed()
        os.chmod(broker.dir, 0o755)
        os.chmod(broker.path(), 0o777)
        return broker


class Files(PolkitCase):
    """What is installed for D-Bus and polkit."""

    def test_the_policy_of_dbus(self):
        # As the system's: nothing is allowed but what a file allows.
        system = DBus(CONFIG.replace('<allow own="*"/>', '<deny own="*"/><deny send_type="method_call"/>'
                                     '<allow send_destination="org.freedesktop.DBus"/>')
                      .replace('<allow send_destination="*" eavesdrop="true"/>', '<allow send_type="signal"/>'
                               '<allow send_requested_reply="true" send_type="method_return"/>'
                               '<allow send_requested_reply="true" send_type="error"/>')
                      .replace('</busconfig>', f'<include>{SOURCE}/units/dbus/org.busrt1.conf</include></busconfig>'))
        self.addCleanup(system.close)
        self.env = {'DBUS_SESSION_BUS_ADDRESS': system.address, 'DBUS_SYSTEM_BUS_ADDRESS': system.address}
        self.dbus = system
        self.managed()
        other = self.broker('-B', 'bus.sock', '--dbus=system', '--dbus-name=org.busrt1.bus_plant', env=self.env)
        other.log.wait_for('managed on D-Bus as org.busrt1.bus_plant')
        similar = self.broker('-B', 'bus.sock', '--dbus=system', '--dbus-name=org.busrt1x', env=self.env)
        similar.log.wait_for('org.busrt1x is not on D-Bus .*not allowed to own')
        self.assertEqual(self.get('NClients', before=AS_STRANGER), 0)
        status, _, err = self.busctl('get-property', 'org.busrt1.bus_plant', PATH, MANAGER, 'NClients', before=AS_STRANGER)
        self.assertEqual((status, err), (0, ''))
        os.chmod(system.dir, 0o777)
        stranger = self.broker('-B', system.dir + '/own.sock', '--dbus=system', env=self.env, launcher=AS_STRANGER,
                               program=system.program(BUSRTD), wait=False)
        stranger.log.wait_for('org.busrt1 is not on D-Bus .*not allowed to own')

    def test_the_actions_are_those_that_are_asked_for(self):
        root = ElementTree.parse(f'{SOURCE}/polkit/org.busrt1.policy').getroot()
        self.assertEqual({action.get('id') for action in root.iter('action')},
                         {f'org.busrt1.{name}' for name in ('inspect', 'disconnect', 'reload', 'reset-statistics', 'set-log-level')})
        for action in root.iter('action'):
            self.assertEqual([(a.get('key'), a.text) for a in action.iter('annotate')],
                             [('org.freedesktop.policykit.owner', 'unix-user:busrtd')])
            self.assertEqual([d.text.startswith('auth_admin') for d in action.find('defaults')], [True] * 3)


class Polkit(PolkitCase):
    def test_each_action_is_asked_for(self):
        broker = self.managed()
        self.connected(broker, 'c')
        client = self.call('GetClient', 's', 'c')[0]
        authority = self.authority('no')
        calls = (('disconnect', PATH, MANAGER, 'DisconnectClient', ('s', 'c'), 'disconnect client "c"'),
                 ('disconnect', client, CLIENT, 'Disconnect', (), 'disconnect client "c"'),
                 ('reload', PATH, MANAGER, 'Reload', (), 'reload the configuration'),
                 ('reset-statistics', PATH, MANAGER, 'ResetStatistics', (), 'set all counters to zero'),
                 ('inspect', PATH, MANAGER, 'ListAddresses', (), 'see the addresses of all clients'),
                 ('inspect', PATH, MANAGER, 'ListSubscriptions', ('s', ''), 'see the subscriptions of all clients'),
                 ('inspect', PATH, MANAGER, 'ListSubscriptions', ('s', 'c'), 'see the subscriptions of client "c"'),
                 ('inspect', client, CLIENT, 'GetAddress', (), 'see the address of client "c"'),
                 ('inspect', client, CLIENT, 'ListSubscriptions', (), 'see the subscriptions of client "c"'))
        for i, (action, path, interface, member, args, what) in enumerate(calls, 1):
            error, text = self.error(member, *args, path=path, interface=interface)
            self.assertEqual((error, text), (DENIED, f'you may not {what}: polkit does not allow it'))
            check = authority.wait_for('check .*\n', i).group(0)
            about = 'c' if '"c"' in what else ''
            self.assertEqual(check, f'check system-bus-name org.busrt1.{action} bus=org.busrt1 client={about}\n')
            broker.log.wait_for(rf'user {STRANGER}, process \d+ may not {re.escape(what)}: polkit does not allow it')
        self.assertIn('Access denied', self.set_log_as_stranger('debug')[1])
        broker.log.wait_for('may not set the log level to debug: polkit does not allow it')
        self.assertEqual(self.get('LogLevel', LOG_PATH, LOG_CONTROL), 'info')
        self.assertIn('org.busrt1.set-log-level', authority.wait_for('check .*\n', len(calls) + 1).group(0))
        self.assertEqual(self.call('ListClients')[0][0][1], 'c')

    def set_log_as_stranger(self, level):
        status, _, err = self.set_log('LogLevel', level, before=AS_STRANGER)
        return status, err

    def test_what_polkit_allows_is_done(self):
        broker = self.managed()
        client = self.connected(broker, 'c')
        self.authority('yes')
        self.call('ListSubscriptions', 's', 'c', before=AS_STRANGER)
        self.call('DisconnectClient', 's', 'c', before=AS_STRANGER)
        with self.assertRaises(EOFError):
            client.receive()
        broker.log.wait_for(rf'user {STRANGER}, process \d+ was let disconnect client "c"')
        self.call('Reload', before=AS_STRANGER)
        broker.log.wait_for(rf'user {STRANGER}, process \d+ was let reload the configuration')
        self.assertEqual(self.set_log_as_stranger('debug'), (0, ''))
        self.assertEqual(self.get('LogLevel', LOG_PATH, LOG_CONTROL), 'debug')
        self.assertNotRegex(broker.log.drain(), 'was let [^\n]*subscriptions')

    def test_what_is_wrong_is_told_before_polkit_is_asked(self):
        self.managed()
        authority = self.authority('no')
        self.assertEqual(self.error('DisconnectClient', 's', 'nobody')[0], 'org.busrt1.Error.NoSuchClient')
        self.assertIn('"loud"', self.set_log_as_stranger('loud')[1])
        self.assertEqual(self.error('Reload', 's', 'x')[0], 'org.freedesktop.DBus.Error.InvalidArgs')
        self.assertNotIn('check', authority.out.drain())

    def test_a_challenge(self):
        broker = self.managed()
        authority = self.authority('challenge')
        self.assertEqual(self.error('Reload')[0], CHALLENGE)
        broker.log.wait_for('may not reload the configuration: polkit wants a password first')
        self.assertNotIn('interactive', authority.out.drain())
        self.refused('Reload', before=AS_STRANGER, interactive=True)
        self.assertTrue(authority.wait_for('check .*\n', 2).group(0).endswith(' interactive\n'))

    def test_in_doubt_it_is_no(self):
        broker = self.managed()
        self.assertEqual(self.error('Reload')[0], DENIED)  # no polkit at all
        broker.log.wait_for(r'may not reload the configuration: .*org\.freedesktop\.PolicyKit1')
        authority = self.authority('error')
        self.assertEqual(self.error('Reload'), (DENIED, 'you may not reload the configuration: the authority is not well'))
        authority.close()
        # It goes while it is asked.
        authority = self.authority('silent')
        waiting = self.start_busctl('call', 'org.busrt1', PATH, MANAGER, 'Reload', before=AS_STRANGER)
        authority.wait_for('check')
        authority.close()
        self.assertIn('Access denied', waiting.communicate(timeout=DEADLINE)[1])
        self.assertNotIn('was let', broker.log.drain())

    def test_root_and_the_broker_s_user_need_no_polkit(self):
        authority = self.authority('no')
        self.managed()
        self.call('Reload')
        self.assertNotIn('check', authority.out.drain())

    def test_the_own_client_is_free_to_see(self):
        broker = self.open_broker()
        authority = self.authority('no')
        with as_stranger():
            client = self.connected(broker, 'mine')
        self.connected(broker, 'other')
        self.assertEqual(client.acked(SUBSCRIBE, b'a/#'), OK)
        self.assertEqual(client.acked(EXCLUDE, b'a/b'), OK)
        path = self.call('GetClient', 's', 'mine', before=AS_STRANGER)[0]
        self.assertEqual(self.get('User', path, CLIENT), STRANGER)
        masks = [['.broker/warn', False], ['a/#', False], ['a/b', True]]
        self.assertEqual(self.call('ListSubscriptions', 's', 'mine', before=AS_STRANGER)[0], [['mine', *m] for m in masks])
        self.assertEqual(self.call_at(path, CLIENT, 'ListSubscriptions', before=AS_STRANGER)[0], masks)
        self.assertEqual(self.call_at(path, CLIENT, 'GetAddress', before=AS_STRANGER), [''])
        self.assertNotIn('check', authority.out.drain())
        quotas = self.call('ListQuotas', 's', f'user {STRANGER}', before=AS_STRANGER)[0]
        self.assertEqual([(row[0], row[1], row[2], row[5], row[8]) for row in quotas],
                         [(f'user {STRANGER}', STRANGER, 1, 1, 2)])
        self.assertNotIn('check', authority.out.drain())
        for identity in '', 'user 0', f'user 0{STRANGER}', f'user {STRANGER} ', f'user -{STRANGER}':
            self.assertEqual(self.error('ListQuotas', 's', identity)[0], DENIED, identity)
        self.assertEqual({row[0] for row in self.call('ListQuotas', 's', '')[0]}, {'broker', 'user 0', f'user {STRANGER}'})
        self.assertEqual(self.error('ListSubscriptions', 's', 'other')[0], DENIED)
        self.assertEqual(self.error('DisconnectClient', 's', 'mine')[0], DENIED)

    def test_reading_is_free(self):
        broker = self.managed()
        self.connected(broker, 'c')
        self.authority('no')
        self.assertEqual(self.call('ListClients', before=AS_STRANGER)[0][0][1], 'c')
        self.assertEqual(self.get('NClients', before=AS_STRANGER), 1)
        self.call('GetConfig', before=AS_STRANGER)
        self.call('Subscribe', before=AS_STRANGER)

    def test_a_caller_that_leaves_is_forgotten(self):
        broker = self.managed()
        client = self.connected(broker, 'c')
        authority = self.authority('silent')
        for i in range(1, 40):
            waiting = self.helper('call', PATH, MANAGER, 'DisconnectClient', 's', 'c', before=AS_STRANGER)
            authority.wait_for('check .* client=c', i)
            waiting.close()
            authority.wait_for('cancel busrtd-', i)
        authority.close()
        self.authority('yes')
        self.call('DisconnectClient', 's', 'c', before=AS_STRANGER)
        with self.assertRaises(EOFError):
            client.receive()
        broker.log.wait_for('was let disconnect')
        self.assertEqual(broker.log.drain().count('was let disconnect'), 1)

    def test_a_client_that_leaves_meanwhile(self):
        broker = self.managed()
        client = self.connected(broker, 'c')
        authority = self.authority('silent')
        waiting = self.start_busctl('call', 'org.busrt1', PATH, MANAGER, 'DisconnectClient', 's', 'c', before=AS_STRANGER)
        authority.wait_for('check')
        client.close()
        while self.get('NClients'):
            pass
        authority.close()
        self.assertIn('there is no client of the name "c"', waiting.communicate(timeout=DEADLINE)[1])
        self.assert_serves(broker.path())

    def test_nobody_takes_all_the_questions(self):
        broker = self.managed()
        authority = self.authority('silent')
        many = [self.helper('deaf', '40', 'Reload', before=AS_STRANGER) for _ in range(4)]
        for helper in many:
            helper.wait_for('sent')
        authority.wait_for('check', 32)
        broker.log.wait_for('this user has too many questions open at polkit')
        self.assertEqual(self.error('Reload')[0], DENIED)
        self.assertEqual(authority.out.drain().count('check'), 32)
        self.call('Reload')  # root's
        for helper in many:
            helper.close()
        authority.wait_for('cancel', 32)
        helper = self.helper('call', PATH, MANAGER, 'Reload', before=AS_STRANGER)
        authority.wait_for('check', 33)
        helper.close()

    def test_nobody_keeps_root_from_its_turn(self):
        broker = self.managed()
        self.authority('silent')
        broker.signal(signal.SIGSTOP)
        try:
            # All of them come before D-Bus says whose the first is.
            for _ in range(12):
                self.helper('deaf', '16', 'Reload', before=AS_STRANGER).wait_for('sent')
            self.assertEqual(self.busctl('list')[0], 0)
            self.helper('deaf', '1', 'ResetStatistics').wait_for('sent')
            self.assertEqual(self.busctl('list')[0], 0)
        finally:
            broker.signal(signal.SIGCONT)
        broker.log.wait_for('user 0, process .* was let set all counters to zero')

    def test_denials_do_not_flood_the_log(self):
        broker = self.managed()
        self.authority('no')
        self.helper('flood', '10', 'Reload', before=AS_STRANGER).wait_for('10 replies, 10 errors')
        self.helper('flood', '10', 'Reload', before=AS_STRANGER).wait_for('10 replies, 10 errors')
        broker.log.wait_for('may not reload', 10)
        self.assertEqual(broker.log.drain().count('may not reload'), 10)

    def test_too_many_at_once(self):
        self.managed()
        self.authority('no')
        self.helper('flood', '1000', 'Reload', before=AS_STRANGER).wait_for('1000 replies, 1000 errors')
        self.assertEqual(self.error('Reload')[0], DENIED)

    def test_nobody_takes_all_the_subscriptions(self):
        self.managed()
        for _ in range(32):
            self.helper('subscriber', before=AS_STRANGER).wait_for('Subscribe done')
        self.assertEqual(self.error('Subscribe'), ('org.freedesktop.DBus.Error.LimitsExceeded', 'too many are subscribed'))
        self.call('Subscribe')

    def test_a_frozen_dbus_holds_nobody_up(self):
        broker = self.managed()
        self.authority('no')
        broker.signal(signal.SIGSTOP)
        for member in ('Reload', 'Subscribe', 'ListAddresses'):
            self.helper('deaf', '1', member, before=AS_STRANGER).wait_for('sent')
        # D-Bus works in order: what it answers now, it has passed on before.
        self.assertEqual(self.busctl('list')[0], 0)
        self.dbus.freeze()
        try:
            broker.signal(signal.SIGCONT)
            began = time.monotonic()
            for i in range(20):
                self.assert_serves(broker.path(), f'c{i}')
            broker.signal(signal.SIGHUP)
            broker.log.wait_for('configuration reloaded')
            self.assertLess(time.monotonic() - began, 20)  # a call that waits for D-Bus gives up after 25
        finally:
            self.dbus.thaw()
        broker.log.wait_for('may not reload the configuration')

    def test_dbus_ends_while_it_is_asked(self):
        broker = self.managed()
        authority = self.authority('silent')
        waiting = self.helper('call', PATH, MANAGER, 'Reload', before=AS_STRANGER)
        authority.wait_for('check')
        self.dbus.stop()
        broker.log.wait_for('no more on D-Bus')
        self.dbus.start()
        broker.log.wait_for('managed on D-Bus', 2)
        waiting.close()
        self.assertNotIn('may not', broker.log.drain())
        self.assertNotIn('was let', broker.log.drain())


class UsersBus(PolkitCase):
    MODE = 'user'

    def test_the_same_user_is_enough_and_needed(self):
        authority = self.authority('yes')
        broker = self.managed()
        self.call('Reload')
        self.assertEqual(self.error('Reload'), (DENIED, 'you may not reload the configuration: only the broker\'s own user may'))
        broker.log.wait_for(rf'user {STRANGER}, process \d+ may not reload')
        self.assertNotIn('check', authority.out.drain())


class BrokersOwnUser(PolkitCase):
    def test_the_broker_s_user_is_no_stranger(self):
        """It runs as the user who is refused elsewhere."""
        os.chmod(self.dbus.dir, 0o777)
        program = self.dbus.program(BUSRTD)
        broker = self.broker('-B', self.dbus.dir + '/own.sock', '--dbus=system', env=self.env, program=program,
                             launcher=AS_STRANGER, wait=False)
        broker.log.wait_for('managed on D-Bus')
        self.call('Reload', before=AS_STRANGER)
        self.call('Reload')


if __name__ == '__main__':
    if os.geteuid() != 0 or not shutil.which('setpriv'):
        print('skipped: only root can be another user')
        sys.exit(77)
    main()
