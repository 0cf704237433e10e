# SPDX-License-Identifier: Apache-2.0
"""Section 1: the handshake, names, taking a name over."""
import os
import socket
import struct
import subprocess
import sys

import frames as f
from bus import DEADLINE, check
from rows import Skip, row


def first_words(bus, data, kind='unix', count=1):
    """Connects, takes the greeting, sends data and takes what comes back."""
    peer = bus.connect('x', kind)
    peer.take(3)
    peer.send(data)
    peer.take(count)
    return peer


def refused_name(name, **kinds):
    """The script: register under name, take one byte and the end."""
    def play(bus):
        bus.client('bystander')
        peer = bus.connect('x')
        peer.register(name)
        if peer.items[-1] != f.EOF:
            peer.fence()
        bystander_lives(bus)
    return play


def bystander_lives(bus):
    peer = next(p for p in bus.peers if p.label == 'bystander')
    peer.message('bystander', b'still here', f.PROCESSED)
    peer.fence()


HELLO = [b'\xeb\x01\x00', b'\x01']


@row('hs-greeting', '1', 'the broker speaks first: EB and version 1', listen=('unix', 'tcp', 'tcp6'))
def _(bus):
    for kind in ('unix', 'tcp', 'tcp6'):
        bus.connect(kind, kind).take(3)


@row('hs-whole', '1', 'greeting, 01, name, 01; then the session is open, on UNIX and TCP', listen=('unix', 'tcp', 'tcp6'))
def _(bus):
    for kind in ('unix', 'tcp', 'tcp6'):
        peer = bus.connect(kind, kind)
        peer.register('client.' + kind)
        peer.message('client.' + kind, b'hello', f.PROCESSED)
        peer.fence()


for ident, greeting, text in (('magic', b'\xea\x01\x00', 'a wrong first byte'), ('version-2', b'\xeb\x02\x00', 'version 2'),
                              ('version-0', b'\xeb\x00\x00', 'version 0'), ('version-257', b'\xeb\x01\x01', 'version 257'),
                              ('http', b'GET / HTTP/1.1\r\n', 'a client of another protocol')):
    @row('hs-wrong-' + ident, '1', text + ' is answered 75 and closed')
    def _(bus, greeting=greeting):
        first_words(bus, greeting).drain()


@row('hs-judged-after-three', '1', 'a wrong greeting is judged after all three bytes')
def _(bus):
    bus.client('bystander')
    peer = bus.connect('x')
    peer.take(3)
    for byte in (b'\x00', b'\x01'):
        peer.send(byte)
        peer.wait_taken()
        bystander_lives(bus)
        bus.note('silent', peer.silent())
    peer.send(b'\x00')
    peer.drain()


@row('hs-drip', '1', 'the handshake fed byte by byte gives the same answers', listen=('unix', 'tcp'))
def _(bus):
    for kind in ('unix', 'tcp'):
        peer = bus.connect(kind, kind)
        peer.take(3)
        peer.drip(f.GREETING)
        peer.take(1)
        peer.drip(f.named('slow.' + kind))
        peer.take(1)
        peer.fence()


@row('hs-at-once', '1', 'greeting, name and first frames in a single write, before the broker has said anything')
def _(bus):
    peer = bus.connect('x')
    peer.send(f.GREETING, f.named('x'), f.frame(f.SUBSCRIBE, b'a', 1, 7), f.frame(f.PUBLISH, f.to('a', 'p'), 1, 8))
    peer.take(5)
    peer.fence()


@row('hs-splits', '1', 'the handshake and a first frame cut in two at every place give the same bytes')
def _(bus):
    data = f.GREETING + f.named('cut') + f.frame(f.MESSAGE, f.to('cut', 'p'), 3, 9)
    for at in range(len(data) + 1):
        peer = bus.connect(f'cut at {at}')
        peer.send(data[:at])
        peer.wait_taken()
        peer.send(data[at:])
        peer.take(5)
        peer.fence()
        peer.shut()
        peer.drain()


@row('hs-half', '1', 'a client that goes in the middle of its handshake leaves nothing behind')
def _(bus):
    bus.client('bystander')
    data = f.GREETING + f.named('half.way')
    for at in range(len(data)):
        peer = bus.connect('x')
        peer.take(3)
        peer.send(data[:at])
        peer.wait_taken()
        peer.close()
    peer = bus.client('half.way', label='whole')
    peer.fence()
    bystander_lives(bus)


