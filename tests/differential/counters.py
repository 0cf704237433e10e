# SPDX-License-Identifier: Apache-2.0
"""Section 6: what the counters count, for the whole broker and for each client.

The two brokers start from nothing and play the same script, so `stats` and `client.list` must be equal to the byte.
Both are asked without an ack, so that no ack is counted or not by chance.
"""
import frames as f
import mp
from bus import mask_error_text, mask_uptime
from rows import row

MASKS = (mask_uptime, mask_error_text)


def counted(bus, asker):
    """Puts everything that is counted into the transcript."""
    bus.settle(asker)
    bus.stats(asker)
    bus.clients(asker)


@row('cnt-start', '6', 'before anybody came, .broker\'s own announcements are counted', masks=MASKS)
def _(bus):
    counted(bus, bus.client('asker'))


@row('cnt-values', '6', 'a message of 5 bytes counts a frame and the whole body (target, 00, payload) on both sides, its ack 6 bytes',
     ours={'notes': [('r', (1, 7)), ('w', (2, 13))]}, reference={'notes': [('r', (1, 7)), ('w', (2, 13))]})
def _(bus):
    bus.in_turn = False  # fences would be counted, too
    a, b, asker = bus.client('a'), bus.client('b'), bus.client('asker')

    def figures():
        seen = {c['name']: c for c in mp.unpack(bus.clients(asker)[5:])['clients']}
        return [(seen['a']['r_frames'], seen['a']['r_bytes']),
                (seen['a']['w_frames'] + seen['b']['w_frames'], seen['a']['w_bytes'] + seen['b']['w_bytes'])]
    before = figures()
    a.wait_ack(a.message('b', '12345', f.PROCESSED))
    b.wait_for(lambda i: i[0] == f.MESSAGE)
    asker.items.clear()
    after = figures()
    for name, old, new in zip('rw', before, after):
        bus.note(name, tuple(n - o for o, n in zip(old, new)))


for op, name in f.OPERATIONS.items():
    for qos in range(4):
        @row(f'cnt-{name}-{qos}', '6', f'what a {name} in QoS {qos} adds to the counters of sender, receivers and broker', masks=MASKS)
        def _(bus, op=op, qos=qos):
            a, b, asker = bus.client('a'), bus.client('b'), bus.client('asker')
            for peer in (b, asker):
                peer.subscribe('t', 'u/#')
                peer.fence()
            body = {f.PUBLISH: f.to('t', 'payload'), f.PUBLISH_FOR: f.to_for('t', 'b', 'payload'), f.MESSAGE: f.to('b', 'payload'),
                    f.BROADCAST: f.to('?', 'payload')}.get(op, f.topics('t', 'u/#', ''))
            a.op(op, body, qos)
            counted(bus, asker)


SCRIPTS = {
    'unknown': ('a frame for an unknown target counts in r, not in w; its ack does', lambda bus, a: a.message('none', 'payload', 1)),
    'unknown-qos-0': ('the same without an ack', lambda bus, a: a.message('none', 'payload')),
    'self': ('a message to oneself counts on both sides', lambda bus, a: a.message('a', 'payload', 1)),
    'empty': ('an empty payload still counts its target and 00', lambda bus, a: a.message('a', '', 1)),
    'nobody-topic': ('a publication nobody is subscribed to counts in r alone', lambda bus, a: a.publish('nobody', 'payload')),
    'nobody-mask': ('a broadcast nobody matches counts in r alone', lambda bus, a: a.broadcast('nobody', 'payload')),
    'broadcast-all': ('* counts .broker among the receivers', lambda bus, a: a.broadcast('*', 'payload', 1)),
    'broker-warn': ('.broker is subscribed to .broker/warn as everyone', lambda bus, a: a.publish('.broker/warn', 'payload', 1)),
    'broker-message': ('a message to .broker counts as any other', lambda bus, a: a.message('.broker', '\0note', 1)),
    'empty-subscription': ('an empty subscription counts a frame of no bytes', lambda bus, a: a.op(f.SUBSCRIBE, b'', 1)),
    'duplicates': ('several masks of one client bring one copy, counted once',
                   lambda bus, a: (a.subscribe('t', '+', '#', 't'), a.publish('t', 'payload', 1))),
    'excluded': ('what an exclusion keeps away is not counted', lambda bus, a: (a.subscribe('#'), a.exclude('t'), a.publish('t', 'x', 1))),
    'pings': ('pings count nothing', lambda bus, a: [a.ping() for _ in range(9)]),
    'zero': ('an ignored operation 0 counts nothing', lambda bus, a: [a.op(0, b'abc\0def', q) for q in (1, 2, 3)]),
    'large': ('a body of 100000 bytes', lambda bus, a: a.message('b', bytes(100000), 1)),
    'many': ('two thousand frames', lambda bus, a: [a.message('b', b'%d' % i, i % 4) for i in range(2000)]),
}

