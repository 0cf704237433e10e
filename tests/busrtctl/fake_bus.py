# SPDX-License-Identifier: Apache-2.0
"""A D-Bus message bus with org.busrt1 on it that answers what a test wants it to answer, also what no bus and no broker
would: answers of other types, errors, nothing at all, the end of the connection.

It serves one connection after the other and knows little-endian messages alone, as sd-bus sends them on such machines.
"""
import os
import socket
import struct

from tool import FakeServer

CALL, RETURN, ERROR, SIGNAL = 1, 2, 3, 4
ALIGNMENT = {'y': 1, 'g': 1, 'v': 1, 'b': 4, 'u': 4, 's': 4, 'o': 4, 'a': 4, 't': 8, '(': 8, '{': 8}
MAY_ASK = 4  # a flag of calls: a password may be asked for
SILENCE, HANG_UP = object(), object()
BUS = 'org.freedesktop.DBus'


def first_type(signature):
    """The first complete type, and the rest."""
    if signature[0] == 'a':
        inner, rest = first_type(signature[1:])
        return 'a' + inner, rest
    if signature[0] not in '({':
        return signature[0], signature[1:]
    depth = 0
    for i, c in enumerate(signature):
        depth += (c in '({') - (c in ')}')
        if depth == 0:
            return signature[:i + 1], signature[i + 1:]
    raise ValueError(signature)


def pad(out, alignment):
    out += bytes(-len(out) % alignment)


def put(out, signature, value):
    """Appends one value of that complete type."""
    kind = signature[0]
    pad(out, ALIGNMENT[kind])
    if kind == 'y':
        out += bytes([value])
    elif kind in 'bu':
        out += struct.pack('<I', value)
    elif kind == 't':
        out += struct.pack('<Q', value)
    elif kind in 'so':
        data = value if isinstance(value, bytes) else value.encode()
        out += struct.pack('<I', len(data)) + data + b'\0'
    elif kind == 'g':
        out += bytes([len(value)]) + value.encode() + b'\0'
    elif kind == 'v':
        put(out, 'g', value[0])
        put(out, value[0], value[1])
    elif kind == 'a':
        start = len(out)
        out += bytes(4)
        pad(out, ALIGNMENT[signature[1]])
        first = len(out)
        for item in value.items() if isinstance(value, dict) else value:
            put(out, signature[1:], item)
        out[start:start + 4] = struct.pack('<I', len(out) - first)
    else:
        put_all(out, signature[1:-1], value)


def put_all(out, signature, values):
    for value in values:
        kind, signature = first_type(signature)
        put(out, kind, value)


def message(kind, serial, fields, signature='', values=(), flags=1):
    """fields: number -> (type, value)."""
    body, out = bytearray(), bytearray()
    put_all(body, signature, values)
    if signature:
        fields = {**fields, 8: ('g', signature)}
    out += struct.pack('<cBBBII', b'l', kind, flags, 1, len(body), serial)
    put(out, 'a(yv)', list(fields.items()))
    pad(out, 8)
    return bytes(out + body)


class Call:
    """What came: path, interface, member, flags, and the bytes of its arguments."""

    def __init__(self, head, fields, body):
        self.flags, self.serial, self.body = head[2], head[5], body
        self.path, self.interface, self.member, self.destination = (fields.get(i) for i in (1, 2, 3, 6))
        if self.interface == BUS + '.Properties':
            self.member += ' ' + self.texts()[0].rpartition('.')[2]  # "GetAll Manager"

    def texts(self):
        """Leading arguments that are texts; an argument of another type ends them."""
        found, at = [], 0
        while at + 4 <= len(self.body):
            length = struct.unpack_from('<I', self.body, at)[0]
            text = self.body[at + 4:at + 4 + length]
            if len(text) < length or self.body[at + 4 + length:at + 5 + length] != b'\0':
                break
            found.append(text.decode())
            at += 5 + length
            at += -at % 4
        return found


def read_fields(data):
    """Those of a header that are texts."""
    found, at = {}, 0
    while at < len(data):
        at += -at % 8
        number, kind = data[at], data[at + 2:at + 3].decode()
        at += 4
        if kind == 'g':
            at += data[at] + 2
        elif kind == 'u':
            at += 4
        else:
            length = struct.unpack_from('<I', data, at)[0]
            found[number] = data[at + 4:at + 4 + length].decode()
            at += 5 + length
    return found


class FakeBus(FakeServer):
    """answers: member -> (signature, *values), ('error', name, text), SILENCE, HANG_UP, or a function of the call that
    gives one of these. Members of org.freedesktop.DBus.Properties are "Get Manager" and the like. calls are those that
    have come."""

    def __init__(self, path, answers, silent=False):
        self.path, self.answers, self.silent = path, answers, silent
        self.calls, self.serial = [], 0
        super().__init__(path)

    def talk(self, client, stream):
        while self.silent:
            if not stream.read(1):
                return
        stream.read(1)
        while (line := stream.readline()) != b'BEGIN\r\n':
            if not line:
                return
            client.sendall({b'AUTH EXTERNAL\r\n': b'DATA\r\n', b'DATA\r\n': b'OK ' + b'0' * 31 + b'1\r\n'}.get(
                line, b'AGREE_UNIX_FD\r\n'))
        while self.answer(client, self.read(stream)):
            pass

    def read(self, stream):
        def exactly(n):
            data = stream.read(n)
            if len(data) < n:
                raise EOFError
            return data
        head = struct.unpack('<cBBBIII', exactly(16))
        fields = read_fields(exactly(head[6]))
        exactly(-head[6] % 8)
        return Call(head, fields, exactly(head[4]))

    def answer(self, client, call):
        """False: that was all."""
        if call.member in ('Hello', 'AddMatch', 'RemoveMatch'):
            answer = ('s', ':1.1') if call.member == 'Hello' else ('',)
        else:
            self.calls.append(call)
            answer = self.answers.get(call.member, ('error', BUS + '.Error.UnknownMethod', 'unknown: ' + call.member))
        if callable(answer):
            answer = answer(call)
        if answer is SILENCE:
            return True
        if answer is HANG_UP:
            return False
        self.reply(client, call, answer)
        return True

    def reply(self, client, call, answer):
        self.serial += 1
        sender = BUS if call.destination == BUS else ':1.0'
        fields = {5: ('u', call.serial), 6: ('s', ':1.1'), 7: ('s', sender)}
        if answer[0] == 'error':
            data = message(ERROR, self.serial, {**fields, 4: ('s', answer[1])}, 's', [answer[2]])
        else:
            data = message(RETURN, self.serial, fields, answer[0], answer[1:])
        client.sendall(data)

    def signal(self, path, interface, member, signature, *values, sender=':1.0'):
        self.serial += 1
        self.client.sendall(message(SIGNAL, self.serial, {1: ('o', path), 2: ('s', interface), 3: ('s', member),
                                                          7: ('s', sender)}, signature, values))

    def hang_up(self):
        self.client.shutdown(socket.SHUT_RDWR)

    def members(self):
        return [call.member for call in self.calls]

    def close(self):
        super().close()
        os.unlink(self.path)
