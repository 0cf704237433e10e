# SPDX-License-Identifier: Apache-2.0
"""busrtctl rpc: what is called, what is shown, and what a call that fails says."""
import json
import os
import signal
import struct

from bus import MESSAGE, OK
from tool import TestCase, main

NOTIFICATION, REQUEST, REPLY, ERROR = 0x00, 0x01, 0x11, 0x12


class Service:
    """A raw client that is called, and answers as told."""

    def __init__(self, client, test):
        self.client, self.test = client, test

    def request(self):
        """The next one: (id, method, params, sender)."""
        payload, sender = self.test.message(self.client)
        self.test.assertEqual(payload[0], REQUEST)
        method, _, params = payload[5:].partition(b'\0')
        return struct.unpack('<I', payload[1:5])[0], method.decode(), params, sender

    def answer(self, to, payload):
        self.test.assertEqual(self.client.acked(MESSAGE, to.encode() + b'\0' + payload), OK)

    def reply(self, result):
        number, method, params, sender = self.request()
        self.answer(sender, struct.pack('<BI', REPLY, number) + result)
        return method, params

    def fail(self, code, data):
        number, _, _, sender = self.request()
        self.answer(sender, struct.pack('<BIh', ERROR, number, code) + data)


class Calls(TestCase):
    def setUp(self):
        super().setUp()
        self.service = Service(self.receiver('plc.1'), self)

    def call(self, *args, result=b'\xc0', before=(), **options):
        """(method, params, stdout) of a call that is answered with this result."""
        process = self.running(*before, 'rpc', 'call', 'plc.1', *args, **options)
        method, params = self.service.reply(result)
        self.assertEqual(process.wait(), 0, process.err.drain())
        return method, params, process.out.read_all()

    def failing(self, code, data):
        process = self.running('rpc', 'call', 'plc.1', 'm')
        self.service.fail(code, data)
        self.assertEqual(process.wait(), 1)
        self.assertEqual(process.out.read_all(), '')
        return process.err.read_all()

    # --- Parameters ---

    def test_words_are_typed(self):
        method, params, _ = self.call('set', 'on=true', 'n=-5', 'f=.5', 'text=a b', 'e=', 'x=1=2')
        self.assertEqual(method, 'set')
        self.assertEqual(params, b'\x86\xa2on\xc3\xa1n\xfb\xa1f\xcb\x3f\xe0' + bytes(6) +
                         b'\xa4text\xa3a b\xa1e\xa0\xa1x\xa31=2')

    def test_no_parameters_are_no_bytes(self):
        self.assertEqual(self.call('m')[1], b'')

    def test_json_is_packed(self):
        self.assertEqual(self.call('m', '{"a": [1, null]}')[1], b'\x81\xa1a\x92\x01\xc0')
        self.assertEqual(self.call('m', '[]')[1], b'\x90')
        self.assertEqual(self.call('m', '-j', '"text"')[1], b'\xa4text')
        self.assertEqual(self.call('m', '-j', '{"$base64":"AAE="}')[1], b'\xc4\x02\x00\x01')

    def test_parameters_from_files(self):
        path = os.path.join(self.directory(), 'params')
        with open(path, 'wb') as file:
            file.write(b'\0raw\xff')
        self.assertEqual(self.call('m', '-f', path)[1], b'\0raw\xff')
        with open(path, 'w') as file:
            file.write('{"a":1}\n')
        with open(path, 'rb') as file:
            self.assertEqual(self.call('m', '-j', '-', stdin=file)[1], b'\x81\xa1a\x01')

    def test_mistakes(self):
        for args, says in ((('word',), '"word" is not KEY=VALUE'), (('{',), 'not JSON: '), (('a=\udcff',), 'UTF-8'),
                           (('a=1', '-j', '1'), 'only one of'), (('-j', '[1'), 'ends too early'),
                           (('-j', '1e'), 'not JSON'), (('-z',), 'unknown option -z')):
            self.fails('rpc', 'call', 'plc.1', 'm', *args, says=says, status=2)
        self.fails('rpc', 'call', 'plc.1', says='the method is missing', status=2)
        self.fails('rpc', 'notify', says='name of a client is missing', status=2)
        self.fails('rpc', says='one of call, call0, notify and listen', status=2)
        self.fails('rpc', 'shout', says='"shout" is none of', status=2)
        self.fails('rpc', 'call', 'plc.1', 'm', '-f', '/nowhere', says='/nowhere: No such file')

    # --- Results ---

    def test_a_result_is_json(self):
        result = b'\x82\xa1a\x93\x01\xcb\x3f\xf8' + bytes(6) + b'\xc4\x01\xff\xa1b\xa2\xc3\xbc'
        out = self.call('m', result=result)[2]
        self.assertEqual(out, '{"a":[1,1.5,{"$base64":"/w=="}],"b":"ü"}\n')
        self.assertEqual(self.call('m', '--json', result=result)[2], out)

    def test_an_empty_result(self):
        self.assertEqual(self.call('m', result=b'')[2], '')
        self.assertEqual(self.call('m', '--json', result=b'')[2], 'null\n')

    def test_a_result_that_is_not_messagepack(self):
        self.assertEqual(self.call('m', result=b'plain text\n')[2], 'plain text\\n\n')
        self.assertEqual(json.loads(self.call('m', '--json', result=b'plain text\n')[2]), 'plain text\n')
        self.assertRegex(self.call('m', result=b'\0\1\xff')[2], r'^3 bytes\n +00000000: 0001 ff')
        self.assertEqual(self.call('m', result=b'\0\1\xff', before=('--json',))[2], '{"$base64":"AAH/"}\n')

    def test_a_raw_result(self):
        process = self.running('rpc', 'call', 'plc.1', 'm', '--raw')
        self.service.reply(b'\x93\0\n')
        self.assertEqual(process.wait(), 0)
        self.assertEqual(os.read(process.out.fd, 100), b'\x93\0\n')

    def test_a_hostile_result_cannot_reach_the_terminal(self):
        for result in b'\xa5\x1b[2J\n', b'\x81\xa4\x1b[2J\xc0', b'\x1b[2J', b'\xdd\xff\xff\xff\xff', b'\x91' * 100000:
            terminal = self.terminal('--no-color', 'rpc', 'call', 'plc.1', 'm')
            self.service.reply(result)
            self.assertEqual(terminal.wait(), 0)
            self.assertNotIn(b'\033', terminal.screen)

    def test_pretty_and_coloured_on_a_terminal(self):
        for args, screen in ((), b'{\r\n  \033[34m"a"\033[0m: \033[36m1\033[0m\r\n}\r\n'), \
                (('--no-color',), b'{\r\n  "a": 1\r\n}\r\n'):
            terminal = self.terminal(*args, 'rpc', 'call', 'plc.1', 'm')
            self.service.reply(b'\x81\xa1a\x01')
            self.assertEqual(terminal.wait(), 0)
            self.assertEqual(terminal.screen, screen)

    # --- Failures ---

    def test_an_error_reply_says_its_code_and_name(self):
        self.assertEqual(self.failing(-32601, b''), 'busrtctl: plc.1 m: error -32601 (method not found)\n')
        self.assertEqual(self.failing(-32113, b'who?'), 'busrtctl: plc.1 m: error -32113 (bus: not registered): who?\n')
        self.assertEqual(self.failing(7, b'too \033[2Jhot'), 'busrtctl: plc.1 m: error 7: too \\x1b[2Jhot\n')
        self.assertEqual(self.failing(-5, b'\x81\xa1a\x01'), 'busrtctl: plc.1 m: error -5: {"a":1}\n')

    def test_a_target_that_is_not_there(self):
        self.fails('rpc', 'call', 'plc.2', 'm', says='plc.2 m: Not registered\n"busrtctl clients" lists who is there')
        self.fails('rpc', 'call0', 'plc.2', 'm', says='plc.2 m: Not registered')
        self.fails('rpc', 'notify', 'plc.2', 'm', says='cannot notify "plc.2": Not registered')

    def test_silence_is_not_waited_for_long(self):
        self.fails('-t', '50ms', 'rpc', 'call', 'plc.1', 'm', says='plc.1 m: no answer in time')

    def test_a_broker_that_dies_ends_the_call(self):
        process = self.running('rpc', 'call', 'plc.1', 'm')
        self.service.request()
        self.bus.signal(signal.SIGKILL)
        self.assertEqual(process.wait(), 1)
        self.assertIn('The broker closed the connection', process.err.read_all())

    # --- Without replies ---

    def test_call0_wants_no_reply(self):
        self.assertEqual(self.ok('rpc', 'call0', 'plc.1', 'm', 'a=1'), '')
        self.assertEqual(self.service.request()[:3], (0, 'm', b'\x81\xa1a\x01'))

    def test_notifications_are_sent_as_they_are(self):
        self.assertEqual(self.ok('rpc', 'notify', 'plc.1', 'a=1', 'b'), '')
        self.assertEqual(self.message(self.service.client)[0], b'\0a=1 b')
        self.ok('rpc', 'notify', 'plc.1', '-j', '[1]')
        self.assertEqual(self.message(self.service.client)[0], b'\0\x91\x01')


