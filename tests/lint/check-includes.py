#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds the house to its arrows: which folder of src/ may use which.

Reads every #include line below src/ and include/, and the meson.build of every folder of src/. Reports, one line
each: an include of a folder that comes later, a third-party header outside the rooms that it belongs to, a header
of nobody that is known here, and a meson.build that links what its folder may not use. Exit status 1 when there is
anything to report.

    check-includes.py [ROOT]        ROOT: the top of the tree, by default the one that this file is in
"""
import os
import re
import sys

# room -> the rooms that it uses directly. What those use it may use too.
ARROWS = {
    "basic": (),
    "wire": ("basic",),
    "transport": ("basic",),
    "route": ("basic",),
    "access": ("basic", "wire", "transport", "route"),
    "engine": ("basic", "wire", "transport", "route", "access"),
    "broker-rpc": ("engine",),
    "client": ("wire", "transport"),
    "embed": ("engine", "broker-rpc", "client"),
    "config": ("basic", "access"),
    "busrtd": ("engine", "broker-rpc", "config"),
    "busrtctl": ("client", "config"),
}

PROGRAMS = {"busrtd", "busrtctl"}
EVERYWHERE = set(ARROWS)

# Third-party headers by the start of their name -> the rooms that may include them. The longest start wins.
THIRD_PARTY = {
    "bsd/sys/queue.h": EVERYWHERE,  # macros alone: nothing of libbsd.so
    "bsd/sys/tree.h": EVERYWHERE,
    "bsd/": PROGRAMS,
    "systemd/": PROGRAMS,
    "pcre2.h": {"broker-rpc", "busrtctl"},
    "msgpack": {"broker-rpc", "busrtctl"},
    "libsmartcols/": {"busrtctl"},
    "json-c/": {"busrtctl"},
    "ncurses.h": {"busrtctl"},
    "term.h": {"busrtctl"},
    "sys/sdt.h": {"engine", "busrtd"},
    "sanitizer/": EVERYWHERE,  # the compiler's own
}

# The dependency objects of the top meson.build that stand for third-party libraries.
LIBRARIES = {
    "libbsd": PROGRAMS,
    "libsystemd": PROGRAMS,
    "pcre2": {"broker-rpc", "busrtctl"},
    "msgpack": {"broker-rpc", "busrtctl"},
    "smartcols": {"busrtctl"},
    "json_c": {"busrtctl"},
    "ncurses": {"busrtctl"},
}

# Public headers that are inline attachments to a library, which their users link -> what each may include of it.
ATTACHMENTS = {
    "include/busrt/sd-event.h": ("systemd/sd-event.h",),
    "include/busrt/msgpack.h": ("msgpack.h",),
}

# The public headers: the libraries declare their own in them, the tool is a user of them.
PUBLIC_HEADER_ROOMS = {"client", "embed", "busrtctl"}
STANDS_ON = {f"busrt/{os.path.basename(header)}": third_party for header, third_party in ATTACHMENTS.items()}

# The C library's and the kernel's, which belong to nobody.
LIBC = set("""
aio.h alloca.h argp.h assert.h byteswap.h complex.h cpio.h ctype.h dirent.h dlfcn.h endian.h err.h errno.h error.h
fcntl.h features.h fenv.h float.h fnmatch.h fts.h ftw.h getopt.h glob.h grp.h ifaddrs.h inttypes.h iso646.h
langinfo.h libgen.h limits.h link.h locale.h malloc.h math.h mntent.h mqueue.h netdb.h nl_types.h paths.h poll.h
pthread.h pty.h pwd.h regex.h resolv.h sched.h search.h semaphore.h setjmp.h shadow.h signal.h spawn.h stdalign.h
stdarg.h stdatomic.h stdbool.h stddef.h stdint.h stdio.h stdio_ext.h stdlib.h stdnoreturn.h string.h strings.h
syslog.h termios.h threads.h time.h uchar.h ucontext.h unistd.h utime.h utmpx.h wchar.h wctype.h
""".split())
LIBC_FOLDERS = ("arpa/", "asm/", "linux/", "net/", "netinet/", "sys/")

# They exist in the C library, but are not what they seem.
MISTAKEN = {
    "sys/queue.h": "has no _SAFE loops: use <bsd/sys/queue.h>",
    "sys/tree.h": "is not in the C library: use <bsd/sys/tree.h>",
}

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include(?:_next)?[ \t]*(?:"([^"]+)"|<([^>]+)>|(\S.*))')


def may_use(room):
    """Every room that this one may include from, itself among them."""
    found, todo = set(), [room]
    while todo:
        room = todo.pop()
        if room not in found:
            found.add(room)
            todo.extend(ARROWS[room])
    return found


def without_comments(text):
    """C text with its comments blanked out, line numbers kept. Strings stay, since they hold the include names."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)

    def blank(match):
        piece = match.group(0)
        return "\n" * piece.count("\n") + " " if piece[0] == "/" else piece

    return pattern.sub(blank, text)


