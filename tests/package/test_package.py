# SPDX-License-Identifier: Apache-2.0
"""libbusrt and libbusrt-broker as programs get them: their headers compile by themselves, the libraries link what they
should and show their declared functions alone, and what is installed is enough to build and run a program. Debian's
packages of them have each function among their symbols."""
import glob
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import unittest

BUILD, SOURCE = os.environ['BUILD'], os.environ['SOURCE']
# Name -> the library, and what it links.
LIBRARIES = {
    'libbusrt': (os.environ['LIBBUSRT'], r'libc\.so\.6'),
    'libbusrt-broker': (os.environ['LIBBUSRT_BROKER'], r'libbusrt\.so\.0|libpcre2-8\.so\.0|libc\.so\.6'),
}
CC, CXX = shlex.split(os.environ['CC']), shlex.split(os.environ['CXX'])
SANITIZE = shlex.split(os.environ['SANITIZE'])
STRICT = ['-Wall', '-Wextra', '-Wpedantic', '-Werror']
DIALECTS = {'C11': [*CC, '-xc', '-std=c11'], **({'C++17': [*CXX, '-xc++', '-std=c++17']} if CXX else {})}

# Every function of the inline headers is used, so that none escapes the compiler.
INLINE_USES = """
#include <busrt/msgpack.h>
#include <busrt/rpc.h>
#include <busrt/sd-event.h>
int use(busrt_client *client, sd_event *event, busrt_frame *frame)
{
        busrt_params params = BUSRT_PARAMS_INIT;
        busrt_rpc_error error = BUSRT_RPC_ERROR_INIT;
        const struct iovec *iov;
        sd_event_source *source;
        msgpack_unpacked result;
        const char *text;
        size_t len;
        double d;
        int64_t i;
        uint64_t u;
        int b;
        int r = busrt_client_attach_event(client, event, 0, &source);

        busrt_client_detach_event(source);
        r |= busrt_params_add_int(&params, "i", 1) | busrt_params_add_uint(&params, "u", 1);
        r |= busrt_params_add_double(&params, "d", 1) | busrt_params_add_bool(&params, "b", 1);
        r |= busrt_params_add_string(&params, "s", "") | busrt_params_add_bytes(&params, "x", "", 0);
        r |= busrt_params_get(&params, &iov) | busrt_frame_unpack(frame, &result);
        r |= busrt_map_get_int(&result.data, "i", &i) | busrt_map_get_uint(&result.data, "u", &u);
        r |= busrt_map_get_double(&result.data, "d", &d) | busrt_map_get_bool(&result.data, "b", &b);
        r |= busrt_map_get_string(&result.data, "s", &text, &len);
        busrt_params_done(&params);
        busrt_rpc_error_done(&error);
        return r;
}
"""

# What an example of the manual that is no whole program stands in.
EXAMPLE_HEADERS = """
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <stdlib.h>
#include <busrt/broker.h>
#include <busrt/cursor.h>
#include <busrt/msgpack.h>
#include <busrt/rpc.h>
#include <busrt/topics.h>
"""
EXAMPLE_FUNCTION = "static void example(busrt_client *client)\n{\n%s\n}\n"


def load(name):
    spec = importlib.util.spec_from_file_location(name.replace('-', '_'), os.path.join(os.environ['LINT'], name + '.py'))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read(path):
    with open(path, encoding='utf-8') as file:
        return file.read()


def headers():
    return [*glob.glob(os.path.join(SOURCE, 'include', 'busrt', '*.h')), os.path.join(BUILD, 'include', 'busrt', 'version.h')]


def library_of(header):
    return 'libbusrt-broker' if os.path.basename(header) == 'broker.h' else 'libbusrt'


def declared_functions(library):
    """What it has to show, by its headers."""
    declarations = load('check-manual').declarations
    found = set()
    for header in headers():
        if library_of(header) == library:
            inline = re.findall(r'static inline [^;{]*?(busrt_\w+)\(', read(header))
            found |= {name for name, prototype in declarations(read(header)).items()
                      if name not in inline and not prototype.startswith('typedef')}
    return found


def pkg_config(*args, env=None):
    done = subprocess.run(['pkg-config', *args], capture_output=True, text=True, env=env)
    return shlex.split(done.stdout) if done.returncode == 0 else []


def output(*command, **options):
    """Its standard output, of a run that succeeds."""
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise AssertionError(f'{command}: {done.stdout}{done.stderr}')
    return done.stdout


