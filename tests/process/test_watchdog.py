# SPDX-License-Identifier: Apache-2.0
"""The service manager's watchdog is fed while the worker works, and only then; its status line is kept fresh."""
import os

from bus import MESSAGE, OK, TestCase, main, run
from calls import Caller

BUSRTD_FAULTS = os.environ.get('BUSRTD_FAULTS', 'busrtd-faults')
FED = 'WATCHDOG=1'
INTERVAL = 0.4  # seconds; a look every quarter of it


class Watchdog(TestCase):
    def watched(self, *args, interval=INTERVAL, **options):
        env = {'WATCHDOG_USEC': str(int(interval * 1e6)), **options.pop('env', {})}
        return self.broker('-B', 'bus.sock', *args, env=env, **options)

    def feeds(self, broker):
        """How often it has been fed until now."""
        broker.notify.drain()
        return broker.notify.seen.count(FED)

    def wait_for_feeds(self, broker, n, meanwhile=lambda: None):
        wanted = self.feeds(broker) + n
        while self.feeds(broker) < wanted:
            meanwhile()
            self.assertTrue(broker.notify.wait_for_more(broker.ended), 'it has ended')

    def test_it_is_fed_while_nothing_happens(self):
        broker = self.watched()
        self.wait_for_feeds(broker, 10)
        self.assertEqual(broker.stop(), 0)
        self.assertNotIn('stood still', broker.log.text)

    def test_it_is_fed_while_there_is_traffic(self):
        broker = self.watched()
        client = self.connected(broker, 'c')
        frames = b''.join(client.frame(MESSAGE, b'c\0' + b'x' * 100) for _ in range(200))

        def talk():
            client.socket.sendall(frames)
            for _ in range(200):
                self.assertEqual(client.receive()[0], MESSAGE)
        self.wait_for_feeds(broker, 10, meanwhile=talk)
        self.assertEqual(broker.stop(), 0)
        self.assertNotIn('stood still', broker.log.text)

    def test_a_worker_that_looks_for_work_all_the_time_is_at_work(self):
        broker = self.watched('--busy-poll', '1000000')
        self.wait_for_feeds(broker, 10)
        self.assertEqual(broker.stop(), 0)
        self.assertNotIn('stood still', broker.log.text)

    def test_it_is_not_fed_while_the_worker_stands_still(self):
        broker = self.watched(program=BUSRTD_FAULTS)
        admin, other = Caller(broker.path(), 'admin'), self.connected(broker, 'other')
        self.addCleanup(admin.close)
        self.wait_for_feeds(broker, 2)
        for times in 1, 2:
            admin.begin('fault.stall', b'\x81\xa7seconds\x02')
            broker.log.wait_for(r'a worker has stood still for \d+ ms: the watchdog is not fed any more', times)
            self.assertTrue(broker.notify.wait_for('STATUS=A worker has stood still', broker.ended))
            before = self.feeds(broker)
            self.assertEqual(admin.reply()[1], {'ok': True})
            # One look more, if it just came; what is fed without a look at the worker would be fifteen.
            self.assertLessEqual(self.feeds(broker) - before, 1)
            broker.log.wait_for(r'the worker goes on, after [12](\.\d\d?)? s', times)
            self.wait_for_feeds(broker, 3)
            self.assertEqual(broker.notify.last('STATUS='), 'STATUS=Serving 2 clients on 1 listener')
        self.assertEqual(other.acked(MESSAGE, b'other\0hello'), OK)
        self.assertEqual(broker.stop(), 0)
        self.assertEqual(broker.log.text.count('a worker has stood still'), 2)

    def test_without_a_watchdog_none_is_fed(self):
        for env in {}, {'WATCHDOG_USEC': '20000', 'WATCHDOG_PID': '1'}, {'WATCHDOG_USEC': 'soon'}, {'WATCHDOG_USEC': '0'}:
            broker = self.broker('-B', 'bus.sock', env=env)
            self.connected(broker, 'c')
            self.assertTrue(broker.notify.wait_for('STATUS=Serving 1 client on', broker.ended))
            self.assertEqual(broker.stop(), 0)
            self.assertEqual(self.feeds(broker), 0, env)

    def test_a_very_short_interval_is_no_load(self):
        broker = self.watched(interval=0.000001)
        self.wait_for_feeds(broker, 20)
        self.assert_serves(broker.path())
        self.assertEqual(broker.stop(), 0)

    def test_the_status_line_counts_clients(self):
        broker = self.broker('-B', 'bus.sock', '-B', 'other.sock')
        self.assertIn('STATUS=Serving on 2 listeners', broker.notify.seen)
        clients = [self.connected(broker, f'c{i}') for i in range(12)]
        self.assertTrue(broker.notify.wait_for('STATUS=Serving 12 clients on 2 listeners', broker.ended))
        for client in clients[1:]:
            client.close()
        self.assertTrue(broker.notify.wait_for('STATUS=Serving 1 client on 2 listeners', broker.ended))
        self.assertEqual(broker.stop(), 0)

    def test_the_status_line_is_not_told_for_each_client(self):
        broker = self.broker('-B', 'bus.sock')
        for i in range(500):
            self.assert_serves(broker.path(), f'c{i}')
        stays = self.connected(broker, 'stays')
        self.assertTrue(broker.notify.wait_for('STATUS=Serving 1 client on 1 listener', broker.ended))
        lines = [line for line in broker.notify.seen if line.startswith('STATUS=')]
        self.assertLess(len(lines), 50)  # one in three seconds
        self.assertTrue(stays)

    def test_a_build_that_can_be_made_to_fail_says_so(self):
        self.assertRegex(run('--version', program=BUSRTD_FAULTS)[1], r'^busrtd \S+ \(with fault injection\)\n$')
        broker = self.broker('-B', 'bus.sock', program=BUSRTD_FAULTS)
        broker.log.wait_for(r'busrtd \S+ \(with fault injection\) starts')

    def test_any_other_build_cannot(self):
        self.assertRegex(run('--version')[1], r'^busrtd \S+\n$')
        broker = self.broker('-B', 'bus.sock')
        admin = Caller(broker.path(), 'admin')
        self.addCleanup(admin.close)
        with self.assertRaisesRegex(Exception, '-32601'):
            admin.call('fault.stall', seconds=1)


if __name__ == '__main__':
    main()
