# SPDX-License-Identifier: Apache-2.0
"""Starts the broker under test on fresh sockets, and stops it."""

import contextlib
import signal
import socket
import subprocess
import time
from pathlib import Path

from bus import connect_socket

WAIT = 10


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


class Broker:
    """One running broker that listens on a UNIX socket and on loopback TCP."""

    def __init__(self, program, directory, name, arguments=(), unix=None):
        self.unix = unix or str(directory / f'{name}.sock')
        self.tcp = f'127.0.0.1:{free_port()}'
        self.log = Path(directory) / f'{name}.log'
        command = [program, '-B', self.unix, '-B', self.tcp, *arguments]
        with open(self.log, 'wb') as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log)
        self._wait_until_it_listens()

    def _wait_until_it_listens(self):
        deadline = time.monotonic() + WAIT
        for path in (self.unix, self.tcp):
            while True:
                with contextlib.suppress(OSError):
                    connect_socket(path, WAIT).close()
                    break
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.kill()
                    raise SystemExit(f'the broker does not listen on {path}:\n{self.tail()}')
                time.sleep(0.005)

    def path(self, transport):
        return self.unix if transport == 'unix' else self.tcp

    def alive(self):
        return self.process.poll() is None

    def tail(self):
        return '\n'.join(self.log.read_text(errors='replace').splitlines()[-10:])

    def terminate(self):
        """Asks the broker to stop, without waiting for it."""
        self.process.send_signal(signal.SIGTERM)

    def wait(self):
        return self.process.wait(WAIT)

    def close(self):
        self.kill()

    def kill(self):
        if self.alive():
            self.process.kill()
        self.process.wait()
