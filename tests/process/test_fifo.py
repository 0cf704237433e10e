# SPDX-License-Identifier: Apache-2.0
"""FIFOs as shell scripts use them. What a line means is compared with the reference elsewhere; here is what is ours:
at once, whole, bounded."""
import os
import subprocess
import threading

from bus import MESSAGE, OK, PUBLICATION, SUBSCRIBE, TestCase, main


class Fifo(TestCase):
    def start(self, *args):
        broker = self.broker('-B', 'bus.sock', '-B', 'fifo:bus.fifo', *args)
        return broker, self.connected(broker, 'c')

    def write(self, broker, data):
        with open(broker.path('bus.fifo'), 'wb', buffering=0) as fifo:
            view = memoryview(data if isinstance(data, bytes) else data.encode())
            while view:
                view = view[fifo.write(view):]

    def test_scripts_send(self):
        broker, client = self.start()
        client.acked(SUBSCRIBE, b't')
        subprocess.run(['sh', '-c', 'echo c hello world > bus.fifo; echo "=t news" > bus.fifo; echo "c .note" > bus.fifo;'
                        'echo c :method k=1 > bus.fifo; printf "c crlf\\r\\n" > bus.fifo'], cwd=broker.dir, check=True)
        got = [client.receive() for _ in range(5)]
        self.assertEqual(got, [(MESSAGE, b'hello world', '.broker'), (PUBLICATION, b't\0news', '.broker'),
                               (MESSAGE, b'\0note', '.broker'), (MESSAGE, b'\1\0\0\0\0method\0\x81\xa1k\1', '.broker'),
                               (MESSAGE, b'crlf', '.broker')])

    def test_the_last_line_needs_no_newline(self):
        broker, client = self.start()
        for i in range(20):
            subprocess.run(['sh', '-c', f'printf "c number {i}" > bus.fifo'], cwd=broker.dir, check=True)
            self.assertEqual(client.receive()[1], b'number %d' % i)

    def test_a_line_may_come_in_pieces(self):
        broker, client = self.start()
        with open(broker.path('bus.fifo'), 'wb', buffering=0) as fifo:
            for piece in b'c in', b' three pieces', b'\nc next\nc an', b'd last\n':
                fifo.write(piece)
        self.assertEqual([client.receive()[1] for _ in range(3)], [b'in three pieces', b'next', b'and last'])

    def test_bad_lines_are_told_and_harm_nobody(self):
        broker, client = self.start()
        for line, says in (('c', 'no message after the target'), ('=t', 'no message after the topic'),
                           ('c :m k', "a parameter without '='"), (b'c \xff', 'it is not UTF-8'),
                           (b'=a\0b x', 'a NUL in a name'), ('=' + 'a/' * 200 + ' x', 'too many parts'),
                           ('=' + 'a' * 5000 + ' x', 'too long')):
            line = line.encode() if isinstance(line, str) else line
            self.write(broker, line + b'\nc still\n')
            self.assertEqual(client.receive()[1], b'still')
            broker.log.wait_for('a line of FIFO bus.fifo was dropped: .*' + says)

    def test_bad_lines_do_not_fill_the_log(self):
        broker, client = self.start()
        self.write(broker, 'bad\n' * 5000 + 'c still\n')
        self.assertEqual(client.receive()[1], b'still')
        broker.log.wait_for('was dropped')
        self.assertEqual(broker.stop(), 0)
        self.assertEqual(broker.log.text.count('was dropped'), 10)

    def test_lines_up_to_64_kib_go_through(self):
        broker, client = self.start()
        for length in (65536, 65535, 4096):
            self.write(broker, 'c ' + 'x' * (length - 2) + '\n')
            self.assertEqual(client.receive()[1], b'x' * (length - 2))
        self.write(broker, 'c ' + 'x' * 65535 + '\nc still\n')
        self.assertEqual(client.receive()[1], b'still')
        self.write(broker, b'c ' + b'x' * 1000000 + b'\nc still\n')
        self.assertEqual(client.receive()[1], b'still')
        self.write(broker, b'c ' + b'x' * 1000000)
        self.write(broker, 'c still\n')
        self.assertEqual(broker.log.wait_for('dropped: it is longer than 64 KiB', count=3).group(0)[-6:], '64 KiB')

    def test_many_lines_come_in_order_and_whole(self):
        n = 30000
        broker, client = self.start('--queue-size', str(2 * n))
        writer = threading.Thread(target=self.write, args=(broker, ''.join(f'c {i}\n' for i in range(n))))
        writer.start()
        self.assertEqual([int(client.receive()[1]) for _ in range(n)], list(range(n)))
        writer.join()

    def test_a_flood_does_not_hold_up_clients_or_fill_memory(self):
        broker, client = self.start()
        stop = threading.Event()

        def flood():
            with open(broker.path('bus.fifo'), 'wb') as fifo:
                while not stop.is_set():
                    fifo.write(b'nobody message\n' * 1000)
        writer = threading.Thread(target=flood)
        writer.start()
        try:
            for _ in range(300):
                self.assertEqual(client.acked(MESSAGE, b'c\0hello'), OK)
            with open(f'/proc/{broker.process.pid}/status') as file:
                resident = next(int(line.split()[1]) for line in file if line.startswith('VmRSS'))
        finally:
            stop.set()
            writer.join()
        if os.environ.get('SANITIZED') != 'yes':
            self.assertLess(resident, 64 << 10)
        self.assertEqual(broker.stop(), 0)


if __name__ == '__main__':
    main()
