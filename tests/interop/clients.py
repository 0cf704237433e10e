# SPDX-License-Identifier: Apache-2.0
"""The client libraries, the published ones and libbusrt: what each is called, how its program is
started, and what it offers. An operation that a library does not offer is no cell of the table."""

import os
import re
from pathlib import Path

from program import Program

HERE = Path(__file__).resolve().parent

ALL = (0, 1, 2, 3)
ACKED = (1, 3)
ONE = (1,)

# Operations that every library with a program has, with the QoS that it lets its user choose.
COMMON = {
    'subscribe': ALL, 'subscribe-bulk': ALL, 'subscribe-nothing': ACKED,
    'unsubscribe': ALL, 'unsubscribe-bulk': ALL, 'publish': ALL, 'send': ALL, 'broadcast': ALL,
    'notify': ALL, 'call0': ALL, 'call': ALL, 'serve': ALL, 'secondary': ONE, 'call-nobody': ACKED,
}
EXTENDED = {'exclude': ALL, 'exclude-bulk': ALL, 'unexclude': ALL, 'unexclude-bulk': ALL,
            'publish-for': ALL, 'ping': ONE}
SUBSCRIPTIONS = ('subscribe', 'subscribe-bulk', 'subscribe-nothing', 'unsubscribe',
                 'unsubscribe-bulk')


class Kind:
    """One client library."""

    slow_tcp = False
    makes_secondaries = False  # by a call of its own
    repeats_realtime = False  # of a request, in the reply
    complaint = re.compile('orphaned|[Ii]nvalid')  # what it logs of a frame that it did not expect

    def __init__(self, key, title, offers, command, env=None):
        self.key = key
        self.title = title
        self.offers = offers
        self.command = command
        self.env = env or {}

    def start(self):
        return Program(self.command, {**os.environ, **self.env})

    def can(self, title, transport):
        """Whether a row makes sense over this transport."""
        return not (self.slow_tcp and transport == 'tcp' and '8 MiB' in title)

    def qos(self, operation):
        return self.offers.get(operation, ())


def without(offers, *names):
    return {k: v for k, v in offers.items() if k not in names}


def libbusrt(program):
    """Our own library. Its calls are always acknowledged, and it takes no empty list of topics. It
    drops the acknowledgement of what nobody waits for in silence: what it tells of is a frame that
    breaks the protocol, by which it closes the connection."""
    offers = {**without(COMMON, 'subscribe-nothing'), **EXTENDED, 'call': ACKED}
    kind = Kind('libbusrt', 'libbusrt', offers, [str(program)])
    kind.complaint = re.compile(' sent ')
    return kind


def libraries(installed, library):
    """All client libraries, with the files that the setup and our own build have made."""
    python = [installed.python, '-B']
    rust = {**COMMON, **EXTENDED}
    javascript = {**without(COMMON, 'broadcast'), **{op: ONE for op in SUBSCRIPTIONS}}
    found = [
        Kind('rust-async', 'Rust async', rust, [installed.rust('async-client')]),
        # A call of the sync client does not look at its acknowledgement: it waits for a reply.
        Kind('rust-sync', 'Rust sync', without(rust, 'call-nobody'),
             [installed.rust('sync-client')]),
        Kind('python-sync', 'Python sync', COMMON, [*python, str(HERE / 'python/sync_client.py')]),
        Kind('python-async', 'Python async', COMMON,
             [*python, str(HERE / 'python/async_client.py')]),
        Kind('js', 'JavaScript', javascript, [installed.node, str(HERE / 'js/client.js')],
             {'NODE_PATH': str(installed.node_modules)}),
        libbusrt(library),
    ]
    # It asks for socket buffers of 8 KiB, with which 8 MiB take TCP five seconds and more.
    next(k for k in found if k.key == 'python-sync').slow_tcp = True
    for kind in found:
        kind.makes_secondaries = kind.repeats_realtime = kind.key.startswith(('rust', 'libbusrt'))
    return found
