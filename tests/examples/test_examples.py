# SPDX-License-Identifier: Apache-2.0
"""What the examples of libbusrt's documentation do, each run against a busrtd, beside raw clients that hear and say the
same in bytes."""
import os
import signal
import socket
import struct
import subprocess

import bus
from bus import BROADCAST, DEADLINE, MESSAGE, OK, PUBLICATION, PUBLISH, SUBSCRIBE, Reader, main

BAD_DATA, ACCESS = 0x72, 0x79
PARSE, METHOD_NOT_FOUND, INVALID_PARAMS, BUSY = -32700, -32601, -32602, -32118
BROKERS = 'embed', 'embed-loop'
NAMES = (*BROKERS, 'listener', 'publisher', 'rpc-client', 'rpc-server', 'cursor-client', 'cursor-server', 'sd-event',
         'poll', 'subscriber')
LOOPS = 'glib', 'libuv'  # built where these are


def variable(name):
    return 'EXAMPLE_' + name.replace('-', '_').upper()


def program(name):
    return os.environ[variable(name)]


def environment(path):
    return {**os.environ, 'LC_ALL': 'C.UTF-8', 'BUSRT_SOCKET': path}


class Running:
    """One that goes on: out and err are Readers, stdin is a file."""

    def __init__(self, path, name, *args):
        ends = os.pipe(), os.pipe()
        self.out, self.err = (Reader(reader) for reader, _ in ends)
        self.process = subprocess.Popen([program(name), *args], stdin=subprocess.PIPE, stdout=ends[0][1], stderr=ends[1][1],
                                        env=environment(path))
        self.stdin = self.process.stdin
        for _, writer in ends:
            os.close(writer)

    def say(self, text):
        self.stdin.write(text.encode())
        self.stdin.flush()

    def wait(self):
        return self.process.wait(DEADLINE)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.stdin.close()
        os.close(self.out.fd)
        os.close(self.err.fd)


class TestCase(bus.TestCase):
    def setUp(self):
        self.bus = self.broker('-B', 'bus.sock')
        self.path = self.bus.path()

    def running(self, name, *args):
        process = Running(self.path, name, *args)
        self.addCleanup(process.close)
        return process

    def run_once(self, name, *args, stdin='', path=None):
        """To its end: (status, stdout, stderr)."""
        done = subprocess.run([program(name), *args], input=stdin, capture_output=True, text=True, timeout=DEADLINE,
                              env=environment(path or self.path))
        return done.returncode, done.stdout, done.stderr

    def subscriber(self, topic, name='subscriber'):
        client = self.connected(self.bus, name)
        self.assertEqual(client.acked(SUBSCRIBE, topic.encode()), OK)
        return client

    def publish(self, client, topic, payload):
        self.assertEqual(client.acked(PUBLISH, topic.encode() + b'\0' + payload), OK)

    def send(self, client, target, payload):
        return client.acked(MESSAGE, target.encode() + b'\0' + payload)

    def next_of(self, client, wanted):
        """(payload, sender) of the next frame of that kind."""
        while True:
            kind, payload, sender = client.receive()
            if kind == wanted:
                return payload, sender

    def publication(self, client):
        payload, _ = self.next_of(client, PUBLICATION)
        topic, _, payload = payload.partition(b'\0')
        return topic.decode(), payload

    def fails_when_the_broker_goes(self, process):
        self.bus.process.kill()
        self.assertEqual(process.wait(), 1)
        process.err.wait_for(r'(?m)^\S+: .+\n\Z')


class Each(TestCase):
    def test_wrong_arguments_are_told(self):
        for name in (*NAMES, *(name for name in LOOPS if variable(name) in os.environ)):
            status, out, err = self.run_once(name)
            self.assertEqual((status, out), (2, ''), name)
            self.assert_one_line(err, r'^usage: \S+ ')

    def test_no_broker_is_told(self):
        for name, *args in (('listener', 'l', 't'), ('publisher', 'p', 't'), ('rpc-client', 'clients'), ('rpc-server', 's'),
                            ('cursor-client', 's', '1'), ('cursor-server', 's', '/dev/null'), ('sd-event', 'e'), ('poll', 'a', 'b'), ('subscriber', 's')):
            status, out, err = self.run_once(name, *args, path='/nonexistent/bus.sock')
            self.assertEqual((status, out), (1, ''), name)
            self.assert_one_line(err, r'^\S+: \S+')


