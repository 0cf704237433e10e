# SPDX-License-Identifier: Apache-2.0
"""Section 4: broadcasts and their masks."""
import frames as f
from rows import row

NAMES = ('pl', 'pl.a', 'pl.b', 'pl.a.x', 'pl.a.y', 'pl.b.x', 'pl.a.x.z', 'px.a', 'PL.a', 'pl.', 'a.pl', 'pl..x', 'a%%b.c', 'pl.*', 'q.?')

MASKS = [('exact', 'pl.a', 'a mask without ? and * reaches that name alone'),
         ('any', '?', '? is any one part'),
         ('any-last', 'pl.?', 'pl.? matches one more part'),
         ('any-first', '?.a', '? as first part'),
         ('any-middle', 'pl.?.x', '? in the middle, also for an empty part'),
         ('any-two', '?.?', 'two ?'),
         ('any-three', '?.?.?', 'three ?'),
         ('all', '*', '* reaches everyone'),
         ('all-last', 'pl.*', 'pl.* matches one or more further parts, and not pl'),
         ('all-deep', 'pl.a.*', 'pl.a.* one or more parts below pl.a'),
         ('any-all', '?.*', '?.* wants at least two parts'),
         ('any-all-deep', 'pl.?.*', 'pl.?.* wants at least three parts'),
         ('all-middle', 'pl.*.z', 'a * that is not last ends the mask: pl.*.z is pl.*'),
         ('all-first', '*.a', '*.a is *'),
         ('not-a-part', 'p?', '? inside a part is itself'),
         ('not-a-part-all', 'pl*', '* inside a part is itself'),
         ('case', 'Pl.a', 'names differ by case'),
         ('empty', '', 'an empty mask reaches nobody'),
         ('empty-part', 'pl.', 'an empty part is a part'),
         ('empty-middle', 'pl..?', 'an empty part in the middle'),
         ('none', 'nobody.at.all', 'acked ok with nobody to receive'),
         ('broker', '?.broker', 'the broker\'s own client matches masks as others do, and says nothing'),
         ('topic-marks', 'pl/+', '/ and + mean nothing in a mask')]

for ident, mask, text in MASKS:
    @row('bc-mask-' + ident, '4', text)
    def _(bus, mask=mask):
        for name in ('a', *NAMES):
            bus.client(name)
        sender = bus.client('sender')
        sender.broadcast(mask, 'x', f.PROCESSED)
        bus.settle()


@row('bc-sender', '4', 'the sender is included if it matches, and gets its copy before its ack')
def _(bus):
    a = bus.client('pl.a')
    bus.client('pl.b')
    for qos in range(4):
        a.broadcast('pl.*', b'%d' % qos, qos)
        a.broadcast('px.*', b'%d' % qos, qos)
    bus.settle()


@row('bc-secondaries', '4,9', 'secondaries are reached by * and by ?: ? also matches b%%0')
def _(bus):
    a = bus.client('a')
    bus.client('a.b')
    bus.client('a.b%%0')
    bus.client('a%%1')
    for mask in ('?', 'a.?', 'a.*', '*', 'a.b', 'a.b%%0', 'a.b%%?', 'a%%1', 'a%%*'):
        a.broadcast(mask, 'to ' + mask, f.PROCESSED)
    bus.settle()


@row('bc-name-with-marks', '4', 'a client whose name holds * or ? is reached as any other')
def _(bus):
    a = bus.client('a.b')
    bus.client('a.*')
    bus.client('a.?')
    for mask in ('a.?', 'a.*'):
        a.broadcast(mask, 'to ' + mask, f.PROCESSED)
    a.message('a.*', 'message', f.PROCESSED)
    a.message('a.?', 'message', f.PROCESSED)
    bus.settle()


@row('bc-gone', '4', 'who has gone is reached no more, its neighbours are')
def _(bus):
    watcher = bus.watcher()
    bus.client('g.a.b')
    gone = bus.client('g.a.c')
    bus.client('g.d')
    gone.close()
    watcher.wait_for(lambda i: b'unreg' in i)
    for mask in ('g.a.?', 'g.*', 'g.a.*', '?.a.c'):
        watcher.broadcast(mask, mask, f.PROCESSED)
    bus.settle()


@row('bc-many', '4', 'forty receivers, each one copy, with payload and realtime byte as sent')
def _(bus):
    for i in range(40):
        bus.client(f'r.{i}')
    bus.client('s').broadcast('r.*', bytes(range(256)), 3)
    bus.settle()
