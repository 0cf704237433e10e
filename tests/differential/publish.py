# SPDX-License-Identifier: Apache-2.0
"""Section 4: publications, topic masks, exclusions, publish-for, and what everyone is subscribed to from the start."""
import frames as f
from rows import row

TOPICS = ('', 'a', 'b', 'aa', 'a/', '/a', '/', '//', 'a/b', 'a/c', 'a/b/', 'a//b', 'a/b/c', 'a/b/c/d', 'x/b', 'x/b/c', 'A/b', '+', '#',
          'a/+', 'a/#', 'a/+/c', 'a/#/b', 'a+', 'a/b#', '+/+', 'a b/ü', '.broker/x', '$SYS/x')


def matched_by(bus, masks, exclude=()):
    """s has the masks; p publishes every topic, each with its own number."""
    s, p = bus.client('s'), bus.client('p')
    s.subscribe(*masks, qos=0)
    if exclude:
        s.exclude(*exclude, qos=0)
    s.fence()
    for i, topic in enumerate(TOPICS):
        p.publish(topic, b'%d' % i, f.PROCESSED)
    bus.settle()


MASKS = [('exact', ['a/b'], 'a mask without + and # matches that topic alone'),
         ('case', ['A/B', 'a/B'], 'topics differ by case'),
         ('plus', ['+'], '+ is any one part, an empty one too'),
         ('plus-first', ['+/b'], '+ as first part'),
         ('plus-last', ['a/+'], '+ as last part matches one part, not none and not two'),
         ('plus-middle', ['a/+/c'], '+ in the middle'),
         ('plus-twice', ['+/+'], 'two +'),
         ('plus-all', ['+/+/+/+'], 'four +'),
         ('hash', ['#'], '# matches everything, the empty topic too'),
         ('hash-last', ['a/#'], 'a/# matches a/b and a/b/c, and not a'),
         ('hash-deep', ['a/b/#'], 'a/b/# matches one or more further parts'),
         ('hash-plus', ['+/#'], '+/# wants at least two parts'),
         ('plus-hash-deep', ['a/+/#'], 'a/+/# wants at least three parts'),
         ('hash-middle', ['a/#/b'], 'a # that is not last ends the mask: a/#/b is a/#'),
         ('hash-first', ['#/a'], '#/a is #'),
         ('hash-double', ['a/#/#'], 'a/#/# is a/#'),
         ('not-a-part', ['a+', 'a/b#', '+a', '#a', 'a/+b'], '+ and # inside a part are themselves'),
         ('empty', [''], 'the empty topic exists: an empty body subscribes to it alone'),
         ('leading', ['', 'a'], 'a leading 00 subscribes to the empty topic, too'),
         ('trailing', ['a', ''], 'a trailing 00 subscribes to the empty topic, too'),
         ('double', ['a', '', 'b'], 'two 00 in a row hold an empty topic'),
         ('empty-parts', ['/', '//', 'a/', '/a', 'a//b'], 'empty parts are parts'),
         ('empty-plus', ['a/+/b', '/+', '+/'], '+ matches an empty part'),
         ('overlap', ['a/b', 'a/+', 'a/#', '+/b', '#', '+/+'], 'a client with several matching masks gets one copy'),
         ('twice', ['a/b', 'a/b', 'a/b'], 'the same mask several times brings one copy'),
         ('two-texts', ['a/#', 'a/#/b', 'a/#/c/d'], 'texts that are one mask bring one copy'),
         ('dollar', ['$SYS/#', '$SYS/+'], 'a dollar sign has no meaning'),
         ('none', ['z'], 'what nothing matches is acked ok all the same')]

for ident, masks, text in MASKS:
    row('pub-mask-' + ident, '4', text)(lambda bus, masks=masks: matched_by(bus, masks))

