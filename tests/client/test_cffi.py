# SPDX-License-Identifier: Apache-2.0
"""libbusrt called from Python by cffi, without a compiler between: what docs/python.md shows is run as it stands there,
and its functions are what the tests are written with, against a busrtd of their own. So the headers, as a program without
a C compiler reads them, declare what the library has."""
import asyncio
import errno
import gc
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

try:
    import cffi  # noqa: F401
except ImportError:
    # Debian's package is for Debian's Python, which may not be the first one.
    if not os.environ.get('TRIED_PYTHON') and os.access('/usr/bin/python3', os.X_OK):
        os.environ['TRIED_PYTHON'] = 'yes'
        os.execv('/usr/bin/python3', ['/usr/bin/python3', *sys.argv])
    print('python3-cffi is not installed')
    sys.exit(77)

import bus
from bus import DEADLINE, OK, PUBLISH, main

SOURCE, BUILD, LIBRARY = (os.environ[name] for name in ('SOURCE', 'BUILD', 'LIBBUSRT'))
SECOND = 1000000


def read(path):
    with open(path, encoding='utf-8') as file:
        return file.read()


def headers():
    """All that is installed as include/busrt, in a folder."""
    folder = tempfile.mkdtemp(prefix='busrt-cffi-')
    for name in os.listdir(os.path.join(SOURCE, 'include', 'busrt')):
        if name.endswith('.h'):
            shutil.copy(os.path.join(SOURCE, 'include', 'busrt', name), folder)
    shutil.copy(os.path.join(BUILD, 'include', 'busrt', 'version.h'), folder)
    unittest.addModuleCleanup(shutil.rmtree, folder, True)
    return folder


PAGE = read(os.path.join(SOURCE, 'docs', 'python.md')).replace("'/usr/include/busrt'", repr(headers()))
BLOCKS = re.findall(r'^```python\n(.*?)^```$', PAGE, re.S | re.M)
OUTPUT = re.findall(r'^```text\n(.*?)^```$', PAGE, re.S | re.M)

# Of the page: what only defines something, in the order in which it stands there.
page = {}
for block in BLOCKS:
    if 'client = new_client' not in block and 'server = new_client' not in block and 'thread.join' not in block:
        exec(compile(block, 'docs/python.md', 'exec'), page)
ffi, lib, check, piece, new_client, payload_of, call = (page[name] for name in (
    'ffi', 'lib', 'check', 'piece', 'new_client', 'payload_of', 'call'))
NULL, PROCESSED = ffi.NULL, lib.BUSRT_QOS_PROCESSED


def text(data):
    return None if data == NULL else ffi.string(data).decode()


class Heard(list):
    """What handlers were given, in any thread."""

    def __init__(self):
        super().__init__()
        self.condition = threading.Condition()

    def append(self, item):
        with self.condition:
            super().append(item)
            self.condition.notify_all()

    def wait_for(self, enough):
        with self.condition:
            assert self.condition.wait_for(lambda: enough(self), DEADLINE), self


def process_until(client, condition):
    until = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < until
        if check(lib.busrt_client_process(client)) == 0 and not condition():
            check(lib.busrt_client_wait(client, SECOND))


class TestCase(bus.TestCase):
    def setUp(self):
        self.bus = self.broker('-B', 'bus.sock')
        self.kept = []  # callbacks: until the test is over

    def callback(self, of, function, **options):
        self.kept.append(ffi.callback(of, function, **options))
        return self.kept[-1]

    def client(self, name, prepare=None):
        client = new_client(name)
        check(lib.busrt_client_set_timeout(client, DEADLINE * SECOND))
        if prepare:
            prepare(client)
        check(lib.busrt_client_connect(client, self.bus.path().encode()))
        return client

    def served(self, name, prepare=None):
        """One that is run by a thread until the end of the test."""
        client = self.client(name, prepare)
        thread = threading.Thread(target=lib.busrt_client_run, args=(client,))
        thread.start()
        self.addCleanup(thread.join, DEADLINE)
        self.addCleanup(lib.busrt_client_disconnect, client)
        return client

    def subscribe(self, client, mask):
        names = ffi.new('char[]', mask)
        check(lib.busrt_client_subscribe(client, ffi.new('char *[]', [names]), 1, PROCESSED, NULL))

    def next_frame(self, client, timeout=DEADLINE * SECOND):
        ret = ffi.new('busrt_frame **')
        check(lib.busrt_client_read(client, timeout, ret))
        return ffi.gc(ret[0], lib.busrt_frame_unref)

    def methods(self, client, **handlers):
        for name, handler in handlers.items():
            name = ffi.new('char[]', name.encode())
            check(lib.busrt_client_add_methods(client, ffi.new('busrt_method *', (name, handler, NULL, 0)), 1))

    def fails(self, number, function, *args):
        with self.assertRaises(OSError) as raised:
            check(function(*args))
        self.assertEqual(errno.errorcode[raised.exception.errno], errno.errorcode[number])
        return raised.exception


