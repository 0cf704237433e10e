# SPDX-License-Identifier: Apache-2.0
"""Which way an administrator's question takes, and org.busrt1 on a D-Bus that does as a test says."""
import json
import os
import signal
import time
import unittest

import tool
from bus import DEADLINE, remaining
from fake_bus import BUS, HANG_UP, MAY_ASK, SILENCE, FakeBus
from tool import TestCase, main, run

ROW = 'tssssuuutttttttttttto'
MANAGER, CLIENT = '/org/busrt1', '/org/busrt1/client/_5'
NO_SUCH_CLIENT = ('error', 'org.busrt1.Error.NoSuchClient', 'there is no client "x"')
DENIED = ('error', BUS + '.Error.AccessDenied', 'denied')
CHALLENGE = ('error', BUS + '.Error.InteractiveAuthorizationRequired', 'a password is wanted')


def row(number, name, primary=''):
    return [number, name, 'local_ipc', '/run/x.sock', primary, 0, 0, 77, *range(1, 12), 1, f'/org/busrt1/client/_{number}']


ANSWERS = {
    'GetNameOwner': ('s', ':1.0'),
    'GetConnectionUnixProcessID': ('u', 4711),
    'ListClients': (f'a({ROW})', [row(5, 'b'), row(6, 'a'), row(7, 'a%%1', 'a')]),
    'GetClient': ('o', CLIENT),
    'GetClientByID': ('o', CLIENT),
    'GetAll Client': ('a{sv}', {'Id': ('t', 5), 'Name': ('s', 'b'), 'Kind': ('s', 'local_ipc'), 'User': ('u', 0),
                                'Secondaries': ('as', ['b%%2', 'b%%1']), 'Unit': ('s', 'b.service'),
                                'ConnectedTimestamp': ('t', 10 ** 15), 'Future': ('a(tv)', [[1, ('s', 'x')]])}),
    'GetAddress': ('s', ''),
    'ListSubscriptions': lambda call: ('a(sb)', [['y', 0], ['z', 1], ['x', 0]]) if call.path == CLIENT else (
        'a(ssb)', [['b', 'y', 0], ['a', 'x', 1]]),
    'GetAll Manager': ('a{sv}', {'Version': ('s', '9.9.9'), 'FramesIn': ('t', 12), 'QueueMemoryMax': ('t', 1 << 30),
                                 'Listeners': ('a(ssb)', [['unix', '/run/x.sock', 1]])}),
    'GetConfig': ('a(sssu)', [['Listen', '/run/x.sock', 'command line', 0], ['QueueFrames', '9', '/etc/x.conf', 3]]),
    'Get LogControl1': ('v', ('s', 'notice')),
    'Set LogControl1': ('',),
    'DisconnectClient': ('',), 'Disconnect': ('',), 'Reload': ('',), 'ResetStatistics': ('',),
    'Subscribe': ('',), 'Unsubscribe': ('',),
    'ListQuotas': ('a(suttttttttttttttttt)', [['192.0.2.7', 2 ** 32 - 1, *range(1, 18)], ['user 0', 0, *[2 ** 64 - 1] * 17]]),
}
# A verb, and the methods that it asks for.
VERBS = {
    ('list',): ('ListClients',), ('show', 'b'): ('GetClient', 'GetAll Client', 'GetAddress'),
    ('subscriptions',): ('ListSubscriptions',), ('status',): ('GetAll Manager', 'GetConfig', 'Get LogControl1'),
    ('config',): ('GetConfig',), ('quota',): ('ListQuotas',), ('log-level',): ('Get LogControl1',), ('log-level', 'info'): ('Set LogControl1',),
    ('disconnect', 'b'): ('DisconnectClient',), ('reload',): ('Reload',), ('reset-statistics',): ('ResetStatistics',),
}
CHANGES = {('disconnect', 'b'): ('DisconnectClient', 'disconnect'), ('reload',): ('Reload', 'reload'),
           ('reset-statistics',): ('ResetStatistics', 'reset-statistics'),
           ('log-level', 'info'): ('Set LogControl1', 'set-log-level'),
           ('subscriptions',): ('ListSubscriptions', 'inspect'), ('quota',): ('ListQuotas', 'inspect')}
ON_BUS = "org.busrt1 on the user's D-Bus"