class TestCase(unittest.TestCase):
    def directory(self):
        path = tempfile.mkdtemp(prefix='busrt-package-')
        self.addCleanup(shutil.rmtree, path, True)
        return path

    def compiles(self, command, text, *options):
        done = subprocess.run([*command, *STRICT, *options, '-fsyntax-only', '-'], input=text, capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ''))


class Headers(TestCase):
    options = [f'-I{SOURCE}/include', f'-I{BUILD}/include', *pkg_config('--cflags', 'libsystemd'),
               *(pkg_config('--cflags', 'msgpack-c') or pkg_config('--cflags', 'msgpack'))]

    def test_each_compiles_alone(self):
        self.assertEqual(len(headers()), 8)
        for header in headers():
            for dialect, command in DIALECTS.items():
                with self.subTest(header=os.path.basename(header), dialect=dialect):
                    self.compiles(command, f'#include <busrt/{os.path.basename(header)}>\n', *self.options)

    def test_inline_functions_compile(self):
        for dialect, command in DIALECTS.items():
            with self.subTest(dialect=dialect):
                self.compiles(command, INLINE_USES, *self.options)

    def test_they_change_no_names_of_others(self):
        """Macros of theirs begin with BUSRT_."""
        for header in headers():
            for name in re.findall(r'^[ \t]*#[ \t]*define[ \t]+(\w+)', read(header), re.M):
                self.assertRegex(name, '^BUSRT_')

    def test_pages_name_what_is_there(self):
        there = set(re.findall(r'\w+', ''.join(map(read, headers()))))
        for page in 'from-rust.md', 'python.md':
            named = set(re.findall(r'\b(?:busrt|BUSRT)_\w*[A-Za-z0-9]\b(?!_)', read(os.path.join(SOURCE, 'docs', page))))
            self.assertGreater(len(named), 20)
            self.assertEqual(named - there, set(), page)

    def test_the_examples_of_the_manual_compile(self):
        pages = glob.glob(os.path.join(SOURCE, 'docs', 'man', '*.3.scd'))
        examples = {os.path.basename(page): text for page in pages for text in
                    re.findall(r'^# EXAMPLE\n.*?^```\n(.*?)^```$', read(page), re.S | re.M)}
        self.assertGreaterEqual(len(examples), 6)
        for page, text in examples.items():
            text = text.replace('\\\\', '\\')
            if '#include' not in text:
                text = EXAMPLE_HEADERS + (text if text.startswith('static') else EXAMPLE_FUNCTION % text)
            with self.subTest(page=page):
                self.compiles([*CC, '-xc', '-std=gnu11'], text, *self.options, '-Wno-unused-function',
                              '-Wno-unused-parameter', '-Wno-unused-but-set-variable', '-Wno-sign-compare')


class Libraries(TestCase):
    def each(self):
        for name, (path, links) in LIBRARIES.items():
            with self.subTest(library=name):
                yield name, path, links

    @unittest.skipIf(SANITIZE, 'sanitizers link their own')
    def test_they_link_no_more_than_they_should(self):
        for _, path, links in self.each():
            needed = re.findall(r'\(NEEDED\).*\[(.*)\]', output('readelf', '-dW', path))
            self.assertEqual([library for library in needed if not re.fullmatch(links, library)], [])
            self.assertIn('libc.so.6', needed)

    def test_their_sonames_have_a_version(self):
        for name, path, _ in self.each():
            self.assertRegex(output('readelf', '-dW', path), rf'\(SONAME\).*\[{name}\.so\.0\]')

    def test_they_show_the_declared_functions_alone(self):
        for name, path, _ in self.each():
            declared = declared_functions(name)
            shown = [line.split() for line in output('nm', '-D', '--defined-only', path).splitlines()]
            versions = {line[-1] for line in shown if line[1] == 'A'}
            functions = {line[-1] for line in shown if line[1] != 'A'}
            self.assertEqual(len(versions), 1, versions)
            version = versions.pop().split('@')[0]
            self.assertEqual(functions, {f'{function}@@{version}' for function in declared})
            self.assertTrue(all(function.startswith('busrt_') for function in declared))
            self.assertTrue(all(line[1] == 'T' for line in shown if line[1] != 'A'), shown)

    def test_debian_knows_their_symbols(self):
        for name, _, _ in self.each():
            listed = re.findall(r'^ (busrt_\w+)@', read(os.path.join(SOURCE, 'debian', name + '0.symbols')), re.M)
            self.assertEqual(listed, sorted(declared_functions(name)))


