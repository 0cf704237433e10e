# SPDX-License-Identifier: Apache-2.0
"""The reference's own published examples, unchanged, against the broker under test. They connect to
/tmp/busrt.sock, so they and the broker run with a /tmp of their own (a mount namespace) in which
everything else of /tmp is still found. Without the right to do that the real /tmp is used, if
nobody else has that socket there.

reference_examples.py BROKER EXAMPLES TMP LIBRARY prints one line of JSON per case; run.py calls it."""

import contextlib
import functools
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from broker import Broker
from bus import Bare, unpack
from cell import equal
from program import Connection, Program

SOCKET = '/tmp/busrt.sock'
WAIT = 10
CUSTOMERS = 250  # as many as the library's program has
PUB_SUB = 'client_listener, client_sender'
RPC = 'client_rpc_handler, client_rpc'


class Example:
    """A running example and the lines that it prints."""

    def __init__(self, directory, name):
        self.lines = queue.Queue()
        self.process = subprocess.Popen([str(directory / name)], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, text=True)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for text in self.process.stdout:
            self.lines.put(text.rstrip('\n'))
        self.lines.put(None)

    def line(self):
        """The next line, without those about clients that come and go."""
        while True:
            text = self.lines.get(timeout=WAIT)
            if text is None or ' from .broker: ' not in text:
                return text

    def stop(self):
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def running(directory, name):
    example = Example(directory, name)
    try:
        yield example
    finally:
        example.stop()


def run_to_end(directory, name):
    done = subprocess.run([str(directory / name)], capture_output=True, text=True, timeout=WAIT)
    equal((done.returncode, done.stderr), (0, ''), f'the end of {name}')
    return done.stdout


def wait_for_client(name):
    """Until the example has registered its name and subscribed."""
    bare = Bare(SOCKET, 'waiting.for.example')
    deadline = time.monotonic() + WAIT
    try:
        while time.monotonic() < deadline:
            reply = bare.call('.broker', 'client.list')
            entry = [c for c in unpack(reply.payload[5:])['clients'] if c['name'] == name]
            if entry and entry[0]['r_frames'] > 0:
                return
        raise AssertionError(f'{name} has not subscribed')
    finally:
        bare.close()


def publish_and_listen(directory):
    with running(directory, 'client_listener') as listener:
        wait_for_client('test.client.listener')
        equal(run_to_end(directory, 'client_sender'), '', 'the output of client_sender')
        head = 'Frame from test.client.sender: '
        for text in ('Publish Some("some/topic") hello', 'Message None hello',
                     'Broadcast None hello everyone'):
            equal(listener.line(), head + text, 'the line')


def call_and_serve(directory):
    with running(directory, 'client_rpc_handler') as server:
        equal(server.line(), 'Waiting for frames to test.client.rpc', 'the line')
        for total in ('10\n', '20\n'):
            equal(run_to_end(directory, 'client_rpc'), total, 'the output of client_rpc')


def serve_frames(directory):
    """The sender's broadcast and publication reach the RPC handler too, in any order."""
    with running(directory, 'client_listener'), running(directory, 'client_rpc_handler') as server:
        wait_for_client('test.client.listener')
        equal(server.line(), 'Waiting for frames to test.client.rpc', 'the line')
        run_to_end(directory, 'client_sender')
        head = 'Got non-RPC frame from test.client.sender: '
        equal(sorted((server.line(), server.line())),
              [head + 'Broadcast None hello everyone',
               head + 'Publish Some("some/topic") hello'], 'the lines')


def take_customers(directory, library):
    """Their example of a client of cursors. Their server wants a database; ours is libbusrt's."""
    server = Program([library], os.environ)
    try:
        Connection(server, SOCKET, 'db', rpc=True).connect()
        lines = ''.join(f'{n}: customer {n}\n' for n in range(CUSTOMERS))
        equal(run_to_end(directory, 'client_cursor'), 2 * lines, 'the output of client_cursor')
    finally:
        server.stop()


CASES = {PUB_SUB: publish_and_listen, RPC: call_and_serve,
         'client_listener, client_rpc_handler, client_sender': serve_frames}
OF_THE_LIBRARY = {'client_cursor, and a server of libbusrt': take_customers}


def spare_directory(*in_use):
    """A directory outside of /tmp under which nothing lies that is needed here."""
    for place in ('/mnt', '/media', '/srv', '/opt'):
        if os.path.isdir(place) and not any(str(p).startswith(place + '/') for p in in_use):
            return place
    raise OSError('no directory to mount on')


def take_private_tmp(*in_use):
    """In a mount namespace of our own: an empty /tmp with links to all that was there."""
    old = spare_directory(*in_use)
    subprocess.run(['mount', '--rbind', '/tmp', old], check=True)
    subprocess.run(['mount', '-t', 'tmpfs', 'tmpfs', '/tmp'], check=True)
    for name in os.listdir(old):
        if name != os.path.basename(SOCKET):
            os.symlink(f'{old}/{name}', f'/tmp/{name}')


def cases(library):
    """Names and functions; those of the library only where its program is."""
    found = dict(CASES)
    if library:
        found.update((title, functools.partial(function, library=library))
                     for title, function in OF_THE_LIBRARY.items())
    return found


def run_cases(program, directory, library):
    """Yields each case's name and what went wrong, if anything."""
    with tempfile.TemporaryDirectory(prefix='busrt-examples-') as scratch:
        for title, function in cases(library).items():
            broker = Broker(program, Path(scratch), 'examples', unix=SOCKET)
            try:
                function(directory)
                broker.terminate()
                equal((broker.wait(), os.path.exists(SOCKET)), (0, False),
                      'exit status and whether the socket is left')
                yield title, None
            except Exception as e:
                yield title, f'{type(e).__name__}: {e}'
            finally:
                broker.kill()


def namespace_command():
    """How to get a mount namespace here, or nothing."""
    for command in (['unshare', '-m'], ['unshare', '-rm']):
        probe = [*command, 'mount', '-t', 'tmpfs', 'tmpfs', '/tmp']
        with contextlib.suppress(OSError):
            if subprocess.run(probe, capture_output=True).returncode == 0:
                return command
    return None


def run(program, installed, library, results):
    """Runs all examples in a process of their own, and records what they came to."""
    prefix = namespace_command()
    if prefix is None and os.path.exists(SOCKET):
        for title in cases(library):
            results.add(('examples', title, None, 'example', 'unix'), 'failed',
                        f'{SOCKET} is in use, and no namespace can be had')
        return
    command = [*(prefix or []), sys.executable, '-B', __file__, program, str(installed.examples),
               'private' if prefix else 'shared', library or '']
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    outcomes = dict(json.loads(text) for text in done.stdout.splitlines())
    for title in cases(library):
        with results.record('examples', title, None, 'example', 'unix'):
            equal(outcomes.get(title, f'not run, exit status {done.returncode}'), None, 'the error')


def main():
    program, directory, tmp, library = sys.argv[1:]
    if tmp == 'private':
        take_private_tmp(program, directory, library, __file__, sys.executable)
    for outcome in run_cases(program, Path(directory), library):
        print(json.dumps(outcome), flush=True)


if __name__ == '__main__':
    main()