class Listener(TestCase):
    def test_prints_publications_and_messages_in_order(self):
        listener = self.running('listener', 'logger', 'a/#', 'b')
        listener.err.wait_for(f'logger listens at {self.path}\n')
        probe = self.connected(self.bus, 'probe')
        self.publish(probe, 'a/x', b'one')
        self.publish(probe, 'c', b'not this')
        self.assertEqual(self.send(probe, 'logger', b'two'), OK)
        self.publish(probe, 'b', b'')
        listener.out.wait_for('probe a/x: one\nprobe -: two\nprobe b: \n')

    def test_ends_with_the_broker(self):
        listener = self.running('listener', 'logger', 'a')
        listener.err.wait_for('listens')
        self.fails_when_the_broker_goes(listener)

    def test_a_taken_name_is_told(self):
        self.connected(self.bus, 'logger')
        status, _, err = self.run_once('listener', 'logger', 'a')
        self.assertEqual(status, 1)
        self.assert_one_line(err, '^logger: ')


class Publisher(TestCase):
    def test_every_line_arrives_in_order(self):
        subscriber = self.subscriber('numbers')
        lines = [f'{n}' for n in range(2000)] + ['', 'last, without an end']
        self.assertEqual(self.run_once('publisher', 'counter', 'numbers', stdin='\n'.join(lines)),
                         (0, f'{len(lines)} published\n', ''))
        for line in lines:
            self.assertEqual(self.publication(subscriber), ('numbers', line.encode()))

    def test_nothing_is_published_of_nothing(self):
        self.assertEqual(self.run_once('publisher', 'counter', 'numbers'), (0, '0 published\n', ''))

    def test_fails_when_the_broker_goes_in_between(self):
        subscriber = self.subscriber('numbers')
        publisher = self.running('publisher', 'counter', 'numbers')
        publisher.say('one\n' * 300)
        for _ in range(300):  # then it waits for input
            self.assertEqual(self.publication(subscriber), ('numbers', b'one'))
        self.bus.process.kill()
        self.bus.wait()
        publisher.say('two\n')
        publisher.stdin.close()
        self.assertEqual(publisher.wait(), 1)
        self.assertEqual(publisher.out.read_all(), '')
        publisher.err.wait_for('(?m)^counter: .+\n')


class Calling(TestCase):
    """Calls by bytes, of one target."""

    number = 0

    def start(self, client, method, params=b''):
        self.number += 1
        self.assertEqual(self.send(client, self.target,
                                   b'\x01' + struct.pack('<I', self.number) + method + b'\0' + params), OK)
        return self.number

    def reply(self, client, number):
        """A result, or the code of an error reply."""
        payload = client.heard.pop(0) if client.heard else self.next_of(client, MESSAGE)[0]
        self.assertEqual(struct.unpack('<I', payload[1:5]), (number,))
        return payload[5:] if payload[0] == 0x11 else struct.unpack('<h', payload[5:7])[0]

    def call(self, client, method, params=b''):
        return self.reply(client, self.start(client, method, params))


