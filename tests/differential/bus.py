# SPDX-License-Identifier: Apache-2.0
"""A broker to play against, and raw connections to it.

Broker starts a busrtd in a temporary directory of its own. Peer is one connection: it sends bytes as told and keeps
everything that comes back, cut into the broker's frames. Bus holds one broker and its peers for the length of a row
and yields the transcript: what each peer saw, in order, with the fields that differ from run to run masked.

Nothing waits for time to pass. To know that "no more comes", a peer puts up a *fence*: a message to a name nobody has,
acknowledgement wanted. Frames of one connection are handled in order, so when the fence's `71` is there, everything
that its earlier frames caused is queued, and everything queued for the peer before has been read. Fences and pings
are left out of transcripts. DEADLINE only turns a hang into a failure.
"""
import array
import fcntl
import json
import os
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import termios
import time

import frames as f

DEADLINE = 60.0
FENCE_ID = 0xFE0C0000
NOBODY = 'nobody.has.this.name'


class Failure(Exception):
    """The row cannot go on: an answer did not come, or was not what the script needs to continue."""


def check(condition, text):
    if not condition:
        raise Failure(text)


def free_port(host):
    with socket.socket(socket.AF_INET6 if ':' in host else socket.AF_INET) as s:
        s.bind((host, 0))
        return s.getsockname()[1]


