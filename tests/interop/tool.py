# SPDX-License-Identifier: Apache-2.0
"""The reference's own command-line tool as a client: one process per operation, its output read.
It uses QoS 1 for everything. Its rows are those of the libraries where the operation is the same."""

import collections
import os
import queue
import subprocess
import threading

from bus import unpack
from cell import Case, equal, expect_bare, unknown_target
from cases_bus import MB, MIB8
from program import patience, Silence, WAIT

CASES = []
PARAMS = ('number=-5', 'text=some', 'yes=true')
DECODED = {'number': -5, 'text': 'some', 'yes': True}

Heard = collections.namedtuple('Heard', 'kind sender primary topic payload')


class Kind:
    """The tool's column of the table."""

    key = 'tool'
    title = '`busrt` tool'

    def __init__(self, program):
        self.program = str(program)

    def can(self, title, transport):
        return True


def tool_case(group, title, qos=(1,)):
    def register(function):
        CASES.append(Case(group, title, None, qos, function))
        return function
    return register


class Listener:
    """`listen` or `rpc listen`: its output, cut into blocks."""

    def __init__(self, kind, path, name, *arguments):
        self.name = name
        self.blocks = queue.Queue()
        command = [kind.program, '-s', '-n', name, path, *arguments]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, env=plain_environment())
        threading.Thread(target=self._read, daemon=True).start()
        self.block()
        equal(self.block_head, f'Listening to {"RPC " * ("rpc" in arguments)}messages for '
              f'{name} ...', 'the first line')

    def _read(self):
        block = []
        for line in self.process.stdout:
            text = line.decode(errors='replace').rstrip('\n')
            if text.startswith('Listening'):
                self.block_head = text
                self.blocks.put([text])
            elif text == '----':
                if block:
                    self.blocks.put(block)
                block = []
            else:
                block.append(text)
        self.blocks.put(None)

    def block(self):
        try:
            return self.blocks.get(timeout=patience())
        except queue.Empty:
            raise Silence('the tool printed nothing') from None

    def hear(self):
        """The next frame that the tool printed."""
        lines = self.block()
        if lines is None:
            return None
        kind, _, rest = lines.pop(0).partition(' from ')
        if kind.startswith('method: '):
            rest = lines.pop(0).removeprefix('from ')
        sender, _, primary = rest.removesuffix(')').partition(' (')
        topic = lines.pop(0).removeprefix('topic: ') if lines[0].startswith('topic: ') else None
        return Heard(kind, sender, primary, topic, '\n'.join(lines))

    def expect(self, kind, sender, payload, topic=None):
        """The next frame must be this one; the tool shows text after STR."""
        equal(self.hear(), Heard(kind, sender, sender.split('%%')[0], topic, f'STR:  {payload}'),
              'what the tool printed')

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def plain_environment():
    return {**os.environ, 'NO_COLOR': '1', 'RUST_BACKTRACE': '0'}


def use(cell, *arguments, stdin=b'', name=None):
    """Runs one operation of the tool to its end."""
    command = [cell.kind.program, '-s', '-n', name or cell.name('tool'), cell.path, *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, timeout=WAIT,
                          env=plain_environment())


def succeed(cell, *arguments, stdin=b'', name=None, output='OK\n'):
    done = use(cell, *arguments, stdin=stdin, name=name)
    equal((done.returncode, done.stdout.decode()), (0, output), 'the result')


def listen(cell, *arguments, rpc=False):
    words = ('rpc', 'listen') if rpc else ('listen',)
    listener = Listener(cell.kind, cell.path, cell.name('listener'), *words, *arguments)
    cell.open.append(listener)
    return listener


@tool_case('bus', 'subscribe, bulk')
def subscribe(cell):
    bare = cell.bare()
    a, b = f'{cell.number}/a/+', f'{cell.number}/b'
    listener = listen(cell, '-t', a, '-t', b)
    for topic in ('a/1', 'c', 'b'):
        bare.publish(f'{cell.number}/{topic}', b'on ' + topic.encode())
    listener.expect('Publish', bare.name, 'on a/1', f'{cell.number}/a/1')
    listener.expect('Publish', bare.name, 'on b', f'{cell.number}/b')


@tool_case('bus', 'subscribe to an empty list')
def subscribe_nothing(cell):
    """The tool excludes an empty list too, so the empty topic does not reach it."""
    bare = cell.bare()
    listener = listen(cell)
    bare.publish('', b'of the empty topic')
    bare.send(listener.name, b'a message')
    listener.expect('Message', bare.name, 'a message')


@tool_case('bus', 'exclude, bulk')
def exclude(cell):
    bare = cell.bare()
    mask = f'{cell.number}/#'
    listener = listen(cell, '-t', mask, '--exclude', f'{cell.number}/x', '--exclude',
                      f'{cell.number}/+/x')
    for topic in ('x', 'a/x', 'a/y'):
        bare.publish(f'{cell.number}/{topic}', topic.encode())
    listener.expect('Publish', bare.name, 'a/y', f'{cell.number}/a/y')