class RemoteCalls(Calling):
    target = 'calculator'

    def server(self, name='calculator'):
        server = self.running('rpc-server', name)
        server.err.wait_for(f'{name} serves\n')
        return server

    def test_lists_clients(self):
        self.connected(self.bus, 'plc.1')
        status, out, err = self.run_once('rpc-client', 'clients')
        self.assertEqual((status, err), (0, ''))
        self.assertRegex(out, r'^\.broker internal \d+\nplc\.1 local_ipc \d+\nrpc-client\.\d+ local_ipc \d+\n$')

    def test_lists_clients_by_a_filter(self):
        self.connected(self.bus, 'plc.1')
        self.assertEqual(self.run_once('rpc-client', 'clients', '^plc'), (0, 'plc.1 local_ipc 0\n', ''))
        status, out, err = self.run_once('rpc-client', 'clients', '(')
        self.assertEqual((status, out), (1, ''))
        self.assertRegex(err, rf'^\.broker says: error {PARSE} .+\nrpc-client\.\d+: .+\n$')

    def test_client_and_server_add(self):
        self.server()
        for a, b, total in (('1', '2', '3'), ('-5', '3', '-2'), ('9223372036854775806', '1', '9223372036854775807')):
            self.assertEqual(self.run_once('rpc-client', 'add', 'calculator', a, b), (0, total + '\n', ''))
        status, out, err = self.run_once('rpc-client', 'add', 'calculator', '9223372036854775807', '1')
        self.assertEqual((status, out), (1, ''))
        self.assertIn(f'calculator says: error {INVALID_PARAMS} a and b: two integers\n', err)

    def test_a_target_that_is_not_there_is_told(self):
        status, out, err = self.run_once('rpc-client', 'add', 'nobody', '1', '2')
        self.assertEqual((status, out), (1, ''))
        self.assert_one_line(err, r'^rpc-client\.\d+: .+')

    def test_the_server_answers_every_kind_of_call(self):
        self.server()
        caller = self.connected(self.bus, 'caller')
        self.assertEqual(self.call(caller, b'add', b'\x82\xa1a\x01\xa1b\x02'), b'\xdf\x00\x00\x00\x01\xa3sum\x03')
        self.assertEqual(self.call(caller, b'add', b'\x81\xa1a\x01'), INVALID_PARAMS)
        self.assertEqual(self.call(caller, b'add'), INVALID_PARAMS)
        self.assertEqual(self.call(caller, b'add', b'\xc1'), PARSE)
        self.assertEqual(self.call(caller, b'add', b'\x82\xa1a\x01'), PARSE)
        self.assertEqual(self.call(caller, b'subtract'), METHOD_NOT_FOUND)
        self.assertEqual(self.call(caller, b'test'), b'\x81\xa2ok\xc3')
        self.assertEqual(self.call(caller, b'test', b'\x80'), INVALID_PARAMS)
        self.assertRegex(self.call(caller, b'info'),
                         rb'^\x83\xa6author.busrt\xabdescription.adds, and waits\xa7version.\d+[.]\d+[.]\d+$')

    def test_a_reply_may_come_later(self):
        self.server()
        sleeper, waker = self.connected(self.bus, 'sleeper'), self.connected(self.bus, 'waker')
        woken = b'\xdf\x00\x00\x00\x01\xa5woken'
        self.assertEqual(self.call(waker, b'wake'), woken + b'\xc2')
        waiting = self.start(sleeper, b'wait')
        self.assertEqual(self.call(waker, b'add', b'\x82\xa1a\x01\xa1b\x02')[-1:], b'\x03')
        self.assertEqual(self.call(waker, b'wake'), woken + b'\xc3')
        self.assertEqual(self.reply(sleeper, waiting), b'')

    def test_a_caller_that_has_gone_waits_no_more(self):
        server = self.server()
        sleeper, waker = self.connected(self.bus, 'sleeper'), self.connected(self.bus, 'waker')
        self.start(sleeper, b'wait')
        self.assertEqual(self.call(waker, b'wait'), BUSY)
        sleeper.close()
        server.err.wait_for('sleeper waits no more: .+\n')
        self.assertEqual(self.call(waker, b'wake')[-1:], b'\xc2')

    def test_the_server_ends_with_the_broker(self):
        server = self.server()
        self.call(self.connected(self.bus, 'sleeper'), b'add')
        self.start(self.connected(self.bus, 'other'), b'wait')  # held by the server as it ends
        self.fails_when_the_broker_goes(server)