class Page(TestCase):
    def test_its_program_prints_what_it_says(self):
        program = os.path.join(self.bus.dir, 'program.py')
        with open(program, 'w', encoding='utf-8') as file:
            file.write(''.join(BLOCKS))
        done = subprocess.run([sys.executable, '-W', 'error', program], capture_output=True, text=True, timeout=DEADLINE,
                              env={**os.environ, 'BUSRT_SOCKET': self.bus.path()})
        self.assertEqual((done.returncode, done.stdout), (0, OUTPUT[0]), done.stderr)
        self.assertIn("ValueError: invalid literal for int() with base 10: b'twenty-one'", done.stderr)

    def test_every_function_of_the_library_is_there(self):
        done = subprocess.run(['nm', '-D', '--defined-only', LIBRARY], capture_output=True, text=True, check=True)
        names = re.findall(r' T (busrt_\w+)', done.stdout)
        self.assertGreater(len(names), 80)
        for name in names:
            self.assertEqual(ffi.typeof(getattr(lib, name)).kind, 'function', name)

    def test_constants_have_their_values(self):
        self.assertEqual(lib.BUSRT_TIMEOUT_INFINITE, 2**64 - 1)
        self.assertEqual(lib.BUSRT_TIMEOUT_DEFAULT, 2**64 - 2)
        self.assertEqual((lib.BUSRT_RPC_PARSE, lib.BUSRT_QOS_DONTWAIT, lib.BUSRT_KIND_REPLY), (-32700, 256, 4))
        numbers = [getattr(lib, f'BUSRT_VERSION_{part}') for part in ('MAJOR', 'MINOR', 'PATCH')]
        self.assertEqual('.'.join(map(str, numbers)), text(lib.busrt_version()))


