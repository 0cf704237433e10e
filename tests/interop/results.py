# SPDX-License-Identifier: Apache-2.0
"""What each cell came to, and the tables made from it."""

import contextlib
import re

BEGIN = '<!-- tables: written by tests/interop/run.py --write-docs -->'
END = '<!-- end of tables -->'
GROUPS = {'bus': 'Bus operations', 'rpc': 'RPC', 'broker': "The broker's own methods",
          'tool': 'The tool', 'methods': "Methods that libbusrt answers by itself",
          'cursors': 'Cursors'}
NOT_OFFERED = '·'


class Results:
    """Outcomes by group, row, QoS, column and variant; variants of a cell share its place."""

    def __init__(self, only=None):
        self.cells = {}
        self.counts = {'passed': 0, 'failed': 0, 'skipped': 0}
        self.only = re.compile(only) if only else None

    def wanted(self, *place):
        return not self.only or bool(self.only.search(self.describe(*place)))

    @staticmethod
    def describe(group, title, qos, column, variant):
        level = '' if qos is None else f', QoS {qos}'
        return f'{group} / {title}{level} / {column} / {variant}'

    @contextlib.contextmanager
    def record(self, *place):
        """Runs the body as one cell; whatever it raises is the cell's failure."""
        try:
            yield
        except Exception as e:
            self.add(place, 'failed', f'{type(e).__name__}: {e}')
        else:
            self.add(place, 'passed')

    def add(self, place, outcome, message=''):
        self.cells[place] = outcome
        self.counts[outcome] += 1
        if outcome == 'failed':
            print(f'FAIL {self.describe(*place)}: {message}', flush=True)

    def cell(self, group, title, qos, column, variant=None):
        """All variants of one place as one word."""
        outcomes = {o for (g, t, q, c, v), o in self.cells.items()
                    if (g, t, q, c) == (group, title, qos, column) and variant in (None, v)}
        if not outcomes:
            return NOT_OFFERED
        if 'failed' in outcomes:
            return 'FAIL'
        return 'ok' if 'passed' in outcomes else 'skipped'

    def rows(self, group):
        """The rows of a group with their QoS, in the order in which they ran."""
        found = {}
        for g, title, qos, _, _ in self.cells:
            if g == group:
                found.setdefault(title, set()).add(qos)
        return {t: sorted(q, key=lambda v: -1 if v is None else v) for t, q in found.items()}

    def last_line(self):
        return ', '.join(f'{self.counts[k]} {k}' for k in self.counts)


def line(words):
    return '| ' + ' | '.join(words) + ' |'


def operation_table(results, group, columns):
    """Operation x QoS down, clients across."""
    used = [c for c in columns if any(g == group and col == c.key
                                      for g, _, _, col, _ in results.cells)]
    out = [line(['operation', 'QoS', *(c.title for c in used)]),
           line(['---'] * (len(used) + 2))]
    for title, levels in results.rows(group).items():
        for i, qos in enumerate(levels):
            cells = [results.cell(group, title, qos, c.key) for c in used]
            if set(cells) != {NOT_OFFERED}:
                out.append(line([title if i == 0 else '', '' if qos is None else str(qos), *cells]))
    return out


def cross_table(results, group, columns):
    """Senders down, receivers across."""
    out = [line(['from \\ to', *(c.title for c in columns)]), line(['---'] * (len(columns) + 1))]
    for sender in columns:
        cells = [results.cell(group, sender.key, None, c.key) for c in columns]
        if set(cells) != {NOT_OFFERED}:
            out.append(line([sender.title, *cells]))
    return out


def example_table(results):
    rows = results.rows('examples')
    return [line(['example', 'result']), line(['---', '---']),
            *(line([title, results.cell('examples', title, None, 'example')]) for title in rows)]


def tables(results, columns):
    """All tables as Markdown."""
    out = []
    for group, heading in GROUPS.items():
        out += [f'### {heading}', '', *operation_table(results, group, columns), '']
    for group in dict.fromkeys(g for g, *_ in results.cells if g.startswith('cross: ')):
        out += [f"### Every client to every client: {group.removeprefix('cross: ')}", '',
                *cross_table(results, group, columns), '']
    out += ["### The reference's own examples", '', *example_table(results), '']
    out += [f'{results.last_line()}.', '']
    return '\n'.join(out)


def write_docs(path, results, columns):
    """Puts the tables between their marks, and leaves the prose around them alone."""
    text = path.read_text()
    head, rest = text.split(BEGIN, 1)
    tail = rest.split(END, 1)[1]
    path.write_text(f'{head}{BEGIN}\n\n{tables(results, columns)}\n{END}{tail}')
