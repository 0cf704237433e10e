# SPDX-License-Identifier: Apache-2.0
"""Cursors: the crate's own server and libbusrt's, each asked by every client that can call. The Rust
client takes items by the crate's cursors, libbusrt by its fetches, the others by plain calls."""

import itertools
import struct

from bus import unpack
from cell import equal
from program import Connection, Refused

GROUP = 'cursors'
SERVERS = {'rust-async': 'the crate', 'libbusrt': 'libbusrt'}
BY_THEMSELVES = ('rust-async', 'libbusrt')  # have cursors in their library

LONG = 60_000_000  # microseconds
NOT_FOUND, PARSE = -32001, -32700
SIZES = [(total, bulk) for total in (0, 1, 2, 20, 300) for bulk in (0, 1, 2, 7, 20, 1000)]

numbers = itertools.count(1)


def open_params(total, ttl=LONG):
    return struct.pack('<II', total, ttl)


def cursor_params(cursor_id, count=0):
    """{u: id}, with {n: count} where there is one."""
    head = b'\x82' if count else b'\x81'
    tail = b'\xa1n\xcd' + struct.pack('>H', count) if count else b''
    return head + b'\xa1u\xc4\x10' + cursor_id + tail


def customers(total):
    return [{'id': i, 'name': f'customer {i}'} for i in range(total)]


class Taker:
    """A connection of the client under test, and the server that it asks."""

    def __init__(self, connection, kind, server, server_kind):
        self.connection = connection
        self.kind = kind
        self.server = server
        self.server_kind = server_kind

    def call(self, method, params):
        answer = self.connection.do('call', params, target=self.server, method=method, qos=1)
        return bytes.fromhex(answer['result'].get('hex', ''))

    def open(self, total, ttl=LONG):
        opened = unpack(self.call('cursor.open', open_params(total, ttl)))
        equal((list(opened), type(opened['u']), len(opened['u'])), (['u'], bytes, 16), 'the cursor')
        return opened['u']

    def take(self, total, bulk):
        """All items, by what the library has for that."""
        answer = self.connection.do('take', open_params(total), target=self.server, bulk=bulk)
        return [unpack(bytes.fromhex(item)) for item in answer['items']]

    def take_by_calls(self, total, bulk):
        """All items, as the crate's example of a client takes them."""
        cursor, items = self.open(total), []
        while True:
            if bulk == 0:
                item = self.call('cursor.next', cursor_params(cursor))
                if not item:
                    return items
                items.append(unpack(item))
            else:
                found = unpack(self.call('cursor.bulk', cursor_params(cursor, bulk)))
                items += found
                if len(found) < bulk:
                    return items

    def refused(self, code, method, params):
        """The call must fail with this RPC error."""
        try:
            answer = self.call(method, params)
        except Refused as e:
            equal(e.code, code, 'the error code')
        else:
            raise AssertionError(f'no error but {answer}')


def all_items(taker, one_by_one):
    """Every item once and in order, whatever the sizes."""
    take = taker.take if taker.kind.key in BY_THEMSELVES else taker.take_by_calls
    for total, bulk in SIZES:
        if (bulk == 0) == one_by_one:
            equal(take(total, bulk), customers(total), f'{total} items, {bulk} at a time')


def one_by_one(taker):
    all_items(taker, True)


def in_bulks(taker):
    all_items(taker, False)


def both(taker):
    """Single items and bulks of one cursor; a bulk without a number is of one."""
    cursor = taker.open(5)
    got = [unpack(taker.call('cursor.next', cursor_params(cursor))),
           *unpack(taker.call('cursor.bulk', cursor_params(cursor, 2))),
           *unpack(taker.call('cursor.bulk', cursor_params(cursor))),
           unpack(taker.call('cursor.next', cursor_params(cursor)))]
    equal(got, customers(5), 'the items')
    equal(taker.call('cursor.next', cursor_params(cursor)), b'', 'the end')


def unknown(taker):
    for method in ('cursor.next', 'cursor.bulk'):
        taker.refused(NOT_FOUND, method, cursor_params(bytes(16)))


