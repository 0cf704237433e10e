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
        self.assertEqual(self.offers(''), ['listen', 'send', 'broadcast', 'publish', 'rpc', 'clients', 'stats', 'info',
                                           'ping'])
        self.assertEqual(self.offers('p'), ['publish', 'ping'])
        self.assertEqual(self.offers('rpc '), ['call', 'call0', 'notify', 'listen'])

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
        self.assertEqual(self.offers('publish --rate '), [])
        self.assertEqual(self.offers('-s ' + self.path[:-2], broker=False), [self.path])

    def test_clients_that_are_there(self):
        self.receiver('plc.1')
        self.receiver('plc.2')
        for verb in 'send', 'broadcast', 'ping', 'clients', 'rpc call', 'rpc call0', 'rpc notify', 'publish t --for':
            self.assertEqual(self.offers(f'{verb} pl'), ['plc.1', 'plc.2'], verb)
        self.assertEqual(self.offers('send '), ['.broker', 'plc.1', 'plc.2'])
        self.assertEqual(self.offers('send plc.1 pl'), [])
        self.assertEqual(self.offers('rpc call .broker i'), ['info'])

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
