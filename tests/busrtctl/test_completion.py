# SPDX-License-Identifier: Apache-2.0
"""Completion in bash: each test types a line and asks what would be offered."""
import os
import subprocess
import threading

from bus import DEADLINE, OK, PUBLISH
from tool import BUSRTCTL, TestCase, environment, main

SCRIPT = r'''
source "$1"
COMP_LINE=$2 COMP_POINT=${#2}
_busrtctl busrtctl
[[ ${#COMPREPLY[@]} == 0 ]] || printf '%s\n' "${COMPREPLY[@]}"
'''


class Completion(TestCase):
    def offers(self, line, broker=True, env=None):
        path = os.path.dirname(BUSRTCTL) + ':' + os.environ['PATH']
        if broker:
            line = f'-s {self.path} {line}'
        done = subprocess.run(['bash', '--norc', '-c', SCRIPT, 'bash', os.environ['COMPLETION'], 'busrtctl ' + line],
                              capture_output=True, text=True, timeout=DEADLINE, stdin=subprocess.DEVNULL,
                              env=environment({'PATH': path, **(env or {})}))
        self.assertEqual((done.returncode, done.stderr), (0, ''))
        return done.stdout.splitlines()

    def test_verbs(self):
        self.assertEqual(self.offers(''), ['listen', 'send', 'broadcast', 'publish', 'rpc', 'ping', 'benchmark', 'status', 'list', 'show',
                                           'subscriptions', 'access', 'quota', 'config', 'top', 'monitor', 'metrics', 'clients', 'stats', 'info',
                                           'disconnect', 'reload', 'log-level', 'reset-statistics'])
        self.assertEqual(self.offers('p'), ['publish', 'ping'])
        self.assertEqual(self.offers('help re'), ['reload', 'reset-statistics'])
        self.assertEqual(self.offers('rpc '), ['call', 'call0', 'notify', 'listen'])
        self.assertEqual(self.offers('access '), ['explain', 'show', 'test'])
        self.assertEqual(self.offers('access explain --pu'), ['--publish'])
        self.assertEqual(self.offers('access explain x --user roo'), ['root'])
        self.assertEqual(self.offers('quota roo'), ['root'])

    def test_options_are_those_of_the_verb(self):
        self.assertIn('--timeout', self.offers('--'))
        self.assertEqual(self.offers('listen --no'), ['--no-topics'])
        self.assertEqual(self.offers('stats --w'), ['--watch'])
        self.assertEqual(self.offers('rpc call --par'), ['--params'])
        self.assertEqual(self.offers('rpc listen --re'), ['--reply'])

    def test_values_of_options(self):
        self.assertEqual(self.offers('publish -q r'), ['realtime', 'realtime-processed'])
        self.assertEqual(self.offers('publish --qos=n'), ['no'])
        self.assertEqual(self.offers('clients --sort q'), ['queue'])
        self.assertEqual(self.offers('list --sort c'), ['connected'])
        self.assertEqual(self.offers('top -S h'), ['highest'])
        self.assertEqual(self.offers('monitor -e re'), ['refused', 'resync'])
        self.assertEqual(self.offers('show -p QueueB'), ['QueueBytes', 'QueueBytesMax'])
        self.assertEqual(self.offers('list --uid roo'), ['root'])
        self.assertEqual(self.offers('log-level '), ['err', 'warning', 'notice', 'info', 'debug'])
        self.assertEqual(self.offers('log-level info '), [])
        self.assertEqual(self.offers('publish --rate '), [])
        self.assertEqual(self.offers('benchmark --stage rpc.call'), ['rpc.call', 'rpc.call+handle', 'rpc.call0'])
        self.assertEqual(self.offers('benchmark --stage=lat'),
                         ['latency.one-way', 'latency.round-trip', 'latency.publish'])
        self.assertEqual(self.offers('benchmark -w '), [])
        self.assertEqual(self.offers('-s ' + self.path[:-2], broker=False), [self.path])

    def test_clients_that_are_there(self):
        self.receiver('plc.1')
        self.receiver('plc.2')
        for verb in 'send', 'broadcast', 'ping', 'clients', 'rpc call', 'rpc call0', 'rpc notify', 'publish t --for':
            self.assertEqual(self.offers(f'{verb} pl'), ['plc.1', 'plc.2'], verb)
        self.assertEqual(self.offers('send '), ['.broker', 'plc.1', 'plc.2'])
        self.assertEqual(self.offers('send plc.1 pl'), [])
        self.assertEqual(self.offers('rpc call .broker i'), ['info'])

    def test_clients_for_an_administrator(self):
        self.receiver('plc.1')
        self.receiver('plc.1%%0')
        for verb in 'list', 'show', 'top', 'monitor', 'disconnect', 'subscriptions', 'show plc.9', 'top -n 3 -d 1':
            self.assertEqual(self.offers(f'{verb} pl'), ['plc.1', 'plc.1%%0'], verb)
        self.assertEqual(self.offers('subscriptions plc.1 pl'), [])

    def test_clients_for_who_is_no_administrator(self):
        path = self.fake(result=b'\x81\xa7clients\x91\x81\xa4name\xa3plc')
        self.assertEqual(self.offers(f'-s {path} show p', broker=False), ['plc'])

    def test_brokers_beside_the_first(self):
        runtime = self.directory()
        for name in 'plant', 'office':
            os.makedirs(os.path.join(runtime, 'busrt', name))
        self.broker('-B', os.path.join(runtime, 'busrt', 'plant', 'bus.sock'))
        env = {'XDG_RUNTIME_DIR': runtime}
        self.assertEqual(self.offers('--user --instance ', broker=False, env=env), ['plant'])
        self.assertEqual(self.offers('--user -i plant -', broker=False, env=env), self.offers('-', broker=False))
        self.receiver('plc.1', where=os.path.join(runtime, 'busrt', 'plant', 'bus.sock'))
        for options in '--user -i plant', '--user --instance=plant', '-i plant --user':
            self.assertEqual(self.offers(f'{options} send p', broker=False, env=env), ['plc.1'])

    def test_the_broker_of_the_environment(self):
        self.receiver('plc.1')
        self.assertEqual(self.offers('send p', broker=False, env={'BUSRT_SOCKET': self.path}), ['plc.1'])

    def test_names_that_the_shell_would_take_apart(self):
        self.receiver('a b$(x)')
        self.receiver('host:1:x')
        self.assertEqual(self.offers('send a'), [r'a\ b\$\(x\)'])
        self.assertEqual(self.offers('send "a'), ['a b$(x)'])
        self.assertEqual(self.offers('send host:1'), ['1:x'])
        self.assertEqual(self.offers("send 'host:1"), ['host:1:x'])

    def test_topics_that_are_published_now(self):
        sender, done = self.receiver('sender'), threading.Event()

        def publish():
            while not done.wait(0.01):
                for topic in b'sensors/a', b'sensors/b', b'other':
                    assert sender.acked(PUBLISH, topic + b'\0x') == OK
        thread = threading.Thread(target=publish)
        thread.start()
        try:
            for line in 'listen sen', 'publish sen', 'listen other -x sen':
                self.assertEqual(self.offers(line), ['sensors/a', 'sensors/b'], line)
        finally:
            done.set()
            thread.join()

    def test_no_broker_offers_nothing(self):
        self.assertEqual(self.offers(f'-s {self.path}.none send ', broker=False), [])


if __name__ == '__main__':
    main()
