# SPDX-License-Identifier: Apache-2.0
"""Rows of the table about RPC: each client as a caller, as a server, and towards the broker."""

import struct

from bus import pack_text_map, unpack
from cell import case, equal, expect_bare, unknown_target
from clients import ACKED, ALL
from program import Big, Refused

GROUP = 'rpc'
BROKER = 'broker'
MIB8 = 8 << 20
PARAMS = b'\x81\xa1a\x01 and \0 more'


def refused(code, text, call):
    """The call must fail with this RPC error."""
    try:
        answer = call()
    except Refused as e:
        equal((e.code, e.text), (code, text), 'the error')
    else:
        raise AssertionError(f'no error but {answer}')


def take_request(cell, bare, sender, method):
    """The request as it arrives at the bare client. Returns its call id as bytes."""
    frame = bare.frame()
    equal((frame.kind, frame.sender, frame.realtime), ('message', sender, cell.realtime),
          'the request')
    equal(frame.payload[:1] + frame.payload[5:], b'\x01' + method + b'\0' + PARAMS, 'the request')
    return frame.payload[1:5]


@case(GROUP, 'call', 'call', ALL)
def call(cell):
    client, bare = cell.connect(rpc=True), cell.bare()
    for answer in (b'the result', b''):
        pending = client.start('call', PARAMS, target=bare.name, method='some.method', qos=cell.qos)
        call_id = take_request(cell, bare, client.name, b'some.method')
        bare.send(client.name, b'\x11' + call_id + answer)
        equal(pending()['result'].get('hex'), answer.hex(), 'the result')


@case(GROUP, 'call, error reply', 'call', ALL)
def call_error(cell):
    client, bare = cell.connect(rpc=True), cell.bare()
    pending = client.start('call', PARAMS, target=bare.name, method='m', qos=cell.qos)
    call_id = take_request(cell, bare, client.name, b'm')
    bare.send(client.name, b'\x12' + call_id + struct.pack('<h', -32602) + b'bad parameters')
    refused(-32602, 'bad parameters', pending)


@case(GROUP, 'call to nobody', 'call-nobody', ACKED)
def call_nobody(cell):
    client, target = cell.connect(rpc=True), unknown_target(cell.bare())
    try:
        client.do('call', b'', target=target, method='m', qos=cell.qos)
    except Refused as e:
        equal(e.code, -32000 - 0x71, 'the error code')
    else:
        raise AssertionError('no error')


@case(GROUP, 'call0', 'call0', ALL)
def call0(cell):
    client, bare = cell.connect(rpc=True), cell.bare()
    cell.do(client, 'call0', PARAMS, target=bare.name, method='do.it')
    equal(take_request(cell, bare, client.name, b'do.it'), bytes(4), 'the call id')


@case(GROUP, 'notify', 'notify', ALL)
def notify(cell):
    client, other, bare = cell.connect(rpc=True), cell.connect('o', rpc=True), cell.bare()
    for target in (bare, other):
        cell.do(client, 'notify', b'take note', target=target.name)
    expect_bare(bare, 'message', client.name, b'\0take note', realtime=cell.realtime)
    other.expect('notification', b'take note', sender=client.name, primary=client.name,
                 realtime=cell.realtime)


def served(server, bare, method, reply, cell):
    server.expect('call', PARAMS, sender=bare.name, primary=bare.name, method=method, reply=reply,
                  realtime=cell.realtime)


def expect_reply(cell, server, frame, payload):
    """The reply of a server. Some libraries repeat the realtime flag in it."""
    equal((frame.kind, frame.sender, frame.payload), ('message', server.name, payload), 'the reply')
    if cell.kind.repeats_realtime:
        equal(frame.realtime, cell.realtime, 'the realtime flag of the reply')


@case(GROUP, 'server: reply', 'serve', ALL)
def serve(cell):
    server, bare = cell.connect('server', rpc=True), cell.bare()
    call_id = struct.pack('<I', 4_000_000_000)
    for method, result in (('echo', PARAMS), ('none', b'')):
        frame = bare.call(server.name, method, PARAMS, cell.qos, 4_000_000_000)
        served(server, bare, method, True, cell)
        expect_reply(cell, server, frame, b'\x11' + call_id + result)


@case(GROUP, 'server: error reply', 'serve', ALL)
def serve_error(cell):
    server, bare = cell.connect('server', rpc=True), cell.bare()
    answers = {'fail': struct.pack('<h', -777) + b'refused by the server',
               'no.such': struct.pack('<h', -32601)}
    for call_id, (method, answer) in enumerate(answers.items(), 9):
        frame = bare.call(server.name, method, PARAMS, cell.qos, call_id)
        served(server, bare, method, True, cell)
        expect_reply(cell, server, frame, b'\x12' + struct.pack('<I', call_id) + answer)


@case(GROUP, 'server: call0', 'serve', ALL)
def serve_call0(cell):
    server, bare = cell.connect('server', rpc=True), cell.bare()
    bare.send(server.name, b'\x01' + bytes(4) + b'echo\0' + PARAMS, cell.qos & 2)
    served(server, bare, 'echo', False, cell)
    frame = bare.call(server.name, 'none', PARAMS, cell.qos)
    expect_reply(cell, server, frame, b'\x11' + struct.pack('<I', 7))


