# SPDX-License-Identifier: Apache-2.0
"""A small Debian of its own, booted under systemd-nspawn, in which our packages are installed.

The root is made once by mmdebstrap, with what our packages depend on, and kept in the cache folder; each run boots a
copy and installs the packages there. The system has a network of its own with nothing but loopback: connect_unix and
connect_tcp reach into it from outside.
"""
import ctypes
import hashlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

RELEASE_FILE = "/etc/os-release"
ALSO = ("systemd", "systemd-sysv", "dbus", "polkitd", "libpam-systemd", "init-system-helpers")
PACKAGES = "/var/lib/busrt-packages"  # inside
PATIENCE = 60  # seconds for anything that the system does; only turns a hang into a failure
CLONE_NEWNET = 0x40000000


class CannotBoot(Exception):
    """This machine lets no system be booted; says why."""


class Failure(Exception):
    """The system did not do what it should."""


def wait_until(condition, what):
    """Polls until condition() is true, and returns its value."""
    until = time.monotonic() + PATIENCE
    while not (value := condition()):
        if time.monotonic() > until:
            raise Failure(f"in {PATIENCE} s, not seen: {what}")
        time.sleep(0.02)
    return value


def output(*command):
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise CannotBoot(f"{' '.join(command)}: {done.stderr.strip() or 'status ' + str(done.returncode)}")
    return done.stdout


def codename():
    with open(RELEASE_FILE, encoding="utf-8") as file:
        match = re.search(r'^VERSION_CODENAME="?(\w+)', file.read(), re.M)
    if not match:
        raise CannotBoot("this is no release of Debian")
    return match.group(1)


def needed_packages(debs):
    """The Debian packages, not ours, that ours depend on."""
    ours = {output("dpkg-deb", "-f", deb, "Package").strip() for deb in debs}
    needed = set(ALSO)
    for deb in debs:
        for wish in output("dpkg-deb", "-f", deb, "Depends").split(","):
            name = re.match(r"[\w.+-]*", wish.strip()).group()  # the first of alternatives, without its version
            if name and name not in ours and not name.startswith("default-"):
                needed.add(name)
    return sorted(needed)


def root_for(debs, cache):
    """The folder of an unbooted system in which the packages can be installed; made if it is not there."""
    for tool in ("mmdebstrap", "systemd-nspawn", "nsenter"):
        if not shutil.which(tool):
            raise CannotBoot(f"{tool} is not installed")
    if os.geteuid() != 0:
        raise CannotBoot("only root can boot a system")
    packages = ",".join(needed_packages(debs))
    key = hashlib.sha256(f"{codename()} {packages}".encode()).hexdigest()[:12]
    root = os.path.join(cache, f"system-{codename()}-{key}")
    if not os.path.isdir(root):
        os.makedirs(cache, exist_ok=True)
        unfinished = tempfile.mkdtemp(prefix="system-unfinished-", dir=cache)
        try:
            output("mmdebstrap", "--quiet", "--variant=minbase", f"--include={packages}", codename(), unfinished)
            os.chmod(unfinished, 0o755)
            os.rename(unfinished, root)
        except CannotBoot:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
    return root


def entering(leader):
    """What runs a command inside, as root, of the system whose first process that is."""
    return ["nsenter", "-t", str(leader), "-m", "-u", "-i", "-n", "-p", "-r", "-w", "--"]


