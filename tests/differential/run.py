#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Plays every row against two brokers and compares what they answer, byte by byte.

    run.py --ours PATH/busrtd --reference PATH/busrtd [--only ID|FILE] [-v]

Every row gets a fresh broker of each kind. One line per failing row, then where the answers differ; a last line with
the counts; exit status 1 when a row failed. --list prints what each row proves. With --ours pointing at the reference
too, exactly the rows marked "ours" fail.
"""
import argparse
import functools
import importlib
import os
import signal
import sys
import time
import traceback
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import frames as f
from bus import Broker, Bus, Failure
from rows import HARMFUL, NOT_RUN, ROWS, Skip

FILES = ('handshake', 'operations', 'delivery', 'bad_input', 'publish', 'broadcast', 'secondaries', 'rpc', 'broker_rpc',
         'counters', 'announcements', 'keepalive', 'overflow', 'closing', 'fifo', 'addresses')


def play(row, path):
    """The transcript of a row on the broker at path."""
    bus = Bus(Broker(path, row.options, row.listen, row.before))
    try:
        row.play(bus)
        bus.broker.check_health()
        return bus.transcript(row.masks)
    except Failure as e:
        if bus.broker.caught():
            raise Failure(f'{e}\n{bus.broker.last_words()}')
        raise
    finally:
        bus.close()


def difference(expected, got, names):
    """Lines that show where each peer's items differ; none when all is equal."""
    lines = []
    for label in expected:
        want, have = expected[label], got.get(label, [])
        if want == have:
            continue
        apart = [i for i, (a, b) in enumerate(zip(want, have)) if a != b] or [min(len(want), len(have))]
        lines.append(f'    {label}: {names[0]} has {len(want)} items, {names[1]} has {len(have)}')
        # When one has more items than the other, all that follow the first difference are apart, and tell nothing.
        for at in apart[:5 if len(want) == len(have) else 1]:
            lines += item_difference(at, want[at:at + 1], have[at:at + 1], names)
    return lines


def item_difference(at, want, have, names):
    lines = [f'      {name:>9} item {at}: {f.describe(item[0]) if item else "nothing"}' for name, item in zip(names, (want, have))]
    if want and have and isinstance(want[0], bytes) and isinstance(have[0], bytes):
        lines += byte_difference(want[0], have[0], names)
    return lines


def byte_difference(want, have, names):
    at = next((i for i, (a, b) in enumerate(zip(want, have)) if a != b), min(len(want), len(have)))
    start = max(0, at - 8)
    return [f'      {name:>9} byte {at}: ...{data[start:at].hex(" ")} [{data[at:at + 1].hex()}] '
            f'{data[at + 1:at + 12].hex(" ")} ({len(data)} bytes)' for name, data in zip(names, (want, have))]


def judge(expected, transcript, names):
    if callable(expected):
        try:
            expected(transcript)
        except Failure as e:
            return [f'    {names[1]}: {e}']
        return []
    return difference(expected, transcript, names)


def attempt(row, path, who):
    """(transcript, problem lines)"""
    try:
        return play(row, path), []
    except Skip:
        raise
    except Failure as e:
        return None, [f'    {who}: {e}']
    except Exception:
        return None, [f'    {who}: ' + traceback.format_exc().replace('\n', '\n      ')]


def run_row(row, ours, reference):
    """Problem lines of one row."""
    if row.is_same:
        theirs, problems = attempt(row, reference, 'reference')
        mine, more = attempt(row, ours, 'ours')
        problems += more
        if not problems:
            if row.same:
                row.same(mine, theirs)
            labels = {**{k: [] for k in mine}, **theirs}
            problems = difference(labels, mine, ('reference', 'ours'))
        return problems
    if row.reference is HARMFUL and os.path.samefile(ours, reference):
        raise Skip('would harm the reference')
    mine, problems = attempt(row, ours, 'ours')
    if not problems:
        problems = judge(row.ours, mine, ('expected', 'ours'))
    if row.reference not in (NOT_RUN, HARMFUL):
        theirs, more = attempt(row, reference, 'reference')
        problems += more or judge(row.reference, theirs, ('expected', 'reference'))
    return problems


def verdict(ours, reference, number):
    row, start = ROWS[number], time.monotonic()
    try:
        problems = run_row(row, ours, reference)
        state = 'FAIL' if problems else 'ok'
    except Skip as e:
        state, problems = 'skip', [f'    {e}']
    return state, problems, time.monotonic() - start


def show(row, state, problems, seconds, verbose):
    if state == 'ok' and not verbose:
        return
    kind = 'same' if row.is_same else 'ours'
    took = f' ({seconds:.2f} s)' if verbose else ''
    print(f'{state} {row.ident} [{kind}] §{row.section}: {row.says}{took}')
    for line in problems:
        print(line)


class Stopped(BaseException):
    """Somebody's patience is over."""


def stop(*_):
    raise Stopped


def play_all(chosen, play_one, jobs, verbose):
    """How many of the rows ended how."""
    counts = {'ok': 0, 'FAIL': 0, 'skip': 0}
    # Processes, not threads: a thread that starts a broker would, for a moment, hold copies of all the others' sockets,
    # and what they close would not be closed.
    with ProcessPoolExecutor(jobs, get_context('fork'), signal.signal, (signal.SIGTERM, signal.SIG_DFL)) as pool:
        verdicts = [pool.submit(play_one, number) for number, _ in chosen]
        signal.signal(signal.SIGTERM, stop)
        try:
            for (_, row), result in zip(chosen, verdicts):
                state, *rest = result.result()
                counts[state] += 1
                show(row, state, *rest, verbose)
        except Stopped:
            late = ' '.join(row.ident for (_, row), result in zip(chosen, verdicts) if result.running())
            print(f'stopped; no verdict on {late}', flush=True)
            os._exit(1)
    return counts


def main():
    parser = argparse.ArgumentParser(description='Compares two BUS/RT brokers answer by answer.')
    parser.add_argument('--ours', help='the busrtd under test')
    parser.add_argument('--reference', help='the published busrtd 0.5.6')
    parser.add_argument('--only', action='append', help='rows whose id or file begins with this (repeatable)')
    parser.add_argument('--list', action='store_true', help='print the rows and what they prove')
    parser.add_argument('-j', type=int, default=4, help='rows at a time (4)')
    parser.add_argument('-v', '--verbose', action='store_true', help='passing rows too')
    args = parser.parse_args()
    for name in FILES:
        importlib.import_module(name)
    chosen = [(i, r) for i, r in enumerate(ROWS) if not args.only or any(r.is_called(word) for word in args.only)]
    if args.list:
        for _, r in chosen:
            print(f'{r.ident:24} {"same" if r.is_same else "ours"} §{r.section:4} {r.says}')
        return 0
    if not args.ours or not args.reference:
        parser.error('--ours and --reference are needed')
    for word in args.only or ():
        if not any(r.is_called(word) for r in ROWS):
            parser.error(f'no row is called {word}')
    for path in (args.ours, args.reference):
        if not os.access(path, os.X_OK):
            parser.error(f'{path} is not a program')
    play_one = functools.partial(verdict, os.path.abspath(args.ours), os.path.abspath(args.reference))
    counts = play_all(chosen, play_one, args.j, args.verbose)
    print(f'{counts["ok"]} passed, {counts["FAIL"]} failed, {counts["skip"]} skipped')
    return 1 if counts['FAIL'] else 0


if __name__ == '__main__':
    sys.exit(main())
