# SPDX-License-Identifier: Apache-2.0
"""What programs were built against stays as it was: the library's functions, the types that they take and return, and
the constants of its headers, as they were written down beside this file and in debian/*.symbols.

A change of any of these breaks programs that were built before, and fails. A function or constant more breaks nothing:
types and constants may grow, and the test says that it is time to write them down, by

    ninja -C build abi-baseline

The list of symbols says in which version of the package each came, so it is written by hand, and whatever it lacks fails
until it is there. When something is changed on purpose, the same command, and the same list, put the decision into the
diff.

    test_abi.py Types|Constants|Symbols   the tests
    test_abi.py --refresh                 writes the baseline anew
"""
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE, LIBRARY, NAME, VERSION = (os.environ[name] for name in ('SOURCE', 'LIBRARY', 'NAME', 'VERSION'))
CC, INCLUDES = shlex.split(os.environ['CC']), os.environ['INCLUDES'].split()
# Those that are inline are compiled into programs, with what they want of other libraries.
INLINE = {'msgpack.h', 'sd-event.h'}
HEADERS = sorted(name for name in os.listdir(os.path.join(SOURCE, 'include', 'busrt'))
                 if name.endswith('.h') and name not in INLINE)
TYPES, CONSTANTS = (os.path.join(SOURCE, 'tests', 'abi', NAME + end) for end in ('.abi', '.constants'))
REFRESH = 'ninja -C build abi-baseline'
LICENCE = 'SPDX-' + 'License-Identifier: Apache-2.0'

# What abidiff(1) may return.
FAILED, USAGE, CHANGED = 1, 2, 4
# Only what a program can see: types of the headers, reached from exported functions. The rest is of this build.
ABIDW = ['abidw', '--exported-interfaces-only', '--drop-private-types', '--no-corpus-path', '--no-comp-dir-path',
         '--no-show-locs', '--no-elf-needed', '--no-parameter-names', '--no-write-default-sizes', '--type-id-style', 'hash']
# Names that are no constants, or change with each release.
NO_CONSTANT = re.compile(r'_H$|_INIT$|^BUSRT_VERSION_')


def read(path):
    with open(path, encoding='utf-8') as file:
        return file.read()


def write(path, text):
    with open(path, 'w', encoding='utf-8') as file:
        file.write(text)


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, **options)


def output(*command, **options):
    done = run(*command, **options)
    if done.returncode != 0:
        raise AssertionError(f'{shlex.join(command)}: {done.stdout}{done.stderr}')
    return done.stdout


def types():
    """What abidw says of the library, wherever that was built."""
    text = output(*ABIDW, '--headers-dir', os.path.join(SOURCE, 'include', 'busrt'), LIBRARY)
    return re.sub(r"(<abi-instr .*? path=')[^']*?(?=src/)", r'\1', text).replace('\n', f'\n  <!-- {LICENCE} -->\n', 1)


def constants(headers):
    """name -> value of all that these headers define by #define or enum."""
    texts = (re.sub(r'/\*.*?\*/', ' ', read(os.path.join(SOURCE, 'include', 'busrt', name)), flags=re.S) for name in headers)
    names = sorted({name for text in texts for name in re.findall(r'\bBUSRT_[A-Z0-9_]+\b', text)
                    if not NO_CONSTANT.search(name)})
    program = ''.join(f'#include <busrt/{name}>\n' for name in headers) + '#include <stdio.h>\nint main(void)\n{\n' + ''.join(
        f'printf({name} < 0 ? "%s %lld\\n" : "%s %llu\\n", "{name}", (long long)({name}));\n' for name in names) + '}\n'
    with tempfile.TemporaryDirectory(prefix='busrt-abi-') as folder:
        binary = os.path.join(folder, 'constants')
        output(*CC, '-xc', '-', '-w', '-o', binary, *(f'-I{path}' for path in INCLUDES), input=program)
        return dict(line.split() for line in output(binary).splitlines())


def written_constants():
    return dict(line.split() for line in read(CONSTANTS).splitlines() if not line.startswith('#'))


def refresh():
    write(TYPES, types())
    if NAME == 'libbusrt':
        write(CONSTANTS, f'# {LICENCE}\n' + ''.join(f'{name} {value}\n' for name, value in constants(HEADERS).items()))


def has_debug_info():
    return '.debug_info' in output('readelf', '-SW', LIBRARY)


def same_language(baseline):
    """Whether this abidw writes what the baseline is written in: releases of it do not read one another's."""
    major = re.search(r"<abi-corpus version='(\d+)", baseline).group(1)
    return re.search(r'(\d+)\.', output('abidw', '--abixml-version')).group(1) == major


