# SPDX-License-Identifier: Apache-2.0
"""busrtctl quota: use against limit of each user and address."""
import json
import os

from bus import OK, SUBSCRIBE
from tool import TestCase, main


class Quota(TestCase):
    broker_args = ('-B', '127.0.0.1:0', '--max-connections-per-user', '3', '--max-subscriptions-per-user', '2',
                   '--max-names-per-user', '2')

    def rows(self, *args):
        return {row['identity']: row for row in json.loads(self.ok('--json', 'quota', *args))}

    def tcp(self, name):
        port = int(self.bus.log.wait_for(r'listening on 127\.0\.0\.1:(\d+)').group(1))
        return self.connected(self.bus, name, ('127.0.0.1', port))

    def test_an_address_has_what_it_has_of_what_it_may(self):
        client = self.tcp('a')
        self.assertEqual(client.acked(SUBSCRIBE, b'x'), OK)
        self.tcp('b')
        row = self.rows('127.0.0.5')['127.0.0.1']
        self.assertEqual((row['connections'], row['connections_max'], row['names'], row['names_max']), (2, 3, 2, 2))
        self.assertEqual((row['subscriptions'], row['subscriptions_max'], row['handshakes']), (1, 2, 0))
        self.assertEqual((row['uid'], row['user'], row['rate_max']), (None, None, 2000))
        self.assertEqual(client.acked(SUBSCRIBE, b'y\0z'), 0x79)
        self.assertGreater(self.rows('::1')['127.0.0.1']['subscriptions_refused'], 0)
        self.assertRegex(self.ok('quota', '127.0.0.1'), r'127\.0\.0\.1 +2 of 3 +2 of 2 +2 of 2 .*subscriptions \d+\n')

    def test_root_has_no_limits(self):
        if os.getuid() != 0:
            self.skipTest('it is not root')
        row = self.rows('0')['user 0']
        self.assertEqual((row['connections'], row['connections_max'], row['held_max'], row['rate_max']), (1, None, None, None))
        self.assertEqual((row['uid'], row['user']), (0, 'root'))
        self.assertEqual(list(self.rows()), ['user 0', 'broker'])

    def test_who_is_not_there(self):
        status, out, err = self.ctl('quota', '192.0.2.1')
        self.assertEqual((status, out, err), (0, b'', 'Not connected: nothing is counted.\n'))
        self.assertEqual(self.rows('192.0.2.1'), {})

    def test_mistakes(self):
        self.fails('quota', 'no such user', status=2, says='neither a user of this machine nor an address')
        self.fails('quota', '0', '1', status=2, says='more than one')


if __name__ == '__main__':
    main()
