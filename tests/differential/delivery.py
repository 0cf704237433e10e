# SPDX-License-Identifier: Apache-2.0
"""Section 4: messages and their acknowledgements, order, and what the published clients rely on (section 9)."""
import struct

import frames as f
from rows import row


@row('msg-exact', '4', 'a message goes to the one client of exactly that name')
def _(bus):
    a = bus.client('a')
    for name in ('b', 'b.c', 'B', 'bb', 'b '):
        bus.client(name)
    for name in ('b', 'b.c', 'B', 'bb', 'b '):
        a.message(name, 'for ' + name, f.PROCESSED)
    bus.settle()


@row('msg-unknown', '4', 'an unknown target is acked 71: no prefix, no mask, no empty name, no other case')
def _(bus):
    a = bus.client('a')
    bus.client('plc.one')
    for target in ('none', 'plc', 'plc.', 'plc.*', 'plc.?', '*', '?', '', 'PLC.ONE', 'plc.one ', '.none', 'plc.one%%0'):
        a.message(target, 'x', f.PROCESSED)
    bus.settle()


@row('msg-unknown-no-ack', '4', 'an unknown target in QoS 0 and 2 is dropped in silence')
def _(bus):
    a = bus.client('a')
    a.message('none', 'x')
    a.message('none', 'x', f.REALTIME)
    a.message('a', 'and on')
    bus.settle()


@row('msg-self', '4', 'a message to oneself comes before its acknowledgement')
def _(bus):
    a = bus.client('a')
    for qos in range(4):
        a.message('a', b'qos %d' % qos, qos)
    a.fence()


@row('msg-payloads', '3,4', 'a payload is any bytes, with NULs, none at all, or what looks like a frame')
def _(bus):
    a, b = bus.client('a'), bus.client('b')
    for payload in (b'', b'\0', b'\0\0\0', bytes(range(256)), b'\xff' * 9, f.frame(f.MESSAGE, f.to('a', 'inner'))):
        a.message('b', payload, f.PROCESSED)
    bus.settle()


@row('msg-long-names', '3', 'names of 1024 bytes as sender and target')
def _(bus):
    a, b = bus.client('a' * 1024), bus.client('b' * 1024)
    a.message('b' * 1024, 'x', f.PROCESSED)
    bus.settle()


@row('msg-gone', '4', 'a target that has gone is unknown')
def _(bus):
    watcher = bus.watcher()
    b = bus.client('b')
    b.close()
    watcher.wait_for(lambda i: b'unreg' in i and b'\xa1d\xa1b' in i)
    watcher.message('b', 'x', f.PROCESSED)
    watcher.fence()


@row('msg-ack-queued', '4', 'the ack says that the frame is queued: it comes though the target never reads')
def _(bus):
    a, b = bus.client('a'), bus.client('b')
    for i in range(50):
        a.message('b', b'%d' % i, f.PROCESSED)
    a.fence()
    bus.note('acks before the target read', len(a.items))
    b.fence()


@row('msg-transports', '3,4', 'UNIX and TCP clients reach each other with the same bytes', listen=('unix', 'tcp', 'tcp6'))
def _(bus):
    names = {'unix': bus.client('u', 'unix'), 'tcp': bus.client('t', 'tcp'), 'tcp6': bus.client('six', 'tcp6')}
    for sender in names.values():
        for target in ('u', 't', 'six'):
            sender.message(target, 'x', f.PROCESSED)
    bus.settle()


@row('order-mixed', '4', 'frames from one sender to one receiver arrive in order, whatever their kind and QoS')
def _(bus):
    a, b = bus.client('a'), bus.client('b')
    b.subscribe('t')
    b.fence()
    for i in range(400):
        number, qos = struct.pack('<I', i), i * 7 % 4
        if i % 3 == 0:
            a.message('b', number, qos)
        elif i % 3 == 1:
            a.broadcast('b', number, qos)
        elif i % 2:
            a.publish('t', number, qos)
        else:
            a.publish_for('t', 'b', number, qos)
    bus.settle()


@row('order-sizes', '4', 'small and large frames of one sender keep their order')
def _(bus):
    a = bus.client('a')
    for i in range(60):
        a.message('a', bytes([i]) * (1 << i % 18), i % 4)
        if i % 10 == 9:
            a.fence()


@row('clients-empty-body', '9', 'subscribe, exclude and their opposites with an empty body are acknowledged 01')
def _(bus):
    a = bus.client('a')
    for op in (f.SUBSCRIBE, f.EXCLUDE, f.UNEXCLUDE, f.UNSUBSCRIBE):
        a.op(op, b'', f.PROCESSED)
    a.fence()


@row('clients-reconnect', '9', 'a client may come back under the name that it has just given up: no 76 in 300 times',
     ours={'notes': [('refused', 0)]})
def _(bus):
    refused = 0
    for _ in range(300):
        peer = bus.connect('again')
        peer.register('a')
        refused += peer.items[2:3] != [b'\x01']
        peer.close()
        bus.peers.remove(peer)
    bus.note('refused', refused)


@row('clients-reconnect-half', '9', 'a name is free when its holder has ended its side, though the end is unread',
     ours={'notes': [('refused', 0)]})
def _(bus):
    refused, open_still = 0, []
    for _ in range(300):
        peer = bus.connect('again')
        peer.register('a')
        refused += peer.items[2:3] != [b'\x01']
        peer.shut()
        bus.peers.remove(peer)
        open_still.append(peer)
    bus.note('refused', refused)


@row('clients-reconnect-secondary', '9', 'the same for a secondary', ours={'notes': [('refused', 0)]})
def _(bus):
    bus.client('a')
    refused = 0
    for _ in range(300):
        peer = bus.connect('again')
        peer.register('a%%7')
        refused += peer.items[2:3] != [b'\x01']
        peer.close()
        bus.peers.remove(peer)
    bus.note('refused', refused)
