# SPDX-License-Identifier: Apache-2.0
"""SIGHUP, as `systemctl reload` has it: each key takes effect for clients that are there, or is told to wait for the
next start; a configuration that is wrong changes nothing; a storm of reloads under load costs no message."""
import os
import signal
import threading
import time

from bus import DEADLINE, MESSAGE, OK, SUBSCRIBE, TestCase, connect, main

DATA, NOT_DELIVERED, ACCESS = 0x72, 0x77, 0x79
STORM = 600  # reloads


class Reload(TestCase):
    def setUp(self):
        self.file = self.directory() + '/b.conf'
        self.reloads = 0

    def configure(self, *lines):
        """The file is replaced in one go: a broker that reads it meanwhile finds the old one or the new one."""
        with open(self.file + '.new', 'w') as file:
            file.write('[Bus]\n' + ''.join(line + '\n' for line in lines))
        os.rename(self.file + '.new', self.file)

    def start(self, *lines, **options):
        self.configure(*lines)
        self.running = self.broker('-B', 'bus.sock', '-B', '127.0.0.1:0', '--config', self.file, **options)
        return self.running

    def wait_for_reload(self, number):
        self.running.notify.drain()
        return self.running.log.wait_for(r'configuration (not )?reloaded[,:] (.*)', number)

    def reload(self, *lines):
        """Says it in the file, and what came of it."""
        self.configure(*lines)
        self.running.signal(signal.SIGHUP)
        self.reloads += 1
        return self.wait_for_reload(self.reloads).group(2)

    def assert_ended(self, client):
        with self.assertRaises(EOFError):
            while True:
                client.receive()

    def fill(self, sender, receiver):
        """Messages for who never reads, until one is not accepted; its code."""
        body = receiver + b'\0' + bytes(2000)
        for _ in range(10000):
            result = sender.acked(MESSAGE, body)
            if result != OK:
                return result
        raise AssertionError('its queue has no end')

    def sender_and_slow(self):
        return self.connected(self.running, 'sender'), self.connected(self.running, 'slow')

    def test_timeout(self):
        broker = self.start('TimeoutSec=50', patient=False)
        silent, unnamed = self.connected(broker, 'silent'), connect(broker.path())
        self.assertEqual(self.reload('TimeoutSec=50ms'), 'TimeoutSec 50000ms -> 50ms')
        self.assert_ended(silent)
        while unnamed.recv(100):
            pass
        unnamed.close()
        broker.log.wait_for('client "silent" .* disconnected: no frame for 1.25 x the timeout')
        broker.log.wait_for('a client without a name .* disconnected: the handshake was not finished in time')

    def test_the_command_line_wins(self):
        client = self.connected(self.start(), 'c')
        self.assertEqual(self.reload('TimeoutSec=50ms'), 'no setting has changed')
        self.assertEqual(client.acked(MESSAGE, b'c\0hello'), OK)

    def test_takeover(self):
        first = self.connected(self.start(), 'plc')
        self.assertEqual(self.reload('ForceRegister=yes'), 'ForceRegister no -> any')
        self.connected(self.running, 'plc')
        self.assert_ended(first)

    def test_connections_of_a_user(self):
        where, _, context = self.limited_way(self.start())
        with context():
            there = [self.connected(self.running, f'c{i}', where) for i in range(3)]
        self.assertEqual(self.reload('MaxConnectionsPerUser=2'), 'MaxConnectionsPerUser 16000 -> 2')
        with context(), connect(where) as s:
            self.assertEqual(s.recv(3), b'')
        self.assertEqual(there[0].acked(MESSAGE, b'c2\0hello'), OK)

    def test_frames_of_a_queue_pace_and_policy(self):
        self.start()
        sender, slow = self.sender_and_slow()
        changes = self.reload('QueueFrames=10', 'SlowConsumerPaceSec=1ms', 'SlowConsumerPolicy=drop-newest')
        self.assertEqual(changes, 'QueueFrames 8192 -> 10, SlowConsumerPaceSec 100ms -> 1ms, '
                                  'SlowConsumerPolicy disconnect -> drop-newest')
        self.assertEqual(self.fill(sender, b'slow'), NOT_DELIVERED)
        self.running.log.wait_for('client "slow" .* the newest frames for it are dropped')
        self.reload('QueueFrames=10', 'SlowConsumerPaceSec=1ms')
        self.assertEqual(self.fill(sender, b'slow'), NOT_DELIVERED)
        self.running.log.wait_for('client "slow" .* its queue stayed full: unregistered')
        self.assert_ended(slow)

    def test_bytes_of_a_queue(self):
        self.start()
        sender, slow = self.sender_and_slow()
        self.assertEqual(self.reload('QueueBytes=4K', 'SlowConsumerPaceSec=0'),
                         'QueueBytes 16777216 -> 4096, SlowConsumerPaceSec 100ms -> 0ms')
        self.assertEqual(self.fill(sender, b'slow'), NOT_DELIVERED)
        self.assert_ended(slow)

    def test_memory_of_all_queues(self):
        where, _, context = self.limited_way(self.start())
        with context():
            client = self.connected(self.running, 'greedy', where)
        topics = b'\0'.join(b'%d' % i for i in range(3000))
        self.assertRegex(self.reload('QueueMemoryMax=1M'),
                         r'QueueMemoryMaxPerUser \d+ -> 524288, QueueMemoryMax \d+ -> 1048576')
        self.assertEqual(client.acked(SUBSCRIBE, topics), ACCESS)
        self.running.log.wait_for('client "greedy" .* was refused a subscription: .*QueueMemoryMaxPerUser')
        self.assertEqual(client.acked(MESSAGE, b'greedy\0hello'), OK)

    def test_length_of_frames(self):
        client = self.connected(self.start(), 'c')
        self.assertEqual(client.acked(MESSAGE, b'c\0' + bytes(2000)), OK)
        self.assertEqual(self.reload('MaxFrameSize=1K'), 'MaxFrameSize 67108864 -> 1024')
        client.send(MESSAGE, b'c\0' + bytes(2000))
        self.assert_ended(client)
        self.running.log.wait_for('client "c" .* bad frame: frame longer than MaxFrameSize')

    def test_parts_and_length_of_topics(self):
        client = self.connected(self.start(), 'c')
        self.assertEqual(client.acked(SUBSCRIBE, b'a/b/c'), OK)
        self.assertEqual(self.reload('MaxTopicParts=2'), 'MaxTopicParts 128 -> 2')
        self.assertEqual(client.acked(SUBSCRIBE, b'a/b/d'), DATA)
        self.assertEqual(client.acked(SUBSCRIBE, b'a/abcdefgh'), OK)
        self.assertEqual(self.reload('MaxTopicParts=2', 'MaxTopicLength=8'), 'MaxTopicLength 4096 -> 8')
        self.assertEqual(client.acked(SUBSCRIBE, b'b/abcdefgh'), DATA)

    def cpu_seconds(self):
        with open(f'/proc/{self.running.process.pid}/stat') as file:
            user, system = file.read().rpartition(')')[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf('SC_CLK_TCK')

    def test_busy_polling(self):
        """After an event the worker takes CPU for so long; what the events themselves cost is far less."""
        client = self.connected(self.start(), 'c')
        self.assertEqual(self.reload('BusyPollUSec=1s'), 'BusyPollUSec 0ms -> 1000ms')
        before, until = self.cpu_seconds(), time.monotonic() + DEADLINE
        while self.cpu_seconds() < before + 0.3:
            self.assertLess(time.monotonic(), until)
            self.assertEqual(client.acked(MESSAGE, b'c\0hello'), OK)
            time.sleep(0.02)
        self.assertEqual(self.reload(), 'BusyPollUSec 1000ms -> 0ms')
        self.assertEqual(client.acked(MESSAGE, b'c\0hello'), OK)

    def test_what_waits_for_the_next_start_is_told_until_then(self):
        self.start()
        self.assertEqual(self.reload('DBus=off', 'QueueFrames=9'), 'DBus takes effect at the next start, QueueFrames 8192 -> 9')
        for _ in range(2):
            self.assertEqual(self.reload('DBusName=org.example.bus', 'QueueFrames=9'),
                             'DBusName takes effect at the next start')
        self.assertEqual(self.reload('QueueFrames=9'), 'no setting has changed')
        self.assert_serves(self.running.path())

    def test_listeners_wait_for_the_next_start(self):
        one, two = self.directory() + '/1.sock', self.directory() + '/2.sock'
        self.configure(f'Listen={one}')
        self.running = self.broker('--config', self.file)
        self.assertEqual(self.reload(f'Listen={one}', f'Listen={two}'), 'Listen takes effect at the next start')
        self.assert_serves(one)
        self.assertFalse(os.path.exists(two))

    def test_what_is_wrong_changes_nothing(self):
        client = self.connected(self.start(), 'c')
        changes = self.reload('MaxTopicParts=2', 'QueueFrames=none')
        self.assertIn(f'{self.file}:3: QueueFrames= "none"', changes)
        self.assertEqual(client.acked(SUBSCRIBE, b'a/b/c'), OK)
        os.unlink(self.file)
        self.running.signal(signal.SIGHUP)
        self.assertIn('No such file', self.wait_for_reload(2).group(2))
        self.reloads = 2
        self.assertEqual(self.reload('MaxTopicParts=3'), 'MaxTopicParts 128 -> 3')

    def test_a_storm_under_load(self):
        """Limits that are all wide enough, others, and nonsense by turns: all messages arrive in order, and what is in
        force is what was right last."""
        files = [('QueueFrames=1000', 'MaxTopicParts=8'), ('QueueFrames=5000', 'MaxTopicParts=4', 'TimeoutSec=40'),
                 ('MaxTopicParts=2', 'QueueFrames=-1')]
        client, probe = self.connected(self.start(), 'c'), self.connected(self.running, 'probe')
        over, sent, errors = threading.Event(), [0], []

        def load():
            try:
                while not over.is_set():
                    text = b'%d' % sent[0]
                    if client.acked(MESSAGE, b'c\0' + text) != OK:
                        raise AssertionError(f'message {sent[0]} was not accepted')
                    while not client.heard:
                        client.heard.append(client.receive()[1])
                    if client.heard.pop(0) != text:
                        raise AssertionError(f'message {sent[0]} did not arrive')
                    sent[0] += 1
            except Exception as error:
                errors.append(error)

        thread = threading.Thread(target=load)
        thread.start()
        try:
            for i in range(STORM):
                self.reload(*files[i % 3])
            good = files[(STORM - 1) % 3 - 1]  # the last was nonsense
            self.assertEqual(good[1], 'MaxTopicParts=4')
            self.assertEqual(probe.acked(SUBSCRIBE, b'a/b/c/d'), OK)
            self.assertEqual(probe.acked(SUBSCRIBE, b'a/b/c/d/e'), DATA)
        finally:
            over.set()
            thread.join()
        self.assertEqual(errors, [])
        self.assertGreater(sent[0], 0)
        self.assertEqual(self.running.log.text.count('configuration not reloaded'), STORM // 3)
        self.assertEqual(self.running.stop(), 0)
        self.running.notify.drain()
        told = self.running.notify.seen
        self.assertEqual((told.count('RELOADING=1'), told.count('READY=1')), (STORM, STORM + 1))

    def test_signals_faster_than_reloads(self):
        """Signals that come while one waits become one; what the file says at last is in force."""
        probe = self.connected(self.start(), 'probe')
        for i in range(STORM):
            self.configure('MaxTopicParts=1' if i % 2 else 'MaxTopicParts=none')
            self.running.signal(signal.SIGHUP)
            self.running.notify.drain()
            self.running.log.drain()
        self.configure('MaxTopicParts=5')
        self.running.signal(signal.SIGHUP)
        self.running.log.wait_for(r'configuration reloaded: MaxTopicParts \d+ -> 5')
        self.assertEqual(probe.acked(SUBSCRIBE, b'a/b/c/d/e'), OK)
        self.assertEqual(probe.acked(SUBSCRIBE, b'a/b/c/d/e/f'), DATA)
        self.assertEqual(self.running.stop(), 0)


if __name__ == '__main__':
    main()