class BusCase(TestCase):
    def setUp(self):
        self.runtime = self.directory()
        self.address = os.path.join(self.runtime, 'dbus.sock')
        os.mkdir(os.path.join(self.runtime, 'busrt'))
        self.socket = os.path.join(self.runtime, 'busrt', 'bus.sock')
        self.fake_bus = None

    def env(self, **more):
        return {'XDG_RUNTIME_DIR': self.runtime, 'DBUS_SESSION_BUS_ADDRESS': 'unix:path=' + self.address,
                'DBUS_SYSTEM_BUS_ADDRESS': 'unix:path=' + self.address, **more}

    def bus(self, silent=False, **answers):
        """Replaces the one before."""
        if self.fake_bus:
            self.fake_bus.close()
        self.fake_bus = FakeBus(self.address, {**ANSWERS, **{key.replace('__', ' '): answer for key, answer in
                                                             answers.items()}}, silent)
        self.addCleanup(lambda bus=self.fake_bus: bus is self.fake_bus and bus.close())
        return self.fake_bus

    def user_broker(self):
        return self.broker('-B', self.socket)

    def ctl(self, *args, **options):
        env = self.env(**options.pop('env', {}))
        return run('-t', '20s', *(() if args[0].startswith('-') else ('--user',)), *args, env=env, **options)

    def json(self, *args, **options):
        return json.loads(self.ok(*args, '--json', **options))

    def user_running(self, *args):
        process = tool.Running('--user', *args, env=self.env())
        self.addCleanup(process.close)
        return process


class Choice(BusCase):
    def asked(self, *args, **options):
        """The name that was asked for on D-Bus, or None."""
        bus = self.bus()
        self.ctl(*args, 'log-level', **options)
        names = [call.texts()[0] for call in bus.calls if call.member == 'GetNameOwner']
        return names[0] if names else None

    def test_what_has_a_name_on_the_bus(self):
        other = os.path.join(self.runtime, 'other.sock')
        self.assertEqual(self.asked('--user'), 'org.busrt1')
        self.assertEqual(self.asked('--system'), 'org.busrt1')
        self.assertEqual(self.asked('--instance', 'plant-2'), 'org.busrt1.bus_plant-2')
        self.assertEqual(self.asked('--user', '-i', 'x'), 'org.busrt1.bus_x')
        self.assertEqual(self.asked('-s', self.socket), 'org.busrt1')
        self.assertEqual(self.asked('-s', '/run/busrt/bus.sock'), 'org.busrt1')
        self.assertEqual(self.asked('-n', 'x', env={'BUSRT_SOCKET': self.socket}), 'org.busrt1')
        self.assertEqual(self.asked('-n', 'x'), 'org.busrt1')
        self.assertIsNone(self.asked('-s', other))
        self.assertIsNone(self.asked('-s', 'localhost:1'))
        self.assertIsNone(self.asked('-n', 'x', env={'BUSRT_SOCKET': other}))
        self.assertIsNone(self.asked('--instance', 'a@b'))

    def test_a_link_to_the_users_socket_is_the_users(self):
        broker = self.user_broker()
        link = os.path.join(self.runtime, 'link.sock')
        os.symlink(self.socket, link)
        self.assertEqual(self.asked('-s', link), 'org.busrt1')
        broker.stop()

    def test_mistakes(self):
        self.fails('--user', '-s', 'x.sock', 'reload', says='-s says which broker: no --system, --user or -i', status=2)
        for name in '', '.', '..', 'a/b':
            self.fails('--instance', name, 'reload', says='-i', status=2)
        self.fails('--user', 'reload', says=r'cannot be found: \$XDG_RUNTIME_DIR is not set', env={'XDG_RUNTIME_DIR': ''})

    def test_the_socket_of_an_instance(self):
        path = os.path.join(self.runtime, 'busrt', 'x', 'bus.sock')
        os.mkdir(os.path.dirname(path))
        self.broker('-B', path)
        self.assertIn(path, self.ok('--user', '--instance', 'x', 'info'))
        self.bus(GetNameOwner=('error', BUS + '.Error.NameHasNoOwner', 'none'))
        self.assertEqual(self.ok('--user', '--instance', 'x', 'log-level'), 'info\n')


