# SPDX-License-Identifier: Apache-2.0
"""busrtctl benchmark: every stage runs, each frame is checked, and what goes wrong is told. Counts only: how fast
anything was is nobody's business here."""
import json
import os
import re
import signal
import socket
import struct
import threading

import bus
from bus import ACK, MESSAGE, OK
from tool import TestCase, main

SEVEN = ['rpc.call', 'rpc.call+handle', 'rpc.call0', 'send.qos.no', 'send.qos.processed', 'send+recv.qos.no',
         'send+recv.qos.processed']
TIMED = ['rpc.call', 'rpc.call+handle', 'rpc.call0', 'send.qos.processed', 'send+recv.qos.processed',
         'latency.one-way', 'latency.round-trip', 'latency.publish', 'connect']
NOT_REGISTERED = 0x71
PATIENT = ('--seconds', '50s')


class FaultyBroker:
    """Serves clients that send to themselves, a thread for each. What is to come back as the frame `number` of a
    client that sends numbers goes through `fault`, which says what comes in its place: a list of payloads."""

    def __init__(self, path, fault, busy=()):
        self.fault, self.busy = fault, set(busy)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        with client, client.makefile('rb') as stream:
            try:
                self.talk(client, stream)
            except (OSError, struct.error):
                pass

    def talk(self, client, stream):
        client.sendall(bus.GREETING)
        if stream.read(3) != bus.GREETING:
            return
        client.sendall(b'\x01')
        name = stream.read(struct.unpack('<H', stream.read(2))[0])
        if name in self.busy:
            self.busy.remove(name)
            client.sendall(b'\x76')
            return
        client.sendall(b'\x01')
        while True:
            op, flags, length = struct.unpack('<IBI', stream.read(9))
            body = stream.read(length) if flags else b''
            target, _, payload = body.partition(b'\0')
            known = target in (name, b'.broker')
            if flags & 0x40:
                client.sendall(struct.pack('<BIB', ACK, op, OK if known else NOT_REGISTERED))
            if target == b'.broker':
                self.send(client, target, b'\x11' + payload[1:5] + b'\x80')
            elif known:
                number = int.from_bytes(payload[1:8], 'little')
                for one in self.fault(number, payload):
                    self.send(client, name, one)

    @staticmethod
    def send(client, sender, payload):
        client.sendall(struct.pack('<BIB', MESSAGE, len(sender) + 1 + len(payload), 0) + sender + b'\0' + payload)

    def close(self):
        self.listener.close()


