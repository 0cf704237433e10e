# SPDX-License-Identifier: Apache-2.0
"""Section 8 and the command line: listeners, and what the program says to the shell that starts it."""
import os
import signal
import socket
import stat
import subprocess

import frames as f
from bus import DEADLINE, check
from rows import row


def spawn(bus, argv, env=None):
    """Another broker, with these arguments, beside the row's own."""
    with open(bus.broker.dir + '/second.log', 'wb') as log:
        return subprocess.Popen([bus.broker.path, *argv], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=bus.broker.dir,
                                env={**os.environ, **(env or {})})


def second_log(bus):
    with open(bus.broker.dir + '/second.log') as log:
        return log.read()


def start(bus, *argv):
    """Exit status of a broker that is expected to fail; None when it is still up after it could have."""
    second = spawn(bus, argv)
    try:
        return second.wait(DEADLINE / 4)
    except subprocess.TimeoutExpired:
        return None
    finally:
        second.kill()
        second.wait()


def runs(bus, where, *argv, env=None):
    """True if a broker with these arguments comes to listen at this path, and stops with status 0."""
    second = spawn(bus, argv, env)
    try:
        bus.broker.wait(lambda: answers(where) or second.poll() is not None)
        second.terminate()
        return second.wait(DEADLINE) == 0 and not os.path.exists(where)
    finally:
        second.kill()
        second.wait()


@row('addr-relative', '8', 'what ends in .sock, .socket or .ipc is a UNIX socket', listen=('unix', 'unix:x.sock', 'unix:y.socket', 'unix:z.ipc'))
def _(bus):
    for name in ('x.sock', 'y.socket', 'z.ipc'):
        bus.client(name, 'unix:' + name)
        bus.note(name, stat.S_ISSOCK(os.stat(bus.broker.dir + '/' + name).st_mode))
    bus.clients(bus.client('asker'))


@row('addr-absolute', '8', 'a path that begins with / is a UNIX socket, whatever it ends in', listen=('unix',))
def _(bus):
    status = start(bus, '-B', bus.broker.dir + '/no/such/directory/bus')
    bus.note('a path that cannot be bound ends the start', status not in (0, None))


@row('addr-many', '8', 'any number of listeners lead to one bus', listen=('unix', 'tcp', 'tcp6', 'unix:other.sock', 'fifo'))
def _(bus):
    a = bus.client('a')
    for name, kind in (('b', 'tcp'), ('c', 'tcp6'), ('d', 'unix:other.sock')):
        bus.client(name, kind).message('a', 'from ' + name, f.PROCESSED)
    bus.settle()
    a.broadcast('*', 'all')
    bus.settle()


@row('addr-mode', '8', 'a socket made by hand has the mode that the umask leaves')
def _(bus):
    bus.note('mode', oct(os.stat(bus.broker.unix).st_mode & 0o7777))


def stale(directory):
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(directory + '/bus.sock')


@row('addr-stale', '8', 'a stale socket file is replaced', before=stale)
def _(bus):
    bus.client('a').fence()


def still_first(transcript):
    notes = dict(transcript['notes'])
    check(notes['status'] not in (0, None), 'the second broker did not fail')
    check(notes['the first is reached'], 'the first broker is reached no more')


@row('addr-in-use', '8', 'a socket on which somebody listens is not taken over; the reference takes it', ours=still_first)
def _(bus):
    before = bus.client('before')
    bus.note('status', start(bus, '-B', bus.broker.unix))
    bus.client('after').fence()
    bus.note('the first is reached', before.wait_ack(before.message('after', 'x', f.PROCESSED)) == f.OK)


BAD = [('port-in-use', lambda bus: ['-B', '127.0.0.1:%d' % bus.broker.ports['tcp'][1]]), ('no-port', lambda bus: ['-B', 'localhost']),
       ('bad-port', lambda bus: ['-B', '127.0.0.1:99999']), ('bad-host', lambda bus: ['-B', '300.1.2.3:1']),
       ('unknown-option', lambda bus: ['--nonsense', '-B', 'x.sock']), ('bad-timeout', lambda bus: ['-t', 'x', '-B', 'x.sock']),
       ('bad-queue', lambda bus: ['--queue-size', '-1', '-B', 'x.sock']), ('bad-workers', lambda bus: ['-w', 'x', '-B', 'x.sock']),
       ('repeated', lambda bus: ['-t', '1', '-t', '2', '-B', 'x.sock']), ('abbreviated', lambda bus: ['--queue', '16', '-B', 'x.sock']),
       ('timeout-nan', lambda bus: ['-t', 'nan', '-B', 'x.sock']),
       ('missing-value', lambda bus: ['-B']), ('extra', lambda bus: ['-B', 'x.sock', 'more'])]