def cancelled(taker):
    cursor = taker.open(5)
    taker.call('cursor.next', cursor_params(cursor))
    equal(taker.call('cursor.cancel', cursor_params(cursor)), b'', 'the answer')
    taker.refused(NOT_FOUND, 'cursor.next', cursor_params(cursor))


def malformed(taker):
    cursor = taker.open(5)
    for params in (b'', b'\xc0', b'\x80', cursor_params(cursor)[:-1], cursor_params(cursor[:-1]),
                   b'\x81\xa1u\xc4\x0f' + cursor[:-1], b'\x82' + 2 * cursor_params(cursor)[1:],
                   cursor_params(cursor, 9)[:-3] + b'\xff',
                   cursor_params(cursor, 9)[:-3] + b'\xa1x'):
        taker.refused(PARSE, 'cursor.bulk', params)
    equal(unpack(taker.call('cursor.next', cursor_params(cursor))), customers(1)[0], 'the item')


def shapes(taker):
    """What the crate reads of params, libbusrt must read, too."""
    cursor = taker.open(300)
    shown = b'\xc4\x10' + cursor
    shapes = {b'\x82\xa1n\x02\xa1u' + shown: 2, b'\x92' + shown + b'\x03': 3,
              b'\x82\xa1u' + shown + b'\xa1n\xc0': 1,
              b'\x82\xa1u' + shown + b'\xa1n\xcf' + struct.pack('>Q', 4): 4,
              b'\x83\xa1u' + shown + b'\xa5other\x92\x01\x80\xa1n\xcc\x05': 5,
              b'\xde\x00\x02\xa1u\xc5\x00\x10' + cursor + b'\xa1n\xd2' + struct.pack('>i', 6): 6,
              b'\x82\xc4\x01u' + shown + b'\xc4\x01n\x07': 7}
    at = 0
    for params, count in shapes.items():
        got = unpack(taker.call('cursor.bulk', params))
        equal(got, customers(at + count)[at:], f'what {params.hex()} brings')
        at += count


def ended(taker):
    """After the end a server says so for a while, and then knows the cursor no more."""
    cursor = taker.open(1)
    equal(len(unpack(taker.call('cursor.bulk', cursor_params(cursor, 3)))), 1, 'the items')
    for _ in range(3):
        try:
            equal(taker.call('cursor.next', cursor_params(cursor)), b'', 'after the end')
        except Refused as e:
            equal(e.code, NOT_FOUND, 'the error code')


def expired(taker):
    """One that lives for a microsecond is gone when the first call comes; the crate only looks now
    and then."""
    cursor = taker.open(5, 1)
    while taker.server_kind == 'rust-async':
        try:
            taker.call('cursor.next', cursor_params(cursor))
        except Refused as e:
            return equal(e.code, NOT_FOUND, 'the error code')
    taker.refused(NOT_FOUND, 'cursor.next', cursor_params(cursor))


ROWS = {'one by one': one_by_one, 'in bulks': in_bulks, 'both kinds of calls': both,
        'shapes of params': shapes, 'malformed params': malformed, 'an unknown id': unknown,
        'after the end': ended, 'cancelled': cancelled, 'expired': expired}


def run(programs, kinds, path, transport, results):
    number = next(numbers)
    by_key = {kind.key: kind for kind in kinds}
    servers, takers = {}, [k for k in kinds if k.key in programs and 'call' in k.offers]
    try:
        for key in SERVERS:
            if key in by_key:
                name = f'cursors{number}.{key}'
                servers[key] = Connection(programs[key], path, name, rpc=True).connect()
        for key, server in servers.items():
            for (title, row), kind in itertools.product(ROWS.items(), takers):
                with results.record(GROUP, f'{SERVERS[key]}: {title}', None, kind.key, transport):
                    one(row, programs[kind.key], kind, path, server, key)
    finally:
        for server in servers.values():
            server.close()


def one(row, program, kind, path, server, server_kind):
    """One cell, with a connection of its own."""
    connection = Connection(program, path, f'taker{next(numbers)}', rpc=True).connect()
    try:
        row(Taker(connection, kind, server.name, server_kind))
    finally:
        connection.close()
