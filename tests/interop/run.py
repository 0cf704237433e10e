#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The interop suite: the published clients of BUS/RT and libbusrt against a broker, as a table of
operation, client and QoS in which every cell is a test. docs/interop.md explains it and holds the
table.

    run.py --setup                      fetch and build the clients (needs the network, once)
    run.py --broker BUILD/busrtd        run everything against this broker (offline)
"""

import argparse
import contextlib
import shutil
import signal
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True

import cases_bus  # noqa: F401  (registers its rows)
import cases_rpc  # noqa: F401
import cell
import clients
import cross
import cursors
import installation
import lifecycle
import reference_examples
import tool
from broker import Broker
from results import Results, write_docs

TRANSPORTS = ('unix', 'tcp')
NO_ORPHANS = 'no frame that the library did not expect'
KEEP_ALIVE = '2'  # seconds of the short broker timeout


class Suite:
    """Everything that a run holds: the broker, the client programs, the results."""

    def __init__(self, arguments):
        self.arguments = arguments
        self.installed = installation.Installation()
        self.results = Results(arguments.only)
        self.columns = clients.libraries(self.installed, arguments.library)
        self.tool = tool.Kind(installation.reference_tool())
        self.programs = {}
        self.logs = {k.key: [] for k in self.columns}
        self.directory = Path(tempfile.mkdtemp(prefix='busrt-interop-'))

    @property
    def libraries(self):
        return [k for k in self.columns if k.key not in self.arguments.without]

    @property
    def everybody(self):
        extra = [] if 'tool' in self.arguments.without else [self.tool]
        return self.libraries + extra

    def program(self, kind):
        if kind.key not in self.programs:
            self.programs[kind.key] = kind.start()
        return self.programs[kind.key]

    def drop(self, kind):
        program = self.programs.pop(kind.key)
        program.stop()
        self.logs[kind.key] += program.log

    def one(self, case, kind, qos, transport, broker):
        place = (case.group, case.title, qos, kind.key, transport)
        if not self.results.wanted(*place):
            return
        if not kind.can(case.title, transport):
            return
        if kind.key in self.arguments.without:
            return self.results.add(place, 'skipped')
        program = None if kind is self.tool else self.program(kind)
        running = cell.Cell(program, kind, broker.path(transport), qos)
        with self.results.record(*place):
            try:
                case.function(running)
            except Exception:
                running.abandon()
                if program:
                    self.drop(kind)
                raise
            running.close()

    def operations(self, broker):
        for transport in TRANSPORTS:
            for case in cell.CASES:
                for kind in self.columns:
                    for qos in case.offered(kind):
                        self.one(case, kind, qos, transport, broker)
            for case in tool.CASES:
                for qos in case.qos:
                    self.one(case, self.tool, qos, transport, broker)
        if not broker.alive():
            print(f'The broker is no more. The end of its log:\n{broker.tail()}')

    def everything(self, broker):
        """All cells, those that are not of one client alone too."""
        bench = contextlib.nullcontext()
        if self.tool in self.everybody:
            bench = contextlib.closing(tool.Benchmark(self.tool, broker.path('unix')))
        with bench as benchmark:
            self.operations(broker)
            if benchmark:
                benchmark.finish(self.results)
        for kind in self.libraries:
            self.program(kind)
        for transport in TRANSPORTS:
            self.stage(f'cross, {transport}', cross.run, broker.path(transport), transport)
            self.stage(f'cursors, {transport}', cursors.run, broker.path(transport), transport)
        with contextlib.closing(self.broker('short', '-t', KEEP_ALIVE)) as short:
            self.stage('keep-alive', lifecycle.keep_alive, short)
        self.stage('shutdown', lifecycle.shutdown, broker)
        library = None if 'libbusrt' in self.arguments.without else self.arguments.library
        reference_examples.run(self.arguments.broker, self.installed, library, self.results)

    def stage(self, name, function, *arguments):
        """A part in which all clients are together. What stops it as a whole is one failure."""
        try:
            function(self.programs, self.everybody, *arguments, self.results)
        except Exception as e:
            self.results.add(('all clients', name, None, 'all', 'all'), 'failed',
                             f'{type(e).__name__}: {e}')

    def quiet_logs(self):
        """No library may have warned of a frame that it did not expect."""
        for kind in self.libraries:
            program = self.programs.get(kind.key)
            texts = self.logs[kind.key] + (program.log if program else [])
            with self.results.record('bus', NO_ORPHANS, None, kind.key, 'all'):
                orphans = [t for t in texts if kind.complaint.search(t)]
                cell.equal(orphans, [], 'what the library logged')

    def broker(self, name, *arguments):
        return Broker(self.arguments.broker, self.directory, name, arguments)

    def run(self):
        try:
            with contextlib.closing(self.broker('main')) as broker:
                if self.arguments.only:
                    self.operations(broker)
                else:
                    self.everything(broker)
                self.quiet_logs()
        finally:
            for program in self.programs.values():
                program.stop()
            shutil.rmtree(self.directory, ignore_errors=True)
        return self.results


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('--setup', action='store_true', help='fetch and build the clients')
    parser.add_argument('--broker', metavar='PATH', help='the busrtd to test')
    parser.add_argument('--library', metavar='PATH',
                        help="libbusrt's client program; by default that of the broker's build")
    parser.add_argument('--without', action='append', default=[], metavar='CLIENT',
                        help='leave a client out; its cells count as skipped')
    parser.add_argument('--only', metavar='REGEX', help='only operations that match, to find out')
    parser.add_argument('--write-docs', metavar='FILE', type=Path, help='write the tables there')
    arguments = parser.parse_args()
    if arguments.only and arguments.write_docs:
        parser.error('the tables want all operations')
    if not arguments.setup and not arguments.broker:
        parser.error('give --broker PATH, or --setup')
    return arguments


def library_beside(broker):
    """The program of tests/interop/c in the build directory that this busrtd is in."""
    return str(Path(broker).parents[2] / 'tests/interop/c/interop-client')


def check_ready(arguments):
    if arguments.broker and not shutil.which(arguments.broker):
        raise installation.Missing(f'{arguments.broker} is no program')
    if not installation.Installation().fresh(arguments.without):
        raise installation.Missing('the clients are not there, or not these: run --setup first')
    if 'libbusrt' not in arguments.without and not shutil.which(arguments.library):
        raise installation.Missing(f"{arguments.library}, libbusrt's client program, is not there: "
                                   'build it, name it by --library, or leave it out by --without')
    if 'tool' not in arguments.without and installation.reference_tool() is None:
        raise installation.Missing("no busrt tool: set BUSRT_REFERENCE, or run --setup")


def main():
    arguments = parse_arguments()
    try:
        if arguments.setup:
            installation.setup(arguments.without)
        if not arguments.broker:
            return 0
        arguments.broker = str(Path(arguments.broker).resolve())
        arguments.library = arguments.library or library_beside(arguments.broker)
        check_ready(arguments)
    except installation.Missing as e:
        print(f'interop: {e}', file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    suite = Suite(arguments)
    results = suite.run()
    if arguments.write_docs:
        write_docs(arguments.write_docs, results, [*suite.columns, suite.tool])
    print(results.last_line())
    return 1 if results.counts['failed'] or not results.counts['passed'] else 0


if __name__ == '__main__':
    sys.exit(main())
