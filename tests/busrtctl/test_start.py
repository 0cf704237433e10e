# SPDX-License-Identifier: Apache-2.0
"""The options before the verb, finding the broker, and what is said when there is none."""
import os
import socket
import stat
import subprocess

from tool import BUSRTCTL, TestCase, drop_root, environment, main, run

VERBS = ('listen', 'send', 'broadcast', 'publish', 'rpc', 'clients', 'stats', 'info', 'ping')


class CommandLine(TestCase):
    def setUp(self):
        pass

    def mistake(self, *args, says, where=''):
        status, out, err = run(*args)
        self.assertEqual((status, out), (2, b''), err)
        self.assertRegex(err, says)
        self.assertIn(f'Try "busrtctl{where} --help"', err)

    def test_help_lists_every_verb(self):
        for args in ('--help',), ('-h',), ('help',):
            status, out, err = run(*args)
            self.assertEqual((status, err), (0, ''))
            for verb in VERBS:
                self.assertRegex(out.decode(), rf'(?m)^  {verb} ')

    def test_every_verb_has_help(self):
        for verb in VERBS:
            status, out, err = run(verb, '--help')
            self.assertEqual((status, err), (0, ''))
            self.assertRegex(out.decode(), rf'^Usage: busrtctl \[OPTION\]... {verb} ')
            self.assertNotIn(b'\033', out)

    def test_help_about_a_verb_is_that_verbs_help(self):
        for verb in VERBS:
            self.assertEqual(run('help', verb), run(verb, '--help'))
        self.assertEqual(run('help', 'rpc', 'listen'), run('rpc', 'listen', '--help'))
        self.mistake('help', 'lisen', says='did you mean "listen"')
        self.mistake('help', 'rpc', 'listen', 'x', says='help is about one verb: "x"')

    def test_empty_arguments_are_mistakes_that_are_named(self):
        for args, what, where in (
                (('-s', '', 'info'), '-s', ''), (('-n', '', 'info'), '-n', ''),
                (('send', '', 'x'), 'name of a receiver', ' send'),
                (('broadcast', '', 'x'), 'mask of receivers', ' broadcast'),
                (('publish', '', 'x'), 'topic', ' publish'), (('publish', 't', '-f', ''), '-f', ' publish'),
                (('publish', 't', 'x', '--for', ''), '--for', ' publish'), (('listen', 'a', ''), 'TOPIC', ' listen'),
                (('listen', '-x', ''), '-x', ' listen'), (('clients', ''), 'REGEX', ' clients'),
                (('ping', ''), 'TARGET', ' ping'), (('rpc', 'call', '', 'm'), 'name of a client', ' rpc call'),
                (('rpc', 'call', 'a', ''), 'the method', ' rpc call'),
                (('rpc', 'notify', 'a', '-j', ''), '--params', ' rpc notify')):
            self.mistake(*args, says=f'{what}: it is empty', where=where)

    def test_the_version_is_told(self):
        status, out, _ = run('--version')
        self.assertEqual(status, 0)
        self.assertRegex(out.decode(), r'^busrtctl \d+\.\d+\.\d+\n$')

    def test_an_unknown_verb_suggests_the_nearest(self):
        self.mistake('lisen', says='unknown verb "lisen": did you mean "listen"')
        self.mistake('pubilsh', says='did you mean "publish"')
        self.mistake('broad', says='did you mean "broadcast"')
        self.mistake('xyzzy', says='unknown verb "xyzzy"\n')
        self.mistake('a\033[2J', says=r'unknown verb "a\\x1b\[2J"')

    def test_mistakes_are_status_2(self):
        self.mistake(says='verb is missing')
        self.mistake('--nonsense', says='unknown option --nonsense')
        self.mistake('-s', says='-s needs a value')
        self.mistake('-t', 'soon', 'listen', says='-t "soon"')
        self.mistake('-t', '0', 'listen', says='-t "0"')
        self.mistake('listen', '-z', says='unknown option -z', where=' listen')
        self.mistake('listen', '-c', '0', says='-c "0"', where=' listen')
        self.mistake('listen', '--for', 'ever', says='--for "ever"', where=' listen')
        self.mistake('listen', '--no-topics', 'a', says='--no-topics', where=' listen')
        self.mistake('publish', says='the topic is missing', where=' publish')
        self.mistake('send', 'a', '--rate', '-1', says='--rate', where=' send')
        self.mistake('send', 'a', '-q', 'good', says='not one of no, processed', where=' send')
        self.mistake('send', 'a', 'b', '-f', 'c', says='a payload, and a file', where=' send')
        self.mistake('send', 'a', 'b', '-l', says='a payload, and --lines', where=' send')
        self.mistake('send', 'a', '--for', 'b', says='belongs to publish', where=' send')

    def test_output_that_cannot_be_written_is_a_failure(self):
        with open('/dev/full', 'w') as full:
            done = subprocess.run([BUSRTCTL, '--help'], stdout=full, stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b'No space left', done.stderr)


