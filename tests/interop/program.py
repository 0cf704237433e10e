# SPDX-License-Identifier: Apache-2.0
"""The client programs as seen from here: a program takes orders as lines of JSON on stdin, answers
each, and writes what arrives from the bus as events. One program holds many connections, each under
a handle; events are sorted by handle. See rust/, python/ and js/ for the other side."""

import hashlib
import itertools
import json
import queue
import subprocess
import threading

WAIT = 15  # a little more than the clients themselves wait
WAIT_LESS = 1  # when a broker has been silent often: a run must end
SILENCES = 10
PATTERN = 251


class Refused(Exception):
    """An order that the client's library answered with an error."""

    def __init__(self, error):
        super().__init__(f"{error['code']} {error['text']}".strip())
        self.code = error['code']
        self.text = error['text']


class Silence(Exception):
    """Nothing came in time."""

    count = 0

    def __init__(self, text):
        super().__init__(text)
        Silence.count += 1


def patience():
    """How long to wait for something that must come."""
    return WAIT if Silence.count < SILENCES else WAIT_LESS


class Big:
    """A large payload that all programs can make for themselves."""

    def __init__(self, size, seed):
        self.order = {'size': size, 'seed': seed}
        block = bytes((seed + 31 * i) & 0xff for i in range(PATTERN))
        self.data = (block * (size // PATTERN + 1))[:size]


def payload_order(payload):
    return payload.order if isinstance(payload, Big) else {'hex': payload.hex()}


def same_payload(described, payload):
    data = payload.data if isinstance(payload, Big) else payload
    if described['len'] != len(data):
        return False
    if 'hex' in described:
        return bytes.fromhex(described['hex']) == data
    return described['sha1'] == hashlib.sha1(data).hexdigest()


class Program:
    """A running client program."""

    def __init__(self, command, env):
        self.ids = itertools.count(1)
        self.answers = {}
        self.events = {}
        self.log = []
        self.process = subprocess.Popen(command, env=env, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, encoding='utf-8')
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            message = json.loads(line)
            if 'id' in message:
                self.answers[message['id']].put(message)
            elif message['ev'] == 'log':
                self.log.append(message['text'])
            else:
                self.events.setdefault(message['h'], queue.Queue()).put(message)

    def start(self, **order):
        """Gives an order, and returns a function that waits for its answer."""
        order['id'] = next(self.ids)
        answers = self.answers[order['id']] = queue.Queue()
        self.process.stdin.write(json.dumps(order) + '\n')
        self.process.stdin.flush()

        def wait():
            try:
                answer = answers.get(timeout=patience())
            except queue.Empty:
                raise Silence(f"no answer to {order['do']}") from None
            del self.answers[order['id']]
            if 'error' in answer:
                raise Refused(answer['error'])
            return answer

        return wait

    def next_event(self, handle):
        try:
            return self.events.setdefault(handle, queue.Queue()).get(timeout=patience())
        except queue.Empty:
            raise Silence('nothing arrived') from None

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()


class Connection:
    """One connection that a program holds."""

    numbers = itertools.count(1)

    def __init__(self, program, path, name, rpc=False, **options):
        self.program = program
        self.path = path
        self.name = name
        self.handle = f'c{next(self.numbers)}'
        self.rpc = rpc
        self.options = options

    def connect(self):
        """Options are for one library or another: timeout (Rust), ping_interval (Python)."""
        self.do('connect', path=self.path, name=self.name, rpc=self.rpc, **self.options)
        return self

    def start(self, what, payload=None, **order):
        if payload is not None:
            order['payload'] = payload_order(payload)
        return self.program.start(do=what, h=self.handle, **order)

    def do(self, what, payload=None, **order):
        return self.start(what, payload, **order)()

    def secondary(self):
        """A secondary of this connection, made by the library where it can, else by its name."""
        other = Connection(self.program, self.path, f'{self.name}%%0')
        answer = self.program.start(do='secondary', h=other.handle, of=self.handle)()
        other.name = answer['name']
        return other

    def next(self):
        return self.program.next_event(self.handle)

    def expect(self, event, payload, **fields):
        """The next event must be this one. Fields that a library does not tell are not compared."""
        got = self.next()
        wrong = [f'{k} is {got[k]!r}, not {v!r}' for k, v in fields.items()
                 if k in got and got[k] != v]
        if got['ev'] != event:
            raise AssertionError(f"{got['ev']} instead of {event}: {got}")
        if wrong:
            raise AssertionError('; '.join(wrong))
        if not same_payload(got['payload'], payload):
            raise AssertionError(f"wrong payload: {got['payload']}")

    def close(self):
        self.do('close')