class Benchmark(TestCase):
    def report(self, *args):
        return json.loads(self.ok('benchmark', '--json', *PATIENT, *args))

    def test_the_seven_of_the_reference_by_default(self):
        out = self.ok('benchmark', '-i', '60', '-w', '3', *PATIENT)
        self.assertRegex(out, r'^Broker at \S+/bus\.sock: the busrt authors, version \S+\n'
                              r'3 workers, 60 iterations, payload of 100 bytes, window of 1024 frames\n\nSTAGE +ITERS')
        self.assertEqual(re.findall(r'(?m)^(\S+) +60 ', out), SEVEN)

    def test_every_stage_runs(self):
        names = [line.split()[0] for line in self.ok('benchmark', '--list').splitlines()]
        self.assertEqual(names[:7], SEVEN)
        report = self.report('--all', '-i', '200', '-w', '2', '--seconds', '60s')
        self.assertEqual((report['partial'], report['error']), (False, None))
        # Memory is measured before there is any litter.
        self.assertEqual([stage['name'] for stage in report['stages']], ['idle.1000'] + names[:-1])
        for stage in report['stages']:
            with self.subTest(stage['name']):
                self.assertEqual(stage['ended'], 'count')
                self.assertEqual(stage['latency'] is not None, stage['name'] in TIMED)
                self.assertGreaterEqual(stage['iters'], 2 if stage['name'] == 'connect' else 200)
                self.assertEqual(stage['workers'], 1 if re.match('idle|fan-out|topics', stage['name']) else 2)
        left = [name for name in self.ok('-n', 'asks', 'clients', '--names').splitlines() if name not in ('.broker', 'asks')]
        self.assertEqual(left, [])

    def test_the_table_has_a_row_for_each_stage_and_a_line_for_memory(self):
        out = self.ok('benchmark', '--stage', 'fan-out.10', '--stage', 'idle*', '-i', '20', '--seconds', '1ms')
        self.assertRegex(out, r'(?m)^fan-out\.10 +\d+ ')
        self.assertRegex(out, r'(?m)^idle\.1000: 20 idle clients take \S+ \S+ of the broker\'s memory each; it has ')

    def test_json_has_everything(self):
        report = self.report('--stage', 'rpc.call', '-i', '500', '-w', '2', '--payload', '1K')
        self.assertEqual(report['options'],
                         {'workers': 2, 'iters': 500, 'payload': 1024, 'window': 1024, 'seconds': 50.0})
        self.assertEqual(set(report['machine']),
                         {'host', 'system', 'release', 'arch', 'cpu', 'cpus', 'cpus_allowed', 'memory'})
        self.assertEqual(report['broker'], {'address': self.path, 'author': 'the busrt authors', 'pid_unknown': None,
                                            'version': report['broker']['version'], 'pid': self.bus.process.pid})
        stage, = report['stages']
        self.assertEqual((stage['name'], stage['unit'], stage['iters'], stage['payload']),
                         ('rpc.call', 'call', 500, 1024))
        self.assertGreater(stage['broker_cpu_ns'], 0)
        self.assertGreater(stage['own_cpu_ns'], 0)
        latency = stage['latency']
        self.assertEqual(latency['count'], 500)
        self.assertEqual(sum(count for _, count in latency['buckets']), 500)
        ends = [end for end, _ in latency['buckets']]
        self.assertEqual(ends, sorted(set(ends)))
        points = [latency[key] for key in ('min_ns', 'p50_ns', 'p90_ns', 'p99_ns', 'p99_9_ns', 'max_ns')]
        self.assertEqual(points, sorted(points))
        self.assertLessEqual(latency['max_ns'], ends[-1])

    def test_over_tcp_the_broker_is_only_seen_from_outside(self):
        tcp = self.broker('-B', '127.0.0.1:0')
        address = tcp.log.wait_for(r'listening on (127\.0\.0\.1:\d+)').group(1)
        status, out, err = self.ctl('-s', address, 'benchmark', '--json', '--stage', 'rpc.call', '--stage', 'idle*',
                                    '-i', '20', '--seconds', '5s')
        self.assertEqual((status, err), (0, ''))
        report = json.loads(out)
        self.assertIsNone(report['broker']['pid'])
        self.assertIn('UNIX', report['broker']['pid_unknown'])
        idle, call = report['stages']
        self.assertEqual(idle['memory'], {'before': None, 'after': None, 'per_client': None})
        self.assertIsNone(call['broker_cpu_ns'])
        status, out, _ = self.ctl('-s', address, 'benchmark', '--stage', 'rpc.call', '-i', '20')
        self.assertEqual(status, 0)
        self.assertIn(b"The broker's CPU and memory are not known: only of a broker on a UNIX socket\n", out)

    def test_stages_end_by_time(self):
        report = self.report('--stage', 'send*', '-i', '1000000000000', '--seconds', '30ms')
        self.assertEqual([stage['ended'] for stage in report['stages']], ['time'] * 4)
        out = self.ok('benchmark', '--stage', 'fan-out.10', '-i', '1000000000000', '--seconds', '30ms')
        self.assertIn('\nEnded by --seconds: fan-out.10\n', out)

    def test_interrupted_it_tells_what_it_has(self):
        process = self.running('benchmark', '--json', '--stage', 'rpc.call0', '-i', '1000000000', '--seconds', '1h')
        # Its worker works when the broker knows it.
        while not any('.w0' in line for line in self.ok('clients', '--names').splitlines()):
            pass
        before = self.frames_of_workers()
        while self.frames_of_workers() < before + 20000:
            pass
        process.signal(signal.SIGINT)
        self.assertEqual(process.wait(), 0)
        report = json.loads(process.out.read_all())
        self.assertEqual((report['partial'], report['error']), (True, None))
        stage, = report['stages']
        self.assertEqual((stage['name'], stage['ended']), ('rpc.call0', 'interrupt'))
        self.assertGreater(stage['iters'], 0)

    def frames_of_workers(self):
        clients = json.loads(self.ok('clients', '--json'))
        return sum(client['r_frames'] for client in clients if client['name'].endswith('.w0'))

    def test_a_broker_that_is_killed(self):
        for stage in 'rpc.call', 'send.qos.no', 'send+recv.qos.no', 'fan-out.10', 'latency.one-way':
            with self.subTest(stage):
                broker = self.broker('-B', 'bus.sock')
                process = self.running('-s', broker.path(), 'benchmark', '--stage', stage, '-i', '1000000000',
                                       '--seconds', '1h')
                while not any('.w0' in line for line in
                              self.ok('-s', broker.path(), 'clients', '--names').splitlines()):
                    pass
                broker.signal(signal.SIGKILL)
                self.assertEqual(process.wait(), 1)
                self.assertRegex(process.err.read_all(), rf'^busrtctl: stage {re.escape(stage)}: [^\n]*\n$')

    def test_a_refused_name(self):
        self.fails('-n', '.bad', 'benchmark', '-i', '1', says=r'refuses the name "\.bad"')
        self.receiver('me.w0')
        self.fails('-n', 'me', 'benchmark', '-i', '1',
                   says=r'^busrtctl: stage rpc\.call: cannot connect as "me\.w0": the name is taken\n$')

    def test_somebody_who_should_be_nobody(self):
        self.receiver('me.w0.nobody')
        self.fails('-n', 'me', 'benchmark', '-i', '1', '--stage', 'send.qos.processed',
                   says='somebody has the name "me.w0.nobody", which nobody should')

    def test_frames_of_others_do_not_count(self):
        stranger = self.connected(self.bus, 'stranger')
        process = self.running('-n', 'me', 'benchmark', '--json', '--stage', 'send+recv*', '-i', '100000', *PATIENT)
        while process.process.poll() is None:
            stranger.acked(bus.BROADCAST, b'me.*\0hello')
        self.assertEqual((process.wait(), process.err.read_all()), (0, ''))
        report = json.loads(process.out.read_all())
        self.assertEqual([stage['iters'] for stage in report['stages']], [100000] * 2)

    def test_mistakes(self):
        self.fails('benchmark', 'a', says='takes no arguments: "a"', status=2)
        self.fails('benchmark', '-w', '0', says='-w "0": not a number from 1 to 1024', status=2)
        self.fails('benchmark', '-i', 'many', says='-i "many"', status=2)
        self.fails('benchmark', '--payload', '15', says='--payload "15": not a size from 16 to 32M', status=2)
        self.fails('benchmark', '--payload', '33M', says='--payload "33M"', status=2)
        self.fails('benchmark', '--payload', 'K', says='--payload "K"', status=2)
        self.fails('benchmark', '--seconds', 'x', says='--seconds "x": not a time', status=2)
        self.fails('benchmark', '--window', '1', says='--window "1"', status=2)
        self.fails('benchmark', '--stage', 'rpc.cal', says='no stage is called "rpc.cal"', status=2)

    def test_on_a_terminal_it_shows_how_far_it_is(self):
        terminal = self.terminal('benchmark', '--stage', 'rpc.call0', '-i', '1000000000', '--seconds', '1h')
        terminal.wait_for(b'rpc.call0: ', b' per second')
        terminal.signal(signal.SIGINT)
        self.assertEqual(terminal.wait(), 0)
        self.assertIn(b'Partial: it was ended before all was measured', terminal.screen)