EXCLUSIONS = [('topic', ['#'], ['a/b'], 'an excluded topic is taken out of #'),
              ('plus', ['#'], ['a/+'], 'an exclusion mask with +'),
              ('hash', ['#'], ['a/#'], 'an exclusion mask with #'),
              ('hash-middle', ['#'], ['a/#/b'], 'in exclusions, too, a/#/b is a/#'),
              ('everything', ['#', 'a/b'], ['#'], 'excluding # leaves nothing'),
              ('empty', ['#'], [''], 'an empty body excludes the empty topic'),
              ('several', ['#'], ['a', 'b', '+/b'], 'several exclusions in one frame'),
              ('unrelated', ['a/b'], ['z/#'], 'an exclusion of something else changes nothing'),
              ('two-texts', ['#'], ['a/#', 'a/#/b'], 'two texts of one exclusion')]

for ident, masks, out, text in EXCLUSIONS:
    row('exclude-' + ident, '4', text)(lambda bus, masks=masks, out=out: matched_by(bus, masks, out))


@row('exclude-first', '4', 'an exclusion made before the subscription counts')
def _(bus):
    s = bus.client('s')
    s.exclude('a/b')
    s.subscribe('a/+')
    s.publish('a/b', '1')
    s.publish('a/c', '2')
    s.fence()


@row('exclude-undone', '4', 'unexclude brings the topic back; only the text excluded is taken')
def _(bus):
    s = bus.client('s')
    s.subscribe('#')
    s.exclude('a/+', 'a/b', 'z')
    for undo in ('a/c', 'a/b', 'a/+', 'z'):
        s.unexclude(undo)
        for topic in ('a/b', 'a/c', 'z'):
            s.publish(topic, 'after ' + undo)
    s.fence()


@row('exclude-undone-hash', '4', 'exclusions that end in # are undone, also those where it is not last')
def _(bus):
    s = bus.client('s')
    s.subscribe('#')
    s.exclude('a/#/b', 'c/#')
    s.unexclude('a/#/b', 'c/#')
    s.publish('a/x', '1')
    s.publish('c/x', '2')
    s.fence()


@row('exclude-other-text', '4', 'a/# undoes an exclusion of a/#/b; the reference wants the very text',
     ours={'s': [f.got_ack(1), f.got_ack(2), f.got_ack(3), f.got_publication('s', 'a/x', '1'), f.got_ack(4)]},
     reference={'s': [f.got_ack(i) for i in (1, 2, 3, 4)]})
def _(bus):
    s = bus.client('s')
    s.subscribe('#')
    s.exclude('a/#/b')
    s.unexclude('a/#')
    s.publish('a/x', '1', f.PROCESSED)
    s.fence()


@row('exclude-own', '4', 'an exclusion is its client\'s own, and touches neither messages nor broadcasts')
def _(bus):
    s, t = bus.client('s'), bus.client('t')
    for peer in (s, t):
        peer.subscribe('#')
        peer.fence()
    s.exclude('#', 't', 's')
    s.fence()
    t.publish('t', 'p')
    t.message('s', 'm')
    t.broadcast('s', 'b')
    bus.settle()


@row('exclude-secondary', '4', 'a primary\'s exclusion is not its secondary\'s')
def _(bus):
    a, b = bus.client('a'), bus.client('a%%1')
    for peer in (a, b):
        peer.subscribe('t')
        peer.fence()
    a.exclude('t')
    a.fence()
    b.publish('t', 'x')
    bus.settle()


@row('unsub', '4', 'unsubscribe takes away exactly the mask named; what was not subscribed is acked ok, too')
def _(bus):
    s = bus.client('s')
    s.subscribe('a/b', 'a/+', 'a/#')
    for gone in ('z', 'a/c', 'a/#', 'a/b', 'a/+'):
        s.unsubscribe(gone)
        s.publish('a/b', 'after ' + gone)
    s.fence()


@row('unsub-once', '4', 'one unsubscribe undoes any number of the same subscription')
def _(bus):
    s = bus.client('s')
    s.subscribe('t', 't')
    s.subscribe('t')
    s.unsubscribe('t')
    s.publish('t', 'x', f.PROCESSED)
    s.fence()


