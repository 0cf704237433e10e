# SPDX-License-Identifier: Apache-2.0
"""Section 1: secondary clients."""
import frames as f
from rows import row


@row('sec-needs-primary', '1', 'the primary must be registered, else 71')
def _(bus):
    bus.connect('early').register('plc.1%%0')
    bus.client('plc.1')
    bus.connect('then').register('plc.1%%0')
    bus.connect('other').register('plc%%0')


@row('sec-first-separator', '1', 'the primary is what stands before the first %%')
def _(bus):
    bus.client('a')
    for name in ('a%%1', 'a%%1%%2', 'a%%b.c', 'b%%a', 'a%%1%1', 'a%%%', 'a.b%%1'):
        bus.connect(name).register(name)


@row('sec-of-secondary', '1', 'a%%1%%2 belongs to a, with or without a%%1')
def _(bus):
    bus.client('a')
    bus.client('a%%1%%2')
    bus.client('a%%1')
    bus.settle()


@row('sec-busy', '1', 'a secondary\'s name that is taken is refused with 76')
def _(bus):
    bus.client('a')
    bus.client('a%%1')
    bus.connect('second').register('a%%1')
    bus.settle(bus.peers[1])


@row('sec-peer', '1,4', 'a secondary is its own peer: messages to its full name, and under its own name as sender')
def _(bus):
    a, one, b = bus.client('a'), bus.client('a%%1'), bus.client('b')
    b.message('a%%1', 'to the secondary', f.PROCESSED)
    b.message('a', 'to the primary', f.PROCESSED)
    one.message('b', 'from the secondary', f.PROCESSED)
    one.message('a', 'to its primary', f.PROCESSED)
    a.message('a%%1', 'to its secondary', f.PROCESSED)
    one.broadcast('b', 'broadcast', f.PROCESSED)
    b.subscribe('t')
    b.fence()
    one.publish('t', 'publication', f.PROCESSED)
    bus.settle()


@row('sec-subscriptions', '1', 'a secondary has subscriptions of its own')
def _(bus):
    a, one = bus.client('a'), bus.client('a%%1')
    one.subscribe('t')
    one.fence()
    a.publish('t', 'x', f.PROCESSED)
    bus.settle()


@row('sec-go', '1', 'when the primary goes, its secondaries go; one unreg is announced')
def _(bus):
    watcher = bus.watcher()
    a = bus.client('a')
    seconds = [bus.client(f'a%%{i}') for i in range(5)]
    bus.client('a.b')
    a.close()
    for peer in seconds:
        peer.drain()
    for i in range(5):
        watcher.message(f'a%%{i}', 'x', f.PROCESSED)
    watcher.broadcast('*', 'who is left', f.PROCESSED)
    bus.settle()


@row('sec-goes-alone', '1', 'when a secondary goes, its primary and the other secondaries stay; nothing is announced')
def _(bus):
    watcher = bus.watcher()
    a, one, two = bus.client('a'), bus.client('a%%1'), bus.client('a%%2')
    one.op(0x3F)
    one.drain()
    a.message('a%%2', 'x', f.PROCESSED)
    a.message('a%%1', 'x', f.PROCESSED)
    bus.settle(a, two, watcher)
    bus.client('a%%1', label='again').fence()


@row('sec-again', '1', 'after its primary came back, the same secondary name can be used again')
def _(bus):
    watcher = bus.watcher()
    for round_ in range(3):
        a = bus.client('a', label=f'primary {round_}')
        one = bus.client('a%%1', label=f'secondary {round_}')
        one.message('a', 'x', f.PROCESSED)
        bus.settle(one, a)
        a.close()
        one.drain()
        watcher.wait_for(lambda i: b'unreg' in i, since=len(watcher.items) - 1)
    watcher.fence()


@row('sec-not-announced', '1,6', 'registration and end of a secondary are not announced')
def _(bus):
    watcher = bus.watcher()
    bus.client('a')
    one = bus.client('a%%1')
    one.op(0x3F)
    one.drain()
    watcher.fence()
