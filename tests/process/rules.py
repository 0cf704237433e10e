# SPDX-License-Identifier: Apache-2.0
"""Access rules in a file of the test's own, and a broker that has them."""
import os
import signal

from bus import TestCase, ask_for, connect, has_ipv6

DENIED = 0x79
PUBLISH_FOR, EXCLUDE = 0x06, 0x04
ME = os.getuid()


def answer(where, name):
    """The code that whoever connects and asks for that name gets."""
    with connect(where) as s:
        return ask_for(s, name)


class RulesCase(TestCase):
    def setUp(self):
        self.dir = self.directory()
        os.chmod(self.dir, 0o755)
        self.file = self.dir + '/b.conf'
        self.rules_file = self.file + '.access.d/10.conf'
        os.mkdir(self.file + '.access.d')
        self.write_config('')
        self.reloads = 0

    def write_config(self, text):
        with open(self.file, 'w') as file:
            file.write('[Bus]\nListen=bus.sock\n' + text)

    def write_rules(self, text, name='10.conf'):
        """Whole at once: a reload may be on its way, and half a file is other rules."""
        path = self.file + '.access.d/' + name
        with open(path + '.new', 'w') as file:
            file.write(text)
        os.rename(path + '.new', path)

    def start(self, *args):
        broker = self.broker('--config', self.file, '-B', 'bus.sock', '-B', '127.0.0.1:0', *(('-B', '[::1]:0') if has_ipv6() else ()), *args)
        os.chmod(broker.dir, 0o755)
        os.chmod(broker.path(), 0o777)
        self.where = {'unix': broker.path(), 'v4': ('127.0.0.1', self.port(broker, r'127\.0\.0\.1'))}
        if has_ipv6():
            self.where['v6'] = ('::1', self.port(broker, r'\[::1\]'))
        return broker

    def port(self, broker, host):
        return int(broker.log.wait_for(r'listening on %s:(\d+)' % host).group(1))

    def reload(self, broker):
        """The line that tells what came of it."""
        self.reloads += 1
        broker.signal(signal.SIGHUP)
        broker.notify.drain()
        return broker.log.wait_for(r'configuration (not )?reloaded[^\n]*', count=self.reloads).group(0)
