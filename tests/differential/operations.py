# SPDX-License-Identifier: Apache-2.0
"""Section 2 and 3: every operation in every QoS, the frames that come of it, acknowledgements, pings, split input."""
import struct

import frames as f
from rows import row

QOS = ('no', 'processed', 'realtime', 'realtime + processed')


def play_operation(bus, op, qos):
    """Uses one operation so that its effect is seen: a is the actor, b and c are others that may be reached."""
    a, b = bus.client('a'), bus.client('b')
    if op in (f.UNSUBSCRIBE, f.EXCLUDE, f.UNEXCLUDE):
        a.subscribe('t', 'u', 'v')
        if op == f.UNEXCLUDE:
            a.exclude('t', 'u')
    if op in (f.PUBLISH, f.PUBLISH_FOR):
        b.subscribe('t')
        bus.client('c').subscribe('t')
    bus.settle()
    body = {f.PUBLISH: f.to('t', 'payload'), f.PUBLISH_FOR: f.to_for('t', 'b', 'payload'), f.MESSAGE: f.to('b', 'payload'),
            f.BROADCAST: f.to('?', 'payload')}.get(op, f.topics('t', 'u'))
    a.op(op, body, qos, 0xA0B0C0D0)
    bus.settle()
    for topic in ('t', 'u', 'v'):
        b.publish(topic, 'probe')
    bus.settle()


for op, name in f.OPERATIONS.items():
    for qos in range(4):
        @row(f'op-{name}-{qos}', '2,3', f'{name} in QoS {QOS[qos]}: its effect, the realtime byte, an ack only if asked for')
        def _(bus, op=op, qos=qos):
            play_operation(bus, op, qos)


@row('op-id-echoed', '2,3', 'the op id is the client\'s and comes back as it was; it may repeat')
def _(bus):
    a = bus.client('a')
    for op_id in (0, 1, 1, 0x01020304, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF):
        a.op(f.SUBSCRIBE, 't', f.PROCESSED, op_id)
    a.fence()


@row('op-ack-shape', '3', 'an acknowledgement is exactly 6 bytes: FE, op id, code', ours={'a': [bytes.fromhex('fe0403020101')]},
     reference={'a': [bytes.fromhex('fe0403020101')]})
def _(bus):
    a = bus.client('a')
    a.op(f.SUBSCRIBE, 't', f.PROCESSED, 0x01020304)
    a.fence()


@row('op-frame-shape', '3', 'kind, length, realtime byte, sender, 00, topic and 00 for a publication, payload',
     ours={'b': [bytes.fromhex('120500000000') + b'a\0one', bytes.fromhex('130500000001') + b'a\0two',
                 bytes.fromhex('010900000000') + b'a\0t/x\0pub']},
     reference={'b': [bytes.fromhex('120500000000') + b'a\0one', bytes.fromhex('130500000001') + b'a\0two',
                      bytes.fromhex('010900000000') + b'a\0t/x\0pub']})
def _(bus):
    a, b = bus.client('a'), bus.client('b')
    b.subscribe('t/x', qos=0)
    b.fence()
    a.message('b', 'one')
    a.broadcast('b', 'two', f.REALTIME)
    a.publish('t/x', 'pub')
    bus.settle()


@row('op-never-two-acks', '2,9', 'no acknowledgement in QoS 0 and 2, exactly one in 1 and 3, for every operation')
def _(bus):
    a = bus.client('a')
    for op in f.OPERATIONS:
        body = f.to_for('a', 'a', 'p')
        for qos in range(4):
            a.op(op, body, qos, op << 8 | qos)
    a.fence()


@row('op-ping-quiet', '2', 'a ping is nine bytes of zero and is not answered')
def _(bus):
    a = bus.client('a')
    for _ in range(3):
        a.ping()
    a.subscribe('t')
    a.fence()


@row('op-ping-length', '2', 'a ping has no body whatever its length field holds; its op id does not matter')
def _(bus):
    a = bus.client('a')
    for length in (1, 5, 1 << 20, 0x7FFFFFFF, 0xFFFFFFFF):
        a.op(0, b'', 0, 0x11223344, length)
        a.subscribe('t')
    a.fence()


for qos in (1, 2, 3):
    @row(f'op-zero-text-{qos}', '2', f'operation 0 in QoS {QOS[qos]} with text and a 00 is ignored, without an ack')
    def _(bus, qos=qos):
        a = bus.client('a')
        for body in (b'\0', b'abc\0', b'abc\0def', b'abc\0\xff\xfe', 'é'.encode() + b'\0'):
            a.op(0, body, qos)
        a.subscribe('t')
        a.fence()