class System:
    """A booted system, with the packages beside it in the folder PACKAGES, not yet installed. faults: a broker that can be made
    to fail, or None."""

    def __init__(self, root, debs, faults=None):
        self.faults = faults
        self.directory = tempfile.mkdtemp(prefix="busrt-system-")
        self.root = os.path.join(self.directory, "root")
        self.console = os.path.join(self.directory, "console.log")
        self.process = None
        try:
            os.chmod(self.directory, 0o755)
            output("cp", "-a", "--reflink=auto", root, self.root)
            os.makedirs(self.root + PACKAGES)
            for deb in debs:
                shutil.copy(deb, self.root + PACKAGES)
            self._boot()
        except BaseException:
            self.close()
            raise

    def _boot(self):
        with open(self.console, "wb") as console:
            self.process = subprocess.Popen(
                ["systemd-nspawn", "--quiet", "--keep-unit", "--register=no", "--boot", "--private-network",
                 # For real time; the rest stays as nspawn has it.
                 "--capability=CAP_IPC_LOCK,CAP_SYS_NICE", "--system-call-filter=@memlock @resources",
                 "--rlimit=MEMLOCK=infinity",
                 f"--machine={os.path.basename(self.directory).replace('_', '0')}", f"--directory={self.root}", "--console=pipe"],
                stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True)
        self.leader = wait_until(self._find_leader, "systemd-nspawn starting systemd")
        try:
            wait_until(self._is_up, "the system booted")
        except Failure as failure:
            raise Failure(f"{failure}; its console: {self.console_text()[-2000:]}") from None

    def console_text(self):
        with open(self.console, encoding="utf-8", errors="replace") as file:
            return file.read()

    def _find_leader(self):
        if self.process.poll() is not None:
            raise CannotBoot("systemd-nspawn cannot run here: " + self.console_text().strip()[-500:])
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children", encoding="ascii") as file:
            for child in file.read().split():
                with open(f"/proc/{child}/status", encoding="utf-8") as status:
                    if re.search(r"^NSpid:.*\t1$", status.read(), re.M):
                        return int(child)
        return None

    def _is_up(self):
        if self.process.poll() is not None:
            raise CannotBoot("systemd-nspawn cannot run here: " + self.console_text().strip()[-500:])
        done = self.run("systemctl", "is-system-running", check=False)
        return done.stdout.strip() in ("running", "degraded")

    def run(self, *command, check=True):
        """Runs a command inside, as root."""
        done = subprocess.run([*entering(self.leader), *command], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=PATIENCE)
        if check and done.returncode != 0:
            raise Failure(f"{' '.join(command)}: {done.stderr.strip() or 'status ' + str(done.returncode)}")
        return done

    def show(self, unit, name):
        """A property of a unit."""
        return self.run("systemctl", "show", "--value", "-p", name, unit).stdout.strip()

    def outer_pid(self, unit):
        """The process of a service as this side sees it."""
        wanted = int(self.show(unit, "MainPID"))
        namespace = os.readlink(f"/proc/{self.leader}/ns/pid")
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                if os.readlink(f"/proc/{entry}/ns/pid") != namespace:
                    continue
                with open(f"/proc/{entry}/status", encoding="utf-8") as file:
                    if int(re.search(r"^NSpid:.*\t(\d+)$", file.read(), re.M).group(1)) == wanted:
                        return int(entry)
            except OSError:
                continue  # it has ended meanwhile
        raise Failure(f"{unit} has no process")

    def path(self, path):
        """A path of the running system as this side sees it."""
        return f"/proc/{self.leader}/root{path}"

    def connect_unix(self, path):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(PATIENCE)
        connection.connect(self.path(path))
        return connection

    def connect_tcp(self, port, source="127.0.0.1"):
        """Connects from an address to a port of the system's own loopback. A socket belongs to the network of the thread that made
        it, so a thread of its own goes there and makes it."""
        made = []

        def make():
            libc = ctypes.CDLL(None, use_errno=True)
            with open(f"/proc/{self.leader}/ns/net", "rb") as namespace:
                if libc.setns(namespace.fileno(), CLONE_NEWNET) == 0:
                    made.append(socket.socket(socket.AF_INET))

        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        if not made:
            raise Failure("the system's network cannot be entered")
        made[0].settimeout(PATIENCE)
        made[0].bind((source, 0))
        made[0].connect(("127.0.0.1", port))
        return made[0]

    def close(self):
        """Ends the system and removes what was made for it."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)  # nspawn then ends the whole system
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)