class SecondWay(BusCase):
    """Where D-Bus leads nowhere, the socket does."""

    def test_no_bus(self):
        self.user_broker()
        self.assertEqual(self.ok('log-level'), 'info\n')

    def test_a_bus_without_a_broker(self):
        self.user_broker()
        bus = self.bus(GetNameOwner=('error', BUS + '.Error.NameHasNoOwner', 'none'))
        self.assertEqual(self.ok('log-level'), 'info\n')
        self.assertEqual(bus.members(), ['GetNameOwner'])

    def test_a_bus_that_hangs_up(self):
        self.user_broker()
        self.bus(GetNameOwner=HANG_UP)
        self.assertEqual(self.ok('log-level'), 'info\n')

    def test_a_bus_that_does_not_speak(self):
        self.user_broker()
        self.bus(silent=True)
        self.assertEqual(self.ok('-t', '300ms', '--user', 'log-level'), 'info\n')
        self.bus(GetNameOwner=SILENCE)
        self.assertEqual(self.ok('-t', '300ms', '--user', 'log-level'), 'info\n')

    def test_no_broker_at_all(self):
        no_broker = (f'busrtctl: no broker at {self.socket}: there is no such file\n'
                     'To start it: systemctl --user start busrtd.socket\n$')
        self.fails('reload', says=f'^busrtctl: {ON_BUS}: there is no such bus\n{no_broker}')
        self.bus(GetNameOwner=('error', BUS + '.Error.NameHasNoOwner', 'none'))
        self.fails('reload', says=f'^busrtctl: {ON_BUS}: nobody has that name there\n{no_broker}')
        self.bus(GetNameOwner=('error', 'x.y', 'no \x1b'))
        self.fails('reload', says=rf'^busrtctl: {ON_BUS}: no \\x1b\n{no_broker}')
        self.bus(silent=True)
        self.fails('-t', '300ms', '--user', 'reload', says=f'^busrtctl: {ON_BUS}: the bus does not answer\n{no_broker}')
        self.fails('--user', '-i', 'a@b', 'reload', says=r'^busrtctl: org\.busrt1\.bus_a@b on the user\'s D-Bus: D-Bus '
                   f'has no names of that form\nbusrtctl: no broker at {self.runtime}/busrt/a@b/bus.sock')

    def test_how_to_start_the_one_that_is_meant(self):
        self.fails('--instance', 'no\x1b', 'info', says=r'\nTo start it: systemctl start busrtd@no\\x1b\.socket\n$')
        self.fails('-s', self.socket, 'info', says=r'\nTo start one:\n.*\n  busrtd -B \./bus\.sock')

    @unittest.skipUnless(os.geteuid() == 0 and tool.others_may_run_it(), 'only root can become somebody else')
    def test_who_is_not_let_by_the_socket_is_told_of_the_bus(self):
        self.user_broker()
        os.chmod(self.runtime, 0o755)
        os.chmod(self.socket, 0o777)
        self.fails('reload', preexec_fn=tool.become_somebody,
                   says='not allowed: by its socket the broker lets root and its own user alone\nAs root it is allowed: '
                   f'sudo busrtctl ...\nbusrtctl: others could be let by polkit, on D-Bus, but {ON_BUS}: there is no such '
                   'bus\n$')


class ByDBus(BusCase):
    def test_lists_are_sorted(self):
        self.bus()
        self.assertEqual([client['name'] for client in self.json('list')], ['a', 'b'])
        self.assertEqual(self.json('subscriptions'), [{'client': 'a', 'mask': 'x', 'exclusion': True},
                                                      {'client': 'b', 'mask': 'y', 'exclusion': False}])
        self.assertEqual(self.json('config'), [{'key': 'Listen', 'value': '/run/x.sock', 'file': 'command line', 'line': None},
                                               {'key': 'QueueFrames', 'value': '9', 'file': '/etc/x.conf', 'line': 3}])

    def test_a_client(self):
        self.bus()
        client = self.json('show', 'b')
        self.assertEqual(client['secondaries'], ['b%%1', 'b%%2'])
        self.assertEqual((client['subscriptions'], client['exclusions']), (['x', 'y'], ['z']))
        self.assertEqual(client['unit'], 'b.service')

    def test_what_is_private_is_not_asked_for_with_a_password(self):
        for answer in DENIED, CHALLENGE:
            bus = self.bus(GetAddress=answer, ListSubscriptions=answer)
            self.ok('show', 'b')
            self.assertNotIn(MAY_ASK, {call.flags & MAY_ASK for call in bus.calls})

    def test_the_broker(self):
        self.bus()
        status = self.json('status')
        self.assertEqual((status['version'], status['pid'], status['log_level']), ('9.9.9', 4711, 'notice'))

    def test_what_is_done(self):
        bus = self.bus()
        for args, (member, _) in CHANGES.items():
            self.ok(*args)
            self.assertIn(member, bus.members())
        self.ok('disconnect', '#5')
        self.assertEqual([(call.member, call.path) for call in bus.calls if call.member in ('GetClientByID', 'Disconnect')],
                         [('GetClientByID', MANAGER), ('Disconnect', CLIENT)])
        self.ok('subscriptions', '#5')
        self.assertEqual(bus.calls[-1].texts(), ['b'])