class Broker:
    """A running busrtd.

    listen: any of 'unix', 'tcp', 'tcp6', 'fifo', and 'unix:NAME' for a socket NAME relative to the broker's directory.
    options: {'-t': '0.5', '--force-register': None}. before(dir) runs before the start. Without other words the timeout
    is so long that no ping falls due, and nobody is dropped, while a row waits for something.
    """

    DEFAULTS = {'-w': '1', '-t': '%d' % (3 * DEADLINE)}

    def __init__(self, path, options=None, listen=('unix',), before=None):
        self.path, self.options, self.listen = path, {**self.DEFAULTS, **(options or {})}, listen
        self.dir = tempfile.mkdtemp(prefix='busrt-')
        os.chmod(self.dir, 0o755)
        self.unix, self.fifo = self.dir + '/bus.sock', self.dir + '/bus.fifo'
        self.log_path = self.dir + '/log'
        self.process = None
        try:
            if before:
                before(self.dir)
            self._start()
        except BaseException:
            self.stop()
            raise

    def _start(self):
        for _ in range(5):  # a port found free may be taken by the time the broker binds it
            self.ports = {'tcp': ('127.0.0.1', free_port('127.0.0.1')) if 'tcp' in self.listen else None,
                          'tcp6': ('::1', free_port('::1')) if 'tcp6' in self.listen else None}
            self.spawn()
            if self._wait_ready():
                return
        raise Failure(f'{self.path} did not start: {self.last_words()}')

    def addresses(self):
        where = {'unix': self.unix, 'fifo': 'fifo:' + self.fifo}
        if self.ports['tcp']:
            where['tcp'] = '%s:%d' % self.ports['tcp']
        if self.ports['tcp6']:
            where['tcp6'] = '[%s]:%d' % self.ports['tcp6']
        return [where.get(kind) or kind.removeprefix('unix:') for kind in self.listen]

    def argv(self):
        argv = [self.path]
        for name, value in self.options.items():
            argv += [name] if value is None else [name, value]
        for address in self.addresses():
            argv += ['-B', address]
        return argv

    def spawn(self):
        with open(self.log_path, 'ab') as log:
            self.process = subprocess.Popen(self.argv(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.dir)
        self.ended = os.pidfd_open(self.process.pid)

    def _wait_ready(self):
        for address in self.listen:
            if address == 'fifo':
                ready = self.wait(lambda: os.path.exists(self.fifo))
            else:
                ready = self.wait(lambda: self._answers(address))
            if not ready:
                self.reap()
                return False
        return True

    def wait(self, condition):
        """True once condition holds; False when the broker ended before it did."""
        until = time.monotonic() + DEADLINE
        while not condition():
            if select.select([self.ended], [], [], 0.001)[0]:
                return bool(condition())
            check(time.monotonic() < until, 'the broker did not do it within the deadline: ' + self.last_words())
        return True

    def _answers(self, kind):
        try:
            with self.connect(kind):
                return True
        except OSError:
            return False

    def connect(self, kind='unix', source=None):
        if kind.startswith('unix'):
            s = socket.socket(socket.AF_UNIX)
            where = self.unix if kind == 'unix' else self.dir + '/' + kind.removeprefix('unix:')
        else:
            s = socket.socket(socket.AF_INET6 if kind == 'tcp6' else socket.AF_INET)
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            where = self.ports[kind]
        try:
            if source:
                s.bind((source, 0))
            s.settimeout(DEADLINE)
            s.connect(where)
        except OSError:
            s.close()
            raise
        return s

    def log(self):
        with open(self.log_path, 'rb') as log:
            return log.read().decode(errors='replace')

    def check_health(self):
        """Fails when the broker has died, hangs, or was caught by a sanitizer. A stop with status 0 is healthy."""
        if self.process.poll() is None:
            kind = next(k for k in self.listen if k != 'fifo')
            try:
                with self.connect(kind) as s:
                    healthy = s.recv(len(f.GREETING)) == f.GREETING
            except OSError:
                healthy = False
            if not healthy:
                self.wait(lambda: False)  # it is about to die
        check(self.process.poll() in (None, 0), f'the broker died with status {self.process.returncode}: {self.last_words()}')
        check(not self.caught(), 'a sanitizer complains: ' + self.last_words())

    def caught(self):
        return re.search('Sanitizer|runtime error:', self.log())

    def last_words(self):
        """The end of the log, or what a sanitizer wrote."""
        log, caught = self.log(), self.caught()
        return log[caught.start():][:3000] if caught else log[-500:]

    def terminate(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def exit_status(self):
        try:
            return self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            raise Failure('the broker did not exit')

    def reap(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            os.close(self.ended)
            self.process = None

    def stop(self):
        self.reap()
        shutil.rmtree(self.dir, ignore_errors=True)


class Peer:
    """One raw connection. items is what came back: handshake bytes as they were asked for, then whole frames."""

    def __init__(self, bus, label, sock, port='unix'):
        self.bus, self.label, self.sock, self.port = bus, label, sock, port
        self.items, self.buffer, self.pings, self.keep_pings = [], b'', 0, False
        self.closed = False  # we closed it
        self.ended = False   # the broker closed it
        self.broken = None   # bytes that are no frame
        self.fences, self.next_fence, self.next_id = set(), FENCE_ID, 1
        self.local = sock.getsockname()

    # --- sending ---

    def send(self, *parts):
        data = memoryview(b''.join(parts))
        try:
            for at in range(0, len(data), 1 << 16):
                self.sock.sendall(data[at:at + (1 << 16)])
        except TimeoutError:
            raise Failure(f'{self.label}: the broker takes no bytes')
        except (BrokenPipeError, ConnectionResetError):
            pass  # that the broker has closed is seen when reading

    def drip(self, data):
        """Sends byte by byte; each is taken by the broker before the next leaves."""
        for at in range(len(data)):
            self.send(data[at:at + 1])
            self.wait_taken()

    def wait_taken(self):
        """Until the broker has read all that was sent (its receive queue is empty)."""
        unread = array.array('i', [0])
        until = time.monotonic() + DEADLINE
        while True:
            fcntl.ioctl(self.sock, termios.TIOCOUTQ, unread)
            if unread[0] == 0:
                return
            check(time.monotonic() < until, f'{self.label}: the broker does not read')
            select.select([self.bus.broker.ended], [], [], 0.0002)

    def op(self, op, body=b'', qos=0, op_id=None, length=None):
        """Sends one frame; returns its op id (1, 2, 3, ... unless given)."""
        if length is None:
            self.bus.turn(self)
        if op_id is None:
            op_id = self.next_id
            self.next_id += 1
        self.send(f.frame(op, body, qos, op_id, length))
        return op_id

    def publish(self, topic, payload=b'', qos=0):
        return self.op(f.PUBLISH, f.to(topic, payload), qos)

    def publish_for(self, topic, receiver, payload=b'', qos=0):
        return self.op(f.PUBLISH_FOR, f.to_for(topic, receiver, payload), qos)

    def message(self, target, payload=b'', qos=0):
        return self.op(f.MESSAGE, f.to(target, payload), qos)

    def broadcast(self, mask, payload=b'', qos=0):
        return self.op(f.BROADCAST, f.to(mask, payload), qos)

    def subscribe(self, *topics, qos=f.PROCESSED):
        return self.op(f.SUBSCRIBE, f.topics(*topics), qos)

    def unsubscribe(self, *topics, qos=f.PROCESSED):
        return self.op(f.UNSUBSCRIBE, f.topics(*topics), qos)

    def exclude(self, *topics, qos=f.PROCESSED):
        return self.op(f.EXCLUDE, f.topics(*topics), qos)

    def unexclude(self, *topics, qos=f.PROCESSED):
        return self.op(f.UNEXCLUDE, f.topics(*topics), qos)

    def ping(self):
        self.send(f.PING_FRAME)

    def call(self, method, params=b'', qos=f.PROCESSED, call_id=1, target='.broker'):
        """An RPC call; returns the reply's payload, which stays in the transcript too."""
        since = len(self.items)
        self.message(target, f.request(method, params, call_id), qos)
        return self.reply(call_id, since)

    def reply(self, call_id=1, since=0):
        """Waits for the reply to the call among the items from number `since` on; returns its payload."""
        start = struct.pack('<I', call_id)

        def is_reply(item):
            return item[0] == f.MESSAGE and f.split(item)[3][:1] in (b'\x11', b'\x12') and f.split(item)[3][1:5] == start
        return f.split(self.wait_for(is_reply, since))[3]

    # --- receiving ---

    def _receive(self, until):
        """One read from the socket into buffer; False at the end."""
        left = until - time.monotonic()
        if left <= 0 or not select.select([self.sock], [], [], left)[0]:
            raise Failure(f'{self.label}: nothing more came; seen so far: {[f.describe(i) for i in self.items[-5:]]}')
        try:
            data = self.sock.recv(1 << 20)
        except ConnectionResetError:
            data = b''
        if not data:
            self.ended = True
            return False
        self.buffer += data
        return True

    def take(self, count):
        """Reads count bytes as they are (handshake); fewer only when the broker closes. They go to the transcript."""
        until = time.monotonic() + DEADLINE
        while len(self.buffer) < count and self._receive(until):
            pass
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        if data:
            self.items.append(data)
        if len(data) < count:
            self.items.append(f.EOF)
        return data

    def _parse(self):
        """Moves whole frames from buffer to items; returns the fences met."""
        met, at = set(), 0
        while (size := f.frame_size(self.buffer[at:at + 6])) is not None and len(self.buffer) - at >= size:
            item = self.buffer[at:at + size]
            at += size
            if item == bytes(6):
                self.pings += 1
                if self.keep_pings:
                    self.items.append(item)
            elif item[0] == f.ACK and struct.unpack_from('<I', item, 1)[0] in self.fences:
                met.add(struct.unpack_from('<I', item, 1)[0])
            else:
                self.items.append(item)
        self.buffer = self.buffer[at:]
        return met

    def _more(self, until):
        """Parses what is there and reads once; None at the end, else the fences met."""
        met = self._parse()
        if met or self.ended:
            return met if met else None
        if not self._receive(until):
            met = self._parse()
            return met if met else None
        return self._parse()

    def fence(self):
        """Reads until all that the broker had to say to this peer, up to now, has been read."""
        if self.closed or self.ended:
            return
        number, frame = self.new_fence()
        self.send(frame)
        self.wait_fence(number)

    def new_fence(self):
        """The number and the frame of a fence, to be sent."""
        number = self.next_fence
        self.next_fence += 1
        self.fences.add(number)
        return number, f.frame(f.MESSAGE, f.to(NOBODY), f.PROCESSED, number)

    def wait_fence(self, number):
        """Reads to that fence, or to the end."""
        until = time.monotonic() + DEADLINE
        while (met := self._more(until)) is not None:
            if number in met:
                return
        self._at_end()

    def wait_for(self, condition, since=0):
        """Reads until an item from number `since` on fulfils the condition; returns it."""
        until = time.monotonic() + DEADLINE
        while True:
            self._parse()
            for item in self.items[since:]:
                if isinstance(item, bytes) and len(item) >= 6 and condition(item):
                    return item
            since = max(since, len(self.items))
            if self.ended or not self._receive(until):
                self._parse()
                check(len(self.items) > since, f'{self.label}: closed before the awaited frame; seen: '
                      f'{[f.describe(i) for i in self.items[-5:]]}')

    def wait_ack(self, op_id):
        """Reads until the operation is acknowledged; returns the result code."""
        return self.wait_for(lambda i: i[0] == f.ACK and i[1:5] == struct.pack('<I', op_id))[5]

    def wait_pings(self, count):
        """Reads until the broker has sent this peer `count` pings in all."""
        until = time.monotonic() + DEADLINE
        self._parse()
        while self.pings < count:
            check(not self.ended and self._receive(until), f'{self.label}: closed after {self.pings} pings')
            self._parse()

    def drain(self):
        """Reads to the end of the connection, which the broker must bring about."""
        until = time.monotonic() + DEADLINE
        while self._more(until) is not None or not self.ended:
            pass
        self._at_end()

    def _at_end(self):
        if self.buffer:
            self.items.append(self.buffer)
            self.buffer = b''
        if self.items[-1:] != [f.EOF]:
            self.items.append(f.EOF)

    def silent(self):
        """True when nothing waits to be read."""
        return not self.buffer and not select.select([self.sock], [], [], 0)[0]

    # --- the rest ---

    def greet(self):
        """The handshake up to the name; the transcript keeps the broker's side."""
        self.take(3)
        self.send(f.GREETING)
        return self.take(1)

    def register(self, name):
        """The whole handshake; returns the broker's last byte. After a refusal it takes the end, too."""
        self.greet()
        self.send(f.named(name))
        code = self.take(1)
        if code not in (b'', b'\x01'):
            self.take(1)
        return code

    def close(self):
        if not self.closed:
            self.closed = True
            self.sock.close()

    def shut(self):
        """Ends our side; the broker's answers can still be read."""
        self.sock.shutdown(socket.SHUT_WR)


class Bus:
    """One row's broker, peers and transcript."""

    def __init__(self, broker):
        self.broker, self.peers, self.notes = broker, [], []
        self.in_turn, self.last = True, None

    def connect(self, label, kind='unix', source=None):
        """A connection that has said nothing yet."""
        return self.adopt(label, self.broker.connect(kind, source), kind)

    def adopt(self, label, sock, kind='unix'):
        peer = Peer(self, label, sock, kind)
        self.peers.append(peer)
        return peer

    def client(self, name, kind='unix', source=None, label=None):
        """A registered client. Its handshake is not part of the transcript."""
        peer = self.connect(label or name, kind, source)
        code = peer.register(name)
        check(code == b'\x01', f'{name!r} was not let in: {code.hex()}')
        peer.items.clear()
        return peer

    def watcher(self, *topics, name='watcher'):
        """A client subscribed to the broker's announcements (or the topics given)."""
        peer = self.client(name)
        peer.subscribe(*(topics or ('.broker/info',)))
        peer.fence()
        peer.items.clear()
        return peer

    def turn(self, peer):
        """Peers take turns: before another peer sends, all that the last one sent has been handled. Without this it
        would be chance in which order two peers' frames reach a third. Rows that must not wait set in_turn = False."""
        if self.in_turn and self.last not in (None, peer):
            self.last.fence()
        self.last = peer

    def settle(self, *peers):
        """Everything sent so far has been handled and every answer read. Twice: the first round makes sure that the
        last peer's frames have been handled, the second collects what they brought to the first."""
        for _ in range(2):
            for peer in peers or self.peers:
                peer.fence()

    def note(self, text, value):
        """Puts a fact of its own into the transcript."""
        self.notes.append((text, value))

    def clients(self, peer, params=b'', call_id=1):
        """A reply of `client.list`. Without an ack, which might or might not still be counted in `queue`."""
        return peer.call('client.list', params, 0, call_id)

    def stats(self, peer):
        """A fresh reply of `stats`, by a call that adds the same to the counters every time."""
        return peer.call('stats', qos=0, call_id=0x7A000000)

    def transcript(self, masks=()):
        """{label: items} of all peers, and the notes, with what differs from run to run masked."""
        out = {}
        for peer in self.peers:
            seen = out.setdefault(peer.label, [])
            seen += [self._mask(i, masks) if isinstance(i, bytes) else i for i in peer.items]
        if self.notes:
            out['notes'] = [(text, self._mask(v, ()) if isinstance(v, bytes) else v) for text, v in self.notes]
        return out

    def _mask(self, item, masks):
        item = mask_time(item).replace(self.broker.dir.encode(), b'/tmp/busrt-XXXXXXXX')
        for kind, where in self.broker.ports.items():
            if where:
                item = item.replace(b':%d' % where[1], b':BPORT')
        for peer in self.peers:
            if not peer.port.startswith('unix'):
                item = item.replace(b':%d' % peer.local[1], b':CPORT')
        for mask in masks:
            item = mask(item)
        return item

    def close(self):
        for peer in self.peers:
            peer.close()
        self.broker.stop()


def mask_time(item):
    """The t of the broker's announcements: its 8 bytes become zeros."""
    if item[:1] == bytes([f.PUBLISH]) and item[6:20].startswith(b'.broker\0.broker/'[:14]):
        return re.sub(rb'(?<=\xa1t\xcf).{8}', bytes(8), item, flags=re.S)
    return item


def mask_uptime(item):
    """The uptime of `stats`, a small integer."""
    return re.sub(rb'(?<=\xa6uptime)[\x00-\x7f]', b'\0', item)


def mask_error_text(item):
    """The text of an RPC error: only that there is one is compared, the words are each broker's own."""
    if item[:1] != bytes([f.MESSAGE]) or len(item) < 7:
        return item
    _, sender, _, payload, realtime = f.split(item)
    if payload[:1] != b'\x12' or len(payload) <= 7:
        return item
    return f.got_message(sender, payload[:7] + b'<text>', realtime)


def dump(transcript):
    return json.dumps({k: [f.describe(i) for i in v] for k, v in transcript.items()}, indent=1)
