# SPDX-License-Identifier: Apache-2.0
"""The static probes: the program has them with their arguments, and docs/examples/busrt.bt makes something of them."""
import os
import re
import shutil
import signal
import subprocess
import time
import unittest

from bus import BUSRTD, DEADLINE, MESSAGE, Deadline, Reader, TestCase, main

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'docs', 'examples', 'busrt.bt')
# Each probe and the sizes of its arguments in bytes, as they are described in docs/tracing.md.
PROBES = {
    'connect': [8, 8, 4, 4, 4, 8],
    'gone': [8, 8, 8, 8, 8, 4],
    'routed': [8, 8, 8, 8, 8, 1],
    'paced': [8, 8, 8, 8, 4, 8],
    'struck': [8, 8, 4, 8, 4],
}


def probes_of(program):
    """name -> the arguments of each place where it is, as the notes of the file describe them."""
    out = subprocess.run(['readelf', '--notes', '--wide', program], capture_output=True, text=True, check=True).stdout
    found = {}
    for name, arguments in re.findall(r'Provider: busrt\s+Name: (\w+)\s+Location: .*\s+Arguments: (.*)', out):
        found.setdefault(name, []).append(re.findall(r'(-?\d+)@(\S+)', arguments))
    return found


@unittest.skipUnless(os.environ.get('USDT') == 'yes', 'built without static probes')
class Probes(TestCase):
    @unittest.skipUnless(shutil.which('readelf'), 'there is no readelf')
    def test_all_are_there_with_their_arguments(self):
        found = probes_of(BUSRTD)
        self.assertEqual(set(found), set(PROBES))
        for name, sizes in PROBES.items():
            for place in found[name]:
                self.assertEqual([abs(int(size)) for size, _ in place], sizes, name)

    @unittest.skipUnless(shutil.which('readelf') and os.environ.get('OPTIMIZED') == 'yes', 'not as it is in use')
    @unittest.skipUnless(os.uname().machine == 'x86_64', 'registers have other names here')
    def test_for_those_of_every_frame_nothing_is_computed_or_copied(self):
        for place in probes_of(BUSRTD)['routed']:
            for _, where in place:
                self.assertRegex(where, r'^\d*\(%(?!rsp)\w+\)$', 'it is a field of something, where it lies')

    def traced(self, broker):
        """What bpftrace prints; skips where it cannot look into programs."""
        if not shutil.which('bpftrace') or os.geteuid() != 0:
            self.skipTest('this needs bpftrace and root')
        path = self.directory() + '/busrt.bt'
        with open(SCRIPT) as script, open(path, 'w') as own:
            own.write(script.read().replace('/usr/bin/busrtd', os.path.realpath(BUSRTD)))
        reader, writer = os.pipe()
        process = subprocess.Popen(['bpftrace', '-B', 'none', '-p', str(broker.process.pid), path],
                                   stdin=subprocess.DEVNULL, stdout=writer, stderr=subprocess.STDOUT)
        os.close(writer)
        self.addCleanup(os.close, reader)
        self.addCleanup(process.wait)
        self.addCleanup(process.send_signal, signal.SIGINT)
        return Reader(reader)

    def until(self, output, pattern, act):
        """Acts until it is printed."""
        deadline = time.monotonic() + DEADLINE
        while not re.search(pattern, output.text):
            act()
            output.read_more(0.05)
            if output.ended and 'Attaching' not in output.text:
                self.skipTest('bpftrace cannot be used here: ' + output.text[-200:].strip())
            if output.ended or time.monotonic() > deadline:
                raise Deadline(f'no {pattern!r} in {output.text!r}')

    def test_the_example_shows_who_does_what(self):
        broker = self.broker('-B', 'bus.sock', '-B', '127.0.0.1:0', '--queue-size', '50', '-t', '50')
        port = int(broker.log.wait_for(r'listening on 127.0.0.1:(\d+)').group(1))
        output, n = self.traced(broker), 0

        def come_and_go():
            nonlocal n
            n += 1
            self.assert_serves(broker.path(), f'guest{n}')
        self.until(output, rf'\+ guest\d+ \(user 0, process {os.getpid()}\)\n(.*\n)*- guest\d+: sent 1 frames; ', come_and_go)
        self.until(output, r'\+ far \(127.0.0.1:\d+\)', broker.client('far', ('127.0.0.1', port)).close)
        slow = self.connected(broker, 'slow')
        talker = self.connected(broker, 'talker')
        self.until(output, r'! slow is too slow: 50 frames, \d+ bytes wait for it',
                   lambda: talker.send(MESSAGE, b'slow\0' + b'x' * 20000))
        self.until(output, r'@waited_for\[talker, slow\]: \d+\n(.*\n)*@full_queue\[slow\]: \d{6,}', lambda: None)
        self.assertRegex(output.text, r'@sent_frames\[talker\]: \d+')
        self.assertRegex(output.text, r'@got_bytes\[slow\]: \d+')
        self.assertTrue(slow)


if __name__ == '__main__':
    main()