class Refusals(BusCase):
    def test_denied(self):
        for args, (member, right) in CHANGES.items():
            self.bus(**{member.replace(' ', '__'): DENIED})
            self.fails(*args, says=rf'^busrtctl: not allowed: it takes the right org\.busrt1\.{right}\n(As root it is '
                       r"allowed: sudo busrtctl \.\.\.\n)?Others may be given that right by a rule of polkit's: polkit\(8\)\.\n$")

    def test_a_password_that_cannot_be_asked_for(self):
        for args, (member, right) in CHANGES.items():
            bus = self.bus(**{member.replace(' ', '__'): CHALLENGE})
            self.fails(*args, says=rf'^busrtctl: not allowed without a password: it takes the right org\.busrt1\.{right}\n'
                       'It is asked for on a terminal, without --no-ask-password.\n')
            self.assertEqual(bus.members().count(member), 1)

    def test_what_the_bus_itself_denies(self):
        for args, members in VERBS.items():
            self.bus(**{members[0].replace(' ', '__'): DENIED})
            self.fails(*args, says='^busrtctl: .*not allowed: ')

    def test_unknown_clients(self):
        self.bus(GetClient=NO_SUCH_CLIENT, DisconnectClient=NO_SUCH_CLIENT, GetClientByID=NO_SUCH_CLIENT,
                 ListSubscriptions=NO_SUCH_CLIENT)
        for verb in 'show', 'disconnect', 'subscriptions':
            for name, shown in ('b', 'b'), ('#9', '#9'), ('\x1b', r'\\x1b'):
                self.fails(verb, name, says=f'^busrtctl: no client "{shown}" is connected\n"busrtctl list" lists who is '
                           'there.\n')

    def test_a_client_that_leaves_in_between(self):
        self.bus(GetAll__Client=('error', BUS + '.Error.UnknownObject', 'gone'))
        self.fails('show', 'b', says='no client "b" is connected')
        self.bus(GetAddress=('error', BUS + '.Error.UnknownObject', 'gone'))
        self.ok('show', 'b')

    def test_a_configuration_that_is_refused(self):
        self.bus(Reload=('error', 'org.busrt1.Error.ReloadFailed', '/etc/x.conf:3: no \x1b'))
        self.fails('reload', says=r'^busrtctl: not reloaded: /etc/x\.conf:3: no \\x1b\nThe configuration in force stays as '
                   r'it was\.\n$')

    def test_other_errors_are_told_escaped(self):
        self.bus(Reload=('error', BUS + '.Error.Timeout', 'the worker did not answer \x1b'))
        self.fails('reload', says=rf'^busrtctl: {ON_BUS}: Reload: the worker did not answer \\x1b\n$')

    def test_a_broker_without_these_methods(self):
        for args, members in VERBS.items():
            if args[-1] != 'b':
                self.bus(**{members[0].replace(' ', '__'): ('error', BUS + '.Error.UnknownMethod', 'none')})
                self.fails(*args, says=rf'^busrtctl: {ON_BUS}: the broker does not know \w+: it is no busrtd, or an older one\n$')