for ident, body in (('empty', b''), ('no-nul', b'abc'), ('not-utf8', b'ab\xff\0')):
    @row(f'op-zero-{ident}', '2', 'operation 0 in QoS realtime with any other body ends the connection')
    def _(bus, body=body):
        a, b = bus.client('a'), bus.client('b')
        a.fence()
        a.op(0, body, f.REALTIME)
        a.drain()
        b.message('b', 'lives', f.PROCESSED)
        b.fence()


@row('op-zero-body-read', '2', 'the body of an operation 0 with QoS bits is waited for')
def _(bus):
    a = bus.client('a')
    a.send(f.frame(0, b'', f.REALTIME, 1, 20))
    a.send(f.frame(f.SUBSCRIBE, b't', f.PROCESSED, 2))  # ten of these bytes are that body ...
    a.send(b'0123456789')                                # ... and these too
    a.subscribe('u')
    a.fence()


# --- split input ---

def everything():
    """A stream that holds every operation, for a client named a that talks to itself."""
    return b''.join((
        f.frame(f.SUBSCRIBE, f.topics('t', 'u/#'), 1, 1), f.PING_FRAME, f.frame(f.PUBLISH, f.to('t', 'p'), 3, 2),
        f.frame(f.EXCLUDE, 'u/x', 1, 3), f.frame(f.PUBLISH, f.to('u/x', 'no'), 1, 4), f.frame(f.UNEXCLUDE, 'u/x', 1, 5),
        f.frame(f.PUBLISH_FOR, f.to_for('u/x', 'a', 'for'), 2, 6), f.frame(f.MESSAGE, f.to('a', 'm'), 1, 7),
        f.frame(f.BROADCAST, f.to('*', 'b'), 1, 8), f.frame(f.UNSUBSCRIBE, 't', 3, 9), f.frame(f.PUBLISH, f.to('t', ''), 1, 10),
        f.frame(f.MESSAGE, f.to('x', 'm'), 1, 11), f.frame(0, b'z\0', 1, 12)))


for kind in ('unix', 'tcp', 'tcp6'):
    @row('split-bytes-' + kind, '2', f'every operation fed one byte at a time gives the same bytes ({kind})', listen=('unix', kind)
         if kind != 'unix' else ('unix',))
    def _(bus, kind=kind):
        a = bus.client('a', kind)
        a.drip(everything())
        a.fence()


@row('split-everywhere', '2', 'a stream of every operation, cut in two at every place, gives the same bytes')
def _(bus):
    data = everything()
    for at in range(len(data) + 1):
        a = bus.client('a', label=f'cut at {at}')
        a.send(data[:at])
        a.wait_taken()
        a.send(data[at:])
        a.fence()
        a.shut()
        a.drain()


@row('split-three', '2', 'frames in chunks of 2 to 40 bytes give the same bytes')
def _(bus):
    data = everything()
    for size in range(2, 41):
        a = bus.client('a', label=f'chunks of {size}')
        for at in range(0, len(data), size):
            a.send(data[at:at + size])
            a.wait_taken()
        a.fence()
        a.shut()
        a.drain()


@row('split-large', '2', 'a large body that arrives in pieces, with frames before and after it')
def _(bus):
    a = bus.client('a')
    body = f.to('a', bytes(range(256)) * 2000)
    data = f.frame(f.MESSAGE, f.to('a', 'first')) + f.frame(f.MESSAGE, body, 1, 5) + f.frame(f.MESSAGE, f.to('a', 'last'))
    for at in range(0, len(data), 65537):
        a.send(data[at:at + 65537])
        a.wait_taken()
    a.fence()


@row('split-many', '2', 'thousands of small frames in one write are all handled, in order')
def _(bus):
    a = bus.client('a')
    a.send(b''.join(f.frame(f.MESSAGE, f.to('a', struct.pack('<I', i)), 1, i) for i in range(3000)))
    a.fence()


for size in (0, 1, 5, 1000, 16383, 16384, 65535, 65536, 131072, 1 << 20, 8 << 20):
    @row(f'body-{size}', '2,9', f'a payload of {size} bytes goes through whole' + (' (bodies of 8 MiB are in use)' if size == 8 << 20 else ''))
    def _(bus, size=size):
        a, b = bus.client('a'), bus.client('b')
        payload = (bytes(range(251)) * (size // 251 + 1))[:size]
        a.message('b', payload, f.PROCESSED)
        b.wait_for(lambda i: i[0] == f.MESSAGE)
        bus.settle()
