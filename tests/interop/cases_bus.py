# SPDX-License-Identifier: Apache-2.0
"""Rows of the table about the bus itself: subscriptions, publications, messages, broadcasts."""

from bus import pack_text_map, unpack
from cell import case, equal, expect_bare, unknown_target
from clients import ACKED, ALL
from program import Big, Refused

GROUP = 'bus'
BURST = 1000
ROUNDS = 30
MB = 1000 * 1000
MIB8 = 8 << 20


def topics(cell, *names):
    return [f'{cell.number}/{name}' for name in names]


def published(client, bare, topic, payload):
    """The client's next frame is this publication of the bare client."""
    client.expect('frame', payload, kind='publish', sender=bare.name, primary=bare.name,
                  topic=topic, realtime=False)


def only_these_arrive(cell, client, bare, sent, arriving):
    """Of the topics sent, the client gets just these, and then a message that ends the test."""
    cell.fence(client, bare)
    for topic in sent:
        bare.publish(topic, b'on ' + topic.encode())
    bare.send(client.name, b'end')
    for topic in arriving:
        published(client, bare, topic, b'on ' + topic.encode())
    client.expect('frame', b'end', kind='message', sender=bare.name, topic=None)


@case(GROUP, 'subscribe', 'subscribe', ALL)
def subscribe(cell):
    client, bare = cell.connect(), cell.bare()
    mask, = topics(cell, 'a/+')
    cell.do(client, 'subscribe', topics=[mask])
    sent = topics(cell, 'a', 'a/1', 'b/1', 'a/1/2', 'a/2')
    only_these_arrive(cell, client, bare, sent, topics(cell, 'a/1', 'a/2'))


@case(GROUP, 'subscribe, bulk', 'subscribe-bulk', ALL)
def subscribe_bulk(cell):
    client, bare = cell.connect(), cell.bare()
    cell.do(client, 'subscribe-bulk', topics=topics(cell, 'a/#', 'b', 'c/+/d'))
    sent = topics(cell, 'a/1/2', 'a', 'b', 'b/1', 'c/1/d', 'c/1/e')
    only_these_arrive(cell, client, bare, sent, topics(cell, 'a/1/2', 'b', 'c/1/d'))


@case(GROUP, 'subscribe to an empty list', 'subscribe-nothing', ACKED)
def subscribe_nothing(cell):
    """An empty body is the empty topic. The reference's own tool does this."""
    client, bare = cell.connect(), cell.bare()
    cell.do(client, 'subscribe-bulk', topics=[])
    bare.publish(str(cell.number), b'not this')
    bare.publish('', b'of the empty topic')
    published(client, bare, '', b'of the empty topic')


@case(GROUP, 'unsubscribe', 'unsubscribe', ALL)
def unsubscribe(cell):
    client, bare = cell.connect(), cell.bare()
    client.do('subscribe-bulk', topics=topics(cell, 'kept', 'gone'), qos=1)
    cell.do(client, 'unsubscribe', topics=topics(cell, 'gone'))
    only_these_arrive(cell, client, bare, topics(cell, 'gone', 'kept'), topics(cell, 'kept'))


@case(GROUP, 'unsubscribe, bulk', 'unsubscribe-bulk', ALL)
def unsubscribe_bulk(cell):
    client, bare = cell.connect(), cell.bare()
    client.do('subscribe-bulk', topics=topics(cell, 'kept', 'a/#', '+/b'), qos=1)
    cell.do(client, 'unsubscribe-bulk', topics=topics(cell, '+/b', 'a/#'))
    sent = topics(cell, 'a/1', '1/b', 'kept')
    only_these_arrive(cell, client, bare, sent, topics(cell, 'kept'))


@case(GROUP, 'exclude', 'exclude', ALL)
def exclude(cell):
    client, bare = cell.connect(), cell.bare()
    cell.do(client, 'exclude', topics=topics(cell, 'a/x'))
    client.do('subscribe', topics=topics(cell, 'a/+'), qos=1)
    sent = topics(cell, 'a/x', 'a/y')
    only_these_arrive(cell, client, bare, sent, topics(cell, 'a/y'))