class Messages(TestCase):
    def test_every_kind_arrives_whole(self):
        alice, bob = self.client('alice'), self.client('bob')
        self.subscribe(bob, b'news/#')
        payload = bytes(range(256))
        check(lib.busrt_client_send(alice, b'bob', *piece(payload), lib.BUSRT_QOS_REALTIME, NULL))
        check(lib.busrt_client_broadcast(alice, b'?', *piece(payload), PROCESSED, NULL))
        check(lib.busrt_client_publish(alice, b'news/a', *piece(payload), PROCESSED, NULL))
        check(lib.busrt_client_publish_for(alice, b'news/b', b'bob', NULL, 0, PROCESSED, NULL))
        told = []
        for _ in range(4):
            frame = self.next_frame(bob)
            told.append((lib.busrt_frame_get_kind(frame), text(lib.busrt_frame_get_sender(frame)),
                         text(lib.busrt_frame_get_topic(frame)), payload_of(frame), lib.busrt_frame_is_realtime(frame)))
        self.assertEqual(told, [(lib.BUSRT_KIND_MESSAGE, 'alice', None, payload, 1),
                                (lib.BUSRT_KIND_BROADCAST, 'alice', None, payload, 0),
                                (lib.BUSRT_KIND_PUBLICATION, 'alice', 'news/a', payload, 0),
                                (lib.BUSRT_KIND_PUBLICATION, 'alice', 'news/b', b'', 0)])
        self.fails(errno.EAGAIN, lib.busrt_client_read, bob, 0, ffi.new('busrt_frame **'))

    def test_pieces_are_put_together(self):
        alice = self.client('alice')
        parts = [ffi.from_buffer(data) for data in (b'one', b'', bytearray(b'two'))]
        iov = ffi.new('struct iovec[]', [(part, len(part)) for part in parts])
        check(lib.busrt_client_send(alice, b'alice', iov, 3, PROCESSED, NULL))
        self.assertEqual(payload_of(self.next_frame(alice)), b'onetwo')

    def test_an_operation_is_waited_for_later(self):
        alice, op = self.client('alice'), ffi.new('busrt_op **')
        results = []
        handler = self.callback('busrt_op_handler', lambda op, result, userdata: results.append(result))
        for target in b'alice', b'nobody':
            check(lib.busrt_client_send(alice, target, *piece(b'x'), PROCESSED, op))
            held = ffi.gc(op[0], lib.busrt_op_unref)
            check(lib.busrt_op_set_handler(held, handler, NULL))
            if target == b'alice':
                check(lib.busrt_op_wait(held, DEADLINE * SECOND))
            else:
                self.fails(errno.EHOSTUNREACH, lib.busrt_op_wait, held, DEADLINE * SECOND)
        process_until(alice, lambda: len(results) == 2)
        self.assertEqual(results, [0, -errno.EHOSTUNREACH])

    def test_errors_have_numbers_and_texts(self):
        alice = self.client('alice')
        told = self.fails(errno.EHOSTUNREACH, lib.busrt_client_send, alice, b'nobody', *piece(b'x'), PROCESSED, NULL)
        self.assertEqual(told.strerror, text(lib.busrt_strerror(-errno.EHOSTUNREACH)))
        self.assertRegex(told.strerror, r'\w{3}')
        self.fails(errno.EINVAL, lib.busrt_client_send, alice, NULL, NULL, 0, 0, NULL)
        byte = ffi.new('char[]', b'x')
        self.fails(errno.EMSGSIZE, lib.busrt_client_send, alice, b'alice', ffi.new('struct iovec *', (byte, 2**63)), 1, 0,
                   NULL)
        with self.assertRaises(TimeoutError):
            check(lib.busrt_client_read(alice, 1000, ffi.new('busrt_frame **')))
        second = new_client('alice')
        self.fails(errno.EBUSY, lib.busrt_client_connect, second, self.bus.path().encode())
        third = new_client('third')
        with self.assertRaises(FileNotFoundError):
            check(lib.busrt_client_connect(third, b'/nonexistent/bus.sock'))
        self.assertEqual(lib.busrt_client_get_state(third), lib.BUSRT_STATE_CLOSED)

    def test_topics_and_their_parts(self):
        ret, length = ffi.new('char **'), ffi.new('size_t *')
        self.assertEqual(lib.busrt_topic_matches(b'a/+/c', b'a/b/c'), 1)
        topic = ffi.new('char[]', b'a/bb/c')  # the part points into it
        self.assertEqual(lib.busrt_topic_get_part(b'a/+/c', topic, 1, ret, length), -errno.ENOENT)
        check(lib.busrt_topic_get_part(b'a/+/c', topic, 0, ret, length))
        self.assertEqual(bytes(ffi.buffer(ret[0], length[0])), b'bb')


