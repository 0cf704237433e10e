# SPDX-License-Identifier: Apache-2.0
"""Section 7: lines of the FIFO."""
import os
import stat

import frames as f
import mp
from bus import check
from rows import row

LISTEN = ('unix', 'fifo')


def write(bus, *lines):
    with open(bus.broker.fifo, 'wb', buffering=0) as fifo:
        fifo.write(b''.join((line.encode() if isinstance(line, str) else line) + b'\n' for line in lines))


def lines(bus, *text):
    """a (also a.b, subscribed to t and t/u) gets what comes of the lines; a last line tells that all are done."""
    a, ab = bus.client('a'), bus.client('a.b')
    a.subscribe('t', 't/u', '', qos=0)
    a.fence()
    write(bus, *text, 'a the-end')
    a.wait_for(lambda i: i.endswith(b'the-end'))
    bus.settle(a, ab)


LINES = [('message', 'TARGET MESSAGE is a message from .broker', 'a hello', 'a.b world', 'a hello'),
         ('unknown', 'a line for an unknown target is lost in silence', 'none hello', 'a still'),
         ('broadcast', 'a mask broadcasts', '* all', '? one', 'a.* below', 'a.? below', '?.b first', 'none.* nobody'),
         ('publish', '=TOPIC MESSAGE publishes', '=t hello', '=t/u world', '=none lost', '= empty-topic'),
         ('notify', 'TARGET .PAYLOAD notifies', 'a .payload', 'a .', 'a ..', 'a.b .:x', 'a .\u00fc'),
         ('call', 'TARGET :method calls without reply', 'a :method', 'a :m.n', 'a :', 'a.b :x'),
         ('call-param', 'one parameter', 'a :method k=v', 'a :method key=1', 'a :m k='),
         ('call-spaces', 'blanks between parameters do not matter', 'a :m  k=v', 'a :m k=v ', 'a :m   '),
         ('no-equals', 'a word without = drops the whole line', 'a :m k', 'a :m k=v x', 'a :m x k=v', 'a still'),
         ('two-equals', 'x=1=2 is 1', 'a :m x=1=2', 'a :m x==', 'a :m x=a=b=c'),
         ('repeated', 'of a repeated key the last wins', 'a :m x=1 x=2 x=3', 'a :m x=a x=1'),
         ('empty-key', 'an empty key is a key', 'a :m =1'),
         ('mask-plain', 'a mask broadcasts plain messages only', '* .note', '? :method', 'a.* .x', '* still'),
         ('empty', '"a " sends an empty message; a lone target sends nothing', 'a ', 'a', '', ' ', 'a.b ', 'a still'),
         ('blanks-equals', 'leading blanks are ignored before =', ' =t hello', '   =t/u world'),
         ('blanks-behind', 'blanks at the end of a line with = are ignored', '=t hello ', '=t/u world   ', ' =t both '),
         ('tab-equals', 'a tab before = is ignored as a blank is', '\t=t tab', '=t tab\t'),
         ('no-blank', 'a line without a blank is dropped', 'a', '=t', '=', '*', 'a still'),
         ('blanks-else', 'leading blanks are not ignored elsewhere', ' a hello', '  a hello', 'a still'),
         ('crlf', 'CRLF is stripped', 'a hello\r', '=t hello\r', 'a :m k=v\r', 'a .note\r', 'a \r'),
         ('reserved', '.broker is a target as any other', '.broker hello', '.broker .note', '.broker :test', 'a still'),
         ('secondary', 'a secondary is no client here: unknown target', 'a%%1 hello', 'a still'),
         ('marks', 'marks inside a word', 'a =x', 'a a.b', 'a *', 'a ?', 'a k=v'),
         ('unicode', 'UTF-8 goes through', 'a привет', '=t 𝄞', 'a :m k=é')]

for ident, text, *what in LINES:
    @row('fifo-' + ident, '7', text, listen=LISTEN)
    def _(bus, what=what):
        lines(bus, *what)

