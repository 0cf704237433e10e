# SPDX-License-Identifier: Apache-2.0
"""The log: it never makes the bus wait, nobody fills it, and nothing in it harms who reads it."""
import os
import pty
import struct

from bus import GREETING, MESSAGE, OK, TestCase, connect, main


def handshake(where, name):
    """A connection that asks for a name: (connection, answer)."""
    s = connect(where)
    s.sendall(GREETING + struct.pack('<H', len(name)) + name)
    answer = b''
    while len(answer) < 5:
        data = s.recv(5 - len(answer))
        if not data:
            break
        answer += data
    return s, answer[4]


def ask_for(where, name):
    s, answer = handshake(where, name)
    s.close()
    return answer


class Log(TestCase):
    def bad_frame(self, broker, name):
        """A client that breaks the protocol and is disconnected."""
        client = broker.client(name)
        client.send(0x3e, b'nonsense')
        self.assertRaises(EOFError, client.receive)
        client.close()

    def test_traffic_goes_on_while_nobody_reads_the_log(self):
        broker = self.broker('-B', 'bus.sock', '--verbose')
        client = self.connected(broker, 'c')
        for i in range(3000):  # three records each: some hundred KiB more than pipe and ring hold
            self.bad_frame(broker, f'bad{i}')
            if i % 100 == 0:
                self.assertEqual(client.acked(MESSAGE, b'c\0hello'), OK)
        lost = int(broker.log.wait_for(r'(\d+) log records were lost').group(1))
        self.assertGreater(lost, 0)
        self.assertEqual(client.acked(MESSAGE, b'c\0hello'), OK)
        self.assertEqual(broker.stop(), 0)

    def test_a_log_that_nobody_reads_does_not_hold_up_the_end(self):
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        try:
            while os.write(writer, b'x' * 4096):
                pass
        except BlockingIOError:
            os.set_blocking(writer, True)
        broker = self.broker('-B', 'bus.sock', stderr=writer)
        self.assert_serves(broker.path())
        self.assertEqual(broker.stop(), 0)
        os.close(reader)
        os.close(writer)

    def test_a_log_whose_reader_is_gone_is_no_trouble(self):
        reader, writer = os.pipe()
        os.close(reader)
        broker = self.broker('-B', 'bus.sock', stderr=writer)
        os.close(writer)
        self.bad_frame(broker, 'bad')
        self.assert_serves(broker.path())
        self.assertEqual(broker.stop(), 0)

    def test_without_any_descriptors_it_starts_too(self):
        def close_all():
            for fd in range(3):
                os.close(fd)
        broker = self.broker('-B', 'bus.sock', stderr=False, stdin=None, preexec_fn=close_all)
        for fd in range(3):  # and nothing else than that becomes stderr
            self.assertEqual(os.readlink(f'/proc/{broker.process.pid}/fd/{fd}'), '/dev/null')
        self.bad_frame(broker, 'bad')
        self.assert_serves(broker.path())
        self.assertEqual(broker.stop(), 0)

    def test_one_client_has_ten_records_and_a_summary(self):
        broker = self.broker('-B', 'bus.sock')
        for _ in range(50):
            self.bad_frame(broker, 'noisy')
        self.bad_frame(broker, 'other')
        broker.log.wait_for('client "other"')
        self.assertEqual(broker.log.drain().count('client "noisy" ('), 10)
        broker.log.wait_for(r'client "noisy" of user \d+: 40 more records in 10 s, not shown')

    def test_one_user_has_a_hundred_records_under_any_names(self):
        broker = self.broker('-B', 'bus.sock')
        for i in range(300):
            self.bad_frame(broker, f'bad{i}')
        broker.log.wait_for(r'  user \d+: 200 more records in 10 s, not shown')
        self.assertEqual(broker.log.text.count('bad frame'), 100)

    def test_names_cannot_disturb_the_reader(self):
        broker = self.broker('-B', 'bus.sock')
        for name in (b'.esc\033[2J', b'.nl\nsecond line', b'.nul\0x', b'.\xff\xfe', '.right\u202eleft'.encode(), b'.' * 2000,
                     '.привет'.encode()):
            self.assertEqual(ask_for(broker.path(), name), 0x72)
        broker.log.wait_for('привет')
        self.assertEqual(broker.stop(), 0)
        for char in '\033\0\u202e\ufffd':
            self.assertNotIn(char, broker.log.text)
        self.assertNotRegex(broker.log.text, '(?m)^second line')

    def test_who_what_and_why_are_told(self):
        broker = self.broker('-B', 'bus.sock')
        who = rf'\(user {os.getuid()}, process {os.getpid()}\)'
        first = self.connected(broker, 'plc.1')
        self.assertEqual(ask_for(broker.path(), b'plc.1'), 0x76)
        broker.log.wait_for(rf'client "plc.1" {who} refused: the name is taken')
        self.bad_frame(broker, 'bad')
        broker.log.wait_for(rf'client "bad" {who} disconnected: bad frame: \w+')
        with connect(broker.path()) as s:
            s.sendall(b'GET / HTTP/1.1\r\n\r\n')
            while s.recv(100):
                pass
        broker.log.wait_for(rf'a client without a name {who} refused: not the BUS/RT protocol')
        self.assertTrue(first)

    def test_clients_that_come_and_go_are_told_with_verbose_alone(self):
        for verbose in False, True:
            broker = self.broker('-B', 'bus.sock', *(['--verbose'] if verbose else []))
            broker.client('plc.1').close()
            self.bad_frame(broker, 'bad')
            broker.log.wait_for('bad frame')
            self.assertEqual(broker.stop(), 0)
            self.assertEqual('client "plc.1"' in broker.log.text, verbose)

    def test_a_terminal_gets_colours_and_a_service_priorities(self):
        ours, its = pty.openpty()
        broker = self.broker('-B', 'bus.sock', stderr=its, env={'TERM': 'xterm', 'NO_COLOR': ''})
        os.close(its)
        self.bad_frame(broker, 'bad')
        text = b''
        while b'bad frame' not in text:
            text += os.read(ours, 4096)
        self.assertRegex(text, rb'\033\[33m\S+  client "bad"')
        broker.stop()
        os.close(ours)
        broker = self.broker('-B', 'bus.sock', env={'INVOCATION_ID': '0' * 32})
        self.bad_frame(broker, 'bad')
        broker.log.wait_for('(?m)^<6>listening on')
        broker.log.wait_for('(?m)^<4>client "bad"')


if __name__ == '__main__':
    main()
