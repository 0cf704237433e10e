# SPDX-License-Identifier: Apache-2.0
"""Section 4: what happens when a receiver does not read and its queue is full.

How many frames fit depends on the kernel's socket buffers and on each broker's own; so a queue is filled until the
answer changes, and transcripts hold what does not depend on the number.
"""
import select
import struct
import threading

import frames as f
import mp
from bus import DEADLINE, check
from rows import row

SMALL = {'--queue-size': '16'}
BODY = bytes(64 << 10)
MOST = 2000  # more frames than any queue of 16 and all buffers hold
ANSWERS = 200


def number(i):
    return struct.pack('<I', i)


def fill(sender, target='deaf', body=BODY):
    """Sends to a target that does not read until the answer is no longer 01. Returns how many were acked ok, and the code."""
    for count in range(MOST):
        code = sender.wait_ack(sender.message(target, number(count) + body, f.PROCESSED))
        if code != f.OK:
            return count, code
    check(False, f'{MOST} frames were taken for a client that does not read')


def received(peer):
    """Numbers of the messages and publications that peer has got."""
    return [struct.unpack_from('<I', f.split(i)[3])[0] for i in peer.items if isinstance(i, bytes) and i[0] != f.ACK]


def forget(peer):
    """Leaves the peer's items, whose number is chance, out of the transcript."""
    peer.bus.peers.remove(peer)


def names(watcher):
    """What the watcher heard: [(s, d)]."""
    heard = [mp.unpack(f.split(i)[3]) for i in watcher.items]
    return [(v['s'], v.get('d')) for v in heard]


@row('ov-message', '4', 'the sender of a message to a full queue gets 77 once, then 71; unreg is announced; all that was '
     'acknowledged is written out in order, then the connection ends', options=SMALL)
def _(bus):
    bus.in_turn = False
    watcher, sender, deaf = bus.watcher(), bus.client('sender'), bus.client('deaf')
    taken, code = fill(sender)
    codes = [code] + [sender.wait_ack(sender.message('deaf', 'more', f.PROCESSED)) for _ in range(3)]
    watcher.fence()
    deaf.drain()
    bus.note('codes after the last 01', [f'{c:02x}' for c in codes])
    bus.note('announced', names(watcher))
    bus.note('all acknowledged frames arrived in order', received(deaf) == list(range(taken)))
    for peer in (watcher, sender, deaf):
        forget(peer)


@row('ov-message-qos-0', '4', 'the same where no ack was asked for: nothing is told, the receiver is gone', options=SMALL)
def _(bus):
    bus.in_turn = False
    watcher, sender, deaf = bus.watcher(), bus.client('sender'), bus.client('deaf')
    for i in range(MOST):
        sender.message('deaf', number(i) + BODY)
        if i % 16 == 15:
            sender.fence()
            watcher.fence()
            if ('unreg', 'deaf') in names(watcher):
                break
    deaf.drain()
    seen = received(deaf)
    bus.note('announced', names(watcher))
    bus.note('what arrived is the beginning', seen == list(range(len(seen))) and len(seen) >= 16)
    for peer in (watcher, deaf):
        forget(peer)


@row('ov-full-queue', '4', 'a queue takes 8192 frames before it is full, by default')
def _(bus):
    bus.in_turn = False
    sender, deaf = bus.client('sender'), bus.client('deaf')
    bad = []
    for start in range(0, 100000, 1000):
        sender.send(b''.join(f.frame(f.MESSAGE, f.to('deaf', bytes(100)), 1, i) for i in range(start, start + 1000)))
        sender.wait_ack(start + 999)
        bad = [i for i in sender.items if i[5] != f.OK]
        if bad:
            break
    taken = struct.unpack_from('<I', bad[0], 1)[0]
    bus.note('first refusal', f.describe(bad[0])[-7:])
    bus.note('at least 8192 were taken', taken >= 8192)
    for peer in (sender, deaf):
        forget(peer)


@row('ov-others', '4', 'the sender and everyone else go on', options=SMALL)
def _(bus):
    bus.in_turn = False
    sender, other, deaf = bus.client('sender'), bus.client('other'), bus.client('deaf')
    fill(sender)
    sender.fence()
    sender.items.clear()
    sender.message('other', 'still', f.PROCESSED)
    sender.fence()
    other.fence()
    forget(deaf)
    sender.items[:] = [f.got_ack(0, i[5]) for i in sender.items]  # the op id depends on how many fitted


