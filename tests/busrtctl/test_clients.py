# SPDX-License-Identifier: Apache-2.0
"""busrtctl clients and info: who is there, and which broker it is."""
import json
import re

from bus import MESSAGE, OK
from tool import TestCase, main, run

FIELDS = ['name', 'kind', 'source', 'port', 'r_frames', 'r_bytes', 'w_frames', 'w_bytes', 'queue', 'instances']


class Clients(TestCase):
    def setUp(self):
        super().setUp()
        self.one, self.two = self.receiver('plc.1'), self.receiver('plc.2')
        self.receiver('plc.2%%a')
        for _ in range(3):
            self.assertEqual(self.two.acked(MESSAGE, b'plc.1\0' + b'x' * 2000), OK)

    def names(self, *args):
        return self.ok('clients', '--names', *args, '^[^b]').splitlines()

    def test_a_table(self):
        lines = self.ok('-n', 'me', 'clients').splitlines()
        self.assertRegex(lines[0], r'^NAME +KIND +IN +IN BYTES +OUT +OUT BYTES +QUEUE +INST +SOURCE +PORT *$')
        self.assertEqual([line.split()[0] for line in lines[1:]], ['.broker', 'me', 'plc.1', 'plc.2'])
        self.assertRegex(lines[1], r'^\.broker +internal .* - +- *$')
        self.assertRegex(lines[3], r'^plc\.1 +local_ipc +0 +0 B +3 +5\.9 KiB +\d+ +1 +- +bus\.sock$')
        self.assertRegex(lines[4], r'^plc\.2 +local_ipc +3 +5\.9 KiB +3 +18 B +\d+ +2 +- +bus\.sock$')

    def test_a_filter(self):
        self.assertEqual(self.names(), ['.broker', 'plc.1', 'plc.2'])
        self.assertEqual(self.ok('clients', '--names', r'^plc\.[2-9]$'), 'plc.2\n')
        self.assertEqual(self.ctl('clients', 'nobody'), (0, b'', '0 clients listed.\n'))
        self.assertEqual(self.ok('clients', 'nobody', '--json'), '[]\n')
        self.fails('clients', '(', says=r'error -32700 \(parse error\): .*pattern')

    def test_sorting(self):
        self.assertEqual(self.names('-R'), ['plc.2', 'plc.1', '.broker'])
        self.assertEqual(self.names('-S', 'instances'), ['plc.2', '.broker', 'plc.1'])
        self.assertEqual(self.names('--sort', 'w_bytes')[0], 'plc.1')
        self.assertEqual(self.names('--sort', 'r_bytes', '--reverse')[0], 'plc.1')
        self.assertEqual(self.names('--sort', 'kind'), ['.broker', 'plc.1', 'plc.2'])
        self.fails('clients', '--sort', 'size', says='--sort "size": not one of name, kind', status=2)
        self.fails('clients', 'a', 'b', says='more than one REGEX', status=2)

    def test_json_is_all_that_the_broker_tells(self):
        for args in ('clients', '--json'), ('--json', 'clients'):
            clients = json.loads(self.ok(*args, '-S', 'r_bytes', '^plc'))
            self.assertEqual([client['name'] for client in clients], ['plc.2', 'plc.1'])
            for client in clients:
                self.assertEqual(list(client), FIELDS)
            self.assertEqual({key: clients[1][key] for key in ('kind', 'source', 'port', 'w_frames', 'w_bytes')},
                             {'kind': 'local_ipc', 'source': None, 'port': 'bus.sock', 'w_frames': 3, 'w_bytes': 6018})

    def test_names_are_shown_escaped(self):
        self.receiver('x\u202e\u2066.\\x1b')
        for args in (), ('--names',), ('--json',):
            out = self.ok('clients', *args, '^x')
            self.assertNotIn('\u202e', out)
            self.assertNotIn('x5c', out)
        self.assertEqual(self.ok('clients', '--names', '^x'), r'x\xe2\x80\xae\xe2\x81\xa6.\\x1b' + '\n')

    def test_colours_on_a_terminal_alone(self):
        terminal = self.terminal('clients', '^plc')
        self.assertEqual(terminal.wait(), 0)
        self.assertRegex(terminal.screen, rb'\033\[1m *NAME')
        self.assertIn(b'\033[36mplc.1', terminal.screen)
        terminal = self.terminal('--no-color', 'clients', '^plc')
        terminal.wait()
        self.assertNotIn(b'\033', terminal.screen)


class StrangeBrokers(TestCase):
    """The answers to clients, stats and info come from whatever listens there."""
    answers = (b'', b'\xc1', b'\xc0', b'\x01', b'\xa1x', b'\x91\x01', b'\x80', b'\x81\xa7clients\xc0', b'\x91' * 100000,
               b'\xdd\xff\xff\xff\xff', b'\x81\xa7clients\xdd\x0f\xff\xff\xff', b'\x81\xa6uptime\xa1x')

    def setUp(self):
        pass

    def test_what_is_no_answer_is_a_failure(self):
        for answer in self.answers:
            path = self.fake(result=answer)
            for verb, says in ('clients', 'no list of clients'), ('stats', 'no statistics'):
                status, out, err = run('-s', path, verb)
                self.assertEqual((status, out), (1, b''), answer)
                self.assertIn(says, err)
            self.assertIn(run('-s', path, 'info')[0], (0, 1))

    def test_clients_without_fields(self):
        path = self.fake(result=b'\x81\xa7clients\x93\x80\x81\xa4name\x05\x01')
        status, out, err = run('-s', path, 'clients')
        self.assertEqual((status, err), (0, ''))
        self.assertEqual([line.split()[0] for line in out.decode().splitlines()], ['NAME', '-', '-', '-'])
        self.assertEqual(json.loads(run('-s', path, 'clients', '--json')[1]), [{}, {'name': 5}, 1])

    def test_texts_are_shown_escaped(self):
        path = self.fake(result=b'\x81\xa6author\xa5\x1b[2Jx')
        self.assertIn(rb'\x1b[2Jx', run('-s', path, 'info')[1])


class Info(TestCase):
    def test_what_the_broker_is(self):
        out = self.ok('info')
        self.assertEqual([line.split()[0] for line in out.splitlines()], ['Address', 'Author', 'Version'])
        self.assertIn(self.path, out)
        self.assertRegex(out, r'Version +\d+\.\d+\.\d+\n')

    def test_json(self):
        info = json.loads(self.ok('info', '--json'))
        self.assertEqual(sorted(info), ['author', 'version'])
        self.assertTrue(re.fullmatch(r'\d+\.\d+\.\d+', info['version']))

    def test_mistakes(self):
        self.fails('info', 'x', says='no arguments: "x"', status=2)


if __name__ == '__main__':
    main()