@unittest.skipUnless(tool.others_may_run_it(), 'the program is not for others')
class Passwords(BusCase):
    """On a terminal, an agent is there while polkit may ask, and not a moment longer."""

    def setUp(self):
        super().setUp()
        os.chmod(self.runtime, 0o755)
        self.bin = self.directory()
        os.chmod(self.bin, 0o777)
        self.started = os.path.join(self.bin, 'started')

    def bus(self, **answers):
        bus = super().bus(**answers)
        os.chmod(self.address, 0o777)
        return bus

    def agent(self, script):
        path = os.path.join(self.bin, 'pkttyagent')
        with open(path, 'w', encoding='utf-8') as file:
            file.write(f'#!/bin/sh\necho "$$ $*" > {self.started}.new && mv {self.started}.new {self.started}\n' + script)
        os.chmod(path, 0o755)

    def on_terminal(self, *args, before=tool.become_somebody):
        terminal = tool.Terminal('--system', *args, env=self.env(PATH=self.bin + ':' + os.environ['PATH']), before=before)
        self.addCleanup(terminal.close)
        return terminal

    def ask(self, call):
        """Polkit, whose agent is there, and is given the right password."""
        if not call.flags & MAY_ASK:
            return CHALLENGE
        return ('',) if os.path.exists(self.started) else DENIED

    def test_an_agent_asks(self):
        self.agent('eval "exec $2>&-"\nwhile :; do read -r line < /dev/tty || exit; done\n')
        for args, (member, _) in CHANGES.items():
            if args[0] in ('subscriptions', 'quota'):
                continue
            bus = self.bus(**{member.replace(' ', '__'): self.ask})
            terminal = self.on_terminal(*args)
            self.assertEqual(terminal.wait(), 0, terminal.screen)
            self.assertEqual(bus.members().count(member), 1)
            with open(self.started, encoding='utf-8') as file:
                pid, arguments = file.read().split(maxsplit=1)
            self.assertRegex(arguments, r'^--notify-fd \d+ --fallback$')
            self.assertRaises(ProcessLookupError, os.kill, int(pid), 0)
            os.unlink(self.started)

    def test_an_agent_that_is_missing(self):
        self.bus(Reload=CHALLENGE)
        self.agent('exit 1\n')
        terminal = self.on_terminal('reload')
        self.assertEqual(terminal.wait(), 1)
        self.assertIn(b'it takes the right org.busrt1.reload\r\nNobody asked for one: pkttyagent, or another agent of '
                      b"polkit's, is missing.", terminal.screen)

    def test_a_wrong_password(self):
        self.bus(Reload=DENIED)
        self.agent('exit 0\n')
        terminal = self.on_terminal('reload')
        self.assertEqual(terminal.wait(), 1)
        self.assertIn(b'not allowed: it takes the right org.busrt1.reload\r\nAs root it is allowed', terminal.screen)

    def test_not_where_it_is_not_wanted(self):
        self.agent('exit 0\n')
        self.bus(Reload=self.ask)
        terminal = self.on_terminal('--no-ask-password', 'reload')
        self.assertEqual(terminal.wait(), 1)
        self.assertIn(b'without --no-ask-password', terminal.screen)
        self.assertFalse(os.path.exists(self.started))

    def test_not_for_what_everybody_may(self):
        self.agent('exit 0\n')
        bus = self.bus()
        for args in ('list',), ('show', 'b'), ('status',), ('config',), ('log-level',):
            self.assertEqual(self.on_terminal(*args).wait(), 0, args)
        self.assertEqual({call.flags & MAY_ASK for call in bus.calls}, {0})
        self.assertFalse(os.path.exists(self.started))

    @unittest.skipUnless(os.geteuid() == 0, 'only root is root')
    def test_not_of_root(self):
        self.agent('exit 0\n')
        bus = self.bus()
        self.assertEqual(self.on_terminal('reload', before=None).wait(), 0)
        self.assertEqual({call.flags & MAY_ASK for call in bus.calls}, {0})
        self.assertFalse(os.path.exists(self.started))


