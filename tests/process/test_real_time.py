# SPDX-License-Identifier: Apache-2.0
"""Real time, from outside: memory that is locked or a start that fails, which thread runs under which scheduling, and where
busy polling is refused. What this user may not do here is skipped; the system suite has it under systemd."""
import glob
import os
import re
import resource
import signal
import subprocess
import sys
import unittest

from bus import MESSAGE, OK, TestCase, main, run

FIFO = ('chrt', '--fifo', '20')
CPUS = sorted(os.sched_getaffinity(0))
MAY_LOCK = subprocess.run([sys.executable, '-c', 'import ctypes, sys; sys.exit(ctypes.CDLL(None).mlockall(3))'],
                          capture_output=True).returncode == 0
MAY_SCHEDULE = subprocess.run([*FIFO, 'true'], capture_output=True).returncode == 0
SANITIZED = os.environ.get('SANITIZED') == 'yes'  # these leave mlockall out


def may_lock(limit):
    """Before the program starts: it may lock so much."""
    return lambda: resource.setrlimit(resource.RLIMIT_MEMLOCK, (limit, limit))


def locked(broker):
    with open(f'/proc/{broker.process.pid}/status') as file:
        return int(re.search(r'^VmLck:\s*(\d+) kB', file.read(), re.M).group(1)) << 10


def policies(broker):
    """How each thread runs: {name: [policy, ...]}."""
    found = {}
    for task in glob.glob(f'/proc/{broker.process.pid}/task/*'):
        with open(task + '/comm') as file:
            found.setdefault(file.read().strip(), []).append(os.sched_getscheduler(int(os.path.basename(task))))
    return found


class OneWorker(TestCase):
    """There are not CPUs enough for as many workers as a build may have by default."""

    def broker(self, *args, **more):
        return super().broker(*args, *(() if '-w' in args else ('-w', '1')), **more)


class Memory(OneWorker):
    @unittest.skipIf(SANITIZED or not MAY_LOCK, 'memory cannot be locked here')
    def test_it_is_locked_before_clients_come(self):
        broker = self.broker('-B', 'bus.sock', '--real-time')
        self.assertGreater(locked(broker), 16 << 20)
        broker.log.wait_for(r'real time: .* MiB of memory locked, 16 MiB of buffers ready; 1 worker under')
        client = self.connected(broker, 'c')
        self.assertEqual(client.acked(MESSAGE, b'c\0hello'), OK)

    @unittest.skipIf(SANITIZED or not MAY_LOCK, 'memory cannot be locked here')
    def test_the_reserve_is_as_large_as_it_was_said(self):
        small, large = (self.broker('-B', 'bus.sock', '--real-time', '--real-time-reserve', size) for size in ('0', '64M'))
        self.assertGreater(locked(large) - locked(small), 60 << 20)
        self.assertLess(locked(small), 16 << 20)

    def test_without_it_none_is(self):
        broker = self.broker('-B', 'bus.sock')
        self.assertEqual(locked(broker), 0)
        self.assertEqual(broker.stop(), 0)
        self.assertNotIn('real time', broker.log.text)

    @unittest.skipIf(SANITIZED, 'memory is not locked here')
    def test_a_limit_that_is_too_low_is_told_in_one_line(self):
        launcher = ('setpriv', '--bounding-set=-ipc_lock') if os.geteuid() == 0 else ()
        broker = self.broker('-B', 'bus.sock', '--real-time', wait=False, launcher=launcher, preexec_fn=may_lock(1 << 20))
        self.assertEqual(broker.wait(), 2)
        self.assertRegex(broker.log.read_all(),
                         r'\A[^\n]*RealTime=yes, but memory cannot be locked: [^\n]*1 MiB allowed: set LimitMEMLOCK=infinity'
                         r'[^\n]*\n\Z')
        self.assertFalse(os.path.exists(broker.path()))


@unittest.skipIf(not MAY_SCHEDULE, 'this user may not use SCHED_FIFO')
class Scheduling(OneWorker):
    def test_the_worker_alone_stays_under_fifo(self):
        broker = self.broker('-B', 'bus.sock', '--log-syslog', launcher=FIFO, env={'DISABLE_SYSLOG': '1'})
        client = self.connected(broker, 'c')
        self.assertEqual(client.acked(MESSAGE, b'c\0hello'), OK)
        found = policies(broker)
        self.assertEqual(set(found.pop('busrt-worker')), {os.SCHED_FIFO})
        self.assertEqual(os.sched_getscheduler(broker.process.pid), os.SCHED_OTHER)
        for name in 'busrtd-log', 'busrtd-notify':
            self.assertEqual(found[name], [os.SCHED_OTHER])
        if not SANITIZED:  # whose threads are their own
            self.assertEqual(set(sum(found.values(), [])), {os.SCHED_OTHER})

    def test_so_do_several_workers(self):
        broker = self.broker('-B', 'bus.sock', '-w', '3', launcher=FIFO)
        client = self.connected(broker, 'c')
        self.assertEqual(client.acked(MESSAGE, b'c\0hello'), OK)
        self.assertEqual(policies(broker)['busrt-worker'], [os.SCHED_FIFO] * 3)

    def test_how_it_runs_is_told(self):
        broker = self.broker('-B', 'bus.sock', launcher=('taskset', '-c', str(CPUS[-1]), *FIFO))
        broker.log.wait_for(rf'1 worker under SCHED_FIFO, priority 20, on CPU {CPUS[-1]}\n')

    def test_without_fifo_all_is_as_it_was(self):
        self.assertEqual(set(sum(policies(self.broker('-B', 'bus.sock')).values(), [])), {os.SCHED_OTHER})


