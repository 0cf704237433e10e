#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds every file of the tree to what the house agreed on: a licence line, no promises of later work, no paths of
one machine, no trailing blanks, files and functions that a reader can hold in the head, and sources that at least
parse. Layout of C is clang-format's word, where it is installed in the version that .clang-format was written for.

Files are what git would commit, or without git everything below the top. Prints one line per fault and what it
checked; exit status 1 when there is a fault. A file or a function may be longer than the limit if the comment above
it says "Long because" and why.

    check-style.py [ROOT]
"""
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

MAX_FILE_LINES = 800
MAX_FUNCTION_LINES = 100
CLANG_FORMAT_MAJOR = "14"  # each release lays out a little differently

LICENCE = "SPDX-" + "License-Identifier: Apache-2.0"
CODE = (".c", ".h", ".cc", ".py", ".rs", ".sh")
# Texts that cannot or need not carry a licence line of their own.
NO_LICENCE = (".md", ".json", ".lock", ".txt", ".svg", ".csv")
NO_LICENCE_NAMES = {"LICENSE", "NEWS", ".gitignore", ".clang-format", ".editorconfig", "README",
                    "changelog", "copyright", "format"}  # the last three are of debian/

# Put together from halves, so that this file does not find itself.
LATER = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|X" r"XX|not (?:yet )?" r"implemented)\b")
ONE_MACHINE = re.compile(r"(?<![\w.~$}/-])/(?:" r"home|Users|work|root)/[\w.]")
ADDRESS = re.compile(r"\bhttps?://([\w.-]+\.[a-z]{2,})")
LINK = re.compile(r"\]\(([^()#:\s]+)(?:#[^()\s]*)?\)")
ADDRESSES_ALLOWED = {"www.apache.org", "spdx.org", "www.freedesktop.org", "github.com", "www.debian.org",
                     "www.w3.org"}  # the last is the name space of SVG


def listed(root):
    """The files that belong to the tree, relative to its top."""
    if os.path.exists(os.path.join(root, ".git")) and shutil.which("git"):
        done = subprocess.run(["git", "-c", "safe.directory=*", "-C", root, "ls-files", "-z", "--cached", "--others",
                               "--exclude-standard"], capture_output=True, text=True)
        if done.returncode == 0:
            return sorted({name for name in done.stdout.split("\0") if name and os.path.isfile(os.path.join(root, name))})
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders
                            if name not in (".git", "__pycache__", "target") and not name.startswith("build"))
        found += [os.path.relpath(os.path.join(folder, name), root) for name in sorted(names)]
    return found


def read_text(path):
    """The text of a file, or None when it is none: corpora and the like."""
    with open(path, "rb") as file:
        data = file.read()
    if b"\0" in data:
        return None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def is_corpus(name):
    return "/corpus" in name or "/corpora/" in name


def check_licence(name, text):
    base = os.path.basename(name)
    if base in NO_LICENCE_NAMES or name.endswith(NO_LICENCE):
        return
    if not any(LICENCE in line for line in text.split("\n")[:5]):
        yield f"{name}:1: has no line '{LICENCE}'"


def check_lines(name, text):
    for number, line in enumerate(text.split("\n"), 1):
        if line != line.rstrip():
            yield f"{name}:{number}: blanks at the end of the line"
        if name == "LICENSE":
            continue
        match = LATER.search(line)
        if match:
            yield f"{name}:{number}: promises later work: {match.group(0)}"
        match = ONE_MACHINE.search(line)
        if match:
            yield f"{name}:{number}: names a path of one machine: {line.strip()}"
        for match in ADDRESS.finditer(line):
            if match.group(1) not in ADDRESSES_ALLOWED and not name.endswith((".lock", "-lock.json")):
                yield f"{name}:{number}: names the host {match.group(1)}"
    if text and not text.endswith("\n"):
        yield f"{name}: does not end with a newline"


def check_length(name, text):
    lines = text.count("\n")
    if name.endswith(CODE) and lines > MAX_FILE_LINES and "Long because" not in text[:2000]:
        yield f"{name}: {lines} lines, more than {MAX_FILE_LINES}: wants a split"


def functions(text):
    """(first line, name, number of lines, comment above) of each function of a C file in the house's layout: its
    braces stand alone in the first column."""
    lines = text.split("\n")
    opened = None
    for number, line in enumerate(lines):
        if line == "{":
            opened = number
        elif line.startswith("}") and opened is not None:
            head = opened - 1
            while head > 0 and lines[head] and not lines[head].endswith(("*/", ";", "}")) and lines[head][0] != "#":
                head -= 1
            first = head + 1
            comment = []
            while head >= 0 and lines[head].lstrip().startswith(("*", "/*", "//")):
                comment.append(lines[head])
                head -= 1
            signature = " ".join(lines[first:opened])
            match = re.search(r"(\w+)\s*\(", signature)
            yield first + 1, match.group(1) if match else "?", number - opened + 1, "\n".join(comment)
            opened = None


def check_functions(name, text):
    if not name.endswith((".c", ".h", ".cc")):
        return
    for first, function, lines, comment in functions(text):
        if lines > MAX_FUNCTION_LINES and "Long because" not in comment:
            yield f"{name}:{first}: {function} has {lines} lines, more than {MAX_FUNCTION_LINES}, and no reason for it"


def is_shell(name, text):
    return name.endswith(".sh") or re.match(r"#!\s*\S*(?:/|env )(?:bash|sh)\b", text) is not None


def is_python(name, text):
    return name.endswith(".py") or re.match(r"#!\s*\S*(?:/|env )python3?\b", text) is not None


def check_python(name, text):
    try:
        compile(text, name, "exec", dont_inherit=True)
    except SyntaxError as error:
        yield f"{name}:{error.lineno}: {error.msg}"


def run(command, root):
    """What a checking program says, without the source lines that clang-format shows."""
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    if done.returncode == 0:
        return []
    lines = (done.stdout + done.stderr).strip().split("\n")
    faults = [line for line in lines if re.match(r"\S+:\d+:\d+: error:", line)]
    return faults if faults else lines


def clang_format():
    """The program, in the one version that decides, or None."""
    for program in ("clang-format-" + CLANG_FORMAT_MAJOR, "clang-format"):
        if shutil.which(program):
            version = subprocess.run([program, "--version"], capture_output=True, text=True).stdout
            if re.search(rf"version {CLANG_FORMAT_MAJOR}\.", version):
                return program
    return None


def check_file(name, text):
    """Every fault that one text shows by itself."""
    if is_corpus(name):
        return
    for check in (check_licence, check_lines, check_length, check_functions):
        yield from check(name, text)
    if is_python(name, text):
        yield from check_python(name, text)


def check_links(root, name, text):
    """Links of a page to other files of the tree."""
    for number, line in enumerate(text.split("\n"), 1):
        for match in LINK.finditer(line):
            if not os.path.exists(os.path.join(root, os.path.dirname(name), match.group(1))):
                yield f"{name}:{number}: links {match.group(1)}, which does not exist"


def check_by_programs(root, texts, say):
    """What bash, shellcheck and clang-format have to say, all files of a kind at once."""
    shell = [name for name in texts if is_shell(name, texts[name])]
    jobs = [["bash", "-n", name] for name in shell]
    if shell and shutil.which("shellcheck"):
        jobs.append(["shellcheck", "--external-sources", "--source-path=SCRIPTDIR", *shell])
    elif shell:
        say("shellcheck is not installed: the scripts are only parsed")
    formatted = [name for name in texts if name.endswith((".c", ".h", ".cc"))]
    program = clang_format()
    if formatted and program:
        jobs += [[program, "--dry-run", "-Werror", "--ferror-limit=1", name] for name in formatted]
    elif formatted:
        say(f"clang-format {CLANG_FORMAT_MAJOR} is not installed: layout is not checked")
    with ThreadPoolExecutor(2) as pool:
        for lines in pool.map(lambda command: run(command, root), jobs):
            yield from lines


def check_tree(root, say=print):
    texts = {}
    for name in listed(root):
        text = read_text(os.path.join(root, name))
        if text is not None and not is_corpus(name):
            texts[name] = text
    wrong = [line for name, text in texts.items() for line in check_file(name, text)]
    wrong += [line for name in texts if name.endswith(".md") for line in check_links(root, name, texts[name])]
    wrong += check_by_programs(root, texts, say)
    if not texts:
        wrong.append(f"{root}: nothing to read")
    say(f"{len(texts)} files read")
    return wrong


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    wrong = check_tree(os.path.abspath(root))
    for line in wrong:
        print(line)
    print(f"{len(wrong)} wrong" if wrong else "nothing wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
