# SPDX-License-Identifier: Apache-2.0
"""Section 6: what `.broker` announces, and how the broker stops."""
import os
import signal
import struct
import time

import frames as f
import mp
from bus import check
from rows import row

DAY = 86400 * 10**9


def announced(item):
    """The MessagePack value of an announcement."""
    return mp.unpack(f.split(item)[3])


@row('ann-reg', '6', 'a primary that comes or goes is announced on .broker/info: {s, d, t}, by .broker')
def _(bus):
    watcher = bus.watcher()
    for name in ('a', 'b.c', 'é', 'n' * 300):
        peer = bus.client(name)
        peer.close()
        watcher.wait_for(lambda i: b'unreg' in i, since=len(watcher.items))
    watcher.fence()


@row('ann-before-ok', '6', 'a registration is announced before the client is told that it is in')
def _(bus):
    watcher = bus.watcher()
    bus.client('a')
    watcher.fence()


@row('ann-not-own', '6', 'who subscribes after its registration does not hear of itself')
def _(bus):
    bus.watcher().fence()


@row('ann-shape', '6', 'the very bytes: a publication of realtime 0 with a map of s, d, t',
     ours={'notes': [('head', b'\x01\x2b\0\0\0\0.broker\0.broker/info\0\x83\xa1s\xa3reg\xa1d\xa1a\xa1t\xcf')]},
     reference={'notes': [('head', b'\x01\x2b\0\0\0\0.broker\0.broker/info\0\x83\xa1s\xa3reg\xa1d\xa1a\xa1t\xcf')]})
def _(bus):
    watcher = bus.watcher()
    bus.client('a')
    watcher.fence()
    bus.note('head', watcher.items[0][:-8])


@row('ann-time', '6', 't is the time of day in nanoseconds', ours={'notes': [('plausible', True)]}, reference={'notes': [('plausible', True)]})
def _(bus):
    watcher = bus.watcher()
    bus.client('a')
    watcher.fence()
    seen = announced(watcher.items[0])['t']
    bus.note('plausible', abs(seen - time.time_ns()) < DAY and struct.unpack('>Q', watcher.items[0][-8:])[0] == seen)


@row('ann-masks', '6', 'announcements come by any mask that matches, and can be excluded')
def _(bus):
    for name, masks in (('hash', ['#']), ('plus', ['.broker/+']), ('topic', ['.broker/info', '#']), ('warn', ['.broker/warn'])):
        bus.watcher(*masks, name=name)
    out = bus.watcher('#', name='out')
    out.exclude('.broker/info')
    out.fence()
    last = bus.client('last')
    last.op(0x3F)
    last.drain()
    bus.settle()


@row('ann-order', '6', 'announcements come in the order of the events')
def _(bus):
    watcher = bus.watcher()
    peers = [bus.client(f'c{i}') for i in range(30)]
    for peer in peers[::3]:
        peer.op(0x3F)
        peer.drain()
    watcher.fence()


def ordered_stop(number):
    """Everything that can be seen of a stop by a signal."""
    def play(bus):
        a, b = bus.client('a'), bus.client('b')
        bus.client('b%%1')
        t = bus.client('t', 'tcp')
        bus.watcher('.broker/info', name='watcher')
        b.unsubscribe('.broker/warn')
        bus.settle()
        bus.broker.terminate(number)
        a.wait_for(lambda i: b'shutdown' in i)
        bus.note('socket file is gone when the warning comes', not os.path.exists(bus.broker.unix))
        bus.note('FIFO is gone when the warning comes', not os.path.exists(bus.broker.fifo))
        for peer in bus.peers:
            peer.drain()
        bus.note('exit status', bus.broker.exit_status())
        bus.note('left over', sorted(set(os.listdir(bus.broker.dir)) - {'log'}))
        check(t.ended, 'TCP is still open')
    return play


for name in ('SIGTERM', 'SIGINT'):
    row('stop-' + name.lower(), '6,9', f'on {name} socket and FIFO files are removed, the warning is written to every client that did not '
        'unsubscribe, connections close, exit status 0', options={'-t': '3'}, listen=('unix', 'tcp', 'fifo'))(ordered_stop(getattr(signal, name)))


@row('stop-pid-file', '6', 'the file of -P holds the process id and is removed at the stop', options={'-P': 'busrtd.pid'})
def _(bus):
    bus.client('a').fence()
    with open(bus.broker.dir + '/busrtd.pid') as file:
        bus.note('pid', int(file.read()) == bus.broker.process.pid)
    bus.broker.terminate()
    bus.note('exit status', bus.broker.exit_status())
    bus.note('left over', sorted(set(os.listdir(bus.broker.dir)) - {'log'}))


@row('stop-queued', '9', 'what was queued before the stop is written before the warning and the end')
def _(bus):
    a, b = bus.client('a'), bus.client('b')
    for i in range(100):
        a.message('b', b'%d' % i, f.PROCESSED)
    a.fence()
    bus.broker.terminate()
    a.drain()
    b.drain()
    bus.note('exit status', bus.broker.exit_status())


@row('stop-idle', '6', 'a broker without clients stops with status 0')
def _(bus):
    bus.broker.terminate()
    bus.note('exit status', bus.broker.exit_status())
