# SPDX-License-Identifier: Apache-2.0
"""What systemd would do, done by the test: sockets passed by number and name, and the notifications listened to."""
import os
import signal
import socket
import stat

from bus import Broker, DEADLINE, MESSAGE, OK, TestCase, main


class Systemd(TestCase):
    def listening(self, family=socket.AF_UNIX, where=None, kind=socket.SOCK_STREAM, listen=True):
        """A socket as a socket unit makes it: blocking, listening."""
        s = socket.socket(family, kind)
        self.addCleanup(s.close)
        s.bind(where or self.directory() + '/passed.sock')
        if listen:
            s.listen(10)
        return s

    def fifo(self, path):
        os.mkfifo(path, 0o600)
        fd = os.open(path, os.O_RDWR)
        self.addCleanup(os.close, fd)
        return fd

    def refused(self, s, name, says):
        broker = self.broker('-B', 'bus.sock', sockets=[s], names=[name], wait=False)
        self.assertEqual(broker.wait(), 1)
        self.assert_one_line(broker.log.read_all(), says)
        self.assertEqual([n for n in os.listdir(broker.dir) if 'sock' in n], [])

    def test_passed_sockets_are_served(self):
        unix = self.listening()
        tcp = self.listening(socket.AF_INET, ('127.0.0.1', 0))
        broker = self.broker(sockets=[unix, tcp], names=['busrtd.socket', 'busrtd-tcp.socket'])
        broker.log.wait_for(r'listening on \S+/passed.sock \(UNIX, mode 0\d+, from systemd\)')
        broker.log.wait_for(r'listening on 127.0.0.1:%d \(TCP, from systemd\)' % tcp.getsockname()[1])
        self.assert_serves(unix.getsockname())
        self.assert_serves(tcp.getsockname())
        self.assertEqual(broker.stop(), 0)
        self.assertTrue(stat.S_ISSOCK(os.stat(unix.getsockname()).st_mode), 'it is the socket unit\'s to remove')

    def test_a_blocking_socket_does_not_hold_it_up(self):
        unix = self.listening()
        broker = self.broker(sockets=[unix])
        self.assertFalse(unix.getblocking() and os.get_blocking(unix.fileno()))
        self.assert_serves(unix.getsockname())
        broker.stop()

    def test_a_manager_that_reads_nothing_holds_up_nothing(self):
        """Its socket is full: clients are served, reloads done and told later, and the end comes all the same."""
        broker = self.broker('-B', 'bus.sock')
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as filler:
            filler.setblocking(False)
            filler.connect(broker.notify.path)
            with self.assertRaises(BlockingIOError):
                while True:
                    filler.send(b'X=1')
        for i in range(3):
            broker.signal(signal.SIGHUP)
            broker.log.wait_for('configuration reloaded', i + 1)
            self.assert_serves(broker.path(), f'c{i}')
        broker.notify.seen.clear()
        self.assertTrue(broker.notify.wait_for('RELOADING=1', broker.ended))
        self.assertTrue(broker.notify.wait_for('READY=1', broker.ended))
        self.assertEqual(broker.stop(), 0)

    def test_a_passed_fifo_is_read(self):
        path = self.directory() + '/passed.fifo'
        unix, fifo = self.listening(), self.fifo(path)
        broker = self.broker(sockets=[unix, fifo], names=['a', 'b'])
        broker.log.wait_for(rf'reading {path} \(FIFO, mode 0600, from systemd\)')
        client = self.connected(broker, 'c', unix.getsockname())
        with open(path, 'w') as file:
            file.write('c hello\n')
        self.assertEqual(client.receive()[1], b'hello')
        self.assertEqual(broker.stop(), 0)
        self.assertTrue(os.path.exists(path))

    def test_passed_and_named_listeners_go_together(self):
        unix = self.listening()
        broker = self.broker('-B', 'bus.sock', sockets=[unix])
        self.assert_serves(unix.getsockname())
        self.assert_serves(broker.path())
        broker.stop()
        self.assertFalse(os.path.exists(broker.path()))
        self.assertTrue(os.path.exists(unix.getsockname()))

    def test_a_socket_that_somebody_shuts_down_is_told_once_and_costs_nobody_else(self):
        for how in socket.SHUT_RDWR, socket.SHUT_RD:
            sockets = [self.listening(), self.listening(socket.AF_INET, ('127.0.0.1', 0)), self.listening()]
            broker = self.broker(sockets=sockets, names=['a', 'b', 'c'])
            client = self.connected(broker, 'c', sockets[0].getsockname())
            for s in sockets[:2]:
                s.shutdown(how)
            broker.log.wait_for('nobody can come in on .* any more: it does not listen any more; restart the broker', 2)
            self.assert_serves(sockets[2].getsockname())
            self.assertEqual(client.acked(MESSAGE, b'c\0hello'), OK)
            self.assertEqual(broker.stop(), 0)
            self.assertEqual(broker.log.text.count('nobody can come in'), 2)

    def test_what_is_no_listener_is_refused_by_name(self):
        says = r'^busrtd: what systemd passed as "%s" is neither a listening UNIX or TCP stream socket nor a FIFO\n'
        self.refused(self.listening(kind=socket.SOCK_DGRAM, listen=False), 'datagrams', says % 'datagrams')
        self.refused(self.listening(kind=socket.SOCK_SEQPACKET), 'packets', says % 'packets')
        self.refused(self.listening(listen=False), 'deaf', says % 'deaf')
        self.refused(self.listening(socket.AF_INET, ('127.0.0.1', 0), socket.SOCK_DGRAM, False), 'udp', says % 'udp')
        one, other = socket.socketpair()
        self.addCleanup(other.close)
        self.addCleanup(one.close)
        self.refused(one, 'connected', says % 'connected')
        with open('/dev/null') as null:
            self.refused(null.fileno(), 'null', says % 'null')

    def test_sockets_for_another_process_are_not_taken(self):
        env = {'LISTEN_FDS': '1', 'LISTEN_PID': '1', 'XDG_RUNTIME_DIR': self.directory()}
        broker = self.broker(env=env)
        broker.log.wait_for('no listener was given')

    def test_states_are_notified(self):
        broker = self.broker('-B', 'bus.sock', '-B', '127.0.0.1:0')
        self.assertIn('STATUS=Serving on 2 listeners', broker.notify.seen)
        self.assert_serves(broker.path())
        self.assertEqual(broker.stop(), 0)
        self.assertTrue(broker.notify.wait_for('STOPPING=1', broker.ended))

    def test_a_failed_start_is_never_ready(self):
        broker = self.broker('-B', '/nonexistent/bus.sock', wait=False)
        self.assertFalse(broker.notify.wait_for('READY=1', broker.ended))
        self.assertEqual(broker.wait(), 1)

    def test_a_service_manager_that_reads_nothing_is_no_trouble(self):
        path = self.directory() + '/gone'
        broker = Broker('-B', 'bus.sock', env={'NOTIFY_SOCKET': path}, wait=False)
        self.addCleanup(broker.close)
        broker.log.wait_for('limits: ')
        self.assert_serves(broker.path())
        self.assertEqual(broker.stop(), 0, DEADLINE)


if __name__ == '__main__':
    main()
