# SPDX-License-Identifier: Apache-2.0
"""Section 6: the methods of `.broker`."""
import struct

import frames as f
import mp
from bus import check, mask_error_text, mask_uptime
from rows import HARMFUL, row


def result(payload):
    """The MessagePack value of a reply."""
    check(payload[:1] == b'\x11', f'not a reply: {payload!r}')
    return mp.unpack(payload[5:])


def members(bus, *names):
    for name in names:
        bus.client(name)
    return bus.client('asker')


@row('br-test', '6', 'test answers {ok: true}', ours={'a': [f.got_ack(1), f.got_message('.broker', f.reply(1, b'\x81\xa2ok\xc3'))]},
     reference={'a': [f.got_ack(1), f.got_message('.broker', f.reply(1, b'\x81\xa2ok\xc3'))]})
def _(bus):
    bus.client('a').call('test')


def check_info(transcript):
    value = result(f.split(transcript['a'][1])[3])
    check(list(value) == ['author', 'version'] and all(isinstance(v, str) and v for v in value.values()), f'info is {value}')


@row('br-info', '6', 'info answers {author, version}, in that order, as text', ours=check_info, reference=check_info)
def _(bus):
    bus.client('a').call('info')


@row('br-stats', '6', 'stats answers {uptime, r_frames, r_bytes, w_frames, w_bytes}, the bytes as small as they can be',
     masks=(mask_uptime,))
def _(bus):
    bus.stats(bus.client('a'))


@row('br-stats-uptime', '6', 'uptime is in whole seconds',
     ours=lambda t: check(t['notes'][0][1] in range(10), str(t)), reference=lambda t: check(t['notes'][0][1] in range(10), str(t)))
def _(bus):
    bus.note('uptime', result(bus.stats(bus.client('a')))['uptime'])


