# SPDX-License-Identifier: Apache-2.0
"""Every client sends to every client: messages, publications, broadcasts, notifications and calls.
One sender and one receiver per client stay connected for the whole table of a transport."""

import itertools
import subprocess

from bus import unpack
from cell import equal
from program import Connection, Refused
from tool import Kind as Tool
from tool import Listener, plain_environment

OPERATIONS = ('send', 'publish', 'broadcast', 'notify', 'call')
KINDS = {'send': ('message', 'Message'), 'publish': ('publish', 'Publish'),
         'broadcast': ('broadcast', 'Broadcast')}

# What a server of libbusrt answers by itself: method -> result, or the code of an error reply.
METHODS = {'test': {'ok': True}, 'info': {'author': 'busrt', 'description': 'interop', 'version': '1'},
           'errno': -32121, 'late': -32120}

numbers = itertools.count(1)


class LibrarySide:
    """A library's connections: one for plain frames, an RPC server, and an RPC caller, since the
    sync Rust client cannot answer anything while it calls."""

    echoes = True

    def __init__(self, program, kind, path, number):
        self.kind = kind
        self.plain = Connection(program, path, f'x{number}.{kind.key}.plain').connect()
        self.rpc = Connection(program, path, f'x{number}.{kind.key}.rpc', rpc=True).connect()
        self.caller = Connection(program, path, f'x{number}.{kind.key}.caller', rpc=True).connect()
        self.plain.do('subscribe', topics=[f'x{number}/{kind.key}/+'], qos=1)

    def offers(self, operation):
        return operation in self.kind.offers

    def stay(self):
        """Some libraries leave the pings to their user."""
        if self.kind.qos('ping'):
            for connection in (self.plain, self.rpc, self.caller):
                connection.do('ping')

    def post(self, operation, to, text):
        payload = text.encode()
        if operation in ('notify', 'call'):
            order = {'method': 'echo'} if operation == 'call' else {}
            answer = self.caller.do(operation, payload, target=to['rpc'], qos=1, **order)
            return answer, self.caller.name
        where = {'send': ('target', to['plain']), 'publish': ('topic', to['topic']),
                 'broadcast': ('mask', to['mask'])}[operation]
        answer = self.plain.do(operation, payload, qos=1, **dict([where]))
        equal(answer['ack'], 1, 'the acknowledgement')
        return answer, self.plain.name

    def check_result(self, answer, text, echoes):
        expected = text.encode().hex() if echoes else ''
        equal(answer['result'].get('hex'), expected, 'the result')

    def expect(self, operation, sender, text, topic):
        if operation == 'notify':
            self.rpc.expect('notification', text.encode(), sender=sender, primary=sender)
        elif operation == 'call':
            self.rpc.expect('call', text.encode(), sender=sender, method='echo', reply=True)
        else:
            self.plain.expect('frame', text.encode(), kind=KINDS[operation][0], sender=sender,
                              topic=topic if operation == 'publish' else None)

    def close(self):
        for connection in (self.plain, self.rpc, self.caller):
            connection.close()


class ToolSide:
    """The tool: two listeners, and a process for each thing that it sends."""

    echoes = False

    def __init__(self, kind, path, number):
        self.kind = kind
        self.path = path
        self.sender = f'x{number}.sender.tool'
        self.plain = Listener(kind, path, f'x{number}.tool.plain', 'listen', '-t',
                              f'x{number}/tool/+')
        self.rpc = Listener(kind, path, f'x{number}.tool.rpc', 'rpc', 'listen')

    def offers(self, operation):
        return True

    def stay(self):
        pass

    def post(self, operation, to, text):
        words = {'send': ('send', to['plain'], text), 'publish': ('publish', to['topic'], text),
                 'broadcast': ('send', to['mask'], text),
                 'notify': ('rpc', 'notify', to['rpc'], text),
                 'call': ('rpc', 'call', to['rpc'], 'echo', '-')}[operation]
        done = subprocess.run([self.kind.program, '-s', '-n', self.sender, self.path, *words],
                              input=text.encode(), capture_output=True, timeout=10,
                              env=plain_environment())
        equal(done.returncode, 0, 'the exit status')
        return done.stdout.decode(), self.sender

    def check_result(self, answer, text, echoes):
        equal(answer.strip(), text if echoes else '', 'the result')

    def expect(self, operation, sender, text, topic):
        if operation == 'notify':
            self.rpc.expect('Notification', sender, text)
        elif operation == 'call':
            self.rpc.expect('method: echo', sender, text)
        else:
            self.plain.expect(KINDS[operation][1], sender, text,
                              topic if operation == 'publish' else None)

    def close(self):
        self.plain.close()
        self.rpc.close()


def make_side(programs, kind, path, number):
    """A client that takes part, with the addresses by which others reach it."""
    if isinstance(kind, Tool):
        side = ToolSide(kind, path, number)
    else:
        side = LibrarySide(programs[kind.key], kind, path, number)
    side.address = {'plain': side.plain.name, 'rpc': side.rpc.name,
                    'topic': f'x{number}/{kind.key}/value', 'mask': f'?.{kind.key}.plain'}
    return side


def one(sender, receiver, operation):
    """One cell: what is sent arrives whole, under the sender's name, and a call has its result."""
    text = f'{operation} from {sender.kind.key} to {receiver.kind.key}'
    answer, name = sender.post(operation, receiver.address, text)
    receiver.expect(operation, name, text, receiver.address['topic'])
    if operation == 'call':
        sender.check_result(answer, text, receiver.echoes)


def ask(caller, server, method):
    """One cell: a method that libbusrt makes up the answer of."""
    try:
        answer = caller.caller.do('call', b'', target=server.address['rpc'], method=method, qos=1)
    except Refused as e:
        equal(e.code, METHODS[method], 'the error code')
    else:
        equal(unpack(bytes.fromhex(answer['result']['hex'])), METHODS[method], 'the result')


def ask_all(parties, transport, results):
    callers = [side for side in parties.values() if isinstance(side, LibrarySide) and side.offers('call')]
    for method, caller in itertools.product(METHODS, callers if 'libbusrt' in parties else ()):
        with results.record('methods', method, None, caller.kind.key, transport):
            for side in parties.values():
                side.stay()
            ask(caller, parties['libbusrt'], method)


def run(programs, kinds, path, transport, results):
    number = next(numbers)
    parties = {}
    try:
        for kind in kinds:
            parties[kind.key] = make_side(programs, kind, path, number)
        for operation, sender, receiver in itertools.product(OPERATIONS, parties, parties):
            if parties[sender].offers(operation):
                with results.record(f'cross: {operation}', sender, None, receiver, transport):
                    for side in parties.values():
                        side.stay()
                    one(parties[sender], parties[receiver], operation)
        ask_all(parties, transport, results)
    finally:
        for side in parties.values():
            side.close()