@row('ov-name-free', '4', 'the name is free at once, though the old connection is not yet read to its end', options=SMALL)
def _(bus):
    bus.in_turn = False
    sender, deaf = bus.client('sender'), bus.client('deaf')
    taken, _ = fill(sender)
    again = bus.client('deaf', label='again')
    sender.message('deaf', 'for the new one')
    sender.fence()
    again.fence()
    deaf.drain()
    bus.note('the old one got what was acknowledged', len(received(deaf)) == taken)
    for peer in (sender, deaf):
        forget(peer)


@row('ov-secondaries', '4', 'its secondaries go, and its subscriptions', options=SMALL)
def _(bus):
    bus.in_turn = False
    sender, deaf = bus.client('sender'), bus.client('deaf')
    one = bus.client('deaf%%1')
    deaf.subscribe('t', qos=0)
    deaf.fence()
    taken, _ = fill(sender)
    one.drain()
    sender.publish('t', number(99999), f.PROCESSED)
    sender.fence()
    deaf.drain()
    bus.note('nothing but the messages came', received(deaf) == list(range(taken)))
    for peer in (sender, deaf):
        forget(peer)


@row('ov-secondary-alone', '4', 'a secondary that does not read goes alone; its primary stays, nothing is announced', options=SMALL)
def _(bus):
    bus.in_turn = False
    watcher, sender = bus.watcher(), bus.client('sender')
    a, deaf = bus.client('a'), bus.client('a%%1')
    taken, code = fill(sender, 'a%%1')
    bus.note('code', code)
    a.message('a', 'still here', f.PROCESSED)
    a.fence()
    watcher.fence()
    deaf.drain()
    bus.note('it got what was acknowledged', received(deaf) == list(range(taken)))
    for peer in (sender, deaf):
        forget(peer)


def until_gone(bus, send):
    """Calls send(i), which returns the ack's code, until the watcher hears that deaf is unregistered."""
    watcher = next(p for p in bus.peers if p.label == 'watcher')
    codes = set()
    for i in range(MOST):
        codes.add(send(i))
        watcher.fence()
        if ('unreg', 'deaf') in names(watcher):
            break
    return codes


def fan_out(bus, send):
    """deaf and good both get what send sends; good reads all the time."""
    bus.in_turn = False
    watcher, sender, deaf, good = bus.watcher(), bus.client('sender'), bus.client('deaf'), bus.client('good')
    for peer in (deaf, good):
        peer.subscribe('t', qos=0)
        peer.fence()
    sent = []

    def send_one(i):
        sent.append(i)
        code = sender.wait_ack(send(sender, number(i) + BODY))
        good.fence()
        return code
    codes = until_gone(bus, send_one)
    for i in range(5):
        codes.add(send_one(len(sent)))
    deaf.drain()
    seen = received(deaf)
    bus.note('codes', sorted(codes))
    bus.note('announced', names(watcher))
    bus.note('the other one got everything', received(good) == sent)
    bus.note('the deaf one got the beginning', seen == sent[:len(seen)] and len(seen) >= 16)
    for peer in (watcher, sender, deaf, good):
        forget(peer)


@row('ov-publish', '4', 'a publisher always sees 01; who does not read is unregistered, others lose nothing', options=SMALL)
def _(bus):
    fan_out(bus, lambda sender, payload: sender.publish('t', payload, f.PROCESSED))


@row('ov-broadcast', '4', 'a broadcaster always sees 01', options=SMALL)
def _(bus):
    bus.client('watch.out')  # whom the mask does not match
    fan_out(bus, lambda sender, payload: [sender.broadcast(m, payload, f.PROCESSED) for m in ('good', 'deaf')][-1])


@row('ov-publish-for', '4', 'who uses publish-for always sees 01', options=SMALL)
def _(bus):
    fan_out(bus, lambda sender, payload: [sender.publish_for('t', r, payload, f.PROCESSED) for r in ('good', 'deaf')][-1])


def heard(expected):
    return lambda t: check(dict(t['notes'])['heard from the unregistered'] == expected, str(t['notes']))


def wait_while_read(listener):
    """Until the listener hears something, or the broker has answered it so often that it has read, with its one worker,
    what it reads of anybody's."""
    for _ in range(ANSWERS):
        listener.fence()
        if listener.items:
            return


@row('ov-read-no-more', '4', 'who was unregistered is read no more; in the reference it goes on sending under its old name',
     options=SMALL, ours=heard([]), reference=heard([b'deaf']))
def _(bus):
    bus.in_turn = False
    sender, deaf, other = bus.client('sender'), bus.client('deaf'), bus.client('other')
    fill(sender)
    deaf.message('other', 'I was deaf')
    # First of all: as soon as deaf has read the last of its queue, the reference ends the connection, read or not.
    wait_while_read(other)
    deaf.drain()
    other.fence()
    bus.note('heard from the unregistered', [f.split(i)[1] for i in other.items])
    for peer in (sender, deaf, other):
        forget(peer)


