# SPDX-License-Identifier: Apache-2.0
"""Fetches and builds the published clients into a cache directory outside of the tree. Only this
part needs the network. A stamp says what was built from, so that a run notices when it is stale."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
EXAMPLES = ('client_cursor', 'client_listener', 'client_sender', 'client_rpc', 'client_rpc_handler')
CRATE = 'busrt'
RELEASE = '0.5.6'
CARGO_AT_LEAST = (1, 85)


class Missing(Exception):
    """Something that the suite needs is not there."""


def cache_directory():
    base = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    return Path(base) / 'busrt-tests'


def inputs():
    """The files that decide what the setup makes."""
    names = ['installation.py', 'python/requirements.txt', 'js/package-lock.json', 'js/compile.js',
             'rust/Cargo.toml', 'rust/Cargo.lock']
    return [HERE / n for n in names] + sorted((HERE / 'rust/src').rglob('*.rs'))


def fingerprint(without):
    digest = hashlib.sha256(b'without js' if 'js' in without else b'')
    for path in inputs():
        digest.update(path.read_bytes())
    return digest.hexdigest()


class Installation:
    """Where the setup has put things, or will put them."""

    def __init__(self):
        self.root = cache_directory() / 'interop'
        self.stamp = self.root / 'stamp'
        self.python = str(self.root / 'venv/bin/python')
        self.node = shutil.which('node') or shutil.which('nodejs') or 'node'
        self.node_modules = self.root / 'js/node_modules'
        self.target = self.root / 'target'
        self.examples = self.target / 'release/examples'

    def rust(self, program):
        return str(self.target / 'release' / program)

    def fresh(self, without):
        """Whether the setup was for these sources, with JavaScript or with the right to lack it."""
        stamps = [fingerprint([])] + ([fingerprint(without)] if 'js' in without else [])
        return self.stamp.exists() and self.stamp.read_text() in stamps


def reference_directory():
    return Path(os.environ.get('BUSRT_REFERENCE') or cache_directory() / f'reference-{RELEASE}')


def reference_tool():
    """The reference's command-line tool: from $BUSRT_REFERENCE, else where it is usually built."""
    base = reference_directory()
    for path in (base / 'bin/busrt', base / 'busrt'):
        if os.access(path, os.X_OK):
            return path
    return None


def run(*command, **options):
    print('+', *command, flush=True)
    words = [str(c) for c in command]
    if subprocess.run(words, **options).returncode != 0:
        raise Missing(f'the setup ended at: {" ".join(words)}')


def cargo_version(cargo):
    try:
        text = subprocess.run([cargo, '--version'], capture_output=True, text=True).stdout
    except OSError:
        return (0, 0)
    match = re.match(r'cargo (\d+)\.(\d+)', text)
    return tuple(map(int, match.groups())) if match else (0, 0)


def find_cargo():
    """$CARGO, or the first cargo that is new enough for the crate."""
    if os.environ.get('CARGO'):
        return os.environ['CARGO']
    places = [*os.environ.get('PATH', '').split(':'), str(Path.home() / '.cargo/bin')]
    for place in places:
        for cargo in sorted(Path(place).glob('cargo*')):
            if re.fullmatch(r'cargo(-web|-\d[\d.]*)?', cargo.name) and \
                    cargo_version(cargo) >= CARGO_AT_LEAST:
                return str(cargo)
    raise Missing('no cargo {}.{} or newer (Debian 12: apt install cargo-web; or set CARGO)'.format(
        *CARGO_AT_LEAST))


def setup_python(to):
    venv = to.root / 'venv'
    run(sys.executable, '-m', 'venv', '--clear', venv)
    run(to.python, '-m', 'pip', 'install', '--quiet', '-r', HERE / 'python/requirements.txt')


def crate_source():
    """The unpacked crate, where cargo has put it for our own project."""
    home = Path(os.environ.get('CARGO_HOME') or Path.home() / '.cargo')
    return next(home.glob(f'registry/src/*/{CRATE}-{RELEASE}'))


def setup_rust(to, cargo):
    """Our two programs, and the examples from a copy of the crate, which has its own Cargo.lock. Not
    built from inside of that copy: the crate names a toolchain to whoever stands in its directory."""
    env = {**os.environ, 'CARGO_TARGET_DIR': str(to.target)}
    run(cargo, 'build', '--release', '--locked', '--manifest-path', HERE / 'rust/Cargo.toml',
        env=env)
    source = crate_source()
    copy = to.root / 'crate'
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(source, copy)
    examples = [word for name in EXAMPLES for word in ('--example', name)]
    run(cargo, 'build', '--release', '--locked', '--manifest-path', copy / 'Cargo.toml',
        '--features', 'ipc,rpc,broker-rpc,cursors', *examples, cwd=to.root, env=env)
    return source


def setup_javascript(to, source):
    if not shutil.which('npm') or not shutil.which(to.node):
        raise Missing('no node and npm (Debian 12: apt install nodejs npm), or use --without js')
    directory = to.root / 'js'
    directory.mkdir(parents=True, exist_ok=True)
    for name in ('package.json', 'package-lock.json'):
        shutil.copy(HERE / 'js' / name, directory)
    run('npm', 'ci', '--ignore-scripts', '--no-audit', '--no-fund', '--omit=dev', cwd=directory)
    module = to.node_modules / 'busrt'
    module.mkdir()
    run(to.node, HERE / 'js/compile.js', source / 'bindings/js/busrt/src/busrt.ts',
        module / 'index.js', env={**os.environ, 'NODE_PATH': str(to.node_modules)})


def setup_reference(cargo):
    if reference_tool() is None:
        run(cargo, 'install', CRATE, '--version', RELEASE, '--locked', '--features', 'server,cli',
            '--root', reference_directory())


def setup(without):
    """Everything that needs the network, unless it is all there."""
    to = Installation()
    if to.fresh(without) and reference_tool():
        print(f'Everything is in {to.root}.')
        return
    to.root.mkdir(parents=True, exist_ok=True)
    to.stamp.unlink(missing_ok=True)
    cargo = find_cargo()
    setup_python(to)
    source = setup_rust(to, cargo)
    if 'js' not in without:
        setup_javascript(to, source)
    setup_reference(cargo)
    to.stamp.write_text(fingerprint(without))