@row('unsub-two-texts', '4', 'a/#/b and a/# are one subscription: who has both loses both by taking one away')
def _(bus):
    s = bus.client('s')
    for gone in ('a/#', 'a/#/b'):
        s.subscribe('a/#', 'a/#/b')
        s.unsubscribe(gone)
        s.publish('a/x', 'after ' + gone, f.PROCESSED)
        s.unsubscribe('a/#', 'a/#/b')
    s.fence()


# The reference keeps, beside its tree, the texts that a client has given, and looks there first.
@row('unsub-other-text', '4', 'a/# takes a subscription to a/#/b away; the reference wants the very text',
     ours={'s': [f.got_ack(i) for i in (1, 2, 3)]},
     reference={'s': [f.got_ack(1), f.got_ack(2), f.got_publication('s', 'a/x', '1'), f.got_ack(3)]})
def _(bus):
    s = bus.client('s')
    s.subscribe('a/#/b')
    s.unsubscribe('a/#')
    s.publish('a/x', '1', f.PROCESSED)
    s.fence()


@row('unsub-then-other-text', '4', 'a/#/b subscribes again after a/# was taken away; the reference takes it for subscribed already',
     ours={'s': [f.got_ack(1), f.got_ack(2), f.got_ack(3), f.got_publication('s', 'a/x', '1'), f.got_ack(4)]},
     reference={'s': [f.got_ack(i) for i in (1, 2, 3, 4)]})
def _(bus):
    s = bus.client('s')
    s.subscribe('a/#', 'a/#/b')
    s.unsubscribe('a/#')
    s.subscribe('a/#/b')
    s.publish('a/x', '1', f.PROCESSED)
    s.fence()


@row('unsub-again', '4', 'subscribe, unsubscribe and subscribe again')
def _(bus):
    s = bus.client('s')
    for i in range(3):
        s.subscribe('t', 'u/#')
        s.publish('t', b'%d' % i)
        s.publish('u/v', b'%d' % i)
        s.unsubscribe('t', 'u/#')
        s.publish('t', 'no')
        s.publish('u/v', 'no')
    s.fence()


@row('sub-many-topics', '2,4', 'a thousand topics in one frame')
def _(bus):
    s = bus.client('s')
    s.subscribe(*(f't/{i}' for i in range(1000)))
    for i in range(0, 1000, 37):
        s.publish(f't/{i}', b'%d' % i)
    s.unsubscribe(*(f't/{i}' for i in range(500)))
    for i in range(0, 1000, 100):
        s.publish(f't/{i}', b'%d' % i)
    s.fence()


@row('pub-own', '4', 'the publisher gets its own publication if it is subscribed, before its ack')
def _(bus):
    s = bus.client('s')
    s.subscribe('t')
    for qos in range(4):
        s.publish('t', b'%d' % qos, qos)
    s.fence()


@row('pub-everyone', '4', 'every subscriber gets its copy, each once')
def _(bus):
    p = bus.client('p')
    for i in range(40):
        bus.client(f's{i}').subscribe('t', f'own/{i}', '+', qos=0)
    bus.settle()
    p.publish('t', 'all', f.PROCESSED)
    p.publish('own/7', 'one', f.PROCESSED)
    bus.settle()


@row('pub-gone', '4', 'the subscriptions of a client that has gone bring nothing to who takes its name')
def _(bus):
    watcher = bus.watcher()
    s = bus.client('s')
    s.subscribe('t')
    s.fence()
    s.close()
    watcher.wait_for(lambda i: b'unreg' in i)
    again = bus.client('s', label='again')
    again.publish('t', 'x', f.PROCESSED)
    bus.settle()


@row('pub-payload-nul', '3', 'a payload begins after the topic\'s 00, whatever it holds')
def _(bus):
    s = bus.client('s')
    s.subscribe('t', '')
    for payload in (b'', b'\0', b'\0t\0'):
        s.publish('t', payload)
        s.publish('', payload)
    s.fence()