def includes(path):
    """(line number, quoted name, angle name, anything else) of every #include."""
    with open(path, encoding="utf-8") as file:
        text = without_comments(file.read())
    for number, line in enumerate(text.split("\n"), 1):
        match = INCLUDE.match(line)
        if match:
            yield (number, *match.groups())


def third_party_rooms(name):
    starts = [start for start in THIRD_PARTY if name.startswith(start)]
    return THIRD_PARTY[max(starts, key=len)] if starts else None


def check_attachment(room, name):
    """The same for a public header that stands on a third-party one: only where that may be included, too."""
    for third_party in STANDS_ON.get(name, ()):
        rooms = third_party_rooms(third_party)
        if room not in rooms:
            who = room or "another public header"
            return f"<{name}> stands on <{third_party}>, which belongs to {', '.join(sorted(rooms))}, not to {who}"
    return None


def check_angle(room, name, attached=()):
    """What is wrong with `#include <name>` in this room, or None. Room None: a public header, and the third-party
    headers that it is there to attach."""
    if name in MISTAKEN:
        return f"<{name}> {MISTAKEN[name]}"
    if name.startswith("busrt/"):
        if room is None or room in PUBLIC_HEADER_ROOMS:
            return check_attachment(room, name)
        return f"<{name}> is public: {room} lies below the libraries and may not use it"
    rooms = third_party_rooms(name)
    if rooms is not None:
        if room is None:
            return None if name in attached else f"a public header may not include <{name}>"
        if room not in rooms:
            return f"<{name}> belongs to {', '.join(sorted(rooms))}, not to {room}"
        return None
    if name in LIBC or name.startswith(LIBC_FOLDERS):
        return None
    return f"<{name}> is not known here: say in {os.path.basename(__file__)} which rooms may use it"


def check_quoted(root, path, room, name):
    """The same for `#include "name"`: beside the file, or from the top of src/ by its room's name."""
    beside = os.path.normpath(os.path.join(os.path.dirname(path), name))
    source = os.path.join(root, "src")
    if room is None:
        public = os.path.join(root, "include")
        if os.path.commonpath([beside, public]) == public and os.path.exists(beside):
            return None
        return f'a public header may not include "{name}"'
    if os.path.commonpath([beside, source]) == source and os.path.exists(beside):
        target = os.path.relpath(beside, source).split(os.sep)[0]
    else:
        target = name.split("/")[0] if "/" in name else room
    if target not in ARROWS:
        return f'"{name}": there is no room {target}'
    if target not in may_use(room):
        return f'"{name}": {room} may not use {target}, only {", ".join(sorted(may_use(room) - {room})) or "itself"}'
    if target == room and "/" in name and not os.path.exists(os.path.join(source, name)) and not os.path.exists(beside):
        return f'"{name}" does not exist'
    return None


def check_sources(root):
    if not os.path.isdir(os.path.join(root, "src")):
        yield f"{root}: there is no src/ to read"
    for top in ("src", "include"):
        for folder, folders, names in os.walk(os.path.join(root, top)):
            folders.sort()
            for name in sorted(names):
                if not name.endswith((".c", ".h", ".cc")):
                    continue
                path = os.path.join(folder, name)
                relative = os.path.relpath(path, root)
                parts = relative.split(os.sep)
                room = parts[1] if top == "src" and len(parts) > 2 else None
                if top == "src" and room not in ARROWS:
                    yield f"{relative}: is in no known room"
                    continue
                for number, quoted, angle, other in includes(path):
                    if quoted:
                        wrong = check_quoted(root, path, room, quoted)
                    elif angle:
                        wrong = check_angle(room, angle, ATTACHMENTS.get(relative, ()))
                    else:
                        wrong = f"an include by macro cannot be checked: {other.strip()}"
                    if wrong:
                        yield f"{relative}:{number}: {wrong}"


def meson_words(path):
    """(line number, identifier) of a meson.build, without its comments, strings and keyword names."""
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            line = re.sub(r"'(?:\\.|[^'\\])*'", "''", line)
            line = line.split("#")[0]
            for match in re.finditer(r"[A-Za-z_]\w*(?!\w*\s*:)", line):
                yield number, match.group(0)


def check_meson(root):
    by_object = {room.replace("-", "_"): room for room in ARROWS}
    for room in ARROWS:
        path = os.path.join(root, "src", room, "meson.build")
        if not os.path.exists(path):
            continue
        relative = os.path.relpath(path, root)
        for number, word in meson_words(path):
            target = by_object.get(word)
            if target and target not in may_use(room):
                yield f"{relative}:{number}: {room} may not link {target}"
            rooms = LIBRARIES.get(word)
            if rooms is not None and room not in rooms:
                yield f"{relative}:{number}: {word} belongs to {', '.join(sorted(rooms))}, not to {room}"


def check_tree(root):
    """Every complaint about the tree."""
    root = os.path.abspath(root)
    return [*check_sources(root), *check_meson(root)]


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    wrong = check_tree(root)
    for line in wrong:
        print(line)
    print(f"{len(wrong)} wrong" if wrong else "every include and link runs the right way")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