VALUES = ('true', 'false', 'True', 'FALSE', '0', '1', '-1', '127', '128', '-32', '-33', '-128', '-129', '255', '256', '32767', '32768', '-32768', '-32769',
          '65535', '65536', '2147483647', '2147483648', '-2147483648', '-2147483649', '4294967295', '4294967296', '9223372036854775807',
          '-9223372036854775808', '9223372036854775808', '-9223372036854775809', '99999999999999999999', '00', '007', '-0', '+5', '+0', '+-5', '--5', '5-',
          '1.5', '-1.5', '.5', '5.', '+.5', '-.5', '.', '+', '-', '1e3', '1E3', '1e+3', '1e-3', 'e3', '1e', '1e400', '-1e400', '1e-400', '0.1', '1.0',
          '-0.0', 'inf', '-inf', '+inf', 'Inf', 'INF', 'infinity', '-Infinity', 'INFINITY', 'infinit', 'nan', 'NaN', 'NAN', '-nan', '+nan', 'nan(1)', '0x1',
          '0b1', '0o7', '1_0', '1,5', '1f', '1d', '0x1p3', '1.5.5', '１', '٣', 'text', 'null', 'None', 'x' * 31, 'x' * 32, 'x' * 255, 'x' * 256,
          '0.30000000000000004', '123456789.123456789', '4.9e-324', '2.2250738585072011e-308', '1.7976931348623157e308', '1.7976931348623159e308',
          '9007199254740993', '9007199254740993.0', '1e0000000000000000000001', '0' * 400 + '1', '1' * 400, '0.' + '0' * 300 + '1')


for first in range(0, len(VALUES), 15):
    @row(f'fifo-values-{first // 15}', '7', 'values: true, false, i64, else f64 as Rust reads it, else text: '
         + ' '.join(v[:20] for v in VALUES[first:first + 15]), listen=LISTEN)
    def _(bus, first=first):
        lines(bus, *(f'a :m k={value}' for value in VALUES[first:first + 15]))


def same_map(transcript):
    payload = dict(transcript['notes'])['payload']
    check(payload[:5 + 2] == b'\x01\0\0\0\0m\0', f'{payload}')
    expected = {'a': 1, 'b': True, 'c': 'x', 'd': 1.5, 'e': '', 'f': -7}
    check(mp.unpack(payload[7:]) == expected, f'{mp.unpack(payload[7:])}')


# Several keys come in the order of a hash table from the reference, so the maps are compared, not the bytes.
@row('fifo-many-params', '7', 'several parameters make one map', listen=LISTEN, ours=same_map, reference=same_map)
def _(bus):
    a = bus.client('a')
    write(bus, 'a :m a=1 b=true c=x d=1.5 e= f=-7')
    bus.note('payload', f.split(a.wait_for(lambda i: i[0] == f.MESSAGE))[3])


@row('fifo-rest-of-line', '7', 'the message is the rest of the line; the reference takes one word', listen=LISTEN,
     ours={'a': [f.got_message('.broker', x) for x in ('hello big world', 'two  blanks')] + [f.got_publication('.broker', 't', 'many words')]
           + [f.got_message('.broker', b'\0a note') for _ in range(1)] + [f.got_message('.broker', 'the-end')]},
     reference={'a': [f.got_message('.broker', x) for x in ('hello', 'two')] + [f.got_publication('.broker', 't', 'many')]
                + [f.got_message('.broker', b'\0a')] + [f.got_message('.broker', 'the-end')]})
def _(bus):
    lines(bus, 'a hello big world', 'a two  blanks', '=t many words', 'a .a note')


@row('fifo-mode', '7', 'the pipe has the mode 0622', listen=LISTEN)
def _(bus):
    bus.broker.wait(lambda: stat.S_IMODE(os.stat(bus.broker.fifo).st_mode) == 0o622)  # it may be made first, and opened up then
    bus.note('is a FIFO', stat.S_ISFIFO(os.stat(bus.broker.fifo).st_mode))


@row('fifo-writers', '7', 'writers come and go; a line may come in pieces', listen=LISTEN)
def _(bus):
    a = bus.client('a')
    for i in range(5):
        write(bus, f'a line-{i}')
    with open(bus.broker.fifo, 'wb', buffering=0) as fifo:
        for part in (b'a in', b'-pie', b'ces\na an', b'other\n'):
            fifo.write(part)
    a.wait_for(lambda i: i.endswith(b'another'))


@row('fifo-not-utf8', '7', 'a line that is not UTF-8 harms nobody', listen=LISTEN,
     ours=lambda t: check(t['a'][-1] == f.got_message('.broker', 'still'), str(t['a'])))
def _(bus):
    a = bus.client('a')
    write(bus, b'a \xff\xfe', 'a still')
    a.wait_for(lambda i: i.endswith(b'still'))


@row('fifo-long-line', '7', 'a line of 3000 bytes', listen=LISTEN)
def _(bus):
    lines(bus, 'a ' + 'x' * 3000)


@row('fifo-before', '7', 'a file that is in the FIFO\'s place is replaced', listen=LISTEN,
     before=lambda directory: os.mkfifo(directory + '/bus.fifo'))
def _(bus):
    lines(bus, 'a hello')
