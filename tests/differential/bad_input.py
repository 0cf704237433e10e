# SPDX-License-Identifier: Apache-2.0
"""Section 2: what breaks the protocol ends that connection and nothing else; what is only refused keeps it."""
import frames as f
from bus import check
from rows import HARMFUL, NOT_RUN, row

KNOWN = {0, *f.OPERATIONS}


def breaks(bus, op, body=b'', qos=0, length=None):
    """a does something wrong while b, subscribed and with a secondary, goes on."""
    a, b = bus.client('a'), bus.client('b')
    second = bus.client('b%%1')
    b.subscribe('t')
    bus.settle()
    a.op(op, body, qos, 77, length)
    a.drain()
    second.message('b', 'still', f.PROCESSED)
    second.publish('t', 'works', f.PROCESSED)
    bus.settle(second, b)


BROKEN = [('message', f.MESSAGE, b'b', 'a message without a 00'), ('broadcast', f.BROADCAST, b'*', 'a broadcast without a 00'),
          ('publish', f.PUBLISH, b't', 'a publication without a 00'), ('empty', f.MESSAGE, b'', 'a message with an empty body'),
          ('publish-for-1', f.PUBLISH_FOR, b't', 'a publish-for without any 00'),
          ('publish-for-2', f.PUBLISH_FOR, b't\0b', 'a publish-for without its second 00'),
          ('utf8-message', f.MESSAGE, b'b\xff\0x', 'a target that is not UTF-8'),
          ('utf8-broadcast', f.BROADCAST, b'\xc3\0x', 'a mask that is not UTF-8'),
          ('utf8-publish', f.PUBLISH, b't/\xed\xa0\x80\0x', 'a topic with a surrogate'),
          ('utf8-publish-for', f.PUBLISH_FOR, b't\xff\0b\0x', 'a publish-for topic that is not UTF-8'),
          ('utf8-receiver', f.PUBLISH_FOR, b't\0b\xff\0x', 'a receiver that is not UTF-8'),
          ('utf8-subscribe', f.SUBSCRIBE, b'x\0\xff', 'a subscription that is not UTF-8'),
          ('utf8-unsubscribe', f.UNSUBSCRIBE, b'\xf5', 'an unsubscription that is not UTF-8'),
          ('utf8-exclude', f.EXCLUDE, b'\xc0\xaf', 'an exclusion with an overlong form'),
          ('utf8-unexclude', f.UNEXCLUDE, b'a\0b\xe2\x82', 'an unexclusion that is cut off in a character')]

for ident, op, body, text in BROKEN:
    @row('bad-' + ident, '2', text + ' ends that connection and nothing else')
    def _(bus, op=op, body=body):
        breaks(bus, op, body)

    @row('bad-acked-' + ident, '2', text + ', ack wanted: an ack 72 comes before the end; the reference just closes',
         ours={'a': [f.got_ack(77, f.DATA), f.EOF]}, reference={'a': [f.EOF]})
    def _(bus, op=op, body=body):
        breaks(bus, op, body, f.PROCESSED)


@row('bad-operations', '2', 'every unknown operation ends the connection')
def _(bus):
    for op in sorted(set(range(64)) - KNOWN):
        for qos in (0, f.REALTIME):
            a = bus.client('a', label=f'operation {op:02x} in QoS {qos}')
            a.op(op, f.to('a', 'x'), qos)
            a.drain()


@row('bad-operations-acked', '2', 'an unknown operation with an ack wanted: 72, then the end',
     ours=lambda t: check(all(v == [f.got_ack(77, f.DATA), f.EOF] for v in t.values()), str(t)),
     reference=lambda t: check(all(v == [f.EOF] for v in t.values()), str(t)))
def _(bus):
    for op in sorted(set(range(64)) - KNOWN):
        a = bus.client('a', label=f'operation {op:02x}')
        a.op(op, f.to('a', 'x'), f.PROCESSED, 77)
        a.drain()


@row('bad-operation-at-header', '9', 'an unknown operation may be closed at its header, before the body')
def _(bus):
    a = bus.client('a')
    a.op(0x20, b'', 0, 1, 1 << 20)
    a.drain()


@row('bad-what-follows', '2', 'what comes behind the broken frame is not handled')
def _(bus):
    a, b = bus.client('a'), bus.client('b')
    a.send(f.frame(0x3E, b''), f.frame(f.MESSAGE, f.to('b', 'too late')), f.frame(f.SUBSCRIBE, b't', 1, 5))
    a.drain()
    b.fence()


@row('bad-announced', '2', 'the end of that connection is announced as unreg')
def _(bus):
    watcher = bus.watcher()
    a = bus.client('a')
    a.op(0x3E)
    a.drain()
    watcher.fence()


LIMIT = 64 << 20
for ident, qos, answer in (('no', 0, []), ('acked', 1, [f.got_ack(77, f.DATA)]), ('acked-realtime', 3, [f.got_ack(77, f.DATA)])):
    @row('limit-length-' + ident, '2', 'a length over MaxFrameSize ends the connection before any of the body is taken',
         ours={'a': answer + [f.EOF]}, reference=HARMFUL)
    def _(bus, qos=qos):
        # The reference takes any length and waits for the body.
        for length in (LIMIT + 1, 0x7FFFFFFF, 0xFFFFFFFF):
            b = bus.client('b', label=f'b {length:x}')
            a = bus.client('a', label='a' if length == LIMIT + 1 else f'a {length:x}')
            a.op(f.MESSAGE, b'', qos, 77, length)
            a.drain()
            b.message('b', 'lives', f.PROCESSED)
            b.fence()
            b.shut()
            b.drain()


