# SPDX-License-Identifier: Apache-2.0
"""Section 4: keep-alive in both directions.

The broker's own pings are the clock: they come every half timeout, so nothing here measures time. A silent client gets
two of them (at 0.5 and 1.0 timeouts) and is dropped at 1.25.
"""
import threading

import frames as f
from bus import Failure, check
from rows import row

T = {'-t': '1'}


def until_end(*peers):
    """Reads each peer to its end, pings kept, all at once."""
    threads = []
    for peer in peers:
        peer.keep_pings = True
        threads.append(threading.Thread(target=peer.drain))
        threads[-1].start()
    for thread in threads:
        thread.join()
    for peer in peers:
        check(peer.ended, f'{peer.label} was not dropped')


def ping_to_end(peer):
    """Answers each ping of the broker with one, to the end."""
    try:
        while True:
            peer.wait_pings(peer.pings + 1)
            peer.ping()
    except Failure:
        check(peer.ended, f'{peer.label} was not dropped')
    peer.drain()


def alive_while(peer, others_end, answer):
    """Lets peer answer each ping with answer() until others_end() is true."""
    while not others_end():
        peer.wait_pings(peer.pings + 1)
        answer()


@row('ka-silent', '4,9', 'a client from which nothing comes gets two pings, then the end', options=T)
def _(bus):
    bus.in_turn = False
    until_end(bus.client('a'))


@row('ka-silent-tcp', '4', 'the same over TCP', options=T, listen=('unix', 'tcp'))
def _(bus):
    bus.in_turn = False
    until_end(bus.client('a', 'tcp'))


@row('ka-ping-shape', '3', 'a ping of the broker is 6 bytes of zero', options={'-t': '0.3'},
     ours={'a': [bytes(6)]}, reference={'a': [bytes(6)]})
def _(bus):
    a = bus.client('a')
    a.keep_pings = True
    a.wait_pings(1)
    del a.items[1:]


@row('ka-announced', '4', 'a client dropped for silence is announced before its connection ends', options=T)
def _(bus):
    bus.in_turn = False
    watcher, a = bus.watcher(), bus.client('a')
    alive_while(watcher, lambda: any(b'unreg' in i for i in watcher.items), watcher.ping)
    a.drain()
    bus.peers.remove(watcher)
    bus.note('announced', f.split(watcher.items[-1])[3][:-8])


@row('ka-pings-are-life', '4', 'pings keep a client alive; so does any frame', options={'-t': '0.5'})
def _(bus):
    bus.in_turn = False
    a, b = bus.client('a'), bus.client('b')
    for count in range(1, 8):
        a.wait_pings(count)
        b.wait_pings(count)
        a.ping()
        b.subscribe('t', qos=0)
    bus.settle()
    bus.note('alive after seven pings', not a.ended and not b.ended)


@row('ka-traffic-and-pings', '4', 'pings go out from registration on, traffic or not', options={'-t': '0.5'})
def _(bus):
    bus.in_turn = False
    a, busy = bus.client('a'), bus.client('busy')
    for count in range(1, 6):
        busy.wait_pings(count)
        a.wait_pings(count)
        a.ping()
        for _ in range(20):
            busy.message('busy', 'x', f.PROCESSED)
            busy.fence()


@row('ka-secondary-own', '4', 'a secondary needs a keep-alive of its own: the primary\'s pings do not keep it', options=T)
def _(bus):
    bus.in_turn = False
    a, one = bus.client('a'), bus.client('a%%1')
    thread = threading.Thread(target=until_end, args=(one,))
    thread.start()
    alive_while(a, lambda: not thread.is_alive(), a.ping)
    a.message('a%%1', 'gone', f.PROCESSED)
    a.fence()
    bus.note('the primary is alive', not a.ended)


@row('ka-secondary-does-not-count', '4', 'a secondary\'s pings do not keep its primary; it goes with it', options=T)
def _(bus):
    bus.in_turn = False
    a, one = bus.client('a'), bus.client('a%%1')
    thread = threading.Thread(target=until_end, args=(a,))
    thread.start()
    ping_to_end(one)
    thread.join()


@row('ka-header-is-no-life', '4', 'bytes of an unfinished header are not life', options=T)
def _(bus):
    bus.in_turn = False
    a = bus.client('a')
    header = f.frame(f.MESSAGE, f.to('a', 'x'))
    for count in (1, 2):
        a.wait_pings(count)
        a.send(header[count - 1:count])
    a.drain()
    bus.note('pings before the end', a.pings)


@row('ka-receiving-is-no-life', '4', 'receiving is not life', options=T)
def _(bus):
    bus.in_turn = False
    a, b = bus.client('a'), bus.client('b')
    thread = threading.Thread(target=until_end, args=(a,))
    thread.start()

    def answer():
        b.ping()
        b.message('a', 'x')
    alive_while(b, lambda: not thread.is_alive(), answer)
    bus.note('pings before the end', a.pings)
    bus.peers.clear()


@row('ka-body-deadline', '4', 'a body must be complete one timeout after its header, though bytes trickle', options=T)
def _(bus):
    bus.in_turn = False
    a, clock = bus.client('a'), bus.client('clock')
    clock.wait_pings(1)
    clock.ping()
    a.op(f.MESSAGE, f.to('a', 'begun'), 0, 1, 1000)
    thread = threading.Thread(target=a.drain)
    thread.start()

    def answer():
        clock.ping()
        a.send(b'.')
    alive_while(clock, lambda: not thread.is_alive(), answer)
    check(clock.pings <= 12, f'only after {clock.pings} half timeouts')
    bus.peers.clear()
    bus.note('dropped', a.ended)


@row('ka-body-in-time', '4', 'a body that comes within one timeout of its header is taken, and is life', options=T)
def _(bus):
    bus.in_turn = False
    a = bus.client('a')
    data = f.frame(f.MESSAGE, f.to('a', 'x'), f.PROCESSED)
    a.wait_pings(1)
    a.send(data[:10])
    a.wait_pings(2)
    a.send(data[10:])
    a.wait_pings(3)
    a.fence()


@row('ka-blocked-write', '4', 'a client that accepts no byte for one timeout while bytes wait is dropped, however short its queue, '
     'though it goes on sending', options=T)
def _(bus):
    bus.in_turn = False
    watcher, deaf = bus.watcher(), bus.client('deaf')
    for i in range(6):  # more than a socket buffer, far less than a queue
        watcher.message('deaf', bytes(200000), f.PROCESSED)

    def answer():
        watcher.ping()
        deaf.ping()
    alive_while(watcher, lambda: any(b'unreg' in i for i in watcher.items), answer)
    check(watcher.pings <= 24, f'only after {watcher.pings} half timeouts')
    bus.peers.remove(deaf)
    watcher.fence()