def beyond(r_frames, r_bytes):
    return {'notes': [('code', f.NOT_DELIVERED), ('r_frames beyond the sent', r_frames), ('r_bytes beyond the sent', r_bytes),
                      ('w_frames beyond two per frame', 2), ('w_bytes beyond body and ack', 71)]}


# Our broker announces on .broker/slow, too: one more frame, of 31 bytes, in r.
@row('ov-counters', '6', 'a frame refused with 77 still counts in w', options=SMALL, ours=beyond(4, 129), reference=beyond(3, 98))
def _(bus):
    bus.in_turn = False
    sender, asker, deaf = bus.client('sender'), bus.client('asker'), bus.client('deaf')

    def figures():
        return mp.unpack(bus.stats(asker)[5:])
    before = figures()
    taken, code = fill(sender)
    after = figures()
    sent, size = taken + 1, len('deaf') + 1 + 4 + len(BODY)
    bus.note('code', code)
    # Each frame counts for the receiver and for its ack; a reply and a call of stats come on top, and unreg.
    bus.note('r_frames beyond the sent', after['r_frames'] - before['r_frames'] - sent)
    bus.note('r_bytes beyond the sent', after['r_bytes'] - before['r_bytes'] - sent * size)
    bus.note('w_frames beyond two per frame', after['w_frames'] - before['w_frames'] - 2 * sent)
    bus.note('w_bytes beyond body and ack', after['w_bytes'] - before['w_bytes'] - sent * (size + 6))
    for peer in (sender, asker, deaf):
        forget(peer)


@row('ov-own-acks', '4', 'a client whose own unread acks fill its queue is held back, not dropped', options=SMALL)
def _(bus):
    bus.in_turn = False
    a = bus.client('a')
    count = 100000
    flood = b''.join(f.frame(f.MESSAGE, f.to('none'), f.PROCESSED, i) for i in range(count))
    sent = send_until_held(a, flood)
    check(sent < len(flood), 'the broker took everything, though no ack was read')
    send_and_read(a, flood[sent:])
    bus.note('acks', [struct.unpack_from('<I', i, 1)[0] for i in a.items] == list(range(count)))
    forget(a)


def send_until_held(peer, data):
    """Sends without reading until the broker takes no more; returns how much it took."""
    peer.sock.setblocking(False)
    sent = 0
    while sent < len(data) and select.select([], [peer.sock], [], 0.5)[1]:
        try:
            sent += peer.sock.send(data[sent:sent + 65536])
        except BlockingIOError:
            pass
    peer.sock.settimeout(DEADLINE)
    return sent


def send_and_read(peer, data):
    """Sends the rest and a fence while reading what comes, up to the fence: the broker takes no more where nobody reads."""
    number, fence = peer.new_fence()
    thread = threading.Thread(target=peer.send, args=(data, fence))
    thread.start()
    peer.wait_fence(number)
    thread.join()


@row('ov-own-messages', '4', 'messages to oneself that fill the own queue make the sender wait, and none is lost; the reference '
     'unregisters the client', options=SMALL, ours={'notes': [('messages', True)]})
def _(bus):
    bus.in_turn = False
    a = bus.client('a')
    flood = b''.join(f.frame(f.MESSAGE, f.to('a', number(i) + bytes(60000)), 0, i) for i in range(200))
    sent = send_until_held(a, flood)
    check(sent < len(flood), 'the broker took everything, though nothing was read')
    send_and_read(a, flood[sent:])
    bus.note('messages', received(a) == list(range(200)))
    forget(a)


def struck(transcript):
    found = dict(transcript['notes'])['slow']
    check([(v['s'], v['d']) for v in found] == [('struck', 'deaf')], f'heard {found}')
    check(list(found[0]) == ['s', 'd', 'n', 't'], f'fields {list(found[0])}')
    check(all(isinstance(found[0][x], int) for x in 'nt'), f'{found}')


@row('ov-slow-announced', '6', 'who is struck is announced on .broker/slow: {s: "struck", d, n, t}', options=SMALL, ours=struck)
def _(bus):
    bus.in_turn = False
    watcher, sender, deaf = bus.watcher('.broker/slow'), bus.client('sender'), bus.client('deaf')
    fill(sender)
    watcher.fence()
    bus.note('slow', [mp.unpack(f.split(i)[3]) for i in watcher.items])
    for peer in (watcher, sender, deaf):
        forget(peer)
