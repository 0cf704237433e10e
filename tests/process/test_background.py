# SPDX-License-Identifier: Apache-2.0
"""-D and -P: the parent's status is the truth, nothing of the terminal is kept, the pid file is right."""
import os
import select
import signal
import subprocess

from bus import BUSRTD, DEADLINE, TestCase, kill_if_there, main, run


class Background(TestCase):
    def start(self, *args, directory, **env):
        """-D: returns (status, output) of the process that was started, after its pipes have ended."""
        done = subprocess.run([BUSRTD, '-D', '-P', 'busrtd.pid', *args], cwd=directory, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=DEADLINE,
                              env={**os.environ, 'DISABLE_SYSLOG': '1', **env})
        return done.returncode, done.stdout

    def pid(self, directory):
        with open(directory + '/busrtd.pid') as file:
            pid = int(file.read())
        self.addCleanup(kill_if_there, pid)
        return pid

    def end(self, pid):
        fd = os.pidfd_open(pid)
        os.kill(pid, signal.SIGTERM)
        self.assertTrue(select.select([fd], [], [], DEADLINE)[0], 'it does not end')
        os.close(fd)

    def test_the_parent_ends_when_it_is_ready(self):
        directory = self.directory()
        self.assertEqual(self.start('-B', 'bus.sock', '-B', 'fifo:f', directory=directory), (0, ''))
        pid = self.pid(directory)
        self.assert_serves(directory + '/bus.sock')
        self.assertEqual(os.getsid(pid), pid)
        self.assertNotEqual(os.getsid(0), pid)
        for fd in range(3):
            self.assertEqual(os.readlink(f'/proc/{pid}/fd/{fd}'), '/dev/null')
        self.assertEqual(os.readlink(f'/proc/{pid}/cwd'), os.path.realpath(directory))
        self.end(pid)
        self.assertEqual(os.listdir(directory), [])

    def test_a_hangup_does_not_end_it(self):
        directory = self.directory()
        self.assertEqual(self.start('-B', 'bus.sock', directory=directory)[0], 0)
        pid = self.pid(directory)
        os.kill(pid, signal.SIGHUP)
        self.assert_serves(directory + '/bus.sock')
        self.end(pid)

    def test_what_fails_is_told_by_the_parent(self):
        directory = self.directory()
        status, text = self.start('-B', 'no/bus.sock', directory=directory)
        self.assertEqual(status, 1)
        self.assert_one_line(text, '^busrtd: cannot listen on no/bus.sock: its directory does not exist')
        self.assertEqual(os.listdir(directory), [])

    def test_a_broker_that_runs_already_is_told_by_the_parent(self):
        directory = self.directory()
        self.assertEqual(self.start('-B', 'bus.sock', directory=directory)[0], 0)
        pid = self.pid(directory)
        status, text = self.start('-B', 'bus.sock', directory=directory)
        self.assertEqual(status, 1)
        self.assert_one_line(text, 'listens there already')
        self.assertEqual(self.pid(directory), pid)
        self.end(pid)

    def test_mistakes_are_told_before(self):
        self.assertEqual(run('-D', '--nonsense')[0], 2)


class PidFile(TestCase):
    def test_it_holds_the_process_id_while_it_runs(self):
        broker = self.broker('-B', 'bus.sock', '-P', 'busrtd.pid')
        with open(broker.path('busrtd.pid')) as file:
            self.assertEqual(int(file.read()), broker.process.pid)
        self.assertEqual(os.stat(broker.path('busrtd.pid')).st_mode & 0o777, 0o644)
        self.assertEqual(broker.stop(), 0)
        self.assertFalse(os.path.exists(broker.path('busrtd.pid')))

    def test_a_stale_one_is_replaced(self):
        directory = self.directory()
        with open(directory + '/busrtd.pid', 'w') as file:
            file.write('1\n' * 1000)
        broker = self.broker('-B', 'bus.sock', '-P', 'busrtd.pid', directory=directory)
        with open(broker.path('busrtd.pid')) as file:
            self.assertEqual(file.read(), f'{broker.process.pid}\n')

    def test_what_is_no_file_is_not_replaced(self):
        broker = self.broker('-B', 'bus.sock', '-P', '/dev/null')
        self.assertEqual(broker.stop(), 0)
        self.assertTrue(os.path.exists('/dev/null') and not os.path.isfile('/dev/null'))


if __name__ == '__main__':
    main()