@unittest.skipUnless(shutil.which('abidiff') and shutil.which('abidw'), 'abigail-tools is not installed')
class Types(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not has_debug_info():
            raise unittest.SkipTest('the library was built without debug information')
        cls.baseline, cls.now = read(TYPES), types()
        if not same_language(cls.baseline):
            raise unittest.SkipTest('the baseline was written by another release of abidw')

    def abidiff(self, before, now, *options):
        """(its status, what it says)"""
        with tempfile.TemporaryDirectory(prefix='busrt-abi-') as folder:
            paths = [os.path.join(folder, name) for name in ('before.abi', 'now.abi')]
            for path, text in zip(paths, (before, now)):
                write(path, text)
            done = run('abidiff', *options, *paths)
        self.assertFalse(done.returncode & (FAILED | USAGE), done.stdout + done.stderr)
        return done.returncode, done.stdout

    def test_nothing_that_programs_use_has_changed(self):
        status, told = self.abidiff(self.baseline, self.now, '--no-added-syms')
        self.assertEqual(status, 0, f'{told}\nPrograms that were built before would break. If that is meant: {REFRESH}')
        status, told = self.abidiff(self.baseline, self.now)
        if status:
            print(f'{told}\nNew, which breaks nothing. To write it down: {REFRESH}')

    def is_caught(self, pattern, replacement):
        before, n = re.subn(pattern, replacement, self.baseline, count=1, flags=re.S)
        self.assertEqual(n, 1, pattern)
        status, _ = self.abidiff(before, self.now, '--no-added-syms')
        self.assertTrue(status & CHANGED, pattern)

    def test_changes_are_caught(self):
        """Each is a baseline that says something else than the library does."""
        if NAME != 'libbusrt':
            self.is_caught(r"(<enumerator name='BUSRT_BROKER_CONNECTION_BURST' value=')18", r'\g<1>5')
            return
        is_int = re.search(r"<type-decl name='int' [^>]*id='(\w+)'", self.baseline).group(1)
        version = re.search(r" *<elf-symbol name='busrt_version' [^>]*>\n", self.baseline).group(0)
        function = re.search(r" *<function-decl name='busrt_version' .*?</function-decl>\n", self.baseline, re.S).group(0)
        self.is_caught(f'{re.escape(version)}(.*?){re.escape(function)}',  # one function more: it was removed since
                       lambda m: version + version.replace('version', 'gone', 1) + m.group(1) + function +
                       function.replace('busrt_version', 'busrt_gone'))
        self.is_caught(r"(<function-decl name='busrt_strerror'.*?<parameter type-id=')\w+", r'\g<1>b59d7dce')
        self.is_caught(r"(<function-decl name='busrt_client_process'.*?)( *<return)", rf"\1<parameter type-id='{is_int}'/>\n\2")
        self.is_caught(r"(<function-decl name='busrt_topic_matches'.*?<return type-id=')\w+", r'\g<1>b59d7dce')
        self.is_caught(r"(<class-decl name='busrt_method' size-in-bits=')256", r'\g<1>320')
        self.is_caught(r"(<class-decl name='busrt_rpc_error' .*?layout-offset-in-bits=')64", r'\g<1>32')
        self.is_caught(r"(<enumerator name='BUSRT_KIND_REPLY' value=')4", r'\g<1>5')


class Constants(unittest.TestCase):
    def changed(self, before, now):
        """What became of those that programs were built with."""
        return [f'{name} was {value}, and is {now.get(name, "gone")}' for name, value in before.items()
                if now.get(name) != value]

    def test_none_has_changed(self):
        before, now = written_constants(), constants(HEADERS)
        self.assertGreater(len(before), 20)
        self.assertEqual(self.changed(before, now), [], f'If that is meant: {REFRESH}')
        new = sorted(set(now) - set(before))
        if new:
            print(f'New, which breaks nothing: {", ".join(new)}. To write it down: {REFRESH}')

    def test_changes_are_caught(self):
        now = constants(HEADERS)
        self.assertEqual(self.changed({**now, 'BUSRT_GONE': '1'}, now), ['BUSRT_GONE was 1, and is gone'])
        self.assertEqual(self.changed({**now, 'BUSRT_QOS_REALTIME': '9'}, {**now, 'BUSRT_QOS_REALTIME': '2'}),
                         ['BUSRT_QOS_REALTIME was 9, and is 2'])


@unittest.skipUnless(shutil.which('dpkg-gensymbols'), 'dpkg-dev is not installed')
class Symbols(unittest.TestCase):
    package = NAME + '0'

    def gensymbols(self, listed):
        """What dpkg-gensymbols has to say, nothing where library and list agree. It notices what has gone only in a version
        behind the one in which it came."""
        with tempfile.TemporaryDirectory(prefix='busrt-abi-') as folder:
            os.mkdir(os.path.join(folder, 'debian'))
            shutil.copy(os.path.join(SOURCE, 'debian', 'control'), os.path.join(folder, 'debian'))
            write(os.path.join(folder, 'symbols'), listed)
            done = run('dpkg-gensymbols', '-c4', f'-p{self.package}', f'-v{VERSION}-1', '-Isymbols', f'-e{LIBRARY}',
                       '-O/dev/null', cwd=folder)
        return '' if done.returncode == 0 else done.stdout + done.stderr

    def setUp(self):
        self.listed = read(os.path.join(SOURCE, 'debian', self.package + '.symbols'))

    def test_the_package_lists_each(self):
        self.assertEqual(self.gensymbols(self.listed), '')

    def test_one_more_and_one_less_are_caught(self):
        line, name = re.search(r'^ (busrt_\w+)@.*\n', self.listed, re.M).group(0, 1)
        self.assertIn(f'+ {name}@', self.gensymbols(self.listed.replace(line, '')))
        self.assertIn('busrt_gone@', self.gensymbols(self.listed.replace(line, line + line.replace(name, 'busrt_gone'))))


def main():
    if sys.argv[1:] == ['--refresh']:
        return refresh()
    result = unittest.main(verbosity=2, exit=False).result
    return 77 if result.wasSuccessful() and result.skipped else not result.wasSuccessful()


if __name__ == '__main__':
    sys.exit(main())
