# SPDX-License-Identifier: Apache-2.0
"""A D-Bus of the test's own, busctl as its client, and the parts that busctl cannot play (dbus-helper)."""
import json
import os
import shutil
import signal
import subprocess
import tempfile

from bus import DEADLINE, Reader, TestCase, Client

HELPER = os.environ.get('DBUS_HELPER', 'dbus-helper')
NAME, MANAGER, CLIENT = 'org.busrt1', 'org.busrt1.Manager', 'org.busrt1.Client'
PATH, LOG_PATH, LOG_CONTROL = '/org/busrt1', '/org/freedesktop/LogControl1', 'org.freedesktop.LogControl1'
SOURCE = os.environ.get('SOURCE', os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
STRANGER = 65534  # a user who is neither root nor the broker
AS_STRANGER = ('setpriv', f'--reuid={STRANGER}', f'--regid={STRANGER}', '--clear-groups')
NEEDED = ('dbus-daemon', 'busctl')
MISSING = [program for program in NEEDED if not shutil.which(program)]

CONFIG = """<busconfig>
  <type>session</type>
  <listen>unix:path={path}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*" eavesdrop="true"/>
    <allow receive_sender="*" eavesdrop="true"/>
  </policy>
</busconfig>
"""


class Helper:
    """A process whose lines can be waited for."""

    def __init__(self, argv, env):
        self.process = subprocess.Popen(argv, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.out = Reader(self.process.stdout.fileno())
        self.wait_for = self.out.wait_for

    def tell(self, line):
        self.process.stdin.write(line.encode() + b'\n')
        self.process.stdin.flush()

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def stop(self):
        """Ends it in order."""
        self.process.stdin.close()
        return self.process.wait(DEADLINE)


class DBus:
    """A daemon, which can be stopped and started again."""

    def __init__(self, config=CONFIG):
        self.dir = tempfile.mkdtemp(prefix='busrt-dbus-')
        os.chmod(self.dir, 0o755)
        self.path = os.path.join(self.dir, 'bus')
        self.address = f'unix:path={self.path}'
        self.config = os.path.join(self.dir, 'bus.conf')
        with open(self.config, 'w', encoding='utf-8') as file:
            file.write(config.format(path=self.path))
        self.process = None
        self.start()

    def program(self, path):
        """A copy that any user may run."""
        return shutil.copy(path, self.dir)

    def start(self):
        reader, writer = os.pipe()
        self.process = subprocess.Popen(['dbus-daemon', f'--config-file={self.config}', '--nofork', '--nopidfile',
                                         '--nosyslog', f'--print-address={writer}'], pass_fds=[writer],
                                        stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(writer)
        try:
            Reader(reader).wait_for('unix:path')
        finally:
            os.close(reader)

    def stop(self):
        self.process.kill()
        self.process.wait()

    def freeze(self):
        """It is there, and does nothing, until thaw()."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def close(self):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)


class DBusCase(TestCase):
    MODE = 'user'

    def setUp(self):
        if MISSING:
            self.skipTest(f'{" and ".join(MISSING)} missing')
        self.helpers = []
        self.dbus = DBus()
        self.addCleanup(self.dbus.close)
        self.helper_program = self.dbus.program(HELPER)
        self.env = {'DBUS_SESSION_BUS_ADDRESS': self.dbus.address, 'DBUS_SYSTEM_BUS_ADDRESS': self.dbus.address}

    def managed(self, *args, **options):
        """A broker that has taken its name."""
        broker = self.broker('-B', 'bus.sock', f'--dbus={self.MODE}', *args, env=self.env, **options)
        broker.log.wait_for('managed on D-Bus as org.busrt1')
        return broker

    def helper(self, *args, before=()):
        helper = Helper([*before, self.helper_program, *args], {**os.environ, **self.env})
        self.helpers.append((args, helper))
        self.addCleanup(helper.close)
        return helper

    def tearDown(self):
        """What the helpers have said, for the reader of a failure."""
        if not self._outcome.success:
            for args, helper in self.helpers[-3:]:
                print(f'{" ".join(args)}: {helper.out.drain()!r}')

    def subscriber(self):
        subscriber = self.helper('subscriber')
        subscriber.wait_for('Subscribe done')
        return subscriber

    def start_busctl(self, *args, before=()):
        return subprocess.Popen([*before, 'busctl', f'--address={self.dbus.address}', '--json=short', *args],
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                env={**os.environ, 'LC_ALL': 'C'})

    def busctl(self, *args, before=()):
        """(status, what it printed as a value, its complaint)"""
        process = self.start_busctl(*args, before=before)
        out, err = process.communicate(timeout=DEADLINE)
        return process.returncode, json.loads(out) if out.startswith('{') else out, err

    def call_at(self, path, interface, member, *args, before=(), interactive=False):
        """The values of the answer."""
        status, answer, err = self.busctl(f'--allow-interactive-authorization={"yes" if interactive else "no"}', 'call', NAME,
                                          path, interface, member, *args, before=before)
        self.assertEqual((status, err), (0, ''), member)
        return answer['data'] if answer else None

    def call(self, member, *args, **options):
        return self.call_at(PATH, MANAGER, member, *args, **options)

    def refused_at(self, path, interface, member, *args, before=(), interactive=False):
        """The complaint."""
        status, _, err = self.busctl(f'--allow-interactive-authorization={"yes" if interactive else "no"}', 'call', NAME, path,
                                     interface, member, *args, before=before)
        self.assertNotEqual(status, 0, member)
        return err

    def refused(self, member, *args, **options):
        return self.refused_at(PATH, MANAGER, member, *args, **options)

    def error(self, member, *args, path=PATH, interface=MANAGER, before=()):
        """The name of the error and its text; busctl prints only that."""
        said = self.run_helper('call', path, interface, member, *args, before=before)
        self.assertTrue(said.startswith('error '), said)
        name, _, text = said[len('error '):].strip().partition(': ')
        return name, text

    def run_helper(self, *args, before=()):
        """What it said, at its end."""
        return subprocess.run([*before, self.helper_program, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              text=True, timeout=DEADLINE, env={**os.environ, **self.env}).stdout

    def get(self, name, path=PATH, interface=MANAGER, before=()):
        status, answer, err = self.busctl('get-property', NAME, path, interface, name, before=before)
        self.assertEqual((status, err), (0, ''), name)
        return answer['data']

    def get_all(self, path=PATH, interface=MANAGER):
        return {name: value['data']
                for name, value in self.call_at(path, 'org.freedesktop.DBus.Properties', 'GetAll', 's', interface)[0].items()}

    def set_log(self, name, value, before=()):
        return self.busctl('set-property', NAME, LOG_PATH, LOG_CONTROL, name, 's', value, before=before)


__all__ = ['AS_STRANGER', 'CONFIG', 'CLIENT', 'Client', 'DBus', 'DBusCase', 'LOG_CONTROL', 'LOG_PATH', 'MANAGER', 'NAME', 'PATH', 'SOURCE',
           'STRANGER']