class Calls(TestCase):
    def serve(self, **functions):
        """Methods from Python functions of bytes; what goes wrong in them is collected."""
        self.wrong = []

        def method(function):
            def handle(client, request, userdata):
                length = ffi.new('size_t *')
                params = lib.busrt_request_get_params(request, length)
                result = function(bytes(ffi.buffer(params, length[0])), request)
                return result if isinstance(result, int) else lib.busrt_request_reply(request, *piece(result))
            return self.callback('busrt_method_handler', handle, error=-errno.EIO, onerror=lambda *e: self.wrong.append(e[0]))

        return self.served('server', lambda client: self.methods(client, **{n: method(f) for n, f in functions.items()}))

    def test_a_callback_serves_a_method(self):
        self.serve(reverse=lambda params, request: params[::-1], nothing=lambda params, request: b'')
        caller = self.client('caller')
        self.assertEqual(call(caller, 'server', 'reverse', b'\0abc'), b'cba\0')
        self.assertEqual(call(caller, 'server', 'reverse'), b'')
        self.assertEqual(call(caller, 'server', 'nothing', b'x'), b'')

    def test_what_a_method_returns_is_told(self):
        server = self.serve(refuse=lambda params, request: lib.BUSRT_RPC_NOT_FOUND, fail=lambda params, request: -errno.EBUSY,
                            raises=lambda params, request: params[1], reply=lambda params, request:
                            lib.busrt_request_reply_error(request, -7, params, len(params)))
        caller = self.client('caller')
        for method, code, data in (('refuse', lib.BUSRT_RPC_NOT_FOUND, b''),
                                   ('fail', lib.BUSRT_RPC_BUSY, ffi.string(lib.busrt_strerror(-errno.EBUSY))),
                                   ('raises', lib.BUSRT_RPC_IO, ffi.string(lib.busrt_strerror(-errno.EIO))),
                                   ('reply', -7, b'!'), ('none', lib.BUSRT_RPC_METHOD_NOT_FOUND, b'')):
            with self.assertRaises(page['RemoteError'], msg=method) as raised:
                call(caller, 'server', method, b'!')
            self.assertEqual(raised.exception.args, (code, data), method)
        self.assertEqual(self.wrong, [IndexError])
        self.assertEqual(lib.busrt_client_count_requests(server), 0)

    def test_a_reply_comes_later_from_another_thread(self):
        waiting = Heard()

        def keep(params, request):
            waiting.append(ffi.gc(lib.busrt_request_ref(request), lib.busrt_request_unref))
            return 0

        self.serve(wait=keep)
        caller, results = self.client('caller'), []
        threads = [threading.Thread(target=lambda: results.append(call(caller, 'server', 'wait'))) for _ in range(3)]
        for thread in threads:
            thread.start()
        waiting.wait_for(lambda kept: len(kept) == 3)
        for n, request in enumerate(reversed(waiting)):
            check(lib.busrt_request_reply(request, *piece(b'%d' % n)))
            self.fails(errno.EALREADY, lib.busrt_request_reply, request, NULL, 0)
        for thread in threads:
            thread.join(DEADLINE)
        self.assertEqual(sorted(results), [b'0', b'1', b'2'])

    def test_a_call_has_its_time(self):
        kept = []

        def keep(params, request):
            kept.append(ffi.gc(lib.busrt_request_ref(request), lib.busrt_request_unref))
            return 0

        self.serve(wait=keep)
        caller = self.client('caller')
        with self.assertRaises(TimeoutError):
            call(caller, 'server', 'wait', timeout=20000)
        with self.assertRaises(OSError) as raised:
            call(caller, 'nobody', 'wait')
        self.assertEqual(raised.exception.errno, errno.EHOSTUNREACH)

    def test_handlers_get_what_is_theirs_by_handle(self):
        """userdata is a Python object."""
        heard = Heard()
        handle = ffi.new_handle(heard)
        on_notification = self.callback('busrt_notification_handler', lambda client, sender, data, length, userdata:
                                        ffi.from_handle(userdata).append((text(sender), bytes(ffi.buffer(data, length)))))
        server = self.client('server')
        check(lib.busrt_client_set_notification_handler(server, on_notification, handle))
        caller = self.client('caller')
        check(lib.busrt_client_notify(caller, b'server', *piece(b'hello'), PROCESSED, NULL))
        process_until(server, lambda: heard)
        self.assertEqual(heard, [('caller', b'hello')])


