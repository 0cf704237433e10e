# SPDX-License-Identifier: Apache-2.0
"""busrtctl show: all of a client, and single properties for scripts."""
import json
import os

from bus import MESSAGE, OK, SUBSCRIBE
from test_ways import BusCase, DENIED
from tool import TestCase, main

EXCLUDE = 0x04


class Show(TestCase):
    def setUp(self):
        super().setUp()
        self.one, self.two = self.receiver('plc.1', 'hall/#'), self.receiver('plc.2')
        self.assertEqual(self.one.acked(SUBSCRIBE, b'a/+'), OK)
        self.secondary = self.receiver('plc.1%%a')
        for _ in range(3):
            self.assertEqual(self.two.acked(MESSAGE, b'plc.1\0' + b'x' * 2000), OK)

    def property(self, key, client='plc.1'):
        return self.ok('show', '-P', key, client)

    def test_for_people(self):
        lines = self.ok('show', 'plc.1').splitlines()
        self.assertRegex(lines[0], r'^plc\.1 \(#\d+\)$')
        fields = dict(line.strip().split(': ', 1) for line in lines[1:] if ': ' in line)
        self.assertRegex(fields['Joined'], r'^\w{3} \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC; (now|\d+\w+ ago)$')
        self.assertEqual(fields['By'], 'local_ipc, bus.sock')
        self.assertIn(f'({os.getuid()})', fields['User'])
        self.assertEqual(fields['PID'], str(os.getpid()))
        self.assertRegex(fields['In'], r'^\d frames?, ')
        self.assertEqual(fields['Full at'], '8,192 frames, 16 MiB')
        self.assertEqual(fields['Dropped'], '0 frames')
        self.assertEqual(fields['Secondaries'], 'plc.1%%a')
        self.assertEqual({line.find(':') for line in lines[1:] if ': ' in line}, {13})
        self.assertIn('\n               hall/#', '\n'.join(lines))

    def test_more_than_one(self):
        text = self.ok('show', 'plc.1', 'plc.2')
        self.assertRegex(text, r'^plc\.1 \(#\d+\)\n(?s:.*)\n\nplc\.2 \(#\d+\)\n')

    def test_by_id(self):
        number = self.property('Id').strip()
        self.assertEqual(self.property('Name', '#' + number), 'plc.1\n')

    def test_properties(self):
        self.assertEqual(self.ok('show', '-p', 'Name,ProcessID', '-p', 'User', 'plc.1'),
                         f'Name=plc.1\nProcessID={os.getpid()}\nUser={os.getuid()}\n')
        self.assertEqual(self.ok('show', '--value', '--property=FramesIn,BytesIn', 'plc.2'), '3\n6018\n')
        self.assertEqual(self.property('Secondaries'), 'plc.1%%a\n')
        self.assertEqual(self.property('Primary', 'plc.1%%a'), 'plc.1\n')
        self.assertEqual(self.property('Address'), '\n')
        self.assertEqual(self.property('FramesOut', 'plc.2'), '3\n')
        self.assertEqual(sorted(self.ok('show', '-p', 'Subscriptions', 'plc.1').splitlines())[1:],
                         ['Subscriptions=a/+', 'Subscriptions=hall/#'])
        self.assertEqual(self.ok('show', '-p', 'Exclusions', 'plc.1'), 'Exclusions=\n')

    def test_every_property_of_the_help_is_there(self):
        text = self.ok('show', '--help').split('Id, Name')[1].split(';')[0].replace(' or ', ', ')
        names = ['Id', 'Name'] + text.replace('\n', ' ').replace(',', ' ').split()
        names = [name for name in names if name != 'or']
        self.assertEqual(len(names), 25)
        values = self.ok('show', '-p', ','.join(names), 'plc.1').splitlines()
        self.assertEqual(list(dict.fromkeys(value.split('=')[0] for value in values)), names)

    def test_json(self):
        one, two = map(json.loads, self.ok('show', '--json', 'plc.1', 'plc.2').splitlines())
        self.assertEqual((one['name'], one['secondaries'], one['exclusions']), ('plc.1', ['plc.1%%a'], []))
        self.assertLessEqual({'a/+', 'hall/#'}, set(one['subscriptions']))
        self.assertEqual((two['name'], two['in_bytes'], two['address']), ('plc.2', 6018, ''))

    def test_one_that_is_not_there(self):
        status, out, err = self.ctl('show', '-P', 'Name', 'plc.1', 'nobody', 'plc.2')
        self.assertEqual((status, out), (1, b'plc.1\nplc.2\n'))
        self.assertRegex(err, '^busrtctl: no client "nobody"')

    def test_texts_are_shown_escaped(self):
        client = self.receiver('x\u202e')
        self.assertEqual(client.acked(SUBSCRIBE, 't\u202e'.encode()), OK)
        for args in (), ('--json',), ('-p', 'Name,Subscriptions'):
            self.assertNotIn('\u202e', self.ok('show', 'x\u202e', *args))

    def test_mistakes(self):
        self.fails('show', says='A name is missing', status=2)
        self.fails('show', '', says='CLIENT: it is empty', status=2)
        self.fails('show', '-p', 'Size', 'x', says='-p "Size": no such property', status=2)
        self.fails('show', '--value', 'x', says='-p is missing', status=2)
        self.fails('show', '--json', '-p', 'Name', 'x', says='does not go with -p', status=2)


class WhatMayNotBeSeen(BusCase):
    def test_it_is_said_in_its_place(self):
        self.bus(GetAddress=DENIED, ListSubscriptions=DENIED)
        status, out, err = self.ctl('show', 'b')
        self.assertEqual((status, err), (0, ''))
        self.assertIn(b'Subscriptions: not shown, nor the address: they take the right org.busrt1.inspect\n', out)
        status, out, err = self.ctl('show', '-p', 'Name,Subscriptions', 'b')
        self.assertEqual((status, out), (1, b'Name=b\n'))
        self.assertEqual(err, 'busrtctl: Subscriptions of "b": not allowed: it takes the right org.busrt1.inspect\n')
        client = json.loads(self.ctl('show', '--json', 'b')[1])
        self.assertEqual((client['address'], client['subscriptions'], client['exclusions'], client['unit']),
                         (None, None, None, 'b.service'))


if __name__ == '__main__':
    main()