for size in (0, 1, 5, 100, 65536, 1 << 20):
    @row(f'br-benchmark-{size}', '6', f'benchmark.test answers the same bytes ({size})')
    def _(bus, size=size):
        bus.client('a').call('benchmark.test', (bytes(range(256)) * (size // 256 + 1))[:size])


@row('br-benchmark-any', '6', 'benchmark.test takes bytes that are no MessagePack')
def _(bus):
    a = bus.client('a')
    for call_id, params in enumerate((b'\xc1', b'\0', b'\xff\xff', b'\x81\xa1', b'\x11\0\0\0\0'), 1):
        a.call('benchmark.test', params, call_id=call_id)


# --- client.list ---

def mask_to_names(item):
    """A list becomes the names in it: its counters hold the lengths of error texts sent before, which differ."""
    if item[:1] != bytes([f.MESSAGE]) or f.split(item)[3][:1] != b'\x11':
        return item
    payload = f.split(item)[3]
    value = mp.unpack(payload[5:])
    if 'clients' not in value:
        return item
    return f'reply {payload[1]}: ' + ' '.join(repr(c['name']) for c in value['clients'])


@row('list-all', '6', 'client.list without params: every primary by all ten fields, sorted by name, .broker among them')
def _(bus):
    bus.clients(members(bus, 'b', 'a.b', 'a', 'B', 'é', 'a b', 'ab', '~', 'a%'))


@row('list-kinds', '6', 'kind, source and port: nil and the path for UNIX, ip:port and the address for TCP, nil for .broker',
     listen=('unix', 'tcp', 'tcp6'))
def _(bus):
    bus.client('t', 'tcp')
    bus.client('six', 'tcp6')
    bus.clients(members(bus, 'u'))


@row('list-kinds-values', '6', 'the values themselves', listen=('unix', 'tcp', 'tcp6'),
     ours=lambda t: kinds_are_right(t), reference=lambda t: kinds_are_right(t))
def _(bus):
    bus.client('t', 'tcp')
    bus.client('six', 'tcp6')
    seen = result(bus.clients(bus.client('u')))['clients']
    tcp, six = (next(p for p in bus.peers if p.label == n).local for n in ('t', 'six'))
    bus.note('seen', {c['name']: (c['kind'], c['source'], c['port']) for c in seen})
    bus.note('expected', {'.broker': ('internal', None, None), 'u': ('local_ipc', None, bus.broker.unix),
                          't': ('tcp', '127.0.0.1:%d' % tcp[1], '127.0.0.1:%d' % bus.broker.ports['tcp'][1]),
                          'six': ('tcp', '[::1]:%d' % six[1], '[::1]:%d' % bus.broker.ports['tcp6'][1])})
    bus.note('fields', [list(c) for c in seen])


FIELDS = ['name', 'kind', 'source', 'port', 'r_frames', 'r_bytes', 'w_frames', 'w_bytes', 'queue', 'instances']


def kinds_are_right(transcript):
    notes = dict(transcript['notes'])
    check(notes['seen'] == notes['expected'], f'{notes["seen"]} instead of {notes["expected"]}')
    check(all(fields == FIELDS for fields in notes['fields']), f'fields {notes["fields"]}')


@row('list-instances', '6', 'primaries only; instances is one and the secondaries')
def _(bus):
    for name in ('a', 'b', 'a%%1', 'a%%2', 'a%%3', 'b%%x'):
        bus.client(name)
    asker = bus.client('asker')
    bus.clients(asker)
    gone = next(p for p in bus.peers if p.label == 'a%%2')
    gone.op(0x3F)
    gone.drain()
    bus.clients(asker, call_id=2)


@row('list-large-counters', '6', 'counters are unsigned integers of whatever size they need')
def _(bus):
    a = bus.client('a')
    for size in (100, 200, 70000):
        a.message('a', bytes(size), f.PROCESSED)
        a.fence()
        bus.clients(a, call_id=size)


@row('list-many', '6', 'a list of 300 clients')
def _(bus):
    bus.clients(members(bus, *(f'c.{i}' for i in range(300))))


GOOD = [('none', b''), ('empty-map', mp.pack({})), ('filter-nil', mp.pack({'filter': None})), ('filter', mp.pack({'filter': 'a'})),
        ('array', mp.pack(['^b'])), ('array-nil', mp.pack([None])), ('bin', mp.pack({'filter': b'^a'})), ('bin-array', mp.pack([b'^a'])),
        ('bin-key', mp.pack(mp.Map((b'filter', '^a')))), ('unknown-key', mp.pack({'other': 1, 'filter': '^a', 'more': [1, {'x': None}]})),
        ('only-unknown', mp.pack({'other': 'x'})), ('int-key', mp.pack(mp.Map((5, 'x'), ('filter', '^a')))),
        ('int-key-0', mp.pack(mp.Map((0, '^a')))), ('int-key-1', mp.pack(mp.Map((1, '^a')))), ('trailing', mp.pack({'filter': '^a'}) + b'\xc1'),
        ('trailing-2', mp.pack(['^a']) + b'more'), ('map16', b'\xde\0\x01\xa6filter\xa2^a'), ('map32', b'\xdf\0\0\0\x01\xa6filter\xa2^a'),
        ('str8', b'\x81\xd9\x06filter\xd9\x02^a'), ('str16', b'\x81\xda\0\x06filter\xda\0\x02^a'),
        ('str32', b'\x81\xdb\0\0\0\x06filter\xdb\0\0\0\x02^a'), ('array16', b'\xdc\0\x01\xa2^a'), ('array32', b'\xdd\0\0\0\x01\xa2^a'),
        ('bin8', b'\x81\xa6filter\xc4\x02^a'), ('bin32', b'\x81\xa6filter\xc6\0\0\0\x02^a'), ('empty-filter', mp.pack({'filter': ''})),
        ('unknown-ext', b'\x82\xa1x\xd4\x05\x00\xa6filter\xa2^a'), ('unknown-float', b'\x82\xa1x\xca\0\0\0\0\xa6filter\xa2^a')]

for ident, params in GOOD:
    @row('list-params-' + ident, '6', f'client.list takes {params[:24]!r}', masks=(mask_error_text,))
    def _(bus, params=params):
        bus.clients(members(bus, 'a', 'b', 'ab', 'ba'), params)

BAD = [('nil', b'\xc0'), ('empty-array', b'\x90'), ('array-of-two', mp.pack(['a', 'b'])), ('filter-twice', mp.pack(mp.Map(('filter', 'a'), ('filter', 'b')))),
       ('number', b'\x05'), ('text', mp.pack('filter')), ('true', b'\xc3'), ('filter-number', mp.pack({'filter': 5})),
       ('filter-array', mp.pack({'filter': ['a']})), ('filter-map', mp.pack({'filter': {}})), ('array-number', mp.pack([5])),
       ('cut', b'\x81\xa6filter'), ('cut-text', b'\x81\xa6filter\xa5ab'), ('cut-map', b'\x82\xa6filter\xa1a'), ('reserved', b'\xc1'),
       ('not-utf8', b'\x81\xa6filter\xa2a\xff'), ('bin-not-utf8', b'\x81\xa6filter\xc4\x02a\xff'), ('garbage', b'\xff\xff\xff'),
       ('huge-map', b'\xdf\xff\xff\xff\xff'), ('huge-str', b'\x81\xa6filter\xdb\xff\xff\xff\xff'), ('ext', b'\xd4\x05\0'),
       ('nil-key', b'\x81\xc0\xa1a'), ('float-key', b'\x81\xca\0\0\0\0\xa1a'), ('huge-array', b'\xdd\xff\xff\xff\xff\xa1a')]

for ident, params in BAD:
    @row('list-bad-' + ident, '6', f'client.list refuses {params[:24]!r} with -32700 and a text', masks=(mask_error_text,))
    def _(bus, params=params):
        bus.clients(members(bus, 'a', 'b', 'ab', 'ba'), params)


@row('list-bad-deep', '6', 'params nested a thousand deep are refused or skipped, and the broker lives',
     masks=(mask_error_text, mask_to_names))
def _(bus):
    asker = members(bus, 'a')
    bus.clients(asker, b'\x91' * 1000 + b'\xa1a')
    bus.clients(asker, b'\x82\xa1x' + b'\x91' * 900 + b'\xc0' + b'\xa6filter\xa1a', call_id=2)
    asker.call('test', call_id=3)


FILTERED = ('plc.1', 'plc.2', 'plc.10', 'PLC.3', 'hmi', 'a', 'aa', 'b-c', 'x_y', 'é', 'été', 'one two', 'a1b2', '[x]', 'a+')
REGEX = ('a', '^a', 'a$', '^a$', '.', '', 'plc', r'^plc\.', r'^plc\.\d+$', r'\d', r'^\w+$', r'\W', '[abc]', '[^a-z]', '^[a-z]+$', 'a|b', '^(a|hmi)$',
         '(?i)plc', '(?i:PLC).1', 'plc.1?$', 'a+', 'a{2}', 'a{2,}', '^a{1,2}$', '(?:a)(?:a)', '(a)(a)', '(?P<n>a)1', '(?<n>a)1', r'\bone\b', r'\Aa\z',
         r'\s', r'\[x\]', r'a\+', r'\x61\x61', r'\x{e9}', 'é', '^.t.$', '^.$', r'\p{L}1', r'\pL', r'\p{Lu}', r'\p{Greek}', r'^\P{L}', '[[:digit:]]',
         '(?x) a  a # comment', '(?s).', '(?m)^a', '.*?1', '.*1.*2', '^(?:plc|hmi)', '(a|aa)$', '[-_]', '[a\\-c]', r'^\D+$', r'\S\s\S',
         'x*', '(x*)*', r'[\w.]+\.2', r'\.', 'b.c', '^[é]', '(?i)É', r'(?i)ÉTÉ', r'\d+?$', ']', r'a\ b', r'\-')
# What PCRE2 and Rust's engine both know, but read differently, or what only Rust's knows: ours refuses it.
OUTSIDE = (r'\u00e9', '(?-u:a)', '[a&&b]', '[a-z&&[^a]]', '[a--b]', '[a~~ab]', 'a++', '^a**$', '[[:nothing:]]', '(?R)', '(?u)é', r'\U000000e9',
           'a{2}{1}', '^*', r'(?i-u)PLC', '[[a-c]x]', '(?)a')
# What both take.
CORE = ('(?U)a+', r'\x{61}', r'[\^a]', r'\p{sc=Latin}')


def refused_is_fine(ours, reference):
    """Our broker may refuse a pattern that the reference takes. It may not read it in another way."""
    for at, item in enumerate(ours['asker']):
        if isinstance(item, bytes) and item[:1] == bytes([f.MESSAGE]) and f.split(item)[3][5:7] == b'\x44\x80':
            reference['asker'][at] = item


def filter_rows(ident, text, patterns, at_a_time, same=None):
    for first in range(0, len(patterns), at_a_time):
        group = patterns[first:first + at_a_time]

        @row(f'{ident}-{first // at_a_time}', '6', text + ': ' + ' '.join(group), masks=(mask_error_text, mask_to_names),
             same=same)
        def _(bus, group=group):
            asker = members(bus, *FILTERED)
            for call_id, regex in enumerate(group, 1):
                bus.clients(asker, mp.pack({'filter': regex}), call_id=call_id)


filter_rows('list-regex', 'the filter is a regex as Rust has them, found anywhere in the name', REGEX, 12)
filter_rows('list-core', 'the filter is read as Rust reads it', CORE, 5)


def all_refused(transcript):
    for payload in (f.split(item)[3] for item in transcript['asker'][-len(OUTSIDE):]):
        check(payload[:1] == b'\x12' and payload[5:7] == struct.pack('<h', -32700), f'answered {payload!r}')


@row('list-outside-the-core', '6', 'a filter that Rust and PCRE2 read differently is refused: ' + ' '.join(OUTSIDE), ours=all_refused)
def _(bus):
    asker = members(bus, *FILTERED)
    for call_id, regex in enumerate(OUTSIDE, 1):
        bus.clients(asker, mp.pack({'filter': regex}), call_id=call_id)


# What neither takes, or only one: a refusal is fine, another answer is not.
ODD = ('}', r'[\d-z]', r'[a-\d]', r'\<a', r'\b{start}', '^*', 'a{2}{1}', r'\pé', '[]a]', '[^]a]', '[a^]', 'a{2,1}', '(?i)k', r'\p{Latin}')
filter_rows('list-odd', 'what the broker does not refuse it reads as the reference', ODD, 7, refused_is_fine)

# Read differently on purpose: an unfinished repetition is text, and POSIX classes know all letters, not only ASCII's.
BRACES, CLASSES = ('{', 'a{', 'a{1', 'a{,2}', r'\d{2'), ('[[:^alpha:]]', '[[:alpha:]]$', '[[:word:]]$')


filter_rows('list-braces', 'an unfinished repetition is refused, and [[:alpha:]] knows ASCII only', BRACES + CLASSES, 12)

REFUSED = {'look-around': ('(?=a)', '(?!a)', '(?<=a)b', '(?<!a)b', 'a(?=a)', '^(?!plc)'),
           'back-references': (r'(a)\1', r'(?P<n>a)(?P=n)', r'(?<n>a)\k<n>', r'(a)\g1', r'\1', r'(a)(b)\2'),
           'broken': ('(', ')', '(a', 'a)', '[', '[a', '[z-a]', '*', '+a', '?', '(?', '(?P<', '(?P<1a>b)', '\\', 'a{2,1}', r'\p{Nothing}', '(?z)a',
                      r'\xz', r'\x{110000}', '(?P<n>a)(?P<n>b)'),
           'not-rust': ('(?>a)', r'\Ka', r'\Ga', r'\Qa\E', r'\Xa', r'\Ra', r'\ha', '(?1)', '(?#a)a', r'a\Z', '(*ACCEPT)', '(?|a|b)', r'\ea',
                        r'\ca', r'\N', r'\oa', r'\i', r'\y', "(?'n'a)", '(?J)a', '(?(1)a|b)', r'\C', '(?&n)', '(?^)a'),
           'large': ('a' * 70000 + '(', '(' * 300 + 'a' + ')' * 300, 'a{1000}{1000}{1000}', r'\pL{1000}{10}')}

for ident, patterns in REFUSED.items():
    @row('list-refused-' + ident, '6', 'refused with -32700 and a text: ' + ' '.join(patterns)[:80],
         masks=(mask_error_text, mask_to_names))
    def _(bus, patterns=patterns):
        asker = members(bus, 'a', 'aa', 'ab')
        for call_id, regex in enumerate(patterns, 1):
            bus.clients(asker, b'\x81\xa6filter\xdb' + struct.pack('>I', len(regex)) + regex.encode(), call_id=call_id)


def too_expensive(transcript):
    payload = f.split(transcript['asker'][-1])[3]
    check(payload[:7] == f.error_reply(1, -32700), f'answered {payload!r}')
    check(b'filter too expensive' in payload, f'the text is {payload[7:]!r}')


@row('list-too-expensive', '6', 'one step budget for the whole list: beyond it -32700, "filter too expensive"', ours=too_expensive)
def _(bus):
    asker = members(bus, *('a' * 900 + f'{i}!' for i in range(20)))
    bus.clients(asker, mp.pack({'filter': '^(a|a|aa)+$'}))


@row('list-ten-fields', '9', 'all ten fields are there, the counters as unsigned integers', ours=lambda t: ten_fields(t), reference=lambda t: ten_fields(t))
def _(bus):
    bus.note('clients', result(bus.clients(members(bus, 'a', 'b')))['clients'])


def ten_fields(transcript):
    for client in dict(transcript['notes'])['clients']:
        check(list(client) == FIELDS, f'fields {list(client)}')
        check(all(isinstance(client[x], int) and client[x] >= 0 for x in FIELDS[4:]), f'{client}')