for ident, name in (('empty', b''), ('dot', b'.'), ('reserved', b'.broker'), ('dotted', b'.mine')):
    row('hs-name-' + ident, '1', f'the name {name.decode()!r} is refused with 72')(refused_name(name))

LONGEST = b'n' * 1024
for ident, name, text, reference in (
        ('utf8', b'ab\xff', 'a name that is not UTF-8', [f.EOF]),
        ('surrogate', b'ab\xed\xa0\x80', 'a name with a surrogate, which is no UTF-8', [f.EOF]),
        ('overlong', b'ab\xc0\xaf', 'a name with an overlong form, which is no UTF-8', [f.EOF]),
        ('nul', b'admin\0x', 'a name with a NUL', [b'\x01']),
        ('nul-only', b'\0', 'a name of one NUL', [b'\x01']),
        ('newline', b'a\nb', 'a name with a line feed', [b'\x01']),
        ('escape', b'a\x1b[2J', 'a name with an escape sequence', [b'\x01']),
        ('delete', b'a\x7f', 'a name with a DEL', [b'\x01']),
        ('c1', b'a\xc2\x85b', 'a name with U+0085, a control character of two bytes', [b'\x01']),
        ('1025', LONGEST + b'n', 'a name of 1025 bytes', [b'\x01']),
        ('65535', b'n' * 65535, 'a name of 65535 bytes', [b'\x01'])):
    row('hs-name-' + ident, '1', text + ' is refused with 72', ours={'x': HELLO + [b'\x72', f.EOF]},
        reference={'x': HELLO + reference})(refused_name(name))

for ident, name, text in (('1024', LONGEST, '1024 bytes'), ('one', b'a', 'one byte'), ('utf8-good', 'плк.é.𝄞'.encode(), 'UTF-8'),
                          ('space', b'a b', 'a blank'), ('dots', b'a..b.', 'empty parts between dots'),
                          ('masks', b'a.*.?', 'mask characters'), ('percent', b'a%b', 'a single percent sign')):
    row('hs-name-' + ident, '1', f'a name of {text} is taken')(refused_name(name))

for ident, name, reference in (('after', b'pl%%', b'\x01'), ('before', b'%%0', b'\x71'), ('both', b'%%', b'\x71'),
                               ('second', b'pl%%1%%', b'\x01'), ('middle', b'pl%%%%1', b'\x01')):
    @row('hs-name-empty-part-' + ident, '1', f'{name.decode()!r}, an empty part around %%, is refused with 72',
         ours={'x': HELLO + [b'\x72', f.EOF]}, reference={'x': HELLO + [reference] + ([f.EOF] if reference != b'\x01' else [])})
    def _(bus, name=name):
        bus.client('pl')
        peer = bus.connect('x')
        peer.register(name)


@row('hs-busy', '1', 'a name that is taken is refused with 76; its holder stays')
def _(bus):
    holder = bus.client('a')
    bus.connect('second').register('a')
    holder.message('a', 'mine', f.PROCESSED)
    holder.fence()


@row('hs-busy-unannounced', '1', 'a refused registration is not announced')
def _(bus):
    watcher = bus.watcher()
    bus.client('a')
    bus.connect('second').register('a')
    bus.connect('third').register('.x')
    bus.connect('fourth').register('none%%1')
    bus.settle(watcher)


@row('hs-force', '1', 'with force-register a primary takes its name over: the old holder and its secondaries go, and only a '
     'second reg is announced', options={'--force-register': None})
def _(bus):
    watcher = bus.watcher()
    old = bus.client('a', label='old')
    secondary = bus.client('a%%1')
    other = bus.client('b')
    new = bus.client('a', label='new')
    old.drain()
    secondary.drain()
    other.message('a', 'to the new one', f.PROCESSED)
    other.message('a%%1', 'to nobody', f.PROCESSED)
    bus.settle(other, new, watcher)


@row('hs-force-subscriptions', '1', 'the new holder of a name begins without the old one\'s subscriptions',
     options={'--force-register': None})
def _(bus):
    old = bus.client('a', label='old')
    old.subscribe('t')
    old.fence()
    new = bus.client('a', label='new')
    old.drain()
    new.publish('t', 'x', f.PROCESSED)
    new.fence()


@row('hs-force-chain', '1', 'a name can be taken over again and again', options={'--force-register': None})
def _(bus):
    watcher = bus.watcher()
    holders = [bus.client('a', label=f'holder {i}') for i in range(5)]
    for old in holders[:-1]:
        old.drain()
    holders[-1].message('a', 'last', f.PROCESSED)
    bus.settle(holders[-1], watcher)