class Life(TestCase):
    def start_again(self):
        self.bus.process.send_signal(signal.SIGKILL)
        self.bus.process.wait()
        self.bus = self.broker('-B', 'bus.sock', directory=self.bus.dir)

    def test_a_client_comes_back_with_its_subscriptions(self):
        states, heard = Heard(), Heard()
        on_state = self.callback('busrt_state_handler', lambda client, state, error, userdata: states.append((state, error)))
        on_topic = self.callback('busrt_topic_handler', lambda client, frame, mask, userdata:
                                 heard.append((text(mask), payload_of(frame))))

        def prepare(client):
            check(lib.busrt_client_set_reconnect(client, lib.BUSRT_TIMEOUT_INFINITE))
            check(lib.busrt_client_set_reconnect_pause(client, 1000, 10000))
            check(lib.busrt_client_set_state_handler(client, on_state, NULL))

        client = self.served('client', prepare)
        check(lib.busrt_client_subscribe_handler(client, b'news/#', on_topic, NULL, PROCESSED, NULL))
        for n in range(3):
            before = len(states)
            self.start_again()
            states.wait_for(lambda told: (lib.BUSRT_STATE_CONNECTED, 0) in told[before + 1:])
            check(lib.busrt_client_wait_connected(client, DEADLINE * SECOND))
            # Its subscriptions are asked for before anything else is.
            check(lib.busrt_client_send(client, b'client', *piece(b'x'), PROCESSED, NULL))
            self.assertEqual(self.connected(self.bus, f'probe{n}').acked(PUBLISH, b'news/today\0%d' % n), OK)
            heard.wait_for(lambda told: len(told) == n + 1)
        self.assertEqual(heard, [('news/#', b'%d' % n) for n in range(3)])
        self.assertTrue(all(error < 0 for state, error in states if state == lib.BUSRT_STATE_RECONNECTING))

    def test_what_waits_ends_with_the_connection(self):
        client = self.client('client')
        self.bus.process.send_signal(signal.SIGKILL)
        with self.assertRaises(ConnectionResetError):
            check(lib.busrt_client_read(client, DEADLINE * SECOND, ffi.new('busrt_frame **')))
        self.fails(errno.ENOTCONN, lib.busrt_client_send, client, b'client', *piece(b'x'), PROCESSED, NULL)

    def test_large_payloads_come_whole_and_are_given_back(self):
        client, size = self.client('client'), 16 << 20
        payload = os.urandom(1 << 20) * (size >> 20)
        check(lib.busrt_client_set_timeout(client, DEADLINE * SECOND))

        def resident():
            return int(re.search(r'VmRSS:\s+(\d+)', read('/proc/self/status')).group(1)) << 10

        before = resident()
        for _ in range(20):
            op = ffi.new('busrt_op **')
            check(lib.busrt_client_send(client, b'client', *piece(payload), PROCESSED, op))
            frame = self.next_frame(client)
            check(lib.busrt_op_wait(ffi.gc(op[0], lib.busrt_op_unref), DEADLINE * SECOND))
            length = ffi.new('size_t *')
            self.assertTrue(ffi.buffer(lib.busrt_frame_get_payload(frame, length), size) == payload)
            self.assertEqual(length[0], size)
        self.assertLess(resident() - before, 6 * size)  # 40 such payloads went through it

    def test_a_frame_outlives_its_handler_and_its_client(self):
        kept = []
        on_frame = self.callback('busrt_frame_handler', lambda client, frame, userdata:
                                 kept.append(ffi.gc(lib.busrt_frame_ref(frame), lib.busrt_frame_unref)))
        client = self.client('client')
        check(lib.busrt_client_set_frame_handler(client, on_frame, NULL))
        check(lib.busrt_client_send(client, b'client', *piece(b'still there'), PROCESSED, NULL))
        process_until(client, lambda: kept)
        del client
        gc.collect()
        self.assertEqual((payload_of(kept[0]), text(lib.busrt_frame_get_sender(kept[0]))), (b'still there', 'client'))

    def test_clients_that_go_leave_no_descriptors(self):
        self.client('first')
        gc.collect()
        before = len(os.listdir('/proc/self/fd'))
        for n in range(50):
            client = self.client(f'client{n}')
            check(lib.busrt_client_ping(client))
            del client
        gc.collect()
        self.assertEqual(len(os.listdir('/proc/self/fd')), before)

    def test_a_loop_of_asyncio_processes_it(self):
        client, other = self.client('client'), self.client('other')
        results = []

        async def run():
            loop = asyncio.get_running_loop()
            plan = page['attach'](client, loop)
            replied, timed_out = loop.create_future(), loop.create_future()

            def on_reply(client, result, error, reply, userdata):
                (timed_out if replied.done() else replied).set_result((result, NULL if reply == NULL else payload_of(reply)))

            on_reply = self.callback('busrt_reply_handler', on_reply)
            check(lib.busrt_client_call_async(client, b'.broker', b'test', NULL, 0, 0, DEADLINE * SECOND, on_reply, NULL, NULL))
            plan()
            results.append(await asyncio.wait_for(replied, DEADLINE))
            check(lib.busrt_client_call_async(client, b'other', b'test', NULL, 0, 0, 20000, on_reply, NULL, NULL))
            plan()
            results.append(await asyncio.wait_for(timed_out, DEADLINE))
            loop.remove_reader(lib.busrt_client_get_fd(client))

        asyncio.run(run())
        self.assertEqual(results, [(0, b'\x81\xa2ok\xc3'), (-errno.ETIMEDOUT, NULL)])
        self.assertEqual(lib.busrt_client_get_state(other), lib.BUSRT_STATE_CONNECTED)


if __name__ == '__main__':
    main()
