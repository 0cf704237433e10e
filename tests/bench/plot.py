#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draws what `busrtctl benchmark --json` measured, as SVG: latency by percentile, rate by size of payload, rate by
number of subscribers. Several files are several lines of one plot: brokers, or versions of one.

    busrtctl -s ./bus.sock benchmark --all --json > ours.json
    tests/bench/plot.py -o docs/plots ours=ours.json reference=reference.json

A plot of which a file has no stages has no line of it, and one that none has is not drawn. Colours go well with light
and dark pages.
"""
import argparse
import json
import math
import os
import sys
from html import escape

WIDTH, HEIGHT = 720, 420
LEFT, RIGHT, TOP, BOTTOM = 80, 36, 44, 86
COLORS = ['#2f6fde', '#d9822b', '#2e9e5b', '#a347ba', '#c23b3b', '#5f7d8c']
DASHES = ['', '7 4', '2 3', '10 3 2 3']
# A line of more points than that is a curve.
DOTS_MOST = 16
LATENCY_STAGES = ['latency.one-way', 'latency.round-trip', 'latency.publish', 'rpc.call']


class Scale:
    """Values to places on an axis, by their logarithms."""

    def __init__(self, values, start, end, base=10):
        low, high = min(values), max(values)
        self.base = base
        self.low = math.floor(math.log(low, base) + 1e-9)
        self.high = max(math.ceil(math.log(high, base) - 1e-9), self.low + 1)
        self.start, self.end = start, end

    def __call__(self, value):
        part = (math.log(value, self.base) - self.low) / (self.high - self.low)
        return self.start + part * (self.end - self.start)

    def ticks(self, most=12):
        step = max(1, math.ceil((self.high - self.low) / most))
        return [self.base ** i for i in range(self.low, self.high + 1, step)]


def short(value, units):
    """"1.5M": with the last unit that the value reaches."""
    name, size = '', 1
    for unit, of in units:
        if value >= of:
            name, size = unit, of
    return f'{value / size:.3g}{name}'


def count(value):
    return short(value, [('k', 1e3), ('M', 1e6), ('G', 1e9)])


def size(value):
    return short(value, [(' B', 1), (' KiB', 1 << 10), (' MiB', 1 << 20), (' GiB', 1 << 30)])


def span(usec):
    return short(usec, [(' ns', 1e-3), (' us', 1), (' ms', 1e3), (' s', 1e6)])


class Plot:
    """lines: (name, [(x, y)]). A point for each pair, in the order given; both axes are logarithmic."""

    def __init__(self, title, x_title, y_title, lines, x_text, y_text, x_base=10):
        self.lines, self.x_text, self.y_text = lines, x_text, y_text
        points = [point for _, line in lines for point in line]
        self.x = Scale([x for x, _ in points], LEFT, WIDTH - RIGHT, x_base)
        self.y = Scale([y for _, y in points], HEIGHT - BOTTOM, TOP)
        self.title, self.x_title, self.y_title = title, x_title, y_title

    def text(self, x, y, text, anchor='middle', extra=''):
        return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{extra}>{escape(text)}</text>'

    def axes(self):
        bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
        for value in self.x.ticks():
            x = self.x(value)
            yield f'<path class="grid" d="M{x:.1f} {TOP}V{bottom}"/>'
            yield self.text(x, bottom + 18, self.x_text(value))
        for value in self.y.ticks():
            y = self.y(value)
            yield f'<path class="grid" d="M{LEFT} {y:.1f}H{right}"/>'
            yield self.text(LEFT - 8, y + 4, self.y_text(value), 'end')
        yield self.text(WIDTH / 2, 22, self.title, extra=' class="title"')
        yield self.text((LEFT + right) / 2, bottom + 38, self.x_title)
        middle = (TOP + bottom) / 2
        yield self.text(18, middle, self.y_title, extra=f' transform="rotate(-90 18 {middle:.1f})"')

    @staticmethod
    def apart(places):
        """Without those that nobody could tell from the one before."""
        kept = places[:1]
        for x, y in places[1:]:
            if abs(x - kept[-1][0]) + abs(y - kept[-1][1]) >= 1:
                kept.append((x, y))
        return kept

    def curves(self):
        for i, (name, points) in enumerate(self.lines):
            color, dash = COLORS[i % len(COLORS)], DASHES[i // len(COLORS) % len(DASHES)]
            style = f'stroke="{color}"' + (f' stroke-dasharray="{dash}"' if dash else '')
            places = self.apart([(self.x(x), self.y(y)) for x, y in points])
            path = 'L'.join(f'{x:.1f} {y:.1f}' for x, y in places)
            yield f'<path class="line" {style} d="M{path}"/>'
            for x, y in places if len(places) <= DOTS_MOST else []:
                yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}"/>'
            x = LEFT + i % 3 * (WIDTH - LEFT - RIGHT) / 3
            y = HEIGHT - 26 + i // 3 * 16
            yield f'<path class="line" {style} d="M{x:.1f} {y - 4}h22"/>'
            yield self.text(x + 28, y, name, 'start')

    def svg(self):
        height = HEIGHT + (len(self.lines) - 1) // 3 * 16
        return '\n'.join([
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
            f'aria-label="{escape(self.title)}">',
            '<style>text{font:12px sans-serif;fill:#777}.title{font-size:15px;font-weight:bold}'
            '.grid{stroke:#999;stroke-opacity:.3}.line{fill:none;stroke-width:2}</style>',
            *self.axes(), *self.curves(), '</svg>', ''])


def stages(report, prefix):
    return [stage for stage in report['stages'] if stage['name'].startswith(prefix)]


def latency_line(stage):
    """(1 / what is slower, microseconds) of each bucket: each nine of a percentile is as wide as the last."""
    latency, seen, points = stage['latency'], 0, []
    for end, n in latency['buckets']:
        seen += n
        slower = 1 - seen / latency['count']
        points.append((1 / slower if slower > 0 else latency['count'] * 2, min(end, latency['max_ns']) / 1e3))
    return points


def percent(nines):
    return '0 %' if nines <= 1 else f'{100 - 100 / nines:.10g} %'


def plot_latency(reports):
    lines = [(f'{label} {stage["name"]}'.strip(), latency_line(stage))
             for label, report in reports for name in LATENCY_STAGES for stage in report['stages']
             if stage['name'] == name and stage['latency']]
    return lines and Plot('Latency by percentile', 'so many are not slower', 'latency', lines, percent, span)


def plot_rates(reports, prefix, x_of, **options):
    lines = [(label or prefix.rstrip('.'), [(x_of(stage), stage['rate']) for stage in stages(report, prefix)])
             for label, report in reports if stages(report, prefix)]
    return lines and Plot(lines=lines, y_text=count, **options)


def plots(reports):
    """(file name, plot) of those that there is something to draw of."""
    found = [
        ('latency', plot_latency(reports)),
        ('payload', plot_rates(reports, 'payload.', lambda stage: stage['payload'], x_base=2, x_text=size,
                               title='Messages per second by size of payload', x_title='payload',
                               y_title='messages per second')),
        ('fan-out', plot_rates(reports, 'fan-out.', lambda stage: stage['many'], x_text=count,
                               title='Deliveries per second by number of subscribers', x_title='subscribers',
                               y_title='deliveries per second')),
    ]
    return [(name, plot) for name, plot in found if plot]


def read(argument):
    """LABEL=FILE, or FILE."""
    label, equals, path = argument.partition('=')
    if not equals:
        label, path = '', argument
    try:
        with open(path, encoding='utf-8') as file:
            report = json.load(file)
        return label, {'stages': report['stages']}
    except (OSError, ValueError, KeyError, TypeError) as error:
        sys.exit(f'plot.py: {path}: not what busrtctl benchmark --json prints: {error}')


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('-o', '--output', default='.', metavar='FOLDER', help='where the plots go (.)')
    parser.add_argument('files', nargs='+', metavar='[LABEL=]FILE')
    args = parser.parse_args()
    drawn = plots([read(argument) for argument in args.files])
    if not drawn:
        sys.exit('plot.py: nothing to draw: it wants the stages latency.*, payload.* and fan-out.*')
    os.makedirs(args.output, exist_ok=True)
    for name, plot in drawn:
        path = os.path.join(args.output, name + '.svg')
        with open(path, 'w', encoding='utf-8') as file:
            file.write(plot.svg())
        print(path)


if __name__ == '__main__':
    main()
