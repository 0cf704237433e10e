# SPDX-License-Identifier: Apache-2.0
"""The table of rows: one row proves one sentence of the protocol.

A row is a function that plays a script on a Bus. Without further words both brokers must give the same transcript.
Where our broker differs on purpose, the row says with ours= what it must do, and with reference= what the reference
does (NOT_RUN where that is not determined, HARMFUL where it would kill the reference or the machine).
An expectation is a dict {label: items}, of which only the labels named are looked at, or a function
that gets the transcript and raises Failure.
"""
from bus import Failure, check  # noqa: F401 (rows import both from here)

NOT_RUN, HARMFUL = object(), object()
SAME = object()
ROWS = []


class Row:
    def __init__(self, ident, section, says, play, ours, reference, options, listen, masks, before, same):
        self.ident, self.section, self.says, self.play = ident, section, says, play
        self.ours, self.reference = ours, reference
        self.options, self.listen, self.masks, self.before = options, listen, masks, before
        self.same = same

    def is_called(self, word):
        """True where word begins the row's id or the name of its file."""
        return self.ident.startswith(word) or self.play.__module__.startswith(word)

    @property
    def is_same(self):
        return self.ours is SAME


def row(ident, section, says, *, ours=SAME, reference=NOT_RUN, options=None, listen=('unix',), masks=(), before=None, same=None):
    """Registers the decorated function. listen, options and before are the broker's (see bus.Broker). same(ours,
    reference) may bring the two transcripts together in what is allowed to differ, before they are compared."""
    def register(play):
        check(all(r.ident != ident for r in ROWS), f'row {ident} is there twice')
        ROWS.append(Row(ident, section, says, play, ours, reference, options, listen, masks, before, same))
        return play
    return register


class Skip(Exception):
    """The row cannot run here; says why."""