# --- publish-for ---

@row('pubfor-one', '4', 'publish-for reaches only the subscribers whose name is the receiver')
def _(bus):
    p = bus.client('p')
    for name in ('a', 'b', 'ab', 'a.b', 'none'):
        peer = bus.client(name)
        if name != 'none':
            peer.subscribe('t/#', qos=0)
    bus.settle()
    for receiver in ('a', 'b', 'none', 'unknown', '', '*', '?', 'a.*', 'A'):
        p.publish_for('t/x', receiver, 'for ' + receiver, f.PROCESSED)
    bus.settle()


@row('pubfor-secondaries', '4', 'a receiver\'s secondaries get it if they are subscribed, each by its own subscriptions')
def _(bus):
    p, a, one, two = bus.client('p'), bus.client('a'), bus.client('a%%1'), bus.client('a%%2')
    a.subscribe('t', qos=0)
    one.subscribe('t', 'u', qos=0)
    bus.settle()
    p.publish_for('t', 'a', 'both', f.PROCESSED)
    p.publish_for('u', 'a', 'the first secondary', f.PROCESSED)
    p.publish_for('v', 'a', 'nobody', f.PROCESSED)
    bus.settle()
    two.subscribe('#', qos=0)
    two.fence()
    p.publish_for('v', 'a', 'the second secondary')
    bus.settle()


@row('pubfor-full-name', '9', 'publish-for a full secondary name reaches nobody')
def _(bus):
    p, a, one = bus.client('p'), bus.client('a'), bus.client('a%%1')
    for peer in (a, one):
        peer.subscribe('t', qos=0)
    bus.settle()
    p.publish_for('t', 'a%%1', 'x', f.PROCESSED)
    bus.settle()


@row('pubfor-exclusion', '4', 'publish-for respects exclusions and the matching of masks')
def _(bus):
    p, a = bus.client('p'), bus.client('a')
    a.subscribe('#')
    a.exclude('t/no')
    a.fence()
    for topic in ('t/no', 't/yes', '', 't/+'):
        p.publish_for(topic, 'a', topic, f.PROCESSED)
    bus.settle()


@row('pubfor-self', '4', 'publish-for oneself; its payload may hold NULs')
def _(bus):
    a = bus.client('a')
    a.subscribe('t')
    for qos in range(4):
        a.publish_for('t', 'a', b'\0a\0b', qos)
    a.fence()


# --- the broker's topics ---

@row('warn-from-start', '4', 'everyone is subscribed to .broker/warn from the start, secondaries too')
def _(bus):
    a, b = bus.client('a'), bus.client('b')
    bus.client('b%%1')
    a.publish('.broker/warn', 'x', f.PROCESSED)
    b.publish_for('.broker/warn', 'b', 'y', f.PROCESSED)
    bus.settle()


@row('warn-unsubscribed', '4', 'a client may unsubscribe from .broker/warn, or exclude it')
def _(bus):
    a, b, c = bus.client('a'), bus.client('b'), bus.client('c')
    a.unsubscribe('.broker/warn')
    b.exclude('.broker/#')
    bus.settle()
    c.publish('.broker/warn', 'x', f.PROCESSED)
    bus.settle()


@row('warn-once', '4', 'who is subscribed to .broker/warn once more gets one copy')
def _(bus):
    a = bus.client('a')
    a.subscribe('.broker/warn', '.broker/+', '#')
    a.publish('.broker/warn', 'x', f.PROCESSED)
    a.fence()


@row('broker-topics', '4', 'any client may publish on .broker/...; the sender\'s name shows it')
def _(bus):
    a, b = bus.client('a'), bus.client('b')
    b.subscribe('.broker/#')
    b.fence()
    for topic in ('.broker/info', '.broker/warn', '.broker/anything', '.broker'):
        a.publish(topic, b'\x82\xa1s\xa3reg\xa1d\xa1z', f.PROCESSED)
    bus.settle()