class Cursors(TestCase):
    def write(self, text):
        with open(self.bus.path('file'), 'w', encoding='utf-8') as file:
            file.write(text)

    def serve(self, text):
        self.write(text)
        server = self.running('cursor-server', 'files', self.bus.path('file'))
        server.err.wait_for('files serves\n')
        return server

    def test_every_line_comes_whatever_the_bulk(self):
        self.serve('')
        for count in (0, 1, 10, 100):
            self.write(''.join(f'line {n}\n' for n in range(1, count + 1)))
            lines = ''.join(f'{n}: line {n}\n' for n in range(1, count + 1))
            for bulk in ('1', '3', '10', '1000'):
                self.assertEqual(self.run_once('cursor-client', 'files', bulk), (0, lines, ''))

    def test_so_many_lines_are_enough(self):
        self.serve('a\nb\nc\nd\ne\n')
        self.assertEqual(self.run_once('cursor-client', 'files', '2', '3'), (0, '1: a\n2: b\n3: c\n', ''))

    def test_a_cursor_of_a_caller_that_has_gone_is_closed(self):
        server = self.serve('a\nb\n')
        caller = self.connected(self.bus, 'caller')
        self.assertEqual(self.send(caller, 'files', b'\x01\x07\0\0\0lines\0'), OK)
        payload = caller.heard.pop(0) if caller.heard else self.next_of(caller, MESSAGE)[0]
        self.assertEqual((len(payload), payload[:10]), (26, b'\x11\x07\0\0\0\x81\xa1u\xc4\x10'))
        caller.close()
        server.err.wait_for('caller went away\n')

    def test_a_file_that_is_not_there_is_told(self):
        server = self.running('cursor-server', 'files', '/nonexistent/file')
        server.err.wait_for('files serves\n')
        status, out, err = self.run_once('cursor-client', 'files', '5')
        self.assertEqual((status, out), (1, ''))
        self.assertIn('files says: error -32001 No such file or directory\n', err)

    def test_a_target_that_is_not_there_is_told(self):
        status, out, err = self.run_once('cursor-client', 'nobody', '5')
        self.assertEqual((status, out), (1, ''))
        self.assert_one_line(err, r'^cursor-client\.\d+: .+')

    def test_the_server_ends_with_the_broker(self):
        self.fails_when_the_broker_goes(self.serve('a\n'))


class Subscriber(TestCase):
    def test_each_publication_goes_to_one_handler(self):
        subscriber = self.running('subscriber', 'panel')
        subscriber.err.wait_for('panel listens\n')
        probe = self.connected(self.bus, 'probe')
        for topic in 'sensors/roof/temperature', 'sensors/roof/wind', 'sensors/oven/alarm', 'other', 'sensors/roof/x/alarm':
            self.publish(probe, topic, b'21.5')
        subscriber.out.wait_for('temperature at roof: 21.5\nsomething else: sensors/roof/wind\nalarm at oven: 21.5\n'
                                'something else: sensors/roof/x/alarm\n')

    def test_ends_with_the_broker(self):
        subscriber = self.running('subscriber', 'panel')
        subscriber.err.wait_for('listens')
        self.fails_when_the_broker_goes(subscriber)


class SdEvent(TestCase):
    def test_publishes_prints_and_ends_by_a_signal(self):
        subscriber = self.subscriber('load/meter')
        meter = self.running('sd-event', 'meter')
        meter.err.wait_for('meter is connected\n')
        for _ in range(2):
            topic, payload = self.publication(subscriber)
            self.assertEqual(topic, 'load/meter')
            self.assertRegex(payload.decode(), r'^\d+\.\d\d$')
        self.publish(subscriber, 'load/other', b'0.25')
        meter.out.wait_for('load/other: 0.25\n')
        meter.process.send_signal(signal.SIGTERM)
        self.assertEqual(meter.wait(), 0)
        self.assertEqual(meter.err.read_all(), 'meter is connected\n')

    def test_ends_with_the_broker(self):
        meter = self.running('sd-event', 'meter')
        meter.err.wait_for('connected')
        self.fails_when_the_broker_goes(meter)

    def test_a_taken_name_is_told(self):
        self.connected(self.bus, 'meter')
        status, out, err = self.run_once('sd-event', 'meter')
        self.assertEqual((status, out), (1, ''))
        self.assert_one_line(err, '^meter: ')


