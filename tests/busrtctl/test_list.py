# SPDX-License-Identifier: Apache-2.0
"""busrtctl list: the clients with their users, chosen, sorted, and on narrow terminals."""
import json
import os
import pwd

from bus import MESSAGE, OK
from screen import width
from tool import Terminal, TestCase, main

HEADINGS = ['NAME', 'USER', 'PID', 'KIND', 'IN', 'IN BYTES', 'OUT', 'OUT BYTES', 'QUEUE', 'DROPPED', 'CONNECTED']


class List(TestCase):
    def setUp(self):
        super().setUp()
        self.one, self.two = self.receiver('plc.1'), self.receiver('plc.2')
        self.secondary = self.receiver('plc.2%%a')
        for _ in range(3):
            self.assertEqual(self.two.acked(MESSAGE, b'plc.1\0' + b'x' * 2000), OK)
        self.user = pwd.getpwuid(os.getuid()).pw_name

    def names(self, *args):
        return self.ok('-n', 'zz', 'list', '--names', *args).splitlines()

    def test_a_table(self):
        lines = self.ok('list', 'plc*').splitlines()
        self.assertRegex(lines[0], '^' + ' +'.join(HEADINGS) + ' *$')
        row = rf'{self.user} +{os.getpid()} local_ipc'
        self.assertRegex(lines[1], rf'^plc\.1 +{row} +0 +0 B +3 +5\.9 KiB +\d +0 (now|\d+s ago) *$')
        self.assertRegex(lines[2], rf'^plc\.2 +{row} +3 +5\.9 KiB +3 +18 B +\d +0 (now|\d+s ago) *$')
        self.assertEqual(lines[3:], ['', '2 clients listed. --all shows 1 secondary, too.'])

    def test_without_legend(self):
        self.assertRegex(self.ok('list', '--no-legend', 'plc.1'), r'^plc\.1 [^\n]*\n$')
        self.assertEqual(self.ok('list', 'nobody'), '0 clients listed.\n')
        self.assertEqual(self.ok('list', '--no-legend', 'nobody'), '')

    def test_choosing(self):
        self.assertEqual(self.names(), ['plc.1', 'plc.2', 'zz'])
        self.assertEqual(self.names('plc.[2-9]', 'z?'), ['plc.2', 'zz'])
        self.assertEqual(self.names('-a', 'plc*'), ['plc.1', 'plc.2', 'plc.2%%a'])
        self.assertEqual(self.names('--uid', self.user, 'plc*'), ['plc.1', 'plc.2'])
        self.assertEqual(self.names('-u', str(os.getuid() + 1)), [])
        self.assertEqual(self.names('plc'), [])

    def test_sorting(self):
        self.assertEqual(self.names('-R'), ['zz', 'plc.2', 'plc.1'])
        self.assertEqual(self.names('-S', 'connected')[0], 'zz')
        self.assertEqual(self.names('-S', 'in', 'plc*'), ['plc.2', 'plc.1'])
        self.assertEqual(self.names('--sort', 'out-bytes', 'plc*'), ['plc.1', 'plc.2'])
        for key in 'user', 'pid', 'kind', 'in-bytes', 'out', 'queue', 'dropped':
            self.assertEqual(sorted(self.names('--sort', key)), ['plc.1', 'plc.2', 'zz'])

    def test_json(self):
        for args in ('list', '--json'), ('--json', 'list'):
            clients = json.loads(self.ok(*args, '-a', 'plc*'))
            self.assertEqual([client['name'] for client in clients], ['plc.1', 'plc.2', 'plc.2%%a'])
        self.assertEqual({key: clients[1][key] for key in ('primary', 'kind', 'uid', 'user', 'pid', 'in_frames', 'in_bytes',
                                                           'out_frames', 'dropped', 'instances')},
                         {'primary': None, 'kind': 'local_ipc', 'uid': os.getuid(), 'user': self.user,
                          'pid': os.getpid(), 'in_frames': 3, 'in_bytes': 6018, 'out_frames': 3, 'dropped': 0,
                          'instances': 2})
        self.assertEqual(clients[2]['primary'], 'plc.2')
        self.assertEqual(self.ok('list', '--json', 'nobody'), '[]\n')

    def test_clients_of_tcp_have_no_user(self):
        tcp = self.broker('-B', '127.0.0.1:0', '-B', 'bus.sock')
        port = int(tcp.log.wait_for(r'127\.0\.0\.1:(\d+)').group(1))
        self.connected(tcp, 'far', ('127.0.0.1', port))
        self.path = tcp.path()
        self.assertRegex(self.ok('list', 'far'), r'\nfar +- +- tcp ')
        self.assertEqual(json.loads(self.ok('list', 'far', '--json'))[0]['user'], None)

    def test_names_are_shown_escaped(self):
        self.receiver('x\u202e\u2066.\\x1b')
        for args in (), ('--names',), ('--json',):
            self.assertNotIn('\u202e', self.ok('list', 'x*', *args))
        self.assertEqual(self.ok('list', '--names', 'x*'), r'x\xe2\x80\xae\xe2\x81\xa6.\\x1b' + '\n')

    def test_it_fits_the_terminal(self):
        for name in '生产线.温度传感器', 'l' * 1024, 'e\u0301' * 20:
            self.receiver(name)
        for columns, left_out in (24, 7), (40, 5), (80, 1), (200, 0):
            terminal = Terminal('--no-color', '-s', self.path, 'list', size=(24, columns))
            self.addCleanup(terminal.close)
            self.assertEqual(terminal.wait(), 0)
            lines = terminal.screen.decode().split('\r\n')
            shown = [heading for heading in HEADINGS if f' {heading} ' in f' {lines[0]} ']
            self.assertLessEqual(left_out, len(HEADINGS) - len(shown), lines[0])
            self.assertEqual(shown[0], 'NAME')
            for line in lines[:-3]:
                self.assertLessEqual(sum(map(width, line)), columns, line)
            self.assertTrue(any(line.startswith('lll') and '… ' in line for line in lines))
            self.assertNotIn('\033', terminal.screen.decode())

    def test_mistakes(self):
        self.fails('list', '--sort', 'size', says='--sort "size": not one of name, user', status=2)
        self.fails('list', '--uid', 'no such user', says='no such user', status=2)


if __name__ == '__main__':
    main()