@tool_case('bus', 'publish')
def publish(cell):
    bare, name, topic = cell.bare(), cell.name('tool'), f'{cell.number}/value'
    bare.subscribe(topic)
    for payload, arguments, stdin in ((b'argument', ('argument',), b''), (b'\0in', (), b'\0in')):
        succeed(cell, 'publish', topic, *arguments, stdin=stdin)
        expect_bare(bare, 'publish', name, payload, topic, realtime=False)


@tool_case('bus', 'send')
def send(cell):
    bare, name = cell.bare(), cell.name('tool')
    listener = listen(cell)
    for target in (bare.name, listener.name):
        succeed(cell, 'send', target, 'some words')
    expect_bare(bare, 'message', name, b'some words', realtime=False)
    listener.expect('Message', name, 'some words')


@tool_case('bus', 'send nothing')
def send_empty(cell):
    listener = listen(cell)
    succeed(cell, 'send', listener.name)
    listener.expect('Message', cell.name('tool'), '')


@tool_case('bus', 'send to nobody')
def send_nobody(cell):
    done = use(cell, 'send', unknown_target(cell.bare()), 'lost')
    equal(done.returncode, 101, 'the exit status')
    if b'NotRegistered' not in done.stderr:
        raise AssertionError(f'the tool says {done.stderr}')


