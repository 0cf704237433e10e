# SPDX-License-Identifier: Apache-2.0
"""Bytes of the BUS/RT protocol: what a client sends, what a broker answers, and how to print it.

Functions whose names are verbs of a client (publish, subscribe, ...) build client frames; got_* build what a
broker is expected to send. Everything here is pure: bytes in, bytes out.
"""
import struct

PUBLISH, SUBSCRIBE, UNSUBSCRIBE, EXCLUDE, UNEXCLUDE, PUBLISH_FOR, MESSAGE, BROADCAST = 1, 2, 3, 4, 5, 6, 0x12, 0x13
OPERATIONS = {PUBLISH: 'publish', SUBSCRIBE: 'subscribe', UNSUBSCRIBE: 'unsubscribe', EXCLUDE: 'exclude',
              UNEXCLUDE: 'unexclude', PUBLISH_FOR: 'publish-for', MESSAGE: 'message', BROADCAST: 'broadcast'}
PROCESSED, REALTIME = 1, 2
ACK, PING = 0xFE, 0x00
OK, NOT_REGISTERED, DATA, NOT_SUPPORTED, BUSY, NOT_DELIVERED, ACCESS = 1, 0x71, 0x72, 0x75, 0x76, 0x77, 0x79
GREETING = b'\xeb\x01\x00'
PING_FRAME = bytes(9)
EOF = 'EOF'


def raw(value):
    return value.encode() if isinstance(value, str) else bytes(value)


def frame(op, body=b'', qos=0, op_id=0, length=None):
    """A client frame. length lies about the body when given."""
    body = raw(body)
    return struct.pack('<IBI', op_id, op | qos << 6, len(body) if length is None else length) + body


def named(name):
    """The client's name as the handshake wants it."""
    name = raw(name)
    return struct.pack('<H', len(name)) + name


def to(target, payload=b''):
    """Body of a message, broadcast or publication."""
    return raw(target) + b'\0' + raw(payload)


def to_for(topic, receiver, payload=b''):
    return raw(topic) + b'\0' + raw(receiver) + b'\0' + raw(payload)


def topics(*names):
    return b'\0'.join(raw(n) for n in names)


def got_ack(op_id, code=OK):
    return struct.pack('<BIB', ACK, op_id, code)


def _got(kind, body, realtime):
    return struct.pack('<BIB', kind, len(body), realtime) + body


def got_message(sender, payload=b'', realtime=0):
    return _got(MESSAGE, to(sender, payload), realtime)


def got_broadcast(sender, payload=b'', realtime=0):
    return _got(BROADCAST, to(sender, payload), realtime)


def got_publication(sender, topic, payload=b'', realtime=0):
    return _got(PUBLISH, to_for(sender, topic, payload), realtime)


def request(method, params=b'', call_id=1):
    """The payload of an RPC request."""
    return b'\x01' + struct.pack('<I', call_id) + raw(method) + b'\0' + raw(params)


def reply(call_id, result=b''):
    return b'\x11' + struct.pack('<I', call_id) + raw(result)


def error_reply(call_id, code, data=b''):
    return b'\x12' + struct.pack('<Ih', call_id, code) + raw(data)


def frame_size(data):
    """Bytes of the broker's frame that data begins with, or None while its header is incomplete."""
    if len(data) < 6:
        return None
    if data[0] in (ACK, PING):
        return 6
    if data[0] in (MESSAGE, BROADCAST, PUBLISH):
        return 6 + struct.unpack_from('<I', data, 1)[0]
    raise ValueError(f'the broker sent a frame of unknown kind {data[0]:#04x}: {data[:32].hex(" ")}')


def split(item):
    """(kind, sender, topic or None, payload, realtime) of a broker frame that is no acknowledgement or ping."""
    sender, _, rest = item[6:].partition(b'\0')
    topic = None
    if item[0] == PUBLISH:
        topic, _, rest = rest.partition(b'\0')
    return item[0], sender, topic, rest, item[5]


def describe(item):
    """One readable line for an item of a transcript."""
    if not isinstance(item, bytes):
        return repr(item)
    if len(item) == 6 and item[0] == ACK:
        return f'ack id={struct.unpack_from("<I", item, 1)[0]:#x} code={item[5]:02x}'
    if item == bytes(6):
        return 'ping'
    if len(item) > 6 and item[0] in (MESSAGE, BROADCAST, PUBLISH) and frame_size(item) == len(item):
        kind, sender, topic, payload, realtime = split(item)
        about = '' if topic is None else f' topic={topic[:60]!r}'
        return f'{OPERATIONS[kind]} from={sender[:60]!r}{about} rt={realtime} payload[{len(payload)}]={payload[:32]!r}'
    return f'bytes[{len(item)}] {item[:48].hex(" ")}'