class NoBroker(TestCase):
    def setUp(self):
        self.dir = self.directory()

    def refused(self, path, *says, args=('publish', 't', 'x'), env=None, **options):
        address = ('-s', path) if path else ()
        status, out, err = run(*address, *args, env=env, **options)
        self.assertEqual((status, out), (1, b''), err)
        for text in says:
            self.assertRegex(err, text)

    def test_all_that_was_tried_is_listed(self):
        self.refused(None, 'no broker found', r'BUSRT_SOCKET: not set', f'{self.dir}/busrt/bus.sock: No such file',
                     '/run/busrt/bus.sock', 'systemctl start busrtd.socket', 'busrtd -B',
                     env={'XDG_RUNTIME_DIR': self.dir})

    def test_a_path_without_a_socket(self):
        self.refused(f'{self.dir}/none.sock', 'no broker at .*none.sock: there is no such file', 'busrtd -B')

    def test_a_socket_that_was_left_behind(self):
        path = f'{self.dir}/old.sock'
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(path)
        self.refused(path, 'nobody listens', 'busrtd -B')

    def test_a_file_that_is_no_socket(self):
        path = f'{self.dir}/file.sock'
        open(path, 'w').close()
        self.refused(path, 'is not a socket')

    def test_a_port_where_nobody_listens(self):
        with socket.socket() as s:
            s.bind(('127.0.0.1', 0))
            port = s.getsockname()[1]
        self.refused(f'127.0.0.1:{port}', f'no broker at 127.0.0.1:{port}: nobody listens')

    def test_something_else_listens(self):
        self.refused(self.fake(greeting=b'HTTP/1.1 400\r\n'), 'does not speak BUS/RT')

    def test_silence_is_not_waited_for_long(self):
        path = f'{self.dir}/silent.sock'
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(path)
            s.listen()
            self.refused(path, 'does not answer', args=('-t', '50ms', 'publish', 't', 'x'))

    def test_a_socket_without_permission_names_the_group(self):
        path = f'{self.dir}/bus.sock'
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(path)
            s.listen()
            os.chmod(path, 0o040)
            self.refused(path, 'no permission to use .*bus.sock', r'and group \w+, mode 0040', r'usermod -aG \w+ ',
                         preexec_fn=drop_root)

    def test_a_folder_without_permission_is_named(self):
        inner = f'{self.dir}/closed'
        os.mkdir(inner, 0)
        self.addCleanup(os.chmod, inner, stat.S_IRWXU)
        self.refused(f'{inner}/bus.sock', f'{inner} belongs to', preexec_fn=drop_root)

    def test_rules_that_refuse_the_client(self):
        self.refused(self.fake(name_code=0x79), 'access rules do not let ".*" in')

    def test_rules_that_refuse_an_operation(self):
        path = self.fake(code=0x79)
        self.refused(path, 'cannot publish on "t": ', 'access rules')
        self.refused(path, 'cannot subscribe to "x"', 'access rules', args=('listen', 'x'))


class Joining(TestCase):
    def test_the_environment_names_the_broker(self):
        self.assertEqual(run('publish', 't', 'x', env={'BUSRT_SOCKET': self.path}), (0, b'', ''))

    def test_the_users_broker_is_found(self):
        directory = self.directory()
        os.mkdir(f'{directory}/busrt')
        os.symlink(self.path, f'{directory}/busrt/bus.sock')
        self.assertEqual(run('publish', 't', 'x', env={'XDG_RUNTIME_DIR': directory}), (0, b'', ''))

    def test_a_name_that_is_taken(self):
        self.receiver('taken')
        self.fails('-n', 'taken', 'publish', 't', 'x', says='the name "taken" is taken: choose another with -n')

    def test_a_name_that_is_refused(self):
        self.fails('-n', '.x', 'publish', 't', 'x', says='name ".x"')

    def test_a_secondary_without_its_primary(self):
        self.fails('-n', 'a%%b', 'publish', 't', 'x', says='"a", the primary of "a%%b", is not connected')

    def test_what_is_no_address_is_told_what_one_is(self):
        for address in 'foo', '127.0.0.1', '127.0.0.1:99999':
            status, _, err = run('-s', address, 'info')
            self.assertEqual(status, 1)
            self.assertIn(f'"{address}" is no address: a path that begins with /', err)

    def test_closed_standard_descriptors_are_not_taken_for_files(self):
        for args in ('info',), ('stats',), ('clients',), ('listen', '--for', '50ms', '-v'):
            status, _, err = self.ctl(*args, preexec_fn=lambda: os.close(1))
            self.assertNotIn('Invalid argument', err, args)
        status, _, err = self.ctl('info', preexec_fn=lambda: os.close(1))
        self.assertEqual(status, 1)
        self.assertIn('Bad file descriptor', err)

    def test_names_are_unique(self):
        receiver = self.receiver(topic='t')
        for _ in range(3):
            self.ok('publish', 't', 'x')
        senders = [receiver.receive()[2] for _ in range(3)]
        self.assertEqual(len(set(senders)), 3)
        for sender in senders:
            self.assertRegex(sender, r'^busrtctl\.[\w-]+\.\d+$')

    def test_help_has_colours_on_a_terminal_alone(self):
        terminal = self.terminal('--help')
        self.assertEqual(terminal.wait(), 0)
        self.assertIn(b'\033[1mTalk:', terminal.screen)
        for args, env in (('--no-color',), {}), ((), {'NO_COLOR': '1'}), ((), {'TERM': 'dumb'}):
            terminal = self.terminal(*args, '--help', env=env)
            terminal.wait()
            self.assertNotIn(b'\033', terminal.screen)


if __name__ == '__main__':
    main()
