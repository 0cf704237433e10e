# SPDX-License-Identifier: Apache-2.0
"""Configuration files, from outside: what is in force and where it came from, warnings and refusals."""
import os
import subprocess
import unittest

from bus import OK, SUBSCRIBE, TestCase, main, run


class Config(TestCase):
    def setUp(self):
        self.dir = self.directory()
        self.file = self.dir + '/b.conf'

    def write(self, text, name='b.conf'):
        path = os.path.join(self.dir, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w') as file:
            file.write(text)
        return path

    def check(self, *args):
        return run('--config', self.file, '--check-config', *args)

    def test_values_are_told_with_their_origin(self):
        self.write('# mine\n[Bus]\nQueueFrames = 100\nMaxFrameSize=1M\nSlowConsumerPaceSec=50ms\n')
        drop_in = self.write('[Bus]\nQueueFrames=200\nListen=/run/x.sock\nForceRegister=yes\n', 'b.conf.d/10.conf')
        self.assertEqual(self.check('--busy-poll', '20'), (
            0, f'Listen=/run/x.sock  # {drop_in}:3\n'
            f'ForceRegister=any  # {drop_in}:4\n'
            f'QueueFrames=200  # {drop_in}:2\n'
            f'SlowConsumerPaceSec=50ms  # {self.file}:5\n'
            f'MaxFrameSize=1048576  # {self.file}:4\n'
            'BusyPollUSec=20us  # command line\n', ''))

    def test_the_command_line_wins(self):
        self.write('[Bus]\nQueueFrames=100\nListen=/run/x.sock\n')
        self.assertEqual(self.check('--queue-size', '5', '-B', 'y.sock')[1],
                         'Listen=y.sock  # command line\nQueueFrames=5  # command line\n')

    def test_an_empty_value_takes_back(self):
        self.write('[Bus]\nQueueFrames=100\nListen=/a\nListen=\nQueueFrames=\n')
        self.assertEqual(self.check(), (0, '', ''))

    def test_unknown_keys_warn(self):
        self.write('[Bus]\nNonsense=1\n[Other]\nQueueFrames=1\n')
        status, out, err = self.check()
        self.assertEqual((status, out), (0, ''))
        self.assertEqual(err, f'busrtd: {self.file}:2: unknown key "Nonsense" in section "Bus": ignored\n'
                         f'busrtd: {self.file}:4: unknown key "QueueFrames" in section "Other": ignored\n')

    def test_bad_values_are_refused(self):
        for line, says in (('QueueFrames=0', 'QueueFrames= "0": a whole number'),
                           ('MaxFrameSize=1T', 'MaxFrameSize= "1T": a number of bytes'),
                           ('TimeoutSec=5x', 'TimeoutSec= "5x": a time from 10 ms'),
                           ('SlowConsumerPaceSec=1s', 'a time from 0 to 500 ms'),
                           ('ForceRegister=perhaps', 'no, same-identity or any'),
                           ('Listen=nonsense', 'not an address'),
                           ('nonsense', r'neither \[Section\] nor Key=Value'),
                           ('[Bus', 'a section is written')):
            self.write(f'[Bus]\n\n{line}\n')
            status, out, err = self.check()
            self.assertEqual((status, out), (2, ''), line)
            self.assert_one_line(err, f'^busrtd: {self.file}:3: .*{says}')
            self.assertEqual(run('--config', self.file, '-B', self.dir + '/s.sock')[0], 2)

    def test_a_missing_file_is_refused(self):
        status, _, err = self.check()
        self.assertEqual(status, 2)
        self.assert_one_line(err, f'^busrtd: {self.file}: No such file')

    def test_what_is_configured_is_in_force(self):
        self.write('[Bus]\nListen=bus.sock\nMaxTopicParts=3\n')
        broker = self.broker('--config', self.file)
        client = self.connected(broker, 'c')
        self.assertEqual(client.acked(SUBSCRIBE, b'a/b/c'), OK)
        self.assertEqual(client.acked(SUBSCRIBE, b'a/b/c/d'), 0x72)


# In a mount namespace of its own: a control group two levels deep, with limits on it and above. $$ stays busrtd's.
IN_A_GROUP = """
mount -t tmpfs tmpfs /sys/fs/cgroup && mkdir -p /sys/fs/cgroup/system.slice/busrtd.service
echo max >/sys/fs/cgroup/system.slice/memory.max
echo $0 >/sys/fs/cgroup/system.slice/busrtd.service/memory.max
[ $1 = none ] || echo $1 >/sys/fs/cgroup/memory.max
printf '12:cpu:/other\\n0::/system.slice/busrtd.service\\n' >/sys/fs/cgroup/self && mount --bind /sys/fs/cgroup/self /proc/$$/cgroup
shift && exec "$@"
"""


@unittest.skipIf(os.geteuid() != 0 or subprocess.run(['unshare', '--mount', 'true'], capture_output=True).returncode != 0,
                 'no mount namespace can be had here')
class ControlGroup(TestCase):
    def test_memory_is_a_quarter_of_the_least_limit(self):
        for own, root, said in (('419430400', 'none', '100 MiB'), ('max', '838860800', '200 MiB'),
                                ('419430400', '838860800', '100 MiB'), ('838860800', '419430400', '100 MiB')):
            broker = self.broker('-B', 'bus.sock', launcher=('unshare', '--mount', 'sh', '-c', IN_A_GROUP, own, root))
            broker.log.wait_for(f'all queues {said};')
            broker.stop()


if __name__ == '__main__':
    main()
