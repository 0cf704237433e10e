# SPDX-License-Identifier: Apache-2.0
"""One cell of the table while it runs: fresh names, connections that are closed afterwards, and the
checks that many cases share. And the list of all cases, by decorator."""

import itertools

from bus import Bare, MESSAGE
from program import Connection

CASES = []


class Case:
    """A row of the table: an operation and how it is tested for one client at one QoS."""

    def __init__(self, group, title, needs, qos, function):
        self.group = group
        self.title = title
        self.needs = needs
        self.qos = qos
        self.function = function

    def offered(self, kind):
        """The QoS at which this client has this row; (None,) where QoS has no meaning."""
        if self.needs is None:
            return self.qos
        levels = kind.qos(self.needs)
        if self.qos == (None,):
            return (None,) if levels else ()
        return tuple(q for q in self.qos if q in levels)


def case(group, title, needs=None, qos=(None,)):
    """Makes a function a row of the table."""
    def register(function):
        CASES.append(Case(group, title, needs, qos, function))
        return function
    return register


class Cell:
    """What a case gets: the client under test, where the broker is, and helpers."""

    numbers = itertools.count(1)

    def __init__(self, program, kind, path, qos):
        self.program = program
        self.kind = kind
        self.path = path
        self.qos = qos
        self.number = next(self.numbers)
        self.open = []

    def name(self, what):
        return f'{what}.{self.number}'

    def connect(self, what='client', rpc=False, name=None, **options):
        connection = Connection(self.program, self.path, name or self.name(what), rpc, **options)
        self.open.append(connection.connect())
        return connection

    def reconnect(self, rounds):
        """A connection whose name has been given up and taken again so many times."""
        connection = Connection(self.program, self.path, self.name('client'))
        connection.do('reconnect', path=self.path, name=connection.name, rounds=rounds)
        self.open.append(connection)
        return connection

    def bare(self, what='bare', name=None):
        bare = Bare(self.path, name or self.name(what))
        self.open.append(bare)
        return bare

    def close(self):
        for connection in reversed(self.open):
            connection.close()

    def abandon(self):
        """After a failure the program is in an unknown state, and nobody asks it for anything."""
        for connection in self.open:
            if not isinstance(connection, Connection):
                connection.close()

    def do(self, connection, what, payload=None, **order):
        """An operation at this cell's QoS; its acknowledgement must be as QoS says."""
        answer = connection.do(what, payload, qos=self.qos, **order)
        self.check_ack(answer)

    def check_ack(self, answer):
        equal(answer['ack'], 1 if self.qos & 1 else None, 'the acknowledgement')

    @property
    def realtime(self):
        return self.qos >= 2

    def fence(self, connection, bare):
        """When this has come, the broker has handled all that the connection sent before."""
        connection.do('send', b'fence', target=bare.name, qos=0)
        expect_bare(bare, 'message', connection.name, b'fence', realtime=False)


def equal(actual, expected, what):
    if actual != expected:
        raise AssertionError(f'{what} is {actual!r}, not {expected!r}')


def expect_bare(bare, kind, sender, payload, topic=None, realtime=None):
    """The next frame at the bare client, whole."""
    frame = bare.frame()
    equal((frame.kind, frame.sender, frame.topic), (kind, sender, topic), 'the frame')
    equal(frame.payload, payload, 'the payload')
    if realtime is not None:
        equal(frame.realtime, realtime, 'the realtime flag')


def unknown_target(bare):
    """A name that nobody has, proven by the bare client."""
    name = bare.name + '.nobody'
    equal(bare.acked(MESSAGE, name.encode() + b'\0'), 0x71, 'the acknowledgement')
    return name
