# SPDX-License-Identifier: Apache-2.0
"""Sockets made by busrtd itself: their modes, what is there already, and the default."""
import os
import re
import socket
import stat
import subprocess

from bus import BUSRTD, MESSAGE, OK, TestCase, connect, has_ipv6, main, run


def port_of(broker, host=r'127\.0\.0\.1'):
    return int(broker.log.wait_for(rf'listening on \[?{host}\]?:(\d+)').group(1))


class Listen(TestCase):
    def failed(self, *args, says, **options):
        status, out, err = run(*args, **options)
        self.assertEqual((status, out), (1, ''), err)
        self.assert_one_line(err, '^busrtd: .*' + says)

    def test_unix_sockets_have_the_mode_that_the_umask_leaves(self):
        for mask in 0o022, 0o077, 0o000:
            broker = self.broker('-B', 'bus.sock', umask=mask)
            self.assertEqual(stat.S_IMODE(os.stat(broker.path()).st_mode), 0o777 & ~mask)
            broker.stop()

    def test_tcp_and_ipv6(self):
        broker = self.broker('-B', '127.0.0.1:0', '-B', 'localhost:0')
        self.assert_serves(('127.0.0.1', port_of(broker)))
        if has_ipv6():
            broker = self.broker('-B', '[::1]:0')
            self.assert_serves(('::1', port_of(broker, '::1')))

    def test_a_socket_in_use_is_not_taken(self):
        broker = self.broker('-B', 'bus.sock')
        before = os.stat(broker.path())
        self.failed('-B', broker.path(), says='cannot listen on .*bus.sock: a program listens there already')
        self.assertEqual(os.stat(broker.path()).st_ino, before.st_ino)
        self.assert_serves(broker.path())

    def test_a_port_in_use_is_refused(self):
        port = port_of(self.broker('-B', '127.0.0.1:0'))
        self.failed('-B', f'127.0.0.1:{port}', says='Address already in use')

    def test_a_stale_socket_is_replaced(self):
        directory = self.directory()
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(directory + '/bus.sock')
            dead.listen()
        broker = self.broker('-B', 'bus.sock', directory=directory)
        self.assert_serves(broker.path())

    def test_the_socket_of_a_killed_broker_is_replaced(self):
        directory = self.directory()
        broker = self.broker('-B', 'bus.sock', '-B', 'fifo:bus.fifo', directory=directory)
        broker.process.kill()
        broker.wait()
        self.assertTrue(os.path.exists(broker.path()))
        again = self.broker('-B', 'bus.sock', '-B', 'fifo:bus.fifo', directory=directory)
        self.assert_serves(again.path())

    def test_other_files_are_left_alone(self):
        path = self.directory() + '/file.sock'
        with open(path, 'w') as file:
            file.write('precious')
        self.failed('-B', path, says='not a socket')
        self.failed('-B', 'fifo:' + path, says='cannot make FIFO .*not a FIFO')
        with open(path) as file:
            self.assertEqual(file.read(), 'precious')

    def test_what_cannot_be_bound_is_one_line(self):
        directory = self.directory()
        self.failed('-B', directory + '/no/bus.sock', says='its directory does not exist')
        self.failed('-B', 'fifo:' + directory + '/no/f', says='its directory does not exist')
        self.failed('-B', '/' + 'x' * 120, says='107 bytes')
        self.failed('-B', '192.0.2.1:1', says='Cannot assign requested address')
        self.failed('-P', directory + '/no/pid', '-B', directory + '/a.sock', says='cannot write pid file')
        self.assertEqual(os.listdir(directory), [])

    def test_one_bad_address_of_many_leaves_nothing_behind(self):
        directory = self.directory()
        self.failed('-B', directory + '/a.sock', '-B', 'fifo:' + directory + '/f', '-B', '192.0.2.1:1', says='192.0.2.1')
        self.assertEqual(os.listdir(directory), [])

    def test_without_a_listener_it_takes_the_user_s_and_says_so(self):
        directory = self.directory()
        broker = self.broker(env={'XDG_RUNTIME_DIR': directory}, umask=0o000)
        path = directory + '/busrt/bus.sock'
        broker.log.wait_for('no listener was given .-B.: taking ' + re.escape(path))
        self.assertEqual(stat.S_IMODE(os.stat(directory + '/busrt').st_mode), 0o700)
        self.assert_serves(path)
        self.failed(says='listens there already', env={'XDG_RUNTIME_DIR': directory})
        broker.stop()
        again = self.broker(env={'XDG_RUNTIME_DIR': directory})
        self.assert_serves(path)
        again.stop()

    def test_without_a_listener_and_a_runtime_directory_it_asks_for_one(self):
        # The program may lie where another user may not look: it is run through a descriptor.
        program = os.open(BUSRTD, os.O_RDONLY)
        user = {'user': 65534, 'group': 65534, 'extra_groups': []} if os.geteuid() == 0 else {}
        env = {key: value for key, value in os.environ.items() if key != 'XDG_RUNTIME_DIR'}
        done = subprocess.run([f'/proc/self/fd/{program}'], pass_fds=[program], env=env, capture_output=True, text=True,
                              cwd='/', **user)
        os.close(program)
        self.assertEqual(done.returncode, 1)
        self.assert_one_line(done.stderr, '^busrtd: no listener was given, and XDG_RUNTIME_DIR is not set: say -B ADDRESS')

    def test_clients_of_every_listener_meet(self):
        broker = self.broker('-B', 'bus.sock', '-B', 'other.ipc', '-B', '127.0.0.1:0')
        ends = [self.connected(broker, f'c{i}', where) for i, where in
                enumerate((broker.path(), broker.path('other.ipc'), ('127.0.0.1', port_of(broker))))]
        for i, end in enumerate(ends):
            self.assertEqual(end.acked(MESSAGE, b'c%d\0hello from %d' % ((i + 1) % 3, i)), OK)
        for i, end in enumerate(ends):
            self.assertEqual(end.heard or [end.receive()[1]], [b'hello from %d' % ((i + 2) % 3)])

    def test_a_thousand_connections_at_once_are_all_served(self):
        broker = self.broker('-B', 'bus.sock')
        waiting = [connect(broker.path()) for _ in range(1000)]
        for s in waiting:
            self.assertEqual(s.recv(3), b'\xeb\x01\x00')
            s.close()
        self.assert_serves(broker.path())


if __name__ == '__main__':
    main()
