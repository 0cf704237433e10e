#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares two client libraries, libbusrt and the published Rust client, on one broker of ours.

A round runs each stage of both programs (client-speed.c says what the stages are), and the one that begins
alternates. Shown are medians with the least and the greatest value; the ratio is libbusrt's median beside the Rust
client's. CPU is the client process's own, user and system.
"""
import argparse
import os
import subprocess
import sys

import page
import table
from brokers import Broker, Side
from goals import factor

HERE = os.path.dirname(os.path.abspath(__file__))
# Stage, what of libbusrt it is compared with, and the goals that were set for it: rate, CPU.
STAGES = [('publish', 'publish', 2, 3), ('single', 'publish', None, None), ('acked', 'acked', 1, 3),
          ('call', 'call', 1, 3), ('loop', 'loop', None, None)]


def measure(program, socket, stage, seconds):
    """(operations each second, nanoseconds of CPU for each)"""
    process = subprocess.Popen([program, socket, stage, str(seconds)], stdout=subprocess.PIPE, text=True)
    out = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stdout.close()
    if process.returncode:
        raise SystemExit(f'{program} {stage}: exit status {process.returncode}')
    count, span = out.split()
    return {'rate': int(count) / float(span), 'cpu': (usage.ru_utime + usage.ru_stime) * 1e9 / int(count)}


def run(options):
    programs = {'libbusrt': options.ours, 'Rust': options.rust}
    results = {}
    with Broker(Side('broker', options.broker)) as broker:
        for turn in range(options.rounds):
            order = list(programs) if turn % 2 else list(programs)[::-1]
            for stage, _, _, _ in STAGES:
                for name in order:
                    if name == 'Rust' and stage == 'single':
                        continue
                    side = results.setdefault((name, stage), table.Side())
                    side.runs.append(measure(programs[name], broker.socket, stage, options.seconds))
    return results


def cell(side, metric):
    values = side.values(metric)
    return f'{table.number(side.median(metric))} ({table.number(min(values))}..{table.number(max(values))})'


def row(title, ours, rust, metric, goal, met):
    ratio = ours.median(metric) / rust.median(metric)
    return f'| {title} | {cell(ours, metric)} | {cell(rust, metric)} | {factor(ratio)} | {goal} | ' + \
        ('' if not goal else 'yes' if met(ratio) else '**no**') + ' |'


def lines(options, results):
    yield f'{options.rounds} rounds of {options.seconds:g} s.'
    yield ''
    yield '| | libbusrt | Rust client | libbusrt / Rust | goal | met |'
    yield '|---|---|---|---|---|---|'
    for stage, peer, rate, cpu in STAGES:
        ours, rust = results['libbusrt', stage], results['Rust', peer]
        yield row(f'{stage}: operations/s', ours, rust, 'rate', rate and f'>= x {rate}', lambda r: r >= rate)
        yield row(f'{stage}: client CPU, ns', ours, rust, 'cpu', cpu and f'<= 1/{cpu}', lambda r: r <= 1 / cpu)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--broker', required=True, metavar='BUSRTD')
    p.add_argument('--ours', required=True, metavar='PATH', help="tests/bench/client-speed of a build directory")
    p.add_argument('--rust', required=True, metavar='PATH', help='client-speed of tests/interop/rust')
    p.add_argument('--rounds', type=int, default=9)
    p.add_argument('--seconds', type=float, default=0.5, help='of one stage (default 0.5)')
    p.add_argument('--write-docs', metavar='FILE', help='put the table between its markers')
    options = p.parse_args()
    text = '\n'.join(line.replace('None', '') for line in lines(options, run(options)))
    print(text)
    if options.write_docs:
        page.write(options.write_docs, 'clients', [text])


if __name__ == '__main__':
    sys.exit(main())