class Persistent:
    """Those that come back, in a loop that is no part of the system."""

    def setUp(self):
        if variable(self.name) not in os.environ:
            self.skipTest(f'{self.name} is not there to build it with')
        super().setUp()

    def start_again(self):
        self.bus.process.kill()
        self.bus.process.wait()
        self.bus = self.broker('-B', 'bus.sock', directory=self.bus.dir)

    def hears_and_says(self, meter, text):
        subscriber = self.subscriber('load/meter')
        topic, payload = self.publication(subscriber)
        self.assertEqual(topic, 'load/meter')
        self.assertRegex(payload.decode(), r'^\d+\.\d\d$')
        self.publish(subscriber, 'load/other', text.encode())
        meter.out.wait_for(f'load/other: {text}\n')
        subscriber.close()

    def test_publishes_prints_and_ends_by_a_signal(self):
        meter = self.running(self.name, 'meter')
        meter.err.wait_for('meter is connected\n')
        self.hears_and_says(meter, '0.25')
        meter.process.send_signal(signal.SIGTERM)
        self.assertEqual(meter.wait(), 0)
        self.assertEqual(meter.err.read_all(), 'meter is connected\n')

    def test_outlives_the_broker(self):
        meter = self.running(self.name, 'meter')
        meter.err.wait_for('meter is connected\n')
        self.start_again()
        meter.err.wait_for('meter is away: .+\nmeter is connected\n')
        self.hears_and_says(meter, '0.75')

    def test_waits_for_the_broker(self):
        self.bus.process.kill()
        self.bus.process.wait()
        meter = self.running(self.name, 'meter')
        self.bus = self.broker('-B', 'bus.sock', directory=self.bus.dir)
        meter.err.wait_for('meter is connected\n')
        self.hears_and_says(meter, '0.50')

    def test_a_broker_that_refuses_is_told(self):
        with socket.socket(socket.AF_UNIX) as listener:
            path = self.bus.path('other.sock')
            listener.bind(path)
            listener.listen()
            self.path = path
            meter = self.running(self.name, 'meter')
            with listener.accept()[0] as peer:
                peer.sendall(b'SSH-2.0-')
                self.assertEqual(meter.wait(), 1)
        meter.err.wait_for(r'(?m)^meter: .+\n\Z')


class GLib(Persistent, TestCase):
    name = 'glib'


class LibUv(Persistent, TestCase):
    name = 'libuv'


class Poll(TestCase):
    def test_two_talk_to_each_other(self):
        alice, bob = self.running('poll', 'alice', 'bob'), self.running('poll', 'bob', 'alice')
        # Each is there when the other has heard from it.
        self.connected(self.bus, 'probe')
        for target, process in ('alice', alice), ('bob', bob):
            self.hello(target)
            process.out.wait_for('hello: ready\n')
        alice.say('one\ntw')
        alice.say('o\n')
        bob.out.wait_for('alice: one\nalice: two\n')
        bob.say('three\nwithout an end')
        bob.stdin.close()
        alice.out.wait_for('bob: three\nbob: without an end\n')
        self.assertEqual((bob.wait(), bob.err.read_all()), (0, ''))
        alice.say('four\n')
        alice.out.wait_for('bob is not there\n')
        alice.stdin.close()
        self.assertEqual((alice.wait(), alice.err.read_all()), (0, ''))

    def hello(self, target):
        """Says so as soon as the target is registered."""
        watcher = self.subscriber('.broker/info', name='watcher')
        with self.bus.client('hello') as client:
            while self.send(client, target, b'ready') != OK:
                self.publication(watcher)
        watcher.close()

    def test_a_long_line_goes_in_pieces(self):
        receiver = self.connected(self.bus, 'receiver')
        status, _, err = self.run_once('poll', 'alice', 'receiver', stdin='x' * 10000 + '\nend\n')
        self.assertEqual((status, err), (0, ''))
        text = b''
        while not text.endswith(b'end'):
            text += self.next_of(receiver, MESSAGE)[0]
        self.assertEqual(text, b'x' * 10000 + b'end')

    def test_ends_with_the_broker(self):
        alice = self.running('poll', 'alice', 'bob')
        self.hello('alice')
        alice.out.wait_for('ready')
        self.fails_when_the_broker_goes(alice)