class Installed(TestCase):
    @classmethod
    def setUpClass(cls):
        cls.root = tempfile.mkdtemp(prefix='busrt-package-')
        cls.addClassCleanup(shutil.rmtree, cls.root, True)
        output(os.environ['MESON'], 'install', '-C', BUILD, '--no-rebuild', '--tags', 'devel,man,runtime',
               '--destdir', cls.root)
        cls.pc = cls.find('libbusrt.pc')
        cls.libraries = os.path.dirname(cls.find('libbusrt.so.0'))

    @classmethod
    def find(cls, name):
        found = [os.path.join(folder, name) for folder, folders, names in os.walk(cls.root) if name in names]
        assert len(found) == 1, (name, found)
        return found[0]

    def pkg_config(self, *args):
        """Of ours as installed here, and of the machine's own."""
        return pkg_config(*args, env={**os.environ, 'PKG_CONFIG_LIBDIR': os.path.dirname(self.pc),
                                      'PKG_CONFIG_SYSROOT_DIR': self.root})

    def built(self, example, library, *options):
        """An example of the documentation, built as a program elsewhere is."""
        source = os.path.join(SOURCE, 'docs', 'examples', example)
        program = os.path.join(self.directory(), 'program')
        found = self.pkg_config('--cflags', '--libs', library)
        self.assertIn('-l' + library[3:], found)
        output(*CC, '-std=gnu11', *STRICT, '-Wno-unused-parameter', *SANITIZE, source, '-o', program, *found, *options)
        return program

    def run_program(self, *command, **options):
        environment = {**os.environ, 'LD_LIBRARY_PATH': self.libraries, 'BUSRT_SOCKET': '/nonexistent/bus.sock'}
        return subprocess.run(command, capture_output=True, text=True, env=environment, **options)

    def test_a_program_is_built_by_pkg_config_and_runs(self):
        done = self.run_program(self.built('listener.c', 'libbusrt'), 'name', 'topic')
        self.assertEqual((done.returncode, done.stdout), (1, ''))
        self.assertRegex(done.stderr, r'^name: .+\n$')

    def test_a_program_with_a_broker_is_built_by_pkg_config_and_runs(self):
        program, path = self.built('embed-loop.c', 'libbusrt-broker'), os.path.join(self.directory(), 'bus.sock')
        done = self.run_program(program, path, input='to nobody\n')
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, '', 'ready\n'))

    def test_programs_need_nothing_else_of_this_project(self):
        for library, links, requires in (('libbusrt', ['-lbusrt'], []),
                                         ('libbusrt-broker', ['-lbusrt-broker', '-lbusrt'], ['libbusrt'])):
            self.assertEqual([word for word in self.pkg_config('--libs', library) if word.startswith('-l')], links)
            self.assertEqual(self.pkg_config('--print-requires', library), requires)
            self.assertEqual(self.pkg_config('--print-requires-private', library), [])

    def test_every_public_header_is_there(self):
        folder = os.path.dirname(self.find('client.h'))
        self.assertEqual(os.path.basename(folder), 'busrt')
        self.assertEqual(sorted(os.listdir(folder)), sorted(map(os.path.basename, headers())))

    @unittest.skipIf(os.environ['MAN'] == 'no', 'scdoc is not installed')
    def test_the_manual_has_a_page_for_every_function(self):
        manual = load('check-manual')
        folder = os.path.dirname(self.find('libbusrt.3'))
        for header in headers():
            for name, prototype in manual.declarations(read(header)).items():
                if not prototype.startswith('typedef'):
                    self.assertIn(name, read(os.path.join(folder, name + '.3')))

    @unittest.skipIf(os.environ['MAN'] == 'no' or not shutil.which('man'), 'no scdoc, or no man')
    def test_man_finds_a_function_of_another_page(self):
        pages = os.path.dirname(os.path.dirname(self.find('libbusrt.3')))
        text = output('man', '-M', pages, '3', 'busrt_client_publish', env={**os.environ, 'LC_ALL': 'C', 'MANPAGER': 'cat'})
        self.assertIn('busrt_client_send(3)', text)


if __name__ == '__main__':
    unittest.main(verbosity=2)