for ident, (text, script) in SCRIPTS.items():
    @row('cnt-' + ident, '6', text, masks=MASKS)
    def _(bus, script=script):
        a, b, asker = bus.client('a'), bus.client('b'), bus.client('asker')
        script(bus, a)
        bus.settle(a, b)
        counted(bus, asker)


@row('cnt-secondary', '6', 'a secondary\'s frames are the broker\'s, not its primary\'s', masks=MASKS)
def _(bus):
    a, one, asker = bus.client('a'), bus.client('a%%1'), bus.client('asker')
    one.message('a', 'payload', f.PROCESSED)
    a.message('a%%1', 'payload', f.PROCESSED)
    bus.settle(one, a)
    counted(bus, asker)


@row('cnt-rpc', '6', 'calls, replies and errors: .broker\'s own frames count by their payload alone', masks=MASKS)
def _(bus):
    asker = bus.client('asker')
    asker.call('test', qos=0)
    asker.call('benchmark.test', bytes(1000), qos=0, call_id=2)
    asker.call('no.such', qos=0, call_id=3)
    asker.call('client.list', mp.pack({'filter': 'none'}), qos=0, call_id=4)
    counted(bus, asker)


@row('cnt-announcements', '6', 'announcements count in r with or without subscribers, in w for each subscriber', masks=MASKS)
def _(bus):
    asker = bus.client('asker')
    bus.client('before')
    counted(bus, asker)
    asker.subscribe('.broker/info')
    asker.fence()
    bus.client('after')
    gone = bus.client('gone')
    gone.op(0x3F)
    gone.drain()
    counted(bus, asker)


@row('cnt-refused-names', '6', 'refused handshakes count nothing', masks=MASKS)
def _(bus):
    asker = bus.client('asker')
    bus.connect('x').register('asker')
    bus.connect('y').register('.y')
    bus.connect('z').register('none%%1')
    counted(bus, asker)


@row('cnt-bad-frame', '6', 'a frame of an unknown operation counts nothing, the unreg that follows does', masks=MASKS)
def _(bus):
    asker, a = bus.client('asker'), bus.client('a')
    a.op(0x3F, 'body')
    a.drain()
    counted(bus, asker)


@row('cnt-again', '6', 'a client that comes again begins at zero; the broker\'s counters go on', masks=MASKS)
def _(bus):
    asker = bus.watcher(name='asker')
    a = bus.client('a')
    a.message('a', 'payload', f.PROCESSED)
    a.fence()
    a.close()
    asker.wait_for(lambda i: b'unreg' in i)
    again = bus.client('a', label='again')
    again.fence()
    counted(bus, asker)


@row('cnt-fifo', '6', 'lines of the FIFO count as frames of .broker, by the payload alone', listen=('unix', 'fifo'), masks=MASKS)
def _(bus):
    asker = bus.client('asker')
    asker.subscribe('t')
    asker.fence()
    with open(bus.broker.fifo, 'w') as fifo:
        fifo.write('asker message\n=t publication\nnone lost\n? broadcast\nasker .note\nasker :method\nasker last\n')
    asker.wait_for(lambda i: i.endswith(b'last'))
    counted(bus, asker)