class Inside(Calling):
    """Programs that have the broker in themselves."""

    target = '.plant'

    def setUp(self):
        self.path = os.path.join(self.directory(), 'bus.sock')

    def started(self, name):
        process = self.running(name, self.path)
        process.err.wait_for('ready\n')
        return process

    def client(self, name):
        client = bus.Client(self.path, name)
        self.addCleanup(client.close)
        return client

    def listener(self, name, topic):
        client = self.client(name)
        self.assertEqual(client.acked(SUBSCRIBE, topic.encode()), OK)
        return client

    def assert_ended(self, process, *clients):
        """In order, and nobody is left at it."""
        self.assertEqual(process.wait(), 0)
        for client in clients:
            with self.assertRaises(EOFError):
                while True:
                    client.receive()
        self.assertFalse(os.path.exists(self.path))


class Embed(Inside):
    def filled(self, level):
        return b'\xdf\x00\x00\x00\x01\xa5level' + bytes([level])

    def test_methods_of_a_client_inside_are_called_from_outside(self):
        plant = self.started('embed')
        caller = self.client('caller')
        self.assertEqual(self.call(caller, b'fill', b'\x81\xa6litres\x05'), self.filled(5))
        self.assertEqual(self.call(caller, b'fill', b'\x81\xa6litres\xfd'), self.filled(2))
        self.assertEqual(self.call(caller, b'level'), self.filled(2))
        self.assertEqual(self.call(caller, b'fill', b'\x81\xa6litres\xcd\x03\xe7'), INVALID_PARAMS)
        self.assertEqual(self.call(caller, b'fill', b'\x80'), INVALID_PARAMS)
        self.assertEqual(self.call(caller, b'empty'), METHOD_NOT_FOUND)
        plant.out.wait_for('5 of 1000 litres\n2 of 1000 litres\n')

    def test_what_is_published_inside_is_heard_outside(self):
        self.started('embed')
        panel, caller = self.listener('panel', 'tank/#'), self.client('caller')
        self.call(caller, b'fill', b'\x81\xa6litres\x07')
        self.assertEqual(self.next_of(panel, PUBLICATION), (b'tank/level\x007', '.plant'))

    def test_who_is_outside_may_not_do_everything(self):
        plant = self.started('embed')
        panel = self.listener('panel', 'tank/#')
        self.assertEqual(panel.acked(PUBLISH, b'tank/level\x0099'), ACCESS)
        self.assertEqual(panel.acked(BROADCAST, b'*\0hello'), ACCESS)
        self.assertEqual(panel.acked(PUBLISH, b'weather\0fine'), OK)
        plant.err.wait_for('panel: may not publish on "tank/level"\n')
        with bus.connect(self.path) as stranger:
            self.assertEqual(bus.ask_for(stranger, '.panel'), BAD_DATA)

    def test_ends_by_a_signal(self):
        plant = self.started('embed')
        panel = self.listener('panel', 'tank/#')
        plant.process.send_signal(signal.SIGTERM)
        self.assert_ended(plant, panel)
        self.assertEqual(plant.out.read_all(), '')

    def test_a_socket_in_use_is_told(self):
        self.started('embed')
        for name in BROKERS:
            status, out, err = self.run_once(name, self.path)
            self.assertEqual((status, out), (1, ''), name)
            self.assert_one_line(err, f'^{self.path}: .+')


class EmbedLoop(Inside):
    target = '.console'

    def test_lines_go_out_and_messages_come_in(self):
        console = self.started('embed-loop')
        one, other = self.listener('one', 'console'), self.listener('other', '#')
        lines = [f'line {n}' for n in range(500)]
        console.say('\n'.join(lines) + '\n')
        for line in lines:
            for client in one, other:
                self.assertEqual(self.next_of(client, PUBLICATION), (b'console\0' + line.encode(), '.console'))
        self.assertEqual(self.send(one, '.console', b'hello'), OK)
        self.assertEqual(self.send(other, 'one', b'to the other'), OK)
        console.out.wait_for('one: hello\n')
        self.assertEqual(self.next_of(one, MESSAGE), (b'to the other', 'other'))

    def test_ends_with_the_input_whose_last_line_arrives(self):
        console = self.started('embed-loop')
        client = self.listener('one', 'console')
        console.say('the last, without an end')
        console.stdin.close()
        self.assertEqual(self.next_of(client, PUBLICATION)[0], b'console\0the last, without an end')
        self.assert_ended(console, client)
        self.assertEqual((console.out.read_all(), console.err.read_all()), ('', 'ready\n'))


if __name__ == '__main__':
    main()
