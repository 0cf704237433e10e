# SPDX-License-Identifier: Apache-2.0
"""Section 4: how a connection ends, and what still arrives."""
import socket
import struct

import frames as f
from bus import check
from rows import row


def numbered(count):
    return b''.join(f.frame(f.MESSAGE, f.to('a', b'%d' % i), f.PROCESSED, i) for i in range(count))


def whole(count, *after):
    expected = []
    for i in range(count):
        expected += [f.got_message('a', b'%d' % i), f.got_ack(i)]
    return {'a': expected + list(after) + [f.EOF]}


@row('close-half', '4', 'a client that has ended its side still gets all answers; the reference loses some', ours=whole(500))
def _(bus):
    a = bus.client('a')
    a.send(numbered(500))
    a.shut()
    a.drain()


@row('close-broken', '4', 'before a connection that broke the protocol ends, what was queued is written', ours=whole(500))
def _(bus):
    a = bus.client('a')
    a.send(numbered(500), f.frame(0x3F))
    a.drain()


@row('close-broken-acked', '4', 'the same with an ack wanted for the broken frame: 72 is the last', ours=whole(500, f.got_ack(77, f.DATA)))
def _(bus):
    a = bus.client('a')
    a.send(numbered(500), f.frame(0x3F, b'', f.PROCESSED, 77))
    a.drain()


def from_others(end):
    """b queues 300 frames for a, which has not read any; then a ends."""
    def play(bus):
        a, b = bus.client('a'), bus.client('b')
        for i in range(300):
            b.message('a', b'%d' % i + bytes(1000), f.PROCESSED)
        b.fence()
        check(all(i[5] == f.OK for i in b.items), 'not everything was acknowledged')
        end(a)
        a.drain()
    return play


FROM_OTHERS = {'a': [f.got_message('b', b'%d' % i + bytes(1000)) for i in range(300)] + [f.EOF]}
row('close-half-others', '4', 'what others have queued for a client that ends its side is written before the end',
    ours=FROM_OTHERS)(from_others(lambda a: a.shut()))
row('close-broken-others', '4', 'what others have queued for a client that breaks the protocol is written before the end',
    ours=FROM_OTHERS)(from_others(lambda a: a.op(0x3F)))


@row('close-half-idle', '4', 'a client that ends its side while nothing is queued: the broker ends the connection')
def _(bus):
    watcher, a = bus.watcher(), bus.client('a')
    a.shut()
    a.drain()
    watcher.fence()


for kind in ('unix', 'tcp'):
    @row('close-abrupt-' + kind, '4,6', f'a client that goes with answers unread is announced once, and its name is free ({kind})',
         listen=('unix', 'tcp'))
    def _(bus, kind=kind):
        watcher = bus.watcher()
        for i in range(5):
            a = bus.client('a', kind, label=f'a {i}')
            a.send(numbered(100))
            a.close()
            watcher.wait_for(lambda item: b'unreg' in item, since=len(watcher.items))
        watcher.fence()


@row('close-reset', '4,6', 'a connection that is reset ends as any other', listen=('unix', 'tcp'))
def _(bus):
    watcher = bus.watcher()
    for i in range(5):
        a = bus.client('a', 'tcp', label=f'a {i}')
        a.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        a.close()
        watcher.wait_for(lambda item: b'unreg' in item, since=len(watcher.items))
    watcher.fence()


@row('close-mid-frame', '2', 'a frame cut off at any byte is not delivered, not even in part')
def _(bus):
    watcher, b = bus.watcher(), bus.client('b')
    data = f.frame(f.MESSAGE, f.to('b', 'whole frames only'), f.PROCESSED)
    for at in range(len(data)):
        a = bus.client('a', label=f'cut at {at}')
        a.send(data[:at])
        a.wait_taken()
        a.close()
        watcher.wait_for(lambda item: b'unreg' in item, since=len(watcher.items))
    bus.settle(b, watcher)


@row('close-whole-then-gone', '4', 'what a client had sent whole before it went is delivered')
def _(bus):
    watcher, b = bus.watcher(), bus.client('b')
    for i in range(20):
        a = bus.client('a', label=f'a {i}')
        a.send(b''.join(f.frame(f.MESSAGE, f.to('b', b'%d.%d' % (i, j))) for j in range(20)))
        a.close()
        watcher.wait_for(lambda item: b'unreg' in item, since=len(watcher.items))
    b.fence()
    watcher.fence()
