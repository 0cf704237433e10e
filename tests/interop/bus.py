# SPDX-License-Identifier: Apache-2.0
"""A bare BUS/RT client on a socket, for what the published clients cannot show or do: it sees every
byte of a frame, the realtime flag included. With it a small MessagePack reader."""

import collections
import socket
import struct

PUBLISH, SUBSCRIBE, MESSAGE, BROADCAST, ACK, PING = 0x01, 0x02, 0x12, 0x13, 0xFE, 0x00
KINDS = {PUBLISH: 'publish', MESSAGE: 'message', BROADCAST: 'broadcast'}

Frame = collections.namedtuple('Frame', 'kind sender topic realtime payload')


def connect_socket(path, timeout):
    if path.startswith('/'):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(timeout)
        sock.connect(path)
        return sock
    host, port = path.rsplit(':', 1)
    sock = socket.create_connection((host, int(port)), timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


class Bare:
    """One connection under one name."""

    def __init__(self, path, name, timeout=10):
        self.name = name
        self.op_id = 0
        self.frames = collections.deque()
        self.sock = connect_socket(path, timeout)
        self._handshake(name.encode())

    def _handshake(self, name):
        greeting = self._read(3)
        if greeting != b'\xeb\x01\x00':
            raise AssertionError(f'greeting is {greeting.hex()}')
        self.sock.sendall(greeting)
        answers = self._read(1)
        self.sock.sendall(struct.pack('<H', len(name)) + name)
        answers += self._read(1)
        if answers != b'\x01\x01':
            raise AssertionError(f'handshake answered {answers.hex()}')

    def _read(self, size):
        data = bytearray()
        while len(data) < size:
            part = self.sock.recv(size - len(data))
            if not part:
                raise ConnectionError('the broker closed the connection')
            data += part
        return bytes(data)

    def post(self, op, body, qos=0):
        """Sends one frame and returns its op id."""
        self.op_id += 1
        self.sock.sendall(struct.pack('<IBI', self.op_id, op | qos << 6, len(body)) + body)
        return self.op_id

    def acked(self, op, body, qos=1):
        """Sends one frame and returns the code of its acknowledgement."""
        op_id = self.post(op, body, qos)
        while True:
            answer = self._receive()
            if isinstance(answer, Frame):
                self.frames.append(answer)
            else:
                if answer[0] != op_id:
                    raise AssertionError(f'acknowledgement of {answer[0]} instead of {op_id}')
                return answer[1]

    def frame(self):
        """The next frame that came, in order."""
        if self.frames:
            return self.frames.popleft()
        answer = self._receive()
        if not isinstance(answer, Frame):
            raise AssertionError(f'unexpected acknowledgement {answer}')
        return answer

    def _receive(self):
        while True:
            kind, length, last = struct.unpack('<BIB', self._read(6))
            if kind == ACK:
                return length, last
            if kind != PING:
                return self._frame(kind, last, self._read(length))

    def _frame(self, kind, realtime, body):
        topic = None
        sender, payload = body.split(b'\0', 1)
        if kind == PUBLISH:
            topic, payload = payload.split(b'\0', 1)
            topic = topic.decode()
        return Frame(KINDS[kind], sender.decode(), topic, bool(realtime), payload)

    def subscribe(self, *topics):
        code = self.acked(SUBSCRIBE, b'\0'.join(t.encode() for t in topics))
        if code != 1:
            raise AssertionError(f'subscription answered {code:#x}')

    def publish(self, topic, payload, qos=0):
        self.post(PUBLISH, topic.encode() + b'\0' + payload, qos)

    def send(self, target, payload, qos=0):
        self.post(MESSAGE, target.encode() + b'\0' + payload, qos)

    def call(self, target, method, params=b'', qos=1, call_id=7):
        """Sends an RPC request and returns the payload of the frame that answers it."""
        body = b'\x01' + struct.pack('<I', call_id) + method.encode() + b'\0' + params
        message = target.encode() + b'\0' + body
        if qos & 1:
            if (code := self.acked(MESSAGE, message, qos)) != 1:
                raise AssertionError(f'call answered {code:#x}')
        else:
            self.post(MESSAGE, message, qos)
        return self.frame()

    def close(self):
        self.sock.close()


def unpack(data):
    """Decodes one MessagePack value, all of data."""
    value, end = _unpack(data, 0)
    if end != len(data):
        raise AssertionError(f'{len(data) - end} bytes after the MessagePack value')
    return value


SCALARS = {0xcc: '>B', 0xcd: '>H', 0xce: '>I', 0xcf: '>Q', 0xd0: '>b', 0xd1: '>h', 0xd2: '>i',
           0xd3: '>q', 0xca: '>f', 0xcb: '>d'}
CONSTANTS = {0xc0: None, 0xc2: False, 0xc3: True}
SIZED = {0xd9: (str, '>B'), 0xda: (str, '>H'), 0xdb: (str, '>I'), 0xc4: (bytes, '>B'),
         0xc5: (bytes, '>H'), 0xc6: (bytes, '>I'), 0xdc: (list, '>H'), 0xdd: (list, '>I'),
         0xde: (dict, '>H'), 0xdf: (dict, '>I')}


def _number(data, at, form):
    size = struct.calcsize(form)
    return struct.unpack(form, data[at:at + size])[0], at + size


def _unpack(data, at):
    tag = data[at]
    at += 1
    if tag < 0x80:
        return tag, at
    if tag >= 0xe0:
        return tag - 256, at
    if tag in CONSTANTS:
        return CONSTANTS[tag], at
    if tag in SCALARS:
        return _number(data, at, SCALARS[tag])
    if tag in SIZED:
        kind, form = SIZED[tag]
        count, at = _number(data, at, form)
    elif tag >= 0xa0:
        kind, count = str, tag & 0x1f
    else:
        kind, count = (list if tag >= 0x90 else dict), tag & 0x0f
    return _container(data, at, kind, count)


def _container(data, at, kind, count):
    if kind in (str, bytes):
        raw = data[at:at + count]
        return (raw.decode() if kind is str else raw), at + count
    items = []
    for _ in range(count * (2 if kind is dict else 1)):
        item, at = _unpack(data, at)
        items.append(item)
    return (dict(zip(items[::2], items[1::2])) if kind is dict else items), at


def pack_text_map(pairs):
    """Encodes a small map of short texts: what client.list takes."""
    out = bytes([0x80 | len(pairs)])
    for text in (t for pair in pairs.items() for t in pair):
        out += bytes([0xd9, len(text.encode())]) + text.encode()
    return out