@case(GROUP, 'exclude, bulk', 'exclude-bulk', ALL)
def exclude_bulk(cell):
    client, bare = cell.connect(), cell.bare()
    client.do('subscribe', topics=topics(cell, '#'), qos=1)
    cell.do(client, 'exclude-bulk', topics=topics(cell, 'a/#', '+/x'))
    sent = topics(cell, 'a/1/2', 'b/x', 'b/y')
    only_these_arrive(cell, client, bare, sent, topics(cell, 'b/y'))


@case(GROUP, 'unexclude', 'unexclude', ALL)
def unexclude(cell):
    client, bare = cell.connect(), cell.bare()
    client.do('exclude-bulk', topics=topics(cell, 'a/x', 'a/y'), qos=1)
    client.do('subscribe', topics=topics(cell, 'a/+'), qos=1)
    cell.do(client, 'unexclude', topics=topics(cell, 'a/x'))
    only_these_arrive(cell, client, bare, topics(cell, 'a/y', 'a/x'), topics(cell, 'a/x'))


@case(GROUP, 'unexclude, bulk', 'unexclude-bulk', ALL)
def unexclude_bulk(cell):
    client, bare = cell.connect(), cell.bare()
    client.do('exclude-bulk', topics=topics(cell, 'a', 'b', 'c'), qos=1)
    client.do('subscribe', topics=topics(cell, '+'), qos=1)
    cell.do(client, 'unexclude-bulk', topics=topics(cell, 'a', 'c'))
    only_these_arrive(cell, client, bare, topics(cell, 'a', 'b', 'c'), topics(cell, 'a', 'c'))


@case(GROUP, 'publish', 'publish', ALL)
def publish(cell):
    client, other, bare = cell.connect(), cell.connect('other'), cell.bare()
    topic, = topics(cell, 'value/1')
    other.do('subscribe', topics=topics(cell, '#'), qos=1)
    bare.subscribe(topic)
    cell.do(client, 'publish', b'\0\xff published', topic=topic)
    expect_bare(bare, 'publish', client.name, b'\0\xff published', topic, cell.realtime)
    other.expect('frame', b'\0\xff published', kind='publish', sender=client.name, topic=topic,
                 realtime=cell.realtime)


@case(GROUP, 'publish to oneself', 'publish', ALL)
def publish_self(cell):
    client = cell.connect()
    topic, = topics(cell, 'own')
    client.do('subscribe', topics=[topic], qos=1)
    cell.do(client, 'publish', b'mine', topic=topic)
    client.expect('frame', b'mine', kind='publish', sender=client.name, topic=topic)


@case(GROUP, 'publish for one receiver', 'publish-for', ALL)
def publish_for(cell):
    client, chosen, other = cell.connect(), cell.connect('chosen'), cell.connect('other')
    topic, = topics(cell, 'value')
    for c in (chosen, other):
        c.do('subscribe', topics=[topic], qos=1)
    cell.do(client, 'publish-for', b'for one', topic=topic, receiver=chosen.name)
    client.do('publish', b'for all', topic=topic, qos=1)
    chosen.expect('frame', b'for one', kind='publish', sender=client.name, topic=topic,
                  realtime=cell.realtime)
    for c in (chosen, other):
        c.expect('frame', b'for all', kind='publish', sender=client.name, topic=topic)


@case(GROUP, 'send', 'send', ALL)
def send(cell):
    client, other, bare = cell.connect(), cell.connect('other'), cell.bare()
    for target in (other, bare):
        cell.do(client, 'send', b'a message\0\x01', target=target.name)
    expect_bare(bare, 'message', client.name, b'a message\0\x01', realtime=cell.realtime)
    other.expect('frame', b'a message\0\x01', kind='message', sender=client.name, topic=None,
                 realtime=cell.realtime)


@case(GROUP, 'send nothing', 'send', ALL)
def send_empty(cell):
    client, other = cell.connect(), cell.connect('other')
    cell.do(client, 'send', b'', target=other.name)
    other.expect('frame', b'', kind='message', sender=client.name)


@case(GROUP, 'send to nobody', 'send', ACKED)
def send_nobody(cell):
    client, bare = cell.connect(), cell.bare()
    answer = client.do('send', b'lost', target=unknown_target(bare), qos=cell.qos)
    equal(answer['ack'], 0x71, 'the acknowledgement')
    cell.fence(client, bare)


