# SPDX-License-Identifier: Apache-2.0
"""The connection to D-Bus: which one, what becomes of it, and that the bus does not depend on it."""
import os
import resource
import signal
import sys

from bus import DEADLINE, MESSAGE, OK, main
from calls import Caller
from dbus import CLIENT, CONFIG, DBus, DBusCase, MANAGER, NAME, PATH

BUSRTD_FAULTS = os.environ.get('BUSRTD_FAULTS', 'busrtd-faults')

# Sets what systemd sets for the process that it starts.
AS_SYSTEMD = "import os, sys; os.environ['SYSTEMD_EXEC_PID'] = str(os.getpid()); os.execv(sys.argv[1], sys.argv[1:])"


class Life(DBusCase):
    def test_the_bus_is_there_before_dbus(self):
        self.dbus.stop()
        os.unlink(self.dbus.path)
        broker = self.broker('-B', 'bus.sock', '--dbus=user', env=self.env)
        broker.log.wait_for(r'org\.busrt1 is not on D-Bus \(there is no answer\)')
        self.assert_serves(broker.path())
        self.dbus.start()
        broker.log.wait_for('managed on D-Bus as org.busrt1')
        self.assertEqual(self.get('NClients'), 0)
        self.assertEqual(broker.stop(), 0)
        self.assertEqual(broker.log.text.count('D-Bus'), 2)

    def test_dbus_ends_and_comes_again(self):
        broker = self.managed()
        client = self.connected(broker, 'c')
        for i in (1, 2):
            self.dbus.stop()
            broker.log.wait_for(r'org\.busrt1 is no more on D-Bus', i)
            self.assertEqual(client.acked(MESSAGE, b'c\0hello'), OK)
            self.dbus.start()
            broker.log.wait_for('managed on D-Bus as org.busrt1', i + 1)
            self.assertEqual(self.call('ListClients')[0][0][1], 'c')
        subscriber = self.subscriber()
        self.connected(broker, 'd')
        subscriber.wait_for('added')
        self.assertEqual(broker.stop(), 0)
        self.assertEqual(broker.log.text.count('D-Bus'), 5)

    def test_a_name_that_another_has_is_waited_for(self):
        first = self.managed()
        second = self.broker('-B', 'bus.sock', '--dbus=user', env=self.env)
        second.log.wait_for(r'org\.busrt1 is not on D-Bus \(the name is another\'s\)')
        self.connected(second, 'c')
        self.assertEqual(self.get('NClients'), 0)
        self.assertEqual(first.stop(), 0)
        second.log.wait_for('managed on D-Bus as org.busrt1')
        self.assertEqual(self.get('NClients'), 1)

    def test_another_name(self):
        broker = self.broker('-B', 'bus.sock', '--dbus=user', '--dbus-name=org.busrt1.bus_plant', env=self.env)
        broker.log.wait_for('managed on D-Bus as org.busrt1.bus_plant')
        status, answer, _ = self.busctl('get-property', 'org.busrt1.bus_plant', PATH, MANAGER, 'NClients')
        self.assertEqual((status, answer['data']), (0, 0))

    def test_a_name_that_may_not_be_taken(self):
        strict = DBus(CONFIG.replace('<allow own="*"/>', '<deny own="*"/>'))
        self.addCleanup(strict.close)
        broker = self.broker('-B', 'bus.sock', '--dbus=user', env={'DBUS_SESSION_BUS_ADDRESS': strict.address})
        broker.log.wait_for(r'org\.busrt1 is not on D-Bus \(.*not allowed to own')
        self.assert_serves(broker.path())

    def test_dbus_is_frozen_and_the_bus_goes_on(self):
        broker = self.managed()
        subscriber = self.subscriber()
        self.dbus.freeze()
        try:
            waiting = [self.start_busctl('call', NAME, PATH, MANAGER, 'Reload') for _ in range(3)]
            for i in range(50):  # each is a signal that cannot be sent
                self.assert_serves(broker.path(), f'c{i}')
            broker.signal(signal.SIGHUP)
            broker.log.wait_for('configuration reloaded')
        finally:
            self.dbus.thaw()
        for process in waiting:
            self.assertEqual(process.communicate(timeout=DEADLINE)[1], '')
            self.assertEqual(process.returncode, 0)
        self.connected(broker, 'last')
        subscriber.wait_for('added .* last\n|resync')
        self.assertEqual(self.call('ListClients')[0][0][1], 'last')

    def test_a_worker_that_stands_still_is_not_waited_for(self):
        broker = self.managed(program=BUSRTD_FAULTS)
        admin = Caller(broker.path(), 'admin')
        self.addCleanup(admin.close)
        path = self.call('GetClient', 's', 'admin')[0]
        admin.begin('fault.stall', b'\x81\xa7seconds\x03')
        timeout = ('org.freedesktop.DBus.Error.Timeout', 'the worker did not answer')
        while self.try_client() != timeout:
            pass
        self.assertEqual(self.error('ListClients'), timeout)
        self.assertEqual(self.error('GetAddress', path=path, interface=CLIENT), timeout)
        self.assertEqual(self.get('NClients'), 1)  # needs no worker
        while self.try_client() != ('', ''):
            pass
        self.assertEqual(len(self.call('ListClients')[0]), 1)

    def try_client(self):
        """The error, if there is one."""
        done = self.run_helper('call', PATH, MANAGER, 'GetClient', 's', 'admin')
        name, _, text = done.removeprefix('error ').strip().partition(': ')
        return ('', '') if name == 'ok' else (name, text)

    def test_the_end_is_not_held_up(self):
        broker = self.managed()
        self.dbus.freeze()
        try:
            self.assertEqual(broker.stop(), 0)
        finally:
            self.dbus.thaw()

    def started_by_systemd(self, **env):
        return self.broker('-B', 'bus.sock', env={**self.env, **env}, launcher=[sys.executable, '-c', AS_SYSTEMD])

    def test_auto_is_none_by_hand(self):
        broker = self.broker('-B', 'bus.sock', env={**self.env, 'SYSTEMD_EXEC_PID': '1', 'MANAGERPID': '1'})
        self.assertEqual(broker.stop(), 0)
        self.assertNotIn('D-Bus', broker.log.text)

    def test_auto_is_the_user_s_or_the_system_s(self):
        other = DBus()
        self.addCleanup(other.close)
        system = self.started_by_systemd(DBUS_SYSTEM_BUS_ADDRESS=other.address)
        system.log.wait_for('managed on D-Bus')
        user = self.started_by_systemd(DBUS_SYSTEM_BUS_ADDRESS=other.address, MANAGERPID='1')
        user.log.wait_for('managed on D-Bus')
        self.connected(user, 'u')
        self.assertEqual(self.call('ListClients')[0][0][1], 'u')

    def test_the_user_s_is_found_in_the_runtime_folder(self):
        # Its name has what an address may not hold.
        folder = os.path.join(self.directory(), 'a;b, c=%d')
        os.mkdir(folder)
        os.symlink(self.dbus.path, folder + '/bus')
        broker = self.broker('-B', 'bus.sock', '--dbus=user', env={'XDG_RUNTIME_DIR': folder})
        broker.log.wait_for('managed on D-Bus')

    def test_no_user_s_bus_is_known(self):
        broker = self.broker('-B', 'bus.sock', '--dbus=user')
        broker.log.wait_for(r'is not on D-Bus \(the environment names none\)')
        self.assert_serves(broker.path())
        self.assertEqual(broker.stop(), 0)

    def test_off(self):
        broker = self.broker('-B', 'bus.sock', '--dbus=off', env=self.env)
        self.assertEqual(broker.stop(), 0)
        self.assertNotIn('D-Bus', broker.log.text)