class Listening(TestCase):
    def serving(self, *args):
        process = self.running('-n', 'service', 'rpc', 'listen', '-v', *args)
        process.err.wait_for('Serving as service')
        return process

    def output(self, process):
        self.assertEqual(process.wait(), 0, process.err.drain())
        return process.out.read_all()

    def test_calls_and_notifications_are_printed(self):
        process = self.serving('-c', '4')
        self.ok('-n', 'me', 'rpc', 'call0', 'service', 'start', 'n=1')
        self.ok('-n', 'me', 'rpc', 'notify', 'service', 'a', '\033[2J')
        self.ok('-n', 'me', 'send', 'service', 'not this')
        self.fails('-n', 'me', 'rpc', 'call', 'service', 'stop', says='error -32601')
        self.ok('-n', 'me', 'rpc', 'call0', 'service', 'none')
        time = r'\d\d:\d\d:\d\d\.\d{3}'
        self.assertRegex(self.output(process), rf'^{time} call0        me start: {{"n":1}}\n'
                         rf'{time} notification me: a \\x1b\[2J\n{time} call         me stop: \n'
                         rf'{time} call0        me none: \n$')

    def test_json_holds_everything(self):
        process = self.serving('--json', '-c', '3')
        self.ok('-n', 'me', 'rpc', 'call0', 'service', 'm"', '{"a":[1]}')
        self.ok('-n', 'me', 'rpc', 'call0', 'service', 'm')
        self.ok('-n', 'me', 'rpc', 'notify', 'service', 'text')
        lines = [json.loads(line) for line in self.output(process).splitlines()]
        for line in lines:
            self.assertRegex(line.pop('time'), r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$')
        self.assertEqual(lines, [
            {'kind': 'call0', 'sender': 'me', 'method': 'm"', 'params': {'a': [1]}},
            {'kind': 'call0', 'sender': 'me', 'method': 'm', 'params': None},
            {'kind': 'notification', 'sender': 'me', 'method': None, 'params': 'text'},
        ])

    def test_answers_as_told(self):
        self.serving('--reply', '{"ok":true}')
        for _ in range(3):
            self.assertEqual(self.ok('rpc', 'call', 'service', 'm'), '{"ok":true}\n')

    def test_errors_as_told(self):
        self.serving('--error', '-32001:no such pump')
        self.fails('rpc', 'call', 'service', 'm', says=r'error -32001 \(not found\): no such pump')

    def test_a_signal_ends_it(self):
        process = self.serving()
        process.signal(signal.SIGINT)
        self.assertEqual(self.output(process), '')

    def test_time_ends_it(self):
        self.assertEqual(self.ok('rpc', 'listen', '--for', '10ms'), '')

    def test_a_lost_connection_is_a_failure(self):
        process = self.serving()
        self.bus.stop()
        self.assertEqual(process.wait(), 1)
        self.assertIn('the connection is lost', process.err.read_all())

    def test_calls_are_answered_while_nobody_reads(self):
        reader, writer = os.pipe()
        process = self.running('-n', 'service', 'rpc', 'listen', '-v', '--reply', 'true', stdout=writer)
        os.close(writer)
        self.addCleanup(os.close, reader)
        process.err.wait_for('Serving as service')
        payload = 'x=' + 'y' * 100000
        for _ in range(5):
            self.assertEqual(self.ok('rpc', 'call', 'service', 'm', payload), 'true\n')

    def test_mistakes(self):
        for args, says in ((('--reply', '{'), 'not JSON'), (('--error', '0'), 'not CODE'), (('--error', '40000'), 'not'),
                           (('--error', '-1', '--reply', '1'), '--reply, and --error'),
                           (('--reply', '5', '--error', '-32601'), '--reply, and --error'), (('x',), 'no arguments')):
            self.fails('rpc', 'listen', *args, says=says, status=2)


if __name__ == '__main__':
    main()