def send_big(cell, size):
    bare = cell.bare()
    payload = b'0123456789abcdef' * (size // 16)
    listener = listen(cell)
    for target in (bare.name, listener.name):
        succeed(cell, 'send', target, stdin=payload)
    expect_bare(bare, 'message', cell.name('tool'), payload)
    listener.expect('Message', cell.name('tool'), payload.decode())


@tool_case('bus', 'send 1 MB')
def send_1mb(cell):
    send_big(cell, MB)


@tool_case('bus', 'send 8 MiB')
def send_8mib(cell):
    send_big(cell, MIB8)


@tool_case('bus', 'broadcast')
def broadcast(cell):
    bare = cell.bare(name=f'bc{cell.number}.bare')
    for mask in (f'bc{cell.number}.*', f'bc{cell.number}.?'):
        succeed(cell, 'send', mask, 'to all')
        expect_bare(bare, 'broadcast', cell.name('tool'), b'to all', realtime=False)


@tool_case('bus', 'broadcast to nobody')
def broadcast_nobody(cell):
    succeed(cell, 'send', f'nobody{cell.number}.*', 'to all')


@tool_case('bus', 'a name that is taken', qos=(None,))
def name_taken(cell):
    bare = cell.bare()
    done = use(cell, 'send', bare.name, 'x', name=bare.name)
    equal(done.returncode, 101, 'the exit status')
    if b'kind: Busy' not in done.stderr:
        raise AssertionError(f'the tool says {done.stderr}')


@tool_case('bus', 'reconnect under the name just given up', qos=(None,))
def reconnect(cell):
    bare = cell.bare()
    for i in range(10):
        succeed(cell, 'send', bare.name, str(i))
        expect_bare(bare, 'message', cell.name('tool'), str(i).encode())


def start_call(cell, *arguments, stdin=b''):
    """A call in the background, while the bare client is the server."""
    box = queue.Queue()
    threading.Thread(target=lambda: box.put(use(cell, 'rpc', 'call', *arguments, stdin=stdin)),
                     daemon=True).start()
    return lambda: box.get(timeout=WAIT)


def request_at(bare, cell, method):
    frame = bare.frame()
    equal((frame.kind, frame.sender), ('message', cell.name('tool')), 'the request')
    head = b'\x01' + frame.payload[1:5] + method + b'\0'
    equal(frame.payload[:len(head)], head, 'the request')
    return frame.payload[1:5], frame.payload[len(head):]


@tool_case('rpc', 'call')
def call(cell):
    bare = cell.bare()
    done = start_call(cell, bare.name, 'some.method', *PARAMS)
    call_id, params = request_at(bare, cell, b'some.method')
    equal(unpack(params), DECODED, 'the parameters')
    bare.send(cell.name('tool'), b'\x11' + call_id + b'\x81\xa2ok\xc3')
    result = done()
    equal((result.returncode, result.stdout), (0, b'{"ok":true}\n'), 'the result')


@tool_case('rpc', 'call, error reply')
def call_error(cell):
    bare = cell.bare()
    done = start_call(cell, bare.name, 'm', '-', stdin=b'\0raw')
    call_id, params = request_at(bare, cell, b'm')
    equal(params, b'\0raw', 'the parameters')
    bare.send(cell.name('tool'), b'\x12' + call_id + b'\xf7\xfc' + b'refused')
    equal(done().returncode, 1, 'the exit status')


@tool_case('rpc', 'call to nobody')
def call_nobody(cell):
    target = unknown_target(cell.bare())
    equal(use(cell, 'rpc', 'call', target, 'm').returncode, 1, 'the exit status')


@tool_case('rpc', 'call0')
def call0(cell):
    bare = cell.bare()
    succeed(cell, 'rpc', 'call0', bare.name, 'do.it', *PARAMS)
    call_id, params = request_at(bare, cell, b'do.it')
    equal((call_id, unpack(params)), (bytes(4), DECODED), 'call id and parameters')


@tool_case('rpc', 'notify')
def notify(cell):
    bare, listener = cell.bare(), listen(cell, rpc=True)
    for target in (bare.name, listener.name):
        succeed(cell, 'rpc', 'notify', target, 'take note')
    expect_bare(bare, 'message', cell.name('tool'), b'\0take note')
    listener.expect('Notification', cell.name('tool'), 'take note')


@tool_case('rpc', 'server: reply')
def serve(cell):
    bare, listener = cell.bare(), listen(cell, rpc=True)
    frame = bare.call(listener.name, 'some.method', b'with words')
    equal((frame.kind, frame.sender, frame.payload),
          ('message', listener.name, b'\x11\x07\0\0\0'), 'the reply')
    listener.expect('method: some.method', bare.name, 'with words')


@tool_case('rpc', 'server: call0')
def serve_call0(cell):
    bare, listener = cell.bare(), listen(cell, rpc=True)
    bare.send(listener.name, b'\x01\0\0\0\0some.method\0with words')
    listener.expect('method: some.method', bare.name, 'with words')


@tool_case('rpc', 'publications at an RPC client')
def rpc_publication(cell):
    bare, topic = cell.bare(), f'{cell.number}/value'
    listener = listen(cell, '-t', topic, rpc=True)
    bare.publish(topic, b'plain')
    listener.expect('Publish', bare.name, 'plain', topic)


def rows(output):
    return [line.split() for line in output.decode().splitlines()[2:]]


@tool_case('broker', 'test')
def broker_test(cell):
    succeed(cell, 'broker', 'test', output='{"ok":true}\n')


@tool_case('broker', 'info')
def broker_info(cell):
    done = use(cell, 'broker', 'info')
    equal([r[0] for r in rows(done.stdout) if len(r) > 1], ['author', 'version'], 'the fields')


@tool_case('broker', 'stats')
def broker_stats(cell):
    first, second = (dict(rows(use(cell, 'broker', 'stats').stdout)) for _ in range(2))
    equal(list(second), ['r_frames', 'r_bytes', 'w_frames', 'w_bytes', 'uptime'], 'the fields')
    equal([k for k in second if k != 'uptime' and int(second[k]) <= int(first[k])], [],
          'the counters that stand still')


@tool_case('broker', 'client.list')
def broker_client_list(cell):
    bare = cell.bare()
    entries = {r[0]: r for r in rows(use(cell, 'broker', 'client.list').stdout) if r}
    kind = 'local_ipc' if cell.path.startswith('/') else 'tcp'
    equal(entries[bare.name][1], kind, 'the kind')
    equal(entries['.broker'][1], 'internal', "the broker's kind")


@tool_case('broker', 'announcements on .broker/info', qos=(None,))
def broker_announcements(cell):
    listener = listen(cell, '-t', '.broker/info')
    name = cell.name('comer')
    cell.bare(name=name).close()
    seen = []
    while len(seen) < 2:
        heard = listener.hear()
        equal((heard.kind, heard.sender, heard.topic), ('Publish', '.broker', '.broker/info'),
              'the frame')
        if f'"d": "{name}"' in heard.payload:
            seen.append('unreg' if '"s": "unreg"' in heard.payload else 'reg')
    equal(seen, ['reg', 'unreg'], 'what was announced')


class Benchmark:
    """A short run of the tool's benchmark, beside everything else: it warms up for seconds. Every
    stage asserts for itself what comes back."""

    stages = ('rpc.call', 'rpc.call+handle', 'rpc.call0', 'send.qos.no', 'send.qos.processed',
              'send+recv.qos.no', 'send+recv.qos.processed')

    def __init__(self, kind, path):
        command = [kind.program, '-s', '-n', 'benchmark', path, 'benchmark', '-w', '2', '-i', '2000']
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, env=plain_environment())

    def finish(self, results):
        with results.record('tool', 'benchmark', None, 'tool', 'unix'):
            output = self.process.communicate(timeout=60)[0].decode()
            equal(self.process.returncode, 0, 'the exit status')
            equal([s for s in self.stages if s not in output.split()], [], 'the stages missing')

    def close(self):
        self.process.kill()
        self.process.wait()