for ident, argv in BAD:
    @row('start-' + ident, '8', f'a start with a bad argument ({ident}) fails with a status that is not 0', listen=('unix', 'tcp'))
    def _(bus, argv=argv):
        status = start(bus, *argv(bus))
        bus.note('failed', status not in (0, None))
        bus.note('said why', bool(second_log(bus).strip()))


# The reference starts, and then cannot register anybody.
@row('start-no-queue', '8', 'a queue of no frames is refused', ours=lambda t: check(t['notes'][0][1] not in (0, None), str(t)))
def _(bus):
    bus.note('status', start(bus, '--queue-size', '0', '-B', 'x.sock'))


@row('start-help', '8', '--help and -h print help and end with 0')
def _(bus):
    for option in ('--help', '-h'):
        bus.note(option, start(bus, option))
        text = second_log(bus)
        for name in ('--bind', '--pid-file', '--verbose', '--log-syslog', '--force-register', '--buf-size', '--buf-ttl', '--queue-size'):
            bus.note(f'{option} tells of {name}', name in text)


ALL = {'-w': '2', '-t': '7.5', '--buf-size': '8192', '--buf-ttl': '20', '--queue-size': '100', '--force-register': None, '--verbose': None,
       '--pid-file': 'the.pid'}


@row('start-all-options', '8', 'every option of the reference is taken', options=ALL)
def _(bus):
    bus.client('a').fence()
    bus.note('pid file', os.path.exists(bus.broker.dir + '/the.pid'))


@row('start-forms', '8', 'options are written as the reference\'s: joined, with =, in a bundle')
def _(bus):
    where = bus.broker.dir + '/forms.sock'
    for argv in (['-w1', '-t2.5', '-B' + where], ['-w=1', '-t=2.5', '-B=' + where], ['--queue-size=16', '--bind=' + where, '--buf-ttl=5'],
                 ['-t', '+5', '--bind', where], ['-t', '1e1', '--bind', where, '--force-register', '--verbose']):
        bus.note(' '.join(argv).replace(bus.broker.dir, 'DIR'), runs(bus, where, *argv))


@row('start-no-listener', '8', 'without -B the user\'s socket is used, and that is said; the reference refuses to start',
     ours={'notes': [('listens', True), ('says so', True)]}, reference={'notes': [('listens', False), ('says so', False)]})
def _(bus):
    where = bus.broker.dir + '/busrt/bus.sock'
    bus.note('listens', runs(bus, where, env={'XDG_RUNTIME_DIR': bus.broker.dir}))
    bus.note('says so', where in second_log(bus))


@row('start-syslog', '8', '--log-syslog is taken, syslog or not', options={'--log-syslog': None})
def _(bus):
    bus.client('a').fence()


# Where no syslog is listening, the reference's daemon writes its log to a closed stdout and dies of that.
@row('start-daemon', '8', '-D leaves a broker running in the background, whose pid -P tells; it stops on SIGTERM',
     ours={'notes': [('status', 0), ('runs', True), ('files are gone', True)]})
def _(bus):
    where, pid_file = bus.broker.dir + '/daemon.sock', bus.broker.dir + '/daemon.pid'
    status = start(bus, '-D', '-P', pid_file, '-B', where)
    bus.note('status', status)
    bus.broker.wait(lambda: os.path.exists(pid_file) and os.path.getsize(pid_file))
    with open(pid_file) as file:
        pid = int(file.read())
    gone = os.pidfd_open(pid)
    try:
        bus.broker.wait(lambda: answers(where))
        bus.note('runs', True)
        signal.pidfd_send_signal(gone, signal.SIGTERM)
        bus.broker.wait(lambda: not os.path.exists(where))
        bus.note('files are gone', not os.path.exists(pid_file))
        bus.broker.wait(lambda: ended(gone))
    finally:
        if not ended(gone):
            signal.pidfd_send_signal(gone, signal.SIGKILL)
        os.close(gone)


def answers(path):
    try:
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(DEADLINE)
            s.connect(path)
            return s.recv(3) == f.GREETING
    except OSError:
        return False


def ended(pidfd):
    try:
        signal.pidfd_send_signal(pidfd, 0)
        return False
    except ProcessLookupError:
        return True
