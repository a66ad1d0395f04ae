"""A shell for nodes in memory that runs a fault's scripts as they are, so that its contract can be run with no root and no machine.

It is this machine's own shell, with nothing in its PATH but tools that read and print, and stand-ins: for `nft`, which keeps the names of tables,
and for `rm`, which removes what is the node's own. What a script is handed as a path below ``/run`` is one of the node's own.

A script is also free to redirect its output, to use `kill`, and to call a program by its path. So root runs none here: they are run as a user who
may write nothing but the node's own folder, and signal nobody. Who is not root runs them as themselves.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from harness.core.errors import HarnessError
from harness.core.values import NO_PROGRAM, Result
from harness.nodes.links import PREFIX

if TYPE_CHECKING:
    from harness.testing.memory_node import MemoryNode, Program

TOOLS = ("cat", "cut", "echo", "false", "grep", "head", "printf", "sed", "sort", "tail", "test", "tr", "true", "uniq", "wc")
"""What scripts find beside `nft` and `rm`."""
NOBODY = 65534
"""The user, and the group, who own nothing on this machine (Debian's ``nobody`` and ``nogroup``)."""
LACKING = f"a shell in memory has only {', '.join(TOOLS)}, nft and rm: what needs more is tried on machines alone"
"""What is said of a script that did not find a program."""
SECONDS = 20.0
"""How long a script may take. It takes some 10 ms; the rest is for a machine under load."""

# It imports next to nothing: a script calls it many times, and Python starts twice as fast so.
_NFT = r"""import sys

with open({tables!r}) as file:
    tables = file.read().split()
text = sys.stdin.read() if sys.argv[1:] in (["-f", "-"], ["--file", "-"]) else " ".join(sys.argv[1:])
while "{{" in text:  # what stands in a chain or a set is not looked at
    end = text.find("}}")
    start = text.rfind("{{", 0, max(end, 0))
    if start < 0:
        sys.exit("Error: syntax error, unexpected {{")
    text = text[:start] + text[end + 1 :]
for line in filter(None, map(str.strip, text.replace(";", "\n").split("\n"))):
    match line.split():
        case ["add" | "create", "table", "inet", name] | ["table", "inet", name]:
            if name in tables and line.startswith("create"):
                sys.exit("Error: Could not process rule: File exists")
            tables.append(name)
        case ["delete" | "list" as verb, "table", "inet", name]:
            if name not in tables:
                sys.exit("Error: No such file or directory")
            if verb == "delete":
                tables = [each for each in tables if each != name]
            else:
                print("table inet", name, "{{}}")
        case ["list", "tables"] | ["list", "tables", "inet"]:
            for name in sorted(set(tables)):
                print("table inet", name)
        case ["add" | "insert", "chain" | "rule" | "set" | "element", "inet", name, *_]:
            if name not in tables:
                sys.exit("Error: No such file or directory")
        case _:
            sys.exit("Error: the stand-in does not know: " + line)
# All or nothing, as the kernel takes it.
with open({tables!r}, "w") as file:
    file.write("\n".join(sorted(set(tables))))
"""

_RM = r"""import os, sys

for path in sys.argv[1:]:
    if path.startswith({own!r}) and ".." not in path and os.path.lexists(path):
        os.unlink(path)
"""
_RUN, _OWN = "/run/", "run/"
_ENVIRONMENT = {"PATH": "bin", "LC_ALL": "C"}


class _Whose(TypedDict, total=False):
    """As whom a script is run, in the words of `subprocess`; empty: as ourselves."""

    user: int
    group: int
    extra_groups: Sequence[int]


def shell(node: MemoryNode, folder: Path) -> Program:
    """Return a program for `MemoryNode.programs` under the name ``sh``. `folder` is empty, or not there yet, and the node's own.

    The node's tables are its `cuts`: those that begin as ours do, without that. Others cannot be made.
    """
    tools = folder / "bin"
    tools.mkdir(parents=True)
    kept, own = folder / "tables", folder / "run"
    own.mkdir()
    kept.touch()
    as_nobody = os.geteuid() == 0
    # Of a virtual environment, or of root's own, nobody else may be able to start the interpreter.
    python = (shutil.which("python3", path=os.defpath) if as_nobody else None) or sys.executable
    # By relative paths, and not as Python's own scripts, which it opens by whole ones: the folders above this one may be closed to others.
    for name, code in (("nft", _NFT.format(tables=kept.name)), ("rm", _RM.format(own=_OWN))):
        (tools / name).write_text(f'#!/bin/sh\nexec {shlex.quote(python)} -IS -c {shlex.quote(code)} "$@"\n', encoding="utf-8")
        (tools / name).chmod(0o755)
    for name in TOOLS:
        found = shutil.which(name)
        if found:
            (tools / name).symlink_to(found)
    if as_nobody:
        for each in (folder, tools, kept, own):
            os.chown(each, NOBODY, NOBODY)
    whose: _Whose = {"user": NOBODY, "group": NOBODY, "extra_groups": ()} if as_nobody else {}

    def sh(argv: tuple[str, ...], stdin: bytes) -> Result:
        kept.write_text("\n".join(f"{PREFIX}{tag}" for tag in node.cuts), encoding="utf-8")
        words = [_OWN + each.removeprefix(_RUN) if each.startswith(_RUN) else each for each in argv[1:]]
        done = subprocess.run(
            ("/bin/sh", *words), input=stdin, capture_output=True, env=_ENVIRONMENT, cwd=folder, timeout=SECONDS, check=False, **whose
        )
        _put_back(node, kept.read_text(encoding="utf-8").split())
        err = done.stderr + (f" ({LACKING})".encode() if done.returncode in NO_PROGRAM else b"")
        return Result(argv, done.returncode if done.returncode >= 0 else 128 - done.returncode, done.stdout, err)

    return sh


def _put_back(node: MemoryNode, tables: list[str]) -> None:
    """Let a node have these tables. One whose name does not begin as ours do is refused."""
    strange = [name for name in tables if not name.startswith(PREFIX)]
    if strange:
        raise HarnessError(f"{node.name}: the tables {', '.join(strange)} are not ours: the name of each begins with {PREFIX}")
    tags = {name.removeprefix(PREFIX) for name in tables}
    cuts: Mapping[str, frozenset[str]] = dict(node.cuts)
    node.cuts = {tag: cuts.get(tag, frozenset()) for tag in sorted(tags)}