class StrangeAnswers(BusCase):
    others = [('s', 'x'), ('u', 7), ('',), ('as', ['x']), ('a(s)', [['x']]), ('a{sv}', {'Id': ('s', 'x')}),
              ('a{sv}', {'Version': ('t', 1), 'Name': ('as', [])}), ('v', ('u', 1)), ('a(ssu)', [['a', 'b', 1]])]

    def test_an_answer_of_another_type_is_told(self):
        for args, members in VERBS.items():
            if args in CHANGES and args[0] != 'subscriptions':
                continue
            for member in members:
                for answer in self.others:
                    self.bus(**{member.replace(' ', '__'): answer})
                    status, out, err = self.ctl(*args)
                    if status == 0:  # an empty map, an address: it was of the right type
                        continue
                    self.assertEqual((status, out), (1, b''), (args, answer, err))
                    self.assertRegex(err, rf'^busrtctl: {ON_BUS}: the answer to \w+ is not one that this program knows\n$')
        self.bus(ListClients=('as', ['x']))
        self.fails('list', says='the answer to ListClients is not one that this program knows')

    def test_texts_are_shown_escaped(self):
        bad = 'x\x1b[2J\u202e'
        self.bus(ListClients=(f'a({ROW})', [row(5, bad)]), ListSubscriptions=('a(ssb)', [[bad, bad, 0]]),
                 GetConfig=('a(sssu)', [[bad, bad, bad, 1]]), Get__LogControl1=('v', ('s', bad)))
        for args in ('list',), ('subscriptions',), ('config',), ('log-level',):
            for more in (), ('--json',):
                out = self.ok(*args, *more)
                self.assertNotIn('\x1b', out)
                self.assertNotIn('\u202e', out)

    def test_no_answer(self):
        self.bus(Reload=SILENCE)
        self.fails('-t', '200ms', '--user', 'reload',
                   says=rf'^busrtctl: {ON_BUS}: no answer in time \(busrtctl -t TIME waits longer\)\n$')

    def test_a_bus_that_dies_in_the_middle_of_a_call(self):
        for args, members in VERBS.items():
            for member in members:
                self.bus(**{member.replace(' ', '__'): HANG_UP})
                self.fails(*args, says=rf'^busrtctl: {ON_BUS}: the (broker, or the bus, went away before it answered|bus closed '
                           'the connection)\n$')

    def test_a_broker_that_dies_before_the_call(self):
        self.bus(Reload=('error', BUS + '.Error.ServiceUnknown', 'none'))
        self.fails('reload', says='the broker, or the bus, went away before it answered')


class Watching(BusCase):
    def watching(self):
        bus = self.bus()
        process = self.user_running('monitor', '--json')
        until = time.monotonic() + DEADLINE
        while 'Subscribe' not in bus.members():
            remaining(until, 'no Subscribe')
            time.sleep(0.001)
        return bus, process

    def test_signals_become_events(self):
        bus, process = self.watching()
        bus.signal(MANAGER, 'org.busrt1.Manager', 'ClientsChanged', 'a(ts)a(ts)', [[5, 'b']], [[4, '\x1b']])
        bus.signal(MANAGER, 'org.busrt1.Manager', 'Events', 'a(tstss)', [[1, 'struck', 5, 'b', 'slow']])
        bus.signal(MANAGER, 'org.busrt1.Manager', 'Resync', '')
        process.out.wait_for('resync')
        self.assertEqual([json.loads(line)['event'] for line in process.out.text.splitlines()],
                         ['connected', 'gone', 'struck', 'resync'])
        self.assertNotIn('\x1b', process.out.text)
        process.signal(signal.SIGINT)
        self.assertEqual(process.wait(), 0)

    def test_the_end_of_the_broker(self):
        bus, process = self.watching()
        bus.signal('/org/freedesktop/DBus', BUS, 'NameOwnerChanged', 'sss', 'org.busrt1', ':1.0', '', sender=BUS)
        self.assertEqual(process.wait(), 1)
        self.assertIn('shutdown', process.out.read_all())
        self.assertIn(f'{ON_BUS}: the broker has stopped', process.err.read_all())

    def test_the_end_of_the_bus(self):
        bus, process = self.watching()
        bus.hang_up()
        self.assertEqual(process.wait(), 1)
        self.assertIn(f'{ON_BUS}: the bus closed the connection', process.err.read_all())

    def test_a_signal_of_another_type(self):
        bus, process = self.watching()
        bus.signal(MANAGER, 'org.busrt1.Manager', 'ClientsChanged', 's', 'x')
        self.assertEqual(process.wait(), 1)
        self.assertIn('not one that this program knows', process.err.read_all())

    def test_who_may_not_subscribe(self):
        self.bus(Subscribe=DENIED)
        self.fails('monitor', says='not allowed: denied')


if __name__ == '__main__':
    main()