@case(GROUP, f'{BURST} messages in a row, order kept', 'send', ALL)
def burst(cell):
    client, other = cell.connect(), cell.connect('other')
    cell.check_ack(client.do('burst', target=other.name, count=BURST, qos=cell.qos))
    for i in range(BURST):
        other.expect('frame', i.to_bytes(4, 'little'), kind='message', sender=client.name)


@case(GROUP, 'broadcast', 'broadcast', ALL)
def broadcast(cell):
    client, other = cell.connect(), cell.connect('other', name=f'bc{cell.number}.other')
    bare, outside = cell.bare(name=f'bc{cell.number}.sub.bare'), cell.bare('outside')
    cell.do(client, 'broadcast', b'to all', mask=f'bc{cell.number}.*')
    cell.do(client, 'broadcast', b'to some', mask=f'bc{cell.number}.?')
    for payload in (b'to all', b'to some'):
        other.expect('frame', payload, kind='broadcast', sender=client.name, topic=None,
                     realtime=cell.realtime)
    expect_bare(bare, 'broadcast', client.name, b'to all', realtime=cell.realtime)
    for b in (bare, outside):
        cell.fence(client, b)


@case(GROUP, 'broadcast to nobody', 'broadcast', ACKED)
def broadcast_nobody(cell):
    cell.do(cell.connect(), 'broadcast', b'', mask=f'nobody{cell.number}.*')


def big_message(cell, size):
    client, other = cell.connect(), cell.connect('other')
    payload = Big(size, cell.number)
    cell.do(client, 'send', payload, target=other.name)
    other.expect('frame', payload, kind='message', sender=client.name)


@case(GROUP, 'send 1 MB', 'send', ALL)
def send_1mb(cell):
    big_message(cell, MB)


@case(GROUP, 'send 8 MiB', 'send', ACKED)
def send_8mib(cell):
    big_message(cell, MIB8)


@case(GROUP, 'publish 8 MiB', 'publish', (1,))
def publish_8mib(cell):
    client, other = cell.connect(), cell.connect('other')
    payload, (topic,) = Big(MIB8, cell.number), topics(cell, 'big')
    other.do('subscribe', topics=[topic], qos=1)
    cell.do(client, 'publish', payload, topic=topic)
    other.expect('frame', payload, kind='publish', sender=client.name, topic=topic)


@case(GROUP, 'a name that is taken')
def name_taken(cell):
    bare = cell.bare()
    try:
        cell.connect(name=bare.name)
    except Refused as e:
        equal(e.code, 0x76, 'the answer')
    else:
        raise AssertionError('a second client got the name')
    cell.fence(cell.connect(), bare)


@case(GROUP, 'reconnect under the name just given up')
def reconnect(cell):
    client, bare = cell.reconnect(ROUNDS), cell.bare()
    bare.send(client.name, b'welcome back')
    client.expect('frame', b'welcome back', kind='message', sender=bare.name)
    cell.fence(client, bare)


def make_secondary(cell, primary):
    if cell.kind.makes_secondaries:
        other = primary.secondary()
        cell.open.append(other)
        return other
    return cell.connect(name=primary.name + '%%0', ping_interval=0.05)


@case(GROUP, 'secondary: its messages', 'secondary')
def secondary(cell):
    primary, other, bare = cell.connect(), cell.connect('other'), cell.bare()
    second = make_secondary(cell, primary)
    equal(second.name, primary.name + '%%0', 'the name')
    second.do('send', b'from the second', target=other.name, qos=1)
    other.expect('frame', b'from the second', sender=second.name, primary=primary.name)
    bare.send(second.name, b'to the second')
    bare.send(primary.name, b'to the first')
    second.expect('frame', b'to the second', kind='message', sender=bare.name)
    primary.expect('frame', b'to the first', kind='message', sender=bare.name)
    reply = bare.call('.broker', 'client.list', pack_text_map({'filter': primary.name}))
    entry, = unpack(reply.payload[5:])['clients']
    equal((entry['name'], entry['instances']), (primary.name, 2), 'the entry')


@case(GROUP, 'secondary: goes with its primary', 'secondary')
def secondary_goes(cell):
    primary, bare = cell.connect(), cell.bare()
    second = make_secondary(cell, primary)
    cell.open.remove(second)
    if not cell.kind.makes_secondaries:
        second.do('watch')
    cell.open.remove(primary)
    primary.close()
    equal(second.next()['ev'], 'gone', 'the event')
    unknown_target(bare)