class Overflow(TestCase):
    """A queue so small, and patience so short, that a subscriber is bound to be struck."""
    broker_args = ('--queue-size', '1', '--slow-pace', '0')

    def test_a_receiver_that_is_struck(self):
        # Larger than a socket holds: of small ones a slow broker sends no more than its subscribers read.
        self.fails('benchmark', '--stage', 'fan-out.10', '--payload', '1M', '-i', '1000000', *PATIENT,
                   says=r'^busrtctl: stage fan-out\.10: \S+: the broker put it out, and lives: what was on its way was '
                        r'more than its queue holds, [^\n]*--window[^\n]*\n$')


class Dropped(TestCase):
    broker_args = ('--queue-size', '1', '--slow-pace', '0', '--slow-policy', 'drop-newest')

    def test_frames_that_are_dropped(self):
        self.fails('benchmark', '--stage', 'fan-out.10', '-i', '1000000', *PATIENT,
                   says=r'^busrtctl: stage fan-out\.10: frames [^\n]*(lost, or dropped)[^\n]*--window[^\n]*\n$')


class Faults(TestCase):
    def faulty(self, fault, timeout='50s', **options):
        path = os.path.join(self.directory(), 'faulty.sock')
        broker = FaultyBroker(path, fault, **options)
        self.addCleanup(broker.close)
        return self.ctl('-s', path, '-n', 'me', '-t', timeout, 'benchmark', '--stage', 'send+recv.qos.no',
                        '-i', '100', *PATIENT)

    def sees(self, fault, says, **options):
        status, out, err = self.faulty(fault, **options)
        self.assertEqual((status, out), (1, b''))
        self.assertRegex(err, says)

    def test_a_right_broker_is_right(self):
        status, out, err = self.faulty(lambda number, payload: [payload])
        self.assertEqual((status, err), (0, ''))
        self.assertRegex(out.decode(), r'(?m)^send\+recv\.qos\.no +100 ')

    def test_a_name_that_the_stage_before_has_not_given_back_yet(self):
        status, _, err = self.faulty(lambda number, payload: [payload], busy=[b'me.w0'])
        self.assertEqual((status, err), (0, ''))

    # Of 100 the first 100 are the warm-up.

    def test_a_lost_frame(self):
        self.sees(lambda number, payload: [] if number == 150 else [payload],
                  'lost.*me.w0 was to get number 150, and got number 151')

    def test_the_last_frame_lost(self):
        self.sees(lambda number, payload: [] if number == 199 else [payload],
                  'frames to me.w0 did not arrive: lost', timeout='500ms')

    def test_a_doubled_frame(self):
        self.sees(lambda number, payload: [payload] * (1 + (number == 150)),
                  'twice.*me.w0 was to get number 151, and got number 150')

    def test_the_last_frame_doubled(self):
        self.sees(lambda number, payload: [payload] * (1 + (number == 199)), 'came twice: me.w0 got one more')

    def test_a_changed_frame(self):
        for at in 0, 3, 50, 95:
            with self.subTest(at):
                self.sees(lambda number, payload, at=at:
                          [payload[:at] + b'?' + payload[at + 1:]] if number == 150 else [payload],
                          'a frame that me.w0 got is not as it was sent')

    def test_a_cut_frame(self):
        self.sees(lambda number, payload: [payload[:50]] if number == 150 else [payload],
                  'a frame that me.w0 got is not as it was sent')


if __name__ == '__main__':
    main()
