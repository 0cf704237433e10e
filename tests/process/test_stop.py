# SPDX-License-Identifier: Apache-2.0
"""The end: announced, in order, with nothing left behind; and at once for those who insist."""
import os
import pty
import signal
import socket

from bus import MESSAGE, OK, PROCESSED, PUBLICATION, Client, TestCase, connect, main

LISTENERS = ('-B', 'bus.sock', '-B', 'other.ipc', '-B', 'fifo:bus.fifo', '-P', 'busrtd.pid')


class Stop(TestCase):
    def left(self, broker):
        return sorted(name for name in os.listdir(broker.dir) if not name.startswith('notify-'))

    def test_a_signal_ends_it_in_order(self):
        for number in signal.SIGTERM, signal.SIGINT:
            broker = self.broker(*LISTENERS)
            self.assertEqual(self.left(broker), ['bus.fifo', 'bus.sock', 'busrtd.pid', 'other.ipc'])
            clients = [self.connected(broker, f'c{i}') for i in range(3)]
            silent = connect(broker.path())  # in the middle of its handshake
            self.addCleanup(silent.close)
            broker.signal(number)
            for client in clients:
                kind, rest, sender = client.receive()
                topic, _, payload = rest.partition(b'\0')
                self.assertEqual((kind, sender, topic), (PUBLICATION, '.broker', b'.broker/warn'))
                self.assertIn(b'\xa1s\xa8shutdown', payload)
                self.assertRaises(EOFError, client.receive)
            self.assertEqual(broker.wait(), 0)
            self.assertEqual(self.left(broker), [])
            self.assertIn(f'got {number.name}: stopping', broker.log.read_all())

    def test_what_was_acknowledged_is_written_first(self):
        broker = self.broker('-B', 'bus.sock')
        sender, receiver = self.connected(broker, 'sender'), self.connected(broker, 'receiver')
        for i in range(1000):
            self.assertEqual(sender.acked(MESSAGE, b'receiver\0%d' % i), OK)
        broker.signal(signal.SIGTERM)
        self.assertEqual([int(receiver.receive()[1]) for _ in range(1000)], list(range(1000)))
        self.assertEqual(receiver.receive()[0], PUBLICATION)
        self.assertEqual(broker.wait(), 0)

    def test_a_second_signal_ends_it_at_once(self):
        broker = self.broker('-B', 'bus.sock', '-t', '1000')
        deaf, sender = self.connected(broker, 'deaf'), self.connected(broker, 'sender')
        # More than its socket holds, and it does not read: the first signal waits for it.
        for _ in range(30):
            self.assertEqual(sender.acked(MESSAGE, b'deaf\0' + b'x' * 100000), OK)
        broker.signal(signal.SIGTERM)
        self.assertEqual(sender.receive()[0], PUBLICATION)
        self.assertFalse(os.path.exists(broker.path()))
        self.assertIsNone(broker.process.poll())
        broker.signal(signal.SIGTERM)
        self.assertEqual(broker.wait(), -signal.SIGTERM)
        self.assertTrue(deaf)

    def test_files_of_others_are_not_removed(self):
        broker = self.broker(*LISTENERS)
        for name in 'bus.sock', 'bus.fifo', 'busrtd.pid':
            os.unlink(broker.path(name))
            with open(broker.path(name), 'w') as file:
                file.write('another\'s')
        self.assertEqual(broker.stop(), 0)
        self.assertEqual(self.left(broker), ['bus.fifo', 'bus.sock', 'busrtd.pid'])

    def test_files_that_are_gone_are_no_trouble(self):
        broker = self.broker(*LISTENERS)
        for name in self.left(broker):
            os.unlink(broker.path(name))
        self.assertEqual(broker.stop(), 0)

    def test_hangup_without_a_terminal_reloads(self):
        broker = self.broker('-B', 'bus.sock', '--config', '/dev/null')
        broker.signal(signal.SIGHUP)
        broker.log.wait_for('configuration reloaded: no setting has changed')
        self.assert_serves(broker.path())
        self.assertEqual(broker.stop(), 0)

    def test_hangup_of_its_terminal_ends_it_in_order(self):
        ours, its = pty.openpty()
        broker = self.broker(*LISTENERS, stdin=its)
        broker.signal(signal.SIGHUP)
        self.assertEqual(broker.wait(), 0)
        self.assertEqual(self.left(broker), [])
        os.close(ours)
        os.close(its)

    def test_nohup_is_respected(self):
        ours, its = pty.openpty()
        broker = self.broker('-B', 'bus.sock', stdin=its,
                             preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        broker.signal(signal.SIGHUP)
        self.assert_serves(broker.path())
        self.assertEqual(broker.stop(), 0)
        self.assertNotIn('SIGHUP', broker.log.text)
        os.close(ours)
        os.close(its)

    def test_it_starts_again_at_once(self):
        directory = self.directory()
        broker = self.broker('-B', 'bus.sock', '-B', '127.0.0.1:0', directory=directory)
        port = int(broker.log.wait_for(r'127\.0\.0\.1:(\d+)').group(1))
        client = self.connected(broker, 'c', ('127.0.0.1', port))
        broker.signal(signal.SIGTERM)
        self.assertEqual(client.receive()[0], PUBLICATION)
        self.assertRaises(EOFError, client.receive)
        client.close()
        self.assertEqual(broker.wait(), 0)  # its side closed first: the port is in TIME_WAIT
        again = self.broker('-B', 'bus.sock', '-B', f'127.0.0.1:{port}', directory=directory)
        self.assert_serves(('127.0.0.1', port))
        again.stop()

    def test_a_peer_that_vanished_is_no_trouble(self):
        broker = self.broker('-B', 'bus.sock')
        client = Client(broker.path(), 'c')
        client.send(MESSAGE, b'c\0x' * 100, PROCESSED)
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
        client.close()
        self.assert_serves(broker.path())
        self.assertEqual(broker.stop(), 0)


if __name__ == '__main__':
    main()