class Load(DBusCase):
    def test_nobody_s_descriptors_are_taken(self):
        self.managed()
        self.assertEqual(self.error('Reload', 'h', '0')[0], 'org.freedesktop.DBus.Error.NotSupported')  # by D-Bus itself

    def test_a_flood_of_calls(self):
        broker = self.managed()
        clients = [self.connected(broker, f'c{i}') for i in range(500)]
        flood = self.helper('flood', '1000', 'ListClients')
        for i in range(20):
            self.assert_serves(broker.path(), f'guest{i}')
        errors = int(flood.wait_for(r'1000 replies, (\d+) errors').group(1))
        self.assertLessEqual(errors, 1000 - 32)  # so many of one caller may wait
        small = self.helper('flood', '30', 'ListClients')
        small.wait_for('30 replies, 0 errors')
        self.assertEqual(len(self.call('ListClients')[0]), len(clients))

    def test_a_caller_that_never_reads(self):
        broker = self.managed()
        for i in range(500):
            self.connected(broker, f'c{i}')
        deaf = self.helper('deaf', '1000', 'ListClients')
        deaf.wait_for('sent')
        self.assert_serves(broker.path(), 'guest')
        self.assertEqual(len(self.call('ListClients')[0]), 500)

    def test_a_subscriber_that_never_reads(self):
        broker = self.managed()
        deaf = self.subscriber()
        deaf.process.send_signal(signal.SIGSTOP)
        subscriber = self.subscriber()
        for i in range(1000):
            self.connected(broker, f'c{i}').close()
        self.connected(broker, 'last')
        subscriber.wait_for('added .* last\n|resync')
        self.assertEqual(len(self.call('ListClients')[0]), 1)
        deaf.process.send_signal(signal.SIGCONT)
        deaf.wait_for('added .* last\n|resync')

    def test_thousands_of_clients_in_one_answer(self):
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        n = min(5000, most // 4)
        broker = self.managed()
        clients = [self.connected(broker, f'client.{i}') for i in range(n)]
        rows = self.call('ListClients')[0]
        self.assertEqual([row[1] for row in rows], sorted(f'client.{i}' for i in range(n)))
        clients.clear()


if __name__ == '__main__':
    main()