@case(GROUP, 'two of one library call each other', 'call', ALL)
def both_sides(cell):
    one, two = cell.connect('one', rpc=True), cell.connect('two', rpc=True)
    for caller, server in ((one, two), (two, one)):
        answer = caller.do('call', PARAMS, target=server.name, method='echo', qos=cell.qos)
        equal(answer['result'].get('hex'), PARAMS.hex(), 'the result')
        server.expect('call', PARAMS, sender=caller.name, method='echo', reply=True)
        refused(-777, 'refused by the server',
                lambda: caller.do('call', b'', target=server.name, method='fail', qos=cell.qos))
        server.expect('call', b'', sender=caller.name, method='fail', reply=True)


@case(GROUP, 'call with 8 MiB there and back', 'call', (1,))
def call_big(cell):
    caller, server = cell.connect('caller', rpc=True), cell.connect('server', rpc=True)
    payload = Big(MIB8, cell.number)
    answer = caller.do('call', payload, target=server.name, method='echo', qos=cell.qos)
    server.expect('call', payload, sender=caller.name, method='echo')
    equal(answer['result']['len'], MIB8, 'the length')


@case(GROUP, 'publications at an RPC client', 'subscribe', (1,))
def rpc_publication(cell):
    client, bare = cell.connect(rpc=True), cell.bare()
    topic = f'{cell.number}/value'
    cell.do(client, 'subscribe', topics=[topic])
    bare.publish(topic, b'\x01 looks like RPC')
    client.expect('frame', b'\x01 looks like RPC', kind='publish', sender=bare.name, topic=topic)


def ask(cell, client, method, params=b''):
    """What `.broker` answers, decoded."""
    answer = client.do('call', params, target='.broker', method=method, qos=cell.qos)
    return unpack(bytes.fromhex(answer['result']['hex']))


@case(BROKER, 'test', 'call', ALL)
def broker_test(cell):
    equal(ask(cell, cell.connect(rpc=True), 'test'), {'ok': True}, 'the answer')


@case(BROKER, 'info', 'call', ALL)
def broker_info(cell):
    info = ask(cell, cell.connect(rpc=True), 'info')
    equal(sorted(info), ['author', 'version'], 'the keys')
    equal([type(v) for v in info.values() if v], [str, str], 'the values')


@case(BROKER, 'stats', 'call', ALL)
def broker_stats(cell):
    client = cell.connect(rpc=True)
    before, after = ask(cell, client, 'stats'), ask(cell, client, 'stats')
    counters = {'r_frames', 'r_bytes', 'w_frames', 'w_bytes'}
    equal(set(after), counters | {'uptime'}, 'the keys')
    equal([k for k in counters if after[k] <= before[k]], [], 'the counters that stand still')


@case(BROKER, 'client.list', 'call', ALL)
def broker_client_list(cell):
    client, bare = cell.connect(rpc=True), cell.bare()
    cell.fence(client, bare)
    entries = {c['name']: c for c in ask(cell, client, 'client.list')['clients']}
    equal({client.name, bare.name, '.broker'} - set(entries), set(), 'the names missing')
    mine = entries[client.name]
    kind = 'local_ipc' if cell.path.startswith('/') else 'tcp'
    equal((mine['kind'], mine['instances']), (kind, 1), 'kind and instances')
    equal(mine['source'] is None, kind == 'local_ipc', 'whether there is no source')
    equal(set(mine), {'name', 'kind', 'source', 'port', 'r_frames', 'r_bytes', 'w_frames',
                      'w_bytes', 'queue', 'instances'}, 'the fields')
    equal([k for k in ('r_frames', 'r_bytes', 'w_frames', 'w_bytes', 'queue')
           if not isinstance(mine[k], int)], [], 'the counters that are no numbers')


@case(BROKER, 'client.list with a filter', 'call', ALL)
def broker_client_list_filter(cell):
    client, bare = cell.connect(rpc=True), cell.bare(name=f'wanted.{cell.number}')
    params = pack_text_map({'filter': f'^wan.ed[.]{cell.number}$'})
    names = [c['name'] for c in ask(cell, client, 'client.list', params)['clients']]
    equal(names, [bare.name], 'the names')


@case(BROKER, 'benchmark.test', 'call', ALL)
def broker_benchmark(cell):
    answer = cell.connect(rpc=True).do('call', PARAMS, target='.broker', method='benchmark.test',
                                       qos=cell.qos)
    equal(answer['result'].get('hex'), PARAMS.hex(), 'the answer')


@case(BROKER, 'a method that does not exist', 'call', ALL)
def broker_no_method(cell):
    client = cell.connect(rpc=True)
    try:
        client.do('call', b'', target='.broker', method='no.such.method', qos=cell.qos)
    except Refused as e:
        equal(e.code, -32601, 'the error code')
    else:
        raise AssertionError('no error')


@case(BROKER, 'announcements on .broker/info', 'subscribe')
def broker_announcements(cell):
    client = cell.connect()
    client.do('subscribe', topics=['.broker/info'], qos=1)
    name = cell.name('comer')
    cell.bare(name=name).close()
    seen = []
    while len(seen) < 2:
        event = client.next()
        equal((event['sender'], event['topic']), ('.broker', '.broker/info'), 'the frame')
        news = unpack(bytes.fromhex(event['payload']['hex']))
        equal(set(news), {'s', 'd', 't'}, 'the keys')
        if news['d'] == name:
            seen.append(news['s'])
    equal(seen, ['reg', 'unreg'], 'what was announced')
