# SPDX-License-Identifier: Apache-2.0
"""Clients that call `.broker`."""
import os
import struct
import sys

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'differential'))
import mp  # noqa: E402
from bus import ACK, MESSAGE, Client  # noqa: E402


class Error(Exception):
    def __init__(self, number, code, text):
        super().__init__(f'{code}: {text}')
        self.number, self.code, self.text = number, code, text


class Caller(Client):
    """A client that calls `.broker`."""

    calls = 0

    def begin(self, method, params=b''):
        """The id of a call whose reply is still to come."""
        self.calls += 1
        self.send(MESSAGE, self.request(self.calls, method, params))
        return self.calls

    @staticmethod
    def request(number, method, params=b''):
        return b'.broker\0\x01' + struct.pack('<I', number) + method.encode() + b'\0' + params

    def call_without_reply(self, method, params=b''):
        self.send(MESSAGE, self.request(0, method, params))

    def reply(self):
        """(id, result); errors are raised."""
        while True:
            kind, payload, sender = self.receive()
            if kind != ACK and sender == '.broker' and payload[0] in (0x11, 0x12):
                number = struct.unpack_from('<I', payload, 1)[0]
                if payload[0] == 0x12:
                    raise Error(number, struct.unpack_from('<h', payload, 5)[0], payload[7:].decode())
                return number, mp.unpack(payload[5:])

    def call(self, method, **params):
        number = self.begin(method, mp.pack(params) if params else b'')
        about, result = self.reply()
        assert about == number
        return result