@row('limit-length-within', '2', 'a body of exactly the limit is waited for')
def _(bus):
    a, b = bus.client('a'), bus.client('b')
    a.op(f.MESSAGE, f.to('b', 'begin'), 0, 1, LIMIT)
    a.wait_taken()
    b.message('b', 'lives', f.PROCESSED)
    b.fence()
    bus.note('still open', a.silent())


PARTS, LENGTH = 128, 4096
LONG = {'parts': ('/'.join(['p'] * (PARTS + 1)), 'one part too many'), 'length': ('t' * (LENGTH + 1), 'one byte too long'),
        'separators': ('/' * 4000, '4000 slashes, which abort the reference')}
ACTIONS = {'publish': lambda t: (f.PUBLISH, f.to(t, 'x')), 'publish-for': lambda t: (f.PUBLISH_FOR, f.to_for(t, 'a', 'x')),
           'subscribe': lambda t: (f.SUBSCRIBE, t), 'exclude': lambda t: (f.EXCLUDE, t)}

for what, (topic, text) in LONG.items():
    for action, make in ACTIONS.items():
        @row(f'limit-topic-{what}-{action}', '2', f'{action} with a topic of {text} is refused with 72, and the connection stays',
             ours={'a': [f.got_ack(1), f.got_ack(77, f.DATA), f.got_message('a', 'stays'), f.got_ack(2)], 'b': []},
             reference=HARMFUL if what == 'separators' else NOT_RUN)
        def _(bus, topic=topic, make=make):
            a, b = bus.client('a'), bus.client('b')
            b.subscribe('#', qos=0)
            b.fence()
            a.subscribe('p/#')
            op, body = make(topic)
            a.op(op, body, f.PROCESSED, 77)
            a.message('a', 'stays', f.PROCESSED)
            bus.settle()


@row('limit-mask', '2', 'a broadcast mask with too many parts or bytes is refused with 72, and the connection stays',
     ours={'a': [f.got_ack(1, f.DATA), f.got_ack(2, f.DATA), f.got_ack(3)]})
def _(bus):
    a = bus.client('a')
    a.broadcast('.'.join(['p'] * (PARTS + 1)), 'x', f.PROCESSED)
    a.broadcast('m' * (LENGTH + 1), 'x', f.PROCESSED)
    a.broadcast('b', 'x', f.PROCESSED)
    a.fence()


@row('limit-rest-of-list', '2', 'the other entries of a list stand when one is refused; the one ack says 72',
     ours={'a': [f.got_ack(1, f.DATA), f.got_publication('a', 'first', 'x'), f.got_publication('a', 'last', 'x'), f.got_ack(4, f.DATA),
                 f.got_publication('a', 'last', 'x')]})
def _(bus):
    a = bus.client('a')
    a.subscribe('first', '/' * PARTS, 'last')
    a.publish('first', 'x')
    a.publish('last', 'x')
    a.exclude('t' * (LENGTH + 1), 'first')
    a.publish('first', 'x')
    a.publish('last', 'x')
    a.fence()


@row('limit-no-ack', '2', 'refused in QoS 0 and 2 means in silence, and the connection stays',
     ours={'a': [f.got_message('a', 'stays')]})
def _(bus):
    a = bus.client('a')
    for qos in (0, f.REALTIME):
        a.publish('t' * (LENGTH + 1), 'x', qos)
        a.subscribe('/' * PARTS, qos=qos)
        a.broadcast('.' * PARTS, 'x', qos)
    a.message('a', 'stays')
    a.fence()


@row('limit-topic-exact', '2', 'topics and masks of exactly the limits work')
def _(bus):
    a = bus.client('a')
    parts, length = '/'.join(['p'] * PARTS), 't' * LENGTH
    a.subscribe(parts, length, '/'.join(['+'] * PARTS))
    a.fence()
    a.publish(parts, 'parts', f.PROCESSED)
    a.publish(length, 'length', f.PROCESSED)
    a.publish('/' * (PARTS - 1), 'empty parts', f.PROCESSED)
    a.broadcast('.'.join(['p'] * PARTS), 'x', f.PROCESSED)
    a.broadcast('m' * LENGTH, 'x', f.PROCESSED)
    a.fence()


@row('bad-logged-once', '2', 'the reason is logged once, with the client\'s name',
     ours={'notes': [('lines that name the client', 1)]}, reference={'notes': [('lines that name the client', 1)]})
def _(bus):
    a = bus.client('the.culprit')
    a.op(0x3E)
    a.drain()

    def lines():
        return [line for line in bus.broker.log().splitlines() if 'the.culprit' in line]
    bus.broker.wait(lines)
    bus.broker.terminate()
    bus.broker.exit_status()  # what was to be logged has been logged
    bus.note('lines that name the client', len(lines()))


@row('bad-dots', '4', 'a name with 18 dots costs the reference memory exponential in the dots; ours takes one of 500',
     ours={'deep': [f.got_broadcast('b', 'x'), f.got_broadcast('b', 'y')]}, reference=HARMFUL)
def _(bus):
    deep = bus.client('.'.join(['d'] * 501), label='deep')
    b = bus.client('b')
    b.broadcast('d.*', 'x')
    b.broadcast('d.' + '?.' * 100 + '*', 'y')
    bus.settle()
