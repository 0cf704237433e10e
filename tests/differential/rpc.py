# SPDX-License-Identifier: Apache-2.0
"""Section 5: RPC between clients, and how `.broker` treats what is no proper request."""
import struct

import frames as f
from bus import check, mask_error_text
from rows import row


def request_id(call_id):
    return struct.pack('<I', call_id)


@row('rpc-between-clients', '5', 'requests, replies, errors and notifications between clients are payloads, unchanged')
def _(bus):
    a, b = bus.client('a'), bus.client('b')
    for qos in range(4):
        a.message('b', f.request('method', b'\x80', 7), qos)
        b.message('a', f.reply(7, b'\xc3'), qos)
        b.message('a', f.error_reply(7, -32601, b'why'), qos)
        a.message('b', b'\0note', qos)
    bus.settle()


@row('rpc-ids', '5', 'the request\'s id comes back in the reply')
def _(bus):
    a = bus.client('a')
    for call_id in (1, 2, 255, 256, 0x01020304, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF):
        a.call('test', call_id=call_id)


@row('rpc-ack-first', '5', 'the acknowledgement of a call comes before its reply')
def _(bus):
    a = bus.client('a')
    for call_id in range(1, 6):
        a.call('test', call_id=call_id, qos=f.PROCESSED)
        a.call('no.such', call_id=call_id + 100, qos=f.PROCESSED | f.REALTIME)


for qos in range(4):
    @row(f'rpc-realtime-{qos}', '5,9', 'the reply is realtime where the request was, errors too; it is never asked to be acked')
    def _(bus, qos=qos):
        a = bus.client('a')
        a.call('test', qos=qos)
        a.call('no.such', qos=qos, call_id=2)
        a.fence()


def replies(transcript):
    """The ids of the replies in the order they came."""
    return [f.split(i)[3][1] for i in transcript['a'] if i[0] == f.MESSAGE]


def pipelined(bus):
    a = bus.client('a')
    a.send(b''.join(f.frame(f.MESSAGE, f.to('.broker', f.request('benchmark.test', b'x' * i, i)), 0, i) for i in range(1, 60)))
    for i in range(1, 60):
        a.reply(i)


row('rpc-pipelined', '5', 'replies to pipelined calls come in the order of the calls; the reference\'s may come in any order',
    ours=lambda t: check(replies(t) == list(range(1, 60)), f'the order was {replies(t)}'),
    reference=lambda t: check(sorted(replies(t)) == list(range(1, 60)), f'replies to {replies(t)}'))(pipelined)


def silence(*payloads):
    """The script: send these to .broker, then a call that is answered. Only that answer may come."""
    def play(bus):
        a = bus.client('a')
        for payload in payloads:
            a.message('.broker', payload, f.PROCESSED)
        for call_id in (91, 92):
            a.call('test', call_id=call_id)
        a.fence()
    return play


QUIET = [('notification', 'a notification is not answered', b'\0', b'\0payload', b'\0\x01\0\0\0test\0'),
         ('id-0', 'id 0 wants no reply, of a method that exists or not', f.request('test', b'', 0), f.request('no.such', b'', 0),
          f.request('test', b'\x80', 0), f.request('benchmark.test', b'x', 0)),
         ('no-nul', 'a request without the 00 after its method is not answered', b'\x01\x05\0\0\0test', b'\x01\x05\0\0\0t'),
         ('short', 'a request shorter than 6 bytes is not answered', b'\x01', b'\x01\x05', b'\x01\x05\0\0\0'),
         ('empty', 'an empty message is not answered', b''),
         ('kinds', 'other kind bytes are not answered', *(bytes([k]) + b'\x05\0\0\0test\0' for k in (2, 3, 0x10, 0x13, 0x7F, 0xFF))),
         ('replies', 'replies and errors that nobody asked for are not answered', f.reply(5, b'x'), f.error_reply(5, -1, b'x'), b'\x11',
          b'\x11\x05\0', b'\x12\x05\0\0\0', b'\x12')]

for ident, text, *payloads in QUIET:
    row('rpc-quiet-' + ident, '5', text)(silence(*payloads))


@row('rpc-quiet-broadcast', '5', 'an RPC inside a broadcast or a publication is not answered')
def _(bus):
    a = bus.client('a')
    a.unsubscribe('.broker/warn')
    for mask in ('*', '?.broker', '.broker', '?.?'):
        a.broadcast(mask, f.request('test', b'', 7), f.PROCESSED)
    a.publish('.broker/warn', f.request('test', b'', 7), f.PROCESSED)
    for call_id in (91, 92):
        a.call('test', call_id=call_id)
    a.fence()


ERRORS = [('method', 'no such method: -32601', ('no.such', b''), ('Test', b''), ('test ', b''), ('client.lis', b''), ('tests', b'')),
          ('empty-method', 'an empty method name: -32601', ('', b''), ('', b'params')),
          ('params-test', 'test with params, an empty map too: -32602', ('test', b'\x80'), ('test', b'\xc0'), ('test', b'\0')),
          ('params-info', 'info with params, an empty map too: -32602', ('info', b'\x80'), ('info', b'\xc0'), ('info', b'x')),
          ('params-stats', 'stats with params, an empty map too: -32602', ('stats', b'\x80'), ('stats', b'\x90'), ('stats', b'xyz')),
          ('utf8', 'a method name that is not UTF-8: -32114', (b'\xff', b''), (b'te\xc3st', b''), (b'test\xed\xa0\x80', b'x'))]

for ident, text, *calls in ERRORS:
    @row('rpc-error-' + ident, '5,6', text)
    def _(bus, calls=calls):
        a = bus.client('a')
        for call_id, (method, params) in enumerate(calls, 1):
            a.call(method, params, call_id=call_id)


@row('rpc-error-codes', '5', 'an error reply is kind 12, id, the code as i16, data',
     ours={'a': [f.got_ack(1), f.got_message('.broker', bytes.fromhex('1201000000a780'))]},
     reference={'a': [f.got_ack(1), f.got_message('.broker', bytes.fromhex('1201000000a780'))]})
def _(bus):
    bus.client('a').call('no.such')


@row('rpc-method-nul', '5', 'the method ends at the first 00; what follows are params')
def _(bus):
    a = bus.client('a')
    a.call('benchmark.test', b'\0\0params\0')
    a.call('test', b'\0', call_id=2)


@row('rpc-from-secondary', '5', 'a secondary calls under its own name and gets the reply itself')
def _(bus):
    bus.client('a')
    one = bus.client('a%%1')
    one.call('test')
    bus.settle()


@row('rpc-from-tcp', '5', 'the same calls over TCP', listen=('unix', 'tcp'), masks=(mask_error_text,))
def _(bus):
    a = bus.client('a', 'tcp')
    a.call('test')
    a.call('benchmark.test', b'payload', call_id=2)
    a.call('client.list', b'\xc1', call_id=3)


@row('rpc-caller-gone', '5', 'a caller that goes before its reply disturbs nobody')
def _(bus):
    b = bus.client('b')
    for i in range(20):
        a = bus.client('a' + str(i))
        a.message('.broker', f.request('benchmark.test', bytes(5000)))
        a.close()
    b.call('test')
    b.fence()
