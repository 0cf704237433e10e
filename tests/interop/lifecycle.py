# SPDX-License-Identifier: Apache-2.0
"""Rows that need a broker of their own: connections that live by pings, and the end of a broker.
All clients take part at once, on both transports."""

import contextlib
import itertools
import json
import select
import time

from bus import Bare, unpack
from cell import equal, expect_bare
from program import Connection, Refused
from tool import Kind as Tool
from tool import Listener

TRANSPORTS = ('unix', 'tcp')
PING, BY_ITSELF = 'ping', 'pings sent by the library itself'
SHUTDOWN = 'the `shutdown` warning'

CEILING = 25  # seconds: ten times what a broker with a timeout of two seconds promises

# Rust's RPC layer pings twice per timeout; Python notices a lost connection when it pings. libbusrt
# pings by itself unless it is told not to.
OPTIONS = {'timeout': 1, 'ping_interval': 0.1}
NO_PINGS = {'ping_interval': 0}

numbers = itertools.count(1)


def connect_all(programs, kinds, broker, rpc, options=OPTIONS):
    """One connection per client and transport."""
    for kind, transport in itertools.product(kinds, TRANSPORTS):
        name, path = f'life{next(numbers)}', broker.path(transport)
        if isinstance(kind, Tool):
            yield kind, transport, Listener(kind, path, name, 'listen')
        else:
            connection = Connection(programs[kind.key], path, name, rpc, **options)
            yield kind, transport, connection.connect()


def still_works(connection, path):
    """The connection sends and receives."""
    bare = Bare(path, f'life{next(numbers)}')
    if isinstance(connection, Listener):
        bare.send(connection.name, b'still here?')
        connection.expect('Message', bare.name, 'still here?')
    else:
        bare.send(connection.name, b'\0still here?' if connection.rpc else b'still here?')
        equal(connection.do('connected')['connected'], True, 'connected')
        event = 'notification' if connection.rpc else 'frame'
        connection.expect(event, b'still here?', sender=bare.name)
        connection.do('send', b'yes', target=bare.name, qos=1)
        expect_bare(bare, 'message', connection.name, b'yes')
    bare.close()


def outlive_silence(broker, pinged):
    """Lets a client that never pings be dropped, while the others get their pings."""
    silent = Bare(broker.unix, f'silent{next(numbers)}')
    deadline = time.monotonic() + CEILING
    while time.monotonic() < deadline:
        readable, _, _ = select.select([silent.sock], [], [], 0.25)
        for connection in pinged:
            with contextlib.suppress(Refused):
                connection.do('ping')
        if readable and not silent.sock.recv(4096):
            return silent.close()
    raise AssertionError('a client that never pings is not dropped')


def keep_alive(programs, kinds, broker, results):
    """The broker has a short timeout: who does not ping is dropped."""
    explicit = [k for k in kinds if not isinstance(k, Tool) and k.qos('ping')]
    automatic = [k for k in kinds if k.key != 'rust-sync']
    pinged = list(connect_all(programs, explicit, broker, rpc=False, options=NO_PINGS))
    others = list(connect_all(programs, automatic, broker, rpc=True))
    outlive_silence(broker, [c for _, _, c in pinged])
    for title, group in ((PING, pinged), (BY_ITSELF, others)):
        for kind, transport, connection in group:
            with results.record('bus', title, None, kind.key, transport):
                still_works(connection, broker.path(transport))
            connection.close()


def warned_by_tool(listener):
    heard = listener.hear()
    equal((heard.kind, heard.sender, heard.topic), ('Publish', '.broker', '.broker/warn'), 'frame')
    news = json.loads(heard.payload.removeprefix('MSGPACK:'))
    equal((news['s'], set(news)), ('shutdown', {'s', 't'}), 'the warning')
    equal(listener.hear(), None, 'what the tool printed last')


def warned(connection):
    event = connection.next()
    equal((event['ev'], event.get('kind'), event.get('sender'), event.get('topic')),
          ('frame', 'publish', '.broker', '.broker/warn'), 'the event')
    news = unpack(bytes.fromhex(event['payload']['hex']))
    equal((news['s'], set(news)), ('shutdown', {'s', 't'}), 'the warning')
    equal(connection.next()['ev'], 'gone', 'the last event')


def shutdown(programs, kinds, broker, results):
    """The broker stops: everybody is told, then everybody is disconnected."""
    everybody = list(connect_all(programs, kinds, broker, rpc=False))
    for kind, _, connection in everybody:
        if kind.key.startswith('python'):
            connection.do('watch')
    broker.terminate()
    for kind, transport, connection in everybody:
        with results.record('bus', SHUTDOWN, None, kind.key, transport):
            if isinstance(connection, Listener):
                warned_by_tool(connection)
            else:
                warned(connection)
    for kind, _, connection in everybody:
        if isinstance(connection, Listener):
            connection.close()
    with results.record('broker', 'exit status 0 after SIGTERM', None, 'broker', 'unix'):
        equal(broker.wait(), 0, 'the exit status')