@unittest.skipIf(not MAY_SCHEDULE, 'this user may not use SCHED_FIFO')
class BusyPolling(OneWorker):
    def setUp(self):
        self.file = self.directory() + '/b.conf'

    def configure(self, text):
        with open(self.file, 'w') as file:
            file.write(text)
        return '--config', self.file, '-B', 'bus.sock'

    def test_it_is_refused_without_a_cpu_of_its_own(self):
        for policy in FIFO, ('chrt', '--rr', '5'):
            name = 'SCHED_RR' if '--rr' in policy else 'SCHED_FIFO'
            broker = self.broker(*self.configure('[Bus]\n\nBusyPollUSec=100\n'), wait=False, launcher=policy)
            self.assertEqual(broker.wait(), 2)
            self.assertRegex(broker.log.read_all(), rf'\A\S*busrtd: {self.file}:3: BusyPollUSec= 100 µs: under {name} each of 1 '
                             r'worker needs a CPU of its own [^\n]*CPUAffinity=[^\n]*\n\Z')
        broker = self.broker('-B', 'bus.sock', '--busy-poll', '20', wait=False, launcher=FIFO)
        self.assertEqual(broker.wait(), 2)
        self.assertIn('--busy-poll 20 µs', broker.log.read_all())

    def test_without_real_time_scheduling_it_is_not(self):
        self.assert_serves(self.broker('-B', 'bus.sock', '--busy-poll', '20').path())

    @unittest.skipIf(len(CPUS) < 2, 'there is one CPU only')
    def test_with_one_it_is_not(self):
        launcher = ('taskset', '-c', str(CPUS[-1]), *FIFO)
        self.assert_serves(self.broker('-B', 'bus.sock', '--busy-poll', '20', launcher=launcher).path())

    @unittest.skipIf(len(CPUS) < 2, 'there is one CPU only')
    def test_each_worker_wants_one(self):
        broker = self.broker('-B', 'bus.sock', '--busy-poll', '20', '-w', '2', wait=False,
                             launcher=('taskset', '-c', str(CPUS[-1]), *FIFO))
        self.assertEqual(broker.wait(), 2)
        self.assertIn('under SCHED_FIFO each of 2 workers needs a CPU of its own', broker.log.read_all())

    def test_a_reload_is_refused_as_a_start_is(self):
        broker = self.broker(*self.configure(''), launcher=FIFO)
        self.configure('[Bus]\nBusyPollUSec=100\nQueueFrames=9\n')
        broker.signal(signal.SIGHUP)
        broker.log.wait_for(rf'configuration not reloaded, all stays as it was: {self.file}:2: BusyPollUSec= 100 µs: under SCHED_FIFO')
        self.configure('[Bus]\nQueueFrames=9\n')
        broker.signal(signal.SIGHUP)
        broker.log.wait_for('configuration reloaded: QueueFrames 8192 -> 9')
        self.assert_serves(broker.path())


class Settings(OneWorker):
    def test_they_are_keys_and_options(self):
        with open(self.directory() + '/b.conf', 'w') as file:
            file.write('[Bus]\nRealTime=yes\nRealTimeReserve=1M\n')
        self.assertEqual(run('--config', file.name, '--check-config', '--real-time-reserve', '2M'), (
            0, f'RealTime=yes  # {file.name}:2\nRealTimeReserve=2097152  # command line\n', ''))

    def test_they_wait_for_the_next_start(self):
        path = self.directory() + '/b.conf'
        with open(path, 'w'):
            pass
        broker = self.broker('--config', path, '-B', 'bus.sock')
        with open(path, 'w') as file:
            file.write('[Bus]\nRealTime=yes\nRealTimeReserve=1M\n')
        broker.signal(signal.SIGHUP)
        broker.log.wait_for('RealTime takes effect at the next start, RealTimeReserve takes effect at the next start')
        self.assert_serves(broker.path())
        self.assertEqual(locked(broker), 0)


if __name__ == '__main__':
    main()