@row('hs-force-secondary', '1', 'a secondary\'s name is never forced: 76', options={'--force-register': None})
def _(bus):
    bus.client('a')
    holder = bus.client('a%%1')
    bus.connect('second').register('a%%1')
    holder.message('a%%1', 'mine', f.PROCESSED)
    holder.fence()


@row('hs-deadline', '1', 'a peer that stays silent is closed by the handshake\'s timeout', options={'-t': '0.5'})
def _(bus):
    silent = bus.connect('silent')
    nameless = bus.connect('nameless')
    nameless.greet()
    short = bus.connect('short')
    short.greet()
    short.send(struct.pack('<H', 5) + b'abc')
    for peer in (silent, nameless, short):
        peer.take(100)


@row('hs-one-deadline', '1', 'the whole handshake has one deadline; the reference gives each step its own',
     options={'-t': '1'}, ours={'x': [b'\xeb\x01\x00', b'\x01', f.EOF]}, reference={'x': HELLO + [b'\x01']})
def _(bus):
    # The clock is the broker's: pings come every half timeout. Each step takes less than a timeout, all of them more.
    clock = bus.client('clock')

    def tick():
        clock.wait_pings(clock.pings + 1)
        clock.ping()
    tick()
    peer = bus.connect('x')
    peer.take(3)
    tick()
    peer.send(f.GREETING)
    peer.take(1)
    tick()
    peer.send(struct.pack('<H', 1))
    tick()
    peer.send(b'x')
    peer.take(1)


@row('hs-identity-loopback', '1', 'all of loopback TCP is one identity: a secondary may come from any address of it', listen=('tcp', 'tcp6'))
def _(bus):
    bus.client('a', 'tcp', '127.0.0.1')
    bus.connect('same', 'tcp', '127.0.0.1').register('a%%1')
    bus.connect('other', 'tcp', '127.0.0.2').register('a%%2')
    bus.connect('six', 'tcp6').register('a%%3')


@row('hs-identity-transport', '1', 'a secondary over TCP does not belong to a primary over UNIX, nor the other way round',
     listen=('unix', 'tcp'), ours={'x': HELLO + [b'\x79', f.EOF], 'y': HELLO + [b'\x79', f.EOF]},
     reference={'x': HELLO + [b'\x01'], 'y': HELLO + [b'\x01']})
def _(bus):
    bus.client('a', 'unix')
    bus.client('b', 'tcp')
    bus.connect('x', 'tcp').register('a%%1')
    bus.connect('y', 'unix').register('b%%1')


CONNECT_AS = '''
import os, socket, sys
os.setuid(int(sys.argv[3]))
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
socket.send_fds(socket.socket(fileno=int(sys.argv[2])), [b"x"], [s.fileno()])
'''


def connect_as(bus, label, uid):
    """A connection whose other end, for the broker, is uid's: made by a child under that uid and handed over."""
    os.chmod(bus.broker.unix, 0o777)
    here, there = socket.socketpair()
    with here, there:
        subprocess.run([sys.executable, '-c', CONNECT_AS, bus.broker.unix, str(there.fileno()), str(uid)], check=True,
                       pass_fds=[there.fileno()])
        _, fds, _, _ = socket.recv_fds(here, 1, 1)
    peer = bus.adopt(label, socket.socket(fileno=fds[0]))
    peer.sock.settimeout(DEADLINE)
    return peer


@row('hs-identity-uid', '1', 'a secondary must come from its primary\'s uid; the reference lets anyone in',
     ours={'x': HELLO + [b'\x79', f.EOF], 'same': HELLO + [b'\x01']},
     reference={'x': HELLO + [b'\x01'], 'same': HELLO + [b'\x01']})
def _(bus):
    if os.geteuid() != 0:
        raise Skip('connecting under another uid needs root')
    connect_as(bus, 'a', 12345).register('a')
    connect_as(bus, 'same', 12345).register('a%%1')
    connect_as(bus, 'x', 12346).register('a%%2')


@row('hs-closed-is-unregistered', '1', 'before the broker closes a connection it has unregistered and announced the client')
def _(bus):
    watcher = bus.watcher()
    peer = bus.client('x')
    peer.op(0x3F)
    peer.drain()
    watcher.fence()
    bus.note('the last announcement', watcher.items[-1])
    bus.client('x', label='x again').fence()
    check(b'unreg' in watcher.items[-1], 'closed, but not announced')
